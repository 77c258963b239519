//! SQL expressions, verdicts and samples as a user meets them: a file, a run, a report.

use crate::support::{Workdir, counter, shown};
use serde_json::Value;

const SHOP: &str = "\
{\"ts\":1,\"user\":\"a\",\"kind\":\"buy\",\"price\":2.5,\"qty\":2,\"country\":\"de\"}
{\"ts\":2,\"user\":\"b\",\"kind\":\"look\",\"country\":\"at\"}
{\"ts\":3,\"user\":\"a\",\"kind\":\"buy\",\"price\":1,\"qty\":0,\"country\":\"DE\"}
{\"ts\":65,\"user\":\"c\",\"kind\":\"look\"}
{\"ts\":66,\"kind\":\"look\",\"country\":\"de\"}
";

fn shop(source: &str, metrics: &str) -> Workdir {
    Workdir::with("d.ndjson", SHOP, &format!("time = {{ field = \"ts\", unit = \"s\" }}\n{source}"), metrics)
}

#[test]
fn expressions_are_computed_filtered_grouped_and_weighed() {
    let metrics = "\
revenue = \"sum(price * qty) filter (where buy)\"
buys = { measure = \"count() filter (where buy)\", by = [[], [\"land\"]] }
lands = \"top(upper(country), 5)\"
weighed = \"top(user, 5, weight => cast(qty as bigint) + 1)\"
none = \"count() filter (where kind = 'nothing')\"";
    let dir = shop("derive = { buy = \"kind = 'buy'\", land = \"coalesce(lower(country), '-')\" }", metrics);
    for shards in ["1", "2", "7"] {
        let answers = dir.json(&["--shards", shards]);
        assert_eq!(shown(&answers, "revenue"), ["=5.0"]);
        assert_eq!(shown(&answers, "buys"), ["=2", "de=2"]);
        assert_eq!(shown(&answers, "lands"), ["=[DE:3 AT:1]"]);
        assert_eq!(shown(&answers, "weighed"), ["=[a:4]"]);
        assert_eq!(shown(&answers, "none"), ["=0"]);
    }
    // A window that nothing entered is not reported.
    assert_eq!(shown(&dir.json(&["--every", "1m"]), "buys").len(), 2);
}

#[test]
fn an_event_on_which_an_expression_fails_is_bad_and_kept() {
    let dir = shop(
        "bad = \"quarantine\"\nfields = { qty = \"int64\" }\nderive = { each = \"100 / qty\" }",
        "s = \"sum(each)\"",
    );
    let ran = dir.run(&["--format", "json"]);
    ran.expect(0, &["1 of 5 records", "line 3", "derive", "`each` cannot be computed"]);
    assert_eq!((counter(&ran.answers(), "derive"), counter(&ran.answers(), "accepted")), (1, 4));
    let kept = dir.read("p.quarantine.ndjson");
    assert!(
        kept.contains("\"line\":3") && kept.contains("\"reason\":\"derive\",\"field\":\"each\""),
        "{kept}"
    );
    assert!(kept.contains("\\\"ts\\\":3"), "{kept}");
}

#[test]
fn a_file_of_lists_makes_events() {
    let metrics = "n = \"count()\"\nt = \"top(item, 2)\"";
    let source =
        "format = \"lines\"\nexplode = { item = \"string_to_array(line, ' ')\" }\ntime = { row = \"30s\" }";
    let dir = Workdir::with("d.txt", "a b a\n\nc\na\n", source, metrics);
    let answers = dir.json(&[]);
    assert_eq!((shown(&answers, "n"), shown(&answers, "t")), (vec!["=5".into()], vec!["=[a:3 b:1]".into()]));
    let windows = shown(&dir.json(&["--every", "1m"]), "n");
    let start = |minute: u32, n: u32| format!("1970-01-01T00:0{minute}:00Z ={n}");
    assert_eq!(windows, [start(0, 2), start(1, 2), start(2, 1)]);
}

#[test]
fn a_verdict_is_a_field_of_other_metrics() {
    let metrics = "\
again = { measure = \"seen(user)\", size = \"1k @ 1%\" }
bought = { measure = \"seen(user) filter (where kind = 'buy')\", size = \"1k @ 1%\" }
new = { measure = \"count() filter (where not again)\", by = [[], [\"kind\"]] }
how = { measure = \"count()\", by = [\"again\"] }
loyal = \"unique(user) filter (where bought)\"";
    let dir = shop("", metrics);
    for shards in ["1", "2", "7"] {
        let answers = dir.json(&["--shards", shards]);
        assert_eq!(
            (shown(&answers, "again"), shown(&answers, "bought")),
            (vec!["=3".into()], vec!["=1".into()])
        );
        assert_eq!(shown(&answers, "new"), ["=3", "buy=1", "look=2"]);
        assert_eq!(shown(&answers, "how"), ["null=1", "false=3", "true=1"]);
        assert_eq!(shown(&answers, "loyal"), ["=1"]);
        let of =
            |metric: &str| answers.iter().find(|answer| answer["metric"] == metric).expect("it is there");
        assert_eq!((of("again")["exact"].as_bool(), of("new")["exact"].as_bool()), (Some(true), Some(false)));
    }
}

#[test]
fn a_filter_that_outgrows_memory_says_so() {
    let lines: String = (0..60_000).map(|n| format!("{{\"user\":\"u{n}\"}}\n")).collect();
    let dir = Workdir::with(
        "d.ndjson",
        lines,
        "",
        "again = { measure = \"seen(user)\", size = \"2k @ 1%\" }\nold = \"count() filter (where again)\"",
    );
    dir.write("q.toml", format!("memory = \"64KiB\"\n{}", dir.read("p.toml")));
    let ran = dir.call(&["run", "--once", "q.toml", "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let answers = ran.answers();
    assert_eq!(counter(&answers, "verdict_degraded"), 1);
    let again = answers.iter().find(|answer| answer["metric"] == "again").expect("it is there");
    let bounds = |answer: &Value| (answer["low"].as_f64().unwrap(), answer["high"].as_f64().unwrap());
    let (low, high) = bounds(again);
    assert!(low < 60_000.0 && high >= 60_000.0, "{again}");
    assert!(again["false_positive_rate"].as_f64().unwrap() > 0.01 && again["fill"].as_f64().unwrap() > 0.3);
    let old = answers.iter().find(|answer| answer["metric"] == "old").expect("it is there");
    assert_eq!(bounds(old).0, 0.0, "none of them was there before: {old}");
}

#[test]
fn a_sample_shows_events_that_are_there() {
    let dir = shop("", "some = \"sample(3, user, kind)\"\nall = \"sample(10)\"\nu = \"unique(country)\"");
    let answers = dir.json(&[]);
    let rows = |metric: &str| {
        let answer = answers.iter().find(|answer| answer["metric"] == metric).expect("it is there");
        answer["rows"].as_array().expect("rows").clone()
    };
    assert_eq!((rows("some").len(), rows("all").len()), (3, 5));
    assert!(rows("some").iter().all(|row| row.as_object().unwrap().keys().eq(["kind", "user"])));
    let mut users: Vec<String> = rows("all").iter().map(|row| row["user"].to_string()).collect();
    users.sort();
    assert_eq!(users, ["\"a\"", "\"a\"", "\"b\"", "\"c\"", "null"]);
    let again: Vec<Value> = dir.json(&["--shards", "2"]);
    assert_eq!(answers.iter().find(|a| a["metric"] == "some"), again.iter().find(|a| a["metric"] == "some"));
}

#[test]
fn every_event_is_written_back_with_what_is_known_of_it() {
    let metrics = "\
again = { measure = \"seen(user)\", size = \"1k @ 1%\" }
visitors = \"unique(user)\"
kinds = { measure = \"count()\", by = [\"kind\"] }
countries = \"freq(country)\"";
    let dir = shop("", metrics);
    let ran = dir.run(&["--annotate", "again,visitors,kinds,countries,kind"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let events: Vec<Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    assert_eq!(events.len(), 5);
    for (event, line) in events.iter().zip(SHOP.lines()) {
        let mut bare = event.clone();
        bare.as_object_mut().unwrap().remove("sg");
        assert_eq!(bare, serde_json::from_str::<Value>(line).unwrap());
    }
    let of =
        |name: &str| events.iter().map(|e| e["sg"][name]["value"].to_string()).collect::<Vec<_>>().join(" ");
    assert_eq!(of("again"), "false false true false null");
    assert_eq!(of("visitors"), "1 2 2 3 3");
    assert_eq!(of("kinds"), "1 1 2 2 3");
    assert_eq!(of("countries"), "1 1 1 0 2");
    assert_eq!(events[2]["sg"]["again"]["kind"], "exact");
    assert_eq!(events[0]["sg"]["kind"], "buy");
}

#[test]
fn what_cannot_be_said_of_an_event_is_refused() {
    let dir = shop("", "n = \"count()\"\nq = \"quantiles(price)\"");
    dir.run(&["--annotate", "m"]).expect(2, &["no metric and no field `m`", "there are: n, q"]);
    dir.run(&["--annotate", "q"]).expect(2, &["is a list"]);
    dir.run(&["--annotate", "n", "--every", "1m"]).expect(2, &["cannot be used with"]);
    let csv = Workdir::with("d.csv", "user,x\na,\"1\n2\"\n", "", "n = \"count()\"\nu = \"unique(user)\"");
    let line: Value = serde_json::from_str(&csv.run(&["--annotate", "n"]).out).expect("one line");
    assert_eq!((line["record"].as_str(), &line["sg"]["n"]["value"]), (Some("a,\"1\n2\""), &Value::from(1)));
}

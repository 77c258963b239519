//! What `run --once` reports of good and of mixed input.

use crate::support::{Workdir, counter, gz, shown, xz, zst};
use serde_json::{Value, json};

/// Runs over one file and compares the answers of metrics `a`, `b`, ... in this order.
fn check(file: &str, bytes: impl AsRef<[u8]>, source: &str, metrics: &[(&str, &[&str])]) -> Vec<Value> {
    let names = ["a", "b", "c", "d", "e", "f"];
    let lines = names.iter().zip(metrics).map(|(name, (m, _))| format!("{name} = {m}")).collect::<Vec<_>>();
    let dir = Workdir::with(file, bytes, source, &lines.join("\n"));
    let answers = dir.json(&[]);
    for (name, (measure, expected)) in names.iter().zip(metrics) {
        assert_eq!(shown(&answers, name), *expected, "{measure}");
    }
    answers
}

const EVENTS: &str = r#"{"user": {"id": "ann"}, "page": "/", "ms": 3}
{"user": {"id": "bob"}, "page": "/a", "ms": 30.5}
{"user": {"id": "bob"}, "page": "/", "ms": null}
"#;

#[test]
fn every_measure_is_reported() {
    check(
        "d.ndjson",
        EVENTS,
        "",
        &[
            (r#""count()""#, &["=3"]),
            (r#"{ measure = "unique(user.id)", by = [[], ["page"]] }"#, &["=2", "/=2", "/a=1"]),
            (r#""top(page, 1)""#, &["=[/:2]"]),
            (r#""freq(page)""#, &["=[/:2 /a:1]"]),
            (r#""quantiles(ms, 0, 0.5, 1)""#, &["=[0.0:3 0.5:3 1.0:30.5]"]),
            (r#""histogram(ms, 3, 10)""#, &["=[3:1 10:1 +Inf:2]"]),
        ],
    );
    check(
        "d.ndjson",
        EVENTS,
        "",
        &[
            (r#""sum(ms)""#, &["=33.5"]),
            (r#""min(ms)""#, &["=3.0"]),
            (r#""max(ms)""#, &["=30.5"]),
            (r#""avg(ms)""#, &["=16.75"]),
            // The deviations are -13.75 and 13.75: sqrt(2 * 13.75^2 / 1).
            (r#""stddev(ms)""#, &["=19.445436482630058"]),
        ],
    );
}

#[test]
fn compressed_files_are_told_by_their_bytes() {
    for (file, bytes) in [
        ("d.ndjson.gz", gz(EVENTS.as_bytes())),
        ("d.ndjson.zst", zst(EVENTS.as_bytes())),
        ("d.ndjson.xz", xz(EVENTS.as_bytes())),
        ("d.ndjson", gz(EVENTS.as_bytes())),
        ("d.ndjson.gz", EVENTS.as_bytes().to_vec()),
        ("two.ndjson.gz", [gz(&EVENTS.as_bytes()[..20]), gz(&EVENTS.as_bytes()[20..])].concat()),
        ("two.ndjson.xz", [xz(&EVENTS.as_bytes()[..20]), xz(&EVENTS.as_bytes()[20..])].concat()),
        ("two.ndjson.zst", [zst(&EVENTS.as_bytes()[..20]), zst(&EVENTS.as_bytes()[20..])].concat()),
    ] {
        check(file, bytes, "", &[(r#""count()""#, &["=3"]), (r#""top(user.id)""#, &["=[bob:2 ann:1]"])]);
    }
}

#[test]
fn delimited_files_are_read_as_they_are_written() {
    let top: &[(&str, &[&str])] = &[(r#""top(page)""#, &["=[/:2 /a:1]"]), (r#""sum(n)""#, &["=6.0"])];
    check("d.csv", "page,n\n/,1\n/a,2\n/,3\n", "", top);
    check("d.csv", "page,n\r\n/,1\r\n/a,2\r\n/,3", "", top);
    check("d.csv", "\u{feff}page,n\n/,1\n\n/a,2\n/,3\n", "", top);
    check("d.csv", "\u{feff}\"page\",\"n\"\n\"/\",1\n/a,\"2\"\n/,3\n", "", top);
    check("d.tsv", "page\tn\n/\t1\n/a\t2\n/\t3\n", "", top);
    check("d.csv", "page;n\n/;1\n/a;2\n/;3\n", "delimiter = \";\"", top);
    check("d.csv", "/,1\n/a,2\n/,3\n", "header = false\ncolumns = [\"page\", \"n\"]", top);
    check("d.csv.gz", gz(b"page,n\n/,1\n/a,2\n/,3\n"), "", top);
}

#[test]
fn quotes_hide_newlines_delimiters_and_quotes() {
    let text = "page,n\r\n\"a\nb\",1\n\"he said \"\"hi\"\", twice\",2\n\"\",4\n";
    check(
        "d.csv",
        text,
        "",
        &[(r#""top(page)""#, &["=[a\nb:1 he said \"hi\", twice:1]"]), (r#""sum(n)""#, &["=7.0"])],
    );
    check("d.tsv", "page\tn\n\"a\t1\n", "", &[(r#""top(page)""#, &["=[\"a:1]"])]);
}

#[test]
fn a_quote_that_is_never_closed_costs_the_longest_record_and_not_the_rest_of_a_short_file() {
    let text = format!("page,n\n/,1\n\"open,2\n{}\n/a,3\n", "f".repeat(200));
    let metrics: &[(&str, &[&str])] = &[(r#""count()""#, &["=2"]), (r#""sum(n)""#, &["=4.0"])];
    let answers = check("d.csv", text, "record_max = \"64B\"", metrics);
    assert_eq!(counter(&answers, "bad"), 1);
}

#[test]
fn line_ends_and_a_byte_order_mark_belong_to_no_value() {
    let crlf = EVENTS.replace('\n', "\r\n");
    let metrics: &[(&str, &[&str])] = &[(r#""count()""#, &["=3"]), (r#""top(page)""#, &["=[/:2 /a:1]"])];
    for text in [crlf.clone(), format!("\u{feff}{EVENTS}"), format!("\n  \n{crlf}\n"), EVENTS.trim().into()] {
        let answers = check("d.ndjson", text, "", metrics);
        assert_eq!(counter(&answers, "bad"), 0);
    }
}

#[test]
fn words_for_a_missing_value_are_null_where_they_do_not_convert() {
    let text = "word,n\nNA,1\nx,NA\n-,-\n";
    let answers = check(
        "d.csv",
        text,
        "null = [\"NA\", \"-\"]",
        &[(r#""top(word)""#, &["=[-:1 NA:1 x:1]"]), (r#""sum(n)""#, &["=1.0"]), (r#""count()""#, &["=3"])],
    );
    assert_eq!(counter(&answers, "bad"), 0);
}

#[test]
fn paths_lead_into_objects_and_may_be_quoted() {
    let text = "{\"a\": {\"b c\": {\"d\": 7}}, \"e\": {\"f\": \"x\"}, \"e.f\": \"y\"}\n{\"a\": 1}\n";
    check(
        "d.ndjson",
        text,
        "",
        &[
            (r#"'sum(a."b c".d)'"#, &["=7.0"]),
            (r#"{ measure = "count()", by = ["e.f"] }"#, &["y=1", "null=1"]),
        ],
    );
}

#[test]
fn several_files_and_patterns_are_one_input() {
    let dir = Workdir::new();
    for (file, n) in [("b.ndjson", 1), ("a.ndjson", 2), ("old/c.ndjson", 4), (".hidden.ndjson", 8)] {
        dir.write(file, format!("{{\"n\": {n}}}\n"));
    }
    dir.write("z.quarantine.ndjson", "{\"n\": 16}\n");
    dir.write("d.ndjson.gz", gz(b"{\"n\": 32}\n"));
    for (path, sum) in [
        ("\"a.ndjson\"", "=2.0"),
        ("[\"b.ndjson\", \"a.ndjson\"]", "=3.0"),
        ("\"*.ndjson\"", "=3.0"),
        ("\"*.ndjson*\"", "=35.0"),
        ("[\"old/*.ndjson\", \"?.ndjson\"]", "=7.0"),
        ("\"**/*.ndjson\"", "=7.0"),
        ("\"z.quarantine.ndjson\"", "=16.0"),
    ] {
        dir.pipeline(&format!("format = \"ndjson\"\npath = {path}"), "s = \"sum(n)\"");
        assert_eq!(shown(&dir.json(&[]), "s"), [sum], "{path}");
    }
}

#[test]
fn a_relative_path_belongs_to_the_file_it_stands_in() {
    let dir = Workdir::new();
    dir.write(
        "sub [1]/p.toml",
        "[source.e]\nkind = \"file\"\npath = \"*.ndjson\"\n[metric]\ns = \"sum(n)\"\n",
    );
    dir.write("sub [1]/x.ndjson", "{\"n\": 1}\n");
    dir.write("x.ndjson", "{\"n\": 2}\n");
    for (set, sum) in [
        (None, 1.0),
        (Some("source.e.path=x.ndjson"), 2.0),
        (Some("source.e.path=*.ndjson"), 2.0),
        (Some("source.'e'={kind='file',path='x.ndjson'}"), 2.0),
    ] {
        let mut args = vec!["run", "--once", "sub [1]/p.toml", "--format", "json"];
        args.extend(set.iter().flat_map(|set| ["--set", set]));
        let ran = dir.call(&args);
        ran.expect(0, &[]);
        assert_eq!(ran.answers()[0]["value"], sum, "{set:?}");
    }
}

#[test]
fn standard_input_is_a_file_like_others() {
    let dir = Workdir::with("d.ndjson", "{\"n\": 1}\n", "", "s = \"sum(n)\"");
    let stdin = b"{\"n\": 2}\n{\"n\": 4}\n";
    for (set, bytes, sum) in [
        ("source.e.path=-", stdin.to_vec(), 6.0),
        ("source.e.path=-", gz(stdin), 6.0),
        ("source.e.path=[\"d.ndjson\", \"-\"]", stdin.to_vec(), 7.0),
        ("source.e={ kind = \"stdin\", format = \"ndjson\" }", stdin.to_vec(), 6.0),
    ] {
        let sets = ["--set", set, "--set", "source.e.format=ndjson", "--format", "json"];
        let ran = dir.call_with(&[&["run", "--once", "p.toml"][..], &sets].concat(), &bytes);
        ran.expect(0, &[]);
        assert_eq!(ran.answers()[0]["value"], sum, "{set}");
    }
}

const TIMED: &str = r#"{"ts": 0, "k": "a"}
{"ts": 61, "k": "b"}
{"ts": 62, "k": "a"}
{"ts": 185, "k": "a"}
{"ts": 59, "k": "a"}
"#;
const TIME: &str = "time = { field = \"ts\", unit = \"s\" }";

fn starts(rows: &[&str]) -> Vec<String> {
    rows.iter().map(|r| format!("1970-01-01T00:0{}:00Z {}", &r[..1], &r[2..])).collect()
}

#[test]
fn windows_tumble_and_slide() {
    let dir = Workdir::with("d.ndjson", TIMED, TIME, "n = { measure = \"count()\", by = [[], [\"k\"]] }");
    assert_eq!(shown(&dir.json(&[]), "n"), ["=5", "a=4", "b=1"]);
    for (args, total) in [
        (&["--every", "1m"][..], &["0 =2", "1 =2", "3 =1"][..]),
        (&["--window", "1m"], &["0 =2", "1 =2", "3 =1"]),
        (&["--window", "2m"], &["0 =4", "2 =1"]),
        (&["--every", "5m"], &["0 =5"]),
    ] {
        let rows = shown(&dir.json(args), "n");
        let rows: Vec<&String> = rows.iter().filter(|r| r.contains("Z =")).collect();
        assert_eq!(rows, starts(total).iter().collect::<Vec<_>>(), "{args:?}");
    }
    let rows = shown(&dir.json(&["--every", "2m"]), "n");
    assert_eq!(rows, starts(&["0 =4", "2 =1", "0 a=3", "0 b=1", "2 a=1"]));
    // Every minute the window of three: the two before the first event hold it too.
    let rows = shown(&dir.json(&["--window", "3m", "--every", "1m"]), "n");
    let sliding: Vec<&str> = rows.iter().filter_map(|r| r.split_once("Z =")).map(|(_, n)| n).collect();
    assert_eq!(sliding, ["2", "4", "4", "3", "1", "1"]);
    let window = &dir.json(&["--every", "1m"])[0];
    assert_eq!(
        (&window["start"], &window["end"]),
        (&"1970-01-01T00:00:00Z".into(), &"1970-01-01T00:01:00Z".into())
    );
    assert_eq!((&window["complete_to"], &window["late"]), (&"1970-01-01T00:03:05Z".into(), &1.into()));
}

#[test]
fn a_seen_that_forgets_finds_a_key_new_again() {
    // After 299 seconds it is known; 400 seconds later it is not; what is as late as that nobody can judge.
    let events = "{\"ts\": 1000, \"k\": \"a\"}\n{\"ts\": 1299, \"k\": \"a\"}\n{\"ts\": 1699, \"k\": \"a\"}\n\
                  {\"ts\": 1700, \"k\": \"b\"}\n{\"ts\": 1000, \"k\": \"a\"}\n";
    let metrics = "again = { measure = \"seen(k)\", size = \"1k @ 1%\", keep = \"5m\" }\n\
                   n = { measure = \"count()\", by = [[\"again\"]] }";
    let dir = Workdir::with("d.ndjson", events, TIME, metrics);
    let answers = dir.json(&[]);
    assert_eq!(shown(&answers, "again"), ["=3"]);
    let again = answers.iter().find(|answer| answer["metric"] == "again").expect("a report");
    let bounds = (&again["low"], &again["high"], &again["guarantee"], &again["sketch"]);
    assert_eq!(bounds, (&3.into(), &4.into(), &"proven".into(), &"hash-map".into()));
    let mut groups: Vec<(String, String)> = answers
        .iter()
        .filter(|answer| answer["metric"] == "n")
        .map(|answer| (answer["by"]["again"].to_string(), answer["value"].to_string()))
        .collect();
    groups.sort();
    let want = [("false", "3"), ("null", "1"), ("true", "1")].map(|(by, n)| (by.to_string(), n.to_string()));
    assert_eq!(groups, want);
    let unknown = answers.iter().find(|answer| answer["by"]["reason"] == "verdict_unknown").expect("counted");
    assert_eq!(unknown["value"], 1);
    // A state with it is kept and shown, and not merged.
    dir.run(&["--save", "a.sgs"]).expect(0, &[]);
    let shown_again = dir.call(&["sketch", "a.sgs"]);
    shown_again.expect(0, &[]);
    assert!(shown_again.out.contains("again"), "{}", shown_again.out);
    dir.write("d.ndjson", "{\"ts\": 5000, \"k\": \"a\"}\n");
    dir.run(&["--save", "b.sgs"]).expect(0, &[]);
    dir.call(&["merge", "a.sgs", "b.sgs", "-o", "c.sgs"]).expect(2, &["is a `seen`"]);
}

#[test]
fn minutes_that_are_gone_are_answered_by_ten_minutes_which_say_so() {
    let dir = Workdir::with(
        "d.ndjson",
        "{\"ts\": 0}\n{\"ts\": 60}\n{\"ts\": 600}\n{\"ts\": 1800}\n{\"ts\": 1860}\n{\"ts\": 10}\n",
        TIME,
        "n = { measure = \"count()\", panes = [\"1m:5m\", \"10m:1d\"] }",
    );
    let answers = dir.json(&["--every", "1m"]);
    let of = |answer: &&Value| answer["metric"] == "n";
    let told: Vec<_> =
        answers.iter().filter(of).map(|a| [&a["start"], &a["end"], &a["value"], &a["resolution"]]).collect();
    let at = |minute: &str| json!(format!("1970-01-01T00:{minute}:00Z"));
    let (ten, none) = (json!("10m"), Value::Null);
    assert_eq!(
        told,
        [
            [&at("00"), &at("10"), &json!(3), &ten],
            [&at("10"), &at("20"), &json!(1), &ten],
            [&at("30"), &at("31"), &json!(1), &none],
            [&at("31"), &at("32"), &json!(1), &none],
        ]
    );
    let ran = dir.run(&["--every", "1m"]);
    ran.expect(0, &[]);
    assert!(ran.out.contains("1970-01-01T00:00:00Z (10m)"), "{}", ran.out);
    assert!(!ran.err.contains("older than `keep`"), "nothing is lost: {}", ran.err);
}

#[test]
fn days_are_those_of_the_zone_that_is_named() {
    // Clocks in Berlin went on by an hour on 31 March 2024: that day had 23 hours. Hours from its midnight on.
    let midnight = 1_711_839_600;
    let events: String = (0..24).map(|hour| format!("{{\"ts\": {}}}\n", midnight + hour * 3600)).collect();
    let dir = Workdir::with(
        "d.ndjson",
        &events,
        TIME,
        "n = { measure = \"count()\", panes = [\"1h:35d\", \"1d:400d\"] }",
    );
    let told = |args: &[&str]| {
        let of = |answer: &&Value| answer["metric"] == "n";
        let answers = dir.json(args);
        let told = answers.iter().filter(of).map(|a| format!("{} {} {}", a["start"], a["end"], a["value"]));
        told.collect::<Vec<_>>().join("; ").replace('"', "")
    };
    assert_eq!(
        told(&["--every", "1d", "--zone", "Europe/Berlin"]),
        "2024-03-30T23:00:00Z 2024-03-31T22:00:00Z 23; 2024-03-31T22:00:00Z 2024-04-01T22:00:00Z 1"
    );
    assert_eq!(
        told(&["--every", "1d"]),
        "2024-03-30T00:00:00Z 2024-03-31T00:00:00Z 1; 2024-03-31T00:00:00Z 2024-04-01T00:00:00Z 23"
    );
    let zoned = |args: &[&str], words: &[&str]| dir.run(args).expect(2, words);
    zoned(&["--every", "1d", "--zone", "Berlin"], &["no time zone `Berlin`; did you mean `Europe/Berlin`?"]);
    zoned(&["--zone", "Europe/Berlin"], &["add --every 1d"]);
    zoned(&["--every", "1h", "--zone", "Europe/Berlin"], &["calendar days"]);
    zoned(
        &["--every", "1d", "--zone", "Asia/Kolkata"],
        &[
            "windows of 1d in Asia/Kolkata are not made of them",
            "days of Asia/Kolkata are made of panes of 30m",
        ],
    );
    // A state knows what it was asked.
    dir.run(&["--every", "1d", "--zone", "Europe/Berlin", "--save", "a.sgs"]).expect(0, &[]);
    let kept = dir.call(&["sketch", "a.sgs"]);
    kept.expect(0, &[]);
    dir.run(&["--every", "1d", "--save", "b.sgs"]).expect(0, &[]);
    dir.call(&["merge", "a.sgs", "b.sgs", "-o", "c.sgs"]).expect(2, &["windows of 1d in Europe/Berlin"]);
}

#[test]
fn a_metric_keeps_what_it_says() {
    let dir = Workdir::with(
        "d.ndjson",
        "{\"ts\": 0}\n{\"ts\": 60}\n{\"ts\": 600}\n{\"ts\": 1}\n",
        TIME,
        "all = { measure = \"count()\", keep = \"forever\" }\nring = { measure = \"count()\", keep = \"5m\" }\n\
         panes = { measure = \"count()\", panes = [\"1m:1h\", \"10m:1d\"] }",
    );
    let totals = dir.json(&[]);
    assert_eq!(shown(&totals, "all"), ["=4"]);
    assert_eq!(shown(&totals, "ring"), ["1970-01-01T00:10:00Z =1"], "a ring forgets");
    assert_eq!(shown(&totals, "panes"), ["=4"]);
    let windows = dir.json(&["--every", "10m"]);
    assert_eq!(shown(&windows, "all"), ["=4"], "a metric without panes answers with its total");
    assert_eq!(shown(&windows, "panes"), ["1970-01-01T00:00:00Z =3", "1970-01-01T00:10:00Z =1"]);
    let ran = dir.run(&["--every", "1m"]);
    ran.expect(0, &["older than `keep`"]);
}

#[test]
fn groups_beyond_their_bound_are_one() {
    let text: String = (0..6).map(|i| format!("{{\"g\": \"g{i}\"}}\n").repeat(6 - i)).collect();
    let metrics = "n = { measure = \"count()\", by = [[], [\"g\"]], keys = \"2 + other\" }";
    let dir = Workdir::with("d.ndjson", text, "", metrics);
    let answers = dir.json(&[]);
    assert_eq!(shown(&answers, "n"), ["=21", "g0=6", "g1=5", "(other)=10"]);
    assert_eq!((&answers[3]["by"]["g"], &answers[3]["guarantee"]), (&Value::Null, &"proven".into()));
    assert_eq!(counter(&answers, "groups_folded"), 4);
}

#[test]
fn several_sources_have_metrics_and_counters_of_their_own() {
    let dir = Workdir::new();
    dir.write("a.ndjson", "{\"n\": 1}\nbad\n");
    dir.write("b.csv", "n\n5\n6\n");
    let text = "source.a = { kind = \"file\", path = \"a.ndjson\" }\nsource.b = { kind = \"file\", path = \"b.csv\" }\n\
                [metric]\nx = { measure = \"sum(n)\", from = \"a\" }\ny = { measure = \"sum(n)\", from = \"b\" }\n";
    dir.write("p.toml", text);
    let answers = dir.json(&[]);
    assert_eq!((shown(&answers, "x"), shown(&answers, "y")), (vec!["=1.0".into()], vec!["=11.0".into()]));
    let counters = shown(&answers, "sg.source");
    assert!(
        counters.contains(&"bad,a=1".to_string()) && counters.contains(&"read,b=2".to_string()),
        "{counters:?}"
    );
}

/// The quarantine as JSON values.
fn set_aside(dir: &Workdir) -> Vec<Value> {
    dir.read("p.quarantine.ndjson").lines().map(|l| serde_json::from_str(l).expect("JSON")).collect()
}

#[test]
fn bad_and_late_records_are_set_aside_and_nothing_is_lost() {
    let mut bytes = b"{\"ts\": 100, \"n\": 1}\n{\"ts\": 200, \"n\": \"x\"}\n\n{\"ts\": 90}\r\nbro".to_vec();
    bytes.extend_from_slice(b"ken\n\xff\xfe{}\n{\"n\": 1}\n{\"ts\": 101, \"n\": 2}\n{\"ts\": 1, \"n\": 5}");
    let source = "time = { field = \"ts\", unit = \"s\", later = \"quarantine\" }\nbad = \"quarantine\"";
    let dir = Workdir::with("d.ndjson", bytes, source, "s = \"sum(n)\"");
    let ran = dir.run(&["--format", "json"]);
    ran.expect(
        0,
        &["4 of 8 records were bad, the first at line 2 of `d.ndjson`", "6 records were set aside"],
    );
    let answers = ran.answers();
    assert_eq!(shown(&answers, "s"), ["=3.0"]);
    let of = |reason| counter(&answers, reason);
    assert_eq!((of("read"), of("accepted"), of("bad"), of("late_quarantined")), (8, 2, 4, 2));
    assert_eq!(of("read"), of("accepted") + of("bad") + of("late_quarantined"));
    let mut rows: Vec<String> = set_aside(&dir)
        .iter()
        .map(|r| {
            let bytes = r.get("raw").or(r.get("raw_hex")).expect("the bytes").as_str().expect("text");
            format!(
                "{}:{} {} {} {bytes}",
                r["line"],
                r["byte"],
                r["reason"].as_str().unwrap_or("?"),
                r["field"]
            )
        })
        .collect();
    rows.sort();
    let expected = [
        "2:20 type \"n\" {\"ts\": 200, \"n\": \"x\"}",
        "4:43 late null {\"ts\": 90}",
        "5:55 json null broken",
        "6:62 utf8 null fffe7b7d",
        "7:67 time null {\"n\": 1}",
        "9:96 late null {\"ts\": 1, \"n\": 5}",
    ];
    assert_eq!(rows, expected);
    let text = dir.read("p.quarantine.ndjson");
    let first = text.lines().next().expect("a line");
    let order = ["source", "file", "line", "byte", "reason", "field", "raw"]
        .map(|k| first.find(&format!("\"{k}\":")));
    assert!(order.is_sorted() && order.iter().all(Option::is_some), "where, why, what: {first}");
}

#[test]
fn lines_and_bytes_of_bad_records_hold_across_files_and_blocks() {
    // Blocks are 256 KiB: these files have several.
    let good = "{\"n\": 1, \"pad\": \"................................................................\"}\n"
        .repeat(9_000);
    let dir = Workdir::new();
    dir.write("a.ndjson", format!("{good}bad a\n{good}"));
    dir.write("b.ndjson", format!("{good}{good}bad b\n"));
    dir.pipeline("path = \"?.ndjson\"\nbad = \"quarantine\"", "n = \"count()\"");
    for shards in ["1", "3"] {
        assert_eq!(shown(&dir.json(&["--shards", shards]), "n"), ["=36000"]);
        let rows: Vec<_> = set_aside(&dir)
            .iter()
            .map(|r| [&r["file"], &r["line"], &r["byte"]].map(Value::to_string))
            .collect();
        let at = |file: &str, line: usize| {
            let byte = (line - 1) * (good.len() / 9_000);
            [format!("\"{file}\""), line.to_string(), byte.to_string()]
        };
        assert_eq!(rows, [at("a.ndjson", 9_001), at("b.ndjson", 18_001)]);
    }
}

#[test]
fn the_quarantine_may_have_a_path_and_is_not_made_for_nothing() {
    let dir = Workdir::with(
        "d.ndjson",
        "bad\n{}\n",
        "bad = \"quarantine\"\nquarantine = \"aside/q.ndjson\"",
        "n = \"count()\"",
    );
    dir.run(&[]).expect(3, &["cannot write the quarantine file `aside/q.ndjson`"]);
    dir.write("aside/other", "");
    dir.run(&[]).expect(0, &["1 record was set aside in `aside/q.ndjson`"]);
    assert!(dir.read("aside/q.ndjson").contains("\"raw\":\"bad\""));
    let dir = Workdir::with("d.ndjson", "{}\n", "bad = \"quarantine\"", "n = \"count()\"");
    dir.run(&[]).expect(0, &[]);
    assert!(!dir.has("p.quarantine.ndjson"));
}

#[test]
fn late_events_are_left_out_or_corrected_as_asked() {
    let text = "{\"ts\": 100}\n{\"ts\": 1}\n{\"ts\": 101}\n";
    for (later, n, left_out) in [("correct", "=3", 0), ("drop", "=2", 1)] {
        let source = format!("time = {{ field = \"ts\", unit = \"s\", later = \"{later}\" }}");
        let answers = check("d.ndjson", text, &source, &[(r#""count()""#, &[n])]);
        assert_eq!((counter(&answers, "late"), counter(&answers, "late_dropped")), (1, left_out), "{later}");
    }
}

#[test]
fn the_number_of_shards_changes_no_answer() {
    let text: String = (0..40_000u32)
        .map(|i| {
            let (user, page, ms) = (i.wrapping_mul(2_654_435_761) % 5_000, i % 7, i % 1_000);
            format!("{{\"ts\": {}, \"user\": \"u{user}\", \"page\": \"p{page}\", \"ms\": {ms}}}\n", i / 10)
        })
        .collect();
    let metrics = "n = { measure = \"count()\", by = [[], [\"page\"]] }\nu = { measure = \"unique(user)\", by = [[], [\"page\"]] }\n\
                   q = \"quantiles(ms)\"\nh = \"histogram(ms)\"\ns = \"stddev(ms)\"\nf = \"freq(page)\"";
    let dir = Workdir::with("d.ndjson", text, TIME, metrics);
    for args in [&["--format", "json"][..], &["--format", "csv", "--every", "10m"]] {
        let out = |shards| dir.run(&[args, &["--shards", shards]].concat()).out;
        let one = out("1");
        assert!(one.contains("40000") || one.contains("6000"), "{one}");
        assert!(one == out("2") && one == out("3"), "{args:?}");
    }
}

#[test]
fn overrides_replace_any_key() {
    let dir = Workdir::with("d.ndjson", "{\"ts\": 61, \"n\": 1}\nx\n", "", "n = \"count()\"");
    let sets = ["--set", "source.e.time.field=ts", "--set", "source.e.time.unit=s", "--set", "name=other"];
    let more = [
        "--set",
        "source.e.bad=quarantine",
        "--set",
        "metric.m=max(n)",
        "--set",
        "panes=[\"1s:1d\"]",
        "--every",
        "1s",
    ];
    let answers = dir.json(&[&sets[..], &more].concat());
    assert_eq!(shown(&answers, "m"), ["1970-01-01T00:01:01Z =1.0"]);
    assert!(dir.has("other.quarantine.ndjson"));
}

//! `demo`: what it calls exact is counted here again from the events it writes, what it estimates is held against that.

use crate::asked::get;
use crate::http::terminate;
use crate::support::{Ran, Workdir, shown};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

const SMALL: [&str; 4] = ["--events", "20000", "--entities", "5000"];

fn demo(dir: &Workdir, args: &[&str]) -> Ran {
    let ran = dir.call(&[&["demo"], args].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

fn report(dir: &Workdir, args: &[&str]) -> Value {
    let out = demo(dir, &[&SMALL, args, &["--format", "json"]].concat()).out;
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}"))
}

/// The report on the small shop.
static REPORT: LazyLock<Value> = LazyLock::new(|| report(&Workdir::new(), &[]));

/// Its events, as the file has them.
static EVENTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let out = demo(&Workdir::new(), &[&SMALL[..], &["--write", "-"]].concat()).out;
    out.lines().map(|line| serde_json::from_str(line).expect("an event a line")).collect()
});

/// The row of a section that is about this metric and group.
fn row<'a>(section: &'a Value, metric: &str, group: Option<&str>) -> &'a Value {
    let rows = section.as_array().expect("a section is a list");
    let is_it = |row: &&Value| row["metric"] == metric && row["group"].as_str() == group;
    rows.iter().find(is_it).unwrap_or_else(|| panic!("{metric} {group:?} is not there"))
}

fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event[field].as_str().unwrap_or_default()
}

fn distinct<'a>(events: impl Iterator<Item = &'a Value>, field: &str) -> u64 {
    events.map(|event| text(event, field)).filter(|id| !id.is_empty()).collect::<BTreeSet<_>>().len() as u64
}

fn counts(events: &[Value], field: &str) -> BTreeMap<String, u64> {
    let mut out = BTreeMap::new();
    for event in events.iter().filter(|event| event[field].is_string()) {
        *out.entry(text(event, field).to_string()).or_default() += 1;
    }
    out
}

fn is_purchase(event: &&Value) -> bool {
    event["event_type"] == "purchase"
}

#[test]
fn what_is_called_exact_is_what_a_plain_count_says() {
    let (report, events) = (&*REPORT, &*EVENTS);
    assert_eq!((events.len(), &report["run"]["read"]), (20_000, &Value::from(20_000)));
    assert_eq!(report["run"]["bad"], 0);
    let users = distinct(events.iter(), "user_id");
    for (metric, group, truth) in [
        ("visitors", None, users),
        ("visitors", Some("tv"), distinct(events.iter().filter(|e| e["device"] == "tv"), "user_id")),
        ("sessions", None, distinct(events.iter(), "session")),
        ("first_time", None, users),
        ("comebacks", None, 20_000 - users),
        ("buyers", None, distinct(events.iter().filter(is_purchase), "user_id")),
        ("carts", None, distinct(events.iter().filter(|e| e["event_type"] == "add_to_cart"), "user_id")),
    ] {
        assert_eq!(row(&report["people"], metric, group)["truth"], truth, "{metric} {group:?}");
    }
    for (kind, count) in counts(events, "event_type") {
        let row = row(&report["types"], "actions", Some(&kind));
        assert_eq!((&row["truth"], &row["value"]), (&Value::from(count), &Value::from(count)), "{kind}");
    }
    for (metric, field) in [("top_users", "user_id"), ("top_pages", "page"), ("top_queries", "query")] {
        let (top, counts) = (row(&report["tops"], metric, None), counts(events, field));
        for item in top["items"].as_array().expect("a list") {
            assert_eq!(item["truth"], counts[text(item, "item")], "{metric} {item}");
        }
    }
    let mills = |event: &Value| event["cost"].as_f64().map_or(0, |cost| (cost * 1000.0).round() as u64);
    for item in row(&report["tops"], "top_campaigns", None)["items"].as_array().expect("a list") {
        let own = events.iter().filter(|event| event["campaign_id"] == item["item"]);
        assert_eq!(item["truth"], own.map(mills).sum::<u64>(), "{item}");
    }
}

#[test]
fn latencies_and_revenue_are_those_of_the_events() {
    let (report, events) = (&*REPORT, &*EVENTS);
    for endpoint in [None, Some("/checkout"), Some("/search")] {
        let own = events.iter().filter(|e| endpoint.is_none_or(|name| e["endpoint"] == name));
        let mut values: Vec<f64> = own.filter_map(|event| event["latency_ms"].as_f64()).collect();
        values.sort_by(f64::total_cmp);
        let rows = report["latency"].as_array().expect("a list");
        let rows: Vec<&Value> = rows.iter().filter(|row| row["endpoint"].as_str() == endpoint).collect();
        assert_eq!(rows.len(), 5, "{endpoint:?}");
        for row in rows {
            let rank = (row["q"].as_f64().unwrap() * values.len() as f64).ceil() as usize;
            let truth = values[rank - 1];
            assert_eq!(row["truth"], truth, "{row}");
            assert!((row["value"].as_f64().unwrap() / truth - 1.0).abs() <= 0.01, "{row}");
        }
    }
    let cents =
        |event: &Value| event["revenue"].as_f64().map_or(0, |revenue| (revenue * 100.0).round() as u64);
    let revenue = row(&report["money"], "revenue", None);
    let total: u64 = events.iter().map(cents).sum();
    assert_eq!((revenue["value"].as_f64().unwrap() * 100.0).round() as u64, total);
    assert_eq!((&revenue["guarantee"], &revenue["inside"]), (&Value::from("exact"), &Value::from(true)));
    let orders: Vec<u64> = events.iter().filter(is_purchase).map(cents).collect();
    assert_eq!(row(&report["money"], "purchases", None)["value"], orders.len());
    let mean = orders.iter().sum::<u64>() as f64 / 100.0 / orders.len() as f64;
    let value = row(&report["money"], "order_value", None)["value"].as_f64().unwrap();
    assert!((value / mean - 1.0).abs() < 1e-12, "{value} {mean}");
}

/// Bounds of 95 % may be missed by chance, so the estimates are held against five standard errors (one in 1.7 million
/// seeds for each), and what the report says of its bounds against its own numbers.
#[test]
fn estimates_are_near_the_truth_and_bounds_are_told_as_they_are() {
    let report = &*REPORT;
    let mut seen = 0;
    for section in ["people", "types", "money"] {
        for row in report[section].as_array().expect("a list") {
            let number = |key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key} of {row}"));
            let (value, truth) = (number("value"), number("truth"));
            let sigma = 1.04 / 16_384f64.sqrt();
            assert!((value - truth).abs() <= truth * 5.0 * sigma, "{row}");
            if row["guarantee"] != "exact" {
                let inside = number("low") <= truth && truth <= number("high");
                assert_eq!(row["inside"], inside, "{row}");
                seen += 1;
            }
            if row["guarantee"] == "proven" || row["guarantee"] == "exact" {
                assert_eq!(row["inside"], true, "{row}");
            }
        }
    }
    assert!(seen >= 3, "{report}");
    for top in report["tops"].as_array().expect("a list") {
        for item in top["items"].as_array().expect("a list") {
            let number = |key: &str| item[key].as_u64().expect("a count");
            assert!(number("low") <= number("truth") && number("truth") <= number("high"), "{item}");
            assert_eq!(item["inside"], true);
        }
        assert_eq!(top["right"], top["items"].as_array().unwrap().len(), "{top}");
    }
}

#[test]
fn the_flood_stands_out_by_the_window_and_its_buyers_do_not() {
    let report = &*REPORT;
    let windows = report["windows"]["rows"].as_array().expect("windows");
    assert!(
        (10..=30).contains(&windows.len()) && report["windows"]["length"] == "30s",
        "{}",
        report["windows"]
    );
    let number = |row: &Value, metric: &str| row[metric]["value"].as_u64().expect("a count");
    let (flooded, calm): (Vec<&Value>, Vec<&Value>) = windows.iter().partition(|row| row["flood"] == true);
    assert!(!flooded.is_empty() && flooded.len() <= 2);
    let usual = calm.iter().map(|row| number(row, "purchases")).max().unwrap();
    let most = flooded.iter().map(|row| number(row, "purchases")).max().unwrap();
    assert!(most > 5 * usual, "{most} {usual}");
    let buyers = calm.iter().map(|row| number(row, "buyers")).max().unwrap();
    assert!(flooded.iter().all(|row| number(row, "buyers") <= buyers + 5));
    // Counted again, by the time that stands in the events.
    let mut truth: BTreeMap<u64, u64> = BTreeMap::new();
    EVENTS.iter().for_each(|e| *truth.entry(e["ts"].as_u64().unwrap() / 30_000).or_default() += 1);
    let counted: Vec<u64> = windows.iter().map(|row| number(row, "events")).collect();
    assert_eq!(counted, truth.into_values().collect::<Vec<_>>());
    let calm = self::report(&Workdir::new(), &["--no-flood"]);
    let rows = calm["windows"]["rows"].as_array().expect("windows");
    assert!(rows.iter().all(|row| row["flood"] == false && number(row, "purchases") <= most / 5));
    assert!(calm["windows"]["flood"].is_null());
}

#[test]
fn memory_is_measured_and_says_where_a_sketch_loses() {
    let report = &*REPORT;
    let rows = report["memory"]["structures"].as_array().expect("a list");
    assert_eq!(rows.len(), 7);
    for row in rows {
        let (sketch, exact) = (row["sketch_bytes"].as_f64().unwrap(), row["exact_bytes"].as_f64().unwrap());
        assert!(
            sketch > 0.0 && (row["ratio"].as_f64().unwrap() * sketch / exact - 1.0).abs() < 1e-9,
            "{row}"
        );
    }
    let of = |metric: &str| row(&report["memory"]["structures"], metric, None);
    // 2^14 registers; every id is a string of its own.
    let bytes = of("visitors")["sketch_bytes"].as_u64().unwrap();
    assert!((16_384..20_480).contains(&bytes), "{bytes}");
    let ids = row(&report["people"], "visitors", None)["truth"].as_u64().unwrap();
    assert!(of("visitors")["exact_bytes"].as_u64().unwrap() > ids * 24);
    assert!(of("visitors")["turns_at"].as_u64().unwrap() < ids);
    // 5,000 users do not fill a filter for a million, and 500 pages no sketch at all.
    assert!(of("returning")["ratio"].as_f64().unwrap() < 1.0);
    assert!(of("returning")["turns_at"].as_u64().unwrap() > ids);
    let engine = &report["memory"]["engine"];
    // Here the windows are made of 1,400 panes of a second, whose tables hold more than is accounted.
    assert!(engine["difference"].as_f64().unwrap().abs() <= 0.08, "{engine}");
    assert!(engine["peak_bytes"].as_i64() > engine["state_bytes"].as_i64());
}

#[test]
fn a_seed_gives_the_same_report_but_for_the_clock() {
    let dir = Workdir::new();
    let timeless = |mut report: Value| {
        for key in ["seconds", "events_per_second"] {
            assert!(report["run"].as_object_mut().unwrap().remove(key).unwrap().as_f64().unwrap() > 0.0);
        }
        report
    };
    let first = timeless(REPORT.clone());
    assert_eq!(first, timeless(report(&dir, &[])));
    assert_ne!(first["people"], report(&dir, &["--seed", "7"])["people"]);
    let table = demo(&dir, &SMALL).out;
    assert!(!table.contains('\u{1b}'), "no colour in a pipe");
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
    for title in
        ["Who came", "By windows of 30s", "What they did", "Top users", "Latency, ms", "Memory", "  flood"]
    {
        assert!(table.contains(title), "{title} is not in:\n{table}");
    }
    // Any number of shards gives the same sets, sums and counts.
    let three = report(&dir, &["--shards", "3"]);
    for section in ["people", "types", "money", "latency"] {
        assert_eq!(three[section], first[section], "{section}");
    }
}

#[test]
fn the_events_as_a_file_give_the_same_answers() {
    let dir = Workdir::new();
    let ran = demo(&dir, &[&SMALL[..], &["--write", "events.ndjson"]].concat());
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", "wrote 20,000 events to events.ndjson\n"));
    dir.write("shop.toml", demo(&dir, &["--print-pipeline"]).out);
    let answers = dir.call(&["run", "--once", "shop.toml", "--format", "json"]).answers();
    let report = &*REPORT;
    for metric in ["visitors", "sessions", "buyers", "carts"] {
        let answer =
            answers.iter().find(|a| a["metric"] == metric && a["by"] == serde_json::json!({})).unwrap();
        let row = row(&report["people"], metric, None);
        for key in ["value", "low", "high", "guarantee"] {
            assert_eq!(answer[key], row[key], "{metric} {key}");
        }
    }
    let first = row(&report["people"], "first_time", None)["value"].to_string();
    assert_eq!(shown(&answers, "first_time"), [format!("={first}")]);
}

#[test]
fn a_file_is_written_over_only_when_asked() {
    let dir = Workdir::new();
    dir.write("e.csv", "mine");
    let few = ["demo", "--events", "3", "--write", "e.csv"];
    dir.call(&few).expect(2, &["`e.csv` is there already", "--force"]);
    assert_eq!(dir.read("e.csv"), "mine");
    dir.call(&[&few[..], &["--force"]].concat()).expect(0, &["wrote 3 events"]);
    let csv = dir.read("e.csv");
    assert!(csv.starts_with("event_id,ts,event_type,") && csv.lines().count() == 4, "{csv}");
    dir.call(&["demo", "--write", "no/e.ndjson"]).expect(3, &["cannot write the events to `no/e.ndjson`"]);
    dir.call(&["demo", "--force"]).expect(2, &["--write"]);
}

#[test]
fn another_pipeline_is_run_on_the_events_and_what_is_known_is_compared() {
    let dir = Workdir::new();
    let source = "path = \"nowhere.ndjson\"\ntime = { field = \"ts\", unit = \"ms\" }";
    let metrics =
        "visitors = \"unique(user_id)\"\nsessions = \"unique(user_id)\"\nlands = \"unique(country)\"";
    dir.pipeline(source, metrics);
    let report = report(&dir, &["--pipeline", "p.toml"]);
    let people = report["people"].as_array().expect("a list");
    // `sessions` means something else here, so it is not held against the sessions.
    assert_eq!(people.iter().map(|row| &row["metric"]).collect::<Vec<_>>(), ["visitors"]);
    let others: Vec<Value> = report["others"].as_array().expect("a list").clone();
    assert_eq!(shown(&others, "lands"), ["=12"]);
    assert!(report["windows"].is_null() && report["run"]["builtin"] == false);
    let table = demo(&dir, &[&SMALL[..], &["--pipeline", "p.toml"]].concat()).out;
    assert!(table.contains("More metrics of this pipeline") && table.contains("lands"), "{table}");
    dir.call(&["demo", "--pipeline", "nope.toml"]).expect(3, &["cannot read the pipeline file `nope.toml`"]);
    dir.pipeline("path = \"x.csv\"", "n = \"count()\"");
    dir.call(&["demo", "--pipeline", "p.toml"]).expect(2, &["NDJSON"]);
    dir.write("p.toml", "nonsense");
    dir.call(&["demo", "--pipeline", "p.toml"]).expect(2, &["p.toml:1"]);
}

#[test]
fn what_cannot_be_is_said_before_anything_is_made() {
    let dir = Workdir::new();
    for (args, words) in [
        (&["--events", "0"][..], &["--events 0 leaves nothing to measure"][..]),
        (&["--events", "10000001"], &["--events 10,000,001 is more than 10,000,000", "--write"]),
        (&["--events", "1000000001", "--write", "-"], &["is more than 1,000,000,000"]),
        (&["--entities", "0"], &["--entities 0 leaves nobody"]),
        (&["--entities", "99999999"], &["--entities 99,999,999 is more than 10,000,000 users"]),
        (&["--events", "many"], &["--events"]),
        (&["--shards", "0"], &["--shards"]),
        (&["--write", "-", "--pipeline", "p.toml"], &["cannot be used with"]),
    ] {
        let ran = dir.call(&[&["demo"], args].concat());
        ran.expect(2, words);
        assert_eq!(ran.out, "");
    }
    let help = dir.call(&["help", "demo"]).out;
    assert!(help.contains("streamgauge demo --pipeline shop.toml") && help.contains("--no-flood"), "{help}");
}

#[test]
fn very_few_events_are_enough_for_a_report() {
    let dir = Workdir::new();
    for events in ["1", "2", "40"] {
        demo(&dir, &["--events", events, "--entities", "1"]);
        let out = demo(&dir, &["--events", events, "--entities", "1", "--format", "json"]).out;
        let report: Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(row(&report["people"], "visitors", None)["value"], 1, "{events}");
    }
}

/// Starts a demo that goes on.
fn serving(dir: &Workdir, path: Option<&str>, args: &[&str]) -> Child {
    let mut command = dir.command(&[&["demo", "--listen", "127.0.0.1:0", "--format", "json"], args].concat());
    if let Some(path) = path {
        command.env("PATH", path);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts")
}

/// What it says until it has reported; from then on it ends in order when it is told to.
fn reported(child: &mut Child) -> (String, Value) {
    let (mut err, mut told) = (BufReader::new(child.stderr.as_mut().expect("a pipe")), String::new());
    let mut out = child.stdout.take().expect("a pipe");
    // A report is longer than a pipe holds.
    let report = std::thread::spawn(move || {
        let mut deserializer = serde_json::Deserializer::from_reader(&mut out);
        serde::Deserialize::deserialize(&mut deserializer).expect("a report")
    });
    while !told.contains("until Ctrl-C") {
        assert!(err.read_line(&mut told).expect("text") > 0, "{told}");
    }
    (told, report.join().expect("a report"))
}

/// The address that a demo has said it listens on.
fn said(told: &str) -> &str {
    let (_, rest) = told.split_once("listening on http://").expect("an address");
    rest.lines().next().expect("a line")
}

fn ends(child: Child) {
    assert_eq!(terminate(child).0, Some(0));
}

/// Waits for what a demo measures behind its dashboard.
fn becomes(at: &str, path: &str, wanted: u64) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let (status, answer) = get(at, path);
        if status == 200 && answer["rows"][0]["value"] == wanted {
            return answer;
        }
        assert!(Instant::now() < deadline, "{path} is not {wanted}: {answer}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_dashboard_shows_what_is_reported_until_it_is_told_to_end() {
    let dir = Workdir::new();
    let mut child = serving(&dir, None, &SMALL);
    let (told, report) = reported(&mut child);
    let at = said(&told);
    becomes(at, "/v1/metrics/events", 20_000);
    for metric in ["visitors", "sessions", "buyers", "first_time"] {
        let (_, answer) = get(at, &format!("/v1/metrics/{metric}?by="));
        let row = row(&report["people"], metric, None);
        for key in ["value", "low", "high"] {
            assert_eq!(answer["rows"][0][key], row[key], "{metric} {key}");
        }
    }
    // The whole ladder is there, where the report keeps what it shows.
    let (status, hours) = get(at, "/v1/metrics/events?every=1h");
    assert!(status == 200 && hours["rows"].as_array().is_some_and(|rows| !rows.is_empty()), "{hours}");
    assert_eq!(get(at, "/").0, 200);
    // What the dashboard takes is not weighed with the sketches.
    assert_eq!(report["memory"]["engine"]["state_bytes"], REPORT["memory"]["engine"]["state_bytes"]);
    ends(child);
    assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 0, "nothing is written");
}

#[test]
fn few_events_are_shown_too() {
    let dir = Workdir::new();
    let mut child = serving(&dir, None, &["--events", "3", "--entities", "2"]);
    let (told, _) = reported(&mut child);
    becomes(said(&told), "/v1/metrics/events", 3);
    ends(child);
}

#[cfg(target_os = "linux")]
#[test]
fn the_browser_is_opened_where_there_is_one() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Workdir::new();
    dir.write("bin/xdg-open", "#!/bin/sh\necho \"$1\" > opened\n");
    let opener = dir.path().join("bin/xdg-open");
    std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).expect("it may be run");
    let path = format!("{}:/usr/bin:/bin", dir.path().join("bin").display());
    let mut child = serving(&dir, Some(&path), &["--open", "--events", "3"]);
    let (told, _) = reported(&mut child);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !dir.has("opened") || dir.read("opened").is_empty() {
        assert!(Instant::now() < deadline, "nothing was opened");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(dir.read("opened").trim(), format!("http://{}", said(&told)));
    ends(child);

    let mut child = serving(&dir, Some("/nowhere"), &["--open", "--events", "3"]);
    let (told, _) = reported(&mut child);
    assert!(told.contains("note: `xdg-open` opens no browser here"), "{told}");
    becomes(said(&told), "/v1/metrics/events", 3);
    ends(child);
}

#[test]
fn without_a_terminal_the_demo_ends_with_its_report() {
    let dir = Workdir::new();
    let ran = demo(&dir, &SMALL);
    assert!(ran.out.contains("In short") && ran.err.is_empty(), "{ran:?}");
    assert!(demo(&dir, &[&SMALL[..], &["--no-serve"]].concat()).err.is_empty());
    dir.call(&["demo", "--listen", "0.0.0.0:0"]).expect(3, &["would take events from anybody"]);
    dir.call(&["demo", "--serve", "--write", "-"]).expect(2, &["cannot be used with"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    dir.call(&["demo", "--listen", &taken]).expect(3, &["cannot listen on"]);
}

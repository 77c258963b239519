//! What earlier versions have kept: read for ever, with the answers as they were, and gone on from.

use crate::support::{Workdir, counter};
use serde_json::Value;
use std::fmt::Write;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The events of the fixtures: one a second from a full minute on, each fiftieth 40 seconds late.
fn events(count: i64) -> String {
    (0..count).fold(String::new(), |mut text, i| {
        let ts = 1_700_000_040 + i - if i % 50 == 49 { 40 } else { 0 };
        let (user, shop, n, x) = ((i * 7) % 90, (i * i) % 3, i % 97, i as f64 / 4.0);
        writeln!(
            text,
            "{{\"ts\": {ts}, \"user\": \"u{user}\", \"shop\": \"s{shop}\", \"n\": {n}, \"x\": {x:?}}}"
        )
        .expect("memory takes text");
        text
    })
}

/// The answer of a metric, for a shop or for all.
fn of<'a>(answers: &'a [Value], metric: &str, shop: Option<&str>) -> &'a Value {
    let by = |answer: &&Value| answer["metric"] == metric && answer["by"]["shop"].as_str() == shop;
    answers.iter().find(by).unwrap_or_else(|| panic!("{metric} {shop:?}: {answers:?}"))
}

/// The totals over the 300 events, worked out by hand and by a few lines of another language.
fn check(answers: &[Value]) {
    let exact = |metric: &str, shop: Option<&str>, value: f64| {
        let answer = of(answers, metric, shop);
        assert_eq!(answer["exact"], true, "{answer}");
        let got = answer["value"].as_f64().expect("a number");
        assert!((got - value).abs() <= 1e-9 * value, "{answer} is not {value}");
    };
    exact("hits", None, 300.0);
    // i² mod 3 is 0 for one in three, else 1.
    exact("hits", Some("s0"), 100.0);
    exact("hits", Some("s1"), 200.0);
    // 7 and 90 have no common divisor.
    exact("people", None, 90.0);
    exact("people", Some("s0"), 30.0);
    exact("people", Some("s1"), 60.0);
    exact("crowd", None, 90.0);
    exact("sum", Some("s0"), 4_665.0);
    exact("sum", Some("s1"), 9_339.0);
    // Of 0, 1/4 ... 299/4: sqrt((300² − 1) / 12 / 16 · 300 / 299).
    exact("spread", None, (89_999.0f64 / 12.0 / 16.0 * 300.0 / 299.0).sqrt());
    exact("least", None, 0.0);
    for metric in ["often", "best"] {
        let items = &of(answers, metric, None)["items"];
        assert_eq!((items[0]["item"].as_str(), items[0]["value"].as_f64()), (Some("s1"), Some(200.0)));
        assert_eq!((items[1]["item"].as_str(), items[1]["value"].as_f64()), (Some("s0"), Some(100.0)));
    }
    let quantiles = &of(answers, "slow", None)["quantiles"];
    assert_eq!((quantiles[0]["value"].as_f64(), quantiles[1]["value"].as_f64()), (Some(46.0), Some(86.0)));
    let buckets: Vec<Option<f64>> = of(answers, "steps", None)["buckets"]
        .as_array()
        .expect("buckets")
        .iter()
        .map(|bucket| bucket["count"].as_f64())
        .collect();
    assert_eq!(buckets, [Some(42.0), Some(162.0), Some(300.0)]);
    assert_eq!(of(answers, "some", None)["rows"].as_array().map(Vec::len), Some(2));
    // 90 came for the first time, and 210 were there before; at 1 % few are taken for what they are not.
    let back = of(answers, "back", None);
    assert!(back["low"].as_f64() <= Some(210.0) && back["high"].as_f64() >= Some(210.0), "{back}");
    let again = of(answers, "again", None);
    assert!(again["low"].as_f64() <= Some(90.0) && again["high"].as_f64() >= Some(90.0), "{again}");
}

#[test]
fn a_state_file_is_read() {
    let ran =
        Workdir::new().call(&["sketch", &fixture("pond.sgs").display().to_string(), "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    check(&ran.answers());
}

#[test]
fn a_state_directory_of_version_1_is_read_and_goes_on() {
    goes_on("state-1", 1);
}

#[test]
fn a_state_directory_of_version_2_is_read_and_goes_on() {
    goes_on("state-2", 2);
}

#[test]
fn a_state_directory_of_version_3_is_read_and_goes_on() {
    goes_on("state-3", 3);
}

fn goes_on(name: &str, version: u8) {
    let commit = std::fs::read(fixture(name).join("pond/commit-0000000000000002")).expect("a commit");
    assert_eq!(commit[8..10], [version, 0]);
    let dir = Workdir::new();
    let ran = dir.call(&["inspect", &fixture(name).display().to_string(), "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    check(&ran.answers());

    std::fs::create_dir_all(dir.path().join("s/pond")).expect("a directory");
    for entry in std::fs::read_dir(fixture(name).join("pond")).expect("a directory") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), dir.path().join("s/pond").join(entry.file_name())).expect("a copy");
    }
    dir.write("pond.toml", std::fs::read(fixture("pond.toml")).expect("a pipeline"));
    dir.write("pond.ndjson", events(300));
    let run = |args: &[&str]| {
        let ran = dir.call(&[&["run", "--once", "pond.toml", "--format", "json"], args].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran
    };
    let ran = run(&["--state", "s", "--every", "1m"]);
    assert!(ran.err.contains("300 records were there, 0 are new"), "{}", ran.err);
    let answers = ran.answers();
    let hits = answers
        .iter()
        .filter(|a| a["metric"] == "hits" && a["by"].as_object().is_some_and(|by| by.is_empty()));
    // Five minutes of sixty events; what is late by forty seconds moves from the end of one to the one before.
    let hits: Vec<Option<u64>> = hits.map(|answer| answer["value"].as_u64()).collect();
    assert_eq!(hits, [Some(61), Some(60), Some(60), Some(60), Some(59)]);

    // It goes on as if it had read everything itself.
    dir.write("pond.ndjson", events(400));
    let ran = run(&["--state", "s"]);
    assert!(ran.err.contains("300 records were there, 100 are new"), "{}", ran.err);
    let (went_on, anew) = (ran.answers(), run(&["--shards", "2"]).answers());
    assert_eq!(counter(&went_on, "read"), 400);
    for (answer, wanted) in went_on.iter().zip(&anew) {
        assert_eq!(answer, wanted);
    }
    let last = std::fs::read_dir(dir.path().join("s/pond")).expect("a directory");
    let last = last
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.display().to_string().contains("commit-"));
    let last = std::fs::read(last.max().expect("a commit")).expect("a commit");
    assert_eq!(last[8..10], [3, 0], "it is written in today's version");
}

//! Closed panes leave through sinks: all of them, once, and corrected ones again.

use crate::support::Workdir;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Metric, start, group.
type Cell = (String, String, String);

const SOURCE: &str = "
path = \"e.ndjson\"
time = { field = \"ts\", unit = \"s\", lateness = \"5s\" }
fields = { ts = \"int64\", n = \"int64\" }
[metric]
hits = { measure = \"count()\", by = [[], [\"user\"]] }
sum = { measure = \"sum(n)\", by = [\"user\"] }
again = { measure = \"seen(user)\", size = \"1000 @ 1%\", keep = \"forever\" }
";

/// Event number i is at second i / 20, one in fifty is late by up to two minutes.
fn event(i: u64) -> (u64, u64, u64) {
    let late = if i % 50 == 7 { i % 113 } else { 0 };
    ((1_000 + i / 20).saturating_sub(late), i * 7 % 11, i % 13)
}

fn events(numbers: std::ops::Range<u64>) -> String {
    let line = |i| {
        let (ts, user, n) = event(i);
        format!("{{\"ts\":{ts},\"user\":\"u{user}\",\"n\":{n}}}\n")
    };
    numbers.map(line).collect()
}

/// A count by hand of the panes that have closed when the clock is at this second.
fn by_hand(numbers: std::ops::Range<u64>, closed_to: u64) -> BTreeMap<Cell, u64> {
    let mut out = BTreeMap::new();
    for (ts, user, n) in numbers.map(event) {
        let start = ts / 10 * 10;
        if start + 10 > closed_to {
            continue;
        }
        let at = format!("1970-01-01T{:02}:{:02}:{:02}Z", start / 3600, start / 60 % 60, start % 60);
        let user = format!("{{\"user\":\"u{user}\"}}");
        *out.entry(("hits".into(), at.clone(), "{}".into())).or_insert(0) += 1;
        *out.entry(("hits".into(), at.clone(), user.clone())).or_insert(0) += 1;
        *out.entry(("sum".into(), at, user)).or_insert(0) += n;
    }
    out
}

/// What was told last of each cell, having checked that revisions grow.
fn last(lines: &str) -> BTreeMap<Cell, u64> {
    let mut out: BTreeMap<Cell, (u64, u64)> = BTreeMap::new();
    for line in lines.lines() {
        let row: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let text = |key: &str| row[key].as_str().expect("a text").to_string();
        let cell = (text("metric"), text("start"), row["by"].to_string());
        let revision = row["revision"].as_u64().expect("a revision");
        let before = out.insert(cell, (revision, row["value"].as_u64().expect("a number")));
        assert!(before.is_none_or(|(before, _)| before < revision), "twice: {line}");
    }
    out.into_iter().map(|(cell, (_, value))| (cell, value)).collect()
}

fn pipeline(dir: &Workdir, top: &str, sink: &str) {
    dir.write("p.toml", format!("panes = [\"10s:1h\"]\n{top}\n[source.e]\n{SOURCE}\n[sink.out]\n{sink}\n"));
}

#[test]
fn every_pane_leaves_and_what_is_open_at_the_end_too() {
    let dir = Workdir::new();
    dir.write("e.ndjson", events(0..20_000));
    pipeline(&dir, "", "kind = \"file\"\npath = \"panes.ndjson\"");
    for shards in ["1", "3"] {
        let ran = dir.run(&["--shards", shards]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let (told, wanted) = (last(&dir.read("panes.ndjson")), by_hand(0..20_000, u64::MAX));
        let differ: Vec<_> = wanted.iter().filter(|(cell, n)| told.get(cell) != Some(n)).collect();
        assert!(differ.is_empty() && told.len() == wanted.len(), "{differ:?}");
        // A file that is there is not written over.
        dir.run(&[]).expect(3, &["`panes.ndjson` is there already", "name another path"]);
        std::fs::remove_file(dir.path().join("panes.ndjson")).expect("it is removed");
    }
    pipeline(&dir, "", "kind = \"stdout\"\nmetrics = [\"hits\"]");
    let ran = dir.run(&[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut wanted = by_hand(0..20_000, u64::MAX);
    wanted.retain(|(metric, ..), _| metric == "hits");
    assert_eq!(last(&ran.out), wanted);
}

#[test]
fn with_a_state_only_what_has_closed_leaves_and_the_rest_follows() {
    let dir = Workdir::new();
    pipeline(&dir, "", "kind = \"file\"\npath = \"out/panes.ndjson\"\nrotate = \"64KiB\"");
    dir.write("out/x", "");
    dir.write("e.ndjson", events(0..10_000));
    dir.run(&["--state", "s"]).expect(0, &[]);
    let told = |dir: &Workdir| -> (String, usize) {
        let mut names: Vec<String> = std::fs::read_dir(dir.path().join("out"))
            .expect("a directory")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with("panes."))
            .collect();
        names.sort();
        (names.iter().map(|name| dir.read(&format!("out/{name}"))).collect(), names.len())
    };
    assert_eq!(last(&told(&dir).0), by_hand(0..10_000, (1_000 + 9_999 / 20 - 5) / 10 * 10));
    dir.write("e.ndjson", events(0..20_000));
    dir.run(&["--state", "s", "--shards", "1"]).expect(0, &[]);
    let (lines, files) = told(&dir);
    assert_eq!(last(&lines), by_hand(0..20_000, (1_000 + 19_999 / 20 - 5) / 10 * 10));
    assert_eq!(files, 2, "one for each commit that was large enough");
    // Nothing new: nothing leaves.
    dir.run(&["--state", "s"]).expect(0, &[]);
    assert_eq!(told(&dir).0, lines);
}

#[test]
fn killed_at_any_time_every_line_is_there_once() {
    let dir = Workdir::new();
    pipeline(&dir, "checkpoint = { every = \"1ms\" }", "kind = \"file\"\npath = \"panes.ndjson\"");
    dir.write("e.ndjson", events(0..60_000));
    let wanted = by_hand(0..60_000, (1_000 + 59_999 / 20 - 5) / 10 * 10);
    let begun = Instant::now();
    dir.run(&["--state", "whole", "--shards", "2"]).expect(0, &[]);
    let took = begun.elapsed();
    assert_eq!(last(&dir.read("panes.ndjson")), wanted);
    let (mut random, mut kills, mut part) = (1u64, 0, 0);
    for round in 0..8 {
        std::fs::remove_file(dir.path().join("panes.ndjson")).expect("it is removed");
        let state = format!("killed-{round}");
        loop {
            let mut child = dir
                .command(&["run", "--once", "p.toml", "--state", &state, "--shards", "2"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the binary starts");
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let patience = took.mul_f64((random >> 40) as f64 / (1u64 << 24) as f64);
            std::thread::sleep(patience.max(Duration::from_millis(1)));
            if let Some(status) = child.try_wait().expect("a child") {
                assert!(status.success(), "round {round}: {status}");
                break;
            }
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
            kills += 1;
            if dir.has("panes.ndjson") {
                part += 1;
                // What stands there is whole lines of the commit, or a part of what it is about to write.
                let text = dir.read("panes.ndjson");
                last(&text[..text.rfind('\n').map_or(0, |end| end + 1)]);
            }
        }
        assert_eq!(last(&dir.read("panes.ndjson")), wanted, "round {round}");
    }
    eprintln!("{kills} kills, {part} of them after something had left");
    assert!(kills >= 4, "{kills} kills");
}

#[test]
fn what_cannot_leave_is_said_with_its_line() {
    let dir = Workdir::new();
    dir.write("e.ndjson", events(0..10));
    let check = |sink: &str, words: &[&str]| {
        pipeline(&dir, "", sink);
        dir.run(&[]).expect(2, words);
    };
    check("path = \"x\"", &["sink `out` has no `kind`"]);
    check("kind = \"file\"", &["sink `out` has no `path`"]);
    check("kind = \"fiel\"\npath = \"x\"", &["unknown kind `fiel`", "did you mean `file`"]);
    check("kind = \"kafka\"", &["kind `kafka` is not supported"]);
    check("kind = \"stdout\"\npath = \"x\"", &["standard output has no `path`"]);
    check("kind = \"stdout\"\nmetrics = [\"hit\"]", &["there is no metric `hit`", "did you mean `hits`?"]);
    check("kind = \"stdout\"\nmetrics = [\"again\"]", &["metric `again` has no panes"]);
    check("kind = \"stdout\"\npanes = \"1m\"", &["nothing would leave", "no metric has panes of 1m"]);
    check(
        "kind = \"stdout\"\nmetrics = [\"hits\"]\npanes = \"1m\"",
        &["has no panes of 1m", "there are `10s`"],
    );
    check("kind = \"file\"\npath = \"x\"\nrotate = \"1\"", &["rotate"]);
    check("kind = \"file\"\npath = \"./e.ndjson\"", &["the source would read what leaves it"]);
    pipeline(&dir, "", "kind = \"file\"\npath = \"panes.ndjson\"");
    let pattern = ["--set", "source.e.path=*.ndjson"];
    dir.run(&pattern).expect(2, &["`*.ndjson` matches", "another directory"]);
    dir.write("out/x", "");
    dir.run(&[&pattern[..], &["--set", "sink.out.path=out/panes.ndjson"]].concat()).expect(0, &[]);
}

#[test]
fn a_file_of_somebody_else_is_not_cut() {
    let dir = Workdir::new();
    pipeline(&dir, "", "kind = \"file\"\npath = \"panes.ndjson\"\nrotate = \"4KiB\"");
    dir.write("e.ndjson", events(0..10_000));
    dir.write("panes.000002.ndjson", "PRECIOUS");
    dir.run(&["--state", "s"]).expect(0, &[]);
    dir.write("e.ndjson", events(0..20_000));
    for _ in 0..2 {
        dir.run(&["--state", "s"]).expect(3, &["panes.000002.ndjson"]);
        assert_eq!(dir.read("panes.000002.ndjson"), "PRECIOUS");
    }
    std::fs::remove_file(dir.path().join("panes.000002.ndjson")).expect("it is removed");
    dir.run(&["--state", "s"]).expect(0, &[]);
    let lines = dir.read("panes.000001.ndjson") + &dir.read("panes.000002.ndjson");
    assert_eq!(last(&lines), by_hand(0..20_000, (1_000 + 19_999 / 20 - 5) / 10 * 10));
    // Another name for the same file goes on.
    dir.write("e.ndjson", events(0..30_000));
    let text = dir.read("p.toml").replace("[sink.out]", "[sink.panes]");
    dir.write("p.toml", text);
    dir.run(&["--state", "s"]).expect(0, &[]);
    let lines = lines + &dir.read("panes.000003.ndjson");
    assert_eq!(last(&lines), by_hand(0..30_000, (1_000 + 29_999 / 20 - 5) / 10 * 10));
}

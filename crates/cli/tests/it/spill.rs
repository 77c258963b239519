//! Runs whose closed panes do not fit into `memory`: with a state they go to disk, and everything is answered as if they had
//! stayed.

use crate::support::{Ran, Workdir, counter};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

const SOURCE: &str = "
time = { field = \"ts\", unit = \"s\", lateness = \"5s\" }
fields = { n = \"int64\", x = \"float64\" }";

/// Measures whose state does not depend on the order in which it is merged; few users are kept apart.
const METRICS: &str = "
    hits = { measure = \"count()\", by = [[], [\"user\"]], keys = \"20 + other\" }
    sum = { measure = \"sum(n)\", by = [\"shop\"] }
    users = { measure = \"unique(user)\", by = [[], [\"shop\"]] }
    slow = { measure = \"quantiles(x)\", by = [\"shop\"] }";

/// Events from number `from` on, four to a second; one in fifty is a minute late, one in seven hundred half an hour.
fn events(from: u64, to: u64) -> String {
    (from..to).fold(String::new(), |mut text, i| {
        let h = i.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
        let late = if i % 50 == 49 { 60 } else { 0 } + if i % 700 == 699 { 1800 } else { 0 };
        let ts = 1_700_000_000 + i / 4 - late;
        let (user, shop, n, x) = (h % (10 + i / 30), h % 3, h % 97, (h % 10_000) as f64 / 64.0);
        writeln!(
            text,
            "{{\"ts\": {ts}, \"user\": \"u{user}\", \"shop\": \"s{shop}\", \"n\": {n}, \"x\": {x}}}"
        )
        .expect("memory takes text");
        text
    })
}

const EVENTS: u64 = 60_000;
const PANES: &str = "panes=[\"10s:2d\", \"1m:4d\"]";
const LITTLE: [&str; 6] = ["--set", PANES, "--set", "memory=\"3MiB\"", "--shards", "2"];
const MUCH: [&str; 6] = ["--set", PANES, "--set", "memory=\"1GiB\"", "--shards", "2"];

fn dir() -> Workdir {
    Workdir::with("e.ndjson", events(0, EVENTS), SOURCE, METRICS)
}

fn go_on(dir: &Workdir, state: &str, args: &[&str]) -> (Vec<Value>, Ran) {
    let ran = dir.run(&[&["--state", state, "--format", "json"], args].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    (ran.answers(), ran)
}

/// What a state answers to several questions.
fn asked(dir: &Workdir, state: &str, how: &[&str]) -> Vec<Vec<Value>> {
    let questions: [&[&str]; 4] =
        [&[], &["--every", "10s"], &["--every", "1m"], &["--window", "10m", "--every", "1m"]];
    questions.map(|question| go_on(dir, state, &[how, question].concat()).0).to_vec()
}

/// The answers alone: the counters say what memory did.
fn measured(answers: &[Value]) -> Vec<&Value> {
    answers.iter().filter(|answer| answer["metric"] != "sg.state").collect()
}

/// A fact that `inspect` tells.
fn fact(dir: &Workdir, state: &str, name: &str) -> u64 {
    let ran = dir.call(&["inspect", state, "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let is_it = |answer: &&Value| answer["metric"] == "sg.state" && answer["by"]["what"] == *name;
    let answers = ran.answers();
    let answer = answers.iter().find(is_it).unwrap_or_else(|| panic!("{name}: {}", ran.out));
    answer["value"].as_f64().expect("a number") as u64
}

fn segments(dir: &Workdir, state: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.path().join(state).join("e")).expect("a state directory");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.display().to_string().contains("-panes-"));
    paths.sort();
    paths
}

#[test]
fn what_does_not_fit_is_on_disk_and_answered_all_the_same() {
    let dir = dir();
    let (_, ran) = go_on(&dir, "little", &LITTLE);
    ran.expect(0, &["went to disk, as `memory` had no room"]);
    assert!(!ran.err.contains("to stay within"), "nothing else gave way: {}", ran.err);
    let (_, ran) = go_on(&dir, "much", &MUCH);
    assert!(!ran.err.contains("went to disk"), "{}", ran.err);
    let (little, much) = (asked(&dir, "little", &LITTLE), asked(&dir, "much", &MUCH));
    for (little, much) in little.iter().zip(&much) {
        assert!(counter(little, "late") > 0 && little.len() > 8);
        assert_eq!(measured(little), measured(much));
    }
    let (spilled, away) = (fact(&dir, "little", "spilled_panes"), fact(&dir, "little", "away_panes"));
    assert!(spilled > away && away > 1000, "{spilled} panes, {away} of them there");
    assert_eq!(fact(&dir, "much", "spilled_panes"), 0);
    // Nothing but commits, segments and the lock.
    let entries = std::fs::read_dir(dir.path().join("little/e")).expect("a directory");
    assert!(!entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("spill-")));

    // It goes on, with another number of shards, with more memory, and under another pipeline.
    dir.write("e.ndjson", events(0, EVENTS + 8_000));
    let three = [&LITTLE[..5], &["3"]].concat();
    let (went_on, _) = go_on(&dir, "little", &[&three[..], &["--every", "1m"]].concat());
    let (wanted, _) = go_on(&dir, "much", &[&MUCH[..5], &["3", "--every", "1m"]].concat());
    assert_eq!(measured(&went_on), measured(&wanted));
    let more = format!("{METRICS}\n    most = \"max(n)\"");
    dir.pipeline(&format!("path = \"e.ndjson\"\n{SOURCE}"), &more);
    let (changed, _) = go_on(&dir, "little", &[&three[..], &["--migrate", "--every", "1m"]].concat());
    let changed: Vec<&Value> = measured(&changed).into_iter().filter(|a| a["metric"] != "most").collect();
    assert_eq!(changed, measured(&wanted));
}

#[test]
fn killed_over_and_over_it_ends_as_if_nothing_had_happened() {
    let dir = dir();
    let often = [&LITTLE[..], &["--set", "checkpoint={every=\"5ms\"}"]].concat();
    let begun = Instant::now();
    let (wanted, _) =
        go_on(&dir, "whole", &[&often[..], &["--save", "whole.sgs", "--every", "10s"]].concat());
    let took = begun.elapsed();
    let state = std::fs::read(dir.path().join("whole.sgs")).expect("a file");
    let (mut kills, mut rounds, mut random) = (0, 0, 1u64);
    while kills < 12 {
        let name = format!("killed-{rounds}");
        let save = format!("{name}.sgs");
        rounds += 1;
        loop {
            let args = ["run", "--once", "p.toml", "--format", "json", "--state", &name];
            // Any number of workers does the same.
            let workers = ["--workers", if kills % 2 == 0 { "1" } else { "2" }];
            let mut child = dir
                .command(&[&args[..], &often, &workers].concat())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the binary starts");
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let share = (random >> 40) as f64 / (1u64 << 24) as f64;
            let patience = Instant::now() + Duration::from_secs_f64(took.as_secs_f64() * share);
            let ended = loop {
                if let Some(status) = child.try_wait().expect("a child") {
                    assert!(status.success(), "round {rounds}: {status}");
                    break true;
                }
                if Instant::now() >= patience {
                    break false;
                }
                std::thread::sleep(Duration::from_millis(1));
            };
            if ended {
                break;
            }
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
            kills += 1;
        }
        let (answers, ran) = go_on(&dir, &name, &[&often[..], &["--save", &save, "--every", "10s"]].concat());
        assert!(ran.err.contains(" 0 are new"), "{}", ran.err);
        assert_eq!(answers, wanted, "round {rounds}");
        assert!(
            std::fs::read(dir.path().join(&save)).expect("a file") == state,
            "round {rounds}: other bytes"
        );
    }
    let (much, _) = go_on(&dir, "much", &[&MUCH[..], &["--every", "10s"]].concat());
    assert_eq!(measured(&wanted), measured(&much), "as with all the memory it wants");
}

/// What holds of what has left: of each cell the line with the highest revision.
fn left(dir: &Workdir, file: &str) -> BTreeMap<String, Value> {
    let mut cells: BTreeMap<String, Value> = BTreeMap::new();
    for line in dir.read(file).lines() {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        let key = format!("{} {} {} {}", line["metric"], line["by"], line["other"], line["start"]);
        // How far the source had come then is another matter.
        for moving in ["late", "complete_to"] {
            line[moving] = Value::Null;
        }
        let older =
            cells.get(&key).is_none_or(|before| before["revision"].as_u64() < line["revision"].as_u64());
        if older {
            cells.insert(key, line);
        }
    }
    cells
}

#[test]
fn panes_leave_through_sinks_with_their_corrections() {
    let dir = dir();
    let metrics = "hits = { measure = \"count()\", by = [[], [\"shop\"]] }\nusers = \"unique(user)\"";
    dir.pipeline(&format!("path = \"e.ndjson\"\n{SOURCE}"), metrics);
    let to = |name: &str| format!("sink.{name}={{kind=\"file\", path=\"{name}.ndjson\", panes=\"1m\"}}");
    let little = [&LITTLE[..2], &["--set", "memory=\"2MiB\"", "--shards", "2"]].concat();
    let (_, ran) = go_on(&dir, "little", &[&little[..], &["--set", &to("little")]].concat());
    ran.expect(0, &["went to disk"]);
    assert!(!ran.err.contains("to stay within"), "{}", ran.err);
    go_on(&dir, "much", &[&MUCH[..], &["--set", &to("much")]].concat());
    let (little, much) = (left(&dir, "little.ndjson"), left(&dir, "much.ndjson"));
    assert!(little.len() > 500 && little.values().any(|line| line["revision"].as_u64() > Some(0)));
    assert_eq!(little, much);
}

#[test]
fn a_segment_that_is_damaged_is_named() {
    let dir = dir();
    go_on(&dir, "s", &LITTLE);
    assert!(fact(&dir, "s", "away_panes") > 1000);
    let path = segments(&dir, "s").into_iter().next().expect("a segment of panes");
    let mut bytes = std::fs::read(&path).expect("a segment");
    let at = bytes.len() / 2;
    bytes[at] ^= 4;
    std::fs::write(&path, bytes).expect("a segment can be written");
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    // Either the commit before is whole, or none is.
    let ran = dir.call(&["inspect", "s"]);
    assert!(ran.err.contains(&name), "{name}: {ran:?}");
    let ran = dir.run(&[&["--state", "s", "--every", "10s"], &LITTLE[..]].concat());
    assert!(ran.err.contains(&name), "{name}: {ran:?}");
}

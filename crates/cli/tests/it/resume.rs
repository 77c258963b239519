//! `run --state`: a run goes on where the last one ended, however that was.

use crate::support::{Ran, Workdir, counter, gz};
use serde_json::Value;
use std::fmt::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

const SOURCE: &str = "
time = { field = \"ts\", unit = \"s\", lateness = \"5s\", later = \"quarantine\" }
fields = { n = \"int64\", x = \"float64\" }
bad = \"quarantine\"";

/// Measures of every kind, those that depend on the order of events among them.
const METRICS: &str = "
    hits = { measure = \"count()\", by = [[], [\"user\"]], keys = \"100 + other\" }
    sum = { measure = \"sum(n)\", by = [\"shop\"] }
    spread = \"stddev(x)\"
    users = { measure = \"unique(user)\", by = [[], [\"shop\"]] }
    crowd = \"audience(user)\"
    often = \"freq(user)\"
    slow = { measure = \"quantiles(x)\", by = [\"shop\"] }
    steps = \"histogram(x, 1, 10, 100)\"
    top = \"top(user, 5)\"
    some = \"sample(3, user)\"
    again = { measure = \"seen(user)\", size = \"1000 @ 1%\", keep = \"forever\" }
    back = \"count() filter (where again)\"";

/// Measures whose state does not depend on where blocks end.
const ORDER_FREE: &str = "
    hits = { measure = \"count()\", by = [[], [\"shop\"]] }
    sum = { measure = \"sum(n)\", by = [\"shop\"] }
    spread = \"stddev(x)\"
    users = { measure = \"unique(user)\", by = [[], [\"shop\"]] }
    crowd = \"audience(user)\"
    slow = { measure = \"quantiles(x)\", by = [\"shop\"] }
    again = { measure = \"seen(user)\", size = \"1000 @ 1%\", keep = \"forever\" }
    back = \"count() filter (where again)\"";

/// Events from number `from` on, four to a second; one in fifty is late, one in a hundred is bad.
fn events(from: u64, to: u64) -> String {
    (from..to).fold(String::new(), |mut text, i| {
        let h = i.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
        let ts = 1_700_000_000 + i / 4 - if i % 50 == 49 { 60 } else { 0 };
        let (user, shop, n, x) = (h % (10 + i / 3), h % 3, h % 97, (h % 10_000) as f64 / 64.0);
        let n = if i % 100 == 99 { "\"many\"".to_string() } else { n.to_string() };
        writeln!(
            text,
            "{{\"ts\": {ts}, \"user\": \"u{user}\", \"shop\": \"s{shop}\", \"n\": {n}, \"x\": {x}}}"
        )
        .expect("memory takes text");
        text
    })
}

fn dir(events: &str) -> Workdir {
    Workdir::with("e.ndjson", events, SOURCE, METRICS)
}

/// `run --once --state DIR`, which must report; its answers.
fn go_on(dir: &Workdir, state: &str, args: &[&str]) -> (Vec<Value>, Ran) {
    let ran = dir.run(&[&["--state", state, "--format", "json"], args].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    (ran.answers(), ran)
}

/// The last commit of a directory: its files and their bytes.
fn files(dir: &Workdir, state: &str) -> Vec<(String, Vec<u8>)> {
    let path = dir.path().join(state).join("e");
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(path)
        .expect("a state directory")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.display().to_string(), std::fs::read(&path).expect("a file")))
        .collect();
    files.sort();
    files
}

#[test]
fn killed_a_hundred_times_it_answers_as_if_nothing_had_happened() {
    let dir = dir(&events(0, 20_000));
    let often = ["--set", "checkpoint={every=\"1ms\"}", "--shards", "2"];
    let undisturbed = |state: &str, save: &str| {
        let begun = Instant::now();
        let (answers, _) = go_on(&dir, state, &[&often[..], &["--save", save]].concat());
        (
            answers,
            dir.read("p.quarantine.ndjson"),
            std::fs::read(dir.path().join(save)).expect("a file"),
            begun.elapsed(),
        )
    };
    let (wanted, quarantine, state, took) = undisturbed("whole", "whole.sgs");
    assert!(counter(&wanted, "late") > 0 && quarantine.lines().count() > 100);

    let (mut kills, mut resumable, mut rounds, mut random) = (0, 0, 0u32, 1u64);
    while kills < 100 {
        let name = format!("killed-{rounds}");
        let save = format!("{name}.sgs");
        rounds += 1;
        // Until a run comes to its end; each is killed at a random time within that of an undisturbed one.
        loop {
            let args = ["run", "--once", "p.toml", "--format", "json", "--state", &name, "--save", &save];
            let mut child = dir
                .command(&[&args[..], &often].concat())
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
            // Before the first commit there is nothing to go on from, and perhaps no directory.
            let entries = std::fs::read_dir(dir.path().join(&name).join("e"));
            let commit = |entry: std::io::Result<std::fs::DirEntry>| {
                entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("commit-"))
            };
            resumable += u32::from(entries.is_ok_and(|mut entries| entries.any(commit)));
        }
        let (answers, ran) = go_on(&dir, &name, &[&often[..], &["--save", &save]].concat());
        assert!(ran.err.contains(" 0 are new"), "{}", ran.err);
        assert_eq!(answers, wanted, "round {rounds}");
        assert_eq!(dir.read("p.quarantine.ndjson"), quarantine, "round {rounds}");
        assert!(
            std::fs::read(dir.path().join(&save)).expect("a file") == state,
            "round {rounds}: other bytes"
        );
    }
    eprintln!("{kills} kills in {rounds} rounds, {resumable} of them after a commit");
    assert!(resumable >= 20, "{resumable} of {kills} kills came after a commit");
}

#[test]
fn files_that_grow_join_and_are_renamed_are_read_once() {
    let dir = Workdir::new();
    dir.pipeline(&format!("path = \"*.ndjson\"\n{SOURCE}"), ORDER_FREE);
    dir.write("a.ndjson", events(0, 3_000));
    go_on(&dir, "s", &[]);
    // It grows, another one joins, and the first is moved aside as by a rotation.
    dir.write("a.ndjson", events(0, 5_000));
    dir.write("b.ndjson", events(5_000, 7_000));
    let (_, ran) = go_on(&dir, "s", &[]);
    ran.expect(0, &["3,000 records were there, 4,000 are new"]);
    std::fs::rename(dir.path().join("a.ndjson"), dir.path().join("a.1.ndjson"))
        .expect("a file can be renamed");
    dir.write("a.ndjson", events(7_000, 8_000));
    let (resumed, ran) = go_on(&dir, "s", &["--shards", "1"]);
    ran.expect(0, &["7,000 records were there, 1,000 are new"]);
    assert_eq!(counter(&resumed, "read"), 8_000);
    // What was read is gone: nothing is lost.
    std::fs::remove_file(dir.path().join("b.ndjson")).expect("a file can be removed");
    let (again, _) = go_on(&dir, "s", &["--shards", "1"]);
    assert_eq!(again, resumed);

    let whole = Workdir::new();
    whole.pipeline(&format!("path = [\"a.ndjson\", \"b.ndjson\", \"c.ndjson\"]\n{SOURCE}"), ORDER_FREE);
    whole.write("a.ndjson", events(0, 5_000));
    whole.write("b.ndjson", events(5_000, 7_000));
    whole.write("c.ndjson", events(7_000, 8_000));
    let wanted = whole.json(&["--shards", "1"]);
    assert_eq!(resumed, wanted);
}

#[test]
fn compressed_files_go_on_too() {
    let dir = Workdir::with("e.ndjson.gz", gz(events(0, 2_000).as_bytes()), SOURCE, ORDER_FREE);
    let (first, _) = go_on(&dir, "s", &[]);
    assert_eq!(go_on(&dir, "s", &[]).0, first);
    // Another member behind the first, as by `cat b.gz >> a.gz`.
    dir.write("e.ndjson.gz", [gz(events(0, 2_000).as_bytes()), gz(events(2_000, 3_000).as_bytes())].concat());
    let (grown, ran) = go_on(&dir, "s", &[]);
    ran.expect(0, &["2,000 records were there, 1,000 are new"]);
    dir.write("e.ndjson.gz", gz(events(0, 3_000).as_bytes()));
    assert_eq!(grown, dir.json(&[]));
}

#[test]
fn the_answers_do_not_depend_on_the_number_of_workers() {
    let dir = dir(&events(0, 20_000));
    let of = |workers: &str| {
        let name = format!("w{workers}");
        let args = ["--shards", "7", "--workers", workers, "--save", &format!("{name}.sgs")];
        let (answers, _) = go_on(&dir, &name, &args);
        (answers, std::fs::read(dir.path().join(format!("{name}.sgs"))).expect("a file"))
    };
    let one = of("1");
    assert!(of("2") == one && of("7") == one);
    // And what one worker has kept, seven go on with.
    dir.write("e.ndjson", events(0, 24_000));
    let more = |workers: &str| go_on(&dir, "w1", &["--workers", workers]).0;
    assert_eq!(more("7"), more("2"));
}

#[test]
fn another_number_of_shards_goes_on_with_the_same_sums() {
    let metrics = "hits = \"count()\"\nsum = \"sum(n)\"\nusers = \"unique(user)\"\nslow = \"quantiles(x)\"";
    let dir = Workdir::with("e.ndjson", events(0, 3_000), SOURCE, metrics);
    go_on(&dir, "s", &["--shards", "3"]);
    dir.write("e.ndjson", events(0, 6_000));
    assert_eq!(go_on(&dir, "s", &["--shards", "2"]).0, dir.json(&["--shards", "2"]));
}

#[test]
fn a_flipped_byte_is_named_and_the_commit_before_it_goes_on() {
    let dir = dir(&events(0, 2_000));
    go_on(&dir, "s", &["--shards", "1"]);
    dir.write("e.ndjson", events(0, 4_000));
    let (wanted, _) = go_on(&dir, "s", &["--shards", "1"]);
    let quarantine = dir.read("p.quarantine.ndjson");
    let good = files(&dir, "s");
    let newest = good.iter().filter(|(name, _)| name.contains("0000000000000002")).count();
    assert!(newest >= 3, "a manifest, a shard and a judge");
    for (path, bytes) in
        good.iter().filter(|(name, bytes)| name.contains("0000000000000002") && !bytes.is_empty())
    {
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            std::fs::write(path, &bad).expect("a file can be written");
            let (answers, ran) = go_on(&dir, "s", &["--shards", "1"]);
            let name = path.rsplit('/').next().expect("a name");
            ran.expect(0, &["WARNING", name, "goes on from commit 1", "2,000 are new"]);
            assert_eq!(answers, wanted);
            assert_eq!(dir.read("p.quarantine.ndjson"), quarantine);
            // As it was.
            for (path, _) in files(&dir, "s") {
                std::fs::remove_file(path).expect("a file can be removed");
            }
            good.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).expect("a file can be written"));
        }
    }
    // Nothing whole is left: an error, and nothing begins anew by itself.
    for (path, bytes) in good.iter().filter(|(name, _)| name.contains("commit-")) {
        std::fs::write(path, &bytes[..bytes.len() - 1]).expect("a file can be written");
    }
    let before = files(&dir, "s");
    dir.run(&["--state", "s"]).expect(3, &["no commit of the state directory", "is damaged", "from a copy"]);
    assert_eq!(files(&dir, "s"), before);
    for (path, _) in before.iter().filter(|(name, _)| name.contains("commit-")) {
        std::fs::remove_file(path).expect("a file can be removed");
    }
    dir.run(&["--state", "s"]).expect(3, &["segments of several commits, and no commit"]);
}

#[test]
fn what_was_read_must_still_be_there() {
    let dir = dir(&events(0, 2_000));
    go_on(&dir, "s", &[]);
    let path = dir.path().join("e.ndjson");
    let rewrite = |bytes: String| {
        use std::io::Write;
        // The same file, other bytes.
        let mut file = std::fs::File::create(&path).expect("a file");
        file.write_all(bytes.as_bytes()).expect("bytes");
    };
    rewrite(events(500, 3_000));
    dir.run(&["--state", "s"])
        .expect(3, &["e.ndjson", "has changed where it was read already", "another directory"]);
    rewrite(events(0, 1_000));
    dir.run(&["--state", "s"]).expect(3, &["is shorter than what was read of it"]);
    rewrite(events(0, 2_000).trim_end().to_string());
    dir.run(&["--state", "s"]).expect(3, &["is shorter than what was read of it"]);
    rewrite(events(0, 2_000));
    go_on(&dir, "s", &[]);

    // A last line without an end counts; one that goes on afterwards was no whole record.
    rewrite(events(0, 2_001).trim_end().to_string());
    go_on(&dir, "s", &[]).1.expect(0, &["1 are new"]);
    rewrite(events(0, 2_002));
    go_on(&dir, "s", &[]).1.expect(0, &["2,001 records were there, 1 are new"]);
    let half = events(0, 2_003);
    rewrite(half[..half.len() - 20].to_string());
    go_on(&dir, "s", &[]);
    rewrite(half);
    dir.run(&["--state", "s"]).expect(3, &["went on in the middle of the line"]);
}

#[test]
fn a_state_belongs_to_its_pipeline_and_to_one_run() {
    let dir = dir(&events(0, 1_000));
    go_on(&dir, "s", &[]);
    dir.run(&["--state", "s", "--set", "metric.spread=stddev(n)"])
        .expect(2, &["is of another pipeline", "`spread`", "another directory"]);
    dir.call_with(
        &[
            "run",
            "--once",
            "p.toml",
            "--state",
            "t",
            "--set",
            "source.e.path=-",
            "--set",
            "source.e.format=ndjson",
        ],
        b"",
    )
    .expect(2, &["can be read only once"]);
    // Asked anything later: the whole ladder is kept.
    let (windows, _) = go_on(&dir, "s", &["--every", "1m"]);
    assert_eq!(windows, dir.json(&["--every", "1m"]));
}

#[test]
fn inspect_tells_what_a_directory_holds_and_changes_nothing() {
    let dir = dir(&events(0, 2_000));
    let (totals, _) = go_on(&dir, "s", &["--shards", "2"]);
    let before = files(&dir, "s");
    let ran = dir.call(&["inspect", "s"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for part in [
        "pipeline p.toml, commit 1",
        "2 shards",
        "4 segments",
        "by this commit",
        "2,000 read",
        "20 bad",
        "e.ndjson  read up to",
        "to its end",
    ] {
        assert!(ran.out.contains(part), "`{part}` is not in:\n{}", ran.out);
    }
    let ran = dir.call(&["inspect", "s", "--format", "json"]);
    let (facts, answers): (Vec<Value>, Vec<Value>) =
        ran.answers().into_iter().partition(|answer| answer["metric"] == "sg.state");
    assert_eq!(answers, totals);
    let of = |what: &str| {
        let fact = facts.iter().find(|fact| fact["by"]["what"] == what).expect(what);
        fact["value"].as_u64().expect("a number")
    };
    // The first commit has written all there is, and needs it all: two shards, the judge, closed panes.
    assert_eq!(
        (of("segments"), of("live_bytes"), of("written_bytes")),
        (4, of("unpacked_bytes"), of("disk_bytes"))
    );
    let lines = facts.iter().find(|fact| fact["by"]["what"] == "lines").expect("a fact");
    assert_eq!(lines["value"], 2_000);
    assert_eq!(files(&dir, "s"), before);
    dir.call(&["inspect", "nowhere"]).expect(3, &["cannot read the state directory `nowhere`"]);
    dir.call(&["inspect", "."]).expect(3, &["is no state directory", "run --state"]);
}

#[test]
fn a_state_that_is_kept_can_be_saved_looked_into_and_merged() {
    let dir = Workdir::new();
    for (name, from, to) in [("a", 0, 3_000), ("b", 3_000, 5_000)] {
        dir.write(&format!("{name}.ndjson"), events(from, to));
    }
    dir.pipeline(
        &format!("path = \"a.ndjson\"\n{SOURCE}"),
        "hits = { measure = \"count()\", by = [[], [\"shop\"]] }",
    );
    go_on(&dir, "s", &["--save", "a.sgs"]);
    let at = ["--set", "source.e.path=b.ndjson"];
    go_on(&dir, "t", &[&at[..], &["--save", "b.sgs"]].concat());
    dir.call(&["sketch", "a.sgs"]).expect(0, &[]);
    dir.call(&["merge", "a.sgs", "b.sgs", "-o", "both.sgs"]).expect(0, &[]);
    let told = dir.call(&["sketch", "both.sgs", "--format", "json"]);
    assert_eq!(counter(&told.answers(), "read"), 5_000, "{told:?}");
    // One that keeps only what was asked is no part of it.
    dir.run(&["--save", "asked.sgs"]).expect(0, &[]);
    dir.call(&["merge", "a.sgs", "asked.sgs", "-o", "c.sgs"]).expect(2, &["the whole ladder"]);
}

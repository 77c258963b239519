//! `init` writes a file that `run` answers from, and writes nothing over.

use crate::support::{Ran, Workdir, counter, gz, shown, zst};

fn events(count: usize) -> String {
    let line = |i: usize| {
        format!(
            "{{\"ts\":\"2026-01-01T00:{:02}:{:02}Z\",\"kind\":\"k{}\",\"user\":\"u{}\",\"latency_ms\":{}.5}}\n",
            i / 60 % 60,
            i % 60,
            i % 3,
            i % 50,
            i % 97
        )
    };
    (0..count).map(line).collect()
}

/// `run --once p.toml`, which must report.
fn run(dir: &Workdir, pipeline: &str, args: &[&str]) -> Ran {
    let ran = dir.call(&[&["run", "--once", pipeline, "--format", "json"], args].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

#[test]
fn what_init_writes_runs_at_once() {
    let dir = Workdir::new();
    dir.write("day.ndjson", events(600));
    let ran = dir.call(&["init", "--from", "day.ndjson", "--output", "p.toml"]);
    ran.expect(
        0,
        &[
            "looked at 600 events (",
            "ndjson, 4 fields",
            "time in `ts` (RFC 3339)",
            "read back with this pipeline: 600 records, 0 bad, 0 late",
            "wrote p.toml; next: streamgauge run --once p.toml",
        ],
    );
    assert_eq!(ran.out, "");
    let answers = run(&dir, "p.toml", &[]).answers();
    assert_eq!(shown(&answers, "events"), ["=600"]);
    assert_eq!(shown(&answers, "events_by_kind"), ["k0=200", "k1=200", "k2=200"]);
    assert_eq!(shown(&answers, "unique_user")[0], "=50");
    assert_eq!((counter(&answers, "bad"), counter(&answers, "late")), (0, 0));
    let minutes = run(&dir, "p.toml", &["--every", "1m"]).answers();
    assert_eq!(shown(&minutes, "events").len(), 10);
}

#[test]
fn standard_output_is_the_default_and_holds_the_file_alone() {
    let dir = Workdir::new();
    dir.write("day.csv.gz", gz(b"user,n\nann,1\nbob,2\nann,3\n"));
    let ran = dir.call(&["init", "--from", "day.csv.gz", "--name", "shop"]);
    ran.expect(0, &["looked at 3 events", "next: write this to shop.toml"]);
    assert!(
        ran.out.contains("name = \"shop\"") && ran.out.contains("path   = \"day.csv.gz\""),
        "{}",
        ran.out
    );
    dir.write("shop.toml", &ran.out);
    assert_eq!(shown(&run(&dir, "shop.toml", &[]).answers(), "events"), ["=3"]);
    // The same bytes give the same text.
    assert_eq!(dir.call(&["init", "--from", "day.csv.gz", "--name", "shop"]).out, ran.out);
}

#[test]
fn standard_input_is_looked_at_as_well() {
    let dir = Workdir::new();
    let bytes = zst(events(100).as_bytes());
    let ran = dir.call_with(&["init", "--from", "-", "--output", "-"], &bytes);
    ran.expect(0, &["looked at 100 events"]);
    assert!(ran.out.contains("path   = \"-\"") && ran.out.contains("format = \"ndjson\""), "{}", ran.out);
    dir.write("p.toml", &ran.out);
    let ran = dir.call_with(&["run", "--once", "p.toml", "--format", "json"], &bytes);
    assert_eq!(shown(&ran.answers(), "events"), ["=100"]);
}

#[test]
fn a_path_is_written_as_the_pipeline_file_sees_it() {
    let dir = Workdir::new();
    dir.write("data/day.ndjson", events(60));
    dir.write("pipes/deep/.keep", "");
    let absolute = dir.path().join("data/day.ndjson").display().to_string();
    for (from, output, path) in [
        ("data/day.ndjson", "a.toml", "data/day.ndjson"),
        ("data/day.ndjson", "data/a.toml", "day.ndjson"),
        ("data/day.ndjson", "pipes/deep/a.toml", "../../data/day.ndjson"),
        ("./data/day.ndjson", "pipes/a.toml", ".././data/day.ndjson"),
        (&absolute, "pipes/b.toml", &absolute),
    ] {
        dir.call(&["init", "--from", from, "--output", output]).expect(0, &[]);
        assert!(dir.read(output).contains(&format!("path   = \"{path}\"")), "{}", dir.read(output));
        assert_eq!(shown(&run(&dir, output, &[]).answers(), "events"), ["=60"]);
    }
}

#[test]
fn nothing_is_written_over() {
    let dir = Workdir::new();
    dir.write("day.ndjson", events(60));
    dir.write("p.toml", "mine");
    let call = |args: &[&str]| dir.call(&[&["init", "--from", "day.ndjson", "--output"], args].concat());
    call(&["p.toml"]).expect(2, &["`p.toml` is there already", "--force"]);
    assert_eq!(dir.read("p.toml"), "mine");
    call(&["./day.ndjson", "--force"]).expect(2, &["is the file of events"]);
    assert_eq!(dir.read("day.ndjson"), events(60));
    call(&["no/p.toml"]).expect(3, &["cannot write the pipeline file `no/p.toml`"]);
    call(&["p.toml", "--force"]).expect(0, &["wrote p.toml"]);
    assert!(dir.read("p.toml").contains("[source.events]"));
    call(&["q.toml", "--name", "a/b"]).expect(2, &["`a/b` is not a name for a pipeline"]);
    assert!(!dir.has("q.toml"));
}

#[test]
fn what_is_no_file_of_events_is_an_error_that_says_why() {
    let dir = Workdir::new();
    for (name, bytes, fragments) in [
        ("empty", &b""[..], &["`empty` is empty"][..]),
        ("blank", b"\n\n  \n", &["nothing but blank lines"]),
        ("binary", b"\x00\x01\x02\n", &["is not text"]),
        ("array.json", b"[{\"a\":1},{\"a\":2}]\n", &["jq -c"]),
        ("parquet", b"PAR1\x15\x04....", &["Parquet"]),
        ("cut.gz", &gz(events(5000).as_bytes())[..200], &["`cut.gz` is damaged"]),
    ] {
        dir.write(name, bytes);
        let ran = dir.call(&["init", "--from", name, "--output", "p.toml"]);
        ran.expect(3, fragments);
        assert!(ran.out.is_empty() && !dir.has("p.toml"));
    }
    dir.write("long", "x".repeat(5 << 20));
    dir.call(&["init", "--from", "long"]).expect(3, &["a line longer than 1 MiB"]);
    dir.call(&["init", "--from", "nope.csv"]).expect(3, &["no file matches `nope.csv`"]);
    dir.call(&["init", "--from", "."]).expect(3, &["is a directory"]);
    dir.call(&["init"]).expect(2, &["--from"]);
    dir.write("header.csv", "ts,user\n");
    dir.call(&["init", "--from", "header.csv"]).expect(0, &["warning: there is no event yet"]);
}

#[test]
fn only_the_head_of_a_large_file_is_looked_at() {
    let dir = Workdir::new();
    dir.write("day.ndjson.zst", zst(events(100_000).as_bytes()));
    let ran = dir.call(&["init", "--from", "day.ndjson.zst"]);
    ran.expect(0, &["(4.1 MB)"]);
    assert!(ran.out.contains("from the first "), "{}", ran.out);
}

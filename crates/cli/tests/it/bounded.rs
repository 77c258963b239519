//! Hostile input: it costs one bad record at most, never a panic and never memory without end.

use crate::support::{Workdir, counter, gz, shown};
use std::io::Read;
use std::process::Stdio;

#[test]
fn a_line_beyond_the_limit_is_one_bad_record_between_good_ones() {
    let long = format!("{{\"n\": 1, \"pad\": \"{}\"}}", "x".repeat(5_000_000));
    for (text, name) in [
        (format!("{{\"n\": 2}}\n{long}\n{{\"n\": 4}}\n"), "in the middle"),
        (format!("{long}\n{{\"n\": 2}}\n{{\"n\": 4}}"), "first"),
        (format!("{{\"n\": 2}}\n{{\"n\": 4}}\n{long}"), "last, without an end"),
        (format!("{{\"n\": 2}}\r\n{{\"n\": 4}}\r\n{long}\r\n"), "last"),
    ] {
        for (file, bytes) in [("d.ndjson", text.as_bytes().to_vec()), ("d.ndjson.gz", gz(text.as_bytes()))] {
            let dir = Workdir::with(file, bytes, "bad = \"quarantine\"", "s = \"sum(n)\"");
            let answers = dir.json(&["--shards", "2"]);
            assert_eq!(shown(&answers, "s"), ["=6.0"], "{name}");
            let of = |reason| counter(&answers, reason);
            assert_eq!((of("read"), of("too_long"), of("bad")), (3, 1, 1), "{name}");
            let aside = dir.read("p.quarantine.ndjson");
            assert!(
                aside.len() < 2 << 20 && aside.contains("\"reason\":\"too_long\""),
                "only its head is kept"
            );
        }
    }
}

#[test]
fn lines_and_bytes_are_right_behind_a_record_that_was_too_long() {
    let bad = "bad = \"quarantine\"\nrecord_max = \"1KiB\"";
    // A quote that is never closed.
    let quoted = format!("a,b\n1,\"{}broken\n", "2,3,\n".repeat(200_000));
    for (file, text, line) in [
        ("d.ndjson", format!("{{}}\n{{\"a\": \"{}\"}}\nbroken\n", "x".repeat(900_000)), 3),
        ("d.csv", quoted, 200_002),
    ] {
        let dir = Workdir::with(file, &text, bad, "n = \"count()\"");
        dir.run(&[]);
        let aside = dir.read("p.quarantine.ndjson");
        let byte = text.find("broken").expect("the broken record");
        assert!(
            aside.contains(&format!("\"line\":{line},\"byte\":{byte},")),
            "{file}: {}",
            &aside[aside.len() - 200..]
        );
    }
}

#[test]
fn a_stream_that_never_ends_its_line_is_bounded() {
    let dir = Workdir::with("d.ndjson.gz", gz(&vec![b'x'; 100 << 20]), "", "n = \"count()\"");
    dir.run(&[]).expect(4, &["longer than `record_max`"]);
    let dir = Workdir::with("d.csv.gz", gz(&vec![b'x'; 100 << 20]), "", "n = \"count()\"");
    dir.run(&[]).expect(
        3,
        &["the first line of `d.csv.gz`, which should name the columns, is longer than `record_max`"],
    );
}

#[test]
fn depth_does_not_exhaust_the_stack() {
    let n = 100_000;
    let arrays = format!("{{\"a\": {}{}}}", "[".repeat(n), "]".repeat(n));
    let objects = format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
    let open = "[".repeat(n);
    let text = format!("{{\"a\": 1, \"b\": 5}}\n{arrays}\n{objects}\n{open}\n{{\"b\": 7}}\n");
    for (metrics, n, bad) in [
        ("s = \"sum(b)\"", "=12.0", 1),
        ("s = \"sum(b)\"\nt = \"unique(a)\"\nu = \"unique(a.a.a)\"", "=12.0", 3),
    ] {
        let dir = Workdir::with("d.ndjson", &text, "", metrics);
        let ran = dir.run(&["--format", "json"]);
        assert_eq!(shown(&ran.answers(), "s"), [n]);
        assert_eq!(counter(&ran.answers(), "bad"), bad, "{metrics}");
    }
}

#[test]
fn bytes_of_any_kind_are_counted_and_not_believed() {
    // xorshift64 (Marsaglia 2003) from a fixed seed: the same noise in every run.
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut noise = Vec::new();
    while noise.len() < 1 << 20 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    let nul = b"{\"n\": 1}\n\0\0\0\n{\"n\": \"\0\"}\n{\"n\": 2}\n".to_vec();
    for (bytes, sum, bad) in
        [(nul, "=3.0", 2), ([b"{\"n\": 4}\n", &noise[..], b"\n{\"n\": 5}\n"].concat(), "=9.0", 0)]
    {
        let dir = Workdir::with("d.ndjson", bytes, "bad = \"quarantine\"", "s = \"sum(n)\"");
        let answers = dir.json(&[]);
        assert_eq!(shown(&answers, "s"), [sum]);
        assert!(bad == 0 || counter(&answers, "bad") == bad);
        assert_eq!(counter(&answers, "read"), 2 + counter(&answers, "bad"));
        let aside = dir.read("p.quarantine.ndjson");
        assert_eq!(aside.lines().count() as u64, counter(&answers, "bad"));
        assert!(aside.lines().all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok()));
    }
    for source in ["", "delimiter = \"|\"", "quote = false", "header = false\ncolumns = [\"n\"]"] {
        let dir = Workdir::with("d.csv", [b"n\n1\n", &noise[..]].concat(), source, "s = \"count()\"");
        assert_eq!(dir.run(&[]).code, Some(0), "{source}");
    }
    // Noise is no pipeline either.
    let dir = Workdir::new();
    dir.write("p.toml", &noise);
    dir.run(&[]).expect(2, &["not UTF-8"]);
    dir.write("p.toml", String::from_utf8_lossy(&noise[..4096]).as_bytes());
    dir.run(&[]).expect(2, &["p.toml:1:"]);
}

#[test]
fn times_at_the_ends_of_the_range_are_times() {
    let text = format!("{{\"ts\": {}}}\n{{\"ts\": {}}}\n{{\"ts\": 0}}\n", i64::MIN, i64::MAX).repeat(40);
    for time in ["", ", ahead = \"1h\"", ", lateness = \"1000d\"", ", later = \"drop\""] {
        let source = format!("time = {{ field = \"ts\", unit = \"us\"{time} }}");
        let dir = Workdir::with("d.ndjson", &text, &source, "n = \"count()\"");
        for args in [&[][..], &["--every", "1m"], &["--window", "1h", "--every", "1m"]] {
            let answers = dir.json(args);
            assert_eq!(counter(&answers, "read"), 120, "{time} {args:?}");
        }
    }
}

#[test]
fn memory_gives_way_to_its_budget() {
    let text: String = (0..30_000).map(|i| format!("{{\"g\": \"g{i}\", \"v\": \"v{i}\"}}\n")).collect();
    let metrics =
        "n = { measure = \"count()\", by = [\"g\"], keys = \"1000000 + other\" }\nu = \"unique(v)\"";
    let dir = Workdir::with("d.ndjson", text, "", metrics);
    let answers = dir.json(&["--set", "memory=1MiB", "--shards", "1"]);
    let total: u64 =
        answers.iter().filter(|a| a["metric"] == "n").map(|a| a["value"].as_u64().expect("a count")).sum();
    assert_eq!(total, 30_000, "groups are folded, events are not lost");
    let unique = answers.iter().find(|a| a["metric"] == "u").expect("an answer");
    assert!(unique["low"].as_u64() <= Some(30_000) && unique["high"].as_u64() >= Some(30_000), "{unique}");
}

/// A report far larger than a pipe holds.
fn large_report() -> Workdir {
    let text: String = (0..900).map(|i| format!("{{\"g\": \"group {i}\"}}\n")).collect();
    let metrics = "n = { measure = \"count()\", by = [\"g\"] }\nt = { measure = \"top(g)\", by = [\"g\"] }";
    Workdir::with("d.ndjson", format!("{text}bad\n"), "", metrics)
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let dir = large_report();
    for format in ["table", "json", "ndjson", "csv"] {
        let mut command = dir.command(&["run", "--once", "p.toml", "--format", format]);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let mut first = [0u8; 10];
        let mut out = child.stdout.take().expect("a pipe");
        out.read_exact(&mut first).expect("a report");
        drop(out);
        let mut err = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut err).expect("text");
        assert_eq!(child.wait().expect("the binary ends").code(), Some(0), "{format}: {err}");
        assert!(err.lines().all(|l| l.starts_with("note: 1 of 901")), "{err}");
    }
}

#[test]
fn nobody_needs_to_listen_to_notes() {
    let dir = large_report();
    for args in [&["run", "--once", "p.toml"][..], &["run", "--once", "nope.toml"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = dir.command(args);
        let output = command.stderr(writer).stdout(Stdio::piped()).output().expect("the binary ends");
        let expected = if args.contains(&"p.toml") { 0 } else { 3 };
        assert_eq!(output.status.code(), Some(expected), "{args:?}");
        assert_eq!(output.stdout.is_empty(), expected == 3);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    let dir = large_report();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let output = dir.command(&["run", "--once", "p.toml"]).stdout(full).output().expect("the binary ends");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{err}");
    assert!(err.contains("cannot write the report"), "{err}");
}

#[test]
fn many_small_files_are_read_one_after_the_other() {
    let dir = Workdir::new();
    for i in 0..300 {
        dir.write(
            &format!("{i:03}.ndjson"),
            if i % 3 == 0 { String::new() } else { format!("{{\"n\": {i}}}\n") },
        );
    }
    dir.pipeline("path = \"*.ndjson\"", "s = \"sum(n)\"\nn = \"count()\"");
    let answers = dir.json(&["--shards", "3"]);
    // 0 + 1 + ... + 299 without the multiples of 3.
    assert_eq!((shown(&answers, "s"), shown(&answers, "n")), (vec!["=30000.0".into()], vec!["=200".into()]));
}

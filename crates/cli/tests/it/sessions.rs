//! `session(...)` as a user has it: reports, shards and workers, states that are kept, saved and merged.

use crate::support::{Ran, Workdir, counter, shown};
use serde_json::Value;
use std::fmt::Write;
use std::process::Stdio;
use std::time::Duration;

const SOURCE: &str = "time = { field = \"ts\", unit = \"s\", lateness = \"1m\" }";
const VISITS: &str = "events = \"count()\"\nvisits = \"session(user, gap => '30m')\"";

/// Events from number `from` on, two a second, of users who come and go; within a minute in any order.
fn events(from: u64, to: u64) -> String {
    (from..to).fold(String::new(), |mut text, i| {
        let h = i.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
        let ts = 1_700_000_000 + i / 2 - h % 50;
        // A tenth of all users is there in any two hours.
        let user = (i / 14_400 % 10) * 100 + (h >> 8) % 100;
        writeln!(text, "{{\"ts\": {ts}, \"user\": \"u{user}\"}}").expect("memory takes text");
        text
    })
}

fn dir(events: &str, metrics: &str) -> Workdir {
    Workdir::with("e.ndjson", events, SOURCE, metrics)
}

/// What a report says of sessions.
fn about(answers: &[Value]) -> Vec<String> {
    ["visits", "visits.duration_s", "visits.events"]
        .iter()
        .flat_map(|metric| shown(answers, metric).into_iter().map(move |line| format!("{metric} {line}")))
        .collect()
}

#[test]
fn a_report_has_their_number_how_long_they_took_and_how_many_events_they_had() {
    // Ada comes back after more than half an hour; what is late makes one visit of two of Bob's.
    let lines = [(0, "ada"), (600, "ada"), (700, "bob"), (4_000, "ada"), (4_200, "bob"), (2_450, "bob")];
    let text: String =
        lines.iter().map(|(t, user)| format!("{{\"ts\": {t}, \"user\": \"{user}\"}}\n")).collect();
    let dir = dir(&text, VISITS);
    let totals = dir.json(&[]);
    assert_eq!(
        about(&totals),
        [
            "visits =3",
            "visits.duration_s =[0.5:600 0.9:3500 0.95:3500 0.99:3500 0.999:3500]",
            "visits.events =[0.5:2 0.9:3 0.95:3 0.99:3 0.999:3]"
        ]
    );
    let visits = totals.iter().find(|a| a["metric"] == "visits").expect("an answer");
    assert_eq!(
        (&visits["low"], &visits["exact"], &visits["guarantee"]),
        (&3.into(), &true.into(), &"exact".into())
    );
    assert_eq!(visits["complete_to"], "1970-01-01T00:39:00Z", "half an hour before events are");
    let windows = dir.json(&["--every", "1m"]);
    assert_eq!(
        shown(&windows, "visits"),
        ["1970-01-01T00:10:00Z =1", "1970-01-01T01:06:00Z =1", "1970-01-01T01:10:00Z =1"]
    );
    let table = dir.run(&[]);
    assert!(table.out.contains("visits.duration_s") && table.code == Some(0), "{table:?}");
}

#[test]
fn shards_workers_and_files_change_nothing() {
    let whole = dir(&events(0, 60_000), VISITS);
    let wanted = about(&whole.json(&["--shards", "1"]));
    for args in [["--shards", "3", "--workers", "2"], ["--shards", "4", "--workers", "4"]] {
        assert_eq!(about(&whole.json(&args)), wanted);
    }
    // The same events in two files that are read one after the other.
    let (mut odd, mut even) = (String::new(), String::new());
    for (i, line) in events(0, 60_000).lines().enumerate() {
        writeln!(if i % 2 == 0 { &mut even } else { &mut odd }, "{line}").expect("memory takes text");
    }
    let two = Workdir::with("a.ndjson", even, SOURCE, VISITS);
    two.write("b.ndjson", odd);
    two.pipeline(&format!("path = [\"a.ndjson\", \"b.ndjson\"]\n{SOURCE}"), VISITS);
    assert_eq!(about(&two.json(&[])), wanted);
}

fn go_on(dir: &Workdir, state: &str) -> Vec<Value> {
    let ran: Ran = dir.run(&["--state", state, "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.answers()
}

#[test]
fn a_state_that_is_kept_goes_on_with_open_sessions_also_when_it_was_killed() {
    // So few are held that some leave.
    let visits = "visits = \"session(user, gap => '30m', open => '300')\"";
    let whole = dir(&events(0, 60_000), visits);
    let wanted = about(&whole.json(&[]));
    let grows = dir(&events(0, 25_000), visits);
    go_on(&grows, "state");
    grows.write("e.ndjson", events(0, 60_000));
    assert_eq!(about(&go_on(&grows, "state")), wanted);
    let mut ended = 0;
    for round in 0u64..40 {
        let often = ["--set", "checkpoint={every=\"1ms\"}", "--shards", "2"];
        let args = ["run", "--once", "p.toml", "--format", "json", "--state", "killed"];
        let mut child = whole
            .command(&[&args[..], &often].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        std::thread::sleep(Duration::from_millis(5 + 37 * round % 160));
        child.kill().expect("it can be killed");
        ended += u32::from(child.wait().expect("a child").success());
    }
    assert_eq!(about(&go_on(&whole, "killed")), wanted, "{ended} of 40 came to their end");
}

#[test]
fn saved_states_merge_or_say_why_not() {
    let merge = |metrics: &str| {
        let dir = dir(&events(0, 30_000), metrics);
        dir.write("f.ndjson", events(30_000, 60_000));
        for (file, save) in [("e.ndjson", "a.sgs"), ("f.ndjson", "b.sgs")] {
            let path = format!("source.e.path={file}");
            dir.run(&["--set", &path, "--save", save]).expect(0, &[]);
        }
        let ran = dir.call(&["merge", "a.sgs", "b.sgs", "-o", "both.sgs"]);
        (dir, ran)
    };
    let (merged, ran) = merge(VISITS);
    ran.expect(0, &["2 states"]);
    let read = merged.call(&["sketch", "both.sgs", "--format", "json"]);
    let wanted = about(&dir(&events(0, 60_000), VISITS).json(&[]));
    assert_eq!(about(&read.answers()), wanted);
    let (_, ran) = merge("visits = \"session(user, gap => '30m', open => '200')\"");
    ran.expect(2, &["metric `visits`", "Raise `open`", "all inputs at once"]);
}

#[test]
fn what_may_be_wrong_is_said_and_what_cannot_be_done_is_refused() {
    let small = dir(&events(0, 30_000), "visits = \"session(user, gap => '30m', open => '50')\"");
    let ran = small.run(&["--format", "json"]);
    ran.expect(0, &["sessions of `visits` were closed while they could go on", "more than `open`"]);
    let answers = ran.answers();
    assert!(counter(&answers, "session_cut") > 0);
    let visits = answers.iter().find(|a| a["metric"] == "visits").expect("an answer");
    assert!(visits["low"].as_u64() < visits["value"].as_u64() && visits["exact"] == false);
    small.run(&["--annotate", "visits"]).expect(2, &["counts sessions"]);
    let tiny = dir("", "visits = \"session(user, gap => '30m', open => '1B')\"");
    tiny.run(&[]).expect(2, &["`memory` is too small", "1,000,000,000 sessions", "a smaller `open`"]);
    let check = small.call(&["check", "p.toml", "--explain"]);
    assert!(check.out.contains("up to 50 sessions") && check.out.contains("for sessions: user"), "{check:?}");
}

//! Sites that hand their states to a hub, whose answers are those of one run over the events of all.

use crate::asked::{get, text};
use crate::http::{address, post, terminate};
use crate::support::{Ran, Workdir, counter, shown};
use serde_json::Value;
use std::fmt::Write;
use std::fs::OpenOptions;
use std::io::Read as _;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Measures whose state does not depend on the order of events, nor on where they were measured.
const METRICS: &str = "
hits = { measure = \"count()\", by = [[], [\"shop\"]] }
sum = { measure = \"sum(n)\", by = [\"shop\"] }
users = { measure = \"unique(user)\", by = [[], [\"shop\"]] }
crowd = \"audience(user)\"
slow = { measure = \"quantiles(n)\", by = [\"shop\"] }
steps = \"histogram(n, 1, 10, 50)\"
";

fn pipeline(listen: &str, metrics: &str) -> String {
    format!(
        "panes = [\"10s:1h\", \"1m:1d\"]\ncheckpoint = {{ every = \"20ms\" }}\nserve = {{ listen = \"{listen}\" }}\n\
         [source.e]\nkind = \"file\"\npath = \"hub.ndjson\"\n\
         time = {{ field = \"ts\", unit = \"s\", lateness = \"5s\" }}\nfields = {{ n = \"int64\" }}\n\
         [metric]\n{metrics}"
    )
}

/// Events of a site, four to a second; one in fifty is late.
fn events(site: u64, numbers: std::ops::Range<u64>) -> String {
    numbers.fold(String::new(), |mut text, i| {
        let h = (site * 1_000_003 + i).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
        let ts = 1_700_000_000 + site * 30 + i / 4 - if i % 50 == 49 { 45 } else { 0 };
        let (user, shop, n) = (h % (10 + i / 2), h % 3, h % 97);
        writeln!(text, "{{\"ts\": {ts}, \"user\": \"u{user}\", \"shop\": \"s{shop}\", \"n\": {n}}}")
            .expect("text");
        text
    })
}

fn dir(listen: &str) -> Workdir {
    let dir = Workdir::new();
    dir.write("p.toml", pipeline(listen, METRICS));
    dir
}

/// Starts a program that goes on, which writes to a pipe that somebody reads.
fn start(dir: &Workdir, args: &[&str]) -> Child {
    dir.command(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts")
}

fn hub(dir: &Workdir) -> (Child, String) {
    hub_in(dir, "hub")
}

fn hub_in(dir: &Workdir, state: &str) -> (Child, String) {
    let mut child = start(dir, &["run", "p.toml", "--state", state, "--format", "json"]);
    let at = format!("http://{}", address(&mut child));
    (child, at)
}

/// Measures a file to its end into a state directory.
fn measure(dir: &Workdir, file: &str, state: &str) {
    let path = format!("source.e.path={file}");
    dir.run(&["--set", &path, "--state", state]).expect(0, &[]);
}

fn push(dir: &Workdir, state: &str, origin: &str, to: &str) -> Ran {
    dir.call(&["push", state, "--to", to, "--origin", origin, "--once"])
}

/// The answers, without what names the cut into parts: when it was complete, and how it was kept.
fn measured(answers: &[Value]) -> Vec<Value> {
    let strip = |answer: &Value| {
        let mut answer = answer.clone();
        answer.as_object_mut().expect("an answer").remove("complete_to");
        answer
    };
    answers.iter().filter(|a| !a["metric"].as_str().unwrap_or("").starts_with("sg.")).map(strip).collect()
}

/// One run over files.
fn over_all(dir: &Workdir, files: &[&str], args: &[&str]) -> Vec<Value> {
    let path =
        format!("source.e.path=[{}]", files.iter().map(|f| format!("\"{f}\"")).collect::<Vec<_>>().join(","));
    dir.json(&[&["--set", &path], args].concat())
}

#[test]
fn the_hub_answers_as_one_run_over_the_events_of_all_does() {
    let dir = dir("127.0.0.1:0");
    dir.write("a.ndjson", events(1, 0..3_000));
    dir.write("b.ndjson", events(2, 0..2_000));
    dir.write("hub.ndjson", events(3, 0..1_000));
    measure(&dir, "a.ndjson", "a");
    measure(&dir, "b.ndjson", "b");
    let (child, at) = hub(&dir);
    push(&dir, "a", "berlin", &at).expect(0, &["commit 1 is there"]);
    push(&dir, "b", "oslo", &at).expect(0, &["commit 1 is there"]);
    push(&dir, "a", "berlin", &at).expect(0, &["was there already"]);
    // A site goes on, and what it sends replaces what it had sent.
    dir.write("a.ndjson", events(1, 0..4_000));
    measure(&dir, "a.ndjson", "a");
    push(&dir, "a", "berlin", &at).expect(0, &["commit 2 is there"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !dir.call(&["inspect", "hub"]).out.contains("1,000 read") {
        assert!(Instant::now() < deadline, "the hub does not read its own file");
        std::thread::sleep(Duration::from_millis(50));
    }
    let looked = dir.call(&["inspect", "hub"]);
    assert!(
        looked.out.contains("berlin: commit 2, complete to 2023-") && looked.out.contains("oslo: commit 1")
    );
    let (code, out) = terminate(child);
    assert_eq!(code, Some(0));
    let report: Vec<Value> = serde_json::from_str(&out).expect("a report");
    let wanted = over_all(&dir, &["a.ndjson", "b.ndjson", "hub.ndjson"], &[]);
    assert_eq!(measured(&report), measured(&wanted));
    assert_eq!(counter(&report, "read"), 7_000);
    // The slowest is the hub's own file: 1,000 events end before those of the others.
    let complete = |answers: &[Value]| answers[0]["complete_to"].as_str().map(String::from);
    let alone = over_all(&dir, &["hub.ndjson"], &[]);
    assert!(complete(&alone).is_some());
    assert_eq!(complete(&report), complete(&alone));

    // Later, and in other ways.
    assert_eq!(measured(&dir.json(&["--state", "hub"])), measured(&wanted));
    let every = ["--every", "1m"];
    let windows = over_all(&dir, &["a.ndjson", "b.ndjson", "hub.ndjson"], &every);
    assert_eq!(measured(&dir.json(&["--state", "hub", "--every", "1m"])), measured(&windows));
    let looked = dir.call(&["inspect", "hub", "--format", "json"]).answers();
    assert_eq!(measured(&looked).iter().filter(|a| a["metric"] == "users").count(), 4);
    let commit = looked.iter().find(|a| a["by"]["origin"] == "berlin" && a["by"]["what"] == "commit");
    assert_eq!(commit.expect("a fact")["value"], 2);
    dir.run(&["--state", "hub"]).expect(0, &["origins: berlin, oslo"]);
}

#[test]
fn every_source_goes_by_itself() {
    let dir = Workdir::new();
    let source = |name: &str| {
        format!("[source.{name}]\nkind = \"file\"\npath = \"{name}.ndjson\"\nfields = {{ n = \"int64\" }}\n")
    };
    let metrics = "[metric]\nhits = { measure = \"count()\", from = \"one\" }\nsum = { measure = \"sum(n)\", from = \"two\" }\n";
    let serve = "serve = { listen = \"127.0.0.1:0\" }\n";
    dir.write("p.toml", format!("{serve}{}{}{metrics}", source("one"), source("two")));
    dir.write("one.ndjson", "{\"n\": 1}\n{\"n\": 2}\n");
    dir.write("two.ndjson", "{\"n\": 40}\n");
    dir.run(&["--state", "a"]).expect(0, &[]);
    for file in ["one.ndjson", "two.ndjson"] {
        std::fs::remove_file(dir.path().join(file)).expect("the hub has no events of its own");
    }
    let (child, at) = hub(&dir);
    push(&dir, "a", "x", &at).expect(0, &["`a/one`: commit 1 is there", "`a/two`: commit 1 is there"]);
    // One that is damaged does not keep back the other.
    std::fs::remove_file(dir.path().join("a/one/commit-0000000000000001")).expect("it is removed");
    push(&dir, "a", "y", &at).expect(3, &["`a/one` holds no commit yet", "`a/two`: commit 1 is there"]);
    let (code, out) = terminate(child);
    assert_eq!(code, Some(0), "{out}");
    let report: Vec<Value> = serde_json::from_str(&out).expect("a report");
    // Those of x, and of the second source y.
    assert_eq!((shown(&report, "hits"), shown(&report, "sum")), (vec!["=2".into()], vec!["=80".into()]));
}

#[test]
fn a_hub_without_events_of_its_own_tells_those_of_others() {
    let dir = dir("127.0.0.1:0");
    dir.write("a.ndjson", events(1, 0..500));
    measure(&dir, "a.ndjson", "a");
    let (child, at) = hub(&dir);
    push(&dir, "a", "berlin", &at).expect(0, &[]);
    let looked = dir.call(&["inspect", "hub"]);
    looked.expect(0, &[]);
    assert!(looked.out.contains("berlin: commit 1"), "{looked:?}");
    let (code, out) = terminate(child);
    assert_eq!(code, Some(0), "{out}");
    let report: Vec<Value> = serde_json::from_str(&out).expect("a report");
    assert_eq!(measured(&report), measured(&over_all(&dir, &["a.ndjson"], &[])));
}

#[test]
fn what_does_not_go_together_is_refused_in_words() {
    let dir = dir("127.0.0.1:0");
    dir.write("a.ndjson", events(1, 0..100));
    dir.write("hub.ndjson", events(3, 0..100));
    dir.write("other.toml", pipeline("127.0.0.1:0", &METRICS.replace("unique(user)", "unique(shop)")));
    let seen = "again = { measure = \"seen(user)\", size = \"1000 @ 1%\", keep = \"forever\" }\n";
    dir.write("seen.toml", pipeline("127.0.0.1:0", seen));
    for (file, state) in [("other.toml", "other"), ("seen.toml", "seen")] {
        let path = ["run", "--once", file, "--set", "source.e.path=a.ndjson", "--state", state];
        dir.call(&path).expect(0, &[]);
    }
    let (child, at) = hub(&dir);
    push(&dir, "other", "x", &at)
        .expect(2, &["409", "metric `users` reads other fields", "one pipeline file"]);
    push(&dir, "seen", "x", &at).expect(2, &["409", "metric `hits` is not in both"]);
    push(&dir, "other", "../x", &at).expect(2, &["no name for an origin"]);
    push(&dir, "nothing", "x", &at).expect(3, &["cannot read the state directory"]);
    push(&dir, "other", "x", "https://hub:443").expect(2, &["TLS"]);
    assert_eq!(terminate(child).0, Some(0));

    dir.write("p.toml", pipeline("127.0.0.1:0", seen));
    let (child, at) = hub_in(&dir, "hub-seen");
    push(&dir, "seen", "x", &at).expect(2, &["409", "metric `again` is a `seen`"]);
    assert_eq!(terminate(child).0, Some(0));

    // Nowhere to keep it.
    let mut child = start(&dir, &["run", "p.toml"]);
    let at = format!("http://{}", address(&mut child));
    push(&dir, "seen", "x", &at).expect(2, &["404", "--state DIR"]);
    assert_eq!(terminate(child).0, Some(0));
}

#[test]
fn a_token_is_asked_for() {
    let dir = dir("127.0.0.1:0");
    dir.write("a.ndjson", events(1, 0..100));
    measure(&dir, "a.ndjson", "a");
    let listen = "serve = { listen = \"127.0.0.1:0\", token = { file = \"token\" } }";
    dir.write(
        "p.toml",
        pipeline("127.0.0.1:0", METRICS).replace("serve = { listen = \"127.0.0.1:0\" }", listen),
    );
    dir.write("token", "sesame\n");
    let (child, at) = hub(&dir);
    push(&dir, "a", "x", &at).expect(2, &["401", "token"]);
    let args = ["push", "a", "--to", &at, "--origin", "x", "--once", "--token-env", "TOKEN_OF_HUB"];
    dir.call(&args).expect(2, &["no text in `TOKEN_OF_HUB`"]);
    let output = dir.command(&args).env("TOKEN_OF_HUB", "sesame").output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(terminate(child).0, Some(0));
}

#[test]
fn a_flipped_byte_at_the_hub_is_named_and_mended() {
    let dir = dir("127.0.0.1:0");
    dir.write("a.ndjson", events(1, 0..2_000));
    measure(&dir, "a.ndjson", "a");
    let (child, at) = hub(&dir);
    push(&dir, "a", "berlin", &at).expect(0, &[]);
    let place = dir.path().join("hub/origins.d/berlin/e");
    let inside =
        |path: PathBuf| std::fs::read_dir(path).expect("a directory").map(|e| e.expect("an entry").path());
    let state = inside(place).next().expect("a state");
    let segment = inside(state).find(|path| path.to_string_lossy().ends_with("shard-0")).expect("a segment");
    let mut bytes = std::fs::read(&segment).expect("bytes");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).expect("it is written");
    dir.call(&["inspect", "hub"]).expect(3, &["origin `berlin`", "shard-0", "checksum"]);
    push(&dir, "a", "berlin", &at).expect(0, &["1 segments"]);
    dir.call(&["inspect", "hub"]).expect(0, &[]);
    assert_eq!(terminate(child).0, Some(0));
}

/// The hub's pipeline changes while it runs: what was sent under the old one is left out aloud until the sites have changed too.
#[test]
fn a_hub_that_changes_takes_what_measures_the_same_from_then_on() {
    let dir = dir("127.0.0.1:0");
    dir.write("a.ndjson", events(1, 0..500));
    measure(&dir, "a.ndjson", "a");
    let (child, at) = hub(&dir);
    push(&dir, "a", "berlin", &at).expect(0, &[]);
    let more = format!("{METRICS}most = \"max(n)\"\n");
    dir.write("p.toml", pipeline("127.0.0.1:0", &more));
    let told = std::process::Command::new("kill").args(["-HUP", &child.id().to_string()]).status();
    assert!(told.expect("kill runs").success());
    let deadline = Instant::now() + Duration::from_secs(60);
    while push(&dir, "a", "berlin", &at).code == Some(0) {
        assert!(Instant::now() < deadline, "the hub does not change");
        std::thread::sleep(Duration::from_millis(20));
    }
    push(&dir, "a", "berlin", &at).expect(2, &["409", "metric `most` is not in both"]);
    measure_again(&dir, "a.ndjson", "a");
    push(&dir, "a", "berlin", &at).expect(0, &["is there"]);
    let (code, out) = terminate(child);
    assert_eq!(code, Some(0), "{out}");
    let report: Vec<Value> = serde_json::from_str(&out).expect("a report");
    assert_eq!(counter(&report, "read"), 500);
    assert!(report.iter().any(|answer| answer["metric"] == "most"));
}

/// Goes on under the pipeline as it is now.
fn measure_again(dir: &Workdir, file: &str, state: &str) {
    let path = format!("source.e.path={file}");
    dir.run(&["--set", &path, "--state", state, "--migrate"]).expect(0, &[]);
}

#[test]
fn the_example_of_two_shops_and_a_hub_runs() {
    let dir = Workdir::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/sites/shop.toml");
    dir.write("p.toml", std::fs::read(example).expect("the example"));
    dir.call(&["demo", "--events", "20000", "--write", "events.ndjson"]).expect(0, &[]);
    let open = |state: &str| {
        let listen = "serve.listen=127.0.0.1:0";
        let mut child =
            start(&dir, &["run", "p.toml", "--state", state, "--set", listen, "--format", "json"]);
        let at = address(&mut child);
        (child, at)
    };
    let text = dir.read("events.ndjson");
    let half = text[..text.len() / 2].rfind('\n').expect("lines") + 1;
    for (site, events) in [("berlin", &text[..half]), ("oslo", &text[half..])] {
        let (child, at) = open(site);
        assert_eq!(post(&at, "", events.as_bytes()).expect("an answer").0, 200);
        // Whether it was read already does not matter: it is in the log.
        let _ = terminate(child);
        dir.call(&["run", "--once", "p.toml", "--state", site]).expect(0, &[]);
    }
    let (child, at) = open("hub");
    for site in ["berlin", "oslo"] {
        push(&dir, site, site, &format!("http://{at}")).expect(0, &[]);
    }
    let (code, out) = terminate(child);
    assert_eq!(code, Some(0), "{out}");
    let answers: Vec<Value> = serde_json::from_str(&out).expect("a report");
    let of = |answer: &&Value| answer["metric"] == "events" && answer["by"] == serde_json::json!({});
    assert_eq!(answers.iter().find(of).expect("an answer")["value"], 20_000);
}

/// A site that is measured while it is pushed; the run, the push and the hub are killed at random times, and in the end nothing
/// is lost or counted twice.
#[test]
fn whoever_is_killed_nothing_is_lost_or_counted_twice() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let at = format!("127.0.0.1:{port}");
    let dir = dir(&at);
    let to = format!("http://{at}");
    let files = ["a.ndjson", "b.ndjson"];
    files.iter().for_each(|file| dir.write(file, ""));
    let follow = |site: usize| {
        let path = format!("source.e.path={}", files[site]);
        let state = ["a", "b"][site];
        start(&dir, &["run", "p.toml", "--set", &path, "--set", "serve.listen=127.0.0.1:0", "--state", state])
    };
    let send = |site: usize| {
        let state = ["a", "b"][site];
        start(&dir, &["push", state, "--to", &to, "--origin", ["berlin", "oslo"][site], "--every", "30ms"])
    };
    let serve = || start(&dir, &["run", "p.toml", "--state", "hub"]);
    let mut programs: Vec<Child> = vec![serve(), follow(0), follow(1), send(0), send(1)];
    let (mut random, mut kills) = (11u64, 0);
    let mut draw = move |n: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % n
    };
    for round in 0..60 {
        for (site, file) in files.iter().enumerate() {
            let mut file = OpenOptions::new().append(true).open(dir.path().join(file)).expect("a file");
            let text = events(site as u64, round * 50..round * 50 + 50);
            file.write_all(text.as_bytes()).expect("it is written");
        }
        std::thread::sleep(Duration::from_millis(30 + draw(120)));
        let nth = draw(5) as usize;
        programs[nth].kill().expect("it is killed");
        programs[nth].wait().expect("it ends");
        kills += 1;
        programs[nth] = match nth {
            0 => serve(),
            1 | 2 => follow(nth - 1),
            _ => send(nth - 3),
        };
    }
    assert_eq!(kills, 60);
    for program in &mut programs {
        let _ = program.kill();
        let _ = program.wait();
    }
    // The hub has a whole commit of each by now.
    let looked = dir.call(&["inspect", "hub"]);
    looked.expect(0, &[]);
    assert!(looked.out.contains("berlin: commit ") && looked.out.contains("oslo: commit "), "{looked:?}");
    // What is on disk by now is what a calm run goes on from.
    measure(&dir, "a.ndjson", "a");
    measure(&dir, "b.ndjson", "b");
    let (child, at) = hub(&dir);
    push(&dir, "a", "berlin", &at).expect(0, &[]);
    push(&dir, "b", "oslo", &at).expect(0, &[]);
    let (code, out) = terminate(child);
    assert_eq!(code, Some(0), "{out}");
    let report: Vec<Value> = serde_json::from_str(&out).expect("a report");
    assert_eq!(counter(&report, "read"), 6_000);
    assert_eq!(measured(&report), measured(&over_all(&dir, &files, &[])));
}

/// Posts a saved state, and gives back the status and the answer.
fn merge(at: &str, words: &str, body: &[u8]) -> (u16, Value) {
    let mut stream = TcpStream::connect(at.trim_start_matches("http://")).expect("somebody listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    let head = format!(
        "POST /v1/merge?{words} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).expect("it is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split_whitespace().nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let body = answer.split_once("\r\n\r\n").expect("a body").1;
    (status, serde_json::from_str(body).expect("JSON"))
}

/// Measures a file to its end, and saves all of it.
fn save(dir: &Workdir, file: &str, name: &str) -> Vec<u8> {
    let path = format!("source.e.path={file}");
    dir.run(&["--set", &path, "--state", &format!("state-{name}"), "--save", name]).expect(0, &[]);
    std::fs::read(dir.path().join(name)).expect("it was saved")
}

#[test]
fn saved_states_that_are_posted_count_once_each() {
    let dir = dir("127.0.0.1:0");
    dir.write("a.ndjson", events(1, 0..3_000));
    dir.write("b.ndjson", events(2, 0..2_000));
    dir.write("hub.ndjson", events(3, 0..1_000));
    let (a, b) = (save(&dir, "a.ndjson", "a.sgs"), save(&dir, "b.ndjson", "b.sgs"));
    dir.write("a2.ndjson", events(1, 0..4_000));
    let a2 = save(&dir, "a2.ndjson", "a2.sgs");
    let (child, at) = hub(&dir);
    let taken = |revision: u64| (200, serde_json::json!({ "state": "taken", "revision": revision }));
    let known = |revision: u64| (200, serde_json::json!({ "state": "known", "revision": revision }));
    assert_eq!(merge(&at, "origin=berlin&revision=1", &a), taken(1));
    assert_eq!(merge(&at, "origin=oslo&revision=20261121", &b), taken(20261121));
    assert_eq!(merge(&at, "origin=berlin&revision=1", &a), known(1));
    assert_eq!(merge(&at, "origin=berlin&revision=2", &a2), taken(2));
    // What comes late or again changes nothing.
    assert_eq!(merge(&at, "origin=berlin&revision=1", &a), known(2));

    let refused = |words: &str, body: &[u8], status: u16, part: &str| {
        let (code, said) = merge(&at, words, body);
        assert_eq!(code, status, "{said}");
        assert!(said["detail"].as_str().is_some_and(|detail| detail.contains(part)), "{part}: {said}");
    };
    refused("origin=berlin", &a, 400, "`origin` and `revision`");
    refused("origin=berlin&revision=x", &a, 400, "no whole number");
    refused("origin=..&revision=3", &a, 400, "no name for an origin");
    refused("origin=berlin&revision=3", b"{}", 400, "no state file");
    refused("origin=berlin&revision=3", &a[..a.len() - 9], 400, "damaged");
    refused("origin=berlin&revision=2", &a, 409, "other bytes");
    dir.run(&["--set", "source.e.path=a.ndjson", "--save", "totals.sgs"]).expect(0, &[]);
    let totals = std::fs::read(dir.path().join("totals.sgs")).expect("it was saved");
    refused("origin=paris&revision=1", &totals, 409, "whole ladder");
    dir.write("other.toml", pipeline("127.0.0.1:0", "hits = \"count()\""));
    dir.call(&[
        "run",
        "--once",
        "other.toml",
        "--set",
        "source.e.path=a.ndjson",
        "--state",
        "o",
        "--save",
        "o.sgs",
    ])
    .expect(0, &[]);
    let other = std::fs::read(dir.path().join("o.sgs")).expect("it was saved");
    refused("origin=paris&revision=1", &other, 409, "what it measures is not what is measured here");
    measure(&dir, "a.ndjson", "pushed");
    push(&dir, "pushed", "berlin", &at).expect(2, &["sends saved states"]);

    let deadline = Instant::now() + Duration::from_secs(60);
    while !dir.call(&["inspect", "hub"]).out.contains("1,000 read") {
        assert!(Instant::now() < deadline, "the hub does not read its own file");
        std::thread::sleep(Duration::from_millis(50));
    }
    let looked = dir.call(&["inspect", "hub"]).out;
    assert!(
        looked.contains("berlin: revision 2, complete to 2023-")
            && looked.contains("oslo: revision 20261121"),
        "{looked}"
    );
    let (code, out) = terminate(child);
    assert_eq!(code, Some(0));
    let report: Vec<Value> = serde_json::from_str(&out).expect("a report");
    let wanted = over_all(&dir, &["a2.ndjson", "b.ndjson", "hub.ndjson"], &[]);
    assert_eq!(measured(&report), measured(&wanted));
    assert_eq!(counter(&report, "read"), 7_000);
}

/// The rows of an answer, without what names the cut into parts.
fn asked(at: &str, metric: &str, words: &str) -> Vec<Value> {
    let (status, answer) = get(at.trim_start_matches("http://"), &format!("/v1/metrics/{metric}?{words}"));
    assert_eq!(status, 200, "{answer}");
    measured(answer["rows"].as_array().expect("rows"))
}

/// Waits until a hub that goes on counts so many events.
fn counts(at: &str, wanted: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let (_, answer) = get(at.trim_start_matches("http://"), "/v1/metrics/hits?by=");
        if answer["rows"][0]["value"] == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{wanted}: {answer}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_hub_that_goes_on_is_asked_over_all_sites() {
    let dir = dir("127.0.0.1:0");
    dir.write("a.ndjson", events(1, 0..3_000));
    dir.write("b.ndjson", events(2, 0..2_000));
    dir.write("hub.ndjson", events(3, 0..1_000));
    measure(&dir, "a.ndjson", "a");
    let saved = save(&dir, "b.ndjson", "b.sgs");
    let (child, at) = hub(&dir);
    counts(&at, 1_000);
    push(&dir, "a", "berlin", &at).expect(0, &["commit 1 is there"]);
    counts(&at, 4_000);
    assert_eq!(merge(&at, "origin=oslo&revision=1", &saved).0, 200);
    counts(&at, 6_000);
    dir.write("a.ndjson", events(1, 0..4_000));
    measure(&dir, "a.ndjson", "a");
    push(&dir, "a", "berlin", &at).expect(0, &["commit 2 is there"]);
    counts(&at, 7_000);

    let files = ["a.ndjson", "b.ndjson", "hub.ndjson"];
    let (totals, windows) = (over_all(&dir, &files, &[]), over_all(&dir, &files, &["--every", "1m"]));
    for metric in ["hits", "sum", "users", "crowd", "slow", "steps"] {
        let of = |answers: &[Value]| -> Vec<Value> {
            measured(answers).into_iter().filter(|answer| answer["metric"] == metric).collect()
        };
        assert_eq!(asked(&at, metric, ""), of(&totals), "{metric}");
        assert_eq!(asked(&at, metric, "every=1m"), of(&windows), "{metric} by the minute");
    }
    let sql = "select value from hits where grouped_by = '' order by start limit 3";
    let answered = dir.call(&["query", "--server", &at, sql, "--format", "csv"]);
    let panes = over_all(&dir, &files, &["--every", "10s"]);
    let first: Vec<String> = shown(&panes, "hits")
        .iter()
        .filter(|line| line.contains(" ="))
        .take(3)
        .map(|line| line.rsplit('=').next().expect("a value").to_string())
        .collect();
    assert_eq!(answered.out, format!("value\n{}\n", first.join("\n")), "{answered:?}");

    // It is complete up to where the slowest is, and every origin says where that is.
    let host = at.trim_start_matches("http://");
    let (_, answer) = get(host, "/v1/metrics/hits?by=");
    let alone = over_all(&dir, &["hub.ndjson"], &[]);
    assert_eq!(answer["complete_to"], alone[0]["complete_to"]);
    let (_, status) = get(host, "/v1/status");
    let source = &status["sources"][0];
    assert_eq!(
        (&source["counters"]["read"], &source["complete_to"]),
        (&Value::from(7_000), &alone[0]["complete_to"])
    );
    let origins = source["origins"].as_array().expect("origins");
    let told: Vec<(&str, &str)> = origins
        .iter()
        .map(|origin| (origin["origin"].as_str().unwrap_or(""), origin["version"].as_str().unwrap_or("")))
        .collect();
    assert_eq!(told, [("berlin", "commit 2"), ("oslo", "revision 1")]);
    let of_a = over_all(&dir, &["a.ndjson"], &[]);
    assert_eq!(origins[0]["complete_to"], of_a[0]["complete_to"]);
    assert!(
        origins.iter().all(|origin| origin["age_s"].as_f64().is_some_and(|age| (0.0..600.0).contains(&age)))
    );

    // A site that is forgotten counts no longer.
    std::fs::remove_dir_all(dir.path().join("hub/origins.d/berlin")).expect("it was there");
    counts(&at, 3_000);
    let (code, out) = terminate(child);
    assert_eq!(code, Some(0));
    let report: Vec<Value> = serde_json::from_str(&out).expect("a report");
    assert_eq!(counter(&report, "read"), 3_000);
}

#[test]
fn a_run_tells_how_long_its_operations_take_and_how_old_its_state_is() {
    let dir = dir("127.0.0.1:0");
    dir.write("hub.ndjson", events(3, 0..3_000));
    let (child, at) = hub(&dir);
    counts(&at, 3_000);
    let host = at.trim_start_matches("http://");
    let value = |name: &str| -> Option<f64> {
        let text = text(host, "/metrics");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("streamgauge_{name} ")).map(String::from));
        line.map(|number| number.parse().expect("a number"))
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while value("checkpoint_number{source=\"e\"}").is_none_or(|number| number < 1.0) {
        assert!(Instant::now() < deadline, "{}", text(host, "/metrics"));
        std::thread::sleep(Duration::from_millis(50));
    }
    for operation in ["fold_block", "close_panes", "freeze", "commit"] {
        let of = |name: &str| {
            value(&format!("operation_duration_{name}{{source=\"e\",operation=\"{operation}\"}}"))
        };
        assert!(
            of("seconds_count").is_some_and(|count| count >= 1.0),
            "{operation}: {}",
            text(host, "/metrics")
        );
        let (average, longest) = (of("average_seconds").expect("told"), of("max_seconds").expect("told"));
        assert!(0.0 <= average && average <= longest && longest < 600.0, "{operation}: {average} {longest}");
        let median = "operation_duration_seconds{source=\"e\",operation=\"fold_block\",quantile=\"0.5\"}";
        assert!(value(median).is_some());
    }
    assert!(value("checkpoint_age_seconds{source=\"e\"}").is_some_and(|age| (0.0..600.0).contains(&age)));
    assert_eq!(terminate(child).0, Some(0));
    // What an earlier run has committed has an age as well.
    let (child, at) = hub(&dir);
    counts(&at, 3_000);
    let told = text(at.trim_start_matches("http://"), "/metrics");
    assert!(told.contains("streamgauge_checkpoint_age_seconds{source=\"e\"} "), "{told}");
    assert_eq!(terminate(child).0, Some(0));
}

//! Events over HTTP: what was acknowledged is counted once, whatever happens to the program.

use crate::support::{Workdir, counter, gz, shown};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn dir(listen: &str) -> Workdir {
    let dir = Workdir::new();
    dir.write(
        "p.toml",
        format!(
            "panes = [\"1s:1h\"]\ncheckpoint = {{ every = \"20ms\" }}\nserve = {{ listen = \"{listen}\" }}\n\
             [source.e]\nkind = \"http\"\ntime = {{ field = \"ts\", unit = \"s\" }}\n\
             fields = {{ ts = \"int64\", n = \"int64\" }}\n\
             [metric]\nhits = \"count()\"\nsum = \"sum(n)\"\n\
             [sink.out]\nkind = \"file\"\npath = \"panes.ndjson\"\n"
        ),
    );
    dir
}

fn start(dir: &Workdir) -> Child {
    dir.command(&["run", "p.toml", "--state", "s", "--format", "json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts")
}

/// The address that a run says it listens on.
pub fn address(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe"));
    loop {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).expect("text") > 0, "it ended before it listened");
        if let Some(address) = line.trim().strip_prefix("listening on http://") {
            let address = address.to_string();
            // What follows must go somewhere.
            std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
            return address;
        }
    }
}

/// Posts a body, and gives back the status and the body of the answer; none when there was none.
pub fn post(address: &str, headers: &str, body: &[u8]) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split_whitespace().nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_string()))
}

fn lines(numbers: std::ops::Range<u64>) -> String {
    numbers.map(|n| format!("{{\"ts\":{},\"n\":{n}}}\n", 1_000 + n / 100)).collect()
}

pub fn terminate(child: Child) -> (Option<i32>, String) {
    let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    let output = child.wait_with_output().expect("it ends");
    (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"))
}

fn wait_for(dir: &Workdir, records: u64) {
    let (wanted, deadline) = (format!("records    {records} read"), Instant::now() + Duration::from_secs(60));
    loop {
        let told = dir.call(&["inspect", "s"]);
        if told.out.replace(',', "").contains(&wanted) {
            return;
        }
        assert!(Instant::now() < deadline, "{wanted} is not in {told:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_is_posted_is_counted_and_read_on_after_a_restart() {
    let dir = dir("127.0.0.1:0");
    let mut child = start(&dir);
    let at = address(&mut child);
    let (status, answer) = post(&at, "", lines(0..1_000).as_bytes()).expect("an answer");
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("\"records\":1000") && answer.contains("\"duplicate\":false"), "{answer}");
    let stamp = "Streamgauge-Producer: web-1\r\nStreamgauge-Sequence: 7\r\n";
    let body = gz(lines(1_000..2_000).as_bytes());
    for duplicate in ["false", "true"] {
        let headers = format!("{stamp}Content-Encoding: gzip\r\n");
        let (status, answer) = post(&at, &headers, &body).expect("an answer");
        assert_eq!(status, 200, "{answer}");
        assert!(answer.contains(&format!("\"duplicate\":{duplicate}")), "{answer}");
    }
    let (status, _) = post(&at, "", b"this is no event\n").expect("an answer");
    assert_eq!(status, 200);
    wait_for(&dir, 2_001);
    let (code, out) = terminate(child);
    assert_eq!(code, Some(0), "{out}");
    let answers: Vec<serde_json::Value> = serde_json::from_str(&out).expect("a report");
    assert_eq!((counter(&answers, "read"), counter(&answers, "bad")), (2_001, 1));
    assert_eq!(shown(&answers, "hits"), ["=2000"]);

    // It goes on, and knows the producer.
    let mut child = start(&dir);
    let at = address(&mut child);
    let headers = format!("{stamp}Content-Encoding: gzip\r\n");
    let (_, answer) = post(&at, &headers, &body).expect("an answer");
    assert!(answer.contains("\"duplicate\":true"), "{answer}");
    post(&at, "", lines(2_000..3_000).as_bytes()).expect("an answer");
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    // What was acknowledged is there, though nobody had read it, or had committed that.
    let answers = dir.json(&["--state", "s"]);
    assert_eq!(shown(&answers, "hits"), ["=3000"]);
    assert_eq!(shown(&answers, "sum"), [format!("={}", 2_999 * 3_000 / 2)]);
}

#[test]
fn killed_under_load_every_acknowledged_event_is_counted_once() {
    // A port that was free a moment ago: clients must find the program again.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let at = format!("127.0.0.1:{port}");
    let dir = dir(&at);
    const BODIES: u64 = 150;
    const CLIENTS: u64 = 3;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let at = at.clone();
            std::thread::spawn(move || {
                for body in (client..BODIES).step_by(CLIENTS as usize) {
                    let headers =
                        format!("Streamgauge-Producer: c{client}\r\nStreamgauge-Sequence: {body}\r\n");
                    let text = lines(body * 40..body * 40 + 40);
                    let deadline = Instant::now() + Duration::from_secs(120);
                    while post(&at, &headers, text.as_bytes()).is_none_or(|(status, _)| status != 200) {
                        assert!(Instant::now() < deadline, "body {body} was never taken in");
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    std::thread::sleep(Duration::from_millis(8));
                }
            })
        })
        .collect();
    let (mut kills, mut random) = (0, 5u64);
    while clients.iter().any(|client| !client.is_finished()) {
        let mut child = start(&dir);
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis(60 + (random >> 40) % 150));
        child.kill().expect("it is killed");
        child.wait().expect("it ends");
        kills += 1;
    }
    clients.into_iter().for_each(|client| client.join().expect("a client"));
    eprintln!("{kills} kills");
    assert!(kills >= 3, "{kills} kills");
    let all = BODIES * 40;
    let answers = dir.json(&["--state", "s"]);
    assert_eq!(counter(&answers, "read"), all);
    assert_eq!(shown(&answers, "hits"), [format!("={all}")]);
    assert_eq!(shown(&answers, "sum"), [format!("={}", all * (all - 1) / 2)]);
}

#[test]
fn the_example_of_a_shop_as_it_happens_runs() {
    let dir = Workdir::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/running/shop.toml");
    dir.write("p.toml", std::fs::read(example).expect("the example"));
    dir.call(&["demo", "--events", "20000", "--write", "events.ndjson"]).expect(0, &[]);
    let mut child = dir
        .command(&["run", "p.toml", "--state", "s", "--format", "json", "--set", "serve.listen=127.0.0.1:0"])
        .args(["--set", "serve.postgres=127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let at = address(&mut child);
    let (status, answer) = post(&at, "", dir.read("events.ndjson").as_bytes()).expect("an answer");
    assert_eq!(status, 200, "{answer}");
    wait_for(&dir, 20_000);
    let (code, out) = terminate(child);
    assert_eq!(code, Some(0), "{out}");
    let answers: Vec<serde_json::Value> = serde_json::from_str(&out).expect("a report");
    let total = |metric: &str| {
        let of = |a: &&serde_json::Value| a["metric"] == metric && a["by"] == serde_json::json!({});
        answers.iter().find(of).unwrap_or_else(|| panic!("{metric}: {answers:?}"))["value"].as_u64()
    };
    assert_eq!(total("events"), Some(20_000));
    // The events by the minute that have left add up to no more than all of them, and to nearly all.
    let left: u64 = dir
        .read("panes.000001.ndjson")
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a line"))
        .filter(|row| row["metric"] == "events" && row["by"] == serde_json::json!({}) && row["revision"] == 0)
        .filter_map(|row| row["value"].as_u64())
        .sum();
    assert!((15_000..=20_000).contains(&left), "{left}");
}

#[test]
fn without_a_state_nothing_is_acknowledged() {
    let dir = dir("127.0.0.1:0");
    dir.call(&["run", "p.toml"]).expect(2, &["takes events over HTTP", "add --state DIR"]);
}

/// Posts a body to a path with words, and gives back the status and the answer.
fn post_to(address: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).expect("it is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split_whitespace().nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let body = answer.split_once("\r\n\r\n").expect("a body").1;
    (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")))
}

#[test]
fn who_posts_is_told_what_was_found_of_each_event() {
    let dir = Workdir::new();
    dir.write(
        "p.toml",
        "checkpoint = { every = \"20ms\" }\nserve = { listen = \"127.0.0.1:0\" }\n\
         [source.e]\nkind = \"http\"\ntime = { field = \"ts\", unit = \"s\" }\nfields = { ts = \"int64\" }\n\
         [metric]\nhits = \"count()\"\nreturning = { measure = \"seen(user)\", size = \"1K @ 1%\", keep = \"forever\" }\n\
         devices = { measure = \"count()\", by = [\"device\"] }\n",
    );
    let mut child = start(&dir);
    let at = address(&mut child);
    let event = |ts: u64, user: &str, device: &str| {
        format!("{{\"ts\":{ts},\"user\":\"{user}\",\"device\":\"{device}\"}}\n")
    };
    let first = [
        event(1_000, "ada", "ios"),
        "nonsense\n\n".into(),
        event(1_001, "bob", "tv"),
        event(1_001, "ada", "tv"),
    ]
    .concat();
    let (status, answer) = post_to(&at, "/v1/events?reply=returning,device", "", &first);
    assert_eq!((status, &answer["judged"], &answer["records"]), (200, &json!(true), &json!(4)), "{answer}");
    let seen = |answer: &Value| -> Vec<Value> {
        let events = answer["events"].as_array().expect("events").iter();
        events
            .map(|event| event["bad"].as_str().map_or(event["returning"]["value"].clone(), Value::from))
            .collect()
    };
    assert_eq!(seen(&answer), [json!(false), json!("json"), json!(false), json!(true)], "{answer}");
    assert_eq!(
        (&answer["events"][0]["device"], &answer["events"][3]["device"]),
        (&json!("ios"), &json!("tv"))
    );
    // Many at once, each told of its own; every user is new once.
    let told: Vec<Vec<Value>> = std::thread::scope(|scope| {
        let post = |of: u64| {
            let body: String = (0..200)
                .map(|n| event(1_002 + n / 50, &format!("u{}", (of * 100 + n) % 500), "web"))
                .collect();
            let (status, answer) = post_to(&at, "/v1/events/e?reply=returning", "", &body);
            assert_eq!((status, answer["judged"].as_bool()), (200, Some(true)), "{answer}");
            seen(&answer)
        };
        let posts: Vec<_> = (0..10).map(|of| scope.spawn(move || post(of))).collect();
        posts.into_iter().map(|post| post.join().expect("it ends")).collect()
    });
    assert!(told.iter().all(|told| told.len() == 200));
    // A filter may take a new user for one seen before, and never the other way round.
    let new = told.iter().flatten().filter(|seen| **seen == json!(false)).count();
    assert!((450..=500).contains(&new), "{new}");
    // One that was taken in before is judged once.
    let stamp = "Streamgauge-Producer: web-1\r\nStreamgauge-Sequence: 7\r\n";
    let body = event(1_010, "cy", "ios");
    assert_eq!(post_to(&at, "/v1/events?reply=returning", stamp, &body).0, 200);
    let (status, answer) = post_to(&at, "/v1/events?reply=returning", stamp, &body);
    assert_eq!(
        (status, &answer["judged"], &answer["duplicate"]),
        (202, &json!(false), &json!(true)),
        "{answer}"
    );
    let refused = |words: &str, body: &str, status: u16, part: &str| {
        let (code, said) = post_to(&at, &format!("/v1/events?{words}"), "", body);
        assert_eq!(code, status, "{said}");
        assert!(said["detail"].as_str().is_some_and(|detail| detail.contains(part)), "{part}: {said}");
    };
    refused("reply=hits", &body, 400, "`hits` is over many events");
    refused("reply=colour", &body, 400, "no field `colour`");
    refused("reply=", &body, 400, "names 0 things");
    refused("answer=hits", &body, 400, "`answer` is not known here");
    refused("reply=returning", &event(1, "x", "y").repeat(10_001), 413, "10001 records");
    let (code, out) = terminate(child);
    assert_eq!(code, Some(0));
    let report: Vec<Value> = serde_json::from_str(&out).expect("a report");
    assert_eq!(counter(&report, "read"), 4 + 2_000 + 1, "nothing that was refused is kept");
}

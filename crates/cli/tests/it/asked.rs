//! A run is asked over HTTP while it follows its input: what it has read is in the answer, whatever joins later too.

use crate::http::{address, terminate};
use crate::support::Workdir;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

const PIPELINE: &str = r#"
panes = ["1m:1h", "1h:7d"]
serve = { listen = "127.0.0.1:0" }

[source.e]
path   = "events.ndjson"
time   = { field = "ts", unit = "s" }
fields = { ts = "int64" }

[metric]
hits  = { measure = "count()", by = [[], ["device"]] }
users = { measure = "unique(user)" }
"#;

fn events(seconds: std::ops::Range<u64>) -> String {
    let line = |at: u64| format!("{{\"ts\":{at},\"device\":\"d{}\",\"user\":\"u{}\"}}\n", at % 2, at % 50);
    seconds.map(line).collect()
}

/// The status and the body of an answer.
pub fn get(address: &str, path: &str) -> (u16, Value) {
    let (status, body) = fetch(address, path);
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

/// The body of an answer that is no JSON.
pub fn text(address: &str, path: &str) -> String {
    let (status, body) = fetch(address, path);
    assert_eq!(status, 200, "{body}");
    body
}

fn fetch(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split_whitespace().nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer.split_once("\r\n\r\n").expect("a body").1.to_string())
}

/// The status and the answer of a query.
pub fn sql(address: &str, query: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    let length = query.len();
    write!(
        stream,
        "POST /v1/sql HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{query}"
    )
    .expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split_whitespace().nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, serde_json::from_str(answer.split_once("\r\n\r\n").expect("a body").1).unwrap_or(Value::Null))
}

/// The value of the only row, once it is this.
fn becomes(address: &str, path: &str, expected: u64) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let (_, answer) = get(address, path);
        if answer["rows"][0]["value"] == json!(expected) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{path} is not {expected}: {answer}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_was_read_so_far_is_answered_and_what_joins_it() {
    let dir = Workdir::new();
    dir.write("p.toml", PIPELINE);
    dir.write("events.ndjson", events(0..3_600));
    let mut child = dir
        .command(&["run", "p.toml", "--format", "json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let at = address(&mut child);
    let answer = becomes(&at, "/v1/metrics/hits?by=", 3_600);
    assert_eq!(answer["newest"], "1970-01-01T00:59:59Z");
    becomes(&at, "/v1/metrics/hits?by=device&where=device:d1&window=10m", 300);
    becomes(&at, "/v1/metrics/users", 50);
    let (status, refused) = get(&at, "/v1/metrics/hit");
    assert_eq!((status, &refused["hint"]), (404, &json!("there is hits, users")));

    let more = events(3_600..4_000);
    std::fs::OpenOptions::new()
        .append(true)
        .open(dir.path().join("events.ndjson"))
        .and_then(|mut file| file.write_all(more.as_bytes()))
        .expect("it grows");
    becomes(&at, "/v1/metrics/hits?by=", 4_000);
    // The window moves on with the clock of the events.
    let answer = becomes(&at, "/v1/metrics/hits?by=&window=10m", 580);
    assert_eq!(answer["rows"][0]["start"], "1970-01-01T00:57:00Z");
    let (status, answer) = sql(&at, "select device, value from hits('10m', by => 'device') order by device");
    assert_eq!((status, &answer["rows"]), (200, &json!([["d0", 290], ["d1", 290]])), "{answer}");
    let (status, answer) = sql(&at, "drop table hits");
    assert_eq!(status, 403, "{answer}");
    let (status, answer) = sql(&at, "select device from hit");
    assert_eq!(status, 400, "{answer}");
    assert!(answer["hint"].as_str().is_some_and(|hint| hint.contains("hits")), "{answer}");
    let (_, status) = get(&at, "/v1/status");
    assert_eq!(status["sources"][0]["counters"]["accepted"], 4_000, "{status}");

    let (code, out) = terminate(child);
    assert_eq!(code, Some(0));
    let report: Vec<Value> = serde_json::from_str(&out).expect("a report");
    assert_eq!(report[0]["value"], 4_000);
}

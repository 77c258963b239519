//! What is measured is asked over HTTP: the answers are the reader's, and what is not understood says what is.

use crate::client::{Client, listen};
use arrow_array::StringArray;
use engine::batch::Batch;
use engine::column::Column;
use engine::intake::Intake;
use engine::judge::Judge;
use engine::moment::{Moment, Reader};
use engine::shard::Shard;
use engine::spec::*;
use engine::time::{SECOND, Span, Time};
use serde_json::{Value, json};
use serve::{Behind, Server};
use std::sync::Arc;

/// A moment that does not pass.
pub(crate) struct Still(Arc<Source>, Result<Arc<Moment>, String>);

impl Reader for Still {
    fn sources(&self) -> Vec<Arc<Source>> {
        vec![Arc::clone(&self.0)]
    }

    fn moment(&self, _: usize) -> Result<Arc<Moment>, String> {
        self.1.clone()
    }
}

/// An event a second for two hours, of three devices in turn: 2,400 of each.
pub(crate) fn reader() -> Still {
    let source = Arc::new(hits());
    let moment = moment(&source, 7_200);
    Still(source, Ok(moment))
}

/// A source that counts what there is, by device.
pub fn hits() -> Source {
    let second = |n: i64| Span(n * SECOND);
    let hits = Metric {
        name: "hits".into(),
        measure: Measure::Count,
        filter: None,
        by: vec![vec![], vec![0]],
        groups_max: 100,
        levels: vec![
            Level { size: second(60), keep: second(86_400) },
            Level { size: second(3_600), keep: second(864_000) },
        ],
        total: true,
    };
    let time = TimeSpec {
        from: TimeFrom::Field { path: "ts".into(), format: TimeFormat::Unix(SECOND, 1) },
        lateness: second(0),
        later: Later::Correct,
        ahead: None,
        agree: 32,
    };
    Source {
        fields: vec![Field { path: "device".into(), kind: Kind::String }],
        time: Some(time),
        metrics: vec![hits],
        ..Source::new("events", Format::Ndjson)
    }
}

/// So many events of it, one a second, of three devices in turn.
pub fn moment(source: &Arc<Source>, rows: usize) -> Arc<Moment> {
    let devices = ["ios", "android", "a b&c"];
    let batch = Batch {
        rows,
        times: (0..rows).map(|at| Time(at as i64 * SECOND)).collect(),
        columns: vec![Column::String(StringArray::from_iter_values((0..rows).map(|at| devices[at % 3])))],
        lines: rows as u64,
        ..Batch::empty(0, 0)
    };
    let (mut intake, mut judge) = (Intake::new(source), Judge::new(source, None, 0));
    let mut shard = Shard::new(source, u64::MAX);
    intake.push(batch).iter().for_each(|judged| shard.apply(judged));
    shard.advance(intake.boundary().expect("a watermark"));
    let frozen = vec![shard.freeze()];
    Arc::new(Moment::new(Arc::clone(source), frozen, &mut judge, intake.tally(), intake.watermark()))
}

fn server(reader: Still) -> Server {
    Server::start(listen(), Behind { reader: Some(Arc::new(reader)), ..Behind::default() }).expect("a server")
}

fn values(answer: &Value) -> Vec<(String, u64)> {
    let rows = answer["rows"].as_array().expect("rows").iter();
    rows.map(|row| {
        (row["by"]["device"].as_str().unwrap_or("").to_string(), row["value"].as_u64().expect("a count"))
    })
    .collect()
}

#[test]
fn totals_windows_and_groups_are_answered() {
    let server = server(reader());
    let mut client = Client::new(&server);
    let mut check = |path: &str, expected: &[(&str, u64)]| {
        let reply = client.get(path, &[]);
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        let expected: Vec<_> = expected.iter().map(|(device, n)| (device.to_string(), *n)).collect();
        assert_eq!(values(&reply.json()), expected, "{path}");
        reply.json()
    };
    let by_device = [("a b&c", 2_400), ("android", 2_400), ("ios", 2_400)];
    let total = check("/v1/metrics/hits?by=", &[("", 7_200)]);
    assert_eq!(total["complete_to"], "1970-01-01T01:59:59Z");
    assert_eq!((&total["rows"][0]["exact"], &total["rows"][0]["start"]), (&json!(true), &Value::Null));
    check("/v1/metrics/hits?by=device", &by_device);
    check("/v1/metrics/hits?by=device&where=device:ios", &[("ios", 2_400)]);
    check("/v1/metrics/hits?where=device:a+b%26c", &[("a b&c", 2_400)]);
    check("/v1/metrics/hits?by=device&where=device:windows", &[]);
    check("/v1/metrics/hits?by=device&limit=1", &[("a b&c", 2_400)]);
    let last = check("/v1/metrics/hits?window=90m&by=", &[("", 5_400)]);
    assert_eq!(last["rows"][0]["end"], "1970-01-01T02:00:00Z");
    check("/v1/metrics/hits?every=1h&by=", &[("", 3_600), ("", 3_600)]);
    check("/v1/metrics/hits?from=1970-01-01T00:10:00Z&to=1970-01-01T00:12:00Z&by=", &[("", 120)]);
    assert_eq!(
        client.get("/v1/metrics/hits?panes&by=", &[]).json()["rows"].as_array().map(Vec::len),
        Some(120)
    );
}

#[test]
fn what_is_measured_and_how_it_goes_is_told() {
    let server = server(reader());
    let mut client = Client::new(&server);
    let list = client.get("/v1/metrics", &[]).json();
    let expected = json!([{
        "metric": "hits", "source": "events", "measure": "count", "of": null, "by": [[], ["device"]],
        "panes": ["1m:1d", "1h:10d"], "total": true, "groups_max": 100,
    }]);
    assert_eq!(list["metrics"], expected);
    let status = client.get("/v1/status", &[]).json();
    assert_eq!(status["sources"][0]["counters"]["read"], 7_200);
    assert!(status["sources"][0]["memory_bytes"]["hits"].as_u64().is_some_and(|bytes| bytes > 0), "{status}");
}

#[test]
fn what_cannot_be_asked_is_refused_with_a_hint() {
    let server = server(reader());
    let mut client = Client::new(&server);
    let mut check = |path: &str, status: u16, part: &str| {
        let reply = client.get(path, &[]);
        reply.assert_refused(status, part);
        assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    };
    check("/v1/metrics/visits", 404, "no metric is called `visits`");
    check("/v1/metrics/hits?by=country", 400, "not grouped by country");
    check("/v1/metrics/hits?every=90s", 400, "windows of 90s every 90s are not made of");
    check("/v1/metrics/hits?every=1s", 400, "not made of its panes of 1m, 1h");
    check("/v1/metrics/hits?colour=red", 400, "`colour` is no part of a question");
}

#[test]
fn a_run_that_does_not_answer_is_asked_again_later() {
    let Still(source, _) = reader();
    let server = server(Still(source, Err("it has not begun".into())));
    let reply = Client::new(&server).get("/v1/metrics/hits", &[]);
    reply.assert_refused(503, "it has not begun");
    assert_eq!(reply.header("retry-after"), Some("1"));
    let nothing = Server::start(listen(), Behind::default()).expect("a server");
    Client::new(&nothing).get("/v1/metrics", &[]).assert_refused(404, "nothing is measured here");
}

/// The value of a series.
fn series(text: &str, name: &str) -> Option<f64> {
    let of = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    text.lines().find_map(of)
}

#[test]
fn what_is_measured_stands_among_the_metrics() {
    let server = server(reader());
    let mut client = Client::new(&server);
    let text = client.get("/metrics", &[]).body;
    let check =
        |name: &str, expected: f64| assert_eq!(series(&text, name), Some(expected), "{name} in {text}");
    check("streamgauge_metric_hits_total{source=\"events\",window=\"all\"}", 7_200.0);
    check(
        "streamgauge_metric_hits_by_device_total{source=\"events\",window=\"all\",device=\"ios\"}",
        2_400.0,
    );
    check("streamgauge_source_events_total{source=\"events\",reason=\"read\"}", 7_200.0);
    check("streamgauge_newest_event_timestamp_seconds{source=\"events\"}", 7_199.0);
    check("streamgauge_series_dropped", 0.0);
    let recent = client.get("/metrics?window=10m", &[]).body;
    let of_window = "streamgauge_metric_hits{source=\"events\",window=\"10m\"}";
    assert_eq!(series(&recent, of_window), Some(600.0), "{recent}");
    // Each family is told once, and in one piece.
    let mut names: Vec<&str> = recent.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    client.get("/metrics?window=soon", &[]).assert_refused(400, "not a length of time");
    let later = client.get("/metrics", &[]).body;
    let asked = "streamgauge_http_request_duration_seconds_count{route=\"/metrics\"}";
    assert_eq!(series(&later, asked), Some(3.0), "{later}");
}

#[test]
fn a_stream_tells_each_answer_once_until_it_changes() {
    let server = server(reader());
    let mut client = Client::new(&server);
    client.get("/v1/stream", &[]).assert_refused(400, "there is no question");
    client.get("/v1/stream?ask=hits%3Fcolour%3Dred", &[]).assert_refused(400, "`colour`");
    client.send("GET /v1/stream?ask=hits%3Fby%3D&ask=nothing&every=100ms HTTP/1.1\r\nHost: x\r\n\r\n");
    let text = client.until("no metric is called `nothing`");
    assert!(text.contains("content-type: text/event-stream"), "{text}");
    assert!(text.contains("event: answer\ndata: {\"ask\":\"hits?by=\",\"answer\":{"), "{text}");
    assert!(text.contains("event: problem\n"), "{text}");
    std::thread::sleep(std::time::Duration::from_millis(500));
    // Stopped, it ends; nothing was said twice meanwhile.
    let stopping = std::thread::spawn(move || server.stop());
    let rest = client.until("event: end");
    assert!(!rest.contains("\"ask\""), "{rest}");
    stopping.join().expect("it stops");
}

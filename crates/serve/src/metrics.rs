//! `GET /health`, `/ready`, `/metrics`.

use crate::counters::{Refused, SourceCounters};
use crate::server::House;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::inbox::Load;
use serde_json::json;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Whether there is anybody. Answers 200 as long as it answers: trouble is told, and a restart would not mend it.
pub(crate) async fn health(State(house): State<Arc<House>>) -> Response {
    let trouble = house.trouble.lock().unwrap_or_else(|e| e.into_inner()).clone();
    match trouble {
        None => Json(json!({ "status": "ok" })).into_response(),
        Some(error) => Json(json!({ "status": "trouble", "error": error })).into_response(),
    }
}

/// Whether events should be sent here.
pub(crate) async fn ready(State(house): State<Arc<House>>) -> Response {
    let stopping = house.stopping.load(Relaxed);
    let ready = house.ready.load(Relaxed) && !stopping;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready, "stopping": stopping }))).into_response()
}

/// Everything that is counted, as Prometheus reads it.
pub(crate) async fn metrics(State(house): State<Arc<House>>) -> Response {
    let mut text = String::new();
    of_requests(&house, &mut text);
    of_sources(&house, &mut text);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

fn of_requests(house: &House, out: &mut String) {
    let counters = &house.counters;
    head("http_requests_total", "counter", "Requests by the status they were answered with.", out);
    for (status, count) in counters.statuses() {
        line("http_requests_total", &[("status", &status.to_string())], count, out);
    }
    head("http_refused_requests_total", "counter", "Requests that were refused, by reason.", out);
    for (reason, word) in Refused::ALL {
        line("http_refused_requests_total", &[("reason", word)], counters.refused(reason), out);
    }
    let single: [(&str, &str, &str, &AtomicU64); 8] = [
        ("http_received_bytes_total", "counter", "Bytes of bodies, as they came.", &counters.received_bytes),
        ("http_connections", "gauge", "Connections that are open.", &counters.connections),
        (
            "http_refused_connections_total",
            "counter",
            "Connections turned away because there were too many.",
            &counters.connections_refused,
        ),
        (
            "http_accept_errors_total",
            "counter",
            "Connections that the system could not hand over.",
            &counters.accept_errors,
        ),
        ("http_receiving_bytes", "gauge", "Bytes of bodies that are being received.", &house.receiving_bytes),
        (
            "origin_commits_total",
            "counter",
            "Commits of other nodes that were taken over.",
            &counters.origin_commits,
        ),
        ("origin_segments_total", "counter", "Segments of them.", &counters.origin_segments),
        ("origin_bytes_total", "counter", "Bytes of these segments.", &counters.origin_bytes),
    ];
    for (name, kind, help, value) in single {
        head(name, kind, help, out);
        line(name, &[], value.load(Relaxed), out);
    }
}

fn of_sources(house: &House, out: &mut String) {
    type OfCounters = fn(&SourceCounters) -> &AtomicU64;
    let counted: [(&str, &str, OfCounters); 4] = [
        ("http_accepted_bodies_total", "Bodies that were taken in.", |counters| &counters.bodies),
        ("http_accepted_bytes_total", "Bytes of bodies that were taken in.", |counters| &counters.bytes),
        ("http_accepted_records_total", "Lines of bodies that were taken in.", |counters| &counters.records),
        ("http_duplicate_bodies_total", "Bodies that had been taken in before.", |counters| {
            &counters.duplicates
        }),
    ];
    for (name, help, value) in counted {
        head(name, "counter", help, out);
        for source in &house.behind.sources {
            line(name, &[("source", &source.name)], value(&source.counters).load(Relaxed), out);
        }
    }
    type OfLoad = fn(&Load) -> u64;
    let loads: [(&str, &str, OfLoad); 5] = [
        ("inbox_queue_bytes", "Bytes of bodies on their way to the disk.", |load| load.queue_bytes),
        ("inbox_queue_bodies", "Bodies on their way to the disk.", |load| load.queue_bodies),
        ("inbox_backlog_bytes", "Durable bytes that no commit covers yet.", |load| load.backlog_bytes),
        ("inbox_disk_bytes", "Bytes of the files of the inbox.", |load| load.disk_bytes),
        ("inbox_producers", "Producers that are known.", |load| load.producers),
    ];
    for (name, help, value) in loads {
        head(name, "gauge", help, out);
        for source in &house.behind.sources {
            line(name, &[("source", &source.name)], value(&source.inbox.load()), out);
        }
    }
}

fn head(name: &str, kind: &str, help: &str, out: &mut String) {
    let _ = writeln!(out, "# HELP streamgauge_{name} {help}\n# TYPE streamgauge_{name} {kind}");
}

fn line(name: &str, labels: &[(&str, &str)], value: u64, out: &mut String) {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels: Vec<String> =
        labels.iter().map(|(key, text)| format!("{key}=\"{}\"", escaped(text))).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    let _ = writeln!(out, "streamgauge_{name}{labels} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_cannot_break_out_of_their_quotes() {
        let mut out = String::new();
        line("x_total", &[("source", "a\"} 1\n\\")], 3, &mut out);
        assert_eq!(out, "streamgauge_x_total{source=\"a\\\"} 1\\n\\\\\"} 3\n");
    }
}

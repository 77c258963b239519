//! `GET /health`, `/ready`, `/metrics`.

use crate::ask::Words;
use crate::counters::{Refused, SourceCounters};
use crate::exposition::Exposition;
use crate::measured::{self, SERIES_MAX};
use crate::server::House;
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::inbox::Load;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::task::spawn_blocking;

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

/// Everything that is counted and measured, as Prometheus reads it; `?window=5m` adds the newest window of that length.
pub(crate) async fn metrics(State(house): State<Arc<House>>, RawQuery(query): RawQuery) -> Response {
    let window = match Words::read(&query.unwrap_or_default()) {
        Ok(words) => words.window,
        Err(problem) => {
            house.counters.refuse(problem.reason);
            return problem.into_response();
        }
    };
    let inside = Arc::clone(&house);
    // Merging takes its time, which no connection should wait for.
    let text = spawn_blocking(move || {
        let mut out = Exposition::new(SERIES_MAX);
        of_requests(&inside, &mut out);
        of_sources(&inside, &mut out);
        inside.latency.tell(&mut out);
        inside.cache.tell(&mut out);
        if let Some(reader) = &inside.behind.reader {
            measured::tell(&**reader, window, &mut out);
        }
        out.finish()
    });
    let text = text.await.unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

fn of_requests(house: &House, out: &mut Exposition) {
    let counters = &house.counters;
    let help = "Requests by the status they were answered with.";
    if let Some(mut family) = out.family("http_requests_total", "counter", help) {
        for (status, count) in counters.statuses() {
            family.put("", &[("status", &status.to_string())], count as f64);
        }
    }
    let help = "Requests that were refused, by reason.";
    if let Some(mut family) = out.family("http_refused_requests_total", "counter", help) {
        for (reason, word) in Refused::ALL {
            family.put("", &[("reason", word)], counters.refused(reason) as f64);
        }
    }
    let single: [(&str, &str, &str, &AtomicU64); 14] = [
        ("http_received_bytes_total", "counter", "Bytes of bodies, as they came.", &counters.received_bytes),
        ("http_connections", "gauge", "Connections that are open.", &counters.connections),
        (
            "postgres_connections",
            "gauge",
            "Connections of clients of Postgres.",
            &counters.postgres_connections,
        ),
        (
            "postgres_refused_connections_total",
            "counter",
            "Those turned away because there were too many.",
            &counters.postgres_refused,
        ),
        ("http_streams", "gauge", "Streams of answers that are open.", &counters.streams),
        ("http_replies", "gauge", "Bodies that wait for what is found of their events.", &counters.replies),
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
        (
            "http_tls_failures_total",
            "counter",
            "Connections that did not come to terms about TLS.",
            &counters.tls_failures,
        ),
        ("http_receiving_bytes", "gauge", "Bytes of bodies that are being received.", &house.receiving_bytes),
        (
            "origin_commits_total",
            "counter",
            "Commits of other nodes that were taken over.",
            &counters.origin_commits,
        ),
        (
            "origin_saved_states_total",
            "counter",
            "Saved states of other nodes that were taken over.",
            &counters.origin_saved,
        ),
        ("origin_segments_total", "counter", "Segments of commits.", &counters.origin_segments),
        ("origin_bytes_total", "counter", "Bytes of segments and saved states.", &counters.origin_bytes),
    ];
    for (name, kind, help, value) in single {
        out.single(name, kind, help, value.load(Relaxed) as f64);
    }
    let uptime = house.since.elapsed().as_secs_f64();
    out.single("uptime_seconds", "gauge", "How long the server has been listening.", uptime);
    if let Some(mut family) = out.family("build_info", "gauge", "Always 1; the version stands in the label.")
    {
        family.put("", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    }
}

fn of_sources(house: &House, out: &mut Exposition) {
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
        let Some(mut family) = out.family(name, "counter", help) else { continue };
        for source in &house.behind.sources {
            family.put("", &[("source", &source.name)], value(&source.counters).load(Relaxed) as f64);
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
        let Some(mut family) = out.family(name, "gauge", help) else { continue };
        for source in &house.behind.sources {
            family.put("", &[("source", &source.name)], value(&source.inbox.load()) as f64);
        }
    }
}

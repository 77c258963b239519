//! `GET /v1/status`: how the run is going, in one look.

use crate::answers::reader;
use crate::server::House;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use engine::answer::Key;
use engine::moment::{Counted, Moment, Reader};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::spawn_blocking;

/// Counters, watermark and memory of every source.
pub(crate) async fn status(State(house): State<Arc<House>>) -> Response {
    let reader = match reader(&house) {
        Ok(reader) => reader,
        Err(problem) => return problem.into_response(),
    };
    let sources = spawn_blocking(move || {
        let numbers = reader.sources().len();
        (0..numbers)
            .map(|source| {
                let told = reader.moment(source);
                told.map_or_else(|why| json!({ "error": why }), |now| of(&now, &*reader, source))
            })
            .collect()
    });
    let sources: Vec<Value> = sources.await.unwrap_or_default();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": house.since.elapsed().as_secs(),
        "ready": house.ready.load(Relaxed),
        "stopping": house.stopping.load(Relaxed),
        "connections": house.counters.connections.load(Relaxed),
        "cache": house.cache.status(),
        "sql": house.behind.database.is_some(),
        "sources": sources,
    }))
    .into_response()
}

/// How long ago something was written, in seconds.
pub(crate) fn age_s(written_us: u64) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_micros(written_us)).as_secs_f64()
}

fn origin(counted: &Counted) -> Value {
    match &counted.left_out {
        Some(why) => json!({ "origin": counted.origin, "counted": false, "left_out": why }),
        None => json!({
            "origin": counted.origin,
            "counted": true,
            "version": counted.version,
            "complete_to": counted.complete_to.map(|time| time.to_string()),
            "age_s": age_s(counted.written_us).floor(),
        }),
    }
}

fn of(moment: &Moment, reader: &dyn Reader, number: usize) -> Value {
    let origins = reader.origins(number);
    let commit = reader
        .committed(number)
        .map(|(number, written_us)| json!({ "number": number, "age_s": age_s(written_us) }));
    let source = moment.source();
    let mut counters = Map::new();
    moment.counters(&mut |answer| {
        let reason = answer.by.iter().find(|(name, _)| name == "reason").map(|(_, key)| key);
        if let (Some(Key::String(reason)), Some(value)) = (reason, answer.reading.value) {
            counters.insert(reason.clone(), json!(value));
        }
    });
    let metrics: Map<String, Value> = source
        .metrics
        .iter()
        .enumerate()
        .map(|(number, metric)| (metric.name.clone(), json!(moment.memory_bytes(number))))
        .collect();
    json!({
        "source": source.name,
        "complete_to": moment.watermark().map(|time| time.to_string()),
        "newest": moment.newest().map(|time| time.to_string()),
        "counters": counters,
        "commit": commit,
        "origins": origins.iter().map(origin).collect::<Vec<Value>>(),
        "memory_bytes": metrics,
    })
}

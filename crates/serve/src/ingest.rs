//! `POST /v1/events`: a body becomes durable, then it is answered.

use crate::body::{drain, receive};
use crate::counters::Refused;
use crate::reply::Problem;
use crate::server::{House, Source};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::inbox::{Accepted, Delivery, PRODUCER_BYTES_MAX, Refusal, Stamp};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;

const PRODUCER: &str = "streamgauge-producer";
const SEQUENCE: &str = "streamgauge-sequence";

/// Events of the only source.
pub(crate) async fn events(State(house): State<Arc<House>>, request: Request) -> Response {
    answer(&house, None, request).await
}

/// Events of the source that is named.
pub(crate) async fn events_of(
    State(house): State<Arc<House>>,
    Path(source): Path<String>,
    request: Request,
) -> Response {
    answer(&house, Some(&source), request).await
}

async fn answer(house: &Arc<House>, source: Option<&str>, request: Request) -> Response {
    let (parts, mut body) = request.into_parts();
    match take_in(house, source, &parts.headers, &mut body).await {
        Ok(accepted) => Json(json!({
            "accepted_bytes": accepted.bytes,
            "records": accepted.records,
            "duplicate": accepted.duplicate,
            "offset": accepted.offset,
        }))
        .into_response(),
        Err(problem) => {
            house.counters.refuse(problem.reason);
            if problem.reason != Refused::Slow {
                drain(house, &parts.headers, &mut body).await;
            }
            problem.into_response()
        }
    }
}

async fn take_in(
    house: &Arc<House>,
    source: Option<&str>,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<Accepted, Problem> {
    let source = find(house, source)?;
    if house.stopping.load(Relaxed) {
        return Err(Problem::stopping());
    }
    check_type(headers)?;
    let stamp = stamp(headers)?;
    let (body, hold) = receive(house, headers, body).await?;
    let (tell, told) = oneshot::channel();
    // Whoever asked may be gone; the body is kept all the same, and a retry is a duplicate.
    let answer = Box::new(move |result| drop(tell.send(result)));
    source.inbox.append(Delivery { body, stamp }, now_ms(), answer);
    // From here on the queue of the inbox bounds it.
    drop(hold);
    let result = told.await.unwrap_or(Err(Refusal::Stopping));
    count(house, source, &result);
    result.map_err(Problem::from)
}

fn find<'a>(house: &'a House, name: Option<&str>) -> Result<&'a Source, Problem> {
    let named = |source: &&Source| name.is_none_or(|name| source.name == name);
    match (house.behind.sources.iter().find(named), house.behind.sources.len(), name) {
        (Some(source), 1, None) | (Some(source), _, Some(_)) => Ok(source),
        _ => {
            let error = match name {
                Some(name) => format!("no source is called `{name}`"),
                None if house.behind.sources.is_empty() => "no source takes events over HTTP".into(),
                None => "there are several sources".into(),
            };
            let paths: Vec<String> =
                house.behind.sources.iter().map(|source| format!("/v1/events/{}", source.name)).collect();
            let hint = match paths.len() {
                0 => "give one of the pipeline file kind = \"http\"".into(),
                _ => format!("post to {}", paths.join(" or ")),
            };
            Err(Problem::new(StatusCode::NOT_FOUND, Refused::NotFound, error, hint))
        }
    }
}

/// Refuses what is clearly no NDJSON. Clients that say nothing, or what `curl --data-binary` says by itself, are believed.
fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let value = value.to_str().unwrap_or("?");
    let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let known = matches!(
        kind.as_str(),
        "" | "text/plain" | "application/octet-stream" | "application/x-www-form-urlencoded"
    );
    if known || kind.contains("json") {
        return Ok(());
    }
    let error = format!("Content-Type `{value}` is not read");
    let hint = "send NDJSON, one event a line, as application/x-ndjson";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Refused::Media, error, hint))
}

/// What makes a retry harmless, if the client says it.
fn stamp(headers: &HeaderMap) -> Result<Option<Stamp>, Problem> {
    let (producer, sequence) = match (single(headers, PRODUCER)?, single(headers, SEQUENCE)?) {
        (None, None) => return Ok(None),
        (Some(producer), Some(sequence)) => (producer, sequence),
        (one, _) => {
            let (there, lacks) = if one.is_some() { (PRODUCER, SEQUENCE) } else { (SEQUENCE, PRODUCER) };
            let hint = "a retry can be told from a new body only with both; leave both out to do without";
            return Err(Problem::bad(format!("there is {there}, but no {lacks}"), hint));
        }
    };
    let digits = !sequence.is_empty() && sequence.bytes().all(|byte| byte.is_ascii_digit());
    let Some(sequence) = digits.then(|| sequence.parse().ok()).flatten() else {
        let hint =
            "it is a whole number from 0 to 18446744073709551615, ascending with every body of the producer";
        return Err(Problem::bad(format!("{SEQUENCE} `{sequence}` is no number"), hint));
    };
    let hint = format!("it has 1 to {PRODUCER_BYTES_MAX} visible ASCII characters");
    let stamp = Stamp::new(producer, sequence);
    stamp.map(Some).ok_or_else(|| Problem::bad(format!("{PRODUCER} `{producer}` is no name"), hint))
}

fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => Ok(Some(value.to_str().unwrap_or("?").trim())),
        (Some(_), Some(_)) => Err(Problem::bad(format!("{name} is there twice"), "send it once")),
    }
}

fn count(house: &House, source: &Source, result: &Result<Accepted, Refusal>) {
    let counters = &source.counters;
    match result {
        Ok(Accepted { duplicate: true, .. }) => {
            counters.duplicates.fetch_add(1, Relaxed);
        }
        Ok(accepted) => {
            counters.bodies.fetch_add(1, Relaxed);
            counters.bytes.fetch_add(accepted.bytes, Relaxed);
            counters.records.fetch_add(accepted.records, Relaxed);
            house.note_disk(None);
        }
        Err(refusal @ (Refusal::NoSpace | Refusal::Failed(_))) => house.note_disk(Some(refusal)),
        Err(_) => {}
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

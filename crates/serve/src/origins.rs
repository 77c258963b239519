//! `/v1/origins` and `/v1/merge`: other nodes hand over their states. Manifests and saved states are bodies; segments go to the disk as
//! they come.

use crate::ask::decoded;
use crate::body::{drain, receive};
use crate::counters::Refused;
use crate::reply::Problem;
use crate::server::House;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use engine::origins::{Incoming, No, Offered, Origins, Replaced, SegmentOf};
use http_body_util::BodyExt;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Bytes of a segment that are written at a time.
const WRITE_BYTES: usize = 1 << 20;

/// `POST /v1/origins/ORIGIN/SOURCE/commit`: a manifest is offered.
pub(crate) async fn commit(
    State(house): State<Arc<House>>,
    Path((origin, source)): Path<(String, String)>,
    request: Request,
) -> Response {
    let (parts, mut body) = request.into_parts();
    let offered = offer(&house, origin, source, &parts.headers, &mut body).await;
    let answer = offered.map(|offered| match offered {
        Offered::Taken => json!({ "state": "taken" }),
        Offered::Known { commit } => json!({ "state": "known", "commit": commit }),
        Offered::Lacks { state, segments } => {
            json!({ "state": "lacking", "of": state, "segments": segments })
        }
    });
    finish(&house, &parts.headers, &mut body, answer).await
}

/// `PUT /v1/origins/ORIGIN/SOURCE/segments/STATE/NAME`: a segment that a manifest has named.
pub(crate) async fn segment(
    State(house): State<Arc<House>>,
    Path(path): Path<(String, String, String, String)>,
    request: Request,
) -> Response {
    let (parts, mut body) = request.into_parts();
    let answer = take_in(&house, path, &mut body).await.map(|bytes| json!({ "bytes": bytes }));
    finish(&house, &parts.headers, &mut body, answer).await
}

/// `POST /v1/merge?origin=ORIGIN&revision=N`: a saved state is all that there is of an origin from now on.
pub(crate) async fn merge(
    State(house): State<Arc<House>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let (parts, mut body) = request.into_parts();
    let merged = replace(&house, &query.unwrap_or_default(), &parts.headers, &mut body).await;
    let answer = merged.map(|(replaced, revision)| match replaced {
        Replaced::Taken => json!({ "state": "taken", "revision": revision }),
        Replaced::Known { revision } => json!({ "state": "known", "revision": revision }),
    });
    finish(&house, &parts.headers, &mut body, answer).await
}

async fn replace(
    house: &Arc<House>,
    query: &str,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<(Replaced, u64), Problem> {
    let origins = open(house)?;
    let (origin, revision) = of_whom(query)?;
    let (file, hold) = receive(house, headers, body).await?;
    let bytes = file.len() as u64;
    let merged = waiting(move || origins.merge(&origin, revision, &file)).await;
    drop(hold);
    if merged == Ok(Replaced::Taken) {
        house.counters.origin_saved.fetch_add(1, Relaxed);
        house.counters.origin_bytes.fetch_add(bytes, Relaxed);
    }
    Ok((merged.map_err(Problem::from)?, revision))
}

/// The origin and the revision behind the `?`.
fn of_whom(query: &str) -> Result<(String, u64), Problem> {
    const EXAMPLE: &str =
        "as in /v1/merge?origin=berlin&revision=7, where each state of an origin has a higher revision";
    let bad = |error: String| Problem::bad(error, EXAMPLE);
    let (mut origin, mut revision) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value)?;
        match name {
            "origin" => origin = Some(value),
            "revision" => {
                let number =
                    value.parse().map_err(|_| bad(format!("`revision={value}` is no whole number")))?;
                revision = Some(number);
            }
            other => return Err(bad(format!("`{other}` is not known here; there are origin and revision"))),
        }
    }
    origin.zip(revision).ok_or_else(|| bad("`origin` and `revision` say whose state it is, and which".into()))
}

async fn offer(
    house: &Arc<House>,
    origin: String,
    source: String,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<Offered, Problem> {
    let origins = open(house)?;
    let (manifest, hold) = receive(house, headers, body).await?;
    let offered = waiting(move || origins.offer(&origin, &source, &manifest)).await;
    drop(hold);
    if offered == Ok(Offered::Taken) {
        house.counters.origin_commits.fetch_add(1, Relaxed);
    }
    offered.map_err(Problem::from)
}

async fn take_in(
    house: &Arc<House>,
    (origin, source, state, name): (String, String, String, String),
    body: &mut Body,
) -> Result<u64, Problem> {
    let origins = open(house)?;
    let begin = move || {
        let of = SegmentOf { origin: &origin, source: &source, state: &state, name: &name };
        origins.segment(&of)
    };
    let mut part = waiting(begin).await?;
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    loop {
        let frame = timeout(house.listen.body_timeout, body.frame()).await.map_err(|_| slow(house))?;
        let ended = frame.is_none();
        if let Some(frame) = frame {
            let cut = |_| Problem::bad("the segment ended early", "send it again, whole");
            let frame = frame.map_err(cut)?;
            chunk.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        }
        if chunk.len() >= WRITE_BYTES || ended && !chunk.is_empty() {
            bytes += chunk.len() as u64;
            let full = std::mem::take(&mut chunk);
            part = waiting(move || push(part, &full)).await?;
        }
        if ended {
            break;
        }
    }
    waiting(move || part.finish()).await?;
    house.counters.origin_segments.fetch_add(1, Relaxed);
    house.counters.origin_bytes.fetch_add(bytes, Relaxed);
    Ok(bytes)
}

fn push(mut part: Box<dyn Incoming>, bytes: &[u8]) -> Result<Box<dyn Incoming>, No> {
    part.push(bytes).map(|()| part)
}

/// Does what waits for the disk where no connection waits for it.
async fn waiting<T: Send + 'static>(work: impl FnOnce() -> Result<T, No> + Send + 'static) -> Result<T, No> {
    spawn_blocking(work).await.unwrap_or(Err(No::Busy))
}

fn open(house: &House) -> Result<Arc<dyn Origins>, Problem> {
    if house.stopping.load(Relaxed) {
        return Err(Problem::stopping());
    }
    house.behind.origins.clone().ok_or_else(|| {
        let hint = "run it with --state DIR: that is where they are kept";
        let error = "no states of other nodes are taken here";
        Problem::new(StatusCode::NOT_FOUND, Refused::NotFound, error, hint)
    })
}

async fn finish(
    house: &House,
    headers: &HeaderMap,
    body: &mut Body,
    answer: Result<serde_json::Value, Problem>,
) -> Response {
    match answer {
        Ok(answer) => Json(answer).into_response(),
        Err(problem) => {
            house.counters.refuse(problem.reason);
            if problem.reason != Refused::Slow {
                drain(house, headers, body).await;
            }
            problem.into_response()
        }
    }
}

fn slow(house: &House) -> Problem {
    let error = format!("nothing came of the segment for {} seconds", house.listen.body_timeout.as_secs());
    Problem::new(StatusCode::REQUEST_TIMEOUT, Refused::Slow, error, "send it again")
}

impl From<No> for Problem {
    fn from(no: No) -> Problem {
        let error = no.to_string();
        let new = |status, reason, hint: &str| Problem::new(status, reason, error.clone(), hint);
        match no {
            No::Bad(_) => Problem::bad(error, "`streamgauge push` sends what is understood here"),
            No::NoSource(_) => {
                new(StatusCode::NOT_FOUND, Refused::NotFound, "both run the same pipeline file")
            }
            No::Another(_) => new(StatusCode::CONFLICT, Refused::Another, "nothing was changed here"),
            No::TooMuch(_) => {
                new(StatusCode::PAYLOAD_TOO_LARGE, Refused::TooLong, "nothing was changed here")
            }
            No::NotThis(_) => {
                new(StatusCode::PRECONDITION_FAILED, Refused::Another, "offer the commit again")
            }
            No::Busy => Problem::busy(error),
            No::NoSpace | No::Failed(_) => {
                let hint = "make room on the disk of the state directory; what was kept stays as it is";
                new(StatusCode::SERVICE_UNAVAILABLE, Refused::Disk, hint).after(10)
            }
        }
    }
}

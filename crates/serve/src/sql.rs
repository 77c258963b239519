//! `POST /v1/sql`: a query over what is measured, within limits of time, memory and rows.
//!
//! Queries run on a thread of their own, one at a time beside what waits: however heavy one is, events are taken in and other
//! questions answered.

use crate::answers::{CACHE_STATUS, Found};
use crate::body::{drain, receive};
use crate::cache::{Kept, Key, Now, Versions};
use crate::counters::Refused;
use crate::reply::Problem;
use crate::server::House;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use plan::query::{Database, QueryError, Trouble, json as written};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

const EXAMPLE: &str = "send {\"query\": \"select * from sg.metrics\"} as application/json, or the statement alone as text/plain";

/// A statement as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    query: String,
}

/// Answers a statement.
pub(crate) async fn sql(State(house): State<Arc<House>>, request: Request) -> Response {
    let (parts, mut body) = request.into_parts();
    match answered(&house, &parts.headers, &mut body).await {
        Ok((kept, found)) => {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (CACHE_STATUS, HeaderValue::from_static(found.word())),
            ];
            (headers, kept.text.clone()).into_response()
        }
        Err(problem) => {
            house.counters.refuse(problem.reason);
            if problem.reason != Refused::Slow {
                drain(&house, &parts.headers, &mut body).await;
            }
            problem.into_response()
        }
    }
}

/// An answer that was given and is still good, or else a new one. Of several who ask the same at once one makes it.
async fn answered(
    house: &Arc<House>,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<(Arc<Kept>, Found), Problem> {
    let Some(database) = house.behind.database.clone() else {
        let error = "no SQL is answered here";
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            Refused::NotFound,
            error,
            "run it with a pipeline file",
        ));
    };
    let query = read(house, headers, body).await?;
    let reader = Arc::clone(database.reader());
    let key = Key::Sql(query.as_str().into());
    if let Some(kept) = house.cache.get(&key, &*reader, Now::AtOnce) {
        return Ok((kept, Found::Kept));
    }
    let deadline = database.options().deadline;
    let busy = || Problem::busy("other queries take all the time there is");
    let flight = house.cache.flight(&key);
    let _one = timeout(deadline, flight.turn()).await.map_err(|_| busy())?;
    // A run that has not changed says so, but not at once.
    let (cache, asked) = (Arc::clone(&house.cache), key.clone());
    let still = spawn_blocking(move || cache.get(&asked, &*reader, Now::Waiting));
    if let Ok(Some(kept)) = still.await {
        return Ok((kept, Found::Kept));
    }
    house.cache.missed(&key);
    // Who waits for longer than a query may take is told to come again.
    let turn = timeout(deadline, house.querying.acquire()).await;
    let Ok(Ok(_turn)) = turn else { return Err(busy()) };
    // Dropped with the request, which ends the query.
    let mut task = Aborted(house.queries.spawn(run(database, query)));
    match (&mut task.0).await {
        Ok(answer) => {
            let (text, of) = answer.map_err(Problem::from)?;
            let kept = match of {
                Some(of) => house.cache.keep(&key, of, text),
                None => Arc::new(Kept::new(text)),
            };
            Ok((kept, Found::Made))
        }
        Err(_) => {
            let hint = "it is worth telling us";
            let error = "the query failed inside";
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, Refused::Bad, error, hint))
        }
    }
}

/// A task that nobody waits for any more ends.
pub(crate) struct Aborted<T>(pub tokio::task::JoinHandle<T>);

impl<T> Drop for Aborted<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The statement in a body.
async fn read(house: &Arc<House>, headers: &HeaderMap, body: &mut Body) -> Result<String, Problem> {
    if house.stopping.load(Relaxed) {
        return Err(Problem::stopping());
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_json = kind.contains("json");
    let (bytes, _hold) = receive(house, headers, body).await?;
    let wrong = |error: String| Problem::bad(error, EXAMPLE);
    if is_json {
        let asked: Asked = serde_json::from_slice(&bytes)
            .map_err(|error| wrong(format!("the body is no query: {error}")))?;
        return Ok(asked.query);
    }
    String::from_utf8(bytes).map_err(|_| wrong("the statement is no UTF-8".into()))
}

/// The answer as JSON, with what it was read from if it is the same as long as that is.
async fn run(database: Database, query: String) -> Result<(String, Option<Versions>), QueryError> {
    let begun = Instant::now();
    let sources = database.reader().sources();
    let session = database.session()?;
    let lasting = session.is_lasting(&query);
    let mut answered = session.query(&query).await?;
    let batches = answered.collect().await?;
    let mut rows = Vec::new();
    for batch in &batches {
        rows.extend(written::rows(batch)?);
    }
    let lints: Vec<Value> = answered
        .lints()
        .iter()
        .map(|lint| json!({ "code": lint.code, "text": lint.message, "hint": lint.instead }))
        .collect();
    let answer = json!({
        "columns": written::columns(&answered.schema),
        "rows": rows,
        "lints": lints,
        "took_ms": begun.elapsed().as_secs_f64() * 1e3,
    });
    let of = lasting.then(|| Versions::new(&sources, &answered.moments()));
    Ok((answer.to_string(), of))
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Problem {
        let hint = error.hint.unwrap_or_else(|| "docs/sql.md has tables, functions and examples".into());
        let (status, reason) = match error.trouble {
            Trouble::Wrong => (StatusCode::BAD_REQUEST, Refused::Bad),
            Trouble::Refused => (StatusCode::FORBIDDEN, Refused::Bad),
            Trouble::Limit => (StatusCode::UNPROCESSABLE_ENTITY, Refused::TooLong),
            Trouble::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, Refused::Busy),
        };
        Problem::new(status, reason, error.message, hint)
    }
}

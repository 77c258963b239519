//! `GET /v1/stream`: answers that keep coming, as server-sent events; one connection for many questions.
//!
//! `?ask=hits%3Fwindow%3D1h&ask=users&every=1s`: each `ask` is what would stand behind `/v1/metrics/`. An answer is sent when it is not
//! the one that was sent last, so a stream over a source that stands still is silent but for a heartbeat.

use crate::answers::{Question, answered as answer_of, reader};
use crate::ask::decoded;
use crate::counters::Refused;
use crate::reply::Problem;
use crate::server::House;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::time::Span;
use hyper::body::Frame;
use serde_json::json;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Streams at once.
const STREAMS_MAX: u64 = 256;
/// Questions of one stream.
const ASKS_MAX: usize = 64;
/// Events that wait for a client that reads slowly.
const WAITING_MAX: usize = 8;
/// A line that says nothing goes out this often, so that proxies and clients see the connection live.
const HEARTBEAT: Duration = Duration::from_secs(15);
const EVERY_DEFAULT: Duration = Duration::from_secs(1);
const EVERY_MIN: Duration = Duration::from_millis(100);
const EXAMPLE: &str = "as in /v1/stream?ask=hits%3Fwindow%3D1h&ask=users&every=1s";

/// Begins to stream.
pub(crate) async fn stream(State(house): State<Arc<House>>, RawQuery(query): RawQuery) -> Response {
    match begin(&house, &query.unwrap_or_default()) {
        Ok(body) => {
            let headers = [
                (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
                (header::CACHE_CONTROL, "no-store"),
            ];
            (headers, body).into_response()
        }
        Err(problem) => {
            house.counters.refuse(problem.reason);
            problem.into_response()
        }
    }
}

fn begin(house: &Arc<House>, query: &str) -> Result<Body, Problem> {
    let (asks, every) = read(query)?;
    reader(house)?;
    let open = Open::new(house)?;
    let (send, receive) = mpsc::channel(WAITING_MAX);
    tokio::spawn(feed(open, asks, every, send));
    Ok(Body::new(Events(receive)))
}

/// The questions, and how often they are asked.
fn read(query: &str) -> Result<(Vec<String>, Duration), Problem> {
    let (mut asks, mut every) = (Vec::new(), EVERY_DEFAULT);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value)?;
        match name {
            "ask" => {
                let (name, query) = parts(&value);
                Question::new(name, query)?;
                asks.push(value);
            }
            "every" => {
                let span: Span = value.parse().map_err(|error: String| Problem::bad(error, EXAMPLE))?;
                every = Duration::from_micros(span.0.unsigned_abs()).max(EVERY_MIN);
            }
            other => return Err(Problem::bad(format!("`{other}` is no part of a stream"), EXAMPLE)),
        }
    }
    match asks.len() {
        0 => Err(Problem::bad("there is no question", EXAMPLE)),
        n if n > ASKS_MAX => Err(Problem::bad(format!("{n} questions are more than {ASKS_MAX}"), EXAMPLE)),
        _ => Ok((asks, every)),
    }
}

/// Asks again and again, until the client is gone or the server stops.
async fn feed(open: Open, asks: Vec<String>, every: Duration, send: mpsc::Sender<Bytes>) {
    let house = &open.0;
    let mut last: Vec<Option<String>> = vec![None; asks.len()];
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silent = Duration::ZERO;
    loop {
        ticks.tick().await;
        if house.stopping.load(Relaxed) {
            let _ = send.send(Bytes::from_static(b"event: end\ndata: {}\n\n")).await;
            return;
        }
        let mut out = String::new();
        for (ask, last) in asks.iter().zip(&mut last) {
            let told = answered(house, ask).await;
            if last.as_ref() != Some(&told) {
                out.push_str(&told);
                *last = Some(told);
            }
        }
        silent += every;
        if out.is_empty() && silent < HEARTBEAT {
            if send.is_closed() {
                return;
            }
            continue;
        }
        silent = Duration::ZERO;
        let bytes = if out.is_empty() { Bytes::from_static(b": nothing new\n\n") } else { out.into() };
        // A client that does not read is one that is gone.
        match timeout(house.listen.answer_timeout, send.send(bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

/// What stands before and behind a `?`.
fn parts(ask: &str) -> (&str, &str) {
    ask.split_once('?').unwrap_or((ask, ""))
}

/// One answer, or why there is none, as an event.
async fn answered(house: &Arc<House>, ask: &str) -> String {
    let (name, query) = parts(ask);
    match answer_of(house, name, query).await {
        Ok((kept, _)) => {
            let answer = String::from_utf8_lossy(&kept.text);
            format!("event: answer\ndata: {{\"ask\":{},\"answer\":{answer}}}\n\n", json!(ask))
        }
        Err(problem) => {
            let data = json!({ "ask": ask, "detail": problem.error, "hint": problem.hint });
            format!("event: problem\ndata: {data}\n\n")
        }
    }
}

/// A stream that is open, counted.
struct Open(Arc<House>);

impl Open {
    fn new(house: &Arc<House>) -> Result<Open, Problem> {
        let open = Open(Arc::clone(house));
        if house.counters.streams.fetch_add(1, Relaxed) >= STREAMS_MAX {
            let error = format!("{STREAMS_MAX} streams are open already");
            let hint = "close those that nobody looks at, or ask for several things in one stream";
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, Refused::Busy, error, hint).after(5));
        }
        Ok(open)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.counters.streams.fetch_sub(1, Relaxed);
    }
}

/// What has been made ready for the client.
struct Events(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

//! `POST /v1/events`: a body becomes durable, then it is answered.

use crate::ask::decoded;
use crate::body::{drain, receive};
use crate::counters::Refused;
use crate::reply::Problem;
use crate::server::{House, Source};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::inbox::{Accepted, Delivery, Listening, PRODUCER_BYTES_MAX, Refusal, Reply, Stamp};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;
use tokio::time::timeout;

const PRODUCER: &str = "streamgauge-producer";
const SEQUENCE: &str = "streamgauge-sequence";
/// How long to wait for what is found of a durable body.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// Records of a body that is replied to.
const REPLY_RECORDS_MAX: usize = 10_000;
/// Names behind `reply`.
const REPLY_NAMES_MAX: usize = 16;
/// Bodies that wait for their replies at once.
const REPLIES_MAX: u64 = 256;

/// Events of the only source.
pub(crate) async fn events(
    State(house): State<Arc<House>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    answer(&house, None, &query.unwrap_or_default(), request).await
}

/// Events of the source that is named.
pub(crate) async fn events_of(
    State(house): State<Arc<House>>,
    Path(source): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    answer(&house, Some(&source), &query.unwrap_or_default(), request).await
}

async fn answer(house: &Arc<House>, source: Option<&str>, query: &str, request: Request) -> Response {
    let (parts, mut body) = request.into_parts();
    let taken = match names(query) {
        Ok(names) => take_in(house, (source, names), &parts.headers, &mut body).await,
        Err(problem) => Err(problem),
    };
    match taken {
        Ok((accepted, reply)) => told(&accepted, reply),
        Err(problem) => {
            house.counters.refuse(problem.reason);
            if problem.reason != Refused::Slow {
                drain(house, &parts.headers, &mut body).await;
            }
            problem.into_response()
        }
    }
}

/// The names behind `?reply=`; none where nobody waits for what is found.
fn names(query: &str) -> Result<Vec<String>, Problem> {
    const EXAMPLE: &str = "as in /v1/events?reply=returning,device: `seen` metrics and fields, with commas";
    let mut names = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name != "reply" {
            return Err(Problem::bad(format!("`{name}` is not known here; there is reply"), EXAMPLE));
        }
        let value = decoded(value)?;
        names.extend(value.split(',').map(str::trim).filter(|name| !name.is_empty()).map(String::from));
        if names.is_empty() || names.len() > REPLY_NAMES_MAX {
            let error = format!("`reply` names {} things; it takes 1 to {REPLY_NAMES_MAX}", names.len());
            return Err(Problem::bad(error, EXAMPLE));
        }
    }
    Ok(names)
}

/// What is known of the events of a body.
enum Known {
    /// Nobody asked.
    NotAsked,
    /// What was found of each, in order.
    Judged(Vec<Reply>),
    /// It was not found in time, or had been found before.
    Unknown(&'static str),
}

/// Durable, and what was found.
fn told(accepted: &Accepted, known: Known) -> Response {
    let mut answer = json!({
        "accepted_bytes": accepted.bytes,
        "records": accepted.records,
        "duplicate": accepted.duplicate,
        "offset": accepted.offset,
    });
    let status = match known {
        Known::NotAsked => StatusCode::OK,
        Known::Judged(replies) => {
            answer["judged"] = json!(true);
            answer["events"] = replies.iter().map(event).collect();
            StatusCode::OK
        }
        // It is kept and will be counted; only what was found of it is not told.
        Known::Unknown(why) => {
            answer["judged"] = json!(false);
            answer["why"] = json!(why);
            StatusCode::ACCEPTED
        }
    };
    (status, Json(answer)).into_response()
}

fn event(reply: &Reply) -> Value {
    match reply {
        Reply::Bad(reason) => json!({ "bad": reason }),
        Reply::Notes(notes) => {
            let members = notes.iter().map(|(name, note)| (name.clone(), json!(note)));
            Value::Object(members.collect())
        }
    }
}

/// Room for one who waits for what is found.
struct Waiter<'a>(&'a House);

impl Waiter<'_> {
    fn new(house: &House) -> Result<Waiter<'_>, Problem> {
        let waiter = Waiter(house);
        if house.counters.replies.fetch_add(1, Relaxed) >= REPLIES_MAX {
            return Err(Problem::busy(format!("{REPLIES_MAX} bodies wait for their replies already")));
        }
        Ok(waiter)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.counters.replies.fetch_sub(1, Relaxed);
    }
}

fn listen(house: &House, source: &str, names: &[String]) -> Result<Box<dyn Listening>, Problem> {
    let hint = "name `seen` metrics and fields of the pipeline file, or leave `reply` out";
    let replies = house.behind.reader.as_ref().and_then(|reader| reader.replies(source));
    let replies = replies.ok_or_else(|| Problem::bad("nothing is told of single events here", hint))?;
    replies.listen(names).map_err(|error| Problem::bad(error, hint))
}

fn few_enough(body: &[u8]) -> Result<(), Problem> {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
    if lines <= REPLY_RECORDS_MAX {
        return Ok(());
    }
    let error = format!("the body has {lines} records, and a reply is of at most {REPLY_RECORDS_MAX}");
    let hint = "send it in several requests, or without `reply`";
    Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, Refused::TooLong, error, hint))
}

/// Waits for what is found of a durable body, for so long.
async fn judged(listening: Option<Box<dyn Listening>>, accepted: Accepted) -> Known {
    let Some(mut listening) = listening else { return Known::NotAsked };
    if accepted.duplicate {
        return Known::Unknown("it had been taken in before, and is judged once");
    }
    let (tell, told) = oneshot::channel();
    listening.of(accepted, Box::new(move |replies| drop(tell.send(replies))));
    match timeout(REPLY_TIMEOUT, told).await {
        Ok(Ok(replies)) => Known::Judged(replies),
        Ok(Err(_)) | Err(_) => {
            Known::Unknown("it was not read in time: it waits for its turn, or for the clock of its source")
        }
    }
}

async fn take_in(
    house: &Arc<House>,
    (source, names): (Option<&str>, Vec<String>),
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<(Accepted, Known), Problem> {
    let source = find(house, source)?;
    if house.stopping.load(Relaxed) {
        return Err(Problem::stopping());
    }
    check_type(headers)?;
    let stamp = stamp(headers)?;
    let asked = !names.is_empty();
    let _waiter = asked.then(|| Waiter::new(house)).transpose()?;
    let listening = asked.then(|| listen(house, &source.name, &names)).transpose()?;
    let (body, hold) = receive(house, headers, body).await?;
    if asked {
        few_enough(&body)?;
    }
    let (tell, told) = oneshot::channel();
    // Whoever asked may be gone; the body is kept all the same, and a retry is a duplicate.
    let answer = Box::new(move |result| drop(tell.send(result)));
    source.inbox.append(Delivery { body, stamp }, now_ms(), answer);
    // From here on the queue of the inbox bounds it.
    drop(hold);
    let result = told.await.unwrap_or(Err(Refusal::Stopping));
    count(house, source, &result);
    let accepted = result.map_err(Problem::from)?;
    Ok((accepted, judged(listening, accepted).await))
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

//! `GET /v1/metrics`: what is measured; `GET /v1/metrics/NAME`: what it comes to.

use crate::ask::Words;
use crate::cache::{Kept, Key, Now, Versions};
use crate::counters::Refused;
use crate::reply::Problem;
use crate::server::House;
use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::answer::Answer;
use engine::moment::{Moment, Reader};
use engine::spec::{Ask, Measure, Source};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Rows of one answer.
const ROWS_MAX: usize = 100_000;

/// What is measured.
pub(crate) async fn list(State(house): State<Arc<House>>) -> Response {
    match reader(&house) {
        Ok(reader) => {
            let sources = reader.sources();
            let metrics: Vec<Value> = sources.iter().flat_map(|source| described(source)).collect();
            Json(json!({ "metrics": metrics })).into_response()
        }
        Err(problem) => refuse(&house, problem),
    }
}

/// What one metric comes to.
pub(crate) async fn of_metric(
    State(house): State<Arc<House>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    match answered(&house, &name, &query.unwrap_or_default()).await {
        Ok((kept, found)) => tagged(&kept, found, &headers),
        Err(problem) => refuse(&house, problem),
    }
}

/// An answer with the tag that tells it from others; asked for again, it is not sent again.
fn tagged(kept: &Kept, found: Found, headers: &HeaderMap) -> Response {
    let known =
        headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == kept.tag.as_bytes());
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, "application/json")], kept.text.clone()).into_response()
    };
    let headers = response.headers_mut();
    headers.extend(HeaderValue::from_str(&kept.tag).ok().map(|tag| (header::ETAG, tag)));
    // It is somebody's who had a token, and good only as long as the server says so.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(CACHE_STATUS, HeaderValue::from_static(found.word()));
    response
}

/// RFC 9211.
pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// It had been given before, and is still good.
    Kept,
    /// It was made.
    Made,
}

impl Found {
    pub fn word(self) -> &'static str {
        match self {
            Found::Kept => "streamgauge; hit",
            Found::Made => "streamgauge; fwd=miss",
        }
    }
}

/// The answer of a metric to what stands behind the `?`: one that was given and is still good, or else a new one. Of several who ask
/// the same at once one makes it.
///
/// # Errors
/// What is not understood, not there, does not go together, or has too many rows.
pub(crate) async fn answered(
    house: &Arc<House>,
    name: &str,
    query: &str,
) -> Result<(Arc<Kept>, Found), Problem> {
    let reader = reader(house)?;
    let question = Question::new(name, query)?;
    let key = Key::Metric(format!("{name}?{query}").into());
    if let Some(kept) = house.cache.get(&key, &*reader, Now::AtOnce) {
        return Ok((kept, Found::Kept));
    }
    let flight = house.cache.flight(&key);
    let _one = flight.turn().await;
    let turn = house.asking.acquire().await.map_err(|_| Problem::stopping())?;
    let cache = Arc::clone(&house.cache);
    let answered = spawn_blocking(move || {
        if let Some(kept) = cache.get(&key, &*reader, Now::Waiting) {
            return Ok((kept, Found::Kept));
        }
        cache.missed(&key);
        let (text, of) = question.answer(&*reader)?;
        Ok((cache.keep(&key, of, text), Found::Made))
    });
    let answered = answered.await;
    drop(turn);
    answered.unwrap_or_else(|_| {
        let hint = "the log of the server says more; please report it";
        let error = "the question could not be answered";
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, Refused::Bad, error, hint))
    })
}

/// A metric, and what is asked of it.
pub(crate) struct Question {
    name: String,
    words: Words,
}

impl Question {
    /// Reads what stands before and behind a `?`.
    ///
    /// # Errors
    /// Words that are not understood.
    pub fn new(name: &str, query: &str) -> Result<Question, Problem> {
        Ok(Question { name: name.into(), words: Words::read(query)? })
    }

    /// The answer, as JSON, and what it was read from. Takes as long as merging takes.
    ///
    /// # Errors
    /// What is not there, does not go together, or has too many rows.
    fn answer(&self, reader: &dyn Reader) -> Result<(String, Versions), Problem> {
        let (name, words) = (&self.name, &self.words);
        let sources = reader.sources();
        let (source, metric) = find(&sources, name)?;
        let by = words.grouping(&sources[source], metric)?;
        let ask = words.ask()?;
        let moment = reader.moment(source).map_err(|error| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, Refused::Busy, error, "try again").after(1)
        })?;
        let rows = rows(&moment, metric, by.as_deref(), ask, words)?;
        let written = serde_json::to_string(&json!({
            "metric": name,
            "complete_to": moment.watermark().map(|time| time.to_string()),
            "newest": moment.newest().map(|time| time.to_string()),
            "late": moment.tally().late,
            "rows": rows,
        }));
        let of = Versions::new(&sources, &[(source, Arc::clone(&moment))]);
        Ok((written.expect("answers have text for keys"), of))
    }
}

/// The answers of a metric, as many as are wanted.
///
/// # Errors
/// Windows that it has not, and too many rows.
fn rows(
    moment: &Moment,
    metric: usize,
    by: Option<&[usize]>,
    ask: Ask,
    words: &Words,
) -> Result<Vec<Answer>, Problem> {
    let (mut rows, mut more) = (Vec::new(), false);
    let limit = words.limit.unwrap_or(ROWS_MAX + 1).min(ROWS_MAX + 1);
    let since = words.since.zip(moment.newest()).map(|(since, newest)| newest.minus(since));
    let is_recent =
        |answer: &Answer| answer.start.is_none_or(|start| since.is_none_or(|since| start >= since));
    let mut take = |answer: Answer| {
        if rows.len() < limit && words.wants(&answer) && is_recent(&answer) {
            rows.push(answer);
            more |= rows.len() > ROWS_MAX;
        }
    };
    let asked = moment.ask(metric, by, ask, &mut |answer, _| take(answer));
    asked.map_err(|why| {
        let name = &moment.source().metrics[metric].name;
        Problem::bad(format!("`{name}` does not answer: {why}"), "GET /v1/metrics tells what its panes are")
    })?;
    if more {
        let hint = "ask for less with `window`, `by`, `where` or `limit`";
        return Err(Problem::bad(format!("the answer has more than {ROWS_MAX} rows"), hint));
    }
    Ok(rows)
}

/// The number of the source and of the metric in it. One of a session is called as the metric, a dot, and what of it.
///
/// # Errors
/// With the nearest names.
pub(crate) fn find(sources: &[Arc<Source>], name: &str) -> Result<(usize, usize), Problem> {
    for (number, source) in sources.iter().enumerate() {
        if let Some(metric) = source.metrics.iter().position(|metric| metric.name == name) {
            return Ok((number, metric));
        }
    }
    let known: Vec<&str> =
        sources.iter().flat_map(|source| &source.metrics).map(|metric| metric.name.as_str()).collect();
    let error = format!("no metric is called `{name}`");
    Err(Problem::new(
        StatusCode::NOT_FOUND,
        Refused::NotFound,
        error,
        format!("there is {}", known.join(", ")),
    ))
}

pub(crate) fn reader(house: &House) -> Result<Arc<dyn Reader>, Problem> {
    house.behind.reader.clone().ok_or_else(|| {
        let error = "nothing is measured here that could be asked";
        Problem::new(StatusCode::NOT_FOUND, Refused::NotFound, error, "run it with a pipeline file")
    })
}

fn refuse(house: &House, problem: Problem) -> Response {
    house.counters.refuse(problem.reason);
    problem.into_response()
}

fn described(source: &Source) -> Vec<Value> {
    let columns = source.columns();
    let of = |metric: &engine::spec::Metric| {
        let by: Vec<Vec<&str>> =
            metric.by.iter().map(|by| by.iter().map(|&at| columns[at].path.as_str()).collect()).collect();
        let panes: Vec<String> =
            metric.levels.iter().map(|level| format!("{}:{}", level.size, level.keep)).collect();
        json!({
            "metric": metric.name,
            "source": source.name,
            "measure": measure(&metric.measure),
            "of": metric.measure.field().map(|field| columns[field].path.as_str()),
            "by": by,
            "panes": panes,
            "total": metric.total,
            "groups_max": metric.groups_max,
        })
    };
    source.metrics.iter().map(of).collect()
}

/// The word of pipeline files.
pub(crate) fn measure(measure: &Measure) -> &'static str {
    match measure {
        Measure::Count => "count",
        Measure::Sum(_) => "sum",
        Measure::Min(_) => "min",
        Measure::Max(_) => "max",
        Measure::Avg(_) => "avg",
        Measure::Stddev(_) => "stddev",
        Measure::Unique { .. } => "unique",
        Measure::Audience { .. } => "audience",
        Measure::Seen { .. } => "seen",
        Measure::Freq { .. } => "freq",
        Measure::Top { .. } => "top",
        Measure::Quantiles { .. } => "quantiles",
        Measure::Histogram { .. } => "histogram",
        Measure::Sample { .. } => "sample",
        Measure::Session { .. } => "session",
    }
}

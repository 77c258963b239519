//! The six answers and how far they are from the exact ones.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The six answers about one stream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// Number of events.
    pub count: u64,
    /// Distinct users.
    pub distinct: f64,
    /// Number of events by type.
    pub by_event: BTreeMap<String, u64>,
    /// Most frequent users, first first; the exact ones include ties with the tenth.
    pub top: Vec<String>,
    /// Median latency, ms.
    pub p50: f64,
    /// 99th percentile of the latency, ms.
    pub p99: f64,
    /// Distinct users by `minute since 1970|device`.
    pub windows: BTreeMap<String, f64>,
}

/// How far answers are from the exact ones; relative errors are signed fractions.
#[derive(Debug, Clone, PartialEq)]
pub struct Errors {
    /// Of the distinct users.
    pub distinct: f64,
    /// Root mean square over all windows. A window that is missing or should not be counts as 1.
    pub windows_rms: f64,
    /// Largest absolute one over all windows.
    pub windows_max: f64,
    /// Of the median.
    pub p50: f64,
    /// Of the 99th percentile.
    pub p99: f64,
    /// How many of the first ten belong to the true ten.
    pub top_hits: usize,
    /// Whether the count and all counts by event type are equal.
    pub counts_equal: bool,
}

impl Errors {
    /// Compares; windows are united by key.
    pub fn of(given: &Answers, exact: &Answers) -> Errors {
        let keys: BTreeSet<&String> = given.windows.keys().chain(exact.windows.keys()).collect();
        let errors: Vec<f64> = keys
            .into_iter()
            .map(|key| match (given.windows.get(key), exact.windows.get(key)) {
                (Some(&given), Some(&exact)) => relative(given, exact),
                _ => 1.0,
            })
            .collect();
        let squares: f64 = errors.iter().map(|e| e * e).sum();
        let top: BTreeSet<&String> = given.top.iter().take(10).collect();
        Errors {
            distinct: relative(given.distinct, exact.distinct),
            windows_rms: (squares / errors.len().max(1) as f64).sqrt(),
            windows_max: errors.iter().fold(0.0, |max, e| e.abs().max(max)),
            p50: relative(given.p50, exact.p50),
            p99: relative(given.p99, exact.p99),
            top_hits: top.into_iter().filter(|user| exact.top.contains(user)).count(),
            counts_equal: given.count == exact.count && given.by_event == exact.by_event,
        }
    }
}

fn relative(given: f64, exact: f64) -> f64 {
    if exact == 0.0 { f64::from(u8::from(given != 0.0)) } else { given / exact - 1.0 }
}

/// Reads the answers from the JSON report of `streamgauge run` on `crates/bench/six.toml`: rows, in an array or one
/// after the other.
pub fn answers_of_report(text: &str) -> Result<Answers> {
    let mut answers = Answers::default();
    let mut seen = BTreeSet::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let rows = match value? {
            Value::Array(rows) => rows,
            row => vec![row],
        };
        for row in rows {
            if take_in(&row, &mut answers).with_context(|| format!("row {row:.300}"))? {
                seen.insert(row["metric"].as_str().unwrap_or_default().to_owned());
            }
        }
    }
    for metric in ["events", "users", "by_event", "top_users", "latency", "per_minute"] {
        if !seen.contains(metric) {
            bail!("there is no answer of the metric {metric}");
        }
    }
    Ok(answers)
}

/// Takes in one row of the report; false when it is about something else.
fn take_in(row: &Value, answers: &mut Answers) -> Result<bool> {
    match row["metric"].as_str().context("no metric")? {
        "events" => answers.count = whole(&row["value"])?,
        "users" => answers.distinct = number(&row["value"])?,
        "by_event" => {
            let Some(event) = row["by"]["event"].as_str() else { return Ok(false) };
            answers.by_event.insert(event.to_owned(), whole(&row["value"])?);
        }
        "top_users" => {
            let items = row["items"].as_array().context("no items")?;
            answers.top = items.iter().map(|i| i["item"].as_str().unwrap_or_default().to_owned()).collect();
        }
        "latency" => {
            answers.p50 = quantile(row, 0.5)?;
            answers.p99 = quantile(row, 0.99)?;
        }
        "per_minute" => {
            let (Some(device), false) = (row["by"]["device"].as_str(), row["start"].is_null()) else {
                return Ok(false);
            };
            answers.windows.insert(format!("{}|{device}", minute(&row["start"])?), number(&row["value"])?);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn quantile(row: &Value, q: f64) -> Result<f64> {
    let quantiles = row["quantiles"].as_array().context("no quantiles")?;
    let found =
        quantiles.iter().find(|entry| entry["q"].as_f64().is_some_and(|given| (given - q).abs() < 1e-9));
    number(&found.with_context(|| format!("no quantile {q}"))?["value"])
}

/// A number; those beyond 2^53 are strings.
fn number(value: &Value) -> Result<f64> {
    match value {
        Value::String(text) => text.parse().with_context(|| format!("{text} is no number")),
        other => other.as_f64().with_context(|| format!("{other} is no number")),
    }
}

fn whole(value: &Value) -> Result<u64> {
    let number = number(value)?;
    if number < 0.0 || number.fract() != 0.0 || number > 2f64.powi(53) {
        bail!("{number} is no count");
    }
    Ok(number as u64)
}

/// Minutes since 1970 of an instant: RFC 3339.
fn minute(start: &Value) -> Result<i64> {
    let text = start.as_str().with_context(|| format!("{start} is no time"))?;
    let instant: jiff::Timestamp = text.parse().with_context(|| format!("{text} is no time"))?;
    Ok(instant.as_second().div_euclid(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact() -> Answers {
        Answers {
            count: 10,
            distinct: 100.0,
            by_event: BTreeMap::from([("click".into(), 7), ("view".into(), 3)]),
            top: ["ada", "bob", "cy"].map(String::from).to_vec(),
            p50: 20.0,
            p99: 200.0,
            windows: BTreeMap::from([("1|tv".into(), 10.0), ("2|tv".into(), 50.0)]),
        }
    }

    #[test]
    fn no_error_is_none() {
        let none = Errors {
            distinct: 0.0,
            windows_rms: 0.0,
            windows_max: 0.0,
            p50: 0.0,
            p99: 0.0,
            top_hits: 3,
            counts_equal: true,
        };
        assert_eq!(Errors::of(&exact(), &exact()), none);
    }

    #[test]
    fn every_error_is_seen() {
        let mut given = exact();
        given.distinct = 98.0;
        given.by_event.insert("view".into(), 4);
        given.top = ["ada", "ada", "dan", "bob"].map(String::from).to_vec();
        given.p99 = 202.0;
        given.windows = BTreeMap::from([("1|tv".into(), 11.0), ("2|tv".into(), 50.0)]);
        let errors = Errors::of(&given, &exact());
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        close(errors.distinct, -0.02);
        close(errors.p99, 0.01);
        close(errors.windows_max, 0.1);
        close(errors.windows_rms, 0.1 / 2f64.sqrt());
        assert_eq!((errors.top_hits, errors.counts_equal), (2, false));
    }

    #[test]
    fn windows_that_are_missing_or_too_many_count_in_full() {
        let mut given = exact();
        given.windows.remove("2|tv");
        given.windows.insert("3|tv".into(), 1.0);
        let errors = Errors::of(&given, &exact());
        assert_eq!(errors.windows_max, 1.0);
        assert!((errors.windows_rms - (2f64 / 3.0).sqrt()).abs() < 1e-12);
    }

    const REPORT: &str = r#"
        {"metric": "sg.source", "by": {"source": "events", "reason": "bad"}, "value": 0}
        {"metric": "events", "by": {}, "start": null, "value": 10}
        {"metric": "users", "by": {}, "start": null, "value": 100.0}
        {"metric": "by_event", "by": {"event": "click"}, "start": null, "value": 7}
        {"metric": "by_event", "by": {"event": "view"}, "start": null, "value": "3"}
        {"metric": "top_users", "by": {}, "value": null, "items": [{"item": "ada"}, {"item": "bob"}, {"item": "cy"}]}
        {"metric": "latency", "by": {}, "value": null, "quantiles": [{"q": 0.5, "value": 20}, {"q": 0.99, "value": 200}]}
        {"metric": "per_minute", "by": {"device": "tv"}, "start": "1970-01-01T00:01:00Z", "value": 10}
        {"metric": "per_minute", "by": {"device": "tv"}, "start": "1970-01-01T00:02:00Z", "value": 50.0}
        {"metric": "per_minute", "by": {"device": "tv"}, "start": null, "value": 55}
    "#;

    #[test]
    fn the_report_is_read_as_lines_and_as_an_array() {
        assert_eq!(answers_of_report(REPORT).unwrap(), exact());
        let lines: Vec<&str> = REPORT.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        assert_eq!(answers_of_report(&format!("[{}]", lines.join(","))).unwrap(), exact());
    }

    #[test]
    fn a_report_that_lacks_an_answer_is_refused() {
        for metric in ["events", "users", "by_event", "top_users", "latency", "per_minute"] {
            let others: Vec<&str> =
                REPORT.lines().filter(|l| !l.contains(&format!("\"{metric}\""))).collect();
            let trouble = answers_of_report(&others.join("\n")).unwrap_err().to_string();
            assert_eq!(trouble, format!("there is no answer of the metric {metric}"));
        }
        assert!(answers_of_report("{\"metric\": \"events\", \"value\": 1.5}").is_err());
        assert!(answers_of_report("not json").is_err());
    }
}

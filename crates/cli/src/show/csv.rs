//! CSV: one line per number. `entry` is the item, the quantile or the upper bound of a list measure's entry,
//! a sampled event as JSON.
//!
//! Numbers are written as in JSON, groups as the JSON object they are there: `device=` could not tell a missing value
//! from an empty one. A list without entries is one line without numbers, so that no answer is lost.

use engine::answer::{
    Answer, Key, List, Number,
    json::{By, EventRow, whole},
};
use serde::Serialize;
use std::io::{self, Write};

const HEADER: &str = "metric,by,other,start,end,entry,value,low,high,confidence,guarantee,exact,complete_to,late,sketch,resolution";

/// Writes the names of the columns.
pub fn header(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{HEADER}")
}

/// Writes the lines of an answer.
pub fn write(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    entries(answer)?.iter().try_for_each(|entry| line(out, answer, entry))
}

/// Entry, value, low and high of every number of an answer.
fn entries(answer: &Answer) -> io::Result<Vec<[String; 4]>> {
    let reading = &answer.reading;
    let count = |n: u64| json(&Number::Int(i128::from(n)));
    let float = |f: Option<f64>| json(&f.map(whole));
    let mut out: Vec<[String; 4]> = match &reading.list {
        List::None => Vec::new(),
        List::Items(items) => items
            .iter()
            .map(|i| Ok([key(&i.item)?, count(i.value)?, count(i.low)?, count(i.high)?]))
            .collect::<io::Result<_>>()?,
        List::Quantiles(quantiles) => quantiles
            .iter()
            .map(|q| Ok([q.q.to_string(), float(q.value)?, float(q.low)?, float(q.high)?]))
            .collect::<io::Result<_>>()?,
        List::Rows(rows) => rows
            .iter()
            .map(|values| {
                let event = json(&EventRow { names: &answer.row_fields, values })?;
                Ok([event, String::new(), String::new(), String::new()])
            })
            .collect::<io::Result<_>>()?,
        List::Buckets(buckets) => buckets
            .iter()
            .map(|&(le, n)| Ok([float(Some(le))?, count(n)?, count(n)?, count(n)?]))
            .collect::<io::Result<_>>()?,
    };
    if out.is_empty() {
        out.push([String::new(), json(&reading.value)?, json(&reading.low)?, json(&reading.high)?]);
    }
    Ok(out)
}

fn line(out: &mut impl Write, answer: &Answer, [entry, value, low, high]: &[String; 4]) -> io::Result<()> {
    let reading = &answer.reading;
    let time = |t: Option<engine::time::Time>| t.map(|t| t.to_string()).unwrap_or_default();
    let cells = [
        answer.metric.clone(),
        json(&By(&answer.by))?,
        answer.other.to_string(),
        time(answer.start),
        time(answer.end),
        entry.clone(),
        value.clone(),
        low.clone(),
        high.clone(),
        reading.confidence.to_string(),
        reading.guarantee.as_str().to_string(),
        reading.is_exact().to_string(),
        time(answer.complete_to),
        answer.late.to_string(),
        reading.sketch.clone().unwrap_or_default(),
        answer.resolution.map(|size| size.to_string()).unwrap_or_default(),
    ];
    writeln!(out, "{}", cells.map(|c| quoted(&c)).join(","))
}

/// The text of a value in JSON, without the quotes of a string; nothing for null.
fn json(value: &impl Serialize) -> io::Result<String> {
    let text = serde_json::to_string(value)?;
    Ok(if text == "null" { String::new() } else { text.trim_matches('"').to_string() })
}

/// RFC 4180: quoted when it must be.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_string()
    }
}

/// A value as text: a string as it is, other values as in JSON.
fn key(key: &Key) -> io::Result<String> {
    match key {
        Key::String(text) => Ok(text.clone()),
        other => json(other),
    }
}

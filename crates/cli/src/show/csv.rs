//! CSV: one line per number. `entry` is the item, the quantile or the upper bound of a list measure's entry.

use engine::answer::{Answer, Key, List, Number};
use std::io::{self, Write};

const HEADER: &str =
    "metric,by,other,start,end,entry,value,low,high,confidence,guarantee,exact,complete_to,late,sketch";

/// Writes the report.
pub fn write(out: &mut impl Write, answers: &[Answer]) -> io::Result<()> {
    writeln!(out, "{HEADER}")?;
    for answer in answers {
        let reading = &answer.reading;
        match &reading.list {
            List::None => {
                line(out, answer, "", &text(reading.value), &text(reading.low), &text(reading.high))?
            }
            List::Items(items) => {
                for i in items {
                    line(
                        out,
                        answer,
                        &key(&i.item),
                        &i.value.to_string(),
                        &i.low.to_string(),
                        &i.high.to_string(),
                    )?;
                }
            }
            List::Quantiles(quantiles) => {
                for q in quantiles {
                    let float = |f: Option<f64>| text(f.map(Number::Float));
                    line(out, answer, &q.q.to_string(), &float(q.value), &float(q.low), &float(q.high))?;
                }
            }
            List::Buckets(buckets) => {
                for (le, count) in buckets {
                    let count = count.to_string();
                    line(out, answer, &text(Some(Number::Float(*le))), &count, &count, &count)?;
                }
            }
        }
    }
    Ok(())
}

fn line(
    out: &mut impl Write,
    answer: &Answer,
    entry: &str,
    value: &str,
    low: &str,
    high: &str,
) -> io::Result<()> {
    let reading = &answer.reading;
    let by =
        answer.by.iter().map(|(name, value)| format!("{name}={}", key(value))).collect::<Vec<_>>().join(";");
    let time = |t: Option<engine::time::Time>| t.map(|t| t.to_string()).unwrap_or_default();
    let cells = [
        answer.metric.clone(),
        by,
        answer.other.to_string(),
        time(answer.start),
        time(answer.end),
        entry.to_string(),
        value.to_string(),
        low.to_string(),
        high.to_string(),
        reading.confidence.to_string(),
        reading.guarantee.as_str().to_string(),
        reading.is_exact().to_string(),
        time(answer.complete_to),
        answer.late.to_string(),
        reading.sketch.clone().unwrap_or_default(),
    ];
    writeln!(out, "{}", cells.map(|c| quoted(&c)).join(","))
}

/// RFC 4180: quoted when it must be.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_string()
    }
}

fn text(number: Option<Number>) -> String {
    match number {
        None => String::new(),
        Some(Number::Int(i)) => i.to_string(),
        Some(Number::Float(f)) if f == f64::INFINITY => "+Inf".into(),
        Some(Number::Float(f)) => f.to_string(),
    }
}

pub(super) fn key(key: &Key) -> String {
    match key {
        Key::Null => String::new(),
        Key::String(s) => s.clone(),
        Key::Int(i) => i.to_string(),
        Key::Float(f) => f.to_string(),
        Key::Bool(b) => b.to_string(),
    }
}

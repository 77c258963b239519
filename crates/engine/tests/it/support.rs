//! Hand-made events and the answers to them, in a few characters per event.

use arrow_array::StringArray;
use engine::answer::{Answer, Key, Number};
use engine::batch::Batch;
use engine::column::Column;
use engine::intake::{Intake, Tally};
use engine::outlet::Outlet;
use engine::shard::Shard;
use engine::spec::*;
use engine::time::{SECOND, Time};

/// A source with a string field `user` and these metrics.
pub fn source(time: Option<TimeSpec>, metrics: Vec<Metric>) -> Source {
    Source {
        fields: vec![Field { path: "user".into(), kind: Kind::String }],
        time,
        metrics,
        ..Source::new("events", Format::Ndjson)
    }
}

/// A metric over everything, or by user.
pub fn metric(name: &str, measure: Measure, by: Vec<Vec<usize>>, levels: &str) -> Metric {
    let levels = levels
        .split_whitespace()
        .map(|l| {
            let (size, keep) = l.split_once(':').expect("size:keep");
            Level { size: size.parse().expect("a span"), keep: keep.parse().expect("a span") }
        })
        .collect();
    Metric { name: name.into(), measure, filter: None, by, groups_max: 1000, levels, total: true }
}

/// Event time with this lateness and reach ahead.
pub fn time(lateness: &str, ahead: Option<&str>) -> Option<TimeSpec> {
    Some(TimeSpec {
        from: TimeFrom::Field { path: "ts".into(), format: TimeFormat::Unix(SECOND, 1) },
        lateness: lateness.parse().expect("a span"),
        later: Later::Correct,
        ahead: ahead.map(|a| a.parse().expect("a span")),
        agree: 32,
    })
}

/// A batch of these events.
pub fn batch(number: u64, partition: u32, events: &[(i64, String)]) -> Batch {
    Batch {
        rows: events.len(),
        times: events.iter().map(|(t, _)| Time(t * SECOND)).collect(),
        columns: vec![Column::String(StringArray::from_iter_values(events.iter().map(|(_, u)| u.as_str())))],
        lines: events.len() as u64,
        ..Batch::empty(partition, number)
    }
}

/// The events of one partition through the machines, in blocks of `block` events over `shards` shards.
pub struct Run {
    pub answers: Vec<Answer>,
    pub tally: Tally,
    pub bytes: Vec<u8>,
}

/// Runs events through intake, shards and outlet.
pub fn run(
    source: &Source,
    events: &[(i64, String)],
    block: usize,
    shards: usize,
    question: Question,
) -> Run {
    let mut intake = Intake::new(source);
    let mut state: Vec<Shard> = (0..shards).map(|_| Shard::new(source, u64::MAX)).collect();
    let mut ready = Vec::new();
    for (number, events) in events.chunks(block).enumerate() {
        ready.extend(intake.push(batch(number as u64, 0, events)));
    }
    ready.extend(intake.finish(0));
    for judged in &ready {
        state[judged.batch.number as usize % shards].apply(judged);
    }
    if let Some(watermark) = intake.boundary() {
        state.iter_mut().for_each(|s| s.advance(watermark));
    }
    let outlet = Outlet::new(source, state, intake.tally(), intake.watermark());
    let mut bytes = Vec::new();
    outlet.canonical(&mut bytes);
    Run { answers: outlet.answers(question), tally: intake.tally(), bytes }
}

/// Windows of this length.
pub fn windows(window: &str, every: &str) -> Question {
    Question::Windows { window: window.parse().expect("a span"), every: every.parse().expect("a span") }
}

/// Answers of a metric as `start by = value`, starts in seconds.
pub fn shown(answers: &[Answer], metric: &str) -> Vec<String> {
    let of = |a: &&Answer| a.metric == metric;
    answers
        .iter()
        .filter(of)
        .map(|a| {
            let start = a.start.map_or("total".to_string(), |t| (t.0 / SECOND).to_string());
            let by: Vec<String> =
                a.by.iter()
                    .map(|(_, key)| match key {
                        Key::String(s) => s.clone(),
                        other => format!("{other:?}"),
                    })
                    .collect();
            let by = if a.other { "(other)".into() } else { by.join(",") };
            let value = match a.reading.value {
                Some(Number::Int(i)) => i.to_string(),
                Some(Number::Float(f)) => f.to_string(),
                None => "-".into(),
            };
            format!("{start} {by}={value}").replace(" =", "=")
        })
        .collect()
}

/// A span from text.
pub fn span(text: &str) -> engine::time::Span {
    text.parse().expect("a span")
}

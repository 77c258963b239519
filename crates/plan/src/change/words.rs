//! What has changed, for people; and what may change freely, which is nothing but words.

use super::Change;
use super::define::Side;
use crate::input::{Input, InputKind};
use crate::pipeline::Pipeline;
use crate::size::{percent, words};
use engine::spec::{Format, Level, Measure, Metric, Source, TimeFormat, TimeFrom, TimeSpec};

/// A measure with its parameters, for people.
pub(super) fn measured(side: &Side<'_>, metric: &Metric) -> String {
    let plain = Metric { filter: None, ..metric.clone() };
    let call = words(&plain, &side.columns);
    match &metric.measure {
        Measure::Unique { lg_k, .. } | Measure::Audience { lg_k, .. } => format!("{call} of 2^{lg_k}"),
        Measure::Freq { lg_width, depth, hot, .. } => format!("{call} of 2^{lg_width} x {depth}, {hot} hot"),
        Measure::Top { counters, .. } => format!("{call} of {counters} counters"),
        Measure::Quantiles { bits, .. } => format!("{call} of {bits} bits"),
        Measure::Histogram { bounds: Some(bounds), .. } => format!("{call} up to {bounds:?}"),
        Measure::Session { open_max, bits, .. } => format!("{call} of {open_max} open, {bits} bits"),
        Measure::Seen { keys, rate, keep, .. } => {
            let keep = keep.map_or("forever".to_string(), |keep| keep.to_string());
            let size =
                metric.measure.forgets_after().and_then(|k| side.source.recent_size(*keys, *rate, k).ok());
            let buckets =
                size.map_or(String::new(), |size| format!(" in {} of {}", size.ring.buckets(), size.bucket));
            format!("{call} of {keys} keys @ {}, kept {keep}{buckets}", percent(*rate))
        }
        _ => call,
    }
}

pub(super) fn time_words(side: &Side<'_>) -> Option<String> {
    let time = side.source.time.as_ref()?;
    let format = |format: &TimeFormat| match format {
        TimeFormat::Rfc3339 => "RFC 3339".to_string(),
        TimeFormat::Unix(1_000_000, 1) => "seconds".into(),
        TimeFormat::Unix(1_000, 1) => "milliseconds".into(),
        TimeFormat::Unix(1, 1) => "microseconds".into(),
        TimeFormat::Unix(..) => "nanoseconds".into(),
        TimeFormat::Pattern { pattern, zone: None } => pattern.clone(),
        TimeFormat::Pattern { pattern, zone: Some(zone) } => format!("{pattern} in {zone}"),
    };
    Some(match &time.from {
        TimeFrom::Field { path, format: f } => format!("{path} ({})", format(f)),
        TimeFrom::Column { column, format: f } => format!("{} ({})", side.shown(*column), format(f)),
        TimeFrom::Row(apart) => format!("row, {apart} apart"),
        TimeFrom::Arrival => "arrival".into(),
    })
}

pub(super) fn format_words(format: &Format) -> String {
    match format {
        Format::Ndjson => "ndjson".into(),
        Format::Delimited(shape) => {
            let delimiter = char::from(shape.delimiter);
            format!("delimited by {delimiter:?}{}", if shape.quoted { "" } else { ", not quoted" })
        }
        Format::AccessLog { combined: true } => "combined".into(),
        Format::AccessLog { combined: false } => "clf".into(),
        Format::Lines => "lines".into(),
        Format::Parquet => "parquet".into(),
    }
}

pub(super) fn ladder(metric: &Metric) -> String {
    let level = |level: &Level| format!("{}:{}", level.size, level.keep);
    let levels: Vec<String> = metric.levels.iter().map(level).collect();
    match (levels.is_empty(), metric.total) {
        (true, _) => "total only".into(),
        (false, true) => levels.join(" "),
        (false, false) => format!("{}, no total", levels.join(" ")),
    }
}

/// What may change in a source and costs no state.
pub(super) fn free(old: &Side<'_>, new: &Side<'_>) -> Vec<Change> {
    let mut out = Vec::new();
    let mut note = |what: String, old: String, new: String| {
        if old != new {
            out.push(Change { what, old: Some(old), new: Some(new) });
        }
    };
    let (a, b) = (old.source, new.source);
    let input = |input: &Input| match &input.kind {
        InputKind::File { paths } => format!("file {}", paths.join(" ")),
        InputKind::Stdin => "standard input".into(),
        InputKind::Http => "HTTP".into(),
    };
    note("input".into(), input(old.input), input(new.input));
    note("idle".into(), old.input.idle.to_string(), new.input.idle.to_string());
    let aside = |input: &Input| input.quarantine.clone().unwrap_or_else(|| "none".into());
    note("quarantine".into(), aside(old.input), aside(new.input));
    note("bad".into(), format!("{:?}", a.bad).to_lowercase(), format!("{:?}", b.bad).to_lowercase());
    note("null words".into(), a.nulls.join(" "), b.nulls.join(" "));
    note("longest record".into(), a.record_bytes_max.to_string(), b.record_bytes_max.to_string());
    let ttl = |source: &Source| source.groups_ttl.map_or("never".into(), |ttl| ttl.to_string());
    note("groups_ttl".into(), ttl(a), ttl(b));
    note("confidence".into(), percent(a.confidence), percent(b.confidence));
    if let (Some(a), Some(b)) = (&a.time, &b.time) {
        note("lateness".into(), a.lateness.to_string(), b.lateness.to_string());
        note(
            "later".into(),
            format!("{:?}", a.later).to_lowercase(),
            format!("{:?}", b.later).to_lowercase(),
        );
        let ahead = |time: &TimeSpec| time.ahead.map_or("no limit".into(), |ahead| ahead.to_string());
        note("ahead".into(), ahead(a), ahead(b));
        note("agree".into(), a.agree.to_string(), b.agree.to_string());
    }
    for metric in &b.metrics {
        let Some(before) = a.metrics.iter().find(|other| other.name == metric.name) else { continue };
        let sizes = |metric: &Metric| metric.levels.iter().map(|level| level.size).collect::<Vec<_>>();
        if sizes(before) == sizes(metric) {
            note(format!("panes of `{}`", metric.name), ladder(before), ladder(metric));
        }
        let told = |metric: &Metric| match &metric.measure {
            Measure::Top { k, .. } => k.to_string(),
            Measure::Quantiles { at, .. } | Measure::Session { at, .. } => format!("{at:?}"),
            _ => String::new(),
        };
        note(format!("what `{}` reports", metric.name), told(before), told(metric));
    }
    out
}

/// What has changed beside the sources.
pub(super) fn beside(old: &Pipeline, new: &Pipeline) -> Vec<Change> {
    let mut out = Vec::new();
    let mut note = |what: &str, old: String, new: String| {
        if old != new {
            out.push(Change { what: what.into(), old: Some(old), new: Some(new) });
        }
    };
    note("name", old.spec.name.clone(), new.spec.name.clone());
    note("memory", format!("{} bytes", old.spec.memory_bytes), format!("{} bytes", new.spec.memory_bytes));
    let checkpoint =
        |p: &Pipeline| format!("every {}, {:?}", p.checkpoint.every, p.checkpoint.compression).to_lowercase();
    note("checkpoint", checkpoint(old), checkpoint(new));
    let serve = |p: &Pipeline| {
        p.serve.as_ref().map_or("none".into(), |serve| {
            let tokens = &serve.tokens;
            let kept =
                [("token", &tokens.all), ("read_token", &tokens.read), ("ingest_token", &tokens.ingest)];
            let mut words: Vec<&str> =
                kept.iter().filter(|(_, at)| at.is_some()).map(|(word, _)| *word).collect();
            words.extend(serve.tls.as_ref().map(|_| "tls"));
            words.extend((!serve.base.is_empty()).then_some(serve.base.as_str()));
            let words: String = words.iter().map(|word| format!(", {word}")).collect();
            format!("{}{words}, bodies of {} bytes", serve.listen, serve.body_bytes_max)
        })
    };
    note("serve", serve(old), serve(new));
    let sinks = |p: &Pipeline| {
        let names: Vec<&str> = p.sinks.iter().map(|sink| sink.name.as_str()).collect();
        if names.is_empty() { "none".to_string() } else { names.join(", ") }
    };
    note("sinks", sinks(old), sinks(new));
    for sink in &new.sinks {
        if let Some(before) = old.sinks.iter().find(|other| other.name == sink.name) {
            note(&format!("sink `{}`", sink.name), format!("{:?}", before.kind), format!("{:?}", sink.kind));
        }
    }
    out
}

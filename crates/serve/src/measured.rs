//! What is measured, as families for Prometheus: every number with its bounds, the sketches behind them, the state of sources.
//!
//! A family is one metric under one grouping set, `metric_visitors` and `metric_visitors_by_device`, so that adding up the series of one
//! never counts anything twice.

use crate::exposition::{Exposition, Family};
use crate::latency::summary;
use engine::answer::{Answer, Key, List, Number};
use engine::cell::Cell;
use engine::moment::{Counted, Moment, Reader};
use engine::spec::{Ask, Measure, Metric, Question, Source};
use engine::time::{SECOND, Span};
use engine::times::Times;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Series of what is measured in one scrape.
pub(crate) const SERIES_MAX: usize = 10_000;

/// Everything that the reader knows; `window` adds the newest window of this length to the totals.
pub(crate) fn tell(reader: &dyn Reader, window: Option<Span>, out: &mut Exposition) {
    let sources = reader.sources();
    let moments: Vec<Arc<Moment>> =
        (0..sources.len()).filter_map(|source| reader.moment(source).ok()).collect();
    of_sources(&moments, out);
    of_origins(reader, &sources, out);
    of_operations(reader, &sources, out);
    for moment in &moments {
        let source = moment.source();
        for (number, metric) in source.metrics.iter().enumerate() {
            for by in &metric.by {
                of_metric(moment, (number, metric, by), window, out);
            }
        }
    }
    of_sketches(&moments, out);
    let dropped = out.dropped() as f64;
    let help =
        "Series left out of this scrape: there are more than 10,000, or names that differ in signs alone.";
    out.single("series_dropped", "gauge", help, dropped);
}

fn of_sources(moments: &[Arc<Moment>], out: &mut Exposition) {
    let counted = "Events of a source by what became of them, and what gave way to memory.";
    if let Some(mut family) = out.family("source_events_total", "counter", counted) {
        for moment in moments {
            moment.counters(&mut |answer| {
                let reason = answer.by.iter().find(|(name, _)| name == "reason").map(|(_, key)| text(key));
                if let (Some(reason), Some(value)) = (reason, answer.reading.value) {
                    family.put("", &[("source", &moment.source().name), ("reason", &reason)], value.as_f64());
                }
            });
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let seconds = |time: engine::time::Time| time.0 as f64 / SECOND as f64;
    let mut gauge = |name: &str, help: &str, value: &dyn Fn(&Moment) -> Option<f64>| {
        if let Some(mut family) = out.family(name, "gauge", help) {
            for moment in moments {
                value(moment)
                    .into_iter()
                    .for_each(|value| family.put("", &[("source", &moment.source().name)], value));
            }
        }
    };
    gauge("watermark_timestamp_seconds", "No event before this is expected any more.", &|moment| {
        moment.watermark().map(seconds)
    });
    gauge(
        "newest_event_timestamp_seconds",
        "Event time of the newest event that moved the clock.",
        &|moment| moment.newest().map(seconds),
    );
    gauge("lag_seconds", "How far the watermark is behind this machine's clock.", &|moment| {
        moment.watermark().map(|watermark| now - seconds(watermark))
    });
    if let Some(mut family) = out.family("metric_memory_bytes", "gauge", "Accounted bytes of a metric.") {
        for moment in moments {
            let source = moment.source();
            for (number, metric) in source.metrics.iter().enumerate() {
                let labels = [("source", source.name.as_str()), ("metric", metric.name.as_str())];
                family.put("", &labels, moment.memory_bytes(number) as f64);
            }
        }
    }
}

/// What a run takes its time for, and how old its newest commit is.
fn of_operations(reader: &dyn Reader, sources: &[Arc<Source>], out: &mut Exposition) {
    let numbered = || sources.iter().map(|source| source.name.as_str()).enumerate();
    let all: Vec<(&str, Vec<(&'static str, Times)>)> =
        numbered().map(|(number, source)| (source, reader.times(number))).collect();
    let labelled: Vec<(Vec<(&str, &str)>, &Times)> = all
        .iter()
        .flat_map(|(source, times)| {
            times
                .iter()
                .map(|(operation, times)| (vec![("source", *source), ("operation", *operation)], times))
        })
        .collect();
    if !labelled.is_empty() {
        summary(out, ("operation", "operations of a run took"), &labelled);
    }
    let commits: Vec<(&str, (u64, u64))> =
        numbered().filter_map(|(number, source)| Some((source, reader.committed(number)?))).collect();
    let mut gauge = |name: &str, help: &str, value: &dyn Fn((u64, u64)) -> f64| {
        if commits.is_empty() {
            return;
        }
        if let Some(mut family) = out.family(name, "gauge", help) {
            commits.iter().for_each(|(source, commit)| family.put("", &[("source", source)], value(*commit)));
        }
    };
    gauge("checkpoint_age_seconds", "How long ago the newest commit of the state was written.", &|(
        _,
        written_us,
    )| {
        crate::status::age_s(written_us)
    });
    gauge("checkpoint_number", "The number of the newest commit of the state.", &|(number, _)| number as f64);
}

/// Other nodes whose states are in what is told.
fn of_origins(reader: &dyn Reader, sources: &[Arc<Source>], out: &mut Exposition) {
    let all: Vec<(&str, Counted)> = sources
        .iter()
        .enumerate()
        .flat_map(|(number, source)| {
            reader.origins(number).into_iter().map(|counted| (source.name.as_str(), counted))
        })
        .collect();
    if all.is_empty() {
        return;
    }
    let mut gauge = |name: &str, help: &str, value: &dyn Fn(&Counted) -> Option<f64>| {
        let Some(mut family) = out.family(name, "gauge", help) else { return };
        for (source, counted) in &all {
            let labels = [("source", *source), ("origin", counted.origin.as_str())];
            value(counted).into_iter().for_each(|value| family.put("", &labels, value));
        }
    };
    gauge(
        "origin_counted",
        "1 where the state of another node is in what is told, 0 where it is left out.",
        &|counted| Some(if counted.left_out.is_none() { 1.0 } else { 0.0 }),
    );
    gauge("origin_age_seconds", "How long ago the state of another node was written.", &|counted| {
        counted.left_out.is_none().then(|| crate::status::age_s(counted.written_us))
    });
    gauge(
        "origin_complete_to_timestamp_seconds",
        "Up to when the state of another node is complete.",
        &|counted| counted.complete_to.map(|time| time.0 as f64 / SECOND as f64),
    );
}

/// The families of a metric under one grouping set.
fn of_metric(
    moment: &Moment,
    (number, metric, by): (usize, &Metric, &[usize]),
    window: Option<Span>,
    out: &mut Exposition,
) {
    let source = moment.source();
    let mut answers: Vec<(String, Answer)> = Vec::new();
    let mut ask = |word: String, ask: Ask| {
        // What has no such window has no such series.
        let _ = moment.ask(number, Some(by), ask, &mut |answer, _| answers.push((word.clone(), answer)));
    };
    let ring = metric.levels.last().filter(|_| !metric.total).map(|level| level.keep);
    ask(ring.map_or("all".into(), |keep| keep.to_string()), Ask::Of(Question::Total));
    if let Some(window) = window {
        ask(window.to_string(), Ask::Last(window));
    }
    let columns = source.columns();
    let by: Vec<&str> = by.iter().map(|&at| columns[at].path.as_str()).collect();
    let mut names: Vec<String> = answers.iter().map(|(_, answer)| answer.metric.clone()).collect();
    names.dedup();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let own: Vec<&(String, Answer)> =
            answers.iter().filter(|(_, answer)| answer.metric == name).collect();
        let name = if by.is_empty() { name } else { format!("{name}_by_{}", by.join("_")) };
        tell_answers(source, metric, &name, &own, out);
    }
}

fn tell_answers(
    source: &Source,
    metric: &Metric,
    name: &str,
    answers: &[&(String, Answer)],
    out: &mut Exposition,
) {
    let measure = crate::answers::measure(&metric.measure);
    let help = format!("{measure} of source {}; between _low and _high.", source.name);
    let counts =
        matches!(metric.measure, Measure::Count) && answers.iter().all(|(window, _)| window == "all");
    let (suffix, kind) = if counts { ("_total", "counter") } else { ("", "gauge") };
    let (mut histogram, mut summary) = (false, false);
    for (_, answer) in answers {
        histogram |= matches!(answer.reading.list, List::Buckets(_));
        summary |= matches!(answer.reading.list, List::Quantiles(_));
    }
    let kind = if histogram { "histogram" } else { kind };
    // Nothing else may have a label `quantile`.
    let kind = if summary { "summary" } else { kind };
    if let Some(mut family) = out.family(&format!("metric_{name}{suffix}"), kind, &help) {
        for (window, answer) in answers {
            each_number(source, window, answer, &mut |suffix, labels, [value, _, _]| {
                put(&mut family, suffix, labels, value);
            });
        }
    }
    let exact = answers.iter().all(|(_, answer)| answer.reading.sketch.is_none());
    if exact || histogram {
        return;
    }
    for (at, end, help) in [(1, "_low", "The lower bound of "), (2, "_high", "The upper bound of ")] {
        let help = format!("{help}streamgauge_metric_{name}{suffix}.");
        let kind = if summary { "summary" } else { "gauge" };
        let Some(mut family) = out.family(&format!("metric_{name}{end}"), kind, &help) else { continue };
        for (window, answer) in answers {
            each_number(source, window, answer, &mut |_, labels, numbers| {
                put(&mut family, "", labels, numbers[at]);
            });
        }
    }
}

fn put(family: &mut Family<'_>, suffix: &str, labels: &[(String, String)], value: Option<f64>) {
    let labels: Vec<(&str, &str)> =
        labels.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    if let Some(value) = value {
        family.put_measured(suffix, &labels, value);
    }
}

/// What takes the numbers of an answer: what stands behind the name, labels, and value, low and high.
type Take<'t> = dyn FnMut(&str, &[(String, String)], [Option<f64>; 3]) + 't;

fn each_number(source: &Source, window: &str, answer: &Answer, out: &mut Take<'_>) {
    let mut labels: Vec<(String, String)> =
        vec![("source".into(), source.name.clone()), ("window".into(), window.into())];
    if answer.other {
        labels.push(("other".into(), "true".into()));
    } else {
        labels.extend(answer.by.iter().map(|(name, key)| (dimension(name), text(key))));
    }
    let mut with = |name: &str, word: String, suffix: &str, numbers: [Option<f64>; 3]| {
        labels.push((name.into(), word));
        out(suffix, &labels, numbers);
        labels.pop();
    };
    match &answer.reading.list {
        List::None => {
            let number = |number: Option<Number>| number.map(Number::as_f64);
            let reading = &answer.reading;
            out("", &labels, [number(reading.value), number(reading.low), number(reading.high)]);
        }
        List::Items(items) => items.iter().for_each(|item| {
            let numbers = [item.value, item.low, item.high].map(|number| Some(number as f64));
            with("item", text(&item.item), "", numbers);
        }),
        List::Quantiles(quantiles) => {
            quantiles.iter().for_each(|q| with("quantile", q.q.to_string(), "", [q.value, q.low, q.high]))
        }
        List::Buckets(buckets) => {
            for (bound, count) in buckets {
                let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".into() };
                with("le", bound, "_bucket", [Some(*count as f64), None, None]);
            }
            let count = buckets.last().map(|(_, count)| *count as f64);
            out("_count", &labels, [count, None, None]);
        }
        // Events are no numbers.
        List::Rows(_) => {}
    }
}

fn of_sketches(moments: &[Arc<Moment>], out: &mut Exposition) {
    let mut of_totals: Vec<(String, String, Health)> = Vec::new();
    for moment in moments {
        let source = moment.source();
        for (number, metric) in source.metrics.iter().enumerate() {
            let mut take = |answer: Answer, cell: &Cell| {
                if let Some(health) = Health::of(&answer, cell) {
                    of_totals.push((source.name.clone(), answer.metric, health));
                }
            };
            // The total stands for a metric: groups are as many as users have.
            let by = metric.by.iter().find(|by| by.is_empty()).or(metric.by.first());
            let _ = moment.ask(number, by.map(Vec::as_slice), Ask::Of(Question::Total), &mut take);
        }
    }
    of_totals.dedup_by(|a, b| a.0 == b.0 && a.1 == b.1);
    type Of = fn(&Health) -> Option<f64>;
    let families: [(&str, &str, Of); 4] = [
        (
            "sketch_fill_ratio",
            "Part in use of what a sketch may grow to: bits of a filter, slots, registers.",
            |h| h.fill,
        ),
        ("sketch_error_ratio", "The error of a sketch now, in its own measure; 0 while exact.", |h| h.error),
        ("sketch_false_positive_ratio", "Probability that a new key is taken for one seen before.", |h| {
            h.wrong
        }),
        ("countmin_mean_count", "What a counter of a Count-Min holds on average.", |h| h.mean),
    ];
    for (name, help, of) in families {
        let Some(mut family) = out.family(name, "gauge", help) else { continue };
        for (source, metric, health) in &of_totals {
            if let Some(value) = of(health) {
                family.put("", &[("source", source), ("metric", metric)], value);
            }
        }
    }
}

/// How a sketch is doing.
struct Health {
    fill: Option<f64>,
    error: Option<f64>,
    wrong: Option<f64>,
    mean: Option<f64>,
}

impl Health {
    fn of(answer: &Answer, cell: &Cell) -> Option<Health> {
        let (health, reading) = (cell.health(), &answer.reading);
        if health.is_none() && reading.fill.is_none() {
            return None;
        }
        Some(Health {
            fill: reading.fill.or(health.map(|health| health.fill)),
            error: health.and_then(|health| health.error),
            wrong: reading.false_positive_rate,
            mean: cell.mean_counter(),
        })
    }
}

/// A dimension as a label that is not one of ours.
fn dimension(name: &str) -> String {
    match name {
        "source" | "window" | "other" | "item" | "quantile" | "le" => format!("by_{name}"),
        name => name.into(),
    }
}

fn text(key: &Key) -> String {
    match key {
        Key::Null => String::new(),
        Key::String(text) => text.clone(),
        Key::Int(number) => number.to_string(),
        Key::Float(number) => number.to_string(),
        Key::Bool(yes) => yes.to_string(),
    }
}

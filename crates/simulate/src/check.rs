//! What must hold at the end of a scene.

use crate::life::End;
use crate::oracle::{Counts, Sums};
use crate::scene::{KEY, Scene};
use engine::answer::{Answer, Key, Number};
use engine::batch::Reason;
use engine::spec::{Measure, Metric};
use std::collections::{BTreeMap, BTreeSet};

/// The same state, quarantine and tally, byte for byte; of what left through sinks, the same in the end.
pub fn same(scene: &Scene, troubled: &End, quiet: &End) -> Result<(), String> {
    if troubled.tally != quiet.tally {
        return Err(format!("counters are {:?}, undisturbed {:?}", troubled.tally, quiet.tally));
    }
    if troubled.answers != quiet.answers {
        let pairs = troubled.answers.iter().zip(&quiet.answers);
        let other = pairs.filter(|(a, b)| a != b).map(|(a, b)| format!("{a:?} and undisturbed {b:?}")).next();
        return Err(format!("answers differ: {}", other.unwrap_or_else(|| "others are there".into())));
    }
    if troubled.state != quiet.state {
        return Err("the state has other bytes than undisturbed".into());
    }
    if troubled.quarantine != quiet.quarantine {
        return Err("the quarantine has other bytes than undisturbed".into());
    }
    for (sink, (ours, theirs)) in troubled.lines.iter().zip(&quiet.lines).enumerate() {
        let (ours, theirs) = (latest(ours)?, latest(theirs)?);
        // Under which name a cell left that was folded or dropped later depends on when it left.
        if scene.is_exact && troubled.is_kept && quiet.is_kept && ours != theirs {
            let odd: Vec<_> = ours.iter().filter(|(cell, v)| theirs.get(*cell) != Some(v)).take(2).collect();
            let gone: Vec<_> = theirs.iter().filter(|(cell, v)| ours.get(*cell) != Some(v)).take(2).collect();
            return Err(format!("sink {sink}: {odd:?}, undisturbed {gone:?}"));
        }
    }
    Ok(())
}

type Cell = (String, String, String);

/// Start and end of a slice of time; nothing of both is the total.
type Slice = (Option<i64>, Option<i64>);

/// Of each cell that left, the highest revision with its value; each revision stands there once.
fn latest(lines: &[String]) -> Result<BTreeMap<Cell, (u64, String)>, String> {
    let mut latest: BTreeMap<Cell, (u64, String)> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for line in lines {
        let json: serde_json::Value =
            serde_json::from_str(line).map_err(|error| format!("a sink holds {line:?}: {error}"))?;
        let text = |key: &str| json[key].to_string();
        let other = if json["other"].is_null() { "" } else { "other" };
        let cell = (text("metric"), format!("{}{other}", text("by")), text("start"));
        let revision = json["revision"].as_u64().ok_or("a line without a revision")?;
        if !known.insert((cell.clone(), revision)) {
            return Err(format!("revision {revision} of {cell:?} left twice"));
        }
        let value = format!("{} {} {}", text("value"), text("low"), text("high"));
        if latest.get(&cell).is_none_or(|(before, _)| *before < revision) {
            latest.insert(cell, (revision, value));
        }
    }
    Ok(latest)
}

/// Every event is in exactly one counter, and counters are those of the oracle.
pub fn counters(end: &End, counts: &Counts) -> Result<(), String> {
    let t = &end.tally;
    let ours = [t.read, t.on_time, t.ahead, t.late, t.late_dropped, t.late_quarantined, t.bad_total()];
    let bad: u64 = counts.bad.values().sum();
    let theirs = [
        counts.read,
        counts.on_time,
        counts.ahead,
        counts.late,
        counts.late_dropped,
        counts.late_quarantined,
        bad,
    ];
    if ours != theirs {
        return Err(format!(
            "read, on time, ahead, late, dropped, quarantined, bad are {ours:?}; counted {theirs:?}"
        ));
    }
    if t.read != t.on_time + t.ahead + t.late + t.bad_total() || t.accepted() != counts.taken.len() as u64 {
        return Err("events are in no counter, or in two".into());
    }
    for (nth, reason) in Reason::ALL.iter().enumerate() {
        let counted = counts.bad.get(reason.as_str()).copied().unwrap_or(0);
        if t.bad[nth] != counted {
            return Err(format!("{} records are bad for {}; counted {counted}", t.bad[nth], reason.as_str()));
        }
    }
    if end.watermark != counts.watermark {
        return Err(format!("the watermark is {:?}; counted {:?}", end.watermark, counts.watermark));
    }
    Ok(())
}

/// Every number that is exact is that of the oracle, and every group that it knows is there.
pub fn answers(scene: &Scene, end: &End, counts: &Counts) -> Result<u64, String> {
    let mut checked = 0;
    let last = scene.sources.last().ok_or("a scene has a source")?;
    for metric in &last.metrics {
        // One that began later holds only what came since.
        let whole = scene.sources.iter().all(|s| s.metrics.iter().any(|m| m.name == metric.name));
        if !whole || !measured(&metric.measure) {
            continue;
        }
        let mut slices: BTreeMap<Slice, BTreeMap<String, Sums>> = BTreeMap::new();
        let of_metric = || end.answers.iter().filter(|answer| answer.metric == metric.name);
        for answer in of_metric() {
            let slice = (answer.start.map(|t| t.0), answer.end.map(|t| t.0));
            let sums = slices.entry(slice).or_insert_with(|| sums(metric, counts, slice));
            checked += u64::from(one(scene, metric, answer, sums)?);
        }
        if scene.is_exact {
            missing(metric, &of_metric().collect::<Vec<_>>(), &slices)?;
        }
    }
    Ok(checked)
}

fn measured(measure: &Measure) -> bool {
    matches!(
        measure,
        Measure::Count
            | Measure::Sum(_)
            | Measure::Min(_)
            | Measure::Max(_)
            | Measure::Unique { .. }
            | Measure::Avg(_)
    )
}

/// The events of a slice of time, by group.
fn sums(metric: &Metric, counts: &Counts, (start, end): Slice) -> BTreeMap<String, Sums> {
    let mut groups: BTreeMap<String, Sums> = BTreeMap::new();
    for event in &counts.taken {
        let us = event.ms * 1_000;
        if start.is_some_and(|start| us < start) || end.is_some_and(|end| us >= end) {
            continue;
        }
        for by in &metric.by {
            let values = by.iter().map(|column| if *column == KEY { &event.key } else { &event.user });
            let name = values.fold(String::new(), |name, value| format!("{name}/{value}"));
            groups.entry(name).or_default().add(event);
        }
    }
    groups
}

fn named(answer: &Answer) -> Option<String> {
    answer.by.iter().try_fold(String::new(), |name, (_, key)| match key {
        Key::String(value) => Some(format!("{name}/{value}")),
        _ => None,
    })
}

/// One answer; whether it could be compared.
fn one(
    scene: &Scene,
    metric: &Metric,
    answer: &Answer,
    sums: &BTreeMap<String, Sums>,
) -> Result<bool, String> {
    let is_total = answer.by.is_empty() && answer.start.is_none() && metric.total;
    // Where something gives way or is dropped, only the total over all time is that of all events.
    if answer.other || !(scene.is_exact || is_total) {
        return Ok(false);
    }
    let Some(name) = named(answer) else { return Err(format!("a group that no event has: {answer:?}")) };
    let empty = Sums::default();
    let sums = sums.get(&name).unwrap_or(&empty);
    let truth = match &metric.measure {
        Measure::Count => Some(sums.count as f64),
        Measure::Sum(_) => (sums.count > 0).then_some(sums.sum as f64),
        Measure::Min(_) => sums.min.map(|v| v as f64),
        Measure::Max(_) => sums.max.map(|v| v as f64),
        Measure::Avg(_) => (sums.count > 0).then(|| sums.sum as f64 / sums.count as f64),
        Measure::Unique { field, .. } => {
            Some(if *field == KEY { sums.keys.len() } else { sums.users.len() } as f64)
        }
        _ => return Ok(false),
    };
    if matches!(metric.measure, Measure::Unique { .. }) && !answer.reading.is_exact() {
        return Ok(false);
    }
    let value = answer.reading.value.map(Number::as_f64);
    let equal = match (value, truth) {
        (Some(value), Some(truth)) => (value - truth).abs() <= 1e-9 * truth.abs().max(1.0),
        (value, truth) => value == truth,
    };
    if equal {
        Ok(true)
    } else {
        Err(format!("`{}` of {name:?} is {value:?}, counted {truth:?}: {answer:?}", metric.name))
    }
}

/// All groups of the slices that were answered are there.
fn missing(
    metric: &Metric,
    answers: &[&Answer],
    slices: &BTreeMap<Slice, BTreeMap<String, Sums>>,
) -> Result<(), String> {
    let there: BTreeSet<_> = answers
        .iter()
        .filter_map(|answer| Some((answer.start.map(|t| t.0), answer.end.map(|t| t.0), named(answer)?)))
        .collect();
    for ((start, end), groups) in slices {
        for name in groups.keys() {
            if !there.contains(&(*start, *end, name.clone())) {
                return Err(format!("`{}` says nothing of {name:?} in {start:?}..{end:?}", metric.name));
            }
        }
    }
    Ok(())
}

//! What the engine will do with a pipeline, told before it does it. Nothing is decided here: all of it is read off the
//! spec.

use crate::input::InputKind;
use crate::pipeline::Pipeline;
use crate::size::words;
use engine::spec::{BadPolicy, Field, Format, Later, Measure, Metric, Source, Step, TimeFormat, TimeFrom};
use serde::Serialize;
use std::collections::BTreeSet;

/// What happens to the events of one source, in the order in which it happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// Name of the source.
    pub source: String,
    /// Where records come from.
    pub from: Vec<String>,
    /// How they are written.
    pub format: &'static str,
    /// Fields that are decoded, with their types; others are skipped.
    pub fields: Vec<(String, &'static str)>,
    /// The column of which each element becomes an event.
    pub explode: Option<String>,
    /// Event time.
    pub time: Option<String>,
    /// Columns computed where records are decoded, and verdicts one after the other.
    pub steps: Vec<Stage>,
    /// Columns that are hashed, each once for each event and use, whatever the number of metrics that want it: for
    /// `sketches`, for `sets` (audiences keep whole hashes) and for `verdicts`.
    pub hashed: Vec<(String, &'static str)>,
    /// Which metrics share a table of groups.
    pub sets: Vec<SharedSet>,
    /// Lengths of panes, and by which metrics they are kept: each answers windows that are made of them.
    pub levels: Vec<(String, Vec<String>)>,
    /// What becomes of records that cannot be read.
    pub bad: String,
    /// What becomes of events behind the watermark.
    pub late: Option<String>,
}

/// One step behind the decoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Expressions, computed for whole batches.
    Compute {
        /// The columns they give, with their types.
        columns: Vec<(String, &'static str)>,
        /// Evaluations for each batch: parts that several expressions share are evaluated once and count once.
        evaluations: usize,
    },
    /// A verdict, told of each event in the order of the input.
    Judge {
        /// The metric, whose name is the column.
        column: String,
        /// What it remembers.
        measure: String,
    },
}

/// The metrics that group the same events by the same fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SharedSet {
    /// The fields; none is the total.
    pub by: Vec<String>,
    /// The condition that all of them share.
    pub filter: Option<String>,
    /// The metrics.
    pub metrics: Vec<String>,
}

impl Pipeline {
    /// What will happen, source by source.
    pub fn explain(&self) -> Vec<Explained> {
        (0..self.spec.sources.len()).map(|index| self.explain_source(index)).collect()
    }

    fn explain_source(&self, index: usize) -> Explained {
        let (source, input) = (&self.spec.sources[index], &self.inputs[index]);
        let columns = source.columns();
        let aside = input.quarantine.as_deref().unwrap_or_default();
        Explained {
            source: source.name.clone(),
            from: match &input.kind {
                InputKind::Stdin => vec!["standard input".into()],
                InputKind::File { paths } => paths.clone(),
                InputKind::Http => vec!["HTTP".into()],
            },
            format: format(&source.format),
            fields: source.fields.iter().map(typed).collect(),
            explode: source.explode.as_ref().map(|field| field.path.clone()),
            time: time(source),
            steps: self.steps(index, &columns),
            hashed: hashed(source)
                .into_iter()
                .map(|(what_for, column)| (columns[column].path.clone(), what_for))
                .collect(),
            sets: sets(source, &columns),
            levels: levels(source),
            bad: match source.bad {
                BadPolicy::Count => "counted by reason".into(),
                BadPolicy::Quarantine => format!("counted by reason, and their bytes kept in {aside}"),
            },
            late: source.time.as_ref().map(|time| match time.later {
                Later::Correct => "counted, and folded into their own panes as corrections".into(),
                Later::Drop => "counted, and left out".into(),
                Later::Quarantine => format!("counted, left out, and their bytes kept in {aside}"),
            }),
        }
    }

    fn steps(&self, index: usize, columns: &[Field]) -> Vec<Stage> {
        let source = &self.spec.sources[index];
        let evaluations = self.programs[index].as_ref().map_or(Vec::new(), |program| program.evaluations());
        let stage = |(number, step): (usize, &Step)| match step {
            Step::Compute(fields) => Stage::Compute {
                columns: fields.iter().map(typed).collect(),
                evaluations: evaluations.get(number).copied().unwrap_or(0),
            },
            Step::Judge { metric } => {
                let metric = &source.metrics[*metric];
                Stage::Judge { column: metric.name.clone(), measure: words(metric, columns) }
            }
        };
        source.steps.iter().enumerate().map(stage).collect()
    }
}

fn typed(field: &Field) -> (String, &'static str) {
    (field.path.clone(), field.kind.as_str())
}

fn format(format: &Format) -> &'static str {
    match format {
        Format::Ndjson => "ndjson",
        Format::Delimited(shape) if shape.delimiter == b'\t' => "tsv",
        Format::Delimited(_) => "csv",
        Format::AccessLog { combined: true } => "combined",
        Format::AccessLog { combined: false } => "clf",
        Format::Lines => "lines",
        Format::Parquet => "parquet",
    }
}

fn time(source: &Source) -> Option<String> {
    let time = source.time.as_ref()?;
    let of = match &time.from {
        TimeFrom::Row(apart) => return Some(format!("the number of the record, {apart} apart")),
        TimeFrom::Arrival => return Some("the clock of the machine when a record is read".into()),
        TimeFrom::Field { .. } | TimeFrom::Column { .. } => time.name(source)?,
    };
    let written = match time.format()? {
        TimeFormat::Rfc3339 => "RFC 3339".to_string(),
        TimeFormat::Unix(1_000_000, 1) => "seconds".into(),
        TimeFormat::Unix(1_000, 1) => "milliseconds".into(),
        TimeFormat::Unix(1, 1) => "microseconds".into(),
        TimeFormat::Unix(..) => "nanoseconds".into(),
        TimeFormat::Pattern { pattern, zone } => {
            zone.as_ref().map_or_else(|| pattern.clone(), |zone| format!("{pattern} in {zone}"))
        }
    };
    let ahead =
        time.ahead.map_or("no limit to how far ahead".to_string(), |ahead| format!("{ahead} ahead at most"));
    Some(format!("{of} ({written}), {} late, {ahead}", time.lateness))
}

/// Columns that are hashed, with what for.
fn hashed(source: &Source) -> BTreeSet<(&'static str, usize)> {
    let wants = |metric: &Metric| match metric.measure {
        Measure::Unique { field, .. } | Measure::Freq { field, .. } | Measure::Top { field, .. } => {
            Some(("sketches", field))
        }
        Measure::Audience { field, .. } => Some(("sets", field)),
        Measure::Seen { field, .. } => Some(("verdicts", field)),
        Measure::Session { field, .. } => Some(("sessions", field)),
        _ => None,
    };
    source.metrics.iter().filter_map(wants).collect()
}

fn sets(source: &Source, columns: &[Field]) -> Vec<SharedSet> {
    let first = source.first_uncertain();
    let mut known: Vec<(Option<usize>, &[usize], usize)> = Vec::new();
    let mut out: Vec<SharedSet> = Vec::new();
    for metric in source.metrics.iter().filter(|m| m.measure.has_cells()) {
        for by in &metric.by {
            // What a verdict decides is no condition of the set: the rows it leaves out count as offered.
            let filter = metric.filter.filter(|filter| *filter < first);
            let key = (filter, by.as_slice(), metric.groups_max);
            match known.iter().position(|other| *other == key) {
                Some(at) => out[at].metrics.push(metric.name.clone()),
                None => {
                    known.push(key);
                    out.push(SharedSet {
                        by: by.iter().map(|&column| columns[column].path.clone()).collect(),
                        filter: filter.map(|column| columns[column].path.clone()),
                        metrics: vec![metric.name.clone()],
                    });
                }
            }
        }
    }
    out
}

/// By length of a pane, finest first.
fn levels(source: &Source) -> Vec<(String, Vec<String>)> {
    let mut spans: Vec<_> = source.metrics.iter().flat_map(|m| &m.levels).map(|level| level.size).collect();
    spans.sort_unstable();
    spans.dedup();
    let keepers = |size| {
        let keeps = |metric: &&Metric| metric.levels.iter().any(|level| level.size == size);
        source.metrics.iter().filter(keeps).map(|metric| metric.name.clone()).collect()
    };
    spans.into_iter().map(|size| (size.to_string(), keepers(size))).collect()
}

//! The answer to a single event: is its key new, how many so far, how often was this seen.
//!
//! An [`Annotator`] reads the state of one shard right after an event was folded in. With one shard that is everything
//! that came before, so nothing here is older than the event itself.

use crate::answer::json::Verdict;
use crate::answer::{Key, Reading, counted_item, describe};
use crate::batch::Batch;
use crate::doubt::Misjudged;
use crate::intake::Judged;
use crate::shard::{Shard, SoFar};
use crate::spec::{Field, Measure, Source};
use serde::ser::{Serialize, Serializer};
use std::fmt;

/// What is said of every event.
#[derive(Debug)]
pub struct Annotator {
    confidence: f64,
    source: Source,
    columns: Vec<Field>,
    asked: Vec<(String, Asked)>,
}

#[derive(Debug, Clone, Copy)]
enum Asked {
    /// A column of the event.
    Column(usize),
    /// The column of a verdict.
    Verdict(usize),
    /// The answer of a metric so far, for the group of the event under the first grouping set.
    Metric(usize),
}

/// What is said of one event.
#[derive(Debug, Clone, PartialEq)]
pub enum Note {
    /// The value of a column.
    Value(Key),
    /// Whether a key was there before. `None` without a key.
    Verdict {
        /// The answer.
        seen: Option<bool>,
        /// The probability that a new key is taken for one seen before; 0 while the filter is exact.
        false_positive_rate: f64,
    },
    /// A metric so far.
    Reading(Box<Reading>),
}

/// What is said of one event, by the names that were asked for.
pub type Notes<'a> = Vec<(&'a str, Note)>;

impl Annotator {
    /// Asks for these names: columns, `seen` metrics, and metrics with one number. A name that is both is the metric.
    ///
    /// # Errors
    /// [`AnnotateError`] for the first name that nothing can be said of.
    pub fn new(source: &Source, names: &[String]) -> Result<Annotator, AnnotateError> {
        let columns = source.columns();
        let asked = names.iter().map(|name| Ok((name.clone(), asked(source, &columns, name)?)));
        let asked = asked.collect::<Result<_, AnnotateError>>()?;
        Ok(Annotator { confidence: source.confidence, source: source.clone(), columns, asked })
    }

    /// Asks for columns and `seen` metrics alone: what is known of an event before it is folded in, whatever the number of shards.
    ///
    /// # Errors
    /// As [`Annotator::new`], and for a metric so far.
    pub fn of_events(source: &Source, names: &[String]) -> Result<Annotator, AnnotateError> {
        let annotator = Annotator::new(source, names)?;
        match annotator.asked.iter().find(|(_, asked)| matches!(asked, Asked::Metric(_))) {
            Some((name, _)) => Err(AnnotateError::SoFar(name.clone())),
            None => Ok(annotator),
        }
    }

    /// What is to be said of a row, in the order asked, of an annotator [of events](Annotator::of_events).
    ///
    /// # Panics
    /// Of another one.
    pub fn event_notes(&self, judged: &Judged, row: usize) -> Notes<'_> {
        let note = |asked: &Asked| match *asked {
            Asked::Column(column) => value(judged, column, row),
            Asked::Verdict(column) => verdict(judged, column, row),
            Asked::Metric(_) => panic!("a metric so far is known to a shard alone"),
        };
        self.asked.iter().map(|(name, asked)| (name.as_str(), note(asked))).collect()
    }

    /// What is to be said of a row, in the order asked.
    pub fn notes(&self, shard: &Shard, judged: &Judged, row: usize) -> Notes<'_> {
        let note = |asked: &Asked| match *asked {
            Asked::Column(column) => value(judged, column, row),
            Asked::Verdict(column) => verdict(judged, column, row),
            Asked::Metric(metric) => Note::Reading(Box::new(self.reading(metric, shard, judged, row))),
        };
        self.asked.iter().map(|(name, asked)| (name.as_str(), note(asked))).collect()
    }

    fn reading(&self, metric: usize, shard: &Shard, judged: &Judged, row: usize) -> Reading {
        let spec = &self.source.metrics[metric];
        let SoFar { cell, other, missed, offered } = shard.so_far(metric, &spec.by[0], &judged.batch, row);
        let kind = spec.measure.field().map(|field| self.columns[field].kind);
        let mut reading = match &spec.measure {
            Measure::Freq { field, .. } | Measure::Top { field, .. } => {
                counted_item(cell, shard.token(*field, row), self.confidence)
            }
            measure => describe(measure, kind, cell, self.confidence),
        };
        if missed > 0 {
            let other = describe(&spec.measure, kind, other, self.confidence);
            reading.widen(&spec.measure, missed, &other);
        }
        if let Some(column) = self.source.last_uncertain(spec) {
            let wrong = Misjudged::most(&judged.misjudged, column, offered, self.confidence);
            reading.doubt(&spec.measure, wrong, self.confidence);
        }
        reading
    }
}

fn value(judged: &Judged, column: usize, row: usize) -> Note {
    Note::Value(Key::of(&judged.batch.columns[column], row))
}

fn verdict(judged: &Judged, column: usize, row: usize) -> Note {
    let seen = match Key::of(&judged.batch.columns[column], row) {
        Key::Bool(seen) => Some(seen),
        _ => None,
    };
    let verdict = judged.misjudged.iter().find(|verdict| verdict.column == column);
    Note::Verdict { seen, false_positive_rate: verdict.map_or(0.0, |verdict| verdict.rate) }
}

fn asked(source: &Source, columns: &[Field], name: &str) -> Result<Asked, AnnotateError> {
    let column = columns.iter().rposition(|column| column.path == name);
    if let Some(metric) = source.metrics.iter().position(|metric| metric.name == name) {
        return match &source.metrics[metric].measure {
            Measure::Seen { .. } => Ok(Asked::Verdict(source.column_of_verdict(metric))),
            Measure::Session { .. } => Err(AnnotateError::Sessions(name.into())),
            Measure::Quantiles { .. } | Measure::Histogram { .. } | Measure::Sample { .. } => {
                Err(AnnotateError::List(name.into()))
            }
            _ if !source.metrics[metric].total => Err(AnnotateError::Ring(name.into())),
            _ => Ok(Asked::Metric(metric)),
        };
    }
    column.map(Asked::Column).ok_or(AnnotateError::Unknown(name.into()))
}

impl Serialize for Note {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Note::Value(key) => key.serialize(s),
            Note::Verdict { seen, false_positive_rate } => {
                Verdict { seen: *seen, false_positive_rate: *false_positive_rate }.serialize(s)
            }
            Note::Reading(reading) => reading.serialize(s),
        }
    }
}

/// Why nothing can be said of events under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnnotateError {
    /// There is no column and no metric of that name.
    Unknown(String),
    /// The metric is a list.
    List(String),
    /// The metric is of sessions, which are whole only afterwards.
    Sessions(String),
    /// The metric forgets, so it has no number so far.
    Ring(String),
    /// The metric has a number so far, which one shard alone does not know.
    SoFar(String),
}

impl fmt::Display for AnnotateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnnotateError::Unknown(name) => {
                write!(f, "there is no metric and no field `{name}` to annotate with")
            }
            AnnotateError::List(name) => write!(f, "metric `{name}` is a list, not one number for an event"),
            AnnotateError::Sessions(name) => {
                write!(
                    f,
                    "metric `{name}` counts sessions, which are whole only when nothing more can join them"
                )
            }
            AnnotateError::Ring(name) => {
                write!(f, "metric `{name}` forgets (`keep`), so it has no number so far")
            }
            AnnotateError::SoFar(name) => {
                write!(f, "metric `{name}` is over many events, not of one: name `seen` metrics and fields")
            }
        }
    }
}

impl std::error::Error for AnnotateError {}

/// The record of a row, in a batch that keeps the raw bytes.
pub fn raw_of(batch: &Batch, row: usize) -> &[u8] {
    batch.raw.get(row).map_or(&[], |raw| &raw.bytes)
}

//! Answers: a number with its bounds, what it is about, and how complete it is. The same on every road out.

mod describe;
pub mod json;

use crate::column::Column;
use crate::time::{Span, Time};
use sketch::Guarantee;

pub use describe::describe;
pub(crate) use describe::{counted_item, seen, seen_recently};

/// The value of a `by` field.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub enum Key {
    /// Missing.
    Null,
    /// Text.
    String(String),
    /// Integer.
    Int(i64),
    /// Double.
    Float(f64),
    /// Boolean.
    Bool(bool),
}

/// A number of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// Exact integer.
    Int(i128),
    /// Double.
    Float(f64),
}

/// What a metric says about one group and one slice of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Name of the metric; `sg.source` for the counters of a source.
    pub metric: String,
    /// The group: names and values of the `by` fields; empty for the total.
    pub by: Vec<(String, Key)>,
    /// True for the group that holds what was not kept apart.
    pub other: bool,
    /// First instant of the window; `None` for the total over all time.
    pub start: Option<Time>,
    /// First instant after the window.
    pub end: Option<Time>,
    /// The panes that the window is made of, when those of the windows asked for are no longer kept: it is longer than they, or
    /// there are fewer of them.
    pub resolution: Option<Span>,
    /// Of a pane that leaves: how many late events have changed this number since the pane closed. Of the same metric, group
    /// and pane the highest one holds. `None` for answers to questions.
    pub revision: Option<u64>,
    /// What was measured.
    pub reading: Reading,
    /// Names of the values of [`List::Rows`]; empty for other measures.
    pub row_fields: Vec<String>,
    /// No event before this is expected any more; `None` without event time.
    pub complete_to: Option<Time>,
    /// Late events of the source so far.
    pub late: u64,
}

/// A measure read out: one number with bounds, or a list of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The number; `None` for list measures and where there is nothing to measure (no rows).
    pub value: Option<Number>,
    /// Lower bound.
    pub low: Option<Number>,
    /// Upper bound.
    pub high: Option<Number>,
    /// Probability that the truth is inside the bounds; 1 for exact and proven ones.
    pub confidence: f64,
    /// Where the bounds come from (for lists: the weakest among the entries).
    pub guarantee: Guarantee,
    /// The sketch behind it; `None` when the measure is exact by nature.
    pub sketch: Option<String>,
    /// The entries of list measures.
    pub list: List,
    /// Share of the bits of a filter that are set; for `seen` only.
    pub fill: Option<f64>,
    /// Probability that a new key is now taken for one seen before; for `seen` only.
    pub false_positive_rate: Option<f64>,
}

/// The entries of a list measure.
#[derive(Debug, Clone, PartialEq)]
pub enum List {
    /// Not a list measure.
    None,
    /// Items with their weights, heaviest first.
    Items(Vec<Item>),
    /// Quantiles, in the order asked.
    Quantiles(Vec<Quantile>),
    /// Cumulative counts; the last bound is +∞.
    Buckets(Vec<(f64, u64)>),
    /// Events, each with its values in the order of [`Answer::row_fields`].
    Rows(Vec<Vec<Key>>),
}

/// One value with its weight.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The value.
    pub item: Key,
    /// Its weight.
    pub value: u64,
    /// Lower bound.
    pub low: u64,
    /// Upper bound.
    pub high: u64,
}

/// One quantile.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantile {
    /// Which one, in [0, 1].
    pub q: f64,
    /// The smallest value with at least ⌈q·n⌉ values at or below it; `None` without values.
    pub value: Option<f64>,
    /// Lower bound.
    pub low: Option<f64>,
    /// Upper bound.
    pub high: Option<f64>,
}

impl Reading {
    /// A number without error; `None` where there was nothing to measure.
    pub fn exact(value: Option<Number>) -> Reading {
        Reading {
            value,
            low: value,
            high: value,
            confidence: 1.0,
            guarantee: Guarantee::Exact,
            sketch: None,
            list: List::None,
            fill: None,
            false_positive_rate: None,
        }
    }

    /// Whether there is no error at all.
    pub fn is_exact(&self) -> bool {
        self.guarantee == Guarantee::Exact
    }
}

impl Key {
    /// The value of a column in a row.
    pub fn of(column: &Column, row: usize) -> Key {
        match column {
            _ if column.as_array().is_null(row) => Key::Null,
            Column::String(a) => Key::String(a.value(row).to_string()),
            Column::Int64(a) => Key::Int(a.value(row)),
            Column::Float64(a) => Key::Float(a.value(row)),
            Column::Bool(a) => Key::Bool(a.value(row)),
        }
    }
}

impl Number {
    /// As a double, rounded.
    pub fn as_f64(self) -> f64 {
        match self {
            Number::Int(i) => i as f64,
            Number::Float(f) => f,
        }
    }
}

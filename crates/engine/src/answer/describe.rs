//! From a cell to what is said of it: value, bounds, and what the bounds are worth.

use super::{Item, Key, List, Number, Quantile, Reading};
use crate::cell::Cell;
use crate::spec::{Kind, Measure};
use sketch::countmin::Freq;
use sketch::exact::Sum;
use sketch::frequent::{Counted, Counters};
use sketch::histogram::Histogram;
use sketch::hll::Distinct;
use sketch::quantile::Quantiles;
use sketch::{Estimate, Guarantee};

/// How many items `freq` lists at most: the head of its exact hot table.
pub const FREQ_ITEMS_MAX: usize = 1_000;

/// Reads a cell out. `kind` is the type of the field, `confidence` that of probabilistic bounds.
///
/// # Panics
/// When the cell is not one of this measure: both come from one spec, so that is a bug.
pub fn describe(measure: &Measure, kind: Option<Kind>, cell: &Cell, confidence: f64) -> Reading {
    if matches!(cell, Cell::Empty) {
        return describe(measure, kind, &Cell::new(measure, kind), confidence);
    }
    match (measure, cell) {
        (Measure::Count, Cell::Count(n)) => Reading::exact(Some(Number::Int(i128::from(*n)))),
        (Measure::Sum(_), Cell::Moments(m)) => Reading::exact(m.sum().map(number)),
        (Measure::Min(_), Cell::Moments(m)) => Reading::exact(m.min().map(number)),
        (Measure::Max(_), Cell::Moments(m)) => Reading::exact(m.max().map(number)),
        (Measure::Avg(_), Cell::Moments(m)) => rounded(m.mean()),
        (Measure::Stddev(_), Cell::Moments(m)) => rounded(m.stddev()),
        (Measure::Unique { .. }, Cell::Unique(d)) => unique(d, confidence),
        (Measure::Freq { .. }, Cell::Freq(f)) => freq(f, kind, confidence),
        (Measure::Top { k, .. }, Cell::Top(c)) => top(c, *k, kind),
        (Measure::Quantiles { at, .. }, Cell::Quantiles(q)) => quantiles(q, at),
        (Measure::Histogram { .. }, Cell::Histogram(h)) => histogram(h),
        (
            Measure::Count
            | Measure::Sum(_)
            | Measure::Min(_)
            | Measure::Max(_)
            | Measure::Avg(_)
            | Measure::Stddev(_)
            | Measure::Unique { .. }
            | Measure::Freq { .. }
            | Measure::Top { .. }
            | Measure::Quantiles { .. }
            | Measure::Histogram { .. },
            _,
        ) => unreachable!("a cell of another measure"),
    }
}

fn number(value: Sum) -> Number {
    match value {
        Sum::Int(i) => Number::Int(i),
        Sum::Float(f) => Number::Float(f),
    }
}

/// Means and deviations are rounded once, to the nearest double: exact for every practical purpose, and called so.
fn rounded(value: Option<f64>) -> Reading {
    Reading::exact(value.map(Number::Float))
}

fn unique(distinct: &Distinct, confidence: f64) -> Reading {
    let e = distinct.estimate(confidence);
    Reading {
        value: Some(Number::Int(e.value.round() as i128)),
        low: Some(Number::Int(e.low.floor() as i128)),
        high: Some(Number::Int(e.high.ceil() as i128)),
        confidence: e.confidence,
        guarantee: e.guarantee,
        sketch: Some(distinct.sketch_name().to_string()),
        list: List::None,
    }
}

fn top(counters: &Counters, k: usize, kind: Option<Kind>) -> Reading {
    let items = counters.top(k);
    listed(items, kind, format!("counters/{}", counters.slots()))
}

fn freq(freq: &Freq, kind: Option<Kind>, confidence: f64) -> Reading {
    let items = freq.items(FREQ_ITEMS_MAX, confidence);
    listed(items, kind, format!("count-min/{}x{}", freq.depth(), 1usize << freq.lg_width()))
}

fn listed(items: Vec<Counted<'_>>, kind: Option<Kind>, sketch: String) -> Reading {
    let (confidence, guarantee) =
        weakest(items.iter().map(|i| (i.estimate.confidence, i.estimate.guarantee)));
    let items = items
        .into_iter()
        .map(|Counted { item, estimate: Estimate { value, low, high, .. }, .. }| Item {
            item: item_value(item, kind),
            value,
            low,
            high,
        })
        .collect();
    Reading {
        value: None,
        low: None,
        high: None,
        confidence,
        guarantee,
        sketch: Some(sketch),
        list: List::Items(items),
    }
}

/// The value whose bytes a sketch kept: text as it is, numbers as their eight bytes.
fn item_value(bytes: &[u8], kind: Option<Kind>) -> Key {
    let word = <[u8; 8]>::try_from(bytes).ok();
    match (kind, word) {
        (Some(Kind::Int64), Some(w)) => Key::Int(i64::from_le_bytes(w)),
        (Some(Kind::Float64), Some(w)) => Key::Float(f64::from_le_bytes(w)),
        (Some(Kind::Bool), _) => Key::Bool(bytes == [1]),
        _ => Key::String(String::from_utf8_lossy(bytes).into_owned()),
    }
}

fn quantiles(sketch: &Quantiles, at: &[f64]) -> Reading {
    let estimates: Vec<Option<Estimate>> = at.iter().map(|&q| sketch.quantile(q)).collect();
    let (confidence, guarantee) = weakest(estimates.iter().flatten().map(|e| (e.confidence, e.guarantee)));
    let list = at.iter().zip(&estimates).map(|(&q, e)| Quantile {
        q,
        value: e.map(|e| e.value),
        low: e.map(|e| e.low),
        high: e.map(|e| e.high),
    });
    Reading {
        value: None,
        low: None,
        high: None,
        confidence,
        guarantee,
        sketch: Some(sketch.sketch_name().to_string()),
        list: List::Quantiles(list.collect()),
    }
}

fn histogram(histogram: &Histogram) -> Reading {
    Reading { list: List::Buckets(histogram.cumulative()), ..Reading::exact(None) }
}

/// The least that can be said of all entries of a list.
fn weakest(entries: impl Iterator<Item = (f64, Guarantee)>) -> (f64, Guarantee) {
    entries.fold((1.0, Guarantee::Exact), |(c, g), (confidence, guarantee)| {
        (f64::min(c, confidence), g.max(guarantee))
    })
}

impl Reading {
    /// Widens the reading of a group that was once inside the other group: `missed` is the most weight it can have
    /// lost there, `other` the reading of the other group.
    pub(crate) fn widen(&mut self, missed: u64, other: &Reading) {
        let plus = |n: Option<Number>, more: i128| match n {
            Some(Number::Int(i)) => Some(Number::Int(i + more)),
            float => float,
        };
        match (&mut self.list, &self.sketch) {
            // Distinct values in the other group may all be this group's.
            (List::None, Some(_)) => match other.high {
                Some(Number::Int(more)) => self.high = plus(self.high, more),
                _ => self.high = None,
            },
            (List::None, None)
                if matches!(self.value, Some(Number::Int(_))) && self.guarantee == Guarantee::Exact =>
            {
                self.high = plus(self.high, i128::from(missed));
            }
            (List::Items(items), _) => items.iter_mut().for_each(|i| i.high += missed),
            // What the lost rows held is not known: these have no bounds.
            (List::None | List::Quantiles(_) | List::Buckets(_), _) => {
                (self.low, self.high) = (None, None);
                if let List::Quantiles(list) = &mut self.list {
                    list.iter_mut().for_each(|q| (q.low, q.high) = (None, None));
                }
                self.guarantee = Guarantee::None;
            }
        }
        self.guarantee = self.guarantee.max(Guarantee::Proven);
    }
}

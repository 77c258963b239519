//! From a cell to what is said of it: value, bounds, and what the bounds are worth.

use super::{Item, Key, List, Number, Quantile, Reading};
use crate::cell::Cell;
use crate::doubt::Doubts;
use crate::groups::read_value;
use crate::judge::recent::Recent;
use crate::spec::{Kind, Measure};
use sabotage::{Bug, planted};
use sketch::bloom::Seen;
use sketch::countmin::Freq;
use sketch::exact::Sum;
use sketch::frequent::{Counted, Counters};
use sketch::histogram::Histogram;
use sketch::hll::Distinct;
use sketch::quantile::Quantiles;
use sketch::sample::Sample;
use sketch::theta::Theta;
use sketch::{Estimate, Guarantee, Token};

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
        (Measure::Audience { .. }, Cell::Audience(t)) => audience(t, confidence),
        (Measure::Sample { fields, .. }, Cell::Sample(s)) => sample(s, fields.len()),
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
            | Measure::Histogram { .. }
            | Measure::Seen { .. }
            | Measure::Session { .. }
            | Measure::Audience { .. }
            | Measure::Sample { .. },
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
    counted(distinct.estimate(confidence), distinct.sketch_name())
}

fn audience(theta: &Theta, confidence: f64) -> Reading {
    counted(theta.estimate(confidence), theta.sketch_name())
}

/// Reads the filter of a `seen` metric out: how many events were the first of their key.
pub fn seen(seen: &Seen, confidence: f64) -> Reading {
    Reading {
        fill: Some(seen.fill()),
        false_positive_rate: Some(seen.rate()),
        ..counted(seen.first_times(confidence), seen.sketch_name())
    }
}

/// The same of one that forgets.
pub fn seen_recently(recent: &Recent, confidence: f64) -> Reading {
    Reading {
        fill: Some(recent.fill()),
        false_positive_rate: Some(recent.rate()),
        ..counted(recent.first_times(confidence), recent.sketch_name())
    }
}

/// An estimate of a number of things.
fn counted(mut e: Estimate, sketch: String) -> Reading {
    if planted(Bug::BoundsTooNarrow) {
        (e.low, e.high) = ((e.low + e.value) / 2.0, (e.high + e.value) / 2.0);
    }
    Reading {
        value: Some(Number::Int(e.value.round() as i128)),
        low: Some(Number::Int(e.low.floor() as i128)),
        high: Some(Number::Int(e.high.ceil() as i128)),
        confidence: e.confidence,
        guarantee: e.guarantee,
        sketch: Some(sketch),
        list: List::None,
        fill: None,
        false_positive_rate: None,
    }
}

/// The rows of a sample: each a value per field.
fn sample(sample: &Sample, fields: usize) -> Reading {
    let values = |payload: &[u8]| {
        let mut rest = payload;
        (0..fields).map(|_| read_value(&mut rest)).collect()
    };
    let rows = sample.rows().into_iter().map(|row| values(&row.payload)).collect();
    Reading {
        guarantee: if sample.is_all() { Guarantee::Exact } else { Guarantee::None },
        confidence: if sample.is_all() { 1.0 } else { 0.0 },
        sketch: Some(sample.sketch_name()),
        list: List::Rows(rows),
        ..Reading::exact(None)
    }
}

fn top(counters: &Counters, k: usize, kind: Option<Kind>) -> Reading {
    let items = counters.top(k);
    listed(items, kind, counters.sketch_name())
}

fn freq(freq: &Freq, kind: Option<Kind>, confidence: f64) -> Reading {
    let items = freq.items(FREQ_ITEMS_MAX, confidence);
    listed(items, kind, freq.sketch_name())
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
    let list = List::Items(items);
    Reading { confidence, guarantee, sketch: Some(sketch), list, ..Reading::exact(None) }
}

/// How often one item of a list measure occurred.
pub(crate) fn counted_item(cell: &Cell, token: Token, confidence: f64) -> Reading {
    let (e, sketch) = match cell {
        Cell::Freq(freq) => (freq.query(token, confidence), Some(freq.sketch_name())),
        Cell::Top(counters) => (counters.get(token), Some(counters.sketch_name())),
        _ => return Reading::exact(Some(Number::Int(0))),
    };
    let number = |n: u64| Some(Number::Int(i128::from(n)));
    Reading {
        value: number(e.value),
        low: number(e.low),
        high: number(e.high),
        confidence: e.confidence,
        guarantee: e.guarantee,
        sketch,
        ..Reading::exact(None)
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
    let list = List::Quantiles(list.collect());
    let sketch = Some(sketch.sketch_name());
    Reading { confidence, guarantee, sketch, list, ..Reading::exact(None) }
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
    /// Widens the reading of a group that was once inside the other group: `missed` is the most rows it can have lost
    /// there, `other` the reading of the other group.
    pub(crate) fn widen(&mut self, measure: &Measure, missed: u64, other: &Reading) {
        self.guarantee = self.guarantee.max(Guarantee::Proven);
        match (measure, &mut self.list) {
            (Measure::Count, _) => self.high = plus(self.high, Some(Number::Int(i128::from(missed)))),
            // Distinct values in the other group may all be this group's. Both bounds have to hold.
            (Measure::Unique { .. } | Measure::Audience { .. }, _) => {
                self.high = plus(self.high, other.high);
                self.guarantee = self.guarantee.max(other.guarantee);
                self.confidence = (self.confidence + other.confidence - 1.0).max(0.0);
            }
            // What was lost is among the other group's rows, so it is no more extreme than they are.
            (Measure::Min(_), _) if self.value.is_some() => self.low = further(self.low, other.low, f64::lt),
            (Measure::Max(_), _) if self.value.is_some() => {
                self.high = further(self.high, other.high, f64::gt)
            }
            // `missed` counts events, which says nothing of what they weigh.
            (Measure::Top { weight: None, .. } | Measure::Freq { weight: None, .. }, List::Items(items)) => {
                items.iter_mut().for_each(|i| i.high = i.high.saturating_add(missed));
            }
            // What the lost rows held is not known.
            (_, _) => self.promise_nothing(),
        }
    }

    /// Makes this the reading of the other group: what was left over, and `lost` rows at most that belong to groups
    /// which are kept now.
    pub(crate) fn leave_over(&mut self, measure: &Measure, lost: u64) {
        match (measure, self.value) {
            _ if self.guarantee == Guarantee::None => {}
            (Measure::Count, Some(Number::Int(_))) => {
                let low = self.low.map_or(0.0, Number::as_f64) as i128;
                self.low = Some(Number::Int((low - i128::from(lost)).max(0)));
                self.guarantee = self.guarantee.max(Guarantee::Proven);
            }
            _ => self.promise_nothing(),
        }
    }

    /// Widens the reading of a metric that depends on verdicts, of which at most `wrong` are wrong with this confidence:
    /// so many events may have entered that should not have, or as another value, or are missing. `None` is no bound.
    pub(crate) fn doubt(&mut self, measure: &Measure, wrong: Option<u64>, confidence: f64) {
        let Some(wrong) = wrong else { return self.promise_nothing() };
        self.guarantee = self.guarantee.max(Guarantee::Probabilistic);
        self.confidence = (self.confidence + confidence - 1.0).max(0.0);
        let by = i128::from(wrong);
        match (measure, &mut self.list) {
            _ if self.guarantee == Guarantee::None => {}
            (
                Measure::Count | Measure::Unique { .. } | Measure::Audience { .. } | Measure::Seen { .. },
                _,
            ) => {
                let low = self.low.map_or(0.0, Number::as_f64) as i128 - by;
                self.low = Some(Number::Int(low.max(0)));
                self.high = plus(self.high, Some(Number::Int(by)));
            }
            (Measure::Top { weight: None, .. } | Measure::Freq { weight: None, .. }, List::Items(items)) => {
                for item in items {
                    (item.low, item.high) = (item.low.saturating_sub(wrong), item.high.saturating_add(wrong));
                }
            }
            // A single event can move these by anything.
            (_, _) => self.promise_nothing(),
        }
    }

    /// Widens the reading of sessions: of their number, of how long they took, or of how many events they had.
    ///
    /// A late event that was left out can be one more session, stretch one, or make one of two; one that was cut stands for
    /// itself and for up to two other parts. So the truth lacks `extra` of the sessions in `cell` at most, and has
    /// `missing` others.
    pub(crate) fn doubt_sessions(&mut self, doubts: Doubts, cell: &Cell) {
        if self.guarantee == Guarantee::None {
            return;
        }
        self.guarantee = self.guarantee.max(Guarantee::Proven);
        let (late, cut) = (i128::from(doubts.late), i128::from(doubts.cut));
        if let (Some(Number::Int(low)), Some(Number::Int(high))) = (self.low, self.high) {
            self.low = Some(Number::Int((low - late - 2 * cut).max(0)));
            self.high = Some(Number::Int(high + late));
        }
        let (List::Quantiles(quantiles), Cell::Quantiles(sketch)) = (&mut self.list, cell) else { return };
        let (n, extra, missing) = (i128::from(sketch.count()), 2 * late + 3 * cut, late + cut);
        for quantile in quantiles {
            // The rank of the true quantile in what was measured lies between these.
            let first = rank(quantile.q, n - extra) - missing;
            let last = rank(quantile.q, n + missing) + extra;
            let at = |rank: i128| sketch.quantile((rank as f64 - 0.5) / n as f64);
            quantile.low = if first < 1 { Some(0.0) } else { at(first).map(|e| e.low) };
            quantile.high = if last > n { None } else { at(last).map(|e| e.high) };
        }
    }

    pub(crate) fn promise_nothing(&mut self) {
        if let List::Quantiles(quantiles) = &mut self.list {
            quantiles.iter_mut().for_each(|q| (q.low, q.high) = (None, None));
        }
        (self.low, self.high) = (None, None);
        (self.guarantee, self.confidence) = (Guarantee::None, 0.0);
    }
}

/// The rank of a quantile among `n` values, from 1.
fn rank(q: f64, n: i128) -> i128 {
    ((q * n.max(0) as f64).ceil() as i128).max(1)
}

fn plus(number: Option<Number>, more: Option<Number>) -> Option<Number> {
    match (number?, more?) {
        (Number::Int(a), Number::Int(b)) => Some(Number::Int(a + b)),
        (a, b) => Some(Number::Float(a.as_f64() + b.as_f64())),
    }
}

/// The one of two numbers that lies further out; nothing outside is not further.
fn further(own: Option<Number>, other: Option<Number>, beyond: fn(&f64, &f64) -> bool) -> Option<Number> {
    match (own, other) {
        (Some(a), Some(b)) if beyond(&b.as_f64(), &a.as_f64()) => Some(b),
        _ => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(value: i128, guarantee: Guarantee, confidence: f64) -> Reading {
        Reading { guarantee, confidence, ..Reading::exact(Some(Number::Int(value))) }
    }

    #[track_caller]
    fn check(measure: &Measure, other: Reading, want: (Option<i128>, Option<i128>, Guarantee, f64)) {
        let mut own = reading(50, Guarantee::Exact, 1.0);
        own.widen(measure, 5, &other);
        let int = |n: Option<Number>| n.map(|n| n.as_f64() as i128);
        let got = (int(own.low), int(own.high), own.guarantee);
        assert_eq!(got, (want.0, want.1, want.2), "{measure:?}");
        assert!((own.confidence - want.3).abs() < 1e-9);
    }

    #[test]
    fn a_group_that_was_folded_away_is_widened_by_what_its_measure_can_have_lost() {
        let (exact, proven, none) = (Guarantee::Exact, Guarantee::Proven, Guarantee::None);
        check(&Measure::Count, reading(9, exact, 1.0), (Some(50), Some(55), proven, 1.0));
        check(&Measure::Max(0), reading(1_000, exact, 1.0), (Some(50), Some(1_000), proven, 1.0));
        check(&Measure::Max(0), reading(9, exact, 1.0), (Some(50), Some(50), proven, 1.0));
        check(&Measure::Min(0), reading(-7, exact, 1.0), (Some(-7), Some(50), proven, 1.0));
        // What a sum has lost is not known from a number of rows.
        check(&Measure::Sum(0), reading(9, exact, 1.0), (None, None, none, 0.0));
        check(&Measure::Avg(0), reading(9, exact, 1.0), (None, None, none, 0.0));
        let unique = Measure::Unique { field: 0, lg_k: 14 };
        let probabilistic = Guarantee::Probabilistic;
        check(&unique, reading(9, probabilistic, 0.95), (Some(50), Some(59), probabilistic, 0.95));
    }
}

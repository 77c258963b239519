//! A cell: the state of one metric for one group in one pane (or over all time).
//!
//! The set of states is closed and matched exhaustively, so the compiler lists what a new measure must touch.

mod columns;
mod fold;

pub use columns::Columns;
pub use fold::Rows;

use crate::spec::{Kind, Measure};
use sketch::countmin::Freq;
use sketch::exact::{Moments, Number, Parts};
use sketch::frequent::Counters;
use sketch::histogram::Histogram;
use sketch::hll::{Distinct, LgK};
use sketch::quantile::Quantiles;

/// The state of one (metric, group, pane). Sixteen bytes, so that a table of mostly empty cells stays small.
#[derive(Debug, Clone, Default)]
pub enum Cell {
    /// No event has reached it.
    #[default]
    Empty,
    /// Number of events.
    Count(u64),
    /// Exact sums and extremes.
    Moments(Box<Moments>),
    /// Distinct values.
    Unique(Box<Distinct>),
    /// Count-Min with its exact hot table.
    Freq(Box<Freq>),
    /// The most frequent values.
    Top(Box<Counters>),
    /// Quantiles.
    Quantiles(Box<Quantiles>),
    /// Counts by bucket.
    Histogram(Box<Histogram>),
}

/// Why constructors below cannot fail: parameters were checked when the pipeline file was read.
const CHECKED: &str = "sizes were validated with the pipeline file";

impl Cell {
    /// The state of a measure that has seen nothing. `kind` is the type of the field it reads.
    pub fn new(measure: &Measure, kind: Option<Kind>) -> Cell {
        let moments = |parts| {
            let number = if kind == Some(Kind::Int64) { Number::Int } else { Number::Float };
            Cell::Moments(Box::new(Moments::new(number, parts)))
        };
        match *measure {
            Measure::Count => Cell::Count(0),
            Measure::Sum(_) | Measure::Avg(_) => moments(Parts::SUMS),
            Measure::Stddev(_) => moments(Parts::SQUARES),
            Measure::Min(_) | Measure::Max(_) => moments(Parts::EXTREMES),
            Measure::Unique { lg_k, .. } => {
                Cell::Unique(Box::new(Distinct::new(LgK::new(lg_k).expect(CHECKED))))
            }
            Measure::Freq { lg_width, depth, hot, .. } => {
                Cell::Freq(Box::new(Freq::new(lg_width, depth, hot)))
            }
            Measure::Top { counters, .. } => Cell::Top(Box::new(Counters::new(counters))),
            Measure::Quantiles { bits, .. } => {
                Cell::Quantiles(Box::new(Quantiles::new(bits).expect(CHECKED)))
            }
            Measure::Histogram { ref bounds, .. } => Cell::Histogram(Box::new(match bounds {
                Some(bounds) => Histogram::new_fixed(bounds.clone()).expect(CHECKED),
                None => Histogram::new_log2(),
            })),
        }
    }

    /// Takes in another state of the same metric.
    ///
    /// # Panics
    /// When the two are states of different measures: both come from one spec, so that is a bug.
    pub fn merge(&mut self, other: &Cell) {
        const SAME: &str = "cells of one metric have equal parameters";
        match (&mut *self, other) {
            (_, Cell::Empty) => {}
            (Cell::Empty, other) => *self = other.clone(),
            (Cell::Count(a), Cell::Count(b)) => *a += b,
            (Cell::Moments(a), Cell::Moments(b)) => a.merge(b).map(drop).expect(SAME),
            (Cell::Unique(a), Cell::Unique(b)) => a.merge(b).map(drop).expect(SAME),
            (Cell::Freq(a), Cell::Freq(b)) => a.merge(b).map(drop).expect(SAME),
            (Cell::Top(a), Cell::Top(b)) => a.merge(b).map(drop).expect(SAME),
            (Cell::Quantiles(a), Cell::Quantiles(b)) => a.merge(b).map(drop).expect(SAME),
            (Cell::Histogram(a), Cell::Histogram(b)) => a.merge(b).map(drop).expect(SAME),
            (
                Cell::Count(_)
                | Cell::Moments(_)
                | Cell::Unique(_)
                | Cell::Freq(_)
                | Cell::Top(_)
                | Cell::Quantiles(_)
                | Cell::Histogram(_),
                _,
            ) => unreachable!("cells of different measures"),
        }
    }

    /// Folds the coarsest sketch that allows it to half its size. False when nothing gives way.
    pub fn fold_down(&mut self) -> bool {
        match self {
            Cell::Unique(d) if d.lg_k().get() > LG_K_FLOOR => {
                d.fold(LgK::new(d.lg_k().get() - 1).expect(CHECKED));
                true
            }
            Cell::Freq(f) if f.lg_width() > LG_WIDTH_FLOOR => {
                f.fold(f.lg_width() - 1);
                true
            }
            _ => false,
        }
    }

    /// Accounted bytes beyond the sixteen of the cell itself.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Cell::Empty | Cell::Count(_) => 0,
            Cell::Moments(x) => x.memory_bytes(),
            Cell::Unique(x) => x.memory_bytes(),
            Cell::Freq(x) => x.memory_bytes(),
            Cell::Top(x) => x.memory_bytes(),
            Cell::Quantiles(x) => x.memory_bytes(),
            Cell::Histogram(x) => x.memory_bytes(),
        }
    }

    /// Canonical bytes: a tag, then the snapshot of the sketch (docs/FORMATS.md).
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        match self {
            Cell::Empty => out.push(0),
            Cell::Count(n) => {
                out.push(COUNT_TAG);
                out.extend_from_slice(&n.to_le_bytes());
            }
            Cell::Moments(x) => x.snapshot(out),
            Cell::Unique(x) => x.snapshot(out),
            Cell::Freq(x) => x.snapshot(out),
            Cell::Top(x) => x.snapshot(out),
            Cell::Quantiles(x) => x.snapshot(out),
            Cell::Histogram(x) => x.snapshot(out),
        }
    }
}

/// First byte of a count; sketches begin with their own kind (`sketch::codec::kind`).
const COUNT_TAG: u8 = 128;
/// Precision below which memory pressure folds no further: 2^8 registers are 6.5 %.
const LG_K_FLOOR: u8 = 8;
/// Width below which memory pressure folds no further.
const LG_WIDTH_FLOOR: u8 = 8;

/// The cells of one metric in one pane, by group number.
#[derive(Debug, Clone, Default)]
pub struct Cells {
    by_group: Vec<Cell>,
}

impl Cells {
    /// The cell of a group; [`Cell::Empty`] when no event has reached it.
    pub fn get(&self, group: u32) -> &Cell {
        static EMPTY: Cell = Cell::Empty;
        self.by_group.get(group as usize).unwrap_or(&EMPTY)
    }

    /// The cell of a group, to be written.
    #[inline]
    pub fn get_mut(&mut self, group: u32) -> &mut Cell {
        let index = group as usize;
        if index >= self.by_group.len() {
            self.grow(index + 1);
        }
        &mut self.by_group[index]
    }

    #[cold]
    fn grow(&mut self, len: usize) {
        self.by_group.resize(len, Cell::Empty);
    }

    /// Groups with a cell, ascending by number.
    pub fn present(&self) -> impl Iterator<Item = (u32, &Cell)> {
        self.by_group
            .iter()
            .enumerate()
            .filter(|(_, c)| !matches!(c, Cell::Empty))
            .map(|(g, c)| (g as u32, c))
    }

    /// Takes the cell of a group away.
    pub fn take(&mut self, group: u32) -> Cell {
        self.by_group.get_mut(group as usize).map(std::mem::take).unwrap_or_default()
    }

    /// All cells, to be written.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Cell> {
        self.by_group.iter_mut()
    }

    /// Accounted bytes.
    pub fn memory_bytes(&self) -> usize {
        self.by_group.iter().map(|c| size_of::<Cell>() + c.memory_bytes()).sum()
    }
}

//! A cell: the state of one metric for one group in one pane (or over all time).
//!
//! The set of states is closed and matched exhaustively, so the compiler lists what a new measure must touch.

mod bytes;
mod columns;
mod fold;

pub(crate) use bytes::Expected;
pub use columns::Columns;
pub(crate) use columns::{NO_TOKEN, hash_column};
pub(crate) use fold::for_each_true;
pub use fold::{Rows, WEIGHT_MAX, What};

use crate::groups::OTHER;
use crate::spec::{Kind, Measure};
use sabotage::{Bug, planted};
use sketch::Health;
use sketch::countmin::Freq;
use sketch::exact::{Moments, Number, Parts};
use sketch::frequent::Counters;
use sketch::histogram::Histogram;
use sketch::hll::{Distinct, LgK};
use sketch::quantile::Quantiles;
use sketch::sample::Sample;
use sketch::theta::Theta;

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
    /// Distinct values, as hashes.
    Audience(Box<Theta>),
    /// Some of the rows.
    Sample(Box<Sample>),
}

/// The cell of a group that no event has reached.
pub(crate) static NO_CELL: Cell = Cell::Empty;

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
            Measure::Audience { lg_k, .. } => {
                Cell::Audience(Box::new(Theta::new(LgK::new(lg_k).expect(CHECKED))))
            }
            Measure::Sample { k, .. } => Cell::Sample(Box::new(Sample::new(k as u32))),
            Measure::Seen { .. } => unreachable!("a verdict has no cells: its filter is the judge's"),
            Measure::Session { .. } => unreachable!("sessions have no cells: they are the judge's"),
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
            (Cell::Count(a), Cell::Count(b)) => *a = a.saturating_add(*b),
            (Cell::Moments(a), Cell::Moments(b)) => a.merge(b).map(drop).expect(SAME),
            (Cell::Unique(a), Cell::Unique(b)) => a.merge(b).map(drop).expect(SAME),
            (Cell::Freq(a), Cell::Freq(b)) => a.merge(b).map(drop).expect(SAME),
            (Cell::Top(a), Cell::Top(b)) => a.merge(b).map(drop).expect(SAME),
            (Cell::Quantiles(a), Cell::Quantiles(b)) => a.merge(b).map(drop).expect(SAME),
            (Cell::Histogram(a), Cell::Histogram(b)) => a.merge(b).map(drop).expect(SAME),
            (Cell::Audience(a), Cell::Audience(b)) => a.merge(b).map(drop).expect(SAME),
            (Cell::Sample(a), Cell::Sample(b)) => a.merge(b).map(drop).expect(SAME),
            (
                Cell::Count(_)
                | Cell::Moments(_)
                | Cell::Unique(_)
                | Cell::Freq(_)
                | Cell::Top(_)
                | Cell::Quantiles(_)
                | Cell::Histogram(_)
                | Cell::Audience(_)
                | Cell::Sample(_),
                _,
            ) => unreachable!("cells of different measures"),
        }
    }

    /// Folds the sketch down to the size of this measure.
    pub fn fold_down(&mut self, to: &Measure) {
        match (self, to) {
            (Cell::Unique(d), Measure::Unique { lg_k, .. }) => d.fold(LgK::new(*lg_k).expect(CHECKED)),
            (Cell::Freq(f), Measure::Freq { lg_width, .. }) => f.fold(*lg_width),
            (Cell::Audience(t), Measure::Audience { lg_k, .. }) => t.fold(LgK::new(*lg_k).expect(CHECKED)),
            _ => {}
        }
    }

    /// How well the sketch is doing; `None` of an empty cell and of plain numbers.
    pub fn health(&self) -> Option<Health> {
        match self {
            Cell::Empty | Cell::Count(_) | Cell::Moments(_) => None,
            Cell::Unique(x) => Some(x.health()),
            Cell::Freq(x) => Some(x.health()),
            Cell::Top(x) => Some(x.health()),
            Cell::Quantiles(x) => Some(x.health()),
            Cell::Histogram(x) => Some(x.health()),
            Cell::Audience(x) => Some(x.health()),
            Cell::Sample(x) => Some(x.health()),
        }
    }

    /// What a counter of a Count-Min row holds on average: the weight behind the hot keys by the width. `None` of others, and
    /// while every key is counted by itself.
    pub fn mean_counter(&self) -> Option<f64> {
        match self {
            Cell::Freq(freq) => {
                freq.cold().map(|cold| cold.total() as f64 / f64::from(1u32 << cold.lg_width()))
            }
            _ => None,
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
            Cell::Audience(x) => x.memory_bytes(),
            Cell::Sample(x) => x.memory_bytes(),
        }
    }
}

/// Precision below which memory pressure folds no further: 2^8 registers are 6.5 %.
const LG_K_FLOOR: u8 = 8;
/// Width below which memory pressure folds no further.
const LG_WIDTH_FLOOR: u8 = 8;

/// The measure at half the size, when it has a sketch that folds and is not small already.
pub fn half(measure: &Measure) -> Option<Measure> {
    let mut smaller = measure.clone();
    match &mut smaller {
        Measure::Unique { lg_k, .. } | Measure::Audience { lg_k, .. } if *lg_k > LG_K_FLOOR => *lg_k -= 1,
        Measure::Freq { lg_width, .. } if *lg_width > LG_WIDTH_FLOOR => *lg_width -= 1,
        _ => return None,
    }
    Some(smaller)
}

/// Cells of a page: a pane in which few groups occur pays for few pages.
const PAGE: usize = 16;

/// The cells of one metric in one pane, by group number.
#[derive(Debug, Clone, Default)]
pub struct Cells {
    pages: Vec<Option<Box<[Cell; PAGE]>>>,
}

impl Cells {
    /// The cell of a group; [`Cell::Empty`] when no event has reached it.
    pub fn get(&self, group: u32) -> &Cell {
        let (page, at) = place(group);
        self.pages.get(page).and_then(Option::as_ref).map_or(&NO_CELL, |page| &page[at])
    }

    /// The cell of a group, to be written.
    #[inline]
    pub fn get_mut(&mut self, group: u32) -> &mut Cell {
        let (page, at) = place(group);
        if self.pages.get(page).is_none_or(Option::is_none) {
            self.grow(page);
        }
        &mut self.pages[page].as_mut().expect("made above")[at]
    }

    #[cold]
    fn grow(&mut self, page: usize) {
        if page >= self.pages.len() {
            self.pages.resize(page + 1, None);
        }
        self.pages[page] = Some(Box::default());
    }

    /// Groups with a cell, ascending by number.
    pub fn present(&self) -> impl Iterator<Item = (u32, &Cell)> {
        let pages = self.pages.iter().enumerate().filter_map(|(p, page)| Some((p, page.as_ref()?)));
        pages
            .flat_map(|(p, page)| {
                page.iter().enumerate().map(move |(at, cell)| ((p * PAGE + at) as u32, cell))
            })
            .filter(|(_, cell)| !matches!(cell, Cell::Empty))
    }

    /// Moves the cell of a group, if there is one, into that of the other group.
    pub fn fold_into_other(&mut self, group: u32) {
        let (page, at) = place(group);
        let page = self.pages.get_mut(page).and_then(Option::as_mut);
        let cell = page.map(|page| std::mem::take(&mut page[at])).unwrap_or_default();
        if !matches!(cell, Cell::Empty) && !planted(Bug::OtherDropped) {
            self.get_mut(OTHER).merge(&cell);
        }
    }

    /// All cells, to be written.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Cell> {
        self.pages.iter_mut().flatten().flat_map(|page| page.iter_mut())
    }

    /// Accounted bytes.
    pub fn memory_bytes(&self) -> usize {
        let pages = self.pages.iter().flatten();
        let cells =
            pages.map(|page| size_of_val(&**page) + page.iter().map(Cell::memory_bytes).sum::<usize>());
        self.pages.len() * size_of::<usize>() + cells.sum::<usize>()
    }
}

#[inline]
fn place(group: u32) -> (usize, usize) {
    (group as usize / PAGE, group as usize % PAGE)
}

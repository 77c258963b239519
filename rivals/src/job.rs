//! One job that several sides do: ours and rivals, with the same parameters, in interleaved passes.

use std::ops::RangeInclusive;

use timing::{Case, Timing, measure};

use crate::keys::Keys;

/// In what a job's time is told.
#[derive(Clone, Copy, PartialEq)]
pub enum Unit {
    /// Nanoseconds an operation.
    Ns,
    /// Microseconds an operation.
    Us,
    /// Milliseconds an operation.
    Ms,
}

impl Unit {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Unit::Ns => "ns",
            Unit::Us => "us",
            Unit::Ms => "ms",
        }
    }

    fn of_ns(self, ns: f64) -> f64 {
        match self {
            Unit::Ns => ns,
            Unit::Us => ns / 1e3,
            Unit::Ms => ns / 1e6,
        }
    }
}

/// What is to be done, by whom, and what must come out.
pub struct Job<'a> {
    /// In what time is told.
    pub unit: Unit,
    /// The most that ours may take.
    pub bar: Option<f64>,
    /// What every side is asked after its run, in words.
    pub asked: &'static str,
    /// The answers that are right.
    pub right: RangeInclusive<f64>,
    /// Who does it; the names of ours begin with [`OURS`].
    pub sides: Vec<Case<'a>>,
}

/// Beginning of the names of our sides.
pub const OURS: &str = "ours";

/// A job that is made when its turn comes: what it needs is gone before the next one.
pub struct Plan {
    /// What is done.
    pub name: &'static str,
    /// Makes what it needs.
    pub make: for<'a> fn(&'a Keys) -> Job<'a>,
}

/// What was measured of one job.
pub struct Outcome {
    /// What was done.
    pub name: &'static str,
    /// In what time is told.
    pub unit: Unit,
    /// The most that ours may take.
    pub bar: Option<f64>,
    /// What was asked.
    pub asked: &'static str,
    /// One entry a side.
    pub rows: Vec<Row>,
}

/// What was measured of one side of a job, in its unit.
pub struct Row {
    /// Who.
    pub name: &'static str,
    /// Middle pass.
    pub median: f64,
    /// Fastest pass.
    pub min: f64,
    /// Slowest pass.
    pub max: f64,
    /// What came out.
    pub answer: f64,
    /// Whether that is right.
    pub right: bool,
}

impl Plan {
    /// Runs all sides.
    pub fn run(&self, keys: &Keys, passes: usize) -> Outcome {
        let job = (self.make)(keys);
        let row = |t: &Timing| Row {
            name: t.name,
            median: job.unit.of_ns(t.median()),
            min: job.unit.of_ns(t.min()),
            max: job.unit.of_ns(t.max()),
            answer: t.answer,
            right: job.right.contains(&t.answer),
        };
        let rows = measure(&job.sides, passes).iter().map(row).collect();
        Outcome { name: self.name, unit: job.unit, bar: job.bar, asked: job.asked, rows }
    }
}

impl Row {
    /// One of ours.
    pub fn is_ours(&self) -> bool {
        self.name.starts_with(OURS)
    }
}

impl Outcome {
    /// The fastest of our sides that are right, by the median.
    pub fn ours(&self) -> Option<&Row> {
        self.best(true)
    }

    /// The fastest rival that is right.
    pub fn rival(&self) -> Option<&Row> {
        self.best(false)
    }

    fn best(&self, ours: bool) -> Option<&Row> {
        let right = self.rows.iter().filter(|row| row.is_ours() == ours && row.right);
        right.min_by(|a, b| a.median.total_cmp(&b.median))
    }

    /// The time of the best rival over that of ours: above 1 we are faster.
    pub fn ratio(&self) -> Option<f64> {
        Some(self.rival()?.median / self.ours()?.median)
    }

    /// Whether ours keeps within the bar; `None` where there is none.
    pub fn is_met(&self) -> Option<bool> {
        self.bar.map(|bar| self.ours().is_some_and(|row| row.median <= bar))
    }

    /// Whether one of ours gave a wrong answer.
    pub fn is_wrong(&self) -> bool {
        self.rows.iter().any(|row| row.is_ours() && !row.right)
    }
}

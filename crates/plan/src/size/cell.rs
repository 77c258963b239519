//! Bytes of one cell, by measure: what the sketches take, by their own formulas.

use engine::spec::{Field, Kind, Measure, Source};
use serde::Serialize;
use sketch::countmin::{CountMin, Freq};
use sketch::exact::Moments;
use sketch::frequent::{Counters, ITEM_BYTES_MAX};
use sketch::histogram::Histogram;
use sketch::quantile::{self, Quantiles};
use sketch::sample::{Row, Sample};
use sketch::theta::Theta;

/// Bytes of a text that `full` reckons with: names of things are rarely longer.
pub const TEXT_BYTES: u64 = 32;
/// Powers of two, of either sign, that the numbers of a field span where `full` is meant: twelve decades.
pub const POWERS: u64 = 41;
/// Powers of two that doubles have.
const POWERS_MAX: u64 = 2_099;
/// Bytes of registers beyond one for each: the sketch and its cached histogram.
const REGISTERS_EXTRA: u64 = 296;
/// Bytes of the smallest table of hashes: 16 slots.
const TABLE_MIN: u64 = 16 * 8;

/// Bytes of one cell beyond its sixteen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CellBytes {
    /// After one event.
    pub least: u64,
    /// Filled: as many distinct values as there is room for, texts of [`TEXT_BYTES`], numbers that span [`POWERS`].
    pub full: u64,
    /// Whatever comes.
    pub most: u64,
}

/// Tells the bytes of cells of one source.
pub(super) struct Cells<'a> {
    pub source: &'a Source,
    pub columns: &'a [Field],
}

impl Cells<'_> {
    pub(super) fn of(&self, measure: &Measure) -> CellBytes {
        let kind = |field: &usize| self.columns[*field].kind;
        match measure {
            Measure::Count | Measure::Seen { .. } | Measure::Session { .. } => {
                CellBytes { least: 0, full: 0, most: 0 }
            }
            Measure::Min(_) | Measure::Max(_) => equal(of::<Moments>()),
            Measure::Sum(field) | Measure::Avg(field) | Measure::Stddev(field) => {
                moments(kind(field), matches!(measure, Measure::Stddev(_)))
            }
            Measure::Unique { lg_k, .. } => {
                let full = (1 << lg_k) + REGISTERS_EXTRA;
                CellBytes { least: REGISTERS_EXTRA - REGISTERS + TABLE_MIN, full, most: full }
            }
            Measure::Audience { lg_k, .. } => {
                let full = of::<Theta>() + (16 << lg_k);
                CellBytes { least: of::<Theta>() + TABLE_MIN, full, most: full }
            }
            Measure::Freq { field, lg_width, depth, hot, .. } => {
                let cold = of::<Freq>() - of::<Counters>();
                let rows = of::<CountMin>() + (u64::from(*depth) << lg_width) * 4;
                let hot = counters(*hot as u64, kind(field));
                let wide = u64::from(*depth) << lg_width << 2;
                CellBytes {
                    least: hot.least + cold,
                    full: hot.full + cold + rows,
                    most: hot.most + cold + rows + wide,
                }
            }
            Measure::Top { field, counters: slots, .. } => counters(*slots as u64, kind(field)),
            Measure::Quantiles { bits, .. } => quantiles(*bits),
            Measure::Histogram { bounds: Some(bounds), .. } => {
                equal(of::<Histogram>() + 16 * bounds.len() as u64 + 8)
            }
            Measure::Histogram { bounds: None, .. } => CellBytes {
                least: of::<Histogram>() + 4,
                // Bounds are powers themselves: one more of them than there are steps between.
                full: of::<Histogram>() + 8 * (POWERS + 1),
                most: of::<Histogram>() + 8 * POWERS_MAX,
            },
            Measure::Sample { fields, k } => self.sample(fields, *k as u64),
        }
    }

    fn sample(&self, fields: &[usize], k: u64) -> CellBytes {
        let row = |text| fields.iter().map(|&f| value_bytes(self.columns[f].kind, text)).sum::<u64>();
        let (base, rows) = (of::<Sample>(), |n: u64| n.max(4).next_power_of_two() * of::<Row>());
        let longest = self.source.record_bytes_max as u64;
        CellBytes {
            least: base + rows(1) + fields.len() as u64,
            full: base + rows(k) + k * row(TEXT_BYTES),
            most: k.saturating_mul(row(longest)).saturating_add(base + rows(k)),
        }
    }
}

/// The cached histogram of registers, a part of [`REGISTERS_EXTRA`] that a set of hashes has not.
const REGISTERS: u64 = 256;

fn of<T>() -> u64 {
    size_of::<T>() as u64
}

fn equal(bytes: u64) -> CellBytes {
    CellBytes { least: bytes, full: bytes, most: bytes }
}

/// Sums of doubles are exact: 16 bytes for every 32 powers of two that they span, squares twice as many.
fn moments(kind: Kind, squares: bool) -> CellBytes {
    let base = of::<Moments>();
    if kind == Kind::Int64 {
        return equal(base);
    }
    let chunks = |sum: u64, square: u64| base + 16 * (sum + if squares { square } else { 0 });
    CellBytes {
        least: chunks(1, 1),
        full: chunks(POWERS.div_ceil(32) + 1, POWERS.div_ceil(16) + 3),
        most: chunks(65, 131),
    }
}

/// A table of counters: 48 bytes a slot; names take up to twice their bytes, as their buffer doubles.
fn counters(slots: u64, kind: Kind) -> CellBytes {
    let (base, live) = (of::<Counters>(), slots / 4 * 3);
    let name = |text| if kind == Kind::String { text } else { value_bytes(kind, 0) - 1 };
    let with = |text| base + 48 * slots + 2 * live * name(text);
    CellBytes {
        least: base + TABLE_MIN + 4 * 32 + 8,
        full: with(TEXT_BYTES),
        most: with(ITEM_BYTES_MAX as u64),
    }
}

/// Bins of both signs, or the values as they are while they are few.
fn quantiles(bits: u8) -> CellBytes {
    let base = of::<Quantiles>();
    let bins = |powers: u64| 2 * 4 * (powers << bits).min(quantile::BINS_MAX as u64);
    let values = 8 * quantile::VALUES_MAX as u64;
    let binned = |powers| base + values.max(BINNED + bins(powers));
    CellBytes { least: base + 4 * 8, full: binned(POWERS), most: binned(POWERS_MAX) }
}

/// Two rows of bins without their bins, and the zeros.
const BINNED: u64 = 120;

/// A value with its tag; texts have their length before them.
pub(super) fn value_bytes(kind: Kind, text: u64) -> u64 {
    match kind {
        Kind::String => 5 + text,
        Kind::Int64 | Kind::Float64 => 9,
        Kind::Bool => 2,
    }
}

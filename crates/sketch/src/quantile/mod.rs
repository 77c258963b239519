//! Quantiles of a number, with an error relative to the value: exact while small, then log-linear bins.
//!
//! Up to [`VALUES_MAX`] values are kept as they are. After that every value is counted in a bin: its sign, its binary
//! exponent and the top `bits` bits of its significand, taken from the bits of the double. A bin answers with the
//! harmonic middle of its ends, which is off by at most 1/(2^(bits+1)+1) of the value: 0.78 % at 6 bits, 0.39 % at 7.
//! This is a kin of DDSketch (Masson, Rim, Lee, VLDB 2019) with linear steps inside each power of two, as in
//! HdrHistogram, instead of a logarithm.
//!
//! Laws: order does not matter and a merge equals one sketch over all values, byte for byte. Bins of a sign span whole
//! exponents from its smallest to its largest; when that is more than [`BINS_MAX`] bins, pairs of bins are added and
//! `bits` falls by one, for both signs (the uniform collapse of UDDSketch, Epicoco et al. 2020). Why order cannot be
//! seen: the exponents spanned are those of the smallest and largest magnitude of each sign, and they only widen, so
//! the final `bits` is the largest that suits the final spans, or the number asked for, whatever came in between. A
//! bin at `bits - 1` holds just the values of its two bins at `bits`, so counting then folding equals folding then
//! counting. Which of the two forms is used depends on the number of values alone.
//!
//! NaN and infinities are counted apart and enter nothing. −0 counts as 0.
//!
//! Not here: rank-relative error (KLL, REQ), weights, removal.

pub(crate) mod bins;
mod layout;
mod snapshot;

use crate::{Estimate, Health, Incompatible, MergeNote};
use bins::Bins;

/// As many values are kept exactly.
pub const VALUES_MAX: usize = 256;
/// Bins of one sign; more are folded.
pub const BINS_MAX: usize = 8192;
/// The smallest and largest precision: 20 % and 0.05 % of the value.
pub const BITS: std::ops::RangeInclusive<u8> = 1..=10;

/// A precision outside [`BITS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitsOutOfRange(pub u8);

impl std::fmt::Display for BitsOutOfRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "quantiles take {} to {} bits, not {}", BITS.start(), BITS.end(), self.0)
    }
}

impl std::error::Error for BitsOutOfRange {}

/// Half a bin, relative to the value.
fn bin_error(bits: u8) -> f64 {
    1.0 / (f64::from(2u32 << bits) + 1.0)
}

/// Quantiles of one number.
///
/// ```
/// use sketch::quantile::Quantiles;
/// let mut latency = Quantiles::new(6).unwrap();
/// for i in 1..=10_000 {
///     latency.update(f64::from(i) / 10.0);
/// }
/// let p99 = latency.quantile(0.99).unwrap();
/// assert!(p99.low <= 990.0 && 990.0 <= p99.high);
/// assert!((p99.value - 990.0).abs() <= 990.0 * latency.relative_error());
/// ```
#[derive(Debug, Clone)]
pub struct Quantiles {
    bits: u8,
    /// Every value so far is an integer below 2^53: bins then stand for integers.
    integral: bool,
    count: u64,
    nonfinite: u64,
    min: f64,
    max: f64,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    /// The values, unsorted: sorted when read, so that an update is a push.
    Values(Vec<f64>),
    Binned(Box<Binned>),
}

/// Keys of both rows have the `bits` of the sketch.
#[derive(Debug, Clone, Default)]
struct Binned {
    zeros: u64,
    negative: Bins,
    positive: Bins,
}

impl Quantiles {
    /// An empty sketch. `bits` is log2 of the bins per power of two.
    ///
    /// # Errors
    /// When `bits` is outside [`BITS`].
    pub fn new(bits: u8) -> Result<Quantiles, BitsOutOfRange> {
        if !BITS.contains(&bits) {
            return Err(BitsOutOfRange(bits));
        }
        Ok(Quantiles {
            bits,
            integral: true,
            count: 0,
            nonfinite: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            state: State::Values(Vec::new()),
        })
    }

    /// An empty sketch of the fewest bits whose quantiles are within `error` (0.01 is 1 %) of the true value, for certain.
    ///
    /// # Errors
    /// When that takes more bits than there are, or the error is not a number.
    pub fn for_relative_error(error: f64) -> Result<Quantiles, BitsOutOfRange> {
        let fits = |bits: &u8| bin_error(*bits) <= error;
        Quantiles::new(BITS.into_iter().find(fits).unwrap_or(BITS.end() + 1))
    }

    /// Folds a value in; one that is not finite is only counted. O(1), but for the rare widening of the bins.
    #[inline]
    pub fn update(&mut self, v: f64) {
        if let State::Binned(binned) = &mut self.state
            && let Some(key) = layout::normal_key(v, self.bits)
        {
            let row = if v > 0.0 { &mut binned.positive } else { &mut binned.negative };
            if row.bump(key) {
                self.note(v);
                return;
            }
        }
        self.update_rare(v);
    }

    /// Folds values in; those that are not finite are only counted. O(n).
    pub fn update_all(&mut self, values: &[f64]) {
        for block in values.chunks(1024) {
            if !self.update_block(block) {
                block.iter().for_each(|&v| self.update(v));
            }
        }
    }

    /// Takes in what another sketch measured. The finer of the two is folded to the bits of the coarser. O(bins).
    ///
    /// # Errors
    /// When the rows of both do not fit 64 bits.
    pub fn merge(&mut self, other: &Quantiles) -> Result<MergeNote, Incompatible> {
        let beyond =
            |ours, theirs| Incompatible { what: "number of rows, together beyond 2^64", ours, theirs };
        let count = self.count.checked_add(other.count).ok_or(beyond(self.count, other.count))?;
        let nonfinite =
            self.nonfinite.checked_add(other.nonfinite).ok_or(beyond(self.nonfinite, other.nonfinite))?;
        let precision = |q: &Quantiles| if q.count > 0 { q.bits } else { 0 };
        let from = precision(self).max(precision(other));
        self.fold_to(other.bits);
        match &other.state {
            State::Values(theirs) => self.insert_values(theirs, count),
            State::Binned(theirs) => self.insert_binned(theirs, other.bits),
        }
        self.count = count;
        self.nonfinite = nonfinite;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.integral &= other.integral;
        Ok(if from <= self.bits { MergeNote::Exact } else { MergeNote::Folded { from, to: self.bits } })
    }

    /// The smallest x such that at least `ceil(q·n)` values are `<= x` (for q = 0 the smallest value), with bounds that
    /// always hold. `None` without values and for a q outside `[0, 1]`.
    ///
    /// `q` is taken as its shortest decimal: 0.1 of 10 values is one value, although the double 0.1 is a little more
    /// than a tenth. Costs a scan of the bins from the nearer end, 64 at a time: below a microsecond for some thousand
    /// bins; while exact, a selection among at most 256 values.
    pub fn quantile(&self, q: f64) -> Option<Estimate> {
        let rank = rank_of(q, self.count)?;
        if rank == 1 || rank == self.count {
            return Some(Estimate::exact(if rank == 1 { self.min } else { self.max }));
        }
        Some(match &self.state {
            State::Values(values) => {
                let mut values = values.clone();
                let (_, v, _) = values.select_nth_unstable_by(rank as usize - 1, f64::total_cmp);
                Estimate::exact(*v)
            }
            State::Binned(binned) => self.select(binned, rank),
        })
    }

    /// How many values are `<= x`, with bounds that always hold. `None` when x is NaN. O(bins).
    ///
    /// Within a bin the value is shared out linearly between its ends.
    pub fn rank(&self, x: f64) -> Option<Estimate<u64>> {
        if x.is_nan() {
            return None;
        }
        if self.count == 0 || x < self.min {
            return Some(Estimate::exact(0));
        }
        if x >= self.max {
            return Some(Estimate::exact(self.count));
        }
        Some(match &self.state {
            State::Values(values) => Estimate::exact(values.iter().filter(|v| **v <= x).count() as u64),
            State::Binned(binned) => self.rank_binned(binned, x),
        })
    }

    /// Values folded in. Those that were not finite are not among them.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Values that were NaN or infinite.
    pub fn nonfinite(&self) -> u64 {
        self.nonfinite
    }

    /// The smallest value, exact.
    pub fn min(&self) -> Option<f64> {
        (self.count > 0).then_some(self.min)
    }

    /// The largest value, exact.
    pub fn max(&self) -> Option<f64> {
        (self.count > 0).then_some(self.max)
    }

    /// log2 of the bins per power of two: what was asked for, or less after folding.
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// Largest error of a quantile, relative to the true value: 0 while exact, then 1/(2^(bits+1)+1).
    pub fn relative_error(&self) -> f64 {
        if self.is_exact() { 0.0 } else { bin_error(self.bits) }
    }

    /// True while every value is kept.
    pub fn is_exact(&self) -> bool {
        matches!(self.state, State::Values(_))
    }

    /// What the answers come from: `values` or `log-linear/BITS`.
    pub fn sketch_name(&self) -> String {
        match self.state {
            State::Values(_) => "values".to_owned(),
            State::Binned(_) => format!("log-linear/{}", self.bits),
        }
    }

    /// True when nothing was folded in, not even a value that is not finite.
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.nonfinite == 0
    }

    /// Values kept of the 256, then bytes of bins of the most there are; the error is [`Quantiles::relative_error`].
    pub fn health(&self) -> Health {
        match &self.state {
            State::Values(values) => Health::exact(values.len() as f64 / VALUES_MAX as f64),
            State::Binned(b) => {
                let bytes = b.negative.heap_bytes() + b.positive.heap_bytes();
                Health::with_error(
                    bytes as f64 / (2 * BINS_MAX * size_of::<u64>()) as f64,
                    self.relative_error(),
                )
            }
        }
    }

    /// Accounted bytes: a function of the multiset of values.
    pub fn memory_bytes(&self) -> usize {
        let heap = match &self.state {
            State::Values(values) if values.is_empty() => 0,
            State::Values(values) => values.len().next_power_of_two().max(4) * size_of::<f64>(),
            State::Binned(b) => size_of::<Binned>() + b.negative.heap_bytes() + b.positive.heap_bytes(),
        };
        size_of::<Quantiles>() + heap
    }

    /// For tests.
    ///
    /// # Panics
    /// When the structure is broken, which would be a bug.
    pub fn check_invariants(&self) {
        assert_eq!(self.sound(), Ok(()));
    }

    /// Says which rule of the structure is broken, if any. O(bins).
    pub(super) fn sound(&self) -> Result<(), &'static str> {
        if !BITS.contains(&self.bits) {
            return Err("quantiles: bits");
        }
        match &self.state {
            State::Values(values) => self.check_values(values),
            State::Binned(binned) => self.check_binned(binned),
        }
    }

    /// What is kept of a value besides its bin.
    #[inline]
    fn note(&mut self, v: f64) {
        self.count += 1;
        if v < self.min {
            self.min = v;
        }
        if v > self.max {
            self.max = v;
        }
        if self.integral && !layout::is_integral(v) {
            self.integral = false;
        }
    }

    /// Everything but a normal value inside the bins.
    #[cold]
    fn update_rare(&mut self, v: f64) {
        if !v.is_finite() {
            self.nonfinite += 1;
            return;
        }
        // −0 becomes 0.
        let v = v + 0.0;
        self.insert_values(&[v], self.count + 1);
        self.note(v);
    }

    /// A block of positive normal values in two plain loops: what they are, then where they go. False, and nothing
    /// done, for any other block.
    fn update_block(&mut self, block: &[f64]) -> bool {
        let Some((&first, rest)) = block.split_first() else { return true };
        if self.is_exact() {
            return false;
        }
        let (mut low, mut high, mut finite) = (first, first, first.is_finite());
        for &v in rest {
            finite &= v.is_finite();
            low = if v < low { v } else { low };
            high = if v > high { v } else { high };
        }
        if !finite || low < f64::MIN_POSITIVE {
            return false;
        }
        self.cover(false, low, high);
        let bits = self.bits;
        let State::Binned(binned) = &mut self.state else { return false };
        binned.positive.bump_all(block.iter().map(|v| layout::normal_key_of(v.to_bits(), bits)));
        self.count += block.len() as u64;
        self.min = self.min.min(low);
        self.max = self.max.max(high);
        self.integral = self.integral && block.iter().fold(true, |all, &v| all & layout::is_integral(v));
        true
    }

    /// Puts values where they belong when there are `count` in all: kept, or counted in bins.
    fn insert_values(&mut self, added: &[f64], count: u64) {
        if let State::Values(values) = &mut self.state {
            if count <= VALUES_MAX as u64 {
                values.extend_from_slice(added);
                return;
            }
            let kept = std::mem::take(values);
            self.state = State::Binned(Box::default());
            kept.iter().for_each(|&v| self.insert_binned_value(v));
        }
        added.iter().for_each(|&v| self.insert_binned_value(v));
    }

    fn insert_binned_value(&mut self, v: f64) {
        if v != 0.0 {
            self.cover(v < 0.0, v, v);
        }
        let bits = self.bits;
        let State::Binned(binned) = &mut self.state else { return };
        if v == 0.0 {
            binned.zeros += 1;
        } else {
            let row = if v < 0.0 { &mut binned.negative } else { &mut binned.positive };
            row.add(layout::key(v, bits), 1);
        }
    }

    fn insert_binned(&mut self, theirs: &Binned, their_bits: u8) {
        if let State::Values(values) = &mut self.state {
            let kept = std::mem::take(values);
            self.state = State::Binned(Box::default());
            kept.iter().for_each(|&v| self.insert_binned_value(v));
        }
        for (negative, row) in [(true, &theirs.negative), (false, &theirs.positive)] {
            if let Some((first, last)) = row.exponents(their_bits) {
                self.cover_exponents(negative, first, last);
            }
        }
        let finer = their_bits - self.bits;
        let State::Binned(ours) = &mut self.state else { return };
        ours.zeros += theirs.zeros;
        ours.negative.merge(&theirs.negative, finer);
        ours.positive.merge(&theirs.positive, finer);
    }

    /// Makes room in the bins of a sign for all magnitudes between two.
    #[inline]
    fn cover(&mut self, negative: bool, a: f64, b: f64) {
        let (a, b) = (layout::key(a, 0), layout::key(b, 0));
        self.cover_exponents(negative, a.min(b), a.max(b));
    }

    /// Widens the bins of a sign to these exponents, after folding as often as that takes.
    fn cover_exponents(&mut self, negative: bool, first: u32, last: u32) {
        let State::Binned(binned) = &self.state else { return };
        let row = if negative { &binned.negative } else { &binned.positive };
        let (from, to) = row.with_exponents(self.bits, first, last);
        let span = (to - from + 1) as usize;
        let bits = BITS.rev().find(|&bits| span << bits <= BINS_MAX).unwrap_or(*BITS.start());
        self.fold_to(bits);
        let bits = self.bits;
        let State::Binned(binned) = &mut self.state else { return };
        let row = if negative { &mut binned.negative } else { &mut binned.positive };
        row.cover(bits, first, last);
    }

    /// Folds until there are at most this many bits.
    fn fold_to(&mut self, bits: u8) {
        while self.bits > bits {
            if let State::Binned(binned) = &mut self.state {
                binned.negative.fold();
                binned.positive.fold();
            }
            self.bits -= 1;
        }
    }

    fn select(&self, binned: &Binned, rank: u64) -> Estimate {
        let below = binned.negative.total();
        if rank <= below {
            return self.estimate(true, binned.negative.find_from_top(rank));
        }
        let rank = rank - below;
        if rank <= binned.zeros {
            return Estimate::exact(0.0);
        }
        let (rank, total) = (rank - binned.zeros, self.count - below - binned.zeros);
        let key = if rank > total / 2 {
            binned.positive.find_from_top(total - rank + 1)
        } else {
            binned.positive.find(rank)
        };
        self.estimate(false, key)
    }

    /// What the bin of a key says, clipped to the extremes. Clipping moves towards the truth, never away.
    fn estimate(&self, negative: bool, key: u32) -> Estimate {
        let (low, value, high) = self.ends(negative, key);
        let (low, high) = (low.max(self.min), high.min(self.max));
        if low == high { Estimate::exact(low) } else { Estimate::proven(value.max(low).min(high), low, high) }
    }

    /// Smallest, reported and largest value of a bin.
    fn ends(&self, negative: bool, key: u32) -> (f64, f64, f64) {
        // A bin that something fell into is never empty; the invariants see to it.
        let none = layout::Bin { low: 0.0, high: 0.0, value: 0.0 };
        let bin = layout::bin(key, self.bits, self.integral).unwrap_or(none);
        if negative { (-bin.high, -bin.value, -bin.low) } else { (bin.low, bin.value, bin.high) }
    }

    /// For an x between the extremes.
    fn rank_binned(&self, binned: &Binned, x: f64) -> Estimate<u64> {
        if x == 0.0 {
            return Estimate::exact(binned.negative.total() + binned.zeros);
        }
        let negative = x < 0.0;
        let key = layout::key(x, self.bits);
        let (below, inside) = if negative {
            let inside = binned.negative.get(key);
            (binned.negative.total() - binned.negative.total_below(key) - inside, inside)
        } else {
            let below = binned.negative.total() + binned.zeros + binned.positive.total_below(key);
            (below, binned.positive.get(key))
        };
        if inside == 0 {
            return Estimate::exact(below);
        }
        let (low, _, high) = self.ends(negative, key);
        let (low, high) = (low.max(self.min), high.min(self.max));
        if x < low || x >= high {
            return Estimate::exact(if x < low { below } else { below + inside });
        }
        // The smallest value is at most x and the largest above it.
        let (at_least, at_most) = (below.max(1), (below + inside).min(self.count - 1));
        let share = (inside as f64 * ((x - low) / (high - low))) as u64;
        if at_least >= at_most {
            return Estimate::exact(at_most);
        }
        Estimate::proven((below + share).clamp(at_least, at_most), at_least, at_most)
    }
}

/// `ceil(q·n)`, at least 1, for the shortest decimal that reads back as `q`; `None` without values and for a q outside
/// `[0, 1]`.
pub(crate) fn rank_of(q: f64, n: u64) -> Option<u64> {
    if n == 0 || !(0.0..=1.0).contains(&q) {
        return None;
    }
    // Rust prints the shortest decimal that reads back: at most 17 digits and a power of ten.
    let text = format!("{q:e}");
    let (mantissa, exponent) = text.split_once('e')?;
    let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len() as i32);
    let digits =
        mantissa.bytes().filter(u8::is_ascii_digit).fold(0u128, |acc, d| acc * 10 + u128::from(d - b'0'));
    let tens = fraction - exponent.parse::<i32>().ok()?;
    let product = digits * u128::from(n);
    // q <= 1 makes `tens` at least 0; ten to the 39th is beyond any product, whose ceiling is then 1.
    let rank = match u32::try_from(tens).ok().and_then(|tens| 10u128.checked_pow(tens)) {
        Some(scale) => product.div_ceil(scale),
        None => 1,
    };
    Some(u64::try_from(rank).unwrap_or(n).clamp(1, n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rank_is_that_of_the_decimal() {
        let cases: [(f64, u64, u64); 14] = [
            (0.1, 10, 1),
            (0.3, 10, 3),
            (0.7, 10, 7),
            (0.55, 100, 55),
            (0.999, 1000, 999),
            (0.07, 100, 7),
            (0.29, 100, 29),
            (0.0, 5, 1),
            (1.0, 5, 5),
            (0.5, 5, 3),
            (1e-300, u64::MAX, 1),
            (5e-324, 1, 1),
            (0.1, u64::MAX, 1844674407370955162),
            (0.9999999999999999, u64::MAX, 18446744073709549771),
        ];
        for (q, n, rank) in cases {
            assert_eq!(rank_of(q, n), Some(rank), "{q} of {n}");
        }
        for q in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(rank_of(q, 10), None, "{q}");
        }
        assert_eq!(rank_of(0.5, 0), None);
    }
}

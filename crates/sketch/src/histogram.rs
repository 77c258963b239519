//! How many values are at most x: exact counts by bucket, in the form Prometheus reads.
//!
//! Buckets have either the bounds that were asked for, or are the powers of two of both signs with zero between. Each
//! bucket holds the values up to and including its bound `le` and above the bound before it. The counts are exact; only
//! where inside its bucket a value lies is lost.
//!
//! NaN, +∞ and −∞ are counted apart and are in no bucket, not even the last: they are no measurements.
//!
//! Laws: order does not matter and a merge equals one histogram over all values, byte for byte.
//!
//! Not here: quantiles by interpolation (see [`crate::quantile`]) and bounds chosen from the data.

use std::sync::Arc;

use crate::codec::{self, DecodeError, Limits, Reader, kind};
use crate::quantile::bins::Bins;
use crate::{Health, Incompatible, MergeNote};

/// As many bounds may be asked for.
pub const BOUNDS_MAX: usize = 1000;

const VERSION: u8 = 1;
const FIXED: u8 = 0;
const LOG2: u8 = 1;
/// Keys of powers of two: 1 stands for 2^-1074, the smallest double, and 2099 for 2^1024, beyond the largest.
const KEY_OF_ONE: i32 = 1075;
const KEYS_MAX: usize = 2099;

/// Bounds that make no histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundsError {
    /// There are none, or more than [`BOUNDS_MAX`].
    Number(usize),
    /// The bound at this index is NaN or infinite.
    NotFinite(usize),
    /// The bound at this index is not above the one before it.
    NotAscending(usize),
}

impl std::fmt::Display for BoundsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BoundsError::Number(n) => write!(f, "a histogram takes 1 to {BOUNDS_MAX} bounds, not {n}"),
            BoundsError::NotFinite(i) => write!(f, "bound {i} is not finite"),
            BoundsError::NotAscending(i) => write!(f, "bound {i} is not above the one before it"),
        }
    }
}

impl std::error::Error for BoundsError {}

/// Exact counts by bucket.
///
/// ```
/// use sketch::histogram::Histogram;
/// let mut latency = Histogram::new_fixed(vec![10.0, 100.0]).unwrap();
/// for ms in [3.0, 10.0, 10.5, 250.0] {
///     latency.update(ms);
/// }
/// assert_eq!(latency.cumulative(), [(10.0, 2), (100.0, 3), (f64::INFINITY, 4)]);
/// ```
#[derive(Debug, Clone)]
pub struct Histogram {
    count: u64,
    nonfinite: u64,
    buckets: Buckets,
}

#[derive(Debug, Clone)]
enum Buckets {
    /// One count per bound and one for what lies above the last. Clones share the bounds.
    Fixed { bounds: Arc<[f64]>, counts: Vec<u64> },
    /// Positive keys are exponents rounded up (le = 2^k), negative ones rounded down (le = -2^k).
    Log2 { negative: Bins, zeros: u64, positive: Bins },
}

impl Histogram {
    /// An empty histogram with these upper bounds; a last bucket takes what is above them. A bound of −0 is one of 0.
    ///
    /// Clone it for further histograms of the same metric: clones share the bounds.
    ///
    /// # Errors
    /// When there are no bounds or more than [`BOUNDS_MAX`], or they are not finite and strictly ascending.
    pub fn new_fixed(mut bounds: Vec<f64>) -> Result<Histogram, BoundsError> {
        if bounds.is_empty() || bounds.len() > BOUNDS_MAX {
            return Err(BoundsError::Number(bounds.len()));
        }
        if let Some(i) = bounds.iter().position(|b| !b.is_finite()) {
            return Err(BoundsError::NotFinite(i));
        }
        if let Some(i) = bounds.windows(2).position(|w| w[0] >= w[1]) {
            return Err(BoundsError::NotAscending(i + 1));
        }
        bounds.iter_mut().for_each(|b| *b += 0.0);
        let counts = vec![0; bounds.len() + 1];
        Ok(Histogram { count: 0, nonfinite: 0, buckets: Buckets::Fixed { bounds: bounds.into(), counts } })
    }

    /// An empty histogram with one bucket per power of two of either sign, and one for zero.
    pub fn new_log2() -> Histogram {
        let buckets = Buckets::Log2 { negative: Bins::default(), zeros: 0, positive: Bins::default() };
        Histogram { count: 0, nonfinite: 0, buckets }
    }

    /// Counts a value; one that is not finite is counted apart. O(log bounds), or O(1) for powers of two.
    #[inline]
    pub fn update(&mut self, v: f64) {
        if !v.is_finite() {
            self.nonfinite += 1;
            return;
        }
        self.count += 1;
        match &mut self.buckets {
            Buckets::Fixed { bounds, counts } => counts[bounds.partition_point(|&le| le < v)] += 1,
            Buckets::Log2 { zeros, .. } if v == 0.0 => *zeros += 1,
            Buckets::Log2 { negative, positive, .. } => {
                let (row, key) = if v > 0.0 { (positive, key_up(v)) } else { (negative, key_down(v)) };
                if !row.bump(key) {
                    row.cover(0, key, key);
                    row.add(key, 1);
                }
            }
        }
    }

    /// Counts values. O(n log bounds).
    pub fn update_all(&mut self, values: &[f64]) {
        values.iter().for_each(|&v| self.update(v));
    }

    /// Takes in what another histogram counted. O(buckets).
    ///
    /// # Errors
    /// When the bounds differ, or when the rows of both do not fit 64 bits.
    pub fn merge(&mut self, other: &Histogram) -> Result<MergeNote, Incompatible> {
        let differ = |what, ours, theirs| Incompatible { what, ours, theirs };
        let rows = "number of rows, together beyond 2^64";
        let count = self.count.checked_add(other.count).ok_or(differ(rows, self.count, other.count))?;
        let nonfinite = self.nonfinite.checked_add(other.nonfinite);
        let nonfinite = nonfinite.ok_or(differ(rows, self.nonfinite, other.nonfinite))?;
        match (&mut self.buckets, &other.buckets) {
            (Buckets::Fixed { bounds, counts }, Buckets::Fixed { bounds: their_bounds, counts: theirs }) => {
                if bounds.len() != their_bounds.len() {
                    return Err(differ("number of bounds", bounds.len() as u64, their_bounds.len() as u64));
                }
                if let Some((a, b)) = bounds.iter().zip(their_bounds.iter()).find(|(a, b)| a != b) {
                    return Err(differ("a bound (as the bits of a double)", a.to_bits(), b.to_bits()));
                }
                counts.iter_mut().zip(theirs).for_each(|(ours, theirs)| *ours += theirs);
            }
            (
                Buckets::Log2 { negative, zeros, positive },
                Buckets::Log2 { negative: their_negative, zeros: their_zeros, positive: their_positive },
            ) => {
                *zeros += their_zeros;
                for (ours, theirs) in [(negative, their_negative), (positive, their_positive)] {
                    if let Some((first, last)) = theirs.exponents(0) {
                        ours.cover(0, first, last);
                        ours.merge(theirs, 0);
                    }
                }
            }
            (Buckets::Fixed { bounds, .. }, Buckets::Log2 { .. }) => {
                return Err(differ("number of bounds (0: powers of two)", bounds.len() as u64, 0));
            }
            (Buckets::Log2 { .. }, Buckets::Fixed { bounds, .. }) => {
                return Err(differ("number of bounds (0: powers of two)", 0, bounds.len() as u64));
            }
        }
        self.count = count;
        self.nonfinite = nonfinite;
        Ok(MergeNote::Exact)
    }

    /// (le, number of values `<= le`), ascending; the last le is +∞ and its number is [`Histogram::count`].
    ///
    /// Powers of two are listed from the outermost to the innermost one that was hit, per sign; zero when it was hit or
    /// lies between the signs. O(buckets).
    pub fn cumulative(&self) -> Vec<(f64, u64)> {
        let mut out = Vec::new();
        let mut below = 0;
        let mut push = |le: f64, n: u64| {
            below += n;
            out.push((le, below));
        };
        match &self.buckets {
            Buckets::Fixed { bounds, counts } => {
                bounds.iter().zip(counts).for_each(|(&le, &n)| push(le, n));
            }
            Buckets::Log2 { negative, zeros, positive } => {
                let (down, up) = (negative.exponents(0), positive.exponents(0));
                if let Some((first, last)) = down {
                    (first..=last).rev().for_each(|key| push(-power(key), negative.get(key)));
                }
                if *zeros > 0 || (down.is_some() && up.is_some()) {
                    push(0.0, *zeros);
                }
                if let Some((first, last)) = up {
                    // The topmost power is beyond the doubles: the bucket of +∞ is its own.
                    let finite = (first..=last).filter(|&key| key < KEYS_MAX as u32);
                    finite.for_each(|key| push(power(key), positive.get(key)));
                }
            }
        }
        out.push((f64::INFINITY, self.count));
        out
    }

    /// Values in buckets.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Values that were NaN or infinite.
    pub fn nonfinite(&self) -> u64 {
        self.nonfinite
    }

    /// The bounds that were asked for; `None` for powers of two.
    pub fn bounds(&self) -> Option<&[f64]> {
        match &self.buckets {
            Buckets::Fixed { bounds, .. } => Some(bounds),
            Buckets::Log2 { .. } => None,
        }
    }

    /// True when nothing was counted, not even a value that is not finite.
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.nonfinite == 0
    }

    /// What stands behind the counts: `histogram/8` for eight bounds, `histogram/log2` for powers of two.
    pub fn sketch_name(&self) -> String {
        match self.bounds() {
            Some(bounds) => format!("histogram/{}", bounds.len()),
            None => "histogram/log2".to_owned(),
        }
    }

    /// Counts of buckets have no error and nothing fills up.
    pub fn health(&self) -> Health {
        Health::exact(0.0)
    }

    /// Accounted bytes: a function of the bounds and the multiset of values. Shared bounds count in every clone.
    pub fn memory_bytes(&self) -> usize {
        let heap = match &self.buckets {
            Buckets::Fixed { bounds, counts } => size_of_val::<[f64]>(bounds) + size_of_val::<[u64]>(counts),
            Buckets::Log2 { negative, positive, .. } => negative.heap_bytes() + positive.heap_bytes(),
        };
        size_of::<Histogram>() + heap
    }

    /// Appends the canonical bytes: equal bounds and multisets of values give equal bytes. Table in docs/FORMATS.md.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        debug_assert_eq!(self.sound(), Ok(()));
        let mode = if self.bounds().is_some() { FIXED } else { LOG2 };
        out.extend([kind::HISTOGRAM, VERSION, mode]);
        out.extend(self.nonfinite.to_le_bytes());
        match &self.buckets {
            Buckets::Fixed { bounds, counts } => {
                out.extend((bounds.len() as u32).to_le_bytes());
                bounds.iter().for_each(|b| out.extend(b.to_le_bytes()));
                counts.iter().for_each(|n| out.extend(n.to_le_bytes()));
            }
            Buckets::Log2 { negative, zeros, positive } => {
                out.extend(zeros.to_le_bytes());
                negative.snapshot(0, out);
                positive.snapshot(0, out);
            }
        }
    }

    /// Reads what [`Histogram::snapshot`] wrote and leaves the reader behind it. Survives any bytes.
    ///
    /// # Errors
    /// When the bytes are no snapshot, are beyond the limit, or describe a state that no values lead to.
    pub fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<Histogram, DecodeError> {
        codec::expect_head(r, kind::HISTOGRAM, VERSION, "not a histogram of this version")?;
        let mode = r.u8()?;
        let nonfinite = r.u64()?;
        let mut histogram = match mode {
            FIXED => restore_fixed(r)?,
            LOG2 => {
                limits.allow("bins", 2 * KEYS_MAX as u64, size_of::<u64>())?;
                let zeros = r.u64()?;
                let negative = Bins::restore(r, 0, KEYS_MAX)?;
                let positive = Bins::restore(r, 0, KEYS_MAX)?;
                Histogram { count: 0, nonfinite: 0, buckets: Buckets::Log2 { negative, zeros, positive } }
            }
            _ => return Err(DecodeError::Invalid("histogram: mode")),
        };
        histogram.nonfinite = nonfinite;
        histogram.count =
            histogram.total().ok_or(DecodeError::Invalid("histogram: more than 2^64 values"))?;
        histogram.sound().map_err(DecodeError::Invalid)?;
        Ok(histogram)
    }

    /// For tests.
    ///
    /// # Panics
    /// When the structure is broken, which would be a bug.
    pub fn check_invariants(&self) {
        assert_eq!(self.sound(), Ok(()));
    }

    /// Says which rule of the structure is broken, if any. O(buckets).
    fn sound(&self) -> Result<(), &'static str> {
        if self.total() != Some(self.count) {
            return Err("histogram: number of values");
        }
        match &self.buckets {
            Buckets::Fixed { bounds, counts } => {
                let ascending = bounds.windows(2).all(|w| w[0] < w[1]);
                let canonical = bounds.iter().all(|b| b.is_finite() && !(*b == 0.0 && b.is_sign_negative()));
                let number = (1..=BOUNDS_MAX).contains(&bounds.len()) && counts.len() == bounds.len() + 1;
                if ascending && canonical && number { Ok(()) } else { Err("histogram: bounds") }
            }
            Buckets::Log2 { negative, positive, .. } => {
                negative.check_invariants(0)?;
                positive.check_invariants(0)?;
                // -2^1024 is the bound of nothing: the largest negative double is above it.
                let top = |row: &Bins| row.exponents(0).map_or(0, |(_, last)| last as usize);
                let inside = top(negative) < KEYS_MAX && top(positive) <= KEYS_MAX;
                if inside { Ok(()) } else { Err("histogram: powers of two") }
            }
        }
    }

    /// Sum of all buckets, when it fits.
    fn total(&self) -> Option<u64> {
        match &self.buckets {
            Buckets::Fixed { counts, .. } => counts.iter().try_fold(0u64, |sum, &n| sum.checked_add(n)),
            Buckets::Log2 { negative, zeros, positive } => {
                zeros.checked_add(negative.total())?.checked_add(positive.total())
            }
        }
    }
}

fn restore_fixed(r: &mut Reader<'_>) -> Result<Histogram, DecodeError> {
    let n = r.count("bounds", BOUNDS_MAX, 2 * size_of::<f64>())?;
    let mut given = Vec::with_capacity(n);
    for _ in 0..n {
        given.push(r.f64()?);
    }
    if given.iter().any(|b| *b == 0.0 && b.is_sign_negative()) {
        return Err(DecodeError::Invalid("histogram: bounds"));
    }
    let mut histogram = Histogram::new_fixed(given).map_err(|_| DecodeError::Invalid("histogram: bounds"))?;
    if let Buckets::Fixed { counts, .. } = &mut histogram.buckets {
        for count in counts {
            *count = r.u64()?;
        }
    }
    Ok(histogram)
}

/// Key of the smallest power of two `>= v`, for a positive finite `v`.
#[inline]
fn key_up(v: f64) -> u32 {
    // One step down in the doubles turns "at most" into "below": only an exact power of two changes its exponent.
    match v.to_bits() - 1 {
        0 => 1,
        below => floor_key(below) + 1,
    }
}

/// Key of the largest power of two `<= |v|`, for a finite `v` that is not zero.
#[inline]
fn key_down(v: f64) -> u32 {
    floor_key(v.to_bits() & (u64::MAX >> 1))
}

/// Key of the exponent of a magnitude, given as bits that are not zero.
#[inline]
fn floor_key(magnitude: u64) -> u32 {
    match (magnitude >> 52) as u32 {
        0 => 64 - magnitude.leading_zeros(),
        exponent => exponent + 52,
    }
}

/// The power of two of a key.
fn power(key: u32) -> f64 {
    let exponent = key as i32 - KEY_OF_ONE;
    if exponent > 1023 {
        f64::INFINITY
    } else if exponent >= -1022 {
        f64::from_bits(((exponent + 1023) as u64) << 52)
    } else {
        f64::from_bits(1 << (exponent + 1074))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_at_its_power_and_above_the_one_before() {
        let mut state = 1u64;
        let edges = (1..=KEYS_MAX as u32 - 1).map(power);
        let around = edges.flat_map(|p| [p.next_down(), p, p.next_up()]);
        let random = (0..10_000).map(|i| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            f64::from_bits((state >> 1) >> (i % 3 * 20))
        });
        for v in around.chain(random).filter(|v| v.is_finite() && *v > 0.0) {
            let (up, down) = (key_up(v), key_down(v));
            assert!(v <= power(up) && (up == 1 || v > power(up - 1)), "{v:e} up to key {up}");
            assert!(v >= power(down) && v < power(down + 1), "{v:e} down to key {down}");
        }
        assert_eq!(
            (power(1), power(1075), power(2098), power(2099)),
            (5e-324, 1.0, 2f64.powi(1023), f64::INFINITY)
        );
    }
}

//! Count, sum, mean, deviation and extremes of a number: exact, and the same bytes in any order of events.
//!
//! Integers are summed in 128 bits (squares in 192). Doubles go into an [`accumulator`] that holds every bit of every
//! value, so neither order nor cancellation can be seen; the one rounding, to nearest even, happens when a number is
//! read. NaN and infinities are counted apart and enter nothing. −0 counts as 0.
//!
//! Laws: merge is commutative and associative, and a merge equals one state over all events, byte for byte.
//!
//! Not here: sums of numbers that are not 64-bit integers or doubles, and weighted moments.

mod accumulator;
mod natural;

use crate::codec::{self, DecodeError, Limits, Reader, kind};
use crate::{Health, Incompatible, MergeNote};
use accumulator::{Accumulator, CHUNKS_MAX};
use natural::{Natural, ratio_to_f64, sqrt_ratio_to_f64, to_f64};

const VERSION: u8 = 1;

/// The type of the numbers that a [`Moments`] takes: one for its whole life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// 64-bit signed integers.
    Int,
    /// Doubles.
    Float,
}

/// Which parts are kept besides the counts: what is not asked for costs neither time nor chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parts {
    /// The sum, for [`Moments::sum`] and [`Moments::mean`].
    pub sums: bool,
    /// The sum of squares, for [`Moments::stddev`]; [`Moments::new`] keeps the sum with it.
    pub squares: bool,
    /// The smallest and largest value.
    pub extremes: bool,
}

impl Parts {
    /// Only counts.
    pub const COUNT: Parts = Parts { sums: false, squares: false, extremes: false };
    /// What sum and mean need.
    pub const SUMS: Parts = Parts { sums: true, squares: false, extremes: false };
    /// What the standard deviation needs.
    pub const SQUARES: Parts = Parts { sums: true, squares: true, extremes: false };
    /// What the smallest and the largest value need.
    pub const EXTREMES: Parts = Parts { sums: false, squares: false, extremes: true };
    /// Everything.
    pub const ALL: Parts = Parts { sums: true, squares: true, extremes: true };

    fn bits(self) -> u8 {
        u8::from(self.sums) | u8::from(self.squares) << 1 | u8::from(self.extremes) << 2
    }

    fn from_bits(bits: u8) -> Option<Parts> {
        let parts = Parts { sums: bits & 1 > 0, squares: bits & 2 > 0, extremes: bits & 4 > 0 };
        (bits < 8 && (parts.sums || !parts.squares)).then_some(parts)
    }
}

/// A sum, or one of the values, in the type of the field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sum {
    /// Of integers: exact, it cannot overflow.
    Int(i128),
    /// Of doubles: the exact sum, rounded once. Infinite only when the exact sum is beyond the largest double.
    Float(f64),
}

impl Sum {
    /// As a double, rounded to nearest.
    pub fn as_f64(self) -> f64 {
        match self {
            Sum::Int(v) => v as f64,
            Sum::Float(v) => v,
        }
    }
}

/// Exact moments of one number.
///
/// ```
/// use sketch::exact::{Moments, Number, Parts, Sum};
/// let mut latency = Moments::new(Number::Float, Parts::ALL);
/// latency.update_all_f64(&[1e9, 1e9 + 1.0, 1e9 + 2.0]);
/// assert_eq!(latency.sum(), Some(Sum::Float(3e9 + 3.0)));
/// assert_eq!(latency.stddev(), Some(1.0));
/// ```
#[derive(Debug, Clone)]
pub struct Moments {
    parts: Parts,
    count: u64,
    nonfinite: u64,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    Int(Ints),
    Float(Floats),
}

/// `squares` = `high · 2^128 + low`: 2^64 squares of 2^126 need 190 bits.
#[derive(Debug, Clone)]
struct Ints {
    sum: i128,
    squares_low: u128,
    squares_high: u64,
    min: i64,
    max: i64,
}

#[derive(Debug, Clone)]
struct Floats {
    sum: Accumulator,
    squares: Accumulator,
    min: f64,
    max: f64,
}

impl Moments {
    /// Empty moments that keep these parts.
    pub fn new(number: Number, parts: Parts) -> Moments {
        let parts = Parts { sums: parts.sums || parts.squares, ..parts };
        let state = match number {
            Number::Int => {
                State::Int(Ints { sum: 0, squares_low: 0, squares_high: 0, min: i64::MAX, max: i64::MIN })
            }
            Number::Float => State::Float(Floats {
                sum: Accumulator::default(),
                squares: Accumulator::default(),
                min: f64::INFINITY,
                max: f64::NEG_INFINITY,
            }),
        };
        Moments { parts, count: 0, nonfinite: 0, state }
    }

    /// Folds an integer in. O(1).
    ///
    /// # Panics
    /// When these are moments of doubles: the type of a field comes from the spec, never from data.
    #[inline]
    pub fn update_i64(&mut self, v: i64) {
        let State::Int(ints) = &mut self.state else { panic!("an integer for moments of doubles") };
        self.count += 1;
        ints.update(self.parts, v);
    }

    /// Folds a double in; one that is not finite is only counted. Amortised O(1).
    ///
    /// # Panics
    /// When these are moments of integers.
    #[inline]
    pub fn update_f64(&mut self, v: f64) {
        let State::Float(floats) = &mut self.state else { panic!("a double for moments of integers") };
        if !v.is_finite() {
            self.nonfinite += 1;
            return;
        }
        self.count += 1;
        if self.parts.extremes {
            floats.widen(v, v);
        }
        if self.parts.sums {
            floats.sum.add(v);
        }
        if self.parts.squares {
            floats.squares.add_square(v);
        }
    }

    /// Folds integers in. O(n).
    ///
    /// # Panics
    /// When these are moments of doubles.
    pub fn update_all_i64(&mut self, values: &[i64]) {
        let State::Int(ints) = &mut self.state else { panic!("integers for moments of doubles") };
        self.count += values.len() as u64;
        for &v in values {
            ints.update(self.parts, v);
        }
    }

    /// Folds doubles in; those that are not finite are only counted. O(n).
    ///
    /// # Panics
    /// When these are moments of integers.
    pub fn update_all_f64(&mut self, values: &[f64]) {
        if !values.iter().fold(true, |all, v| all & v.is_finite()) {
            return values.iter().for_each(|&v| self.update_f64(v));
        }
        let State::Float(floats) = &mut self.state else { panic!("doubles for moments of integers") };
        self.count += values.len() as u64;
        if self.parts.extremes {
            let low = values.iter().fold(f64::INFINITY, |low, &v| if v < low { v } else { low });
            let high = values.iter().fold(f64::NEG_INFINITY, |high, &v| if v > high { v } else { high });
            floats.widen(low, high);
        }
        if self.parts.sums {
            floats.sum.add_all(values);
        }
        if self.parts.squares {
            floats.squares.add_all_squares(values);
        }
    }

    /// Takes in what another state measured. O(chunks).
    ///
    /// # Errors
    /// When type or parts differ, or when the rows of both do not fit 64 bits.
    pub fn merge(&mut self, other: &Moments) -> Result<MergeNote, Incompatible> {
        let differ = |what, ours: u64, theirs: u64| Err(Incompatible { what, ours, theirs });
        if self.flags() & 1 != other.flags() & 1 {
            return differ("type of number (0 integer, 1 double)", self.flags().into(), other.flags().into());
        }
        if self.parts != other.parts {
            return differ("parts of the moments", self.parts.bits().into(), other.parts.bits().into());
        }
        let Some(count) = self.count.checked_add(other.count) else {
            return differ("number of rows, together beyond 2^64", self.count, other.count);
        };
        let Some(nonfinite) = self.nonfinite.checked_add(other.nonfinite) else {
            return differ("number of rows, together beyond 2^64", self.nonfinite, other.nonfinite);
        };
        match (&mut self.state, &other.state) {
            (State::Int(ours), State::Int(theirs)) => ours.merge(theirs),
            (State::Float(ours), State::Float(theirs)) => ours.merge(theirs),
            (State::Int(_), State::Float(_)) | (State::Float(_), State::Int(_)) => {}
        }
        self.count = count;
        self.nonfinite = nonfinite;
        Ok(MergeNote::Exact)
    }

    /// The type of the numbers.
    pub fn number(&self) -> Number {
        match self.state {
            State::Int(_) => Number::Int,
            State::Float(_) => Number::Float,
        }
    }

    /// The parts that are kept.
    pub fn parts(&self) -> Parts {
        self.parts
    }

    /// Rows folded in. Those that were not finite are not among them.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Rows whose value was NaN or infinite.
    pub fn nonfinite(&self) -> u64 {
        self.nonfinite
    }

    /// The sum. `None` without rows (null, not 0) and when sums are not kept. O(chunks).
    pub fn sum(&self) -> Option<Sum> {
        if self.count == 0 || !self.parts.sums {
            return None;
        }
        Some(match &self.state {
            State::Int(ints) => Sum::Int(ints.sum),
            State::Float(floats) => {
                let (negative, sum) = floats.sum.read();
                Sum::Float(signed(negative, to_f64(&sum, Accumulator::SUM_UNIT)))
            }
        })
    }

    /// The arithmetic mean, correctly rounded. `None` without rows and when sums are not kept. O(chunks).
    pub fn mean(&self) -> Option<f64> {
        if self.count == 0 || !self.parts.sums {
            return None;
        }
        let (negative, sum) = self.exact_sum();
        Some(signed(negative, ratio_to_f64(&sum, self.unit(), self.count.into())))
    }

    /// The sample standard deviation, `sqrt((n·Σx² − (Σx)²) / (n·(n−1)))`, correctly rounded: every step but the last
    /// is in integers. `None` below two rows and when squares are not kept. O(chunks²), about a microsecond.
    pub fn stddev(&self) -> Option<f64> {
        if self.count < 2 || !self.parts.squares {
            return None;
        }
        let n = u128::from(self.count);
        // Cauchy and Schwarz forbid a negative spread; restore checks it.
        let spread = self.exact_spread().unwrap_or_else(|| Natural::from_u128(0));
        Some(sqrt_ratio_to_f64(&spread, 2 * self.unit(), n * (n - 1)))
    }

    /// The smallest value. `None` without rows and when extremes are not kept.
    pub fn min(&self) -> Option<Sum> {
        self.extremes().map(|(min, _)| min)
    }

    /// The largest value. `None` without rows and when extremes are not kept.
    pub fn max(&self) -> Option<Sum> {
        self.extremes().map(|(_, max)| max)
    }

    /// True when nothing was folded in, not even a value that is not finite.
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.nonfinite == 0
    }

    /// What stands behind the numbers: `sums`.
    pub fn sketch_name(&self) -> String {
        "sums".to_owned()
    }

    /// Sums and extremes have no error and nothing fills up.
    pub fn health(&self) -> Health {
        Health::exact(0.0)
    }

    /// Accounted bytes: a function of the multiset of values.
    pub fn memory_bytes(&self) -> usize {
        let heap = match &self.state {
            State::Int(_) => 0,
            State::Float(floats) => floats.sum.heap_bytes() + floats.squares.heap_bytes(),
        };
        size_of::<Moments>() + heap
    }

    /// Appends the canonical bytes: equal multisets of values give equal bytes. Table in docs/FORMATS.md.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        debug_assert_eq!(self.sound(), Ok(()));
        out.extend([kind::MOMENTS, VERSION, self.flags()]);
        out.extend(self.count.to_le_bytes());
        out.extend(self.nonfinite.to_le_bytes());
        match &self.state {
            State::Int(ints) => ints.snapshot(self.parts, self.count, out),
            State::Float(floats) => floats.snapshot(self.parts, self.count, out),
        }
    }

    /// Reads what [`Moments::snapshot`] wrote and leaves the reader behind it. Survives any bytes.
    ///
    /// # Errors
    /// When the bytes are no snapshot, are beyond the limit, or describe a state that no values lead to.
    pub fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<Moments, DecodeError> {
        codec::expect_head(r, kind::MOMENTS, VERSION, "not moments of this version")?;
        let flags = r.u8()?;
        let Some(parts) = Parts::from_bits(flags >> 1) else {
            return Err(DecodeError::Invalid("moments: parts"));
        };
        let (count, nonfinite) = (r.u64()?, r.u64()?);
        let mut moments = Moments::new(if flags & 1 == 0 { Number::Int } else { Number::Float }, parts);
        moments.count = count;
        moments.nonfinite = nonfinite;
        match &mut moments.state {
            State::Int(ints) => ints.restore(parts, count, r)?,
            State::Float(floats) => {
                limits.allow("chunks of sums", 2 * CHUNKS_MAX as u64, size_of::<i128>())?;
                floats.restore(parts, count, r)?;
            }
        }
        moments.sound().map_err(DecodeError::Invalid)?;
        Ok(moments)
    }

    /// For tests.
    ///
    /// # Panics
    /// When the structure is broken, which would be a bug.
    pub fn check_invariants(&self) {
        assert_eq!(self.sound(), Ok(()));
    }

    /// Says which rule of the structure is broken, if any. O(chunks²).
    fn sound(&self) -> Result<(), &'static str> {
        match &self.state {
            State::Int(ints) => ints.check_invariants(self.parts, self.count)?,
            State::Float(floats) => floats.check_invariants(self.parts, self.count)?,
        }
        if matches!(self.state, State::Int(_)) && self.nonfinite > 0 {
            return Err("moments: an integer that is not finite");
        }
        if self.parts.squares && self.exact_spread().is_none() {
            return Err("moments: a negative variance");
        }
        Ok(())
    }

    fn flags(&self) -> u8 {
        u8::from(self.number() == Number::Float) | self.parts.bits() << 1
    }

    /// Exponent of the unit in which the exact sum counts; squares count in its square.
    fn unit(&self) -> i32 {
        match self.state {
            State::Int(_) => 0,
            State::Float(_) => Accumulator::SUM_UNIT,
        }
    }

    fn exact_sum(&self) -> (bool, Natural) {
        match &self.state {
            State::Int(ints) => (ints.sum < 0, Natural::from_u128(ints.sum.unsigned_abs())),
            State::Float(floats) => floats.sum.read(),
        }
    }

    /// `n·Σx² − (Σx)²`; `None` when that is negative.
    fn exact_spread(&self) -> Option<Natural> {
        let (_, sum) = self.exact_sum();
        let squares = match &self.state {
            State::Int(ints) => ints.squares(),
            State::Float(floats) => floats.squares.read().1,
        };
        squares.times(&Natural::from_u128(self.count.into())).minus(&sum.times(&sum))
    }

    fn extremes(&self) -> Option<(Sum, Sum)> {
        let kept = self.count > 0 && self.parts.extremes;
        kept.then(|| match &self.state {
            State::Int(ints) => (Sum::Int(ints.min.into()), Sum::Int(ints.max.into())),
            State::Float(floats) => (Sum::Float(floats.min), Sum::Float(floats.max)),
        })
    }
}

impl Ints {
    #[inline]
    fn update(&mut self, parts: Parts, v: i64) {
        if parts.extremes {
            self.min = self.min.min(v);
            self.max = self.max.max(v);
        }
        if parts.sums {
            self.sum += i128::from(v);
        }
        if parts.squares {
            let magnitude = u128::from(v.unsigned_abs());
            self.add_squares(magnitude * magnitude, 0);
        }
    }

    #[inline]
    fn add_squares(&mut self, low: u128, high: u64) {
        let (sum, over) = self.squares_low.overflowing_add(low);
        self.squares_low = sum;
        self.squares_high += high + u64::from(over);
    }

    fn merge(&mut self, other: &Ints) {
        self.sum += other.sum;
        self.add_squares(other.squares_low, other.squares_high);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    fn squares(&self) -> Natural {
        let words = [self.squares_low as u64, (self.squares_low >> 64) as u64, self.squares_high];
        Natural::from_digits(0, words.iter().flat_map(|&w| [w as u32, (w >> 32) as u32]).collect())
    }

    fn snapshot(&self, parts: Parts, count: u64, out: &mut Vec<u8>) {
        if parts.extremes && count > 0 {
            out.extend(self.min.to_le_bytes());
            out.extend(self.max.to_le_bytes());
        }
        if parts.sums {
            out.extend(self.sum.to_le_bytes());
        }
        if parts.squares {
            out.extend(self.squares_low.to_le_bytes());
            out.extend(self.squares_high.to_le_bytes());
        }
    }

    fn restore(&mut self, parts: Parts, count: u64, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        if parts.extremes && count > 0 {
            (self.min, self.max) = (r.i64()?, r.i64()?);
        }
        if parts.sums {
            self.sum = r.i128()?;
        }
        if parts.squares {
            self.squares_low = u128::from(r.u64()?) | u128::from(r.u64()?) << 64;
            self.squares_high = r.u64()?;
        }
        Ok(())
    }

    fn check_invariants(&self, parts: Parts, count: u64) -> Result<(), &'static str> {
        let n = i128::from(count);
        let (low, high) = match (parts.extremes, count) {
            (true, 1..) if self.min > self.max => return Err("moments: smallest above largest"),
            (true, 1..) => (self.min, self.max),
            _ => (i64::MIN, i64::MAX),
        };
        if parts.sums && !(n * i128::from(low)..=n * i128::from(high)).contains(&self.sum) {
            return Err("moments: a sum that no values of these extremes have");
        }
        // A square is at most 2^126, so n of them stay below 2^126 · n.
        let squares_max =
            Natural::from_digits(0, vec![0, 0, 0, 1 << 30]).times(&Natural::from_u128(count.into()));
        if parts.squares && squares_max.minus(&self.squares()).is_none() {
            return Err("moments: squares beyond those of 64-bit integers");
        }
        Ok(())
    }
}

impl Floats {
    /// −0 enters as 0, so that the extremes do not depend on which came first.
    #[inline]
    fn widen(&mut self, low: f64, high: f64) {
        if low < self.min {
            self.min = low + 0.0;
        }
        if high > self.max {
            self.max = high + 0.0;
        }
    }

    fn merge(&mut self, other: &Floats) {
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
        self.widen(other.min, other.max);
    }

    fn snapshot(&self, parts: Parts, count: u64, out: &mut Vec<u8>) {
        if parts.extremes && count > 0 {
            out.extend(self.min.to_le_bytes());
            out.extend(self.max.to_le_bytes());
        }
        if parts.sums {
            self.sum.snapshot(out);
        }
        if parts.squares {
            self.squares.snapshot(out);
        }
    }

    fn restore(&mut self, parts: Parts, count: u64, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        if parts.extremes && count > 0 {
            (self.min, self.max) = (r.f64()?, r.f64()?);
        }
        if parts.sums {
            self.sum = Accumulator::restore(r, count)?;
        }
        if parts.squares {
            self.squares = Accumulator::restore(r, count)?;
        }
        Ok(())
    }

    fn check_invariants(&self, parts: Parts, count: u64) -> Result<(), &'static str> {
        self.sum.check_invariants()?;
        self.squares.check_invariants()?;
        let touched = self.sum.touched();
        if count == 0 && touched.is_some() {
            return Err("moments: a sum without rows");
        }
        if parts.extremes && count > 0 {
            let negative_zero = |v: f64| v == 0.0 && v.is_sign_negative();
            if !self.min.is_finite() || !self.max.is_finite() || self.min > self.max {
                return Err("moments: smallest above largest");
            }
            if negative_zero(self.min) || negative_zero(self.max) {
                return Err("moments: a negative zero");
            }
            let top = Accumulator::chunk_of(self.max.abs().max(self.min.abs()));
            if parts.sums && top != touched.map(|(_, end)| end - 1) {
                return Err("moments: a sum that no values of these extremes have");
            }
        }
        if touched.is_some_and(|(_, end)| end > 64) {
            return Err("moments: a sum of values that are not finite");
        }
        if !parts.squares {
            return Ok(());
        }
        if self.squares.read().0 {
            return Err("moments: a negative sum of squares");
        }
        // A square doubles the exponent and spreads over two chunks, the upper one two further.
        match (touched, self.squares.touched()) {
            (None, None) => Ok(()),
            (Some((first, end)), Some((low, high)))
                if low + 3 <= high && low / 2 == first && (high - 3) / 2 == end - 1 =>
            {
                Ok(())
            }
            _ => Err("moments: sum and squares of different values"),
        }
    }
}

fn signed(negative: bool, v: f64) -> f64 {
    if negative { -v } else { v }
}

//! Any bytes as a snapshot. What is accepted is a state like any other: it has the same bytes again, obeys its
//! invariants, merges, answers, and whatever is done to it can be written and read back.
//!
//! How much is allocated is watched by the fuzzer itself (`-malloc_limit_mb`), and here by the accounted bytes.

use crate::Choices;
use datasketches::frequencies::FrequentItemsSketch;
use datasketches::hll::HllSketch;
use sketch::countmin::{CountMin, Freq};
use sketch::exact::{Moments, Number};
use sketch::frequent::Counters;
use sketch::histogram::Histogram;
use sketch::hll::{Distinct, LgK};
use sketch::quantile::Quantiles;
use sketch::{DecodeError, Estimate, Incompatible, Reader, Token};

/// What restores are allowed to build, in bytes.
const LIMIT_BYTES: usize = 1 << 18;
/// The largest precision accepted, so that registers stay within the limit.
const LG_K_MAX: u8 = 16;

/// The first byte picks the sketch, the next eight are a value for later; the rest are the bytes to restore.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let which = choices.byte() % 7;
    let value = choices.word();
    let bytes = choices.rest();
    match which {
        0 => check::<Distinct>(bytes, value),
        1 => check::<CountMin>(bytes, value),
        2 => check::<Counters>(bytes, value),
        3 => check::<Freq>(bytes, value),
        4 => check::<Quantiles>(bytes, value),
        5 => check::<Histogram>(bytes, value),
        _ => check::<Moments>(bytes, value),
    }
}

/// What all sketches can do, in one shape.
trait Sketch: Clone {
    /// Restores from the front of `bytes` and says how many were left.
    fn restore(bytes: &[u8]) -> Result<(Self, usize), DecodeError>;
    fn snapshot(&self) -> Vec<u8>;
    fn fresh(&self) -> Self;
    fn merge(&mut self, other: &Self) -> Result<(), Incompatible>;
    fn update(&mut self, value: u64);
    fn fold(&mut self);
    fn memory_bytes(&self) -> usize;
    fn check_invariants(&self);
    /// Asks everything there is to ask and checks the bounds.
    fn query(&self, value: u64);
}

fn check<S: Sketch>(bytes: &[u8], value: u64) {
    let Ok((sketch, left)) = S::restore(bytes) else { return };
    let read = &bytes[..bytes.len() - left];
    assert_eq!(sketch.snapshot(), read, "what is accepted is canonical");
    live(&sketch, value);

    let mut same = sketch.clone();
    same.merge(&sketch.fresh()).expect("nothing merges with everything");
    assert_eq!(same.snapshot(), read, "merging nothing changes nothing");
    let mut into_nothing = sketch.fresh();
    into_nothing.merge(&sketch).expect("everything merges with nothing");
    assert_eq!(into_nothing.snapshot(), read, "merging into nothing copies");

    let mut twice = sketch.clone();
    match twice.merge(&sketch) {
        Ok(()) => live(&twice, value),
        Err(_) => assert_eq!(twice.snapshot(), read, "a refused merge changes nothing"),
    }
    let mut longer = sketch.clone();
    for i in 0..3 {
        longer.update(value.rotate_left(i * 21));
        live(&longer, value);
    }
    let _ = longer.merge(&twice);
    live(&longer, value);
    longer.fold();
    live(&longer, value);
}

/// Any state: sound, within its memory, answers, and survives being written.
fn live<S: Sketch>(sketch: &S, value: u64) {
    sketch.check_invariants();
    assert!(sketch.memory_bytes() <= 4 * LIMIT_BYTES, "{} bytes held", sketch.memory_bytes());
    sketch.query(value);
    let bytes = sketch.snapshot();
    let (again, left) = S::restore(&bytes).expect("what is written can be read");
    assert_eq!(left, 0);
    assert_eq!(again.snapshot(), bytes);
}

fn counted(estimate: Estimate<u64>, most: u64) {
    assert!(estimate.low <= estimate.value && estimate.value <= estimate.high && estimate.high <= most);
    assert!(!estimate.is_exact() || estimate.low == estimate.high);
}

fn measured(estimate: Estimate<f64>) {
    assert!(estimate.low.is_finite() && estimate.high.is_finite(), "{estimate:?}");
    assert!(estimate.low <= estimate.value && estimate.value <= estimate.high, "{estimate:?}");
}

/// A token as hashing gives it.
fn token(value: u64) -> Token {
    Token::of_i64(value as i64)
}

impl Sketch for Distinct {
    fn restore(bytes: &[u8]) -> Result<(Self, usize), DecodeError> {
        let mut r = Reader::new(bytes);
        let lg_k_max = LgK::new(LG_K_MAX).expect("a precision");
        Ok((Distinct::restore(&mut r, lg_k_max)?, r.remaining()))
    }
    fn snapshot(&self) -> Vec<u8> {
        let mut out = Vec::new();
        Distinct::snapshot(self, &mut out);
        out
    }
    fn fresh(&self) -> Self {
        Distinct::new(self.lg_k())
    }
    fn merge(&mut self, other: &Self) -> Result<(), Incompatible> {
        Distinct::merge(self, other).map(drop)
    }
    fn update(&mut self, value: u64) {
        Distinct::update(self, token(value));
    }
    fn fold(&mut self) {
        Distinct::fold(self, LgK::new(4).expect("a precision"));
    }
    fn memory_bytes(&self) -> usize {
        Distinct::memory_bytes(self)
    }
    fn check_invariants(&self) {
        Distinct::check_invariants(self);
    }
    fn query(&self, _: u64) {
        let estimate = self.estimate(0.95);
        measured(estimate);
        assert_eq!(self.is_empty(), estimate.value == 0.0);
        let twin = HllSketch::deserialize(&self.to_datasketches()).expect("a DataSketches image");
        assert_eq!(twin.is_empty(), self.is_empty());
    }
}

impl Sketch for CountMin {
    fn restore(bytes: &[u8]) -> Result<(Self, usize), DecodeError> {
        let mut r = Reader::new(bytes);
        Ok((CountMin::restore(&mut r, LIMIT_BYTES)?, r.remaining()))
    }
    fn snapshot(&self) -> Vec<u8> {
        let mut out = Vec::new();
        CountMin::snapshot(self, &mut out);
        out
    }
    fn fresh(&self) -> Self {
        CountMin::new(self.lg_width(), self.depth())
    }
    fn merge(&mut self, other: &Self) -> Result<(), Incompatible> {
        CountMin::merge(self, other).map(drop)
    }
    fn update(&mut self, value: u64) {
        CountMin::update(self, token(value), value);
    }
    fn fold(&mut self) {
        CountMin::fold(self, 4);
    }
    fn memory_bytes(&self) -> usize {
        CountMin::memory_bytes(self)
    }
    fn check_invariants(&self) {
        CountMin::check_invariants(self);
    }
    fn query(&self, value: u64) {
        for confidence in [0.0, 0.95, 1.0, f64::NAN] {
            counted(CountMin::query(self, token(value), confidence), self.total());
        }
    }
}

impl Sketch for Counters {
    fn restore(bytes: &[u8]) -> Result<(Self, usize), DecodeError> {
        let mut r = Reader::new(bytes);
        Ok((Counters::restore(&mut r, LIMIT_BYTES)?, r.remaining()))
    }
    fn snapshot(&self) -> Vec<u8> {
        let mut out = Vec::new();
        Counters::snapshot(self, &mut out);
        out
    }
    fn fresh(&self) -> Self {
        Counters::new(self.slots())
    }
    fn merge(&mut self, other: &Self) -> Result<(), Incompatible> {
        Counters::merge(self, other).map(drop)
    }
    fn update(&mut self, value: u64) {
        Counters::update(self, token(value), value, &value.to_le_bytes());
    }
    fn fold(&mut self) {
        let _ = Counters::merge(self, &Counters::new(sketch::frequent::SLOTS_MIN));
    }
    fn memory_bytes(&self) -> usize {
        Counters::memory_bytes(self)
    }
    fn check_invariants(&self) {
        Counters::check_invariants(self);
    }
    fn query(&self, value: u64) {
        counted(self.get(token(value)), self.total());
        let top = self.top(10);
        assert_eq!(top.len(), self.len().min(10));
        top.iter().for_each(|one| counted(one.estimate, self.total()));
        let bytes = self.to_datasketches_strings();
        let twin = FrequentItemsSketch::<String>::deserialize(&bytes).expect("a DataSketches image");
        assert_eq!(twin.total_weight(), self.total().min(i64::MAX as u64));
    }
}

impl Sketch for Freq {
    fn restore(bytes: &[u8]) -> Result<(Self, usize), DecodeError> {
        let mut r = Reader::new(bytes);
        Ok((Freq::restore(&mut r, LIMIT_BYTES)?, r.remaining()))
    }
    fn snapshot(&self) -> Vec<u8> {
        let mut out = Vec::new();
        Freq::snapshot(self, &mut out);
        out
    }
    fn fresh(&self) -> Self {
        Freq::new(self.lg_width(), self.depth(), self.hot().slots())
    }
    fn merge(&mut self, other: &Self) -> Result<(), Incompatible> {
        Freq::merge(self, other).map(drop)
    }
    fn update(&mut self, value: u64) {
        Freq::update(self, token(value), value, &value.to_le_bytes());
    }
    fn fold(&mut self) {
        Freq::fold(self, 4);
    }
    fn memory_bytes(&self) -> usize {
        Freq::memory_bytes(self)
    }
    fn check_invariants(&self) {
        Freq::check_invariants(self);
    }
    fn query(&self, value: u64) {
        counted(Freq::query(self, token(value), 0.95), self.total());
        self.items(10, 0.95).iter().for_each(|one| counted(one.estimate, self.total()));
        let all = self.count_min();
        all.check_invariants();
        assert_eq!(all.total(), self.total());
    }
}

impl Sketch for Quantiles {
    fn restore(bytes: &[u8]) -> Result<(Self, usize), DecodeError> {
        Quantiles::restore(bytes).map(|sketch| (sketch, 0))
    }
    fn snapshot(&self) -> Vec<u8> {
        let mut out = Vec::new();
        Quantiles::snapshot(self, &mut out);
        out
    }
    fn fresh(&self) -> Self {
        Quantiles::new(self.bits()).expect("bits in range")
    }
    fn merge(&mut self, other: &Self) -> Result<(), Incompatible> {
        Quantiles::merge(self, other).map(drop)
    }
    fn update(&mut self, value: u64) {
        // A stream of 2^64 values is no stream.
        if self.count() < u64::MAX && self.nonfinite() < u64::MAX {
            Quantiles::update(self, f64::from_bits(value));
        }
    }
    fn fold(&mut self) {
        let coarsest = Quantiles::new(*sketch::quantile::BITS.start()).expect("bits in range");
        let _ = Quantiles::merge(self, &coarsest);
    }
    fn memory_bytes(&self) -> usize {
        Quantiles::memory_bytes(self)
    }
    fn check_invariants(&self) {
        assert_eq!(Quantiles::check_invariants(self), Ok(()));
    }
    fn query(&self, value: u64) {
        let mut before = None;
        for q in [0.0, 1e-12, 0.25, 0.5, 0.999, 1.0] {
            let Some(estimate) = self.quantile(q) else {
                assert_eq!(self.count(), 0);
                continue;
            };
            measured(estimate);
            assert!(before.is_none_or(|before| before <= estimate.value), "quantiles ascend");
            before = Some(estimate.value);
            let rank = self.rank(estimate.high).expect("a number");
            assert!(rank.high >= 1);
        }
        let x = f64::from_bits(value);
        if let Some(rank) = self.rank(x) {
            counted(rank, self.count());
        }
    }
}

impl Sketch for Histogram {
    fn restore(bytes: &[u8]) -> Result<(Self, usize), DecodeError> {
        Histogram::restore(bytes).map(|sketch| (sketch, 0))
    }
    fn snapshot(&self) -> Vec<u8> {
        let mut out = Vec::new();
        Histogram::snapshot(self, &mut out);
        out
    }
    fn fresh(&self) -> Self {
        match self.bounds() {
            Some(bounds) => Histogram::new_fixed(bounds.to_vec()).expect("bounds that were accepted"),
            None => Histogram::new_log2(),
        }
    }
    fn merge(&mut self, other: &Self) -> Result<(), Incompatible> {
        Histogram::merge(self, other).map(drop)
    }
    fn update(&mut self, value: u64) {
        if self.count() < u64::MAX && self.nonfinite() < u64::MAX {
            Histogram::update(self, f64::from_bits(value));
        }
    }
    fn fold(&mut self) {}
    fn memory_bytes(&self) -> usize {
        Histogram::memory_bytes(self)
    }
    fn check_invariants(&self) {
        assert_eq!(Histogram::check_invariants(self), Ok(()));
    }
    fn query(&self, _: u64) {
        let buckets = self.cumulative();
        assert!(buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, self.count())));
    }
}

impl Sketch for Moments {
    fn restore(bytes: &[u8]) -> Result<(Self, usize), DecodeError> {
        Moments::restore(bytes).map(|sketch| (sketch, 0))
    }
    fn snapshot(&self) -> Vec<u8> {
        let mut out = Vec::new();
        Moments::snapshot(self, &mut out);
        out
    }
    fn fresh(&self) -> Self {
        Moments::new(self.number(), self.parts())
    }
    fn merge(&mut self, other: &Self) -> Result<(), Incompatible> {
        Moments::merge(self, other).map(drop)
    }
    fn update(&mut self, value: u64) {
        if self.count() == u64::MAX || self.nonfinite() == u64::MAX {
            return;
        }
        match self.number() {
            Number::Int => self.update_i64(value as i64),
            Number::Float => self.update_f64(f64::from_bits(value)),
        }
    }
    fn fold(&mut self) {}
    fn memory_bytes(&self) -> usize {
        Moments::memory_bytes(self)
    }
    fn check_invariants(&self) {
        assert_eq!(Moments::check_invariants(self), Ok(()));
    }
    fn query(&self, _: u64) {
        let some = self.count() > 0;
        assert_eq!(self.sum().is_some(), some && self.parts().sums);
        assert_eq!(self.mean().is_some(), some && self.parts().sums);
        assert!(self.stddev().is_none_or(|deviation| deviation >= 0.0));
        if let (Some(min), Some(max)) = (self.min(), self.max()) {
            assert!(min.as_f64() <= max.as_f64());
        }
    }
}

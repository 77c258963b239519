//! Quantiles with an error in rank: some values of the stream, each standing for a power of two of them.
//!
//! **Idea** (Karnin, Lang & Liberty, *Optimal Quantile Approximation in Streams*, FOCS 2016). Values gather in a base.
//! When it is full it is sorted and every second value, the first or the second of each pair as a coin falls, moves up
//! to level 1 with weight 2; the others are dropped. A full level is halved into the next in the same way. The number
//! of values up to any x is then off by −1, 0 or +1 weight per compaction, 0 on average. Capacities fall by 2/3 with
//! each level below the top, but not below m = 8: about 3 k values are kept of any number. As in Apache DataSketches,
//! a level is compacted only when all together are full, and then the lowest that has reached its capacity: that
//! keeps the upper ones, whose values weigh most, as full as can be.
//!
//! **Error.** The rank of any value is off by at most 2.296/k^0.9723 of the count with 99 % confidence: 1.33 % for
//! k = 200. See [`rank_error`] for its origin and for other confidences. A quantile is then between the values at ranks
//! `q − e` and `q + e`. Nothing is claimed about the distance of these values: for that see [`crate::quantile`].
//! Exact while there are at most k values, and always for count, smallest and largest.
//!
//! **Coin.** SplitMix64, seeded by the caller, its state a part of the sketch: the same operations in the same order
//! give the same bytes, also across a snapshot. Give sketches that will be merged different seeds (from key, window and
//! shard, say): with equal ones over equal streams their errors do not cancel out.
//!
//! **Laws.** While exact, the state is a function of the multiset of values and the seed, byte for byte. After that
//! order and merge tree matter: states are equal within their bounds. A merge keeps the guarantee of the smaller k.
//!
//! **What is faster here.** The base takes what the levels leave free and at least 64 values, in any order, as keys that sort as
//! integers; extremes and order are seen to when it is full. The price is up to 96 values more than DataSketches holds;
//! an image for it is compacted once more where that is too much.
//!
//! **Left out:** weights, removal, and images of DataSketches with another m or in its updatable form.

mod bytes;
mod levels;
mod value;
mod view;
mod wire;

use crate::{DecodeError, Estimate, Health, Incompatible, MergeNote};
use levels::{Levels, capacity_of, halve};
use std::marker::PhantomData;
pub use value::Value;
use view::Bounds;
pub use view::{View, pmf_error, rank_error};

/// Most values that may leave the base; those beyond are dropped. No stream is as long, but bytes may say so.
pub const VALUES_MAX: u64 = 1 << 62;

/// Values that the base takes at least once there are levels above it, unless k is less.
const BASE: usize = 64;

/// Values that the base takes at least: enough that sorting them and merging half of them into level 1 is worth it.
fn room_min(k: K) -> usize {
    let k = usize::from(k.0);
    k.min(BASE.max(k / 8))
}

/// Values that the base takes: k while it is all there is, then what the levels leave free. Each time it is emptied costs
/// precision, so it is not emptied while there is room.
fn room_of(k: K, levels: &Levels) -> usize {
    if levels.is_empty() {
        return usize::from(k.0);
    }
    room_min(k).max(levels.capacity().saturating_sub(levels.len()))
}

/// The size of a sketch: values kept exactly, a third of those kept in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct K(u16);

/// A k outside 8..=65535, or an error that no such k gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KOutOfRange(pub f64);

impl std::fmt::Display for KOutOfRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a KLL sketch takes a k from {} to {}, not {}", K::MIN.0, K::MAX.0, self.0)
    }
}

impl std::error::Error for KOutOfRange {}

impl K {
    /// 8, with a rank error of 30 %.
    pub const MIN: K = K(8);
    /// 65535, with a rank error of 0.005 %.
    pub const MAX: K = K(u16::MAX);
    /// 200, with a rank error of 1.33 %: what DataSketches takes unless told otherwise.
    pub const DEFAULT: K = K(200);

    /// A k of at least 8.
    ///
    /// # Errors
    /// When it is less.
    pub fn new(k: u16) -> Result<K, KOutOfRange> {
        if k < K::MIN.0 { Err(KOutOfRange(f64::from(k))) } else { Ok(K(k)) }
    }

    /// The smallest k whose [`rank_error`] is at most this at this confidence: 0.01 and 0.99 give 269.
    ///
    /// # Errors
    /// When it would be above 65535, which is an error below 0.005 % at 99 %, or when `error` is not above 0.
    pub fn for_rank_error(error: f64, confidence: f64) -> Result<K, KOutOfRange> {
        let k = (2.296 * view::scale(confidence) / error).powf(1.0 / 0.9723).ceil();
        if !(error > 0.0 && k <= f64::from(K::MAX.0)) {
            return Err(KOutOfRange(k));
        }
        let k = K((k as u16).max(K::MIN.0));
        // Rounding may be against us by one.
        Ok(if rank_error(k, confidence) > error { K(k.0.saturating_add(1)) } else { k })
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

/// On which side of a rank or a value equal ones are, as DataSketches means it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// The rank of x counts values `<= x`; the quantile of q is the smallest value with at least ceil(q·n) values `<=` it.
    Inclusive,
    /// The rank of x counts values `< x`; the quantile of q is the smallest value with more than floor(q·n) values `<=` it.
    Exclusive,
}

impl Search {
    /// Is a key among those counted for another?
    #[inline]
    fn takes(self, own: i64, key: i64) -> bool {
        own < key || own == key && self == Search::Inclusive
    }
}

/// SplitMix64 (Steele, Lea & Flood 2014), one bit of each number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Coin(u64);

impl Coin {
    #[inline]
    fn flip(&mut self) -> bool {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z >> 63 == 1
    }
}

/// Quantiles of one number with an error in rank.
///
/// ```
/// use sketch::kll::{K, Kll, Search};
///
/// let mut latency = Kll::<f64>::new(K::DEFAULT, 42);
/// for i in 0..100_000 {
///     latency.update(f64::from(i * 7919 % 100_000) / 10.0);
/// }
/// let p99 = latency.quantile(0.99, Search::Inclusive, 0.99).unwrap();
/// assert!(p99.low <= 9_900.0 && 9_900.0 <= p99.high);
/// assert!((p99.value - 9_900.0).abs() <= 10_000.0 * latency.rank_error(0.99));
/// let share = latency.rank(5_000.0, Search::Inclusive, 0.99).unwrap();
/// assert!(share.low <= 0.5 && 0.5 <= share.high);
/// ```
#[derive(Clone)]
pub struct Kll<T: Value = f64> {
    /// The smallest k that had a part in it, which the error is that of. Images of DataSketches may have one below k.
    min_k: u16,
    /// Values that the base takes before it is emptied.
    room: usize,
    /// In any order, each standing for itself.
    base: Vec<i64>,
    levels: Levels,
    coin: Coin,
    nans: u64,
    /// What the levels stand for.
    lifted: u64,
    /// Extremes of what left the base.
    min: i64,
    max: i64,
    value: PhantomData<T>,
}

impl<T: Value> Kll<T> {
    /// An empty sketch whose coin has this seed. Allocates nothing.
    pub fn new(k: K, seed: u64) -> Kll<T> {
        Kll::of_parts(k.0, Coin(seed), Vec::new(), Levels::new(k.0))
    }

    /// Of keys that are in order where they must be; extremes are those of the base.
    fn of_parts(min_k: u16, coin: Coin, base: Vec<i64>, levels: Levels) -> Kll<T> {
        let lifted = levels.weight() as u64;
        let (min, max) = (i64::MAX, i64::MIN);
        let mut sketch =
            Kll { min_k, room: 0, base, levels, coin, nans: 0, lifted, min, max, value: PhantomData };
        sketch.set_room();
        sketch
    }

    fn set_room(&mut self) {
        self.room = room_of(self.k(), &self.levels);
    }

    /// Takes in a value; NaN is only counted. Amortised O(log k), mostly a push; allocates only while it grows.
    #[inline]
    pub fn update(&mut self, value: T) {
        match value.key() {
            Some(key) => {
                if self.base.len() >= self.room {
                    self.lift();
                }
                self.base.push(key);
            }
            None => self.nans = self.nans.saturating_add(1),
        }
    }

    /// Takes in values; the state is that of [`Kll::update`] one by one.
    pub fn update_all(&mut self, values: &[T]) {
        let mut rest = values;
        while let Some(&first) = rest.first() {
            if self.base.len() >= self.room && !first.is_missing() {
                self.lift();
            }
            let take = (self.room.saturating_sub(self.base.len())).clamp(1, rest.len());
            let (now, later) = rest.split_at(take);
            let nans = now.iter().map(|v| u64::from(v.is_missing())).sum();
            if nans == 0 {
                self.base.extend(now.iter().map(|v| v.key_of_present()));
            } else {
                self.nans = self.nans.saturating_add(nans);
                self.base.extend(now.iter().filter_map(|v| v.key()));
            }
            rest = later;
        }
    }

    /// Empties the base into level 1. Of an odd number of values the smallest stays.
    #[cold]
    #[inline(never)]
    fn lift(&mut self) {
        self.base.truncate(usize::try_from(VALUES_MAX - self.lifted).unwrap_or(usize::MAX));
        self.base.sort_unstable();
        let (Some(&low), Some(&high)) = (self.base.first(), self.base.last()) else { return };
        self.min = self.min.min(low);
        self.max = self.max.max(high);
        self.levels.compress(&mut self.coin);
        let odd = self.base.len() % 2;
        let half = halve(&mut self.base[odd..], self.coin.flip());
        if half > 0 {
            self.levels.push(&self.base[odd..odd + half]);
        }
        self.lifted += 2 * half as u64;
        self.base.truncate(odd);
        self.set_room();
        if self.base.capacity() > 2 * self.room.max(BASE) {
            self.base.shrink_to(self.room);
        }
    }

    /// The state of the coin: the seed of one that would fall the same from here on.
    pub fn coin(&self) -> u64 {
        self.coin.0
    }

    /// Adds what another sketch has seen. Afterwards k is the smaller one of both, and the error that of it, for the
    /// count of both. The other's coin has no part in it. O(k).
    ///
    /// # Errors
    /// When both together have seen more than [`VALUES_MAX`] values; nothing is changed then.
    pub fn merge(&mut self, other: &Kll<T>) -> Result<MergeNote, Incompatible> {
        if other.lifted > VALUES_MAX - self.lifted {
            let (ours, theirs) = (self.count(), other.count());
            return Err(Incompatible { what: "number of values, together beyond 2^62", ours, theirs });
        }
        let (ours, theirs) = (self.k(), other.k());
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.min_k = self.min_k.min(other.min_k);
        self.nans = self.nans.saturating_add(other.nans);
        self.lifted += other.lifted;
        self.base.extend_from_slice(&other.base);
        self.levels.merge(&other.levels);
        self.levels.set_k(ours.min(theirs).0);
        self.set_room();
        if self.base.len() > self.room {
            self.lift();
        }
        // Beyond what an update may leave, so that merging nothing changes nothing.
        if self.levels.len() > self.levels.capacity() + room_min(self.k()) / 2 {
            self.levels.compress(&mut self.coin);
            self.set_room();
        }
        Ok(if ours == theirs {
            MergeNote::Exact
        } else {
            MergeNote::Folded { from: ours.max(theirs).0.ilog2() as u8, to: ours.min(theirs).0.ilog2() as u8 }
        })
    }

    /// The value at rank q, from 0 (the smallest) to 1 (the largest), between the values at `q ∓ error` of this
    /// confidence. `None` without values and for a q outside `[0, 1]`. O(k); for many of them take a [`Kll::view`].
    ///
    /// Inclusive takes q as its shortest decimal, as [`crate::quantile::Quantiles::quantile`] does.
    pub fn quantile(&self, q: f64, search: Search, confidence: f64) -> Option<Estimate<T>> {
        self.view().quantile(q, search, confidence)
    }

    /// The share of values `<= x`, or `< x`. `None` without values and for NaN. O(log² k).
    pub fn rank(&self, x: T, search: Search, confidence: f64) -> Option<Estimate> {
        let key = x.key().filter(|_| self.count() > 0)?;
        let mut weight = self.base.iter().filter(|own| search.takes(**own, key)).count() as u64;
        for (i, row) in self.levels.rows().enumerate() {
            weight += (row.partition_point(|own| search.takes(*own, key)) as u64) << (i + 1);
        }
        Some(self.bounds().rank(key, weight, search, confidence))
    }

    /// The share of values up to each of these points, ascending, and 1 for all of them. `None` without values, and when
    /// points do not ascend.
    pub fn cdf(&self, points: &[T], search: Search, confidence: f64) -> Option<Vec<Estimate>> {
        self.view().cdf(points, search, confidence)
    }

    /// The share of values between these points: up to the first, from each to the next, and beyond the last. `None`
    /// without values, and when points do not ascend.
    pub fn pmf(&self, points: &[T], search: Search, confidence: f64) -> Option<Vec<Estimate>> {
        self.view().pmf(points, search, confidence)
    }

    /// Everything in order, for many questions at once. O(k log k).
    pub fn view(&self) -> View<T> {
        View::of(self)
    }

    /// [`rank_error`] of this sketch: 0 while exact.
    pub fn rank_error(&self, confidence: f64) -> f64 {
        if self.is_exact() { 0.0 } else { rank_error(K(self.min_k), confidence) }
    }

    /// Values seen, exact. Those that were NaN are not among them.
    pub fn count(&self) -> u64 {
        self.lifted + self.base.len() as u64
    }

    /// Values that were NaN.
    pub fn nans(&self) -> u64 {
        self.nans
    }

    /// The smallest value, exact. O(64), or O(k) while exact.
    pub fn min(&self) -> Option<T> {
        (self.count() > 0).then(|| T::of_key(self.extremes().0))
    }

    /// The largest value, exact. O(64), or O(k) while exact.
    pub fn max(&self) -> Option<T> {
        (self.count() > 0).then(|| T::of_key(self.extremes().1))
    }

    /// The size.
    pub fn k(&self) -> K {
        K(self.levels.k())
    }

    /// Values kept.
    pub fn retained(&self) -> usize {
        self.base.len() + self.levels.len()
    }

    /// True while every value is kept.
    pub fn is_exact(&self) -> bool {
        self.levels.is_empty()
    }

    /// True when nothing was taken in, not even NaN.
    pub fn is_empty(&self) -> bool {
        self.count() == 0 && self.nans == 0
    }

    /// What the answers come from: `values`, or `kll/200` for k = 200.
    pub fn sketch_name(&self) -> String {
        if self.is_exact() { "values".to_owned() } else { format!("kll/{}", self.levels.k()) }
    }

    /// Accounted bytes: a function of k, of the number of levels, and while exact of the number of values.
    pub fn memory_bytes(&self) -> usize {
        let keys = if self.is_exact() {
            if self.base.is_empty() { 0 } else { self.base.len().next_power_of_two().max(4) }
        } else {
            self.levels.capacity() + self.room / 2 + self.room
        };
        size_of::<Kll<T>>() + 8 * keys + 16 * self.levels.count()
    }

    /// Fill is the part of the room in use; the error that of a rank at 99 %.
    pub fn health(&self) -> Health {
        let fill = self.retained() as f64 / self.levels.capacity() as f64;
        if self.is_exact() {
            return Health::exact(fill);
        }
        Health::with_error(fill, self.rank_error(0.99)).saturated_when(self.lifted >= VALUES_MAX)
    }

    fn extremes(&self) -> (i64, i64) {
        self.base.iter().fold((self.min, self.max), |(low, high), &key| (low.min(key), high.max(key)))
    }

    fn bounds(&self) -> Bounds {
        let (min, max) = self.extremes();
        Bounds { count: self.count(), min, max, k: (!self.is_exact()).then_some(K(self.min_k)) }
    }

    fn sorted_base(&self) -> Vec<i64> {
        let mut base = self.base.clone();
        base.sort_unstable();
        base
    }

    /// Says which rule is broken, if any; on both sides of the bytes.
    fn check(&self) -> Result<(), &'static str> {
        self.levels.check()?;
        if self.levels.k() < K::MIN.0 || !(K::MIN.0..=self.levels.k()).contains(&self.min_k) {
            return Err("kll: k");
        }
        let capacity = capacity_of(self.levels.k(), self.levels.count());
        if self.base.len() > capacity || self.levels.len() > 2 * capacity {
            return Err("kll: more values than there is room for");
        }
        if self.levels.weight() != u128::from(self.lifted) || self.lifted > VALUES_MAX {
            return Err("kll: weights and count differ");
        }
        let (min, max) = self.extremes();
        if self
            .levels
            .rows()
            .any(|row| row.first().is_some_and(|&key| key < min) || row.last().is_some_and(|&key| key > max))
        {
            return Err("kll: a value beyond the extremes");
        }
        Ok(())
    }

    /// The sketch if it is sound and these are its extremes, told by bytes: the levels need not hold them.
    fn checked(mut self, extremes: Option<&[i64]>) -> Result<Self, DecodeError> {
        if let Some(&[min, max]) = extremes {
            if !self.is_exact() {
                (self.min, self.max) = (min, max);
            }
            if (min, max) != self.extremes() {
                return Err(DecodeError::Invalid("kll: extremes of other values"));
            }
        }
        self.check().map_err(DecodeError::Invalid)?;
        Ok(self)
    }

    /// Asserts what must hold between any two calls; for tests. O(k).
    pub fn check_invariants(&self) {
        assert_eq!(self.check(), Ok(()));
        assert_eq!(self.room, room_of(self.k(), &self.levels));
    }
}

/// Equal when their snapshots are: same values kept, same coin.
impl<T: Value> PartialEq for Kll<T> {
    fn eq(&self, other: &Self) -> bool {
        self.k() == other.k()
            && (self.min_k, self.coin, self.nans) == (other.min_k, other.coin, other.nans)
            && self.levels.rows().eq(other.levels.rows())
            && self.extremes() == other.extremes()
            && self.sorted_base() == other.sorted_base()
    }
}

impl<T: Value> std::fmt::Debug for Kll<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kll")
            .field("sketch", &self.sketch_name())
            .field("count", &self.count())
            .field("retained", &self.retained())
            .finish_non_exhaustive()
    }
}

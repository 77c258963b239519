//! What a KLL sketch answers: ranks with an error, and values between ranks.

use super::{K, Kll, Search, Value};
use crate::Estimate;
use crate::estimate::z_of;
use crate::quantile::rank_of;
use std::marker::PhantomData;

/// Largest error of the rank of any value, as a share of the count, that a sketch of this k has with this confidence.
///
/// At 99 % it is 2.296/k^0.9723, which the authors of Apache DataSketches fitted to the 99th percentile of the largest
/// error over all ranks, in thousands of trials: it is meant for all ranks at once, and a rank asked for alone errs less
/// often. Other confidences c scale it, by √(ln(2/(1−c)) / ln 200), the law of a largest error (Kolmogorov 1933; Dvoretzky,
/// Kiefer & Wolfowitz 1956), or by z(c)/z(0.99), that of a normal one, whichever is larger: below 99 % the former,
/// above it the latter. Below 80 % the largest errors measured here lie closer together than either law says, so the error
/// of 80 % stands for less. At 1 it is 1: nothing but the extremes is certain.
pub fn rank_error(k: K, confidence: f64) -> f64 {
    (2.296 / f64::from(k.get()).powf(0.9723) * scale(confidence)).min(1.0)
}

/// Largest error of the share of values between any two, of the same origin: 2.446/k^0.9433 at 99 %, scaled as
/// [`rank_error`] is.
pub fn pmf_error(k: K, confidence: f64) -> f64 {
    (2.446 / f64::from(k.get()).powf(0.9433) * scale(confidence)).min(1.0)
}

/// What an error at 99 % is multiplied with.
pub(super) fn scale(confidence: f64) -> f64 {
    if confidence >= 1.0 {
        return f64::INFINITY;
    }
    let confidence = confidence.clamp(0.8, 1.0 - 1e-12);
    let of_largest = ((2.0 / (1.0 - confidence)).ln() / 200f64.ln()).sqrt();
    of_largest.max(z_of(confidence) / z_of(0.99))
}

/// The keys of a sketch in order, for any number of questions. Made by [`Kll::view`].
#[derive(Debug, Clone)]
pub struct View<T: Value = f64> {
    /// Ascending, each with the number of values up to and with it.
    keys: Vec<(i64, u64)>,
    bounds: Bounds,
    value: PhantomData<T>,
}

/// What is known besides the keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) count: u64,
    pub(super) min: i64,
    pub(super) max: i64,
    /// Of the smallest k that had a part in it; `None` while exact.
    pub(super) k: Option<K>,
}

impl Bounds {
    fn error(&self, of: fn(K, f64) -> f64, confidence: f64) -> f64 {
        self.k.map_or(0.0, |k| of(k, confidence))
    }

    /// The share of values below (or up to) a key, when the sketch counts this weight there.
    pub(super) fn rank(&self, key: i64, weight: u64, search: Search, confidence: f64) -> Estimate {
        let n = self.count as f64;
        let (none, all) = match search {
            Search::Inclusive => (key < self.min, key >= self.max),
            Search::Exclusive => (key <= self.min, key > self.max),
        };
        if none || all {
            return Estimate::exact(if all { 1.0 } else { 0.0 });
        }
        let rank = weight as f64 / n;
        if self.k.is_none() {
            return Estimate::exact(rank);
        }
        // The smallest value is on one side, the largest on the other.
        let (first, last) = (1.0 / n, (n - 1.0) / n);
        let error = self.error(rank_error, confidence);
        let within = |rank: f64| rank.clamp(first, last);
        Estimate::probabilistic(within(rank), within(rank - error), within(rank + error), confidence)
    }
}

impl<T: Value> View<T> {
    pub(super) fn of(sketch: &Kll<T>) -> View<T> {
        let mut keys = Vec::with_capacity(sketch.retained());
        for (i, row) in sketch.levels.rows().enumerate() {
            keys.extend(row.iter().map(|&key| (key, 2u64 << i)));
        }
        let sorted = keys.len();
        keys.extend(sketch.base.iter().map(|&key| (key, 1)));
        keys[sorted..].sort_unstable();
        // Stable sorting merges the runs that it finds.
        keys.sort_by_key(|(key, _)| *key);
        let mut sum = 0;
        for (_, weight) in &mut keys {
            sum += *weight;
            *weight = sum;
        }
        View { keys, bounds: sketch.bounds(), value: PhantomData }
    }

    /// As [`Kll::quantile`]. O(log k).
    pub fn quantile(&self, q: f64, search: Search, confidence: f64) -> Option<Estimate<T>> {
        let n = self.bounds.count;
        let up = rank_of(q, n)?;
        let rank = match search {
            Search::Inclusive => up,
            // The first value that more than q·n values, itself included, do not pass; 1 and 0 are the extremes.
            Search::Exclusive if q == 0.0 => 1,
            Search::Exclusive => ((q * n as f64) as u64).saturating_add(1).min(n),
        };
        let value = self.at(rank);
        if rank == 1 || rank == n || self.bounds.k.is_none() {
            return Some(Estimate::exact(value));
        }
        // At confidence 1 the error is that of all values.
        let error = self.bounds.error(rank_error, confidence) * n as f64;
        let low = self.at((rank as f64 - error).floor() as u64);
        let high = self.at((rank as f64 + error).ceil() as u64);
        Some(Estimate::probabilistic(value, low, high, confidence))
    }

    /// As [`Kll::rank`]. O(log k).
    pub fn rank(&self, x: T, search: Search, confidence: f64) -> Option<Estimate> {
        let key = x.key().filter(|_| self.bounds.count > 0)?;
        Some(self.bounds.rank(key, self.weight_up_to(key, search), search, confidence))
    }

    /// As [`Kll::cdf`].
    pub fn cdf(&self, points: &[T], search: Search, confidence: f64) -> Option<Vec<Estimate>> {
        if !are_points(points) {
            return None;
        }
        let mut ranks: Vec<Estimate> =
            points.iter().map(|&x| self.rank(x, search, confidence)).collect::<Option<_>>()?;
        if self.bounds.count > 0 {
            ranks.push(Estimate::exact(1.0));
        }
        (!ranks.is_empty()).then_some(ranks)
    }

    /// As [`Kll::pmf`].
    pub fn pmf(&self, points: &[T], search: Search, confidence: f64) -> Option<Vec<Estimate>> {
        let ranks = self.cdf(points, search, confidence)?;
        let error = self.bounds.error(pmf_error, confidence);
        let mut before = Estimate::exact(0.0);
        let shares = ranks.into_iter().map(|rank| {
            let (share, from) = (rank.value - before.value, std::mem::replace(&mut before, rank));
            match (from.is_exact(), rank.is_exact()) {
                (true, true) => Estimate::exact(share),
                // At either end the share is a matter of one rank.
                (true, false) | (false, true) => {
                    Estimate::probabilistic(share, rank.low - from.high, rank.high - from.low, confidence)
                }
                (false, false) => {
                    let (low, high) = ((share - error).max(0.0), (share + error).min(1.0));
                    Estimate::probabilistic(share, low, high, confidence)
                }
            }
        });
        Some(shares.collect())
    }

    /// The value of this rank, from 1; the extremes at and beyond the ends.
    fn at(&self, rank: u64) -> T {
        if rank <= 1 {
            return T::of_key(self.bounds.min);
        }
        if rank >= self.bounds.count {
            return T::of_key(self.bounds.max);
        }
        let i = self.keys.partition_point(|(_, upto)| *upto < rank);
        T::of_key(self.keys.get(i).map_or(self.bounds.max, |(key, _)| *key))
    }

    fn weight_up_to(&self, key: i64, search: Search) -> u64 {
        let i = self.keys.partition_point(|(own, _)| search.takes(*own, key));
        if i == 0 { 0 } else { self.keys[i - 1].1 }
    }
}

fn are_points<T: Value>(points: &[T]) -> bool {
    points.iter().all(|x| !x.is_missing()) && points.is_sorted_by(|a, b| a < b)
}

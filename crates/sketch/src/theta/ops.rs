//! Sets from sets: both, one without the other, and how alike they are.
//!
//! Two sketches are cut to the smaller θ; below it, both know every hash. What is counted there is a sample of the result
//! at rate θ, so the relative error grows as the result becomes a small part of both: about √(|A∪B| / |result| / K).

use super::table::Table;
use super::{THETA_MAX, Theta};
use crate::estimate::possible;
use crate::{Estimate, interval};

impl Theta {
    /// The values in both sets. Exact when both are. Has the smaller lg K of the two; order-free as they are. O(K).
    pub fn intersect(&self, other: &Theta) -> Theta {
        self.keep_if(other, true)
    }

    /// The values in this set that are not in the other. Exact when both are. Has the smaller lg K of the two. O(K).
    pub fn without(&self, other: &Theta) -> Theta {
        self.keep_if(other, false)
    }

    fn keep_if(&self, other: &Theta, there: bool) -> Theta {
        let ((ours, theta), (theirs, limit)) = (self.smallest(), other.smallest());
        let theirs = Table::of(&theirs, limit);
        let theta = theta.min(limit);
        let kept: Vec<u64> =
            ours.into_iter().filter(|&hash| hash < theta && theirs.contains(hash) == there).collect();
        let lg_k = self.lg_k.min(other.lg_k);
        let mut result = Theta { lg_k: self.lg_k, theta, table: Table::of(&kept, theta) };
        result.fold(lg_k);
        result
    }

    /// Jaccard's index |A∩B| / |A∪B|, 1 for two empty sets. Exact when both sets and their union are.
    ///
    /// The smallest hashes of the union are a uniform sample of it without replacement (Broder 1997), the share of those
    /// in both sets is the estimate. The interval is the exact one of draws with replacement (Clopper & Pearson 1934), which
    /// holds with at least the confidence asked for, also where the overlap is rare.
    pub fn jaccard(&self, other: &Theta, confidence: f64) -> Estimate<f64> {
        let mut union = self.clone();
        // Merging never fails: there is nothing that must agree.
        let _ = union.merge(other);
        let (sample, theta) = union.smallest();
        let table = |(hashes, theta): (Vec<u64>, u64)| Table::of(&hashes, theta);
        let (ours, theirs) = (table(self.smallest()), table(other.smallest()));
        let both = sample.iter().filter(|&&hash| ours.contains(hash) && theirs.contains(hash)).count();
        if theta == THETA_MAX {
            return Estimate::exact(if sample.is_empty() { 1.0 } else { both as f64 / sample.len() as f64 });
        }
        if sample.is_empty() {
            return Estimate::probabilistic(0.0, 0.0, 1.0, confidence);
        }
        let share = both as f64 / sample.len() as f64;
        let (low, high) = interval::share(both as u32, sample.len() as u32, possible(confidence));
        Estimate::probabilistic(share, low.min(share), high.max(share), confidence)
    }

    /// Which part of `whole` is in this set too: |A∩W| / |W|; `None` of an empty set. Exact when both are.
    ///
    /// What is known of `whole` below the smaller θ is a uniform sample of it, of which some are in this set: the interval
    /// is that of [`Theta::jaccard`]. Unlike the quotient of two estimates it stays between 0 and 1, and what one sample has
    /// too many of, it has too many of in both. O(K).
    pub fn share_of(&self, whole: &Theta, confidence: f64) -> Option<Estimate<f64>> {
        let ((ours, theta), (theirs, limit)) = (self.smallest(), whole.smallest());
        let ours = Table::of(&ours, theta);
        let theta = theta.min(limit);
        let sample = theirs.iter().filter(|&&hash| hash < theta);
        let (all, both) =
            sample.fold((0u32, 0u32), |(all, both), &hash| (all + 1, both + u32::from(ours.contains(hash))));
        if theta == THETA_MAX {
            return (all > 0).then(|| Estimate::exact(f64::from(both) / f64::from(all)));
        }
        if all == 0 {
            return (!whole.is_empty()).then(|| Estimate::probabilistic(0.0, 0.0, 1.0, confidence));
        }
        let share = f64::from(both) / f64::from(all);
        let (low, high) = interval::share(both, all, possible(confidence));
        Some(Estimate::probabilistic(share, low.min(share), high.max(share), confidence))
    }

    /// How many hashes are kept: what an estimate of the set is made of.
    pub fn retained(&self) -> usize {
        self.table.len().min(self.k())
    }
}

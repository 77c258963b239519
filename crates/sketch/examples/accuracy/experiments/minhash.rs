//! How alike two sets are: `minhash::MinHash`, and the number of distinct values that it knows by the way.

use super::theta::equal;
use super::trials::{At, Covers, ErrorIs, Experiment, Point, Promise, Rng, Series};
use super::{EXACT, points};
use sketch::minhash::{LgK, MinHash};

fn lg(lg_k: u8) -> LgK {
    LgK::new(lg_k).expect("4 to 12")
}

fn feed(set: &mut MinHash, rng: &mut Rng, n: u64) {
    (0..n).for_each(|_| set.update(rng.token()));
}

/// lg K, and the number of values in the union of two sets of equal size.
pub type Setting = (u8, u64);

/// Pairs of sets, over the share of the union that is in both.
pub fn alike(settings: &[Setting], shares: &[f64], confidence: f64) -> Experiment {
    let (own, shares_of) = (settings.to_vec(), shares.to_vec());
    let promise =
        Promise { bias: Some(0.0), error: ErrorIs::AtMostFormula, coverage: Covers::AtLeast(confidence) };
    Experiment {
        name: "minhash",
        title: "How alike: `minhash::MinHash`",
        about: "One trial draws two sets of equal size with so many values in their union, and asks for Jaccard's index J.",
        formula: "√(J (1−J) / m), in parts of 1, with m = K (1 − exp(−n/K)) the bins that n values of a union reach: one \
                  permutation (Li, Owen & Zhang 2012). The interval is that of Clopper & Pearson (1934).",
        departs: "What bins hold is drawn without replacement, so the error is below the formula where they hold much of the \
                  union: by a third at 1,500 values and K = 1,024, where intervals hold 99.7 % of the time. Elsewhere they \
                  hold a little more than 95 %, since agreeing bins are whole numbers.",
        axis: "share of the union in both",
        of: "1",
        also: None,
        series: settings
            .iter()
            .map(|(lg_k, union)| Series {
                name: format!("lg K = {lg_k}, {union} values"),
                points: shares.iter().map(|&share| Point { at: At::Log(share), promise }).collect(),
            })
            .collect(),
        trial: Box::new(move |rng, record| {
            for (series, &(lg_k, union)) in own.iter().enumerate() {
                for (point, &share) in shares_of.iter().enumerate() {
                    let (only_a, both, only_b) = equal(union, share);
                    let mut a = MinHash::new(lg(lg_k));
                    feed(&mut a, rng, both);
                    let mut b = a.clone();
                    feed(&mut a, rng, only_a);
                    feed(&mut b, rng, only_b);
                    let (k, n) = (f64::from(1u32 << lg_k), union as f64);
                    let (truth, reached) = (both as f64 / n, k * -(-n / k).exp_m1());
                    let formula = (truth * (1.0 - truth) / reached).sqrt();
                    let reading = record.read(a.jaccard(&b, confidence), truth, 1.0, formula);
                    record.put(series, point, reading);
                }
            }
        }),
    }
}

/// Distinct values, over numbers `ns` of them in ascending order.
pub fn distinct(lg_ks: &[u8], ns: &[u64], confidence: f64) -> Experiment {
    let (own, sizes) = (lg_ks.to_vec(), ns.to_vec());
    let series = |&lg_k: &u8| {
        let promise = move |n: f64| {
            if n <= lg(lg_k).exact_max() as f64 {
                return EXACT;
            }
            Promise { bias: Some(0.0), error: ErrorIs::AtMostFormula, coverage: Covers::AtLeast(confidence) }
        };
        Series { name: format!("lg K = {lg_k}"), points: points(ns, promise) }
    };
    Experiment {
        name: "minhash-distinct",
        title: "Distinct values by the way: `minhash::MinHash::distinct`",
        about: "One trial feeds random hashes and asks on the way.",
        formula: "Exact up to ¾ K values. Then about 1/√K, precisely 1/√(K−2) once all bins are reached: the smallest hashes \
                  are the first events of K Poisson processes. The interval is Garwood's (1936).",
        departs: "Just above ¾ K the answer is never less than ¾ K + 1 values, which are certain: that lifts it by 0.5 % at \
                  200 values and K = 256. Up to some 5 K values the error is below the formula, by up to two fifths, and \
                  intervals hold up to 99.96 % of the time.",
        axis: "distinct values n",
        of: "n",
        also: None,
        series: lg_ks.iter().map(series).collect(),
        trial: Box::new(move |rng, record| {
            for (series, &lg_k) in own.iter().enumerate() {
                let (mut set, mut fed) = (MinHash::new(lg(lg_k)), 0);
                for (point, &n) in sizes.iter().enumerate() {
                    feed(&mut set, rng, n - fed);
                    fed = n;
                    let exact = n as usize <= lg(lg_k).exact_max();
                    let formula = if exact { 0.0 } else { (f64::from(1u32 << lg_k) - 2.0).sqrt().recip() };
                    record.tell(series, point, set.distinct(confidence), n as f64, formula);
                }
            }
        }),
    }
}

//! Distinct values and set operations: `theta::Theta`.

use super::trials::{At, Covers, ErrorIs, Experiment, Point, Promise, Rng, Series};
use super::{EXACT, points};
use sketch::theta::{LgK, Theta};

fn lg(lg_k: u8) -> LgK {
    LgK::new(lg_k).expect("4 to 21")
}

fn feed(theta: &mut Theta, rng: &mut Rng, n: u64) {
    (0..n).for_each(|_| theta.update(rng.next() >> 1));
}

/// Distinct values, over numbers `ns` of them in ascending order.
pub fn distinct(lg_ks: &[u8], ns: &[u64], confidence: f64) -> Experiment {
    let (own, sizes) = (lg_ks.to_vec(), ns.to_vec());
    let promise = move |k: f64| {
        move |n: f64| {
            if n <= k {
                return EXACT;
            }
            // Just above a small K the truth is near the proven bound, and less is missed than allowed.
            let coverage =
                if n < 2.0 * k { Covers::AtLeast(confidence) } else { Covers::Exactly(confidence) };
            Promise { bias: Some(0.0), error: ErrorIs::Formula, coverage }
        }
    };
    Experiment {
        name: "theta",
        title: "Distinct values: `theta::Theta`",
        about: "One trial feeds random hashes and asks on the way.",
        formula: "Exact up to K values. Then K/θ with θ the (K+1)-th smallest of n hashes, whose relative standard error \
                  is √((n−K) / (n (K−1))), below 1/√(K−1): Bar-Yossef et al. (2002); the interval is that of Clopper & \
                  Pearson (1934) for the negative binomial law.",
        departs: "Nothing is known to depart.",
        axis: "distinct values n",
        of: "n",
        also: None,
        series: lg_ks
            .iter()
            .map(|&lg_k| Series {
                name: format!("lg K = {lg_k}"),
                points: points(ns, promise((1u64 << lg_k) as f64)),
            })
            .collect(),
        trial: Box::new(move |rng, record| {
            for (series, &lg_k) in own.iter().enumerate() {
                let (mut theta, mut fed) = (Theta::new(lg(lg_k)), 0);
                for (point, &n) in sizes.iter().enumerate() {
                    feed(&mut theta, rng, n - fed);
                    fed = n;
                    let (k, n) = ((1u64 << lg_k) as f64, n as f64);
                    let formula = ((n - k).max(0.0) / (n * (k - 1.0))).sqrt();
                    record.tell(series, point, theta.estimate(confidence), n, formula);
                }
            }
        }),
    }
}

/// Numbers of values only in A, in both, only in B.
pub type Sizes = (u64, u64, u64);

/// Two sets of equal size and a union of so many values, of which this share is in both.
pub fn equal(union: u64, share: f64) -> Sizes {
    let both = (union as f64 * share).round() as u64;
    let only_a = (union - both) / 2;
    (only_a, both, union - both - only_a)
}

/// Set operations on pairs of sets, over the share of the union that is in both.
pub fn sets(lg_k: u8, sizes: &[Sizes], confidence: f64) -> Experiment {
    let own = sizes.to_vec();
    let share = |&(a, both, b): &Sizes| both as f64 / (a + both + b) as f64;
    let at_least = Covers::AtLeast(confidence);
    let sized = Promise { bias: Some(0.0), error: ErrorIs::Formula, coverage: Covers::Exactly(confidence) };
    let bounded = Promise { bias: Some(0.0), error: ErrorIs::AtMostFormula, coverage: at_least };
    // The exact interval is for draws with replacement: it may be too wide here, never too narrow.
    let jaccard = Promise { bias: Some(0.0), error: ErrorIs::Formula, coverage: at_least };
    let series = |name: &str, promise: Promise| Series {
        name: name.to_owned(),
        points: sizes.iter().map(|sizes| Point { at: At::Log(share(sizes)), promise }).collect(),
    };
    Experiment {
        name: "theta-sets",
        title: "Set operations: `theta::Theta`",
        about: "One trial draws two sets of equal size whose union has 100,000 values, lg K = 12, and asks for union, \
                intersection, A without B and Jaccard's index.",
        formula: "Intersection and difference: at most √(|A∪B| / |result| / K) (Dasgupta, Lang, Rhodes & Thaler 2016); \
                  union: as one sketch over both; Jaccard's J, in parts of 1: √(J (1−J) / K · (1 − K/|A∪B|)), K draws \
                  without replacement (Broder 1997).",
        departs: "The formulas of intersection and difference are upper bounds: measured is up to a third less. \
                  The intervals are exact ones and wide rather than narrow: where few hashes of the result are kept they \
                  hold more often than promised, that for Jaccard's index, of draws with replacement, also elsewhere.",
        axis: "share of the union in both",
        of: "the result (Jaccard: of 1)",
        also: None,
        series: vec![
            series("union", sized),
            series("A and B", bounded),
            series("A without B", bounded),
            series("Jaccard", jaccard),
        ],
        trial: Box::new(move |rng, record| {
            for (point, &(only_a, both, only_b)) in own.iter().enumerate() {
                let mut a = Theta::new(lg(lg_k));
                feed(&mut a, rng, both);
                let mut b = a.clone();
                feed(&mut a, rng, only_a);
                feed(&mut b, rng, only_b);
                let (k, n) = ((1u64 << lg_k) as f64, (only_a + both + only_b) as f64);
                let mut united = a.clone();
                _ = united.merge(&b);
                let whole = ((n - k).max(0.0) / (n * (k - 1.0))).sqrt();
                record.tell(0, point, united.estimate(confidence), n, whole);
                for (series, result, truth) in [(1, a.intersect(&b), both), (2, a.without(&b), only_a)] {
                    let formula = (n / truth as f64 / k).sqrt();
                    record.tell(series, point, result.estimate(confidence), truth as f64, formula);
                }
                let truth = both as f64 / n;
                let formula = (truth * (1.0 - truth) / k * (1.0 - k / n).max(0.0)).sqrt();
                let reading = record.read(a.jaccard(&b, confidence), truth, 1.0, formula);
                record.put(3, point, reading);
            }
        }),
    }
}

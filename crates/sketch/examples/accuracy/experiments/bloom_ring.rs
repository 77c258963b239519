//! Membership in a window of time: `bloom::SeenRing` against the rate that it reports, and its numbers of keys.

use super::bloom::{foreign, scatter};
use super::points;
use super::trials::{Covers, ErrorIs, Experiment, Promise, Series};
use sketch::Estimate;
use sketch::bloom::{RingSize, SeenRing};

const BUCKETS: u8 = 12;

fn size(keys: u64, rate: f64) -> RingSize {
    RingSize::per_bucket(keys, rate, BUCKETS).expect("a size that there is")
}

/// Rings for so many keys in each bucket at these rates, over numbers `ns` of keys in each, in ascending order.
pub fn rate(keys: u64, rates: &[f64], ns: &[u64]) -> Experiment {
    let ring_sizes: Vec<RingSize> = rates.iter().map(|&rate| size(keys, rate)).collect();
    let ns_of = ns.to_vec();
    let of_bits = Promise { bias: Some(0.0), error: ErrorIs::Formula, coverage: Covers::Nothing };
    let told = Promise { bias: Some(0.0), error: ErrorIs::Unsaid, coverage: Covers::Nothing };
    let series = |what: &'static str, promise: Promise| {
        rates.iter().map(move |rate| Series {
            name: format!("{} %, {what}", rate * 100.0),
            points: points(ns, |_| promise),
        })
    };
    Experiment {
        name: "seen-ring",
        title: "Membership in a window: `bloom::SeenRing`",
        about: "One trial fills 12 buckets of time, each made for 1,000 keys, with new keys, and on the way asks for 10,000 \
                keys that are in none: the share of false positives against the rate of exactly these bits (`rate_of_bits`, \
                *bits*), and against the rate expected of so many (`rate`, *told*), which is what users see.",
        formula: "Bits: a key passes one plane with the mean over the lines of the product of their parts' fills, and all \
                  but with the product of not passing each; hits are binomial, so that the relative error is \
                  √((1−p) / (10,000 p)). Told: the same expected over lines with Poisson loads; how far single rings \
                  scatter around it has no formula here.",
        departs: "Two things show in rings this small, and fall as one over their number of lines (some 400 here): with eight \
                  times the keys neither is seen. The rate told is too high by up to 0.7 % of itself: it takes the loads of \
                  lines for Poisson's, which spread a little more. And overfull rings scatter by up to 5 % more than hits do, \
                  where several planes happen to be full in the same lines; the rate of the bits takes planes for independent.",
        axis: "keys in each bucket n",
        of: "the rate",
        also: Some("rate %"),
        series: series("bits", of_bits).chain(series("told", told)).collect(),
        trial: Box::new(move |rng, record| {
            for (at, &size) in ring_sizes.iter().enumerate() {
                let (mut ring, mut fed) = (SeenRing::new(size), 0);
                for (point, &n) in ns_of.iter().enumerate() {
                    for bucket in 0..u64::from(BUCKETS) {
                        (fed..n).for_each(|_| _ = ring.update(rng.token(), bucket));
                    }
                    fed = n;
                    let share = foreign(rng, |token| ring.query(token).is_known());
                    let found = Estimate::probabilistic(share, share, share, 0.0);
                    for (series, rate) in [(at, ring.rate_of_bits()), (ring_sizes.len() + at, ring.rate())] {
                        let reading = record.read(found, rate, rate, scatter(rate));
                        record.put(series, point, reading.also(rate));
                    }
                }
            }
        }),
    }
}

/// Rings for so many keys in each bucket at these rates: the number of keys of a bucket, over `ns` in ascending order.
pub fn keys(keys: u64, rates: &[f64], ns: &[u64], confidence: f64) -> Experiment {
    let ring_sizes: Vec<RingSize> = rates.iter().map(|&rate| size(keys, rate)).collect();
    let ns_of = ns.to_vec();
    let series = |(rate, &size): (&f64, &RingSize)| {
        let promise = move |n: f64| Promise {
            bias: Some(counting(size, n).1),
            error: ErrorIs::AtMostFormula,
            coverage: Covers::AtLeast(confidence),
        };
        Series { name: format!("{keys} @ {} %", rate * 100.0), points: points(ns, promise) }
    };
    Experiment {
        name: "seen-ring-keys",
        title: "Keys of a bucket: `bloom::SeenRing::keys_in`",
        about: "One trial gives one of 12 buckets, each made for 1,000 keys, so many that the ring no longer keeps keys as they \
                are, and asks how many there are in another one, while it fills.",
        formula: "Linear counting (Whang, Vander-Zanden & Taylor 1990): with m cells in each of g lines and t = n/m the \
                  standard error is √(m (eᵗ − t − 1) / g), the bias at most (eᵗ − t − 1)/2 + t/2. The interval is 1.96 of \
                  those and one key more.",
        departs: "The interval is conservative. The formula takes the parts of a line for one, as they share its load; but they are \
                  different cells, and the error is about half of it. Intervals nearly always hold, not only 95 % of the time.",
        axis: "keys in the bucket n",
        of: "n",
        also: None,
        series: rates.iter().zip(&ring_sizes).map(series).collect(),
        trial: Box::new(move |rng, record| {
            for (series, &size) in ring_sizes.iter().enumerate() {
                let (mut ring, mut fed) = (SeenRing::new(size), 0);
                // So many that keys are no longer kept as they are.
                (0..2 * ring.exact_max()).for_each(|_| _ = ring.update(rng.token(), 1));
                for (point, &n) in ns_of.iter().enumerate() {
                    (fed..n).for_each(|_| _ = ring.update(rng.token(), 2));
                    fed = n;
                    if let Some(told) = ring.keys_in(2, confidence) {
                        record.tell(series, point, told, n as f64, counting(size, n as f64).0);
                    }
                }
            }
        }),
    }
}

/// Standard error and most bias of linear counting, in parts of n.
fn counting(size: RingSize, n: f64) -> (f64, f64) {
    let bits = (size.filter_bytes() * 8 / u64::from(size.planes())) as f64;
    let cells = bits / f64::from(size.bits_per_key());
    let t = n / cells;
    let spread = t.exp() - t - 1.0;
    let error = (cells * spread / f64::from(size.lines_per_key())).sqrt() / n;
    (error, spread / (2.0 * n) + 0.5 / cells)
}

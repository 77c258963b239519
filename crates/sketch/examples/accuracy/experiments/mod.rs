//! The table of experiments: one file per sketch. A new one is a function that returns an [`Experiment`], and a line in
//! [`all`].

pub mod bloom;
pub mod bloom_ring;
pub mod countmin;
pub mod countsketch;
pub mod cpc;
pub mod frequent;
pub mod hll;
pub mod kll;
pub mod minhash;
pub mod quantile;
pub mod sample;
pub mod sliding;
mod stream;
pub mod theta;

use super::trials::{self, At, Covers, ErrorIs, Experiment, Point, Promise};

/// Every experiment of the page, in its order.
pub fn all() -> Vec<Experiment> {
    vec![
        hll::distinct(
            &[hll::one(10), hll::one(12), hll::one(14), hll::merged(12, 8)],
            &ladder(10, 1_000_000),
            0.95,
        ),
        cpc::distinct(&[(10, 1), (12, 1), (10, 8), (12, 8)], &ladder(50, 100_000), 0.95),
        theta::distinct(&[10, 12], &ladder(10, 1_000_000), 0.95),
        theta::sets(12, &[0.01, 0.03, 0.1, 0.3, 0.6, 0.9].map(|share| theta::equal(100_000, share)), 0.95),
        minhash::alike(&[(8, 10_000), (10, 10_000), (10, 1_500)], &[0.01, 0.03, 0.1, 0.3, 0.6, 0.9], 0.95),
        minhash::distinct(&[8, 10], &ladder(100, 50_000), 0.95),
        bloom::filter(&[0.1, 0.01, 0.001], 10_000, &[5_000, 7_000, 10_000, 14_000, 20_000, 40_000]),
        bloom::seen_rate(&bloom::SIZES, &[5_000, 10_000, 20_000, 50_000, 100_000]),
        bloom::first_times(&[bloom::SIZES.as_slice(), &[bloom::LONG]].concat(), &ladder(500, 100_000), 0.95),
        bloom_ring::rate(1_000, &[0.1, 0.01, 0.001], &[500, 700, 1_000, 1_400, 2_000, 4_000]),
        bloom_ring::keys(1_000, &[0.1, 0.01], &ladder(20, 10_000), 0.95),
        countmin::count_min(1_000_000, 100_000, 1_000, 0.95),
        countmin::conservative(50_000, 10_000, 0.95),
        countsketch::weights(1_000_000, 20_000, 200, 0.95),
        frequent::counters(50_000, 10_000),
        countmin::freq(50_000, 10_000, 0.95),
        quantile::quantiles(&[5, 6, 7], 10_000),
        kll::ranks(&[(100, 1), (200, 1), (400, 1), (1_000, 1), (200, 8)], &ladder(1_000, 100_000), 0.95),
        sliding::sums(&[(0.1, 1), (0.01, 1), (0.01, 8)], 20_000, &[10, 30, 100, 300, 1_000, 3_000, 10_000]),
        sample::mean(10_000, &[10, 30, 100, 300, 1_000, 3_000]),
    ]
}

/// 1, 2, 5, 10, 20, 50 and so on, from one to another.
pub fn ladder(from: u64, to: u64) -> Vec<u64> {
    let decades = (0..19).map(|e| 10u64.pow(e));
    decades.flat_map(|ten| [ten, 2 * ten, 5 * ten]).filter(|n| (from..=to).contains(n)).collect()
}

/// Points on a logarithmic axis, each with its promise.
pub fn points(xs: &[u64], promise: impl Fn(f64) -> Promise) -> Vec<Point> {
    xs.iter().map(|&x| Point { at: At::Log(x as f64), promise: promise(x as f64) }).collect()
}

/// Named points, all with the same promise.
pub fn named(names: impl IntoIterator<Item = String>, promise: Promise) -> Vec<Point> {
    names.into_iter().map(|name| Point { at: At::Named(name), promise }).collect()
}

/// Answers are exact: none is off and every interval holds.
pub const EXACT: Promise =
    Promise { bias: Some(0.0), error: ErrorIs::Beyond(0.0), coverage: Covers::AtLeast(1.0) };

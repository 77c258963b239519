//! Quantiles: within 1 % of the value, and by rank.

use asap_sketchlib::{DdSketch, Kll as AsapKll};
use datasketches::common::SearchCriteria;
use datasketches::kll::{KllFloat, KllSketch};
use sketch::kll::{K, Kll, Search};
use sketch::quantile::Quantiles;
use sketches_ddsketch::{Config, DDSketch};
use timing::Case;

use crate::job::{Job, Plan, Unit};
use crate::keys::{Keys, ROWS};

/// All jobs of this file.
pub const PLANS: &[Plan] = &[
    Plan { name: "quantiles within 1 % of the value, update", make: value_error },
    Plan { name: "KLL, k = 200, update", make: rank_error },
];

/// The default of DataSketches, and what its error of rank is at 99 %, three times over.
const SIZE: u16 = 200;
const RANK_ERROR: f64 = 3.0 * 0.0133;

/// The least bits a doubling whose error, 1/(2^(bits+1)+1), is within 1 %.
const BITS: u8 = 6;
const ERROR: f64 = 0.01;

/// Ours at the error of the comparison.
pub fn new_ours() -> Quantiles {
    Quantiles::new(BITS).expect("within the range")
}

/// Theirs at the error of the comparison, with as many bins as it takes by default.
pub fn new_ddsketch() -> DDSketch {
    DDSketch::new(Config::new(ERROR, 2_048, 1e-9))
}

fn value_error(keys: &Keys) -> Job<'_> {
    let exact = keys.quantile(0.99);
    let sides = vec![
        Case::answering(
            "ours: batch",
            ROWS,
            new_ours,
            |quantiles| quantiles.update_all(&keys.values),
            move |quantiles| quantiles.quantile(0.99).map_or(f64::NAN, |e| e.value / exact - 1.0),
        ),
        Case::answering(
            "ours: one by one",
            ROWS,
            new_ours,
            |quantiles| keys.values.iter().for_each(|&v| quantiles.update(v)),
            move |quantiles| quantiles.quantile(0.99).map_or(f64::NAN, |e| e.value / exact - 1.0),
        ),
        Case::answering(
            "sketches-ddsketch",
            ROWS,
            new_ddsketch,
            |quantiles| keys.values.iter().for_each(|&v| quantiles.add(v)),
            move |quantiles| quantiles.quantile(0.99).ok().flatten().map_or(f64::NAN, |v| v / exact - 1.0),
        ),
        Case::answering(
            "asap_sketchlib",
            ROWS,
            || DdSketch::new(ERROR),
            |quantiles| keys.values.iter().for_each(|v| quantiles.add(v)),
            move |quantiles| quantiles.get_value_at_quantile(0.99).map_or(f64::NAN, |v| v / exact - 1.0),
        ),
    ];
    Job { unit: Unit::Ns, bar: Some(4.0), asked: "error of p99", right: -ERROR..=ERROR, sides }
}

fn rank_error(keys: &Keys) -> Job<'_> {
    // The share of values up to the median that was told.
    let off = |median: f64| keys.rank(median) - 0.5;
    let ours = || Kll::<f64>::new(K::DEFAULT, 1);
    let median =
        |kll: &Kll| kll.quantile(0.5, Search::Inclusive, 0.99).map_or(f64::NAN, |estimate| estimate.value);
    let sides = vec![
        Case::answering(
            "ours: batch",
            ROWS,
            ours,
            |kll| kll.update_all(&keys.values),
            move |kll| off(median(kll)),
        ),
        Case::answering(
            "ours: one by one",
            ROWS,
            ours,
            |kll| keys.values.iter().for_each(|&v| kll.update(v)),
            move |kll| off(median(kll)),
        ),
        Case::answering(
            "datasketches",
            ROWS,
            || KllSketch::<KllFloat<f64>>::new(SIZE).expect("within the range"),
            |kll| keys.values.iter().for_each(|&v| kll.update(KllFloat::<f64>::new(v).expect("a number"))),
            move |kll| {
                let median = kll.quantile(0.5, SearchCriteria::Inclusive).ok().flatten();
                off(median.map_or(f64::NAN, KllFloat::into_inner))
            },
        ),
        Case::answering(
            "asap_sketchlib",
            ROWS,
            || AsapKll::<f64>::with_k_and_seed(SIZE.into(), 1),
            |kll| keys.values.iter().for_each(|v| kll.update(v)),
            move |kll| off(kll.quantile(0.5)),
        ),
    ];
    Job {
        unit: Unit::Ns,
        bar: Some(40.0),
        asked: "error of the rank",
        right: -RANK_ERROR..=RANK_ERROR,
        sides,
    }
}

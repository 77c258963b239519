//! How many distinct: HyperLogLog of 2^14 registers.

use std::rc::Rc;

use asap_sketchlib::{DataInput, Ertl, HyperLogLogP14};
use cardinality_estimator::CardinalityEstimator;
use datasketches::hash::value::raw_bytes;
use datasketches::hll::{HllSketch, HllType, HllUnion};
use hyperloglockless::HyperLogLog;
use sketch::hash::{Hashing, Key};
use sketch::hll::{Distinct, LgK};
use timing::Case;

use crate::bytes::restore_distinct;
use crate::job::{Job, Plan, Unit};
use crate::keys::{Keys, ROWS, numbered};

/// All jobs of this file.
pub const PLANS: &[Plan] = &[
    Plan { name: "hash of a name", make: hash },
    Plan { name: "HLL 2^14 update, names, interchange hash", make: interchange },
    Plan { name: "HLL 2^14 update, names, any hash", make: any_hash },
    Plan { name: "HLL 2^14 update, hashes", make: hashes },
    Plan { name: "merge of 1,000 HLL 2^14 in memory", make: merge },
    Plan { name: "merge of 1,000 HLL 2^14 from bytes", make: merge_bytes },
];

/// Sketches in a merge, and distinct keys that each has seen.
const MERGES: usize = 1_000;
const KEYS_EACH: i64 = 10_000;
/// Four times the standard error of 2^14 registers.
const ERROR: f64 = 4.0 * 1.04 / 128.0;

/// `W` = 6 bits a register and 2^14 of them.
type Cloudflare<T> = CardinalityEstimator<T, wyhash::WyHash, 14, 6>;
type Asap = HyperLogLogP14<Ertl>;

/// Ours at the size of the comparison.
pub fn new_ours() -> Distinct {
    Distinct::new(LgK::new(14).expect("within the range"))
}

fn new_datasketches() -> HllSketch {
    HllSketch::new(14, HllType::Hll8).expect("within the range")
}

/// A job in which every side is asked for the number of names; the answer is the relative error.
fn counting<'a>(keys: &'a Keys, bar: Option<f64>, sides: impl Fn(f64) -> Vec<Case<'a>>) -> Job<'a> {
    Job {
        unit: Unit::Ns,
        bar,
        asked: "error of the count",
        right: -ERROR..=ERROR,
        sides: sides(keys.distinct()),
    }
}

fn hash(keys: &Keys) -> Job<'_> {
    let ours = Case::answering(
        "ours: interchange (MurmurHash3), batches",
        ROWS,
        || 0,
        |all| keys.hash_batches(|_, tokens| *all ^= std::hint::black_box(tokens)[0].0),
        |_| 0.0,
    );
    let fast = Case::answering(
        "ours: fast (XXH3), batches",
        ROWS,
        || 0,
        |all| keys.hash_batches_by(&Hashing::Fast, |tokens| *all ^= std::hint::black_box(tokens)[0].0),
        |_| 0.0,
    );
    let secret = Hashing::Keyed(Key::of_secret(b"sixteen bytes and more").expect("long enough"));
    let keyed = Case::answering(
        "ours: keyed (SipHash), batches",
        ROWS,
        || 0,
        move |all| keys.hash_batches_by(&secret, |tokens| *all ^= std::hint::black_box(tokens)[0].0),
        |_| 0.0,
    );
    let theta = Case::answering(
        "ours: theta (MurmurHash3), batches",
        ROWS,
        || 0,
        |all| keys.theta_batches(|hashes| *all ^= std::hint::black_box(hashes)[0]),
        |_| 0.0,
    );
    let datasketches = Case::answering(
        "datasketches (MurmurHash3)",
        ROWS,
        || (),
        |()| {
            keys.names().for_each(|name| {
                std::hint::black_box(datasketches::hll::Coupon::from_value(raw_bytes::from_slice(name)));
            });
        },
        |()| 0.0,
    );
    Job {
        unit: Unit::Ns,
        bar: None,
        asked: "nothing",
        right: 0.0..=0.0,
        sides: vec![ours, fast, keyed, theta, datasketches],
    }
}

fn interchange(keys: &Keys) -> Job<'_> {
    counting(keys, Some(15.0), |exact| {
        vec![
            ours_from_names(keys, exact),
            Case::answering(
                "datasketches HLL_8",
                ROWS,
                new_datasketches,
                |hll| keys.names().for_each(|name| hll.update(raw_bytes::from_slice(name))),
                move |hll| hll.composite_estimate() / exact - 1.0,
            ),
        ]
    })
}

fn ours_from_names(keys: &Keys, exact: f64) -> Case<'_> {
    Case::answering(
        "ours: interchange hash, batches",
        ROWS,
        new_ours,
        |hll| keys.hash_batches(|_, tokens| hll.update_all(tokens)),
        move |hll| hll.estimate(0.95).value / exact - 1.0,
    )
}

fn any_hash(keys: &Keys) -> Job<'_> {
    counting(keys, Some(7.0), |exact| {
        vec![
            ours_from_names(keys, exact),
            Case::answering(
                "ours: fast hash, batches",
                ROWS,
                new_ours,
                |hll| keys.hash_batches_by(&Hashing::Fast, |tokens| hll.update_all(tokens)),
                move |hll| hll.estimate(0.95).value / exact - 1.0,
            ),
            Case::answering(
                "hyperloglockless",
                ROWS,
                || HyperLogLog::seeded(14, 1),
                |hll| keys.names().for_each(|name| hll.insert(name)),
                move |hll| hll.raw_count() / exact - 1.0,
            ),
            Case::answering(
                "cardinality-estimator",
                ROWS,
                Cloudflare::<[u8]>::new,
                |hll| keys.names().for_each(|name| hll.insert(name)),
                move |hll| hll.estimate() as f64 / exact - 1.0,
            ),
            Case::answering(
                "asap_sketchlib",
                ROWS,
                Asap::new,
                |hll| keys.names().for_each(|name| hll.update(&DataInput::Bytes(name))),
                move |hll| hll.estimate() as f64 / exact - 1.0,
            ),
        ]
    })
}

fn hashes(keys: &Keys) -> Job<'_> {
    counting(keys, None, |exact| {
        vec![
            Case::answering(
                "ours: batch",
                ROWS,
                new_ours,
                |hll| hll.update_all(&keys.tokens),
                move |hll| hll.estimate(0.95).value / exact - 1.0,
            ),
            Case::answering(
                "ours: one by one",
                ROWS,
                new_ours,
                |hll| keys.tokens.iter().for_each(|&token| hll.update(token)),
                move |hll| hll.estimate(0.95).value / exact - 1.0,
            ),
            Case::answering(
                "datasketches HLL_8, coupons",
                ROWS,
                new_datasketches,
                |hll| keys.coupons.iter().for_each(|&coupon| hll.update_with_coupon(coupon)),
                move |hll| hll.composite_estimate() / exact - 1.0,
            ),
            Case::answering(
                "hyperloglockless",
                ROWS,
                || HyperLogLog::seeded(14, 1),
                |hll| keys.hashes.iter().for_each(|&hash| hll.insert_hash(hash)),
                move |hll| hll.raw_count() / exact - 1.0,
            ),
            Case::answering(
                "cardinality-estimator",
                ROWS,
                Cloudflare::<u64>::new,
                |hll| keys.hashes.iter().for_each(|&hash| hll.insert_hash(hash)),
                move |hll| hll.estimate() as f64 / exact - 1.0,
            ),
            Case::answering(
                "asap_sketchlib",
                ROWS,
                Asap::new,
                |hll| hll.update_batch_with_hashes(&keys.hashes),
                move |hll| hll.estimate() as f64 / exact - 1.0,
            ),
        ]
    })
}

/// One sketch for each part of the keys 0..MERGES * KEYS_EACH.
fn parts<T>(fill: impl Fn(std::ops::Range<i64>) -> T) -> Rc<Vec<T>> {
    Rc::new((0..MERGES as i64).map(|n| fill(n * KEYS_EACH..(n + 1) * KEYS_EACH)).collect())
}

fn our_parts() -> Rc<Vec<Distinct>> {
    parts(|range| {
        let mut hll = new_ours();
        hll.update_all(&numbered(range).0);
        hll
    })
}

fn datasketches_parts() -> Rc<Vec<HllSketch>> {
    parts(|range| {
        let mut hll = new_datasketches();
        range.for_each(|key| hll.update(key));
        hll
    })
}

fn merging<'a>(bar: f64, sides: Vec<Case<'a>>) -> Job<'a> {
    Job { unit: Unit::Ms, bar: Some(bar), asked: "error of the count", right: -ERROR..=ERROR, sides }
}

/// What all parts together hold.
const UNION: f64 = (MERGES as i64 * KEYS_EACH) as f64;

fn merge(_: &Keys) -> Job<'_> {
    let (ours, theirs) = (our_parts(), datasketches_parts());
    let lockless = parts(|range| {
        let mut hll = HyperLogLog::seeded(14, 1);
        numbered(range).1.iter().for_each(|&hash| hll.insert_hash(hash));
        hll
    });
    let cloudflare = parts(|range| {
        let mut hll = Cloudflare::<u64>::new();
        numbered(range).1.iter().for_each(|&hash| hll.insert_hash(hash));
        hll
    });
    let asap = parts(|range| {
        let mut hll = Asap::new();
        hll.update_batch_with_hashes(&numbered(range).1);
        hll
    });
    merging(
        3.0,
        vec![
            Case::answering(
                "ours",
                1,
                new_ours,
                move |all| ours.iter().for_each(|hll| _ = all.merge(hll)),
                |all| all.estimate(0.95).value / UNION - 1.0,
            ),
            Case::answering(
                "datasketches HLL_8, union",
                1,
                || HllUnion::new(14).expect("within the range"),
                move |all| theirs.iter().for_each(|hll| all.update(hll)),
                |all| all.estimate() / UNION - 1.0,
            ),
            Case::answering(
                "hyperloglockless",
                1,
                || HyperLogLog::seeded(14, 1),
                move |all| lockless.iter().for_each(|hll| all.union(hll).expect("same size")),
                |all| all.raw_count() / UNION - 1.0,
            ),
            Case::answering(
                "cardinality-estimator",
                1,
                Cloudflare::<u64>::new,
                move |all| cloudflare.iter().for_each(|hll| all.merge(hll)),
                |all| all.estimate() as f64 / UNION - 1.0,
            ),
            Case::answering(
                "asap_sketchlib",
                1,
                Asap::new,
                move |all| asap.iter().for_each(|hll| all.merge(hll)),
                |all| all.estimate() as f64 / UNION - 1.0,
            ),
        ],
    )
}

fn merge_bytes(_: &Keys) -> Job<'_> {
    let snapshot = |hll: &Distinct| {
        let mut out = Vec::new();
        hll.snapshot(&mut out);
        out
    };
    let ours: Rc<Vec<Vec<u8>>> = Rc::new(our_parts().iter().map(snapshot).collect());
    let theirs: Rc<Vec<Vec<u8>>> = Rc::new(datasketches_parts().iter().map(HllSketch::serialize).collect());
    merging(
        5.0,
        vec![
            Case::answering(
                "ours: restore and merge",
                1,
                new_ours,
                move |all| ours.iter().for_each(|bytes| _ = all.merge(&restore_distinct(bytes))),
                |all| all.estimate(0.95).value / UNION - 1.0,
            ),
            Case::answering(
                "datasketches HLL_8, deserialize and union",
                1,
                || HllUnion::new(14).expect("within the range"),
                move |all| {
                    theirs
                        .iter()
                        .for_each(|bytes| all.update(&HllSketch::deserialize(bytes).expect("its own bytes")));
                },
                |all| all.estimate() / UNION - 1.0,
            ),
        ],
    )
}

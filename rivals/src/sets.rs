//! Theta sketches of 2^12: update, and the union of a thousand.

use std::rc::Rc;

use datasketches::hash::value::raw_bytes;
use datasketches::theta::{
    CompactThetaSketch, ThetaSketch, ThetaSketchBuilder, ThetaUnion, ThetaUnionBuilder,
};
use sketch::hash::theta_hash_of_i64;
use sketch::theta::{LgK, Theta};
use sketch::{Limits, Reader};
use timing::Case;

use crate::bytes::restore_theta;
use crate::job::{Job, Plan, Unit};
use crate::keys::{Keys, ROWS};

/// All jobs of this file.
pub const PLANS: &[Plan] = &[
    Plan { name: "Theta 2^12 update, names", make: update },
    Plan { name: "union of 1,000 Theta 2^12 in memory", make: union },
    Plan { name: "union of 1,000 Theta 2^12 from bytes", make: union_bytes },
];

const UNIONS: i64 = 1_000;
const KEYS_EACH: i64 = 20_000;
const UNION: f64 = (UNIONS * KEYS_EACH) as f64;
/// Four times the standard error of 2^12.
const ERROR: f64 = 4.0 / 64.0;

/// Ours at the size of the comparison.
pub fn new_ours() -> Theta {
    Theta::new(LgK::new(12).expect("within the range"))
}

/// Theirs at the size of the comparison.
pub fn new_datasketches() -> ThetaSketch {
    ThetaSketchBuilder::default().lg_k(12).build().expect("within the range")
}

fn new_union() -> ThetaUnion {
    ThetaUnionBuilder::default().lg_k(12).build().expect("within the range")
}

fn update(keys: &Keys) -> Job<'_> {
    let exact = keys.distinct();
    let sides = vec![
        Case::answering(
            "ours: interchange hash, batches",
            ROWS,
            new_ours,
            |theta| keys.theta_batches(|hashes| theta.update_all(hashes)),
            move |theta| theta.estimate(0.95).value / exact - 1.0,
        ),
        Case::answering(
            "datasketches",
            ROWS,
            new_datasketches,
            |theta| keys.names().for_each(|name| theta.update(raw_bytes::from_slice(name))),
            move |theta| theta.estimate() / exact - 1.0,
        ),
    ];
    Job { unit: Unit::Ns, bar: None, asked: "error of the count", right: -ERROR..=ERROR, sides }
}

fn parts<T>(fill: impl Fn(std::ops::Range<i64>) -> T) -> Vec<T> {
    (0..UNIONS).map(|n| fill(n * KEYS_EACH..(n + 1) * KEYS_EACH)).collect()
}

fn our_part(range: std::ops::Range<i64>) -> Theta {
    let mut theta = new_ours();
    range.for_each(|key| theta.update(theta_hash_of_i64(key)));
    theta
}

fn their_part(range: std::ops::Range<i64>) -> ThetaSketch {
    let mut theta = new_datasketches();
    range.for_each(|key| theta.update(key));
    theta
}

fn uniting<'a>(bar: Option<f64>, sides: Vec<Case<'a>>) -> Job<'a> {
    Job { unit: Unit::Ms, bar, asked: "error of the count", right: -ERROR..=ERROR, sides }
}

fn union(_: &Keys) -> Job<'_> {
    let ours = Rc::new(parts(our_part));
    let theirs = Rc::new(parts(their_part));
    let compact: Rc<Vec<CompactThetaSketch>> =
        Rc::new(theirs.iter().map(|theta| theta.compact(true)).collect());
    let restored: Rc<Vec<Theta>> =
        Rc::new(ours.iter().map(|theta| restore_theta(&snapshot(theta))).collect());
    uniting(
        Some(3.0),
        vec![
            Case::answering(
                "ours: merge",
                1,
                new_ours,
                move |all| ours.iter().for_each(|theta| _ = all.merge(theta)),
                |all| all.estimate(0.95).value / UNION - 1.0,
            ),
            Case::answering(
                "ours: merge of restored ones",
                1,
                new_ours,
                move |all| restored.iter().for_each(|theta| _ = all.merge(theta)),
                |all| all.estimate(0.95).value / UNION - 1.0,
            ),
            Case::answering(
                "datasketches, updatable",
                1,
                new_union,
                move |all| theirs.iter().for_each(|theta| all.update(theta.as_view()).expect("one seed")),
                |all| all.to_sketch(false).estimate() / UNION - 1.0,
            ),
            Case::answering(
                "datasketches, compact and ordered",
                1,
                new_union,
                move |all| compact.iter().for_each(|theta| all.update(theta.as_view()).expect("one seed")),
                |all| all.to_sketch(false).estimate() / UNION - 1.0,
            ),
        ],
    )
}

fn snapshot(theta: &Theta) -> Vec<u8> {
    let mut out = Vec::new();
    theta.snapshot(&mut out);
    out
}

fn union_bytes(_: &Keys) -> Job<'_> {
    let ours: Rc<Vec<Vec<u8>>> = Rc::new(parts(|range| snapshot(&our_part(range))));
    let theirs: Rc<Vec<Vec<u8>>> = Rc::new(parts(|range| their_part(range).compact(true).serialize()));
    uniting(
        None,
        vec![
            Case::answering(
                "ours: merge_snapshot",
                1,
                new_ours,
                {
                    let ours = Rc::clone(&ours);
                    move |all: &mut Theta| {
                        ours.iter().for_each(|bytes| {
                            all.merge_snapshot(&mut Reader::new(bytes), &Limits::default())
                                .expect("our own bytes");
                        });
                    }
                },
                |all| all.estimate(0.95).value / UNION - 1.0,
            ),
            Case::answering(
                "ours: restore and merge",
                1,
                new_ours,
                move |all| ours.iter().for_each(|bytes| _ = all.merge(&restore_theta(bytes))),
                |all| all.estimate(0.95).value / UNION - 1.0,
            ),
            Case::answering(
                "datasketches, deserialize and union",
                1,
                new_union,
                move |all| {
                    for bytes in theirs.iter() {
                        let theta = CompactThetaSketch::deserialize(bytes).expect("its own bytes");
                        all.update(theta.as_view()).expect("one seed");
                    }
                },
                |all| all.to_sketch(false).estimate() / UNION - 1.0,
            ),
        ],
    )
}

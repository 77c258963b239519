//! How alike are two sets: MinHash of 128 bins or hashes.

use std::rc::Rc;

use gaoya::minhash::{MinHasher, MinHasher64V1, compute_minhash_similarity};
use sketch::minhash::{LgK, MinHash};
use timing::Case;

use crate::job::{Job, Plan, Unit};
use crate::keys::{Keys, ROWS};

/// All jobs of this file.
pub const PLANS: &[Plan] = &[Plan { name: "MinHash, k = 128, update", make: update }];

const LG_K: u8 = 7;
/// Four times the standard error of 128 bins, 0.5/sqrt(128), at its largest.
const ERROR: f64 = 4.0 * 0.5 / 11.3;

fn new_ours() -> MinHash {
    MinHash::new(LgK::new(LG_K).expect("within the range"))
}

/// All rows are taken in; the answer is how far the similarity with the first half of them is off.
fn update(keys: &Keys) -> Job<'_> {
    let exact = keys.jaccard_of_half();
    let mut half = new_ours();
    half.update_all(&keys.tokens[..ROWS / 2]);
    let half = Rc::new(half);
    let of_half = move |all: &MinHash, half: &MinHash| all.jaccard(half, 0.95).value - exact;
    let also_half = half.clone();
    let gaoya = Rc::new(MinHasher64V1::new(1 << LG_K));
    let also_gaoya = gaoya.clone();
    let sides = vec![
        Case::answering(
            "ours: batch",
            ROWS,
            new_ours,
            |all| all.update_all(&keys.tokens),
            move |all| of_half(all, &half),
        ),
        Case::answering(
            "ours: one by one",
            ROWS,
            new_ours,
            |all| keys.tokens.iter().for_each(|&token| all.update(token)),
            move |all| of_half(all, &also_half),
        ),
        Case::answering(
            "gaoya, 128 hashes (hashes anew)",
            ROWS,
            Vec::new,
            move |signature| *signature = gaoya.create_signature(keys.hashes.iter()),
            move |signature: &Vec<u64>| {
                let half = also_gaoya.create_signature(keys.hashes[..ROWS / 2].iter());
                compute_minhash_similarity(signature, &half) - exact
            },
        ),
    ];
    Job { unit: Unit::Ns, bar: Some(16.0), asked: "error of the similarity", right: -ERROR..=ERROR, sides }
}

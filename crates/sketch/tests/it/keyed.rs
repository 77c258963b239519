//! Keyed sketches, and what a public hash lets an attacker do: two attacks, with and without a key.

use sketch::family::Hashed;
use sketch::hash::{Hashing, Key};
use sketch::hll::{Distinct, LgK};
use sketch::theta::Theta;
use sketch::{Any, DecodeError, Keyed, Limits, Question, Reader, Sketch, Token};

const LG_K: u8 = 12;

fn lg_k() -> LgK {
    LgK::new(LG_K).unwrap()
}

fn key(n: u8) -> Key {
    Key::from_bytes(std::array::from_fn(|i| n.wrapping_mul(101).wrapping_add(i as u8 * 13)))
}

fn distinct(key: &Key, values: std::ops::Range<i64>) -> Keyed<Distinct> {
    let mut tokens = Vec::new();
    Hashing::Keyed(key.clone()).tokens_of_i64s(&values.collect::<Vec<_>>(), &mut tokens);
    let mut keyed: Keyed<Distinct> = Keyed::new(key, &lg_k());
    keyed.sketch_mut(key).unwrap().update_all(&tokens);
    keyed
}

fn snapshot<S: Sketch>(keyed: &Keyed<S>) -> Vec<u8> {
    let mut out = Vec::new();
    keyed.snapshot(&mut out);
    out
}

#[test]
fn states_of_different_keys_refuse_to_merge() {
    let mut ours = distinct(&key(1), 0..5_000);
    let before = ours.clone();
    let theirs = distinct(&key(2), 0..5_000);
    let refused = ours.merge(&theirs).unwrap_err();
    let expected = ("key id", key(1).id().0, key(2).id().0);
    assert_eq!((refused.what, refused.ours, refused.theirs), expected);
    assert_eq!(ours, before);
    assert!(ours.sketch_mut(&key(2)).is_err() && ours.sketch(&key(2)).is_err());

    ours.merge(&distinct(&key(1), 2_500..10_000)).unwrap();
    assert_eq!(ours, distinct(&key(1), 0..10_000));
}

#[test]
fn a_snapshot_says_the_key_id_and_holds_the_sketch() {
    let keyed = distinct(&key(1), 0..300);
    let bytes = snapshot(&keyed);
    let inner = keyed.sketch(&key(1)).unwrap();
    let mut expected = vec![21, 1];
    expected.extend(key(1).id().0.to_le_bytes());
    expected.extend(inner.to_bytes());
    assert_eq!(bytes, expected);

    let mut longer = bytes.clone();
    longer.push(7);
    let mut r = Reader::new(&longer);
    let restored = Keyed::<Distinct>::restore(&mut r, &Limits::default()).unwrap();
    restored.check_invariants();
    assert_eq!((restored, r.remaining()), (keyed.clone(), 1));
    assert_eq!(keyed.sketch_name(), "keyed/hash-set");
    assert_eq!(keyed.query(&Question::Distinct, 0.95).unwrap().value, 300.0);
    assert!(keyed.memory_bytes() > inner.memory_bytes());

    // Who reads snapshots of unkeyed sketches does not take it for one, nor the other way round.
    assert!(Any::from_bytes(&bytes, &Limits::default()).is_err());
    let unkeyed = inner.to_bytes();
    assert!(Keyed::<Distinct>::restore(&mut Reader::new(&unkeyed), &Limits::default()).is_err());
    assert!(Keyed::<Theta>::restore(&mut Reader::new(&bytes), &Limits::default()).is_err());
}

#[test]
fn damaged_snapshots_are_refused_or_another_state() {
    let bytes = snapshot(&distinct(&key(1), 0..40));
    for len in 0..bytes.len() {
        let cut = Keyed::<Distinct>::restore(&mut Reader::new(&bytes[..len]), &Limits::default());
        assert_eq!(cut.unwrap_err(), DecodeError::Truncated, "{len}");
    }
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut other = bytes.clone();
            other[at] ^= 1 << bit;
            if let Ok(read) = Keyed::<Distinct>::restore(&mut Reader::new(&other), &Limits::default()) {
                read.check_invariants();
                assert_eq!(snapshot(&read), other[..snapshot(&read).len()], "byte {at} bit {bit}");
            }
        }
    }
}

/// Ids whose tokens under the public hash an attacker has looked at.
fn looked_at(ids: std::ops::Range<i64>) -> impl Iterator<Item = (i64, Token)> {
    let values: Vec<i64> = ids.collect();
    let mut tokens = Vec::new();
    Hashing::Interchange.tokens_of_i64s(&values, &mut tokens);
    values.into_iter().zip(tokens)
}

/// What is counted of these ids, and of two halves of them that were merged.
fn counted(hashing: &Hashing, ids: &[i64]) -> f64 {
    let mut tokens = Vec::new();
    let mut halves = ids.chunks(ids.len().div_ceil(2)).map(|half| {
        let mut sketch = Distinct::with(&lg_k());
        hashing.tokens_of_i64s(half, &mut tokens);
        sketch.update_hashes(&tokens);
        sketch
    });
    let mut all = halves.next().unwrap();
    halves.for_each(|half| {
        all.merge(&half).unwrap();
    });
    all.estimate(0.95).value
}

/// Four standard deviations around the truth: one false alarm in 16,000, and the seeds are fixed.
fn assert_honest(counted: f64, truth: usize) {
    let sigmas = (counted / truth as f64 - 1.0).abs() / lg_k().relative_error();
    assert!(sigmas < 4.0, "{truth} counted as {counted:.0}, off by {sigmas:.1} sigmas");
}

#[test]
fn hiding_works_against_a_public_hash_alone() {
    // Every second id would raise a register above 1: the attacker throws it away and goes on with the rest.
    let ids: Vec<i64> = looked_at(0..2_010_000)
        .filter(|(_, token)| token.rank() == 1)
        .map(|(id, _)| id)
        .take(1_000_000)
        .collect();
    assert_eq!(ids.len(), 1_000_000);
    let hidden = counted(&Hashing::Interchange, &ids);
    // All 4,096 registers at 1; the estimator of DataSketches makes 5,687 of it.
    assert!((5_900.0..5_915.0).contains(&hidden), "{hidden}");
    for n in 0..4 {
        assert_honest(counted(&Hashing::Keyed(key(n)), &ids), ids.len());
    }
}

#[test]
fn inflating_works_against_a_public_hash_alone() {
    // For each register the one id, of four million, that raises it most: what four million ids leave behind.
    const LOOKED_AT: i64 = 4_000_000;
    let mut best = vec![(0, 0); 1 << LG_K];
    for (id, token) in looked_at(0..LOOKED_AT) {
        let register = &mut best[token.coupon() as usize % (1 << LG_K)];
        *register = (*register).max((token.rank(), id));
    }
    let ids: Vec<i64> = best.iter().map(|&(_, id)| id).collect();
    assert_eq!(ids.len(), 4_096);
    let inflated = counted(&Hashing::Interchange, &ids);
    assert_honest(inflated, LOOKED_AT as usize);
    for n in 0..4 {
        assert_honest(counted(&Hashing::Keyed(key(n)), &ids), ids.len());
    }
}

#[test]
fn hiding_from_theta_works_against_a_public_hash_alone() {
    // The threshold follows the smallest hashes: without any in the lower half it stays there, at twice K.
    let mut hashes = Vec::new();
    let values: Vec<i64> = (0..1_100_000).collect();
    Hashing::Interchange.theta_hashes_of_i64s(&values, &mut hashes);
    let ids: Vec<i64> =
        values.into_iter().zip(&hashes).filter(|(_, hash)| **hash > 1 << 62).map(|(id, _)| id).collect();
    let counted = |hashing: &Hashing| {
        let mut hashes = Vec::new();
        hashing.theta_hashes_of_i64s(&ids, &mut hashes);
        let mut theta = Theta::with(&lg_k());
        theta.update_hashes(&hashes);
        theta.estimate(0.95).value
    };
    let hidden = counted(&Hashing::Interchange);
    assert!(hidden < 10_000.0, "{} counted as {hidden}", ids.len());
    for n in 0..4 {
        assert_honest(counted(&Hashing::Keyed(key(n))), ids.len());
    }
}

//! MinHash against sets: the laws byte for byte, similarity and its bounds, signatures and bands.

use crate::conservative::finaliser;
use crate::streams::*;
use proptest::prelude::*;
use sketch::minhash::{Banding, BandingError, LgK, MinHash};
use sketch::{DecodeError, Estimate, Guarantee, Limits, MergeNote, Reader, Token};
use std::collections::BTreeSet;

const LIMITS: Limits = Limits::bytes(1 << 16);

fn lg(lg_k: u8) -> LgK {
    LgK::new(lg_k).unwrap()
}

fn of(lg_k: u8, tokens: impl IntoIterator<Item = Token>) -> MinHash {
    let mut sketch = MinHash::new(lg(lg_k));
    tokens.into_iter().for_each(|token| sketch.update(token));
    sketch.check_invariants();
    sketch
}

fn keys(lg_k: u8, keys: &[u32]) -> MinHash {
    of(lg_k, keys.iter().map(|key| token(*key)))
}

fn bytes(sketch: &MinHash) -> Vec<u8> {
    let mut out = Vec::new();
    sketch.snapshot(&mut out);
    out
}

fn whole(bytes: &[u8]) -> Result<MinHash, DecodeError> {
    let mut r = Reader::new(bytes);
    let sketch = MinHash::restore(&mut r, &LIMITS)?;
    r.finish()?;
    Ok(sketch)
}

/// What docs/FORMATS.md says of a set.
fn spelled_out(lg_k: u8, keys: &[u32]) -> Vec<u8> {
    let tokens: BTreeSet<u64> = keys.iter().map(|key| token(*key).0).collect();
    let k = 1usize << lg_k;
    let mut out = vec![18, 1, lg_k, u8::from(tokens.len() > k * 3 / 4)];
    if tokens.len() <= k * 3 / 4 {
        out.extend((tokens.len() as u32).to_le_bytes());
        out.extend(tokens.iter().flat_map(|token| token.to_le_bytes()));
    } else {
        let hashes: BTreeSet<u64> = tokens.iter().map(|token| finaliser(*token)).collect();
        for bin in 0..k as u64 {
            let first = hashes.range(bin << (64 - lg_k)..).next().filter(|hash| *hash >> (64 - lg_k) == bin);
            out.extend(first.unwrap_or(&u64::MAX).to_le_bytes());
        }
    }
    out
}

fn some() -> impl Strategy<Value = Vec<u32>> {
    prop_oneof![
        prop::collection::vec(0u32..60, 0..80),
        prop::collection::vec(0u32..3_000, 0..400),
        prop::collection::vec(0u32..1_000_000, 0..1_500)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_repetition_merge_split_and_fold_commute_byte_for_byte(
        values in some(), parts in 1usize..6, lg_k in 7u8..10, down in 0u8..4
    ) {
        let expected = spelled_out(lg_k, &values);
        prop_assert_eq!(&bytes(&keys(lg_k, &values)), &expected);
        let backwards: Vec<u32> = values.iter().rev().chain(&values).copied().collect();
        prop_assert_eq!(&bytes(&keys(lg_k, &backwards)), &expected);
        let part = |i: usize, of: usize| values.iter().skip(i).step_by(of).copied().collect::<Vec<_>>();
        let mut merged = MinHash::new(lg(lg_k));
        for i in 0..parts {
            prop_assert_eq!(merged.merge(&keys(lg_k, &part(i, parts))), Ok(MergeNote::Exact));
            merged.check_invariants();
        }
        prop_assert_eq!(&bytes(&merged), &expected);

        // Folding first or last, ours or theirs.
        let narrow = spelled_out(lg_k - down, &values);
        merged.fold(lg(lg_k - down));
        merged.check_invariants();
        prop_assert_eq!(&bytes(&merged), &narrow);
        for (ours, theirs) in [(lg_k, lg_k - down), (lg_k - down, lg_k)] {
            // Parts of different size meet as set and bins, too.
            let (few, many) = (&values[..values.len() / 8], &values[values.len() / 8..]);
            for (a, b) in [(few, many), (many, few)] {
                let mut mixed = keys(ours, a);
                let note = mixed.merge(&keys(theirs, b)).unwrap();
                let folded = MergeNote::Folded { from: lg_k, to: lg_k - down };
                prop_assert_eq!(note, if down == 0 { MergeNote::Exact } else { folded });
                mixed.check_invariants();
                prop_assert_eq!(&bytes(&mixed), &narrow);
            }
        }
    }

    #[test]
    fn a_batch_is_its_single_updates(values in some(), head in some(), lg_k in 4u8..9) {
        let tokens: Vec<Token> = values.iter().map(|key| token(*key)).collect();
        let (mut batch, mut single) = (keys(lg_k, &head), keys(lg_k, &head));
        batch.update_all(&tokens);
        tokens.iter().for_each(|token| single.update(*token));
        batch.check_invariants();
        prop_assert_eq!(batch, single);
    }

    #[test]
    fn snapshots_are_lossless(values in some(), lg_k in 4u8..13) {
        let sketch = keys(lg_k, &values);
        prop_assert_eq!(whole(&bytes(&sketch)).unwrap(), sketch);
    }

    #[test]
    fn small_sets_are_compared_exactly(a in prop::collection::btree_set(0u32..60, 0..48), b in prop::collection::btree_set(0u32..60, 0..48)) {
        let (both, either) = (a.intersection(&b).count(), a.union(&b).count());
        let truth = if either == 0 { 1.0 } else { both as f64 / either as f64 };
        let (a, b) = (a.into_iter().collect::<Vec<_>>(), b.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(keys(6, &a).jaccard(&keys(9, &b), 0.95), Estimate::exact(truth));
        prop_assert_eq!(keys(6, &a).distinct(0.95), Estimate::exact(a.len() as f64));
    }

    #[test]
    fn similarity_is_symmetric_and_that_of_the_coarser_sketch(a in some(), b in some(), down in 0u8..4) {
        let (fine, coarse, other) = (keys(8, &a), keys(8 - down, &a), keys(8 - down, &b));
        let got = fine.jaccard(&other, 0.95);
        prop_assert_eq!(got, other.jaccard(&fine, 0.95));
        prop_assert!(0.0 <= got.low && got.low <= got.value && got.value <= got.high && got.high <= 1.0);
        // Unless the finer one still knows all of them.
        if fine.is_exact() == coarse.is_exact() {
            prop_assert_eq!(got, coarse.jaccard(&other, 0.95));
        }
    }
}

/// Two sets of a seed: `both` values in common, `each` in one only.
fn pair(lg_k: u8, seed: u64, both: u64, each: u64) -> (MinHash, MinHash) {
    let mut rng = Rng(seed);
    let mut random = |n: u64| (0..n).map(|_| Token::of_i64(rng.next() as i64)).collect::<Vec<_>>();
    let (both, a, b) = (random(both), random(each), random(each));
    (of(lg_k, both.iter().chain(&a).copied()), of(lg_k, both.iter().chain(&b).copied()))
}

/// Sparse: just beyond the exact mode, half of the bins empty. Dense: all bins reached, twenty values each.
const CASES: [(u8, u64, u64); 14] = [
    (4, 0, 200),
    (4, 10, 3),
    (4, 160, 40),
    (4, 320, 0),
    (7, 0, 100),
    (7, 2, 100),
    (7, 50, 50),
    (7, 97, 1),
    (7, 97, 0),
    (7, 25, 1_200),
    (7, 250, 1_100),
    (7, 1_250, 625),
    (7, 2_400, 50),
    (7, 2_500, 0),
];

#[test]
fn similarity_is_unbiased_within_its_bounds_and_they_are_worth_something() {
    let seeds = 500;
    for (lg_k, both, each) in CASES {
        let union = (both + 2 * each) as f64;
        let truth = both as f64 / union;
        let k = f64::from(1u32 << lg_k);
        // Bins that the union reaches, on average.
        let reached = k * (1.0 - (1.0 - 1.0 / k).powf(union));
        let (mut sum, mut squares, mut width) = (0.0, 0.0, 0.0);
        let confidences = [0.8, 0.95, 0.99];
        let mut broken = [0; 3];
        for seed in 0..seeds {
            let (a, b) = pair(lg_k, seed * 1_000 + both, both, each);
            for (broken, confidence) in broken.iter_mut().zip(confidences) {
                let got = a.jaccard(&b, confidence);
                assert_eq!(got.guarantee, Guarantee::Probabilistic);
                *broken += u32::from(truth < got.low || got.high < truth);
            }
            let got = a.jaccard(&b, 0.95);
            sum += got.value - truth;
            squares += (got.value - truth).powi(2);
            width += got.high - got.low;
        }
        let n = seeds as f64;
        for (broken, confidence) in broken.into_iter().zip(confidences) {
            // Four sigma: 3e-5 each for 42 counts, were the intervals no wider than they have to be: 0.1 % in all.
            let most = (1.0 - confidence) * n + 4.0 * ((1.0 - confidence) * confidence * n).sqrt();
            assert!(f64::from(broken) <= most, "{broken} of {n} at {confidence}: {both} and {each}");
        }
        let variance = truth * (1.0 - truth) / reached;
        // Five sigma: 6e-7 each. Without any variance there is no error at all.
        assert!(
            (sum / n).abs() <= 5.0 * (variance / n).sqrt() + 1e-12,
            "bias {}: {both} and {each}",
            sum / n
        );
        // The variance of 500 values is off by a part of sqrt(2/500) = 0.063, more where values are rare.
        assert!(squares / n <= variance * 1.5 + 1e-12, "{} {variance}: {both} and {each}", squares / n);
        // 95 % of a normal law, and a few bins for the ends.
        assert!(
            width / n < 2.0 * 1.96 * variance.sqrt() * 1.35 + 4.5 / reached,
            "{}: {both} and {each}",
            width / n
        );
    }
}

#[test]
fn empty_sets_and_one_sided_ones() {
    let (empty, full) = (MinHash::new(lg(7)), keys(7, &(0..1_000).collect::<Vec<_>>()));
    assert!(empty.is_empty() && !full.is_empty());
    assert_eq!(empty.jaccard(&empty, 0.95), Estimate::exact(1.0));
    assert_eq!(
        (empty.jaccard(&full, 0.95), full.jaccard(&empty, 0.95)),
        (Estimate::exact(0.0), Estimate::exact(0.0))
    );
    assert_eq!(full.jaccard(&full, 0.95).value, 1.0);
    assert!(full.jaccard(&full, 0.95).low < 1.0, "the same bins are no proof of the same set");
    assert_eq!(full.jaccard(&full, f64::NAN).confidence, 0.95);
    assert!(empty.signature().is_empty());
    assert_eq!(empty.bands(Banding::new(4, 4).unwrap()).unwrap().count(), 0);
    assert_eq!(
        (full.sketch_name(), full.memory_bytes()),
        ("minhash/128".into(), size_of::<MinHash>() + 1_024)
    );
    assert_eq!((empty.health().exact, full.health().exact, full.health().fill), (true, false, 1.0));
    // A token without rank is no hash of a value.
    let mut odd = full.clone();
    odd.update(Token(0xFFFF_0000_0300_0000));
    assert_eq!(odd, full);
    assert_eq!(of(7, [Token(7)]), empty);
}

#[test]
fn signatures_agree_as_often_as_the_sets_do_however_few_bins_are_reached() {
    let seeds = 400;
    // Three to ten values among 128 bins, half of the bins, all of them.
    for (both, each) in [(1, 1), (4, 3), (8, 1), (60, 30), (1_000, 1_000)] {
        let union = (both + 2 * each) as f64;
        let truth = both as f64 / union;
        let (mut sum, mut squares) = (0.0, 0.0);
        for seed in 0..seeds {
            let (a, b) = pair(7, seed * 77 + 5, both, each);
            let (a, b) = (a.signature(), b.signature());
            assert_eq!((a.len(), b.len()), (128, 128));
            let agree = a.iter().zip(&b).filter(|(a, b)| a == b).count() as f64 / 128.0;
            sum += agree - truth;
            squares += (agree - truth).powi(2);
        }
        let n = seeds as f64;
        let (bias, variance) = (sum / n, squares / n);
        // Five sigma of the measured scatter: 6e-7.
        assert!(bias.abs() <= 5.0 * (variance / n).sqrt(), "{both} and {each}: {bias}");
        // About that of the bins that are reached; sampled without replacement from few values it can be far less.
        let reached = 128.0 * (1.0 - (1.0 - 1.0 / 128f64).powf(union));
        assert!(variance < 1.6 * truth * (1.0 - truth) / reached, "{both} and {each}: {variance}");
    }
}

#[test]
fn signatures_do_not_depend_on_the_mode_and_hold_what_is_in_the_bins() {
    let few = keys(7, &[1, 2, 3]);
    let signature = few.signature();
    let hashes: BTreeSet<u64> = [1, 2, 3].map(|key| finaliser(token(key).0)).into();
    assert_eq!(signature.iter().copied().collect::<BTreeSet<_>>(), hashes, "every value is lent out");
    // A bin that is reached keeps its own.
    hashes.iter().for_each(|hash| assert_eq!(signature[(hash >> 57) as usize], *hash));
    // Written out from docs/FORMATS.md: in each round each full bin offers one.
    let mut expected = vec![u64::MAX; 128];
    let full: Vec<u64> = hashes.iter().map(|hash| hash >> 57).collect();
    hashes.iter().for_each(|hash| expected[(hash >> 57) as usize] = *hash);
    let mut round = 0u64;
    while expected.contains(&u64::MAX) {
        for (from, hash) in full.iter().zip(&hashes) {
            let to = finaliser((round << 32 | from) ^ 0x9E37_79B9_7F4A_7C15) >> 57;
            if expected[to as usize] == u64::MAX {
                expected[to as usize] = *hash;
            }
        }
        round += 1;
    }
    assert_eq!(signature, expected);
}

#[test]
fn bands_meet_as_often_as_the_formula_says() {
    let banding = Banding::new(16, 8).unwrap();
    let seeds = 500;
    for (both, each) in [(1_000u64, 1_000u64), (1_200, 400), (1_600, 200)] {
        let truth = both as f64 / (both + 2 * each) as f64;
        let met = (0..seeds)
            .filter(|seed| {
                let (a, b) = pair(7, seed * 31 + 9, both, each);
                let a: BTreeSet<u64> = a.bands(banding).unwrap().collect();
                assert_eq!(a.len(), 16, "bands differ by their number");
                b.bands(banding).unwrap().any(|band| a.contains(&band))
            })
            .count() as f64;
        let chance = banding.candidate_probability(truth);
        let n = seeds as f64;
        // Bins are drawn without replacement from 1,800 values and more, so bands are nearly independent: 5 sigma, 6e-7.
        assert!(
            (met / n - chance).abs() < 5.0 * (chance * (1.0 - chance) / n).sqrt() + 0.01,
            "{met}, {chance}"
        );
    }
    assert_eq!(keys(4, &[1]).bands(banding).err(), Some(BandingError::Bins { needed: 128, bins: 16 }));
    assert_eq!(BandingError::Zero.to_string(), "there is at least one band of at least one bin");
}

#[test]
fn distinct_counts_are_within_their_bounds() {
    let seeds = 500;
    for (lg_k, n) in [(4, 13u64), (4, 400), (7, 97), (7, 300), (7, 5_000), (10, 20_000)] {
        let (mut sum, mut broken) = (0.0, [0; 2]);
        let confidences = [0.9, 0.99];
        let seeds = if lg_k == 10 { seeds / 10 } else { seeds };
        for seed in 0..seeds {
            let (sketch, _) = pair(lg_k, seed * 13 + 1, n, 0);
            for (broken, confidence) in broken.iter_mut().zip(confidences) {
                let got = sketch.distinct(confidence);
                assert!(got.low <= got.value && got.value <= got.high);
                *broken += u32::from((n as f64) < got.low || got.high < n as f64);
            }
            sum += sketch.distinct(0.9).value / n as f64 - 1.0;
        }
        let times = seeds as f64;
        for (broken, confidence) in broken.into_iter().zip(confidences) {
            // Four sigma: 3e-5 each for twelve counts.
            let most = (1.0 - confidence) * times + 4.0 * ((1.0 - confidence) * confidence * times).sqrt();
            assert!(f64::from(broken) <= most, "{broken} of {times} at {confidence}: {n} in 2^{lg_k}");
        }
        let k = f64::from(1u32 << lg_k);
        // Five sigma of 1.3/√K; the floor of what is certain lifts the smallest case by some part of one sigma.
        let floor = if n == 13 { 0.2 } else { 0.02 };
        assert!(
            (sum / times).abs() < 5.0 * 1.3 / (k * times).sqrt() + floor,
            "{}: {n} in 2^{lg_k}",
            sum / times
        );
    }
}

#[test]
fn hostile_bytes_are_refused_or_sound() {
    let mut rng = Rng(7);
    let mut survived = 0;
    for good in
        [keys(5, &(0..20).collect::<Vec<_>>()), keys(5, &(0..60).collect::<Vec<_>>())].map(|s| bytes(&s))
    {
        for end in 0..good.len() {
            assert!(whole(&good[..end]).is_err());
        }
        for _ in 0..6_000 {
            let bad = mutate(&good, &mut rng);
            let mut r = Reader::new(&bad);
            if let Ok(mut sketch) = MinHash::restore(&mut r, &LIMITS) {
                sketch.check_invariants();
                assert_eq!(bytes(&sketch), bad[..bad.len() - r.remaining()], "not canonical");
                assert!(sketch.memory_bytes() <= 3 * bad.len() + 256);
                (0..100).for_each(|key| sketch.update(token(key)));
                sketch.check_invariants();
                assert!(sketch.signature().len() == sketch.lg_k().bins());
                survived += 1;
            }
        }
    }
    assert!(survived > 50, "mutations should reach beyond the head: {survived}");
    let finest = bytes(&MinHash::new(LgK::MAX));
    assert!(whole(&finest).is_ok());
    let limits = Limits::bytes(1 << 14);
    assert!(matches!(
        MinHash::restore(&mut Reader::new(&finest), &limits),
        Err(DecodeError::TooLarge { declared: 4_096, limit: 2_048, .. })
    ));
}

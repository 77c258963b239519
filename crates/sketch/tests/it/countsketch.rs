//! The Count Sketch against a model written from docs/FORMATS.md and exact weights: laws, bounds, bytes.

use crate::conservative::{products, spelled};
use crate::streams::*;
use proptest::prelude::*;
use sketch::countsketch::{CountSketch, GROSS_MAX, SizeError};
use sketch::{DecodeError, Estimate, Guarantee, Limits, MergeNote, Reader, Token};
use std::collections::BTreeMap;

const LIMITS: Limits = Limits::bytes(1 << 20);

/// A key and its signed weight.
type Change = (u32, i64);

fn over(lg_width: u8, depth: u8, changes: &[Change]) -> CountSketch {
    let mut sketch = CountSketch::new(lg_width, depth);
    changes.iter().for_each(|&(key, weight)| sketch.update(token(key), weight));
    sketch.check_invariants();
    sketch
}

fn bytes(sketch: &CountSketch) -> Vec<u8> {
    let mut out = Vec::new();
    sketch.snapshot(&mut out);
    out
}

fn whole(bytes: &[u8]) -> Result<CountSketch, DecodeError> {
    let mut r = Reader::new(bytes);
    let sketch = CountSketch::restore(&mut r, &LIMITS)?;
    r.finish()?;
    Ok(sketch)
}

/// What docs/FORMATS.md says of these changes.
fn spelled_out(lg_width: u8, depth: u8, changes: &[Change]) -> Vec<u8> {
    let mut rows = vec![vec![0i64; 1 << lg_width]; usize::from(depth)];
    for &(key, weight) in changes {
        for (row, product) in rows.iter_mut().zip(products(token(key), depth)) {
            let column = (product & i64::MAX as u64) >> (63 - lg_width);
            row[column as usize] += if product >> 63 == 1 { -weight } else { weight };
        }
    }
    let gross = changes.iter().map(|change| change.1.unsigned_abs()).sum();
    let zigzag = |cell: &i64| if *cell < 0 { (-2 * cell - 1) as u64 } else { 2 * *cell as u64 };
    spelled([14, 1, lg_width, depth], gross, &rows.concat().iter().map(zigzag).collect::<Vec<_>>())
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let weight = prop_oneof![8 => -5i64..5, 1 => -1i64 << 20..1 << 20, 1 => -1i64 << 50..1 << 50];
    prop::collection::vec((prop_oneof![2 => 0u32..20, 1 => 0u32..3000], weight), 0..300)
}

fn odd() -> impl Strategy<Value = u8> {
    prop_oneof![Just(1u8), Just(3), Just(5), Just(7)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_merge_split_and_fold_commute_byte_for_byte(
        changes in changes(), parts in 1usize..6, lg in 7u8..10, down in 0u8..4, depth in odd()
    ) {
        let expected = spelled_out(lg, depth, &changes);
        prop_assert_eq!(&bytes(&over(lg, depth, &changes)), &expected);
        let backwards: Vec<Change> = changes.iter().rev().copied().collect();
        prop_assert_eq!(&bytes(&over(lg, depth, &backwards)), &expected);
        let part = |i: usize, of: usize| changes.iter().skip(i).step_by(of).copied().collect::<Vec<_>>();
        let mut merged = CountSketch::new(lg, depth);
        for i in 0..parts {
            prop_assert_eq!(merged.merge(&over(lg, depth, &part(i, parts))), Ok(MergeNote::Exact));
        }
        merged.check_invariants();
        prop_assert_eq!(&bytes(&merged), &expected);

        // Folding first or last, ours or theirs.
        let narrow = spelled_out(lg - down, depth, &changes);
        merged.fold(lg - down);
        merged.check_invariants();
        prop_assert_eq!(&bytes(&merged), &narrow);
        for (ours, theirs) in [(lg, lg - down), (lg - down, lg)] {
            let mut mixed = over(ours, depth, &part(0, 2));
            let note = mixed.merge(&over(theirs, depth, &part(1, 2))).unwrap();
            prop_assert_eq!(note, if down == 0 { MergeNote::Exact } else { MergeNote::Folded { from: lg, to: lg - down } });
            mixed.check_invariants();
            prop_assert_eq!(&bytes(&mixed), &narrow);
        }
    }

    #[test]
    fn subtracting_is_adding_the_negated_weights(a in changes(), b in changes(), depth in odd(), down in 0u8..3) {
        let mut left = over(8, depth, &a);
        left.subtract(&over(8 - down, depth, &b)).unwrap();
        left.check_invariants();
        let negated = b.iter().map(|&(key, weight)| (key, -weight));
        let all: Vec<Change> = a.iter().copied().chain(negated).collect();
        prop_assert_eq!(bytes(&left), spelled_out(8 - down, depth, &all));
    }

    #[test]
    fn a_batch_is_its_single_updates(keys in prop::collection::vec(0u32..50, 0..300), head in -1i64 << 40..1 << 40, depth in odd()) {
        let tokens: Vec<Token> = keys.iter().map(|key| token(*key)).collect();
        let (mut batch, mut single) = (over(6, depth, &[(1, head)]), over(6, depth, &[(1, head)]));
        batch.update_all(&tokens);
        tokens.iter().for_each(|token| single.update(*token, 1));
        batch.check_invariants();
        prop_assert_eq!(batch, single);
    }

    #[test]
    fn snapshots_are_lossless(changes in changes(), lg in 4u8..12, depth in odd()) {
        let sketch = over(lg, depth, &changes);
        prop_assert_eq!(whole(&bytes(&sketch)).unwrap(), sketch);
    }
}

/// A stream of its own keys for each seed: a few heavy keys of both signs, many light ones, one that cancels.
fn stream(seed: u32, heavy: u32, light: u32) -> Vec<Change> {
    weighing(seed, heavy + light, |i| if i < heavy { 5_000 / (u64::from(i) + 1) } else { 3 })
}

/// Keys of a seed, each with a weight up to a limit of either sign, and one that cancels.
fn weighing(seed: u32, keys: u32, most: impl Fn(u32) -> u64) -> Vec<Change> {
    let mut rng = Rng(u64::from(seed));
    let mut changes = Vec::new();
    for i in 0..keys {
        let weight = rng.below(most(i)) as i64 + 1;
        changes.push((seed * 100_000 + i, if rng.below(2) == 0 { weight } else { -weight }));
    }
    changes.extend([(seed * 100_000 + 90_000, 700), (seed * 100_000 + 90_000, -700)]);
    changes
}

fn sums(changes: &[Change]) -> BTreeMap<u32, i64> {
    let mut sums = BTreeMap::new();
    changes.iter().for_each(|&(key, weight)| *sums.entry(key).or_default() += weight);
    sums
}

/// sqrt of the sum of squares.
fn norm(sums: &BTreeMap<u32, i64>) -> f64 {
    sums.values().map(|&weight| (weight as f64).powi(2)).sum::<f64>().sqrt()
}

/// Keys of one seed share a sketch, so each kind of key is counted over the seeds alone: the heaviest, the second, a light
/// one, one whose weights cancel, one that never came.
#[test]
fn bounds_hold_with_the_confidence_asked_for_and_are_worth_something() {
    let seeds = 600;
    // Noise of a few heavy keys that mostly miss, and of many equal ones, which is normal.
    let sizes = [(4, 5), (6, 1), (6, 3), (7, 5), (8, 7)];
    for (skewed, (lg_width, depth)) in
        [true, false].into_iter().flat_map(|skewed| sizes.map(|size| (skewed, size)))
    {
        let mut broken = [[0u32; 5]; 3];
        let mut narrow = 0;
        let confidences = [0.8, 0.95, 0.99];
        for seed in 1..=seeds {
            let changes = if skewed { stream(seed, 20, 400) } else { weighing(seed, 1_000, |_| 1_000) };
            let (sketch, sums) = (over(lg_width, depth, &changes), sums(&changes));
            let keys = [0, 1, 200, 90_000, 95_000].map(|key| seed * 100_000 + key);
            for (broken, confidence) in broken.iter_mut().zip(confidences) {
                for (broken, key) in broken.iter_mut().zip(keys) {
                    let truth = sums.get(&key).copied().unwrap_or(0);
                    let got = sketch.query(token(key), confidence);
                    assert!(got.low <= got.value && got.value <= got.high);
                    assert!(got.guarantee != Guarantee::Proven || (got.low <= truth && truth <= got.high));
                    *broken += u32::from(truth < got.low || got.high < truth);
                }
            }
            // The heaviest key is not charged for its own weight.
            let others = (norm(&sums).powi(2) - (sums[&keys[0]] as f64).powi(2)).sqrt();
            let got = sketch.query(token(keys[0]), 0.95);
            let expected = 2.0 * others / f64::from(1u32 << lg_width).sqrt();
            narrow += u32::from(((got.high - got.low) as f64) < 4.0 * expected);
        }
        for (broken, confidence) in broken.iter().zip(confidences) {
            for &broken in broken {
                // Four sigma, 3e-5 each for 150 counts, were the bounds no wider than they have to be: 0.5 % in all.
                let (n, chance) = (f64::from(seeds), 1.0 - confidence);
                assert!(
                    f64::from(broken) <= chance * n + 4.0 * (chance * confidence * n).sqrt(),
                    "{broken} of {n} at {confidence}, 2^{lg_width} x {depth}"
                );
            }
        }
        // Few narrow rows know little of the other keys' weight.
        let wide = lg_width < 7;
        assert!(wide || narrow > seeds * 9 / 10, "{narrow} of {seeds} at 2^{lg_width} x {depth}");
    }
}

#[test]
fn a_row_is_unbiased_and_its_variance_is_that_of_the_formula() {
    let seeds = 2_000;
    let (mut sum, mut squares) = (0.0, 0.0);
    for seed in 1..=seeds {
        let changes = stream(seed, 10, 100);
        let sketch = over(5, 1, &changes);
        let sums = sums(&changes);
        let key = seed * 100_000 + 5;
        let others = norm(&sums).powi(2) - (sums[&key] as f64).powi(2);
        let error = (sketch.query(token(key), 0.9).value - sums[&key]) as f64 / (others / 32.0).sqrt();
        sum += error;
        squares += error * error;
    }
    let n = f64::from(seeds);
    // The mean has deviation 1/sqrt(n): five sigma, 6e-7. The mean square is 1; heavy keys that collide or not make its
    // deviation at most sqrt(32/n) = 0.13 (a fourth moment below width): four of them, and the lower side is as strict.
    assert!((sum / n).abs() < 5.0 / n.sqrt(), "bias {}", sum / n);
    assert!((squares / n - 1.0).abs() < 4.0 * (32.0 / n).sqrt(), "variance {}", squares / n);
}

#[test]
fn the_norm_is_within_its_bounds() {
    let seeds = 500;
    let (mut broken, mut ratio) = (0, 0.0);
    for seed in 1..=seeds {
        let changes = stream(seed, 20, 400);
        let (got, truth) = (over(8, 5, &changes).norm(0.9), norm(&sums(&changes)));
        assert!(got.low <= got.value && got.value <= got.high);
        broken += u32::from(truth < got.low || got.high < truth);
        ratio += got.value / truth / f64::from(seeds);
    }
    // At most one in ten: four sigma, 3e-5.
    assert!(f64::from(broken) <= 50.0 + 4.0 * 45f64.sqrt(), "{broken} of {seeds}");
    // A row's relative deviation is below sqrt(2/256)/2 = 0.044; the mean of 500 medians is off by less than 0.01.
    assert!((ratio - 1.0).abs() < 0.01, "{ratio}");
    assert_eq!(CountSketch::new(4, 1).norm(0.9), Estimate::exact(0.0));
}

#[test]
fn a_sketch_made_for_an_error_has_it() {
    let (epsilon, delta) = (0.1, 0.05);
    let empty = CountSketch::for_error(epsilon, delta).unwrap();
    assert_eq!((empty.lg_width(), empty.depth()), (11, 1));
    let rarer = CountSketch::for_error(epsilon, 0.01).unwrap();
    assert_eq!((rarer.lg_width(), rarer.depth()), (9, 7));
    let (mut broken, seeds) = (0, 600);
    for seed in 1..=seeds {
        let changes = stream(seed, 20, 800);
        let sums = sums(&changes);
        let key = seed * 100_000 + 300;
        let got = over(empty.lg_width(), empty.depth(), &changes).query(token(key), 0.5);
        broken += u32::from((got.value - sums[&key]).abs() as f64 > epsilon * norm(&sums));
    }
    // Four sigma, 3e-5, were the size no larger than it has to be.
    assert!(f64::from(broken) <= 30.0 + 4.0 * 28.5f64.sqrt(), "{broken} of {seeds}");
    for (epsilon, delta) in [(0.0, 0.1), (1.0, 0.1), (0.1, 0.0), (0.1, 1.0), (1e-5, 0.01), (f64::NAN, 0.5)] {
        assert!(CountSketch::for_error(epsilon, delta).is_err());
    }
    let refused = CountSketch::for_error(2.0, 0.5).unwrap_err();
    assert_eq!(refused, SizeError { epsilon: 2.0, delta: 0.5 });
    assert_eq!(refused.to_string(), "no width up to 2^28 has the error 2 but for a chance of 0.5");
}

#[test]
fn what_is_certain_is_said_to_be() {
    assert_eq!(CountSketch::new(4, 5).query(token(1), 0.95), Estimate::exact(0));
    let alone = over(10, 5, &[(1, -7)]);
    let got = alone.query(token(1), 0.95);
    assert_eq!((got.value, got.low, got.high), (-7, -7, -7), "no other weight was counted");
    assert_eq!(alone.query(token(2), f64::NAN).confidence, 0.95);
    // One narrow row says nothing at this confidence, but nothing weighs more than all.
    let got = over(4, 1, &[(1, 5), (2, 5), (3, -5)]).query(token(1), 0.999);
    assert_eq!((got.low, got.high, got.guarantee), (-15, 15, Guarantee::Proven));
}

#[test]
fn the_gross_weight_stops_before_any_counter_overflows() {
    for weight in [i64::MIN, i64::MAX] {
        let mut sketch = over(4, 3, &[(1, 5), (1, weight), (2, weight)]);
        assert_eq!(sketch.gross(), GROSS_MAX);
        assert!(sketch.health().saturated);
        let got = sketch.query(token(1), 0.9);
        let counted = (GROSS_MAX - 5) as i64 * weight.signum() + 5;
        assert_eq!((got.value, got.low <= counted && counted <= got.high), (counted, true));
        sketch.update_all(&[token(3)]);
        assert_eq!(sketch.gross(), GROSS_MAX);
        sketch.check_invariants();
        assert_eq!(whole(&bytes(&sketch)).unwrap(), sketch);
        let before = sketch.clone();
        let refused = sketch.merge(&over(4, 3, &[(9, 1)])).unwrap_err();
        assert_eq!((refused.what, refused.ours, refused.theirs), ("gross weight", GROSS_MAX, 1));
        assert!(sketch.subtract(&before).is_err());
        assert_eq!(sketch, before);
    }
    let mut one = over(6, 3, &[(1, 5)]);
    let refused = one.merge(&over(6, 5, &[(1, 5)])).unwrap_err();
    assert_eq!((refused.what, refused.ours, refused.theirs), ("count-sketch depth", 3, 5));
    assert_eq!(one, over(6, 3, &[(1, 5)]));
    assert!(!CountSketch::is_valid(6, 2) && !CountSketch::is_valid(6, 9) && !CountSketch::is_valid(3, 3));
}

#[test]
fn hostile_bytes_are_refused_or_sound() {
    let mut rng = Rng(7);
    let good = bytes(&over(5, 3, &stream(1, 5, 30)));
    for end in 0..good.len() {
        assert!(whole(&good[..end]).is_err());
    }
    let mut survived = 0;
    for _ in 0..6_000 {
        let bad = mutate(&good, &mut rng);
        let mut r = Reader::new(&bad);
        if let Ok(mut sketch) = CountSketch::restore(&mut r, &LIMITS) {
            sketch.check_invariants();
            assert_eq!(bytes(&sketch), bad[..bad.len() - r.remaining()], "not canonical");
            assert!(sketch.memory_bytes() <= (1 << 20) + 512);
            sketch.update(token(5), i64::MIN);
            sketch.fold(4);
            sketch.check_invariants();
            let got = sketch.query(token(5), 0.9);
            assert!(got.low <= got.value && got.value <= got.high);
            survived += 1;
        }
    }
    assert!(survived > 50, "mutations should reach beyond the head: {survived}");
    let mut bomb = bytes(&CountSketch::new(4, 7));
    bomb[2] = 28;
    assert!(matches!(whole(&bomb), Err(DecodeError::TooLarge { .. })));
}

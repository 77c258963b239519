//! Quantiles against the sorted values, and the laws of a state that order cannot be seen in.

use crate::streams::random;
use proptest::prelude::*;
use sketch::hash::murmur3_x64_128;
use sketch::quantile::{BINS_MAX, BitsOutOfRange, Quantiles, VALUES_MAX};
use sketch::{DecodeError, Guarantee, Limits, MergeNote, Sketch};

fn sketch_of(bits: u8, values: &[f64]) -> Quantiles {
    let mut q = Quantiles::new(bits).unwrap();
    values.iter().for_each(|&v| q.update(v));
    q.check_invariants();
    q
}

fn bytes(q: &Quantiles) -> Vec<u8> {
    let mut out = Vec::new();
    q.snapshot(&mut out);
    out
}

/// In [0, 1).
fn unit(state: &mut u64) -> f64 {
    (random(state) >> 11) as f64 / (1u64 << 53) as f64
}

fn normal(state: &mut u64) -> f64 {
    (0..12).map(|_| unit(state)).sum::<f64>() - 6.0
}

/// 2^e·(1 + unit): sizes spread like those of a log-normal, without a logarithm that each platform rounds its own way.
fn spread(e: i32, state: &mut u64) -> f64 {
    f64::from_bits(((1023 + e) as u64) << 52) * (1.0 + unit(state))
}

/// Streams worth a name; `n` values each.
fn distributions(n: usize) -> Vec<(&'static str, Vec<f64>)> {
    let mut s = 11u64;
    let mut make =
        |f: &mut dyn FnMut(usize, &mut u64) -> f64| (0..n).map(|i| f(i, &mut s)).collect::<Vec<f64>>();
    vec![
        ("log-normal", make(&mut |_, s| spread((4.0 + 1.5 * normal(s)) as i32, s))),
        ("negative delays", make(&mut |_, s| 20.0 - spread((3.0 * normal(s)) as i32, s))),
        ("mixed signs", make(&mut |_, s| normal(s) * 1e3)),
        ("zeros", make(&mut |i, s| if i % 3 == 0 { 0.0 } else { normal(s).round() })),
        ("many zeros of both signs", make(&mut |i, s| if i % 9 < 8 { -0.0 } else { -unit(s) })),
        ("huge range", make(&mut |_, s| spread((random(s) % 1994) as i32 - 997, s))),
        (
            "huge range, both signs",
            make(&mut |_, s| spread((random(s) % 1994) as i32 - 997, s) * (unit(s) - 0.5).signum()),
        ),
        (
            "any doubles",
            make(&mut |_, s| {
                let v = f64::from_bits(random(s));
                if v.is_finite() { v } else { 1.0 }
            }),
        ),
        ("small integers", make(&mut |_, s| (unit(s) * 120.0).floor())),
        ("integers", make(&mut |_, s| (unit(s) * unit(s) * 1e9).floor() - 1e5)),
        ("integers to 2^53", make(&mut |_, s| ((random(s) >> 11) as f64) * (unit(s) - 0.5).signum())),
        ("integers beyond 2^53", make(&mut |_, s| random(s) as f64)),
        ("one among integers is none", make(&mut |i, s| if i == 5 { 0.5 } else { (unit(s) * 1e6).floor() })),
        ("constant", make(&mut |_, _| 42.5)),
        ("two values", make(&mut |i, _| if i % 2 == 0 { 1.0 } else { 1.0000001 })),
        ("subnormals", make(&mut |_, s| f64::from_bits(random(s) >> (12 + random(s) % 50)))),
        (
            "subnormals and normals",
            make(&mut |_, s| f64::from_bits(random(s) >> (10 + random(s) % 5)) * (unit(s) - 0.5).signum()),
        ),
        ("at the largest", make(&mut |i, s| if i % 7 == 0 { f64::MAX } else { f64::MAX * unit(s) })),
        ("powers of two", make(&mut |i, _| 2f64.powi(i as i32 % 60 - 30))),
    ]
}

const QS: [f64; 17] =
    [0.0, 1e-9, 0.001, 0.01, 0.05, 0.1, 0.25, 0.3, 0.5, 0.7, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999999, 1.0];

// ---- against the sorted values

/// `ceil(q·n)` for a decimal of at most nine digits, in integers.
fn rank_of(q: f64, n: usize) -> usize {
    let billionths = (q * 1e9).round() as u128;
    ((billionths * n as u128).div_ceil(1_000_000_000) as usize).clamp(1, n)
}

fn check_quantiles(name: &str, q: &Quantiles, values: &[f64]) {
    let mut sorted: Vec<f64> = values.iter().map(|v| v + 0.0).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let inverse = f64::from(2u32 << q.bits()) + 1.0;
    let every =
        (1..=sorted.len()).step_by(97).map(|r| ((r as f64 / sorted.len() as f64) * 1e6).round() / 1e6);
    for at in QS.into_iter().chain(every) {
        let truth = sorted[rank_of(at, sorted.len()) - 1];
        let e = q.quantile(at).unwrap();
        assert!(e.low <= truth && truth <= e.high, "{name} q={at}: {truth:e} outside {e:?}");
        assert!(e.low <= e.value && e.value <= e.high, "{name} q={at}: {e:?}");
        // Exact in doubles: the difference of two numbers of one bin is, and rounding the product keeps its order.
        assert!((e.value - truth).abs() * inverse <= truth.abs(), "{name} q={at}: {truth:e} against {e:?}");
        assert_eq!(e.confidence, 1.0);
        assert_eq!(e.guarantee == Guarantee::Exact, e.low == e.high, "{name} q={at}: {e:?}");
    }
    assert_eq!((q.min(), q.max()), (sorted.first().copied(), sorted.last().copied()), "{name}");
    assert_eq!(q.count(), sorted.len() as u64, "{name}");
}

#[test]
fn bits_are_sized_by_the_error() {
    // Half a bin is 1/129 of the value with 6 bits, and 1/65 with 5.
    assert_eq!(Quantiles::for_relative_error(0.01).unwrap().bits(), 6);
    assert!(Quantiles::for_relative_error(0.0).is_err() && Quantiles::for_relative_error(f64::NAN).is_err());
}

#[test]
fn every_quantile_lies_within_its_bounds_and_the_value_within_the_relative_error() {
    for n in [1, 2, 255, 256, 257, 20_000] {
        for (name, values) in distributions(n) {
            for bits in [1, 2, 6, 7, 10] {
                let q = sketch_of(bits, &values);
                check_quantiles(&format!("{name}, {n} values, {bits} bits"), &q, &values);
                assert_eq!(q.is_exact(), n <= VALUES_MAX);
            }
        }
    }
}

#[test]
fn ranks_lie_within_their_bounds() {
    for n in [100, 3000] {
        for (name, values) in distributions(n) {
            let q = sketch_of(6, &values);
            let around =
                values.iter().step_by(17).flat_map(|&v| [v, v.next_up(), v.next_down(), v * 1.01, -v]);
            for x in around.chain([0.0, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 5e-324, -5e-324]) {
                let truth = values.iter().filter(|v| **v <= x).count() as u64;
                let e = q.rank(x).unwrap();
                assert!(e.low <= truth && truth <= e.high, "{name}: rank of {x:e} is {truth}, not in {e:?}");
                assert!(e.low <= e.value && e.value <= e.high, "{name}: {e:?}");
                assert!(n > VALUES_MAX || e.is_exact(), "{name}: {e:?}");
            }
            assert_eq!(q.rank(f64::NAN), None);
        }
    }
}

#[test]
fn small_integers_are_exact_however_many() {
    let values: Vec<f64> = (0..10_000).map(|i| f64::from(i % 128)).collect();
    let q = sketch_of(6, &values);
    for at in QS {
        let e = q.quantile(at).unwrap();
        assert!(e.is_exact() && e.value == e.low && e.value.fract() == 0.0, "{at}: {e:?}");
    }
    for x in 0..128 {
        assert!(q.rank(f64::from(x)).unwrap().is_exact());
    }
    assert!(
        !sketch_of(6, &[&values[..], &[0.5]].concat()).quantile(0.9).unwrap().is_exact(),
        "no longer integers"
    );
}

#[test]
fn the_bins_fold_when_the_range_is_wide_and_say_so() {
    let q = sketch_of(10, &distributions(5000)[5].1);
    // 600 decades are just under 2,000 powers of two, and 8,192 bins hold four of each.
    assert_eq!((q.bits(), q.relative_error(), q.sketch_name()), (2, 1.0 / 9.0, "log-linear/2".to_owned()));
    assert!(q.memory_bytes() < BINS_MAX * 4 + 1000);
    let q = sketch_of(6, &distributions(5000)[0].1);
    assert_eq!((q.bits(), q.sketch_name()), (6, "log-linear/6".to_owned()));
    assert!(q.relative_error() < 0.0078);
    let q = sketch_of(6, &[1.0]);
    assert_eq!((q.relative_error(), q.sketch_name()), (0.0, "values".to_owned()));
}

#[test]
fn nothing_is_none_and_what_is_not_finite_is_counted_apart() {
    let mut q = Quantiles::new(6).unwrap();
    assert_eq!((q.quantile(0.5), q.min(), q.max(), q.count()), (None, None, None, 0));
    assert!(q.rank(1.0).unwrap().is_exact());
    q.update_all(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
    assert_eq!((q.quantile(0.5), q.nonfinite(), q.count()), (None, 3, 0));
    q.update_all(&[1.0; 2000]);
    q.update_all(&[1.0, f64::NAN]);
    assert_eq!((q.quantile(0.5).unwrap().value, q.nonfinite(), q.count()), (1.0, 4, 2001));
    for at in [-0.1, 1.01, f64::NAN] {
        assert_eq!(q.quantile(at), None);
    }
    for bits in [0, 11, 255] {
        assert_eq!(Quantiles::new(bits).unwrap_err(), BitsOutOfRange(bits));
    }
}

// ---- laws

fn shuffle(values: &mut [f64], state: &mut u64) {
    for i in (1..values.len()).rev() {
        values.swap(i, random(state) as usize % (i + 1));
    }
}

/// Merges sketches over the parts of a random split, in a random tree.
fn merge_tree(bits: u8, values: &[f64], state: &mut u64) -> Quantiles {
    let parts = 1 + random(state) as usize % 7;
    let mut cuts: Vec<usize> = (0..parts).map(|_| random(state) as usize % (values.len() + 1)).collect();
    cuts.extend([0, values.len()]);
    cuts.sort_unstable();
    let mut forest: Vec<Quantiles> = cuts.windows(2).map(|w| sketch_of(bits, &values[w[0]..w[1]])).collect();
    while forest.len() > 1 {
        let one = forest.swap_remove(random(state) as usize % forest.len());
        let into = random(state) as usize % forest.len();
        forest[into].merge(&one).unwrap();
        forest[into].check_invariants();
    }
    forest.swap_remove(0)
}

fn check_laws(name: &str, bits: u8, values: &[f64], state: &mut u64) {
    let whole = sketch_of(bits, values);
    let expected = bytes(&whole);
    let mut shuffled = values.to_vec();
    shuffle(&mut shuffled, state);
    let mut in_blocks = Quantiles::new(bits).unwrap();
    let block = 1 + random(state) as usize % 3000;
    shuffled.chunks(block).for_each(|b| in_blocks.update_all(b));
    let others = [
        ("shuffled", sketch_of(bits, &shuffled)),
        ("in blocks", in_blocks),
        ("merged", merge_tree(bits, values, state)),
        ("shuffled and merged", merge_tree(bits, &shuffled, state)),
        ("restored", Quantiles::from_bytes(&expected, &Limits::default()).unwrap()),
    ];
    for (how, other) in others {
        assert!(bytes(&other) == expected, "{name} at {bits} bits, {how}: other bytes");
        assert_eq!(other.memory_bytes(), whole.memory_bytes(), "{name} at {bits} bits, {how}");
        assert_eq!(other.quantile(0.9), whole.quantile(0.9), "{name} at {bits} bits, {how}");
        other.check_invariants();
    }
}

#[test]
fn order_and_splits_leave_the_same_bytes_through_every_fold() {
    let mut state = 5;
    for n in [0, 1, 255, 256, 257, 258, 300, 3000] {
        for (name, values) in distributions(n) {
            for bits in [1, 3, 6, 10] {
                check_laws(&format!("{name}, {n} values"), bits, &values, &mut state);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn order_and_splits_leave_the_same_bytes(
        words in prop::collection::vec((any::<u64>(), 0u32..64), 240..280),
        bits in 1u8..=10,
        seed in any::<u64>(),
    ) {
        let values: Vec<f64> = words.iter().map(|&(w, shift)| f64::from_bits((w & (1 << 63)) | w << 1 >> 1 >> shift)).collect();
        let mut state = seed;
        check_laws("any doubles", bits, &values, &mut state);
    }
}

#[test]
fn merging_nothing_changes_nothing() {
    for (name, values) in distributions(1000) {
        let mut q = sketch_of(6, &values);
        let before = bytes(&q);
        assert_eq!(q.merge(&Quantiles::new(6).unwrap()), Ok(MergeNote::Exact));
        assert_eq!(bytes(&q), before, "{name}");
        let mut empty = Quantiles::new(6).unwrap();
        empty.merge(&q).unwrap();
        assert_eq!(bytes(&empty), before, "{name}");
    }
}

#[test]
fn the_finer_folds_to_the_coarser() {
    for (left, right) in [(100, 100), (100, 1000), (1000, 100), (1000, 1000)] {
        let values = &distributions(2000)[0].1;
        let (ours, theirs) = (&values[..left], &values[1000..1000 + right]);
        let whole = bytes(&sketch_of(6, &[ours, theirs].concat()));
        for from in [7, 9] {
            let (fine, coarse) = (sketch_of(from, ours), sketch_of(6, theirs));
            let (mut a, mut b) = (fine.clone(), coarse.clone());
            assert_eq!(a.merge(&coarse), Ok(MergeNote::Folded { from, to: 6 }));
            assert_eq!(b.merge(&fine), Ok(MergeNote::Folded { from, to: 6 }));
            assert!(bytes(&a) == whole && bytes(&b) == whole, "{left} and {right} values, {from} bits");
        }
    }
    let (low, high) = (vec![1e-200; 300], vec![1e200; 300]);
    let mut q = sketch_of(6, &low);
    assert_eq!(
        q.merge(&sketch_of(6, &high)),
        Ok(MergeNote::Folded { from: 6, to: 2 }),
        "too far apart for 6 bits"
    );
    assert_eq!(bytes(&q), bytes(&sketch_of(6, &[high, low].concat())));
}

#[test]
fn counts_beyond_32_bits_stay_exact() {
    let mut q = sketch_of(6, &distributions(300)[0].1);
    let (value, mut doublings) = (q.quantile(0.5).unwrap(), 0);
    while q.merge(&q.clone()).is_ok() {
        doublings += 1;
        q.check_invariants();
        assert_eq!(q.quantile(0.5), Some(value), "after {doublings} doublings");
        assert_eq!(bytes(&Quantiles::from_bytes(&bytes(&q), &Limits::default()).unwrap()), bytes(&q));
    }
    assert_eq!((doublings, q.count()), (55, 300 << 55));
}

// ---- bytes

fn states() -> Vec<Quantiles> {
    let sizes = [0, 1, 256, 257, 2000];
    let of = |n| {
        distributions(n).into_iter().flat_map(|(_, values)| [2, 6, 9].map(|bits| sketch_of(bits, &values)))
    };
    sizes.into_iter().flat_map(of).collect()
}

#[test]
fn the_bytes_are_those_of_the_first_release() {
    let all: Vec<u8> = states().iter().flat_map(bytes).collect();
    assert_eq!((all.len(), murmur3_x64_128(&all, 0).0), (213_013, 10_814_980_031_108_191_902));
    let two = [
        &[5, 1, 6, 2][..],
        &0u64.to_le_bytes(),
        &2u32.to_le_bytes(),
        &(-3f64).to_le_bytes(),
        &7f64.to_le_bytes(),
    ];
    assert_eq!(bytes(&sketch_of(6, &[7.0, -3.0])), two.concat());
    let mut q = sketch_of(1, &[1.5; 300]);
    q.update(0.0);
    let binned = [
        &[5, 1, 1, 1][..],
        &0u64.to_le_bytes(),
        &0f64.to_le_bytes(),
        &1.5f64.to_le_bytes(),
        &1u64.to_le_bytes(),
        // No negative bins; then exponent 1075 alone, one counted bin, its second half, 300 times.
        &[1, 0, 0, 0, 0, 0, 0, 0],
        &[0x33, 0x04, 1, 0, 1, 0, 0, 0, 1, 0xAC, 0x02],
    ];
    assert_eq!(bytes(&q), binned.concat());
}

#[test]
fn any_bytes_are_survived_and_accepted_ones_are_canonical() {
    let seeds: Vec<Vec<u8>> = states().iter().map(bytes).collect();
    let (mut state, mut accepted) = (7u64, 0);
    for i in 0..20_000 {
        let mut b = seeds[i % seeds.len()].clone();
        for _ in 0..1 + random(&mut state) % 3 {
            // Half of the hits go to the head, where the sizes are.
            let span = if random(&mut state).is_multiple_of(2) { 64 } else { b.len().max(1) };
            let at = random(&mut state) as usize % span;
            match random(&mut state) % 8 {
                0 => b.truncate(at),
                1 => b.push(random(&mut state) as u8),
                2 => b.get_mut(at).into_iter().for_each(|x| *x = 0xFF),
                3 => b.get_mut(at).into_iter().for_each(|x| *x = x.wrapping_add(1)),
                _ => b.get_mut(at).into_iter().for_each(|x| *x ^= 1 << (i % 8)),
            }
        }
        let Ok(q) = Quantiles::from_bytes(&b, &Limits::default()) else { continue };
        accepted += 1;
        q.check_invariants();
        assert!(bytes(&q) == b, "mutation {i} is accepted and not canonical");
        for at in QS {
            let e = q.quantile(at);
            assert!(e.is_none_or(|e| e.low <= e.value && e.value <= e.high), "mutation {i} q={at}: {e:?}");
            let _ = e.and_then(|e| q.rank(e.value));
        }
        let mut twice = q.clone();
        if twice.merge(&q).is_ok() {
            twice.check_invariants();
        }
    }
    assert!(accepted > 1000, "the mutations are too wild to tell anything: {accepted}");
    assert_eq!(Quantiles::from_bytes(&[], &Limits::default()).unwrap_err(), DecodeError::Truncated);
}

#[test]
fn declared_sizes_are_refused_before_they_cost_memory() {
    let mut b = bytes(&sketch_of(6, &[1.0, 2.0]));
    b[12..16].copy_from_slice(&257u32.to_le_bytes());
    assert!(matches!(
        Quantiles::from_bytes(&b, &Limits::default()),
        Err(DecodeError::TooLarge { declared: 257, .. })
    ));
    let mut b = bytes(&sketch_of(6, &[1.0; 300]));
    // Exponents of the positive bins.
    b[46..48].copy_from_slice(&1000u16.to_le_bytes());
    assert!(matches!(
        Quantiles::from_bytes(&b, &Limits::default()),
        Err(DecodeError::TooLarge { declared: 64_000, .. })
    ));
}

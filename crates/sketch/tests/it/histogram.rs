//! Histograms against counting one by one, and the laws of a state that order cannot be seen in.

use crate::streams::random;
use proptest::prelude::*;
use sketch::hash::murmur3_x64_128;
use sketch::histogram::{BOUNDS_MAX, BoundsError, Histogram};
use sketch::{DecodeError, Limits, MergeNote, Sketch};

fn fixed(bounds: &[f64], values: &[f64]) -> Histogram {
    filled(Histogram::new_fixed(bounds.to_vec()).unwrap(), values)
}

fn log2(values: &[f64]) -> Histogram {
    filled(Histogram::new_log2(), values)
}

fn filled(mut h: Histogram, values: &[f64]) -> Histogram {
    h.update_all(values);
    h.check_invariants();
    h
}

fn bytes(h: &Histogram) -> Vec<u8> {
    let mut out = Vec::new();
    h.snapshot(&mut out);
    out
}

/// Doubles of all sizes, bounds among them.
fn double() -> impl Strategy<Value = f64> {
    let wild = (any::<u64>(), 0u32..64)
        .prop_map(|(w, shift)| f64::from_bits((w & (1 << 63)) | w << 1 >> 1 >> shift));
    let power = (-1074i32..1024, any::<bool>()).prop_map(|(k, negative)| {
        let v = 2f64.powi(k / 2) * 2f64.powi(k - k / 2);
        if negative { -v } else { v }
    });
    let small = (-50i32..50).prop_map(|v| f64::from(v) / 4.0);
    prop_oneof![wild, power, small, Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(-0.0)]
}

/// Every line of a cumulative histogram holds what counting one by one gives.
fn check_cumulative(h: &Histogram, values: &[f64]) {
    let lines = h.cumulative();
    let finite = values.iter().filter(|v| v.is_finite());
    for &(le, n) in &lines {
        assert_eq!(n, finite.clone().filter(|v| **v <= le).count() as u64, "le {le:e}");
    }
    assert!(lines.windows(2).all(|w| w[0].0 < w[1].0), "{lines:?}");
    assert_eq!(lines.last(), Some(&(f64::INFINITY, h.count())));
    assert_eq!(h.count() + h.nonfinite(), values.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn buckets_hold_what_counting_one_by_one_gives(
        values in prop::collection::vec(double(), 0..60),
        bounds in prop::collection::vec(double(), 1..20),
        cut in 0usize..60,
        seed in any::<u64>(),
    ) {
        let mut bounds: Vec<f64> = bounds.iter().map(|b| b + 0.0).filter(|b| b.is_finite()).chain([1.0]).collect();
        bounds.sort_unstable_by(f64::total_cmp);
        bounds.dedup();
        let mut shuffled = values.clone();
        let mut state = seed;
        for i in (1..shuffled.len()).rev() {
            shuffled.swap(i, random(&mut state) as usize % (i + 1));
        }
        let (left, right) = shuffled.split_at(cut.min(values.len()));
        for empty in [Histogram::new_fixed(bounds).unwrap(), Histogram::new_log2()] {
            let whole = filled(empty.clone(), &values);
            check_cumulative(&whole, &values);
            let mut merged = filled(empty.clone(), right);
            prop_assert_eq!(merged.merge(&filled(empty, left)), Ok(MergeNote::Exact));
            merged.check_invariants();
            prop_assert_eq!(bytes(&merged), bytes(&whole));
            prop_assert_eq!(merged.memory_bytes(), whole.memory_bytes());
            let restored = Histogram::from_bytes(&bytes(&whole), &Limits::default()).unwrap();
            prop_assert_eq!(bytes(&restored), bytes(&whole));
            prop_assert_eq!(restored.cumulative(), whole.cumulative());
        }
    }
}

#[test]
fn a_value_on_a_bound_belongs_below_it() {
    let h = fixed(&[-1.0, 0.0, 10.0], &[-1.0, -0.5, -0.0, 10.0, 10.5, f64::NAN, f64::INFINITY]);
    assert_eq!(h.cumulative(), [(-1.0, 1), (0.0, 3), (10.0, 4), (f64::INFINITY, 5)]);
    assert_eq!((h.count(), h.nonfinite()), (5, 2));
    assert_eq!(h.bounds(), Some(&[-1.0, 0.0, 10.0][..]));
}

#[test]
fn powers_of_two_list_what_was_hit() {
    assert_eq!(log2(&[]).cumulative(), [(f64::INFINITY, 0)]);
    let h = log2(&[1.0, 1.5, 2.0, 3.0, 9.0]);
    assert_eq!(h.cumulative(), [(1.0, 1), (2.0, 3), (4.0, 4), (8.0, 4), (16.0, 5), (f64::INFINITY, 5)]);
    let h = log2(&[-3.0, -4.0, 0.25]);
    assert_eq!(h.cumulative(), [(-4.0, 1), (-2.0, 2), (0.0, 2), (0.25, 3), (f64::INFINITY, 3)]);
    assert_eq!(log2(&[0.0]).cumulative(), [(0.0, 1), (f64::INFINITY, 1)]);
    let h = log2(&[f64::MAX, -f64::MAX]);
    assert_eq!(h.cumulative(), [(-(2f64.powi(1023)), 1), (0.0, 1), (f64::INFINITY, 2)]);
    assert_eq!(log2(&[5e-324]).cumulative(), [(5e-324, 1), (f64::INFINITY, 1)]);
}

#[test]
fn bounds_are_judged_at_the_door() {
    let cases: [(Vec<f64>, BoundsError); 6] = [
        (vec![], BoundsError::Number(0)),
        (vec![0.0; BOUNDS_MAX + 1], BoundsError::Number(1001)),
        (vec![1.0, f64::NAN], BoundsError::NotFinite(1)),
        (vec![f64::NEG_INFINITY], BoundsError::NotFinite(0)),
        (vec![1.0, 2.0, 2.0], BoundsError::NotAscending(2)),
        (vec![-0.0, 0.0], BoundsError::NotAscending(1)),
    ];
    for (bounds, error) in cases {
        assert_eq!(Histogram::new_fixed(bounds).unwrap_err(), error);
    }
    assert!(Histogram::new_fixed((0..1000).map(f64::from).collect()).is_ok());
}

#[test]
fn different_bounds_do_not_merge() {
    let mut h = fixed(&[1.0, 2.0], &[0.5]);
    let before = bytes(&h);
    for other in [fixed(&[1.0], &[]), fixed(&[1.0, 3.0], &[]), log2(&[])] {
        assert!(h.merge(&other).is_err());
        assert!(other.clone().merge(&h).is_err());
    }
    assert_eq!(bytes(&h), before);
}

#[test]
fn rows_beyond_64_bits_are_refused_and_everything_before_is_exact() {
    for mut h in [fixed(&[1.0], &[0.5, 3.0, 3.0]), log2(&[0.0, -3.0, 3.0])] {
        let mut doublings = 0u32;
        while h.merge(&h.clone()).is_ok() {
            doublings += 1;
            h.check_invariants();
            assert_eq!(bytes(&Histogram::from_bytes(&bytes(&h), &Limits::default()).unwrap()), bytes(&h));
        }
        assert_eq!((doublings, h.count()), (62, 3 << 62));
    }
}

// ---- bytes

fn states() -> Vec<Histogram> {
    let mut seed = 21;
    let mut out = Vec::new();
    for n in [0, 1, 10, 1000] {
        let wild: Vec<f64> = (0..n).map(|_| f64::from_bits(random(&mut seed))).collect();
        let near: Vec<f64> = (0..n).map(|_| (random(&mut seed) >> 50) as f64 / 16.0 - 100.0).collect();
        for values in [wild, near] {
            out.extend([fixed(&[-10.0, 0.0, 0.5, 1e3], &values), fixed(&[1e300], &values), log2(&values)]);
        }
    }
    out
}

#[test]
fn the_bytes_are_those_of_the_first_release() {
    let all: Vec<u8> = states().iter().flat_map(bytes).collect();
    assert_eq!((all.len(), murmur3_x64_128(&all, 0).0), (3117, 3_187_053_908_248_281_485));
    let two = [
        &[6, 1, 0][..],
        &1u64.to_le_bytes(),
        &1u32.to_le_bytes(),
        &2.5f64.to_le_bytes(),
        &1u64.to_le_bytes(),
        &2u64.to_le_bytes(),
    ];
    assert_eq!(bytes(&fixed(&[2.5], &[2.5, 3.0, 4.0, f64::NAN])), two.concat());
    let powers = [
        &[6, 1, 1][..],
        &0u64.to_le_bytes(),
        &1u64.to_le_bytes(),
        // -3 lies at or below -2: key 1076. 5 and 8 lie at or below 8: key 1078.
        &[0x34, 0x04, 1, 0, 1, 0, 0, 0, 0, 1],
        &[0x36, 0x04, 1, 0, 1, 0, 0, 0, 0, 2],
    ];
    assert_eq!(bytes(&log2(&[-3.0, 0.0, 5.0, 8.0])), powers.concat());
}

#[test]
fn any_bytes_are_survived_and_accepted_ones_are_canonical() {
    let seeds: Vec<Vec<u8>> = states().iter().map(bytes).collect();
    let (mut state, mut accepted) = (3u64, 0);
    for i in 0..20_000 {
        let mut b = seeds[i % seeds.len()].clone();
        for _ in 0..1 + random(&mut state) % 3 {
            let at = random(&mut state) as usize % b.len().max(1);
            match random(&mut state) % 6 {
                0 => b.truncate(at),
                1 => b.push(random(&mut state) as u8),
                2 => b.get_mut(at).into_iter().for_each(|x| *x = 0xFF),
                3 => b.get_mut(at).into_iter().for_each(|x| *x = x.wrapping_add(1)),
                _ => b.get_mut(at).into_iter().for_each(|x| *x ^= 1 << (i % 8)),
            }
        }
        let Ok(h) = Histogram::from_bytes(&b, &Limits::default()) else { continue };
        accepted += 1;
        h.check_invariants();
        assert!(bytes(&h) == b, "mutation {i} is accepted and not canonical");
        assert_eq!(h.cumulative().last(), Some(&(f64::INFINITY, h.count())), "mutation {i}");
        let mut twice = h.clone();
        if twice.merge(&h).is_ok() {
            twice.check_invariants();
        }
    }
    assert!(accepted > 1000, "the mutations are too wild to tell anything: {accepted}");
    assert_eq!(Histogram::from_bytes(&[], &Limits::default()).unwrap_err(), DecodeError::Truncated);
}

//! Moments against exact arithmetic done elsewhere, and the laws of a state that order cannot be seen in.

use crate::streams::random;
use proptest::prelude::*;
use sketch::exact::{Moments, Number, Parts, Sum};
use sketch::hash::murmur3_x64_128;
use sketch::{DecodeError, Limits, MergeNote, Sketch};

fn floats(values: &[f64]) -> Moments {
    let mut m = Moments::new(Number::Float, Parts::ALL);
    m.update_all_f64(values);
    m.check_invariants();
    m
}

fn ints(values: &[i64]) -> Moments {
    let mut m = Moments::new(Number::Int, Parts::ALL);
    m.update_all_i64(values);
    m.check_invariants();
    m
}

fn bytes(m: &Moments) -> Vec<u8> {
    let mut out = Vec::new();
    m.snapshot(&mut out);
    out
}

// ---- against the fractions of Python (tests/it/golden/moments.py)

#[test]
fn sums_means_and_deviations_are_those_of_rational_arithmetic() {
    let double = |hex: &str| f64::from_bits(u64::from_str_radix(hex, 16).unwrap());
    let mut lines = 0;
    for line in include_str!("golden/moments.tsv").lines() {
        let cells: Vec<&str> = line.split('\t').collect();
        let values: Vec<f64> = cells[1].split(',').map(double).collect();
        let m = floats(&values);
        assert_eq!(m.sum(), Some(Sum::Float(double(cells[2]))), "sum of {}", cells[0]);
        let mean = m.mean().unwrap();
        assert_eq!(mean, double(cells[3]), "mean of {}: {mean:e}", cells[0]);
        let deviation = (cells[4] != "-").then(|| double(cells[4]));
        assert_eq!(m.stddev(), deviation, "deviation of {}", cells[0]);
        lines += 1;
    }
    assert_eq!(lines, 83);
}

// ---- against a fixed-point number of bits, one by one

/// 2,240 bits of two's complement, the lowest worth 2^-1074: as slow and plain as can be.
fn sum_by_bits(values: &[f64]) -> f64 {
    let mut sum = vec![false; 2240];
    for &v in values {
        let (field, fraction) = ((v.to_bits() >> 52) as usize & 0x7FF, v.to_bits() & ((1 << 52) - 1));
        let (at, m) = if field == 0 { (0, fraction) } else { (field - 1, fraction | 1 << 52) };
        let negative = v < 0.0;
        let mut carry = negative;
        for (i, bit) in sum.iter_mut().enumerate() {
            let term = (i >= at && i < at + 53 && m >> (i - at) & 1 == 1) != negative;
            let ones = u8::from(*bit) + u8::from(term) + u8::from(carry);
            *bit = ones & 1 == 1;
            carry = ones > 1;
        }
    }
    let negative = sum[2239];
    if negative {
        let mut carry = true;
        for bit in &mut sum {
            let flipped = !*bit;
            *bit = flipped != carry;
            carry &= flipped;
        }
    }
    let Some(top) = sum.iter().rposition(|&bit| bit) else { return 0.0 };
    let last = top.saturating_sub(52);
    let mut m = (last..=top).rev().fold(0u64, |m, i| m << 1 | u64::from(sum[i]));
    if last > 0 && sum[last - 1] && (m & 1 == 1 || sum[..last - 1].contains(&true)) {
        m += 1;
    }
    // Powers of two in two steps: the first alone could overflow where the product does not.
    let value = m as f64 * 2f64.powi(last as i32 / 2 - 537) * 2f64.powi(last as i32 - last as i32 / 2 - 537);
    if negative { -value } else { value }
}

/// Doubles of all sizes, more often near one another than not.
fn double() -> impl Strategy<Value = f64> {
    let wild = any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |v| v.is_finite());
    let near = (any::<i32>(), -40i32..40).prop_map(|(m, e)| f64::from(m) * 2f64.powi(e));
    let tiny = (any::<u64>(), any::<bool>()).prop_map(|(m, negative)| {
        let v = f64::from_bits(m >> 11);
        if negative { -v } else { v }
    });
    prop_oneof![wild, near, tiny, Just(0.0), Just(-0.0), Just(f64::MAX), Just(-f64::MAX), Just(5e-324)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn the_sum_is_that_of_the_bits(values in prop::collection::vec(double(), 1..12)) {
        prop_assert_eq!(floats(&values).sum(), Some(Sum::Float(sum_by_bits(&values))));
    }

    #[test]
    fn order_and_splits_leave_the_same_bytes(
        values in prop::collection::vec(double(), 0..40),
        cuts in prop::collection::vec(0usize..40, 0..4),
        seed in any::<u64>(),
    ) {
        let whole = floats(&values);
        let mut shuffled = values.clone();
        let mut state = seed;
        for i in (1..shuffled.len()).rev() {
            shuffled.swap(i, random(&mut state) as usize % (i + 1));
        }
        let mut merged = Moments::new(Number::Float, Parts::ALL);
        let mut cuts: Vec<usize> = cuts.iter().map(|c| c % (values.len() + 1)).chain([0, values.len()]).collect();
        cuts.sort_unstable();
        for pair in cuts.windows(2) {
            let part = floats(&shuffled[pair[0]..pair[1]]);
            prop_assert_eq!(merged.merge(&part), Ok(MergeNote::Exact));
        }
        let mut one_by_one = Moments::new(Number::Float, Parts::ALL);
        shuffled.iter().for_each(|&v| one_by_one.update_f64(v));
        for other in [&merged, &one_by_one] {
            prop_assert_eq!(bytes(other), bytes(&whole));
            prop_assert_eq!(other.memory_bytes(), whole.memory_bytes());
            prop_assert_eq!(other.stddev(), whole.stddev());
        }
        let restored = Moments::from_bytes(&bytes(&whole), &Limits::default()).unwrap();
        prop_assert_eq!(bytes(&restored), bytes(&whole));
        prop_assert_eq!(restored.memory_bytes(), whole.memory_bytes());
        // A restored state goes on as if nothing had happened.
        let (mut a, mut b) = (restored, whole);
        shuffled.iter().for_each(|&v| { a.update_f64(-v); b.update_f64(-v); });
        prop_assert_eq!(bytes(&a), bytes(&b));
        if !values.is_empty() {
            prop_assert_eq!(a.sum(), Some(Sum::Float(0.0)));
        }
    }

    #[test]
    fn integers_agree_with_128_bits(values in prop::collection::vec(any::<i64>(), 2..20)) {
        let m = ints(&values);
        let sum: i128 = values.iter().map(|&v| i128::from(v)).sum();
        prop_assert_eq!(m.sum(), Some(Sum::Int(sum)));
        prop_assert_eq!(m.min(), values.iter().min().map(|&v| Sum::Int(v.into())));
        prop_assert_eq!(m.max(), values.iter().max().map(|&v| Sum::Int(v.into())));
        let (left, right) = values.split_at(values.len() / 2);
        let mut merged = ints(right);
        merged.merge(&ints(left)).unwrap();
        prop_assert_eq!(bytes(&merged), bytes(&m));
        prop_assert_eq!(bytes(&Moments::from_bytes(&bytes(&m), &Limits::default()).unwrap()), bytes(&m));
    }

    #[test]
    fn integers_and_doubles_of_the_same_values_agree(values in prop::collection::vec(-(1i64 << 53)..1 << 53, 2..20)) {
        let (a, b) = (ints(&values), floats(&values.iter().map(|&v| v as f64).collect::<Vec<_>>()));
        prop_assert_eq!(a.sum().map(Sum::as_f64), b.sum().map(Sum::as_f64));
        prop_assert_eq!(a.mean(), b.mean());
        prop_assert_eq!(a.stddev(), b.stddev());
    }
}

// ---- cases worth a name

#[test]
fn integers_at_the_ends_of_their_type_neither_overflow_nor_round() {
    let m = ints(&[i64::MIN; 5]);
    assert_eq!(m.sum(), Some(Sum::Int(5 * i128::from(i64::MIN))));
    assert_eq!(m.stddev(), Some(0.0));
    let m = ints(&[i64::MIN, i64::MAX]);
    assert_eq!(m.sum(), Some(Sum::Int(-1)));
    assert_eq!(m.mean(), Some(-0.5));
    // (2^64 - 1) / sqrt(2) in 400 bits, rounded once; dividing doubles is off by one ulp.
    assert_eq!(m.stddev(), Some(1.3043817825332783e+19));
}

#[test]
fn no_rows_are_null_and_one_row_has_no_deviation() {
    for empty in [Moments::new(Number::Int, Parts::ALL), Moments::new(Number::Float, Parts::ALL)] {
        assert_eq!(
            (empty.sum(), empty.mean(), empty.stddev(), empty.min(), empty.max()),
            (None, None, None, None, None)
        );
        assert_eq!(empty.count(), 0);
    }
    let one = floats(&[-0.0]);
    assert_eq!((one.sum(), one.mean(), one.stddev()), (Some(Sum::Float(0.0)), Some(0.0), None));
    assert_eq!(bytes(&one), bytes(&floats(&[0.0])), "negative zero counts as zero");
}

#[test]
fn what_is_not_finite_is_counted_apart() {
    let odd = [1.0, f64::NAN, f64::INFINITY, 2.5, f64::NEG_INFINITY, -f64::NAN];
    let m = floats(&odd);
    assert_eq!((m.count(), m.nonfinite()), (2, 4));
    assert_eq!(
        (m.sum(), m.min(), m.max()),
        (Some(Sum::Float(3.5)), Some(Sum::Float(1.0)), Some(Sum::Float(2.5)))
    );
    assert_eq!(floats(&[f64::NAN]).sum(), None);
}

#[test]
fn parts_that_are_not_kept_are_not_answered_and_cost_nothing() {
    let values: Vec<f64> = (0..1000).map(|i| f64::from(i) * 1e10).collect();
    let state = |parts| {
        let mut m = Moments::new(Number::Float, parts);
        m.update_all_f64(&values);
        m
    };
    let extremes = state(Parts::EXTREMES);
    assert_eq!((extremes.sum(), extremes.mean(), extremes.stddev()), (None, None, None));
    assert_eq!((extremes.min(), extremes.max()), (Some(Sum::Float(0.0)), Some(Sum::Float(9.99e12))));
    assert_eq!(extremes.memory_bytes(), Moments::new(Number::Float, Parts::ALL).memory_bytes());
    let sums = state(Parts::SUMS);
    assert_eq!((sums.min(), sums.stddev(), sums.mean()), (None, None, Some(4.995e12)));
    assert!(sums.memory_bytes() < state(Parts::SQUARES).memory_bytes());
    assert_eq!(state(Parts { sums: false, squares: true, extremes: false }).mean(), Some(4.995e12));
    assert_eq!(state(Parts::COUNT).count(), 1000);
}

#[test]
fn different_kinds_and_parts_do_not_merge() {
    let mut m = floats(&[1.0]);
    let before = bytes(&m);
    assert!(m.merge(&ints(&[1])).is_err());
    assert!(m.merge(&Moments::new(Number::Float, Parts::SUMS)).is_err());
    assert_eq!(bytes(&m), before);
}

#[test]
fn rows_beyond_64_bits_are_refused_and_everything_before_is_exact() {
    for mut m in [floats(&[1e300, -2.5e-300, 3.0]), ints(&[i64::MIN, i64::MIN, i64::MIN])] {
        let mut doublings = 0u32;
        loop {
            let copy = m.clone();
            m.check_invariants();
            assert_eq!(
                bytes(&Moments::from_bytes(&bytes(&m), &Limits::default()).unwrap()),
                bytes(&m),
                "after {doublings} doublings"
            );
            if m.merge(&copy).is_err() {
                break;
            }
            doublings += 1;
        }
        assert_eq!((doublings, m.count()), (62, 3 << 62));
        let sum = match m.number() {
            Number::Int => Sum::Int(i128::from(i64::MIN) * (3 << 62)),
            Number::Float => Sum::Float(1e300 * 2f64.powi(62)),
        };
        assert_eq!(m.sum(), Some(sum));
    }
}

// ---- bytes

/// States of many kinds, the same in every run.
fn states() -> Vec<Moments> {
    let mut seed = 4;
    let mut out = Vec::new();
    for parts in [Parts::COUNT, Parts::SUMS, Parts::SQUARES, Parts::EXTREMES, Parts::ALL] {
        for n in [0, 1, 2, 10, 1000] {
            let (mut a, mut b) = (Moments::new(Number::Int, parts), Moments::new(Number::Float, parts));
            let (mut c, mut d) = (b.clone(), b.clone());
            for i in 0..n {
                let word = random(&mut seed);
                a.update_i64(word as i64 >> (word % 64));
                b.update_f64((word >> 40) as f64 / 128.0);
                c.update_f64(f64::from_bits(word));
                d.update_f64(if i % 2 == 0 { 1e-3 } else { -1e-3 });
            }
            out.extend([a, b, c, d]);
        }
    }
    out
}

#[test]
fn the_bytes_are_those_of_the_first_release() {
    let all: Vec<u8> = states().iter().flat_map(bytes).collect();
    assert_eq!((all.len(), murmur3_x64_128(&all, 0).0), (7451, 10_240_765_694_786_126_605));
    assert_eq!(
        bytes(&floats(&[1.5, -0.25])),
        [
            &[7, 1, 0b1111][..],
            &2u64.to_le_bytes(),
            &0u64.to_le_bytes(),
            &(-0.25f64).to_le_bytes(),
            &1.5f64.to_le_bytes(),
            // 1.25 = 5 · 2^-2 = 5 · 2^1072 units, and 1072 = 33 · 32 + 16; values begin in chunk 31.
            &[31, 1, 1, 33, 1],
            &(5u32 << 16).to_le_bytes(),
            // 2.3125 = 37 · 2^-4 = 37 · 2^2144 units, and 2144 = 67 · 32.
            &[63, 3, 1, 67, 1],
            &37u32.to_le_bytes(),
        ]
        .concat()
    );
}

#[test]
fn any_bytes_are_survived_and_accepted_ones_are_canonical() {
    let seeds: Vec<Vec<u8>> = states().iter().map(bytes).collect();
    let (mut state, mut accepted) = (99u64, 0);
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
        let Ok(m) = Moments::from_bytes(&b, &Limits::default()) else { continue };
        accepted += 1;
        m.check_invariants();
        assert_eq!(bytes(&m), b, "mutation {i}");
        let _ = (m.sum(), m.mean(), m.stddev(), m.min(), m.max(), m.memory_bytes());
        let mut twice = m.clone();
        if twice.merge(&m).is_ok() {
            twice.check_invariants();
        }
    }
    assert!(accepted > 1000, "the mutations are too wild to tell anything: {accepted}");
    assert_eq!(Moments::from_bytes(&[], &Limits::default()).unwrap_err(), DecodeError::Truncated);
}

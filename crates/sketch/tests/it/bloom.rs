//! Membership against exact sets, a naive model of the bit layout, binomial bands, and its own bytes.

use std::collections::BTreeSet;

use crate::streams::{Rng, mutate};
use proptest::prelude::*;
use sketch::bloom::{EXACT_MAX, Filter, LAYERS_MAX, Seen, Size, Verdict, blocks_for, expected_rate};
use sketch::{DecodeError, Guarantee, Incompatible, Limits, MergeNote, Reader, Token};

fn size(keys: u64, rate: f64) -> Size {
    Size::new(keys, rate).unwrap()
}

fn ints(range: std::ops::Range<i64>) -> impl Iterator<Item = Token> {
    range.map(Token::of_i64)
}

fn filter(blocks: u64, tokens: impl IntoIterator<Item = Token>) -> Filter {
    let mut filter = Filter::new(blocks);
    tokens.into_iter().for_each(|token| _ = filter.insert(token));
    filter
}

fn filter_bytes(filter: &Filter) -> Vec<u8> {
    filter.check_invariants();
    let mut out = Vec::new();
    filter.snapshot(&mut out);
    out
}

fn bytes(seen: &Seen) -> Vec<u8> {
    seen.check_invariants();
    let mut out = Vec::new();
    seen.snapshot(&mut out);
    out
}

fn restored(bytes: &[u8]) -> Result<Seen, DecodeError> {
    let mut r = Reader::new(bytes);
    let seen = Seen::restore(&mut r, &Limits::default())?;
    r.finish()?;
    Ok(seen)
}

/// `trials` misjudged with chance `rate` each lie within `z` deviations, and one for rounding.
fn assert_binomial(hits: u64, trials: u64, rate: f64, z: f64) {
    let mean = trials as f64 * rate;
    let slack = z * (mean * (1.0 - rate)).sqrt() + 1.0;
    assert!((hits as f64 - mean).abs() <= slack, "{hits} of {trials}, expected {mean:.0} within {slack:.0}");
}

// ---- The filter ----

/// The layout as Parquet's specification words it, bit by bit and with other arithmetic.
fn naive_bits(blocks: u64, tokens: &[Token]) -> Vec<u8> {
    const SALT: [u32; 8] = [
        1_203_114_875,
        1_150_766_481,
        2_284_105_051,
        2_729_912_477,
        1_884_591_559,
        770_785_867,
        2_667_333_959,
        1_550_580_529,
    ];
    let mut bits = vec![0u8; blocks as usize * 32];
    for token in tokens {
        let hash = token.mixed();
        let block = (u128::from(hash / (1 << 32)) * u128::from(blocks) / (1 << 32)) as usize;
        for (word, salt) in SALT.iter().enumerate() {
            let product = (hash % (1 << 32)) * u64::from(*salt) % (1 << 32);
            let bit = (product / (1 << 27)) as usize;
            bits[block * 32 + word * 4 + bit / 8] |= 1 << (bit % 8);
        }
    }
    bits
}

fn tokens() -> impl Strategy<Value = Vec<Token>> {
    prop::collection::vec((0i64..3_000).prop_map(Token::of_i64), 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bits_are_those_of_the_naive_model(blocks in 1u64..40, tokens in tokens()) {
        let filter = filter(blocks, tokens.iter().copied());
        let bits = naive_bits(blocks, &tokens);
        let snapshot = filter_bytes(&filter);
        prop_assert_eq!(&snapshot[6..], &bits[..]);
        prop_assert!(tokens.iter().all(|&token| filter.contains(token)), "no false negatives");
        // The rate by its definition: each block equally likely, each word independent.
        let words: Vec<f64> = bits
            .chunks(4)
            .map(|w| f64::from(u32::from_le_bytes(w.try_into().unwrap()).count_ones()) / 32.0)
            .collect();
        let rate = words.chunks(8).map(|block| block.iter().product::<f64>()).sum::<f64>() / blocks as f64;
        prop_assert!((filter.rate() - rate).abs() <= 1e-12 * rate);
        prop_assert!((filter.fill() - words.iter().sum::<f64>() / words.len() as f64).abs() < 1e-12);
    }

    #[test]
    fn a_batch_is_its_keys_one_by_one(blocks in 1u64..40, a in tokens(), b in tokens()) {
        let (mut batch, mut single) = (filter(blocks, a.iter().copied()), filter(blocks, a.iter().copied()));
        let mut known = vec![true];
        batch.contains_all(&b, &mut known);
        prop_assert_eq!(known, b.iter().map(|&token| single.contains(token)).collect::<Vec<_>>());
        let new = b.iter().filter(|&&token| single.insert(token)).count() as u64;
        prop_assert_eq!(batch.insert_all(&b), new);
        prop_assert_eq!(filter_bytes(&batch), filter_bytes(&single));
    }

    #[test]
    fn a_merged_filter_is_one_filter_over_all_keys(blocks in 1u64..40, a in tokens(), b in tokens()) {
        let mut merged = filter(blocks, a.iter().copied());
        prop_assert_eq!(merged.merge(&filter(blocks, b.iter().copied())), Ok(MergeNote::Exact));
        let all = filter(blocks, b.iter().rev().chain(&a).copied());
        prop_assert_eq!(filter_bytes(&merged), filter_bytes(&all));
        prop_assert_eq!(&merged, &all);
        let other = filter(blocks + 1, []);
        let refused = Incompatible { what: "blocks of a filter", ours: blocks, theirs: blocks + 1 };
        prop_assert_eq!(merged.merge(&other), Err(refused));
        prop_assert_eq!(merged, all);
    }

    #[test]
    fn a_filter_survives_any_bytes(blocks in 1u64..12, tokens in tokens(), seed: u64) {
        let bytes = filter_bytes(&filter(blocks, tokens));
        let hostile = mutate(&bytes, &mut Rng(seed));
        let mut r = Reader::new(&hostile);
        if let Ok(restored) = Filter::restore(&mut r, &Limits::default()) {
            prop_assert_eq!(&filter_bytes(&restored)[..], &hostile[..hostile.len() - r.remaining()]);
        }
        prop_assert_eq!(&filter_bytes(&Filter::restore(&mut Reader::new(&bytes), &Limits::default()).unwrap()), &bytes);
    }
}

/// A million keys at 1 %: none forgotten, and both the planned and the measured rate are right.
///
/// The measured rate is exact for random keys: binomial band of 5 deviations, false alarm 6e-7. The planned one adds the
/// spread of the bits themselves, some 0.1 % of the rate: another 5 deviations' worth is more than enough.
#[test]
fn a_million_keys_and_a_million_others() {
    let n = 1_000_000;
    let blocks = blocks_for(n, 0.01);
    let filter = filter(blocks, ints(0..n as i64));
    assert!(ints(0..n as i64).all(|token| filter.contains(token)));
    let hits = ints(n as i64..2 * n as i64).filter(|&token| filter.contains(token)).count() as u64;
    assert_binomial(hits, n, filter.rate(), 5.0);
    assert_binomial(hits, n, 0.01, 10.0);
    assert!((filter.rate() / expected_rate(n, blocks) - 1.0).abs() < 0.005, "{}", filter.rate());
    // The classic formula for as many bits would have promised this much less.
    let classic = (1.0 - (-8.0 * n as f64 / (blocks as f64 * 256.0)).exp()).powi(8);
    assert!(classic < 0.85 * filter.rate(), "{classic}");
}

// ---- Seen: exact, layers, degraded ----

#[test]
fn certain_while_exact_and_maybe_after_that() {
    let mut seen = Seen::new(size(100_000, 0.01), 1 << 24);
    assert_eq!(seen.exact_max(), EXACT_MAX);
    for token in ints(0..EXACT_MAX as i64) {
        assert_eq!(seen.contains(token), Verdict::New);
        assert_eq!(seen.check_and_insert(token), Verdict::New);
        assert_eq!(seen.check_and_insert(token), Verdict::Exact);
        assert_eq!(seen.contains(token), Verdict::Exact);
    }
    assert!(seen.is_exact() && !seen.degraded());
    assert_eq!(
        (seen.rate(), seen.fill(), seen.layers(), seen.sketch_name()),
        (0.0, 0.0, 0, "hash-set".into())
    );
    assert_eq!(seen.first_times(0.95).value, EXACT_MAX as f64);
    assert!(seen.first_times(0.95).is_exact());

    seen.insert(Token::of_i64(EXACT_MAX as i64));
    assert!(!seen.is_exact());
    assert_eq!((seen.layers(), seen.sketch_name()), (1, "bloom/1".into()));
    assert!(ints(0..EXACT_MAX as i64 + 1).all(|token| seen.contains(token) == Verdict::Maybe));
    let e = seen.first_times(0.95);
    assert_eq!((e.low, e.guarantee, e.confidence), (EXACT_MAX as f64 + 1.0, Guarantee::Probabilistic, 0.95));
}

#[test]
fn a_small_filter_keeps_fewer_keys_exactly_and_costs_what_it_says() {
    for (keys, rate, exact) in [(1, 0.5, 12), (100, 0.01, 12), (1_000, 0.01, 96), (10_000, 0.01, 768)] {
        let mut seen = Seen::new(size(keys, rate), 0);
        assert_eq!(seen.exact_max(), exact, "{keys} @ {rate}");
        ints(0..exact as i64).for_each(|token| seen.insert(token));
        assert!(seen.memory_bytes() <= size_of::<Seen>() + (seen.size().filter_bytes() as usize).max(128));
        seen.insert(Token::of_i64(-1));
        assert_eq!(seen.memory_bytes() - size_of::<Seen>(), seen.size().filter_bytes() as usize);
        seen.check_invariants();
    }
}

#[test]
fn ten_times_the_size_stays_below_the_asked_rate() {
    for (keys, rate) in [(20_000u64, 0.1), (20_000, 0.01), (20_000, 0.001), (2_000, 0.01)] {
        let mut seen = Seen::new(size(keys, rate), 1 << 30);
        let mut most: f64 = 0.0;
        for token in ints(0..10 * keys as i64) {
            seen.insert(token);
            most = most.max(seen.rate());
        }
        assert!(most <= rate, "{keys} @ {rate}: {most}");
        assert_eq!((seen.layers(), seen.degraded()), (4, false));
        assert!(ints(0..10 * keys as i64).all(|token| seen.contains(token) == Verdict::Maybe));
        // Band of 5 deviations: false alarm 6e-7 for each size.
        let others = 200_000;
        let hits = ints(-others..0).filter(|&token| seen.contains(token) == Verdict::Maybe).count();
        assert_binomial(hits as u64, others as u64, seen.rate(), 5.0);
        bytes(&seen);
    }
}

#[test]
fn without_bytes_for_another_layer_it_goes_on_and_says_so() {
    let size = size(10_000, 0.01);
    // Enough for the second layer, not for the third; and not even for the first.
    for (bytes_max, layers, full) in [(6 * size.filter_bytes(), 2, 30_000), (0, 1, 10_000)] {
        let mut seen = Seen::new(size, bytes_max);
        let mut taken = 0;
        for token in ints(0..100_000) {
            let before = seen.degraded();
            seen.insert(token);
            assert!(seen.layers() <= layers);
            assert!(seen.degraded() || seen.rate() <= 0.01, "not degraded and within the asked rate");
            assert!(before <= seen.degraded());
            taken += u64::from(!seen.degraded());
        }
        // By its keys, or a little earlier by its bits.
        assert!(taken <= full + full / 100 && taken >= full * 9 / 10, "{taken} of {full}");
        assert!(seen.degraded() && seen.layers() == layers && seen.rate() > 0.01);
        let held = seen.memory_bytes() as u64 - size_of::<Seen>() as u64;
        assert!(held <= bytes_max.max(size.filter_bytes()) + 1_024);
        assert!(ints(0..100_000).all(|token| seen.contains(token) == Verdict::Maybe));
        let back = restored(&bytes(&seen)).unwrap();
        assert!(back.degraded());
        assert_eq!(bytes(&back), bytes(&seen));
    }
}

#[test]
fn a_chain_has_an_end() {
    let mut seen = Seen::new(size(64, 0.5), u64::MAX);
    ints(0..40_000).for_each(|token| seen.insert(token));
    assert!(seen.layers() == LAYERS_MAX && seen.degraded());
    assert_eq!(bytes(&restored(&bytes(&seen)).unwrap()), bytes(&seen));
}

/// Small sizes and few distinct keys, so that every mode occurs: exact, layers, degraded.
fn shape() -> impl Strategy<Value = (Size, u64)> {
    let rate = prop_oneof![Just(0.5), Just(0.1), Just(0.01), Just(1e-6)];
    (1u64..300, rate, prop_oneof![Just(0u64), 500..5_000u64, Just(1 << 20)])
        .prop_map(|(keys, rate, bytes_max)| (size(keys, rate), bytes_max))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_of_verdicts_is_one_by_one((size, bytes_max) in shape(), a in tokens(), b in tokens()) {
        let (mut batch, mut single) = (Seen::new(size, bytes_max), Seen::new(size, bytes_max));
        let (mut verdicts, mut asked) = (vec![Verdict::Maybe], vec![Verdict::Maybe]);
        for part in [&a, &b] {
            batch.contains_all(part, &mut asked);
            prop_assert_eq!(&asked, &part.iter().map(|&t| single.contains(t)).collect::<Vec<_>>());
            batch.check_and_insert_all(part, &mut verdicts);
            prop_assert_eq!(&verdicts, &part.iter().map(|&t| single.check_and_insert(t)).collect::<Vec<_>>());
            prop_assert_eq!(bytes(&batch), bytes(&single));
        }
    }

    #[test]
    fn verdicts_are_true((size, bytes_max) in shape(), tokens in tokens()) {
        let mut seen = Seen::new(size, bytes_max);
        let mut truth = BTreeSet::new();
        let mut new = 0u64;
        for &token in &tokens {
            let asked = seen.contains(token);
            let verdict = seen.check_and_insert(token);
            prop_assert_eq!(asked, verdict, "asking changes nothing and knows as much");
            match verdict {
                Verdict::New => prop_assert!(!truth.contains(&token), "no false negatives"),
                Verdict::Exact => prop_assert!(truth.contains(&token)),
                Verdict::Maybe => prop_assert!(seen.layers() > 0),
            }
            new += u64::from(verdict == Verdict::New);
            truth.insert(token);
            prop_assert_ne!(seen.contains(token), Verdict::New);
        }
        let e = seen.first_times(0.95);
        prop_assert_eq!(e.low, new as f64);
        prop_assert!(e.low <= truth.len() as f64 && e.low <= e.value && e.value <= e.high, "{:?}", e);
        prop_assert_eq!(e.is_exact(), seen.is_exact());
        match (seen.layers(), bytes(&seen).len()) {
            (0, len) => prop_assert_eq!(len, 31 + 8 * truth.len()),
            (1, len) => prop_assert_eq!(len, 44 + 14 + size.filter_bytes() as usize),
            _ => {}
        }
    }

    #[test]
    fn a_restored_one_goes_on_as_if_nothing_had_happened((size, bytes_max) in shape(), tokens in tokens()) {
        let (before, after) = tokens.split_at(tokens.len() / 2);
        let mut seen = Seen::new(size, bytes_max);
        before.iter().for_each(|&token| seen.insert(token));
        let mut written = bytes(&seen);
        written.push(77);
        let mut r = Reader::new(&written);
        let mut back = Seen::restore(&mut r, &Limits::default()).unwrap();
        prop_assert_eq!(r.remaining(), 1, "the reader stands behind the snapshot");
        prop_assert_eq!(back.memory_bytes(), seen.memory_bytes());
        for &token in after {
            prop_assert_eq!(back.check_and_insert(token), seen.check_and_insert(token));
        }
        prop_assert_eq!(bytes(&back), bytes(&seen));
        prop_assert_eq!(back.first_times(0.99), seen.first_times(0.99));
        prop_assert_eq!(back.rate().to_bits(), seen.rate().to_bits());
    }

    #[test]
    fn it_survives_any_bytes((size, bytes_max) in shape(), tokens in tokens(), seed: u64) {
        let mut seen = Seen::new(size, bytes_max);
        tokens.iter().for_each(|&token| seen.insert(token));
        let hostile = mutate(&bytes(&seen), &mut Rng(seed));
        let mut r = Reader::new(&hostile);
        if let Ok(mut back) = Seen::restore(&mut r, &Limits::default()) {
            prop_assert_eq!(&bytes(&back)[..], &hostile[..hostile.len() - r.remaining()]);
            ints(-300..0).for_each(|token| back.insert(token));
            let e = back.first_times(0.95);
            prop_assert!(e.low <= e.value && e.value <= e.high && e.high.is_finite(), "{:?}", e);
            prop_assert!((0.0..=1.0).contains(&back.rate()));
            bytes(&back);
        }
    }
}

/// The correction matters: without it the count is too low by many deviations.
#[test]
fn a_plain_count_of_new_keys_is_too_low() {
    let mut seen = Seen::new(size(1_000, 0.1), 0);
    ints(0..4_000).for_each(|token| seen.insert(token));
    let e = seen.first_times(0.999);
    assert!(e.low < 3_200.0 && e.value > 3_500.0 && e.high > 4_000.0, "{e:?}");
    ints(0..400_000).for_each(|token| seen.insert(token));
    assert_eq!(seen.rate(), 1.0, "all bits set");
    assert_eq!(seen.first_times(0.95).high, 2f64.powi(64), "nothing is known from above any more");
    bytes(&seen);
}

#[test]
fn each_lie_is_named() {
    let mut seen = Seen::new(size(64, 0.1), 0);
    ints(0..40).for_each(|token| seen.insert(token));
    let good = bytes(&seen);
    let with = |at: usize, value: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        restored(&bytes).map(|_| ())
    };
    assert_eq!(with(0, &[9, 1]), Ok(()));
    for (at, value, lie) in [
        (0, &[8][..], "not a seen of version 1"),
        (1, &[2], "not a seen of version 1"),
        (2, &[0; 8], "size of a filter"),
        (10, &[0xFF; 8], "size of a filter"),
        (2, &[200], "layers of another size"),
        (26, &[9], "number of layers"),
        (27, &[2], "flag of a degraded filter"),
        (27, &[1], "degraded without need"),
        (28, &[0xFF; 8], "misjudged keys beyond reason"),
        (36, &(-1.0f64).to_le_bytes(), "misjudged keys beyond reason"),
        (44, &[12], "bits that so many keys do not set"),
        (44, &[200], "more keys than a layer takes"),
        (52, &[9], "not a filter of version 1"),
        (54, &[0, 0], "a filter without blocks"),
        (58, &[0; 4], "a block that is partly empty"),
    ] {
        assert_eq!(with(at, value), Err(DecodeError::Invalid(lie)), "{at}: {value:?}");
    }
    let mut chained = Seen::new(size(64, 0.1), 1 << 20);
    ints(0..100).for_each(|token| chained.insert(token));
    let mut bytes = bytes(&chained);
    bytes[18..26].fill(0);
    assert_eq!(restored(&bytes).map(|_| ()), Err(DecodeError::Invalid("more layers than bytes allow")));
    bytes[18..26].fill(0xFF);
    bytes[44] -= 1;
    assert_eq!(restored(&bytes).map(|_| ()), Err(DecodeError::Invalid("a layer after one that is not full")));
    let count = [&[8, 1][..], &(1u32 << 23).to_le_bytes()].concat();
    let limit = (1 << 23) - 1;
    let too_large = DecodeError::TooLarge { what: "blocks of a filter", declared: 1 << 23, limit };
    assert_eq!(Filter::restore(&mut Reader::new(&count), &Limits::default()).map(|_| ()), Err(too_large));
    let count = [&[8, 1][..], &1_000u32.to_le_bytes()].concat();
    assert_eq!(
        Filter::restore(&mut Reader::new(&count), &Limits::default()).map(|_| ()),
        Err(DecodeError::Truncated)
    );
}

/// FNV-1a over the snapshots of many states: no byte changes unnoticed. When it must change, so does the version in the
/// head, and docs/FORMATS.md says so.
#[test]
fn fingerprint_of_all_bytes() {
    let mut fnv = 0xCBF2_9CE4_8422_2325u64;
    for (keys, rate, bytes_max) in
        [(1, 0.5, 0), (1_000, 0.1, 0), (1_000, 0.01, 1 << 20), (30_000, 1e-6, 1 << 20)]
    {
        let mut seen = Seen::new(size(keys, rate), bytes_max);
        let mut at = 0;
        for n in [0, 1, 12, 13, 96, 97, 1_537, 5_000] {
            ints(at..n).for_each(|token| seen.insert(token));
            at = n;
            for byte in bytes(&seen) {
                fnv = (fnv ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
            }
        }
    }
    assert_eq!(format!("{fnv:016x}"), "172030d4149598dc");
}

#[test]
fn an_exact_one_merges_into_any_and_two_filters_do_not() {
    let size = Size::new(500, 0.01).unwrap();
    let of = |keys: std::ops::Range<i64>| {
        let mut seen = Seen::new(size, 1 << 16);
        keys.map(Token::of_i64).for_each(|token| seen.insert(token));
        seen
    };
    let (few, more, many) = (of(0..30), of(20..50), of(100..400));
    assert!(few.is_exact() && more.is_exact() && !many.is_exact());
    let mut both = few.clone();
    both.merge(&more).unwrap();
    assert_eq!(both.first_times(0.95).value, 50.0);
    for (mut one, other) in [(few.clone(), &many), (many.clone(), &few)] {
        one.merge(other).unwrap();
        one.check_invariants();
        assert!((0..30).chain(100..400).all(|key| one.contains(Token::of_i64(key)) == Verdict::Maybe));
        let e = one.first_times(0.95);
        assert!(e.low <= 330.0 && 330.0 <= e.high, "{e:?}");
    }
    let mut refused = many.clone();
    assert!(refused.merge(&of(400..900)).is_err());
    assert_eq!(bytes(&refused), bytes(&many));
    let other_size = Seen::new(Size::new(501, 0.01).unwrap(), 1 << 16);
    let told = sketch::Incompatible { what: "keys of a filter's size", ours: 500, theirs: 501 };
    assert_eq!(refused.merge(&other_size), Err(told));
}

#[test]
fn a_filter_for_so_many_keys_has_the_blocks_they_need() {
    for (keys, rate) in [(1, 0.5), (10_000, 0.01), (300_000, 1e-6)] {
        let blocks = Filter::for_keys(keys, rate).memory_bytes() as u64 / 32;
        assert_eq!(blocks, blocks_for(keys, rate), "{keys} at {rate}");
    }
}

//! Count-Min and its hot table against exact counts: the exact laws, bounds and their confidence, bytes.

use crate::streams::*;
use proptest::prelude::*;
use sketch::countmin::{CountMin, Freq};
use sketch::{DecodeError, Estimate, Guarantee, Limits, MergeNote, Reader, Sketch, Token};
use std::collections::BTreeMap;

const LIMIT: Limits = Limits::bytes(1 << 20);

fn linear(lg_width: u8, depth: u8, events: &[Event]) -> CountMin {
    let mut sketch = CountMin::new(lg_width, depth);
    events.iter().for_each(|&(key, weight)| sketch.update(token(key), weight));
    sketch.check_invariants();
    sketch
}

fn freq(lg_width: u8, slots: usize, events: &[Event]) -> Freq {
    let mut freq = Freq::new(lg_width, 4, slots);
    events.iter().for_each(|&(key, weight)| freq.update(token(key), weight, name(key).as_bytes()));
    freq.check_invariants();
    freq
}

fn bytes(write: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn whole<T>(
    bytes: &[u8],
    read: impl Fn(&mut Reader<'_>, &Limits) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let mut r = Reader::new(bytes);
    let value = read(&mut r, &LIMIT)?;
    r.finish()?;
    Ok(value)
}

fn part(events: &[Event], part: usize, parts: usize) -> Vec<Event> {
    events.iter().skip(part).step_by(parts).copied().collect()
}

fn weighted() -> impl Strategy<Value = Vec<Event>> {
    let weight = prop_oneof![8 => 0u64..5, 1 => 0u64..1 << 20, 1 => 0u64..1 << 34];
    prop::collection::vec((prop_oneof![2 => 0u32..20, 1 => 0u32..3000], weight), 0..400)
}

/// High bounds hold for certain, low ones in all but the stated part of the queries.
fn check_bounds(freq: &Freq, truth: &BTreeMap<u32, u64>) {
    freq.check_invariants();
    let mut broken = 0;
    for (&key, &weight) in truth.iter().chain([(&9_999_999, &0)]) {
        let got = freq.query(token(key), 0.95);
        assert!(weight <= got.high && got.value == got.high, "key {key} of {weight}: {got:?}");
        match got.guarantee {
            Guarantee::Exact => assert_eq!((got.low, got.high), (weight, weight), "key {key}"),
            Guarantee::Proven => assert!(got.low <= weight, "key {key} of {weight}: {got:?}"),
            _ => broken += u32::from(got.low > weight),
        }
    }
    let n = truth.len() as f64;
    assert!(
        f64::from(broken) <= 0.05 * n + 4.0 * (0.0475 * n).sqrt(),
        "{broken} of {n} low bounds are too high"
    );
    let items = freq.items(usize::MAX, 0.95);
    assert_eq!(items.len(), freq.hot().len());
    assert!(items.windows(2).all(|two| two[0].estimate.value >= two[1].estimate.value));
    assert!(items.iter().all(|item| item.estimate == freq.query(item.token, 0.95)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_merge_split_and_fold_commute_byte_for_byte(
        events in weighted(), parts in 1usize..6, lg in 7u8..10, down in 0u8..4, depth in 1u8..9
    ) {
        let all = linear(lg, depth, &events);
        let expected = bytes(|out| all.snapshot(out));
        let backwards: Vec<Event> = events.iter().rev().copied().collect();
        prop_assert_eq!(&expected, &bytes(|out| linear(lg, depth, &backwards).snapshot(out)));
        let mut merged = CountMin::new(lg, depth);
        for i in 0..parts {
            prop_assert_eq!(merged.merge(&linear(lg, depth, &part(&events, i, parts))), Ok(MergeNote::Exact));
        }
        merged.check_invariants();
        prop_assert_eq!(&expected, &bytes(|out| merged.snapshot(out)));

        // Folding first or last, ours or theirs.
        let narrow = linear(lg - down, depth, &events);
        merged.fold(lg - down);
        prop_assert_eq!(&narrow, &merged);
        let (a, b) = (part(&events, 0, 2), part(&events, 1, 2));
        for (a, b) in [(linear(lg, depth, &a), linear(lg - down, depth, &b)), (linear(lg - down, depth, &a), linear(lg, depth, &b))] {
            let mut mixed = a;
            let note = mixed.merge(&b).unwrap();
            prop_assert_eq!(note, if down == 0 { MergeNote::Exact } else { MergeNote::Folded { from: lg, to: lg - down } });
            prop_assert_eq!(&narrow, &mixed);
        }
    }

    #[test]
    fn a_batch_is_its_single_updates(keys in prop::collection::vec(0u32..50, 0..300), head in 0u64..1 << 33) {
        let tokens: Vec<Token> = keys.iter().map(|key| token(*key)).collect();
        let (mut batch, mut single) = (linear(6, 3, &[(1, head)]), linear(6, 3, &[(1, head)]));
        batch.update_all(&tokens);
        tokens.iter().for_each(|token| single.update(*token, 1));
        prop_assert_eq!(batch, single);
    }

    #[test]
    fn snapshots_are_lossless_and_small_when_little_was_seen(events in weighted(), lg in 4u8..12, depth in 1u8..9) {
        let sketch = linear(lg, depth, &events);
        let stored = bytes(|out| sketch.snapshot(out));
        prop_assert_eq!(whole(&stored, CountMin::restore).unwrap(), sketch);
        prop_assert!(stored.len() <= 12 + usize::from(depth) * 8 * truth(&events).len().max(1) + 4);
    }

    #[test]
    fn hot_and_cold_together_are_linear_and_bounded(events in weighted(), parts in 1usize..6, lg in 4u8..8) {
        let expected = linear(lg, 4, &events);
        let truth = truth(&events);
        let one = freq(lg, 16, &events);
        prop_assert_eq!(&one.count_min(), &expected);
        check_bounds(&one, &truth);
        let of = |i| freq(lg, 16, &part(&events, i, parts));
        let (mut forward, mut backward) = (of(0), of(parts - 1));
        (1..parts).for_each(|i| _ = forward.merge(&of(i)).unwrap());
        (0..parts - 1).rev().for_each(|i| _ = backward.merge(&of(i)).unwrap());
        for merged in [forward, backward] {
            check_bounds(&merged, &truth);
            prop_assert_eq!(&merged.count_min(), &expected);
            let stored = bytes(|out| merged.snapshot(out));
            let copy = whole(&stored, Freq::restore).unwrap();
            prop_assert_eq!(bytes(|out| copy.snapshot(out)), stored);
            let mut narrow = merged;
            narrow.fold(4);
            prop_assert_eq!(narrow.count_min(), linear(4, 4, &events));
            check_bounds(&narrow, &truth);
        }
        // Exact exactly as long as the keys fit, whatever the order and the parts.
        prop_assert_eq!(one.is_exact(), truth.values().filter(|weight| **weight > 0).count() <= 12);
    }

    #[test]
    fn while_the_keys_fit_freq_is_exact_and_order_free(
        events in prop::collection::vec((0u32..12, 0u64..100), 0..100), parts in 1usize..5
    ) {
        let one = freq(8, 16, &events);
        let mut merged = freq(8, 16, &[]);
        (0..parts).for_each(|i| _ = merged.merge(&freq(8, 16, &part(&events, i, parts))).unwrap());
        prop_assert!(one.is_exact() && one.cold().is_none());
        prop_assert_eq!(bytes(|out| one.snapshot(out)), bytes(|out| merged.snapshot(out)));
        for (&key, &weight) in &truth(&events) {
            prop_assert_eq!(one.query(token(key), 0.95), Estimate::exact(weight));
        }
    }
}

#[test]
fn low_bounds_are_worth_something() {
    let events = zipf(17, 0.8, 20_000, 200_000);
    let truth = truth(&events);
    let sketch = linear(9, 4, &events);
    // The textbook error e/width at 1 - e^-depth, and less where less confidence is asked for.
    let key = token(heaviest(&truth, 1)[0]);
    let textbook = sketch.query(key, 1.0 - (-4f64).exp());
    let epsilon_n = sketch.epsilon() * sketch.total() as f64;
    assert!((textbook.value - textbook.low) as f64 <= epsilon_n + 1.0 && textbook.low > 0);
    assert!(sketch.query(key, 0.5).low > textbook.low);
    assert_eq!(textbook.guarantee, Guarantee::Probabilistic);
    assert_eq!(sketch.query(key, 1.0).low, 0, "certainty has no low bound");
}

#[test]
fn one_row_overstates_by_its_share_of_the_others() {
    // With depth 1 the expected surplus is (N - f)/width: the constant in the bound is not off by a factor.
    let events = zipf(23, 0.5, 4_000, 100_000);
    let sketch = linear(8, 1, &events);
    let truth = truth(&events);
    let surplus: u64 = truth.iter().map(|(key, weight)| sketch.at_most(token(*key)) - weight).sum();
    let mean = surplus as f64 / truth.len() as f64;
    let expected = events.len() as f64 / 256.0;
    assert!((mean / expected - 1.0).abs() < 0.1, "{mean} instead of {expected}");
}

#[test]
fn what_is_certain_is_said_to_be() {
    let empty = CountMin::new(4, 1);
    assert_eq!(empty.query(token(1), 0.95), Estimate::exact(0));
    let alone = linear(10, 5, &[(1, 7)]);
    assert_eq!(alone.query(token(1), 0.95).low, 7, "no other weight could have been added");
    assert_eq!(alone.query(token(2), 0.95), Estimate::exact(0));
    let f = alone.query(token(1), f64::NAN);
    assert!(f.low <= 7 && f.high == 7);
}

#[test]
fn depths_do_not_merge_and_nothing_is_changed() {
    let mut one = linear(6, 3, &[(1, 5)]);
    let refused = one.merge(&linear(6, 4, &[(1, 5)])).unwrap_err();
    assert_eq!((refused.what, refused.ours, refused.theirs), ("count-min depth", 3, 4));
    assert!(one.merge(&linear(6, 3, &[(2, u64::MAX)])).is_err());
    assert_eq!(one, linear(6, 3, &[(1, 5)]));
    let mut one = freq(6, 16, &[(1, 5)]);
    assert!(one.merge(&Freq::new(6, 3, 16)).is_err());
    assert!(one.merge(&freq(6, 16, &[(2, u64::MAX)])).is_err());
    assert_eq!(bytes(|out| one.snapshot(out)), bytes(|out| freq(6, 16, &[(1, 5)]).snapshot(out)));
}

#[test]
fn the_top_hundred_of_a_skewed_stream_are_exact() {
    // In debug builds a smaller stream: the law is the same.
    let (keys, events) = if cfg!(debug_assertions) { (200_000, 1_000_000) } else { (1_000_000, 10_000_000) };
    let events = zipf(1, 1.1, keys, events);
    let mut freq = Freq::new(14, 5, 4096);
    events.iter().for_each(|&(key, weight)| freq.update(token(key), weight, name(key).as_bytes()));
    freq.check_invariants();
    assert!(!freq.is_exact() && freq.cold_total() > 0);
    let truth = truth(&events);
    let items = freq.items(100, 0.95);
    for (item, key) in items.iter().zip(heaviest(&truth, 100)) {
        assert_eq!(item.estimate, Estimate::exact(truth[&key]), "{}", String::from_utf8_lossy(item.item));
    }
}

#[test]
fn freq_holds_its_bounds_on_skewed_and_hostile_streams() {
    let distinct: Vec<Event> = (0..20_000).map(|key| (key, 1)).collect();
    let mut late = distinct.clone();
    late.extend(std::iter::repeat_n((77_777, 1), 4_000));
    let robin: Vec<Event> = (0..40_000u32).map(|i| (i % 500, 3)).collect();
    let mut streams = vec![distinct, late, robin];
    streams.extend([0.8, 1.1, 1.5].map(|exponent| zipf(31, exponent, 30_000, 60_000)));
    for events in &streams {
        let (truth, n) = (truth(events), events.iter().map(|event| event.1).sum::<u64>());
        let freq = freq(10, 256, events);
        check_bounds(&freq, &truth);
        assert!(freq.hot().offset() * freq.hot().live_max() as u64 <= 2 * n);
        // Keys that fit neither table are known no worse than to a Count-Min of all events.
        let plain = linear(10, 4, events);
        for &key in truth.keys() {
            assert!(freq.query(token(key), 0.95).high <= plain.at_most(token(key)));
        }
    }
    let late = freq(10, 256, &streams[1]);
    assert_eq!(late.items(1, 0.95)[0].token, token(77_777));
}

#[test]
fn hostile_bytes_are_refused_or_sound() {
    let events = zipf(2, 1.0, 400, 900);
    let mut rng = Rng(7);
    let (sketch, hot) = (linear(5, 3, &events[..60]), freq(5, 32, &events));
    let goods = [bytes(|out| sketch.snapshot(out)), bytes(|out| hot.snapshot(out))];
    assert!(!hot.is_exact());
    let mut survived = 0;
    for good in &goods {
        for end in 0..good.len() {
            assert!(
                whole(&good[..end], CountMin::restore).is_err()
                    && whole(&good[..end], Freq::restore).is_err()
            );
        }
        for _ in 0..4_000 {
            let bad = mutate(good, &mut rng);
            let mut r = Reader::new(&bad);
            if let Ok(sketch) = CountMin::restore(&mut r, &LIMIT) {
                sketch.check_invariants();
                assert_eq!(
                    bytes(|out| sketch.snapshot(out)),
                    bad[..bad.len() - r.remaining()],
                    "not canonical"
                );
                assert!(sketch.memory_bytes() <= LIMIT.bytes_max + 128);
                survived += 1;
            }
            let mut r = Reader::new(&bad);
            if let Ok(mut freq) = Freq::restore(&mut r, &LIMIT) {
                freq.check_invariants();
                assert_eq!(
                    bytes(|out| freq.snapshot(out)),
                    bad[..bad.len() - r.remaining()],
                    "not canonical"
                );
                assert!(freq.memory_bytes() <= 2 * LIMIT.bytes_max + 4 * bad.len());
                freq.update(token(5), u64::MAX, b"x");
                freq.check_invariants();
                survived += 1;
            }
        }
    }
    assert!(survived > 50, "mutations should reach beyond the head: {survived}");
}

#[test]
fn twenty_bytes_cannot_ask_for_gigabytes() {
    let mut bomb = bytes(|out| CountMin::new(4, 8).snapshot(out));
    bomb[2] = 28;
    assert!(
        matches!(whole(&bomb, CountMin::restore), Err(DecodeError::TooLarge { declared, .. }) if declared == 2 << 30)
    );
    // Just within the limit at 32 bits a counter, beyond it at 64.
    let wide = bytes(|out| linear(15, 8, &[(1, 1 << 40)]).snapshot(out));
    assert!(matches!(whole(&wide, CountMin::restore), Err(DecodeError::TooLarge { .. })));
    assert!(whole(&bytes(|out| linear(15, 8, &[(1, 1 << 30)]).snapshot(out)), CountMin::restore).is_ok());
    let mut bomb = bytes(|out| Freq::new(4, 8, 16).snapshot(out));
    bomb[2] = 28;
    assert!(matches!(whole(&bomb, Freq::restore), Err(DecodeError::TooLarge { .. })));
}

#[test]
fn a_size_is_that_of_the_cold_part() {
    let size = sketch::countmin::Size::new(0.001, 0.01).unwrap();
    let (by_size, by_numbers) = (Freq::with_size(size, 64), Freq::new(size.lg_width(), size.depth(), 64));
    assert_eq!(Sketch::params(&by_size), Sketch::params(&by_numbers));
}

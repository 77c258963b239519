//! Counters for frequent items against exact counts: the exact law, the law of bounds, bytes, and a twin.

use crate::streams::*;
use datasketches::frequencies::FrequentItemsSketch;
use proptest::prelude::*;
use sketch::frequent::{Counters, ITEM_BYTES_MAX};
use sketch::{DecodeError, Guarantee, Limits, MergeNote, Reader, Token};
use std::collections::BTreeMap;

const LIMIT: Limits = Limits::bytes(1 << 20);

fn counted(slots: usize, events: &[Event]) -> Counters {
    let mut counters = Counters::new(slots);
    for &(key, weight) in events {
        counters.update(token(key), weight, name(key).as_bytes());
    }
    counters.check_invariants();
    counters
}

fn bytes(counters: &Counters) -> Vec<u8> {
    let mut out = Vec::new();
    counters.snapshot(&mut out);
    out
}

fn restored(bytes: &[u8]) -> Result<Counters, DecodeError> {
    let mut r = Reader::new(bytes);
    let counters = Counters::restore(&mut r, &LIMIT)?;
    r.finish()?;
    Ok(counters)
}

#[test]
fn slots_are_sized_by_the_error() {
    // Three quarters of 512 slots are 384 counters; 1/(192 + 1) is within 1 %, the half of it is not.
    assert_eq!(Counters::slots_for(0.01), Some(512));
    assert_eq!(Counters::slots_for(1.0), Some(sketch::frequent::SLOTS_MIN));
    assert_eq!((Counters::slots_for(0.0), Counters::slots_for(f64::NAN)), (None, None));
}

/// Every promise of the module's head, against exact counts.
fn check_bounds(counters: &Counters, truth: &BTreeMap<u32, u64>) {
    counters.check_invariants();
    let total: u64 = truth.values().sum();
    assert_eq!(counters.total(), total);
    assert!(u128::from(counters.offset()) * counters.live_max() as u128 <= 2 * u128::from(total));
    for (&key, &weight) in truth {
        let got = counters.get(token(key));
        assert!(got.low <= weight && weight <= got.high, "key {key}: {weight} outside {got:?}");
        assert_eq!(got.guarantee == Guarantee::Exact, got.low == got.high);
        assert!(
            weight <= counters.offset() || got.low > 0,
            "key {key} of {weight} is above the offset and missing"
        );
    }
    let top = counters.top(usize::MAX);
    assert_eq!(top.len(), counters.len());
    for row in &top {
        let key: u32 = std::str::from_utf8(row.item).unwrap().trim_start_matches("entity_").parse().unwrap();
        assert_eq!(row.token, token(key));
        assert_eq!(row.estimate, counters.get(row.token));
        assert_eq!(row.estimate.value, row.estimate.low);
    }
    assert!(top.windows(2).all(|two| {
        let key =
            |row: &sketch::frequent::Counted<'_>| (std::cmp::Reverse(row.estimate.value), row.item.to_vec());
        key(&two[0]) < key(&two[1])
    }));
    assert_eq!(counters.top(3), top[..top.len().min(3)]);
}

fn split(events: &[Event], parts: usize, slots: usize) -> Vec<Counters> {
    (0..parts)
        .map(|part| counted(slots, &events.iter().skip(part).step_by(parts).copied().collect::<Vec<_>>()))
        .collect()
}

/// Merges neighbours until one is left.
fn balanced(mut parts: Vec<Counters>) -> Counters {
    while parts.len() > 1 {
        let mut next = Vec::new();
        for two in parts.chunks(2) {
            let mut one = two[0].clone();
            two.iter().skip(1).for_each(|other| _ = one.merge(other).unwrap());
            one.check_invariants();
            next.push(one);
        }
        parts = next;
    }
    parts.remove(0)
}

fn chained<'a>(parts: impl IntoIterator<Item = &'a Counters>) -> Counters {
    let mut parts = parts.into_iter();
    let mut all = parts.next().unwrap().clone();
    parts.for_each(|part| _ = all.merge(part).unwrap());
    all
}

fn few_keys() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec((0u32..12, 0u64..1000), 0..200)
}

fn many_keys() -> impl Strategy<Value = Vec<Event>> {
    let key = prop_oneof![3 => 0u32..8, 2 => 0u32..60, 1 => 0u32..5000];
    prop::collection::vec((key, prop_oneof![4 => 1u64..4, 1 => 0u64..1_000_000]), 0..600)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn before_the_first_purge_order_and_tree_do_not_matter(events in few_keys(), parts in 1usize..6, seed: u64) {
        let whole = counted(16, &events);
        prop_assert!(whole.is_exact());
        let mut shuffled = events.clone();
        let mut rng = Rng(seed);
        for i in (1..shuffled.len()).rev() {
            shuffled.swap(i, rng.below(i as u64 + 1) as usize);
        }
        prop_assert_eq!(bytes(&whole), bytes(&counted(16, &shuffled)));
        let parts = split(&events, parts, 16);
        prop_assert_eq!(bytes(&whole), bytes(&chained(&parts)));
        prop_assert_eq!(bytes(&whole), bytes(&chained(parts.iter().rev())));
        prop_assert_eq!(bytes(&whole), bytes(&balanced(parts)));
        let mut truth = truth(&events);
        truth.retain(|_, weight| *weight > 0);
        prop_assert_eq!(whole.len(), truth.len());
        for (key, weight) in truth {
            prop_assert_eq!(whole.get(token(key)), sketch::Estimate::exact(weight));
        }
    }

    #[test]
    fn after_purges_every_bound_holds(events in many_keys(), parts in 1usize..9, lg_slots in 4u32..7) {
        let truth = truth(&events);
        let slots = 1 << lg_slots;
        check_bounds(&counted(slots, &events), &truth);
        let parts = split(&events, parts, slots);
        check_bounds(&chained(&parts), &truth);
        check_bounds(&chained(parts.iter().rev()), &truth);
        check_bounds(&balanced(parts), &truth);
    }

    #[test]
    fn the_smaller_table_decides_and_its_bounds_hold(events in many_keys(), a in 4u32..9, b in 4u32..9) {
        let (first, second) = events.split_at(events.len() / 2);
        let mut merged = counted(1 << a, first);
        let note = merged.merge(&counted(1 << b, second)).unwrap();
        prop_assert_eq!(merged.slots(), 1usize << a.min(b));
        let folded = MergeNote::Folded { from: a.max(b) as u8, to: a.min(b) as u8 };
        prop_assert_eq!(note, if a == b { MergeNote::Exact } else { folded });
        check_bounds(&merged, &truth(&events));
    }

    #[test]
    fn a_snapshot_goes_on_where_it_was_taken(events in many_keys(), more in many_keys()) {
        let mut counters = counted(32, &events);
        let mut copy = restored(&bytes(&counters)).unwrap();
        copy.check_invariants();
        prop_assert_eq!(bytes(&counters), bytes(&copy));
        for &(key, weight) in &more {
            counters.update(token(key), weight, name(key).as_bytes());
            copy.update(token(key), weight, name(key).as_bytes());
        }
        prop_assert_eq!(bytes(&counters), bytes(&copy));
    }

    #[test]
    fn datasketches_reads_the_same_bounds(events in many_keys(), lg_slots in 4u32..8) {
        let counters = counted(1 << lg_slots, &events);
        let twin = FrequentItemsSketch::<String>::deserialize(&counters.to_datasketches_strings()).unwrap();
        prop_assert_eq!(twin.total_weight(), counters.total());
        prop_assert_eq!(twin.maximum_error(), counters.offset());
        prop_assert_eq!(twin.is_empty(), counters.total() == 0);
        for (&key, &weight) in &truth(&events) {
            let (ours, item) = (counters.get(token(key)), name(key));
            let (low, high) = (twin.lower_bound(&item), twin.upper_bound(&item));
            prop_assert!(low <= weight && weight <= high, "{}: {} outside [{}, {}]", item, weight, low, high);
            prop_assert_eq!(high, ours.high);
            prop_assert_eq!(low, if ours.low > 0 { ours.high - counters.offset() } else { 0 });
        }
        let again = FrequentItemsSketch::<String>::deserialize(&twin.serialize()).unwrap();
        prop_assert_eq!(again.num_active_items(), counters.len());
    }
}

#[test]
fn zipf_streams_are_recalled() {
    // Top 10 found at 1,024 slots, and exactly known where the stream is skewed enough to show them early.
    for (exponent, exact) in [(0.8, 5), (1.1, 10), (1.5, 10)] {
        let events = zipf(11, exponent, 50_000, 300_000);
        let truth = truth(&events);
        let counters = counted(1024, &events);
        check_bounds(&counters, &truth);
        let top = counters.top(10);
        let names: Vec<String> = heaviest(&truth, 10).into_iter().map(name).collect();
        let found = names.iter().filter(|name| top.iter().any(|row| row.item == name.as_bytes())).count();
        assert_eq!(found, 10, "exponent {exponent}");
        let known = top.iter().filter(|row| row.estimate.is_exact()).count();
        assert!(known >= exact, "exponent {exponent}: {known} of the top 10 are exact");
    }
}

#[test]
fn hostile_orders_keep_the_guarantee() {
    let distinct: Vec<Event> = (0..30_000).map(|key| (key, 1)).collect();
    let mut late = distinct.clone();
    late.extend(std::iter::repeat_n((77_777, 1), 5_000));
    let robin: Vec<Event> = (0..60_000u32).map(|i| (i % 400, 1)).collect();
    let mut sawtooth = Vec::new();
    for round in 0..200u32 {
        sawtooth.push((round, 1_000));
        sawtooth.extend((0..300).map(|i| (100_000 + round * 300 + i, u64::from(i % 7))));
    }
    for events in [&distinct, &late, &robin, &sawtooth] {
        for slots in [16, 64, 256, 512] {
            check_bounds(&counted(slots, events), &truth(events));
        }
    }
    let top = counted(64, &late);
    assert_eq!(top.top(1)[0].token, token(77_777), "a heavy key that comes last is still found");
    assert!(top.get(token(77_777)).low >= 4_900);
    // 400 keys in 512 slots of which 384 live: the table turns over for ever, and says so.
    assert!(!counted(512, &robin).is_exact());
}

#[test]
fn keys_known_before_the_first_purge_stay_exact() {
    let mut events: Vec<Event> = (0..20).flat_map(|key| std::iter::repeat_n((key, 1), 50)).collect();
    events.extend((1_000..21_000).flat_map(|key| [(key, 1), (key % 20, 1)]));
    let counters = counted(64, &events);
    assert!(counters.offset() > 0);
    let truth = truth(&events);
    for key in 0..20 {
        assert_eq!(counters.get(token(key)), sketch::Estimate::exact(truth[&key]), "key {key}");
    }
}

#[test]
fn many_parts_in_any_tree_keep_the_bounds() {
    let events: Vec<Event> = zipf(5, 1.1, 20_000, 100_000)
        .into_iter()
        .enumerate()
        .map(|(i, (key, _))| (key, i as u64 % 5))
        .collect();
    let truth = truth(&events);
    let parts = split(&events, 48, 256);
    for merged in [chained(&parts), chained(parts.iter().rev()), balanced(parts.clone())] {
        check_bounds(&merged, &truth);
        let top: Vec<Token> = merged.top(10).iter().map(|row| row.token).collect();
        for key in heaviest(&truth, 3) {
            assert!(top.contains(&token(key)));
        }
    }
    let mut same = parts[0].clone();
    same.merge(&Counters::new(256)).unwrap();
    assert_eq!(bytes(&same), bytes(&parts[0]), "merging nothing changes nothing");
    let mut empty = Counters::new(256);
    empty.merge(&parts[0]).unwrap();
    assert_eq!(bytes(&empty), bytes(&parts[0]));
}

#[test]
fn equal_operations_give_equal_bytes() {
    let events = zipf(3, 0.9, 5_000, 20_000);
    assert_eq!(bytes(&counted(128, &events)), bytes(&counted(128, &events)));
}

#[test]
fn long_binary_and_empty_items_are_kept_as_far_as_they_go() {
    let long = vec![0xC3; ITEM_BYTES_MAX + 1];
    let mut counters = Counters::new(16);
    counters.update(Token::of_bytes(&long), 3, &long);
    counters.update(Token::of_bytes(&long[1..]), 2, &long[1..]);
    counters.update(Token::of_bytes(b""), 1, b"");
    let copy = restored(&bytes(&counters)).unwrap();
    for counters in [counters, copy] {
        let top = counters.top(3);
        assert!(top[0].cut && top[0].item == &long[1..] && top[0].estimate.value == 3);
        assert!(!top[1].cut && top[1].item == &long[1..] && top[1].estimate.value == 2);
        assert!(!top[2].cut && top[2].item.is_empty());
        // Not UTF-8: readers of strings get replacement characters, and both long items under one name.
        let twin = FrequentItemsSketch::<String>::deserialize(&counters.to_datasketches_strings()).unwrap();
        assert_eq!(twin.lower_bound(&"\u{FFFD}".repeat(ITEM_BYTES_MAX)), 5);
        assert_eq!(twin.lower_bound(&String::new()), 1);
    }
}

#[test]
fn weights_at_the_edges() {
    let mut counters = Counters::new(16);
    counters.update(token(1), 0, b"nothing");
    assert!(counters.is_empty() && counters.total() == 0);
    counters.update(token(1), u64::MAX - 1, b"one");
    counters.update(token(2), 5, b"two");
    counters.update(token(3), 5, b"three");
    assert_eq!((counters.total(), counters.len()), (u64::MAX, 2), "the total stops at the top");
    assert_eq!(counters.get(token(2)).value, 1);
    counters.check_invariants();
    let before = bytes(&counters);
    let refused = counters.merge(&counted(16, &[(9, 1)])).unwrap_err();
    assert_eq!((refused.what, refused.theirs), ("total weight", 1));
    assert_eq!(bytes(&counters), before);
}

#[test]
fn a_small_stream_takes_little_memory() {
    let small = counted(1 << 20, &[(1, 1), (2, 1)]);
    assert!(small.memory_bytes() < 2_000, "{}", small.memory_bytes());
    let full = counted(1024, &zipf(1, 0.8, 50_000, 100_000));
    assert!(full.memory_bytes() < 1024 * 80, "{}", full.memory_bytes());
}

#[test]
fn hostile_bytes_are_refused_or_sound() {
    let events: Vec<Event> = zipf(2, 1.0, 3_000, 6_000);
    let (mut survived, mut rng) = (0, Rng(99));
    for good in
        [bytes(&counted(64, &events)), bytes(&counted(64, &events[..30])), bytes(&Counters::new(4096))]
    {
        for end in 0..good.len() {
            assert!(restored(&good[..end]).is_err(), "cut at {end}");
        }
        for _ in 0..3_000 {
            let bad = mutate(&good, &mut rng);
            let mut r = Reader::new(&bad);
            if let Ok(mut counters) = Counters::restore(&mut r, &LIMIT) {
                survived += 1;
                counters.check_invariants();
                assert_eq!(bytes(&counters), bad[..bad.len() - r.remaining()], "not canonical");
                assert!(counters.memory_bytes() <= LIMIT.bytes_max + 4 * bad.len());
                counters.update(token(1), u64::MAX, b"x");
                counters.update(token(2), 1, b"y");
                let other = counters.clone();
                _ = counters.merge(&other);
                counters.check_invariants();
            }
        }
    }
    assert!(survived > 100, "mutations should reach beyond the head: {survived}");
}

#[test]
fn a_declared_size_beyond_the_limit_is_refused() {
    let mut huge = bytes(&Counters::new(16));
    huge[2] = 24;
    assert!(matches!(restored(&huge), Err(DecodeError::TooLarge { .. })));
    huge[2] = 25;
    assert_eq!(restored(&huge).unwrap_err(), DecodeError::Invalid("number of slots"));
}

#[test]
fn what_a_table_is_said_to_take_is_the_same_after_it_was_written_and_read() {
    for keys in [0u32, 1, 11, 12, 13, 40, 400] {
        let events: Vec<Event> = (0..keys).map(|key| (key, 1 + u64::from(key % 3))).collect();
        let counters = counted(16, &events);
        let again = restored(&bytes(&counters)).expect("it was written");
        assert_eq!(counters.memory_bytes(), again.memory_bytes(), "{keys} keys");
    }
}

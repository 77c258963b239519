//! The ring of buckets against a list of all events.

use proptest::prelude::*;
use sketch::countmin::CountMin;
use sketch::frequent::Counters;
use sketch::hll::{Distinct, LgK};
use sketch::{Incompatible, Limits, MergeNote, Question, Ring, Sketch, Token};
use std::collections::BTreeMap;

/// Bucket, key, weight.
type Event = (u64, i64, u64);

fn events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec((0u64..40, 0i64..12, 1u64..5), 0..120)
}

fn filled(span: u32, events: &[Event]) -> Ring<CountMin> {
    let mut ring = Ring::<CountMin>::new(span, (6, 3));
    for &(bucket, key, weight) in events {
        if let Some(sketch) = ring.at(bucket) {
            sketch.update(Token::of_i64(key), weight);
        }
    }
    ring.check_invariants();
    ring
}

/// What a window of `span` buckets holds after these events, in this order: too old is judged when an event comes.
fn kept(span: u64, events: &[Event]) -> (Vec<Event>, u64) {
    let (mut kept, mut head, mut too_old) = (Vec::new(), 0, 0);
    for &event in events {
        head = event.0.max(head);
        if event.0 + span > head { kept.push(event) } else { too_old += 1 }
    }
    kept.retain(|event: &Event| event.0 + span > head);
    (kept, too_old)
}

fn one(events: &[Event]) -> CountMin {
    let mut all = CountMin::new(6, 3);
    events.iter().for_each(|&(_, key, weight)| all.update(Token::of_i64(key), weight));
    all
}

proptest! {
    #[test]
    fn a_window_is_one_sketch_over_what_lives(events in events(), span in 1u32..20, from in 0u64..45, len in 0u64..45) {
        let ring = filled(span, &events);
        let (kept, too_old) = kept(span.into(), &events);
        prop_assert_eq!(ring.window().unwrap(), one(&kept));
        prop_assert_eq!(ring.too_old(), too_old);
        let asked: Vec<Event> = kept.into_iter().filter(|e| (from..=from + len).contains(&e.0)).collect();
        prop_assert_eq!(ring.range(from..=from + len).unwrap(), one(&asked));
    }

    #[test]
    fn order_does_not_matter_while_nothing_is_too_old(mut events in events()) {
        let forward = filled(50, &events);
        events.reverse();
        prop_assert_eq!(filled(50, &events).to_bytes(), forward.to_bytes());
    }

    #[test]
    fn a_merge_is_one_ring_over_both(a in events(), b in events(), span in 1u32..20) {
        let mut merged = filled(span, &a);
        prop_assert_eq!(merged.merge(&filled(span, &b)), Ok(MergeNote::Exact));
        merged.check_invariants();
        let head = a.iter().chain(&b).map(|e| e.0).max().unwrap_or(0);
        let lives = |events: &[Event]| kept(span.into(), events).0;
        let both: Vec<Event> =
            lives(&a).into_iter().chain(lives(&b)).filter(|e| e.0 + u64::from(span) > head).collect();
        prop_assert_eq!(merged.window().unwrap(), one(&both));
    }

    #[test]
    fn a_restored_ring_goes_on_as_if_nothing_had_happened(events in events(), cut in 0usize..120) {
        let (before, after) = events.split_at(cut.min(events.len()));
        let mut ring = Ring::<CountMin>::from_bytes(&filled(8, before).to_bytes(), &Limits::default()).unwrap();
        for &(bucket, key, weight) in after {
            ring.at(bucket).into_iter().for_each(|sketch| sketch.update(Token::of_i64(key), weight));
        }
        prop_assert_eq!(ring.to_bytes(), filled(8, &events).to_bytes());
    }
}

#[test]
fn heavy_hitters_of_a_window_keep_their_bounds() {
    // 400 light keys a bucket and one heavy: eight buckets of counters with room for 48.
    let mut ring = Ring::<Counters>::new(8, 64);
    let mut truth: BTreeMap<i64, u64> = BTreeMap::new();
    for bucket in 0..20u64 {
        for i in 0..400i64 {
            for (key, weight) in [(i * 7 + bucket as i64 * 1_000_000, 1), (-1 - (i % 3), 2)] {
                let name = key.to_le_bytes();
                ring.at(bucket).expect("the newest").update(Token::of_i64(key), weight, &name);
                if bucket >= 12 {
                    *truth.entry(key).or_default() += weight;
                }
            }
        }
    }
    let window = ring.window().unwrap();
    window.check_invariants();
    assert_eq!(window.total(), truth.values().sum::<u64>());
    for (&key, &weight) in &truth {
        let e = window.get(Token::of_i64(key));
        assert!(e.low <= weight && weight <= e.high, "{key}: {weight} in {}..={}", e.low, e.high);
    }
    // 24 live entries survive a purge, whatever the number of buckets.
    assert!(window.offset() <= window.total() / 25, "{} of {}", window.offset(), window.total());
    let top: Vec<i64> = window
        .top(3)
        .iter()
        .map(|one| i64::from_le_bytes(one.item.try_into().expect("eight bytes")))
        .collect();
    assert!(top.iter().all(|key| (-3..0).contains(key)), "{top:?}");
}

#[test]
fn rings_of_other_sizes_are_refused_and_other_precisions_folded() {
    let lg = |lg_k| LgK::new(lg_k).expect("a precision");
    let mut ring = Ring::<Distinct>::new(4, lg(10));
    ring.at(3).expect("the first").update(Token::of_i64(1));
    let before = ring.to_bytes();
    let refused = Incompatible { what: "buckets of a ring", ours: 4, theirs: 5 };
    assert_eq!(ring.merge(&Ring::new(5, lg(10))), Err(refused));
    assert_eq!(ring.to_bytes(), before);
    assert_eq!(ring.merge(&Ring::new(4, lg(8))), Ok(MergeNote::Folded { from: 10, to: 8 }));
    ring.check_invariants();
    assert_eq!(ring.window().unwrap().lg_k(), lg(8));
}

#[test]
fn the_smallest_snapshot_byte_by_byte() {
    let mut ring = Ring::<Distinct>::new(2, LgK::MIN);
    assert!(ring.is_empty() && ring.window().unwrap().is_empty());
    ring.advance(5);
    let expected =
        [&[23, 1, 2, 0, 0, 0][..], &[0; 8], &[1, 5, 0, 0, 0, 0, 0, 0, 0], &[1, 1, 4, 0, 0, 0, 0, 0], &[0; 4]];
    assert_eq!(ring.to_bytes(), expected.concat());
}

#[test]
fn totals_beyond_64_bits_are_refused_not_left_out() {
    let key = Token::of_str("ada");
    let mut ring = Ring::<CountMin>::new(4, (10, 3));
    for (bucket, weight) in [(1, u64::MAX - 5), (2, 5), (3, 1)] {
        ring.at(bucket).unwrap().update(key, weight);
    }
    assert_eq!(ring.range(1..=2).unwrap().at_most(key), u64::MAX);
    assert_eq!(ring.range(2..=3).unwrap().at_most(key), 6);
    assert_eq!(ring.window().unwrap_err().what, "total weight");
    for question in [Question::Count, Question::Frequency(key), Question::Frequency(Token::of_str("bob"))] {
        assert_eq!(ring.query(&question, 0.95), None);
    }
    let health = ring.health();
    assert!(!health.exact && health.saturated && health.error.is_none());
    assert!(ring.sketch_name().starts_with("ring/4 of "));
}

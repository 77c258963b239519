//! Sliding sums against a list of (time, weight): bounds that always hold, the error, merges, and its own bytes.

use crate::streams::{Rng, mutate};
use proptest::prelude::*;
use sketch::sliding::{SlidingCount, SlidingError};
use sketch::{DecodeError, Guarantee, Incompatible, Limits, MergeNote, Reader};

type Events = Vec<(u64, u64)>;

fn bytes(count: &SlidingCount) -> Vec<u8> {
    count.check_invariants();
    let mut out = Vec::new();
    count.snapshot(&mut out);
    out
}

fn restored(bytes: &[u8]) -> Result<SlidingCount, DecodeError> {
    let mut r = Reader::new(bytes);
    let count = SlidingCount::restore(&mut r, &Limits::default())?;
    r.finish()?;
    Ok(count)
}

fn sum(events: &Events, first: u64, last: u64) -> u64 {
    events.iter().filter(|(time, _)| (first..=last).contains(time)).map(|(_, weight)| weight).sum()
}

/// Every bound holds the truth, whatever is asked; within the window the error is what it says.
fn judge(count: &SlidingCount, events: &Events, rng: &mut Rng) {
    let Some(head) = count.head() else { return assert!(events.is_empty()) };
    assert_eq!(head, events.iter().map(|event| event.0).max().unwrap_or(head).max(head));
    let horizon = head.saturating_sub(count.window() - 1);
    let mut firsts: Vec<u64> =
        events.iter().flat_map(|&(t, _)| [t.saturating_sub(1), t, t.saturating_add(1)]).collect();
    firsts.extend([0, horizon, head, head.saturating_add(1), rng.next()]);
    for first in firsts {
        let e = count.between(first, u64::MAX);
        let truth = sum(events, first, u64::MAX);
        assert!(
            e.low <= truth && truth <= e.high && e.low <= e.value && e.value <= e.high,
            "{first}: {e:?}, {truth}"
        );
        if first >= horizon {
            let error = e.value.abs_diff(truth) as f64;
            assert!(error <= count.error() * truth as f64, "{first}: {e:?}, truth {truth}");
            assert!(!count.is_exact() || e.is_exact());
            if first <= head {
                assert_eq!(count.last(head - first + 1), e);
            }
        }
        let last = first.saturating_add(rng.below(count.window()));
        let e = count.between(first, last);
        let truth = sum(events, first, last);
        assert!(e.low <= truth && truth <= e.high, "{first}..={last}: {e:?}, truth {truth}");
        assert!(e.guarantee == Guarantee::Exact || e.guarantee == Guarantee::Proven);
    }
    assert_eq!(count.between(0, u64::MAX).low, sum(events, 0, u64::MAX), "the total is certain");
}

#[derive(Debug, Clone)]
enum Op {
    /// Time relative to the head, weight.
    Update(i64, u64),
    /// A run of so many, each so far after the other, of this weight.
    Run(u64, u64, u64),
    Advance(u64),
    Restore,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let weight = prop_oneof![6 => Just(1u64), 3 => 0u64..100, 1 => 0u64..1_000_000_000];
    let offset = prop_oneof![4 => 0i64..3, 3 => -30i64..0, 2 => -3_000i64..0, 1 => 0i64..2_000];
    let op = prop_oneof![
        6 => (offset, weight.clone()).prop_map(|(offset, weight)| Op::Update(offset, weight)),
        4 => (1u64..200, 0u64..8, weight).prop_map(|(n, step, weight)| Op::Run(n, step, weight)),
        1 => (0u64..300).prop_map(Op::Advance),
        1 => Just(Op::Restore),
    ];
    prop::collection::vec(op, 0..30)
}

fn run(count: &mut SlidingCount, events: &mut Events, start: u64, ops: &[Op]) {
    let mut take = |count: &mut SlidingCount, time: u64, weight| {
        let head = count.head().unwrap_or(0).max(time);
        let lives = time >= head.saturating_sub(count.window() - 1);
        let gone = count.gone();
        assert_eq!(count.update(time, weight), lives);
        assert!(lives || count.gone() == gone + weight, "what is too late is counted");
        events.push((time, weight));
    };
    for op in ops {
        let head = count.head().unwrap_or(start);
        match *op {
            Op::Update(offset, weight) => take(count, head.saturating_add_signed(offset), weight),
            Op::Run(n, step, weight) => (0..n).for_each(|i| take(count, head + i * step, weight)),
            Op::Advance(by) => count.advance(head + by),
            Op::Restore => *count = restored(&bytes(count)).unwrap(),
        }
        count.check_invariants();
    }
}

fn parameters() -> impl Strategy<Value = (u64, f64)> {
    let window = prop_oneof![Just(1u64), Just(64), Just(1_000), 1u64..5_000, Just(u64::MAX)];
    (window, prop_oneof![Just(1.0), Just(0.5), Just(0.1), Just(0.03)])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bounds_hold_the_truth((window, error) in parameters(), start in 0u64..10_000, ops in ops(), seed: u64) {
        let mut count = SlidingCount::new(window, error).unwrap();
        let mut events = Events::new();
        run(&mut count, &mut events, start, &ops);
        judge(&count, &events, &mut Rng(seed));
        prop_assert_eq!(&restored(&bytes(&count)).unwrap(), &count);
    }

    #[test]
    fn merges_keep_the_error(
        (window, error) in parameters(),
        parts in prop::collection::vec((0u64..4_000, ops()), 2..6),
        more in ops(),
        seed: u64,
    ) {
        let mut merged = SlidingCount::new(window, error).unwrap();
        let mut events = Events::new();
        for (start, ops) in &parts {
            let mut part = SlidingCount::new(window, error).unwrap();
            let mut its = Events::new();
            run(&mut part, &mut its, *start, ops);
            prop_assert_eq!(merged.merge(&part), Ok(MergeNote::Exact));
            merged.check_invariants();
            events.extend(its);
            judge(&merged, &events, &mut Rng(seed));
        }
        // And what follows on a merge.
        run(&mut merged, &mut events, 0, &more);
        judge(&merged, &events, &mut Rng(seed));
        let mut back = restored(&bytes(&merged)).unwrap();
        run(&mut back, &mut Events::new(), 0, &more);
        run(&mut merged, &mut events, 0, &more);
        prop_assert_eq!(bytes(&back), bytes(&merged));
    }

    #[test]
    fn it_survives_any_bytes((window, error) in parameters(), ops in ops(), seed: u64) {
        let mut count = SlidingCount::new(window, error).unwrap();
        run(&mut count, &mut Events::new(), 7, &ops);
        let hostile = mutate(&bytes(&count), &mut Rng(seed));
        let mut r = Reader::new(&hostile);
        if let Ok(mut back) = SlidingCount::restore(&mut r, &Limits::bytes(1 << 20)) {
            prop_assert_eq!(&bytes(&back)[..], &hostile[..hostile.len() - r.remaining()]);
            let head = back.head().unwrap_or(0);
            for i in 0..200 {
                back.update(head.saturating_add(i), i);
                back.update(head.saturating_sub(i), i);
            }
            for width in [0, 1, 100, u64::MAX] {
                let e = back.last(width);
                prop_assert!(e.low <= e.value && e.value <= e.high);
            }
            bytes(&back);
        }
    }
}

/// In order, the boxes that are left are a function of the events alone: how often they were joined on the way, and
/// through how many snapshots, cannot be told once both join.
#[test]
fn memory_stays_small_and_the_error_holds_on_long_streams() {
    for (error, boxes_max) in [(0.1, 320), (0.01, 3_000)] {
        let mut count = SlidingCount::new(1 << 20, error).unwrap();
        let mut rng = Rng(9);
        let (mut time, mut most) = (0, 0);
        let mut events = Events::new();
        for _ in 0..400_000 {
            // Bursts, gaps, and a late one now and then.
            time += if rng.below(1_000) == 0 { rng.below(20_000) } else { rng.below(8) };
            let at = if rng.below(20) == 0 { time.saturating_sub(rng.below(50_000)) } else { time };
            let weight = if rng.below(100) == 0 { 1 + rng.below(500) } else { 1 };
            count.update(at, weight);
            events.push((at, weight));
            most = most.max(count.boxes());
        }
        assert!(most <= boxes_max, "{error}: {most} boxes");
        assert!(!count.is_exact());
        let head = count.head().unwrap();
        for width in [1u64, 10, 100, 1_000, 10_000, 100_000, 1 << 19, 1 << 20] {
            let (e, truth) = (count.last(width), sum(&events, head + 1 - width, head));
            assert!(e.low <= truth && truth <= e.high, "{width}");
            assert!(e.value.abs_diff(truth) as f64 <= error * truth as f64, "{width}: {e:?}, truth {truth}");
        }
        assert!(bytes(&count).len() < 8 * count.boxes() + 64);
    }
}

#[test]
fn sixty_four_merged_are_about_as_small_as_one() {
    let mut parts: Vec<SlidingCount> = (0..64).map(|_| SlidingCount::new(100_000, 0.02).unwrap()).collect();
    let mut one = SlidingCount::new(100_000, 0.02).unwrap();
    let mut rng = Rng(5);
    for time in 0..300_000 {
        parts[rng.below(64) as usize].update(time, 1);
        one.update(time, 1);
    }
    let mut merged = parts.remove(0);
    parts.iter().for_each(|part| _ = merged.merge(part).unwrap());
    assert!(merged.boxes() <= 4 * one.boxes(), "{} and {}", merged.boxes(), one.boxes());
    for width in [1u64, 17, 1_000, 33_333, 100_000] {
        let e = merged.last(width);
        assert!(
            e.low <= width && width <= e.high && e.value.abs_diff(width) as f64 <= 0.02 * width as f64,
            "{e:?}"
        );
    }
}

#[test]
fn exact_while_few_and_what_is_gone_is_known_as_a_sum() {
    let mut count = SlidingCount::new(100, 0.1).unwrap();
    assert!(count.is_empty() && count.is_exact() && count.last(5).value == 0 && bytes(&count).len() == 15);
    assert_eq!(count.update_all(&(0..64).map(|t| (t, 2)).collect::<Vec<_>>()), 0);
    assert!(count.is_exact() && count.sketch_name() == "list");
    assert_eq!(count.last(10).value, 20);
    count.advance(150);
    assert_eq!((count.boxes(), count.gone()), (13, 102));
    assert!(!count.update(50, 5) && count.update(51, 5));
    assert_eq!((count.gone(), count.last(100).value), (107, 31));
    // All of it came at 0 or later, but of the rest only the sum is known.
    assert_eq!(count.between(0, 150).value, 138);
    let e = count.between(10, 150);
    assert_eq!((e.low, e.high, e.guarantee), (31, 138, Guarantee::Proven));
    assert_eq!(count.between(151, 200).value, 0);
    assert_eq!(count.between(60, 50).value, 0);
}

#[test]
fn weights_stop_at_64_bits() {
    let mut count = SlidingCount::new(10, 0.1).unwrap();
    count.update(1, u64::MAX - 5);
    count.update(u64::MAX, 3);
    count.update(2, 3);
    assert_eq!((count.last(1).value, count.gone()), (3, u64::MAX - 3));
    let mut other = SlidingCount::new(10, 0.1).unwrap();
    assert!(other.update(u64::MAX, 3));
    let before = bytes(&count);
    assert_eq!(count.merge(&other).unwrap_err().what, "total weight");
    assert_eq!(bytes(&count), before);
    count.update(u64::MAX, 100);
    assert_eq!(count.last(1).value, 3);
}

#[test]
fn parameters_are_checked() {
    for (error, is) in [(1.0, 1.0), (0.5, 0.5), (0.01, 0.01), (0.3, 0.25), (1e-4, 1e-4), (0.07, 1.0 / 15.0)] {
        assert_eq!(SlidingCount::new(5, error).unwrap().error(), is);
    }
    assert_eq!(SlidingCount::new(0, 0.1), Err(SlidingError::Window));
    for error in [0.0, -1.0, 1.01, 9e-5, f64::INFINITY] {
        assert_eq!(SlidingCount::new(5, error), Err(SlidingError::Error(error)));
    }
    assert!(SlidingCount::new(5, f64::NAN).is_err());
    let mut count = SlidingCount::new(5, 0.1).unwrap();
    let window = Incompatible { what: "window of a sliding count", ours: 5, theirs: 6 };
    assert_eq!(count.merge(&SlidingCount::new(6, 0.1).unwrap()), Err(window));
    let error = Incompatible { what: "1/error of a sliding count", ours: 10, theirs: 5 };
    assert_eq!(count.merge(&SlidingCount::new(5, 0.2).unwrap()), Err(error));
    count.update(3, 1);
    let refused = SlidingCount::restore(&mut Reader::new(&bytes(&count)), &Limits::bytes(64 * 24 - 1));
    assert!(matches!(refused, Err(DecodeError::TooLarge { .. })));
}

#[test]
fn weight_that_is_gone_was_there() {
    let mut count = SlidingCount::new(10, 0.1).unwrap();
    count.update(5, 3);
    count.advance(100);
    assert_eq!((count.last(10).value, count.gone()), (0, 3));
    assert!(!count.is_empty());
    let (mut bytes, mut empty) = (Vec::new(), SlidingCount::new(10, 0.1).unwrap());
    count.snapshot(&mut bytes);
    assert!(!SlidingCount::restore(&mut Reader::new(&bytes), &Limits::default()).unwrap().is_empty());
    empty.advance(100);
    assert!(empty.is_empty());
}

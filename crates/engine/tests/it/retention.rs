//! What was asked of a level after it forgot: the coarser one answers and says so. And what does not depend on the way.

use crate::support::{metric, time, windows};
use arrow_array::{Int64Array, StringArray};
use engine::answer::{Answer, Number};
use engine::batch::Batch;
use engine::cell::Cell;
use engine::column::Column;
use engine::intake::{Intake, Tally};
use engine::outlet::Outlet;
use engine::shard::Shard;
use engine::spec::{Field, Kind, Measure, Metric, Question, Source};
use engine::time::{SECOND, Span, Time};
use proptest::prelude::*;

type Event = (i64, u32);

const DAY: i64 = 86_400;

/// Every measure whose state does not depend on order.
fn order_free(levels: &str) -> Vec<Metric> {
    let by = || vec![vec![], vec![0]];
    let measures = [
        ("n", Measure::Count),
        ("sum", Measure::Sum(1)),
        ("min", Measure::Min(1)),
        ("max", Measure::Max(1)),
        ("stddev", Measure::Stddev(1)),
        ("u", Measure::Unique { field: 1, lg_k: 6 }),
        ("a", Measure::Audience { field: 1, lg_k: 6 }),
        ("f", Measure::Freq { field: 0, lg_width: 4, depth: 3, hot: 16, weight: None }),
        ("q", Measure::Quantiles { field: 1, bits: 5, at: vec![0.5, 0.99] }),
        ("h", Measure::Histogram { field: 1, bounds: None }),
    ];
    measures.into_iter().map(|(name, measure)| metric(name, measure, by(), levels)).collect()
}

fn source(lateness: &str, metrics: Vec<Metric>) -> Source {
    let fields = vec![
        Field { path: "user".into(), kind: Kind::String },
        Field { path: "number".into(), kind: Kind::Int64 },
    ];
    Source { fields, ..crate::support::source(time(lateness, None), metrics) }
}

fn batch(number: u64, events: &[Event]) -> Batch {
    let users = StringArray::from_iter_values(events.iter().map(|(_, what)| format!("u{}", what % 7)));
    let numbers = Int64Array::from_iter_values(events.iter().map(|(_, what)| i64::from(*what)));
    Batch {
        rows: events.len(),
        times: events.iter().map(|(t, _)| Time(t * SECOND)).collect(),
        columns: vec![Column::String(users), Column::Int64(numbers)],
        lines: events.len() as u64,
        ..Batch::empty(0, number)
    }
}

/// The answers with the bytes behind them, and the canonical bytes of the whole state.
struct Run {
    held: Vec<(Answer, Vec<u8>)>,
    bytes: Vec<u8>,
    tally: Tally,
}

fn run(source: &Source, events: &[Event], shards: usize, question: Question) -> Run {
    let (mut intake, mut ready) = (Intake::new(source), Vec::new());
    let mut state: Vec<Shard> = (0..shards).map(|_| Shard::new(source, u64::MAX)).collect();
    for (number, events) in events.chunks(100).enumerate() {
        ready.extend(intake.push(batch(number as u64, events)));
    }
    ready.extend(intake.finish(0));
    ready.iter().for_each(|judged| state[judged.batch.number as usize % shards].apply(judged));
    if let Some(watermark) = intake.boundary() {
        state.iter_mut().for_each(|shard| shard.advance(watermark));
    }
    let outlet = Outlet::new(source, state, intake.tally(), intake.watermark());
    let (mut held, mut bytes) = (Vec::new(), Vec::new());
    outlet.each_held(question, &mut |answer, cell: &Cell| {
        let mut bytes = Vec::new();
        if !matches!(cell, Cell::Empty) {
            cell.snapshot(&mut bytes);
        }
        held.push((answer, bytes));
    });
    outlet.canonical(&mut bytes);
    Run { held, bytes, tally: intake.tally() }
}

/// SplitMix64 (Steele et al. 2014).
fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (*state ^ *state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ z >> 31) % below
}

/// Seven days from 1970 on, sorted.
fn week(seed: u64) -> Vec<Event> {
    let mut state = seed;
    let mut events: Vec<Event> = (0..6_000)
        .map(|_| (random(&mut state, 7 * DAY as u64) as i64, random(&mut state, 900) as u32))
        .collect();
    events.sort_unstable();
    events
}

/// The same events, none of them behind another by more than this.
fn shuffled(events: &[Event], lateness: i64, seed: u64) -> Vec<Event> {
    let mut state = seed;
    let mut keyed: Vec<(i64, Event)> = events
        .iter()
        .map(|event| (event.0 + random(&mut state, lateness as u64 + 1) as i64, *event))
        .collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, event)| event).collect()
}

#[test]
fn seven_days_by_days_are_seven_days_by_hours_byte_for_byte() {
    let events = shuffled(&week(1), 3_600, 2);
    let by = |levels: &str, shards| {
        let got = run(&source("1h", order_free(levels)), &events, shards, windows("7d", "7d"));
        assert_eq!((got.tally.late, got.tally.too_late), (0, 0));
        let of = |held: &&(Answer, Vec<u8>)| held.0.metric != "sg.source";
        got.held.iter().filter(of).cloned().collect::<Vec<_>>()
    };
    let days = by("1d:30d", 1);
    assert_eq!(days.len(), 10 * (1 + 7), "each metric over all, and by each of seven users");
    for (levels, shards) in
        [("1h:30d", 1), ("1h:30d", 3), ("1m:30d", 1), ("1h:2d 1d:30d", 1), ("1m:1h 1h:1d 1d:30d", 2)]
    {
        assert_eq!(by(levels, shards), days, "{levels} over {shards} shards");
    }
    // Nor is it another state than that of the total.
    let totals = run(&source("1h", order_free("")), &events, 1, Question::Total).held;
    for (answer, bytes) in &days {
        let same = |(total, _): &&(Answer, Vec<u8>)| total.metric == answer.metric && total.by == answer.by;
        assert_eq!(&totals.iter().find(same).expect("a total").1, bytes, "{}", answer.metric);
    }
}

#[test]
fn shuffled_within_lateness_is_sorted_byte_for_byte() {
    let sorted = week(3);
    let source = source("2h", order_free("1h:2d 1d:30d"));
    for question in [Question::Total, windows("1h", "1h"), windows("1d", "6h")] {
        let one = run(&source, &sorted, 1, question);
        for seed in 0..4 {
            let other = run(&source, &shuffled(&sorted, 7_200, seed), 1 + seed as usize, question);
            assert_eq!((other.tally.late, other.tally.read), (0, one.tally.read));
            assert!(one.held == other.held, "answers of {question:?}");
            assert!(one.bytes == other.bytes, "the state of {question:?}");
        }
    }
}

fn counts(run: &Run) -> Vec<(i64, i64, Option<Span>, u64)> {
    let of = |(answer, _): &(Answer, Vec<u8>)| {
        let (start, end) = (answer.start?.0 / SECOND, answer.end?.0 / SECOND);
        let Some(Number::Int(n)) = answer.reading.value else { panic!("a count: {answer:?}") };
        (answer.metric == "n").then_some((start, end, answer.resolution, n as u64))
    };
    run.held.iter().filter_map(of).collect()
}

fn of_level(size: &str) -> Option<Span> {
    Some(size.parse().expect("a span"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is kept somewhere is answered once, for exactly the time that the answer names.
    #[test]
    fn every_event_is_answered_once_by_the_finest_level_that_keeps_it(
        raw in prop::collection::vec((0i64..40, 0i64..400), 1..500), lateness in 0i64..100, shards in 1usize..4
    ) {
        let mut now = 100_000;
        let events: Vec<Event> = raw.iter().map(|(step, back)| { now += step; (now - back, 1) }).collect();
        let source = source(&format!("{lateness}s"), vec![metric("n", Measure::Count, vec![vec![]], "10s:60s 60s:600s 600s:10d")]);
        let got = run(&source, &events, shards, windows("10s", "10s"));
        let counts = counts(&got);
        for (start, end, resolution, n) in &counts {
            let truth = events.iter().filter(|(t, _)| (start..end).contains(&t)).count() as u64;
            prop_assert_eq!(*n, truth, "[{}, {})", start, end);
            prop_assert_eq!(resolution.map_or(10, |size| size.0 / SECOND), end - start);
        }
        prop_assert!(counts.is_sorted_by(|a, b| a.1 <= b.0), "one after the other: {:?}", counts);
        prop_assert!(counts.is_sorted_by(|a, b| a.1 - a.0 >= b.1 - b.0), "coarse before fine: {:?}", counts);
        prop_assert_eq!(counts.iter().map(|count| count.3).sum::<u64>(), events.len() as u64);
        // What the finest level keeps it answers, but for the one coarse window that it keeps in part.
        let watermark = (now - lateness).div_euclid(10) * 10;
        let finest = |count: &&(i64, i64, Option<Span>, u64)| count.0 > watermark - 60 + 60;
        prop_assert!(counts.iter().filter(finest).all(|count| count.2.is_none()), "{:?} at {}", counts, watermark);
        // What a question keeps of the ladder answers the same.
        let kept = windows("10s", "10s").restrict(&source).expect("a level");
        prop_assert_eq!(crate::retention::counts(&run(&kept, &events, shards, windows("10s", "10s"))), counts);
    }

    /// Sliding windows: each start once, each of them true.
    #[test]
    fn sliding_windows_go_on_with_longer_steps(raw in prop::collection::vec((0i64..40, 0i64..50), 1..300)) {
        let mut now = 100_000;
        let events: Vec<Event> = raw.iter().map(|(step, back)| { now += step; (now - back, 1) }).collect();
        let source = source("50s", vec![metric("n", Measure::Count, vec![vec![]], "10s:120s 60s:10d")]);
        let counts = counts(&run(&source, &events, 1, windows("30s", "10s")));
        for (start, end, resolution, n) in &counts {
            let truth = events.iter().filter(|(t, _)| (start..end).contains(&t)).count() as u64;
            prop_assert_eq!(*n, truth, "[{}, {})", start, end);
            let (length, step) = if resolution.is_some() { (60, 60) } else { (30, 10) };
            prop_assert_eq!((end - start, start % step), (length, 0));
            prop_assert!(resolution.is_none() || *resolution == of_level("1m"));
        }
        prop_assert!(counts.is_sorted_by(|a, b| a.0 < b.0));
    }
}

#[test]
fn hours_that_are_gone_are_answered_by_days() {
    let source = source("0s", vec![metric("n", Measure::Count, vec![vec![]], "1h:1d 1d:30d")]);
    // An event an hour for four days and twelve hours: hours are kept from the fourth day's thirteenth on.
    let events: Vec<Event> = (0..=108).map(|hour| (hour * 3_600, 1)).collect();
    let got = counts(&run(&source, &events, 1, windows("1h", "1h")));
    let days = (0..4).map(|day| (day * DAY, (day + 1) * DAY, of_level("1d"), 24));
    let hours = (96..=108).map(|hour| (hour * 3_600, (hour + 1) * 3_600, None, 1));
    assert_eq!(got, days.chain(hours).collect::<Vec<_>>());
    // A level that is kept no longer than the finer one answers nothing that is not known already.
    let kept = |levels: &str| {
        let metrics = vec![metric("n", Measure::Count, vec![vec![]], levels)];
        let source = windows("1h", "1h").restrict(&crate::retention::source("0s", metrics)).expect("hours");
        source.metrics[0].levels.iter().map(|level| level.size.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(kept("1m:1h 1h:7d 1d:7d"), ["1h"]);
    assert_eq!(kept("1m:1h 1h:7d 6h:7d 1d:30d"), ["1h", "1d"]);
}

/// Panes that leave for memory before they closed are a part of the coarser one, and so is what still comes for them.
#[test]
fn what_memory_takes_from_a_level_the_coarser_one_keeps() {
    let source = source("300s", vec![metric("n", Measure::Count, vec![vec![]], "1s:1h 600s:10d")]);
    let mut intake = Intake::new(&source);
    let mut shards: Vec<Shard> = (0..2).map(|_| Shard::new(&source, 12_000)).collect();
    let mut state = 7;
    let mut sent = 0;
    for block in 0..60u64 {
        let event = |i: i64| (200_000 + block as i64 * 50 + i - random(&mut state, 290) as i64, 1);
        let events: Vec<Event> = (0..50).map(event).collect();
        sent += events.len() as u64;
        for judged in intake.push(batch(block, &events)) {
            shards[(block % 2) as usize].apply(&judged);
        }
    }
    let outlet = Outlet::new(&source, shards, intake.tally(), intake.watermark());
    assert!(outlet.given_way().panes_dropped > 0);
    let sum = |question| {
        let of = |answer: &Answer| match (answer.metric.as_str(), answer.reading.value) {
            ("n", Some(Number::Int(n))) => Some(n as u64),
            _ => None,
        };
        outlet.answers(question).iter().filter_map(of).sum::<u64>()
    };
    assert_eq!(sum(windows("600s", "600s")), sent);
    assert_eq!(sum(windows("1s", "1s")), sent, "seconds, and ten minutes where they are gone");
}

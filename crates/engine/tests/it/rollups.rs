//! Closed panes leave once, corrected ones again; what was told last is what a count by hand gives.

use crate::support::{metric, time};
use arrow_array::{Int64Array, StringArray};
use engine::answer::{Answer, Number};
use engine::batch::Batch;
use engine::column::Column;
use engine::intake::Intake;
use engine::judge::Judge;
use engine::rollup::{Around, Rollups};
use engine::shard::Shard;
use engine::spec::{Field, Kind, Measure, Metric, Source};
use engine::time::{SECOND, Span, Time};
use sketch::Reader;
use std::collections::BTreeMap;

/// Second, user, number.
type Event = (i64, u64, i64);
/// Metric, start of the pane, user (empty for all).
type Cell = (String, i64, String);

const MINUTE: Span = Span(60 * SECOND);

fn metrics(levels: &str) -> Vec<Metric> {
    let by = || vec![vec![], vec![0]];
    vec![metric("hits", Measure::Count, by(), levels), metric("sum", Measure::Sum(1), by(), levels)]
}

fn source(lateness: &str, levels: &str) -> Source {
    let fields = vec![
        Field { path: "user".into(), kind: Kind::String },
        Field { path: "number".into(), kind: Kind::Int64 },
    ];
    Source { fields, ..crate::support::source(time(lateness, None), metrics(levels)) }
}

fn batch(number: u64, events: &[Event]) -> Batch {
    let users = StringArray::from_iter_values(events.iter().map(|(_, user, _)| format!("u{user}")));
    let numbers = Int64Array::from_iter_values(events.iter().map(|(.., number)| *number));
    Batch {
        rows: events.len(),
        times: events.iter().map(|(t, ..)| Time(t * SECOND)).collect(),
        columns: vec![Column::String(users), Column::Int64(numbers)],
        lines: events.len() as u64,
        ..Batch::empty(0, number)
    }
}

/// Everything that left, in order. After every block that `often` names it is asked what leaves; what has left is written and
/// read back in between.
fn left(source: &Source, events: &[Event], shards: usize, often: u64) -> Vec<Answer> {
    let levels = vec![Some(MINUTE); source.metrics.len()];
    let mut intake = Intake::new(source);
    let mut state: Vec<Shard> = (0..shards).map(|_| Shard::new(source, u64::MAX)).collect();
    let (mut rollups, mut out) = (Rollups::new(levels.clone()), Vec::new());
    state.iter_mut().for_each(|shard| rollups.hold(shard));
    let mut blocks: Vec<Option<&[Event]>> = events.chunks(37).map(Some).collect();
    blocks.push(None);
    for (number, events) in blocks.into_iter().enumerate() {
        let number = number as u64;
        let ready = match events {
            Some(events) => intake.push(batch(number, events)),
            None => intake.finish(0),
        };
        ready.iter().for_each(|judged| state[judged.batch.number as usize % shards].apply(judged));
        if events.is_some() && !number.is_multiple_of(often) {
            continue;
        }
        let Some(boundary) = intake.boundary() else { continue };
        state.iter_mut().for_each(|shard| shard.advance(boundary));
        let mut bytes = Vec::new();
        rollups.snapshot(&mut bytes);
        let mut r = Reader::new(&bytes);
        assert_eq!(Rollups::restore(levels.clone(), &mut r), Ok(rollups.clone()));
        r.finish().expect("nothing behind it");
        state.iter_mut().for_each(Shard::corrections_leave);
        let frozen = state.iter_mut().map(|shard| shard.freeze().thaw(source)).collect();
        let verdicts = Judge::new(source, None, 0).verdicts(source.confidence);
        let around = Around { source, tally: intake.tally(), verdicts, watermark: intake.watermark() };
        rollups.take(frozen, boundary, around, &mut |answer| out.push(answer));
        state.iter_mut().for_each(|shard| rollups.hold(shard));
    }
    out
}

fn cell(answer: &Answer) -> Cell {
    let user = answer.by.first().map_or(String::new(), |(_, key)| format!("{key:?}"));
    (answer.metric.clone(), answer.start.expect("a pane").0 / SECOND, user)
}

/// What was told last of every cell, having checked that revisions only grow.
fn last(left: &[Answer]) -> BTreeMap<Cell, i128> {
    let mut out: BTreeMap<Cell, (u64, i128)> = BTreeMap::new();
    for answer in left {
        let Some(Number::Int(value)) = answer.reading.value else { panic!("{answer:?}") };
        let revision = answer.revision.expect("what leaves has a revision");
        let before = out.insert(cell(answer), (revision, value));
        assert!(before.is_none_or(|(before, _)| before < revision), "twice: {answer:?}");
    }
    out.into_iter().map(|(cell, (_, value))| (cell, value)).collect()
}

/// The same by hand, of the panes that have closed.
fn by_hand(events: &[Event], closed_to: i64) -> BTreeMap<Cell, i128> {
    let mut out = BTreeMap::new();
    for (t, user, number) in events {
        let start = t.div_euclid(60) * 60;
        if start + 60 > closed_to {
            continue;
        }
        for user in [String::new(), format!("{:?}", engine::answer::Key::String(format!("u{user}")))] {
            *out.entry(("hits".into(), start, user.clone())).or_insert(0) += 1;
            *out.entry(("sum".into(), start, user)).or_insert(0) += i128::from(*number);
        }
    }
    out
}

/// SplitMix64 (Steele et al. 2014).
fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)) % below
}

#[test]
fn what_was_told_last_is_a_count_by_hand() {
    let source = source("10s", "1m:2d 1h:30d");
    for seed in 0..40 {
        let mut state = seed;
        // A clock that goes on by up to 4 s; one event in five is up to 400 s behind it, so some are late.
        let mut now = 1_000;
        let events: Vec<Event> = (0..1_500)
            .map(|_| {
                now += random(&mut state, 5) as i64;
                let behind = if random(&mut state, 5) == 0 { random(&mut state, 400) as i64 } else { 0 };
                (now - behind, random(&mut state, 7), random(&mut state, 100) as i64 - 50)
            })
            .collect();
        let clock = events.iter().map(|(t, ..)| *t).max().expect("events");
        let wanted = by_hand(&events, (clock - 10).div_euclid(60) * 60);
        let (shards, often) = (1 + seed as usize % 4, 1 + seed % 9);
        let left = left(&source, &events, shards, often);
        assert!(left.iter().any(|answer| answer.revision > Some(0)), "no correction: seed {seed}");
        assert_eq!(last(&left), wanted, "seed {seed}, {shards} shards, asked after {often} blocks");
    }
}

#[test]
fn a_pane_that_is_forgotten_at_once_leaves_all_the_same() {
    // Panes are kept for a minute, and the clock jumps further than that while nobody asks.
    let source = source("0s", "1m:1m");
    let events: Vec<Event> = (0..2_000).map(|i| (i / 10 * 97, i as u64 % 3, 1)).collect();
    let wanted = by_hand(&events, (199 * 97i64).div_euclid(60) * 60);
    let left = left(&source, &events, 3, 1_000);
    assert_eq!(last(&left), wanted);
}

#[test]
fn a_correction_leaves_though_its_pane_is_forgotten() {
    // A minute closes, is corrected, and the clock jumps so far that it is forgotten before anybody asks.
    let source = source("0s", "1m:10m");
    let mut events: Vec<Event> = (0..120).map(|t| (t, 1, 1)).collect();
    events.extend((0..40).map(|_| (30, 1, 1)));
    events.extend((0..40).map(|i| (10_000 + i, 1, 1)));
    events.push((20_000, 1, 1));
    for often in [1, 2, 3, 100] {
        assert_eq!(last(&left(&source, &events, 1, often)), by_hand(&events, 20_000), "{often}");
    }
}

#[test]
fn any_bytes_are_survived() {
    let mut rollups = Rollups::new(vec![Some(MINUTE), None]);
    let mut whole = Vec::new();
    rollups.snapshot(&mut whole);
    for cut in 0..whole.len() {
        let read = Rollups::restore(vec![Some(MINUTE), None], &mut Reader::new(&whole[..cut]));
        assert!(read.is_err(), "{cut} bytes");
    }
    let mut state = 1;
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..random(&mut state, 60)).map(|_| random(&mut state, 256) as u8).collect();
        if let Ok(read) = Rollups::restore(vec![Some(MINUTE)], &mut Reader::new(&bytes)) {
            rollups = read;
        }
    }
    drop(rollups);
}

#[test]
fn what_is_left_of_panes_does_not_depend_on_when_they_left() {
    let source = source("0s", "1m:2m");
    let events: Vec<Event> = (0..600).map(|n| (1_000 + n, n as u64 % 3, 1)).collect();
    let state = |often: usize| {
        let levels = vec![Some(MINUTE); source.metrics.len()];
        let (mut intake, mut shard) = (Intake::new(&source), Shard::new(&source, u64::MAX));
        let mut rollups = Rollups::new(levels);
        rollups.hold(&mut shard);
        let blocks = events.len().div_ceil(37);
        for (number, events) in events.chunks(37).enumerate() {
            intake.push(batch(number as u64, events)).iter().for_each(|judged| shard.apply(judged));
            if number % often > 0 && number + 1 < blocks {
                continue;
            }
            let boundary = intake.boundary().expect("events with a time");
            shard.advance(boundary);
            let verdicts = Judge::new(&source, None, 0).verdicts(source.confidence);
            let around =
                Around { source: &source, tally: intake.tally(), verdicts, watermark: intake.watermark() };
            let frozen = vec![shard.freeze().thaw(&source)];
            rollups.take(frozen, boundary, around, &mut |_| {});
            rollups.hold(&mut shard);
            shard.let_go();
        }
        let mut bytes = Vec::new();
        shard.snapshot(&source, &mut bytes);
        bytes
    };
    let at_the_end = state(usize::MAX);
    assert!(state(1) == at_the_end && state(3) == at_the_end, "panes stay that have left and are too old");
}

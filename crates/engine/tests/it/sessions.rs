//! Sessions against an oracle that sorts all events of a key and cuts where a pause is too long.

use crate::support::{batch, metric, source, span, time, windows};
use engine::answer::{Answer, List, Number};
use engine::intake::Intake;
use engine::judge::Judge;
use engine::shard::Shard;
use engine::spec::{Measure, Metric, Question, Source};
use engine::state::{Saved, Unmergeable};
use engine::time::SECOND;
use engine::{Guarantee, State};
use sketch::outflow::{Measured, Outflow};
use sketch::{Limits, Reader};
use std::collections::BTreeMap;

const GAP: i64 = 10;
const QUANTILES: [f64; 3] = [0.1, 0.5, 0.9];

type Event = (i64, String);

/// Sessions of the field `user`, so many of which are held.
fn sessions(open_max: usize) -> Measure {
    Measure::Session { field: 0, gap: span("10s"), open_max, bits: 10, at: QUANTILES.to_vec() }
}

fn visits(lateness: &str, open_max: usize) -> Source {
    source(
        time(lateness, None),
        vec![
            metric("events", Measure::Count, vec![vec![]], "60s:1d"),
            metric("visits", sessions(open_max), vec![vec![]], "20s:1h 60s:1d"),
        ],
    )
}

/// Numbers below `n` that a seed decides (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ z >> 31) % n
    }
}

/// Visits of a few users, sorted by time.
fn stream(dice: &mut Dice, n: usize) -> Vec<Event> {
    let mut now = 1_000;
    let mut event = |dice: &mut Dice| {
        now += [0, 0, 1, 1, 2, 9, 30][dice.below(7) as usize];
        (now, format!("u{}", dice.below(6)))
    };
    (0..n).map(|_| event(dice)).collect()
}

/// The same events, each moved by less than so many seconds in the order of arrival.
fn shuffled(dice: &mut Dice, events: &[Event], seconds: u64) -> Vec<Event> {
    let mut keyed: Vec<(i64, Event)> =
        events.iter().map(|event| (event.0 + dice.below(seconds) as i64, event.clone())).collect();
    keyed.sort_by_key(|(arrival, _)| *arrival);
    keyed.into_iter().map(|(_, event)| event).collect()
}

/// What the oracle says: end, duration and events of every session.
fn by_hand(events: &[Event]) -> Vec<(i64, i64, u64)> {
    let mut by_user: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    events.iter().for_each(|(t, user)| by_user.entry(user).or_default().push(*t));
    let mut out = Vec::new();
    for times in by_user.values_mut() {
        times.sort_unstable();
        let (mut start, mut last, mut n) = (times[0], times[0], 0);
        for &t in times.iter() {
            if t - last > GAP {
                out.push((last, last - start, n));
                (start, n) = (t, 0);
            }
            (last, n) = (t, n + 1);
        }
        out.push((last, last - start, n));
    }
    out
}

fn state(source: &Source, files: &[&[Event]], block: usize, shards: usize) -> State {
    let (mut intake, mut judge) = (Intake::new(source), Judge::new(source, None, 1 << 30));
    let mut state: Vec<Shard> = (0..shards).map(|_| Shard::new(source, u64::MAX)).collect();
    let mut number = 0;
    for (partition, events) in files.iter().enumerate() {
        for events in events.chunks(block) {
            for mut judged in intake.push(batch(number, partition as u32, events)) {
                judge.apply(&mut judged);
                state[judged.batch.number as usize % shards].apply(&judged);
            }
            number += 1;
        }
        assert!(intake.finish(partition as u32).is_empty());
    }
    if let Some(watermark) = intake.boundary() {
        state.iter_mut().for_each(|shard| shard.advance(watermark));
    }
    State::new(state, judge, intake.tally(), intake.watermark())
}

fn answers(source: &Source, files: &[&[Event]], block: usize, shards: usize, asked: Question) -> Vec<Answer> {
    state(source, files, block, shards).outlet(source).answers(asked)
}

fn int(number: Option<Number>) -> i128 {
    match number {
        Some(Number::Int(n)) => n,
        other => panic!("{other:?}"),
    }
}

/// Holds the answers about a slice of time against the oracle's sessions of it.
fn check(answers: &[Answer], start: Option<i64>, truth: &[(i64, i64, u64)], exact: bool) {
    let own = |name: &str| {
        let own = |a: &&Answer| a.metric == name && a.start.map(|t| t.0 / SECOND) == start;
        answers.iter().find(own).map(|answer| &answer.reading)
    };
    let Some(visits) = own("visits") else {
        assert!(truth.is_empty() || !exact, "{start:?}: nothing is said of {truth:?}");
        return;
    };
    let (n, low, high) = (int(visits.value), int(visits.low), int(visits.high));
    let true_n = truth.len() as i128;
    assert!(low <= true_n && true_n <= high, "{start:?}: {true_n} is not in [{low}, {high}]");
    assert_eq!(exact, visits.guarantee == Guarantee::Exact && low == high);
    assert!(!exact || n == true_n, "{start:?}: {n} instead of {true_n}");
    let columns: [(&str, Vec<f64>); 2] = [
        ("visits.duration_s", truth.iter().map(|(_, lasts, _)| *lasts as f64).collect()),
        ("visits.events", truth.iter().map(|(.., events)| *events as f64).collect()),
    ];
    for (name, mut values) in columns {
        values.sort_unstable_by(f64::total_cmp);
        let reading = own(name).unwrap();
        let List::Quantiles(quantiles) = &reading.list else { panic!("{reading:?}") };
        for quantile in quantiles.iter().filter(|_| !values.is_empty()) {
            let rank = (quantile.q * values.len() as f64).ceil().max(1.0) as usize;
            let truth = values[rank - 1];
            assert!(quantile.low.unwrap() <= truth, "{start:?} {name} {truth}: {quantile:?}");
            assert!(quantile.high.is_none_or(|high| truth <= high), "{start:?} {name} {truth}: {quantile:?}");
            assert!(!exact || quantile.high.is_some());
        }
    }
}

/// The total, and the windows of a minute by the last event.
fn check_all(
    source: &Source,
    files: &[&[Event]],
    block: usize,
    shards: usize,
    events: &[Event],
    exact: bool,
) {
    let truth = by_hand(events);
    check(&answers(source, files, block, shards, Question::Total), None, &truth, exact);
    let found = answers(source, files, block, shards, windows("60s", "60s"));
    let starts = truth.iter().map(|(end, ..)| end.div_euclid(60) * 60);
    for start in starts.collect::<std::collections::BTreeSet<i64>>() {
        let within: Vec<(i64, i64, u64)> =
            truth.iter().copied().filter(|(end, ..)| end.div_euclid(60) * 60 == start).collect();
        check(&found, Some(start), &within, exact);
    }
}

#[test]
fn shuffled_within_lateness_the_table_is_that_of_sorted_input_at_any_block_size_and_shards() {
    let mut dice = Dice(1);
    for round in 0..40 {
        let n = 20 + dice.below(400) as usize;
        let events = stream(&mut dice, n);
        let source = visits("30s", 1_000);
        let sorted = answers(&source, &[&events], 1_000, 1, Question::Total);
        let mixed = shuffled(&mut dice, &events, 30);
        for (block, shards) in [(1_000, 1), (1, 1), (7, 3), (50, 2)] {
            let got = answers(&source, &[&mixed], block, shards, Question::Total);
            let about = |answers: &[Answer]| -> Vec<Answer> {
                answers.iter().filter(|answer| answer.metric.starts_with("visits")).cloned().collect()
            };
            assert_eq!(about(&sorted), about(&got), "round {round}, blocks of {block}, {shards} shards");
            check_all(&source, &[&mixed], block, shards, &events, true);
        }
    }
}

#[test]
fn while_those_fit_that_are_open_settled_ones_make_room_and_nothing_is_lost() {
    let mut dice = Dice(2);
    for _ in 0..40 {
        let events = stream(&mut dice, 600);
        // Six users, each with a session and at most three that are not settled yet, because of lateness.
        let mixed = shuffled(&mut dice, &events, 20);
        let source = visits("20s", 24);
        let state = state(&source, &[&mixed], 50, 2);
        assert!(state.holdings().last().unwrap().memory_bytes > 0);
        check_all(&source, &[&mixed], 50, 2, &events, true);
    }
}

#[test]
fn files_that_follow_one_another_and_cover_the_same_time_have_common_sessions() {
    let mut dice = Dice(3);
    for _ in 0..20 {
        let events = stream(&mut dice, 400);
        let (one, other): (Vec<Event>, Vec<Event>) = events.iter().cloned().partition(|_| dice.below(2) == 0);
        check_all(&visits("0s", 1_000), &[&one, &other], 30, 2, &events, true);
    }
}

#[test]
fn what_comes_too_late_for_what_has_left_is_counted_and_within_the_bounds() {
    let (mut dice, mut late, mut cut) = (Dice(4), 0, 0);
    for _ in 0..300 {
        let n = 100 + dice.below(300) as usize;
        let events = stream(&mut dice, n);
        let (open_max, apart) = (1 + dice.below(12) as usize, 1 + dice.below(120));
        let mixed = shuffled(&mut dice, &events, apart);
        let source = visits(["0s", "5s", "60s"][dice.below(3) as usize], open_max);
        let outlet = state(&source, &[&mixed], 20, 1).outlet(&source);
        let doubts = outlet.session_doubts();
        (late, cut) = (late + doubts.late, cut + doubts.cut);
        check_all(&source, &[&mixed], 20, 1, &events, doubts.late + doubts.cut == 0);
        let counted = |reason: &str| {
            let of = |a: &Answer| a.metric == "sg.source" && format!("{:?}", a.by).contains(reason);
            outlet.answers(Question::Total).into_iter().find(of).map_or(0, |a| int(a.reading.value) as u64)
        };
        assert_eq!((counted("session_late"), counted("session_cut")), (doubts.late, doubts.cut));
    }
    assert!(late > 1_000 && cut > 1_000, "{late} late, {cut} cut");
}

#[test]
fn a_machine_that_was_saved_at_any_block_goes_on_as_if_nothing_had_happened() {
    let mut dice = Dice(5);
    for open_max in [3, 20, 500] {
        let events = stream(&mut dice, 300);
        let mixed = shuffled(&mut dice, &events, 40);
        let source = visits("15s", open_max);
        let mut intake = Intake::new(&source);
        let mut whole = Judge::new(&source, None, 1 << 30);
        let mut broken = Judge::new(&source, None, 1 << 30);
        let bytes = |judge: &Judge| {
            let mut bytes = Vec::new();
            judge.snapshot(&mut bytes);
            bytes
        };
        for (number, events) in mixed.chunks(13).enumerate() {
            for mut judged in intake.push(batch(number as u64, 0, events)) {
                whole.apply(&mut judged.clone());
                broken.apply(&mut judged);
            }
            let saved = bytes(&broken);
            let (frozen, mut pieces) = (broken.freeze(), Vec::new());
            let write = |out: &mut Outflow<'_>| frozen.send(out);
            Measured::of(write).send(&mut |piece| pieces.extend_from_slice(piece), write);
            assert!(pieces == saved, "in pieces it is the same");
            let mut r = Reader::new(&saved);
            broken = Judge::restore(&source, None, &mut r, &Limits::bytes(1 << 20)).unwrap();
            r.finish().unwrap();
            assert_eq!(bytes(&whole), bytes(&broken));
            assert!(Judge::restore(&source, None, &mut Reader::new(&saved), &Limits::bytes(90)).is_err());
        }
    }
}

#[test]
fn states_merge_while_nothing_has_left_that_may_go_on() {
    let mut dice = Dice(6);
    for _ in 0..20 {
        let events = stream(&mut dice, 300);
        let (one, other): (Vec<Event>, Vec<Event>) = events.iter().cloned().partition(|_| dice.below(2) == 0);
        let source = visits("0s", 1_000);
        let mut ours = state(&source, &[&one], 30, 1);
        ours.absorb(&source, state(&source, &[&other], 30, 2)).unwrap();
        let saved = Saved::of(&ours, &source);
        let again = saved.restore(&source, &Limits::bytes(1 << 24)).unwrap();
        check(&again.outlet(&source).answers(Question::Total), None, &by_hand(&events), true);
        check(&ours.outlet(&source).answers(Question::Total), None, &by_hand(&events), true);
    }
}

#[test]
fn states_that_let_sessions_leave_merge_only_when_they_lie_apart_in_time() {
    let mut dice = Dice(7);
    let source = visits("0s", 16);
    let early = stream(&mut dice, 300);
    let end = early.last().unwrap().0;
    let moved = |by: i64| early.iter().map(|(t, user)| (t + by, user.clone())).collect::<Vec<Event>>();
    let next = moved(end);
    let mut ours = state(&source, &[&next], 30, 1);
    ours.absorb(&source, state(&source, &[&early], 30, 1)).unwrap();
    let all: Vec<Event> = early.iter().chain(&next).cloned().collect();
    check(&ours.outlet(&source).answers(Question::Total), None, &by_hand(&all), true);
    // Half of it at the same time: what has left there may go on here.
    let mut ours = state(&source, &[&early], 30, 1);
    let refused = ours.absorb(&source, state(&source, &[&moved(end / 4)], 30, 1)).unwrap_err();
    assert_eq!(refused, Unmergeable::Sessions("visits".into()));
    assert!(refused.to_string().contains("Raise `open`"), "{refused}");
    check(&ours.outlet(&source).answers(Question::Total), None, &by_hand(&early), true);
}

#[test]
fn a_ring_and_a_filter_and_keys_that_are_missing() {
    let mut dice = Dice(8);
    let events: Vec<Event> = stream(&mut dice, 200);
    let with_nobody: Vec<Event> = events.iter().flat_map(|e| [e.clone(), (e.0, String::new())]).collect();
    let mut source = visits("0s", 100);
    check_all(&source, &[&with_nobody], 30, 1, &events, true);
    source.metrics[1] = Metric { total: false, ..metric("visits", sessions(100), vec![vec![]], "20s:100s") };
    let kept = answers(&source, &[&events], 30, 1, Question::Total);
    let ring = kept.iter().find(|answer| answer.metric == "visits").unwrap();
    let (start, end) = (ring.start.unwrap().0 / SECOND, ring.end.unwrap().0 / SECOND);
    let within = by_hand(&events).into_iter().filter(|(at, ..)| (start..end).contains(at)).count();
    assert_eq!(int(ring.reading.value), within as i128);
    assert!(end - start <= 140, "{start} to {end}");
}

#[test]
fn sessions_are_complete_a_gap_after_events() {
    let source = visits("5s", 100);
    let events = [(100, "a".to_string()), (200, "b".to_string())];
    let all = answers(&source, &[&events], 10, 1, Question::Total);
    let complete =
        |name: &str| all.iter().find(|a| a.metric == name).unwrap().complete_to.unwrap().0 / SECOND;
    assert_eq!((complete("events"), complete("visits"), complete("visits.events")), (195, 185, 185));
}

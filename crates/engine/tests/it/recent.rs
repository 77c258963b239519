//! A `seen` that forgets, against a model that keeps every key with its time.

use crate::support::{metric, time};
use arrow_array::{Array, StringArray};
use engine::answer::{Answer, Number, Reading};
use engine::batch::Batch;
use engine::column::Column;
use engine::intake::Intake;
use engine::judge::Judge;
use engine::shard::Shard;
use engine::spec::{Later, Measure, Metric, Question, Source, Step};
use engine::state::{Saved, State};
use engine::time::{SECOND, Span, Time};
use engine::{Engine, Guarantee};
use proptest::prelude::*;
use sketch::Limits;

const KEEP: i64 = 300;
const LATENESS: i64 = 60;

/// `again = seen(user)` over the last five minutes, and what it lets through.
fn source(keys: u64, rate: f64, ahead: Option<&str>) -> Source {
    let keep = Some(Span(KEEP * SECOND));
    let mut source = crate::support::source(
        time("60s", ahead),
        vec![
            metric("again", Measure::Seen { field: 0, keys, rate, keep }, vec![vec![]], ""),
            metric("returning", Measure::Count, vec![vec![]], "60s:1d"),
        ],
    );
    source.steps = vec![Step::Judge { metric: 0 }];
    source.metrics[1].filter = Some(source.column_of_verdict(0));
    source
}

type Event = (i64, Option<u32>);

fn batch(number: u64, events: &[Event]) -> Batch {
    let users: StringArray = events.iter().map(|(_, user)| user.map(|user| format!("k{user}"))).collect();
    Batch {
        rows: events.len(),
        times: events.iter().map(|(t, _)| Time(t * SECOND)).collect(),
        columns: vec![Column::String(users)],
        lines: events.len() as u64,
        ..Batch::empty(0, number)
    }
}

struct Run {
    verdicts: Vec<Option<bool>>,
    state: State,
}

impl Run {
    fn answers(self, source: &Source) -> Vec<Answer> {
        self.state.outlet(source).answers(Question::Total)
    }
}

fn run(source: &Source, events: &[Event], block: usize, shards: usize) -> Run {
    let mut intake = Intake::new(source);
    let mut judge = Judge::new(source, None, 0);
    let mut state: Vec<Shard> = (0..shards).map(|_| Shard::new(source, u64::MAX)).collect();
    let mut ready = Vec::new();
    for (number, events) in events.chunks(block).enumerate() {
        ready.extend(intake.push(batch(number as u64, events)));
    }
    ready.extend(intake.finish(0));
    let mut verdicts = Vec::new();
    for mut judged in ready {
        judge.apply(&mut judged);
        let column = judged.batch.columns[1].as_bool().expect("a verdict");
        verdicts.extend((0..column.len()).map(|row| column.is_valid(row).then(|| column.value(row))));
        state[judged.batch.number as usize % shards].apply(&judged);
    }
    if let Some(watermark) = intake.boundary() {
        state.iter_mut().for_each(|shard| shard.advance(watermark));
    }
    Run { verdicts, state: State::new(state, judge, intake.tally(), intake.watermark()) }
}

fn reading<'a>(answers: &'a [Answer], metric: &str) -> &'a Reading {
    &answers.iter().find(|answer| answer.metric == metric).expect("asked").reading
}

fn counter(answers: &[Answer], reason: &str) -> Option<Number> {
    let of = |answer: &&Answer| format!("{:?}", answer.by).contains(&format!("\"{reason}\""));
    answers.iter().find(of).and_then(|answer| answer.reading.value)
}

/// Whether the key came `keep` before, by its times alone; `None` where the edge of a bucket may decide.
fn plainly(before: &[Event], event: Event, bucket: i64) -> Option<bool> {
    let ages = before.iter().filter(|other| other.1 == event.1).map(|other| event.0 - other.0);
    let (mut known, mut open) = (false, false);
    for age in ages {
        known |= (0..=KEEP).contains(&age);
        open |= (-bucket + 1..KEEP + bucket).contains(&age);
    }
    if known { Some(true) } else { (!open).then_some(false) }
}

/// Events apart by up to some seconds, each up to a minute out of order, with pauses.
fn some_events() -> impl Strategy<Value = Vec<Event>> {
    let event = (0i64..40, 0i64..LATENESS, prop::option::weighted(0.9, 0u32..30));
    prop::collection::vec(event, 1..400).prop_map(|raw| {
        let mut now = -5_000;
        let mut event = |(step, back, user): (i64, i64, Option<u32>)| {
            now += if step == 39 { 400 } else { step / 2 };
            (now - back, user)
        };
        raw.into_iter().map(&mut event).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Within lateness every event with a key is judged; a key is known for five minutes, and new again a bucket later.
    #[test]
    fn a_key_is_known_as_long_as_it_is_kept_and_then_new_again(events in some_events(), block in 1usize..200) {
        let source = source(10_000, 0.01, None);
        let one = run(&source, &events, 1_000, 1);
        for (n, (event, verdict)) in events.iter().zip(&one.verdicts).enumerate() {
            prop_assert_eq!(verdict.is_some(), event.1.is_some(), "event {}", n);
            if let (Some(_), Some(truth)) = (event.1, plainly(&events[..n], *event, 30)) {
                prop_assert_eq!(*verdict, Some(truth), "event {} of {:?}", n, events);
            }
        }
        let fresh = one.verdicts.iter().filter(|verdict| **verdict == Some(false)).count() as i128;
        let known = one.verdicts.iter().filter(|verdict| **verdict == Some(true)).count() as i128;
        let told = one.verdicts.clone();
        let answers = one.answers(&source);
        let first_times = reading(&answers, "again");
        prop_assert!(first_times.is_exact() && first_times.value == Some(Number::Int(fresh)), "{:?}", first_times);
        prop_assert_eq!(reading(&answers, "returning").value, Some(Number::Int(known)));
        prop_assert_eq!(counter(&answers, "verdict_unknown"), None);
        for shards in [1, 3] {
            let many = run(&source, &events, block, shards);
            prop_assert_eq!(&many.verdicts, &told);
            prop_assert_eq!(&many.answers(&source), &answers, "{} shards", shards);
        }
    }

    /// A state that was kept is the state: same bytes, same answers.
    #[test]
    fn a_filter_that_was_kept_goes_on_as_it_was(events in some_events(), keys in 1u64..200) {
        let source = source(keys, 0.1, Some("1h"));
        let state = run(&source, &events, 50, 1).state;
        let saved = Saved::of(&state, &source);
        let restored = saved.restore(&source, &Limits::default()).expect("our own bytes");
        prop_assert_eq!(Saved::of(&restored, &source), saved);
        prop_assert_eq!(
            restored.outlet(&source).answers(Question::Total),
            state.outlet(&source).answers(Question::Total)
        );
    }
}

#[test]
fn the_length_of_a_bucket_is_the_resolution() {
    let source = source(10_000, 0.01, None);
    let size = source.recent_size(10_000, 0.01, Span(KEEP * SECOND)).expect("a size");
    assert_eq!((size.bucket, size.forgotten_after()), (Span(30 * SECOND), Span(330 * SECOND)));
    let known = |first: i64, then: i64| run(&source, &[(first, Some(1)), (then, Some(1))], 9, 1).verdicts[1];
    // From the end of a bucket it is kept for five minutes and a little, from its beginning almost a bucket longer.
    assert_eq!((known(29, 329), known(29, 330)), (Some(true), Some(false)));
    assert_eq!((known(0, 329), known(0, 330)), (Some(true), Some(false)));
    // What is later in event time was not there before; within a bucket nobody can tell.
    assert_eq!((known(60, 59), known(89, 60)), (Some(false), Some(true)));
}

/// What looks back further than is held gets no verdict, so that `no` stays certain, and the bounds say so.
#[test]
fn an_event_too_late_to_be_judged_has_no_verdict() {
    let source = source(10_000, 0.01, None);
    // A late one that is found is known all the same; one that is not might have come in what is forgotten.
    let events = [
        (0, Some(1)),
        (1_000, Some(2)),
        (1_300, Some(3)),
        (1_000, Some(2)),
        (1_000, Some(4)),
        (500, Some(1)),
    ];
    let run = run(&source, &events, 2, 1);
    assert_eq!(run.verdicts[..4], [Some(false), Some(false), Some(false), Some(true)]);
    assert_eq!(run.verdicts[4..], [None, None]);
    let answers = run.answers(&source);
    let again = reading(&answers, "again");
    let int = |n| Some(Number::Int(n));
    assert_eq!((again.value, again.low, again.high), (int(3), int(3), int(5)));
    assert_eq!(again.guarantee, Guarantee::Proven);
    assert_eq!(counter(&answers, "verdict_unknown"), int(2));
}

/// Records from the far future neither wipe out what is remembered nor are remembered, until the clock follows.
#[test]
fn records_beyond_ahead_do_not_make_it_forget() {
    let source = source(10_000, 0.01, Some("1h"));
    let steady = |from: i64, n: i64| (0..n).map(move |i| (from + i, Some(i as u32 % 10)));
    let mut events: Vec<Event> = steady(0, 40).collect();
    events.push((9_000_000, Some(3)));
    events.extend(steady(40, 20));
    let verdicts = run(&source, &events, 7, 1).verdicts;
    assert_eq!(verdicts[40], None, "of what is far ahead nobody knows");
    assert!(verdicts[41..].iter().all(|verdict| *verdict == Some(true)), "{verdicts:?}");
    // Thirty-two that agree are a gap: then the clock is there, and all keys are new once.
    events.extend(steady(9_000_000, 80));
    let verdicts = run(&source, &events, 7, 1).verdicts;
    let after = &verdicts[61..];
    assert!(after[..31].iter().all(Option::is_none), "{after:?}");
    assert_eq!(after.iter().filter(|verdict| **verdict == Some(false)).count(), 10, "{after:?}");
}

#[test]
fn what_is_left_out_as_late_is_told_and_not_remembered() {
    let mut source = source(10_000, 0.01, None);
    source.time.as_mut().expect("has time").later = Later::Drop;
    let events = [(880, Some(5)), (1_000, Some(1)), (900, Some(2)), (1_000, Some(2)), (900, Some(5))];
    let run = run(&source, &events, 9, 1);
    assert_eq!(run.verdicts, [Some(false), Some(false), None, Some(false), Some(true)]);
    assert_eq!(counter(&run.answers(&source), "verdict_unknown"), None, "what is left out asks for nothing");
}

/// SplitMix64 (Steele et al. 2014).
fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (*state ^ *state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ z >> 31) % below
}

/// Of 300 trials that fail with 5 % at most, more than 36 fail in one of 10^6 honest runs (binomial).
#[test]
fn full_filters_stay_within_their_bounds() {
    for (keys, rate, crowd) in [(400, 0.05, 4_000), (2_000, 0.2, 2_000), (400, 0.01, 3_000)] {
        let source = source(keys, rate, None);
        let (mut missed, mut missed_count, mut wrong, mut asked) = (0, 0, 0u64, 0u64);
        for seed in 0..300u64 {
            let mut state = seed;
            let event = |i: i64| {
                let user = random(&mut state, crowd) as u32;
                (i / 3 - random(&mut state, LATENESS as u64) as i64, Some(seed as u32 * 100_000 + user))
            };
            let events: Vec<Event> = (10_000..13_600).map(event).collect();
            // The same with a filter that is large enough to be exact.
            let exact = run(&crate::recent::source(1_000_000, 1e-6, None), &events, 500, 1);
            let run = run(&source, &events, 500, 2);
            let pairs = || exact.verdicts.iter().zip(&run.verdicts);
            assert!(
                pairs().all(|(truth, told)| *truth != Some(true) || *told == Some(true)),
                "no is certain"
            );
            let fresh = exact.verdicts.iter().filter(|truth| **truth == Some(false)).count();
            wrong += pairs().filter(|(truth, told)| truth != told).count() as u64;
            asked += fresh as u64;
            let answers = run.answers(&source);
            let holds = |reading: &Reading, truth: usize| {
                let (low, high) = (reading.low.expect("bounded"), reading.high.expect("bounded"));
                (low.as_f64()..=high.as_f64()).contains(&(truth as f64))
            };
            missed += u64::from(!holds(reading(&answers, "again"), fresh));
            missed_count += u64::from(!holds(reading(&answers, "returning"), events.len() - fresh));
        }
        let share = wrong as f64 / asked as f64;
        assert!(share > 0.0, "the filters are full enough to be wrong");
        assert!(
            missed <= 36 && missed_count <= 36,
            "{keys} @ {rate}: {missed} and {missed_count} outside, {share}"
        );
    }
}

/// As many keys as asked for, evenly spread, are wrong no more often than asked; with ten times as many it says so.
#[test]
fn the_rate_is_the_one_asked_for_up_to_its_size() {
    for (times, degraded) in [(1, false), (10, true)] {
        let source = source(3_000, 0.01, None);
        // Each key once: ten seconds hold a hundred of the three thousand of five minutes.
        let each = 10 * times;
        let events: Vec<Event> =
            (0..6_000 * times).map(|i| (10_000 + i64::from(i / each), Some(i as u32))).collect();
        let run = run(&source, &events, 1_000, 1);
        let wrong = run.verdicts.iter().filter(|verdict| **verdict == Some(true)).count() as f64;
        let answers = run.answers(&source);
        let again = reading(&answers, "again");
        let rate = again.false_positive_rate.expect("a filter");
        assert_eq!(counter(&answers, "verdict_degraded").is_some(), degraded);
        // Six thousand at 1 %: 60 and four deviations.
        assert_eq!(wrong > 91.0 * f64::from(times), degraded, "{wrong} at {rate}");
        assert_eq!(rate > 0.01, degraded, "{rate}");
    }
}

#[test]
fn one_that_forgets_takes_its_size_and_leaves_the_rest() {
    let source = source(100_000, 0.01, None);
    let ring = source.recent_size(100_000, 0.01, Span(KEEP * SECOND)).expect("a size").ring;
    assert_eq!(Judge::share_of(&source, 1 << 30), ring.filter_bytes());
    let mut grows = source.clone();
    let forever = Measure::Seen { field: 0, keys: 64, rate: 0.1, keep: None };
    grows.metrics.push(Metric { measure: forever, ..source.metrics[0].clone() });
    assert!(Judge::share_of(&grows, 1 << 30) > 1 << 29);
    let mut engine = Engine::new(&source, None, 2, 1 << 20).expect("no header");
    for number in 0..20 {
        let events: Vec<Event> =
            (0..1_000).map(|i| (number * 10, Some((number * 1_000 + i) as u32))).collect();
        engine.push_batch(batch(number as u64, &events));
    }
    let state = engine.into_state();
    let held = state.holdings().into_iter().find(|held| held.metric == 0).expect("a filter").memory_bytes;
    assert!((ring.filter_bytes() as usize..ring.filter_bytes() as usize + 4_096).contains(&held), "{held}");
}

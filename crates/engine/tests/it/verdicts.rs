//! Verdicts, and what is measured of them, against a model that remembers every key.

use crate::support::{metric, time, windows};
use arrow_array::{Array, BooleanArray, StringArray};
use engine::answer::{Answer, Key, List, Number};
use engine::batch::Batch;
use engine::column::Column;
use engine::compute::{Compute, ComputeError, Exploded};
use engine::intake::Intake;
use engine::judge::Judge;
use engine::outlet::Outlet;
use engine::shard::Shard;
use engine::spec::{Field, Kind, Later, Measure, Metric, Question, Source, Step};
use engine::time::{SECOND, Time};
use engine::{Engine, Guarantee};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

#[derive(Debug, Clone)]
struct Event {
    second: i64,
    user: Option<u32>,
    page: Option<u32>,
    flag: Option<bool>,
}

const USER: usize = 0;
const PAGE: usize = 1;
const FLAG: usize = 2;
const AGAIN: usize = 3;
const FRESH: usize = 4;
const KNOWN: usize = 5;
const STALE: usize = 6;

/// `fresh = not again` and `stale = not known`.
#[derive(Debug)]
struct Negate;

impl Compute for Negate {
    fn columns(&self, step: usize, columns: &[Column], _rows: usize) -> Result<Vec<Column>, ComputeError> {
        let of = columns[if step == 1 { AGAIN } else { KNOWN }].as_bool().expect("a verdict");
        Ok(vec![Column::Bool(of.iter().map(|verdict| verdict.map(|v| !v)).collect::<BooleanArray>())])
    }

    fn explode(&self, _columns: &[Column], _rows: usize) -> Result<Exploded, ComputeError> {
        unreachable!("nothing explodes")
    }
}

/// Two verdicts, of which the second takes in the pages that new users come to: `again = seen(user)` and
/// `known = seen(page) filter (where not again)`; and measures of them.
fn watched(keys: u64, rate: f64, where_flag: bool, later: Later) -> Source {
    let count = |name, filter| Metric { filter, ..metric(name, Measure::Count, vec![vec![]], "60s:1d") };
    let seen = |name, field, filter| Metric {
        filter,
        ..metric(name, Measure::Seen { field, keys, rate, keep: None }, vec![vec![]], "")
    };
    let mut metrics = vec![
        seen("again", USER, where_flag.then_some(FLAG)),
        seen("known", PAGE, Some(FRESH)),
        Metric {
            filter: Some(AGAIN),
            ..metric("returning", Measure::Count, vec![vec![], vec![FLAG]], "60s:1d")
        },
        count("fresh", Some(FRESH)),
        Metric {
            filter: Some(AGAIN),
            ..metric("users", Measure::Unique { field: USER, lg_k: 12 }, vec![vec![]], "60s:1d")
        },
        Metric {
            filter: Some(FRESH),
            ..metric(
                "pages",
                Measure::Top { field: PAGE, k: 20, counters: 4096, weight: None },
                vec![vec![]],
                "60s:1d",
            )
        },
        metric("by_verdict", Measure::Count, vec![vec![AGAIN]], "60s:1d"),
        count("second", Some(KNOWN)),
        count("stale", Some(STALE)),
        count("all", None),
    ];
    metrics.iter_mut().for_each(|m| m.total = true);
    let field = |path: &str, kind| Field { path: path.into(), kind };
    let mut time = time("60s", None);
    time.as_mut().expect("has time").later = later;
    Source {
        fields: vec![field("user", Kind::String), field("page", Kind::String), field("flag", Kind::Bool)],
        steps: vec![
            Step::Judge { metric: 0 },
            Step::Compute(vec![field("fresh", Kind::Bool)]),
            Step::Judge { metric: 1 },
            Step::Compute(vec![field("stale", Kind::Bool)]),
        ],
        time,
        metrics,
        ..crate::support::source(None, Vec::new())
    }
}

fn batch(number: u64, events: &[Event]) -> Batch {
    let text = |pick: fn(&Event) -> Option<u32>| -> StringArray {
        events.iter().map(|event| pick(event).map(|key| format!("k{key}"))).collect()
    };
    Batch {
        rows: events.len(),
        times: events.iter().map(|event| Time(event.second * SECOND)).collect(),
        columns: vec![
            Column::String(text(|event| event.user)),
            Column::String(text(|event| event.page)),
            Column::Bool(events.iter().map(|event| event.flag).collect()),
        ],
        lines: events.len() as u64,
        ..Batch::empty(0, number)
    }
}

/// Verdicts of both metrics, by event, and the answers.
struct Run {
    verdicts: Vec<(Option<bool>, Option<bool>)>,
    answers: Vec<Answer>,
    degraded: usize,
}

fn run(
    source: &Source,
    events: &[Event],
    block: usize,
    shards: usize,
    bytes: u64,
    question: Question,
) -> Run {
    let mut intake = Intake::new(source);
    let mut judge = Judge::new(source, Some(Arc::new(Negate)), bytes);
    let mut state: Vec<Shard> = (0..shards).map(|_| Shard::new(source, u64::MAX)).collect();
    let mut verdicts = Vec::new();
    let mut ready = Vec::new();
    for (number, events) in events.chunks(block).enumerate() {
        ready.extend(intake.push(batch(number as u64, events)));
    }
    ready.extend(intake.finish(0));
    for mut judged in ready {
        judge.apply(&mut judged);
        let of = |column: usize| judged.batch.columns[column].as_bool().expect("a verdict").clone();
        let told = |array: &BooleanArray, row| array.is_valid(row).then(|| array.value(row));
        let (again, known) = (of(AGAIN), of(KNOWN));
        verdicts.extend((0..judged.batch.rows).map(|row| (told(&again, row), told(&known, row))));
        state[judged.batch.number as usize % shards].apply(&judged);
    }
    if let Some(watermark) = intake.boundary() {
        state.iter_mut().for_each(|shard| shard.advance(watermark));
    }
    let found = judge.verdicts(source.confidence);
    let degraded = found.degraded.len();
    let outlet = Outlet::new(source, state, intake.tally(), intake.watermark()).with_verdicts(found);
    Run { verdicts, answers: outlet.answers(question), degraded }
}

/// What is true of an event.
struct Truth<'a> {
    event: &'a Event,
    again: Option<bool>,
    known: Option<bool>,
    enters: bool,
}

/// The model: sets of all keys. A late event is told and, where late events are left out, not taken in.
fn truth<'a>(events: &'a [Event], where_flag: bool, later: Later) -> Vec<Truth<'a>> {
    let (mut users, mut pages) = (BTreeSet::new(), BTreeSet::new());
    let mut clock = i64::MIN;
    let judge = |event: &'a Event| {
        let late = clock > event.second && event.second < clock - 60;
        clock = clock.max(event.second);
        let enters = !late || later == Later::Correct;
        let again = event.user.map(|user| users.contains(&user));
        if enters && (!where_flag || event.flag == Some(true)) {
            users.extend(event.user);
        }
        let known = event.page.map(|page| pages.contains(&page));
        if enters && again == Some(false) {
            pages.extend(event.page);
        }
        Truth { event, again, known, enters }
    };
    events.iter().map(judge).collect()
}

/// The events that an answer is about, as far as its window and group go.
fn about<'t, 'a>(truth: &'t [Truth<'a>], answer: &Answer) -> Vec<&'t Truth<'a>> {
    let inside = |t: &&Truth<'_>| {
        let at = Time(t.event.second * SECOND);
        t.enters && answer.start.is_none_or(|start| start <= at) && answer.end.is_none_or(|end| at < end)
    };
    let is = |verdict: Option<bool>, key: &Key| match (verdict, key) {
        (None, Key::Null) => true,
        (Some(verdict), Key::Bool(b)) => verdict == *b,
        _ => false,
    };
    let of_group = |t: &&Truth<'_>| match answer.by.first() {
        None => true,
        Some((name, key)) if name == "again" => is(t.again, key),
        Some((_, key)) => is(t.event.flag, key),
    };
    truth.iter().filter(inside).filter(of_group).collect()
}

fn int(number: Option<Number>) -> Option<i128> {
    number.map(|n| match n {
        Number::Int(i) => i,
        Number::Float(f) => panic!("{f} is no integer"),
    })
}

/// What is true of a number; `None` for lists.
fn number(truth: &[Truth<'_>], answer: &Answer) -> Option<i128> {
    let mine = about(truth, answer);
    let count = |holds: fn(&Truth<'_>) -> bool| mine.iter().filter(|t| holds(t)).count() as i128;
    let distinct = |keys: BTreeSet<u32>| keys.len() as i128;
    Some(match answer.metric.as_str() {
        "all" | "by_verdict" => count(|_| true),
        "returning" => count(|t| t.again == Some(true)),
        "fresh" => count(|t| t.again == Some(false)),
        "second" => count(|t| t.known == Some(true)),
        "stale" => count(|t| t.known == Some(false)),
        "users" => {
            distinct(mine.iter().filter(|t| t.again == Some(true)).filter_map(|t| t.event.user).collect())
        }
        _ => return None,
    })
}

/// Whether the bounds hold the truth. Promises of another kind are kept in any case.
fn holds(truth: &[Truth<'_>], answer: &Answer) -> bool {
    let reading = &answer.reading;
    assert_eq!(reading.is_exact(), answer.metric == "all", "never exact behind a verdict: {answer:?}");
    if let List::Items(items) = &reading.list {
        let mine = about(truth, answer);
        return items.iter().all(|item| {
            let Key::String(key) = &item.item else { panic!("pages are text: {item:?}") };
            let is_it = |t: &&&Truth<'_>| {
                t.again == Some(false) && t.event.page.is_some_and(|page| format!("k{page}") == *key)
            };
            let n = mine.iter().filter(is_it).count() as u64;
            reading.guarantee == Guarantee::None || (item.low..=item.high).contains(&n)
        });
    }
    let Some(truth) = number(truth, answer) else { return true };
    if reading.guarantee == Guarantee::None {
        assert_eq!((reading.low, reading.high, reading.confidence), (None, None, 0.0));
        return true;
    }
    let (low, high) = (int(reading.low).expect("bounded"), int(reading.high).expect("bounded"));
    assert!((low..=high).contains(&int(reading.value).expect("a number")), "{answer:?}");
    low <= truth && truth <= high
}

fn measured(answers: &[Answer]) -> impl Iterator<Item = &Answer> {
    answers.iter().filter(|a| !["sg.source", "again", "known"].contains(&a.metric.as_str()))
}

const LATER: [Later; 3] = [Later::Correct, Later::Drop, Later::Quarantine];

/// Seconds back, user, page and flag.
type Drawn = (i64, Option<u32>, Option<u32>, Option<bool>);

fn some_events() -> impl Strategy<Value = Vec<Event>> {
    let key = || prop::option::weighted(0.9, 0u32..60);
    let event = (0i64..200, key(), key(), prop::option::weighted(0.8, any::<bool>()));
    prop::collection::vec(event, 1..500).prop_map(|raw| {
        let event = |(i, (back, user, page, flag)): (usize, Drawn)| Event {
            second: 1000 + 3 * i as i64 - back,
            user,
            page,
            flag,
        };
        raw.into_iter().enumerate().map(event).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// While the keys are few, every verdict is the model's and every bound is tight, whatever the shards and blocks.
    #[test]
    fn few_keys_are_judged_without_error(events in some_events(), block in 1usize..200, where_flag: bool, later in 0usize..3) {
        let later = LATER[later];
        let source = watched(10_000, 0.01, where_flag, later);
        let truth = truth(&events, where_flag, later);
        for question in [Question::Total, windows("60s", "60s"), windows("180s", "60s")] {
            let one = run(&source, &events, 1000, 1, 1 << 20, question);
            let told: Vec<_> = truth.iter().map(|t| (t.again, t.known)).collect();
            prop_assert_eq!(&one.verdicts, &told);
            for answer in measured(&one.answers) {
                prop_assert!(holds(&truth, answer), "{:?}", answer);
                let r = &answer.reading;
                prop_assert!(r.low == r.value && r.value == r.high, "no doubt yet: {:?}", answer);
                let somebody = number(&truth, answer) != Some(0) || (answer.start.is_none() && answer.by.is_empty());
                prop_assert!(somebody, "nobody entered {:?}", answer);
            }
            for shards in [1, 2, 7] {
                let many = run(&source, &events, block, shards, 1 << 20, question);
                prop_assert_eq!(&many.verdicts, &told, "{} shards", shards);
                prop_assert_eq!(&many.answers, &one.answers, "{} shards, blocks of {}", shards, block);
            }
        }
    }

    /// Verdicts of full filters depend on the order of events alone.
    #[test]
    fn shards_and_blocks_change_no_verdict(seed: u64, block in 1usize..300, chained: bool) {
        let source = watched(64, 0.05, false, Later::Correct);
        let events = crowd(seed, 1500);
        let bytes = if chained { 1 << 20 } else { 0 };
        let one = run(&source, &events, 1500, 1, bytes, windows("60s", "60s"));
        prop_assert_eq!(one.degraded == 0, chained);
        for shards in [1, 2, 7] {
            let many = run(&source, &events, block, shards, bytes, windows("60s", "60s"));
            prop_assert_eq!(&many.verdicts, &one.verdicts);
            prop_assert_eq!(&many.answers, &one.answers, "{} shards", shards);
        }
    }
}

/// A generator of numbers for events that need no shrinking (SplitMix64, Steele et al. 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 33) as u32 % n
    }
}

/// More users and pages than small filters take; time runs with some late events.
fn crowd(seed: u64, n: usize) -> Vec<Event> {
    let mut random = Random(seed);
    let mut event = |i: usize| Event {
        second: 10_000 + i as i64 - i64::from(random.below(100)),
        user: (random.below(20) > 0)
            .then(|| random.below(600).wrapping_add((seed as u32).wrapping_mul(1000))),
        page: (random.below(20) > 0).then(|| random.below(400)),
        flag: (random.below(5) > 0).then(|| random.below(2) == 0),
    };
    (0..n).map(&mut event).collect()
}

/// Runs so many seeds and says how often an answer of each metric was outside its bounds.
fn misses(
    seeds: u64,
    source: &Source,
    where_flag: bool,
    bytes: u64,
    question: Question,
    make: impl Fn(u64) -> Vec<Event>,
) -> std::collections::BTreeMap<String, u64> {
    let mut missed = std::collections::BTreeMap::new();
    for seed in 0..seeds {
        let events = make(seed);
        let later = source.time.as_ref().expect("has time").later;
        let truth = truth(&events, where_flag, later);
        let run = run(source, &events, 97, 2, bytes, question);
        // One trial a metric and seed: answers of one run are not independent.
        let mut outside: BTreeSet<&str> = BTreeSet::new();
        let mut looked = BTreeSet::new();
        for answer in measured(&run.answers) {
            let first = looked.insert(&answer.metric);
            if !holds(&truth, answer) && (first || question == Question::Total && answer.by.is_empty()) {
                outside.insert(&answer.metric);
            }
        }
        outside.into_iter().for_each(|metric| *missed.entry(metric.to_string()).or_default() += 1);
    }
    missed
}

const SEEDS: u64 = 300;
/// Of 300 trials that fail with 5 % at most, more than this many fail in one of 10^6 honest runs (binomial).
const MISSES_MAX: u64 = 36;

fn check_misses(what: &str, missed: &std::collections::BTreeMap<String, u64>) {
    for (metric, missed) in missed {
        assert!(*missed <= MISSES_MAX, "{what}: {metric} is outside its bounds in {missed} of {SEEDS} runs");
    }
}

#[test]
fn full_filters_stay_within_their_bounds() {
    let windowed = windows("300s", "300s");
    for (bytes, later, question) in [
        (0, Later::Correct, Question::Total),
        (0, Later::Correct, windowed),
        (0, Later::Drop, windowed),
        (1 << 20, Later::Quarantine, Question::Total),
        (1 << 20, Later::Correct, windowed),
    ] {
        let source = watched(64, 0.05, false, later);
        let missed = misses(SEEDS, &source, false, bytes, question, |seed| crowd(seed, 1500));
        check_misses(&format!("{bytes} bytes, {later:?}, {question:?}"), &missed);
    }
}

/// Keys that are asked for but never taken in are wrong every time they come, or never.
#[test]
fn keys_that_come_often_and_are_never_taken_in_stay_within_their_bounds() {
    let source = watched(100, 0.02, true, Later::Correct);
    let make = |seed: u64| {
        let mut random = Random(seed);
        let user = |key: u32| Some(seed as u32 * 100_000 + key);
        let mut events: Vec<Event> =
            (0..95).map(|i| Event { second: 10_000, user: user(i), page: None, flag: Some(true) }).collect();
        // A hundred visitors who come fifty times each.
        events.extend((0..5000).map(|_| Event {
            second: 10_000,
            user: user(1000 + random.below(100)),
            page: None,
            flag: Some(false),
        }));
        events
    };
    check_misses("never taken in", &misses(SEEDS, &source, true, 0, Question::Total, make));
}

/// A verdict that follows from a wrong one goes on being wrong.
#[test]
fn a_verdict_that_follows_from_a_doubtful_one_promises_no_bounds() {
    let source = watched(100, 0.02, false, Later::Correct);
    let make = |seed: u64| {
        let user = |key: u32| Some(seed as u32 * 100_000 + key);
        let event = |user, page| Event { second: 10_000, user, page: Some(page), flag: None };
        // Every page is first seen by a new user, then by one who is known.
        (0..100u32).flat_map(|n| (0..21).map(move |i| event(user(if i == 0 { n } else { 0 }), n))).collect()
    };
    check_misses("misled", &misses(SEEDS, &source, false, 0, Question::Total, make));
    let run = run(&source, &make(1), 97, 2, 0, Question::Total);
    let of = |metric: &str| &run.answers.iter().find(|a| a.metric == metric).expect("asked").reading;
    assert_eq!((of("second").guarantee, of("second").low), (Guarantee::None, None));
    assert_eq!(of("returning").guarantee, Guarantee::Probabilistic);
}

#[test]
fn the_engine_gives_filters_what_is_left_of_the_memory() {
    let source = watched(64, 0.05, false, Later::Correct);
    let mut engine =
        Engine::with_program(&source, Some(Arc::new(Negate)), None, 2, 1 << 20).expect("no header");
    for (number, events) in crowd(7, 3000).chunks(100).enumerate() {
        engine.push_batch(batch(number as u64, events));
    }
    let answers = engine.answers(Question::Total);
    let again = answers.iter().find(|a| a.metric == "again").expect("asked");
    assert!(again.reading.false_positive_rate.expect("a filter") < 0.05, "{again:?}");
    assert!(!answers.iter().any(|a| format!("{:?}", a.by).contains("verdict_degraded")));
}

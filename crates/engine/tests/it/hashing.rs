//! Whatever the hash function, answers stay within their bounds; states of different ones never meet.

use crate::support::*;
use arrow_array::{BooleanArray, Float64Array, Int64Array, StringArray};
use engine::answer::{Answer, List, Number};
use engine::batch::Batch;
use engine::column::Column;
use engine::intake::Intake;
use engine::judge::Judge;
use engine::outlet::Outlet;
use engine::shard::Shard;
use engine::spec::*;
use engine::time::Time;
use sketch::hash::{Hashing, Key};

const ROWS: usize = 40_000;

fn all() -> [Hashing; 3] {
    let key = Key::of_secret(b"a secret of the tests alone").expect("long enough");
    [Hashing::Interchange, Hashing::Fast, Hashing::Keyed(key)]
}

fn field(path: &str, kind: Kind) -> Field {
    Field { path: path.into(), kind }
}

/// Distinct counts of every kind of column, as sketches and as sets, frequencies, and a verdict.
fn pipeline(hashing: Hashing) -> Source {
    let unique = |field| Measure::Unique { field, lg_k: 12 };
    let audience = |field| Measure::Audience { field, lg_k: 12 };
    let of = |name: &str, measure| metric(name, measure, vec![vec![]], "");
    let mut metrics: Vec<Metric> = (0..4)
        .flat_map(|f| [of(&format!("unique_{f}"), unique(f)), of(&format!("audience_{f}"), audience(f))])
        .collect();
    metrics.push(of("top", Measure::Top { field: 0, k: 3, counters: 512, weight: None }));
    metrics.push(of("freq", Measure::Freq { field: 0, lg_width: 12, depth: 4, hot: 64, weight: None }));
    metrics.push(of("seen", Measure::Seen { field: 1, keys: 40_000, rate: 0.01, keep: None }));
    Source {
        fields: vec![
            field("user", Kind::String),
            field("id", Kind::Int64),
            field("amount", Kind::Float64),
            field("new", Kind::Bool),
        ],
        steps: vec![Step::Judge { metric: 10 }],
        hashing,
        metrics,
        ..Source::new("events", Format::Ndjson)
    }
}

/// A quarter of the rows are one user; of the others each has a user of their own. Some rows miss their values.
fn events() -> Batch {
    let user = |n: usize| match n {
        _ if n.is_multiple_of(4) => Some("ada".to_string()),
        _ if n.is_multiple_of(1_001) => None,
        _ if n.is_multiple_of(997) => Some(String::new()),
        _ => Some(format!("user_{n:08}")),
    };
    let id = |n: usize| (!n.is_multiple_of(777)).then_some(n as i64 * 31);
    Batch {
        rows: ROWS,
        times: vec![Time(0); ROWS],
        columns: vec![
            Column::String((0..ROWS).map(user).collect::<StringArray>()),
            Column::Int64((0..ROWS).map(id).collect::<Int64Array>()),
            Column::Float64((0..ROWS).map(|n| id(n).map(|id| id as f64 / 8.0)).collect::<Float64Array>()),
            Column::Bool((0..ROWS).map(|n| id(n).map(|id| id % 2 == 0)).collect::<BooleanArray>()),
        ],
        lines: ROWS as u64,
        ..Batch::empty(0, 0)
    }
}

fn answered(source: &Source) -> (Vec<Answer>, Vec<u8>) {
    let mut intake = Intake::new(source);
    let mut judge = Judge::new(source, None, 1 << 24);
    let mut shard = Shard::new(source, u64::MAX);
    let mut ready: Vec<_> = intake.push(events()).into_iter().collect();
    ready.extend(intake.finish(0));
    for judged in &mut ready {
        judge.apply(judged);
        shard.apply(judged);
    }
    let outlet = Outlet::new(source, vec![shard], intake.tally(), None).with_verdicts(judge.verdicts(0.95));
    let mut bytes = Vec::new();
    outlet.canonical(&mut bytes);
    (outlet.answers(Question::Total), bytes)
}

fn number(n: Option<Number>) -> f64 {
    match n.expect("a number") {
        Number::Int(n) => n as f64,
        Number::Float(x) => x,
    }
}

#[test]
fn answers_stay_within_bounds_with_every_hash() {
    let users = (0..ROWS)
        .filter(|n| !n.is_multiple_of(4) && !n.is_multiple_of(1_001) && !n.is_multiple_of(997))
        .count() as f64
        + 1.0;
    let ids = (0..ROWS).filter(|n| !n.is_multiple_of(777)).count() as f64;
    for hashing in all() {
        let (answers, _) = answered(&pipeline(hashing.clone()));
        let of = |name: &str| answers.iter().find(|a| a.metric == name).expect("an answer");
        for (field, truth) in [(0, users), (1, ids), (2, ids), (3, 2.0)] {
            for measure in ["unique", "audience"] {
                // 4 of 1.6 % each: one false alarm in 16,000, and the values are fixed.
                let value = number(of(&format!("{measure}_{field}")).reading.value);
                let sigmas = (value / truth - 1.0).abs() * 64.0 / 1.04;
                assert!(sigmas < 4.0, "{hashing:?}: {measure} of field {field} is {value}, truly {truth}");
            }
        }
        for name in ["top", "freq"] {
            let List::Items(items) = &of(name).reading.list else { panic!("a list") };
            assert_eq!(
                (items[0].low, items[0].high),
                (ROWS as u64 / 4, ROWS as u64 / 4),
                "{hashing:?} {name}"
            );
        }
        let seen = &of("seen").reading;
        let (low, high) = (number(seen.low), number(seen.high));
        assert!(low <= ids && ids <= high, "{hashing:?}: {low} to {high}, truly {ids}");
    }
}

#[test]
fn states_say_how_their_values_were_hashed() {
    let other = Hashing::Keyed(Key::of_secret(b"another secret of the tests").expect("long enough"));
    let states: Vec<Vec<u8>> =
        all().into_iter().chain([other]).map(|hashing| answered(&pipeline(hashing)).1).collect();
    for (i, a) in states.iter().enumerate() {
        for (j, b) in states.iter().enumerate() {
            // The stamp is the first nine bytes.
            assert_eq!(a[..9] == b[..9], i == j);
        }
    }
    assert_eq!(states[0], answered(&pipeline(Hashing::Interchange)).1);
}

#[test]
#[should_panic(expected = "hash function is 0 here and 1 there")]
fn shards_of_another_hash_are_refused() {
    let [interchange, fast, _] = all().map(|hashing| Shard::new(&pipeline(hashing), u64::MAX));
    let mut ours = interchange;
    ours.absorb(fast);
}

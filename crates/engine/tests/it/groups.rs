//! Groups in bounded memory against a model that counts them all.

use crate::support::{Run, metric, source};
use arrow_array::{Int64Array, StringArray};
use engine::answer::{Answer, Key, List, Number};
use engine::batch::Batch;
use engine::column::Column;
use engine::intake::Intake;
use engine::outlet::Outlet;
use engine::shard::Shard;
use engine::spec::{Field, Kind, Measure, Metric, Question, Source};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// A user, if there is one, and a number.
type Event = (Option<u16>, i64);

const USER: usize = 0;
const NUMBER: usize = 1;

fn grouped(metrics: Vec<Metric>, max: usize) -> Source {
    let metrics = metrics.into_iter().map(|m| Metric { groups_max: max, ..m }).collect();
    Source {
        fields: vec![
            Field { path: "user".into(), kind: Kind::String },
            Field { path: "number".into(), kind: Kind::Int64 },
        ],
        ..source(None, metrics)
    }
}

/// Everything whose bounds survive folding, by user, by number and by both.
fn all(max: usize) -> Source {
    let sets = || vec![vec![], vec![USER], vec![NUMBER], vec![USER, NUMBER]];
    let users = || vec![vec![], vec![USER]];
    grouped(
        vec![
            metric("n", Measure::Count, sets(), ""),
            metric("distinct", Measure::Unique { field: NUMBER, lg_k: 12 }, users(), ""),
            metric("least", Measure::Min(NUMBER), users(), ""),
            metric("most", Measure::Max(NUMBER), users(), ""),
            metric("sum", Measure::Sum(NUMBER), users(), ""),
            metric("top", Measure::Top { field: NUMBER, k: 50, counters: 256, weight: None }, users(), ""),
        ],
        max,
    )
}

fn name(user: u16) -> String {
    // Some keys are longer than a print, which is sixteen bytes.
    if user.is_multiple_of(3) { format!("user {user:05} of a long name") } else { format!("u{user}") }
}

fn batch(number: u64, events: &[Event]) -> Batch {
    let users: StringArray = events.iter().map(|(user, _)| user.map(name)).collect();
    let numbers: Int64Array = events.iter().map(|(_, number)| Some(*number)).collect();
    Batch {
        rows: events.len(),
        columns: vec![Column::String(users), Column::Int64(numbers)],
        ..Batch::empty(0, number)
    }
}

fn run(source: &Source, events: &[Event], block: usize, shards: usize) -> Run {
    let mut intake = Intake::new(source);
    let mut state: Vec<Shard> = (0..shards).map(|_| Shard::new(source, u64::MAX)).collect();
    for (number, events) in events.chunks(block).enumerate() {
        for judged in intake.push(batch(number as u64, events)) {
            state[number % shards].apply(&judged);
        }
    }
    let outlet = Outlet::new(source, state, intake.tally(), intake.watermark());
    let mut bytes = Vec::new();
    outlet.canonical(&mut bytes);
    Run { answers: outlet.answers(Question::Total), tally: intake.tally(), bytes }
}

/// The events of each group.
fn model(events: &[Event], by: &[usize]) -> BTreeMap<Vec<String>, Vec<i64>> {
    let mut groups: BTreeMap<Vec<String>, Vec<i64>> = BTreeMap::new();
    for (user, number) in events {
        let value = |field: &usize| match *field {
            USER => user.map_or("null".into(), name),
            _ => number.to_string(),
        };
        groups.entry(by.iter().map(value).collect()).or_default().push(*number);
    }
    groups
}

fn group(answer: &Answer) -> Vec<String> {
    let text = |key: &Key| match key {
        Key::Null => "null".to_string(),
        Key::String(s) => s.clone(),
        Key::Int(i) => i.to_string(),
        other => panic!("no such group: {other:?}"),
    };
    answer.by.iter().map(|(_, key)| text(key)).collect()
}

fn int(number: Option<Number>) -> Option<i128> {
    number.map(|n| match n {
        Number::Int(i) => i,
        Number::Float(f) => panic!("{f} is no integer"),
    })
}

/// Bounds hold the truth; what is exact is the truth; what promises nothing has no bounds.
fn holds(answer: &Answer, truth: i128) {
    let reading = &answer.reading;
    let (value, low, high) = (int(reading.value), int(reading.low), int(reading.high));
    if reading.is_exact() {
        assert_eq!((value, low, high), (Some(truth), Some(truth), Some(truth)), "{answer:?}");
    }
    assert!(low.is_none_or(|low| low <= truth), "{answer:?}, truth {truth}");
    assert!(high.is_none_or(|high| truth <= high), "{answer:?}, truth {truth}");
    assert!(low.is_some() || reading.guarantee == engine::Guarantee::None, "{answer:?}");
}

fn check_answer(answer: &Answer, numbers: &[i64]) {
    let sum = || numbers.iter().map(|&n| i128::from(n)).sum::<i128>();
    match answer.metric.as_str() {
        "n" => holds(answer, numbers.len() as i128),
        "distinct" => holds(answer, numbers.iter().collect::<BTreeSet<_>>().len() as i128),
        "least" => holds(answer, (*numbers.iter().min().expect("a group has events")).into()),
        "most" => holds(answer, (*numbers.iter().max().expect("a group has events")).into()),
        "sum" => holds(answer, sum()),
        "top" => {
            let List::Items(items) = &answer.reading.list else { panic!("a list: {answer:?}") };
            for item in items {
                let Key::Int(number) = item.item else { panic!("a number: {item:?}") };
                let truth = numbers.iter().filter(|&&n| n == number).count() as u64;
                let promised = answer.reading.guarantee != engine::Guarantee::None;
                assert!(!promised || (item.low..=item.high).contains(&truth), "{item:?}, truth {truth}");
            }
        }
        other => panic!("{other}?"),
    }
}

/// All rows of one grouping set of a metric against the model.
fn check_set(source: &Source, run: &Run, metric: &str, by: &[usize], events: &[Event]) {
    let max = source.metrics[0].groups_max;
    let truth = model(events, by);
    let names: Vec<&str> = by.iter().map(|&f| source.fields[f].path.as_str()).collect();
    let mine = |a: &&Answer| {
        a.metric == metric && a.by.iter().map(|(name, _)| name.as_str()).eq(names.iter().copied())
    };
    let rows: Vec<&Answer> = run.answers.iter().filter(mine).collect();
    let (apart, other): (Vec<&Answer>, Vec<&Answer>) = rows.iter().partition(|a| !a.other);
    let mut reported = BTreeSet::new();
    for answer in &apart {
        let key = group(answer);
        let numbers = truth.get(&key).unwrap_or_else(|| panic!("there is no group {key:?}"));
        check_answer(answer, numbers);
        assert!(reported.insert(key), "a group twice: {answer:?}");
    }
    if by.is_empty() {
        assert!(apart[0].reading.is_exact() || metric == "top", "{:?}", apart[0]);
        return;
    }
    assert!(apart.len() <= max && other.len() <= 1);
    let all_apart = truth.len() == apart.len();
    assert_eq!(apart.len(), truth.len().min(max), "as many groups as there may be");
    // The guarantee of the counters: what one shard may have missed of a group is its events over `max`.
    let slack = events.len() / max;
    let lightest = apart.iter().map(|a| truth[&group(a)].len()).min().unwrap_or(0);
    for (key, numbers) in truth.iter().filter(|(key, _)| !reported.contains(*key)) {
        let n = numbers.len();
        assert!(
            n <= slack || lightest + slack >= n,
            "{key:?} with {n} events is missing, {lightest} is kept"
        );
    }
    if let (true, [other]) = (metric == "n", &other[..]) {
        let kept: i128 = apart.iter().map(|a| int(a.reading.value).expect("a count")).sum();
        assert_eq!(int(other.reading.value), Some(events.len() as i128 - kept), "nothing is lost");
        let left: usize = truth.iter().filter(|(k, _)| !reported.contains(*k)).map(|(_, n)| n.len()).sum();
        holds(other, left as i128);
    }
    assert!(other.len() == 1 || all_apart, "what is not apart is in the other group");
}

fn folded(run: &Run) -> Option<i128> {
    let is_it = |a: &&Answer| a.metric == "sg.source" && a.by[1].1 == Key::String("groups_folded".into());
    run.answers.iter().find(is_it).and_then(|a| int(a.reading.value))
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    // A few heavy users, some that come back now and then, many that come once.
    let user = prop_oneof![
        4 => (0u16..5).prop_map(Some),
        3 => (0u16..60).prop_map(Some),
        5 => any::<u16>().prop_map(Some),
        1 => Just(None)
    ];
    prop::collection::vec((user, -3i64..40), 1..3000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Totals are exact, bounds hold, heavy groups are kept, whatever the shards, blocks and limits.
    #[test]
    fn groups_keep_their_promises(events in events(), max in 1usize..300, block in 1usize..400) {
        let source = all(max);
        for shards in [1, 2, 7] {
            let run = run(&source, &events, block, shards);
            for metric in &source.metrics {
                for by in &metric.by {
                    check_set(&source, &run, &metric.name, by, &events);
                }
            }
            let many = source.metrics[0].by.iter().any(|by| !by.is_empty() && model(&events, by).len() > max);
            prop_assert_eq!(folded(&run).is_some_and(|n| n > 0), many, "what is folded is counted");
        }
    }

    /// One shard folds by the order of events alone: the cut into blocks changes no byte.
    #[test]
    fn blocks_change_no_byte_even_where_groups_are_folded(events in events(), max in 1usize..100, block in 1usize..400) {
        let source = all(max);
        prop_assert_eq!(run(&source, &events, block, 1).bytes, run(&source, &events, 5000, 1).bytes);
        // The same blocks over the same shards, a second time.
        prop_assert_eq!(run(&source, &events, block, 3).bytes, run(&source, &events, block, 3).bytes);
    }

    /// While nothing is folded, shards change no byte either.
    #[test]
    fn shards_change_no_byte_where_nothing_is_folded(events in events(), block in 1usize..400) {
        let source = all(4000);
        let one = run(&source, &events, 5000, 1);
        prop_assert_eq!(folded(&one), None);
        for shards in [2, 7] {
            let many = run(&source, &events, block, shards);
            prop_assert_eq!(&one.bytes, &many.bytes, "{} shards, blocks of {}", shards, block);
        }
    }
}

#[test]
fn a_million_groups_leave_a_thousand_and_exact_totals_in_little_memory() {
    const GROUPS: u64 = 1_000_000;
    const BLOCK: u64 = 10_000;
    let sets = || vec![vec![], vec![USER]];
    let metrics = vec![
        metric("n", Measure::Count, sets(), ""),
        metric("sum", Measure::Sum(NUMBER), sets(), ""),
        metric("most", Measure::Max(NUMBER), sets(), ""),
    ];
    let source = grouped(metrics, 1_000);
    let mut intake = Intake::new(&source);
    let mut shards = [Shard::new(&source, u64::MAX), Shard::new(&source, u64::MAX)];
    let mut peak = 0;
    for block in 0..GROUPS / BLOCK {
        let numbers = block * BLOCK..(block + 1) * BLOCK;
        // Every group once, and one that has a tenth of all events besides.
        let users =
            numbers.clone().map(|n| if n % 10 == 0 { "heavy".into() } else { format!("user{n:013}") });
        let columns = vec![
            Column::String(StringArray::from_iter_values(users)),
            Column::Int64(Int64Array::from_iter_values(numbers.map(|n| n as i64))),
        ];
        let batch = Batch { rows: BLOCK as usize, columns, ..Batch::empty(0, block) };
        let shard = &mut shards[(block % 2) as usize];
        intake.push(batch).iter().for_each(|judged| shard.apply(judged));
        peak = peak.max(shard.memory_bytes());
    }
    // 2,000 groups of at most 17 bytes with a count and two exact sums each.
    assert!(peak < 2 << 20, "{peak} bytes");
    let outlet = Outlet::new(&source, shards.into(), intake.tally(), None);
    let answers = outlet.answers(Question::Total);
    let total = |metric: &str| {
        let answer = answers.iter().find(|a| a.metric == metric && a.by.is_empty()).expect("a total");
        assert!(answer.reading.is_exact());
        int(answer.reading.value).expect("a number")
    };
    let n = i128::from(GROUPS);
    assert_eq!((total("n"), total("sum"), total("most")), (n, n * (n - 1) / 2, n - 1));
    let apart: Vec<&Answer> =
        answers.iter().filter(|a| a.metric == "n" && !a.by.is_empty() && !a.other).collect();
    assert_eq!(apart.len(), 1_000);
    let heavy = apart.iter().find(|a| group(a) == ["heavy"]).expect("the heavy one is kept");
    holds(heavy, n / 10);
    assert_eq!(int(heavy.reading.value), Some(n / 10), "it was never folded");
    assert!(outlet.groups_folded() >= GROUPS * 9 / 10 - 1_000);
}

//! Panes, the ladder, corrections, shards: against a model that keeps every event.

use crate::support::*;
use engine::spec::{Measure, Metric, Question, Source};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn all_measures(levels: &str) -> Vec<Metric> {
    let by = || vec![vec![], vec![0]];
    vec![
        metric("n", Measure::Count, by(), levels),
        metric("u", Measure::Unique { field: 0, lg_k: 12 }, by(), levels),
        metric(
            "f",
            Measure::Freq { field: 0, lg_width: 4, depth: 3, hot: 1024, weight: None },
            vec![vec![]],
            levels,
        ),
        metric("t", Measure::Top { field: 0, k: 5, counters: 1024, weight: None }, vec![vec![]], levels),
    ]
}

fn events(raw: &[(u16, u8)]) -> Vec<(i64, String)> {
    // Time creeps forward with jumps back of up to 300 s.
    raw.iter()
        .enumerate()
        .map(|(i, &(back, user))| (i as i64 * 3 + 1000 - i64::from(back % 300), format!("u{}", user % 40)))
        .collect()
}

/// What the windows must say, from the events alone. Nothing is dropped: `keep` is longer than the run.
fn model(events: &[(i64, String)], window: i64, every: i64) -> (BTreeMap<i64, u64>, BTreeMap<i64, u64>) {
    let (mut counts, mut users): (BTreeMap<i64, u64>, BTreeMap<i64, BTreeSet<&str>>) = Default::default();
    for (t, user) in events {
        let mut start = t.div_euclid(every) * every;
        while start + window > *t {
            *counts.entry(start).or_default() += 1;
            users.entry(start).or_default().insert(user);
            start -= every;
        }
    }
    (counts, users.into_iter().map(|(s, u)| (s, u.len() as u64)).collect())
}

fn check(source: &Source, events: &[(i64, String)], window: i64, every: i64) {
    let question = windows(&format!("{window}s"), &format!("{every}s"));
    let (counts, users) = model(events, window, every);
    let totals = |m: &BTreeMap<i64, u64>| m.iter().map(|(s, n)| format!("{s}={n}")).collect::<Vec<_>>();
    let got = run(source, events, 50, 1, question);
    let only_totals = |metric: &str| -> Vec<String> {
        shown(&got.answers, metric)
            .into_iter()
            .filter(|row| row.split('=').next().is_some_and(|s| !s.contains(' ')))
            .collect()
    };
    assert_eq!(only_totals("n"), totals(&counts));
    assert_eq!(only_totals("u"), totals(&users), "exact while small");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every window of every level equals the model, whatever was late, closed or rolled up when it came.
    #[test]
    fn windows_at_every_level_hold_what_happened(raw in prop::collection::vec(any::<(u16, u8)>(), 1..400), lateness in 0i64..100) {
        let events = events(&raw);
        let source = source(time(&format!("{lateness}s"), None), all_measures("10s:1d 60s:2d 600s:3d"));
        for (window, every) in [(10, 10), (60, 60), (600, 600), (30, 10), (120, 60)] {
            check(&source, &events, window, every);
        }
    }

    /// Same bytes for any cut into blocks; same bytes for any number of shards (nothing is evicted here).
    #[test]
    fn blocks_and_shards_change_no_byte(raw in prop::collection::vec(any::<(u16, u8)>(), 1..400), block in 1usize..60, shards in 1usize..5) {
        let events = events(&raw);
        let source = source(time("7s", Some("1h")), all_measures("10s:200s 60s:400s 600s:1d"));
        let one = run(&source, &events, 1000, 1, Question::Total);
        let other = run(&source, &events, block, 1, Question::Total);
        prop_assert_eq!(&one.bytes, &other.bytes, "block size {}", block);
        let many = run(&source, &events, block, shards, Question::Total);
        prop_assert_eq!(one.tally, many.tally);
        prop_assert_eq!(&one.bytes, &many.bytes, "{} shards", shards);
    }

    /// Panes may be dropped, the total never loses an event, and a coarser level still has what a finer one dropped.
    #[test]
    fn a_coarser_level_and_the_total_keep_what_a_finer_level_drops(raw in prop::collection::vec(any::<(u16, u8)>(), 100..400)) {
        let events = events(&raw);
        let source = source(time("5s", None), all_measures("10s:50s 60s:100s 600s:10d"));
        let got = run(&source, &events, 31, 2, windows("600s", "600s"));
        let (counts, _) = model(&events, 600, 600);
        let rows: Vec<String> = shown(&got.answers, "n").into_iter().filter(|r| !r.contains(" u")).collect();
        prop_assert_eq!(rows, counts.iter().map(|(s, n)| format!("{s}={n}")).collect::<Vec<_>>());
        let total = run(&source, &events, 31, 2, Question::Total);
        let rows = shown(&total.answers, "n");
        prop_assert_eq!(&rows[0], &format!("total={}", events.len()));
    }
}

#[test]
fn windows_older_than_their_keep_are_not_reported_in_part() {
    let source = source(time("0s", None), vec![metric("n", Measure::Count, vec![vec![]], "10s:30s")]);
    let events: Vec<(i64, String)> = (0..100).map(|t| (t, "x".to_string())).collect();
    // The watermark is 99, seen as 90: a pane is kept while its end + 30 s lies beyond, so from [60, 70) on.
    assert_eq!(
        shown(&run(&source, &events, 7, 1, windows("10s", "10s")).answers, "n"),
        ["60=10", "70=10", "80=10", "90=10"]
    );
    assert_eq!(shown(&run(&source, &events, 7, 1, windows("20s", "20s")).answers, "n"), ["60=20", "80=20"]);
    assert_eq!(
        shown(&run(&source, &events, 7, 1, windows("20s", "10s")).answers, "n"),
        ["60=20", "70=20", "80=20", "90=10"]
    );
}

#[test]
fn groups_beyond_the_limit_are_folded_and_the_total_stays_exact() {
    let mut m = metric("n", Measure::Count, vec![vec![], vec![0]], "");
    m.groups_max = 5;
    let source = source(None, vec![m]);
    // Five heavy users among ten thousand that come once.
    let mut events = Vec::new();
    for i in 0..10_000i64 {
        events.push((0, format!("light{i}")));
        if i % 10 == 0 {
            events.extend((0..5).map(|h| (0, format!("heavy{h}"))));
        }
    }
    let got = run(&source, &events, 97, 3, Question::Total);
    let rows = shown(&got.answers, "n");
    assert_eq!(rows[0], "total=15000");
    let mut truth = BTreeMap::new();
    events.iter().for_each(|(_, user)| *truth.entry(user.clone()).or_insert(0i128) += 1);
    let mut kept = 0;
    for answer in got.answers.iter().filter(|a| a.metric == "n" && !a.by.is_empty() && !a.other) {
        let engine::answer::Key::String(user) = &answer.by[0].1 else { panic!("users are text") };
        let number = |n: Option<engine::answer::Number>| match n {
            Some(engine::answer::Number::Int(i)) => i,
            other => panic!("a count is an integer: {other:?}"),
        };
        let (low, high) = (number(answer.reading.low), number(answer.reading.high));
        assert!((low..=high).contains(&truth[user]), "{user}: {low} <= {} <= {high}", truth[user]);
        kept += low;
    }
    let heavy = rows.iter().filter(|r| r.contains("heavy")).count();
    assert_eq!(heavy, 5, "{rows:?}");
    assert!(rows.len() <= 7);
    let other = rows.iter().find(|r| r.contains("(other)")).expect("there is an other group");
    assert_eq!(other, &format!("total (other)={}", 15_000 - kept), "nothing is lost");
}

#[test]
fn memory_is_a_cap_and_what_gives_way_is_counted() {
    use engine::intake::Intake;
    use engine::shard::{BUDGET_EVERY_BLOCKS, Shard};
    let by_user = || vec![vec![], vec![0]];
    let mut unique = metric("u", Measure::Unique { field: 0, lg_k: 14 }, by_user(), "10s:1d");
    unique.groups_max = 400;
    let source = source(time("0s", None), vec![unique, metric("n", Measure::Count, vec![vec![]], "")]);
    let budget = 200_000;
    let mut shard = Shard::new(&source, budget);
    let mut intake = Intake::new(&source);
    let rows = 100;
    for block in 0..4 * BUDGET_EVERY_BLOCKS {
        let events: Vec<(i64, String)> =
            (0..rows).map(|i| (block as i64, format!("user{}", i * 7919 * (block + 1) % 5000))).collect();
        intake.push(batch(block, 0, &events)).iter().for_each(|judged| shard.apply(judged));
    }
    let way = shard.given_way();
    assert!(way.groups_halved > 0, "{way:?}");
    assert_eq!(way.over_budget, 0, "{way:?}");
    assert!(shard.memory_bytes() as u64 <= budget, "{} bytes, {way:?}", shard.memory_bytes());
    let outlet = engine::outlet::Outlet::new(&source, vec![shard], intake.tally(), intake.watermark());
    let answers = outlet.answers(Question::Total);
    assert_eq!(
        shown(&answers, "n"),
        [format!("total={}", 4 * BUDGET_EVERY_BLOCKS * rows)],
        "totals never give way"
    );
    let counted = shown(&answers, "sg.source");
    assert!(counted.iter().any(|row| row.contains("memory_groups_halved")), "{counted:?}");
}

#[test]
fn what_is_left_after_panes_were_dropped_for_memory_is_whole() {
    use engine::intake::Intake;
    use engine::shard::Shard;
    let source = source(time("0s", None), vec![metric("n", Measure::Count, vec![vec![]], "1s:1d")]);
    let mut intake = Intake::new(&source);
    let mut shards: Vec<Shard> = (0..2).map(|_| Shard::new(&source, 30_000)).collect();
    for block in 0..100u64 {
        let events: Vec<(i64, String)> = (0..50).map(|i| (block as i64 * 50 + i, "x".to_string())).collect();
        for judged in intake.push(batch(block, 0, &events)) {
            shards[(block % 2) as usize].apply(&judged);
        }
    }
    let outlet = engine::outlet::Outlet::new(&source, shards, intake.tally(), intake.watermark());
    assert!(outlet.given_way().panes_dropped > 0);
    let (metric, from) = outlet.kept_from()[0];
    assert_eq!(metric, "n");
    let rows = shown(&outlet.answers(windows("10s", "10s")), "n");
    let first = (from.0 + 9_999_999).div_euclid(10_000_000) * 10;
    let whole: Vec<String> = (first..5000).step_by(10).map(|start| format!("{start}=10")).collect();
    assert!(first > 0 && !rows.is_empty());
    assert_eq!(rows, whole);
}

//! Closed panes that leave memory: every answer is as if they had stayed, and a run that was stopped goes on as it was.

use crate::state::{Event, NUMBER, USER, batch, events, everything, saved, with_fields};
use crate::support::{metric, windows};
use engine::answer::Answer;
use engine::intake::Intake;
use engine::outlet::Outlet;
use engine::shard::{Frozen, GivenWay, PaneId, Records, Shard, Spilled};
use engine::spec::{Measure, Metric, Question, Source};
use engine::{RestoreError, Shelf};
use proptest::prelude::*;
use sketch::{Limits, Reader};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// A shelf in memory.
#[derive(Debug, Default)]
struct Drawer(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    records: BTreeMap<u64, Vec<u8>>,
    next: u64,
    read: u64,
    /// Of records that could not be read.
    damaged: u64,
    /// Takes nothing more, gives nothing out.
    broken: bool,
}

impl Drawer {
    fn inside(&self) -> std::sync::MutexGuard<'_, Inside> {
        self.0.lock().expect("nobody has panicked")
    }
}

impl Shelf for Drawer {
    fn put(&self, record: &[u8]) -> Option<u64> {
        let mut inside = self.inside();
        if inside.broken {
            return None;
        }
        inside.next += 1;
        let ticket = inside.next;
        inside.records.insert(ticket, record.to_vec());
        Some(ticket)
    }

    fn get(&self, ticket: u64) -> Option<Vec<u8>> {
        let mut inside = self.inside();
        inside.read += 1;
        inside.records.get(&ticket).filter(|_| !inside.broken).cloned()
    }

    fn is_damaged(&self, _: u64) {
        self.inside().damaged += 1;
    }

    fn release(&self, ticket: u64) {
        self.inside().records.remove(&ticket).expect("a record is released once");
    }
}

/// A commit: what changes all the time, the closed panes, and the shelf that they are found on.
struct Kept {
    open: Vec<u8>,
    panes: BTreeMap<PaneId, Vec<u8>>,
    shelf: Arc<Drawer>,
}

impl Kept {
    fn of(source: &Source, frozen: &Frozen, shelf: &Arc<Drawer>) -> Kept {
        let mut kept = Kept { open: Vec::new(), panes: BTreeMap::new(), shelf: Arc::clone(shelf) };
        for pane in frozen.panes() {
            let mut record = Vec::new();
            assert!(pane.write(&mut record));
            kept.panes.insert(pane.id, record);
        }
        frozen.write_open(source, &mut kept.open);
        kept
    }

    fn restore(&self, source: &Source, budget: u64) -> Result<Shard, RestoreError> {
        let mut r = Reader::new(&self.open);
        let mut shard = Shard::restore_parts(source, budget, &mut r, self, &Limits::default())?;
        r.finish()?;
        shard.spill_to(self.shelf.clone());
        Ok(shard)
    }
}

impl Records for Kept {
    fn find(&self, pane: PaneId) -> Option<Vec<u8>> {
        self.panes.get(&pane).cloned()
    }

    fn away(&self, pane: PaneId) -> Option<(Arc<dyn Shelf>, u64)> {
        let ticket = self.shelf.put(self.panes.get(&pane)?)?;
        Some((self.shelf.clone(), ticket))
    }
}

/// What a run came to.
struct Ran {
    answers: Vec<Vec<Answer>>,
    canonical: Vec<u8>,
    /// Of each shard.
    bytes: Vec<Vec<u8>>,
    way: GivenWay,
    spilled: Spilled,
}

const QUESTIONS: [(&str, &str); 5] =
    [("30s", "30s"), ("120s", "120s"), ("240s", "30s"), ("600s", "600s"), ("60s", "30s")];

/// Events through shards that may spill, or not, stopped after blocks for which `stops` says so.
fn run(
    source: &Source,
    events: &[Event],
    (block, shards, budget): (usize, usize, u64),
    shelf: Option<&Arc<Drawer>>,
    stops: impl Fn(usize) -> bool,
) -> Ran {
    let mut intake = Intake::new(source);
    let fresh = |_| {
        let mut shard = Shard::new(source, budget);
        shelf.into_iter().for_each(|shelf| shard.spill_to(shelf.clone()));
        shard
    };
    let mut state: Vec<Shard> = (0..shards).map(fresh).collect();
    for (number, events) in events.chunks(block).enumerate() {
        for judged in intake.push(batch(number as u64, events)) {
            state[judged.batch.number as usize % shards].apply(&judged);
        }
        if let Some(shelf) = shelf.filter(|_| stops(number)) {
            for shard in &mut state {
                let kept = Kept::of(source, &shard.freeze(), shelf);
                let again = kept.restore(source, budget).expect("what was written is restored");
                assert_eq!(saved(source, &again), saved(source, shard));
                assert_eq!((again.spilled(), again.away()), (shard.spilled(), shard.away()));
                assert_eq!(again.memory_bytes(), shard.memory_bytes());
                *shard = again;
            }
        }
    }
    for judged in intake.finish_all() {
        state[judged.batch.number as usize % shards].apply(&judged);
    }
    if let Some(watermark) = intake.boundary() {
        state.iter_mut().for_each(|shard| shard.advance(watermark));
    }
    let bytes = state.iter().map(|shard| saved(source, shard)).collect();
    let outlet = Outlet::new(source, state, intake.tally(), intake.watermark());
    let mut canonical = Vec::new();
    outlet.canonical(&mut canonical);
    let questions = QUESTIONS.map(|(window, every)| windows(window, every));
    let questions = questions.into_iter().chain([Question::Total]);
    Ran {
        answers: questions.map(|question| outlet.answers(question)).collect(),
        canonical,
        bytes,
        way: outlet.given_way(),
        spilled: outlet.spilled(),
    }
}

/// Measures whose state does not depend on the order in which it is merged; few groups are kept apart.
fn order_free() -> Source {
    let (field, levels) = (NUMBER, "30s:1h 120s:2h 600s:1d");
    let by_user = || vec![vec![], vec![USER]];
    let metrics = vec![
        metric("n", Measure::Count, vec![vec![], vec![USER], vec![NUMBER]], levels),
        metric("sum", Measure::Sum(field), by_user(), levels),
        metric("users", Measure::Unique { field: USER, lg_k: 8 }, by_user(), levels),
        metric("crowd", Measure::Audience { field: USER, lg_k: 5 }, by_user(), levels),
        metric("q", Measure::Quantiles { field, bits: 6, at: vec![0.5, 0.9] }, by_user(), levels),
        metric("h", Measure::Histogram { field, bounds: Some(vec![0.0, 10.0]) }, by_user(), levels),
        metric("some", Measure::Sample { fields: vec![USER, NUMBER], k: 3 }, by_user(), levels),
        Metric { total: false, ..metric("ring", Measure::Count, by_user(), "30s:1h") },
    ];
    with_fields(metrics.into_iter().map(|m| Metric { groups_max: 5, ..m }).collect())
}

/// Counts by user in panes of ten seconds, one event a second, in one shard that is looked at after every block.
fn counted(budget: u64, late: &[i64]) -> (Ran, Arc<Drawer>) {
    let source = with_fields(vec![metric("n", Measure::Count, vec![vec![USER]], "10s:1d")]);
    let users = |second: i64| Some((second % 97) as u16);
    let mut all: Vec<Event> = (0..4000).map(|i| (1000 + i, users(i), None)).collect();
    all.extend(late.iter().map(|second| (*second, Some(1), None)));
    // More blocks, so that there is another look.
    all.extend((4000..5000).map(|i| (1000 + i, users(i), None)));
    let drawer = Arc::new(Drawer::default());
    let ran = run(&source, &all, (25, 1, budget), Some(&drawer), |_| false);
    (ran, drawer)
}

#[test]
fn what_comes_late_for_a_pane_that_has_left_is_counted_once() {
    // The first one thousand seconds left long ago; two of three come to one pane.
    let late = [1503, 1507, 1999];
    let (whole, _) = counted(u64::MAX, &late);
    let (little, drawer) = counted(150_000, &late);
    assert!(little.spilled.panes > 100, "{:?}", little.spilled);
    assert_eq!(little.spilled.again, 2, "two panes were read for it, and left again");
    assert_eq!(little.way, GivenWay::default());
    assert!(little.answers == whole.answers && little.canonical == whole.canonical);
    let (without, _) = counted(150_000, &[]);
    assert_eq!(without.spilled.again, 0);
    assert!(without.answers != little.answers);
    assert!(drawer.inside().records.is_empty());
}

#[test]
fn a_shelf_that_takes_nothing_leaves_panes_where_they_are() {
    let source = with_fields(vec![metric("n", Measure::Count, vec![vec![USER]], "10s:1d")]);
    let drawer = Arc::new(Drawer::default());
    drawer.inside().broken = true;
    let all: Vec<Event> = (0..4000).map(|i| (1000 + i, Some((i % 97) as u16), None)).collect();
    let ran = run(&source, &all, (25, 1, 150_000), Some(&drawer), |_| false);
    assert_eq!(ran.spilled, Spilled::default());
    assert!(ran.way != GivenWay::default(), "then something else gives way");
}

#[test]
fn a_record_that_was_changed_is_told_and_left_out() {
    let source = with_fields(vec![metric("n", Measure::Count, vec![vec![USER]], "10s:1d")]);
    let drawer = Arc::new(Drawer::default());
    let mut shard = Shard::new(&source, 150_000);
    shard.spill_to(drawer.clone());
    let mut intake = Intake::new(&source);
    let all: Vec<Event> = (0..4000).map(|i| (1000 + i, Some((i % 97) as u16), None)).collect();
    for (number, events) in all.chunks(25).enumerate() {
        intake.push(batch(number as u64, events)).iter().for_each(|judged| shard.apply(judged));
    }
    assert!(shard.away().panes > 100, "{:?}", shard.away());
    drawer.inside().records.values_mut().next().expect("a record").push(7);
    let outlet = Outlet::new(&source, vec![shard], intake.tally(), intake.watermark());
    let windows = outlet.answers(windows("10s", "10s"));
    // Ten users in each of 400 windows, but for the one that cannot be read.
    assert_eq!(windows.iter().filter(|answer| answer.metric == "n").count(), 3990);
    assert!(drawer.inside().damaged > 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// A run whose closed panes do not fit into memory answers every question as one that has all the memory it wants: late
    /// events, groups that are folded away after panes have left, several shards that are merged.
    #[test]
    fn every_answer_is_as_if_all_had_stayed(
        raw in prop::collection::vec(any::<(u16, u16, i16)>(), 1500..3000),
        block in 5usize..40,
        shards in 1usize..4,
    ) {
        let source = order_free();
        let mut events = events(&raw, 1);
        // Some come so late that their panes have left memory.
        events.iter_mut().skip(600).step_by(37).for_each(|(second, ..)| *second -= 500 + *second % 700);
        let whole = run(&source, &events, (block, shards, u64::MAX), None, |_| false);
        let drawer = Arc::new(Drawer::default());
        // Less than what must stay, so all that may leave does; nothing else may give way for it, which is seen apart.
        let little = run(&source, &events, (block, shards, 1_500_000), Some(&drawer), |_| false);
        prop_assert_eq!(little.way, GivenWay::default());
        prop_assert!(shards > 1 || little.spilled.panes > 0, "{} events", events.len());
        for ((little, whole), question) in little.answers.iter().zip(&whole.answers).zip(QUESTIONS) {
            prop_assert_eq!(little, whole, "{:?}", question);
        }
        prop_assert!(little.answers == whole.answers);
        prop_assert!(little.canonical == whole.canonical);
        let inside = drawer.inside();
        prop_assert!(inside.records.is_empty() && inside.damaged == 0, "all were let go");
    }

    /// A run that is stopped and restored over and over goes on as it was: the same panes leave at the same moments, with
    /// every measure, with groups and precision that give way as well.
    #[test]
    fn a_run_that_spills_goes_on_as_if_it_had_never_stopped(
        raw in prop::collection::vec(any::<(u16, u16, i16)>(), 300..900),
        block in 5usize..40,
        shards in 1usize..3,
        every in 1usize..5,
        budget in 20_000u64..900_000,
    ) {
        let source = everything();
        let events = events(&raw, 1);
        let drawer = Arc::new(Drawer::default());
        let whole = run(&source, &events, (block, shards, budget), Some(&drawer), |_| false);
        let stopped = run(&source, &events, (block, shards, budget), Some(&drawer), |n| n % every == 0);
        prop_assert!(whole.bytes == stopped.bytes);
        prop_assert_eq!((whole.spilled, whole.way), (stopped.spilled, stopped.way));
        prop_assert!(whole.answers == stopped.answers);
    }
}

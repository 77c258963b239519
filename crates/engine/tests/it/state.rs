//! Saved states: what is restored is what was saved, goes on as if nothing had happened, and merges as if it had never
//! been apart; and bytes that are no state are refused.

use crate::support::{metric, source, span, time, windows};
use arrow_array::{Int64Array, StringArray};
use engine::answer::Answer;
use engine::batch::Batch;
use engine::column::Column;
use engine::intake::{Intake, Tally};
use engine::judge::Judge;
use engine::shard::{Frozen, Mark, PaneId, Shard};
use engine::spec::{Field, Kind, Measure, Metric, Question, Source, Step};
use engine::state::{FileError, Saved, StateFile};
use engine::time::{SECOND, Time};
use engine::{RestoreError, State};
use proptest::prelude::*;
use sketch::outflow::{Measured, Outflow};
use sketch::{DecodeError, Limits, Reader};
use std::collections::BTreeMap;

pub const USER: usize = 0;
pub const NUMBER: usize = 1;

/// Second, user, number.
pub type Event = (i64, Option<u16>, Option<i64>);

pub fn with_fields(metrics: Vec<Metric>) -> Source {
    Source {
        fields: vec![
            Field { path: "user".into(), kind: Kind::String },
            Field { path: "number".into(), kind: Kind::Int64 },
        ],
        ..source(time("7s", Some("1h")), metrics)
    }
}

/// Every measure; groups of every kind, few of which are kept apart.
pub fn everything() -> Source {
    let (field, levels) = (NUMBER, "10s:200s 60s:400s 600s:1d");
    let sets = || vec![vec![], vec![USER], vec![NUMBER], vec![USER, NUMBER]];
    let by_user = || vec![vec![], vec![USER]];
    let weight = Some(NUMBER);
    let metrics = vec![
        metric("n", Measure::Count, sets(), levels),
        metric("sum", Measure::Sum(field), by_user(), levels),
        metric("spread", Measure::Stddev(field), by_user(), ""),
        metric("most", Measure::Max(field), by_user(), levels),
        metric("users", Measure::Unique { field: USER, lg_k: 10 }, by_user(), levels),
        metric("crowd", Measure::Audience { field: USER, lg_k: 5 }, by_user(), levels),
        metric("freq", Measure::Freq { field, lg_width: 5, depth: 3, hot: 16, weight }, by_user(), levels),
        metric("top", Measure::Top { field: USER, k: 5, counters: 16, weight: None }, by_user(), levels),
        metric("q", Measure::Quantiles { field, bits: 6, at: vec![0.5, 0.9] }, by_user(), levels),
        metric("h", Measure::Histogram { field, bounds: Some(vec![0.0, 10.0]) }, by_user(), levels),
        metric("log", Measure::Histogram { field, bounds: None }, by_user(), ""),
        metric("some", Measure::Sample { fields: vec![USER, NUMBER], k: 3 }, by_user(), levels),
        Metric { total: false, ..metric("ring", Measure::Count, by_user(), "10s:50s") },
    ];
    with_fields(metrics.into_iter().map(|m| Metric { groups_max: 5, ..m }).collect())
}

pub fn batch(number: u64, events: &[Event]) -> Batch {
    let users: StringArray =
        events.iter().map(|(_, user, _)| user.map(|user| format!("user {user}"))).collect();
    let numbers: Int64Array = events.iter().map(|(_, _, number)| *number).collect();
    let start = |row: usize| engine::batch::Place { start: row as u32 * 10, len: 9, line: 0 };
    Batch {
        rows: events.len(),
        times: events.iter().map(|(t, ..)| Time(t * SECOND)).collect(),
        columns: vec![Column::String(users), Column::Int64(numbers)],
        places: (0..events.len()).map(start).collect(),
        first_byte: number * 10_000,
        ..Batch::empty(0, number)
    }
}

pub fn events(raw: &[(u16, u16, i16)], apart: i64) -> Vec<Event> {
    let event = |(i, &(back, user, number)): (usize, &(u16, u16, i16))| {
        let second = i as i64 * apart + 1000 - i64::from(back % 300);
        let user = (user % 7 > 0).then_some(user % 700);
        (second, user, (number % 5 != 0).then_some(i64::from(number)))
    };
    raw.iter().enumerate().map(event).collect()
}

pub fn saved(source: &Source, shard: &Shard) -> Vec<u8> {
    let mut bytes = Vec::new();
    shard.snapshot(source, &mut bytes);
    bytes
}

fn restored(source: &Source, budget: u64, bytes: &[u8]) -> Result<Shard, RestoreError> {
    let mut r = Reader::new(bytes);
    let shard = Shard::restore(source, budget, &mut r, &Limits::default())?;
    r.finish()?;
    Ok(shard)
}

/// The bytes of the shards at the end; after blocks for which `stops` says so all of them were saved and restored.
fn run(
    source: &Source,
    events: &[Event],
    (block, shards, budget): (usize, usize, u64),
    stops: impl Fn(usize) -> bool,
) -> Vec<Vec<u8>> {
    let mut intake = Intake::new(source);
    let mut state: Vec<Shard> = (0..shards).map(|_| Shard::new(source, budget)).collect();
    for (number, events) in events.chunks(block).enumerate() {
        for judged in intake.push(batch(number as u64, events)) {
            state[judged.batch.number as usize % shards].apply(&judged);
        }
        if stops(number) {
            for shard in &mut state {
                let bytes = saved(source, shard);
                let again = restored(source, budget, &bytes).expect("what was saved is restored");
                assert_eq!(saved(source, &again), bytes, "a restored shard is saved as it was");
                *shard = again;
            }
        }
    }
    for judged in intake.finish_all() {
        state[judged.batch.number as usize % shards].apply(&judged);
    }
    state.iter().map(|shard| saved(source, shard)).collect()
}

fn state_of(source: &Source, numbered: &[(u64, &[Event])]) -> State {
    let mut intake = Intake::new(source);
    let mut shard = Shard::new(source, u64::MAX);
    let mut ready = Vec::new();
    for (number, events) in numbered {
        ready.extend(intake.push(batch(*number, events)));
    }
    ready.extend(intake.finish_all());
    ready.iter().for_each(|judged| shard.apply(judged));
    if let Some(watermark) = intake.boundary() {
        shard.advance(watermark);
    }
    State::new(vec![shard], Judge::new(source, None, 0), intake.tally(), intake.watermark())
}

fn kept(source: &Source, state: &State) -> Saved {
    Saved::of(state, source)
}

fn answers(source: &Source, state: State, question: Question) -> Vec<Answer> {
    state.outlet(source).answers(question)
}

/// What is handed on in pieces.
fn sent(write: &dyn Fn(&mut Outflow<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    Measured::of(write).send(&mut |piece| bytes.extend_from_slice(piece), write);
    bytes
}

/// What a writer of commits does: a closed pane is written when it is not as it was.
#[derive(Default)]
struct Parts {
    panes: BTreeMap<PaneId, (Mark, Vec<u8>)>,
    written: usize,
}

impl Parts {
    fn write(&mut self, source: &Source, frozen: &Frozen) -> Vec<u8> {
        for pane in frozen.panes() {
            if self.panes.get(&pane.id).is_some_and(|(mark, _)| pane.is(mark)) {
                continue;
            }
            let mut record = Vec::new();
            assert!(pane.write(&mut record));
            self.panes.insert(pane.id, (pane.mark(), record));
            self.written += 1;
        }
        let mut open = Vec::new();
        frozen.write_open(source, &mut open);
        assert!(sent(&|out| frozen.send_open(source, out)) == open, "in pieces it is the same");
        open
    }

    fn restore(&self, source: &Source, budget: u64, open: &[u8]) -> Result<Shard, RestoreError> {
        let find = |id: PaneId| Some(self.panes.get(&id)?.1.as_slice());
        let mut r = Reader::new(open);
        let shard = Shard::restore_parts(source, budget, &mut r, &find, &Limits::default())?;
        r.finish()?;
        Ok(shard)
    }
}

#[test]
fn a_closed_pane_is_written_once() {
    let source = Source {
        time: time("0s", None),
        ..with_fields(vec![
            metric("n", Measure::Count, vec![vec![], vec![USER]], "10s:1d 60s:2d"),
            metric("users", Measure::Unique { field: USER, lg_k: 5 }, vec![vec![]], "10s:1d 60s:2d"),
        ])
    };
    let (mut intake, mut shard, mut parts) =
        (Intake::new(&source), Shard::new(&source, u64::MAX), Parts::default());
    // A new user every three seconds, so that groups come after panes were written.
    let all: Vec<Event> = (0..600).map(|i| (1200 + i, Some(i as u16 / 3), Some(i))).collect();
    for (number, events) in all.chunks(7).enumerate() {
        intake.push(batch(number as u64, events)).iter().for_each(|judged| shard.apply(judged));
        parts.write(&source, &shard.freeze());
    }
    // 599 s: 59 panes of ten seconds and nine of a minute are closed, of three series.
    assert_eq!((parts.written, parts.panes.len()), (3 * (59 + 9), 3 * (59 + 9)));
    // One late event: its panes of both levels, for each metric.
    let late: Vec<Event> = vec![(1234, Some(1), Some(1))];
    intake.push(batch(1000, &late)).iter().for_each(|judged| shard.apply(judged));
    let open = parts.write(&source, &shard.freeze());
    assert_eq!(parts.written, 3 * (59 + 9) + 3 * 2);
    let canonical = |shard: &Shard| {
        let mut bytes = Vec::new();
        shard.canonical(&mut bytes);
        bytes
    };
    let restored = parts.restore(&source, u64::MAX, &open).expect("what was written is restored");
    assert!(canonical(&restored) == canonical(&shard));
    parts.panes.pop_first();
    let error = parts.restore(&source, u64::MAX, &open).expect_err("a pane is gone").to_string();
    assert_eq!(error, "metric `n`: invalid bytes: a closed pane is not there");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Saved, restored and fed on: byte for byte what a run that never stopped has, with every measure, with groups that
    /// are folded away, late events, panes of every level.
    #[test]
    fn a_restored_shard_goes_on_as_if_it_had_never_stopped(
        raw in prop::collection::vec(any::<(u16, u16, i16)>(), 1..900),
        block in 40usize..200,
        shards in 1usize..3,
        every in 1usize..4,
    ) {
        let source = everything();
        let events = events(&raw, 1);
        let whole = run(&source, &events, (block, shards, u64::MAX), |_| false);
        let stopped = run(&source, &events, (block, shards, u64::MAX), |number| number % every == 0);
        prop_assert!(whole == stopped, "blocks of {}, {} shards, a stop every {}", block, shards, every);
    }

    /// The same while memory makes groups, precision and panes give way: what is accounted for is restored as well.
    #[test]
    fn memory_gives_way_at_the_same_moment_in_a_restored_shard(
        raw in prop::collection::vec(any::<(u16, u16, i16)>(), 500..1500),
        budget in 30_000u64..300_000,
    ) {
        let by_user = || vec![vec![], vec![USER]];
        let field = NUMBER;
        let source = with_fields(vec![
            metric("n", Measure::Count, by_user(), "10s:1d"),
            metric("users", Measure::Unique { field: USER, lg_k: 10 }, by_user(), "60s:1d"),
            metric("sum", Measure::Sum(field), by_user(), "60s:1d"),
            metric("q", Measure::Quantiles { field, bits: 6, at: vec![0.5] }, vec![vec![]], "60s:1d"),
        ]);
        let events = events(&raw, 2);
        let whole = run(&source, &events, (40, 1, budget), |_| false);
        let stopped = run(&source, &events, (40, 1, budget), |number| number % 3 == 1);
        prop_assert!(whole == stopped);
    }

    /// What was frozen between two blocks is written later as it was then, whatever the shard does in between, and the
    /// shard goes on as if nobody had looked: with groups that are folded away, late events, and memory that gives way.
    #[test]
    fn a_frozen_shard_stays_as_it_was(
        raw in prop::collection::vec(any::<(u16, u16, i16)>(), 1..900),
        block in 40usize..200,
        budget in prop_oneof![Just(u64::MAX), 30_000u64..300_000],
        every in 1usize..4,
    ) {
        let source = everything();
        let (mut intake, mut shard) = (Intake::new(&source), Shard::new(&source, budget));
        let (mut frozen, mut parts) = (Vec::new(), Parts::default());
        let events = events(&raw, 1);
        for (number, events) in events.chunks(block).enumerate() {
            intake.push(batch(number as u64, events)).iter().for_each(|judged| shard.apply(judged));
            if number % every == 0 {
                frozen.push((shard.freeze(), saved(&source, &shard)));
            }
            if number % 3 == 2 {
                let open = parts.write(&source, &shard.freeze());
                let again = parts.restore(&source, budget, &open).expect("what was written is restored");
                prop_assert!(saved(&source, &again) == saved(&source, &shard), "in parts");
            }
            // Some are read while the shard goes on, others are gone before.
            if number % 5 == 4 {
                frozen.remove(0);
            }
        }
        intake.finish_all().iter().for_each(|judged| shard.apply(judged));
        prop_assert!(vec![saved(&source, &shard)] == run(&source, &events, (block, 1, budget), |_| false));
        for (frozen, then) in frozen {
            let mut bytes = Vec::new();
            frozen.snapshot(&source, &mut bytes);
            prop_assert!(bytes == then, "written later");
            prop_assert!(saved(&source, &frozen.thaw(&source)) == then, "to be asked");
        }
    }

    /// Two inputs apart, saved and merged, answer as one run over both.
    #[test]
    fn merged_states_answer_as_one_run(
        raw in prop::collection::vec(any::<(u16, u16, i16)>(), 2..300),
        cut in 0.0f64..1.0,
    ) {
        let field = USER;
        let by = || vec![vec![], vec![USER]];
        let levels = "10s:1d 60s:2d";
        let source = Source { time: time("0s", None), ..with_fields(vec![
            metric("n", Measure::Count, by(), levels),
            metric("sum", Measure::Sum(NUMBER), by(), levels),
            metric("users", Measure::Unique { field, lg_k: 5 }, by(), levels),
            metric("crowd", Measure::Audience { field, lg_k: 5 }, by(), levels),
            metric("freq", Measure::Freq { field, lg_width: 8, depth: 3, hot: 2048, weight: None }, by(), levels),
            metric("top", Measure::Top { field, k: 5, counters: 2048, weight: None }, by(), levels),
            metric("q", Measure::Quantiles { field: NUMBER, bits: 6, at: vec![0.5, 0.9] }, by(), levels),
            metric("h", Measure::Histogram { field: NUMBER, bounds: Some(vec![0.0, 10.0]) }, by(), levels),
        ]) };
        let mut events = events(&raw, 1);
        events.sort_by_key(|(second, ..)| *second);
        let (first, second) = events.split_at((events.len() as f64 * cut) as usize);
        let whole = || state_of(&source, &[(0, first), (1, second)]);
        let merged = || {
            let restore = |state: State| {
                kept(&source, &state).restore(&source, &Limits::default()).expect("what was saved is restored")
            };
            let mut state = restore(state_of(&source, &[(0, first)]));
            state.absorb(&source, restore(state_of(&source, &[(1, second)]))).expect("one pipeline");
            state
        };
        // The second input cannot know how far behind the first one its events stand.
        let same = |tally: Tally| Tally { behind_max_us: 0, ..tally };
        prop_assert_eq!(same(whole().tally()), same(merged().tally()));
        for question in [Question::Total, windows("10s", "10s"), windows("120s", "60s")] {
            prop_assert_eq!(
                answers(&source, merged(), question),
                answers(&source, whole(), question)
            );
        }
    }

    /// Bytes with a change anywhere are refused, or are a state that can be read out and merged.
    #[test]
    fn changed_bytes_are_refused_or_a_state(
        raw in prop::collection::vec(any::<(u16, u16, i16)>(), 1..60),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let source = everything();
        let mut bytes = kept(&source, &state_of(&source, &[(0, &events(&raw, 1))])).bytes;
        for (at, byte) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        let restore = || Saved { source: "events".into(), bytes: bytes.clone() }.restore(&source, &Limits::default());
        if let Ok(state) = restore() {
            prop_assert_eq!(&kept(&source, &state).bytes, &bytes, "what is accepted is canonical");
            let mut twice = restore().expect("as before");
            if twice.absorb(&source, state).is_ok() {
                twice.outlet(&source).answers(windows("60s", "60s"));
            }
            restore().expect("as before").outlet(&source).answers(Question::Total);
        }
    }
}

fn few() -> Vec<Event> {
    (0..300).map(|i| (1000 + i, Some(i as u16 % 40), Some(i))).collect()
}

#[test]
fn answers_after_a_restore_are_those_before() {
    let source = everything();
    let events = few();
    let make = || state_of(&source, &[(0, &events)]);
    for question in [Question::Total, windows("60s", "60s")] {
        let again = kept(&source, &make()).restore(&source, &Limits::default()).expect("restored");
        assert_eq!(answers(&source, again, question), answers(&source, make(), question));
    }
}

#[test]
fn a_state_of_another_pipeline_is_refused_by_the_name_of_the_metric() {
    let one = |measure: Measure| with_fields(vec![metric("m", measure, vec![vec![]], "")]);
    let unique = |lg_k| one(Measure::Unique { field: USER, lg_k });
    let events = few();
    let restore = |saved_as: &Source, read_as: &Source| {
        kept(saved_as, &state_of(saved_as, &[(0, &events)])).restore(read_as, &Limits::default()).map(drop)
    };
    let parameters = DecodeError::Invalid("a sketch with other parameters than the metric has");
    let refused = Err(RestoreError::Metric { metric: "m".into(), error: parameters });
    assert_eq!(restore(&unique(12), &unique(12)), Ok(()));
    assert_eq!(restore(&unique(13), &unique(12)), refused, "finer than asked for");
    assert_eq!(restore(&unique(11), &unique(12)), Ok(()), "memory may have folded it");
    assert_eq!(restore(&unique(7), &unique(12)), refused, "memory does not fold that far");
    let top = |counters| one(Measure::Top { field: USER, k: 3, counters, weight: None });
    assert_eq!(restore(&top(64), &top(128)), refused);
    assert!(matches!(restore(&top(64), &unique(12)), Err(RestoreError::Metric { .. })));
}

#[test]
fn nothing_is_built_beyond_the_limit() {
    let source = everything();
    let bytes = kept(&source, &state_of(&source, &[(0, &few())]));
    let needed = bytes.restore(&source, &Limits::default()).expect("fits");
    let memory = needed.outlet(&source).memory_bytes();
    let error = bytes.restore(&source, &Limits::bytes(memory / 2)).expect_err("does not fit");
    let RestoreError::Metric { error: DecodeError::TooLarge { .. }, .. } = error else { panic!("{error}") };
}

#[test]
fn a_state_tells_what_it_holds_of_each_metric() {
    let levels = "10s:1d 60s:2d";
    let source = Source {
        time: time("0s", None),
        ..with_fields(vec![
            metric("n", Measure::Count, vec![vec![], vec![USER]], levels),
            metric("users", Measure::Unique { field: USER, lg_k: 12 }, vec![vec![]], ""),
        ])
    };
    // 300 seconds from second 1000 on, 40 users in turn. By 60 s the first pane holds 20 s; the last one the 30 s of the
    // closed ones of 10 s.
    let held = state_of(&source, &[(0, &few())]).holdings();
    let told: Vec<_> = held.iter().map(|h| (h.metric, h.by.clone(), h.groups, h.panes, h.cells)).collect();
    assert_eq!(
        told,
        [
            (0, vec![], 1, 30 + 6, 1 + 30 + 6),
            (1, vec![], 1, 0, 1),
            (0, vec![USER], 40, 30 + 6, 40 + 30 * 10 + 20 + 4 * 40 + 30),
        ]
    );
    assert!(held.iter().all(|h| h.memory_bytes > 0), "{held:?}");
}

fn file(source: &Source) -> StateFile {
    StateFile {
        name: "p.toml".into(),
        pipeline: "name = \"p\"".into(),
        overrides: vec!["a=1".into(), "b=2".into()],
        whole: false,
        question: Question::Windows { window: span("2m"), every: span("1m") },
        sources: vec![kept(source, &state_of(source, &[(0, &few())]))],
    }
}

#[test]
fn a_state_file_is_read_as_it_was_written_and_every_flipped_bit_is_seen() {
    let file = file(&with_fields(vec![metric("n", Measure::Count, vec![vec![], vec![USER]], "10s:1d")]));
    let bytes = file.write();
    assert_eq!(StateFile::read(&bytes), Ok(file));
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let want = match at {
            0..8 => FileError::NotOne,
            8..10 => FileError::Version(u16::from_le_bytes([flipped[8], flipped[9]])),
            _ => FileError::Damaged,
        };
        assert_eq!(StateFile::read(&flipped), Err(want), "byte {at}");
        let cut = if at < 8 { FileError::NotOne } else { FileError::Damaged };
        assert_eq!(StateFile::read(&bytes[..at]), Err(cut), "the first {at} bytes");
    }
}

#[test]
fn a_state_file_of_calendar_days_names_their_zone() {
    let source = with_fields(vec![metric("n", Measure::Count, vec![vec![]], "1h:10d")]);
    let zone = engine::days::Zone::new("Europe/Berlin").expect("a zone");
    let file =
        StateFile { question: Question::Days { window: 7, every: 1, zone }, whole: true, ..file(&source) };
    let bytes = file.write();
    assert_eq!(StateFile::read(&bytes), Ok(file));
    let at = bytes.windows(13).position(|name| name == b"Europe/Berlin").expect("its name");
    for (place, byte, what) in
        [(at, b'X', "time zone"), (at - 4 - 16, 8, "question"), (at - 4 - 8, 2, "question")]
    {
        let mut other = bytes[..bytes.len() - 16].to_vec();
        other[place] = byte;
        let (low, high) = sketch::hash::murmur3_x64_128(&other, 0x5347_5354);
        other.extend_from_slice(&low.to_le_bytes());
        other.extend_from_slice(&high.to_le_bytes());
        let read = StateFile::read(&other);
        match (what, byte) {
            // Eight days, one after the other, are as good a question.
            ("question", 8) => assert!(read.is_ok(), "{read:?}"),
            _ => assert_eq!(read, Err(FileError::Bytes(DecodeError::Invalid(what))), "{place}"),
        }
    }
}

#[test]
fn states_with_verdicts_are_kept_but_not_merged() {
    let mut source = with_fields(vec![
        metric("again", Measure::Seen { field: USER, keys: 100, rate: 0.01, keep: None }, vec![vec![]], ""),
        metric("returning", Measure::Count, vec![vec![]], ""),
    ]);
    source.steps = vec![Step::Judge { metric: 0 }];
    source.metrics[1].filter = Some(source.column_of_verdict(0));
    let make = || {
        let mut intake = Intake::new(&source);
        let (mut shard, mut judge) = (Shard::new(&source, u64::MAX), Judge::new(&source, None, 1 << 20));
        let mut ready = intake.push(batch(0, &few()));
        ready.extend(intake.finish_all());
        for mut judged in ready {
            judge.apply(&mut judged);
            shard.apply(&judged);
        }
        State::new(vec![shard], judge, intake.tally(), intake.watermark())
    };
    let restore = || kept(&source, &make()).restore(&source, &Limits::default()).expect("restored");
    let (before, after) =
        (answers(&source, make(), Question::Total), answers(&source, restore(), Question::Total));
    assert_eq!(after, before);
    let refused = make().absorb(&source, restore()).expect_err("a verdict").to_string();
    assert!(refused.starts_with("metric `again` is a `seen`"), "{refused}");
}

#[test]
fn counters_that_do_not_add_up_are_refused() {
    let tally = Tally { read: 10, on_time: 7, late: 2, bad: [1, 0, 0, 0, 0, 0, 0, 0], ..Tally::default() };
    let mut bytes = Vec::new();
    tally.snapshot(&mut bytes);
    assert_eq!(Tally::restore(&mut Reader::new(&bytes)), Ok(tally));
    for at in 1..bytes.len() - 8 {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1;
        let restored = Tally::restore(&mut Reader::new(&wrong));
        // These are parts of others: nothing follows for them but that they are not more.
        if (33..57).contains(&at) {
            continue;
        }
        assert!(restored.is_err(), "byte {at}: {restored:?}");
    }
}

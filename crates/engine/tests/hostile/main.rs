//! States of an enemy: saved states under structured mutation, with the allocations of reading them watched.
//!
//! 6,000 images in an ordinary run; `STREAMGAUGE_STATE_IMAGES` sets another number. What is accepted must be a state in
//! every respect: saved again it is the same bytes, and it can be asked, merged, and saved after that.

#[path = "../it/support.rs"]
#[allow(dead_code)]
mod support;

use arrow_array::{Int64Array, StringArray};
use engine::State;
use engine::batch::{Batch, Place};
use engine::column::Column;
use engine::intake::Intake;
use engine::judge::Judge;
use engine::shard::{Frozen, FrozenPane, PaneId, Shard};
use engine::spec::{Field, Kind, Measure, Metric, Question, Source, Step};
use engine::state::Saved;
use engine::time::{SECOND, Span, Time};
use peak_alloc::PeakAlloc;
use sketch::{Limits, Reader};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use support::{metric, source, time, windows};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// What a restored state may take.
const LIMITS: Limits = Limits::bytes(1 << 20);
/// Reading may take that, what the empty machines of a source take before the first byte, and copies on the way.
const PEAK_BYTES_MAX: usize = 3 << 20;
const USER: usize = 0;
const NUMBER: usize = 1;

// One test: the allocator's peak belongs to the whole program.
#[test]
fn any_bytes_are_survived_and_what_is_accepted_is_a_state() {
    let images: u64 = std::env::var("STREAMGAUGE_STATE_IMAGES")
        .map_or(6_000, |text| text.parse().expect("a number of images"));
    let seeds: Vec<(Source, Vec<u8>)> = [lone(), totals(), panes(), verdicts(), sessions()]
        .into_iter()
        .flat_map(|source| [0, 3, 90].map(|events| (source.clone(), saved(&source, events))))
        .collect();
    seeds.iter().for_each(|(source, bytes)| assert!(lives(source, bytes), "{source:?}"));
    let mut mutator = Mutator { state: 11 };
    let mut accepted = 0;
    for n in 0..images {
        let (source, seed) = &seeds[n as usize % seeds.len()];
        let image = mutator.mutate(seed);
        let outcome = catch_unwind(AssertUnwindSafe(|| lives(source, &image)));
        let Ok(alive) = outcome else { panic!("image {n}: {image:?}") };
        accepted += u64::from(alive);
    }
    // Mutations that are always refused would try nothing but the first check.
    assert!(accepted * 20 >= images, "{accepted} of {images} were accepted");
    eprintln!("{images} images, {accepted} accepted");
    in_parts(images / 3, &mut mutator);
}

/// The same of a shard in parts: one of them, the open one or a closed pane, is changed.
fn in_parts(images: u64, mutator: &mut Mutator) {
    let seeds = [(totals(), 40), (panes(), 40), (panes(), 90)].map(|(source, events)| {
        let (.., mut shard) = shard_of(&source, events);
        let parts = parts_of(&source, &shard.freeze());
        (source, parts)
    });
    assert!(seeds[2].1.1.len() > 100, "closed panes");
    seeds.iter().for_each(|(source, parts)| assert!(lives_in_parts(source, parts), "{source:?}"));
    let mut accepted = 0;
    for n in 0..images {
        let (source, parts) = &seeds[n as usize % seeds.len()];
        let mut parts = parts.clone();
        match mutator.below(parts.1.len() + 1) {
            at if at < parts.1.len() && n % 4 > 0 => {
                let record = parts.1.values_mut().nth(at).expect("one of them");
                *record = mutator.mutate(record);
            }
            _ => parts.0 = mutator.mutate(&parts.0),
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| lives_in_parts(source, &parts)));
        let Ok(alive) = outcome else { panic!("image {n}: {parts:?}") };
        accepted += u64::from(alive);
    }
    assert!(accepted * 20 >= images, "{accepted} of {images} in parts were accepted");
    eprintln!("{images} images in parts, {accepted} accepted");
}

/// What is written every time, and the closed panes.
type Parts = (Vec<u8>, BTreeMap<PaneId, Vec<u8>>);

fn parts_of(source: &Source, frozen: &Frozen) -> Parts {
    let mut open = Vec::new();
    frozen.write_open(source, &mut open);
    let record = |pane: FrozenPane<'_>| {
        let mut record = Vec::new();
        assert!(pane.write(&mut record));
        (pane.id, record)
    };
    (open, frozen.panes().map(record).collect())
}

fn lives_in_parts(source: &Source, parts: &Parts) -> bool {
    let (open, records) = parts;
    let find = |id: PaneId| Some(records.get(&id)?.as_slice());
    let bytes = open.len() + records.values().map(Vec::len).sum::<usize>();
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    let mut r = Reader::new(open);
    let shard = Shard::restore_parts(source, u64::MAX, &mut r, &find, &LIMITS);
    let peak = HEAP.peak_usage() - before;
    assert!(peak <= PEAK_BYTES_MAX + 64 * bytes, "{peak} bytes for {bytes}");
    let Ok(mut shard) = shard else { return false };
    if r.finish().is_err() {
        return false;
    }
    let (again, panes) = parts_of(source, &shard.freeze());
    assert_eq!(&again, open, "what is accepted is written as it was");
    panes.iter().for_each(|(id, pane)| assert_eq!(pane, &records[id], "a pane too"));
    let intake = Intake::new(source);
    ask(source, State::new(vec![shard], Judge::new(source, None, 0), intake.tally(), None));
    true
}

/// Whether bytes are a state, which is then put through all that is done with states.
fn lives(source: &Source, bytes: &[u8]) -> bool {
    let read = |bytes: &[u8], limits: &Limits| {
        Saved { source: source.name.clone(), bytes: bytes.to_vec() }.restore(source, limits)
    };
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    let state = read(bytes, &LIMITS);
    let peak = HEAP.peak_usage() - before;
    assert!(peak <= PEAK_BYTES_MAX + 64 * bytes.len(), "{peak} bytes for {}", bytes.len());
    let Ok(state) = state else { return false };
    let twin = || read(bytes, &LIMITS).expect("as before");
    assert_eq!(Saved::of(&state, source).bytes, bytes, "what is accepted is saved as it was");
    ask(source, state);
    let mut merged = twin();
    if merged.absorb(source, twin()).is_ok() {
        let saved = Saved::of(&merged, source).bytes;
        let again = read(&saved, &Limits::bytes(64 << 20)).expect("what was merged can be saved and read");
        assert_eq!(Saved::of(&again, source).bytes, saved, "what was merged is saved as it was");
        ask(source, again);
    }
    true
}

fn ask(source: &Source, state: State) {
    let outlet = state.outlet(source);
    outlet.answers(Question::Total);
    if source.metrics.iter().any(|metric| !metric.levels.is_empty()) {
        outlet.answers(windows("20s", "20s"));
    }
}

/// One metric without groups: most of its bytes are a sketch.
fn lone() -> Source {
    of_fields(vec![metric("users", Measure::Unique { field: USER, lg_k: 6 }, vec![vec![]], "")])
}

fn totals() -> Source {
    of_fields(measures(""))
}

fn panes() -> Source {
    Source { time: time("7s", Some("1h")), ..of_fields(measures("10s:200s 60s:400s")) }
}

fn verdicts() -> Source {
    let keep = Some(Span(60 * SECOND));
    let mut source = of_fields(vec![
        metric("again", Measure::Seen { field: USER, keys: 20, rate: 0.1, keep: None }, vec![vec![]], ""),
        metric("returning", Measure::Count, vec![vec![], vec![USER]], ""),
        metric("lately", Measure::Seen { field: USER, keys: 20, rate: 0.1, keep }, vec![vec![]], ""),
        metric("just", Measure::Seen { field: NUMBER, keys: 20_000, rate: 0.1, keep }, vec![vec![]], ""),
    ]);
    source.time = time("7s", Some("1h"));
    source.steps = vec![Step::Judge { metric: 0 }, Step::Judge { metric: 2 }, Step::Judge { metric: 3 }];
    source.metrics[1].filter = Some(source.column_of_verdict(0));
    source
}

/// Few of which are held, so that most have left.
fn sessions() -> Source {
    let measure = |gap| Measure::Session { field: USER, gap, open_max: 12, bits: 4, at: vec![0.5] };
    let metrics = vec![
        metric("visits", measure(Span(20 * SECOND)), vec![vec![]], "10s:200s 60s:400s"),
        metric("stays", measure(Span(100 * SECOND)), vec![vec![]], ""),
    ];
    Source { time: time("7s", None), ..of_fields(metrics) }
}

fn measures(levels: &str) -> Vec<Metric> {
    let field = NUMBER;
    let by_user = || vec![vec![], vec![USER]];
    let metrics = vec![
        metric("n", Measure::Count, vec![vec![], vec![NUMBER], vec![USER, NUMBER]], levels),
        metric("sum", Measure::Sum(field), by_user(), levels),
        metric("spread", Measure::Stddev(field), by_user(), levels),
        metric("most", Measure::Max(field), by_user(), levels),
        metric("users", Measure::Unique { field: USER, lg_k: 4 }, by_user(), levels),
        metric("crowd", Measure::Audience { field: USER, lg_k: 4 }, by_user(), levels),
        metric(
            "freq",
            Measure::Freq { field, lg_width: 4, depth: 2, hot: 16, weight: None },
            by_user(),
            levels,
        ),
        metric(
            "top",
            Measure::Top { field: USER, k: 5, counters: 16, weight: Some(NUMBER) },
            by_user(),
            levels,
        ),
        metric("q", Measure::Quantiles { field, bits: 4, at: vec![0.5, 0.9] }, by_user(), levels),
        metric("h", Measure::Histogram { field, bounds: Some(vec![0.0, 10.0]) }, by_user(), levels),
        metric("log", Measure::Histogram { field, bounds: None }, by_user(), levels),
        metric("some", Measure::Sample { fields: vec![USER, NUMBER], k: 3 }, by_user(), levels),
    ];
    metrics.into_iter().map(|metric| Metric { groups_max: 5, ..metric }).collect()
}

fn of_fields(metrics: Vec<Metric>) -> Source {
    Source {
        fields: vec![
            Field { path: "user".into(), kind: Kind::String },
            Field { path: "number".into(), kind: Kind::Int64 },
        ],
        ..source(None, metrics)
    }
}

/// The state of so many events, as bytes.
fn saved(source: &Source, events: usize) -> Vec<u8> {
    let (intake, judge, shard) = shard_of(source, events);
    Saved::of(&State::new(vec![shard], judge, intake.tally(), intake.watermark()), source).bytes
}

/// The machines behind so many events.
fn shard_of(source: &Source, events: usize) -> (Intake, Judge, Shard) {
    let place = |row: usize| Place { start: row as u32 * 10, len: 9, line: 0 };
    let batch = Batch {
        rows: events,
        times: (0..events).map(|row| Time((1000 + 3 * row as i64) * SECOND)).collect(),
        columns: vec![
            Column::String((0..events).map(|row| Some(format!("u{}", row % 23))).collect::<StringArray>()),
            Column::Int64((0..events).map(|row| (row % 5 > 0).then_some(row as i64)).collect::<Int64Array>()),
        ],
        places: (0..events).map(place).collect(),
        ..Batch::empty(0, 0)
    };
    let (mut intake, mut shard) = (Intake::new(source), Shard::new(source, u64::MAX));
    let mut judge = Judge::new(source, None, 1 << 16);
    let mut ready = intake.push(batch);
    ready.extend(intake.finish_all());
    for mut judged in ready {
        judge.apply(&mut judged);
        shard.apply(&judged);
    }
    if let Some(watermark) = intake.boundary() {
        shard.advance(watermark);
    }
    (intake, judge, shard)
}

/// Values at which sizes, numbers and weights break.
const TELLING: [u64; 10] =
    [0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, i64::MAX as u64, u64::MAX];

/// A seeded source of mutations. Nearly all keep the length: lengths stand in front of every part.
struct Mutator {
    state: u64,
}

impl Mutator {
    /// SplitMix64.
    fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ self.state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn below(&mut self, n: usize) -> usize {
        (self.word() % n.max(1) as u64) as usize
    }

    fn mutate(&mut self, image: &[u8]) -> Vec<u8> {
        let mut out = image.to_vec();
        for _ in 0..1 + self.below(3) {
            let at = self.below(out.len());
            let len = 1usize << self.below(4);
            let end = out.len().min(at + len);
            match self.below(16) {
                0 => out.truncate(at),
                1 => drop(out.drain(at..end)),
                2 => {
                    let piece = out[at..end].to_vec();
                    out.splice(at..at, piece);
                }
                3..6 => {
                    let value = TELLING[self.below(TELLING.len())].to_le_bytes();
                    out[at..end].copy_from_slice(&value[..end - at]);
                }
                6..8 => {
                    let from = self.below(out.len() - (end - at));
                    out.copy_within(from..from + (end - at), at);
                }
                8..12 if at < out.len() => out[at] ^= 1 << self.below(8),
                _ if at < out.len() => out[at] = out[at].wrapping_add(self.below(5) as u8).wrapping_sub(2),
                _ => {}
            }
        }
        out
    }
}

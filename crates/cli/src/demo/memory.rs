//! Each sketch beside the exact structure that answers the same question, both in bytes of the heap.
//!
//! Every metric that is looked at gets a shard of its own, next to the structure that a plain program would keep; the
//! same events go into both, and what a call leaves on the heap is added up. Small blocks, so that the buffers of a
//! shard, which are as long as a block, do not count.

use super::facts::{EngineBytes, Memory, Structure};
use super::measure::Work;
use super::stream::{BLOCK_BYTES, Blocks};
use super::truth::text;
use crate::heap::Heap;
use engine::intake::{Intake, Judged};
use engine::judge::Judge;
use engine::shard::Shard;
use engine::spec::{Measure, Source};
use shop::exact::{Counts, Seen, Values};
use shop::{Event, Settings, Shop, write_user_id};
use std::collections::BTreeMap;

/// Bytes of a block here: some fifty events.
const SMALL_BYTES: usize = 16 << 10;
/// How many entities are tried to find where a sketch begins to be the smaller one.
const TRIED_MAX: u64 = 50_000;

/// Measures the structures, and the engine as a whole.
pub fn measure(work: &Work, settings: &Settings) -> Memory {
    let mut pairs = Pair::all(work);
    feed(work, Shop::new(settings.clone()), &mut pairs);
    let turns = turns(work, settings);
    let structures: Vec<Structure> = pairs.iter().zip(turns).map(|(pair, turn)| pair.told(turn)).collect();
    let exact_bytes = structures.iter().map(|s| s.exact_bytes).sum();
    Memory { structures, engine: engine(work, settings, exact_bytes) }
}

/// The engine as a whole: with blocks as they are in earnest, and with small ones, whose buffers hardly count.
fn engine(work: &Work, settings: &Settings, exact_bytes: i64) -> EngineBytes {
    let real = weigh(work, settings, BLOCK_BYTES);
    let small = weigh(work, settings, SMALL_BYTES);
    EngineBytes {
        accounted_bytes: small.accounted,
        state_bytes: small.state,
        difference: (small.state - small.accounted as i64) as f64 / (small.accounted as f64).max(1.0),
        buffers_bytes: real.state - small.state,
        peak_bytes: real.peak,
        exact_bytes,
        memory_bytes: work.memory_bytes,
    }
}

/// Bytes of an engine.
struct Weight {
    accounted: u64,
    state: i64,
    peak: i64,
}

/// The machines as `Engine` wires them, in the open: at the end the decoder and the intake go, and what is left is state.
fn weigh(work: &Work, settings: &Settings, block_bytes: usize) -> Weight {
    let (source, shards) = (&work.source, work.shards as u64);
    let verdict_bytes = Judge::share_of(source, work.memory_bytes);
    let shard_bytes = work.memory_bytes.saturating_sub(verdict_bytes) / shards;
    let mut blocks = Blocks::new(Shop::new(settings.clone()), block_bytes);
    let heap = Heap::start();
    let mut decoder = work.decoder();
    let mut intake = Intake::new(source);
    let mut judge = Judge::new(source, work.program.clone(), verdict_bytes);
    let mut state: Vec<Shard> = (0..shards).map(|_| Shard::new(source, shard_bytes)).collect();
    loop {
        let (batches, last) = match blocks.next(|_| {}) {
            Some(block) => (intake.push(decoder.decode(&block)), false),
            None => (intake.finish_all(), true),
        };
        for mut judged in batches {
            judge.apply(&mut judged);
            state[(judged.batch.number % shards) as usize].apply(&judged);
        }
        if last {
            break;
        }
    }
    drop((decoder, intake));
    let accounted = state.iter().map(|shard| shard.memory_bytes() as u64).sum::<u64>() + judge.memory_bytes();
    Weight { accounted, state: heap.current(), peak: heap.peak() }
}

/// From how many entities on each sketch is the smaller one: an event by each, one after the other.
fn turns(work: &Work, settings: &Settings) -> Vec<Option<u64>> {
    let mut pairs = Pair::all(work);
    let shop = Shop::new(Settings { flood: false, ..settings.clone() });
    let newcomer = |n: u64| {
        let event = shop.event(n);
        let latency_tenths = event.latency_tenths.or(Some(200));
        Event { user: n as u32, page: Some(n as u32), latency_tenths, ..event }
    };
    feed(work, (0..TRIED_MAX).map(newcomer), &mut pairs);
    pairs.iter().map(|pair| pair.turned.filter(|_| pair.shape.turns())).collect()
}

/// Feeds events to both sides of all pairs, and notes where the sketch became the smaller one.
fn feed(work: &Work, events: impl Iterator<Item = Event>, pairs: &mut [Pair]) {
    let mut decoder = work.decoder();
    let mut intake = Intake::new(&work.source);
    let new_judge =
        || Judge::new(&work.source, work.program.clone(), Judge::share_of(&work.source, work.memory_bytes));
    let (mut judge, mut twin) = (new_judge(), new_judge());
    let mut blocks = Blocks::new(events, SMALL_BYTES);
    let mut block_events: Vec<Event> = Vec::with_capacity(SMALL_BYTES / 64);
    let mut count = 0;
    let heap = Heap::start();
    loop {
        block_events.clear();
        let batches = match blocks.next(|event| block_events.push(*event)) {
            Some(block) => intake.push(decoder.decode(&block)),
            None => intake.finish_all(),
        };
        let last = block_events.is_empty();
        for mut judged in batches {
            // The columns that a judge adds belong to the batch: a twin that does the same to a copy leaves only its own.
            let verdicts = heap.left_by(|| twin.apply(&mut judged.clone()));
            judge.apply(&mut judged);
            pairs.iter_mut().for_each(|pair| pair.fold(&heap, &judged, verdicts));
        }
        count += block_events.len() as u64;
        pairs.iter_mut().for_each(|pair| pair.update(&heap, &block_events, count));
        if last {
            return;
        }
    }
}

/// A sketch and what it stands for.
struct Pair {
    shape: Shape,
    /// A shard with this metric alone; a filter of verdicts is the judge's and has none.
    shard: Option<Shard>,
    plain: Plain,
    sketch: &'static str,
    sketch_bytes: i64,
    plain_bytes: i64,
    /// Entities at the last look, while the sketch has been the smaller one since.
    turned: Option<u64>,
}

/// Which metric, and what replaces it.
#[derive(Clone, Copy)]
struct Shape {
    metric: &'static str,
    by: Option<&'static str>,
    instead_of: &'static str,
    per: &'static str,
    plain: fn() -> Plain,
}

const SHAPES: [Shape; 7] = [
    Shape {
        metric: "visitors",
        by: None,
        instead_of: "set of ids",
        per: "users",
        plain: || Plain::Users(Seen::default()),
    },
    Shape {
        metric: "visitors",
        by: Some("device"),
        instead_of: "set of ids each",
        per: "users",
        plain: || Plain::Devices(BTreeMap::new()),
    },
    Shape {
        metric: "returning",
        by: None,
        instead_of: "set of ids",
        per: "users",
        plain: || Plain::Users(Seen::default()),
    },
    Shape {
        metric: "top_users",
        by: None,
        instead_of: "map of counts",
        per: "users",
        plain: || Plain::UserCounts(Counts::default()),
    },
    Shape {
        metric: "top_pages",
        by: None,
        instead_of: "map of counts",
        per: "pages",
        plain: || Plain::PageCounts(Counts::default()),
    },
    Shape {
        metric: "latency",
        by: None,
        instead_of: "list of values",
        per: "values",
        plain: || Plain::Latencies(Values::default()),
    },
    Shape {
        metric: "latency",
        by: Some("endpoint"),
        instead_of: "list of values each",
        per: "values",
        plain: || Plain::Endpoints(BTreeMap::new()),
    },
];

impl Shape {
    /// Whether one number of entities says where it turns.
    fn turns(&self) -> bool {
        self.by.is_none()
    }
}

impl Pair {
    /// One for each metric of the pipeline that is known and has a plain counterpart.
    fn all(work: &Work) -> Vec<Pair> {
        SHAPES.iter().filter_map(|shape| Pair::new(work, *shape)).collect()
    }

    fn new(work: &Work, shape: Shape) -> Option<Pair> {
        let metric = work.known(shape.metric)?;
        let columns = work.source.columns();
        let by = |set: &&Vec<usize>| match (&set[..], shape.by) {
            ([], None) => true,
            ([field], Some(name)) => columns[*field].path == name,
            _ => false,
        };
        let set = metric.by.iter().find(by);
        let verdict = matches!(metric.measure, Measure::Seen { .. });
        let shard = match (set, verdict) {
            (_, true) => None,
            (Some(set), false) => Some(Shard::new(&alone(&work.source, shape.metric, set), u64::MAX)),
            (None, false) => return None,
        };
        let sketch = match metric.measure {
            Measure::Unique { .. } => "HyperLogLog",
            Measure::Seen { .. } => "Bloom filter",
            Measure::Top { .. } => "counters",
            _ => "bins",
        };
        Some(Pair {
            shape,
            shard,
            plain: (shape.plain)(),
            sketch,
            sketch_bytes: 0,
            plain_bytes: 0,
            turned: None,
        })
    }

    fn fold(&mut self, heap: &Heap, judged: &Judged, verdicts: i64) {
        self.sketch_bytes += match &mut self.shard {
            Some(shard) => heap.left_by(|| shard.apply(judged)),
            None => verdicts,
        };
    }

    fn update(&mut self, heap: &Heap, events: &[Event], count: u64) {
        self.plain_bytes += heap.left_by(|| events.iter().for_each(|event| self.plain.update(event)));
        self.turned = match self.plain_bytes > self.sketch_bytes {
            true => self.turned.or(Some(count)),
            false => None,
        };
    }

    fn told(&self, turns_at: Option<u64>) -> Structure {
        let Shape { metric, by, instead_of, per, .. } = self.shape;
        Structure {
            metric: metric.to_string(),
            by: by.map(str::to_string),
            sketch: self.sketch.to_string(),
            instead_of,
            sketch_bytes: self.sketch_bytes,
            exact_bytes: self.plain_bytes,
            ratio: self.plain_bytes as f64 / (self.sketch_bytes as f64).max(1.0),
            per,
            turns_at,
        }
    }
}

/// The source with one metric under one grouping set. The others stay as names, because columns are numbered over all.
fn alone(source: &Source, metric: &str, set: &[usize]) -> Source {
    let mut source = source.clone();
    for other in &mut source.metrics {
        let verdict = matches!(other.measure, Measure::Seen { .. });
        other.levels.clear();
        if other.name == metric {
            other.by = vec![set.to_vec()];
        } else if !verdict {
            other.by.clear();
            other.measure = Measure::Count;
        }
    }
    source
}

/// What a plain program would keep.
enum Plain {
    Users(Seen<String>),
    Devices(BTreeMap<&'static str, Seen<String>>),
    UserCounts(Counts<String>),
    PageCounts(Counts<String>),
    Latencies(Values),
    Endpoints(BTreeMap<&'static str, Values>),
}

impl Plain {
    fn update(&mut self, event: &Event) {
        let latency_ms = event.latency_tenths.map(|tenths| tenths as f64 / 10.0);
        match self {
            Plain::Users(seen) => {
                seen.update(user_id(event));
            }
            Plain::Devices(devices) => {
                devices.entry(event.device).or_default().update(user_id(event));
            }
            Plain::UserCounts(counts) => counts.update(user_id(event)),
            Plain::PageCounts(counts) => {
                event.page.into_iter().for_each(|page| counts.update(format!("/p/{page}").as_str().into()));
            }
            Plain::Latencies(values) => latency_ms.into_iter().for_each(|ms| values.update(ms)),
            Plain::Endpoints(all) => {
                let values = latency_ms.map(|ms| (all.entry(event.kind.endpoint()).or_default(), ms));
                values.into_iter().for_each(|(values, ms)| values.update(ms));
            }
        }
    }
}

/// The id as a program would keep it: no longer than it is.
fn user_id(event: &Event) -> String {
    text(|out| write_user_id(event.user, out)).as_str().into()
}

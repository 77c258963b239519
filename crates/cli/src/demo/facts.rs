//! What the demo found, as data: `--format json` writes it as it is, the table is made of it.

use engine::answer::{Answer, Number};
use serde::Serialize;

/// Everything.
#[derive(Debug, Serialize)]
pub struct Facts {
    /// What was run.
    pub run: Run,
    /// Who came.
    pub people: Vec<Compared>,
    /// Events and purchases by window.
    pub windows: Option<Windows>,
    /// Events by type, most frequent first.
    pub types: Vec<Compared>,
    /// The most frequent values.
    pub tops: Vec<Top>,
    /// Quantiles of the latency.
    pub latency: Vec<Latency>,
    /// What came in.
    pub money: Vec<Compared>,
    /// Events picked at random.
    pub samples: Vec<Answer>,
    /// Bytes beside those of exact structures.
    pub memory: Memory,
    /// Metrics whose exact answer is not known: those that the built-in pipeline does not have.
    pub others: Vec<Answer>,
}

/// What was run.
#[derive(Debug, Serialize)]
pub struct Run {
    pub events: u64,
    pub entities: u32,
    pub seed: u64,
    pub flood: bool,
    /// Name of the pipeline.
    pub pipeline: String,
    pub builtin: bool,
    pub metrics: usize,
    pub shards: usize,
    pub read: u64,
    pub bad: u64,
    pub late: u64,
    /// Time in the engine; with `events_per_second` all that differs from run to run.
    pub seconds: f64,
    pub events_per_second: f64,
}

/// An answer and the truth.
#[derive(Debug, Serialize)]
pub struct Compared {
    pub metric: String,
    /// The value of the group; null for all events.
    pub group: Option<String>,
    pub value: Option<Number>,
    pub low: Option<Number>,
    pub high: Option<Number>,
    pub confidence: f64,
    pub guarantee: &'static str,
    pub sketch: Option<String>,
    pub truth: Number,
    /// (value - truth) / truth; null when that is no number.
    pub error: Option<f64>,
    /// Whether the truth lies within the bounds.
    pub inside: bool,
}

/// The windows.
#[derive(Debug, Serialize)]
pub struct Windows {
    /// Length of each.
    pub length: String,
    /// When the flood was made, RFC 3339; null without one.
    pub flood: Option<[String; 2]>,
    pub rows: Vec<Window>,
}

/// One of them.
#[derive(Debug, Serialize)]
pub struct Window {
    pub start: String,
    pub events: Option<Compared>,
    pub purchases: Option<Compared>,
    pub buyers: Option<Compared>,
    /// Whether a part of the flood lies inside.
    pub flood: bool,
}

/// The most frequent values of a field.
#[derive(Debug, Serialize)]
pub struct Top {
    pub metric: String,
    pub sketch: Option<String>,
    /// How many of the items belong there: of the truth's own list, ties counted for the answer.
    pub right: usize,
    pub items: Vec<TopItem>,
}

/// One of them.
#[derive(Debug, Serialize)]
pub struct TopItem {
    pub item: String,
    pub value: u64,
    pub low: u64,
    pub high: u64,
    pub truth: u64,
    pub inside: bool,
}

/// A quantile of the latency, ms.
#[derive(Debug, Serialize)]
pub struct Latency {
    /// Null for all.
    pub endpoint: Option<String>,
    pub q: f64,
    pub value: f64,
    pub low: f64,
    pub high: f64,
    pub truth: f64,
    pub error: f64,
    pub inside: bool,
}

/// Bytes, as the allocator counts them.
#[derive(Debug, Serialize)]
pub struct Memory {
    pub structures: Vec<Structure>,
    pub engine: EngineBytes,
}

/// A sketch beside the exact structure that answers the same question.
#[derive(Debug, Serialize)]
pub struct Structure {
    pub metric: String,
    /// By which field, if by any.
    pub by: Option<String>,
    pub sketch: String,
    pub instead_of: &'static str,
    pub sketch_bytes: i64,
    pub exact_bytes: i64,
    /// Exact by sketch: above 1 the sketch is smaller.
    pub ratio: f64,
    /// What `turns_at` counts.
    pub per: &'static str,
    /// From so many on the sketch is smaller for good; null where that was not tried or not reached.
    pub turns_at: Option<u64>,
}

/// The state of the whole pipeline.
#[derive(Debug, Serialize)]
pub struct EngineBytes {
    /// What `memory` of the pipeline file is compared with.
    pub accounted_bytes: u64,
    /// What the state holds of the heap.
    pub state_bytes: i64,
    /// (state - accounted) / accounted.
    pub difference: f64,
    /// What it holds besides in buffers that are as long as a block and do not grow with the state.
    pub buffers_bytes: i64,
    /// The most at any time, with decoder, a block and its columns.
    pub peak_bytes: i64,
    /// What all the exact structures above take together.
    pub exact_bytes: i64,
    pub memory_bytes: u64,
}

impl Facts {
    /// How many of all approximate numbers lie within their bounds, and how many there are.
    pub fn inside(&self) -> (usize, usize) {
        let rows = self.windows.iter().flat_map(|windows| &windows.rows);
        let windows = rows.flat_map(|row| [&row.events, &row.purchases, &row.buyers]).flatten();
        let compared = self.people.iter().chain(&self.types).chain(&self.money).chain(windows);
        let compared = compared.filter(|row| row.guarantee != "exact").map(|row| row.inside);
        let items = self.tops.iter().flat_map(|top| &top.items).filter(|item| item.low < item.high);
        let latency = self.latency.iter().filter(|row| row.low < row.high).map(|row| row.inside);
        let all: Vec<bool> = compared.chain(items.map(|item| item.inside)).chain(latency).collect();
        (all.iter().filter(|inside| **inside).count(), all.len())
    }
}

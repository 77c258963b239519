//! What a seed asks for: a source with its metrics, its events in the order in which they come, and what goes wrong.

use crate::dice::Dice;
use engine::spec::*;
use engine::time::{SECOND, Span};
use runtime::checkpoint::Codec;
use runtime::{Sink, SinkTo};
use std::path::PathBuf;

/// Columns of the source.
pub const KEY: usize = 0;
/// Of it, values are counted.
pub const USER: usize = 1;
/// Of it, numbers are added up.
pub const VALUE: usize = 2;

/// One seed.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The seed.
    pub seed: u64,
    /// The source of each phase; a later one differs where the pipeline was changed.
    pub sources: Vec<Source>,
    /// Pieces of the input, in order.
    pub pieces: Vec<Piece>,
    /// Where each phase ends: a number of pieces.
    pub ends: Vec<usize>,
    pub shards: usize,
    pub memory_bytes: u64,
    pub codec: Codec,
    /// Simulated milliseconds between two commits.
    pub every_ms: u64,
    pub sinks: Vec<Sink>,
    /// Whether answers are those of an exact count: nothing gives way, nothing is dropped, no group is folded.
    pub is_exact: bool,
}

/// A block of lines of one partition.
#[derive(Debug, Clone)]
pub struct Piece {
    pub partition: u32,
    pub lines: Vec<Line>,
    /// Partitions that nobody waits for any more, from before it on.
    pub silent: Vec<u32>,
}

/// A record.
#[derive(Debug, Clone)]
pub enum Line {
    /// An event.
    Event(Event),
    /// Something else, and the reason that it must be counted under.
    Bad(String, &'static str),
}

/// An event.
#[derive(Debug, Clone)]
pub struct Event {
    pub ms: i64,
    pub key: String,
    pub user: String,
    pub value: i64,
}

impl Line {
    /// Its bytes.
    pub fn text(&self) -> String {
        match self {
            Line::Bad(text, _) => format!("{text}\n"),
            Line::Event(Event { ms, key, user, value }) => {
                format!("{{\"ts\":{ms},\"k\":\"{key}\",\"u\":\"{user}\",\"v\":{value}}}\n")
            }
        }
    }
}

impl Piece {
    /// Its bytes.
    pub fn text(&self) -> String {
        self.lines.iter().map(Line::text).collect()
    }
}

/// Where things lie on the simulated disk.
pub fn folder() -> PathBuf {
    PathBuf::from("/sim/state")
}

/// The quarantine.
pub fn quarantine() -> PathBuf {
    PathBuf::from("/sim/quarantine.ndjson")
}

/// The inbox.
pub fn inbox() -> PathBuf {
    PathBuf::from("/sim/inbox")
}

const MEASURES: usize = 12;

impl Scene {
    /// That of a seed. `order_free`: only what any order of events and any cut into blocks gives the same answers for.
    pub fn of(seed: u64, order_free: bool) -> Scene {
        let mut dice = Dice::new(seed, 1);
        let d = &mut dice;
        let pressed = !order_free && d.once_in(8);
        let short = !order_free && d.once_in(4);
        let has_sinks = !pressed && d.once_in(2);
        let phases = if order_free { 1 } else { d.pick(&[1, 1, 1, 2, 2, 3]) };
        let source = source(d, pressed, short, phases, order_free);
        let finest = source.metrics.iter().find_map(|metric| metric.levels.first());
        let size_ms = finest.map_or(1_000, |level| level.size.0 / 1_000);
        let pieces = pieces(d, &source, size_ms, order_free);
        let mut ends: Vec<usize> = (1..phases).map(|_| d.below(pieces.len() as u64 + 1) as usize).collect();
        ends.sort_unstable();
        ends.push(pieces.len());
        let sources = sources(d, source, phases);
        let folds = |source: &Source| {
            source.groups_ttl.is_some() || source.metrics.iter().any(|metric| metric.groups_max <= 8)
        };
        let is_exact = !pressed && !short && !sources.iter().any(folds);
        Scene {
            seed,
            sinks: if has_sinks { sinks(d, &sources[0]) } else { Vec::new() },
            sources,
            pieces,
            ends,
            shards: d.pick(&[1, 1, 2, 3, 4]),
            memory_bytes: if pressed { d.within(3_000, 40_000) } else { 1 << 30 },
            codec: d.pick(&[Codec::None, Codec::None, Codec::Lz4, Codec::Zstd, Codec::Gzip]),
            every_ms: d.pick(&[0, 20, 100, 1_000_000]),
            is_exact,
        }
    }

    /// The same in one phase, with a commit before every block, and without anything that gives way to memory: for who damages
    /// what it keeps.
    pub fn kept(seed: u64) -> Scene {
        let scene = Scene::of(seed, false);
        let (ends, sources) = (vec![scene.pieces.len()], scene.sources[..1].to_vec());
        Scene { ends, sources, every_ms: 0, memory_bytes: 1 << 30, ..scene }
    }

    /// The sinks, for a source: one whose metrics have changed may have others.
    pub fn sinks_for(&self, phase: usize) -> Vec<Sink> {
        let (first, now) = (&self.sources[0], &self.sources[phase]);
        let level = |sink: &Sink, metric: &Metric| {
            let before = first.metrics.iter().position(|other| other.name == metric.name);
            before.and_then(|before| sink.levels[before])
        };
        let mut sinks = self.sinks.clone();
        for sink in &mut sinks {
            sink.levels = now.metrics.iter().map(|metric| level(sink, metric)).collect();
        }
        sinks
    }
}

fn source(d: &mut Dice, pressed: bool, short: bool, phases: usize, order_free: bool) -> Source {
    let size = d.pick(&[1i64, 2, 5, 10]);
    let ladder = ladder(d, size, short);
    let many = d.within(1, 4) as usize;
    let mut metrics = Vec::new();
    // At first always a count: what all others are checked by.
    let mut measures = vec![0];
    measures.extend((1..many).map(|_| 1 + d.below(MEASURES as u64 - 1) as usize));
    for (nth, which) in measures.into_iter().enumerate() {
        let (name, measure) = measure(d, which, order_free);
        let has_cells = measure.has_cells();
        let levels = if has_cells && (nth == 0 || !d.once_in(4)) { ladder.clone() } else { Vec::new() };
        metrics.push(Metric {
            name: format!("{name}{nth}"),
            measure,
            filter: None,
            by: match d.below(4) {
                _ if !has_cells => vec![vec![]],
                0 => vec![vec![]],
                1 if nth > 0 => vec![vec![KEY]],
                2 => vec![vec![], vec![KEY], vec![KEY, USER]],
                _ => vec![vec![], vec![KEY]],
            },
            groups_max: if pressed || !order_free && d.once_in(10) { d.within(1, 8) as usize } else { 1_000 },
            total: levels.is_empty() || nth == 0 || !d.once_in(5),
            levels,
        });
    }
    let field = |path: &str, kind| Field { path: path.into(), kind };
    let ahead = d.once_in(2) && phases == 1 && !order_free;
    let lateness = d.pick(&[0, 0, 1, 3, 10]) * size * SECOND / 2;
    Source {
        fields: vec![field("k", Kind::String), field("u", Kind::String), field("v", Kind::Int64)],
        time: (!d.once_in(20)).then(|| TimeSpec {
            from: TimeFrom::Field { path: "ts".into(), format: TimeFormat::Unix(1_000, 1) },
            lateness: Span(lateness),
            later: d.pick(&[Later::Correct, Later::Correct, Later::Quarantine, Later::Drop]),
            ahead: ahead.then(|| Span(d.pick(&[1, 5, 20]) * size * SECOND)),
            agree: d.within(2, 6) as usize,
        }),
        bad: d.pick(&[BadPolicy::Count, BadPolicy::Quarantine]),
        groups_ttl: (!order_free && d.once_in(6)).then(|| Span(d.within(3, 30) as i64 * size * SECOND)),
        metrics,
        ..Source::new("sim", Format::Ndjson)
    }
    .tidied()
}

/// What no pipeline file would say is taken out.
trait Tidied {
    fn tidied(self) -> Self;
}

impl Tidied for Source {
    fn tidied(mut self) -> Source {
        if self.time.is_none() {
            self.groups_ttl = None;
            for metric in &mut self.metrics {
                metric.levels.clear();
                metric.total = true;
            }
            self.metrics.retain(|metric| !matches!(metric.measure, Measure::Session { .. }));
        }
        self
    }
}

fn ladder(d: &mut Dice, size: i64, short: bool) -> Vec<Level> {
    let span = |seconds: i64| Span(seconds * SECOND);
    let sizes = [size, size * 6, size * 60];
    let many = d.within(1, 3) as usize;
    let level = |(nth, size): (usize, &i64)| {
        let keep = if short { size * (2 + 3 * nth as i64) } else { 40 * 86_400 };
        Level { size: span(*size), keep: span(keep) }
    };
    sizes[..many].iter().enumerate().map(level).collect()
}

fn measure(d: &mut Dice, which: usize, order_free: bool) -> (&'static str, Measure) {
    let field = d.pick(&[KEY, USER]);
    match which {
        0 => ("count", Measure::Count),
        1 => ("sum", Measure::Sum(VALUE)),
        2 => ("min", Measure::Min(VALUE)),
        3 => ("max", Measure::Max(VALUE)),
        4 => ("unique", Measure::Unique { field, lg_k: d.within(4, 11) as u8 }),
        5 => ("avg", Measure::Avg(VALUE)),
        6 => ("quantiles", Measure::Quantiles { field: VALUE, bits: 5, at: vec![0.5, 0.99] }),
        7 => ("histogram", Measure::Histogram { field: VALUE, bounds: None }),
        8 => ("audience", Measure::Audience { field, lg_k: d.within(4, 8) as u8 }),
        9 if !order_free => ("top", Measure::Top { field, k: 3, counters: 16, weight: None }),
        10 if !order_free => {
            let weight = d.once_in(2).then_some(VALUE);
            ("freq", Measure::Freq { field, lg_width: 4, depth: 3, hot: 16, weight })
        }
        _ if !order_free => {
            let keep = None;
            ("seen", Measure::Seen { field: USER, keys: 200, rate: 0.01, keep })
        }
        _ => ("stddev", Measure::Stddev(VALUE)),
    }
}

/// The source of each phase. What changes: a metric goes, comes, or has another place.
fn sources(d: &mut Dice, first: Source, phases: usize) -> Vec<Source> {
    let mut sources = vec![first];
    for phase in 1..phases {
        let mut next = sources[phase - 1].clone();
        let plain = next.steps.is_empty();
        match d.below(4) {
            // The same pipeline goes on.
            0 => {}
            1 if plain && next.metrics.len() > 1 => {
                next.metrics.rotate_left(1);
            }
            2 if plain && next.metrics.len() > 1 => {
                next.metrics.pop();
            }
            _ if plain => {
                let (name, measure) = measure(d, phase, true);
                let like = next.metrics[0].clone();
                let name = format!("{name}-{phase}");
                next.metrics.insert(0, Metric { name, measure, by: vec![vec![], vec![KEY]], ..like });
            }
            _ => {}
        }
        sources.push(next);
    }
    sources
}

fn sinks(d: &mut Dice, source: &Source) -> Vec<Sink> {
    let rotate_bytes = d.once_in(2).then(|| d.within(200, 5_000));
    let one = |name: &str, rotate_bytes, coarse: bool| {
        let level = |metric: &Metric| {
            let which = if coarse { metric.levels.last() } else { metric.levels.first() };
            which.map(|level| level.size)
        };
        Sink {
            name: name.into(),
            to: SinkTo::File { path: PathBuf::from(format!("/sim/{name}.ndjson")), rotate_bytes },
            levels: source.metrics.iter().map(level).collect(),
        }
    };
    let mut sinks = vec![one("fine", rotate_bytes, false)];
    if d.once_in(3) {
        sinks.push(one("coarse", None, true));
    }
    sinks
}

fn pieces(d: &mut Dice, source: &Source, size_ms: i64, order_free: bool) -> Vec<Piece> {
    let partitions = if order_free { 1 } else { d.pick(&[1u32, 1, 2, 3, 4]) };
    let many = d.within(3, 30);
    let longest = d.pick(&[1u64, 4, 12, 30]);
    let keys = d.within(1, 7);
    let users = d.pick(&[3u64, 40, 500]);
    let step_ms = d.pick(&[size_ms / 10 + 1, size_ms / 2, size_ms * 3]) as u64;
    let (late, far, bad) = (d.pick(&[0u64, 20, 5]), d.pick(&[0u64, 0, 30]), d.pick(&[0u64, 40, 10]));
    let mut clocks: Vec<i64> = (0..partitions).map(|_| 1_700_000_000_000 + d.below(5_000) as i64).collect();
    let mut pieces: Vec<Piece> = Vec::new();
    for _ in 0..many {
        let partition = d.below(u64::from(partitions)) as u32;
        let clock = &mut clocks[partition as usize];
        let mut lines = Vec::new();
        for _ in 0..d.within(1, longest) {
            if bad > 0 && d.once_in(bad) {
                lines.push(bad_line(d, source, *clock));
                continue;
            }
            *clock += d.below(step_ms) as i64;
            let back = if late > 0 && d.once_in(late) { d.below(20 * size_ms as u64) as i64 } else { 0 };
            let ahead = if far > 0 && d.once_in(far) { d.below(400 * size_ms as u64) as i64 } else { 0 };
            lines.push(Line::Event(Event {
                ms: *clock - back + ahead,
                key: format!("k{}", d.below(keys)),
                user: format!("u{}", d.below(users)),
                value: d.below(2_000) as i64 - 500,
            }));
        }
        let silent = if !order_free && d.once_in(12) {
            vec![d.below(u64::from(partitions)) as u32]
        } else {
            Vec::new()
        };
        let begun = |partition: &u32| pieces.iter().any(|piece: &Piece| piece.partition == *partition);
        let silent = silent.into_iter().filter(begun).collect();
        pieces.push(Piece { partition, lines, silent });
    }
    pieces
}

fn bad_line(d: &mut Dice, source: &Source, ms: i64) -> Line {
    let timed = source.time.is_some();
    match d.below(4) {
        0 => Line::Bad("{\"ts\":1,".into(), "json"),
        1 => Line::Bad(format!("{{\"ts\":{ms},\"k\":\"a\",\"v\":\"many\"}}"), "type"),
        2 if timed => Line::Bad("{\"k\":\"a\",\"u\":\"b\",\"v\":1}".into(), "time"),
        _ => Line::Bad("nothing".into(), "json"),
    }
}

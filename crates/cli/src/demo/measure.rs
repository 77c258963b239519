//! What is asked of the pipeline, and the run that answers it: events straight into the engine, no file in between.

use super::stream::{BLOCK_BYTES, Blocks};
use super::truth::Truth;
use crate::Trouble;
use engine::Engine;
use engine::answer::Answer;
use engine::compute::Compute;
use engine::decode::Decoder;
use engine::intake::Tally;
use engine::spec::{Format, Level, Metric, Question, Source};
use engine::time::{SECOND, Span, Time};
use plan::Pipeline;
use shop::{Settings, Shop};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The metrics that are shown by the minute.
pub const BY_WINDOW: [&str; 3] = ["events", "purchases", "buyers"];
/// Windows shown at most.
const WINDOWS_MAX: i64 = 30;
/// Why a decoder can always be made.
const NO_HEADER: &str = "NDJSON needs no header";

/// A source and what is asked of it.
pub struct Work {
    /// Totals, and panes where windows are shown.
    pub source: Source,
    /// Its expressions.
    pub program: Option<Arc<dyn Compute>>,
    /// Accounted state allowed.
    pub memory_bytes: u64,
    /// Number of shards.
    pub shards: usize,
    /// Length of the windows that are shown; `None` when there are none.
    pub width: Option<Span>,
    /// Names of the metrics that mean what they mean in the built-in pipeline, so that their truth is known.
    known: Vec<String>,
}

/// What came of a run.
pub struct Measured {
    /// The totals.
    pub totals: Vec<Answer>,
    /// The windows, and totals where there are none.
    pub windows: Vec<Answer>,
    /// How records were judged.
    pub tally: Tally,
    /// Time in the engine, from bytes to merged state.
    pub took: Duration,
}

impl Work {
    /// The first source of `pipeline`, to be fed with the shop. `builtin` says which metrics are known.
    pub fn new(
        pipeline: &Pipeline,
        builtin: &Pipeline,
        settings: &Settings,
        shards: usize,
    ) -> Result<Work, Trouble> {
        let asked = &pipeline.spec.sources[0];
        if pipeline.spec.sources.len() > 1 || asked.format != Format::Ndjson {
            return Err(Trouble::question(
                "the demo makes one stream of NDJSON: the pipeline must have one source, with format = \"ndjson\"",
            ));
        }
        let meant = &builtin.spec.sources[0];
        let same = |metric: &&Metric| {
            let meaning = meaning(asked, metric);
            meant.metrics.iter().any(|m| m.name == metric.name && self::meaning(meant, m) == meaning)
        };
        let known: Vec<String> =
            asked.metrics.iter().filter(same).map(|metric| metric.name.clone()).collect();
        let (source, width) = restrict(asked, &known, settings);
        let program = pipeline.programs[0].clone().map(|program| program as Arc<dyn Compute>);
        Ok(Work { source, program, memory_bytes: pipeline.spec.memory_bytes, shards, width, known })
    }

    /// The metric of this name, if its truth is known.
    pub fn known(&self, name: &str) -> Option<&Metric> {
        self.source.metrics.iter().find(|metric| metric.name == name).filter(|m| self.known.contains(&m.name))
    }

    /// Runs the events through the engine. The clock runs while the engine works, not while events are made or counted.
    pub fn measure(&self, settings: &Settings, truth: &mut Truth) -> Measured {
        let mut blocks = Blocks::new(Shop::new(settings.clone()), BLOCK_BYTES);
        let mut took = Duration::ZERO;
        let mut engine = self.engine();
        while let Some(block) = blocks.next(|event| truth.update(event)) {
            let started = Instant::now();
            engine.push(&block);
            took += started.elapsed();
        }
        let started = Instant::now();
        engine.finish(0);
        let tally = engine.tally();
        let outlet = engine.into_outlet();
        took += started.elapsed();
        let windows =
            self.width.map(|width| outlet.answers(Question::Windows { window: width, every: width }));
        Measured {
            totals: outlet.answers(Question::Total),
            windows: windows.unwrap_or_default(),
            tally,
            took,
        }
    }

    /// An empty engine.
    fn engine(&self) -> Engine<'_> {
        Engine::with_program(&self.source, self.program.clone(), None, self.shards, self.memory_bytes)
            .expect(NO_HEADER)
    }

    /// What makes batches of blocks.
    pub fn decoder(&self) -> Decoder {
        Decoder::new(&self.source, None).expect(NO_HEADER).with_program(self.program.clone())
    }
}

/// What a metric measures, whatever its accuracy, its groups and its columns' numbers.
fn meaning(source: &Source, metric: &Metric) -> String {
    let columns = source.columns();
    let name = |column: Option<usize>| {
        // Whether a column is of the record or computed is a part of what its name means.
        column.map(|c| (c < source.fields.len(), columns[c].path.clone(), columns[c].kind))
    };
    let measure = &metric.measure;
    let fields = [name(measure.field()), name(measure.weight()), name(metric.filter)];
    format!("{:?} {fields:?}", std::mem::discriminant(measure))
}

/// The source with its totals, and with panes for what is shown by the window. A state that is asked at the end needs no
/// others (SEMANTICS: a level of the ladder exists only where something can ask for it).
fn restrict(asked: &Source, known: &[String], settings: &Settings) -> (Source, Option<Span>) {
    let shown = |metric: &Metric| {
        BY_WINDOW.contains(&metric.name.as_str()) && known.contains(&metric.name) && !metric.levels.is_empty()
    };
    let ladders: Vec<&[Level]> = asked.metrics.iter().filter(|m| shown(m)).map(|m| &m.levels[..]).collect();
    let width = if ladders.is_empty() { None } else { width(settings, &ladders) };
    let mut source = asked.clone();
    for metric in source.metrics.iter_mut().filter(|metric| metric.total) {
        let level = width.filter(|_| shown(metric)).and_then(|w| Level::tiling(&metric.levels, w, w));
        metric.levels = level.into_iter().collect();
    }
    (source, width)
}

/// The shortest windows that are made of the panes of all these ladders and of which there are not too many.
fn width(settings: &Settings, ladders: &[&[Level]]) -> Option<Span> {
    const LENGTHS: [i64; 21] = [
        1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400,
        172_800, 604_800, 2_592_000,
    ];
    let range = settings.time_range_ms(0..settings.events);
    let time = |ms: u64| Time(ms as i64 * 1_000);
    let fits = |width: &Span| {
        let (first, last) = (time(range.start).floor_to(*width), time(range.end - 1).floor_to(*width));
        let tile = |levels: &&[Level]| Level::tiling(levels, *width, *width).is_some();
        (last.0 - first.0) / width.0 < WINDOWS_MAX && ladders.iter().all(tile)
    };
    LENGTHS.into_iter().map(|seconds| Span(seconds * SECOND)).find(fits)
}

//! Bytes and errors before the start: what each metric will cost, what `memory` must hold in any case, and what gives way.
//!
//! Bytes are those that the engine accounts (`memory_bytes` of its parts); this file knows the sizes of the structures by
//! formula and reads no data, so it must assume something of it: [`TEXT_BYTES`] and [`POWERS`]. What data of any kind can
//! cost stands beside that as `most`. Tests compare the formulas with real state, filled to the brim.

mod cell;
mod words;

pub use cell::{CellBytes, POWERS, TEXT_BYTES};
pub(crate) use words::words;
pub use words::{grouped, human, percent};

use crate::accuracy::Choice;
use crate::pipeline::Pipeline;
use crate::places::About;
use crate::problem::Problems;
use cell::{Cells, value_bytes};
use engine::judge::Judge;
use engine::judge::recent::RecentSize;
use engine::session::Sessions;
use engine::session::intervals::INTERVAL_BYTES;
use engine::spec::{Field, Kind, Level, Measure, Metric, Question, Source};
use engine::time::Span;
use serde::Serialize;
use sketch::bloom::{self, Size};
use words::{why, written};

/// A cell without its sketch, cells of a page, and the pointer to a page.
const SLOT: u64 = 16;
const PAGE: u64 = 16;
const POINTER: u64 = 8;
/// A pane without its cells.
const PANE: u64 = 48;
/// A slot of a table of groups, and what is kept of a group besides its key.
const GROUP_SLOT: u64 = 32;
const GROUP_ENTRY: u64 = 40;
/// Groups kept apart while reading, however few are asked for.
const GROUPS_LIVE_MIN: u64 = 256;

/// One level of panes of a metric under a grouping set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LevelSize {
    /// Length of a pane, as in `1m`.
    pub size: String,
    /// How long one is kept after it closed.
    pub keep: String,
    /// Panes there are at once.
    pub panes: u64,
    /// Those of them that are open, because events may still be late or ahead.
    pub open: u64,
    /// Cells in them, when every group occurs in every pane.
    pub cells: u64,
    /// Bytes of these cells, each full.
    pub bytes: u64,
    /// Bytes when each pane holds a few events of one group.
    pub bytes_least: u64,
}

/// One metric under one grouping set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeriesSize {
    /// Name of the metric.
    pub metric: String,
    /// Its number among those of the source.
    #[serde(skip)]
    pub index: usize,
    /// What it groups by.
    pub by: Vec<String>,
    /// The measure, in words.
    pub measure: String,
    /// The sketch that `accuracy` came to.
    pub sketch: String,
    /// Why this one, as a formula.
    pub why: String,
    /// What the error is relative to; empty where there is none.
    pub error_of: &'static str,
    /// The error as a fraction; 0 is exact.
    pub error: f64,
    /// Bytes of a cell.
    pub cell: CellBytes,
    /// Cells of a pane: the groups kept while reading, and one for the others.
    pub groups: u64,
    /// Bytes of the total with all groups, each full; 0 when there is no total.
    pub total_bytes: u64,
    /// Bytes of the total with a few events of one group.
    pub total_bytes_least: u64,
    /// Panes by level.
    pub levels: Vec<LevelSize>,
    /// All of it.
    pub worst_bytes: u64,
}

/// The filter of a `seen`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FilterSize {
    /// Name of the metric.
    pub metric: String,
    /// Its number among those of the source.
    #[serde(skip)]
    pub index: usize,
    /// What it remembers.
    pub measure: String,
    /// Keys asked for.
    pub keys: u64,
    /// False-positive rate asked for.
    pub rate: f64,
    /// Bytes of the split-block filter, as they will be allocated.
    pub bytes: u64,
    /// What the formula of the classic Bloom filter, n ln(1/p) / (ln 2)², says: too little for blocks, too much for none.
    pub classic_bytes: u64,
    /// Expected rate of the filter with that many keys. It is made for less than was asked, so that further ones can
    /// follow within it.
    pub rate_then: f64,
    /// Bytes that it may grow to within `memory`.
    pub bytes_max: u64,
    /// Filters that fit into them, each for twice as many keys as the one before.
    pub layers: usize,
    /// Keys that they hold together within the rate. With more the last one fills up, and its rate rises (`degraded`).
    pub keys_max: u64,
    /// How it forgets; `None` when it does not.
    pub forgets: Option<Forgetting>,
}

/// How a `seen` forgets: `keys` are then those within `keep`, and the filter does not grow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Forgetting {
    /// A key is remembered at least so long.
    pub keep: String,
    /// Length of a bucket of event time.
    pub bucket: String,
    /// A key is forgotten before so much has passed.
    pub forgotten_after: String,
    /// Buckets held, with those for `lateness`.
    pub buckets: u8,
}

/// The sessions of a metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SessionSize {
    /// Name of the metric.
    pub metric: String,
    /// Its number among those of the source.
    #[serde(skip)]
    pub index: usize,
    /// The measure, in words.
    pub measure: String,
    /// The longest pause within a session.
    pub gap: String,
    /// How many sessions are held at once, and may still change.
    pub open: u64,
    /// Bytes of them, when there are so many.
    pub bytes: u64,
    /// What is kept of those that have been closed.
    pub closed: Vec<SeriesSize>,
    /// Bytes that this may take; then the oldest panes give way.
    pub closed_bytes_max: u64,
}

impl SessionSize {
    /// Bytes of totals and panes with every cell full, as far as they may take them.
    fn closed_bytes(&self) -> u64 {
        sum(self.closed.iter().map(|series| series.worst_bytes)).min(self.closed_bytes_max)
    }

    /// The same with a few sessions in every pane.
    fn closed_bytes_least(&self) -> u64 {
        let least = |s: &SeriesSize| sum(s.levels.iter().map(|l| l.bytes_least).chain([s.total_bytes_least]));
        sum(self.closed.iter().map(least)).min(self.closed_bytes_max)
    }

    /// Bytes of the totals, each full: these never give way.
    fn certain_bytes(&self) -> u64 {
        sum(self.closed.iter().map(|series| series.total_bytes))
    }
}

/// A table of groups; metrics that group the same events by the same fields share one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableSize {
    /// The fields.
    pub by: Vec<String>,
    /// Groups kept while reading.
    pub groups: u64,
    /// Bytes with that many groups.
    pub bytes: u64,
}

/// The sizes of one source.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceSize {
    /// Name of the source.
    pub source: String,
    /// Its part of `memory`.
    pub memory_bytes: u64,
    /// Metrics by grouping set, in the order of the file.
    pub series: Vec<SeriesSize>,
    /// Filters of verdicts.
    pub filters: Vec<FilterSize>,
    /// Sessions.
    pub sessions: Vec<SessionSize>,
    /// Tables of groups.
    pub tables: Vec<TableSize>,
}

/// What a shard must hold in any case, and the metric that needs most of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Smallest part of `memory` for this source that will do.
    pub bytes: u64,
    /// The metric with the largest part.
    pub metric: usize,
}

impl SourceSize {
    /// The sizes of a source that has `memory_bytes`. `choices` are those of its metrics. What a question does not need
    /// can be left out before with [`Question::restrict`].
    pub fn of(source: &Source, choices: &[Choice], memory_bytes: u64) -> SourceSize {
        let columns = source.columns();
        let sizer = Sizer { source, columns: &columns };
        let metrics = source.metrics.iter().zip(choices).enumerate();
        let mut size = SourceSize {
            source: source.name.clone(),
            memory_bytes,
            series: Vec::new(),
            filters: Vec::new(),
            sessions: Vec::new(),
            tables: sizer.tables(),
        };
        for (index, (metric, choice)) in metrics {
            match metric.measure {
                Measure::Seen { .. } => size.filters.extend(sizer.filter(index, metric, memory_bytes)),
                Measure::Session { gap, open_max, .. } => {
                    size.sessions.push(sizer.sessions(index, gap, open_max, memory_bytes, choice));
                }
                _ => size.series.extend(metric.by.iter().map(|by| sizer.series(index, metric, by, choice))),
            }
        }
        size
    }

    /// Bytes of all filters at their asked size, and of as many sessions as are held.
    pub fn filter_bytes(&self) -> u64 {
        let filters = self.filters.iter().map(|filter| filter.bytes);
        sum(filters.chain(self.sessions.iter().map(|sessions| sessions.bytes)))
    }

    /// Filters and sessions, and what is kept of closed ones at worst: what the shards do not share.
    pub fn judge_bytes(&self) -> u64 {
        sum(self.sessions.iter().map(SessionSize::closed_bytes).chain([self.filter_bytes()]))
    }

    /// Whether a filter may grow into what is left of the memory.
    fn filters_grow(&self) -> bool {
        self.filters.iter().any(|filter| filter.forgets.is_none())
    }

    /// Bytes of the totals without groups, each full: these never give way, and every shard has its own.
    pub fn certain_total_bytes(&self) -> u64 {
        sum(self.series.iter().filter(|s| s.by.is_empty()).map(|s| s.total_bytes))
    }

    /// Bytes of all totals, each full, with the tables of groups.
    pub fn total_bytes(&self) -> u64 {
        sum(self.series.iter().map(|s| s.total_bytes).chain(self.tables.iter().map(|t| t.bytes)))
    }

    /// Panes of all metrics by length of a pane, finest first: length, bytes with every cell full, bytes with a few
    /// events in each pane.
    pub fn level_bytes(&self) -> Vec<(Span, u64, u64)> {
        let mut out: Vec<(Span, u64, u64)> = Vec::new();
        for level in self.series.iter().flat_map(|s| &s.levels) {
            let span = level.size.parse().unwrap_or(Span(0));
            match out.iter_mut().find(|(size, ..)| *size == span) {
                Some((_, full, least)) => {
                    *full = full.saturating_add(level.bytes);
                    *least = least.saturating_add(level.bytes_least);
                }
                None => out.push((span, level.bytes, level.bytes_least)),
            }
        }
        out.sort_unstable();
        out
    }

    /// Filters at their asked size, and a few events in every total and pane: what a quiet stream takes.
    pub fn least_bytes(&self) -> u64 {
        let panes = self.level_bytes().into_iter().map(|(.., least)| least);
        let filters = self.filters.iter().map(|filter| filter.bytes);
        let closed = self.sessions.iter().map(SessionSize::closed_bytes_least);
        sum(panes.chain(self.series.iter().map(|s| s.total_bytes_least)).chain(filters).chain(closed))
    }

    /// All of it, with every cell full.
    pub fn worst_bytes(&self) -> u64 {
        let panes = self.level_bytes().into_iter().map(|(_, full, _)| full);
        sum(panes.chain([self.judge_bytes(), self.total_bytes()]))
    }

    /// What must fit whatever gives way: the filters at their size, the sessions that are held, and in every shard the
    /// totals without groups. The filters may grow into half of what is left, so with any the rest is halved; the totals of
    /// closed sessions have an eighth of it, or of that half.
    pub fn need(&self, shards: usize) -> Need {
        let filters = self.filter_bytes();
        let totals = self.certain_total_bytes().saturating_mul(shards.max(1) as u64);
        let halved = if self.filters_grow() { 2 } else { 1 };
        let in_all = |bytes: u64| bytes.saturating_mul(shards.max(1) as u64).saturating_mul(halved);
        // Each part of what is divided is as large as the others.
        let closed = self.sessions.iter().map(SessionSize::certain_bytes).max().unwrap_or(0);
        let growing = self.filters.iter().filter(|filter| filter.forgets.is_none()).count();
        let parts = (self.sessions.len() + growing) as u64;
        let divided = closed.saturating_mul(parts).saturating_mul(if growing > 0 { 2 } else { 8 });
        let totals_of = self.series.iter().filter(|s| s.by.is_empty());
        let of_series = totals_of.map(|s| (in_all(s.total_bytes), s.index));
        let of_filters = self.filters.iter().map(|f| (f.bytes, f.index));
        let of_sessions = self.sessions.iter().map(|s| (s.bytes, s.index));
        let shared =
            if growing > 0 { totals.saturating_mul(2) } else { totals.saturating_mul(8).div_ceil(7) };
        let shared = if self.sessions.is_empty() { totals.saturating_mul(halved) } else { shared };
        Need {
            bytes: filters.saturating_add(shared.max(divided)),
            metric: of_series.chain(of_filters).chain(of_sessions).max().map_or(0, |(_, index)| index),
        }
    }
}

impl SourceSize {
    /// What would give way first if everything were full, in words; nothing when all of it fits into the part of a shard.
    /// The order is the engine's: many groups, then the precision of what is largest, then the oldest panes.
    pub fn gives_way_first(&self, shards: usize) -> Option<String> {
        let left = self.memory_bytes.saturating_sub(self.filter_bytes());
        // Filters grow into half of the rest, or panes of sessions into an eighth; a shard has its share of what is left.
        let left = match (self.filters_grow(), self.sessions.is_empty()) {
            (true, _) => left / 2,
            (false, true) => left,
            (false, false) => left - left / 8,
        };
        let of_shard = left / shards.max(1) as u64;
        let state = self.worst_bytes() - self.judge_bytes();
        let full = |s: &&SessionSize| sum(s.closed.iter().map(|s| s.worst_bytes)) > s.closed_bytes_max;
        if let Some(sessions) = self.sessions.iter().find(full).filter(|_| state <= of_shard) {
            return Some(format!("the oldest panes of {}", sessions.metric));
        }
        if state <= of_shard {
            return None;
        }
        let largest = |wanted: &dyn Fn(&SeriesSize) -> bool| {
            self.series.iter().filter(|s| wanted(s)).max_by_key(|s| s.worst_bytes)
        };
        let named = |s: &SeriesSize| match s.by.is_empty() {
            true => s.metric.clone(),
            false => format!("{} by {}", s.metric, s.by.join(", ")),
        };
        let folds =
            |s: &SeriesSize| ["hll", "theta", "count-min"].iter().any(|name| s.sketch.starts_with(name));
        largest(&|s| !s.by.is_empty())
            .map(|s| format!("groups of {}", named(s)))
            .or_else(|| largest(&folds).map(|s| format!("precision of {}", named(s))))
            .or_else(|| {
                largest(&|s| !s.levels.is_empty()).map(|s| format!("the oldest panes of {}", named(s)))
            })
    }
}

impl Pipeline {
    /// The sizes of all sources.
    pub fn sizes(&self) -> Vec<SourceSize> {
        let sources = self.spec.sources.iter().enumerate();
        sources.map(|(index, source)| self.size_of(index, source)).collect()
    }

    /// The sizes of source number `index`, of which `kept` is what a question needs.
    pub fn size_of(&self, index: usize, kept: &Source) -> SourceSize {
        let before: usize = self.spec.sources[..index].iter().map(|source| source.metrics.len()).sum();
        let part = self.spec.memory_bytes / self.spec.sources.len().max(1) as u64;
        SourceSize::of(kept, &self.choices[before..before + kept.metrics.len()], part)
    }

    /// Whether `memory` holds what never gives way, with this many shards, of source number `index`; `kept` is what the
    /// question needs of it ([`Question::restrict`]).
    ///
    /// # Errors
    /// A problem at the metric that needs most, with the smallest `memory` that would do.
    pub fn must_fit(&self, index: usize, kept: &Source, shards: usize) -> Result<(), Problems> {
        let size = self.size_of(index, kept);
        let need = size.need(shards);
        if need.bytes <= size.memory_bytes {
            return Ok(());
        }
        let sources = self.spec.sources.len() as u64;
        let held = sum(size.sessions.iter().map(|sessions| sessions.bytes));
        let (filters, totals) = (size.filter_bytes() - held, size.certain_total_bytes());
        let mut parts = Vec::new();
        if filters > 0 {
            parts.push(format!("filters of {}", human(filters)));
        }
        if held > 0 {
            let open: u64 = size.sessions.iter().map(|sessions| sessions.open).sum();
            parts.push(format!("{} sessions of {}", grouped(open), human(held)));
        }
        if totals > 0 {
            let each = if shards > 1 { format!(" in each of {shards} shards") } else { String::new() };
            parts.push(format!("totals of {}{each}", human(totals)));
        }
        let message = format!(
            "`memory` is too small for what never gives way: {}",
            parts.join(", and as room beside them ")
        );
        let fewer = match (held > totals, shards > 1 && totals > 0) {
            (true, _) => ", or a smaller `open`",
            (false, true) => ", or run fewer --shards",
            (false, false) => "",
        };
        let hint = format!("memory = \"{}\" would do{fewer}", written(need.bytes.saturating_mul(sources)));
        Err(self.problem(index, About::Metric(need.metric), message, Some(hint)))
    }

    /// As many shards, up to `shards_max`, as `memory` can hold of source number `index`; one at least, which may still be
    /// too many ([`Pipeline::must_fit`]). Their number changes speed alone.
    pub fn shards_that_fit(&self, index: usize, kept: &Source, shards_max: usize) -> usize {
        let size = self.size_of(index, kept);
        (2..=shards_max).rev().find(|&shards| size.need(shards).bytes <= size.memory_bytes).unwrap_or(1)
    }

    /// The questions that `run` can ask of a source, with what each of them keeps: the totals, then windows of each
    /// length of pane.
    pub fn questions(&self, index: usize) -> Vec<(Question, Source)> {
        let source = &self.spec.sources[index];
        let mut spans: Vec<Span> =
            source.metrics.iter().flat_map(|metric| &metric.levels).map(|level| level.size).collect();
        spans.sort_unstable();
        spans.dedup();
        let windows = spans.into_iter().map(|span| Question::Windows { window: span, every: span });
        let asked = [Question::Total].into_iter().chain(windows);
        asked.filter_map(|question| Some((question, question.restrict(source).ok()?))).collect()
    }
}

/// Computes the sizes of one source.
struct Sizer<'a> {
    source: &'a Source,
    columns: &'a [Field],
}

impl Sizer<'_> {
    fn series(&self, index: usize, metric: &Metric, by: &[usize], choice: &Choice) -> SeriesSize {
        let cell = Cells { source: self.source, columns: self.columns }.of(&metric.measure);
        let groups = if by.is_empty() { 1 } else { groups_live(metric.groups_max) + 1 };
        // A metric that depends on a verdict counts beside itself what it was offered.
        let tables = 1 + u64::from(self.source.is_uncertain(metric));
        let cells = |groups: u64, each: u64| {
            let pages = groups.div_ceil(PAGE);
            tables * pages * (POINTER + PAGE * SLOT) + groups.saturating_mul(each)
        };
        let levels: Vec<LevelSize> = (0..metric.levels.len())
            .map(|n| {
                let level = metric.levels[n];
                let (panes, open) = self.panes(level, n == 0);
                LevelSize {
                    size: level.size.to_string(),
                    keep: level.keep.to_string(),
                    panes,
                    open,
                    cells: panes.saturating_mul(groups),
                    bytes: panes.saturating_mul(cells(groups, cell.full) + tables * PANE),
                    bytes_least: panes.saturating_mul(cells(1, cell.least) + tables * PANE),
                }
            })
            .collect();
        let (mut total_bytes, mut total_bytes_least) = (0, 0);
        if metric.total {
            (total_bytes, total_bytes_least) = (cells(groups, cell.full), cells(1, cell.least));
        }
        SeriesSize {
            metric: metric.name.clone(),
            index,
            by: self.names(by),
            measure: words(metric, self.columns),
            sketch: choice.sketch.clone(),
            why: why(&metric.measure, choice, self.source.confidence),
            error_of: choice.of,
            error: choice.reached,
            cell,
            groups,
            total_bytes,
            total_bytes_least,
            worst_bytes: sum(levels.iter().map(|level| level.bytes).chain([total_bytes])),
            levels,
        }
    }

    fn names(&self, columns: &[usize]) -> Vec<String> {
        columns.iter().map(|&column| self.columns[column].path.clone()).collect()
    }

    /// Panes of a level there are at once, and how many of them are open: event times reach from `keep` and a pane before
    /// the watermark to `lateness` and `ahead` behind it. A coarser level gets what has closed below it.
    fn panes(&self, level: Level, finest: bool) -> (u64, u64) {
        let reach = self.source.time.as_ref().filter(|_| finest);
        let reach = reach.map_or(0, |t| t.lateness.0.saturating_add(t.ahead.map_or(0, |ahead| ahead.0)));
        let of = |span: i64| (span.max(0) as u64).div_ceil(level.size.0.max(1) as u64);
        (1 + of(level.keep.0.saturating_add(reach)), 1 + of(reach))
    }

    fn tables(&self) -> Vec<TableSize> {
        let mut known: Vec<(Option<usize>, &[usize], usize)> = Vec::new();
        let mut out = Vec::new();
        let first = self.source.first_uncertain();
        for metric in self.source.metrics.iter().filter(|m| m.measure.has_cells()) {
            for by in &metric.by {
                let same = (metric.filter.filter(|filter| *filter < first), by.as_slice(), metric.groups_max);
                if !by.is_empty() && !known.contains(&same) {
                    known.push(same);
                    let live = groups_live(metric.groups_max);
                    let bytes = table_bytes(metric.groups_max, live * self.key_bytes(by));
                    out.push(TableSize { by: self.names(by), groups: live, bytes });
                }
            }
        }
        out
    }

    /// Bytes of a group's key: a lone text is its own, others have a tag, and texts their length.
    fn key_bytes(&self, by: &[usize]) -> u64 {
        match by {
            [field] if self.columns[*field].kind == Kind::String => TEXT_BYTES,
            fields => fields.iter().map(|&field| value_bytes(self.columns[field].kind, TEXT_BYTES)).sum(),
        }
    }

    fn filter(&self, index: usize, metric: &Metric, memory_bytes: u64) -> Option<FilterSize> {
        let Measure::Seen { keys, rate, keep, .. } = metric.measure else { return None };
        let filter = FilterSize {
            metric: metric.name.clone(),
            index,
            measure: words(metric, self.columns),
            keys,
            rate,
            bytes: 0,
            classic_bytes: (keys as f64 * (1.0 / rate).ln() / std::f64::consts::LN_2.powi(2) / 8.0).ceil()
                as u64,
            rate_then: rate,
            bytes_max: 0,
            layers: 1,
            keys_max: keys,
            forgets: None,
        };
        if let Some(keep) = keep {
            let recent = self.source.recent_size(keys, rate, keep).ok()?;
            let bytes = recent.ring.filter_bytes();
            return Some(FilterSize {
                bytes,
                bytes_max: bytes,
                forgets: Some(forgetting(keep, recent)),
                ..filter
            });
        }
        let size = Size::new(keys, rate).ok()?;
        let bytes = size.filter_bytes();
        let bytes_max = bytes + self.spare(memory_bytes);
        let (layers, keys_max) = grown(size, bytes_max);
        let rate_then = bloom::expected_rate(keys, bytes / bloom::BLOCK_BYTES);
        Some(FilterSize { bytes, rate_then, bytes_max, layers, keys_max, ..filter })
    }

    fn sessions(
        &self,
        index: usize,
        gap: Span,
        open_max: usize,
        memory_bytes: u64,
        choice: &Choice,
    ) -> SessionSize {
        let metric = &self.source.metrics[index];
        let closed = Sessions::closed_source(self.source, index);
        let columns = closed.columns();
        let sizer = Sizer { source: &closed, columns: &columns };
        let series = closed.metrics.iter().map(|part| {
            let exact = Choice { sketch: "exact".into(), of: "", reached: 0.0, ..choice.clone() };
            let choice = if part.measure == Measure::Count { &exact } else { choice };
            SeriesSize { index, ..sizer.series(index, part, &[], choice) }
        });
        SessionSize {
            metric: metric.name.clone(),
            index,
            measure: words(metric, self.columns),
            gap: gap.to_string(),
            open: open_max as u64,
            bytes: (open_max as u64).saturating_mul(INTERVAL_BYTES),
            closed: series.collect(),
            closed_bytes_max: self.spare(memory_bytes),
        }
    }

    /// Bytes that each filter which grows, and the panes of each metric's sessions, may take beyond what was asked for.
    fn spare(&self, memory_bytes: u64) -> u64 {
        let (asked, parts) = Judge::asked_of(self.source);
        Judge::share_of(self.source, memory_bytes).saturating_sub(asked) / parts.max(1)
    }
}

fn forgetting(keep: Span, recent: RecentSize) -> Forgetting {
    Forgetting {
        keep: keep.to_string(),
        bucket: recent.bucket.to_string(),
        forgotten_after: recent.forgotten_after().to_string(),
        buckets: recent.ring.buckets(),
    }
}

fn sum(bytes: impl Iterator<Item = u64>) -> u64 {
    bytes.fold(0, u64::saturating_add)
}

/// Groups kept apart while reading, so that the heavy ones are found.
fn groups_live(groups_max: usize) -> u64 {
    (2 * groups_max as u64).max(GROUPS_LIVE_MIN)
}

/// A table of groups that was filled, was cut to `groups_max`, and filled up again.
fn table_bytes(groups_max: usize, keys: u64) -> u64 {
    let live = groups_live(groups_max);
    let mut slots = 16u64;
    while live * 2 > slots {
        slots = ((slots / 2 + 1) * 4).next_power_of_two();
    }
    let rebuilt = (4 * groups_max as u64).next_power_of_two();
    slots.max(rebuilt) * GROUP_SLOT + (live + 1) * GROUP_ENTRY + keys
}

/// How many filters a `seen` can chain within these bytes, and the keys they hold: as [`bloom::Seen`] does it.
fn grown(size: Size, bytes_max: u64) -> (usize, u64) {
    let layer_keys = |i: usize| size.keys().max(64) << i;
    let (mut layers, mut held, mut keys) = (1, size.filter_bytes(), layer_keys(0));
    while layers < bloom::LAYERS_MAX {
        let rate = 15.0 / 16.0 * size.rate() / (1u64 << (layers + 2)) as f64;
        let blocks = bloom::blocks_for(layer_keys(layers), rate);
        let bytes = blocks.saturating_mul(bloom::BLOCK_BYTES);
        if blocks > bloom::BLOCKS_MAX || held.saturating_add(bytes) > bytes_max {
            break;
        }
        held += bytes;
        keys += layer_keys(layers);
        layers += 1;
    }
    (layers, keys)
}

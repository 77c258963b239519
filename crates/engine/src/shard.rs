//! The second machine: a share of the events, kept as groups, totals and panes.
//!
//! A shard knows neither clock nor thread nor where its bytes are kept. Time moves when a batch's marks say so. Block n
//! of the input goes whole to shard n mod S, in the order of numbers; whatever S is, merged shards hold the same
//! order-free state.

mod adopt;
mod bytes;
mod frozen;
mod parts;
mod spill;

use crate::away::{Shelf, Table};
use crate::batch::Batch;
use crate::cell::{Cell, Columns, NO_CELL, Rows, WEIGHT_MAX, for_each_true};
use crate::column::Column;
use crate::groups::{Groups, OTHER};
use crate::intake::Judged;
use crate::series::{Role, Series};
use crate::spec::{Kind, Measure, Metric, Source};
use crate::time::{Span, Time};
use arrow_array::Array;
use sabotage::{Bug, planted};
use sketch::Token;
use std::ops::Range;
use std::sync::Arc;

pub use frozen::Frozen;
pub use parts::{FrozenPane, Mark, PaneId, Records};
pub use spill::{Away, Spilled};

/// Blocks between two looks at the memory budget (a look walks all cells); early on it is looked at more often.
pub const BUDGET_EVERY_BLOCKS: u64 = 16;

/// A share of the state of one source.
#[derive(Debug)]
pub struct Shard {
    columns: Columns,
    sets: Vec<GroupingSet>,
    watermark: Option<Time>,
    budget_bytes: u64,
    /// Where closed panes go when memory is short; `None` where they stay.
    shelf: Option<Arc<dyn Shelf>>,
    spilled: Spilled,
    given_way: GivenWay,
    blocks: u64,
    looked_at_bytes: u64,
    /// Weights below zero, and beyond [`WEIGHT_MAX`], which no sketch can take.
    weights_negative: u64,
    weights_too_large: u64,
    weighted: Vec<Weighted>,
    /// Group numbers of the rows of the current batch, one buffer for all grouping sets.
    rows: Vec<u32>,
}

/// The metrics that group the same events by the same fields share one table of groups.
#[derive(Debug)]
pub struct GroupingSet {
    /// The column that says which events enter.
    filter: Option<usize>,
    /// The groups.
    pub groups: Groups,
    /// Types of the fields grouped by.
    pub kinds: Vec<Kind>,
    /// The metrics.
    pub series: Vec<Series>,
}

/// What gave way to stay within the memory budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GivenWay {
    /// Times that the number of groups kept apart was halved.
    pub groups_halved: u64,
    /// Times that the sketches of a metric were folded to half their size.
    pub sketches_folded: u64,
    /// Times that the oldest quarter of a metric's panes was dropped before its time.
    pub panes_dropped: u64,
    /// Looks at which the state was beyond the budget and nothing more could give way.
    pub over_budget: u64,
}

impl GivenWay {
    /// Both together.
    pub(crate) fn plus(self, other: GivenWay) -> GivenWay {
        GivenWay {
            groups_halved: self.groups_halved + other.groups_halved,
            sketches_folded: self.sketches_folded + other.sketches_folded,
            panes_dropped: self.panes_dropped + other.panes_dropped,
            over_budget: self.over_budget + other.over_budget,
        }
    }
}

impl Shard {
    /// An empty shard of a source, allowed `budget_bytes` of accounted state.
    pub fn new(source: &Source, budget_bytes: u64) -> Shard {
        let mut sets: Vec<GroupingSet> = Vec::new();
        let (columns, first) = (source.columns(), source.first_uncertain());
        for (index, metric) in source.metrics.iter().enumerate() {
            if !metric.measure.has_cells() {
                continue;
            }
            let kind = metric.measure.field().map(|f| columns[f].kind);
            // A filter that a verdict decides may be wrong, so the rows it leaves out count as offered and share the groups.
            let (filter, doubtful) = metric
                .filter
                .map_or((None, None), |f| if f < first { (Some(f), None) } else { (None, Some(f)) });
            for by in &metric.by {
                let shown = match &metric.measure {
                    Measure::Sample { fields, .. } => fields.iter().map(|&f| columns[f].kind).collect(),
                    _ => Vec::new(),
                };
                let mut series = vec![Series::new(index, metric, kind, doubtful).showing(shown)];
                if source.is_uncertain(metric) {
                    series.push(Series::offered(index, metric));
                }
                let same = |s: &&mut GroupingSet| {
                    s.groups.fields() == by && s.groups.max() == metric.groups_max && s.filter == filter
                };
                match sets.iter_mut().find(same) {
                    Some(set) => set.series.extend(series),
                    None => sets.push(GroupingSet {
                        filter,
                        groups: Groups::new(by, metric.groups_max),
                        kinds: by.iter().map(|&f| columns[f].kind).collect(),
                        series,
                    }),
                }
            }
        }
        Shard {
            columns: Columns::new(source),
            sets,
            watermark: None,
            budget_bytes,
            shelf: None,
            spilled: Spilled::default(),
            given_way: GivenWay::default(),
            blocks: 0,
            looked_at_bytes: 0,
            weights_negative: 0,
            weights_too_large: 0,
            weighted: source.metrics.iter().filter_map(Weighted::of).collect(),
            rows: Vec::new(),
        }
    }

    /// Folds a judged batch in: all of it, in order, closing panes where its marks say.
    pub fn apply(&mut self, judged: &Judged) {
        self.begin_block(judged);
        let mut start = 0;
        for mark in &judged.marks {
            self.fold(&judged.batch, &judged.left_out, start..mark.row);
            self.advance(mark.watermark);
            start = mark.row;
        }
        self.fold(&judged.batch, &judged.left_out, start..judged.batch.rows);
        self.end_block();
    }

    fn begin_block(&mut self, judged: &Judged) {
        if let Some(watermark) = judged.before {
            self.advance(watermark);
        }
        self.columns.prepare(&judged.batch);
        for weighted in &self.weighted {
            self.weights_negative += weighted.refused(judged, |weight| weight < 0);
            self.weights_too_large += weighted.refused(judged, |weight| weight > WEIGHT_MAX);
        }
    }

    fn end_block(&mut self) {
        self.blocks += 1;
        if self.blocks.is_power_of_two() || self.blocks.is_multiple_of(BUDGET_EVERY_BLOCKS) {
            self.keep_within_budget();
        }
    }

    /// The same event by event: `after` sees the state right after each row, also after one that is left out.
    pub fn apply_each(&mut self, judged: &Judged, after: &mut dyn FnMut(&Shard, usize)) {
        self.begin_block(judged);
        let mut marks = judged.marks.iter().peekable();
        for row in 0..=judged.batch.rows {
            while let Some(mark) = marks.next_if(|mark| mark.row == row) {
                self.advance(mark.watermark);
            }
            if row < judged.batch.rows {
                self.fold(&judged.batch, &judged.left_out, row..row + 1);
                after(self, row);
            }
        }
        self.end_block();
    }

    /// The total of a metric so far, for the group of this row of the batch applied last.
    pub(crate) fn so_far(&self, metric: usize, by: &[usize], batch: &Batch, row: usize) -> SoFar<'_> {
        let find = |role: Role| {
            let of = |s: &&Series| s.metric == metric && s.role == role;
            self.sets
                .iter()
                .filter(|set| set.groups.fields() == by)
                .find_map(|set| set.series.iter().find(of).map(|series| (set, series)))
        };
        let nothing = SoFar { cell: &NO_CELL, other: &NO_CELL, missed: 0, offered: 0 };
        let Some((set, series)) = find(Role::Measured) else { return nothing };
        let Some(cells) = series.total() else { return nothing };
        let Some(group) = set.groups.of_row(batch, row) else {
            // Never seen, or folded into the other group: then this much of it may be there.
            return SoFar { other: cells.get(OTHER), missed: set.groups.offset(), ..nothing };
        };
        let offered = match find(Role::Offered).and_then(|(_, series)| series.total()).map(|c| c.get(group)) {
            Some(Cell::Count(n)) => *n,
            _ => 0,
        };
        SoFar { cell: cells.get(group), other: cells.get(OTHER), missed: set.groups.missed(group), offered }
    }

    /// The token of a field in a row of the batch applied last.
    pub(crate) fn token(&self, field: usize, row: usize) -> Token {
        self.columns.tokens(field)[row]
    }

    /// Moves event time; closes panes that end by the watermark.
    pub fn advance(&mut self, watermark: Time) {
        if self.watermark.is_some_and(|w| w >= watermark) {
            return;
        }
        self.watermark = Some(watermark);
        for series in self.sets.iter_mut().flat_map(|s| s.series.iter_mut()) {
            series.advance(watermark);
        }
    }

    /// Takes in another shard of the same source. Both are brought to the later watermark first.
    ///
    /// # Panics
    /// When its values were hashed in another way or under another key: then it is no shard of the same source.
    pub fn absorb(&mut self, mut other: Shard) {
        if let Err(different) = self.columns.hashing().agree(other.columns.hashing()) {
            panic!("two shards of one source: {different}");
        }
        if let Some(watermark) = self.watermark.max(other.watermark) {
            self.advance(watermark);
            other.advance(watermark);
        }
        for (ours, theirs) in self.sets.iter_mut().zip(&other.sets) {
            let left = theirs.groups.all_left();
            if theirs.series.iter().any(|series| series.away().next().is_some()) {
                ours.groups.remember_leaving();
            }
            let table = Arc::new(Table { left, map: ours.groups.absorb(&theirs.groups) });
            for (series, other) in ours.series.iter_mut().zip(&theirs.series) {
                series.absorb(other, &table, ours.groups.leavings());
            }
            ours.groups.lower_max(theirs.groups.max());
        }
        self.given_way = self.given_way.plus(other.given_way);
        self.spilled = self.spilled.plus(other.spilled);
        self.weights_negative += other.weights_negative;
        self.weights_too_large += other.weights_too_large;
    }

    /// Folds groups of a grouping set into the other group, by their keys: nothing reaches them any more.
    pub(crate) fn forget(&mut self, set: usize, keys: &[Box<[u8]>]) {
        let set = &mut self.sets[set];
        let leaving = set.groups.forget(keys);
        set.series.iter_mut().for_each(|series| series.fold_into_other(&leaving));
    }

    /// Keeps panes that end after `from` until they have left, however old they are; by metric, those of the level that
    /// leaves.
    pub fn hold(&mut self, levels: &[Option<Span>], from: Time) {
        for series in self.sets.iter_mut().flat_map(|set| set.series.iter_mut()) {
            if let Some(size) = levels[series.metric] {
                series.hold(size, from);
            }
        }
    }

    /// Drops panes that were kept only because they had yet to leave: what is left does not depend on when they did.
    pub fn let_go(&mut self) {
        let Some(watermark) = self.watermark else { return };
        self.sets
            .iter_mut()
            .flat_map(|set| set.series.iter_mut())
            .for_each(|series| series.let_go(watermark));
    }

    /// What was corrected so far leaves with the copies that are frozen from now on.
    pub fn corrections_leave(&mut self) {
        self.sets.iter_mut().flat_map(|set| set.series.iter_mut()).for_each(Series::corrections_leave);
    }

    /// Leaves nothing but those panes that are wanted: by metric, of one level.
    pub(crate) fn narrow(&mut self, levels: &[Option<Span>], wanted: &dyn Fn(usize, Time) -> bool) {
        for series in self.sets.iter_mut().flat_map(|set| set.series.iter_mut()) {
            let metric = series.metric;
            series.narrow(levels[metric], &|start| wanted(metric, start));
        }
    }

    /// One shard of all of them, in order.
    ///
    /// # Panics
    /// Without shards.
    pub fn merged(shards: Vec<Shard>) -> Shard {
        let mut shards = shards.into_iter();
        let mut state = shards.next().expect("a source has at least one shard");
        shards.for_each(|shard| state.absorb(shard));
        state
    }

    /// Folds the groups beyond those of the answer into the other group: the last step before reading.
    pub fn settle(&mut self) {
        for set in &mut self.sets {
            let max = set.groups.max();
            set.shrink(max);
        }
    }

    /// The grouping sets with their series, to be read.
    pub fn sets(&self) -> &[GroupingSet] {
        &self.sets
    }

    /// The watermark this shard has seen, on the grain of the panes.
    pub fn watermark(&self) -> Option<Time> {
        self.watermark
    }

    /// What gave way to memory.
    pub fn given_way(&self) -> GivenWay {
        self.given_way
    }

    /// Events whose weight was below zero, which added nothing.
    pub fn weights_negative(&self) -> u64 {
        self.weights_negative
    }

    /// Events whose weight was beyond [`WEIGHT_MAX`], which added nothing.
    pub fn weights_too_large(&self) -> u64 {
        self.weights_too_large
    }

    /// Accounted bytes at the last look at the budget; cheap.
    pub fn looked_at_bytes(&self) -> u64 {
        self.looked_at_bytes
    }

    /// Accounted bytes of the state; walks all cells.
    pub fn memory_bytes(&self) -> usize {
        self.sets.iter().map(GroupingSet::memory_bytes).sum()
    }

    /// Folds groups away until as many are left as are kept apart while reading: after many merges.
    pub fn trim(&mut self) {
        for set in &mut self.sets {
            let max = set.groups.live_max();
            set.shrink(max);
        }
    }

    /// Folds rows between which the watermark does not move.
    fn fold(&mut self, batch: &Batch, left_out: &[u32], range: Range<usize>) {
        for_each_kept(left_out, range, |rows| {
            for set in &mut self.sets {
                for_each_true(batch, set.filter, rows.clone(), |rows| {
                    set.fold(batch, &self.columns, rows, self.watermark, &mut self.rows);
                });
            }
        });
    }

    /// What gives way, in this order: closed panes to the shelf, where there is one; groups into the other group, where groups
    /// are many; precision of the largest metric; the oldest panes. Never totals.
    fn keep_within_budget(&mut self) {
        loop {
            self.looked_at_bytes = self.memory_bytes() as u64;
            if self.looked_at_bytes <= self.budget_bytes || planted(Bug::MemoryNotLookedAt) {
                return;
            }
            let excess = self.looked_at_bytes - self.budget_bytes;
            if !(self.spill(excess) || self.halve_groups() || self.fold_largest() || self.drop_panes()) {
                self.given_way.over_budget += 1;
                return;
            }
        }
    }

    fn halve_groups(&mut self) -> bool {
        let many = self.sets.iter_mut().filter(|s| s.groups.live() > GROUPS_FLOOR);
        let Some(set) = many.max_by_key(|s| s.memory_bytes()) else { return false };
        let half = set.groups.live() / 2;
        set.groups.lower_max(half);
        set.shrink(half);
        self.given_way.groups_halved += 1;
        true
    }

    fn fold_largest(&mut self) -> bool {
        let folded = self.largest_first().into_iter().any(Series::fold_down);
        self.given_way.sketches_folded += u64::from(folded);
        folded
    }

    fn drop_panes(&mut self) -> bool {
        let dropped = self.largest_first().into_iter().any(Series::drop_oldest);
        self.given_way.panes_dropped += u64::from(dropped);
        dropped
    }

    fn largest_first(&mut self) -> Vec<&mut Series> {
        let mut all: Vec<&mut Series> = self.sets.iter_mut().flat_map(|s| s.series.iter_mut()).collect();
        all.sort_by_cached_key(|s| std::cmp::Reverse(s.memory_bytes()));
        all
    }
}

/// Fewer groups than this are not halved for memory: then precision gives way.
const GROUPS_FLOOR: usize = 16;

impl GroupingSet {
    fn fold(
        &mut self,
        batch: &Batch,
        columns: &Columns,
        range: Range<usize>,
        watermark: Option<Time>,
        numbers: &mut Vec<u32>,
    ) {
        if self.groups.is_total() {
            self.fold_rows(Rows { batch, columns, groups: None }, range, watermark);
            return;
        }
        let mut start = range.start;
        while start < range.end {
            let stop = self.groups.resolve(batch, start, range.end, numbers);
            self.fold_rows(Rows { batch, columns, groups: Some(numbers) }, start..stop, watermark);
            if stop < range.end {
                let max = self.groups.max();
                self.shrink(max);
            }
            start = stop;
        }
    }

    fn fold_rows(&mut self, rows: Rows<'_>, range: Range<usize>, watermark: Option<Time>) {
        // Series with panes of one size share the cut into runs.
        let (mut size, mut cut) = (None, Vec::new());
        for series in &mut self.series {
            series.fold_total(rows, range.clone());
            let Some(finest) = series.finest() else { continue };
            if size != Some(finest) {
                size = Some(finest);
                cut = runs(&rows.batch.times, range.clone(), finest);
            }
            for (start, run) in &cut {
                series.fold_pane(rows, run.clone(), *start, watermark);
            }
        }
    }

    fn shrink(&mut self, max: usize) {
        let leaving = self.groups.shrink(max);
        for series in &mut self.series {
            series.fold_into_other(&leaving);
        }
    }

    fn memory_bytes(&self) -> usize {
        self.groups.memory_bytes() + self.series.iter().map(Series::memory_bytes).sum::<usize>()
    }
}

/// A metric so far, for one group.
pub(crate) struct SoFar<'a> {
    pub(crate) cell: &'a Cell,
    /// That of the other group.
    pub(crate) other: &'a Cell,
    /// The most events of the group that can be in the other one.
    pub(crate) missed: u64,
    /// How many events were offered, where a verdict decides.
    pub(crate) offered: u64,
}

/// A metric whose events weigh differently.
#[derive(Debug)]
struct Weighted {
    field: usize,
    weight: usize,
    filter: Option<usize>,
}

impl Weighted {
    fn of(metric: &Metric) -> Option<Weighted> {
        let (field, weight) = (metric.measure.field()?, metric.measure.weight()?);
        Some(Weighted { field, weight, filter: metric.filter })
    }

    /// Events of a batch that would have entered, had their weight not been one of these.
    fn refused(&self, judged: &Judged, is_refused: impl Fn(i64) -> bool) -> u64 {
        let columns = &judged.batch.columns;
        let Column::Int64(weights) = &columns[self.weight] else { return 0 };
        if !weights.values().iter().any(|&weight| is_refused(weight)) {
            return 0;
        }
        let counts = |row: &usize| {
            weights.is_valid(*row)
                && is_refused(weights.value(*row))
                && columns[self.field].as_array().is_valid(*row)
                && self.filter.is_none_or(|filter| columns[filter].is_true(*row))
                && judged.left_out.binary_search(&(*row as u32)).is_err()
        };
        (0..judged.batch.rows).filter(counts).count() as u64
    }
}

/// Calls `fold` with the stretches of `range` between the rows that are left out.
fn for_each_kept(left_out: &[u32], range: Range<usize>, mut fold: impl FnMut(Range<usize>)) {
    let mut start = range.start;
    for &row in left_out.iter().filter(|&&row| range.contains(&(row as usize))) {
        if start < row as usize {
            fold(start..row as usize);
        }
        start = row as usize + 1;
    }
    if start < range.end {
        fold(start..range.end);
    }
}

/// Stretches of rows that lie in the same pane, with its start.
fn runs(times: &[Time], range: Range<usize>, size: Span) -> Vec<(Time, Range<usize>)> {
    let mut out = Vec::new();
    let mut row = range.start;
    while row < range.end {
        let mut start = times[row].floor_to(size);
        if planted(Bug::PaneOffByOne) {
            start = times[row].plus(Span(1_000_000)).floor_to(size).max(start);
        }
        let end = start.plus(size);
        let first = row;
        while row < range.end && times[row] >= start && times[row] < end {
            row += 1;
        }
        // A pane at the very end of time has no end of its own: take at least the row that named it.
        row = row.max(first + 1);
        out.push((start, first..row));
    }
    out
}

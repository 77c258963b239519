//! A series: one metric under one grouping set, over all time and in panes.
//!
//! A ladder of panes obeys three rules (docs/CONCEPTS.md): an open pane takes events; a pane that closes is merged
//! once into the next coarser level; a pane older than its `keep` is dropped. An event for a pane that is already
//! closed goes into the finest level that still keeps it, directly into every coarser level that pane was merged
//! into, and raises the revision of each cell it changes.

mod adopt;
mod away;
mod bytes;
mod parts;

use crate::away::Table;
use crate::cell::{Cell, Cells, Rows, What, half};
use crate::freezable::Freezable;
use crate::groups::{Groups, OTHER};
use crate::spec::{Kind, Level, Measure, Metric, Window};
use crate::time::{Span, Time};
use sabotage::{Bug, planted};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

pub(crate) use away::{Held, Leaving, Slot, merge, together};
pub(crate) use bytes::optional_time;
pub(crate) use parts::{Closed, Elsewhere};

/// One metric under one grouping set.
#[derive(Debug)]
pub struct Series {
    /// Index of the metric in the source.
    pub metric: usize,
    /// What its cells hold.
    pub role: Role,
    /// With the precision that memory has left.
    measure: Measure,
    /// As the metric has it.
    asked: Measure,
    kind: Option<Kind>,
    /// Types of the columns that a sample shows.
    shown: Vec<Kind>,
    filter: Option<usize>,
    total: Option<Freezable<Cells>>,
    ladder: Vec<Rung>,
}

/// What the cells of a series hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The metric.
    Measured,
    /// How many events were offered to a metric that depends on a verdict, whatever its filter said of them: what a
    /// bound on the number of wrong verdicts is made of.
    Offered,
}

/// One level of the ladder with its panes.
#[derive(Debug)]
struct Rung {
    level: Level,
    panes: BTreeMap<Time, Slot>,
    /// Panes that ended at or before this are closed.
    closed_to: Option<Time>,
    /// Panes that start before this were dropped to stay within memory.
    kept_from: Option<Time>,
    /// Panes that end after this have not left yet, and stay however old they are; `None` where none leave.
    held_from: Option<Time>,
    /// Panes that were corrected since they left, where they do: they stay as well.
    corrected: BTreeSet<Time>,
    dropped: u64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Pane {
    cells: Cells,
    /// Corrections per group since the pane closed.
    revisions: BTreeMap<u32, u64>,
}

impl Series {
    /// An empty series of metric number `metric` of a source. `kind` is the type of the field that its measure reads,
    /// `filter` the column that says which of its grouping set's rows enter.
    pub fn new(metric: usize, spec: &Metric, kind: Option<Kind>, filter: Option<usize>) -> Series {
        let rung = |&level| Rung {
            level,
            panes: BTreeMap::new(),
            closed_to: None,
            kept_from: None,
            held_from: None,
            corrected: BTreeSet::new(),
            dropped: 0,
        };
        Series {
            metric,
            role: Role::Measured,
            measure: spec.measure.clone(),
            asked: spec.measure.clone(),
            kind,
            shown: Vec::new(),
            filter,
            total: spec.total.then(Freezable::default),
            ladder: spec.levels.iter().map(rung).collect(),
        }
    }

    /// The series that counts what is offered to this metric.
    pub fn offered(metric: usize, spec: &Metric) -> Series {
        let series = Series::new(metric, spec, None, None);
        Series { role: Role::Offered, measure: Measure::Count, asked: Measure::Count, ..series }
    }

    /// The same, whose samples show columns of these types.
    pub(crate) fn showing(self, shown: Vec<Kind>) -> Series {
        Series { shown, ..self }
    }

    /// Folds rows into the total.
    pub fn fold_total(&mut self, rows: Rows<'_>, range: Range<usize>) {
        let what = What { measure: &self.measure, kind: self.kind, filter: self.filter };
        if let Some(cells) = &mut self.total {
            cells.get_mut().fold(what, rows, range);
        }
    }

    /// Folds rows into panes. All rows of `range` lie in the pane of the finest level that starts at `start`.
    pub fn fold_pane(&mut self, rows: Rows<'_>, range: Range<usize>, start: Time, watermark: Option<Time>) {
        let what = What { measure: &self.measure, kind: self.kind, filter: self.filter };
        for rung in &mut self.ladder {
            let start = start.floor_to(rung.level.size);
            let closed = watermark.is_some_and(|w| start.plus(rung.level.size) <= w);
            let kept = rung.keeps(start, watermark);
            if kept {
                let pane = rung.panes.entry(start).or_default().here.get_mut();
                pane.cells.fold(what, rows, range.clone());
                if closed {
                    if planted(Bug::LateFoldedTwice) {
                        pane.cells.fold(what, rows, range.clone());
                    }
                    for row in range.clone().filter(|_| !planted(Bug::RevisionNotRaised)) {
                        *pane.revisions.entry(rows.groups.map_or(OTHER, |g| g[row])).or_default() += 1;
                    }
                    if rung.held_from.is_some() {
                        rung.corrected.insert(start);
                    }
                }
            }
            if !closed && kept {
                // The coarser levels will get it when this pane closes.
                break;
            }
        }
    }

    /// Length of the finest panes.
    pub fn finest(&self) -> Option<Span> {
        self.ladder.first().map(|r| r.level.size)
    }

    /// Closes the panes that end by the watermark: merges them into the next coarser level, drops what is too old.
    pub fn advance(&mut self, watermark: Time) {
        for index in 0..self.ladder.len() {
            let (fine, coarse) = self.ladder.split_at_mut(index + 1);
            let rung = &mut fine[index];
            let size = rung.level.size;
            if let Some(coarse) = coarse.first_mut() {
                // A pane that starts at s is closed when s + size <= watermark.
                let from = rung.closed_to.map_or(Time(i64::MIN), |t| t.minus(size).plus(Span(1)));
                let to = watermark.minus(size);
                if from <= to {
                    for (start, slot) in rung.panes.range(from..=to) {
                        debug_assert!(slot.away.is_none(), "only what has closed leaves");
                        let start = start.floor_to(coarse.level.size);
                        coarse.panes.entry(start).or_default().here.get_mut().merge(&slot.here, None);
                    }
                }
            }
            rung.closed_to = rung.closed_to.max(Some(watermark));
            rung.drop_old(watermark);
        }
    }

    /// Drops what was kept at this watermark only because it had yet to leave.
    pub(crate) fn let_go(&mut self, watermark: Time) {
        self.ladder.iter_mut().for_each(|rung| rung.drop_old(watermark));
    }

    /// Moves the cells of groups that are no longer kept apart into the other group. Panes without any stay untouched, and so
    /// do records that are not in memory: whoever reads them does it.
    pub fn fold_into_other(&mut self, groups: &[u32]) {
        if groups.is_empty() {
            return;
        }
        if let Some(cells) = &mut self.total {
            let cells = cells.get_mut();
            groups.iter().for_each(|&group| cells.fold_into_other(group));
        }
        for pane in self.ladder.iter_mut().flat_map(|r| r.panes.values_mut()).map(|slot| &mut slot.here) {
            let holds = |group: &u32| {
                !matches!(pane.cells.get(*group), Cell::Empty) || pane.revisions.contains_key(group)
            };
            let Some(first) = groups.iter().position(holds) else { continue };
            let pane = pane.get_mut();
            for group in &groups[first..] {
                pane.cells.fold_into_other(*group);
                if let Some(revision) = pane.revisions.remove(group) {
                    *pane.revisions.entry(OTHER).or_default() += revision;
                }
            }
        }
    }

    /// Takes in the same series of another shard; the table gives our number for each of its groups.
    /// Both must have been advanced to the same watermark. Nothing is read that is not in memory: `since` is the last time that
    /// groups of ours were let go.
    pub(crate) fn absorb(&mut self, other: &Series, table: &Arc<Table>, since: u64) {
        let map = &table.map;
        if let (Some(ours), Some(theirs)) = (&mut self.total, &other.total) {
            let ours = ours.get_mut();
            for (group, cell) in theirs.present() {
                ours.get_mut(map[group as usize]).merge(cell);
            }
        }
        for (ours, theirs) in self.ladder.iter_mut().zip(&other.ladder) {
            // The same panes in both, mostly: their number is not the sum.
            ours.dropped = ours.dropped.max(theirs.dropped);
            for (start, slot) in &theirs.panes {
                let pane = ours.panes.entry(*start).or_default();
                pane.take_parts(slot.parts(), table, since);
                pane.here.get_mut().merge(&slot.here, Some(map));
            }
        }
        for (index, theirs) in other.ladder.iter().enumerate() {
            if let Some(from) = self.ladder[index].kept_from.max(theirs.kept_from) {
                self.drop_before(index, from);
            }
        }
    }

    /// The series as it is now, for others to read: what is written afterwards is copied first.
    pub(crate) fn freeze(&mut self) -> Series {
        let rung = |rung: &mut Rung| Rung {
            panes: rung.panes.iter_mut().map(|(start, slot)| (*start, slot.frozen())).collect(),
            corrected: rung.corrected.clone(),
            ..*rung
        };
        Series {
            measure: self.measure.clone(),
            asked: self.asked.clone(),
            shown: self.shown.clone(),
            total: self.total.as_mut().map(Freezable::frozen),
            ladder: self.ladder.iter_mut().map(rung).collect(),
            ..*self
        }
    }

    /// The same to be asked: with or without the total, and with the panes that are wanted, by size, start and whether the next
    /// coarser level has got them.
    pub(crate) fn share(&self, total: bool, wanted: &dyn Fn(Span, Time, bool) -> bool) -> Series {
        let share = |rung: &Rung| {
            let is = |start: &Time| wanted(rung.level.size, *start, rung.merged_up(*start));
            let panes = rung.panes.iter().filter(|(start, _)| is(start));
            let panes = panes.map(|(start, slot)| (*start, slot.share())).collect();
            Rung { panes, corrected: BTreeSet::new(), ..*rung }
        };
        Series {
            measure: self.measure.clone(),
            asked: self.asked.clone(),
            shown: self.shown.clone(),
            total: self.total.as_ref().filter(|_| total).map(Freezable::share),
            ladder: self.ladder.iter().map(share).collect(),
            ..*self
        }
    }

    /// Keeps the panes of this level that end after `from`, until told of a later time.
    pub(crate) fn hold(&mut self, size: Span, from: Time) {
        for rung in self.ladder.iter_mut().filter(|rung| rung.level.size == size) {
            if rung.held_from.replace(from).is_none() {
                let revised = rung.panes.iter().filter(|(_, slot)| !slot.here.revisions.is_empty());
                rung.corrected = revised.map(|(start, _)| *start).collect();
            }
        }
    }

    /// What was corrected so far leaves, and need not be kept for that any more.
    pub(crate) fn corrections_leave(&mut self) {
        self.ladder.iter_mut().for_each(|rung| rung.corrected.clear());
    }

    /// The panes of a level: start, cells, and corrections per group since it closed.
    pub(crate) fn level<'p>(
        &'p self,
        size: Span,
        groups: &'p Groups,
    ) -> impl Iterator<Item = (Time, Held<'p>, &'p BTreeMap<u32, u64>)> {
        let rung = self.ladder.iter().filter(move |rung| rung.level.size == size);
        let panes = rung.flat_map(|rung| &rung.panes);
        panes.map(move |(start, slot)| (*start, self.held(slot, groups), &slot.here.revisions))
    }

    /// The panes of a level that were corrected since they closed, with the corrections per group.
    pub(crate) fn revised(&self, size: Span) -> impl Iterator<Item = (Time, &BTreeMap<u32, u64>)> {
        let rung = self.ladder.iter().filter(move |rung| rung.level.size == size);
        let panes = rung.flat_map(|rung| &rung.panes).map(|(start, slot)| (*start, &slot.here.revisions));
        panes.filter(|(_, revisions)| !revisions.is_empty())
    }

    /// Leaves nothing but those panes of one level that are wanted.
    pub(crate) fn narrow(&mut self, size: Option<Span>, wanted: &dyn Fn(Time) -> bool) {
        self.total = None;
        for rung in &mut self.ladder {
            let level = Some(rung.level.size) == size;
            rung.panes.retain(|start, _| level && wanted(*start));
        }
    }

    /// The cells of the total over all time.
    pub fn total(&self) -> Option<&Cells> {
        self.total.as_deref()
    }

    /// Starts of the retained panes that make up windows of this level, ascending, with the cells of each pane:
    /// those of its own level and, while it is open, those finer ones that were not merged into it yet.
    pub(crate) fn panes<'p>(&'p self, size: Span, groups: &'p Groups) -> BTreeMap<Time, Vec<Held<'p>>> {
        self.panes_between(size, Window { start: Time(i64::MIN), end: Time(i64::MAX) }, groups)
    }

    /// The same of a part of time, which begins and ends with panes of this level.
    pub(crate) fn panes_between<'p>(
        &'p self,
        size: Span,
        part: Window,
        groups: &'p Groups,
    ) -> BTreeMap<Time, Vec<Held<'p>>> {
        let mut out: BTreeMap<Time, Vec<Held<'p>>> = BTreeMap::new();
        for rung in self.ladder.iter().take_while(|r| r.level.size <= size) {
            let own = rung.level.size == size;
            for (start, slot) in rung.panes.range(part.start..=part.end) {
                if own || !rung.merged_up(*start) {
                    out.entry(start.floor_to(size)).or_default().push(self.held(slot, groups));
                }
            }
        }
        out
    }

    /// The start of the oldest pane of this level that is kept; `None` while all of them are.
    pub fn first_kept(&self, size: Span) -> Option<Time> {
        let rung = self.ladder.iter().find(|r| r.level.size == size)?;
        rung.closed_to.map(|watermark| rung.level.first_kept(watermark)).max(rung.kept_from)
    }

    /// The start of the oldest pane that is whole in every level, when older ones were dropped to stay within memory.
    pub fn kept_from(&self) -> Option<Time> {
        self.ladder.iter().filter_map(|r| r.kept_from).max()
    }

    /// Panes dropped because they were older than their `keep`, per level.
    pub fn dropped(&self) -> impl Iterator<Item = (Level, u64)> + '_ {
        self.ladder.iter().map(|r| (r.level, r.dropped))
    }

    /// Folds every sketch in memory to half its size, those to come as well, and those to be read; false when they do not fold any further.
    pub fn fold_down(&mut self) -> bool {
        let Some(smaller) = half(&self.measure) else { return false };
        self.measure = smaller;
        let total = self.total.iter_mut().map(Freezable::get_mut);
        let slots = self.ladder.iter_mut().flat_map(|r| r.panes.values_mut());
        let panes = slots.map(|slot| &mut slot.here.get_mut().cells);
        total.chain(panes).flat_map(Cells::iter_mut).for_each(|cell| cell.fold_down(&self.measure));
        true
    }

    /// Drops the oldest quarter of the panes of the level that has most, as if its `keep` were shorter; false when
    /// there are none.
    pub fn drop_oldest(&mut self) -> bool {
        let most = |&index: &usize| self.ladder[index].panes.len();
        let Some(index) = (0..self.ladder.len()).max_by_key(most) else { return false };
        let rung = &self.ladder[index];
        let Some(&kept_from) =
            rung.panes.keys().nth(rung.panes.len().div_ceil(4)).or(rung.panes.keys().last())
        else {
            return false;
        };
        let from = if rung.panes.len() > 1 { kept_from } else { kept_from.plus(rung.level.size) };
        self.drop_before(index, from);
        true
    }

    /// Drops the panes of a level that start before this. Those that the next coarser level has not got yet go there, so
    /// that it is whole.
    fn drop_before(&mut self, index: usize, from: Time) {
        let (fine, coarse) = self.ladder.split_at_mut(index + 1);
        let rung = &mut fine[index];
        let kept = rung.panes.split_off(&from);
        let dropped = std::mem::replace(&mut rung.panes, kept);
        rung.kept_from = rung.kept_from.max(Some(from));
        let Some(coarse) = coarse.first_mut() else { return };
        for (start, slot) in dropped.iter().filter(|(start, _)| !rung.merged_up(**start)) {
            let start = start.floor_to(coarse.level.size);
            if coarse.kept_from.is_none_or(|from| start >= from) {
                coarse.panes.entry(start).or_default().here.get_mut().merge(&slot.here, None);
            }
        }
    }

    /// All cells in memory that are not empty, of the total and of all panes.
    pub(crate) fn cells(&self) -> impl Iterator<Item = &Cell> {
        let panes = self.ladder.iter().flat_map(|r| r.panes.values()).map(|slot| &slot.here.cells);
        self.total.as_deref().into_iter().chain(panes).flat_map(Cells::present).map(|(_, cell)| cell)
    }

    /// Panes, over all levels.
    pub(crate) fn panes_held(&self) -> usize {
        self.ladder.iter().map(|rung| rung.panes.len()).sum()
    }

    /// Accounted bytes.
    pub fn memory_bytes(&self) -> usize {
        let panes = self.ladder.iter().flat_map(|r| r.panes.values()).map(Slot::memory_bytes);
        self.total.as_ref().map_or(0, |cells| cells.memory_bytes()) + panes.sum::<usize>()
    }
}

impl Rung {
    /// Whether the pane that starts here is kept at this watermark.
    fn keeps(&self, start: Time, watermark: Option<Time>) -> bool {
        watermark.is_none_or(|w| self.level.retains(start, w))
            && self.kept_from.is_none_or(|from| start >= from)
    }

    /// Whether the pane that starts here, or what corrected it, has yet to leave.
    fn holds(&self, start: Time) -> bool {
        self.held_from.is_some_and(|from| start.plus(self.level.size) > from)
            || self.corrected.contains(&start)
    }

    /// Drops the panes that are too old and have left, where they do.
    fn drop_old(&mut self, watermark: Time) {
        while let Some((&start, _)) = self.panes.first_key_value()
            && !self.level.retains(start, watermark)
            && !self.holds(start)
        {
            self.panes.remove(&start);
            self.dropped += 1;
        }
    }

    /// Whether the pane that starts here is a part of the next coarser one already.
    fn merged_up(&self, start: Time) -> bool {
        self.closed_to.is_some_and(|w| start.plus(self.level.size) <= w)
    }
}

impl Pane {
    fn merge(&mut self, other: &Pane, map: Option<&[u32]>) {
        let ours = |group: u32| map.map_or(group, |m| m[group as usize]);
        for (group, cell) in other.cells.present() {
            self.cells.get_mut(ours(group)).merge(cell);
        }
        if map.is_some() {
            for (&group, &revision) in &other.revisions {
                *self.revisions.entry(ours(group)).or_default() += revision;
            }
        }
    }
}

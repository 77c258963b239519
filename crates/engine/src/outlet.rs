//! The third machine: shards merged, questions answered.

mod ask;
mod tiles;
mod windows;

use crate::answer::{Answer, Key, Number, Reading, describe};
use crate::batch::Reason;
use crate::cell::{Cell, Cells, NO_CELL};
use crate::doubt::{Doubts, Misjudged};
use crate::groups::OTHER;
use crate::intake::Tally;
use crate::series::{Held, Role, Series, together};
use crate::shard::{Away, GivenWay, GroupingSet, Shard, Spilled};
use crate::slide::Slide;
use crate::spec::{Field, Level, Measure, Metric, Question, Source, Window};
use crate::time::{Span, Time};
use crate::verdicts::Verdicts;
use std::borrow::Cow;
use std::collections::BTreeMap;
pub(crate) use tiles::Tiles;
use windows::{Part, window_starts};

/// The merged state of a source, ready to be asked.
#[derive(Debug)]
pub struct Outlet<'a> {
    source: Cow<'a, Source>,
    columns: Vec<Field>,
    state: Shard,
    tally: Tally,
    verdicts: Verdicts,
    sessions: Vec<Closed>,
    complete_to: Option<Time>,
}

impl<'a> Outlet<'a> {
    /// Merges the shards of a source, in order. `tally` and `watermark` are its intake's.
    ///
    /// # Panics
    /// Without shards.
    pub fn new(source: &'a Source, shards: Vec<Shard>, tally: Tally, watermark: Option<Time>) -> Outlet<'a> {
        Outlet::of(Cow::Borrowed(source), Shard::merged(shards), tally, watermark)
    }

    /// The same for a source that nobody else has.
    pub(crate) fn of_owned(
        source: Source,
        shard: Shard,
        tally: Tally,
        complete_to: Option<Time>,
    ) -> Outlet<'static> {
        Outlet::of(Cow::Owned(source), shard, tally, complete_to)
    }

    fn of(source: Cow<'a, Source>, mut state: Shard, tally: Tally, complete_to: Option<Time>) -> Outlet<'a> {
        state.settle();
        let (columns, verdicts, sessions) = (source.columns(), Verdicts::default(), Vec::new());
        Outlet { source, columns, state, tally, verdicts, sessions, complete_to }
    }

    /// The same with what the source's judge found.
    pub fn with_verdicts(self, verdicts: Verdicts) -> Outlet<'a> {
        Outlet { verdicts, ..self }
    }

    /// The same with the source's sessions.
    pub(crate) fn with_sessions(self, sessions: Vec<Closed>) -> Outlet<'a> {
        Outlet { sessions, ..self }
    }

    /// Every metric's answers, in the order of the file, then by grouping set, window and group; the counters last.
    pub fn answers(&self, question: Question) -> Vec<Answer> {
        let mut out = Vec::new();
        self.each_answer(question, &mut |answer| out.push(answer));
        out
    }

    /// The same one by one: many windows of many groups need not be in memory together.
    pub fn each_answer(&self, question: Question, out: &mut dyn FnMut(Answer)) {
        self.each_held(question, &mut |answer, _| out(answer));
    }

    /// The same with the state that each answer was read from; [`Cell::Empty`] behind counters and verdicts.
    pub fn each_held(&self, question: Question, out: &mut dyn FnMut(Answer, &Cell)) {
        self.each_measured(question, out);
        self.counters(out);
    }

    /// The same without the counters.
    fn each_measured(&self, question: Question, out: &mut dyn FnMut(Answer, &Cell)) {
        let mut grain = None;
        for (index, metric) in self.source.metrics.iter().enumerate() {
            if let Some((_, reading)) = self.verdicts.readings.iter().find(|(metric, _)| *metric == index) {
                out(
                    self.answer(
                        index,
                        Vec::new(),
                        OTHER,
                        false,
                        Asked::of(None),
                        self.doubted(metric, reading.clone()),
                    ),
                    &NO_CELL,
                );
            }
            if let Some(closed) = self.sessions.iter().find(|closed| closed.metric == index) {
                closed.outlet.each_measured(question, &mut |mut answer, cell| {
                    closed.doubted(&mut answer.reading, cell);
                    out(answer, cell);
                });
            }
            for by in &metric.by {
                let Some((set, series)) = self.find(index, by, Role::Measured) else { continue };
                match question {
                    Question::Windows { window, every } if !metric.levels.is_empty() => {
                        self.windows(set, series, window, every, out);
                    }
                    Question::Days { window, every, zone } if !metric.levels.is_empty() => {
                        let grain = *grain.get_or_insert_with(|| zone.grain());
                        if let Some(level) = Level::of_days(&metric.levels, window, grain) {
                            let windows = |panes: &mut dyn Iterator<Item = Time>| {
                                zone.days().windows(panes, window, every)
                            };
                            self.days(set, series, level.size, &windows, out);
                        }
                    }
                    Question::Total | Question::Windows { .. } | Question::Days { .. } => {
                        self.total(set, series, out);
                    }
                }
            }
        }
    }

    /// The source's watermark: no event before it is expected any more.
    pub fn complete_to(&self) -> Option<Time> {
        self.complete_to
    }

    /// Metrics whose oldest panes were dropped to stay within memory, and from when on they are whole.
    pub fn kept_from(&self) -> Vec<(&str, Time)> {
        let series = self.state.sets().iter().flat_map(|s| &s.series);
        let mut out: Vec<(&str, Time)> = series
            .filter_map(|s| Some((self.source.metrics[s.metric].name.as_str(), s.kept_from()?)))
            .collect();
        out.extend(self.sessions.iter().flat_map(|closed| closed.outlet.kept_from()));
        out.sort_unstable();
        // The latest of a metric's grouping sets.
        out.reverse();
        out.dedup_by_key(|(name, _)| *name);
        out.reverse();
        out
    }

    /// The grouping sets with their series: what the state is made of.
    pub fn sets(&self) -> &[GroupingSet] {
        self.state.sets()
    }

    /// What gave way to memory.
    pub fn given_way(&self) -> GivenWay {
        let closed = self.sessions.iter().map(|closed| closed.outlet.given_way());
        closed.fold(self.state.given_way(), GivenWay::plus)
    }

    /// What has left memory so far.
    pub fn spilled(&self) -> Spilled {
        self.state.spilled()
    }

    /// What is not in memory.
    pub fn away(&self) -> Away {
        self.state.away()
    }

    /// What the sessions of each metric may be wrong by.
    pub fn session_doubts_by_metric(&self) -> impl Iterator<Item = (usize, Doubts)> {
        self.sessions.iter().map(|closed| (closed.metric, closed.doubts))
    }

    /// The same over all metrics.
    pub fn session_doubts(&self) -> Doubts {
        let all = self.session_doubts_by_metric().map(|(_, doubts)| doubts);
        all.fold(Doubts::default(), |sum, d| Doubts { late: sum.late + d.late, cut: sum.cut + d.cut })
    }

    /// Groups folded into the other group, over all grouping sets.
    pub fn groups_folded(&self) -> u64 {
        self.state.sets().iter().map(|s| s.groups.folded()).sum()
    }

    /// Panes dropped because they were older than their `keep`, where no coarser level has them, of the metric that dropped
    /// most.
    pub fn panes_dropped(&self) -> u64 {
        let series = self.state.sets().iter().flat_map(|s| &s.series);
        series.filter_map(|s| s.dropped().last()).map(|(_, n)| n).max().unwrap_or(0)
    }

    /// Accounted bytes of the merged state, with the filters of verdicts and the sessions.
    pub fn memory_bytes(&self) -> usize {
        self.state.memory_bytes() + self.verdicts.memory_bytes as usize
    }

    /// What the verdicts came to.
    pub fn verdicts(&self) -> &Verdicts {
        &self.verdicts
    }

    /// Canonical bytes of the merged state: to compare states.
    pub fn canonical(&self, out: &mut Vec<u8>) {
        self.state.canonical(out);
        self.sessions.iter().for_each(|closed| closed.outlet.canonical(out));
    }

    /// The reading of a `seen` metric: what it took in may itself have followed from a verdict.
    fn doubted(&self, metric: &Metric, mut reading: Reading) -> Reading {
        if let Some(column) = self.source.last_uncertain(metric) {
            let wrong = Misjudged::most(
                &self.verdicts.misjudged,
                column,
                self.tally.accepted(),
                self.source.confidence,
            );
            reading.doubt(&metric.measure, wrong, self.source.confidence);
        }
        reading
    }

    fn find(&self, metric: usize, by: &[usize], role: Role) -> Option<(&GroupingSet, &Series)> {
        let is_it = |series: &&Series| series.metric == metric && series.role == role;
        self.state
            .sets()
            .iter()
            .filter(|set| set.groups.fields() == by)
            .find_map(|set| set.series.iter().find(is_it).map(|series| (set, series)))
    }

    /// Every pane of the levels named by metric, each a window of its own, with the number of corrections of each cell.
    pub(crate) fn each_rollup(&self, levels: &[Option<Span>], out: &mut dyn FnMut(usize, Answer, &Cell)) {
        for (index, size) in levels.iter().enumerate().filter_map(|(index, size)| Some((index, (*size)?))) {
            for by in &self.source.metrics[index].by {
                let Some((set, series)) = self.find(index, by, Role::Measured) else { continue };
                let offered = self.find(index, by, Role::Offered).map(|(_, series)| series);
                let offered = offered.map(|series| series.panes(size, &set.groups)).unwrap_or_default();
                for (start, held, revisions) in series.level(size, &set.groups) {
                    let window = Window { start, end: start.plus(size) };
                    let asked = Asked { window: Some(window), revisions: Some(revisions) };
                    let (cells, offered) = (held.cells(), within(&offered, window));
                    self.groups(set, series, &[&cells], &all(&offered), asked, &mut |answer, cell| {
                        out(index, answer, cell)
                    });
                }
            }
        }
    }

    fn total(&self, set: &GroupingSet, series: &Series, out: &mut dyn FnMut(Answer, &Cell)) {
        let offered = self.find(series.metric, set.groups.fields(), Role::Offered).map(|(_, series)| series);
        if let Some(cells) = series.total() {
            let offered: Vec<&Cells> = offered.and_then(Series::total).into_iter().collect();
            self.groups(set, series, &[cells], &offered, Asked::of(None), out);
            return;
        }
        // A ring has no total: what it still keeps is one window.
        let Some(size) = series.finest() else { return };
        let panes = series.panes(size, &set.groups);
        let (Some(first), Some(last)) = (panes.keys().next(), panes.keys().last()) else { return };
        let kept = Window { start: *first, end: last.plus(size) };
        let cells = together(panes.values().flatten().copied());
        let offered = offered.map(|series| series.panes(size, &set.groups)).unwrap_or_default();
        let offered = together(offered.values().flatten().copied());
        self.groups(set, series, &all(&cells), &all(&offered), Asked::of(Some(kept)), out);
    }

    fn windows(
        &self,
        set: &GroupingSet,
        series: &Series,
        window: Span,
        every: Span,
        out: &mut dyn FnMut(Answer, &Cell),
    ) {
        let levels = &self.source.metrics[series.metric].levels;
        let Some(level) = Level::tiling(levels, window, every) else { return };
        let offered = self.find(series.metric, set.groups.fields(), Role::Offered).map(|(_, series)| series);
        // Without what was offered nothing bounds the wrong verdicts: memory may have taken either.
        let first_kept = |size: Span| series.first_kept(size).max(offered.and_then(|s| s.first_kept(size)));
        // From the level that was asked for to the ones that remember longer: each answers what starts before the first
        // window of the one before.
        let mut parts: Vec<Part> = Vec::new();
        let mut before = None;
        for level in level.and_longer(levels) {
            let mut part = Part::of(level, window, every, before);
            part.from = first_kept(level.size);
            if let (Some(finer), Some(before)) = (parts.last_mut(), before) {
                let aligned = part.aligned(before);
                if !series.panes(level.size, &set.groups).keys().any(|start| *start < aligned) {
                    break;
                }
                (finer.from, part.before) = (Some(aligned), Some(aligned));
            }
            before = part.from;
            parts.push(part);
            if before.is_none() {
                break;
            }
        }
        for part in parts.iter().rev() {
            self.part(set, series, offered, part, out);
        }
    }

    /// The windows of calendar days that hold panes of this size. One that does not begin and end with panes, long ago, is not answered.
    fn days(
        &self,
        set: &GroupingSet,
        series: &Series,
        size: Span,
        windows: &dyn Fn(&mut dyn Iterator<Item = Time>) -> Vec<Window>,
        out: &mut dyn FnMut(Answer, &Cell),
    ) {
        let offered = self.find(series.metric, set.groups.fields(), Role::Offered).map(|(_, series)| series);
        let from = series.first_kept(size).max(offered.and_then(|s| s.first_kept(size)));
        let panes = series.panes(size, &set.groups);
        let offered = offered.map(|series| series.panes(size, &set.groups)).unwrap_or_default();
        for asked in windows(&mut panes.keys().copied()) {
            let whole = [asked.start, asked.end].iter().all(|t| t.floor_to(size) == *t);
            if whole && from.is_none_or(|from| asked.start >= from) {
                let (cells, offered) = (within(&panes, asked), within(&offered, asked));
                self.groups(set, series, &all(&cells), &all(&offered), Asked::of(Some(asked)), out);
            }
        }
    }

    /// The windows that the panes of one level answer.
    fn part(
        &self,
        set: &GroupingSet,
        series: &Series,
        offered: Option<&Series>,
        part: &Part,
        out: &mut dyn FnMut(Answer, &Cell),
    ) {
        let panes = series.panes(part.size, &set.groups);
        let offered = offered.map(|series| series.panes(part.size, &set.groups)).unwrap_or_default();
        let measure = &self.source.metrics[series.metric].measure;
        let mut slide = Slide::new(&panes, measure, part.window, part.every);
        let mut offered = Slide::new(&offered, &Measure::Count, part.window, part.every);
        for start in window_starts(panes.keys().copied(), part.window, part.every) {
            if part.from.is_some_and(|from| start < from) || part.before.is_some_and(|before| start >= before)
            {
                continue;
            }
            let asked = Window { start, end: start.plus(part.window) };
            let resolved = &mut |answer: Answer, cell: &Cell| {
                out(Answer { resolution: part.resolution, ..answer }, cell);
            };
            let (cells, offered) = (slide.cells(start), offered.cells(start));
            self.groups(set, series, &cells, &offered, Asked::of(Some(asked)), resolved);
        }
    }

    /// One answer per group that has a cell in any of these panes; the other group last. `offered` are the panes that
    /// count what was offered to a metric that depends on verdicts.
    fn groups(
        &self,
        set: &GroupingSet,
        series: &Series,
        panes: &[&Cells],
        offered: &[&Cells],
        asked: Asked<'_>,
        out: &mut dyn FnMut(Answer, &Cell),
    ) {
        let metric = &self.source.metrics[series.metric];
        let kind = metric.measure.field().map(|f| self.columns[f].kind);
        let doubt = Doubt::new(self, set, series, offered);
        let read = |cell: &Cell, group: u32| {
            let mut reading = describe(&metric.measure, kind, cell, self.source.confidence);
            if let Some(doubt) = &doubt {
                reading.doubt(&metric.measure, doubt.wrong(group), self.source.confidence);
            }
            reading
        };
        let fields = set.groups.fields().iter().map(|&f| self.columns[f].path.clone());
        let named = |values: Vec<Key>| fields.clone().zip(values).collect();
        let rest = merged(panes, OTHER);
        let mut other = read(&rest, OTHER);
        if set.groups.is_total() {
            // A window that the filter kept empty is not spoken of; the total over all time always is.
            if asked.window.is_some() && matches!(*rest, Cell::Empty) {
                return;
            }
            out(self.answer(series.metric, Vec::new(), OTHER, false, asked, other), &rest);
            return;
        }
        let mut lost = 0;
        for (_, group) in set.groups.sorted() {
            let cell = merged(panes, group);
            if matches!(*cell, Cell::Empty) {
                continue;
            }
            let mut reading = read(&cell, group);
            let missed = set.groups.missed(group);
            lost = u64::saturating_add(lost, missed);
            if missed > 0 {
                reading.widen(&metric.measure, missed, &other);
            }
            let values = set.groups.values(group, &set.kinds);
            out(self.answer(series.metric, named(values), group, false, asked, reading), &cell);
        }
        if !matches!(*rest, Cell::Empty) {
            other.leave_over(&metric.measure, lost);
            let nobody = vec![Key::Null; set.kinds.len()];
            out(self.answer(series.metric, named(nobody), OTHER, true, asked, other), &rest);
        }
    }

    fn answer(
        &self,
        metric: usize,
        by: Vec<(String, Key)>,
        group: u32,
        other: bool,
        asked: Asked<'_>,
        reading: Reading,
    ) -> Answer {
        let metric = &self.source.metrics[metric];
        let row_fields = match &metric.measure {
            Measure::Sample { fields, .. } => fields.iter().map(|&f| self.columns[f].path.clone()).collect(),
            _ => Vec::new(),
        };
        Answer {
            metric: metric.name.clone(),
            by,
            other,
            start: asked.window.map(|w| w.start),
            end: asked.window.map(|w| w.end),
            resolution: None,
            revision: asked.revisions.map(|revisions| revisions.get(&group).copied().unwrap_or(0)),
            reading,
            row_fields,
            complete_to: self.complete_to,
            late: self.tally.late,
        }
    }

    /// The counters of the source: totals always, reasons that are specific only when they occurred.
    pub(crate) fn counters(&self, out: &mut dyn FnMut(Answer, &Cell)) {
        let t = &self.tally;
        let mut rows = vec![("read", t.read), ("accepted", t.accepted())];
        if self.source.time.is_some() {
            rows.extend([
                ("on_time", t.on_time),
                ("late", t.late),
                ("ahead", t.ahead),
                ("too_late", t.too_late),
            ]);
            let left_out = [("late_dropped", t.late_dropped), ("late_quarantined", t.late_quarantined)];
            rows.extend(left_out.into_iter().filter(|(_, n)| *n > 0));
        }
        rows.push(("bad", t.bad_total()));
        rows.extend(Reason::ALL.iter().zip(t.bad).filter(|(_, n)| *n > 0).map(|(r, n)| (r.as_str(), n)));
        let way = self.given_way();
        let doubts = self.session_doubts();
        let rare = [
            ("groups_folded", self.groups_folded()),
            ("memory_groups_halved", way.groups_halved),
            ("memory_sketches_folded", way.sketches_folded),
            ("memory_panes_dropped", way.panes_dropped),
            ("memory_over_budget", way.over_budget),
            ("weight_negative", self.state.weights_negative()),
            ("weight_too_large", self.state.weights_too_large()),
            ("verdict_null", self.verdicts.failed),
            ("verdict_unknown", self.verdicts.unjudged),
            ("verdict_degraded", self.verdicts.degraded.len() as u64),
            ("exploded_empty", t.exploded_empty),
            ("session_late", doubts.late),
            ("session_cut", doubts.cut),
        ];
        rows.extend(rare.into_iter().filter(|(_, n)| *n > 0));
        for (reason, count) in rows {
            let answer = Answer {
                metric: "sg.source".into(),
                by: vec![
                    ("source".into(), Key::String(self.source.name.clone())),
                    ("reason".into(), Key::String(reason.into())),
                ],
                other: false,
                start: None,
                end: None,
                resolution: None,
                revision: None,
                reading: Reading::exact(Some(Number::Int(i128::from(count)))),
                row_fields: Vec::new(),
                complete_to: self.complete_to,
                late: t.late,
            };
            out(answer, &NO_CELL);
        }
    }
}

/// Sessions read out: everything that was held is closed.
#[derive(Debug)]
pub(crate) struct Closed {
    pub metric: usize,
    pub outlet: Outlet<'static>,
    pub doubts: Doubts,
    /// Whether a verdict decides which events enter.
    pub uncertain: bool,
}

impl Closed {
    /// The answers of the metric and of those made of it, widened by what may be wrong.
    pub(crate) fn doubted(&self, reading: &mut Reading, cell: &Cell) {
        if self.uncertain {
            reading.promise_nothing();
        } else if self.doubts != Doubts::default() {
            reading.doubt_sessions(self.doubts, cell);
        }
    }
}

/// What answers are about.
#[derive(Clone, Copy)]
struct Asked<'a> {
    /// `None` is all time.
    window: Option<Window>,
    /// Corrections by group, where they are told.
    revisions: Option<&'a BTreeMap<u32, u64>>,
}

impl Asked<'_> {
    fn of(window: Option<Window>) -> Self {
        Asked { window, revisions: None }
    }
}

/// How many verdicts behind an answer may be wrong.
struct Doubt<'a> {
    offered: &'a [&'a Cells],
    /// Events offered to all groups together, when the group itself follows from a verdict.
    all: Option<u64>,
    /// The last column behind the answer that a verdict may have decided.
    column: usize,
    verdicts: &'a Verdicts,
    confidence: f64,
}

impl<'a> Doubt<'a> {
    /// `None` for a metric that depends on no verdict.
    fn new(
        outlet: &'a Outlet<'_>,
        set: &GroupingSet,
        series: &Series,
        offered: &'a [&'a Cells],
    ) -> Option<Doubt<'a>> {
        let column = outlet.source.last_uncertain(&outlet.source.metrics[series.metric])?;
        let first = outlet.source.first_uncertain();
        let groups_by_verdict = set.groups.fields().iter().any(|&field| field >= first);
        let all = || offered.iter().flat_map(|cells| cells.present()).map(|(_, cell)| count(cell)).sum();
        Some(Doubt {
            offered,
            all: groups_by_verdict.then(all),
            column,
            verdicts: &outlet.verdicts,
            confidence: outlet.source.confidence,
        })
    }

    fn wrong(&self, group: u32) -> Option<u64> {
        let own = || self.offered.iter().map(|cells| count(cells.get(group))).sum();
        Misjudged::most(&self.verdicts.misjudged, self.column, self.all.unwrap_or_else(own), self.confidence)
    }
}

fn count(cell: &Cell) -> u64 {
    match cell {
        Cell::Count(n) => *n,
        _ => 0,
    }
}

/// The cells of the panes of a window.
fn within<'c>(panes: &BTreeMap<Time, Vec<Held<'c>>>, window: Window) -> Vec<Cow<'c, Cells>> {
    together(panes.range(window.start..window.end).flat_map(|(_, held)| held.iter().copied()))
}

fn all<'c>(cells: &'c [Cow<'_, Cells>]) -> Vec<&'c Cells> {
    cells.iter().map(|cells| &**cells).collect()
}

/// The cell of a group over several panes; not copied when it is only in one of them.
fn merged<'c>(panes: &[&'c Cells], group: u32) -> Cow<'c, Cell> {
    let mut out = Cow::Owned(Cell::Empty);
    for cell in panes.iter().map(|cells| cells.get(group)).filter(|c| !matches!(c, Cell::Empty)) {
        match &*out {
            Cell::Empty => out = Cow::Borrowed(cell),
            _ => out.to_mut().merge(cell),
        }
    }
    out
}

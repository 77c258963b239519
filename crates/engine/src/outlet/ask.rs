//! One metric is asked: its panes, windows, the newest window, one window, the total.

use super::tiles::Tile;
use super::{Asked, Outlet, all, within};
use crate::answer::Answer;
use crate::cell::{Cell, Cells, NO_CELL};
use crate::groups::OTHER;
use crate::outlet::Tiles;
use crate::series::{Role, Series};
use crate::shard::GroupingSet;
use crate::spec::{Ask, Level, Metric, Question, Unanswerable, Window};
use crate::time::{Span, Time};
use std::borrow::Cow;

impl Outlet<'_> {
    /// What one metric answers, of the grouping set `by` or of all, with the state that each answer was read from.
    ///
    /// # Errors
    /// When it has no such windows.
    pub fn each_asked(
        &self,
        metric: usize,
        by: Option<&[usize]>,
        ask: Ask,
        out: &mut dyn FnMut(Answer, &Cell),
    ) -> Result<(), Unanswerable> {
        let spec = &self.source.metrics[metric];
        if let Some((_, reading)) = self.verdicts.readings.iter().find(|(of, _)| *of == metric) {
            ask.is_of_the_total()?;
            let reading = self.doubted(spec, reading.clone());
            out(self.answer(metric, Vec::new(), OTHER, false, Asked::of(None), reading), &NO_CELL);
        }
        if let Some(closed) = self.sessions.iter().find(|closed| closed.metric == metric) {
            // Their own clock is behind by the gap.
            let finest = spec.levels.first().map(|level| level.size);
            let window = finest.and_then(|finest| ask.window(self.newest(), finest));
            let ask = window.map_or(ask, Ask::Between);
            for index in 0..closed.outlet.source.metrics.len() {
                closed.outlet.each_asked(index, None, ask, &mut |mut answer, cell| {
                    closed.doubted(&mut answer.reading, cell);
                    out(answer, cell);
                })?;
            }
        }
        for of in spec.by.iter().filter(|of| by.is_none_or(|by| by == of.as_slice())) {
            if let Some((set, series)) = self.find(metric, of, Role::Measured) {
                self.asked(spec, set, series, ask, out)?;
            }
        }
        Ok(())
    }

    fn asked(
        &self,
        metric: &Metric,
        set: &GroupingSet,
        series: &Series,
        ask: Ask,
        out: &mut dyn FnMut(Answer, &Cell),
    ) -> Result<(), Unanswerable> {
        let Some(finest) = metric.levels.first().map(|level| level.size) else {
            ask.is_of_the_total()?;
            self.total(set, series, out);
            return Ok(());
        };
        let levels = &metric.levels;
        match ask {
            Ask::Of(Question::Total) => self.total(set, series, out),
            Ask::Panes => self.windows(set, series, finest, finest, out),
            Ask::Of(Question::Windows { window, every }) => {
                Level::tiling(levels, window, every)
                    .ok_or_else(|| Unanswerable::of(levels, window, every))?;
                self.windows(set, series, window, every, out);
            }
            Ask::Of(Question::Days { window, every, zone }) => {
                let level = Level::of_days(levels, window, zone.grain())
                    .ok_or_else(|| Unanswerable::of(levels, zone.grain(), zone.grain()))?;
                let windows =
                    |panes: &mut dyn Iterator<Item = Time>| zone.days().windows(panes, window, every);
                self.days(set, series, level.size, &windows, out);
            }
            Ask::Last(_) | Ask::Between(_) => {
                if let Some(asked) = ask.window(self.newest(), finest) {
                    self.between(levels, set, series, asked, out);
                }
            }
        }
        Ok(())
    }

    /// The time of the newest event, as far as the clock has followed.
    pub(crate) fn newest(&self) -> Option<Time> {
        self.source.newest(self.complete_to)
    }

    /// One window, of coarse panes inside and fine ones at its ends.
    fn between(
        &self,
        levels: &[Level],
        set: &GroupingSet,
        series: &Series,
        asked: Window,
        out: &mut dyn FnMut(Answer, &Cell),
    ) {
        let offered = self.find(series.metric, set.groups.fields(), Role::Offered).map(|(_, series)| series);
        let first_kept = |level: &Level| {
            series.first_kept(level.size).max(offered.and_then(|offered| offered.first_kept(level.size)))
        };
        let first_kept: Vec<Option<Time>> = levels.iter().map(first_kept).collect();
        let Some(tiles) = Tiles::of(levels, &first_kept, asked) else { return };
        let offered = offered.map(|offered| laid(set, offered, &tiles)).unwrap_or_default();
        let resolved = &mut |answer: Answer, cell: &Cell| {
            out(Answer { resolution: tiles.resolution, ..answer }, cell);
        };
        let laid = laid(set, series, &tiles);
        self.groups(set, series, &all(&laid), &all(&offered), Asked::of(Some(tiles.window)), resolved);
    }
}

/// The cells of the panes of a window, in the order of time.
fn laid<'s>(set: &'s GroupingSet, series: &'s Series, tiles: &Tiles) -> Vec<Cow<'s, Cells>> {
    let panes = |tile: &Tile| series.panes_between(tile.size, tile.window, &set.groups);
    tiles.tiles.iter().flat_map(|tile| within(&panes(tile), tile.window)).collect()
}

impl Ask {
    /// The one window that is asked, where it is one; `newest` is the time of the newest event, `finest` the size of the
    /// finest panes.
    pub(crate) fn window(&self, newest: Option<Time>, finest: Span) -> Option<Window> {
        match *self {
            Ask::Between(window) => Some(window),
            Ask::Last(span) => {
                let end = newest?.floor_to(finest).plus(finest);
                Some(Window { start: end.minus(span), end })
            }
            Ask::Of(_) | Ask::Panes => None,
        }
    }

    /// Whether a metric that has no panes can answer.
    fn is_of_the_total(&self) -> Result<(), Unanswerable> {
        match self {
            Ask::Of(Question::Total) | Ask::Panes => Ok(()),
            Ask::Of(_) | Ask::Last(_) | Ask::Between(_) => Err(Unanswerable::NoPanes),
        }
    }
}

impl Unanswerable {
    fn of(levels: &[Level], window: Span, every: Span) -> Unanswerable {
        Unanswerable::NotMadeOf { window, every, sizes: levels.iter().map(|level| level.size).collect() }
    }
}

//! Sliding windows at a cost that does not depend on their length: a few merges for each step, not one for each pane.
//!
//! Time is cut into blocks as long as a window. A window lies across one end of a block at most, so it is a suffix of that
//! block and a prefix of what follows: suffixes are merged once, from the end of the block to its beginning, the prefix
//! grows with the windows (van Herk, Pattern Recognition Letters 13, 1992; the two stacks of Tangwongsan, Hirzel and Schneider, DEBS
//! 2017, are the same for windows that need not be equally long). Each pane is merged twice in all, and each window is a
//! merge of two.
//!
//! Merging in another order gives the same answers only where state does not depend on order: [`is_order_free`] says where.

use crate::cell::Cells;
use crate::series::{Held, merge, together};
use crate::spec::Measure;
use crate::time::{Span, Time};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Shorter windows than this many steps are merged from their panes.
const STEPS_MIN: i64 = 4;
/// Bytes of the suffixes that are kept; beyond it every second one goes, and what lies before the next one is merged from
/// panes.
pub(crate) const SUFFIX_BYTES_MAX: usize = 32 << 20;

/// The panes of one level, by start; open ones are in several parts.
pub(crate) type Panes<'p> = BTreeMap<Time, Vec<Held<'p>>>;

/// Windows of one length, asked for in the order of their starts.
pub(crate) struct Slide<'p> {
    panes: &'p Panes<'p>,
    window: Span,
    every: Span,
    /// Whether windows are merged from suffixes and prefixes at all.
    slides: bool,
    suffix_bytes_max: usize,
    /// What lies between a start and the end of the block, latest start first.
    suffixes: Vec<(Time, Cells)>,
    block_end: Option<Time>,
    /// What lies between the end of the block and `prefix_end`.
    prefix: Cells,
    prefix_end: Time,
    /// What no suffix and no prefix holds of the window asked for last.
    rest: Vec<Cow<'p, Cells>>,
}

/// Whether merging cells of this measure in another order gives the same cell.
fn is_order_free(measure: &Measure) -> bool {
    match measure {
        Measure::Top { .. } | Measure::Freq { .. } => false,
        Measure::Count
        | Measure::Sum(_)
        | Measure::Min(_)
        | Measure::Max(_)
        | Measure::Avg(_)
        | Measure::Stddev(_)
        | Measure::Unique { .. }
        | Measure::Audience { .. }
        | Measure::Quantiles { .. }
        | Measure::Histogram { .. }
        | Measure::Sample { .. }
        | Measure::Seen { .. }
        | Measure::Session { .. } => true,
    }
}

impl<'p> Slide<'p> {
    /// Windows over these panes, whose cells are of this measure.
    pub(crate) fn new(panes: &'p Panes<'p>, measure: &Measure, window: Span, every: Span) -> Slide<'p> {
        Slide {
            panes,
            window,
            every,
            slides: is_order_free(measure) && window.0 / every.0 >= STEPS_MIN,
            suffix_bytes_max: SUFFIX_BYTES_MAX,
            suffixes: Vec::new(),
            block_end: None,
            prefix: Cells::default(),
            prefix_end: Time(i64::MIN),
            rest: Vec::new(),
        }
    }

    /// Cells that make up the window that starts here, no earlier than the one before.
    pub(crate) fn cells(&mut self, start: Time) -> Vec<&Cells> {
        let end = start.plus(self.window);
        if !self.slides {
            self.rest = together(within(self.panes, start, end));
            return self.rest.iter().map(|cells| &**cells).collect();
        }
        if self.block_end.is_none_or(|block_end| start >= block_end) {
            self.begin_block(start, end);
        }
        while self.suffixes.last().is_some_and(|(suffix, _)| *suffix < start) {
            self.suffixes.pop();
        }
        if end > self.prefix_end {
            for held in within(self.panes, self.prefix_end, end) {
                merge(&mut self.prefix, &held.cells());
            }
            self.prefix_end = end;
        }
        let suffix = self.suffixes.last();
        let to = suffix.map_or(self.block_end, |(suffix, _)| Some(*suffix)).unwrap_or(end);
        self.rest = together(within(self.panes, start, to));
        let rest = self.rest.iter().map(|cells| &**cells);
        rest.chain(suffix.map(|(_, cells)| cells)).chain([&self.prefix]).collect()
    }

    /// Merges the suffixes of the block that begins here. Only one of so many steps is kept as fit into memory.
    fn begin_block(&mut self, start: Time, end: Time) {
        self.suffixes.clear();
        (self.prefix, self.prefix_end, self.block_end) = (Cells::default(), end, Some(end));
        let step = |pane: Time| (pane.0.abs_diff(start.0) / self.every.0 as u64) as i64;
        let mut panes = self.panes.range(start..end).rev().peekable();
        let (mut suffix, mut bytes, mut apart) = (Cells::default(), 0, 1);
        while let Some((pane, parts)) = panes.next() {
            parts.iter().for_each(|held| merge(&mut suffix, &held.cells()));
            let at = step(*pane);
            let whole = panes.peek().is_none_or(|(before, _)| step(**before) < at);
            if !whole || at % apart != 0 {
                continue;
            }
            bytes += suffix.memory_bytes();
            self.suffixes.push((start.plus(Span(at * self.every.0)), suffix.clone()));
            while bytes > self.suffix_bytes_max && self.suffixes.len() > 1 {
                apart *= 2;
                self.suffixes.retain(|(suffix, _)| step(*suffix) % apart == 0);
                bytes = self.suffixes.iter().map(|(_, cells)| cells.memory_bytes()).sum();
            }
        }
    }
}

/// The cells of the panes that start within these times.
fn within<'p>(
    panes: &'p Panes<'p>,
    start: Time,
    end: Time,
) -> impl Iterator<Item = Held<'p>> + Clone + use<'p> {
    panes.range(start..end.max(start)).flat_map(|(_, held)| held.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Cell;

    /// Panes of one group that count, by start.
    fn counted(panes: &[(i64, u64)]) -> Vec<(Time, Cells)> {
        let pane = |&(start, n): &(i64, u64)| {
            let mut cells = Cells::default();
            *cells.get_mut(3) = Cell::Count(n);
            (Time(start), cells)
        };
        panes.iter().map(pane).collect()
    }

    fn sum(cells: &[&Cells]) -> u64 {
        let count = |cells: &&Cells| if let Cell::Count(n) = cells.get(3) { *n } else { 0 };
        cells.iter().map(count).sum()
    }

    /// Every window against the sum of its panes; the most cells that one was made of.
    fn check(panes: &[(i64, u64)], window: i64, every: i64, suffix_bytes_max: usize) -> usize {
        let owned = counted(panes);
        let panes_of: Panes<'_> =
            owned.iter().map(|(start, cells)| (*start, vec![Held::Here(cells)])).collect();
        let mut slide = Slide::new(&panes_of, &Measure::Count, Span(window), Span(every));
        slide.suffix_bytes_max = suffix_bytes_max;
        let (first, last) = (panes[0].0 - window, panes[panes.len() - 1].0);
        let (mut most, mut start) = (0, first.div_euclid(every) * every);
        while start <= last {
            let wanted: u64 =
                panes.iter().filter(|(at, _)| (start..start + window).contains(at)).map(|(_, n)| n).sum();
            let cells = slide.cells(Time(start));
            assert_eq!(sum(&cells), wanted, "window {window} every {every} at {start}");
            most = most.max(cells.len());
            // Not every window is asked for.
            start += every * if wanted % 7 == 3 { 3 } else { 1 };
        }
        most
    }

    #[test]
    fn windows_are_the_sums_of_their_panes_and_made_of_two_parts() {
        let panes: Vec<(i64, u64)> =
            (0..500u64).filter(|i| i * i % 11 != 3).map(|i| (i as i64, i * 31 % 97)).collect();
        for (window, every) in [(60, 1), (60, 5), (8, 2), (4, 1), (499, 1), (1_000, 10)] {
            assert_eq!(check(&panes, window, every, usize::MAX), 2, "{window} every {every}");
        }
        let sparse = [(-1_000, 1), (0, 2), (3, 4), (90, 8), (91, 16), (5_000, 32)];
        assert_eq!(check(&sparse, 100, 5, usize::MAX), 2);
        // Few steps are merged from their panes.
        assert!(check(&panes, 30, 10, usize::MAX) > 20);
    }

    #[test]
    fn with_little_memory_every_second_suffix_goes_and_panes_stand_for_it() {
        let panes: Vec<(i64, u64)> = (0..600).map(|i| (i as i64, i * 31 % 97)).collect();
        let of_one = counted(&panes[..1])[0].1.memory_bytes();
        for suffixes in [1, 2, 9, 30] {
            let most = check(&panes, 128, 1, suffixes * of_one);
            assert!((3..=2 + 2 * 128 / suffixes).contains(&most), "{most} with {suffixes} suffixes");
        }
    }
}

//! What can be asked of metrics, and which levels of a ladder answer it.

use super::{Level, Source};
use crate::days::{DAY, Zone};
use crate::time::{Span, Time};
use std::fmt;

/// What is asked of a source's metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// The total over all events.
    Total,
    /// Windows of length `window`, one starting every `every`: equal means tumbling, shorter means sliding.
    Windows {
        /// Length of a window.
        window: Span,
        /// Distance between starts of windows.
        every: Span,
    },
    /// Windows of calendar days, counted from 1970-01-01 on.
    Days {
        /// Days of a window, a multiple of `every`.
        window: u32,
        /// Days between starts of windows.
        every: u32,
        /// The zone whose days they are.
        zone: Zone,
    },
}

/// What is asked of one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// What can be asked of all metrics.
    Of(Question),
    /// Every pane that is kept: of the finest level, and before those of the coarser ones.
    Panes,
    /// The window of this length that ends with the pane of the newest event.
    Last(Span),
    /// One window.
    Between(Window),
}

/// Why a metric does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswerable {
    /// It keeps no panes, so there are no windows.
    NoPanes,
    /// Its panes do not make up windows of this length and distance.
    NotMadeOf {
        /// What was asked.
        window: Span,
        /// Distance between starts.
        every: Span,
        /// Sizes of its panes, finest first.
        sizes: Vec<Span>,
    },
}

impl fmt::Display for Unanswerable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unanswerable::NoPanes => {
                write!(f, "it keeps the total over all time alone, so it has no windows")
            }
            Unanswerable::NotMadeOf { window, every, sizes } => {
                let sizes: Vec<String> = sizes.iter().map(Span::to_string).collect();
                write!(
                    f,
                    "windows of {window} every {every} are not made of its panes of {}: ask for multiples of them",
                    sizes.join(", ")
                )
            }
        }
    }
}

impl std::error::Error for Unanswerable {}

impl Question {
    /// The source with only what this question can ask of it: for totals the total alone, for windows the level whose
    /// panes tile them, and the coarser ones that are kept longer. Metrics without panes, and rings without a total, stay
    /// as they are.
    ///
    /// # Errors
    /// The name of the first metric that has panes, none of which tile the windows.
    pub fn restrict(&self, source: &Source) -> Result<Source, String> {
        let mut source = source.clone();
        let mut grain = None;
        for metric in source.metrics.iter_mut().filter(|m| !m.levels.is_empty()) {
            match *self {
                Question::Total if metric.total => metric.levels.clear(),
                Question::Total => {}
                Question::Windows { window, every } => {
                    let level =
                        Level::tiling(&metric.levels, window, every).ok_or_else(|| metric.name.clone())?;
                    metric.levels = level.and_longer(&metric.levels).collect();
                    metric.total = false;
                }
                Question::Days { window, zone, .. } => {
                    let grain = *grain.get_or_insert_with(|| zone.grain());
                    let level =
                        Level::of_days(&metric.levels, window, grain).ok_or_else(|| metric.name.clone())?;
                    metric.levels = vec![level];
                    metric.total = false;
                }
            }
        }
        Ok(source)
    }
}

impl Level {
    /// The coarsest of these levels whose panes tile windows of length `window` that start every `every`; one that is
    /// kept for a whole window goes before one that is not.
    pub fn tiling(levels: &[Level], window: Span, every: Span) -> Option<Level> {
        let tiles = |l: &&Level| window.0 % l.size.0 == 0 && every.0 % l.size.0 == 0;
        let whole = levels.iter().rev().find(|l| tiles(l) && l.keep >= window);
        whole.or_else(|| levels.iter().rev().find(tiles)).copied()
    }

    /// The coarsest of these levels whose panes make up days that begin at multiples of `grain`; one that is kept for a
    /// whole window goes before one that is not.
    pub fn of_days(levels: &[Level], window: u32, grain: Span) -> Option<Level> {
        let tiles = |l: &&Level| grain.0 % l.size.0 == 0;
        let whole = levels.iter().rev().find(|l| tiles(l) && l.keep.0 / DAY >= i64::from(window));
        whole.or_else(|| levels.iter().rev().find(tiles)).copied()
    }

    /// This level, and of its ladder the coarser ones that are each kept longer than the one before: what they answer, the
    /// finer one has forgotten.
    pub fn and_longer(self, ladder: &[Level]) -> impl Iterator<Item = Level> + '_ {
        let mut last = self;
        let longer = ladder.iter().copied().filter(move |level| {
            let longer = level.size > last.size && level.keep > last.keep;
            if longer {
                last = *level;
            }
            longer
        });
        std::iter::once(self).chain(longer)
    }

    /// The start of the first pane that is still kept at this watermark.
    pub fn first_kept(&self, watermark: Time) -> Time {
        watermark.minus(self.size).minus(self.keep).floor_to(self.size).plus(self.size)
    }

    /// Whether the pane of this level that holds `t` is still kept at this watermark.
    pub fn retains(&self, t: Time, watermark: Time) -> bool {
        t.floor_to(self.size).plus(self.size).plus(self.keep) > watermark
    }
}

/// The half-open slice of event time that an answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// First instant inside.
    pub start: Time,
    /// First instant outside.
    pub end: Time,
}

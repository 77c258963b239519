//! Which windows the panes of a level answer.

use crate::spec::Level;
use crate::time::{Span, Time};

/// The windows that the panes of one level answer.
pub(super) struct Part {
    pub size: Span,
    pub window: Span,
    pub every: Span,
    /// Starts of windows begin here; `None` is with time itself.
    pub from: Option<Time>,
    /// They end here: from there on a finer level answers.
    pub before: Option<Time>,
    /// Length of its panes, when they are not those of the windows asked for.
    pub resolution: Option<Span>,
}

impl Part {
    /// The windows asked for, or of a level that is coarser than they are, the next longer ones that its panes tile.
    pub fn of(level: Level, window: Span, every: Span, finer: Option<Time>) -> Part {
        let up = |span: Span, to: Span| Span((span.0 as u64).div_ceil(to.0 as u64) as i64 * to.0);
        let every = up(every, level.size);
        let window = up(window, every);
        let resolution = finer.map(|_| level.size);
        Part { size: level.size, window, every, from: None, before: None, resolution }
    }

    /// The first start of a window that is not before this.
    pub fn aligned(&self, time: Time) -> Time {
        let start = time.floor_to(self.every);
        if start < time { start.plus(self.every) } else { start }
    }
}

/// Starts, aligned to `every`, of the windows that hold at least one of these panes.
pub(super) fn window_starts(panes: impl Iterator<Item = Time>, window: Span, every: Span) -> Vec<Time> {
    let mut out: Vec<Time> = Vec::new();
    for pane in panes {
        let mut start = pane.floor_to(every);
        // Windows [start, start + window) that hold the pane: start in (pane - window, pane].
        let mut held = Vec::new();
        while start.plus(window) > pane {
            held.push(start);
            let earlier = start.minus(every);
            if earlier == start {
                break; // The first instant there is: no window begins before it.
            }
            start = earlier;
        }
        for start in held.into_iter().rev() {
            if out.last().is_none_or(|last| *last < start) {
                out.push(start);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_hold_a_pane_start_before_it_and_end_with_time() {
        let starts =
            |pane: i64, window, every| window_starts([Time(pane)].into_iter(), Span(window), Span(every));
        assert_eq!(starts(60, 60, 60), [Time(60)]);
        assert_eq!(starts(60, 60, 20), [Time(20), Time(40), Time(60)]);
        assert_eq!(starts(i64::MIN, 60, 20), [Time(i64::MIN)]);
        assert_eq!(starts(i64::MAX - 7, 60, 60), [Time(i64::MAX - i64::MAX % 60)]);
    }
}

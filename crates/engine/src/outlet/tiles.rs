//! Which panes make up one window: coarse ones inside, finer ones at its ends.

use crate::spec::{Level, Window};
use crate::time::{Span, Time};

/// A stretch of a window that panes of one level make up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tile {
    /// Length of the panes.
    pub size: Span,
    /// The stretch, a whole number of panes.
    pub window: Window,
}

/// The panes of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tiles {
    /// The window that they make up: the one asked for, made longer to begin and end with panes that are kept.
    pub window: Window,
    /// Without gaps, by start.
    pub tiles: Vec<Tile>,
    /// The coarsest panes at its ends, where those of the finest level are no longer kept.
    pub resolution: Option<Span>,
}

impl Tiles {
    /// Lays a window out. `first_kept` is, by level, the start of the oldest pane there is; `None` where there are all.
    /// What lies before all of them is left out. `None` when that is all of it, or the window is empty.
    pub fn of(levels: &[Level], first_kept: &[Option<Time>], asked: Window) -> Option<Tiles> {
        let kept: Vec<(Span, Time)> = levels
            .iter()
            .zip(first_kept)
            .map(|(level, from)| (level.size, from.map_or(Time(i64::MIN), |from| up(from, level.size))))
            .collect();
        let oldest = kept.iter().map(|(_, from)| *from).min()?;
        if asked.start >= asked.end || asked.end <= oldest {
            return None;
        }
        let start = asked.start.max(oldest);
        let end_level = kept.iter().find(|(size, from)| asked.end > *from && up(asked.end, *size) > *from)?;
        let start_level = kept.iter().find(|(size, from)| start.floor_to(*size) >= *from)?;
        let window = Window { start: start.floor_to(start_level.0), end: up(asked.end, end_level.0) };
        let mut tiles = Vec::new();
        cover(&kept, window, &mut tiles);
        let coarsest = start_level.0.max(end_level.0);
        let resolution = (coarsest > kept[0].0).then_some(coarsest);
        Some(Tiles { window, tiles, resolution })
    }

    /// Whether a pane is one of those: of the size of its stretch, or, where its own has not got it yet, a finer one.
    pub fn holds(&self, size: Span, start: Time, merged_up: bool) -> bool {
        let of = |tile: &&Tile| start >= tile.window.start && start < tile.window.end;
        let tile = self.tiles.iter().find(of);
        tile.is_some_and(|tile| size == tile.size || size < tile.size && !merged_up)
    }
}

/// The coarsest panes that fit go into the middle; what is left on either side is for the finer ones.
fn cover(kept: &[(Span, Time)], window: Window, out: &mut Vec<Tile>) {
    let Some(((size, from), finer)) = kept.split_last() else { return };
    if window.start >= window.end {
        return;
    }
    let start = up(window.start.max(*from), *size);
    let end = window.end.floor_to(*size);
    if start >= end {
        return cover(finer, window, out);
    }
    cover(finer, Window { end: start, ..window }, out);
    out.push(Tile { size: *size, window: Window { start, end } });
    cover(finer, Window { start: end, ..window }, out);
}

/// The first multiple that is not before this.
fn up(time: Time, size: Span) -> Time {
    let start = time.floor_to(size);
    if start < time { start.plus(size) } else { start }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60;
    const HOUR: i64 = 3_600;
    const DAY: i64 = 86_400;

    /// Seconds stand for microseconds: the unit does not matter here.
    fn lay(first_kept: [Option<i64>; 3], start: i64, end: i64) -> Option<Tiles> {
        let levels = [MINUTE, HOUR, DAY].map(|size| Level { size: Span(size), keep: Span(i64::MAX) });
        let first_kept = first_kept.map(|from| from.map(Time));
        Tiles::of(&levels, &first_kept, Window { start: Time(start), end: Time(end) })
    }

    fn told(tiles: &Tiles) -> Vec<(i64, i64, i64)> {
        tiles.tiles.iter().map(|tile| (tile.size.0, tile.window.start.0, tile.window.end.0)).collect()
    }

    #[test]
    fn coarse_panes_are_inside_and_fine_ones_at_the_ends() {
        let tiles = lay([None; 3], DAY - 90 * MINUTE, 2 * DAY + HOUR + 2 * MINUTE).unwrap();
        assert_eq!(
            told(&tiles),
            [
                (MINUTE, DAY - 90 * MINUTE, DAY - HOUR),
                (HOUR, DAY - HOUR, DAY),
                (DAY, DAY, 2 * DAY),
                (HOUR, 2 * DAY, 2 * DAY + HOUR),
                (MINUTE, 2 * DAY + HOUR, 2 * DAY + HOUR + 2 * MINUTE),
            ]
        );
        assert_eq!(tiles.resolution, None);
    }

    #[test]
    fn a_window_begins_and_ends_with_panes() {
        let tiles = lay([None; 3], 61, 119).unwrap();
        assert_eq!(told(&tiles), [(MINUTE, 60, 120)]);
        assert_eq!(tiles.window, Window { start: Time(60), end: Time(120) });
    }

    #[test]
    fn what_is_no_longer_kept_finely_is_answered_coarsely_and_says_so() {
        // Minutes are kept from the third hour on, hours from the second one.
        let kept = [Some(2 * HOUR), Some(HOUR), None];
        let tiles = lay(kept, HOUR + 30 * MINUTE, 2 * HOUR + 5 * MINUTE).unwrap();
        assert_eq!(told(&tiles), [(HOUR, HOUR, 2 * HOUR), (MINUTE, 2 * HOUR, 2 * HOUR + 5 * MINUTE)]);
        assert_eq!(tiles.resolution, Some(Span(HOUR)));
        // Within the first hour only days are left: the window is the whole day.
        let tiles = lay(kept, 30 * MINUTE, 40 * MINUTE).unwrap();
        assert_eq!((told(&tiles), tiles.resolution), (vec![(DAY, 0, DAY)], Some(Span(DAY))));
    }

    #[test]
    fn what_lies_before_everything_is_left_out() {
        let kept = [Some(2 * DAY), Some(2 * DAY), Some(DAY)];
        let tiles = lay(kept, 0, 2 * DAY + MINUTE).unwrap();
        assert_eq!(told(&tiles), [(DAY, DAY, 2 * DAY), (MINUTE, 2 * DAY, 2 * DAY + MINUTE)]);
        assert_eq!(lay(kept, 0, DAY), None);
        assert_eq!(lay([None; 3], 60, 60), None);
    }

    #[test]
    fn every_instant_of_a_window_is_in_one_tile() {
        for (start, end) in [(0, 1), (59, 3 * DAY + 61), (DAY - 1, DAY + 1), (-DAY - 7, DAY + 7)] {
            let tiles = lay([Some(-HOUR), Some(-DAY), None], start, end).unwrap();
            let mut at = tiles.window.start;
            for tile in &tiles.tiles {
                assert_eq!(tile.window.start, at, "{start}..{end}");
                at = tile.window.end;
            }
            assert_eq!(at, tiles.window.end);
            assert!(tiles.window.start <= Time(start) && tiles.window.end >= Time(end));
        }
    }
}

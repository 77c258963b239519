//! The ladder of panes, by the time that the sample spans and how finely it is written.

use super::order::DAY;
use engine::time::{SECOND, Span, Time};

/// A ladder and the span that it was chosen by.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ladder {
    /// `size:keep`, finest first.
    pub levels: Vec<String>,
    /// Between the first and the last time, leaving one in a hundred out at either end.
    pub span: Span,
    /// The finest size, for a proposal to look at windows.
    pub finest: &'static str,
}

impl Ladder {
    /// Chooses a ladder for times in any order; there is at least one.
    pub fn of(times: &[Time]) -> Ladder {
        let mut sorted: Vec<i64> = times.iter().map(|time| time.0).collect();
        sorted.sort_unstable();
        let outside = sorted.len() / 100;
        let inner = sorted.get(outside..sorted.len() - outside).unwrap_or_default();
        let span = inner.last().zip(inner.first()).map_or(0, |(last, first)| last - first);
        let all = |unit: i64| times.iter().all(|time| time.0 % unit == 0);
        let sizes: &[(&str, i64)] = match () {
            () if all(DAY) => &[("1d", 400)],
            () if all(DAY / 24) || span > 7 * DAY => &[("1h", 35), ("1d", 400)],
            () if all(60 * SECOND) || span > 600 * SECOND => &[("1m", 2), ("1h", 35)],
            () => &[("1s", 1), ("1m", 2), ("1h", 35)],
        };
        // What is kept reaches over the sample and as much again, so that nothing of it is too late for its pane.
        let reach = 2 * (span / DAY) + 1;
        let last = sizes.len() - 1;
        let keep = |i: usize, days: i64| if i == last { days.max(reach) } else { days };
        let levels = sizes.iter().enumerate().map(|(i, (size, days))| format!("{size}:{}d", keep(i, *days)));
        Ladder { levels: levels.collect(), span: Span(span), finest: sizes[0].0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panes_fit_the_span_and_the_grain() {
        for (seconds, want) in [
            (&[0, 1, 2][..], "1s:1d 1m:2d 1h:35d"),
            (&[0, 7_201], "1m:2d 1h:35d"),
            (&[0, 60], "1m:2d 1h:35d"),
            (&[0, 3_600, 7_200], "1h:35d 1d:400d"),
            (&[0, 86_400 * 300 + 1, 86_400 * 300 + 2], "1h:35d 1d:601d"),
            (&[0, 86_400], "1d:400d"),
        ] {
            let times: Vec<Time> = seconds.iter().map(|s: &i64| Time(s * SECOND)).collect();
            assert_eq!(Ladder::of(&times).levels.join(" "), want, "{seconds:?}");
        }
    }
}

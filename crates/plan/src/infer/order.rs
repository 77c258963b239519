//! How far the sample is from the order of time, and what `lateness` and `ahead` that asks for.
//!
//! The clock of the engine itself is run over the times of the sample, so that what it would call late is what is counted.

use super::time::Stamp;
use engine::batch::Batch;
use engine::intake::Intake;
use engine::spec::{Format, Later, Source, TimeFrom, TimeSpec};
use engine::time::{SECOND, Span, Time};

/// What to write about order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Order {
    pub lateness: Option<Span>,
    pub ahead: Option<Span>,
    /// Why, in a few words.
    pub because: String,
}

const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;
/// Values of `lateness` that people write, in microseconds.
const FRIENDLY: [i64; 22] = [
    0,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    30 * DAY,
    90 * DAY,
    365 * DAY,
    3650 * DAY,
];
/// Disorder up to this is waited for without a second thought.
const SMALL: i64 = 10 * MINUTE;
/// How far the clock may be pushed, where something pushed it too far.
const AHEAD: [i64; 2] = [HOUR, DAY];
/// Longest lateness that is proposed: each open pane costs memory.
const LATENESS_MAX: i64 = 2 * DAY;
/// One event in so many may be late: it is corrected afterwards, and waiting for it would cost all others.
const LATE_RARELY: usize = 1_000;

impl Order {
    /// Judges times in the order of the file.
    pub fn of(times: &[Time]) -> Order {
        let step = step_back(times);
        let (back, rarely) = (Span(step), times.len() / LATE_RARELY);
        let order = |lateness: i64, ahead: Option<i64>, because: String| Order {
            lateness: (lateness > 0).then_some(Span(lateness)),
            ahead: ahead.map(Span),
            because,
        };
        if step == 0 {
            return order(0, None, "the sample is in the order of time".into());
        }
        if step <= SMALL {
            return order(roomy(step), None, format!("largest step back in the sample: {}", shown(back)));
        }
        let plain = needed(times, None, rarely);
        let (least, ahead) = AHEAD.map(|ahead| (needed(times, Some(ahead), rarely), ahead))[..]
            .iter()
            .copied()
            .min()
            .unwrap_or((plain, HOUR));
        let (far, _) = judge(times, Some(ahead), least);
        // What runs ahead is the exception; where it is not, the file has no order.
        if plain > 0 && least * 10 <= plain && far > 0 && far * 5 < times.len() as u64 {
            let events = if far == 1 { "event" } else { "events" };
            let because = format!(
                "{far} {events} ahead of the rest: without a limit to `ahead` the others would be late"
            );
            return order(least, Some(ahead), because);
        }
        if plain * 10 <= step {
            let (_, late) = judge(times, None, plain);
            let because =
                format!("{late} events step back further, by up to {}: they are corrected", shown(back));
            return order(plain, None, because);
        }
        if step <= LATENESS_MAX {
            return order(roomy(step), None, format!("largest step back in the sample: {}", shown(back)));
        }
        let because = format!(
            "the sample is not in the order of time (steps back by up to {}): late events are corrected",
            shown(back)
        );
        order(0, None, because)
    }
}

/// The largest distance to a time that came before and is later.
fn step_back(times: &[Time]) -> i64 {
    let (mut largest, mut step) = (i64::MIN, 0);
    for time in times {
        largest = largest.max(time.0);
        step = step.max(largest - time.0);
    }
    step
}

/// A friendly lateness with a quarter as much again as room.
fn roomy(step: i64) -> i64 {
    friendly(step + step / 4)
}

fn friendly(least: i64) -> i64 {
    FRIENDLY.into_iter().find(|lateness| *lateness >= least).unwrap_or(least)
}

/// The smallest friendly lateness by which no more than `allowed` events are late.
fn needed(times: &[Time], ahead: Option<i64>, allowed: usize) -> i64 {
    let found = FRIENDLY.partition_point(|lateness| judge(times, ahead, *lateness).1 > allowed as u64);
    FRIENDLY.get(found).copied().unwrap_or(i64::MAX / 100)
}

/// How many events are ahead, and how many late.
fn judge(times: &[Time], ahead: Option<i64>, lateness: i64) -> (u64, u64) {
    let mut source = Source::new("sample", Format::Ndjson);
    source.time = Some(TimeSpec {
        from: TimeFrom::Field { path: String::new(), format: Stamp::Rfc3339.format() },
        lateness: Span(lateness),
        later: Later::Correct,
        ahead: ahead.map(Span),
        agree: 32,
    });
    let mut intake = Intake::new(&source);
    intake.push(Batch { rows: times.len(), times: times.to_vec(), ..Batch::empty(0, 0) });
    intake.finish_all();
    (intake.tally().ahead, intake.tally().late)
}

/// A span in one unit, rounded.
pub(super) fn shown(span: Span) -> String {
    const UNITS: [(i64, &str); 5] = [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s"), (1_000, "ms")];
    if span.0 == 0 {
        return "0s".into();
    }
    let (unit, name) = UNITS.into_iter().find(|(unit, _)| span.0 >= 2 * unit).unwrap_or((1, "us"));
    format!("{}{name}", (span.0 + unit / 2) / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(seconds: &[i64]) -> Vec<Time> {
        seconds.iter().map(|s| Time(s * SECOND)).collect()
    }

    fn check(seconds: &[i64], lateness: i64, ahead: Option<i64>) {
        let order = Order::of(&times(seconds));
        let got = (order.lateness.map_or(0, |s| s.0 / SECOND), order.ahead.map(|s| s.0 / SECOND));
        assert_eq!(got, (lateness, ahead), "{}", order.because);
    }

    #[test]
    fn lateness_has_room_and_a_friendly_number() {
        check(&[], 0, None);
        check(&[1, 2, 2, 3], 0, None);
        check(&[1, 60, 1, 62], 120, None);
        check(&[0, 3600 * 10, 0], 86_400, None);
    }

    #[test]
    fn what_runs_ahead_is_held_and_stragglers_are_corrected() {
        let mut order: Vec<i64> = (0..5_000).collect();
        order.splice(0..0, (0..40).map(|i| 86_400 * (50 + i)));
        check(&order, 0, Some(3600));
        let mut order: Vec<i64> = (0..5_000).map(|i| 1_000_000 + i).collect();
        order[3_000] = 5;
        check(&order, 0, None);
        // A file of two months, the later one first.
        let order: Vec<i64> = (0..5_000).map(|i| (i + 2_500) % 5_000 * 1_000).collect();
        check(&order, 0, None);
    }
}

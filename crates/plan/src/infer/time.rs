//! Event time: which column holds it and how it is written.

use super::table::Column;
use super::{typed, words};
use engine::decode::single;
use engine::spec::TimeFormat;
use engine::time::{SECOND, Time};
use std::borrow::Cow;

/// Patterns that are tried after RFC 3339, the more exact first. Where two fit, the one with the smaller span of time wins,
/// then the one that stands first.
const PATTERNS: [&str; 46] = [
    "%d/%b/%Y:%H:%M:%S %z",
    "%d/%b/%Y:%H:%M:%S",
    "%Y-%m-%dT%H:%M:%S%.f%z",
    "%Y-%m-%d %H:%M:%S%.f %z",
    "%Y-%m-%d %H:%M:%S%.f%z",
    "%Y-%m-%d %H:%M:%S%.f UTC",
    "%Y-%m-%d %H:%M:%S%.f Z",
    "%Y-%m-%d %H:%M:%S,%f",
    "%Y-%m-%dT%H:%MZ",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %I:%M:%S %p",
    "%Y-%m-%d-%H:%M:%S%.f",
    "%Y-%m-%d_%H:%M:%S%.f",
    "%Y/%m/%d %H:%M:%S%.f",
    "%Y/%m/%d %H:%M",
    "%Y.%m.%d %H:%M:%S%.f",
    "%m/%d/%Y %H:%M:%S%.f",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %I:%M %p",
    "%d/%m/%Y %H:%M:%S%.f",
    "%d/%m/%Y %H:%M",
    "%m/%d/%y %H:%M:%S",
    "%m/%d/%y %H:%M",
    "%d.%m.%Y %H:%M:%S%.f",
    "%d.%m.%Y %H:%M",
    "%d-%m-%Y %H:%M:%S%.f",
    "%d-%m-%Y %H:%M",
    "%d-%b-%Y %H:%M:%S%.f",
    "%a, %d %b %Y %H:%M:%S %z",
    "%a, %d %b %Y %H:%M:%S GMT",
    "%a %b %d %H:%M:%S %z %Y",
    "%a %b %d %H:%M:%S %Y",
    "%d %b %Y %H:%M:%S%.f",
    "%b %d, %Y %H:%M:%S",
    "%b %d, %Y %I:%M:%S %p",
    "%Y%m%dT%H%M%SZ",
    "%Y%m%dT%H%M%S",
    "%Y%m%d%H%M%S",
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d.%m.%Y",
    "%Y%m%d",
];
/// Values that rule a format out before all are read.
const TRIED_FIRST: usize = 50;
/// Characters of the longest text that is a time.
const TIME_CHARS_MAX: usize = 48;
/// Times that are believed: 1900 to 2200, in seconds since 1970.
const BELIEVED_SECONDS: std::ops::Range<i64> = -2_208_988_800..7_258_118_400;
/// Smallest and largest number of seconds that is taken for a time: 1973 to 2128.
const UNIX_SECONDS: (f64, f64) = (1e8, 5e9);
/// The units: how many make a second.
const UNITS: [(Unit, f64); 4] = [(Unit::S, 1.0), (Unit::Ms, 1e3), (Unit::Us, 1e6), (Unit::Ns, 1e9)];

/// How a time is written, of the ways that are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamp {
    Rfc3339,
    /// A number since 1970.
    Unix(Unit),
    /// One of [`PATTERNS`].
    Pattern(&'static str),
}

/// Units of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    S,
    Ms,
    Us,
    Ns,
}

impl Stamp {
    /// As the engine has it.
    pub fn format(self) -> TimeFormat {
        match self {
            Stamp::Rfc3339 => TimeFormat::Rfc3339,
            Stamp::Unix(Unit::S) => TimeFormat::Unix(SECOND, 1),
            Stamp::Unix(Unit::Ms) => TimeFormat::Unix(1_000, 1),
            Stamp::Unix(Unit::Us) => TimeFormat::Unix(1, 1),
            Stamp::Unix(Unit::Ns) => TimeFormat::Unix(1, 1_000),
            Stamp::Pattern(pattern) => TimeFormat::Pattern { pattern: pattern.into(), zone: None },
        }
    }

    fn read(self, text: &str) -> Option<Time> {
        let time = single::time(&self.format(), text)?;
        BELIEVED_SECONDS.contains(&(time.0 / SECOND)).then_some(time)
    }
}

impl Unit {
    /// The word of pipeline files, and the one of people.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Unit::S => ("s", "seconds"),
            Unit::Ms => ("ms", "milliseconds"),
            Unit::Us => ("us", "microseconds"),
            Unit::Ns => ("ns", "nanoseconds"),
        }
    }
}

/// A column whose values are times.
#[derive(Debug, Clone)]
pub(super) struct Times {
    /// Its number in the table.
    pub column: usize,
    pub stamp: Stamp,
    /// Event and time.
    pub times: Vec<(u32, Time)>,
    /// Another pattern that reads all values, as something else: day and month may be the other way round.
    pub doubt: Option<&'static str>,
    score: f64,
}

impl Times {
    /// Whether these are days rather than times.
    fn whole_days(&self) -> bool {
        self.times.iter().all(|(_, time)| time.0 % (86_400 * SECOND) == 0)
    }
}

/// All columns that are times, the one most likely to be that of the event first.
pub(super) fn find(columns: &[Column<'_>], events: usize) -> Vec<Times> {
    let named =
        columns.iter().enumerate().filter(|(_, column)| column.unnamed.is_none() && column.containers == 0);
    let mut found: Vec<Times> = named.filter_map(|(i, column)| read(i, column, events)).collect();
    // Stable: of equal ones the first in the file.
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found
}

/// Whether a text is a time, RFC 3339 or by one of the patterns; mere digits are none.
pub(super) fn is_time(text: &str) -> bool {
    let patterns = || PATTERNS.into_iter().filter(|pattern| pattern.contains([' ', '-', '/', '.']));
    let short = text.len() <= TIME_CHARS_MAX && text.bytes().any(|b| b.is_ascii_digit());
    let read = |stamp: Stamp| stamp.read(text).is_some();
    short && (read(Stamp::Rfc3339) || patterns().any(|pattern| read(Stamp::Pattern(pattern))))
}

/// The times of a column, if nineteen in twenty of its values are: those that are not are bad records.
fn read(number: usize, column: &Column<'_>, events: usize) -> Option<Times> {
    let first = &column.cells.first()?.1;
    if first.len() > TIME_CHARS_MAX || !first.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    let all = |stamp: Stamp| {
        let read = |(event, text): &(u32, Cow<'_, str>)| Some((*event, stamp.read(text)?));
        let most = |read: usize, of: usize| read > 0 && read * 20 >= of * 19;
        // A few are enough to rule nearly every format out.
        let head = &column.cells[..column.cells.len().min(TRIED_FIRST)];
        if !most(head.iter().filter_map(read).count(), head.len()) {
            return None;
        }
        let times: Vec<(u32, Time)> = column.cells.iter().filter_map(read).collect();
        let found = most(times.len(), column.cells.len());
        found.then_some(Times { column: number, stamp, times, doubt: None, score: 0.0 })
    };
    let mut found =
        unix(column).and_then(&all).or_else(|| all(Stamp::Rfc3339)).or_else(|| by_pattern(&all))?;
    let digits = first.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let clue = words::time_clue(&column.path);
    if digits
        && clue < 1.0
        && !(clue == 0.0 && words::is_nameless(&column.path) && runs_like_time(&found.times))
    {
        return None;
    }
    let pairs = found.times.windows(2).count().max(1) as f64;
    let forward = found.times.windows(2).filter(|pair| pair[1].1 >= pair[0].1).count() as f64;
    let filled = found.times.len() as f64 / events.max(1) as f64;
    let depth = column.path.matches('.').count() as f64;
    let fine = f64::from(u8::from(!found.whole_days()));
    // An event without a time is bad: nothing outweighs a column that is there.
    found.score = 40.0 * filled + 3.0 * clue + 2.0 * forward / pairs + fine - depth;
    Some(found)
}

/// The pattern that fits all; of two the one whose times lie closer together.
fn by_pattern(all: &dyn Fn(Stamp) -> Option<Times>) -> Option<Times> {
    let mut best: Option<(i64, &str, Times)> = None;
    for pattern in PATTERNS {
        let Some(mut times) = all(Stamp::Pattern(pattern)) else { continue };
        let ends = times.times.iter().map(|(_, time)| time.0);
        let span = ends.clone().max().unwrap_or(0) - ends.min().unwrap_or(0);
        match &mut best {
            Some((_, _, found)) if times.times == found.times => {}
            Some((least, other, _)) if span < *least => {
                times.doubt = Some(other);
                best = Some((span, pattern, times));
            }
            Some((_, _, found)) => found.doubt = found.doubt.or(Some(pattern)),
            None => best = Some((span, pattern, times)),
        }
    }
    best.map(|(_, _, times)| times)
}

/// The unit in which all numbers of a column are times since 1970.
fn unix(column: &Column<'_>) -> Option<Stamp> {
    let (mut least, mut most) = (f64::INFINITY, 0f64);
    for (_, text) in column.cells.iter().filter(|(_, text)| !typed::is_null_word(text)) {
        let n = single::float64(text)?;
        (least, most) = (least.min(n), most.max(n));
    }
    let fits = |per_second: f64| least >= UNIX_SECONDS.0 * per_second && most <= UNIX_SECONDS.1 * per_second;
    UNITS.into_iter().find(|(_, per_second)| fits(*per_second)).map(|(unit, _)| Stamp::Unix(unit))
}

/// Whether numbers without a name run as time does: hardly ever back, and between 2001 and 2033.
fn runs_like_time(times: &[(u32, Time)]) -> bool {
    const ERA: std::ops::Range<i64> = 1_000_000_000..2_000_000_000;
    let steps = || times.windows(2).map(|pair| pair[1].1.0 - pair[0].1.0);
    let (count, back) = (steps().count(), steps().filter(|step| *step < 0).count());
    count >= 3 && back * 10 <= count && times.iter().all(|(_, time)| ERA.contains(&(time.0 / SECOND)))
}

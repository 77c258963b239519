//! Calendar days of a time zone: where they begin, as instants.
//!
//! A day begins at its midnight, or where the clocks skip that, when they go on; it ends where the next one begins. So days
//! follow one another without a gap, and those on which the clocks change have 23 or 25 hours. Days are numbered from 1970-01-01
//! on. The zones are those of the IANA database that is part of the program.

use crate::spec::Window;
use crate::time::{Span, Time, civil_from_days};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::fmt;

/// Longest name of a zone; that of the database has 32 bytes.
const NAME_MAX: usize = 47;

/// A time zone, by its IANA name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Zone {
    name: [u8; NAME_MAX],
    len: u8,
}

impl Zone {
    /// The zone of this name; `None` when the database has none.
    pub fn new(name: &str) -> Option<Zone> {
        let found = TimeZone::get(name).ok().filter(|zone| !zone.is_unknown())?;
        let name = found.iana_name().unwrap_or(name);
        let mut zone = Zone { name: [0; NAME_MAX], len: u8::try_from(name.len()).ok()? };
        zone.name.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(zone)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        std::str::from_utf8(&self.name[..usize::from(self.len)]).unwrap_or_default()
    }

    /// The days of this zone.
    pub(crate) fn days(self) -> Days {
        Days { zone: TimeZone::get(self.name()).unwrap_or(TimeZone::UTC) }
    }

    /// The longest span of which every beginning of a day is a multiple, from 1970 to 2100: panes of it, or of a part of it,
    /// make up days. O(days), milliseconds.
    pub fn grain(self) -> Span {
        let days = self.days();
        let starts = (0..DAYS_LOOKED_AT).filter_map(|day| days.start(day));
        starts.fold(Span(DAY), |grain, start| Span(gcd(grain.0, start.0.rem_euclid(DAY))))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name())
    }
}

/// Microseconds of a day on which no clock changes.
pub const DAY: i64 = 86_400 * crate::time::SECOND;
/// Days from 1970 to 2100.
const DAYS_LOOKED_AT: i64 = 47_482;

/// The days of a zone.
pub(crate) struct Days {
    zone: TimeZone,
}

impl Days {
    /// Where a day begins; `None` beyond the years of the database.
    pub fn start(&self, day: i64) -> Option<Time> {
        let (year, month, day) = civil_from_days(day);
        let date = Date::new(i16::try_from(year).ok()?, month as i8, day as i8).ok()?;
        let start = date.to_zoned(self.zone.clone()).ok()?.timestamp();
        Some(Time(start.as_microsecond()))
    }

    /// The windows of `window` days, one every `every` days from 1970-01-01 on, that hold an instant of these; ascending.
    pub fn windows(&self, instants: impl Iterator<Item = Time>, window: u32, every: u32) -> Vec<Window> {
        let (window, every) = (i64::from(window), i64::from(every));
        let (mut out, mut last, mut day) = (Vec::new(), i64::MIN, None);
        for instant in instants {
            let Some(today) = self.day(instant, day) else { continue };
            day = Some(today);
            // Windows that begin on a day in (today - window, today].
            let first = (today - window + 1).div_euclid(every) * every;
            let first = if first <= today - window { first + every } else { first };
            for start in (first.max(last.saturating_add(1))..=today).filter(|start| start % every == 0) {
                last = start;
                if let (Some(start), Some(end)) = (self.start(start), self.start(start + window))
                    && start < end
                {
                    out.push(Window { start, end });
                }
            }
        }
        out
    }

    /// The day that holds an instant; `near` is one that is near it.
    fn day(&self, instant: Time, near: Option<i64>) -> Option<i64> {
        let holds = |day: i64| Some(self.start(day)? <= instant && instant < self.start(day + 1)?);
        if let Some(near) = near
            && holds(near)?
        {
            return Some(near);
        }
        let timestamp = Timestamp::from_microsecond(instant.0).ok()?;
        let date = self.zone.to_datetime(timestamp).date();
        let mut day =
            crate::time::days_from_civil(i64::from(date.year()), date.month() as u32, date.day() as u32);
        // Clocks that go back over midnight show a date once more after the next one has begun.
        while instant < self.start(day)? {
            day -= 1;
        }
        while instant >= self.start(day + 1)? {
            day += 1;
        }
        Some(day)
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> Zone {
        Zone::new(name).expect("a zone of the database")
    }

    #[test]
    fn the_grain_of_a_zone_is_what_its_days_are_made_of() {
        for (name, grain) in [
            ("UTC", "1d"),
            ("Europe/Berlin", "1h"),
            ("America/New_York", "1h"),
            ("Asia/Kolkata", "30m"),
            ("Asia/Kathmandu", "15m"),
            ("Africa/Lagos", "1h"),
            ("Pacific/Apia", "1h"),
        ] {
            assert_eq!(zone(name).grain().to_string(), grain, "{name}");
        }
        assert_eq!(Zone::new("Europe/Nowhere"), None);
        assert_eq!(zone("europe/berlin").name(), "Europe/Berlin");
    }

    #[track_caller]
    fn check(name: &str, date: (i64, u32, u32), start: &str, hours: i64) {
        let days = zone(name).days();
        let day = crate::time::days_from_civil(date.0, date.1, date.2);
        let (from, to) = (days.start(day).expect("a day"), days.start(day + 1).expect("a day"));
        assert_eq!(
            (from.to_string().as_str(), (to.0 - from.0) / 3_600 / crate::time::SECOND),
            (start, hours)
        );
        if hours > 0 {
            for instant in [from, Time(to.0 - 1)] {
                assert_eq!(days.day(instant, None), Some(day), "{instant}");
                assert_eq!(days.day(instant, Some(day - 1)), Some(day), "{instant}");
            }
        }
    }

    #[test]
    fn days_on_which_clocks_change_are_as_long_as_they_are() {
        check("Europe/Berlin", (2024, 1, 15), "2024-01-14T23:00:00Z", 24);
        check("Europe/Berlin", (2024, 3, 31), "2024-03-30T23:00:00Z", 23);
        check("Europe/Berlin", (2024, 10, 27), "2024-10-26T22:00:00Z", 25);
        // Midnight is skipped: the day begins at one o'clock.
        check("America/Sao_Paulo", (2018, 11, 4), "2018-11-04T03:00:00Z", 23);
        // It comes twice: the day begins with the first one.
        check("America/Havana", (2024, 11, 3), "2024-11-03T04:00:00Z", 25);
        // A date that a country left out has no hours.
        check("Pacific/Apia", (2011, 12, 30), "2011-12-30T10:00:00Z", 0);
        check("Pacific/Apia", (2011, 12, 31), "2011-12-30T10:00:00Z", 24);
        // At a minute past midnight back to the day before: what follows is of the new day all the same.
        check("America/St_Johns", (2008, 11, 2), "2008-11-02T02:30:00Z", 25);
    }
}

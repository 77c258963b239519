//! Event time: microseconds since 1970-01-01T00:00:00Z, and how it is written.

use std::fmt;

/// A point in event time, in microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

/// A length of event time, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub i64);

impl Span {
    /// The shortest round length that is not below this: 1, 2, 5, 10, 20, 50 ... below a second, then the divisors of a
    /// minute, an hour and a day, then whole days.
    pub(crate) fn round(micros: i64) -> Span {
        const HOUR: i64 = 3_600 * SECOND;
        const SIXTY: [i64; 12] = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60];
        const DAY: [i64; 8] = [1, 2, 3, 4, 6, 8, 12, 24];
        let tens = (0..6).flat_map(|zeros| [1, 2, 5].map(|digit| digit * 10i64.pow(zeros)));
        let seconds = SIXTY.into_iter().map(|n| n * SECOND);
        let minutes = SIXTY.into_iter().map(|n| n * 60 * SECOND);
        let hours = DAY.into_iter().map(|n| n * HOUR);
        let found = tens.chain(seconds).chain(minutes).chain(hours).find(|length| *length >= micros);
        Span(found.unwrap_or((micros as u64).div_ceil(24 * HOUR as u64) as i64 * 24 * HOUR))
    }
}

/// Microseconds in a second.
pub const SECOND: i64 = 1_000_000;

/// Event times lie within this many microseconds of 1970 and no span is longer: 36,500 years, so that a time, a pane
/// and what it is kept for add up within 64 bits. Decoders and [`Span::from_str`](std::str::FromStr) see to it.
pub const TIME_MAX: i64 = 1 << 60;

impl Time {
    /// The event time this many microseconds after 1970, if it is within [`TIME_MAX`].
    #[inline]
    pub fn from_micros(micros: i64) -> Option<Time> {
        (-TIME_MAX..=TIME_MAX).contains(&micros).then_some(Time(micros))
    }

    /// The start of the aligned slice of length `size` that holds this time (floor, also before 1970), saturating at
    /// the end of the range.
    #[inline]
    pub fn floor_to(self, size: Span) -> Time {
        Time(self.0.saturating_sub(self.0.rem_euclid(size.0)))
    }

    /// This time moved by a span, saturating at the ends of the range.
    #[inline]
    pub fn plus(self, span: Span) -> Time {
        Time(self.0.saturating_add(span.0))
    }

    /// This time moved back by a span, saturating at the ends of the range.
    #[inline]
    pub fn minus(self, span: Span) -> Time {
        Time(self.0.saturating_sub(span.0))
    }
}

/// RFC 3339 in UTC, with as many digits of the second as are needed (none, three or six).
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, in_day) = (self.0.div_euclid(86_400 * SECOND), self.0.rem_euclid(86_400 * SECOND));
        let (year, month, day) = civil_from_days(days);
        let (seconds, micros) = (in_day / SECOND, in_day % SECOND);
        // Beyond four digits ISO 8601 wants a sign; RFC 3339 has no such years.
        if (0..=9999).contains(&year) {
            write!(f, "{year:04}")?
        } else {
            write!(f, "{year:+06}")?
        }
        write!(f, "-{month:02}-{day:02}T{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
        match micros {
            0 => write!(f, "Z"),
            m if m % 1000 == 0 => write!(f, ".{:03}Z", m / 1000),
            m => write!(f, ".{m:06}Z"),
        }
    }
}

/// The way spans are written in pipeline files: `90s`, `1m`, `2d`, `250ms`, `10us`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(i64, &str); 6] = [
            (86_400 * SECOND, "d"),
            (3_600 * SECOND, "h"),
            (60 * SECOND, "m"),
            (SECOND, "s"),
            (1_000, "ms"),
            (1, "us"),
        ];
        if self.0 == 0 {
            return write!(f, "0s");
        }
        let (unit, name) = UNITS.into_iter().find(|(unit, _)| self.0 % unit == 0).unwrap_or((1, "us"));
        write!(f, "{}{name}", self.0 / unit)
    }
}

impl std::str::FromStr for Span {
    type Err = String;

    /// Reads `15m`, `2d`, `1h`, `30s`, `250ms`, `10us`, `1w`; a number and one unit, nothing else.
    fn from_str(s: &str) -> Result<Span, String> {
        let split = s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
        let (digits, unit) = s.split_at(split);
        let unit = match unit.trim() {
            "us" => 1,
            "ms" => 1_000,
            "s" => SECOND,
            "m" => 60 * SECOND,
            "h" => 3_600 * SECOND,
            "d" => 86_400 * SECOND,
            "w" => 7 * 86_400 * SECOND,
            _ => {
                return Err(format!(
                    "`{s}` is not a length of time: write a number and a unit, as in 30s, 5m, 1h, 2d"
                ));
            }
        };
        let number: i64 = digits
            .parse()
            .map_err(|_| format!("`{s}` is not a length of time: the number is missing or too large"))?;
        let micros = number.checked_mul(unit).filter(|micros| *micros <= TIME_MAX);
        micros.map(Span).ok_or_else(|| format!("`{s}` is longer than time itself here"))
    }
}

/// Days since 1970-01-01 to (year, month, day) in the proleptic Gregorian calendar
/// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
pub(crate) fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let month = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

/// (year, month, day) to days since 1970-01-01; the inverse of [`civil_from_days`], same source.
pub(crate) fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let mp = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let doy = (153 * mp + 2) / 5 + i64::from(day) - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (1_442_018_818_771_000, "2015-09-12T00:46:58.771Z"),
            (951_782_400 * SECOND, "2000-02-29T00:00:00Z"),
        ] {
            assert_eq!(Time(micros).to_string(), text);
        }
    }

    #[test]
    fn slices_are_aligned_and_stay_in_range() {
        for (micros, size, start) in [
            (61, 60, 60),
            (60, 60, 60),
            (-1, 60, -60),
            (i64::MIN, 60, i64::MIN),
            (i64::MIN + 1, 60, i64::MIN),
            (i64::MAX, 60, i64::MAX - i64::MAX % 60),
        ] {
            assert_eq!(Time(micros).floor_to(Span(size)), Time(start), "{micros}");
        }
    }

    #[test]
    fn days_and_dates_are_inverse() {
        for days in (-1_000_000..1_000_000).step_by(173) {
            let (y, m, d) = civil_from_days(days);
            assert_eq!(days_from_civil(y, m, d), days);
        }
    }

    #[test]
    fn spans_are_read_and_written() {
        for text in ["30s", "5m", "1h", "2d", "250ms", "10us", "90s", "0s", "1152921504606846976us"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for bad in ["", "5", "m", "5 minutes", "-1s", "99999999999999999d", "1152921504606846977us", "1.5h"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }
}

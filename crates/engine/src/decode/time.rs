//! Text or number to event time, by the format that the source declares.
//!
//! A time without an offset is UTC, or that of the zone that the source names, by a copy of the IANA database that is
//! part of the program: what a system has installed changes no result. Everything finer than a microsecond is cut off towards the
//! past, so that a time never lands in a later pane than the event belongs to.

use super::digits::{byte, digits};
use super::value::{Decimal, Scalar};
use crate::spec::TimeFormat;
use crate::time::{SECOND, Time, days_from_civil};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

/// Reads event times of one format.
#[derive(Debug, Clone)]
pub(super) enum TimeReader {
    Rfc3339,
    Unix {
        num: i64,
        den: i64,
    },
    Pattern {
        pattern: String,
        zone: Option<TimeZone>,
    },
    /// [`ACCESS_PATTERN`].
    Access,
}

/// How access logs write time: the one pattern that is read here by hand.
const ACCESS_PATTERN: &str = "%d/%b/%Y:%H:%M:%S %z";

/// The zone of this IANA name (`Europe/Berlin`).
pub(super) fn time_zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok().filter(|zone| !zone.is_unknown())
}

impl TimeReader {
    pub(super) fn new(format: &TimeFormat) -> TimeReader {
        match format {
            TimeFormat::Rfc3339 => TimeReader::Rfc3339,
            TimeFormat::Unix(num, den) => TimeReader::Unix { num: *num, den: *den },
            TimeFormat::Pattern { pattern, zone: None } if pattern == ACCESS_PATTERN => TimeReader::Access,
            TimeFormat::Pattern { pattern, zone } => TimeReader::Pattern {
                pattern: pattern.clone(),
                zone: zone.as_ref().map(|zone| time_zone(zone).unwrap_or(TimeZone::unknown())),
            },
        }
    }

    /// The time that a value stands for, if it does.
    #[inline(always)]
    pub(super) fn read(&self, scalar: &Scalar<'_>) -> Option<Time> {
        match self {
            TimeReader::Unix { .. } => self.read_number(&scalar.number()?),
            TimeReader::Rfc3339 => rfc3339(scalar.text()?),
            TimeReader::Pattern { pattern, zone } => by_pattern(pattern, zone.as_ref(), scalar.text()?),
            TimeReader::Access => access(scalar.text()?),
        }
    }

    /// The time that a JSON number stands for, if it does.
    #[inline(always)]
    pub(super) fn read_number(&self, number: &Decimal<'_>) -> Option<Time> {
        match self {
            TimeReader::Unix { num, den } => unix(number, *num, *den),
            TimeReader::Rfc3339 => None,
            TimeReader::Pattern { pattern, zone } => by_pattern(pattern, zone.as_ref(), number.text),
            // It has slashes.
            TimeReader::Access => None,
        }
    }

    /// The time that a JSON integer stands for, if it is plainly one: `None` says nothing.
    #[inline(always)]
    pub(super) fn read_integer(&self, integer: u64) -> Option<Time> {
        match self {
            TimeReader::Unix { num, den } => unix_integer(i64::try_from(integer).ok()?, *num, *den),
            TimeReader::Rfc3339 | TimeReader::Pattern { .. } | TimeReader::Access => None,
        }
    }
}

/// `YYYY-MM-DDThh:mm:ss[.f…][Z|±hh:mm]` (RFC 3339, 5.6), where `t` or a blank may stand for the `T` and a missing
/// offset means UTC. Second 60 (a leap second, which Unix time has no room for) is the last microsecond of second 59.
#[inline]
fn rfc3339(text: &[u8]) -> Option<Time> {
    let (head, rest) = text.split_first_chunk::<19>()?;
    let digit = |at: usize| u32::from(head[at].wrapping_sub(b'0'));
    let two = |at: usize| digit(at) * 10 + digit(at + 1);
    let worst = [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18]
        .into_iter()
        .fold(0, |worst, at| digit(at).max(worst));
    let marks = head[4] == b'-' && head[7] == b'-' && head[13] == b':' && head[16] == b':';
    if worst > 9 || !marks || !matches!(head[10], b'T' | b't' | b' ') {
        return None;
    }
    let (year, month, day) = (two(0) * 100 + two(2), two(5), two(8));
    let (hour, minute, second) = (two(11), two(14), two(17));
    if day == 0 || day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (micros, rest) = fraction(rest)?;
    let offset_seconds = offset(rest)?;
    let seconds = days_from_civil(i64::from(year), month, day) * 86_400
        + i64::from(hour * 3600 + minute * 60 + second.min(59))
        - offset_seconds;
    Some(Time(seconds * SECOND + if second == 60 { SECOND - 1 } else { micros }))
}

/// As people write it in questions: RFC 3339, or a day, which is its first instant in UTC.
impl std::str::FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Time, String> {
        let day = || (text.len() == 10).then(|| rfc3339(format!("{text}T00:00:00Z").as_bytes())).flatten();
        rfc3339(text.as_bytes()).or_else(day).ok_or_else(|| {
            format!("`{text}` is no time: write it as in 2026-01-31T12:00:00Z, or a day as in 2026-01-31")
        })
    }
}

/// Microseconds of an optional fraction, and what follows it.
#[inline(always)]
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    if byte(rest, 0) != b'.' {
        return Some((0, rest));
    }
    let (value, n) = digits(rest, 1, 0);
    let micros = match n {
        0 => return None,
        1..=6 => value * 10u64.pow(6 - n as u32),
        7..=18 => value / 10u64.pow(n as u32 - 6),
        _ => digits(&rest[..7], 1, 0).0,
    };
    Some((micros as i64, &rest[1 + n..]))
}

/// Seconds east of UTC.
#[inline(always)]
fn offset(rest: &[u8]) -> Option<i64> {
    let &[sign, h1, h2, b':', m1, m2] = rest else {
        return matches!(rest, [] | [b'Z' | b'z']).then_some(0);
    };
    let two = |a: u8, b: u8| (a.is_ascii_digit() && b.is_ascii_digit()).then(|| (a - b'0') * 10 + (b - b'0'));
    let (hours, minutes) = (two(h1, h2)?, two(m1, m2)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = i64::from(hours) * 3600 + i64::from(minutes) * 60;
    match sign {
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

/// Days of a month of the Gregorian calendar; 0 for what is no month.
#[inline(always)]
fn days_in_month(year: u32, month: u32) -> u32 {
    const DAYS: [u32; 13] = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let leap =
        month == 2 && year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    DAYS.get(month as usize).map_or(0, |days| days + u32::from(leap))
}

/// floor(number · num / den) microseconds, or nothing when that is out of range.
///
/// Exact, also for the digits that [`Decimal`] cut off, as long as num and den are powers of ten up to 10^6 and 10^3:
/// a result in range leaves them behind the last digit that matters, and then only whether they are zero counts.
#[inline(always)]
fn unix(number: &Decimal<'_>, num: i64, den: i64) -> Option<Time> {
    if number.exp10 != 0 || number.cut {
        return unix_by_i128(number, num, den);
    }
    let magnitude = i64::try_from(number.mantissa).ok();
    let units = magnitude.map(|units| if number.negative { -units } else { units });
    match units.and_then(|units| unix_integer(units, num, den)) {
        Some(time) => Some(time),
        None => unix_by_i128(number, num, den),
    }
}

/// The same of an integer, unless it or the way to it is out of range.
#[inline(always)]
fn unix_integer(units: i64, num: i64, den: i64) -> Option<Time> {
    let scaled = units.checked_mul(num)?;
    Time::from_micros(if den == 1 { scaled } else { scaled.div_euclid(den) })
}

#[cold]
#[inline(never)]
fn unix_by_i128(number: &Decimal<'_>, num: i64, den: i64) -> Option<Time> {
    let power = |exp10: u64| 10i128.checked_pow(u32::try_from(exp10).ok()?);
    let mut scaled = i128::from(number.mantissa).checked_mul(i128::from(num))?;
    let mut divisor = Some(i128::from(den));
    if number.exp10 > 0 && scaled != 0 {
        scaled = scaled.checked_mul(power(number.exp10.unsigned_abs())?)?;
    } else if number.exp10 < 0 {
        // A divisor beyond i128 leaves nothing but the question whether there was something.
        divisor = power(number.exp10.unsigned_abs()).and_then(|power| power.checked_mul(i128::from(den)));
    }
    let (whole, rest) = divisor.map_or((0, scaled), |divisor| (scaled / divisor, scaled % divisor));
    let more = i128::from(rest != 0 || number.cut);
    let micros = if number.negative { -whole - more } else { whole };
    i64::try_from(micros).ok().and_then(Time::from_micros)
}

/// A time by [`ACCESS_PATTERN`]: by hand as servers write it, in any other way that the pattern allows by the pattern.
#[inline]
fn access(text: &[u8]) -> Option<Time> {
    access_by_hand(text).or_else(|| by_pattern(ACCESS_PATTERN, None, text))
}

/// `17/May/2015:10:05:03 +0000`; nothing when it is written otherwise, has a leap second or lies in the year 9999, of
/// which jiff leaves the last day out.
#[inline]
fn access_by_hand(text: &[u8]) -> Option<Time> {
    let text: &[u8; 26] = text.try_into().ok()?;
    let digit = |at: usize| u32::from(text[at].wrapping_sub(b'0'));
    let two = |at: usize| digit(at) * 10 + digit(at + 1);
    let worst = [0, 1, 7, 8, 9, 10, 12, 13, 15, 16, 18, 19, 22, 23, 24, 25]
        .into_iter()
        .fold(0, |worst, at| digit(at).max(worst));
    let marks = [(2, b'/'), (6, b'/'), (11, b':'), (14, b':'), (17, b':'), (20, b' ')];
    if worst > 9 || marks.into_iter().any(|(at, mark)| text[at] != mark) {
        return None;
    }
    const MONTHS: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let month = MONTHS.iter().position(|month| month[..] == text[3..6])? as u32 + 1;
    let (day, year) = (two(0), two(7) * 100 + two(9));
    let (hour, minute, second) = (two(12), two(15), two(18));
    let (offset_hours, offset_minutes) = (two(22), two(24));
    let date = day > 0 && day <= days_in_month(year, month) && year < 9999;
    if !date || hour > 23 || minute > 59 || second > 59 || offset_hours > 23 || offset_minutes > 59 {
        return None;
    }
    let offset = i64::from(offset_hours * 3600 + offset_minutes * 60);
    let east = match text[21] {
        b'+' => offset,
        b'-' => -offset,
        _ => return None,
    };
    let seconds = days_from_civil(i64::from(year), month, day) * 86_400
        + i64::from(hour * 3600 + minute * 60 + second)
        - east;
    Some(Time(seconds * SECOND))
}

/// A strptime pattern. Without an offset the time is that of the zone it names, of the source's zone, or UTC; without an
/// hour it is midnight. What clocks show twice is the first time, what they skip is as much later as they skip
/// (RFC 5545, 3.3.5; `compatible` in jiff's words).
#[cold]
#[inline(never)]
fn by_pattern(pattern: &str, zone: Option<&TimeZone>, text: &[u8]) -> Option<Time> {
    let parsed = strtime::BrokenDownTime::parse(pattern, text).ok()?;
    let timestamp = match parsed.to_timestamp() {
        Ok(timestamp) => timestamp,
        Err(_) if parsed.offset().is_some() => return None,
        Err(_) => {
            let named = parsed.iana_time_zone().map(time_zone);
            let zone = named.unwrap_or(Some(zone.cloned().unwrap_or(TimeZone::UTC)))?;
            zone.to_timestamp(parsed.to_datetime().ok()?).ok()?
        }
    };
    let nanos = timestamp.as_nanosecond();
    i64::try_from(nanos.div_euclid(1000)).ok().and_then(Time::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::TIME_MAX;

    fn check(format: &TimeFormat, text: &str, want: Option<i64>) {
        let got = TimeReader::new(format).read(&Scalar::Text(text.as_bytes()));
        assert_eq!(got.map(|time| time.0), want, "{text:?} as {format:?}");
    }

    #[test]
    fn rfc_3339_in_all_its_forms() {
        let at = 1_442_018_818 * SECOND;
        for (text, want) in [
            ("2015-09-12T00:46:58Z", at),
            ("2015-09-12t00:46:58z", at),
            ("2015-09-12 00:46:58", at),
            ("2015-09-12T00:46:58.7Z", at + 700_000),
            ("2015-09-12T00:46:58.771Z", at + 771_000),
            ("2015-09-12T00:46:58.771234+00:00", at + 771_234),
            ("2015-09-12T00:46:58.7712349", at + 771_234),
            ("2015-09-12T00:46:58.771234999999999999999999999999Z", at + 771_234),
            ("2015-09-12T02:16:58+01:30", at),
            ("2015-09-11T23:46:58-01:00", at),
            ("2015-09-12T00:46:58-00:00", at),
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59.9999999Z", -1),
            ("2016-12-31T23:59:60Z", 1_483_228_800 * SECOND - 1),
            ("2016-12-31T23:59:60.5Z", 1_483_228_800 * SECOND - 1),
            ("2000-02-29T00:00:00Z", 951_782_400 * SECOND),
            ("0000-01-01T00:00:00Z", -62_167_219_200 * SECOND),
            ("9999-12-31T23:59:59.999999-23:59", 253_402_387_139 * SECOND + 999_999),
        ] {
            check(&TimeFormat::Rfc3339, text, Some(want));
        }
    }

    #[test]
    fn what_is_no_rfc_3339_is_no_time() {
        for text in [
            "",
            "2015-09-12",
            "2015-09-12T00:46",
            "2015-09-12T00:46:58.",
            "2015-09-12T00:46:58.Z",
            "2015-09-12T00:46:58ZZ",
            "2015-09-12T00:46:58 Z",
            "2015-09-12T00:46:58+0000",
            "2015-09-12T00:46:58+24:00",
            "2015-09-12T00:46:58+00:60",
            "2015-09-12T00:46:58*00:00",
            "2015-09-12_00:46:58Z",
            "2015-00-12T00:46:58Z",
            "2015-13-12T00:46:58Z",
            "2015-09-00T00:46:58Z",
            "2015-09-31T00:46:58Z",
            "2015-02-29T00:46:58Z",
            "1900-02-29T00:00:00Z",
            "2015-09-12T24:00:00Z",
            "2015-09-12T00:60:58Z",
            "2015-09-12T00:46:61Z",
            "2015-09-12T00:46:5aZ",
            "2015/09/12T00:46:58Z",
            "+015-09-12T00:46:58Z",
            " 2015-09-12T00:46:58Z",
        ] {
            check(&TimeFormat::Rfc3339, text, None);
        }
    }

    #[test]
    fn every_day_of_four_centuries_is_read_as_it_is_written() {
        for day in -200 * 366..200 * 366 {
            let time = Time((day * 86_400 + 3_661) * SECOND + 250_000);
            check(&TimeFormat::Rfc3339, &time.to_string(), Some(time.0));
        }
    }

    #[test]
    fn unix_times_are_exact_and_rounded_to_the_past() {
        let (s, ms, us, ns) = ((SECOND, 1), (1_000, 1), (1, 1), (1, 1_000));
        for ((num, den), text, want) in [
            (s, "1442018818", Some(1_442_018_818 * SECOND)),
            (s, "1442018818.7712349", Some(1_442_018_818_771_234)),
            (s, "1442018818.771234999999999999999999999999999", Some(1_442_018_818_771_234)),
            (s, "-0.0000001", Some(-1)),
            (s, "-1.5", Some(-1_500_000)),
            (s, "-1.0000000000000000000000000000000000000001", Some(-1_000_001)),
            (s, "1e-400", Some(0)),
            (s, "-1e-400", Some(-1)),
            (s, "1.442018818e9", Some(1_442_018_818 * SECOND)),
            (s, "1152921504606.846976", Some(TIME_MAX)),
            (s, "1152921504606.846977", None),
            (s, "9223372036855", None),
            (s, "1e400", None),
            (s, "0e400", Some(0)),
            (ms, "1760000040000", Some(1_760_000_040_000_000)),
            (ms, "900719925474099", Some(900_719_925_474_099_000)),
            (ms, "9223372036854776", None),
            (ms, "1760000040000.9999", Some(1_760_000_040_000_999)),
            (us, "9007199254740993", Some(9_007_199_254_740_993)),
            (us, "9223372036854775808", None),
            (us, "-9223372036854775808", None),
            (us, "-1152921504606846977", None),
            (us, "-1152921504606846976", Some(-TIME_MAX)),
            (ns, "1760000040000000999", Some(1_760_000_040_000_000)),
            (ns, "-1", Some(-1)),
            (ns, "-1000", Some(-1)),
            (ns, "1152921504606846976999", Some(TIME_MAX)),
            (ns, "1152921504606846977000", None),
            (us, "", None),
            (us, "now", None),
            (us, "2015-09-12", None),
        ] {
            check(&TimeFormat::Unix(num, den), text, want);
        }
        for (scalar, want) in [(Scalar::Bool(true), None), (Scalar::Null, None), (Scalar::Container, None)] {
            assert_eq!(TimeReader::Unix { num: 1, den: 1 }.read(&scalar), want);
        }
    }

    /// The twin: the pattern itself.
    fn check_access(text: &str) {
        let by_hand = access_by_hand(text.as_bytes());
        if by_hand.is_some() {
            assert_eq!(by_hand, by_pattern(ACCESS_PATTERN, None, text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn times_of_access_logs_are_read_by_hand_as_by_the_pattern() {
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        for (i, month) in months.into_iter().enumerate() {
            for day in 0..33 {
                for year in [0, 1, 1900, 1969, 1970, 2000, 2015, 2016, 2100, 9998, 9999] {
                    for (time, offset) in
                        [("00:00:00", "+0000"), ("23:59:59", "-2359"), ("12:34:56", "+0530")]
                    {
                        let text = format!("{day:02}/{month}/{year:04}:{time} {offset}");
                        check_access(&text);
                        let good = jiff::civil::Date::new(year, i as i8 + 1, day).is_ok();
                        let by_hand = access_by_hand(text.as_bytes()).is_some();
                        assert_eq!(by_hand, good && year < 9999, "{text}");
                    }
                }
            }
        }
        let format = TimeFormat::Pattern { pattern: ACCESS_PATTERN.into(), zone: None };
        for (text, want) in [
            ("17/May/2015:10:05:03 +0000", Some(1_431_857_103)),
            ("17/May/2015:10:05:03 -0130", Some(1_431_857_103 + 5400)),
            ("17/may/2015:10:05:03 +0000", Some(1_431_857_103)),
            ("17/May/2015:10:05:60 +0000", Some(1_431_857_159)),
            ("17/May/2015:10:05:03 +00:00", None),
            ("17/May/2015:24:05:03 +0000", None),
            ("17/May/2015:10:05:03", None),
            ("", None),
        ] {
            check(&format, text, want.map(|seconds: i64| seconds * SECOND));
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(20_000))]

        #[test]
        fn a_spoilt_time_of_an_access_log_is_judged_by_the_pattern(
            at in 0..26usize,
            to in proptest::sample::select(b"0123456789/: +-JanFebMayz".to_vec()),
            again in 0..26usize,
            digit in b'0'..=b'9',
        ) {
            let mut text = *b"17/May/2015:10:05:03 +0000";
            (text[at], text[again]) = (to, digit);
            check_access(std::str::from_utf8(&text).unwrap());
        }
    }

    #[test]
    fn patterns_are_utc_without_an_offset() {
        let at = 1_431_857_103 * SECOND;
        for (pattern, text, want) in [
            ("%d/%b/%Y:%H:%M:%S %z", "17/May/2015:10:05:03 +0000", Some(at)),
            ("%d/%b/%Y:%H:%M:%S %z", "17/May/2015:12:05:03 +0200", Some(at)),
            ("%d/%b/%Y:%H:%M:%S", "17/May/2015:10:05:03", Some(at)),
            ("%Y-%m-%d", "2015-05-17", Some(1_431_820_800 * SECOND)),
            ("%Y%m%dT%H%M%S%.f", "20150517T100503.1234567", Some(at + 123_456)),
            ("%s", "1431857103", Some(at)),
            ("%Y-%m-%d", "2015-05-32", None),
            ("%Y-%m-%d", "2015-05-17 and more", None),
            ("%H:%M", "10:05", None),
            ("%F %T %Q", "2015-05-17 12:05:03 Europe/Berlin", Some(at)),
            ("%F %T %Q", "2015-05-17 12:05:03 Europe/Nowhere", None),
            ("%F %T %z", "2015-05-17 12:05:03 +0200", Some(at)),
            ("%F %T %z", "2015-05-17 12:05:03 +02:00", None),
            ("%F %T %:z", "2015-05-17 12:05:03 +02:00", Some(at)),
            ("%F %T %:z", "2015-05-17 12:05:03 +0200", None),
            ("%F %T%z", "2015-05-17 04:35:03-0530", Some(at)),
            ("%F %T %Z", "2015-05-17 12:05:03 CEST", None),
            ("%e/%b/%Y:%H:%M:%S", " 7/May/2015:10:05:03", Some(at - 10 * 86_400 * SECOND)),
            ("%e/%b/%Y:%H:%M:%S", "17/May/2015:10:05:03", Some(at)),
            ("%b %e %Y %H:%M:%S", "May  7 2015 10:05:03", Some(at - 10 * 86_400 * SECOND)),
            ("%b %e %Y %H:%M:%S", "May 07 2015 10:05:03", Some(at - 10 * 86_400 * SECOND)),
            ("%b %e %Y %H:%M:%S", "May 17 2015 10:05:03", Some(at)),
        ] {
            check(&TimeFormat::Pattern { pattern: pattern.into(), zone: None }, text, want);
        }
    }

    #[test]
    fn clocks_of_a_zone_show_some_times_twice_and_skip_others() {
        let at = |hour: i64, minute: i64, day: i64| Some((day * 86_400 + hour * 3600 + minute * 60) * SECOND);
        // 29 March and 25 October 2015, in days since 1970.
        let (spring, autumn) = (16_523, 16_733);
        for (zone, text, want) in [
            ("Europe/Berlin", "2015-03-29 01:59", at(0, 59, spring)),
            ("Europe/Berlin", "2015-03-29 02:30", at(1, 30, spring)),
            ("Europe/Berlin", "2015-03-29 03:00", at(1, 0, spring)),
            ("Europe/Berlin", "2015-10-25 01:59", at(-1, 59, autumn)),
            ("Europe/Berlin", "2015-10-25 02:30", at(0, 30, autumn)),
            ("Europe/Berlin", "2015-10-25 03:00", at(2, 0, autumn)),
            ("europe/berlin", "2015-10-25 12:00", at(11, 0, autumn)),
            ("Asia/Kolkata", "2015-10-25 12:00", at(6, 30, autumn)),
            ("America/New_York", "2015-10-25 12:00", at(16, 0, autumn)),
            ("UTC", "2015-10-25 12:00", at(12, 0, autumn)),
            ("Europe/Berlin", "2015-02-29 12:00", None),
        ] {
            let format = TimeFormat::Pattern { pattern: "%Y-%m-%d %H:%M".into(), zone: Some(zone.into()) };
            check(&format, text, want);
        }
        assert!(time_zone("Europe/Berln").is_none() && time_zone("Etc/Unknown").is_none());
    }
}

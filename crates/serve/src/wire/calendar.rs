//! Times as Postgres writes them: `2026-01-31 12:00:00.5`, years before the first with ` BC`.

const MICROS: i64 = 1_000_000;
const DAY: i64 = 86_400 * MICROS;
/// From 1970 to 2000, where the binary form begins to count.
pub(crate) const EPOCH_DAYS: i32 = 10_957;
pub(crate) const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * DAY;

/// A day, counted from 1970-01-01, and whether it is before the first year.
fn civil(days: i64) -> (i64, u8, u8) {
    // In eras of 400 years from 0000-03-01, where a leap day is the last one of a year.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month as u8, day as u8)
}

fn with_era(days: i64, rest: &str) -> String {
    match civil(days) {
        (year @ 1.., month, day) => format!("{year:04}-{month:02}-{day:02}{rest}"),
        (year, month, day) => format!("{:04}-{month:02}-{day:02}{rest} BC", 1 - year),
    }
}

/// A day.
pub(crate) fn day(days: i32) -> String {
    with_era(days.into(), "")
}

/// A time of day, in microseconds.
pub(crate) fn clock(micros: i64) -> String {
    let (seconds, fraction) = (micros.div_euclid(MICROS), micros.rem_euclid(MICROS));
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let whole = format!("{hour:02}:{minute:02}:{second:02}");
    match fraction {
        0 => whole,
        _ => format!("{whole}.{}", format!("{fraction:06}").trim_end_matches('0')),
    }
}

/// A time, in microseconds since 1970; `zone` is what stands behind it.
pub(crate) fn instant(micros: i64, zone: &str) -> String {
    let (days, rest) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    with_era(days, &format!(" {}{zone}", clock(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_postgres_does() {
        // As `select to_timestamp(...)` of Postgres 15 in UTC.
        for (micros, expected) in [
            (0, "1970-01-01 00:00:00+00"),
            (-1, "1969-12-31 23:59:59.999999+00"),
            (1_709_164_800 * MICROS + 500_000, "2024-02-29 00:00:00.5+00"),
            (951_868_799 * MICROS, "2000-02-29 23:59:59+00"),
            (-62_135_596_800 * MICROS, "0001-01-01 00:00:00+00"),
            (-62_135_596_801 * MICROS, "0001-12-31 23:59:59+00 BC"),
            (253_402_300_800 * MICROS, "10000-01-01 00:00:00+00"),
        ] {
            assert_eq!(instant(micros, "+00"), expected);
        }
        assert_eq!(day(EPOCH_DAYS), "2000-01-01");
    }
}

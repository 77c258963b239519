//! `time`: where event time comes from, and what happens to late events.

use super::section::{Section, wrong_type};
use super::tree::{Entry, Table, Value};
use super::values::span_above_zero;
use crate::problem::{Placed, Problem, Problems, did_you_mean};
use engine::spec::{Format, Later, TimeFormat, TimeFrom, TimeSpec};
use engine::time::{SECOND, Span};
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;

/// Records that must agree before the clock jumps, when `agree` does not say.
const AGREE_DEFAULT: i64 = 32;
/// As many as are held before the first clock.
const AGREE_MAX: i64 = 65_536;
/// How access logs write their field `time`.
const ACCESS_TIME: &str = "%d/%b/%Y:%H:%M:%S %z";

/// How long a partition must be silent to step aside, when `idle` does not say.
pub const IDLE_DEFAULT: Span = Span(30 * SECOND);

/// What `time` says.
pub(super) struct TimeTable {
    /// With the place of the name of its field.
    pub spec: Placed<TimeSpec>,
    /// How long a partition must be silent to step aside.
    pub idle: Option<Span>,
}

impl From<Placed<TimeSpec>> for TimeTable {
    fn from(spec: Placed<TimeSpec>) -> TimeTable {
        TimeTable { spec, idle: None }
    }
}

/// `time`: where event time comes from, and what happens to late events.
pub(super) fn read(entry: &Entry, of: Option<&Format>, problems: &mut Problems) -> Option<TimeTable> {
    let table = match &entry.node.value {
        Value::Table(table) => table,
        Value::String(word) if word == "arrival" => {
            let spec = Placed { value: in_order(TimeFrom::Arrival), place: entry.node.place.clone() };
            return Some(spec.into());
        }
        Value::String(word) => {
            let hint = match did_you_mean(word, ["arrival"]) {
                Some(meant) => format!("did you mean time = \"{meant}\"?"),
                None => format!("write time = {{ field = \"{word}\" }}"),
            };
            problems.push(wrong_type("time", "a table", &entry.node).hint(hint));
            return None;
        }
        _ => {
            problems.push(wrong_type("time", "a table", &entry.node).hint("as in time = { field = \"ts\" }"));
            return None;
        }
    };
    let mut section = Section::new("`time`", &entry.key_place, table);
    if section.entry("row").is_some() {
        return by_row(section, table, problems).map(TimeTable::from);
    }
    let lacks_field = section.lacks("field");
    let field = section.string("field", problems);
    if lacks_field {
        let problem = Problem::at(&section.place, "`time` does not say which `field` holds it");
        problems.push(problem.hint("as in time = { field = \"ts\" }"));
    }
    if let Some(empty) = field.as_ref().filter(|field| field.value.is_empty()) {
        problems.push(Problem::at(&empty.place, "the name of a field is empty"));
    }
    let own = field.as_ref().filter(|field| field.value == "time");
    let own = own.filter(|_| matches!(of, Some(Format::AccessLog { .. }))).map(|_| ACCESS_TIME);
    let format = time_format(&mut section, own, problems);
    let lateness = section.parsed("lateness", problems, |text| text.trim().parse::<Span>());
    let words = [("correct", Later::Correct), ("quarantine", Later::Quarantine), ("drop", Later::Drop)];
    let later = section.word("later", &words, problems);
    let ahead = section.parsed("ahead", problems, span_above_zero);
    let agree = section.integer("agree", 1..=AGREE_MAX, problems);
    let idle = section.parsed("idle", problems, span_above_zero);
    section.finish(&[], problems);
    let field = field?;
    let value = TimeSpec {
        from: TimeFrom::Field { path: field.value.to_string(), format },
        lateness: lateness.map_or(Span(0), |span| span.value),
        later: later.map_or(Later::Correct, |word| word.value),
        ahead: ahead.map(|span| span.value),
        agree: agree.unwrap_or(AGREE_DEFAULT) as usize,
    };
    Some(TimeTable { spec: Placed { value, place: field.place }, idle: idle.map(|idle| idle.value) })
}

/// `row`: each record happens as much later than the one before it.
fn by_row(mut section: Section<'_>, table: &Table, problems: &mut Problems) -> Option<Placed<TimeSpec>> {
    let others = ["field", "unit", "pattern", "zone", "lateness", "later", "ahead", "agree", "idle"];
    for key in others {
        let Some(entry) = section.entry(key) else { continue };
        let problem = Problem::at(&entry.key_place, format!("`{key}` has no meaning with `row`"));
        problems.push(
            problem.hint("records are numbered in the order in which they are read: none is late or ahead"),
        );
    }
    let row = section.parsed("row", problems, span_above_zero);
    section.finish(&[], problems);
    let row = row.filter(|_| others.iter().all(|key| table.get(key).is_none()))?;
    Some(Placed { value: in_order(TimeFrom::Row(row.value)), place: row.place })
}

/// Event time that never goes back.
fn in_order(from: TimeFrom) -> TimeSpec {
    TimeSpec { from, lateness: Span(0), later: Later::Correct, ahead: None, agree: AGREE_DEFAULT as usize }
}

/// `unit` or `pattern`; when neither is written the pattern that the format has, or RFC 3339.
fn time_format(section: &mut Section<'_>, own: Option<&str>, problems: &mut Problems) -> TimeFormat {
    const UNITS: [(&str, (i64, i64)); 4] =
        [("s", (1_000_000, 1)), ("ms", (1_000, 1)), ("us", (1, 1)), ("ns", (1, 1_000))];
    let unit_place = section.entry("unit").map(|entry| entry.key_place.clone());
    let pattern_given = section.entry("pattern").is_some();
    if let (Some(place), true) = (unit_place, pattern_given) {
        let problem = Problem::at(&place, "`unit` is for numbers and `pattern` for text");
        problems.push(problem.hint("leave one of them out"));
    }
    let unit = section.word("unit", &UNITS, problems);
    let pattern = section.parsed("pattern", problems, check_pattern);
    let zone_place = section.entry("zone").map(|entry| entry.key_place.clone());
    let zone = section.parsed("zone", problems, zone_name);
    let instant = pattern.as_ref().is_some_and(|pattern| tells_instant(&pattern.value));
    if let Some(place) = zone_place {
        let problem = Problem::at(&place, "");
        let (message, hint) = match pattern_given {
            false => ("`zone` is for a `pattern`", "leave it out: such times say their offset or are UTC"),
            true if instant => {
                ("the `pattern` has an offset, which says more than a `zone`", "leave `zone` out")
            }
            true => ("", ""),
        };
        if !message.is_empty() {
            problems.push(Problem { message: message.into(), ..problem.hint(hint) });
        }
    }
    match (unit, pattern) {
        (_, Some(pattern)) => {
            TimeFormat::Pattern { pattern: pattern.value, zone: zone.map(|zone| zone.value) }
        }
        (Some(unit), None) => TimeFormat::Unix(unit.value.0, unit.value.1),
        (None, None) => {
            own.map_or(TimeFormat::Rfc3339, |own| TimeFormat::Pattern { pattern: own.into(), zone: None })
        }
    }
}

/// A pattern is good when a known time, written with it, can be read back to a date and a time of day.
fn check_pattern(pattern: &str) -> Result<String, String> {
    let known = jiff::civil::date(2015, 9, 12).at(13, 46, 58, 0).to_zoned(jiff::tz::TimeZone::UTC);
    let wrong = |why: String| format!("`{pattern}` is not a pattern of times: {why}");
    let known = known.map_err(|why| wrong(why.to_string()))?;
    let text = BrokenDownTime::from(&known).to_string(pattern).map_err(|why| wrong(why.to_string()))?;
    let read = BrokenDownTime::parse(pattern, &text).map_err(|why| wrong(why.to_string()))?;
    match (read.to_datetime(), read.to_timestamp()) {
        (Err(_), Err(_)) => Err(wrong("it holds no full date, as %Y-%m-%d does".into())),
        _ => Ok(pattern.to_string()),
    }
}

/// Whether times of a good pattern are instants, whatever the zone is.
fn tells_instant(pattern: &str) -> bool {
    let known = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
    let text = BrokenDownTime::from(&known).to_string(pattern).unwrap_or_default();
    BrokenDownTime::parse(pattern, text).is_ok_and(|read| {
        read.offset().is_some() || read.iana_time_zone().is_some() || read.to_timestamp().is_ok()
    })
}

/// The name of a time zone, which is good when the database that is part of the program has it.
///
/// # Errors
/// What may have been meant.
pub fn zone_name(name: &str) -> Result<String, String> {
    if TimeZone::get(name).is_ok_and(|zone| !zone.is_unknown()) {
        return Ok(name.to_string());
    }
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.as_str().to_string()).collect();
    let meant = did_you_mean(name, names.iter().map(String::as_str));
    // `Berlin` means `Europe/Berlin`.
    let meant = meant.or_else(|| {
        let city =
            |full: &&String| full.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(name));
        names.iter().find(city).map(String::as_str)
    });
    Err(match meant {
        Some(meant) => format!("there is no time zone `{name}`; did you mean `{meant}`?"),
        None => format!("there is no time zone `{name}`: write an IANA name, as in \"Europe/Berlin\""),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_tried_on_a_known_time() {
        for good in ["%Y-%m-%d %H:%M:%S", "%d/%b/%Y:%H:%M:%S %z", "%s", "%Y-%m-%dT%H:%M:%S%.f", "%Y%m%d"] {
            assert_eq!(check_pattern(good).as_deref(), Ok(good));
        }
        for bad in ["", "ts", "%H:%M", "%Q-%!", "%", "%m-%d"] {
            assert!(check_pattern(bad).is_err(), "{bad}");
        }
    }
}

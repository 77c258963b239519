//! What was probably meant, told from the first records of the input.

use engine::spec::TimeFormat;
use engine::time::{SECOND, Time};
use serde_json::Value;

/// Records looked at.
const RECORDS_MAX: usize = 100;
/// Paths collected: a hint needs no more, and a record may have any number.
const PATHS_MAX: usize = 1_000;
/// Names listed when none is near.
const LISTED_MAX: usize = 12;
/// Characters shown of a name.
const NAME_CHARS_MAX: usize = 40;

/// The head of an NDJSON input, as far as it can be read.
pub struct Head {
    records: Vec<Value>,
    /// Whether the input is one JSON array, or one object over many lines.
    spread: bool,
}

impl Head {
    /// Reads what is whole in the first bytes of an input.
    pub fn new(bytes: &[u8]) -> Head {
        let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let lines = || text.split(|&b| b == b'\n').map(<[u8]>::trim_ascii);
        let first = lines().find(|line| !line.is_empty()).unwrap_or_default();
        let records = lines().take(RECORDS_MAX).filter_map(|line| serde_json::from_slice(line).ok());
        Head { records: records.collect(), spread: first.starts_with(b"[") || first == b"{" }
    }

    /// What to do when the records are not one to a line.
    pub fn one_a_line(&self) -> Option<&'static str> {
        self.spread
            .then_some("`jq -c '.[]?' FILE` writes a JSON array as one object a line, `jq -c . FILE` objects")
    }

    /// What a field may have been meant to be that no record has.
    pub fn field(&self, path: &str) -> Option<String> {
        let mut paths = Vec::new();
        self.records.iter().for_each(|record| collect("", record, &mut paths));
        if paths.is_empty() || paths.iter().any(|known| known == path) {
            return None;
        }
        if let Some(near) = nearest(path, &paths) {
            return Some(format!("did you mean `{near}`?"));
        }
        Some(listed(&paths))
    }

    /// How to say what the time field holds, when it does not hold what `format` says.
    pub fn time(&self, path: &str, format: &TimeFormat) -> Option<String> {
        let value = self.records.iter().find_map(|record| at(record, path))?;
        let said = match format {
            TimeFormat::Rfc3339 => "RFC 3339".to_string(),
            TimeFormat::Unix(num, den) => format!("a number of {}", unit_name(*num, *den)?),
            TimeFormat::Pattern { pattern, .. } => format!("text like `{pattern}`"),
        };
        let held = serde_json::to_string(value).ok().filter(|text| text.len() <= 80)?;
        let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
        let write = match (number, format) {
            (Some(number), _) => format!("write `unit = \"{}\"`", unit_of(number)?),
            (None, TimeFormat::Rfc3339) => "say how it is written with `pattern`".into(),
            (None, TimeFormat::Unix(..)) => "leave `unit` out for RFC 3339, or write a `pattern`".into(),
            (None, TimeFormat::Pattern { .. }) => "change `pattern`, or leave it out for RFC 3339".into(),
        };
        Some(format!("it holds {held}, which is not {said}: {write}"))
    }
}

/// The names there are, as far as a person reads them.
pub fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(LISTED_MAX).map(|name| brief(name)).collect();
    format!("there are: {}{}", shown.join(", "), if names.len() > LISTED_MAX { ", ..." } else { "" })
}

/// The first characters of a name.
pub fn brief(name: &str) -> String {
    if name.chars().count() <= NAME_CHARS_MAX {
        return name.to_string();
    }
    name.chars().take(NAME_CHARS_MAX).chain("...".chars()).collect()
}

/// The nearest path, or the one whose last part is nearest: `user.idd` and `id` both mean `user.id`.
fn nearest<'a>(path: &str, paths: &'a [String]) -> Option<&'a str> {
    let last = |path: &'a str| path.rsplit('.').next().unwrap_or(path);
    let names = paths.iter().map(String::as_str);
    plan::did_you_mean(path, names.clone()).or_else(|| {
        let wanted = path.rsplit('.').next().unwrap_or(path);
        let near = plan::did_you_mean(wanted, names.clone().map(last))?;
        names.clone().find(|path| last(path) == near)
    })
}

/// Paths of the members that are no objects.
fn collect(parent: &str, value: &Value, out: &mut Vec<String>) {
    let Value::Object(members) = value else { return };
    for (key, member) in members {
        let path = if parent.is_empty() { key.clone() } else { format!("{parent}.{key}") };
        if member.is_object() {
            collect(&path, member, out);
        } else if out.len() < PATHS_MAX && !out.contains(&path) {
            out.push(path);
        }
    }
}

fn at<'a>(record: &'a Value, path: &str) -> Option<&'a Value> {
    record.get(path).or_else(|| path.split('.').try_fold(record, |value, key| value.get(key)))
}

/// The unit in which a number is a time between 2001 and 2286.
fn unit_of(number: f64) -> Option<&'static str> {
    UNITS.iter().find(|(_, _, per_second)| (1e9..1e10).contains(&(number / per_second))).map(|u| u.0)
}

fn unit_name(num: i64, den: i64) -> Option<&'static str> {
    let per_second = SECOND as f64 * den as f64 / num as f64;
    UNITS.iter().find(|(_, _, n)| *n == per_second).map(|u| u.1)
}

/// Unit, its name, how many there are in a second.
const UNITS: [(&str, &str, f64); 4] = [
    ("s", "seconds", 1.0),
    ("ms", "milliseconds", 1e3),
    ("us", "microseconds", 1e6),
    ("ns", "nanoseconds", 1e9),
];

/// A warning when event time, read in this unit, is no time of our century but would be one in another unit.
pub fn other_unit(format: &TimeFormat, t: Time) -> Option<String> {
    let TimeFormat::Unix(num, den) = *format else { return None };
    let number = t.0 as f64 * den as f64 / num as f64;
    let (said, meant) = (unit_name(num, den)?, unit_of(number)?);
    let name = UNITS.iter().find(|u| u.0 == meant)?.1;
    (name != said).then(|| format!("read as {said} event time reaches {t}; as {name} it would be of our time: write `unit = \"{meant}\"`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECONDS: TimeFormat = TimeFormat::Unix(SECOND, 1);
    const MILLIS: TimeFormat = TimeFormat::Unix(1_000, 1);

    #[test]
    fn a_field_is_looked_for_by_its_path_and_by_its_last_part() {
        let head =
            Head::new(b"\n{\"ts\": 1, \"user\": {\"id\": 2, \"name\": \"x\"}}\nbad\n{\"page\": 3}\n{\"cut");
        for (path, want) in [
            ("usr.id", Some("did you mean `user.id`?")),
            ("user.idd", Some("did you mean `user.id`?")),
            ("name", Some("did you mean `user.name`?")),
            ("pge", Some("did you mean `page`?")),
            ("latency", Some("there are: ts, user.id, user.name, page")),
            ("page", None),
        ] {
            assert_eq!(head.field(path).as_deref(), want, "{path}");
        }
        assert_eq!(Head::new(b"").field("x"), None);
    }

    #[test]
    fn times_of_another_form_are_told_by_their_value() {
        let head =
            Head::new(b"{\"a\": 1500000000000, \"b\": \"1500000000\", \"c\": \"01/Aug/1995\", \"d\": 7}\n");
        for (path, format, want) in [
            (
                "a",
                &TimeFormat::Rfc3339,
                Some("it holds 1500000000000, which is not RFC 3339: write `unit = \"ms\"`"),
            ),
            (
                "b",
                &TimeFormat::Rfc3339,
                Some("it holds \"1500000000\", which is not RFC 3339: write `unit = \"s\"`"),
            ),
            (
                "c",
                &SECONDS,
                Some(
                    "it holds \"01/Aug/1995\", which is not a number of seconds: leave `unit` out for RFC 3339, or write a `pattern`",
                ),
            ),
            ("d", &TimeFormat::Rfc3339, None),
            ("e", &TimeFormat::Rfc3339, None),
        ] {
            assert_eq!(head.time(path, format).as_deref(), want, "{path}");
        }
    }

    #[test]
    fn a_unit_is_doubted_only_when_another_one_fits() {
        let read = |number: i64, format: &TimeFormat, unit: i64| other_unit(format, Time(number * unit));
        assert!(read(1_500_000_000_000, &SECONDS, SECOND).is_some_and(|w| w.contains("`unit = \"ms\"`")));
        assert!(read(1_500_000_000, &MILLIS, 1_000).is_some_and(|w| w.contains("`unit = \"s\"`")));
        assert_eq!(read(1_500_000_000, &SECONDS, SECOND), None);
        assert_eq!(read(61, &SECONDS, SECOND), None);
        assert_eq!(read(61, &MILLIS, 1_000), None);
        assert_eq!(other_unit(&TimeFormat::Rfc3339, Time(i64::MAX)), None);
    }

    #[test]
    fn records_that_are_spread_over_lines_are_known() {
        for (text, spread) in [
            ("[{\"a\":1},{\"a\":2}]", true),
            ("\n[\n{\"a\":1},\n", true),
            ("{\r\n  \"a\": 1\r\n}", true),
            ("{\"a\":1}\n", false),
            ("", false),
        ] {
            assert_eq!(Head::new(text.as_bytes()).one_a_line().is_some(), spread, "{text}");
        }
    }
}

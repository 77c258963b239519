//! The words of a question in a URL: `?window=24h&every=1h&by=device&where=device:ios`.

use crate::reply::Problem;
use engine::answer::{Answer, Key};
use engine::days::{DAY, Zone};
use engine::spec::{Ask, Question, Source, Window};
use engine::time::{Span, Time};

/// Steps in one sliding window.
const SLIDES_MAX: i64 = 10_000;
const EXAMPLES: &str =
    "as in ?window=24h, ?window=24h&every=1h, ?from=2026-01-31T00:00:00Z&to=2026-02-01T00:00:00Z";

/// A question as it stands in a URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Words {
    pub window: Option<Span>,
    every: Option<Span>,
    from: Option<Time>,
    to: Option<Time>,
    zone: Option<String>,
    /// Names of dimensions; none for the total over all groups.
    by: Option<Vec<String>>,
    /// Dimension and value.
    wanted: Vec<(String, String)>,
    pub limit: Option<usize>,
    /// Only windows that begin within this long before the newest event's.
    pub since: Option<Span>,
    panes: bool,
}

impl Words {
    /// Reads what stands behind the `?`.
    ///
    /// # Errors
    /// Words that are not understood.
    pub fn read(query: &str) -> Result<Words, Problem> {
        let mut words = Words::default();
        let bad = |error: String| Problem::bad(error, EXAMPLES);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            match name.as_str() {
                "window" => words.window = Some(span(&value)?),
                "every" => words.every = Some(span(&value)?),
                "since" => words.since = Some(span(&value)?),
                "from" => words.from = Some(value.parse().map_err(bad)?),
                "to" => words.to = Some(value.parse().map_err(bad)?),
                "zone" => words.zone = Some(value),
                "panes" => words.panes = value.is_empty() || value == "true",
                "by" => {
                    let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
                    words.by = Some(names.map(String::from).collect());
                }
                "where" => {
                    let Some((field, value)) = value.split_once(':') else {
                        let hint = "write the dimension, a colon and the value, as in where=device:ios; several are all to hold";
                        return Err(Problem::bad(format!("`where={value}` names no value"), hint));
                    };
                    words.wanted.push((field.into(), value.into()));
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| *limit > 0);
                    words.limit =
                        Some(limit.ok_or_else(|| bad(format!("`limit={value}` is no number of rows")))?);
                }
                other => {
                    let known = "window, every, since, from, to, zone, panes, by, where, limit";
                    return Err(bad(format!("`{other}` is no part of a question; there are {known}")));
                }
            }
        }
        Ok(words)
    }

    /// What is asked.
    ///
    /// # Errors
    /// Words that do not go together.
    pub fn ask(&self) -> Result<Ask, Problem> {
        let bad = |error: &str| Err(Problem::bad(error, EXAMPLES));
        if self.from.is_some() || self.to.is_some() {
            if self.window.is_some() || self.every.is_some() || self.zone.is_some() || self.panes {
                return bad(
                    "`from` and `to` say which window it is: leave `window`, `every`, `zone` and `panes` out",
                );
            }
            let start = self.from.unwrap_or(Time(-engine::time::TIME_MAX));
            let end = self.to.unwrap_or(Time(engine::time::TIME_MAX));
            return if start < end {
                Ok(Ask::Between(Window { start, end }))
            } else {
                bad("`from` is not before `to`")
            };
        }
        match (self.window, self.every, &self.zone) {
            (None, None, None) if self.panes => Ok(Ask::Panes),
            (None, None, None) => Ok(Ask::Of(Question::Total)),
            (Some(window), None, None) => Ok(Ask::Last(window)),
            (window, Some(every), zone) => {
                let window = window.unwrap_or(every);
                if window.0 % every.0 != 0 || window.0 / every.0 > SLIDES_MAX {
                    return bad("`window` is 1 to 10,000 times `every`");
                }
                match zone {
                    None => Ok(Ask::Of(Question::Windows { window, every })),
                    Some(zone) => days(window, every, zone),
                }
            }
            (_, None, Some(_)) => bad("`zone` says whose days windows are made of: add every=1d"),
        }
    }

    /// The grouping set that is asked for, by the numbers of its columns; `None` for all of a metric.
    ///
    /// # Errors
    /// One that the metric has not.
    pub fn grouping(&self, source: &Source, metric: usize) -> Result<Option<Vec<usize>>, Problem> {
        let Some(names) = &self.by else { return Ok(None) };
        let columns = source.columns();
        let named =
            |by: &Vec<usize>| -> Vec<String> { by.iter().map(|&at| columns[at].path.clone()).collect() };
        let mut wanted = names.clone();
        wanted.sort_unstable();
        let is = |by: &&Vec<usize>| {
            let mut names = named(by);
            names.sort_unstable();
            names == wanted
        };
        let metric = &source.metrics[metric];
        if let Some(by) = metric.by.iter().find(is) {
            return Ok(Some(by.clone()));
        }
        let sets: Vec<String> = metric.by.iter().map(|by| format!("by={}", named(by).join(","))).collect();
        let error = format!(
            "`{}` is not grouped by {}",
            metric.name,
            if names.is_empty() { "nothing".into() } else { names.join(", ") }
        );
        Err(Problem::bad(error, format!("there is {}", sets.join(", or "))))
    }

    /// Whether a group is asked for.
    pub fn wants(&self, answer: &Answer) -> bool {
        let holds = |(name, value): &(String, String)| {
            answer.by.iter().any(|(field, key)| field == name && text(key) == *value) && !answer.other
        };
        self.wanted.iter().all(holds)
    }
}

fn days(window: Span, every: Span, name: &str) -> Result<Ask, Problem> {
    let count = |span: Span| u32::try_from(span.0 / DAY).ok().filter(|_| span.0 % DAY == 0);
    let (Some(window), Some(every)) = (count(window), count(every)) else {
        return Err(Problem::bad(
            "with `zone` windows are made of days",
            "as in ?every=1d&zone=Europe/Berlin",
        ));
    };
    let zone = Zone::new(name);
    let zone = zone.ok_or_else(|| {
        Problem::bad(format!("there is no time zone `{name}`"), "name one of IANA, as in Europe/Berlin")
    })?;
    Ok(Ask::Of(Question::Days { window, every, zone }))
}

fn span(text: &str) -> Result<Span, Problem> {
    let span: Span = text.parse().map_err(|error: String| Problem::bad(error, EXAMPLES))?;
    if span.0 > 0 { Ok(span) } else { Err(Problem::bad("a window is longer than nothing", EXAMPLES)) }
}

/// A value as people write it in a URL.
fn text(key: &Key) -> String {
    match key {
        Key::Null => String::new(),
        Key::String(text) => text.clone(),
        Key::Int(number) => number.to_string(),
        Key::Float(number) => number.to_string(),
        Key::Bool(yes) => yes.to_string(),
    }
}

/// `%41` and `+` as they are meant (application/x-www-form-urlencoded).
pub(crate) fn decoded(text: &str) -> Result<String, Problem> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
                match (digit(), digit()) {
                    (Some(high), Some(low)) => (high * 16 + low) as u8,
                    _ => {
                        return Err(Problem::bad(
                            format!("`{text}` is not encoded as in a URL"),
                            "write % as %25",
                        ));
                    }
                }
            }
            other => other,
        });
    }
    String::from_utf8(out).map_err(|_| Problem::bad(format!("`{text}` is no UTF-8"), "encode text as UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(query: &str) -> Result<Ask, String> {
        Words::read(query).and_then(|words| words.ask()).map_err(|problem| problem.error)
    }

    #[test]
    fn questions_are_read() {
        let second = engine::time::SECOND;
        let span = |seconds: i64| Span(seconds * second);
        let check = |query: &str, expected: Ask| assert_eq!(ask(query), Ok(expected), "{query}");
        check("", Ask::Of(Question::Total));
        check("panes", Ask::Panes);
        check("window=5m", Ask::Last(span(300)));
        check("every=1h", Ask::Of(Question::Windows { window: span(3_600), every: span(3_600) }));
        check("window=1d&every=1h", Ask::Of(Question::Windows { window: span(86_400), every: span(3_600) }));
        let window = Window { start: Time(0), end: Time(60 * second) };
        check("from=1970-01-01&to=1970-01-01T00:01:00Z", Ask::Between(window));
        check("from=1970-01-01T01%3A00%3A00%2B01:00&to=1970-01-01T00:01:00", Ask::Between(window));
    }

    #[test]
    fn what_makes_no_question_says_so() {
        let check = |query: &str, part: &str| {
            let error = ask(query).expect_err(query);
            assert!(error.contains(part), "{query}: {error}");
        };
        check("windows=5m", "`windows` is no part of a question");
        check("window=5 parsecs", "is not a length of time");
        check("window=0s", "longer than nothing");
        check("window=90s&every=1m", "times `every`");
        check("from=yesterday", "`yesterday` is no time");
        check("from=2026-01-02&to=2026-01-01", "not before");
        check("from=2026-01-02&window=1h", "leave `window`");
        check("zone=Europe/Berlin", "add every=1d");
        check("every=1d&zone=Europe/Atlantis", "no time zone");
        check("every=1h&zone=Europe/Berlin", "made of days");
        check("where=ios", "names no value");
        check("by=%zz", "not encoded");
        check("limit=many", "no number of rows");
    }
}

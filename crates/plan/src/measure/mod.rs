//! Measure expressions: `unique(user_id)`, `top(upper(country), 10)`, `sum(price * qty) filter (where event = 'purchase')`.
//!
//! ```text
//! measure = name "(" [ arg { "," arg } ] ")" [ "filter" "(" "where" sql ")" ]
//! arg     = path | number | "[" number { "," number } "]" | sql | name "=>" (path | sql | text)
//! path    = part { "." part }          part = letter or _, then letters, digits, _ | '"' anything else '"'
//! ```
//!
//! The call is read here; what is SQL is found, kept as text with its place, and read by `expr`.

mod args;
mod call;
mod cursor;

use crate::problem::{did_you_mean, listed};
use args::arguments;
use call::Call;
use cursor::Cursor;
use engine::time::Span;
use std::ops::Range;

/// Most items of a `top`.
pub(crate) const TOP_MAX: usize = 10_000;
/// Items of a `top` that does not say how many.
const TOP_DEFAULT: usize = 10;
/// Most events of a `sample`.
pub(crate) const SAMPLE_MAX: usize = 100_000;
/// Sessions that are held at once when `open` does not say, and at most.
pub(crate) const OPEN_DEFAULT: usize = 1_000_000;
const OPEN_MAX: u64 = 1_000_000_000;
/// Most quantiles of one metric.
const QUANTILES_MAX: usize = 100;
/// Most buckets of one histogram.
const BUCKETS_MAX: usize = 1_000;
/// Quantiles that are reported when none are named.
pub(crate) const QUANTILES_DEFAULT: [f64; 5] = [0.5, 0.9, 0.95, 0.99, 0.999];

/// A measure as it was written. Ranges are bytes of the expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Written {
    /// Which state is kept.
    pub what: What,
    /// What it reads; `None` for `count()` and `sample(k)`.
    pub operand: Option<Operand>,
    /// What an event weighs.
    pub weight: Option<Operand>,
    /// The columns that `sample(k, ...)` shows; empty for all.
    pub shown: Vec<Operand>,
    /// Which events enter.
    pub filter: Option<Operand>,
}

/// A field or an SQL expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Operand {
    /// The path of the field, without quotes, or the text of the expression.
    pub text: String,
    /// Whether it is an expression.
    pub is_sql: bool,
    /// Where it stands.
    pub span: Range<usize>,
}

/// The states that can be asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    Count,
    Sum,
    Min,
    Max,
    Avg,
    Stddev,
    Unique,
    Freq,
    Top { k: usize },
    Quantiles { at: Vec<f64> },
    Histogram { bounds: Option<Vec<f64>> },
    Seen,
    Audience,
    Sample { k: usize },
    Session { gap: Span, open_max: usize },
}

impl What {
    /// Whether the field must be a number.
    pub fn is_numeric(&self) -> bool {
        match self {
            What::Count | What::Unique | What::Freq | What::Top { .. } => false,
            What::Seen | What::Audience | What::Sample { .. } | What::Session { .. } => false,
            What::Sum | What::Min | What::Max | What::Avg | What::Stddev => true,
            What::Quantiles { .. } | What::Histogram { .. } => true,
        }
    }
}

/// What is wrong with an expression, and where in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    pub message: String,
    pub span: Range<usize>,
    pub hint: Option<String>,
}

/// Names of all measures.
const NAMES: [&str; 15] = [
    "count",
    "sum",
    "min",
    "max",
    "avg",
    "stddev",
    "unique",
    "freq",
    "top",
    "quantiles",
    "histogram",
    "seen",
    "audience",
    "sample",
    "session",
];
/// Measures of the design that this version does not have.
const UNBUILT: [&str; 6] = ["funnel", "retention", "similar", "nearest", "together", "score"];
/// What people who know other tools write.
const OTHER_NAMES: [(&str, &str); 13] = [
    ("distinct", "unique"),
    ("approx_distinct", "unique"),
    ("approx_count_distinct", "unique"),
    ("cardinality", "unique"),
    ("mean", "avg"),
    ("average", "avg"),
    ("std", "stddev"),
    ("median", "quantiles"),
    ("percentile", "quantiles"),
    ("percentiles", "quantiles"),
    ("frequency", "freq"),
    ("sessions", "session"),
    ("sessionize", "session"),
];

const SHAPE: &str = "a measure is one call, as in `unique(user_id)` or `top(page, 50)`";

/// Whether a name is that of a measure.
pub(crate) fn is_measure(name: &str) -> bool {
    NAMES.contains(&name) || UNBUILT.contains(&name)
}

/// Reads an expression. The first fault ends it: what follows would be guesses.
pub(crate) fn parse(text: &str) -> Result<Written, Fault> {
    let mut cursor = Cursor::new(text);
    cursor.blanks();
    if cursor.rest().is_empty() {
        return Err(fault(0..text.len(), "the measure is empty", SHAPE));
    }
    let Some((name, name_span)) = cursor.word() else {
        return Err(fault(cursor.at..text.trim_end().len(), "this is no measure", SHAPE));
    };
    let name = known(name, &name_span)?;
    cursor.blanks();
    if !cursor.eat('(') {
        let hint =
            if name == "count" { "write `count()`".to_string() } else { format!("write `{name}(field)`") };
        return Err(fault(name_span, &format!("`{name}` lacks its parentheses"), &hint));
    }
    let args = arguments(&mut cursor, name)?;
    let span = name_span.start..cursor.at;
    cursor.blanks();
    let filter = if cursor.rest().is_empty() { None } else { Some(filter(&mut cursor)?) };
    let written = Call { name, args, span }.written()?;
    Ok(Written { filter, ..written })
}

/// `filter (where ...)`, and nothing behind it.
fn filter(cursor: &mut Cursor<'_>) -> Result<Operand, Fault> {
    const HINT: &str = "only a filter may follow, as in `count() filter (where status >= 500)`";
    let start = cursor.at;
    let rest = start..cursor.text.trim_end().len();
    let wrong = || fault(rest.clone(), "this is no part of a measure", HINT);
    if !cursor.eat_word("filter") {
        return Err(wrong());
    }
    cursor.blanks();
    let open = cursor.at;
    if !cursor.eat('(') {
        return Err(wrong());
    }
    cursor.blanks();
    if !cursor.eat_word("where") {
        return Err(fault(rest, "`filter` lacks its `where`", HINT));
    }
    cursor.blanks();
    let span = cursor.until(&[')']).ok_or_else(|| cursor.unclosed("filter", open))?;
    cursor.eat(')');
    cursor.blanks();
    if !cursor.rest().is_empty() {
        let span = cursor.at..cursor.text.trim_end().len();
        return Err(fault(span, "this is no part of a measure", "nothing follows a filter"));
    }
    let text = cursor.text[span.clone()].to_string();
    Ok(Operand { text, is_sql: true, span })
}

/// The measure of that name, as the table spells it.
fn known(name: &str, span: &Range<usize>) -> Result<&'static str, Fault> {
    if let Some(name) = NAMES.into_iter().find(|known| *known == name) {
        return Ok(name);
    }
    if UNBUILT.contains(&name) {
        let message = format!("measure `{name}` is not supported by this version");
        return Err(Fault {
            message,
            span: span.clone(),
            hint: Some(format!("there are {}", listed(&NAMES))),
        });
    }
    let lower = name.to_lowercase();
    let other = OTHER_NAMES.into_iter().find(|(other, _)| *other == lower).map(|(_, ours)| ours);
    let hint = match other.or_else(|| did_you_mean(name, NAMES)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("there are {}", listed(&NAMES)),
    };
    Err(Fault { message: format!("unknown measure `{name}`"), span: span.clone(), hint: Some(hint) })
}

fn fault(span: Range<usize>, message: &str, hint: &str) -> Fault {
    let hint = Some(hint.to_string()).filter(|hint| !hint.is_empty());
    Fault { message: message.to_string(), span, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measure_is_read() {
        for (text, what, field) in [
            ("count()", What::Count, None),
            (" sum ( x ) ", What::Sum, Some("x")),
            ("min(actor.id)", What::Min, Some("actor.id")),
            ("max(\"odd name\")", What::Max, Some("odd name")),
            ("avg(a.\"b c\".d)", What::Avg, Some("a.b c.d")),
            ("stddev(_x1)", What::Stddev, Some("_x1")),
            ("unique(größe)", What::Unique, Some("größe")),
            ("freq(ip)", What::Freq, Some("ip")),
            ("top(page)", What::Top { k: 10 }, Some("page")),
            ("top(page, 1e2)", What::Top { k: 100 }, Some("page")),
            ("quantiles(x)", What::Quantiles { at: QUANTILES_DEFAULT.to_vec() }, Some("x")),
            ("quantiles(x, 0, .5, 1)", What::Quantiles { at: vec![0.0, 0.5, 1.0] }, Some("x")),
            ("quantiles(x, [0.5, 0.99,])", What::Quantiles { at: vec![0.5, 0.99] }, Some("x")),
            ("histogram(x)", What::Histogram { bounds: None }, Some("x")),
            ("histogram(x,-1,+2.5,1e1)", What::Histogram { bounds: Some(vec![-1.0, 2.5, 10.0]) }, Some("x")),
        ] {
            let got = parse(text).unwrap_or_else(|f| panic!("{text}: {f:?}"));
            assert_eq!((got.what, got.operand.as_ref().map(|o| o.text.as_str())), (what, field), "{text}");
        }
    }

    /// Message (part), the text it points at, and a part of the hint.
    fn check(text: &str, message: &str, at: &str, hint: &str) {
        let fault = parse(text).expect_err(text);
        assert!(fault.message.contains(message), "{text}: {fault:?}");
        assert_eq!(&text[fault.span.clone()], at, "{text}: {fault:?}");
        assert!(fault.hint.as_deref().unwrap_or("").contains(hint), "{text}: {fault:?}");
    }

    #[test]
    fn what_is_sql_is_kept_as_text_with_its_place() {
        for (text, operand, weight, filter) in [
            ("sum(x) filter (where a = 1)", "x", "", "a = 1"),
            ("sum(x)FILTER(WHERE f(')') > 1 )", "x", "", "f(')') > 1"),
            ("sum(a + b)", "a + b", "", ""),
            ("sum(-x)", "-x", "", ""),
            ("top(upper(a, ','), 10)", "upper(a, ',')", "", ""),
            ("top(\"a,b\" || x, 5, weight => n)", "\"a,b\" || x", "n", ""),
            ("freq(ip, weight=>coalesce(bytes, 0))", "ip", "coalesce(bytes, 0)", ""),
            ("seen(user_id) filter (where buy)", "user_id", "", "buy"),
        ] {
            let got = parse(text).unwrap_or_else(|f| panic!("{text}: {f:?}"));
            let of = |operand: &Option<Operand>| operand.as_ref().map_or(String::new(), |o| o.text.clone());
            let all = (of(&got.operand), of(&got.weight), of(&got.filter));
            assert_eq!(all, (operand.into(), weight.into(), filter.into()), "{text}");
            for operand in [got.operand, got.weight, got.filter].into_iter().flatten() {
                assert!(!operand.is_sql || text[operand.span.clone()] == operand.text, "{text}: {operand:?}");
            }
        }
        for (text, gap, open_max) in [
            ("session(user, gap => '30m')", 1_800_000_000, OPEN_DEFAULT),
            ("session(lower(user), open=>'50k', gap=>'10us')", 10, 50_000),
            ("session(user, gap => '1h', open => 7) filter (where not bot)", 3_600_000_000, 7),
        ] {
            let got = parse(text).unwrap_or_else(|f| panic!("{text}: {f:?}"));
            assert_eq!(got.what, What::Session { gap: Span(gap), open_max }, "{text}");
        }
        let sample = parse("sample(3, user, a + b)").unwrap();
        let shown: Vec<(&str, bool)> = sample.shown.iter().map(|o| (o.text.as_str(), o.is_sql)).collect();
        assert_eq!((sample.what, shown), (What::Sample { k: 3 }, vec![("user", false), ("a + b", true)]));
    }

    #[test]
    fn faults_point_at_the_part_that_is_wrong() {
        check("", "empty", "", "");
        check("unqiue(x)", "unknown measure", "unqiue", "`unique`");
        check("COUNT()", "unknown measure", "COUNT", "`count`");
        check("median(x)", "unknown measure", "median", "`quantiles`");
        check("funnel(x)", "not supported by this version", "funnel", "");
        check("sum(x) / 2", "no part of a measure", "/ 2", "only a filter");
        check("(count())", "no measure", "(count())", "");
        check("count(distinct x)", "takes no argument", "distinct x", "unique(field)");
        check("sum(x) filter (a)", "lacks its `where`", "filter (a)", "");
        check("sum(x) filter (where a", "not closed", "(", "");
        check("sum(x) filter (where a) b", "no part of a measure", "b", "");
        check("sum(x, weight => n)", "takes no `weight`", "weight => n", "multiply");
        check("top(x, size => n)", "no argument `size`", "size => n", "weight");
        check("top(x, weight =>)", "missing", "", "");
        check("sample()", "whole number of events", "sample()", "");
        check("sample(x)", "whole number of events", "x", "");
        check("sample(0)", "whole number of events", "0", "");
        check("sample(5, 6)", "then fields", "6", "");
        check("session(user)", "does not say its `gap`", "session(user)", "gap => '30m'");
        check("session()", "needs a field", "session()", "");
        check("session(user, 30m)", "not a number", "30m", "");
        check("session(user, '30m')", "one field, `gap` and `open`", "'30m'", "gap => '30m'");
        check("session(user, gap => 30m)", "in quotes", "gap => 30m", "gap => '30m'");
        check("session(user, gap => '30')", "not a length of time", "gap => '30'", "gap => '30m'");
        check("session(user, gap => '0s')", "longer than nothing", "gap => '0s'", "");
        check("session(user, gap => '1s', gap => '2s')", "twice", "gap => '2s'", "");
        check("session(user, gap => '1s', open => '0')", "1 to 1000000000", "open => '0'", "open => '1M'");
        check("session(user, gap => '1s', open => 'many')", "1 to 1000000000", "open => 'many'", "");
        check("session(user, gap => '1s', weight => n)", "no argument `weight`", "weight => n", "`gap`");
        check("session(user, gap => '1s', 5)", "one field, `gap` and `open`", "5", "");
        check("count", "lacks its parentheses", "count", "count()");
        check("count(x)", "takes no argument", "x", "");
        check("sum()", "needs a field", "sum()", "");
        check("sum(1)", "needs a field first", "1", "");
        check("sum(x, y)", "one field and nothing else", "y", "");
        check("sum(x", "not closed", "(", "");
        check("sum(a.)", "ends with a dot", "a.", "");
        check("sum(,)", "argument is missing", ",", "");
        check("sum(\"x)", "not closed", "\"x)", "");
        check("sum(\"\")", "empty", "\"\"", "");
        check("top(x, 0)", "1 to 10000", "0", "");
        check("top(x, 10001)", "1 to 10000", "10001", "");
        check("top(x, 2.5)", "1 to 10000", "2.5", "");
        check("top(x, y)", "1 to 10000", "y", "");
        check("top(x, 1, 2)", "a field and a number", "2", "");
        check("top(x, 1x)", "not a number", "1x", "");
        check("top(x, -)", "not a number", "-", "");
        check("quantiles(x, 99)", "between 0 and 1", "99", "0.99");
        check("quantiles(x, 0.5, 0.5)", "twice", "0.5", "");
        check("quantiles(x, y)", "then numbers", "y", "");
        check("quantiles(x, [])", "list is empty", "[]", "");
        check("quantiles(x, [0.5", "not closed", "[0.5", "");
        check("quantiles(x, [a])", "not a number", "a", "");
        check("histogram(x, 1, 1)", "not above", "1", "");
        check("histogram(x, 1e999)", "not a number", "1e999", "");
    }
}

//! Measure expressions: `unique(user_id)`, `top(page, 50)`, `quantiles(latency_ms, 0.5, 0.99)`.
//!
//! ```text
//! measure = name "(" [ arg { "," arg } ] ")"
//! arg     = path | number | "[" number { "," number } "]"
//! path    = part { "." part }          part = letter or _, then letters, digits, _ | '"' anything else '"'
//! ```
//!
//! Only calls are known here: filters, arithmetic and functions of fields are SQL and belong to a later version, so
//! they are named as such, at their column, rather than as a syntax error.

use crate::problem::{did_you_mean, listed};
use std::ops::Range;

/// Most items of a `top`.
pub(crate) const TOP_MAX: usize = 10_000;
/// Items of a `top` that does not say how many.
const TOP_DEFAULT: usize = 10;
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
    /// The field it reads: path and place. None for `count()` only.
    pub field: Option<(String, Range<usize>)>,
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
}

impl What {
    /// Whether the field must be a number.
    pub fn is_numeric(&self) -> bool {
        match self {
            What::Count | What::Unique | What::Freq | What::Top { .. } => false,
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
const NAMES: [&str; 11] =
    ["count", "sum", "min", "max", "avg", "stddev", "unique", "freq", "top", "quantiles", "histogram"];
/// Measures of the design that this version does not have.
const UNBUILT: [&str; 10] = [
    "audience",
    "seen",
    "funnel",
    "retention",
    "session",
    "similar",
    "nearest",
    "together",
    "sample",
    "score",
];
/// What people who know other tools write.
const OTHER_NAMES: [(&str, &str); 11] = [
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
];

const SQL: &str = "SQL expressions inside measures are not supported by this version";
const SHAPE: &str = "a measure is one call, as in `unique(user_id)` or `top(page, 50)`";

/// Reads an expression. The first fault ends it: what follows would be guesses.
pub(crate) fn parse(text: &str) -> Result<Written, Fault> {
    let mut cursor = Cursor { text, at: 0 };
    cursor.blanks();
    if cursor.rest().is_empty() {
        return Err(cursor.fault(0..text.len(), "the measure is empty", Some(SHAPE)));
    }
    let Some((name, name_span)) = cursor.word() else {
        return Err(cursor.fault(cursor.at..text.len(), SQL, Some(SHAPE)));
    };
    let name = known(name, &name_span)?;
    cursor.blanks();
    if !cursor.eat('(') {
        let hint =
            if name == "count" { "write `count()`".to_string() } else { format!("write `{name}(field)`") };
        return Err(cursor.fault(name_span, &format!("`{name}` lacks its parentheses"), Some(&hint)));
    }
    let open = cursor.at - 1;
    let args = arguments(&mut cursor, name, open)?;
    let close = cursor.at;
    cursor.blanks();
    if !cursor.rest().is_empty() {
        return Err(cursor.fault(cursor.at..text.trim_end().len(), SQL, Some(SHAPE)));
    }
    Call { name, args, span: name_span.start..close }.written()
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

/// One argument of a call.
#[derive(Debug)]
enum Arg {
    Field(String, Range<usize>),
    Number(f64, Range<usize>),
    List(Vec<(f64, Range<usize>)>, Range<usize>),
}

impl Arg {
    fn span(&self) -> Range<usize> {
        match self {
            Arg::Field(_, span) | Arg::Number(_, span) | Arg::List(_, span) => span.clone(),
        }
    }
}

/// Everything between the parentheses; ends behind the closing one.
fn arguments(cursor: &mut Cursor<'_>, name: &str, open: usize) -> Result<Vec<Arg>, Fault> {
    let mut args = Vec::new();
    cursor.blanks();
    if cursor.eat(')') {
        return Ok(args);
    }
    loop {
        args.push(argument(cursor, name)?);
        cursor.blanks();
        if cursor.eat(')') {
            return Ok(args);
        }
        let after_field = matches!(args.last(), Some(Arg::Field(..)));
        if !cursor.eat(',') {
            return Err(cursor.between(name, open, after_field));
        }
        cursor.blanks();
    }
}

fn argument(cursor: &mut Cursor<'_>, name: &str) -> Result<Arg, Fault> {
    let start = cursor.at;
    match cursor.peek() {
        None => Err(cursor.fault(start..start, "the measure ends where an argument should be", Some(SHAPE))),
        Some('[') => list(cursor),
        Some(c) if c.is_ascii_digit() || matches!(c, '-' | '+' | '.') => {
            cursor.number().map(|(n, s)| Arg::Number(n, s))
        }
        Some(c) if is_word_start(c) || c == '"' => field(cursor, name),
        Some(',' | ')') => Err(cursor.fault(start..start + 1, "an argument is missing here", Some(SHAPE))),
        Some('*') if name == "count" => Err(cursor.fault(start..start + 1, SQL, Some("write `count()`"))),
        Some(c) => Err(cursor.fault(start..start + c.len_utf8(), SQL, Some(SHAPE))),
    }
}

/// A path of fields; a name that is called like a function is SQL.
fn field(cursor: &mut Cursor<'_>, name: &str) -> Result<Arg, Fault> {
    let start = cursor.at;
    let mut path = String::new();
    loop {
        if cursor.peek() == Some('"') {
            path.push_str(cursor.quoted()?);
        } else if let Some((word, _)) = cursor.word() {
            path.push_str(word);
        } else {
            return Err(cursor.fault(
                start..cursor.at,
                "the path ends with a dot",
                Some("name the member after the dot"),
            ));
        }
        if !cursor.eat('.') {
            break;
        }
        path.push('.');
    }
    let end = cursor.at;
    cursor.blanks();
    if cursor.peek() == Some('(') {
        return Err(cursor.fault(start..end, SQL, Some("a measure takes the name of a field")));
    }
    if name == "count" && path.eq_ignore_ascii_case("distinct") {
        return Err(cursor.fault(start..end, SQL, Some("distinct values are counted by `unique(field)`")));
    }
    Ok(Arg::Field(path, start..end))
}

fn list(cursor: &mut Cursor<'_>) -> Result<Arg, Fault> {
    let start = cursor.at;
    cursor.eat('[');
    let mut numbers = Vec::new();
    loop {
        cursor.blanks();
        if cursor.eat(']') {
            return Ok(Arg::List(numbers, start..cursor.at));
        }
        numbers.push(cursor.number()?);
        cursor.blanks();
        if !cursor.eat(',') && cursor.peek() != Some(']') {
            return Err(cursor.fault(start..cursor.at, "the list is not closed by `]`", None));
        }
    }
}

/// A position in the expression.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, c: char) -> bool {
        let there = self.peek() == Some(c);
        self.at += if there { c.len_utf8() } else { 0 };
        there
    }

    fn fault(&self, span: Range<usize>, message: &str, hint: Option<&str>) -> Fault {
        Fault { message: message.to_string(), span, hint: hint.map(str::to_string) }
    }

    fn word(&mut self) -> Option<(&'a str, Range<usize>)> {
        let rest = self.rest();
        rest.chars().next().filter(|c| is_word_start(*c))?;
        let len = rest.find(|c: char| !is_word_start(c) && !c.is_ascii_digit()).unwrap_or(rest.len());
        let span = self.at..self.at + len;
        self.at += len;
        Some((&rest[..len], span))
    }

    /// A name in double quotes, which may hold anything but a double quote.
    fn quoted(&mut self) -> Result<&'a str, Fault> {
        let start = self.at;
        match self.rest()[1..].find('"') {
            None => Err(self.fault(start..self.text.len(), "the quoted name is not closed", None)),
            Some(0) => Err(self.fault(start..start + 2, "the name of a field is empty", None)),
            Some(len) => {
                self.at += len + 2;
                Ok(&self.text[start + 1..start + 1 + len])
            }
        }
    }

    fn number(&mut self) -> Result<(f64, Range<usize>), Fault> {
        let (rest, start) = (self.rest(), self.at);
        let mut len = 0;
        for c in rest.chars() {
            let exponent_sign = matches!(c, '-' | '+') && rest[..len].ends_with(['e', 'E']);
            let sign = matches!(c, '-' | '+') && len == 0;
            if !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || exponent_sign || sign) {
                break;
            }
            len += c.len_utf8();
        }
        self.at += len;
        let shown = if len == 0 {
            self.peek().map(String::from).unwrap_or_default()
        } else {
            rest[..len].to_string()
        };
        let digits = rest[..len].contains(|c: char| c.is_ascii_digit());
        match rest[..len].parse::<f64>() {
            Ok(n) if n.is_finite() && digits => Ok((n, start..self.at)),
            _ => Err(self.fault(start..start + shown.len(), &format!("`{shown}` is not a number"), None)),
        }
    }

    /// What stands where a comma or the closing parenthesis should be.
    fn between(&self, name: &str, open: usize, after_field: bool) -> Fault {
        match self.peek() {
            None => {
                let message = format!("the parenthesis of `{name}` is not closed");
                self.fault(open..open + 1, &message, Some("add `)` at the end"))
            }
            Some(c) => {
                let quote = after_field && !c.is_whitespace() && !is_word_start(c);
                let hint = if quote {
                    "a name with other characters stands in double quotes, and the whole then in single ones: 'unique(\"user-agent\")'"
                } else {
                    SHAPE
                };
                let len = self.word_len().max(c.len_utf8());
                self.fault(self.at..self.at + len, SQL, Some(hint))
            }
        }
    }

    fn word_len(&self) -> usize {
        let rest = self.rest();
        rest.find(|c: char| !is_word_start(c) && !c.is_ascii_digit()).unwrap_or(rest.len())
    }
}

fn is_word_start(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

/// A call whose arguments are to be judged.
struct Call {
    name: &'static str,
    args: Vec<Arg>,
    span: Range<usize>,
}

impl Call {
    fn written(self) -> Result<Written, Fault> {
        if self.name == "count" {
            return match self.args.first() {
                None => Ok(Written { what: What::Count, field: None }),
                Some(arg) => {
                    let hint = "it counts events; `unique(field)` counts distinct values";
                    Err(fault(arg.span(), "`count` takes no argument", hint))
                }
            };
        }
        let name = self.name;
        let example = format!("as in `{name}(user_id)`");
        let mut args = self.args.into_iter();
        let field = match args.next() {
            Some(Arg::Field(path, span)) => Some((path, span)),
            Some(arg) => return Err(fault(arg.span(), &format!("`{name}` needs a field first"), &example)),
            None => return Err(fault(self.span, &format!("`{name}` needs a field"), &example)),
        };
        let rest: Vec<Arg> = args.collect();
        let what = match name {
            "top" => What::Top { k: top_k(&rest)? },
            "quantiles" => What::Quantiles { at: quantiles(rest)? },
            "histogram" => What::Histogram { bounds: buckets(rest)? },
            _ => {
                if let Some(extra) = rest.first() {
                    return Err(fault(
                        extra.span(),
                        &format!("`{name}` takes one field and nothing else"),
                        &example,
                    ));
                }
                plain(name)
            }
        };
        Ok(Written { what, field })
    }
}

/// The measures that take a field and nothing else.
fn plain(name: &str) -> What {
    match name {
        "sum" => What::Sum,
        "min" => What::Min,
        "max" => What::Max,
        "avg" => What::Avg,
        "stddev" => What::Stddev,
        "freq" => What::Freq,
        _ => What::Unique,
    }
}

fn top_k(rest: &[Arg]) -> Result<usize, Fault> {
    match rest {
        [] => Ok(TOP_DEFAULT),
        [Arg::Number(k, _)] if k.fract() == 0.0 && (1.0..=TOP_MAX as f64).contains(k) => Ok(*k as usize),
        [one] => Err(fault(
            one.span(),
            &format!("`top` needs a whole number of items, 1 to {TOP_MAX}"),
            "as in `top(page, 50)`",
        )),
        [_, extra, ..] => {
            Err(fault(extra.span(), "`top` takes a field and a number of items", "as in `top(page, 50)`"))
        }
    }
}

fn quantiles(rest: Vec<Arg>) -> Result<Vec<f64>, Fault> {
    let numbers = numbers(rest, "quantiles", QUANTILES_MAX)?;
    if numbers.is_empty() {
        return Ok(QUANTILES_DEFAULT.to_vec());
    }
    for (i, (q, span)) in numbers.iter().enumerate() {
        if !(0.0..=1.0).contains(q) {
            return Err(fault(
                span.clone(),
                "a quantile lies between 0 and 1",
                "write 0.99 for the 99th percentile",
            ));
        }
        if numbers[..i].iter().any(|(other, _)| other == q) {
            return Err(fault(span.clone(), "this quantile is asked for twice", "leave it out"));
        }
    }
    Ok(numbers.into_iter().map(|(q, _)| q).collect())
}

fn buckets(rest: Vec<Arg>) -> Result<Option<Vec<f64>>, Fault> {
    let numbers = numbers(rest, "histogram", BUCKETS_MAX)?;
    if let Some(pair) = numbers.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
        let hint = "upper bounds of buckets go up, as in `histogram(x, 1, 2.5, 10)`";
        return Err(fault(pair[1].1.clone(), "this bound is not above the one before it", hint));
    }
    Ok((!numbers.is_empty()).then(|| numbers.into_iter().map(|(bound, _)| bound).collect()))
}

/// Numbers, whether they were written one by one or in lists.
fn numbers(rest: Vec<Arg>, name: &str, max: usize) -> Result<Vec<(f64, Range<usize>)>, Fault> {
    let mut out = Vec::new();
    for arg in rest {
        match arg {
            Arg::Number(n, span) => out.push((n, span)),
            Arg::List(list, span) if list.is_empty() => {
                return Err(fault(span, "the list is empty", "leave it out for the default"));
            }
            Arg::List(list, _) => out.extend(list),
            Arg::Field(_, span) => {
                return Err(fault(
                    span,
                    &format!("`{name}` takes one field, then numbers"),
                    "use one metric per field",
                ));
            }
        }
    }
    match out.get(max) {
        None => Ok(out),
        Some((_, span)) => {
            Err(fault(span.clone(), &format!("`{name}` takes at most {max} numbers"), "use fewer"))
        }
    }
}

fn fault(span: Range<usize>, message: &str, hint: &str) -> Fault {
    Fault { message: message.to_string(), span, hint: Some(hint.to_string()) }
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
            assert_eq!((got.what, got.field.as_ref().map(|(p, _)| p.as_str())), (what, field), "{text}");
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
    fn what_is_sql_is_called_so_where_it_begins() {
        let sql = "SQL expressions inside measures";
        check("sum(x) filter (where a = 1)", sql, "filter (where a = 1)", "");
        check("sum(x) / 2", sql, "/ 2", "");
        check("sum(a + b)", sql, "+", "");
        check("sum(abs(x))", sql, "abs", "");
        check("unique(user-agent)", sql, "-", "double quotes");
        check("unique(a || b)", sql, "|", "");
        check("top('page')", sql, "'", "");
        check("count(*)", sql, "*", "`count()`");
        check("count(distinct x)", sql, "distinct", "unique(field)");
        check("unique(x y)", sql, "y", "one call");
        check("(count())", sql, "(count())", "");
    }

    #[test]
    fn faults_point_at_the_part_that_is_wrong() {
        check("", "empty", "", "");
        check("unqiue(x)", "unknown measure", "unqiue", "`unique`");
        check("COUNT()", "unknown measure", "COUNT", "`count`");
        check("median(x)", "unknown measure", "median", "`quantiles`");
        check("seen(x)", "not supported by this version", "seen", "");
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

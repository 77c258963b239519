//! A TOML document as a tree in which every key and value knows where it was written.
//!
//! Entries are in the order of the file, not of the alphabet: fields and metrics are numbered by it.

use crate::problem::{Place, Problem, Problems};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Longest pipeline file, in bytes.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// Deepest table; the deepest key of a pipeline file has five parts.
const DEPTH_MAX: usize = 64;

/// A value and where it was written.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub value: Value,
    pub place: Place,
}

/// A TOML value.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    String(String),
    Integer(i64),
    Bool(bool),
    Array(Vec<Node>),
    Table(Table),
    /// What no key of a pipeline file takes: a float, a date, an integer beyond 64 bits.
    Other(&'static str),
}

impl Value {
    /// What it is, in words that fit after "not".
    pub fn kind(&self) -> &'static str {
        match self {
            Value::String(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Bool(_) => "a boolean",
            Value::Array(_) => "an array",
            Value::Table(_) => "a table",
            Value::Other(kind) => kind,
        }
    }
}

/// Keys and values in the order of the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub entries: Vec<Entry>,
}

impl Table {
    /// The entry of a key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// One key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub key: String,
    pub key_place: Place,
    pub node: Node,
}

/// Reads the file (text 0 of `problems`). Syntax errors become problems, one a line: what follows on the line of an
/// error is mostly its echo.
pub(crate) fn parse(text: &str, problems: &mut Problems) -> Table {
    if text.len() > TEXT_BYTES_MAX {
        problems.push(Problem::of_file(format!("the file is larger than {TEXT_BYTES_MAX} bytes")));
        return Table::default();
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    // The first one alone: what follows it is mostly its consequence.
    let spanned = errors.iter().map(|error| (error.span().unwrap_or(text.len()..text.len()), error));
    if let Some((span, error)) = spanned.min_by_key(|(span, _)| span.start) {
        let place = Place { text: 0, start: span.start, end: span.end };
        problems.push(
            Problem::at(&place, error.message())
                .label("not TOML from here on")
                .hint("if this line looks right, a bracket or quote before it is not closed"),
        );
    }
    convert_table(document.into_inner(), &Origin { text: 0, shift: 0 }, 0)
}

/// Reads one value of text `number` that begins at `shift`; `None` when it is not TOML.
pub(crate) fn parse_value(value: &str, number: usize, shift: usize) -> Option<Node> {
    let value = DeValue::parse(value).ok()?;
    Some(convert(value, &Origin { text: number, shift }, 0))
}

/// The place of a part of a string's content: the range counts bytes of the decoded string, the place those of the
/// text, with its quotes and escapes. Falls back to the whole string where the two cannot be matched.
pub(crate) fn inside(problems: &Problems, place: &Place, decoded: &str, range: Range<usize>) -> Place {
    let raw = problems.slice(place);
    let offsets = if raw == decoded { (0..=raw.len()).collect() } else { offsets(raw) };
    match (offsets.get(range.start), offsets.get(range.end)) {
        (Some(start), Some(end)) if offsets.len() == decoded.len() + 1 => {
            Place { text: place.text, start: place.start + start, end: place.start + end }
        }
        _ => place.clone(),
    }
}

/// Which text a value comes from, and where it begins there.
struct Origin {
    text: usize,
    shift: usize,
}

impl Origin {
    fn place(&self, span: Range<usize>) -> Place {
        Place { text: self.text, start: span.start + self.shift, end: span.end + self.shift }
    }
}

fn convert_table(table: DeTable<'_>, origin: &Origin, depth: usize) -> Table {
    let mut entries: Vec<Entry> = table
        .into_iter()
        .map(|(key, value)| Entry {
            key_place: origin.place(key.span()),
            key: key.into_inner().into_owned(),
            node: convert(value, origin, depth + 1),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_place.start);
    Table { entries }
}

fn convert(value: Spanned<DeValue<'_>>, origin: &Origin, depth: usize) -> Node {
    let place = origin.place(value.span());
    let value = match value.into_inner() {
        _ if depth > DEPTH_MAX => Value::Other("a table nested this deep"),
        DeValue::String(s) => Value::String(s.into_owned()),
        DeValue::Integer(i) => match i64::from_str_radix(i.as_str(), i.radix()) {
            Ok(i) => Value::Integer(i),
            Err(_) => Value::Other("an integer beyond 64 bits"),
        },
        DeValue::Float(_) => Value::Other("a float"),
        DeValue::Boolean(b) => Value::Bool(b),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Array(array) => {
            Value::Array(array.into_iter().map(|v| convert(v, origin, depth + 1)).collect())
        }
        DeValue::Table(table) => Value::Table(convert_table(table, origin, depth)),
    };
    Node { value, place }
}

/// For each byte of the decoded string where it came from in the TOML token, and where the content ends.
fn offsets(raw: &str) -> Vec<usize> {
    let quote = raw.chars().next().unwrap_or('"');
    let triple = raw.len() >= 6 && raw.as_bytes()[..3].iter().all(|b| *b == quote as u8);
    let width = if triple { 3 } else { 1 };
    let end = raw.len().saturating_sub(width);
    let mut at = width;
    if triple {
        at += if raw[at..].starts_with("\r\n") { 2 } else { usize::from(raw[at..].starts_with('\n')) };
    }
    let mut out = Vec::with_capacity(raw.len());
    while at < end {
        let (taken, bytes) = match raw[at..].chars().next() {
            Some('\\') if quote == '"' => escape(&raw[at..end]),
            Some(c) => {
                out.extend(at..at + c.len_utf8());
                at += c.len_utf8();
                continue;
            }
            None => break,
        };
        out.extend(std::iter::repeat_n(at, bytes));
        at += taken;
    }
    out.push(end.max(width.min(raw.len())));
    out
}

/// The length of the escape that `raw` begins with, and of what it stands for.
fn escape(raw: &str) -> (usize, usize) {
    let digits = match raw[1..].chars().next() {
        Some('x') => 2,
        Some('u') => 4,
        Some('U') => 8,
        Some(c) if c.is_whitespace() => {
            return (1 + raw[1..].len() - raw[1..].trim_start().len(), 0);
        }
        Some(c) => return (1 + c.len_utf8(), 1),
        None => return (1, 1),
    };
    let code =
        raw.get(2..2 + digits).and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32);
    (2 + digits, code.map_or(1, char::len_utf8))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where `part` of the decoded string is found in the TOML text.
    fn check(toml: &str, part: &str, expected: &str) {
        let mut problems = Problems::new(vec![("f".into(), format!("key = {toml}"))]);
        let table = parse(&format!("key = {toml}"), &mut problems);
        assert!(problems.is_empty(), "{problems}");
        let node = &table.entries[0].node;
        let Value::String(decoded) = &node.value else { panic!("{toml} is not a string") };
        let start = decoded.find(part).unwrap();
        let place = inside(&problems, &node.place, decoded, start..start + part.len());
        assert_eq!(problems.slice(&place), expected, "{toml}");
    }

    #[test]
    fn parts_of_strings_are_found_in_the_file() {
        check("'top(page)'", "page", "page");
        check(r#""top(page)""#, "page", "page");
        check(r#""top(\"a b\", x)""#, "x", "x");
        check(r#""top(\"a b\", x)""#, "\"a b\"", r#"\"a b\""#);
        check(r#""\u00e9\U0001F600\x41 page""#, "page", "page");
        check("\"\"\"\ntop(\\\n   page)\"\"\"", "page", "page");
        check("'''\ntop(\"a\")'''", "\"a\"", "\"a\"");
        check("\"é page\"", "page", "page");
        check("\"\"", "", "");
    }

    #[test]
    fn the_order_is_that_of_the_file() {
        let mut problems = Problems::new(vec![("f".into(), String::new())]);
        let table = parse("[z.m]\nb = 1\na = 2\n[y]\n[z.c]\n", &mut problems);
        let keys = |t: &Table| t.entries.iter().map(|e| e.key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&table), ["z", "y"]);
        let Value::Table(z) = &table.entries[0].node.value else { panic!() };
        assert_eq!(keys(z), ["m", "c"]);
        let Value::Table(m) = &z.entries[0].node.value else { panic!() };
        assert_eq!(keys(m), ["b", "a"]);
    }
}

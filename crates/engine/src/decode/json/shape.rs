//! Predicted shapes: what a line looks like apart from its values.
//!
//! A shape is learned from a line that the slow path accepted. It alternates literals (the exact bytes between two
//! values: punctuation, whitespace, keys) with slots for the values. It descends only into objects that hold wanted paths;
//! any other container is one slot. Reading a line verifies the literals word by word and scans the slots straight into the
//! columns. A line that fits is valid JSON of the same structure: the literals are, and each slot checks its value.

use super::scan::{plain_string, scalar, skip_blanks, skip_value};
use super::{Paths, join};
use crate::decode::builder::{ColumnBuilder, Rows};
use crate::decode::value::{Decimal, Scalar, byte, load_two};
use crate::spec::Kind;

/// A longer line teaches nothing: comparing its keys is no longer the cost.
const LITERALS_BYTES_MAX: usize = 16 << 10;

/// What a line looks like apart from its values.
pub(super) struct Shape {
    steps: Vec<Step>,
    last: Literal,
    /// Fields that lines of this shape do not have.
    absent: Vec<usize>,
}

/// Bytes that have to be there: sixteen, of which the first `bytes` count, and those behind.
struct Literal {
    first: u128,
    mask: u128,
    bytes: usize,
    more: Option<Box<[u8]>>,
}

/// A literal and the value behind it.
struct Step {
    literal: Literal,
    slot: Slot,
}

#[derive(Clone, Copy)]
enum Slot {
    /// Any value.
    Skip,
    /// Any value but an object, in which there might be a wanted path.
    SkipNoObject,
    /// A scalar for a text field: mostly a string.
    Text(usize),
    /// A scalar for a double field: mostly a number.
    Float(usize),
    /// A scalar for a field of another kind.
    Field(usize),
    /// A scalar that is the event time.
    Time,
    /// A scalar that is both.
    TimeAndField(usize),
}

impl Shape {
    /// The shape of a line that the slow path accepted, unless it is one that cannot be predicted: with escapes in keys,
    /// with a wanted path that is there twice or holds a container, or overly deep or long.
    pub(super) fn learn(line: &[u8], paths: &Paths) -> Option<Shape> {
        let mut learner = Learner {
            line,
            paths,
            path: String::new(),
            seen: vec![false; paths.len()],
            literal: 0,
            literals_bytes: 0,
            steps: vec![],
        };
        let start = skip_blanks(line, 0);
        let end = learner.object(start, None)?;
        // A literal that ends with `\r` would take it from the line end of another line.
        if skip_blanks(line, end) != line.len() || line.ends_with(b"\r") {
            return None;
        }
        let absent = learner.seen.iter().zip(&paths.0).filter(|(seen, _)| !**seen);
        let absent = absent.filter_map(|(_, path)| path.field).collect();
        Some(Shape { steps: learner.steps, last: Literal::new(&line[learner.literal..]), absent })
    }

    /// Reads the line at `start` into the columns and says where it ends, if it has this shape. If not, the current row
    /// holds some of its values and has to be rolled back.
    #[inline(always)]
    pub(super) fn read(&self, bytes: &[u8], start: usize, rows: &mut Rows) -> Option<usize> {
        let mut at = start;
        for step in &self.steps {
            at = step.literal.verify(bytes, at)?;
            at = match step.slot {
                Slot::Skip => skip_value(bytes, at)?,
                Slot::SkipNoObject if byte(bytes, at) == b'{' => return None,
                Slot::SkipNoObject => skip_value(bytes, at)?,
                Slot::Text(field) => read_text(bytes, at, field, rows)?,
                Slot::Float(field) => read_float(bytes, at, field, rows)?,
                Slot::Field(field) => read_any(bytes, at, field, rows)?,
                Slot::Time => read_time(bytes, at, rows)?,
                Slot::TimeAndField(field) => {
                    read_time(bytes, at, rows)?;
                    read_any(bytes, at, field, rows)?
                }
            };
        }
        at = self.last.verify(bytes, at)?;
        for &field in &self.absent {
            rows.push(field, &Scalar::Null);
        }
        Some(at)
    }
}

impl Literal {
    fn new(bytes: &[u8]) -> Literal {
        let mask = if bytes.len() < 16 { (1 << (8 * bytes.len())) - 1 } else { u128::MAX };
        let more = bytes.get(16..).filter(|more| !more.is_empty()).map(Box::from);
        Literal { first: load_two(bytes, 0), mask, bytes: bytes.len(), more }
    }

    /// What lies behind the literal, if it is there.
    #[inline(always)]
    fn verify(&self, bytes: &[u8], start: usize) -> Option<usize> {
        // Zeros stand for what lies behind the end of the bytes, and no literal holds a zero.
        if (load_two(bytes, start) ^ self.first) & self.mask != 0 {
            return None;
        }
        let end = start + self.bytes;
        match &self.more {
            Some(more) => (bytes.get(start + 16..end) == Some(more)).then_some(end),
            None => Some(end),
        }
    }
}

/// Reads a scalar into a text column. Strings are copied while they are scanned.
#[inline(always)]
fn read_text(bytes: &[u8], at: usize, field: usize, rows: &mut Rows) -> Option<usize> {
    if let ColumnBuilder::String(texts) = &mut rows.columns[field]
        && byte(bytes, at) == b'"'
    {
        return texts.push_until_quote(bytes, at + 1).map(|quote| quote + 1);
    }
    read_any(bytes, at, field, rows)
}

/// Reads a scalar into a column of doubles. Numbers stay in registers.
#[inline(always)]
fn read_float(bytes: &[u8], at: usize, field: usize, rows: &mut Rows) -> Option<usize> {
    if let ColumnBuilder::Float64(numbers) = &mut rows.columns[field]
        && starts_number(byte(bytes, at))
    {
        let (number, end) = Decimal::from_json(bytes, at)?;
        numbers.push(number.to_f64()?);
        return Some(end);
    }
    read_any(bytes, at, field, rows)
}

/// Reads a scalar into its column, whatever both are.
#[inline(never)]
fn read_any(bytes: &[u8], at: usize, field: usize, rows: &mut Rows) -> Option<usize> {
    let (value, end) = scalar(bytes, at)?;
    rows.push(field, &value).then_some(end)
}

#[inline(always)]
fn read_time(bytes: &[u8], at: usize, rows: &mut Rows) -> Option<usize> {
    if starts_number(byte(bytes, at)) {
        return rows.push_time_number(bytes, at);
    }
    read_time_text(bytes, at, rows)
}

#[inline(never)]
fn read_time_text(bytes: &[u8], at: usize, rows: &mut Rows) -> Option<usize> {
    let (time, end) = scalar(bytes, at)?;
    rows.push_time(&time).then_some(end)
}

#[inline(always)]
fn starts_number(first: u8) -> bool {
    first == b'-' || first.is_ascii_digit()
}

/// Walks a line and writes down its shape.
struct Learner<'a> {
    line: &'a [u8],
    paths: &'a Paths,
    /// Path of the current value.
    path: String,
    /// Which wanted paths were met.
    seen: Vec<bool>,
    /// Where the current literal starts.
    literal: usize,
    literals_bytes: usize,
    steps: Vec<Step>,
}

impl Learner<'_> {
    /// Walks an object whose path is the first `parent` bytes. Recursion is bounded by the longest wanted path.
    fn object(&mut self, start: usize, parent: Option<usize>) -> Option<usize> {
        (byte(self.line, start) == b'{').then_some(())?;
        let mut at = skip_blanks(self.line, start + 1);
        if byte(self.line, at) == b'}' {
            return Some(at + 1);
        }
        loop {
            at = self.member(at, parent)?;
            at = skip_blanks(self.line, at);
            match byte(self.line, at) {
                b',' => at = skip_blanks(self.line, at + 1),
                b'}' => return Some(at + 1),
                _ => return None,
            }
        }
    }

    fn member(&mut self, start: usize, parent: Option<usize>) -> Option<usize> {
        (byte(self.line, start) == b'"').then_some(())?;
        let quote = plain_string(self.line, start + 1)?;
        let key = std::str::from_utf8(&self.line[start + 1..quote]).ok()?;
        join(&mut self.path, parent, key);
        let colon = skip_blanks(self.line, quote + 1);
        (byte(self.line, colon) == b':').then_some(())?;
        let at = skip_blanks(self.line, colon + 1);
        let inner = self.paths.lead_through(&self.path);
        let slot = match self.paths.find(&self.path) {
            Some(wanted) => self.wanted(wanted, at)?,
            None if inner && byte(self.line, at) == b'{' => return self.object(at, Some(self.path.len())),
            None if inner => Slot::SkipNoObject,
            None => Slot::Skip,
        };
        self.step(at, slot)?;
        let end = skip_value(self.line, at)?;
        self.literal = end;
        Some(end)
    }

    /// The slot of a wanted path, if it is a scalar and the only one.
    fn wanted(&mut self, wanted: usize, at: usize) -> Option<Slot> {
        let twice = std::mem::replace(&mut self.seen[wanted], true);
        if twice || matches!(byte(self.line, at), b'{' | b'[') {
            return None;
        }
        let path = &self.paths.0[wanted];
        match (path.time, path.field) {
            (true, Some(field)) => Some(Slot::TimeAndField(field)),
            (true, None) => Some(Slot::Time),
            (false, Some(field)) => Some(match path.kind {
                Some(Kind::String) => Slot::Text(field),
                Some(Kind::Float64) => Slot::Float(field),
                _ => Slot::Field(field),
            }),
            (false, None) => None,
        }
    }

    /// Ends the current literal at `at`, where the value of `slot` begins.
    fn step(&mut self, at: usize, slot: Slot) -> Option<()> {
        self.literals_bytes += at - self.literal;
        if self.literals_bytes > LITERALS_BYTES_MAX {
            return None;
        }
        let literal = Literal::new(&self.line[self.literal..at]);
        self.steps.push(Step { literal, slot });
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{BadPolicy, Field, Format, Source};

    fn source(paths: &[&str]) -> Source {
        let field = |path: &&str| Field { path: path.to_string(), kind: Kind::String };
        Source {
            name: "s".into(),
            format: Format::Ndjson,
            fields: paths.iter().map(field).collect(),
            nulls: vec![],
            time: None,
            bad: BadPolicy::Count,
            record_bytes_max: 1 << 20,
            confidence: 0.95,
            metrics: vec![],
        }
    }

    /// Learns from `line`, with `a.b` and `c` wanted, and says whether `other` has its shape.
    fn fits(line: &str, other: &str) -> Option<bool> {
        let source = source(&["a.b", "c"]);
        let block = crate::batch::Block { partition: 0, number: 0, first_byte: 0, bytes: other.as_bytes() };
        let mut rows = Rows::new(&source);
        rows.begin(&block);
        let shape = Shape::learn(line.as_bytes(), &Paths::new(&source))?;
        Some(shape.read(other.as_bytes(), 0, &mut rows) == Some(other.len()))
    }

    #[test]
    fn lines_of_the_same_structure_fit() {
        let line = r#"{"x":1,"c":"text","a":{"b":true,"y":[1]}, "z" : {} }"#;
        for other in [
            line,
            r#"{"x":{"deep":[]},"c":5.5,"a":{"b":null,"y":""}, "z" : 0 }"#,
            r#"{"x":"\n","c":"a longer text than before, much longer","a":{"b":"","y":{}}, "z" : 1 }"#,
        ] {
            assert_eq!(fits(line, other), Some(true), "{other}");
        }
        assert_eq!(fits(r#"{"c":1}"#, r#"{"c":2}"#), Some(true), "a.b is absent");
        assert_eq!(fits(r#" { } "#, r#" { } "#), Some(true), "nothing at all");
    }

    #[test]
    fn lines_of_another_structure_do_not_fit() {
        let line = r#"{"x":1,"c":"text","a":{"b":true}}"#;
        for other in [
            r#"{"x":1,"c":"text","a":{"b":true}"#,
            r#"{"x":1,"c":"te\u0078t","a":{"b":true}}"#,
            r#"{"x":1,"c":[],"a":{"b":true}}"#,
            r#"{"x":1,"c":01,"a":{"b":true}}"#,
            r#"{"x":1,"c":"text","a":{}}"#,
            r#"{"x":1,"c":"text","a":null}"#,
            r#"{"y":1,"c":"text","a":{"b":true}}"#,
            r#"{"x": 1,"c":"text","a":{"b":true}}"#,
            r#"{"x":tru,"c":"text","a":{"b":true}}"#,
            "",
        ] {
            assert_eq!(fits(line, other), Some(false), "{other}");
        }
        assert_eq!(fits(r#"{"a":1}"#, r#"{"a":{"b":1}}"#), Some(false), "a wanted path could be inside");
        assert_eq!(fits(r#"{"a":1}"#, r#"{"a":[{"b":1}]}"#), Some(true), "arrays hold no paths");
    }

    #[test]
    fn what_cannot_be_predicted_is_not_learned() {
        for line in [
            r#"{"\u0063":1}"#,
            r#"{"c":1,"c":2}"#,
            r#"{"a":{"b":1},"a.b":2}"#,
            r#"{"c":[]}"#,
            r#"{"a":{"b":{}}}"#,
            r#"[]"#,
            r#"{"c":1} x"#,
            r#"{"c":1"#,
            r#"{"c":1,}"#,
            "{\"c\":1}\r",
        ] {
            assert_eq!(fits(line, line), None, "{line}");
        }
        let long = format!("{{\"{}\":1}}", "k".repeat(LITERALS_BYTES_MAX));
        assert_eq!(fits(&long, &long), None);
    }
}

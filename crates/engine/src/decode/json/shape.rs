//! Predicted shapes: what a line looks like apart from its values.
//!
//! A shape is learned from a line that the slow path accepted. It alternates literals (the exact bytes between two
//! values: punctuation, whitespace, keys) with slots for the values. It descends only into objects that hold wanted paths;
//! any other container is one slot. Reading a line verifies the literals sixteen bytes at a time and scans the slots
//! straight into the columns. A line that fits is valid JSON of the same structure: the literals are, and each slot checks
//! its value.
//!
//! Where a value starts is known only when the one before has ended, so the time of a line is the sum of what its values
//! take from start to end, and hardly depends on how much else there is to do. Hence what is checked beside that path and
//! what is guessed (the kind of a value, the number of digits of a time), as branches that are predicted.

use super::scan::{plain_string, scalar, skip_blanks, skip_string, skip_value};
use super::{Paths, join};
use crate::decode::builder::{ColumnBuilder, Numbers, Record, Rows};
use crate::decode::digits::{LONG_INTEGER, behind_number, byte, long_integer, short_f64, skip_number};
use crate::decode::lanes::{ALL, LANES, closing_quote, equal, first_stop, piece};
use crate::decode::value::{Decimal, Scalar};
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

/// A literal and the value behind it.
struct Step {
    /// With the opening quote of the value where a string is expected.
    literal: Literal,
    expected: Expected,
    slot: Slot,
}

/// Bytes that have to be there.
struct Literal {
    first: [u8; LANES],
    /// Which of the first bytes do not count, because they are the next value's.
    ignored: u32,
    /// Number of bytes.
    length: usize,
    bytes: Box<[u8]>,
}

/// What a value will most likely be. It is only about speed: whatever else stands there is read by its [`Slot`].
#[derive(Clone, Copy)]
enum Expected {
    /// A string for a text field.
    Text(usize),
    /// A number for a double field.
    Float(usize),
    /// The event time, an integer of that many digits.
    Time(usize),
    /// A string that nobody wants.
    SkipString,
    /// A number that nobody wants.
    SkipNumber,
    /// Nothing in particular.
    Any,
}

/// What becomes of a value.
#[derive(Clone, Copy)]
enum Slot {
    /// Any value, unused.
    Skip,
    /// Any value but an object, in which there might be a wanted path.
    SkipNoObject,
    /// A scalar for a field.
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

    /// Reads lines of this shape from `at` on, and says where the first one starts that has another or is too long.
    #[inline(never)]
    pub(super) fn read_lines(&self, bytes: &[u8], mut at: usize, rows: &mut Rows) -> usize {
        while let Some(line) = bytes.get(at..).filter(|line| !line.is_empty())
            && let Some((length, next)) = self.read(line, rows).and_then(|rest| line_end(line, rest))
            && !rows.too_long(length)
        {
            rows.commit(&Record { line: rows.lines, start: at, bytes: &line[..length] });
            rows.lines += u64::from(next > length);
            at += next;
        }
        rows.roll_back();
        at
    }

    /// Reads the line at the front of `rest` into the columns and says what lies behind it, if it has this shape. If not,
    /// the current row holds some of its values and has to be rolled back.
    #[inline(always)]
    fn read<'a>(&self, mut rest: &'a [u8], rows: &mut Rows) -> Option<&'a [u8]> {
        for step in &self.steps {
            rest = match step.read_expected(rest, rows) {
                Some(rest) => rest,
                None => step.read_any(rest, rows)?,
            };
        }
        rest = self.last.verify(rest).or_else(|| self.last.strip(rest, 0))?;
        for &field in &self.absent {
            rows.push(field, &Scalar::Null);
        }
        Some(rest)
    }
}

impl Step {
    fn new(literal: &[u8], expected: Expected, slot: Slot) -> Step {
        let mut literal = literal.to_vec();
        literal.extend_from_slice(&b"\""[..expected.quote()]);
        Step { literal: Literal::new(&literal), expected, slot }
    }

    /// Reads the literal and a value as expected. `None` says nothing, and leaves no trace in the rows.
    ///
    /// This is where the time goes: a piece of sixteen bytes is compared for the literal, and one is scanned and copied
    /// for a string. `rest` is cut shorter instead of counting a position up, because what the pieces have shown to be
    /// there need not be checked again.
    #[inline(always)]
    fn read_expected<'a>(&self, rest: &'a [u8], rows: &mut Rows) -> Option<&'a [u8]> {
        let rest = self.literal.verify(rest)?;
        match self.expected {
            Expected::Text(field) => read_text(rest, field, rows),
            Expected::Float(field) => read_float(rest, field, rows),
            Expected::Time(n) => read_time(rest, n, rows),
            Expected::SkipString => skip_short_string(rest),
            Expected::SkipNumber => behind_number(rest),
            Expected::Any => self.slot.read(rest, rows),
        }
    }

    /// Reads the literal, without the quote, and any value.
    #[inline(never)]
    fn read_any<'a>(&self, rest: &'a [u8], rows: &mut Rows) -> Option<&'a [u8]> {
        self.slot.read(self.literal.strip(rest, self.expected.quote())?, rows)
    }
}

impl Expected {
    /// How many quotes are part of the literal before the value.
    fn quote(self) -> usize {
        usize::from(matches!(self, Expected::Text(_) | Expected::SkipString))
    }
}

impl Literal {
    fn new(bytes: &[u8]) -> Literal {
        let ignored = ALL & u32::MAX.checked_shl(bytes.len() as u32).unwrap_or(0);
        Literal { first: piece(bytes, 0), ignored, length: bytes.len(), bytes: bytes.into() }
    }

    /// What lies behind the literal, if it is there. `None` says nothing when fewer bytes than a piece are left.
    #[inline(always)]
    fn verify<'a>(&self, rest: &'a [u8]) -> Option<&'a [u8]> {
        if equal(rest.first_chunk()?, &self.first) | self.ignored != ALL {
            return None;
        }
        if self.length > LANES && !self.verify_more(rest) {
            return None;
        }
        rest.get(self.length..)
    }

    /// Whether the bytes behind the first ones are there.
    #[inline(never)]
    fn verify_more(&self, rest: &[u8]) -> bool {
        rest.get(LANES..self.length) == Some(&self.bytes[LANES..])
    }

    /// What lies behind all but the last `open` bytes of the literal, if they are there.
    fn strip<'a>(&self, rest: &'a [u8], open: usize) -> Option<&'a [u8]> {
        rest.strip_prefix(&self.bytes[..self.length - open])
    }
}

impl Slot {
    /// Reads the value at the front of `rest`, whatever it is.
    #[inline(never)]
    fn read<'a>(self, rest: &'a [u8], rows: &mut Rows) -> Option<&'a [u8]> {
        match self {
            Slot::SkipNoObject if byte(rest, 0) == b'{' => return None,
            Slot::Skip | Slot::SkipNoObject => return rest.get(skip_value(rest, 0)?..),
            Slot::Time if starts_number(byte(rest, 0)) => return rows.push_time_number(rest),
            Slot::Time | Slot::Field(_) | Slot::TimeAndField(_) => {}
        }
        let (value, end) = scalar(rest, 0)?;
        let fits = match self {
            Slot::Skip | Slot::SkipNoObject => true,
            Slot::Field(field) => rows.push(field, &value),
            Slot::Time => rows.push_time(&value),
            Slot::TimeAndField(field) => rows.push_time(&value) && rows.push(field, &value),
        };
        fits.then(|| &rest[end..])
    }
}

/// The length of a line behind which `rest` is left, and where the next one starts, if the line ends there.
#[inline(always)]
fn line_end(line: &[u8], rest: &[u8]) -> Option<(usize, usize)> {
    let end = line.len() - rest.len();
    match rest {
        [b'\n', ..] => Some((end, end + 1)),
        [b'\r', b'\n', ..] => Some((end, end + 2)),
        _ => rest.is_empty().then_some((end, end)),
    }
}

/// Reads a string, without its opening quote, into a text column.
#[inline(always)]
fn read_text<'a>(rest: &'a [u8], field: usize, rows: &mut Rows) -> Option<&'a [u8]> {
    match &mut rows.columns[field] {
        ColumnBuilder::String(texts) => texts.push_until_quote(rest),
        _ => None,
    }
}

/// Reads a number into a column of doubles.
#[inline(always)]
fn read_float<'a>(rest: &'a [u8], field: usize, rows: &mut Rows) -> Option<&'a [u8]> {
    let ColumnBuilder::Float64(numbers) = &mut rows.columns[field] else {
        return None;
    };
    let Some((value, length)) = short_f64(rest) else {
        return read_long_float(rest, numbers);
    };
    let rest = rest.get(length..)?;
    numbers.push(value);
    Some(rest)
}

/// The same of any number: negative, long, with an exponent.
#[inline(never)]
fn read_long_float<'a>(rest: &'a [u8], numbers: &mut Numbers<f64>) -> Option<&'a [u8]> {
    let (number, end) = Decimal::from_json(rest, 0)?;
    let (value, rest) = (number.to_f64()?, rest.get(end..)?);
    numbers.push(value);
    Some(rest)
}

/// Reads an integer of `n` digits, with no sign, as the event time.
#[inline(always)]
fn read_time<'a>(rest: &'a [u8], n: usize, rows: &mut Rows) -> Option<&'a [u8]> {
    let (integer, rest) = long_integer(rest, n)?;
    rows.push_time_integer(integer).then_some(rest)
}

/// What lies behind the string that nobody wants at the front of `rest`, behind its opening quote.
#[inline(always)]
fn skip_short_string(rest: &[u8]) -> Option<&[u8]> {
    match closing_quote(rest.first_chunk()?) {
        Some(n) => rest.get(n + 1..),
        None => behind_long_string(rest),
    }
}

/// The same of a string that has escapes or is longer than a piece.
#[inline(never)]
fn behind_long_string(mut rest: &[u8]) -> Option<&[u8]> {
    while let Some((piece, behind)) = rest.split_first_chunk()
        && first_stop(piece) == LANES
    {
        if let Some(n) = closing_quote(behind.first_chunk()?) {
            return behind.get(n + 1..);
        }
        rest = behind;
    }
    rest.get(skip_string(rest, 0)?..)
}

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
        let first = byte(self.line, at);
        let (expected, slot) = match self.paths.find(&self.path) {
            Some(wanted) => self.wanted(wanted, at)?,
            None if inner && first == b'{' => return self.object(at, Some(self.path.len())),
            None => (expected_unused(first), if inner { Slot::SkipNoObject } else { Slot::Skip }),
        };
        self.step(at, expected, slot)?;
        let end = skip_value(self.line, at)?;
        self.literal = end;
        Some(end)
    }

    /// The slot of a wanted path, if it is a scalar and the only one.
    fn wanted(&mut self, wanted: usize, at: usize) -> Option<(Expected, Slot)> {
        let twice = std::mem::replace(&mut self.seen[wanted], true);
        if twice || matches!(byte(self.line, at), b'{' | b'[') {
            return None;
        }
        let path = &self.paths.0[wanted];
        Some(match (path.time, path.field) {
            (true, Some(field)) => (Expected::Any, Slot::TimeAndField(field)),
            (true, None) => (self.expected_time(at), Slot::Time),
            (false, field) => {
                let field = field?;
                let expected = match path.kind {
                    Some(Kind::String) => Expected::Text(field),
                    Some(Kind::Float64) => Expected::Float(field),
                    _ => Expected::Any,
                };
                (expected, Slot::Field(field))
            }
        })
    }

    fn expected_time(&self, at: usize) -> Expected {
        let value = &self.line[at..];
        let n = value.iter().take_while(|b| b.is_ascii_digit()).count();
        if LONG_INTEGER.contains(&n) && skip_number(value, 0) == Some(n) {
            Expected::Time(n)
        } else {
            Expected::Any
        }
    }

    /// Ends the current literal at `at`, where the value of `slot` begins.
    fn step(&mut self, at: usize, expected: Expected, slot: Slot) -> Option<()> {
        self.literals_bytes += at - self.literal;
        if self.literals_bytes > LITERALS_BYTES_MAX {
            return None;
        }
        self.steps.push(Step::new(&self.line[self.literal..at], expected, slot));
        Some(())
    }
}

/// What a value that nobody wants will be, when it started with `first` before.
fn expected_unused(first: u8) -> Expected {
    match first {
        b'"' => Expected::SkipString,
        b'-' | b'0'..=b'9' => Expected::SkipNumber,
        _ => Expected::Any,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::json::tests::source;

    /// Learns from `line`, with `a.b` and `c` wanted, and says whether `other` has its shape.
    fn fits(line: &str, other: &str) -> Option<bool> {
        let source = source(&["a.b", "c"]);
        let block = crate::batch::Block {
            partition: 0,
            number: 0,
            first_byte: 0,
            bytes: other.as_bytes(),
            arrival: None,
        };
        let mut rows = Rows::new(&source);
        rows.begin(&block);
        let shape = Shape::learn(line.as_bytes(), &Paths::new(&source))?;
        Some(shape.read(other.as_bytes(), &mut rows).is_some_and(<[u8]>::is_empty))
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
    fn lines_fit_whatever_was_expected_of_their_values() {
        let values = [
            "null",
            "true",
            "0",
            "-1",
            "12.5",
            "1e5",
            "-0.25",
            "1234567890123",
            "[]",
            "{}",
            "\"\"",
            "\"text\"",
            "\"a text that is longer than two pieces\"",
            "\"\\n\"",
            "\"a text with escapes at its end \\u0041\"",
        ];
        for (expected, there) in values.iter().flat_map(|a| values.iter().map(move |b| (a, b))) {
            for tail in ["", ",\"tail\":\"of more bytes than a piece\""] {
                let line = |value: &str| format!("{{\"x\":{value},\"c\":1{tail}}}");
                assert_eq!(fits(&line(expected), &line(there)), Some(true), "{expected} {there}");
            }
        }
    }

    #[test]
    fn literals_of_any_length_are_compared_to_the_last_byte() {
        for n in 1..70 {
            let line = format!("{{\"{}\":1,\"c\":\"of more bytes than a piece\"}}", "k".repeat(n));
            assert_eq!(fits(&line, &line), Some(true), "{n}");
            for at in 2..2 + n {
                let mut other = line.clone();
                other.replace_range(at..=at, "K");
                assert_eq!(fits(&line, &other), Some(false), "{other}");
            }
        }
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

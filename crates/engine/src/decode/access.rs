//! The access logs of web servers: Apache's common and combined formats, which nginx writes too.
//!
//! ```text
//! host ident user [time] "request" status bytes "referrer" "user agent"
//! ```
//!
//! A line is cut at the characters above and nowhere else; what stands behind the last field is left alone, because
//! servers append fields of their own. Text between quotes loses the backslashes before quotes and backslashes, other
//! escapes (`\x16`) stay as they were written.

use super::builder::{Record, Rows};
use super::value::Scalar;
use super::{DecoderError, each_line, named};
use crate::batch::{Block, Reason};
use crate::spec::Source;
use memchr::{memchr, memchr2, memmem};
use std::borrow::Cow;

/// Decodes access logs of one partition.
pub(super) struct AccessReader {
    combined: bool,
    /// The part of the line that each field is.
    fields: Vec<Part>,
    /// The part that is the time.
    time: Option<Part>,
}

/// The parts of a line that have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Host,
    Ident,
    User,
    Time,
    Request,
    Method,
    Path,
    Protocol,
    Status,
    Bytes,
    Referrer,
    UserAgent,
}

impl Part {
    /// In the order of [`crate::spec::Format::names`].
    const ALL: [Part; 12] = [
        Part::Host,
        Part::Ident,
        Part::User,
        Part::Time,
        Part::Request,
        Part::Method,
        Part::Path,
        Part::Protocol,
        Part::Status,
        Part::Bytes,
        Part::Referrer,
        Part::UserAgent,
    ];
}

impl AccessReader {
    pub(super) fn new(source: &Source, combined: bool) -> Result<AccessReader, DecoderError> {
        let (fields, time) = named(source)?;
        let part = |number: usize| Part::ALL[number];
        Ok(AccessReader { combined, fields: fields.into_iter().map(part).collect(), time: time.map(part) })
    }

    pub(super) fn decode(&self, block: &Block<'_>, rows: &mut Rows) {
        each_line(block, rows, |record, rows| self.read(record, rows));
    }

    fn read(&self, record: &Record<'_>, rows: &mut Rows) {
        let Some(line) = Line::parse(record.bytes, self.combined) else {
            return rows.reject(Reason::Line, None, record);
        };
        // Lines with something to unescape are rare, and only then is anything copied.
        let texts = [unescape(line.request), unescape(line.referrer), unescape(line.user_agent)];
        let request = Request::parse(&texts[0]);
        rows.push_record(record, |field| {
            let part = field.map_or(self.time, |field| Some(self.fields[field]));
            part.map_or(Scalar::Null, |part| line.scalar(part, &texts, &request))
        });
    }
}

/// A line, cut.
#[derive(Debug)]
struct Line<'a> {
    host: &'a [u8],
    ident: &'a [u8],
    user: &'a [u8],
    time: &'a [u8],
    request: Quoted<'a>,
    status: &'a [u8],
    bytes: &'a [u8],
    referrer: Quoted<'a>,
    user_agent: Quoted<'a>,
}

/// Text between quotes, as it was written.
#[derive(Debug, Clone, Copy, Default)]
struct Quoted<'a> {
    text: &'a [u8],
    /// Whether there is a backslash.
    escaped: bool,
}

impl<'a> Line<'a> {
    fn parse(line: &'a [u8], combined: bool) -> Option<Line<'a>> {
        let (host, rest) = word(line)?;
        let (ident, rest) = word(rest)?;
        // The name of a user may hold blanks.
        let user_len = memmem::find(rest, b" [").filter(|n| *n > 0)?;
        let (user, rest) = (&rest[..user_len], &rest[user_len + 2..]);
        let time_len = memchr(b']', rest)?;
        let (time, rest) = (&rest[..time_len], rest[time_len + 1..].strip_prefix(b" ")?);
        let (request, rest) = quoted(rest)?;
        let (status, rest) = word(rest.strip_prefix(b" ")?)?;
        let bytes_len = memchr(b' ', rest).unwrap_or(rest.len());
        let (bytes, mut rest) = rest.split_at(bytes_len);
        let (mut referrer, mut user_agent) = Default::default();
        if bytes.is_empty() {
            return None;
        }
        if combined {
            (referrer, rest) = quoted(rest.strip_prefix(b" ")?)?;
            user_agent = last_quoted(rest.strip_prefix(b" ")?)?;
        }
        Some(Line { host, ident, user, time, request, status, bytes, referrer, user_agent })
    }

    #[inline]
    fn scalar<'t>(&self, part: Part, texts: &'t [Cow<'a, [u8]>; 3], request: &Request<'t>) -> Scalar<'t>
    where
        'a: 't,
    {
        let optional = |text: Option<&'t [u8]>| text.map_or(Scalar::Null, Scalar::Text);
        match part {
            Part::Host => Scalar::Text(self.host),
            Part::Ident => or_null(self.ident),
            Part::User => or_null(self.user),
            Part::Time => Scalar::Text(self.time),
            Part::Request => Scalar::Text(&texts[0]),
            Part::Method => optional(request.method),
            Part::Path => optional(request.path),
            Part::Protocol => optional(request.protocol),
            Part::Status => or_null(self.status),
            Part::Bytes => or_null(self.bytes),
            Part::Referrer => or_null(&texts[1]),
            Part::UserAgent => or_null(&texts[2]),
        }
    }
}

/// A lone `-` is how servers write that there is nothing.
fn or_null(text: &[u8]) -> Scalar<'_> {
    if text == b"-" { Scalar::Null } else { Scalar::Text(text) }
}

/// The text before the first blank, and what follows the blank.
fn word(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let n = memchr(b' ', rest).filter(|n| *n > 0)?;
    Some((&rest[..n], &rest[n + 1..]))
}

/// The text between the quote that comes first and the next one without a backslash, and what follows.
fn quoted(rest: &[u8]) -> Option<(Quoted<'_>, &[u8])> {
    let rest = rest.strip_prefix(b"\"")?;
    let (mut at, mut escaped) = (0, false);
    loop {
        let n = at + memchr2(b'"', b'\\', rest.get(at..)?)?;
        if rest[n] == b'"' {
            return Some((Quoted { text: &rest[..n], escaped }, &rest[n + 1..]));
        }
        (at, escaped) = (n + 2, true);
    }
}

/// The same at the end of a line, where a quote that is never closed takes the rest: user agents are cut off when they
/// are long, and the request happened all the same.
fn last_quoted(rest: &[u8]) -> Option<Quoted<'_>> {
    let open =
        || rest.strip_prefix(b"\"").map(|text| Quoted { text, escaped: memchr(b'\\', text).is_some() });
    quoted(rest).map(|(quoted, _)| quoted).or_else(open)
}

#[inline]
fn unescape(quoted: Quoted<'_>) -> Cow<'_, [u8]> {
    if quoted.escaped { Cow::Owned(unescaped(quoted.text)) } else { Cow::Borrowed(quoted.text) }
}

/// Leaves out the backslashes before quotes and backslashes.
#[cold]
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(n) = memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..n]);
        let skip = usize::from(matches!(rest.get(n + 1), Some(b'"' | b'\\')));
        // The character that is kept cannot begin another escape.
        out.extend_from_slice(&rest[n + skip..=n + skip]);
        rest = &rest[n + skip + 1..];
    }
    out.extend_from_slice(rest);
    out
}

/// The three parts of a request line (RFC 9112, 3).
#[derive(Debug, Default, PartialEq, Eq)]
struct Request<'a> {
    method: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    protocol: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// Three parts of which the last is a version of HTTP, or two as HTTP/0.9 had them; anything else has none.
    fn parse(request: &'a [u8]) -> Request<'a> {
        let Some((method, rest)) = word(request).filter(|(_, rest)| !rest.is_empty()) else {
            return Request::default();
        };
        let Some(n) = memchr(b' ', rest) else {
            return Request { method: Some(method), path: Some(rest), protocol: None };
        };
        let (path, protocol) = (&rest[..n], &rest[n + 1..]);
        if n == 0 || !protocol.starts_with(b"HTTP/") || memchr(b' ', protocol).is_some() {
            return Request::default();
        }
        Request { method: Some(method), path: Some(path), protocol: Some(protocol) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: Option<&[u8]>) -> &str {
        bytes.map_or("-", |bytes| std::str::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_request_has_three_parts_two_or_none() {
        for (request, want) in [
            ("GET /a?b=c HTTP/1.1", "GET /a?b=c HTTP/1.1"),
            ("GET /", "GET / -"),
            ("GET / HTTP", "- - -"),
            ("GET /a b HTTP/1.1", "- - -"),
            ("GET  HTTP/1.1", "- - -"),
            (" / HTTP/1.1", "- - -"),
            ("GET / ", "- - -"),
            ("GET ", "- - -"),
            ("\\x16\\x03\\x01", "- - -"),
            ("-", "- - -"),
            ("", "- - -"),
        ] {
            let got = Request::parse(request.as_bytes());
            let got = format!("{} {} {}", text(got.method), text(got.path), text(got.protocol));
            assert_eq!(got, want, "{request:?}");
        }
    }

    #[test]
    fn quotes_end_at_the_first_one_without_a_backslash() {
        for (rest, want) in [
            (r#""a b" c"#, Some(("a b", " c"))),
            (r#""" c"#, Some(("", " c"))),
            (r#""a\"b" c"#, Some((r#"a"b"#, " c"))),
            (r#""a\\" c"#, Some((r"a\", " c"))),
            (r#""a\\\"" c"#, Some((r#"a\""#, " c"))),
            (r#""\\\\n""#, Some((r"\\n", ""))),
            (r#""\x16\t\é" c"#, Some((r"\x16\t\é", " c"))),
            (r#""a\""#, None),
            (r#""a\"#, None),
            (r#""a"#, None),
            ("a\"", None),
            ("", None),
        ] {
            let got = quoted(rest.as_bytes()).map(|(quoted, rest)| (unescape(quoted), rest));
            let got = got
                .as_ref()
                .map(|(text, rest)| (std::str::from_utf8(text).unwrap(), std::str::from_utf8(rest).unwrap()));
            assert_eq!(got, want, "{rest:?}");
        }
    }

    #[test]
    fn only_text_with_a_backslash_is_copied() {
        let borrowed = |rest: &[u8]| matches!(unescape(quoted(rest).unwrap().0), Cow::Borrowed(_));
        assert!(borrowed(b"\"GET / HTTP/1.1\"") && !borrowed(b"\"GET /\\\" HTTP/1.1\""));
    }
}

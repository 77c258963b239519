//! Where records end: cutting the bytes of a partition into whole records.
//!
//! Lines end with `\n` (a `\r` before it belongs to the line end). In quoted delimited files a newline between quotes
//! is data. A quote opens a field only as its first character, two of them inside are one, and any other ends it: the
//! reading of RFC 4180 that csv-core has too, so that both agree on what a record is.
//!
//! A record that has become too long ends at the next newline, between quotes or not: a quote that is never closed costs the
//! longest record there may be, wherever the next quote is, and wherever the bytes are cut.

use super::{BOM, bom_len, trim_cr};
use crate::spec::Format;
use memchr::{memchr, memchr2, memrchr};

/// Finds the whole records at the front of a growing buffer. One per partition.
#[derive(Debug, Clone)]
pub struct Cutter {
    quotes: Option<u8>,
    record_bytes_max: usize,
    /// How far the leftover of the last call was looked through.
    at: usize,
    /// Whether `at` is between quotes.
    quoted: bool,
    /// Whether nothing was cut yet, so that a byte order mark may come first.
    first: bool,
}

impl Cutter {
    /// A cutter for a partition in this format, whose records may have so many bytes.
    pub fn new(format: &Format, record_bytes_max: usize) -> Cutter {
        Cutter { quotes: quotes(format), record_bytes_max, at: 0, quoted: false, first: true }
    }

    /// Length of the longest prefix that holds whole records only; 0 when there is none yet.
    ///
    /// `bytes` are the leftover of the last call (what lay behind the returned length) and new bytes behind it. At the
    /// end of the input the last record needs no line end: everything is cut, and the cutter starts anew. Every byte is
    /// looked at once, however long a record is.
    pub fn cut(&mut self, bytes: &[u8], at_end: bool) -> usize {
        let cut = match self.quotes {
            _ if at_end => bytes.len(),
            None => memrchr(b'\n', bytes.get(self.at..).unwrap_or_default()).map_or(0, |n| self.at + n + 1),
            Some(delimiter) => self.cut_quoted(bytes, delimiter),
        };
        match self.quotes {
            None => self.at = bytes.len() - cut,
            Some(_) => self.at = self.at.saturating_sub(cut),
        }
        self.first &= cut == 0;
        if at_end {
            (self.at, self.quoted, self.first) = (0, false, true);
        }
        cut
    }

    /// What was not cut yet is left out: behind it another record begins, which is not the first.
    pub fn leave_out(&mut self) {
        (self.at, self.quoted, self.first) = (0, false, false);
    }

    fn cut_quoted(&mut self, bytes: &[u8], delimiter: u8) -> usize {
        let mut cut = 0;
        loop {
            let rest = bytes.get(self.at..).unwrap_or_default();
            if self.quoted {
                let quote = memchr(b'"', rest);
                let until = quote.map_or(bytes.len(), |quote| self.at + quote);
                let start = if cut == 0 { self.begin(bytes) } else { cut };
                if let Some(newline) = newline_beyond(&bytes[..until], start, self.at, self.record_bytes_max)
                {
                    cut = newline + 1;
                    (self.at, self.quoted) = (cut, false);
                    continue;
                }
                let Some(quote) = quote else {
                    self.at = bytes.len();
                    return cut;
                };
                match rest.get(quote + 1) {
                    // Whether this quote closes the field is not known before the next byte is.
                    None => {
                        self.at += quote;
                        return cut;
                    }
                    Some(b'"') => self.at += quote + 2,
                    Some(_) => (self.at, self.quoted) = (self.at + quote + 1, false),
                }
            } else {
                let quote = opening_quote(bytes, self.at, self.begin(bytes), delimiter);
                let end = quote.unwrap_or(bytes.len());
                if let Some(newline) = memrchr(b'\n', &bytes[self.at.min(end)..end]) {
                    cut = self.at + newline + 1;
                }
                let Some(quote) = quote else {
                    self.at = bytes.len();
                    return cut;
                };
                (self.at, self.quoted) = (quote + 1, true);
            }
        }
    }

    /// Where the first record begins.
    fn begin(&self, bytes: &[u8]) -> usize {
        if self.first && bytes.starts_with(BOM) { BOM.len() } else { 0 }
    }
}

/// The first newline at or behind `from` that ends a record which starts at `start` because it is too long, quotes or not.
fn newline_beyond(bytes: &[u8], start: usize, from: usize, record_bytes_max: usize) -> Option<usize> {
    let first = start.saturating_add(record_bytes_max).saturating_add(1);
    let from = from.max(first);
    let newline = from + memchr(b'\n', bytes.get(from..)?)?;
    // A `\r` belongs to the line end, and without it the record has just the length that it may have.
    if newline == first && bytes[newline - 1] == b'\r' {
        return memchr(b'\n', &bytes[newline + 1..]).map(|n| newline + 1 + n);
    }
    Some(newline)
}

/// How far behind its start any newline ends a record.
pub fn beyond(record_bytes_max: usize) -> usize {
    record_bytes_max.saturating_add(2)
}

/// The first record of a partition without byte order mark and line end: the header of a delimited file. A blank line
/// counts, so that the block at byte 0 always holds the header, whatever its size. It may have `record_bytes_max` bytes, as any
/// record.
///
/// `bytes` begin at byte 0. `None` when they do not hold the record whole yet, or `at_end` when there is none.
pub fn first_record<'a>(
    format: &Format,
    bytes: &'a [u8],
    at_end: bool,
    record_bytes_max: usize,
) -> Option<&'a [u8]> {
    let start = bom_len(0, bytes);
    let end = record_end(bytes, start, quotes(format), record_bytes_max);
    let whole = end < bytes.len() || (at_end && end > start);
    whole.then(|| trim_cr(&bytes[start..end]))
}

/// Where the line that starts at `start` ends: at its `\n`, or behind the last byte.
pub(super) fn line_end(bytes: &[u8], start: usize) -> usize {
    memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |n| start + n)
}

/// Where the record that starts at `start` ends: at its `\n`, or behind the last byte.
pub(super) fn record_end(bytes: &[u8], start: usize, quotes: Option<u8>, record_bytes_max: usize) -> usize {
    let Some(delimiter) = quotes else { return line_end(bytes, start) };
    let mut at = start;
    while let Some(n) = memchr2(b'\n', b'"', &bytes[at..]) {
        at += n;
        if bytes[at] == b'\n' {
            return at;
        }
        if !opens(bytes, at, start, delimiter) {
            at += 1;
            continue;
        }
        let quote = closing_quote(bytes, at + 1);
        let until = quote.unwrap_or(bytes.len());
        if let Some(newline) = newline_beyond(&bytes[..until], start, at, record_bytes_max) {
            return newline;
        }
        at = match quote {
            Some(quote) => quote + 1,
            None => return bytes.len(),
        };
    }
    bytes.len()
}

/// The delimiter of a format in which quotes hide newlines.
fn quotes(format: &Format) -> Option<u8> {
    match format {
        Format::Delimited(delimited) if delimited.quoted => Some(delimited.delimiter),
        Format::Delimited(_)
        | Format::Ndjson
        | Format::AccessLog { .. }
        | Format::Lines
        | Format::Parquet => None,
    }
}

/// The first quote at or behind `at` that opens a field.
fn opening_quote(bytes: &[u8], mut at: usize, start: usize, delimiter: u8) -> Option<usize> {
    loop {
        let quote = at + memchr(b'"', bytes.get(at..)?)?;
        if opens(bytes, quote, start, delimiter) {
            return Some(quote);
        }
        at = quote + 1;
    }
}

/// The quote that closes a field whose content starts at `at`.
fn closing_quote(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let quote = at + memchr(b'"', &bytes[at..])?;
        if bytes.get(quote + 1) != Some(&b'"') {
            return Some(quote);
        }
        at = quote + 2;
    }
}

/// Whether a quote outside of quotes is the first character of a field, in bytes whose first record starts at `start`.
fn opens(bytes: &[u8], quote: usize, start: usize, delimiter: u8) -> bool {
    quote == start || bytes[quote - 1] == delimiter || bytes[quote - 1] == b'\n'
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Delimited;

    const MAX: usize = 1 << 20;

    fn csv() -> Format {
        Format::Delimited(Delimited { delimiter: b',', quoted: true, columns: None })
    }

    fn tsv() -> Format {
        Format::Delimited(Delimited { delimiter: b'\t', quoted: false, columns: None })
    }

    /// Hands `text` over in pieces of `step` bytes and expects the records of `want`, joined by `|`.
    fn check(format: &Format, text: &str, want: &str) {
        let bytes = text.as_bytes();
        for step in 1..=bytes.len().max(1) {
            let (mut cutter, mut from, mut to, mut got) = (Cutter::new(format, MAX), 0, 0, Vec::new());
            while to < bytes.len() {
                to = (to + step).min(bytes.len());
                let cut = cutter.cut(&bytes[from..to], to == bytes.len());
                let (whole, next) = (&bytes[..from + cut], from + cut);
                while from < next {
                    let start = from + bom_len(from as u64, &whole[from..]);
                    let end = record_end(whole, start, quotes(format), MAX);
                    got.push(String::from_utf8(whole[from..end].to_vec()).unwrap());
                    from = (end + 1).min(next);
                }
            }
            assert_eq!(from, bytes.len());
            assert_eq!(got.join("|"), want, "{text:?} in steps of {step}");
        }
    }

    #[test]
    fn lines_are_records() {
        for format in [Format::Ndjson, tsv()] {
            check(&format, "a\nb\"\nc\"", "a|b\"|c\"");
            check(&format, "a\r\n\nb\n", "a\r||b");
        }
    }

    #[test]
    fn newlines_between_quotes_end_nothing() {
        check(&csv(), "a,b\nc,d", "a,b|c,d");
        check(&csv(), "a,\"b\nc\"\nd\n", "a,\"b\nc\"|d");
        check(&csv(), "\"a\n\"\"b\"\"\n\"\n\"c\"\n", "\"a\n\"\"b\"\"\n\"|\"c\"");
        check(&csv(), "\"\"\n\"\",\"\"\"\"\nx", "\"\"|\"\",\"\"\"\"|x");
    }

    #[test]
    fn a_quote_inside_a_field_is_data() {
        check(&csv(), "a\"b\nc\" d\n \"e\nf", "a\"b|c\" d| \"e|f");
        check(&csv(), "\"a\"b\"\nc\n", "\"a\"b\"|c");
        check(&csv(), "\"a,\"\"\n\",\"b\"x\"\ny", "\"a,\"\"\n\",\"b\"x\"|y");
    }

    #[test]
    fn a_quote_without_end_takes_the_rest() {
        check(&csv(), "a\n\"b\nc\nd", "a|\"b\nc\nd");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_field() {
        check(&csv(), "\u{feff}\"a\nb\"\nc", "\u{feff}\"a\nb\"|c");
        check(&csv(), "a\n\u{feff}\"a\nb\"\nc", "a|\u{feff}\"a|b\"|c");
    }

    #[test]
    fn the_first_record_is_whole_or_absent() {
        let text = b"\xEF\xBB\xBF\"a\nb\",c\r\n1,2\n";
        assert_eq!(first_record(&csv(), text, false, MAX), Some(&b"\"a\nb\",c"[..]));
        assert_eq!(first_record(&csv(), &text[..10], false, MAX), None);
        assert_eq!(first_record(&csv(), b"a,b", false, MAX), None);
        assert_eq!(first_record(&csv(), b"a,b", true, MAX), Some(&b"a,b"[..]));
        assert_eq!(first_record(&csv(), b"\na,b\n", false, MAX), Some(&b""[..]));
        assert_eq!(first_record(&csv(), b"\na,b\n", true, MAX), Some(&b""[..]));
        assert_eq!(first_record(&csv(), b"\xEF\xBB\xBF", true, MAX), None);
        assert_eq!(first_record(&tsv(), b"\t\n", true, MAX), Some(&b"\t"[..]));
    }
}

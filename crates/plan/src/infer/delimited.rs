//! Delimited text: which character separates, whether the first line names the columns, and the columns.
//!
//! Records are split as the engine splits them: a quote opens a field only as its first character, two of them inside
//! are one, any other ends it.

use super::table::Table;
use super::typed;
use engine::decode::Cutter;
use engine::spec::Format;
use std::borrow::Cow;

/// How a delimited file is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    pub delimiter: u8,
    pub quoted: bool,
    /// Whether the first record names the columns.
    pub header: bool,
    /// Number of columns.
    pub width: usize,
}

/// Characters that separate, the likelier first.
const DELIMITERS: [u8; 5] = [b',', b'\t', b';', b'|', b' '];
/// Records looked at to tell the delimiter.
const RECORDS_LOOKED_AT: usize = 500;
/// Most columns a file may have: as many as `columns` may name.
const WIDTH_MAX: usize = 65_536;
/// Characters of the longest name of a column in a header.
const HEADER_CELL_CHARS_MAX: usize = 100;

impl Shape {
    /// The way to split `text` into columns, if one fits nearly all of its records.
    pub fn detect(text: &str) -> Option<Shape> {
        let mut best: Option<(f64, Shape)> = None;
        for delimiter in DELIMITERS {
            for quoted in if delimiter == b'\t' { [false, true] } else { [true, false] } {
                let Some((score, width)) = score(text, delimiter, quoted) else { continue };
                if best.as_ref().is_none_or(|(other, _)| score > *other) {
                    best = Some((score, Shape { delimiter, quoted, header: true, width }));
                }
            }
        }
        best.map(|(_, shape)| shape.with_header(text))
    }

    /// One column, named by the first line: what the name of a file says that its content does not.
    pub fn single(text: &str, delimiter: u8) -> Shape {
        Shape { delimiter, quoted: delimiter == b',', header: true, width: 1 }.with_header(text)
    }

    fn with_header(mut self, text: &str) -> Shape {
        let records: Vec<Vec<Cow<'_, str>>> =
            records(text, self.delimiter, self.quoted).take(RECORDS_LOOKED_AT).map(|r| r.fields).collect();
        self.header = names_columns(&records);
        self
    }

    /// Reads the records behind the header.
    pub fn read<'a>(&self, text: &'a str, table: &mut Table<'a>) {
        // The head may end in the middle of a quoted field.
        let format =
            engine::spec::Delimited { delimiter: self.delimiter, quoted: self.quoted, columns: None };
        let end = Cutter::new(&Format::Delimited(format), usize::MAX).cut(text.as_bytes(), table.whole);
        let mut records = records(&text[..end], self.delimiter, self.quoted);
        if self.header {
            let header = records.next();
            header.iter().flat_map(|header| &header.fields).for_each(|name| _ = table.add(name));
            table.bytes += header.map_or(0, |header| header.bytes);
            name_once(table);
        } else {
            (1..=self.width).for_each(|i| _ = table.add(&format!("c{i}")));
        }
        let width = table.columns.len();
        for record in records {
            if !table.has_room() {
                table.whole = false;
                return;
            }
            table.bytes += record.bytes;
            if !fits(&record.fields, width) {
                table.bad += 1;
                continue;
            }
            for (column, field) in record.fields.into_iter().take(width).enumerate() {
                if !field.is_empty() {
                    table.put(column, field);
                }
            }
            table.accept();
        }
    }
}

/// Two columns of one name: neither can be named.
fn name_once(table: &mut Table<'_>) {
    let mut count = std::collections::BTreeMap::new();
    table.columns.iter().for_each(|column| *count.entry(column.path.clone()).or_insert(0) += 1);
    for column in &mut table.columns {
        if count[&column.path] > 1 {
            column.unnamed.get_or_insert("another column has the same name");
        }
    }
}

/// Whether a record has all columns; empty ones behind the last are let pass.
fn fits(fields: &[Cow<'_, str>], width: usize) -> bool {
    fields.len() >= width && fields[width..].iter().all(|field| field.is_empty())
}

/// How well a delimiter splits: the share of records that fit the first one, times the share of fields that hold no
/// other separator. None where it does not split.
fn score(text: &str, delimiter: u8, quoted: bool) -> Option<(f64, usize)> {
    let mut records = records(text, delimiter, quoted).take(RECORDS_LOOKED_AT);
    let first = records.next()?.fields;
    let width = first.len();
    if !(2..=WIDTH_MAX).contains(&width) || (!quoted && first.iter().all(|field| field.starts_with('"'))) {
        return None;
    }
    let (mut count, mut fit, mut fields, mut clean) = (1usize, 1usize, 0usize, 0usize);
    for record in std::iter::once(first).chain(records.map(|record| record.fields)) {
        count += 1;
        fit += usize::from(fits(&record, width));
        fields += record.len();
        clean += record.iter().filter(|field| is_clean(field)).count();
    }
    let share = fit as f64 / count as f64;
    // Words of a text are separated by blanks too: there all lines must have the same number, and more than one line.
    let least = if delimiter == b' ' { 1.0 } else { 0.9 };
    if share < least || (delimiter == b' ' && (count < 4 || fields != width * (count - 1))) {
        return None;
    }
    Some((share * clean as f64 / fields as f64, width))
}

/// Whether a field holds no separator: a comma in a number is none.
fn is_clean(field: &str) -> bool {
    let comma = field.contains(',') && typed::decimal_comma(field).is_none();
    !comma && !field.contains([';', '\t', '|'])
}

/// Whether the first record names the columns of the others: it holds no value itself, and either columns have another
/// type below it, or its words are not found below.
fn names_columns(records: &[Vec<Cow<'_, str>>]) -> bool {
    let Some((first, rest)) = records.split_first() else { return false };
    let short = |cell: &str| cell.chars().count() <= HEADER_CELL_CHARS_MAX && !cell.contains('\n');
    if first.iter().any(|cell| typed::is_value(cell) || !short(cell)) || first.iter().all(|c| c.is_empty()) {
        return false;
    }
    let below = |column: usize| rest.iter().filter_map(move |record| record.get(column));
    let typed_below = (0..first.len()).any(|column| {
        let values = || below(column).filter(|cell| !cell.is_empty());
        values().next().is_some()
            && values().filter(|cell| typed::is_value(cell)).count() * 2 > values().count()
    });
    let again = (0..first.len())
        .filter(|column| !first[*column].is_empty() && below(*column).any(|cell| *cell == first[*column]))
        .count();
    typed_below || again == 0
}

/// A record, split.
struct Record<'a> {
    fields: Vec<Cow<'a, str>>,
    /// With its line end.
    bytes: usize,
}

/// The records of a text; blank lines are none.
fn records(text: &str, delimiter: u8, quoted: bool) -> impl Iterator<Item = Record<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            let (record, bytes) = split(rest, delimiter, quoted);
            let line = &rest[..bytes];
            rest = &rest[bytes..];
            let blank = |b: u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c) && b != delimiter;
            if !line.bytes().all(blank) {
                return Some(Record { fields: record, bytes });
            }
        }
    })
}

/// The first record, and its length with the line end. All marks are ASCII, so every cut is at a character.
fn split(text: &str, delimiter: u8, quoted: bool) -> (Vec<Cow<'_, str>>, usize) {
    let bytes = text.as_bytes();
    let (mut fields, mut at) = (Vec::new(), 0);
    loop {
        let (field, end) = if quoted && bytes.get(at) == Some(&b'"') {
            quoted_field(text, at, delimiter)
        } else {
            let end = field_end(bytes, at, delimiter);
            (Cow::Borrowed(&text[at..end]), end)
        };
        fields.push(field);
        match bytes.get(end) {
            Some(b) if *b == delimiter => at = end + 1,
            Some(_) => return (without_cr(fields), end + 1),
            None => return (without_cr(fields), end),
        }
    }
}

fn without_cr(mut fields: Vec<Cow<'_, str>>) -> Vec<Cow<'_, str>> {
    if let Some(last) = fields.last_mut()
        && let Some(kept) = last.strip_suffix('\r')
    {
        *last = Cow::Owned(kept.to_string());
    }
    fields
}

fn field_end(bytes: &[u8], at: usize, delimiter: u8) -> usize {
    bytes[at..].iter().position(|b| *b == delimiter || *b == b'\n').map_or(bytes.len(), |n| at + n)
}

/// A field that opens with a quote; what stands behind the closing one belongs to it as it is.
fn quoted_field(text: &str, start: usize, delimiter: u8) -> (Cow<'_, str>, usize) {
    let (mut at, mut out) = (start + 1, String::new());
    loop {
        let Some(n) = text[at..].find('"') else {
            out.push_str(&text[at..]);
            return (Cow::Owned(out), text.len());
        };
        out.push_str(&text[at..at + n]);
        at += n + 1;
        if text.as_bytes().get(at) != Some(&b'"') {
            let end = field_end(text.as_bytes(), at, delimiter);
            out.push_str(&text[at..end]);
            return (Cow::Owned(out), end);
        }
        out.push('"');
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: Option<(u8, bool, usize)>) {
        let got = Shape::detect(text).map(|shape| (shape.delimiter, shape.header, shape.width));
        assert_eq!(got, want, "{text:?}");
    }

    #[test]
    fn delimiter_and_header_are_told_by_the_content() {
        check("a,b\n1,2\n3,4\n", Some((b',', true, 2)));
        check("a\tb\n1\tx, y\n3\tz\n", Some((b'\t', true, 2)));
        check("1,5;2,5\n2,5;3,5\n", Some((b';', false, 2)));
        check("a;b\n1,5;2,5\n", Some((b';', true, 2)));
        check("x|y|z\n1|2|3\n", Some((b'|', true, 3)));
        check("1 2 3\n4 5 6\n7 8 9\n", Some((b' ', false, 3)));
        check("1\n2 3\n4 5 6\n", None);
        check("0,udp,normal.\n1,tcp,smurf.\n", Some((b',', false, 3)));
        check("GET,/a\nPUT,/b\nGET,/c\n", Some((b',', false, 2)));
        check("name,city\nann,Rome\nbob,Oslo\n", Some((b',', true, 2)));
        check("a,b\r\n\"x\ny\",\"1,2\"\r\n", Some((b',', true, 2)));
        check("a,b,c\n", Some((b',', true, 3)));
        check("", None);
    }

    #[test]
    fn records_are_split_as_the_engine_does() {
        for (text, want) in [
            ("a,b\r\n", "a|b"),
            ("\"a,b\",c", "a,b|c"),
            ("\"a\nb\",\"\"\nx", "a\nb|"),
            ("\"a\"\"b\"", "a\"b"),
            ("a\"b,\"c\"d", "a\"b|cd"),
            ("\"never closed, a", "never closed, a"),
        ] {
            assert_eq!(split(text, b',', true).0.join("|"), want, "{text:?}");
        }
    }
}

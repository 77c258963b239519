//! CSV, TSV and their kin: records split at a delimiter, quoted or not.
//!
//! Only the wanted columns are converted. A record without quotes is split here; one with quotes goes through csv-core,
//! which is told that the line end is not its business: where a record ends is decided in `cut.rs`.

use super::builder::{Record, Rows};
use super::cut::record_end;
use super::value::Scalar;
use super::{DecoderError, bom_len, is_blank, trim_cr};
use crate::batch::{Block, Reason};
use crate::spec::{Delimited, Source, TimeSpec};
use csv_core::{ReadRecordResult, ReaderBuilder, Terminator};
use memchr::{memchr, memchr_iter};

/// Decodes delimited records of one partition.
pub(super) struct DelimitedReader {
    splitter: Splitter,
    quoted: bool,
    /// Whether the partition begins with a record of names.
    header: bool,
    /// Number of columns of every record.
    columns: usize,
    /// Column of each field.
    fields: Vec<usize>,
    /// Column of the time.
    time: Option<usize>,
}

impl DelimitedReader {
    pub(super) fn new(
        source: &Source,
        format: &Delimited,
        header: Option<&[u8]>,
    ) -> Result<DelimitedReader, DecoderError> {
        if !format.delimiter.is_ascii() || matches!(format.delimiter, b'\n' | b'\r' | b'"') {
            return Err(DecoderError::Delimiter(format.delimiter));
        }
        let mut splitter = Splitter::new(format.delimiter);
        let names = match &format.columns {
            Some(columns) => columns.clone(),
            None => {
                let header = header.ok_or(DecoderError::NoHeader)?;
                let header = trim_cr(&header[bom_len(0, header)..]);
                let header = std::str::from_utf8(header).map_err(|_| DecoderError::HeaderNotUtf8)?;
                splitter.names(header, format.quoted)
            }
        };
        let find = |path: &str| {
            let mut columns = names.iter().enumerate().filter(|(_, name)| *name == path);
            match (columns.next(), columns.next()) {
                (Some((column, _)), None) => Ok(column),
                (Some(_), Some(_)) => Err(DecoderError::TwoColumns { path: path.into() }),
                (None, _) => Err(DecoderError::NoSuchColumn { path: path.into(), columns: names.clone() }),
            }
        };
        Ok(DelimitedReader {
            fields: source.fields.iter().map(|field| find(&field.path)).collect::<Result<_, _>>()?,
            time: source.time.as_ref().and_then(TimeSpec::field).map(|(path, _)| find(path)).transpose()?,
            columns: names.len(),
            header: format.columns.is_none(),
            quoted: format.quoted,
            splitter,
        })
    }

    pub(super) fn decode(&mut self, block: &Block<'_>, rows: &mut Rows) {
        let bytes = block.bytes;
        let utf8 = std::str::from_utf8(bytes).is_ok();
        // Most files have no quotes, or none in most blocks: then a record is a line.
        let quotes = (self.quoted && memchr(b'"', bytes).is_some()).then_some(self.splitter.delimiter);
        let mut header = self.header && block.first_byte == 0;
        let mut start = bom_len(block.first_byte, bytes);
        while start < bytes.len() {
            let end = record_end(bytes, start, quotes, rows.record_bytes_max());
            let whole = &bytes[start..end];
            let record = Record { line: rows.lines, start, bytes: trim_cr(whole) };
            if !std::mem::take(&mut header) && !is_blank(record.bytes, Some(self.splitter.delimiter)) {
                self.read(&record, utf8, quotes.is_some(), rows);
            }
            rows.lines += u64::from(end < bytes.len());
            if quotes.is_some() {
                rows.lines += memchr_iter(b'\n', whole).count() as u64;
            }
            start = end + 1;
        }
    }

    fn read(&mut self, record: &Record<'_>, utf8: bool, quotes: bool, rows: &mut Rows) {
        if rows.too_long(record.bytes.len()) {
            return rows.reject(Reason::TooLong, None, record);
        }
        if !utf8 && std::str::from_utf8(record.bytes).is_err() {
            return rows.reject(Reason::Utf8, None, record);
        }
        let fields = self.splitter.split(record.bytes, quotes);
        // Some writers end every line with empty columns that the header does not name.
        if fields.len() < self.columns
            || (self.columns..fields.len()).any(|extra| !fields.get(extra).is_empty())
        {
            return rows.reject(Reason::Columns, None, record);
        }
        let scalar = |column: usize| match fields.get(column) {
            b"" => Scalar::Null,
            text => Scalar::Text(text),
        };
        rows.push_record(record, |field| match field {
            Some(field) => scalar(self.fields[field]),
            None => self.time.map_or(Scalar::Null, scalar),
        });
    }
}

/// Splits records, with buffers that are used again.
struct Splitter {
    delimiter: u8,
    /// Boxed for its tables of transitions.
    csv: Box<csv_core::Reader>,
    /// A record without its quotes.
    text: Vec<u8>,
    /// End of each field.
    ends: Vec<usize>,
}

/// The fields of one record.
struct Fields<'a> {
    text: &'a [u8],
    ends: &'a [usize],
    /// Bytes between two fields.
    gap: usize,
}

impl<'a> Fields<'a> {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, column: usize) -> &'a [u8] {
        let start = if column == 0 { 0 } else { self.ends[column - 1] + self.gap };
        &self.text[start..self.ends[column]]
    }
}

impl Splitter {
    fn new(delimiter: u8) -> Splitter {
        let csv = ReaderBuilder::new().delimiter(delimiter).terminator(Terminator::Any(b'\n')).build();
        let csv = Box::new(csv);
        Splitter { delimiter, csv, text: Vec::new(), ends: Vec::new() }
    }

    /// Splits a record; `quotes` says whether it may hold any that mean something.
    fn split<'a>(&'a mut self, record: &'a [u8], quotes: bool) -> Fields<'a> {
        self.ends.clear();
        if quotes && memchr(b'"', record).is_some() {
            self.split_quoted(record);
            return Fields { text: &self.text, ends: &self.ends, gap: 0 };
        }
        self.ends.extend(memchr_iter(self.delimiter, record));
        self.ends.push(record.len());
        Fields { text: record, ends: &self.ends, gap: 1 }
    }

    fn split_quoted(&mut self, record: &[u8]) {
        self.text.resize(record.len(), 0);
        self.ends.resize(memchr_iter(self.delimiter, record).count() + 1, 0);
        self.csv.reset();
        // An empty line is nothing to csv-core, except that afterwards a byte order mark is a character as any other.
        self.csv.read_record(b"\n", &mut [], &mut [0]);
        let (mut read, mut written, mut count) = (0, 0, 0);
        loop {
            let (result, r, w, n) =
                self.csv.read_record(&record[read..], &mut self.text[written..], &mut self.ends[count..]);
            (read, written, count) = (read + r, written + w, count + n);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2 + 8, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2 + 8, 0),
                ReadRecordResult::Record | ReadRecordResult::End => break,
            }
        }
        self.ends.truncate(count);
    }

    fn names(&mut self, header: &str, quotes: bool) -> Vec<String> {
        let fields = self.split(header.as_bytes(), quotes);
        // Cut at ASCII characters, so that every name is UTF-8 as the header is.
        (0..fields.len()).map(|column| String::from_utf8_lossy(fields.get(column)).into_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits with and without csv-core where both can.
    fn check(record: &str, want: &str) {
        let mut splitter = Splitter::new(b',');
        let fields = splitter.split(record.as_bytes(), true);
        let got: Vec<_> =
            (0..fields.len()).map(|i| String::from_utf8_lossy(fields.get(i)).into_owned()).collect();
        assert_eq!(got.join("|"), want, "{record:?}");
        if !record.contains('"') {
            splitter.split_quoted(record.as_bytes());
            let fields = Fields { text: &splitter.text, ends: &splitter.ends, gap: 0 };
            let slow: Vec<_> =
                (0..fields.len()).map(|i| String::from_utf8_lossy(fields.get(i)).into_owned()).collect();
            assert_eq!(slow, got, "{record:?}");
        }
    }

    #[test]
    fn records_are_split_at_the_delimiter() {
        check("a,b,c", "a|b|c");
        check("a", "a");
        check(",", "|");
        check("a,,", "a||");
        check(" a , b ", " a | b ");
        check("\u{feff}a,b", "\u{feff}a|b");
        check("a\rb,c\r", "a\rb|c\r");
        check("é,ü", "é|ü");
    }

    #[test]
    fn quotes_hide_delimiters_and_newlines() {
        check("\"a,b\",c", "a,b|c");
        check("\"a\nb\",\"\"", "a\nb|");
        check("\"a\"\"b\"", "a\"b");
        check("\"\"", "");
        check("\u{feff}\"a\",b\"", "\u{feff}\"a\"|b\"");
        check("a\"b,\"c\"d", "a\"b|cd");
        check("\"never closed, a", "never closed, a");
        check("\"a\r\"", "a\r");
    }
}

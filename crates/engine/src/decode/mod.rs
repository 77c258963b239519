//! Raw bytes of whole records to a [`Batch`]: the fields that metrics use, as Arrow columns, and the event times.
//!
//! Decoding is stateless in what it says: a [`Decoder`] keeps buffers and predicted shapes for speed, but the batch is
//! a function of the source and the block alone. It reads nothing from files, judges no time as late and never fails
//! on data: a record gives one row or one [`crate::batch::Bad`].
//!
//! ```text
//! bytes -> Cutter -> Block -> Decoder { json | delimited | access | lines } -> Scalar -> conversion (value.rs, time.rs)
//!       -> builder -> complete.rs (explode, computed columns) -> Batch
//! ```
//!
//! What is wrong with a record is decided in this order: its length, its encoding, its syntax, its time, its fields in
//! the order of the source. The first finding is the one reported.

mod access;
mod arrays;
mod builder;
mod complete;
mod cut;
mod delimited;
mod digits;
mod json;
mod lanes;
mod lines;
pub mod single;
mod time;
mod value;

pub use arrays::{Arrays, Values};
pub use cut::{Cutter, beyond, first_record};

use crate::batch::{Batch, Block, Reason};
use crate::compute::Compute;
use crate::spec::{Format, Source, TimeFormat, TimeSpec};
use access::AccessReader;
use arrays::ArrayReader;
use builder::{Record, Rows};
use complete::Completion;
use delimited::DelimitedReader;
use json::JsonReader;
use lines::LineReader;
use std::fmt;
use std::sync::Arc;

/// Decodes the blocks of one partition. One per file or partition and worker.
pub struct Decoder {
    rows: Rows,
    reader: Reader,
    completion: Completion,
    arrays: ArrayReader,
}

enum Reader {
    Json(JsonReader),
    Delimited(DelimitedReader),
    Access(AccessReader),
    Lines(LineReader),
    Arrays,
}

impl Decoder {
    /// A decoder for a partition of `source`.
    ///
    /// `header` is the first record of a delimited file that names its own columns (see [`first_record`]); it is not
    /// looked at otherwise. [`Decoder::decode`] leaves that record out again where the block begins at byte 0.
    ///
    /// # Errors
    /// When a field (or the time) is not a column of the file or a field of the format, or is the name of two, when the
    /// header is missing or not UTF-8, when the delimiter cannot separate fields, and when there is no such time zone.
    pub fn new(source: &Source, header: Option<&[u8]>) -> Result<Decoder, DecoderError> {
        let reader = match &source.format {
            Format::Ndjson => Reader::Json(JsonReader::new(source, true)),
            Format::Delimited(format) => Reader::Delimited(DelimitedReader::new(source, format, header)?),
            Format::AccessLog { combined } => Reader::Access(AccessReader::new(source, *combined)?),
            Format::Lines => Reader::Lines(LineReader::new(source)?),
            Format::Parquet => Reader::Arrays,
        };
        if let Some(TimeFormat::Pattern { zone: Some(zone), .. }) =
            source.time.as_ref().and_then(TimeSpec::format)
            && time::time_zone(zone).is_none()
        {
            return Err(DecoderError::Zone(zone.clone()));
        }
        let (arrays, completion) = (ArrayReader::new(source, true), Completion::new(source));
        Ok(Decoder { rows: Rows::new(source), reader, arrays, completion })
    }

    /// The decoder with the expressions of its source; one whose source has any panics without them.
    pub fn with_program(mut self, program: Option<Arc<dyn Compute>>) -> Decoder {
        if let Some(program) = program {
            self.completion.set_program(program);
        }
        self
    }

    /// The decoder with the raw record of every row in [`Batch::raw`], not of late ones alone.
    pub fn keeping_raw(mut self) -> Decoder {
        self.rows.keep_raw();
        self.completion.keep_fields();
        self
    }

    /// A decoder that predicts nothing and takes the slow path for every record. It exists so that tests can hold the
    /// two paths against each other.
    #[doc(hidden)]
    pub fn without_shapes(source: &Source, header: Option<&[u8]>) -> Result<Decoder, DecoderError> {
        let mut decoder = Decoder::new(source, header)?;
        if let Reader::Json(json) = &mut decoder.reader {
            *json = JsonReader::new(source, false);
        }
        decoder.arrays = ArrayReader::new(source, false);
        Ok(decoder)
    }

    /// Decodes a block of whole records. O(bytes). A source in Parquet has none: see [`Decoder::decode_arrays`].
    ///
    /// Where the source takes its time from the number of the record, the batch holds numbers instead of times, and
    /// Intake makes times of them. A UTF-8 byte order mark at byte 0 of the partition is skipped, as are lines of nothing
    /// but whitespace.
    ///
    /// # Panics
    /// When the block is 2 GiB or longer: Arrow's offsets could not reach its end. Drivers cut blocks far smaller.
    pub fn decode(&mut self, block: &Block<'_>) -> Batch {
        assert!(block.bytes.len() < i32::MAX as usize, "a block is shorter than 2 GiB");
        self.rows.begin(block);
        match &mut self.reader {
            Reader::Json(json) => json.decode(block, &mut self.rows),
            Reader::Delimited(delimited) => delimited.decode(block, &mut self.rows),
            Reader::Access(access) => access.decode(block, &mut self.rows),
            Reader::Lines(lines) => lines.decode(block, &mut self.rows),
            // Its rows are not in the bytes of a block.
            Reader::Arrays => {}
        }
        let mut batch = self.rows.finish(block);
        self.completion.apply(block, &mut batch);
        batch
    }

    /// Takes a block of rows that come as columns, as those of Parquet files do. O(rows), and without a copy where the
    /// types are those of the fields.
    ///
    /// What is wrong with a record is found and kept as in other formats; its bytes are the wanted values as a JSON
    /// object, its line is its row.
    ///
    /// # Panics
    /// When a column is missing or has another number of rows.
    pub fn decode_arrays(&mut self, arrays: &Arrays<'_>) -> Batch {
        let mut batch = self.arrays.decode(arrays, &mut self.rows);
        let (partition, number, first_byte) = (arrays.partition, arrays.number, arrays.first_row);
        let block = Block { partition, number, first_byte, bytes: b"", arrival: arrays.arrival };
        self.completion.apply(&block, &mut batch);
        batch
    }
}

/// Why a partition cannot be decoded at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecoderError {
    /// The file should name its own columns, but has no first record.
    NoHeader,
    /// The first record is not UTF-8.
    HeaderNotUtf8,
    /// A field that the pipeline names is not a column.
    NoSuchColumn {
        /// Path of the field.
        path: String,
        /// The columns there are, for a hint.
        columns: Vec<String>,
    },
    /// A field that the pipeline names is two columns.
    TwoColumns {
        /// Path of the field.
        path: String,
    },
    /// The delimiter is a quote, a line end or not ASCII.
    Delimiter(u8),
    /// No time zone has this name.
    Zone(String),
}

impl fmt::Display for DecoderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecoderError::NoHeader => write!(f, "the file is empty: its first line should name the columns"),
            DecoderError::HeaderNotUtf8 => {
                write!(f, "the first line, which should name the columns, is not UTF-8")
            }
            DecoderError::NoSuchColumn { path, columns } => {
                write!(f, "there is no column `{path}`; the columns are: {}", columns.join(", "))
            }
            DecoderError::TwoColumns { path } => write!(f, "two columns are named `{path}`"),
            DecoderError::Zone(zone) => write!(f, "there is no time zone `{zone}`"),
            DecoderError::Delimiter(byte) => write!(f, "{:?} cannot separate fields", char::from(*byte)),
        }
    }
}

impl std::error::Error for DecoderError {}

/// The numbers of the fields of `source`, and of its time, among the names that its format has.
fn named(source: &Source) -> Result<(Vec<usize>, Option<usize>), DecoderError> {
    let names = source.format.names().unwrap_or_default();
    let find = |path: &str| {
        names.iter().position(|name| *name == path).ok_or_else(|| DecoderError::NoSuchColumn {
            path: path.into(),
            columns: names.iter().map(|name| name.to_string()).collect(),
        })
    };
    let fields = source.fields.iter().map(|field| find(&field.path)).collect::<Result<_, _>>()?;
    let time = source.time.as_ref().and_then(TimeSpec::field).map(|(path, _)| find(path)).transpose()?;
    Ok((fields, time))
}

/// The lines of a block that are not blank, each as a record that is short enough and UTF-8; others are rejected here.
fn each_line<'a>(block: &Block<'a>, rows: &mut Rows, mut read: impl FnMut(&Record<'a>, &mut Rows)) {
    let bytes = block.bytes;
    let utf8 = std::str::from_utf8(bytes).is_ok();
    let mut start = bom_len(block.first_byte, bytes);
    while start < bytes.len() {
        let end = cut::line_end(bytes, start);
        let record = Record { line: rows.lines, start, bytes: trim_cr(&bytes[start..end]) };
        if is_blank(record.bytes, None) {
            // No record.
        } else if rows.too_long(record.bytes.len()) {
            rows.reject(Reason::TooLong, None, &record);
        } else if !utf8 && std::str::from_utf8(record.bytes).is_err() {
            rows.reject(Reason::Utf8, None, &record);
        } else {
            read(&record, rows);
        }
        rows.lines += u64::from(end < bytes.len());
        start = end + 1;
    }
}

/// The byte order mark in UTF-8.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// How many bytes at the start of `bytes`, which begin at byte `first` of their partition, are a byte order mark.
fn bom_len(first: u64, bytes: &[u8]) -> usize {
    if first == 0 && bytes.starts_with(BOM) { BOM.len() } else { 0 }
}

/// A line without its `\r`.
fn trim_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Whether a line is no record: ASCII whitespace only. A delimiter is never whitespace.
fn is_blank(line: &[u8], delimiter: Option<u8>) -> bool {
    line.iter().all(|&b| matches!(b, b' ' | b'\t' | b'\r' | 0x0b | 0x0c) && Some(b) != delimiter)
}

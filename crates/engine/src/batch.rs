//! Decoded events: the columns that the pipeline names, as Arrow arrays, and what could not be read.

use crate::column::Column;
use crate::time::Time;

/// Raw bytes of whole records, as a driver cuts them from a partition.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// The partition (a file, a Kafka partition) they come from.
    pub partition: u32,
    /// Number of the block in the whole input, from 0, without gaps.
    pub number: u64,
    /// Position of the first byte in the (decompressed) partition.
    pub first_byte: u64,
    /// Whole records.
    pub bytes: &'a [u8],
    /// Processing time when it was read, which never goes back; for sources that take their time from there
    /// ([`crate::spec::TimeFrom::Arrival`]). Without it their events happen in 1970.
    pub arrival: Option<Time>,
}

/// A block, decoded. Row i of every column is the same event; bad records have no row.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The partition it comes from.
    pub partition: u32,
    /// Number of the block it was decoded from.
    pub number: u64,
    /// Number of events.
    pub rows: usize,
    /// Event time of each row; empty when the source has no time, or takes it from the number of the record: then
    /// Intake fills it in.
    pub times: Vec<Time>,
    /// Number of each row's record in the block, from 0 and with the bad ones counted. Empty unless the source takes its
    /// time from there ([`crate::spec::TimeFrom::Row`]).
    pub ordinals: Vec<u32>,
    /// Number of records in the block, good and bad.
    pub records: u64,
    /// One column per [`crate::spec::Source::columns`], as far as they are computed.
    pub columns: Vec<Column>,
    /// Per field of the record: whether any event had a value, before anything was computed.
    pub has_value: Vec<bool>,
    /// Records that could not be read, in order.
    pub bad: Vec<Bad>,
    /// Newlines in the block: what later blocks of the partition add to their line numbers.
    pub lines: u64,
    /// Position of the first byte of the block in its partition.
    pub first_byte: u64,
    /// Where each row's record stands in the block; filled only when something asks for it ([`Batch::places`] of a
    /// source that computes columns or samples rows).
    pub places: Vec<Place>,
    /// Records that an explosion left nothing of.
    pub exploded_empty: u64,
    /// Raw record of each row with its line (from 0 in the block) and byte position in the partition; filled only when
    /// late events are quarantined.
    pub raw: Vec<Raw>,
}

/// Where a record stands in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line in the block, from 0.
    pub line: u32,
    /// Its first byte in the block.
    pub start: u32,
    /// Its length in bytes, without the line end.
    pub len: u32,
}

/// The bytes of one record and where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    /// Line in the block, from 0. The driver of the partition's clock makes it absolute.
    pub line: u64,
    /// Position of its first byte in the partition.
    pub byte: u64,
    /// The bytes, without the line end.
    pub bytes: Box<[u8]>,
}

impl Batch {
    /// A batch without rows.
    pub fn empty(partition: u32, number: u64) -> Batch {
        Batch {
            partition,
            number,
            rows: 0,
            times: Vec::new(),
            ordinals: Vec::new(),
            records: 0,
            columns: Vec::new(),
            has_value: Vec::new(),
            bad: Vec::new(),
            lines: 0,
            first_byte: 0,
            places: Vec::new(),
            exploded_empty: 0,
            raw: Vec::new(),
        }
    }

    /// Leaves only these rows (ascending), in this order; a row may be there more than once.
    pub fn take(&mut self, rows: &[u32]) {
        fn pick<T: Clone>(of: &mut Vec<T>, rows: &[u32]) {
            if !of.is_empty() {
                *of = rows.iter().map(|&row| of[row as usize].clone()).collect();
            }
        }
        pick(&mut self.times, rows);
        pick(&mut self.ordinals, rows);
        pick(&mut self.places, rows);
        pick(&mut self.raw, rows);
        for column in &mut self.columns {
            *column = column.take(rows);
        }
        self.rows = rows.len();
    }
}

/// A record that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// Why.
    pub reason: Reason,
    /// The field that is to blame, as an index into [`crate::spec::Source::fields`], where one is.
    pub field: Option<usize>,
    /// Where it stood; the bytes are empty unless bad records are quarantined.
    pub raw: Raw,
}

/// Why a record could not be read. The words are part of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Not a JSON object.
    Json,
    /// Not UTF-8.
    Utf8,
    /// More or fewer columns than the header names.
    Columns,
    /// Not a line of an access log.
    Line,
    /// A value that does not convert to the type of its field.
    Type,
    /// No event time, or one that does not convert.
    Time,
    /// Longer than `record_bytes_max`.
    TooLong,
    /// An expression failed on it.
    Derive,
}

impl Reason {
    /// All reasons, in the order of the report.
    pub const ALL: [Reason; 8] = [
        Reason::Json,
        Reason::Utf8,
        Reason::Columns,
        Reason::Line,
        Reason::Type,
        Reason::Time,
        Reason::TooLong,
        Reason::Derive,
    ];

    /// The word used in reports and quarantine.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Json => "json",
            Reason::Utf8 => "utf8",
            Reason::Columns => "columns",
            Reason::Line => "line",
            Reason::Type => "type",
            Reason::Time => "time",
            Reason::TooLong => "too_long",
            Reason::Derive => "derive",
        }
    }
}

//! Any text, a record a line, with one field: the line without its end.
//!
//! What is inside a line is not looked at here: `explode` and `derive` take it apart.

use super::builder::Rows;
use super::value::Scalar;
use super::{DecoderError, each_line, named};
use crate::batch::Block;
use crate::spec::Source;

/// Decodes lines of one partition.
pub(super) struct LineReader;

impl LineReader {
    pub(super) fn new(source: &Source) -> Result<LineReader, DecoderError> {
        named(source).map(|_| LineReader)
    }

    pub(super) fn decode(&self, block: &Block<'_>, rows: &mut Rows) {
        each_line(block, rows, |record, rows| {
            rows.push_record(record, |_| Scalar::Text(record.bytes));
        });
    }
}

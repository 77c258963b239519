//! Rows that come as columns already, as Parquet has them.
//!
//! Where every value of a block has the type of its field, columns are handed on as they are. Otherwise, and wherever a
//! record has to be told apart, every value becomes its text and goes the way of all formats, so that null words,
//! conversion and bad records are the same for all. Both ways agree on every input.

use super::builder::{Record, Rows};
use super::value::Scalar;
use crate::batch::{Batch, Block, Reason};
use crate::column::Column;
use crate::spec::{Kind, Source, TimeSpec};
use crate::time::Time;
use arrow_array::{Array, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow_buffer::NullBuffer;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Rows of a partition, column by column.
#[derive(Debug, Clone, Copy)]
pub struct Arrays<'a> {
    /// The partition they come from.
    pub partition: u32,
    /// Number of the block in the whole input, from 0, without gaps.
    pub number: u64,
    /// Number of the first row in its partition: what a byte position is elsewhere.
    pub first_row: u64,
    /// How many there are; every column has as many.
    pub rows: usize,
    /// One column per [`Source::fields`].
    pub fields: &'a [Values],
    /// The column that holds event time, where a field does; it may be one of the fields too.
    pub time: Option<&'a Values>,
    /// As in [`Block::arrival`].
    pub arrival: Option<Time>,
}

/// The values of a column.
#[derive(Debug, Clone)]
pub enum Values {
    /// Text.
    String(StringArray),
    /// Text whose encoding was not checked.
    Binary(BinaryArray),
    /// Integers.
    Int64(Int64Array),
    /// Doubles, also those that are no numbers.
    Float64(Float64Array),
    /// Booleans.
    Bool(BooleanArray),
    /// Microseconds since 1970: event time as it is, RFC 3339 as a value.
    Times(Int64Array),
}

impl Values {
    fn array(&self) -> &dyn Array {
        match self {
            Values::String(array) => array,
            Values::Binary(array) => array,
            Values::Int64(array) | Values::Times(array) => array,
            Values::Float64(array) => array,
            Values::Bool(array) => array,
        }
    }

    /// The text of a value: what its source text is in other formats. Null where it is not UTF-8 or no time.
    fn text(&self, row: usize) -> Option<Cow<'_, str>> {
        if self.array().is_null(row) {
            return None;
        }
        Some(match self {
            Values::String(array) => Cow::Borrowed(array.value(row)),
            Values::Binary(array) => Cow::Borrowed(std::str::from_utf8(array.value(row)).ok()?),
            Values::Int64(array) => Cow::Owned(array.value(row).to_string()),
            // Debug is the shortest text of a double.
            Values::Float64(array) => Cow::Owned(format!("{:?}", array.value(row))),
            Values::Bool(array) => Cow::Borrowed(if array.value(row) { "true" } else { "false" }),
            Values::Times(array) => Cow::Owned(Time::from_micros(array.value(row))?.to_string()),
        })
    }

    /// Whether there is a value, but no text of it.
    fn is_broken(&self, row: usize) -> bool {
        matches!(self, Values::Binary(_) | Values::Times(_))
            && self.array().is_valid(row)
            && self.text(row).is_none()
    }

    /// The column, if every value has this type already.
    fn column(&self, kind: Kind) -> Option<Column> {
        Some(match (kind, self) {
            (Kind::String, Values::String(array)) => {
                let (offsets, bytes, nulls) = array.clone().into_parts();
                Column::String(StringArray::new(offsets, bytes, some(nulls)))
            }
            (Kind::Int64, Values::Int64(array)) => Column::Int64(plain(array)),
            (Kind::Float64, Values::Float64(array)) if array.iter().flatten().all(f64::is_finite) => {
                let (_, values, nulls) = array.clone().into_parts();
                Column::Float64(Float64Array::new(values, some(nulls)))
            }
            (Kind::Float64, Values::Int64(array)) => {
                Column::Float64(plain(array).unary(|value| value as f64))
            }
            (Kind::Bool, Values::Bool(array)) => {
                let (values, nulls) = array.clone().into_parts();
                Column::Bool(BooleanArray::new(values, some(nulls)))
            }
            _ => return None,
        })
    }
}

fn plain(array: &Int64Array) -> Int64Array {
    let (_, values, nulls) = array.clone().into_parts();
    Int64Array::new(values, some(nulls))
}

/// Nulls, if there are any.
fn some(nulls: Option<NullBuffer>) -> Option<NullBuffer> {
    nulls.filter(|nulls| nulls.null_count() > 0)
}

/// Takes rows that come as columns.
pub(super) struct ArrayReader {
    /// Names of the fields and of the time, for records that are set aside.
    fields: Vec<(String, Kind)>,
    time: Option<String>,
    /// Whether columns are handed on as they are where that can be.
    whole: bool,
}

impl ArrayReader {
    pub(super) fn new(source: &Source, whole: bool) -> ArrayReader {
        let time = source.time.as_ref().and_then(TimeSpec::field).map(|(path, _)| path.to_string());
        let fields: Vec<_> = source.fields.iter().map(|field| (field.path.clone(), field.kind)).collect();
        ArrayReader { fields, time, whole }
    }

    pub(super) fn decode(&self, arrays: &Arrays<'_>, rows: &mut Rows) -> Batch {
        let block = Block {
            partition: arrays.partition,
            number: arrays.number,
            first_byte: arrays.first_row,
            bytes: b"",
            arrival: arrays.arrival,
        };
        let times = arrays.time.iter().map(|time| time.array().len());
        let mut lengths = arrays.fields.iter().map(|values| values.array().len()).chain(times);
        assert!(lengths.all(|length| length == arrays.rows), "columns are as long as the block");
        assert_eq!(
            (arrays.fields.len(), arrays.time.is_some()),
            (self.fields.len(), self.time.is_some()),
            "there is a column for everything that is wanted"
        );
        rows.begin(&block);
        rows.lines = arrays.rows as u64;
        let whole = if self.whole { self.columns(arrays, rows) } else { None };
        if let Some(columns) = whole {
            return Batch { columns, ..rows.finish_whole(&block, arrays.rows) };
        }
        for row in 0..arrays.rows {
            self.read(arrays, row, rows);
        }
        rows.finish(&block)
    }

    /// The columns as they are, with the times in `rows`; nothing, and nothing in `rows`, when one of them has to be
    /// converted value by value.
    fn columns(&self, arrays: &Arrays<'_>, rows: &mut Rows) -> Option<Vec<Column>> {
        if rows.keeps_rows() {
            return None;
        }
        let columns = self.fields.iter().zip(arrays.fields).map(|((_, kind), values)| values.column(*kind));
        let columns = columns.collect::<Option<Vec<_>>>()?;
        if let Some(time) = arrays.time
            && !(0..arrays.rows).all(|row| self.push_time(time, row, rows))
        {
            rows.roll_back();
            return None;
        }
        Some(columns)
    }

    fn push_time(&self, time: &Values, row: usize, rows: &mut Rows) -> bool {
        match time {
            Values::Times(array) if array.is_valid(row) => rows.push_time_micros(array.value(row)),
            Values::String(array) if array.is_valid(row) => {
                rows.push_time(&Scalar::Text(array.value(row).as_bytes()))
            }
            _ => time.text(row).is_some_and(|text| rows.push_time(&Scalar::Text(text.as_bytes()))),
        }
    }

    fn read(&self, arrays: &Arrays<'_>, row: usize, rows: &mut Rows) {
        let bytes = if rows.keeps_rows() { self.object(arrays, row) } else { Vec::new() };
        let record = Record { line: row as u64, start: row, bytes: &bytes };
        let Err((reason, field)) = self.push(arrays, row, rows) else { return rows.commit(&record) };
        let bytes = if rows.keeps_bad() { self.object(arrays, row) } else { Vec::new() };
        let field = field.or_else(|| rows.time_field().filter(|_| reason == Reason::Time));
        rows.reject(reason, field, &Record { bytes: &bytes, ..record });
    }

    /// Appends the values of a row, or says why its record is bad.
    fn push(&self, arrays: &Arrays<'_>, row: usize, rows: &mut Rows) -> Result<(), (Reason, Option<usize>)> {
        let broken = |values: &Values| matches!(values, Values::Binary(_)) && values.is_broken(row);
        if let Some(field) = arrays.fields.iter().position(broken) {
            return Err((Reason::Utf8, Some(field)));
        }
        if arrays.time.is_some_and(broken) {
            return Err((Reason::Utf8, None));
        }
        if arrays.time.is_some_and(|time| !self.push_time(time, row, rows)) {
            return Err((Reason::Time, None));
        }
        for (field, values) in arrays.fields.iter().enumerate() {
            let text = values.text(row);
            let scalar = text.as_ref().map_or(Scalar::Null, |text| Scalar::Text(text.as_bytes()));
            if values.is_broken(row) || !rows.push(field, &scalar) {
                return Err((Reason::Type, Some(field)));
            }
        }
        Ok(())
    }

    /// The wanted values of a row as a JSON object, as an NDJSON source would read them.
    fn object(&self, arrays: &Arrays<'_>, row: usize) -> Vec<u8> {
        let fields = self.fields.iter().map(|(path, _)| path).zip(arrays.fields);
        let object: Map<String, Value> = fields
            .chain(self.time.iter().zip(arrays.time))
            .map(|(path, values)| (path.clone(), values.json(row)))
            .collect();
        Value::Object(object).to_string().into_bytes()
    }
}

impl Values {
    fn json(&self, row: usize) -> Value {
        if self.array().is_null(row) {
            return Value::Null;
        }
        match self {
            Values::Int64(array) => array.value(row).into(),
            Values::Float64(array) if array.value(row).is_finite() => array.value(row).into(),
            Values::Bool(array) => array.value(row).into(),
            Values::Binary(array) => String::from_utf8_lossy(array.value(row)).into(),
            Values::Times(array) => self.text(row).map_or(array.value(row).into(), |text| text.into()),
            Values::String(_) | Values::Float64(_) => self.text(row).unwrap_or_default().into(),
        }
    }
}

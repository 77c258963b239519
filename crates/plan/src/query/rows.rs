//! Answers as rows of Arrow columns.

use super::QueryError;
use super::table::Holds;
use datafusion::arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use engine::answer::{Answer, Key, List, Number, Reading};
use engine::time::Time;
use sketch::hash::Hashing;
use std::sync::Arc;

/// Rows of a batch, as DataFusion has them.
pub(crate) const BATCH_ROWS: usize = 8192;
/// Bytes of sketches after which a batch is full with fewer rows.
const BATCH_BYTES: usize = 8 << 20;

/// The state behind an answer, where it has bytes that functions of SQL read.
pub(crate) struct Cell<'a>(&'a engine::cell::Cell);

impl<'a> Cell<'a> {
    pub fn of(cell: &'a engine::cell::Cell) -> Cell<'a> {
        Cell(cell)
    }

    /// The bytes: those of `sketch::image`, with the id of the key where values are hashed under one.
    fn bytes(&self, hashing: &Hashing) -> Option<Vec<u8>> {
        use engine::cell::Cell as Is;
        let mut out = Vec::new();
        let hashed = match self.0 {
            Is::Empty | Is::Count(_) => return None,
            Is::Unique(_) | Is::Freq(_) | Is::Top(_) | Is::Audience(_) => true,
            Is::Moments(_) | Is::Quantiles(_) | Is::Histogram(_) | Is::Sample(_) => false,
        };
        if let (true, Hashing::Keyed(key)) = (hashed, hashing) {
            out.extend_from_slice(&sketch::image::keyed_head(key.id()));
        }
        self.0.snapshot(&mut out);
        Some(out)
    }
}

/// An entry of a list measure, or the reading itself.
struct Entry<'a> {
    item: Option<&'a Key>,
    at: Option<f64>,
    event: &'a [Key],
    value: Option<Number>,
    low: Option<Number>,
    high: Option<Number>,
}

/// Rows that are being made.
pub(crate) struct Rows<'a> {
    schema: &'a SchemaRef,
    wanted: &'a [Holds],
    hashing: &'a Hashing,
    columns: Vec<Builder>,
    rows: usize,
    bytes: usize,
}

impl<'a> Rows<'a> {
    pub fn new(schema: &'a SchemaRef, wanted: &'a [Holds], hashing: &'a Hashing) -> Rows<'a> {
        let columns = schema.fields().iter().map(|field| Builder::of(field.data_type())).collect();
        Rows { schema, wanted, hashing, columns, rows: 0, bytes: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// Adds the rows of an answer.
    pub fn push(&mut self, answer: &Answer, cell: Cell<'_>) -> Result<(), QueryError> {
        let sketch = if self.wanted.contains(&Holds::Sketch) { cell.bytes(self.hashing) } else { None };
        let Reading { value, low, high, .. } = answer.reading;
        let whole = Entry { item: None, at: None, event: &[], value, low, high };
        let int = |n: u64| Some(Number::Int(i128::from(n)));
        match &answer.reading.list {
            List::None => self.put(answer, &whole, &sketch)?,
            List::Items(items) => {
                for item in items {
                    let (value, low, high) = (int(item.value), int(item.low), int(item.high));
                    self.put(answer, &Entry { item: Some(&item.item), value, low, high, ..whole }, &sketch)?;
                }
            }
            List::Quantiles(quantiles) => {
                for quantile in quantiles {
                    let number = |n: Option<f64>| n.map(Number::Float);
                    let (value, low, high) =
                        (number(quantile.value), number(quantile.low), number(quantile.high));
                    self.put(answer, &Entry { at: Some(quantile.q), value, low, high, ..whole }, &sketch)?;
                }
            }
            List::Buckets(buckets) => {
                for (le, count) in buckets {
                    let value = int(*count);
                    self.put(
                        answer,
                        &Entry { at: Some(*le), value, low: value, high: value, ..whole },
                        &sketch,
                    )?;
                }
            }
            List::Rows(rows) => {
                for event in rows {
                    self.put(answer, &Entry { event, ..whole }, &sketch)?;
                }
            }
        }
        Ok(())
    }

    fn put(
        &mut self,
        answer: &Answer,
        entry: &Entry<'_>,
        sketch: &Option<Vec<u8>>,
    ) -> Result<(), QueryError> {
        let reading = &answer.reading;
        for (holds, column) in self.wanted.iter().zip(&mut self.columns) {
            match holds {
                Holds::Start => column.time(answer.start),
                Holds::End => column.time(answer.end),
                Holds::CompleteTo => column.time(answer.complete_to),
                Holds::Dimension(path, _) => {
                    column.key(answer.by.iter().find(|(name, _)| name == path).map(|(_, key)| key));
                }
                Holds::Item(_) => column.key(entry.item),
                Holds::OfEvent(i, _) => column.key(entry.event.get(*i)),
                Holds::Quantile | Holds::UpTo => column.float(entry.at),
                Holds::Value => column.number(entry.value, &answer.metric)?,
                Holds::Low => column.number(entry.low, &answer.metric)?,
                Holds::High => column.number(entry.high, &answer.metric)?,
                Holds::Confidence => column.float(Some(reading.confidence)),
                Holds::Guarantee => column.text(Some(reading.guarantee.as_str())),
                Holds::Exact => column.truth(Some(reading.is_exact())),
                Holds::Late => column.number(Some(Number::Int(i128::from(answer.late))), &answer.metric)?,
                Holds::Sketch => column.bytes(sketch.as_deref()),
                Holds::GroupedBy => {
                    let names: Vec<&str> = answer.by.iter().map(|(name, _)| name.as_str()).collect();
                    column.text(Some(&names.join(",")));
                }
                Holds::Other => column.truth(Some(answer.other)),
                Holds::Resolution => column.text(answer.resolution.map(|span| span.to_string()).as_deref()),
            }
        }
        self.rows += 1;
        self.bytes += sketch.as_ref().map_or(0, Vec::len);
        Ok(())
    }

    /// What there is so far.
    pub fn take(&mut self) -> Result<RecordBatch, QueryError> {
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let columns = self.columns.iter_mut().map(Builder::finish).collect();
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new_with_options(Arc::clone(self.schema), columns, &options)
            .map_err(|error| QueryError::unavailable(error.to_string()))
    }
}

/// A column that is being made.
pub(crate) enum Builder {
    Time(TimestampMicrosecondBuilder),
    Text(StringBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Truth(BooleanBuilder),
    Bytes(BinaryBuilder),
}

impl Builder {
    pub fn of(data_type: &DataType) -> Builder {
        match data_type {
            DataType::Timestamp(..) => Builder::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            DataType::Int64 => Builder::Int(Int64Builder::new()),
            DataType::Float64 => Builder::Float(Float64Builder::new()),
            DataType::Boolean => Builder::Truth(BooleanBuilder::new()),
            DataType::Binary => Builder::Bytes(BinaryBuilder::new()),
            _ => Builder::Text(StringBuilder::new()),
        }
    }

    pub fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Time(column) => Arc::new(column.finish()),
            Builder::Text(column) => Arc::new(column.finish()),
            Builder::Int(column) => Arc::new(column.finish()),
            Builder::Float(column) => Arc::new(column.finish()),
            Builder::Truth(column) => Arc::new(column.finish()),
            Builder::Bytes(column) => Arc::new(column.finish()),
        }
    }

    pub fn null(&mut self) {
        match self {
            Builder::Time(column) => column.append_null(),
            Builder::Text(column) => column.append_null(),
            Builder::Int(column) => column.append_null(),
            Builder::Float(column) => column.append_null(),
            Builder::Truth(column) => column.append_null(),
            Builder::Bytes(column) => column.append_null(),
        }
    }

    pub fn time(&mut self, time: Option<Time>) {
        match self {
            Builder::Time(column) => column.append_option(time.map(|time| time.0)),
            _ => self.null(),
        }
    }

    pub fn text(&mut self, text: Option<&str>) {
        match self {
            Builder::Text(column) => column.append_option(text),
            _ => self.null(),
        }
    }

    pub fn float(&mut self, number: Option<f64>) {
        match self {
            Builder::Float(column) => column.append_option(number),
            _ => self.null(),
        }
    }

    pub fn truth(&mut self, truth: Option<bool>) {
        match self {
            Builder::Truth(column) => column.append_option(truth),
            _ => self.null(),
        }
    }

    pub fn bytes(&mut self, bytes: Option<&[u8]>) {
        match self {
            Builder::Bytes(column) => column.append_option(bytes),
            _ => self.null(),
        }
    }

    /// A number of a metric. One that 64 bits cannot hold is an error, not another number.
    pub fn number(&mut self, number: Option<Number>, metric: &str) -> Result<(), QueryError> {
        match (self, number) {
            (Builder::Int(column), Some(Number::Int(n))) => {
                let n = i64::try_from(n).map_err(|_| {
                    QueryError::wrong(format!(
                        "`{metric}` has a number that is too large for a column of 64 bits: {n}"
                    ))
                    .hint("measure it as a double: sum(cast(x as double))")
                })?;
                column.append_value(n);
            }
            (Builder::Int(column), Some(Number::Float(n))) => column.append_value(n as i64),
            (Builder::Float(column), Some(n)) => column.append_value(n.as_f64()),
            (column, _) => column.null(),
        }
        Ok(())
    }

    /// A value of an event. A column has the type of its field.
    pub fn key(&mut self, key: Option<&Key>) {
        match (self, key) {
            (Builder::Text(column), Some(Key::String(text))) => column.append_value(text),
            (Builder::Int(column), Some(Key::Int(n))) => column.append_value(*n),
            (Builder::Float(column), Some(Key::Float(n))) => column.append_value(*n),
            (Builder::Truth(column), Some(Key::Bool(b))) => column.append_value(*b),
            (column, _) => column.null(),
        }
    }
}

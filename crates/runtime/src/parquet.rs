//! Parquet files as blocks of rows: the wanted columns alone, a few thousand rows at a time.
//!
//! A file is read page by page, so that memory holds a page of each wanted column and one block. What types mean is
//! decided here, by casts to the few types that the engine takes; what a value that does not fit means is decided there.

use crate::RunError;
use crate::input::InputFile;
use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use ::parquet::schema::types::SchemaDescriptor;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchReader, make_array};
use arrow_buffer::NullBuffer;
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use engine::decode::{DecoderError, Values};
use engine::spec::{Source, TimeSpec};
use std::fs::File;
use std::io::{Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Most rows of a block.
const BLOCK_ROWS: usize = 8_192;

/// A file that is being read.
pub struct ParquetFile {
    path: String,
    reader: ParquetRecordBatchReader,
    /// Rows handed out, and rows there are.
    rows: u64,
    rows_all: u64,
    /// Bytes of the file, and how many of them `progress` knows of: as many as rows were read.
    bytes_all: u64,
    bytes_told: u64,
    progress: Arc<AtomicU64>,
}

impl ParquetFile {
    /// Opens a file and makes sure that it has every column that the source names.
    pub fn open(
        file: &InputFile,
        source: &Source,
        first_row: u64,
        progress: Arc<AtomicU64>,
    ) -> Result<ParquetFile, RunError> {
        let path = file.path.clone();
        let bytes_all = file.size_bytes.ok_or_else(|| RunError::NotParquet {
            path: path.clone(),
            what: "is a stream, and a Parquet file is read from its end",
            remedy: "write it to a file",
        })?;
        let read = |source| RunError::Read { path: path.clone(), source };
        let mut input = File::open(&path).map_err(read)?;
        let mut head = Vec::new();
        Read::by_ref(&mut input).take(4).read_to_end(&mut head).and_then(|_| input.rewind()).map_err(read)?;
        check_head(&path, &head)?;
        let builder = caught(|| ParquetRecordBatchReaderBuilder::try_new(input))
            .map_err(|reason| RunError::Parquet { path: path.clone(), row: 0, reason })?;
        let leaves = wanted_leaves(&path, builder.parquet_schema(), source)?;
        let mask = ProjectionMask::leaves(builder.parquet_schema(), leaves);
        let rows_all = builder.metadata().file_metadata().num_rows().max(0) as u64;
        let reader = caught(|| {
            builder.with_projection(mask).with_batch_size(BLOCK_ROWS).with_offset(first_row as usize).build()
        })
        .map_err(|reason| RunError::Parquet { path: path.clone(), row: 0, reason })?;
        check_types(&path, &reader, source)?;
        Ok(ParquetFile { path, reader, rows: first_row, rows_all, bytes_all, bytes_told: 0, progress })
    }

    /// The next rows, and the number of the first one; nothing at the end.
    pub fn next(&mut self) -> Result<Option<(u64, RecordBatch)>, RunError> {
        let first = self.rows;
        let batch = caught(|| self.reader.next().transpose());
        let batch =
            batch.map_err(|reason| RunError::Parquet { path: self.path.clone(), row: first, reason })?;
        self.rows += batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
        let share = if batch.is_none() { 1.0 } else { self.rows as f64 / self.rows_all.max(1) as f64 };
        let bytes = ((self.bytes_all as f64 * share) as u64)
            .clamp(self.bytes_told, self.bytes_all.max(self.bytes_told));
        self.progress.fetch_add(bytes - self.bytes_told, Ordering::Relaxed);
        self.bytes_told = bytes;
        Ok(batch.map(|batch| (first, batch)))
    }
}

/// What `read` makes of bytes that nobody has checked: its result, or why there is none. The library that reads
/// Parquet has assertions about its input.
fn caught<T, E: std::fmt::Display>(read: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(done) => done.map_err(|e| e.to_string()),
        Err(_) => Err("it contradicts itself".into()),
    }
}

fn check_head(path: &str, head: &[u8]) -> Result<(), RunError> {
    let (what, remedy) = match head {
        b"PAR1" => return Ok(()),
        [0x1F, 0x8B, ..] | [0x28, 0xB5, 0x2F, 0xFD] | [0xFD, b'7', b'z', b'X'] => {
            ("is compressed as a whole", "decompress it; Parquet compresses its own pages")
        }
        b"PARE" => ("is encrypted Parquet", "decrypt it first"),
        _ => ("is no Parquet file", "write its `format`, as in format = \"csv\""),
    };
    Err(RunError::NotParquet { path: path.into(), what, remedy })
}

/// The paths of what the source reads: its fields, then its time.
fn wanted(source: &Source) -> impl Iterator<Item = &str> {
    let time = source.time.as_ref().and_then(TimeSpec::field).map(|(path, _)| path);
    source.fields.iter().map(|field| field.path.as_str()).chain(time)
}

/// The numbers of the wanted leaves.
fn wanted_leaves(path: &str, schema: &SchemaDescriptor, source: &Source) -> Result<Vec<usize>, RunError> {
    let leaves: Vec<(String, bool)> = schema
        .columns()
        .iter()
        .map(|leaf| (leaf.path().parts().join("."), leaf.max_rep_level() > 0))
        .collect();
    let not_that = |column: &str, what: &str| {
        let (path, column, what) = (path.to_string(), column.to_string(), what.to_string());
        RunError::Column { path, column, what }
    };
    let header = |source| RunError::Header { path: path.to_string(), source };
    wanted(source)
        .map(|column| {
            let mut found = leaves.iter().enumerate().filter(|(_, (name, _))| name == column);
            match (found.next(), found.next()) {
                (Some((_, (_, true))), None) => Err(not_that(column, "a list or inside one")),
                (Some((leaf, _)), None) => Ok(leaf),
                (Some(_), Some(_)) => Err(header(DecoderError::TwoColumns { path: column.to_string() })),
                (None, _) => {
                    let inside =
                        |name: &String| name.strip_prefix(column).is_some_and(|rest| rest.starts_with('.'));
                    match leaves.iter().find(|(name, _)| inside(name)) {
                        Some((_, true)) => Err(not_that(column, "a list or a map")),
                        Some((name, false)) => Err(not_that(
                            column,
                            &format!("a struct (its members are fields, as in `{name}`)"),
                        )),
                        None => {
                            let columns = leaves.iter().filter(|(_, repeated)| !repeated);
                            let columns = columns.map(|(name, _)| name.clone()).collect();
                            Err(header(DecoderError::NoSuchColumn { path: column.to_string(), columns }))
                        }
                    }
                }
            }
        })
        .collect()
}

/// Every wanted column has a type that can be converted.
fn check_types(path: &str, reader: &ParquetRecordBatchReader, source: &Source) -> Result<(), RunError> {
    let empty = RecordBatch::new_empty(reader.schema());
    for column in wanted(source) {
        let array = leaf(&empty, column);
        let fits = array.as_ref().is_some_and(|array| values(array, false).is_ok());
        if !fits {
            let what =
                array.map_or("out of reach".to_string(), |array| format!("of type {}", array.data_type()));
            return Err(RunError::Column { path: path.into(), column: column.into(), what });
        }
    }
    Ok(())
}

/// The columns of a block as the engine takes them: the fields, and the time where a field holds it.
pub fn columns(source: &Source, batch: &RecordBatch) -> Result<(Vec<Values>, Option<Values>), ArrowError> {
    let column = |path: &str, as_time| {
        let array = leaf(batch, path).ok_or_else(|| ArrowError::SchemaError(format!("`{path}` is gone")))?;
        values(&array, as_time)
    };
    let fields = source.fields.iter().map(|field| column(&field.path, false)).collect::<Result<_, _>>()?;
    let time =
        source.time.as_ref().and_then(TimeSpec::field).map(|(path, _)| column(path, true)).transpose()?;
    Ok((fields, time))
}

/// The array at a path. A member of a struct that is null is null.
fn leaf(batch: &RecordBatch, path: &str) -> Option<ArrayRef> {
    let schema = batch.schema();
    for (column, field) in batch.columns().iter().zip(schema.fields()) {
        if field.name() == path {
            return Some(column.clone());
        }
        let rest = path.strip_prefix(field.name().as_str()).and_then(|rest| rest.strip_prefix('.'));
        if let Some(found) = rest.and_then(|rest| member(column, rest)) {
            return Some(found);
        }
    }
    None
}

fn member(column: &ArrayRef, path: &str) -> Option<ArrayRef> {
    let parent = column.as_struct_opt()?;
    for (child, field) in parent.columns().iter().zip(parent.fields()) {
        let found = match path.strip_prefix(field.name().as_str()) {
            Some("") => Some(child.clone()),
            Some(rest) => rest.strip_prefix('.').and_then(|rest| member(child, rest)),
            None => None,
        };
        if let Some(found) = found {
            return under(&found, parent.nulls());
        }
    }
    None
}

/// The array with these nulls besides its own.
fn under(array: &ArrayRef, nulls: Option<&NullBuffer>) -> Option<ArrayRef> {
    let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) else { return Some(array.clone()) };
    let nulls = NullBuffer::union(Some(nulls), array.nulls());
    array.to_data().into_builder().nulls(nulls).build().ok().map(make_array)
}

/// A column in one of the types that the engine takes.
fn values(array: &ArrayRef, as_time: bool) -> Result<Values, ArrowError> {
    const STRICT: CastOptions<'static> =
        CastOptions { safe: false, format_options: arrow_cast::display::FormatOptions::new() };
    let cast = |array: &ArrayRef, to: &DataType| cast_with_options(array, to, &STRICT);
    let text = |array: &ArrayRef| Ok(Values::String(cast(array, &DataType::Utf8)?.as_string().clone()));
    match array.data_type() {
        DataType::Boolean => Ok(Values::Bool(array.as_boolean().clone())),
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => Ok(Values::Int64(cast(array, &DataType::Int64)?.as_primitive().clone())),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            Ok(Values::Float64(cast(array, &DataType::Float64)?.as_primitive().clone()))
        }
        DataType::Timestamp(unit, _) => Ok(Values::Times(micros(array, *unit))),
        DataType::Date32 | DataType::Date64 => {
            let days = cast(array, &DataType::Date32)?;
            if !as_time {
                return text(&days);
            }
            let days = cast(&days, &DataType::Int32)?;
            let days = cast(&days, &DataType::Int64)?;
            Ok(Values::Times(
                days.as_primitive::<Int64Type>().unary(|day| day.saturating_mul(86_400_000_000)),
            ))
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            Ok(Values::Binary(cast(array, &DataType::Binary)?.as_binary().clone()))
        }
        DataType::Dictionary(_, of) => values(&cast(array, of)?, as_time),
        // Their texts are exact, and numbers are read from texts.
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::UInt64
        | DataType::Null
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => text(array),
        other => Err(ArrowError::CastError(format!("{other} is no type of a field"))),
    }
}

/// Times in microseconds, rounded to the past; what is out of range is far out of it.
fn micros(array: &ArrayRef, unit: TimeUnit) -> Int64Array {
    match unit {
        TimeUnit::Second => {
            array.as_primitive::<TimestampSecondType>().unary(|n| n.saturating_mul(1_000_000))
        }
        TimeUnit::Millisecond => {
            array.as_primitive::<TimestampMillisecondType>().unary(|n| n.saturating_mul(1_000))
        }
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().unary(|n| n),
        TimeUnit::Nanosecond => {
            array.as_primitive::<TimestampNanosecondType>().unary(|n| n.div_euclid(1_000))
        }
    }
}

//! Rows of an answer as text for people, JSON, CSV, and Parquet.

use super::Format;
use crate::Trouble;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType};
use parquet::arrow::ArrowWriter;
use std::fs::File;
use std::io::{self, BufWriter, Write};

/// Widest cell of a table; what is longer is cut.
const CELL_CHARS_MAX: usize = 60;

/// Writes an answer to a file or to standard output, whose reader may go away early.
pub fn write(format: Format, output: &str, batches: &[RecordBatch], again: bool) -> Result<(), Trouble> {
    let written = if output == "-" {
        let mut out = BufWriter::new(io::stdout());
        let head = if again { out.write_all(b"\x1b[H\x1b[2J") } else { Ok(()) };
        head.and_then(|()| put(format, &mut out, batches)).and_then(|()| out.flush())
    } else {
        File::create(output).and_then(|file| {
            let mut out = BufWriter::new(file);
            put(format, &mut out, batches).and_then(|()| out.flush())
        })
    };
    match written {
        Err(error) if output != "-" || error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Trouble::environment(format!("cannot write the answer: {error}")))
        }
        _ => Ok(()),
    }
}

fn put(format: Format, out: &mut (impl Write + Send), batches: &[RecordBatch]) -> io::Result<()> {
    match format {
        Format::Table => table(out, batches),
        Format::Json => json(out, batches),
        Format::Csv => csv(out, batches),
        Format::Parquet => {
            let Some(first) = batches.first() else { return Ok(()) };
            let mut writer = ArrowWriter::try_new(out, first.schema(), None)?;
            batches.iter().try_for_each(|batch| writer.write(batch))?;
            writer.close()?;
            Ok(())
        }
    }
}

/// The values of a batch as text, nulls as nothing.
fn cells(batch: &RecordBatch) -> io::Result<Vec<Vec<String>>> {
    let options = FormatOptions::default().with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"));
    let options = options.with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"));
    let of = |column| ArrayFormatter::try_new(column, &options);
    let columns: Result<Vec<_>, ArrowError> =
        batch.columns().iter().map(|column| of(column.as_ref())).collect();
    let columns = columns.map_err(io::Error::other)?;
    Ok((0..batch.num_rows())
        .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect())
        .collect())
}

fn names(batches: &[RecordBatch]) -> Vec<String> {
    let first = batches.first();
    first.map_or_else(Vec::new, |batch| batch.schema().fields().iter().map(|f| f.name().clone()).collect())
}

fn table(out: &mut impl Write, batches: &[RecordBatch]) -> io::Result<()> {
    let Some(first) = batches.first() else { return Ok(()) };
    let numeric: Vec<bool> =
        first.schema().fields().iter().map(|field| field.data_type().is_numeric()).collect();
    let mut rows = vec![names(batches)];
    for batch in batches {
        rows.extend(cells(batch)?);
    }
    // What a cell says must not move the cursor.
    let plain = |cell: &mut String| {
        *cell = cell.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        if cell.chars().count() > CELL_CHARS_MAX {
            *cell = cell.chars().take(CELL_CHARS_MAX - 1).chain(['…']).collect();
        }
    };
    rows.iter_mut().flatten().for_each(plain);
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..numeric.len()).map(width).collect();
    for row in &rows {
        let mut line = String::new();
        for ((cell, width), numeric) in row.iter().zip(&widths).zip(&numeric) {
            let padded = if *numeric { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") };
            line.push_str(&padded);
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn csv(out: &mut impl Write, batches: &[RecordBatch]) -> io::Result<()> {
    let quoted = |cell: &String| {
        if cell.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.clone()
        }
    };
    let line = |row: &[String]| row.iter().map(quoted).collect::<Vec<_>>().join(",");
    writeln!(out, "{}", line(&names(batches)))?;
    for batch in batches {
        for row in cells(batch)? {
            writeln!(out, "{}", line(&row))?;
        }
    }
    Ok(())
}

fn json(out: &mut impl Write, batches: &[RecordBatch]) -> io::Result<()> {
    let names = names(batches);
    let mut first = true;
    out.write_all(b"[")?;
    for batch in batches {
        let texts = cells(batch)?;
        for (row, text) in texts.iter().enumerate() {
            let values = batch.columns().iter().zip(text).map(|(column, text)| value(column, row, text));
            let object: Result<Vec<String>, serde_json::Error> = names
                .iter()
                .zip(values)
                .map(|(name, value)| Ok(format!("{}:{value}", serde_json::to_string(name)?)))
                .collect();
            out.write_all(if first { b"\n{" } else { b",\n{" })?;
            out.write_all(object?.join(",").as_bytes())?;
            out.write_all(b"}")?;
            first = false;
        }
    }
    out.write_all(if first { b"]\n" } else { b"\n]\n" })
}

/// A value as JSON: numbers and booleans as they are, within structs and lists too, all else as text. Whole numbers beyond
/// 2^53 are text, as in reports.
fn value(column: &ArrayRef, row: usize, text: &str) -> serde_json::Value {
    const EXACT_MAX: i64 = 1 << 53;
    if column.is_null(row) {
        return serde_json::Value::Null;
    }
    match column.data_type() {
        DataType::Null => serde_json::Value::Null,
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Int64 => match column.as_primitive::<Int64Type>().value(row) {
            n if (-EXACT_MAX..=EXACT_MAX).contains(&n) => n.into(),
            n => n.to_string().into(),
        },
        DataType::Float64 => {
            let n = column.as_primitive::<Float64Type>().value(row);
            serde_json::Number::from_f64(n).map_or_else(|| text.into(), serde_json::Value::Number)
        }
        of if of.is_integer() => text.parse::<i64>().map_or_else(|_| text.into(), Into::into),
        DataType::List(_) => {
            let list = column.as_list::<i32>().value(row);
            (0..list.len()).map(|at| value(&list, at, "")).collect()
        }
        DataType::Struct(fields) => {
            let columns = column.as_struct().columns();
            let members = fields.iter().zip(columns);
            members
                .map(|(field, column)| (field.name().clone(), value(column, row, &shown(column, row))))
                .collect()
        }
        _ if text.is_empty() => shown(column, row).into(),
        _ => text.into(),
    }
}

fn shown(column: &ArrayRef, row: usize) -> String {
    let formatter = ArrayFormatter::try_new(column.as_ref(), &FormatOptions::default());
    formatter.map_or_else(|_| String::new(), |column| column.value(row).to_string())
}

//! Rows of an answer as text for people, JSON, CSV, and Parquet.

use super::Format;
use crate::Trouble;
use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::ArrowError;
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

/// Objects by the contract of all answers: whole numbers beyond 2^53 are text, times RFC 3339, bytes base64.
fn json(out: &mut impl Write, batches: &[RecordBatch]) -> io::Result<()> {
    let names = names(batches);
    let mut first = true;
    out.write_all(b"[")?;
    for batch in batches {
        for row in plan::query::json::rows(batch).map_err(io::Error::other)? {
            let values = row.as_array().cloned().unwrap_or_default();
            let members = names.iter().zip(values).map(|(name, value)| {
                Ok(format!("{}:{}", serde_json::to_string(name)?, serde_json::to_string(&value)?))
            });
            let members: Result<Vec<String>, serde_json::Error> = members.collect();
            out.write_all(if first { b"\n{" } else { b",\n{" })?;
            out.write_all(members?.join(",").as_bytes())?;
            out.write_all(b"}")?;
            first = false;
        }
    }
    out.write_all(if first { b"]\n" } else { b"\n]\n" })
}

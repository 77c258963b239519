//! The report: the same answers as a table for people, or as JSON, NDJSON and CSV for programs.

mod csv;
mod table;

use engine::answer::Answer;
use std::io::{self, BufWriter, Write};

/// How the report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned text for people.
    Table,
    /// One JSON array of answers (docs/answer.schema.json).
    Json,
    /// One JSON answer a line.
    Ndjson,
    /// One line per number; list measures take one line per entry.
    Csv,
}

/// Writes the report to standard output. A reader that goes away early is no error.
pub fn show(format: Format, answers: &[Answer]) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let written = match format {
        Format::Table => table::write(&mut out, answers),
        Format::Json => json(&mut out, answers),
        Format::Ndjson => ndjson(&mut out, answers),
        Format::Csv => csv::write(&mut out, answers),
    };
    match written.and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// One answer a line inside an array: a program parses it, a person can still read it.
fn json(out: &mut impl Write, answers: &[Answer]) -> io::Result<()> {
    for (i, answer) in answers.iter().enumerate() {
        out.write_all(if i == 0 { b"[\n" } else { b",\n" })?;
        serde_json::to_writer(&mut *out, answer)?;
    }
    out.write_all(if answers.is_empty() { b"[]\n" } else { b"\n]\n" })
}

fn ndjson(out: &mut impl Write, answers: &[Answer]) -> io::Result<()> {
    for answer in answers {
        serde_json::to_writer(&mut *out, answer)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

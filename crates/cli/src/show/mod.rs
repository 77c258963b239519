//! The report: the same answers as a table for people, or as JSON, NDJSON and CSV for programs.

mod csv;
mod table;

use engine::answer::Answer;
use std::io::{self, BufWriter, Write};

pub use table::{float, grouped, write as write_table};

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

/// A report on its way to standard output. A reader that goes away early is no error.
pub struct Report {
    format: Format,
    out: BufWriter<io::StdoutLock<'static>>,
    /// Tables are laid out as a whole.
    table: Vec<Answer>,
    written: u64,
    trouble: Option<io::Error>,
}

impl Report {
    /// Starts a report.
    pub fn start(format: Format) -> Report {
        let out = BufWriter::new(io::stdout().lock());
        let mut report = Report { format, out, table: Vec::new(), written: 0, trouble: None };
        if format == Format::Csv {
            let header = csv::header(&mut report.out);
            report.note(header);
        }
        report
    }

    /// Writes an answer, unless something went wrong before.
    pub fn put(&mut self, answer: Answer) {
        if self.trouble.is_some() {
            return;
        }
        let put = match self.format {
            Format::Json => self.put_json(&answer),
            Format::Ndjson => json_line(&mut self.out, &answer),
            Format::Csv => csv::write(&mut self.out, &answer),
            Format::Table => {
                self.table.push(answer);
                Ok(())
            }
        };
        self.written += 1;
        self.note(put);
    }

    /// Writes a line in front of a table.
    pub fn line(&mut self, text: &str) {
        if self.trouble.is_none() {
            let put = writeln!(self.out, "{text}");
            self.note(put);
        }
    }

    /// Writes rows in columns, the first one to the left.
    pub fn lines<const N: usize>(&mut self, rows: &[[String; N]]) {
        let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
        for row in rows {
            let mut text = format!("  {:1$}", row[0], width(0));
            for (i, cell) in row.iter().enumerate().skip(1) {
                text.push_str(&format!("  {cell:>0$}", width(i)));
            }
            self.line(text.trim_end());
        }
    }

    /// Writes what is left.
    pub fn finish(mut self) -> io::Result<()> {
        let end = match self.format {
            Format::Json => self.out.write_all(if self.written == 0 { b"[]\n" } else { b"\n]\n" }),
            Format::Table => table::write(&mut self.out, &self.table),
            Format::Ndjson | Format::Csv => Ok(()),
        };
        self.note(end);
        let flushed = self.out.flush();
        self.note(flushed);
        match self.trouble {
            Some(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e),
            _ => Ok(()),
        }
    }

    /// One answer a line inside an array: a program parses it, a person can still read it.
    fn put_json(&mut self, answer: &Answer) -> io::Result<()> {
        self.out.write_all(if self.written == 0 { b"[\n" } else { b",\n" })?;
        Ok(serde_json::to_writer(&mut self.out, answer)?)
    }

    fn note(&mut self, done: io::Result<()>) {
        if let Err(e) = done {
            self.trouble.get_or_insert(e);
        }
    }
}

fn json_line(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    serde_json::to_writer(&mut *out, answer)?;
    out.write_all(b"\n")
}

//! `run --annotate`: every event written back with what is known of it, in place of the report.
//!
//! A JSON event keeps its bytes and gets one member more, `sg`; of other formats the record is a string. The members of
//! `sg` are the names that were asked for, in that order.

use engine::annotate::{Note, raw_of};
use engine::intake::Judged;
use serde::Serialize;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

/// Annotated events on their way to standard output.
pub struct Events {
    json: bool,
    out: Mutex<Out>,
}

struct Out {
    to: BufWriter<io::Stdout>,
    line: Vec<u8>,
    /// A reader that goes away early is no error, but there is nobody to write for any more.
    nobody: bool,
}

impl Events {
    /// Events of NDJSON records, or of others.
    pub fn new(json: bool) -> Events {
        let out = Out { to: BufWriter::new(io::stdout()), line: Vec::new(), nobody: false };
        Events { json, out: Mutex::new(out) }
    }

    /// Writes an event with its notes, as one line.
    pub fn write(&self, judged: &Judged, row: usize, notes: &[(&str, Note)]) -> io::Result<()> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let Out { to, line, nobody } = &mut *out;
        if *nobody {
            return Ok(());
        }
        line.clear();
        let notes = Notes { late: judged.left_out.binary_search(&(row as u32)).is_ok(), notes };
        self.event(line, raw_of(&judged.batch, row), &notes)?;
        keep(to.write_all(line), nobody)
    }

    /// Writes what is left.
    pub fn finish(self) -> io::Result<()> {
        let mut out = self.out.into_inner().unwrap_or_else(PoisonError::into_inner);
        keep(out.to.flush(), &mut out.nobody)
    }

    fn event(&self, line: &mut Vec<u8>, record: &[u8], notes: &Notes<'_>) -> io::Result<()> {
        let object = record.trim_ascii().strip_suffix(b"}").filter(|_| self.json);
        match object.map(<[u8]>::trim_ascii_end) {
            Some(members) => {
                line.extend_from_slice(members);
                if !members.ends_with(b"{") {
                    line.push(b',');
                }
                line.extend_from_slice(b"\"sg\":");
            }
            None => {
                line.extend_from_slice(b"{\"record\":");
                serde_json::to_writer(&mut *line, &String::from_utf8_lossy(record))?;
                line.extend_from_slice(b",\"sg\":");
            }
        }
        serde_json::to_writer(&mut *line, notes)?;
        line.extend_from_slice(b"}\n");
        Ok(())
    }
}

fn keep(done: io::Result<()>, nobody: &mut bool) -> io::Result<()> {
    match done {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => {
            *nobody = true;
            Ok(())
        }
        done => done,
    }
}

/// What is said of one event.
struct Notes<'a> {
    /// Late and left out: it changed nothing.
    late: bool,
    notes: &'a [(&'a str, Note)],
}

impl Serialize for Notes<'_> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = s.serialize_map(None)?;
        for (name, note) in self.notes {
            map.serialize_entry(name, note)?;
        }
        if self.late {
            map.serialize_entry("late", &true)?;
        }
        map.end()
    }
}

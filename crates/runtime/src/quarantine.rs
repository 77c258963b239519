//! The quarantine: records that could not be used, as NDJSON with their raw bytes, reason and position.

use crate::RunError;
use crate::disk::{Disk, DiskFile, How, holder};
use engine::batch::Raw;
use sabotage::{Bug, planted};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Writes one line per record set aside. The file is made when the first one comes.
#[derive(Debug)]
pub struct Quarantine {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    writer: Option<BufWriter<Box<dyn DiskFile>>>,
    written: u64,
    /// Whether it was made since it was last settled: its name is not durable then.
    is_new: bool,
}

impl Quarantine {
    /// A quarantine at this path.
    fn new(disk: Arc<dyn Disk>, path: &Path) -> Quarantine {
        Quarantine { disk, path: path.to_path_buf(), writer: None, written: 0, is_new: false }
    }

    /// One that goes on behind so many bytes, which hold so many records: what an interrupted run wrote after them is cut
    /// off, as it will be written again.
    pub fn at(
        disk: Arc<dyn Disk>,
        path: &Path,
        (bytes, records): (u64, u64),
    ) -> Result<Quarantine, RunError> {
        let mut quarantine = Quarantine::new(disk, path);
        if bytes > 0 {
            let go_on = || -> io::Result<BufWriter<Box<dyn DiskFile>>> {
                let mut file = quarantine.disk.open(path, How::Change)?;
                if file.length()? < bytes {
                    return Err(io::Error::other("it is shorter than the state says"));
                }
                if !planted(Bug::QuarantineNotCut) {
                    file.set_length(bytes)?;
                }
                file.seek(SeekFrom::End(0))?;
                Ok(BufWriter::new(file))
            };
            quarantine.writer = Some(go_on().map_err(|e| quarantine.trouble(e))?);
            quarantine.written = records;
        }
        Ok(quarantine)
    }

    /// Makes durable what was set aside so far: its bytes and records.
    pub fn settle(&mut self) -> Result<(u64, u64), RunError> {
        let Some(writer) = &mut self.writer else { return Ok((0, self.written)) };
        let mut settle = || -> io::Result<u64> {
            writer.flush()?;
            writer.get_mut().sync_data()?;
            if self.is_new {
                self.disk.sync_directory(&holder(&self.path))?;
                self.is_new = false;
            }
            writer.stream_position()
        };
        match settle() {
            Ok(bytes) => Ok((bytes, self.written)),
            Err(error) => Err(self.trouble(error)),
        }
    }

    /// Sets a record aside.
    pub fn put(
        &mut self,
        source: &str,
        file: &str,
        reason: &str,
        field: Option<&str>,
        raw: &Raw,
    ) -> Result<(), RunError> {
        self.try_put(source, file, reason, field, raw).map_err(|e| self.trouble(e))
    }

    /// Writes out what is buffered. How many records were set aside.
    pub fn finish(mut self) -> Result<u64, RunError> {
        if let Some(mut writer) = self.writer.take() {
            writer.flush().map_err(|e| self.trouble(e))?;
        }
        Ok(self.written)
    }

    fn try_put(
        &mut self,
        source: &str,
        file: &str,
        reason: &str,
        field: Option<&str>,
        raw: &Raw,
    ) -> io::Result<()> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let file = self.disk.open(&self.path, How::New)?;
                self.is_new = true;
                self.writer.insert(BufWriter::new(file))
            }
        };
        serde_json::to_writer(&mut *writer, &Line { source, file, reason, field, raw })?;
        writer.write_all(b"\n")?;
        self.written += 1;
        Ok(())
    }

    fn trouble(&self, source: io::Error) -> RunError {
        RunError::Quarantine { path: self.path.display().to_string(), source }
    }
}

/// One record, its keys in the order in which a person asks: where, why, what.
struct Line<'a> {
    source: &'a str,
    file: &'a str,
    reason: &'a str,
    field: Option<&'a str>,
    raw: &'a Raw,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(7))?;
        map.serialize_entry("source", self.source)?;
        map.serialize_entry("file", self.file)?;
        map.serialize_entry("line", &(self.raw.line + 1))?;
        map.serialize_entry("byte", &self.raw.byte)?;
        map.serialize_entry("reason", self.reason)?;
        map.serialize_entry("field", &self.field)?;
        match std::str::from_utf8(&self.raw.bytes) {
            Ok(text) => map.serialize_entry("raw", text)?,
            Err(_) => map.serialize_entry("raw_hex", &hex(&self.raw.bytes))?,
        }
        map.end()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

//! The quarantine: records that could not be used, as NDJSON with their raw bytes, reason and position.

use crate::RunError;
use engine::batch::Raw;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes one line per record set aside. The file is made when the first one comes.
#[derive(Debug)]
pub struct Quarantine {
    path: PathBuf,
    writer: Option<BufWriter<File>>,
    written: u64,
}

impl Quarantine {
    /// A quarantine at this path.
    pub fn new(path: &Path) -> Quarantine {
        Quarantine { path: path.to_path_buf(), writer: None, written: 0 }
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
            None => self.writer.insert(BufWriter::new(File::create(&self.path)?)),
        };
        let mut line = serde_json::Map::new();
        line.insert("source".into(), source.into());
        line.insert("file".into(), file.into());
        line.insert("line".into(), (raw.line + 1).into());
        line.insert("byte".into(), raw.byte.into());
        line.insert("reason".into(), reason.into());
        line.insert("field".into(), field.into());
        match std::str::from_utf8(&raw.bytes) {
            Ok(text) => line.insert("raw".into(), text.into()),
            Err(_) => line.insert("raw_hex".into(), hex(&raw.bytes).into()),
        };
        serde_json::to_writer(&mut *writer, &line)?;
        writer.write_all(b"\n")?;
        self.written += 1;
        Ok(())
    }

    fn trouble(&self, source: io::Error) -> RunError {
        RunError::Quarantine { path: self.path.display().to_string(), source }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

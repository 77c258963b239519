//! Which files a source reads, and how one is opened: plain, gzip or zstd, told by the first bytes.

use crate::RunError;
use std::fs::File;
use std::io::{self, BufReader, Chain, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A file to be read, or standard input (`-`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Its path; `-` is standard input.
    pub path: String,
    /// Its size on disk in bytes; `None` for standard input and other streams.
    pub size_bytes: Option<u64>,
}

/// Expands paths and patterns, in the order given; the files of one pattern in the order of their names.
/// A relative path is taken from the first of `bases` where something matches.
pub fn expand(patterns: &[String], bases: &[&Path]) -> Result<Vec<InputFile>, RunError> {
    let mut out = Vec::new();
    for pattern in patterns {
        if pattern == "-" {
            out.push(InputFile { path: "-".into(), size_bytes: None });
            continue;
        }
        let mut found = Vec::new();
        for base in bases {
            found = matches(pattern, base)?;
            if !found.is_empty() {
                break;
            }
        }
        if found.is_empty() {
            return Err(RunError::NoFile(pattern.clone()));
        }
        out.extend(found);
    }
    Ok(out)
}

fn matches(pattern: &str, base: &Path) -> Result<Vec<InputFile>, RunError> {
    let full = base.join(pattern);
    if full.exists() {
        return Ok(vec![file(&full)?]);
    }
    let wrong = |reason: String| RunError::Pattern { pattern: pattern.to_string(), reason };
    let text = full.to_str().ok_or_else(|| wrong("it is not UTF-8".into()))?;
    let mut out = Vec::new();
    for path in glob::glob(text).map_err(|e| wrong(e.to_string()))? {
        let path = path.map_err(|e| wrong(e.to_string()))?;
        if !path.is_dir() {
            out.push(file(&path)?);
        }
    }
    Ok(out)
}

fn file(path: &Path) -> Result<InputFile, RunError> {
    let path_text = path.display().to_string();
    let read = |source| RunError::Read { path: path_text.clone(), source };
    let meta = std::fs::metadata(path).map_err(read)?;
    if meta.is_dir() {
        return Err(read(io::Error::other(
            "it is a directory: name files, or a pattern such as DIR/*.ndjson",
        )));
    }
    Ok(InputFile { size_bytes: meta.is_file().then_some(meta.len()), path: path_text })
}

/// A stream of decompressed bytes.
pub struct Stream {
    reader: Box<dyn Read + Send>,
    path: String,
    format: Option<&'static str>,
    bytes: u64,
}

impl Stream {
    /// Opens a file; raw bytes taken from disk are added to `progress`.
    pub fn open(path: &str, progress: Arc<AtomicU64>) -> Result<Stream, RunError> {
        let read = |source| RunError::Read { path: path.to_string(), source };
        let raw: Box<dyn Read + Send> =
            if path == "-" { Box::new(io::stdin()) } else { Box::new(File::open(path).map_err(read)?) };
        let mut raw = Counted { inner: raw, progress };
        let mut magic = [0u8; 4];
        let got = read_full(&mut raw, &mut magic).map_err(read)?;
        let (reader, format) = decompress(&magic[..got], raw).map_err(read)?;
        Ok(Stream { reader, path: path.to_string(), format, bytes: 0 })
    }

    /// Reads some bytes; 0 is the end.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, RunError> {
        loop {
            match self.reader.read(buffer) {
                Ok(n) => {
                    self.bytes += n as u64;
                    return Ok(n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.trouble(e)),
            }
        }
    }

    fn trouble(&self, error: io::Error) -> RunError {
        let path = self.path.clone();
        match self.format {
            // The system's own errors carry a code; those of a decoder do not.
            Some(format) if error.raw_os_error().is_none() => RunError::Damaged {
                path,
                format,
                what: if error.kind() == io::ErrorKind::UnexpectedEof {
                    "ends too early"
                } else {
                    "is corrupt"
                },
                bytes: self.bytes,
            },
            _ => RunError::Read { path, source: error },
        }
    }
}

type Rest<R> = Chain<Cursor<Vec<u8>>, R>;

fn decompress<R: Read + Send + 'static>(
    magic: &[u8],
    raw: R,
) -> io::Result<(Box<dyn Read + Send>, Option<&'static str>)> {
    let whole: Rest<R> = Cursor::new(magic.to_vec()).chain(raw);
    Ok(match magic {
        [0x1F, 0x8B, ..] => {
            let input = BufReader::with_capacity(1 << 16, whole);
            (Box::new(flate2::bufread::MultiGzDecoder::new(input)), Some("gzip"))
        }
        [0x28, 0xB5, 0x2F, 0xFD] => (Box::new(zstd::Decoder::new(whole)?), Some("zstd")),
        _ => (Box::new(whole), None),
    })
}

fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

struct Counted<R> {
    inner: R,
    progress: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.progress.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

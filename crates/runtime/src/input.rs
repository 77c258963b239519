//! Which files a source reads, and how one is opened: plain, gzip, zstd or xz, told by the first bytes.

use crate::RunError;
use glob::MatchOptions;
use liblzma::stream::Stream as Xz;
use std::collections::BTreeSet;
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

/// Patterns leave these files out: what an earlier run set aside beside its input is no input.
const QUARANTINE_SUFFIX: &str = ".quarantine.ndjson";

/// Expands paths and patterns, in the order given; the files of one pattern in the order of their names.
/// A relative path is taken from the first of `bases` where something matches.
///
/// As in a shell, `*` matches no name that begins with a dot. A pattern matches no quarantine file either; a path that
/// names one does.
///
/// # Errors
/// When a path names nothing or a directory, when a pattern is not one, when a file is named twice.
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
            return Err(RunError::NoFile { pattern: pattern.clone(), looked: looked_in(pattern, bases) });
        }
        out.extend(found);
    }
    named_once(&out)?;
    Ok(out)
}

/// The directories that a pattern was looked for in.
fn looked_in(pattern: &str, bases: &[&Path]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for base in bases {
        let full = base.join(pattern);
        let folder = match full.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => format!("`{}`", folder.display()),
            _ => "the current directory".to_string(),
        };
        if !out.contains(&folder) {
            out.push(folder);
        }
    }
    out
}

fn matches(pattern: &str, base: &Path) -> Result<Vec<InputFile>, RunError> {
    const AS_IN_A_SHELL: MatchOptions = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let full = base.join(pattern);
    if full.exists() {
        return Ok(vec![file(&full)?]);
    }
    let wrong = |reason: String| RunError::Pattern { pattern: pattern.to_string(), reason };
    glob::Pattern::new(pattern).map_err(|e| wrong(e.msg.to_string()))?;
    let base = base.to_str().ok_or_else(|| wrong("the directory it is looked for in is not UTF-8".into()))?;
    // The base is a name, not a pattern: its brackets and stars are its own.
    let full = Path::new(&glob::Pattern::escape(base)).join(pattern);
    let text = full.to_str().ok_or_else(|| wrong("it is not UTF-8".into()))?;
    let mut out = Vec::new();
    for path in glob::glob_with(text, AS_IN_A_SHELL).map_err(|e| wrong(e.msg.to_string()))? {
        let path =
            path.map_err(|e| RunError::Read { path: e.path().display().to_string(), source: e.into() })?;
        if !path.is_dir() && !path.to_string_lossy().ends_with(QUARANTINE_SUFFIX) {
            out.push(file(&path)?);
        }
    }
    Ok(out)
}

fn file(path: &Path) -> Result<InputFile, RunError> {
    let path_text = path.display().to_string();
    let meta =
        std::fs::metadata(path).map_err(|source| RunError::Read { path: path_text.clone(), source })?;
    if meta.is_dir() {
        return Err(RunError::Directory(path_text));
    }
    Ok(InputFile { size_bytes: meta.is_file().then_some(meta.len()), path: path_text })
}

fn named_once(files: &[InputFile]) -> Result<(), RunError> {
    let mut known = BTreeSet::new();
    // Streams have no size; whether one can be read twice is not for us to say.
    for file in files.iter().filter(|file| file.size_bytes.is_some()) {
        if std::fs::canonicalize(&file.path).is_ok_and(|path| !known.insert(path)) {
            return Err(RunError::Twice(file.path.clone()));
        }
    }
    Ok(())
}

/// Whether one of these files is the one at `path`, by whatever name.
pub fn reads(files: &[InputFile], path: &Path) -> bool {
    let Ok(path) = std::fs::canonicalize(path) else { return false };
    files.iter().any(|file| std::fs::canonicalize(&file.path).is_ok_and(|file| file == path))
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
        let mut magic = [0u8; MAGIC_BYTES];
        let got = read_full(&mut raw, &mut magic).map_err(read)?;
        let magic = &magic[..got];
        if let Some((_, what, remedy)) = FOREIGN.iter().find(|(start, ..)| magic.starts_with(start)) {
            return Err(RunError::Foreign { path: path.to_string(), what, remedy });
        }
        let (reader, format) = decompress(magic, raw).map_err(read)?;
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

    /// Leaves out some bytes, or all there are when there are fewer.
    pub fn skip(&mut self, bytes: u64) -> Result<(), RunError> {
        let mut left = bytes;
        let mut buffer = vec![0; SKIPPED_AT_ONCE.min(usize::try_from(left).unwrap_or(usize::MAX))];
        while left > 0 {
            let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match self.read(&mut buffer[..wanted])? {
                0 => return Ok(()),
                n => left -= n as u64,
            }
        }
        Ok(())
    }

    fn trouble(&self, error: io::Error) -> RunError {
        let path = self.path.clone();
        let xz = error.get_ref().and_then(|inner| inner.downcast_ref::<liblzma::stream::Error>());
        match self.format {
            _ if xz == Some(&liblzma::stream::Error::MemLimit) => RunError::Foreign {
                path,
                what: "compressed with xz in a way that takes more than 512 MiB to undo",
                remedy: "decompress it, or send what `xzcat` writes to `path = \"-\"`",
            },
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

/// Bytes that are left out at once.
const SKIPPED_AT_ONCE: usize = 1 << 20;
/// Memory that decoding xz may take: seven times what `xz -9` makes necessary; a header can ask for 4 GiB.
const XZ_MEMORY_MAX: u64 = 512 << 20;
/// The first bytes of a file, decompressed, `bytes_max` at most, and whether the file ends with them.
///
/// # Errors
/// When the file cannot be read so far.
pub fn head(path: &str, bytes_max: usize) -> Result<(Vec<u8>, bool), RunError> {
    let mut stream = Stream::open(path, Arc::default())?;
    // One byte more tells whether there is one.
    let mut bytes = vec![0; bytes_max + 1];
    let mut filled = 0;
    while filled < bytes.len() {
        match stream.read(&mut bytes[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    bytes.truncate(filled.min(bytes_max));
    Ok((bytes, filled <= bytes_max))
}

/// As many bytes as the longest beginning below.
const MAGIC_BYTES: usize = 10;
/// How files begin that would only give bad records, what they are, and what to do. No text begins like this.
const FOREIGN: [(&[u8], &str, &str); 5] = [
    (b"\xFF\xFE", "UTF-16 text", "convert it, as in `iconv -f UTF-16 -t UTF-8`"),
    (b"\xFE\xFF", "UTF-16 text", "convert it, as in `iconv -f UTF-16 -t UTF-8`"),
    (b"BZh91AY&SY", "compressed with bzip2", "decompress it, or send what `bzcat` writes to `path = \"-\"`"),
    (b"PK\x03\x04", "a zip archive", "unpack it, or send what `unzip -p` writes to `path = \"-\"`"),
    (b"PAR1\x15", "a Parquet file", "write format = \"parquet\""),
];

type Rest<R> = Chain<Cursor<Vec<u8>>, R>;

/// How a file that begins like this is compressed.
pub fn compression(magic: &[u8]) -> Option<&'static str> {
    match magic {
        [0x1F, 0x8B, ..] => Some("gzip"),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => Some("zstd"),
        [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => Some("xz"),
        _ => None,
    }
}

fn decompress<R: Read + Send + 'static>(
    magic: &[u8],
    raw: R,
) -> io::Result<(Box<dyn Read + Send>, Option<&'static str>)> {
    let whole: Rest<R> = Cursor::new(magic.to_vec()).chain(raw);
    let format = compression(magic);
    let reader: Box<dyn Read + Send> = match format {
        Some("gzip") => {
            let input = BufReader::with_capacity(1 << 16, whole);
            Box::new(flate2::bufread::MultiGzDecoder::new(input))
        }
        Some("zstd") => Box::new(zstd::Decoder::new(whole)?),
        Some(_) => {
            let input = BufReader::with_capacity(1 << 16, whole);
            // A file may be several streams, one behind the other.
            let streams = Xz::new_stream_decoder(XZ_MEMORY_MAX, liblzma::stream::CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(input, streams))
        }
        None => Box::new(whole),
    };
    Ok((reader, format))
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

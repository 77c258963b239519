//! How a file is opened: plain, gzip, zstd or xz, told by the first bytes.

use super::Pipe;
use crate::RunError;
use liblzma::stream::Stream as Xz;
use std::fs::File;
use std::io::{self, BufReader, Chain, Cursor, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Whether a file is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// Its end is its end.
    Whole,
    /// Bytes may be appended, if it is not compressed.
    MayGrow,
}

/// A stream of decompressed bytes.
pub struct Stream {
    reader: Box<dyn Read + Send>,
    path: String,
    format: Option<&'static str>,
    bytes: u64,
    /// The file, when it is one and is not compressed.
    plain: Option<File>,
    growth: Growth,
    /// Raised by whatever the bytes come from when there are no more, where a pause looks like the end.
    ended: Arc<AtomicBool>,
    progress: Arc<AtomicU64>,
}

impl Stream {
    /// Opens a file; raw bytes taken from disk are added to `progress`.
    pub fn open(path: &str, growth: Growth, progress: Arc<AtomicU64>) -> Result<Stream, RunError> {
        let read = |source| RunError::Read { path: path.to_string(), source };
        if path == "-" {
            return Stream::of(path, Box::new(io::stdin()), None, growth, progress);
        }
        let file = File::open(path).map_err(read)?;
        let is_file = file.metadata().map_err(read)?.is_file();
        let plain = is_file.then(|| file.try_clone()).transpose().map_err(read)?;
        Stream::of(path, Box::new(file), plain, growth, progress)
    }

    /// The bytes that come through a pipe, which has some or has ended.
    pub fn of_pipe(mut pipe: Pipe, progress: Arc<AtomicU64>) -> Result<Stream, RunError> {
        let ended = pipe.ended();
        if compression(pipe.first()).is_some() {
            // What decompresses takes a pause for the end.
            pipe.wait_for_bytes();
        }
        let stream = Stream::of("-", Box::new(pipe), None, Growth::MayGrow, progress)?;
        Ok(Stream { ended, ..stream })
    }

    fn of(
        path: &str,
        raw: Box<dyn Read + Send>,
        plain: Option<File>,
        growth: Growth,
        progress: Arc<AtomicU64>,
    ) -> Result<Stream, RunError> {
        let read = |source| RunError::Read { path: path.to_string(), source };
        let mut raw = Counted { inner: raw, progress: progress.clone() };
        let mut magic = [0u8; MAGIC_BYTES];
        let got = read_full(&mut raw, &mut magic).map_err(read)?;
        let magic = &magic[..got];
        if let Some((_, what, remedy)) = FOREIGN.iter().find(|(start, ..)| magic.starts_with(start)) {
            return Err(RunError::Foreign { path: path.to_string(), what, remedy });
        }
        let (reader, format) = decompress(magic, raw).map_err(read)?;
        let growth = if format.is_none() { growth } else { Growth::Whole };
        let (path, plain) = (path.to_string(), plain.filter(|_| format.is_none()));
        Ok(Stream { reader, path, format, bytes: 0, plain, growth, ended: Arc::default(), progress })
    }

    /// Whether there may be more behind a read of nothing.
    pub fn may_grow(&self) -> bool {
        self.growth == Growth::MayGrow && !self.ended.load(Ordering::Acquire)
    }

    /// From now on, the end of what is there is the end.
    pub fn grows_no_more(&mut self) {
        self.growth = Growth::Whole;
    }

    /// The file itself, where the bytes are its own.
    pub fn plain(&self) -> Option<&File> {
        self.plain.as_ref()
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
        if let Some(file) = &self.plain {
            return self.seek(file.try_clone(), bytes).map_err(|error| self.trouble(error));
        }
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

    /// Goes on so many bytes further in a file that is not compressed.
    fn seek(&mut self, file: io::Result<File>, bytes: u64) -> io::Result<()> {
        let mut file = file?;
        let to = (self.bytes + bytes).min(file.metadata()?.len());
        file.seek(SeekFrom::Start(to))?;
        // The progress counts what was taken, the first bytes too.
        let taken = self.bytes.max(MAGIC_BYTES as u64);
        self.progress.fetch_add(to.saturating_sub(taken), Ordering::Relaxed);
        self.bytes = to;
        self.reader = Box::new(Counted { inner: Box::new(file), progress: self.progress.clone() });
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
    let mut stream = Stream::open(path, Growth::Whole, Arc::default())?;
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
pub const MAGIC_BYTES: usize = 10;
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

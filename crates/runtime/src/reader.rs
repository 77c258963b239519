//! The files of a source as one sequence of blocks of whole records, in bounded memory.
//!
//! A record that does not end within `record_bytes_max` is cut there and the rest of it skipped, so that one endless
//! line costs one bad record and no memory.

use crate::RunError;
use crate::input::{InputFile, Stream};
use crate::parquet::ParquetFile;
use arrow_array::RecordBatch;
use engine::decode::{Cutter, first_record};
use engine::spec::{Format, Source, TimeFrom};
use engine::time::Time;
use memchr::{memchr, memchr_iter};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes of a block: large enough to choose the path once per many rows, small enough for the second-level cache.
pub const BLOCK_BYTES: usize = 256 << 10;

/// Cuts the files of a source into numbered blocks.
pub struct BlockReader {
    files: std::vec::IntoIter<Planned>,
    format: Format,
    has_header: bool,
    record_bytes_max: usize,
    progress: Arc<AtomicU64>,
    open: Option<OpenFile>,
    /// For Parquet, of which files only the wanted columns are read.
    source: Option<Source>,
    rows: Option<(ParquetFile, Arc<FileHead>)>,
    next_block: u64,
    finished: Vec<u32>,
    /// When the last block was read, if the source takes its time from there.
    arrival: Option<Time>,
    ended: bool,
}

/// A file to be read, from a record on.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The file.
    pub file: InputFile,
    /// Its partition.
    pub partition: u32,
    /// Position of the first byte to be read, in the decompressed file; of rows, the number of the first one.
    pub first_byte: u64,
}

impl Planned {
    /// All of these files, from their beginnings; each is a partition of its own.
    pub fn whole(files: Vec<InputFile>) -> Vec<Planned> {
        files
            .into_iter()
            .enumerate()
            .map(|(i, file)| Planned { file, partition: i as u32, first_byte: 0 })
            .collect()
    }
}

struct OpenFile {
    stream: Stream,
    cutter: Cutter,
    file: Arc<FileHead>,
    /// Bytes read beyond the last block: the start of a record.
    rest: Vec<u8>,
    /// Position of the first byte of `rest` in the decompressed file.
    position: u64,
    /// Lines skipped since the last block was handed out.
    skipped_lines: u64,
    at_end: bool,
}

/// What every block of a file refers to.
#[derive(Debug)]
pub struct FileHead {
    /// Its path.
    pub path: String,
    /// Its partition: the number of the file, from 0.
    pub partition: u32,
    /// Its header record, when the format has one.
    pub header: Option<Vec<u8>>,
}

/// Where the bytes of a block come from.
#[derive(Debug)]
pub struct BlockHead {
    /// The file.
    pub file: Arc<FileHead>,
    /// Number of the block in the whole input.
    pub number: u64,
    /// Position of its first byte in the decompressed file; of rows, the number of the first one.
    pub first_byte: u64,
    /// Position of the first byte behind it and what was skipped with it; of rows, the number of the next one.
    pub next_byte: u64,
    /// Lines skipped with a record that was too long, beyond those of the block.
    pub skipped_lines: u64,
    /// Partitions that ended before this block.
    pub finished: Vec<u32>,
    /// When it was read, if the source takes its time from there.
    pub arrival: Option<Time>,
    /// What was read.
    pub content: Content,
}

/// What a block holds.
#[derive(Debug)]
pub enum Content {
    /// Whole records, in the buffer that was given.
    Bytes,
    /// Rows of the wanted columns.
    Rows(RecordBatch),
}

impl BlockReader {
    /// Reads `files` one after the other; the first block gets this number.
    pub fn new(
        source: &Source,
        files: Vec<Planned>,
        next_block: u64,
        progress: Arc<AtomicU64>,
    ) -> BlockReader {
        BlockReader {
            files: files.into_iter(),
            has_header: matches!(&source.format, Format::Delimited(d) if d.columns.is_none()),
            format: source.format.clone(),
            record_bytes_max: source.record_bytes_max,
            progress,
            open: None,
            source: (source.format == Format::Parquet).then(|| source.clone()),
            rows: None,
            next_block,
            finished: Vec::new(),
            arrival: source.time.as_ref().filter(|time| time.from == TimeFrom::Arrival).map(|_| Time(0)),
            ended: false,
        }
    }

    /// Partitions that have ended in an earlier run: told of with the first block.
    pub fn ended_before(&mut self, partitions: Vec<u32>) {
        self.finished.splice(0..0, partitions);
    }

    /// The number of the next block.
    pub fn next_number(&self) -> u64 {
        self.next_block
    }

    /// Fills `buffer` with the next block; `None` at the end of the last file, and for ever after an error.
    pub fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Option<BlockHead>, RunError> {
        if self.ended {
            return Ok(None);
        }
        let out = self.next_block(buffer);
        self.ended = !matches!(out, Ok(Some(_)));
        out
    }

    /// Ends the input early: somebody else has failed.
    pub fn stop(&mut self) {
        self.ended = true;
    }

    fn next_block(&mut self, buffer: &mut Vec<u8>) -> Result<Option<BlockHead>, RunError> {
        if let Some(source) = self.source.take() {
            buffer.clear();
            let block = self.next_rows(&source);
            self.source = Some(source);
            return block;
        }
        loop {
            if self.open.is_none() && !self.open_next()? {
                return Ok(None);
            }
            let Some(open) = &mut self.open else { continue };
            let first_byte = open.fill(buffer, &self.format, self.record_bytes_max)?;
            if buffer.is_empty() {
                self.finished.push(open.file.partition);
                self.open = None;
                continue;
            }
            let skipped_lines = std::mem::take(&mut open.skipped_lines);
            let (file, bytes) = (open.file.clone(), first_byte..open.position);
            return Ok(Some(self.head(file, bytes, skipped_lines, Content::Bytes)));
        }
    }

    /// The next rows of Parquet files.
    fn next_rows(&mut self, source: &Source) -> Result<Option<BlockHead>, RunError> {
        loop {
            if let Some((rows, file)) = &mut self.rows {
                if let Some((first, batch)) = rows.next()? {
                    let (file, rows) = (file.clone(), first..first + batch.num_rows() as u64);
                    return Ok(Some(self.head(file, rows, 0, Content::Rows(batch))));
                }
                self.finished.push(file.partition);
                self.rows = None;
            }
            let Some(Planned { file, partition, first_byte }) = self.files.next() else { return Ok(None) };
            let rows = ParquetFile::open(&file, source, first_byte, self.progress.clone())?;
            let head = FileHead { path: file.path, partition, header: None };
            self.rows = Some((rows, Arc::new(head)));
        }
    }

    fn head(
        &mut self,
        file: Arc<FileHead>,
        bytes: Range<u64>,
        skipped_lines: u64,
        content: Content,
    ) -> BlockHead {
        let number = self.next_block;
        self.next_block += 1;
        // The clock of a machine may be set back; that of a source is not.
        self.arrival = self.arrival.map(|last| last.max(now()));
        let finished = std::mem::take(&mut self.finished);
        let Range { start: first_byte, end: next_byte } = bytes;
        let arrival = self.arrival;
        BlockHead { file, number, first_byte, next_byte, skipped_lines, finished, arrival, content }
    }

    fn open_next(&mut self) -> Result<bool, RunError> {
        let Some(Planned { file, partition, first_byte }) = self.files.next() else { return Ok(false) };
        let mut open = OpenFile {
            stream: Stream::open(&file.path, self.progress.clone())?,
            cutter: Cutter::new(&self.format),
            file: Arc::new(FileHead { path: file.path.clone(), partition, header: None }),
            rest: Vec::new(),
            position: 0,
            skipped_lines: 0,
            at_end: false,
        };
        if self.has_header {
            let header = open.header(&self.format, self.record_bytes_max)?;
            open.file = Arc::new(FileHead {
                path: open.file.path.clone(),
                partition: open.file.partition,
                header: (!header.is_empty()).then_some(header),
            });
        }
        open.skip_to(first_byte)?;
        self.open = Some(open);
        Ok(true)
    }
}

/// Processing time.
fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).ok().and_then(Time::from_micros).unwrap_or(Time(0))
}

impl OpenFile {
    /// Goes on at this byte, where a record begins.
    fn skip_to(&mut self, first_byte: u64) -> Result<(), RunError> {
        let ahead = first_byte.saturating_sub(self.position);
        let held = usize::try_from(ahead).unwrap_or(usize::MAX).min(self.rest.len());
        self.rest.drain(..held);
        if !self.at_end {
            self.stream.skip(ahead - held as u64)?;
        }
        self.position = self.position.max(first_byte);
        Ok(())
    }

    /// The record at the front of the stream that names the columns; it stays there. Empty when there is none.
    fn header(&mut self, format: &Format, record_bytes_max: usize) -> Result<Vec<u8>, RunError> {
        loop {
            if let Some(header) = first_record(format, &self.rest, self.at_end) {
                return Ok(header.to_vec());
            }
            if self.at_end {
                return Ok(Vec::new());
            }
            if self.rest.len() > record_bytes_max {
                return Err(RunError::LongHeader(self.file.path.clone()));
            }
            self.read_more(1 << 16)?;
        }
    }

    /// Fills `buffer` with whole records, starting with what was left over; empty at the end. Returns its position.
    fn fill(
        &mut self,
        buffer: &mut Vec<u8>,
        format: &Format,
        record_bytes_max: usize,
    ) -> Result<u64, RunError> {
        let first_byte = self.position;
        buffer.clear();
        std::mem::swap(buffer, &mut self.rest);
        loop {
            let wanted = BLOCK_BYTES.saturating_sub(buffer.len()).max(BLOCK_BYTES / 4);
            if !self.at_end {
                self.read_into(buffer, wanted)?;
            }
            let cut = self.cutter.cut(buffer, self.at_end);
            if cut > 0 || self.at_end {
                let cut = if self.at_end && cut == 0 { buffer.len() } else { cut };
                self.rest.clear();
                self.rest.extend_from_slice(&buffer[cut..]);
                buffer.truncate(cut);
                self.position += cut as u64;
                return Ok(first_byte);
            }
            if buffer.len() > record_bytes_max.saturating_add(2) {
                self.skip_record(buffer, format, record_bytes_max)?;
                return Ok(first_byte);
            }
        }
    }

    /// Keeps the head of a record that is too long, as a record of its own, and skips to the end of its line. Quotes
    /// hide no newline any more: one that is never closed must not cost the rest of the file.
    fn skip_record(
        &mut self,
        buffer: &mut Vec<u8>,
        format: &Format,
        record_bytes_max: usize,
    ) -> Result<(), RunError> {
        // One byte more than allowed, so that the decoder sees that it is too long.
        let head = (record_bytes_max + 1).min(buffer.len());
        self.skipped_lines += memchr_iter(b'\n', &buffer[..head]).count() as u64;
        self.cutter = Cutter::new(format);
        self.rest.clear();
        self.rest.extend_from_slice(&buffer[head..]);
        self.position += head as u64;
        buffer.truncate(head);
        buffer.iter_mut().filter(|b| **b == b'\n').for_each(|b| *b = b' ');
        buffer.push(b'\n');
        loop {
            if let Some(end) = memchr(b'\n', &self.rest) {
                self.rest.drain(..=end);
                self.position += end as u64 + 1;
                return Ok(());
            }
            self.position += self.rest.len() as u64;
            self.rest.clear();
            if self.at_end {
                return Ok(());
            }
            self.read_more(BLOCK_BYTES)?;
        }
    }

    fn read_more(&mut self, bytes: usize) -> Result<(), RunError> {
        let mut rest = std::mem::take(&mut self.rest);
        let out = self.read_into(&mut rest, bytes);
        self.rest = rest;
        out
    }

    /// Appends up to `bytes` bytes; notes the end of the stream.
    fn read_into(&mut self, buffer: &mut Vec<u8>, bytes: usize) -> Result<(), RunError> {
        let start = buffer.len();
        buffer.resize(start + bytes, 0);
        let mut filled = start;
        while filled < buffer.len() {
            let n = match self.stream.read(&mut buffer[filled..]) {
                Ok(n) => n,
                Err(e) => {
                    buffer.truncate(filled);
                    return Err(e);
                }
            };
            if n == 0 {
                self.at_end = true;
                break;
            }
            filled += n;
        }
        buffer.truncate(filled);
        Ok(())
    }
}

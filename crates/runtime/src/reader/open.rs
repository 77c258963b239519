//! One file, open: its bytes cut into blocks of whole records.
//!
//! Of a record that does not end within `record_bytes_max` only the head is kept and the rest of its line skipped, so that one endless
//! line costs one bad record and no memory. Of a file that may grow, the end of what is there is not the end: what is
//! behind the last whole record waits for the rest of its line.

use super::{BLOCK_BYTES, FileHead};
use crate::RunError;
use crate::checkpoint::Position;
use crate::input::{Growth, Stream};
use crate::resume::{self, Planned};
use engine::decode::{Cutter, beyond, first_record};
use engine::spec::{Delimited, Format, Source};
use memchr::memchr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// How the files of a source are written.
#[derive(Debug, Clone)]
pub struct Style {
    source: Source,
}

impl Style {
    /// That of a source.
    pub fn of(source: &Source) -> Style {
        Style { source: source.clone() }
    }

    /// The source.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Its format.
    pub fn format(&self) -> &Format {
        &self.source.format
    }

    fn has_header(&self) -> bool {
        matches!(self.format(), Format::Delimited(Delimited { columns: None, .. }))
    }

    fn record_bytes_max(&self) -> usize {
        self.source.record_bytes_max
    }
}

/// What a look at a file came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// A block that begins at this byte.
    Block(u64),
    /// No whole record is there yet.
    Dry,
    /// The file has ended.
    End,
}

/// A file that is being read.
pub struct OpenFile {
    stream: Stream,
    cutter: Cutter,
    file: Arc<FileHead>,
    /// Bytes read beyond the last block: the start of a record.
    rest: Vec<u8>,
    /// Position of the first byte of `rest` in the decompressed file.
    position: u64,
    /// Where to begin, until that was done.
    begin_at: Option<u64>,
    /// A record that is too long, whose line has not ended yet.
    long: Option<LongRecord>,
    at_end: bool,
}

struct LongRecord {
    first_byte: u64,
    /// As much of it as is handed on.
    head: Vec<u8>,
}

impl OpenFile {
    /// Opens a file, to be read from a record on.
    pub fn open(
        planned: &Planned,
        style: &Style,
        growth: Growth,
        progress: Arc<AtomicU64>,
    ) -> Result<OpenFile, RunError> {
        let stream = Stream::open(&planned.file.path, growth, progress)?;
        Ok(OpenFile::of(stream, planned, style))
    }

    /// The same of bytes from elsewhere.
    pub fn of(stream: Stream, planned: &Planned, style: &Style) -> OpenFile {
        let Planned { file, partition, first_byte } = planned;
        OpenFile {
            stream,
            cutter: Cutter::new(style.format(), style.record_bytes_max()),
            file: Arc::new(FileHead { path: file.path.clone(), partition: *partition, header: None }),
            rest: Vec::new(),
            position: 0,
            begin_at: Some(*first_byte),
            long: None,
            at_end: false,
        }
    }

    /// What its blocks refer to.
    pub fn head(&self) -> &Arc<FileHead> {
        &self.file
    }

    /// From now on its blocks say that it has this path.
    pub fn rename(&mut self, path: String) {
        let FileHead { partition, header, .. } = &*self.file;
        self.file = Arc::new(FileHead { path, partition: *partition, header: header.clone() });
    }

    /// The first byte that was not handed out, in the decompressed file.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Where the bytes come from.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// How far the file was taken, also what is not handed out yet.
    pub fn read_to(&self) -> u64 {
        self.position + self.rest.len() as u64
    }

    /// Whether nothing more is read.
    pub fn has_ended(&self) -> bool {
        self.at_end
    }

    /// Whether the file has the first bytes that it was known by.
    pub fn begins_as(&self, known: &Position) -> bool {
        let head = self.stream.plain().map(|file| resume::head_of_first(file, known.head_bytes));
        head.is_none_or(|head| head.is_ok_and(|head| head == known.head))
    }

    /// What was taken is all there is.
    pub fn reads_no_more(&mut self) {
        self.at_end = true;
    }

    /// Nothing will be appended any more: what is there without a line end is a record.
    pub fn grows_no_more(&mut self) {
        self.stream.grows_no_more();
    }

    /// Reads the header, where there is one, and goes to where reading begins. False when the header may not be whole yet.
    fn begin(&mut self, style: &Style) -> Result<bool, RunError> {
        let Some(first_byte) = self.begin_at else { return Ok(true) };
        if style.has_header() {
            let Some(header) = self.header(style)? else { return Ok(false) };
            let header = (!header.is_empty()).then_some(header);
            let FileHead { path, partition, .. } = &*self.file;
            self.file = Arc::new(FileHead { path: path.clone(), partition: *partition, header });
        }
        self.skip_to(first_byte)?;
        if self.position > 0 {
            self.cutter.leave_out();
        }
        self.begin_at = None;
        Ok(true)
    }

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

    /// The record at the front of the stream that names the columns; it stays there. Empty when the file is, `None` when
    /// its line has not ended and may go on.
    fn header(&mut self, style: &Style) -> Result<Option<Vec<u8>>, RunError> {
        loop {
            let max = style.record_bytes_max();
            let header = first_record(style.format(), &self.rest, self.at_end, max);
            if header.is_some_and(|header| header.len() > max)
                || header.is_none() && self.rest.len() > beyond(max)
            {
                return Err(RunError::LongHeader(self.file.path.clone()));
            }
            if let Some(header) = header {
                return Ok(Some(header.to_vec()));
            }
            if self.at_end {
                return Ok(Some(Vec::new()));
            }
            if !self.read_more(1 << 16)? && !self.at_end {
                return Ok(None);
            }
        }
    }

    /// Fills `buffer` with whole records, starting with what was left over; it is empty when there is no block.
    pub fn fill(&mut self, buffer: &mut Vec<u8>, style: &Style) -> Result<Filled, RunError> {
        buffer.clear();
        if !self.begin(style)? {
            return Ok(Filled::Dry);
        }
        if self.long.is_some() {
            return self.end_of_long(buffer);
        }
        let first_byte = self.position;
        std::mem::swap(buffer, &mut self.rest);
        loop {
            let wanted = BLOCK_BYTES.saturating_sub(buffer.len()).max(BLOCK_BYTES / 4);
            let more = !self.at_end && self.read_into(buffer, wanted)?;
            let cut = self.cutter.cut(buffer, self.at_end);
            if cut > 0 {
                self.rest.clear();
                self.rest.extend_from_slice(&buffer[cut..]);
                buffer.truncate(cut);
                self.position += cut as u64;
                return Ok(Filled::Block(first_byte));
            }
            if buffer.len() > beyond(style.record_bytes_max()) {
                self.begin_long(buffer, style);
                return self.end_of_long(buffer);
            }
            if self.at_end {
                return Ok(Filled::End);
            }
            if !more {
                std::mem::swap(buffer, &mut self.rest);
                return Ok(Filled::Dry);
            }
        }
    }

    /// Keeps the head of a record that is too long, as a record of its own: as far as quotes may hide newlines in it. Behind that
    /// the next newline ends it.
    fn begin_long(&mut self, buffer: &mut Vec<u8>, style: &Style) {
        let head = beyond(style.record_bytes_max());
        self.cutter.leave_out();
        self.rest.clear();
        self.rest.extend_from_slice(&buffer[head..]);
        let first_byte = self.position;
        self.position += head as u64;
        buffer.truncate(head);
        buffer.push(b'\n');
        self.long = Some(LongRecord { first_byte, head: std::mem::take(buffer) });
    }

    /// Skips to the end of the line of a record that is too long, and hands on what was kept of it.
    fn end_of_long(&mut self, buffer: &mut Vec<u8>) -> Result<Filled, RunError> {
        loop {
            let end = memchr(b'\n', &self.rest);
            let skipped = end.map_or(self.rest.len(), |end| end + 1);
            self.rest.drain(..skipped);
            self.position += skipped as u64;
            if end.is_some() || self.at_end {
                break;
            }
            if !self.read_more(BLOCK_BYTES)? && !self.at_end {
                return Ok(Filled::Dry);
            }
        }
        let long = self.long.take().expect("a long record was begun");
        *buffer = long.head;
        Ok(Filled::Block(long.first_byte))
    }

    fn read_more(&mut self, bytes: usize) -> Result<bool, RunError> {
        let mut rest = std::mem::take(&mut self.rest);
        let out = self.read_into(&mut rest, bytes);
        self.rest = rest;
        out
    }

    /// Appends up to `bytes` bytes, and tells whether there were any; notes the end of the file.
    fn read_into(&mut self, buffer: &mut Vec<u8>, bytes: usize) -> Result<bool, RunError> {
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
                self.at_end = !self.stream.may_grow();
                break;
            }
            filled += n;
        }
        buffer.truncate(filled);
        Ok(filled > start)
    }
}

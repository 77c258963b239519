//! The input of a source as one sequence of numbered blocks of whole records, in bounded memory: files one after the
//! other to their ends ([`BlockReader`]) or as they grow ([`follow::Follower`]), or what an inbox takes in ([`received::Receiver`]).

pub mod follow;
pub mod given;
mod heads;
mod open;
pub mod received;
#[cfg(test)]
mod tests;

use crate::RunError;
use crate::checkpoint::Position;
use crate::input::Growth;
use crate::parquet::ParquetFile;
use crate::resume::Planned;
use arrow_array::RecordBatch;
use engine::spec::{Format, Source};
use engine::time::Time;
use heads::Heads;
use open::{Filled, OpenFile, Style};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Bytes of a block: large enough to choose the path once per many rows, small enough for the second-level cache.
pub const BLOCK_BYTES: usize = 256 << 10;

/// Where the blocks of a source come from.
pub enum Feed {
    /// Files, to their ends.
    Files(Box<BlockReader>),
    /// Files that grow.
    Follow(Box<follow::Follower>),
    /// What an inbox takes in.
    Received(Box<received::Receiver>),
    /// What a simulation gives.
    Given(Box<given::Giver>),
}

impl Feed {
    /// Fills `buffer` with the next block; `None` at the end of the input, and for ever after an error. Of an input that is
    /// followed this may be a look that found nothing ([`Content::Nothing`]).
    pub fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Option<BlockHead>, RunError> {
        match self {
            Feed::Files(files) => files.next(buffer),
            Feed::Follow(follower) => follower.next(buffer),
            Feed::Received(receiver) => receiver.next(buffer),
            Feed::Given(giver) => Ok(giver.next(buffer)),
        }
    }

    /// The number of the next block.
    pub fn next_number(&self) -> u64 {
        match self {
            Feed::Files(files) => files.heads.next_number(),
            Feed::Follow(follower) => follower.next_number(),
            Feed::Received(receiver) => receiver.next_number(),
            Feed::Given(giver) => giver.next_number(),
        }
    }

    /// Ends the input early: somebody else has failed.
    pub fn stop(&mut self) {
        match self {
            Feed::Files(files) => files.ended = true,
            Feed::Follow(follower) => follower.stop(),
            Feed::Received(receiver) => receiver.stop(),
            Feed::Given(giver) => giver.stop(),
        }
    }
}

/// Cuts files into blocks, one file after the other.
pub struct BlockReader {
    files: std::vec::IntoIter<Planned>,
    style: Style,
    progress: Arc<AtomicU64>,
    open: Option<Opened>,
    heads: Heads,
    ended: bool,
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
    /// What has become of files since the block before, in order.
    pub news: Vec<News>,
    /// When it was read, if the source takes its time from there.
    pub arrival: Option<Time>,
    /// What was read.
    pub content: Content,
}

/// What has become of a file.
#[derive(Debug)]
pub enum News {
    /// A partition has ended, or has been silent for so long that nobody waits for it any more.
    Ended(u32),
    /// A partition begins with this file, with a clock of its own.
    Begins(u32, Position),
    /// A partition begins with this file, with the clock of another one, whose file had its path before.
    Inherits(u32, Position, u32),
    /// This file goes on where another one was, in its partition.
    Follows(u32, Position),
    /// The file of a partition has another name, or is known by more of its bytes. How far it was read is not said.
    Known(u32, Position),
}

/// What a block holds.
#[derive(Debug)]
pub enum Content {
    /// Nothing: time has passed. Such a block has no number of its own and belongs to no file.
    Nothing,
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
            style: Style::of(source),
            progress,
            open: None,
            heads: Heads::new(source, next_block),
            ended: false,
        }
    }

    /// Partitions that have ended in an earlier run: told of with the first block.
    pub fn ended_before(&mut self, partitions: Vec<u32>) {
        self.heads.news.splice(0..0, partitions.into_iter().map(News::Ended));
    }

    fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Option<BlockHead>, RunError> {
        if self.ended {
            return Ok(None);
        }
        let out = self.next_block(buffer);
        self.ended = !matches!(out, Ok(Some(_)));
        out
    }

    fn next_block(&mut self, buffer: &mut Vec<u8>) -> Result<Option<BlockHead>, RunError> {
        loop {
            let Some(open) = &mut self.open else {
                let Some(planned) = self.files.next() else { return Ok(None) };
                self.open = Some(Opened::open(&planned, &self.style, Growth::Whole, self.progress.clone())?);
                continue;
            };
            if let Step::Block(head) = open.next(buffer, &self.style, &mut self.heads)? {
                return Ok(Some(head));
            }
            self.heads.news.push(News::Ended(open.file().partition));
            self.open = None;
        }
    }
}

/// A file that is being read: as bytes, or as rows of the wanted columns.
enum Opened {
    Bytes(OpenFile),
    Rows(Box<ParquetFile>, Arc<FileHead>),
}

/// What a look at a file came to.
enum Step {
    Block(BlockHead),
    /// Nothing whole is there yet.
    Dry,
    /// The file has ended.
    End,
}

impl Opened {
    /// Opens a file where it is to be read on.
    fn open(
        planned: &Planned,
        style: &Style,
        growth: Growth,
        progress: Arc<AtomicU64>,
    ) -> Result<Opened, RunError> {
        if *style.format() != Format::Parquet {
            return Ok(Opened::Bytes(OpenFile::open(planned, style, growth, progress)?));
        }
        let Planned { file, partition, first_byte } = planned;
        let rows = ParquetFile::open(file, style.source(), *first_byte, progress)?;
        let head = FileHead { path: file.path.clone(), partition: *partition, header: None };
        Ok(Opened::Rows(Box::new(rows), Arc::new(head)))
    }

    fn file(&self) -> &Arc<FileHead> {
        match self {
            Opened::Bytes(open) => open.head(),
            Opened::Rows(_, file) => file,
        }
    }

    /// Whether trouble may be that somebody is still writing the file: only compressed ones and Parquet must be whole.
    fn may_be_unfinished(&self, error: &RunError) -> bool {
        matches!(error, RunError::Damaged { .. } | RunError::Parquet { .. })
    }

    /// The next block, whose bytes stand in `buffer`.
    fn next(&mut self, buffer: &mut Vec<u8>, style: &Style, heads: &mut Heads) -> Result<Step, RunError> {
        Ok(match self {
            Opened::Bytes(open) => match open.fill(buffer, style)? {
                Filled::Block(first_byte) => Step::Block(heads.of_bytes(open, first_byte)),
                Filled::Dry => Step::Dry,
                Filled::End => Step::End,
            },
            Opened::Rows(rows, file) => {
                buffer.clear();
                match rows.next()? {
                    Some((first, batch)) => Step::Block(heads.of_rows(file, first, batch)),
                    None => Step::End,
                }
            }
        })
    }
}

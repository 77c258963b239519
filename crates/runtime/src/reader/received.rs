//! What an inbox has taken in, as blocks: one partition, whose positions are offsets of the log.

use super::heads::Heads;
use super::{BLOCK_BYTES, BlockHead, FileHead, News};
use crate::RunError;
use crate::checkpoint::Position;
use crate::inbox::{Got, Inbox, InboxReader};
use crate::job::Received;
use engine::spec::Source;
use engine::time::Time;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What the one file of such a source is called.
pub const NAME: &str = "http";
/// Longest time without a block before one of nothing tells that time has passed.
const TICK: Duration = Duration::from_millis(200);

/// Reads an inbox.
pub struct Receiver {
    reader: InboxReader,
    heads: Heads,
    file: Arc<FileHead>,
    progress: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    to_the_end: bool,
    idle: Duration,
    /// When something came last; `None` while the partition has stepped aside.
    heard: Option<Instant>,
    ended: bool,
}

impl Receiver {
    /// Reads on where an earlier run was.
    ///
    /// # Errors
    /// A state of files, or one that has read what the inbox does not hold.
    pub fn new(
        source: &Source,
        input: &Received,
        known: &[Position],
        next_block: u64,
        progress: Arc<AtomicU64>,
    ) -> Result<Receiver, RunError> {
        let Received { inbox, to_the_end, idle, stop } = input;
        let offset = match known {
            [] => 0,
            [Position { path, next, .. }] if path == NAME => *next,
            [file, ..] => return Err(RunError::NotReceived(file.path.clone())),
        };
        let reader = inbox.reader(offset)?;
        let mut heads = Heads::new(source, next_block);
        if known.is_empty() {
            heads.news.push(News::Begins(0, Position { path: NAME.into(), ..Position::default() }));
        }
        let file = Arc::new(FileHead { path: NAME.into(), partition: 0, header: None });
        let (stop, to_the_end, idle) = (stop.clone(), *to_the_end, *idle);
        let heard = Some(Instant::now());
        Ok(Receiver { reader, heads, file, progress, stop, to_the_end, idle, heard, ended: false })
    }

    /// See [`super::Feed::next_number`].
    pub fn next_number(&self) -> u64 {
        self.heads.next_number()
    }

    /// See [`super::Feed::stop`].
    pub fn stop(&mut self) {
        self.ended = true;
    }

    /// See [`super::Feed::next`].
    pub fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Option<BlockHead>, RunError> {
        if self.ended || self.stop.load(Ordering::Acquire) {
            return Ok(None);
        }
        let out = self.next_block(buffer);
        self.ended = !matches!(out, Ok(Some(_)));
        out
    }

    fn next_block(&mut self, buffer: &mut Vec<u8>) -> Result<Option<BlockHead>, RunError> {
        let patience = if self.to_the_end { Duration::ZERO } else { TICK };
        // Where the time is that of arrival, a block is what came together, however often it is read.
        let got = if self.heads.takes_arrival() {
            self.reader.next(buffer, patience)?
        } else {
            self.reader.fill(buffer, BLOCK_BYTES, patience)?
        };
        match got {
            Got::Lines { first, next, arrival_ms } => {
                self.heard = Some(Instant::now());
                self.progress.fetch_add(next - first, Ordering::Relaxed);
                let arrival = i64::try_from(arrival_ms).ok().and_then(|ms| ms.checked_mul(1_000));
                let arrival = arrival.and_then(Time::from_micros).unwrap_or(Time(0));
                Ok(Some(self.heads.of_lines(self.file.clone(), first..next, arrival)))
            }
            Got::Nothing if !self.to_the_end => {
                if self.heard.is_some_and(|heard| heard.elapsed() >= self.idle) {
                    self.heard = None;
                    self.heads.news.push(News::Ended(0));
                }
                Ok(Some(self.heads.of_nothing()))
            }
            Got::Nothing | Got::End => Ok(None),
        }
    }
}

/// Lets go of what no commit that is kept would read again.
pub struct Release {
    inbox: Arc<Inbox>,
    /// Where the commit before the last one would go on.
    before: u64,
}

impl Release {
    /// Nothing is let go of yet: which commits are kept is not known before there is another one.
    pub fn of(inbox: Arc<Inbox>) -> Release {
        Release { inbox, before: 0 }
    }

    /// A commit is durable that goes on here.
    pub fn committed(&mut self, positions: &[Position]) {
        let next = positions.first().map_or(0, |position| position.next);
        self.inbox.release(std::mem::replace(&mut self.before, next));
    }
}

//! Reading the log: durable bodies in order, from any offset.

use super::segment::{Found, Frames, Segment};
use super::{InboxError, Shared};
use memchr::{memchr, memrchr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Reads an inbox from an offset on, while it is written to.
pub struct InboxReader {
    shared: Arc<Shared>,
    /// Of the next byte.
    offset: u64,
    open: Option<Open>,
    /// The body that was read last, and how much of it was handed out.
    body: Vec<u8>,
    handed: usize,
    arrival_ms: u64,
    wakes: u64,
}

struct Open {
    frames: Frames,
    generation: u64,
}

/// What a reader got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Got {
    /// Whole lines.
    Lines {
        /// Offset of the first byte.
        first: u64,
        /// Offset behind the last one: where to go on.
        next: u64,
        /// When the first of them was handed in, in milliseconds since 1970.
        arrival_ms: u64,
    },
    /// Nothing: the time was up, or the reader was woken.
    Nothing,
    /// Nothing, for ever: the inbox is closed and everything was read.
    End,
}

/// Wakes a reader that waits.
#[derive(Clone)]
pub struct Waker(Arc<Shared>);

impl Waker {
    /// Makes the readers that wait, or the next one that would, return at once.
    pub fn wake(&self) {
        self.0.lock().wakes += 1;
        self.0.moved.notify_all();
    }
}

impl InboxReader {
    pub(super) fn new(shared: Arc<Shared>, offset: u64) -> InboxReader {
        let wakes = shared.lock().wakes;
        InboxReader { shared, offset, open: None, body: Vec::new(), handed: 0, arrival_ms: 0, wakes }
    }

    /// Offset of the next byte.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What wakes this reader.
    pub fn waker(&self) -> Waker {
        Waker(self.shared.clone())
    }

    /// Replaces `buffer` by the next body, or what is left of it. Waits at most `patience` for one.
    ///
    /// # Errors
    /// When a file is damaged or cannot be read; the reader stays where it was.
    pub fn next(&mut self, buffer: &mut Vec<u8>, patience: Duration) -> Result<Got, InboxError> {
        buffer.clear();
        let first = self.offset;
        if let Some(none) = self.load(patience)? {
            return Ok(none);
        }
        self.hand(self.body.len(), buffer);
        Ok(Got::Lines { first, next: self.offset, arrival_ms: self.arrival_ms })
    }

    /// Replaces `buffer` by whole lines of as many bodies as there are: at most `bytes_max` bytes, but at least one line.
    /// Waits at most `patience` for the first one.
    ///
    /// # Errors
    /// As [`InboxReader::next`]; what was read before the error is handed out first.
    pub fn fill(
        &mut self,
        buffer: &mut Vec<u8>,
        bytes_max: usize,
        patience: Duration,
    ) -> Result<Got, InboxError> {
        buffer.clear();
        let first = self.offset;
        if let Some(none) = self.load(patience)? {
            return Ok(none);
        }
        let arrival_ms = self.arrival_ms;
        loop {
            let rest = &self.body[self.handed..];
            let room = bytes_max.saturating_sub(buffer.len());
            let lines = lines_within(rest, room, buffer.is_empty());
            let all = lines == rest.len();
            self.hand(self.handed + lines, buffer);
            if !all || buffer.len() >= bytes_max || !matches!(self.load(Duration::ZERO), Ok(None)) {
                return Ok(Got::Lines { first, next: self.offset, arrival_ms });
            }
        }
    }

    /// Moves on to this byte of the body.
    fn hand(&mut self, to: usize, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(&self.body[self.handed..to]);
        self.offset += (to - self.handed) as u64;
        self.handed = to;
    }

    /// Sees to it that there is something of a body, or says why there is nothing.
    fn load(&mut self, patience: Duration) -> Result<Option<Got>, InboxError> {
        if self.handed == self.body.len() {
            if let Some(none) = self.wait(patience) {
                return Ok(Some(none));
            }
            if let Err(error) = self.advance() {
                // Opened and looked at anew next time.
                (self.open, self.handed) = (None, 0);
                self.body.clear();
                return Err(error);
            }
        }
        Ok(None)
    }

    /// Waits until there is something behind the offset, or says why there is nothing.
    fn wait(&mut self, patience: Duration) -> Option<Got> {
        let until = Instant::now().checked_add(patience);
        let mut state = self.shared.lock();
        loop {
            if state.durable > self.offset {
                return None;
            }
            if state.ended {
                return Some(Got::End);
            }
            let woken = std::mem::replace(&mut self.wakes, state.wakes) != state.wakes;
            let left = until.map_or(patience, |until| until.saturating_duration_since(Instant::now()));
            if woken || left.is_zero() {
                return Some(Got::Nothing);
            }
            state = self.shared.moved.wait_timeout(state, left).unwrap_or_else(|e| e.into_inner()).0;
        }
    }

    /// Reads the body that holds the offset, which is durable.
    fn advance(&mut self) -> Result<(), InboxError> {
        loop {
            let segment = self.segment()?;
            if self.open.as_ref().is_none_or(|open| open.generation != segment.generation) {
                let (_, frames) = Frames::open(&*self.shared.disk, &segment.path, segment.base, 0)?;
                self.open = Some(Open { frames, generation: segment.generation });
            }
            let Some(Open { frames, .. }) = &mut self.open else { continue };
            match frames.next(&mut self.body)? {
                Found::Frame(frame) if frame.next() > self.offset => {
                    self.handed = (self.offset - frame.offset) as usize;
                    self.arrival_ms = frame.arrival_ms;
                    return Ok(());
                }
                Found::Frame(_) => {}
                Found::End => return Err(frames.damaged("the file ends too early")),
                Found::Bad => {
                    return Err(frames.damaged("what stands there was changed since it was written"));
                }
            }
        }
    }

    /// The segment that holds the offset.
    fn segment(&self) -> Result<Segment, InboxError> {
        let state = self.shared.lock();
        let segment = state.segments.iter().rev().find(|segment| segment.base <= self.offset);
        let first = state.segments.first().map_or(0, |segment| segment.base);
        segment.cloned().ok_or(InboxError::Gone { offset: self.offset, first })
    }
}

/// How many of the first bytes are whole lines within `room`; one line whatever its length when there must be one.
fn lines_within(rest: &[u8], room: usize, must: bool) -> usize {
    if rest.len() <= room {
        return rest.len();
    }
    match memrchr(b'\n', &rest[..room]) {
        Some(end) => end + 1,
        None if must => memchr(b'\n', rest).map_or(rest.len(), |end| end + 1),
        None => 0,
    }
}

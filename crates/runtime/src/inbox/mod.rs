//! The log that makes bodies durable which nobody could send again: what was acknowledged is read until it is released.
//!
//! Bodies of whole lines are appended to numbered *segments*. An offset is a position in the bytes of all bodies since the
//! beginning, as if they were one endless file: it never goes back, records keep their position whatever frames and heads
//! cost, and reading may go on at any line. All that waits is written together and made durable by one sync (group
//! commit), and only then acknowledged.
//!
//! A body with a stamp (producer, sequence) counts once, however often it comes. What is known of producers stands
//! at the head of every segment and follows from the frames behind it, so the log needs nothing beside it: segments before
//! a released offset can go.
//!
//! Opening reads the last segment. A tail that was torn off by a crash is cut, as nothing of it was acknowledged: every frame
//! says up to where the log was durable when it was written, so damage before such a place is told from a torn tail, and is an
//! error that names file and byte. Damage of the very last bodies looks like a torn tail unless the inbox was closed; a
//! reader that has been there notices ([`InboxError::Beyond`]). Earlier segments are checked as they are read.
//!
//! It has one thread, which writes. It takes its time from who hands bodies in.

mod disk;
mod frame;
mod producers;
mod read;
mod segment;
mod steps;
#[cfg(test)]
mod tests;
mod writer;

pub use producers::WINDOW;
pub use read::{Got, InboxReader, Waker};
pub use steps::InboxHand;

use crate::disk::{self as base, Disk, Lock, holder};
use disk::{Files, Segments};
use engine::inbox::{Accepted, Answer, Delivery, Load, Refusal, Stamp};
use memchr::memchr_iter;
use producers::Producers;
use sabotage::{Bug, planted};
use segment::{Found, Frames, Segment};
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use writer::{Open, Writer};

/// Bytes of bodies that are written together at most, but at least one body.
const GROUP_BYTES_MAX: u64 = 16 << 20;
/// What the files may take beyond the backlog, above two segments and a group.
const DISK_SLACK_BYTES: u64 = 64 << 20;
const LOCK: &str = "lock";

/// The bounds of an inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A segment that has so many bytes is followed by another. Each begins with the producers.
    pub segment_bytes: u64,
    /// Bytes of bodies on their way to the disk; also the longest body.
    pub queue_bytes_max: u64,
    /// Bodies on their way to the disk.
    pub queue_bodies_max: u64,
    /// Durable bytes that have not been released.
    pub backlog_bytes_max: u64,
    /// Producers that are known. The least recently active ones leave.
    pub producers_max: usize,
    /// How long a producer is known after its last body.
    pub horizon_ms: u64,
}

impl Default for Settings {
    /// 64 MiB, 64 MiB, 4,096 bodies, 1 GiB, 100,000 producers, 7 days.
    fn default() -> Settings {
        Settings {
            segment_bytes: 64 << 20,
            queue_bytes_max: 64 << 20,
            queue_bodies_max: 4_096,
            backlog_bytes_max: 1 << 30,
            producers_max: 100_000,
            horizon_ms: 7 * 24 * 3_600_000,
        }
    }
}

/// An inbox that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// The system refuses.
    #[error("cannot {doing} `{path}` of the inbox: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or directory.
        path: String,
        /// The system's words.
        source: io::Error,
    },
    /// Two programs, one inbox.
    #[error("the inbox `{0}` is in use by another run: wait for it to end, or name another directory")]
    InUse(String),
    /// A file that is not what was written.
    #[error(
        "`{path}` of the inbox is damaged at byte {byte}: {why}; bring the file back from a copy: the events behind that \
         byte were acknowledged and nobody will send them again"
    )]
    Damaged {
        /// The file.
        path: String,
        /// Where, from the beginning of the file.
        byte: u64,
        /// What is wrong.
        why: String,
    },
    /// An offset that the log does not reach.
    #[error(
        "the inbox ends at offset {end}, but was read up to {offset}: bring its files back from a copy, or name another \
         state directory and begin anew"
    )]
    Beyond {
        /// What was asked for.
        offset: u64,
        /// What there is.
        end: u64,
    },
    /// An offset before the first segment.
    #[error(
        "the inbox begins at offset {first}, but is to be read from {offset}: bring its files back from a copy, or name \
         another state directory and begin anew"
    )]
    Gone {
        /// What was asked for.
        offset: u64,
        /// What there is.
        first: u64,
    },
}

/// A durable log of bodies.
pub struct Inbox {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    torn: Option<Torn>,
    _lock: Lock,
}

/// What was cut off when an inbox was opened: none of it was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The file.
    pub path: PathBuf,
    /// The length it was cut to.
    pub byte: u64,
    /// How much was cut off.
    pub bytes: u64,
}

impl Inbox {
    /// Opens the inbox in a directory, which is made where there is none. Reads the last segment.
    ///
    /// # Errors
    /// When the directory cannot be written to, another program has it open, or the last segment is damaged where it was
    /// acknowledged.
    pub fn open(directory: &Path, settings: Settings) -> Result<Inbox, InboxError> {
        let files = base::Files::shared();
        Inbox::open_on(directory, settings, files.clone(), Box::new(Files(files)))
    }

    /// Writes segments by `segments`, all else as `disk` does.
    fn open_on(
        directory: &Path,
        settings: Settings,
        disk: Arc<dyn Disk>,
        segments: Box<dyn Segments>,
    ) -> Result<Inbox, InboxError> {
        let (shared, writer, torn, lock) = begin(directory, settings, disk, segments)?;
        let theirs = shared.clone();
        let thread = std::thread::Builder::new().name("inbox".into()).spawn(move || writer.run(&theirs));
        let thread = thread.map_err(|source| wrong("begin to write to", directory, source))?;
        Ok(Inbox { shared, writer: Mutex::new(Some(thread)), torn, _lock: lock })
    }

    /// What was cut off at opening, for a note to the user.
    pub fn torn(&self) -> Option<&Torn> {
        self.torn.as_ref()
    }

    /// Reads from this offset on: that of a commit, or 0 at first.
    ///
    /// # Errors
    /// When the log does not hold it.
    pub fn reader(&self, offset: u64) -> Result<InboxReader, InboxError> {
        let state = self.shared.lock();
        let (first, end) = (state.segments.first().map_or(0, |segment| segment.base), state.durable);
        drop(state);
        if offset > end {
            return Err(InboxError::Beyond { offset, end });
        }
        if offset < first {
            return Err(InboxError::Gone { offset, first });
        }
        Ok(InboxReader::new(self.shared.clone(), offset))
    }

    /// Says that nobody will read before this offset again: it is that of the oldest commit that is kept, since a run may fall
    /// back to that one. Segments that hold nothing else are removed. Once at the start, too: at first nothing is released.
    pub fn release(&self, offset: u64) {
        let mut state = self.shared.lock();
        state.released = state.released.max(offset.min(state.durable));
        let later = state.segments.iter().skip(1).take_while(|segment| segment.base <= offset).count();
        let unneeded: Vec<Segment> = state.segments.drain(..later).collect();
        drop(state);
        for segment in unneeded {
            // What cannot be removed now is found, and can be released, at the next start.
            let _ = self.shared.disk.remove(&segment.path);
        }
    }

    /// Refuses bodies from now on, writes those that wait, and ends the thread. Readers read on to the end.
    pub fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_all();
        let thread = self.writer.lock().unwrap_or_else(|e| e.into_inner()).take();
        if let Some(thread) = thread {
            // A writer that has panicked has told everybody that it is gone.
            let _ = thread.join();
        }
    }
}

impl engine::inbox::Inbox for Inbox {
    fn append(&self, delivery: Delivery, now_ms: u64, answer: Answer) {
        let Delivery { mut body, stamp } = delivery;
        if body.last().is_some_and(|last| *last != b'\n') {
            body.push(b'\n');
        }
        let records = records(&body);
        if let Err((refusal, item)) = self.shared.enqueue(Item { body, stamp, now_ms, records, answer }) {
            let every_eighth = item.stamp.as_ref().is_some_and(|stamp| stamp.sequence() % 8 == 0);
            if planted(Bug::DroppedOnFullQueue) && matches!(refusal, Refusal::Busy) && every_eighth {
                let bytes = item.body.len() as u64;
                return (item.answer)(Ok(Accepted { offset: 0, bytes, records, duplicate: false }));
            }
            (item.answer)(Err(refusal));
        }
    }

    fn load(&self) -> Load {
        let state = self.shared.lock();
        Load {
            queue_bytes: state.queue_bytes,
            queue_bodies: state.queue_bodies,
            backlog_bytes: state.durable - state.released,
            disk_bytes: state.disk_bytes(),
            producers: state.producers,
            offset: state.durable,
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.close();
    }
}

/// A body on its way.
struct Item {
    body: Vec<u8>,
    stamp: Option<Stamp>,
    now_ms: u64,
    records: u64,
    answer: Answer,
}

/// What those who hand in, the writer and the readers have in common.
struct Shared {
    settings: Settings,
    disk: Arc<dyn Disk>,
    state: Mutex<State>,
    /// Something waits to be written, or nothing more will come.
    work: Condvar,
    /// Something has become durable, or nothing more will.
    moved: Condvar,
}

struct State {
    queue: VecDeque<Item>,
    /// Of the queue and of what is being written.
    queue_bytes: u64,
    queue_bodies: u64,
    segments: Vec<Segment>,
    durable: u64,
    released: u64,
    producers: u64,
    closing: bool,
    ended: bool,
    wakes: u64,
}

impl State {
    fn disk_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.file_bytes).sum()
    }
}

impl Shared {
    fn new(settings: Settings, disk: Arc<dyn Disk>, segments: Vec<Segment>, writer: &Writer) -> Shared {
        let state = State {
            queue: VecDeque::new(),
            queue_bytes: 0,
            queue_bodies: 0,
            released: segments.first().map_or(0, |segment| segment.base),
            segments,
            durable: writer.end,
            producers: writer.producers.len() as u64,
            closing: false,
            ended: false,
            wakes: 0,
        };
        Shared { settings, disk, state: Mutex::new(state), work: Condvar::new(), moved: Condvar::new() }
    }

    /// A panic elsewhere leaves the state whole: every change of it is one step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn enqueue(&self, item: Item) -> Result<(), (Refusal, Item)> {
        let mut state = self.lock();
        match self.obstacle(&state, item.body.len() as u64) {
            Some(refusal) => Err((refusal, item)),
            None => {
                state.queue_bytes += item.body.len() as u64;
                state.queue_bodies += 1;
                state.queue.push_back(item);
                drop(state);
                self.work.notify_one();
                Ok(())
            }
        }
    }

    /// Why a body of this length cannot be taken in now.
    fn obstacle(&self, state: &State, bytes: u64) -> Option<Refusal> {
        let Settings { queue_bytes_max, queue_bodies_max, segment_bytes, .. } = self.settings;
        let backlog_bytes_max = self.settings.backlog_bytes_max.max(queue_bytes_max);
        let disk_bytes_max = backlog_bytes_max + 2 * segment_bytes + GROUP_BYTES_MAX + DISK_SLACK_BYTES;
        let longest = queue_bytes_max.min(u64::from(u32::MAX));
        if bytes > longest {
            Some(Refusal::TooLong { bytes_max: longest as usize })
        } else if state.closing || state.ended {
            Some(Refusal::Stopping)
        } else if state.queue_bytes + bytes > queue_bytes_max || state.queue_bodies >= queue_bodies_max {
            Some(Refusal::Busy)
        } else if state.durable - state.released + state.queue_bytes + bytes > backlog_bytes_max
            || state.disk_bytes() > disk_bytes_max
        {
            Some(Refusal::Behind)
        } else {
            None
        }
    }

    /// Waits for bodies and takes those that are written together; `None` when no more will come.
    fn take_group(&self) -> Option<Vec<Item>> {
        let mut state = self.lock();
        while state.queue.is_empty() {
            if state.closing {
                return None;
            }
            state = self.work.wait(state).unwrap_or_else(|e| e.into_inner());
        }
        let mut bytes = 0;
        let fits = state.queue.iter().take_while(|item| {
            bytes += item.body.len() as u64;
            bytes <= GROUP_BYTES_MAX
        });
        let count = fits.count().max(1);
        Some(state.queue.drain(..count).collect())
    }

    /// The writer is done with a group: the log is durable up to `end`.
    fn written(&self, end: u64, file_bytes: Option<u64>, producers: u64, group: &[Item]) {
        let mut state = self.lock();
        state.durable = end;
        state.producers = producers;
        state.queue_bytes -= group.iter().map(|item| item.body.len() as u64).sum::<u64>();
        state.queue_bodies -= group.len() as u64;
        if let (Some(bytes), Some(last)) = (file_bytes, state.segments.last_mut()) {
            last.file_bytes = bytes;
        }
        drop(state);
        self.moved.notify_all();
    }

    /// The writer goes on in another segment.
    fn begin_segment(&self, segment: Segment) {
        let mut state = self.lock();
        if state.segments.last().is_some_and(|last| last.base == segment.base) {
            state.segments.pop();
        }
        state.segments.push(segment);
    }

    /// The writer is gone.
    fn end(&self) {
        let mut state = self.lock();
        (state.closing, state.ended) = (true, true);
        let left: Vec<Item> = state.queue.drain(..).collect();
        drop(state);
        self.moved.notify_all();
        left.into_iter().for_each(|item| (item.answer)(Err(Refusal::Stopping)));
    }
}

/// What an inbox begins with, but for the thread: everything is read, and there is a segment to go on in.
fn begin(
    directory: &Path,
    settings: Settings,
    disk: Arc<dyn Disk>,
    segments: Box<dyn Segments>,
) -> Result<(Arc<Shared>, Writer, Option<Torn>, Lock), InboxError> {
    let lock = lock(&*disk, directory)?;
    let mut there = segment::list(&*disk, directory)?;
    let mut writer = Writer {
        disk: segments,
        directory: directory.to_path_buf(),
        segment_bytes: settings.segment_bytes,
        salt: RandomState::new().hash_one(directory),
        producers: Producers::new(settings.producers_max, settings.horizon_ms),
        open: None,
        end: 0,
        next_generation: there.len() as u64,
        buffer: Vec::new(),
    };
    let torn = match there.last_mut() {
        Some(last) => recover(&mut writer, &*disk, last, &settings)?,
        None => None,
    };
    let shared = Arc::new(Shared::new(settings, disk, there, &writer));
    let begun = if writer.open.is_none() { writer.make_room(&shared) } else { Ok(()) };
    begun.map_err(|source| wrong("write to", directory, source))?;
    Ok((shared, writer, torn, lock))
}

/// Takes the directory for this program alone.
fn lock(disk: &dyn Disk, directory: &Path) -> Result<Lock, InboxError> {
    disk.make_directory(directory).map_err(|source| wrong("make", directory, source))?;
    // The names on the way there are durable only with the directories that hold them; and that of a segment may be one which the
    // program before did not live to make durable.
    let durable = disk.sync_directory(directory);
    durable.map_err(|source| wrong("make", directory, source))?;
    for made in directory.ancestors().filter(|made| !made.as_os_str().is_empty()).take(2) {
        disk.sync_directory(&holder(made)).map_err(|source| wrong("make", directory, source))?;
    }
    let lock = disk.lock(&directory.join(LOCK)).map_err(|source| wrong("lock", directory, source))?;
    lock.ok_or_else(|| InboxError::InUse(directory.display().to_string()))
}

/// Reads the last segment, cuts what was torn off, and goes on there.
fn recover(
    writer: &mut Writer,
    disk: &dyn Disk,
    last: &mut Segment,
    settings: &Settings,
) -> Result<Option<Torn>, InboxError> {
    let (head, mut frames) = Frames::open(disk, &last.path, last.base, settings.producers_max)?;
    let head_bytes = frames.position;
    let mut producers = head.producers.bounded(settings.producers_max, settings.horizon_ms);
    let (mut body, mut sealed) = (Vec::new(), false);
    // What no frame calls durable, by position and offset. It is written anew: had its sync failed, it could be read until the
    // next power cut, and another sync would not bring it to the disk.
    let (mut unsure, mut position) = (VecDeque::new(), head_bytes);
    loop {
        match frames.next(&mut body)? {
            Found::Frame(frame) => {
                sealed = frame.seal;
                unsure.push_back((std::mem::replace(&mut position, frames.position), frame.offset));
                while unsure.front().is_some_and(|(_, offset)| *offset < frame.durable) {
                    unsure.pop_front();
                }
                if !planted(Bug::ProducersNotRecovered) {
                    frame.stamp.iter().for_each(|stamp| producers.note(stamp, frame.arrival_ms));
                }
            }
            Found::End => break,
            Found::Bad if frames.was_durable()? => {
                return Err(frames.damaged("what stands there was changed since it was written"));
            }
            Found::Bad => break,
        }
    }
    let bytes = frames.position;
    let file = writer.disk.reopen(&last.path, unsure.front().map_or(bytes, |(position, _)| *position), bytes);
    let file = file.map_err(|source| wrong("write to", &last.path, source))?;
    let torn = last.file_bytes.saturating_sub(bytes);
    last.file_bytes = bytes;
    (writer.salt, writer.producers, writer.end) = (head.salt, producers, frames.offset);
    writer.open = Some(Open { file, file_bytes: bytes, used: bytes > head_bytes, sealed });
    Ok((torn > 0).then(|| Torn { path: last.path.clone(), byte: bytes, bytes: torn }))
}

/// Lines that are not blank.
fn records(body: &[u8]) -> u64 {
    let mut start = 0;
    let ends = memchr_iter(b'\n', body);
    let full = ends.filter(|end| {
        let line = &body[std::mem::replace(&mut start, end + 1)..*end];
        !line.iter().all(u8::is_ascii_whitespace)
    });
    full.count() as u64
}

fn wrong(doing: &'static str, path: &Path, source: io::Error) -> InboxError {
    InboxError::Io { doing, path: path.display().to_string(), source }
}

//! Where closed panes lie that are not in memory: in the segments of a commit, and until they are in one in a file of their
//! own, which no commit names and nothing after a crash needs.
//!
//! A pane is asked for by its ticket. The shelf knows where it lies; when a commit has put it into a segment it lies there, and
//! the file is gone with the last pane in it. Trouble is remembered: the machines cannot fail, whoever runs them asks.

use super::Segment;
use super::manifest::{CHECKSUM_BYTES, checksum};
use super::segment::{Frame, frames, read_frame};
use crate::RunError;
use crate::disk::{Disk, DiskFile, How};
use engine::Shelf;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How files begin to be called that hold panes until a commit does.
pub(super) const SPILL: &str = "spill-";
/// Unpacked frames that are kept at hand.
const CACHE_BYTES_MAX: usize = 8 << 20;

/// The panes of one directory that are not in memory.
#[derive(Debug)]
pub struct PaneShelf {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    inside: Mutex<Inside>,
    cache: Mutex<Cache>,
}

/// What has gone to disk, and what was read back, by this program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Panes written when memory was short, of those that no commit had as they were.
    pub written: u64,
    /// Their bytes on disk, before a commit packs them.
    pub written_bytes: u64,
    /// Times that one was read.
    pub read: u64,
    /// Bytes of these, unpacked.
    pub read_bytes: u64,
}

#[derive(Debug, Default)]
struct Inside {
    next: u64,
    places: BTreeMap<u64, Place>,
    /// Number of the file that is written to.
    writing: u64,
    files: BTreeMap<u64, Scratch>,
    /// Records of the last commit by their checksums.
    durable: BySum,
    moved: Moved,
    trouble: Option<String>,
}

/// Records by their checksums.
type BySum = BTreeMap<[u8; CHECKSUM_BYTES], (Arc<SegmentFile>, Range<u64>)>;

/// A file of panes that are in no segment yet.
#[derive(Debug)]
struct Scratch {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Arc<Mutex<Box<dyn DiskFile>>>,
    bytes: u64,
    panes: u64,
}

impl Scratch {
    fn begin(disk: &Arc<dyn Disk>, directory: &Path, number: u64) -> io::Result<Scratch> {
        let path = directory.join(format!("{SPILL}{number:016x}"));
        disk.open(&path, How::New)?;
        let file = Arc::new(Mutex::new(disk.open(&path, How::Change)?));
        Ok(Scratch { disk: Arc::clone(disk), path, file, bytes: 0, panes: 0 })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is by the next run.
        let _ = self.disk.remove(&self.path);
    }
}

#[derive(Debug, Clone)]
enum Place {
    Scratch { number: u64, range: Range<u64>, sum: [u8; CHECKSUM_BYTES] },
    Segment { segment: Arc<SegmentFile>, range: Range<u64> },
}

/// An open segment, and where its frames are.
type Opened = (Box<dyn DiskFile>, Vec<Frame>);

/// A segment that panes are read from.
#[derive(Debug)]
pub(super) struct SegmentFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    pub name: String,
    bytes: u64,
    raw_bytes: u64,
    raw_sum: [u8; CHECKSUM_BYTES],
    /// Opened when it is read first, unless it was before. Open files can be read when they are gone.
    open: Mutex<Option<Opened>>,
}

impl SegmentFile {
    pub fn new(disk: &Arc<dyn Disk>, directory: &Path, segment: &Segment) -> SegmentFile {
        SegmentFile {
            disk: Arc::clone(disk),
            path: directory.join(&segment.file),
            name: segment.file.clone(),
            bytes: segment.bytes,
            raw_bytes: segment.raw_bytes,
            raw_sum: segment.raw_checksum,
            open: Mutex::new(None),
        }
    }

    /// Opens the file, so that its panes can be read when somebody else has removed it.
    pub fn open(&self) -> Result<(), String> {
        self.with(|_, _| Ok(()))
    }

    fn with<T>(
        &self,
        read: impl FnOnce(&mut Box<dyn DiskFile>, &[Frame]) -> Result<T, String>,
    ) -> Result<T, String> {
        let mut open = lock(&self.open);
        if open.is_none() {
            let mut file = self.disk.open(&self.path, How::Read).map_err(|error| error.to_string())?;
            let frames = frames(&mut file, self.bytes, self.raw_bytes)?;
            *open = Some((file, frames));
        }
        let Some((file, frames)) = open.as_mut() else { return Err("it is not open".into()) };
        read(file, frames)
    }

    /// So many of its bytes, unpacked.
    fn read(self: &Arc<Self>, range: Range<u64>, cache: &Mutex<Cache>) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let nth = self
                .with(|_, frames| Ok(frames.partition_point(|frame| frame.raw_at <= at).saturating_sub(1)))?;
            let (raw_at, raw) = self.frame(nth, cache)?;
            let from = (at - raw_at) as usize;
            let to = (range.end - raw_at).min(raw.len() as u64) as usize;
            let part = raw.get(from..to).filter(|part| !part.is_empty());
            let part = part.ok_or("it is shorter than it should be")?;
            out.extend_from_slice(part);
            at += part.len() as u64;
        }
        Ok(out)
    }

    fn frame(self: &Arc<Self>, nth: usize, cache: &Mutex<Cache>) -> Result<(u64, Arc<Vec<u8>>), String> {
        if let Some(found) = lock(cache).find(self, nth) {
            return Ok(found);
        }
        let (raw_at, raw) = self.with(|file, frames| {
            let frame = frames.get(nth).ok_or("it has no such frame")?;
            let raw = read_frame(file, frame)?;
            // Version 1 has no checksum of its own: what it unpacks to has.
            let whole = frames.len() == 1 && checksum(&raw) != self.raw_sum;
            if whole { Err("its checksum does not hold".into()) } else { Ok((frame.raw_at, Arc::new(raw))) }
        })?;
        lock(cache).put(self, nth, raw_at, &raw);
        Ok((raw_at, raw))
    }
}

/// Frames that were unpacked last.
#[derive(Debug, Default)]
struct Cache {
    frames: VecDeque<Unpacked>,
    bytes: usize,
}

/// A frame of a segment.
#[derive(Debug)]
struct Unpacked {
    segment: Arc<SegmentFile>,
    nth: usize,
    raw_at: u64,
    raw: Arc<Vec<u8>>,
}

impl Cache {
    fn find(&mut self, segment: &Arc<SegmentFile>, nth: usize) -> Option<(u64, Arc<Vec<u8>>)> {
        let is_it = |frame: &Unpacked| frame.nth == nth && Arc::ptr_eq(&frame.segment, segment);
        let at = self.frames.iter().position(is_it)?;
        let found = self.frames.remove(at)?;
        let out = (found.raw_at, Arc::clone(&found.raw));
        self.frames.push_back(found);
        Some(out)
    }

    fn put(&mut self, segment: &Arc<SegmentFile>, nth: usize, raw_at: u64, raw: &Arc<Vec<u8>>) {
        self.bytes += raw.len();
        let (segment, raw) = (Arc::clone(segment), Arc::clone(raw));
        self.frames.push_back(Unpacked { segment, nth, raw_at, raw });
        while self.bytes > CACHE_BYTES_MAX
            && self.frames.len() > 1
            && let Some(gone) = self.frames.pop_front()
        {
            self.bytes -= gone.raw.len();
        }
    }
}

impl PaneShelf {
    /// Nothing lies there yet.
    pub(super) fn new(disk: Arc<dyn Disk>, path: &Path) -> PaneShelf {
        PaneShelf { disk, path: path.to_path_buf(), inside: Mutex::default(), cache: Mutex::default() }
    }

    /// Removes what a run has left behind that was ended.
    pub(super) fn sweep(&self) {
        let entries = self.disk.list(&self.path).unwrap_or_default();
        for entry in entries.iter().filter(|entry| entry.name.starts_with(SPILL)) {
            let _ = self.disk.remove(&self.path.join(&entry.name));
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What went wrong first, in a sentence.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.inside).trouble.clone()
    }

    /// The same as an error.
    pub fn lost(&self) -> Option<RunError> {
        Some(RunError::Spilled { path: self.path.display().to_string(), why: self.trouble()? })
    }

    /// What was written and read so far.
    pub fn moved(&self) -> Moved {
        lock(&self.inside).moved
    }

    /// The segments that tickets lead to.
    pub(super) fn segments(&self) -> BTreeSet<String> {
        let inside = lock(&self.inside);
        let name = |place: &Place| match place {
            Place::Segment { segment, .. } => Some(segment.name.clone()),
            Place::Scratch { .. } => None,
        };
        inside.places.values().filter_map(name).collect()
    }

    /// A ticket of a pane in a segment.
    pub(super) fn ticket(&self, segment: &Arc<SegmentFile>, range: Range<u64>) -> u64 {
        let mut inside = lock(&self.inside);
        inside.enter(Place::Segment { segment: Arc::clone(segment), range })
    }

    /// A pane in a segment.
    pub(super) fn read(&self, segment: &Arc<SegmentFile>, range: Range<u64>) -> Option<Vec<u8>> {
        match segment.read(range, &self.cache) {
            Ok(record) => Some(record),
            Err(why) => {
                lock(&self.inside).note(format!("`{}` cannot be read: {why}", segment.name));
                None
            }
        }
    }

    /// Whether the pane of a ticket lies there.
    pub(super) fn lies_in(&self, ticket: u64, name: &str, at: &Range<u64>) -> bool {
        match lock(&self.inside).places.get(&ticket) {
            Some(Place::Segment { segment, range }) => segment.name == *name && range == at,
            Some(Place::Scratch { .. }) | None => false,
        }
    }

    /// A commit is durable that has these panes in its segments, and these records in all. They stay there until the next but
    /// one is.
    pub(super) fn is_durable(
        &self,
        panes: impl Iterator<Item = (u64, Arc<SegmentFile>, Range<u64>)>,
        durable: BySum,
    ) {
        let mut inside = lock(&self.inside);
        inside.durable = durable;
        for (ticket, segment, range) in panes {
            let Some(place) = inside.places.get_mut(&ticket) else { continue };
            let before = std::mem::replace(place, Place::Segment { segment, range });
            inside.leave(&before);
        }
        // What comes goes to another file, so that this one can go.
        inside.writing += 1;
        inside.drop_empty();
    }
}

impl Inside {
    fn enter(&mut self, place: Place) -> u64 {
        self.next += 1;
        self.places.insert(self.next, place);
        self.next
    }

    fn note(&mut self, why: String) {
        self.trouble.get_or_insert(why);
    }

    fn leave(&mut self, place: &Place) {
        if let Place::Scratch { number, .. } = place
            && let Some(scratch) = self.files.get_mut(number)
        {
            scratch.panes -= 1;
        }
    }

    /// Closes files that hold nothing any more and are not written to.
    fn drop_empty(&mut self) {
        let writing = self.writing;
        self.files.retain(|number, scratch| scratch.panes > 0 || *number == writing);
    }

    fn append(
        &mut self,
        disk: &Arc<dyn Disk>,
        directory: &Path,
        record: &[u8],
        sum: [u8; CHECKSUM_BYTES],
    ) -> io::Result<Place> {
        let number = self.writing;
        let scratch = match self.files.entry(number) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(none) => none.insert(Scratch::begin(disk, directory, number)?),
        };
        let range = scratch.bytes..scratch.bytes + record.len() as u64;
        let mut file = lock(&scratch.file);
        file.seek(SeekFrom::Start(range.start))?;
        file.write_all(record)?;
        drop(file);
        (scratch.bytes, scratch.panes) = (range.end, scratch.panes + 1);
        Ok(Place::Scratch { number, range, sum })
    }
}

impl Shelf for PaneShelf {
    fn put(&self, record: &[u8]) -> Option<u64> {
        let mut inside = lock(&self.inside);
        if inside.trouble.is_some() {
            return None;
        }
        let sum = checksum(record);
        if let Some((segment, range)) = inside.durable.get(&sum).cloned() {
            return Some(inside.enter(Place::Segment { segment, range }));
        }
        match inside.append(&self.disk, &self.path, record, sum) {
            Ok(place) => {
                inside.moved.written += 1;
                inside.moved.written_bytes += record.len() as u64;
                Some(inside.enter(place))
            }
            Err(error) => {
                let path = self.path.display();
                inside.note(format!("panes cannot be written to `{path}` to make room in memory: {error}"));
                None
            }
        }
    }

    fn get(&self, ticket: u64) -> Option<Vec<u8>> {
        let mut inside = lock(&self.inside);
        let place = inside.places.get(&ticket)?.clone();
        let record = match place {
            Place::Segment { segment, range } => {
                drop(inside);
                self.read(&segment, range)
            }
            Place::Scratch { number, range, sum } => {
                let file = Arc::clone(&inside.files.get(&number)?.file);
                drop(inside);
                match read_at(&file, range).filter(|record| checksum(record) == sum) {
                    Some(record) => Some(record),
                    None => {
                        let why =
                            "a pane that had left memory is not what was written; its disk has changed it";
                        lock(&self.inside).note(why.into());
                        None
                    }
                }
            }
        }?;
        inside = lock(&self.inside);
        inside.moved.read += 1;
        inside.moved.read_bytes += record.len() as u64;
        Some(record)
    }

    fn is_damaged(&self, ticket: u64) {
        let mut inside = lock(&self.inside);
        let name = match inside.places.get(&ticket) {
            Some(Place::Segment { segment, .. }) => format!("`{}`", segment.name),
            Some(Place::Scratch { .. }) | None => "a file of this run".into(),
        };
        inside.note(format!("{name} is damaged: a pane in it is none"));
    }

    fn release(&self, ticket: u64) {
        let mut inside = lock(&self.inside);
        if let Some(place) = inside.places.remove(&ticket) {
            inside.leave(&place);
            inside.drop_empty();
        }
    }
}

fn read_at(file: &Mutex<Box<dyn DiskFile>>, range: Range<u64>) -> Option<Vec<u8>> {
    let mut file = lock(file);
    file.seek(SeekFrom::Start(range.start)).ok()?;
    let mut record = Vec::new();
    (&mut *file).take(range.end - range.start).read_to_end(&mut record).ok()?;
    Some(record)
}

/// Whoever panicked ends the run; what is kept here is whole between two calls.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

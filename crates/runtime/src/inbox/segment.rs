//! Segments on disk: their names, reading their frames, and what is left of the last one after a crash.
//!
//! A segment ends where the next one begins: what stands behind that in its file was never acknowledged.

use super::InboxError;
use super::frame::{FRAME_BYTES, Frame, Head, MARK, PRELUDE_BYTES, body_sum};
use crate::disk::{Disk, DiskFile, Entry, How};
use memchr::memmem;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

const SEGMENT: &str = "inbox-";
const BUFFER_BYTES: usize = 256 << 10;

/// A segment that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    /// Offset of its first body.
    pub base: u64,
    pub path: PathBuf,
    /// Tells apart two segments of one name.
    pub generation: u64,
    /// Bytes of its file.
    pub file_bytes: u64,
}

/// The file of the segment that begins at this offset.
pub(super) fn path_of(directory: &Path, base: u64) -> PathBuf {
    directory.join(format!("{SEGMENT}{base:016x}"))
}

/// The segments of a directory, by offset.
pub(super) fn list(disk: &dyn Disk, directory: &Path) -> Result<Vec<Segment>, InboxError> {
    let wrong = |source| InboxError::Io { doing: "read", path: directory.display().to_string(), source };
    let mut segments = Vec::new();
    for Entry { name, bytes } in disk.list(directory).map_err(wrong)? {
        let digits = name.strip_prefix(SEGMENT).filter(|digits| digits.len() == 16);
        if let Some(base) = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
            let path = directory.join(&name);
            segments.push(Segment { base, path, generation: base, file_bytes: bytes });
        }
    }
    segments.sort_by_key(|segment| segment.base);
    // Of one name there is one file here; those that are made later count on from here.
    segments.iter_mut().zip(0..).for_each(|(segment, generation)| segment.generation = generation);
    Ok(segments)
}

/// Reads the frames of a segment one after the other.
pub(super) struct Frames {
    path: PathBuf,
    file: BufReader<Box<dyn DiskFile>>,
    salt: u64,
    /// Position in the file, behind the last good frame.
    pub position: u64,
    /// Offset behind the last good frame.
    pub offset: u64,
}

/// What stands at a position.
pub(super) enum Found {
    Frame(Frame),
    /// The end of the file.
    End,
    /// No frame, or not the one that should be there.
    Bad,
}

impl Frames {
    /// Opens a segment and reads its head.
    pub fn open(
        disk: &dyn Disk,
        path: &Path,
        base: u64,
        producers_max: usize,
    ) -> Result<(Head, Frames), InboxError> {
        let mut head = Vec::new();
        let file = read_head(disk, path, &mut head).map_err(|source| wrong(path, source))?;
        let read = Head::read(&head, producers_max).map_err(|why| damaged(path, 0, why))?;
        if read.base != base {
            let why = format!("its head says that it begins at offset {}, its name {base}", read.base);
            return Err(damaged(path, 0, why));
        }
        let (salt, position) = (read.salt, head.len() as u64);
        Ok((read, Frames { path: path.to_path_buf(), file, salt, position, offset: base }))
    }

    /// The next frame, its body in `body`.
    pub fn next(&mut self, body: &mut Vec<u8>) -> Result<Found, InboxError> {
        self.read(body).map_err(|source| wrong(&self.path, source))
    }

    fn read(&mut self, body: &mut Vec<u8>) -> io::Result<Found> {
        body.clear();
        self.take(FRAME_BYTES, body)?;
        if body.is_empty() {
            return Ok(Found::End);
        }
        let Some(name_bytes) = Frame::name_bytes(body) else { return Ok(Found::Bad) };
        self.take(name_bytes, body)?;
        let Some(frame) = Frame::read(self.salt, body) else { return Ok(Found::Bad) };
        body.clear();
        self.take(frame.body_bytes as usize, body)?;
        let whole = body.len() == frame.body_bytes as usize && body_sum(body) == frame.body_sum;
        if !whole || frame.offset != self.offset {
            return Ok(Found::Bad);
        }
        self.position += frame.length() as u64;
        self.offset = frame.next();
        Ok(Found::Frame(frame))
    }

    /// Appends so many bytes, fewer at the end of the file.
    fn take(&mut self, bytes: usize, out: &mut Vec<u8>) -> io::Result<()> {
        self.file.by_ref().take(bytes as u64).read_to_end(out).map(|_| ())
    }

    /// After a bad frame: whether a later one says that what should be here was durable.
    pub fn was_durable(&mut self) -> Result<bool, InboxError> {
        let mut rest = Vec::new();
        let mut read = || -> io::Result<usize> {
            self.file.seek(SeekFrom::Start(self.position))?;
            self.file.read_to_end(&mut rest)
        };
        read().map_err(|source| wrong(&self.path, source))?;
        let mut marks = memmem::find_iter(&rest, MARK);
        Ok(marks
            .any(|at| Frame::read(self.salt, &rest[at..]).is_some_and(|frame| frame.durable > self.offset)))
    }

    /// The error that names this place.
    pub fn damaged(&self, why: &str) -> InboxError {
        damaged(&self.path, self.position, why.to_string())
    }
}

/// Reads as many bytes as the head of a segment should have.
fn read_head(disk: &dyn Disk, path: &Path, head: &mut Vec<u8>) -> io::Result<BufReader<Box<dyn DiskFile>>> {
    let mut file = BufReader::with_capacity(BUFFER_BYTES, disk.open(path, How::Read)?);
    file.by_ref().take(PRELUDE_BYTES as u64).read_to_end(head)?;
    if let Ok(length) = Head::length(head) {
        file.by_ref().take((length - PRELUDE_BYTES) as u64).read_to_end(head)?;
    }
    Ok(file)
}

fn wrong(path: &Path, source: io::Error) -> InboxError {
    InboxError::Io { doing: "read", path: path.display().to_string(), source }
}

fn damaged(path: &Path, byte: u64, why: String) -> InboxError {
    InboxError::Damaged { path: path.display().to_string(), byte, why }
}

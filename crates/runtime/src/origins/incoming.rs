//! A segment on its way to the disk: bounded by what the manifest says, kept only when it is that.

use super::{OFFER, Origins, PART, failed, sync};
use crate::checkpoint::{Manifest, Segment, checksum_of};
use engine::origins::{Incoming, No, SegmentOf};
use sketch::hash::Xxh3Parts;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// See the page.
pub struct Part {
    directory: PathBuf,
    /// What it has to be.
    segment: Segment,
    beside: PathBuf,
    file: File,
    left: u64,
    sum: Xxh3Parts,
    _slot: Slot,
}

impl Part {
    /// Begins, when a commit that was offered needs the segment.
    pub fn begin(store: &Origins, place: &Path, of: &SegmentOf<'_>) -> Result<Part, No> {
        let directory = place.join(of.state);
        let segment = wanted(&directory, of.name)?;
        let slot = Slot::take(&store.incoming, store.limits.incoming_max)?;
        let nth = store.parts.fetch_add(1, Relaxed);
        let beside = directory.join(format!("{}-{nth}{PART}", of.name));
        let file = File::create(&beside).map_err(failed)?;
        let left = segment.bytes;
        Ok(Part { directory, segment, beside, file, left, sum: Xxh3Parts::default(), _slot: slot })
    }
}

impl Incoming for Part {
    fn push(&mut self, bytes: &[u8]) -> Result<(), No> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| not_these(&self.segment))?;
        self.sum.push(bytes);
        self.file.write_all(bytes).map_err(failed)
    }

    fn finish(self: Box<Self>) -> Result<(), No> {
        if self.left > 0 || checksum_of(&self.sum) != self.segment.checksum {
            return Err(not_these(&self.segment));
        }
        self.file.sync_all().map_err(failed)?;
        // Another commit may have been offered meanwhile, that calls another segment so.
        if wanted(&self.directory, &self.segment.file)?.checksum != self.segment.checksum {
            return Err(not_these(&self.segment));
        }
        fs::rename(&self.beside, self.directory.join(&self.segment.file)).map_err(failed)?;
        sync(&self.directory).map_err(failed)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Gone already when it was put in its place.
        let _ = fs::remove_file(&self.beside);
    }
}

/// What the commit that was offered says of a segment.
fn wanted(directory: &Path, name: &str) -> Result<Segment, No> {
    let none = || No::NotThis(format!("no commit that was offered needs `{name}`: offer the commit first"));
    let bytes = fs::read(directory.join(OFFER)).map_err(|_| none())?;
    let manifest = Manifest::read(&bytes).map_err(|_| none())?;
    manifest.segments.into_iter().find(|segment| segment.file == name).ok_or_else(none)
}

fn not_these(segment: &Segment) -> No {
    No::NotThis(format!("`{}` has other bytes than the commit says", segment.file))
}

/// One of the segments that may be written at once.
struct Slot(Arc<AtomicUsize>);

impl Slot {
    fn take(taken: &Arc<AtomicUsize>, most: usize) -> Result<Slot, No> {
        let slot = Slot(taken.clone());
        if taken.fetch_add(1, Relaxed) < most { Ok(slot) } else { Err(No::Busy) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

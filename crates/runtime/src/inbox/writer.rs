//! The thread that writes: whatever waits goes to the disk together, and all of it is answered after one sync.
//!
//! A file to which a write or a sync has failed is never written again: the next segment begins where the durable bytes end,
//! so what the failure left behind is never read. As long as no next segment can be made, bodies are refused.

use super::disk::{SegmentFile, Segments};
use super::frame::{Frame, Head};
use super::producers::{Producers, Seen, after, repeats};
use super::segment::{Segment, path_of};
use super::{Item, Shared};
use engine::inbox::{Accepted, Refusal};
use sabotage::{Bug, planted};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

/// Buffers that have grown beyond this are not kept.
const BUFFER_BYTES_KEPT: usize = 4 << 20;

pub(super) struct Writer {
    pub disk: Box<dyn Segments>,
    pub directory: PathBuf,
    pub segment_bytes: u64,
    pub salt: u64,
    pub producers: Producers,
    /// The segment that is written to; none after a failure.
    pub open: Option<Open>,
    /// Offset behind the last durable body.
    pub end: u64,
    pub next_generation: u64,
    pub buffer: Vec<u8>,
}

pub(super) struct Open {
    pub file: Box<dyn SegmentFile>,
    pub file_bytes: u64,
    /// Whether there is a frame in it.
    pub used: bool,
    /// Whether the last one is a seal.
    pub sealed: bool,
}

/// What is to be done with a body.
enum Lot {
    Write,
    /// It is durable already.
    Known,
    /// It is durable as soon as this group is.
    Twin,
}

impl Writer {
    /// Writes until the inbox is closed and nothing waits any more.
    pub fn run(mut self, shared: &Shared) {
        let guard = Ends(shared);
        while let Some(group) = shared.take_group() {
            self.take_in(shared, group);
        }
        self.seal(shared);
        drop(guard);
    }

    /// Makes a group durable, and answers.
    pub fn take_in(&mut self, shared: &Shared, group: Vec<Item>) {
        let lots = self.sort(&group);
        let written = self.write(shared, &group, &lots);
        let producers = self.producers.len() as u64;
        shared.written(self.end, self.open.as_ref().map(|open| open.file_bytes), producers, &group);
        self.answer(group, &lots, written);
    }

    /// Which bodies have come before.
    fn sort(&self, group: &[Item]) -> Vec<Lot> {
        let mut pending: HashMap<&str, Seen> = HashMap::new();
        let mut lots = Vec::with_capacity(group.len());
        for item in group {
            let Some(stamp) = &item.stamp else {
                lots.push(Lot::Write);
                continue;
            };
            let (producer, sequence) = (stamp.producer(), stamp.sequence());
            let known = self.producers.seen(producer, item.now_ms);
            let before = pending.get(producer).copied().or(known);
            lots.push(match (repeats(known, sequence), repeats(before, sequence)) {
                (true, _) => Lot::Known,
                (false, true) => Lot::Twin,
                (false, false) => {
                    pending.insert(producer, after(before, sequence));
                    Lot::Write
                }
            });
        }
        lots
    }

    /// Makes the bodies durable that are to be written; none of them after an error.
    fn write(&mut self, shared: &Shared, group: &[Item], lots: &[Lot]) -> Result<(), Refusal> {
        let wanted =
            || group.iter().zip(lots).filter(|(_, lot)| matches!(lot, Lot::Write)).map(|(item, _)| item);
        if wanted().next().is_none() {
            return Ok(());
        }
        self.make_room(shared).map_err(|error| refusal(&error))?;
        let mut frames = std::mem::take(&mut self.buffer);
        frames.clear();
        let mut offset = self.end;
        for item in wanted() {
            let frame = Frame::of(offset, self.end, item.now_ms, item.stamp.clone(), &item.body);
            frame.write(self.salt, &mut frames);
            frames.extend_from_slice(&item.body);
            offset = frame.next();
        }
        let written = self.put(&frames);
        frames.shrink_to(BUFFER_BYTES_KEPT);
        self.buffer = frames;
        if let Err(error) = written {
            // The durable end is fixed by a next segment as soon as there can be one.
            let _ = self.make_room(shared);
            return Err(refusal(&error));
        }
        self.end = offset;
        for item in wanted().filter(|_| !planted(Bug::ProducerForgotten)) {
            item.stamp.iter().for_each(|stamp| self.producers.note(stamp, item.now_ms));
        }
        Ok(())
    }

    /// Writes and syncs; a file that fails is left.
    fn put(&mut self, frames: &[u8]) -> io::Result<()> {
        let open = self.open.as_mut().expect("room was made");
        if let Err(error) = open.file.append(frames) {
            open.file.give_back(open.file_bytes);
            self.open = None;
            return Err(error);
        }
        if planted(Bug::AckedBeforeDurable) {
            // As if the sync could wait.
        } else if let Err(error) = open.file.sync() {
            self.open = None;
            return Err(error);
        }
        open.file_bytes += frames.len() as u64;
        (open.used, open.sealed) = (true, false);
        Ok(())
    }

    /// Sees to it that there is a segment with room, beginning a new one if need be.
    pub fn make_room(&mut self, shared: &Shared) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|open| !open.used || open.file_bytes < self.segment_bytes) {
            return Ok(());
        }
        let base = self.end;
        let head = Head::write(self.salt, base, &self.producers);
        let path = path_of(&self.directory, base);
        let file = self.disk.create(&path, &head)?;
        let (file_bytes, generation) = (head.len() as u64, self.next_generation);
        self.next_generation += 1;
        self.open = Some(Open { file, file_bytes, used: false, sealed: false });
        shared.begin_segment(Segment { base, path, generation, file_bytes });
        Ok(())
    }

    fn answer(&self, group: Vec<Item>, lots: &[Lot], written: Result<(), Refusal>) {
        let mut offset =
            self.end - group.iter().zip(lots).map(|(item, lot)| item.adds(lot, &written)).sum::<u64>();
        for (item, lot) in group.into_iter().zip(lots) {
            offset += item.adds(lot, &written);
            let duplicate = !matches!(lot, Lot::Write);
            let accepted = Accepted {
                offset: if duplicate { self.end } else { offset },
                bytes: item.body.len() as u64,
                records: item.records,
                duplicate,
            };
            let sure = matches!(lot, Lot::Known) || planted(Bug::RefusedAcked);
            let durable = if sure { Ok(()) } else { written.clone() };
            (item.answer)(durable.map(|()| accepted));
        }
    }

    /// Notes that everything is durable, so that damage of the last bodies can be told from a torn tail.
    pub fn seal(&mut self, shared: &Shared) {
        if self.open.as_ref().is_none_or(|open| !open.used || open.sealed) {
            return;
        }
        let mut frame = Vec::new();
        Frame::seal(self.end).write(self.salt, &mut frame);
        if self.put(&frame).is_err() {
            let _ = self.make_room(shared);
        }
    }
}

impl Item {
    /// By how much it moves the end.
    fn adds(&self, lot: &Lot, written: &Result<(), Refusal>) -> u64 {
        if written.is_ok() && matches!(lot, Lot::Write) { self.body.len() as u64 } else { 0 }
    }
}

fn refusal(error: &io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Refusal::NoSpace,
        _ => Refusal::Failed(error.to_string()),
    }
}

/// Tells everybody that nobody writes any more, also when that is because of a panic.
struct Ends<'a>(&'a Shared);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

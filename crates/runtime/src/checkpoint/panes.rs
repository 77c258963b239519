//! Closed panes on disk: which are there already, which are written now, and which segments are written anew.
//!
//! A segment of panes holds records, one for each, and is never changed. A pane that is as it was is not written again. What
//! nobody needs any more stays until less than half of its segment is needed: then what is needed of it is written to
//! a new one. So the disk holds at most about twice what is needed, and a pane is moved a bounded number of times.

use super::Segment;
use super::directory::NewSegment;
use super::manifest::{CHECKSUM_BYTES, checksum};
use super::shelf::{PaneShelf, SegmentFile};
use crate::RunError;
use engine::Shelf;
use engine::shard::{Frozen, FrozenPane, Mark, PaneId, Records};
use engine::time::Time;
use sketch::codec::write_varint;
use sketch::{DecodeError, Reader};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// A segment is not made larger than this and one pane, unpacked: what is read at a time when a run begins.
/// Small in tests of this crate, so that few panes make several segments.
pub(super) const SEGMENT_BYTES: u64 = if cfg!(test) { 4 << 10 } else { 32 << 20 };
/// Segments that need less than half of that, at most; beyond it the smaller half of them becomes one.
pub(super) const SMALL_MAX: usize = 16;

/// A pane of one of the shards.
pub(super) type Place = (u32, PaneId);

/// The closed panes of the last commit.
#[derive(Debug, Default)]
pub(super) struct Panes {
    records: BTreeMap<Place, Record>,
    /// By age.
    segments: BTreeMap<u64, (Segment, Arc<SegmentFile>)>,
}

/// Where a pane is.
#[derive(Debug, Clone)]
struct Record {
    was: Was,
    segment: u64,
    /// Its bytes in the segment, unpacked, with what says which pane it is of.
    bytes: u64,
    /// Where the record lies in it.
    range: Range<u64>,
    /// Of the record.
    sum: [u8; CHECKSUM_BYTES],
}

/// What tells whether a pane is as it was when it was written.
#[derive(Debug, Clone)]
enum Was {
    /// It was written by this run.
    Marked(Mark),
    /// It was read back: its bytes say it.
    ReadBack,
}

/// Closed panes of a commit that was read, to restore shards with. They stay where they are.
#[derive(Debug)]
pub struct PaneRecords {
    shelf: Arc<PaneShelf>,
    places: BTreeMap<Place, (Arc<SegmentFile>, Range<u64>)>,
}

/// The closed panes of one shard.
#[derive(Debug)]
pub struct OfShard<'a> {
    panes: &'a PaneRecords,
    shard: u32,
}

impl Panes {
    /// Takes in what the next segment of a commit holds: of equal panes the last one counts.
    pub fn read(
        &mut self,
        segment: Segment,
        file: SegmentFile,
        raw: &[u8],
        found: &mut PaneRecords,
    ) -> Result<(), String> {
        let file = Arc::new(file);
        let age = self.segments.len() as u64;
        let mut r = Reader::new(raw);
        while r.remaining() > 0 {
            let from = raw.len() - r.remaining();
            let (place, len) =
                read_record(&mut r).map_err(|error| format!("`{}` is damaged: {error}", segment.file))?;
            let to = raw.len() - r.remaining();
            let range = (to - len) as u64..to as u64;
            let (bytes, sum) = ((to - from) as u64, checksum(&raw[to - len..to]));
            let record = Record { was: Was::ReadBack, segment: age, bytes, range: range.clone(), sum };
            self.records.insert(place, record);
            found.places.insert(place, (Arc::clone(&file), range));
        }
        self.segments.insert(age, (segment, file));
        Ok(())
    }

    /// Writes the closed panes of these shards as far as they are not there as they are now, into segments that `begin`
    /// begins. Gives back what is there afterwards, and changes nothing itself. Of panes that are not in memory one at
    /// a time is read, where they move; `lost` says what is wrong when it cannot be.
    pub fn write<'d>(
        &self,
        shards: &[Frozen],
        shelf: &PaneShelf,
        lost: impl Fn() -> RunError,
        mut begin: impl FnMut() -> NewSegment<'d>,
    ) -> Result<Panes, RunError> {
        let end = |segment: NewSegment<'d>| segment.finish().map(|(segment, file)| (segment, Arc::new(file)));
        let kept = self.unchanged(shards, shelf);
        let anew = self.to_write_anew(&kept);
        let mut next = Panes { records: kept, segments: BTreeMap::new() };
        let mut age = self.segments.last_key_value().map_or(0, |(age, _)| age + 1);
        let (mut segment, mut head, mut record) = (None, Vec::new(), Vec::new());
        for (place, pane) in all(shards) {
            if next.records.get(&place).is_some_and(|record| !anew.contains(&record.segment)) {
                continue;
            }
            record.clear();
            if !pane.write(&mut record) {
                return Err(lost());
            }
            head.clear();
            write_record_head(place, record.len(), &mut head);
            let to: &mut NewSegment<'d> = segment.get_or_insert_with(&mut begin);
            [&head, &record].into_iter().for_each(|bytes| to.push(bytes));
            let (until, was) = (to.raw_bytes(), Was::Marked(pane.mark()));
            let (bytes, range) = ((head.len() + record.len()) as u64, until - record.len() as u64..until);
            let sum = checksum(&record);
            next.records.insert(place, Record { was, segment: age, bytes, range, sum });
            if let Some(full) = segment.take_if(|_| until >= SEGMENT_BYTES) {
                next.segments.insert(age, end(full)?);
                age += 1;
            }
        }
        if let Some(last) = segment {
            next.segments.insert(age, end(last)?);
        }
        let live = next.live();
        let named = self.segments.iter().map(|(age, segment)| (*age, segment.clone()));
        next.segments.extend(named.filter(|(age, _)| live.contains_key(age)));
        next.segments.iter_mut().for_each(|(age, (segment, _))| segment.live_bytes = live[age]);
        Ok(next)
    }

    /// The segments, the oldest first.
    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.values().map(|(segment, _)| segment)
    }

    /// Where each record is, by its checksum: a pane that leaves memory as it was written need not be written again.
    pub fn by_sum(&self) -> BTreeMap<[u8; CHECKSUM_BYTES], (Arc<SegmentFile>, Range<u64>)> {
        let place = |record: &Record| {
            let (_, file) = self.segments.get(&record.segment)?;
            Some((record.sum, (Arc::clone(file), record.range.clone())))
        };
        self.records.values().filter_map(place).collect()
    }

    /// Where the panes lie by now that were not in memory when these shards were frozen.
    pub fn away<'a>(
        &'a self,
        tickets: &'a [(Place, u64)],
    ) -> impl Iterator<Item = (u64, Arc<SegmentFile>, Range<u64>)> + 'a {
        tickets.iter().filter_map(|(place, ticket)| {
            let record = self.records.get(place)?;
            let (_, file) = self.segments.get(&record.segment)?;
            Some((*ticket, Arc::clone(file), record.range.clone()))
        })
    }

    /// The records of panes that are as they were written.
    fn unchanged(&self, shards: &[Frozen], shelf: &PaneShelf) -> BTreeMap<Place, Record> {
        let mut bytes = Vec::new();
        let mut as_it_was = |(place, pane): (Place, FrozenPane<'_>)| {
            let record = self.records.get(&place)?;
            let same = match (pane.ticket(), &record.was) {
                (Some(ticket), _) => {
                    let (segment, _) = &self.segments[&record.segment];
                    shelf.lies_in(ticket, &segment.file, &record.range)
                }
                (None, Was::Marked(mark)) => pane.is(mark),
                (None, Was::ReadBack) => {
                    bytes.clear();
                    pane.write(&mut bytes) && checksum(&bytes) == record.sum
                }
            };
            same.then(|| (place, Record { was: Was::Marked(pane.mark()), ..record.clone() }))
        };
        all(shards).filter_map(&mut as_it_was).collect()
    }

    /// The segments of which less than half is needed, and the smaller half of the small ones when they are many.
    fn to_write_anew(&self, kept: &BTreeMap<Place, Record>) -> BTreeSet<u64> {
        let live = live(kept);
        let needed = |age: &u64| live.get(age).copied().unwrap_or(0);
        let half = |(age, (segment, _)): (&u64, &(Segment, Arc<SegmentFile>))| {
            needed(age).saturating_mul(2) < segment.raw_bytes
        };
        let mut anew: BTreeSet<u64> =
            self.segments.iter().filter(|entry| half(*entry)).map(|(age, _)| *age).collect();
        let rest = self.segments.keys().copied().filter(|age| !anew.contains(age));
        let mut small: Vec<u64> = rest.filter(|age| needed(age) * 2 < SEGMENT_BYTES).collect();
        // One more may come now.
        if small.len() >= SMALL_MAX {
            small.sort_by_key(|age| (needed(age), *age));
            anew.extend(&small[..SMALL_MAX / 2]);
        }
        anew
    }

    fn live(&self) -> BTreeMap<u64, u64> {
        live(&self.records)
    }
}

impl PaneRecords {
    /// None yet.
    pub(super) fn on(shelf: Arc<PaneShelf>) -> PaneRecords {
        PaneRecords { shelf, places: BTreeMap::new() }
    }

    /// Those of a shard.
    pub fn of(&self, shard: usize) -> OfShard<'_> {
        OfShard { panes: self, shard: u32::try_from(shard).unwrap_or(u32::MAX) }
    }

    /// What they are read from, which remembers when that fails.
    pub fn shelf(&self) -> &Arc<PaneShelf> {
        &self.shelf
    }
}

impl Records for OfShard<'_> {
    fn find(&self, pane: PaneId) -> Option<Vec<u8>> {
        let (segment, range) = self.panes.places.get(&(self.shard, pane))?;
        self.panes.shelf.read(segment, range.clone())
    }

    fn away(&self, pane: PaneId) -> Option<(Arc<dyn Shelf>, u64)> {
        let (segment, range) = self.panes.places.get(&(self.shard, pane))?;
        Some((self.panes.shelf.clone(), self.panes.shelf.ticket(segment, range.clone())))
    }
}

/// Tickets of the panes of these shards that are not in memory.
pub(super) fn tickets(shards: &[Frozen]) -> Vec<(Place, u64)> {
    all(shards).filter_map(|(place, pane)| Some((place, pane.ticket()?))).collect()
}

/// The bytes that are needed of each segment.
fn live(records: &BTreeMap<Place, Record>) -> BTreeMap<u64, u64> {
    let mut live = BTreeMap::new();
    records.values().for_each(|record| *live.entry(record.segment).or_default() += record.bytes);
    live
}

fn all(shards: &[Frozen]) -> impl Iterator<Item = (Place, FrozenPane<'_>)> {
    let shards = shards.iter().zip(0u32..);
    shards.flat_map(|(shard, nth)| shard.panes().map(move |pane| ((nth, pane.id), pane)))
}

/// What stands before a record of so many bytes.
fn write_record_head((shard, pane): Place, bytes: usize, out: &mut Vec<u8>) {
    [shard, pane.series, pane.level].iter().for_each(|number| write_varint(u64::from(*number), out));
    out.extend_from_slice(&pane.start.0.to_le_bytes());
    write_varint(bytes as u64, out);
}

/// Which pane comes next, and the length of its record, behind which the reader is left.
fn read_record(r: &mut Reader<'_>) -> Result<(Place, usize), DecodeError> {
    let mut number = || u32::try_from(r.varint()?).map_err(|_| DecodeError::Invalid("number of a pane"));
    let (shard, series, level) = (number()?, number()?, number()?);
    let start = Time(r.i64()?);
    let bytes = usize::try_from(r.varint()?).map_err(|_| DecodeError::Truncated)?;
    r.bytes(bytes)?;
    Ok(((shard, PaneId { series, level, start }), bytes))
}

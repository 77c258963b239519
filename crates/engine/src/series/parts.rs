//! The bytes of series in parts: closed panes by themselves, the rest apart from them. Table in docs/FORMATS.md.
//!
//! A closed pane changes no more, but for corrections and for what gives way, so it is written once. It names groups by
//! their numbers: those of groups that come later are others, and one that is given anew has left every pane in memory
//! before; of panes that are not in memory the table of groups says when it did.

use super::{Pane, Rung, Series, Slot};
use crate::away::{Part, Size, Stored};
use crate::cell::{Cells, Expected};
use crate::freezable::Freezable;
use crate::groups::Order;
use crate::restore::{Gaps, Numbers, Room, WEIGHT_SUM_MAX, count};
use crate::shard::{PaneId, Records};
use crate::time::{Span, TIME_MAX, Time};
use sketch::codec::write_varint;
use sketch::{DecodeError, Outflow, Reader};
use std::sync::Arc;

/// Where the records of closed panes are.
pub(crate) struct Elsewhere<'a> {
    /// Finds them.
    pub records: &'a dyn Records,
    /// Number of the series.
    pub series: u32,
    /// By number: whether there is such a group.
    pub live: &'a [bool],
    /// Whether some of them were not in memory.
    pub spilled: bool,
    /// The last time that groups were let go.
    pub leavings: u64,
}

/// A closed pane that is written by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Closed<'a> {
    /// From memory.
    Here(&'a Arc<Pane>),
    /// As it was written when it left memory.
    Away(&'a Arc<Stored>),
}

impl Series {
    /// Totals, open panes, and which panes are closed; with `spilled` also what is known of those that are not in memory.
    pub(crate) fn send_open(&self, order: &Order, spilled: bool, out: &mut Outflow<'_>) {
        if let Some(cells) = &self.total {
            cells.send(order, out);
        }
        for rung in &self.ladder {
            let size = rung.level.size;
            out.bytes().extend_from_slice(&size.0.to_le_bytes());
            write_varint(rung.closed().count() as u64, out.bytes());
            let mut before: Option<Time> = None;
            for (start, _) in rung.closed() {
                match before {
                    None => out.bytes().extend_from_slice(&start.0.to_le_bytes()),
                    Some(before) => write_varint(((start.0 - before.0) / size.0 - 1) as u64, out.bytes()),
                }
                before = Some(*start);
            }
            if spilled {
                rung.send_away(order, out);
            }
            write_varint(rung.open().count() as u64, out.bytes());
            for (start, slot) in rung.open() {
                out.bytes().extend_from_slice(&start.0.to_le_bytes());
                slot.here.cells.send(order, out);
                slot.here.write_revisions(order, out.bytes());
            }
        }
    }

    /// What events do not decide of the same.
    pub(crate) fn send_open_history(&self, folded: u8, out: &mut Outflow<'_>) {
        self.send_history_of(folded, out, |rung, out| {
            // What came late for panes that are not in memory lies among what changes; without such, there is none.
            let late = rung.closed().filter(|(_, slot)| slot.away.is_some());
            late.chain(rung.open()).for_each(|(_, slot)| slot.here.cells.history(out.bytes()));
        });
    }

    /// The closed panes of a frozen series, with their levels.
    pub(crate) fn closed(&self) -> impl Iterator<Item = (u32, Time, Closed<'_>)> {
        self.ladder.iter().enumerate().flat_map(|(level, rung)| {
            rung.closed().map(move |(start, slot)| {
                let closed = match (slot.parts(), &slot.here) {
                    ([], Freezable::Frozen(pane)) => Closed::Here(pane),
                    ([], Freezable::Own(_)) => unreachable!("all panes of a frozen series are frozen"),
                    ([part, ..], _) => Closed::Away(&part.stored),
                };
                (level as u32, *start, closed)
            })
        })
    }

    /// Panes in several parts or of merged tables, which no commit can name: none of a shard that was gathered.
    pub(crate) fn is_gathered(&self) -> bool {
        let slots = self.ladder.iter().flat_map(|rung| rung.panes.values());
        slots.map(Slot::parts).all(|parts| parts.len() < 2 && parts.iter().all(|p| p.before.is_empty()))
    }
}

impl Rung {
    pub(super) fn closed(&self) -> impl Iterator<Item = (&Time, &Slot)> {
        self.panes.iter().take_while(|(start, _)| self.merged_up(**start))
    }

    pub(super) fn open(&self) -> impl Iterator<Item = (&Time, &Slot)> {
        self.panes.iter().skip_while(|(start, _)| self.merged_up(**start))
    }

    /// Which of the closed panes are not in memory, what is known of them, and what came late for them.
    fn send_away(&self, order: &Order, out: &mut Outflow<'_>) {
        write_varint(self.closed().filter(|(_, slot)| slot.away.is_some()).count() as u64, out.bytes());
        let mut gaps = Gaps::default();
        for (nth, (_, slot)) in self.closed().enumerate() {
            let Some(Part { stored, since, .. }) = slot.parts().first() else { continue };
            gaps.write(nth as u64, out.bytes());
            let Size { bytes, cells, weight } = stored.size;
            [*since, bytes, cells, weight].iter().for_each(|number| write_varint(*number, out.bytes()));
            slot.here.cells.send(order, out);
            slot.here.write_revisions(order, out.bytes());
        }
    }

    /// Takes in the panes that [`Series::send_open`] named.
    pub(super) fn restore_closed(
        &mut self,
        (r, h): (&mut Reader<'_>, &mut Reader<'_>),
        level: u32,
        order: &Order,
        expected: Expected<'_>,
        elsewhere: &Elsewhere<'_>,
        room: &mut Room,
    ) -> Result<(), DecodeError> {
        let panes = count(r, 1)?;
        room.take("panes", panes as u64, super::bytes::PANE_BYTES)?;
        let mut starts: Vec<Time> = Vec::new();
        for _ in 0..panes {
            let start = match starts.last() {
                None => super::bytes::pane_start(r, self.level.size)?,
                Some(before) => next_start(*before, self.level.size, r.varint()?)?,
            };
            if !self.merged_up(start) {
                return Err(DecodeError::Invalid("a pane that is not closed yet"));
            }
            starts.push(start);
        }
        let id = |start: Time| PaneId { series: elsewhere.series, level, start };
        if elsewhere.spilled {
            let away = count(r, 7)?;
            room.take("panes that are not in memory", away as u64, crate::away::PART_BYTES)?;
            let mut gaps = Gaps::default();
            for _ in 0..away {
                let start = starts[gaps.read(r, starts.len() as u64)? as usize];
                let slot = restore_away((r, h), id(start), order, expected, elsewhere, room)?;
                self.panes.insert(start, slot);
            }
        }
        for start in starts {
            if self.panes.contains_key(&start) {
                continue;
            }
            let record = elsewhere.records.find(id(start));
            let record = record.ok_or(DecodeError::Invalid("a closed pane is not there"))?;
            let pane = Pane::read(&record, Numbers::Live(elsewhere.live), expected, room)?;
            self.panes.insert(start, Slot { here: Freezable::Own(pane), away: None });
        }
        Ok(())
    }
}

/// A pane that is not in memory, and what came late for it.
fn restore_away(
    (r, h): (&mut Reader<'_>, &mut Reader<'_>),
    id: PaneId,
    order: &Order,
    expected: Expected<'_>,
    elsewhere: &Elsewhere<'_>,
    room: &mut Room,
) -> Result<Slot, DecodeError> {
    let since = r.varint()?;
    if since > elsewhere.leavings {
        return Err(DecodeError::Invalid("a pane that left memory later than now"));
    }
    let size = Size { bytes: r.varint()?, cells: r.varint()?, weight: r.varint()? };
    room.weigh(size.weight)?;
    let cells = Cells::restore(r, h, order, expected, room)?;
    let mut pane = Pane { cells, ..Pane::default() };
    pane.restore_revisions(r, order, room)?;
    let found = elsewhere.records.away(id);
    let (shelf, ticket) = found.ok_or(DecodeError::Invalid("a closed pane is not there"))?;
    let stored = Arc::new(Stored { shelf, ticket, size });
    let part = Part { stored, since, before: Vec::new() };
    Ok(Slot { here: Freezable::Own(pane), away: Some(Arc::from([part])) })
}

impl Pane {
    /// The pane by itself.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        self.cells.write(out);
        write_varint(self.revisions.len() as u64, out);
        let mut gaps = Gaps::default();
        for (group, revision) in &self.revisions {
            gaps.write(u64::from(*group), out);
            write_varint(*revision, out);
        }
    }

    /// Reads what [`Pane::write`] wrote, of groups with these numbers.
    pub(super) fn read(
        bytes: &[u8],
        numbers: Numbers<'_>,
        expected: Expected<'_>,
        room: &mut Room,
    ) -> Result<Pane, DecodeError> {
        let r = &mut Reader::new(bytes);
        let mut pane = Pane { cells: Cells::read(r, numbers, expected, room)?, ..Pane::default() };
        let revised = count(r, 2)?;
        room.take("revisions", revised as u64, super::bytes::REVISION_BYTES)?;
        let mut gaps = Gaps::default();
        for _ in 0..revised {
            let group = gaps.read_live(r, numbers)?;
            let revision = r.varint()?;
            if revision == 0 || revision > WEIGHT_SUM_MAX {
                return Err(DecodeError::Invalid("revision of a cell"));
            }
            room.weigh(revision)?;
            pane.revisions.insert(group, revision);
        }
        r.clone().finish()?;
        Ok(pane)
    }
}

fn next_start(before: Time, size: Span, gap: u64) -> Result<Time, DecodeError> {
    let panes = i64::try_from(gap).ok().and_then(|gap| gap.checked_add(1));
    let start = panes.and_then(|panes| panes.checked_mul(size.0)).and_then(|by| before.0.checked_add(by));
    let start = start.filter(|start| *start <= 2 * TIME_MAX);
    start.map(Time).ok_or(DecodeError::Invalid("start of a pane"))
}

//! The bytes of series in parts: closed panes by themselves, the rest apart from them. Table in docs/FORMATS.md.
//!
//! A closed pane changes no more, but for corrections and for what gives way, so it is written once. It names groups by
//! their numbers: those of groups that come later are others, and one that is given anew has left every pane before.

use super::{Pane, Rung, Series};
use crate::cell::{Cells, Expected};
use crate::freezable::Freezable;
use crate::groups::Order;
use crate::restore::{Gaps, Room, WEIGHT_SUM_MAX, count};
use crate::time::{Span, TIME_MAX, Time};
use sketch::codec::write_varint;
use sketch::{DecodeError, Reader};
use std::sync::Arc;

/// Where the records of closed panes are, given by the level and the start.
pub(crate) struct Elsewhere<'a> {
    /// Finds one.
    pub find: &'a dyn Fn(u32, Time) -> Option<&'a [u8]>,
    /// By number: whether there is such a group.
    pub live: &'a [bool],
}

impl Series {
    /// Totals, open panes, and which panes are closed.
    pub(crate) fn write_open(&self, order: &Order, out: &mut Vec<u8>) {
        if let Some(cells) = &self.total {
            cells.snapshot(order, out);
        }
        for rung in &self.ladder {
            let size = rung.level.size;
            out.extend_from_slice(&size.0.to_le_bytes());
            write_varint(rung.closed().count() as u64, out);
            let mut before: Option<Time> = None;
            for (start, _) in rung.closed() {
                match before {
                    None => out.extend_from_slice(&start.0.to_le_bytes()),
                    Some(before) => write_varint(((start.0 - before.0) / size.0 - 1) as u64, out),
                }
                before = Some(*start);
            }
            write_varint(rung.open().count() as u64, out);
            for (start, pane) in rung.open() {
                out.extend_from_slice(&start.0.to_le_bytes());
                pane.cells.snapshot(order, out);
                pane.snapshot_revisions(order, out);
            }
        }
    }

    /// What events do not decide of the same.
    pub(crate) fn write_open_history(&self, folded: u8, out: &mut Vec<u8>) {
        self.write_history(folded, Rung::open, out);
    }

    /// The closed panes of a frozen series, with their levels.
    pub(crate) fn closed(&self) -> impl Iterator<Item = (u32, Time, &Arc<Pane>)> {
        self.ladder.iter().enumerate().flat_map(|(level, rung)| {
            rung.closed().map(move |(start, pane)| match pane {
                Freezable::Frozen(pane) => (level as u32, *start, pane),
                Freezable::Own(_) => unreachable!("all panes of a frozen series are frozen"),
            })
        })
    }
}

impl Rung {
    pub(super) fn closed(&self) -> impl Iterator<Item = (&Time, &Freezable<Pane>)> {
        self.panes.iter().take_while(|(start, _)| self.merged_up(**start))
    }

    pub(super) fn open(&self) -> Box<dyn Iterator<Item = (&Time, &Freezable<Pane>)> + '_> {
        Box::new(self.panes.iter().skip_while(|(start, _)| self.merged_up(**start)))
    }

    /// Takes in the panes that [`Series::write_open`] named.
    pub(super) fn restore_closed(
        &mut self,
        r: &mut Reader<'_>,
        level: u32,
        expected: Expected<'_>,
        elsewhere: &Elsewhere<'_>,
        room: &mut Room,
    ) -> Result<(), DecodeError> {
        let panes = count(r, 1)?;
        room.take("panes", panes as u64, super::bytes::PANE_BYTES)?;
        for _ in 0..panes {
            let start = match self.panes.last_key_value() {
                None => super::bytes::pane_start(r, self.level.size)?,
                Some((before, _)) => next_start(*before, self.level.size, r.varint()?)?,
            };
            if !self.merged_up(start) {
                return Err(DecodeError::Invalid("a pane that is not closed yet"));
            }
            let record = (elsewhere.find)(level, start);
            let record = record.ok_or(DecodeError::Invalid("a closed pane is not there"))?;
            let pane = Pane::read(record, elsewhere.live, expected, room)?;
            self.panes.insert(start, Freezable::Own(pane));
        }
        Ok(())
    }
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

    /// Reads what [`Pane::write`] wrote.
    fn read(
        bytes: &[u8],
        live: &[bool],
        expected: Expected<'_>,
        room: &mut Room,
    ) -> Result<Pane, DecodeError> {
        let r = &mut Reader::new(bytes);
        let mut pane = Pane { cells: Cells::read(r, live, expected, room)?, ..Pane::default() };
        let revised = count(r, 2)?;
        room.take("revisions", revised as u64, super::bytes::REVISION_BYTES)?;
        let mut gaps = Gaps::default();
        for _ in 0..revised {
            let group = gaps.read_live(r, live)?;
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

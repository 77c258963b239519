//! Panes of a series that are not in memory: how they leave, and how their cells are read.

use super::{Pane, Rung, Series};
use crate::away::{PART_BYTES, Part, Shelf, Size, Stored, Table};
use crate::cell::{Cells, Expected};
use crate::freezable::Freezable;
use crate::groups::Groups;
use crate::restore::{Numbers, Room};
use crate::time::Time;
use sketch::Limits;
use std::borrow::Cow;
use std::sync::Arc;

/// A pane as it is kept.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// The pane; of one that has left memory what came since, and all of its revisions.
    pub here: Freezable<Pane>,
    /// Its cells outside of memory.
    pub away: Option<Arc<[Part]>>,
}

impl Slot {
    /// The parts that are not in memory.
    pub(crate) fn parts(&self) -> &[Part] {
        self.away.as_deref().unwrap_or(&[])
    }

    /// The slot as it is now, for others to read.
    pub(super) fn frozen(&mut self) -> Slot {
        Slot { here: self.here.frozen(), away: self.away.clone() }
    }

    /// The same for a reader more.
    pub(super) fn share(&self) -> Slot {
        Slot { here: self.here.share(), away: self.away.clone() }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.here.cells.memory_bytes() + size_of::<Pane>() + self.parts().len() * PART_BYTES
    }

    /// Takes in the records of the same pane of another shard.
    pub(super) fn take_parts(&mut self, theirs: &[Part], table: &Arc<Table>, since: u64) {
        if theirs.is_empty() {
            return;
        }
        let ours = self.parts().iter().cloned();
        self.away = Some(ours.chain(theirs.iter().map(|part| part.passed(table, since))).collect());
    }
}

/// The cells of a pane, wherever they are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Held<'p> {
    /// In memory.
    Here(&'p Cells),
    /// Some of them elsewhere.
    Away(&'p Series, &'p Groups, &'p Slot),
}

impl<'p> Held<'p> {
    /// The cells, read and put together where they are not in memory.
    pub(crate) fn cells(self) -> Cow<'p, Cells> {
        match self {
            Held::Here(cells) => Cow::Borrowed(cells),
            Held::Away(series, groups, slot) => series.cells_of(slot, groups),
        }
    }
}

/// The cells of panes. Where some are not in memory all are put together, one after the other, so that one of them is there
/// at a time.
pub(crate) fn together<'p>(panes: impl Iterator<Item = Held<'p>> + Clone) -> Vec<Cow<'p, Cells>> {
    if panes.clone().all(|held| matches!(held, Held::Here(_))) {
        return panes.map(Held::cells).collect();
    }
    let mut all = Cells::default();
    panes.for_each(|held| merge(&mut all, &held.cells()));
    vec![Cow::Owned(all)]
}

/// A closed pane that may leave memory. Panes leave in the order of this: the one that ended first, by series, the finest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Leaving {
    pub end: Time,
    pub set: usize,
    pub series: usize,
    pub level: usize,
    pub start: Time,
    /// What it frees.
    pub bytes: usize,
}

impl Series {
    /// The cells of a pane.
    pub(crate) fn held<'p>(&'p self, slot: &'p Slot, groups: &'p Groups) -> Held<'p> {
        match slot.away {
            None => Held::Here(&slot.here.cells),
            Some(_) => Held::Away(self, groups, slot),
        }
    }

    /// The same, put together.
    pub(crate) fn cells_of<'p>(&'p self, slot: &'p Slot, groups: &Groups) -> Cow<'p, Cells> {
        if slot.away.is_none() {
            return Cow::Borrowed(&slot.here.cells);
        }
        let read = slot.parts().iter().filter_map(|part| self.read_part(part, groups));
        let mut all = read.reduce(|mut all, more| {
            merge(&mut all, &more);
            all
        });
        let cells = all.get_or_insert_default();
        merge(cells, &slot.here.cells);
        Cow::Owned(std::mem::take(cells))
    }

    /// The cells of a record, by the groups of today; `None` when it cannot be had, which its shelf remembers.
    fn read_part(&self, part: &Part, groups: &Groups) -> Option<Cells> {
        let Stored { shelf, ticket, .. } = &*part.stored;
        let record = shelf.get(*ticket)?;
        let expected = Expected { measure: &self.asked, kind: self.kind, shown: &self.shown };
        let room = &mut Room::new(&Limits::bytes(usize::MAX));
        let Ok(pane) = Pane::read(&record, Numbers::Below(part.numbers(groups)), expected, room) else {
            shelf.is_damaged(*ticket);
            return None;
        };
        let mut cells = pane.cells;
        if cells.present().any(|(group, _)| part.now(group, groups) != group) {
            let mut now = Cells::default();
            for (group, cell) in cells.present() {
                now.get_mut(part.now(group, groups)).merge(cell);
            }
            cells = now;
        }
        if self.measure != self.asked {
            cells.iter_mut().for_each(|cell| cell.fold_down(&self.measure));
        }
        Some(cells)
    }

    /// The closed panes that may leave memory.
    pub(crate) fn may_leave(&self, set: usize, series: usize) -> impl Iterator<Item = Leaving> {
        self.ladder.iter().enumerate().flat_map(move |(level, rung)| {
            rung.closed().filter_map(move |(start, slot)| {
                let held = slot.here.cells.memory_bytes();
                let bytes = held.checked_sub(if slot.away.is_some() { 0 } else { PART_BYTES })?;
                let end = start.plus(rung.level.size);
                (bytes > 0).then_some(Leaving { end, set, series, level, start: *start, bytes })
            })
        })
    }

    /// Lets a pane leave memory, with what came late since it left the last time; whether that was so. `None` when it cannot
    /// be had or kept: then it stays as it is.
    pub(crate) fn let_leave(
        &mut self,
        (level, start): (usize, Time),
        groups: &Groups,
        shelf: &Arc<dyn Shelf>,
    ) -> Option<bool> {
        let slot = self.ladder[level].panes.get(&start)?;
        let again = slot.away.is_some();
        let readable = |part: &Part| part.stored.shelf.get(part.stored.ticket).is_some();
        if again && !slot.parts().iter().all(readable) {
            return None;
        }
        let cells = self.cells_of(slot, groups);
        let size = Size {
            bytes: cells.memory_bytes() as u64,
            cells: cells.present().count() as u64,
            weight: cells.present().map(|(_, cell)| cell.weight()).fold(0, u64::saturating_add),
        };
        let mut record = Vec::new();
        Pane { cells: cells.into_owned(), ..Pane::default() }.write(&mut record);
        let ticket = shelf.put(&record)?;
        let stored = Arc::new(Stored { shelf: Arc::clone(shelf), ticket, size });
        let part = Part { stored, since: groups.leavings(), before: Vec::new() };
        let slot = self.ladder[level].panes.get_mut(&start)?;
        let revisions = slot.here.revisions.clone();
        slot.here = Freezable::Own(Pane { revisions, ..Pane::default() });
        slot.away = Some(Arc::from([part]));
        Some(again)
    }

    /// Makes one record of each pane that is made of several, or whose groups were merged into another table.
    pub(crate) fn gather(&mut self, groups: &Groups, shelf: &Arc<dyn Shelf>) {
        let apart = |slot: &Slot| slot.parts().iter().any(|part| !part.before.is_empty());
        for level in 0..self.ladder.len() {
            let panes = self.ladder[level].panes.iter().filter(|(_, slot)| apart(slot));
            let starts: Vec<Time> = panes.map(|(start, _)| *start).collect();
            for start in starts {
                let _ = self.let_leave((level, start), groups, shelf);
            }
        }
    }

    /// Panes that are not in memory, with what is known of them.
    pub(crate) fn away(&self) -> impl Iterator<Item = Size> {
        let slots = self.ladder.iter().flat_map(|rung: &Rung| rung.panes.values());
        slots.filter(|slot| slot.away.is_some()).map(|slot| {
            slot.parts().iter().fold(Size::default(), |sum, part| {
                let Size { bytes, cells, weight } = part.stored.size;
                Size {
                    bytes: sum.bytes.saturating_add(bytes),
                    cells: sum.cells.saturating_add(cells),
                    weight: sum.weight.saturating_add(weight),
                }
            })
        })
    }
}

/// Takes in cells of the same groups.
pub(crate) fn merge(into: &mut Cells, from: &Cells) {
    for (group, cell) in from.present() {
        into.get_mut(group).merge(cell);
    }
}

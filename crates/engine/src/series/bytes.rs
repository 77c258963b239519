//! The bytes of series. Table in docs/FORMATS.md.

use super::parts::Elsewhere;
use super::{Pane, Rung, Series, Slot};
use crate::cell::{Cell, Cells, Expected, half};
use crate::freezable::Freezable;
use crate::groups::{Groups, Order};
use crate::restore::{Gaps, Room, WEIGHT_SUM_MAX, count};
use crate::time::{Span, TIME_MAX, Time};
use sketch::codec::write_varint;
use sketch::{DecodeError, Outflow, Reader};

impl Series {
    /// Canonical bytes: totals, then panes by level and start; groups in the order of their keys, the other one last.
    pub(crate) fn send(&self, groups: &Groups, order: &Order, out: &mut Outflow<'_>) {
        if let Some(cells) = &self.total {
            cells.send(order, out);
        }
        for rung in &self.ladder {
            out.bytes().extend_from_slice(&rung.level.size.0.to_le_bytes());
            write_varint(rung.panes.len() as u64, out.bytes());
            for (start, slot) in &rung.panes {
                out.bytes().extend_from_slice(&start.0.to_le_bytes());
                self.cells_of(slot, groups).send(order, out);
                slot.here.write_revisions(order, out.bytes());
            }
        }
    }

    /// What events do not decide: precision that gave way, panes that were dropped, pages of cells.
    pub(crate) fn send_history(&self, folded: u8, groups: &Groups, out: &mut Outflow<'_>) {
        self.send_history_of(folded, out, |rung, out| {
            rung.panes.values().for_each(|slot| self.cells_of(slot, groups).history(out.bytes()));
        });
    }

    /// The same, where the history of panes is written otherwise.
    pub(super) fn send_history_of(
        &self,
        folded: u8,
        out: &mut Outflow<'_>,
        panes: impl Fn(&Rung, &mut Outflow<'_>),
    ) {
        out.bytes().push(folded);
        if let Some(cells) = &self.total {
            cells.history(out.bytes());
        }
        for rung in &self.ladder {
            out.bytes().extend_from_slice(&rung.kept_from.map_or(i64::MIN, |t| t.0).to_le_bytes());
            out.bytes().extend_from_slice(&rung.dropped.to_le_bytes());
            panes(rung, out);
            out.ease();
        }
    }

    /// How often the sketches of this series were folded to half of what `asked` has.
    pub(crate) fn folded(&self, asked: &Series) -> u8 {
        let (mut measure, mut folded) = (asked.measure.clone(), 0);
        while measure != self.measure
            && let Some(smaller) = half(&measure)
        {
            measure = smaller;
            folded += 1;
        }
        folded
    }

    /// What merging adds up.
    pub(crate) fn weight(&self) -> u64 {
        let cells = self.cells().map(Cell::weight);
        let away = self.away().map(|size| size.weight);
        let slots = self.ladder.iter().flat_map(|rung| rung.panes.values());
        let revisions = slots.flat_map(|slot| slot.here.revisions.values().copied());
        let dropped = self.ladder.iter().map(|rung| rung.dropped);
        cells.chain(away).chain(revisions).chain(dropped).fold(0, u64::saturating_add)
    }

    /// Reads what [`Series::snapshot`] wrote to `r` and [`Series::history`] to `h`, into a series that is empty; with closed
    /// panes elsewhere, what [`Series::write_open`] and [`Series::write_open_history`] wrote.
    pub(crate) fn restore(
        &mut self,
        r: &mut Reader<'_>,
        h: &mut Reader<'_>,
        order: &Order,
        watermark: Option<Time>,
        elsewhere: Option<&Elsewhere<'_>>,
        room: &mut Room,
    ) -> Result<(), DecodeError> {
        let measure = self.measure.clone();
        let shown = self.shown.clone();
        let expected = Expected { measure: &measure, kind: self.kind, shown: &shown };
        for _ in 0..h.u8()? {
            self.measure = half(&self.measure).ok_or(DecodeError::Invalid("folded too far"))?;
        }
        if let Some(cells) = &mut self.total {
            *cells = Freezable::Own(Cells::restore(r, h, order, expected, room)?);
        }
        for (level, rung) in self.ladder.iter_mut().enumerate() {
            rung.closed_to = watermark;
            rung.restore_head(r, h, room)?;
            if let Some(elsewhere) = elsewhere {
                rung.restore_closed((r, h), level as u32, order, expected, elsewhere, room)?;
            }
            rung.restore(r, h, order, expected, elsewhere.is_some(), room)?;
        }
        Ok(())
    }
}

impl Rung {
    fn restore_head(
        &mut self,
        r: &mut Reader<'_>,
        h: &mut Reader<'_>,
        room: &mut Room,
    ) -> Result<(), DecodeError> {
        if r.i64()? != self.level.size.0 {
            return Err(DecodeError::Invalid("panes of another length"));
        }
        self.kept_from = optional_time(h)?;
        self.dropped = h.u64()?;
        room.weigh(self.dropped)
    }

    /// The panes at hand: all of them, or only open ones.
    fn restore(
        &mut self,
        r: &mut Reader<'_>,
        h: &mut Reader<'_>,
        order: &Order,
        expected: Expected<'_>,
        open: bool,
        room: &mut Room,
    ) -> Result<(), DecodeError> {
        let panes = count(r, PANE_BYTES_MIN)?;
        room.take("panes", panes as u64, PANE_BYTES)?;
        for _ in 0..panes {
            let start = pane_start(r, self.level.size)?;
            if self.panes.last_key_value().is_some_and(|(before, _)| *before >= start) {
                return Err(DecodeError::Invalid("panes do not ascend"));
            }
            if open && self.merged_up(start) {
                return Err(DecodeError::Invalid("a closed pane among the open ones"));
            }
            let cells = Cells::restore(r, h, order, expected, room)?;
            let mut pane = Pane { cells, ..Pane::default() };
            pane.restore_revisions(r, order, room)?;
            self.panes.insert(start, Slot { here: Freezable::Own(pane), away: None });
        }
        Ok(())
    }
}

impl Pane {
    pub(super) fn write_revisions(&self, order: &Order, out: &mut Vec<u8>) {
        write_varint(self.revisions.len() as u64, out);
        let mut gaps = Gaps::default();
        for (place, group) in order.groups.iter().enumerate() {
            if let Some(revision) = self.revisions.get(group) {
                gaps.write(place as u64, out);
                write_varint(*revision, out);
            }
        }
    }

    pub(super) fn restore_revisions(
        &mut self,
        r: &mut Reader<'_>,
        order: &Order,
        room: &mut Room,
    ) -> Result<(), DecodeError> {
        let revised = count(r, 2)?;
        room.take("revisions", revised as u64, REVISION_BYTES)?;
        let mut gaps = Gaps::default();
        for _ in 0..revised {
            let group = order.groups[gaps.read(r, order.groups.len() as u64)? as usize];
            let revision = r.varint()?;
            if revision == 0 || revision > WEIGHT_SUM_MAX {
                return Err(DecodeError::Invalid("revision of a cell"));
            }
            room.weigh(revision)?;
            self.revisions.insert(group, revision);
        }
        Ok(())
    }
}

/// Start, number of cells, number of revisions.
const PANE_BYTES_MIN: usize = 8 + 1 + 1;
/// A pane in its tree, roughly.
pub(super) const PANE_BYTES: usize = 2 * (size_of::<Pane>() + size_of::<Time>());
/// A revision in its tree, roughly.
pub(super) const REVISION_BYTES: usize = 32;

/// A time, or none.
pub(crate) fn optional_time(r: &mut Reader<'_>) -> Result<Option<Time>, DecodeError> {
    match r.i64()? {
        i64::MIN => Ok(None),
        // On the grain of panes: up to one of them further out than events are.
        micros if (-2 * TIME_MAX..=2 * TIME_MAX).contains(&micros) => Ok(Some(Time(micros))),
        _ => Err(DecodeError::Invalid("a time beyond all events")),
    }
}

pub(super) fn pane_start(r: &mut Reader<'_>, size: Span) -> Result<Time, DecodeError> {
    match optional_time(r)? {
        Some(start) if start.floor_to(size) == start => Ok(start),
        _ => Err(DecodeError::Invalid("start of a pane")),
    }
}

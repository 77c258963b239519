//! The bytes of cells. Table in docs/FORMATS.md.
//!
//! A cell is only taken back as what its metric's measure makes: another sketch, or one of other parameters, is refused.
//! Coarser than asked for is fine where the sketch folds, because memory may have made it so.

use super::{Cell, Cells, LG_K_FLOOR, LG_WIDTH_FLOOR, PAGE};
use crate::groups::{Order, is_value};
use crate::restore::{Gaps, Numbers, Room, count};
use crate::spec::{Kind, Measure};
use sketch::codec::write_varint;
use sketch::countmin::Freq;
use sketch::exact::Moments;
use sketch::frequent::Counters;
use sketch::histogram::Histogram;
use sketch::hll::Distinct;
use sketch::quantile::Quantiles;
use sketch::sample::Sample;
use sketch::theta::Theta;
use sketch::{DecodeError, Outflow, Reader};

/// First byte of a count; sketches begin with their own kind (`sketch::codec::kind`).
const COUNT_TAG: u8 = 128;

/// What the cells of a series must be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    /// The measure as the spec has it.
    pub measure: &'a Measure,
    /// The type of the field it reads.
    pub kind: Option<Kind>,
    /// The types of the columns that a sample shows.
    pub shown: &'a [Kind],
}

impl Cell {
    /// Canonical bytes: a tag, then the snapshot of the sketch (docs/FORMATS.md).
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        match self {
            Cell::Empty => out.push(0),
            Cell::Count(n) => {
                out.push(COUNT_TAG);
                out.extend_from_slice(&n.to_le_bytes());
            }
            Cell::Moments(x) => x.snapshot(out),
            Cell::Unique(x) => x.snapshot(out),
            Cell::Freq(x) => x.snapshot(out),
            Cell::Top(x) => x.snapshot(out),
            Cell::Quantiles(x) => x.snapshot(out),
            Cell::Histogram(x) => x.snapshot(out),
            Cell::Audience(x) => x.snapshot(out),
            Cell::Sample(x) => x.snapshot(out),
        }
    }

    /// Reads a cell that is not empty.
    pub(crate) fn restore(
        r: &mut Reader<'_>,
        expected: Expected<'_>,
        room: &mut Room,
    ) -> Result<Cell, DecodeError> {
        let limits = room.limits();
        let cell = match Cell::new(expected.measure, expected.kind) {
            Cell::Empty => return Err(DecodeError::Invalid("an empty cell")),
            Cell::Count(_) if r.u8()? == COUNT_TAG => Cell::Count(r.u64()?),
            Cell::Count(_) => return Err(DecodeError::Invalid("not a count")),
            Cell::Moments(_) => Cell::Moments(Box::new(Moments::restore(r, &limits)?)),
            Cell::Unique(_) => Cell::Unique(Box::new(Distinct::restore(r, &limits)?)),
            Cell::Freq(_) => Cell::Freq(Box::new(Freq::restore(r, &limits)?)),
            Cell::Top(_) => Cell::Top(Box::new(Counters::restore(r, &limits)?)),
            Cell::Quantiles(_) => Cell::Quantiles(Box::new(Quantiles::restore(r, &limits)?)),
            Cell::Histogram(_) => Cell::Histogram(Box::new(Histogram::restore(r, &limits)?)),
            Cell::Audience(_) => Cell::Audience(Box::new(Theta::restore(r, &limits)?)),
            Cell::Sample(_) => Cell::Sample(Box::new(Sample::restore(r, &limits)?)),
        };
        room.take("bytes of state", cell.memory_bytes() as u64, 1)?;
        room.weigh(cell.weight())?;
        if !cell.may_come_from(expected) {
            return Err(DecodeError::Invalid("a sketch with other parameters than the metric has"));
        }
        Ok(cell)
    }

    /// Whether the measure makes such a cell, or folding makes it of one.
    fn may_come_from(&self, expected: Expected<'_>) -> bool {
        let coarser = |own: u8, asked: u8, floor: u8| own == asked || (own < asked && own >= floor);
        match (self, Cell::new(expected.measure, expected.kind)) {
            (Cell::Count(_), Cell::Count(_)) => true,
            (Cell::Moments(a), Cell::Moments(b)) => a.number() == b.number() && a.parts() == b.parts(),
            (Cell::Unique(a), Cell::Unique(b)) => coarser(a.lg_k().get(), b.lg_k().get(), LG_K_FLOOR),
            (Cell::Audience(a), Cell::Audience(b)) => coarser(a.lg_k().get(), b.lg_k().get(), LG_K_FLOOR),
            (Cell::Freq(a), Cell::Freq(b)) => {
                let same = a.depth() == b.depth() && a.hot().slots() == b.hot().slots();
                same && coarser(a.lg_width(), b.lg_width(), LG_WIDTH_FLOOR)
            }
            (Cell::Top(a), Cell::Top(b)) => a.slots() == b.slots(),
            (Cell::Quantiles(a), Cell::Quantiles(b)) => a.bits() == b.bits(),
            (Cell::Histogram(a), Cell::Histogram(b)) => a.bounds() == b.bounds(),
            (Cell::Sample(a), Cell::Sample(b)) => {
                let whole = |payload: &[u8]| {
                    let mut rest = payload;
                    expected.shown.iter().all(|kind| is_value(&mut rest, *kind)) && rest.is_empty()
                };
                a.k() == b.k() && a.rows().iter().all(|row| whole(&row.payload))
            }
            (_, _) => false,
        }
    }

    /// What adds up when cells are merged.
    pub(crate) fn weight(&self) -> u64 {
        match self {
            Cell::Empty | Cell::Unique(_) | Cell::Audience(_) => 0,
            Cell::Count(n) => *n,
            Cell::Moments(x) => x.count().saturating_add(x.nonfinite()),
            Cell::Freq(x) => x.total(),
            Cell::Top(x) => x.total(),
            Cell::Quantiles(x) => x.count().saturating_add(x.nonfinite()),
            Cell::Histogram(x) => x.count().saturating_add(x.nonfinite()),
            Cell::Sample(x) => x.seen(),
        }
    }
}

impl Cells {
    /// Canonical bytes: the cells that are not empty, by their place in `order`.
    pub(crate) fn send(&self, order: &Order, out: &mut Outflow<'_>) {
        let present =
            || order.groups.iter().enumerate().filter(|(_, g)| !matches!(self.get(**g), Cell::Empty));
        write_varint(present().count() as u64, out.bytes());
        let mut gaps = Gaps::default();
        for (place, group) in present() {
            gaps.write(place as u64, out.bytes());
            self.get(*group).snapshot(out.bytes());
            out.ease();
        }
    }

    /// What events do not decide: pages that were made for cells which are gone.
    pub(crate) fn history(&self, out: &mut Vec<u8>) {
        let empty = |page: &Option<Box<[Cell; PAGE]>>| {
            page.as_ref().is_some_and(|page| page.iter().all(|cell| matches!(cell, Cell::Empty)))
        };
        let gone = || self.pages.iter().enumerate().filter(|(_, page)| empty(page));
        write_varint(gone().count() as u64, out);
        let mut gaps = Gaps::default();
        gone().for_each(|(page, _)| gaps.write(page as u64, out));
    }

    /// Reads what [`Cells::send`] wrote to `r` and [`Cells::history`] to `h`;
    /// `order` holds the groups in the order of their keys.
    pub(crate) fn restore(
        r: &mut Reader<'_>,
        h: &mut Reader<'_>,
        order: &Order,
        expected: Expected<'_>,
        room: &mut Room,
    ) -> Result<Cells, DecodeError> {
        let mut cells = Cells::default();
        let mut gaps = Gaps::default();
        for _ in 0..count(r, 2)? {
            let group = order.groups[gaps.read(r, order.groups.len() as u64)? as usize];
            let cell = Cell::restore(r, expected, room)?;
            cells.make_page(group as usize / PAGE, room)?;
            *cells.get_mut(group) = cell;
        }
        cells.restore_pages(h, order.numbers, room)?;
        Ok(cells)
    }

    /// The cells by themselves: those that are not empty by the numbers of their groups, and the pages of those that are
    /// gone.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write_varint(self.present().count() as u64, out);
        let mut gaps = Gaps::default();
        for (group, cell) in self.present() {
            gaps.write(u64::from(group), out);
            cell.snapshot(out);
        }
        self.history(out);
    }

    /// Reads what [`Cells::write`] wrote, of groups with these numbers.
    pub(crate) fn read(
        r: &mut Reader<'_>,
        numbers: Numbers<'_>,
        expected: Expected<'_>,
        room: &mut Room,
    ) -> Result<Cells, DecodeError> {
        let mut cells = Cells::default();
        let mut gaps = Gaps::default();
        for _ in 0..count(r, 2)? {
            let group = gaps.read_live(r, numbers)?;
            let cell = Cell::restore(r, expected, room)?;
            cells.make_page(group as usize / PAGE, room)?;
            *cells.get_mut(group) = cell;
        }
        cells.restore_pages(r, numbers.end(), room)?;
        Ok(cells)
    }

    /// Pages of cells that are gone, of so many numbers of groups.
    fn restore_pages(
        &mut self,
        h: &mut Reader<'_>,
        numbers: usize,
        room: &mut Room,
    ) -> Result<(), DecodeError> {
        let mut gaps = Gaps::default();
        for _ in 0..count(h, 1)? {
            let page = gaps.read(h, numbers.div_ceil(PAGE) as u64)? as usize;
            if self.pages.get(page).is_some_and(Option::is_some) {
                return Err(DecodeError::Invalid("a page that is there twice"));
            }
            self.make_page(page, room)?;
        }
        Ok(())
    }

    fn make_page(&mut self, page: usize, room: &mut Room) -> Result<(), DecodeError> {
        if self.pages.get(page).is_none_or(Option::is_none) {
            let longer = (page + 1).saturating_sub(self.pages.len());
            room.take("pages of cells", longer as u64, size_of::<usize>())?;
            room.take("pages of cells", 1, size_of::<[Cell; PAGE]>())?;
            self.grow(page);
        }
        Ok(())
    }
}

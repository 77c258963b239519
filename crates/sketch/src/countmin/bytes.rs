//! Snapshots of [`CountMin`] and [`Freq`]. Tables in docs/FORMATS.md.
//!
//! Counters are written as variable-length integers and runs of zeros as their length, so a sketch that saw little is
//! small on disk although it is not in memory.

use super::freq::Freq;
use super::{Cells, CountMin};
use crate::codec::{DecodeError, Limits, Reader, expect_head, kind, write_varint};
use crate::frequent::Counters;

const VERSION: u8 = 1;

impl CountMin {
    /// Appends the snapshot: lossless and canonical. O(depth · width).
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        debug_assert!(self.is_sound());
        out.extend_from_slice(&[kind::COUNT_MIN, VERSION, self.lg_width, self.depth]);
        out.extend_from_slice(&self.total.to_le_bytes());
        match &self.cells {
            Cells::Narrow(cells) => write_cells(cells.iter().map(|&cell| u64::from(cell)), out),
            Cells::Wide(cells) => write_cells(cells.iter().copied(), out),
        }
    }

    /// Reads a snapshot back. A few bytes may declare a large sketch, so its counters are refused before they are
    /// allocated when they take more than the limit.
    ///
    /// # Errors
    /// On anything that [`CountMin::snapshot`] does not write.
    pub fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<CountMin, DecodeError> {
        expect_head(r, kind::COUNT_MIN, VERSION, "not a count-min of version 1")?;
        let (lg_width, depth) = (r.u8()?, r.u8()?);
        check_size(lg_width, depth, limits)?;
        let total = r.u64()?;
        let cells = usize::from(depth) << lg_width;
        let cells = if total > u64::from(u32::MAX) {
            limits.allow("counters", cells as u64, size_of::<u64>())?;
            Cells::Wide(read_cells(r, cells, Some)?)
        } else {
            Cells::Narrow(read_cells(r, cells, |value| u32::try_from(value).ok())?)
        };
        let sketch = CountMin { cells, lg_width, depth, total };
        if sketch.is_sound() { Ok(sketch) } else { Err(DecodeError::Invalid("rows do not sum to the total")) }
    }
}

impl Freq {
    /// Appends the snapshot: lossless and canonical.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[kind::FREQ, VERSION, self.lg_width(), self.depth()]);
        self.hot().snapshot(out);
        if let Some(cold) = self.cold() {
            cold.snapshot(out);
        }
    }

    /// Reads a snapshot back. The limit bounds the hot table and the counters, each.
    ///
    /// # Errors
    /// On anything that [`Freq::snapshot`] does not write.
    pub fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<Freq, DecodeError> {
        expect_head(r, kind::FREQ, VERSION, "not a freq of version 1")?;
        let (lg_width, depth) = (r.u8()?, r.u8()?);
        check_size(lg_width, depth, limits)?;
        let hot = Counters::restore(r, limits)?;
        let cold = if hot.is_exact() { None } else { Some(CountMin::restore(r, limits)?) };
        Freq::from_parts(lg_width, depth, hot, cold).ok_or(DecodeError::Invalid("hot and cold part disagree"))
    }
}

fn check_size(lg_width: u8, depth: u8, limits: &Limits) -> Result<(), DecodeError> {
    if !CountMin::is_valid(lg_width, depth) {
        return Err(DecodeError::Invalid("count-min width or depth"));
    }
    limits.allow("counters", u64::from(depth) << lg_width, size_of::<u32>())
}

/// Each counter as a varint; zeros as a 0 and the length of their run.
pub(crate) fn write_cells(cells: impl Iterator<Item = u64>, out: &mut Vec<u8>) {
    let mut zeros = 0u64;
    for cell in cells {
        if cell == 0 {
            zeros += 1;
            continue;
        }
        write_zeros(&mut zeros, out);
        write_varint(cell, out);
    }
    write_zeros(&mut zeros, out);
}

fn write_zeros(zeros: &mut u64, out: &mut Vec<u8>) {
    if *zeros > 0 {
        out.push(0);
        write_varint(*zeros, out);
        *zeros = 0;
    }
}

pub(crate) fn read_cells<T: Copy + Default>(
    r: &mut Reader<'_>,
    cells: usize,
    narrow: impl Fn(u64) -> Option<T>,
) -> Result<Vec<T>, DecodeError> {
    let mut out = vec![T::default(); cells];
    let (mut at, mut after_zeros) = (0, false);
    while at < cells {
        let value = r.varint()?;
        if value > 0 {
            out[at] = narrow(value).ok_or(DecodeError::Invalid("a counter beyond the total"))?;
            (at, after_zeros) = (at + 1, false);
            continue;
        }
        let run = r.varint()?;
        if after_zeros || run == 0 || run > (cells - at) as u64 {
            return Err(DecodeError::Invalid("run of zeros"));
        }
        (at, after_zeros) = (at + run as usize, true);
    }
    Ok(out)
}

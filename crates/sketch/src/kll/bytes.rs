//! The own snapshot of a KLL sketch: lossless, the coin included. Table in docs/FORMATS.md.

use super::levels::{LEVELS_MAX, Levels, capacity_of};
use super::value::{read_keys, write_keys};
use super::{BASE, Coin, K, Kll, Value};
use crate::codec::{DecodeError, Limits, Reader, expect_head, kind};

const VERSION: u8 = 1;

impl<T: Value> Kll<T> {
    /// Appends the snapshot: canonical, and enough to go on as if nothing had happened.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        debug_assert_eq!(self.check(), Ok(()));
        out.extend_from_slice(&[kind::KLL, VERSION, T::TAG]);
        out.extend_from_slice(&self.levels.k().to_le_bytes());
        out.extend_from_slice(&self.min_k.to_le_bytes());
        out.extend_from_slice(&self.coin.0.to_le_bytes());
        out.extend_from_slice(&self.nans.to_le_bytes());
        out.push(self.levels.count() as u8);
        out.extend_from_slice(&(self.base.len() as u32).to_le_bytes());
        for row in self.levels.rows() {
            out.extend_from_slice(&(row.len() as u32).to_le_bytes());
        }
        if !self.is_exact() {
            let (min, max) = self.extremes();
            write_keys::<T>(&[min, max], out);
        }
        write_keys::<T>(&self.sorted_base(), out);
        write_keys::<T>(self.levels.rows().flatten(), out);
    }

    /// Reads a snapshot back and leaves the reader behind it. Survives any bytes and allocates in proportion to them;
    /// `limits` bounds what the sketch may hold at its number of levels.
    ///
    /// # Errors
    /// On anything that [`Kll::snapshot`] does not write.
    pub fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<Kll<T>, DecodeError> {
        expect_head(r, kind::KLL, VERSION, "not a KLL sketch of version 1")?;
        if r.u8()? != T::TAG {
            return Err(DecodeError::Invalid("kll: values of another type"));
        }
        let (k, min_k, coin, nans) = (r.u16()?, r.u16()?, Coin(r.u64()?), r.u64()?);
        let levels = usize::from(r.u8()?);
        let capacity = check_head(k, min_k, levels, limits)?;
        let base_len = r.u32()? as usize;
        let mut lens = Vec::with_capacity(levels - 1);
        for _ in 1..levels {
            lens.push(r.u32()? as usize);
        }
        // A sum of 61 numbers of 32 bits.
        if base_len > capacity || lens.iter().sum::<usize>() > 2 * capacity || lens.last() == Some(&0) {
            return Err(DecodeError::Invalid("kll: sizes of levels"));
        }
        let extremes = if levels == 1 { None } else { Some(read_canonical::<T>(r, 2)?) };
        let base = read_canonical::<T>(r, base_len)?;
        if !base.is_sorted() {
            return Err(DecodeError::Invalid("kll: the base is out of order"));
        }
        let keys = read_canonical::<T>(r, lens.iter().sum())?;
        let mut sketch = Kll::of_parts(min_k, coin, base, Levels::of_rows(k, &lens, keys));
        sketch.nans = nans;
        sketch.checked(extremes.as_deref())
    }
}

/// Refuses sizes that no writer has or that are beyond the limits. Returns the capacity.
pub(super) fn check_head(k: u16, min_k: u16, levels: usize, limits: &Limits) -> Result<usize, DecodeError> {
    if k < K::MIN.0 || !(K::MIN.0..=k).contains(&min_k) {
        return Err(DecodeError::Invalid("kll: k"));
    }
    if !(1..=LEVELS_MAX).contains(&levels) {
        return Err(DecodeError::Invalid("kll: number of levels"));
    }
    let capacity = capacity_of(k, levels);
    limits.allow("values of a KLL sketch", (capacity + BASE) as u64, size_of::<i64>())?;
    Ok(capacity)
}

/// Values as keys, each in its one spelling: zero has no sign.
fn read_canonical<T: Value>(r: &mut Reader<'_>, count: usize) -> Result<Vec<i64>, DecodeError> {
    let mut at_hand = r.clone();
    let keys = read_keys::<T>(r, count)?;
    let mut again = Vec::with_capacity(count * T::BYTES);
    write_keys::<T>(&keys, &mut again);
    if again != at_hand.bytes(count * T::BYTES)? {
        return Err(DecodeError::Invalid("kll: a negative zero"));
    }
    Ok(keys)
}

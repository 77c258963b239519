//! KLL images of Apache DataSketches: compact, serial versions 1 and 2. Table in docs/FORMATS.md.

use super::bytes::check_head;
use super::levels::{Levels, WIDTH_MIN, capacity_at};
use super::value::{read_keys, write_keys};
use super::{Coin, Kll, Value};
use crate::codec::{DecodeError, Limits, Reader};

/// Constants of the KLL formats in DataSketches (its KllPreambleUtil).
mod ds {
    pub const FAMILY_KLL: u8 = 15;
    /// Of empty and full images.
    pub const SERIAL_VERSION: u8 = 1;
    /// Of images of a single value.
    pub const SERIAL_VERSION_SINGLE: u8 = 2;
    /// Preamble in words of 4 bytes, of empty images and those of a single value.
    pub const PREAMBLE_SHORT: u8 = 2;
    pub const PREAMBLE_FULL: u8 = 5;
    pub const EMPTY: u8 = 1;
    pub const LEVEL_ZERO_SORTED: u8 = 2;
    pub const SINGLE: u8 = 4;
}

impl<T: Value> Kll<T> {
    /// The compact image that Apache DataSketches reads in Java, C++, Python, Go and Rust as a sketch of doubles (`f64`),
    /// floats (`f32`) or longs (`i64`), and Spark in its `kll_*` functions. The format says nowhere which of them it is, and has
    /// no room for the coin and for NaN counted.
    ///
    /// While exact nothing is lost. After that levels may be compacted once more, as there is less room over there. O(k).
    pub fn to_datasketches(&self) -> Vec<u8> {
        let mut fitted = self.clone();
        fitted.fit_to_wire();
        fitted.write_image()
    }

    /// Compacts until all levels with the base are within the capacity that DataSketches gives them.
    fn fit_to_wire(&mut self) {
        while self.retained() > self.levels.capacity() {
            let base_max = capacity_at(self.levels.k(), self.levels.count() - 1);
            if self.base.len() >= base_max {
                self.lift();
            } else if !self.levels.compact_lowest(&mut self.coin) {
                break;
            }
        }
    }

    fn write_image(&self) -> Vec<u8> {
        let n = self.count();
        let (preamble, version, flags) = match n {
            0 => (ds::PREAMBLE_SHORT, ds::SERIAL_VERSION, ds::EMPTY),
            1 => (ds::PREAMBLE_SHORT, ds::SERIAL_VERSION_SINGLE, ds::SINGLE),
            _ => (ds::PREAMBLE_FULL, ds::SERIAL_VERSION, ds::LEVEL_ZERO_SORTED),
        };
        let mut out = vec![preamble, version, ds::FAMILY_KLL, flags];
        out.extend_from_slice(&self.levels.k().to_le_bytes());
        out.extend_from_slice(&[WIDTH_MIN as u8, 0]);
        let base = self.sorted_base();
        if n > 1 {
            out.extend_from_slice(&n.to_le_bytes());
            out.extend_from_slice(&self.min_k.to_le_bytes());
            out.extend_from_slice(&[self.levels.count() as u8, 0]);
            // Positions in an array of all capacities whose end is filled.
            let mut start = self.levels.capacity() - self.retained();
            for len in std::iter::once(base.len()).chain(self.levels.rows().map(<[i64]>::len)) {
                out.extend_from_slice(&(start as u32).to_le_bytes());
                start += len;
            }
            let (min, max) = self.extremes();
            write_keys::<T>(&[min, max], &mut out);
        }
        write_keys::<T>(&base, &mut out);
        write_keys::<T>(self.levels.rows().flatten(), &mut out);
        out
    }

    /// Takes in a compact image, whole, as a sketch whose coin has this seed. Nothing is lost. Survives any bytes and
    /// allocates in proportion to them.
    ///
    /// Take the type that the writer had: an image of another one is refused only where its length or its values do
    /// not fit.
    ///
    /// # Errors
    /// Other bytes, a smallest level width other than 8, NaN, sizes beyond `limits`, or more than 2^62 values.
    pub fn from_datasketches(image: &[u8], seed: u64, limits: &Limits) -> Result<Kll<T>, DecodeError> {
        let r = &mut Reader::new(image);
        let (preamble, version, family, flags) = (r.u8()?, r.u8()?, r.u8()?, r.u8()?);
        let (k, width, _) = (r.u16()?, r.u8()?, r.u8()?);
        if family != ds::FAMILY_KLL {
            return Err(DecodeError::Invalid("not a KLL image"));
        }
        if usize::from(width) != WIDTH_MIN {
            return Err(DecodeError::Invalid("kll image: smallest level width"));
        }
        check_head(k, k, 1, limits)?;
        let sketch = match (flags & (ds::EMPTY | ds::SINGLE), preamble, version) {
            (ds::EMPTY, ds::PREAMBLE_SHORT, ds::SERIAL_VERSION) => {
                Kll::of_parts(k, Coin(seed), Vec::new(), Levels::new(k))
            }
            (ds::SINGLE, ds::PREAMBLE_SHORT, ds::SERIAL_VERSION_SINGLE) => {
                Kll::of_parts(k, Coin(seed), read_keys::<T>(r, 1)?, Levels::new(k))
            }
            (0, ds::PREAMBLE_FULL, ds::SERIAL_VERSION) => read_full(r, k, Coin(seed), limits)?,
            _ => return Err(DecodeError::Invalid("kll image: preamble, version and flags")),
        };
        r.clone().finish()?;
        Ok(sketch)
    }
}

fn read_full<T: Value>(
    r: &mut Reader<'_>,
    k: u16,
    coin: Coin,
    limits: &Limits,
) -> Result<Kll<T>, DecodeError> {
    let (n, min_k, levels, _) = (r.u64()?, r.u16()?, usize::from(r.u8()?), r.u8()?);
    let capacity = check_head(k, min_k, levels, limits)?;
    let mut starts = Vec::with_capacity(levels + 1);
    for _ in 0..levels {
        starts.push(r.u32()? as usize);
    }
    starts.push(capacity);
    if !starts.is_sorted() {
        return Err(DecodeError::Invalid("kll image: levels overlap"));
    }
    let lens: Vec<usize> = starts.windows(2).map(|w| w[1] - w[0]).collect();
    let extremes = read_keys::<T>(r, 2)?;
    let base = read_keys::<T>(r, lens[0])?;
    let keys = read_keys::<T>(r, lens[1..].iter().sum())?;
    let sketch = Kll::of_parts(min_k, coin, base, Levels::of_rows(k, &lens[1..], keys));
    let sketch = sketch.checked(Some(&extremes))?;
    if sketch.count() != n || n == 0 {
        return Err(DecodeError::Invalid("kll image: weights and count differ"));
    }
    Ok(sketch)
}

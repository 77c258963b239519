//! A dense row of counters over whole binary exponents, `2^bits` of them each.
//!
//! A counter is 32 bits wide; what flows over is kept aside in a short sorted list, so that the common row needs half
//! the memory of 64-bit counters and an update stays one increment. The row knows neither signs nor edges of bins.

use crate::codec::{DecodeError, Reader, write_varint};

/// Exponents that any row may span: those of the doubles, with one to spare at the top.
pub(crate) const EXPONENTS_MAX: u32 = 2100;

/// Counters of keys `base .. base + low.len()`, a range of whole exponents: exactly those seen, nothing beside.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bins {
    base: u32,
    low: Vec<u32>,
    /// (index, count / 2^32) of the counters beyond 32 bits, ascending.
    high: Vec<(u32, u32)>,
}

impl Bins {
    /// Counts one at this key. False, and nothing done, when the key is outside the row. O(1).
    #[inline]
    pub(crate) fn bump(&mut self, key: u32) -> bool {
        let i = key.wrapping_sub(self.base) as usize;
        let Some(counter) = self.low.get_mut(i) else { return false };
        *counter = counter.wrapping_add(1);
        if *counter == 0 {
            self.flow_over(i as u32, 1);
        }
        true
    }

    /// Counts one at each of these keys, all of them inside the row.
    #[inline]
    pub(crate) fn bump_all(&mut self, keys: impl Iterator<Item = u32>) {
        for key in keys {
            let inside = self.bump(key);
            debug_assert!(inside, "a key outside its row");
        }
    }

    /// Counts `n` at this key, which must be inside the row.
    pub(crate) fn add(&mut self, key: u32, n: u64) {
        let i = key - self.base;
        let low = u64::from(self.low[i as usize]) + (n & u64::from(u32::MAX));
        self.low[i as usize] = low as u32;
        let over = (low >> 32) + (n >> 32);
        if over > 0 {
            self.flow_over(i, over as u32);
        }
    }

    /// The exponents of the row, first and last; `None` when it is empty.
    pub(crate) fn exponents(&self, bits: u8) -> Option<(u32, u32)> {
        let last = (self.base + self.low.len() as u32).checked_sub(1)?;
        (!self.low.is_empty()).then_some((self.base >> bits, last >> bits))
    }

    /// The exponents that the row would span with these.
    pub(crate) fn with_exponents(&self, bits: u8, first: u32, last: u32) -> (u32, u32) {
        self.exponents(bits).map_or((first, last), |(from, to)| (from.min(first), to.max(last)))
    }

    /// Widens the row to these exponents.
    pub(crate) fn cover(&mut self, bits: u8, first: u32, last: u32) {
        let (from, to) = self.with_exponents(bits, first, last);
        if Some((from, to)) == self.exponents(bits) {
            return;
        }
        let offset = if self.low.is_empty() { 0 } else { self.base - (from << bits) };
        let len = ((to - from + 1) as usize) << bits;
        let mut low = Vec::with_capacity(len);
        low.resize(offset as usize, 0);
        low.extend_from_slice(&self.low);
        low.resize(len, 0);
        self.low = low;
        self.base = from << bits;
        self.high.iter_mut().for_each(|(i, _)| *i += offset);
    }

    /// Adds pairs of neighbours: one bit less. O(bins).
    pub(crate) fn fold(&mut self) {
        let mut folded = Bins { base: self.base / 2, low: vec![0; self.low.len() / 2], high: Vec::new() };
        for (key, n) in self.iter() {
            folded.add(key / 2, n);
        }
        *self = folded;
    }

    /// Adds the counts of another row, which has `finer` bits more than this one and lies within its exponents.
    pub(crate) fn merge(&mut self, other: &Bins, finer: u8) {
        for (key, n) in other.iter() {
            self.add(key >> finer, n);
        }
    }

    /// The keys that were counted, ascending, with their counts.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (u32, u64)> {
        let counted = self.low.iter().enumerate().filter(|(i, low)| **low > 0 || self.over(*i as u32) > 0);
        counted.map(|(i, _)| (self.base + i as u32, self.count(i)))
    }

    /// Sum of all counts. O(bins).
    pub(crate) fn total(&self) -> u64 {
        sum(&self.low) + self.high.iter().map(|&(_, over)| u64::from(over) << 32).sum::<u64>()
    }

    /// Sum of the counts of keys below this one. O(bins).
    pub(crate) fn total_below(&self, key: u32) -> u64 {
        let end = (key.saturating_sub(self.base) as usize).min(self.low.len());
        let over = self.high.iter().take_while(|(i, _)| (*i as usize) < end);
        sum(&self.low[..end]) + over.map(|&(_, over)| u64::from(over) << 32).sum::<u64>()
    }

    /// Count of this key.
    pub(crate) fn get(&self, key: u32) -> u64 {
        let i = key.wrapping_sub(self.base) as usize;
        if i < self.low.len() { self.count(i) } else { 0 }
    }

    /// The key of the `rank`-th smallest, counted from 1 and at most [`Bins::total`]. O(bins): 64 at a time.
    pub(crate) fn find(&self, rank: u64) -> u32 {
        let (mut start, mut left) = (0, rank);
        if self.high.is_empty() {
            for block in self.low.chunks(64) {
                let n = sum(block);
                if n >= left {
                    break;
                }
                left -= n;
                start += block.len();
            }
        }
        let found = (start..self.low.len()).find(|&i| {
            let n = self.count(i);
            let reached = n >= left;
            left = left.saturating_sub(n);
            reached
        });
        self.base + found.unwrap_or(self.low.len().saturating_sub(1)) as u32
    }

    /// The key of the `rank`-th largest, counted from 1 and at most [`Bins::total`]. O(bins): 64 at a time.
    pub(crate) fn find_from_top(&self, rank: u64) -> u32 {
        let (mut end, mut left) = (self.low.len(), rank);
        if self.high.is_empty() {
            for block in self.low.rchunks(64) {
                let n = sum(block);
                if n >= left {
                    break;
                }
                left -= n;
                end -= block.len();
            }
        }
        let found = (0..end).rev().find(|&i| {
            let n = self.count(i);
            let reached = n >= left;
            left = left.saturating_sub(n);
            reached
        });
        self.base + found.unwrap_or(0) as u32
    }

    /// Bytes of the counters.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.low.len() * size_of::<u32>() + self.high.len() * size_of::<(u32, u32)>()
    }

    /// Appends the canonical bytes: exponents, then (gap, count) of the keys that were counted. docs/FORMATS.md.
    pub(crate) fn snapshot(&self, bits: u8, out: &mut Vec<u8>) {
        let (first, last) = self.exponents(bits).unwrap_or((1, 0));
        out.extend((first as u16).to_le_bytes());
        out.extend(((last + 1 - first) as u16).to_le_bytes());
        out.extend((self.iter().count() as u32).to_le_bytes());
        let mut next = self.base;
        for (key, n) in self.iter() {
            write_varint(u64::from(key - next), out);
            write_varint(n, out);
            next = key + 1;
        }
    }

    /// Reads what [`Bins::snapshot`] wrote, of at most `bins_max` bins. Survives any bytes.
    pub(crate) fn restore(r: &mut Reader<'_>, bits: u8, bins_max: usize) -> Result<Bins, DecodeError> {
        let (first, exponents) = (u32::from(r.u16()?), u32::from(r.u16()?));
        let counted = r.count("counted bins", bins_max, 2)?;
        if first == 0 || first + exponents > EXPONENTS_MAX {
            return Err(DecodeError::Invalid("bins: exponents"));
        }
        let len = (exponents as usize) << bits;
        if len > bins_max {
            return Err(DecodeError::TooLarge { what: "bins", declared: len as u64, limit: bins_max as u64 });
        }
        if exponents == 0 {
            let empty = first == 1 && counted == 0;
            return if empty { Ok(Bins::default()) } else { Err(DecodeError::Invalid("bins: no exponents")) };
        }
        let mut bins = Bins { base: first << bits, low: vec![0; len], high: Vec::new() };
        let (mut next, mut total) = (0usize, 0u64);
        for _ in 0..counted {
            let gap = r.varint()?;
            let n = r.varint()?;
            let i = usize::try_from(gap).ok().and_then(|gap| gap.checked_add(next)).filter(|&i| i < len);
            let (Some(i), Some(sum), 1..) = (i, total.checked_add(n), n) else {
                return Err(DecodeError::Invalid("bins: counts"));
            };
            bins.add(bins.base + i as u32, n);
            (next, total) = (i + 1, sum);
        }
        bins.check_invariants(bits).map_err(DecodeError::Invalid)?;
        Ok(bins)
    }

    /// Says which rule of the structure is broken, if any.
    pub(crate) fn check_invariants(&self, bits: u8) -> Result<(), &'static str> {
        if !self.low.len().is_multiple_of(1 << bits) || !self.base.is_multiple_of(1 << bits) {
            return Err("bins: part of an exponent");
        }
        let sorted = self.high.windows(2).all(|w| w[0].0 < w[1].0);
        if !sorted || self.high.iter().any(|&(i, over)| over == 0 || i as usize >= self.low.len()) {
            return Err("bins: counters beyond 32 bits");
        }
        let ends = self.iter().next().zip(self.iter().next_back()).map(|(a, b)| (a.0 >> bits, b.0 >> bits));
        if ends != self.exponents(bits) {
            return Err("bins: exponents that nothing fell into");
        }
        Ok(())
    }

    #[inline]
    fn count(&self, i: usize) -> u64 {
        u64::from(self.low[i]) + (u64::from(self.over(i as u32)) << 32)
    }

    #[inline]
    fn over(&self, i: u32) -> u32 {
        if self.high.is_empty() {
            return 0;
        }
        self.high.binary_search_by_key(&i, |&(at, _)| at).map_or(0, |at| self.high[at].1)
    }

    #[cold]
    fn flow_over(&mut self, i: u32, n: u32) {
        match self.high.binary_search_by_key(&i, |&(at, _)| at) {
            Ok(at) => self.high[at].1 += n,
            Err(at) => self.high.insert(at, (i, n)),
        }
    }
}

/// Sum of counters; the loop is one that compilers turn into wide adds.
fn sum(counters: &[u32]) -> u64 {
    counters.iter().map(|&c| u64::from(c)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_beyond_32_bits_survive_everything() {
        let mut bins = Bins::default();
        bins.cover(2, 10, 12);
        for (key, n) in [(40, u64::from(u32::MAX)), (41, 3 << 40), (47, 7), (51, 1)] {
            bins.add(key, n);
        }
        bins.bump(40);
        bins.check_invariants(2).unwrap();
        bins.cover(2, 8, 20);
        bins.add(32, 1);
        bins.add(83, 1);
        assert_eq!((bins.get(40), bins.get(41), bins.get(47), bins.get(42)), (1 << 32, 3 << 40, 7, 0));
        assert_eq!(bins.total(), (1 << 32) + (3 << 40) + 10);
        assert_eq!((bins.find(1), bins.find(2), bins.find((1 << 32) + 1)), (32, 40, 40));
        assert_eq!((bins.find_from_top(1), bins.find_from_top(2), bins.find_from_top(10)), (83, 51, 41));
        let mut out = Vec::new();
        bins.snapshot(2, &mut out);
        let restored = Bins::restore(&mut Reader::new(&out), 2, 8192).unwrap();
        assert_eq!(restored.iter().collect::<Vec<_>>(), bins.iter().collect::<Vec<_>>());
        bins.fold();
        assert_eq!((bins.get(20), bins.total_below(21)), ((1 << 32) + (3 << 40), (1 << 32) + (3 << 40) + 1));
        let mut twice = restored.clone();
        twice.fold();
        twice.merge(&restored, 1);
        assert_eq!(twice.total(), 2 * restored.total());
        twice.check_invariants(1).unwrap();
    }
}

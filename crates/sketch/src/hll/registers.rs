//! Dense HyperLogLog registers: one byte each, the highest rank seen at its index.
//!
//! Index = the low lg K bits of the token, value = its rank: the layout of DataSketches' HLL_8. The rank
//! comes from the other half of the hash, so folding to a smaller K is the plain maximum of the registers
//! whose low index bits agree.
//!
//! Registers obey the strong law: whatever the order, split or merge tree, equal sets of values give equal
//! bytes. The histogram is a cache and no part of the state: a merge drops it, the next reader rebuilds it.

use std::sync::OnceLock;

use crate::Token;

/// How many registers hold each value 0..=63.
pub(super) type Histogram = [u32; 64];

/// Highest value of a register (the highest rank of a [`Token`]).
pub(super) const RANK_MAX: u8 = 63;

/// K registers, K a power of two.
#[derive(Clone)]
pub(super) struct Registers {
    bytes: Box<[u8]>,
    /// Kept in step by updates once somebody asked for it. `OnceLock` rather than `OnceCell`, so that readers
    /// may share.
    histogram: OnceLock<Box<Histogram>>,
}

impl Registers {
    pub fn new(lg_k: u8) -> Self {
        Self::from_bytes(vec![0; 1 << lg_k].into_boxed_slice())
    }

    /// Takes registers as they are; their number is a power of two and no value is above [`RANK_MAX`].
    pub fn from_bytes(bytes: Box<[u8]>) -> Self {
        debug_assert!(bytes.len().is_power_of_two());
        Registers { bytes, histogram: OnceLock::new() }
    }

    /// O(1). Once the sketch is warm a register rarely changes, so that road lies out of line.
    #[inline]
    pub fn update(&mut self, token: Token) {
        let index = token.0 as usize & (self.bytes.len() - 1);
        let rank = token.rank();
        if rank > self.bytes[index] {
            self.raise(index, rank);
        }
    }

    #[inline(never)]
    fn raise(&mut self, index: usize, rank: u8) {
        let old = std::mem::replace(&mut self.bytes[index], rank);
        if let Some(histogram) = self.histogram.get_mut() {
            histogram[usize::from(old)] -= 1;
            histogram[usize::from(rank)] += 1;
        }
    }

    pub fn update_all(&mut self, tokens: &[Token]) {
        let mask = self.bytes.len() - 1;
        let bytes = &mut *self.bytes;
        let mut histogram = self.histogram.get_mut();
        for &token in tokens {
            let slot = &mut bytes[token.0 as usize & mask];
            let rank = token.rank();
            if rank > *slot {
                if let Some(histogram) = &mut histogram {
                    histogram[usize::from(*slot)] -= 1;
                    histogram[usize::from(rank)] += 1;
                }
                *slot = rank;
            }
        }
    }

    /// Takes the maximum with registers of the same or of a finer precision.
    pub fn merge(&mut self, other: &Registers) {
        debug_assert!(other.bytes.len() >= self.bytes.len());
        self.histogram = OnceLock::new();
        for part in other.bytes.chunks_exact(self.bytes.len()) {
            max_into(&mut self.bytes, part);
        }
    }

    /// Folds down to 2^`lg_k` registers, not more than there are.
    pub fn fold(&mut self, lg_k: u8) {
        let k = 1usize << lg_k;
        debug_assert!(k <= self.bytes.len());
        self.histogram = OnceLock::new();
        let mut bytes = std::mem::take(&mut self.bytes).into_vec();
        let (kept, rest) = bytes.split_at_mut(k);
        for part in rest.chunks_exact(k) {
            max_into(kept, part);
        }
        bytes.truncate(k);
        self.bytes = bytes.into_boxed_slice();
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// O(1) while only updates came since the last call, O(K) after a merge or a fold.
    pub fn histogram(&self) -> &Histogram {
        self.histogram.get_or_init(|| Box::new(count_values(&self.bytes)))
    }

    /// Accounted whether the histogram exists or not: asking a question must not change what a budget
    /// decides.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.len() + size_of::<Histogram>()
    }

    pub fn check_invariants(&self) {
        assert!(self.bytes.len().is_power_of_two(), "the number of registers is a power of two");
        assert!(self.bytes.iter().all(|&v| v <= RANK_MAX), "no register is above the highest rank");
        assert!(self.bytes.iter().any(|&v| v > 0), "registers hold at least one value");
        if let Some(histogram) = self.histogram.get() {
            assert_eq!(
                **histogram,
                count_values(&self.bytes),
                "the cached histogram is that of the registers"
            );
        }
    }
}

/// Byte-wise maximum; a plain loop that the compiler turns into vector instructions.
fn max_into(ours: &mut [u8], theirs: &[u8]) {
    for (a, &b) in ours.iter_mut().zip(theirs) {
        *a = (*a).max(b);
    }
}

/// Four tables, because neighbouring registers are often equal and one counter would wait for itself.
fn count_values(bytes: &[u8]) -> Histogram {
    let mut tables = [[0u32; 64]; 4];
    let (quads, rest) = bytes.as_chunks::<4>();
    for quad in quads {
        for (table, &value) in tables.iter_mut().zip(quad) {
            table[usize::from(value & RANK_MAX)] += 1;
        }
    }
    debug_assert!(rest.is_empty(), "at least 16 registers, a power of two");
    std::array::from_fn(|value| tables.iter().map(|table| table[value]).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(n: i64) -> Vec<Token> {
        (0..n).map(Token::of_i64).collect()
    }

    #[test]
    fn updates_keep_an_asked_for_histogram_in_step() {
        let mut registers = Registers::new(8);
        for part in tokens(2_000).chunks(100) {
            registers.histogram();
            let (one_by_one, at_once) = part.split_at(50);
            one_by_one.iter().for_each(|&t| registers.update(t));
            registers.update_all(at_once);
            registers.check_invariants();
            assert!(registers.histogram.get().is_some(), "updates must not drop the histogram");
        }
    }

    #[test]
    fn merge_and_fold_drop_the_histogram() {
        let (mut a, mut b) = (Registers::new(8), Registers::new(8));
        a.update_all(&tokens(100));
        b.update_all(&tokens(500));
        a.histogram();
        a.merge(&b);
        a.check_invariants();
        a.histogram();
        a.fold(5);
        a.check_invariants();
        assert_eq!(a.histogram().iter().sum::<u32>(), 32);
    }

    #[test]
    fn folding_is_what_fewer_registers_would_have_seen() {
        let mut fine = Registers::new(10);
        fine.update_all(&tokens(3_000));
        for lg_k in 4..=10 {
            let mut direct = Registers::new(lg_k);
            direct.update_all(&tokens(3_000));
            let mut folded = fine.clone();
            folded.fold(lg_k);
            assert_eq!(folded.bytes, direct.bytes, "lg_k {lg_k}");
            let mut merged = Registers::new(lg_k);
            merged.merge(&fine);
            assert_eq!(merged.bytes, direct.bytes, "lg_k {lg_k}, merged from the finer one");
        }
    }
}

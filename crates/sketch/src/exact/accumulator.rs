//! Sums of doubles, or of their squares, without any rounding until they are read.
//!
//! A fixed-point number wide enough for every double (Kulisch's idea), cut in chunks so that an addition touches one
//! or two of them and carries wait (Radford Neal, "Fast exact summation using small and large superaccumulators",
//! arXiv 1505.05571, 2015). Here a chunk is an `i128` for every 32 bits of position instead of Neal's `i64`: a shifted
//! significand then fits one chunk, so an addition is one shift and one wide add, and carries wait for 2^31 additions.
//! Chunks exist only between the smallest and the largest magnitude seen: data within ten decades needs 16 to 48 bytes.
//!
//! Not here: NaN, infinities and the count of rows, which the caller keeps; see [`super::Moments`].

use super::natural::Natural;
use crate::codec::{DecodeError, Reader};

/// Additions after which carries must move: each adds less than 2^94 to a chunk, and 2^31 of them stay below 2^126.
const ADDS_MAX: u32 = 1 << 31;
/// A carried top chunk beyond this spills into one more.
const TOP_MAX: i128 = 1 << 94;
/// Chunks of the widest accumulator: squares begin at 2^-2148 and end at 2^2048, cut by 32 bits, in two parts.
pub(super) const CHUNKS_MAX: usize = 131;
/// Digits of the largest sum: all chunks and what 2^64 additions carry above them.
const DIGITS_MAX: usize = CHUNKS_MAX + 5;

const FRACTION: u64 = (1 << 52) - 1;
const IMPLICIT: u64 = 1 << 52;

/// Exact sum of numbers `m · 2^position`, in units of the smallest double (for squares: of its square).
///
/// `chunks[i]` is worth `chunks[i] · 2^(32·(first + i))`. The first `touched` chunks are those that values fell into,
/// a fact of the set of values; chunks after them only hold what was carried.
#[derive(Debug, Clone, Default)]
pub(super) struct Accumulator {
    chunks: Vec<i128>,
    adds: u32,
    first: u16,
    touched: u16,
}

impl Accumulator {
    /// Exponent of the unit of a sum: the value is the number read times this power of two. Squares take twice it.
    pub(super) const SUM_UNIT: i32 = -1074;

    /// Adds a finite double. Amortised O(1).
    #[inline]
    pub(super) fn add(&mut self, v: f64) {
        self.make_room(1);
        self.add_within_room(v);
    }

    /// Adds finite doubles. O(n).
    pub(super) fn add_all(&mut self, values: &[f64]) {
        for block in values.chunks(ADDS_MAX as usize / 2) {
            self.make_room(block.len() as u32);
            for &v in block {
                self.add_within_room(v);
            }
        }
    }

    /// Adds the square of a finite double. Amortised O(1).
    #[inline]
    pub(super) fn add_square(&mut self, v: f64) {
        self.make_room(1);
        self.add_square_within_room(v);
    }

    /// Adds the squares of finite doubles. O(n).
    pub(super) fn add_all_squares(&mut self, values: &[f64]) {
        for block in values.chunks(ADDS_MAX as usize / 2) {
            self.make_room(block.len() as u32);
            for &v in block {
                self.add_square_within_room(v);
            }
        }
    }

    /// Adds another sum of the same unit. O(chunks).
    pub(super) fn merge(&mut self, other: &Accumulator) {
        if self.adds.saturating_add(other.adds) > ADDS_MAX {
            self.carry();
            let mut theirs = other.clone();
            theirs.carry();
            self.add_chunks(&theirs);
        } else {
            self.add_chunks(other);
        }
    }

    /// The sum as (is negative, magnitude). O(chunks).
    pub(super) fn read(&self) -> (bool, Natural) {
        let mut digits = Vec::with_capacity(self.chunks.len() + 5);
        let mut carry = 0i128;
        for &chunk in &self.chunks {
            let t = chunk + carry;
            digits.push(t as u32);
            carry = t >> 32;
        }
        while carry != 0 && carry != -1 {
            digits.push(carry as u32);
            carry >>= 32;
        }
        let negative = carry == -1;
        if negative {
            let mut one = true;
            for d in &mut digits {
                let (flipped, over) = (!*d).overflowing_add(u32::from(one));
                *d = flipped;
                one = over;
            }
            if one {
                digits.push(1);
            }
        }
        (negative, Natural::from_digits(usize::from(self.first), digits))
    }

    /// Chunks that values fell into, as first and one past the last; `None` before the first value that is not zero.
    pub(super) fn touched(&self) -> Option<(usize, usize)> {
        let first = usize::from(self.first);
        (self.touched > 0).then(|| (first, first + usize::from(self.touched)))
    }

    /// The chunk that a finite double's lowest bit falls into; `None` for zero.
    pub(super) fn chunk_of(v: f64) -> Option<usize> {
        let exponent = (v.to_bits() >> 52) as usize & 0x7FF;
        (v != 0.0).then_some(exponent.saturating_sub(1) >> 5)
    }

    /// Bytes of the chunks that values fell into.
    pub(super) fn heap_bytes(&self) -> usize {
        usize::from(self.touched) * size_of::<i128>()
    }

    /// Appends the canonical bytes: a function of the multiset of values. Table in docs/FORMATS.md.
    pub(super) fn snapshot(&self, out: &mut Vec<u8>) {
        let (negative, sum) = self.read();
        let sign = if sum.is_zero() { 0 } else { 1 + u8::from(negative) };
        out.extend([self.first as u8, self.touched as u8, sign, sum.first as u8, sum.digits.len() as u8]);
        for d in &sum.digits {
            out.extend(d.to_le_bytes());
        }
    }

    /// Reads what [`Accumulator::snapshot`] wrote for `rows` values. Survives any bytes.
    pub(super) fn restore(r: &mut Reader<'_>, rows: u64) -> Result<Accumulator, DecodeError> {
        let (first, touched, sign) = (usize::from(r.u8()?), usize::from(r.u8()?), r.u8()?);
        let (start, len) = (usize::from(r.u8()?), usize::from(r.u8()?));
        let fits = first + touched <= CHUNKS_MAX && (touched > 0 || first == 0) && len <= DIGITS_MAX;
        let signed = sign <= 2 && (sign == 0) == (len == 0);
        let placed = if len == 0 { start == 0 } else { touched > 0 && start >= first };
        if !(fits && signed && placed) {
            return Err(DecodeError::Invalid("exact sum: range of chunks"));
        }
        let digits = r.bytes(4 * len)?.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let sum = Natural { first: start, digits: digits.collect() };
        if sum.digits.first() == Some(&0) || sum.digits.last() == Some(&0) {
            return Err(DecodeError::Invalid("exact sum: padded with zeros"));
        }
        // No value reaches further than 53 bits above its chunk's end, and there are `rows` of them.
        if sum.bit_length() > 32 * (first + touched) + 53 + 64 - rows.leading_zeros() as usize {
            return Err(DecodeError::Invalid("exact sum: larger than its values"));
        }
        let skip = start.saturating_sub(first);
        let mut chunks = vec![0i128; touched.max(skip + len)];
        for (chunk, &d) in chunks[skip..].iter_mut().zip(&sum.digits) {
            *chunk = if sign == 2 { -i128::from(d) } else { i128::from(d) };
        }
        Ok(Accumulator { chunks, adds: 1, first: first as u16, touched: touched as u16 })
    }

    /// Says which rule of the structure is broken, if any.
    pub(super) fn check_invariants(&self) -> Result<(), &'static str> {
        let (first, touched) = (usize::from(self.first), usize::from(self.touched));
        if touched > self.chunks.len() || first + touched > CHUNKS_MAX || (touched == 0 && first != 0) {
            return Err("exact sum: range of chunks");
        }
        if touched == 0 && !self.chunks.is_empty() {
            return Err("exact sum: a sum without values");
        }
        let limit = i128::from(self.adds.max(1)) * (TOP_MAX * 2);
        if self.adds > ADDS_MAX || self.chunks.iter().any(|c| c.abs() > limit) {
            return Err("exact sum: carries waited too long");
        }
        Ok(())
    }

    #[inline]
    fn make_room(&mut self, adds: u32) {
        if self.adds > ADDS_MAX - adds {
            self.carry();
        }
        self.adds += adds;
    }

    #[inline]
    fn add_within_room(&mut self, v: f64) {
        let bits = v.to_bits();
        // A zero or subnormal wraps to a position far outside, so one comparison sends all rare cases aside.
        let position = ((bits >> 52) as u32 & 0x7FF).wrapping_sub(1);
        let i = (position as usize >> 5).wrapping_sub(usize::from(self.first));
        if i >= usize::from(self.touched) {
            return self.add_rare(v);
        }
        let m = ((bits & FRACTION) | IMPLICIT) as i64;
        let sign = bits as i64 >> 63;
        self.chunks[i] += i128::from((m ^ sign) - sign) << (position & 31);
    }

    #[inline]
    fn add_square_within_room(&mut self, v: f64) {
        let bits = v.to_bits();
        let position = ((bits >> 52) as u32 & 0x7FF).wrapping_sub(1);
        let i = (position as usize >> 4).wrapping_sub(usize::from(self.first));
        if i.saturating_add(2) >= usize::from(self.touched) {
            return self.add_square_rare(v);
        }
        let m = u128::from((bits & FRACTION) | IMPLICIT);
        self.add_product(i, m * m, (2 * position) & 31);
    }

    /// 106 bits shifted by up to 30 would not leave room for carries in one chunk: two halves, two chunks apart.
    #[inline]
    fn add_product(&mut self, i: usize, product: u128, shift: u32) {
        self.chunks[i] += (i128::from(product as u64)) << shift;
        self.chunks[i + 2] += (i128::from((product >> 64) as u64)) << shift;
    }

    #[cold]
    fn add_rare(&mut self, v: f64) {
        let Some(chunk) = Accumulator::chunk_of(v) else { return };
        self.touch(chunk, chunk);
        let (position, m) = significand(v);
        let signed = if v < 0.0 { -(m as i64) } else { m as i64 };
        self.chunks[chunk - usize::from(self.first)] += i128::from(signed) << (position & 31);
    }

    #[cold]
    fn add_square_rare(&mut self, v: f64) {
        if v == 0.0 {
            return;
        }
        let (position, m) = significand(v);
        let chunk = position as usize >> 4;
        self.touch(chunk, chunk + 2);
        self.add_product(chunk - usize::from(self.first), u128::from(m) * u128::from(m), (2 * position) & 31);
    }

    fn add_chunks(&mut self, other: &Accumulator) {
        self.adds += other.adds;
        let Some((first, end)) = other.touched() else { return };
        self.touch(first, end - 1);
        let offset = first - usize::from(self.first);
        let len = self.chunks.len().max(offset + other.chunks.len());
        self.chunks.resize(len, 0);
        for (ours, theirs) in self.chunks[offset..].iter_mut().zip(&other.chunks) {
            *ours += theirs;
        }
    }

    /// Widens the touched range to cover chunks `from..=to`.
    fn touch(&mut self, from: usize, to: usize) {
        let (first, end) = self.touched().unwrap_or((from, from));
        let (new_first, new_end) = (first.min(from), end.max(to + 1));
        if self.touched > 0 && (new_first, new_end) == (first, end) {
            return;
        }
        let mut chunks = Vec::with_capacity((new_end - new_first).max(first - new_first + self.chunks.len()));
        chunks.resize(first - new_first, 0);
        chunks.extend_from_slice(&self.chunks);
        if chunks.len() < new_end - new_first {
            chunks.resize(new_end - new_first, 0);
        }
        self.chunks = chunks;
        self.first = new_first as u16;
        self.touched = (new_end - new_first) as u16;
    }

    /// Moves carries up, so that every chunk but the last is a digit below 2^32.
    #[cold]
    fn carry(&mut self) {
        let mut carry = 0i128;
        let mut i = 0;
        while i < self.chunks.len() {
            let t = self.chunks[i] + carry;
            let is_last = i + 1 == self.chunks.len();
            if is_last && t.abs() <= TOP_MAX {
                self.chunks[i] = t;
                break;
            }
            self.chunks[i] = t & 0xFFFF_FFFF;
            carry = t >> 32;
            if is_last {
                self.chunks.push(0);
            }
            i += 1;
        }
        self.adds = 1;
    }
}

/// Position of the lowest bit above 2^-1074, and the significand.
fn significand(v: f64) -> (u32, u64) {
    let bits = v.to_bits();
    match (bits >> 52) as u32 & 0x7FF {
        0 => (0, bits & FRACTION),
        exponent => (exponent - 1, (bits & FRACTION) | IMPLICIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact::natural::to_f64;

    fn value(a: &Accumulator, unit: i32) -> f64 {
        let (negative, sum) = a.read();
        let v = to_f64(&sum, unit);
        if negative { -v } else { v }
    }

    fn bytes(a: &Accumulator) -> Vec<u8> {
        let mut out = Vec::new();
        a.snapshot(&mut out);
        out
    }

    #[test]
    fn doubling_a_sum_sixty_times_carries_and_stays_exact() {
        // The only way to reach the carry of 2^31 additions without waiting for them.
        for sign in [1.0, -1.0] {
            let (mut sum, mut squares) = (Accumulator::default(), Accumulator::default());
            let v = sign * 1.7976931348623157e100;
            sum.add(v);
            sum.add(sign * 3.0);
            squares.add_square(v);
            for k in 1..=60 {
                sum.merge(&sum.clone());
                squares.merge(&squares.clone());
                sum.check_invariants().unwrap();
                squares.check_invariants().unwrap();
                assert_eq!(value(&sum, Accumulator::SUM_UNIT), v * 2f64.powi(k));
                let mut r_bytes = bytes(&sum);
                let restored = Accumulator::restore(&mut Reader::new(&r_bytes), 2 << k).unwrap();
                restored.check_invariants().unwrap();
                assert_eq!(bytes(&restored), r_bytes);
                r_bytes.clear();
            }
            assert_eq!(value(&squares, 2 * Accumulator::SUM_UNIT), v * v * 2f64.powi(60));
            sum.add(-v);
            assert_eq!(value(&sum, Accumulator::SUM_UNIT), v * 2f64.powi(60));
        }
    }

    #[test]
    fn a_carried_sum_has_the_bytes_of_the_same_sum_uncarried() {
        let mut a = Accumulator::default();
        for v in [1e300, -7.25, 3e-310, -1e300, 12345.678] {
            a.add(v);
        }
        let before = bytes(&a);
        a.carry();
        assert_eq!(bytes(&a), before);
        a.check_invariants().unwrap();
    }
}

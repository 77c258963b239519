//! The HLL image of Apache DataSketches (Java, C++, Go, Python, Rust): written, and read. Table in docs/FORMATS.md.
//!
//! **Written** is the compact form, canonically: coupons and exceptions ascend.
//!
//! **Read** is every form: LIST, SET and registers of 4, 6 or 8 bits, compact or updatable, in or out of order. An image
//! never becomes a set of tokens: of a value it knows the 32 bits of its coupon, and a token made up from them would
//! differ from the token of the same value hashed here, which a merge would then count twice. So coupons go into
//! registers, whatever their number. The price: what was imported is no longer exact, a sketch of seven values answers
//! 7 with the error of registers (which is below a value as long as there are fewer than √(2K) of them). Merged with
//! sketches of our own the registers are, byte for byte, those of one sketch over all values.
//!
//! **Left out:** the HIP accumulator (see `estimator.rs`), and the sums kxq, the number of registers at the minimum and
//! the sizes of tables, which follow from the rest and are not believed. HLL images carry no hash of their seed:
//! one made with another seed than 9001 reads as a sketch of other values.

use super::registers::{Histogram, RANK_MAX, Registers};
use super::{Distinct, LgK, State};
use crate::codec::{Limits, Reader};
use crate::{DecodeError, Token};

/// Constants of the image (HllUtil and PreambleUtil of DataSketches).
mod ds {
    pub const SERIAL_VERSION: u8 = 1;
    pub const FAMILY_HLL: u8 = 7;
    /// Preamble lengths, in 32-bit words.
    pub const LIST_PREAMBLE: u8 = 2;
    pub const SET_PREAMBLE: u8 = 3;
    pub const HLL_PREAMBLE: u8 = 10;
    /// Current mode, bits 0 and 1 of the mode byte; the type of the registers is in bits 2 and 3.
    pub const MODE_LIST: u8 = 0;
    pub const MODE_SET: u8 = 1;
    pub const MODE_HLL: u8 = 2;
    pub const FLAG_BIG_ENDIAN: u8 = 1;
    pub const FLAG_EMPTY: u8 = 4;
    pub const FLAG_COMPACT: u8 = 8;
    pub const FLAG_OUT_OF_ORDER: u8 = 16;
    /// A list has eight slots and is promoted when the eighth is taken.
    pub const LG_LIST: u8 = 3;
    pub const LIST_MAX: usize = 7;
    /// Sets start with 32 slots; below this lg K a list becomes registers at once.
    pub const LG_SET_MIN: u8 = 5;
    pub const SET_LG_K_MIN: u8 = 8;
    /// A nibble of HLL_4 that says: look into the table of exceptions.
    pub const NIBBLE_EXCEPTION: u8 = 15;
    /// Low bits of a coupon, its address.
    pub const ADDRESS_MASK: u32 = (1 << 26) - 1;
}

/// How many bits a register of an image has. The registers are the same; a reader may prefer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HllType {
    /// Four bits above the smallest register, and a table of exceptions: the default of most systems, K/2 bytes.
    Hll4,
    /// Six bits, 3/4 K bytes.
    Hll6,
    /// A byte, K bytes: the fastest to merge.
    Hll8,
}

impl HllType {
    fn mode(self, current: u8) -> u8 {
        current | (self as u8) << 2
    }
}

// ---- Write ----

impl Distinct {
    /// The compact HLL_8 image of Apache DataSketches, for a reader of the same values:
    /// [`Distinct::to_datasketches_as`] with [`HllType::Hll8`].
    pub fn to_datasketches(&self) -> Vec<u8> {
        self.to_datasketches_as(HllType::Hll8)
    }

    /// The compact image of Apache DataSketches with registers of this many bits, for a reader of the same values.
    ///
    /// Two tokens may share a coupon (26 bits of address, 6 of rank): among 1,536 values that happens in one
    /// set of 170, and a foreign reader then counts one less where we are exact. In HLL mode the out-of-order
    /// flag makes it use the composite estimate; there is no HIP history to hand over. O(K), or O(n log n)
    /// for a set.
    pub fn to_datasketches_as(&self, hll_type: HllType) -> Vec<u8> {
        match &self.state {
            State::Registers(registers) => hll_image(self.lg_k, hll_type, registers),
            State::Set(set) => {
                let mut coupons: Vec<u32> = set.iter().map(Token::coupon).collect();
                coupons.sort_unstable();
                // Two tokens may share a coupon; a DataSketches set never holds one twice.
                coupons.dedup();
                if coupons.len() <= ds::LIST_MAX {
                    list_image(self.lg_k, hll_type, &coupons)
                } else if self.lg_k.get() >= ds::SET_LG_K_MIN {
                    set_image(self.lg_k, hll_type, &coupons)
                } else {
                    hll_image(self.lg_k, hll_type, &super::densified(self.lg_k, set))
                }
            }
        }
    }
}

fn list_image(lg_k: LgK, hll_type: HllType, coupons: &[u32]) -> Vec<u8> {
    let empty = if coupons.is_empty() { ds::FLAG_EMPTY } else { 0 };
    let head = [ds::LIST_PREAMBLE, ds::SERIAL_VERSION, ds::FAMILY_HLL, lg_k.get(), ds::LG_LIST];
    let mut out = head.to_vec();
    out.extend_from_slice(&[ds::FLAG_COMPACT | empty, coupons.len() as u8, hll_type.mode(ds::MODE_LIST)]);
    out.extend(coupons.iter().flat_map(|coupon| coupon.to_le_bytes()));
    out
}

/// Our limit, three quarters of K/8 slots, is also theirs: a set of ours always fits one of theirs.
fn set_image(lg_k: LgK, hll_type: HllType, coupons: &[u32]) -> Vec<u8> {
    let slots = (coupons.len() * 4).div_ceil(3).next_power_of_two();
    let lg_slots = (slots.trailing_zeros() as u8).max(ds::LG_SET_MIN);
    let mut out = vec![ds::SET_PREAMBLE, ds::SERIAL_VERSION, ds::FAMILY_HLL, lg_k.get(), lg_slots];
    out.extend_from_slice(&[ds::FLAG_COMPACT, 0, hll_type.mode(ds::MODE_SET)]);
    out.extend_from_slice(&(coupons.len() as u32).to_le_bytes());
    out.extend(coupons.iter().flat_map(|coupon| coupon.to_le_bytes()));
    out
}

fn hll_image(lg_k: LgK, hll_type: HllType, registers: &Registers) -> Vec<u8> {
    let histogram = registers.histogram();
    let (minimum, compact) = match hll_type {
        HllType::Hll4 => (smallest(histogram), ds::FLAG_COMPACT),
        // Their registers have one form, and readers expect no flag.
        HllType::Hll6 | HllType::Hll8 => (0, 0),
    };
    let exceptions = match hll_type {
        HllType::Hll4 => exceptions(registers.bytes(), minimum),
        HllType::Hll6 | HllType::Hll8 => Vec::new(),
    };
    let mut out = vec![ds::HLL_PREAMBLE, ds::SERIAL_VERSION, ds::FAMILY_HLL, lg_k.get(), 0];
    out.extend_from_slice(&[ds::FLAG_OUT_OF_ORDER | compact, minimum, hll_type.mode(ds::MODE_HLL)]);
    out.extend_from_slice(&0f64.to_le_bytes()); // HIP accumulator, void when out of order
    out.extend_from_slice(&inverse_powers(histogram, 0..32).to_le_bytes()); // kxq0
    out.extend_from_slice(&inverse_powers(histogram, 32..64).to_le_bytes()); // kxq1
    out.extend_from_slice(&histogram[usize::from(minimum)].to_le_bytes());
    out.extend_from_slice(&(exceptions.len() as u32).to_le_bytes());
    match hll_type {
        HllType::Hll4 => {
            let nibble = |value: u8| (value - minimum).min(ds::NIBBLE_EXCEPTION);
            out.extend(registers.bytes().as_chunks::<2>().0.iter().map(|&[a, b]| nibble(a) | nibble(b) << 4));
        }
        HllType::Hll6 => pack_six_bits(registers.bytes(), &mut out),
        HllType::Hll8 => out.extend_from_slice(registers.bytes()),
    }
    out.extend(exceptions.iter().flat_map(|coupon| coupon.to_le_bytes()));
    out
}

fn smallest(histogram: &Histogram) -> u8 {
    histogram.iter().position(|&registers| registers > 0).unwrap_or(0) as u8
}

/// The registers that no nibble holds, as coupons of their index.
fn exceptions(registers: &[u8], minimum: u8) -> Vec<u32> {
    let high = |&(_, &value): &(usize, &u8)| value - minimum >= ds::NIBBLE_EXCEPTION;
    registers
        .iter()
        .enumerate()
        .filter(high)
        .map(|(index, &value)| u32::from(value) << 26 | index as u32)
        .collect()
}

/// Four registers in three bytes, lowest bits first, and a byte more, as readers load two at a time.
fn pack_six_bits(registers: &[u8], out: &mut Vec<u8>) {
    for quad in registers.as_chunks::<4>().0 {
        let word = quad.iter().rev().fold(0u32, |word, &value| word << 6 | u32::from(value));
        out.extend_from_slice(&word.to_le_bytes()[..3]);
    }
    out.push(0);
}

/// Σ 2^-value over the registers with a value in the range. Exact: the terms span at most 53 bits.
fn inverse_powers(histogram: &Histogram, values: std::ops::Range<usize>) -> f64 {
    values.map(|v| f64::from(histogram[v]) * f64::from_bits((1023 - v as u64) << 52)).sum()
}

// ---- Read ----

impl Distinct {
    /// Reads an HLL image of Apache DataSketches of values hashed by the interchange rule: every mode, every type of
    /// registers, compact or updatable, lg K 4 to 21.
    ///
    /// The result holds registers unless the image is empty, so it is not exact even where it holds few values; see the
    /// head of `image.rs` for why. It merges with sketches of our own as one of them does. Survives any bytes; `limits`
    /// is compared with K before anything is allocated.
    ///
    /// ```
    /// use sketch::{Limits, Token, hll::{Distinct, LgK}};
    ///
    /// let image = [2, 1, 7, 12, 3, 8, 1, 8, 0xcb, 0xd7, 0xc2, 0x04]; // by Java: the integer 0
    /// let mut seen = Distinct::from_datasketches(&image, &Limits::default())?;
    /// seen.update(Token::of_i64(0));
    /// assert_eq!(seen.estimate(0.95).value.round(), 1.0);
    /// # Ok::<(), sketch::DecodeError>(())
    /// ```
    ///
    /// # Errors
    /// [`DecodeError`]: other bytes, more registers than `limits` allow, or contents that no writer produces.
    pub fn from_datasketches(image: &[u8], limits: &Limits) -> Result<Distinct, DecodeError> {
        let r = &mut Reader::new(image);
        let head = r.bytes(8)?;
        let (preamble, flags, mode) = (head[0], head[5], head[7]);
        if head[1] != ds::SERIAL_VERSION || head[2] != ds::FAMILY_HLL || mode >> 2 > 2 {
            return Err(DecodeError::Invalid("not an HLL image of version 1"));
        }
        if flags & ds::FLAG_BIG_ENDIAN != 0 {
            return Err(DecodeError::Invalid("a big-endian image"));
        }
        let lg_k = LgK::new(head[3]).map_err(|_| DecodeError::Invalid("lg K outside 4..=21"))?;
        limits.allow("registers", lg_k.registers() as u64, 1)?;
        let compact = flags & ds::FLAG_COMPACT != 0;
        match (mode & 3, preamble) {
            (ds::MODE_LIST, ds::LIST_PREAMBLE) => read_coupons(r, lg_k, usize::from(head[6]), compact),
            (ds::MODE_SET, ds::SET_PREAMBLE) => {
                let count = r.u32()? as usize;
                read_coupons(r, lg_k, count, compact)
            }
            (ds::MODE_HLL, ds::HLL_PREAMBLE) => {
                let registers = read_registers(r, lg_k, mode >> 2, head[6])?;
                if registers.iter().all(|&value| value == 0) {
                    return Err(DecodeError::Invalid("registers without a value"));
                }
                let registers = Registers::from_bytes(registers.into_boxed_slice());
                Ok(Distinct { lg_k, state: State::Registers(registers) })
            }
            _ => Err(DecodeError::Invalid("mode of an HLL image")),
        }
    }
}

/// The rest of a LIST or a SET: its coupons, or a table with free slots among them.
fn read_coupons(r: &mut Reader<'_>, lg_k: LgK, count: usize, compact: bool) -> Result<Distinct, DecodeError> {
    let slots = read_slots(r)?;
    let taken = slots.iter().filter(|&&coupon| coupon != 0).count();
    if taken != count || compact && slots.len() != count {
        return Err(DecodeError::Invalid("number of coupons"));
    }
    if count == 0 {
        return Ok(Distinct::new(lg_k));
    }
    let mut registers = Registers::new(lg_k.get());
    for coupon in slots.into_iter().filter(|&coupon| coupon != 0) {
        let token = Token(u64::from(coupon));
        if token.rank() == 0 {
            return Err(DecodeError::Invalid("a coupon without rank"));
        }
        registers.update(token);
    }
    Ok(Distinct { lg_k, state: State::Registers(registers) })
}

/// All words that are left.
fn read_slots(r: &mut Reader<'_>) -> Result<Vec<u32>, DecodeError> {
    let (words, rest) = r.bytes(r.remaining())?.as_chunks::<4>();
    if rest.is_empty() {
        Ok(words.iter().map(|word| u32::from_le_bytes(*word)).collect())
    } else {
        Err(DecodeError::Invalid("half a coupon"))
    }
}

/// The registers behind the preamble, one byte each.
fn read_registers(r: &mut Reader<'_>, lg_k: LgK, hll_type: u8, minimum: u8) -> Result<Vec<u8>, DecodeError> {
    let k = lg_k.registers();
    // HIP accumulator, kxq0, kxq1, registers at the minimum: not believed.
    r.bytes(3 * 8 + 4)?;
    let exceptions = r.u32()?;
    if hll_type != HllType::Hll4 as u8 && (exceptions > 0 || minimum > 0) {
        return Err(DecodeError::Invalid("a minimum or exceptions of registers that have none"));
    }
    let registers = if hll_type == HllType::Hll4 as u8 {
        read_nibbles(r, k, minimum, exceptions)?
    } else if hll_type == HllType::Hll6 as u8 {
        let (triples, _) = r.bytes(k / 4 * 3)?.as_chunks::<3>();
        r.u8()?;
        let word = |&[a, b, c]: &[u8; 3]| u32::from_le_bytes([a, b, c, 0]);
        triples.iter().map(word).flat_map(|w| [w, w >> 6, w >> 12, w >> 18]).map(|w| w as u8 & 63).collect()
    } else {
        r.bytes(k)?.to_vec()
    };
    if r.remaining() > 0 {
        return Err(DecodeError::Invalid("bytes after the end"));
    }
    if registers.iter().any(|&value| value > RANK_MAX) {
        return Err(DecodeError::Invalid("a register above 63"));
    }
    Ok(registers)
}

/// HLL_4: nibbles above the minimum, and coupons of the registers that are 15 or more above it.
fn read_nibbles(r: &mut Reader<'_>, k: usize, minimum: u8, exceptions: u32) -> Result<Vec<u8>, DecodeError> {
    let nibbles = r.bytes(k / 2)?;
    let mut marked = 0u32;
    let mut registers = Vec::with_capacity(k);
    for nibble in nibbles.iter().flat_map(|&byte| [byte & 15, byte >> 4]) {
        marked += u32::from(nibble == ds::NIBBLE_EXCEPTION);
        // A marked register keeps 255 until its exception comes.
        registers.push(if nibble < ds::NIBBLE_EXCEPTION { minimum.saturating_add(nibble) } else { u8::MAX });
    }
    let mut found = 0u32;
    for coupon in read_slots(r)?.into_iter().filter(|&coupon| coupon != 0) {
        let register = &mut registers[(coupon & ds::ADDRESS_MASK) as usize & (k - 1)];
        let value = (coupon >> 26) as u8;
        if *register != u8::MAX || value < minimum.saturating_add(ds::NIBBLE_EXCEPTION) {
            return Err(DecodeError::Invalid("an exception of a register that is none"));
        }
        *register = value;
        found += 1;
    }
    if found != exceptions || found != marked {
        return Err(DecodeError::Invalid("number of exceptions"));
    }
    Ok(registers)
}

//! The bytes of [`Distinct`]: its own snapshot, and the image that Apache DataSketches reads.
//!
//! Both are canonical: a function of the set of values and of lg K. Byte tables are in docs/FORMATS.md.
//! Reading foreign images is left out here.

use super::registers::{Histogram, RANK_MAX, Registers};
use super::set::TokenSet;
use super::{Distinct, LgK, State};
use crate::codec::{Limits, Reader, expect_head, kind};
use crate::{DecodeError, Token};

const VERSION: u8 = 1;
const MODE_SET: u8 = 0;
const MODE_REGISTERS: u8 = 1;

impl Distinct {
    /// Appends the whole state: 8 + 8n bytes while it is a set of n tokens, 4 + K bytes as registers.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        if cfg!(debug_assertions) {
            self.check_invariants();
        }
        out.extend_from_slice(&[kind::DISTINCT, VERSION, self.lg_k.get()]);
        match &self.state {
            State::Set(set) => {
                out.push(MODE_SET);
                set.write(out);
            }
            State::Registers(registers) => {
                out.push(MODE_REGISTERS);
                out.extend_from_slice(registers.bytes());
            }
        }
    }

    /// Reads what [`Distinct::snapshot`] wrote and leaves the reader behind it.
    ///
    /// Survives any bytes and allocates no more than it reads. What it returns is valid in every respect, so
    /// writing it again gives the same bytes.
    ///
    /// # Errors
    /// [`DecodeError`]: the bytes end early, the registers are beyond the limit, there are more tokens than the exact
    /// mode of this lg K holds, tokens do not ascend or have no rank, a register is above 63, or all
    /// registers are zero.
    pub fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<Self, DecodeError> {
        expect_head(r, kind::DISTINCT, VERSION, "not a distinct-count snapshot of version 1")?;
        let lg_k = LgK::new(r.u8()?).map_err(|_| DecodeError::Invalid("lg K outside 4..=21"))?;
        limits.allow("registers", lg_k.registers() as u64, 1)?;
        let state = match r.u8()? {
            MODE_SET => State::Set(TokenSet::read(r, lg_k.exact_max())?),
            MODE_REGISTERS => State::Registers(restore_registers(r, lg_k)?),
            _ => return Err(DecodeError::Invalid("mode of a distinct count")),
        };
        let restored = Distinct { lg_k, state };
        if cfg!(debug_assertions) {
            restored.check_invariants();
        }
        Ok(restored)
    }

    /// The compact HLL_8 image of Apache DataSketches (Java, C++, Go, Rust), for a reader of the same values.
    ///
    /// Two tokens may share a coupon (26 bits of address, 6 of rank): among 1,536 values that happens in one
    /// set of 170, and a foreign reader then counts one less where we are exact. In HLL mode the out-of-order
    /// flag makes it use the composite estimate; there is no HIP history to hand over. O(K), or O(n log n)
    /// for a set.
    pub fn to_datasketches(&self) -> Vec<u8> {
        match &self.state {
            State::Registers(registers) => hll_image(self.lg_k, registers),
            State::Set(set) => {
                let mut coupons: Vec<u32> = set.iter().map(Token::coupon).collect();
                coupons.sort_unstable();
                // Two tokens may share a coupon; a DataSketches set never holds one twice.
                coupons.dedup();
                if coupons.len() <= ds::LIST_MAX {
                    list_image(self.lg_k, &coupons)
                } else if self.lg_k.get() >= ds::SET_LG_K_MIN {
                    set_image(self.lg_k, &coupons)
                } else {
                    hll_image(self.lg_k, &super::densified(self.lg_k, set))
                }
            }
        }
    }
}

fn restore_registers(r: &mut Reader<'_>, lg_k: LgK) -> Result<Registers, DecodeError> {
    let bytes = r.bytes(lg_k.registers())?;
    match bytes.iter().max() {
        Some(&max) if max > RANK_MAX => Err(DecodeError::Invalid("a register above 63")),
        Some(&max) if max > 0 => Ok(Registers::from_bytes(bytes.into())),
        _ => Err(DecodeError::Invalid("registers without a value")),
    }
}

/// Constants of the DataSketches HLL image (its HllUtil and PreambleUtil).
mod ds {
    pub const SERIAL_VERSION: u8 = 1;
    pub const FAMILY_HLL: u8 = 7;
    /// Preamble lengths, in 32-bit words.
    pub const LIST_PREAMBLE: u8 = 2;
    pub const SET_PREAMBLE: u8 = 3;
    pub const HLL_PREAMBLE: u8 = 10;
    /// Current mode in bits 0-1, target type HLL_8 in bits 2-3.
    pub const MODE_LIST: u8 = 2 << 2;
    pub const MODE_SET: u8 = 1 | 2 << 2;
    pub const MODE_HLL: u8 = 2 | 2 << 2;
    pub const FLAG_EMPTY: u8 = 4;
    pub const FLAG_COMPACT: u8 = 8;
    pub const FLAG_OUT_OF_ORDER: u8 = 16;
    /// A list has eight slots and is promoted when the eighth is taken.
    pub const LG_LIST: u8 = 3;
    pub const LIST_MAX: usize = 7;
    /// Sets start with 32 slots; below this lg K a list becomes registers at once.
    pub const LG_SET_MIN: u8 = 5;
    pub const SET_LG_K_MIN: u8 = 8;
}

fn list_image(lg_k: LgK, coupons: &[u32]) -> Vec<u8> {
    let empty = if coupons.is_empty() { ds::FLAG_EMPTY } else { 0 };
    let head = [ds::LIST_PREAMBLE, ds::SERIAL_VERSION, ds::FAMILY_HLL, lg_k.get(), ds::LG_LIST];
    let mut out = head.to_vec();
    out.extend_from_slice(&[ds::FLAG_COMPACT | empty, coupons.len() as u8, ds::MODE_LIST]);
    out.extend(coupons.iter().flat_map(|coupon| coupon.to_le_bytes()));
    out
}

/// Our limit, three quarters of K/8 slots, is also theirs: a set of ours always fits one of theirs.
fn set_image(lg_k: LgK, coupons: &[u32]) -> Vec<u8> {
    let slots = (coupons.len() * 4).div_ceil(3).next_power_of_two();
    let lg_slots = (slots.trailing_zeros() as u8).max(ds::LG_SET_MIN);
    let mut out = vec![ds::SET_PREAMBLE, ds::SERIAL_VERSION, ds::FAMILY_HLL, lg_k.get(), lg_slots];
    out.extend_from_slice(&[ds::FLAG_COMPACT, 0, ds::MODE_SET]);
    out.extend_from_slice(&(coupons.len() as u32).to_le_bytes());
    out.extend(coupons.iter().flat_map(|coupon| coupon.to_le_bytes()));
    out
}

fn hll_image(lg_k: LgK, registers: &Registers) -> Vec<u8> {
    let histogram = registers.histogram();
    let mut out = vec![ds::HLL_PREAMBLE, ds::SERIAL_VERSION, ds::FAMILY_HLL, lg_k.get(), 0];
    out.extend_from_slice(&[ds::FLAG_OUT_OF_ORDER, 0, ds::MODE_HLL]);
    out.extend_from_slice(&0f64.to_le_bytes()); // HIP accumulator, void when out of order
    out.extend_from_slice(&inverse_powers(histogram, 0..32).to_le_bytes()); // kxq0
    out.extend_from_slice(&inverse_powers(histogram, 32..64).to_le_bytes()); // kxq1
    out.extend_from_slice(&histogram[0].to_le_bytes()); // registers at the current minimum, which is 0
    out.extend_from_slice(&0u32.to_le_bytes()); // entries of the auxiliary table, which only HLL_4 has
    out.extend_from_slice(registers.bytes());
    out
}

/// Σ 2^-value over the registers with a value in the range. Exact: the terms span at most 53 bits.
fn inverse_powers(histogram: &Histogram, values: std::ops::Range<usize>) -> f64 {
    values.map(|v| f64::from(histogram[v]) * f64::from_bits((1023 - v as u64) << 52)).sum()
}

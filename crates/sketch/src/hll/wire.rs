//! The snapshot of [`Distinct`]. It is canonical: a function of the set of values and of lg K. The byte table is in
//! docs/FORMATS.md; images of Apache DataSketches are the matter of `image.rs`.

use super::registers::{RANK_MAX, Registers};
use super::set::TokenSet;
use super::{Distinct, LgK, State};
use crate::DecodeError;
use crate::codec::{Limits, Reader, expect_head, kind};

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
}

fn restore_registers(r: &mut Reader<'_>, lg_k: LgK) -> Result<Registers, DecodeError> {
    let bytes = r.bytes(lg_k.registers())?;
    // 63 is all ones: what is above it has another bit. The plain loop becomes vector instructions, a maximum does not.
    match bytes.iter().fold(0, |all, byte| all | byte) {
        0 => Err(DecodeError::Invalid("registers without a value")),
        1..=RANK_MAX => Ok(Registers::from_bytes(bytes.into())),
        _ => Err(DecodeError::Invalid("a register above 63")),
    }
}

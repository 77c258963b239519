//! Snapshots of [`MinHash`]. Table in docs/FORMATS.md.

use super::{LgK, MinHash, State};
use crate::codec::{DecodeError, Limits, Reader, expect_head, kind};
use crate::hll::set::TokenSet;

const VERSION: u8 = 1;
const SET: u8 = 0;
const BINS: u8 = 1;

impl MinHash {
    /// Appends the snapshot: lossless and canonical. 8 + 8n bytes for a set of n values, 4 + 8K for bins.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        debug_assert!(self.is_sound());
        out.extend_from_slice(&[kind::MIN_HASH, VERSION, self.lg_k.get()]);
        match &self.state {
            State::Set(set) => {
                out.push(SET);
                set.write(out);
            }
            State::Bins(bins) => {
                out.push(BINS);
                out.extend(bins.iter().flat_map(|hash| hash.to_le_bytes()));
            }
        }
    }

    /// Reads a snapshot back. Nothing is allocated that the bytes at hand do not fill.
    ///
    /// # Errors
    /// On anything that [`MinHash::snapshot`] does not write, and on more than the limit.
    pub fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<MinHash, DecodeError> {
        expect_head(r, kind::MIN_HASH, VERSION, "not a minhash of version 1")?;
        let lg_k = LgK::new(r.u8()?).map_err(|_| DecodeError::Invalid("lg K of a minhash"))?;
        limits.allow("bins", lg_k.bins() as u64, size_of::<u64>())?;
        let state = match r.u8()? {
            SET => State::Set(TokenSet::read(r, lg_k.exact_max())?),
            BINS => {
                let words = r.bytes(lg_k.bins() * 8)?.chunks_exact(8);
                State::Bins(
                    words
                        .map(|word| word.iter().rev().fold(0, |all, &byte| all << 8 | u64::from(byte)))
                        .collect(),
                )
            }
            _ => return Err(DecodeError::Invalid("mode of a minhash")),
        };
        let sketch = MinHash { lg_k, state };
        if sketch.is_sound() { Ok(sketch) } else { Err(DecodeError::Invalid("a hash in a foreign bin")) }
    }
}

//! SipHash-2-4 with 128 bits of output, under a secret key: the hash of values that somebody chooses.
//!
//! Aumasson & Bernstein, *SipHash: a fast short-input PRF* (2012). Who does not know the key cannot tell which values
//! raise a register, collide in a filter or share a counter, so he can do no better than draw them at random. Why this one:
//! docs/decisions/0009-keyed-hash.md.
//!
//! **Left out:** who may ask again and again and chooses values by the answers learns about any linear or max-based
//! sketch, whatever its hash (Ahmadian & Cohen, *Unmasking vulnerabilities*, 2024; arXiv 2405.17780: some thousand
//! questions). The key stays in memory as it is; memory is not wiped.

use super::{Function, partial_word, word};
use crate::Incompatible;

/// Fewest bytes of a secret.
pub const SECRET_BYTES_MIN: usize = 16;

/// What the id of a key is the hash of.
const ID_LABEL: &[u8] = b"streamgauge key id";

/// A secret key of 128 bits. `Debug` shows its id alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    k0: u64,
    k1: u64,
    id: KeyId,
}

impl Key {
    /// The key itself: 16 random bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Key {
        let (k0, k1) = (word(&bytes), word(&bytes[8..]));
        Key { k0, k1, id: KeyId(siphash_2_4(k0, k1, ID_LABEL)) }
    }

    /// A key from a secret of any length from [`SECRET_BYTES_MIN`] on: the hash of the whole secret under its first 16
    /// bytes. A secret should be random (`head -c 32 /dev/urandom | base64`): from the id, which states carry, short
    /// or likely ones can be found by trying.
    ///
    /// # Errors
    /// [`ShortSecret`].
    pub fn of_secret(secret: &[u8]) -> Result<Key, ShortSecret> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(ShortSecret { bytes: secret.len() });
        }
        let (h1, h2) = siphash_2_4_128(word(secret), word(&secret[8..]), secret);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&h1.to_le_bytes());
        bytes[8..].copy_from_slice(&h2.to_le_bytes());
        Ok(Key::from_bytes(bytes))
    }

    /// What the key is recognised by.
    pub fn id(&self) -> KeyId {
        self.id
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a key is recognised by: SipHash-2-4 with 64 bits of output, under the key, of a fixed text. The other width is
/// another function, so the id is no part of any value's hash; and the key does not follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u64);

impl KeyId {
    /// Whether states under the two keys can be merged.
    ///
    /// # Errors
    /// When they differ.
    pub fn agree(self, other: KeyId) -> Result<(), Incompatible> {
        if self == other {
            Ok(())
        } else {
            Err(Incompatible { what: "key id", ours: self.0, theirs: other.0 })
        }
    }
}

/// Sixteen hexadecimal digits.
impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A secret that is too short to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortSecret {
    /// Its length.
    pub bytes: usize,
}

impl std::fmt::Display for ShortSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a secret of {} bytes, but it takes at least {SECRET_BYTES_MIN}", self.bytes)
    }
}

impl std::error::Error for ShortSecret {}

impl Function for Key {
    #[inline]
    fn bytes(&self, bytes: &[u8]) -> (u64, u64) {
        siphash_2_4_128(self.k0, self.k1, bytes)
    }

    #[inline]
    fn eight(&self, word: u64) -> (u64, u64) {
        let mut sip = Sip::wide(self.k0, self.k1);
        sip.block(word);
        sip.block(8 << 56);
        sip.finish_wide()
    }

    #[inline]
    fn short(&self, low: u64, high: u64, len: usize) -> (u64, u64) {
        let length = (len as u64) << 56;
        let mut sip = Sip::wide(self.k0, self.k1);
        if len < 8 {
            sip.block(low | length);
        } else {
            sip.block(low);
            sip.block(high | length);
        }
        sip.finish_wide()
    }
}

/// SipHash-2-4 with 128 bits of output: both halves, the first one first in the published bytes.
fn siphash_2_4_128(k0: u64, k1: u64, bytes: &[u8]) -> (u64, u64) {
    let mut sip = Sip::wide(k0, k1);
    sip.absorb(bytes);
    sip.finish_wide()
}

/// SipHash-2-4 with 64 bits of output.
fn siphash_2_4(k0: u64, k1: u64, bytes: &[u8]) -> u64 {
    let mut sip = Sip::new(k0, k1);
    sip.absorb(bytes);
    sip.finish()
}

/// The four words of state.
struct Sip {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl Sip {
    #[inline]
    fn new(k0: u64, k1: u64) -> Sip {
        // "somepseudorandomlygeneratedbytes"
        Sip {
            v0: k0 ^ 0x736f_6d65_7073_6575,
            v1: k1 ^ 0x646f_7261_6e64_6f6d,
            v2: k0 ^ 0x6c79_6765_6e65_7261,
            v3: k1 ^ 0x7465_6462_7974_6573,
        }
    }

    #[inline]
    fn wide(k0: u64, k1: u64) -> Sip {
        let mut sip = Sip::new(k0, k1);
        sip.v1 ^= 0xee;
        sip
    }

    #[inline]
    fn absorb(&mut self, bytes: &[u8]) {
        let mut blocks = bytes.chunks_exact(8);
        for block in &mut blocks {
            self.block(word(block));
        }
        self.block(partial_word(blocks.remainder()) | (bytes.len() as u64) << 56);
    }

    #[inline]
    fn block(&mut self, m: u64) {
        self.v3 ^= m;
        self.rounds::<2>();
        self.v0 ^= m;
    }

    #[inline]
    fn finish(mut self) -> u64 {
        self.v2 ^= 0xff;
        self.rounds::<4>();
        self.folded()
    }

    #[inline]
    fn finish_wide(mut self) -> (u64, u64) {
        self.v2 ^= 0xee;
        self.rounds::<4>();
        let h1 = self.folded();
        self.v1 ^= 0xdd;
        self.rounds::<4>();
        (h1, self.folded())
    }

    #[inline]
    fn folded(&self) -> u64 {
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }

    #[inline]
    fn rounds<const N: usize>(&mut self) {
        for _ in 0..N {
            self.v0 = self.v0.wrapping_add(self.v1);
            self.v2 = self.v2.wrapping_add(self.v3);
            self.v1 = self.v1.rotate_left(13) ^ self.v0;
            self.v3 = self.v3.rotate_left(16) ^ self.v2;
            self.v0 = self.v0.rotate_left(32).wrapping_add(self.v3);
            self.v2 = self.v2.wrapping_add(self.v1);
            self.v1 = self.v1.rotate_left(17) ^ self.v2;
            self.v3 = self.v3.rotate_left(21) ^ self.v0;
            self.v2 = self.v2.rotate_left(32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of the published vectors: bytes 0 to 15.
    const K0: u64 = 0x0706_0504_0302_0100;
    const K1: u64 = 0x0f0e_0d0c_0b0a_0908;

    #[test]
    fn siphash_gives_the_published_values() {
        // The paper's appendix A and the vectors of the reference implementation: inputs of bytes 0, 1, 2, ...
        let input: [u8; 15] = std::array::from_fn(|i| i as u8);
        assert_eq!(siphash_2_4(K0, K1, &input), 0xa129_ca61_49be_45e5);
        assert_eq!(
            siphash_2_4(K0, K1, b""),
            u64::from_le_bytes([0x31, 0x0e, 0x0e, 0xdd, 0x47, 0xdb, 0x6f, 0x72])
        );
        let wide: [(usize, [u8; 16]); 3] = [
            (
                0,
                [
                    0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02,
                    0x93,
                ],
            ),
            (
                1,
                [
                    0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc,
                    0x45,
                ],
            ),
            (
                2,
                [
                    0x81, 0x77, 0x22, 0x8d, 0xa4, 0xa4, 0x5d, 0xc7, 0xfc, 0xa3, 0x8b, 0xde, 0xf6, 0x0a, 0xff,
                    0xe4,
                ],
            ),
        ];
        for (len, bytes) in wide {
            let expected = (word(&bytes), word(&bytes[8..]));
            assert_eq!(siphash_2_4_128(K0, K1, &input[..len]), expected, "{len}");
        }
    }

    #[test]
    fn a_key_shows_its_id_alone() {
        let key = Key::from_bytes(std::array::from_fn(|i| i as u8));
        assert_eq!((key.k0, key.k1), (K0, K1));
        assert_eq!(format!("{key:?}"), format!("Key {{ id: KeyId({}), .. }}", key.id().0));
    }
}

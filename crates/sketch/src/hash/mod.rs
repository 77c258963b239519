//! One hash per value, and which one: [`Hashing`].
//!
//! | hashing | function | for |
//! |---|---|---|
//! | [`Hashing::Interchange`] | MurmurHash3 x64 128, seed 9001 | states that Apache DataSketches reads; the default |
//! | [`Hashing::Fast`] | XXH3 128 | speed, where nobody else reads the states |
//! | [`Hashing::Keyed`] | SipHash-2-4 128 under a secret [`Key`] | values that somebody chooses to deceive |
//!
//! Each gives 128 bits, which are condensed into a 64-bit [`Token`] that feeds every sketch of a value:
//!
//! ```text
//! bit 63 ........ 32 | 31 .. 26          | 25 ........ 0
//! h1 >> 32           | min(62,clz(h2))+1 | h1 & (2^26-1)
//! ```
//!
//! The low 32 bits are exactly DataSketches' HLL *coupon*, so sets and registers export without the original values.
//! The Theta sketch of DataSketches keeps another cut of the same 128 bits, `h1 >> 1`: `theta_hash_of_*`.
//!
//! 58 bits of `h1` and the leading zeros of `h2` make about 60 bits of entropy: among n distinct values two share a
//! token with probability of about n²/2^61, 1e-12 for n = 1,536.
//!
//! The functions without a [`Hashing`] are those of the interchange hash. A token does not say which hash made it: merge
//! states of one hashing only. [`Hashing::stamp`] is what tells states apart,
//! [`crate::Keyed`] carries the id of a key with a sketch.

mod choice;
mod keyed;
mod murmur;
mod xxh;

pub use choice::Hashing;
pub use keyed::{Key, KeyId, SECRET_BYTES_MIN, ShortSecret};
pub use murmur::{SEED, murmur3_x64_128};
pub(crate) use murmur::{fmix64, murmur3_preimage};
pub use xxh::{Xxh3Parts, xxh3_128, xxh64};

use murmur::Murmur;

/// The condensed hash of one value. Equal values have equal tokens in every language that follows docs/FORMATS.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

impl Token {
    /// Token of raw bytes. Strings are their UTF-8 bytes, without length or terminator.
    #[inline]
    pub fn of_bytes(bytes: &[u8]) -> Token {
        let (h1, h2) = murmur3_x64_128(bytes, SEED);
        Token::of_hash(h1, h2)
    }

    /// Token of a string.
    #[inline]
    pub fn of_str(s: &str) -> Token {
        Token::of_bytes(s.as_bytes())
    }

    /// Token of an integer: its eight little-endian bytes.
    #[inline]
    pub fn of_i64(v: i64) -> Token {
        let (h1, h2) = Murmur.eight(v as u64);
        Token::of_hash(h1, h2)
    }

    /// Token of a double: its canonical bits (one zero, one NaN).
    #[inline]
    pub fn of_f64(v: f64) -> Token {
        let (h1, h2) = Murmur.eight(canonical_bits(v));
        Token::of_hash(h1, h2)
    }

    /// Condenses the 128-bit hash.
    #[inline]
    pub fn of_hash(h1: u64, h2: u64) -> Token {
        // That is min(62, clz(h2)) + 1 without a branch: the shift adds one, the lowest bit ends the count at 63.
        let rank = u64::from((h2 >> 1 | 1).leading_zeros());
        Token((h1 & 0xFFFF_FFFF_0000_0000) | (rank << 26) | (h1 & 0x3FF_FFFF))
    }

    /// DataSketches' HLL coupon: six bits of rank over 26 bits of address.
    #[inline]
    pub fn coupon(self) -> u32 {
        self.0 as u32
    }

    /// Number of leading zeros plus one, 1..=63: what an HLL register keeps the maximum of.
    #[inline]
    pub fn rank(self) -> u8 {
        (self.0 >> 26) as u8 & 63
    }

    /// All bits remixed, for structures that index by other bits than HLL does (MurmurHash3's 64-bit finaliser).
    #[inline]
    pub fn mixed(self) -> u64 {
        fmix64(self.0)
    }
}

/// The hash that a Theta sketch of DataSketches keeps of raw bytes: the upper 63 bits of `h1`.
#[inline]
pub fn theta_hash_of_bytes(bytes: &[u8]) -> u64 {
    murmur3_x64_128(bytes, SEED).0 >> 1
}

/// Theta hash of a string: of its UTF-8 bytes.
#[inline]
pub fn theta_hash_of_str(s: &str) -> u64 {
    theta_hash_of_bytes(s.as_bytes())
}

/// Theta hash of an integer: of its eight little-endian bytes.
#[inline]
pub fn theta_hash_of_i64(v: i64) -> u64 {
    Murmur.eight(v as u64).0 >> 1
}

/// Theta hash of a double: of its canonical bits (one zero, one NaN).
#[inline]
pub fn theta_hash_of_f64(v: f64) -> u64 {
    Murmur.eight(canonical_bits(v)).0 >> 1
}

/// The bits under which a double is hashed and compared: −0 is 0 and every NaN is one.
#[inline]
pub fn canonical_bits(v: f64) -> u64 {
    if v == 0.0 {
        0
    } else if v.is_nan() {
        0x7FF8_0000_0000_0000
    } else {
        v.to_bits()
    }
}

/// Tokens of a column of strings laid out as Arrow does: `values[offsets[i]..offsets[i + 1]]`.
///
/// # Panics
/// When the offsets do not ascend or lie outside `values`: Arrow arrays never do that.
pub fn tokens_of_strings(values: &[u8], offsets: &[i32], out: &mut Vec<Token>) {
    Hashing::Interchange.tokens_of_strings(values, offsets, out);
}

/// Theta hashes of a column of strings, as [`tokens_of_strings`].
///
/// # Panics
/// When the offsets do not ascend or lie outside `values`: Arrow arrays never do that.
pub fn theta_hashes_of_strings(values: &[u8], offsets: &[i32], out: &mut Vec<u64>) {
    Hashing::Interchange.theta_hashes_of_strings(values, offsets, out);
}

/// A hash function of 128 bits, in the forms that values and columns need. All forms agree on equal bytes.
trait Function {
    /// Of any bytes.
    fn bytes(&self, bytes: &[u8]) -> (u64, u64);
    /// Of the eight little-endian bytes of a number.
    fn eight(&self, word: u64) -> (u64, u64);
    /// Of fewer than sixteen bytes, already loaded into two zero-padded words.
    fn short(&self, low: u64, high: u64, len: usize) -> (u64, u64);
}

/// The little-endian word at the head of at least eight bytes.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]])
}

/// Zero-padded little-endian word of at most eight bytes.
#[inline]
fn partial_word(bytes: &[u8]) -> u64 {
    let n = bytes.len();
    debug_assert!(n <= 8);
    if n >= 8 {
        word(bytes)
    } else if n >= 4 {
        let low = u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        let high = u64::from(u32::from_le_bytes([bytes[n - 4], bytes[n - 3], bytes[n - 2], bytes[n - 1]]));
        low | (high >> (8 * (8 - n)) << 32)
    } else if n > 0 {
        u64::from(bytes[0])
            | u64::from(bytes[n / 2]) << (8 * (n / 2))
            | u64::from(bytes[n - 1]) << (8 * (n - 1))
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_hash_as_their_eight_bytes() {
        assert_eq!(Token::of_i64(-7), Token::of_bytes(&(-7i64).to_le_bytes()));
        assert_eq!(Token::of_f64(-0.0), Token::of_bytes(&[0; 8]));
        assert_eq!(theta_hash_of_i64(-7), theta_hash_of_bytes(&(-7i64).to_le_bytes()));
        assert_eq!(theta_hash_of_f64(-0.0), theta_hash_of_str("\0\0\0\0\0\0\0\0"));
    }

    #[test]
    fn the_low_half_is_the_coupon() {
        let (h1, h2) = murmur3_x64_128(b"user_1", SEED);
        let t = Token::of_str("user_1");
        assert_eq!(t.coupon() & 0x3FF_FFFF, h1 as u32 & 0x3FF_FFFF);
        assert_eq!(u32::from(t.rank()), h2.leading_zeros() + 1);
    }
}

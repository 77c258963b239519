//! One hash per value: MurmurHash3 x64 128 with seed 9001, the interchange hash of Apache DataSketches.
//!
//! The 128 bits are condensed into a 64-bit [`Token`] that feeds every sketch of a value:
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

/// Seed of the interchange hash (DataSketches' default).
pub const SEED: u64 = 9001;

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
        let (h1, h2) = murmur3_tail8(v as u64, SEED);
        Token::of_hash(h1, h2)
    }

    /// Token of a double: its canonical bits (one zero, one NaN).
    #[inline]
    pub fn of_f64(v: f64) -> Token {
        let (h1, h2) = murmur3_tail8(canonical_bits(v), SEED);
        Token::of_hash(h1, h2)
    }

    /// Condenses the 128-bit hash.
    #[inline]
    pub fn of_hash(h1: u64, h2: u64) -> Token {
        let rank = u64::from(h2.leading_zeros().min(62)) + 1;
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
    murmur3_tail8(v as u64, SEED).0 >> 1
}

/// Theta hash of a double: of its canonical bits (one zero, one NaN).
#[inline]
pub fn theta_hash_of_f64(v: f64) -> u64 {
    murmur3_tail8(canonical_bits(v), SEED).0 >> 1
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

const C1: u64 = 0x87c3_7b91_1142_53d5;
const C2: u64 = 0x4cf5_ad43_2745_937f;

#[inline]
pub(crate) fn fmix64(mut k: u64) -> u64 {
    k ^= k >> 33;
    k = k.wrapping_mul(0xff51_afd7_ed55_8ccd);
    k ^= k >> 33;
    k = k.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ (k >> 33)
}

#[inline]
fn mix_k1(k1: u64) -> u64 {
    k1.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2)
}

#[inline]
fn mix_k2(k2: u64) -> u64 {
    k2.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1)
}

#[inline]
fn finish(mut h1: u64, mut h2: u64, len: u64) -> (u64, u64) {
    h1 ^= len;
    h2 ^= len;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    h1 = fmix64(h1);
    h2 = fmix64(h2);
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    (h1, h2)
}

#[inline]
fn murmur3_tail8(v: u64, seed: u64) -> (u64, u64) {
    finish(seed ^ mix_k1(v), seed, 8)
}

/// A tail of fewer than sixteen bytes, already loaded into two zero-padded words.
#[inline]
fn murmur3_short(k1: u64, k2: u64, len: usize) -> (u64, u64) {
    // A zero word mixes to zero, so the branch-free form equals the published one.
    finish(SEED ^ mix_k1(k1), SEED ^ mix_k2(k2), len as u64)
}

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

/// MurmurHash3 x64 128 (Austin Appleby, public domain): both halves.
pub fn murmur3_x64_128(bytes: &[u8], seed: u64) -> (u64, u64) {
    let (mut h1, mut h2) = (seed, seed);
    let mut blocks = bytes.chunks_exact(16);
    for block in &mut blocks {
        h1 ^= mix_k1(word(&block[..8]));
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= mix_k2(word(&block[8..]));
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let tail = blocks.remainder();
    let (low, high) = tail.split_at(tail.len().min(8));
    h2 ^= mix_k2(partial_word(high));
    h1 ^= mix_k1(partial_word(low));
    finish(h1, h2, bytes.len() as u64)
}

/// Tokens of a column of strings laid out as Arrow does: `values[offsets[i]..offsets[i + 1]]`.
///
/// # Panics
/// When the offsets do not ascend or lie outside `values`: Arrow arrays never do that.
pub fn tokens_of_strings(values: &[u8], offsets: &[i32], out: &mut Vec<Token>) {
    hashes_of_strings(values, offsets, out, Token::of_hash);
}

/// Theta hashes of a column of strings, as [`tokens_of_strings`].
///
/// # Panics
/// When the offsets do not ascend or lie outside `values`: Arrow arrays never do that.
pub fn theta_hashes_of_strings(values: &[u8], offsets: &[i32], out: &mut Vec<u64>) {
    hashes_of_strings(values, offsets, out, |h1, _| h1 >> 1);
}

/// Short strings are loaded as two masked words instead of byte by byte, which halves the cost of the hash.
#[inline]
fn hashes_of_strings<T>(values: &[u8], offsets: &[i32], out: &mut Vec<T>, cut: impl Fn(u64, u64) -> T) {
    out.clear();
    let Some((&first, rest)) = offsets.split_first() else { return };
    out.reserve(rest.len());
    let mut start = first as usize;
    for &end in rest {
        let end = end as usize;
        let len = end - start;
        let (h1, h2) = if len < 16 && start + 16 <= values.len() {
            let (k1, k2) = (word(&values[start..start + 8]), word(&values[start + 8..start + 16]));
            let (k1, k2) = if len < 8 {
                (k1 & !(u64::MAX << (8 * len)), 0)
            } else {
                (k1, k2 & !(u64::MAX << (8 * (len - 8))))
            };
            murmur3_short(k1, k2, len)
        } else {
            murmur3_x64_128(&values[start..end], SEED)
        };
        out.push(cut(h1, h2));
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur3_gives_the_published_values() {
        // Reference values of the public-domain implementation (mmh3 and Guava print the same).
        assert_eq!(murmur3_x64_128(b"", 0), (0, 0));
        assert_eq!(
            murmur3_x64_128(b"The quick brown fox jumps over the lazy dog", 0),
            (0xe34b_bc7b_bc07_1b6c, 0x7a43_3ca9_c49a_9347)
        );
        assert_eq!(murmur3_x64_128(b"hello", 0), (0xcbd8_a7b3_41bd_9b02, 0x5b1e_906a_48ae_1d19));
    }

    #[test]
    fn every_length_takes_the_same_road_in_a_column() {
        let text: Vec<u8> = (0..200u8).collect();
        let mut offsets = vec![0i32];
        for len in 0..19 {
            offsets.push(offsets.last().unwrap() + len);
        }
        let mut out = Vec::new();
        tokens_of_strings(&text, &offsets, &mut out);
        for (pair, token) in offsets.windows(2).zip(&out) {
            assert_eq!(*token, Token::of_bytes(&text[pair[0] as usize..pair[1] as usize]), "{pair:?}");
        }
        let mut out = Vec::new();
        theta_hashes_of_strings(&text, &offsets, &mut out);
        for (pair, hash) in offsets.windows(2).zip(&out) {
            assert_eq!(*hash, theta_hash_of_bytes(&text[pair[0] as usize..pair[1] as usize]), "{pair:?}");
        }
    }

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

//! XXH3 with 128 bits, the fast hash, and XXH64, which Parquet's Bloom filters prescribe. Both without a seed.
//!
//! Yann Collet's xxHash (doc/xxhash_spec.md of its repository); frozen since release 0.8.0, so these bytes never change.
//! One road per length, because most values are short: up to 16 bytes two or three wide multiplications do.
//!
//! **Left out:** seeds and secrets, vector instructions for inputs beyond 240 bytes.

use super::{Function, word};

const PRIME32_1: u64 = 0x9E37_79B1;
const PRIME32_2: u64 = 0x85EB_CA77;
const PRIME32_3: u64 = 0xC2B2_AE3D;
const PRIME64_1: u64 = 0x9E37_79B1_85EB_CA87;
const PRIME64_2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const PRIME64_3: u64 = 0x1656_67B1_9E37_79F9;
const PRIME64_4: u64 = 0x85EB_CA77_C2B2_AE63;
const PRIME64_5: u64 = 0x27D4_EB2F_1656_67C5;
const PRIME_MX1: u64 = 0x1656_6791_9E37_79F9;
const PRIME_MX2: u64 = 0x9FB2_1C65_1E98_DF25;

/// The published default secret.
const SECRET: [u8; 192] = [
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c, 0xde,
    0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f, 0xcb, 0x79,
    0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21, 0xb8, 0x08, 0x46,
    0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c, 0x3c, 0x28, 0x52, 0xbb,
    0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3, 0x71, 0x64, 0x48, 0x97, 0xa2,
    0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8, 0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c,
    0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d, 0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59,
    0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64, 0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3,
    0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb, 0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3,
    0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e, 0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8,
    0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce, 0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb,
    0xca, 0xbb, 0x4b, 0x40, 0x7e,
];

/// Bytes of a stripe, and of a block of stripes, of long inputs.
const STRIPE: usize = 64;
const BLOCK: usize = (SECRET.len() - STRIPE) / 8 * STRIPE;

/// XXH3 128; `h1` is its low half.
#[derive(Clone, Copy)]
pub(super) struct Xxh3;

impl Function for Xxh3 {
    #[inline]
    fn bytes(&self, bytes: &[u8]) -> (u64, u64) {
        xxh3_128(bytes)
    }

    #[inline]
    fn eight(&self, word: u64) -> (u64, u64) {
        of_4_to_8(word & 0xFFFF_FFFF, word >> 32, 8)
    }

    // Too large for the compiler to do so unasked, and a call would cost a column of short strings a fifth.
    #[inline(always)]
    fn short(&self, low: u64, high: u64, len: usize) -> (u64, u64) {
        match len {
            9.. => {
                // The last eight bytes overlap the first ones.
                let skipped = 8 * (len as u32 - 8);
                of_9_to_16(low, low >> skipped | high << (64 - skipped), len)
            }
            4..=8 => of_4_to_8(low & 0xFFFF_FFFF, low >> (8 * (len - 4)) & 0xFFFF_FFFF, len),
            1..=3 => of_1_to_3(low & 0xFF, low >> (8 * (len / 2)) & 0xFF, low >> (8 * (len - 1)) & 0xFF, len),
            0 => of_none(),
        }
    }
}

/// XXH3 with 128 bits, without a seed: (low half, high half).
pub fn xxh3_128(bytes: &[u8]) -> (u64, u64) {
    let len = bytes.len();
    match len {
        0 => of_none(),
        1..=3 => {
            let [first, middle, last] = [0, len / 2, len - 1].map(|i| u64::from(bytes[i]));
            of_1_to_3(first, middle, last, len)
        }
        4..=8 => of_4_to_8(half_word(bytes, 0), half_word(bytes, len - 4), len),
        9..=16 => of_9_to_16(word(bytes), word(&bytes[len - 8..]), len),
        17..=128 => of_17_to_128(bytes),
        129..=240 => of_129_to_240(bytes),
        _ => of_long(bytes),
    }
}

#[inline]
fn of_none() -> (u64, u64) {
    (avalanche64(secret(64) ^ secret(72)), avalanche64(secret(80) ^ secret(88)))
}

#[inline]
fn of_1_to_3(first: u64, middle: u64, last: u64, len: usize) -> (u64, u64) {
    let low = (first << 16 | middle << 24 | last | (len as u64) << 8) as u32;
    let high = low.swap_bytes().rotate_left(13);
    let flip = |at| secret(at) & 0xFFFF_FFFF ^ secret(at) >> 32;
    (avalanche64(u64::from(low) ^ flip(0)), avalanche64(u64::from(high) ^ flip(8)))
}

#[inline(always)]
fn of_4_to_8(first: u64, last: u64, len: usize) -> (u64, u64) {
    let keyed = (first | last << 32) ^ secret(16) ^ secret(24);
    let (mut low, mut high) = wide(keyed, PRIME64_1.wrapping_add((len as u64) << 2));
    high = high.wrapping_add(low << 1);
    low ^= high >> 3;
    low = (low ^ low >> 35).wrapping_mul(PRIME_MX2);
    (low ^ low >> 28, avalanche(high))
}

#[inline(always)]
fn of_9_to_16(first: u64, last: u64, len: usize) -> (u64, u64) {
    let (low, high) = wide(first ^ last ^ secret(32) ^ secret(40), PRIME64_1);
    let low = low.wrapping_add((len as u64 - 1) << 54);
    let last = last ^ secret(48) ^ secret(56);
    let high = high.wrapping_add(last).wrapping_add((last & 0xFFFF_FFFF) * (PRIME32_2 - 1));
    let (h1, h2) = wide(low ^ high.swap_bytes(), PRIME64_2);
    (avalanche(h1), avalanche(h2.wrapping_add(high.wrapping_mul(PRIME64_2))))
}

/// Out of line, as the longer ones: the short roads stay small where they are inlined.
#[inline(never)]
fn of_17_to_128(bytes: &[u8]) -> (u64, u64) {
    let len = bytes.len();
    let mut acc = (PRIME64_1.wrapping_mul(len as u64), 0);
    // From the middle outwards: pairs of 16 bytes from both ends.
    for i in (0..=(len - 1) / 32).rev() {
        acc = mix_32(acc, &bytes[16 * i..], &bytes[len - 16 * (i + 1)..], 32 * i);
    }
    finish_middle(acc, len)
}

#[inline(never)]
fn of_129_to_240(bytes: &[u8]) -> (u64, u64) {
    let len = bytes.len();
    let mut acc = (PRIME64_1.wrapping_mul(len as u64), 0);
    for at in (0..128).step_by(32) {
        acc = mix_32(acc, &bytes[at..], &bytes[at + 16..], at);
    }
    acc = (avalanche(acc.0), avalanche(acc.1));
    for at in (128..len - 31).step_by(32) {
        acc = mix_32(acc, &bytes[at..], &bytes[at + 16..], at - 128 + 3);
    }
    acc = mix_32(acc, &bytes[len - 16..], &bytes[len - 32..], 136 - 17 - 16);
    finish_middle(acc, len)
}

fn mix_32((low, high): (u64, u64), a: &[u8], b: &[u8], at: usize) -> (u64, u64) {
    let ((a0, a1), (b0, b1)) = ((word(a), word(&a[8..])), (word(b), word(&b[8..])));
    let low = low.wrapping_add(folded(a0 ^ secret(at), a1 ^ secret(at + 8))) ^ b0.wrapping_add(b1);
    let high = high.wrapping_add(folded(b0 ^ secret(at + 16), b1 ^ secret(at + 24))) ^ a0.wrapping_add(a1);
    (low, high)
}

fn finish_middle((low, high): (u64, u64), len: usize) -> (u64, u64) {
    let mixed = low
        .wrapping_mul(PRIME64_1)
        .wrapping_add(high.wrapping_mul(PRIME64_4))
        .wrapping_add((len as u64).wrapping_mul(PRIME64_2));
    (avalanche(low.wrapping_add(high)), avalanche(mixed).wrapping_neg())
}

/// Accumulators of long inputs before the first byte.
const FRESH: [u64; 8] =
    [PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3, PRIME64_4, PRIME32_2, PRIME64_5, PRIME32_1];

#[inline(never)]
fn of_long(bytes: &[u8]) -> (u64, u64) {
    of_rest(FRESH, bytes, bytes.len() as u64)
}

/// The end of a long input, behind whole blocks, of which there are at least two stripes; `len` is that of the whole.
fn of_rest(mut acc: [u64; 8], bytes: &[u8], len: u64) -> (u64, u64) {
    // The last stripe is taken apart, even when it is a whole one.
    let whole = (bytes.len() - 1) / STRIPE * STRIPE;
    bytes[..whole].chunks(BLOCK).for_each(|block| take_block(&mut acc, block));
    accumulate(&mut acc, &bytes[bytes.len() - STRIPE..], SECRET.len() - STRIPE - 7);
    let low = merged(&acc, 11, len.wrapping_mul(PRIME64_1));
    (low, merged(&acc, SECRET.len() - STRIPE - 11, !len.wrapping_mul(PRIME64_2)))
}

/// Takes a block in, or the stripes that there are of the last one.
fn take_block(acc: &mut [u64; 8], block: &[u8]) {
    for (n, stripe) in block.chunks_exact(STRIPE).enumerate() {
        accumulate(acc, stripe, 8 * n);
    }
    if block.len() == BLOCK {
        scramble(acc);
    }
}

fn accumulate(acc: &mut [u64; 8], stripe: &[u8], at: usize) {
    for i in 0..8 {
        let value = word(&stripe[8 * i..]);
        let keyed = value ^ secret(at + 8 * i);
        acc[i ^ 1] = acc[i ^ 1].wrapping_add(value);
        acc[i] = acc[i].wrapping_add((keyed & 0xFFFF_FFFF) * (keyed >> 32));
    }
}

fn scramble(acc: &mut [u64; 8]) {
    for (i, lane) in acc.iter_mut().enumerate() {
        *lane = (*lane ^ *lane >> 47 ^ secret(SECRET.len() - STRIPE + 8 * i)).wrapping_mul(PRIME32_1);
    }
}

fn merged(acc: &[u64; 8], at: usize, start: u64) -> u64 {
    let pairs =
        (0..4).map(|i| folded(acc[2 * i] ^ secret(at + 16 * i), acc[2 * i + 1] ^ secret(at + 16 * i + 8)));
    avalanche(pairs.fold(start, u64::wrapping_add))
}

#[inline]
fn secret(at: usize) -> u64 {
    word(&SECRET[at..at + 8])
}

#[inline]
fn half_word(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]))
}

/// The product of 128 bits: (low half, high half).
#[inline]
fn wide(a: u64, b: u64) -> (u64, u64) {
    let product = u128::from(a) * u128::from(b);
    (product as u64, (product >> 64) as u64)
}

#[inline]
fn folded(a: u64, b: u64) -> u64 {
    let (low, high) = wide(a, b);
    low ^ high
}

#[inline]
fn avalanche(mut h: u64) -> u64 {
    h = (h ^ h >> 37).wrapping_mul(PRIME_MX1);
    h ^ h >> 32
}

#[inline]
fn avalanche64(mut h: u64) -> u64 {
    h = (h ^ h >> 33).wrapping_mul(PRIME64_2);
    h = (h ^ h >> 29).wrapping_mul(PRIME64_3);
    h ^ h >> 32
}

/// [`xxh3_128`] of bytes that come in parts. Holds at most two blocks (2 KiB) and a part.
#[derive(Debug, Clone)]
pub struct Xxh3Parts {
    acc: [u64; 8],
    /// What was not taken in yet; longer than a block once anything was.
    rest: Vec<u8>,
    len: u64,
}

impl Default for Xxh3Parts {
    fn default() -> Xxh3Parts {
        Xxh3Parts { acc: FRESH, rest: Vec::new(), len: 0 }
    }
}

impl Xxh3Parts {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        self.rest.extend_from_slice(bytes);
        // The last bytes are taken otherwise, and short inputs altogether: more than a block always stays.
        let whole = self.rest.len().saturating_sub(BLOCK + 1) / BLOCK * BLOCK;
        self.rest[..whole].chunks_exact(BLOCK).for_each(|block| take_block(&mut self.acc, block));
        self.rest.drain(..whole);
    }

    /// The hash of all bytes: (low half, high half).
    pub fn finish(&self) -> (u64, u64) {
        if self.len == self.rest.len() as u64 {
            return xxh3_128(&self.rest);
        }
        of_rest(self.acc, &self.rest, self.len)
    }
}

/// XXH64 without a seed, which fills the Bloom filters of Parquet ([`crate::bloom::ParquetFilter`]).
pub fn xxh64(bytes: &[u8]) -> u64 {
    let mut hash = PRIME64_5;
    let mut rest = bytes;
    if bytes.len() >= 32 {
        let mut lanes = [PRIME64_1.wrapping_add(PRIME64_2), PRIME64_2, 0, PRIME64_1.wrapping_neg()];
        let mut stripes = bytes.chunks_exact(32);
        for stripe in &mut stripes {
            for (i, lane) in lanes.iter_mut().enumerate() {
                *lane = round(*lane, word(&stripe[8 * i..]));
            }
        }
        rest = stripes.remainder();
        let turns = [1, 7, 12, 18];
        hash = lanes.iter().zip(turns).fold(0, |sum: u64, (lane, by)| sum.wrapping_add(lane.rotate_left(by)));
        for lane in lanes {
            hash = (hash ^ round(0, lane)).wrapping_mul(PRIME64_1).wrapping_add(PRIME64_4);
        }
    }
    hash = hash.wrapping_add(bytes.len() as u64);
    let mut words = rest.chunks_exact(8);
    for eight in &mut words {
        hash = (hash ^ round(0, word(eight))).rotate_left(27).wrapping_mul(PRIME64_1).wrapping_add(PRIME64_4);
    }
    let mut rest = words.remainder();
    if rest.len() >= 4 {
        hash ^= half_word(rest, 0).wrapping_mul(PRIME64_1);
        hash = hash.rotate_left(23).wrapping_mul(PRIME64_2).wrapping_add(PRIME64_3);
        rest = &rest[4..];
    }
    for &byte in rest {
        hash ^= u64::from(byte).wrapping_mul(PRIME64_5);
        hash = hash.rotate_left(11).wrapping_mul(PRIME64_1);
    }
    avalanche64(hash)
}

#[inline]
fn round(lane: u64, value: u64) -> u64 {
    lane.wrapping_add(value.wrapping_mul(PRIME64_2)).rotate_left(31).wrapping_mul(PRIME64_1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xxhash_gives_the_published_values() {
        // Of the empty input, as in the documentation of the reference implementation and its ports.
        assert_eq!(xxh64(b""), 0xEF46_DB37_51D8_E999);
        assert_eq!(xxh64(b"a"), 0xD24E_C4F1_A98C_6E5B);
        assert_eq!(xxh64(b"abc"), 0x44BC_2CF5_AD77_0999);
        assert_eq!(xxh3_128(b""), (0x6001_C324_468D_497F, 0x99AA_06D3_0147_98D8));
    }

    #[test]
    fn parts_hash_as_the_whole_does() {
        let bytes: Vec<u8> = (0..9_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for len in (0..300)
            .chain((300..9_000).step_by(61))
            .chain(BLOCK - 2..BLOCK + 3)
            .chain(2 * BLOCK..2 * BLOCK + 3)
        {
            for part in [1, 63, 64, 1_000, BLOCK, 5_000] {
                let mut parts = Xxh3Parts::default();
                bytes[..len].chunks(part).for_each(|part| parts.push(part));
                assert_eq!(parts.finish(), xxh3_128(&bytes[..len]), "{len} bytes in parts of {part}");
            }
        }
    }
}

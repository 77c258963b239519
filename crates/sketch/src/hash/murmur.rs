//! MurmurHash3 x64 128, the interchange hash.

use super::{Function, partial_word, word};

/// Seed of the interchange hash (DataSketches' default).
pub const SEED: u64 = 9001;

/// MurmurHash3 x64 128 with [`SEED`].
#[derive(Clone, Copy)]
pub(super) struct Murmur;

impl Function for Murmur {
    #[inline]
    fn bytes(&self, bytes: &[u8]) -> (u64, u64) {
        murmur3_x64_128(bytes, SEED)
    }

    #[inline]
    fn eight(&self, word: u64) -> (u64, u64) {
        finish(SEED ^ mix_k1(word), SEED, 8)
    }

    #[inline]
    fn short(&self, low: u64, high: u64, len: usize) -> (u64, u64) {
        // A zero word mixes to zero, so the branch-free form equals the published one.
        finish(SEED ^ mix_k1(low), SEED ^ mix_k2(high), len as u64)
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

/// The one block of sixteen bytes whose [`murmur3_x64_128`] with [`SEED`] is this: each step of the hash of a single block
/// can be undone. It lets a token enter a structure that insists on hashing by itself.
pub(crate) fn murmur3_preimage(mut h1: u64, mut h2: u64) -> [u8; 16] {
    h2 = h2.wrapping_sub(h1);
    h1 = h1.wrapping_sub(h2);
    (h1, h2) = (unmix64(h1), unmix64(h2));
    h2 = h2.wrapping_sub(h1);
    h1 = h1.wrapping_sub(h2);
    (h1, h2) = (h1 ^ 16, h2 ^ 16);
    let m2 = unround(h2, 0x3849_5ab5).wrapping_sub(h1).rotate_right(31) ^ SEED;
    let m1 = unround(h1, 0x52dc_e729).wrapping_sub(SEED).rotate_right(27) ^ SEED;
    let k1 = m1.wrapping_mul(inverse(C2)).rotate_right(31).wrapping_mul(inverse(C1));
    let k2 = m2.wrapping_mul(inverse(C1)).rotate_right(33).wrapping_mul(inverse(C2));
    let mut block = [0; 16];
    block[..8].copy_from_slice(&k1.to_le_bytes());
    block[8..].copy_from_slice(&k2.to_le_bytes());
    block
}

/// Undoes [`fmix64`]. A shift by more than half the word undoes itself.
fn unmix64(mut k: u64) -> u64 {
    k ^= k >> 33;
    k = k.wrapping_mul(inverse(0xc4ce_b9fe_1a85_ec53));
    k ^= k >> 33;
    k = k.wrapping_mul(inverse(0xff51_afd7_ed55_8ccd));
    k ^ (k >> 33)
}

/// Undoes `h * 5 + added`.
fn unround(h: u64, added: u64) -> u64 {
    h.wrapping_sub(added).wrapping_mul(inverse(5))
}

/// The inverse of an odd number modulo 2^64: Newton's iteration, which doubles the right bits from three on.
const fn inverse(odd: u64) -> u64 {
    let mut x = odd;
    let mut right = 3;
    while right < 64 {
        x = x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x)));
        right *= 2;
    }
    x
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
    fn a_preimage_hashes_to_what_it_was_made_for() {
        for n in 0..1_000 {
            let (h1, h2) = murmur3_x64_128(&[n as u8, (n >> 8) as u8], 7);
            for (h1, h2) in [(h1, h2), (h1, 1 << (n % 64)), (n, 0), (u64::MAX, u64::MAX - n)] {
                assert_eq!(murmur3_x64_128(&murmur3_preimage(h1, h2), SEED), (h1, h2));
            }
        }
    }
}

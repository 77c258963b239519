//! One split-block Bloom filter: blocks of 256 bits, one bit in each of a block's eight words per key.
//!
//! Putze, Sanders & Singler, *Cache-, Hash- and Space-Efficient Bloom Filters* (2007), with the salts and the bit layout
//! of Apache Impala and Parquet: the upper 32 bits of [`Token::mixed`] scaled to the number of blocks choose the block,
//! the lower 32 bits times eight odd salts choose the bits. One operation touches one cache line and divides nothing.
//!
//! **The rate is known exactly.** A key that is not in the filter finds all its bits in a block with the product over
//! the eight words of the share of bits that are set, and each block is as likely as another. So the false-positive
//! rate at this moment is the mean of these products, of which there is one for each block, in 2^-40. Whoever wants it after
//! every key keeps their sum beside the filter (`measured.rs`).
//!
//! **Law, of whole bytes:** order does not matter and a merge equals one filter over all keys.

use std::array;

use super::blocks_for;
use crate::codec::{DecodeError, Limits, Reader, expect_head, kind};
use crate::{Health, Incompatible, MergeNote, Outflow, Token};

/// Bytes of a block.
pub const BLOCK_BYTES: u64 = 32;
/// Most blocks of a filter, 256 MiB: the sum of their products, 2^40 each, still fits 63 bits.
pub const BLOCKS_MAX: u64 = (1 << 23) - 1;
/// Blocks that are written at a time: 16 KiB.
const SENT_BLOCKS: usize = 512;

const VERSION: u8 = 1;
const SALTS: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// Aligned, so that it lies in one cache line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(align(32))]
pub(super) struct Block([u32; 8]);

impl Block {
    /// Bits set in each word. Step by step over all words, which becomes vector instructions on every machine;
    /// `count_ones` becomes a dozen plain ones per word where the oldest x86-64 must do.
    #[inline]
    fn counts(&self) -> [u32; 8] {
        let mut x = self.0;
        x.iter_mut().for_each(|x| *x -= *x >> 1 & 0x5555_5555);
        x.iter_mut().for_each(|x| *x = (*x & 0x3333_3333) + (*x >> 2 & 0x3333_3333));
        x.iter_mut().for_each(|x| *x = (*x + (*x >> 4)) & 0x0F0F_0F0F);
        x.iter_mut().for_each(|x| *x += *x >> 8);
        x.iter_mut().for_each(|x| *x = (*x + (*x >> 16)) & 63);
        x
    }

    /// Sets a bit in each word; true when one of them was not set. Without a branch: which words miss their bit is a matter
    /// of chance.
    #[inline]
    fn set(&mut self, bits: &[u32; 8]) -> bool {
        let mut missing = 0;
        for (word, bit) in self.0.iter_mut().zip(bits) {
            missing |= bit & !*word;
            *word |= bit;
        }
        missing != 0
    }

    /// The same; by how much the product grows, and the number of set bits. Without a second
    /// count: a word gains one bit or none.
    #[inline]
    pub(super) fn set_counting(&mut self, bits: &[u32; 8]) -> (u64, u32) {
        let before = self.counts();
        let mut new = [0; 8];
        for ((new, word), bit) in new.iter_mut().zip(&mut self.0).zip(bits) {
            *new = u32::from(bit & !*word != 0);
            *word |= bit;
        }
        let after = array::from_fn(|i| before[i] + new[i]);
        (product(after) - product(before), new.iter().sum())
    }
}

/// Product of the numbers of set bits of the eight words, at most 2^40.
#[inline]
fn product(c: [u32; 8]) -> u64 {
    // In pairs: three multiplications deep instead of seven, the first four of them one vector instruction. Four factors
    // of at most 32 fit 32 bits.
    let pairs: [u32; 4] = array::from_fn(|i| c[i] * c[i + 4]);
    u64::from(pairs[0] * pairs[1]) * u64::from(pairs[2] * pairs[3])
}

/// Where a key goes in any filter: computed once for all layers.
#[derive(Clone, Copy)]
pub(super) struct Place {
    upper: u64,
    bits: [u32; 8],
}

impl Place {
    #[inline]
    pub fn of(token: Token) -> Place {
        Place::of_hash(token.mixed())
    }

    #[inline]
    pub fn of_hash(hash: u64) -> Place {
        let lower = hash as u32;
        Place { upper: hash >> 32, bits: SALTS.map(|salt| 1 << (lower.wrapping_mul(salt) >> 27)) }
    }

    /// The bit of each word of the block.
    #[inline]
    pub fn bits(&self) -> &[u32; 8] {
        &self.bits
    }
}

/// Keys of a batch whose blocks are fetched together before the first of them is looked at: a core has about as many
/// reads of memory under way at a time. 64 would save a tenth more where all reads miss, and cost it where none does.
pub(super) const AHEAD: usize = 32;

/// The mixed hashes of at most [`AHEAD`] keys.
pub(super) struct Ahead {
    hashes: [u64; AHEAD],
    len: usize,
}

impl Ahead {
    #[inline]
    pub fn of(tokens: &[Token]) -> Ahead {
        let mut hashes = [0; AHEAD];
        for (hash, token) in hashes.iter_mut().zip(tokens) {
            *hash = token.mixed();
        }
        Ahead { hashes, len: tokens.len().min(AHEAD) }
    }

    #[inline]
    fn hashes(&self) -> &[u64] {
        &self.hashes[..self.len]
    }

    #[inline]
    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.hashes().iter().map(|&hash| Place::of_hash(hash))
    }
}

/// A filter for set membership: never a false no, a false yes at [`Filter::rate`].
///
/// ```
/// use sketch::Token;
/// use sketch::bloom::Filter;
///
/// let mut known = Filter::for_keys(10_000, 0.01);
/// for id in 0..10_000 {
///     known.insert(Token::of_i64(id));
/// }
/// assert!(known.contains(Token::of_i64(1_234)));
/// assert!((known.rate() - 0.01).abs() < 0.001);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    blocks: Box<[Block]>,
}

impl Filter {
    /// An empty filter of so many blocks of 32 bytes, at least 1 and at most [`BLOCKS_MAX`].
    pub fn new(blocks: u64) -> Filter {
        Filter { blocks: vec![Block::default(); blocks.clamp(1, BLOCKS_MAX) as usize].into() }
    }

    /// An empty filter for so many keys at an expected rate of at most this, at most [`BLOCKS_MAX`] blocks.
    pub fn for_keys(keys: u64, rate: f64) -> Filter {
        Filter::new(blocks_for(keys, rate))
    }

    /// Takes in a key; true when it was certainly not in before. O(1).
    #[inline]
    pub fn insert(&mut self, token: Token) -> bool {
        self.insert_at(&Place::of(token))
    }

    /// False: certainly not in. True: in, or one of the foreign keys of which [`Filter::rate`] are taken for known.
    #[inline]
    pub fn contains(&self, token: Token) -> bool {
        self.contains_at(&Place::of(token))
    }

    /// Takes in a batch of keys, the same as one by one: how many were certainly not in before. In filters beyond the
    /// caches several times as fast, as the reads of many blocks overlap.
    pub fn insert_all(&mut self, tokens: &[Token]) -> u64 {
        let mut new = 0;
        for part in tokens.chunks(AHEAD) {
            let ahead = Ahead::of(part);
            self.fetch(&ahead);
            ahead.places().for_each(|place| new += u64::from(self.insert_at(&place)));
        }
        new
    }

    /// Answers [`Filter::contains`] for a batch of keys, in their order; `out` is emptied first.
    pub fn contains_all(&self, tokens: &[Token], out: &mut Vec<bool>) {
        out.clear();
        out.reserve(tokens.len());
        for part in tokens.chunks(AHEAD) {
            let ahead = Ahead::of(part);
            self.fetch(&ahead);
            out.extend(ahead.places().map(|place| self.contains_at(&place)));
        }
    }

    /// Reads a word of each block, so that all of them are on their way from memory at once. A plain read, as a prefetch
    /// is not to be had without `unsafe`; the result must not be known to be unused.
    #[inline]
    pub(super) fn fetch(&self, ahead: &Ahead) {
        let block = |hash: &u64| &self.blocks[self.block_of(hash >> 32)];
        std::hint::black_box(ahead.hashes().iter().fold(0, |all, hash| all ^ block(hash).0[0]));
    }

    #[inline]
    pub(super) fn contains_at(&self, place: &Place) -> bool {
        let block = &self.blocks[self.block_of(place.upper)].0;
        (0..8).fold(0, |missing, i| missing | (place.bits[i] & !block[i])) == 0
    }

    #[inline]
    pub(super) fn insert_at(&mut self, place: &Place) -> bool {
        self.block_mut(place).set(&place.bits)
    }

    /// The block of a key.
    #[inline]
    pub(super) fn block_mut(&mut self, place: &Place) -> &mut Block {
        let at = self.block_of(place.upper);
        &mut self.blocks[at]
    }

    /// Multiply-shift (fast-range): uniform for any number of blocks, without a division.
    #[inline]
    fn block_of(&self, upper: u64) -> usize {
        ((upper * self.blocks.len() as u64) >> 32) as usize
    }

    /// Adds the keys of another filter. O(blocks).
    ///
    /// # Errors
    /// When the numbers of blocks differ; nothing is changed then.
    pub fn merge(&mut self, other: &Filter) -> Result<MergeNote, Incompatible> {
        let (ours, theirs) = (self.blocks() as u64, other.blocks() as u64);
        if ours != theirs {
            return Err(Incompatible { what: "blocks of a filter", ours, theirs });
        }
        for (block, more) in self.blocks.iter_mut().zip(&other.blocks) {
            for (word, more) in block.0.iter_mut().zip(more.0) {
                *word |= more;
            }
        }
        Ok(MergeNote::Exact)
    }

    /// The false-positive rate at this moment: exact for these bits, over keys with a random hash. O(blocks).
    pub fn rate(&self) -> f64 {
        self.sums().0 as f64 * self.product_scale()
    }

    /// What a product adds to the rate: 2^-40 over the number of blocks.
    pub(super) fn product_scale(&self) -> f64 {
        1.0 / (self.blocks.len() as f64 * (1u64 << 40) as f64)
    }

    /// Share of bits that are set; half of them when the filter is about as full as it should get. O(blocks).
    pub fn fill(&self) -> f64 {
        self.sums().1 as f64 / (self.blocks.len() as f64 * 256.0)
    }

    /// The sum of the products of all blocks, and the number of bits set. O(blocks).
    pub(super) fn sums(&self) -> (u64, u64) {
        let add = |(products, ones): (u64, u64), block: &Block| {
            let counts = block.counts();
            (products + product(counts), ones + u64::from(counts.iter().sum::<u32>()))
        };
        self.blocks.iter().fold((0, 0), add)
    }

    /// Number of blocks.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// True when no key is in. O(blocks) when none is, and soon false when many are.
    pub fn is_empty(&self) -> bool {
        self.blocks.iter().all(|block| *block == Block::default())
    }

    /// What stands behind the answers: `split-block/1024` for so many blocks.
    pub fn sketch_name(&self) -> String {
        format!("split-block/{}", self.blocks.len())
    }

    /// Bits set, and the false-positive rate; saturated beyond half of the bits, where a larger filter is the better one.
    pub fn health(&self) -> Health {
        if self.is_empty() {
            return Health::exact(0.0);
        }
        let fill = self.fill();
        Health::with_error(fill, self.rate()).saturated_when(fill > 0.5)
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Filter>() + size_of_val(&*self.blocks)
    }

    /// Appends the snapshot, 6 + 32 · blocks bytes; what follows the head is the bit set of a Parquet filter.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        Outflow::append(out, |out| self.send(out));
    }

    /// The same for a filter that need not stand in memory twice.
    pub fn send(&self, out: &mut Outflow<'_>) {
        if cfg!(debug_assertions) {
            self.check_invariants();
        }
        out.bytes().extend_from_slice(&[kind::FILTER, VERSION]);
        out.bytes().extend_from_slice(&(self.blocks.len() as u32).to_le_bytes());
        for blocks in self.blocks.chunks(SENT_BLOCKS) {
            write_blocks(blocks, out.bytes());
            out.ease();
        }
    }

    /// The blocks alone, as Parquet has them.
    pub(super) fn write_bits(&self, out: &mut Vec<u8>) {
        write_blocks(&self.blocks, out);
    }

    /// Reads what [`Filter::snapshot`] wrote. Survives any bytes and allocates no more than it reads.
    ///
    /// # Errors
    /// [`DecodeError`]: the bytes end early, no or too many blocks, or a block in which some words are empty and others
    /// are not.
    pub fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<Filter, DecodeError> {
        expect_head(r, kind::FILTER, VERSION, "not a filter of version 1")?;
        let count = r.count("blocks of a filter", BLOCKS_MAX as usize, BLOCK_BYTES as usize)?;
        Filter::read_bits(r, count, limits)
    }

    /// Reads `count` blocks.
    pub(super) fn read_bits(
        r: &mut Reader<'_>,
        count: usize,
        limits: &Limits,
    ) -> Result<Filter, DecodeError> {
        limits.allow("blocks of a filter", count as u64, BLOCK_BYTES as usize)?;
        if count == 0 {
            return Err(DecodeError::Invalid("a filter without blocks"));
        }
        let (words, _) = r.bytes(count * BLOCK_BYTES as usize)?.as_chunks::<4>();
        let (blocks, _) = words.as_chunks::<8>();
        let blocks: Box<[Block]> = blocks.iter().map(|words| Block(words.map(u32::from_le_bytes))).collect();
        if !blocks.iter().all(is_possible) {
            return Err(DecodeError::Invalid("a block that is partly empty"));
        }
        Ok(Filter { blocks })
    }

    /// For tests, and before every snapshot in debug builds. O(blocks).
    ///
    /// # Panics
    /// When the structure is broken, which would be a bug.
    pub fn check_invariants(&self) {
        assert!((1..=BLOCKS_MAX).contains(&(self.blocks.len() as u64)), "a filter has blocks");
        assert!(self.blocks.iter().all(is_possible), "a key sets a bit in every word of its block");
    }
}

fn write_blocks(blocks: &[Block], out: &mut Vec<u8>) {
    out.extend(blocks.iter().flat_map(|block| block.0).flat_map(u32::to_le_bytes));
}

/// A key sets one bit in every word, so either all words hold bits or none does.
fn is_possible(block: &Block) -> bool {
    block.0.iter().all(|&word| word != 0) || *block == Block::default()
}

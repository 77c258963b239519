//! The Bloom filter of a Parquet column chunk: the blocks of [`Filter`], filled by XXH64 of the values' plain encoding.
//!
//! The words and the bytes are those of parquet-format's *BloomFilter.md*: a Thrift header (compact protocol) says the
//! number of bytes, and that blocks, XXH64 and no compression are used, the only ones there are; the blocks follow. Readers
//! then skip row groups that cannot hold a value.
//!
//! A type of its own, so that a filter over another hash is never merged with it or written as one.
//!
//! **Left out:** where in a file it stands (`bloom_filter_offset` and `bloom_filter_length` of the column's metadata),
//! encryption, and growing: it has the size it was made for.

use super::filter::Place;
use super::{BLOCK_BYTES, BLOCKS_MAX, Filter, blocks_for};
use crate::codec::write_varint;
use crate::hash::xxh64;
use crate::{DecodeError, Incompatible, Limits, MergeNote, Reader};

/// Most blocks of a filter that all readers take: parquet-java and Arrow C++ know none beyond 128 MiB.
const BLOCKS_READ_MAX: u64 = 1 << 22;

/// First byte of the header: field 1, a 32-bit integer.
const NUM_BYTES: u8 = 0x15;
/// The rest of it: fields 2 (algorithm), 3 (hash) and 4 (compression), each a union whose field 1 is an empty struct
/// (BLOCK, XXHASH, UNCOMPRESSED), and the end.
const BLOCK_XXHASH_UNCOMPRESSED: [u8; 13] = [0x1c, 0x1c, 0, 0, 0x1c, 0x1c, 0, 0, 0x1c, 0x1c, 0, 0, 0];

/// A Bloom filter that Parquet readers understand.
///
/// A value is what Parquet's plain encoding makes of it, without a length: the bytes of a string, the little-endian
/// bytes of an INT32, INT64, FLOAT or DOUBLE.
///
/// ```
/// use sketch::bloom::ParquetFilter;
/// use sketch::{Limits, Reader};
///
/// let mut names = ParquetFilter::for_keys(10_000, 0.01);
/// names.insert(b"ada");
/// names.insert(&42i64.to_le_bytes());
///
/// let bytes = names.to_parquet();
/// let read = ParquetFilter::from_parquet(&mut Reader::new(&bytes), &Limits::default())?;
/// assert!(read.contains(b"ada") && read.contains(&42i64.to_le_bytes()) && !read.contains(b"bob"));
/// # Ok::<(), sketch::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ParquetFilter(Filter);

impl ParquetFilter {
    /// An empty filter of so many blocks of 32 bytes, at least 1 and at most [`BLOCKS_MAX`].
    ///
    /// The format takes any number. parquet-java and Arrow C++ write powers of two alone; the former reads any, the
    /// latter has refused others. [`ParquetFilter::for_keys`] is always a power of two.
    pub fn new(blocks: u64) -> ParquetFilter {
        ParquetFilter(Filter::new(blocks))
    }

    /// For so many keys at a false-positive rate of at most this, rounded up to a power of two, at most 128 MiB.
    pub fn for_keys(keys: u64, rate: f64) -> ParquetFilter {
        let blocks = blocks_for(keys, rate).min(BLOCKS_READ_MAX);
        ParquetFilter::new(blocks.next_power_of_two())
    }

    /// Takes in a value in its plain encoding; true when it was certainly not in before.
    #[inline]
    pub fn insert(&mut self, value: &[u8]) -> bool {
        self.insert_hash(xxh64(value))
    }

    /// False: certainly not in. True: in, or one of the foreign values of which [`ParquetFilter::rate`] are taken for
    /// known.
    #[inline]
    pub fn contains(&self, value: &[u8]) -> bool {
        self.contains_hash(xxh64(value))
    }

    /// [`ParquetFilter::insert`] of the XXH64 of a value.
    #[inline]
    pub fn insert_hash(&mut self, xxh64: u64) -> bool {
        self.0.insert_at(&Place::of_hash(xxh64))
    }

    /// [`ParquetFilter::contains`] of the XXH64 of a value.
    #[inline]
    pub fn contains_hash(&self, xxh64: u64) -> bool {
        self.0.contains_at(&Place::of_hash(xxh64))
    }

    /// Adds the values of another filter. O(blocks).
    ///
    /// # Errors
    /// When the numbers of blocks differ; nothing is changed then.
    pub fn merge(&mut self, other: &ParquetFilter) -> Result<MergeNote, Incompatible> {
        self.0.merge(&other.0)
    }

    /// The false-positive rate at this moment: exact for these bits, over values with a random hash. O(1).
    pub fn rate(&self) -> f64 {
        self.0.rate()
    }

    /// Number of blocks.
    pub fn blocks(&self) -> usize {
        self.0.blocks()
    }

    /// True when no value is in.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }

    /// The header and the blocks, as they stand in a Parquet file: 15 to 19 bytes and 32 for each block.
    pub fn to_parquet(&self) -> Vec<u8> {
        let bytes = self.blocks() as u64 * BLOCK_BYTES;
        let mut out = vec![NUM_BYTES];
        // Signed numbers are zigzag varints; a positive one is twice itself.
        write_varint(bytes * 2, &mut out);
        out.extend_from_slice(&BLOCK_XXHASH_UNCOMPRESSED);
        self.0.write_bits(&mut out);
        out
    }

    /// Reads what stands in a Parquet file and leaves the reader behind it. Survives any bytes and allocates no more than
    /// it reads.
    ///
    /// # Errors
    /// [`DecodeError`]: another algorithm, hash or compression; a header in another spelling than the one all writers
    /// use; not a whole number of blocks, none, or more than the limits allow; bytes that end early.
    pub fn from_parquet(r: &mut Reader<'_>, limits: &Limits) -> Result<ParquetFilter, DecodeError> {
        if r.u8()? != NUM_BYTES {
            return Err(DecodeError::Invalid("header of a Parquet Bloom filter"));
        }
        let twice = r.varint()?;
        let bytes = twice / 2;
        if !twice.is_multiple_of(2) || !bytes.is_multiple_of(BLOCK_BYTES) {
            return Err(DecodeError::Invalid("bytes of a Parquet Bloom filter"));
        }
        if r.bytes(BLOCK_XXHASH_UNCOMPRESSED.len())? != BLOCK_XXHASH_UNCOMPRESSED {
            return Err(DecodeError::Invalid("kind of a Parquet Bloom filter"));
        }
        let blocks = bytes / BLOCK_BYTES;
        if blocks > BLOCKS_MAX {
            let what = "blocks of a Parquet Bloom filter";
            return Err(DecodeError::TooLarge { what, declared: blocks, limit: BLOCKS_MAX });
        }
        Filter::read_bits(r, blocks as usize, limits).map(ParquetFilter)
    }

    /// For tests. O(blocks).
    ///
    /// # Panics
    /// When the structure is broken, which would be a bug.
    pub fn check_invariants(&self) {
        self.0.check_invariants();
    }
}

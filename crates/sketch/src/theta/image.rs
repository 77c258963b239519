//! The compact image of a Theta sketch in Apache DataSketches: serial version 3 is written, that and the compressed one of
//! version 4 are read. Tables in docs/FORMATS.md.

use super::table::Table;
use super::{LgK, THETA_MAX, Theta, allow_hashes, check_hashes, read_hashes};
use crate::codec::Reader;
use crate::{DecodeError, Limits};

/// Constants of the DataSketches theta image (its PreambleUtil).
mod ds {
    pub const SERIAL_VERSION: u8 = 3;
    pub const SERIAL_VERSION_COMPRESSED: u8 = 4;
    pub const FAMILY_COMPACT: u8 = 3;
    /// Hash of seed 9001, which tells sketches of different seeds apart; 0 in an empty image.
    pub const SEED_HASH: u16 = 0x93CC;
    pub const BIG_ENDIAN: u8 = 1;
    pub const READ_ONLY: u8 = 2;
    pub const EMPTY: u8 = 4;
    pub const COMPACT: u8 = 8;
    pub const ORDERED: u8 = 16;
    pub const SINGLE: u8 = 32;
    pub const ALWAYS: u8 = READ_ONLY | COMPACT | ORDERED;
}

/// An image that cannot be taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageError {
    /// Bytes that are no compact theta image of version 3 or 4.
    Bytes(DecodeError),
    /// Values were hashed with another seed than 9001: the two hashes of the seeds.
    Seed {
        /// That of seed 9001.
        ours: u16,
        /// That in the image.
        theirs: u16,
    },
}

impl std::fmt::Display for ImageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ImageError::Bytes(e) => write!(f, "theta image: {e}"),
            ImageError::Seed { ours, theirs } => {
                write!(f, "theta image of another hash seed: {theirs:04x}, not {ours:04x}")
            }
        }
    }
}

impl std::error::Error for ImageError {}

impl From<DecodeError> for ImageError {
    fn from(e: DecodeError) -> Self {
        ImageError::Bytes(e)
    }
}

impl Theta {
    /// The compact, ordered image that Apache DataSketches reads in Java, C++, Go, Python and Rust, for a reader of the
    /// same values. Canonical: the K smallest hashes. O(K log K).
    pub fn to_datasketches(&self) -> Vec<u8> {
        let (hashes, theta) = self.smallest_sorted();
        let seed = ds::SEED_HASH.to_le_bytes();
        let head = |longs: u8, flags: u8, seed: [u8; 2]| {
            vec![longs, ds::SERIAL_VERSION, ds::FAMILY_COMPACT, 0, 0, ds::ALWAYS | flags, seed[0], seed[1]]
        };
        let mut out = match (hashes.len(), theta) {
            (0, THETA_MAX) => head(1, ds::EMPTY, [0, 0]),
            (1, THETA_MAX) => head(1, ds::SINGLE, seed),
            (_, THETA_MAX) => head(2, 0, seed),
            _ => head(3, 0, seed),
        };
        let longs = out[0];
        if longs > 1 {
            out.extend_from_slice(&(hashes.len() as u64).to_le_bytes());
        }
        if longs > 2 {
            out.extend_from_slice(&theta.to_le_bytes());
        }
        out.extend(hashes.iter().flat_map(|hash| hash.to_le_bytes()));
        out
    }

    /// Takes in a compact image of version 3, ordered or not, or a compressed one of version 4, as a sketch of this lg K.
    /// An image of more hashes is cut to K; one of fewer keeps its θ. Survives any bytes and allocates in proportion to
    /// them: 8 bytes for each hash, which takes at least a bit of a compressed image.
    ///
    /// # Errors
    /// [`ImageError`]: other bytes, a table of their hashes beyond `limits`, or other hashes.
    pub fn from_datasketches(image: &[u8], lg_k: LgK, limits: &Limits) -> Result<Theta, ImageError> {
        let r = &mut Reader::new(image);
        let head = r.bytes(8)?;
        let (flags, seed) = (head[5], u16::from_le_bytes([head[6], head[7]]));
        let compressed = head[1] == ds::SERIAL_VERSION_COMPRESSED;
        if !compressed && head[1] != ds::SERIAL_VERSION
            || head[2] != ds::FAMILY_COMPACT
            || flags & ds::COMPACT == 0
        {
            return Err(DecodeError::Invalid("not a compact theta image of version 3 or 4").into());
        }
        if flags & ds::BIG_ENDIAN != 0 {
            return Err(DecodeError::Invalid("a big-endian image").into());
        }
        if flags & ds::EMPTY != 0 {
            return Ok(Theta::new(lg_k));
        }
        if seed != ds::SEED_HASH {
            return Err(ImageError::Seed { ours: ds::SEED_HASH, theirs: seed });
        }
        let (mut hashes, theta) =
            if compressed { read_compressed(r, head, limits)? } else { read_plain(r, head[0], limits)? };
        if r.remaining() > 0 {
            return Err(DecodeError::Invalid("bytes after the end").into());
        }
        if flags & ds::ORDERED == 0 {
            hashes.sort_unstable();
        }
        check_hashes(hashes.iter().copied(), theta).map_err(DecodeError::Invalid)?;
        let mut theta = Theta { lg_k, theta, table: Table::of_ascending(hashes.into_iter(), theta) };
        theta.cut();
        Ok(theta)
    }
}

/// What follows the head in version 3: the hashes and theta.
fn read_plain(r: &mut Reader<'_>, longs: u8, limits: &Limits) -> Result<(Vec<u64>, u64), DecodeError> {
    // Writers of a single hash do not all set the flag for it; a non-empty image of one long has nothing else.
    let count = match longs {
        1 => 1,
        2 | 3 => r.count("theta hashes", usize::MAX, 8)?,
        _ => return Err(DecodeError::Invalid("preamble of a theta image")),
    };
    allow_hashes(count, limits)?;
    if longs > 1 {
        r.u32()?;
    }
    let theta = if longs > 2 { r.u64()? } else { THETA_MAX };
    Ok((read_hashes(r, count)?, theta))
}

/// What follows the head in version 4: every hash as its distance from the one before, in so many bits, highest first.
fn read_compressed(r: &mut Reader<'_>, head: &[u8], limits: &Limits) -> Result<(Vec<u64>, u64), DecodeError> {
    let (longs, width, count_bytes) = (head[0], u32::from(head[3]), usize::from(head[4]));
    if !(1..=2).contains(&longs) || !(1..=63).contains(&width) || count_bytes > 4 {
        return Err(DecodeError::Invalid("preamble of a compressed theta image"));
    }
    let theta = if longs > 1 { r.u64()? } else { THETA_MAX };
    let count = r.bytes(count_bytes)?.iter().rev().fold(0u64, |count, &byte| count << 8 | u64::from(byte));
    let packed = r.bytes((count * u64::from(width)).div_ceil(8) as usize)?;
    allow_hashes(count as usize, limits)?;
    let mut hashes = Vec::with_capacity(count as usize);
    // `held` bits of `window` are read and not used; at most 7 + 63 of them at a time.
    let (mut window, mut held, mut hash) = (0u128, 0, 0u64);
    for &byte in packed {
        window = window << 8 | u128::from(byte);
        held += 8;
        while held >= width && (hashes.len() as u64) < count {
            held -= width;
            // What saturates is above every theta, and refused as that.
            hash = hash.saturating_add((window >> held) as u64);
            window &= (1 << held) - 1;
            hashes.push(hash);
        }
    }
    Ok((hashes, theta))
}

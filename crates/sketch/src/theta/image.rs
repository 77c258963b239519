//! The compact image of a Theta sketch in Apache DataSketches, serial version 3. Table in docs/FORMATS.md.

use super::table::Table;
use super::{LgK, THETA_MAX, Theta, check_hashes, read_hashes};
use crate::DecodeError;
use crate::codec::Reader;

/// Constants of the DataSketches theta image (its PreambleUtil).
mod ds {
    pub const SERIAL_VERSION: u8 = 3;
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
    /// Bytes that are no compact, uncompressed theta image of version 3.
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
    pub fn export(&self) -> Vec<u8> {
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

    /// Takes in a compact, uncompressed image of version 3, ordered or not, as a sketch of this lg K. An image of more
    /// hashes is cut to K; one of fewer keeps its θ. Survives any bytes and allocates in proportion to them.
    ///
    /// # Errors
    /// [`ImageError`]: other bytes, or other hashes.
    pub fn import(image: &[u8], lg_k: LgK) -> Result<Theta, ImageError> {
        let r = &mut Reader::new(image);
        let head = r.bytes(8)?;
        let (longs, flags, seed) = (head[0], head[5], u16::from_le_bytes([head[6], head[7]]));
        if head[1] != ds::SERIAL_VERSION || head[2] != ds::FAMILY_COMPACT || flags & ds::COMPACT == 0 {
            return Err(DecodeError::Invalid("not a compact theta image of version 3").into());
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
        // Writers of a single hash do not all set the flag for it; a non-empty image of one long has nothing else.
        let count = match longs {
            1 => 1,
            2 | 3 => r.count("theta hashes", usize::MAX, 8)?,
            _ => return Err(DecodeError::Invalid("preamble of a theta image").into()),
        };
        if longs > 1 {
            r.u32()?;
        }
        let theta = if longs > 2 { r.u64()? } else { THETA_MAX };
        let mut hashes = read_hashes(r, count)?;
        if r.remaining() > 0 {
            return Err(DecodeError::Invalid("bytes after the end").into());
        }
        if flags & ds::ORDERED == 0 {
            hashes.sort_unstable();
        }
        check_hashes(&hashes, theta).map_err(DecodeError::Invalid)?;
        let mut theta = Theta { lg_k, theta, table: Table::of(&hashes) };
        theta.cut();
        Ok(theta)
    }
}

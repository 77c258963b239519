//! Commits: what makes a source go on where it was, whatever ended the program.
//!
//! A directory holds *segments*, each a part of the state (a shard, the filters of verdicts), and *manifests*, one for
//! each commit. A manifest names the segments of its commit with their checksums, how far each file was read, how long
//! the quarantine file was, and holds clock and counters: state and positions change together or not at all. Segments are
//! never changed; a part that is as it was is named again instead of being written again. A manifest is written beside its
//! place, made durable and then renamed, so it is there in whole or not at all; what it names is durable before that.
//!
//! The last [`KEPT`] commits stay. A newest one that is damaged is named aloud and the one before it taken, which is safe as long as
//! everything after it can be read again: files can, and the quarantine is cut back to where it was. A directory whose
//! commits are all damaged is an error: nothing ever starts from nothing by itself.

mod directory;
mod manifest;
mod segment;

pub use directory::{Restored, StateDirectory};
pub use manifest::{About, Manifest, Position, Segment};

pub(crate) use directory::Cut;
pub(crate) use manifest::{checksum, count, read_bytes, read_text, write_bytes};

/// Commits that are kept.
pub const KEPT: usize = 2;

/// The part that holds the filters of verdicts.
const JUDGE: &str = "judge";

/// How segments are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Codec {
    /// Not at all.
    None = 0,
    /// Zstandard, its fastest level.
    #[default]
    Zstd = 1,
    /// gzip, its fastest level.
    Gzip = 2,
}

impl Codec {
    /// Every one there is.
    pub const ALL: [Codec; 3] = [Codec::None, Codec::Zstd, Codec::Gzip];
}

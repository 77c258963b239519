//! Commits: what makes a source go on where it was, whatever ended the program.
//!
//! A directory holds *segments*, each a part of the state (a shard but for its closed panes, the filters of verdicts, closed
//! panes), and *manifests*, one for each commit. A manifest names the segments of its commit with their checksums, how far each file was read, how long
//! the quarantine file was, and holds clock and counters: state and positions change together or not at all. Segments are
//! never changed; a part that is as it was is named again instead of being written again. A manifest is written beside its
//! place, made durable and then renamed, so it is there in whole or not at all; what it names is durable before that.
//!
//! The last [`KEPT`] commits stay. A newest one that is damaged is named aloud and the one before it taken, which is safe as long as
//! everything after it can be read again: files can, and the quarantine is cut back to where it was. A directory whose
//! commits are all damaged is an error: nothing ever starts from nothing by itself.

mod directory;
mod manifest;
mod migrate;
mod panes;
mod segment;
mod shelf;
#[cfg(test)]
pub(crate) mod tests;

pub use directory::{Restored, StateDirectory};
pub use manifest::{About, Begun, Manifest, Position, Segment, StateId};
pub use migrate::Migration;
pub use panes::{OfShard, PaneRecords};
pub use segment::{pack, unpack};
pub use shelf::{Moved, PaneShelf};

pub(crate) use directory::Cut;
pub(crate) use manifest::{
    checksum, checksum_of, checksum_of_file, count, read_bytes, read_text, write_bytes,
};

/// Commits that are kept.
pub const KEPT: usize = 2;

/// The part that holds the filters of verdicts.
const JUDGE: &str = "judge";
/// What the parts are called that hold shards, before their numbers.
const SHARD: &str = "shard-";
/// The part that holds closed panes.
const PANES: &str = "panes";
pub(crate) const SEGMENT: &str = "segment-";

/// How the segments begin to be called that a commit has written.
fn segments_of(commit: u64) -> String {
    format!("{SEGMENT}{commit:016x}-")
}

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
    /// LZ4, frames.
    Lz4 = 3,
}

impl Codec {
    /// Every one there is.
    pub const ALL: [Codec; 4] = [Codec::None, Codec::Zstd, Codec::Gzip, Codec::Lz4];
}

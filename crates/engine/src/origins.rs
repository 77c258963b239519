//! What one node hands to another of its state: the seam between a door and the store that keeps states of other nodes.
//!
//! A commit of an *origin* (another node, by the name it was given) is a manifest and immutable segments, which the manifest
//! names with their lengths and checksums. So handing it over is: offer the manifest, be told which segments are lacking,
//! send those, offer it again. Whatever of that is lost, repeated or comes late, a newer commit stays and an older one
//! changes nothing. Neither side knows the other, and the engine does not keep, time or count anything here.

use std::fmt;

/// Longest name of an origin.
pub const ORIGIN_BYTES_MAX: usize = 64;

/// Whether a name can be that of an origin: letters and digits of ASCII, `.`, `_` and `-`, no `.` first, at most
/// [`ORIGIN_BYTES_MAX`] of them.
pub fn is_origin(name: &str) -> bool {
    let fits = (1..=ORIGIN_BYTES_MAX).contains(&name.len()) && !name.starts_with('.');
    fits && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Keeps the states of other nodes, durably. Its calls wait for the disk.
pub trait Origins: Send + Sync {
    /// Takes a commit over when everything that its manifest names is there.
    ///
    /// # Errors
    /// [`No`].
    fn offer(&self, origin: &str, source: &str, manifest: &[u8]) -> Result<Offered, No>;

    /// Begins to take a segment that the commit needs which was offered last of this state of the origin.
    ///
    /// # Errors
    /// [`No`].
    fn segment(&self, of: &SegmentOf<'_>) -> Result<Box<dyn Incoming>, No>;

    /// Takes a saved state ([`StateFile`](crate::state::StateFile)) as all that there is of an origin, unless this revision or a later one
    /// was taken before: repeated, lost and late ones change nothing.
    ///
    /// # Errors
    /// [`No`].
    fn merge(&self, origin: &str, revision: u64, file: &[u8]) -> Result<Replaced, No> {
        let _ = (origin, revision, file);
        Err(No::NoSource("no saved states are taken here".into()))
    }
}

/// What came of a saved state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// It is what counts of the origin now.
    Taken,
    /// This revision, or a later one, was there before.
    Known {
        /// The newest.
        revision: u64,
    },
}

/// Which segment.
#[derive(Debug, Clone, Copy)]
pub struct SegmentOf<'a> {
    /// Who sends it.
    pub origin: &'a str,
    /// The source that it is of.
    pub source: &'a str,
    /// Which state of the source; the answer to an offer names it.
    pub state: &'a str,
    /// Its name in the manifest.
    pub name: &'a str,
}

/// A segment on its way to the disk. When it is dropped before its end, nothing of it stays.
pub trait Incoming: Send {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// When they are more than the manifest says, or cannot be written.
    fn push(&mut self, bytes: &[u8]) -> Result<(), No>;

    /// Keeps it, durably, when it is what the manifest says.
    ///
    /// # Errors
    /// When it is not.
    fn finish(self: Box<Self>) -> Result<(), No>;
}

/// What came of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offered {
    /// It is the newest commit of the origin now.
    Taken,
    /// This commit, or a later one, had been taken over before.
    Known {
        /// The newest.
        commit: u64,
    },
    /// Segments have to come first.
    Lacks {
        /// The state that they are of, as their paths name it.
        state: String,
        /// Their names.
        segments: Vec<String>,
    },
}

/// Why something of an origin is not taken over. Each is a whole sentence without its full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum No {
    /// It makes no sense, and never will.
    Bad(String),
    /// There is no such source.
    NoSource(String),
    /// The two do not go together.
    Another(String),
    /// More than is kept of others.
    TooMuch(String),
    /// No commit that was offered needs it, or not with these bytes: offer the commit again.
    NotThis(String),
    /// Too many at once. Trying again soon helps.
    Busy,
    /// The disk is full.
    NoSpace,
    /// The disk refuses, in the words of the system.
    Failed(String),
}

impl fmt::Display for No {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            No::Bad(why) | No::NoSource(why) | No::Another(why) | No::TooMuch(why) | No::NotThis(why) => {
                f.write_str(why)
            }
            No::Busy => f.write_str("too many segments are being written"),
            No::NoSpace => f.write_str("the disk is full"),
            No::Failed(why) => write!(f, "it could not be written: {why}"),
        }
    }
}

impl std::error::Error for No {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_origins_are_names_of_directories_too() {
        for name in ["a", "web-1", "eu.west_2", "-", &"x".repeat(ORIGIN_BYTES_MAX)] {
            assert!(is_origin(name), "{name}");
        }
        for name in ["", ".", "..", ".x", "a/b", "a\\b", "a b", "ä", "a\0", &"x".repeat(ORIGIN_BYTES_MAX + 1)]
        {
            assert!(!is_origin(name), "{name:?}");
        }
    }
}

//! Hands what a directory has committed to another node.
//!
//! A run may be writing there: the newest commit is read, and when it is tidied away before it was handed over, the next one.

use super::name_of;
use crate::RunError;
use crate::checkpoint::{Manifest, Segment, StateDirectory, StateId, checksum_of_file};
use engine::origins::Offered;
use std::fs::File;
use std::path::Path;

/// Offers of one push. Each names a thousand segments that are lacking, so more than this are out of bounds.
const OFFERS_MAX: u32 = 200;
/// Segments that are refused because another commit was offered meanwhile, or because bytes were lost on the way.
const REFUSED_MAX: u32 = 8;

/// The other node.
pub trait Remote {
    /// Offers a commit.
    ///
    /// # Errors
    /// When it is refused, or could not be asked.
    fn offer(&mut self, source: &str, manifest: &[u8]) -> Result<Offered, Failure>;

    /// Sends a segment of so many bytes.
    ///
    /// # Errors
    /// As above.
    fn segment(
        &mut self,
        source: &str,
        state: &str,
        name: &str,
        bytes: u64,
        file: File,
    ) -> Result<(), Failure>;
}

/// What was not done, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The same may be done later.
    Later(String),
    /// A segment is not wanted (any more), or not with these bytes: offer again.
    NotThis(String),
    /// It will not be done.
    Never(String),
}

/// A push that did not come to its end.
#[derive(Debug)]
pub enum PushError {
    /// The state cannot be read.
    Here(RunError),
    /// A segment is damaged here.
    Damaged(String),
    /// The other node.
    There(Failure),
}

/// A commit that the other node has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its number, or a later one that was there before.
    pub commit: u64,
    /// Whether it was there before.
    pub known: bool,
    /// Segments that were sent.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Hands over the newest commit of the directory of a source; `None` when there is none yet.
///
/// # Errors
/// [`PushError`]. What was sent of it stays there, so that trying again goes on.
pub fn push(directory: &Path, remote: &mut dyn Remote) -> Result<Option<Sent>, PushError> {
    let (mut segments, mut bytes, mut refused) = (0, 0, 0);
    for _ in 0..OFFERS_MAX {
        let newest = StateDirectory::newest(directory).map_err(PushError::Here)?;
        let Some((manifest, raw)) = newest else { return Ok(None) };
        if manifest.state == StateId::default() {
            let text = "an older program wrote this state: let one run of this version commit";
            return Err(PushError::There(Failure::Never(text.into())));
        }
        let source = &manifest.about.source;
        let (state, lacking) = match remote.offer(source, &raw).map_err(PushError::There)? {
            Offered::Taken => {
                return Ok(Some(Sent { commit: manifest.number, known: false, segments, bytes }));
            }
            Offered::Known { commit } => return Ok(Some(Sent { commit, known: true, segments, bytes })),
            Offered::Lacks { state, segments } => (state, segments),
        };
        for segment in asked_for(&manifest, &state, &lacking)? {
            let path = directory.join(&segment.file);
            // One that is gone was tidied away behind a later commit.
            let Ok(file) = File::open(&path) else { break };
            if !file.metadata().is_ok_and(|meta| meta.len() == segment.bytes) {
                damaged_here(&path, segment)?;
            }
            match remote.segment(source, &state, &segment.file, segment.bytes, file) {
                Ok(()) => (segments, bytes) = (segments + 1, bytes + segment.bytes),
                Err(Failure::NotThis(why)) => {
                    damaged_here(&path, segment)?;
                    refused += 1;
                    if refused > REFUSED_MAX {
                        return Err(PushError::There(Failure::Later(why)));
                    }
                    break;
                }
                Err(failure) => return Err(PushError::There(failure)),
            }
        }
    }
    let text = "it goes on asking for segments, or they go away before they are sent";
    Err(PushError::There(Failure::Later(text.into())))
}

/// The segments that the other node asks for, which must be those of the commit.
fn asked_for<'a>(
    manifest: &'a Manifest,
    state: &str,
    lacking: &[String],
) -> Result<Vec<&'a Segment>, PushError> {
    let find = |name: &String| manifest.segments.iter().find(|segment| segment.file == *name);
    let found: Option<Vec<&Segment>> = lacking.iter().map(find).collect();
    found.filter(|_| state == name_of(manifest.state)).ok_or_else(|| {
        let text = "it asks for what the commit does not have: is that a streamgauge?";
        PushError::There(Failure::Never(text.into()))
    })
}

/// Whether it is here that a segment has other bytes than its commit says.
fn damaged_here(path: &Path, segment: &Segment) -> Result<(), PushError> {
    match File::open(path).and_then(checksum_of_file) {
        Ok(sum) if sum != segment.checksum => {
            let path = path.display();
            let text =
                format!("`{path}` is damaged: its checksum does not hold, so it was cut off or changed");
            Err(PushError::Damaged(text))
        }
        _ => Ok(()),
    }
}

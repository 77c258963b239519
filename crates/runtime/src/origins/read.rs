//! What is there of other nodes, read without changing anything, also while more comes.

use super::{ORIGINS, entries, is_state};
use crate::RunError;
use crate::checkpoint::{Restored, StateDirectory};
use engine::origins::is_origin;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a state is read anew that was replaced while it was being read.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(50);

/// The newest commit of an origin.
#[derive(Debug)]
pub struct Copied {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds.
    pub restored: Restored,
}

/// Whether states of other nodes are taken below this state directory, or were.
pub fn any(state: &Path) -> bool {
    state.join(ORIGINS).is_dir()
}

/// The origins that have sent a state of a source to this state directory, by name.
pub fn names(state: &Path, source: &str) -> Vec<String> {
    let below = state.join(ORIGINS);
    let mut names = entries(&below).unwrap_or_default();
    names.retain(|name| is_origin(name) && !states(&below.join(name).join(source)).is_empty());
    names.sort();
    names
}

/// Reads the newest commit of an origin; `None` when there is none. One that is damaged is named, and the one before it taken.
///
/// # Errors
/// As [`StateDirectory::look`].
pub fn read(state: &Path, origin: &str, source: &str) -> Result<Option<Copied>, RunError> {
    let place = state.join(ORIGINS).join(origin).join(source);
    let mut tries = 1;
    loop {
        let Some(newest) = states(&place).pop() else { return Ok(None) };
        let path = place.join(newest);
        let read = StateDirectory::look(&path);
        // What looks damaged may have been replaced meanwhile.
        let whole = read.as_ref().is_ok_and(|read| read.as_ref().is_some_and(|r| r.damaged.is_empty()));
        if whole || tries == TRIES {
            return Ok(read?.map(|restored| Copied { path, restored }));
        }
        tries += 1;
        std::thread::sleep(PAUSE);
    }
}

/// What is there of an origin without reading its segments: its state, and the number and time of its newest commit.
pub fn version(state: &Path, origin: &str, source: &str) -> Option<(String, u64, u64)> {
    let place = state.join(ORIGINS).join(origin).join(source);
    let newest = states(&place).pop()?;
    let (manifest, _) = StateDirectory::manifests(&place.join(&newest)).pop()?;
    Some((newest, manifest.number, manifest.written_us))
}

/// The states of a place that have a commit, by name, which is by age.
pub(super) fn states(place: &Path) -> Vec<String> {
    let mut names = entries(place).unwrap_or_default();
    names.retain(|name| is_state(name) && !StateDirectory::manifests(&place.join(name)).is_empty());
    names.sort();
    names
}

/// All directories of states.
pub(super) fn places(below: &Path) -> Vec<PathBuf> {
    let inside = |path: &PathBuf| -> Vec<PathBuf> {
        entries(path).unwrap_or_default().iter().map(|name| path.join(name)).collect()
    };
    let origins = inside(&below.to_path_buf());
    origins.iter().flat_map(inside).flat_map(|place| inside(&place)).collect()
}

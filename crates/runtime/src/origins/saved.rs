//! States that other nodes have saved and sent in whole: `ORIGIN/saved.d/REVISION.sgs`, the newest counts.
//!
//! The one before stays, in case the newest is found damaged. What cannot be merged with what is measured here is refused before it
//! is kept, by whoever knows pipelines.

use super::{ORIGINS, Origins, PART, entries, failed, put};
use engine::origins::{No, Replaced, is_origin};
use engine::state::StateFile;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::UNIX_EPOCH;

/// The directory of saved states, beside those of sources: no source can be called so.
const SAVED: &str = "saved.d";
const EXTENSION: &str = ".sgs";
/// Revisions of an origin that are kept.
const KEPT: usize = 2;

/// Says whether a saved state goes together with what is measured here, in every source that it has.
pub type FitsSaved = Box<dyn Fn(&StateFile) -> Result<(), No> + Send + Sync>;

/// What an origin has sent.
#[derive(Debug)]
pub struct Sent {
    /// Its revision.
    pub revision: u64,
    /// When it came, in microseconds since 1970.
    pub written_us: u64,
    /// Bytes on disk, of this revision.
    pub bytes: u64,
    /// What it holds.
    pub file: StateFile,
    /// A later revision that is damaged, in a sentence.
    pub damaged: Option<String>,
}

/// The origins that have sent saved states to this state directory, by name.
pub fn saved_names(state: &Path) -> Vec<String> {
    let below = state.join(ORIGINS);
    let mut names = entries(&below).unwrap_or_default();
    names.retain(|name| is_origin(name) && !revisions(&below.join(name).join(SAVED)).is_empty());
    names.sort();
    names
}

/// What is there of an origin without reading it: revision and time of its newest state.
pub fn saved_version(state: &Path, origin: &str) -> Option<(u64, u64)> {
    let place = state.join(ORIGINS).join(origin).join(SAVED);
    let (revision, path) = revisions(&place).pop()?;
    Some((revision, written_us(&path)))
}

/// Reads the newest state of an origin; `None` when there is none. One that is damaged is named, and the one before it taken.
///
/// # Errors
/// A sentence, when none can be read.
pub fn read_saved(state: &Path, origin: &str) -> Result<Option<Sent>, String> {
    let place = state.join(ORIGINS).join(origin).join(SAVED);
    let mut damaged = None;
    for (revision, path) in revisions(&place).into_iter().rev() {
        let read = fs::read(&path).map_err(|error| error.to_string());
        let read = read.and_then(|bytes| {
            let file = StateFile::read(&bytes).map_err(|error| error.to_string())?;
            Ok((bytes.len() as u64, file))
        });
        match read {
            Ok((bytes, file)) => {
                return Ok(Some(Sent { revision, written_us: written_us(&path), bytes, file, damaged }));
            }
            Err(why) => damaged = damaged.or(Some(format!("`{}`: {why}", path.display()))),
        }
    }
    damaged.map_or(Ok(None), Err)
}

fn written_us(path: &Path) -> u64 {
    let modified = fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_micros() as u64)
}

/// What is kept, the oldest first.
fn revisions(place: &Path) -> Vec<(u64, PathBuf)> {
    let names = entries(place).unwrap_or_default();
    let revision = |name: &String| u64::from_str_radix(name.strip_suffix(EXTENSION)?, 16).ok();
    let mut out: Vec<(u64, PathBuf)> =
        names.iter().filter_map(|name| Some((revision(name)?, place.join(name)))).collect();
    out.sort();
    out
}

impl Origins {
    /// The same with saved states, as far as they fit.
    pub fn with_saved(self, fits: FitsSaved) -> Origins {
        Origins { fits_saved: Some(fits), ..self }
    }

    /// Removes what was being written when the program ended.
    pub(super) fn tidy_saved(below: &Path) {
        for origin in entries(below).unwrap_or_default() {
            let place = below.join(origin).join(SAVED);
            for name in entries(&place).unwrap_or_default().iter().filter(|name| name.ends_with(PART)) {
                let _ = fs::remove_file(place.join(name));
            }
        }
    }

    /// Whether an origin has sent saved states.
    pub(super) fn has_saved(&self, origin: &str) -> bool {
        !revisions(&self.below.join(origin).join(SAVED)).is_empty()
    }

    pub(super) fn replace(&self, origin: &str, revision: u64, bytes: &[u8]) -> Result<Replaced, No> {
        let place = self.place(origin, SAVED)?;
        let Some(fits) = &self.fits_saved else {
            return Err(No::NoSource("no saved states are taken here".into()));
        };
        let _one = self.lock(&place);
        let others = entries(&self.below.join(origin)).unwrap_or_default();
        if others.iter().any(|name| name != SAVED) {
            return Err(No::Another(format!(
                "origin `{origin}` pushes its commits: what it saves would count twice; send it under another name"
            )));
        }
        if let Some((newest, path)) = revisions(&place).pop()
            && newest >= revision
        {
            // The same again is no trouble, unless what is here is not whole any more.
            let held = fs::read(&path).map_err(failed)?;
            let whole = StateFile::read(&held).is_ok();
            if newest > revision || held == bytes {
                return Ok(Replaced::Known { revision: newest });
            }
            if whole {
                return Err(No::Another(format!(
                    "revision {revision} of origin `{origin}` is here already, with other bytes: give each state a higher one"
                )));
            }
        }
        // Built once, one after the other, to be thrown away: nothing is kept that could not be merged.
        let _room = self.judging.lock().unwrap_or_else(PoisonError::into_inner);
        let file = StateFile::read(bytes).map_err(|error| No::Bad(error.to_string()))?;
        fits(&file)?;
        self.make(origin, &place)?;
        put(&place, &format!("{revision:016x}{EXTENSION}"), bytes).map_err(failed)?;
        let all = revisions(&place);
        for (_, path) in &all[..all.len().saturating_sub(KEPT)] {
            // What cannot be removed now can be later.
            let _ = fs::remove_file(path);
        }
        Ok(Replaced::Taken)
    }
}

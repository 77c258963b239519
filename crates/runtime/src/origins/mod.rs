//! States of other nodes: copies of their commits, below the state directory of this one.
//!
//! `ORIGIN/SOURCE/STATE/` holds what the directory of a source holds at its origin, manifests and segments alike, so a copy is
//! read by what reads a state. `STATE` is the identity of that directory: one that began anew at the origin is another
//! directory here, and the later one counts. Positions, inboxes and sinks of an origin are of no use here, and nothing
//! acts on them.
//!
//! Everything is on disk: a store that is killed and opened again goes on. What an origin may send is bounded
//! ([`OriginLimits`]), and nothing is kept that is not what a manifest names.

mod incoming;
mod push;
mod read;
mod saved;
#[cfg(test)]
mod tests;

pub use push::{Failure, PushError, Remote, Sent, push};
pub use read::{Copied, any, names, read, version};
pub use saved::{FitsSaved, read_saved, saved_names, saved_version};

use crate::RunError;
use crate::checkpoint::{About, KEPT, Manifest, SEGMENT, Segment, StateDirectory, StateId, checksum_of_file};
use engine::origins::{Incoming, No, Offered, Replaced, SegmentOf, is_origin};
use sabotage::{Bug, planted};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard};

/// The directory of the store, beside those of the sources: no source can be called so.
pub const ORIGINS: &str = "origins.d";
/// The manifest that was offered last, while segments of it are lacking.
const OFFER: &str = "offer";
const PART: &str = ".part";
/// Segments that one answer asks for.
const LACKS_MAX: usize = 1_000;
/// Longest name of a segment, and of a source.
const NAME_BYTES_MAX: usize = 200;
/// Origins are worked on side by side up to this.
const LOCKS: usize = 16;

/// What others may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OriginLimits {
    /// Origins.
    pub origins_max: usize,
    /// Bytes of the segments of one commit. With the commit before it and one that is coming, up to three times as many
    /// are on disk.
    pub bytes_max: u64,
    /// What they unpack to.
    pub raw_bytes_max: u64,
    /// Bytes of a manifest.
    pub manifest_bytes_max: usize,
    /// Segments that are being written at once.
    pub incoming_max: usize,
}

impl Default for OriginLimits {
    /// 1,000 origins; 2 GiB of segments each, 8 GiB unpacked; manifests of 4 MiB; 64 segments at once.
    fn default() -> OriginLimits {
        OriginLimits {
            origins_max: 1_000,
            bytes_max: 2 << 30,
            raw_bytes_max: 8 << 30,
            manifest_bytes_max: 4 << 20,
            incoming_max: 64,
        }
    }
}

/// Says whether a state that was made so goes together with what is measured here.
pub type Fits = Box<dyn Fn(&About) -> Result<(), No> + Send + Sync>;

/// The store.
pub struct Origins {
    below: PathBuf,
    fits: Fits,
    fits_saved: Option<FitsSaved>,
    limits: OriginLimits,
    /// Held while a saved state is built to be judged.
    judging: Mutex<()>,
    locks: [Mutex<()>; LOCKS],
    /// Held while an origin is made, so that they can be counted.
    making: Mutex<()>,
    incoming: Arc<AtomicUsize>,
    parts: AtomicU64,
}

impl Origins {
    /// A store below a state directory. What was being written when it was open last is removed.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(state: &Path, fits: Fits, limits: OriginLimits) -> Result<Origins, RunError> {
        let below = state.join(ORIGINS);
        fs::create_dir_all(&below).and_then(|()| sync(state)).map_err(|source| RunError::State {
            doing: "make",
            path: below.display().to_string(),
            source,
        })?;
        for place in read::places(&below) {
            for name in entries(&place).unwrap_or_default().iter().filter(|name| name.ends_with(PART)) {
                let _ = fs::remove_file(place.join(name));
            }
        }
        Origins::tidy_saved(&below);
        Ok(Origins {
            below,
            fits,
            fits_saved: None,
            limits,
            judging: Mutex::new(()),
            locks: Default::default(),
            making: Mutex::new(()),
            incoming: Arc::default(),
            parts: AtomicU64::new(0),
        })
    }

    /// Where the states of a source are that came from an origin.
    fn place(&self, origin: &str, source: &str) -> Result<PathBuf, No> {
        if !is_origin(origin) {
            let text =
                "it is no name for an origin: take up to 64 letters, digits, `.`, `_` and `-`, no `.` first";
            return Err(No::Bad(text.into()));
        }
        let stays = !source.starts_with('.') && !source.contains(['/', '\\', '\0']);
        if source.is_empty() || source.len() > NAME_BYTES_MAX || !stays {
            return Err(No::NoSource("no source is called so".into()));
        }
        Ok(self.below.join(origin).join(source))
    }

    /// Work on an origin is done one after the other.
    fn lock(&self, place: &Path) -> MutexGuard<'_, ()> {
        let number = BuildHasherDefault::<DefaultHasher>::default().hash_one(place) as usize % LOCKS;
        self.locks[number].lock().unwrap_or_else(|e| e.into_inner())
    }

    /// A manifest that may be acted on: of this source, within limits, with names that stay in a directory.
    fn understood(&self, source: &str, bytes: &[u8]) -> Result<Manifest, No> {
        if bytes.len() > self.limits.manifest_bytes_max {
            let most = self.limits.manifest_bytes_max;
            return Err(No::TooMuch(format!("the commit has more than {most} bytes")));
        }
        let manifest = Manifest::read(bytes).map_err(|why| No::Bad(format!("that is no commit: {why}")))?;
        if manifest.about.source != source {
            return Err(No::Bad(format!("the commit is of source `{}`", manifest.about.source)));
        }
        if manifest.state == StateId::default() {
            return Err(No::Bad(
                "an older program wrote the commit: let one run of this version commit".into(),
            ));
        }
        let mut names = BTreeSet::new();
        if !manifest.segments.iter().all(|segment| is_segment(&segment.file) && names.insert(&segment.file)) {
            return Err(No::Bad("the commit names segments as none are called".into()));
        }
        let sum = |of: fn(&Segment) -> u64| manifest.segments.iter().map(of).fold(0, u64::saturating_add);
        let OriginLimits { bytes_max, raw_bytes_max, .. } = self.limits;
        if sum(|s| s.bytes) > bytes_max || sum(|s| s.raw_bytes) > raw_bytes_max {
            return Err(No::TooMuch(format!(
                "the commit has {} bytes, {} unpacked, and {bytes_max}, or {raw_bytes_max} unpacked, are kept of an origin",
                sum(|s| s.bytes),
                sum(|s| s.raw_bytes)
            )));
        }
        (self.fits)(&manifest.about)?;
        Ok(manifest)
    }

    /// Makes the directory of a state, if there may be one origin more.
    fn make(&self, origin: &str, directory: &Path) -> Result<(), No> {
        if directory.is_dir() {
            return Ok(());
        }
        let _one = self.making.lock().unwrap_or_else(|e| e.into_inner());
        let home = self.below.join(origin);
        if !home.is_dir() && entries(&self.below).unwrap_or_default().len() >= self.limits.origins_max {
            return Err(No::TooMuch(format!(
                "there are {} origins already: remove the directory of one that is gone from `{ORIGINS}`",
                self.limits.origins_max
            )));
        }
        fs::create_dir_all(directory).map_err(failed)?;
        // The names on the way there are durable only with the directories that hold them.
        let holders = directory.ancestors().skip(1).take(4);
        holders.take_while(|holder| holder.is_dir()).try_for_each(sync).map_err(failed)
    }
}

impl engine::origins::Origins for Origins {
    fn offer(&self, origin: &str, source: &str, bytes: &[u8]) -> Result<Offered, No> {
        let place = self.place(origin, source)?;
        let manifest = self.understood(source, bytes)?;
        let _one = self.lock(&place);
        if self.has_saved(origin) {
            return Err(No::Another(format!(
                "origin `{origin}` sends saved states: what it pushes would count twice; push under another name"
            )));
        }
        let state = name_of(manifest.state);
        if let Some(later) = read::states(&place).into_iter().rfind(|held| *held > state) {
            return Err(No::Another(format!(
                "origin `{origin}` has sent a state already that began later ({later}) than this one ({state}): two nodes \
                 under one name need a name each"
            )));
        }
        let directory = place.join(&state);
        self.make(origin, &directory)?;
        let held = held(&directory).pop();
        if let Some(held) = &held
            && order(held) > order(&manifest)
        {
            return Ok(Offered::Known { commit: held.number });
        }
        let lacks = |segment: &&Segment| !is_whole(&directory, segment);
        let lacking: Vec<String> =
            manifest.segments.iter().filter(lacks).map(|segment| segment.file.clone()).collect();
        if !lacking.is_empty() && !planted(Bug::UnsealedOriginFolded) {
            put(&directory, OFFER, bytes).map_err(failed)?;
            tidy(&directory, Some(&manifest));
            let segments = lacking.into_iter().take(LACKS_MAX).collect();
            return Ok(Offered::Lacks { state, segments });
        }
        if held.as_ref() == Some(&manifest) {
            return Ok(Offered::Known { commit: manifest.number });
        }
        put(&directory, &StateDirectory::manifest_name(manifest.number), bytes).map_err(failed)?;
        tidy(&directory, None);
        forget_others(&place, &state);
        Ok(Offered::Taken)
    }

    fn merge(&self, origin: &str, revision: u64, file: &[u8]) -> Result<Replaced, No> {
        self.replace(origin, revision, file)
    }

    fn segment(&self, of: &SegmentOf<'_>) -> Result<Box<dyn Incoming>, No> {
        let place = self.place(of.origin, of.source)?;
        if !is_state(of.state) {
            return Err(No::Bad("that is no name of a state".into()));
        }
        incoming::Part::begin(self, &place, of).map(|part| Box::new(part) as Box<dyn Incoming>)
    }
}

/// Of two commits of one state the later one. A number can come twice: a run whose newest commit is damaged goes on from the one
/// before and writes that number anew.
fn order(manifest: &Manifest) -> (u64, u64, [u8; 16]) {
    let bytes = manifest.write();
    (manifest.number, manifest.written_us, bytes.last_chunk().copied().unwrap_or_default())
}

/// The commits of a directory that can be read, the oldest first.
fn held(directory: &Path) -> Vec<Manifest> {
    StateDirectory::manifests(directory).into_iter().map(|(manifest, _)| manifest).collect()
}

/// The name of the directory of a state: names are ordered as states are.
fn name_of(state: StateId) -> String {
    format!("{:016x}{:016x}", state.began_us, state.salt)
}

fn is_state(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn is_segment(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.starts_with(SEGMENT) && name.len() <= NAME_BYTES_MAX && name.bytes().all(plain)
}

/// Whether a segment is there as the manifest names it. Its bytes are read: what has changed on disk comes again.
fn is_whole(directory: &Path, segment: &Segment) -> bool {
    let Ok(file) = File::open(directory.join(&segment.file)) else { return false };
    file.metadata().is_ok_and(|meta| meta.len() == segment.bytes)
        && checksum_of_file(file).is_ok_and(|sum| sum == segment.checksum)
}

/// Removes what neither the commits that are kept nor the one that is coming need. What cannot be removed now can be later.
fn tidy(directory: &Path, coming: Option<&Manifest>) {
    let all = held(directory);
    let kept = &all[all.len().saturating_sub(KEPT)..];
    let mut needed: BTreeSet<String> =
        kept.iter().map(|manifest| StateDirectory::manifest_name(manifest.number)).collect();
    for manifest in kept.iter().chain(coming) {
        needed.extend(manifest.segments.iter().map(|segment| segment.file.clone()));
    }
    if coming.is_some() {
        needed.insert(OFFER.into());
    }
    let names = entries(directory).unwrap_or_default();
    for name in names.iter().filter(|name| !needed.contains(*name) && !name.ends_with(PART)) {
        let _ = fs::remove_file(directory.join(name));
    }
}

/// Removes the states that an origin had before this one.
fn forget_others(place: &Path, state: &str) {
    let names = entries(place).unwrap_or_default();
    for name in names.iter().filter(|name| is_state(name) && name.as_str() < state) {
        let _ = fs::remove_dir_all(place.join(name));
    }
}

/// Writes a file beside its place, makes it durable, and puts it there.
fn put(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let beside = directory.join(format!("{name}{PART}"));
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, directory.join(name))?;
    sync(directory)
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The names in a directory.
fn entries(directory: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn failed(error: io::Error) -> No {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => No::NoSpace,
        _ => No::Failed(error.to_string()),
    }
}

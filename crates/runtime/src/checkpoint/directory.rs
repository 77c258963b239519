//! A directory of commits: read, written, tidied.

use super::manifest::{checksum, checksum_of};
use super::panes::{PaneRecords, Panes, tickets};
use super::segment::{Packed, Packer, unpack};
use super::shelf::{PaneShelf, SegmentFile};
use super::{
    About, Codec, JUDGE, KEPT, Manifest, PANES, Position, SEGMENT, SHARD, Segment, StateId, segments_of,
};
use crate::RunError;
use crate::disk::{Disk, DiskFile, Entry, Files, How, Lock};
use crate::sink::Delivery;
use engine::judge::FrozenJudge;
use engine::shard::Frozen;
use engine::spec::Source;
use sabotage::{Bug, planted};
use sketch::hash::Xxh3Parts;
use sketch::outflow::{Measured, Outflow};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

const MANIFEST: &str = "commit-";
const LOCK: &str = "lock";
/// Before the name of a commit that was damaged when a run went on from an older one.
const DAMAGED: &str = "damaged-";
/// Of a file that is not whole yet.
const PART: &str = ".part";
/// Segments of panes that are held open from the time on that a commit was read.
const OPEN_MAX: usize = 512;

/// A directory of commits that nobody else writes to.
#[derive(Debug)]
pub struct StateDirectory {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    codec: Codec,
    /// Held as long as this lives; none where nothing is written.
    _lock: Option<Lock>,
    /// The last commit.
    last: Option<Manifest>,
    /// The closed panes of it.
    panes: Panes,
    /// Where closed panes lie that are not in memory.
    shelf: Arc<PaneShelf>,
}

/// A commit that was read back.
#[derive(Debug)]
pub struct Restored {
    /// What it says.
    pub manifest: Manifest,
    /// The shards, as bytes.
    pub shards: Vec<Vec<u8>>,
    /// Their closed panes, where they are; none of a commit of version 1, whose shards are whole.
    pub panes: PaneRecords,
    /// The filters of verdicts, as bytes.
    pub judge: Vec<u8>,
    /// Later commits that are damaged, in sentences.
    pub damaged: Vec<String>,
}

/// A state between two blocks.
#[derive(Debug)]
pub(crate) struct Cut {
    pub next_block: u64,
    pub positions: Vec<Position>,
    pub seen: Vec<bool>,
    pub quarantine: (u64, u64),
    pub intake: Vec<u8>,
    pub sinks: Vec<u8>,
    pub idle: Vec<u8>,
    /// What is written to sinks when the commit is durable.
    pub deliveries: Vec<Delivery>,
    pub shards: Vec<Frozen>,
    pub judge: FrozenJudge,
}

/// Why something kept cannot be had.
enum Unread {
    /// It is not what was written, in a sentence.
    Damaged(String),
    /// The disk does not give it, now.
    Disk(RunError),
}

impl From<String> for Unread {
    fn from(why: String) -> Unread {
        Unread::Damaged(why)
    }
}

impl StateDirectory {
    /// Opens a directory, which is made where there is none.
    ///
    /// # Errors
    /// When it cannot be made, or another program writes to it.
    pub fn open(path: &Path, codec: Codec) -> Result<StateDirectory, RunError> {
        StateDirectory::open_on(Files::shared(), path, codec)
    }

    /// The same on this disk. What else a run keeps is on it too: the quarantine, and what leaves through sinks.
    ///
    /// # Errors
    /// As [`StateDirectory::open`].
    pub fn open_on(disk: Arc<dyn Disk>, path: &Path, codec: Codec) -> Result<StateDirectory, RunError> {
        disk.make_directory(path).map_err(|source| wrong("make", path, source))?;
        // The names on the way there are durable only with the directories that hold them; so are those in it, if the program
        // ended before it said so: what is read now must not be gone after the next power cut.
        for holder in path.ancestors().filter(|holder| !holder.as_os_str().is_empty()).take(3) {
            disk.sync_directory(holder).map_err(|source| wrong("make", path, source))?;
        }
        match disk.lock(&path.join(LOCK)).map_err(|source| wrong("lock", path, source))? {
            None => Err(RunError::StateInUse(path.display().to_string())),
            lock => {
                let directory = StateDirectory { _lock: lock, ..StateDirectory::at_on(disk, path, codec) };
                directory.shelf.sweep();
                Ok(directory)
            }
        }
    }

    /// Reads the last commit of a directory without writing there, also while a run does.
    ///
    /// # Errors
    /// As [`StateDirectory::restore`].
    pub fn look(path: &Path) -> Result<Option<Restored>, RunError> {
        StateDirectory::look_on(Files::shared(), path)
    }

    /// The same on this disk.
    ///
    /// # Errors
    /// As [`StateDirectory::restore`].
    pub fn look_on(disk: Arc<dyn Disk>, path: &Path) -> Result<Option<Restored>, RunError> {
        StateDirectory::at_on(disk, path, Codec::None).restore()
    }

    pub(super) fn at(path: &Path, codec: Codec) -> StateDirectory {
        StateDirectory::at_on(Files::shared(), path, codec)
    }

    fn at_on(disk: Arc<dyn Disk>, path: &Path, codec: Codec) -> StateDirectory {
        let path = path.to_path_buf();
        let shelf = Arc::new(PaneShelf::new(Arc::clone(&disk), &path));
        StateDirectory { disk, path, codec, _lock: None, last: None, panes: Panes::default(), shelf }
    }

    /// Reads the last commit; `None` when there has never been one.
    ///
    /// # Errors
    /// When there are commits and none of them is whole.
    pub fn restore(&mut self) -> Result<Option<Restored>, RunError> {
        let (commits, segments) = self.list()?;
        let mut damaged = Vec::new();
        for (number, name) in commits.iter().rev() {
            match self.read_commit(*number, name) {
                Ok((restored, panes)) => {
                    if self._lock.is_some() {
                        self.shelf.is_durable(std::iter::empty(), panes.by_sum());
                    }
                    damaged.extend(self.set_aside_before(*number)?);
                    (self.last, self.panes) = (Some(restored.manifest.clone()), panes);
                    return Ok(Some(Restored { damaged, ..restored }));
                }
                Err(Unread::Damaged(why)) => damaged.push(why),
                Err(Unread::Disk(error)) => return Err(error),
            }
        }
        // The segments of a first commit may be there without it, if the program ended in between.
        let lost = segments.iter().any(|(number, _)| *number > 1);
        if damaged.is_empty() && !lost {
            return Ok(None);
        }
        if lost && damaged.is_empty() {
            damaged.push("there are segments of several commits, and no commit".into());
        }
        let path = self.path.display().to_string();
        Err(RunError::StateDamaged { path, why: damaged.join("; ") })
    }

    /// Before a run goes on from an older commit: the damaged ones after it are called otherwise, for good. What the run takes back,
    /// and writes under their numbers, would make them wrong even where they can be read again.
    ///
    /// # Errors
    /// When a name cannot be changed.
    pub(crate) fn set_aside_later(&self, commit: u64) -> Result<(), RunError> {
        let (commits, _) = self.list()?;
        let mut later = commits.into_iter().filter(|(number, _)| *number > commit);
        let aside = |(_, name): (u64, String)| {
            self.disk.rename(&self.path.join(&name), &self.path.join(format!("{DAMAGED}{name}")))
        };
        let done = later.try_for_each(aside);
        done.and_then(|()| self.disk.sync_directory(&self.path))
            .map_err(|source| wrong("write to", &self.path, source))
    }

    /// Commits after this one that an earlier run set aside, in sentences: it may not have lived to take back what came with them.
    fn set_aside_before(&self, commit: u64) -> Result<Vec<String>, RunError> {
        let entries = self.disk.list(&self.path).map_err(|source| wrong("read", &self.path, source))?;
        let later = |Entry { name, .. }: Entry| {
            let digits = name.strip_prefix(DAMAGED)?.strip_prefix(MANIFEST)?;
            let number = u64::from_str_radix(digits, 16).ok().filter(|number| *number > commit)?;
            Some((number, format!("`{name}` was set aside by a run that went on from an older commit")))
        };
        let mut later: Vec<_> = entries.into_iter().filter_map(later).collect();
        later.sort_by(|a, b| b.cmp(a));
        Ok(later.into_iter().map(|(_, why)| why).collect())
    }

    /// The commits of a directory whose manifests can be read, with their bytes, the oldest first. Nothing else is read.
    pub(crate) fn manifests(path: &Path) -> Vec<(Manifest, Vec<u8>)> {
        let directory = StateDirectory::at(path, Codec::None);
        let commits = directory.list().map_or_else(|_| Vec::new(), |(commits, _)| commits);
        let read = |(number, name): (u64, String)| {
            let bytes = directory.disk.read(&path.join(name)).ok()?;
            Manifest::read(&bytes).ok().filter(|manifest| manifest.number == number).map(|m| (m, bytes))
        };
        commits.into_iter().filter_map(read).collect()
    }

    /// The last of them; `None` when there has never been one.
    pub(crate) fn newest(path: &Path) -> Result<Option<(Manifest, Vec<u8>)>, RunError> {
        // The first time without a commit may have been between two.
        for _ in 0..3 {
            if let Some(newest) = StateDirectory::manifests(path).pop() {
                return Ok(Some(newest));
            }
        }
        let (commits, _) = StateDirectory::at(path, Codec::None).list()?;
        let Some((_, name)) = commits.last() else { return Ok(None) };
        let why = format!("`{name}` cannot be read");
        Err(RunError::StateDamaged { path: path.display().to_string(), why })
    }

    /// The name of a manifest.
    pub(crate) fn manifest_name(number: u64) -> String {
        format!("{MANIFEST}{number:016x}")
    }

    /// Closed panes that are there are not those of the next commit: all of its are written.
    pub(super) fn forget_panes(&mut self) {
        self.panes = Panes::default();
    }

    /// Makes a commit durable: parts that have changed first, then the manifest, at last what nobody needs any more goes.
    /// `source` is what the state is of.
    pub(crate) fn commit(&mut self, about: &About, source: &Source, cut: Cut) -> Result<(), RunError> {
        let number = self.last.as_ref().map_or(1, |last| last.number + 1);
        let mut nth = 0..;
        let lost = || {
            let (path, why) = (self.path.display().to_string(), "a pane is gone".into());
            self.shelf.lost().unwrap_or(RunError::Spilled { path, why })
        };
        let away = tickets(&cut.shards);
        let panes = self.panes.write(&cut.shards, &self.shelf, lost, || {
            let file = format!("{}{PANES}-{}", segments_of(number), nth.next().unwrap_or(0));
            NewSegment::begin(self, PANES, file)
        })?;
        let mut segments = Vec::new();
        for (i, shard) in cut.shards.into_iter().enumerate() {
            // What was copied for its sake goes before the next one is written.
            segments.push(self.segment(number, format!("{SHARD}{i}"), &|out| shard.send_open(source, out))?);
        }
        segments.push(self.segment(number, JUDGE.to_string(), &|out| cut.judge.send(out))?);
        segments.extend(panes.segments().cloned());
        let manifest = Manifest {
            number,
            written_us: now_us(),
            state: self.id(),
            about: about.clone(),
            next_block: cut.next_block,
            positions: cut.positions,
            seen: cut.seen,
            quarantine: cut.quarantine,
            intake: cut.intake,
            sinks: cut.sinks,
            idle: cut.idle,
            segments,
        };
        self.write(&StateDirectory::manifest_name(number), &manifest.write())?;
        self.shelf.is_durable(panes.away(&away), panes.by_sum());
        (self.last, self.panes) = (Some(manifest), panes);
        self.tidy();
        Ok(())
    }

    /// Which state this is: that of the last commit, or one that begins.
    fn id(&self) -> StateId {
        let fresh = || StateId { began_us: now_us(), salt: RandomState::new().hash_one(&self.path) };
        self.last.as_ref().map(|last| last.state).filter(|id| id.began_us > 0).unwrap_or_else(fresh)
    }

    /// The segment of a part: that of the last commit when nothing has changed, else a new one. `write` is asked two or three
    /// times for the same bytes, which never stand in memory together.
    fn segment(
        &self,
        number: u64,
        part: String,
        write: &dyn Fn(&mut Outflow<'_>),
    ) -> Result<Segment, RunError> {
        let measured = Measured::of(write);
        let before = self.last.iter().flat_map(|last| &last.segments).find(|segment| segment.part == part);
        if let Some(before) = before.filter(|segment| segment.raw_bytes == measured.bytes()) {
            let mut sum = Xxh3Parts::default();
            measured.send(&mut |piece| sum.push(piece), write);
            if checksum_of(&sum) == before.raw_checksum {
                return Ok(before.clone());
            }
        }
        let file = format!("{}{part}", segments_of(number));
        let mut segment = NewSegment::begin(self, &part, file);
        measured.send(&mut |piece| segment.push(piece), write);
        segment.finish().map(|(segment, _)| segment)
    }

    /// Writes a file beside its place, makes it durable, and puts it there.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), RunError> {
        let file = self.begin(name);
        self.settle(name, file.and_then(|mut file| file.write_all(bytes).map(|()| file)))
    }

    /// A file beside its place.
    fn begin(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(&self.path.join(format!("{name}{PART}")), How::New)
    }

    /// Makes a file durable that was written beside its place, and puts it there.
    fn settle(&self, name: &str, written: io::Result<Box<dyn DiskFile>>) -> Result<(), RunError> {
        let (beside, place) = (self.path.join(format!("{name}{PART}")), self.path.join(name));
        let put = || -> io::Result<()> {
            let mut file = written?;
            if !planted(Bug::SegmentNotSynced) || !name.starts_with(SEGMENT) {
                file.sync_all()?;
            }
            let renamed = self.disk.rename(&beside, &place);
            if !planted(Bug::RenameErrorSwallowed) {
                renamed?;
            }
            if planted(Bug::NameNotSynced) {
                return Ok(());
            }
            // The name is durable only with the directory.
            self.disk.sync_directory(&self.path)
        };
        if planted(Bug::ErrorSwallowed) {
            let _ = put();
            return Ok(());
        }
        put().map_err(|source| wrong("write to", &self.path, source))
    }

    /// Removes what no commit that is kept needs. What cannot be removed now can be later.
    fn tidy(&self) {
        let Ok((commits, segments)) = self.list() else { return };
        let kept = &commits[commits.len().saturating_sub(KEPT)..];
        // Who asks a moment long gone may still read it there.
        let mut needed = self.shelf.segments();
        for (number, name) in kept {
            // One that cannot be read may need anything: then nothing goes.
            let Ok(manifest) = self.read_manifest(*number, name) else { return };
            needed.extend(manifest.segments.into_iter().map(|segment| segment.file));
        }
        let old = commits[..commits.len() - kept.len()].iter().map(|(_, name)| name);
        let unneeded = segments.iter().map(|(_, name)| name).filter(|name| !needed.contains(*name));
        for name in old.chain(unneeded) {
            let _ = self.disk.remove(&self.path.join(name));
        }
    }

    /// Commits and segments by number.
    #[expect(clippy::type_complexity, reason = "two lists of one kind")]
    fn list(&self) -> Result<(Vec<(u64, String)>, Vec<(u64, String)>), RunError> {
        let (mut commits, mut segments) = (Vec::new(), Vec::new());
        let read = |source| wrong("read", &self.path, source);
        for Entry { name, .. } in self.disk.list(&self.path).map_err(read)? {
            if name.ends_with(PART) {
                continue;
            }
            let number = |name: &str| u64::from_str_radix(name.get(..16)?, 16).ok();
            if let Some(number) = name.strip_prefix(MANIFEST).and_then(number) {
                commits.push((number, name));
            } else if let Some(number) = name.strip_prefix(SEGMENT).and_then(number) {
                segments.push((number, name));
            }
        }
        commits.sort();
        segments.sort();
        Ok((commits, segments))
    }

    fn read_manifest(&self, number: u64, name: &str) -> Result<Manifest, Unread> {
        let bytes = self.read(name)?;
        let manifest = Manifest::read(&bytes).map_err(|why| format!("`{name}` is damaged: {why}"))?;
        if manifest.number == number {
            Ok(manifest)
        } else {
            Err(format!("`{name}` is damaged: it is commit {}", manifest.number).into())
        }
    }

    /// A file of the directory. One that is not there is damage; one that the disk does not give, nobody knows about, and what
    /// comes after it must not be thrown away for that.
    fn read(&self, name: &str) -> Result<Vec<u8>, Unread> {
        let place = self.path.join(name);
        self.disk.read(&place).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => format!("`{name}` cannot be read: {error}").into(),
            _ => Unread::Disk(wrong("read", &place, error)),
        })
    }

    /// A commit with its parts.
    fn read_commit(&self, number: u64, name: &str) -> Result<(Restored, Panes), Unread> {
        let manifest = self.read_manifest(number, name)?;
        let (mut shards, mut judge, mut known) = (Vec::new(), None, Panes::default());
        let mut panes = PaneRecords::on(Arc::clone(&self.shelf));
        let mut open = 0;
        for segment in &manifest.segments {
            let raw = self.read_segment(segment)?;
            match segment.part.as_str() {
                JUDGE => judge = Some(raw),
                PANES => {
                    let file = SegmentFile::new(&self.disk, &self.path, segment);
                    // A run may remove the file while somebody looks; of very many some are opened when they are read.
                    if open < OPEN_MAX {
                        file.open().map_err(|why| format!("`{}` cannot be read: {why}", segment.file))?;
                        open += 1;
                    }
                    known.read(segment.clone(), file, &raw, &mut panes)?;
                }
                part if part.strip_prefix(SHARD) == Some(&shards.len().to_string()) => shards.push(raw),
                part => {
                    let why = format!("`{name}` is damaged: its part `{part}` stands where none should");
                    return Err(why.into());
                }
            }
        }
        let Some(judge) = judge.filter(|_| !shards.is_empty()) else {
            return Err(format!("`{name}` is damaged: it has no shard, or no judge").into());
        };
        Ok((Restored { manifest, shards, panes, judge, damaged: Vec::new() }, known))
    }

    fn read_segment(&self, segment: &Segment) -> Result<Vec<u8>, Unread> {
        let name = &segment.file;
        if !name.starts_with(SEGMENT) || name.contains(['/', '\\']) {
            return Err(format!("a segment cannot be called `{name}`").into());
        }
        let bytes = self.read(name)?;
        let changed =
            || format!("`{name}` is damaged: its checksum does not hold, so it was cut off or changed");
        let looked_at = !planted(Bug::ChecksumNotLookedAt);
        if looked_at && (bytes.len() as u64 != segment.bytes || checksum(&bytes) != segment.checksum) {
            return Err(changed().into());
        }
        let raw = unpack(&bytes, segment.raw_bytes).map_err(|why| format!("`{name}` is damaged: {why}"))?;
        if !looked_at || checksum(&raw) == segment.raw_checksum { Ok(raw) } else { Err(changed().into()) }
    }

    /// Where closed panes lie that are not in memory.
    pub fn shelf(&self) -> &Arc<PaneShelf> {
        &self.shelf
    }

    /// The disk it is on.
    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last commit that was read or written.
    pub fn last(&self) -> Option<&Manifest> {
        self.last.as_ref()
    }
}

/// A segment that is being written.
pub(super) struct NewSegment<'d> {
    directory: &'d StateDirectory,
    part: String,
    file: String,
    packer: Packer<Box<dyn DiskFile>>,
}

impl<'d> NewSegment<'d> {
    fn begin(directory: &'d StateDirectory, part: &str, file: String) -> NewSegment<'d> {
        let packer = Packer::new(directory.begin(&file), directory.codec);
        NewSegment { directory, part: part.to_string(), file, packer }
    }

    /// Appends to the part. Whether that went well, [`NewSegment::finish`] says.
    pub fn push(&mut self, bytes: &[u8]) {
        self.packer.push(bytes);
    }

    /// Bytes of the part so far.
    pub fn raw_bytes(&self) -> u64 {
        self.packer.raw_bytes()
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// When something of it could not be written.
    pub fn finish(self) -> Result<(Segment, SegmentFile), RunError> {
        let NewSegment { directory, part, file, packer } = self;
        let (Packed { bytes, checksum, raw_bytes, raw_checksum }, written) = packer.finish();
        directory.settle(&file, written)?;
        let segment = Segment { part, file, bytes, raw_bytes, live_bytes: raw_bytes, checksum, raw_checksum };
        let file = SegmentFile::new(&directory.disk, &directory.path, &segment);
        Ok((segment, file))
    }
}

fn wrong(doing: &'static str, path: &Path, source: io::Error) -> RunError {
    RunError::State { doing, path: path.display().to_string(), source }
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

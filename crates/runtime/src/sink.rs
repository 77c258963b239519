//! Sinks: closed panes leave as lines of JSON, exactly once into files.
//!
//! With a state, what leaves is part of the commit: its bytes, and where in the file they belong. They are written only when the
//! commit is durable, and written again at the same place when the program ended in between. So a reader of the file
//! never sees what a restart could take back, and nothing stands there twice. Standard output cannot be cut back: there
//! a line may come twice after a crash, with the same revision.

use crate::RunError;
use crate::checkpoint::{count, read_bytes, read_text, write_bytes};
use crate::disk::{Disk, DiskFile, How, holder};
use engine::adopt::Adoption;
use engine::rollup::{Around, Rollups};
use engine::shard::Shard;
use engine::time::{Span, TIME_MAX, Time};
use sabotage::{Bug, planted};
use sketch::codec::write_varint;
use sketch::{DecodeError, Reader};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Panes of the finest level that may close before they leave: more are held back in memory.
const PANES_HELD_MAX: i64 = 64;
/// Bytes that wait to leave; beyond it whoever reads events waits for whoever writes.
pub const PENDING_BYTES_MAX: usize = 16 << 20;

/// A sink of one source.
#[derive(Debug, Clone)]
pub struct Sink {
    /// Its name.
    pub name: String,
    /// Where it leads.
    pub to: SinkTo,
    /// By metric: the level whose closed panes leave; `None` where none do.
    pub levels: Vec<Option<Span>>,
}

/// Where a sink leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkTo {
    /// A file.
    File {
        /// Its path; with `rotate_bytes` a number is put before its extension.
        path: PathBuf,
        /// The next file is begun when this many bytes are in one.
        rotate_bytes: Option<u64>,
    },
    /// Standard output.
    Stdout,
}

impl SinkTo {
    /// The first file that it writes.
    pub fn first_file(&self) -> Option<PathBuf> {
        match self {
            SinkTo::File { path, rotate_bytes } => Some(numbered(path, rotate_bytes.map(|_| 1))),
            SinkTo::Stdout => None,
        }
    }
}

/// All sinks of a source.
#[derive(Debug)]
pub(crate) struct Sinks {
    disk: Arc<dyn Disk>,
    all: Vec<Outflow>,
    /// Whether a state is kept: then only what is committed is written.
    kept: bool,
    /// The time up to which panes were asked to leave last.
    asked_to: Option<Time>,
}

/// A sink, and how far it has come.
#[derive(Debug)]
struct Outflow {
    sink: Sink,
    rollups: Rollups,
    /// Number of the file, from 1.
    number: u64,
    /// Bytes in it.
    offset: u64,
    /// Lines that have not left yet.
    pending: Vec<u8>,
}

/// Bytes on their way.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// The file and the place in it; `None` is standard output.
    file: Option<(PathBuf, u64)>,
    bytes: Vec<u8>,
    durable: bool,
}

impl Sinks {
    /// Sinks that go on where the last commit left them, or begin.
    ///
    /// # Errors
    /// A file that is there already or is not what it was, or a journal that is none.
    pub fn start(
        disk: Arc<dyn Disk>,
        sinks: Vec<Sink>,
        kept: bool,
        journal: &[u8],
        fell_back: bool,
    ) -> Result<Sinks, RunError> {
        let damaged = |error: DecodeError| RunError::SinkJournal(error.to_string());
        let mut entries =
            if journal.is_empty() { Vec::new() } else { read_journal(journal).map_err(damaged)? };
        let mut all = Vec::new();
        for sink in sinks {
            // By its name; or by its file, when only the name has changed.
            let path = path_text(&sink.to);
            let named = entries.iter().position(|entry| entry.name == sink.name);
            let at =
                named.or_else(|| entries.iter().position(|entry| !path.is_empty() && entry.path == path));
            let entry = at.map(|at| entries.remove(at));
            let Some(entry) = entry else {
                all.push(Outflow::begin(&*disk, sink)?);
                continue;
            };
            let rollups =
                Rollups::restore(sink.levels.clone(), &mut Reader::new(&entry.rollups)).map_err(damaged)?;
            entry.recover(&*disk, fell_back)?;
            let begun = entry.path == path;
            let outflow = if begun { Outflow::at(sink, entry) } else { Outflow::begin(&*disk, sink)? };
            all.push(Outflow { rollups, ..outflow });
        }
        // What was leaving through sinks that are no longer there had been promised.
        entries.iter().try_for_each(|entry| entry.recover(&*disk, fell_back))?;
        Ok(Sinks { disk, all, kept, asked_to: None })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Tells a shard which panes to keep until they have left.
    pub fn hold(&self, shard: &mut Shard) {
        // A shard keeps what any of them needs: the one that is furthest behind is told last.
        let mut behind: Vec<&Outflow> = self.all.iter().collect();
        behind.sort_by_key(|outflow| std::cmp::Reverse(outflow.rollups.left_to()));
        behind.iter().for_each(|outflow| outflow.rollups.hold(shard));
    }

    /// Whether so many panes have closed that they should leave before the next commit.
    pub fn is_full(&self, boundary: Option<Time>) -> bool {
        let Some(boundary) = boundary.filter(|_| !self.all.is_empty()) else { return false };
        let finest = self.all.iter().flat_map(|outflow| &outflow.sink.levels).flatten().min();
        let Some(finest) = finest else { return false };
        self.asked_to.is_none_or(|to| boundary.0.saturating_sub(to.0) >= PANES_HELD_MAX * finest.0)
    }

    /// Takes what has closed by `boundary`, or was corrected. `shards` gives copies of all shards, advanced that far.
    pub fn take<'a>(
        &mut self,
        boundary: Time,
        shards: &dyn Fn() -> Vec<Shard>,
        around: &dyn Fn() -> Around<'a>,
    ) {
        self.all.iter_mut().for_each(|outflow| outflow.take(boundary, shards(), around()));
        self.asked_to = Some(boundary);
    }

    /// Takes all that is left at the end of an input: panes that are open close.
    pub fn take_rest<'a>(&mut self, shards: &dyn Fn() -> Vec<Shard>, around: &dyn Fn() -> Around<'a>) {
        let end = Time(2 * TIME_MAX);
        for outflow in &mut self.all {
            let mut shards = shards();
            shards.iter_mut().for_each(|shard| outflow.rollups.hold(shard));
            shards.iter_mut().for_each(|shard| shard.advance(end));
            outflow.take(end, shards, around());
        }
    }

    /// Bytes that wait to leave.
    pub fn pending_bytes(&self) -> usize {
        self.all.iter().map(|outflow| outflow.pending.len()).sum()
    }

    /// Appends what has left, what is leaving, and where to. Table in docs/FORMATS.md.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        write_varint(self.all.len() as u64, out);
        for outflow in &self.all {
            outflow.entry().write(out);
        }
    }

    /// Where it is written.
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// What is leaving.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.all.iter().filter(|outflow| !outflow.pending.is_empty()).map(|o| o.delivery(self.kept)).collect()
    }

    /// What was leaving is somebody else's to write.
    pub fn handed_on(&mut self) {
        self.all.iter_mut().for_each(Outflow::hand_on);
    }
}

/// What [`Sinks::snapshot`] wrote, for the metrics of a new source.
///
/// # Errors
/// Bytes that no journal has.
pub fn adopt_journal(journal: &[u8], adoption: &Adoption) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::new();
    if journal.is_empty() {
        return Ok(out);
    }
    let entries = read_journal(journal)?;
    write_varint(entries.len() as u64, &mut out);
    for entry in entries {
        let rollups = Rollups::restore_as_written(&mut Reader::new(&entry.rollups))?;
        let mut adopted = Vec::new();
        rollups.adopt(adoption).snapshot(&mut adopted);
        Entry { rollups: adopted, ..entry }.write(&mut out);
    }
    Ok(out)
}

impl Outflow {
    /// Nothing has left.
    fn begin(disk: &dyn Disk, sink: Sink) -> Result<Outflow, RunError> {
        let rollups = Rollups::new(sink.levels.clone());
        let outflow = Outflow { sink, rollups, number: 1, offset: 0, pending: Vec::new() };
        if let Some(path) = outflow.path()
            && disk.length(&path).is_ok_and(|bytes| bytes > 0)
        {
            return Err(RunError::SinkExists(path.display().to_string()));
        }
        Ok(outflow)
    }

    /// Goes on where a commit was.
    fn at(sink: Sink, entry: Entry) -> Outflow {
        let rollups = Rollups::new(sink.levels.clone());
        let Entry { number, offset, pending, .. } = entry;
        let mut outflow = Outflow { sink, rollups, number, offset, pending };
        outflow.hand_on();
        outflow
    }

    fn entry(&self) -> Entry {
        let mut rollups = Vec::new();
        self.rollups.snapshot(&mut rollups);
        Entry {
            name: self.sink.name.clone(),
            path: path_text(&self.sink.to),
            rotates: self.rotates(),
            number: self.number,
            offset: self.offset,
            rollups,
            pending: if planted(Bug::JournalNotWritten) { Vec::new() } else { self.pending.clone() },
        }
    }

    /// What was leaving is written, or will be; the next bytes may go to the next file.
    fn hand_on(&mut self) {
        self.offset += self.pending.len() as u64;
        self.pending.clear();
        if let SinkTo::File { rotate_bytes: Some(rotate), .. } = self.sink.to
            && self.offset >= rotate
        {
            (self.number, self.offset) = (self.number + 1, 0);
        }
    }

    fn take(&mut self, boundary: Time, shards: Vec<Shard>, around: Around<'_>) {
        let Outflow { rollups, pending, .. } = self;
        rollups.take(shards, boundary, around, &mut |answer| {
            serde_json::to_writer(&mut *pending, &answer).expect("an answer is written to memory");
            pending.push(b'\n');
        });
    }

    fn rotates(&self) -> bool {
        matches!(self.sink.to, SinkTo::File { rotate_bytes: Some(_), .. })
    }

    fn path(&self) -> Option<PathBuf> {
        match &self.sink.to {
            SinkTo::File { path, .. } => Some(numbered(path, self.rotates().then_some(self.number))),
            SinkTo::Stdout => None,
        }
    }

    fn delivery(&self, durable: bool) -> Delivery {
        let file = self.path().map(|path| (path, self.offset));
        Delivery { file, bytes: self.pending.clone(), durable }
    }
}

impl Delivery {
    /// Writes the bytes.
    ///
    /// # Errors
    /// A file that is not as long as it was left, or cannot be written.
    pub fn deliver(&self, disk: &dyn Disk) -> Result<(), RunError> {
        let Some((path, offset)) = &self.file else {
            let mut out = io::stdout().lock();
            return out
                .write_all(&self.bytes)
                .and_then(|()| out.flush())
                .map_err(|source| RunError::Sink { path: "standard output".into(), source });
        };
        let wrong = |source| RunError::Sink { path: path.display().to_string(), source };
        self.put(disk, path, *offset).map_err(wrong)
    }

    fn put(&self, disk: &dyn Disk, path: &Path, offset: u64) -> io::Result<()> {
        let mut file = disk.open(path, if offset == 0 { How::ChangeOrNew } else { How::Change })?;
        if file.length()? != offset {
            return Err(io::Error::other("somebody else has written to it"));
        }
        put_at(disk, path, &mut *file, offset, &self.bytes, self.durable)
    }
}

/// Writes bytes at a place of a file.
fn put_at(
    disk: &dyn Disk,
    path: &Path,
    file: &mut dyn DiskFile,
    offset: u64,
    bytes: &[u8],
    durable: bool,
) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)?;
    if durable && !planted(Bug::LinesNotSynced) {
        file.sync_data()?;
        if offset == 0 {
            disk.sync_directory(&holder(path))?;
        }
    }
    Ok(())
}

/// What a commit says of a sink.
struct Entry {
    name: String,
    /// Empty for standard output.
    path: String,
    rotates: bool,
    number: u64,
    offset: u64,
    rollups: Vec<u8>,
    pending: Vec<u8>,
}

impl Entry {
    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(self.name.as_bytes(), out);
        write_bytes(self.path.as_bytes(), out);
        out.push(u8::from(self.rotates));
        write_varint(self.number, out);
        write_varint(self.offset, out);
        write_bytes(&self.rollups, out);
        write_bytes(&self.pending, out);
    }

    /// Brings the file to what the commit says: what was leaving is there, and nothing behind it. What stands behind the
    /// place of the commit must be what was leaving, in part or whole, or else somebody else's; but after a fall back to an
    /// older commit it is what left later, in this file and in those after it.
    fn recover(&self, disk: &dyn Disk, fell_back: bool) -> Result<(), RunError> {
        if self.path.is_empty() {
            return Delivery { file: None, bytes: self.pending.clone(), durable: true }.deliver(disk);
        }
        let path = numbered(Path::new(&self.path), self.rotates.then_some(self.number));
        let wrong = |source| RunError::Sink { path: path.display().to_string(), source };
        if self.offset > 0 || !self.pending.is_empty() || disk.length(&path).is_ok() {
            self.recover_file(disk, &path, fell_back)?;
        }
        if self.rotates && fell_back {
            let later = (self.number + 1..).map(|number| numbered(Path::new(&self.path), Some(number)));
            let later: Vec<PathBuf> = later.take_while(|path| disk.length(path).is_ok()).collect();
            // From the last one on, and one after the other: if the power is cut in between, those that are left are found again.
            for path in later.iter().rev() {
                disk.remove(path).and_then(|()| disk.sync_directory(&holder(path))).map_err(wrong)?;
            }
        }
        Ok(())
    }

    fn recover_file(&self, disk: &dyn Disk, path: &Path, fell_back: bool) -> Result<(), RunError> {
        let wrong = |source| RunError::Sink { path: path.display().to_string(), source };
        let how = if self.offset == 0 { How::ChangeOrNew } else { How::Change };
        let mut file = disk.open(path, how).map_err(wrong)?;
        let bytes = file.length().map_err(wrong)?;
        if bytes < self.offset {
            return Err(wrong(io::Error::other("it is shorter than the state says")));
        }
        let mut behind = Vec::new();
        file.seek(SeekFrom::Start(self.offset)).map_err(wrong)?;
        (&mut file).take(self.pending.len() as u64 + 1).read_to_end(&mut behind).map_err(wrong)?;
        if !fell_back && !left_of(&behind, &self.pending) {
            return Err(RunError::SinkExists(path.display().to_string()));
        }
        // What stands there already is not taken away, not even to be put back: somebody may be reading.
        let there = behind.iter().zip(&self.pending).take_while(|(is, should)| is == should).count();
        let there = if planted(Bug::LinesTakenBack) { 0 } else { there };
        if bytes > self.offset + there as u64 {
            file.set_length(self.offset + there as u64).map_err(wrong)?;
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        // But it is written over with the same bytes: after a sync that failed what is read need not be what is on the disk, and
        // another sync would not bring it there.
        put_at(disk, path, &mut *file, self.offset, &self.pending, true).map_err(wrong)
    }
}

/// Whether these bytes are what a crash can leave of some that were being written: the first of them, and where the power was cut
/// zeros for what had not come to the disk.
fn left_of(found: &[u8], written: &[u8]) -> bool {
    found.len() <= written.len()
        && found.iter().zip(written).all(|(ours, theirs)| ours == theirs || *ours == 0)
}

fn read_journal(bytes: &[u8]) -> Result<Vec<Entry>, DecodeError> {
    let r = &mut Reader::new(bytes);
    let mut out = Vec::new();
    for _ in 0..count(r)? {
        out.push(Entry {
            name: read_text(r)?,
            path: read_text(r)?,
            rotates: r.u8()? != 0,
            number: r.varint()?,
            offset: r.varint()?,
            rollups: read_bytes(r)?.to_vec(),
            pending: read_bytes(r)?.to_vec(),
        });
    }
    r.clone().finish()?;
    Ok(out)
}

/// `panes.ndjson` as `panes.000001.ndjson`.
fn numbered(path: &Path, number: Option<u64>) -> PathBuf {
    let Some(number) = number else { return path.to_path_buf() };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match path.extension() {
        Some(extension) => format!("{stem}.{number:06}.{}", extension.to_string_lossy()),
        None => format!("{stem}.{number:06}"),
    };
    path.with_file_name(name)
}

fn path_text(to: &SinkTo) -> String {
    match to {
        SinkTo::File { path, .. } => path.display().to_string(),
        SinkTo::Stdout => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Files;

    /// What stands in the file when a run goes on, with `found` behind the place of the commit.
    fn recovered(name: &str, found: &[u8]) -> Result<Vec<u8>, RunError> {
        let path = std::env::temp_dir().join(format!("streamgauge-{}-{name}", std::process::id()));
        std::fs::write(&path, [b"left before\n", found].concat()).unwrap();
        let entry = Entry {
            name: "panes".into(),
            path: path.display().to_string(),
            rotates: false,
            number: 1,
            offset: 12,
            rollups: Vec::new(),
            pending: b"leaving\nnow\n".to_vec(),
        };
        let done = entry.recover(&Files, false).map(|()| std::fs::read(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        done
    }

    #[test]
    fn what_a_power_cut_left_of_lines_that_were_leaving_is_written_anew() {
        let all: &[u8] = b"left before\nleaving\nnow\n";
        for (nth, found) in
            [&b""[..], b"leav", b"leaving\nnow\n", b"\0\0\0\0\0\0\0\0\0ow", &[0; 12]].into_iter().enumerate()
        {
            assert_eq!(recovered(&format!("torn-{nth}"), found).unwrap(), all, "{found:?}");
        }
        for (nth, found) in [&b"someone"[..], b"leaving\nnow\nmore\n", &[0; 13]].into_iter().enumerate() {
            let error = recovered(&format!("else-{nth}"), found).unwrap_err();
            assert!(matches!(error, RunError::SinkExists(_)), "{found:?}: {error}");
        }
    }

    /// What stands in a file after a commit of which `pending` was leaving at byte 3, and a kill that left `found`.
    #[cfg(unix)]
    fn check(pending: &str, found: &str, fell_back: bool, wanted: Option<&str>) {
        use std::os::unix::fs::FileExt;
        use std::sync::atomic::{AtomicU32, Ordering};
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sink-{}-{number}.ndjson", std::process::id()));
        std::fs::write(&path, found).expect("a file");
        let entry = Entry {
            name: "out".into(),
            path: path.display().to_string(),
            rotates: false,
            number: 1,
            offset: 3,
            rollups: Vec::new(),
            pending: pending.into(),
        };
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        let file = std::fs::File::options().write(true).open(&path);
        file.and_then(|file| file.set_modified(long_ago)).expect("a time");
        assert_eq!(entry.recover(&Files, fell_back).is_ok(), wanted.is_some(), "{found}");
        let modified = path.metadata().and_then(|meta| meta.modified()).expect("a time");
        // What was leaving is written over even where it stands, as nobody knows whether it is durable.
        let untouched = wanted.is_none_or(|wanted| wanted == found && pending.is_empty());
        assert_eq!(modified == long_ago, untouched, "{found}");
        let is = std::fs::read_to_string(&path).expect("a file");
        assert_eq!(is, wanted.unwrap_or(found));
        // Again, as after a kill in the midst of it: at every length that the file can have had.
        for length in (3..=is.len()).filter(|_| wanted.is_some()) {
            let file = std::fs::File::options().write(true).open(&path).expect("a file");
            file.set_len(length as u64).and_then(|()| file.write_all_at(b"x\ny", 0)).expect("it is written");
            entry.recover(&Files, fell_back).unwrap_or_else(|error| panic!("{length} of {found}: {error}"));
            assert_eq!(std::fs::read_to_string(&path).expect("a file"), is, "{length} of {found}");
        }
        std::fs::remove_file(&path).expect("it is removed");
    }

    #[test]
    #[cfg(unix)]
    fn what_was_leaving_is_brought_to_its_end_and_nothing_else_is_touched() {
        check("a\nb\n", "x\ny", false, Some("x\nya\nb\n"));
        check("a\nb\n", "x\nya\n", false, Some("x\nya\nb\n"));
        check("a\nb\n", "x\nya\nb\n", false, Some("x\nya\nb\n"));
        check("", "x\ny", false, Some("x\ny"));
        // Somebody else's, but after a fall back what left later.
        check("a\nb\n", "x\nya\nc\n", false, None);
        check("a\nb\n", "x\nya\nc\n", true, Some("x\nya\nb\n"));
        check("a\nb\n", "x\nya\nb\nc\n", true, Some("x\nya\nb\n"));
        check("", "x\nya\n", true, Some("x\ny"));
        check("a\n", "x\n", false, None);
    }
}

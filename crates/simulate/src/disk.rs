//! A disk in memory that fails, tears and forgets: what it shows and what it would show after a power cut are two images.
//!
//! A write goes to the live image at once, and to the durable one when its file is synced. Names (of new, renamed and removed
//! files) become durable when their directory is synced. At a power cut of what was not synced any part is kept: of writes each
//! sector of 512 bytes by itself, of names either the first so many or any. After a failed sync the pages count as
//! clean, as on Linux: what they held is shown until the power is cut, and never becomes durable by another sync.

use crate::dice::{Dice, Trace};
use runtime::disk::{Disk, DiskFile, Entry, How, Lock};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

const SECTOR: u64 = 512;

/// What can go wrong, for the counts of the verdict.
pub const KINDS: [&str; 12] = [
    "kill",
    "power_cut",
    "read_eio",
    "write_eio",
    "sync_eio",
    "name_eio",
    "no_space",
    "short_write",
    "torn_write",
    "lost_write",
    "lost_name",
    "swapped_names",
];

/// How the program that uses the disk ends, if the disk says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// The program ends; the live image stays.
    Kill,
    /// So does the machine.
    PowerCut,
}

/// What goes wrong while one program runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// At which operation it dies, and how.
    pub death: Option<(u64, Death)>,
    /// One operation in so many fails; 0 is none.
    pub fails_once_in: u64,
    /// Whether reads may fail too.
    pub reads_fail: bool,
}

#[derive(Debug, Default)]
struct Node {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Not synced, in order.
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

#[derive(Debug, Clone)]
enum Naming {
    Is(PathBuf, u64),
    Gone(PathBuf),
    Renamed(PathBuf, PathBuf, u64),
}

#[derive(Debug)]
struct Inner {
    nodes: BTreeMap<u64, Node>,
    next_node: u64,
    live: BTreeMap<PathBuf, u64>,
    durable: BTreeMap<PathBuf, u64>,
    namings: Vec<Naming>,
    locks: BTreeSet<PathBuf>,
    weather: Weather,
    dice: Dice,
    operations: u64,
    full_for: u64,
    dead: bool,
    /// Faults since the program began.
    failed: u64,
    read_failed: bool,
    faults: [u64; KINDS.len()],
    trace: Trace,
}

/// The disk, shared by everybody who has it.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<Inner>>);

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimDisk")
    }
}

impl SimDisk {
    /// An empty one.
    pub fn new(dice: Dice) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(Inner {
            nodes: BTreeMap::new(),
            next_node: 1,
            live: BTreeMap::new(),
            durable: BTreeMap::new(),
            namings: Vec::new(),
            locks: BTreeSet::new(),
            weather: Weather::default(),
            dice,
            operations: 0,
            full_for: 0,
            dead: false,
            failed: 0,
            read_failed: false,
            faults: [0; KINDS.len()],
            trace: Trace::default(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// A program begins in this weather. What the one before held is free again, and where the power was cut, what was not
    /// durable is gone.
    pub fn begin(&self, weather: Weather) {
        let mut inner = self.lock();
        if inner.dead && matches!(inner.weather.death, Some((_, Death::PowerCut))) {
            inner.cut_power();
        }
        inner.locks.clear();
        (inner.dead, inner.failed, inner.read_failed) = (false, 0, false);
        (inner.operations, inner.full_for) = (0, 0);
        inner.weather = weather;
    }

    /// Whether the program was ended by it.
    pub fn is_dead(&self) -> bool {
        self.lock().dead
    }

    /// Ends the program now.
    pub fn die(&self, death: Death) {
        let mut inner = self.lock();
        inner.weather.death = Some((0, death));
        inner.die(death);
    }

    /// Operations that failed since the program began.
    pub fn failed(&self) -> u64 {
        self.lock().failed
    }

    /// Whether one of them was a read.
    pub fn read_failed(&self) -> bool {
        self.lock().read_failed
    }

    /// What went wrong so far, by [`KINDS`].
    pub fn faults(&self) -> [u64; KINDS.len()] {
        self.lock().faults
    }

    /// All that was asked and answered so far.
    pub fn trace(&self) -> u64 {
        self.lock().trace.sum()
    }

    /// What anybody sees in a file now; `None` when there is none.
    pub fn seen(&self, path: &Path) -> Option<Vec<u8>> {
        let inner = self.lock();
        inner.live.get(path).map(|node| inner.nodes[node].live.clone())
    }

    /// All files in a directory, with what anybody sees in them.
    pub fn files(&self, directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let inner = self.lock();
        let below = inner.live.iter().filter(|(path, _)| path.parent() == Some(directory));
        below.map(|(path, node)| (path.clone(), inner.nodes[node].live.clone())).collect()
    }

    /// Puts a file there, durable, or takes it away.
    pub fn put(&self, path: &Path, bytes: Option<&[u8]>) {
        let mut inner = self.lock();
        let Some(bytes) = bytes else {
            inner.live.remove(path);
            inner.durable.remove(path);
            return;
        };
        let node = inner.next_node;
        inner.next_node += 1;
        inner.nodes.insert(node, Node { live: bytes.to_vec(), durable: bytes.to_vec(), pending: Vec::new() });
        inner.live.insert(path.to_path_buf(), node);
        inner.durable.insert(path.to_path_buf(), node);
    }
}

impl Inner {
    fn die(&mut self, death: Death) {
        if !self.dead {
            self.dead = true;
            self.fault(if death == Death::Kill { "kill" } else { "power_cut" });
        }
    }

    fn fault(&mut self, kind: &str) {
        let at = KINDS.iter().position(|known| *known == kind).expect("a known kind");
        self.faults[at] += 1;
    }

    /// Before an operation: whether it works. `Err(true)`: it is the one in whose middle the program dies.
    fn ask(&mut self, what: &str, path: &Path, bytes: u64) -> Result<(), (io::Error, bool)> {
        if self.dead {
            return Err((io::Error::other("the program has ended"), false));
        }
        self.trace.note(what.as_bytes());
        self.trace.note(path.as_os_str().as_encoded_bytes());
        self.trace.count(bytes);
        self.operations += 1;
        if let Some((at, death)) = self.weather.death
            && self.operations >= at
        {
            self.die(death);
            return Err((io::Error::other("the program has ended"), true));
        }
        let reads = matches!(what, "read" | "open" | "list" | "length");
        if self.weather.fails_once_in > 0
            && (!reads || self.weather.reads_fail)
            && self.dice.once_in(self.weather.fails_once_in)
        {
            self.failed += 1;
            self.read_failed |= reads;
            if matches!(what, "write" | "make") && self.dice.once_in(2) {
                self.full_for = self.dice.within(1, 6);
            } else {
                let kind = match what {
                    _ if reads => "read_eio",
                    "write" => "write_eio",
                    "sync" => "sync_eio",
                    _ => "name_eio",
                };
                self.fault(kind);
                return Err((io::Error::from_raw_os_error(5), true));
            }
        }
        if self.full_for > 0 && matches!(what, "write" | "make") {
            self.full_for -= 1;
            self.fault("no_space");
            return Err((io::Error::from_raw_os_error(28), true));
        }
        Ok(())
    }

    fn found(&self, path: &Path) -> io::Result<u64> {
        self.live.get(path).copied().ok_or_else(|| io::Error::from_raw_os_error(2))
    }

    /// What was not durable is kept in any part.
    fn cut_power(&mut self) {
        let mut dice = self.dice.clone();
        let mut kinds: Vec<&str> = Vec::new();
        for node in self.nodes.values_mut() {
            for change in std::mem::take(&mut node.pending) {
                keep_some(&mut node.durable, &change, &mut dice, &mut kinds);
            }
        }
        let namings = std::mem::take(&mut self.namings);
        // Most file systems keep the order of names; none need to.
        let in_order = !dice.once_in(4);
        let first = dice.below(namings.len() as u64 + 1) as usize;
        for (nth, naming) in namings.iter().enumerate() {
            let kept = if in_order { nth < first } else { dice.once_in(2) };
            if kept {
                apply(&mut self.durable, naming);
                if !in_order {
                    kinds.push("swapped_names");
                }
            } else {
                kinds.push("lost_name");
            }
        }
        kinds.into_iter().for_each(|kind| self.fault(kind));
        self.dice = dice;
        self.live = self.durable.clone();
        let named: BTreeSet<u64> = self.live.values().copied().collect();
        self.nodes.retain(|node, _| named.contains(node));
        self.nodes.values_mut().for_each(|node| node.live = node.durable.clone());
    }
}

fn keep_some(bytes: &mut Vec<u8>, change: &Change, dice: &mut Dice, kinds: &mut Vec<&str>) {
    match change {
        Change::Length(length) => {
            if dice.once_in(2) {
                bytes.resize(*length as usize, 0);
            }
        }
        Change::Write(at, written) => {
            let (mut kept, mut lost) = (0, 0);
            let mut from = 0;
            let all = dice.below(3);
            while from < written.len() {
                // Up to the end of the sector.
                let to = ((at + from as u64) / SECTOR + 1) * SECTOR - at;
                let to = (to as usize).min(written.len());
                if all == 0 || all == 1 && dice.once_in(2) {
                    write_at(bytes, at + from as u64, &written[from..to]);
                    kept += 1;
                } else {
                    lost += 1;
                }
                from = to;
            }
            match (kept, lost) {
                (_, 0) => {}
                (0, _) => kinds.push("lost_write"),
                _ => kinds.push("torn_write"),
            }
        }
    }
}

fn write_at(bytes: &mut Vec<u8>, at: u64, written: &[u8]) {
    let (from, to) = (at as usize, at as usize + written.len());
    if bytes.len() < to {
        bytes.resize(to, 0);
    }
    bytes[from..to].copy_from_slice(written);
}

fn apply(names: &mut BTreeMap<PathBuf, u64>, naming: &Naming) {
    match naming {
        Naming::Is(path, node) => drop(names.insert(path.clone(), *node)),
        Naming::Gone(path) => drop(names.remove(path)),
        Naming::Renamed(from, to, node) => {
            names.remove(from);
            names.insert(to.clone(), *node);
        }
    }
}

fn holder(naming: &Naming) -> Option<&Path> {
    match naming {
        Naming::Is(path, _) | Naming::Gone(path) | Naming::Renamed(_, path, _) => path.parent(),
    }
}

impl Disk for SimDisk {
    fn make_directory(&self, path: &Path) -> io::Result<()> {
        // Directories are there for ever: that their names are synced is not what is tried here.
        self.lock().ask("make", path, 0).map_err(|(error, _)| error)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        inner.ask("sync", path, 0).map_err(|(error, _)| error)?;
        let (here, elsewhere): (Vec<Naming>, Vec<Naming>) =
            std::mem::take(&mut inner.namings).into_iter().partition(|naming| holder(naming) == Some(path));
        here.iter().for_each(|naming| apply(&mut inner.durable, naming));
        inner.namings = elsewhere;
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut inner = self.lock();
        inner.ask("list", path, 0).map_err(|(error, _)| error)?;
        let below = inner.live.iter().filter(|(file, _)| file.parent() == Some(path));
        let entry = |(file, node): (&PathBuf, &u64)| Entry {
            name: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            bytes: inner.nodes[node].live.len() as u64,
        };
        Ok(below.map(entry).collect())
    }

    fn open(&self, path: &Path, how: How) -> io::Result<Box<dyn DiskFile>> {
        let mut inner = self.lock();
        let what = if matches!(how, How::Read | How::Change) { "open" } else { "make" };
        inner.ask(what, path, 0).map_err(|(error, _)| error)?;
        let there = inner.live.get(path).copied();
        let node = match (how, there) {
            (How::Read | How::Change, _) => inner.found(path)?,
            (_, Some(node)) => node,
            (_, None) => {
                let node = inner.next_node;
                inner.next_node += 1;
                inner.nodes.insert(node, Node::default());
                inner.live.insert(path.to_path_buf(), node);
                inner.namings.push(Naming::Is(path.to_path_buf(), node));
                node
            }
        };
        if how == How::New {
            let file = inner.nodes.get_mut(&node).expect("it is there");
            file.live.clear();
            file.pending.push(Change::Length(0));
        }
        Ok(Box::new(SimFile { disk: self.clone(), node, path: path.to_path_buf(), at: 0 }))
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        let mut inner = self.lock();
        inner.ask("length", path, 0).map_err(|(error, _)| error)?;
        let node = inner.found(path)?;
        Ok(inner.nodes[&node].live.len() as u64)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        inner.ask("rename", to, 0).map_err(|(error, _)| error)?;
        let node = inner.found(from)?;
        let naming = Naming::Renamed(from.to_path_buf(), to.to_path_buf(), node);
        apply(&mut inner.live, &naming);
        inner.namings.push(naming);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        inner.ask("remove", path, 0).map_err(|(error, _)| error)?;
        inner.found(path)?;
        inner.live.remove(path);
        inner.namings.push(Naming::Gone(path.to_path_buf()));
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let mut inner = self.lock();
        inner.ask("lock", path, 0).map_err(|(error, _)| error)?;
        if !inner.locks.insert(path.to_path_buf()) {
            return Ok(None);
        }
        drop(inner);
        Ok(Some(Box::new(Held(self.clone(), path.to_path_buf()))))
    }
}

#[derive(Debug)]
struct Held(SimDisk, PathBuf);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.lock().locks.remove(&self.1);
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    node: u64,
    path: PathBuf,
    at: u64,
}

impl Read for SimFile {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.disk.lock();
        inner.ask("read", &self.path, 0).map_err(|(error, _)| error)?;
        let bytes = &inner.nodes[&self.node].live;
        let rest = bytes.get(self.at as usize..).unwrap_or_default();
        let many = rest.len().min(out.len());
        out[..many].copy_from_slice(&rest[..many]);
        self.at += many as u64;
        Ok(many)
    }
}

impl Write for SimFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.disk.lock();
        let (written, error) = match inner.ask("write", &self.path, bytes.len() as u64) {
            Ok(()) => (bytes.len(), None),
            Err((error, false)) => return Err(error),
            // In the middle of it.
            Err((error, true)) => {
                let part = inner.dice.below(bytes.len() as u64 + 1) as usize;
                inner.fault("short_write");
                (part, Some(error))
            }
        };
        let at = self.at;
        let file = inner.nodes.get_mut(&self.node).expect("it is open");
        write_at(&mut file.live, at, &bytes[..written]);
        file.pending.push(Change::Write(at, bytes[..written].to_vec()));
        self.at += written as u64;
        error.map_or(Ok(written), Err)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for SimFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let length = self.disk.lock().nodes[&self.node].live.len() as i64;
        let at = match to {
            SeekFrom::Start(at) => at as i64,
            SeekFrom::End(by) => length + by,
            SeekFrom::Current(by) => self.at as i64 + by,
        };
        self.at = u64::try_from(at).map_err(io::Error::other)?;
        Ok(self.at)
    }
}

impl DiskFile for SimFile {
    fn sync_all(&mut self) -> io::Result<()> {
        let mut inner = self.disk.lock();
        let asked = inner.ask("sync", &self.path, 0);
        let failed = matches!(asked, Err((_, true))) && !inner.dead;
        if asked.is_err() && !failed {
            return asked.map_err(|(error, _)| error);
        }
        let file = inner.nodes.get_mut(&self.node).expect("it is open");
        let pending = std::mem::take(&mut file.pending);
        if failed {
            // The pages are clean now, and what they held is not on the disk, or in part.
            let mut durable = std::mem::take(&mut file.durable);
            let (mut dice, mut kinds) = (inner.dice.clone(), Vec::new());
            pending.iter().for_each(|change| keep_some(&mut durable, change, &mut dice, &mut kinds));
            inner.dice = dice;
            inner.nodes.get_mut(&self.node).expect("it is open").durable = durable;
            return asked.map_err(|(error, _)| error);
        }
        for change in pending {
            match change {
                Change::Write(at, written) => write_at(&mut file.durable, at, &written),
                Change::Length(length) => file.durable.resize(length as usize, 0),
            }
        }
        Ok(())
    }

    fn set_length(&mut self, bytes: u64) -> io::Result<()> {
        let mut inner = self.disk.lock();
        inner.ask("cut", &self.path, bytes).map_err(|(error, _)| error)?;
        let file = inner.nodes.get_mut(&self.node).expect("it is open");
        file.live.resize(bytes as usize, 0);
        file.pending.push(Change::Length(bytes));
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.lock().nodes[&self.node].live.len() as u64)
    }
}

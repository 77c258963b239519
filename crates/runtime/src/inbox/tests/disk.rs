//! A disk that fails when it is told to, waits when it is told to, and knows what it would have lost.

use crate::disk;
use crate::inbox::disk::{Files, SegmentFile, Segments};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

/// What becomes of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Works,
    /// Fails with this; a write leaves so many of its bytes.
    Fails(io::ErrorKind, usize),
    /// Makes a new segment, name and all, and fails then.
    FailsLate(io::ErrorKind),
}

type Script = Box<dyn FnMut(&'static str, u64) -> Fate + Send>;

struct State {
    script: Script,
    operations: u64,
    syncs: u64,
    /// Bytes that a power cut would leave.
    durable: HashMap<PathBuf, u64>,
    /// Whether everything fails, as after the end of the program.
    dead: bool,
    held: bool,
    /// What was written anew when a segment was reopened last.
    again: Option<(u64, u64)>,
}

#[derive(Clone)]
pub struct TestDisk(Arc<(Mutex<State>, Condvar)>);

impl TestDisk {
    pub fn new(script: impl FnMut(&'static str, u64) -> Fate + Send + 'static) -> TestDisk {
        let (durable, script) = (HashMap::new(), Box::new(script));
        let state = State { script, operations: 0, syncs: 0, durable, dead: false, held: false, again: None };
        TestDisk(Arc::new((Mutex::new(state), Condvar::new())))
    }

    /// Never fails by itself.
    pub fn good() -> TestDisk {
        TestDisk::new(|_, _| Fate::Works)
    }

    /// From now on nothing is written any more.
    pub fn kill(&self) {
        self.change(|state| (state.dead, state.held) = (true, false));
    }

    /// Lets syncs wait, or go on.
    pub fn hold(&self, held: bool) {
        self.change(|state| state.held = held);
    }

    /// What was written anew when a segment was reopened last.
    pub fn again(&self) -> Option<(u64, u64)> {
        self.0.0.lock().unwrap().again
    }

    pub fn syncs(&self) -> u64 {
        self.0.0.lock().unwrap().syncs
    }

    pub fn operations(&self) -> u64 {
        self.0.0.lock().unwrap().operations
    }

    /// What a power cut would leave of this file.
    pub fn durable(&self, path: &Path) -> Option<u64> {
        self.0.0.lock().unwrap().durable.get(path).copied()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    fn fate(&self, operation: &'static str) -> Fate {
        let mut state = self.0.0.lock().unwrap();
        while operation == "sync" && state.held {
            state = self.0.1.wait(state).unwrap();
        }
        if state.dead {
            return Fate::Fails(io::ErrorKind::Other, 0);
        }
        let number = state.operations;
        state.operations += 1;
        state.syncs += u64::from(operation == "sync");
        (state.script)(operation, number)
    }

    fn wrap(&self, path: &Path, inner: Box<dyn SegmentFile>, bytes: u64) -> Box<dyn SegmentFile> {
        self.change(|state| {
            state.durable.insert(path.to_path_buf(), bytes);
        });
        Box::new(TestFile { disk: self.clone(), path: path.to_path_buf(), inner, bytes })
    }
}

impl Segments for TestDisk {
    fn create(&self, path: &Path, head: &[u8]) -> io::Result<Box<dyn SegmentFile>> {
        match self.fate("create") {
            Fate::Works => Ok(self.wrap(path, files().create(path, head)?, head.len() as u64)),
            Fate::Fails(kind, _) => Err(kind.into()),
            Fate::FailsLate(kind) => {
                self.wrap(path, files().create(path, head)?, head.len() as u64);
                Err(kind.into())
            }
        }
    }

    fn reopen(&self, path: &Path, unsure: u64, bytes: u64) -> io::Result<Box<dyn SegmentFile>> {
        self.change(|state| state.again = Some((unsure, bytes)));
        match self.fate("reopen") {
            Fate::Works => Ok(self.wrap(path, files().reopen(path, unsure, bytes)?, bytes)),
            Fate::Fails(kind, _) | Fate::FailsLate(kind) => Err(kind.into()),
        }
    }
}

fn files() -> Files {
    Files(disk::Files::shared())
}

struct TestFile {
    disk: TestDisk,
    path: PathBuf,
    inner: Box<dyn SegmentFile>,
    bytes: u64,
}

impl SegmentFile for TestFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.disk.fate("append") {
            Fate::Works => {
                self.bytes += bytes.len() as u64;
                self.inner.append(bytes)
            }
            Fate::Fails(kind, left) => {
                self.inner.append(&bytes[..left.min(bytes.len())])?;
                Err(kind.into())
            }
            Fate::FailsLate(kind) => {
                self.inner.append(bytes)?;
                Err(kind.into())
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.disk.fate("sync") {
            Fate::Works => {
                self.inner.sync()?;
                self.disk.change(|state| {
                    state.durable.insert(self.path.clone(), self.bytes);
                });
                Ok(())
            }
            Fate::Fails(kind, _) | Fate::FailsLate(kind) => Err(kind.into()),
        }
    }

    fn give_back(&mut self, bytes: u64) {
        // Whether it works is the disk's affair; that it may not is the harder case.
        if bytes.is_multiple_of(2) {
            self.inner.give_back(bytes);
        }
    }
}

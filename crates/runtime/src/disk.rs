//! The few things that a run asks of a disk for what it keeps: state, inbox, quarantine, what leaves through sinks.
//!
//! Everything durable goes through it, so that simulations can put one below that fails, tears and forgets. Input files are not:
//! they belong to somebody else. It is asked a few times a commit and once for a group of bodies, never for an event.

use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A disk, as far as kept states need one.
pub trait Disk: Debug + Send + Sync {
    /// Makes a directory and those above it, where they are not there.
    fn make_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// What is in a directory, in any order.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;

    /// Opens a file.
    fn open(&self, path: &Path, how: How) -> io::Result<Box<dyn DiskFile>>;

    /// The length of a file; an error of kind `NotFound` when there is none.
    fn length(&self, path: &Path) -> io::Result<u64>;

    /// Gives a file another name; a file that had it is gone.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Takes a file, which is made where there is none, for this program alone, until what is given back is dropped; `None`
    /// when another one has it.
    fn lock(&self, path: &Path) -> io::Result<Option<Lock>>;

    /// All bytes of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(path, How::Read)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// An open file.
pub trait DiskFile: Read + Write + Seek + Debug + Send + Sync {
    /// Makes its bytes and all that is known of it durable, but for its name.
    fn sync_all(&mut self) -> io::Result<()>;

    /// The same of its bytes and its length.
    fn sync_data(&mut self) -> io::Result<()> {
        self.sync_all()
    }

    /// Cuts it, or adds zeros.
    fn set_length(&mut self, bytes: u64) -> io::Result<()>;

    /// Its length.
    fn length(&self) -> io::Result<u64>;
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, without the directory.
    pub name: String,
    /// How many bytes the file has.
    pub bytes: u64,
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// To be read.
    Read,
    /// To be written anew, whatever was there.
    New,
    /// To be read and written as it is.
    Change,
    /// The same, made where there is none.
    ChangeOrNew,
}

/// Held as long as it lives.
pub type Lock = Box<dyn Debug + Send + Sync>;

/// The disk of the system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Files;

impl Files {
    /// The same, to be shared.
    pub fn shared() -> Arc<dyn Disk> {
        Arc::new(Files)
    }
}

impl Disk for Files {
    fn make_directory(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let entry = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // What is gone by now has no bytes.
            Ok(Entry { name, bytes: entry.metadata().map_or(0, |meta| meta.len()) })
        };
        fs::read_dir(path)?.map(entry).collect()
    }

    fn open(&self, path: &Path, how: How) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(match how {
            How::Read => File::open(path)?,
            How::New => File::create(path)?,
            How::Change => File::options().read(true).write(true).open(path)?,
            How::ChangeOrNew => {
                File::options().create(true).read(true).write(true).truncate(false).open(path)?
            }
        }))
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let file = File::create(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }
}

impl DiskFile for File {
    fn sync_all(&mut self) -> io::Result<()> {
        File::sync_all(self)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn set_length(&mut self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// The directory that holds the name of a file.
pub(crate) fn holder(path: &Path) -> PathBuf {
    let holder = path.parent().filter(|holder| !holder.as_os_str().is_empty());
    holder.unwrap_or(Path::new(".")).to_path_buf()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::checkpoint::{Codec, StateDirectory};
    use crate::quarantine::Quarantine;
    use engine::batch::Raw;
    use std::sync::Mutex;

    /// The disk of the system; notes which directories were synced.
    #[derive(Debug, Default)]
    struct Noting(Mutex<Vec<PathBuf>>);

    impl Noting {
        fn synced(&self) -> Vec<PathBuf> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl Disk for Noting {
        fn make_directory(&self, path: &Path) -> io::Result<()> {
            Files.make_directory(path)
        }
        fn sync_directory(&self, path: &Path) -> io::Result<()> {
            self.0.lock().unwrap().push(path.to_path_buf());
            Files.sync_directory(path)
        }
        fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
            Files.list(path)
        }
        fn open(&self, path: &Path, how: How) -> io::Result<Box<dyn DiskFile>> {
            Files.open(path, how)
        }
        fn length(&self, path: &Path) -> io::Result<u64> {
            Files.length(path)
        }
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            Files.rename(from, to)
        }
        fn remove(&self, path: &Path) -> io::Result<()> {
            Files.remove(path)
        }
        fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
            Files.lock(path)
        }
    }

    #[test]
    fn names_that_a_run_relies_on_are_made_durable() {
        let folder = std::env::temp_dir().join(format!("streamgauge-{}-names", std::process::id()));
        let disk = Arc::new(Noting::default());
        let state = StateDirectory::open_on(disk.clone(), &folder.join("state"), Codec::None).unwrap();
        // Its own too: a commit may stand there whose name the program before did not live to make durable.
        let synced = disk.synced();
        assert!(synced.contains(&folder) && synced.contains(&folder.join("state")), "{synced:?}");
        let mut quarantine = Quarantine::at(disk.clone(), &folder.join("bad.ndjson"), (0, 0)).unwrap();
        let raw = Raw { line: 0, byte: 0, bytes: b"x"[..].into() };
        for synced in [vec![folder.clone()], Vec::new()] {
            quarantine.put("events", "a", "json", None, &raw).unwrap();
            quarantine.settle().unwrap();
            assert_eq!(disk.synced(), synced, "with the first commit after it was made, and once");
        }
        drop(state);
        fs::remove_dir_all(&folder).unwrap();
    }
}

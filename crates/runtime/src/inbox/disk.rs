//! The few things that the log asks of a disk, so that tests can give it one that fails or forgets.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Of a file that is not whole yet.
pub(super) const PART: &str = "part";

pub(super) trait Disk: Send {
    /// Makes a segment that begins with these bytes: after this it is durable in whole, with its name; a segment that
    /// had the name is gone. After an error either nothing has changed or that.
    fn create(&self, path: &Path, head: &[u8]) -> io::Result<Box<dyn SegmentFile>>;

    /// Cuts a segment behind so many bytes, makes what is left durable, and goes on there.
    fn reopen(&self, path: &Path, bytes: u64) -> io::Result<Box<dyn SegmentFile>>;
}

pub(super) trait SegmentFile: Send {
    /// Writes behind what is there; after an error any part of it may be there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes all that was written durable; after an error nothing is known of it.
    fn sync(&mut self) -> io::Result<()>;

    /// Gives space behind so many bytes back, if that can be done. Nothing is written to the file afterwards.
    fn give_back(&mut self, bytes: u64);
}

/// Files of the system.
pub(super) struct Files;

impl Disk for Files {
    fn create(&self, path: &Path, head: &[u8]) -> io::Result<Box<dyn SegmentFile>> {
        let beside = path.with_extension(PART);
        let put = || -> io::Result<File> {
            let mut file = File::create(&beside)?;
            file.write_all(head)?;
            file.sync_all()?;
            fs::rename(&beside, path)?;
            sync_directory(path)?;
            Ok(file)
        };
        let file = put().inspect_err(|_| {
            // It may hold the last bytes of a full disk.
            let _ = fs::remove_file(&beside);
        })?;
        Ok(Box::new(file))
    }

    fn reopen(&self, path: &Path, bytes: u64) -> io::Result<Box<dyn SegmentFile>> {
        let file = OpenOptions::new().append(true).open(path)?;
        file.set_len(bytes)?;
        file.sync_all()?;
        Ok(Box::new(file))
    }
}

impl SegmentFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn give_back(&mut self, bytes: u64) {
        let _ = self.set_len(bytes);
    }
}

/// Makes the name of a file durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let holder = path.parent().filter(|holder| !holder.as_os_str().is_empty());
    File::open(holder.unwrap_or(Path::new(".")))?.sync_all()
}

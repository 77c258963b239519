//! What the log does with the files it writes, so that tests can give it ones that fail or forget.

use crate::disk::{self, DiskFile, How, holder};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

/// Of a file that is not whole yet.
pub(super) const PART: &str = "part";

pub(super) trait Segments: Send {
    /// Makes a segment that begins with these bytes: after this it is durable in whole, with its name; a segment that
    /// had the name is gone. After an error either nothing has changed or that.
    fn create(&self, path: &Path, head: &[u8]) -> io::Result<Box<dyn SegmentFile>>;

    /// Cuts a segment behind so many bytes, makes what is left durable, and goes on there. What stands from `unsure` on is written
    /// anew for that.
    fn reopen(&self, path: &Path, unsure: u64, bytes: u64) -> io::Result<Box<dyn SegmentFile>>;
}

pub(super) trait SegmentFile: Send {
    /// Writes behind what is there; after an error any part of it may be there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes all that was written durable; after an error nothing is known of it.
    fn sync(&mut self) -> io::Result<()>;

    /// Gives space behind so many bytes back, if that can be done. Nothing is written to the file afterwards.
    fn give_back(&mut self, bytes: u64);
}

/// Files of a disk.
pub(super) struct Files(pub Arc<dyn disk::Disk>);

impl Segments for Files {
    fn create(&self, path: &Path, head: &[u8]) -> io::Result<Box<dyn SegmentFile>> {
        let (beside, disk) = (path.with_extension(PART), &*self.0);
        let put = || -> io::Result<Box<dyn DiskFile>> {
            let mut file = disk.open(&beside, How::New)?;
            file.write_all(head)?;
            file.sync_all()?;
            disk.rename(&beside, path)?;
            disk.sync_directory(&holder(path))?;
            Ok(file)
        };
        let file = put().inspect_err(|_| {
            // It may hold the last bytes of a full disk.
            let _ = disk.remove(&beside);
        })?;
        Ok(Box::new(file))
    }

    fn reopen(&self, path: &Path, unsure: u64, bytes: u64) -> io::Result<Box<dyn SegmentFile>> {
        let mut file = self.0.open(path, How::Change)?;
        file.set_length(bytes)?;
        let mut again = Vec::new();
        file.seek(SeekFrom::Start(unsure))?;
        file.read_to_end(&mut again)?;
        file.seek(SeekFrom::Start(unsure))?;
        file.write_all(&again)?;
        file.sync_all()?;
        Ok(Box::new(file))
    }
}

impl SegmentFile for Box<dyn DiskFile> {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        (**self).sync_data()
    }

    fn give_back(&mut self, bytes: u64) {
        let _ = self.set_length(bytes);
    }
}

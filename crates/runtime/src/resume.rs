//! Files that an earlier run has read, wholly or in part: which they are now, and where each goes on.
//!
//! A file is known by device and inode, so that it may be renamed, and by a checksum of its first bytes, so that another one
//! in its place is noticed; a copy is known by its path and these bytes.

use crate::RunError;
use crate::checkpoint::{Position, checksum};
use crate::input::InputFile;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// First bytes of a file by which it is known.
pub const HEAD_BYTES: u64 = 4_096;

/// A file to be read, from a record on.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The file.
    pub file: InputFile,
    /// Its partition.
    pub partition: u32,
    /// Position of the first byte to be read, in the decompressed file; of rows, the number of the first one.
    pub first_byte: u64,
}

impl Planned {
    /// All of these files, from their beginnings; each is a partition of its own.
    pub fn whole(files: Vec<InputFile>) -> Vec<Planned> {
        files
            .into_iter()
            .enumerate()
            .map(|(i, file)| Planned { file, partition: i as u32, first_byte: 0 })
            .collect()
    }
}

/// What is to be read, and what is known of every file by partition.
#[derive(Debug, Default)]
pub struct Plan {
    /// In the order in which it is read.
    pub files: Vec<Planned>,
    /// By partition, files of earlier runs first.
    pub positions: Vec<Position>,
    /// Partitions that have ended before.
    pub ended: Vec<u32>,
}

impl Plan {
    /// All files from their beginnings, and nothing known but their paths.
    pub fn fresh(files: Vec<InputFile>) -> Plan {
        let position = |file: &InputFile| Position { path: file.path.clone(), ..Position::default() };
        let positions = files.iter().map(position).collect();
        Plan { files: Planned::whole(files), positions, ended: Vec::new() }
    }

    /// These files after a run that has read so much of them. Whether they are tables of rows decides how they may change.
    ///
    /// # Errors
    /// Files that have changed in what was read of them, or are gone before their end.
    pub fn resumed(files: &[InputFile], known: Vec<Position>, rows: bool) -> Result<Plan, RunError> {
        let mut plan = Plan { positions: known, ..Plan::default() };
        let mut found = vec![false; plan.positions.len()];
        let mut fresh = Vec::new();
        let mut again = Vec::new();
        for file in files {
            let now = identity(file)?;
            match plan.find(&now, &found)? {
                Some(partition) => {
                    found[partition] = true;
                    again.push((partition, file, now));
                }
                None => fresh.push((file, now)),
            }
        }
        again.sort_by_key(|(partition, ..)| *partition);
        for (partition, file, now) in again {
            plan.go_on(partition, file, now, rows)?;
        }
        for partition in (0..found.len()).filter(|&partition| !found[partition]) {
            let position = &plan.positions[partition];
            if position.finished {
                continue;
            }
            // A file that was rotated away beside its place is read to its end there.
            let Some((path, bytes)) = beside(position) else {
                return Err(changed(
                    &position.path,
                    "is gone or another file by now, and was not read to its end",
                ));
            };
            let file = InputFile { path, size_bytes: Some(bytes) };
            let now = identity(&file)?;
            plan.go_on(partition, &file, now, rows)?;
        }
        plan.files.sort_by_key(|file| file.partition);
        plan.ended = (0..plan.positions.len() as u32)
            .filter(|&id| {
                plan.positions[id as usize].finished && plan.files.iter().all(|file| file.partition != id)
            })
            .collect();
        for (file, now) in fresh {
            let partition = plan.positions.len() as u32;
            plan.files.push(Planned { file: file.clone(), partition, first_byte: 0 });
            plan.positions.push(now);
        }
        Ok(plan)
    }

    /// The partition that this file was.
    fn find(&self, now: &Position, found: &[bool]) -> Result<Option<usize>, RunError> {
        let left = || self.positions.iter().enumerate().filter(|(i, _)| !found[*i]);
        let same_node = |p: &Position| p.inode != 0 && (p.device, p.inode) == (now.device, now.inode);
        for (i, position) in left().filter(|(_, position)| same_node(position)) {
            if head(&now.path, position.head_bytes)? == position.head {
                return Ok(Some(i));
            }
            if position.path == now.path {
                return Err(changed(&now.path, "has changed where it was read already"));
            }
        }
        for (i, position) in left().filter(|(_, position)| position.path == now.path) {
            if head(&now.path, position.head_bytes)? == position.head {
                return Ok(Some(i));
            }
        }
        Ok(None)
    }

    /// Plans what follows in a file.
    fn go_on(
        &mut self,
        partition: usize,
        file: &InputFile,
        now: Position,
        rows: bool,
    ) -> Result<(), RunError> {
        let position = &mut self.positions[partition];
        let compressed = is_compressed(&file.path)?;
        if rows && now.disk_bytes != position.disk_bytes {
            return Err(changed(&now.path, "has another size"));
        }
        if !rows && !compressed && now.disk_bytes < position.next {
            return Err(changed(&now.path, "is shorter than what was read of it"));
        }
        let grown = if rows || compressed {
            now.disk_bytes != position.disk_bytes
        } else {
            now.disk_bytes > position.next
        };
        if position.unended && grown && !compressed {
            position.next += line_end(&file.path, position.next)?;
            position.unended = false;
        }
        (position.path, position.device, position.inode) = (now.path, now.device, now.inode);
        position.disk_bytes = now.disk_bytes;
        if grown || !position.finished {
            position.finished = false;
            let first_byte = position.next;
            self.files.push(Planned { file: file.clone(), partition: partition as u32, first_byte });
        }
        Ok(())
    }
}

/// Where a file lies that had this position, in the directory that it was in, and how long it is.
pub fn beside(position: &Position) -> Option<(String, u64)> {
    let folder = Path::new(&position.path).parent()?;
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let path = folder.join(entry.file_name());
        let Some(text) = path.to_str() else { continue };
        let same = node(text).ok() == Some((position.device, position.inode));
        if same && head(text, position.head_bytes).ok() == Some(position.head) {
            return Some((text.to_string(), entry.metadata().ok()?.len()));
        }
    }
    None
}

/// What a file is known by, nothing of it being read.
pub fn identity(file: &InputFile) -> Result<Position, RunError> {
    let Some(disk_bytes) = file.size_bytes else {
        return Err(RunError::NotAgain(file.path.clone()));
    };
    let (device, inode) = node(&file.path)?;
    let head_bytes = disk_bytes.min(HEAD_BYTES);
    let head = head(&file.path, head_bytes)?;
    Ok(Position {
        path: file.path.clone(),
        device,
        inode,
        disk_bytes,
        head_bytes,
        head,
        ..Position::default()
    })
}

/// Device and inode.
///
/// # Errors
/// When there is no such file.
#[cfg(unix)]
pub fn node(path: &str) -> Result<(u64, u64), RunError> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(path).map_err(|source| unreadable(path, source))?;
    Ok((meta.dev(), meta.ino()))
}

/// What stands for it where the system has no such numbers: the path.
#[cfg(not(unix))]
pub fn node(path: &str) -> Result<(u64, u64), RunError> {
    std::fs::metadata(path).map_err(|source| unreadable(path, source))?;
    let sum = checksum(path.as_bytes());
    Ok((0, u64::from_le_bytes(std::array::from_fn(|i| sum[i])) | 1))
}

/// Checksum of the first bytes, or of all when there are fewer.
pub fn head(path: &str, bytes: u64) -> Result<[u8; 16], RunError> {
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(bytes).read_to_end(&mut head))
        .map_err(|source| unreadable(path, source))?;
    Ok(checksum(&head))
}

/// The same of an open file, whatever it is called by now, and how many bytes it is of.
///
/// # Errors
/// When it cannot be read.
pub fn head_of(file: &File) -> std::io::Result<(u64, [u8; 16])> {
    let bytes = file.metadata()?.len().min(HEAD_BYTES);
    Ok((bytes, head_of_first(file, bytes)?))
}

/// Checksum of so many first bytes of an open file.
///
/// # Errors
/// When they cannot be read, or there are fewer.
#[cfg(unix)]
pub fn head_of_first(file: &File, bytes: u64) -> std::io::Result<[u8; 16]> {
    use std::os::unix::fs::FileExt;
    let mut head = vec![0; bytes as usize];
    file.read_exact_at(&mut head, 0)?;
    Ok(checksum(&head))
}

/// The same where reading moves the position that the handle shares: not at all.
#[cfg(not(unix))]
pub fn head_of_first(_: &File, _: u64) -> std::io::Result<[u8; 16]> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Whether a file is compressed, told by its first bytes.
pub fn is_compressed(path: &str) -> Result<bool, RunError> {
    let mut magic = Vec::new();
    File::open(path)
        .and_then(|file| file.take(6).read_to_end(&mut magic))
        .map_err(|source| unreadable(path, source))?;
    Ok(crate::input::compression(&magic).is_some())
}

/// The length of the line end at this byte, where a record without one ended before.
pub fn line_end(path: &str, at: u64) -> Result<u64, RunError> {
    let mut next = Vec::new();
    let mut read = || -> std::io::Result<()> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(at))?;
        file.take(2).read_to_end(&mut next)?;
        Ok(())
    };
    read().map_err(|source| unreadable(path, source))?;
    match next.as_slice() {
        [b'\n', ..] => Ok(1),
        [b'\r', b'\n'] => Ok(2),
        _ => Err(RunError::Changed {
            path: path.to_string(),
            what: "went on in the middle of the line that it had ended with".into(),
            remedy: "a record was read that was not whole. Begin anew in another directory, once the writer ends its lines",
        }),
    }
}

/// A file is not what was read of it.
pub fn changed(path: &str, what: &str) -> RunError {
    RunError::Changed {
        path: path.to_string(),
        what: what.to_string(),
        remedy: "bring the file back as it was, or name another directory to begin anew",
    }
}

fn unreadable(path: &str, source: std::io::Error) -> RunError {
    RunError::Read { path: path.to_string(), source }
}

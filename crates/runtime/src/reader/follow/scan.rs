//! Which files there are now: those that are known, whatever they are called by now, and those that are new.

use super::{At, Followed, Follower, Opened};
use crate::RunError;
use crate::checkpoint::Position;
use crate::input::{InputFile, MAGIC_BYTES, compression, matching_each};
use crate::reader::News;
use crate::resume;
use engine::spec::Format;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::time::Instant;

/// A file that matches.
struct Seen {
    file: InputFile,
    bytes: u64,
    device: u64,
    inode: u64,
}

impl Follower {
    /// Looks at all paths and patterns.
    pub(super) fn scan(&mut self) -> Result<(), RunError> {
        let mut there = vec![false; self.files.len()];
        let mut fresh = Vec::new();
        let by_node = self.by_node();
        for seen in self.present()? {
            let partition = match by_node.get(&(seen.device, seen.inode)) {
                Some(partition) if self.is_still(*partition, &seen)? => Some(*partition),
                _ => self.copy_of(&seen)?,
            };
            match partition {
                Some(partition) => {
                    there[partition] = true;
                    self.again(partition as u32, &seen)?;
                }
                None => fresh.push(seen),
            }
        }
        for partition in (0..there.len()).filter(|&partition| !there[partition]) {
            self.missing(partition as u32);
        }
        let before = std::mem::take(&mut self.unready);
        for seen in fresh {
            self.is_new(&seen, &before)?;
        }
        Ok(())
    }

    /// The files that match now, each once.
    fn present(&mut self) -> Result<Vec<Seen>, RunError> {
        let mut out = Vec::new();
        let mut known = HashSet::new();
        for pattern in &self.watch.patterns.clone() {
            if pattern == "-" {
                continue;
            }
            for file in self.matching(pattern)? {
                // What went since the pattern was looked at is not there; what has no size is no file.
                let (Ok((device, inode)), Some(bytes)) = (resume::node(&file.path), file.size_bytes) else {
                    continue;
                };
                if known.insert((device, inode)) {
                    out.push(Seen { file, bytes, device, inode });
                }
            }
        }
        Ok(out)
    }

    /// The files that match a pattern. One that cannot be looked at is said once, and left out as long as it is so.
    fn matching(&mut self, pattern: &str) -> Result<Vec<InputFile>, RunError> {
        let mut out = Vec::new();
        for file in matching_each(pattern, &self.watch.bases)? {
            match file {
                Ok(file) => out.push(file),
                Err(error) => {
                    let text = error.to_string();
                    if self.left_out.insert(text.clone()) {
                        (self.warn)(format!("{text}; it is left out as long as that is so"));
                    }
                }
            }
        }
        Ok(out)
    }

    /// Partitions by what their files are to the system; also by those that are to follow.
    fn by_node(&self) -> HashMap<(u64, u64), usize> {
        let mut out = HashMap::new();
        for (partition, file) in self.files.iter().enumerate().filter(|(_, file)| file.at != At::Gone) {
            let own = (file.position.inode != 0).then_some(&file.position);
            for position in own.into_iter().chain(&file.successor) {
                out.insert((position.device, position.inode), partition);
            }
        }
        out
    }

    /// Whether a file is the one it was. What is open is known by its handle; of a closed one the number may have gone to
    /// another file.
    fn is_still(&self, partition: usize, seen: &Seen) -> Result<bool, RunError> {
        let Followed { at, successor, position, .. } = &self.files[partition];
        Ok(*at == At::Open || successor.is_some() || begins_alike(position, seen)?)
    }

    /// The partition of an earlier run whose file was copied to where it is.
    fn copy_of(&self, seen: &Seen) -> Result<Option<usize>, RunError> {
        for (partition, file) in self.files.iter().enumerate().filter(|(_, file)| file.from_before) {
            if file.position.path == seen.file.path && begins_alike(&file.position, seen)? {
                return Ok(Some(partition));
            }
        }
        Ok(None)
    }

    /// A file that is known is there.
    fn again(&mut self, partition: u32, seen: &Seen) -> Result<(), RunError> {
        let file = &mut self.files[partition as usize];
        if file.successor.is_some() {
            return Ok(());
        }
        let position = &mut file.position;
        let from_before = std::mem::take(&mut file.from_before);
        let moved = position.path != seen.file.path || position.inode != seen.inode;
        if moved || from_before {
            position.path.clone_from(&seen.file.path);
            (position.device, position.inode) = (seen.device, seen.inode);
            self.heads.news.push(News::Known(partition, position.clone()));
        }
        match file.at {
            At::Open => self.still_open(partition, seen),
            At::Rest => self.at_rest(partition, seen, from_before),
            At::Waiting | At::Gone => Ok(()),
        }
    }

    fn still_open(&mut self, partition: u32, seen: &Seen) -> Result<(), RunError> {
        let Some(tail) = self.open.iter_mut().find(|tail| tail.partition == partition) else { return Ok(()) };
        tail.leaving = None;
        let Opened::Bytes(open) = &mut tail.input else { return Ok(()) };
        if open.head().path != seen.file.path {
            open.rename(seen.file.path.clone());
        }
        if seen.bytes != open.read_to() {
            // Whoever stepped aside is looked at again; whether it is another file by now is seen there.
            tail.idle = false;
        }
        Ok(())
    }

    /// A closed file is read on when it has grown.
    fn at_rest(&mut self, partition: u32, seen: &Seen, from_before: bool) -> Result<(), RunError> {
        let position = &mut self.files[partition as usize].position;
        if !from_before && seen.bytes == position.disk_bytes {
            return Ok(());
        }
        let rows = *self.style.format() == Format::Parquet;
        let whole = rows || resume::is_compressed(&seen.file.path)?;
        let grown = if whole { seen.bytes != position.disk_bytes } else { seen.bytes > position.next };
        if rows && grown {
            return Err(resume::changed(&seen.file.path, "has another size"));
        }
        if !whole && seen.bytes < position.next {
            let identity = resume::identity(&seen.file)?;
            self.follow_on(partition, identity);
            return Ok(());
        }
        position.disk_bytes = seen.bytes;
        if !grown && (position.finished || !from_before) {
            return Ok(());
        }
        if position.unended && grown && !whole {
            position.next += resume::line_end(&seen.file.path, position.next)?;
        }
        position.unended = false;
        self.files[partition as usize].at = At::Waiting;
        self.queue.push_back(partition);
        Ok(())
    }

    /// A file that is known matches no more.
    fn missing(&mut self, partition: u32) {
        let file = &mut self.files[partition as usize];
        if file.position.path == "-" {
            return;
        }
        file.from_before = false;
        match file.at {
            At::Open => {
                if let Some(tail) = self.open.iter_mut().find(|tail| tail.partition == partition) {
                    tail.leaving.get_or_insert_with(Instant::now);
                }
            }
            At::Waiting => {
                let position = &file.position;
                if resume::node(&position.path).ok() != Some((position.device, position.inode)) {
                    self.moved_away(partition);
                }
            }
            At::Rest => self.moved_away(partition),
            At::Gone => {}
        }
    }

    /// A file that is closed is not where it was: a rotation leaves it beside its place, perhaps with more behind what was
    /// read.
    fn moved_away(&mut self, partition: u32) {
        let file = &mut self.files[partition as usize];
        self.queue.retain(|other| *other != partition);
        let moved = resume::beside(&file.position);
        file.at = At::Gone;
        self.heads.news.push(News::Ended(partition));
        if let Some((path, bytes)) = moved {
            if bytes == file.position.next {
                return;
            }
            (file.position.path, file.position.disk_bytes) = (path, bytes);
            file.at = At::Waiting;
            self.queue.push_front(partition);
            return;
        }
        let Position { path, next, finished, .. } = &file.position;
        if *finished {
            return;
        }
        (self.warn)(format!(
            "`{path}` is gone; what was appended to it behind byte {next} cannot be read any more"
        ));
    }

    /// A file that was not known: it takes the place of one that had its path, or gets a partition of its own.
    fn is_new(&mut self, seen: &Seen, before: &[(String, u64)]) -> Result<(), RunError> {
        let settled = before.iter().any(|(path, bytes)| *path == seen.file.path && *bytes == seen.bytes);
        let whole = *self.style.format() == Format::Parquet
            || first_bytes(&seen.file.path).is_none_or(|m| compression(&m).is_some());
        if seen.bytes == 0 || !settled && (whole || seen.bytes < MAGIC_BYTES as u64) {
            self.unready.push((seen.file.path.clone(), seen.bytes));
            return Ok(());
        }
        let identity = resume::identity(&seen.file)?;
        let namesake = self.files.iter().rposition(|file| file.position.path == seen.file.path);
        let Some(partition) = namesake else {
            self.begin(identity);
            return Ok(());
        };
        match self.files[partition].at {
            // What had its path is read on for a while.
            At::Open => self.inherit(identity, partition as u32),
            At::Waiting | At::Rest | At::Gone => {
                self.follow_on(partition as u32, identity);
            }
        }
        Ok(())
    }
}

fn begins_alike(position: &Position, seen: &Seen) -> Result<bool, RunError> {
    Ok(seen.bytes >= position.head_bytes
        && resume::head(&seen.file.path, position.head_bytes)? == position.head)
}

fn first_bytes(path: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAGIC_BYTES as u64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

//! Files as they grow, read as `tail -F` does: what is appended, what takes the place of a file that was rotated away or
//! truncated, and files that join a pattern.
//!
//! A file that is renamed stays what it is. One that is gone from its patterns is read until nothing was appended for
//! [`GRACE`]; then the file that has taken its path goes on in its partition. Files that are there at the start are read one
//! after the other, later ones in turn. A partition that was silent for `idle` steps aside, so that it holds nobody's clock.

mod scan;

use super::heads::Heads;
use super::open::{OpenFile, Style};
use super::{BlockHead, News, Opened, Step};
use crate::RunError;
use crate::checkpoint::Position;
use crate::input::{Growth, InputFile, Pipe, Stream};
use crate::job::{Warn, Watch};
use crate::resume::{self, Planned};
use engine::spec::Source;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Time between two looks at which files there are.
const SCAN_EVERY: Duration = Duration::from_millis(500);
/// Time between two looks for bytes when there were none.
const PAUSE: Duration = Duration::from_millis(20);
/// Longest time without a block before one of nothing tells that time has passed.
const TICK: Duration = Duration::from_millis(200);
/// How long a file that is gone from its path must be silent before it is given up.
const GRACE: Duration = Duration::from_secs(2);
/// Files that are open at once. Beyond it the one that was silent longest is closed, and opened again when it has grown.
const OPEN_MAX: usize = 512;

/// Follows the files of a source.
pub struct Follower {
    watch: Watch,
    style: Style,
    progress: Arc<AtomicU64>,
    heads: Heads,
    /// By partition.
    files: Vec<Followed>,
    /// Partitions to be opened, in this order.
    queue: VecDeque<u32>,
    open: Vec<Tail>,
    /// Standard input, until it is open.
    pipe: Option<(u32, Pipe)>,
    /// Files that were not ready at the last look, with their sizes then.
    unready: Vec<(String, u64)>,
    /// Whose turn it is.
    turn: usize,
    scanned: Option<Instant>,
    stop: Arc<AtomicBool>,
    warn: Warn,
    /// What it was told last.
    said: String,
    /// Why files were left out.
    left_out: BTreeSet<String>,
    ended: bool,
}

/// What is known of a partition.
struct Followed {
    /// The file, and how far it was handed out.
    position: Position,
    at: At,
    /// Whether an earlier run left it, and it was not looked for yet.
    from_before: bool,
    /// What has taken its path.
    successor: Option<Position>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// To be opened.
    Waiting,
    /// Being read.
    Open,
    /// Read as far as it goes, and closed.
    Rest,
    /// There is no such file any more.
    Gone,
}

/// A file that is open.
struct Tail {
    partition: u32,
    input: Opened,
    /// When there was something new.
    grown: Instant,
    /// Whether it was read as far as it went when it was opened.
    caught_up: bool,
    /// Whether its partition has stepped aside.
    idle: bool,
    /// Since when it has no place among the patterns.
    leaving: Option<Instant>,
}

impl Follower {
    /// Follows files of which an earlier run has read this much; the first block gets this number.
    ///
    /// # Errors
    /// Standard input behind a state that is kept: it cannot be read again.
    pub fn new(
        source: &Source,
        watch: Watch,
        known: Option<Vec<Position>>,
        next_block: u64,
        progress: Arc<AtomicU64>,
        stop: Arc<AtomicBool>,
        warn: Warn,
    ) -> Result<Follower, RunError> {
        let reads_stdin = watch.patterns.iter().any(|pattern| pattern == "-");
        if reads_stdin && known.is_some() {
            return Err(RunError::NotAgain("-".into()));
        }
        let followed = |position| Followed { position, at: At::Rest, from_before: true, successor: None };
        let mut follower = Follower {
            watch,
            style: Style::of(source),
            progress,
            heads: Heads::new(source, next_block),
            files: known.unwrap_or_default().into_iter().map(followed).collect(),
            queue: VecDeque::new(),
            open: Vec::new(),
            pipe: None,
            unready: Vec::new(),
            turn: 0,
            scanned: None,
            stop,
            warn,
            said: String::new(),
            left_out: BTreeSet::new(),
            ended: false,
        };
        // Whatever was read to its end holds nobody back, until it grows.
        let ended = follower.files.iter().enumerate().filter(|(_, file)| file.position.finished);
        follower.heads.news.extend(ended.map(|(partition, _)| News::Ended(partition as u32)));
        if reads_stdin {
            let position = Position { path: "-".into(), ..Position::default() };
            let partition = follower.begin(position);
            follower.queue.clear();
            follower.pipe = Some((partition, Pipe::stdin()));
        }
        Ok(follower)
    }

    /// See [`super::Feed::next_number`].
    pub fn next_number(&self) -> u64 {
        self.heads.next_number()
    }

    /// See [`super::Feed::stop`].
    pub fn stop(&mut self) {
        self.ended = true;
    }

    /// See [`super::Feed::next`].
    pub fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Option<BlockHead>, RunError> {
        if self.ended {
            return Ok(None);
        }
        let out = self.next_block(buffer);
        self.ended = !matches!(out, Ok(Some(_)));
        out
    }

    fn next_block(&mut self, buffer: &mut Vec<u8>) -> Result<Option<BlockHead>, RunError> {
        let begun = Instant::now();
        loop {
            if self.stop.load(Ordering::Acquire) {
                return Ok(None);
            }
            let scan = self.scanned.is_none_or(|at| at.elapsed() >= SCAN_EVERY);
            if scan {
                self.scan_or_say()?;
            }
            if let Some(head) = self.look(buffer, scan)? {
                return Ok(Some(head));
            }
            if self.open_next()? {
                continue;
            }
            let ended = self.has_ended();
            if ended && self.heads.news.is_empty() {
                return Ok(None);
            }
            if ended || begun.elapsed() >= TICK || !self.heads.news.is_empty() {
                buffer.clear();
                return Ok(Some(self.heads.of_nothing()));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Looks which files there are. What cannot be looked at is an error at first, and later something to be said: it may
    /// be there again.
    fn scan_or_say(&mut self) -> Result<(), RunError> {
        let first = self.scanned.replace(Instant::now()).is_none();
        match self.scan() {
            Err(error) if !first => {
                let text = format!("{error}; it is tried again");
                if text != self.said {
                    (self.warn)(text.clone());
                    self.said = text;
                }
                Ok(())
            }
            out => out,
        }
    }

    /// Whether nothing can come any more: only standard input does end.
    fn has_ended(&self) -> bool {
        self.pipe.is_none()
            && self.open.is_empty()
            && self.watch.patterns.iter().all(|pattern| pattern == "-")
    }

    /// Looks for a block in the open files, in turn; those that have stepped aside only where `all`.
    fn look(&mut self, buffer: &mut Vec<u8>, all: bool) -> Result<Option<BlockHead>, RunError> {
        for _ in 0..self.open.len() {
            self.turn = (self.turn + 1) % self.open.len().max(1);
            let Some(tail) = self.open.get_mut(self.turn) else { break };
            if tail.idle && !all && tail.leaving.is_none() {
                continue;
            }
            if self.is_another(self.turn) {
                continue;
            }
            let tail = &mut self.open[self.turn];
            match tail.input.next(buffer, &self.style, &mut self.heads) {
                Ok(Step::Block(head)) => {
                    self.has_grown(self.turn, head.next_byte);
                    return Ok(Some(head));
                }
                Ok(Step::Dry) => self.is_dry(self.turn),
                Ok(Step::End) => self.close(self.turn),
                Err(error) if tail.input.may_be_unfinished(&error) => {
                    (self.warn)(format!("{error}; it is read on when its size changes"));
                    self.close(self.turn);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Whether a file that has something new is not what it was: truncated, or written anew where it is. What it was has
    /// ended then, and what it is now follows.
    fn is_another(&mut self, at: usize) -> bool {
        let tail = &mut self.open[at];
        let Opened::Bytes(open) = &mut tail.input else { return false };
        let Some(Ok(bytes)) = open.stream().plain().map(|file| file.metadata().map(|meta| meta.len())) else {
            return false;
        };
        if open.has_ended() || bytes == open.read_to() {
            return false;
        }
        let file = &mut self.files[tail.partition as usize];
        if bytes > open.read_to() && open.begins_as(&file.position) {
            return false;
        }
        open.reads_no_more();
        let now = InputFile { path: file.position.path.clone(), size_bytes: Some(bytes) };
        match resume::identity(&now) {
            Ok(identity) => file.successor = Some(identity),
            Err(_) => tail.leaving = Some(Instant::now()),
        }
        true
    }

    fn has_grown(&mut self, at: usize, next_byte: u64) {
        let tail = &mut self.open[at];
        tail.idle = false;
        if tail.caught_up {
            tail.grown = Instant::now();
        }
        let position = &mut self.files[tail.partition as usize].position;
        position.next = next_byte;
        if position.head_bytes < resume::HEAD_BYTES
            && let Opened::Bytes(open) = &tail.input
            && let Some(file) = open.stream().plain()
            && let Ok(more) = resume::head_of(file)
            && more.0 > position.head_bytes
        {
            (position.head_bytes, position.head) = more;
            self.heads.news.push(News::Known(tail.partition, position.clone()));
        }
    }

    /// A file with nothing new: it may step aside, or be left for good.
    fn is_dry(&mut self, at: usize) {
        let tail = &mut self.open[at];
        tail.caught_up = true;
        if tail.leaving.is_some_and(|since| since.elapsed() >= GRACE && tail.grown.elapsed() >= GRACE) {
            // The next look hands out what has no line end, and the one after it closes the file.
            if let Opened::Bytes(open) = &mut tail.input {
                open.grows_no_more();
            }
        } else if !tail.idle && tail.grown.elapsed() >= self.watch.idle {
            tail.idle = true;
            self.heads.news.push(News::Ended(tail.partition));
        }
    }

    fn close(&mut self, at: usize) {
        let tail = self.open.remove(at);
        let partition = tail.partition;
        self.heads.news.push(News::Ended(partition));
        let file = &mut self.files[partition as usize];
        file.at = if tail.leaving.is_some() { At::Gone } else { At::Rest };
        if let Some(position) = file.successor.take() {
            self.follow_on(partition, position);
        }
    }

    /// Opens the next file in the queue, once all before it were read as far as they go. Whether there was one.
    fn open_next(&mut self) -> Result<bool, RunError> {
        if self.open.iter().any(|tail| !tail.caught_up) {
            return Ok(false);
        }
        if let Some((_, pipe)) = &mut self.pipe {
            let ready = pipe.is_ready().map_err(|source| RunError::Read { path: "-".into(), source })?;
            if ready && let Some((partition, pipe)) = self.pipe.take() {
                let stream = Stream::of_pipe(pipe, self.progress.clone())?;
                let open = OpenFile::of(stream, &self.planned(partition), &self.style);
                self.add(partition, Opened::Bytes(open), Instant::now());
                return Ok(true);
            }
        }
        let Some(partition) = self.queue.pop_front() else { return Ok(false) };
        let planned = self.planned(partition);
        let opened = Opened::open(&planned, &self.style, Growth::MayGrow, self.progress.clone());
        if let Err(
            error @ (RunError::Foreign { .. } | RunError::NotParquet { .. } | RunError::Damaged { .. }),
        ) = &opened
        {
            (self.warn)(format!("{error}; it is looked at again when its size changes"));
            self.files[partition as usize].at = At::Rest;
            return Ok(true);
        }
        if let Err(RunError::Read { source, .. }) = &opened
            && source.kind() == std::io::ErrorKind::NotFound
        {
            // It went between two looks; the next one says so.
            self.files[partition as usize].at = At::Rest;
            return Ok(true);
        }
        self.add(partition, opened?, changed(&planned.file.path));
        Ok(true)
    }

    fn add(&mut self, partition: u32, input: Opened, grown: Instant) {
        if self.open.len() >= OPEN_MAX
            && let Some(at) = (0..self.open.len())
                .filter(|&at| self.open[at].idle && self.open[at].leaving.is_none())
                .min_by_key(|&at| self.open[at].grown)
        {
            let tail = self.open.remove(at);
            self.files[tail.partition as usize].at = At::Rest;
        }
        self.files[partition as usize].at = At::Open;
        self.open.push(Tail { partition, input, grown, caught_up: false, idle: false, leaving: None });
    }

    fn planned(&self, partition: u32) -> Planned {
        let position = &self.files[partition as usize].position;
        let file = InputFile { path: position.path.clone(), size_bytes: Some(position.disk_bytes) };
        Planned { file, partition, first_byte: position.next }
    }

    /// Begins to follow a file, in a partition of its own.
    fn begin(&mut self, position: Position) -> u32 {
        let free = self.files.iter().position(|file| file.at == At::Gone && file.successor.is_none());
        let partition = free.unwrap_or(self.files.len()) as u32;
        self.heads.news.push(News::Begins(partition, position.clone()));
        self.put(partition, position);
        partition
    }

    /// Begins to follow a file in a partition of its own, where another one had its path, and its clock.
    fn inherit(&mut self, position: Position, from: u32) {
        let partition = self.begin(position.clone());
        self.heads.news.pop();
        self.heads.news.push(News::Inherits(partition, position, from));
    }

    /// Goes on in a partition with the file that has taken the place of its last one.
    fn follow_on(&mut self, partition: u32, position: Position) {
        self.heads.news.push(News::Follows(partition, position.clone()));
        self.put(partition, position);
    }

    fn put(&mut self, partition: u32, position: Position) {
        let file = Followed { position, at: At::Waiting, from_before: false, successor: None };
        match self.files.get_mut(partition as usize) {
            Some(place) => *place = file,
            None => self.files.push(file),
        }
        self.queue.retain(|other| *other != partition);
        self.queue.push_back(partition);
    }
}

/// When a file was changed last; now when that cannot be told.
fn changed(path: &str) -> Instant {
    let now = Instant::now();
    let modified = std::fs::metadata(path).and_then(|meta| meta.modified());
    let since = modified.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    since.and_then(|since| now.checked_sub(since)).unwrap_or(now)
}

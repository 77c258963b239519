//! What a run is told, and what it tells: the words of `run`.

use crate::checkpoint::{About, PaneShelf, Restored, StateDirectory};
use crate::inbox::Inbox;
use crate::input::InputFile;
use crate::live::Live;
use crate::reader::given::Begin;
use crate::sink::Sink;
use engine::annotate::{Annotator, Notes};
use engine::batch::Bad;
use engine::compute::Compute;
use engine::intake::Judged;
use engine::outlet::Outlet;
use engine::spec::Source;
use engine::state::Saved;
use sketch::Limits;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use std::{fmt, io};

/// What to run.
#[derive(Debug)]
pub struct Job<'a> {
    /// The source as the pipeline file states it.
    pub source: &'a Source,
    /// The same, restricted to what will be asked (`Question::restrict`).
    pub kept: &'a Source,
    /// The source's expressions, compiled; `None` when it has none.
    pub program: Option<Arc<dyn Compute>>,
    /// Who is told of every event, right after it was folded in; asks for one shard.
    pub annotate: Option<Annotate<'a>>,
    /// Where its events come from.
    pub input: Input,
    /// Where bad and late records go when the source asks for it.
    pub quarantine: PathBuf,
    /// Number of shards: parts of the state.
    pub shards: usize,
    /// Number of threads, at most as many as shards. Results do not depend on it.
    pub workers: usize,
    /// Accounted state allowed, over all shards.
    pub memory_bytes: u64,
    /// Whether the state is wanted as bytes.
    pub save: bool,
    /// Where closed panes go.
    pub sinks: Vec<Sink>,
    /// Time between two commits, or between two times that closed panes leave; there is one more at the end.
    pub every: Duration,
    /// Where the state is kept, so that a run goes on where the last one ended, however it did.
    pub keep: Option<Keep<'a>>,
    /// Who may ask it meanwhile.
    pub live: Option<Arc<Live>>,
}

/// Where events come from.
#[derive(Clone)]
pub enum Input {
    /// Files, in order, each to its end.
    Files(Vec<InputFile>),
    /// Files as they grow, and those that join them, until told to stop.
    Follow(Follow),
    /// What an inbox takes in.
    Received(Received),
    /// What a simulation gives.
    Given(Begin),
}

/// What is followed.
#[derive(Debug, Clone)]
pub struct Watch {
    /// Paths and patterns; `-` is standard input.
    pub patterns: Vec<String>,
    /// A relative one is taken from the first of these where something matches.
    pub bases: Vec<PathBuf>,
    /// A partition that was silent this long steps aside.
    pub idle: Duration,
}

/// Takes what a person should know.
pub type Warn = Arc<dyn Fn(String) + Send + Sync>;

/// An inbox that is read. It needs a state that is kept: what it has acknowledged nobody sends again.
#[derive(Clone)]
pub struct Received {
    /// Which.
    pub inbox: Arc<Inbox>,
    /// Whether the run ends when all that is there was read.
    pub to_the_end: bool,
    /// Silence after which records are released that wait for a clock.
    pub idle: Duration,
    /// Raised by whoever wants the run to stop.
    pub stop: Arc<AtomicBool>,
}

/// Files that are followed.
#[derive(Clone)]
pub struct Follow {
    /// Which.
    pub watch: Watch,
    /// Raised by whoever wants the run to stop: what was read is folded in and kept, and nothing more is read.
    pub stop: Arc<AtomicBool>,
    /// Takes what a person should know while the run goes on.
    pub warn: Warn,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Files(files) => f.debug_tuple("Files").field(files).finish(),
            Input::Follow(follow) => f.debug_tuple("Follow").field(&follow.watch).finish(),
            Input::Received(_) => f.debug_tuple("Received").finish(),
            Input::Given(_) => f.debug_tuple("Given").finish(),
        }
    }
}

/// Answers to single events.
#[derive(Clone, Copy)]
pub struct Annotate<'a> {
    /// What is said of each.
    pub annotator: &'a Annotator,
    /// Takes it: the batch, the row, and the notes in the order asked. Called for one event after the other, in the order
    /// of the intake.
    pub write: WriteNotes<'a>,
}

/// Takes what is said of one event.
pub type WriteNotes<'a> = &'a (dyn Fn(&Judged, usize, Notes<'_>) -> io::Result<()> + Sync);

impl fmt::Debug for Annotate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Annotate").field("annotator", self.annotator).finish_non_exhaustive()
    }
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Bytes taken from the files, as they are on disk.
    pub bytes: u64,
    /// Records decoded, good and bad.
    pub events: u64,
    /// Accounted bytes of the shard that reported last.
    pub shard_bytes: u64,
}

/// A run that came to the end of its input.
pub struct Finished<'a> {
    /// The merged state, ready to be asked.
    pub outlet: Outlet<'a>,
    /// The same as bytes, when they were asked for.
    pub saved: Option<Saved>,
    /// What was read and how it was judged.
    pub tally: engine::intake::Tally,
    /// Records written to the quarantine.
    pub quarantined: u64,
    /// The first bad record, with the file it stood in; lines are absolute.
    pub first_bad: Option<(String, Bad)>,
    /// Per field of the record: whether any event had a value.
    pub seen: Vec<bool>,
    /// The first bytes of the input, at most [`HEAD_BYTES`]: to say what a field may have been meant to be.
    pub head: Vec<u8>,
    /// Where the run began, when it went on from a state that was kept.
    pub resumed: Option<Resumed>,
    /// Commits that were put off because the one before was still being written.
    pub commits_put_off: u64,
    /// Where closed panes lie that are not in memory, when a state is kept; it tells what could not be read.
    pub shelf: Option<Arc<PaneShelf>>,
}

/// Bytes of the input that are kept for hints.
pub const HEAD_BYTES: usize = 64 << 10;

/// How a state is kept.
#[derive(Debug)]
pub struct Keep<'a> {
    /// Where.
    pub directory: &'a mut StateDirectory,
    /// What it held when it was opened.
    pub restored: Option<Restored>,
    /// What it is the state of.
    pub about: About,
    /// Most bytes that the kept state may take.
    pub limits: Limits,
}

/// What was there before a run.
#[derive(Debug, Clone)]
pub struct Resumed {
    /// The commit it went on from.
    pub commit: u64,
    /// Records that had been read.
    pub records: u64,
    /// Later commits that are damaged, in sentences.
    pub damaged: Vec<String>,
}

//! What can go wrong around the engine, in sentences that say what to do.

use std::io;

/// An input or output that cannot be used. Data trouble (bad or late records) is counted instead, never an error.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A path or pattern that names nothing.
    #[error("no file matches `{pattern}` in {}", .looked.join(" or "))]
    NoFile {
        /// As written.
        pattern: String,
        /// The directories it was looked for in, in backquotes.
        looked: Vec<String>,
    },
    /// A directory where files are wanted.
    #[error("`{0}` is a directory: name its files, as in `{0}/*.ndjson`")]
    Directory(String),
    /// A file that two entries of the paths name.
    #[error("`{0}` is named twice: its records would be counted twice")]
    Twice(String),
    /// A file that is read would be written over.
    #[error("`{0}` is read, and the quarantine would be written over it: use another path")]
    QuarantineIsRead(String),
    /// A pattern that is not one.
    #[error("`{pattern}` is not a usable file pattern: {reason}")]
    Pattern {
        /// As written.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The annotated events find no taker.
    #[error("cannot write the events: {source}")]
    Events {
        /// The system's words.
        source: io::Error,
    },
    /// A file that cannot be opened or read.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// The file.
        path: String,
        /// The system's words.
        source: io::Error,
    },
    /// A compressed file that stops in the middle or is damaged.
    #[error(
        "`{path}` is damaged: its {format} data {what} after {bytes} decompressed bytes; fetch the file again, or \
         decompress what is readable and run on that"
    )]
    Damaged {
        /// The file.
        path: String,
        /// gzip, zstd or xz.
        format: &'static str,
        /// `ends too early` or `is corrupt`.
        what: &'static str,
        /// How far it could be read.
        bytes: u64,
    },
    /// A file of a kind that is not read.
    #[error("`{path}` is {what}, which is not read here: {remedy}")]
    Foreign {
        /// The file.
        path: String,
        /// What it is.
        what: &'static str,
        /// What to do with it.
        remedy: &'static str,
    },
    /// A file that should be Parquet and is not.
    #[error("`{path}` {what}: {remedy}")]
    NotParquet {
        /// The file.
        path: String,
        /// What it is instead.
        what: &'static str,
        /// What to do with it.
        remedy: &'static str,
    },
    /// A Parquet file that cannot be read.
    #[error(
        "`{path}` is damaged: its Parquet data cannot be read behind row {row} ({reason}); fetch the file again"
    )]
    Parquet {
        /// The file.
        path: String,
        /// Rows that could be read.
        row: u64,
        /// The words of the library that reads it.
        reason: String,
    },
    /// A column that holds something which no field can.
    #[error("column `{column}` of `{path}` is {what}, which no field can hold")]
    Column {
        /// The file.
        path: String,
        /// The column.
        column: String,
        /// What it is.
        what: String,
    },
    /// A delimited file whose first line goes on and on.
    #[error(
        "the first line of `{0}`, which should name the columns, is longer than `record_max`: is it delimited text?"
    )]
    LongHeader(String),
    /// A delimited file whose header does not fit the pipeline.
    #[error("`{path}`: {source}")]
    Header {
        /// The file.
        path: String,
        /// What does not fit.
        source: engine::decode::DecoderError,
    },
    /// A state directory that cannot be used.
    #[error("cannot {doing} the state directory `{path}`: {source}")]
    State {
        /// What was tried.
        doing: &'static str,
        /// The directory.
        path: String,
        /// The system's words.
        source: io::Error,
    },
    /// Two programs, one state.
    #[error(
        "the state directory `{0}` is in use by another run: wait for it to end, or name another directory"
    )]
    StateInUse(String),
    /// Commits that are all damaged.
    #[error(
        "no commit of the state directory `{path}` is whole ({why}): bring the files back from a copy, or name another \
         directory and begin anew"
    )]
    StateDamaged {
        /// The directory.
        path: String,
        /// What is wrong with each.
        why: String,
    },
    /// Closed panes that had to leave memory, and cannot be written or are not there any more.
    #[error(
        "closed panes that memory has no room for are kept in the state directory `{path}`, and {why}; the commit before is as \
         it was: mend the disk, or raise `memory`, and go on from there"
    )]
    Spilled {
        /// The directory.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A commit whose parts are not a state of the source.
    #[error(
        "the state directory `{path}` does not hold a state of this source: {why}; name another directory to begin anew"
    )]
    StateOfAnother {
        /// The directory.
        path: String,
        /// What differs.
        why: String,
    },
    /// An input that is not what it was when the state was kept.
    #[error("`{path}` {what}, but the state counts what was read of it: {remedy}")]
    Changed {
        /// The file.
        path: String,
        /// What has happened to it.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A stream, of which a state cannot say where it goes on.
    #[error(
        "`{0}` can be read only once, so a state kept of it could not go on: write it to a file, or leave --state out"
    )]
    NotAgain(String),
    /// An inbox that cannot be read or written.
    #[error(transparent)]
    Inbox(#[from] crate::inbox::InboxError),
    /// A state of files under a source that takes events over HTTP.
    #[error(
        "the state was made of files (`{0}`), and the source takes its events over HTTP now: name another directory to begin anew"
    )]
    NotReceived(String),
    /// A sink would write over what is there.
    #[error(
        "`{0}` is there already, and a sink would begin it anew: name another path, remove it, or go on with the --state that wrote it"
    )]
    SinkExists(String),
    /// A sink that cannot be written.
    #[error(
        "cannot write to `{path}`: {source}; closed panes would be lost, so the run stops. Bring the file back as it was, or \
         give the sink another name and another path"
    )]
    Sink {
        /// The file, or standard output.
        path: String,
        /// What is wrong.
        source: io::Error,
    },
    /// A commit whose journal of sinks is none.
    #[error(
        "the state says nothing usable of what has left through sinks ({0}); name another directory to begin anew"
    )]
    SinkJournal(String),
    /// The quarantine file cannot be written.
    #[error(
        "cannot write the quarantine file `{path}`: {source}; records set aside would be lost, so the run stops"
    )]
    Quarantine {
        /// The file.
        path: String,
        /// The system's words.
        source: io::Error,
    },
}

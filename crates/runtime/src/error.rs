//! What can go wrong around the engine, in sentences that say what to do.

use std::io;

/// An input or output that cannot be used. Data trouble (bad or late records) is counted instead, never an error.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A path or pattern that names nothing.
    #[error(
        "no file matches `{0}`: check the path; a relative one is looked for beside the pipeline file and in the current directory"
    )]
    NoFile(String),
    /// A pattern that is not one.
    #[error("`{pattern}` is not a usable file pattern: {reason}")]
    Pattern {
        /// As written.
        pattern: String,
        /// What is wrong with it.
        reason: String,
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
        /// gzip or zstd.
        format: &'static str,
        /// `ends too early` or `is corrupt`.
        what: &'static str,
        /// How far it could be read.
        bytes: u64,
    },
    /// A delimited file whose header does not fit the pipeline.
    #[error("`{path}`: {reason}")]
    Header {
        /// The file.
        path: String,
        /// What does not fit.
        reason: String,
    },
    /// The quarantine file cannot be written.
    #[error(
        "cannot write the quarantine file `{path}`: {source}; set aside records would be lost, so the run stops"
    )]
    Quarantine {
        /// The file.
        path: String,
        /// The system's words.
        source: io::Error,
    },
}

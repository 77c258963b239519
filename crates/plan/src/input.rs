//! Where the bytes of a source come from: what a driver needs to know beside the spec.

use engine::time::Span;

/// Where the bytes of a source come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Name of the source.
    pub source: String,
    /// Files, standard input or HTTP.
    pub kind: InputKind,
    /// File for records that are set aside; `None` when nothing is quarantined.
    pub quarantine: Option<String>,
    /// How long a partition (a file) must be silent, while the input is followed, until the clock of the source waits for it
    /// no longer.
    pub idle: Span,
}

/// The kinds of inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputKind {
    /// Files that match glob patterns, in this order; `-` is standard input.
    File {
        /// The patterns, as they were written.
        paths: Vec<String>,
    },
    /// Standard input.
    Stdin,
    /// What is posted over HTTP ([`crate::Serve`]).
    Http,
}

//! `checkpoint`: how often a state that is kept is written, and how small.

use super::section::{Section, wrong_type};
use super::tree::{Entry, Value};
use super::values::span_above_zero;
use crate::problem::Problems;
use engine::time::{SECOND, Span};

/// How a kept state is compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compression {
    /// Zstandard.
    #[default]
    Zstd,
    /// gzip.
    Gzip,
    /// LZ4.
    Lz4,
    /// Not at all.
    None,
}

/// How a state is kept where one is (`run --state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Time between two commits.
    pub every: Span,
    /// How their parts are compressed.
    pub compression: Compression,
}

impl Default for Checkpoint {
    fn default() -> Self {
        Checkpoint { every: Span(5 * SECOND), compression: Compression::Zstd }
    }
}

/// Reads the table.
pub(super) fn read(entry: &Entry, problems: &mut Problems) -> Checkpoint {
    let Value::Table(table) = &entry.node.value else {
        let problem = wrong_type("checkpoint", "a table", &entry.node);
        problems.push(problem.hint("as in checkpoint = { every = \"5s\" }"));
        return Checkpoint::default();
    };
    let mut section = Section::new("`checkpoint`", &entry.key_place, table);
    let every = section.parsed("every", problems, span_above_zero);
    let words = [
        ("zstd", Compression::Zstd),
        ("lz4", Compression::Lz4),
        ("gzip", Compression::Gzip),
        ("none", Compression::None),
    ];
    let compression = section.word("compression", &words, problems);
    section.finish(&[], problems);
    let default = Checkpoint::default();
    Checkpoint {
        every: every.map_or(default.every, |every| every.value),
        compression: compression.map_or(default.compression, |word| word.value),
    }
}

//! Blocks that somebody else cuts and numbers by handing them over: the input of simulations.

use super::heads::Heads;
use super::{BlockHead, FileHead, News};
use crate::checkpoint::Position;
use engine::spec::Source;
use engine::time::Time;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// An input that is given piece by piece. One that is begun anew at the positions of a commit gives the same pieces again.
pub trait Pieces: Send {
    /// Fills `buffer` with whole lines; `None` at the end.
    fn next(&mut self, buffer: &mut Vec<u8>) -> Option<Piece>;
}

/// What was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Whose it is.
    pub partition: u32,
    /// Where it stands among the bytes of its partition.
    pub bytes: Range<u64>,
    /// When it came.
    pub arrival: Time,
    /// Partitions that nobody waits for any more, from before this piece on.
    pub silent: Vec<u32>,
}

/// Begins an input at these positions.
pub type Begin = Arc<dyn Fn(&[Position]) -> Box<dyn Pieces> + Send + Sync>;

/// Reads what is given.
pub struct Giver {
    pieces: Box<dyn Pieces>,
    heads: Heads,
    files: BTreeMap<u32, Arc<FileHead>>,
    ended: bool,
}

impl Giver {
    /// Reads on where an earlier run was.
    pub fn new(source: &Source, begin: &Begin, known: &[Position], next_block: u64) -> Giver {
        // Partitions below the number of another one may not have begun.
        let begun = (0..).zip(known).filter(|(_, position)| !position.path.is_empty());
        let files = begun.map(|(partition, _)| (partition, head(partition))).collect();
        Giver { pieces: begin(known), heads: Heads::new(source, next_block), files, ended: false }
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
    pub fn next(&mut self, buffer: &mut Vec<u8>) -> Option<BlockHead> {
        let piece = self.pieces.next(buffer).filter(|_| !self.ended)?;
        self.heads.news.extend(piece.silent.into_iter().map(News::Ended));
        let partition = piece.partition;
        let heads = &mut self.heads;
        let file = self.files.entry(partition).or_insert_with(|| {
            let head = head(partition);
            let begun = Position { path: head.path.clone(), ..Position::default() };
            heads.news.push(News::Begins(partition, begun));
            head
        });
        Some(heads.of_lines(file.clone(), piece.bytes, piece.arrival))
    }
}

fn head(partition: u32) -> Arc<FileHead> {
    Arc::new(FileHead { path: format!("given-{partition}"), partition, header: None })
}

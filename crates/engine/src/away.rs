//! Closed panes that have left memory: who keeps them, and how their cells are found again.
//!
//! A record is written once and never changed. What happens to its groups afterwards is not written to it: the table of groups
//! remembers when each number was let go last, so whoever reads a record folds what has left since. What comes late stays in
//! memory beside it and is added when it is read.

use crate::groups::{Groups, OTHER};
use std::fmt::Debug;
use std::sync::Arc;

/// Keeps records of panes outside of memory. Given by whoever has a disk; the engine asks, and does no IO itself.
///
/// What goes wrong is the shelf's to remember and to tell whoever runs the machines: neither folding events nor answering
/// questions can fail. A pane that was not taken stays in memory; one that cannot be had is left out.
pub trait Shelf: Debug + Send + Sync {
    /// Takes a record, and gives the ticket that it is asked for with; `None` when it cannot be kept.
    fn put(&self, record: &[u8]) -> Option<u64>;
    /// The record; `None` when it cannot be had.
    fn get(&self, ticket: u64) -> Option<Vec<u8>>;
    /// The record is not one of a pane: it was changed.
    fn is_damaged(&self, ticket: u64);
    /// Nobody asks for this record any more.
    fn release(&self, ticket: u64);
}

/// A pane that lies on a shelf. It is let go there when nobody holds it any more.
#[derive(Debug)]
pub(crate) struct Stored {
    pub shelf: Arc<dyn Shelf>,
    pub ticket: u64,
    pub size: Size,
}

/// What is known of a pane without reading it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Accounted bytes that it took in memory.
    pub bytes: u64,
    /// Cells that are not empty.
    pub cells: u64,
    /// What merging adds up.
    pub weight: u64,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.shelf.release(self.ticket);
    }
}

/// A record as a part of a pane: which group each of its numbers is by now.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub stored: Arc<Stored>,
    /// Groups that were let go in the table after this moment had left the record.
    pub since: u64,
    /// The tables that it went through before, when shards were merged; the first one first.
    pub before: Vec<Passed>,
}

/// A table of groups that was merged into another one.
#[derive(Debug, Clone)]
pub(crate) struct Passed {
    pub since: u64,
    pub table: Arc<Table>,
}

/// What became of the numbers of a table of groups when it was merged into another one.
#[derive(Debug)]
pub(crate) struct Table {
    /// By number: when it was let go last.
    pub left: Vec<u64>,
    /// By number: that of the other table.
    pub map: Vec<u32>,
}

/// Accounted bytes of a record that is not in memory: what is known of it.
pub(crate) const PART_BYTES: usize = 192;

impl Part {
    /// How many numbers the record may name.
    pub(crate) fn numbers(&self, groups: &Groups) -> usize {
        self.before.first().map_or(groups.numbers(), |passed| passed.table.map.len())
    }

    /// The number of a group of the record by now.
    pub(crate) fn now(&self, group: u32, groups: &Groups) -> u32 {
        let mut number = group;
        for passed in &self.before {
            let left = passed.table.left.get(number as usize).copied().unwrap_or(0);
            number = if left > passed.since { OTHER } else { passed.table.map[number as usize] };
        }
        if groups.left(number) > self.since { OTHER } else { number }
    }

    /// The same part of a table that this one is merged into.
    pub(crate) fn passed(&self, table: &Arc<Table>, since: u64) -> Part {
        let passed = Passed { since: self.since, table: Arc::clone(table) };
        let before = self.before.iter().cloned().chain([passed]).collect();
        Part { stored: Arc::clone(&self.stored), since, before }
    }
}

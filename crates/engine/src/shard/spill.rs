//! Closed panes leave memory when it is short, before anything else gives way.
//!
//! Which ones is decided at the end of a block, on accounted bytes: the same blocks let the same panes go, whoever works on
//! them, and whatever is durable by then.

use super::{GroupingSet, Shard};
use crate::away::Shelf;
use crate::series::{Leaving, Series};
use std::sync::Arc;

/// What has left memory so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spilled {
    /// Panes that have left; one that left again with what had come late counts again.
    pub panes: u64,
    /// Accounted bytes that they took.
    pub bytes: u64,
    /// How many of them were read back for it, because something had come late.
    pub again: u64,
}

impl Spilled {
    /// Both together.
    pub(crate) fn plus(self, other: Spilled) -> Spilled {
        Spilled {
            panes: self.panes + other.panes,
            bytes: self.bytes + other.bytes,
            again: self.again + other.again,
        }
    }
}

/// What is not in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Away {
    /// Panes, over all metrics and levels.
    pub panes: u64,
    /// Accounted bytes that they would take in memory.
    pub bytes: u64,
}

impl Shard {
    /// From now on closed panes go there when memory is short.
    pub fn spill_to(&mut self, shelf: Arc<dyn Shelf>) {
        self.sets.iter_mut().for_each(|set| set.groups.remember_leaving());
        self.shelf = Some(shelf);
        self.gather();
    }

    /// What has left memory so far.
    pub fn spilled(&self) -> Spilled {
        self.spilled
    }

    /// What is not in memory now. O(panes).
    pub fn away(&self) -> Away {
        let sizes = self.sets.iter().flat_map(|set| &set.series).flat_map(Series::away);
        sizes.fold(Away::default(), |sum, size| Away {
            panes: sum.panes + 1,
            bytes: sum.bytes.saturating_add(size.bytes),
        })
    }

    /// Lets the oldest closed panes go until so many bytes are free; false when none is left, or there is nowhere to go.
    pub(super) fn spill(&mut self, excess: u64) -> bool {
        let Some(shelf) = self.shelf.clone() else { return false };
        let mut leaving: Vec<Leaving> = Vec::new();
        for (at, set) in self.sets.iter().enumerate() {
            let series = set.series.iter().enumerate();
            leaving.extend(series.flat_map(|(nth, series)| series.may_leave(at, nth)));
        }
        leaving.sort_unstable();
        let (mut freed, mut gone) = (0, false);
        for pane in leaving {
            if freed >= excess {
                break;
            }
            let GroupingSet { groups, series, .. } = &mut self.sets[pane.set];
            let left = series[pane.series].let_leave((pane.level, pane.start), groups, &shelf);
            // What the shelf does not take stays, and the shelf tells why.
            let Some(again) = left else { break };
            let bytes = pane.bytes as u64;
            freed += bytes;
            gone = true;
            self.spilled = self.spilled.plus(Spilled { panes: 1, bytes, again: u64::from(again) });
        }
        gone
    }

    /// Makes of panes that lie in several records, since shards were merged, panes that lie in one.
    pub(super) fn gather(&mut self) {
        let Some(shelf) = &self.shelf else { return };
        for GroupingSet { groups, series, .. } in &mut self.sets {
            series.iter_mut().for_each(|series| series.gather(groups, shelf));
        }
    }
}

//! A shard as it was between two blocks, for another thread to write or ask while the shard goes on.
//!
//! Freezing copies the tables of groups and shares all else: what the shard writes afterwards it copies first, each total
//! and each pane once. So a frozen shard costs at most what changes while it lives.

use super::{GroupingSet, Shard, Spilled};
use crate::series::Series;
use crate::spec::Source;
use crate::time::Time;

/// A shard as it was.
#[derive(Debug)]
pub struct Frozen {
    pub(super) stamp: [u8; STAMP_BYTES],
    pub(super) sets: Vec<GroupingSet>,
    pub(super) watermark: Option<Time>,
    pub(super) counters: [u64; COUNTERS],
    pub(super) spilled: Spilled,
    looked_at_bytes: u64,
}

/// Numbers behind the history of the grouping sets.
pub(super) const COUNTERS: usize = 7;
/// Which hash function, and under which key.
pub(super) const STAMP_BYTES: usize = 9;

impl Shard {
    /// The shard as it is now. O(groups + panes); no cell is copied.
    pub fn freeze(&mut self) -> Frozen {
        Frozen {
            stamp: self.columns.hashing().stamp(),
            sets: self.sets.iter_mut().map(GroupingSet::freeze).collect(),
            watermark: self.watermark,
            counters: self.counters(),
            spilled: self.spilled,
            looked_at_bytes: self.looked_at_bytes,
        }
    }
}

impl Frozen {
    /// A shard that begins as this one was, to be asked and merged. `source` is what it was made for. Copies nothing.
    pub fn thaw(self, source: &Source) -> Shard {
        let mut shard = Shard::new(source, u64::MAX);
        (shard.sets, shard.watermark) = (self.sets, self.watermark);
        shard.set_counters(self.counters);
        shard.spilled = self.spilled;
        shard.looked_at_bytes = self.looked_at_bytes;
        shard
    }
}

impl Shard {
    /// A shard of those series that `pick` gives, to be asked. Groups are copied, where a series is.
    pub(crate) fn share(&self, pick: &dyn Fn(&GroupingSet, &Series) -> Option<Series>) -> Shard {
        let share = |set: &GroupingSet| {
            let series: Vec<Series> = set.series.iter().filter_map(|series| pick(set, series)).collect();
            (!series.is_empty()).then(|| GroupingSet {
                filter: set.filter,
                groups: set.groups.clone(),
                kinds: set.kinds.clone(),
                series,
            })
        };
        Shard {
            columns: self.columns.bare(),
            sets: self.sets.iter().filter_map(share).collect(),
            watermark: self.watermark,
            budget_bytes: u64::MAX,
            shelf: None,
            spilled: self.spilled,
            given_way: self.given_way,
            blocks: 0,
            looked_at_bytes: self.looked_at_bytes,
            weights_negative: self.weights_negative,
            weights_too_large: self.weights_too_large,
            weighted: Vec::new(),
            rows: Vec::new(),
        }
    }
}

impl GroupingSet {
    fn freeze(&mut self) -> GroupingSet {
        GroupingSet {
            filter: self.filter,
            groups: self.groups.clone(),
            kinds: self.kinds.clone(),
            series: self.series.iter_mut().map(Series::freeze).collect(),
        }
    }
}

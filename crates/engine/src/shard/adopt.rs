//! A shard of the old source becomes one of the new.

use super::Shard;
use crate::adopt::Adoption;
use crate::away::Table;
use crate::spec::Source;
use sabotage::{Bug, planted};
use std::sync::Arc;

impl Shard {
    /// What of this shard of `from` goes on in one of `to`, which may then take `budget_bytes`. A table of groups goes on with
    /// the metrics that do; one that joins them finds the groups that are there, and has nothing in them.
    pub fn adopt(mut self, from: &Source, to: &Source, adoption: &Adoption, budget_bytes: u64) -> Shard {
        let mut shard = Shard::new(to, budget_bytes);
        shard.watermark = self.watermark.filter(|_| adoption.clock);
        for set in &mut shard.sets {
            // Which of our sets the groups are from, once some are.
            let mut taken = None;
            for series in &mut set.series {
                let by = set.groups.fields().to_vec();
                let origin = adoption.old_set(from, to, series.metric, &by);
                let found = origin.and_then(|(metric, fields)| {
                    let is_it = |s: &crate::series::Series| s.metric == metric && s.role == series.role;
                    let mut sets = self.sets.iter().enumerate().filter(|(_, s)| s.groups.fields() == fields);
                    sets.find_map(|(at, s)| Some((at, s.series.iter().position(is_it)?)))
                });
                let Some((at, nth)) = found else {
                    shard.watermark.into_iter().for_each(|watermark| series.advance(watermark));
                    continue;
                };
                let old = self.sets[at].series.remove(nth);
                let map = match taken {
                    None => {
                        set.groups.adopt(&self.sets[at].groups);
                        None
                    }
                    Some(before) if before == at => None,
                    // Two conditions that were written in two ways are one now.
                    Some(_) => {
                        set.groups.remember_leaving();
                        let old = &self.sets[at].groups;
                        let map = set.groups.find_all(old);
                        Some(Arc::new(Table { left: old.all_left(), map }))
                    }
                };
                taken = taken.or(Some(at));
                if !planted(Bug::ReloadForgets) {
                    series.adopt(old, map.as_ref(), set.groups.leavings());
                }
            }
        }
        if adoption.metrics.iter().any(Option::is_some) {
            shard.set_counters(self.counters());
        }
        shard.spilled = self.spilled;
        shard.shelf = self.shelf.take();
        shard.gather();
        shard.blocks = self.blocks;
        shard.looked_at_bytes = shard.memory_bytes() as u64;
        shard
    }
}

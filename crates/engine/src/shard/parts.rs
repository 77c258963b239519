//! A frozen shard in parts: its closed panes one by one, and the rest. Table in docs/FORMATS.md.
//!
//! Whoever keeps states writes a closed pane once and names it again while it is as it was; a [`Mark`] tells whether it
//! is. The rest is written every time: groups, totals, open panes, counters, and which panes are closed.

use super::{Frozen, GroupingSet, Shard};
use crate::restore::{RestoreError, write_section};
use crate::series::{Pane, Series};
use crate::spec::Source;
use crate::time::Time;
use sketch::{Limits, Reader};
use std::sync::{Arc, Weak};

const MAGIC: &[u8; 4] = b"SGS3";

/// A pane of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PaneId {
    /// Number of the series: of one metric under one grouping set, in the order of the shard.
    pub series: u32,
    /// Number of the level of its ladder, the finest first.
    pub level: u32,
    /// Start of the pane.
    pub start: Time,
}

/// Finds what [`FrozenPane::write`] wrote.
pub type Records<'a> = dyn Fn(PaneId) -> Option<&'a [u8]> + 'a;

/// A closed pane of a frozen shard.
#[derive(Debug, Clone, Copy)]
pub struct FrozenPane<'a> {
    /// Which one.
    pub id: PaneId,
    pane: &'a Arc<Pane>,
}

/// Tells whether a pane is still as it was. Holds nothing of it.
#[derive(Debug, Clone)]
pub struct Mark(Weak<Pane>);

impl FrozenPane<'_> {
    /// To tell later whether the pane is still as it is now.
    pub fn mark(&self) -> Mark {
        Mark(Arc::downgrade(self.pane))
    }

    /// Whether the pane is as it was when it was marked: false of any that was written since.
    pub fn is(&self, mark: &Mark) -> bool {
        // What was written since lies elsewhere, and nothing else can lie here while the mark lives.
        std::ptr::eq(Weak::as_ptr(&mark.0), Arc::as_ptr(self.pane))
    }

    /// Appends the pane. What is written stays true while the pane is as it is, whatever groups come and go.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.pane.write(out);
    }
}

impl Frozen {
    /// The closed panes.
    pub fn panes(&self) -> impl Iterator<Item = FrozenPane<'_>> {
        let series = self.sets.iter().flat_map(|set| &set.series).zip(0..);
        series.flat_map(|(of, series)| {
            of.closed()
                .map(move |(level, start, pane)| FrozenPane { id: PaneId { series, level, start }, pane })
        })
    }

    /// Appends all but the closed panes. `source` is what the shard was made for.
    pub fn write_open(&self, source: &Source, out: &mut Vec<u8>) {
        let fresh = Shard::new(source, u64::MAX);
        out.extend_from_slice(MAGIC);
        write_section(out, |out| {
            self.write_head(out);
            self.sets.iter().for_each(|set| set.write_open(out));
        });
        write_section(out, |out| {
            for (set, fresh) in self.sets.iter().zip(&fresh.sets) {
                set.groups.history(out);
                let series = set.series.iter().zip(&fresh.series);
                series.for_each(|(series, fresh)| series.write_open_history(series.folded(fresh), out));
            }
            self.counters.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        });
    }

    fn write_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.stamp);
        out.extend_from_slice(&self.watermark.map_or(i64::MIN, |w| w.0).to_le_bytes());
    }
}

impl GroupingSet {
    fn write_open(&self, out: &mut Vec<u8>) {
        let order = self.groups.order();
        self.groups.snapshot(out);
        self.series.iter().for_each(|series: &Series| series.write_open(&order, out));
    }
}

impl Shard {
    /// Reads what [`Frozen::write_open`] or [`Shard::snapshot`] wrote, with the closed panes that the first one names, and
    /// leaves the reader behind it. As [`Shard::restore`] in all else.
    ///
    /// # Errors
    /// Bytes that are no state of this source, or a closed pane that is not there.
    pub fn restore_parts(
        source: &Source,
        budget_bytes: u64,
        r: &mut Reader<'_>,
        records: &Records<'_>,
        limits: &Limits,
    ) -> Result<Shard, RestoreError> {
        let mut ahead = r.clone();
        if ahead.bytes(MAGIC.len())? != MAGIC {
            return Shard::restore(source, budget_bytes, r, limits);
        }
        *r = ahead;
        Shard::restore_body(source, budget_bytes, r, Some(records), limits)
    }
}

//! A frozen shard in parts: its closed panes one by one, and the rest. Table in docs/FORMATS.md.
//!
//! Whoever keeps states writes a closed pane once and names it again while it is as it was; a [`Mark`] tells whether it
//! is. The rest is written every time: groups, totals, open panes, counters, and which panes are closed.

use super::{Frozen, GroupingSet, Shard, Spilled};
use crate::away::{Shelf, Stored};
use crate::restore::RestoreError;
use crate::series::{Closed, Pane, Series};
use crate::spec::Source;
use crate::time::Time;
use sketch::{Limits, Outflow, Reader};
use std::sync::{Arc, Weak};

const MAGIC: &[u8; 4] = b"SGS3";
/// Of a shard some of whose closed panes were not in memory.
const MAGIC_SPILLED: &[u8; 4] = b"SGS4";

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
pub trait Records {
    /// The record of a pane.
    fn find(&self, pane: PaneId) -> Option<Vec<u8>>;

    /// Where the record of a pane can be asked for that stays out of memory: the shelf, and a ticket of its own.
    fn away(&self, _: PaneId) -> Option<(Arc<dyn Shelf>, u64)> {
        None
    }
}

impl<'a, F: Fn(PaneId) -> Option<&'a [u8]>> Records for F {
    fn find(&self, pane: PaneId) -> Option<Vec<u8>> {
        self(pane).map(<[u8]>::to_vec)
    }
}

/// A closed pane of a frozen shard.
#[derive(Debug, Clone, Copy)]
pub struct FrozenPane<'a> {
    /// Which one.
    pub id: PaneId,
    pane: Closed<'a>,
}

/// Tells whether a pane is still as it was. Holds nothing of it.
#[derive(Debug, Clone)]
pub struct Mark(Marked);

#[derive(Debug, Clone)]
enum Marked {
    Here(Weak<Pane>),
    Away(Weak<Stored>),
}

impl FrozenPane<'_> {
    /// To tell later whether the pane is still as it is now.
    pub fn mark(&self) -> Mark {
        Mark(match self.pane {
            Closed::Here(pane) => Marked::Here(Arc::downgrade(pane)),
            Closed::Away(stored) => Marked::Away(Arc::downgrade(stored)),
        })
    }

    /// Whether the pane is as it was when it was marked: false of any that was written since.
    pub fn is(&self, mark: &Mark) -> bool {
        // What was written since lies elsewhere, and nothing else can lie here while the mark lives.
        match (&mark.0, self.pane) {
            (Marked::Here(then), Closed::Here(now)) => std::ptr::eq(Weak::as_ptr(then), Arc::as_ptr(now)),
            (Marked::Away(then), Closed::Away(now)) => std::ptr::eq(Weak::as_ptr(then), Arc::as_ptr(now)),
            (Marked::Here(_) | Marked::Away(_), _) => false,
        }
    }

    /// The ticket of a pane that is not in memory.
    pub fn ticket(&self) -> Option<u64> {
        match self.pane {
            Closed::Here(_) => None,
            Closed::Away(stored) => Some(stored.ticket),
        }
    }

    /// Appends the pane. What is written stays true while the pane is as it is, whatever groups come and go. Of one that
    /// is not in memory it is what the shelf took; false when that cannot be had.
    #[must_use]
    pub fn write(&self, out: &mut Vec<u8>) -> bool {
        match self.pane {
            Closed::Here(pane) => pane.write(out),
            Closed::Away(stored) => match stored.shelf.get(stored.ticket) {
                Some(record) => out.extend_from_slice(&record),
                None => return false,
            },
        }
        true
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
        Outflow::append(out, |out| self.send_open(source, out));
    }

    /// The same for a shard that need not stand in memory twice.
    pub fn send_open(&self, source: &Source, out: &mut Outflow<'_>) {
        let fresh = Shard::new(source, u64::MAX);
        let mut series = self.sets.iter().flat_map(|set| &set.series);
        let spilled =
            self.spilled != Spilled::default() || series.any(|series| series.away().next().is_some());
        debug_assert!(self.sets.iter().flat_map(|set| &set.series).all(Series::is_gathered));
        out.bytes().extend_from_slice(if spilled { MAGIC_SPILLED } else { MAGIC });
        out.section(|out| {
            self.write_head(out.bytes());
            self.sets.iter().for_each(|set| set.send_open(spilled, out));
        });
        out.section(|out| {
            for (set, fresh) in self.sets.iter().zip(&fresh.sets) {
                set.groups.send_history(out);
                if spilled {
                    set.groups.send_left(out);
                }
                let series = set.series.iter().zip(&fresh.series);
                series.for_each(|(series, fresh)| series.send_open_history(series.folded(fresh), out));
            }
            self.counters.iter().for_each(|number| out.bytes().extend_from_slice(&number.to_le_bytes()));
            if spilled {
                let Spilled { panes, bytes, again } = self.spilled;
                [panes, bytes, again].iter().for_each(|n| out.bytes().extend_from_slice(&n.to_le_bytes()));
            }
        });
    }

    fn write_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.stamp);
        out.extend_from_slice(&self.watermark.map_or(i64::MIN, |w| w.0).to_le_bytes());
    }
}

impl GroupingSet {
    fn send_open(&self, spilled: bool, out: &mut Outflow<'_>) {
        let order = self.groups.order();
        self.groups.send(out);
        self.series.iter().for_each(|series: &Series| series.send_open(&order, spilled, out));
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
        records: &dyn Records,
        limits: &Limits,
    ) -> Result<Shard, RestoreError> {
        let mut ahead = r.clone();
        let magic = ahead.bytes(MAGIC.len())?;
        if magic != MAGIC && magic != MAGIC_SPILLED {
            return Shard::restore(source, budget_bytes, r, limits);
        }
        *r = ahead;
        Shard::restore_body(source, budget_bytes, r, Some((records, magic == MAGIC_SPILLED)), limits)
    }
}

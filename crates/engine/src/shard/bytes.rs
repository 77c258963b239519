//! The bytes of shards: to go on later, elsewhere, or to be merged with others. Table in docs/FORMATS.md.
//!
//! The canonical part is a function of the events, as far as the sketches are order-free; behind it stands what only
//! this shard's history decides, such as what gave way to memory. Both together lose nothing.

use super::frozen::{COUNTERS, Frozen, STAMP_BYTES};
use super::parts::Records;
use super::{GivenWay, GroupingSet, Shard, Spilled};
use crate::restore::{RestoreError, Room, WEIGHT_SUM_MAX, read_section};
use crate::series::{Elsewhere, Series, optional_time};
use crate::spec::Source;
use crate::time::Time;
use sketch::{DecodeError, Limits, Outflow, Reader};

const MAGIC: &[u8; 4] = b"SGS2";

impl Shard {
    /// Canonical bytes of the state: equal for equal events, whatever the number of shards and the cut into blocks,
    /// as far as the sketches are order-free (docs/FORMATS.md). To compare states; [`Shard::snapshot`] keeps them.
    pub fn canonical(&self, out: &mut Vec<u8>) {
        Outflow::append(out, |out| self.body().canonical(out));
    }

    /// Appends the whole state; [`Shard::restore`] makes of it a shard that goes on as this one would.
    ///
    /// `source` is what the shard was made for.
    pub fn snapshot(&self, source: &Source, out: &mut Vec<u8>) {
        Outflow::append(out, |out| self.send(source, out));
    }

    /// The same for a shard that need not stand in memory twice.
    pub(crate) fn send(&self, source: &Source, out: &mut Outflow<'_>) {
        self.body().send(source, out);
    }

    fn body(&self) -> Body<'_> {
        Body {
            stamp: self.columns.hashing().stamp(),
            sets: &self.sets,
            watermark: self.watermark,
            counters: self.counters(),
        }
    }

    pub(super) fn counters(&self) -> [u64; COUNTERS] {
        let way = self.given_way;
        [
            way.groups_halved,
            way.sketches_folded,
            way.panes_dropped,
            way.over_budget,
            self.blocks,
            self.weights_negative,
            self.weights_too_large,
        ]
    }

    /// Reads what [`Shard::snapshot`] wrote of a shard of this source, and leaves the reader behind it. The shard may then
    /// take `budget_bytes`, whatever it had before. Survives any bytes; builds no more than `limits` allow.
    ///
    /// # Errors
    /// Bytes that are no state of this source; they name the metric where it begins to differ.
    pub fn restore(
        source: &Source,
        budget_bytes: u64,
        r: &mut Reader<'_>,
        limits: &Limits,
    ) -> Result<Shard, RestoreError> {
        if r.bytes(MAGIC.len())? != MAGIC {
            return Err(DecodeError::Invalid("not a shard of version 2").into());
        }
        Shard::restore_body(source, budget_bytes, r, None, limits)
    }

    /// The body of a shard, whole or with its closed panes elsewhere: some of them not in memory, or not.
    pub(super) fn restore_body(
        source: &Source,
        budget_bytes: u64,
        r: &mut Reader<'_>,
        records: Option<(&dyn Records, bool)>,
        limits: &Limits,
    ) -> Result<Shard, RestoreError> {
        let (mut events, mut history) = (read_section(r)?, read_section(r)?);
        let mut shard = Shard::new(source, budget_bytes);
        let mut room = Room::new(limits);
        let (r, h) = (&mut events, &mut history);
        let stamp = source.hashing.stamp();
        let theirs = r.bytes(stamp.len())?;
        if theirs != stamp {
            return Err(RestoreError::Hash { ours: shown(&stamp), theirs: shown(theirs) });
        }
        shard.watermark = optional_time(r)?;
        let mut first = 0;
        for set in &mut shard.sets {
            let records = records.map(|(records, spilled)| (first, records, spilled));
            set.restore(source, r, h, shard.watermark, records, &mut room)?;
            first += set.series.len() as u32;
        }
        let mut counters = [0; COUNTERS];
        for counter in &mut counters {
            *counter = h.u64()?;
            if *counter > WEIGHT_SUM_MAX {
                return Err(DecodeError::Invalid("a counter beyond any stream").into());
            }
        }
        if records.is_some_and(|(_, spilled)| spilled) {
            shard.spilled = Spilled { panes: h.u64()?, bytes: h.u64()?, again: h.u64()? };
        }
        events.finish()?;
        history.finish()?;
        shard.set_counters(counters);
        // What was accounted for at the last look may have held room that a restored sketch takes only when it needs it.
        shard.looked_at_bytes = shard.memory_bytes() as u64;
        Ok(shard)
    }

    pub(super) fn set_counters(&mut self, counters: [u64; COUNTERS]) {
        let [groups_halved, sketches_folded, panes_dropped, over_budget, blocks, negative, large] = counters;
        self.given_way = GivenWay { groups_halved, sketches_folded, panes_dropped, over_budget };
        self.blocks = blocks;
        self.weights_negative = negative;
        self.weights_too_large = large;
    }

    /// What merging adds up, over all cells, groups and counters.
    pub(crate) fn weight(&self) -> u64 {
        let series = self.sets.iter().flat_map(|set| &set.series).map(Series::weight);
        let groups = self.sets.iter().map(|set| set.groups.weight());
        series.chain(groups).chain(self.counters()).fold(0, u64::saturating_add)
    }
}

impl Frozen {
    /// As [`Shard::snapshot`] of the shard when it was frozen.
    pub fn snapshot(&self, source: &Source, out: &mut Vec<u8>) {
        Outflow::append(out, |out| self.send(source, out));
    }

    /// The same for a shard that need not stand in memory twice.
    pub(crate) fn send(&self, source: &Source, out: &mut Outflow<'_>) {
        let Frozen { stamp, ref sets, watermark, counters, .. } = *self;
        Body { stamp, sets, watermark, counters }.send(source, out);
    }
}

/// What there is to write of a shard, frozen or not.
struct Body<'a> {
    stamp: [u8; STAMP_BYTES],
    sets: &'a [GroupingSet],
    watermark: Option<Time>,
    counters: [u64; COUNTERS],
}

impl Body<'_> {
    fn send(&self, source: &Source, out: &mut Outflow<'_>) {
        out.bytes().extend_from_slice(MAGIC);
        out.section(|out| self.canonical(out));
        out.section(|out| self.history(source, out));
    }

    fn canonical(&self, out: &mut Outflow<'_>) {
        out.bytes().extend_from_slice(&self.stamp);
        out.bytes().extend_from_slice(&self.watermark.map_or(i64::MIN, |w| w.0).to_le_bytes());
        for set in self.sets {
            let order = set.groups.order();
            set.groups.send(out);
            set.series.iter().for_each(|series| series.send(&set.groups, &order, out));
        }
    }

    fn history(&self, source: &Source, out: &mut Outflow<'_>) {
        let fresh = Shard::new(source, u64::MAX);
        for (set, fresh) in self.sets.iter().zip(&fresh.sets) {
            set.groups.send_history(out);
            for (series, fresh) in set.series.iter().zip(&fresh.series) {
                series.send_history(series.folded(fresh), &set.groups, out);
            }
        }
        for number in self.counters {
            out.bytes().extend_from_slice(&number.to_le_bytes());
        }
    }
}

fn shown(stamp: &[u8]) -> String {
    stamp.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl GroupingSet {
    fn restore(
        &mut self,
        source: &Source,
        r: &mut Reader<'_>,
        h: &mut Reader<'_>,
        watermark: Option<Time>,
        records: Option<(u32, &dyn Records, bool)>,
        room: &mut Room,
    ) -> Result<(), RestoreError> {
        let named = |series: &Series, error: DecodeError| {
            let metric = source.metrics[series.metric].name.clone();
            RestoreError::Metric { metric, error }
        };
        self.groups.restore(r, h, &self.kinds, room).map_err(|error| {
            self.series.first().map_or(RestoreError::Bytes(error.clone()), |s| named(s, error))
        })?;
        if records.is_some_and(|(.., spilled)| spilled) {
            self.groups.restore_left(h, room)?;
        }
        let order = self.groups.order();
        let live = if records.is_some() { order.live() } else { Vec::new() };
        let leavings = self.groups.leavings();
        for (series, nth) in self.series.iter_mut().zip(0..) {
            let elsewhere = records.map(|(first, records, spilled)| Elsewhere {
                records,
                series: first + nth,
                live: &live,
                spilled,
                leavings,
            });
            let restored = series.restore(r, h, &order, watermark, elsewhere.as_ref(), room);
            restored.map_err(|error| named(series, error))?;
        }
        Ok(())
    }
}

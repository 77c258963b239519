//! Groups that no event reaches any more: after `groups_ttl` of event time they are forgotten, so that their places are free.
//!
//! What was measured of such a group goes to the other group; one that comes back begins anew. Whether a group is idle is
//! seen over all shards at once, between two blocks, so it does not depend on how events are shared among them.
//! Costs nothing while events are read: four times in a `groups_ttl` the weights of all groups are compared with those of the
//! time before.

use crate::restore::{count, read_bytes, write_bytes};
use crate::series::optional_time;
use crate::shard::Shard;
use crate::spec::Source;
use crate::time::{Span, Time};
use sketch::codec::write_varint;
use sketch::{DecodeError, Reader};
use std::collections::BTreeMap;

/// Looks in a `groups_ttl`: a group is forgotten after at least that long, and at most a quarter more.
const LOOKS: i64 = 4;

/// Which groups are idle, over all shards of a source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdleGroups {
    /// Time between two looks; `None` where groups are never forgotten.
    apart: Option<Span>,
    /// When there was a look last.
    looked: Option<Time>,
    /// By grouping set and key.
    sets: Vec<BTreeMap<Box<[u8]>, Mark>>,
}

/// A group as it was at the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    weight: u64,
    /// Looks since anything reached it.
    idle: u8,
}

impl IdleGroups {
    /// Nothing was looked at yet.
    pub fn new(source: &Source) -> IdleGroups {
        let apart = source.groups_ttl.map(|ttl| Span((ttl.0 / LOOKS).max(1)));
        IdleGroups { apart, ..IdleGroups::default() }
    }

    /// Whether it is time for a look; before the first one, when there is a time at all.
    pub fn is_due(&self, watermark: Option<Time>) -> bool {
        let (Some(apart), Some(watermark)) = (self.apart, watermark) else { return false };
        self.looked.is_none_or(|looked| watermark >= looked.plus(apart))
    }

    /// Looks at the groups of all shards, and forgets those that are idle. O(groups log groups).
    pub fn look(&mut self, watermark: Time, shards: &mut [&mut Shard]) {
        let Some(apart) = self.apart else { return };
        let passed = self.looked.map_or(0, |looked| watermark.0.abs_diff(looked.0) / apart.0 as u64);
        self.looked = Some(watermark);
        let sets = shards.first().map_or(0, |shard| shard.sets().len());
        self.sets.resize_with(sets, BTreeMap::new);
        for (set, marks) in self.sets.iter_mut().enumerate() {
            let mut now: BTreeMap<&[u8], u64> = BTreeMap::new();
            for (key, weight) in shards.iter().flat_map(|shard| shard.sets()[set].groups.weights()) {
                *now.entry(key).or_default() += weight;
            }
            let mark = |(key, weight): (&[u8], u64)| {
                let idle = match marks.get(key) {
                    Some(before) if before.weight == weight => u64::from(before.idle).saturating_add(passed),
                    _ => 0,
                };
                (Box::from(key), Mark { weight, idle: idle.min(LOOKS as u64) as u8 })
            };
            let (idle, active): (Vec<_>, Vec<_>) = now
                .into_iter()
                .map(mark)
                .partition(|(_, mark): &(Box<[u8]>, Mark)| i64::from(mark.idle) >= LOOKS);
            *marks = active.into_iter().collect();
            let keys: Vec<Box<[u8]>> = idle.into_iter().map(|(key, _)| key).collect();
            if !keys.is_empty() {
                shards.iter_mut().for_each(|shard| shard.forget(set, &keys));
            }
        }
    }

    /// Appends what was seen at the last look.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.looked.map_or(i64::MIN, |time| time.0).to_le_bytes());
        write_varint(self.sets.len() as u64, out);
        for set in &self.sets {
            write_varint(set.len() as u64, out);
            for (key, mark) in set {
                write_bytes(key, out);
                write_varint(mark.weight, out);
                out.push(mark.idle);
            }
        }
    }

    /// Reads what [`IdleGroups::snapshot`] wrote. Survives any bytes.
    ///
    /// # Errors
    /// Bytes that no snapshot has.
    pub fn restore(source: &Source, r: &mut Reader<'_>) -> Result<IdleGroups, DecodeError> {
        let mut idle = IdleGroups { looked: optional_time(r)?, ..IdleGroups::new(source) };
        for _ in 0..count(r, 1)? {
            let mut set = BTreeMap::new();
            for _ in 0..count(r, KEY_BYTES_MIN)? {
                let key = read_bytes(r)?;
                set.insert(Box::from(key), Mark { weight: r.varint()?, idle: r.u8()?.min(LOOKS as u8) });
            }
            idle.sets.push(set);
        }
        Ok(idle)
    }
}

/// Length of a key, weight, looks.
const KEY_BYTES_MIN: usize = 4 + 1 + 1;

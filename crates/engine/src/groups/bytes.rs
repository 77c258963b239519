//! The bytes of groups. Table in docs/FORMATS.md.
//!
//! What events decide (keys and weights) and what only this table's history decides (numbers, free ones, slots) lie apart:
//! the first is equal for equal events, the second makes a restored table go on exactly as this one does.

use super::{Entry, Groups, NULL_KEY, OTHER, Print, Slot, place};
use crate::restore::{Room, count, read_bytes, write_bytes};
use crate::spec::Kind;
use sketch::codec::write_varint;
use sketch::hash::canonical_bits;
use sketch::{DecodeError, Outflow, Reader};

/// The groups of a grouping set in the order of their bytes.
#[derive(Debug)]
pub(crate) struct Order {
    /// Their numbers in the order of their keys; the other group last.
    pub groups: Vec<u32>,
    /// How many numbers have been given out, the other group's included.
    pub numbers: usize,
}

impl Order {
    /// By number: whether there is such a group.
    pub(crate) fn live(&self) -> Vec<bool> {
        let mut live = vec![false; self.numbers];
        self.groups.iter().for_each(|&group| live[group as usize] = true);
        live
    }
}

impl Groups {
    pub(crate) fn order(&self) -> Order {
        let groups = self.sorted().into_iter().map(|(_, group)| group).chain([OTHER]).collect();
        Order { groups, numbers: self.entries.len() }
    }

    /// Canonical bytes: what can be missed outside, then the groups in the order of their keys.
    pub(crate) fn send(&self, out: &mut Outflow<'_>) {
        let sorted = self.sorted();
        out.bytes().extend_from_slice(&(sorted.len() as u32).to_le_bytes());
        out.bytes().extend_from_slice(&self.offset.to_le_bytes());
        for (key, group) in sorted {
            write_bytes(key, out.bytes());
            out.bytes().extend_from_slice(&self.weights[group as usize].to_le_bytes());
            out.bytes().extend_from_slice(&self.entries[group as usize].missed.to_le_bytes());
            out.ease();
        }
    }

    /// What events do not decide.
    pub(crate) fn send_history(&self, out: &mut Outflow<'_>) {
        out.bytes().extend_from_slice(&(self.max as u64).to_le_bytes());
        out.bytes().extend_from_slice(&self.folded.to_le_bytes());
        out.bytes().push(self.slots.len().ilog2() as u8);
        self.sorted().iter().for_each(|(_, group)| send_number(*group, out));
        write_varint(self.free.len() as u64, out.bytes());
        self.free.iter().for_each(|group| send_number(*group, out));
    }

    /// When numbers were let go: what panes that are not in memory are read by.
    pub(crate) fn send_left(&self, out: &mut Outflow<'_>) {
        write_varint(self.leavings(), out.bytes());
        for group in 0..self.entries.len() as u32 {
            write_varint(self.left(group), out.bytes());
            out.ease();
        }
    }

    /// Reads what [`Groups::send_left`] wrote, into a table whose numbers are known.
    pub(crate) fn restore_left(&mut self, h: &mut Reader<'_>, room: &mut Room) -> Result<(), DecodeError> {
        let leavings = h.varint()?;
        room.weigh(leavings)?;
        room.take("groups", self.entries.len() as u64, size_of::<u64>())?;
        let left = (0..self.entries.len()).map(|_| h.varint()).collect::<Result<Vec<u64>, _>>()?;
        if left.iter().any(|left| *left > leavings) {
            return Err(DecodeError::Invalid("a group that left later than the last one did"));
        }
        (self.leavings, self.left) = (Some(leavings), left);
        Ok(())
    }

    /// Reads what [`Groups::send`] wrote to `r` and [`Groups::send_history`] to `h`, into a table that is empty.
    pub(crate) fn restore(
        &mut self,
        r: &mut Reader<'_>,
        h: &mut Reader<'_>,
        kinds: &[Kind],
        room: &mut Room,
    ) -> Result<(), DecodeError> {
        let live = r.count("groups", u32::MAX as usize / 4, KEY_BYTES_MIN)?;
        if self.is_total() && live > 0 {
            return Err(DecodeError::Invalid("groups of a total"));
        }
        self.offset = r.u64()?;
        room.weigh(self.offset)?;
        let max = h.u64()?;
        if max > self.max as u64 {
            return Err(DecodeError::Invalid("more groups than the metric keeps apart"));
        }
        self.max = max as usize;
        self.folded = h.u64()?;
        room.weigh(self.folded)?;
        let slots = self.slots_of(h.u8()?, live)?;
        room.take("groups", slots as u64, size_of::<Slot>())?;
        room.take("groups", live as u64, size_of::<Entry>() + size_of::<u64>())?;
        let mut read: Vec<(u32, Entry, u64)> = Vec::with_capacity(live);
        let mut missed_max = 0;
        for _ in 0..live {
            let (entry, weight) = entry(r, kinds, read.last().map(|(_, entry, _)| &*entry.key))?;
            room.take("keys of groups", entry.key.len() as u64, 1)?;
            room.weigh(weight)?;
            missed_max = entry.missed.max(missed_max);
            let number = h.varint()?;
            read.push((u32::try_from(number).map_err(|_| NUMBERS)?, entry, weight));
        }
        room.weigh(missed_max)?;
        let free = count(h, 1)?;
        room.take("groups", free as u64, size_of::<Entry>() + 2 * size_of::<u64>())?;
        for _ in 0..free {
            self.free.push(u32::try_from(h.varint()?).map_err(|_| NUMBERS)?);
        }
        self.number(read)?;
        self.slots = vec![Slot::default(); slots];
        for group in 1..self.entries.len() as u32 {
            let entry = &self.entries[group as usize];
            if entry.live {
                place(&mut self.slots, Slot { print: Print::of(&entry.key), group });
            }
        }
        Ok(())
    }

    /// The table is as large as it was: what memory is accounted for decides when groups give way.
    fn slots_of(&self, lg_slots: u8, live: usize) -> Result<usize, DecodeError> {
        let most = (live.saturating_mul(4)).next_power_of_two().max(16);
        let slots = 1usize.checked_shl(u32::from(lg_slots)).unwrap_or(0);
        if slots < 16 || slots > most || live * 2 > slots {
            return Err(DecodeError::Invalid("size of a table of groups"));
        }
        Ok(slots)
    }

    /// Puts entries where their numbers say. Every number but that of the other group is taken once, or free.
    fn number(&mut self, read: Vec<(u32, Entry, u64)>) -> Result<(), DecodeError> {
        let numbers = 1 + read.len() + self.free.len();
        let mut taken = vec![false; numbers];
        let mut take = |number: u32| match taken.get_mut(number as usize) {
            Some(taken) if number != OTHER && !*taken => {
                *taken = true;
                Ok(())
            }
            _ => Err(NUMBERS),
        };
        self.free.iter().try_for_each(|number| take(*number))?;
        self.live = read.len();
        self.entries = vec![Entry::default(); numbers];
        self.weights = vec![0; numbers];
        for (number, entry, weight) in read {
            take(number)?;
            self.entries[number as usize] = entry;
            self.weights[number as usize] = weight;
        }
        Ok(())
    }
}

/// Length of a key, weight and what was missed.
const KEY_BYTES_MIN: usize = 4 + 8 + 8;
const NUMBERS: DecodeError = DecodeError::Invalid("numbers of groups");

/// The next group; its key lies behind the one before.
fn entry(r: &mut Reader<'_>, kinds: &[Kind], before: Option<&[u8]>) -> Result<(Entry, u64), DecodeError> {
    let key = read_bytes(r)?;
    if before.is_some_and(|before| before >= key) {
        return Err(DecodeError::Invalid("groups do not ascend"));
    }
    if !is_key(key, kinds) {
        return Err(DecodeError::Invalid("key of a group"));
    }
    let (weight, missed) = (r.u64()?, r.u64()?);
    Ok((Entry { key: key.into(), live: true, missed }, weight))
}

fn is_key(key: &[u8], kinds: &[Kind]) -> bool {
    if let [Kind::String] = kinds {
        return key == NULL_KEY || std::str::from_utf8(key).is_ok();
    }
    let mut rest = key;
    kinds.iter().all(|kind| is_value(&mut rest, *kind)) && rest.is_empty()
}

/// Whether [`read_value`](super::read_value) can read a value of this kind here; moves on behind it.
pub(crate) fn is_value(rest: &mut &[u8], kind: Kind) -> bool {
    let mut r = Reader::new(rest);
    let mut read = || -> Result<bool, DecodeError> {
        let tag = r.u8()?;
        Ok(match (tag, kind) {
            (0, _) => true,
            (1, Kind::String) => {
                let len = r.u32()?.swap_bytes() as usize;
                std::str::from_utf8(r.bytes(len)?).is_ok()
            }
            (2, Kind::Int64) => r.u64().is_ok(),
            (3, Kind::Float64) => {
                let bits = r.u64()?.swap_bytes();
                canonical_bits(f64::from_bits(bits)) == bits
            }
            (4, Kind::Bool) => r.u8()? <= 1,
            _ => false,
        })
    };
    let good = read() == Ok(true);
    *rest = &rest[rest.len() - r.remaining()..];
    good
}

fn send_number(group: u32, out: &mut Outflow<'_>) {
    write_varint(u64::from(group), out.bytes());
    out.ease();
}

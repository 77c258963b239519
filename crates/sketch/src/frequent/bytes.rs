//! Counters as bytes: the own snapshot, and Frequent Items of Apache DataSketches. Tables in docs/FORMATS.md.

use super::table::{Entry, SLOT_BYTES, Table};
use super::{Counters, ITEM_BYTES_MAX};
use crate::codec::{DecodeError, Limits, Reader, expect_head, kind};
use crate::hash::Token;

const VERSION: u8 = 1;
/// Token, count, error, length: an entry without its name.
const ENTRY_BYTES_MIN: usize = 8 + 8 + 8 + 2;
/// Marks a name that was cut, in the length's highest bit.
const CUT: u16 = 1 << 15;

/// Constants of Frequent Items in the DataSketches formats.
mod wire {
    pub const SERIAL_VERSION: u8 = 1;
    pub const FAMILY_FREQUENCY: u8 = 10;
    pub const PREAMBLE_LONGS_EMPTY: u8 = 1;
    pub const PREAMBLE_LONGS: u8 = 4;
    /// Java and C++ disagree on the bit, so writers set both.
    pub const FLAGS_EMPTY: u8 = 5;
    pub const LG_MAP_MIN: u8 = 3;
}

impl Counters {
    /// Appends the snapshot: lossless and canonical, entries ascending by token.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        debug_assert!(self.is_sound());
        out.extend_from_slice(&[kind::COUNTERS, VERSION, self.slots.trailing_zeros() as u8]);
        out.extend_from_slice(&self.total.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&(self.len() as u32).to_le_bytes());
        for entry in self.entries_by_token() {
            out.extend_from_slice(&entry.token.0.to_le_bytes());
            out.extend_from_slice(&entry.count.to_le_bytes());
            out.extend_from_slice(&entry.err.to_le_bytes());
            let len = entry.item.len() as u16 | if entry.cut { CUT } else { 0 };
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(entry.item);
        }
    }

    /// Reads a snapshot back. The limit bounds the table that the declared number of slots may ever need; what is
    /// allocated now follows the entries at hand.
    ///
    /// # Errors
    /// On anything that [`Counters::snapshot`] does not write.
    pub fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<Counters, DecodeError> {
        expect_head(r, kind::COUNTERS, VERSION, "not counters of version 1")?;
        let lg_slots = r.u8()?;
        if lg_slots >= 32 || !Counters::is_valid(1 << lg_slots) {
            return Err(DecodeError::Invalid("number of slots"));
        }
        let slots = 1usize << lg_slots;
        limits.allow("slots of counters", slots as u64, SLOT_BYTES)?;
        let (total, offset) = (r.u64()?, r.u64()?);
        let mut counters = Counters { table: Table::new(), slots, total, offset };
        let live = r.count("entries", counters.live_max(), ENTRY_BYTES_MIN)?;
        counters.table.reserve(live);
        let mut last = None;
        for _ in 0..live {
            let entry = read_entry(r)?;
            if last.is_some_and(|last| entry.token <= last) {
                return Err(DecodeError::Invalid("tokens do not ascend"));
            }
            last = Some(entry.token);
            if let Err(slot) = counters.table.find(entry.token) {
                counters.table.push(slot, entry);
            }
        }
        if counters.is_sound() {
            Ok(counters)
        } else {
            Err(DecodeError::Invalid("counts beyond the guarantee"))
        }
    }

    /// An Apache DataSketches *Frequent Items* sketch of strings with the same bounds, readable in Java, C++ and
    /// Python. Its counter is `count + err - offset`, which is at most `count`, and with its offset added the upper
    /// bound is the same; keys whose counter would be 0 are left out, as they are bounded by the offset. Bytes that
    /// are no UTF-8 become U+FFFD. Weights are signed over there: the total stops at `i64::MAX`, and the counters, in the
    /// order of their tokens, where they make up that much.
    pub fn to_datasketches_strings(&self) -> Vec<u8> {
        let lg_max = self.slots.trailing_zeros() as u8;
        if self.total == 0 {
            let head = [wire::PREAMBLE_LONGS_EMPTY, wire::SERIAL_VERSION, wire::FAMILY_FREQUENCY, lg_max];
            return [&head[..], &[wire::LG_MAP_MIN, wire::FLAGS_EMPTY, 0, 0]].concat();
        }
        let mut room = i64::MAX as u64;
        let mut entries = self.entries_by_token();
        entries.retain_mut(|entry| {
            entry.count = (entry.count + entry.err).saturating_sub(self.offset).min(room);
            room -= entry.count;
            entry.count > 0
        });
        let mut lg_now = wire::LG_MAP_MIN;
        while entries.len() > (1usize << lg_now) / 4 * 3 {
            lg_now += 1;
        }
        let long = |v: u64| (v.min(i64::MAX as u64)).to_le_bytes();
        let mut out =
            vec![wire::PREAMBLE_LONGS, wire::SERIAL_VERSION, wire::FAMILY_FREQUENCY, lg_max, lg_now, 0, 0, 0];
        out.extend_from_slice(&(entries.len() as u64).to_le_bytes());
        out.extend_from_slice(&long(self.total));
        out.extend_from_slice(&long(self.offset));
        for entry in &entries {
            out.extend_from_slice(&entry.count.to_le_bytes());
        }
        for entry in &entries {
            let text = String::from_utf8_lossy(entry.item);
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        out
    }

    fn entries_by_token(&self) -> Vec<Entry<'_>> {
        let mut entries: Vec<Entry<'_>> = self.entries().collect();
        entries.sort_unstable_by_key(|entry| entry.token);
        entries
    }
}

fn read_entry<'a>(r: &mut Reader<'a>) -> Result<Entry<'a>, DecodeError> {
    let (token, count, err, len) = (Token(r.u64()?), r.u64()?, r.u64()?, r.u16()?);
    let (cut, len) = (len & CUT != 0, usize::from(len & !CUT));
    if len > ITEM_BYTES_MAX || cut && len != ITEM_BYTES_MAX {
        return Err(DecodeError::Invalid("length of an item"));
    }
    Ok(Entry { token, count, err, item: r.bytes(len)?, cut })
}

//! Counters as bytes: the own snapshot. Table in docs/FORMATS.md; Frequent Items of DataSketches are in `image.rs`.

use super::table::{Entry, SLOT_BYTES, Table};
use super::{Counters, ITEM_BYTES_MAX};
use crate::codec::{DecodeError, Limits, Reader, expect_head, kind};
use crate::hash::Token;

const VERSION: u8 = 1;
/// Token, count, error, length: an entry without its name.
const ENTRY_BYTES_MIN: usize = 8 + 8 + 8 + 2;
/// Marks a name that was cut, in the length's highest bit.
const CUT: u16 = 1 << 15;

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

    pub(super) fn entries_by_token(&self) -> Vec<Entry<'_>> {
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

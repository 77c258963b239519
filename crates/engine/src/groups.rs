//! The groups of one grouping set: from the values of the `by` fields to a small number, in bounded memory.
//!
//! At most `2 × max` groups (256 at least) are kept apart while reading. When one more arrives the lighter ones are folded into the other group and
//! counted: a group that comes back later carries in `missed` the most that can have been folded before
//! (the counters of `sketch::frequent`, with cells in place of names; same bound, 2 × weight / (2 × max)).

mod bytes;

use crate::answer::Key;
use crate::batch::Batch;
use crate::column::Column;
use crate::spec::Kind;
use arrow_array::Array;
use sabotage::{Bug, planted};
use sketch::hash::canonical_bits;
use std::sync::Arc;

pub(crate) use bytes::{Order, is_value};

/// Number of the group that holds what was not kept apart. Also the only group of the empty grouping set.
pub const OTHER: u32 = 0;

/// The groups of one grouping set.
#[derive(Debug, Clone)]
pub struct Groups {
    fields: Vec<usize>,
    max: usize,
    /// Open addressing over prints; group 0 is an empty slot.
    slots: Vec<Slot>,
    /// By group number; [`OTHER`] has an empty, unused entry.
    entries: Vec<Entry>,
    /// Rows counted per group: beside the entries, because every row touches one.
    weights: Vec<u64>,
    free: Vec<u32>,
    live: usize,
    folded: u64,
    /// The most that any key outside can weigh.
    offset: u64,
    /// By number: the leaving at which it was let go last, 0 if never. Empty where nobody asks.
    left: Vec<u64>,
    /// How often groups were let go since that is asked; `None` where nobody asks.
    leavings: Option<u64>,
    scratch: Vec<u8>,
}

/// What a key is recognised by: of at most 16 bytes it is the key itself, zero-padded; of a longer one a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Print {
    low: u64,
    high: u64,
    len: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    print: Print,
    group: u32,
}

#[derive(Debug, Clone, Default)]
struct Entry {
    /// Shared with frozen copies of the table.
    key: Arc<[u8]>,
    live: bool,
    missed: u64,
}

impl Groups {
    /// Groups by these fields, `max` of them in the answer. No fields: one group, the total.
    pub fn new(fields: &[usize], max: usize) -> Groups {
        Groups {
            fields: fields.to_vec(),
            max,
            slots: vec![Slot::default(); 16],
            entries: vec![Entry::default()],
            weights: vec![0],
            free: Vec::new(),
            live: 0,
            folded: 0,
            offset: 0,
            left: Vec::new(),
            leavings: None,
            scratch: Vec::new(),
        }
    }

    /// The fields grouped by.
    pub fn fields(&self) -> &[usize] {
        &self.fields
    }

    /// Whether there is only the total.
    pub fn is_total(&self) -> bool {
        self.fields.is_empty()
    }

    /// Writes the group numbers of rows `start..end` to `out` (indexed by row) and stops early, before the row that
    /// would be one group too many. Gives back where it stopped: fold those rows, then call [`Groups::shrink`].
    pub fn resolve(&mut self, batch: &Batch, start: usize, end: usize, out: &mut Vec<u32>) -> usize {
        out.resize(batch.rows, OTHER);
        if let Some(array) = self.lone_string(batch) {
            let (offsets, values) = (array.value_offsets(), array.value_data());
            let nulls = array.nulls();
            for (row, out) in out.iter_mut().enumerate().take(end).skip(start) {
                let (from, to) = (offsets[row] as usize, offsets[row + 1] as usize);
                let (key, print) = match nulls {
                    Some(n) if n.is_null(row) => (NULL_KEY, Print::of(NULL_KEY)),
                    _ => (&values[from..to], Print::at(values, from, to - from)),
                };
                let Some(group) = self.find_or_add(key, print) else { return row };
                *out = group;
            }
            return end;
        }
        let mut key = std::mem::take(&mut self.scratch);
        let mut stopped = end;
        for (row, out) in out.iter_mut().enumerate().take(end).skip(start) {
            key.clear();
            for &field in &self.fields {
                write_value(&batch.columns[field], row, &mut key);
            }
            let Some(group) = self.find_or_add(&key, Print::of(&key)) else {
                stopped = row;
                break;
            };
            *out = group;
        }
        self.scratch = key;
        stopped
    }

    /// The group of a row, if it is kept apart; the total's when nothing is grouped by.
    pub fn of_row(&self, batch: &Batch, row: usize) -> Option<u32> {
        if self.is_total() {
            return Some(OTHER);
        }
        let mut key = Vec::new();
        match self.lone_string(batch) {
            Some(array) if array.is_null(row) => key.extend_from_slice(NULL_KEY),
            Some(array) => key.extend_from_slice(array.value(row).as_bytes()),
            None => self.fields.iter().for_each(|&field| write_value(&batch.columns[field], row, &mut key)),
        }
        self.find(&key, Print::of(&key))
    }

    /// Makes room: keeps the heaviest groups, at most `max`, ties in the order of their keys, and names the others,
    /// which the caller folds into [`OTHER`].
    pub fn shrink(&mut self, max: usize) -> Vec<u32> {
        if self.live <= max {
            return Vec::new();
        }
        let mut order: Vec<u32> = self.live_groups().collect();
        let rank = |g: &u32| (std::cmp::Reverse(self.upper(*g)), &*self.entries[*g as usize].key);
        order.select_nth_unstable_by(max, |a, b| rank(a).cmp(&rank(b)));
        let mut leaving = order.split_off(max);
        leaving.sort_unstable();
        self.offset = leaving.iter().map(|&g| self.upper(g)).fold(self.offset, u64::max);
        self.let_go(&leaving);
        leaving
    }

    /// The groups that are kept apart, by key, with their weights.
    pub(crate) fn weights(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.live_groups().map(|group| (&*self.entries[group as usize].key, self.weights[group as usize]))
    }

    /// Forgets groups by their keys, and names them: the caller folds them into [`OTHER`]. Whatever comes under such a key later
    /// is a group of its own, of which nothing was missed.
    pub(crate) fn forget(&mut self, keys: &[Box<[u8]>]) -> Vec<u32> {
        let mut leaving: Vec<u32> = keys.iter().filter_map(|key| self.find(key, Print::of(key))).collect();
        leaving.sort_unstable();
        self.let_go(&leaving);
        leaving
    }

    /// Frees the numbers of these groups, which ascend.
    fn let_go(&mut self, leaving: &[u32]) {
        if let Some(leavings) = self.leavings.as_mut().filter(|_| !leaving.is_empty()) {
            *leavings += 1;
            self.left.resize(self.entries.len(), 0);
            leaving.iter().for_each(|&group| self.left[group as usize] = *leavings);
        }
        for &group in leaving.iter().rev() {
            self.entries[group as usize] = Entry::default();
            self.weights[group as usize] = 0;
            self.free.push(group);
        }
        self.live -= leaving.len();
        self.folded += leaving.len() as u64;
        self.rebuild();
    }

    /// Remembers from now on when each number is let go: panes that are not in memory name groups by the numbers that they
    /// had.
    pub(crate) fn remember_leaving(&mut self) {
        self.leavings.get_or_insert(0);
    }

    /// The last time that groups were let go, counted from 1.
    pub(crate) fn leavings(&self) -> u64 {
        self.leavings.unwrap_or(0)
    }

    /// When this number was let go last; 0 if never.
    pub(crate) fn left(&self, group: u32) -> u64 {
        self.left.get(group as usize).copied().unwrap_or(0)
    }

    /// Numbers that have been given out, the other group's included.
    pub(crate) fn numbers(&self) -> usize {
        self.entries.len()
    }

    /// When each number was let go last, for a table that this one is merged into.
    pub(crate) fn all_left(&self) -> Vec<u64> {
        self.left.clone()
    }

    /// Takes in the groups of another shard: the new number of each of its groups, by old number.
    /// Weights add; a group that only one side kept may have been missed by the other.
    pub fn absorb(&mut self, other: &Groups) -> Vec<u32> {
        let mut map = vec![OTHER; other.entries.len()];
        let ours: Vec<u32> = self.live_groups().collect();
        let mut both = vec![false; self.entries.len()];
        for theirs in other.live_groups() {
            let entry = &other.entries[theirs as usize];
            let print = Print::of(&entry.key);
            let known = self.find(&entry.key, print);
            let group = known.unwrap_or_else(|| self.add(&entry.key, print));
            match known {
                Some(_) => {
                    both[group as usize] = true;
                    self.entries[group as usize].missed += entry.missed;
                }
                None => self.entries[group as usize].missed = entry.missed + self.offset,
            }
            self.weights[group as usize] += other.weights[theirs as usize];
            map[theirs as usize] = group;
        }
        for group in ours.into_iter().filter(|&g| !both[g as usize]) {
            self.entries[group as usize].missed += other.offset;
        }
        self.offset += other.offset;
        self.folded += other.folded;
        map
    }

    /// Goes on with the groups of another table, by the fields of this one: numbers, weights, and what was folded.
    pub(crate) fn adopt(&mut self, old: &Groups) {
        let (fields, max) = (std::mem::take(&mut self.fields), self.max.min(old.max));
        *self = Groups { fields, max, ..old.clone() };
    }

    /// The number of each group of another table here, by its number there. One that is not here becomes known, with nothing
    /// in it.
    pub(crate) fn find_all(&mut self, other: &Groups) -> Vec<u32> {
        let mut map = vec![OTHER; other.entries.len()];
        for theirs in other.live_groups() {
            let entry = &other.entries[theirs as usize];
            let print = Print::of(&entry.key);
            let known = self.find(&entry.key, print);
            map[theirs as usize] = known.unwrap_or_else(|| {
                let group = self.add(&entry.key, print);
                (self.entries[group as usize].missed, self.weights[group as usize]) =
                    (entry.missed, other.weights[theirs as usize]);
                group
            });
        }
        map
    }

    /// The live groups with their keys, in the order of their bytes.
    pub fn sorted(&self) -> Vec<(&[u8], u32)> {
        let mut out: Vec<_> = self.live_groups().map(|g| (&*self.entries[g as usize].key, g)).collect();
        out.sort_unstable();
        out
    }

    /// The values that a group stands for, one per field.
    pub fn values(&self, group: u32, kinds: &[Kind]) -> Vec<Key> {
        let key = &self.entries[group as usize].key;
        if let [kind] = kinds
            && *kind == Kind::String
        {
            return vec![if **key == *NULL_KEY { Key::Null } else { Key::String(text(key)) }];
        }
        let mut rest = &key[..];
        self.fields.iter().map(|_| read_value(&mut rest)).collect()
    }

    /// The most weight of this group that can have been folded into the other group before it was kept.
    pub fn missed(&self, group: u32) -> u64 {
        self.entries[group as usize].missed
    }

    /// How many groups the answer keeps apart.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Lowers the number of groups kept apart; it never rises again.
    pub fn lower_max(&mut self, max: usize) {
        self.max = self.max.min(max);
    }

    /// Groups kept now.
    pub fn live(&self) -> usize {
        self.live
    }

    /// Groups folded into the other group so far (one that came back counts again).
    pub fn folded(&self) -> u64 {
        self.folded
    }

    /// The most that any key outside can weigh; 0 while nothing was folded.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Accounted bytes.
    pub fn memory_bytes(&self) -> usize {
        let keys: usize = self.entries.iter().map(|e| e.key.len()).sum();
        let left = self.leavings.map_or(0, |_| self.entries.len() * size_of::<u64>());
        self.slots.len() * size_of::<Slot>() + self.entries.len() * (size_of::<Entry>() + 8) + keys + left
    }

    fn lone_string<'a>(&self, batch: &'a Batch) -> Option<&'a arrow_array::StringArray> {
        match self.fields[..] {
            [field] => match &batch.columns[field] {
                Column::String(array) => Some(array),
                _ => None,
            },
            _ => None,
        }
    }

    fn live_groups(&self) -> impl Iterator<Item = u32> + '_ {
        (1..self.entries.len() as u32).filter(|&g| self.entries[g as usize].live)
    }

    fn upper(&self, group: u32) -> u64 {
        self.weights[group as usize] + self.entries[group as usize].missed
    }

    /// What merging adds up.
    pub(crate) fn weight(&self) -> u64 {
        let missed = self.entries.iter().map(|entry| entry.missed).max();
        let outside = missed.unwrap_or(0).saturating_add(self.offset).saturating_add(self.folded);
        self.weights.iter().copied().fold(outside, u64::saturating_add)
    }

    /// How many are kept apart while reading.
    pub(crate) fn live_max(&self) -> usize {
        if planted(Bug::MemoryNotLookedAt) {
            return usize::MAX;
        }
        (2 * self.max).max(LIVE_FLOOR)
    }

    #[inline(always)]
    fn find_or_add(&mut self, key: &[u8], print: Print) -> Option<u32> {
        let group = match self.find(key, print) {
            Some(group) => group,
            None if self.live >= self.live_max() => return None,
            None => {
                let group = self.add(key, print);
                self.entries[group as usize].missed = self.offset;
                group
            }
        };
        self.weights[group as usize] += 1;
        Some(group)
    }

    #[inline(always)]
    fn find(&self, key: &[u8], print: Print) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut at = print.spread() & mask;
        loop {
            let slot = &self.slots[at];
            if slot.group == 0 {
                return None;
            }
            let Print { low, high, len } = slot.print;
            // One branch for all three: which of them differs does not matter.
            let differ = (low ^ print.low) | (high ^ print.high) | u64::from(len ^ print.len);
            if differ == 0 && (key.len() <= 16 || *self.entries[slot.group as usize].key == *key) {
                return Some(slot.group);
            }
            at = (at + 1) & mask;
        }
    }

    #[cold]
    fn add(&mut self, key: &[u8], print: Print) -> u32 {
        let entry = Entry { key: key.into(), live: true, missed: 0 };
        let group = match self.free.pop() {
            Some(group) => {
                self.entries[group as usize] = entry;
                group
            }
            None => {
                self.entries.push(entry);
                self.weights.push(0);
                self.entries.len() as u32 - 1
            }
        };
        self.live += 1;
        if self.live * 2 > self.slots.len() {
            self.rebuild();
        } else {
            place(&mut self.slots, Slot { print, group });
        }
        group
    }

    fn rebuild(&mut self) {
        let size = (self.live * 4).next_power_of_two().max(16);
        let mut slots = vec![Slot::default(); size];
        for group in self.live_groups() {
            place(&mut slots, Slot { print: Print::of(&self.entries[group as usize].key), group });
        }
        self.slots = slots;
    }
}

impl Print {
    fn of(key: &[u8]) -> Print {
        if key.len() > 16 {
            return Print::of_long(key);
        }
        let mut padded = [0u8; 16];
        padded[..key.len()].copy_from_slice(key);
        Print { low: word(&padded[..8]), high: word(&padded[8..]), len: key.len() as u32 }
    }

    /// The print of `values[start..start + len]`. Short keys are loaded as two masked words, without a branch on their
    /// length, where the bytes behind them allow it.
    #[inline(always)]
    fn at(values: &[u8], start: usize, len: usize) -> Print {
        match (values.get(start..).and_then(|v| v.first_chunk::<16>()), MASKS.get(len)) {
            (Some(window), Some(&(low, high))) => {
                Print { low: word(&window[..8]) & low, high: word(&window[8..]) & high, len: len as u32 }
            }
            _ => Print::of(&values[start..start + len]),
        }
    }

    #[cold]
    fn of_long(key: &[u8]) -> Print {
        let mut h = K;
        for chunk in key.chunks(8) {
            let mut padded = [0u8; 8];
            padded[..chunk.len()].copy_from_slice(chunk);
            h = (h ^ u64::from_le_bytes(padded)).wrapping_mul(K).rotate_left(29);
        }
        Print { low: h, high: h.wrapping_mul(K), len: key.len() as u32 }
    }

    /// Where the table starts to look. It never leaves the process and no byte of the state depends on it.
    #[inline]
    fn spread(self) -> usize {
        let h = (self.low ^ self.high.rotate_left(23) ^ u64::from(self.len)).wrapping_mul(K);
        (h ^ (h >> 32)) as usize
    }
}

/// What of two words belongs to a key of this many bytes.
static MASKS: [(u64, u64); 17] = {
    let mut masks = [(u64::MAX, u64::MAX); 17];
    let mut len = 0;
    while len < 16 {
        let part = (1u64 << (8 * (len % 8))) - 1;
        masks[len] = if len < 8 { (part, 0) } else { (u64::MAX, part) };
        len += 1;
    }
    masks
};

/// The golden ratio in 64 bits, the usual multiplier.
const K: u64 = 0x9E37_79B9_7F4A_7C15;

#[inline]
fn word(b: &[u8]) -> u64 {
    u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])
}

/// Groups that are kept apart while reading even when the answer wants fewer: with a handful of places the heavy groups
/// would be lost among light ones that come and go.
const LIVE_FLOOR: usize = 256;

/// A lone string that is missing: bytes that no UTF-8 text has.
const NULL_KEY: &[u8] = &[0xFF];

fn place(slots: &mut [Slot], slot: Slot) {
    let mask = slots.len() - 1;
    let mut at = slot.print.spread() & mask;
    while slots[at].group != 0 {
        at = (at + 1) & mask;
    }
    slots[at] = slot;
}

/// One value of a composite key: a tag, then its bytes (strings with their length). The order of tags is frozen.
pub(crate) fn write_value(column: &Column, row: usize, out: &mut Vec<u8>) {
    match column {
        Column::String(a) if a.is_valid(row) => {
            let s = a.value(row);
            out.push(1);
            out.extend_from_slice(&(s.len() as u32).to_be_bytes());
            out.extend_from_slice(s.as_bytes());
        }
        Column::Int64(a) if a.is_valid(row) => {
            out.push(2);
            // Big-endian with the sign flipped, so that the order of bytes is the order of numbers.
            out.extend_from_slice(&((a.value(row) as u64) ^ (1 << 63)).to_be_bytes());
        }
        Column::Float64(a) if a.is_valid(row) => {
            out.push(3);
            out.extend_from_slice(&canonical_bits(a.value(row)).to_be_bytes());
        }
        Column::Bool(a) if a.is_valid(row) => out.extend_from_slice(&[4, u8::from(a.value(row))]),
        _ => out.push(0),
    }
}

pub(crate) fn read_value(rest: &mut &[u8]) -> Key {
    let mut take = |n: usize| {
        let (head, tail) = rest.split_at(n);
        *rest = tail;
        head
    };
    let word = |b: &[u8]| u64::from_be_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
    match take(1)[0] {
        1 => {
            let len = take(4);
            let len = u32::from_be_bytes([len[0], len[1], len[2], len[3]]) as usize;
            Key::String(text(take(len)))
        }
        2 => Key::Int((word(take(8)) ^ (1 << 63)) as i64),
        3 => Key::Float(f64::from_bits(word(take(8)))),
        4 => Key::Bool(take(1)[0] == 1),
        _ => Key::Null,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

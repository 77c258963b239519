//! The table under [`super::Counters`]: entries in order of admission, and an index from tokens to entries.
//!
//! It knows slots and bytes; what an entry is worth and when one must leave is decided above. A hit reads one word of
//! the index and one `(token, count)` pair. A miss appends to rows that are in cache anyway, and a purge moves rows and
//! names towards the front in place, so nothing is allocated once the table has its size.

use crate::hash::Token;

/// Longest name kept, in bytes. Longer ones are cut and marked; the token still tells them apart.
pub const ITEM_BYTES_MAX: usize = 1024;
/// Bytes of one slot without its name: the word of the index, and the row as if every slot had one.
pub(super) const SLOT_BYTES: usize = 8 + size_of::<Hot>() + size_of::<Extra>() + 8;

/// Slots at the start; the index doubles from here, so that a quiet cell stays small.
const SLOTS_AT_FIRST: usize = 16;
/// Odd integer nearest to 2^64 divided by the golden ratio (Knuth, TAOCP 3, section 6.4).
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
/// The half of a token that a word of the index repeats.
const HIGH_HALF: u64 = 0xFFFF_FFFF_0000_0000;

/// What a hit reads.
#[derive(Debug, Clone, Copy)]
struct Hot {
    token: Token,
    count: u64,
}

/// What it does not.
#[derive(Debug, Clone, Copy)]
struct Extra {
    err: u64,
    /// Where the name starts << 16 | cut << 15 | its length.
    name: u64,
}

/// One key of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub token: Token,
    pub count: u64,
    pub err: u64,
    pub item: &'a [u8],
    pub cut: bool,
}

/// Linear probing over a power of two of slots, at most three quarters of them in use.
#[derive(Debug)]
pub(super) struct Table {
    /// High half of the token | row + 1; 0 is an empty slot.
    index: Vec<u64>,
    /// 64 − log2(slots).
    shift: u32,
    hot: Vec<Hot>,
    extras: Vec<Extra>,
    /// Names in the order of the rows.
    names: Vec<u8>,
    /// Upper bounds, then numbers of rows: reused by every purge.
    scratch: Vec<u64>,
}

impl Clone for Table {
    /// With the same room: a copy is accounted for as what it is a copy of.
    fn clone(&self) -> Table {
        fn with_room<T: Copy>(of: &Vec<T>) -> Vec<T> {
            let mut copy = Vec::with_capacity(of.capacity());
            copy.extend_from_slice(of);
            copy
        }
        Table {
            index: with_room(&self.index),
            shift: self.shift,
            hot: with_room(&self.hot),
            extras: with_room(&self.extras),
            names: with_room(&self.names),
            scratch: with_room(&self.scratch),
        }
    }
}

impl Table {
    pub fn new() -> Table {
        Table {
            index: vec![0; SLOTS_AT_FIRST],
            shift: 64 - SLOTS_AT_FIRST.trailing_zeros(),
            hot: Vec::new(),
            extras: Vec::new(),
            names: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Number of rows.
    #[inline]
    pub fn live(&self) -> usize {
        self.hot.len()
    }

    /// Number of slots now.
    pub fn slots(&self) -> usize {
        self.index.len()
    }

    /// True when three quarters of the slots are in use and one more row would be too many.
    pub fn is_crowded(&self) -> bool {
        self.live() > self.slots() / 4 * 3
    }

    /// The row of a token, or the empty slot where it belongs.
    #[inline]
    pub fn find(&self, token: Token) -> Result<usize, usize> {
        // Bits of the token as they are would cost no multiplication, but whoever routes keys to shards by some of
        // them leaves a table whose keys all agree on those; the product's high bits depend on every bit.
        let mask = self.index.len() - 1;
        let mut slot = (token.0.wrapping_mul(GOLDEN) >> self.shift) as usize;
        loop {
            let word = self.index[slot];
            if word == 0 {
                return Err(slot);
            }
            if (word ^ token.0) & HIGH_HALF == 0 {
                let row = word as u32 as usize - 1;
                if self.hot[row].token == token {
                    return Ok(row);
                }
            }
            slot = (slot + 1) & mask;
        }
    }

    /// Adds to the count of a row.
    #[inline]
    pub fn add(&mut self, row: usize, weight: u64) {
        self.hot[row].count += weight;
    }

    /// Adds to the error of a row.
    pub fn add_err(&mut self, row: usize, err: u64) {
        self.extras[row].err += err;
    }

    /// Appends a row to an empty slot, the one [`Table::find`] gave. The caller makes room when it is crowded then.
    #[inline]
    pub fn push(&mut self, slot: usize, entry: Entry<'_>) {
        let kept = &entry.item[..entry.item.len().min(ITEM_BYTES_MAX)];
        let cut = entry.cut || kept.len() < entry.item.len();
        let name = (self.names.len() as u64) << 16 | u64::from(cut) << 15 | kept.len() as u64;
        self.names.extend_from_slice(kept);
        self.hot.push(Hot { token: entry.token, count: entry.count });
        self.extras.push(Extra { err: entry.err, name });
        self.index[slot] = entry.token.0 & HIGH_HALF | self.hot.len() as u64;
    }

    /// Doubles the index until `live` rows fit.
    pub fn reserve(&mut self, live: usize) {
        let mut slots = self.slots();
        while live > slots / 4 * 3 {
            slots *= 2;
        }
        if slots > self.slots() {
            self.resize(slots);
        }
    }

    /// Moves to an index of `slots` slots, which must hold what is there.
    pub fn resize(&mut self, slots: usize) {
        debug_assert!(self.live() <= slots / 4 * 3);
        self.index = vec![0; slots];
        self.shift = 64 - slots.trailing_zeros();
        self.rebuild();
    }

    fn rebuild(&mut self) {
        let mask = self.index.len() - 1;
        for (row, hot) in self.hot.iter().enumerate() {
            let mut slot = (hot.token.0.wrapping_mul(GOLDEN) >> self.shift) as usize;
            while self.index[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            self.index[slot] = hot.token.0 & HIGH_HALF | (row as u64 + 1);
        }
    }

    /// The `n`-th largest upper bound, counted from 0; `guess` is tried first, as that is cheaper than a selection.
    /// O(rows).
    pub fn nth_high(&mut self, n: usize, guess: u64) -> u64 {
        self.scratch.clear();
        self.scratch.extend(self.hot.iter().zip(&self.extras).map(|(hot, extra)| hot.count + extra.err));
        let above = self.scratch.iter().filter(|high| **high > guess).count();
        let reach = self.scratch.iter().filter(|high| **high >= guess).count();
        if above <= n && n < reach {
            guess
        } else {
            *self.scratch.select_nth_unstable_by(n, |a, b| b.cmp(a)).1
        }
    }

    /// Lets every row go whose upper bound is at most `cut` and tells of it. The others keep their order. O(slots).
    pub fn retain_above(&mut self, cut: u64, mut gone: impl FnMut(Token, u64)) {
        // The rows that stay are listed without a branch, for which of them do is as good as random.
        self.scratch.clear();
        self.scratch.resize(self.live(), 0);
        let mut stay = 0;
        for (row, (hot, extra)) in self.hot.iter().zip(&self.extras).enumerate() {
            self.scratch[stay] = row as u64;
            let stays = hot.count + extra.err > cut;
            stay += usize::from(stays);
            if !stays {
                gone(hot.token, hot.count);
            }
        }
        let mut names = 0;
        for to in 0..stay {
            let from = self.scratch[to] as usize;
            let Extra { err, name } = self.extras[from];
            let range = name_range(name);
            let len = range.len();
            self.names.copy_within(range, names);
            self.hot[to] = self.hot[from];
            self.extras[to] = Extra { err, name: (names as u64) << 16 | name & 0xFFFF };
            names += len;
        }
        self.names.truncate(names);
        self.hot.truncate(stay);
        self.extras.truncate(stay);
        self.index.fill(0);
        self.rebuild();
    }

    /// The entry of a row.
    pub fn entry(&self, row: usize) -> Entry<'_> {
        let Hot { token, count } = self.hot[row];
        let Extra { err, name } = self.extras[row];
        Entry { token, count, err, item: &self.names[name_range(name)], cut: name >> 15 & 1 == 1 }
    }

    /// All entries in the order of their admission.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.live()).map(|row| self.entry(row))
    }

    /// The `k` entries with the largest `key`, largest first, ties by the bytes of the item.
    pub fn largest(&self, k: usize, key: impl Fn(&Entry<'_>) -> u64) -> Vec<Entry<'_>> {
        let mut rows: Vec<(u64, usize)> = (0..self.live()).map(|row| (key(&self.entry(row)), row)).collect();
        if k == 0 {
            return Vec::new();
        }
        if k < rows.len() {
            // The cut is found among plain numbers; names are compared only above it.
            let mut keys: Vec<u64> = rows.iter().map(|(key, _)| *key).collect();
            let cut = *keys.select_nth_unstable_by(k - 1, |a, b| b.cmp(a)).1;
            rows.retain(|(key, _)| *key >= cut);
        }
        let order = |a: &(u64, usize), b: &(u64, usize)| {
            b.0.cmp(&a.0).then_with(|| {
                let (a, b) = (self.entry(a.1), self.entry(b.1));
                a.item.cmp(b.item).then(a.token.cmp(&b.token))
            })
        };
        rows.sort_unstable_by(order);
        rows.truncate(k);
        rows.into_iter().map(|(_, row)| self.entry(row)).collect()
    }

    /// Bytes held, as buffers grow: a function of what is there, not of how it came to be, as what gives way to memory must not
    /// depend on whether a state was written and read in between. `slots_in_use`: the slots of a table that has been full.
    pub fn memory_bytes(&self, slots_in_use: Option<usize>) -> usize {
        let names = self.names.len().next_power_of_two();
        if let Some(slots) = slots_in_use {
            return slots * SLOT_BYTES + names;
        }
        let mut slots = SLOTS_AT_FIRST;
        while self.live() > slots / 4 * 3 {
            slots *= 2;
        }
        let rows = self.live().next_power_of_two();
        slots * 8 + rows * (size_of::<Hot>() + size_of::<Extra>()) + names
    }

    /// What must hold between any two calls; for tests.
    pub fn check_invariants(&self) {
        assert!(self.slots().is_power_of_two() && self.slots() >= SLOTS_AT_FIRST);
        assert_eq!(self.shift, 64 - self.slots().trailing_zeros());
        assert_eq!(self.index.iter().filter(|word| **word != 0).count(), self.live());
        assert!(!self.is_crowded(), "{} rows in {} slots", self.live(), self.slots());
        let mut names = 0;
        for row in 0..self.live() {
            assert_eq!(self.find(self.hot[row].token), Ok(row), "a row is out of reach of its probes");
            let name = name_range(self.extras[row].name);
            assert!(name.start == names && name.len() <= ITEM_BYTES_MAX, "names follow the rows");
            names = name.end;
        }
        assert_eq!(names, self.names.len(), "names of the gone are still kept");
    }
}

#[inline]
fn name_range(name: u64) -> std::ops::Range<usize> {
    let start = (name >> 16) as usize;
    start..start + (name & 0x7FFF) as usize
}

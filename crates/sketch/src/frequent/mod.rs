//! The most frequent items of a stream: counters with two-sided bounds, weights allowed, names kept.
//!
//! **Entries.** Every key in the table has a `count`, the weight counted since it was admitted, and an `err`, the most
//! that can have been missed before; so its true weight `f` lies in `[count, count + err]`. One number, `offset`,
//! bounds the weight of every key that is *not* in the table. A new key is admitted with `err = offset`.
//!
//! **Purge.** With `M` slots at most `L = 3M/4` entries live. When one more comes, let `m` be the `(L/2 + 1)`-th
//! largest upper bound `count + err`: all entries with `count + err <= m` leave and `offset = max(offset, m)`. Whoever
//! leaves had `f <= count + err <= m`, so `offset` still bounds it.
//!
//! **Guarantee:** `offset <= N / (L/2 + 1) < 2N/L` for total weight `N`. Proof: let `P` be the sum over the entries of
//! `max(0, count + err - offset)`. We keep
//!
//! ```text
//! P + (L/2 + 1) * offset <= N
//! ```
//!
//! - *Update* by `w`: a hit raises `P` by at most `w`; a new entry adds `max(0, w + err - offset) <= w`, as
//!   `err <= offset`. `N` grows by `w`.
//! - *Purge*: if `m <= offset`, `offset` stays and `P` does not grow. Otherwise the `L/2 + 1` largest upper bounds are
//!   all at least `m`, so each of these terms falls by exactly `m - offset`, whether its entry stays or leaves, while
//!   `offset` rises by `m - offset`. No other term grows.
//! - *Merge*: a key in both adds counts and errs; a key in one only adds the other's `offset` to its `err`; offsets and
//!   totals add. As `max(0, a + b) <= max(0, a) + max(0, b)`, `P` is at most the sum of both, so the inequality holds
//!   for `N` of both together; then the same purge. It needs one pass, because at most `L/2` entries survive it. With
//!   different `M` the smaller one stays, for which both inequalities hold as well.
//!
//! It follows that `count + err <= N`, so nothing overflows while `N` fits 64 bits, and that every key with
//! `f > offset` is in the table. The proof uses `err <= offset` and never equality: [`crate::countmin::Freq`] admits
//! with a smaller `err` where its Count-Min knows better.
//!
//! **Why not subtract.** Misra–Gries (1982) and DataSketches' Frequent Items (Anderson et al. 2017) take `m` off every
//! counter, so all bounds are `offset` wide for ever. Here a key admitted before the first purge that survives has
//! `err = 0`: its count stays exact however long the stream is, and these are the keys that people look at. The price
//! is a second number per entry. [`Counters::to_datasketches_strings`] writes the subtracted form.
//!
//! **Laws.** While `offset == 0` order and merge tree do not matter and snapshots are byte-equal. After a purge both
//! do: the state is equal within its bounds, and byte-equal only for the same operations in the same order.
//!
//! **Left out:** negative weights and forgetting. Keys made to collide cost time (a probe chain is as long as the table
//! at worst), not correctness; against hostile streams use keyed hashing.

mod bytes;
mod image;
mod table;

use crate::estimate::Estimate;
use crate::hash::Token;
use crate::{Health, Incompatible, MergeNote};
pub use table::ITEM_BYTES_MAX;
use table::{Entry, Table};

/// Fewest slots.
pub const SLOTS_MIN: usize = 16;
/// Most slots.
pub const SLOTS_MAX: usize = 1 << 24;

/// Counters for the most frequent keys of a stream.
///
/// ```
/// use sketch::{Token, frequent::Counters};
///
/// let mut pages = Counters::new(64);
/// for page in ["home", "cart", "home", "help", "home", "cart"] {
///     pages.update(Token::of_str(page), 1, page.as_bytes());
/// }
/// let top = pages.top(2);
/// assert_eq!((top[0].item, top[0].estimate.value), (&b"home"[..], 3));
/// assert!(top[1].estimate.is_exact());
/// ```
#[derive(Debug, Clone)]
pub struct Counters {
    table: Table,
    /// Slots that the table may grow to.
    slots: usize,
    total: u64,
    offset: u64,
}

/// One row of [`Counters::top`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counted<'a> {
    /// Bytes of the item, at most [`ITEM_BYTES_MAX`] of them.
    pub item: &'a [u8],
    /// True when the item was longer and only its head is kept.
    pub cut: bool,
    /// Hash of the whole item.
    pub token: Token,
    /// Its weight with bounds.
    pub estimate: Estimate<u64>,
}

/// Where the counts of keys go that leave the table, and what is known about keys that are not in it.
pub(crate) trait Residue {
    /// Upper bound of what was kept for a key.
    fn at_most(&self, token: Token) -> u64;
    /// Takes what had been counted for a key that leaves.
    fn keep(&mut self, token: Token, count: u64);
}

/// Forgets what leaves.
struct Nowhere;

impl Residue for Nowhere {
    fn at_most(&self, _: Token) -> u64 {
        u64::MAX
    }

    fn keep(&mut self, _: Token, _: u64) {}
}

impl Counters {
    /// Empty counters that grow to `slots` slots, of which three quarters are used: up to 48 bytes a slot, scratch space
    /// included, and up to twice the bytes of the names.
    ///
    /// # Panics
    /// When `slots` is no power of two in [`SLOTS_MIN`]`..=`[`SLOTS_MAX`]: specs are validated before.
    pub fn new(slots: usize) -> Counters {
        assert!(
            Counters::is_valid(slots),
            "{slots} slots: a power of two in {SLOTS_MIN}..={SLOTS_MAX} is needed"
        );
        Counters { table: Table::new(), slots, total: 0, offset: 0 }
    }

    /// The fewest slots whose counts are known to within `epsilon` of the total weight, for certain: 1/(L/2 + 1) ≤ ε. `None`
    /// when there are not so many.
    pub fn slots_for(epsilon: f64) -> Option<usize> {
        let wide = |slots: &usize| 1.0 / (Counters::new(*slots).live_max() as f64 / 2.0 + 1.0) <= epsilon;
        std::iter::successors(Some(SLOTS_MIN), |slots| slots.checked_mul(2))
            .take_while(|&slots| slots <= SLOTS_MAX)
            .find(wide)
    }

    /// True for numbers of slots that [`Counters::new`] accepts.
    pub fn is_valid(slots: usize) -> bool {
        slots.is_power_of_two() && (SLOTS_MIN..=SLOTS_MAX).contains(&slots)
    }

    /// Counts `weight` for an item. Expected O(1), a purge of O(slots) every L/2 new keys or more; allocates nothing
    /// once the table has its size. The total stops at `u64::MAX`: weight beyond is not counted.
    #[inline]
    pub fn update(&mut self, token: Token, weight: u64, item: &[u8]) {
        self.update_with(token, weight, item, &mut Nowhere);
    }

    #[inline]
    pub(crate) fn update_with<R: Residue>(
        &mut self,
        token: Token,
        weight: u64,
        item: &[u8],
        residue: &mut R,
    ) {
        let weight = weight.min(u64::MAX - self.total);
        self.total += weight;
        match self.table.find(token) {
            Ok(row) => self.table.add(row, weight),
            Err(slot) => self.admit(slot, Entry { token, count: weight, err: 0, item, cut: false }, residue),
        }
    }

    #[inline(never)]
    fn admit<R: Residue>(&mut self, slot: usize, mut entry: Entry<'_>, residue: &mut R) {
        if entry.count == 0 {
            return;
        }
        if self.offset > 0 {
            entry.err = self.offset.min(residue.at_most(entry.token));
        }
        self.table.push(slot, entry);
        if self.table.is_crowded() {
            if self.table.slots() < self.slots {
                self.table.resize(self.table.slots() * 2);
            } else {
                self.purge(residue);
            }
        }
    }

    fn purge<R: Residue>(&mut self, residue: &mut R) {
        let cut = self.table.nth_high(self.live_max() / 2, self.offset + 1);
        self.table.retain_above(cut, |token, count| residue.keep(token, count));
        self.offset = self.offset.max(cut);
    }

    /// Adds what another table counted. The result keeps the smaller number of slots and the guarantee for the total
    /// of both. O(slots of both).
    ///
    /// # Errors
    /// When the two totals together exceed 64 bits; nothing is changed then.
    pub fn merge(&mut self, other: &Counters) -> Result<MergeNote, Incompatible> {
        let note = self.absorb(other, |_| u64::MAX, |_| u64::MAX)?;
        self.make_room(&mut Nowhere);
        Ok(note)
    }

    /// First half of a merge: all entries of both, possibly more than may live. `ours` and `theirs` bound what either
    /// side kept of a key outside its table.
    pub(crate) fn absorb(
        &mut self,
        other: &Counters,
        ours: impl Fn(Token) -> u64,
        theirs: impl Fn(Token) -> u64,
    ) -> Result<MergeNote, Incompatible> {
        let note = lower_precision(self.slots.trailing_zeros() as u8, other.slots.trailing_zeros() as u8);
        let overflow = Incompatible { what: "total weight", ours: self.total, theirs: other.total };
        self.total = self.total.checked_add(other.total).ok_or(overflow)?;
        self.slots = self.slots.min(other.slots);
        if other.offset > 0 {
            for row in 0..self.table.live() {
                let token = self.table.entry(row).token;
                if other.table.find(token).is_err() {
                    self.table.add_err(row, other.offset.min(theirs(token)));
                }
            }
        }
        let new = other.table.entries().filter(|entry| self.table.find(entry.token).is_err()).count();
        self.table.reserve(self.table.live() + new);
        for entry in other.table.entries() {
            match self.table.find(entry.token) {
                Ok(row) => {
                    self.table.add(row, entry.count);
                    self.table.add_err(row, entry.err);
                }
                Err(slot) => {
                    let missed = if self.offset == 0 { 0 } else { self.offset.min(ours(entry.token)) };
                    self.table.push(slot, Entry { err: entry.err + missed, ..entry });
                }
            }
        }
        self.offset += other.offset;
        Ok(note)
    }

    /// Second half of a merge: purges when too many live and gives the room back.
    pub(crate) fn make_room<R: Residue>(&mut self, residue: &mut R) {
        if self.table.live() > self.live_max() {
            self.purge(residue);
        }
        if self.table.slots() > self.slots {
            self.table.resize(self.slots);
        }
        debug_assert!(self.table.live() <= self.live_max());
    }

    /// The `k` items with the largest counts, largest first, ties by bytes. `value` and `low` are what was counted for
    /// certain, `high` adds what can have been missed; exact when nothing can. O(slots + k log k).
    pub fn top(&self, k: usize) -> Vec<Counted<'_>> {
        self.table
            .largest(k, |entry| entry.count)
            .into_iter()
            .map(|entry| entry.counted(bounds(&entry)))
            .collect()
    }

    /// The weight of one key. A key that is not in the table weighs at most [`Counters::offset`].
    pub fn get(&self, token: Token) -> Estimate<u64> {
        match self.table.find(token) {
            Ok(row) => bounds(&self.table.entry(row)),
            Err(_) if self.offset == 0 => Estimate::exact(0),
            Err(_) => Estimate::proven(0, 0, self.offset),
        }
    }

    /// Total weight N of the stream.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Upper bound of the weight of every key that is not in the table; below 2N/L.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Number of keys in the table.
    pub fn len(&self) -> usize {
        self.table.live()
    }

    /// True when nothing was counted. That no entry is left says less: a purge may take all of them.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Number of slots M that the table may grow to.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// L, the number of keys that the table can hold: three quarters of the slots.
    pub fn live_max(&self) -> usize {
        self.slots / 4 * 3
    }

    /// True while no key ever left: every count is exact and every key is there.
    pub fn is_exact(&self) -> bool {
        self.offset == 0
    }

    /// What stands behind the answers: `counters/1024`.
    pub fn sketch_name(&self) -> String {
        format!("counters/{}", self.slots)
    }

    /// Entries of the most that live; the error is the part of the total weight that an item may have without being here.
    pub fn health(&self) -> Health {
        let fill = self.len() as f64 / self.live_max() as f64;
        if self.is_exact() {
            Health::exact(fill)
        } else {
            Health::with_error(fill, self.offset as f64 / self.total as f64)
        }
    }

    /// Bytes held; the same after a snapshot was read.
    pub fn memory_bytes(&self) -> usize {
        // A table that has once been full keeps its room.
        size_of::<Counters>() + self.table.memory_bytes((!self.is_exact()).then_some(self.slots))
    }

    pub(crate) fn entry_of(&self, token: Token) -> Option<Entry<'_>> {
        self.table.find(token).ok().map(|row| self.table.entry(row))
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.table.entries()
    }

    pub(crate) fn largest_highs(&self, k: usize) -> Vec<Entry<'_>> {
        self.table.largest(k, |entry| entry.count + entry.err)
    }

    /// The guarantee and all it rests on, on both sides of the bytes.
    fn is_sound(&self) -> bool {
        let (mut counted, mut above) = (0u128, 0u128);
        for entry in self.table.entries() {
            if entry.count == 0 || entry.err > self.offset {
                return false;
            }
            counted += u128::from(entry.count);
            above +=
                (u128::from(entry.count) + u128::from(entry.err)).saturating_sub(u128::from(self.offset));
        }
        let total = u128::from(self.total);
        let proven = above + (self.live_max() as u128 / 2 + 1) * u128::from(self.offset) <= total;
        // Without a purge nothing is missing; with one, something left.
        proven && if self.offset == 0 { counted == total } else { counted < total }
    }

    /// Asserts what must hold between any two calls, the inequality of the proof included; for tests. O(slots).
    pub fn check_invariants(&self) {
        self.table.check_invariants();
        assert!(Counters::is_valid(self.slots) && self.table.slots() <= self.slots);
        assert!(self.is_sound(), "offset {} for total {} in {} slots", self.offset, self.total, self.slots);
    }
}

impl<'a> Entry<'a> {
    pub(crate) fn counted(&self, estimate: Estimate<u64>) -> Counted<'a> {
        Counted { item: self.item, cut: self.cut, token: self.token, estimate }
    }
}

fn bounds(entry: &Entry<'_>) -> Estimate<u64> {
    if entry.err == 0 {
        Estimate::exact(entry.count)
    } else {
        Estimate::proven(entry.count, entry.count, entry.count + entry.err)
    }
}

/// What merging two precisions costs: the coarser one stays.
pub(crate) fn lower_precision(ours: u8, theirs: u8) -> MergeNote {
    if ours == theirs {
        MergeNote::Exact
    } else {
        MergeNote::Folded { from: ours.max(theirs), to: ours.min(theirs) }
    }
}

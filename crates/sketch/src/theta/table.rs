//! Hashes without repetition: open addressing with linear probing, at most three quarters full.
//!
//! A hash belongs at the slot that its share of θ says, so the slots ascend but for what collisions displaced: whoever
//! wants the hashes below a limit reads the first slots only ([`Table::below`]). Unions of many sketches live from that, as
//! of each only a small part is below the θ of all. Hashes below θ are uniform, so the shares are as good as other bits.

/// Slots of the smallest table that holds anything.
const SLOTS_MIN: usize = 16;

/// Distinct 63-bit hashes; 0 marks an empty slot.
#[derive(Clone)]
pub(super) struct Table {
    /// Empty, or a power of two from [`SLOTS_MIN`] on.
    slots: Box<[u64]>,
    len: usize,
    /// The θ over which the slots are spread.
    span: u64,
    /// Slots over θ, in 2^-64.
    scale: u64,
}

impl Table {
    /// An empty table for hashes below θ. Allocates nothing.
    pub fn new(span: u64) -> Table {
        Table { slots: Box::default(), len: 0, span, scale: 0 }
    }

    fn with_slots(slots: usize, span: u64) -> Table {
        let scale = ((slots as u128) << 64) / u128::from(span.max(1));
        // Of a θ below the number of slots, which only hostile bytes have, the slots of large hashes are one.
        let scale = scale.try_into().unwrap_or(u64::MAX);
        Table { slots: vec![0; slots].into_boxed_slice(), len: 0, span, scale }
    }

    /// A table of these distinct hashes below θ, none of them 0.
    pub fn of(hashes: &[u64], span: u64) -> Table {
        let mut table = Table::with_slots(slots_for(hashes.len()), span);
        hashes.iter().for_each(|&hash| _ = table.insert(hash));
        table
    }

    /// The same of hashes that ascend, in linear time whatever they are: bytes may be made to collide.
    pub fn of_ascending(hashes: impl ExactSizeIterator<Item = u64>, span: u64) -> Table {
        let len = hashes.len();
        let mut table = Table::with_slots(slots_for(len), span);
        table.len = len;
        // Behind the last one; past the end in the first free slot, where a probe that starts anew at 0 arrives.
        let (mut next, mut free) = (0, 0);
        for hash in hashes {
            let mut at = table.home(hash).max(next);
            if at < table.slots.len() {
                next = at + 1;
            } else {
                while table.slots[free] != 0 {
                    free += 1;
                }
                at = free;
            }
            table.slots[at] = hash;
        }
        table
    }

    /// True when the hash is new. It is not 0. Amortised O(1).
    pub fn insert(&mut self, hash: u64) -> bool {
        let Err(mut free) = self.find(hash) else { return false };
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.grow((self.slots.len() * 2).max(SLOTS_MIN));
            free = self.find(hash).unwrap_or_else(|slot| slot);
        }
        self.slots[free] = hash;
        self.len += 1;
        true
    }

    /// Makes room for `len` hashes in all. Whoever inserts ascending hashes asks for it, as they would crowd the first slots
    /// of a small table.
    pub fn reserve(&mut self, len: usize) {
        let slots = slots_for(len);
        if slots > self.slots.len() {
            self.grow(slots);
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn contains(&self, hash: u64) -> bool {
        self.find(hash).is_ok()
    }

    /// All hashes, ascending but for what collisions displaced.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.slots.iter().copied().filter(|&slot| slot != 0)
    }

    /// The hashes below a limit, in the order of [`Table::iter`]. Reads the slots up to that of the limit and the run of
    /// full ones behind it: whatever belongs further left and was displaced lies there, or wrapped around to the start.
    pub fn below(&self, limit: u64) -> impl Iterator<Item = u64> + '_ {
        let at = self.home(limit).min(self.slots.len());
        let run = self.slots[at..].iter().take_while(|&&slot| slot != 0).count();
        self.slots[..at + run].iter().copied().filter(move |&slot| slot != 0 && slot < limit)
    }

    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }

    pub fn check_invariants(&self) {
        assert!(self.len * 4 <= self.slots.len() * 3, "a quarter of the slots stays free");
        assert_eq!(self.iter().count(), self.len, "every hash is counted");
        assert!(self.iter().all(|hash| self.contains(hash)), "a hash is where it is looked for");
    }

    /// Where a hash belongs: monotone, which [`Table::below`] rests on. 0 while there is no table.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        let at = (u128::from(hash) * u128::from(self.scale)) >> 64;
        (at as usize).min(self.slots.len().saturating_sub(1))
    }

    /// The slot of the hash, or else the free slot where it belongs (0 while there is no table).
    fn find(&self, hash: u64) -> Result<usize, usize> {
        let Some(mask) = self.slots.len().checked_sub(1) else { return Err(0) };
        let mut at = self.home(hash);
        loop {
            match self.slots[at] {
                0 => return Err(at),
                slot if slot == hash => return Ok(at),
                _ => at = (at + 1) & mask,
            }
        }
    }

    fn grow(&mut self, slots: usize) {
        let mut larger = Table::with_slots(slots, self.span);
        self.iter().for_each(|hash| _ = larger.insert(hash));
        *self = larger;
    }
}

/// Slots of a table that holds so many hashes.
pub(super) fn slots_for(len: usize) -> usize {
    if len == 0 { 0 } else { (len * 4).div_ceil(3).next_power_of_two().max(SLOTS_MIN) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: u64 = 1 << 62;

    /// Hashes that are spread, that crowd the first slot, and that wrap around the end.
    fn kinds(n: u64) -> [Vec<u64>; 4] {
        let spread = (1..=n).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 2);
        let mut spread: Vec<u64> = spread.filter(|&hash| hash < SPAN && hash > 0).collect();
        spread.sort_unstable();
        let (first, last) = ((1..=n).collect::<Vec<_>>(), (SPAN - n..SPAN).collect::<Vec<_>>());
        let both = first.iter().chain(&last).copied().collect();
        [spread, first, last, both]
    }

    #[test]
    fn what_is_below_a_limit_is_found_wherever_it_was_displaced_to() {
        for hashes in kinds(200) {
            let backwards: Vec<u64> = hashes.iter().rev().copied().collect();
            let tables = [
                Table::of(&hashes, SPAN),
                Table::of(&backwards, SPAN),
                Table::of_ascending(hashes.iter().copied(), SPAN),
                hashes.iter().fold(Table::new(SPAN), |mut table, &hash| {
                    table.insert(hash);
                    table
                }),
            ];
            for table in tables {
                table.check_invariants();
                for limit in hashes.iter().flat_map(|&hash| [hash, hash + 1]).chain([0, SPAN]) {
                    let mut below: Vec<u64> = table.below(limit).collect();
                    below.sort_unstable();
                    assert_eq!(
                        below,
                        hashes.iter().copied().filter(|&hash| hash < limit).collect::<Vec<_>>()
                    );
                }
            }
        }
    }

    #[test]
    fn a_tiny_theta_is_no_trouble() {
        let table = Table::of_ascending([1, 2, 3, 4, 5, 6].into_iter(), 7);
        table.check_invariants();
        assert_eq!(table.below(4).count(), 3);
        assert_eq!(Table::new(7).below(4).count(), 0);
        assert_eq!(Table::of(&[], 7).iter().count(), 0);
    }
}

//! Hashes without order or repetition: open addressing with linear probing, at most three quarters full.

/// Slots of the smallest table that holds anything.
const SLOTS_MIN: usize = 16;

/// Distinct 63-bit hashes; 0 marks an empty slot.
#[derive(Clone, Default)]
pub(super) struct Table {
    /// Empty, or a power of two from [`SLOTS_MIN`] on.
    slots: Box<[u64]>,
    len: usize,
}

impl Table {
    /// A table of these distinct hashes, none of them 0.
    pub fn of(hashes: &[u64]) -> Table {
        let mut table = Table { slots: vec![0; slots_for(hashes.len())].into_boxed_slice(), len: 0 };
        hashes.iter().for_each(|&hash| _ = table.insert(hash));
        table
    }

    /// True when the hash is new. It is not 0. Amortised O(1).
    pub fn insert(&mut self, hash: u64) -> bool {
        let Err(mut free) = self.find(hash) else { return false };
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.grow();
            free = self.find(hash).unwrap_or_else(|slot| slot);
        }
        self.slots[free] = hash;
        self.len += 1;
        true
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn contains(&self, hash: u64) -> bool {
        self.find(hash).is_ok()
    }

    /// All hashes, in an order that does not follow their low bits: filling one linear-probing table in the slot order of
    /// another piles everything up at one end.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let mask = self.slots.len().wrapping_sub(1);
        // Odd, hence a permutation of the slots; near the golden section, hence well spread.
        let stride = (self.slots.len() * 5 / 8) | 1;
        (0..self.slots.len())
            .map(move |i| self.slots[i.wrapping_mul(stride) & mask])
            .filter(|&slot| slot != 0)
    }

    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }

    pub fn check_invariants(&self) {
        assert!(self.len * 4 <= self.slots.len() * 3, "a quarter of the slots stays free");
        assert_eq!(self.iter().count(), self.len, "every hash is counted");
        assert!(self.iter().all(|hash| self.contains(hash)), "a hash is where it is looked for");
    }

    /// The slot of the hash, or else the free slot where it belongs (0 while there is no table). By the low bits: those
    /// stay uniform when only small hashes are kept.
    fn find(&self, hash: u64) -> Result<usize, usize> {
        let Some(mask) = self.slots.len().checked_sub(1) else { return Err(0) };
        let mut at = hash as usize & mask;
        loop {
            match self.slots[at] {
                0 => return Err(at),
                slot if slot == hash => return Ok(at),
                _ => at = (at + 1) & mask,
            }
        }
    }

    fn grow(&mut self) {
        let mut larger =
            Table { slots: vec![0; (self.slots.len() * 2).max(SLOTS_MIN)].into_boxed_slice(), len: 0 };
        self.iter().for_each(|hash| _ = larger.insert(hash));
        *self = larger;
    }
}

fn slots_for(len: usize) -> usize {
    if len == 0 { 0 } else { (len * 4).div_ceil(3).next_power_of_two().max(SLOTS_MIN) }
}

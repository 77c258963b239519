//! The exact state of a ring: each token and the planes of the buckets it came in. Open addressing, linear probing.

use crate::Token;

/// Slots of the smallest table that holds anything.
const SLOTS_MIN: usize = 16;

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    token: u64,
    /// One bit per plane; 0 marks a free slot.
    planes: u64,
}

/// Bytes of a slot.
pub(super) const SLOT_BYTES: usize = size_of::<Slot>();

/// Tokens and their planes. The table is as large as the number of tokens says.
#[derive(Clone, Default)]
pub(super) struct Map {
    slots: Box<[Slot]>,
    len: usize,
}

impl Map {
    pub fn with_room_for(len: usize) -> Map {
        Map { slots: vec![Slot::default(); slots_for(len)].into(), len: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// The planes of a token; 0 when it is not there.
    #[inline]
    pub fn get(&self, token: Token) -> u64 {
        if self.slots.is_empty() { 0 } else { self.slots[self.find(token.0)].planes }
    }

    /// Adds planes, at least one, to those of a token and returns what they were before.
    #[inline]
    pub fn add(&mut self, token: Token, planes: u64) -> u64 {
        if !self.slots.is_empty() {
            let slot = self.find(token.0);
            let before = self.slots[slot].planes;
            if before != 0 {
                self.slots[slot].planes |= planes;
                return before;
            }
        }
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.rebuild(self.len + 1, u64::MAX);
        }
        self.put(token.0, planes);
        0
    }

    /// Keeps only these planes, and the tokens that have one of them. O(slots).
    pub fn retain(&mut self, planes: u64) {
        let left = self.iter().filter(|(_, held)| held & planes != 0).count();
        self.rebuild(left, planes);
    }

    fn rebuild(&mut self, room: usize, planes: u64) {
        let mut map = Map::with_room_for(room);
        for (token, held) in self.iter() {
            if held & planes != 0 {
                map.put(token.0, held & planes);
            }
        }
        *self = map;
    }

    /// A token that is not there yet, into a table with room.
    fn put(&mut self, token: u64, planes: u64) {
        let slot = self.find(token);
        self.slots[slot] = Slot { token, planes };
        self.len += 1;
    }

    /// All tokens and their planes, in an order that does not follow their hash: filling one linear-probing table in the
    /// slot order of another piles everything up at one end.
    pub fn iter(&self) -> impl Iterator<Item = (Token, u64)> + '_ {
        let mask = self.slots.len().wrapping_sub(1);
        let stride = (self.slots.len() * 5 / 8) | 1;
        (0..self.slots.len())
            .map(move |i| self.slots[i.wrapping_mul(stride) & mask])
            .filter(|slot| slot.planes != 0)
            .map(|slot| (Token(slot.token), slot.planes))
    }

    /// All tokens and their planes, ascending.
    pub fn sorted(&self) -> Vec<(Token, u64)> {
        let mut all: Vec<(Token, u64)> = self.iter().collect();
        all.sort_unstable();
        all
    }

    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }

    pub fn check_invariants(&self, live: u64) {
        assert_eq!(
            self.slots.len(),
            slots_for(self.len),
            "the table is as large as the number of tokens says"
        );
        assert_eq!(self.iter().count(), self.len, "every token is counted");
        for (token, planes) in self.iter() {
            assert_eq!(self.get(token), planes, "a token is where it is looked for");
            assert_eq!(planes & !live, 0, "planes are live");
        }
    }

    /// The slot of the token, or else the free slot where it belongs. There is a table.
    #[inline]
    fn find(&self, token: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = (token >> 32) as usize & mask;
        while self.slots[at].planes != 0 && self.slots[at].token != token {
            at = (at + 1) & mask;
        }
        at
    }
}

/// Slots of a table of `len` tokens: a quarter stays free.
fn slots_for(len: usize) -> usize {
    if len == 0 { 0 } else { (len * 4).div_ceil(3).next_power_of_two().max(SLOTS_MIN) }
}

//! The exact small mode: a set of full 64-bit tokens, open addressing with linear probing.
//!
//! Its capacity is a function of the number of tokens alone, so equal sets cost equal bytes however they came
//! about.

use crate::codec::Reader;
use crate::{DecodeError, Token};

/// Slots of the smallest table that holds anything.
const SLOTS_MIN: usize = 16;

/// Distinct tokens. A token is never 0 (its rank is at least 1), so 0 marks an empty slot.
#[derive(Clone, Default)]
pub(crate) struct TokenSet {
    /// Empty, or a power of two from [`SLOTS_MIN`] on, at most three quarters full.
    slots: Box<[u64]>,
    len: usize,
}

impl TokenSet {
    /// A set with room for `len` tokens, exactly as large as if they had come one by one.
    pub fn with_room_for(len: usize) -> Self {
        TokenSet { slots: vec![0; slots_for(len)].into_boxed_slice(), len: 0 }
    }

    /// True when the token is new. Amortised O(1).
    #[inline]
    pub fn insert(&mut self, token: Token) -> bool {
        if token.rank() == 0 {
            // No hash gives rank 0; registers ignore such a token too.
            return false;
        }
        let Err(mut free) = self.find(token) else { return false };
        // That is slots < slots_for(len + 1), without looking for the power of two.
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.grow();
            free = self.find(token).unwrap_or_else(|slot| slot);
        }
        self.slots[free] = token.0;
        self.len += 1;
        true
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn contains(&self, token: Token) -> bool {
        self.find(token).is_ok()
    }

    /// All tokens, in an order that does not follow their hash: filling one linear-probing table in the slot
    /// order of another piles everything up at one end.
    pub fn iter(&self) -> impl Iterator<Item = Token> + '_ {
        let mask = self.slots.len().wrapping_sub(1);
        // Odd, hence a permutation of the slots; near the golden section, hence well spread.
        let stride = (self.slots.len() * 5 / 8) | 1;
        (0..self.slots.len())
            .map(move |i| self.slots[i.wrapping_mul(stride) & mask])
            .filter(|&slot| slot != 0)
            .map(Token)
    }

    /// All tokens, ascending.
    pub fn sorted(&self) -> Vec<Token> {
        let mut tokens: Vec<Token> = self.iter().collect();
        tokens.sort_unstable();
        tokens
    }

    /// Appends the number of tokens (u32) and the tokens, ascending.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.len as u32).to_le_bytes());
        out.extend(self.sorted().iter().flat_map(|token| token.0.to_le_bytes()));
    }

    /// Reads what [`TokenSet::write`] wrote, at most `len_max` tokens.
    pub fn read(r: &mut Reader<'_>, len_max: usize) -> Result<Self, DecodeError> {
        let count = r.count("distinct tokens", len_max, 8)?;
        let mut set = TokenSet::with_room_for(count);
        let mut before = 0;
        for _ in 0..count {
            let token = Token(r.u64()?);
            if token.0 <= before {
                return Err(DecodeError::Invalid("tokens do not ascend"));
            }
            if token.rank() == 0 {
                return Err(DecodeError::Invalid("a token without rank"));
            }
            before = token.0;
            set.insert(token);
        }
        Ok(set)
    }

    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }

    pub fn check_invariants(&self) {
        assert_eq!(
            self.slots.len(),
            slots_for(self.len),
            "the table is as large as the number of tokens says"
        );
        assert_eq!(self.iter().count(), self.len, "every token is counted");
        for token in self.iter() {
            assert!(token.rank() > 0, "a token has a rank");
            assert!(self.contains(token), "a token is where it is looked for");
        }
        assert!(self.sorted().is_sorted_by(|a, b| a < b), "no token is there twice");
    }

    /// The slot of the token, or else the free slot where it belongs (0 while there is no table).
    fn find(&self, token: Token) -> Result<usize, usize> {
        let Some(mask) = self.slots.len().checked_sub(1) else { return Err(0) };
        // The upper half is uniform as it is; bits 26 to 31 are the rank and far from it.
        let mut at = (token.0 >> 32) as usize & mask;
        loop {
            match self.slots[at] {
                0 => return Err(at),
                slot if slot == token.0 => return Ok(at),
                _ => at = (at + 1) & mask,
            }
        }
    }

    fn grow(&mut self) {
        let mut larger = TokenSet::with_room_for(self.len + 1);
        for token in self.iter() {
            if let Err(free) = larger.find(token) {
                larger.slots[free] = token.0;
            }
        }
        larger.len = self.len;
        *self = larger;
    }
}

/// Slots of a table of `len` tokens: a quarter stays free.
fn slots_for(len: usize) -> usize {
    if len == 0 { 0 } else { (len * 4).div_ceil(3).next_power_of_two().max(SLOTS_MIN) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_doubles_at_three_quarters() {
        for (len, slots) in
            [(0, 0), (1, 16), (12, 16), (13, 32), (24, 32), (25, 64), (1_536, 2_048), (1_537, 4_096)]
        {
            assert_eq!(slots_for(len), slots, "{len} tokens");
        }
    }

    #[test]
    fn every_token_is_found_and_counted_once() {
        let mut set = TokenSet::default();
        for n in 0..500 {
            assert!(set.insert(Token::of_i64(n)));
            assert!(!set.insert(Token::of_i64(n / 2)));
            assert!(!set.contains(Token::of_i64(n + 1)));
            set.check_invariants();
        }
        assert_eq!(set.len(), 500);
    }

    #[test]
    fn a_token_without_rank_is_no_token() {
        let mut set = TokenSet::default();
        assert!(!set.insert(Token(0)));
        assert!(!set.insert(Token(0xFFFF_FFFF_03FF_FFFF)));
        assert_eq!(set.len(), 0);
        set.check_invariants();
    }
}

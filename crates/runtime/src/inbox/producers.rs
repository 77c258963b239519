//! Who has sent what: the memory that makes a body that comes twice count once.
//!
//! Of each producer the highest sequence is known, and which of the [`WINDOW`] before it have come, so that bodies of one
//! producer may overtake one another a little (the anti-replay window of RFC 4303, section 3.4.3). What is further behind is
//! taken for a repeat. A pure function of the stamps that were noted, in their order: reading the log again gives the same table.

use engine::inbox::Stamp;
use sketch::codec::write_varint;
use sketch::{DecodeError, Reader};
use std::collections::{BTreeMap, HashMap};

/// Sequences behind the highest one that are told apart.
pub const WINDOW: u64 = 64;

/// The producers that are known, in bounded number.
#[derive(Debug, Clone)]
pub(super) struct Producers {
    max: usize,
    horizon_ms: u64,
    known: HashMap<String, Known>,
    /// Names by when they were last noted.
    order: BTreeMap<u64, String>,
    next_turn: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    seen: Seen,
    noted_ms: u64,
    turn: u64,
}

/// The sequences of one producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    last: u64,
    /// Bit i: whether sequence `last - i` has come.
    window: u64,
}

impl Seen {
    fn first(sequence: u64) -> Seen {
        Seen { last: sequence, window: 1 }
    }

    fn has(&self, sequence: u64) -> bool {
        match self.last.checked_sub(sequence) {
            Some(back) => back >= WINDOW || self.window & 1 << back != 0,
            None => false,
        }
    }

    fn with(self, sequence: u64) -> Seen {
        match sequence.checked_sub(self.last) {
            Some(ahead) => {
                let before = u32::try_from(ahead).ok().and_then(|ahead| self.window.checked_shl(ahead));
                Seen { last: sequence, window: before.unwrap_or(0) | 1 }
            }
            // Further behind than the window is never noted.
            None => Seen { window: self.window | 1 << (self.last - sequence).min(WINDOW - 1), ..self },
        }
    }
}

impl Producers {
    /// Knows at most `max` producers, each for `horizon_ms` after its last body.
    pub fn new(max: usize, horizon_ms: u64) -> Producers {
        Producers { max, horizon_ms, known: HashMap::new(), order: BTreeMap::new(), next_turn: 0 }
    }

    /// The same producers under other bounds.
    pub fn bounded(mut self, max: usize, horizon_ms: u64) -> Producers {
        (self.max, self.horizon_ms) = (max, horizon_ms);
        self.shrink();
        self
    }

    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// What is known of a producer at this time.
    pub fn seen(&self, producer: &str, now_ms: u64) -> Option<Seen> {
        let known = self.known.get(producer)?;
        (now_ms.saturating_sub(known.noted_ms) <= self.horizon_ms).then_some(known.seen)
    }

    /// Notes a body that was taken in. The least recently noted producers leave.
    pub fn note(&mut self, stamp: &Stamp, now_ms: u64) {
        let seen = after(self.seen(stamp.producer(), now_ms), stamp.sequence());
        self.put(stamp.producer(), seen, now_ms);
        self.forget(now_ms);
        self.shrink();
    }

    fn put(&mut self, producer: &str, seen: Seen, noted_ms: u64) {
        let turn = self.next_turn;
        self.next_turn += 1;
        let known = Known { seen, noted_ms, turn };
        if let Some(before) = self.known.insert(producer.to_string(), known) {
            self.order.remove(&before.turn);
        }
        self.order.insert(turn, producer.to_string());
    }

    /// Lets those go that have been silent for longer than the horizon, as far as they are the first in turn.
    fn forget(&mut self, now_ms: u64) {
        while let Some(entry) = self.order.first_entry() {
            let silent_ms =
                self.known.get(entry.get()).map_or(0, |known| now_ms.saturating_sub(known.noted_ms));
            if silent_ms <= self.horizon_ms {
                return;
            }
            self.known.remove(&entry.remove());
        }
    }

    fn shrink(&mut self) {
        while self.known.len() > self.max {
            let Some((_, producer)) = self.order.pop_first() else { return };
            self.known.remove(&producer);
        }
    }

    /// Least recently noted first.
    pub fn write(&self, out: &mut Vec<u8>) {
        for producer in self.order.values() {
            let known = &self.known[producer];
            write_varint(producer.len() as u64, out);
            out.extend_from_slice(producer.as_bytes());
            out.extend_from_slice(&known.seen.last.to_le_bytes());
            out.extend_from_slice(&known.seen.window.to_le_bytes());
            write_varint(known.noted_ms, out);
        }
    }

    /// Reads what [`Producers::write`] wrote. Bounds are set by [`Producers::bounded`].
    pub fn read(r: &mut Reader<'_>, count: u64, max: usize) -> Result<Producers, DecodeError> {
        let mut producers = Producers::new(max, u64::MAX);
        for _ in 0..count {
            let length = usize::try_from(r.varint()?).map_err(|_| DecodeError::Truncated)?;
            let name = std::str::from_utf8(r.bytes(length)?);
            let name = name.map_err(|_| DecodeError::Invalid("a producer whose name is no UTF-8"))?;
            let seen = Seen { last: r.u64()?, window: r.u64()? };
            producers.put(name, seen, r.varint()?);
            producers.shrink();
        }
        Ok(producers)
    }
}

/// Whether a sequence has come.
pub(super) fn repeats(seen: Option<Seen>, sequence: u64) -> bool {
    seen.is_some_and(|seen| seen.has(sequence))
}

/// What is known once a sequence has come.
pub(super) fn after(seen: Option<Seen>, sequence: u64) -> Seen {
    seen.map_or(Seen::first(sequence), |seen| seen.with(sequence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn stamp(producer: &str, sequence: u64) -> Stamp {
        Stamp::new(producer, sequence).unwrap()
    }

    /// Whether each of these is a repeat, in this order.
    fn check(sequences: &[u64], repeats_expected: &[bool]) {
        let mut producers = Producers::new(10, 1_000);
        let mut repeats_found = Vec::new();
        for sequence in sequences {
            let repeat = repeats(producers.seen("a", 0), *sequence);
            if !repeat {
                producers.note(&stamp("a", *sequence), 0);
            }
            repeats_found.push(repeat);
        }
        assert_eq!(repeats_found, repeats_expected, "{sequences:?}");
    }

    #[test]
    fn what_came_is_a_repeat_and_what_did_not_is_none() {
        check(&[1, 1, 2, 2, 1], &[false, true, false, true, true]);
        check(&[0, 0], &[false, true]);
        check(&[u64::MAX, u64::MAX, 0], &[false, true, true]);
        check(&[1, 5, 3, 3, 4, 2, 1], &[false, false, false, true, false, false, true]);
        check(&[10, 74, 10, 11, 11], &[false, false, true, false, true]);
        check(&[1, 1_000_000, 1, 999_999, 999_936], &[false, false, true, false, true]);
    }

    #[test]
    fn within_the_window_it_agrees_with_a_set() {
        let mut random = 7u64;
        let (mut producers, mut model, mut high) = (Producers::new(2, u64::MAX), BTreeSet::new(), 100u64);
        for _ in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let sequence = high + (random >> 33) % 12 - (random >> 40) % WINDOW.min(high);
            let expected = model.contains(&sequence) || sequence + WINDOW <= high && !model.is_empty();
            assert_eq!(repeats(producers.seen("a", 0), sequence), expected, "{sequence} after {high}");
            if !expected {
                producers.note(&stamp("a", sequence), 0);
                model.insert(sequence);
                high = high.max(sequence);
            }
        }
    }

    #[test]
    fn the_least_recently_noted_producer_leaves() {
        let mut producers = Producers::new(2, 1_000);
        for producer in ["a", "b", "a", "c"] {
            let sequence = producers.next_turn;
            producers.note(&stamp(producer, sequence), 0);
        }
        assert!(producers.seen("b", 0).is_none());
        assert!(producers.seen("a", 0).is_some() && producers.seen("c", 0).is_some());
        assert_eq!((producers.len(), producers.order.len()), (2, 2));
    }

    #[test]
    fn a_producer_is_forgotten_behind_the_horizon() {
        let mut producers = Producers::new(10, 1_000);
        producers.note(&stamp("a", 1), 5_000);
        assert!(repeats(producers.seen("a", 6_000), 1));
        assert!(!repeats(producers.seen("a", 6_001), 1));
        producers.note(&stamp("b", 1), 6_001);
        assert_eq!(producers.len(), 1);
    }
}

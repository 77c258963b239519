//! How often does each key occur: an exact hot table in front of a Count-Min sketch, able to enumerate.
//!
//! The heavy keys would spoil the counters of everybody else, so they are kept out: the Count-Min holds only what left
//! the hot table (the idea of the Augmented Sketch, Roy, Khan & Alonso 2016). Because it is linear nothing is lost by
//! that: adding the hot counts back gives the Count-Min over all events, bit for bit, whatever left when
//! ([`Freq::count_min`]); and what is asked of it is asked of a stream without the heavy keys' weight, whose error is
//! `e/width` of that remainder.
//!
//! **Bounds.** A key's weight is its count in the hot table plus what the cold part holds of it. The cold part's
//! smallest counter bounds the latter, and so does the table's `offset`. A key that is admitted again knows both, so
//! its `err` is the smaller one; the guarantee of the table does not suffer (see [`crate::frequent`]). While the cold
//! part is nearly empty this is mostly 0, so keys that arrive soon after the first purge are exact as well.
//!
//! **Laws.** Up to `3/4 · slots` distinct keys there is no cold part and everything is exact and order-free, snapshots
//! byte for byte. Beyond, [`Freq::count_min`] stays order-free byte for byte, while the split into hot and cold depends
//! on the order, as the table does.

use super::{CountMin, Size};
use crate::estimate::Estimate;
use crate::frequent::{Counted, Counters, Residue};
use crate::hash::Token;
use crate::{Health, Incompatible, MergeNote};

/// Frequencies of all keys, and the list of the heavy ones.
///
/// ```
/// use sketch::{Token, countmin::Freq};
///
/// let mut words = Freq::new(10, 5, 64);
/// for word in ["to", "be", "or", "not", "to", "be"] {
///     words.update(Token::of_str(word), 1, word.as_bytes());
/// }
/// assert_eq!(words.query(Token::of_str("be"), 0.95).value, 2);
/// assert_eq!(words.items(1, 0.95)[0].item, b"be");
/// assert!(words.is_exact());
/// ```
#[derive(Debug, Clone)]
pub struct Freq {
    hot: Counters,
    cold: Cold,
}

/// What left the hot table; allocated when the first key leaves.
#[derive(Debug, Clone)]
struct Cold {
    lg_width: u8,
    depth: u8,
    sketch: Option<CountMin>,
}

impl Residue for Cold {
    #[inline]
    fn at_most(&self, token: Token) -> u64 {
        self.sketch.as_ref().map_or(0, |sketch| sketch.at_most(token))
    }

    fn keep(&mut self, token: Token, count: u64) {
        let (lg_width, depth) = (self.lg_width, self.depth);
        self.sketch.get_or_insert_with(|| CountMin::new(lg_width, depth)).update(token, count);
    }
}

impl Freq {
    /// An empty sketch: Count-Min of `depth` rows of 2^`lg_width` behind a hot table of `slots` slots.
    ///
    /// # Panics
    /// When [`CountMin::is_valid`] or [`Counters::is_valid`] says no: specs are validated before.
    pub fn new(lg_width: u8, depth: u8, slots: usize) -> Freq {
        assert!(CountMin::is_valid(lg_width, depth), "Count-Min of width 2^{lg_width} and depth {depth}");
        Freq { hot: Counters::new(slots), cold: Cold { lg_width, depth, sketch: None } }
    }

    /// An empty sketch of a size found for an error at a confidence, behind a hot table of `slots` slots.
    ///
    /// # Panics
    /// When [`Counters::is_valid`] says no to the slots: specs are validated before.
    pub fn with_size(size: Size, slots: usize) -> Freq {
        Freq::new(size.lg_width(), size.depth(), slots)
    }

    /// Puts restored parts together; nothing when they do not belong to one another.
    pub(super) fn from_parts(
        lg_width: u8,
        depth: u8,
        hot: Counters,
        sketch: Option<CountMin>,
    ) -> Option<Freq> {
        let freq = Freq { hot, cold: Cold { lg_width, depth, sketch } };
        freq.is_sound().then_some(freq)
    }

    /// Counts `weight` for an item. Expected O(1); a key that is not hot costs O(depth) more. The total stops at
    /// `u64::MAX`: weight beyond is not counted.
    #[inline]
    pub fn update(&mut self, token: Token, weight: u64, item: &[u8]) {
        self.hot.update_with(token, weight, item, &mut self.cold);
    }

    /// Adds what another one counted. The result has the smaller width and the smaller number of slots of the two; the
    /// note tells of the width, or of the slots when only they differ.
    ///
    /// # Errors
    /// When the depths differ or the totals together exceed 64 bits; nothing is changed then.
    pub fn merge(&mut self, other: &Freq) -> Result<MergeNote, Incompatible> {
        let (ours, theirs) = (u64::from(self.cold.depth), u64::from(other.cold.depth));
        if ours != theirs {
            return Err(Incompatible { what: "count-min depth", ours, theirs });
        }
        let slots_note = self.hot.absorb(
            &other.hot,
            |token| self.cold.at_most(token),
            |token| other.cold.at_most(token),
        )?;
        let width_note = crate::frequent::lower_precision(self.cold.lg_width, other.cold.lg_width);
        self.fold(other.cold.lg_width);
        if let Some(theirs) = &other.cold.sketch {
            let (lg_width, depth) = (self.cold.lg_width, self.cold.depth);
            self.cold.sketch.get_or_insert_with(|| CountMin::new(lg_width, depth)).merge(theirs)?;
        }
        self.hot.make_room(&mut self.cold);
        Ok(if width_note == MergeNote::Exact { slots_note } else { width_note })
    }

    /// Narrows the Count-Min, see [`CountMin::fold`]. The hot table stays.
    pub fn fold(&mut self, lg_width: u8) {
        self.cold.lg_width = self.cold.lg_width.min(lg_width.max(super::LG_WIDTH_MIN));
        if let Some(sketch) = &mut self.cold.sketch {
            sketch.fold(lg_width);
        }
    }

    /// How often a key occurred. `high` holds for certain and is the value, as usual with Count-Min; `low` is what the
    /// hot table counted (certain), or more if the Count-Min says so with the confidence asked for. O(depth).
    pub fn query(&self, token: Token, confidence: f64) -> Estimate<u64> {
        let (count, err) = match self.hot.entry_of(token) {
            Some(entry) => (entry.count, entry.err),
            None => (0, self.hot.offset()),
        };
        self.bounds(token, count, err, confidence)
    }

    /// The `k` heaviest keys that the hot table holds, heaviest first, ties by bytes. O(slots + k · (depth + log k)).
    pub fn items(&self, k: usize, confidence: f64) -> Vec<Counted<'_>> {
        let entries = self.hot.largest_highs(k).into_iter();
        entries
            .map(|entry| entry.counted(self.bounds(entry.token, entry.count, entry.err, confidence)))
            .collect()
    }

    /// Both bounds of a key that counted `count` and may have been missed by `err` before.
    fn bounds(&self, token: Token, count: u64, err: u64, confidence: f64) -> Estimate<u64> {
        let cold = match &self.cold.sketch {
            Some(sketch) if err > 0 => sketch.query(token, confidence),
            _ => return Estimate::exact(count),
        };
        let missed = cold.high.min(err);
        let high = count + missed;
        match cold.low.min(missed) {
            _ if missed == 0 => Estimate::exact(count),
            0 => Estimate::proven(high, count, high),
            low => Estimate { value: high, low: count + low, high, ..cold },
        }
    }

    /// The Count-Min over all events, hot ones included: byte-equal for the same events in any order and any merge
    /// tree. O(depth · (width + slots)).
    pub fn count_min(&self) -> CountMin {
        let empty = || CountMin::new(self.cold.lg_width, self.cold.depth);
        let mut all = self.cold.sketch.clone().unwrap_or_else(empty);
        self.hot.entries().for_each(|entry| all.update(entry.token, entry.count));
        all
    }

    /// Total weight N of the stream.
    pub fn total(&self) -> u64 {
        self.hot.total()
    }

    /// Weight that lies in the Count-Min and not in the hot table: its error is e/width of this.
    pub fn cold_total(&self) -> u64 {
        self.cold.sketch.as_ref().map_or(0, CountMin::total)
    }

    /// True while no key ever left the hot table: every answer is exact.
    pub fn is_exact(&self) -> bool {
        self.hot.is_exact()
    }

    /// What stands behind the answers: `count-min/5x16384`.
    pub fn sketch_name(&self) -> String {
        format!("count-min/{}x{}", self.depth(), 1usize << self.lg_width())
    }

    /// True when nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.total() == 0
    }

    /// Of the hot table while exact, then of the Count-Min behind it; the error is the part of the total weight by which
    /// a key that is not hot is overstated.
    pub fn health(&self) -> Health {
        let Some(cold) = &self.cold.sketch else { return self.hot.health() };
        let health = cold.health();
        Health { error: Some(cold.epsilon() * cold.total() as f64 / self.total() as f64), ..health }
    }

    /// log2 of the width of the Count-Min.
    pub fn lg_width(&self) -> u8 {
        self.cold.lg_width
    }

    /// Number of rows of the Count-Min.
    pub fn depth(&self) -> u8 {
        self.cold.depth
    }

    /// The hot table.
    pub fn hot(&self) -> &Counters {
        &self.hot
    }

    /// The Count-Min of what left the hot table.
    pub fn cold(&self) -> Option<&CountMin> {
        self.cold.sketch.as_ref()
    }

    /// Bytes held, by capacity.
    pub fn memory_bytes(&self) -> usize {
        let cold = self.cold.sketch.as_ref().map_or(0, CountMin::memory_bytes);
        self.hot.memory_bytes() + size_of::<Cold>() + cold
    }

    /// Hot and cold weight make the total, and there is a cold part exactly when something left.
    fn is_sound(&self) -> bool {
        let counted: u128 = self.hot.entries().map(|entry| u128::from(entry.count)).sum();
        let sizes =
            |sketch: &CountMin| (sketch.lg_width(), sketch.depth()) == (self.cold.lg_width, self.cold.depth);
        self.cold.sketch.is_some() != self.hot.is_exact()
            && self.cold.sketch.as_ref().is_none_or(sizes)
            && counted + u128::from(self.cold_total()) == u128::from(self.hot.total())
            && self.hot.entries().all(|entry| entry.err <= self.cold.at_most(entry.token))
    }

    /// Asserts what must hold between any two calls; for tests.
    pub fn check_invariants(&self) {
        self.hot.check_invariants();
        if let Some(sketch) = &self.cold.sketch {
            sketch.check_invariants();
        }
        assert!(self.is_sound(), "hot and cold part do not make the total of {}", self.total());
    }
}

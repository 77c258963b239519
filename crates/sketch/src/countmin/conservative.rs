//! How often does a key occur, overstated less: Count-Min with conservative update (Estan & Varghese 2002).
//!
//! An update raises only those counters of a key that would otherwise be too small: with `v` the smallest of them, each
//! becomes `max(itself, v + weight)`. Every counter still is at least the weight of every key that it belongs to, and
//! none is ever above that of the linear [`CountMin`](super::CountMin) of the same size and stream (by induction: `v` is
//! at most the counter itself). So no query is ever worse; on skewed streams about half of the surplus is left, or less.
//!
//! **Bounds.** High: the smallest counter, for certain. Low: `f >= (v - c*N/width) / (1 - c/width)`, the formula of the
//! linear sketch, holds of its smallest counter with the confidence asked for, and it grows with `v`; ours is at most
//! that one, so the formula holds here with at least the same confidence. It does not get better by itself: what is
//! known of the surplus of a conservative sketch is an average, no bound.
//!
//! **What is lost.** It is not linear: the counters depend on the order of events, nothing can be subtracted, and a
//! merge is not what one sketch over all events would be. Counter by counter the sum of two sketches is an upper bound of
//! either's weight, and at most the linear sketch of both: all bounds hold after a merge, but what was gained on
//! keys that both saw is gained only within each. A fold keeps the larger of two neighbours (their sum would hold as
//! well, and is what a linear sketch needs); later updates go on from there. Equal events in equal order, with merges
//! and folds at equal places, give equal bytes.

use super::bytes::{read_cells, write_cells};
use super::{Cells, CountMin, LG_WIDTH_MIN, Places, Size, bounded, size, with_depth};
use crate::codec::{DecodeError, Limits, Reader, expect_head, kind};
use crate::estimate::Estimate;
use crate::frequent::lower_precision;
use crate::hash::Token;
use crate::{Health, Incompatible, MergeNote};

const VERSION: u8 = 1;

/// A Count-Min sketch with conservative update: `depth` rows of 2^`lg_width` counters.
///
/// ```
/// use sketch::{Token, countmin::{Conservative, Size}};
///
/// let mut clicks = Conservative::with_size(Size::new(0.001, 0.01)?);
/// clicks.update(Token::of_str("ada"), 3);
/// clicks.update_all(&[Token::of_str("bob"), Token::of_str("ada")]);
/// let ada = clicks.query(Token::of_str("ada"), 0.99);
/// assert_eq!((ada.value, ada.high), (4, 4));
/// assert!(ada.low <= 4);
/// # Ok::<(), sketch::countmin::SizeError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Conservative {
    cells: Cells,
    lg_width: u8,
    depth: u8,
    total: u64,
}

impl Conservative {
    /// An empty sketch; takes depth · 4 · 2^lg_width bytes until the total passes 2^32, then twice that.
    ///
    /// # Panics
    /// When [`CountMin::is_valid`] says no: specs are validated before.
    pub fn new(lg_width: u8, depth: u8) -> Conservative {
        assert!(CountMin::is_valid(lg_width, depth), "Count-Min of width 2^{lg_width} and depth {depth}");
        Conservative { cells: Cells::zeros(usize::from(depth) << lg_width), lg_width, depth, total: 0 }
    }

    /// An empty sketch of a size found for an error at a confidence.
    pub fn with_size(size: Size) -> Conservative {
        Conservative::new(size.lg_width(), size.depth())
    }

    /// Counts `weight` for a key. O(depth). The total stops at `u64::MAX`: weight beyond is not counted.
    #[inline]
    pub fn update(&mut self, token: Token, weight: u64) {
        let weight = weight.min(u64::MAX - self.total);
        self.total += weight;
        self.cells.make_room_for(self.total);
        let lg_width = self.lg_width;
        match &mut self.cells {
            Cells::Narrow(cells) => {
                let weight = weight as u32;
                with_depth!(self.depth, DEPTH => raise_narrow(cells, Places::all::<DEPTH>(token, lg_width), weight));
            }
            Cells::Wide(cells) => Places::of(token, lg_width, self.depth).raise_wide(cells, weight),
        }
    }

    /// Counts 1 for each key, in their order. O(depth · keys).
    pub fn update_all(&mut self, tokens: &[Token]) {
        let fits = self.total.saturating_add(tokens.len() as u64) <= u64::from(u32::MAX);
        let lg_width = self.lg_width;
        match &mut self.cells {
            Cells::Narrow(cells) if fits => {
                self.total += tokens.len() as u64;
                with_depth!(self.depth, DEPTH => {
                    for &token in tokens {
                        raise_narrow(cells, Places::all::<DEPTH>(token, lg_width), 1);
                    }
                });
            }
            _ => tokens.iter().for_each(|&token| self.update(token, 1)),
        }
    }

    /// Adds another sketch, counter by counter; of two widths the smaller stays. All bounds hold afterwards, but they
    /// are wider than those of one sketch over all events may be. O(depth · width).
    ///
    /// # Errors
    /// When the depths differ or the totals together exceed 64 bits; nothing is changed then.
    pub fn merge(&mut self, other: &Conservative) -> Result<MergeNote, Incompatible> {
        let (ours, theirs) = (u64::from(self.depth), u64::from(other.depth));
        if ours != theirs {
            return Err(Incompatible { what: "count-min depth", ours, theirs });
        }
        let overflow = Incompatible { what: "total weight", ours: self.total, theirs: other.total };
        let total = self.total.checked_add(other.total).ok_or(overflow)?;
        let note = lower_precision(self.lg_width, other.lg_width);
        self.fold(other.lg_width);
        self.total = total;
        self.cells.make_room_for(total);
        if other.lg_width == self.lg_width {
            self.cells.add(&other.cells, 1);
        } else {
            let mut theirs = other.clone();
            theirs.fold(self.lg_width);
            self.cells.add(&theirs.cells, 1);
        }
        Ok(note)
    }

    /// Narrows the rows to 2^`lg_width`, each counter becoming the larger of its neighbours: all bounds hold, the error
    /// is at most that of a linear sketch of the new width. Does nothing when it is that narrow already; stops at
    /// [`LG_WIDTH_MIN`].
    pub fn fold(&mut self, lg_width: u8) {
        let lg_width = lg_width.max(LG_WIDTH_MIN);
        if lg_width < self.lg_width {
            self.cells.fold_to_largest(1 << (self.lg_width - lg_width));
            self.lg_width = lg_width;
        }
    }

    /// How often a key occurred. `value` and `high` are the smallest counter, `low` holds with the confidence asked
    /// for; a key whose counter is 0 never occurred, which is exact. O(depth).
    pub fn query(&self, token: Token, confidence: f64) -> Estimate<u64> {
        bounded(self.at_most(token), self.total, self.lg_width, self.depth, confidence)
    }

    /// The smallest counter of a key: its weight is at most that.
    #[inline]
    pub fn at_most(&self, token: Token) -> u64 {
        Places::of(token, self.lg_width, self.depth).least(&self.cells)
    }

    /// The textbook error e/width of the linear sketch, which is never exceeded with a larger chance than there.
    pub fn epsilon(&self) -> f64 {
        size::epsilon_of(self.lg_width)
    }

    /// Total weight N of the stream.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// log2 of the width of a row.
    pub fn lg_width(&self) -> u8 {
        self.lg_width
    }

    /// Number of rows.
    pub fn depth(&self) -> u8 {
        self.depth
    }

    /// True when nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// What stands behind the answers: `conservative/5x16384`.
    pub fn sketch_name(&self) -> String {
        format!("conservative/{}x{}", self.depth, 1usize << self.lg_width)
    }

    /// Counters above zero; the error is [`Conservative::epsilon`], saturated is a total that cannot grow.
    pub fn health(&self) -> Health {
        let fill = self.cells.used() as f64 / self.cells.len() as f64;
        Health::with_error(fill, self.epsilon()).saturated_when(self.total == u64::MAX)
    }

    /// Bytes held, by capacity.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Conservative>() + self.cells.memory_bytes()
    }

    /// Appends the snapshot: lossless and canonical. O(depth · width).
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        debug_assert!(self.is_sound());
        out.extend_from_slice(&[kind::CONSERVATIVE, VERSION, self.lg_width, self.depth]);
        out.extend_from_slice(&self.total.to_le_bytes());
        match &self.cells {
            Cells::Narrow(cells) => write_cells(cells.iter().map(|&cell| u64::from(cell)), out),
            Cells::Wide(cells) => write_cells(cells.iter().copied(), out),
        }
    }

    /// Reads a snapshot back. A few bytes may declare a large sketch, so its counters are refused before they are
    /// allocated when they take more than the limit.
    ///
    /// # Errors
    /// On sizes out of range, on other spellings, and on counters that no total of this size leads to. Counters that
    /// are too small for the stream cannot be told from right ones.
    pub fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<Conservative, DecodeError> {
        expect_head(r, kind::CONSERVATIVE, VERSION, "not a conservative count-min of version 1")?;
        let (lg_width, depth) = (r.u8()?, r.u8()?);
        if !CountMin::is_valid(lg_width, depth) {
            return Err(DecodeError::Invalid("count-min width or depth"));
        }
        let total = r.u64()?;
        let cells = usize::from(depth) << lg_width;
        let narrow = total <= u64::from(u32::MAX);
        limits.allow("counters", cells as u64, if narrow { 4 } else { 8 })?;
        let cells = if narrow {
            Cells::Narrow(read_cells(r, cells, |value| u32::try_from(value).ok())?)
        } else {
            Cells::Wide(read_cells(r, cells, Some)?)
        };
        let sketch = Conservative { cells, lg_width, depth, total };
        if sketch.is_sound() { Ok(sketch) } else { Err(DecodeError::Invalid("rows do not fit the total")) }
    }

    /// No row holds more than the stream, none is empty unless the stream is, and the counters are as wide as the total
    /// asks.
    fn is_sound(&self) -> bool {
        let total = u128::from(self.total);
        let fits = |&sum: &u128| sum <= total && (sum == 0) == (total == 0);
        self.cells.fits(self.total) && self.cells.row_sums(1 << self.lg_width).iter().all(fits)
    }

    /// Asserts what must hold between any two calls; for tests. O(depth · width).
    pub fn check_invariants(&self) {
        assert_eq!(self.cells.len(), usize::from(self.depth) << self.lg_width);
        assert!(self.is_sound(), "a row holds more than the total of {}, or nothing of it", self.total);
    }
}

impl std::fmt::Debug for Conservative {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Conservative({}, total {})", self.sketch_name(), self.total)
    }
}

#[inline(always)]
fn raise_narrow<const DEPTH: usize>(cells: &mut [u32], places: [usize; DEPTH], weight: u32) {
    let before = places.map(|at| cells[at]);
    // At most the total, as every counter is.
    let level = before.iter().fold(u32::MAX, |least, &cell| least.min(cell)) + weight;
    for row in 0..DEPTH {
        cells[places[row]] = before[row].max(level);
    }
}

impl Places {
    fn raise_wide(self, cells: &mut [u64], weight: u64) {
        let mut level = u64::MAX;
        self.for_each(|at| level = level.min(cells[at]));
        level += weight;
        self.for_each(|at| cells[at] = cells[at].max(level));
    }
}

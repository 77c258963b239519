//! How much does a key weigh when weights may be negative: the Count Sketch (Charikar, Chen & Farach-Colton 2002).
//!
//! `depth` rows of 2^`lg_width` signed counters. A key adds its weight, with a sign that its hash draws for each row, to
//! one counter of each row. What other keys add to a counter then cancels on average: the row's answer `sign · counter`
//! is unbiased, its variance is `F/width`, where `F` is the sum of the squared weights of the *other* keys. The value is
//! the median of the rows, so the depth is odd.
//!
//! **Bounds**, over the choice of an ideal hash. The noise of a row is symmetric, so it exceeds `t` with a chance of at
//! most `F/(2·width·t²)` on either side (Chebyshev, halved). The median of `d` rows is off by that only if
//! `m = (d+1)/2` of them are: a chance below `C(d,m)·q^m` if each has chance `q`. Solved for the confidence asked for,
//! `t = c·√(F/width)` with `c² = 1/(2q)`, `q = (δ/2/C(d,m))^(1/m)`: five rows have c = 1.96 at 95 %, 2.57 at 99 %.
//!
//! `F` is not known but estimated from the rows as well: the squares of a row's counters sum to all keys' squared weights
//! on average (Alon, Matias & Szegedy 1996; Thorup & Zhang 2004). Without the key's own counter, times
//! `width/(width−1)`, they sum to `F`, with a variance of at most `2F²/(width−1)`. Of the median of the rows
//! `F ≤ median/(1−t)` follows (Cantelli, and the same count of bad rows). An eighth of the chance of error is set aside for
//! this step. Where a row is too narrow to say anything, `F` is at most the squared gross weight, for certain. A heavy key
//! is thus not charged for its own weight: its bounds are as narrow as those of a light one.
//!
//! This is a statement about one query; for `q` queries at once ask with `1 − (1 − confidence)/q`.
//!
//! **Overflow.** The gross weight (sum of |weight|) stops at [`GROSS_MAX`], 2^62 − 1: weight beyond is not counted and
//! [`Health::saturated`] says so; a merge beyond it is refused. No counter can overflow then.
//!
//! **Laws, of whole snapshots, byte for byte**, while nothing was cut off: order does not matter; a merge equals one sketch
//! over all events; subtracting equals merging a sketch over the negated weights; folding to half the width (neighbours
//! are added) commutes with all of them.
//!
//! **Left out:** a heap of heavy keys (`frequent` keeps those), and counters of 32 bits.

use crate::codec::{DecodeError, Limits, Reader, expect_head, kind};
use crate::countmin::{
    self, CountMin, LG_WIDTH_MAX, LG_WIDTH_MIN, Places, read_cells, with_depth, write_cells,
};
use crate::estimate::{Estimate, possible};
use crate::frequent::lower_precision;
use crate::hash::Token;
use crate::{Health, Incompatible, MergeNote};

/// Most rows; their number is odd.
pub const DEPTH_MAX: u8 = 7;
/// Largest gross weight: two counters add up within 63 bits, their squares within 127.
pub const GROSS_MAX: u64 = (1 << 62) - 1;

const VERSION: u8 = 1;
/// Rows that [`Places`] can have: one more than here.
const ROWS: usize = countmin::DEPTH_MAX as usize;
/// The part of the chance of error that the estimate of the other keys' weight may use up.
const NORM_SHARE: f64 = 1.0 / 8.0;

/// A Count Sketch: `depth` rows of 2^`lg_width` signed counters.
///
/// ```
/// use sketch::{Token, countsketch::CountSketch};
///
/// let (mut today, mut yesterday) = (CountSketch::new(10, 5), CountSketch::new(10, 5));
/// today.update(Token::of_str("ada"), 30);
/// yesterday.update(Token::of_str("ada"), 50);
/// today.subtract(&yesterday)?;
/// let change = today.query(Token::of_str("ada"), 0.95);
/// assert_eq!(change.value, -20);
/// assert!(change.low <= -20 && -20 <= change.high);
/// # Ok::<(), sketch::Incompatible>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CountSketch {
    cells: Vec<i64>,
    lg_width: u8,
    depth: u8,
    /// Sum of |weight|: no counter, and no sum of |counter| over a row, exceeds it.
    gross: u64,
    /// Sum of the squared counters of each row; follows from the counters.
    squares: [i128; ROWS],
}

impl CountSketch {
    /// An empty sketch of depth · 8 · 2^lg_width bytes.
    ///
    /// # Panics
    /// When [`CountSketch::is_valid`] says no: specs are validated before.
    pub fn new(lg_width: u8, depth: u8) -> CountSketch {
        assert!(
            CountSketch::is_valid(lg_width, depth),
            "Count Sketch of width 2^{lg_width} and depth {depth}"
        );
        CountSketch {
            cells: vec![0; usize::from(depth) << lg_width],
            lg_width,
            depth,
            gross: 0,
            squares: [0; ROWS],
        }
    }

    /// The smallest empty sketch whose value is off by more than `epsilon` times the norm √Σf² of all weights with a
    /// chance of at most `delta`, for one query. Needs about `1/epsilon²` counters a row.
    ///
    /// # Errors
    /// [`SizeError`] when `epsilon` or `delta` is not between 0 and 1, or no width up to 2^28 is enough.
    pub fn for_error(epsilon: f64, delta: f64) -> Result<CountSketch, SizeError> {
        let inside = |x: f64| x > 0.0 && x < 1.0;
        let error = SizeError { epsilon, delta };
        if !inside(epsilon) || !inside(delta) {
            return Err(error);
        }
        let lg_width_of = |depth: u8| {
            let width = noise_factor(depth, delta) / (epsilon * epsilon);
            (LG_WIDTH_MIN..=LG_WIDTH_MAX).find(|&lg| (1u64 << lg) as f64 >= width)
        };
        // Of equally many counters the fewer rows are the faster ones.
        let sizes = (1..=DEPTH_MAX).step_by(2).filter_map(|depth| Some((lg_width_of(depth)?, depth)));
        let best = sizes.min_by_key(|&(lg_width, depth)| (u64::from(depth) << lg_width, depth));
        best.map(|(lg_width, depth)| CountSketch::new(lg_width, depth)).ok_or(error)
    }

    /// True for widths 2^4..=2^28 and depths 1, 3, 5 and 7.
    pub fn is_valid(lg_width: u8, depth: u8) -> bool {
        CountMin::is_valid(lg_width, depth) && depth % 2 == 1
    }

    /// Adds `weight` to a key. O(depth). The gross weight stops at [`GROSS_MAX`]: what is beyond is not counted.
    #[inline]
    pub fn update(&mut self, token: Token, weight: i64) {
        let counted = weight.unsigned_abs().min(GROSS_MAX - self.gross);
        self.gross += counted;
        let weight = if weight < 0 { -(counted as i64) } else { counted as i64 };
        let lg_width = self.lg_width;
        with_depth!(self.depth, DEPTH => {
            add(&mut self.cells, &mut self.squares, Places::products::<DEPTH>(token), lg_width, weight);
        });
    }

    /// Adds 1 to each key. O(depth · keys).
    pub fn update_all(&mut self, tokens: &[Token]) {
        let room = GROSS_MAX - self.gross;
        let tokens = &tokens[..tokens.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
        self.gross += tokens.len() as u64;
        let lg_width = self.lg_width;
        with_depth!(self.depth, DEPTH => {
            for &token in tokens {
                add(&mut self.cells, &mut self.squares, Places::products::<DEPTH>(token), lg_width, 1);
            }
        });
    }

    /// Adds another sketch. Of two widths the smaller stays. O(depth · width).
    ///
    /// # Errors
    /// When the depths differ or the gross weights together exceed [`GROSS_MAX`]; nothing is changed then.
    pub fn merge(&mut self, other: &CountSketch) -> Result<MergeNote, Incompatible> {
        self.combine(other, |a, b| a + b)
    }

    /// Takes another sketch away: what is left is the sketch of the differences of all weights. The gross weights add up
    /// all the same, since either stream may hold keys that the other does not. Of two widths the smaller stays.
    ///
    /// # Errors
    /// As [`CountSketch::merge`].
    pub fn subtract(&mut self, other: &CountSketch) -> Result<MergeNote, Incompatible> {
        self.combine(other, |a, b| a - b)
    }

    fn combine(
        &mut self,
        other: &CountSketch,
        join: impl Fn(i64, i64) -> i64,
    ) -> Result<MergeNote, Incompatible> {
        let (ours, theirs) = (u64::from(self.depth), u64::from(other.depth));
        if ours != theirs {
            return Err(Incompatible { what: "count-sketch depth", ours, theirs });
        }
        let gross = self.gross + other.gross;
        if gross > GROSS_MAX {
            return Err(Incompatible { what: "gross weight", ours: self.gross, theirs: other.gross });
        }
        let note = lower_precision(self.lg_width, other.lg_width);
        self.fold(other.lg_width);
        self.gross = gross;
        let step = 1usize << (other.lg_width - self.lg_width);
        for (ours, theirs) in self.cells.iter_mut().zip(other.cells.chunks_exact(step)) {
            *ours = join(*ours, theirs.iter().sum());
        }
        self.squares = squares_of(&self.cells, self.lg_width);
        Ok(note)
    }

    /// Narrows the rows to 2^`lg_width` by adding neighbours, as if it had always been so narrow; the error grows by the
    /// root of the same factor. Does nothing when it is that narrow already; stops at 2^4.
    pub fn fold(&mut self, lg_width: u8) {
        let lg_width = lg_width.max(LG_WIDTH_MIN);
        if lg_width >= self.lg_width {
            return;
        }
        let step = 1usize << (self.lg_width - lg_width);
        self.cells = self.cells.chunks_exact(step).map(|cells| cells.iter().sum()).collect();
        self.lg_width = lg_width;
        self.squares = squares_of(&self.cells, lg_width);
    }

    /// The weight of a key: the median of its rows, with the bounds of the module's head at the confidence asked for.
    /// O(depth).
    pub fn query(&self, token: Token, confidence: f64) -> Estimate<i64> {
        if self.gross == 0 {
            return Estimate::exact(0);
        }
        let (value, others) = with_depth!(self.depth, DEPTH => self.rows::<DEPTH>(token));
        let confidence = possible(confidence);
        let chance = 1.0 - confidence;
        let width = (1u64 << self.lg_width) as f64;
        let norm = self.at_most(others as f64 * width / (width - 1.0), NORM_SHARE * chance, width - 1.0);
        let noise = noise_factor(self.depth, (1.0 - NORM_SHARE) * chance) * norm / width;
        // Weights are whole numbers: what is off by at most 1.7 is off by at most 1. The cast saturates.
        let (noise, gross) = (noise.sqrt() as i64, self.gross as i64);
        let (low, high) = (value.saturating_sub(noise).max(-gross), value.saturating_add(noise).min(gross));
        if (low, high) == (-gross, gross) {
            return Estimate::proven(value, low, high);
        }
        Estimate::probabilistic(value, low, high, confidence)
    }

    /// The medians of what the rows say about a key, and about the squares of all others.
    #[inline(always)]
    fn rows<const DEPTH: usize>(&self, token: Token) -> (i64, i128) {
        let products = Places::products::<DEPTH>(token);
        let cells: [i64; DEPTH] =
            std::array::from_fn(|row| self.cells[place(row, products[row], self.lg_width)]);
        let mut values: [i64; DEPTH] = std::array::from_fn(|row| signed(cells[row], products[row]));
        let mut others: [i128; DEPTH] =
            std::array::from_fn(|row| self.squares[row] - i128::from(cells[row]) * i128::from(cells[row]));
        (median(&mut values), median(&mut others))
    }

    /// The norm √Σf² of all keys' weights: the root of the median of the rows' sums of squares, whose variance is at most
    /// 2F²/width each. O(depth).
    pub fn norm(&self, confidence: f64) -> Estimate<f64> {
        if self.gross == 0 {
            return Estimate::exact(0.0);
        }
        let confidence = possible(confidence);
        let (width, gross) = ((1u64 << self.lg_width) as f64, self.gross as f64);
        let mut squares = self.squares;
        let middle = median(&mut squares[..usize::from(self.depth)]) as f64;
        let chance = (1.0 - confidence) / 2.0;
        let high = self.at_most(middle, chance, width).sqrt();
        let low = (middle / (1.0 + self.spread(chance, width))).sqrt();
        let value = middle.sqrt().min(gross);
        Estimate::probabilistic(value, low.min(value), high.max(value), confidence)
    }

    /// What the sum of squares is at most, all but for this chance, if the median of the rows says `middle` and each has
    /// a variance of 2/`counters` of its square. Never more than the squared gross weight.
    fn at_most(&self, middle: f64, chance: f64, counters: f64) -> f64 {
        let certain = self.gross as f64 * self.gross as f64;
        let spread = self.spread(chance, counters);
        if spread < 1.0 { (middle / (1.0 - spread)).min(certain) } else { certain }
    }

    /// By which part of itself the median of the rows' sums of squares is off on one side, all but for this chance.
    fn spread(&self, chance: f64, counters: f64) -> f64 {
        let row = row_chance(self.depth, chance);
        (2.0 / counters * (1.0 - row) / row).sqrt()
    }

    /// The standard error of a row, as part of the norm of the other keys: 1/√width.
    pub fn epsilon(&self) -> f64 {
        (1.0 / (1u64 << self.lg_width) as f64).sqrt()
    }

    /// Gross weight: the sum of |weight| of the stream.
    pub fn gross(&self) -> u64 {
        self.gross
    }

    /// log2 of the width of a row.
    pub fn lg_width(&self) -> u8 {
        self.lg_width
    }

    /// Number of rows.
    pub fn depth(&self) -> u8 {
        self.depth
    }

    /// True when nothing was counted. What was counted and subtracted again is not nothing.
    pub fn is_empty(&self) -> bool {
        self.gross == 0
    }

    /// What stands behind the answers: `count-sketch/5x16384`.
    pub fn sketch_name(&self) -> String {
        format!("count-sketch/{}x{}", self.depth, 1usize << self.lg_width)
    }

    /// Counters that are not zero; the error is [`CountSketch::epsilon`], saturated is a gross weight that cannot grow.
    pub fn health(&self) -> Health {
        let used = self.cells.iter().filter(|&&cell| cell != 0).count();
        let fill = used as f64 / self.cells.len() as f64;
        Health::with_error(fill, self.epsilon()).saturated_when(self.gross == GROSS_MAX)
    }

    /// Bytes held, by capacity.
    pub fn memory_bytes(&self) -> usize {
        size_of::<CountSketch>() + self.cells.capacity() * 8
    }

    /// Appends the snapshot: lossless and canonical. O(depth · width).
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        debug_assert!(self.is_sound());
        out.extend_from_slice(&[kind::COUNT_SKETCH, VERSION, self.lg_width, self.depth]);
        out.extend_from_slice(&self.gross.to_le_bytes());
        write_cells(self.cells.iter().map(|&cell| (cell << 1 ^ cell >> 63) as u64), out);
    }

    /// Reads a snapshot back. A few bytes may declare a large sketch, so its counters are refused before they are
    /// allocated when they take more than the limit.
    ///
    /// # Errors
    /// On sizes out of range, on other spellings, and on counters that no stream of this gross weight leads to.
    pub fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<CountSketch, DecodeError> {
        expect_head(r, kind::COUNT_SKETCH, VERSION, "not a count sketch of version 1")?;
        let (lg_width, depth) = (r.u8()?, r.u8()?);
        if !CountSketch::is_valid(lg_width, depth) {
            return Err(DecodeError::Invalid("count-sketch width or depth"));
        }
        let cells = usize::from(depth) << lg_width;
        limits.allow("counters", cells as u64, size_of::<i64>())?;
        let gross = r.u64()?;
        let cells = read_cells(r, cells, |value| Some((value >> 1) as i64 ^ -((value & 1) as i64)))?;
        let mut sketch = CountSketch { cells, lg_width, depth, gross, squares: [0; ROWS] };
        if gross > GROSS_MAX || !sketch.rows_fit() {
            return Err(DecodeError::Invalid("rows do not fit the gross weight"));
        }
        sketch.squares = squares_of(&sketch.cells, lg_width);
        Ok(sketch)
    }

    /// A row's counters are the stream's weights with signs: together at most as large, and odd when the weights are.
    fn rows_fit(&self) -> bool {
        self.cells.chunks(1 << self.lg_width).all(|row| {
            let sum: u128 = row.iter().map(|cell| u128::from(cell.unsigned_abs())).sum();
            sum <= u128::from(self.gross) && sum % 2 == u128::from(self.gross % 2)
        })
    }

    fn is_sound(&self) -> bool {
        self.gross <= GROSS_MAX && self.rows_fit() && self.squares == squares_of(&self.cells, self.lg_width)
    }

    /// Asserts what must hold between any two calls; for tests. O(depth · width).
    pub fn check_invariants(&self) {
        assert!(CountSketch::is_valid(self.lg_width, self.depth));
        assert_eq!(self.cells.len(), usize::from(self.depth) << self.lg_width);
        assert!(self.is_sound(), "rows or squares do not fit the gross weight of {}", self.gross);
    }
}

impl std::fmt::Debug for CountSketch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CountSketch({}, gross {})", self.sketch_name(), self.gross)
    }
}

/// The column follows the sign bit, so that folding drops the lowest bit of the column and leaves the sign.
#[inline(always)]
fn place(row: usize, product: u64, lg_width: u8) -> usize {
    (row << lg_width) + ((product << 1) >> (64 - u32::from(lg_width))) as usize
}

/// `value` with the sign of the key's row, which is the highest bit of the product.
#[inline(always)]
fn signed(value: i64, product: u64) -> i64 {
    let minus = product as i64 >> 63;
    (value ^ minus) - minus
}

#[inline(always)]
fn add<const DEPTH: usize>(
    cells: &mut [i64],
    squares: &mut [i128; ROWS],
    products: [u64; DEPTH],
    lg_width: u8,
    weight: i64,
) {
    for row in 0..DEPTH {
        let cell = &mut cells[place(row, products[row], lg_width)];
        let (before, more) = (*cell, signed(weight, products[row]));
        *cell += more;
        // after² − before²; the sum of both counters has 63 bits.
        squares[row] += i128::from(before + *cell) * i128::from(more);
    }
}

fn squares_of(cells: &[i64], lg_width: u8) -> [i128; ROWS] {
    let mut squares = [0; ROWS];
    for (square, row) in squares.iter_mut().zip(cells.chunks(1 << lg_width)) {
        *square = row.iter().map(|&cell| i128::from(cell) * i128::from(cell)).sum();
    }
    squares
}

fn median<T: Copy + Ord>(values: &mut [T]) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}

/// The chance of one row that lets the median of all be off with `chance`: C(d,m)·q^m = chance, m = (d+1)/2.
fn row_chance(depth: u8, chance: f64) -> f64 {
    let (ways, root): (f64, f64) = match depth {
        1 => (1.0, 1.0),
        3 => (3.0, 1.0 / 2.0),
        5 => (10.0, 1.0 / 3.0),
        _ => (35.0, 1.0 / 4.0),
    };
    (chance / ways).powf(root)
}

/// c² of the module's head: the median of the rows is off by more than c·√(F/width) with at most this chance, on
/// either side half of it.
fn noise_factor(depth: u8, chance: f64) -> f64 {
    0.5 / row_chance(depth, chance / 2.0)
}

/// An error that no Count Sketch has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SizeError {
    /// Error asked for, as part of the norm.
    pub epsilon: f64,
    /// Chance of a larger error.
    pub delta: f64,
}

impl std::fmt::Display for SizeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let SizeError { epsilon, delta } = self;
        write!(f, "no width up to 2^{LG_WIDTH_MAX} has the error {epsilon} but for a chance of {delta}")
    }
}

impl std::error::Error for SizeError {}

//! How often does a key occur: the linear Count-Min sketch (Cormode & Muthukrishnan 2005), and [`Freq`], which puts an
//! exact hot table in front of it.
//!
//! `depth` rows of `width` counters; a key adds its weight to one counter of each row. A counter holds the key's own
//! weight and that of the keys it collides with, so every row overstates and the smallest is the best.
//!
//! **Bounds.** High: the smallest counter, for certain. Low: with an ideal hash the other keys' weight that a row adds
//! to key `x` is `(N - f)/width` on average, so it exceeds `c` times that with a chance below `1/c` (Markov), in all
//! rows at once below `c^-depth`. Hence `f >= (v - c*N/width) / (1 - c/width)` at confidence `1 - c^-depth`; solved for
//! the confidence asked for, `c = (1 - confidence)^(-1/depth)`. The textbook pair is `c = e`: error `e*N/width` at
//! `1 - e^-depth`. This is a statement about one query; for `q` queries at once ask with `1 - (1 - confidence)/q`.
//!
//! **One hash.** Row `i` takes the top bits of `token.mixed() * K_i` with its own odd `K_i` (multiply-shift,
//! Dietzfelbinger et al. 1997). Slices of one 64-bit hash would run out (5 rows of 2^14 want 70 bits), and double
//! hashing `a + i*b` lets keys that agree in two rows agree in all of them. One multiplication a row keeps the rows
//! apart; the finaliser before it makes differences of keys look random.
//!
//! **Laws, of whole snapshots, byte for byte.** Order does not matter; a merge equals one sketch over all events; folding
//! to half the width (top bits: neighbours are added) commutes with both. Counters take 32 bits while the total does.
//!
//! **Left out:** conservative update, which breaks the laws ([`Conservative`] has it), negative weights
//! ([`crate::countsketch`]), and enumeration, which is the hot table's part. No two languages agree on Count-Min bytes,
//! so none but our own are written.

mod bytes;
mod cells;
mod conservative;
mod freq;
mod size;

use crate::estimate::{Estimate, possible};
use crate::frequent::lower_precision;
use crate::hash::Token;
use crate::{Health, Incompatible, MergeNote};
pub(crate) use bytes::{read_cells, write_cells};
use cells::Cells;
pub use conservative::Conservative;
pub use freq::Freq;
pub use size::{Size, SizeError};

/// Smallest log2 of the width.
pub const LG_WIDTH_MIN: u8 = 4;
/// Largest log2 of the width.
pub const LG_WIDTH_MAX: u8 = 28;
/// Most rows.
pub const DEPTH_MAX: u8 = 8;

/// Multipliers of the rows: the first outputs of SplitMix64 (Steele et al. 2014) from seed 0, made odd. Frozen.
const ROW_MULTIPLIERS: [u64; DEPTH_MAX as usize] = [
    0xE220_A839_7B1D_CDAF,
    0x6E78_9E6A_A1B9_65F5,
    0x06C4_5D18_8009_454F,
    0xF88B_B8A8_724C_81ED,
    0x1B39_896A_51A8_749B,
    0x53CB_9F0C_747E_A2EB,
    0x2C82_9ABE_1F45_32E1,
    0xC584_133A_C916_AB3D,
];

/// A linear Count-Min sketch: `depth` rows of 2^`lg_width` counters.
///
/// ```
/// use sketch::{Token, countmin::CountMin};
///
/// let mut clicks = CountMin::new(10, 5);
/// clicks.update(Token::of_str("ada"), 3);
/// clicks.update(Token::of_str("bob"), 1);
/// let ada = clicks.query(Token::of_str("ada"), 0.99);
/// assert_eq!((ada.value, ada.high), (3, 3));
/// assert!(ada.low <= 3);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountMin {
    cells: Cells,
    lg_width: u8,
    depth: u8,
    total: u64,
}

impl CountMin {
    /// An empty sketch; takes depth · 4 · 2^lg_width bytes until the total passes 2^32, then twice that.
    ///
    /// # Panics
    /// When [`CountMin::is_valid`] says no: specs are validated before.
    pub fn new(lg_width: u8, depth: u8) -> CountMin {
        assert!(CountMin::is_valid(lg_width, depth), "Count-Min of width 2^{lg_width} and depth {depth}");
        CountMin { cells: Cells::zeros(usize::from(depth) << lg_width), lg_width, depth, total: 0 }
    }

    /// An empty sketch of a size found for an error at a confidence.
    pub fn with_size(size: Size) -> CountMin {
        CountMin::new(size.lg_width(), size.depth())
    }

    /// True for widths 2^4..=2^28 and depths 1..=8.
    pub fn is_valid(lg_width: u8, depth: u8) -> bool {
        (LG_WIDTH_MIN..=LG_WIDTH_MAX).contains(&lg_width) && (1..=DEPTH_MAX).contains(&depth)
    }

    /// Counts `weight` for a key. O(depth). The total stops at `u64::MAX`: weight beyond is not counted.
    #[inline]
    pub fn update(&mut self, token: Token, weight: u64) {
        let weight = weight.min(u64::MAX - self.total);
        self.total += weight;
        self.cells.make_room_for(self.total);
        let places = Places::of(token, self.lg_width, self.depth);
        match &mut self.cells {
            Cells::Narrow(cells) => places.for_each(|at| cells[at] += weight as u32),
            Cells::Wide(cells) => places.for_each(|at| cells[at] += weight),
        }
    }

    /// Counts 1 for each key. O(depth · keys).
    pub fn update_all(&mut self, tokens: &[Token]) {
        let fits = self.total.saturating_add(tokens.len() as u64) <= u64::from(u32::MAX);
        let (lg_width, depth) = (self.lg_width, self.depth);
        match &mut self.cells {
            Cells::Narrow(cells) if fits => {
                self.total += tokens.len() as u64;
                for &token in tokens {
                    Places::of(token, lg_width, depth).for_each(|at| cells[at] += 1);
                }
            }
            _ => tokens.iter().for_each(|&token| self.update(token, 1)),
        }
    }

    /// Adds another sketch. Of two widths the smaller stays.
    ///
    /// # Errors
    /// When the depths differ or the totals together exceed 64 bits; nothing is changed then.
    pub fn merge(&mut self, other: &CountMin) -> Result<MergeNote, Incompatible> {
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
        self.cells.add(&other.cells, 1usize << (other.lg_width - self.lg_width));
        Ok(note)
    }

    /// Narrows the rows to 2^`lg_width` by adding neighbours, as if it had always been so narrow; the error grows by
    /// the same factor. Does nothing when it is that narrow already; stops at [`LG_WIDTH_MIN`].
    pub fn fold(&mut self, lg_width: u8) {
        let lg_width = lg_width.max(LG_WIDTH_MIN);
        if lg_width >= self.lg_width {
            return;
        }
        self.cells.fold_to_sums(1usize << (self.lg_width - lg_width));
        self.lg_width = lg_width;
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

    /// The textbook error e/width: a count is overstated by more than this part of the total with a chance of at most
    /// e^-depth.
    pub fn epsilon(&self) -> f64 {
        size::epsilon_of(self.lg_width)
    }

    /// Total weight N of the stream.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// True when nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// What stands behind the answers: `count-min/5x16384`.
    pub fn sketch_name(&self) -> String {
        format!("count-min/{}x{}", self.depth, 1usize << self.lg_width)
    }

    /// Counters above zero in the first row; the error is [`CountMin::epsilon`], saturated is a total that cannot grow.
    pub fn health(&self) -> Health {
        let width = 1usize << self.lg_width;
        let used = match &self.cells {
            Cells::Narrow(cells) => cells[..width].iter().filter(|&&cell| cell > 0).count(),
            Cells::Wide(cells) => cells[..width].iter().filter(|&&cell| cell > 0).count(),
        };
        let fill = used as f64 / width as f64;
        Health::with_error(fill, self.epsilon()).saturated_when(self.total == u64::MAX)
    }

    /// log2 of the width of a row.
    pub fn lg_width(&self) -> u8 {
        self.lg_width
    }

    /// Number of rows.
    pub fn depth(&self) -> u8 {
        self.depth
    }

    /// Bytes held, by capacity.
    pub fn memory_bytes(&self) -> usize {
        size_of::<CountMin>() + self.cells.memory_bytes()
    }

    /// Each row holds the whole stream once, and the counters are as wide as the total asks.
    fn is_sound(&self) -> bool {
        let total = u128::from(self.total);
        self.cells.fits(self.total) && self.cells.row_sums(1 << self.lg_width).iter().all(|&sum| sum == total)
    }

    /// Asserts what must hold between any two calls; for tests. O(depth · width).
    pub fn check_invariants(&self) {
        assert_eq!(self.cells.len(), usize::from(self.depth) << self.lg_width);
        assert!(self.is_sound(), "a row does not sum to the total of {}", self.total);
    }
}

/// What a smallest counter of `value` says about a key, by the formula of the module's head.
fn bounded(value: u64, total: u64, lg_width: u8, depth: u8, confidence: f64) -> Estimate<u64> {
    if value == 0 {
        return Estimate::exact(0);
    }
    let confidence = possible(confidence);
    let c = (1.0 - confidence).powf(-1.0 / f64::from(depth));
    let share = c / (1u64 << lg_width) as f64;
    // Saturates at 0 below and at u64::MAX above; `value` caps it against rounding.
    let low = ((value as f64 - share * total as f64) / (1.0 - share)).floor() as u64;
    match low.min(value) {
        low if low > 0 && share < 1.0 => Estimate::probabilistic(value, low, value, confidence),
        _ => Estimate::proven(value, 0, value),
    }
}

/// Runs a block with the depth as a constant, so that the compiler unrolls its loop over the rows.
macro_rules! with_depth {
    ($depth:expr, $constant:ident => $block:expr) => {
        with_depth!(@each $depth, $constant => $block, 1 2 3 4 5 6 7)
    };
    (@each $depth:expr, $constant:ident => $block:expr, $($rows:literal)*) => {
        match $depth {
            $($rows => {
                const $constant: usize = $rows;
                $block
            })*
            _ => {
                const $constant: usize = $crate::countmin::DEPTH_MAX as usize;
                $block
            }
        }
    };
}
pub(crate) use with_depth;

/// The counters of one key, one a row.
#[derive(Clone, Copy)]
pub(crate) struct Places {
    mixed: u64,
    lg_width: u8,
    depth: u8,
}

impl Places {
    #[inline]
    fn of(token: Token, lg_width: u8, depth: u8) -> Places {
        Places { mixed: token.mixed(), lg_width, depth }
    }

    /// The smallest counter.
    #[inline]
    fn least(self, cells: &Cells) -> u64 {
        match cells {
            Cells::Narrow(cells) => {
                let mut least = u32::MAX;
                self.for_each(|at| least = least.min(cells[at]));
                u64::from(least)
            }
            Cells::Wide(cells) => {
                let mut least = u64::MAX;
                self.for_each(|at| least = least.min(cells[at]));
                least
            }
        }
    }

    #[inline(always)]
    fn for_each(self, mut f: impl FnMut(usize)) {
        let shift = 64 - u32::from(self.lg_width);
        with_depth!(self.depth, DEPTH => {
            for (row, multiplier) in ROW_MULTIPLIERS[..DEPTH].iter().enumerate() {
                let column = self.mixed.wrapping_mul(*multiplier) >> shift;
                f((row << self.lg_width) + column as usize);
            }
        });
    }

    /// The columns of all rows at once, for who needs them twice.
    #[inline(always)]
    fn all<const DEPTH: usize>(token: Token, lg_width: u8) -> [usize; DEPTH] {
        let (products, shift) = (Places::products::<DEPTH>(token), 64 - u32::from(lg_width));
        std::array::from_fn(|row| (row << lg_width) + (products[row] >> shift) as usize)
    }

    /// Of each row the product whose upper bits choose the column.
    #[inline(always)]
    pub(crate) fn products<const DEPTH: usize>(token: Token) -> [u64; DEPTH] {
        let mixed = token.mixed();
        std::array::from_fn(|row| mixed.wrapping_mul(ROW_MULTIPLIERS[row]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_multipliers_are_splitmix64_from_zero_made_odd() {
        let mut state = 0u64;
        for multiplier in ROW_MULTIPLIERS {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
            assert_eq!(multiplier, (z ^ z >> 31) | 1);
        }
    }

    #[test]
    fn rows_are_even_and_do_not_collide_together() {
        let (lg_width, keys) = (10, 2_000usize);
        let columns: Vec<Vec<usize>> = (0..keys)
            .map(|key| {
                let mut columns = Vec::new();
                Places::of(Token::of_i64(key as i64), lg_width, DEPTH_MAX)
                    .for_each(|at| columns.push(at & 1023));
                columns
            })
            .collect();
        let (mut one, mut two) = (0u32, 0u32);
        for (i, a) in columns.iter().enumerate() {
            for b in &columns[..i] {
                let same = a.iter().zip(b).filter(|(a, b)| a == b).count() as u32;
                one += same;
                two += same * same.saturating_sub(1) / 2;
            }
        }
        // Expected: pairs of keys * 8/2^10 and pairs of keys * 28/2^20, Poisson; five sigma is a chance of 6e-7.
        let pairs = (keys * (keys - 1) / 2) as f64;
        for (got, expected) in [(one, pairs * 8.0 / 1024.0), (two, pairs * 28.0 / 1_048_576.0)] {
            assert!(
                (f64::from(got) - expected).abs() < 5.0 * expected.sqrt(),
                "{got} collisions, {expected} expected"
            );
        }
    }

    #[test]
    fn counters_widen_when_the_total_needs_it_and_not_before() {
        let mut sketch = CountMin::new(4, 2);
        sketch.update(Token::of_str("a"), u64::from(u32::MAX));
        sketch.check_invariants();
        assert!(matches!(sketch.cells, Cells::Narrow(_)));
        sketch.update_all(&[Token::of_str("b")]);
        sketch.check_invariants();
        assert!(matches!(sketch.cells, Cells::Wide(_)));
        sketch.update(Token::of_str("c"), u64::MAX);
        sketch.check_invariants();
        assert_eq!(sketch.total(), u64::MAX);
    }
}

//! How many distinct values: exact while few, HyperLogLog after that.
//!
//! [`Distinct`] starts as a set of full 64-bit [`Token`]s and turns into dense registers when the set would
//! need more bytes than they do. Which of the two it is depends on the number of distinct tokens only, so the
//! whole state is a function of the set of values: equal sets give equal bytes, whatever the order, the split
//! or the merge tree. That is the strong law (whole bytes, not only registers), and it holds across folds to
//! a smaller K too.
//!
//! Left out: the HIP estimate (it depends on the order of events and is void after a merge, see
//! `estimator.rs`), and packed registers in memory (4 or 6 bits save memory and cost twice the time).
//!
//! What is read from an image of DataSketches (`image.rs`) is in registers from the start, however few values there are;
//! of it and of what it is merged with the registers obey the law, and whole bytes do once both hold registers.

mod estimator;
mod image;
mod registers;
pub(crate) mod set;
mod wire;

pub use image::HllType;
use registers::Registers;
use set::TokenSet;

use crate::estimate::z_of;
use crate::{Estimate, Health, Incompatible, MergeNote, Token};

/// The number of distinct values of a stream.
///
/// Exact up to [`LgK::exact_max`] values (1,536 for lg K = 14), then within a relative standard error of
/// 1.04/√K (0.81 % for lg K = 14): HyperLogLog of Flajolet et al. 2007 with Ertl's estimator (arXiv
/// 1702.01284). Needs at most K + 296 bytes.
///
/// ```
/// use sketch::Token;
/// use sketch::hll::{Distinct, LgK};
///
/// let mut visitors = Distinct::new(LgK::new(14)?);
/// for id in 0..1_000 {
///     visitors.update(Token::of_i64(id));
/// }
/// assert_eq!(visitors.estimate(0.95).value, 1_000.0);
/// assert!(visitors.is_exact());
///
/// let mut more = Distinct::new(LgK::new(14)?);
/// more.update_all(&(500..100_000).map(Token::of_i64).collect::<Vec<_>>());
/// visitors.merge(&more).unwrap();
/// let e = visitors.estimate(0.95);
/// assert!(e.low < 100_000.0 && 100_000.0 < e.high && e.high / e.low < 1.04);
/// # Ok::<(), sketch::hll::LgKError>(())
/// ```
#[derive(Clone)]
pub struct Distinct {
    lg_k: LgK,
    state: State,
}

/// A set holds at most [`LgK::exact_max`] tokens, registers have seen more.
#[derive(Clone)]
enum State {
    Set(TokenSet),
    Registers(Registers),
}

impl Distinct {
    /// An empty sketch that will have at most 2^`lg_k` registers. Allocates nothing.
    pub fn new(lg_k: LgK) -> Self {
        Distinct { lg_k, state: State::Set(TokenSet::default()) }
    }

    /// Takes in one value. O(1), amortised while exact.
    #[inline]
    pub fn update(&mut self, token: Token) {
        match &mut self.state {
            State::Registers(registers) => registers.update(token),
            State::Set(_) => self.update_set(token),
        }
    }

    /// Takes in a batch of values; the same as one by one, but the mode is looked at once.
    pub fn update_all(&mut self, tokens: &[Token]) {
        let mut rest = tokens.iter();
        while let State::Set(_) = self.state {
            let Some(&token) = rest.next() else { return };
            self.update_set(token);
        }
        if let State::Registers(registers) = &mut self.state {
            registers.update_all(rest.as_slice());
        }
    }

    /// Takes in what another sketch has seen. The result has the smaller lg K of the two, also when one is
    /// empty.
    ///
    /// Afterwards the state is, byte for byte, that of one sketch with this lg K over all values. O(K) on
    /// registers.
    ///
    /// # Errors
    /// None today: any two precisions merge. [`crate::Keyed`] keeps those of different keys apart.
    pub fn merge(&mut self, other: &Distinct) -> Result<MergeNote, Incompatible> {
        let (ours, theirs) = (self.lg_k, other.lg_k);
        self.fold(theirs);
        match (&mut self.state, &other.state) {
            (State::Registers(a), State::Registers(b)) => a.merge(b),
            (State::Registers(a), State::Set(b)) => b.iter().for_each(|token| a.update(token)),
            (State::Set(a), State::Registers(b)) => {
                let mut registers = b.clone();
                registers.fold(self.lg_k.get());
                a.iter().for_each(|token| registers.update(token));
                self.state = State::Registers(registers);
            }
            (State::Set(_), State::Set(b)) => b.iter().for_each(|token| self.update(token)),
        }
        Ok(if ours == theirs {
            MergeNote::Exact
        } else {
            MergeNote::Folded { from: ours.max(theirs).get(), to: ours.min(theirs).get() }
        })
    }

    /// Lowers the precision to `lg_k`; does nothing when it is not above that already. What is folded stays
    /// folded.
    ///
    /// The state is then the one that a sketch of this lg K would have had from the start.
    pub fn fold(&mut self, lg_k: LgK) {
        if lg_k >= self.lg_k {
            return;
        }
        self.lg_k = lg_k;
        match &mut self.state {
            State::Registers(registers) => registers.fold(lg_k.get()),
            State::Set(_) => self.leave_set_when_too_large(),
        }
    }

    /// The number of distinct values, with bounds at this confidence (0.95 is 1.96 standard deviations).
    ///
    /// Exact mode: no bounds to speak of. Two of n values share a token with probability n²/2^61.
    ///
    /// Else the interval is `[n / (1 + z s), n / (1 − z s)]` with s = [`LgK::relative_error`], cut below at
    /// the number of non-zero registers and above at 2^64, both of which are proven.
    ///
    /// O(1) while only updates came since the last call, O(K) after a merge, a fold or a restore.
    pub fn estimate(&self, confidence: f64) -> Estimate<f64> {
        match &self.state {
            State::Set(set) => Estimate::exact(set.len() as f64),
            State::Registers(registers) => {
                estimator::estimate(registers.histogram(), self.lg_k.get(), confidence)
            }
        }
    }

    /// True while the number is exact.
    pub fn is_exact(&self) -> bool {
        matches!(self.state, State::Set(_))
    }

    /// True when no value was seen.
    pub fn is_empty(&self) -> bool {
        matches!(&self.state, State::Set(set) if set.len() == 0)
    }

    /// The precision.
    pub fn lg_k(&self) -> LgK {
        self.lg_k
    }

    /// What stands behind the number, for answers: `hash-set`, or `hll/14`.
    pub fn sketch_name(&self) -> String {
        match self.state {
            State::Set(_) => "hash-set".to_owned(),
            State::Registers(_) => format!("hll/{}", self.lg_k.get()),
        }
    }

    /// Registers above zero; the error is [`LgK::relative_error`].
    pub fn health(&self) -> Health {
        match &self.state {
            State::Set(set) => Health::exact(set.len() as f64 / self.lg_k.exact_max() as f64),
            State::Registers(registers) => {
                let zeros = f64::from(registers.histogram()[0]);
                Health::with_error(1.0 - zeros / self.lg_k.registers() as f64, self.lg_k.relative_error())
            }
        }
    }

    /// Accounted bytes; like everything else a function of the set of values and of lg K.
    pub fn memory_bytes(&self) -> usize {
        let held = match &self.state {
            State::Set(set) => set.memory_bytes(),
            State::Registers(registers) => registers.memory_bytes(),
        };
        size_of::<Self>() + held
    }

    /// For tests, and around every snapshot in debug builds.
    ///
    /// # Panics
    /// When the structure is broken, which would be a bug.
    pub fn check_invariants(&self) {
        match &self.state {
            State::Set(set) => {
                assert!(set.len() <= self.lg_k.exact_max(), "a set stays within its limit");
                set.check_invariants();
            }
            State::Registers(registers) => {
                assert_eq!(registers.bytes().len(), self.lg_k.registers(), "there are 2^lg_k registers");
                registers.check_invariants();
            }
        }
    }

    /// The road of `update` while exact; out of line to keep the other one short.
    #[inline(never)]
    fn update_set(&mut self, token: Token) {
        match &mut self.state {
            State::Registers(registers) => registers.update(token),
            State::Set(set) => {
                if set.insert(token) {
                    self.leave_set_when_too_large();
                }
            }
        }
    }

    fn leave_set_when_too_large(&mut self) {
        if let State::Set(set) = &self.state
            && set.len() > self.lg_k.exact_max()
        {
            self.state = State::Registers(densified(self.lg_k, set));
        }
    }
}

/// Equal when they hold the same values at the same precision, as their snapshots are.
impl PartialEq for Distinct {
    fn eq(&self, other: &Self) -> bool {
        self.lg_k == other.lg_k
            && match (&self.state, &other.state) {
                (State::Set(a), State::Set(b)) => {
                    a.len() == b.len() && a.iter().all(|token| b.contains(token))
                }
                (State::Registers(a), State::Registers(b)) => a.bytes() == b.bytes(),
                (State::Set(_), State::Registers(_)) | (State::Registers(_), State::Set(_)) => false,
            }
    }
}

impl Eq for Distinct {}

impl std::fmt::Debug for Distinct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.estimate(0.95).value;
        f.debug_struct("Distinct")
            .field("sketch", &self.sketch_name())
            .field("value", &value)
            .finish_non_exhaustive()
    }
}

/// The registers that have seen the tokens of a set.
fn densified(lg_k: LgK, set: &TokenSet) -> Registers {
    let mut registers = Registers::new(lg_k.get());
    set.iter().for_each(|token| registers.update(token));
    registers
}

/// log2 of the number of registers K, 4..=21: the range that DataSketches accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LgK(u8);

impl LgK {
    /// 16 registers.
    pub const MIN: LgK = LgK(4);
    /// 2,097,152 registers.
    pub const MAX: LgK = LgK(21);

    /// Checks the range.
    ///
    /// # Errors
    /// [`LgKError`] outside 4..=21.
    pub fn new(lg_k: u8) -> Result<LgK, LgKError> {
        if (LgK::MIN.0..=LgK::MAX.0).contains(&lg_k) { Ok(LgK(lg_k)) } else { Err(LgKError(lg_k)) }
    }

    /// The coarsest precision whose estimates are within `error` (0.01 is 1 %) of the truth at this confidence, or the
    /// finest there is. A confidence of 0.683 asks for one sigma.
    pub fn for_relative_error(error: f64, confidence: f64) -> LgK {
        let sigma = error / z_of(confidence);
        (LgK::MIN.0..LgK::MAX.0).map(LgK).find(|lg_k| lg_k.relative_error() <= sigma).unwrap_or(LgK::MAX)
    }

    /// The plain number, 4..=21.
    pub fn get(self) -> u8 {
        self.0
    }

    /// K, the number of registers and of their bytes.
    pub fn registers(self) -> usize {
        1 << self.0
    }

    /// How many distinct values are counted exactly: three quarters of K/8, so that the table of eight-byte
    /// slots never takes more than the K bytes of the registers. For lg K below 7 the smallest table is
    /// larger than that and is filled all the same: 12 values in 16 slots.
    pub fn exact_max(self) -> usize {
        (self.registers() / 8 * 3 / 4).max(12)
    }

    /// Relative standard error of the estimate beyond the exact mode: one sigma (68 %, not 95 %), 1.03896/√K
    /// times (1 + 1.079/K). It is an upper bound: with fewer than some 5K values the error is smaller,
    /// 0.73/√K at first.
    pub fn relative_error(self) -> f64 {
        estimator::relative_error(self.0)
    }
}

/// A precision outside 4..=21.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LgKError(pub u8);

impl std::fmt::Display for LgKError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "lg K is {}, but it goes from {} to {}", self.0, LgK::MIN.0, LgK::MAX.0)
    }
}

impl std::error::Error for LgKError {}

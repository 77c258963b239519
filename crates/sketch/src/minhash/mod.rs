//! How alike are two sets: MinHash by one permutation (Li, Owen & Zhang 2012), a sketch whose merge is the union.
//!
//! The mixed 64-bit hash of a token is its place in one random permutation of all values. The upper lg K bits choose one
//! of K bins, which keeps the smallest hash it saw: O(1) a value, where the classic form takes K hashes. Two sets have
//! the same value in a bin exactly when the smallest of their union there is in both, and the smallest ones of all bins
//! are a fair sample of the union. So of the `m` bins that either set reached the part that agrees estimates the Jaccard
//! similarity J = |A∩B|/|A∪B| without bias, with a variance of at most J(1−J)/m.
//!
//! **Bounds** of [`MinHash::jaccard`]: agreeing bins are drawn from the union without replacement, which scatters less than
//! the binomial law of `m` and J. The interval is that law's exact one (Clopper & Pearson 1934), so it holds with at
//! least the confidence asked for, near 0 and 1 too, where normal intervals have no width.
//!
//! **Bins that nothing reached.** A pair of sketches leaves out the bins that are empty in both and pays with a smaller
//! `m`. That is the whole price: nothing is filled in, so none of the noise that densification adds is in an estimate. Only
//! a signature for locality-sensitive hashing ([`MinHash::signature`], [`MinHash::bands`]) has to say something about every
//! bin without knowing the other set: empty bins borrow then, see `banding.rs`. The state never holds borrowed values, so
//! a merge stays exact.
//!
//! **Exact small mode.** Up to ¾K distinct values the tokens themselves are kept, in no more memory than the bins; the
//! similarity of two such sets is exact.
//!
//! **Laws, of whole snapshots, byte for byte.** Order and repetition do not matter; a merge (the smaller of two bins)
//! equals one sketch over the union; folding to half of the bins (the smaller of two neighbours) commutes with both. The
//! number of distinct values alone decides on the mode.
//!
//! **Left out:** weights (a multiset counts once), b-bit signatures, an index of bands, and the intersection of more than two
//! sets, for which [`crate::theta`] is made.

mod banding;
mod bytes;

use crate::estimate::{Estimate, possible, z_of};
use crate::hash::Token;
use crate::hll::set::TokenSet;
use crate::{Health, Incompatible, MergeNote, interval};
pub use banding::{Banding, BandingError};
use std::borrow::Cow;

/// A bin that nothing reached. One token of 2^64 has this hash; it is lost among K bins and more.
const EMPTY: u64 = u64::MAX;

/// A set of values by the smallest hash in each of K bins, exact while small.
///
/// ```
/// use sketch::Token;
/// use sketch::minhash::{LgK, MinHash};
///
/// let of = |range: std::ops::Range<i64>| {
///     let mut set = MinHash::new(LgK::new(7)?);
///     range.for_each(|value| set.update(Token::of_i64(value)));
///     Ok::<_, sketch::minhash::LgKError>(set)
/// };
/// let (a, b) = (of(0..3_000)?, of(1_000..4_000)?);
/// let alike = a.jaccard(&b, 0.99);
/// assert!(alike.low <= 0.5 && 0.5 <= alike.high);
/// assert!((alike.value - 0.5).abs() < 0.15);
///
/// // A few values are compared exactly.
/// assert_eq!(of(0..30)?.jaccard(&of(10..40)?, 0.99), sketch::Estimate::exact(0.5));
/// # Ok::<(), sketch::minhash::LgKError>(())
/// ```
#[derive(Clone)]
pub struct MinHash {
    lg_k: LgK,
    state: State,
}

/// A set holds at most [`LgK::exact_max`] tokens, bins have seen more.
#[derive(Clone)]
enum State {
    Set(TokenSet),
    /// Bin i holds the smallest mixed hash whose upper lg K bits are i, whole, or [`EMPTY`].
    Bins(Box<[u64]>),
}

impl MinHash {
    /// An empty sketch; grows with its values to at most 8 · K bytes.
    pub fn new(lg_k: LgK) -> MinHash {
        MinHash { lg_k, state: State::Set(TokenSet::default()) }
    }

    /// Takes in a value. O(1), amortised.
    #[inline]
    pub fn update(&mut self, token: Token) {
        match &mut self.state {
            State::Bins(bins) => lower(bins, self.lg_k, token),
            State::Set(_) => self.update_set(token),
        }
    }

    /// Takes in a column of values. O(values).
    pub fn update_all(&mut self, tokens: &[Token]) {
        let mut rest = tokens.iter();
        while let (State::Set(_), Some(&token)) = (&self.state, rest.as_slice().first()) {
            rest.next();
            self.update_set(token);
        }
        if let State::Bins(bins) = &mut self.state {
            rest.for_each(|&token| lower(bins, self.lg_k, token));
        }
    }

    fn update_set(&mut self, token: Token) {
        if let State::Set(set) = &mut self.state
            && set.insert(token)
            && set.len() > self.lg_k.exact_max()
        {
            self.leave_set();
        }
    }

    #[cold]
    fn leave_set(&mut self) {
        if let State::Set(set) = &self.state {
            self.state = State::Bins(bins_of(set, self.lg_k).into_boxed_slice());
        }
    }

    /// Takes in what another sketch has seen: afterwards this one is, byte for byte, one sketch over both. Of two numbers of
    /// bins the smaller stays. O(K).
    ///
    /// # Errors
    /// None today: any two precisions merge. Sketches of differently keyed hashes will be refused here.
    pub fn merge(&mut self, other: &MinHash) -> Result<MergeNote, Incompatible> {
        let (ours, theirs) = (self.lg_k, other.lg_k);
        self.fold(theirs);
        if let (State::Set(_), State::Bins(_)) = (&self.state, &other.state) {
            self.leave_set();
        }
        match (&mut self.state, &other.state) {
            (_, State::Set(theirs)) => theirs.iter().for_each(|token| self.update(token)),
            (State::Bins(a), State::Bins(b)) => {
                // Within a block of bins that are folded the first one that is not empty is the smallest.
                let step = b.len() / a.len();
                for (a, b) in a.iter_mut().zip(b.chunks_exact(step)) {
                    *a = b.iter().fold(*a, |least, &b| least.min(b));
                }
            }
            (State::Set(_), State::Bins(_)) => unreachable!("the set was left above"),
        }
        Ok(if ours == theirs {
            MergeNote::Exact
        } else {
            MergeNote::Folded { from: ours.max(theirs).get(), to: ours.min(theirs).get() }
        })
    }

    /// Lowers the number of bins, as if there had always been so few; does nothing when there are no more already. What
    /// is folded stays folded.
    pub fn fold(&mut self, lg_k: LgK) {
        if lg_k >= self.lg_k {
            return;
        }
        match &mut self.state {
            State::Bins(bins) => *bins = folded(bins, lg_k).into_boxed_slice(),
            State::Set(set) if set.len() > lg_k.exact_max() => {
                self.state = State::Bins(bins_of(set, lg_k).into_boxed_slice());
            }
            State::Set(_) => {}
        }
        self.lg_k = lg_k;
    }

    /// The Jaccard similarity of the two sets: the part of their union that is in both. Exact while both are small; else
    /// within the bounds of the module's head. Two empty sets are alike (1). Sketches of different precision are compared at
    /// the lower one. O(K).
    pub fn jaccard(&self, other: &MinHash, confidence: f64) -> Estimate<f64> {
        if let (State::Set(a), State::Set(b)) = (&self.state, &other.state) {
            let both = a.iter().filter(|&token| b.contains(token)).count();
            let either = a.len() + b.len() - both;
            return Estimate::exact(if either == 0 { 1.0 } else { both as f64 / either as f64 });
        }
        if self.is_empty() || other.is_empty() {
            return Estimate::exact(0.0);
        }
        let lg_k = self.lg_k.min(other.lg_k);
        let (a, b) = (self.bins(lg_k), other.bins(lg_k));
        let (mut either, mut alike) = (0u32, 0u32);
        for (&a, &b) in a.iter().zip(b.iter()) {
            either += u32::from(a.min(b) != EMPTY);
            alike += u32::from(a == b && a != EMPTY);
        }
        let confidence = possible(confidence);
        let (low, high) = interval::share(alike, either, confidence);
        Estimate::probabilistic(f64::from(alike) / f64::from(either), low, high, confidence)
    }

    /// The number of distinct values, a by-product: exact while small, then with a relative standard error of about 1/√K.
    /// An HLL of the same memory is 3.6 times as exact ([`crate::hll`]).
    ///
    /// Within its bin the smallest hash of n/K values is the first event of a Poisson process of that rate, watched up to
    /// the end of the bin: over `x` bins' worth of watching, `d` bins were reached. The value is the likeliest rate `d/x`
    /// times K − 1, the bounds are Garwood's (1936) for `d` events. O(K).
    pub fn distinct(&self, confidence: f64) -> Estimate<f64> {
        let bins = match &self.state {
            State::Set(set) => return Estimate::exact(set.len() as f64),
            State::Bins(bins) => bins,
        };
        let until = |&hash: &u64| match hash {
            EMPTY => 1.0,
            hash => ((hash << self.lg_k.get()) as f64 + 0.5) / 2f64.powi(64),
        };
        let watched: f64 = bins.iter().map(until).sum();
        let (k, reached) = (bins.len() as f64, self.bins_reached() as f64);
        let confidence = possible(confidence);
        let z = z_of(confidence);
        // Half a chi-square quantile of 2d degrees of freedom, by the cubes of Wilson & Hilferty (1931).
        let events = |d: f64, z: f64| d * (1.0 - 1.0 / (9.0 * d) + z / (9.0 * d).sqrt()).max(0.0).powi(3);
        let least = reached.max((self.lg_k.exact_max() + 1) as f64);
        let value = ((k - 1.0) * reached / watched).max(least);
        let low = (k * events(reached, -z) / watched).clamp(least, value);
        Estimate::probabilistic(value, low, (k * events(reached + 1.0, z) / watched).max(value), confidence)
    }

    /// The bins at a precision that is not above ours.
    fn bins(&self, lg_k: LgK) -> Cow<'_, [u64]> {
        match &self.state {
            State::Set(set) => Cow::Owned(bins_of(set, lg_k)),
            State::Bins(bins) if lg_k == self.lg_k => Cow::Borrowed(bins),
            State::Bins(bins) => Cow::Owned(folded(bins, lg_k)),
        }
    }

    fn bins_reached(&self) -> usize {
        self.bins(self.lg_k).iter().filter(|&&hash| hash != EMPTY).count()
    }

    /// The precision.
    pub fn lg_k(&self) -> LgK {
        self.lg_k
    }

    /// True while the values themselves are kept.
    pub fn is_exact(&self) -> bool {
        matches!(self.state, State::Set(_))
    }

    /// True when nothing was taken in.
    pub fn is_empty(&self) -> bool {
        matches!(&self.state, State::Set(set) if set.len() == 0)
    }

    /// What stands behind the answers: `minhash/128`.
    pub fn sketch_name(&self) -> String {
        format!("minhash/{}", self.lg_k.bins())
    }

    /// How much of the set is in use while exact, then the bins that were reached; the error is the standard error of a
    /// similarity of one half over those.
    pub fn health(&self) -> Health {
        match &self.state {
            State::Set(set) => Health::exact(set.len() as f64 / self.lg_k.exact_max() as f64),
            State::Bins(bins) => {
                let reached = self.bins_reached() as f64;
                Health::with_error(reached / bins.len() as f64, 0.5 / reached.sqrt())
            }
        }
    }

    /// Bytes held, by capacity.
    pub fn memory_bytes(&self) -> usize {
        let held = match &self.state {
            State::Set(set) => set.memory_bytes(),
            State::Bins(bins) => size_of_val(&**bins),
        };
        size_of::<MinHash>() + held
    }

    fn is_sound(&self) -> bool {
        match &self.state {
            State::Set(set) => set.len() <= self.lg_k.exact_max(),
            State::Bins(bins) => {
                bins.len() == self.lg_k.bins()
                    && bins.iter().any(|&hash| hash != EMPTY)
                    && bins.iter().enumerate().all(|(i, &hash)| {
                        hash == EMPTY || (bin_of(hash, self.lg_k) == i && unmixed(hash).rank() > 0)
                    })
            }
        }
    }

    /// Asserts what must hold between any two calls; for tests. O(K).
    pub fn check_invariants(&self) {
        if let State::Set(set) = &self.state {
            set.check_invariants();
        }
        assert!(self.is_sound(), "a set that is too large, or a bin with a hash of another one");
    }
}

impl PartialEq for MinHash {
    fn eq(&self, other: &MinHash) -> bool {
        self.lg_k == other.lg_k
            && match (&self.state, &other.state) {
                (State::Set(a), State::Set(b)) => {
                    a.len() == b.len() && a.iter().all(|token| b.contains(token))
                }
                (State::Bins(a), State::Bins(b)) => a == b,
                _ => false,
            }
    }
}

impl Eq for MinHash {}

impl std::fmt::Debug for MinHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.state {
            State::Set(set) => write!(f, "MinHash({}, {} values)", self.sketch_name(), set.len()),
            State::Bins(_) => {
                write!(f, "MinHash({}, {} bins reached)", self.sketch_name(), self.bins_reached())
            }
        }
    }
}

#[inline]
fn bin_of(hash: u64, lg_k: LgK) -> usize {
    (hash >> (64 - u32::from(lg_k.get()))) as usize
}

#[inline]
fn lower(bins: &mut [u64], lg_k: LgK, token: Token) {
    let hash = token.mixed();
    let bin = &mut bins[bin_of(hash, lg_k)];
    // No hash gives rank 0; the set ignores such a token too. Once warm the first question ends it.
    if hash < *bin && token.rank() > 0 {
        *bin = hash;
    }
}

fn bins_of(set: &TokenSet, lg_k: LgK) -> Vec<u64> {
    let mut bins = vec![EMPTY; lg_k.bins()];
    set.iter().for_each(|token| lower(&mut bins, lg_k, token));
    bins
}

fn folded(bins: &[u64], lg_k: LgK) -> Vec<u64> {
    let step = bins.len() / lg_k.bins();
    bins.chunks_exact(step).map(|bins| bins.iter().fold(EMPTY, |least, &hash| least.min(hash))).collect()
}

/// The token that has this mixed hash: the finaliser of MurmurHash3 backwards.
fn unmixed(hash: u64) -> Token {
    // A shift by more than half of the bits is its own inverse; the factors are inverse modulo 2^64.
    let undo = |k: u64, factor: u64| (k ^ k >> 33).wrapping_mul(factor);
    let k = undo(undo(hash, 0x9cb4_b2f8_1293_37db), 0x4f74_430c_22a5_4005);
    Token(k ^ k >> 33)
}

/// log2 of the number of bins K, 4..=12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LgK(u8);

impl LgK {
    /// 16 bins.
    pub const MIN: LgK = LgK(4);
    /// 4,096 bins.
    pub const MAX: LgK = LgK(12);

    /// Checks the range.
    ///
    /// # Errors
    /// [`LgKError`] outside 4..=12.
    pub fn new(lg_k: u8) -> Result<LgK, LgKError> {
        if (LgK::MIN.0..=LgK::MAX.0).contains(&lg_k) { Ok(LgK(lg_k)) } else { Err(LgKError(lg_k)) }
    }

    /// The coarsest precision whose similarities are within `error` of the truth at this confidence, whatever the
    /// similarity, or the finest there is.
    pub fn for_error(error: f64, confidence: f64) -> LgK {
        let sigma = error / z_of(confidence);
        (LgK::MIN.0..LgK::MAX.0).map(LgK).find(|lg_k| lg_k.standard_error() <= sigma).unwrap_or(LgK::MAX)
    }

    /// The plain number, 4..=12.
    pub fn get(self) -> u8 {
        self.0
    }

    /// K, the number of bins of eight bytes.
    pub fn bins(self) -> usize {
        1 << self.0
    }

    /// How many distinct values are kept as they are: their table of eight-byte slots, three quarters full, takes what the
    /// bins would.
    pub fn exact_max(self) -> usize {
        self.bins() * 3 / 4
    }

    /// Standard error of a similarity of one half, the largest there is, once all bins are reached: 1/(2√K). One sigma (68 %).
    /// For a similarity J it is √(J(1−J)/K).
    pub fn standard_error(self) -> f64 {
        0.5 / (self.bins() as f64).sqrt()
    }
}

/// A precision outside 4..=12.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LgKError(pub u8);

impl std::fmt::Display for LgKError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "lg K is {}, but it goes from {} to {}", self.0, LgK::MIN.0, LgK::MAX.0)
    }
}

impl std::error::Error for LgKError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_is_undone() {
        for i in 0..10_000i64 {
            let token = Token::of_i64(i);
            assert_eq!(unmixed(token.mixed()), token);
        }
        assert_eq!(unmixed(Token(u64::MAX).mixed()), Token(u64::MAX));
    }

    #[test]
    fn the_coarsest_precision_that_is_fine_enough_is_taken() {
        for (error, bins) in [(1.0, 16), (0.125, 16), (0.12, 32), (0.05, 128), (0.01, 4_096), (0.001, 4_096)]
        {
            assert_eq!(LgK::for_error(error, 0.682).bins(), bins, "{error}");
        }
        assert_eq!(LgK::new(13), Err(LgKError(13)));
        assert_eq!(LgKError(3).to_string(), "lg K is 3, but it goes from 4 to 12");
    }
}

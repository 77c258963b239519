//! How many distinct values, and how many in two sets at once: the K smallest hashes.
//!
//! A value has a 63-bit hash (`hash::theta_hash_of_*`, that of Apache DataSketches). Kept are the hashes below a threshold
//! θ. As long as there are no more than K of them θ is 1 and all are kept; then θ is the (K+1)-th smallest hash and the K
//! below it are kept. Among n uniform numbers the (K+1)-th smallest lies near K/n, so K/θ estimates n, without bias and
//! with a relative standard error of 1/√(K−1) (Bar-Yossef et al. 2002; Dasgupta, Lang, Rhodes & Thaler, *A Framework for
//! Estimating Stream Expression Cardinalities*, 2016). Two sketches, cut to the smaller θ, are uniform samples of two
//! sets at one rate: what is in both, or in one only, is counted and divided by θ.
//!
//! **Law, of whole bytes:** order does not matter, a merge equals one sketch over all values, and folding to a smaller K
//! commutes with both. The table holds up to 1.5 K hashes before it is cut, and when that happens depends on the
//! order; but every view of it (bytes, estimates, set operations, equality) is that of the K smallest. DataSketches' own
//! updatable sketches show whatever is in the table.
//!
//! **Bounds.** θ being given, the values below it among n are binomial, so n is to c of them what the number of trials is
//! to c successes. The interval is the exact one (Clopper & Pearson 1934): from the lower quantile of the negative binomial
//! law for c successes to the upper one for c + 1. It holds with at least the confidence asked for, also where few are kept
//! of a thin intersection, and more confidence never makes it narrower.
//!
//! **Left out:** writing the compressed image of DataSketches (it is read), images of versions before 3, and up-front
//! sampling.

mod image;
mod ops;
mod table;

use crate::codec::{Limits, Reader, expect_head, kind};
use crate::estimate::{possible, z_of};
pub use crate::hll::LgK;
use crate::{DecodeError, Estimate, Health, Incompatible, MergeNote, interval};
pub use image::ImageError;
use table::{Table, slots_for};

const VERSION: u8 = 1;

/// θ = 1: nothing was cut off. Hashes have 63 bits.
const THETA_MAX: u64 = i64::MAX as u64;

/// A set of values that can be counted, merged, intersected and subtracted.
///
/// Exact up to K = 2^lg K values, then within a relative standard error of 1/√(K−1) (1.56 % for lg K = 12). Needs at most
/// 16 K bytes.
///
/// ```
/// use sketch::hash::theta_hash_of_i64;
/// use sketch::theta::{LgK, Theta};
///
/// let audience = |ids: std::ops::Range<i64>| {
///     let mut theta = Theta::new(LgK::new(12).unwrap());
///     ids.for_each(|id| theta.update(theta_hash_of_i64(id)));
///     theta
/// };
/// let (saw, bought) = (audience(0..100_000), audience(90_000..120_000));
/// let both = saw.intersect(&bought).estimate(0.95);
/// assert!(both.low < 10_000.0 && 10_000.0 < both.high);
/// assert_eq!(audience(0..500).without(&audience(100..500)).estimate(0.95).value, 100.0);
/// ```
#[derive(Clone)]
pub struct Theta {
    lg_k: LgK,
    /// Every hash seen below θ is in the table, no other.
    theta: u64,
    table: Table,
}

impl Theta {
    /// The empty set, to be kept exactly up to 2^`lg_k` values. Allocates nothing.
    pub fn new(lg_k: LgK) -> Theta {
        Theta { lg_k, theta: THETA_MAX, table: Table::new(THETA_MAX) }
    }

    /// Takes in one value by its theta hash. Amortised O(1); once warm, almost every hash is above θ and costs one
    /// comparison.
    #[inline]
    pub fn update(&mut self, hash: u64) {
        if hash < self.theta {
            self.insert(hash);
        }
    }

    /// Takes in a batch of values.
    pub fn update_all(&mut self, hashes: &[u64]) {
        hashes.iter().for_each(|&hash| self.update(hash));
    }

    #[inline(never)]
    fn insert(&mut self, hash: u64) {
        if self.table.len() == self.table_max() {
            self.cut();
        }
        // No value should have hash 0, and DataSketches skips it too; as a slot it means empty.
        if hash != 0 && hash < self.theta {
            self.table.insert(hash);
        }
    }

    /// Keeps the K smallest.
    fn cut(&mut self) {
        if self.table.len() > self.k() {
            let (hashes, theta) = self.smallest();
            self.table = Table::of(&hashes, theta);
            self.theta = theta;
        }
    }

    /// The canonical state: the K smallest hashes, in no order, and θ. O(K).
    fn smallest(&self) -> (Vec<u64>, u64) {
        let mut hashes: Vec<u64> = self.table.iter().collect();
        let k = self.k();
        if hashes.len() <= k {
            return (hashes, self.theta);
        }
        let theta = *hashes.select_nth_unstable(k).1;
        hashes.truncate(k);
        (hashes, theta)
    }

    fn smallest_sorted(&self) -> (Vec<u64>, u64) {
        let (mut hashes, theta) = self.smallest();
        hashes.sort_unstable();
        (hashes, theta)
    }

    /// Unites with another set. The result has the smaller lg K of the two, also when one is empty.
    ///
    /// Afterwards the state is, byte for byte, that of one sketch with this lg K over all values. O(K).
    ///
    /// # Errors
    /// None today: any two precisions merge. Sketches of differently keyed hashes will be refused here.
    pub fn merge(&mut self, other: &Theta) -> Result<MergeNote, Incompatible> {
        let note = self.prepare(other.lg_k, other.theta, other.table.len());
        other.table.below(self.theta).for_each(|hash| self.update(hash));
        Ok(note)
    }

    /// Unites with a set in the bytes that [`Theta::snapshot`] wrote, the same as restoring and merging it, without building
    /// it: when many are united, all but a few hashes of each are beyond θ by then. Leaves the reader behind the bytes.
    ///
    /// # Errors
    /// [`DecodeError`] as [`Theta::restore`]; nothing is changed then.
    pub fn merge_snapshot(&mut self, r: &mut Reader<'_>, limits: &Limits) -> Result<MergeNote, DecodeError> {
        let image = Image::read(r, limits)?;
        let note = self.prepare(image.lg_k, image.theta, image.hashes.len());
        for hash in image.hashes() {
            if hash >= self.theta {
                break;
            }
            self.update(hash);
        }
        Ok(note)
    }

    /// Brings precision and θ down to those of a set of `len` hashes that is to be merged, and makes room for it.
    fn prepare(&mut self, lg_k: LgK, theta: u64, len: usize) -> MergeNote {
        let (ours, theirs) = (self.lg_k, lg_k);
        self.fold(theirs);
        self.lower(theta);
        self.table.reserve((self.table.len() + len).min(self.table_max()));
        if ours == theirs {
            MergeNote::Exact
        } else {
            MergeNote::Folded { from: ours.max(theirs).get(), to: ours.min(theirs).get() }
        }
    }

    /// Lowers θ: what is not below it leaves.
    fn lower(&mut self, theta: u64) {
        if theta < self.theta {
            self.theta = theta;
            self.table = Table::of(&self.table.below(theta).collect::<Vec<_>>(), theta);
        }
    }

    /// Lowers the precision to `lg_k`; does nothing when it is not above that already.
    ///
    /// The state is then the one that a sketch of this lg K would have had from the start.
    pub fn fold(&mut self, lg_k: LgK) {
        if lg_k < self.lg_k {
            self.lg_k = lg_k;
            self.cut();
        }
    }

    /// The number of distinct values, with bounds at this confidence (see the head of the module). O(K) beyond the exact
    /// mode.
    pub fn estimate(&self, confidence: f64) -> Estimate<f64> {
        let (kept, theta) = if self.table.len() > self.k() {
            (self.k(), self.smallest().1)
        } else {
            (self.table.len(), self.theta)
        };
        if theta == THETA_MAX { Estimate::exact(kept as f64) } else { bounds(kept, theta, confidence) }
    }

    /// True while the number is exact.
    pub fn is_exact(&self) -> bool {
        self.theta == THETA_MAX && self.table.len() <= self.k()
    }

    /// True when it is certain that no value is in the set.
    pub fn is_empty(&self) -> bool {
        self.theta == THETA_MAX && self.table.len() == 0
    }

    /// The precision.
    pub fn lg_k(&self) -> LgK {
        self.lg_k
    }

    fn k(&self) -> usize {
        1 << self.lg_k.get()
    }

    /// Hashes in the table before it is cut: three quarters of its slots then.
    fn table_max(&self) -> usize {
        self.k() / 2 * 3
    }

    /// The coarsest precision whose estimates of a union are within `error` (0.01 is 1 %) of the truth at this confidence,
    /// or the finest there is.
    pub fn lg_k_for(error: f64, confidence: f64) -> LgK {
        let sigma = error / z_of(confidence);
        let sizes = (LgK::MIN.get()..LgK::MAX.get()).filter_map(|lg_k| LgK::new(lg_k).ok());
        sizes.into_iter().find(|&lg_k| Theta::relative_error(lg_k) <= sigma).unwrap_or(LgK::MAX)
    }

    /// Relative standard error of the estimate beyond the exact mode, one sigma: 1/√(K−1).
    pub fn relative_error(lg_k: LgK) -> f64 {
        1.0 / (f64::from(1u32 << lg_k.get()) - 1.0).sqrt()
    }

    /// What stands behind the number, for answers: `hash-set`, or `theta/12`.
    pub fn sketch_name(&self) -> String {
        if self.is_exact() { "hash-set".to_owned() } else { format!("theta/{}", self.lg_k.get()) }
    }

    /// Hashes kept of the K that there is room for; the error is [`Theta::relative_error`].
    pub fn health(&self) -> Health {
        let fill = self.table.len() as f64 / self.k() as f64;
        if self.is_exact() {
            Health::exact(fill)
        } else {
            Health::with_error(fill, Theta::relative_error(self.lg_k))
        }
    }

    /// Bytes held. Not a function of the set alone: the table may hold what the next cut takes away.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Theta>() + self.table.memory_bytes()
    }

    /// Appends the snapshot, 15 + 8n bytes for n hashes kept: canonical, a function of the set of values and lg K.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        if cfg!(debug_assertions) {
            self.check_invariants();
        }
        let (hashes, theta) = self.smallest_sorted();
        out.extend_from_slice(&[kind::THETA, VERSION, self.lg_k.get()]);
        out.extend_from_slice(&theta.to_le_bytes());
        out.extend_from_slice(&(hashes.len() as u32).to_le_bytes());
        out.extend(hashes.iter().flat_map(|hash| hash.to_le_bytes()));
    }

    /// Reads what [`Theta::snapshot`] wrote and leaves the reader behind it. Survives any bytes and allocates in
    /// proportion to what it reads.
    ///
    /// # Errors
    /// [`DecodeError`]: the bytes end early, a table of the hashes is beyond the limit, θ is above 2^63 − 1, there are more than K hashes,
    /// or they do not ascend from 1 to below θ.
    pub fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<Theta, DecodeError> {
        let image = Image::read(r, limits)?;
        Ok(Theta {
            lg_k: image.lg_k,
            theta: image.theta,
            table: Table::of_ascending(image.hashes(), image.theta),
        })
    }

    /// For tests, and before every snapshot in debug builds.
    ///
    /// # Panics
    /// When the structure is broken, which would be a bug.
    pub fn check_invariants(&self) {
        self.table.check_invariants();
        assert!(self.table.len() <= self.table_max(), "the table is cut in time");
        assert!(self.theta <= THETA_MAX, "theta is a share of 63 bits");
        assert!(self.table.iter().all(|hash| hash < self.theta), "what is kept lies below theta");
    }
}

/// Equal when they hold the same hashes at the same precision, as their snapshots are.
impl PartialEq for Theta {
    fn eq(&self, other: &Self) -> bool {
        self.lg_k == other.lg_k && self.smallest_sorted() == other.smallest_sorted()
    }
}

impl Eq for Theta {}

impl std::fmt::Debug for Theta {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.estimate(0.95).value;
        f.debug_struct("Theta")
            .field("sketch", &self.sketch_name())
            .field("value", &value)
            .finish_non_exhaustive()
    }
}

/// How many values there are when `kept` of them lie below θ < 1.
fn bounds(kept: usize, theta: u64, confidence: f64) -> Estimate<f64> {
    let share = theta as f64 / (THETA_MAX as f64 + 1.0);
    let value = kept as f64 / share;
    // A θ nearer to 1 has no set that can be held: one value of 2^40 is above it.
    let chance = share.min(1.0 - 1e-12);
    let (low, high) = interval::trials(kept as u32, chance, possible(confidence));
    Estimate::probabilistic(value, low.min(value), high.max(value), confidence)
}

/// A snapshot that was looked at and found sound, still in its bytes.
struct Image<'a> {
    lg_k: LgK,
    theta: u64,
    hashes: &'a [[u8; 8]],
}

impl<'a> Image<'a> {
    fn read(r: &mut Reader<'a>, limits: &Limits) -> Result<Image<'a>, DecodeError> {
        expect_head(r, kind::THETA, VERSION, "not a theta of version 1")?;
        let lg_k = LgK::new(r.u8()?).map_err(|_| DecodeError::Invalid("lg K outside 4..=21"))?;
        let theta = r.u64()?;
        let count = r.count("theta hashes", 1 << lg_k.get(), 8)?;
        allow_hashes(count, limits)?;
        let hashes = r.bytes(count * 8)?.as_chunks::<8>().0;
        check_hashes(hashes.iter().map(|&hash| u64::from_le_bytes(hash)), theta)
            .map_err(DecodeError::Invalid)?;
        Ok(Image { lg_k, theta, hashes })
    }

    /// Ascending.
    fn hashes(&self) -> impl ExactSizeIterator<Item = u64> + use<'a> {
        self.hashes.iter().map(|&hash| u64::from_le_bytes(hash))
    }
}

/// What is built is a table of the hashes there are, however large K is.
fn allow_hashes(count: usize, limits: &Limits) -> Result<(), DecodeError> {
    limits.allow("slots for theta hashes", slots_for(count) as u64, size_of::<u64>())
}

fn read_hashes(r: &mut Reader<'_>, count: usize) -> Result<Vec<u64>, DecodeError> {
    let (hashes, _) = r.bytes(count * 8)?.as_chunks::<8>();
    Ok(hashes.iter().map(|hash| u64::from_le_bytes(*hash)).collect())
}

/// Hashes ascend from 1 to below θ. Without a branch for each: they do almost always.
fn check_hashes(mut hashes: impl Iterator<Item = u64>, theta: u64) -> Result<(), &'static str> {
    if theta == 0 || theta > THETA_MAX {
        return Err("theta outside 1..=2^63-1");
    }
    let Some(first) = hashes.next() else { return Ok(()) };
    let mut ascend = true;
    let last = hashes.fold(first, |before, hash| {
        ascend &= before < hash;
        hash
    });
    if !ascend {
        return Err("theta hashes do not ascend");
    }
    if first == 0 || last >= theta {
        return Err("a theta hash outside 1..theta");
    }
    Ok(())
}

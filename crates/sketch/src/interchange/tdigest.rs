//! The t-digest of Apache DataSketches.
//!
//! Values are kept as centroids, mean and weight, small near the extremes and large in the middle (Dunning, *The t-digest*,
//! arXiv 1902.04023). Between them an answer interpolates. There is no bound on its error for any input, and the digest depends
//! on the order of its values and on the merge tree, so every answer says [`Guarantee::None`]. What is certain are the
//! extremes and the number of values. Languages interpolate differently: equal bytes need not give equal quantiles.
//!
//! **Laws:** the same operations in the same order give the same bytes (on one platform: logarithms may differ in their
//! last bit), and a restored digest goes on as if nothing had happened. For that, values wait here, outside the crate's own buffer, and the
//! crate sees them in full batches, as it would merge them by itself.
//!
//! **Left out:** NaN and infinities (ignored, as over there), the single-precision image, the format of the reference
//! implementation (big-endian, without a head), the buffer in written images.

use datasketches::tdigest::{TDigest as Frozen, TDigestMut};

use crate::codec::{Limits, Reader, expect_head, kind};
use crate::{DecodeError, Estimate, Guarantee, Health, Incompatible, MergeNote};

const VERSION: u8 = 1;

/// Constants of the image.
mod ds {
    pub const SERIAL_VERSION: u8 = 1;
    pub const FAMILY_T_DIGEST: u8 = 20;
    pub const EMPTY: u8 = 1;
    pub const SINGLE: u8 = 2;
    pub const CENTROID_BYTES: usize = 16;
}

/// Quantiles of a stream without a promise. See the head of the module.
///
/// ```
/// use sketch::{Limits, interchange::TDigest};
///
/// let mut latency = TDigest::new(100)?;
/// (1..=10_000).for_each(|ms| latency.update(f64::from(ms)));
/// let p99 = latency.quantile(0.99).unwrap();
/// assert!((p99.value - 9_900.0).abs() < 50.0);
/// let image = latency.to_datasketches();
/// let read = TDigest::from_datasketches(&image, &Limits::default()).unwrap();
/// assert_eq!(read.quantile(0.99), Some(p99));
/// # Ok::<(), sketch::interchange::KError>(())
/// ```
#[derive(Clone)]
pub struct TDigest {
    /// Without anything in its buffer.
    inner: TDigestMut,
    /// Values that are not in it yet, at most [`waiting_max`] of them.
    waiting: Vec<f64>,
}

impl TDigest {
    /// An empty digest. `k` is about a third of the centroids kept at most (2k + 10); 100 is the default of Java, 200 that
    /// of C++ and Rust.
    ///
    /// # Errors
    /// [`KError`] below 10.
    pub fn new(k: u16) -> Result<TDigest, KError> {
        let inner = TDigestMut::new(k).map_err(|_| KError(k))?;
        Ok(TDigest { inner, waiting: Vec::new() })
    }

    /// Takes in one value. Amortised O(log k). NaN and infinities are ignored, and what would pass a weight of 2^64 − 1.
    pub fn update(&mut self, value: f64) {
        if !value.is_finite() || self.count() == u64::MAX {
            return;
        }
        if self.waiting.len() == waiting_max(self.k()) {
            self.settle();
        }
        self.waiting.push(value);
    }

    /// Takes in a batch of values.
    pub fn update_all(&mut self, values: &[f64]) {
        values.iter().for_each(|&value| self.update(value));
    }

    /// Takes in what another digest has seen. The result has the smaller k of the two unless one is empty: then it
    /// is the other one.
    ///
    /// # Errors
    /// When the two weights together exceed 64 bits; nothing is changed then.
    pub fn merge(&mut self, other: &TDigest) -> Result<MergeNote, Incompatible> {
        let (ours, theirs) = (self.count(), other.count());
        if ours.checked_add(theirs).is_none() {
            return Err(Incompatible { what: "total weight", ours, theirs });
        }
        if other.is_empty() {
            return Ok(MergeNote::Exact);
        }
        if self.is_empty() {
            *self = other.clone();
            return Ok(MergeNote::Exact);
        }
        let mut other = other.clone();
        self.settle();
        other.settle();
        if other.k() < self.k() {
            let larger = std::mem::replace(&mut self.inner, other.inner);
            self.inner.merge(&larger);
        } else {
            self.inner.merge(&other.inner);
        }
        Ok(MergeNote::Exact)
    }

    /// The value of rank `q`, clamped to 0..=1; `None` while empty or for NaN. `low` and `high` are the extremes, which are
    /// exact; nothing is known in between, and the confidence is 0. O(k log k): what waits is sorted for every question.
    pub fn quantile(&self, q: f64) -> Option<Estimate<f64>> {
        if q.is_nan() {
            return None;
        }
        let frozen = self.frozen();
        let value = frozen.quantile(q.clamp(0.0, 1.0)).ok()??;
        Some(unpromised(value, frozen.min_value()?, frozen.max_value()?))
    }

    /// The share of values below `value`, with half of those equal to it; `None` while empty or for NaN. Without a promise.
    pub fn rank(&self, value: f64) -> Option<Estimate<f64>> {
        let rank = self.frozen().rank(value).ok()??;
        Some(unpromised(rank, 0.0, 1.0))
    }

    /// The smallest value, exact.
    pub fn min(&self) -> Option<f64> {
        self.waiting.iter().copied().chain(self.inner.min_value()).reduce(f64::min)
    }

    /// The largest value, exact.
    pub fn max(&self) -> Option<f64> {
        self.waiting.iter().copied().chain(self.inner.max_value()).reduce(f64::max)
    }

    /// The number of values, exact.
    pub fn count(&self) -> u64 {
        // Neither an update nor a snapshot lets the sum pass 64 bits.
        self.inner.total_weight().saturating_add(self.waiting.len() as u64)
    }

    /// True when no value was seen.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// The compression.
    pub fn k(&self) -> u16 {
        self.inner.k()
    }

    /// What stands behind the number, for answers: `t-digest/100`.
    pub fn sketch_name(&self) -> String {
        format!("t-digest/{}", self.k())
    }

    /// Bytes held, by capacity.
    pub fn memory_bytes(&self) -> usize {
        size_of::<TDigest>() + self.inner.estimated_size() + self.waiting.capacity() * size_of::<f64>()
    }

    /// How it is doing: no theory says.
    pub fn health(&self) -> Health {
        let fill = self.waiting.len() as f64 / waiting_max(self.k()) as f64;
        Health { exact: self.is_empty(), fill, error: None, saturated: self.count() == u64::MAX }
    }

    /// For tests.
    ///
    /// # Panics
    /// When the structure is broken, which would be a bug.
    pub fn check_invariants(&self) {
        assert!(self.waiting.len() <= waiting_max(self.k()), "no more values wait than a batch has");
        assert!(self.waiting.iter().all(|value| value.is_finite()), "what waits is finite");
        let image = image_of(&self.inner);
        let read = decode(&image, &Limits::bytes(usize::MAX));
        assert!(read.is_ok_and(|read| image_of(&read) == image), "its own image is read back");
    }

    /// The double-precision image that Apache DataSketches reads in Java, C++, Go, Python and Rust.
    pub fn to_datasketches(&self) -> Vec<u8> {
        let mut settled = self.clone();
        settled.settle();
        image_of(&settled.inner)
    }

    /// Reads a double-precision image of Apache DataSketches, with or without buffered values. Survives any bytes.
    ///
    /// # Errors
    /// [`DecodeError`]: other bytes, more centroids than `limits` allow, or centroids that no writer produces.
    pub fn from_datasketches(image: &[u8], limits: &Limits) -> Result<TDigest, DecodeError> {
        if image_bytes(&mut Reader::new(image))? != image.len() as u64 {
            return Err(DecodeError::Invalid("bytes after the end"));
        }
        // Freezing takes the buffer in.
        let inner = decode(image, limits)?.freeze().unfreeze();
        Ok(TDigest { inner, waiting: Vec::new() })
    }

    /// Appends the snapshot: two bytes, the image of what is settled, and what waits.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[kind::T_DIGEST, VERSION]);
        out.extend_from_slice(&image_of(&self.inner));
        out.extend_from_slice(&(self.waiting.len() as u32).to_le_bytes());
        out.extend(self.waiting.iter().flat_map(|value| value.to_le_bytes()));
    }

    /// Reads what [`TDigest::snapshot`] wrote and leaves the reader behind it.
    ///
    /// # Errors
    /// As [`TDigest::from_datasketches`], and bytes that would not be written again as they are.
    pub fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<TDigest, DecodeError> {
        expect_head(r, kind::T_DIGEST, VERSION, "not a t-digest snapshot of version 1")?;
        let len = image_bytes(&mut r.clone())?;
        let image = r.bytes(usize::try_from(len).map_err(|_| DecodeError::Truncated)?)?;
        let inner = decode(image, limits)?;
        if image_of(&inner) != image {
            return Err(DecodeError::Invalid("a t-digest image that is not the one written"));
        }
        let count = r.count("values that wait", waiting_max(inner.k()), size_of::<f64>())?;
        limits.allow("values that wait", count as u64, size_of::<f64>())?;
        let mut waiting = Vec::with_capacity(count);
        for _ in 0..count {
            waiting.push(r.f64()?);
        }
        if waiting.iter().any(|value| !value.is_finite()) {
            return Err(DecodeError::Invalid("a value that is not finite"));
        }
        if inner.total_weight().checked_add(count as u64).is_none() {
            return Err(DecodeError::Invalid("total weight of a t-digest"));
        }
        Ok(TDigest { inner, waiting })
    }

    /// Takes in what waits.
    fn settle(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        // The crate's own buffer holds a whole batch, so it merges once, when it is frozen.
        for value in self.waiting.drain(..) {
            self.inner.update(value);
        }
        // Only the kind of the empty value matters here.
        let inner = std::mem::take(&mut self.inner);
        self.inner = inner.freeze().unfreeze();
    }

    fn frozen(&self) -> Frozen {
        let mut settled = self.clone();
        settled.settle();
        settled.inner.freeze()
    }
}

/// As many as the crate buffers before it merges: four times the centroids that it keeps.
fn waiting_max(k: u16) -> usize {
    (usize::from(k) * 2 + if k < 30 { 30 } else { 10 }) * 4
}

fn unpromised(value: f64, low: f64, high: f64) -> Estimate<f64> {
    Estimate { value, low, high, confidence: 0.0, guarantee: Guarantee::None }
}

/// Of a digest with nothing in its buffer, which writing does not change then.
fn image_of(inner: &TDigestMut) -> Vec<u8> {
    inner.clone().serialize()
}

/// The length that the head of an image declares.
fn image_bytes(r: &mut Reader<'_>) -> Result<u64, DecodeError> {
    let head = r.bytes(8)?;
    if head[1] != ds::SERIAL_VERSION || head[2] != ds::FAMILY_T_DIGEST {
        return Err(DecodeError::Invalid("not a t-digest image of version 1"));
    }
    if head[5] & ds::EMPTY != 0 {
        return Ok(8);
    }
    if head[5] & ds::SINGLE != 0 {
        return Ok(16);
    }
    let (centroids, buffered) = (u64::from(r.u32()?), u64::from(r.u32()?));
    Ok(32 + centroids * ds::CENTROID_BYTES as u64 + buffered * 8)
}

/// The crate checks order, extremes and the sum of weights; what it allocates follows from bytes at hand.
fn decode(image: &[u8], limits: &Limits) -> Result<TDigestMut, DecodeError> {
    let len = image_bytes(&mut Reader::new(image))?;
    if len > image.len() as u64 {
        return Err(DecodeError::Truncated);
    }
    // A buffered value becomes a centroid.
    limits.allow("bytes of centroids", len * 2, 1)?;
    TDigestMut::deserialize(image).map_err(|_| DecodeError::Invalid("a t-digest image"))
}

/// Equal when their snapshots are.
impl PartialEq for TDigest {
    fn eq(&self, other: &TDigest) -> bool {
        let of = |digest: &TDigest| {
            let mut bytes = Vec::new();
            digest.snapshot(&mut bytes);
            bytes
        };
        of(self) == of(other)
    }
}

impl std::fmt::Debug for TDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TDigest")
            .field("sketch", &self.sketch_name())
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

/// A compression below 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KError(pub u16);

impl std::fmt::Display for KError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "k of a t-digest is {}, but it starts at 10", self.0)
    }
}

impl std::error::Error for KError {}

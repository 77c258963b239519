//! Compressed Probabilistic Counting of Apache DataSketches.
//!
//! K rows of 64 bits; a value sets the bit of its rank in the row of its index, both cut from the token as for HLL. A
//! *coupon* is a bit that is set, and their number C says how many values there were (Lang, *Back to the Future: an Even
//! More Nearly Optimal Cardinality Estimation Algorithm*, arXiv 1708.06839). In the image the bits take little more than
//! their entropy: some 0.6 K bytes.
//!
//! **Estimate.** Of one stream by historic inverse probability, relative standard error √(ln 2 / 2)/√K = 0.589/√K; of a
//! merge by C alone (ICON), ln 2/√K = 0.693/√K.
//!
//! **Laws.** The set of coupons does not depend on order or merge tree; the bytes do, by the history that HIP keeps. Two
//! merged sketches of the same values have equal bytes while nothing is updated after.
//!
//! **Hostile bytes** cannot make it panic: the crate's assertions hold for coupons as hashes give them, so an image is
//! refused whose coupons are not those that it declares, or more of them surprising than 3 K (a surprising coupon is
//! one that its number C lets expect the other way round; there are some 0.1 K). What the history says cannot be checked: one that is no
//! number is left aside, and any other is believed. Hostile *values* can, as the seed of the hash is
//! public: some 24 K values with ranks made to measure break an assertion. Keep it for your own files.
//!
//! **Left out:** folding to a smaller K, lg K above 21, other seeds than 9001, and confidence beyond three deviations.

use datasketches::common::NumStdDev;
use datasketches::cpc::{CpcSketch, CpcUnion};
use datasketches::hash::value::raw_bytes;

use super::LgK;
use crate::codec::{Limits, Reader, expect_head, kind};
use crate::estimate::z_of;
use crate::hash::murmur3_preimage;
use crate::{DecodeError, Estimate, Health, Incompatible, MergeNote, Token};

const VERSION: u8 = 1;

/// Constants of the image.
mod ds {
    pub const SERIAL_VERSION: u8 = 1;
    pub const FAMILY_CPC: u8 = 16;
    pub const SEED_HASH: u16 = 0x93CC;
    pub const COMPRESSED: u8 = 2;
    pub const HIP: u8 = 4;
    pub const TABLE: u8 = 8;
    pub const WINDOW: u8 = 16;
    /// kxp and the accumulator, two doubles.
    pub const HIP_BYTES: usize = 16;
}

/// Events are counted in 64 bits, so no stream has more distinct values.
const COUNT_MAX: f64 = u64::MAX as f64;
/// Bytes of a row in the matrix that a merge builds.
const ROW_BYTES: usize = 8;
/// Most coupons a row, on average: a stream of K · 2^48 values has them.
const ROW_COUPONS_MAX: u64 = 48;
/// Most surprising coupons a row, on average.
const ROW_SURPRISES_MAX: u64 = 3;

/// The number of distinct values of a stream, in the fewest bytes. See the head of the module.
///
/// ```
/// use sketch::{Limits, Token, interchange::{Cpc, LgK}};
///
/// let mut users = Cpc::new(LgK::new(11)?);
/// users.update_all(&(0..100_000).map(Token::of_i64).collect::<Vec<_>>());
/// let e = users.estimate(0.95);
/// assert!(e.low < 100_000.0 && 100_000.0 < e.high && e.high / e.low < 1.06);
/// let image = users.to_datasketches();
/// assert!(image.len() < 1_400);
/// assert_eq!(Cpc::from_datasketches(&image, &Limits::default()).unwrap(), users);
/// # Ok::<(), sketch::hll::LgKError>(())
/// ```
#[derive(Clone)]
pub struct Cpc {
    inner: CpcSketch,
    /// Whether the history is lost that HIP needs.
    merged: bool,
}

impl Cpc {
    /// An empty sketch of 2^`lg_k` rows.
    pub fn new(lg_k: LgK) -> Cpc {
        // The range of LgK lies within that of the crate, so the default is never taken.
        Cpc { inner: CpcSketch::new(lg_k.get()).unwrap_or_default(), merged: false }
    }

    /// Takes in one value. O(1) amortised; the crate wants to hash itself, so it is given what hashes to this token.
    pub fn update(&mut self, token: Token) {
        // No hash gives rank 0; registers ignore such a token too.
        if token.rank() > 0 {
            let block = murmur3_preimage(token.0, 1 << (64 - u32::from(token.rank())));
            self.inner.update(raw_bytes::from_slice(&block));
        }
    }

    /// Takes in a batch of values.
    pub fn update_all(&mut self, tokens: &[Token]) {
        tokens.iter().for_each(|&token| self.update(token));
    }

    /// Takes in what another sketch has seen. O(K). Unless one of the two is empty the better estimate of a single stream
    /// is lost.
    ///
    /// # Errors
    /// Another lg K, or coupons that no hashes give, which only crafted images have; nothing is changed then.
    pub fn merge(&mut self, other: &Cpc) -> Result<MergeNote, Incompatible> {
        let (ours, theirs) = (self.lg_k().get(), other.lg_k().get());
        if ours != theirs {
            return Err(Incompatible { what: "lg K of CPC", ours: ours.into(), theirs: theirs.into() });
        }
        if other.is_empty() {
            return Ok(MergeNote::Exact);
        }
        if self.is_empty() {
            *self = other.clone();
            return Ok(MergeNote::Exact);
        }
        let merged = union(&[&self.inner, &other.inner]);
        let preamble = Preamble::of(&merged);
        if preamble.check().is_err() {
            let declared = |sketch: &CpcSketch| Preamble::of(sketch).coupons;
            let (ours, theirs) = (declared(&self.inner), declared(&other.inner));
            return Err(Incompatible { what: "coupons beyond what hashes give", ours, theirs });
        }
        *self = Cpc { inner: merged, merged: true };
        Ok(MergeNote::LostHip)
    }

    /// The number of distinct values. The bounds are the measured ones of DataSketches for one, two or three standard
    /// deviations, whichever is the first to reach the confidence asked for; beyond 0.9973 they are those for three, and
    /// the confidence says so.
    pub fn estimate(&self, confidence: f64) -> Estimate<f64> {
        if self.is_empty() {
            return Estimate::exact(0.0);
        }
        let (deviations, confidence) = match z_of(confidence) {
            // A hair more, so that the confidence of whole deviations is met by them.
            z if z <= 1.0001 => (NumStdDev::One, confidence),
            z if z <= 2.0001 => (NumStdDev::Two, confidence),
            z if z <= 3.0001 => (NumStdDev::Three, confidence),
            _ => (NumStdDev::Three, 0.9973),
        };
        let told = self.inner.estimate();
        if !(0.0..=COUNT_MAX).contains(&told) {
            // A history that no stream has, from a crafted image: what is left are the coupons.
            return Cpc { inner: union(&[&self.inner]), merged: true }.estimate(confidence);
        }
        let low = self.inner.lower_bound(deviations);
        // Every coupon is a value for certain, and `low` is never below their number.
        let value = told.max(low);
        Estimate::probabilistic(value, low, self.inner.upper_bound(deviations).max(value), confidence)
    }

    /// True when no value was seen.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// The precision.
    pub fn lg_k(&self) -> LgK {
        LgK::new(self.inner.lg_k()).unwrap_or(LgK::MAX)
    }

    /// Relative standard error, one sigma: 0.589/√K of a single stream, 0.693/√K of a merge.
    pub fn relative_error(&self) -> f64 {
        let ln_2 = std::f64::consts::LN_2;
        let constant = if self.merged { ln_2 } else { (ln_2 / 2.0).sqrt() };
        constant / (self.lg_k().registers() as f64).sqrt()
    }

    /// What stands behind the number, for answers: `cpc/11`.
    pub fn sketch_name(&self) -> String {
        format!("cpc/{}", self.lg_k().get())
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Cpc>() + self.inner.estimated_size()
    }

    /// How it is doing; the fill is that of the window and of the table beside it, which grow to about 3/2 K bytes.
    pub fn health(&self) -> Health {
        if self.is_empty() {
            return Health::exact(0.0);
        }
        let full = self.lg_k().registers() as f64 * 1.5;
        Health::with_error(self.inner.estimated_size() as f64 / full, self.relative_error())
    }

    /// For tests.
    ///
    /// # Panics
    /// When the structure is broken, which would be a bug.
    pub fn check_invariants(&self) {
        let image = self.to_datasketches();
        let read = decode(&image, &Limits::bytes(usize::MAX));
        assert!(read.is_ok_and(|read| read.to_datasketches() == image), "its own image is read back");
        assert_eq!(image[5] & ds::HIP == 0, self.merged, "the image knows whether there is a history");
    }

    /// The image that Apache DataSketches reads in Java, C++, Go, Python and Rust.
    pub fn to_datasketches(&self) -> Vec<u8> {
        self.inner.serialize()
    }

    /// Reads a CPC image of values hashed by the interchange rule. Survives any bytes.
    ///
    /// # Errors
    /// [`DecodeError`]: other bytes, another seed, more rows than `limits` allow, or coupons that no hashes give.
    pub fn from_datasketches(image: &[u8], limits: &Limits) -> Result<Cpc, DecodeError> {
        let cpc = decode(image, limits)?;
        if Preamble::read(&mut Reader::new(image))?.image_bytes() != image.len() as u64 {
            return Err(DecodeError::Invalid("bytes after the end"));
        }
        Ok(cpc)
    }

    /// Appends the snapshot: two bytes and the image, which says its own length.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[kind::CPC, VERSION]);
        out.extend_from_slice(&self.to_datasketches());
    }

    /// Reads what [`Cpc::snapshot`] wrote and leaves the reader behind it.
    ///
    /// # Errors
    /// As [`Cpc::from_datasketches`], and an image that would be written in other bytes.
    pub fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<Cpc, DecodeError> {
        expect_head(r, kind::CPC, VERSION, "not a CPC snapshot of version 1")?;
        let len = Preamble::read(&mut r.clone())?.image_bytes();
        let image = r.bytes(usize::try_from(len).map_err(|_| DecodeError::Truncated)?)?;
        let restored = decode(image, limits)?;
        if restored.to_datasketches() != image {
            return Err(DecodeError::Invalid("a CPC image that is not the one written"));
        }
        Ok(restored)
    }
}

/// What the head of an image declares.
struct Preamble {
    lg_k: u8,
    first_interesting: u8,
    flags: u8,
    seed_hash: u16,
    /// In 32-bit words.
    words: u64,
    coupons: u64,
    surprises: u64,
    /// Compressed table and window, in 32-bit words.
    body_words: u64,
}

impl Preamble {
    fn read(r: &mut Reader<'_>) -> Result<Preamble, DecodeError> {
        let head = r.bytes(8)?;
        if head[1] != ds::SERIAL_VERSION || head[2] != ds::FAMILY_CPC || head[5] & ds::COMPRESSED == 0 {
            return Err(DecodeError::Invalid("not a CPC image of version 1"));
        }
        let flags = head[5];
        let has = |flag: u8| flags & flag != 0;
        let mut p = Preamble {
            lg_k: head[3],
            first_interesting: head[4],
            flags,
            seed_hash: u16::from_le_bytes([head[6], head[7]]),
            words: u64::from(head[0]),
            coupons: 0,
            surprises: 0,
            body_words: 0,
        };
        if !has(ds::TABLE) && !has(ds::WINDOW) {
            return Ok(p);
        }
        p.coupons = r.u32()?.into();
        p.surprises = p.coupons;
        if has(ds::WINDOW) {
            p.surprises = if has(ds::TABLE) { r.u32()?.into() } else { 0 };
        }
        // With both, the history comes before the lengths, else after them.
        let both = has(ds::TABLE) && has(ds::WINDOW);
        if has(ds::HIP) && both {
            r.bytes(ds::HIP_BYTES)?;
        }
        for flag in [ds::TABLE, ds::WINDOW] {
            p.body_words += if has(flag) { r.u32()?.into() } else { 0 };
        }
        if has(ds::HIP) && !both {
            r.bytes(ds::HIP_BYTES)?;
        }
        Ok(p)
    }

    /// Of a sound sketch.
    fn of(sketch: &CpcSketch) -> Preamble {
        let image = sketch.serialize();
        Preamble::read(&mut Reader::new(&image)).expect("the crate writes its own format")
    }

    fn image_bytes(&self) -> u64 {
        4 * (self.words + self.body_words)
    }

    /// Refuses numbers that no hashes give.
    fn check(&self) -> Result<(), DecodeError> {
        let k = 1u64 << self.lg_k;
        if self.coupons > ROW_COUPONS_MAX * k || self.surprises > ROW_SURPRISES_MAX * k {
            return Err(DecodeError::Invalid("more CPC coupons than hashes give"));
        }
        // The window moves when it has seen 27/8 K coupons; before that every column can bring a new one.
        if self.first_interesting > 0 && 8 * self.coupons < 27 * k {
            return Err(DecodeError::Invalid("first interesting column of a CPC image"));
        }
        Ok(())
    }
}

/// Everything is checked that the crate takes on trust, and what it could choke on before it is called.
fn decode(image: &[u8], limits: &Limits) -> Result<Cpc, DecodeError> {
    let declared = Preamble::read(&mut Reader::new(image))?;
    let lg_k = LgK::new(declared.lg_k).map_err(|_| DecodeError::Invalid("lg K outside 4..=21"))?;
    limits.allow("rows of a CPC sketch", lg_k.registers() as u64, ROW_BYTES)?;
    if declared.seed_hash != ds::SEED_HASH {
        return Err(DecodeError::Invalid("a CPC image of another hash seed"));
    }
    declared.check()?;
    let inner = CpcSketch::deserialize(image).map_err(|_| DecodeError::Invalid("a CPC image"))?;
    if !inner.is_empty() {
        // Counts the bits anew and finds the lowest column that is not full.
        let real = Preamble::of(&union(&[&inner]));
        if real.coupons != declared.coupons || declared.first_interesting > real.first_interesting {
            return Err(DecodeError::Invalid("coupons other than the CPC image declares"));
        }
    }
    Ok(Cpc { inner, merged: declared.flags & ds::HIP == 0 })
}

/// The union of sketches of one lg K, by way of their bits.
fn union(sketches: &[&CpcSketch]) -> CpcSketch {
    let mut union = CpcUnion::new(sketches[0].lg_k()).unwrap_or_default();
    for sketch in sketches {
        union.update(sketch).expect("all have seed 9001");
    }
    union.to_sketch()
}

/// Equal when their snapshots are.
impl PartialEq for Cpc {
    fn eq(&self, other: &Cpc) -> bool {
        self.to_datasketches() == other.to_datasketches()
    }
}

impl std::fmt::Debug for Cpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cpc")
            .field("sketch", &self.sketch_name())
            .field("value", &self.estimate(0.95).value)
            .finish_non_exhaustive()
    }
}

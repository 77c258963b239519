//! A window that moves: one sketch per bucket of time, the newest so many of them.
//!
//! Time is a bucket number that the caller gives (an event time divided by the length of a bucket); nothing here reads a
//! clock. The window is the newest `span` buckets, up to the *head*, the largest number seen or advanced to. An event goes
//! into the bucket of its own time, late ones too while their bucket lives; one that is older is refused and counted. A
//! question is a merge of buckets, so what a merge keeps is kept: a window of Count-Min is the Count-Min of its events,
//! bit for bit; of counters it has the bound of counters, whatever the number of buckets.
//!
//! This is the plain ring (Cormode & Muthukrishnan 2005 for Count-Min); memory is `span` sketches of which only those in
//! use are allocated. A filter needs more than a ring, as a merge of filters has the rate of all keys together: see
//! [`crate::bloom`] for the ring of bit planes.
//!
//! **Laws** are those of the sketch: where it does not depend on order, neither does the ring, byte for byte, apart from
//! what was too old when it came.

use crate::codec::{Limits, Reader, expect_head};
use crate::countmin::CountMin;
use crate::family::{Kind, Question, Sketch};
use crate::frequent::Counters;
use crate::hll::Distinct;
use crate::{DecodeError, Estimate, Health, Incompatible, MergeNote};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Most buckets of a window.
pub const SPAN_MAX: u32 = 1 << 16;

const VERSION: u8 = 1;

/// A sketch that can stand in a [`Ring`]: says by which number the ring's snapshots are known.
pub trait Ringed: Sketch {
    /// The kind of the ring.
    const RING: Kind;
}

impl Ringed for CountMin {
    const RING: Kind = Kind::CountMinRing;
}

impl Ringed for Counters {
    const RING: Kind = Kind::CountersRing;
}

impl Ringed for Distinct {
    const RING: Kind = Kind::DistinctRing;
}

/// A sketch per bucket of time.
///
/// ```
/// use sketch::{Token, countmin::CountMin, ring::Ring};
///
/// let mut clicks = Ring::<CountMin>::new(60, (10, 5)); // sixty buckets, say of one second
/// for second in 0..600 {
///     clicks.at(second).expect("not too old").update(Token::of_str("ada"), 2);
/// }
/// assert_eq!(clicks.window()?.at_most(Token::of_str("ada")), 120);
/// assert_eq!(clicks.range(590..=594)?.at_most(Token::of_str("ada")), 10);
/// assert!(clicks.at(500).is_none(), "its bucket is gone");
/// # Ok::<(), sketch::Incompatible>(())
/// ```
#[derive(Debug, Clone)]
pub struct Ring<S: Sketch> {
    params: S::Params,
    span: u32,
    head: Option<u64>,
    /// Those with something in them; all within the window.
    buckets: BTreeMap<u64, S>,
    too_old: u64,
}

impl<S: Sketch> Ring<S> {
    /// An empty ring over so many buckets, clamped to 1..=[`SPAN_MAX`]. Allocates nothing.
    pub fn new(span: u32, params: S::Params) -> Ring<S> {
        Ring { params, span: span.clamp(1, SPAN_MAX), head: None, buckets: BTreeMap::new(), too_old: 0 }
    }

    /// The sketch of a bucket, to be updated; moves the window on when the bucket is newer than all. `None`, and counted,
    /// when it is too old. O(log span), amortised.
    pub fn at(&mut self, bucket: u64) -> Option<&mut S> {
        self.advance(bucket);
        if !self.live().contains(&bucket) {
            self.too_old = self.too_old.saturating_add(1);
            return None;
        }
        Some(self.buckets.entry(bucket).or_insert_with(|| S::with(&self.params)))
    }

    /// Moves the window on, so that this is its newest bucket; does nothing when it is not newer.
    pub fn advance(&mut self, bucket: u64) {
        if self.head.is_none_or(|head| bucket > head) {
            self.head = Some(bucket);
            let oldest = *self.live().start();
            if self.buckets.first_key_value().is_some_and(|(first, _)| *first < oldest) {
                self.buckets = self.buckets.split_off(&oldest);
            }
        }
    }

    /// The sketch of the whole window. O(span) merges.
    ///
    /// # Errors
    /// As [`Ring::range`].
    pub fn window(&self) -> Result<S, Incompatible> {
        self.range(0..=u64::MAX)
    }

    /// The sketch of the buckets of this range that live. O(buckets) merges.
    ///
    /// # Errors
    /// When the total weights of the buckets together exceed 64 bits; they agree in all else.
    pub fn range(&self, buckets: RangeInclusive<u64>) -> Result<S, Incompatible> {
        let mut out = S::with(&self.params);
        if buckets.is_empty() {
            return Ok(out);
        }
        for (_, sketch) in self.buckets.range(buckets) {
            out.merge(sketch)?;
        }
        Ok(out)
    }

    /// The newest bucket, if there was any.
    pub fn head(&self) -> Option<u64> {
        self.head
    }

    /// The number of buckets of the window.
    pub fn span(&self) -> u32 {
        self.span
    }

    /// Updates that came after their bucket was gone.
    pub fn too_old(&self) -> u64 {
        self.too_old
    }

    /// The buckets of the window.
    fn live(&self) -> RangeInclusive<u64> {
        let head = self.head.unwrap_or(0);
        head.saturating_sub(u64::from(self.span - 1))..=head
    }
}

impl<S: Ringed> Sketch for Ring<S> {
    /// The number of buckets, and the parameters of each sketch.
    type Params = (u32, S::Params);

    const KIND: Kind = S::RING;

    fn with((span, params): &Self::Params) -> Self {
        Ring::new(*span, params.clone())
    }

    fn params(&self) -> Self::Params {
        (self.span, self.params.clone())
    }

    fn parameters(&self) -> Vec<(&'static str, f64)> {
        let mut out = S::with(&self.params).parameters();
        out.push(("buckets", f64::from(self.span)));
        out
    }

    /// Bucket by bucket; the later head stays, and with it what is too old. O(span) merges.
    fn merge(&mut self, other: &Self) -> Result<MergeNote, Incompatible> {
        if self.span != other.span {
            let (ours, theirs) = (u64::from(self.span), u64::from(other.span));
            return Err(Incompatible { what: "buckets of a ring", ours, theirs });
        }
        // On a copy: a bucket in the middle may refuse.
        let mut merged = self.clone();
        if let Some(head) = other.head {
            merged.advance(head);
        }
        let mut empty = S::with(&self.params);
        let note = empty.merge(&S::with(&other.params))?;
        merged.params = empty.params();
        let live = merged.live();
        for (bucket, sketch) in &mut merged.buckets {
            // Folds also where the other side has nothing.
            sketch.merge(other.buckets.get(bucket).unwrap_or(&S::with(&other.params)))?;
        }
        for (&bucket, sketch) in other.buckets.range(live) {
            if let std::collections::btree_map::Entry::Vacant(place) = merged.buckets.entry(bucket) {
                let mut copy = S::with(&merged.params);
                copy.merge(sketch)?;
                place.insert(copy);
            }
        }
        merged.too_old = merged.too_old.saturating_add(other.too_old);
        *self = merged;
        Ok(note)
    }

    fn query(&self, question: &Question, confidence: f64) -> Option<Estimate<f64>> {
        self.window().ok()?.query(question, confidence)
    }

    fn snapshot(&self, out: &mut Vec<u8>) {
        if cfg!(debug_assertions) {
            self.check_invariants();
        }
        out.extend_from_slice(&[S::RING as u8, VERSION]);
        out.extend_from_slice(&self.span.to_le_bytes());
        out.extend_from_slice(&self.too_old.to_le_bytes());
        out.push(u8::from(self.head.is_some()));
        out.extend_from_slice(&self.head.unwrap_or(0).to_le_bytes());
        S::with(&self.params).snapshot(out);
        let used = self.buckets.iter().filter(|(_, sketch)| !sketch.is_empty());
        out.extend_from_slice(&(used.clone().count() as u32).to_le_bytes());
        for (bucket, sketch) in used {
            out.extend_from_slice(&bucket.to_le_bytes());
            sketch.snapshot(out);
        }
    }

    /// The limit is for all buckets together.
    fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<Self, DecodeError> {
        expect_head(r, S::RING as u8, VERSION, "not a ring of version 1")?;
        let (span, too_old) = (r.u32()?, r.u64()?);
        let head = match (r.u8()?, r.u64()?) {
            (0, 0) => None,
            (1, head) => Some(head),
            _ => return Err(DecodeError::Invalid("head of a ring")),
        };
        if !(1..=SPAN_MAX).contains(&span) {
            return Err(DecodeError::Invalid("buckets of a ring"));
        }
        let template = S::restore(r, limits)?;
        if !template.is_empty() {
            return Err(DecodeError::Invalid("the pattern of a ring is not empty"));
        }
        let mut ring = Ring { params: template.params(), span, head, buckets: BTreeMap::new(), too_old };
        let count = r.count("buckets", span as usize, 8)?;
        let mut rest = *limits;
        for _ in 0..count {
            let (bucket, sketch) = (r.u64()?, S::restore(r, &rest)?);
            rest.bytes_max = rest.bytes_max.saturating_sub(sketch.memory_bytes());
            let ascends = ring.buckets.last_key_value().is_none_or(|(last, _)| *last < bucket);
            let belongs = head.is_some() && ring.live().contains(&bucket) && sketch.params() == ring.params;
            if !ascends || !belongs || sketch.is_empty() {
                return Err(DecodeError::Invalid("a bucket that does not belong to its ring"));
            }
            ring.buckets.insert(bucket, sketch);
        }
        Ok(ring)
    }

    fn memory_bytes(&self) -> usize {
        let held: usize = self.buckets.values().map(|sketch| sketch.memory_bytes() + size_of::<u64>()).sum();
        size_of::<Self>() + held
    }

    /// Of the whole window; the fill is that of the fullest bucket. Without a known error, and outgrown, where there is no
    /// sketch of the whole window.
    fn health(&self) -> Health {
        let fill = self.buckets.values().map(|sketch| sketch.health().fill).fold(0.0, f64::max);
        let none = |_| Health { exact: false, fill, error: None, saturated: true };
        Health { fill, ..self.window().map_or_else(none, |window| window.health()) }
    }

    fn sketch_name(&self) -> String {
        let of = self.window().unwrap_or_else(|_| S::with(&self.params));
        format!("ring/{} of {}", self.span, of.sketch_name())
    }

    fn is_empty(&self) -> bool {
        self.head.is_none() && self.too_old == 0
    }

    fn check_invariants(&self) {
        assert!((1..=SPAN_MAX).contains(&self.span), "a ring has buckets");
        for (bucket, sketch) in &self.buckets {
            assert!(self.live().contains(bucket), "bucket {bucket} is outside the window");
            assert_eq!(sketch.params(), self.params, "buckets are alike");
            sketch.check_invariants();
        }
    }
}

//! What all sketches have in common, in one small family of traits, and all of them in one closed set.
//!
//! [`Sketch`] is what code needs that stores, merges and reports sketches without knowing which: a pane, a ring, a file.
//! [`Hashed`] and [`Numeric`] take in batches, of hashes and of numbers. [`Any`] is one of them all, told apart by the
//! first byte of its snapshot, and matched exhaustively: a new structure does not compile until every place knows it.
//!
//! Whoever knows which sketch it is uses the methods of the structure itself; they have more to say than the traits.

mod any;
mod members;

pub use any::{Any, Kind};

use crate::{DecodeError, Estimate, Health, Incompatible, Limits, MergeNote, Reader, Token};

/// A mergeable state of bounded size.
pub trait Sketch: Clone + std::fmt::Debug {
    /// What is chosen before the first value and decides on size and error.
    type Params: Clone + PartialEq + std::fmt::Debug;

    /// Which of the set it is.
    const KIND: Kind;

    /// One that has seen nothing.
    fn with(params: &Self::Params) -> Self;

    /// What it was made with, or was folded to since.
    fn params(&self) -> Self::Params;

    /// The parameters as names and numbers, for people.
    fn parameters(&self) -> Vec<(&'static str, f64)>;

    /// Takes in what another one has seen. A refused merge changes nothing.
    ///
    /// # Errors
    /// [`Incompatible`] when parameters differ that cannot be folded.
    fn merge(&mut self, other: &Self) -> Result<MergeNote, Incompatible>;

    /// What it knows about this; `None` for questions that are none of its business, and for quantiles of nothing.
    fn query(&self, question: &Question, confidence: f64) -> Option<Estimate<f64>>;

    /// Appends its own bytes: lossless and canonical (docs/FORMATS.md).
    fn snapshot(&self, out: &mut Vec<u8>);

    /// Reads what `snapshot` wrote and leaves the reader behind it. Survives any bytes; no more is allocated than the
    /// limits allow and the bytes at hand justify.
    ///
    /// # Errors
    /// [`DecodeError`] on anything that `snapshot` does not write.
    fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<Self, DecodeError>;

    /// Bytes that others read, where there are any: DataSketches images.
    fn to_wire(&self) -> Option<Vec<u8>> {
        None
    }

    /// Bytes held.
    fn memory_bytes(&self) -> usize;

    /// How full it is and how much it errs.
    fn health(&self) -> Health;

    /// What stands behind its answers, for reports: `hll/14`, or `hash-set` while exact.
    fn sketch_name(&self) -> String;

    /// True when nothing was taken in.
    fn is_empty(&self) -> bool;

    /// For tests.
    ///
    /// # Panics
    /// When the structure is broken, which would be a bug.
    fn check_invariants(&self);

    /// The snapshot as a value.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.snapshot(&mut out);
        out
    }

    /// Reads a snapshot that is all there is.
    ///
    /// # Errors
    /// As [`Sketch::restore`], and when bytes follow.
    fn from_bytes(bytes: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let sketch = Self::restore(&mut r, limits)?;
        r.finish()?;
        Ok(sketch)
    }
}

/// A sketch of values that were hashed before.
pub trait Hashed: Sketch {
    /// [`Token`] for all but Theta, which takes another cut of the hash.
    type Hash: Copy;

    /// Takes in a batch.
    fn update_hashes(&mut self, hashes: &[Self::Hash]);
}

/// A sketch of numbers.
pub trait Numeric: Sketch {
    /// Takes in a batch.
    fn update_values(&mut self, values: &[f64]);
}

/// What can be asked of a sketch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Question {
    /// How many events, or how much weight?
    Count,
    /// How many different values?
    Distinct,
    /// How often did this value occur, by weight?
    Frequency(Token),
    /// Was it ever there? 1 or 0; a 1 that may be a collision has a lower bound of 0.
    Contains(Token),
    /// What is the value below which this part lies, 0..=1?
    Quantile(f64),
    /// How many values are not above this one?
    Rank(f64),
    /// What do the values sum up to?
    Sum,
}

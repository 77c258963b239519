//! Mergeable sketches: small summaries of large streams, with honest bounds on every number.
//!
//! Every structure here is pure: no IO, no clock, no thread, no randomness that was not given as a seed.
//! What it needs to know is an argument, what it cannot know it says in the bounds of its [`Estimate`].
//!
//! | question | structure | small and exact until | after that |
//! |---|---|---|---|
//! | how many distinct | [`hll::Distinct`] | K/8·¾ values | HyperLogLog, 1.04/√K |
//! | how often | [`countmin::Freq`] | the hot table is full | Count-Min, \[f − εN, f\] |
//! | how often, overstated less | [`countmin::Conservative`] | | the same bounds, a fraction of the surplus |
//! | how much, weights of either sign | [`countsketch::CountSketch`] | | Count Sketch, ±ε·‖f‖₂ |
//! | which are the most frequent | [`frequent::Counters`] | the table is full | counters with two-sided bounds |
//! | quantiles | [`quantile::Quantiles`] | 256 values | value-relative bins, ½ bin either way |
//! | quantiles, by rank | [`kll::Kll`] | k values | a rank error of 2.296/k^0.9723 (1.33 % for k = 200) |
//! | how many at most x | [`histogram::Histogram`] | always exact | |
//! | sum, mean, deviation, extremes | [`exact::Moments`] | always exact, in any order | |
//! | seen before | [`bloom::Seen`] | 1,536 keys, fewer for small sizes | chained split-block Bloom filters, measured rate |
//! | seen in the last buckets of time, and when | [`bloom::SeenRing`] | 1,536 keys, fewer for small sizes | bit planes in a ring, measured rate |
//! | how much in the last w units of time | [`sliding::SlidingCount`] | 64 units of time | exponential histogram, proven bounds |
//! | how many distinct in both, in one only | [`theta::Theta`] | K values | the K smallest hashes, 1/√(K−1) |
//! | distinct and quantiles as others keep them | [`interchange::Cpc`], [`interchange::TDigest`] | never | for files of DataSketches |
//! | how alike are two sets | [`minhash::MinHash`] | K·¾ values | one-permutation MinHash, √(J(1−J)/K) |
//! | some rows, drawn fairly | [`sample::Sample`] | k rows | bottom-k by priority |
//!
//! All that hash feed on one hash per value, the [`Token`] of `hash.rs`, so a value is hashed once for all of them; only
//! theta takes another cut of the same 128 bits, which DataSketches prescribes. Which hash it is, the interchange one, a
//! faster one or one under a secret key, is a [`hash::Hashing`]; [`Keyed`] keeps sketches of different keys apart.
#![forbid(unsafe_code)]

pub mod bloom;
pub mod codec;
pub mod countmin;
pub mod countsketch;
pub mod estimate;
pub mod exact;
pub mod family;
pub mod frequent;
pub mod hash;
pub mod health;
pub mod histogram;
pub mod hll;
pub mod image;
pub mod interchange;
mod interval;
pub mod keyed;
pub mod kll;
pub mod minhash;
pub mod outflow;
pub mod quantile;
pub mod ring;
pub mod sample;
pub mod sliding;
pub mod theta;

pub use codec::{DecodeError, Limits, Reader};
pub use estimate::{Estimate, Guarantee};
pub use family::{Any, Hashed, Kind, Numeric, Question, Sketch};
pub use hash::Token;
pub use health::Health;
pub use keyed::Keyed;
pub use outflow::Outflow;
pub use ring::Ring;

/// Two sketches that cannot be merged: a parameter that must agree does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incompatible {
    /// The parameter in words, for example `"count-min depth"`.
    pub what: &'static str,
    /// Its value here.
    pub ours: u64,
    /// Its value in the other sketch.
    pub theirs: u64,
}

impl std::fmt::Display for Incompatible {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot merge: {} is {} here and {} there", self.what, self.ours, self.theirs)
    }
}

impl std::error::Error for Incompatible {}

/// What a merge cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeNote {
    /// Nothing: the result is what one sketch over all events would be, or is within the same bounds.
    Exact,
    /// The finer of the two was folded to the precision of the coarser one (both as log2 of the size).
    Folded {
        /// Precision before.
        from: u8,
        /// Precision after.
        to: u8,
    },
    /// Nothing is folded, but the better estimate of an unmerged stream (historic inverse probability) is lost.
    LostHip,
}

/// The examples of the pages in `docs/sketches`, run as doc tests.
#[cfg(doctest)]
mod pages {
    macro_rules! page {
        ($($name:ident $file:literal)*) => {
            $(#[doc = include_str!(concat!("../../../docs/sketches/", $file))] mod $name {})*
        };
    }

    #[doc = include_str!("../../../docs/embedding.md")]
    mod embedding {}

    page! {
        bloom "bloom.md"
        bloom_ring "bloom-ring.md"
        countmin "countmin.md"
        countmin_variants "countmin-variants.md"
        distinct "distinct.md"
        exact "exact.md"
        frequent "frequent.md"
        hashing "hashing.md"
        interchange "interchange.md"
        kll "kll.md"
        minhash "minhash.md"
        parquet_filter "parquet-filter.md"
        quantiles "quantiles.md"
        ring "ring.md"
        sliding_count "sliding-count.md"
        theta "theta.md"
    }
}

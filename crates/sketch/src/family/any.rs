//! One of all sketches. The set is closed.

use super::{Question, Sketch};
use crate::bloom::{Filter, Seen, SeenRing};
use crate::codec::kind;
use crate::countmin::{Conservative, CountMin, Freq};
use crate::countsketch::CountSketch;
use crate::exact::Moments;
use crate::frequent::Counters;
use crate::histogram::Histogram;
use crate::hll::Distinct;
use crate::interchange::{Cpc, TDigest};
use crate::kll::Kll;
use crate::minhash::MinHash;
use crate::quantile::Quantiles;
use crate::ring::Ring;
use crate::sample::Sample;
use crate::sliding::SlidingCount;
use crate::theta::Theta;
use crate::{DecodeError, Estimate, Health, Incompatible, Limits, MergeNote, Reader};

/// Lists the set once; everything that has an arm for each follows from it.
macro_rules! closed_set {
    ($($(#[$about:meta])* $name:ident($type:ty) = $byte:ident, $words:literal;)*) => {
        /// Which structure it is: the first byte of its snapshot.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Kind {
            $($(#[$about])* $name = kind::$byte,)*
        }

        impl Kind {
            /// Every one there is, by number.
            pub const ALL: &[Kind] = &[$(Kind::$name,)*];

            /// The kind whose snapshots begin with this byte.
            pub fn of(byte: u8) -> Option<Kind> {
                Kind::ALL.iter().copied().find(|kind| *kind as u8 == byte)
            }

            /// In words.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Kind::$name => $words,)*
                }
            }
        }

        /// A sketch of any kind.
        #[derive(Debug, Clone)]
        pub enum Any {
            $($(#[$about])* $name(Box<$type>),)*
        }

        impl Any {
            /// Which it is.
            pub fn kind(&self) -> Kind {
                match self {
                    $(Any::$name(_) => Kind::$name,)*
                }
            }

            /// Reads a snapshot of any kind and leaves the reader behind it. See [`Sketch::restore`].
            ///
            /// # Errors
            /// [`DecodeError`] on anything that no sketch writes.
            pub fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<Any, DecodeError> {
                let byte = r.clone().u8()?;
                match Kind::of(byte).ok_or(DecodeError::Invalid("no kind of sketch"))? {
                    $(Kind::$name => Ok(Any::$name(Box::new(<$type as Sketch>::restore(r, limits)?))),)*
                }
            }

            /// Takes in what another one has seen. A refused merge changes nothing.
            ///
            /// # Errors
            /// [`Incompatible`] when the kinds differ, or parameters that cannot be folded.
            pub fn merge(&mut self, other: &Any) -> Result<MergeNote, Incompatible> {
                match (&mut *self, other) {
                    $((Any::$name(a), Any::$name(b)) => Sketch::merge(&mut **a, b),)*
                    (ours, theirs) => {
                        let (ours, theirs) = (ours.kind() as u64, theirs.kind() as u64);
                        Err(Incompatible { what: "kind of sketch", ours, theirs })
                    }
                }
            }

            /// One with the same parameters that has seen nothing.
            pub fn empty(&self) -> Any {
                match self {
                    $(Any::$name(x) => Any::$name(Box::new(<$type as Sketch>::with(&Sketch::params(&**x)))),)*
                }
            }
        }

        /// What does not name another sketch is handed on as it is.
        macro_rules! each {
            ($any:expr, $x:ident => $done:expr) => {
                match $any {
                    $(Any::$name($x) => $done,)*
                }
            };
        }

        $(impl From<$type> for Any {
            fn from(sketch: $type) -> Any {
                Any::$name(Box::new(sketch))
            }
        })*
    };
}

closed_set! {
    /// [`Distinct`].
    Distinct(Distinct) = DISTINCT, "distinct count";
    /// [`CountMin`].
    CountMin(CountMin) = COUNT_MIN, "count-min";
    /// [`Counters`].
    Counters(Counters) = COUNTERS, "frequent counters";
    /// [`Freq`].
    Freq(Freq) = FREQ, "frequencies";
    /// [`Quantiles`].
    Quantiles(Quantiles) = QUANTILES, "quantiles";
    /// [`Histogram`].
    Histogram(Histogram) = HISTOGRAM, "histogram";
    /// [`Moments`].
    Moments(Moments) = MOMENTS, "moments";
    /// [`Filter`].
    Filter(Filter) = FILTER, "bloom filter";
    /// [`Seen`].
    Seen(Seen) = SEEN, "seen";
    /// [`Theta`].
    Theta(Theta) = THETA, "theta";
    /// [`Sample`].
    Sample(Sample) = SAMPLE, "sample";
    /// [`SeenRing`].
    SeenRing(SeenRing) = SEEN_RING, "ring of seen";
    /// [`Conservative`].
    Conservative(Conservative) = CONSERVATIVE, "conservative count-min";
    /// [`CountSketch`].
    CountSketch(CountSketch) = COUNT_SKETCH, "count sketch";
    /// A [`Ring`] of [`CountMin`].
    CountMinRing(Ring<CountMin>) = COUNT_MIN_RING, "ring of count-min";
    /// [`SlidingCount`].
    SlidingCount(SlidingCount) = SLIDING_COUNT, "sliding count";
    /// [`Kll`] of doubles.
    Kll(Kll) = KLL, "kll";
    /// [`MinHash`].
    MinHash(MinHash) = MIN_HASH, "minhash";
    /// [`Cpc`].
    Cpc(Cpc) = CPC, "cpc";
    /// [`TDigest`].
    TDigest(TDigest) = T_DIGEST, "t-digest";
    /// A [`Ring`] of [`Counters`].
    CountersRing(Ring<Counters>) = COUNTERS_RING, "ring of frequent counters";
    /// A [`Ring`] of [`Distinct`].
    DistinctRing(Ring<Distinct>) = DISTINCT_RING, "ring of distinct counts";
}

impl Any {
    /// Reads a snapshot that is all there is.
    ///
    /// # Errors
    /// As [`Any::restore`], and when bytes follow.
    pub fn from_bytes(bytes: &[u8], limits: &Limits) -> Result<Any, DecodeError> {
        let mut r = Reader::new(bytes);
        let sketch = Any::restore(&mut r, limits)?;
        r.finish()?;
        Ok(sketch)
    }

    /// See [`Sketch::snapshot`].
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        each!(self, x => Sketch::snapshot(&**x, out));
    }

    /// The snapshot as a value.
    pub fn to_bytes(&self) -> Vec<u8> {
        each!(self, x => x.to_bytes())
    }

    /// See [`Sketch::to_wire`].
    pub fn to_wire(&self) -> Option<Vec<u8>> {
        each!(self, x => x.to_wire())
    }

    /// See [`Sketch::query`].
    pub fn query(&self, question: &Question, confidence: f64) -> Option<Estimate<f64>> {
        each!(self, x => Sketch::query(&**x, question, confidence))
    }

    /// See [`Sketch::parameters`].
    pub fn parameters(&self) -> Vec<(&'static str, f64)> {
        each!(self, x => x.parameters())
    }

    /// See [`Sketch::memory_bytes`].
    pub fn memory_bytes(&self) -> usize {
        each!(self, x => Sketch::memory_bytes(&**x))
    }

    /// See [`Sketch::health`].
    pub fn health(&self) -> Health {
        each!(self, x => Sketch::health(&**x))
    }

    /// See [`Sketch::sketch_name`].
    pub fn sketch_name(&self) -> String {
        each!(self, x => Sketch::sketch_name(&**x))
    }

    /// See [`Sketch::is_empty`].
    pub fn is_empty(&self) -> bool {
        each!(self, x => Sketch::is_empty(&**x))
    }

    /// See [`Sketch::check_invariants`].
    pub fn check_invariants(&self) {
        each!(self, x => Sketch::check_invariants(&**x));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Token;
    use crate::hll::LgK;

    #[test]
    fn kinds_are_told_apart_by_their_first_byte() {
        for (at, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(Kind::of(*kind as u8), Some(*kind));
            assert!(at == 0 || Kind::ALL[at - 1] < *kind, "by number");
        }
        assert_eq!((Kind::of(0), Kind::of(128)), (None, None));
    }

    #[test]
    fn different_kinds_do_not_merge() {
        let mut distinct = Distinct::new(LgK::new(10).expect("a precision"));
        distinct.update(Token::of_i64(1));
        let mut any = Any::from(distinct);
        let before = any.to_bytes();
        let refused = any.merge(&Any::from(CountMin::new(4, 2))).expect_err("two kinds");
        assert_eq!((refused.what, any.to_bytes()), ("kind of sketch", before));
    }
}

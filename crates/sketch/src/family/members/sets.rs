//! Of sets of values: how many, in which, in both; and some of them.

use super::contained;
use crate::bloom::{Filter, RingSize, Seen, SeenRing, Size, Verdict};
use crate::family::{Hashed, Kind, Question, Sketch};
use crate::hll::{Distinct, LgK};
use crate::interchange::Cpc;
use crate::minhash::{self, MinHash};
use crate::sample::Sample;
use crate::theta::Theta;
use crate::{DecodeError, Estimate, Health, Incompatible, Limits, MergeNote, Reader, Token};

impl Sketch for Distinct {
    same_names!(Distinct);
    by_precision!(LgK);

    fn query(&self, question: &Question, confidence: f64) -> Option<Estimate<f64>> {
        matches!(question, Question::Distinct).then(|| self.estimate(confidence))
    }

    fn to_wire(&self) -> Option<Vec<u8>> {
        Some(self.to_datasketches())
    }
}

impl Sketch for Theta {
    same_names!(Theta);
    by_precision!(LgK);

    fn query(&self, question: &Question, confidence: f64) -> Option<Estimate<f64>> {
        matches!(question, Question::Distinct).then(|| self.estimate(confidence))
    }

    fn to_wire(&self) -> Option<Vec<u8>> {
        Some(self.to_datasketches())
    }
}

impl Hashed for Theta {
    type Hash = u64;

    fn update_hashes(&mut self, hashes: &[u64]) {
        self.update_all(hashes);
    }
}

impl Sketch for Cpc {
    same_names!(Cpc);
    by_precision!(LgK);

    fn query(&self, question: &Question, confidence: f64) -> Option<Estimate<f64>> {
        matches!(question, Question::Distinct).then(|| self.estimate(confidence))
    }

    fn to_wire(&self) -> Option<Vec<u8>> {
        Some(self.to_datasketches())
    }
}

impl Sketch for MinHash {
    same_names!(MinHash);
    by_precision!(minhash::LgK);

    fn query(&self, question: &Question, confidence: f64) -> Option<Estimate<f64>> {
        matches!(question, Question::Distinct).then(|| self.distinct(confidence))
    }
}

impl Sketch for Filter {
    same_names!(Filter);
    /// The number of blocks.
    type Params = u64;

    fn with(blocks: &u64) -> Self {
        Filter::new(*blocks)
    }

    fn params(&self) -> u64 {
        self.blocks() as u64
    }

    fn parameters(&self) -> Vec<(&'static str, f64)> {
        vec![("blocks", self.blocks() as f64)]
    }

    fn query(&self, question: &Question, _: f64) -> Option<Estimate<f64>> {
        match question {
            Question::Contains(token) => Some(contained(self.contains(*token), false)),
            _ => None,
        }
    }
}

impl Hashed for Filter {
    type Hash = Token;

    fn update_hashes(&mut self, tokens: &[Token]) {
        self.insert_all(tokens);
    }
}

impl Sketch for Seen {
    same_names!(Seen);
    /// Keys and rate asked for, and the bound on the bytes.
    type Params = (Size, u64);

    fn with(&(size, bytes_max): &Self::Params) -> Self {
        Seen::new(size, bytes_max)
    }

    fn params(&self) -> Self::Params {
        (self.size(), self.bytes_max())
    }

    fn parameters(&self) -> Vec<(&'static str, f64)> {
        let (size, bytes_max) = self.params();
        vec![("keys", size.keys() as f64), ("rate", size.rate()), ("bytes_max", bytes_max as f64)]
    }

    fn query(&self, question: &Question, confidence: f64) -> Option<Estimate<f64>> {
        match question {
            Question::Distinct => Some(self.first_times(confidence)),
            Question::Contains(token) => {
                Some(contained(self.contains(*token) != Verdict::New, self.is_exact()))
            }
            _ => None,
        }
    }
}

impl Hashed for Seen {
    type Hash = Token;

    fn update_hashes(&mut self, tokens: &[Token]) {
        tokens.iter().for_each(|&token| self.insert(token));
    }
}

/// Keys come with a bucket of time, so this is not [`Hashed`].
impl Sketch for SeenRing {
    same_names!(SeenRing);
    type Params = RingSize;

    fn with(size: &RingSize) -> Self {
        SeenRing::new(*size)
    }

    fn params(&self) -> RingSize {
        self.size()
    }

    fn parameters(&self) -> Vec<(&'static str, f64)> {
        let size = self.size();
        vec![("keys", size.keys() as f64), ("rate", size.rate()), ("buckets", f64::from(size.buckets()))]
    }

    fn query(&self, question: &Question, _: f64) -> Option<Estimate<f64>> {
        match question {
            Question::Contains(token) => Some(contained(self.query(*token).is_known(), self.is_exact())),
            _ => None,
        }
    }
}

impl Sketch for Sample {
    same_names!(Sample);
    /// The most rows that are kept.
    type Params = u32;

    fn with(k: &u32) -> Self {
        Sample::new(*k)
    }

    fn params(&self) -> u32 {
        self.k()
    }

    fn parameters(&self) -> Vec<(&'static str, f64)> {
        vec![("k", f64::from(self.k()))]
    }

    fn query(&self, question: &Question, _: f64) -> Option<Estimate<f64>> {
        matches!(question, Question::Count).then(|| Estimate::exact(self.seen() as f64))
    }
}

by_tokens! { Distinct Cpc MinHash }

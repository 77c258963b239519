//! Of numbers: their order, their sums, where they lie.

use super::{exactly, whole};
use crate::exact::{Moments, Number, Parts};
use crate::family::{Kind, Numeric, Question, Sketch};
use crate::histogram::Histogram;
use crate::interchange::TDigest;
use crate::kll::{K, Kll, Search};
use crate::quantile::Quantiles;
use crate::{DecodeError, Estimate, Health, Incompatible, Limits, MergeNote, Reader};

/// A share of so many values as their number, which is whole where it is exact.
fn counted(share: Estimate<f64>, count: u64) -> Estimate<f64> {
    let values = |share: f64| share * count as f64;
    share.map(|part| if share.is_exact() { values(part).round() } else { values(part) })
}

impl Sketch for Quantiles {
    same_names!(Quantiles);
    /// log2 of the bins per power of two.
    type Params = u8;

    fn with(bits: &u8) -> Self {
        Quantiles::new(*bits).expect("the bits of another one")
    }

    fn params(&self) -> u8 {
        self.bits()
    }

    fn parameters(&self) -> Vec<(&'static str, f64)> {
        vec![("bits", f64::from(self.bits()))]
    }

    fn query(&self, question: &Question, _: f64) -> Option<Estimate<f64>> {
        match *question {
            Question::Count => exactly(self.count()),
            Question::Quantile(q) => self.quantile(q),
            Question::Rank(x) => self.rank(x).map(whole),
            _ => None,
        }
    }
}

impl Numeric for Quantiles {
    fn update_values(&mut self, values: &[f64]) {
        self.update_all(values);
    }
}

/// Of doubles. Those of floats and integers are read by their own types.
impl Sketch for Kll {
    same_names!(Kll);
    /// The size, and the seed of the coin.
    type Params = (K, u64);

    fn with(&(k, seed): &(K, u64)) -> Self {
        Kll::new(k, seed)
    }

    fn params(&self) -> (K, u64) {
        (self.k(), self.coin())
    }

    fn parameters(&self) -> Vec<(&'static str, f64)> {
        vec![("k", f64::from(self.k().get()))]
    }

    fn query(&self, question: &Question, confidence: f64) -> Option<Estimate<f64>> {
        match *question {
            Question::Count => exactly(self.count()),
            Question::Quantile(q) => self.quantile(q, Search::Inclusive, confidence),
            Question::Rank(x) => {
                self.rank(x, Search::Inclusive, confidence).map(|share| counted(share, self.count()))
            }
            _ => None,
        }
    }

    fn to_wire(&self) -> Option<Vec<u8>> {
        Some(self.to_datasketches())
    }
}

impl Numeric for Kll {
    fn update_values(&mut self, values: &[f64]) {
        self.update_all(values);
    }
}

impl Sketch for TDigest {
    same_names!(TDigest);
    /// The compression.
    type Params = u16;

    fn with(k: &u16) -> Self {
        TDigest::new(*k).expect("the k of another one")
    }

    fn params(&self) -> u16 {
        self.k()
    }

    fn parameters(&self) -> Vec<(&'static str, f64)> {
        vec![("k", f64::from(self.k()))]
    }

    fn query(&self, question: &Question, _: f64) -> Option<Estimate<f64>> {
        match *question {
            Question::Count => exactly(self.count()),
            Question::Quantile(q) => self.quantile(q),
            Question::Rank(x) => self.rank(x).map(|share| counted(share, self.count())),
            _ => None,
        }
    }

    fn to_wire(&self) -> Option<Vec<u8>> {
        Some(self.to_datasketches())
    }
}

impl Numeric for TDigest {
    fn update_values(&mut self, values: &[f64]) {
        self.update_all(values);
    }
}

impl Sketch for Histogram {
    same_names!(Histogram);
    /// The upper bounds; `None` for powers of two.
    type Params = Option<Vec<f64>>;

    fn with(bounds: &Option<Vec<f64>>) -> Self {
        match bounds {
            Some(bounds) => Histogram::new_fixed(bounds.clone()).expect("the bounds of another one"),
            None => Histogram::new_log2(),
        }
    }

    fn params(&self) -> Option<Vec<f64>> {
        self.bounds().map(<[f64]>::to_vec)
    }

    fn parameters(&self) -> Vec<(&'static str, f64)> {
        self.bounds().map(|bounds| ("bounds", bounds.len() as f64)).into_iter().collect()
    }

    fn query(&self, question: &Question, _: f64) -> Option<Estimate<f64>> {
        matches!(question, Question::Count).then(|| Estimate::exact(self.count() as f64))
    }
}

impl Numeric for Histogram {
    fn update_values(&mut self, values: &[f64]) {
        self.update_all(values);
    }
}

impl Sketch for Moments {
    same_names!(Moments);
    /// Integers or doubles, and what is kept of them.
    type Params = (Number, Parts);

    fn with(&(number, parts): &Self::Params) -> Self {
        Moments::new(number, parts)
    }

    fn params(&self) -> Self::Params {
        (self.number(), self.parts())
    }

    fn parameters(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    fn query(&self, question: &Question, _: f64) -> Option<Estimate<f64>> {
        match question {
            Question::Count => exactly(self.count()),
            Question::Sum => self.sum().map(|sum| Estimate::exact(sum.as_f64())),
            _ => None,
        }
    }
}

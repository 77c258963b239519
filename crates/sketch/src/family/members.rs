//! How each structure is a member of the family. What they all call by the same name is handed on by `same_names`.

use super::{Hashed, Kind, Numeric, Question, Sketch};
use crate::bloom::{Filter, Seen, Size, Verdict};
use crate::countmin::{CountMin, Freq};
use crate::exact::{Moments, Number, Parts};
use crate::frequent::Counters;
use crate::histogram::Histogram;
use crate::hll::{Distinct, LgK};
use crate::quantile::Quantiles;
use crate::sample::Sample;
use crate::theta::Theta;
use crate::{DecodeError, Estimate, Health, Incompatible, Limits, MergeNote, Reader, Token};

macro_rules! same_names {
    ($kind:ident) => {
        const KIND: Kind = Kind::$kind;

        fn merge(&mut self, other: &Self) -> Result<MergeNote, Incompatible> {
            self.merge(other)
        }

        fn snapshot(&self, out: &mut Vec<u8>) {
            self.snapshot(out);
        }

        fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<Self, DecodeError> {
            Self::restore(r, limits)
        }

        fn memory_bytes(&self) -> usize {
            self.memory_bytes()
        }

        fn health(&self) -> Health {
            self.health()
        }

        fn sketch_name(&self) -> String {
            self.sketch_name()
        }

        fn is_empty(&self) -> bool {
            self.is_empty()
        }

        fn check_invariants(&self) {
            self.check_invariants();
        }
    };
}

fn whole(estimate: Estimate<u64>) -> Estimate<f64> {
    estimate.map(|n| n as f64)
}

fn exactly(n: u64) -> Option<Estimate<f64>> {
    Some(Estimate::exact(n as f64))
}

/// A yes that is wrong at this rate.
fn contained(yes: bool, rate: f64) -> Estimate<f64> {
    match (yes, rate > 0.0) {
        (true, true) => Estimate::proven(1.0, 0.0, 1.0),
        (yes, _) => Estimate::exact(f64::from(u8::from(yes))),
    }
}

impl Sketch for Distinct {
    same_names!(Distinct);
    type Params = LgK;

    fn with(lg_k: &LgK) -> Self {
        Distinct::new(*lg_k)
    }

    fn params(&self) -> LgK {
        self.lg_k()
    }

    fn parameters(&self) -> Vec<(&'static str, f64)> {
        vec![("lg_k", f64::from(self.lg_k().get()))]
    }

    fn query(&self, question: &Question, confidence: f64) -> Option<Estimate<f64>> {
        matches!(question, Question::Distinct).then(|| self.estimate(confidence))
    }

    fn to_wire(&self) -> Option<Vec<u8>> {
        Some(self.to_datasketches())
    }
}

impl Hashed for Distinct {
    type Hash = Token;

    fn update_hashes(&mut self, tokens: &[Token]) {
        self.update_all(tokens);
    }
}

impl Sketch for Theta {
    same_names!(Theta);
    type Params = LgK;

    fn with(lg_k: &LgK) -> Self {
        Theta::new(*lg_k)
    }

    fn params(&self) -> LgK {
        self.lg_k()
    }

    fn parameters(&self) -> Vec<(&'static str, f64)> {
        vec![("lg_k", f64::from(self.lg_k().get()))]
    }

    fn query(&self, question: &Question, confidence: f64) -> Option<Estimate<f64>> {
        matches!(question, Question::Distinct).then(|| self.estimate(confidence))
    }

    fn to_wire(&self) -> Option<Vec<u8>> {
        Some(self.export())
    }
}

impl Hashed for Theta {
    type Hash = u64;

    fn update_hashes(&mut self, hashes: &[u64]) {
        self.update_all(hashes);
    }
}

impl Sketch for CountMin {
    same_names!(CountMin);
    /// log2 of the width, and the number of rows.
    type Params = (u8, u8);

    fn with(&(lg_width, depth): &(u8, u8)) -> Self {
        CountMin::new(lg_width, depth)
    }

    fn params(&self) -> (u8, u8) {
        (self.lg_width(), self.depth())
    }

    fn parameters(&self) -> Vec<(&'static str, f64)> {
        vec![("lg_width", f64::from(self.lg_width())), ("depth", f64::from(self.depth()))]
    }

    fn query(&self, question: &Question, confidence: f64) -> Option<Estimate<f64>> {
        match question {
            Question::Count => exactly(self.total()),
            Question::Frequency(token) => Some(whole(self.query(*token, confidence))),
            _ => None,
        }
    }
}

impl Hashed for CountMin {
    type Hash = Token;

    fn update_hashes(&mut self, tokens: &[Token]) {
        self.update_all(tokens);
    }
}

impl Sketch for Counters {
    same_names!(Counters);
    /// The number of slots.
    type Params = usize;

    fn with(slots: &usize) -> Self {
        Counters::new(*slots)
    }

    fn params(&self) -> usize {
        self.slots()
    }

    fn parameters(&self) -> Vec<(&'static str, f64)> {
        vec![("slots", self.slots() as f64)]
    }

    fn query(&self, question: &Question, _: f64) -> Option<Estimate<f64>> {
        match question {
            Question::Count => exactly(self.total()),
            Question::Frequency(token) => Some(whole(self.get(*token))),
            _ => None,
        }
    }

    fn to_wire(&self) -> Option<Vec<u8>> {
        Some(self.to_datasketches_strings())
    }
}

impl Sketch for Freq {
    same_names!(Freq);
    /// log2 of the width, the number of rows, and the slots of the hot table.
    type Params = (u8, u8, usize);

    fn with(&(lg_width, depth, slots): &Self::Params) -> Self {
        Freq::new(lg_width, depth, slots)
    }

    fn params(&self) -> Self::Params {
        (self.lg_width(), self.depth(), self.hot().slots())
    }

    fn parameters(&self) -> Vec<(&'static str, f64)> {
        let (lg_width, depth, slots) = self.params();
        vec![("lg_width", f64::from(lg_width)), ("depth", f64::from(depth)), ("slots", slots as f64)]
    }

    fn query(&self, question: &Question, confidence: f64) -> Option<Estimate<f64>> {
        match question {
            Question::Count => exactly(self.total()),
            Question::Frequency(token) => Some(whole(self.query(*token, confidence))),
            _ => None,
        }
    }
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
            Question::Contains(token) => Some(contained(self.contains(*token), self.rate())),
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
            Question::Contains(token) => Some(contained(self.contains(*token) != Verdict::New, self.rate())),
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

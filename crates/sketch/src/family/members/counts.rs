//! Of how often values occur, and how much they weigh.

use super::{exactly, whole};
use crate::countmin::{Conservative, CountMin, Freq};
use crate::countsketch::CountSketch;
use crate::family::{Hashed, Kind, Question, Sketch};
use crate::frequent::Counters;
use crate::sliding::SlidingCount;
use crate::{DecodeError, Estimate, Health, Incompatible, Limits, MergeNote, Reader, Token};

impl Sketch for CountMin {
    same_names!(CountMin);
    by_width_and_depth!();

    fn query(&self, question: &Question, confidence: f64) -> Option<Estimate<f64>> {
        match question {
            Question::Count => exactly(self.total()),
            Question::Frequency(token) => Some(whole(self.query(*token, confidence))),
            _ => None,
        }
    }
}

impl Sketch for Conservative {
    same_names!(Conservative);
    by_width_and_depth!();

    fn query(&self, question: &Question, confidence: f64) -> Option<Estimate<f64>> {
        match question {
            Question::Count => exactly(self.total()),
            Question::Frequency(token) => Some(whole(self.query(*token, confidence))),
            _ => None,
        }
    }
}

impl Sketch for CountSketch {
    same_names!(CountSketch);
    by_width_and_depth!();

    fn query(&self, question: &Question, confidence: f64) -> Option<Estimate<f64>> {
        match question {
            Question::Frequency(token) => Some(self.query(*token, confidence).map(|weight| weight as f64)),
            _ => None,
        }
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

impl Sketch for SlidingCount {
    same_names!(SlidingCount);
    /// The window in units of time, and the relative error.
    type Params = (u64, f64);

    fn with(&(window, error): &(u64, f64)) -> Self {
        SlidingCount::new(window, error).expect("the window and error of another one")
    }

    fn params(&self) -> (u64, f64) {
        (self.window(), self.error())
    }

    fn parameters(&self) -> Vec<(&'static str, f64)> {
        vec![("window", self.window() as f64), ("error", self.error())]
    }

    /// The count is that of the window up to the latest time.
    fn query(&self, question: &Question, _: f64) -> Option<Estimate<f64>> {
        matches!(question, Question::Count).then(|| whole(self.last(self.window())))
    }
}

by_tokens! { CountMin Conservative CountSketch }

//! How well a sketch is doing: how full it is, how often it errs now, whether it does what it was sized for.

/// The state of a sketch in four numbers, the same for all of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Health {
    /// True while the answers have no error: a plain set, list or sum.
    pub exact: bool,
    /// Part in use of what the structure may grow to, 0..=1: bits set of a Bloom filter, counters above zero of a
    /// Count-Min row, slots taken of a table, registers above zero. While exact: of what is kept exactly.
    pub fill: f64,
    /// The error now, in the structure's own measure: false-positive rate, relative standard error, share of the total
    /// weight. 0 while exact; `None` where no theory says.
    pub error: Option<f64>,
    /// True when it holds more than it was sized for, so that `error` is beyond what was asked.
    pub saturated: bool,
}

impl Health {
    /// Of a structure whose answers have no error; `fill` is clamped to 0..=1.
    pub fn exact(fill: f64) -> Health {
        Health { exact: true, fill: fill.clamp(0.0, 1.0), error: Some(0.0), saturated: false }
    }

    /// Of a structure with this error; `fill` is clamped to 0..=1.
    pub fn with_error(fill: f64, error: f64) -> Health {
        Health { exact: false, fill: fill.clamp(0.0, 1.0), error: Some(error), saturated: false }
    }

    /// The same, saturated or not.
    pub fn saturated_when(self, saturated: bool) -> Health {
        Health { saturated, ..self }
    }
}

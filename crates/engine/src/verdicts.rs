//! What the judge came to, for the answers: the readings of `seen` metrics, and how far verdicts can be wrong.

use crate::answer::Reading;
use crate::doubt::Misjudged;

/// What the verdicts came to, for the answers.
#[derive(Debug, Clone, Default)]
pub struct Verdicts {
    /// The answer of each `seen` metric: its number and its reading.
    pub readings: Vec<(usize, Reading)>,
    /// How each verdict may be wrong, in the order of their columns.
    pub misjudged: Vec<Misjudged>,
    /// Expressions that failed on a verdict and gave null.
    pub failed: u64,
    /// Events that got no verdict, because what they look back on is forgotten already.
    pub unjudged: u64,
    /// Metrics whose filter took more keys than memory allows at its rate.
    pub degraded: Vec<usize>,
    /// Accounted bytes of all filters.
    pub memory_bytes: u64,
}

//! What becomes of a state when the pipeline that it was made by changes.
//!
//! Whoever compares the two pipelines says which metric of the new one goes on with which of the old one, under which
//! grouping sets ([`Adoption`]); each machine then makes of its old self one of the new source: [`Shard::adopt`],
//! [`Judge::adopt`], [`Intake::adopt`], [`Rollups::adopt`]. What goes on keeps its bytes, whatever number it, its columns and its
//! neighbours have now. What does not begins empty.
//!
//! [`Shard::adopt`]: crate::shard::Shard::adopt
//! [`Judge::adopt`]: crate::judge::Judge::adopt
//! [`Intake::adopt`]: crate::intake::Intake::adopt
//! [`Rollups::adopt`]: crate::rollup::Rollups::adopt

use crate::spec::{Measure, Source};

/// What of an old source goes on in a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoption {
    /// By metric of the new source: what it goes on with; `None` of one that begins.
    pub metrics: Vec<Option<Adopted>>,
    /// Whether event time is what it was: then clocks and the watermark go on. Without it nothing else may.
    pub clock: bool,
}

/// What a metric goes on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// Number of the old metric, which measures the same.
    pub metric: usize,
    /// By grouping set of the new metric: the number of the old one's that has the same fields; `None` of one that begins.
    pub sets: Vec<Option<usize>>,
}

impl Adoption {
    /// Everything goes on, at the place where it was.
    pub fn of_all(source: &Source) -> Adoption {
        let same = |(metric, spec): (usize, &crate::spec::Metric)| {
            Some(Adopted { metric, sets: (0..spec.by.len()).map(Some).collect() })
        };
        Adoption { metrics: source.metrics.iter().enumerate().map(same).collect(), clock: true }
    }

    /// Nothing goes on of what was measured.
    pub fn of_nothing(to: &Source, clock: bool) -> Adoption {
        Adoption { metrics: vec![None; to.metrics.len()], clock }
    }

    /// The old metric that a new one goes on with.
    pub fn old_metric(&self, metric: usize) -> Option<usize> {
        self.metrics.get(metric)?.as_ref().map(|adopted| adopted.metric)
    }

    /// The new metric that goes on with an old one.
    pub fn new_metric(&self, old: usize) -> Option<usize> {
        (0..self.metrics.len()).find(|&metric| self.old_metric(metric) == Some(old))
    }

    /// The old metric and the fields of its grouping set that metric `metric` of `to` goes on with when grouped by these.
    pub(crate) fn old_set<'a>(
        &self,
        from: &'a Source,
        to: &Source,
        metric: usize,
        by: &[usize],
    ) -> Option<(usize, &'a [usize])> {
        let adopted = self.metrics.get(metric)?.as_ref()?;
        let set = to.metrics[metric].by.iter().position(|fields| fields == by)?;
        let old = adopted.sets.get(set).copied().flatten()?;
        Some((adopted.metric, from.metrics[adopted.metric].by.get(old)?))
    }
}

/// The new measure at the size to which memory pressure has folded the old one.
pub(crate) fn folded_as(new: &Measure, old: &Measure) -> Measure {
    let mut folded = new.clone();
    match (&mut folded, old) {
        (Measure::Unique { lg_k, .. }, Measure::Unique { lg_k: old, .. })
        | (Measure::Audience { lg_k, .. }, Measure::Audience { lg_k: old, .. }) => *lg_k = *old,
        (Measure::Freq { lg_width, .. }, Measure::Freq { lg_width: old, .. }) => *lg_width = *old,
        _ => {}
    }
    folded
}

//! The filters and sessions of the old source become those of the new.

use super::{Judge, JudgeStep};
use crate::adopt::Adoption;
use crate::compute::Compute;
use crate::spec::Source;
use std::sync::Arc;

impl Judge {
    /// What of this judge goes on in one of `to`, which may take `memory_bytes` ([`Judge::share_of`]); a filter grows as far as
    /// it might before.
    pub fn adopt(
        self,
        to: &Source,
        adoption: &Adoption,
        program: Option<Arc<dyn Compute>>,
        memory_bytes: u64,
    ) -> Judge {
        let mut judge = Judge::new(to, program, memory_bytes);
        judge.failed = if judge.steps.is_empty() { 0 } else { self.failed };
        for (_, step) in &mut judge.steps {
            let JudgeStep::Judge(filter) = step else { continue };
            let old = adoption.old_metric(filter.metric);
            let Some(theirs) = old.and_then(|old| self.filters().find(|filter| filter.metric == old)) else {
                continue;
            };
            filter.keys = Arc::clone(&theirs.keys);
            filter.watermark = theirs.watermark;
        }
        for old in self.sessions {
            let Some(metric) = adoption.new_metric(old.metric()) else { continue };
            if let Some(sessions) = judge.sessions.iter_mut().find(|sessions| sessions.metric() == metric) {
                sessions.adopt(old);
            }
        }
        judge
    }
}

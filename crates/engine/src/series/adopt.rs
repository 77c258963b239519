//! A series of the old source becomes one of the new.

use super::Series;
use crate::adopt::folded_as;
use crate::away::Table;
use std::sync::Arc;

impl Series {
    /// Goes on with what another series of the same measure and lengths of panes holds; `map` gives our number for each of
    /// its groups, where they are others; `since` is the last time that groups of ours were let go. Panes may be kept for another time: those that are gone stay gone.
    pub(crate) fn adopt(&mut self, old: Series, map: Option<&Arc<Table>>, since: u64) {
        self.measure = folded_as(&self.measure, &old.measure);
        for (ours, theirs) in self.ladder.iter_mut().zip(&old.ladder) {
            let first = theirs.closed_to.map(|watermark| theirs.level.first_kept(watermark));
            let longer = ours.level.keep > theirs.level.keep;
            ours.kept_from = theirs.kept_from.max(first.filter(|_| longer));
            (ours.closed_to, ours.dropped) = (theirs.closed_to, theirs.dropped);
        }
        if let Some(map) = map {
            return self.absorb(&old, map, since);
        }
        if self.total.is_some() {
            self.total = old.total;
        }
        for (ours, theirs) in self.ladder.iter_mut().zip(old.ladder) {
            ours.panes = theirs.panes;
        }
    }
}

//! The sessions of the old source become those of the new.

use super::Sessions;
use crate::adopt::Adoption;

impl Sessions {
    /// Goes on with the sessions of a metric that is defined as this one is.
    pub(crate) fn adopt(&mut self, old: Sessions) {
        let all = Adoption::of_all(&self.source);
        self.closed = old.closed.adopt(&old.source, &self.source, &all, self.closed_bytes);
        (self.held, self.doubts) = (old.held, old.doubts);
        (self.sealed, self.first, self.watermark) = (old.sealed, old.first, old.watermark);
    }
}

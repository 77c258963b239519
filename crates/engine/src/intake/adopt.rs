//! The clocks and counters of the old source become those of the new.

use super::Intake;
use crate::spec::Source;

impl Intake {
    /// Goes on with what was read and counted, and with the clocks, where `clock` says that event time is what it was.
    ///
    /// # Panics
    /// While [`Intake::holds_rows`].
    pub fn adopt(mut self, to: &Source, clock: bool) -> Intake {
        assert!(!self.holds_rows(), "rows that wait belong to the old source");
        let agree = to.time.as_ref().map_or(0, |time| time.agree);
        for partition in self.partitions.values_mut() {
            partition.clock = partition.clock.filter(|_| clock);
            let surplus = if clock { partition.beyond.len().saturating_sub(agree) } else { usize::MAX };
            partition.beyond.drain(..surplus.min(partition.beyond.len()));
        }
        Intake {
            partitions: self.partitions,
            watermark: self.watermark.filter(|_| clock),
            records: self.records,
            tally: self.tally,
            ..Intake::new(to)
        }
    }
}

//! The bytes of an intake between two blocks: clocks and counters, so that a source goes on where it was left.
//!
//! Rows that wait for the first clock of their partition are not among them: whoever keeps a state waits until there are
//! none ([`Intake::holds_rows`]), and reads them again if it does not come to that.

use super::{Intake, Partition, Tally};
use crate::restore::count;
use crate::series::optional_time;
use crate::spec::Source;
use crate::time::Time;
use sketch::codec::write_varint;
use sketch::{DecodeError, Reader};

/// Number, clock, two flags and the number of times beyond the clock.
const PARTITION_BYTES_MIN: usize = 1 + 8 + 1 + 1;

impl Intake {
    /// True while rows wait for the first clock of their partition.
    pub fn holds_rows(&self) -> bool {
        self.partitions.values().any(|partition| !partition.held.is_empty())
    }

    /// Appends clocks and counters.
    ///
    /// # Panics
    /// While [`Intake::holds_rows`].
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        assert!(!self.holds_rows(), "rows that wait have no bytes");
        write_time(self.watermark, out);
        out.extend_from_slice(&self.records.to_le_bytes());
        self.tally.snapshot(out);
        write_varint(self.partitions.len() as u64, out);
        for (&id, partition) in &self.partitions {
            write_varint(u64::from(id), out);
            write_time(partition.clock, out);
            out.push(u8::from(partition.finished));
            write_varint(partition.beyond.len() as u64, out);
            partition.beyond.iter().for_each(|t| out.extend_from_slice(&t.0.to_le_bytes()));
        }
    }

    /// Reads what [`Intake::snapshot`] wrote of this source, and leaves the reader behind it. Survives any bytes.
    ///
    /// # Errors
    /// Bytes that no intake writes.
    pub fn restore(source: &Source, r: &mut Reader<'_>) -> Result<Intake, DecodeError> {
        let mut intake = Intake::new(source);
        intake.watermark = optional_time(r)?;
        intake.records = r.u64()?;
        intake.tally = Tally::restore(r)?;
        let agree = source.time.as_ref().map_or(0, |time| time.agree);
        let mut next = 0;
        for _ in 0..count(r, PARTITION_BYTES_MIN)? {
            let id = u32::try_from(r.varint()?).ok().filter(|id| u64::from(*id) >= next);
            let id = id.ok_or(DecodeError::Invalid("partitions out of order"))?;
            next = u64::from(id) + 1;
            let clock = optional_time(r)?;
            let finished = match r.u8()? {
                0 => false,
                1 => true,
                _ => return Err(DecodeError::Invalid("flag of a partition")),
            };
            let times = count(r, size_of::<i64>())?;
            if times > agree {
                return Err(DecodeError::Invalid("times beyond the clock of a partition"));
            }
            let mut partition = Partition { clock, finished, ..Partition::default() };
            for _ in 0..times {
                let time = optional_time(r)?.ok_or(DecodeError::Invalid("a time beyond the clock"))?;
                partition.beyond.push_back(time);
            }
            intake.partitions.insert(id, partition);
        }
        Ok(intake)
    }
}

fn write_time(time: Option<Time>, out: &mut Vec<u8>) {
    out.extend_from_slice(&time.map_or(i64::MIN, |t| t.0).to_le_bytes());
}

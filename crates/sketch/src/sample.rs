//! Some rows, drawn fairly: of all rows offered, the k with the smallest priorities.
//!
//! When priorities are independent uniform numbers, the k smallest are a uniform sample without replacement, and the k
//! smallest of two samples are a sample of both streams: *bottom-k* (Cohen & Kaplan 2007). [`priority`] draws them from
//! the position of a row, so the same input gives the same sample, however it was cut up.
//!
//! **Law, of whole bytes:** order does not matter and a merge equals one sample over all rows. Rows are a multiset: a row
//! offered twice counts twice, and equal priorities are ordered by payload.
//!
//! **Left out:** weights, and a limit to the size of a payload, which whoever writes it knows best.

use std::collections::BinaryHeap;

use crate::codec::{Limits, Reader, expect_head, kind};
use crate::{DecodeError, Health, Incompatible, MergeNote};

const VERSION: u8 = 1;
/// Priority and length: a row without its payload.
const ROW_BYTES_MIN: usize = 8 + 4;

/// A uniform number for the row at this position of a partition: no two positions of one partition share it, and any
/// two partitions are as good as independent.
///
/// A SplitMix64 stream (Steele, Lea & Flood 2014) per partition, started where MurmurHash3's finaliser sends its number.
/// Frozen: samples of different runs merge.
#[inline]
pub fn priority(partition: u32, position: u64) -> u64 {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let start = crate::hash::fmix64(u64::from(partition) ^ GOLDEN);
    crate::hash::fmix64(start.wrapping_add(position.wrapping_mul(GOLDEN)))
}

/// At most k rows of a stream, each row as likely to be among them as any other.
///
/// ```
/// use sketch::sample::{Sample, priority};
///
/// let mut sample = Sample::new(3);
/// for (line, text) in ["ada", "bob", "cy", "dan", "eve"].into_iter().enumerate() {
///     sample.offer(priority(0, line as u64), |payload| payload.extend_from_slice(text.as_bytes()));
/// }
/// assert_eq!((sample.rows().len(), sample.seen(), sample.is_all()), (3, 5, false));
/// ```
#[derive(Debug)]
pub struct Sample {
    k: u32,
    seen: u64,
    /// Largest on top.
    rows: BinaryHeap<Row>,
    payload_bytes: usize,
}

/// A row of the sample.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The smaller, the sooner it is kept.
    pub priority: u64,
    /// What was written for it.
    pub payload: Box<[u8]>,
}

impl Clone for Sample {
    /// With the same room: a copy is accounted for as what it is a copy of.
    fn clone(&self) -> Sample {
        let mut rows = Vec::with_capacity(self.rows.capacity());
        rows.extend_from_slice(self.rows.as_slice());
        Sample { rows: rows.into(), ..*self }
    }
}

impl Sample {
    /// A sample of at most `k` rows; none for k = 0, which only counts. Allocates nothing.
    pub fn new(k: u32) -> Sample {
        Sample { k, seen: 0, rows: BinaryHeap::new(), payload_bytes: 0 }
    }

    /// Counts a row and keeps it if its priority is small enough; only then its payload is written. True when it was
    /// kept. O(log k), and O(1) for almost all rows of a long stream: the n-th is kept with chance k/n.
    #[inline]
    pub fn offer(&mut self, priority: u64, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.seen = self.seen.saturating_add(1);
        if !self.would_keep(priority) {
            return false;
        }
        let mut payload = Vec::new();
        write(&mut payload);
        self.keep(Row { priority, payload: payload.into() })
    }

    /// True when a row of this priority would be kept now, or when that depends on its payload.
    #[inline]
    pub fn would_keep(&self, priority: u64) -> bool {
        self.rows.len() < self.k as usize || self.rows.peek().is_some_and(|worst| priority <= worst.priority)
    }

    fn keep(&mut self, row: Row) -> bool {
        if self.rows.len() < self.k as usize {
            self.payload_bytes += row.payload.len();
            self.rows.push(row);
            return true;
        }
        let Some(mut worst) = self.rows.peek_mut() else { return false };
        if row >= *worst {
            return false;
        }
        self.payload_bytes = self.payload_bytes - worst.payload.len() + row.payload.len();
        *worst = row;
        true
    }

    /// Takes in another sample: the result is one sample over the rows of both. O(k log k).
    ///
    /// # Errors
    /// When k differs; nothing is changed then.
    pub fn merge(&mut self, other: &Sample) -> Result<MergeNote, Incompatible> {
        if self.k != other.k {
            let (ours, theirs) = (u64::from(self.k), u64::from(other.k));
            return Err(Incompatible { what: "rows of a sample", ours, theirs });
        }
        self.seen = self.seen.saturating_add(other.seen);
        for row in &other.rows {
            if self.would_keep(row.priority) {
                self.keep(row.clone());
            }
        }
        Ok(MergeNote::Exact)
    }

    /// The rows kept, by priority and then by payload. O(k log k).
    pub fn rows(&self) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.sort_unstable();
        rows
    }

    /// Rows offered.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Most rows that are kept.
    pub fn k(&self) -> u32 {
        self.k
    }

    /// True while every row offered is in the sample.
    pub fn is_all(&self) -> bool {
        self.seen <= u64::from(self.k)
    }

    /// True when no row was offered.
    pub fn is_empty(&self) -> bool {
        self.seen == 0
    }

    /// What stands behind the rows: `bottom-k/100`.
    pub fn sketch_name(&self) -> String {
        format!("bottom-k/{}", self.k)
    }

    /// Rows kept of k. A sample of some rows has no error of its own: what is computed from it has.
    pub fn health(&self) -> Health {
        if self.is_all() {
            Health::exact(self.rows.len() as f64 / f64::from(self.k).max(1.0))
        } else {
            Health { exact: false, fill: 1.0, error: None, saturated: false }
        }
    }

    /// Accounted bytes: a function of the rows that are kept.
    pub fn memory_bytes(&self) -> usize {
        let room = if self.rows.is_empty() { 0 } else { self.rows.len().next_power_of_two().max(4) };
        size_of::<Sample>() + room * size_of::<Row>() + self.payload_bytes
    }

    /// Appends the snapshot: lossless and canonical.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        if cfg!(debug_assertions) {
            self.check_invariants();
        }
        out.extend_from_slice(&[kind::SAMPLE, VERSION]);
        out.extend_from_slice(&self.k.to_le_bytes());
        out.extend_from_slice(&self.seen.to_le_bytes());
        out.extend_from_slice(&(self.rows.len() as u32).to_le_bytes());
        for row in self.rows() {
            out.extend_from_slice(&row.priority.to_le_bytes());
            out.extend_from_slice(&(row.payload.len() as u32).to_le_bytes());
            out.extend_from_slice(&row.payload);
        }
    }

    /// Reads what [`Sample::snapshot`] wrote and leaves the reader behind it. Survives any bytes and allocates in
    /// proportion to what it reads; the limit bounds k rows, without their payloads.
    ///
    /// # Errors
    /// [`DecodeError`]: the bytes end early, there are not min(k, seen) rows, or they do not ascend.
    pub fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<Sample, DecodeError> {
        expect_head(r, kind::SAMPLE, VERSION, "not a sample of version 1")?;
        let (k, seen) = (r.u32()?, r.u64()?);
        limits.allow("rows of a sample", u64::from(k), size_of::<Row>())?;
        let count = r.count("rows of a sample", k as usize, ROW_BYTES_MIN)?;
        if count as u64 != seen.min(u64::from(k)) {
            return Err(DecodeError::Invalid("number of rows"));
        }
        let mut rows: Vec<Row> = Vec::with_capacity(count);
        for _ in 0..count {
            let (priority, len) = (r.u64()?, r.u32()?);
            let row = Row { priority, payload: r.bytes(len as usize)?.into() };
            if rows.last().is_some_and(|before| *before > row) {
                return Err(DecodeError::Invalid("rows do not ascend"));
            }
            rows.push(row);
        }
        let payload_bytes = rows.iter().map(|row| row.payload.len()).sum();
        Ok(Sample { k, seen, rows: rows.into(), payload_bytes })
    }

    /// For tests, and before every snapshot in debug builds.
    ///
    /// # Panics
    /// When the structure is broken, which would be a bug.
    pub fn check_invariants(&self) {
        assert_eq!(
            self.rows.len() as u64,
            self.seen.min(u64::from(self.k)),
            "every row is kept while there is room"
        );
        let bytes: usize = self.rows.iter().map(|row| row.payload.len()).sum();
        assert_eq!(self.payload_bytes, bytes, "payloads are counted");
    }
}

//! What reading saved bytes has in common: errors, a limit that all parts of a state share, and short lists.
//!
//! Bytes may be hostile. Every declared size is compared with the bytes at hand and with what [`Room`] has left before
//! anything is allocated; sums of weights are kept so small that nothing overflows when states are merged.

use sketch::codec::write_varint;
use sketch::{DecodeError, Limits, Reader};
use std::fmt;

/// Most weight, over all cells of a state: far beyond any stream, and two of these still add up in 64 bits.
pub const WEIGHT_SUM_MAX: u64 = 1 << 62;

/// Saved bytes that are not a state of this source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestoreError {
    /// The bytes are damaged, or no state at all.
    Bytes(DecodeError),
    /// Values were hashed in another way, or under another key.
    Hash {
        /// The stamp of the hash of the source, in hexadecimal digits.
        ours: String,
        /// That of the bytes.
        theirs: String,
    },
    /// What should be the state of this metric is not.
    Metric {
        /// Its name.
        metric: String,
        /// What is wrong.
        error: DecodeError,
    },
}

impl From<DecodeError> for RestoreError {
    fn from(error: DecodeError) -> RestoreError {
        RestoreError::Bytes(error)
    }
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreError::Bytes(error) => write!(f, "{error}"),
            RestoreError::Hash { ours, theirs } => write!(
                f,
                "its values were hashed in another way or under another key ({theirs}) than they are here ({ours}), so equal \
                 values would not be recognised as such"
            ),
            RestoreError::Metric { metric, error } => write!(f, "metric `{metric}`: {error}"),
        }
    }
}

impl std::error::Error for RestoreError {}

/// How much more may be built.
#[derive(Debug)]
pub(crate) struct Room {
    bytes: usize,
    limit: usize,
    weight: u64,
}

impl Room {
    pub(crate) fn new(limits: &Limits) -> Room {
        Room { bytes: limits.bytes_max, limit: limits.bytes_max, weight: 0 }
    }

    /// Takes room for `count` things of `each` bytes, before they are made.
    pub(crate) fn take(&mut self, what: &'static str, count: u64, each: usize) -> Result<(), DecodeError> {
        let bytes = count.saturating_mul(each as u64);
        match usize::try_from(bytes).ok().and_then(|bytes| self.bytes.checked_sub(bytes)) {
            Some(left) => self.bytes = left,
            None => return Err(self.too_large(what, bytes)),
        }
        Ok(())
    }

    /// What one more structure may take; whoever makes it tells with [`Room::take`] what it took.
    pub(crate) fn limits(&self) -> Limits {
        Limits::bytes(self.bytes)
    }

    /// Notes weight that later merges will add up.
    pub(crate) fn weigh(&mut self, weight: u64) -> Result<(), DecodeError> {
        self.weight = self.weight.saturating_add(weight);
        if self.weight > WEIGHT_SUM_MAX {
            return Err(DecodeError::Invalid("more weight than any stream has"));
        }
        Ok(())
    }

    fn too_large(&self, what: &'static str, bytes: u64) -> DecodeError {
        let used = (self.limit - self.bytes) as u64;
        DecodeError::TooLarge { what, declared: used.saturating_add(bytes), limit: self.limit as u64 }
    }
}

/// Ascending numbers below a bound, written as the gaps between them.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    next: u64,
}

impl Gaps {
    pub(crate) fn write(&mut self, number: u64, out: &mut Vec<u8>) {
        write_varint(number - self.next, out);
        self.next = number + 1;
    }

    pub(crate) fn read(&mut self, r: &mut Reader<'_>, end: u64) -> Result<u64, DecodeError> {
        let number = r.varint()?.checked_add(self.next).filter(|n| *n < end);
        let number = number.ok_or(DecodeError::Invalid("a number that is out of range"))?;
        self.next = number + 1;
        Ok(number)
    }

    /// The number of one of the groups that are there.
    pub(crate) fn read_live(&mut self, r: &mut Reader<'_>, numbers: Numbers<'_>) -> Result<u32, DecodeError> {
        let group = self.read(r, numbers.end() as u64)?;
        match numbers {
            Numbers::Live(live) if !live[group as usize] => Err(DecodeError::Invalid("a cell of no group")),
            Numbers::Live(_) | Numbers::Below(_) => Ok(group as u32),
        }
    }
}

/// The numbers of groups that a pane may name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Numbers<'a> {
    /// Those of groups that are there.
    Live(&'a [bool]),
    /// All below: of groups that may have left since.
    Below(usize),
}

impl Numbers<'_> {
    /// The first number beyond all of them.
    pub(crate) fn end(self) -> usize {
        match self {
            Numbers::Live(live) => live.len(),
            Numbers::Below(end) => end,
        }
    }
}

/// A number of entries of at least `entry_bytes` each, which the bytes at hand must hold.
pub(crate) fn count(r: &mut Reader<'_>, entry_bytes: usize) -> Result<usize, DecodeError> {
    let declared = r.varint()?;
    let held = usize::try_from(declared).ok().and_then(|n| n.checked_mul(entry_bytes));
    match held {
        Some(bytes) if bytes <= r.remaining() => Ok(declared as usize),
        _ => Err(DecodeError::Truncated),
    }
}

/// Bytes with their length in front (four bytes).
pub(crate) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// What [`write_bytes`] wrote.
pub(crate) fn read_bytes<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let len = r.u32()? as usize;
    r.bytes(len)
}

/// A stretch of bytes with its length in front (eight bytes), so that it can be skipped and compared.
pub(crate) fn write_section(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 8]);
    write(out);
    let len = (out.len() - at - 8) as u64;
    out[at..at + 8].copy_from_slice(&len.to_le_bytes());
}

/// What [`write_section`] wrote.
pub(crate) fn read_section<'a>(r: &mut Reader<'a>) -> Result<Reader<'a>, DecodeError> {
    let len = usize::try_from(r.u64()?).map_err(|_| DecodeError::Truncated)?;
    Ok(Reader::new(r.bytes(len)?))
}

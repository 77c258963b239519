//! Bytes in and out: little-endian, checked before anything is allocated.
//!
//! A [`Reader`] never reads past its end and never trusts a declared size: [`Reader::count`] compares it with a limit
//! and with the bytes at hand first. Writers are plain `Vec<u8>`; the helpers keep call sites short.

/// Bytes that are not what they claim to be. The words say what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes end before the structure does.
    Truncated,
    /// A field has a value that no writer produces.
    Invalid(&'static str),
    /// A declared size is beyond the limit given by the caller.
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// The size declared in the bytes.
        declared: u64,
        /// The most that is accepted.
        limit: u64,
    },
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DecodeError::Truncated => write!(f, "the bytes end too early"),
            DecodeError::Invalid(what) => write!(f, "invalid bytes: {what}"),
            DecodeError::TooLarge { what, declared, limit } => {
                write!(f, "{what}: {declared} declared, at most {limit} accepted")
            }
        }
    }
}

impl std::error::Error for DecodeError {}

/// How much a `restore` may build from bytes that may be hostile.
///
/// Every size that the bytes declare is compared with it, and with the bytes at hand, before anything is allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes that the structure may hold once it is built, give or take its fixed part.
    pub bytes_max: usize,
}

impl Limits {
    /// At most so many bytes.
    pub const fn bytes(bytes_max: usize) -> Limits {
        Limits { bytes_max }
    }

    /// Refuses a declared number of elements of `element_bytes` each in memory that would pass the limit.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`].
    pub fn allow(&self, what: &'static str, declared: u64, element_bytes: usize) -> Result<(), DecodeError> {
        let limit = (self.bytes_max / element_bytes.max(1)) as u64;
        if declared > limit { Err(DecodeError::TooLarge { what, declared, limit }) } else { Ok(()) }
    }
}

/// 64 MiB.
impl Default for Limits {
    fn default() -> Self {
        Limits::bytes(64 << 20)
    }
}

/// A cursor over bytes that may be hostile.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes }
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// The next `n` bytes.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        if n > self.bytes.len() {
            return Err(DecodeError::Truncated);
        }
        let (head, tail) = self.bytes.split_at(n);
        self.bytes = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut out = [0u8; N];
        out.copy_from_slice(self.bytes(N)?);
        Ok(out)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes, little-endian.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Four bytes, little-endian.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes, little-endian.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Eight bytes, little-endian, signed.
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// Sixteen bytes, little-endian, signed.
    pub fn i128(&mut self) -> Result<i128, DecodeError> {
        Ok(i128::from_le_bytes(self.array()?))
    }

    /// The bits of a double, little-endian.
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        Ok(f64::from_bits(self.u64()?))
    }

    /// A `u32` count of elements of at least `element_bytes` each: refused when it is beyond `limit` or when the
    /// bytes at hand cannot hold it. Call it before allocating.
    pub fn count(
        &mut self,
        what: &'static str,
        limit: usize,
        element_bytes: usize,
    ) -> Result<usize, DecodeError> {
        let declared = self.u32()? as usize;
        if declared > limit {
            return Err(DecodeError::TooLarge { what, declared: declared as u64, limit: limit as u64 });
        }
        if declared.saturating_mul(element_bytes) > self.bytes.len() {
            return Err(DecodeError::Truncated);
        }
        Ok(declared)
    }

    /// An unsigned LEB128 number: seven bits a byte, lowest first. Refuses more than 64 bits and forms that are longer
    /// than needed, so that a number has one spelling.
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let part = u64::from(byte & 0x7F);
            if part << shift >> shift != part || (byte == 0 && shift > 0) {
                break;
            }
            value |= part << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::Invalid("varint"))
    }

    /// Succeeds only when every byte was read.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.bytes.is_empty() { Ok(()) } else { Err(DecodeError::Invalid("bytes after the end")) }
    }
}

/// Appends a number as [`Reader::varint`] reads it.
pub fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads the two-byte head (kind, version) of a snapshot and refuses any other.
pub fn expect_head(r: &mut Reader<'_>, kind: u8, version: u8, name: &'static str) -> Result<(), DecodeError> {
    if r.u8()? != kind || r.u8()? != version {
        return Err(DecodeError::Invalid(name));
    }
    Ok(())
}

/// First bytes of the snapshots, one per structure. Frozen in docs/FORMATS.md.
pub mod kind {
    /// [`crate::hll::Distinct`].
    pub const DISTINCT: u8 = 1;
    /// [`crate::countmin::CountMin`].
    pub const COUNT_MIN: u8 = 2;
    /// [`crate::frequent::Counters`].
    pub const COUNTERS: u8 = 3;
    /// [`crate::countmin::Freq`].
    pub const FREQ: u8 = 4;
    /// [`crate::quantile::Quantiles`].
    pub const QUANTILES: u8 = 5;
    /// [`crate::histogram::Histogram`].
    pub const HISTOGRAM: u8 = 6;
    /// [`crate::exact::Moments`].
    pub const MOMENTS: u8 = 7;
    /// [`crate::bloom::Filter`].
    pub const FILTER: u8 = 8;
    /// [`crate::bloom::Seen`].
    pub const SEEN: u8 = 9;
    /// [`crate::theta::Theta`].
    pub const THETA: u8 = 10;
    /// [`crate::sample::Sample`].
    pub const SAMPLE: u8 = 11;
    /// [`crate::bloom::SeenRing`].
    pub const SEEN_RING: u8 = 12;
    /// [`crate::countmin::Conservative`].
    pub const CONSERVATIVE: u8 = 13;
    /// [`crate::countsketch::CountSketch`].
    pub const COUNT_SKETCH: u8 = 14;
    /// [`crate::ring::Ring`] of [`crate::countmin::CountMin`].
    pub const COUNT_MIN_RING: u8 = 15;
    /// [`crate::sliding::SlidingCount`].
    pub const SLIDING_COUNT: u8 = 16;
    /// [`crate::kll::Kll`].
    pub const KLL: u8 = 17;
    /// [`crate::minhash::MinHash`].
    pub const MIN_HASH: u8 = 18;
    /// [`crate::interchange::Cpc`].
    pub const CPC: u8 = 19;
    /// [`crate::interchange::TDigest`].
    pub const T_DIGEST: u8 = 20;
    /// [`crate::Keyed`].
    pub const KEYED: u8 = 21;
    /// [`crate::ring::Ring`] of [`crate::frequent::Counters`].
    pub const COUNTERS_RING: u8 = 22;
    /// [`crate::ring::Ring`] of [`crate::hll::Distinct`].
    pub const DISTINCT_RING: u8 = 23;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        for value in [0, 1, 127, 128, 300, 1 << 35, u64::MAX] {
            let mut bytes = Vec::new();
            write_varint(value, &mut bytes);
            assert_eq!(Reader::new(&bytes).varint(), Ok(value));
        }
        for longer in [&[0x80, 0x00][..], &[0xFF; 10], &[0x80; 11], &[0x80]] {
            assert!(Reader::new(longer).varint().is_err(), "{longer:?}");
        }
    }
}

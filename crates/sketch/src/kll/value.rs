//! What a KLL sketch can hold, as integers that sort alike.

use crate::codec::{DecodeError, Reader};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f64 {}
    impl Sealed for f32 {}
    impl Sealed for i64 {}
}

/// A number that a [`super::Kll`] can hold: `f64`, `f32` or `i64`.
///
/// Inside, a value is an `i64` key of the same order, so that one machine sorts all of them, and comparing is one
/// instruction.
pub trait Value: Copy + PartialEq + PartialOrd + std::fmt::Debug + sealed::Sealed {
    /// Tells snapshots of different types apart. Frozen in docs/FORMATS.md.
    #[doc(hidden)]
    const TAG: u8;
    /// Bytes of a value in snapshots and images.
    #[doc(hidden)]
    const BYTES: usize;
    /// The key of a value; `None` for NaN. Zero has one key, whatever its sign.
    #[doc(hidden)]
    fn key(self) -> Option<i64>;
    /// True for what has no key.
    #[doc(hidden)]
    fn is_missing(self) -> bool;
    /// The key of a value that is not missing.
    #[doc(hidden)]
    fn key_of_present(self) -> i64;
    /// The value of a key.
    #[doc(hidden)]
    fn of_key(key: i64) -> Self;
    /// Appends the bytes, little-endian.
    #[doc(hidden)]
    fn write(self, out: &mut Vec<u8>);
    /// Reads them back.
    #[doc(hidden)]
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

impl Value for f64 {
    const TAG: u8 = 0;
    const BYTES: usize = 8;

    #[inline]
    fn key(self) -> Option<i64> {
        if self.is_nan() { None } else { Some(self.key_of_present()) }
    }

    #[inline]
    fn is_missing(self) -> bool {
        self.is_nan()
    }

    /// Doubles of one sign sort as their bits do, negative ones backwards: all but the sign is turned over for them.
    #[inline]
    fn key_of_present(self) -> i64 {
        let bits = (self + 0.0).to_bits() as i64;
        bits ^ (((bits >> 63) as u64) >> 1) as i64
    }

    #[inline]
    fn of_key(key: i64) -> f64 {
        f64::from_bits((key ^ (((key >> 63) as u64) >> 1) as i64) as u64)
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn read(r: &mut Reader<'_>) -> Result<f64, DecodeError> {
        r.f64()
    }
}

impl Value for f32 {
    const TAG: u8 = 1;
    const BYTES: usize = 4;

    #[inline]
    fn key(self) -> Option<i64> {
        if self.is_nan() { None } else { Some(self.key_of_present()) }
    }

    #[inline]
    fn is_missing(self) -> bool {
        self.is_nan()
    }

    #[inline]
    fn key_of_present(self) -> i64 {
        let bits = (self + 0.0).to_bits() as i32;
        i64::from(bits ^ (((bits >> 31) as u32) >> 1) as i32)
    }

    #[inline]
    fn of_key(key: i64) -> f32 {
        let key = key as i32;
        f32::from_bits((key ^ (((key >> 31) as u32) >> 1) as i32) as u32)
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn read(r: &mut Reader<'_>) -> Result<f32, DecodeError> {
        Ok(f32::from_bits(r.u32()?))
    }
}

impl Value for i64 {
    const TAG: u8 = 2;
    const BYTES: usize = 8;

    #[inline]
    fn key(self) -> Option<i64> {
        Some(self)
    }

    #[inline]
    fn is_missing(self) -> bool {
        false
    }

    #[inline]
    fn key_of_present(self) -> i64 {
        self
    }

    #[inline]
    fn of_key(key: i64) -> i64 {
        key
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn read(r: &mut Reader<'_>) -> Result<i64, DecodeError> {
        r.i64()
    }
}

/// The keys of so many values that follow; refuses NaN.
pub(super) fn read_keys<T: Value>(r: &mut Reader<'_>, count: usize) -> Result<Vec<i64>, DecodeError> {
    if count.saturating_mul(T::BYTES) > r.remaining() {
        return Err(DecodeError::Truncated);
    }
    (0..count).map(|_| T::read(r)?.key().ok_or(DecodeError::Invalid("kll: NaN"))).collect()
}

/// Appends the values of keys.
pub(super) fn write_keys<'a, T: Value>(keys: impl IntoIterator<Item = &'a i64>, out: &mut Vec<u8>) {
    keys.into_iter().for_each(|key| T::of_key(*key).write(out));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_the_values_do_and_turn_back() {
        let doubles =
            [f64::NEG_INFINITY, f64::MIN, -1.5, -1e-320, 0.0, 5e-324, 1.0, 1.5, f64::MAX, f64::INFINITY];
        assert!(doubles.windows(2).all(|w| w[0].key() < w[1].key()));
        assert!(doubles.iter().all(|v| f64::of_key(v.key_of_present()).to_bits() == v.to_bits()));
        assert_eq!((-0.0f64).key(), 0.0f64.key());
        assert_eq!(f64::NAN.key(), None);
        let floats = [f32::NEG_INFINITY, f32::MIN, -1.5, -1e-44, 0.0, 1e-45, 1.0, f32::MAX, f32::INFINITY];
        assert!(floats.windows(2).all(|w| w[0].key() < w[1].key()));
        assert!(floats.iter().all(|v| f32::of_key(v.key_of_present()).to_bits() == v.to_bits()));
        assert_eq!((-0.0f32).key(), 0.0f32.key());
        assert_eq!((-f32::NAN).key(), None);
    }
}

//! Which bin a number falls into, and what a bin says about its numbers. Bit arithmetic only: no logarithm.
//!
//! The key of a magnitude is its binary exponent followed by the top `bits` bits of its significand. Subnormals are
//! first brought into normal form, so relative precision holds down to the smallest double:
//!
//! ```text
//! key = e << bits | m      e = 1 (2^-1074) ..= 2098 (2^1023),  m = top bits of the significand
//! bin = [(2^bits + m) · u, (2^bits + m + 1) · u),   u = 2^(e - 1075 - bits)
//! ```

const MIN_NORMAL: u64 = 1 << 52;
const INFINITY: u64 = 0x7FF << 52;

/// Exponents of subnormals: normal ones begin after them.
const SUBNORMALS: u64 = 52;
/// The exponent of the largest double.
pub(super) const EXPONENT_MAX: u32 = 2098;
/// Doubles below this have a unit of at most one: every integer below it is a double.
pub(super) const INTEGRAL_MAX: f64 = 9_007_199_254_740_992.0;

/// The key of a finite normal double's magnitude; `None` for zero, subnormals, infinities and NaN.
#[inline]
pub(super) fn normal_key(v: f64, bits: u8) -> Option<u32> {
    let magnitude = v.to_bits() & (u64::MAX >> 1);
    (magnitude.wrapping_sub(MIN_NORMAL) < INFINITY - MIN_NORMAL).then(|| normal_key_of(magnitude, bits))
}

/// The key of the bits of a normal magnitude.
#[inline]
pub(super) fn normal_key_of(magnitude: u64, bits: u8) -> u32 {
    ((magnitude >> (52 - bits)) + (SUBNORMALS << bits)) as u32
}

/// The key of a finite double that is not zero.
pub(super) fn key(v: f64, bits: u8) -> u32 {
    normal_key(v, bits).unwrap_or_else(|| {
        // Scaling a subnormal by 2^52 is exact and makes it normal.
        let scaled = (v.abs() * MIN_NORMAL as f64).to_bits();
        (scaled >> (52 - bits)) as u32
    })
}

/// Whether `v` is an integer of magnitude below 2^53.
#[inline]
pub(super) fn is_integral(v: f64) -> bool {
    // Adding 2^52 rounds to an integer; from there on every double is one. Without branches, for loops over blocks.
    const UNIT: f64 = INTEGRAL_MAX / 2.0;
    let a = v.abs();
    (((a + UNIT) - UNIT == a) | (a >= UNIT)) & (a < INTEGRAL_MAX)
}

/// Magnitudes that a bin can stand for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bin {
    /// Its smallest possible magnitude.
    pub(super) low: f64,
    /// Its largest possible magnitude.
    pub(super) high: f64,
    /// The one reported.
    pub(super) value: f64,
}

/// The bin of a key; `None` when no number falls into it (far down among the subnormals, or between integers).
///
/// The value is the harmonic middle `2·lo·hi/(lo+hi)`, which halves the largest relative error to 1/(2^(bits+1)+1),
/// rounded down to a double. Rounding down keeps that bound exactly, on any grid of w steps per bin: with
/// `M = 2^bits + m` the middle lies `w·M/(2M+1)` steps above `lo`, a multiple of 1/(2M+1), so it loses at most
/// 2M/(2M+1) of a step, which is how much closer the largest number of the bin is than the open end `hi`. The same
/// holds on the grid of the integers.
pub(super) fn bin(key: u32, bits: u8, integral: bool) -> Option<Bin> {
    let (from, to) = (edge_bits(key, bits), edge_bits(key + 1, bits));
    if from >= to {
        return None;
    }
    let significand = (1u64 << bits) + u64::from(key) % (1 << bits);
    let steps = to - from;
    let middle = from + steps * significand / (2 * significand + 1);
    let (mut low, mut high, mut value) =
        (f64::from_bits(from), f64::from_bits(to - 1), f64::from_bits(middle));
    if integral {
        (low, high) = (low.ceil(), high.floor());
        if low > high {
            return None;
        }
        value = value.floor().clamp(low, high);
    }
    Some(Bin { low, high, value })
}

/// Bits of the smallest double in or above the bin of this key.
fn edge_bits(key: u32, bits: u8) -> u64 {
    let (exponent, m) = (u64::from(key) >> bits, u64::from(key) % (1 << bits));
    if exponent > SUBNORMALS {
        return (exponent - SUBNORMALS) << 52 | m << (52 - bits);
    }
    // In units of the smallest double; the edge of a narrow bin lies between two of them.
    (((1 << bits) + m) << exponent.saturating_sub(1)).div_ceil(1 << bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_below_two_to_the_53rd_are_integral() {
        let two = |k| 2f64.powi(k);
        for v in [0.0, 1.0, 3.0, two(51) + 1.0, two(52) - 1.0, two(52), two(52) + 1.0, two(53) - 1.0] {
            assert!(is_integral(v) && is_integral(-v), "{v}");
        }
        for v in [
            0.5,
            5e-324,
            1.5,
            two(51) + 0.5,
            two(52) - 0.5,
            two(53),
            two(60),
            f64::MAX,
            f64::INFINITY,
            f64::NAN,
        ] {
            assert!(!is_integral(v) && !is_integral(-v), "{v}");
        }
    }

    #[test]
    fn every_number_lies_in_its_bin_and_near_its_value() {
        let mut bits_of = 0x9E37_79B9_7F4A_7C15u64;
        for i in 0..200_000u64 {
            bits_of = bits_of.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            // Every fourth number is subnormal, every fifth one of the smallest subnormals.
            let magnitude = (bits_of >> 1) >> if i % 4 == 0 { 11 + i % 5 * 10 } else { 0 };
            let v = f64::from_bits(magnitude);
            if !v.is_finite() || v == 0.0 {
                continue;
            }
            for bits in 1..=10 {
                let bin = bin(key(v, bits), bits, false).unwrap();
                assert!(bin.low <= v && v <= bin.high, "{v:e} at {bits}: {bin:?}");
                let inverse = f64::from(2u32 << bits) + 1.0;
                assert!((bin.value - v).abs() * inverse <= v, "{v:e} at {bits}: {bin:?}");
            }
        }
    }

    #[test]
    fn bins_touch_and_cover_everything() {
        for bits in [1, 6, 10] {
            let (mut next, last) = (1u64, key(f64::MAX, bits));
            for k in (1 << bits)..=last {
                if let Some(bin) = bin(k, bits, false) {
                    assert_eq!(bin.low.to_bits(), next, "key {k} at {bits}");
                    next = bin.high.to_bits() + 1;
                }
            }
            assert_eq!(next, INFINITY);
            assert_eq!(last >> bits, EXPONENT_MAX);
            assert_eq!(key(5e-324, bits), 1 << bits);
        }
    }

    #[test]
    fn the_harmonic_middle_is_within_the_bound_on_the_integers_too() {
        for bits in 1..=10u8 {
            for v in 1..40_000u32 {
                let v = f64::from(v);
                let bin = bin(key(v, bits), bits, true).unwrap();
                assert!(bin.low <= v && v <= bin.high && bin.value.fract() == 0.0, "{v} at {bits}: {bin:?}");
                assert!(
                    (bin.value - v).abs() * (f64::from(2u32 << bits) + 1.0) <= v,
                    "{v} at {bits}: {bin:?}"
                );
                if v < f64::from(2u32 << bits) {
                    assert_eq!((bin.low, bin.value, bin.high), (v, v, v), "small integers are exact");
                }
            }
        }
    }
}

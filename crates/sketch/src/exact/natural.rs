//! Natural numbers of any size and the one rounding to a double. Only what reading exact sums needs: no general
//! arithmetic, no signs.
//!
//! Nothing here is on the path of an event; it runs when a sum, mean or deviation is read or restored.

use std::cmp::Ordering;

/// A natural number: `digits[i]` stands for `digits[i] · 2^(32·(first + i))`.
///
/// Trimmed: the first and the last digit are not zero, and zero is `first = 0` without digits. So equal numbers have
/// equal fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Natural {
    pub(super) first: usize,
    pub(super) digits: Vec<u32>,
}

impl Natural {
    /// The number with these digits, least significant first, the lowest worth `2^(32·first)`.
    pub(super) fn from_digits(first: usize, mut digits: Vec<u32>) -> Natural {
        let zeros = digits.iter().take_while(|&&d| d == 0).count();
        if zeros == digits.len() {
            return Natural { first: 0, digits: Vec::new() };
        }
        digits.drain(..zeros);
        while digits.last() == Some(&0) {
            digits.pop();
        }
        Natural { first: first + zeros, digits }
    }

    pub(super) fn from_u128(v: u128) -> Natural {
        Natural::from_digits(0, (0..4).map(|i| (v >> (32 * i)) as u32).collect())
    }

    pub(super) fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// Smallest `b` with `self < 2^b`; 0 for zero.
    pub(super) fn bit_length(&self) -> usize {
        let top = self.digits.last().map_or(0, |d| 32 - d.leading_zeros() as usize);
        if self.is_zero() { 0 } else { 32 * (self.first + self.digits.len() - 1) + top }
    }

    /// School multiplication: O(digits · digits).
    pub(super) fn times(&self, other: &Natural) -> Natural {
        let mut out = vec![0u32; self.digits.len() + other.digits.len()];
        for (i, &a) in self.digits.iter().enumerate() {
            let mut carry = 0u64;
            for (j, &b) in other.digits.iter().enumerate() {
                let t = u64::from(a) * u64::from(b) + u64::from(out[i + j]) + carry;
                out[i + j] = t as u32;
                carry = t >> 32;
            }
            out[i + other.digits.len()] = carry as u32;
        }
        Natural::from_digits(self.first + other.first, out)
    }

    /// `self - other`, or `None` when that is negative.
    pub(super) fn minus(&self, other: &Natural) -> Option<Natural> {
        if self.compare(other) == Ordering::Less {
            return None;
        }
        if other.is_zero() {
            return Some(self.clone());
        }
        let first = self.first.min(other.first);
        let end = self.first + self.digits.len();
        let mut borrow = 0i64;
        let digits = (first..end).map(|i| {
            let t = i64::from(self.digit(i)) - i64::from(other.digit(i)) + borrow;
            borrow = t >> 32;
            t as u32
        });
        Some(Natural::from_digits(first, digits.collect()))
    }

    fn compare(&self, other: &Natural) -> Ordering {
        let by_length = self.bit_length().cmp(&other.bit_length());
        let end = self.first + self.digits.len();
        let start = self.first.min(other.first);
        by_length.then_with(|| {
            (start..end)
                .rev()
                .map(|i| self.digit(i).cmp(&other.digit(i)))
                .find(|o| o.is_ne())
                .unwrap_or(Ordering::Equal)
        })
    }

    /// The digit worth `2^(32·i)`.
    fn digit(&self, i: usize) -> u32 {
        i.checked_sub(self.first).and_then(|i| self.digits.get(i)).copied().unwrap_or(0)
    }

    /// `floor(self / 2^t)` as (high, low) halves of 256 bits, and whether that dropped something. The quotient must
    /// fit; `t` may be negative.
    fn window(&self, t: i32) -> (u128, u128, bool) {
        let mut words = [0u32; 8];
        let (digit, shift) = (t.div_euclid(32), t.rem_euclid(32) as u32);
        let at = |i: i32| usize::try_from(i).map_or(0, |i| u64::from(self.digit(i)));
        for (i, word) in words.iter_mut().enumerate() {
            let pair = at(digit + i as i32) | at(digit + i as i32 + 1) << 32;
            *word = (pair >> shift) as u32;
        }
        let half = |w: &[u32]| w.iter().rev().fold(0u128, |acc, &d| acc << 32 | u128::from(d));
        let lowest_bit =
            32 * self.first as i32 + self.digits.first().map_or(0, |d| d.trailing_zeros() as i32);
        (half(&words[4..]), half(&words[..4]), !self.is_zero() && t > lowest_bit)
    }
}

/// `n · 2^unit`, rounded to the nearest double, ties to even. Beyond the largest double it is infinite.
pub(super) fn to_f64(n: &Natural, unit: i32) -> f64 {
    let t = n.bit_length() as i32 - 128;
    let (_, low, dropped) = n.window(t);
    round(low, t + unit, dropped)
}

/// `n · 2^unit / d`, correctly rounded. `d` is not zero.
pub(super) fn ratio_to_f64(n: &Natural, unit: i32, d: u128) -> f64 {
    let (q, exponent, dropped) = quotient(n, unit, d);
    round(q, exponent, dropped)
}

/// `sqrt(n · 2^unit / d)`, correctly rounded: the root of the floor has the same floor as the root itself, and 62 of
/// its bits with one flag for the rest decide any rounding to 53.
pub(super) fn sqrt_ratio_to_f64(n: &Natural, unit: i32, d: u128) -> f64 {
    let (q, exponent, dropped) = quotient(n, unit, d);
    let root = q.isqrt();
    round(root, exponent / 2, dropped || root * root != q)
}

/// `(q, e, dropped)` with `q = floor(n · 2^(unit-e) / d)` in `[2^124, 2^127)`, `e` even, and whether the floor lost
/// something. Zero gives `q = 0`.
fn quotient(n: &Natural, unit: i32, d: u128) -> (u128, i32, bool) {
    debug_assert_ne!(d, 0, "no rows, no quotient");
    if n.is_zero() {
        return (0, 0, false);
    }
    let mut t = n.bit_length() as i32 - (128 - d.leading_zeros() as i32) - 125;
    t -= (t + unit).rem_euclid(2);
    let (high, low, dropped) = n.window(t);
    let (mut q, mut rest) = (0u128, 0u128);
    for i in (0..256).rev() {
        let bit = if i >= 128 { high >> (i - 128) & 1 } else { low >> i & 1 };
        // The rest stays below d, so doubled it needs one bit more than a word.
        let over = rest >> 127 == 1;
        rest = rest << 1 | bit;
        q <<= 1;
        if over || rest >= d {
            rest = rest.wrapping_sub(d);
            q |= 1;
        }
    }
    (q, t + unit, dropped || rest != 0)
}

/// `q · 2^exponent` (plus something smaller than `2^exponent` when `more`), rounded once to nearest, ties to even.
/// `more` needs a `q` of at least 55 bits.
fn round(q: u128, exponent: i32, more: bool) -> f64 {
    if q == 0 {
        return 0.0;
    }
    let top = 127 - q.leading_zeros() as i32 + exponent;
    if top > 1023 {
        return f64::INFINITY;
    }
    // Weight of the last bit of the result: subnormals all share 2^-1074.
    let last = (top - 52).max(-1074);
    let drop = last - exponent;
    let mantissa = if drop <= 0 {
        q << -drop
    } else if drop > 128 {
        0
    } else {
        let kept = q.checked_shr(drop as u32).unwrap_or(0);
        let rest = q - kept.checked_shl(drop as u32).unwrap_or(0);
        let half = 1u128 << (drop - 1);
        let up = rest > half || (rest == half && (more || kept & 1 == 1));
        kept + u128::from(up)
    };
    // A mantissa with its leading bit adds one to the exponent field; a carry out of it adds another: both are right.
    f64::from_bits(mantissa as u64 + ((last + 1074) as u64) * (1 << 52))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_fit_a_double_come_back() {
        for v in [0u128, 1, 2, (1 << 53) - 1, 1 << 53, 1 << 100] {
            assert_eq!(to_f64(&Natural::from_u128(v), 0), v as f64, "{v}");
        }
    }

    #[test]
    fn rounding_is_to_nearest_even_and_only_at_the_end() {
        for v in
            [(1u128 << 53) + 1, (1 << 53) + 3, (1 << 54) + 2, (1 << 54) + 6, u128::MAX, u128::MAX - (1 << 74)]
        {
            assert_eq!(to_f64(&Natural::from_u128(v), 0), v as f64, "{v}");
        }
        assert_eq!(to_f64(&Natural::from_u128(3), -1075), 1e-323, "1.5 ulp goes to the even neighbour");
        assert_eq!(to_f64(&Natural::from_u128(1), -1075), 0.0, "half an ulp goes to zero");
        assert_eq!(to_f64(&Natural::from_u128((1 << 54) - 1), 970), f64::INFINITY);
        assert_eq!(to_f64(&Natural::from_u128((1 << 54) - 2), 970), f64::MAX);
    }

    #[test]
    fn quotients_and_roots_agree_with_hardware_where_hardware_is_exact() {
        for (n, d) in
            [(1u128, 3u128), (22, 7), (1 << 52, 3), (5, 1 << 52), (9007199254740993, 9007199254740991)]
        {
            if n < 1 << 53 {
                assert_eq!(ratio_to_f64(&Natural::from_u128(n), 0, d), n as f64 / d as f64, "{n}/{d}");
            }
        }
        for n in [1u128, 2, 3, 4, 99, 1 << 51, (1 << 53) - 1] {
            assert_eq!(sqrt_ratio_to_f64(&Natural::from_u128(n), 0, 1), (n as f64).sqrt(), "{n}");
            assert_eq!(sqrt_ratio_to_f64(&Natural::from_u128(n), -1, 2), (n as f64).sqrt() / 2.0, "{n}/4");
        }
    }

    #[test]
    fn what_lies_far_below_a_tie_decides_it() {
        // Doubles are 4 apart above 2^54, so this is a tie, and the even neighbour is the lower one.
        let (tie, low, high) = ((1u128 << 54) + 2, 2f64.powi(54), 2f64.powi(54) + 4.0);
        for (square, root) in [(tie * tie - 1, low), (tie * tie, low), (tie * tie + 1, high)] {
            assert_eq!(sqrt_ratio_to_f64(&Natural::from_u128(square), 0, 1), root, "root of {square}");
        }
        // The quotient drops bits of the dividend at one unit and leaves a rest at the other.
        let thrice = 3 * (tie << 71);
        for (n, third) in [(thrice - 1, low), (thrice, low), (thrice + 1, high)] {
            assert_eq!(ratio_to_f64(&Natural::from_u128(n), -71, 3), third, "{n} / 3");
            assert_eq!(ratio_to_f64(&Natural::from_u128(n), -70, 3), 2.0 * third, "2 · {n} / 3");
        }
    }
}

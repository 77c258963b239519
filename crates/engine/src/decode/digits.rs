//! Numbers as bytes: where they end, and what their digits make.
//!
//! Digits are read eight at a time (Daniel Lemire, "Quickly parsing eight digits", 2018). Most numbers of a stream are
//! short or have as many digits as the last ones: these have functions of their own, which say nothing of the others.
//! What a number means is for [`super::value`] to say.

use super::lanes::{self, LANES};

/// Exponents are cut off here; no record is long enough to make up for it with digits.
const EXPONENT_MAX: i64 = 1_000_000_000_000;
/// Powers of ten that a u64 holds.
pub(super) static POW10: [u64; 20] = {
    let mut powers = [1u64; 20];
    let mut i = 1;
    while i < 20 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};
/// Powers of ten that a double holds exactly.
pub(super) static EXACT10: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// A short JSON number at the front of `rest` as a double, and its length: at most seven characters with the sign, and no
/// exponent. `None` says nothing. What [`super::value::Decimal`] says of it, for less.
#[inline(always)]
pub(super) fn short_f64(rest: &[u8]) -> Option<(f64, usize)> {
    let word = u64::from_le_bytes(*rest.first_chunk()?);
    // A call, so that where the number ends does not have to wait for the sign.
    if word as u8 == b'-' { short_negative_f64(word) } else { short_positive_f64(word) }
}

#[inline(never)]
fn short_negative_f64(word: u64) -> Option<(f64, usize)> {
    // What moves in from behind the word could be a digit.
    let unsigned = word >> 8 | u64::from(b'0') << 56;
    short_positive_f64(unsigned).map(|(value, length)| (-value, length + 1))
}

#[inline(always)]
fn short_positive_f64(word: u64) -> Option<(f64, usize)> {
    let (whole, length) = short_number(word)?;
    let fraction = length.saturating_sub(whole + 1);
    let mantissa = eight_digits(without_point(word ^ ZEROS, whole, length), whole + fraction);
    Some((mantissa as f64 / EXACT10[fraction], length))
}

/// What lies behind the JSON number at the front of `rest`, without its value.
#[inline(always)]
pub(super) fn behind_number(rest: &[u8]) -> Option<&[u8]> {
    let word = u64::from_le_bytes(*rest.first_chunk()?);
    match short_number(word) {
        Some((_, length)) => rest.get(length..),
        None => behind_long_number(rest),
    }
}

#[inline(never)]
fn behind_long_number(rest: &[u8]) -> Option<&[u8]> {
    rest.get(skip_number(rest, 0)?..)
}

/// The integer of exactly `n` digits, 9 <= n <= 16, at the front of `rest`, and what lies behind it. `None` says nothing.
///
/// To know how many there will be is worth it: where the next value starts does not depend on the bytes then.
#[inline(always)]
pub(super) fn long_integer(rest: &[u8], n: usize) -> Option<(u64, &[u8])> {
    let piece: [u8; LANES] = *rest.first_chunk()?;
    let all = (1 << n) - 1;
    let (there, behind) = rest.split_at_checked(n)?;
    let more = matches!(behind.first()?, b'0'..=b'9' | b'.' | b'e' | b'E');
    if lanes::digits(&piece) & all != all || rest[0] == b'0' || more {
        return None;
    }
    let (first, last) = (u64::from_le_bytes(*rest.first_chunk()?), u64::from_le_bytes(*there.last_chunk()?));
    Some((eight_digits(first ^ ZEROS, n - 8) * POW10[8] + eight_digits(last ^ ZEROS, 8), behind))
}

/// How many digits an integer has that [`long_integer`] reads.
pub(super) const LONG_INTEGER: std::ops::RangeInclusive<usize> = 9..=LANES;

/// Appends the digits at `start` to `mantissa` (modulo 2^64) and says how many there are.
#[inline(always)]
pub(super) fn digits(bytes: &[u8], start: usize, mut mantissa: u64) -> (u64, usize) {
    let mut at = start;
    loop {
        let word = load(bytes, at) ^ ZEROS;
        let n = (others(word).trailing_zeros() / 8) as usize;
        if n == 8 {
            mantissa = mantissa.wrapping_mul(POW10[8]).wrapping_add(eight_digits(word, 8));
            at += 8;
            continue;
        }
        let rest = if n == 0 { 0 } else { eight_digits(word, n) };
        return (mantissa.wrapping_mul(POW10[n]).wrapping_add(rest), at + n - start);
    }
}

/// The end of a number by the grammar of JSON, without its value: what [`super::value::Decimal::from_json`] says of it, for less.
#[inline(always)]
pub(super) fn skip_number(bytes: &[u8], start: usize) -> Option<usize> {
    let first = start + usize::from(byte(bytes, start) == b'-');
    if let Some((_, length)) = short_number(load(bytes, first)) {
        return Some(first + length);
    }
    let mut end = skip_digits(bytes, first);
    if end == first || (end - first > 1 && bytes[first] == b'0') {
        return None;
    }
    if byte(bytes, end) == b'.' {
        let fraction = end + 1;
        end = skip_digits(bytes, fraction);
        if end == fraction {
            return None;
        }
    }
    if byte(bytes, end) | 0x20 == b'e' {
        return exponent(bytes, end + 1).map(|(_, end)| end);
    }
    Some(end)
}

#[inline(always)]
fn skip_digits(bytes: &[u8], start: usize) -> usize {
    let mut end = start;
    loop {
        let n = (others(load(bytes, end) ^ ZEROS).trailing_zeros() / 8) as usize;
        if n < 8 {
            return end + n;
        }
        end += 8;
    }
}

/// Number of digits before the point and length of a number that needs no second look: no sign, no exponent, at most
/// seven characters. `None` says nothing.
#[inline(always)]
pub(super) fn short_number(word: u64) -> Option<(usize, usize)> {
    let others = others(word ^ ZEROS);
    let whole = (others.trailing_zeros() / 8) as usize;
    if whole == 0 || whole == 8 || (whole > 1 && word as u8 == b'0') {
        return None;
    }
    let mut end = whole;
    if (word >> (8 * whole)) as u8 == b'.' {
        // A point is no reason for a carry, so that the second byte that is no digit is exact as well.
        end = ((others & (others - 1)).trailing_zeros() / 8) as usize;
        if end == whole + 1 || end == 8 {
            return None;
        }
    }
    ((word >> (8 * end)) as u8 | 0x20 != b'e').then_some((whole, end))
}

/// The word of a short number without its point.
#[inline(always)]
pub(super) fn without_point(word: u64, whole: usize, length: usize) -> u64 {
    if whole == length {
        return word;
    }
    let before = (1 << (8 * whole)) - 1;
    (word & before) | (word >> 8 & !before)
}

/// Eight times the character 0: a digit and its value differ in these bits.
pub(super) const ZEROS: u64 = 0x3030_3030_3030_3030;

/// High bits at bytes above 9. The lowest is exact, and so are all below the first byte of 0x80 or more: up to there
/// nothing is carried.
#[inline(always)]
fn others(word: u64) -> u64 {
    (word.wrapping_add(0x7676_7676_7676_7676) | word) & 0x8080_8080_8080_8080
}

/// The number that the first n of eight digits make, 1 <= n <= 8, the first one in the lowest byte.
#[inline(always)]
pub(super) fn eight_digits(word: u64, n: usize) -> u64 {
    // Shifted to the end, as if with leading zeros; then pairs, fours and eights are put together.
    let word = word << (64 - 8 * n);
    let pairs = word.wrapping_mul(10).wrapping_add(word >> 8);
    let low = (pairs & 0x0000_00FF_0000_00FF).wrapping_mul(0x000F_4240_0000_0064);
    let high = ((pairs >> 16) & 0x0000_00FF_0000_00FF).wrapping_mul(0x0000_2710_0000_0001);
    low.wrapping_add(high) >> 32
}

/// The exponent behind an `e`, cut off at [`EXPONENT_MAX`], and where it ends.
#[cold]
#[inline(never)]
pub(super) fn exponent(bytes: &[u8], start: usize) -> Option<(i64, usize)> {
    let sign = byte(bytes, start);
    let first = start + usize::from(matches!(sign, b'+' | b'-'));
    let mut end = first;
    let mut value = 0i64;
    while byte(bytes, end).is_ascii_digit() {
        value = (value * 10 + i64::from(bytes[end] - b'0')).min(EXPONENT_MAX);
        end += 1;
    }
    (end > first).then_some((if sign == b'-' { -value } else { value }, end))
}

/// The byte at `at`, or 0 behind the end: no format has use for a zero byte outside of strings, and there it is a
/// control character.
#[inline(always)]
pub(super) fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// Eight bytes at `at`, little endian, with zeros behind the end.
#[inline(always)]
pub(super) fn load(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => load_short(bytes.get(at..).unwrap_or_default()),
    }
}

/// Fewer than eight bytes as a word, from loads that overlap.
#[cold]
#[inline(never)]
fn load_short(rest: &[u8]) -> u64 {
    let n = rest.len();
    if let (Some(first), Some(last)) = (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return u64::from(first) | u64::from(last) << (8 * (n - 4));
    }
    rest.iter().rev().fold(0, |word, &b| word << 8 | u64::from(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_numbers_are_what_their_text_is() {
        for (case, want) in [
            ("0", Some(0.0)),
            ("7,", Some(7.0)),
            ("-0", Some(-0.0)),
            ("19.6,", Some(19.6)),
            ("0.53}", Some(0.53)),
            ("-12.345", Some(-12.345)),
            ("1234567 ", Some(1234567.0)),
            ("123456.", None),
            ("-123456,", Some(-123456.0)),
            ("1.2.3", Some(1.2)),
            ("1é", Some(1.0)),
            ("12345678", None),
            ("1.234567", None),
            ("-1234567", None),
            ("-12345678", None),
            ("-123.456", None),
            ("-123.4567", None),
            ("1e5", None),
            ("1.5E5", None),
            ("01", None),
            ("-01", None),
            ("1.", None),
            (".5", None),
            ("--1", None),
            ("-", None),
            ("null", None),
        ] {
            let line = format!(
                "{case}{}",
                if case.ends_with(|c: char| c.is_ascii_digit()) { "]]]]]]]]" } else { "        " }
            );
            let got = short_f64(line.as_bytes());
            assert_eq!(got.map(|(value, _)| value.to_bits()), want.map(f64::to_bits), "{case}");
            let end = skip_number(line.as_bytes(), 0);
            assert_eq!(got.map_or(end, |(_, length)| Some(length)), end, "{case}");
            assert_eq!(behind_number(line.as_bytes()).map(|rest| line.len() - rest.len()), end, "{case}");
            assert_eq!((short_f64(b"1"), behind_number(b"1")), (None, None), "too few bytes to look at");
        }
    }

    #[test]
    fn long_integers_have_as_many_digits_as_expected() {
        for n in LONG_INTEGER {
            let text = &"9876543210123456789"[..n];
            for (behind, ends) in [(",\"a\":1234", true), ("}\n 1234567", true), ("0,345678", false)] {
                let line = format!("{text}{behind}");
                let want = ends.then(|| (text.parse().unwrap(), behind.as_bytes()));
                assert_eq!(long_integer(line.as_bytes(), n), want, "{line}");
            }
            for behind in [".5      ", "e5      ", "E5      "] {
                assert_eq!(long_integer(format!("{text}{behind}").as_bytes(), n), None, "{text}{behind}");
            }
            for at in 0..n {
                for b in ["0", "-", ":", "/", "."] {
                    let mut line = format!("{text},\"a\":1234");
                    line.replace_range(at..=at, b);
                    let want = (b == "0" && at > 0).then(|| line[..n].parse().unwrap());
                    assert_eq!(long_integer(line.as_bytes(), n).map(|(value, _)| value), want, "{line}");
                }
            }
        }
    }

    #[test]
    fn digits_are_read_across_words() {
        for n in 0..=19 {
            let word = &"9876543210123456789"[..n];
            for tail in ["", ".", "/", ":", "\u{0}", "é", "abcdefghijkl"] {
                let case = format!("{word}{tail}");
                assert_eq!(digits(case.as_bytes(), 0, 0), (word.parse().unwrap_or(0), n), "{case}");
            }
        }
    }

    #[test]
    fn short_loads_are_padded_with_zeros() {
        let bytes = *b"abcdefghij";
        for at in 0..12 {
            let mut want = [0u8; 8];
            for (i, w) in want.iter_mut().enumerate() {
                *w = bytes.get(at + i).copied().unwrap_or(0);
            }
            assert_eq!(load(&bytes, at), u64::from_le_bytes(want), "{at}");
        }
    }
}

//! The one way in which a scalar of any format becomes a value of a [`crate::spec::Kind`].
//!
//! Both JSON paths and the delimited reader hand [`Scalar`]s to the same functions, so they cannot disagree about what
//! a number is. Digits are read eight at a time (Daniel Lemire, "Quickly parsing eight digits", 2018); a double is
//! exact when mantissa and power of ten are (William Clinger, "How to read floating point numbers accurately", 1990)
//! and read by the standard library when they are not.

/// A value as it stands in a record.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scalar<'a> {
    /// JSON null, an empty delimited field, or nothing at all.
    Null,
    /// true or false.
    Bool(bool),
    /// A JSON number.
    Number(Decimal<'a>),
    /// A JSON string without its escapes, or a delimited field.
    Text(&'a [u8]),
    /// A JSON object or array: converts to nothing.
    Container,
}

impl<'a> Scalar<'a> {
    /// Its text as in the source, where it has one.
    #[inline]
    pub(super) fn text(&self) -> Option<&'a [u8]> {
        match self {
            Scalar::Null | Scalar::Container => None,
            Scalar::Bool(true) => Some(b"true"),
            Scalar::Bool(false) => Some(b"false"),
            Scalar::Number(number) => Some(number.text),
            Scalar::Text(text) => Some(text),
        }
    }

    /// As a finite double, correctly rounded.
    #[inline]
    pub(super) fn to_f64(self) -> Option<f64> {
        self.number()?.to_f64()
    }

    /// As an integer: integer text in the range of i64, or any other form of an integral number below 2^53.
    #[inline]
    pub(super) fn to_i64(self) -> Option<i64> {
        self.number()?.to_i64()
    }

    /// As a boolean: true, false or their text.
    #[inline]
    pub(super) fn to_bool(self) -> Option<bool> {
        match self {
            Scalar::Bool(value) => Some(value),
            Scalar::Text(b"true") => Some(true),
            Scalar::Text(b"false") => Some(false),
            _ => None,
        }
    }

    /// As a number that is not rounded yet.
    #[inline]
    pub(super) fn number(self) -> Option<Decimal<'a>> {
        match self {
            Scalar::Number(number) => Some(number),
            Scalar::Text(text) => Decimal::from_text(text),
            _ => None,
        }
    }
}

/// A decimal number: mantissa · 10^exp10, where digits behind the 19th significant one are cut off.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decimal<'a> {
    /// As it stands in the source.
    pub(super) text: &'a [u8],
    pub(super) mantissa: u64,
    pub(super) exp10: i64,
    pub(super) negative: bool,
    /// Whether there is neither point nor exponent.
    plain: bool,
    /// Whether something other than zeros was cut off.
    pub(super) cut: bool,
}

/// Significant digits that a u64 always holds.
const DIGITS_MAX: usize = 19;
/// Exponents are cut off here; no record is long enough to make up for it with digits.
const EXPONENT_MAX: i64 = 1_000_000_000_000;
static POW10: [u64; 20] = {
    let mut powers = [1u64; 20];
    let mut i = 1;
    while i < 20 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};
/// Powers of ten that a double holds exactly.
static EXACT10: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

impl<'a> Decimal<'a> {
    /// Reads a number at `start` by the grammar of JSON (RFC 8259, 6) and says where it ends.
    #[inline(always)]
    pub(super) fn from_json(bytes: &'a [u8], start: usize) -> Option<(Decimal<'a>, usize)> {
        let negative = byte(bytes, start) == b'-';
        let first = start + usize::from(negative);
        let word = load(bytes, first);
        if let Some((whole, length)) = short_number(word) {
            let text = &bytes[start..first + length];
            let fraction = length.saturating_sub(whole + 1);
            let mantissa = eight_digits(without_point(word ^ ZEROS, whole, length), whole + fraction);
            let exp10 = -(fraction as i64);
            let plain = whole == length;
            return Some((Decimal { text, mantissa, exp10, negative, plain, cut: false }, first + length));
        }
        let (mut mantissa, whole) = digits(bytes, first, 0);
        if whole == 0 || (whole > 1 && bytes[first] == b'0') {
            return None;
        }
        let (mut end, mut seen, mut exp10, mut plain) = (first + whole, whole, 0i64, true);
        if byte(bytes, end) == b'.' {
            let (longer, fraction) = digits(bytes, end + 1, mantissa);
            if fraction == 0 {
                return None;
            }
            (mantissa, plain, exp10) = (longer, false, -(fraction as i64));
            seen += fraction;
            end += 1 + fraction;
        }
        if byte(bytes, end) | 0x20 == b'e' {
            let (exponent, after) = exponent(bytes, end + 1)?;
            (plain, exp10, end) = (false, exp10 + exponent, after);
        }
        let text = &bytes[start..end];
        if seen > DIGITS_MAX {
            return Some((Decimal::long(text, negative, plain), end));
        }
        Some((Decimal { text, mantissa, exp10, negative, plain, cut: false }, end))
    }

    /// Reads a whole text by the grammar of Rust's `f64`, without its words: a sign, leading zeros, `5.` and `.5` are
    /// fine, blanks are not.
    #[inline]
    pub(super) fn from_text(text: &'a [u8]) -> Option<Decimal<'a>> {
        let sign = byte(text, 0);
        let negative = sign == b'-';
        let first = usize::from(negative || sign == b'+');
        let (mut mantissa, whole) = digits(text, first, 0);
        let (mut end, mut seen, mut exp10, mut plain) = (first + whole, whole, 0i64, true);
        if byte(text, end) == b'.' {
            let (longer, fraction) = digits(text, end + 1, mantissa);
            (mantissa, plain, exp10) = (longer, false, -(fraction as i64));
            seen += fraction;
            end += 1 + fraction;
        }
        if seen == 0 {
            return None;
        }
        if byte(text, end) | 0x20 == b'e' {
            let (exponent, after) = exponent(text, end + 1)?;
            (plain, exp10, end) = (false, exp10 + exponent, after);
        }
        if end != text.len() {
            return None;
        }
        if seen > DIGITS_MAX {
            return Some(Decimal::long(text, negative, plain));
        }
        Some(Decimal { text, mantissa, exp10, negative, plain, cut: false })
    }

    /// A text of correct grammar with more digits than fit.
    #[cold]
    #[inline(never)]
    fn long(text: &'a [u8], negative: bool, plain: bool) -> Decimal<'a> {
        let (mut mantissa, mut kept, mut exp10, mut cut, mut point) = (0u64, 0, 0i64, false, false);
        for (i, &b) in text.iter().enumerate() {
            match b {
                b'0'..=b'9' if kept < DIGITS_MAX => {
                    mantissa = mantissa * 10 + u64::from(b - b'0');
                    kept += usize::from(mantissa > 0);
                    exp10 -= i64::from(point);
                }
                b'0'..=b'9' => {
                    cut |= b != b'0';
                    exp10 += i64::from(!point);
                }
                b'.' => point = true,
                b'e' | b'E' => {
                    exp10 += exponent(text, i + 1).map_or(0, |(exponent, _)| exponent);
                    break;
                }
                _ => {}
            }
        }
        Decimal { text, mantissa, exp10, negative, plain, cut }
    }

    /// The nearest double, if it is finite.
    #[inline(always)]
    pub(super) fn to_f64(self) -> Option<f64> {
        let exact = !self.cut && self.mantissa < 1 << 53 && self.exp10.unsigned_abs() < EXACT10.len() as u64;
        if !exact {
            return self.to_f64_by_text();
        }
        let power = EXACT10[self.exp10.unsigned_abs() as usize];
        let mantissa = self.mantissa as f64;
        let value = if self.exp10 < 0 { mantissa / power } else { mantissa * power };
        Some(if self.negative { -value } else { value })
    }

    #[cold]
    #[inline(never)]
    fn to_f64_by_text(self) -> Option<f64> {
        let value: f64 = std::str::from_utf8(self.text).ok()?.parse().ok()?;
        value.is_finite().then_some(value)
    }

    /// The integer that it is.
    #[inline(always)]
    pub(super) fn to_i64(self) -> Option<i64> {
        if self.plain && self.exp10 == 0 && self.mantissa < 1 << 63 {
            let magnitude = self.mantissa as i64;
            return Some(if self.negative { -magnitude } else { magnitude });
        }
        self.to_i64_by_rule()
    }

    #[cold]
    #[inline(never)]
    fn to_i64_by_rule(self) -> Option<i64> {
        if self.cut {
            return None;
        }
        let magnitude = match (self.plain, self.exp10) {
            (_, 0) => self.mantissa,
            (true, _) => return None,
            (false, _) if self.mantissa == 0 => 0,
            (false, up @ 1..) => self.mantissa.checked_mul(*POW10.get(up as usize)?)?,
            (false, down) => {
                let power = *POW10.get(down.unsigned_abs() as usize)?;
                self.mantissa.is_multiple_of(power).then_some(self.mantissa / power)?
            }
        };
        if !self.plain && magnitude >= 1 << 53 {
            return None;
        }
        if self.negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
    }
}

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

/// The end of a number by the grammar of JSON, without its value: what [`Decimal::from_json`] says of it, for less.
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
fn short_number(word: u64) -> Option<(usize, usize)> {
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
fn without_point(word: u64, whole: usize, length: usize) -> u64 {
    if whole == length {
        return word;
    }
    let before = (1 << (8 * whole)) - 1;
    (word & before) | (word >> 8 & !before)
}

/// Eight times the character 0: a digit and its value differ in these bits.
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// High bits at bytes above 9. The lowest is exact, and so are all below the first byte of 0x80 or more: up to there
/// nothing is carried.
#[inline(always)]
fn others(word: u64) -> u64 {
    (word.wrapping_add(0x7676_7676_7676_7676) | word) & 0x8080_8080_8080_8080
}

/// The number that the first n of eight digits make, 1 <= n <= 8, the first one in the lowest byte.
#[inline(always)]
fn eight_digits(word: u64, n: usize) -> u64 {
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
fn exponent(bytes: &[u8], start: usize) -> Option<(i64, usize)> {
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

/// Sixteen bytes at `at`, little endian, with zeros behind the end.
#[inline(always)]
pub(super) fn load_two(bytes: &[u8], at: usize) -> u128 {
    match bytes.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        Some(chunk) => u128::from_le_bytes(*chunk),
        None => load_two_short(bytes, at),
    }
}

#[cold]
#[inline(never)]
fn load_two_short(bytes: &[u8], at: usize) -> u128 {
    u128::from(load(bytes, at)) | u128::from(load(bytes, at + 8)) << 64
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

    fn text(s: &str) -> Scalar<'_> {
        Scalar::Text(s.as_bytes())
    }

    #[test]
    fn texts_are_doubles_where_rust_says_so() {
        let cases = [
            "0",
            "-0",
            "+5",
            "007",
            "5.",
            ".5",
            "-.5e3",
            "1e22",
            "1e23",
            "9007199254740993",
            "0.1",
            "1.7976931348623157e308",
            "4.9e-324",
            "123456789012345678901234567890",
            "0.000000000000000000000000000001",
            "12345678.87654321",
            "1e-400",
            "0e999999999999999999999",
            "00000000000000000000000005",
            "3.14159265358979323846264338327950288",
            "8.5e-5",
            "1E5",
            "1e+05",
            "2.2250738585072011e-308",
        ];
        for case in cases {
            let want: f64 = case.parse().unwrap();
            assert_eq!(text(case).to_f64().map(f64::to_bits), Some(want.to_bits()), "{case}");
        }
        for case in [
            "", "+", "-", ".", "e5", "1e", "1e+", "inf", "NaN", "1 ", " 1", "1_0", "0x1", "1e400", "-1e309",
            "１",
        ] {
            assert_eq!(text(case).to_f64(), None, "{case}");
        }
    }

    #[test]
    fn integers_are_exact_or_refused() {
        for (case, want) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("+7", Some(7)),
            ("0000000000000000000000042", Some(42)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("10000000000000000000000", None),
            ("5.0", Some(5)),
            ("5.000000000000000000000000000", Some(5)),
            ("5.000000000000000000000000001", None),
            ("1e3", Some(1000)),
            ("-12e-1", None),
            ("-120e-1", Some(-12)),
            ("9007199254740991.0", Some((1 << 53) - 1)),
            ("9007199254740992.0", None),
            ("1e30", None),
            ("0e30", Some(0)),
            ("0.0e-99999999999999999999", Some(0)),
            ("1e-30", None),
            ("true", None),
        ] {
            assert_eq!(text(case).to_i64(), want, "{case}");
        }
    }

    #[test]
    fn json_numbers_keep_to_the_grammar() {
        for (case, end) in [
            ("0", Some(1)),
            ("-0.0,", Some(4)),
            ("12345678901234567890]", Some(20)),
            ("1e5}", Some(3)),
            ("1E-05 ", Some(5)),
            ("01", None),
            ("-01", None),
            ("-", None),
            ("+1", None),
            ("1.", None),
            (".5", None),
            ("1.e5", None),
            ("1e", None),
            ("1e+", None),
            ("-a", None),
            ("0.5e3,", Some(5)),
            ("12.e", None),
            ("-0.", None),
            ("1234567", Some(7)),
            ("123.567,", Some(7)),
            ("1234.5678,", Some(9)),
            ("00.5", None),
            ("1.2.3", Some(3)),
            ("1é", Some(1)),
            ("1.5é", Some(3)),
        ] {
            assert_eq!(Decimal::from_json(case.as_bytes(), 0).map(|(_, end)| end), end, "{case}");
            assert_eq!(skip_number(case.as_bytes(), 0), end, "{case}, skipped");
        }
    }

    #[test]
    fn json_numbers_have_the_value_that_their_text_has() {
        let parts = ["", "0", "7", "10", "123", "98765", "1234567", "12345678", "1234567890123456789", "00"];
        for (whole, fraction, exponent, sign) in parts.iter().flat_map(|whole| {
            let rest = parts.iter().flat_map(|f| ["", "e2", "E-3"].map(|e| (f, e)));
            rest.flat_map(move |(f, e)| ["", "-"].map(|sign| (whole, f, e, sign)))
        }) {
            let point = if fraction.is_empty() { "" } else { "." };
            let text = format!("{sign}{whole}{point}{fraction}{exponent}");
            let Some((json, end)) = Decimal::from_json(text.as_bytes(), 0) else {
                assert!(whole.is_empty() || *whole == "00", "{text}");
                continue;
            };
            let lax = Decimal::from_text(text.as_bytes()).unwrap();
            assert_eq!(end, text.len());
            assert_eq!(json.to_f64(), text.parse().ok(), "{text}");
            assert_eq!((json.to_f64(), json.to_i64()), (lax.to_f64(), lax.to_i64()), "{text}");
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

    #[test]
    fn booleans_are_two_words() {
        assert_eq!(text("true").to_bool(), Some(true));
        assert_eq!(text("false").to_bool(), Some(false));
        for case in ["True", "1", "0", "yes", "", "true "] {
            assert_eq!(text(case).to_bool(), None, "{case}");
        }
    }
}

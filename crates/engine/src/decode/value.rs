//! The one way in which a scalar of any format becomes a value of a [`crate::spec::Kind`].
//!
//! Both JSON paths and the delimited reader hand [`Scalar`]s to the same functions, so they cannot disagree about what
//! a number is. A double is exact when mantissa and power of ten are (William Clinger, "How to read floating point numbers
//! accurately", 1990) and read by the standard library when they are not.

use super::digits::{
    EXACT10, POW10, ZEROS, byte, digits, eight_digits, exponent, load, short_number, without_point,
};

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

#[cfg(test)]
mod tests {
    use super::super::digits::skip_number;
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
    fn booleans_are_two_words() {
        assert_eq!(text("true").to_bool(), Some(true));
        assert_eq!(text("false").to_bool(), Some(false));
        for case in ["True", "1", "0", "yes", "", "true "] {
            assert_eq!(text(case).to_bool(), None, "{case}");
        }
    }
}

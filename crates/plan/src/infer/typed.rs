//! What a single text looks like: a number, a time, a word for nothing.

use engine::decode::single;

/// Words that stand for a missing value, as tools write them.
const NULL_WORDS: [&str; 24] = [
    "NA",
    "N/A",
    "n/a",
    "na",
    "-",
    "--",
    "---",
    "null",
    "NULL",
    "Null",
    "nil",
    "None",
    "none",
    "NONE",
    "NaN",
    "nan",
    "?",
    ".",
    "\\N",
    "#N/A",
    "missing",
    "(null)",
    "undefined",
    "inf",
];

/// Whether a word stands for a missing value.
pub(super) fn is_null_word(text: &str) -> bool {
    NULL_WORDS.contains(&text)
}

/// A number that is meant as one: not one with leading zeros, which is a code.
pub(super) fn number(text: &str) -> Option<f64> {
    let digits = text.trim_start_matches(['-', '+']).as_bytes();
    let code = digits.len() > 1 && digits[0] == b'0' && digits[1].is_ascii_digit();
    if code { None } else { single::float64(text) }
}

/// Whether a number is written without point and exponent and fits 64 bits.
pub(super) fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    digits.bytes().all(|b| b.is_ascii_digit()) && single::int64(text).is_some()
}

/// A number with a comma for the point, or points between thousands, as in `1.234,5`.
pub(super) fn decimal_comma(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once(',')?;
    let plain = whole.replace('.', "");
    let digits = fraction.bytes().all(|b| b.is_ascii_digit()) && !fraction.is_empty();
    if digits { single::float64(&format!("{plain}.{fraction}")) } else { None }
}

/// Whether a text is a value rather than the name of a column: a number, a time, true or false.
pub(super) fn is_value(text: &str) -> bool {
    matches!(text, "true" | "false")
        || single::float64(text).is_some()
        || decimal_comma(text).is_some()
        || super::time::is_time(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_no_numbers_and_commas_may_be_points() {
        for (text, want) in
            [("08540", None), ("0", Some(0.0)), ("0.5", Some(0.5)), ("-1e3", Some(-1000.0)), ("NA", None)]
        {
            assert_eq!(number(text), want, "{text}");
        }
        assert_eq!(decimal_comma("1.234,5"), Some(1234.5));
        assert_eq!((decimal_comma("a,5"), decimal_comma("1,"), decimal_comma("1")), (None, None, None));
        assert!(is_integer("-12") && !is_integer("1.0") && !is_integer("99999999999999999999"));
        assert!(is_value("2013-01-01") && is_value("true") && !is_value("value"));
    }
}

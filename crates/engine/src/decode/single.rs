//! What one text alone would become: the conversions of the decoders, for those who guess types from a sample.

use super::time::TimeReader;
use super::value::Scalar;
use crate::spec::TimeFormat;
use crate::time::Time;

/// The integer that a delimited field or a JSON number or string with this text becomes, if it does.
pub fn int64(text: &str) -> Option<i64> {
    Scalar::Text(text.as_bytes()).to_i64()
}

/// The finite double that it becomes.
pub fn float64(text: &str) -> Option<f64> {
    Scalar::Text(text.as_bytes()).to_f64()
}

/// The event time that it becomes.
pub fn time(format: &TimeFormat, text: &str) -> Option<Time> {
    TimeReader::new(format).read(&Scalar::Text(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_convert_as_in_a_record() {
        assert_eq!(
            (int64("-7"), int64("1e3"), int64("1.5"), int64(" 1")),
            (Some(-7), Some(1000), None, None)
        );
        assert_eq!((float64("1.5"), float64("NA"), float64("inf")), (Some(1.5), None, None));
        assert_eq!(time(&TimeFormat::Unix(1000, 1), "1500"), Some(Time(1_500_000)));
        assert_eq!(time(&TimeFormat::Rfc3339, "1970-01-01 00:00:01"), Some(Time(1_000_000)));
        assert_eq!(time(&TimeFormat::Pattern { pattern: "%Y".into(), zone: None }, "x"), None);
    }
}

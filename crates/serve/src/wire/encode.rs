//! Rows of an answer as bytes, in the text or the binary form of each type.

use super::calendar::{self, EPOCH_DAYS, EPOCH_MICROS};
use super::columns::{Column, Shape, is_binary, oid};
use super::failure::Failure;
use super::out::Out;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Float32Type, Float64Type, Int64Type, IntervalMonthDayNanoType, Time64MicrosecondType,
    TimestampMicrosecondType,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, ListArray, PrimitiveArray, RecordBatch, StringArray,
};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema};
use plan::query::json;
use std::ops::Range;
use std::sync::Arc;

/// Values of a column, ready to be written.
enum Cells {
    Bool(BooleanArray),
    /// With the bytes that one has.
    Int(PrimitiveArray<Int64Type>, usize),
    Float(PrimitiveArray<Float64Type>),
    Short(PrimitiveArray<Float32Type>),
    Text(StringArray),
    Number(StringArray),
    Bytes(BinaryArray),
    Instant(PrimitiveArray<TimestampMicrosecondType>, &'static str),
    Day(PrimitiveArray<Date32Type>),
    Clock(PrimitiveArray<Time64MicrosecondType>),
    Interval(PrimitiveArray<IntervalMonthDayNanoType>),
    Json(Vec<Option<String>>),
    /// With the type of the elements.
    List(ListArray, Box<Cells>, u32),
}

/// Rows of a batch that can be written.
pub(crate) struct Rows {
    columns: Vec<Cells>,
    rows: usize,
}

fn wrong(error: impl std::fmt::Display) -> Failure {
    Failure::new("0A000", format!("an answer of a type that has no place here: {error}"))
}

impl Rows {
    /// The rows of a batch as its columns were described.
    pub fn of(batch: &RecordBatch, columns: &[Column]) -> Result<Rows, Failure> {
        if batch.num_columns() != columns.len() {
            return Err(Failure::new("0A000", "cached plan must not change result type")
                .hint("the pipeline was changed: prepare the statement anew"));
        }
        let cells = batch.columns().iter().zip(columns);
        let cells = cells.map(|(array, column)| Cells::of(array, &column.shape, column.oid));
        Ok(Rows { columns: cells.collect::<Result<_, _>>()?, rows: batch.num_rows() })
    }

    pub fn len(&self) -> usize {
        self.rows
    }

    /// Writes these rows.
    pub fn write(&self, rows: Range<usize>, formats: &[i16], out: &mut Out) {
        for row in rows {
            out.message(b'D', |bytes| {
                bytes.extend((self.columns.len() as u16).to_be_bytes());
                for (at, cells) in self.columns.iter().enumerate() {
                    cells.sized(row, is_binary(formats, at), bytes);
                }
            });
        }
    }
}

impl Cells {
    fn of(array: &ArrayRef, shape: &Shape, kind: u32) -> Result<Cells, Failure> {
        let to = match shape {
            Shape::Json => return jsons(array),
            Shape::List(inner, kind) => {
                let Shape::Plain(item) = &**inner else { return jsons(array) };
                let list = DataType::List(Arc::new(Field::new("item", item.clone(), true)));
                let array = cast(array, &list).map_err(wrong)?;
                let array: ListArray = array.as_list::<i32>().clone();
                let values = Cells::of(array.values(), inner, *kind)?;
                return Ok(Cells::List(array, Box::new(values), *kind));
            }
            Shape::Plain(to) => to,
        };
        let array = cast(array, to).map_err(wrong)?;
        Ok(match to {
            DataType::Boolean => Cells::Bool(array.as_boolean().clone()),
            DataType::Int64 => Cells::Int(array.as_primitive().clone(), width(kind)),
            DataType::Float64 => Cells::Float(array.as_primitive().clone()),
            DataType::Float32 => Cells::Short(array.as_primitive().clone()),
            DataType::Binary => Cells::Bytes(array.as_binary().clone()),
            DataType::Timestamp(_, zone) => {
                Cells::Instant(array.as_primitive().clone(), if zone.is_some() { "+00" } else { "" })
            }
            DataType::Date32 => Cells::Day(array.as_primitive().clone()),
            DataType::Time64(_) => Cells::Clock(array.as_primitive().clone()),
            DataType::Interval(_) => Cells::Interval(array.as_primitive().clone()),
            _ if kind == oid::NUMERIC => Cells::Number(array.as_string().clone()),
            _ => Cells::Text(array.as_string().clone()),
        })
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Cells::Bool(array) => array.is_null(row),
            Cells::Int(array, _) => array.is_null(row),
            Cells::Float(array) => array.is_null(row),
            Cells::Short(array) => array.is_null(row),
            Cells::Text(array) | Cells::Number(array) => array.is_null(row),
            Cells::Bytes(array) => array.is_null(row),
            Cells::Instant(array, _) => array.is_null(row),
            Cells::Day(array) => array.is_null(row),
            Cells::Clock(array) => array.is_null(row),
            Cells::Interval(array) => array.is_null(row),
            Cells::Json(texts) => texts[row].is_none(),
            Cells::List(array, ..) => array.is_null(row),
        }
    }

    /// A value behind its length, or none.
    fn sized(&self, row: usize, binary: bool, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend((-1i32).to_be_bytes());
            return;
        }
        let at = out.len();
        out.extend([0; 4]);
        if binary {
            self.binary(row, out)
        } else {
            out.extend(self.text(row).into_bytes())
        }
        let length = i32::try_from(out.len() - at - 4).unwrap_or(i32::MAX);
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }

    fn text(&self, row: usize) -> String {
        match self {
            Cells::Bool(array) => if array.value(row) { "t" } else { "f" }.into(),
            Cells::Int(array, _) => array.value(row).to_string(),
            Cells::Float(array) => float(array.value(row), 1e15),
            Cells::Short(array) => short(array.value(row)),
            Cells::Text(array) | Cells::Number(array) => array.value(row).to_string(),
            Cells::Bytes(array) => hex(array.value(row)),
            Cells::Instant(array, zone) => calendar::instant(array.value(row), zone),
            Cells::Day(array) => calendar::day(array.value(row)),
            Cells::Clock(array) => calendar::clock(array.value(row)),
            Cells::Interval(array) => {
                let value = array.value(row);
                let sign = if value.nanoseconds < 0 { "-" } else { "" };
                let clock = calendar::clock((value.nanoseconds / 1_000).unsigned_abs() as i64);
                format!("{} mons {} days {sign}{clock}", value.months, value.days)
            }
            Cells::Json(texts) => texts[row].clone().unwrap_or_default(),
            Cells::List(array, values, _) => {
                let (from, to) =
                    (array.value_offsets()[row] as usize, array.value_offsets()[row + 1] as usize);
                let element = |at| match values.is_null(at) {
                    true => "NULL".to_string(),
                    false => element(&values.text(at)),
                };
                format!("{{{}}}", (from..to).map(element).collect::<Vec<_>>().join(","))
            }
        }
    }

    fn binary(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Cells::Bool(array) => out.push(array.value(row).into()),
            // What does not fit was never of this type.
            Cells::Int(array, bytes) => out.extend(&array.value(row).to_be_bytes()[8 - bytes..]),
            Cells::Float(array) => out.extend(array.value(row).to_be_bytes()),
            Cells::Short(array) => out.extend(array.value(row).to_be_bytes()),
            Cells::Text(array) => out.extend(array.value(row).as_bytes()),
            Cells::Number(array) => number(array.value(row), out),
            Cells::Bytes(array) => out.extend(array.value(row)),
            Cells::Instant(array, _) => {
                out.extend(array.value(row).saturating_sub(EPOCH_MICROS).to_be_bytes())
            }
            Cells::Day(array) => out.extend(array.value(row).saturating_sub(EPOCH_DAYS).to_be_bytes()),
            Cells::Clock(array) => out.extend(array.value(row).to_be_bytes()),
            Cells::Interval(array) => {
                let value = array.value(row);
                out.extend((value.nanoseconds / 1_000).to_be_bytes());
                out.extend(value.days.to_be_bytes());
                out.extend(value.months.to_be_bytes());
            }
            Cells::Json(texts) => out.extend(texts[row].iter().flat_map(|text| text.bytes())),
            Cells::List(array, values, kind) => {
                let (from, to) =
                    (array.value_offsets()[row] as usize, array.value_offsets()[row + 1] as usize);
                let nulls = (from..to).any(|at| values.is_null(at));
                // Dimensions; whether one is null; the type; how many, and the number of the first.
                out.extend(i32::from(from < to).to_be_bytes());
                out.extend(i32::from(nulls).to_be_bytes());
                out.extend(kind.to_be_bytes());
                if from < to {
                    out.extend(((to - from) as i32).to_be_bytes());
                    out.extend(1i32.to_be_bytes());
                }
                (from..to).for_each(|at| values.sized(at, true, out));
            }
        }
    }
}

fn width(kind: u32) -> usize {
    match kind {
        oid::INT2 => 2,
        oid::INT8 => 8,
        _ => 4,
    }
}

fn jsons(array: &ArrayRef) -> Result<Cells, Failure> {
    let schema = Schema::new(vec![Field::new("v", array.data_type().clone(), true)]);
    let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::clone(array)]).map_err(wrong)?;
    let rows = json::rows(&batch)?;
    let text = |row: &serde_json::Value| (!row[0].is_null()).then(|| row[0].to_string());
    Ok(Cells::Json(rows.iter().map(text).collect()))
}

/// The shortest digits that mean the number; with an exponent from here on.
fn float(value: f64, large: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    if value != 0.0 && (value.abs() < 1e-4 || value.abs() >= large) {
        return exponent(format!("{value:e}"));
    }
    value.to_string()
}

fn short(value: f32) -> String {
    if value.is_finite() && value != 0.0 && (value.abs() < 1e-4 || value.abs() >= 1e6) {
        return exponent(format!("{value:e}"));
    }
    if value.is_finite() { value.to_string() } else { float(value.into(), 1e6) }
}

/// `1e16` as `1e+16`.
fn exponent(text: String) -> String {
    match text.split_once('e') {
        Some((digits, power)) => match power.strip_prefix('-') {
            Some(power) => format!("{digits}e-{power:0>2}"),
            None => format!("{digits}e+{power:0>2}"),
        },
        None => text,
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(2 + 2 * bytes.len());
    out.push_str("\\x");
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out
}

/// An element of an array as text: in quotes where it could be taken for something else.
fn element(text: &str) -> String {
    let plain = !text.is_empty()
        && !text.eq_ignore_ascii_case("null")
        && !text.contains(|c: char| c.is_whitespace() || "{},\"\\".contains(c));
    if plain {
        return text.to_string();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Digits as groups of four, which is how numbers of any length travel.
fn number(text: &str, out: &mut Vec<u8>) {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (0x4000u16, digits),
        None => (0, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    let lead = (4 - whole.len() % 4) % 4;
    let trail = (4 - fraction.len() % 4) % 4;
    let all: Vec<u8> = std::iter::repeat_n(b'0', lead)
        .chain(whole.bytes())
        .chain(fraction.bytes())
        .chain(std::iter::repeat_n(b'0', trail))
        .collect();
    let mut groups: Vec<u16> = all
        .chunks(4)
        .map(|group| {
            group.iter().fold(0, |value, digit| value * 10 + u16::from(digit.wrapping_sub(b'0') % 10))
        })
        .collect();
    let mut weight = (whole.len() + lead) as i16 / 4 - 1;
    while groups.first() == Some(&0) {
        groups.remove(0);
        weight -= 1;
    }
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    out.extend((groups.len() as u16).to_be_bytes());
    out.extend(weight.to_be_bytes());
    out.extend(sign.to_be_bytes());
    out.extend((fraction.len() as u16).to_be_bytes());
    groups.iter().for_each(|group| out.extend(group.to_be_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_postgres_writes_them() {
        for (value, expected) in [
            (0.0, "0"),
            (0.5, "0.5"),
            (123_456_789.25, "123456789.25"),
            (1e15, "1e+15"),
            (1e-5, "1e-05"),
            (-1.5e300, "-1.5e+300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(float(value, 1e15), expected);
        }
        assert_eq!((short(0.1), short(1e7)), ("0.1".into(), "1e+07".into()));
    }

    #[test]
    fn numbers_of_any_length_travel_in_fours() {
        let check = |text: &str, expected: &[u16]| {
            let mut out = Vec::new();
            number(text, &mut out);
            let found: Vec<u16> = out.chunks(2).map(|two| u16::from_be_bytes([two[0], two[1]])).collect();
            assert_eq!(found, expected, "{text}");
        };
        // As `select numeric_send(...)` of Postgres 15.
        check("0", &[0, 0, 0, 0]);
        check("1", &[1, 0, 0, 0, 1]);
        check("-12345.678", &[3, 1, 0x4000, 3, 1, 2345, 6780]);
        check("10000", &[1, 1, 0, 0, 1]);
        check("0.0001", &[1, 0xffff, 0, 4, 1]);
        check("1.50", &[2, 0, 0, 2, 1, 5000]);
        check("18446744073709551615", &[5, 4, 0, 0, 1844, 6744, 737, 955, 1615]);
    }

    #[test]
    fn elements_are_quoted_where_they_must_be() {
        for (text, expected) in [
            ("a", "a"),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("NULL", "\"NULL\""),
            ("a\"b\\c", "\"a\\\"b\\\\c\""),
            ("{x}", "\"{x}\""),
        ] {
            assert_eq!(element(text), expected);
        }
    }
}

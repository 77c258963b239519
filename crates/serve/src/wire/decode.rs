//! Values of parameters, from their bytes and the type that they have.

use super::calendar::{self, EPOCH_DAYS, EPOCH_MICROS};
use super::columns::{array_of, instant, oid};
use super::failure::Failure;
use arrow_schema::{DataType, Field, TimeUnit};
use plan::query::postgres::{Value, elements};
use std::sync::Arc;

/// The type of a parameter as the planner knows it; `None` where the client leaves it open.
pub(crate) fn planned(kind: u32) -> Option<DataType> {
    Some(match kind {
        oid::BOOL => DataType::Boolean,
        oid::INT2 | oid::INT4 | oid::INT8 | oid::OID => DataType::Int64,
        oid::FLOAT4 | oid::FLOAT8 => DataType::Float64,
        oid::NUMERIC => DataType::Decimal128(38, 10),
        oid::BYTEA => DataType::Binary,
        oid::DATE => DataType::Date32,
        oid::TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        oid::TIMESTAMPTZ => instant(),
        oid::VARCHAR | oid::NAME | oid::CHAR => DataType::Utf8,
        // What elements are follows from how the list is used, where it is of texts.
        array => {
            let element = planned(element_of(array)?).unwrap_or(DataType::Utf8);
            DataType::List(Arc::new(Field::new("item", element, true)))
        }
    })
}

/// The type of the elements of an array.
fn element_of(array: u32) -> Option<u32> {
    const VARCHARS: u32 = 1015;
    if array == VARCHARS {
        Some(oid::VARCHAR)
    } else {
        (16..2_000).find(|kind| array_of(*kind) == Some(array))
    }
}

/// Most elements of a list.
const ELEMENTS_MAX: usize = 10_000;

/// Reads the value of a parameter.
pub(crate) fn value(kind: u32, binary: bool, bytes: Option<&[u8]>) -> Result<Value, Failure> {
    match bytes {
        None => Ok(Value::Null),
        Some(bytes) if binary => from_binary(kind, bytes),
        Some(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|_| Failure::new("22021", "a text is no UTF-8"))?;
            from_text(kind, text)
        }
    }
}

fn from_text(kind: u32, text: &str) -> Result<Value, Failure> {
    let wrong = |what: &str| Failure::new("22P02", format!("`{text}` is no {what}"));
    let short = text.trim();
    Ok(match kind {
        oid::BOOL => match short.to_lowercase().as_str() {
            "t" | "true" | "1" | "y" | "yes" | "on" => Value::Bool(true),
            "f" | "false" | "0" | "n" | "no" | "off" => Value::Bool(false),
            _ => return Err(wrong("boolean")),
        },
        oid::INT2 | oid::INT4 | oid::INT8 | oid::OID => {
            Value::Int(short.parse().map_err(|_| wrong("whole number of 64 bits"))?)
        }
        oid::FLOAT4 | oid::FLOAT8 => Value::Float(short.parse().map_err(|_| wrong("number"))?),
        oid::NUMERIC => {
            short.parse::<f64>().map_err(|_| wrong("number"))?;
            Value::Decimal(short.into())
        }
        oid::TIMESTAMPTZ => Value::Instant(short.into()),
        oid::TIMESTAMP => Value::Clock(short.into()),
        oid::DATE => Value::Day(short.into()),
        oid::BYTEA => Value::Bytes(bytea(short).ok_or_else(|| wrong("text of bytes: write it as \\x0123"))?),
        array => match element_of(array) {
            Some(element) => {
                let items = elements(short).ok_or_else(|| wrong("list: write it as {a,b}"))?;
                let item =
                    |item: Option<String>| item.map_or(Ok(Value::Null), |item| from_text(element, &item));
                Value::List(few(items)?.into_iter().map(item).collect::<Result<_, _>>()?)
            }
            None => Value::Text(text.into()),
        },
    })
}

fn few<T>(items: Vec<T>) -> Result<Vec<T>, Failure> {
    if items.len() <= ELEMENTS_MAX {
        return Ok(items);
    }
    Err(Failure::new("54000", format!("a list of {} values, and {ELEMENTS_MAX} are the most", items.len())))
}

/// A list of one dimension.
fn list(bytes: &[u8]) -> Result<Option<Value>, Failure> {
    let mut left = bytes;
    let mut word = || {
        let (first, rest) = left.split_first_chunk::<4>()?;
        left = rest;
        Some(i32::from_be_bytes(*first))
    };
    let (Some(dimensions), Some(_), Some(kind)) = (word(), word(), word()) else { return Ok(None) };
    if dimensions == 0 {
        return Ok(Some(Value::List(Vec::new())));
    }
    let (1, Some(many), Some(_)) = (dimensions, word(), word()) else { return Ok(None) };
    let mut items = Vec::new();
    for _ in 0..many {
        let Some((length, rest)) = left.split_first_chunk::<4>() else { return Ok(None) };
        left = rest;
        let item = match usize::try_from(i32::from_be_bytes(*length)) {
            Err(_) => None,
            Ok(length) => {
                let Some((item, rest)) = left.split_at_checked(length) else { return Ok(None) };
                left = rest;
                Some(item)
            }
        };
        items.push(value(kind as u32, true, item)?);
    }
    Ok(Some(Value::List(few(items)?)))
}

/// `\x0123`.
fn bytea(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pair = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?);
    digits.chunks(2).map(pair).collect()
}

fn from_binary(kind: u32, bytes: &[u8]) -> Result<Value, Failure> {
    let wrong = || Failure::new("22P03", format!("{} bytes are no value of type {kind}", bytes.len()));
    fn whole<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
        bytes.try_into().ok()
    }
    let instant = |zone| {
        let micros = i64::from_be_bytes(whole(bytes)?).checked_add(EPOCH_MICROS)?;
        Some(calendar::instant(micros, zone))
    };
    let found = match kind {
        oid::BOOL => whole(bytes).map(|[byte]| Value::Bool(byte != 0)),
        oid::INT2 => whole(bytes).map(|bytes| Value::Int(i16::from_be_bytes(bytes).into())),
        oid::INT4 => whole(bytes).map(|bytes| Value::Int(i32::from_be_bytes(bytes).into())),
        oid::OID => whole(bytes).map(|bytes| Value::Int(u32::from_be_bytes(bytes).into())),
        oid::INT8 => whole(bytes).map(|bytes| Value::Int(i64::from_be_bytes(bytes))),
        oid::FLOAT4 => whole(bytes).map(|bytes| Value::Float(f32::from_be_bytes(bytes).into())),
        oid::FLOAT8 => whole(bytes).map(|bytes| Value::Float(f64::from_be_bytes(bytes))),
        oid::TIMESTAMPTZ => instant("+00:00").map(Value::Instant),
        oid::TIMESTAMP => instant("").map(Value::Clock),
        oid::DATE => whole(bytes)
            .and_then(|bytes| i32::from_be_bytes(bytes).checked_add(EPOCH_DAYS))
            .map(|days| Value::Day(calendar::day(days))),
        oid::BYTEA => Some(Value::Bytes(bytes.to_vec())),
        oid::NUMERIC => number(bytes).map(Value::Decimal),
        oid::TEXT | oid::VARCHAR | oid::NAME | oid::CHAR | oid::JSON | 0 | 705 | 1042 => {
            String::from_utf8(bytes.to_vec()).ok().map(Value::Text)
        }
        array if element_of(array).is_some() => list(bytes)?,
        _ => {
            let message = format!("parameters of type {kind} are not read in their binary form");
            return Err(Failure::new("0A000", message).hint("send it as text, or cast it in the statement"));
        }
    };
    found.ok_or_else(wrong)
}

/// Digits in groups of four.
fn number(bytes: &[u8]) -> Option<String> {
    let words: Vec<u16> =
        bytes.chunks(2).map(|two| Some(u16::from_be_bytes(two.try_into().ok()?))).collect::<Option<_>>()?;
    let [many, weight, sign, scale, groups @ ..] = words.as_slice() else { return None };
    let weight = i64::from(*weight as i16);
    if groups.len() != usize::from(*many)
        || !matches!(sign, 0 | 0x4000)
        || *scale > 1_000
        || weight.abs() > 100
    {
        return None;
    }
    let group = |at: i64| usize::try_from(at).ok().and_then(|at| groups.get(at)).copied().unwrap_or(0);
    let whole: String = (0..=weight).map(|at| format!("{:04}", group(at))).collect();
    let places = (i64::from(*scale) + 3) / 4;
    let fraction: String = (weight + 1..=weight + places).map(|at| format!("{:04}", group(at))).collect();
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let sign = if *sign == 0 { "" } else { "-" };
    let fraction = fraction.get(..usize::from(*scale)).unwrap_or(&fraction);
    Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_in_both_forms() {
        let text = |kind, text: &str| value(kind, false, Some(text.as_bytes())).ok();
        let binary = |kind, bytes: &[u8]| value(kind, true, Some(bytes)).ok();
        assert_eq!(value(oid::INT8, true, None), Ok(Value::Null));
        assert_eq!(
            (text(oid::INT4, "-5"), binary(oid::INT4, &[255; 4])),
            (Some(Value::Int(-5)), Some(Value::Int(-1)))
        );
        assert_eq!(
            binary(oid::TIMESTAMPTZ, &[0; 8]),
            Some(Value::Instant("2000-01-01 00:00:00+00:00".into()))
        );
        assert_eq!(binary(oid::DATE, &[0, 0, 0, 1]), Some(Value::Day("2000-01-02".into())));
        assert_eq!(text(oid::BYTEA, "\\x00fF"), Some(Value::Bytes(vec![0, 255])));
        let number = [0, 3, 0, 1, 0x40, 0, 0, 3, 0, 1, 9, 41, 26, 124];
        assert_eq!(binary(oid::NUMERIC, &number), Some(Value::Decimal("-12345.678".into())));
        for (kind, wrong) in
            [(oid::BOOL, "maybe"), (oid::INT8, "1.5"), (oid::FLOAT8, ""), (oid::BYTEA, "\\x0")]
        {
            assert_eq!(text(kind, wrong), None, "{wrong}");
        }
        let texts = Value::List(vec![Value::Text("a b".into()), Value::Null]);
        assert_eq!(text(1009, "{\"a b\",NULL}"), Some(texts));
        let whole = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 21, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 7];
        assert_eq!(binary(1005, &whole), Some(Value::List(vec![Value::Int(7)])));
        assert_eq!(binary(1005, &whole[..25]), None);
        for kind in [oid::BOOL, oid::INT2, oid::INT8, oid::FLOAT8, oid::NUMERIC, oid::DATE, 600] {
            assert_eq!(binary(kind, &[1, 2, 3]), None, "{kind}");
        }
    }
}

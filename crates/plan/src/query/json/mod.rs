//! Values of an answer as JSON, by the contract of all answers: integers beyond 2^53 as text, times as RFC 3339, bytes as base64.

mod read;

pub use read::batch;

use crate::query::QueryError;
use datafusion::arrow::array::{
    Array, AsArray, BooleanArray, FixedSizeListArray, LargeListArray, ListArray, StructArray,
    TimestampMicrosecondArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type, SchemaRef, TimeUnit, UInt64Type};
use datafusion::arrow::record_batch::RecordBatch;
use engine::time::Time;
use serde_json::{Map, Value, json};

/// Integers beyond this are text, so that no reader rounds them.
const EXACT_MAX: u64 = 1 << 53;

/// The columns of an answer: name and type.
pub fn columns(schema: &SchemaRef) -> Vec<Value> {
    let column = |field: &std::sync::Arc<datafusion::arrow::datatypes::Field>| json!({ "name": field.name(), "type": field.data_type().to_string() });
    schema.fields().iter().map(column).collect()
}

/// The rows of a batch, each an array of values in the order of the columns.
///
/// # Errors
/// A type that has no JSON.
pub fn rows(batch: &RecordBatch) -> Result<Vec<Value>, QueryError> {
    let mut rows = vec![Vec::with_capacity(batch.num_columns()); batch.num_rows()];
    for column in batch.columns() {
        let values = values(column.as_ref())?;
        rows.iter_mut().zip(values).for_each(|(row, value)| row.push(value));
    }
    Ok(rows.into_iter().map(Value::Array).collect())
}

fn values(array: &dyn Array) -> Result<Vec<Value>, QueryError> {
    let each = |value: &dyn Fn(usize) -> Value| -> Vec<Value> {
        (0..array.len()).map(|row| if array.is_null(row) { Value::Null } else { value(row) }).collect()
    };
    let wrong = |error: datafusion::arrow::error::ArrowError| QueryError::of(&error.into());
    Ok(match array.data_type() {
        DataType::Null => vec![Value::Null; array.len()],
        DataType::Boolean => {
            let array: &BooleanArray = array.as_boolean();
            each(&|row| json!(array.value(row)))
        }
        DataType::UInt64 => {
            let array = array.as_primitive::<UInt64Type>();
            each(&|row| {
                if array.value(row) <= EXACT_MAX {
                    json!(array.value(row))
                } else {
                    json!(array.value(row).to_string())
                }
            })
        }
        kind if kind.is_integer() => {
            let array = cast(array, &DataType::Int64).map_err(wrong)?;
            let array = array.as_primitive::<Int64Type>();
            each(&|row| match array.value(row) {
                small if small.unsigned_abs() <= EXACT_MAX => json!(small),
                large => json!(large.to_string()),
            })
        }
        kind if kind.is_floating() => {
            let array = cast(array, &DataType::Float64).map_err(wrong)?;
            let array = array.as_primitive::<Float64Type>();
            each(&|row| match array.value(row) {
                f if f.is_finite() => json!(f),
                f if f.is_nan() => Value::Null,
                f => json!(if f > 0.0 { "+Inf" } else { "-Inf" }),
            })
        }
        DataType::Timestamp(..) => {
            let array = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None)).map_err(wrong)?;
            let array: &TimestampMicrosecondArray = array.as_primitive();
            each(&|row| json!(Time(array.value(row)).to_string()))
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            let array = cast(array, &DataType::LargeBinary).map_err(wrong)?;
            let array = array.as_binary::<i64>();
            each(&|row| json!(base64(array.value(row))))
        }
        DataType::List(_) => {
            let array: &ListArray = array.as_list();
            lists(array.len(), &|row| (!array.is_null(row)).then(|| array.value(row)))?
        }
        DataType::LargeList(_) => {
            let array: &LargeListArray = array.as_list();
            lists(array.len(), &|row| (!array.is_null(row)).then(|| array.value(row)))?
        }
        DataType::FixedSizeList(..) => {
            let array: &FixedSizeListArray = array.as_fixed_size_list();
            lists(array.len(), &|row| (!array.is_null(row)).then(|| array.value(row)))?
        }
        DataType::Struct(_) => structs(array.as_struct())?,
        // Dates, intervals, decimals and all else as people read them.
        _ => {
            let array = cast(array, &DataType::LargeUtf8).map_err(wrong)?;
            let array = array.as_string::<i64>();
            each(&|row| json!(array.value(row)))
        }
    })
}

type Lists<'a> = dyn Fn(usize) -> Option<datafusion::arrow::array::ArrayRef> + 'a;

fn lists(rows: usize, list: &Lists<'_>) -> Result<Vec<Value>, QueryError> {
    (0..rows)
        .map(|row| list(row).map_or(Ok(Value::Null), |list| values(list.as_ref()).map(Value::Array)))
        .collect()
}

fn structs(array: &StructArray) -> Result<Vec<Value>, QueryError> {
    let columns =
        array.columns().iter().map(|column| values(column.as_ref())).collect::<Result<Vec<_>, _>>()?;
    let object = |row: usize| -> Map<String, Value> {
        array
            .column_names()
            .iter()
            .zip(&columns)
            .map(|(name, column)| (name.to_string(), column[row].clone()))
            .collect()
    };
    Ok((0..array.len())
        .map(|row| if array.is_null(row) { Value::Null } else { Value::Object(object(row)) })
        .collect())
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let sign = SIGNS[(word >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= chunk.len() { char::from(sign) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{BinaryArray, Float64Array, Int64Array, StringArray};
    use datafusion::arrow::datatypes::{Field, Schema};
    use std::sync::Arc;

    #[test]
    fn values_keep_what_json_readers_would_lose() {
        let columns: Vec<(&str, datafusion::arrow::array::ArrayRef)> = vec![
            ("n", Arc::new(Int64Array::from(vec![Some(1 << 53), Some((1 << 53) + 1), None]))),
            ("f", Arc::new(Float64Array::from(vec![0.5, f64::INFINITY, f64::NAN]))),
            ("t", Arc::new(TimestampMicrosecondArray::from(vec![0, 1, 2]).with_timezone("UTC"))),
            ("b", Arc::new(BinaryArray::from_vec(vec![b"", b"ab", b"abc"]))),
            ("s", Arc::new(StringArray::from(vec!["a", "\"", ""]))),
        ];
        let fields: Vec<Field> =
            columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
        let batch = RecordBatch::try_new(
            Arc::new(Schema::new(fields)),
            columns.into_iter().map(|(_, array)| array).collect(),
        );
        let expected = [
            json!([9_007_199_254_740_992_i64, 0.5, "1970-01-01T00:00:00Z", "", "a"]),
            json!(["9007199254740993", "+Inf", "1970-01-01T00:00:00.000001Z", "YWI=", "\""]),
            json!([null, null, "1970-01-01T00:00:00.000002Z", "YWJj", ""]),
        ];
        assert_eq!(rows(&batch.expect("columns of one length")), Ok(expected.to_vec()));
    }
}

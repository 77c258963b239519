//! Answers as JSON read back into the columns that they were made of: what asks a server has what asks a state directory has.
//!
//! What JSON does not tell apart is not told apart here: NaN comes back as null.

use datafusion::arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Float64Array, ListArray, NullArray, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use engine::time::Time;
use serde_json::Value;
use std::sync::Arc;

/// The rows of an answer as a batch; `columns` and `rows` are as [`super::columns`] and [`super::rows`] write them. A column of a
/// type that is not known here is text.
///
/// O(values).
///
/// # Errors
/// A sentence, when the two do not go together.
pub fn batch(columns: &[Value], rows: &[Value]) -> Result<RecordBatch, String> {
    let mut fields = Vec::with_capacity(columns.len());
    let mut arrays = Vec::with_capacity(columns.len());
    for (at, column) in columns.iter().enumerate() {
        let name = column["name"].as_str().ok_or("a column has no name")?;
        let kind: Option<DataType> = column["type"].as_str().and_then(|kind| kind.parse().ok());
        let cell = |row: &Value| row.get(at).cloned().ok_or_else(|| format!("a row has no column {at}"));
        let cells = rows.iter().map(cell).collect::<Result<Vec<Value>, String>>()?;
        let wrong = |why: String| format!("column `{name}`: {why}");
        let array = match kind {
            Some(kind) => array(&kind, &cells).map_err(wrong)?,
            None => text(&cells),
        };
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
        .map_err(|error| error.to_string())
}

fn array(kind: &DataType, cells: &[Value]) -> Result<ArrayRef, String> {
    // What cannot be is an error, and not null.
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let cast_to =
        |array: ArrayRef| cast_with_options(&array, kind, &strict).map_err(|error| error.to_string());
    match kind {
        DataType::Null => Ok(Arc::new(NullArray::new(cells.len()))),
        DataType::Boolean => Ok(Arc::new(
            cells.iter().map(|cell| optional(cell, Value::as_bool)).collect::<Result<BooleanArray, _>>()?,
        )),
        kind if kind.is_floating() => {
            let floats =
                cells.iter().map(|cell| optional(cell, float)).collect::<Result<Float64Array, _>>()?;
            cast_to(Arc::new(floats))
        }
        DataType::Timestamp(..) => {
            let micros = |cell: &Value| Some(cell.as_str()?.parse::<Time>().ok()?.0);
            let times = cells.iter().map(|cell| optional(cell, micros));
            cast_to(Arc::new(times.collect::<Result<TimestampMicrosecondArray, _>>()?.with_timezone("UTC")))
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            let bytes = |cell: &Value| unbase64(cell.as_str()?);
            let all = cells.iter().map(|cell| optional(cell, bytes)).collect::<Result<Vec<_>, String>>()?;
            cast_to(Arc::new(all.into_iter().collect::<BinaryArray>()))
        }
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            cast_to(Arc::new(list(field, cells)?))
        }
        DataType::Struct(fields) => Ok(Arc::new(structure(fields, cells)?)),
        // Whole numbers, dates, decimals and all else are understood as text.
        _ => cast_to(text(cells)),
    }
}

/// A value that may be null.
fn optional<T>(cell: &Value, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>, String> {
    if cell.is_null() {
        return Ok(None);
    }
    read(cell).map(Some).ok_or_else(|| format!("{cell} is not of its type"))
}

fn float(cell: &Value) -> Option<f64> {
    match cell.as_str() {
        Some("+Inf") => Some(f64::INFINITY),
        Some("-Inf") => Some(f64::NEG_INFINITY),
        Some(_) => None,
        None => cell.as_f64(),
    }
}

fn text(cells: &[Value]) -> ArrayRef {
    let of = |cell: &Value| match cell {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    Arc::new(cells.iter().map(of).collect::<StringArray>())
}

fn list(field: &Arc<Field>, cells: &[Value]) -> Result<ListArray, String> {
    let (mut entries, mut lengths, mut there) = (Vec::new(), Vec::new(), Vec::new());
    for cell in cells {
        let own = optional(cell, |cell| cell.as_array().cloned())?;
        there.push(own.is_some());
        let own = own.unwrap_or_default();
        lengths.push(own.len());
        entries.extend(own);
    }
    let entries = array(field.data_type(), &entries)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    let field = Arc::new(field.as_ref().clone().with_nullable(true));
    ListArray::try_new(field, offsets, entries, Some(NullBuffer::from(there)))
        .map_err(|error| error.to_string())
}

fn structure(fields: &Fields, cells: &[Value]) -> Result<StructArray, String> {
    let there: Vec<bool> = cells.iter().map(|cell| !cell.is_null()).collect();
    let mut arrays = Vec::with_capacity(fields.len());
    for field in fields {
        let own: Vec<Value> =
            cells.iter().map(|cell| cell.get(field.name()).cloned().unwrap_or_default()).collect();
        arrays.push(array(field.data_type(), &own)?);
    }
    let nullable: Fields = fields.iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    StructArray::try_new(nullable, arrays, Some(NullBuffer::from(there))).map_err(|error| error.to_string())
}

/// RFC 4648, with padding.
fn unbase64(text: &str) -> Option<Vec<u8>> {
    let sign = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in text.as_bytes().chunks(4) {
        let padding = chunk.iter().rev().take_while(|byte| **byte == b'=').count();
        if chunk.len() != 4 || padding > 2 {
            return None;
        }
        let mut word = 0u32;
        for &byte in &chunk[..4 - padding] {
            word = word << 6 | u32::from(sign(byte)?);
        }
        word <<= 6 * padding;
        out.extend_from_slice(&word.to_be_bytes()[1..4 - padding]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::super::{columns, rows};
    use super::*;
    use datafusion::arrow::array::{Date32Array, Int32Array, Int64Array, UInt64Array};
    use datafusion::arrow::datatypes::{Float64Type, Int64Type};
    use serde_json::json;

    /// Written and read, a column is what it was.
    fn check(array: impl Array + 'static) {
        let array: ArrayRef = Arc::new(array);
        let schema = Schema::new(vec![Field::new("x", array.data_type().clone(), true)]);
        let batch = RecordBatch::try_new(Arc::new(schema), vec![array]).expect("a batch");
        let (columns, rows) = (columns(&batch.schema()), rows(&batch).expect("JSON"));
        assert_eq!(super::batch(&columns, &rows).expect("read back"), batch, "{columns:?} {rows:?}");
    }

    #[test]
    fn columns_come_back_as_they_were() {
        check(Int64Array::from(vec![Some(i64::MIN), Some(1 << 53), Some((1 << 53) + 1), None]));
        check(Int32Array::from(vec![Some(-7), None]));
        check(UInt64Array::from(vec![u64::MAX, 0]));
        check(Float64Array::from(vec![Some(0.1), Some(f64::INFINITY), Some(f64::NEG_INFINITY), None]));
        check(BooleanArray::from(vec![Some(true), None, Some(false)]));
        check(StringArray::from(vec![Some("a\"\n"), None, Some("")]));
        let times = TimestampMicrosecondArray::from(vec![Some(0), None, Some(1_700_000_000_123_456)]);
        check(times.clone().with_timezone("UTC"));
        check(times);
        check(BinaryArray::from_opt_vec(vec![Some(b""), Some(b"a"), Some(b"ab"), Some(b"abc\xff"), None]));
        check(Date32Array::from(vec![Some(20_000), None]));
        check(NullArray::new(3));
        let lists = [Some(vec![Some(1), None]), None, Some(vec![])];
        check(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
        let numbers = ListArray::from_iter_primitive::<Float64Type, _, _>([Some(vec![Some(0.5)]), None]);
        let fields = Fields::from(vec![
            Field::new("item", DataType::Utf8, true),
            Field::new("n", numbers.data_type().clone(), true),
        ]);
        let parts: Vec<ArrayRef> =
            vec![Arc::new(StringArray::from(vec![Some("a"), None])), Arc::new(numbers)];
        check(StructArray::new(fields, parts, None));
    }

    #[test]
    fn an_answer_of_no_rows_or_no_columns_has_its_shape() {
        let empty = batch(&[json!({"name": "n", "type": "Int64"})], &[]).expect("read");
        assert_eq!((empty.num_columns(), empty.num_rows()), (1, 0));
        assert_eq!(batch(&[], &[json!([]), json!([])]).expect("read").num_rows(), 2);
        let strange =
            batch(&[json!({"name": "n", "type": "Quaternion"})], &[json!([{"w": 1}])]).expect("read");
        assert_eq!(strange.column(0).as_ref().data_type(), &DataType::Utf8);
    }

    #[test]
    fn what_does_not_go_together_is_said() {
        let check = |kind: &str, rows: Value, part: &str| {
            let error = batch(&[json!({"name": "n", "type": kind})], rows.as_array().expect("rows"));
            let error = error.expect_err(kind);
            assert!(error.contains(part), "{error}");
        };
        check("Int64", json!([[]]), "no column 0");
        check("Int64", json!([["many"]]), "column `n`");
        check("Float64", json!([["many"]]), "\"many\" is not of its type");
        check("Boolean", json!([[1]]), "is not of its type");
        check("Binary", json!([["a"]]), "is not of its type");
        check("Timestamp(µs)", json!([["soon"]]), "is not of its type");
    }
}

//! The columns of an answer in the types of Postgres.

use super::out::{self, Out};
use arrow_schema::{DataType, Field, IntervalUnit, Schema, TimeUnit};
use std::sync::Arc;

/// The key of a field's metadata that says its type, where it is not the one that its values have.
pub(crate) const OID: &str = plan::query::postgres::OID;

pub(crate) mod oid {
    pub const BOOL: u32 = 16;
    pub const BYTEA: u32 = 17;
    pub const CHAR: u32 = 18;
    pub const NAME: u32 = 19;
    pub const INT8: u32 = 20;
    pub const INT2: u32 = 21;
    pub const INT4: u32 = 23;
    pub const TEXT: u32 = 25;
    pub const OID: u32 = 26;
    pub const JSON: u32 = 114;
    pub const FLOAT4: u32 = 700;
    pub const FLOAT8: u32 = 701;
    pub const VARCHAR: u32 = 1043;
    pub const DATE: u32 = 1082;
    pub const TIME: u32 = 1083;
    pub const TIMESTAMP: u32 = 1114;
    pub const TIMESTAMPTZ: u32 = 1184;
    pub const INTERVAL: u32 = 1186;
    pub const NUMERIC: u32 = 1700;
}

/// A column as clients are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub name: String,
    pub oid: u32,
    pub shape: Shape,
}

/// How values are held before they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Cast to this first.
    Plain(DataType),
    /// Elements of this shape and type.
    List(Box<Shape>, u32),
    /// What has fields.
    Json,
}

/// Microseconds in UTC.
pub(crate) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The shape and type of values.
pub(crate) fn shape(kind: &DataType) -> (Shape, u32) {
    use DataType as A;
    let plain = |kind, oid| (Shape::Plain(kind), oid);
    match kind {
        A::Boolean => plain(A::Boolean, oid::BOOL),
        A::Int8 | A::Int16 | A::UInt8 => plain(A::Int64, oid::INT2),
        A::Int32 | A::UInt16 => plain(A::Int64, oid::INT4),
        A::Int64 | A::UInt32 => plain(A::Int64, oid::INT8),
        A::Float16 | A::Float32 => plain(A::Float32, oid::FLOAT4),
        A::Float64 => plain(A::Float64, oid::FLOAT8),
        A::UInt64 | A::Decimal32(..) | A::Decimal64(..) | A::Decimal128(..) | A::Decimal256(..) => {
            plain(A::Utf8, oid::NUMERIC)
        }
        A::Binary | A::LargeBinary | A::BinaryView | A::FixedSizeBinary(_) => plain(A::Binary, oid::BYTEA),
        A::Timestamp(_, Some(_)) => plain(instant(), oid::TIMESTAMPTZ),
        A::Timestamp(_, None) => plain(A::Timestamp(TimeUnit::Microsecond, None), oid::TIMESTAMP),
        A::Date32 | A::Date64 => plain(A::Date32, oid::DATE),
        A::Time32(_) | A::Time64(_) => plain(A::Time64(TimeUnit::Microsecond), oid::TIME),
        A::Interval(_) | A::Duration(_) => plain(A::Interval(IntervalUnit::MonthDayNano), oid::INTERVAL),
        A::List(item) | A::LargeList(item) | A::FixedSizeList(item, _) => list(item),
        A::Struct(_) | A::Map(..) => (Shape::Json, oid::JSON),
        A::Dictionary(_, values) => shape(values),
        _ => plain(A::Utf8, oid::TEXT),
    }
}

fn list(item: &Field) -> (Shape, u32) {
    let (inner, kind) = shape(item.data_type());
    match array_of(kind) {
        Some(array) if matches!(inner, Shape::Plain(_)) => (Shape::List(Box::new(inner), kind), array),
        _ => (Shape::Json, oid::JSON),
    }
}

/// The type of arrays of a type.
pub(crate) fn array_of(kind: u32) -> Option<u32> {
    Some(match kind {
        oid::BOOL => 1000,
        oid::BYTEA => 1001,
        oid::CHAR => 1002,
        oid::NAME => 1003,
        oid::INT2 => 1005,
        oid::INT4 => 1007,
        oid::TEXT => 1009,
        oid::INT8 => 1016,
        oid::FLOAT4 => 1021,
        oid::FLOAT8 => 1022,
        oid::OID => 1028,
        oid::TIMESTAMP => 1115,
        oid::DATE => 1182,
        oid::TIMESTAMPTZ => 1185,
        oid::NUMERIC => 1231,
        _ => return None,
    })
}

/// The columns of a schema.
pub(crate) fn of(schema: &Schema) -> Arc<Vec<Column>> {
    let column = |field: &Arc<Field>| {
        let (mut shape, mut oid) = shape(field.data_type());
        if let Some(told) = field.metadata().get(OID).and_then(|told| told.parse().ok()) {
            oid = told;
            if let Shape::List(_, inner) = &mut shape {
                *inner = (16..2_000).find(|kind| array_of(*kind) == Some(oid)).unwrap_or(*inner);
            }
        }
        Column { name: called(field.name()), oid, shape }
    };
    Arc::new(schema.fields().iter().map(column).collect())
}

/// What a column without a name is called: as its function, or nothing, as Postgres has it. DataFusion's are the expression
/// itself, which has brackets: `sum(visitors.value)`, `Int64(1)`.
fn called(name: &str) -> String {
    const LITERALS: [&str; 12] = [
        "Int64",
        "Float64",
        "Utf8",
        "Boolean",
        "UInt64",
        "Int32",
        "NULL",
        "Binary",
        "IntervalMonthDayNano",
        "Decimal128",
        "Date32",
        "CAST",
    ];
    let is_word =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let whole = name.strip_suffix(')').and_then(|rest| rest.split_once('('));
    match whole {
        Some((word, _)) if LITERALS.contains(&word) => "?column?".into(),
        Some((word, inside)) if is_word(word) && closes_last(inside) => word.into(),
        _ if LITERALS.iter().any(|literal| name.contains(&format!("{literal}("))) => "?column?".into(),
        _ if name == "NULL" => "?column?".into(),
        _ => name.into(),
    }
}

/// Whether the bracket that was opened before this text is closed behind it.
fn closes_last(inside: &str) -> bool {
    let mut open = 1;
    for c in inside.chars() {
        match c {
            '(' => open += 1,
            ')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return false;
        }
    }
    open == 1
}

/// Bytes of a value of this type; -1 where they differ.
fn size(kind: u32) -> i16 {
    match kind {
        oid::BOOL | oid::CHAR => 1,
        oid::INT2 => 2,
        oid::INT4 | oid::OID | oid::FLOAT4 | oid::DATE => 4,
        oid::INT8 | oid::FLOAT8 | oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ => 8,
        oid::INTERVAL => 16,
        oid::NAME => 64,
        _ => -1,
    }
}

/// The format of a column: one for all, or one for each; text where nothing is said.
pub(crate) fn is_binary(formats: &[i16], column: usize) -> bool {
    let format = if let [all] = formats { Some(all) } else { formats.get(column) };
    format == Some(&1)
}

/// Says what the columns are.
pub(crate) fn describe(columns: &[Column], formats: &[i16], to: &mut Out) {
    to.message(b'T', |bytes| {
        bytes.extend((columns.len() as u16).to_be_bytes());
        for (at, column) in columns.iter().enumerate() {
            out::text(bytes, &column.name);
            // Of no table and no column of one.
            bytes.extend([0; 6]);
            bytes.extend(column.oid.to_be_bytes());
            bytes.extend(size(column.oid).to_be_bytes());
            bytes.extend((-1i32).to_be_bytes());
            bytes.extend(i16::from(is_binary(formats, at)).to_be_bytes());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_called_as_postgres_calls_them() {
        for (name, expected) in [
            ("value", "value"),
            ("my column", "my column"),
            ("count(*)", "count"),
            ("sum(visitors.value)", "sum"),
            ("date_trunc(Utf8(\"day\"),visitors.start)", "date_trunc"),
            ("Int64(1)", "?column?"),
            ("NULL", "?column?"),
            ("visitors.value + Int64(1)", "?column?"),
            ("f(a) + g(b)", "f(a) + g(b)"),
        ] {
            assert_eq!(called(name), expected);
        }
    }
}

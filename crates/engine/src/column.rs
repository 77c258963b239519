//! A column of a batch: an Arrow array of one of the four kinds.

use crate::spec::Kind;
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, UInt32Array};
use std::sync::Arc;

/// A column of one [`Kind`].
#[derive(Debug, Clone)]
pub enum Column {
    /// Text.
    String(StringArray),
    /// Integers.
    Int64(Int64Array),
    /// Doubles.
    Float64(Float64Array),
    /// Booleans.
    Bool(BooleanArray),
}

impl Column {
    /// The column of an Arrow array; `None` when it is of none of the four kinds.
    pub fn of_array(array: &dyn Array) -> Option<Column> {
        let array = array.as_any();
        if let Some(a) = array.downcast_ref::<StringArray>() {
            return Some(Column::String(a.clone()));
        }
        if let Some(a) = array.downcast_ref::<Int64Array>() {
            return Some(Column::Int64(a.clone()));
        }
        if let Some(a) = array.downcast_ref::<Float64Array>() {
            return Some(Column::Float64(a.clone()));
        }
        array.downcast_ref::<BooleanArray>().map(|a| Column::Bool(a.clone()))
    }

    /// A column of missing values.
    pub fn nulls(kind: Kind, rows: usize) -> Column {
        match kind {
            Kind::String => Column::String(StringArray::new_null(rows)),
            Kind::Int64 => Column::Int64(Int64Array::new_null(rows)),
            Kind::Float64 => Column::Float64(Float64Array::new_null(rows)),
            Kind::Bool => Column::Bool(BooleanArray::new_null(rows)),
        }
    }

    /// A column of values that nobody looks at: empty text, zeros.
    pub fn blank(kind: Kind, rows: usize) -> Column {
        match kind {
            Kind::String => Column::String(std::iter::repeat_n(Some(""), rows).collect()),
            Kind::Int64 => Column::Int64(Int64Array::from(vec![0; rows])),
            Kind::Float64 => Column::Float64(Float64Array::from(vec![0.0; rows])),
            Kind::Bool => Column::Bool(BooleanArray::from(vec![false; rows])),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Column::String(_) => Kind::String,
            Column::Int64(_) => Kind::Int64,
            Column::Float64(_) => Kind::Float64,
            Column::Bool(_) => Kind::Bool,
        }
    }

    /// As Arrow knows it.
    pub fn as_array(&self) -> &dyn Array {
        match self {
            Column::String(a) => a,
            Column::Int64(a) => a,
            Column::Float64(a) => a,
            Column::Bool(a) => a,
        }
    }

    /// The same, shared. O(1): the values are not copied.
    pub fn to_array(&self) -> ArrayRef {
        match self {
            Column::String(a) => Arc::new(a.clone()),
            Column::Int64(a) => Arc::new(a.clone()),
            Column::Float64(a) => Arc::new(a.clone()),
            Column::Bool(a) => Arc::new(a.clone()),
        }
    }

    /// Whether any row has a value.
    pub fn has_value(&self) -> bool {
        self.as_array().null_count() < self.as_array().len()
    }

    /// Whether this row is true; a missing value is not.
    ///
    /// # Panics
    /// When the column is not boolean.
    #[inline]
    pub fn is_true(&self, row: usize) -> bool {
        let a = self.as_bool().expect("a condition is boolean");
        a.is_valid(row) && a.value(row)
    }

    /// The array of a boolean column.
    pub fn as_bool(&self) -> Option<&BooleanArray> {
        match self {
            Column::Bool(a) => Some(a),
            _ => None,
        }
    }

    /// Rows `start..start + len`. O(1).
    pub fn slice(&self, start: usize, len: usize) -> Column {
        match self {
            Column::String(a) => Column::String(a.slice(start, len)),
            Column::Int64(a) => Column::Int64(a.slice(start, len)),
            Column::Float64(a) => Column::Float64(a.slice(start, len)),
            Column::Bool(a) => Column::Bool(a.slice(start, len)),
        }
    }

    /// These rows, in this order.
    pub fn take(&self, rows: &[u32]) -> Column {
        let rows = UInt32Array::from(rows.to_vec());
        let taken = arrow_select::take::take(self.as_array(), &rows, None).expect("rows are in the column");
        Column::of_array(&taken).expect(SAME_KIND)
    }

    /// One column after the other; both are of one kind.
    pub fn followed_by(&self, other: &Column) -> Column {
        let both = arrow_select::concat::concat(&[self.as_array(), other.as_array()]).expect(SAME_KIND);
        Column::of_array(&both).expect(SAME_KIND)
    }
}

const SAME_KIND: &str = "the kind of a column does not change";

//! A function of SQL that is called row by row with sketches and values.

use super::super::QueryError;
use super::super::lint::Notes;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray, Float64Array, Int64Array, ListArray, StringArray,
    StructArray,
};
use datafusion::arrow::buffer::{OffsetBuffer, ScalarBuffer};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Fields, Float64Type, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use sketch::hash::Hashing;
use sketch::image::Image;
use sketch::{Estimate, Limits, Token};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What functions know of the pipeline.
#[derive(Debug)]
pub(crate) struct Context {
    /// Confidence of bounds.
    pub confidence: f64,
    /// How values were hashed.
    pub hashing: Hashing,
    /// Where doubts go.
    pub notes: Arc<Notes>,
}

/// What a function returns; what its body returns becomes that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Returns {
    /// The value of an estimate.
    Number,
    /// The same, rounded.
    Whole,
    /// An estimate: 0 all of it, 1 its lower bound, 2 its upper one.
    Estimate(u8),
    Bytes,
    Text,
    Truth,
    /// A list of items with their weights.
    Items,
}

/// What the body of a function returns.
pub(super) enum Out {
    Estimate(Estimate<f64>),
    Bytes(Vec<u8>),
    Text(String),
    Truth(bool),
    Items(Vec<(String, Estimate<u64>)>),
}

type Body = fn(&Context, &Row<'_>) -> Result<Option<Out>, QueryError>;

/// A function.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub name: &'static str,
    args: usize,
    returns: Returns,
    body: Body,
    signature: Signature,
    context: Option<Arc<Context>>,
    /// The function of this name for what is no sketch.
    pub otherwise: Option<Arc<ScalarUDF>>,
}

impl PartialEq for Call {
    fn eq(&self, other: &Call) -> bool {
        self.name == other.name
    }
}

impl Eq for Call {}

impl Hash for Call {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Call {
    pub fn new(name: &'static str, args: usize, returns: Returns, body: Body) -> Call {
        let mut signatures = vec![TypeSignature::Any(args)];
        if returns == Returns::Items {
            signatures.push(TypeSignature::Any(args + 1));
        }
        let signature = Signature::one_of(signatures, Volatility::Immutable);
        Call { name, args, returns, body, signature, context: None, otherwise: None }
    }

    pub fn with(self, context: &Arc<Context>) -> Call {
        Call { context: Some(Arc::clone(context)), ..self }
    }

    /// How many of the first arguments are sketches.
    fn sketches(&self) -> usize {
        match self.name {
            "either" | "both" | "without" | "jaccard" | "jaccard_bounds" | "ratio" | "ratio_bounds" => 2,
            _ => 1,
        }
    }
}

impl ScalarUDFImpl for Call {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        for (i, found) in types.iter().enumerate().take(self.sketches().min(self.args)) {
            if is_bytes(found) || *found == DataType::Null {
                continue;
            }
            if let Some(otherwise) = &self.otherwise {
                return otherwise.return_type(types);
            }
            let message = format!("`{}` takes a sketch as argument {}, not {found}", self.name, i + 1);
            return Err(QueryError::wrong(message)
                .hint("sketches are in the column `sketch` of every metric")
                .into());
        }
        Ok(self.returns.data_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let first = args.arg_fields.first().map(|field| field.data_type().clone());
        if let Some(otherwise) = &self.otherwise
            && first.is_some_and(|first| !is_bytes(&first) && first != DataType::Null)
        {
            return otherwise.invoke_with_args(args);
        }
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let columns: Vec<ArrayRef> =
            args.args.iter().map(|arg| plain(&arg.to_array(rows)?)).collect::<Result<_>>()?;
        let context =
            self.context.as_ref().ok_or_else(|| QueryError::unavailable("a function without a session"))?;
        let each = (0..rows).map(|at| (self.body)(context, &Row { name: self.name, columns: &columns, at }));
        let column = self.returns.column(each.collect::<Result<Vec<_>, QueryError>>()?)?;
        if constant {
            let value = datafusion::common::ScalarValue::try_from_array(&column, 0)?;
            return Ok(ColumnarValue::Scalar(value));
        }
        Ok(ColumnarValue::Array(column))
    }
}

fn is_bytes(of: &DataType) -> bool {
    matches!(
        of,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
    )
}

/// A column in one of the few types that functions look at.
fn plain(column: &ArrayRef) -> Result<ArrayRef> {
    let wanted = match column.data_type() {
        of if is_bytes(of) => DataType::Binary,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => {
            DataType::Utf8
        }
        of if of.is_integer() => DataType::Int64,
        of if of.is_numeric() => DataType::Float64,
        of => of.clone(),
    };
    Ok(cast(column, &wanted)?)
}

/// The arguments of one call.
pub(super) struct Row<'a> {
    name: &'static str,
    columns: &'a [ArrayRef],
    at: usize,
}

/// A value that may be an item of a sketch.
pub(super) enum Item<'a> {
    Text(&'a str),
    Int(i64),
    Float(f64),
    Truth(bool),
}

impl Row<'_> {
    /// A sketch; `None` is null.
    pub fn sketch(&self, i: usize) -> Result<Option<Image>, QueryError> {
        let Some(bytes) = self.columns[i].as_binary_opt::<i32>().filter(|column| !column.is_null(self.at))
        else {
            return Ok(None);
        };
        read(bytes.value(self.at)).map(Some)
    }

    /// A number; `None` is null.
    pub fn number(&self, i: usize) -> Result<Option<f64>, QueryError> {
        match self.item(i)? {
            None => Ok(None),
            Some(Item::Int(n)) => Ok(Some(n as f64)),
            Some(Item::Float(n)) => Ok(Some(n)),
            Some(_) => {
                Err(QueryError::wrong(format!("`{}` takes a number as argument {}", self.name, i + 1)))
            }
        }
    }

    /// A text that may be left out.
    pub fn text(&self, i: usize) -> Option<&str> {
        let column = self.columns.get(i)?.as_string_opt::<i32>()?;
        column.is_valid(self.at).then(|| column.value(self.at))
    }

    /// A value of an event; `None` is null.
    pub fn item(&self, i: usize) -> Result<Option<Item<'_>>, QueryError> {
        let column = &self.columns[i];
        if column.is_null(self.at) || *column.data_type() == DataType::Null {
            return Ok(None);
        }
        Ok(Some(match column.data_type() {
            DataType::Utf8 => Item::Text(column.as_string::<i32>().value(self.at)),
            DataType::Int64 => Item::Int(column.as_primitive::<Int64Type>().value(self.at)),
            DataType::Float64 => Item::Float(column.as_primitive::<Float64Type>().value(self.at)),
            DataType::Boolean => Item::Truth(column.as_boolean().value(self.at)),
            other => {
                return Err(QueryError::wrong(format!(
                    "`{}` takes no {other} as argument {}",
                    self.name,
                    i + 1
                )));
            }
        }))
    }
}

impl Item<'_> {
    pub fn token(&self, hashing: &Hashing) -> Token {
        match self {
            Item::Text(text) => hashing.token_of_str(text),
            Item::Int(n) => hashing.token_of_i64(*n),
            Item::Float(n) => hashing.token_of_f64(*n),
            Item::Truth(b) => hashing.token_of_i64(i64::from(*b)),
        }
    }

    pub fn theta_hash(&self, hashing: &Hashing) -> u64 {
        match self {
            Item::Text(text) => hashing.theta_hash_of_str(text),
            Item::Int(n) => hashing.theta_hash_of_i64(*n),
            Item::Float(n) => hashing.theta_hash_of_f64(*n),
            Item::Truth(b) => hashing.theta_hash_of_i64(i64::from(*b)),
        }
    }
}

/// Reads a sketch; any bytes are survived.
pub(super) fn read(bytes: &[u8]) -> Result<Image, QueryError> {
    Image::read(bytes, None, &Limits::default()).map_err(|why| {
        QueryError::wrong(format!("bytes are no sketch that is known here: {why}"))
            .hint("sketches are in the column `sketch` of every metric")
    })
}

impl Returns {
    fn data_type(self) -> DataType {
        match self {
            Returns::Number | Returns::Estimate(1 | 2) => DataType::Float64,
            Returns::Whole => DataType::Int64,
            Returns::Estimate(_) => DataType::Struct(estimate_fields()),
            Returns::Bytes => DataType::Binary,
            Returns::Text => DataType::Utf8,
            Returns::Truth => DataType::Boolean,
            Returns::Items => {
                DataType::List(Arc::new(Field::new_list_field(DataType::Struct(item_fields()), true)))
            }
        }
    }

    fn column(self, all: Vec<Option<Out>>) -> Result<ArrayRef> {
        let estimate = |out: &Option<Out>| match out {
            Some(Out::Estimate(e)) => Some(*e),
            _ => None,
        };
        let number = |of: fn(Estimate<f64>) -> f64| -> ArrayRef {
            Arc::new(all.iter().map(|out| estimate(out).map(of)).collect::<Float64Array>())
        };
        Ok(match self {
            Returns::Number => number(|e| e.value),
            Returns::Estimate(1) => number(|e| e.low),
            Returns::Estimate(2) => number(|e| e.high),
            Returns::Estimate(_) => estimates(&all.iter().map(estimate).collect::<Vec<_>>())?,
            Returns::Whole => Arc::new(
                all.iter().map(|out| estimate(out).map(|e| e.value.round() as i64)).collect::<Int64Array>(),
            ),
            Returns::Bytes => {
                let mut column = BinaryBuilder::new();
                all.iter().for_each(|out| column.append_option(matches_bytes(out)));
                Arc::new(column.finish())
            }
            Returns::Text => Arc::new(
                all.into_iter()
                    .map(|out| if let Some(Out::Text(text)) = out { Some(text) } else { None })
                    .collect::<StringArray>(),
            ),
            Returns::Truth => Arc::new(
                all.iter()
                    .map(|out| if let Some(Out::Truth(b)) = out { Some(*b) } else { None })
                    .collect::<BooleanArray>(),
            ),
            Returns::Items => items(&all)?,
        })
    }
}

fn matches_bytes(out: &Option<Out>) -> Option<&[u8]> {
    match out {
        Some(Out::Bytes(bytes)) => Some(bytes),
        _ => None,
    }
}

fn estimate_fields() -> Fields {
    let number = |name: &str| Field::new(name, DataType::Float64, true);
    Fields::from(vec![
        number("value"),
        number("low"),
        number("high"),
        number("confidence"),
        Field::new("guarantee", DataType::Utf8, true),
    ])
}

fn estimates(all: &[Option<Estimate<f64>>]) -> Result<ArrayRef> {
    let number = |of: fn(&Estimate<f64>) -> f64| -> ArrayRef {
        Arc::new(all.iter().map(|e| e.as_ref().map(of)).collect::<Float64Array>())
    };
    let guarantee: StringArray = all.iter().map(|e| e.as_ref().map(|e| e.guarantee.as_str())).collect();
    let columns = vec![
        number(|e| e.value),
        number(|e| e.low),
        number(|e| e.high),
        number(|e| e.confidence),
        Arc::new(guarantee) as ArrayRef,
    ];
    let there = all.iter().map(Option::is_some).collect::<Vec<bool>>();
    Ok(Arc::new(StructArray::try_new(estimate_fields(), columns, Some(there.into()))?))
}

fn item_fields() -> Fields {
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    Fields::from(vec![
        Field::new("item", DataType::Utf8, true),
        number("value"),
        number("low"),
        number("high"),
    ])
}

fn items(all: &[Option<Out>]) -> Result<ArrayRef> {
    let list = |out: &'_ Option<Out>| match out {
        Some(Out::Items(items)) => items.len(),
        _ => 0,
    };
    let flat = || {
        all.iter().flat_map(|out| match out {
            Some(Out::Items(items)) => items.as_slice(),
            _ => &[],
        })
    };
    let number = |of: fn(&Estimate<u64>) -> u64| -> ArrayRef {
        Arc::new(flat().map(|(_, e)| Some(i64::try_from(of(e)).unwrap_or(i64::MAX))).collect::<Int64Array>())
    };
    let names: StringArray = flat().map(|(item, _)| Some(item.as_str())).collect();
    let columns =
        vec![Arc::new(names) as ArrayRef, number(|e| e.value), number(|e| e.low), number(|e| e.high)];
    let entries = StructArray::try_new(item_fields(), columns, None)?;
    let mut ends = vec![0i32];
    for out in all {
        ends.push(ends[ends.len() - 1].saturating_add(i32::try_from(list(out)).unwrap_or(i32::MAX)));
    }
    let there = all.iter().map(Option::is_some).collect::<Vec<bool>>();
    let field = Arc::new(Field::new_list_field(DataType::Struct(item_fields()), true));
    let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
    Ok(Arc::new(ListArray::try_new(field, offsets, Arc::new(entries), Some(there.into()))?))
}

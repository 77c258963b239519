//! Aggregates: the sketches of many rows as one.

use super::super::QueryError;
use super::call::{Context, read};
use super::sets;
use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};
use sketch::Any;
use sketch::image::{Image, Unmergeable};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// How sketches become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum How {
    Union,
    Intersection,
}

/// An aggregate of sketches.
#[derive(Debug, Clone)]
pub(super) struct Merge {
    name: &'static str,
    how: How,
    signature: Signature,
    context: Arc<Context>,
}

/// All of them, each with its other names.
pub(super) fn all(context: &Arc<Context>) -> [(Merge, &'static [&'static str]); 2] {
    let of = |name, how| Merge {
        name,
        how,
        signature: Signature::any(1, Volatility::Immutable),
        context: Arc::clone(context),
    };
    [
        (
            of("merge_agg", How::Union),
            &[
                "union_agg",
                "hll_union_agg",
                "theta_union_agg",
                "kll_merge_agg_double",
                "approx_top_k_combine",
            ],
        ),
        (of("both_agg", How::Intersection), &["theta_intersection_agg"]),
    ]
}

impl PartialEq for Merge {
    fn eq(&self, other: &Merge) -> bool {
        self.name == other.name
    }
}

impl Eq for Merge {}

impl Hash for Merge {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl AggregateUDFImpl for Merge {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.first() {
            Some(DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::Null) => {
                Ok(DataType::Binary)
            }
            other => {
                let found = other.map_or_else(|| "nothing".to_string(), ToString::to_string);
                let error = QueryError::wrong(format!("`{}` takes sketches, not {found}", self.name));
                Err(error.hint("sketches are in the column `sketch` of every metric").into())
            }
        }
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Merging { how: self.how, context: Arc::clone(&self.context), so_far: None }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[sketch]", args.name), DataType::Binary, true))])
    }
}

/// Sketches that are becoming one.
#[derive(Debug)]
struct Merging {
    how: How,
    context: Arc<Context>,
    so_far: Option<Image>,
}

impl Merging {
    fn take(&mut self, next: Image) -> Result<(), QueryError> {
        let Some(so_far) = &mut self.so_far else {
            self.so_far = Some(next);
            return Ok(());
        };
        match self.how {
            How::Union => sets::merge(so_far, &next, &self.context.notes),
            How::Intersection => {
                if so_far.key() != next.key() {
                    return Err(sets::apart(&Unmergeable::Keys));
                }
                let (Some(Any::Theta(a)), Some(Any::Theta(b))) = (so_far.any(), next.any()) else {
                    let error = QueryError::wrong("only sets can be intersected");
                    return Err(error.hint("measure it as audience(...)"));
                };
                let both = a.intersect(b);
                self.so_far = Some(so_far.made_of(both.into()));
                Ok(())
            }
        }
    }

    fn bytes(&self) -> ScalarValue {
        ScalarValue::Binary(self.so_far.as_ref().map(Image::write))
    }
}

impl Accumulator for Merging {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let column = cast(&values[0], &DataType::Binary)?;
        for bytes in column.as_binary::<i32>().iter().flatten() {
            self.take(read(bytes)?)?;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.bytes())
    }

    fn size(&self) -> usize {
        size_of::<Merging>() + self.so_far.as_ref().map_or(0, Image::memory_bytes)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.bytes()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

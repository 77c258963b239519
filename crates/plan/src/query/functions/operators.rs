//! Operators that make texts or search in them, as the bounded functions that do the same.
//!
//! `a || b` is a call of `||` ([`Joined`]), which is null where one of them is; the pattern of `~` and its kin is looked at as those of functions are.

use super::bounded::check_pattern;
use datafusion::arrow::array::{ArrayRef, AsArray, StringViewBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_sql::sqlparser::ast::BinaryOperator;
use std::sync::Arc;

/// The name of the function behind `||`.
pub(super) const JOIN: &str = "||";

/// Plans them.
#[derive(Debug)]
pub(super) struct Operators {
    /// The bounded function behind `||`.
    pub join: Arc<ScalarUDF>,
}

impl ExprPlanner for Operators {
    fn plan_binary_op(&self, raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator::{
            PGRegexIMatch, PGRegexMatch, PGRegexNotIMatch, PGRegexNotMatch, Regexp, StringConcat,
        };
        match raw.op {
            StringConcat if [&raw.left, &raw.right].iter().all(|side| is_plain(side, schema)) => {
                Ok(PlannerResult::Planned(self.join.call(vec![raw.left, raw.right])))
            }
            PGRegexMatch | PGRegexIMatch | PGRegexNotMatch | PGRegexNotIMatch | Regexp => {
                match &raw.right {
                    Expr::Literal(pattern, _) => match pattern.try_as_str() {
                        Some(Some(pattern)) => check_pattern(pattern)?,
                        Some(None) => {}
                        None => return plan_err!("the pattern of `{}` is a text", raw.op),
                    },
                    _ => {
                        return plan_err!(
                            "the pattern of `{}` is a constant; regexp_like takes others",
                            raw.op
                        );
                    }
                }
                Ok(PlannerResult::Original(raw))
            }
            _ => Ok(PlannerResult::Original(raw)),
        }
    }
}

/// Whether it is no list: those are joined by DataFusion.
fn is_plain(side: &Expr, schema: &DFSchema) -> bool {
    side.get_type(schema).is_ok_and(|found| !found.is_nested() && !is_bytes(&found))
}

fn is_bytes(found: &DataType) -> bool {
    matches!(
        found,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
    )
}

/// `a || b`
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Joined {
    signature: Signature,
}

impl Joined {
    pub fn new() -> Joined {
        Joined { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Joined {
    fn name(&self) -> &str {
        JOIN
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    /// Whatever they are, as text.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(vec![DataType::Utf8View; types.len()])
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let names = args.iter().map(|arg| Ok(arg.schema_name().to_string())).collect::<Result<Vec<_>>>()?;
        Ok(names.join(" || "))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let text = |arg: &ColumnarValue| -> Result<ArrayRef> {
            Ok(cast(&arg.to_array(rows)?, &DataType::Utf8View)?)
        };
        let (left, right) = (text(&args.args[0])?, text(&args.args[1])?);
        let (mut made, mut buffer) = (StringViewBuilder::with_capacity(rows), String::new());
        for (left, right) in left.as_string_view().iter().zip(right.as_string_view().iter()) {
            match left.zip(right) {
                None => made.append_null(),
                Some((left, right)) => {
                    buffer.clear();
                    buffer.push_str(left);
                    buffer.push_str(right);
                    made.append_value(&buffer);
                }
            }
        }
        let made = made.finish();
        match constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?)),
            false => Ok(ColumnarValue::Array(Arc::new(made))),
        }
    }
}

//! From syntax to a typed expression over numbered columns.
//!
//! Column n of a batch is called `cn` here. Every result is cast to one of the four kinds of columns, so that evaluating
//! gives what the engine takes. Only functions that give the same for the same event are let in.

use super::functions::FUNCTIONS;
use super::sql::Sql;
use crate::measure::Fault;
use crate::problem::did_you_mean;
use arrow_schema::{DataType, Field as ArrowField, Schema};
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchema, DataFusionError};
use datafusion_expr::planner::ContextProvider;
use datafusion_expr::simplify::SimplifyContext;
use datafusion_expr::{Expr, ExprSchemable, Volatility, cast};
use datafusion_optimizer::simplify_expressions::ExprSimplifier;
use datafusion_sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use engine::spec::{Field, Kind};
use std::sync::Arc;

/// An expression with its type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Compiled {
    pub(super) expr: Expr,
    /// The kind of its result; of its elements, when it gives a list.
    pub kind: Kind,
}

/// The name of a column in expressions.
pub(super) fn column_name(number: usize) -> String {
    format!("c{number}")
}

/// The Arrow type of a kind.
pub(super) fn arrow_type(kind: Kind) -> DataType {
    match kind {
        Kind::String => DataType::Utf8,
        Kind::Int64 => DataType::Int64,
        Kind::Float64 => DataType::Float64,
        Kind::Bool => DataType::Boolean,
    }
}

/// Compiles an expression over these columns; `number` says which one a name stands for.
pub(crate) fn compile(
    sql: &Sql,
    columns: &[Field],
    number: &dyn Fn(&str) -> usize,
) -> Result<Compiled, Fault> {
    let (expr, schema, found) = typed(sql, columns, number)?;
    let Some(kind) = kind_of(&found) else {
        let hint = match found {
            DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
                "take one element, as in x[1], or make events of them with `explode`"
            }
            _ => "cast it: cast(x as varchar), double, bigint or boolean",
        };
        return Err(fault(format!("this gives {found}, which is no column"), hint));
    };
    let expr = as_type(expr, &found, &arrow_type(kind));
    simplified(expr, &schema).map(|expr| Compiled { expr, kind })
}

/// The same of an expression that gives a list.
pub(crate) fn compile_list(
    sql: &Sql,
    columns: &[Field],
    number: &dyn Fn(&str) -> usize,
) -> Result<Compiled, Fault> {
    let (expr, schema, found) = typed(sql, columns, number)?;
    let element = match &found {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            kind_of(field.data_type())
        }
        _ => None,
    };
    let Some(kind) = element else {
        let hint = "as in string_to_array(line, ' ')";
        return Err(fault(format!("`explode` needs a list of values, and this gives {found}"), hint));
    };
    let list = DataType::List(Arc::new(ArrowField::new_list_field(arrow_type(kind), true)));
    let expr = as_type(expr, &found, &list);
    simplified(expr, &schema).map(|expr| Compiled { expr, kind })
}

fn as_type(expr: Expr, found: &DataType, wanted: &DataType) -> Expr {
    if found == wanted { expr } else { cast(expr, wanted.clone()) }
}

/// The expression with the types of all its parts, and its own.
fn typed(
    sql: &Sql,
    columns: &[Field],
    number: &dyn Fn(&str) -> usize,
) -> Result<(Expr, Arc<DFSchema>, DataType), Fault> {
    let schema = schema(columns);
    let syntax = sql.renamed(&|name| column_name(number(name)));
    let options = ParserOptions::new().with_map_string_types_to_utf8view(false);
    let planner = SqlToRel::new_with_options(&*FUNCTIONS, options);
    let expr = planner.sql_to_expr(syntax, &schema, &mut PlannerContext::new());
    let expr = expr.map_err(|error| planned(&error, sql, number))?;
    only_pure(&expr)?;
    let simplifier = ExprSimplifier::new(context(&schema));
    let expr = simplifier.coerce(expr, &schema).map_err(|error| planned(&error, sql, number))?;
    let found = expr.get_type(&*schema).map_err(|error| planned(&error, sql, number))?;
    Ok((expr, schema, found))
}

/// Constants are folded, and what is always true or null goes. An expression that fails already here fails on every
/// event.
fn simplified(expr: Expr, schema: &Arc<DFSchema>) -> Result<Expr, Fault> {
    let simplifier = ExprSimplifier::new(context(schema));
    simplifier.simplify(expr).map_err(|error| {
        fault(format!("this fails on every event: {}", plain(&error)), "look at its constants")
    })
}

fn context(schema: &Arc<DFSchema>) -> SimplifyContext {
    SimplifyContext::builder().with_schema(schema.clone()).build()
}

pub(super) fn schema(columns: &[Field]) -> Arc<DFSchema> {
    let field = |(n, field): (usize, &Field)| ArrowField::new(column_name(n), arrow_type(field.kind), true);
    let schema = Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>());
    Arc::new(DFSchema::try_from(schema).expect("columns have different names"))
}

/// The kind of column that values of this type become.
fn kind_of(data_type: &DataType) -> Option<Kind> {
    use DataType as T;
    Some(match data_type {
        T::Utf8 | T::LargeUtf8 | T::Utf8View | T::Null => Kind::String,
        T::Date32 | T::Date64 | T::Timestamp(..) | T::Time32(_) | T::Time64(_) => Kind::String,
        T::Dictionary(_, values) => return kind_of(values),
        T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => {
            Kind::Int64
        }
        T::Float16 | T::Float32 | T::Float64 => Kind::Float64,
        T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) | T::Decimal256(..) => Kind::Float64,
        T::Boolean => Kind::Bool,
        _ => return None,
    })
}

/// `now()` and `random()` would make the same events give other answers.
fn only_pure(expr: &Expr) -> Result<(), Fault> {
    let mut impure = None;
    let _ = expr.apply(|part| {
        if let Expr::ScalarFunction(call) = part
            && call.func.signature().volatility != Volatility::Immutable
        {
            impure = Some(call.func.name().to_string());
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    match impure {
        None => Ok(()),
        Some(name) => Err(fault(
            format!("`{name}` does not give the same for the same event"),
            "an event is judged by its own fields: use the time it carries",
        )),
    }
}

fn fault(message: String, hint: &str) -> Fault {
    Fault { message, span: 0..usize::MAX, hint: Some(hint.to_string()) }
}

/// What the planner says, in the names of the file.
fn planned(error: &DataFusionError, sql: &Sql, number: &dyn Fn(&str) -> usize) -> Fault {
    let mut message = plain(error);
    if let Some(rest) = message.strip_prefix("Invalid function '") {
        let name = rest.split('\'').next().unwrap_or_default().to_string();
        return unknown_function(&name);
    }
    for (name, _) in &sql.names {
        message = message.replace(&format!("{}.", column_name(number(name))), "").to_string();
        message = rename_word(&message, &column_name(number(name)), name);
    }
    fault(message, "a field has the type that `fields` declares; cast(x as double) changes it")
}

fn unknown_function(name: &str) -> Fault {
    let names = FUNCTIONS.udf_names();
    let hint = if crate::measure::is_measure(name) {
        format!("`{name}` is a measure, and a measure stands outside, as in `{name}(...)`")
    } else {
        match did_you_mean(name, names.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "functions are DataFusion's scalar ones: docs/pipeline-file.md".to_string(),
        }
    };
    fault(format!("there is no function `{name}`"), &hint)
}

/// The first line of an error, without what it says of itself.
fn plain(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let text = text.lines().next().unwrap_or_default();
    let prefixes = ["Error during planning: ", "Schema error: ", "Execution error: ", "Arrow error: "];
    let mut text = text.trim();
    while let Some(rest) = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        text = rest;
    }
    text.trim_end_matches('.').to_string()
}

/// Replaces a whole word.
fn rename_word(text: &str, from: &str, to: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(from) {
        let (before, after) = (&rest[..at], &rest[at + from.len()..]);
        let inside = |c: char| c.is_alphanumeric() || c == '_';
        let whole = !before.ends_with(inside) && !after.starts_with(inside);
        out.push_str(before);
        out.push_str(if whole { to } else { from });
        rest = after;
    }
    out + rest
}

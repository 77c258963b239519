//! Parameters: `$1` in a statement is described by a type, and then becomes a value.
//!
//! Values stand in the statement as literals before it is planned, so they may stand wherever a constant may, as in
//! `visitors($1)`; they are never part of its text.

use datafusion::arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::sql::parser::Statement;
use datafusion_sql::sqlparser::ast::{
    Array, ArrayElemTypeDef, CastKind, DataType as SqlType, ExactNumberInfo, Expr, FunctionArg,
    FunctionArgExpr, TableFactor, TimezoneInfo, UnaryOperator, Value as Literal, VisitMut, VisitorMut,
};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Most parameters of a statement.
pub(crate) const PARAMETERS_MAX: usize = 1_000;

/// A value that takes the place of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A number of any length, as digits.
    Decimal(String),
    /// A text.
    Text(String),
    /// A time with a zone, as text.
    Instant(String),
    /// A time without one, as text.
    Clock(String),
    /// A day, as text.
    Day(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Several values.
    List(Vec<Value>),
}

/// What a statement takes and gives.
#[derive(Debug, Clone)]
pub struct Described {
    /// The columns of its answer.
    pub schema: SchemaRef,
    /// The types of its parameters.
    pub parameters: Vec<DataType>,
}

/// The number of a placeholder.
fn number(expr: &Expr) -> Option<usize> {
    let Expr::Value(value) = expr else { return None };
    let Literal::Placeholder(name) = &value.value else { return None };
    name.strip_prefix('$')?.parse().ok().filter(|number| (1..=PARAMETERS_MAX).contains(number))
}

fn visit(statement: &mut Statement, visitor: &mut impl VisitorMut<Break = ()>) {
    match statement {
        Statement::Statement(ast) => {
            let _ = VisitMut::visit(&mut **ast, visitor);
        }
        Statement::Explain(explain) => visit(&mut explain.statement, visitor),
        _ => {}
    }
}

/// How many parameters a statement has: the highest number.
pub(crate) fn count(statement: &mut Statement) -> usize {
    struct Count(usize);
    impl VisitorMut for Count {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            self.0 = self.0.max(number(expr).unwrap_or(0));
            ControlFlow::Continue(())
        }
    }
    let mut count = Count(0);
    visit(statement, &mut count);
    count.0
}

/// The parameters that stand where a list does: `= any($1)`.
pub(crate) fn lists(statement: &mut Statement) -> BTreeSet<usize> {
    struct Lists(BTreeSet<usize>);
    impl VisitorMut for Lists {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } = expr {
                let inner = if let Expr::Nested(inner) = &**right { inner } else { right };
                self.0.extend(number(inner));
            }
            ControlFlow::Continue(())
        }
    }
    let mut lists = Lists(BTreeSet::new());
    visit(statement, &mut lists);
    lists.0
}

/// Puts values in the place of parameters.
pub(crate) fn bind(statement: &mut Statement, values: &[Value]) {
    struct Bind<'v>(&'v [Value]);
    impl VisitorMut for Bind<'_> {
        type Break = ();
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Some(value) = number(expr).and_then(|number| self.0.get(number - 1)) {
                *expr = literal(value);
            }
            ControlFlow::Continue(())
        }
    }
    visit(statement, &mut Bind(values));
}

/// Makes a statement plannable before its values are known: arguments of metrics do not change its columns and are left out;
/// what has a type says so. Tells which parameters were arguments.
pub(crate) fn describable(statement: &mut Statement, types: &[Option<DataType>]) -> BTreeSet<usize> {
    struct Describe<'t> {
        types: &'t [Option<DataType>],
        arguments: BTreeSet<usize>,
    }
    impl VisitorMut for Describe<'_> {
        type Break = ();
        fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
            let TableFactor::Table { args: Some(args), .. } = factor else {
                return ControlFlow::Continue(());
            };
            let mut found = Vec::new();
            args.args.retain_mut(|arg| {
                let (FunctionArg::Unnamed(value)
                | FunctionArg::Named { arg: value, .. }
                | FunctionArg::ExprNamed { arg: value, .. }) = arg;
                let FunctionArgExpr::Expr(value) = value else { return true };
                let before = found.len();
                let mut numbers = Numbers(&mut found);
                let _ = VisitMut::visit(value, &mut numbers);
                found.len() == before
            });
            // What is left may make no sense alone: the columns are those of the total.
            if !found.is_empty() {
                args.args.clear();
            }
            self.arguments.extend(found);
            ControlFlow::Continue(())
        }
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            let kind = number(expr).and_then(|number| self.types.get(number - 1)?.as_ref());
            if let Some(kind) = kind.and_then(sql_type) {
                let inner = std::mem::replace(expr, Expr::Value(Literal::Null.into()));
                *expr = cast(inner, kind);
            }
            ControlFlow::Continue(())
        }
    }
    let mut describe = Describe { types, arguments: BTreeSet::new() };
    visit(statement, &mut describe);
    describe.arguments
}

struct Numbers<'n>(&'n mut Vec<usize>);

impl VisitorMut for Numbers<'_> {
    type Break = ();
    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.0.extend(number(expr));
        ControlFlow::Continue(())
    }
}

fn cast(expr: Expr, data_type: SqlType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

fn sql_type(kind: &DataType) -> Option<SqlType> {
    Some(match kind {
        DataType::Boolean => SqlType::Boolean,
        DataType::Int64 => SqlType::BigInt(None),
        DataType::Float64 => SqlType::DoublePrecision,
        DataType::Utf8 => SqlType::Text,
        DataType::Decimal128(..) => decimal(10),
        DataType::Timestamp(TimeUnit::Microsecond, None) => SqlType::Timestamp(None, TimezoneInfo::None),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            SqlType::Timestamp(None, TimezoneInfo::WithTimeZone)
        }
        DataType::Date32 => SqlType::Date,
        DataType::Binary => SqlType::Bytea,
        DataType::List(item) => {
            SqlType::Array(ArrayElemTypeDef::SquareBracket(Box::new(sql_type(item.data_type())?), None))
        }
        _ => return None,
    })
}

fn decimal(scale: i64) -> SqlType {
    SqlType::Decimal(ExactNumberInfo::PrecisionAndScale(38, scale))
}

fn literal(value: &Value) -> Expr {
    let plain = |literal: Literal| Expr::Value(literal.into());
    let text = |text: &str| plain(Literal::SingleQuotedString(text.to_string()));
    let digits = |digits: String| plain(Literal::Number(digits, false));
    match value {
        Value::Null => plain(Literal::Null),
        Value::Bool(b) => plain(Literal::Boolean(*b)),
        Value::Int(n) if *n >= 0 => digits(n.to_string()),
        Value::Int(i64::MIN) => cast(text(&i64::MIN.to_string()), SqlType::BigInt(None)),
        Value::Int(n) => Expr::Nested(Box::new(Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr: Box::new(digits(n.unsigned_abs().to_string())),
        })),
        Value::Float(f) => cast(text(&f.to_string()), SqlType::DoublePrecision),
        Value::Decimal(d) => {
            let scale = d.split_once('.').map_or(0, |(_, fraction)| fraction.len().min(30));
            cast(text(d), decimal(scale as i64))
        }
        Value::Text(t) => text(t),
        Value::Instant(t) => cast(text(t), SqlType::Timestamp(None, TimezoneInfo::WithTimeZone)),
        Value::Clock(t) => cast(text(t), SqlType::Timestamp(None, TimezoneInfo::None)),
        Value::Day(t) => cast(text(t), SqlType::Date),
        Value::Bytes(bytes) => {
            let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            plain(Literal::HexStringLiteral(hex))
        }
        Value::List(items) => Expr::Array(Array { elem: items.iter().map(literal).collect(), named: true }),
    }
}

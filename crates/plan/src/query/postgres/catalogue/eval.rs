//! The value of an expression for one row, or for a group of them. Null is neither true nor false.

use super::datum::{Datum, list_of};
use super::functions::{self, called, folds};
use super::kinds::word;
use super::scope::{Column, Scope, name, names};
use super::select::Asking;
use super::types;
use crate::query::{About, QueryError};
use datafusion_sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Query, Subscript, TrimWhereField, UnaryOperator, Value,
};
use regex::{Regex, RegexBuilder};
use std::collections::{BTreeMap, BTreeSet};

/// Largest program of a pattern.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// What an expression is evaluated with.
#[derive(Clone, Copy)]
pub(crate) struct Eval<'e> {
    pub scope: Scope<'e>,
    pub asking: &'e Asking<'e>,
    /// The rows that aggregates fold.
    pub group: Option<(&'e [Column], &'e [Vec<Datum>])>,
    /// Numbers of rows by window, and which row this is.
    pub numbers: Option<(&'e BTreeMap<String, Vec<i64>>, usize)>,
}

/// The arguments of a function; `*` is none.
pub(crate) fn arguments(function: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    list.args
        .iter()
        .filter_map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
            | FunctionArg::Named { arg: FunctionArgExpr::Expr(expr), .. }
            | FunctionArg::ExprNamed { arg: FunctionArgExpr::Expr(expr), .. } => Some(expr),
            _ => None,
        })
        .collect()
}

fn unsupported(what: &Expr) -> QueryError {
    let shown: String = what.to_string().chars().take(80).collect();
    QueryError::wrong(format!("not supported in questions to the catalogue: {shown}"))
        .about(About::Unsupported)
}

fn boolean(truth: Option<bool>) -> Datum {
    truth.map_or(Datum::Null, Datum::Bool)
}

impl<'e> Eval<'e> {
    pub fn new(scope: Scope<'e>, asking: &'e Asking<'e>) -> Eval<'e> {
        Eval { scope, asking, group: None, numbers: None }
    }

    pub fn truth(&self, expr: &Expr) -> Result<Option<bool>, QueryError> {
        Ok(self.value(expr)?.truth())
    }

    pub fn value(&self, expr: &Expr) -> Result<Datum, QueryError> {
        self.asking.step()?;
        if let Some(parts) = names(expr) {
            return self.named(&parts);
        }
        Ok(match expr {
            Expr::Value(value) => literal(&value.value),
            Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => self.value(inner)?,
            Expr::Cast { expr, data_type, .. } => self.cast(self.value(expr)?, &word(data_type))?,
            Expr::TypedString(typed) => self.cast(literal(&typed.value.value), &word(&typed.data_type))?,
            Expr::IsNull(inner) => Datum::Bool(self.value(inner)?.is_null()),
            Expr::IsNotNull(inner) => Datum::Bool(!self.value(inner)?.is_null()),
            Expr::IsTrue(inner) => Datum::Bool(self.truth(inner)? == Some(true)),
            Expr::IsNotTrue(inner) => Datum::Bool(self.truth(inner)? != Some(true)),
            Expr::IsFalse(inner) => Datum::Bool(self.truth(inner)? == Some(false)),
            Expr::IsNotFalse(inner) => Datum::Bool(self.truth(inner)? != Some(false)),
            Expr::IsDistinctFrom(a, b) => Datum::Bool(!same(&self.value(a)?, &self.value(b)?)),
            Expr::IsNotDistinctFrom(a, b) => Datum::Bool(same(&self.value(a)?, &self.value(b)?)),
            Expr::UnaryOp { op, expr } => self.unary(*op, expr)?,
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right)?,
            Expr::Between { expr, negated, low, high } => {
                let value = self.value(expr)?;
                let above = value.compare(&self.value(low)?).map(|order| order.is_ge());
                let below = value.compare(&self.value(high)?).map(|order| order.is_le());
                boolean(and(above, below).map(|inside| inside != *negated))
            }
            Expr::Like { negated, expr, pattern, .. } => self.like(expr, pattern, false, *negated)?,
            Expr::ILike { negated, expr, pattern, .. } => self.like(expr, pattern, true, *negated)?,
            Expr::InList { expr, list, negated } => {
                let items = list.iter().map(|item| self.value(item)).collect::<Result<Vec<_>, _>>()?;
                boolean(any(&self.value(expr)?, &BinaryOperator::Eq, &items).map(|is| is != *negated))
            }
            Expr::InSubquery { expr, subquery, negated } => {
                let items = self.column(subquery)?;
                boolean(any(&self.value(expr)?, &BinaryOperator::Eq, &items).map(|is| is != *negated))
            }
            Expr::AnyOp { left, compare_op, right, .. } => {
                let (left, items) = (self.value(left)?, self.items(right)?);
                items.map_or(Datum::Null, |items| boolean(any(&left, compare_op, &items)))
            }
            Expr::AllOp { left, compare_op, right } => {
                let (left, items) = (self.value(left)?, self.items(right)?);
                items.map_or(Datum::Null, |items| {
                    boolean(items.iter().map(|item| compared(&left, compare_op, item)).fold(Some(true), and))
                })
            }
            Expr::Exists { subquery, negated } => {
                Datum::Bool(self.asking.query(subquery, &self.scope)?.rows.is_empty() == *negated)
            }
            Expr::Subquery(query) => self.column(query)?.into_iter().next().unwrap_or(Datum::Null),
            Expr::Case { operand, conditions, else_result, .. } => {
                let operand = operand.as_ref().map(|operand| self.value(operand)).transpose()?;
                for when in conditions {
                    let is = match &operand {
                        Some(operand) => operand.equals(&self.value(&when.condition)?),
                        None => self.truth(&when.condition)?,
                    };
                    if is == Some(true) {
                        return self.value(&when.result);
                    }
                }
                else_result.as_ref().map_or(Ok(Datum::Null), |result| self.value(result))?
            }
            Expr::Array(array) => {
                Datum::List(array.elem.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?)
            }
            Expr::Tuple(items) => {
                let field = |item| Ok::<_, QueryError>((String::new(), self.value(item)?));
                Datum::Row(items.iter().map(field).collect::<Result<_, _>>()?)
            }
            Expr::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain)?,
            Expr::Function(function) => self.function(function)?,
            Expr::Ceil { expr, .. } => functions::value("ceil", &[self.value(expr)?], self.asking)?,
            Expr::Floor { expr, .. } => functions::value("floor", &[self.value(expr)?], self.asking)?,
            Expr::Position { expr, r#in } => {
                functions::value("strpos", &[self.value(r#in)?, self.value(expr)?], self.asking)?
            }
            Expr::Substring { expr, substring_from, substring_for, .. } => {
                let part = |part: &Option<Box<Expr>>| part.as_ref().map(|part| self.value(part)).transpose();
                let (text, from, length) =
                    (self.value(expr)?.shown(), part(substring_from)?, part(substring_for)?);
                let (from, length) =
                    (from.and_then(|from| from.int()).unwrap_or(1), length.and_then(|n| n.int()));
                text.map_or(Datum::Null, |text| Datum::Text(functions::substring(&text, from, length)))
            }
            Expr::Trim { trim_where, trim_what, expr, .. } => {
                let name = match trim_where {
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                    _ => "btrim",
                };
                let mut args = vec![self.value(expr)?];
                args.extend(trim_what.as_ref().map(|what| self.value(what)).transpose()?);
                functions::value(name, &args, self.asking)?
            }
            other => return Err(unsupported(other)),
        })
    }

    fn named(&self, parts: &[String]) -> Result<Datum, QueryError> {
        if let Some(value) = self.scope.value(parts) {
            return Ok(value);
        }
        if let [only] = parts {
            if functions::is_word(only) {
                return functions::value(only, &[], self.asking);
            }
            if let Some(row) = self.scope.whole(only) {
                return Ok(row);
            }
        }
        let name = parts.join(".");
        Err(QueryError::wrong(format!("column \"{name}\" does not exist in the catalogue"))
            .about(About::Column))
    }

    /// The first column of a query.
    fn column(&self, query: &Query) -> Result<Vec<Datum>, QueryError> {
        let rows = self.asking.query(query, &self.scope)?.rows;
        Ok(rows.into_iter().map(|row| row.into_iter().next().unwrap_or(Datum::Null)).collect())
    }

    /// What `ANY` looks at.
    fn items(&self, expr: &Expr) -> Result<Option<Vec<Datum>>, QueryError> {
        match expr {
            Expr::Subquery(query) => self.column(query).map(Some),
            Expr::Nested(inner) => self.items(inner),
            other => Ok(match self.value(other)? {
                Datum::List(items) => Some(items),
                Datum::Text(text) => match list_of(&text) {
                    Some(Datum::List(items)) => Some(items),
                    _ => None,
                },
                _ => None,
            }),
        }
    }

    fn unary(&self, op: UnaryOperator, expr: &Expr) -> Result<Datum, QueryError> {
        let value = self.value(expr)?;
        Ok(match (op, value) {
            (UnaryOperator::Not, value) => boolean(value.truth().map(|truth| !truth)),
            (UnaryOperator::Minus, Datum::Int(n)) => Datum::Int(n.saturating_neg()),
            (UnaryOperator::Minus, value) => value.number().map_or(Datum::Null, |f| Datum::Float(-f)),
            (_, value) => value,
        })
    }

    fn binary(&self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Datum, QueryError> {
        let a = self.value(left)?;
        match op {
            BinaryOperator::And if a.truth() == Some(false) => return Ok(Datum::Bool(false)),
            BinaryOperator::Or if a.truth() == Some(true) => return Ok(Datum::Bool(true)),
            _ => {}
        }
        let b = self.value(right)?;
        if *op == BinaryOperator::StringConcat {
            self.asking.made(&[a.clone(), b.clone()])?;
        }
        Ok(match op {
            BinaryOperator::And => boolean(and(a.truth(), b.truth())),
            BinaryOperator::Or => boolean(or(a.truth(), b.truth())),
            BinaryOperator::StringConcat => match (a, b) {
                (Datum::List(a), Datum::List(b)) => Datum::List([a, b].concat()),
                (Datum::List(mut a), b) => {
                    a.push(b);
                    Datum::List(a)
                }
                (a, b) => a.shown().zip(b.shown()).map_or(Datum::Null, |(a, b)| Datum::Text(a + &b)),
            },
            BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
            | BinaryOperator::BitwiseAnd
            | BinaryOperator::BitwiseOr => arithmetic(&a, op, &b),
            op => match pattern(op) {
                Some((wanted, insensitive)) => match (a.shown(), b.shown()) {
                    (Some(text), Some(pattern)) => {
                        Datum::Bool(self.asking.matches(&pattern, insensitive, &text)? == wanted)
                    }
                    _ => Datum::Null,
                },
                None if is_comparison(op) => boolean(compared(&a, op, &b)),
                None => {
                    return Err(QueryError::wrong(format!(
                        "not supported in questions to the catalogue: {op}"
                    ))
                    .about(About::Unsupported));
                }
            },
        })
    }

    fn like(
        &self,
        expr: &Expr,
        pattern: &Expr,
        insensitive: bool,
        negated: bool,
    ) -> Result<Datum, QueryError> {
        let (text, pattern) = (self.value(expr)?.shown(), self.value(pattern)?.shown());
        let fold = |text: String| if insensitive { text.to_lowercase() } else { text };
        Ok(match text.zip(pattern) {
            Some((text, pattern)) => Datum::Bool(like(&fold(text), &fold(pattern)) != negated),
            None => Datum::Null,
        })
    }

    fn access(&self, root: &Expr, chain: &[AccessExpr]) -> Result<Datum, QueryError> {
        let mut value = self.value(root)?;
        for access in chain {
            value = match (access, value) {
                (AccessExpr::Dot(Expr::Identifier(field)), Datum::Row(fields)) => {
                    let wanted = name(field);
                    let found = fields.into_iter().find(|(own, _)| *own == wanted);
                    found.map_or(Datum::Null, |(_, value)| value)
                }
                (AccessExpr::Subscript(Subscript::Index { index }), value) => {
                    let at = self.value(index)?.int();
                    let items = match value {
                        Datum::List(items) => items,
                        Datum::Text(text) => match list_of(&text) {
                            Some(Datum::List(items)) => items,
                            _ => Vec::new(),
                        },
                        _ => Vec::new(),
                    };
                    let item = at
                        .and_then(|at| usize::try_from(at - 1).ok())
                        .and_then(|at| items.into_iter().nth(at));
                    item.unwrap_or(Datum::Null)
                }
                _ => Datum::Null,
            };
        }
        Ok(value)
    }

    fn function(&self, function: &Function) -> Result<Datum, QueryError> {
        let name = called(function);
        if let FunctionArguments::Subquery(query) = &function.args {
            return self.column(query).map(Datum::List);
        }
        if function.over.is_some() {
            let number =
                self.numbers.and_then(|(numbers, row)| numbers.get(&function.to_string())?.get(row).copied());
            return Ok(number.map_or(Datum::Null, Datum::Int));
        }
        if folds(&name)
            && let Some((columns, rows)) = self.group
        {
            return self.fold(&name, function, columns, rows);
        }
        let args =
            arguments(function).into_iter().map(|arg| self.value(arg)).collect::<Result<Vec<_>, _>>()?;
        if functions::gives_rows(&name) {
            return Ok(functions::rows(&name, &args).into_iter().next().unwrap_or(Datum::Null));
        }
        let value = functions::value(&name, &args, self.asking)?;
        self.asking.made(std::slice::from_ref(&value))?;
        Ok(value)
    }

    /// An aggregate over the rows of a group.
    fn fold(
        &self,
        name: &str,
        function: &Function,
        columns: &[Column],
        rows: &[Vec<Datum>],
    ) -> Result<Datum, QueryError> {
        let args = arguments(function);
        let outer = self.scope.outer.unwrap_or(&Scope::EMPTY);
        let mut values = Vec::new();
        let mut by = None;
        for row in rows {
            let eval = Eval::new(Scope::within(outer, columns, row), self.asking);
            if let Some(filter) = &function.filter
                && eval.truth(filter)? != Some(true)
            {
                continue;
            }
            let value = args.first().map_or(Ok(Datum::Bool(true)), |arg| eval.value(arg))?;
            self.asking.made(std::slice::from_ref(&value))?;
            values.push(value);
            if let (None, Some(arg)) = (&by, args.get(1)) {
                by = eval.value(arg)?.shown();
            }
        }
        if let FunctionArguments::List(list) = &function.args
            && list.duplicate_treatment == Some(DuplicateTreatment::Distinct)
        {
            let mut seen = BTreeSet::new();
            values.retain(|value| seen.insert(value.key()));
        }
        functions::fits(values.len().saturating_mul(by.as_ref().map_or(0, String::len)))?;
        let there = || values.iter().filter(|value| !value.is_null());
        Ok(match name {
            "count" => Datum::Int(there().count() as i64),
            "array_agg" | "json_agg" if values.is_empty() => Datum::Null,
            "array_agg" | "json_agg" => Datum::List(values),
            "string_agg" if there().next().is_none() => Datum::Null,
            "string_agg" => Datum::Text(
                there().filter_map(Datum::shown).collect::<Vec<_>>().join(&by.unwrap_or_default()),
            ),
            "bool_and" | "every" => boolean(there().map(Datum::truth).reduce(and).flatten()),
            "bool_or" => boolean(there().map(Datum::truth).reduce(or).flatten()),
            "max" | "min" => {
                let better = |best: Datum, next: &Datum| match next.compare(&best) {
                    Some(order) if order.is_ne() && order.is_gt() == (name == "max") => next.clone(),
                    _ => best,
                };
                let mut rest = there();
                let first = rest.next().cloned().unwrap_or(Datum::Null);
                rest.fold(first, better)
            }
            "sum" => {
                there().filter_map(Datum::int).reduce(i64::saturating_add).map_or(Datum::Null, Datum::Int)
            }
            _ => {
                let (n, sum) =
                    there().filter_map(Datum::number).fold((0.0, 0.0), |(n, sum), f| (n + 1.0, sum + f));
                if n == 0.0 { Datum::Null } else { Datum::Float(sum / n) }
            }
        })
    }

    fn cast(&self, value: Datum, word: &str) -> Result<Datum, QueryError> {
        if value.is_null() {
            return Ok(Datum::Null);
        }
        let wrong = |value: &Datum, what: &str| {
            QueryError::wrong(format!(
                "invalid input for type {what}: \"{}\"",
                value.shown().unwrap_or_default()
            ))
        };
        let listing = self.asking.listing;
        Ok(match word.split('(').next().unwrap_or(word).trim() {
            "regclass" => {
                let text = match &value {
                    Datum::Int(0) => return Ok(Datum::Named(0, "-".into())),
                    Datum::Named(oid, _) => oid.to_string(),
                    other => other.shown().unwrap_or_default(),
                };
                let found = listing.relation(&text);
                let (oid, shown) = found.ok_or_else(|| {
                    QueryError::wrong(format!("relation \"{text}\" does not exist")).about(About::Table)
                })?;
                Datum::Named(oid, shown)
            }
            "regtype" => {
                let oid = value.int().or_else(|| types::by_name(&value.shown()?));
                let oid = oid.ok_or_else(|| wrong(&value, "regtype"))?;
                Datum::Named(oid, types::shown(oid))
            }
            "regnamespace" => {
                let text = value.shown().unwrap_or_default();
                let own =
                    listing.schemas.iter().find(|(name, oid)| *name == text || Some(*oid) == value.int());
                own.map_or(Datum::Null, |(name, oid)| Datum::Named(*oid, name.clone()))
            }
            "regrole" => Datum::Named(value.int().unwrap_or(0), self.asking.client.user.clone()),
            "regproc" | "regprocedure" | "regoper" | "regoperator" => match value {
                Datum::Int(0) => Datum::text("-"),
                other => other,
            },
            "int" | "integer" | "int4" | "int2" | "smallint" | "bigint" | "int8" | "oid" => {
                Datum::Int(value.int().ok_or_else(|| wrong(&value, word))?)
            }
            "float8" | "double precision" | "double" | "float" | "real" | "float4" | "numeric"
            | "decimal" => Datum::Float(value.number().ok_or_else(|| wrong(&value, word))?),
            "bool" | "boolean" => Datum::Bool(value.truth().ok_or_else(|| wrong(&value, word))?),
            list if list.ends_with("[]") || list == "int2vector" || list == "oidvector" => match value {
                Datum::Text(text) => list_of(&text).unwrap_or(Datum::Text(text)),
                other => other,
            },
            "text" | "varchar" | "character varying" | "name" | "char" | "bpchar" | "character" => {
                match value {
                    Datum::Bool(b) => Datum::text(if b { "true" } else { "false" }),
                    other => Datum::Text(other.shown().unwrap_or_default()),
                }
            }
            _ => value,
        })
    }
}

fn literal(value: &Value) -> Datum {
    match value {
        Value::Number(digits, _) => digits
            .parse()
            .map(Datum::Int)
            .or_else(|_| digits.parse().map(Datum::Float))
            .unwrap_or(Datum::Null),
        Value::SingleQuotedString(text)
        | Value::EscapedStringLiteral(text)
        | Value::UnicodeStringLiteral(text)
        | Value::NationalStringLiteral(text) => Datum::text(text),
        Value::DollarQuotedString(text) => Datum::text(&text.value),
        Value::Boolean(b) => Datum::Bool(*b),
        // Placeholders that have no value yet.
        _ => Datum::Null,
    }
}

fn same(a: &Datum, b: &Datum) -> bool {
    a.is_null() && b.is_null() || a.equals(b) == Some(true)
}

fn and(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn or(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

fn is_comparison(op: &BinaryOperator) -> bool {
    use BinaryOperator as B;
    matches!(op, B::Eq | B::NotEq | B::Lt | B::LtEq | B::Gt | B::GtEq | B::PGCustomBinaryOperator(_))
}

fn compared(a: &Datum, op: &BinaryOperator, b: &Datum) -> Option<bool> {
    use BinaryOperator as B;
    let order = a.compare(b)?;
    let sign = match op {
        B::PGCustomBinaryOperator(parts) => parts.last().map_or("", String::as_str),
        B::Eq => "=",
        B::NotEq => "<>",
        B::Lt => "<",
        B::LtEq => "<=",
        B::Gt => ">",
        B::GtEq => ">=",
        _ => return None,
    };
    Some(match sign {
        "=" => order.is_eq(),
        "<>" | "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        _ => return None,
    })
}

fn any(value: &Datum, op: &BinaryOperator, items: &[Datum]) -> Option<bool> {
    items.iter().map(|item| compared(value, op, item)).fold(Some(false), or)
}

/// Whether an operator matches a pattern: whether it should, and whether case counts for nothing.
fn pattern(op: &BinaryOperator) -> Option<(bool, bool)> {
    use BinaryOperator as B;
    let sign = match op {
        B::PGRegexMatch => "~",
        B::PGRegexIMatch => "~*",
        B::PGRegexNotMatch => "!~",
        B::PGRegexNotIMatch => "!~*",
        B::PGCustomBinaryOperator(parts) => parts.last()?,
        _ => return None,
    };
    Some(match sign {
        "~" => (true, false),
        "~*" => (true, true),
        "!~" => (false, false),
        "!~*" => (false, true),
        _ => return None,
    })
}

fn arithmetic(a: &Datum, op: &BinaryOperator, b: &Datum) -> Datum {
    use BinaryOperator as B;
    let whole = !matches!(a, Datum::Float(_)) && !matches!(b, Datum::Float(_));
    if let (true, Some(a), Some(b)) = (whole, a.int(), b.int()) {
        let found = match op {
            B::Plus => a.checked_add(b),
            B::Minus => a.checked_sub(b),
            B::Multiply => a.checked_mul(b),
            B::Divide => a.checked_div(b),
            B::Modulo => a.checked_rem(b),
            B::BitwiseAnd => Some(a & b),
            _ => Some(a | b),
        };
        return found.map_or(Datum::Null, Datum::Int);
    }
    match (a.number(), b.number()) {
        (Some(a), Some(b)) => Datum::Float(match op {
            B::Plus => a + b,
            B::Minus => a - b,
            B::Multiply => a * b,
            B::Divide => a / b,
            _ => a % b,
        }),
        _ => Datum::Null,
    }
}

/// A pattern of Postgres as one of ours.
pub(crate) fn regex(pattern: &str, insensitive: bool) -> Result<Regex, QueryError> {
    let built =
        RegexBuilder::new(pattern).case_insensitive(insensitive).size_limit(PATTERN_BYTES_MAX).build();
    built.map_err(|error| QueryError::wrong(format!("not a pattern: {error}")))
}

/// `%` is any text, `_` any character, a backslash takes what follows as it is.
fn like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    // Where to go back to: behind the last `%`, and one character further in the text.
    let (mut t, mut p, mut back) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('%') => {
                back = Some((p + 1, t));
                p += 1;
            }
            Some('_') => (t, p) = (t + 1, p + 1),
            Some('\\') if pattern.get(p + 1) == Some(&text[t]) => (t, p) = (t + 1, p + 2),
            Some(c) if *c == text[t] && *c != '\\' => (t, p) = (t + 1, p + 1),
            _ => {
                let Some((behind, from)) = back else { return false };
                (p, t, back) = (behind, from + 1, Some((behind, from + 1)));
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_like() {
        for (text, pattern, expected) in [
            ("visitors", "visitors", true),
            ("visitors", "v%s", true),
            ("visitors", "v%x", false),
            ("visitors", "%", true),
            ("", "%", true),
            ("", "_", false),
            ("a_b", "a\\_b", true),
            ("axb", "a\\_b", false),
            ("aab", "%ab", true),
            ("abab", "%ab", true),
        ] {
            assert_eq!(like(text, pattern), expected, "{text} {pattern}");
        }
    }
}

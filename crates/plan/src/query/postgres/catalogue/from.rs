//! What a query is over: tables of the catalogue, other queries, functions, joined.

use super::datum::{Datum, kind};
use super::eval::Eval;
use super::functions;
use super::kinds;
use super::scope::{Column, Rows, Scope, find, name, names};
use super::select::{Asking, unsupported};
use super::tables;
use crate::query::{About, QueryError};
use datafusion_sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, JoinConstraint, JoinOperator, ObjectName, Select,
    TableAlias, TableFactor, TableWithJoins,
};
use std::collections::BTreeMap;

/// Rows that a join may make.
const ROWS_MAX: usize = 200_000;

/// How rows without a partner are treated.
#[derive(Clone, Copy, PartialEq)]
enum Kept {
    Neither,
    Left,
    Right,
}

impl Asking<'_> {
    /// The rows that a query is over, before they are filtered.
    pub(crate) fn from(&self, select: &Select, outer: &Scope<'_>) -> Result<Rows, QueryError> {
        let mut conditions = Vec::new();
        if let Some(filter) = &select.selection {
            conjuncts(filter, &mut conditions);
        }
        // What equates columns of two tables is needed to join them; the filter is applied again later.
        conditions.retain(|condition| matches!(condition, Expr::BinaryOp { op: BinaryOperator::Eq, .. }));
        let mut all = Rows::one();
        for table in &select.from {
            all = self.cross(all, table, &conditions, outer)?;
        }
        Ok(all)
    }

    fn cross(
        &self,
        left: Rows,
        table: &TableWithJoins,
        conditions: &[&Expr],
        outer: &Scope<'_>,
    ) -> Result<Rows, QueryError> {
        let mut all = match lateral(&table.relation) {
            true => self.join_lateral(left, &table.relation, &[], Kept::Neither, outer)?,
            false => {
                let right = self.factor(&table.relation, outer)?;
                self.join(left, right, conditions, false, Kept::Neither, outer)?
            }
        };
        for join in &table.joins {
            let (kept, constraint) = match &join.join_operator {
                JoinOperator::Join(on) | JoinOperator::Inner(on) => (Kept::Neither, on),
                JoinOperator::CrossJoin(on) => (Kept::Neither, on),
                JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (Kept::Left, on),
                JoinOperator::Right(on) | JoinOperator::RightOuter(on) => (Kept::Right, on),
                other => return Err(unsupported(&format!("{other:?}").chars().take(20).collect::<String>())),
            };
            let mut on = Vec::new();
            let mut using = Vec::new();
            match constraint {
                JoinConstraint::On(condition) => conjuncts(condition, &mut on),
                JoinConstraint::Using(columns) => using.extend(columns.iter().filter_map(last)),
                JoinConstraint::None => {}
                JoinConstraint::Natural => return Err(unsupported("NATURAL JOIN")),
            }
            all = if lateral(&join.relation) && kept != Kept::Right && using.is_empty() {
                self.join_lateral(all, &join.relation, &on, kept, outer)?
            } else {
                let right = self.factor(&join.relation, outer)?;
                let pairs = using.iter().filter_map(|column| {
                    let of = |rows: &Rows| find(&rows.columns, std::slice::from_ref(column));
                    Some((of(&all)?, of(&right)?))
                });
                let pairs: Vec<(usize, usize)> = pairs.collect();
                self.join_by(all, right, &on, &pairs, true, kept, outer)?
            };
        }
        Ok(all)
    }

    fn factor(&self, factor: &TableFactor, outer: &Scope<'_>) -> Result<Rows, QueryError> {
        match factor {
            TableFactor::Table { name: table, alias, args: None, .. } => {
                let parts: Vec<String> =
                    table.0.iter().filter_map(|part| part.as_ident()).map(name).collect();
                let called = parts.last().cloned().unwrap_or_default();
                if let ([only], Some(rows)) = (parts.as_slice(), self.with.get(&called)) {
                    return Ok(aliased(rows.clone().called(only), alias.as_ref()));
                }
                let rows = self.table(&parts)?.called(&called);
                Ok(aliased(rows, alias.as_ref()))
            }
            TableFactor::Table { name: function, alias, args: Some(args), with_ordinality, .. } => {
                self.given(function, &args.args, alias.as_ref(), *with_ordinality, outer)
            }
            TableFactor::Function { name: function, args, alias, with_ordinality, .. } => {
                self.given(function, args, alias.as_ref(), *with_ordinality, outer)
            }
            TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } => {
                let eval = Eval::new(*outer, self);
                let args =
                    array_exprs.iter().map(|array| eval.value(array)).collect::<Result<Vec<_>, _>>()?;
                let kind = array_exprs.first().map_or(kind::TEXT, |array| kinds::of(array, outer, self));
                let rows = functions::rows("unnest", &args);
                Ok(of_items(
                    "unnest",
                    kind::element(kind).unwrap_or(kind::TEXT),
                    rows,
                    alias.as_ref(),
                    *with_ordinality,
                ))
            }
            TableFactor::Derived { subquery, alias, .. } => {
                let rows = self.query(subquery, outer)?;
                Ok(aliased(rows.called(""), alias.as_ref()))
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let rows = self.cross(Rows::one(), table_with_joins, &[], outer)?;
                Ok(match alias {
                    Some(_) => aliased(rows, alias.as_ref()),
                    None => rows,
                })
            }
            other => Err(unsupported(&other.to_string().chars().take(40).collect::<String>())),
        }
    }

    /// A table of the catalogue.
    fn table(&self, parts: &[String]) -> Result<Rows, QueryError> {
        let Some((table, columns)) = tables::known(parts) else {
            let text = parts.join(".");
            let error =
                QueryError::wrong(format!("there is no table `{text}` in the catalogue")).about(About::Table);
            return Err(error.hint("the catalogue and what is measured are asked one by one"));
        };
        let columns: Vec<Column> = columns.split(' ').map(column_of).collect();
        if self.dry {
            return Ok(Rows { columns, rows: Vec::new() });
        }
        let rows = tables::rows(table, self.listing, self.client).into_iter().map(|row| {
            let value = |column: &Column| {
                row.iter()
                    .find(|(name, _)| *name == column.name)
                    .map_or(Datum::Null, |(_, value)| value.clone())
            };
            columns.iter().map(value).collect()
        });
        let rows = rows.collect();
        Ok(Rows { columns, rows })
    }

    /// The rows that a function gives; one that gives a value gives one row.
    fn given(
        &self,
        function: &ObjectName,
        args: &[FunctionArg],
        alias: Option<&TableAlias>,
        ordinality: bool,
        outer: &Scope<'_>,
    ) -> Result<Rows, QueryError> {
        let called = last(function).unwrap_or_default();
        let eval = Eval::new(*outer, self);
        let exprs: Vec<&Expr> = args
            .iter()
            .filter_map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            })
            .collect();
        let values = exprs.iter().map(|expr| eval.value(expr)).collect::<Result<Vec<_>, _>>()?;
        let first = exprs.first().map_or(kind::TEXT, |expr| kinds::of(expr, outer, self));
        let own = match called.as_str() {
            "generate_series" | "generate_subscripts" => kind::INT4,
            "unnest" => kind::element(first).unwrap_or(kind::TEXT),
            "string_to_array" => kind::TEXTS,
            _ => kind::TEXT,
        };
        let rows = match functions::gives_rows(&called) {
            true => functions::rows(&called, &values),
            false => vec![functions::value(&called, &values, self)?],
        };
        Ok(of_items(&called, own, rows, alias, ordinality))
    }

    fn join_lateral(
        &self,
        left: Rows,
        factor: &TableFactor,
        on: &[&Expr],
        kept: Kept,
        outer: &Scope<'_>,
    ) -> Result<Rows, QueryError> {
        let nothing = vec![Datum::Null; left.columns.len()];
        let scope = Scope::within(outer, &left.columns, &nothing);
        let mut columns = left.columns.clone();
        let right_columns = self.factor(factor, &scope)?.columns;
        let width = right_columns.len();
        columns.extend(right_columns);
        let mut rows = Vec::new();
        for row in &left.rows {
            let right = self.factor(factor, &Scope::within(outer, &left.columns, row))?;
            let before = rows.len();
            for own in right.rows {
                let joined = [row.clone(), own].concat();
                self.made(&joined)?;
                if self.holds(on, &columns, &joined, outer)? {
                    rows.push(joined);
                }
            }
            if kept == Kept::Left && rows.len() == before {
                rows.push([row.clone(), vec![Datum::Null; width]].concat());
            }
            limited(&rows)?;
        }
        Ok(Rows { columns, rows })
    }

    fn holds(
        &self,
        conditions: &[&Expr],
        columns: &[Column],
        row: &[Datum],
        outer: &Scope<'_>,
    ) -> Result<bool, QueryError> {
        let eval = Eval::new(Scope::within(outer, columns, row), self);
        for condition in conditions {
            if eval.truth(condition)? != Some(true) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn join(
        &self,
        left: Rows,
        right: Rows,
        on: &[&Expr],
        applied: bool,
        kept: Kept,
        outer: &Scope<'_>,
    ) -> Result<Rows, QueryError> {
        self.join_by(left, right, on, &[], applied, kept, outer)
    }

    /// Joins by columns that must be equal, where there are any, and by all conditions, if they are to be applied here.
    #[allow(clippy::too_many_arguments)]
    fn join_by(
        &self,
        left: Rows,
        right: Rows,
        on: &[&Expr],
        using: &[(usize, usize)],
        applied: bool,
        kept: Kept,
        outer: &Scope<'_>,
    ) -> Result<Rows, QueryError> {
        let mut pairs = using.to_vec();
        pairs.extend(on.iter().filter_map(|condition| equated(condition, &left.columns, &right.columns)));
        let columns = [left.columns.clone(), right.columns.clone()].concat();
        let key = |row: &[Datum], of: &dyn Fn(&(usize, usize)) -> usize| {
            pairs.iter().map(|pair| row[of(pair)].key()).collect::<Option<Vec<_>>>()
        };
        let mut by_key: BTreeMap<Vec<String>, Vec<usize>> = BTreeMap::new();
        for (at, row) in right.rows.iter().enumerate() {
            // What is null equals nothing.
            if let Some(key) = key(row, &|pair| pair.1) {
                by_key.entry(key).or_default().push(at);
            }
        }
        let on = if applied { on } else { &[] };
        let mut rows = Vec::new();
        let mut met = vec![false; right.rows.len()];
        for row in &left.rows {
            let partners = key(row, &|pair| pair.0).and_then(|key| by_key.get(&key));
            let before = rows.len();
            for &at in partners.into_iter().flatten() {
                let joined = [row.clone(), right.rows[at].clone()].concat();
                self.made(&joined)?;
                if self.holds(on, &columns, &joined, outer)? {
                    met[at] = true;
                    rows.push(joined);
                }
            }
            if kept == Kept::Left && rows.len() == before {
                rows.push([row.clone(), vec![Datum::Null; right.columns.len()]].concat());
            }
            limited(&rows)?;
        }
        if kept == Kept::Right {
            let alone = right.rows.iter().zip(met).filter(|(_, met)| !met);
            rows.extend(alone.map(|(row, _)| [vec![Datum::Null; left.columns.len()], row.clone()].concat()));
        }
        Ok(Rows { columns, rows })
    }
}

fn limited(rows: &[Vec<Datum>]) -> Result<(), QueryError> {
    if rows.len() <= ROWS_MAX {
        return Ok(());
    }
    Err(QueryError::limit("the question to the catalogue joins too much", "say which columns are equal"))
}

/// Whether a factor is over the rows before it.
fn lateral(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::Table { args, .. } => args.is_some(),
        TableFactor::Function { .. } | TableFactor::UNNEST { .. } => true,
        TableFactor::Derived { lateral, .. } => *lateral,
        _ => false,
    }
}

/// The conditions that must all hold.
fn conjuncts<'q>(expr: &'q Expr, out: &mut Vec<&'q Expr>) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            conjuncts(left, out);
            conjuncts(right, out);
        }
        Expr::Nested(inner) => conjuncts(inner, out),
        other => out.push(other),
    }
}

/// The columns on both sides that a condition equates.
fn equated(condition: &Expr, left: &[Column], right: &[Column]) -> Option<(usize, usize)> {
    let Expr::BinaryOp { left: a, op: BinaryOperator::Eq, right: b } = condition else { return None };
    let (a, b) = (names(a)?, names(b)?);
    // A name without its table must not mean both sides.
    let only = |own: &[Column], other: &[Column], parts: &[String]| match find(other, parts) {
        None => find(own, parts),
        Some(_) => None,
    };
    match (only(left, right, &a), only(right, left, &b)) {
        (Some(a), Some(b)) => Some((a, b)),
        _ => Some((only(left, right, &b)?, only(right, left, &a)?)),
    }
}

fn last(object: &ObjectName) -> Option<String> {
    object.0.last().and_then(|part| part.as_ident()).map(name)
}

/// A column as the tables write it: `.name:type`.
fn column_of(text: &str) -> Column {
    let (own, kind) = text.split_once(':').unwrap_or((text, "text"));
    let hidden = own.starts_with('.');
    Column {
        table: String::new(),
        name: own.trim_start_matches('.').into(),
        kind: tables::kind_of(kind),
        hidden,
    }
}

fn aliased(mut rows: Rows, alias: Option<&TableAlias>) -> Rows {
    let Some(alias) = alias else { return rows };
    for (column, own) in rows.columns.iter_mut().filter(|column| !column.hidden).zip(&alias.columns) {
        column.name = name(&own.name);
    }
    rows.called(&name(&alias.name))
}

/// The rows of a function as a table: a column of its name, or the fields of its rows.
fn of_items(called: &str, own: u32, items: Vec<Datum>, alias: Option<&TableAlias>, ordinality: bool) -> Rows {
    let table = alias.map_or(called.to_string(), |alias| name(&alias.name));
    let column =
        |name: &str, kind: u32| Column { table: table.clone(), name: name.into(), kind, hidden: false };
    let mut columns = match items.first() {
        Some(Datum::Row(fields)) => fields.iter().map(|(name, _)| column(name, kind::TEXT)).collect(),
        _ => match called {
            "_pg_expandarray" => vec![column("x", kind::TEXT), column("n", kind::INT4)],
            "pg_get_keywords" => vec![column("word", kind::TEXT), column("catcode", kind::TEXT)],
            // As Postgres: the alias of a function is the name of its column too.
            _ => vec![column(&table, own)],
        },
    };
    if ordinality {
        columns.push(column("ordinality", kind::INT8));
    }
    for (column, own) in columns.iter_mut().zip(alias.map_or(&[][..], |alias| &alias.columns)) {
        column.name = name(&own.name);
    }
    let row = |(at, item): (i64, Datum)| {
        let mut row = match item {
            Datum::Row(fields) => fields.into_iter().map(|(_, value)| value).collect(),
            item => vec![item],
        };
        if ordinality {
            row.push(Datum::Int(at));
        }
        row
    };
    let rows = (1..).zip(items).map(row).collect();
    Rows { columns, rows }
}

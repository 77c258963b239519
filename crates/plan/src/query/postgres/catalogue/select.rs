//! Queries over the catalogue: every clause that clients use, over tables of some hundred rows.

use super::datum::Datum;
use super::eval::{Eval, arguments, regex};
use super::functions::{self, called, folds, gives_rows};
use super::kinds;
use super::listing::Listing;
use super::scope::{Column, Rows, Scope, name, names};
use crate::query::postgres::Client;
use crate::query::{About, QueryError};
use datafusion_sql::sqlparser::ast::{
    Distinct, Expr, Function, GroupByExpr, LimitClause, OrderByExpr, OrderByKind, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, Visit, Visitor, WindowType,
};
use regex::Regex;
use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::rc::Rc;

/// Values that a question may compute: some seconds of work.
const STEPS_MAX: usize = 5_000_000;

/// Bytes of values that a question may make, of all that it makes.
const BYTES_MAX: usize = 256 << 20;

/// A question, with what it is about.
pub(crate) struct Asking<'a> {
    pub listing: &'a Listing,
    pub client: &'a Client,
    /// Queries that were given names.
    pub with: Rc<BTreeMap<String, Rows>>,
    /// Whether columns alone are wanted.
    pub dry: bool,
    steps: Rc<Cell<usize>>,
    bytes: Rc<Cell<usize>>,
    patterns: Rc<RefCell<BTreeMap<(String, bool), Regex>>>,
}

/// A row of an answer with what it is ordered by.
type Keyed = (Vec<Datum>, Vec<Datum>);

pub(crate) fn unsupported(what: &str) -> QueryError {
    QueryError::wrong(format!("not supported in questions to the catalogue: {what}"))
        .about(About::Unsupported)
}

/// A row, and the rows of its group.
type Unit<'a> = (&'a [Datum], Option<&'a [Vec<Datum>]>);

impl<'a> Asking<'a> {
    pub fn new(listing: &'a Listing, client: &'a Client, dry: bool) -> Asking<'a> {
        let (steps, bytes, patterns) = Default::default();
        Asking { listing, client, with: Rc::default(), dry, steps, bytes, patterns }
    }

    fn again(&self, with: Rc<BTreeMap<String, Rows>>, dry: bool) -> Asking<'a> {
        let (steps, bytes, patterns) =
            (Rc::clone(&self.steps), Rc::clone(&self.bytes), Rc::clone(&self.patterns));
        Asking { listing: self.listing, client: self.client, with, dry, steps, bytes, patterns }
    }

    /// Counts what is computed.
    pub fn step(&self) -> Result<(), QueryError> {
        let steps = self.steps.get() + 1;
        self.steps.set(steps);
        if steps < STEPS_MAX {
            return Ok(());
        }
        Err(QueryError::limit(
            "the question to the catalogue takes too much work",
            "ask for fewer tables at once",
        ))
    }

    /// Counts the bytes of what is made.
    pub fn made(&self, row: &[Datum]) -> Result<(), QueryError> {
        let bytes = self.bytes.get() + row.iter().map(Datum::bytes).sum::<usize>();
        self.bytes.set(bytes);
        if bytes < BYTES_MAX {
            return Ok(());
        }
        let error =
            QueryError::limit("the question to the catalogue takes too much memory", "ask for less at once");
        Err(error.about(About::Memory))
    }

    pub fn matches(&self, pattern: &str, insensitive: bool, text: &str) -> Result<bool, QueryError> {
        let mut known = self.patterns.borrow_mut();
        let key = (pattern.to_string(), insensitive);
        if !known.contains_key(&key) {
            known.insert(key.clone(), regex(pattern, insensitive)?);
        }
        Ok(known.get(&key).is_some_and(|regex| regex.is_match(text)))
    }

    /// The types of the columns of a query.
    pub fn kinds(&self, query: &Query, scope: &Scope<'_>) -> Vec<u32> {
        let dry = self.again(Rc::clone(&self.with), true);
        let rows = dry.query(query, scope).unwrap_or_default();
        rows.columns.iter().map(|column| column.kind).collect()
    }

    /// Answers a query within the rows around it.
    pub fn query(&self, query: &Query, outer: &Scope<'_>) -> Result<Rows, QueryError> {
        if let Some(with) = &query.with {
            if with.recursive {
                return Err(unsupported("WITH RECURSIVE"));
            }
            let mut known = (*self.with).clone();
            for cte in &with.cte_tables {
                let asking = self.again(Rc::new(known.clone()), self.dry);
                let mut rows = asking.query(&cte.query, outer)?;
                for (column, alias) in rows.columns.iter_mut().zip(&cte.alias.columns) {
                    column.name = name(&alias.name);
                }
                let called = name(&cte.alias.name);
                known.insert(called.clone(), rows.called(&called));
            }
            let asking = self.again(Rc::new(known), self.dry);
            return asking.body(query, outer);
        }
        self.body(query, outer)
    }

    fn body(&self, query: &Query, outer: &Scope<'_>) -> Result<Rows, QueryError> {
        let order: &[OrderByExpr] = match query.order_by.as_ref().map(|order| &order.kind) {
            Some(OrderByKind::Expressions(order)) => order,
            _ => &[],
        };
        let (columns, mut rows) = self.set(&query.body, order, outer)?;
        if !order.is_empty() {
            rows.sort_by(|(_, a), (_, b)| ordered(a, b, order));
        }
        let mut rows: Vec<Vec<Datum>> = rows.into_iter().map(|(row, _)| row).collect();
        let eval = Eval::new(*outer, self);
        let number =
            |expr: &Expr| Ok::<_, QueryError>(eval.value(expr)?.int().and_then(|n| usize::try_from(n).ok()));
        if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &query.limit_clause {
            if let Some(skipped) = offset.as_ref().map(|offset| number(&offset.value)).transpose()?.flatten()
            {
                rows.drain(..skipped.min(rows.len()));
            }
            if let Some(most) = limit.as_ref().map(number).transpose()?.flatten() {
                rows.truncate(most);
            }
        }
        if let Some(most) =
            query.fetch.as_ref().and_then(|fetch| fetch.quantity.as_ref()).map(number).transpose()?.flatten()
        {
            rows.truncate(most);
        }
        Ok(Rows { columns, rows })
    }

    fn set(
        &self,
        body: &SetExpr,
        order: &[OrderByExpr],
        outer: &Scope<'_>,
    ) -> Result<(Vec<Column>, Vec<Keyed>), QueryError> {
        match body {
            SetExpr::Select(select) => self.select(select, order, outer),
            SetExpr::Query(query) => {
                let rows = self.query(query, outer)?;
                self.keyed(rows, order)
            }
            SetExpr::Values(values) => {
                let eval = Eval::new(*outer, self);
                let row = |row: &Vec<Expr>| {
                    row.iter().map(|value| eval.value(value)).collect::<Result<Vec<_>, _>>()
                };
                let rows = values.rows.iter().map(|one| row(&one.content)).collect::<Result<Vec<_>, _>>()?;
                let first = values.rows.first().map_or(&[][..], |row| &row.content);
                let column = |(at, value): (usize, &Expr)| Column {
                    table: String::new(),
                    name: format!("column{}", at + 1),
                    kind: kinds::of(value, outer, self),
                    hidden: false,
                };
                let columns = first.iter().enumerate().map(column).collect();
                self.keyed(Rows { columns, rows }, order)
            }
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                let (columns, left) = self.set(left, &[], outer)?;
                let (_, right) = self.set(right, &[], outer)?;
                let mut rows: Vec<Vec<Datum>> = left.into_iter().map(|(row, _)| row).collect();
                let right: Vec<Vec<Datum>> = right.into_iter().map(|(row, _)| row).collect();
                let all = matches!(set_quantifier, SetQuantifier::All);
                let has = |rows: &[Vec<Datum>]| rows.iter().map(|row| row_key(row)).collect::<BTreeSet<_>>();
                match op {
                    SetOperator::Union => rows.extend(right),
                    SetOperator::Except => {
                        let gone = has(&right);
                        rows.retain(|row| !gone.contains(&row_key(row)));
                    }
                    SetOperator::Intersect => {
                        let kept = has(&right);
                        rows.retain(|row| kept.contains(&row_key(row)));
                    }
                    other => return Err(unsupported(&other.to_string())),
                }
                if !all {
                    distinct(&mut rows);
                }
                self.keyed(Rows { columns, rows }, order)
            }
            other => Err(unsupported(&other.to_string().chars().take(40).collect::<String>())),
        }
    }

    /// Rows with what they are ordered by, where that is one of their own columns.
    fn keyed(&self, rows: Rows, order: &[OrderByExpr]) -> Result<(Vec<Column>, Vec<Keyed>), QueryError> {
        let Rows { columns, rows } = rows;
        let mut out = Vec::with_capacity(rows.len());
        for row in rows {
            let scope = Scope { outer: None, columns: &columns, row: &row };
            let eval = Eval::new(scope, self);
            let key = |by: &OrderByExpr| match ordinal(&by.expr, columns.len()) {
                Some(at) => Ok(row[at].clone()),
                None => eval.value(&by.expr),
            };
            let keys = order.iter().map(key).collect::<Result<Vec<_>, QueryError>>()?;
            out.push((row, keys));
        }
        Ok((columns, out))
    }

    fn select(
        &self,
        select: &Select,
        order: &[OrderByExpr],
        outer: &Scope<'_>,
    ) -> Result<(Vec<Column>, Vec<Keyed>), QueryError> {
        let mut input = self.from(select, outer)?;
        let items = items(&select.projection, &input.columns)?;
        let columns = self.columns(&items, &input.columns, outer);
        if self.dry {
            return Ok((columns, Vec::new()));
        }
        if let Some(filter) = &select.selection {
            let mut kept = Vec::new();
            for row in input.rows {
                let eval = Eval::new(Scope::within(outer, &input.columns, &row), self);
                if eval.truth(filter)? == Some(true) {
                    kept.push(row);
                }
            }
            input.rows = kept;
        }
        let groups = self.groups(select, &items, &input, outer)?;
        let numbers = self.numbers(&items, &input, outer)?;
        let nothing = vec![Datum::Null; input.columns.len()];
        let mut out = Vec::new();
        let units: Vec<Unit<'_>> = match &groups {
            Some(groups) => groups
                .iter()
                .map(|rows| (rows.first().unwrap_or(&nothing).as_slice(), Some(rows.as_slice())))
                .collect(),
            None => input.rows.iter().map(|row| (row.as_slice(), None)).collect(),
        };
        for (at, (row, group)) in units.into_iter().enumerate() {
            let scope = Scope::within(outer, &input.columns, row);
            let group = group.map(|rows| (input.columns.as_slice(), rows));
            let eval = Eval { scope, asking: self, group, numbers: Some((&numbers, at)) };
            if let Some(having) = &select.having
                && eval.truth(having)? != Some(true)
            {
                continue;
            }
            for values in expanded(&eval, &items)? {
                self.made(&values)?;
                let keys = order
                    .iter()
                    .map(|by| self.key(by, &eval, &columns, &values))
                    .collect::<Result<_, _>>()?;
                out.push((values, keys));
            }
        }
        self.made_distinct(select, &mut out, outer, &columns)?;
        Ok((columns, out))
    }

    fn made_distinct(
        &self,
        select: &Select,
        out: &mut Vec<Keyed>,
        _: &Scope<'_>,
        _: &[Column],
    ) -> Result<(), QueryError> {
        match &select.distinct {
            None | Some(Distinct::All) => Ok(()),
            Some(Distinct::Distinct) => {
                let mut seen = BTreeSet::new();
                out.retain(|(row, _)| seen.insert(row_key(row)));
                Ok(())
            }
            Some(Distinct::On(_)) => Err(unsupported("DISTINCT ON")),
        }
    }

    /// What a row is ordered by: the number of a column, its name, or an expression of what it was made of.
    fn key(
        &self,
        by: &OrderByExpr,
        eval: &Eval<'_>,
        columns: &[Column],
        values: &[Datum],
    ) -> Result<Datum, QueryError> {
        if let Some(at) = ordinal(&by.expr, columns.len()) {
            return Ok(values[at].clone());
        }
        if let Some([only]) = names(&by.expr).as_deref()
            && let Some(at) = columns.iter().position(|column| column.name == *only)
        {
            return Ok(values[at].clone());
        }
        eval.value(&by.expr)
    }

    /// The columns of an answer.
    fn columns(&self, items: &[Item<'_>], input: &[Column], outer: &Scope<'_>) -> Vec<Column> {
        let scope = Scope::within(outer, input, &[]);
        let column = |item: &Item<'_>| match item {
            Item::Column(at) => Column { table: String::new(), ..input[*at].clone() },
            Item::Expr(expr, alias) => Column {
                table: String::new(),
                name: alias.clone().unwrap_or_else(|| self.shown(expr, &scope)),
                kind: kinds::of(expr, &scope, self),
                hidden: false,
            },
        };
        items.iter().map(column).collect()
    }

    /// What an expression without a name is called.
    fn shown(&self, expr: &Expr, scope: &Scope<'_>) -> String {
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                names(expr).and_then(|mut parts| parts.pop()).unwrap_or_default()
            }
            Expr::Function(function) => called(function),
            Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => self.shown(inner, scope),
            Expr::Cast { expr, data_type, .. } => match self.shown(expr, scope).as_str() {
                "?column?" => kinds::word(data_type),
                name => name.to_string(),
            },
            Expr::CompoundFieldAccess { root, access_chain } => match access_chain.last() {
                Some(datafusion_sql::sqlparser::ast::AccessExpr::Dot(Expr::Identifier(field))) => name(field),
                _ => self.shown(root, scope),
            },
            Expr::Case { .. } => "case".into(),
            Expr::Exists { .. } => "exists".into(),
            Expr::Array(_) => "array".into(),
            Expr::Trim { .. } => "btrim".into(),
            Expr::Subquery(query) => {
                let dry = self.again(Rc::clone(&self.with), true);
                let rows = dry.query(query, scope).unwrap_or_default();
                rows.columns.first().map_or("?column?".into(), |column| column.name.clone())
            }
            _ => "?column?".into(),
        }
    }

    /// The groups of rows; `None` where rows are not grouped.
    fn groups(
        &self,
        select: &Select,
        items: &[Item<'_>],
        input: &Rows,
        outer: &Scope<'_>,
    ) -> Result<Option<Vec<Vec<Vec<Datum>>>>, QueryError> {
        let by = match &select.group_by {
            GroupByExpr::Expressions(by, _) => by.as_slice(),
            GroupByExpr::All(_) => return Err(unsupported("GROUP BY ALL")),
        };
        let folded = items.iter().any(|item| matches!(item, Item::Expr(expr, _) if has_fold(expr)));
        if by.is_empty() && !folded && !select.having.as_ref().is_some_and(has_fold) {
            return Ok(None);
        }
        if by.is_empty() {
            return Ok(Some(vec![input.rows.clone()]));
        }
        let mut found: BTreeMap<Vec<Option<String>>, Vec<Vec<Datum>>> = BTreeMap::new();
        for row in &input.rows {
            let eval = Eval::new(Scope::within(outer, &input.columns, row), self);
            let key = |by: &Expr| {
                let own = match ordinal(by, items.len()).map(|at| &items[at]) {
                    Some(Item::Expr(expr, _)) => eval.value(expr)?,
                    Some(Item::Column(at)) => row[*at].clone(),
                    None => match aliased(by, items)
                        .filter(|_| eval.scope.kind(&names(by).unwrap_or_default()).is_none())
                    {
                        Some(expr) => eval.value(expr)?,
                        None => eval.value(by)?,
                    },
                };
                Ok(own.key())
            };
            let key = by.iter().map(key).collect::<Result<Vec<_>, QueryError>>()?;
            found.entry(key).or_default().push(row.clone());
        }
        Ok(Some(found.into_values().collect()))
    }

    /// `row_number()` of every window, by its text.
    fn numbers(
        &self,
        items: &[Item<'_>],
        input: &Rows,
        outer: &Scope<'_>,
    ) -> Result<BTreeMap<String, Vec<i64>>, QueryError> {
        struct Windows(Vec<Function>);
        impl Visitor for Windows {
            type Break = ();
            fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
                if let Expr::Function(function) = expr
                    && function.over.is_some()
                {
                    self.0.push(function.clone());
                }
                ControlFlow::Continue(())
            }
        }
        let mut windows = Windows(Vec::new());
        for item in items {
            if let Item::Expr(expr, _) = item {
                let _ = Visit::visit(*expr, &mut windows);
            }
        }
        let mut out = BTreeMap::new();
        for function in windows.0 {
            let Some(WindowType::WindowSpec(spec)) = &function.over else {
                return Err(unsupported("a named window"));
            };
            if called(&function) != "row_number" {
                return Err(unsupported("a window function other than row_number"));
            }
            let mut keyed = Vec::new();
            for (at, row) in input.rows.iter().enumerate() {
                let eval = Eval::new(Scope::within(outer, &input.columns, row), self);
                let of = spec
                    .partition_by
                    .iter()
                    .map(|by| Ok(eval.value(by)?.key()))
                    .collect::<Result<Vec<_>, QueryError>>()?;
                let by =
                    spec.order_by.iter().map(|by| eval.value(&by.expr)).collect::<Result<Vec<_>, _>>()?;
                keyed.push((of, by, at));
            }
            keyed.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| ordered(&a.1, &b.1, &spec.order_by)));
            let mut numbers = vec![0; input.rows.len()];
            let mut last = None;
            let mut number = 0;
            for (of, _, at) in &keyed {
                number = if last == Some(of) { number + 1 } else { 1 };
                last = Some(of);
                numbers[*at] = number;
            }
            out.insert(function.to_string(), numbers);
        }
        Ok(out)
    }
}

/// A column of an answer, before it is computed.
pub(crate) enum Item<'q> {
    /// One of what it is made of.
    Column(usize),
    Expr(&'q Expr, Option<String>),
}

fn items<'q>(projection: &'q [SelectItem], input: &[Column]) -> Result<Vec<Item<'q>>, QueryError> {
    let mut out = Vec::new();
    let shown = |table: Option<&str>| {
        let own = move |(_, column): &(usize, &Column)| {
            !column.hidden && table.is_none_or(|table| column.table == table)
        };
        input.iter().enumerate().filter(own).map(|(at, _)| Item::Column(at)).collect::<Vec<_>>()
    };
    for item in projection {
        match item {
            SelectItem::UnnamedExpr(expr) => out.push(Item::Expr(expr, None)),
            SelectItem::ExprWithAlias { expr, alias } => out.push(Item::Expr(expr, Some(name(alias)))),
            SelectItem::Wildcard(_) => out.extend(shown(None)),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(of), _) => {
                let table = of.0.last().and_then(|part| part.as_ident()).map(name);
                out.extend(shown(table.as_deref()));
            }
            other => return Err(unsupported(&other.to_string())),
        }
    }
    Ok(out)
}

/// The expression that a name of the answer stands for.
fn aliased<'q>(by: &Expr, items: &[Item<'q>]) -> Option<&'q Expr> {
    let [only] = names(by)?.try_into().ok()?;
    items.iter().find_map(|item| match item {
        Item::Expr(expr, Some(alias)) if *alias == only => Some(*expr),
        _ => None,
    })
}

/// The rows that one row becomes: several where a function gives several.
fn expanded(eval: &Eval<'_>, items: &[Item<'_>]) -> Result<Vec<Vec<Datum>>, QueryError> {
    let mut many: Option<usize> = None;
    let mut columns: Vec<Result<Vec<Datum>, Datum>> = Vec::new();
    for item in items {
        let column = match item {
            Item::Column(at) => Err(eval.scope.row.get(*at).cloned().unwrap_or(Datum::Null)),
            Item::Expr(expr, _) => match source(expr) {
                Some((function, field)) => {
                    let args = arguments(function)
                        .into_iter()
                        .map(|arg| eval.value(arg))
                        .collect::<Result<Vec<_>, _>>()?;
                    let rows = functions::rows(&called(function), &args);
                    let rows: Vec<Datum> =
                        rows.into_iter().map(|row| field_of(row, field.as_deref())).collect();
                    many = Some(many.unwrap_or(0).max(rows.len()));
                    Ok(rows)
                }
                None => Err(eval.value(expr)?),
            },
        };
        columns.push(column);
    }
    let row = |at: usize| {
        let value = |column: &Result<Vec<Datum>, Datum>| match column {
            Ok(rows) => rows.get(at).cloned().unwrap_or(Datum::Null),
            Err(value) => value.clone(),
        };
        columns.iter().map(value).collect()
    };
    Ok((0..many.unwrap_or(1)).map(row).collect())
}

fn field_of(row: Datum, field: Option<&str>) -> Datum {
    match (row, field) {
        (Datum::Row(fields), Some(field)) => {
            fields.into_iter().find(|(name, _)| name == field).map_or(Datum::Null, |(_, value)| value)
        }
        (row, _) => row,
    }
}

/// The function that gives rows, and which field of them is wanted.
fn source(expr: &Expr) -> Option<(&Function, Option<String>)> {
    match expr {
        Expr::Function(function) if gives_rows(&called(function)) && function.over.is_none() => {
            Some((function, None))
        }
        Expr::Nested(inner) => source(inner),
        Expr::CompoundFieldAccess { root, access_chain } => match access_chain.as_slice() {
            [datafusion_sql::sqlparser::ast::AccessExpr::Dot(Expr::Identifier(field))] => {
                source(root).map(|(function, _)| (function, Some(name(field))))
            }
            _ => None,
        },
        _ => None,
    }
}

/// Whether an expression folds rows, other than in a query within it.
fn has_fold(expr: &Expr) -> bool {
    struct Fold {
        found: bool,
        depth: usize,
    }
    impl Visitor for Fold {
        type Break = ();
        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }
        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            if let Expr::Function(function) = expr
                && self.depth == 0
            {
                self.found |= folds(&called(function)) && function.over.is_none();
            }
            ControlFlow::Continue(())
        }
    }
    let mut fold = Fold { found: false, depth: 0 };
    let _ = Visit::visit(expr, &mut fold);
    fold.found
}

/// The column that `ORDER BY 2` means.
fn ordinal(expr: &Expr, columns: usize) -> Option<usize> {
    let Expr::Value(value) = expr else { return None };
    let datafusion_sql::sqlparser::ast::Value::Number(digits, _) = &value.value else { return None };
    digits.parse::<usize>().ok()?.checked_sub(1).filter(|at| *at < columns)
}

/// The order of two rows; nulls are last unless it says otherwise.
fn ordered(a: &[Datum], b: &[Datum], order: &[OrderByExpr]) -> Ordering {
    for ((a, b), by) in a.iter().zip(b).zip(order) {
        let down = by.options.asc == Some(false);
        let nulls_first = by.options.nulls_first.unwrap_or(down);
        let own = match (a.is_null(), b.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) => {
                if nulls_first {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (false, true) => {
                if nulls_first {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            (false, false) => {
                let order = a.compare(b).unwrap_or(Ordering::Equal);
                if down { order.reverse() } else { order }
            }
        };
        if own != Ordering::Equal {
            return own;
        }
    }
    Ordering::Equal
}

fn row_key(row: &[Datum]) -> Vec<Option<String>> {
    row.iter().map(Datum::key).collect()
}

fn distinct(rows: &mut Vec<Vec<Datum>>) {
    let mut seen = BTreeSet::new();
    rows.retain(|row| seen.insert(row_key(row)));
}

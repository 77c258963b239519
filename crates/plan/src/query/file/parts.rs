//! A statement taken apart: measures, groups, and what is left when both are columns.

use super::super::QueryError;
use super::super::statement::parse;
use datafusion::sql::parser::Statement;
use datafusion_sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, ObjectName,
    ObjectNamePart, OrderByKind, Query, Select, SelectItem, SetExpr, Statement as Ast, TableAlias,
    TableFactor, Value, ValueWithSpan, VisitMut, VisitorMut,
};
use std::ops::ControlFlow;

/// The measures that a file is asked for. Sessions and verdicts are told of events one by one, by a pipeline.
const MEASURES: [&str; 13] = [
    "count",
    "sum",
    "min",
    "max",
    "avg",
    "stddev",
    "unique",
    "audience",
    "freq",
    "top",
    "quantiles",
    "histogram",
    "sample",
];
/// The columns of the entries of lists.
const ENTRY: [&str; 6] = ["item", "q", "le", "value", "low", "high"];
/// The table that is left, of results.
pub(super) const RESULTS: &str = "results";

/// A measure of the statement.
#[derive(Debug)]
pub(super) struct Measured {
    /// As a pipeline file would have it, with the filter of the statement.
    pub text: String,
    /// Whether it has an error at all, so that there are bounds to show.
    pub has_bounds: bool,
    /// Whether its answer is a list.
    pub is_list: bool,
}

/// What is grouped by.
#[derive(Debug)]
pub(super) struct Group {
    expr: Expr,
    /// The expression, or the path of the field.
    pub text: String,
    /// The field of the pipeline.
    pub field: String,
    /// Whether that is an expression by this name.
    pub derived: bool,
}

/// A statement taken apart.
#[derive(Debug)]
pub(super) struct Parts {
    pub measures: Vec<Measured>,
    pub groups: Vec<Group>,
    /// What is asked of the table of results.
    pub rest: Query,
}

impl Parts {
    pub fn of(sql: &str) -> Result<Parts, QueryError> {
        super::super::deep::deeply(|| Parts::read(sql))
    }

    fn read(sql: &str) -> Result<Parts, QueryError> {
        let mut query = match parse(sql)? {
            Statement::Statement(ast) => match *ast {
                Ast::Query(query) => *query,
                _ => return Err(only_select()),
            },
            _ => return Err(only_select()),
        };
        let select = plain(&query)?;
        let names = table_names(select)?;
        let _ = VisitMut::visit(&mut query, &mut Bare(&names));
        let SetExpr::Select(select) = &mut *query.body else { return Err(only_select()) };
        let mut parts =
            Parts { measures: Vec::new(), groups: Vec::new(), rest: (*query_of_nothing()).clone() };
        parts.read_groups(select)?;
        let filter = select.selection.take();
        let mut aliases = parts.read_items(select, filter.as_ref())?;
        if parts.measures.iter().any(|measure| measure.is_list) {
            aliases.extend(ENTRY.map(Ident::new));
        }
        parts.read_rest(&mut query, filter.as_ref(), &aliases)?;
        if parts.measures.is_empty() {
            if parts.groups.is_empty() {
                let error = QueryError::wrong("nothing is measured");
                return Err(error.hint("as in: select count(*) from events, or sample(10) to look at some"));
            }
            parts.add("count()", filter.as_ref(), None);
        }
        let lists = parts.measures.iter().filter(|measure| measure.is_list).count();
        if lists > 0 && parts.measures.len() > 1 {
            let error =
                QueryError::wrong("a measure that is a list gives a row for each entry, so it stands alone");
            return Err(error.hint("ask for it in a statement of its own"));
        }
        parts.rest = query;
        Ok(parts)
    }

    /// GROUP BY, by expressions, by names of the list and by numbers.
    fn read_groups(&mut self, select: &mut Select) -> Result<(), QueryError> {
        let exprs = match std::mem::replace(&mut select.group_by, GroupByExpr::Expressions(vec![], vec![])) {
            GroupByExpr::Expressions(exprs, modifiers) if modifiers.is_empty() => exprs,
            _ => {
                return Err(
                    QueryError::wrong("GROUP BY takes fields and expressions").hint("name them one by one")
                );
            }
        };
        for expr in exprs {
            let meant = match &expr {
                Expr::Value(ValueWithSpan { value: Value::Number(n, _), .. }) => {
                    let item = n.parse::<usize>().ok().and_then(|n| select.projection.get(n.checked_sub(1)?));
                    item.and_then(item_expr)
                        .cloned()
                        .ok_or_else(|| QueryError::wrong(format!("GROUP BY {n}: there is no such column")))?
                }
                Expr::Identifier(ident) => {
                    let item = select.projection.iter().find_map(|item| match item {
                        SelectItem::ExprWithAlias { expr, alias } if alias.value == ident.value => Some(expr),
                        _ => None,
                    });
                    item.unwrap_or(&expr).clone()
                }
                _ => expr,
            };
            if let Some(name) = find_measure(&meant) {
                let message =
                    format!("`{name}` is a measure, and groups are made before anything is measured");
                return Err(QueryError::wrong(message).hint("group by fields"));
            }
            let at = self.groups.len();
            let group = match path(&meant) {
                Some(path) => Group { text: path.clone(), field: path, derived: false, expr: meant },
                None => Group {
                    text: meant.to_string(),
                    field: format!("query_group_{at}"),
                    derived: true,
                    expr: meant,
                },
            };
            if !self.groups.iter().any(|known| known.expr == group.expr) {
                self.groups.push(group);
            }
        }
        Ok(())
    }

    /// The list: measures and groups become columns of the results. Returns the names that it gives.
    fn read_items(&mut self, select: &mut Select, filter: Option<&Expr>) -> Result<Vec<Ident>, QueryError> {
        if select.projection.is_empty() {
            return Err(only_select());
        }
        let (mut items, mut names) = (Vec::new(), Vec::new());
        for item in std::mem::take(&mut select.projection) {
            let (mut expr, alias) = match item {
                SelectItem::UnnamedExpr(expr) => (expr, None),
                SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias)),
                _ => {
                    let error = QueryError::wrong("`*` would be every record, and records are not kept");
                    return Err(error.hint("look at some: select sample(10, user, page) from events"));
                }
            };
            let name = alias.map(|alias| alias.value);
            let name = name.or_else(|| path(&expr)).unwrap_or_else(|| expr.to_string());
            let name = Ident::with_quote('"', name);
            names.push(name.clone());
            let alone = self.measure(&expr, filter)?;
            self.replace(&mut expr, filter, &[])?;
            let column = |expr: Expr, alias: Ident| SelectItem::ExprWithAlias { expr, alias };
            let named = |end: &str| Ident::with_quote('"', format!("{}{end}", name.value));
            match alone {
                Some(at) if self.measures[at].is_list => {
                    // Which columns they are is known with the answers.
                    items.push(SelectItem::UnnamedExpr(Expr::Identifier(Ident::new(format!("m{at}")))));
                }
                Some(at) if self.measures[at].has_bounds => {
                    items.push(column(expr, name.clone()));
                    for end in ["_low", "_high"] {
                        items.push(column(Expr::Identifier(Ident::new(format!("m{at}{end}"))), named(end)));
                    }
                }
                _ => items.push(column(expr, name)),
            }
        }
        select.projection = items;
        Ok(names)
    }

    /// HAVING becomes WHERE; ORDER BY means the names of the list.
    fn read_rest(
        &mut self,
        query: &mut Query,
        filter: Option<&Expr>,
        names: &[Ident],
    ) -> Result<(), QueryError> {
        let SetExpr::Select(select) = &mut *query.body else { return Err(only_select()) };
        if let Some(mut having) = select.having.take() {
            self.replace(&mut having, filter, names)?;
            select.selection = Some(having);
        }
        for table in &mut select.from {
            if let TableFactor::Table { name, alias, .. } = &mut table.relation {
                *name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new(RESULTS))]);
                *alias = None;
            }
        }
        let Some(order) = &mut query.order_by else { return Ok(()) };
        let OrderByKind::Expressions(exprs) = &mut order.kind else { return Ok(()) };
        for order in exprs {
            let number = match &order.expr {
                Expr::Value(ValueWithSpan { value: Value::Number(n, _), .. }) => n.parse::<usize>().ok(),
                _ => None,
            };
            match number.map(|n| n.checked_sub(1).and_then(|n| names.get(n))) {
                // Bounds stand between the columns that were written.
                Some(Some(name)) => order.expr = Expr::Identifier(name.clone()),
                Some(None) => return Err(QueryError::wrong("ORDER BY: there is no such column")),
                None => self.replace(&mut order.expr, filter, names)?,
            }
        }
        Ok(())
    }

    /// Puts columns of the results in the place of measures and groups. `names` may be used as they are.
    fn replace(&mut self, expr: &mut Expr, filter: Option<&Expr>, names: &[Ident]) -> Result<(), QueryError> {
        let mut replace = Replace { parts: self, filter, names };
        match VisitMut::visit(expr, &mut replace) {
            ControlFlow::Break(error) => Err(error),
            ControlFlow::Continue(()) => Ok(()),
        }
    }

    /// The number of the measure that an expression is.
    fn measure(&mut self, expr: &Expr, filter: Option<&Expr>) -> Result<Option<usize>, QueryError> {
        let Expr::Function(function) = expr else { return Ok(None) };
        let Some(name) = measure_name(function) else { return Ok(None) };
        let (text, own) = call_text(&name, function)?;
        Ok(Some(self.add(&text, filter, own.as_deref())))
    }

    fn add(&mut self, call: &str, filter: Option<&Expr>, own: Option<&str>) -> usize {
        let filter = match (filter, own) {
            (Some(filter), Some(own)) => format!(" filter (where ({filter}) and ({own}))"),
            (Some(filter), None) => format!(" filter (where {filter})"),
            (None, Some(own)) => format!(" filter (where {own})"),
            (None, None) => String::new(),
        };
        let text = format!("{call}{filter}");
        let name = call.split('(').next().unwrap_or_default();
        let has_bounds = !matches!(name, "count" | "sum" | "min" | "max" | "avg" | "stddev");
        let is_list = matches!(name, "top" | "freq" | "quantiles" | "histogram" | "sample");
        match self.measures.iter().position(|known| known.text == text) {
            Some(at) => at,
            None => {
                self.measures.push(Measured { text, has_bounds, is_list });
                self.measures.len() - 1
            }
        }
    }
}

fn only_select() -> QueryError {
    QueryError::wrong("a file is asked by one SELECT with measures")
        .hint("as in: select device, unique(user_id) from events group by device")
}

fn query_of_nothing() -> Box<Query> {
    match parse("select 1") {
        Ok(Statement::Statement(ast)) => match *ast {
            Ast::Query(query) => query,
            _ => unreachable!("a SELECT is a query"),
        },
        _ => unreachable!("a SELECT is a statement"),
    }
}

/// The SELECT of a statement that has nothing beside it that a file cannot answer.
fn plain(query: &Query) -> Result<&Select, QueryError> {
    let no = |what: &str, instead: &str| {
        Err(QueryError::wrong(format!("a file is not asked with {what}")).hint(instead))
    };
    if query.with.is_some() {
        return no("WITH", "write one SELECT");
    }
    let SetExpr::Select(select) = &*query.body else { return no("UNION and its kin", "write one SELECT") };
    if select.distinct.is_some() {
        return no("DISTINCT", "group by the fields instead");
    }
    if select.into.is_some() || select.qualify.is_some() || !select.lateral_views.is_empty() {
        return Err(only_select());
    }
    Ok(select)
}

/// What the table may be called in front of its fields.
fn table_names(select: &Select) -> Result<Vec<String>, QueryError> {
    let one = || QueryError::wrong("a file is one table").hint("write: from events");
    let [table] = select.from.as_slice() else { return Err(one()) };
    let (TableFactor::Table { name, alias, args: None, .. }, true) =
        (&table.relation, table.joins.is_empty())
    else {
        return Err(one());
    };
    let own = name.0.last().and_then(ObjectNamePart::as_ident).map(|ident| ident.value.clone());
    let alias = alias.as_ref().map(|TableAlias { name, .. }| name.value.clone());
    Ok(own.into_iter().chain(alias).collect())
}

fn item_expr(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

/// The path of a field that is written alone.
fn path(expr: &Expr) -> Option<String> {
    match expr {
        // `user` and its like, which are functions elsewhere.
        Expr::Function(Function { name, args: FunctionArguments::None, .. }) => Some(name.to_string()),
        Expr::Identifier(ident) => Some(ident.value.clone()),
        Expr::CompoundIdentifier(parts) => {
            Some(parts.iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join("."))
        }
        _ => None,
    }
}

/// The measure that a function is.
fn measure_name(function: &Function) -> Option<String> {
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else { return None };
    let name = name.value.to_lowercase();
    (function.over.is_none() && MEASURES.contains(&name.as_str())).then_some(name)
}

/// The first measure inside an expression.
fn find_measure(expr: &Expr) -> Option<String> {
    let mut expr = expr.clone();
    let mut found = Find(None);
    let _ = VisitMut::visit(&mut expr, &mut found);
    found.0
}

struct Find(Option<String>);

impl VisitorMut for Find {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            self.0 = self.0.take().or_else(|| measure_name(function));
        }
        ControlFlow::Continue(())
    }
}

/// A call as a pipeline file would have it, and its own filter.
fn call_text(name: &str, function: &Function) -> Result<(String, Option<String>), QueryError> {
    let FunctionArguments::List(list) = &function.args else {
        return Err(QueryError::wrong(format!("`{name}` takes arguments in parentheses")));
    };
    if list.duplicate_treatment.is_some() {
        let args = list.args.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let error = QueryError::wrong(format!("`{name}` takes no DISTINCT"));
        return Err(error.hint(format!("distinct values are counted by unique({args})")));
    }
    let mut own = function.filter.as_ref().map(ToString::to_string);
    let mut args = list.args.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    // In SQL it counts what is there.
    if let ("count", [FunctionArg::Unnamed(FunctionArgExpr::Expr(field))]) = (name, list.args.as_slice()) {
        let there = format!("({field}) is not null");
        own = Some(own.map_or_else(|| there.clone(), |own| format!("({own}) and {there}")));
        args.clear();
    }
    if args == "*" {
        args.clear();
    }
    Ok((format!("{name}({args})"), own))
}

/// Fields without the name of the table in front.
struct Bare<'a>(&'a [String]);

impl VisitorMut for Bare<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(parts) = expr
            && self.0.contains(&parts[0].value)
        {
            parts.remove(0);
            if let [only] = parts.as_slice() {
                *expr = Expr::Identifier(only.clone());
            }
        }
        ControlFlow::Continue(())
    }
}

struct Replace<'a> {
    parts: &'a mut Parts,
    filter: Option<&'a Expr>,
    names: &'a [Ident],
}

impl VisitorMut for Replace<'_> {
    type Break = QueryError;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
        if let Some(at) = self.parts.groups.iter().position(|group| group.expr == *expr) {
            *expr = Expr::Identifier(Ident::new(format!("query_group_{at}")));
            return ControlFlow::Continue(());
        }
        match self.parts.measure(expr, self.filter) {
            Err(error) => return ControlFlow::Break(error),
            Ok(Some(at)) => {
                *expr = Expr::Identifier(Ident::new(format!("m{at}")));
                return ControlFlow::Continue(());
            }
            Ok(None) => {}
        }
        if let Some(path) = path(expr) {
            if let Some(name) = self.names.iter().find(|name| name.value == path) {
                *expr = Expr::Identifier(Ident::with_quote('"', name.value.clone()));
                return ControlFlow::Continue(());
            }
            let error = QueryError::wrong(format!("`{path}` is neither grouped by nor inside a measure"));
            return ControlFlow::Break(
                error.hint(format!("add it to GROUP BY, or measure it: unique({path})")),
            );
        }
        ControlFlow::Continue(())
    }
}

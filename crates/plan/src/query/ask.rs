//! Metrics as table functions: `visitors('24h')`, `visitors('24h', '1h')`, `visitors(from => ..., to => ...)`.
//!
//! DataFusion's own table functions know no named arguments and no names with a schema, so calls are planned here, before
//! it sees them.

use super::catalog::{Current, now};
use super::table::{Asked, Measured, MetricTable};
use super::{QueryError, error};
use crate::problem::did_you_mean;
use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano};
use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use datafusion_optimizer::simplify_expressions::ExprSimplifier;
use datafusion_sql::sqlparser::ast::{self, FunctionArg, FunctionArgExpr, ObjectName, TableFactor};
use engine::spec::{Ask, Level, Question, Unanswerable, Window};
use engine::time::{SECOND, Span, TIME_MAX, Time};
use std::sync::Arc;

/// The arguments there are, in the order of those without a name.
const ARGUMENTS: [&str; 5] = ["window", "every", "from", "to", "by"];

/// Plans calls of metrics.
#[derive(Debug)]
pub(crate) struct Calls(pub Current);

impl RelationPlanner for Calls {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::Table { name, alias, args: Some(args), .. } = &relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let names = now(&self.0);
        let Some(parts) = parts(name, context) else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let Some(measured) = names.metric(&parts) else {
            if let [own] = parts.as_slice()
                && SERIES.contains(&own.as_str())
            {
                return Ok(RelationPlanning::Original(Box::new(relation)));
            }
            let name = parts.join(".");
            if names.views.iter().any(|view| view.view.name == name) {
                let error = QueryError::wrong(format!("the view `{name}` takes no arguments"));
                return Err(error.hint(format!("write: from {name}")).into());
            }
            return Err(QueryError::no_table(&name, &names).into());
        };
        let call = Call::read(&args.args, context)?;
        let table = call.table(measured)?;
        let own_name = measured.name.rsplit('.').next().unwrap_or(&measured.name);
        let reference = datafusion::common::TableReference::bare(own_name);
        let plan = LogicalPlanBuilder::scan(reference, provider_as_source(Arc::new(table)), None)?.build()?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias.clone()))))
    }
}

/// Table functions of DataFusion that are left as they are.
pub(crate) const SERIES: [&str; 2] = ["generate_series", "range"];

fn parts(name: &ObjectName, context: &dyn RelationPlannerContext) -> Option<Vec<String>> {
    name.0.iter().map(|part| Some(context.normalize_ident(part.as_ident()?.clone()))).collect()
}

/// Arguments with their values.
#[derive(Debug, Default)]
struct Call {
    given: Vec<(&'static str, ScalarValue)>,
}

impl Call {
    fn read(args: &[FunctionArg], context: &mut dyn RelationPlannerContext) -> Result<Call> {
        let mut call = Call::default();
        for (i, arg) in args.iter().enumerate() {
            let (name, value) = match arg {
                FunctionArg::Unnamed(value) if i < 2 => (ARGUMENTS[i], value),
                FunctionArg::Unnamed(_) => {
                    let message =
                        "a metric takes a window and how often one starts, and then arguments by name";
                    return Err(QueryError::wrong(message)
                        .hint("as in visitors('24h', '1h') or visitors(from => '2026-01-01', to => '2026-02-01')")
                        .into());
                }
                FunctionArg::Named { name, arg, .. } => (argument(&name.value)?, arg),
                FunctionArg::ExprNamed { name, arg, .. } => (argument(&name.to_string())?, arg),
            };
            let FunctionArgExpr::Expr(value) = value else {
                return Err(QueryError::wrong(format!("`{name}` needs a value")).into());
            };
            if call.given.iter().any(|(given, _)| *given == name) {
                return Err(QueryError::wrong(format!("`{name}` is there twice")).into());
            }
            call.given.push((name, constant(name, value.clone(), context)?));
        }
        Ok(call)
    }

    fn get(&self, name: &str) -> Option<&ScalarValue> {
        self.given.iter().find(|(given, _)| *given == name).map(|(_, value)| value)
    }

    /// The table that is asked for.
    fn table(&self, measured: &Arc<Measured>) -> Result<MetricTable, QueryError> {
        let span = |name| self.get(name).map(|value| span(name, value)).transpose();
        let time = |name| self.get(name).map(|value| time(name, value)).transpose();
        let (window, every, from, to) = (span("window")?, span("every")?, time("from")?, time("to")?);
        let asked = match (window, every, from, to) {
            (None, None, None, None) => Asked::Of(Ask::Of(Question::Total)),
            (Some(window), None, None, None) => Asked::Of(Ask::Last(window)),
            (window, Some(every), None, None) => {
                Asked::Of(Ask::Of(Question::Windows { window: window.unwrap_or(every), every }))
            }
            (None, None, Some(start), Some(end)) if start < end => {
                Asked::Of(Ask::Between(Window { start, end }))
            }
            (None, None, Some(start), Some(end)) => {
                return Err(QueryError::wrong(format!("the window from {start} to {end} is empty")));
            }
            (None, None, Some(start), None) => Asked::Since(start),
            (None, None, None, Some(_)) => {
                return Err(QueryError::wrong("`to` needs a `from`")
                    .hint("from => '1970-01-01' is everything before"));
            }
            _ => {
                let message = "`from` and `to` name one window, so it needs no length and no distance";
                return Err(QueryError::wrong(message)
                    .hint("write either visitors('24h', '1h') or visitors(from => ..., to => ...)"));
            }
        };
        self.answerable(measured, asked)?;
        Ok(MetricTable { measured: Arc::clone(measured), asked, by: self.by(measured)? })
    }

    /// The grouping set, if one is asked for.
    fn by(&self, measured: &Measured) -> Result<Option<Vec<usize>>, QueryError> {
        let Some(value) = self.get("by") else { return Ok(None) };
        let name = text("by", value, "by => 'device', or by => '' for the total")?;
        if let Some(set) = measured.set(name) {
            return Ok(Some(set));
        }
        let sets = measured.sets();
        let error = QueryError::wrong(format!("`{}` is not measured by `{name}`", measured.name));
        let near = did_you_mean(name, sets.iter().map(String::as_str));
        let hint = match (near, sets.as_slice()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, [only]) if only.is_empty() => "it has the total alone".to_string(),
            (None, sets) => {
                let words: Vec<String> = sets
                    .iter()
                    .map(|set| if set.is_empty() { "'' (the total)".into() } else { format!("'{set}'") })
                    .collect();
                format!("there is by => {}", words.join(", "))
            }
        };
        Err(error.hint(hint))
    }

    /// What the ladder says before anything is asked.
    fn answerable(&self, measured: &Measured, asked: Asked) -> Result<(), QueryError> {
        let metric = &measured.spec.metrics[measured.metric];
        let is_total = matches!(asked, Asked::Of(Ask::Of(Question::Total)));
        let why = match asked {
            _ if is_total => return Ok(()),
            _ if metric.levels.is_empty() => Unanswerable::NoPanes,
            Asked::Of(Ask::Of(Question::Windows { window, every }))
                if Level::tiling(&metric.levels, window, every).is_none() =>
            {
                Unanswerable::NotMadeOf {
                    window,
                    every,
                    sizes: metric.levels.iter().map(|level| level.size).collect(),
                }
            }
            _ => return Ok(()),
        };
        Err(QueryError::unanswerable(&measured.name, &why))
    }
}

/// The name of an argument, as it is known.
fn argument(name: &str) -> Result<&'static str, QueryError> {
    let lower = name.trim_matches('"').to_lowercase();
    if let Some(known) = ARGUMENTS.iter().find(|known| **known == lower) {
        return Ok(known);
    }
    let error = QueryError::wrong(format!("a metric has no argument `{name}`"));
    match did_you_mean(&lower, ARGUMENTS) {
        Some(near) => Err(error.hint(format!("did you mean `{near}`?"))),
        None => Err(error.hint(format!("there are {}", error::some(&ARGUMENTS.map(String::from))))),
    }
}

/// The value of an expression without columns.
fn constant(name: &str, expr: ast::Expr, context: &mut dyn RelationPlannerContext) -> Result<ScalarValue> {
    let shown = expr.to_string();
    let no_constant = || {
        QueryError::wrong(format!("`{name}` must be a constant, and `{shown}` is none"))
            .hint("write text, as in '24h', or an expression of constants, as in now() - interval '1 day'")
    };
    // A bare word is a column for DataFusion, and there are none here.
    let planned = context.sql_to_expr(expr, &DFSchema::empty()).map_err(|_| no_constant())?;
    let simplify = SimplifyContext::builder().with_current_time().build();
    match ExprSimplifier::new(simplify).simplify(planned)? {
        Expr::Literal(value, _) => Ok(value),
        _ => Err(no_constant().into()),
    }
}

fn text<'v>(name: &str, value: &'v ScalarValue, example: &str) -> Result<&'v str, QueryError> {
    match value.try_as_str() {
        Some(Some(text)) => Ok(text),
        _ => Err(QueryError::wrong(format!("`{name}` is text")).hint(example)),
    }
}

/// A length of time: `'24h'`, or an interval of days and less.
fn span(name: &str, value: &ScalarValue) -> Result<Span, QueryError> {
    let span = match value {
        ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano { months: 0, days, nanoseconds })) => {
            let micros = i64::from(*days).saturating_mul(86_400 * SECOND).saturating_add(nanoseconds / 1_000);
            Span(micros.clamp(-TIME_MAX, TIME_MAX))
        }
        ScalarValue::IntervalMonthDayNano(_) => {
            return Err(QueryError::wrong("months are not equally long").hint("ask for days: '30d'"));
        }
        value => {
            let text = text(name, value, "write a number and a unit: 30s, 5m, 1h, 2d")?;
            text.parse::<Span>().map_err(QueryError::wrong)?
        }
    };
    if span.0 <= 0 {
        return Err(QueryError::wrong(format!("`{name}` must be longer than nothing")).hint("write '1h'"));
    }
    Ok(span)
}

/// A point in time: text, a timestamp or a date.
fn time(name: &str, value: &ScalarValue) -> Result<Time, QueryError> {
    let wrong = || {
        QueryError::wrong(format!("`{name}` is no time: {value}")).hint(
            "write '2026-01-31', '2026-01-31T12:00:00Z' or an expression, as in now() - interval '1 day'",
        )
    };
    let is_time = matches!(value.data_type(), DataType::Timestamp(..) | DataType::Date32 | DataType::Date64);
    if !is_time && value.try_as_str().is_none() {
        return Err(wrong());
    }
    let zoned = value.cast_to(&super::table::timestamp()).map_err(|_| wrong())?;
    match zoned {
        ScalarValue::TimestampMicrosecond(Some(micros), _) => Time::from_micros(micros).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

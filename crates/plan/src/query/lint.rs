//! What a query can be answered by and yet does not mean: told with the answer, with the right form.
//!
//! Some of it stands in the statement, and is found where columns come from in its plan; some only shows in the sketches,
//! and is noted while they are merged.

use super::table::{Holds, MetricTable};
use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};
use engine::spec::Measure;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Something doubtful about a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lint {
    /// A word for it, for programs.
    pub code: &'static str,
    /// What is doubtful, in a sentence.
    pub message: String,
    /// What to write instead.
    pub instead: String,
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.instead)
    }
}

/// What is found while a query runs.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<Vec<Lint>>);

impl Notes {
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Notes the first of a kind.
    pub fn note(&self, code: &'static str, message: impl FnOnce() -> String, instead: &str) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.iter().all(|lint| lint.code != code) {
            notes.push(Lint { code, message: message(), instead: instead.to_string() });
        }
    }

    pub fn all(&self) -> Vec<Lint> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What is doubtful about a plan.
pub(crate) fn of(plan: &LogicalPlan) -> Vec<Lint> {
    let mut found = Found { lints: Vec::new() };
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Aggregate(aggregate) = node {
            for expr in &aggregate.aggr_expr {
                found.aggregate(expr, &aggregate.input, &aggregate.group_expr);
            }
        }
        for expr in node.expressions() {
            let _ = expr.apply(|part| {
                if let Expr::BinaryExpr(binary) = part
                    && binary.op == Operator::Divide
                {
                    found.division(&binary.left, &binary.right, &node.inputs());
                }
                Ok(TreeNodeRecursion::Continue)
            });
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found.lints
}

struct Found {
    lints: Vec<Lint>,
}

impl Found {
    fn push(&mut self, code: &'static str, message: String, instead: String) {
        let lint = Lint { code, message, instead };
        if !self.lints.contains(&lint) {
            self.lints.push(lint);
        }
    }

    /// `sum(value)` and `avg(value)` of what does not add up.
    fn aggregate(&mut self, expr: &Expr, input: &LogicalPlan, groups: &[Expr]) {
        let mut expr = expr;
        while let Expr::Alias(alias) = expr {
            expr = &alias.expr;
        }
        let Expr::AggregateFunction(AggregateFunction { func, params }) = expr else { return };
        let adds = matches!(func.name(), "sum" | "avg" | "mean");
        let Some(of) = params.args.first().and_then(|arg| value_of(arg, &[input])).filter(|_| adds) else {
            return;
        };
        let (name, function) = (&of.measured.name, func.name());
        match &of.measured.measure {
            Measure::Unique { .. } | Measure::Audience { .. } | Measure::Seen { .. } if function == "sum" => self.push(
                "sums_distinct",
                format!("`{name}` counts distinct values, and a sum counts those again that are in two groups or panes"),
                format!("write estimate(merge_agg(sketch)), or ask for one window: from {name}('24h', by => '')"),
            ),
            Measure::Quantiles { .. } => self.push(
                "averages_quantiles",
                format!("a quantile of all is not the {function} of quantiles of `{name}`"),
                "write quantile(merge_agg(sketch), 0.99)".to_string(),
            ),
            Measure::Count | Measure::Sum(_) if function == "sum" && of.adds_totals(input, groups) => self.push(
                "sums_totals",
                format!("`{name}` has its total and its groups in one table, and a sum adds them both up"),
                format!("choose one: where grouped_by = '{}'", of.measured.sets().first().map_or("", String::as_str)),
            ),
            _ => {}
        }
    }

    /// Quotients of independent distinct counts.
    fn division(&mut self, part: &Expr, whole: &Expr, inputs: &[&LogicalPlan]) {
        let (Some(part), Some(whole)) = (value_of(part, inputs), value_of(whole, inputs)) else { return };
        let distinct =
            |of: &Of| matches!(of.measured.measure, Measure::Unique { .. } | Measure::Audience { .. });
        let same = part.measured.name == whole.measured.name && part.measured.source == whole.measured.source;
        if !distinct(&part) || !distinct(&whole) || same {
            return;
        }
        let (a, b) = (&part.measured.name, &whole.measured.name);
        let sets = |of: &Of| matches!(of.measured.measure, Measure::Audience { .. });
        let instead = if sets(&part) && sets(&whole) {
            format!("write ratio({a}.sketch, {b}.sketch), with ratio_bounds for low and high")
        } else {
            format!("measure both as audience(...), and write ratio({a}.sketch, {b}.sketch)")
        };
        let message = format!(
            "`{a}` and `{b}` are two estimates, each with an error of its own: their quotient has both, no bounds, and may pass 1"
        );
        self.push("divides_distinct", message, instead);
    }
}

/// A metric whose number an expression is.
struct Of {
    measured: Arc<super::table::Measured>,
    by: bool,
}

impl Of {
    /// Whether rows of several grouping sets are added up: nothing in the query tells them apart.
    fn adds_totals(&self, input: &LogicalPlan, groups: &[Expr]) -> bool {
        if self.by || self.measured.sets().len() < 2 {
            return false;
        }
        let dimension = |name: &str| {
            let is = |column: &super::table::Column| {
                column.name == name
                    && matches!(column.holds, Holds::Dimension(..) | Holds::GroupedBy | Holds::Other)
            };
            self.measured.columns.iter().any(is)
        };
        let mentions = |expr: &Expr| expr.column_refs().iter().any(|column| dimension(&column.name));
        let mut told_apart = groups.iter().any(mentions);
        let _ = input.apply(|node| {
            told_apart |=
                matches!(node, LogicalPlan::Filter(_) | LogicalPlan::Join(_) | LogicalPlan::Aggregate(_))
                    && node.expressions().iter().any(mentions);
            if let LogicalPlan::TableScan(scan) = node {
                told_apart |= scan.filters.iter().any(mentions);
            }
            Ok(TreeNodeRecursion::Continue)
        });
        !told_apart
    }
}

/// The metric whose `value`, `low` or `high` an expression is, seen through casts, aliases and projections.
fn value_of(expr: &Expr, inputs: &[&LogicalPlan]) -> Option<Of> {
    match expr {
        Expr::Alias(alias) => value_of(&alias.expr, inputs),
        Expr::Cast(cast) => value_of(&cast.expr, inputs),
        Expr::TryCast(cast) => value_of(&cast.expr, inputs),
        Expr::BinaryExpr(binary) if matches!(binary.op, Operator::Multiply) => {
            // A factor changes nothing: `100.0 * value`.
            let (left, right) = (value_of(&binary.left, inputs), value_of(&binary.right, inputs));
            match (&*binary.left, &*binary.right) {
                (Expr::Literal(..), _) => right,
                (_, Expr::Literal(..)) => left,
                _ => None,
            }
        }
        Expr::ScalarFunction(call) if call.name() == "nullif" || call.name() == "coalesce" => {
            value_of(call.args.first()?, inputs)
        }
        Expr::Column(column) => inputs.iter().find_map(|input| {
            let at = input.schema().maybe_index_of_column(column)?;
            value_at(input, at)
        }),
        _ => None,
    }
}

/// The same of a column of a plan, by number.
fn value_at(plan: &LogicalPlan, at: usize) -> Option<Of> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let provider = source_as_provider(&scan.source).ok()?;
            let table = provider.downcast_ref::<MetricTable>()?;
            let at = scan.projection.as_ref().map_or(Some(at), |columns| columns.get(at).copied())?;
            let is = matches!(table.measured.columns.get(at)?.holds, Holds::Value | Holds::Low | Holds::High);
            is.then(|| Of { measured: Arc::clone(&table.measured), by: table.by.is_some() })
        }
        LogicalPlan::Projection(projection) => value_of(projection.expr.get(at)?, &[&projection.input]),
        LogicalPlan::SubqueryAlias(alias) => value_at(&alias.input, at),
        LogicalPlan::Filter(filter) => value_at(&filter.input, at),
        LogicalPlan::Sort(sort) => value_at(&sort.input, at),
        LogicalPlan::Limit(limit) => value_at(&limit.input, at),
        LogicalPlan::Join(join) => {
            let left = join.left.schema().fields().len();
            if at < left { value_at(&join.left, at) } else { value_at(&join.right, at - left) }
        }
        _ => None,
    }
}

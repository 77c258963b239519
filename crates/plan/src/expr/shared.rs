//! What several expressions of a step have in common is computed once per batch.
//!
//! A part is shared when it occurs at least twice, at least once of them where it is evaluated in any case: behind a
//! condition (a branch of `case`, the right side of `and`) a part may be guarded against failing, so it is not moved
//! there on its own account.

use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_expr::{Expr, Operator};
use std::collections::HashMap;

/// How often a part occurs.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    times: usize,
    /// Whether it is evaluated in any case at least once.
    certain: bool,
}

/// The parts that several expressions have in common.
#[derive(Debug, Default)]
pub(super) struct Shared {
    seen: HashMap<Expr, Seen>,
    /// Parts that have a column by now, with its name.
    named: HashMap<Expr, String>,
}

impl Shared {
    /// Looks at all expressions of a step.
    pub(super) fn of<'a>(exprs: impl Iterator<Item = &'a Expr>) -> Shared {
        let mut shared = Shared::default();
        exprs.for_each(|expr| shared.note(expr, true));
        shared
    }

    /// The expression with shared parts replaced by columns. Parts that have no column yet are handed to `define`
    /// before, which gives them one and names it.
    pub(super) fn replace(&mut self, expr: &Expr, define: &mut dyn FnMut(Expr) -> String) -> Expr {
        if self.is_shared(expr) {
            return self.column(expr, define);
        }
        self.inside(expr, define)
    }

    fn column(&mut self, expr: &Expr, define: &mut dyn FnMut(Expr) -> String) -> Expr {
        if !self.named.contains_key(expr) {
            let definition = self.inside(expr, define);
            self.named.insert(expr.clone(), define(definition));
        }
        datafusion_expr::col(self.named[expr].as_str())
    }

    /// Replaces below the root.
    fn inside(&mut self, expr: &Expr, define: &mut dyn FnMut(Expr) -> String) -> Expr {
        let times = self.times(expr);
        let replaced = expr.clone().transform_down(|part| {
            // A part that occurs no more often than what it stands in has no other place.
            if part != *expr && self.is_shared(&part) && self.times(&part) > times {
                let column = self.column(&part, define);
                return Ok(Transformed::new(column, true, TreeNodeRecursion::Jump));
            }
            Ok(Transformed::no(part))
        });
        replaced.map_or_else(|_| expr.clone(), |replaced| replaced.data)
    }

    fn times(&self, expr: &Expr) -> usize {
        self.seen.get(expr).map_or(1, |seen| seen.times)
    }

    fn is_shared(&self, expr: &Expr) -> bool {
        let plain = matches!(expr, Expr::Column(_) | Expr::Literal(..) | Expr::Alias(_));
        !plain && self.seen.get(expr).is_some_and(|seen| seen.times > 1 && seen.certain)
    }

    fn note(&mut self, expr: &Expr, certain: bool) {
        let seen = self.seen.entry(expr.clone()).or_default();
        seen.times += 1;
        seen.certain |= certain;
        let mut first = true;
        let conditional = is_conditional(expr);
        let _ = expr.apply_children(|child| {
            self.note(child, certain && (first || !conditional));
            first = false;
            Ok(TreeNodeRecursion::Continue)
        });
    }
}

/// Whether parts behind the first may go unevaluated.
fn is_conditional(expr: &Expr) -> bool {
    match expr {
        Expr::Case(_) => true,
        Expr::BinaryExpr(binary) => matches!(binary.op, Operator::And | Operator::Or),
        Expr::ScalarFunction(call) => call.func.short_circuits(),
        _ => false,
    }
}

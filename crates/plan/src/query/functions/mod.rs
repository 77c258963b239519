//! Functions of sketches: they take the bytes of the column `sketch`, and whatever else is a sketch to `sketch::image`.
//!
//! Names are those of Spark's functions where Spark has one, as second names. Bytes that are no sketch, and sketches that
//! do not go together, end the query with a sentence; no bytes end anything else.

mod bounded;
mod call;
mod estimate;
mod items;
mod merge;
mod operators;
mod sets;

use super::catalog::Names;
use super::lint::Notes;
use call::{Call, Context, Returns};
use datafusion::error::Result;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::prelude::SessionContext;
use sketch::hash::Hashing;
use std::sync::Arc;

/// Functions of DataFusion that make much out of little, beyond what its accounting of memory sees.
const REMOVED: [&str; 9] = [
    "repeat",
    "lpad",
    "rpad",
    "array_repeat",
    "list_repeat",
    "array_resize",
    "list_resize",
    "range",
    "generate_series",
];

/// Takes away what one call can use up memory with, and bounds what others make: `memory_bytes` are those of a query.
///
/// # Errors
/// When an operator cannot be planned otherwise, which would be a bug.
pub(super) fn hold(session: &mut SessionContext, memory_bytes: usize) -> Result<()> {
    for name in REMOVED {
        session.deregister_udf(name);
    }
    let join = Arc::new(ScalarUDF::new_from_impl(operators::Joined::new()));
    session.register_udf(ScalarUDF::clone(&join));
    bounded::register(session, memory_bytes / PARTS);
    let join = session.state().scalar_functions().get(operators::JOIN).cloned().unwrap_or(join);
    datafusion::execution::FunctionRegistry::register_expr_planner(
        session,
        Arc::new(operators::Operators { join }),
    )
}

/// One call of a function makes at most so many-th part of the memory of a query.
const PARTS: usize = 8;

/// Makes the functions known to a session.
pub(super) fn register(session: &SessionContext, names: &Names, notes: &Arc<Notes>) {
    let source = names.sources.first();
    let context = Arc::new(Context {
        confidence: source.map_or(0.95, |source| source.confidence),
        hashing: source.map_or(Hashing::Interchange, |source| source.hashing.clone()),
        notes: Arc::clone(notes),
    });
    let strings = session.state().scalar_functions().get("contains").cloned();
    for (call, aliases) in CALLS.iter() {
        let mut call = call.clone();
        if call.name == "contains" {
            // The one of texts keeps its name.
            call.otherwise = strings.clone().filter(|known| !known.inner().is::<Call>());
        }
        let udf = ScalarUDF::new_from_impl(call.with(&context));
        session.register_udf(udf.with_aliases(aliases.iter().copied()));
    }
    for (merge, aliases) in merge::all(&context) {
        session.register_udaf(AggregateUDF::new_from_impl(merge).with_aliases(aliases.iter().copied()));
    }
}

/// Each with its other names.
static CALLS: std::sync::LazyLock<Vec<(Call, &'static [&'static str])>> = std::sync::LazyLock::new(|| {
    use Returns::{Bytes, Estimate, Items, Number, Text, Truth, Whole};
    vec![
        (Call::new("estimate", 1, Number, estimate::estimate), &[]),
        (
            Call::new("hll_sketch_estimate", 1, Whole, estimate::estimate),
            &["theta_sketch_estimate", "approx_count_distinct_estimate"],
        ),
        (Call::new("low", 1, Estimate(1), estimate::estimate), &[]),
        (Call::new("high", 1, Estimate(2), estimate::estimate), &[]),
        (Call::new("bounds", 1, Estimate(0), estimate::estimate), &["estimate_bounds"]),
        (Call::new("describe", 1, Text, estimate::describe), &["sketch_name"]),
        (Call::new("quantile", 2, Number, estimate::quantile), &["kll_sketch_get_quantile_double"]),
        (Call::new("quantile_bounds", 2, Estimate(0), estimate::quantile), &[]),
        (Call::new("rank_of", 2, Number, estimate::rank), &["kll_sketch_get_rank_double"]),
        (Call::new("rank_bounds", 2, Estimate(0), estimate::rank), &[]),
        (Call::new("frequency", 2, Number, items::frequency), &[]),
        (Call::new("frequency_bounds", 2, Estimate(0), items::frequency), &[]),
        (Call::new("contains", 2, Truth, items::contains), &[]),
        (Call::new("top", 2, Items, items::top), &["approx_top_k_estimate"]),
        (Call::new("either", 2, Bytes, sets::either), &["hll_union", "theta_union"]),
        (Call::new("both", 2, Bytes, sets::both), &["theta_intersection"]),
        (Call::new("without", 2, Bytes, sets::without), &["theta_difference"]),
        (Call::new("jaccard", 2, Number, sets::jaccard), &[]),
        (Call::new("jaccard_bounds", 2, Estimate(0), sets::jaccard), &[]),
        (Call::new("ratio", 2, Number, sets::ratio), &[]),
        (Call::new("ratio_bounds", 2, Estimate(0), sets::ratio), &[]),
    ]
});

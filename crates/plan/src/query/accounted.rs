//! What reaches an operator that keeps it and tells nobody, on its account.
//!
//! Window functions of DataFusion 55.2 keep the rows of a partition beside its accounting of memory: a second of `sum(x) over (order by x)`
//! over a long series takes half a gigabyte. So what reaches one is taken from the memory of the query until the operator is done,
//! which counts rows that it could have let go of as well. Joins do account for what they keep of one side, but only by its columns: a
//! batch of none, as `count(*)` needs it, is nothing to them, and millions of them are not.

use datafusion::arrow::datatypes::Schema;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::StreamExt;
use std::fmt;
use std::sync::Arc;

/// What a batch takes beside its columns.
const BATCH_BYTES: usize = 256;

/// A plan with an account between an operator that keeps batches and what it reads, where `plan` is one.
pub(super) fn accounted(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let (keeps, columns) = if plan.is::<WindowAggExec>() || plan.is::<BoundedWindowAggExec>() {
        (usize::MAX, true)
    } else if plan.is::<CrossJoinExec>() || plan.is::<NestedLoopJoinExec>() || plan.is::<HashJoinExec>() {
        // The left side is kept, the right one only passes.
        (1, false)
    } else {
        return Ok(plan);
    };
    let account = |(at, input): (usize, &Arc<dyn ExecutionPlan>)| match at < keeps {
        true => Arc::new(Accounted { input: Arc::clone(input), columns }) as Arc<dyn ExecutionPlan>,
        false => Arc::clone(input),
    };
    let inputs = plan.children().into_iter().enumerate().map(account).collect();
    plan.replace_children(inputs, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}

/// Passes on what it reads, and takes it from the memory of the query until it is dropped.
#[derive(Debug)]
struct Accounted {
    input: Arc<dyn ExecutionPlan>,
    /// Whether columns count, or only that there is a batch.
    columns: bool,
}

impl DisplayAs for Accounted {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accounted")
    }
}

impl ExecutionPlan for Accounted {
    fn name(&self) -> &str {
        "Accounted"
    }

    fn schema(&self) -> Arc<Schema> {
        self.input.schema()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop().unwrap_or_else(|| Arc::clone(&self.input));
        Ok(Arc::new(Accounted { input, columns: self.columns }))
    }

    fn execute(&self, partition: usize, task: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let account = MemoryConsumer::new("kept").register(task.memory_pool());
        let columns = self.columns;
        let read = self.input.execute(partition, task)?;
        let counted = read.map(move |batch| {
            let batch = batch?;
            let bytes = if columns { batch.get_array_memory_size() } else { 0 };
            account.try_grow(BATCH_BYTES + bytes)?;
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), counted)))
    }
}

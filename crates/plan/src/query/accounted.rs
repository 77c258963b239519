//! What reaches an operator that keeps it and tells nobody, on its account.
//!
//! Window functions of DataFusion 55.2 keep the rows of a partition beside its accounting of memory: a second of `sum(x) over (order by x)`
//! over a long series takes half a gigabyte. So what reaches one is taken from the memory of the query until the operator is done,
//! which counts rows that it could have let go of as well.

use datafusion::arrow::datatypes::Schema;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::StreamExt;
use std::fmt;
use std::sync::Arc;

/// A plan with an account between an operator that keeps rows and what it reads, where `plan` is one.
pub(super) fn accounted(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if !plan.is::<WindowAggExec>() && !plan.is::<BoundedWindowAggExec>() {
        return Ok(plan);
    }
    let account = |input: &Arc<dyn ExecutionPlan>| {
        Arc::new(Accounted { input: Arc::clone(input) }) as Arc<dyn ExecutionPlan>
    };
    let inputs = plan.children().into_iter().map(account).collect();
    plan.replace_children(inputs, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}

/// Passes on what it reads, and takes it from the memory of the query until it is dropped.
#[derive(Debug)]
struct Accounted {
    input: Arc<dyn ExecutionPlan>,
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
        Ok(Arc::new(Accounted { input }))
    }

    fn execute(&self, partition: usize, task: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let account = MemoryConsumer::new("window").register(task.memory_pool());
        let read = self.input.execute(partition, task)?;
        let counted = read.map(move |batch| {
            let batch = batch?;
            account.try_grow(batch.get_array_memory_size())?;
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), counted)))
    }
}

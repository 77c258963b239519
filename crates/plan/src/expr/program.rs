//! Compiled expressions, evaluated batch by batch: what the engine asks for as [`engine::compute::Compute`].

use super::compile::{Compiled, arrow_type, column_name};
use super::shared::Shared;
use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field as ArrowField, Schema, SchemaRef};
use datafusion_common::{DFSchema, DataFusionError};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::{Expr, ExprSchemable};
use datafusion_physical_expr::{PhysicalExpr, create_physical_expr};
use engine::column::Column;
use engine::compute::{Compute, ComputeError, Exploded};
use engine::spec::Field;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The expressions of one source.
#[derive(Debug, Default, PartialEq)]
pub struct Program {
    steps: Vec<Vec<Slot>>,
    explode: Option<Slot>,
}

/// One evaluation. Its result is the next working column: those of the batch come first, then one per slot.
#[derive(Debug)]
struct Slot {
    /// Working columns that it reads.
    inputs: Vec<usize>,
    schema: SchemaRef,
    expr: Arc<dyn PhysicalExpr>,
    /// Which column of the step it is; `None` for a part that several of them share.
    output: Option<usize>,
    /// The column to name when it fails.
    blame: usize,
}

impl PartialEq for Slot {
    fn eq(&self, other: &Slot) -> bool {
        (&self.inputs, &self.schema, self.output) == (&other.inputs, &other.schema, other.output)
            && self.expr.to_string() == other.expr.to_string()
    }
}

impl Program {
    /// Number of evaluations per batch in each step, shared parts included.
    pub fn evaluations(&self) -> Vec<usize> {
        self.steps.iter().map(Vec::len).collect()
    }
}

impl Compute for Program {
    fn columns(&self, step: usize, columns: &[Column], rows: usize) -> Result<Vec<Column>, ComputeError> {
        let slots = &self.steps[step];
        let mut arrays: Vec<ArrayRef> = columns.iter().map(Column::to_array).collect();
        let mut out = Vec::with_capacity(slots.len());
        for slot in slots {
            let array = slot.evaluate(&arrays, rows)?;
            if slot.output.is_some() {
                out.push(Column::of_array(&array).expect("results are cast to the kinds of columns"));
            }
            arrays.push(array);
        }
        Ok(out)
    }

    fn explode(&self, columns: &[Column], rows: usize) -> Result<Exploded, ComputeError> {
        let slot = self.explode.as_ref().expect("asked for only where there is one");
        let arrays: Vec<ArrayRef> = columns.iter().map(Column::to_array).collect();
        let lists = slot.evaluate(&arrays, rows)?;
        let lists: &ListArray = lists.as_any().downcast_ref().expect("the result is cast to a list");
        let offsets = lists.value_offsets();
        let (first, last) = (offsets[0] as usize, offsets[rows] as usize);
        let mut parents = Vec::with_capacity(last - first);
        let mut kept = Vec::with_capacity(last - first);
        for row in (0..rows).filter(|row| lists.is_valid(*row)) {
            let elements = offsets[row] as u32..offsets[row + 1] as u32;
            parents.extend(elements.clone().map(|_| row as u32));
            kept.extend(elements);
        }
        let elements = Column::of_array(lists.values()).expect("elements are cast to the kinds of columns");
        // A null list may still have elements behind it.
        let whole = kept.len() == last - first;
        let elements = if whole { elements.slice(first, last - first) } else { elements.take(&kept) };
        Ok(Exploded { parents, elements })
    }

    fn reads(&self, column: usize) -> bool {
        self.steps.iter().flatten().any(|slot| slot.inputs.contains(&column))
    }
}

impl Slot {
    fn new(
        expr: &Expr,
        working: &[ArrowField],
        output: Option<usize>,
        blame: usize,
    ) -> Result<Slot, DataFusionError> {
        let mut inputs: Vec<usize> = expr
            .column_refs()
            .iter()
            .filter_map(|column| working.iter().position(|field| *field.name() == column.name))
            .collect();
        inputs.sort_unstable();
        let fields: Vec<ArrowField> = inputs.iter().map(|&input| working[input].clone()).collect();
        let schema = Arc::new(Schema::new(fields));
        let named = DFSchema::try_from(schema.clone())?;
        let (props, context) = (ExecutionProps::new(), PhysicalPlanningContext::default());
        Ok(Slot {
            inputs,
            expr: create_physical_expr(expr, &named, &props, &context)?,
            schema,
            output,
            blame,
        })
    }

    fn evaluate(&self, working: &[ArrayRef], rows: usize) -> Result<ArrayRef, ComputeError> {
        let inputs = self.inputs.iter().map(|&input| working[input].clone()).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let failed = |message: String| ComputeError { column: self.blame, message };
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), inputs, &options)
            .map_err(|error| failed(error.to_string()))?;
        // Some functions panic where their text grows beyond what an array holds: that is a row that fails, too.
        let evaluated = catch_unwind(AssertUnwindSafe(|| self.expr.evaluate(&batch)?.into_array(rows)));
        let evaluated = evaluated.map_err(|_| failed("the result is too large".into()))?;
        evaluated.map_err(|error| failed(error.strip_backtrace()))
    }
}

/// Puts a program together, step by step.
pub(crate) struct ProgramBuilder {
    program: Program,
}

impl ProgramBuilder {
    pub fn new() -> ProgramBuilder {
        ProgramBuilder { program: Program::default() }
    }

    /// The expression that makes events; `columns` are those it sees.
    pub fn explode(&mut self, list: &Compiled, columns: &[Field]) -> Result<(), String> {
        let slot = Slot::new(&list.expr, &working(columns), Some(0), 0).map_err(|e| e.strip_backtrace())?;
        self.program.explode = Some(slot);
        Ok(())
    }

    /// A step without expressions: a verdict.
    pub fn verdict(&mut self) {
        self.program.steps.push(Vec::new());
    }

    /// A step of expressions, each of which sees `columns` and the results before it.
    pub fn compute(&mut self, exprs: &[Compiled], columns: &[Field]) -> Result<(), String> {
        let mut shared = Shared::of(exprs.iter().map(|compiled| &compiled.expr));
        let mut working = working(columns);
        let mut slots: Vec<Slot> = Vec::new();
        for (output, compiled) in exprs.iter().enumerate() {
            let mut parts: Vec<(Expr, String)> = Vec::new();
            let known = slots.iter().filter(|slot| slot.output.is_none()).count();
            let expr = shared.replace(&compiled.expr, &mut |part| {
                let name = format!("s{}", known + parts.len());
                parts.push((part, name.clone()));
                name
            });
            for (part, name) in parts {
                let found = type_of(&part, &working).map_err(|e| e.strip_backtrace())?;
                slots.push(Slot::new(&part, &working, None, output).map_err(|e| e.strip_backtrace())?);
                working.push(ArrowField::new(name, found, true));
            }
            slots.push(Slot::new(&expr, &working, Some(output), output).map_err(|e| e.strip_backtrace())?);
            working.push(ArrowField::new(
                column_name(columns.len() + output),
                arrow_type(compiled.kind),
                true,
            ));
        }
        self.program.steps.push(slots);
        Ok(())
    }

    /// The program; `None` when there is nothing to compute.
    pub fn build(self) -> Option<Program> {
        let Program { steps, explode } = &self.program;
        (explode.is_some() || steps.iter().any(|slots| !slots.is_empty())).then_some(self.program)
    }
}

fn working(columns: &[Field]) -> Vec<ArrowField> {
    let column = |(n, field): (usize, &Field)| ArrowField::new(column_name(n), arrow_type(field.kind), true);
    columns.iter().enumerate().map(column).collect()
}

fn type_of(expr: &Expr, working: &[ArrowField]) -> Result<DataType, DataFusionError> {
    let schema = DFSchema::try_from(Schema::new(working.to_vec()))?;
    expr.get_type(&schema)
}

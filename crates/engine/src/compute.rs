//! Columns computed from columns: what the engine asks of whoever compiles expressions (`plan`, with DataFusion).
//!
//! Expressions are evaluated for a whole batch at once. One that fails says so for the batch, so the guilty rows are
//! found by halving; all other rows keep their values.

use crate::column::Column;
use crate::spec::{Field, Kind, Source, Step};
use std::fmt;

/// The compiled expressions of one source.
///
/// Implementations are pure: the same columns give the same answer, on every worker.
pub trait Compute: fmt::Debug + Send + Sync {
    /// The columns that step `step` of [`Source::steps`] adds to `columns`, each with `rows` values.
    ///
    /// # Errors
    /// When an expression fails on any of the rows.
    fn columns(&self, step: usize, columns: &[Column], rows: usize) -> Result<Vec<Column>, ComputeError>;

    /// The elements of the list that [`Source::explode`] asks for.
    ///
    /// # Errors
    /// When the expression fails on any of the rows.
    fn explode(&self, columns: &[Column], rows: usize) -> Result<Exploded, ComputeError>;

    /// Whether a step reads this column. One that nothing reads behind the explosion is not repeated for every element.
    fn reads(&self, _column: usize) -> bool {
        true
    }
}

/// One event per element of a list.
#[derive(Debug, Clone)]
pub struct Exploded {
    /// The row that each element comes from, ascending.
    pub parents: Vec<u32>,
    /// The elements.
    pub elements: Column,
}

impl Exploded {
    /// Leaves out the elements of these rows, ascending.
    pub(crate) fn leave_out(&mut self, rows: &[u32]) {
        let kept = self.parents.iter().enumerate().filter(|(_, row)| rows.binary_search(row).is_err());
        let (numbers, parents) = kept.map(|(number, row)| (number as u32, *row)).unzip::<_, _, Vec<_>, _>();
        self.elements = self.elements.take(&numbers);
        self.parents = parents;
    }
}

/// An expression failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComputeError {
    /// Which one: its number in the step.
    pub column: usize,
    /// Why, in words.
    pub message: String,
}

impl fmt::Display for ComputeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ComputeError {}

/// What a step gave.
#[derive(Debug)]
pub(crate) struct Computed {
    /// One column per field of the step; null where it failed.
    pub(crate) columns: Vec<Column>,
    /// Rows on which an expression failed, ascending, with the number of the expression.
    pub(crate) failed: Vec<(u32, usize)>,
}

/// Evaluates a step. O(rows) where nothing fails; every failing row costs O(log rows) evaluations more.
pub(crate) fn compute(
    program: &dyn Compute,
    step: usize,
    fields: &[Field],
    columns: &[Column],
    rows: usize,
) -> Computed {
    compute_from(program, step, fields, columns, rows, 0)
}

fn compute_from(
    program: &dyn Compute,
    step: usize,
    fields: &[Field],
    columns: &[Column],
    rows: usize,
    first: u32,
) -> Computed {
    match program.columns(step, columns, rows) {
        Ok(columns) => Computed { columns, failed: Vec::new() },
        Err(error) if rows <= 1 => Computed {
            columns: fields.iter().map(|field| Column::nulls(field.kind, rows)).collect(),
            failed: (0..rows as u32).map(|row| (first + row, error.column)).collect(),
        },
        Err(_) => {
            let half = rows / 2;
            let rest = rows - half;
            let (left, right) = (slices(columns, 0, half), slices(columns, half, rest));
            let mut left = compute_from(program, step, fields, &left, half, first);
            let right = compute_from(program, step, fields, &right, rest, first + half as u32);
            left.columns = left.columns.iter().zip(&right.columns).map(|(a, b)| a.followed_by(b)).collect();
            left.failed.extend(right.failed);
            left
        }
    }
}

/// Explodes rows; those on which the expression failed come back as the second value, ascending.
pub(crate) fn explode(
    program: &dyn Compute,
    kind: Kind,
    columns: &[Column],
    rows: usize,
) -> (Exploded, Vec<u32>) {
    match program.explode(columns, rows) {
        Ok(exploded) => (exploded, Vec::new()),
        Err(_) if rows <= 1 => {
            let nothing = Exploded { parents: Vec::new(), elements: Column::nulls(kind, 0) };
            (nothing, (0..rows as u32).collect())
        }
        Err(_) => {
            let half = rows / 2;
            let rest = rows - half;
            let (left, mut failed) = explode(program, kind, &slices(columns, 0, half), half);
            let (right, failed_right) = explode(program, kind, &slices(columns, half, rest), rest);
            failed.extend(failed_right.into_iter().map(|row| row + half as u32));
            let mut parents = left.parents;
            parents.extend(right.parents.iter().map(|row| row + half as u32));
            (Exploded { parents, elements: left.elements.followed_by(&right.elements) }, failed)
        }
    }
}

fn slices(columns: &[Column], start: usize, len: usize) -> Vec<Column> {
    columns.iter().map(|column| column.slice(start, len)).collect()
}

/// The fields of a computing step.
pub(crate) fn fields_of(source: &Source, step: usize) -> &[Field] {
    match &source.steps[step] {
        Step::Compute(fields) => fields,
        Step::Judge { .. } => &[],
    }
}

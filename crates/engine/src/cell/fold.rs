//! Rows into cells: the path is chosen once per run of rows, then a plain loop.

use super::{Cell, Cells, Columns};
use crate::batch::{Batch, Column};
use crate::groups::OTHER;
use crate::spec::{Kind, Measure};
use arrow_array::Array;
use sketch::Token;
use std::ops::Range;

/// The rows that enter the same pane, with what is needed to fold them.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The events.
    pub batch: &'a Batch,
    /// Their tokens.
    pub columns: &'a Columns,
    /// The group of every row of the batch; `None` when there is only the total.
    pub groups: Option<&'a [u32]>,
}

impl Cells {
    /// Folds rows `range` in. A row without a value still makes its group exist.
    pub fn fold(&mut self, measure: &Measure, kind: Option<Kind>, rows: Rows<'_>, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let mut run = Run { cells: self, measure, kind, groups: rows.groups, range };
        match *measure {
            Measure::Count => run.count(),
            Measure::Sum(field)
            | Measure::Avg(field)
            | Measure::Stddev(field)
            | Measure::Min(field)
            | Measure::Max(field) => run.moments(&rows.batch.columns[field]),
            Measure::Unique { field, .. } => {
                run.tokens(rows.columns.tokens(field));
            }
            Measure::Freq { field, .. } | Measure::Top { field, .. } => {
                run.items(&rows.batch.columns[field], rows.columns.tokens(field));
            }
            Measure::Quantiles { field, .. } | Measure::Histogram { field, .. } => {
                run.numbers(&rows.batch.columns[field]);
            }
        }
    }
}

/// A run of rows on its way into the cells of one metric.
struct Run<'a> {
    cells: &'a mut Cells,
    measure: &'a Measure,
    kind: Option<Kind>,
    groups: Option<&'a [u32]>,
    range: Range<usize>,
}

impl Run<'_> {
    /// Hands every row its cell. A group is made by its first row, with or without a value.
    #[inline(always)]
    fn each(&mut self, mut fold: impl FnMut(&mut Cell, usize)) {
        let Some(groups) = self.groups else {
            let range = self.range.clone();
            let cell = self.total();
            range.for_each(|row| fold(cell, row));
            return;
        };
        let make = || Cell::new(self.measure, self.kind);
        for row in self.range.clone() {
            let cell = self.cells.get_mut(groups[row]);
            if matches!(cell, Cell::Empty) {
                *cell = make();
            }
            fold(cell, row);
        }
    }

    /// The only cell there is when nothing is grouped by.
    fn total(&mut self) -> &mut Cell {
        let cell = self.cells.get_mut(OTHER);
        if matches!(cell, Cell::Empty) {
            *cell = Cell::new(self.measure, self.kind);
        }
        cell
    }

    fn count(&mut self) {
        if self.groups.is_none() {
            let rows = self.range.len() as u64;
            if let Cell::Count(n) = self.total() {
                *n += rows;
            }
            return;
        }
        self.each(|cell, _| {
            if let Cell::Count(n) = cell {
                *n += 1;
            }
        });
    }

    /// Distinct values. [`NO_TOKEN`](super::columns::NO_TOKEN) has rank 0, which the sketch leaves out by itself.
    fn tokens(&mut self, tokens: &[Token]) {
        if self.groups.is_none() {
            let range = self.range.clone();
            if let Cell::Unique(sketch) = self.total() {
                sketch.update_all(&tokens[range]);
            }
            return;
        }
        self.each(|cell, row| {
            if let Cell::Unique(sketch) = cell {
                sketch.update(tokens[row]);
            }
        });
    }

    fn moments(&mut self, column: &Column) {
        match column {
            Column::Int64(array) => self.each(|cell, row| {
                if let Cell::Moments(m) = cell
                    && array.is_valid(row)
                {
                    m.update_i64(array.value(row));
                }
            }),
            Column::Float64(array) => self.each(|cell, row| {
                if let Cell::Moments(m) = cell
                    && array.is_valid(row)
                {
                    m.update_f64(array.value(row));
                }
            }),
            Column::String(_) | Column::Bool(_) => {}
        }
    }

    fn items(&mut self, column: &Column, tokens: &[Token]) {
        let update = |cell: &mut Cell, row: usize, item: &[u8]| match cell {
            Cell::Top(counters) => counters.update(tokens[row], 1, item),
            Cell::Freq(freq) => freq.update(tokens[row], 1, item),
            _ => {}
        };
        match column {
            Column::String(array) => {
                let (offsets, values) = (array.value_offsets(), array.value_data());
                self.each(|cell, row| {
                    if tokens[row].0 != 0 {
                        update(cell, row, &values[offsets[row] as usize..offsets[row + 1] as usize]);
                    }
                });
            }
            Column::Int64(array) => self.each(|cell, row| {
                if tokens[row].0 != 0 {
                    update(cell, row, &array.value(row).to_le_bytes());
                }
            }),
            Column::Float64(array) => self.each(|cell, row| {
                if tokens[row].0 != 0 {
                    update(cell, row, &array.value(row).to_le_bytes());
                }
            }),
            Column::Bool(array) => self.each(|cell, row| {
                if tokens[row].0 != 0 {
                    update(cell, row, &[u8::from(array.value(row))]);
                }
            }),
        }
    }

    fn numbers(&mut self, column: &Column) {
        let update = |cell: &mut Cell, value: f64| match cell {
            Cell::Quantiles(q) => q.update(value),
            Cell::Histogram(h) => h.update(value),
            _ => {}
        };
        match column {
            Column::Float64(array) if self.groups.is_none() && array.nulls().is_none() => {
                let values = &array.values()[self.range.clone()];
                match self.total() {
                    Cell::Quantiles(q) => q.update_all(values),
                    Cell::Histogram(h) => h.update_all(values),
                    _ => {}
                }
            }
            Column::Float64(array) => {
                let (values, nulls) = (array.values(), array.nulls());
                self.each(|cell, row| {
                    if nulls.is_none_or(|n| n.is_valid(row)) {
                        update(cell, values[row]);
                    }
                });
            }
            Column::Int64(array) => self.each(|cell, row| {
                if array.is_valid(row) {
                    update(cell, array.value(row) as f64);
                }
            }),
            Column::String(_) | Column::Bool(_) => {}
        }
    }
}

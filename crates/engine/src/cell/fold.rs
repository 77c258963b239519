//! Rows into cells: the path is chosen once per run of rows, then a plain loop.

use super::columns::NO_HASH;
use super::{Cell, Cells, Columns};
use crate::batch::Batch;
use crate::column::Column;
use crate::groups::{OTHER, write_value};
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

/// The most that one event may weigh, 2^40: a sketch adds weights up in 64 bits, so it takes sixteen million of these.
pub const WEIGHT_MAX: i64 = 1 << 40;

/// What is folded into the cells of a series.
#[derive(Debug, Clone, Copy)]
pub struct What<'a> {
    /// The measure.
    pub measure: &'a Measure,
    /// The type of the field it reads.
    pub kind: Option<Kind>,
    /// The boolean column that says which events enter.
    pub filter: Option<usize>,
}

impl Cells {
    /// Folds rows `range` in, as far as the filter lets them. A row without a value still makes its group exist.
    pub fn fold(&mut self, what: What<'_>, rows: Rows<'_>, range: Range<usize>) {
        for_each_true(rows.batch, what.filter, range, |range| self.fold_all(what, rows, range));
    }

    fn fold_all(&mut self, what: What<'_>, rows: Rows<'_>, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let mut run = Run::new(self, what, rows, range);
        let columns = &rows.batch.columns;
        match *what.measure {
            Measure::Count => run.count(),
            Measure::Sum(field)
            | Measure::Avg(field)
            | Measure::Stddev(field)
            | Measure::Min(field)
            | Measure::Max(field) => run.moments(&columns[field]),
            Measure::Unique { field, .. } => run.tokens(rows.columns.tokens(field)),
            Measure::Audience { field, .. } => run.hashes(rows.columns.hashes(field)),
            Measure::Freq { field, weight, .. } | Measure::Top { field, weight, .. } => {
                run.items(&columns[field], rows.columns.tokens(field), weight.map(|weight| &columns[weight]));
            }
            Measure::Quantiles { field, .. } | Measure::Histogram { field, .. } => {
                run.numbers(&columns[field]);
            }
            Measure::Sample { ref fields, .. } => run.rows(rows, fields),
            Measure::Seen { .. } | Measure::Session { .. } => {}
        }
    }
}

/// Calls `then` with the stretches of `range` on which a boolean column is true; without a column with all of it.
pub(crate) fn for_each_true(
    batch: &Batch,
    filter: Option<usize>,
    range: Range<usize>,
    mut then: impl FnMut(Range<usize>),
) {
    let condition = filter.and_then(|column| batch.columns[column].as_bool());
    let Some(condition) = condition else { return then(range) };
    let holds = |row: usize| condition.is_valid(row) && condition.value(row);
    let mut start = range.start;
    while let Some(first) = (start..range.end).find(|&row| holds(row)) {
        start = (first + 1..range.end).find(|&row| !holds(row)).unwrap_or(range.end);
        then(first..start);
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

impl<'a> Run<'a> {
    fn new(cells: &'a mut Cells, what: What<'a>, rows: Rows<'a>, range: Range<usize>) -> Run<'a> {
        Run { cells, measure: what.measure, kind: what.kind, groups: rows.groups, range }
    }

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

    /// Distinct values, as whole hashes.
    fn hashes(&mut self, hashes: &[u64]) {
        self.each(|cell, row| {
            if let Cell::Audience(sketch) = cell
                && hashes[row] != NO_HASH
            {
                sketch.update(hashes[row]);
            }
        });
    }

    /// Whole rows, a sample of them.
    fn rows(&mut self, rows: Rows<'_>, fields: &[usize]) {
        let priorities = rows.columns.priorities();
        self.each(|cell, row| {
            if let Cell::Sample(sample) = cell {
                sample.offer(priorities[row], |payload| {
                    fields.iter().for_each(|&field| write_value(&rows.batch.columns[field], row, payload));
                });
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

    /// Items, each with its weight: events without an item or with a weight that is missing or not above zero add
    /// nothing.
    fn items(&mut self, column: &Column, tokens: &[Token], weight: Option<&Column>) {
        let weights = match weight {
            Some(Column::Int64(array)) => Some(array),
            _ => None,
        };
        let weight = |row: usize| match weights {
            None => 1,
            Some(array) if array.is_valid(row) => match array.value(row) {
                weight @ 1..=WEIGHT_MAX => weight as u64,
                _ => 0,
            },
            Some(_) => 0,
        };
        let update = |cell: &mut Cell, row: usize, item: &[u8]| match (cell, weight(row)) {
            (_, 0) => {}
            (Cell::Top(counters), weight) => counters.update(tokens[row], weight, item),
            (Cell::Freq(freq), weight) => freq.update(tokens[row], weight, item),
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

//! Rows into cells: the path is chosen once per run of rows, then a plain loop.

use super::{Cell, Cells, Columns};
use crate::batch::{Batch, Column};
use crate::spec::{Kind, Measure};
use arrow_array::Array;
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
        self.make_room(measure, kind, rows.groups, range.clone());
        match *measure {
            Measure::Count => self.count(rows.groups, range),
            Measure::Sum(field)
            | Measure::Avg(field)
            | Measure::Stddev(field)
            | Measure::Min(field)
            | Measure::Max(field) => self.moments(&rows.batch.columns[field], rows.groups, range),
            Measure::Unique { field, .. } => {
                let tokens = rows.columns.tokens(field);
                self.each(rows.groups, range, |cell, row| {
                    if let Cell::Unique(sketch) = cell
                        && tokens[row].0 != 0
                    {
                        sketch.update(tokens[row]);
                    }
                });
            }
            Measure::Freq { field, .. } | Measure::Top { field, .. } => {
                self.items(&rows.batch.columns[field], rows.columns.tokens(field), rows.groups, range);
            }
            Measure::Quantiles { field, .. } | Measure::Histogram { field, .. } => {
                self.numbers(&rows.batch.columns[field], rows.groups, range);
            }
        }
    }

    /// Makes the cells that these rows touch.
    fn make_room(
        &mut self,
        measure: &Measure,
        kind: Option<Kind>,
        groups: Option<&[u32]>,
        range: Range<usize>,
    ) {
        let largest = groups.map_or(0, |g| g[range.clone()].iter().copied().max().unwrap_or(0));
        self.get_mut(largest);
        match groups {
            None => self.make(0, measure, kind),
            Some(groups) => {
                for &group in &groups[range] {
                    if matches!(self.by_group[group as usize], Cell::Empty) {
                        self.make(group, measure, kind);
                    }
                }
            }
        }
    }

    fn make(&mut self, group: u32, measure: &Measure, kind: Option<Kind>) {
        let cell = &mut self.by_group[group as usize];
        if matches!(cell, Cell::Empty) {
            *cell = Cell::new(measure, kind);
        }
    }

    #[inline]
    fn each(&mut self, groups: Option<&[u32]>, range: Range<usize>, mut fold: impl FnMut(&mut Cell, usize)) {
        match groups {
            None => {
                let cell = &mut self.by_group[0];
                range.for_each(|row| fold(cell, row));
            }
            Some(groups) => {
                for row in range {
                    fold(&mut self.by_group[groups[row] as usize], row);
                }
            }
        }
    }

    fn count(&mut self, groups: Option<&[u32]>, range: Range<usize>) {
        if groups.is_none() {
            if let Cell::Count(n) = &mut self.by_group[0] {
                *n += range.len() as u64;
            }
            return;
        }
        self.each(groups, range, |cell, _| {
            if let Cell::Count(n) = cell {
                *n += 1;
            }
        });
    }

    fn moments(&mut self, column: &Column, groups: Option<&[u32]>, range: Range<usize>) {
        match column {
            Column::Int64(array) => self.each(groups, range, |cell, row| {
                if let Cell::Moments(m) = cell
                    && array.is_valid(row)
                {
                    m.update_i64(array.value(row));
                }
            }),
            Column::Float64(array) => self.each(groups, range, |cell, row| {
                if let Cell::Moments(m) = cell
                    && array.is_valid(row)
                {
                    m.update_f64(array.value(row));
                }
            }),
            Column::String(_) | Column::Bool(_) => {}
        }
    }

    fn items(
        &mut self,
        column: &Column,
        tokens: &[sketch::Token],
        groups: Option<&[u32]>,
        range: Range<usize>,
    ) {
        let update = |cell: &mut Cell, row: usize, item: &[u8]| match cell {
            Cell::Top(counters) => counters.update(tokens[row], 1, item),
            Cell::Freq(freq) => freq.update(tokens[row], 1, item),
            _ => {}
        };
        match column {
            Column::String(array) => {
                let (offsets, values) = (array.value_offsets(), array.value_data());
                self.each(groups, range, |cell, row| {
                    if tokens[row].0 != 0 {
                        update(cell, row, &values[offsets[row] as usize..offsets[row + 1] as usize]);
                    }
                });
            }
            Column::Int64(array) => self.each(groups, range, |cell, row| {
                if tokens[row].0 != 0 {
                    update(cell, row, &array.value(row).to_le_bytes());
                }
            }),
            Column::Float64(array) => self.each(groups, range, |cell, row| {
                if tokens[row].0 != 0 {
                    update(cell, row, &array.value(row).to_le_bytes());
                }
            }),
            Column::Bool(array) => self.each(groups, range, |cell, row| {
                if tokens[row].0 != 0 {
                    update(cell, row, &[u8::from(array.value(row))]);
                }
            }),
        }
    }

    fn numbers(&mut self, column: &Column, groups: Option<&[u32]>, range: Range<usize>) {
        let update = |cell: &mut Cell, value: f64| match cell {
            Cell::Quantiles(q) => q.update(value),
            Cell::Histogram(h) => h.update(value),
            _ => {}
        };
        match column {
            Column::Float64(array) => {
                let (values, nulls) = (array.values(), array.nulls());
                self.each(groups, range, |cell, row| {
                    if nulls.is_none_or(|n| n.is_valid(row)) {
                        update(cell, values[row]);
                    }
                });
            }
            Column::Int64(array) => self.each(groups, range, |cell, row| {
                if array.is_valid(row) {
                    update(cell, array.value(row) as f64);
                }
            }),
            Column::String(_) | Column::Bool(_) => {}
        }
    }
}

//! What follows reading: one event per element of a list, columns computed from columns, a time that is computed.
//!
//! Still a function of the source and the block alone. A row on which an expression fails, or whose computed time is
//! none, becomes bad like any record that cannot be read; its neighbours stay.

use super::time::TimeReader;
use super::value::Scalar;
use crate::batch::{Bad, Batch, Block, Place, Raw, Reason};
use crate::column::Column;
use crate::compute::{Compute, Computed, compute, explode, fields_of};
use crate::spec::{BadPolicy, Field, Kind, Source, Step, TimeFrom};
use crate::time::Time;
use std::sync::Arc;

/// The steps that look at nothing but the record.
pub(super) struct Completion {
    program: Option<Arc<dyn Compute>>,
    /// Kind of the exploded elements.
    explode: Option<Kind>,
    steps: Vec<Vec<Field>>,
    /// The column that holds event time.
    time: Option<(usize, TimeReader)>,
    keep_bad: bool,
    /// Fields that only the list of an explosion is made of.
    spent: Vec<usize>,
    keep_fields: bool,
    /// Columns that metrics and the clock read.
    read: Vec<usize>,
    fields: Vec<Kind>,
}

/// Most bytes of text that the explosion of one block may repeat: a record whose elements would bring it beyond is bad
/// (`too_long`). Elements times the length of their record grow with its square.
const REPEATED_BYTES_MAX: u64 = 256 << 20;

impl Completion {
    pub(super) fn new(source: &Source) -> Completion {
        let time = source.time.as_ref().and_then(|time| match &time.from {
            TimeFrom::Column { column, format } => Some((*column, TimeReader::new(format))),
            TimeFrom::Field { .. } | TimeFrom::Row(_) | TimeFrom::Arrival => None,
        });
        let metrics = source.metrics.iter().flat_map(|metric| metric.columns());
        Completion {
            program: None,
            spent: Vec::new(),
            keep_fields: false,
            read: metrics.chain(time.as_ref().map(|(column, _)| *column)).collect(),
            fields: source.fields.iter().map(|field| field.kind).collect(),
            explode: source.explode.as_ref().map(|field| field.kind),
            steps: (0..source.certain_steps()).map(|step| fields_of(source, step).to_vec()).collect(),
            time,
            keep_bad: source.bad == BadPolicy::Quarantine,
        }
    }

    /// Gives the expressions that the source names.
    pub(super) fn set_program(&mut self, program: Arc<dyn Compute>) {
        let is_spent = |column: &usize| !program.reads(*column) && !self.read.contains(column);
        self.spent = (0..self.fields.len()).filter(is_spent).collect();
        self.program = Some(program);
    }

    /// Keeps all columns: somebody will look at events one by one.
    pub(super) fn keep_fields(&mut self) {
        self.keep_fields = true;
    }

    /// Whether rows must know where their records stand.
    pub(super) fn wants_places(source: &Source) -> bool {
        let computes = source.steps.iter().any(|step| matches!(step, Step::Compute(_)));
        let samples = source.metrics.iter().any(|metric| metric.measure.samples_rows());
        computes || source.explode.is_some() || samples
    }

    /// Completes what was read of a block.
    ///
    /// # Panics
    /// When the source has expressions and nobody gave their program: that is a bug of the wiring.
    pub(super) fn apply(&self, block: &Block<'_>, batch: &mut Batch) {
        batch.has_value = batch.columns.iter().map(Column::has_value).collect();
        if self.explode.is_none() && self.steps.is_empty() {
            return;
        }
        let program = self.program.as_deref().expect("a source with expressions comes with their program");
        let found = batch.bad.len();
        if let Some(kind) = self.explode {
            self.explode(program, kind, block, batch);
        }
        for (step, fields) in self.steps.iter().enumerate() {
            let before = batch.columns.len();
            let Computed { columns, failed } = compute(program, step, fields, &batch.columns, batch.rows);
            batch.columns.extend(columns);
            let failed = failed.into_iter().map(|(row, column)| (row, Some(before + column))).collect();
            self.drop_rows(Reason::Derive, failed, block, batch);
        }
        if let Some((column, reader)) = &self.time {
            self.read_times(*column, reader, block, batch);
        }
        if batch.bad.len() > found {
            batch.bad.sort_by_key(|bad| bad.raw.byte);
        }
    }

    fn explode(&self, program: &dyn Compute, kind: Kind, block: &Block<'_>, batch: &mut Batch) {
        let (mut exploded, failed) = explode(program, kind, &batch.columns, batch.rows);
        let spent = if self.keep_fields { &[][..] } else { &self.spent };
        for &column in spent {
            batch.columns[column] = Column::nulls(self.fields[column], batch.rows);
        }
        let long = too_long(&exploded.parents, batch);
        let mut parents = exploded.parents.clone();
        parents.dedup();
        batch.exploded_empty = (batch.rows - parents.len() - failed.len()) as u64;
        if !long.is_empty() {
            exploded.leave_out(&long);
        }
        let blame = Some(batch.columns.len());
        let mut left_out: Vec<(u32, Reason)> = failed.into_iter().map(|row| (row, Reason::Derive)).collect();
        left_out.extend(long.into_iter().map(|row| (row, Reason::TooLong)));
        left_out.sort_unstable();
        let rows: Vec<u32> = left_out.iter().map(|(row, _)| *row).collect();
        let ordinals = exploded_ordinals(&batch.ordinals, &exploded.parents, &rows);
        for (row, reason) in left_out {
            self.report(reason, blame, row, block, batch);
        }
        batch.take(&exploded.parents);
        batch.columns.push(exploded.elements);
        batch.ordinals = ordinals;
        batch.records = (batch.rows + batch.bad.len()) as u64;
    }

    fn read_times(&self, column: usize, reader: &TimeReader, block: &Block<'_>, batch: &mut Batch) {
        let times = times(&batch.columns[column], reader);
        let failed: Vec<(u32, Option<usize>)> = times
            .iter()
            .enumerate()
            .filter(|(_, time)| time.is_none())
            .map(|(row, _)| (row as u32, Some(column)))
            .collect();
        batch.times = times.into_iter().map(|time| time.unwrap_or(Time(0))).collect();
        self.drop_rows(Reason::Time, failed, block, batch);
    }

    /// Takes rows (ascending, with the column to blame) out of the batch and reports them as bad.
    fn drop_rows(
        &self,
        reason: Reason,
        failed: Vec<(u32, Option<usize>)>,
        block: &Block<'_>,
        batch: &mut Batch,
    ) {
        if failed.is_empty() {
            return;
        }
        for &(row, blame) in &failed {
            self.report(reason, blame, row, block, batch);
        }
        let mut dropped = failed.iter().map(|(row, _)| *row).peekable();
        let kept: Vec<u32> =
            (0..batch.rows as u32).filter(|row| dropped.next_if(|other| other == row).is_none()).collect();
        batch.take(&kept);
    }

    fn report(&self, reason: Reason, field: Option<usize>, row: u32, block: &Block<'_>, batch: &mut Batch) {
        let Place { line, start, len } = batch.places[row as usize];
        let byte = block.first_byte + u64::from(start);
        // The events of an exploded record share its bytes: they are set aside with the first that is bad.
        let again = batch.bad.last().is_some_and(|bad| bad.raw.byte == byte);
        let bytes = match block.bytes.get(start as usize..(start + len) as usize) {
            Some(bytes) if self.keep_bad && !again => bytes.into(),
            _ => Box::default(),
        };
        let raw = Raw { line: line.into(), byte, bytes };
        batch.bad.push(Bad { reason, field, raw });
    }
}

/// Rows, ascending, whose text would be repeated beyond [`REPEATED_BYTES_MAX`].
fn too_long(parents: &[u32], batch: &Batch) -> Vec<u32> {
    let len = |row: u32, column: &Column| match column {
        Column::String(a) => a.value_length(row as usize) as u64,
        Column::Int64(_) | Column::Float64(_) | Column::Bool(_) => 0,
    };
    let mut left = REPEATED_BYTES_MAX;
    let rows = parents.chunk_by(|a, b| a == b).filter_map(|elements| {
        let text: u64 = batch.columns.iter().map(|column| len(elements[0], column)).sum();
        let each = text + batch.raw.get(elements[0] as usize).map_or(0, |raw| raw.bytes.len() as u64);
        let rest = left.checked_sub(each.saturating_mul(elements.len() as u64));
        left = rest.unwrap_or(left);
        rest.is_none().then_some(elements[0])
    });
    rows.collect()
}

/// Numbers of the exploded events among the events and bad records of the block, from those of the records.
fn exploded_ordinals(records: &[u32], parents: &[u32], failed: &[u32]) -> Vec<u32> {
    if records.is_empty() {
        return Vec::new();
    }
    let number = |(event, &parent): (usize, &u32)| {
        let bad_before =
            records[parent as usize] - parent + failed.partition_point(|&row| row < parent) as u32;
        event as u32 + bad_before
    };
    parents.iter().enumerate().map(number).collect()
}

/// The event times that a column holds.
fn times(column: &Column, reader: &TimeReader) -> Vec<Option<Time>> {
    let text = |text: &str| reader.read(&Scalar::Text(text.as_bytes()));
    match column {
        Column::String(a) => a.iter().map(|value| value.and_then(text)).collect(),
        Column::Int64(a) => a.iter().map(|value| value.and_then(|v| text(&v.to_string()))).collect(),
        Column::Float64(a) => a.iter().map(|value| value.and_then(|v| text(&v.to_string()))).collect(),
        Column::Bool(a) => vec![None; a.len()],
    }
}

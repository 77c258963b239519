//! What measures read of a batch: every value hashed once, whatever the number of sketches that want it, by the one hash
//! function of its source.
//!
//! Two hashes leave one function: tokens for all sketches but Theta, which keeps 63 bits of the hash itself.

use crate::batch::Batch;
use crate::column::Column;
use crate::spec::{Measure, Source};
use sketch::Token;
use sketch::hash::Hashing;

/// A missing value: no hash has rank 0, so 0 is no token.
pub const NO_TOKEN: Token = Token(0);

/// The hashes of a batch, by column. Keeps its buffers from batch to batch.
#[derive(Debug, Default)]
pub struct Columns {
    hashing: Hashing,
    hashed: Vec<usize>,
    tokens: Vec<Vec<Token>>,
    /// Columns whose whole hashes are wanted.
    whole: Vec<usize>,
    hashes: Vec<Vec<u64>>,
    /// Whether rows are sampled.
    samples: bool,
    priorities: Vec<u64>,
}

impl Columns {
    /// For the columns that some measure of the source hashes.
    pub fn new(source: &Source) -> Columns {
        let wanted = |wants: fn(&Measure) -> Option<usize>| {
            let mut columns: Vec<usize> = source.metrics.iter().filter_map(|m| wants(&m.measure)).collect();
            columns.sort_unstable();
            columns.dedup();
            columns
        };
        let columns = source.columns().len();
        Columns {
            hashing: source.hashing.clone(),
            hashed: wanted(|measure| match measure {
                Measure::Unique { field, .. } | Measure::Freq { field, .. } | Measure::Top { field, .. } => {
                    Some(*field)
                }
                _ => None,
            }),
            tokens: vec![Vec::new(); columns],
            whole: wanted(|measure| match measure {
                Measure::Audience { field, .. } => Some(*field),
                _ => None,
            }),
            hashes: vec![Vec::new(); columns],
            samples: source.metrics.iter().any(|metric| metric.measure.samples_rows()),
            priorities: Vec::new(),
        }
    }

    /// How values are hashed.
    pub fn hashing(&self) -> &Hashing {
        &self.hashing
    }

    /// Hashes the batch.
    pub fn prepare(&mut self, batch: &Batch) {
        for &field in &self.hashed {
            hash_column(&self.hashing, &batch.columns[field], &mut self.tokens[field]);
        }
        for &field in &self.whole {
            whole_hashes(&self.hashing, &batch.columns[field], &mut self.hashes[field]);
        }
        if self.samples {
            priorities(batch, &mut self.priorities);
        }
    }

    /// The tokens of a field, one per row; [`NO_TOKEN`] for null and for the empty string.
    pub fn tokens(&self, field: usize) -> &[Token] {
        &self.tokens[field]
    }

    /// The whole hashes of a field, one per row; [`NO_HASH`] for null and for the empty string.
    pub fn hashes(&self, field: usize) -> &[u64] {
        &self.hashes[field]
    }

    /// The sampling priority of each row.
    pub fn priorities(&self) -> &[u64] {
        &self.priorities
    }
}

/// A missing value among whole hashes.
pub const NO_HASH: u64 = 0;

/// The smallest priorities are sampled. They follow from where an event stood in the input, so they do not depend on
/// blocks, workers and shards, and equal events are sampled independently.
fn priorities(batch: &Batch, out: &mut Vec<u64>) {
    out.clear();
    let (mut before, mut nth) = (None, 0);
    for place in &batch.places {
        // The events of one exploded record stand next to one another.
        nth = if before == Some(place.start) { nth + 1 } else { 0 };
        before = Some(place.start);
        let position = batch.first_byte + u64::from(place.start);
        let priority = sketch::sample::priority(batch.partition, position);
        out.push(if nth == 0 { priority } else { sketch::sample::priority(nth, priority) });
    }
}

/// The whole hashes of a column; [`NO_HASH`] for null and for the empty string.
fn whole_hashes(hashing: &Hashing, column: &Column, out: &mut Vec<u64>) {
    match column {
        Column::String(array) => {
            hashing.theta_hashes_of_strings(array.value_data(), array.value_offsets(), out);
        }
        Column::Int64(array) => hashing.theta_hashes_of_i64s(array.values(), out),
        Column::Float64(array) => hashing.theta_hashes_of_f64s(array.values(), out),
        Column::Bool(array) => {
            let of = [false, true].map(|bit| hashing.theta_hash_of_i64(bit.into()));
            out.clear();
            out.extend((0..array.len()).map(|row| of[usize::from(array.value(row))]));
        }
    }
    leave_out_missing(column, out, NO_HASH);
}

/// The tokens of a column; [`NO_TOKEN`] for null and for the empty string.
pub(crate) fn hash_column(hashing: &Hashing, column: &Column, out: &mut Vec<Token>) {
    match column {
        Column::String(array) => {
            hashing.tokens_of_strings(array.value_data(), array.value_offsets(), out);
        }
        Column::Int64(array) => hashing.tokens_of_i64s(array.values(), out),
        Column::Float64(array) => hashing.tokens_of_f64s(array.values(), out),
        Column::Bool(array) => {
            let of = [false, true].map(|bit| hashing.token_of_i64(bit.into()));
            out.clear();
            out.extend((0..array.len()).map(|row| of[usize::from(array.value(row))]));
        }
    }
    leave_out_missing(column, out, NO_TOKEN);
}

fn leave_out_missing<T: Copy>(column: &Column, out: &mut [T], missing: T) {
    if let Column::String(array) = column {
        for (hash, ends) in out.iter_mut().zip(array.value_offsets().windows(2)) {
            if ends[0] == ends[1] {
                *hash = missing;
            }
        }
    }
    if let Some(nulls) = column.as_array().nulls() {
        for (row, hash) in out.iter_mut().enumerate() {
            if nulls.is_null(row) {
                *hash = missing;
            }
        }
    }
}

//! What measures read of a batch: every value hashed once, whatever the number of sketches that want it.
//!
//! Two hashes leave one function: tokens for all sketches but Theta, which keeps 63 bits of the hash itself.

use crate::batch::Batch;
use crate::column::Column;
use crate::spec::{Measure, Source};
use arrow_array::Array;
use sketch::Token;
use sketch::hash::{theta_hash_of_f64, theta_hash_of_i64, theta_hashes_of_strings, tokens_of_strings};

/// A missing value: no hash has rank 0, so 0 is no token.
pub const NO_TOKEN: Token = Token(0);

/// The hashes of a batch, by column. Keeps its buffers from batch to batch.
#[derive(Debug, Default)]
pub struct Columns {
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

    /// Hashes the batch.
    pub fn prepare(&mut self, batch: &Batch) {
        for &field in &self.hashed {
            hash_column(&batch.columns[field], &mut self.tokens[field]);
        }
        for &field in &self.whole {
            whole_hashes(&batch.columns[field], &mut self.hashes[field]);
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

fn whole_hashes(column: &Column, out: &mut Vec<u64>) {
    out.clear();
    let of = |hash: Option<u64>| hash.unwrap_or(NO_HASH);
    match column {
        Column::String(array) => {
            theta_hashes_of_strings(array.value_data(), array.value_offsets(), out);
            for (row, hash) in out.iter_mut().enumerate() {
                if array.is_null(row) || array.value_length(row) == 0 {
                    *hash = NO_HASH;
                }
            }
        }
        Column::Int64(a) => out.extend(a.iter().map(|v| of(v.map(theta_hash_of_i64)))),
        Column::Float64(a) => out.extend(a.iter().map(|v| of(v.map(theta_hash_of_f64)))),
        Column::Bool(a) => out.extend(a.iter().map(|v| of(v.map(|v| theta_hash_of_i64(v.into()))))),
    }
}

/// The tokens of a column; [`NO_TOKEN`] for null and for the empty string.
pub(crate) fn hash_column(column: &Column, out: &mut Vec<Token>) {
    let nulls = match column {
        Column::String(array) => {
            tokens_of_strings(array.value_data(), array.value_offsets(), out);
            for (token, ends) in out.iter_mut().zip(array.value_offsets().windows(2)) {
                if ends[0] == ends[1] {
                    *token = NO_TOKEN;
                }
            }
            array.nulls()
        }
        Column::Int64(array) => {
            out.clear();
            out.extend(array.values().iter().map(|&v| Token::of_i64(v)));
            array.nulls()
        }
        Column::Float64(array) => {
            out.clear();
            out.extend(array.values().iter().map(|&v| Token::of_f64(v)));
            array.nulls()
        }
        Column::Bool(array) => {
            out.clear();
            out.extend((0..array.len()).map(|row| Token::of_i64(i64::from(array.value(row)))));
            array.nulls()
        }
    };
    if let Some(nulls) = nulls {
        for (row, token) in out.iter_mut().enumerate() {
            if nulls.is_null(row) {
                *token = NO_TOKEN;
            }
        }
    }
}

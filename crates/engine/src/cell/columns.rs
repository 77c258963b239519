//! What measures read of a batch: every value hashed once, whatever the number of sketches that want it, by the one hash
//! function of its source.
//!
//! Two hashes leave one function: tokens for all sketches but Theta, which keeps 63 bits of the hash itself.

use crate::batch::Batch;
use crate::column::Column;
use crate::spec::{Measure, Source, TimeFrom};
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
    /// When rows are sampled: what tells them apart.
    identity: Option<Identity>,
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
            identity: Identity::of(source),
            priorities: Vec::new(),
        }
    }

    /// How values are hashed.
    pub fn hashing(&self) -> &Hashing {
        &self.hashing
    }

    /// Hashes nothing; says only how values were hashed.
    pub(crate) fn bare(&self) -> Columns {
        Columns {
            hashing: self.hashing.clone(),
            hashed: Vec::new(),
            tokens: Vec::new(),
            whole: Vec::new(),
            hashes: Vec::new(),
            identity: None,
            priorities: Vec::new(),
        }
    }

    /// Hashes the batch.
    pub fn prepare(&mut self, batch: &Batch) {
        for &field in &self.hashed {
            hash_column(&self.hashing, &batch.columns[field], &mut self.tokens[field]);
        }
        for &field in &self.whole {
            whole_hashes(&self.hashing, &batch.columns[field], &mut self.hashes[field]);
        }
        if let Some(identity) = &mut self.identity {
            priorities(batch, &mut self.priorities);
            identity.fold(&self.hashing, batch, &mut self.priorities);
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
/// blocks, workers and shards, and equal events are sampled independently. [`Identity`] makes them those of this input.
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

/// What an event is besides where it stood: its fields, and its time where that is not the clock's of its reading.
///
/// Two inputs have the same positions. Were an event drawn by its position alone, a merged sample would hold the events at
/// the same few places of both: fair one by one, and worth half of its rows. Only events that are equal in all that is
/// read of them and stand at the same place of two inputs are still drawn together. The hash is that of the source, under
/// its key too: a state tells of no field that it does not show.
#[derive(Debug)]
struct Identity {
    /// Columns that were read and not computed; they come first.
    fields: usize,
    timed: bool,
    /// The hashes of a column.
    hashes: Vec<u64>,
}

impl Identity {
    fn of(source: &Source) -> Option<Identity> {
        let samples = source.metrics.iter().any(|metric| metric.measure.samples_rows());
        let timed = source.time.as_ref().is_some_and(|time| time.from != TimeFrom::Arrival);
        let fields = source.fields.len() + usize::from(source.explode.is_some());
        samples.then(|| Identity { fields, timed, hashes: Vec::new() })
    }

    /// Draws anew from what was drawn and what the events are. O(rows · fields).
    fn fold(&mut self, hashing: &Hashing, batch: &Batch, priorities: &mut [u64]) {
        let mut fold = |part: usize, hashes: &[u64]| {
            for (priority, &hash) in priorities.iter_mut().zip(hashes) {
                *priority = sketch::sample::priority(part as u32, *priority ^ hash);
            }
        };
        if self.timed {
            self.hashes.clear();
            self.hashes.extend(batch.times.iter().map(|time| hashing.theta_hash_of_i64(time.0)));
            fold(self.fields, &self.hashes);
        }
        for (part, column) in batch.columns.iter().take(self.fields).enumerate() {
            whole_hashes(hashing, column, &mut self.hashes);
            fold(part, &self.hashes);
        }
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

//! What measures read of a batch: every value hashed once, whatever the number of sketches that want it.

use crate::batch::{Batch, Column};
use crate::spec::{Measure, Source};
use arrow_array::Array;
use sketch::Token;
use sketch::hash::tokens_of_strings;

/// A missing value: no hash has rank 0, so 0 is no token.
pub const NO_TOKEN: Token = Token(0);

/// The tokens of a batch, by field. Keeps its buffers from batch to batch.
#[derive(Debug, Default)]
pub struct Columns {
    hashed: Vec<usize>,
    tokens: Vec<Vec<Token>>,
}

impl Columns {
    /// For the fields that some measure of the source hashes.
    pub fn new(source: &Source) -> Columns {
        let mut hashed: Vec<usize> = source
            .metrics
            .iter()
            .filter_map(|m| match m.measure {
                Measure::Unique { field, .. } | Measure::Freq { field, .. } | Measure::Top { field, .. } => {
                    Some(field)
                }
                _ => None,
            })
            .collect();
        hashed.sort_unstable();
        hashed.dedup();
        Columns { hashed, tokens: vec![Vec::new(); source.fields.len()] }
    }

    /// Hashes the batch.
    pub fn prepare(&mut self, batch: &Batch) {
        for &field in &self.hashed {
            hash_column(&batch.columns[field], &mut self.tokens[field]);
        }
    }

    /// The tokens of a field, one per row; [`NO_TOKEN`] for null and for the empty string.
    pub fn tokens(&self, field: usize) -> &[Token] {
        &self.tokens[field]
    }
}

fn hash_column(column: &Column, out: &mut Vec<Token>) {
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

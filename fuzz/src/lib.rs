//! What the fuzz targets check, one module per target; `fuzz_targets/` only calls them.
//!
//! Each `run` takes bytes, reads its choices (kinds of fields, sizes of blocks) from the first few, and panics when a
//! promise is broken. Nothing here depends on the fuzzer, so `tests/seeds.rs` runs the same checks on any compiler.

pub mod access;
pub mod clock;
pub mod delimited;
pub mod ndjson;
pub mod pipeline;
pub mod rows;

/// Choices are made from the front of the input; what is left is the data. Behind the end all bytes are 0.
#[derive(Debug, Clone)]
pub struct Choices<'a>(pub &'a [u8]);

impl<'a> Choices<'a> {
    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// The next byte as a bit.
    pub fn bit(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// One of these.
    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::from(self.byte()) % of.len()].clone()
    }

    /// Eight bytes, little-endian.
    pub fn word(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// All the rest.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

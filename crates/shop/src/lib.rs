//! Seeded numbers and streams: the same seed gives the same bytes on every machine.
#![forbid(unsafe_code)]

pub mod random;
pub mod text;

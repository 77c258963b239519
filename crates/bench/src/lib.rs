//! What the measurements are made of: the event streams, and their keys.
//!
//! Left out: peers and the end-to-end table, which `cargo xtask bench` drives, and every judgement of correctness,
//! which belongs to the tests of the crates themselves.
#![forbid(unsafe_code)]

pub mod stream;

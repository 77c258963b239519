//! The shop from outside: its bytes, its shares, its times, its flood.
//!
//! Tests of chance are seeded, so they pass or fail for ever. The chance of a false alarm that they state is that of
//! another seed: what a change of the order of draws amounts to.

mod bytes;
mod flood;
mod shares;
mod times;

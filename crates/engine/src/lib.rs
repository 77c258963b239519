//! The engine: batches of events in, panes and totals kept, answers with bounds out.
//!
//! Pure and deterministic: bytes, time and limits come in as arguments, results are values; the same input in the
//! same order gives the same bytes. It is cut where a distributed engine shuffles:
//!
//! ```text
//! raw bytes -> decode -> Batch -> Intake (clock, late, ahead) -> Judge (seen before? sessions) -> Shard (panes, cells)
//!           -> Outlet (merge, answer)
//! ```
//!
//! Threads, files, channels and clocks belong to whoever drives it (`runtime`).
#![forbid(unsafe_code)]

pub mod adopt;
pub mod annotate;
pub mod answer;
mod away;
pub mod batch;
pub mod cell;
pub mod column;
pub mod compute;
pub mod days;
pub mod decode;
pub mod doubt;
pub mod engine;
mod freezable;
pub mod groups;
pub mod idle;
pub mod inbox;
pub mod intake;
pub mod judge;
pub mod moment;
pub mod origins;
pub mod outlet;
mod restore;
pub mod rollup;
pub mod series;
pub mod session;
pub mod shard;
mod slide;
pub mod spec;
pub mod state;
pub mod time;
pub mod times;
pub mod verdicts;

pub use away::Shelf;
pub use engine::Engine;
pub use restore::RestoreError;
pub use sketch::{Estimate, Guarantee};
pub use state::State;

/// The example of docs/states.md, run as a doc test.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/states.md")]
mod states_page {}

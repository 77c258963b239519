//! The engine: batches of events in, panes and totals kept, answers with bounds out.
//!
//! Pure and deterministic: bytes, time and limits come in as arguments, results are values; the same input in the
//! same order gives the same bytes. It is cut where a distributed engine shuffles:
//!
//! ```text
//! raw bytes -> decode -> Batch -> Intake (clock, late, ahead) -> Shard (panes, cells) -> Outlet (merge, answer)
//! ```
//!
//! Threads, files, channels and clocks belong to whoever drives it (`runtime`).
#![forbid(unsafe_code)]

pub mod batch;
pub mod decode;
pub mod spec;
pub mod time;

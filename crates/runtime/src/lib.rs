//! The local driver: files and standard input, threads, the quarantine and kept states, around the engine's pure machines.
//!
//! It owns every byte of IO and every thread (all of them in `pump.rs`); it knows nothing of the pipeline file or of
//! how answers are shown.
#![forbid(unsafe_code)]

pub mod checkpoint;
mod clock;
mod desk;
pub mod disk;
mod error;
pub mod inbox;
mod input;
mod job;
mod keep;
mod live;
pub mod origins;
mod parquet;
mod pump;
mod quarantine;
mod reader;
mod replies;
mod resume;
mod sink;
mod steps;
mod turn;

pub use error::RunError;
pub use input::{InputFile, expand, head, would_match};
pub use job::{
    Annotate, Finished, Follow, HEAD_BYTES, Input, Job, Keep, Received, Resumed, Status, Warn, Watch,
    WriteNotes,
};
pub use live::{Live, Lives};
pub use pump::run;
pub use reader::given::{Begin, Piece, Pieces};
pub use sink::{Sink, SinkTo};
pub use steps::Steps;

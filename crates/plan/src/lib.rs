//! The language of Streamgauge: a pipeline file in, the validated spec of the engine out.
//!
//! ```text
//! TOML text, --set overrides -> file/ (tables as plain structs, every key known) -> pipeline.rs (names, types, sizes) -> Spec
//!                                     measure/ (`top(page, 50)`)   columns.rs, expr/ (SQL)   accuracy.rs (`2% @ 95%`)
//! Pipeline -> size.rs (bytes and errors before the start), lint.rs (warnings), explain.rs (what will be done)
//! ```
//!
//! A wrong file is answered with all of its [`Problems`] at once, each pointing at a line and a column. What this
//! version does not know yet is a problem too: nothing in a file is ever ignored. The words of the file are described
//! in `docs/pipeline-file.md`. This crate opens no file and reads no data: texts come in, values go out; a secret that a
//! file names is fetched by who asks ([`Fetch`]).
//!
//! ```
//! let text = r#"
//! source.events = { kind = "file", path = "events.ndjson" }
//! metric.visitors = "unique(user_id)"
//! "#;
//! let pipeline = plan::Pipeline::parse("shop.toml", text, &[]).unwrap();
//! assert_eq!(pipeline.spec.name, "shop");
//! assert_eq!(pipeline.spec.sources[0].metrics[0].name, "visitors");
//!
//! let problems = plan::Pipeline::parse("shop.toml", &text.replace("unique", "unqiue"), &[]).unwrap_err();
//! assert!(problems.to_string().contains("did you mean `unique`?"));
//! ```
#![forbid(unsafe_code)]

mod accuracy;
mod change;
mod columns;
mod explain;
mod expr;
mod file;
pub mod infer;
mod input;
mod lint;
mod measure;
mod pipeline;
mod places;
mod problem;
pub mod query;
mod same;
mod secret;
mod sink;
pub mod size;

pub use accuracy::{Accuracy, Choice};
pub use change::{Change, Changes, Fate, MetricChanges, SourceChanges};
pub use explain::{Explained, SharedSet, Stage};
pub use expr::Program;
pub use file::checkpoint::{Checkpoint, Compression};
pub use file::overrides::Override;
pub use file::serve::{Serve, ServeQuery, ServeTls, ServeTokens};
pub use file::sink::SinkKind;
pub use file::time::zone_name;
pub use file::values::bytes;
pub use input::{Input, InputKind};
pub use pipeline::Pipeline;
pub use places::About;
pub use problem::{Place, Problem, Problems, SHOWN_MAX, did_you_mean};
pub use secret::{Fetch, SecretAt};
pub use sink::Sink;

/// The JSON Schema of pipeline files, for editors.
pub const SCHEMA: &str = include_str!("../../../docs/pipeline.schema.json");

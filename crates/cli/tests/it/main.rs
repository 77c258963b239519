//! The command as a user runs it: the built binary, small files, what it prints and how it ends.

mod asked;
mod bounded;
mod check;
mod demo;
mod diff;
mod errors;
mod follow;
mod formats;
mod http;
mod init;
mod inputs;
mod kept;
mod language;
mod manual;
mod outputs;
mod parquet;
mod reload;
mod resume;
mod run;
mod schema;
mod sessions;
mod sinks;
mod sites;
mod sketches;
mod states;
mod support;

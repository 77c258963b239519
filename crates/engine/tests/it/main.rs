//! The engine from outside: clock, panes, shards, decoders.

mod access;
mod adopt;
mod arrays;
mod clock;
mod compute;
mod days;
mod decode;
mod groups;
mod hashing;
mod idle;
mod moment;
mod panes;
mod real;
mod recent;
mod regressions;
mod retention;
mod rollups;
mod samples;
mod sessions;
mod slides;
mod spill;
mod state;
mod support;
mod verdicts;

//! The engine from outside: clock, panes, shards, decoders.

mod clock;
mod panes;
mod support;

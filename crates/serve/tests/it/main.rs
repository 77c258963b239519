//! The server as clients meet it: over real sockets of this machine, with an inbox that does what the test says.

mod abuse;
mod access;
mod asked;
mod bodies;
mod cached;
mod client;
mod inbox;
mod ingest;
mod openapi;
mod origins;
mod postgres;
mod stop;
mod wire;

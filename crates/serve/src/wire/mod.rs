//! The Postgres door: the same questions as `/v1/sql`, in the protocol that psql, drivers and dashboards speak.
//!
//! Version 3 of the protocol, written here (docs/decisions/0018-postgres.md says why). What may be asked, and within which limits, is
//! `plan::query`'s; who may ask, and the certificate, are those of HTTP. Every wait, length and number has a limit.
//!
//! ```text
//! listen.rs -> startup.rs (TLS, who is there: scram.rs) -> connection.rs -> simple.rs | extended.rs
//!     -> command.rs (BEGIN, SET, SHOW ...) | plan::query (queries, the catalogue) -> rows.rs -> encode.rs
//! ```

mod answer;
mod binding;
mod calendar;
mod cancel;
mod columns;
mod command;
mod connection;
mod decode;
mod encode;
mod extended;
mod failure;
mod line;
mod listen;
mod message;
mod out;
mod prepared;
mod scram;
mod settings;
mod simple;
mod startup;

pub(crate) use listen::{Wire, accept, bind};

use std::net::SocketAddr;
use std::time::Duration;

/// Longest message before it is known who is there.
const GREETING_BYTES_MAX: usize = 10_000;
/// Longest message.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Bytes that are read ahead while a statement runs.
const AHEAD_BYTES_MAX: usize = 64 << 10;
/// Bytes of an answer that are gathered before they are sent.
const SEND_BYTES: usize = 64 << 10;
/// Statements that a connection may have prepared.
const PREPARED_MAX: usize = 1_000;
/// Bytes of their texts.
const PREPARED_BYTES_MAX: usize = 4 << 20;
/// Portals and cursors that a connection may have open.
const PORTALS_MAX: usize = 100;
/// Bytes of answers that wait in portals and cursors, of all connections.
const WAITING_BYTES_MAX: usize = 256 << 20;

/// Where and how to listen for clients of Postgres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postgres {
    /// Where; port 0 takes any that is free.
    pub address: SocketAddr,
    /// Connections at once.
    pub connections_max: usize,
    /// How long a client may take until it is known who it is.
    pub startup_timeout: Duration,
    /// How long a connection may stay silent.
    pub idle_timeout: Duration,
}

impl Postgres {
    /// At this address 100 connections; 10 s to say who one is, an hour of silence.
    pub fn at(address: SocketAddr) -> Postgres {
        Postgres {
            address,
            connections_max: 100,
            startup_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(3_600),
        }
    }
}

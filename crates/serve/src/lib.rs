//! The HTTP door: takes events in, and tells how it is going.
//!
//! `POST /v1/events` hands a body of NDJSON to an [`Inbox`](engine::inbox::Inbox) and answers when it is durable; where and how
//! that is, this crate does not know. Beside it `GET /health`, `/ready` and `/metrics`. docs/http.md is the page for users.
//!
//! `/v1/origins` takes the states of other nodes and hands them to [`Origins`](engine::origins::Origins); [`Client`] is what
//! those use.
//!
//! HTTP/1.1 on an accept loop of its own, because every wait needs a limit: for a head, for a body, for a client that does
//! not read its answer. Bodies are held in bounded memory; what does not fit is refused at once. TLS by rustls, where there is a certificate.
#![forbid(unsafe_code)]

mod answers;
mod ask;
mod body;
mod cache;
mod client;
mod counters;
mod exposition;
mod guard;
mod ingest;
mod latency;
mod measured;
mod metrics;
mod openapi;
mod origins;
mod patient;
mod reply;
mod roles;
mod routes;
mod said;
mod server;
mod session;
mod sql;
mod status;
mod stream;
mod tls;
mod ui;
mod wire;

pub use client::{Answer, Client};
pub use roles::{Role, Tokens};
pub use server::{Behind, Listen, ServeError, Server, Source};
pub use tls::Tls;
pub use wire::Postgres;

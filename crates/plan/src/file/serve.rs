//! `[serve]`: where the program listens for HTTP, and who may send.

use super::secret_at;
use super::section::{Section, wrong_type};
use super::tree::{Entry, Value};
use super::values::{bytes_within, span_above_zero};
use crate::problem::{Placed, Problem, Problems};
use crate::secret::SecretAt;
use engine::time::{SECOND, Span};
use std::net::SocketAddr;

/// Where to listen when nothing says so: this machine alone.
const LISTEN_DEFAULT: &str = "127.0.0.1:8428";
/// Where clients of Postgres could be listened to; they are not unless the file says where.
const POSTGRES_EXAMPLE: &str = "127.0.0.1:5433";
/// Longest body when nothing says so: 8 MiB.
const BODY_BYTES_DEFAULT: usize = 8 << 20;

/// What the program does over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serve {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where the tokens are kept that clients must send: of those who may do everything, ask, and send events.
    pub tokens: ServeTokens,
    /// Certificate and key.
    pub tls: Option<ServeTls>,
    /// Where clients of Postgres are listened to, if they are.
    pub postgres: Option<SocketAddr>,
    /// The path below which everything is; empty is none.
    pub base: String,
    /// Longest body, as it comes and decompressed.
    pub body_bytes_max: usize,
    /// What one query in SQL may use.
    pub query: ServeQuery,
}

/// What one query in SQL may use; two run at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServeQuery {
    /// Bytes while it runs, and again in what it answers.
    pub memory_bytes: usize,
    /// How long it may take.
    pub timeout: Span,
    /// Most rows of an answer.
    pub rows_max: usize,
}

impl Default for ServeQuery {
    /// 64 MiB, 30 s, 100,000 rows.
    fn default() -> Self {
        ServeQuery { memory_bytes: 64 << 20, timeout: Span(30 * SECOND), rows_max: 100_000 }
    }
}

/// Where tokens are kept; one that holds several lines holds several tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServeTokens {
    /// Of those who may do everything.
    pub all: Option<SecretAt>,
    /// Of those who may ask.
    pub read: Option<SecretAt>,
    /// Of those who may send events.
    pub ingest: Option<SecretAt>,
}

/// Where certificate and key are, as PEM; relative paths start at the pipeline file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeTls {
    /// The chain of certificates.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl ServeTokens {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == ServeTokens::default()
    }
}

impl Default for Serve {
    fn default() -> Self {
        let listen = LISTEN_DEFAULT.parse().expect("an address");
        let (tokens, base) = (ServeTokens::default(), String::new());
        let query = ServeQuery::default();
        Serve { listen, tokens, tls: None, postgres: None, base, body_bytes_max: BODY_BYTES_DEFAULT, query }
    }
}

/// Reads the table.
pub(super) fn read(entry: &Entry, problems: &mut Problems) -> Serve {
    let default = Serve::default();
    let Value::Table(table) = &entry.node.value else {
        let problem = wrong_type("serve", "a table", &entry.node);
        problems.push(problem.hint(format!("as in serve = {{ listen = \"{LISTEN_DEFAULT}\" }}")));
        return default;
    };
    let mut section = Section::new("`serve`", &entry.key_place, table);
    let listen = section.parsed("listen", problems, address);
    let tokens = tokens(&mut section, problems);
    let none = TOKENS.iter().all(|key| table.get(key).is_none());
    let tls = section.entry("tls").and_then(|entry| certificate(entry, problems));
    let postgres = section.parsed("postgres", problems, postgres);
    let base = section.parsed("base", problems, base);
    let body_max = section
        .parsed("body_max", problems, |text| bytes_within(text, (1 << 10, "1KiB"), (64 << 20, "64MiB")));
    let query = section.entry("query").map(|entry| query(entry, problems));
    section.finish(&[], problems);
    if let Some(Placed { value, place }) =
        listen.as_ref().filter(|listen| none && !listen.value.ip().is_loopback())
    {
        let message = format!("listening on {value} without a token would take events from anybody");
        let hint = format!("add token = {{ env = \"NAME\" }}, or listen on {LISTEN_DEFAULT}");
        problems.push(Problem::at(place, message).hint(hint));
    }
    if let Some(Placed { value, place }) =
        postgres.as_ref().filter(|postgres| none && !postgres.value.ip().is_loopback())
    {
        let message =
            format!("listening for clients of Postgres on {value} without a token would answer anybody");
        let hint = format!("add read_token = {{ env = \"NAME\" }}, or listen on {POSTGRES_EXAMPLE}");
        problems.push(Problem::at(place, message).hint(hint));
    }
    Serve {
        listen: listen.map_or(default.listen, |listen| listen.value),
        tokens,
        tls,
        postgres: postgres.map(|postgres| postgres.value),
        base: base.map_or(default.base, |base| base.value),
        body_bytes_max: body_max.map_or(default.body_bytes_max, |size| size.value as usize),
        query: query.unwrap_or_default(),
    }
}

fn query(entry: &Entry, problems: &mut Problems) -> ServeQuery {
    let default = ServeQuery::default();
    let Value::Table(table) = &entry.node.value else {
        let problem = wrong_type("query", "a table", &entry.node);
        problems.push(problem.hint("as in query = { memory = \"64MiB\", timeout = \"30s\" }"));
        return default;
    };
    let mut section = Section::new("`query`", &entry.key_place, table);
    let memory =
        section.parsed("memory", problems, |text| bytes_within(text, (1 << 20, "1MiB"), (64 << 30, "64GiB")));
    let timeout = section.parsed("timeout", problems, |text| match span_above_zero(text)? {
        span if span.0 > 3_600 * SECOND => Err(format!("`{text}` is too long: at most 1h")),
        span => Ok(span),
    });
    let rows = section.integer("rows", 1..=10_000_000, problems);
    section.finish(&[], problems);
    ServeQuery {
        memory_bytes: memory.map_or(default.memory_bytes, |size| size.value as usize),
        timeout: timeout.map_or(default.timeout, |span| span.value),
        rows_max: rows.map_or(default.rows_max, |rows| rows as usize),
    }
}

/// The keys that hold tokens.
const TOKENS: [&str; 3] = ["token", "read_token", "ingest_token"];

fn tokens(section: &mut Section<'_>, problems: &mut Problems) -> ServeTokens {
    let [all, read, ingest] = TOKENS.map(|key| {
        let entry = section.entry(key)?;
        secret_at::read(key, entry, problems).map(|at| at.value)
    });
    ServeTokens { all, read, ingest }
}

fn certificate(entry: &Entry, problems: &mut Problems) -> Option<ServeTls> {
    let hint = "as in tls = { cert = \"cert.pem\", key = \"key.pem\" }";
    let Value::Table(table) = &entry.node.value else {
        problems.push(wrong_type("tls", "a table", &entry.node).hint(hint));
        return None;
    };
    let mut section = Section::new("`tls`", &entry.key_place, table);
    let found = (section.string("cert", problems), section.string("key", problems));
    section.finish(&[], problems);
    let (Some(certificate), Some(key)) = found else {
        problems.push(Problem::at(&entry.key_place, "`tls` needs `cert` and `key`").hint(hint));
        return None;
    };
    Some(ServeTls { certificate: certificate.value.into(), key: key.value.into() })
}

fn base(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
    let fits =
        text.starts_with('/') && !text.ends_with('/') && !text.contains("//") && text.chars().all(plain);
    let wrong = || format!("`{text}` is no base path: it begins with / and ends without, as in \"/gauge\"");
    if fits { Ok(text.into()) } else { Err(wrong()) }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    address_like(text, LISTEN_DEFAULT, "[::1]:8428")
}

fn postgres(text: &str) -> Result<SocketAddr, String> {
    address_like(text, POSTGRES_EXAMPLE, "[::1]:5433")
}

fn address_like(text: &str, one: &str, other: &str) -> Result<SocketAddr, String> {
    let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    local.as_deref().unwrap_or(text).parse().map_err(|_| {
        format!("`{text}` is no address: write an IP address and a port, as in \"{one}\" or \"{other}\"")
    })
}

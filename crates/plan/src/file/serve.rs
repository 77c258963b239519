//! `[serve]`: where the program listens for HTTP, and who may send.

use super::secret_at;
use super::section::{Section, wrong_type};
use super::tree::{Entry, Value};
use super::values::bytes_within;
use crate::problem::{Placed, Problem, Problems};
use crate::secret::SecretAt;
use std::net::SocketAddr;

/// Where to listen when nothing says so: this machine alone.
const LISTEN_DEFAULT: &str = "127.0.0.1:8428";
/// Longest body when nothing says so: 8 MiB.
const BODY_BYTES_DEFAULT: usize = 8 << 20;

/// What the program does over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serve {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where the token is kept that clients must send.
    pub token: Option<SecretAt>,
    /// Longest body, as it comes and decompressed.
    pub body_bytes_max: usize,
}

impl Default for Serve {
    fn default() -> Self {
        let listen = LISTEN_DEFAULT.parse().expect("an address");
        Serve { listen, token: None, body_bytes_max: BODY_BYTES_DEFAULT }
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
    let token_entry = section.entry("token");
    let token = token_entry.and_then(|entry| secret_at::read("token", entry, problems));
    let body_max = section
        .parsed("body_max", problems, |text| bytes_within(text, (1 << 10, "1KiB"), (64 << 20, "64MiB")));
    section.finish(&[], problems);
    if let Some(Placed { value, place }) =
        listen.as_ref().filter(|listen| token_entry.is_none() && !listen.value.ip().is_loopback())
    {
        let message = format!("listening on {value} without a token would take events from anybody");
        let hint = format!("add token = {{ env = \"NAME\" }}, or listen on {LISTEN_DEFAULT}");
        problems.push(Problem::at(place, message).hint(hint));
    }
    Serve {
        listen: listen.map_or(default.listen, |listen| listen.value),
        token: token.map(|token| token.value),
        body_bytes_max: body_max.map_or(default.body_bytes_max, |size| size.value as usize),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    local.as_deref().unwrap_or(text).parse().map_err(|_| {
        format!("`{text}` is no address: write an IP address and a port, as in \"{LISTEN_DEFAULT}\" or \"[::1]:8428\"")
    })
}

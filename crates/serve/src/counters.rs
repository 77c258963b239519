//! What is counted.

use axum::http::StatusCode;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Refused {
    /// Too many bytes on their way.
    Busy,
    /// Too many bytes that were not read yet.
    Behind,
    Stopping,
    Disk,
    TooLong,
    /// The body did not come in time.
    Slow,
    /// Headers or bytes that make no sense.
    Bad,
    /// A type or an encoding that is not read.
    Media,
    Unauthorized,
    /// No such path, source or method.
    NotFound,
    /// A state of another node that does not go together with what is here.
    Another,
}

impl Refused {
    pub const ALL: [(Refused, &'static str); 11] = [
        (Refused::Busy, "busy"),
        (Refused::Behind, "behind"),
        (Refused::Stopping, "stopping"),
        (Refused::Disk, "disk"),
        (Refused::TooLong, "too_long"),
        (Refused::Slow, "slow"),
        (Refused::Bad, "bad"),
        (Refused::Media, "media"),
        (Refused::Unauthorized, "unauthorized"),
        (Refused::NotFound, "not_found"),
        (Refused::Another, "another"),
    ];
}

impl Refused {
    /// The word that stands in refusals and counters.
    pub fn word(self) -> &'static str {
        Refused::ALL[self as usize].1
    }

    /// The same in a sentence, for who writes a client.
    pub fn says(self) -> &'static str {
        match self {
            Refused::Busy => "too much at once; the same again later",
            Refused::Behind => "too much waits to be read; the same again later",
            Refused::Stopping => "the server is being stopped; the same again later",
            Refused::Disk => "the disk is full or refuses; the same again when it is mended",
            Refused::TooLong => "beyond a limit of length, size, rows or time; in smaller parts",
            Refused::Slow => "it did not come in time; in smaller parts",
            Refused::Bad => "it makes no sense, or not here; mend it",
            Refused::Media => "a type or an encoding that is not read",
            Refused::Unauthorized => "no token, or not one for this; or a web page of another origin",
            Refused::NotFound => "no such path, method, source or metric",
            Refused::Another => "a state that does not go together with what is here",
        }
    }
}

/// Of the whole server, since it was started.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    refused: [AtomicU64; Refused::ALL.len()],
    /// Requests by status. There are as many as the server has statuses.
    statuses: Mutex<BTreeMap<u16, u64>>,
    /// Bytes of bodies as they came.
    pub received_bytes: AtomicU64,
    pub connections: AtomicU64,
    /// Connections that did not come to terms about TLS.
    pub tls_failures: AtomicU64,
    /// Streams of answers that are open.
    pub streams: AtomicU64,
    /// Bodies that wait for what is found of their events.
    pub replies: AtomicU64,
    /// Turned away because there were too many.
    pub connections_refused: AtomicU64,
    /// Connections that the system could not hand over.
    pub accept_errors: AtomicU64,
    /// Connections of clients of Postgres.
    pub postgres_connections: AtomicU64,
    /// Those that were turned away because there were too many.
    pub postgres_refused: AtomicU64,
    /// Commits of other nodes that were taken over.
    pub origin_commits: AtomicU64,
    /// Saved states of other nodes that were taken over.
    pub origin_saved: AtomicU64,
    /// Segments of commits.
    pub origin_segments: AtomicU64,
    pub origin_bytes: AtomicU64,
}

impl Counters {
    pub fn refuse(&self, reason: Refused) {
        self.refused[reason as usize].fetch_add(1, Relaxed);
    }

    pub fn refused(&self, reason: Refused) -> u64 {
        self.refused[reason as usize].load(Relaxed)
    }

    pub fn answer(&self, status: StatusCode) {
        let mut statuses = self.statuses.lock().unwrap_or_else(|e| e.into_inner());
        *statuses.entry(status.as_u16()).or_default() += 1;
    }

    pub fn statuses(&self) -> BTreeMap<u16, u64> {
        self.statuses.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }
}

/// Of one source.
#[derive(Debug, Default)]
pub(crate) struct SourceCounters {
    /// Bodies that were taken in.
    pub bodies: AtomicU64,
    pub bytes: AtomicU64,
    pub records: AtomicU64,
    /// Bodies that had been taken in before.
    pub duplicates: AtomicU64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_stand_at_their_places() {
        for (i, (reason, _)) in Refused::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, i);
        }
    }
}

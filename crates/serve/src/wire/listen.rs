//! Where clients of Postgres are accepted, within bounds.

use super::binding::end_point;
use super::cancel::Cancels;
use super::failure::Failure;
use super::out::Out;
use super::scram::Keys;
use super::{Postgres, startup};
use crate::server::{House, ServeError};
use plan::query::Database;
use rustls::ServerConfig;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// How long to wait when the system has no connection to hand over.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The name of the protocol for clients that begin with TLS.
const ALPN: &[u8] = b"postgresql";

/// What all connections share.
pub(crate) struct Wire {
    pub listen: Postgres,
    pub house: Arc<House>,
    pub database: Database,
    /// What is known of the tokens; without any, whoever is on this machine may ask.
    pub keys: Option<Keys>,
    pub tls: Option<TlsAcceptor>,
    /// What a client that proves a token may bind to.
    pub binding: Option<Vec<u8>>,
    pub cancels: Cancels,
    /// Bytes of answers that wait to be fetched.
    pub waiting_bytes: Arc<AtomicUsize>,
}

/// Listens at an address.
pub(crate) fn bind(listen: &Postgres) -> Result<(TcpListener, SocketAddr), ServeError> {
    let wrong = |source| ServeError::BindPostgres { address: listen.address, source };
    let listener = TcpListener::bind(listen.address).map_err(wrong)?;
    listener.set_nonblocking(true).map_err(wrong)?;
    let address = listener.local_addr().map_err(wrong)?;
    Ok((listener, address))
}

impl Wire {
    /// For a server that listens for clients of Postgres and has SQL.
    pub fn new(house: &Arc<House>) -> Result<Arc<Wire>, ServeError> {
        let house = Arc::clone(house);
        let (Some(listen), Some(database)) = (house.listen.postgres.clone(), house.behind.database.clone())
        else {
            return Err(ServeError::NoSql);
        };
        let tokens = &house.listen.tokens;
        let keys = match tokens.is_empty() {
            true => None,
            false => Some(Keys::new(tokens).ok_or(ServeError::Random)?),
        };
        let tls = house.listen.tls.as_ref().map(|tls| {
            let mut config = ServerConfig::clone(&tls.config());
            config.alpn_protocols = vec![ALPN.to_vec()];
            TlsAcceptor::from(Arc::new(config))
        });
        let binding = house.listen.tls.as_ref().and_then(|tls| end_point(&tls.own()?));
        let waiting_bytes = Arc::default();
        let cancels = Cancels::default();
        Ok(Arc::new(Wire { listen, database, keys, tls, binding, cancels, waiting_bytes, house }))
    }
}

/// Accepts until it is told to stop; then waits for the connections.
pub(crate) async fn accept(
    listener: tokio::net::TcpListener,
    wire: Arc<Wire>,
    mut stopped: watch::Receiver<bool>,
) {
    let slots_max = wire.listen.connections_max.clamp(1, Semaphore::MAX_PERMITS);
    let slots = Arc::new(Semaphore::new(slots_max));
    // Cancelling must be possible when all slots are taken; who only cancels is gone at once.
    let extra = Arc::new(Semaphore::new(slots_max));
    let counters = Arc::clone(&wire.house);
    let counters = &counters.counters;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            counters.accept_errors.fetch_add(1, Relaxed);
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        match Arc::clone(&slots).try_acquire_owned() {
            Ok(slot) => {
                let (wire, stopped) = (Arc::clone(&wire), stopped.clone());
                tokio::spawn(async move {
                    wire.house.counters.postgres_connections.fetch_add(1, Relaxed);
                    startup::serve(stream, Arc::clone(&wire), stopped).await;
                    wire.house.counters.postgres_connections.fetch_sub(1, Relaxed);
                    drop(slot);
                });
            }
            Err(_) => {
                counters.postgres_refused.fetch_add(1, Relaxed);
                if let Ok(slot) = Arc::clone(&extra).try_acquire_owned() {
                    let wire = Arc::clone(&wire);
                    tokio::spawn(async move {
                        let within = Duration::from_secs(1);
                        let _ = timeout(within, turn_away(stream, &wire)).await;
                        drop(slot);
                    });
                }
            }
        }
    }
    drop(listener);
    let all = u32::try_from(slots_max).unwrap_or(u32::MAX);
    let _ = timeout(wire.house.listen.stop_timeout, slots.acquire_many(all)).await;
}

/// Says that there is no room.
async fn turn_away(mut stream: TcpStream, wire: &Wire) {
    // What is said first decides how an answer is understood; a cancellation is done.
    if startup::only_cancels(&mut stream, wire).await {
        return;
    }
    let mut out = Out::default();
    let message = format!("sorry, too many clients already: {} are the most", wire.listen.connections_max);
    out.failure(
        &Failure::fatal("53300", message).hint("close connections that are not needed, or use a pool"),
    );
    let _ = stream.write_all(&out.0).await;
    let _ = stream.shutdown().await;
}

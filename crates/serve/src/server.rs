//! The server: listens, accepts within bounds, stops without losing an answer.

use crate::cache::Cache;
use crate::counters::{Counters, SourceCounters};
use crate::latency::Latency;
use crate::patient::Patient;
use crate::roles::Tokens;
use crate::routes::routes;
use crate::tls::Tls;
use crate::wire::{self, Postgres};
use axum::Router;
use engine::inbox::{Inbox, Refusal};
use engine::moment::Reader;
use engine::origins::Origins;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use plan::query::Database;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// Longest head of a request.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Threads that decompress, write states of other nodes, and answer questions.
const WAITERS_MAX: usize = 4 + ASKING_MAX;
/// Questions that are answered at the same time; others wait for their turn.
const ASKING_MAX: usize = 2;
/// Plans of queries are deep.
const QUERY_STACK_BYTES: usize = 8 << 20;
/// Queries in SQL that run at the same time.
const QUERIES_MAX: usize = 2;
/// How long to wait when the system has no connection to hand over, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const TURN_AWAY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\
    content-type: application/problem+json\r\ncontent-length: 171\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\"reason\":\"busy\",\"detail\":\"too many connections\",\
    \"hint\":\"try again in a second, and keep connections open\"}";

/// Where and how to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Where; port 0 takes any that is free.
    pub address: SocketAddr,
    /// What clients must send as `Authorization: Bearer TOKEN`. Without any, only this machine is listened to.
    pub tokens: Tokens,
    /// The certificate; without one connections are not encrypted.
    pub tls: Option<Tls>,
    /// Where clients of Postgres are listened to, if they are: the same tokens, the same certificate.
    pub postgres: Option<Postgres>,
    /// The path below which everything is, as `/gauge`; empty is none.
    pub base: String,
    /// Longest body, both as it comes and decompressed.
    pub body_bytes_max: usize,
    /// Bytes of bodies that are being received, of all requests together; at least twice the longest body.
    pub receiving_bytes_max: usize,
    /// Connections at once.
    pub connections_max: usize,
    /// Bytes of answers that are kept for whoever asks the same; 0 keeps none.
    pub cache_bytes_max: usize,
    /// How long a head may take, and a connection stay silent between two requests.
    pub head_timeout: Duration,
    /// How long a body may take.
    pub body_timeout: Duration,
    /// How long a client may take to read an answer.
    pub answer_timeout: Duration,
    /// How long requests may take that are under way when the server is stopped.
    pub stop_timeout: Duration,
    /// Threads.
    pub workers: usize,
}

impl Default for Listen {
    /// 127.0.0.1:8428 without a token, bodies of 8 MiB, 64 MiB of them, 32 MiB of answers that are kept, 1,024 connections, 2 threads; 10 s for a head or an
    /// answer, 30 s for a body, 5 s to stop.
    fn default() -> Listen {
        Listen {
            address: SocketAddr::from(([127, 0, 0, 1], 8428)),
            tokens: Tokens::none(),
            tls: None,
            postgres: None,
            base: String::new(),
            body_bytes_max: 8 << 20,
            receiving_bytes_max: 64 << 20,
            connections_max: 1_024,
            cache_bytes_max: 32 << 20,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(10),
            stop_timeout: Duration::from_secs(5),
            workers: 2,
        }
    }
}

/// A source that takes events over HTTP.
pub struct Source {
    /// Its name in the pipeline file.
    pub(crate) name: String,
    pub(crate) inbox: Arc<dyn Inbox>,
    pub(crate) counters: SourceCounters,
}

impl Source {
    /// Events of `name` go to `inbox`.
    pub fn new(name: impl Into<String>, inbox: Arc<dyn Inbox>) -> Source {
        Source { name: name.into(), inbox, counters: SourceCounters::default() }
    }
}

/// What requests lead to.
#[derive(Default)]
pub struct Behind {
    /// Sources that take events over HTTP.
    pub sources: Vec<Source>,
    /// Keeps the states of other nodes, where they are taken.
    pub origins: Option<Arc<dyn Origins>>,
    /// What is measured, where it may be asked.
    pub reader: Option<Arc<dyn Reader>>,
    /// The same in SQL.
    pub database: Option<Database>,
}

/// A server that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address that is not to be had.
    #[error(
        "cannot listen on {address}: {source}; name a free address of this machine, as in listen = \"127.0.0.1:8428\""
    )]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// The system's words.
        source: io::Error,
    },
    /// An address that is not to be had for clients of Postgres.
    #[error(
        "cannot listen for clients of Postgres on {address}: {source}; name a free address of this machine, as in postgres = \"127.0.0.1:5433\""
    )]
    BindPostgres {
        /// What was asked for.
        address: SocketAddr,
        /// The system's words.
        source: io::Error,
    },
    /// Nothing to make secrets of.
    #[error("the system has no random bytes, so nobody could prove a token")]
    Random,
    /// Nothing that clients of Postgres could ask.
    #[error("clients of Postgres have nothing to ask here: no SQL is answered")]
    NoSql,
    /// Anybody could ask.
    #[error(
        "listening for clients of Postgres on {0} without a token would answer anybody: set `read_token`, or listen on 127.0.0.1"
    )]
    OpenPostgres(SocketAddr),
    /// Anybody could send events.
    #[error(
        "listening on {0} without a token would take events from anybody: set `token`, or listen on 127.0.0.1"
    )]
    Open(SocketAddr),
    /// A token that no client could send.
    #[error("the token has other than visible ASCII characters, or none: no client could send it")]
    Token,
    /// A base path that is none.
    #[error("the base path `{0}` is none: it begins with / and ends without, as in /gauge")]
    Base(String),
    /// No threads.
    #[error("cannot start the threads of the server: {0}")]
    Threads(io::Error),
}

/// What all requests share.
pub(crate) struct House {
    pub listen: Listen,
    pub behind: Behind,
    pub counters: Counters,
    pub latency: Latency,
    /// Answers that were given.
    pub cache: Arc<Cache>,
    /// Room for questions that are being answered.
    pub asking: Semaphore,
    /// Room for queries in SQL.
    pub querying: Arc<Semaphore>,
    /// Where those run.
    pub queries: Handle,
    pub receiving_bytes: AtomicU64,
    pub since: Instant,
    pub ready: AtomicBool,
    pub stopping: AtomicBool,
    /// Why the last body could not be written, if it could not.
    pub trouble: Mutex<Option<String>>,
}

impl House {
    /// Notes how the disk was found last.
    pub fn note_disk(&self, refusal: Option<&Refusal>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(|e| e.into_inner());
        if refusal.is_some() || trouble.is_some() {
            *trouble = refusal.map(ToString::to_string);
        }
    }
}

/// A running server.
pub struct Server {
    house: Arc<House>,
    address: SocketAddr,
    postgres: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    running: Option<(Runtime, JoinHandle<()>)>,
    queries: Option<Runtime>,
}

impl Server {
    /// Listens and takes events in from now on; `/ready` says no until [`Server::set_ready`].
    ///
    /// # Errors
    /// When the address is not to be had, or is open to others without a token.
    pub fn start(listen: Listen, behind: Behind) -> Result<Server, ServeError> {
        check(&listen)?;
        let wrong = |source| ServeError::Bind { address: listen.address, source };
        let listener = TcpListener::bind(listen.address).map_err(wrong)?;
        listener.set_nonblocking(true).map_err(wrong)?;
        let address = listener.local_addr().map_err(wrong)?;
        let postgres = listen.postgres.as_ref().map(wire::bind).transpose()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(listen.workers.max(1))
            .max_blocking_threads(WAITERS_MAX)
            .thread_name("http")
            .enable_all()
            .build()
            .map_err(ServeError::Threads)?;
        // One core at most: however heavy a query is, the others go on.
        let queries = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("sql")
            .thread_stack_size(QUERY_STACK_BYTES)
            .enable_time()
            .build()
            .map_err(ServeError::Threads)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(wrong)?
        };
        let house = Arc::new(House {
            cache: Arc::new(Cache::new(listen.cache_bytes_max)),
            listen,
            behind,
            counters: Counters::default(),
            latency: Latency::default(),
            asking: Semaphore::new(ASKING_MAX),
            querying: Arc::new(Semaphore::new(QUERIES_MAX)),
            queries: queries.handle().clone(),
            receiving_bytes: AtomicU64::new(0),
            since: Instant::now(),
            ready: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            trouble: Mutex::new(None),
        });
        let (stop, stopped) = watch::channel(false);
        let (postgres, door) = match postgres {
            None => (None, None),
            Some((listener, address)) => {
                let _inside = runtime.enter();
                let wrong = |source| ServeError::BindPostgres { address, source };
                let listener = tokio::net::TcpListener::from_std(listener).map_err(wrong)?;
                (Some(address), Some(wire::accept(listener, wire::Wire::new(&house)?, stopped.clone())))
            }
        };
        let http = accept(listener, house.clone(), stopped);
        let task = runtime.spawn(async move {
            match door {
                None => http.await,
                Some(door) => {
                    tokio::join!(http, door);
                }
            }
        });
        let running = Some((runtime, task));
        Ok(Server { house, address, postgres, stop, running, queries: Some(queries) })
    }

    /// Where it listens for clients of Postgres, if it does.
    pub fn postgres(&self) -> Option<SocketAddr> {
        self.postgres
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What `/ready` says.
    pub fn set_ready(&self, ready: bool) {
        self.house.ready.store(ready, Relaxed);
    }

    /// Accepts nothing more, and waits until what is under way is answered, within bounds. Not to be called by a task. Close
    /// the inboxes after this.
    pub fn stop(mut self) {
        self.house.stopping.store(true, Relaxed);
        let _ = self.stop.send(true);
        if let Some((runtime, task)) = self.running.take() {
            let _ = runtime.block_on(task);
            runtime.shutdown_background();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((runtime, _)) = self.running.take() {
            runtime.shutdown_background();
        }
        if let Some(queries) = self.queries.take() {
            queries.shutdown_background();
        }
    }
}

fn check(listen: &Listen) -> Result<(), ServeError> {
    let base = listen.base.as_str();
    if listen.tokens.is_empty() && !listen.address.ip().is_loopback() {
        return Err(ServeError::Open(listen.address));
    }
    if let Some(postgres) = &listen.postgres
        && listen.tokens.is_empty()
        && !postgres.address.ip().is_loopback()
    {
        return Err(ServeError::OpenPostgres(postgres.address));
    }
    if !listen.tokens.can_be_sent() {
        return Err(ServeError::Token);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
    let fits =
        base.starts_with('/') && !base.ends_with('/') && !base.contains("//") && base.chars().all(plain);
    if base.is_empty() || fits { Ok(()) } else { Err(ServeError::Base(base.into())) }
}

/// Accepts until it is told to stop; then waits for the connections.
async fn accept(listener: tokio::net::TcpListener, house: Arc<House>, mut stopped: watch::Receiver<bool>) {
    let slots_max = house.listen.connections_max.clamp(1, Semaphore::MAX_PERMITS);
    let slots = Arc::new(Semaphore::new(slots_max));
    let routes = routes(&house);
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopped.changed() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            house.counters.accept_errors.fetch_add(1, Relaxed);
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        match slots.clone().try_acquire_owned() {
            Ok(slot) => {
                tokio::spawn(serve(stream, slot, routes.clone(), house.clone(), stopped.clone()));
            }
            Err(_) => {
                house.counters.connections_refused.fetch_add(1, Relaxed);
                tokio::spawn(turn_away(stream));
            }
        }
    }
    drop(listener);
    let all = u32::try_from(slots_max).unwrap_or(u32::MAX);
    let _ = timeout(house.listen.stop_timeout, slots.acquire_many(all)).await;
}

/// Serves one connection; when the server is stopped, only until the request under way is answered.
async fn serve(
    stream: TcpStream,
    slot: OwnedSemaphorePermit,
    routes: Router,
    house: Arc<House>,
    mut stopped: watch::Receiver<bool>,
) {
    house.counters.connections.fetch_add(1, Relaxed);
    // Answers are short: nothing is gained by waiting for more to send.
    let _ = stream.set_nodelay(true);
    let stream = Patient::new(stream, house.listen.answer_timeout);
    match &house.listen.tls {
        None => talk(TokioIo::new(stream), routes, &house, &mut stopped).await,
        Some(tls) => {
            let acceptor = TlsAcceptor::from(tls.config());
            // Who does not come to terms in time, or at all, is not spoken to.
            match timeout(house.listen.head_timeout, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => talk(TokioIo::new(stream), routes, &house, &mut stopped).await,
                Ok(Err(_)) | Err(_) => {
                    house.counters.tls_failures.fetch_add(1, Relaxed);
                }
            }
        }
    }
    house.counters.connections.fetch_sub(1, Relaxed);
    drop(slot);
}

/// HTTP over a stream.
async fn talk(
    stream: impl hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    routes: Router,
    house: &House,
    stopped: &mut watch::Receiver<bool>,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(house.listen.head_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(stream, TowerToHyperService::new(routes));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        _ = connection.as_mut() => true,
        _ = stopped.wait_for(|stopped| *stopped) => false,
    };
    if !ended {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

async fn turn_away(mut stream: TcpStream) {
    let _ = timeout(Duration::from_secs(1), async {
        let _ = stream.write_all(TURN_AWAY).await;
        let _ = stream.shutdown().await;
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::Role;

    #[test]
    fn who_is_turned_away_gets_a_whole_answer() {
        let text = std::str::from_utf8(TURN_AWAY).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{} bytes", body.len());
    }

    #[test]
    fn nobody_listens_to_everybody() {
        let check = |address: &str, token: Option<&str>, fine: bool| {
            let listen = Listen {
                address: address.parse().unwrap(),
                tokens: token
                    .into_iter()
                    .fold(Tokens::none(), |tokens, token| tokens.with(token, Role::Admin)),
                ..Listen::default()
            };
            assert_eq!(check(&listen).is_ok(), fine, "{address} {token:?}");
        };
        check("127.0.0.1:0", None, true);
        check("[::1]:0", None, true);
        check("0.0.0.0:0", None, false);
        check("0.0.0.0:0", Some("secret"), true);
        check("127.0.0.1:0", Some(""), false);
        check("127.0.0.1:0", Some("two words"), false);
    }

    #[test]
    fn a_base_is_a_path() {
        for (base, fine) in [
            ("", true),
            ("/gauge", true),
            ("/a/b", true),
            ("gauge", false),
            ("/gauge/", false),
            ("/{x}", false),
            ("//", false),
        ] {
            let listen = Listen { base: base.into(), ..Listen::default() };
            assert_eq!(check(&listen).is_ok(), fine, "{base}");
        }
    }
}

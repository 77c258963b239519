//! The demo's dashboard: the same events once more, through a run as it is in earnest, which others ask while it goes on.
//!
//! That run is apart from the one that is reported: it keeps the whole ladder of panes, where the report keeps what it shows.
//! When the last event has come it waits for more, which never comes, so what is measured stays to be asked.

use super::stream::{BLOCK_BYTES, Blocks};
use crate::interrupt;
use crate::{Trouble, say};
use engine::compute::Compute;
use engine::moment::Reader;
use engine::spec::{BadPolicy, Source};
use engine::time::Time;
use plan::Pipeline;
use plan::query::{Database, Options};
use runtime::{Input, Job, Live, Lives, Piece, Pieces, RunError};
use serve::{Behind, Listen, ServeError, Server};
use shop::{Settings, Shop};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How old an answer may be.
const FRESHNESS: Duration = Duration::from_secs(1);
/// Time between two looks at whether it is over.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A server with nothing behind it yet.
pub struct Door {
    server: Server,
    live: Arc<Live>,
    shown: Source,
    program: Option<Arc<dyn Compute>>,
    memory_bytes: u64,
    stop: Arc<AtomicBool>,
    running: Option<JoinHandle<Result<(), RunError>>>,
}

impl Door {
    /// Listens on `address`; without one on 127.0.0.1:8428, or any free port where that is taken. Says where.
    ///
    /// # Errors
    /// When the address is not to be had, or is open to others.
    pub fn open(pipeline: &Pipeline, address: Option<SocketAddr>) -> Result<Door, Trouble> {
        // Nothing is written: what is bad is counted.
        let shown = Source { bad: BadPolicy::Count, ..pipeline.spec.sources[0].clone() };
        let live = Arc::new(Live::new(Arc::new(shown.clone()), FRESHNESS));
        let lives = Arc::new(Lives::default());
        lives.turn(vec![Arc::clone(&live)]);
        let server = listen(lives, pipeline, address)?;
        say(format_args!("listening on http://{}", server.address()));
        server.set_ready(true);
        Ok(Door {
            server,
            live,
            shown,
            program: pipeline.programs[0].clone().map(|program| program as Arc<dyn Compute>),
            memory_bytes: pipeline.spec.memory_bytes,
            stop: Arc::default(),
            running: None,
        })
    }

    /// Where the dashboard is.
    pub fn address(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Begins to measure the shop, beside whoever called.
    pub fn begin(&mut self, settings: &Settings) {
        let (settings, stop) = (settings.clone(), Arc::clone(&self.stop));
        let (source, program, live) = (self.shown.clone(), self.program.clone(), Arc::clone(&self.live));
        let memory_bytes = self.memory_bytes;
        self.running = Some(std::thread::spawn(move || {
            let begin = move |_: &[_]| {
                let events = Blocks::new(Shop::new(settings.clone()), BLOCK_BYTES);
                Box::new(Stream { events, ended: false, stop: Arc::clone(&stop) }) as Box<dyn Pieces>
            };
            let job = Job {
                source: &source,
                kept: &source,
                program,
                annotate: None,
                input: Input::Given(Arc::new(begin)),
                quarantine: PathBuf::new(),
                shards: 1,
                workers: 1,
                memory_bytes,
                save: false,
                sinks: Vec::new(),
                every: Duration::MAX,
                keep: None,
                live: Some(live),
            };
            runtime::run(job, &|_| {}).map(drop)
        }));
    }

    /// Goes on until Ctrl-C or SIGTERM, and says so.
    ///
    /// # Errors
    /// When the run behind it has failed.
    pub fn wait(mut self) -> Result<(), Trouble> {
        let told = Arc::new(AtomicBool::new(false));
        interrupt::raise_on_signal(&told)
            .map_err(|error| Trouble::environment(format!("cannot wait for signals: {error}")))?;
        say(format_args!("\nall of this is on the dashboard at {}, until Ctrl-C", self.address()));
        while !told.load(Ordering::Acquire) && self.running.as_ref().is_some_and(|run| !run.is_finished()) {
            std::thread::sleep(LOOK_EVERY);
        }
        self.stop.store(true, Ordering::Release);
        self.server.stop();
        let ended = self.running.take().map(|run| run.join());
        match ended {
            Some(Ok(Err(error))) => Err(Trouble::environment(error)),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            Some(Ok(Ok(()))) | None => Ok(()),
        }
    }
}

fn listen(lives: Arc<Lives>, pipeline: &Pipeline, address: Option<SocketAddr>) -> Result<Server, Trouble> {
    let start = |address| {
        let reader = Arc::clone(&lives) as Arc<dyn Reader>;
        let options = Options { views: pipeline.views.clone(), ..Options::default() };
        let database = Some(Database::new(Arc::clone(&reader), options));
        let behind = Behind { reader: Some(reader), database, ..Behind::default() };
        Server::start(Listen { address, ..Listen::default() }, behind)
    };
    let usual = Listen::default().address;
    match start(address.unwrap_or(usual)) {
        Err(ServeError::Bind { source, .. })
            if address.is_none() && source.kind() == ErrorKind::AddrInUse =>
        {
            say(format_args!("note: {usual} is taken, so it is another port"));
            start(SocketAddr::new(usual.ip(), 0))
        }
        started => started,
    }
    .map_err(Trouble::environment)
}

/// The shop, block by block, and then nothing more until it is told to stop.
struct Stream {
    events: Blocks<Shop>,
    /// Whether it was said that no more will come: what waits for a clock is released by that.
    ended: bool,
    stop: Arc<AtomicBool>,
}

impl Pieces for Stream {
    fn next(&mut self, buffer: &mut Vec<u8>) -> Option<Piece> {
        buffer.clear();
        let piece = |bytes, silent| Some(Piece { partition: 0, bytes, arrival: Time(0), silent });
        if !self.stop.load(Ordering::Acquire) && !self.ended {
            if let Some(block) = self.events.next(|_| {}) {
                buffer.extend_from_slice(block.bytes);
                return piece(block.first_byte..block.first_byte + block.bytes.len() as u64, Vec::new());
            }
            self.ended = true;
            return piece(0..0, vec![0]);
        }
        while !self.stop.load(Ordering::Acquire) {
            std::thread::sleep(LOOK_EVERY);
        }
        None
    }
}

/// The program of this system that opens an address in a browser.
fn opener() -> Command {
    if cfg!(target_os = "macos") {
        Command::new("open")
    } else if cfg!(windows) {
        let mut command = Command::new("cmd");
        // The first word in quotes would be the title of a window.
        command.args(["/C", "start", ""]);
        command
    } else {
        Command::new("xdg-open")
    }
}

/// Opens an address in the browser. That there is none is no trouble: the address was told.
pub fn show(address: &str) {
    let mut command = opener();
    let program = command.get_program().to_string_lossy().into_owned();
    let command = command.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let failed = move |why: &dyn std::fmt::Display| {
        say(format_args!("note: `{program}` opens no browser here ({why}); open the address yourself"));
    };
    match command.spawn() {
        // Some wait for the browser to be closed.
        Ok(mut child) => drop(std::thread::spawn(move || match child.wait() {
            Ok(status) if !status.success() => failed(&status),
            _ => {}
        })),
        Err(error) => failed(&error),
    }
}

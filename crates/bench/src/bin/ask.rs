//! What asking a run costs while events come in: `streamgauge-ask PROGRAM [--seconds N]`.
//!
//! PROGRAM (`target/release/streamgauge`) runs a metric of 1,000 groups with a day of minutes, kept on disk. First clients post as fast as they are
//! answered: events a second over HTTP. Then they post half of that, and questions are asked one after the other over a connection
//! that stays open; told are the median and the 99th hundredth of each kind. Afterwards the same without any load.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

const GROUPS: u64 = 1_000;
const MINUTES: u64 = 24 * 60;
/// Of event time: some Thursday.
const BEGIN_S: u64 = 1_767_225_600;
/// Events of a body, and clients that post.
const EVENTS: u64 = 1_000;
const CLIENTS: u64 = 2;

const PIPELINE: &str = r#"
memory = "1GiB"
panes  = ["1m:2d", "1h:30d"]
serve  = { listen = "127.0.0.1:0" }
[source.s]
kind   = "http"
time   = { field = "ts", unit = "s", lateness = "5s" }
fields = { ts = "int64" }
[metric]
views = { measure = "count()", by = [[], ["page"]], keys = "2000 + other" }
users = "unique(user)"
"#;

/// Kinds of questions; `#` is another page each time, so that no answer was given before.
const QUESTIONS: [(&str, &str); 5] = [
    ("day, total", "/v1/metrics/views?window=24h&by="),
    ("day, one of 1,000 groups, always another", "/v1/metrics/views?window=24h&by=page&where=page:p#"),
    ("day, all 1,000 groups", "/v1/metrics/views?window=24h&by=page"),
    ("an hour of minutes, total", "/v1/metrics/users?window=1m&every=1m&since=1h"),
    ("distinct users of a day", "/v1/metrics/users?window=24h"),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let told = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [program] => Some((program, 5)),
        [program, "--seconds", n] => n.parse().ok().map(|n| (program, n)),
        _ => None,
    };
    let Some((program, seconds)) = told else {
        eprintln!("usage: streamgauge-ask PROGRAM [--seconds N]");
        return ExitCode::from(2);
    };
    match bench(program, Duration::from_secs(seconds)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("streamgauge-ask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn bench(program: &str, long: Duration) -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("streamgauge-ask-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("p.toml"), PIPELINE)?;
    let run = Running::start(program, &folder)?;
    let at = run.address.clone();
    // A day of minutes in each of the groups.
    let mut first = Connection::open(&at)?;
    for minute in 0..MINUTES {
        first.post(&body(minute, 0))?;
    }
    let fastest = posted(&at, long, None)?;
    println!("posted as fast as it was answered: {:.0} events/s in {CLIENTS} connections", fastest);
    println!(
        "\n| asked | posted meanwhile | p50 | p99 | slowest | asked a second |\n|---|---|---|---|---|---|"
    );
    for share in [0.5, 0.0] {
        for (name, path) in QUESTIONS {
            let done = Arc::new(AtomicBool::new(false));
            let load = {
                let (at, done) = (at.clone(), Arc::clone(&done));
                std::thread::spawn(move || match share > 0.0 {
                    true => posted(&at, long, Some((fastest * share, done))).map_err(|f| f.to_string()),
                    false => Ok(0.0),
                })
            };
            let times = asked(&at, path, long)?;
            done.store(true, Relaxed);
            let rate = load.join().expect("who posts does not panic")?;
            let of = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
            let a_second = times.len() as f64 / long.as_secs_f64();
            println!(
                "| {name} | {rate:.0} events/s | {:.2} ms | {:.2} ms | {:.1} ms | {a_second:.0} |",
                of(0.5),
                of(0.99),
                of(1.0)
            );
        }
    }
    drop(run);
    Ok(std::fs::remove_dir_all(&folder)?)
}

/// Bodies after the day, of every group once a minute: `number` of them a minute of event time.
fn body(minute: u64, salt: u64) -> Vec<u8> {
    let mut out = String::new();
    for i in 0..EVENTS {
        let (page, user) = (i % GROUPS, (i * 7_919 + minute * 104_729 + salt) % 200_000);
        let ts = BEGIN_S + minute * 60 + i * 60 / EVENTS;
        let _ = writeln!(out, "{{\"ts\":{ts},\"page\":\"p{page}\",\"user\":\"u{user}\"}}");
    }
    out.into_bytes()
}

/// Events a second that were acknowledged, as fast as can be or at a rate until it is done.
fn posted(at: &str, long: Duration, paced: Option<(f64, Arc<AtomicBool>)>) -> Result<f64, Failure> {
    let taken = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let client = |number: u64| {
        let (at, taken, paced) = (at.to_string(), Arc::clone(&taken), paced.clone());
        std::thread::spawn(move || -> Result<(), String> {
            let mut connection = Connection::open(&at).map_err(|failure| failure.to_string())?;
            let mut sent = 0;
            while begun.elapsed() < long && !paced.as_ref().is_some_and(|(_, done)| done.load(Relaxed)) {
                connection.post(&body(MINUTES, sent * CLIENTS + number)).map_err(|f| f.to_string())?;
                taken.fetch_add(EVENTS, Relaxed);
                sent += 1;
                if let Some((rate, _)) = &paced {
                    let due = Duration::from_secs_f64((sent * EVENTS * CLIENTS) as f64 / rate);
                    std::thread::sleep(due.saturating_sub(begun.elapsed()));
                }
            }
            Ok(())
        })
    };
    let threads: Vec<_> = (0..CLIENTS).map(client).collect();
    for thread in threads {
        thread.join().expect("a client does not panic")?;
    }
    Ok(taken.load(Relaxed) as f64 / begun.elapsed().as_secs_f64())
}

/// How long answers took, sorted.
fn asked(at: &str, path: &str, long: Duration) -> Result<Vec<Duration>, Failure> {
    let (mut connection, mut times) = (Connection::open(at)?, Vec::new());
    let begun = Instant::now();
    while begun.elapsed() < long {
        let path = path.replace('#', &(times.len() as u64 % GROUPS).to_string());
        let asked = Instant::now();
        connection.ask(&format!("GET {path}"), b"")?;
        times.push(asked.elapsed());
    }
    times.sort();
    Ok(times)
}

/// The program at work; ended when it is dropped.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn start(program: &str, folder: &std::path::Path) -> Result<Running, Failure> {
        let mut child = Command::new(std::fs::canonicalize(program)?)
            .current_dir(folder)
            .args(["run", "p.toml", "--state", "s"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut said = BufReader::new(child.stderr.take().ok_or("no standard error")?);
        let mut running = Running { child, address: String::new() };
        let mut line = String::new();
        while said.read_line(&mut line)? > 0 {
            if let Some((_, address)) = line.split_once("listening on http://") {
                running.address = address.trim().into();
                // What else it says is of no interest, but must be read.
                std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
                return Ok(running);
            }
            line.clear();
        }
        Err("it never listened".into())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that stays open.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(at: &str) -> Result<Connection, Failure> {
        let stream = TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        Ok(Connection(BufReader::with_capacity(1 << 16, stream)))
    }

    fn post(&mut self, body: &[u8]) -> Result<(), Failure> {
        self.ask("POST /v1/events", body)
    }

    /// Asks, and reads the whole answer; after a refusal for want of room once more, a little later.
    fn ask(&mut self, what: &str, body: &[u8]) -> Result<(), Failure> {
        loop {
            let head = format!("{what} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
            self.0.get_mut().write_all(&[head.as_bytes(), body].concat())?;
            let (mut line, mut length) = (String::new(), 0);
            self.0.read_line(&mut line)?;
            let status: u16 = line.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or("no status")?;
            while line.trim() != "" {
                line.clear();
                self.0.read_line(&mut line)?;
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse()?;
                }
            }
            let mut answer = vec![0; length];
            self.0.read_exact(&mut answer)?;
            match status {
                200 => return Ok(()),
                429 | 503 => std::thread::sleep(Duration::from_millis(20)),
                _ => return Err(format!("{what}: {status}: {}", String::from_utf8_lossy(&answer)).into()),
            }
        }
    }
}

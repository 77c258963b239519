//! A client of HTTP/1.1 that keeps its connection and never waits without a limit.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// 200 and its like.
    pub status: u16,
    /// Seconds, where it says so.
    pub retry_after: Option<u64>,
    /// Its body.
    pub body: String,
}

/// One connection, made anew when it is gone.
pub struct Client {
    address: String,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    /// To `127.0.0.1:PORT`; nothing is opened yet.
    pub fn new(address: &str) -> Client {
        Client { address: address.to_string(), stream: None }
    }

    /// Posts a body; `None` when no whole answer came, so that nobody knows what has become of it.
    pub fn post(&mut self, path: &str, headers: &str, body: &[u8]) -> Option<Answer> {
        self.ask("POST", path, headers, body)
    }

    /// Gets a path.
    pub fn get(&mut self, path: &str) -> Option<Answer> {
        self.ask("GET", path, "", b"")
    }

    fn ask(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Option<Answer> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(&self.address).ok()?;
                stream.set_read_timeout(Some(TIMEOUT)).ok()?;
                stream.set_write_timeout(Some(TIMEOUT)).ok()?;
                stream.set_nodelay(true).ok()?;
                BufReader::new(stream)
            }
        };
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{headers}\r\n");
        let (answer, stream) = exchange(stream, &[head.as_bytes(), body].concat())?;
        self.stream = stream;
        Some(answer)
    }
}

/// An answer, and the connection when it stays open.
fn exchange(
    mut stream: BufReader<TcpStream>,
    request: &[u8],
) -> Option<(Answer, Option<BufReader<TcpStream>>)> {
    // A server that refuses answers before it has read everything; then it closes.
    let written = stream.get_mut().write_all(request);
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let status = line.split_whitespace().nth(1)?.parse().ok()?;
    let (mut length, mut retry_after, mut closes) = (0, None, written.is_err());
    loop {
        line.clear();
        stream.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "retry-after" => retry_after = value.parse().ok(),
            "connection" => closes |= value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let answer = Answer { status, retry_after, body: String::from_utf8(body).ok()? };
    Some((answer, (!closes).then_some(stream)))
}

/// A port that was free a moment ago: clients must find a program again that comes back.
///
/// # Errors
/// When there is none.
pub fn free_address() -> std::io::Result<String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.to_string())
}

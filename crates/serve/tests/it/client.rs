//! A small client that sends exactly the bytes it is told to.

use crate::inbox::TestInbox;
use serde_json::Value;
use serve::{Behind, Listen, Server, Source};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Long enough for any machine; nothing waits for it unless it fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Any free port of this machine.
pub fn listen() -> Listen {
    Listen { address: SocketAddr::from(([127, 0, 0, 1], 0)), ..Listen::default() }
}

/// A server with one source, `events`.
pub fn start(listen: Listen) -> (Server, Arc<TestInbox>) {
    let inbox = Arc::new(TestInbox::default());
    let server = Server::start(
        listen,
        Behind { sources: vec![Source::new("events", inbox.clone())], ..Behind::default() },
    );
    (server.unwrap(), inbox)
}

pub struct Client {
    stream: TcpStream,
    /// Read, and not taken yet.
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Client {
    pub fn new(server: &Server) -> Client {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream, bytes: Vec::new() }
    }

    /// Sends as it stands. A server that has hung up is no error here: the answer tells.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Posts a body with further header lines.
    pub fn post(&mut self, path: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Reply {
        self.send(request(path, headers, body.as_ref()));
        self.reply().expect("an answer")
    }

    pub fn get(&mut self, path: &str, headers: &[&str]) -> Reply {
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        self.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n"));
        self.reply().expect("an answer")
    }

    /// What comes, up to and with this text.
    pub fn until(&mut self, text: &str) -> String {
        loop {
            let so_far = String::from_utf8_lossy(&self.bytes).into_owned();
            if let Some(at) = so_far.find(text) {
                self.bytes.drain(..at + text.len());
                return so_far[..at + text.len()].to_string();
            }
            self.more().unwrap_or_else(|| panic!("it ended without `{text}`: {so_far}"));
        }
    }

    /// The next answer; `None` when the server has hung up.
    pub fn reply(&mut self) -> Option<Reply> {
        let end = loop {
            if let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            self.more()?;
        };
        let head = String::from_utf8(self.bytes.drain(..end + 4).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        if status == 100 {
            return self.reply();
        }
        let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        while self.bytes.len() < length {
            self.more()?;
        }
        let body = String::from_utf8(self.bytes.drain(..length).collect()).unwrap();
        Some(Reply { status, head, body })
    }

    fn more(&mut self) -> Option<()> {
        let mut buffer = [0; 4_096];
        match self.stream.read(&mut buffer) {
            Ok(0) => None,
            Ok(n) => {
                self.bytes.extend_from_slice(&buffer[..n]);
                Some(())
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("the server neither answers nor hangs up: {error}"),
        }
    }

    /// Whether an answer is there already.
    pub fn is_silent(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let read = self.stream.read(&mut [0; 1]);
        self.stream.set_nonblocking(false).unwrap();
        self.bytes.is_empty() && read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Says no with this status, a sentence and what to do.
    pub fn assert_refused(&self, status: u16, part: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let json = self.json();
        assert!(json["detail"].as_str().is_some_and(|error| error.contains(part)), "`{part}` in {json}");
        assert!(json["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{json}");
    }
}

pub fn request(path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{lines}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
}

/// A number of `/metrics`, by the beginning of its line.
pub fn metric(server: &Server, name: &str) -> Option<u64> {
    let text = Client::new(server).get("/metrics", &[]).body;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("streamgauge_{name} ")));
    line.map(|number| number.parse().unwrap())
}

/// Waits until something is so.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

//! A client of Postgres that sends exactly the bytes it is told to, and reads what comes back message by message.

use crate::asked::reader;
use crate::client::PATIENCE;
use plan::query::{Database, Options};
use serve::{Behind, Listen, Postgres, Server, Tokens};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// A server that clients of Postgres may ask, over an event a second for two hours.
pub fn start(listen: Listen, change: impl FnOnce(&mut Postgres)) -> Server {
    let mut postgres = Postgres::at(SocketAddr::from(([127, 0, 0, 1], 0)));
    change(&mut postgres);
    let reader: Arc<dyn engine::moment::Reader> = Arc::new(reader());
    let options = Options { deadline: Duration::from_secs(20), ..Options::default() };
    let database = Some(Database::new(Arc::clone(&reader), options));
    let listen = Listen { postgres: Some(postgres), ..listen };
    Server::start(listen, Behind { reader: Some(reader), database, ..Behind::default() }).expect("a server")
}

/// The same without tokens.
pub fn open() -> Server {
    start(crate::client::listen(), |_| ())
}

/// The same with one that may ask, one that may send, and one that may do both.
pub fn closed() -> Server {
    let tokens = Tokens::none()
        .with("ask", serve::Role::Read)
        .with("send", serve::Role::Ingest)
        .with("all", serve::Role::Admin);
    start(Listen { tokens, ..crate::client::listen() }, |_| ())
}

/// What a server says: a kind and bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub kind: u8,
    pub body: Vec<u8>,
}

impl Said {
    /// A field of an error or a notice.
    pub fn field(&self, field: u8) -> Option<String> {
        let found = self.body.split(|byte| *byte == 0).find(|part| part.first() == Some(&field))?;
        Some(String::from_utf8_lossy(&found[1..]).into_owned())
    }

    /// The values of a row, as text.
    pub fn values(&self) -> Vec<Option<String>> {
        assert_eq!(self.kind, b'D', "{self:?}");
        let mut rest = &self.body[2..];
        let mut out = Vec::new();
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let length = usize::try_from(i32::from_be_bytes(*length));
            let (value, behind) = behind.split_at(length.unwrap_or(0));
            out.push(length.ok().map(|_| String::from_utf8_lossy(value).into_owned()));
            rest = behind;
        }
        out
    }
}

pub struct Pg {
    pub stream: TcpStream,
    pub process: Vec<u8>,
}

/// A message with its length.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 4).to_be_bytes();
    [&[kind], &length[..], body].concat()
}

/// The packet that begins a connection.
pub fn startup(pairs: &[(&str, &str)]) -> Vec<u8> {
    let words: String = pairs.iter().map(|(name, value)| format!("{name}\0{value}\0")).collect();
    packet(3 << 16, &[words.as_bytes(), b"\0"].concat())
}

pub fn packet(code: u32, rest: &[u8]) -> Vec<u8> {
    [&(rest.len() as u32 + 8).to_be_bytes()[..], &code.to_be_bytes(), rest].concat()
}

impl Pg {
    /// A connection on which nothing was said.
    pub fn silent(server: &Server) -> Pg {
        let stream = TcpStream::connect(server.postgres().expect("it listens")).expect("somebody listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        Pg { stream, process: Vec::new() }
    }

    /// A connection without a token, ready for statements.
    pub fn new(server: &Server) -> Pg {
        let mut pg = Pg::silent(server);
        pg.send(startup(&[("user", "me"), ("database", "streamgauge")]));
        let said = pg.until_ready();
        assert_eq!(said.first().map(|said| said.kind), Some(b'R'), "{said:?}");
        pg.process = said.iter().find(|said| said.kind == b'K').expect("a key").body.clone();
        pg
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // A server that has hung up is no error here: what it said tells.
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// The next message; none when the server has hung up.
    pub fn next(&mut self) -> Option<Said> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes(head[1..].try_into().expect("four bytes")) as usize;
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body).ok()?;
        Some(Said { kind: head[0], body })
    }

    /// Everything up to the end of the connection.
    pub fn rest(&mut self) -> Vec<Said> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Everything up to the next time that the server is ready, or the end.
    pub fn until_ready(&mut self) -> Vec<Said> {
        let mut out = Vec::new();
        while let Some(said) = self.next() {
            let is_last = said.kind == b'Z';
            out.push(said);
            if is_last {
                break;
            }
        }
        out
    }

    /// Asks in the simple way.
    pub fn ask(&mut self, sql: &str) -> Vec<Said> {
        self.send(message(b'Q', &[sql.as_bytes(), b"\0"].concat()));
        self.until_ready()
    }

    /// The kinds of what is said to a text of statements.
    pub fn kinds(&mut self, sql: &str) -> String {
        kinds(&self.ask(sql))
    }

    /// The rows of a statement, as text.
    pub fn rows(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        let said = self.ask(sql);
        assert!(said.iter().all(|said| said.kind != b'E'), "{sql}: {:?}", error(&said));
        said.iter().filter(|said| said.kind == b'D').map(Said::values).collect()
    }
}

pub fn kinds(said: &[Said]) -> String {
    said.iter().map(|said| char::from(said.kind)).collect()
}

/// The code of the error in what was said.
pub fn code(said: &[Said]) -> Option<String> {
    said.iter().find(|said| said.kind == b'E')?.field(b'C')
}

/// The error in what was said, in words.
pub fn error(said: &[Said]) -> Option<String> {
    said.iter().find(|said| said.kind == b'E')?.field(b'M')
}

//! A small client: one request a connection, a body of known length, an answer of bounded length, and no wait without end.
//!
//! **Left out:** TLS (a proxy or a tunnel has it), redirects, bodies in chunks.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For the other side to take something, and to begin to answer: it reads what it has of us before.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Longest answer, its head included, unless told otherwise.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
const CHUNK_BYTES: usize = 64 << 10;

/// A server that can be asked.
#[derive(Clone)]
pub struct Client {
    /// Host and port.
    authority: String,
    token: Option<String>,
    answer_bytes_max: u64,
    timeout: Duration,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// After how long it may be asked again.
    pub retry_after: Option<Duration>,
    /// Its body.
    pub body: Vec<u8>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("authority", &self.authority).finish_non_exhaustive()
    }
}

impl Client {
    /// A client for `http://HOST:PORT`, which sends `token` with every request.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the address or the token.
    pub fn new(url: &str, token: Option<String>) -> Result<Client, String> {
        if url.starts_with("https://") {
            return Err(format!(
                "`{url}` asks for TLS, which is not spoken here: let a tunnel or a proxy on this machine have it, and \
                 name that one with http://"
            ));
        }
        let wrong = || format!("`{url}` is no address: write it as http://HOST:PORT");
        let authority = url.strip_prefix("http://").ok_or_else(wrong)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = authority.rsplit_once(':').ok_or_else(wrong)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        if host.is_empty() || !host.bytes().all(plain) || port.parse::<u16>().is_err() {
            return Err(wrong());
        }
        if token
            .as_ref()
            .is_some_and(|token| token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()))
        {
            return Err("the token is empty, or has other than visible ASCII characters".into());
        }
        Ok(Client {
            authority: authority.into(),
            token,
            answer_bytes_max: ANSWER_BYTES_MAX,
            timeout: TIMEOUT,
        })
    }

    /// The same with answers of up to so many bytes, heads included; 4 MiB without it.
    pub fn with_answers_of(self, bytes_max: u64) -> Client {
        Client { answer_bytes_max: bytes_max, ..self }
    }

    /// The same with so much patience for the other side to take something, and to begin to answer; 120 s without it.
    pub fn with_patience(self, timeout: Duration) -> Client {
        // The system takes no wait of nothing.
        Client { timeout: timeout.max(Duration::from_millis(1)), ..self }
    }

    /// Sends a request with a body of so many bytes, and reads the answer.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn send(&self, method: &str, path: &str, bytes: u64, mut body: impl Read) -> io::Result<Answer> {
        let mut stream = self.connect()?;
        let bearer = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n"));
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {bytes}\r\n\
             Content-Type: application/octet-stream\r\n{}\r\n",
            self.authority,
            bearer.unwrap_or_default()
        );
        stream.write_all(head.as_bytes())?;
        // Who refuses a body may not read it to its end: then the answer says why it could not be sent.
        let refused = copy(&mut body, bytes, &mut stream)?;
        read_answer(&mut stream, self.answer_bytes_max).map_err(|error| refused.unwrap_or(error))
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in self.authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(self.timeout))?;
                    stream.set_write_timeout(Some(self.timeout))?;
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// Exactly so many bytes: a body that is shorter than was said must not look whole. What the other side says while it takes no
/// more is no error yet.
fn copy(body: &mut impl Read, bytes: u64, to: &mut TcpStream) -> io::Result<Option<io::Error>> {
    let (mut left, mut chunk) = (bytes, vec![0; CHUNK_BYTES]);
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        body.read_exact(&mut chunk[..most])?;
        if let Err(error) = to.write_all(&chunk[..most]) {
            return Ok(Some(error));
        }
        left -= most as u64;
    }
    Ok(None)
}

fn read_answer(stream: &mut impl Read, bytes_max: u64) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    let read = stream.take(bytes_max).read_to_end(&mut bytes);
    if bytes.len() as u64 == bytes_max {
        let text = format!("the answer has more than {bytes_max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    // A connection that is reset behind a whole answer is no trouble.
    match (parse(&bytes), read) {
        (Some(answer), _) => Ok(answer),
        (None, Err(error)) => Err(error),
        (None, Ok(_)) => {
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer is no whole one of HTTP"))
        }
    }
}

/// A whole answer.
fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (version, status) = (words.next()?, words.next()?.parse::<u16>().ok()?);
    if !version.starts_with("HTTP/1.") {
        return None;
    }
    let headers: Vec<(String, &str)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .collect();
    let find = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
    let body = &bytes[end + 4..];
    let body = match find("content-length") {
        Some(length) => body.get(..length.parse().ok()?)?,
        None if find("transfer-encoding").is_some() => return None,
        None => body,
    };
    let retry_after = find("retry-after").and_then(|value| value.parse().ok()).map(Duration::from_secs);
    Some(Answer { status, retry_after, body: body.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hosts_with_a_port() {
        for url in
            ["http://127.0.0.1:8428", "http://hub:80/", "http://[::1]:9", "http://hub.example.org:8428"]
        {
            assert!(Client::new(url, None).is_ok(), "{url}");
        }
        for url in [
            "hub:80",
            "http://hub",
            "http://hub:",
            "http://:80",
            "http://h/x:80",
            "http://a b:80",
            "http://h:80/x",
            "http://u@h:1",
        ] {
            assert!(Client::new(url, None).unwrap_err().contains("http://HOST:PORT"), "{url}");
        }
        assert!(Client::new("https://hub:443", None).unwrap_err().contains("TLS"));
        assert!(Client::new("http://h:1", Some("a b".into())).unwrap_err().contains("token"));
        let shown = format!("{:?}", Client::new("http://h:1", Some("secret".into())));
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn no_part_of_an_answer_is_one() {
        let whole = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\ncontent-length: 5\r\n\r\nhello";
        let answer =
            Answer { status: 503, retry_after: Some(Duration::from_secs(10)), body: b"hello".to_vec() };
        assert_eq!(parse(whole), Some(answer));
        for cut in 0..whole.len() {
            assert_eq!(parse(&whole[..cut]), None, "{cut} bytes");
        }
        assert_eq!(parse(b"SSH-2.0-x\r\n\r\n"), None);
        assert_eq!(parse(b"HTTP/1.1 x y\r\n\r\n"), None);
    }
}

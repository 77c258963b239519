//! The beginning of a connection: whether it is encrypted, who is there, what they want.

use super::GREETING_BYTES_MAX;
use super::connection::{Connection, Status, Stop};
use super::failure::Failure;
use super::line::Line;
use super::listen::Wire;
use super::message::{self, Bytes, Message};
use super::out;
use super::prepared::Store;
use super::scram::{Exchange, Keys, mechanisms};
use super::settings::Settings;
use crate::patient::Patient;
use crate::roles::Need;
use plan::query::postgres::Client;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

/// Versions of the protocol, and what is asked where one stands.
const VERSION_3: i32 = 3 << 16;
const CANCEL: i32 = 1234 << 16 | 5678;
const ENCRYPT: i32 = 1234 << 16 | 5679;
const ENCRYPT_BY_GSS: i32 = 1234 << 16 | 5680;
/// The first byte of a client that begins with TLS.
const TLS_BEGINS: u8 = 0x16;
/// Questions about encryption before the connection begins.
const QUESTIONS_MAX: usize = 3;

/// What a client says of itself.
type Told = BTreeMap<String, String>;

/// Serves one connection from its first byte to its last.
pub(crate) async fn serve(stream: TcpStream, wire: Arc<Wire>, stopped: watch::Receiver<bool>) {
    // Answers go out when they are whole: nothing is gained by waiting for more.
    let _ = stream.set_nodelay(true);
    let within = wire.listen.startup_timeout;
    let mut first = [0];
    let begins = timeout(within, stream.peek(&mut first)).await;
    let Ok(Ok(1)) = begins else { return };
    let patience = wire.house.listen.answer_timeout;
    let stream = Patient::new(stream, patience);
    if first == [TLS_BEGINS] && wire.tls.is_some() {
        return encrypted(stream, wire, stopped).await;
    }
    let mut line = Line::new(stream);
    match timeout(within, greeting(&mut line, &wire)).await {
        Ok(Ok(Greeting::Encrypt)) => {
            if let Some(stream) = line.into_stream() {
                encrypted(stream, wire, stopped).await;
            }
        }
        Ok(Ok(Greeting::Told(told))) => begin(line, told, wire, stopped, false).await,
        Ok(Ok(Greeting::Over)) | Err(_) => {}
        Ok(Err(stop)) => refuse(line, stop).await,
    }
}

/// The same over TLS.
async fn encrypted(stream: Patient<TcpStream>, wire: Arc<Wire>, stopped: watch::Receiver<bool>) {
    let Some(acceptor) = &wire.tls else { return };
    let within = wire.listen.startup_timeout;
    let Ok(Ok(stream)) = timeout(within, acceptor.accept(stream)).await else {
        wire.house.counters.tls_failures.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        return;
    };
    let mut line = Line::new(stream);
    match timeout(within, told(&mut line, &wire, true)).await {
        Ok(Ok(Some(told))) => begin(line, told, wire, stopped, true).await,
        Ok(Ok(None)) | Err(_) => {}
        Ok(Err(stop)) => refuse(line, stop).await,
    }
}

async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(mut line: Line<S>, stop: Stop) {
    if let Stop::Failed(failure) = stop {
        line.out.failure(&Failure { fatal: true, ..failure });
        line.close().await;
    }
}

enum Greeting {
    /// TLS comes next.
    Encrypt,
    Told(Told),
    /// It was for another connection, or nothing.
    Over,
}

/// Whether a client came to cancel, which was done then. There is only a refusal to say to others.
pub(crate) async fn only_cancels(stream: &mut TcpStream, wire: &Wire) -> bool {
    let mut line = Line::new(stream);
    for _ in 0..QUESTIONS_MAX {
        match packet(&mut line).await {
            // What is said instead of yes or no is an error.
            Ok((ENCRYPT, _)) if wire.tls.is_some() => return false,
            Ok((ENCRYPT | ENCRYPT_BY_GSS, _)) => {
                line.out.0.push(b'N');
                if line.send().await.is_err() {
                    return true;
                }
            }
            Ok((CANCEL, rest)) => return understood(&mut line, wire, CANCEL, &rest, false).is_ok(),
            _ => return false,
        }
    }
    false
}

/// Settles whether the connection is encrypted.
async fn greeting<S: AsyncRead + AsyncWrite + Unpin>(
    line: &mut Line<S>,
    wire: &Wire,
) -> Result<Greeting, Stop> {
    for _ in 0..QUESTIONS_MAX {
        let (code, rest) = packet(line).await?;
        let refused = match code {
            ENCRYPT if wire.tls.is_some() => {
                line.out.0.push(b'S');
                line.send().await?;
                return Ok(Greeting::Encrypt);
            }
            ENCRYPT | ENCRYPT_BY_GSS => b'N',
            _ => {
                return Ok(understood(line, wire, code, &rest, false)?.map_or(Greeting::Over, Greeting::Told));
            }
        };
        line.out.0.push(refused);
        line.send().await?;
    }
    Err(Failure::protocol("too many questions about encryption").into())
}

/// What a client tells of itself; `None` when it came to cancel.
async fn told<S: AsyncRead + AsyncWrite + Unpin>(
    line: &mut Line<S>,
    wire: &Wire,
    encrypted: bool,
) -> Result<Option<Told>, Stop> {
    let (code, rest) = packet(line).await?;
    Ok(understood(line, wire, code, &rest, encrypted)?)
}

/// A packet of the beginning: it has a length and no kind.
async fn packet<S: AsyncRead + AsyncWrite + Unpin>(line: &mut Line<S>) -> Result<(i32, Vec<u8>), Stop> {
    let length = i32::from_be_bytes(line.exactly().await?);
    let rest = usize::try_from(length).unwrap_or(0).wrapping_sub(8);
    if rest > GREETING_BYTES_MAX {
        let message =
            format!("invalid length of startup packet: {length}; this is no client of Postgres, or HTTP");
        return Err(Failure::protocol(message).into());
    }
    let code = i32::from_be_bytes(line.exactly().await?);
    Ok((code, line.bytes(rest).await?))
}

fn understood<S: AsyncRead + AsyncWrite + Unpin>(
    line: &mut Line<S>,
    wire: &Wire,
    code: i32,
    rest: &[u8],
    encrypted: bool,
) -> Result<Option<Told>, Failure> {
    if code == CANCEL {
        let mut bytes = Bytes(rest);
        let process = bytes.int()?;
        wire.cancels.cancel(process, bytes.0);
        return Ok(None);
    }
    if code >> 16 != 3 {
        let message =
            format!("unsupported frontend protocol {}.{}: server supports 3.0", code >> 16, code & 0xffff);
        return Err(Failure::fatal("0A000", message));
    }
    if wire.tls.is_some() && !encrypted {
        let failure = Failure::fatal("28000", "this server takes encrypted connections alone");
        return Err(failure.hint("connect with sslmode=require"));
    }
    let (mut bytes, mut told, mut unknown) = (Bytes(rest), Told::new(), Vec::new());
    loop {
        let name = bytes.text()?;
        if name.is_empty() {
            break;
        }
        let value = bytes.text()?;
        if name.starts_with("_pq_.") {
            unknown.push(name);
        } else {
            told.insert(name, value);
        }
    }
    if !bytes.0.is_empty() {
        return Err(Failure::protocol("invalid startup packet layout: expected terminator as last byte"));
    }
    if code != VERSION_3 || !unknown.is_empty() {
        // A newer client is told what there is.
        line.out.message(b'v', |bytes| {
            bytes.extend(VERSION_3.to_be_bytes());
            bytes.extend((unknown.len() as u32).to_be_bytes());
            unknown.iter().for_each(|name| out::text(bytes, name));
        });
    }
    Ok(Some(told))
}

/// Finds out who is there, says what there is, and begins to talk.
async fn begin<S: AsyncRead + AsyncWrite + Unpin>(
    mut line: Line<S>,
    told: Told,
    wire: Arc<Wire>,
    stopped: watch::Receiver<bool>,
    encrypted: bool,
) {
    let within = wire.listen.startup_timeout;
    let settings = match timeout(within, admitted(&mut line, &told, &wire, encrypted)).await {
        Err(_) => return,
        Ok(Err(stop)) => return refuse(line, stop).await,
        Ok(Ok(settings)) => settings,
    };
    let Some(key) = wire.cancels.enter() else { return };
    line.out.message(b'R', |bytes| bytes.extend(0i32.to_be_bytes()));
    settings.reported().for_each(|(name, value)| line.out.parameter(name, value));
    line.out.message(b'K', |bytes| {
        bytes.extend(key.process.to_be_bytes());
        bytes.extend(key.secret);
    });
    line.out.ready(b'I');
    let process = key.process;
    let name = |key: &str| told.get(key).filter(|name| !name.is_empty()).cloned();
    let user = name("user").unwrap_or_default();
    let database = name("database").unwrap_or_else(|| user.clone());
    let client = Client { user, database, process, settings: BTreeMap::new() };
    if line.send().await.is_ok() {
        let connection = Connection {
            line,
            wire: Arc::clone(&wire),
            key,
            stopped,
            settings,
            client,
            status: Status::Idle,
            store: Store::default(),
            skipping: false,
            session: None,
        };
        connection.talk().await;
    }
    wire.cancels.leave(process);
}

/// Lets in who has a token that may ask; the settings that they come with.
async fn admitted<S: AsyncRead + AsyncWrite + Unpin>(
    line: &mut Line<S>,
    told: &Told,
    wire: &Wire,
    encrypted: bool,
) -> Result<Settings, Stop> {
    let user = told.get("user").filter(|user| !user.is_empty());
    let user =
        user.ok_or_else(|| Failure::fatal("28000", "no PostgreSQL user name specified in startup packet"))?;
    if told.get("replication").is_some_and(|wanted| !matches!(wanted.as_str(), "false" | "off" | "no" | "0"))
    {
        return Err(Failure::fatal("0A000", "there is nothing to replicate here").into());
    }
    if let Some(keys) = &wire.keys {
        let binding = wire.binding.as_deref().filter(|_| encrypted);
        proven(line, keys, binding).await?;
    }
    let mut settings = Settings::new(user, encrypted);
    let options = told.get("options").map_or(Vec::new(), |options| options_of(options));
    let own = |(name, _): &(&String, &String)| {
        !matches!(name.as_str(), "user" | "database" | "options" | "replication")
    };
    let told = told.iter().filter(own).map(|(name, value)| (name.clone(), value.clone()));
    for (name, value) in options.into_iter().chain(told) {
        settings.set(&name, Some(&value), false)?;
    }
    settings.begin();
    Ok(settings)
}

/// `-c name=value --name=value`, with blanks behind backslashes.
fn options_of(text: &str) -> Vec<(String, String)> {
    let (mut words, mut word, mut chars) = (Vec::new(), String::new(), text.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.extend(chars.next()),
            c if c.is_whitespace() => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    let pair = |word: &String| {
        let setting = word.strip_prefix("--").or_else(|| word.strip_prefix("-c")).unwrap_or(word);
        let (name, value) = setting.split_once('=')?;
        Some((name.replace('-', "_"), value.to_string()))
    };
    words.iter().filter_map(pair).collect()
}

/// Lets the client prove that it knows a token, without saying it.
async fn proven<S: AsyncRead + AsyncWrite + Unpin>(
    line: &mut Line<S>,
    keys: &Keys,
    binding: Option<&[u8]>,
) -> Result<(), Stop> {
    let ask = |line: &mut Line<S>, step: i32, text: &str| {
        line.out.message(b'R', |bytes| {
            bytes.extend(step.to_be_bytes());
            bytes.extend(text.bytes());
        });
    };
    let offered: String = mechanisms(binding).iter().map(|name| format!("{name}\0")).collect();
    ask(line, 10, &format!("{offered}\0"));
    line.send().await?;
    let first = secret(line).await?;
    let mut bytes = Bytes(&first);
    let (mechanism, length) = (bytes.text()?, bytes.int()?);
    let said = std::str::from_utf8(bytes.0).ok().filter(|said| usize::try_from(length) == Ok(said.len()));
    let said = said.ok_or_else(|| Failure::protocol("malformed SCRAM message"))?;
    let exchange = Exchange::begin(keys, &mechanism, said, binding)?;
    ask(line, 11, exchange.server_first());
    line.send().await?;
    let last = secret(line).await?;
    let last = std::str::from_utf8(&last).map_err(|_| Failure::protocol("malformed SCRAM message"))?;
    let Some((role, proof)) = exchange.finish(keys, last)? else {
        let failure =
            Failure::fatal("28P01", "password authentication failed: this is no token of the server");
        return Err(failure.hint("the password is a token of `[serve]`; any user name will do").into());
    };
    if !Need::Read.allows(role) {
        let failure = Failure::fatal("28000", "this token may not do this: it is for sending events");
        return Err(failure.hint(format!("use {} as the password", Need::Read.what())).into());
    }
    ask(line, 12, &proof);
    Ok(())
}

async fn secret<S: AsyncRead + AsyncWrite + Unpin>(line: &mut Line<S>) -> Result<Vec<u8>, Stop> {
    let (kind, body) = line.message(GREETING_BYTES_MAX).await?;
    match message::read(kind, &body)? {
        Message::Secret(bytes) => Ok(bytes),
        Message::Terminate => Err(Stop::Gone),
        _ => Err(Failure::protocol("expected the answer of a client that proves who it is").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_settings() {
        let found = options_of("-c statement_timeout=5000 -csearch_path=a\\ b --application-name=x -B 3");
        let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
        assert_eq!(
            found,
            [pair("statement_timeout", "5000"), pair("search_path", "a b"), pair("application_name", "x")]
        );
    }
}

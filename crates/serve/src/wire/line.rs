//! The stream to one client: whole messages in, gathered bytes out.

use super::SEND_BYTES;
use super::failure::Failure;
use super::out::Out;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Why there is no message.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The client is gone, or cannot be reached.
    Gone,
    /// What it said is no message.
    Wrong(Failure),
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Ended {
        Ended::Gone
    }
}

pub(crate) struct Line<S> {
    stream: S,
    /// Bytes that were read, of which messages are made.
    heard: Vec<u8>,
    pub out: Out,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    pub fn new(stream: S) -> Line<S> {
        Line { stream, heard: Vec::new(), out: Out::default() }
    }

    /// The next message: its kind and its bytes. May be dropped and asked again: nothing is lost.
    pub async fn message(&mut self, bytes_max: usize) -> Result<(u8, Vec<u8>), Ended> {
        loop {
            if let Some((head, rest)) = self.heard.split_first_chunk::<5>() {
                let [kind, length @ ..] = *head;
                let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(0).wrapping_sub(4);
                if length > bytes_max {
                    let message = format!("a message of {length} bytes, and {bytes_max} are the most");
                    return Err(Ended::Wrong(Failure::protocol(message)));
                }
                if rest.len() >= length {
                    let body = rest[..length].to_vec();
                    self.heard.drain(..5 + length);
                    return Ok((kind, body));
                }
            }
            self.hear().await?;
        }
    }

    /// Bytes of the next message, as long as nothing says how many there are.
    pub async fn exactly<const N: usize>(&mut self) -> Result<[u8; N], Ended> {
        loop {
            if let Some((first, _)) = self.heard.split_first_chunk::<N>() {
                let first = *first;
                self.heard.drain(..N);
                return Ok(first);
            }
            self.hear().await?;
        }
    }

    /// So many bytes.
    pub async fn bytes(&mut self, many: usize) -> Result<Vec<u8>, Ended> {
        while self.heard.len() < many {
            self.hear().await?;
        }
        Ok(self.heard.drain(..many).collect())
    }

    async fn hear(&mut self) -> Result<(), Ended> {
        match self.stream.read_buf(&mut self.heard).await? {
            0 => Err(Ended::Gone),
            _ => Ok(()),
        }
    }

    /// Comes back when the client is gone; reads what it says meanwhile, up to a limit.
    pub async fn gone(&mut self, ahead_bytes_max: usize) {
        while self.heard.len() < ahead_bytes_max {
            if self.hear().await.is_err() {
                return;
            }
        }
        std::future::pending().await
    }

    /// Sends what was gathered.
    pub async fn send(&mut self) -> Result<(), Ended> {
        if !self.out.0.is_empty() {
            self.stream.write_all(&self.out.0).await?;
            self.out.0.clear();
        }
        self.stream.flush().await?;
        Ok(())
    }

    /// Sends what was gathered, if it is much.
    pub async fn send_much(&mut self) -> Result<(), Ended> {
        if self.out.0.len() < SEND_BYTES { Ok(()) } else { self.send().await }
    }

    /// Sends what was gathered and closes.
    pub async fn close(mut self) {
        let _ = self.send().await;
        let _ = self.stream.shutdown().await;
    }

    /// The stream alone, where nothing was read ahead.
    pub fn into_stream(self) -> Option<S> {
        self.heard.is_empty().then_some(self.stream)
    }
}

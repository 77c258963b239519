//! Bodies: received and decompressed within bounds of bytes, time and memory.

use crate::counters::Refused;
use crate::reply::Problem;
use crate::server::House;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::time::timeout;

/// Memory of a zstd decoder is at most this power of two: what `zstd` uses up to level 19.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
const CHUNK_BYTES: usize = 64 << 10;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    Gzip,
    Zstd,
}

impl Encoding {
    /// What `Content-Encoding` says.
    pub fn of(headers: &HeaderMap) -> Result<Encoding, Problem> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let (first, more) = (values.next(), values.next());
        let word = first.map_or(Ok(""), |value| value.to_str()).unwrap_or("?").trim().to_ascii_lowercase();
        match word.as_str() {
            _ if more.is_some() => Err(unknown("several")),
            "" | "identity" => Ok(Encoding::Plain),
            "gzip" | "x-gzip" => Ok(Encoding::Gzip),
            "zstd" => Ok(Encoding::Zstd),
            other => Err(unknown(other)),
        }
    }
}

fn unknown(encoding: &str) -> Problem {
    let error = format!("Content-Encoding `{encoding}` is not read");
    let hint = "compress with gzip or zstd, once, or not at all";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Refused::Media, error, hint)
}

/// Memory that a body takes while it is received, out of what all have together.
pub(crate) struct Hold {
    house: Arc<House>,
    bytes: u64,
}

impl Hold {
    fn new(house: &Arc<House>) -> Hold {
        Hold { house: house.clone(), bytes: 0 }
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        let bytes = bytes as u64;
        self.bytes += bytes;
        let all = self.house.receiving_bytes.fetch_add(bytes, Relaxed) + bytes;
        let listen = &self.house.listen;
        // One body always has room, with what it decompresses to: a retry must be able to help.
        if all <= listen.receiving_bytes_max.max(2 * listen.body_bytes_max) as u64 {
            return Ok(());
        }
        Err(Problem::busy("too many bytes are being received"))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.house.receiving_bytes.fetch_sub(self.bytes, Relaxed);
    }
}

/// Receives a whole body, decompressed. The memory it takes is held until the `Hold` goes.
pub(crate) async fn receive(
    house: &Arc<House>,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<(Vec<u8>, Hold), Problem> {
    let encoding = Encoding::of(headers)?;
    let bytes_max = house.listen.body_bytes_max;
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > bytes_max as u64) {
        return Err(Problem::too_long(bytes_max));
    }
    let mut hold = Hold::new(house);
    let all = timeout(house.listen.body_timeout, collect(body, (length, bytes_max), &mut hold)).await;
    let packed = all.map_err(|_| slow(house))??;
    house.counters.received_bytes.fetch_add(packed.len() as u64, Relaxed);
    if encoding == Encoding::Plain {
        return Ok((packed, hold));
    }
    // Decompressing takes milliseconds: not on a thread that has connections to serve.
    let unpacked = tokio::task::spawn_blocking(move || unpack(encoding, &packed, bytes_max, hold));
    unpacked.await.unwrap_or_else(|_| Err(Problem::stopping()))
}

/// A body as it comes. It takes no more memory than it is long, once it is whole: it may wait for the disk.
async fn collect(
    body: &mut Body,
    (length, bytes_max): (Option<u64>, usize),
    hold: &mut Hold,
) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(Problem::bad("the body ended early or was not well formed", "send it again, whole"));
        };
        let Some(data) = frame.data_ref() else { continue };
        if bytes.len() + data.len() > bytes_max {
            return Err(Problem::too_long(bytes_max));
        }
        hold.grow(data.len())?;
        make_room(&mut bytes, data.len(), length);
        bytes.extend_from_slice(data);
    }
    bytes.shrink_to_fit();
    Ok(bytes)
}

/// Makes room for so many bytes more. It grows in steps, as what is announced need not come, but not beyond what is announced.
fn make_room(bytes: &mut Vec<u8>, more: usize, length: Option<u64>) {
    let needed = bytes.len() + more;
    if needed > bytes.capacity() {
        let announced = length.map_or(usize::MAX, |length| length as usize);
        bytes.reserve_exact((2 * needed).min(announced).max(needed) - bytes.len());
    }
}

fn slow(house: &House) -> Problem {
    let error = format!("the body did not come within {} seconds", house.listen.body_timeout.as_secs());
    let hint = "send smaller bodies, compressed if you can";
    Problem::new(StatusCode::REQUEST_TIMEOUT, Refused::Slow, error, hint)
}

/// Receives and forgets what a client still sends to a request that is refused, within bounds: one that is still sending
/// when the connection closes may never see the answer.
pub(crate) async fn drain(house: &House, headers: &HeaderMap, body: &mut Body) {
    // One that asks first has sent nothing yet.
    if headers.contains_key(header::EXPECT) {
        return;
    }
    let mut left = house.listen.body_bytes_max;
    let all = async {
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, |data| data.len());
            let Some(less) = left.checked_sub(bytes) else { return };
            left = less;
        }
    };
    let _ = timeout(house.listen.body_timeout, all).await;
}

/// Decompresses at most `bytes_max` bytes.
fn unpack(
    encoding: Encoding,
    packed: &[u8],
    bytes_max: usize,
    mut hold: Hold,
) -> Result<(Vec<u8>, Hold), Problem> {
    let mut reader: Box<dyn Read + '_> = match encoding {
        Encoding::Plain => Box::new(packed),
        Encoding::Gzip => Box::new(MultiGzDecoder::new(packed)),
        Encoding::Zstd => Box::new(zstd_reader(packed).map_err(|error| corrupt(&error))?),
    };
    let mut bytes = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let n = match reader.read(&mut chunk) {
            Ok(0) => {
                bytes.shrink_to_fit();
                return Ok((bytes, hold));
            }
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(corrupt(&error)),
        };
        if bytes.len() + n > bytes_max {
            return Err(Problem::too_long(bytes_max));
        }
        hold.grow(n)?;
        bytes.extend_from_slice(&chunk[..n]);
    }
}

fn zstd_reader(packed: &[u8]) -> io::Result<impl Read> {
    let mut reader = zstd::stream::read::Decoder::with_buffer(packed)?;
    reader.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(reader)
}

fn corrupt(error: &io::Error) -> Problem {
    let hint = "Content-Encoding must say how the whole body is compressed";
    Problem::bad(format!("the body cannot be decompressed: {error}"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Receives `bytes` in pieces: the room that was made in the end, and how often.
    fn check(bytes: usize, announced: Option<u64>) -> (usize, u32) {
        let (mut body, mut times) = (Vec::new(), 0);
        while body.len() < bytes {
            let piece = vec![0; (bytes - body.len()).min(13_000)];
            let before = body.capacity();
            make_room(&mut body, piece.len(), announced);
            times += u32::from(body.capacity() != before);
            body.extend_from_slice(&piece);
        }
        (body.capacity(), times)
    }

    #[test]
    fn a_body_has_no_more_room_than_was_announced_and_gets_it_in_few_steps() {
        for bytes in [1, 13_000, 13_001, 1 << 20, (1 << 20) + 1, 5_000_000] {
            let (room, times) = check(bytes, Some(bytes as u64));
            assert_eq!(room, bytes);
            assert!(times <= 10, "{times} steps to {bytes}");
            let (room, times) = check(bytes, None);
            assert!(room <= 2 * bytes.max(13_000) && times <= 10, "{room}, {times} steps to {bytes}");
        }
        // What is announced need not come.
        let (room, _) = check(100_000, Some(1 << 40));
        assert!(room <= 300_000, "{room}");
    }
}

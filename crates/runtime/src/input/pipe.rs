//! Standard input without waiting for it: a thread reads, whoever asks gets what is there.

use super::MAGIC_BYTES;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

/// Bytes read at once.
const CHUNK_BYTES: usize = 64 << 10;
/// Chunks that wait to be taken; then whoever writes has to.
const CHUNKS_MAX: usize = 8;

type Chunk = io::Result<Vec<u8>>;

/// A stream that is read by a thread of its own. A read of nothing is a pause, unless the stream has ended.
pub struct Pipe {
    chunks: Receiver<Chunk>,
    chunk: Vec<u8>,
    taken: usize,
    ended: Arc<AtomicBool>,
    waits: bool,
}

impl Pipe {
    /// Starts to read standard input. The thread ends with it, or with the program.
    pub fn stdin() -> Pipe {
        Pipe::of(io::stdin())
    }

    /// Starts to read.
    fn of(reader: impl Read + Send + 'static) -> Pipe {
        let (sender, chunks) = sync_channel(CHUNKS_MAX);
        std::thread::spawn(move || pump(reader, &sender));
        Pipe { chunks, chunk: Vec::new(), taken: 0, ended: Arc::default(), waits: false }
    }

    /// Whether there is enough to see what it is.
    pub fn is_ready(&mut self) -> io::Result<bool> {
        while self.chunk.len() < MAGIC_BYTES && !self.ended.load(Ordering::Acquire) {
            match self.chunks.try_recv() {
                Ok(chunk) => self.chunk.extend(chunk?),
                Err(TryRecvError::Empty) => return Ok(false),
                Err(TryRecvError::Disconnected) => self.ended.store(true, Ordering::Release),
            }
        }
        Ok(true)
    }

    /// The first bytes, when it is ready.
    pub fn first(&self) -> &[u8] {
        &self.chunk
    }

    /// From now on, a read waits until there are bytes.
    pub fn wait_for_bytes(&mut self) {
        self.waits = true;
    }

    /// Raised at the end of the stream.
    pub fn ended(&self) -> Arc<AtomicBool> {
        self.ended.clone()
    }

    /// The next chunk; `None` when there is none yet, or none any more.
    fn next_chunk(&mut self) -> Option<Chunk> {
        let next = if self.waits {
            self.chunks.recv().map_err(|_| TryRecvError::Disconnected)
        } else {
            self.chunks.try_recv()
        };
        if matches!(next, Err(TryRecvError::Disconnected)) {
            self.ended.store(true, Ordering::Release);
        }
        next.ok()
    }
}

fn pump(mut reader: impl Read, chunks: &SyncSender<Chunk>) {
    loop {
        let mut chunk = vec![0; CHUNK_BYTES];
        let next = match reader.read(&mut chunk) {
            Ok(0) => return,
            Ok(n) => {
                chunk.truncate(n);
                Ok(chunk)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = next.is_err();
        // Nobody takes it any more, or nothing follows an error.
        if chunks.send(next).is_err() || failed {
            return;
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.chunk.len() {
            let Some(chunk) = self.next_chunk() else { return Ok(0) };
            (self.chunk, self.taken) = (chunk?, 0);
        }
        let n = buffer.len().min(self.chunk.len() - self.taken);
        buffer[..n].copy_from_slice(&self.chunk[self.taken..self.taken + n]);
        self.taken += n;
        Ok(n)
    }
}

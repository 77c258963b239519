//! The events of the shop as blocks of NDJSON, and as a file.

use crate::Trouble;
use engine::batch::Block;
use shop::{Event, Shop};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;

/// Bytes of a block, as the runtime cuts them from files.
pub const BLOCK_BYTES: usize = 256 << 10;
/// An event is shorter than this.
const EVENT_BYTES_MAX: usize = 1 << 10;

/// Events on their way into the engine. One block is in memory at a time.
pub struct Blocks<E> {
    events: E,
    bytes: Vec<u8>,
    size: usize,
    next: u64,
    first_byte: u64,
}

impl<E: Iterator<Item = Event>> Blocks<E> {
    /// Blocks of about `size` bytes. What is needed for them is allocated here.
    pub fn new(events: E, size: usize) -> Blocks<E> {
        Blocks { events, bytes: Vec::with_capacity(size + EVENT_BYTES_MAX), size, next: 0, first_byte: 0 }
    }

    /// The next block; every event in it is shown to `each`. `None` at the end.
    pub fn next(&mut self, mut each: impl FnMut(&Event)) -> Option<Block<'_>> {
        self.first_byte += self.bytes.len() as u64;
        self.bytes.clear();
        while self.bytes.len() < self.size
            && let Some(event) = self.events.next()
        {
            each(&event);
            event.write_ndjson(&mut self.bytes);
        }
        if self.bytes.is_empty() {
            return None;
        }
        let number = self.next;
        self.next += 1;
        let (first_byte, bytes) = (self.first_byte, self.bytes.as_slice());
        Some(Block { partition: 0, number, first_byte, bytes, arrival: None })
    }
}

/// Writes the events to a file, `-` being standard output: CSV when its name ends so, else NDJSON.
pub fn write(shop: Shop, name: &str, force: bool) -> Result<(), Trouble> {
    let wrong =
        |error: io::Error| Trouble::environment(format!("cannot write the events to `{name}`: {error}"));
    if name == "-" {
        return match write_to(shop, &mut io::stdout().lock(), false) {
            // Whoever reads has seen enough.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(wrong(error)),
            _ => Ok(()),
        };
    }
    let path = Path::new(name);
    let csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let file = match force {
        true => File::create(path),
        false => OpenOptions::new().write(true).create_new(true).open(path),
    };
    let mut file = file.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Trouble::question(format!(
            "`{name}` is there already: choose another --write, or write over it with --force"
        )),
        _ => wrong(error),
    })?;
    write_to(shop, &mut file, csv).map_err(wrong)
}

fn write_to(shop: Shop, out: &mut impl Write, csv: bool) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(BLOCK_BYTES, out);
    let mut line = Vec::with_capacity(EVENT_BYTES_MAX);
    if csv {
        out.write_all(Event::csv_header())?;
    }
    for event in shop {
        line.clear();
        match csv {
            true => event.write_csv(&mut line),
            false => event.write_ndjson(&mut line),
        }
        out.write_all(&line)?;
    }
    out.flush()
}

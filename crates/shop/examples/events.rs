//! Writes the shop to standard output: the input of `examples/shop.toml`.
//!
//! `cargo run --release -p streamgauge-shop --example events -- 100000 10000 42 > examples/events.ndjson`
//!
//! All three numbers (events, users, seed) may be left out.

use shop::{Settings, Shop};
use std::io::{self, Write};

/// Bytes gathered before they are written.
const BLOCK: usize = 1 << 18;

fn main() -> io::Result<()> {
    let mut words = std::env::args().skip(1).map(|word| word.parse::<u64>().expect("a number"));
    let default = Settings::default();
    let events = words.next().unwrap_or(default.events);
    let entities = words.next().map_or(default.entities, |n| u32::try_from(n).expect("users below 2^32"));
    let seed = words.next().unwrap_or(default.seed);

    let mut out = io::stdout().lock();
    let mut block = Vec::with_capacity(BLOCK + 1024);
    for event in Shop::new(Settings::new(events, entities, seed)) {
        event.write_ndjson(&mut block);
        if block.len() >= BLOCK {
            out.write_all(&block)?;
            block.clear();
        }
    }
    out.write_all(&block)
}

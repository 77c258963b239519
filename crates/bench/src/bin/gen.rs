//! Writes the bench's event stream to stdout: `streamgauge-gen --events N [--entities N] [--format ndjson|csv]`.
#![forbid(unsafe_code)]

use std::io::{ErrorKind, Write};
use std::num::NonZeroU32;
use std::process::ExitCode;

use bench::stream::{Format, Stream};

/// Bytes collected before they are written.
const BLOCK_BYTES: usize = 1 << 20;
const USAGE: &str =
    "usage: streamgauge-gen --events N [--entities N, default N/10] [--format ndjson|csv] > FILE";

fn main() -> ExitCode {
    let order = match Order::parse(std::env::args().skip(1)) {
        Ok(order) => order,
        Err(trouble) => {
            eprintln!("streamgauge-gen: {trouble}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match order.write(&mut std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        // Who pipes into `head` has seen enough.
        Err(e) if e.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("streamgauge-gen: {e}");
            ExitCode::FAILURE
        }
    }
}

struct Order {
    events: u64,
    entities: NonZeroU32,
    format: Format,
}

impl Order {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Order, String> {
        let (mut events, mut entities, mut format) = (None, None, Format::Ndjson);
        while let Some(name) = args.next() {
            let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
            let wrong = |why: &dyn std::fmt::Display| format!("{name} {value}: {why}");
            match name.as_str() {
                "--events" => events = Some(value.parse::<u64>().map_err(|e| wrong(&e))?),
                "--entities" => entities = Some(value.parse::<NonZeroU32>().map_err(|e| wrong(&e))?),
                "--format" if value == "ndjson" => format = Format::Ndjson,
                "--format" if value == "csv" => format = Format::Csv,
                "--format" => return Err(wrong(&"not ndjson or csv")),
                _ => return Err(format!("unknown option {name}")),
            }
        }
        let events = events.ok_or("--events is missing")?;
        let tenth = u32::try_from(events / 10).unwrap_or(u32::MAX);
        let entities = entities.or(NonZeroU32::new(tenth)).unwrap_or(NonZeroU32::MIN);
        Ok(Order { events, entities, format })
    }

    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let mut block = Vec::with_capacity(BLOCK_BYTES + 512);
        block.extend_from_slice(self.format.header());
        for event in Stream::power_law(self.events, self.entities) {
            self.format.write(&event, &mut block);
            if block.len() >= BLOCK_BYTES {
                out.write_all(&block)?;
                block.clear();
            }
        }
        out.write_all(&block)?;
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Order, String> {
        Order::parse(line.split_whitespace().map(String::from))
    }

    #[test]
    fn a_tenth_as_many_users_unless_told() {
        let order = parse("--events 1000").unwrap();
        assert_eq!((order.events, order.entities.get(), order.format), (1_000, 100, Format::Ndjson));
        assert_eq!(parse("--events 5 --format csv").unwrap().entities.get(), 1);
        assert_eq!(parse("--entities 7 --events 1000").unwrap().entities.get(), 7);
    }

    #[test]
    fn a_wrong_order_is_refused_by_name() {
        for (line, word) in [
            ("", "--events is missing"),
            ("--events", "needs a value"),
            ("--events many", "--events many"),
            ("--events 1 --entities 0", "--entities 0"),
            ("--events 1 --format xml", "not ndjson or csv"),
            ("--evens 1", "unknown option --evens"),
        ] {
            let trouble = parse(line).err().expect(line);
            assert!(trouble.contains(word), "{line}: {trouble}");
        }
    }
}

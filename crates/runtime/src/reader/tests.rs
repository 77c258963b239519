//! Files in blocks against the same bytes in one piece.

use super::open::{Filled, OpenFile, Style};
use crate::input::{Growth, InputFile};
use crate::resume::Planned;
use engine::batch::{Block, Reason};
use engine::decode::Decoder;
use engine::spec::{BadPolicy, Delimited, Field, Format, Kind, Source};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

fn csv() -> Source {
    let columns = Some(vec!["a".to_string(), "b".to_string()]);
    Source {
        fields: vec![Field { path: "b".into(), kind: Kind::Int64 }],
        bad: BadPolicy::Quarantine,
        record_bytes_max: 1 << 10,
        ..Source::new("events", Format::Delimited(Delimited { delimiter: b',', quoted: true, columns }))
    }
}

/// What was read: rows and lines, and each bad record with its line, position and bytes.
#[derive(Debug, Default, PartialEq)]
struct Read {
    rows: usize,
    lines: u64,
    bad: Vec<(Reason, u64, u64, Box<[u8]>)>,
}

impl Read {
    fn take(&mut self, decoder: &mut Decoder, first_byte: u64, bytes: &[u8]) {
        let block = Block { partition: 0, number: 0, first_byte, bytes, arrival: None };
        let batch = decoder.decode(&block);
        let lines = self.lines;
        self.bad.extend(
            batch.bad.into_iter().map(|bad| (bad.reason, lines + bad.raw.line, bad.raw.byte, bad.raw.bytes)),
        );
        (self.rows, self.lines) = (self.rows + batch.rows, lines + batch.lines);
    }
}

/// Reads a file as a run does.
fn in_blocks(source: &Source, path: &str) -> Read {
    let file = InputFile { path: path.into(), size_bytes: None };
    let planned = Planned::whole(vec![file]).remove(0);
    let style = Style::of(source);
    let mut open = OpenFile::open(&planned, &style, Growth::Whole, Arc::new(AtomicU64::new(0))).unwrap();
    let mut decoder = Decoder::new(source, None).unwrap();
    let (mut read, mut buffer) = (Read::default(), Vec::new());
    while let Filled::Block(first_byte) = open.fill(&mut buffer, &style).unwrap() {
        read.take(&mut decoder, first_byte, &buffer);
    }
    read
}

#[test]
fn a_quote_that_is_never_closed_costs_the_same_wherever_blocks_end() {
    let source = csv();
    let path = std::env::temp_dir().join(format!("streamgauge-{}-quotes.csv", std::process::id()));
    let path_text = path.display().to_string();
    // The next quote comes soon, late, or in another block; the last one never.
    let lines = |n: usize| "fine,1\n".repeat(n);
    let broken = |n: usize| format!("\"open,2\n{}\"closed\",3\n", lines(n));
    let tail = [broken(3), broken(200), broken(20_000), broken(45_000), format!("x,\"{}", lines(1_000))];
    for padding in [0, 1_000, 36_000, 37_300, 37_400, 37_440, 37_448, 37_449, 37_450, 40_000, 74_880] {
        let text = lines(padding) + &tail.join("good,4\n");
        std::fs::write(&path, &text).unwrap();
        let mut whole = Read::default();
        whole.take(&mut Decoder::new(&source, None).unwrap(), 0, text.as_bytes());
        let read = in_blocks(&source, &path_text);
        assert!(read == whole, "behind {padding} lines: {} and {} rows", read.rows, whole.rows);
        // Four cost what fits into the longest record and the end of that line; the first one three neighbours, which
        // it may well have meant to hold.
        let long = read.bad.iter().filter(|(reason, ..)| *reason == Reason::TooLong);
        assert!(long.clone().all(|(.., bytes)| bytes.len() == source.record_bytes_max + 1));
        assert_eq!((long.count(), read.bad.len()), (4, 4));
        let each = source.record_bytes_max.div_ceil(7) + 1;
        let fine = padding + 200 + 20_000 + 45_000 + 1_000;
        assert!(read.rows + 4 * each > fine && read.rows < fine, "{} of {fine}", read.rows);
    }
    std::fs::remove_file(&path).unwrap();
}

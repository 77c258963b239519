//! Batches laid side by side: every value, position and reason, whatever the blocks were that they came in.

use arrow_array::Array;
use engine::batch::{Bad, Batch, Block, Raw};
use engine::column::Column;
use engine::decode::{Cutter, Decoder};
use engine::spec::{BadPolicy, Field, Format, Kind, Later, Source, TimeFormat, TimeFrom, TimeSpec};
use engine::time::{SECOND, Span, Time};

/// The rows of one or more batches of a partition, with lines counted from its start.
#[derive(Debug, Default, PartialEq)]
pub struct Rows {
    times: Vec<Time>,
    cells: Vec<Vec<Cell>>,
    raw: Vec<Raw>,
    bad: Vec<Bad>,
    lines: u64,
}

/// A value, doubles by their bits.
#[derive(Debug, PartialEq)]
enum Cell {
    Null,
    String(String),
    Int(i64),
    Float(u64),
    Bool(bool),
}

impl Rows {
    /// Appends a batch, which must be sound in itself.
    pub fn push(&mut self, batch: &Batch, source: &Source) {
        assert!(batch.times.len() == if source.time.is_some() { batch.rows } else { 0 });
        assert!(batch.raw.is_empty() || batch.raw.len() == batch.rows);
        assert_eq!(batch.columns.len(), source.fields.len());
        for (column, field) in batch.columns.iter().zip(&source.fields) {
            sound(column, field.kind, batch.rows);
        }
        let moved = |raw: &Raw| Raw { line: self.lines + raw.line, ..raw.clone() };
        self.raw.extend(batch.raw.iter().map(moved));
        self.bad.extend(batch.bad.iter().map(|bad| Bad { raw: moved(&bad.raw), ..bad.clone() }));
        self.times.extend(&batch.times);
        let row = |row| batch.columns.iter().map(|column| cell(column, row)).collect();
        self.cells.extend((0..batch.rows).map(row));
        self.lines += batch.lines;
    }

    /// Drives a partition as a reader would that gets `step` bytes at a time: cut, decode, append.
    pub fn drive(source: &Source, decoder: &mut Decoder, bytes: &[u8], step: usize) -> Rows {
        let mut cutter = Cutter::new(&source.format, source.record_bytes_max);
        let (mut rows, mut from, mut to, mut number) = (Rows::default(), 0, 0, 0);
        while to < bytes.len() {
            to = (to + step).min(bytes.len());
            let cut = cutter.cut(&bytes[from..to], to == bytes.len());
            assert!(cut <= to - from);
            if cut == 0 {
                continue;
            }
            let bytes = &bytes[from..from + cut];
            let batch = decoder.decode(&Block {
                partition: 0,
                number,
                first_byte: from as u64,
                bytes,
                arrival: None,
            });
            assert_eq!((batch.partition, batch.number), (0, number));
            rows.push(&batch, source);
            (from, number) = (from + cut, number + 1);
        }
        assert_eq!(from, bytes.len(), "everything is cut at the end");
        assert_eq!(rows.lines, bytes.iter().filter(|&&b| b == b'\n').count() as u64);
        rows
    }
}

/// A source without metrics whose choices come from the input.
pub fn source(choices: &mut crate::Choices<'_>, format: Format, paths: &[&str], times: &[&str]) -> Source {
    let kinds = [Kind::String, Kind::Int64, Kind::Float64, Kind::Bool];
    let formats = [
        TimeFormat::Unix(SECOND, 1),
        TimeFormat::Unix(1, 1000),
        TimeFormat::Rfc3339,
        TimeFormat::Pattern { pattern: "%d/%b/%Y:%H:%M:%S %z".into(), zone: None },
        TimeFormat::Pattern { pattern: "%Y-%m-%d".into(), zone: None },
        TimeFormat::Pattern { pattern: "%F %T".into(), zone: Some("Europe/Berlin".into()) },
    ];
    let fields = paths.iter().map(|path| Field { path: path.to_string(), kind: choices.pick(&kinds) });
    let fields = fields.collect();
    let time = choices.bit().then(|| TimeSpec {
        from: TimeFrom::Field { path: choices.pick(times).to_string(), format: choices.pick(&formats) },
        lateness: Span(0),
        later: choices.pick(&[Later::Quarantine, Later::Correct]),
        ahead: None,
        agree: 32,
    });
    Source {
        fields,
        nulls: vec!["NA".into(), "-".into()],
        time,
        bad: choices.pick(&[BadPolicy::Quarantine, BadPolicy::Count]),
        record_bytes_max: choices.pick(&[1 << 20, 40]),
        ..Source::new("fuzz", format)
    }
}

/// A column is what it claims to be: its kind, its length, valid Arrow, no infinities.
fn sound(column: &Column, kind: Kind, rows: usize) {
    let (data, is) = match column {
        Column::String(a) => (a.to_data(), Kind::String),
        Column::Int64(a) => (a.to_data(), Kind::Int64),
        Column::Float64(a) => {
            assert!(a.iter().flatten().all(f64::is_finite));
            (a.to_data(), Kind::Float64)
        }
        Column::Bool(a) => (a.to_data(), Kind::Bool),
    };
    assert_eq!((is, data.len()), (kind, rows));
    data.validate_full().expect("valid Arrow data");
}

fn cell(column: &Column, row: usize) -> Cell {
    match column {
        Column::String(a) if a.is_valid(row) => Cell::String(a.value(row).to_string()),
        Column::Int64(a) if a.is_valid(row) => Cell::Int(a.value(row)),
        Column::Float64(a) if a.is_valid(row) => Cell::Float(a.value(row).to_bits()),
        Column::Bool(a) if a.is_valid(row) => Cell::Bool(a.value(row)),
        _ => Cell::Null,
    }
}

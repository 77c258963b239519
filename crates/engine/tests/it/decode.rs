//! Decoding as a driver sees it: bytes in, batches out. The predicted path is held against the slow one throughout.

use arrow_array::Array;
use engine::batch::{Batch, Block, Reason};
use engine::column::Column;
use engine::decode::{Cutter, Decoder, DecoderError, first_record};
use engine::spec::{
    BadPolicy, Delimited, Field, Format, Kind, Later, Source, TimeFormat, TimeFrom, TimeSpec,
};
use engine::time::Span;
use proptest::prelude::*;
use std::io::Write as _;

pub(crate) fn source(format: Format, fields: &[(&str, Kind)], time: Option<(&str, TimeFormat)>) -> Source {
    let time = time.map(|(path, format)| TimeSpec {
        from: TimeFrom::Field { path: path.into(), format },
        lateness: Span(0),
        later: Later::Quarantine,
        ahead: None,
        agree: 32,
    });
    Source {
        fields: fields.iter().map(|(path, kind)| Field { path: path.to_string(), kind: *kind }).collect(),
        nulls: vec!["NA".into(), "-".into()],
        time,
        bad: BadPolicy::Quarantine,
        ..Source::new("test", format)
    }
}

pub(crate) fn csv(columns: Option<&[&str]>) -> Format {
    let columns = columns.map(|columns| columns.iter().map(|column| column.to_string()).collect());
    Format::Delimited(Delimited { delimiter: b',', quoted: true, columns })
}

pub(crate) fn tsv() -> Format {
    Format::Delimited(Delimited { delimiter: b'\t', quoted: false, columns: None })
}

pub(crate) fn block(bytes: &[u8]) -> Block<'_> {
    Block { partition: 3, number: 7, first_byte: 0, bytes, arrival: None }
}

/// Value `row` of a column, exactly.
pub(crate) fn cell(column: &Column, row: usize) -> String {
    match column {
        Column::String(array) if array.is_valid(row) => format!("{:?}", array.value(row)),
        Column::Int64(array) if array.is_valid(row) => array.value(row).to_string(),
        // Debug tells −0 from 0 and is the shortest text of the value.
        Column::Float64(array) if array.is_valid(row) => format!("{:?}", array.value(row)),
        Column::Bool(array) if array.is_valid(row) => array.value(row).to_string(),
        _ => "null".into(),
    }
}

/// Everything that a batch says, a line for each row and each bad record, with lines counted from `line`.
pub(crate) fn show(batch: &Batch, line: u64) -> Vec<String> {
    assert!(batch.times.is_empty() || batch.times.len() == batch.rows);
    let raw = |raw: &engine::batch::Raw| {
        format!("{}:{} {:?}", line + raw.line, raw.byte, String::from_utf8_lossy(&raw.bytes))
    };
    let row = |row: usize| {
        let cells: Vec<_> = batch.columns.iter().map(|column| cell(column, row)).collect();
        let time = batch.times.get(row).map(|time| time.to_string()).unwrap_or_default();
        format!("{time} {} {}", cells.join(" "), batch.raw.get(row).map(raw).unwrap_or_default())
    };
    let mut lines: Vec<_> = (0..batch.rows).map(row).collect();
    lines.extend(batch.bad.iter().map(|bad| format!("{:?} {:?} {}", bad.reason, bad.field, raw(&bad.raw))));
    lines
}

/// Decodes with and without prediction, and once more with shapes learned; all three must agree.
pub(crate) fn decode(source: &Source, bytes: &[u8]) -> Batch {
    let mut fast = Decoder::new(source, None).unwrap();
    let mut slow = Decoder::without_shapes(source, None).unwrap();
    let batch = slow.decode(&block(bytes));
    for turn in 0..2 {
        let again = fast.decode(&block(bytes));
        assert_eq!(show(&again, 0), show(&batch, 0), "turn {turn}: {:?}", String::from_utf8_lossy(bytes));
        assert_eq!(again.lines, batch.lines);
    }
    assert_eq!((batch.partition, batch.number), (3, 7));
    batch
}

/// What a JSON value of a field becomes: its cell, or the reason why its record is bad.
fn convert(kind: Kind, json: &str) -> String {
    let source = source(Format::Ndjson, &[("v", kind)], None);
    // The line before teaches the shape.
    let neutral = if kind == Kind::Bool { "true" } else { "7" };
    let batch = decode(&source, format!("{{\"v\":{neutral}}}\n{{\"v\":{json}}}\n").as_bytes());
    match batch.bad.first() {
        Some(bad) => bad.reason.as_str().into(),
        None => cell(&batch.columns[0], 1),
    }
}

#[test]
fn json_values_convert_to_the_kind_of_their_field() {
    use Kind::{Bool, Float64, Int64, String};
    for (kind, json, want) in [
        (String, r#""text""#, r#""text""#),
        (String, r#""""#, r#""""#),
        (String, r#""NA""#, r#""NA""#),
        (String, r#""a\u0062\"\n""#, r#""ab\"\n""#),
        (String, r#""\ud83d\ude00""#, r#""😀""#),
        (String, r#""\ud83d""#, "json"),
        (String, "1.50", r#""1.50""#),
        (String, "1e400", r#""1e400""#),
        (String, "true", r#""true""#),
        (String, "null", "null"),
        (String, "[]", "type"),
        (String, "{}", "type"),
        (Float64, "20.1", "20.1"),
        (Float64, "-0", "-0.0"),
        (Float64, "123456789012345678901234567890", "1.2345678901234568e29"),
        (Float64, r#""5.""#, "5.0"),
        (Float64, r#""\u0031""#, "1.0"),
        (Float64, "1e400", "type"),
        (Float64, r#""inf""#, "type"),
        (Float64, r#""NA""#, "null"),
        (Float64, r#""na""#, "type"),
        (Float64, r#""""#, "type"),
        (Float64, "true", "type"),
        (Float64, "[1]", "type"),
        (Float64, "null", "null"),
        (Int64, "5", "5"),
        (Int64, "5.0", "5"),
        (Int64, "1e3", "1000"),
        (Int64, "5.5", "type"),
        (Int64, "9223372036854775807", "9223372036854775807"),
        (Int64, "-9223372036854775808", "-9223372036854775808"),
        (Int64, "9223372036854775808", "type"),
        (Int64, "9007199254740992.0", "type"),
        (Int64, r#""-""#, "null"),
        (Int64, r#""12""#, "12"),
        (Bool, "false", "false"),
        (Bool, r#""true""#, "true"),
        (Bool, "1", "type"),
        (Bool, r#""NA""#, "null"),
        (Bool, "null", "null"),
        (Bool, "nul", "json"),
        (Int64, "01", "json"),
        (Int64, "+1", "json"),
        (String, "'a'", "json"),
        (String, "", "json"),
    ] {
        assert_eq!(convert(kind, json), want, "{json} as {kind:?}");
    }
}

/// Decodes `lines` of JSON with two paths and a time, and expects the rows or the reason.
fn check_lines(lines: &str, want: &str) {
    let fields = [("actor.login", Kind::String), ("n", Kind::Int64)];
    let source = source(Format::Ndjson, &fields, Some(("n", TimeFormat::Unix(1_000_000, 1))));
    let batch = decode(&source, lines.as_bytes());
    let row = |row: usize| format!("{} {}", cell(&batch.columns[0], row), cell(&batch.columns[1], row));
    let mut got: Vec<_> = (0..batch.rows).map(row).collect();
    got.extend(batch.bad.iter().map(|bad| format!("{}({:?})", bad.reason.as_str(), bad.field)));
    assert_eq!(got.join(" | "), want, "{lines}");
}

#[test]
fn paths_lead_into_objects_and_the_last_value_wins() {
    check_lines(r#"{"n":1,"actor":{"login":"ada"}}"#, r#""ada" 1"#);
    check_lines(r#"{"n":1,"actor.login":"ada"}"#, r#""ada" 1"#);
    check_lines(r#"{"n":1,"actor":{"login":"ada"},"actor.login":"bob"}"#, r#""bob" 1"#);
    check_lines(r#"{"n":1,"actor.login":"bob","actor":{"login":"ada"}}"#, r#""ada" 1"#);
    check_lines(r#"{"n":1,"actor":{"login":"ada","login":null}}"#, "null 1");
    check_lines(r#"{"n":2,"actor":{"login":"ada"},"actor":null,"n":1}"#, r#""ada" 1"#);
    check_lines(r#"{"n":1,"act\u006fr":{"login":"ada"}}"#, r#""ada" 1"#);
    check_lines(r#"{"n":1,"actor":[{"login":"ada"}]}"#, "null 1");
    check_lines(r#"{"n":1,"":{"login":"ada"},"login":"bob"}"#, "null 1");
    check_lines("{\"actor\":null,\"n\":1}\n{\"actor\":{\"login\":\"ada\"},\"n\":2}", r#"null 1 | "ada" 2"#);
}

#[test]
fn a_bad_record_is_reported_once_with_its_first_fault() {
    check_lines(r#"{"n":1,"actor":{"login":[]}}"#, "type(Some(0))");
    check_lines(r#"{"actor":{"login":[]}}"#, "time(Some(1))");
    check_lines(r#"{"n":"soon"}"#, "time(Some(1))");
    check_lines(r#"{"n":1.5}"#, "type(Some(1))");
    check_lines(r#"{"n":null}"#, "time(Some(1))");
    check_lines(r#"{"n":1"#, "json(None)");
    check_lines(r#"{"n":1} x"#, "json(None)");
    check_lines(r#"{"n":1}{"n":1}"#, "json(None)");
    check_lines(r#"[{"n":1}]"#, "json(None)");
    check_lines(r#""n""#, "json(None)");
    check_lines("{\"n\":1}\n{\"n\":1,}\n{\"n\":2}", "null 1 | null 2 | json(None)");
}

#[test]
fn lines_are_counted_and_blank_ones_are_no_records() {
    let source = source(Format::Ndjson, &[("n", Kind::Int64)], Some(("n", TimeFormat::Unix(1, 1))));
    let text = "\u{feff}{\"n\":1}\r\n \t\r\n\n{\"n\":2}\nno\n{\"n\":3} \n{\"n\":4}";
    let batch = decode(&source, text.as_bytes());
    assert_eq!((batch.rows, batch.lines), (4, 6));
    let places: Vec<_> = batch.raw.iter().map(|raw| (raw.line, raw.byte, raw.bytes.len())).collect();
    assert_eq!(places, [(0, 3, 7), (3, 17, 7), (5, 28, 8), (6, 37, 7)]);
    let bad = &batch.bad[0];
    assert_eq!((bad.reason, bad.raw.line, bad.raw.byte, &*bad.raw.bytes), (Reason::Json, 4, 25, &b"no"[..]));
    // Of two carriage returns one is data, also when the line before taught a shape that ends with it.
    let doubled = decode(&source, b"{\"n\":1}\r\r\n{\"n\":2}\r\n{\"n\":3}\r\r\n");
    assert_eq!(doubled.raw.iter().map(|raw| raw.bytes.len()).collect::<Vec<_>>(), [8, 7, 8]);
    // Further into the partition the mark is an ordinary character, and no JSON.
    let mut decoder = Decoder::new(&source, None).unwrap();
    let later = decoder.decode(&Block { first_byte: 100, ..block(text.as_bytes()) });
    assert_eq!((later.rows, later.bad[0].raw.byte), (3, 100));
}

#[test]
fn raw_bytes_are_kept_only_where_they_are_asked_for() {
    let mut source = source(Format::Ndjson, &[("n", Kind::Int64)], Some(("n", TimeFormat::Unix(1, 1))));
    source.bad = BadPolicy::Count;
    source.time.as_mut().unwrap().later = Later::Correct;
    let batch = decode(&source, b"{\"n\":1}\nno\n");
    assert!(batch.raw.is_empty());
    assert_eq!((batch.bad[0].raw.line, batch.bad[0].raw.bytes.len()), (1, 0));
}

#[test]
fn a_record_is_too_long_by_its_own_bytes() {
    let mut source = source(Format::Ndjson, &[("n", Kind::Int64)], None);
    source.record_bytes_max = 8;
    let batch = decode(
        &source,
        b"{\"n\":11}\r\n{\"n\":22}\n{\"n\":333}\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\n\xff\n",
    );
    assert_eq!(batch.rows, 2);
    let reasons: Vec<_> = batch.bad.iter().map(|bad| bad.reason).collect();
    assert_eq!(reasons, [Reason::TooLong, Reason::TooLong, Reason::Utf8]);
}

#[test]
fn bytes_that_are_not_utf_8_spoil_their_record_alone() {
    let source = source(Format::Ndjson, &[("s", Kind::String)], None);
    let batch = decode(
        &source,
        b"{\"s\":\"a\"}\n{\"s\":\"\xff\"}\n{\"s\":\"\xc3\xa9\"}\n{\"t\":\"\xff\"}\n{\"s\":\"b\"}",
    );
    let cells: Vec<_> = (0..batch.rows).map(|row| cell(&batch.columns[0], row)).collect();
    assert_eq!(cells, ["\"a\"", "\"é\"", "\"b\""]);
    let bad: Vec<_> = batch.bad.iter().map(|bad| (bad.reason, bad.raw.line)).collect();
    assert_eq!(bad, [(Reason::Utf8, 1), (Reason::Utf8, 3)]);
}

#[test]
fn nesting_never_exhausts_the_stack() {
    let deep = 100_000;
    let (arrays, objects) = ("[".repeat(deep), "{\"a\":".repeat(deep));
    let source = source(Format::Ndjson, &[("a.a.a", Kind::String), ("v", Kind::String)], None);
    for (line, want) in [
        (format!("{{\"x\":{arrays}{}}}", "]".repeat(deep)), None),
        (format!("{{\"x\":{arrays}}}"), Some(Reason::Json)),
        (format!("{{\"v\":{arrays}{}}}", "]".repeat(deep)), Some(Reason::Type)),
        (format!("{objects}1{}", "}".repeat(deep)), Some(Reason::Type)),
        (objects, Some(Reason::Json)),
        (arrays, Some(Reason::Json)),
    ] {
        let text = format!("{{\"x\":1}}\n{{\"a\":{{\"a\":{{\"b\":1}}}}}}\n{line}\n");
        assert_eq!(decode(&source, text.as_bytes()).bad.first().map(|bad| bad.reason), want);
    }
}

/// Decodes CSV with the columns `a,b,c` into a string, a number and nothing, and expects the rows or the reasons.
fn check_csv(text: &str, want: &str) {
    let source = source(csv(Some(&["a", "b", "c"])), &[("a", Kind::String), ("b", Kind::Float64)], None);
    let batch = Decoder::new(&source, None).unwrap().decode(&block(text.as_bytes()));
    let row = |row: usize| format!("{} {}", cell(&batch.columns[0], row), cell(&batch.columns[1], row));
    let mut got: Vec<_> = (0..batch.rows).map(row).collect();
    got.extend(
        batch.bad.iter().map(|bad| format!("{}({:?})@{}", bad.reason.as_str(), bad.field, bad.raw.line)),
    );
    assert_eq!(got.join(" | "), want, "{text:?}");
}

#[test]
fn delimited_records_are_read() {
    check_csv("x,1.5,z\r\n", r#""x" 1.5"#);
    check_csv("x,1.5,z", r#""x" 1.5"#);
    check_csv("\u{feff}\"x\",\"1.5\",\"z\n\"", r#""x" 1.5"#);
    check_csv(",,\n\"\",\"\",\n", "null null | null null");
    check_csv("NA,NA,\n-,-,", r#""NA" null | "-" null"#);
    check_csv("a,one,\nb,2,\n", r#""b" 2.0 | type(Some(1))@0"#);
    check_csv(
        "a,1\nb,2,\nc,3,,\nd,4,,,\ne,5,,x\n",
        r#""b" 2.0 | "c" 3.0 | "d" 4.0 | columns(None)@0 | columns(None)@4"#,
    );
    check_csv("\n  \n\"a\nb\",1,\"\n\n\"\n\nc,x,\n", r#""a\nb" 1.0 | type(Some(1))@7"#);
    check_csv("\"say \"\"hi\"\", ok\",1,\n", r#""say \"hi\", ok" 1.0"#);
    check_csv("never \"closed,1,\n\"never,2,", r#""never \"closed" 1.0 | columns(None)@1"#);
    check_csv("true,1e3,\n", r#""true" 1000.0"#);
}

#[test]
fn the_header_names_the_columns() {
    let fields = [("bytes", Kind::Int64), ("host", Kind::String)];
    let source = source(tsv(), &fields, Some(("time", TimeFormat::Unix(1_000_000, 1))));
    let text = b"\xEF\xBB\xBFhost\ttime\tbytes\t\t\r\nx.org\t5\t17\t\t\r\n\"y\t6\t-\t\t\t\nz\t7\tNA\t\tz\t\n\t\t\t\t\n";
    let header = first_record(&source.format, text, true, source.record_bytes_max).unwrap();
    let batch = Decoder::new(&source, Some(header)).unwrap().decode(&block(text));
    let row = |row: usize| {
        format!("{} {} {}", batch.times[row].0, cell(&batch.columns[0], row), cell(&batch.columns[1], row))
    };
    assert_eq!(
        (0..batch.rows).map(row).collect::<Vec<_>>(),
        ["5000000 17 \"x.org\"", "6000000 null \"\\\"y\"", "7000000 null \"z\""]
    );
    let bad: Vec<_> = batch.bad.iter().map(|bad| (bad.reason, bad.field, bad.raw.line)).collect();
    assert_eq!(bad, [(Reason::Time, None, 4)]);
    // A block further in has no header to leave out.
    let later = Block { first_byte: 1, ..block(b"h\t1\t2\t\t\n") };
    assert_eq!(Decoder::new(&source, Some(header)).unwrap().decode(&later).rows, 1);
}

#[test]
fn a_header_that_cannot_serve_is_an_error() {
    let named = |path: &'static str| source(csv(None), &[(path, Kind::String)], None);
    let error = |source: &Source, header: Option<&[u8]>| Decoder::new(source, header).err();
    assert_eq!(error(&named("b"), Some(b"a,\"b\",,a\r")), None);
    assert_eq!(error(&named("a"), Some(b"a,b,a")), Some(DecoderError::TwoColumns { path: "a".into() }));
    let columns = vec!["a".to_string(), "b,c".into(), "".into()];
    assert_eq!(
        error(&named("d"), Some(b"a,\"b,c\",")),
        Some(DecoderError::NoSuchColumn { path: "d".into(), columns })
    );
    assert_eq!(error(&named("a"), None), Some(DecoderError::NoHeader));
    assert_eq!(error(&named("a"), Some(b"\xff")), Some(DecoderError::HeaderNotUtf8));
    let mut time = named("a");
    time.time = source(Format::Ndjson, &[], Some(("t", TimeFormat::Rfc3339))).time;
    assert!(matches!(error(&time, Some(b"a")), Some(DecoderError::NoSuchColumn { path, .. }) if path == "t"));
    let odd = source(
        Format::Delimited(Delimited { delimiter: b'"', quoted: true, columns: Some(vec![]) }),
        &[],
        None,
    );
    assert_eq!(error(&odd, None), Some(DecoderError::Delimiter(b'"')));
}

/// Decodes `bytes` as a driver would that reads `step` bytes at a time.
pub(crate) fn drive(source: &Source, bytes: &[u8], step: usize) -> Vec<String> {
    let mut decoder =
        Decoder::new(source, first_record(&source.format, bytes, true, source.record_bytes_max)).unwrap();
    let mut cutter = Cutter::new(&source.format, source.record_bytes_max);
    let (mut from, mut to, mut line, mut number) = (0, 0, 0, 0);
    let (mut rows, mut bad) = (Vec::new(), Vec::new());
    while to < bytes.len() {
        to = (to + step).min(bytes.len());
        let cut = cutter.cut(&bytes[from..to], to == bytes.len());
        let block = Block {
            partition: 0,
            number,
            first_byte: from as u64,
            bytes: &bytes[from..from + cut],
            arrival: None,
        };
        let batch = decoder.decode(&block);
        let mut shown = show(&batch, line);
        bad.extend(shown.split_off(batch.rows));
        rows.extend(shown);
        (from, line, number) = (from + cut, line + batch.lines, number + 1);
    }
    assert_eq!((from, line), (bytes.len(), bytes.iter().filter(|&&b| b == b'\n').count() as u64));
    rows.extend(bad);
    rows
}

/// Any step gives the same rows and the same bad records, down to their positions.
pub(crate) fn check_steps(source: &Source, bytes: &[u8]) {
    let whole = drive(source, bytes, bytes.len().max(1));
    for step in (1..40).chain([64, 100, 1000, 4096]) {
        assert_eq!(
            drive(source, bytes, step),
            whole,
            "steps of {step}: {:?}",
            String::from_utf8_lossy(bytes)
        );
    }
}

#[test]
fn the_size_of_blocks_changes_nothing() {
    let fields = [("a", Kind::String), ("b", Kind::Float64)];
    let time = Some(("t", TimeFormat::Rfc3339));
    let t = "2015-09-12T00:46:58Z";
    let line = |b: &str| format!("{{\"t\":\"{t}\",\"b\":{b},\"a\":\"é\"}}\r\n");
    let text = format!("\u{feff}{}\n{}{}{}nope", line("1"), line("-0.5"), line("\"x\""), line("1e5"));
    check_steps(&source(Format::Ndjson, &fields, time.clone()), text.as_bytes());
    let mut spoilt = text.into_bytes();
    spoilt.extend(b"\n{\"a\":\"\xff\"}\n{\"t\":\"1970-01-01 00:00:00\"}");
    check_steps(&source(Format::Ndjson, &fields, time.clone()), &spoilt);
    let text = format!(
        "\u{feff}\"a\",b,\"t\"\r\nx,1,{t}\r\n\"y\n\"\"z\"\"\",,{t}\n\n a \"b\n,2,\"{t}\",\n\"\",NA,{t}\nw,\"3\n\",{t}\n\"open,1\n,"
    );
    check_steps(&source(csv(None), &fields, time), text.as_bytes());
}

/// Pieces of JSON lines: the pool from which lines are put together.
const KEYS: [&str; 9] = ["s", "i", "f", "b", "t", "o", "p", "o.s", "x"];
const VALUES: [&str; 36] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-17",
    "3.25",
    "20.1",
    "1234567",
    "12345678",
    "1e3",
    "1E-3",
    "1e400",
    "9007199254740993",
    "9223372036854775808",
    "123456789012345678901.5e-3",
    "0.000000000000000000000000001",
    "\"\"",
    "\"ada\"",
    "\"entity_123456789012\"",
    "\"NA\"",
    "\"-\"",
    "\"5.5\"",
    "\"1e2\"",
    "\"é😀ü\"",
    "\"a\\nb\"",
    "\"\\u00e9\"",
    "\"\\ud800\"",
    "\"2015-09-12T00:46:58.771Z\"",
    "[]",
    "[1,[true,{\"s\":\"\\\"}\"}]]",
    "{}",
    "{\"s\":1}",
    "{ \"s\" : \"in\", \"y\":[{}] }",
    "{\"o\":{\"s\":2},\"s\":null}",
];
const NOISE: [&[u8]; 16] = [
    b"\"", b"\\", b",", b":", b"{", b"}", b"[", b"]", b"0", b"e", b".", b" ", b"\r", b"\x00", b"\xff", b"\n",
];

/// A line of one of a few structures with its own values, and perhaps one fault.
#[derive(Debug, Clone)]
struct Line {
    structure: usize,
    values: Vec<usize>,
    /// Where, instead of how many bytes, what.
    fault: Option<(usize, usize, usize)>,
}

fn line() -> impl Strategy<Value = Line> {
    let fault = prop::option::weighted(0.25, (0..200usize, 0..3usize, 0..NOISE.len()));
    let values = prop::collection::vec(0..VALUES.len(), KEYS.len());
    (0..3usize, values, fault).prop_map(|(structure, values, fault)| Line { structure, values, fault })
}

fn write(lines: &[Line], structures: &[Vec<usize>], bytes: &mut Vec<u8>) {
    for line in lines {
        let start = bytes.len();
        let gap = ["", " ", "\t"][line.structure];
        bytes.extend(b"{");
        for (i, &key) in structures[line.structure].iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            // Most values are plain, so that shapes hit; the last two keys are mostly objects.
            let value = match (line.values[key], KEYS[key]) {
                (n, "o" | "p") if n % 3 > 0 => VALUES[30 + n % 6],
                (n, "t") if n % 5 > 0 => ["1442018818", "1442018818.5", "\"1442018818\"", "17"][n % 4],
                (n, _) if n % 4 > 0 => VALUES[3 + n % 8],
                (n, _) => VALUES[n],
            };
            write!(bytes, "{comma}{gap}\"{}\"{gap}:{value}", KEYS[key]).unwrap();
        }
        bytes.extend(b"}");
        if let Some((at, length, noise)) = line.fault {
            let at = start + at % (bytes.len() - start + 1);
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, NOISE[noise].iter().copied());
        }
        bytes.extend(["\n", "\r\n", " \n"][line.structure].as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn prediction_never_shows(
        structures in prop::collection::vec(prop::collection::vec(0..KEYS.len(), 0..8), 3),
        lines in prop::collection::vec(line(), 1..16),
        step in 1..200usize,
    ) {
        let fields = [
            ("s", Kind::String), ("i", Kind::Int64), ("f", Kind::Float64), ("b", Kind::Bool), ("o.s", Kind::String),
            ("o.o.s", Kind::Int64), ("p", Kind::String),
        ];
        let mut bytes = Vec::new();
        write(&lines, &structures, &mut bytes);
        for time in [None, Some(("t", TimeFormat::Unix(1_000_000, 1))), Some(("s", TimeFormat::Rfc3339))] {
            let source = source(Format::Ndjson, &fields, time);
            decode(&source, &bytes);
            prop_assert_eq!(drive(&source, &bytes, step), drive(&source, &bytes, bytes.len()));
        }
    }

    #[test]
    fn delimited_blocks_of_any_size_agree(
        pieces in prop::collection::vec(prop::sample::select(vec!["a", "1", ",", "\"", "\n", "\r\n", " ", "\"\"", "é", ",,"]), 0..60),
        step in 1..30usize,
    ) {
        let text = pieces.concat();
        for record_bytes_max in [1 << 20, 20, 3, 2] {
            let source = Source {
                record_bytes_max,
                ..source(csv(Some(&["a", "b"])), &[("a", Kind::String), ("b", Kind::Int64)], None)
            };
            let whole = drive(&source, text.as_bytes(), text.len().max(1));
            prop_assert_eq!(drive(&source, text.as_bytes(), step), &whole[..]);
            prop_assert_eq!(whole.len(), records(text.as_bytes(), record_bytes_max));
        }
    }
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// How many records there are that are not blank, counted byte by byte.
fn records(bytes: &[u8], record_bytes_max: usize) -> usize {
    let (mut found, mut start, mut at) = (0, 0, 0);
    let mut between_quotes = false;
    while at < bytes.len() {
        let opens = at == start || bytes[at - 1] == b',' || bytes[at - 1] == b'\n';
        match bytes[at] {
            b'"' if between_quotes && bytes.get(at + 1) == Some(&b'"') => at += 1,
            b'"' if between_quotes => between_quotes = false,
            b'"' => between_quotes = opens,
            b'\n' if !between_quotes || without_cr(&bytes[start..at]).len() > record_bytes_max => {
                found += usize::from(!bytes[start..at].trim_ascii().is_empty());
                (start, between_quotes) = (at + 1, false);
            }
            _ => {}
        }
        at += 1;
    }
    found + usize::from(!bytes[start..].trim_ascii().is_empty())
}

#[test]
fn a_quote_that_is_never_closed_costs_the_longest_record_wherever_the_next_quote_is() {
    let fields = [("a", Kind::String), ("b", Kind::Int64)];
    let source = Source { record_bytes_max: 20, ..source(csv(Some(&["a", "b"])), &fields, None) };
    let text = "w,1\n\"open,2\nx,3\ny,4\nz,5\nthe end of it,6\nv,7\nu,\"8\"\n\"t\nt\",9\n";
    let mut shown = drive(&source, text.as_bytes(), text.len());
    let bad = shown.pop().expect("one is bad");
    let want = [r#""w" 1"#, r#""v" 7"#, r#""u" 8"#, r#""t\nt" 9"#];
    assert_eq!(shown.iter().map(|row| row.trim()).collect::<Vec<_>>(), want);
    assert_eq!(bad, format!("TooLong None 1:4 {:?}", &text[4..25]));
    check_steps(&source, text.as_bytes());
}

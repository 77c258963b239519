//! Computed columns, explosions and rows on which they fail, with expressions written by hand.

use crate::support::metric;
use arrow_array::{Array, Int64Array, StringArray};
use engine::batch::{Batch, Block, Reason};
use engine::column::Column;
use engine::compute::{Compute, ComputeError, Exploded};
use engine::decode::{Cutter, Decoder};
use engine::intake::Intake;
use engine::spec::*;
use engine::time::{SECOND, Span};
use proptest::prelude::*;
use std::sync::Arc;

/// What the first step computes of a line: a number, null, or nothing.
type Parse = fn(&str) -> Result<Option<i64>, ()>;

/// `n`, computed of the element or the line, and the elements of a line: its words, unless it holds `bad list`.
#[derive(Debug)]
struct Table {
    column: usize,
    parse: Parse,
    spends_lines: bool,
}

fn strings(column: &Column) -> &StringArray {
    let Column::String(array) = column else { panic!("text: {column:?}") };
    array
}

impl Compute for Table {
    fn columns(&self, step: usize, columns: &[Column], rows: usize) -> Result<Vec<Column>, ComputeError> {
        assert_eq!((step, columns.len()), (0, self.column + 1));
        let text = strings(&columns[self.column]);
        assert_eq!(text.len(), rows);
        let parse = |value: Option<&str>| value.map_or(Ok(None), self.parse);
        let numbers: Result<Int64Array, ()> = text.iter().map(parse).collect();
        let failed = || ComputeError { column: 0, message: "as told".into() };
        Ok(vec![Column::Int64(numbers.map_err(|()| failed())?)])
    }

    fn explode(&self, columns: &[Column], rows: usize) -> Result<Exploded, ComputeError> {
        let lines = strings(&columns[0]);
        assert_eq!(lines.len(), rows);
        let (mut parents, mut elements) = (Vec::new(), Vec::new());
        for (row, line) in lines.iter().enumerate() {
            let line = line.expect("a line is there");
            if line.contains("bad list") {
                return Err(ComputeError { column: 0, message: "as told".into() });
            }
            for word in line.split(' ').filter(|word| *word != "none") {
                parents.push(row as u32);
                elements.push(word.to_string());
            }
        }
        Ok(Exploded { parents, elements: Column::String(elements.into_iter().map(Some).collect()) })
    }

    fn reads(&self, column: usize) -> bool {
        column == self.column || !self.spends_lines
    }
}

fn number(text: &str) -> Result<Option<i64>, ()> {
    match text {
        "null" => Ok(None),
        text => text.parse().map(Some).map_err(drop),
    }
}

/// Lines with `n` computed of them, or of their words.
fn lines(explode: bool, time: Option<TimeFrom>) -> Source {
    let field = |path: &str, kind| Field { path: path.into(), kind };
    Source {
        fields: vec![field("line", Kind::String)],
        explode: explode.then(|| field("word", Kind::String)),
        steps: vec![Step::Compute(vec![field("n", Kind::Int64)])],
        time: time.map(|from| TimeSpec {
            from,
            lateness: Span(0),
            later: Later::Correct,
            ahead: None,
            agree: 32,
        }),
        bad: BadPolicy::Quarantine,
        metrics: vec![metric("n", Measure::Count, vec![vec![]], "")],
        ..Source::new("lines", Format::Lines)
    }
}

fn table(source: &Source) -> Table {
    Table {
        column: source.fields.len() - 1 + usize::from(source.explode.is_some()),
        parse: number,
        spends_lines: false,
    }
}

/// Decodes text in blocks of about `step` bytes.
fn decode(source: &Source, table: Table, text: &str, step: usize) -> Vec<Batch> {
    let program: Arc<dyn Compute> = Arc::new(table);
    let mut decoder = Decoder::new(source, None).expect("no header").with_program(Some(program));
    let mut cutter = Cutter::new(&source.format, source.record_bytes_max);
    let (mut from, mut to, mut batches) = (0, 0, Vec::new());
    while to < text.len() {
        to = (to + step).min(text.len());
        let bytes = &text.as_bytes()[from..to];
        let bytes = &bytes[..cutter.cut(bytes, to == text.len())];
        let number = batches.len() as u64;
        let block = Block { partition: 0, number, first_byte: from as u64, bytes, arrival: None };
        batches.push(decoder.decode(&block));
        from += bytes.len();
    }
    batches
}

/// The values of a column over all batches.
fn values(batches: &[Batch], column: usize) -> Vec<Option<i64>> {
    let array = |batch: &Batch| match &batch.columns[column] {
        Column::Int64(array) => array.clone(),
        other => panic!("a number: {other:?}"),
    };
    batches.iter().flat_map(|batch| array(batch).iter().collect::<Vec<_>>()).collect()
}

/// Reason, line, byte and bytes of all bad records, lines counted from the start of the text.
fn bad(batches: &[Batch]) -> Vec<(Reason, u64, u64, String)> {
    let (mut before, mut out) = (0, Vec::new());
    for batch in batches {
        for bad in &batch.bad {
            let text = String::from_utf8(bad.raw.bytes.to_vec()).expect("text");
            out.push((bad.reason, bad.raw.line + before, bad.raw.byte, text));
        }
        before += batch.lines;
    }
    out
}

/// Lines with their number and first byte.
fn placed(text: &str) -> Vec<(u64, u64, &str)> {
    let mut byte = 0;
    let place = |(number, line): (usize, &'_ str)| {
        let first = byte;
        byte += line.len() as u64 + 1;
        (number as u64, first, line.len())
    };
    let places: Vec<(u64, u64, usize)> = text.split('\n').enumerate().map(place).collect();
    let line = |(number, first, len): (u64, u64, usize)| {
        (number, first, &text[first as usize..first as usize + len])
    };
    places.into_iter().map(line).filter(|(_, _, line)| !line.trim().is_empty()).collect()
}

fn word() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        8 => prop::sample::select(vec!["1", "23", "-4"]),
        2 => Just("null"),
        2 => Just("x"),
        1 => Just("none"),
        1 => Just("bad list")
    ]
}

fn text(words: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let line = prop::collection::vec(word(), words).prop_map(|words| words.join(" "));
    prop::collection::vec(line, 1..120).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Halving finds exactly the rows that fail, with their places; all others keep their values and order.
    #[test]
    fn rows_that_fail_are_found_and_others_stay(text in text(1..2), step in 1usize..300) {
        let source = lines(false, None);
        let batches = decode(&source, table(&source), &text, step);
        let (mut kept, mut failed) = (Vec::new(), Vec::new());
        for (line, byte, text) in placed(&text) {
            match number(text) {
                Ok(n) => kept.push(n),
                Err(()) => failed.push((Reason::Derive, line, byte, text.to_string())),
            }
        }
        prop_assert_eq!(values(&batches, 1), kept);
        prop_assert_eq!(bad(&batches), failed);
    }

    /// The same behind an explosion: a list that fails is one bad record, an element that fails one each. Every event
    /// and every bad one takes a number in the order of the text, and that is its time.
    #[test]
    fn exploded_rows_fail_one_by_one_and_are_numbered_through(text in text(0..5), step in 1usize..300, spends_lines: bool) {
        let source = lines(true, Some(TimeFrom::Row(Span(SECOND))));
        let batches = decode(&source, Table { spends_lines, ..table(&source) }, &text, step);
        let (mut kept, mut failed, mut times, mut empty, mut ordinal) = (vec![], vec![], vec![], 0, 0);
        for (line, byte, text) in placed(&text) {
            let bad = (Reason::Derive, line, byte, text.to_string());
            let words: Vec<&str> = text.split(' ').filter(|word| *word != "none").collect();
            if text.contains("bad list") {
                failed.push(bad);
                ordinal += 1;
                continue;
            }
            empty += u64::from(words.is_empty());
            for word in words {
                match number(word) {
                    Ok(n) => { kept.push(n); times.push(ordinal * SECOND) }
                    // The bytes of a record are set aside with its first bad event.
                    Err(()) if failed.last().is_some_and(|(_, _, at, _)| *at == byte) => {
                        failed.push((Reason::Derive, line, byte, String::new()));
                    }
                    Err(()) => failed.push(bad.clone()),
                }
                ordinal += 1;
            }
        }
        prop_assert_eq!(values(&batches, 2), kept);
        prop_assert_eq!(bad(&batches), failed);
        let mut intake = Intake::new(&source);
        let judged: Vec<_> = batches.into_iter().flat_map(|batch| intake.push(batch)).collect();
        let got: Vec<i64> = judged.iter().flat_map(|j| j.batch.times.iter().map(|time| time.0)).collect();
        prop_assert_eq!(got, times);
        let tally = intake.tally();
        prop_assert_eq!((tally.exploded_empty, tally.read), (empty, ordinal as u64 + empty));
    }

    /// A computed column may be the time; where it is none, the record is bad for that.
    #[test]
    fn a_computed_time_may_be_missing(text in text(1..2), step in 1usize..300) {
        let format = TimeFormat::Unix(SECOND, 1);
        let source = lines(false, Some(TimeFrom::Column { column: 1, format }));
        let batches = decode(&source, table(&source), &text, step);
        let (mut times, mut failed) = (Vec::new(), Vec::new());
        for (line, byte, text) in placed(&text) {
            match number(text) {
                Ok(Some(n)) => times.push(n * SECOND),
                Ok(None) => failed.push((Reason::Time, line, byte, text.to_string())),
                Err(()) => failed.push((Reason::Derive, line, byte, text.to_string())),
            }
        }
        let got: Vec<i64> = batches.iter().flat_map(|batch| batch.times.iter().map(|time| time.0)).collect();
        prop_assert_eq!(got, times);
        prop_assert_eq!(bad(&batches), failed);
    }
}

/// A million words of one line of eight megabytes: repeating the line for each of them would take terabytes.
#[test]
fn a_long_line_is_not_repeated_for_each_of_its_words() {
    let source = Source { record_bytes_max: 16 << 20, ..lines(true, None) };
    let text = format!("1\n{}\n2", "1234567 ".repeat(1 << 20).trim_end());
    let spends_lines = true;
    let batches = decode(&source, Table { spends_lines, ..table(&source) }, &text, 32 << 20);
    assert_eq!((batches[0].rows, batches[0].bad.len()), ((1 << 20) + 2, 0));
    assert!(batches[0].has_value[0], "a field that is not repeated still had values");
    // A line that somebody reads has to be there, so this one is too long; the others stay.
    let batches = decode(&source, table(&source), &text, 32 << 20);
    assert_eq!(values(&batches, 2), [Some(1), Some(2)]);
    let bad = bad(&batches);
    assert_eq!((bad.len(), bad[0].0, bad[0].1, bad[0].2), (1, Reason::TooLong, 1, 2));
}

//! Rows that come as columns: what each type becomes, and that columns handed on whole say what single values say.

use crate::decode::{cell, show, source};
use arrow_array::{Array, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray};
use engine::batch::Batch;
use engine::decode::{Arrays, Decoder, Values};
use engine::spec::{Format, Kind, Later, Source, TimeFormat, TimeFrom};
use engine::time::{SECOND, Span, TIME_MAX};
use proptest::prelude::*;

fn ints(values: &[Option<i64>]) -> Values {
    Values::Int64(Int64Array::from(values.to_vec()))
}

fn times(values: &[Option<i64>]) -> Values {
    Values::Times(Int64Array::from(values.to_vec()))
}

fn floats(values: &[Option<f64>]) -> Values {
    Values::Float64(Float64Array::from(values.to_vec()))
}

fn texts(values: &[Option<&str>]) -> Values {
    Values::String(StringArray::from(values.to_vec()))
}

fn bytes(values: &[Option<&[u8]>]) -> Values {
    Values::Binary(BinaryArray::from(values.to_vec()))
}

fn bools(values: &[Option<bool>]) -> Values {
    Values::Bool(BooleanArray::from(values.to_vec()))
}

fn rows(values: &Values) -> usize {
    match values {
        Values::String(array) => array.len(),
        Values::Binary(array) => array.len(),
        Values::Int64(array) | Values::Times(array) => array.len(),
        Values::Float64(array) => array.len(),
        Values::Bool(array) => array.len(),
    }
}

/// Decodes with and without handing on whole columns, in blocks one after the other; both must agree.
fn decode(source: &Source, fields: &[Values], time: Option<&Values>) -> Batch {
    let rows = fields.iter().chain(time).map(rows).next().unwrap_or(0);
    let arrays = Arrays { partition: 3, number: 7, first_row: 0, rows, fields, time, arrival: None };
    let mut fast = Decoder::new(source, None).unwrap();
    let want = Decoder::without_shapes(source, None).unwrap().decode_arrays(&arrays);
    for turn in 0..2 {
        let got = fast.decode_arrays(&arrays);
        assert_eq!(show(&got, 0), show(&want, 0), "turn {turn}");
        assert_eq!(
            (got.rows, got.lines, got.records, &got.ordinals),
            (want.rows, want.lines, want.records, &want.ordinals)
        );
        assert_eq!((got.partition, got.number), (3, 7));
    }
    want
}

/// What one value becomes in a field of this kind: its cell, or why its record is bad.
#[track_caller]
fn check(kind: Kind, values: Values, want: &str) {
    let mut source = source(Format::Parquet, &[("v", kind)], None);
    source.nulls = vec!["NA".into(), "NaN".into()];
    let batch = decode(&source, &[values], None);
    let got =
        batch.bad.first().map_or_else(|| cell(&batch.columns[0], 0), |bad| bad.reason.as_str().to_string());
    assert_eq!(got, want);
}

#[test]
fn types_become_the_kind_of_their_field() {
    use Kind::{Bool, Float64, Int64, String};
    check(String, texts(&[Some("NA")]), r#""NA""#);
    check(String, bytes(&[Some(b"caf\xc3\xa9")]), r#""café""#);
    check(String, bytes(&[Some(b"\xff")]), "utf8");
    check(String, ints(&[Some(-5)]), r#""-5""#);
    check(String, floats(&[Some(1.5e300)]), r#""1.5e300""#);
    check(String, floats(&[Some(f64::NAN)]), r#""NaN""#);
    check(String, bools(&[Some(true)]), r#""true""#);
    check(String, times(&[Some(1_442_018_818_771_000)]), r#""2015-09-12T00:46:58.771Z""#);
    check(String, times(&[Some(TIME_MAX + 1)]), "type");
    check(Int64, ints(&[Some(i64::MIN)]), "-9223372036854775808");
    check(Int64, floats(&[Some(5.0)]), "5");
    check(Int64, floats(&[Some(5.5)]), "type");
    check(Int64, texts(&[Some("17")]), "17");
    check(Int64, texts(&[Some("18446744073709551615")]), "type");
    check(Int64, texts(&[Some("NA")]), "null");
    check(Int64, times(&[Some(5)]), "type");
    check(Int64, bools(&[Some(true)]), "type");
    check(Float64, ints(&[Some(9_007_199_254_740_993)]), "9007199254740992.0");
    check(Float64, floats(&[Some(-0.0)]), "-0.0");
    check(Float64, floats(&[Some(f64::NAN)]), "null");
    check(Float64, floats(&[Some(f64::INFINITY)]), "type");
    check(Float64, texts(&[Some("12.50")]), "12.5");
    check(Bool, bools(&[Some(false)]), "false");
    check(Bool, texts(&[Some("true")]), "true");
    check(Bool, ints(&[Some(1)]), "type");
    for kind in [String, Int64, Float64, Bool] {
        for values in
            [texts(&[None]), bytes(&[None]), ints(&[None]), floats(&[None]), bools(&[None]), times(&[None])]
        {
            check(kind, values, "null");
        }
    }
}

#[test]
fn event_time_is_a_time_or_is_read_as_its_format_says() {
    for (format, time, want) in [
        (TimeFormat::Unix(SECOND, 1), ints(&[Some(7), None, Some(-1)]), vec![7 * SECOND, -SECOND]),
        (TimeFormat::Unix(1_000, 1), floats(&[Some(1.5), Some(f64::NAN), Some(2.0)]), vec![1_500, 2_000]),
        (TimeFormat::Unix(1_000, 1), texts(&[Some("1.5"), Some("x"), Some("2")]), vec![1_500, 2_000]),
        (TimeFormat::Rfc3339, times(&[Some(5), None, Some(TIME_MAX + 1)]), vec![5]),
        (TimeFormat::Unix(SECOND, 1), times(&[Some(5), Some(6), Some(7)]), vec![5, 6, 7]),
        (TimeFormat::Rfc3339, texts(&[Some("1970-01-01T00:00:01Z"), Some("1970"), None]), vec![SECOND]),
        (TimeFormat::Rfc3339, bytes(&[Some(b"1970-01-01T00:00:01Z"), Some(b"\xff"), None]), vec![SECOND]),
    ] {
        for later in [Later::Correct, Later::Quarantine] {
            let mut source = source(Format::Parquet, &[], Some(("t", format.clone())));
            source.time.as_mut().unwrap().later = later;
            let batch = decode(&source, &[], Some(&time));
            let got: Vec<_> = batch.times.iter().map(|time| time.0).collect();
            assert_eq!((got, batch.rows + batch.bad.len()), (want.clone(), 3), "{format:?} {time:?}");
        }
    }
}

#[test]
fn a_bad_row_is_kept_as_an_object() {
    let fields = [("a.b", Kind::Int64), ("s", Kind::String), ("t", Kind::String)];
    let source = source(Format::Parquet, &fields, Some(("t", TimeFormat::Rfc3339)));
    let values = [
        texts(&[Some("1"), Some("é\"x"), None]),
        floats(&[Some(0.5), Some(f64::NAN), None]),
        times(&[Some(0), Some(1_000), None]),
    ];
    let batch = decode(&source, &values, Some(&values[2]));
    let kept =
        |raw: &engine::batch::Raw| format!("{} {}", raw.line, std::str::from_utf8(&raw.bytes).unwrap());
    assert_eq!(
        batch.raw.iter().map(kept).collect::<Vec<_>>(),
        [r#"0 {"a.b":"1","s":0.5,"t":"1970-01-01T00:00:00Z"}"#]
    );
    let bad: Vec<_> =
        batch.bad.iter().map(|bad| format!("{:?} {:?} {}", bad.reason, bad.field, kept(&bad.raw))).collect();
    assert_eq!(
        bad,
        [
            r#"Type Some(0) 1 {"a.b":"é\"x","s":"NaN","t":"1970-01-01T00:00:00.001Z"}"#,
            r#"Time Some(2) 2 {"a.b":null,"s":null,"t":null}"#,
        ]
    );
}

/// A column of one of the types, with odd values among the plain ones.
fn column(rows: usize) -> impl Strategy<Value = Values> {
    let odd = prop::sample::select(vec![i64::MIN, -1, 0, 7, 1 << 53, TIME_MAX, TIME_MAX + 1, i64::MAX]);
    let int = prop::option::weighted(0.9, prop_oneof![4 => -1000..1000i64, 1 => odd]);
    let word = prop::sample::select(vec!["", "NA", "5", "5.0", "1e400", "true", "é", "1970-01-01T00:00:01Z"]);
    let word = prop::option::weighted(0.9, word);
    let special = prop::sample::select(vec![f64::NAN, f64::INFINITY, -0.0, 1e300, 5.0]);
    let float = prop::option::weighted(0.9, prop_oneof![9 => -10.0..10.0f64, 1 => special]);
    let raw = prop::sample::select(vec![&b"5"[..], b"x", b"\xff", b"NA"]);
    prop_oneof![
        prop::collection::vec(int.clone(), rows).prop_map(|v| ints(&v)),
        prop::collection::vec(int, rows).prop_map(|v| times(&v)),
        prop::collection::vec(word, rows).prop_map(|v| texts(&v)),
        prop::collection::vec(float, rows).prop_map(|v| floats(&v)),
        prop::collection::vec(prop::option::of(any::<bool>()), rows).prop_map(|v| bools(&v)),
        prop::collection::vec(prop::option::weighted(0.9, raw), rows).prop_map(|v| bytes(&v)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn whole_columns_say_what_single_values_say(
        columns in (0..12usize).prop_flat_map(|rows| prop::collection::vec(column(rows), 3)),
        kinds in prop::collection::vec(prop::sample::select(vec![Kind::String, Kind::Int64, Kind::Float64, Kind::Bool]), 2),
        timed in 0..5usize,
        later in prop::sample::select(vec![Later::Correct, Later::Quarantine]),
    ) {
        let fields = [("a", kinds[0]), ("b", kinds[1])];
        let format = [TimeFormat::Unix(SECOND, 1), TimeFormat::Rfc3339][timed % 2].clone();
        let mut source = source(Format::Parquet, &fields, Some(("t", format)));
        source.time.as_mut().unwrap().later = later;
        match timed {
            2 => source.time.as_mut().unwrap().from = TimeFrom::Row(Span(SECOND)),
            3 => source.time.as_mut().unwrap().from = TimeFrom::Arrival,
            4 => source.time = None,
            _ => {}
        }
        if timed == 2 {
            // Times are filled in later, so that `show` would miss them.
            source.time.as_mut().unwrap().later = Later::Correct;
        }
        let batch = decode(&source, &columns[..2], (timed < 2).then_some(&columns[2]));
        prop_assert_eq!(batch.rows + batch.bad.len(), rows(&columns[0]));
    }
}

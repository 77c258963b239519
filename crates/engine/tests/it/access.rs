//! Access logs and plain lines: what a line is cut into, and that nothing makes the readers stumble.

use crate::decode::{block, cell, check_steps, decode, drive, show, source};
use engine::batch::Reason;
use engine::decode::{Decoder, DecoderError};
use engine::spec::{Format, Kind, Source, TimeFormat};
use proptest::prelude::*;

const COMBINED: Format = Format::AccessLog { combined: true };
const CLF: Format = Format::AccessLog { combined: false };
const TIME: &str = "%d/%b/%Y:%H:%M:%S %z";

/// All fields of a format as text.
fn all(format: Format) -> Source {
    let fields: Vec<_> = format.names().unwrap().iter().map(|name| (*name, Kind::String)).collect();
    source(format, &fields, None)
}

/// The fields of one line joined by `|`, null as `~`, or the reason why it is bad.
fn check(format: &Format, line: &str, want: &str) {
    let batch = decode(&all(format.clone()), line.as_bytes());
    let got = match (batch.bad.first(), batch.rows) {
        (Some(bad), 0) => bad.reason.as_str().to_string(),
        (None, 1) => {
            let plain = |text: String| match text.as_str() {
                "null" => "~".to_string(),
                text => text.trim_matches('"').replace("\\\"", "\"").replace("\\\\", "\\"),
            };
            batch.columns.iter().map(|column| plain(cell(column, 0))).collect::<Vec<_>>().join("|")
        }
        _ => format!("{} rows", batch.rows),
    };
    assert_eq!(got, want, "{line}");
}

#[test]
fn a_line_is_cut_into_its_fields() {
    const T: &str = "17/May/2015:10:05:03 +0000";
    check(
        &CLF,
        &format!("h.org - - [{T}] \"GET /a?b HTTP/1.1\" 200 17"),
        &format!("h.org|~|~|{T}|GET /a?b HTTP/1.1|GET|/a?b|HTTP/1.1|200|17"),
    );
    check(
        &COMBINED,
        &format!("::1 id ada lovelace [{T}] \"GET /\" 304 - \"-\" \"curl/8 \\\"x\\\" (é)\"\r\n"),
        &format!("::1|id|ada lovelace|{T}|GET /|GET|/|~|304|~|~|curl/8 \"x\" (é)"),
    );
    let nginx = format!("h - - [{T}] \"-\" 400 0 \"\" \"-\" \"1.2.3.4\" rt=0.003");
    check(&COMBINED, &nginx, &format!("h|~|~|{T}|-|~|~|~|400|0||~"));
    check(&CLF, &nginx, &format!("h|~|~|{T}|-|~|~|~|400|0"));
    check(&CLF, "h - [x] [t] \"\\x16\\x03\\\\\" - -", "h|~|[x]|t|\\x16\\x03\\|~|~|~|~|~");
    // The first ` [` opens the time.
    check(&CLF, "h - a [b] [t] \"GET / HTTP/1.1\" 200 1", "line");
}

#[test]
fn a_line_without_the_shape_is_bad() {
    const GOOD: &str = "h - - [t] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"";
    check(&COMBINED, GOOD, "h|~|~|t|GET / HTTP/1.1|GET|/|HTTP/1.1|200|1|~|~");
    // Every beginning lacks something, up to the quote that opens the last field.
    let last = GOOD.len() - 3;
    for end in 1..=last {
        check(&COMBINED, &GOOD[..end], "line");
    }
    check(
        &COMBINED,
        &format!("{}\"bot \\\"x \\", &GOOD[..last]),
        "h|~|~|t|GET / HTTP/1.1|GET|/|HTTP/1.1|200|1|~|bot \"x \\",
    );
    for line in [
        " h - - [t] \"r\" 200 1",
        "h  - [t] \"r\" 200 1",
        "h - [t] \"r\" 200 1",
        "h - - t \"r\" 200 1",
        "h - - [t]\"r\" 200 1",
        "h - - [t] r 200 1",
        "h - - [t] \"r\"200 1",
        "h - - [t] \"r\" 200",
        "h - - [t] \"r\" 200 ",
        "h - - [t] \"r\\\" 200 1",
        "{\"host\": 1}",
        "#Fields: host",
    ] {
        check(&CLF, line, "line");
    }
    check(&CLF, "h - - [t] \"r\" 200 1", "h|~|~|t|r|~|~|~|200|1");
}

#[test]
fn faults_are_found_in_the_order_that_the_docs_say() {
    let fields = [("bytes", Kind::Int64), ("path", Kind::String)];
    let mut source =
        source(COMBINED, &fields, Some(("time", TimeFormat::Pattern { pattern: TIME.into(), zone: None })));
    source.record_bytes_max = 100;
    let t = "17/May/2015:10:05:03 +0200";
    let line =
        |time: &str, bytes: &str| format!("h - - [{time}] \"GET /p HTTP/1.1\" 200 {bytes} \"-\" \"-\"\n");
    let mut text =
        [line(t, "5"), "\n \r\n".into(), line(t, "x"), line("t", "x"), line(t, "NA")].concat().into_bytes();
    text.extend(b"h - \xff [t]\nh\n");
    text.extend(line(t, &"9".repeat(60)).bytes());
    let batch = Decoder::new(&source, None).unwrap().decode(&block(&text));
    let bad: Vec<_> = batch.bad.iter().map(|bad| (bad.reason, bad.field, bad.raw.line)).collect();
    let want = [
        (Reason::Type, Some(0), 3),
        (Reason::Time, None, 4),
        (Reason::Utf8, None, 6),
        (Reason::Line, None, 7),
        (Reason::TooLong, None, 8),
    ];
    assert_eq!(bad, want);
    assert_eq!((batch.rows, batch.lines, batch.times[0].0), (2, 9, 1_431_849_903_000_000));
    assert_eq!((cell(&batch.columns[0], 0), cell(&batch.columns[0], 1)), ("5".into(), "null".into()));
}

#[test]
fn a_field_that_the_format_has_not_is_an_error() {
    let missing = |format: Format, path: &str| {
        let error = Decoder::new(&source(format, &[(path, Kind::String)], None), None).err();
        assert!(matches!(error, Some(DecoderError::NoSuchColumn { path: p, .. }) if p == path), "{path}");
    };
    missing(CLF, "referrer");
    missing(COMBINED, "agent");
    missing(Format::Lines, "host");
    let timed = source(Format::Lines, &[], Some(("ts", TimeFormat::Rfc3339)));
    assert!(
        matches!(Decoder::new(&timed, None), Err(DecoderError::NoSuchColumn { path, .. }) if path == "ts")
    );
}

#[test]
fn a_line_is_one_field() {
    let source = all(Format::Lines);
    let text = b"\xEF\xBB\xBFa b\r\n\n\t \n\"c\\\",d\n\xff\n-";
    let batch = Decoder::new(&source, None).unwrap().decode(&block(text));
    let shown: Vec<_> = (0..batch.rows).map(|row| cell(&batch.columns[0], row)).collect();
    assert_eq!(shown, [r#""a b""#, r#""\"c\\\",d""#, r#""-""#]);
    assert_eq!((batch.bad.len(), batch.bad[0].reason, batch.bad[0].raw.line), (1, Reason::Utf8, 4));
    check_steps(&source, text);
}

/// A line as a server would write it, from values as it had them; none of them may hold what separates them.
fn written(values: &[String; 6]) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let [host, user, request, bytes, referrer, agent] = values;
    let (request, referrer, agent) = (escaped(request), escaped(referrer), escaped(agent));
    format!(
        "{host} - {user} [17/May/2015:10:05:03 +0000] \"{request}\" 200 {bytes} \"{referrer}\" \"{agent}\"\n"
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_a_server_writes_is_read_back(
        host in "[a-z0-9.:]{1,12}", user in "[a-z@ ]{0,8}[a-z]", request in "[ -~é]{0,24}", bytes in "[0-9]{1,9}",
        referrer in "[ -~é]{0,24}", agent in "[ -~é]{0,24}",
    ) {
        let values = [host, user, request, bytes, referrer, agent];
        let paths = ["host", "user", "request", "bytes", "referrer", "user_agent"].map(|path| (path, Kind::String));
        let batch = decode(&source(COMBINED, &paths, None), written(&values).as_bytes());
        prop_assert_eq!(&batch.bad, &vec![]);
        for (i, (value, column)) in values.iter().zip(&batch.columns).enumerate() {
            let null = value == "-" && i != 0 && i != 2;
            prop_assert_eq!(cell(column, 0), if null { "null".to_string() } else { format!("{value:?}") });
        }
    }

    #[test]
    fn nothing_makes_the_readers_stumble(
        pieces in prop::collection::vec(prop::sample::select(vec![
            &b"h"[..], b" ", b"-", b"[", b"]", b"\"", b"\\", b"\n", b"\r\n", b" - - ", b"[17/May/2015:10:05:03 +0000]",
            b" [x] ", b"\"GET / HTTP/1.1\"", b" 200 17", b" \"-\" \"-\"", b"\xff", b"\xc3\xa9",
            b"h - - [17/May/2015:10:05:03 +0000] \"GET /\\\" HTTP/1.1\" 200 17 \"-\" \"x\"\n",
        ]), 0..40),
        step in 1..60usize,
    ) {
        let bytes = pieces.concat();
        for (format, time) in [(CLF, "time"), (COMBINED, "time"), (Format::Lines, "line")] {
            let mut source = all(format);
            for timed in [false, true] {
                if timed {
                    source.time = self::source(CLF, &[], Some((time, TimeFormat::Pattern { pattern: TIME.into(), zone: None }))).time;
                }
                let whole = drive(&source, &bytes, bytes.len().max(1));
                prop_assert_eq!(&drive(&source, &bytes, step), &whole);
                let batch = Decoder::new(&source, None).unwrap().decode(&block(&bytes));
                prop_assert_eq!(show(&batch, 0).len(), batch.rows + batch.bad.len());
            }
        }
    }
}

//! First pipeline files: what is guessed from which bytes, and that no bytes make a file that is not accepted.

use engine::spec::{Format, Measure};
use plan::Pipeline;
use plan::infer::{Head, Naming, NoGuess, infer, rehearse};
use proptest::prelude::*;

fn text(bytes: &[u8], whole: bool, path: &str) -> Result<String, NoGuess> {
    let naming = Naming::new(None, path, None).expect("a name");
    infer(&Head { bytes, whole, path }).map(|guess| guess.to_toml(&naming))
}

/// The formats of access logs and lines may be of a later version than this one.
fn is_built(text: &str) -> bool {
    let word = |line: &&str| line.trim_start().starts_with("format");
    let format = text.lines().find(word).and_then(|line| line.split('"').nth(1)).expect("a format");
    let least = format!("source.s = {{ path = \"x\", format = \"{format}\" }}\nmetric.n = \"count()\"\n");
    Pipeline::parse("p.toml", &least, &[]).is_ok()
}

/// The guess for a whole file, which must be accepted, with the parts that must be in it.
fn check(bytes: impl AsRef<[u8]>, path: &str, parts: &[&str]) -> Option<Pipeline> {
    let text = text(bytes.as_ref(), true, path).unwrap_or_else(|why| panic!("{path}: {why}"));
    // Alignment is no part of what is meant.
    let plain = text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    for part in parts {
        assert!(plain.contains(part), "`{part}` is not in:\n{text}");
    }
    match Pipeline::parse("p.toml", &text, &[]) {
        Ok(pipeline) => Some(pipeline),
        Err(problems) => {
            assert!(!is_built(&text), "{problems}\n{text}");
            None
        }
    }
}

/// The same, and every record of it must be read.
fn check_read(bytes: impl AsRef<[u8]>, path: &str, parts: &[&str]) {
    let bytes = bytes.as_ref();
    let Some(pipeline) = check(bytes, path, parts) else { return };
    let tally = rehearse(&pipeline, &Head { bytes, whole: true, path }).expect("a readable file");
    assert_eq!(tally.bad_total(), 0, "{tally:?}");
    assert!(tally.accepted() > 0);
}

fn lines(head: &str, count: usize, line: impl Fn(usize) -> String) -> String {
    let mut out = head.to_string();
    (0..count).for_each(|i| out += &line(i));
    out
}

#[test]
fn ndjson_with_nested_members() {
    let bytes = lines("", 400, |i| {
        format!(
            "{{\"meta\":{{\"ts\":{}}},\"user\":{{\"id\":\"u{}\"}},\"tags\":[1],\"ok\":{},\"took_ms\":{}.5,\"code\":{}}}\n",
            1_700_000_000_000u64 + i as u64 * 977,
            i % 97,
            i % 3 == 0,
            i * i % 1009,
            200 + i % 4
        )
    });
    let parts = [
        "time = { field = \"meta.ts\", unit = \"ms\" }",
        "\"user.id\" = \"string\" # 97 different in 400 events",
        "ok = \"bool\"",
        "took_ms = \"float64\" # 0.5 to ",
        "code = \"int64\" # 4 different in 400 events",
        "# tags: lists are not measured",
        "unique_user_id = { measure = \"unique(user.id)\", by = [[], [\"code\"]] }",
        "events_by_code = { measure = \"count()\", by = [\"code\"] }",
        "quantiles(took_ms, 0.5, 0.95, 0.99)",
    ];
    check_read(bytes, "a/day.ndjson", &parts);
}

#[test]
fn delimited_files_of_all_kinds() {
    let quoted = lines("\u{feff}time,name,n\r\n", 60, |i| {
        format!("2024-03-01 10:00:{i:02},\"O, {}\n\"\"x\"\"\",{i}\r\n", i % 5)
    });
    check_read(
        &quoted,
        "q.csv",
        &["format = \"csv\" # 3 columns, named by the first line", "time = { field = \"time\" }"],
    );
    let semicolons =
        lines("datum;betrag;ort\n", 50, |i| format!("{:02}.03.2024 12:{i:02};{i},5;K{}\n", 1 + i / 2, i % 3));
    let parts = [
        "delimiter = \";\"",
        "pattern = \"%d.%m.%Y %H:%M\"",
        "# betrag: numbers with a decimal comma",
        "by = [\"ort\"]",
    ];
    check_read(&semicolons, "s.csv", &parts);
    let headless = lines("", 50, |i| format!("{},udp,{}\n", i * 7919 % 1000, i % 2));
    check_read(
        &headless,
        "h.csv",
        &["header = false", "columns = [\"c1\", \"c2\", \"c3\"]", "# c2: always the same"],
    );
    let blanks = lines("", 50, |i| format!("{} {} 0\n", i * 7919 % 1000, i % 4));
    check_read(&blanks, "b.txt", &["delimiter = \" \"", "c2 = \"int64\""]);
    let tabs = lines("ip\tbytes\n", 50, |i| {
        format!("10.0.0.{}\t{}\t\t\n", i % 7, if i % 9 == 0 { "-".into() } else { i.to_string() })
    });
    check_read(
        &tabs,
        "t.tsv",
        &["format = \"tsv\"", "null = [\"-\"] # no numbers: - in bytes", "bytes = \"int64\" # 1 to 49"],
    );
    check_read("value\n1\n2\n", "one.csv", &["format = \"csv\" # 1 column,", "value = \"int64\""]);
    let empty = check("ts,user\n", "h.csv", &["# ts: no event has a value", "events = \"count()\""]);
    assert!(empty.is_some());
}

#[test]
fn names_that_are_hard_to_write() {
    let bytes = lines("", 60, |i| {
        format!(
            "{{\"größe\":{}.5,\"user agent\":\"a{}\",\"it's\":{},\"a.b\":\"x{}\",\"q\\\"\":1}}\n",
            i,
            i % 3,
            i % 2,
            i % 30
        )
    });
    let parts = [
        "by = [\"user agent\"]",
        "'quantiles(\"größe\", 0.5, 0.95, 0.99)'",
        "\"a.b\" = \"string\"",
        "unique_a_b",
        "# q\": a measure cannot name what holds a double quote",
    ];
    check_read(&bytes, "n.ndjson", &parts);
    let twice = lines("a,a,,b c\n", 60, |i| format!("{i},{i},{i},{}\n", i % 4));
    check_read(
        &twice,
        "d.csv",
        &["# a: another column has the same name", "# (no name): it has no name", "\"b c\" = \"int64\""],
    );
    let wide = lines("", 1, |_| (0..3000).map(|i| format!("col {i}")).collect::<Vec<_>>().join(",") + "\n");
    let wide = lines(&wide, 30, |i| {
        (0..3000).map(|j| (i * j % 13).to_string()).collect::<Vec<_>>().join(",") + "\n"
    });
    check_read(&wide, "w.csv", &["3,000 columns", "fields more"]);
}

#[test]
fn event_time_is_told_from_other_times_and_from_ids() {
    for (header, value, part) in [
        (
            "created_at,updated_at",
            "2024-01-01 00:{i}:00,2023-05-05 00:00:{i}",
            "time = { field = \"created_at\" }",
        ),
        ("ts,n", "1700000{i}0,1", "time = { field = \"ts\", unit = \"s\" }"),
        ("ts,n", "1700000{i}0123456,1", "time = { field = \"ts\", unit = \"us\" }"),
        ("ts,n", "1700000{i}0123456789,1", "time = { field = \"ts\", unit = \"ns\" }"),
        ("1600000001.5,7", "16000000{i}.5,7", "time = { field = \"c1\", unit = \"s\" }"),
        ("7,36000001", "7,360000{i}", "no event time was found"),
        ("push_id,n", "5367521{i},x", "no event time was found"),
        ("at,n", "3/{i}/2024 12:00,1", "pattern = \"%m/%d/%Y %H:%M\""),
        ("at,n", "{i}/3/2024 12:00,1", "pattern = \"%d/%m/%Y %H:%M\""),
        ("date,n", "2024-03-{i},1", "pattern = \"%Y-%m-%d\""),
        ("when,n", "\"2024-03-01 10:00:00,{i}\",1", "pattern = \"%Y-%m-%d %H:%M:%S,%f\""),
        ("when,n", "\"Fri, {i} Mar 2024 10:00:00 +0100\",1", "no event time was found"),
        ("when,n", "{i}/Mar/2024:10:00:00 +0100,1", "pattern = \"%d/%b/%Y:%H:%M:%S %z\""),
    ] {
        let bytes = lines(&format!("{header}\n"), 18, |i| value.replace("{i}", &(i + 10).to_string()) + "\n");
        check(&bytes, "t.csv", &[part]);
    }
}

#[test]
fn disorder_asks_for_lateness_and_a_poisoned_head_for_ahead() {
    let stamp = |seconds: usize| format!("{{\"ts\":{}}}\n", 1_700_000_000 + seconds);
    check_read(
        lines("", 500, |i| stamp(i ^ 15)),
        "a.ndjson",
        &["lateness = \"30s\"", "largest step back in the sample: 15s"],
    );
    let poisoned = lines("", 40, |i| stamp(5_000_000 + i * 40_000)) + &lines("", 5000, stamp);
    let Some(pipeline) = check(&poisoned, "a.ndjson", &["ahead = \"1h\"", "40 events ahead of the rest"])
    else {
        return;
    };
    let tally = rehearse(&pipeline, &Head { bytes: poisoned.as_bytes(), whole: true, path: "" }).unwrap();
    assert_eq!((tally.ahead, tally.late), (40, 0));
}

#[test]
fn access_logs_and_lines_are_known_by_their_content() {
    let common = lines("", 50, |i| {
        format!(
            "10.0.0.{} - - [17/May/2015:10:05:{:02} +0000] \"GET /p{} HTTP/1.1\" 200 {}",
            i % 9,
            59 - i % 50,
            i % 4,
            i * i
        ) + "\n"
    });
    let parts = [
        "format = \"clf\"",
        "time = { field = \"time\", lateness = \"2m\" }",
        "by = [\"path\"]",
        "bytes = \"int64\"",
    ];
    check_read(&common, "access.log", &parts);
    let combined = common.replace(" 200 ", " 404 ").replace('\n', " \"-\" \"curl/8\"\n");
    check_read(
        &combined,
        "access.log",
        &["format = \"combined\"", "# status: always the same", "# user_agent: always the same"],
    );
    let words = lines("", 50, |i| "word ".repeat(i % 5 + 1) + "\n");
    check_read(&words, "words.txt", &["format = \"lines\"", "line = \"string\" # 5 different in 50 events"]);
}

#[test]
fn what_is_no_file_of_events_is_called_what_it_is() {
    let long = "x".repeat(2 << 20);
    for (bytes, whole, why) in [
        (&b""[..], true, NoGuess::Empty),
        (b"\xEF\xBB\xBF", true, NoGuess::Empty),
        (b"\n \r\n\t\n", true, NoGuess::Blank),
        (b"a\0b\n", true, NoGuess::Binary),
        (b"\xff\xfe\xfd\n\xff\n", true, NoGuess::Binary),
        (b"[{\"a\":1},{\"a\":2}]\n", true, NoGuess::Spread),
        (b"{\n \"a\": 1\n}\n", true, NoGuess::Spread),
        (b"no end", false, NoGuess::EndlessLine),
        (long.as_bytes(), true, NoGuess::EndlessLine),
    ] {
        assert_eq!(text(bytes, whole, "x").unwrap_err(), why, "{:?}", &bytes[..bytes.len().min(20)]);
        assert!(!why.to_string().is_empty());
    }
    // A spoilt line is a bad record, not the end.
    check(b"{\"a\":1}\n{\"a\":\"\xff\"}\n{\"a\":2}\n", "x", &["1 more could not be read"]);
}

#[test]
fn a_head_says_that_it_is_one_and_ends_with_a_whole_record() {
    let bytes = lines("k,v\n", 200, |i| format!("{i},\"a\nb{}\"\n", i * i));
    for cut in [bytes.len() - 1, bytes.len() - 4, bytes.len() - 5] {
        let text = text(&bytes.as_bytes()[..cut], false, "x.csv").unwrap();
        assert!(text.contains("the first 199 events"), "{text}");
        assert!(text.contains("still growing"), "{text}");
    }
    assert!(text(bytes.as_bytes(), true, "x.csv").unwrap().contains("all 200 events"));
}

#[test]
fn a_sample_of_every_kind_of_column_gives_every_kind_of_measure() {
    let bytes = lines("", 1000, |i| {
        format!(
            "{{\"time\":\"2026-01-01T00:{:02}:{:02}Z\",\"kind\":\"k{}\",\"user\":\"u{}\",\"bytes\":{},\"price\":{}.25}}\n",
            i / 60,
            i % 60,
            i % 3,
            i * 7919 % 211,
            i * i % 997,
            i % 71
        )
    });
    let pipeline = check(&bytes, "x.ndjson", &[]).expect("built");
    let source = &pipeline.spec.sources[0];
    assert_eq!(source.format, Format::Ndjson);
    let of = |is: fn(&Measure) -> bool| source.metrics.iter().filter(|metric| is(&metric.measure)).count();
    assert!(of(|m| matches!(m, Measure::Count)) >= 2);
    assert!(of(|m| matches!(m, Measure::Unique { .. })) >= 1);
    assert!(of(|m| matches!(m, Measure::Top { .. })) >= 1);
    assert!(of(|m| matches!(m, Measure::Quantiles { .. })) >= 2);
    assert!(of(|m| matches!(m, Measure::Sum(_))) >= 1);
    assert!(source.metrics.len() <= 12);
}

/// Pieces that mean something to one of the formats.
const PIECES: [&str; 36] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "\n",
    "\r\n",
    ";",
    "\t",
    "|",
    " ",
    "-",
    "NA",
    "null",
    "true",
    "1",
    "-1.5",
    "1e400",
    "99999999999999999999",
    "007",
    "2024-01-01T00:00:00Z",
    "1700000000",
    "31/12/2024 10:00",
    "{\"a\":",
    "\"a\":1}\n",
    "{\"ts\":1700000000000,\"b\":\"x\"}\n",
    "a,b,c\n",
    "1,2,3\n",
    "é",
    "\u{feff}",
    "\u{202e}",
    "\\u0000",
    "\\",
    "1.2.3.4 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 1\n",
];

/// No panic, the same text twice, and a file that is accepted.
fn survive(bytes: &[u8], whole: bool) -> Result<(), TestCaseError> {
    let first = text(bytes, whole, "x.csv");
    prop_assert_eq!(&first, &text(bytes, whole, "x.csv"));
    let Ok(first) = first else { return Ok(()) };
    if is_built(&first) {
        let pipeline = Pipeline::parse("p.toml", &first, &[]);
        prop_assert!(pipeline.is_ok(), "{}\n{first}", pipeline.unwrap_err());
        rehearse(&pipeline.unwrap(), &Head { bytes, whole, path: "x.csv" });
    }
    Ok(())
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        (-1000i64..1000, 0u32..100).prop_map(|(n, f)| format!("{n}.{f:02}")),
        any::<bool>().prop_map(|b| b.to_string()),
        Just("null".to_string()),
        Just("\"NA\"".to_string()),
        Just("\"007\"".to_string()),
        "[a-z ]{0,6}".prop_map(|s| format!("\"{s}\"")),
        Just("[1, 2]".to_string()),
        Just("{\"in\": 1}".to_string()),
        Just("1e3".to_string()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300), whole in any::<bool>()) {
        survive(&bytes, whole)?;
    }

    #[test]
    fn any_words_are_survived(pieces in prop::collection::vec(0usize..PIECES.len(), 0..60), whole in any::<bool>()) {
        survive(pieces.into_iter().map(|i| PIECES[i]).collect::<String>().as_bytes(), whole)?;
    }

    #[test]
    fn any_table_is_survived(
        names in prop::collection::vec(any::<String>(), 1..6),
        rows in prop::collection::vec(prop::collection::vec("[0-9a-z.,; \"-]{0,5}", 1..6), 0..40),
        delimiter in prop::sample::select(vec![",", ";", "\t", "|", " "]),
    ) {
        let mut bytes = names.join(delimiter) + "\n";
        rows.iter().for_each(|row| bytes += &(row.join(delimiter) + "\n"));
        survive(bytes.as_bytes(), true)?;
    }

    /// The guess for a whole file reads the whole file: no type, null word or name makes a record bad.
    #[test]
    fn no_record_of_a_guess_from_all_of_them_is_bad(
        names in prop::collection::vec("[a-zA-Z.\"' é-]{1,6}", 1..5),
        rows in prop::collection::vec(prop::collection::vec(scalar(), 5), 1..60),
    ) {
        let quoted: Vec<String> = names.iter().map(|name| name.replace('"', "\\\"")).collect();
        let line = |row: &Vec<String>| {
            let members: Vec<String> = quoted.iter().zip(row).map(|(name, value)| format!("\"{name}\":{value}")).collect();
            format!("{{{}}}\n", members.join(","))
        };
        let bytes: String = rows.iter().map(line).collect();
        let text = text(bytes.as_bytes(), true, "x.ndjson").unwrap();
        let pipeline = Pipeline::parse("p.toml", &text, &[]);
        prop_assert!(pipeline.is_ok(), "{}\n{text}", pipeline.unwrap_err());
        let tally = rehearse(&pipeline.unwrap(), &Head { bytes: bytes.as_bytes(), whole: true, path: "" }).unwrap();
        prop_assert_eq!((tally.read, tally.bad_total()), (rows.len() as u64, 0), "{}\n{}", text, bytes);
    }
}

//! Writes `corpus-seeds/`: `cargo run --example make_seeds`. Run it again when a target reads its choices differently.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus-seeds");
    let seeds = [
        ("ndjson", ndjson()),
        ("delimited", delimited()),
        ("pipeline", pipeline()),
        ("clock", clock()),
        ("access", access()),
    ];
    for (target, files) in seeds {
        let folder = root.join(target);
        std::fs::create_dir_all(&folder)?;
        for (name, bytes) in files {
            std::fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}

/// Choices: format; kinds of the fields; time or none; bad policy; length; step.
fn access() -> Files {
    const TEXT: &str = concat!(
        "1.2.3.4 - ada l [17/May/2015:10:05:03 +0000] \"GET /a HTTP/1.1\" 200 17 \"-\" \"x\"\n",
        "\n::1 - - [17/may/2015:10:05:60 -0130] \"\\x16\\\"\\\\\" - - \"http://h/\\\"q\" \"cut",
        "\nh - - [] \"\" 1 1\nh - [x] [t] \"GET /\" 1 1 \"\" \"\" more\n"
    );
    vec![
        ("clf", with(&[0, 0, 0, 0, 0, 0, 0, 16], TEXT)),
        ("combined", with(&[1, 0, 1, 0, 1, 0, 3, 0, 0, 0, 6], TEXT)),
        ("lines", with(&[2, 0, 0, 0, 0, 9], TEXT)),
    ]
}

type Files = Vec<(&'static str, Vec<u8>)>;

/// `choices` in front of `text`.
fn with(choices: &[u8], text: impl AsRef<[u8]>) -> Vec<u8> {
    [choices, text.as_ref()].concat()
}

/// Choices: kinds of `s`, `o.s`, `o.o.n`, `a.b`; time or none and then path, format, late policy; bad policy; length; step.
fn ndjson() -> Files {
    const PLAIN: &[u8] = &[0, 0, 1, 2, 0, 0, 0, 16];
    const TIMED: &[u8] = &[0, 0, 1, 3, 1, 0, 0, 0, 0, 0, 6];
    const RFC: &[u8] = &[0, 2, 1, 0, 1, 2, 2, 1, 0, 0, 30];
    const PATTERN: &[u8] = &[0, 0, 0, 0, 1, 1, 3, 0, 0, 0, 3];
    const SHORT: &[u8] = &[1, 2, 3, 0, 0, 0, 1, 2];
    let numbers = [
        "0",
        "-0",
        "01",
        "1.",
        ".5",
        "1e5",
        "1E+2",
        "1e-400",
        "1e400",
        "-",
        "+1",
        "0x1",
        "NaN",
        "Infinity",
        "123456789012345678901234567890",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "0.1e1",
        "1.0",
        "12345678.9",
        "1e",
        "1e+",
        "00",
        "-01",
        "2.",
        "1.5.5",
        "1 2",
    ];
    let strings = [
        r#""""#,
        r#""\"""#,
        r#""\\""#,
        r#""\/\b\f\n\r\t""#,
        r#""\u0041""#,
        r#""\ud83d\ude00""#,
        r#""\ud83d""#,
        r#""\ude00""#,
        r#""\u12""#,
        r#""\x""#,
        "\"a\tb\"",
        "\"\u{7f}\u{2028}é😀\"",
        r#"'a'"#,
        r#""a"#,
        r#""NA""#,
        r#""-""#,
        r#""a string that is longer than sixteen bytes""#,
        "\"\0\"",
    ];
    let others = [
        "null",
        "true",
        "false",
        "nul",
        "True",
        "[]",
        "{}",
        "[1,]",
        "[,]",
        "{,}",
        "[1 2]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "[[[[]]]]",
        "{\"x\":{\"y\":[{}]}}",
        "[",
        "}",
        "",
        "/**/1",
        "[1]]",
        "\u{feff}1",
    ];
    let lines = |values: &[&str]| -> String {
        values.iter().flat_map(|value| [format!("{{\"s\":{value}}}\n"), "{\"s\":\"x\"}\n".into()]).collect()
    };
    let objects = concat!(
        "{\"s\":\"a\",\"o\":{\"s\":\"b\",\"o\":{\"n\":1}},\"a.b\":1.5}\n",
        "{\"s\":\"c\",\"o\":{\"s\":null,\"o\":{\"n\":22}},\"a.b\":-2}\n",
        "{\"s\":\"d\",\"o\":null,\"a\":{\"b\":3}}\n{\"o\":{\"o\":[],\"s\":[]}}\n{\"o\":{\"s\":1},\"o.s\":2,\"o\":{}}\n",
        "{ \"s\" : \"e\" , \"o\" : { } }\r\n{\"s\":1}{\"s\":2}\n[{\"s\":1}]\n\"s\"\n{\"s\":1} x\n {}\n\n\t\r\n{\"\\u0073\":1}\n",
    );
    let times = "{\"t\":1442018818,\"s\":\"1\"}\n{\"t\":1442018818.5,\"s\":\"2\"}\n{\"t\":\"1442018819\"}\n{\"t\":1e9}\n{\"t\":null}\n{\"s\":\"3\"}\n{\"t\":-0.0000001}\n{\"t\":9223372036854}\n{\"t\":1e30}\n";
    let rfc = "{\"o\":{\"t\":\"2015-09-12T00:46:58.771Z\"}}\n{\"o\":{\"t\":\"2016-12-31 23:59:60+01:00\",\"s\":1}}\n{\"o\":{\"t\":\"2015-02-29T00:00:00Z\"}}\n{\"o\":{\"t\":5}}\n";
    let pattern = "{\"s\":\"10/Oct/2000:13:55:36 -0700\"}\n{\"s\":\"32/Oct/2000:13:55:36 -0700\"}\n{\"s\":\"10\\/Oct\\/2000:13:55:36 +0000\"}\n";
    vec![
        ("numbers", with(PLAIN, lines(&numbers))),
        ("numbers-int", with(&[1, 0, 1, 2, 0, 0, 0, 9], lines(&numbers))),
        ("numbers-float", with(&[2, 0, 1, 2, 0, 0, 0, 5], lines(&numbers))),
        ("strings", with(PLAIN, lines(&strings))),
        ("strings-float", with(&[2, 0, 1, 2, 0, 1, 0, 0], lines(&strings))),
        ("others", with(PLAIN, lines(&others))),
        ("others-bool", with(&[3, 0, 1, 2, 0, 0, 0, 1], lines(&others))),
        ("objects", with(PLAIN, objects)),
        ("short-records", with(SHORT, objects)),
        ("times", with(TIMED, times)),
        ("times-rfc3339", with(RFC, rfc)),
        ("times-pattern", with(PATTERN, pattern)),
        (
            "not-utf8",
            with(
                PLAIN,
                b"\xEF\xBB\xBF{\"s\":\"a\"}\n{\"s\":\"\xff\"}\n{\"s\":\"\xc3\xa9\"}\n\xc3\n{\"s\":\"b\"}",
            ),
        ),
        ("blanks", with(PLAIN, " \n\n\r\n\t{\"s\":1}\t\n{\"s\":2}\r\r\n{\"s\":3}\x0b\n\x0c\n{\"s\":4}")),
    ]
}

/// Choices: a byte for the delimiter, which delimiter, quotes, names in the file or not, paths; then as for NDJSON; step.
fn delimited() -> Files {
    const CSV: &[u8] = &[0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4];
    const HEADER: &[u8] = &[0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 2];
    const TSV: &[u8] = &[0, 1, 0, 1, 2, 0, 1, 1, 0, 0, 0, 0, 0, 7];
    const PIPES: &[u8] = &[0, 3, 1, 0, 1, 3, 1, 0, 2, 1, 1, 0, 0];
    let quotes =
        "a,1,x\n\"b\",\"2\",\"y\"\n\"c,\"\"c\"\"\n\",3,\n,,\n\"\",\"\",\"\"\na\"b,4,\"z\"z\n\"open,5,\n6,7";
    vec![
        ("quotes", with(CSV, quotes)),
        ("crlf", with(CSV, quotes.replace('\n', "\r\n"))),
        ("blanks", with(CSV, "\n \n\t\r\na,1,b\r\r\n\r\n\n,,\nNA,-,\n")),
        ("columns", with(CSV, "a\na,1\na,1,b\na,1,b,\na,1,b,,\na,1,b,c\n")),
        ("header", with(HEADER, "\u{feff}\"a\",b,\"c\nc\"\r\n1,2,3\r\n\"4\n\",5,6\n")),
        ("header-late", with(HEADER, "\n\na,b,c\n1,2,3\n")),
        ("header-twice", with(HEADER, "a,a,b\n1,2,3\n")),
        ("header-only", with(HEADER, "a,b,c")),
        ("tsv", with(TSV, "a\tc\tb\t\n1442018818\t\"1442018818\tx\t\n\t\t\t\n1\t2\t\t\n")),
        ("pipes", with(PIPES, "2015-09-12T00:46:58Z|true|x\n2015-09-12 00:46:58+01:00|\"1\"|y\n|false|\n")),
        ("not-utf8", with(CSV, b"\xEF\xBB\xBF\"\xff\",1,a\nb,\xc3\xa9,c\nd,2,\xc3\n\"e\n\xff\n\",3,f\n")),
        ("own-delimiter", with(&[b'a', 5, 1, 0, 0, 0, 0, 0, 0, 0, 1], "xay az\n\"a\"a\"\"a\n")),
        ("quote-delimiter", with(&[b'"', 5, 1, 0, 0, 0, 0, 0, 0, 0, 1], "x\"y\"z\n")),
    ]
}

fn pipeline() -> Files {
    let shop = r#"name = "shop"
memory = "64MiB"
accuracy = "2% @ 95%"
panes = ["1s:15m", "1m:2d", "1h:35d"]

[source.events]
kind = "file"
path = ["events.ndjson", "more/*.jsonl.gz"]
time = { field = "ts", unit = "ms", lateness = "2s", later = "correct", ahead = "1h", agree = 3 }
fields = { user_id = "string", latency_ms = "float64", status = "int64", ok = "bool" }
bad = "quarantine"
null = ["NA", "-"]

[metric]
visitors = { measure = "unique(user_id)", by = [[], ["device"]] }
top_pages = { measure = "top(page, 50)", keep = "forever" }
latency = { measure = "quantiles(latency_ms)", by = ["page"], keys = "200 + other", panes = ["1m:6h"] }
recent = { measure = "freq(ip)", keep = "5m" }
events = "count()"

[metric.errors]
measure = "sum(status)"
accuracy = "1% @ 95%"
"#;
    let csv = "source.s = { kind = \"stdin\", format = \"csv\", delimiter = \";\", columns = [\"a\", \"b\"] }\nmetric.x = \"max(b)\"\nmetric.h = \"histogram(b, [1, 2.5])\"\n";
    let set = format!(
        "{csv}\u{1}memory=1MiB\u{1}metric.y=\"avg(a)\"\u{1}source.s.time={{field=\"a\",pattern=\"%Y-%m-%d\"}}"
    );
    let small = "source.s = { kind = \"file\", path = \"a.tsv\" }\nmetric.n = \"count()\"\n";
    let odd = "[source.s]\nkind = 'file'\n\"path\" = \"\"\"x\\u00e9\n\"\"\"\n[[metric]]\nx = 1979-05-27T07:32:00Z\ny = +0x_f\nz = [nan, -inf, 1e9_9,]\n";
    let wrong = "name = 5\nmemry = \"1x\"\n[source.s]\nkind = \"kafka\"\n[metric]\na = \"unique(\"\nb = \"top(x, -1)\"\nc = { measure = \"coutn()\", from = \"t\" }\npanes = [\"0s:1s\", \"7s:1h\", \"10s:1h\"]\n";
    vec![
        ("shop.toml", shop.into()),
        ("csv.toml", csv.into()),
        ("set.toml", set.into_bytes()),
        ("small.toml", small.into()),
        ("odd.toml", odd.into()),
        ("wrong.toml", wrong.into()),
    ]
}

/// Choices: a span and its shift, lateness, ahead, agree, late policy, two ladders, size of blocks, shards.
fn clock() -> Files {
    // The three lowest bits are cut off: see `clock::stretches`.
    let far = |time: i64| with(&[9], (time << 3).to_le_bytes());
    let steady: Vec<u8> = (0..60).flat_map(|i| [(i % 5) << 4, 8]).collect();
    let jumps =
        [with(&[11, 40], far(9_000_000_000_000_000)), steady.clone(), vec![12, 47, 6, 30, 7, 200]].concat();
    let gap = [steady.clone(), far(5_000_000_000_000), vec![12, 47, 5, 3, 5, 40]].concat();
    let partitions =
        [vec![12, 20, 13, 1], steady.clone(), vec![14, 2, 12, 33, 15, 13, 0, 6, 9], steady.clone()].concat();
    // Two rows far ahead, one on time, two far ahead, for an agreement of three: no five of them ever agree.
    let poison =
        [steady.clone(), [far(5_000_000_000_000), vec![0, 8], far(1_000_061_000_000)].concat().repeat(4)]
            .concat();
    let ends = [far((1 << 60) - 1), far(-(1 << 60)), far(0), vec![2, 8]].concat();
    vec![
        ("steady", with(&[0, 0, 1, 0, 0, 0, 1, 3, 4, 0], &steady)),
        ("late", with(&[0, 0, 0, 0, 0, 0, 3, 4, 2, 1], [5, 90].repeat(30))),
        ("dropped", with(&[0, 0, 0, 0, 0, 2, 3, 1, 2, 1], [5, 90, 8, 1, 3, 9].repeat(9))),
        ("quarantined", with(&[0, 0, 1, 1, 2, 3, 2, 5, 6, 2], [5, 90, 8, 1, 3, 9].repeat(9))),
        ("held", with(&[0, 0, 1, 2, 0, 0, 3, 3, 9, 2], &jumps)),
        ("gap", with(&[0, 0, 1, 1, 4, 0, 3, 4, 5, 2], &gap)),
        ("poison", with(&[0, 0, 1, 1, 3, 0, 3, 4, 5, 1], &poison)),
        ("partitions", with(&[0, 0, 2, 2, 3, 0, 3, 1, 7, 2], &partitions)),
        ("ends-of-time", with(&[255, 52, 4, 3, 1, 0, 1, 2, 1, 1], &ends)),
    ]
}

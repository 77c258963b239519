//! What goes wrong, how it is said, and the exit code: 2 settings, 3 environment, 4 nothing measured.

use crate::support::{Workdir, gz, xz, zst};

const COUNT: &str = "n = \"count()\"";

/// One file, `p.toml` with these keys, and what the run over it should come to.
fn check(file: &str, bytes: impl AsRef<[u8]>, source: &str, metrics: &str, code: i32, fragments: &[&str]) {
    let dir = Workdir::with(file, bytes, source, metrics);
    dir.run(&[]).expect(code, fragments);
}

#[test]
fn the_pipeline_file_must_be_there_and_be_text() {
    let dir = Workdir::with("d.ndjson", "{}\n", "", COUNT);
    dir.call(&["run", "--once", "nope.toml"]).expect(3, &["cannot read the pipeline file `nope.toml`"]);
    dir.call(&["run", "--once", "."]).expect(3, &["cannot read the pipeline file `.`"]);
    dir.write("blob", [0u8, 0xff, 0xfe, 1]);
    dir.call(&["run", "--once", "blob"]).expect(2, &["`blob` is not UTF-8 text"]);
    dir.write("events", "{\"a\": 1}\n".repeat(400_000));
    dir.call(&["run", "--once", "events"]).expect(2, &["events"]);
    #[cfg(unix)]
    dir.call(&["run", "--once", "/dev/zero"]).expect(2, &["/dev/zero"]);
}

#[test]
fn a_wrong_pipeline_file_is_shown_at_line_and_column() {
    let dir = Workdir::new();
    dir.write("d.ndjson", "{}\n");
    for (source, metrics, fragments) in [
        ("path = \"d.ndjson\"\nbad = ", COUNT, &["--> p.toml:4:7", "expected"][..]),
        ("pth = \"d.ndjson\"", COUNT, &["unknown key `pth`", "--> p.toml:3:1", "did you mean `path`?"]),
        (
            "path = \"d.ndjson\"",
            "n = \"cuont()\"",
            &["unknown measure `cuont`", "--> p.toml:6:6", "did you mean `count`?"],
        ),
        ("path = \"d.ndjson\"", "n = 3", &["--> p.toml:6:5", "must be a measure or a table"]),
        (
            "path = \"d.ndjson\"\nfields = { a = \"int\" }",
            COUNT,
            &["--> p.toml:4:16", "did you mean `int64`?"],
        ),
        (
            "path = \"d.ndjson\"",
            "n = \"avg(a)\"\nm = \"top(a)\"",
            &["--> p.toml:7:10", "used as text here and as a number"],
        ),
        ("path = \"d.log\"", COUNT, &["does not tell its format", "--> p.toml:3:8", "format = \"ndjson\""]),
        (
            "path = \"d.ndjson\"\nbda = 1\nnul = []",
            COUNT,
            &["p.toml:4:1", "p.toml:5:1", "2 problems in p.toml"],
        ),
    ] {
        dir.pipeline(source, metrics);
        dir.run(&[]).expect(2, fragments);
    }
}

#[test]
fn overrides_are_judged_like_the_file() {
    let dir = Workdir::with("d.ndjson", "{}\n", "", COUNT);
    for (set, fragments) in [
        ("foo", &["there is no `=` after the key"][..]),
        ("source.e.pth=x", &["unknown key `pth`", "--> --set:1:10", "did you mean `path`?"]),
        ("memory=2", &["`memory` must be a string", "--> --set:1:8"]),
    ] {
        dir.run(&["--set", set]).expect(2, fragments);
    }
    dir.run(&["--set", "source.e.path=no.ndjson"])
        .expect(3, &["no file matches `no.ndjson`", "--> --set:1:15"]);
}

#[test]
fn the_command_line_must_make_sense() {
    let dir = Workdir::with("d.ndjson", "{\"ts\": 1}\n", "time = { field = \"ts\", unit = \"s\" }", COUNT);
    dir.call(&["run", "p.toml", "--annotate", "n"]).expect(2, &["--once"]);
    dir.call(&["run"]).expect(2, &["<PIPELINE>"]);
    dir.call(&["runn"]).expect(2, &["'run'"]);
    for (args, fragments) in [
        (&["--format", "xml"][..], &["possible values: table, json, ndjson, csv"][..]),
        (&["--shards", "0"], &["1..=256"]),
        (&["--every", "soon"], &["`soon` is not a length of time", "30s, 5m, 1h, 2d"]),
        (&["--every", "0s"], &["longer than nothing"]),
        (&["--every", "-1m"], &["-1"]),
        (&["--every", "7s"], &["keeps panes of 1m", "windows of 7s are not made of them", "--> p.toml:1:9"]),
        (&["--window", "1h", "--every", "90s"], &["panes of 1m", "windows of 1h every 90s"]),
        (&["--window", "1h", "--every", "7m"], &["--window 1h is not a multiple of --every 7m"]),
        (&["--window", "20000m", "--every", "1m"], &["more than 10000 steps"]),
        (&["--window", "99999999999999999999d"], &["too large"]),
    ] {
        dir.run(args).expect(2, fragments);
    }
    dir.pipeline("path = \"d.ndjson\"", COUNT);
    dir.run(&["--every", "1m"])
        .expect(2, &["has no event time", "--> p.toml:1:9", "add time = { field = \"ts\" }"]);
    dir.pipeline(
        "path = \"d.ndjson\"\ntime = { field = \"ts\", unit = \"s\" }",
        "n = { measure = \"count()\", keep = \"forever\" }",
    );
    dir.run(&["--every", "1m"]).expect(2, &["no metric of source `e` has panes", "keep = \"forever\""]);
}

#[test]
fn inputs_must_be_there_and_be_files() {
    let dir = Workdir::new();
    dir.write("d.ndjson", "{}\n");
    dir.write("empty/.keep", "");
    for (path, code, fragments) in [
        ("\"no.ndjson\"", 3, &["no file matches `no.ndjson` in the current directory", "--> p.toml:3:8"][..]),
        ("\"no/*.ndjson\"", 3, &["no file matches `no/*.ndjson` in `no`"]),
        ("\"*.jsonl\"", 3, &["no file matches `*.jsonl`"]),
        ("\"empty\"\nformat = \"ndjson\"", 3, &["`empty` is a directory", "`empty/*.ndjson`", "p.toml:3:8"]),
        ("\"empt*\"\nformat = \"ndjson\"", 3, &["no file matches `empt*`"]),
        ("\"d.ndjson/x.ndjson\"", 3, &["no file matches `d.ndjson/x.ndjson`"]),
        ("\"[.ndjson\"", 2, &["`[.ndjson` is not a usable file pattern", "p.toml:3:8"]),
        ("[\"d.ndjson\", \"*.ndjson\"]", 2, &["`d.ndjson` is named twice", "counted twice", "p.toml:3:8"]),
        ("[\"d.ndjson\", \"./d.ndjson\"]", 2, &["`./d.ndjson` is named twice"]),
    ] {
        dir.pipeline(&format!("path = {path}"), COUNT);
        dir.run(&[]).expect(code, fragments);
    }
}

#[test]
fn all_inputs_are_looked_for_before_the_first_is_read() {
    let dir = Workdir::new();
    dir.write("a.ndjson", "bad\n");
    let text = "source.a = { kind = \"file\", path = \"a.ndjson\", bad = \"quarantine\" }\nsource.b = { kind = \"file\", path = \"b.csv\" }\n\
                [metric]\nx = { measure = \"count()\", from = \"a\" }\ny = { measure = \"count()\", from = \"b\" }\n";
    dir.write("p.toml", text);
    dir.run(&[]).expect(3, &["no file matches `b.csv`", "p.toml:2:36"]);
    assert!(!dir.has("p.a.quarantine.ndjson"));
}

#[cfg(unix)]
#[test]
fn a_file_without_permission_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Workdir::with("d.ndjson", "{}\n", "", COUNT);
    let path = dir.path().join("d.ndjson");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).expect("the owner may");
    // Permissions do not stop root: then there is nothing to see.
    if std::fs::File::open(&path).is_err() {
        dir.run(&[]).expect(3, &["cannot read `d.ndjson`", "denied"]);
    }
}

#[test]
fn damaged_archives_are_named_and_give_no_half_report() {
    let text: String = (0..20_000).map(|i| format!("{{\"n\": {}}}\n", i * 7919 % 10_007)).collect();
    let (gzip, zstd, lzma) = (gz(text.as_bytes()), zst(text.as_bytes()), xz(text.as_bytes()));
    let flipped = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 64].fill(0xa5);
        bytes
    };
    for (file, bytes, what) in [
        ("d.ndjson.gz", gzip[..gzip.len() - 9].to_vec(), "its gzip data ends too early"),
        ("d.ndjson.gz", gzip[..gzip.len() / 2].to_vec(), "its gzip data ends too early"),
        ("d.ndjson.gz", gzip[..5].to_vec(), "its gzip data ends too early"),
        ("d.ndjson.gz", flipped(&gzip), "its gzip data is corrupt"),
        ("d.ndjson.zst", zstd[..zstd.len() / 2].to_vec(), "its zstd data ends too early"),
        ("d.ndjson.zst", [&zstd[..4], b"garbage, and more of it"].concat(), "its zstd data is corrupt"),
        ("d.ndjson.xz", lzma[..lzma.len() - 1].to_vec(), "its xz data ends too early"),
        ("d.ndjson.xz", lzma[..lzma.len() / 2].to_vec(), "its xz data ends too early"),
        ("d.ndjson.xz", lzma[..7].to_vec(), "its xz data ends too early"),
        ("d.ndjson.xz", flipped(&lzma), "its xz data is corrupt"),
        ("d.ndjson.xz", [&lzma[..], b"and something else"].concat(), "its xz data is corrupt"),
    ] {
        let dir = Workdir::with(file, bytes, "", "s = \"sum(n)\"");
        for shards in ["1", "3"] {
            let ran = dir.run(&["--shards", shards]);
            ran.expect(3, &[&format!("`{file}` is damaged: {what} after"), "fetch the file again"]);
            assert_eq!(ran.out, "");
        }
    }
}

#[test]
fn files_of_other_kinds_are_recognised() {
    let utf16: Vec<u8> = "\u{feff}{\"a\":1}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    // A header that asks for a dictionary of 4 GiB, under a CRC32 that fits.
    let greedy = b"\xFD7zXZ\0\0\x04\xe6\xd6\xb4\x46\x02\0\x21\x01\x28\0\0\0".to_vec();
    let greedy = [greedy, 0xb311_a0e6u32.to_le_bytes().to_vec(), vec![1; 64]].concat();
    for (bytes, what) in [
        (greedy, "takes more than 512 MiB to undo, which is not read here: decompress it"),
        (utf16, "is UTF-16 text, which is not read here: convert it, as in `iconv"),
        (b"BZh91AY&SY....".to_vec(), "is compressed with bzip2"),
        (b"PK\x03\x04....".to_vec(), "is a zip archive"),
        (b"PAR1\x15\x04....".to_vec(), "is a Parquet file"),
    ] {
        check("d.ndjson", bytes, "", COUNT, 3, &["`d.ndjson`", what]);
    }
}

#[test]
fn input_without_a_record_is_said_so() {
    let held = &["source `e` held no record at all", "--> p.toml:3:8"];
    for bytes in ["", "\n\n  \n\r\n", "\u{feff}"] {
        check("d.ndjson", bytes, "", COUNT, 4, held);
    }
    check("d.ndjson.gz", gz(b""), "", COUNT, 4, held);
    check("d.csv", "", "", COUNT, 4, held);
    check("d.csv", "a,b\n", "", "n = \"unique(a)\"", 4, held);
}

#[test]
fn input_of_which_every_record_is_bad_says_what_to_do() {
    for (bytes, source, metrics, fragments) in [
        (
            "{\"ts\": 1500000000000}\n",
            "time = { field = \"ts\" }",
            COUNT,
            &[
                "`ts` is no time in RFC 3339 (time, first at line 1 of `d.ndjson`)",
                "p.toml:4:18",
                "write `unit = \"ms\"`",
            ][..],
        ),
        (
            "{\"ts\": \"2015-09-12T00:46:58Z\"}\n",
            "time = { field = \"ts\", unit = \"s\" }",
            COUNT,
            &["leave `unit` out for RFC 3339"],
        ),
        (
            "{\"ts\": \"01/Aug/1995\"}\n",
            "time = { field = \"ts\" }",
            COUNT,
            &["it holds \"01/Aug/1995\"", "`pattern`"],
        ),
        ("{\"time\": 1, \"a\": 2}\n", "time = { field = \"tiem\" }", COUNT, &["did you mean `time`?"]),
        (
            "{\"ms\": \"fast\"}\n{\"ms\": \"slow\"}\n",
            "",
            "n = \"avg(ms)\"",
            &["none of the 2 records", "`ms` is no float64", "p.toml:7:10", "`fields`"],
        ),
        ("[{\"a\":1},{\"a\":2}]\n", "", COUNT, &["not one JSON object", "jq -c"]),
        ("{\n  \"a\":\n 1\n}\n", "", COUNT, &["none of the 4 records", "jq -c"]),
        ("a,b\n1,2\n", "", COUNT, &["NDJSON is one JSON object a line; is `format` right?"]),
        (
            "{\"a\": 1234567890123456}\n",
            "record_max = \"16B\"",
            COUNT,
            &["longer than `record_max`", "raise `record_max`"],
        ),
    ] {
        check("d.ndjson", bytes, source, metrics, 4, fragments);
    }
    check(
        "d.csv",
        "a,b\n1\n2\n",
        "",
        COUNT,
        4,
        &["more or fewer columns than have names", "check `delimiter`"],
    );
    check("d.ndjson", b"{\"a\": \"\xff\"}\n", "", COUNT, 4, &["not UTF-8"]);
}

#[test]
fn some_bad_records_are_a_note() {
    check(
        "d.ndjson",
        "{\"a\": 1}\n{\"a\": \"x\"}\n{\"a\": 2}\n",
        "",
        "n = \"sum(a)\"",
        0,
        &[
            "note: 1 of 3 records were bad, the first at line 2 of `d.ndjson` (type: `a` is no float64)",
            "source.e.bad=quarantine",
        ],
    );
    check(
        "d.csv",
        "a,b\n1,2\n\"3,4\n5,6\n",
        "",
        COUNT,
        0,
        &["1 of 2 records", "line 3", "an open quote takes the lines below"],
    );
    check("d.json", "[\n{\"a\": 1},\n{\"a\": 2}\n]\n", "", COUNT, 0, &["3 of 4 records", "jq -c"]);
}

#[test]
fn a_field_that_no_event_has_is_shown_where_it_is_named() {
    let text = "{\"user\": {\"id\": 1}, \"page\": \"a\", \"null\": null}\n{\"ts\": 5}\n";
    for (metrics, fragments) in [
        (
            "n = \"unique(usr.id)\"",
            &["no event of `e` has a value in field `usr.id`", "p.toml:7:13", "did you mean `user.id`?"][..],
        ),
        ("n = \"unique(id)\"", &["p.toml:7:13", "did you mean `user.id`?"]),
        ("n = { measure = \"count()\", by = [[], [\"pgae\"]] }", &["p.toml:7:39", "did you mean `page`?"]),
        ("n = \"sum(latency)\"", &["p.toml:7:10", "there are: null, page, user.id, ts"]),
        ("n = \"top(null)\"", &["no event of `e` has a value in field `null`"]),
    ] {
        check("d.ndjson", text, "", metrics, 4, fragments);
    }
    check(
        "d.csv",
        "a,b\n1,\n2,\n",
        "",
        "n = \"top(b)\"",
        4,
        &["no event of `e` has a value in field `b`", "p.toml:7:10"],
    );
}

#[test]
fn a_column_that_is_not_there_is_shown_where_it_is_named() {
    for (text, source, metrics, fragments) in [
        (
            "user,page\n1,2\n",
            "",
            "n = \"unique(usr)\"",
            &["there is no column `usr` in `d.csv`", "p.toml:7:13", "did you mean `user`?"][..],
        ),
        (
            "user,page\n1,2\n",
            "time = { field = \"when\" }",
            COUNT,
            &["no column `when`", "p.toml:4:18", "there are: user, page"],
        ),
        (
            "user;page\n1;2\n",
            "",
            "n = \"unique(page)\"",
            &["the header is one column, `user;page`", "delimiter = \";\""],
        ),
        ("a,a\n1,2\n", "", "n = \"top(a)\"", &["two columns of `d.csv` are named `a`", "p.toml:7:10"]),
        ("a, b\n1,2\n", "", "n = \"top(b)\"", &["did you mean ` b`?"]),
    ] {
        check("d.csv", text, source, metrics, 2, fragments);
    }
    // Given names are known without a look at the data.
    check(
        "d.csv",
        "1,2\n",
        "header = false\ncolumns = [\"user\", \"page\"]",
        "n = \"top(usr)\"",
        2,
        &["p.toml:8:10", "did you mean `user`?"],
    );
    let dir = Workdir::new();
    dir.write("1.csv", "a,b\n1,2\n");
    dir.write("2.csv", "b,c\n1,2\n");
    dir.pipeline("path = \"?.csv\"", "n = \"top(a)\"");
    dir.run(&[]).expect(2, &["there is no column `a` in `2.csv`"]);
}

#[test]
fn a_unit_that_cannot_be_meant_is_doubted() {
    let doubted = ["warning: `ts` of `e`"];
    let refused = ["error: none of the 1 records of `e` could be used", "which is not a number of"];
    for (ts, unit, code, fragments, fragment) in [
        // 49,503 is beyond the range of times, 1970 within.
        (1_500_000_000_000i64, "s", 4, &refused[..], "write `unit = \"ms\"`"),
        (1_500_000_000_000_000_000, "us", 4, &refused[..], "write `unit = \"ns\"`"),
        (1_500_000_000, "ms", 0, &doubted[..], "reaches 1970-01-18T08:40:00Z; as seconds"),
    ] {
        let source = format!("time = {{ field = \"ts\", unit = \"{unit}\", lateness = \"1h\" }}");
        let fragments: Vec<&str> = fragments.iter().copied().chain([fragment]).collect();
        check("d.ndjson", format!("{{\"ts\": {ts}}}\n"), &source, COUNT, code, &fragments);
    }
    let dir =
        Workdir::with("d.ndjson", "{\"ts\": 1500000000}\n", "time = { field = \"ts\", unit = \"s\" }", COUNT);
    assert_eq!(dir.run(&[]).err, "");
}

#[test]
fn the_quarantine_is_never_written_over_an_input() {
    for (file, quarantine) in [("d.ndjson", "./d.ndjson"), ("p.quarantine.ndjson", "p.quarantine.ndjson")] {
        let source =
            if file == quarantine { String::new() } else { format!("quarantine = \"{quarantine}\"\n") };
        let dir = Workdir::with(file, "bad\n{}\n", format!("{source}bad = \"quarantine\"").as_str(), COUNT);
        dir.run(&[]).expect(2, &["is read, and the quarantine would be written over it"]);
        assert_eq!(dir.read(file), "bad\n{}\n");
    }
}

#[test]
fn help_is_there_for_every_verb_with_an_example() {
    let dir = Workdir::new();
    let all = dir.call(&["--help"]);
    all.expect(0, &[]);
    assert!(all.out.contains("streamgauge run --once shop.toml"), "{}", all.out);
    let verbs: Vec<&str> = all
        .out
        .lines()
        .skip_while(|l| *l != "Commands:")
        .skip(1)
        .take_while(|l| !l.is_empty())
        .filter_map(|l| l.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect();
    assert!(verbs.contains(&"run"), "{}", all.out);
    for verb in verbs {
        for args in [&["help", verb][..], &[verb, "--help"], &[verb, "-h"]] {
            let ran = dir.call(args);
            ran.expect(0, &[]);
            assert!(
                ran.out.contains(&format!("  streamgauge {verb} ")) && ran.out.contains("Exit codes:"),
                "{}",
                ran.out
            );
        }
    }
    assert_eq!(dir.call(&["--version"]).out, concat!("streamgauge ", env!("CARGO_PKG_VERSION"), "\n"));
    let nothing = dir.call(&[]);
    nothing.expect(2, &["Usage: streamgauge"]);
    assert_eq!(nothing.out, "");
}

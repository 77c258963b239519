//! The ways in which input is written and compressed, and where its time comes from.

use crate::support::{Workdir, counter, gz, shown};

const LOG: &str = r#"10.0.0.1 - ada [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 100 "-" "x"
10.0.0.2 - - [17/May/2015:10:05:43 +0000] "GET /b HTTP/1.1" 200 - "http://h/\"q\"" "y" "more"
10.0.0.1 - - [17/May/2015:12:06:01 +0200] "-" 408 0 "-" "-"
not a line of a log
"#;

#[test]
fn access_logs_are_measured() {
    let metrics = "u = \"unique(host)\"\ns = \"sum(bytes)\"\nc = { measure = \"count()\", by = [\"status\"] }\n\
                   p = \"top(path)\"\nr = \"top(referrer)\"";
    let source = "format = \"combined\"\ntime = { field = \"time\" }\nfields = { bytes = \"int64\" }";
    let dir = Workdir::with("access.log.gz", gz(LOG.as_bytes()), source, metrics);
    let answers = dir.json(&[]);
    assert_eq!(shown(&answers, "u"), ["=2"]);
    assert_eq!(shown(&answers, "s"), ["=100"]);
    assert_eq!(shown(&answers, "c"), ["200=2", "408=1"]);
    assert_eq!(shown(&answers, "p"), ["=[/a:1 /b:1]"]);
    assert_eq!(shown(&answers, "r"), ["=[http://h/\"q\":1]"]);
    assert_eq!((counter(&answers, "line"), counter(&answers, "read")), (1, 4));
    let windows = shown(&dir.json(&["--every", "1m"]), "u");
    assert_eq!(windows, ["2015-05-17T10:05:00Z =2", "2015-05-17T10:06:00Z =1"]);
}

#[test]
fn a_log_in_the_wrong_format_is_said_to_be() {
    let dir = Workdir::with("a.log", LOG.replace(" \"x\"", ""), "format = \"clf\"", "n = \"unique(host)\"");
    assert_eq!(shown(&dir.json(&[]), "n"), ["=2"], "what follows the bytes is ignored");
    let dir = Workdir::with(
        "a.log",
        "GET /\n",
        "format = \"combined\"\nbad = \"quarantine\"",
        "n = \"unique(host)\"",
    );
    dir.run(&[]).expect(4, &["none of the 1 records", "(line, first at line 1 of", "`combined` adds"]);
    assert!(dir.read("p.quarantine.ndjson").contains("\"reason\":\"line\",\"field\":null,\"raw\":\"GET /\""));
    let dir = Workdir::with("a.log", LOG, "format = \"combined\"", "n = \"unique(pth)\"");
    dir.run(&[]).expect(2, &["there is no field `pth`", "did you mean `path`?", "--> p.toml:"]);
}

#[test]
fn lines_are_counted_whole() {
    let dir = Workdir::with("a.txt", "b a\n\nb a\r\nc\n", "format = \"lines\"", "t = \"top(line)\"");
    assert_eq!(shown(&dir.json(&[]), "t"), ["=[b a:2 c:1]"]);
    dir.pipeline("path = \"a.txt\"", "t = \"top(line)\"");
    dir.run(&[]).expect(2, &["the name of `a.txt` does not tell its format", "\"lines\""]);
}

#[test]
fn time_may_be_the_number_of_the_record() {
    let dir = Workdir::new();
    dir.write("a.csv", "v\n1\n2\nx\n");
    dir.write("b.csv", "v\n4\n5\n6\n");
    let source = "path = [\"a.csv\", \"b.csv\"]\nfields = { v = \"int64\" }\ntime = { row = \"20s\" }";
    dir.pipeline(source, "s = \"sum(v)\"");
    for shards in ["1", "3"] {
        let answers = dir.json(&["--every", "1m", "--shards", shards]);
        assert_eq!(shown(&answers, "s"), ["1970-01-01T00:00:00Z =3", "1970-01-01T00:01:00Z =15"]);
        assert_eq!((counter(&answers, "type"), counter(&answers, "late")), (1, 0));
    }
}

#[test]
fn time_may_be_arrival() {
    let seconds = || std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let dir = Workdir::with("d.ndjson", "{\"a\": 1}\n", "time = \"arrival\"", "n = \"count()\"");
    let before = seconds();
    let answers = dir.json(&["--every", "1m"]);
    let day = |seconds: u64| engine::time::Time((seconds / 60 * 60 * 1_000_000) as i64).to_string();
    let windows = shown(&answers, "n");
    assert!(
        (before / 60..=seconds() / 60).any(|minute| windows == [format!("{} =1", day(minute * 60))]),
        "{windows:?}"
    );
}

#[test]
fn a_zone_says_what_clocks_showed() {
    let text = "t,v\n2015-07-01 00:30,1\n2015-01-01 00:30,2\n";
    let time = "time = { field = \"t\", pattern = \"%Y-%m-%d %H:%M\", zone = \"Europe/Berlin\" }";
    let dir =
        Workdir::with("d.csv", text, time, "s = { measure = \"sum(v)\", panes = [\"1h:4w\", \"1d:2000d\"] }");
    assert_eq!(
        shown(&dir.json(&["--every", "1d"]), "s"),
        ["2014-12-31T00:00:00Z =2.0", "2015-06-30T00:00:00Z =1.0"]
    );
}

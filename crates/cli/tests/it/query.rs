//! SQL from the command line: on a state directory, on a server, and on files without a pipeline file.

use crate::http::{address, terminate};
use crate::support::{Ran, Workdir};
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Ten users on two devices, a click a second for ten minutes.
fn clicks() -> String {
    (0..600)
        .map(|i| {
            let (minute, second) = (i / 60, i % 60);
            let device = if i % 3 == 0 { "desk" } else { "phone" };
            format!("{{\"ts\":\"2026-01-01T00:{minute:02}:{second:02}Z\",\"user\":\"u{}\",\"device\":\"{device}\"}}\n", i % 10)
        })
        .collect()
}

const METRICS: &str = r#"
visitors = { measure = "unique(user)", by = [[], ["device"]] }
clicks   = { measure = "count()", by = [[], ["device"]] }

[view]
devices = "select device, value from clicks(by => 'device')"
"#;

/// A directory with the state of those.
fn state() -> Workdir {
    let dir = Workdir::with("clicks.ndjson", clicks(), "time = { field = \"ts\" }", METRICS);
    dir.run(&["--state", "state"]).expect(0, &[]);
    dir
}

fn rows(ran: &Ran) -> Vec<Value> {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {ran:?}"))
}

#[test]
fn a_state_directory_is_asked() {
    let dir = state();
    let asked = |sql: &str| dir.call(&["query", "state", sql, "--format", "json"]);
    assert_eq!(
        rows(&asked("select value, low, high, exact, complete_to from visitors(by => '')")),
        [json!({"value": 10, "low": 10, "high": 10, "exact": true, "complete_to": "2026-01-01T00:09:59Z"})]
    );
    assert_eq!(
        rows(&asked("select * from devices order by device")),
        [json!({"device": "desk", "value": 200}), json!({"device": "phone", "value": 400})]
    );
    let minutes = rows(&asked("select start, value from clicks where grouped_by = '' order by start"));
    assert_eq!((minutes.len(), &minutes[9]), (10, &json!({"start": "2026-01-01T00:09:00Z", "value": 60})));
    assert_eq!(rows(&asked("select source, read from sg.sources")), [json!({"source": "e", "read": 600})]);
    assert_eq!(rows(&asked("select 1 as x where false")), Vec::<Value>::new());
    let merged = rows(&asked("select estimate(merge_agg(sketch)) as n from visitors where grouped_by = ''"));
    assert_eq!(merged, [json!({"n": 10.0})]);
}

#[test]
fn answers_are_text_csv_and_parquet() {
    let dir = state();
    let sql = "select device, value from clicks(by => 'device') order by 1";
    let table = dir.call(&["query", "--state", "state", sql]);
    assert_eq!(table.out, "device  value\ndesk      200\nphone     400\n");
    let csv = dir.call(&["query", "state", sql, "--format", "csv"]);
    assert_eq!(csv.out, "device,value\ndesk,200\nphone,400\n");
    let ran = dir.call(&["query", "state", sql, "--format", "parquet", "-o", "devices.parquet"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""));
    let file = std::fs::File::open(dir.path().join("devices.parquet")).expect("it was written");
    let batches: Vec<_> =
        ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("rows").collect();
    assert_eq!(batches[0].as_ref().expect("a batch").num_rows(), 2);
}

#[test]
fn doubts_are_told_beside_the_answer() {
    let dir = state();
    let ran =
        dir.call(&["query", "state", "select sum(value) as n from visitors where grouped_by = 'device'"]);
    ran.expect(0, &["warning: `visitors` counts distinct values", "estimate(merge_agg(sketch))"]);
    assert!(ran.out.trim_start().starts_with('n'), "{ran:?}");
}

#[test]
fn what_cannot_be_asked_says_what_can() {
    let dir = state();
    let asked = |sql: &str| dir.call(&["query", "state", sql]);
    asked("select * from visitor")
        .expect(2, &["no metric and no view `visitor`", "did you mean `visitors`?"]);
    asked("select valu from visitors").expect(2, &["did you mean `value`?"]);
    asked("drop table visitors").expect(2, &["only statements that read"]);
    asked("copy visitors to '/tmp/x'").expect(2, &["only statements that read"]);
    asked("select * from visitors('90s', '90s')").expect(2, &["not made of its panes"]);
    dir.call(&["query", "select 1"]).expect(2, &["what is asked?"]);
    dir.call(&["query", "--state", "state", "a", "b"]).expect(2, &["the only word is the query"]);
    dir.call(&["query", "nowhere", "select count(*) from e"]).expect(3, &["nowhere"]);
    dir.call(&["query", ".", "select 1"]).expect(3, &["no state directory"]);
    dir.call(&["query", "state", "select * from clicks", "--rows", "5"])
        .expect(2, &["more than 5 rows", "LIMIT"]);
    dir.call(&["query", "-", "select 1", "--watch", "1s"]).expect(2, &["--watch"]);
    let endless =
        "select count(*) from generate_series(1, 1000000) a cross join generate_series(1, 1000000) b";
    dir.call(&["query", "state", endless, "--timeout", "1s"]).expect(2, &["took longer than 1s"]);
}

#[test]
fn a_file_is_asked_without_a_pipeline_file() {
    let dir = Workdir::new();
    dir.write("clicks.ndjson", clicks());
    let sql = "select device, unique(user) as users, count(*) as n from events group by device order by n";
    let want = [
        json!({"device": "desk", "users": 10, "users_low": 10, "users_high": 10, "n": 200}),
        json!({"device": "phone", "users": 10, "users_low": 10, "users_high": 10, "n": 400}),
    ];
    assert_eq!(rows(&dir.call(&["query", "clicks.ndjson", sql, "--format", "json"])), want);
    let piped = dir.call_with(&["query", "-", sql, "--format", "json"], clicks().as_bytes());
    assert_eq!(rows(&piped), want);
    let sql = "select round(100.0 * count(*) filter (where device = 'desk') / count(*)) as share from events where user <> 'u1'";
    let share = dir.call(&["query", "clicks.ndjson", sql, "--format", "csv"]);
    assert_eq!(share.out, "share\n33.0\n");
    dir.write("more.csv", "page,ms\n/,3\n/,5\n/a,9\n");
    let top = dir.call(&["query", "more.csv", "select top(page, 1) from pages", "--format", "csv"]);
    assert_eq!(top.out, "item,value,low,high\n/,2,2,2\n");
    let asked = |sql: &str| dir.call(&["query", "clicks.ndjson", sql]);
    asked("select * from events").expect(2, &["sample(10"]);
    asked("select unique(usr) from events").expect(2, &["did you mean `user`?"]);
    asked("select count(distinct user) from events").expect(2, &["unique(user)"]);
}

/// A run over those clicks that listens, asked for a token or not.
fn running(token: Option<&str>) -> (Workdir, std::process::Child, String) {
    let dir = Workdir::new();
    dir.write("clicks.ndjson", clicks());
    let token = token.map(|name| format!(", read_token = {{ env = \"{name}\" }}")).unwrap_or_default();
    dir.write(
        "p.toml",
        format!(
            "panes = [\"1m:1d\"]\nserve = {{ listen = \"127.0.0.1:0\"{token} }}\n[source.e]\npath = \"clicks.ndjson\"\n\
             time = {{ field = \"ts\" }}\n[metric]\n{METRICS}"
        ),
    );
    let mut child = dir
        .command(&["run", "p.toml"])
        .env("READ_TOKEN", "sesame")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let at = format!("http://{}", address(&mut child));
    (dir, child, at)
}

#[test]
fn a_server_answers_as_a_state_directory_does() {
    let (dir, child, at) = running(None);
    let kept = state();
    let ask = |sql: &str, more: &[&str]| dir.call(&[&["query", "--server", &at, sql], more].concat());
    let deadline = Instant::now() + Duration::from_secs(60);
    while ask("select read from sg.sources", &["--format", "csv"]).out != "read\n600\n" {
        assert!(Instant::now() < deadline, "it does not read its file");
        std::thread::sleep(Duration::from_millis(50));
    }
    for sql in [
        "select value, low, high, exact, complete_to, sketch from visitors(by => '')",
        "select * from devices order by device",
        "select start, \"end\", value, exact, guarantee from clicks where grouped_by = '' order by start",
        "select 1 as x where false",
        "select bounds(sketch) as b, [1, 2] as l, date '2026-01-01' as d from visitors(by => '')",
        "select sum(value) as n from visitors where grouped_by = 'device'",
    ] {
        for format in ["table", "json", "csv"] {
            let (here, there) =
                (kept.call(&["query", "state", sql, "--format", format]), ask(sql, &["--format", format]));
            assert_eq!((there.code, &there.out, &there.err), (Some(0), &here.out, &here.err), "{sql}");
        }
    }
    let file = "devices.parquet";
    ask("select device, value from clicks(by => 'device') order by 1", &["--format", "parquet", "-o", file])
        .expect(0, &[]);
    let file = std::fs::File::open(dir.path().join(file)).expect("it was written");
    let rows = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("rows");
    assert_eq!(rows.map(|batch| batch.expect("a batch").num_rows()).sum::<usize>(), 2);

    ask("select * from visitor", &[])
        .expect(2, &["no metric and no view `visitor`", "help: did you mean `visitors`?"]);
    ask("drop table visitors", &[]).expect(2, &["only statements that read"]);
    ask("select * from clicks", &["--rows", "5"]).expect(2, &["more than 5 rows", "LIMIT"]);
    ask("select * from clicks", &["--memory", "1KiB"]).expect(2, &["more than 1024 bytes", "--memory"]);
    dir.call(&["query", "--server", &at, "state", "select 1"]).expect(2, &["the only word is the query"]);
    dir.call(&["query", "--server", "https://h:1", "select 1"]).expect(2, &["TLS", "tunnel"]);
    assert_eq!(terminate(child).0, Some(0));
    ask("select 1", &[]).expect(3, &["the server cannot be asked"]);
}

#[test]
fn a_server_asks_for_its_token() {
    let (dir, child, at) = running(Some("READ_TOKEN"));
    let ask = |token: &str| {
        let args = ["query", "--server", &at, "--token-env", "TOKEN", "select 1 as x", "--format", "csv"];
        let mut command = dir.command(&args);
        let output = command.env("TOKEN", token).output().expect("the binary ends");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    assert_eq!(ask("sesame"), (Some(0), "x\n1\n".into()));
    let (code, text) = ask("mustard");
    assert!(code == Some(2) && text.contains("needs the token of the server"), "{text}");
    dir.call(&["query", "--server", &at, "select 1"]).expect(2, &["help: send the header"]);
    dir.call(&["query", "--server", &at, "--token-env", "NO_SUCH", "select 1"])
        .expect(2, &["no text in `NO_SUCH`"]);
    assert_eq!(terminate(child).0, Some(0));
}

#[test]
fn who_watches_a_server_waits_for_it_to_come_back() {
    let (dir, child, at) = running(None);
    let mut watch = dir
        .command(&["query", "--server", &at, "select 1 as x", "--watch", "100ms"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut out = BufReader::new(watch.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains('1') {
        line.clear();
        assert!(out.read_line(&mut line).expect("text") > 0);
    }
    // What it prints meanwhile must go somewhere.
    std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
    assert_eq!(terminate(child).0, Some(0));
    let mut err = BufReader::new(watch.stderr.take().expect("a pipe"));
    line.clear();
    err.read_line(&mut line).expect("text");
    assert!(line.contains("cannot be asked") && line.contains("asked again"), "{line}");
    assert_eq!(watch.try_wait().expect("a status"), None, "it goes on");
    watch.kill().expect("it ends");
    watch.wait().expect("it ends");
}

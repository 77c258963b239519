//! SQL from the command line: on a state directory, and on files without a pipeline file.

use crate::support::{Ran, Workdir};
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

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

//! The four ways a report is written, and what they share.

use crate::support::Workdir;
use serde_json::Value;

/// A report with text that every format must escape, a missing value, an empty one, and every kind of list.
fn shop() -> Workdir {
    let text = "{\"ts\": 0, \"g\": \"a;b=\\\"c\\\",\\nd\", \"ms\": 1500}\n{\"ts\": 60, \"g\": \"\", \"ms\": 0.25}\n\
                {\"ts\": 61, \"ms\": -3}\n{\"ts\": 62, \"g\": \"é\", \"ms\": 1e300}\n{\"ts\": 63, \"g\": \"é\"}\n";
    let metrics = "n = { measure = \"count()\", by = [[], [\"g\"]] }\nu = \"unique(g)\"\nt = \"top(g, 2)\"\n\
                   q = { measure = \"quantiles(ms, 0.5, 0.999)\", by = [[], [\"g\"]] }\nh = \"histogram(ms, 0.5, 2000)\"\n\
                   s = { measure = \"sum(ms)\", by = [\"g\"] }\n\
                   few = { measure = \"top(g)\", by = [\"g\"], keys = \"1 + other\" }";
    Workdir::with("d.ndjson", text, "time = { field = \"ts\", unit = \"s\" }", metrics)
}

/// Lines of CSV as cells (RFC 4180).
fn csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => cell.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            c => cell.push(c),
        }
    }
    assert!(row.is_empty() && cell.is_empty() && !quoted, "the last line is whole");
    rows
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The lines of CSV that an answer in JSON comes to. Numbers stay values: `1.0` and `1` are the same one.
fn expected(answer: &Value) -> Vec<Vec<String>> {
    let lists = [("items", "item", "value"), ("quantiles", "q", "value"), ("buckets", "le", "count")];
    let listed =
        lists.iter().find_map(|(list, name, value)| Some((answer.get(list)?.as_array()?, name, value)));
    let alone = || vec![[String::new(), text(&answer["value"]), text(&answer["low"]), text(&answer["high"])]];
    let entries = match listed {
        None => alone(),
        Some((list, _, _)) if list.is_empty() => alone(),
        Some((list, name, value)) => list
            .iter()
            .map(|e| {
                let bound = |key: &str| text(e.get(key).unwrap_or(&e[*value]));
                [text(&e[*name]), text(&e[*value]), bound("low"), bound("high")]
            })
            .collect(),
    };
    let other = answer.get("other").is_some().to_string();
    let head = [
        text(&answer["metric"]),
        answer["by"].to_string(),
        other,
        text(&answer["start"]),
        text(&answer["end"]),
    ];
    let tail = ["confidence", "guarantee", "exact", "complete_to", "late", "sketch", "resolution"]
        .map(|key| text(&answer[key]));
    entries.into_iter().map(|entry| head.iter().chain(&entry).chain(&tail).cloned().collect()).collect()
}

/// A cell without what may differ between two ways of writing the same: `1.0` and `1`, the order of an object's keys.
fn same(cell: &str) -> String {
    match serde_json::from_str::<Value>(cell) {
        Ok(Value::Number(n)) => n.as_f64().expect("a double").to_string(),
        Ok(object @ Value::Object(_)) => object.to_string(),
        _ => cell.to_string(),
    }
}

#[test]
fn json_ndjson_and_csv_say_the_same() {
    let dir = shop();
    for args in [&[][..], &["--every", "1m"]] {
        let run = |format| dir.run(&[args, &["--format", format]].concat()).out;
        let json: Vec<Value> = serde_json::from_str(&run("json")).expect("JSON");
        let lines: Vec<Value> =
            run("ndjson").lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
        assert_eq!(json, lines);
        let rows = csv(&run("csv"));
        let header = "metric,by,other,start,end,entry,value,low,high,confidence,guarantee,exact,complete_to,late,sketch,resolution";
        assert_eq!(rows[0].join(","), header);
        let cells = |rows: &[Vec<String>]| -> Vec<Vec<String>> {
            rows.iter().map(|row| row.iter().map(|cell| same(cell)).collect()).collect()
        };
        let expected: Vec<Vec<String>> = json.iter().flat_map(expected).collect();
        assert_eq!(cells(&rows[1..]), cells(&expected));
    }
}

#[test]
fn the_table_says_the_same_to_people() {
    let table = shop().run(&[]).out;
    let expected = r#"n                       5  exact
n by g
                        1  exact
  a;b="c",·d            1  exact
  é                     2  exact
  (none)                1  exact
u                       2  exact  hash-set
t
  é                     2  exact  counters/4096
  a;b="c",·d            1  exact  counters/4096
q
  p50                    0.25  exact  values
  p99.9                 1e300  exact  values
q by g
  p50                    0.25  exact  values
  p99.9                  0.25  exact  values
  a;b="c",·d  p50       1,500  exact  values
  a;b="c",·d  p99.9     1,500  exact  values
  é  p50                1e300  exact  values
  é  p99.9              1e300  exact  values
  (none)  p50              -3  exact  values
  (none)  p99.9            -3  exact  values
h
  ≤ 0.5                 2  exact
  ≤ 2,000               3  exact
  ≤ +Inf                4  exact
s by g
                         0.25  exact
  a;b="c",·d            1,500  exact
  é                     1e300  exact
  (none)                   -3  exact
few by g
  é  é                  2  exact      counters/4096
  (other)  a;b="c",·d   1  no bounds  counters/4096

source e, complete to 1970-01-01T00:01:03Z: 5 read, 5 accepted, 5 on time, 0 late, 0 ahead, 0 too late, 0 bad, 3 groups folded
"#;
    assert_eq!(table, expected);
}

#[test]
fn a_table_says_how_much_of_a_list_it_leaves_out() {
    let text: String = (0..50).map(|i| format!("{{\"v\": \"v{i}\"}}\n")).collect();
    let dir = Workdir::with("d.ndjson", text, "", "t = \"top(v, 50)\"");
    let table = dir.run(&[]).out;
    assert_eq!(table.matches("exact").count(), 20, "{table}");
    assert!(table.contains("(30 more)"), "{table}");
    assert_eq!(dir.json(&[])[0]["items"].as_array().map(Vec::len), Some(50));
}

#[test]
fn a_table_lets_no_value_move_the_cursor() {
    let text = "{\"v\": \"\\u001b[31mred\\u0007\\u202etxt\\r\\n\\u009b1m\"}\n";
    let table =
        Workdir::with("d.ndjson", text, "", "n = { measure = \"count()\", by = [\"v\"] }").run(&[]).out;
    assert!(table.contains("·[31mred··txt···1m"), "{table:?}");
}

#[test]
fn keys_stand_in_the_order_of_the_contract() {
    let keys = [
        "metric",
        "by",
        "other",
        "start",
        "end",
        "value",
        "low",
        "high",
        "confidence",
        "guarantee",
        "exact",
        "complete_to",
        "late",
        "sketch",
        "items",
        "quantiles",
        "buckets",
    ];
    let out = shop().run(&["--format", "ndjson", "--every", "1m"]).out;
    for line in out.lines() {
        let answer: Value = serde_json::from_str(line).expect("JSON");
        // No value of this report holds a text like `"low":` itself; the entries of lists come last.
        let there: Vec<&str> = keys.into_iter().filter(|key| answer.get(key).is_some()).collect();
        assert_eq!(there.len(), answer.as_object().expect("an answer").len(), "{line}");
        let at: Vec<usize> =
            there.iter().map(|key| line.find(&format!("\"{key}\":")).expect("the key")).collect();
        assert!(at.is_sorted(), "{line}");
    }
}

#[test]
fn integers_that_a_double_would_round_are_strings() {
    let text = "{\"i\": 9007199254740992}\n{\"i\": 9007199254740993}\n{\"i\": 9223372036854775807}\n{\"i\": 9223372036854775807}\n\
                {\"i\": -9223372036854775808}\n{\"i\": 1}\n";
    let metrics = "s = \"sum(i)\"\nmin = \"min(i)\"\nmax = \"max(i)\"\nt = \"top(i)\"\nn = { measure = \"count()\", by = [\"i\"] }\n\
                   least = { measure = \"min(i)\", by = [\"i\"] }";
    let dir = Workdir::with("d.ndjson", text, "fields = { i = \"int64\" }", metrics);
    let out = dir.run(&["--format", "ndjson"]).out;
    let find = |metric: &str, part: &str| {
        let found =
            out.lines().any(|l| l.starts_with(&format!("{{\"metric\":\"{metric}\"")) && l.contains(part));
        assert!(found, "{metric} {part} is not in\n{out}");
    };
    // 9007199254740992 + 9007199254740993 + 2 (2^63 - 1) - 2^63 + 1
    find("s", "\"value\":\"9241386435364257792\",\"low\":\"9241386435364257792\"");
    find("min", "\"value\":\"-9223372036854775808\"");
    find("max", "\"value\":\"9223372036854775807\"");
    find("t", "{\"item\":\"9223372036854775807\",\"value\":2,");
    find("n", "\"by\":{\"i\":\"9007199254740993\"}");
    find("n", "\"by\":{\"i\":9007199254740992}");
    find("least", "\"value\":9007199254740992,");
}

#[test]
fn sums_beyond_doubles_are_words_in_every_format() {
    let dir = Workdir::with(
        "d.ndjson",
        "{\"a\": 1e308, \"b\": -1e308}\n".repeat(3),
        "",
        "p = \"sum(a)\"\nq = \"sum(b)\"",
    );
    let json = dir.run(&["--format", "json"]).out;
    assert!(json.contains("\"value\":\"+Inf\"") && json.contains("\"value\":\"-Inf\""), "{json}");
    let csv = dir.run(&["--format", "csv"]).out;
    assert!(csv.contains("p,{},false,,,,+Inf,") && csv.contains("q,{},false,,,,-Inf,"), "{csv}");
}

#[test]
fn nothing_but_the_report_is_on_standard_output() {
    let dir = Workdir::with(
        "d.ndjson",
        "{\"n\": 1}\nbad\n",
        "bad = \"quarantine\"",
        "n = \"sum(n)\"\nm = \"sum(nn)\"",
    );
    let ran = dir.run(&["--format", "json"]);
    ran.expect(
        4,
        &[
            "note: 1 of 2 records were bad",
            "note: 1 record was set aside",
            "error: no event of `e` has a value",
        ],
    );
    assert_eq!(ran.answers().len(), 6, "{}", ran.out);
    for args in [&["--nonsense"][..], &["--set", "source.e.path=nowhere.ndjson"], &["--every", "1m"]] {
        assert_eq!(dir.run(args).out, "", "{args:?}");
    }
}

#[test]
fn a_report_without_anything_to_say_is_still_whole() {
    let dir = Workdir::with("d.ndjson", "", "", "n = \"count()\"\nt = \"top(x)\"\nq = \"quantiles(y)\"");
    for format in ["json", "ndjson", "csv", "table"] {
        let ran = dir.run(&["--format", format]);
        ran.expect(4, &["source `e` held no record at all"]);
        assert!(ran.out.ends_with('\n') && ran.out.lines().count() >= 5, "{ran:?}");
    }
    assert_eq!(dir.run(&["--format", "json"]).answers()[1]["items"], Value::Array(Vec::new()));
}

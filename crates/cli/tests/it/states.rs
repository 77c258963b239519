//! States in files: `run --save`, `merge`, and `sketch` of what they wrote.

use crate::schema::{schema, validate};
use crate::support::{Workdir, shown};
use serde_json::{Value, json};
use std::fmt::Write;

const SOURCE: &str =
    "time = { field = \"ts\", unit = \"s\", lateness = \"5s\" }\nfields = { n = \"int64\", x = \"float64\" }";

/// Every measure whose state does not depend on the order of events.
const ORDER_FREE: &str = "
    hits = { measure = \"count()\", by = [[], [\"user\"]] }
    sum = { measure = \"sum(n)\", by = [[], [\"shop\"]] }
    spread = \"stddev(x)\"
    most = { measure = \"max(x)\", by = [\"shop\"] }
    users = { measure = \"unique(user)\", by = [[], [\"shop\"]] }
    crowd = \"audience(user)\"
    often = \"freq(n)\"
    slow = { measure = \"quantiles(x)\", by = [[], [\"shop\"]] }
    steps = \"histogram(x, 1, 10, 100)\"
    odd = \"count() filter (where n > 50)\"
    top = \"top(user, 5)\"
    some = \"sample(3, user)\"";

/// Events from number `from` on, a second apart, one in nine a few seconds late.
fn events(from: u64, to: u64) -> String {
    (from..to).fold(String::new(), |mut text, i| {
        let h = i.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
        let ts = 1_700_000_000 + i - if i % 9 == 4 { h % 9 } else { 0 };
        let (user, shop, n, x) = (h % 701, h % 3, h % 97, (h % 10_000) as f64 / 64.0);
        writeln!(
            text,
            "{{\"ts\": {ts}, \"user\": \"u{user}\", \"shop\": \"s{shop}\", \"n\": {n}, \"x\": {x}}}"
        )
        .expect("memory takes text");
        text
    })
}

/// A directory with the events whole (`all.ndjson`) and in two halves.
fn halves(metrics: &str) -> Workdir {
    let dir = Workdir::with("all.ndjson", events(0, 6000), SOURCE, metrics);
    dir.write("a.ndjson", events(0, 2500));
    dir.write("b.ndjson", events(2500, 6000));
    dir
}

fn save(dir: &Workdir, half: &str, args: &[&str]) {
    let (path, to) = (format!("source.e.path={half}.ndjson"), format!("{half}.sgs"));
    let ran = dir.run(&[&["--set", &path, "--save", &to, "--shards", "1"], args].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

/// The answers in a state file, and what is told of the file itself.
fn told(dir: &Workdir, file: &str) -> (Vec<Value>, Vec<Value>) {
    let ran = dir.call(&["sketch", file, "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let schema = schema();
    validate(&schema, &schema, &Value::Array(ran.answers())).unwrap_or_else(|e| panic!("{e}"));
    ran.answers().into_iter().partition(|answer| answer["metric"] != "sg.state")
}

/// Samples take rows by their place in a file, which is another one in each half.
fn without_sample(answers: Vec<Value>) -> Vec<Value> {
    answers.into_iter().filter(|answer| answer["metric"] != "some").collect()
}

#[test]
fn a_saved_state_tells_the_report_again() {
    let dir = halves(ORDER_FREE);
    for args in [&[][..], &["--every", "10m"], &["--window", "20m", "--every", "10m"]] {
        let report = dir.json(&[&["--save", "state.sgs"], args].concat());
        assert_eq!(told(&dir, "state.sgs").0, report, "{args:?}");
    }
}

#[test]
fn halves_that_are_merged_answer_as_one_run_over_both() {
    let dir = halves(ORDER_FREE);
    for args in [&[][..], &["--every", "1m"], &["--window", "10m", "--every", "5m"]] {
        save(&dir, "a", args);
        save(&dir, "b", args);
        let merged = dir.call(&["merge", "a.sgs", "b.sgs", "-o", "both.sgs"]);
        merged.expect(0, &["2 states of 6,000 events are one in `both.sgs`"]);
        assert_eq!(merged.out, "");
        let whole = dir.json(&[&["--set", "source.e.path=all.ndjson"], args].concat());
        let (answers, _) = told(&dir, "both.sgs");
        assert_eq!(without_sample(answers), without_sample(whole), "{args:?}");
    }
    assert!(
        !std::fs::read_dir(dir.path())
            .expect("it is there")
            .any(|file| { file.expect("a file").file_name().to_string_lossy().contains(".part") })
    );
}

#[test]
fn the_order_of_merging_changes_nothing_and_the_output_may_be_an_input() {
    let dir = halves("users = { measure = \"unique(user)\", by = [[], [\"shop\"]] }\nhits = \"count()\"");
    dir.write("c.ndjson", events(6000, 7000));
    for half in ["a", "b", "c"] {
        save(&dir, half, &[]);
    }
    dir.call(&["merge", "a.sgs", "b.sgs", "c.sgs", "-o", "abc.sgs"]).expect(0, &["3 states of 7,000 events"]);
    dir.call(&["merge", "b.sgs", "c.sgs", "-o", "bc.sgs"]).expect(0, &[]);
    dir.call(&["merge", "bc.sgs", "a.sgs", "-o", "bc.sgs"])
        .expect(0, &["`bc.sgs` was there and is replaced"]);
    assert_eq!(told(&dir, "abc.sgs"), told(&dir, "bc.sgs"));
}

#[test]
fn top_and_groups_stay_within_their_bounds() {
    let metrics = "top = \"top(user, 20)\"\n\
                   by_user = { measure = \"count()\", by = [[], [\"user\"]], keys = \"10 + other\" }";
    // 7,000 users are more than the counters keep; ten of them come often.
    let event = |i: u64| {
        let user = if i.is_multiple_of(3) { i / 3 % 10 } else { 10 + i.wrapping_mul(7919) % 7000 };
        format!("{{\"ts\": {}, \"user\": \"u{user}\", \"n\": 1, \"x\": 1}}\n", 1_700_000_000 + i)
    };
    let of = |from: u64, to: u64| (from..to).map(event).collect::<String>();
    let dir = Workdir::with("a.ndjson", of(0, 9000), SOURCE, metrics);
    dir.write("b.ndjson", of(9000, 20_000));
    let truth = |user: &str| {
        let end = format!("\"user\": \"{user}\",");
        of(0, 20_000).matches(&end).count() as u64
    };
    save(&dir, "a", &[]);
    save(&dir, "b", &[]);
    dir.call(&["merge", "a.sgs", "b.sgs", "-o", "both.sgs"]).expect(0, &[]);
    let (answers, _) = told(&dir, "both.sgs");
    let bounds = |v: &Value| (v["low"].as_u64().expect("a bound"), v["high"].as_u64().expect("a bound"));
    let top = answers.iter().find(|a| a["metric"] == "top").expect("an answer");
    let items = top["items"].as_array().expect("items");
    for (rank, item) in items.iter().enumerate() {
        let name = item["item"].as_str().expect("a user");
        let (low, high) = bounds(item);
        assert!((low..=high).contains(&truth(name)), "{item}");
        assert!(rank >= 10 || name.len() == 2, "the ten frequent users come first, not {name}");
    }
    assert_eq!(shown(&answers, "by_user")[0], "=20000");
    let groups: Vec<&Value> = answers.iter().filter(|a| a["by"]["user"].is_string()).collect();
    assert_eq!(groups.len(), 10);
    for group in groups {
        let (low, high) = bounds(group);
        let truth = truth(group["by"]["user"].as_str().expect("a user"));
        assert!((low..=high).contains(&truth), "{group}: {truth}");
    }
}

#[test]
fn a_state_file_tells_what_it_holds() {
    let dir = halves(
        "hits = { measure = \"count()\", by = [[], [\"shop\"]] }\nagain = { measure = \"seen(user)\", size = \"1k @ 1%\" }",
    );
    save(&dir, "a", &["--set", "accuracy=1% @ 99%"]);
    let (_, facts) = told(&dir, "a.sgs");
    let of = |metric: &str, by: &str, what: &str| {
        let who = json!({"source": "e", "metric": metric, "by": by, "what": what});
        facts.iter().find(|fact| fact["by"] == who).unwrap_or_else(|| panic!("{who}"))["value"].clone()
    };
    assert_eq!(of("hits", "", "cells"), 1);
    assert_eq!((of("hits", "shop", "groups"), of("hits", "shop", "panes")), (json!(3), json!(0)));
    assert!(of("again", "", "memory_bytes").as_u64() > Some(1000));
    let table = dir.call(&["sketch", "a.sgs"]).out;
    for words in [
        "a.sgs: state of pipeline p (p.toml), totals over all time",
        "with --set source.e.path=a.ndjson --set accuracy=1% @ 99%",
        "hits by shop       3",
        "2,500 read",
    ] {
        assert!(table.contains(words), "`{words}` is not in:\n{table}");
    }
    save(&dir, "b", &["--every", "10m"]);
    assert!(dir.call(&["sketch", "b.sgs"]).out.contains("windows of 10m"));
    let csv = dir.call(&["sketch", "b.sgs", "--format", "csv"]).out;
    assert!(csv.starts_with("metric,") && csv.contains("sg.state"), "{csv}");
}

#[test]
fn what_measures_something_else_is_not_merged() {
    let dir = halves("users = \"unique(user)\"\nhits = \"count()\"");
    save(&dir, "a", &[]);
    let merge = |half: &[&str], why: &[&str]| {
        save(&dir, "b", half);
        let before = dir.has("c.sgs");
        dir.call(&["merge", "a.sgs", "b.sgs", "-o", "c.sgs"]).expect(2, why);
        assert_eq!(dir.has("c.sgs"), before, "nothing is written");
    };
    let same_file = "run both inputs with one pipeline file";
    merge(
        &["--set", "metric.users=\"unique(n)\""],
        &["cannot merge `a.sgs` and `b.sgs`", "metric `users` reads other fields", same_file],
    );
    merge(
        &["--set", "accuracy=9% @ 95%"],
        &["metric `users` has another measure, or one of another accuracy", same_file],
    );
    merge(&["--set", "metric.more=\"count()\""], &["metric `more` is not in both", same_file]);
    merge(&["--set", "hash=fast"], &["hashes its values in another way", same_file]);
    merge(
        &["--every", "1m"],
        &["the first keeps totals over all time, the second windows of 1m", "same --window and --every"],
    );
}

#[test]
fn verdicts_are_not_merged() {
    let dir = halves(
        "again = { measure = \"seen(user)\", size = \"1k @ 1%\" }\nold = \"count() filter (where again)\"",
    );
    save(&dir, "a", &[]);
    save(&dir, "b", &[]);
    dir.call(&["merge", "a.sgs", "b.sgs", "-o", "c.sgs"])
        .expect(2, &["metric `again` is a `seen`", "Run over all inputs at once instead"]);
}

#[test]
fn files_that_are_no_states_are_refused_with_a_reason() {
    let dir = halves("users = { measure = \"unique(user)\", by = [[], [\"user\"]] }");
    save(&dir, "a", &[]);
    let bytes = std::fs::read(dir.path().join("a.sgs")).expect("it was saved");
    dir.write("cut.sgs", &bytes[..bytes.len() - 1]);
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 4;
    dir.write("flipped.sgs", flipped);
    let mut newer = bytes.clone();
    newer[8] = 9;
    dir.write("newer.sgs", newer);
    dir.write("empty.sgs", "");
    for (file, words) in [
        ("cut.sgs", "its checksum does not hold"),
        ("flipped.sgs", "its checksum does not hold"),
        ("newer.sgs", "version 9, and this program reads version 1: take a newer program"),
        ("empty.sgs", "it is empty"),
        ("none.sgs", "cannot read `none.sgs`"),
        ("none.sgs", "look at the name, or write a state there first"),
        (".", "name the files in it"),
        ("p.toml", "neither a sketch of this program nor an image of Apache DataSketches, nor a state file"),
    ] {
        dir.call(&["sketch", file]).expect(3, &[file, words]);
        dir.call(&["merge", "a.sgs", file, "-o", "c.sgs"])
            .expect(if file == "p.toml" { 2 } else { 3 }, &[file, if file == "p.toml" { "" } else { words }]);
        assert!(!dir.has("c.sgs"), "{file}");
    }
    dir.call(&["sketch", "a.sgs", "--limit", "1KB"])
        .expect(3, &["holds more than 1000 bytes", "raise --limit"]);
    let room = format!("{}B", bytes.len());
    dir.call(&["sketch", "a.sgs", "--limit", &room]).expect(3, &["metric `users`", "raise --limit"]);
    dir.call(&["merge", "a.sgs", "-o", "c.sgs"]).expect(2, &["2 values required"]);
    dir.call(&["merge", "a.sgs", "a.sgs", "-o", "twice.sgs"])
        .expect(0, &["warning: `a.sgs` and `a.sgs` hold the same: what they count is counted twice"]);
}

#[test]
fn only_a_state_file_is_replaced() {
    let dir = halves("hits = \"count()\"");
    dir.write("notes.txt", "mine");
    let refused = dir.run(&["--save", "notes.txt"]);
    refused
        .expect(3, &["`notes.txt` is there and is no state file: it is not replaced", "Name another file"]);
    assert_eq!((refused.out.as_str(), dir.read("notes.txt").as_str()), ("", "mine"));
    save(&dir, "a", &[]);
    save(&dir, "b", &[]);
    dir.call(&["merge", "a.sgs", "b.sgs", "-o", "notes.txt"]).expect(3, &["is no state file"]);
    assert_eq!(dir.read("notes.txt"), "mine");
    dir.run(&["--save", "a.sgs"]).expect(0, &["`a.sgs` was there and is replaced"]);
    dir.run(&["--save", "no/such/place.sgs"]).expect(3, &["cannot write `no/such/place.sgs`"]);
}

#[test]
fn a_state_under_a_key_needs_the_key() {
    let dir = halves("users = \"unique(user)\"");
    let pipeline = dir.read("p.toml");
    dir.write("p.toml", format!("hash = \"keyed\"\nhash_key = {{ file = \"key\" }}\n{pipeline}"));
    dir.write("key", "a secret of sixteen bytes or more");
    save(&dir, "a", &[]);
    save(&dir, "b", &[]);
    dir.call(&["merge", "a.sgs", "b.sgs", "-o", "c.sgs"]).expect(0, &[]);
    let whole = dir.json(&["--set", "source.e.path=all.ndjson"]);
    assert_eq!(told(&dir, "c.sgs").0, whole);
    dir.write("key", "another secret, of the same length");
    dir.call(&["sketch", "c.sgs"]).expect(3, &["hashed in another way or under another key"]);
    let wanted =
        "the secret of that run is needed, no other one: put it there; a relative path starts at the state";
    dir.write("key", "too short\n");
    let short = dir.call(&["sketch", "c.sgs"]);
    short.expect(3, &["made under a key, and file `key` holds 9 bytes, and no secret is so short", wanted]);
    std::fs::remove_file(dir.path().join("key")).expect("it was there");
    let gone = dir.call(&["sketch", "c.sgs"]);
    gone.expect(3, &["made under a key, and file `key` cannot be read", wanted]);
    for ran in [short, gone] {
        assert!(!ran.err.contains("urandom"), "a new secret is of no use: {}", ran.err);
    }
}

#[test]
fn nothing_measured_is_a_state_too() {
    let dir = halves("hits = \"count()\"\nusers = \"unique(user)\"");
    dir.write("none.ndjson", "");
    let ran = dir.run(&["--set", "source.e.path=none.ndjson", "--save", "none.sgs"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    save(&dir, "a", &[]);
    dir.call(&["merge", "none.sgs", "a.sgs", "-o", "c.sgs"]).expect(0, &[]);
    assert_eq!(told(&dir, "c.sgs").0, told(&dir, "a.sgs").0);
}

#[test]
fn a_state_may_come_on_standard_input() {
    let dir = halves("hits = \"count()\"");
    save(&dir, "a", &[]);
    save(&dir, "b", &[]);
    let a = std::fs::read(dir.path().join("a.sgs")).expect("it was saved");
    dir.call_with(&["merge", "-", "b.sgs", "-o", "c.sgs"], &a).expect(0, &["2 states of 6,000 events"]);
    assert!(dir.call_with(&["sketch", "-"], &a).out.starts_with("-: state of pipeline p"));
    dir.call(&["merge", "a.sgs", "-", "-o", "c.sgs"]).expect(3, &["`-` cannot be read: it is empty"]);
}

/// The commands of docs/states.md, as they stand there.
#[cfg(unix)]
#[test]
fn the_commands_of_the_page_run() {
    let repository = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file =
        |name: &str| std::fs::read_to_string(repository.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let dir = Workdir::new();
    dir.write("examples/flights.toml", file("examples/flights.toml"));
    dir.write("examples/flights.csv", file("examples/flights.csv"));
    let page = file("docs/states.md");
    let block = |name: &str| {
        let (_, rest) = page.split_once(&format!("```{name}\n")).expect("a block");
        rest.split_once("```").expect("its end").0
    };
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_streamgauge")).parent().expect("a directory");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let script = ["-ec", block("sh")];
    let ran =
        std::process::Command::new("sh").args(script).current_dir(dir.path()).env("PATH", path).output();
    let ran = ran.expect("there is a shell");
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{err}");
    assert!(out.contains(block("text")), "{out}");
    let whole = dir.call(&["run", "--once", "examples/flights.toml"]).out;
    assert!(out.ends_with(&whole), "{out}\n{whole}");
}

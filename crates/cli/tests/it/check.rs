//! `streamgauge check`: what it prints, what it refuses, and that a sample agrees with what was reckoned.

use crate::schema::validate;
use crate::support::Workdir;
use serde_json::{Value, json};

const TIMED: &str = "time = { field = \"ts\", unit = \"s\", lateness = \"10s\" }";
const METRICS: &str = "n = { measure = \"count()\", by = [[], [\"g\"]] }\nusers = \"unique(user)\"\n\
                       known = { measure = \"seen(user)\", size = \"10k @ 1%\" }\n\
                       new = \"count() filter (where not known)\"";

fn check(dir: &Workdir, args: &[&str]) -> Value {
    let ran = dir.call(&[&["check", "p.toml", "--shards", "1", "--format", "json"], args].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    serde_json::from_str(&ran.out).expect("a JSON object")
}

#[test]
fn nothing_is_opened_and_every_metric_has_its_row() {
    let dir = Workdir::new();
    dir.pipeline(&format!("path = \"nowhere.ndjson\"\n{TIMED}"), METRICS);
    let ran = dir.call(&["check", "p.toml", "--shards", "1"]);
    ran.expect(0, &[]);
    assert_eq!(ran.err, "", "no reason to warn");
    for part in [
        "n by g",
        "users",
        "hll/14: 1.96 · 1.04 / √2^14 = 1.59 % ≤ 2 % @ 95 %",
        "panes 1m:2d  2,882 at once, 2 of them open",
        "known  seen(user): 13.9 KiB for 10,000 keys at 1 %",
        "all at once, at worst",
        "never gives way",
        "--every 1m",
    ] {
        assert!(ran.out.contains(part), "`{part}` is not in:\n{}", ran.out);
    }
    let report = check(&dir, &[]);
    let source = &report["sources"][0];
    let names: Vec<&str> =
        source["series"].as_array().unwrap().iter().map(|s| s["metric"].as_str().unwrap()).collect();
    assert_eq!(names, ["n", "n", "users", "new"]);
    // By hand: a hll/14 is 16,384 registers and 296 bytes, in a page of sixteen cells.
    assert_eq!(source["series"][2]["cell"]["full"], 16_680);
    assert_eq!(source["series"][2]["total_bytes"], 16_680 + 264);
    assert_eq!(source["series"][2]["levels"][0]["panes"], 2_882);
    assert_eq!(source["series"][2]["levels"][0]["bytes"], 2_882 * (16_680 + 264 + 48));
    let sum = |key: &str| source[key].as_u64().expect(key);
    let panes: u64 = source["series"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|s| s["levels"].as_array().unwrap())
        .map(|level| level["bytes"].as_u64().unwrap())
        .sum();
    assert_eq!(sum("worst_bytes"), sum("filter_bytes") + sum("total_bytes") + panes);
}

#[test]
fn a_seen_that_forgets_says_for_how_long_it_remembers() {
    let dir = Workdir::new();
    let metrics = "dup = { measure = \"seen(id)\", size = \"100k @ 0.1%\", keep = \"5m\" }";
    dir.pipeline(&format!("path = \"nowhere.ndjson\"\n{TIMED}"), metrics);
    let ran = dir.call(&["check", "p.toml"]);
    ran.expect(0, &[]);
    let told = "remembers a key for 5m at least and for less than 330s, in 12 buckets of 30s";
    assert!(ran.out.contains(told), "{}", ran.out);
    let forgets = &check(&dir, &[])["sources"][0]["filters"][0]["forgets"];
    assert_eq!(forgets, &json!({ "keep": "5m", "bucket": "30s", "forgotten_after": "330s", "buckets": 12 }));
}

#[test]
fn problems_are_those_of_run() {
    let dir = Workdir::new();
    dir.pipeline("path = \"a.ndjson\"", "n = \"cuont()\"");
    let (checked, ran) = (dir.call(&["check", "p.toml"]), dir.run(&[]));
    checked.expect(2, &["did you mean `count`?"]);
    assert_eq!(checked.err, ran.err);
    dir.call(&["check", "none.toml"]).expect(3, &["cannot read the pipeline file `none.toml`"]);
    dir.call(&["check"]).expect(2, &["PIPELINE"]);
    dir.call(&["check", "p.toml", "--set", "metric.n=count()"]).expect(0, &[]);
}

#[test]
fn what_cannot_fit_is_refused_before_anything_is_read() {
    let dir = Workdir::with("d.ndjson", "{\"a\": 1}\n", "", "t = \"top(a)\"\nn = \"count()\"");
    let small = ["--set", "memory=64KiB", "--shards", "2"];
    for verb in [&["check", "p.toml"][..], &["run", "--once", "p.toml"]] {
        let ran = dir.call(&[verb, &small].concat());
        ran.expect(
            2,
            &[
                "`memory` is too small for what never gives way",
                "p.toml:7:1",
                "in each of 2 shards",
                "would do",
            ],
        );
        assert_eq!(ran.out, "");
        let (_, hint) = ran.err.split_once("memory = \"").expect("a hint");
        let memory = format!("memory={}", hint.split('"').next().expect("a size"));
        dir.call(&[verb, &["--set", &memory, "--shards", "2"]].concat()).expect(0, &[]);
    }
}

#[test]
fn warnings_go_to_standard_error_and_into_the_json() {
    let dir = Workdir::new();
    dir.pipeline("path = \"a.ndjson\"\nfields = { lost = \"int64\" }", "n = \"count()\"");
    let ran = dir.call(&["check", "p.toml"]);
    ran.expect(0, &["warning: nothing reads field `lost`", "p.toml:4:12"]);
    assert!(ran.out.contains("source e"));
    let report = check(&dir, &[]);
    assert_eq!(report["warnings"][0]["line"], 4);
    assert!(report["warnings"][0]["hint"].is_string());
}

#[test]
fn a_sample_is_measured_in_place_of_the_sources_files() {
    let line = |n: u64| {
        format!(
            "{{\"ts\": {}, \"g\": \"g{}\", \"user\": \"u{}\"}}\n",
            n - if n % 100 == 50 { 37 } else { 0 },
            n % 7,
            n % 3_000
        )
    };
    let text: String = (1_000..21_000).map(line).chain(["broken\n".to_string()]).collect();
    let dir = Workdir::with("sample.ndjson", &text, TIMED, METRICS);
    dir.pipeline(&format!("path = \"nowhere.ndjson\"\n{TIMED}\nbad = \"quarantine\""), METRICS);
    let report = check(&dir, &["--sample", "sample.ndjson"]);
    let sample = &report["sample"];
    assert_eq!((sample["events"].as_u64(), sample["late"].as_u64()), (Some(20_000), Some(200)));
    assert_eq!(sample["bad"], json!([["json", 1]]));
    // 36 s: the clock stands at the event before, one second earlier.
    assert_eq!(sample["lateness_needed"], "36s");
    let used = sample["series"].as_array().expect("series");
    let by_g = used.iter().find(|u| u["metric"] == "n" && u["by"] == json!(["g"])).expect("n by g");
    assert_eq!((by_g["groups"].as_u64(), by_g["groups_folded"].as_u64()), (Some(7), Some(0)));
    for one in used {
        assert!(
            one["bytes"].as_u64() > Some(0) && one["bytes"].as_u64() <= one["worst_bytes"].as_u64(),
            "{one}"
        );
    }
    let fill = sample["filters"][0]["fill"].as_f64().expect("a fill");
    // 3,000 of 10,000 keys set eight bits each in 13.9 KiB.
    let (bits, keys) = (8.0 * report["sources"][0]["filters"][0]["bytes"].as_f64().unwrap(), 3_000.0);
    let expected = 1.0 - f64::exp(-8.0 * keys / bits);
    assert!((fill - expected).abs() < 0.02, "{fill} and {expected}");
    assert!(sample["events_per_second"].as_f64() > Some(0.0));
    assert!(!dir.has("p.quarantine.ndjson"), "a sample sets nothing aside");
    let shown = dir.call(&["check", "p.toml", "--sample", "sample.ndjson"]);
    shown.expect(0, &[]);
    assert!(shown.out.contains("with lateness = \"36s\" nothing would be late"), "{}", shown.out);
    // That lateness is enough, and one second less is not.
    for (lateness, late) in [("36s", 0), ("35s", 200)] {
        let set = format!("source.e.time.lateness={lateness}");
        let report = check(&dir, &["--sample", "sample.ndjson", "--set", &set]);
        assert_eq!(report["sample"]["late"], late, "{lateness}");
    }
    dir.call(&["check", "p.toml", "--sample", "none.ndjson"]).expect(3, &["none.ndjson"]);
}

#[test]
fn explained_is_what_the_spec_says() {
    let dir = Workdir::new();
    let derive = "derive = { big = \"x * 2 > 10\", half = \"x * 2 / 4\" }\nfields = { x = \"int64\" }";
    dir.pipeline(
        &format!("path = \"a.ndjson\"\n{TIMED}\n{derive}"),
        &format!("{METRICS}\nbig_n = \"count() filter (where big)\"\nh = \"sum(half)\""),
    );
    let report = check(&dir, &["--explain"]);
    let explained = &report["explain"][0];
    assert_eq!(explained["fields"], json!([["g", "string"], ["user", "string"], ["x", "int64"]]));
    assert_eq!(explained["hashed"], json!([["user", "sketches"], ["user", "verdicts"]]));
    let steps = explained["steps"].as_array().expect("steps");
    // x * 2 is shared: three evaluations for two columns.
    assert_eq!(steps[0]["compute"]["evaluations"], 3, "{steps:?}");
    assert_eq!(steps[1]["judge"]["column"], "known");
    assert_eq!(explained["levels"], json!([["1m", ["n", "users", "new", "big_n", "h"]]]));
    let shown = dir.call(&["check", "p.toml", "--explain"]);
    for part in [
        "what happens to an event of e",
        "judge      known bool: seen(user)",
        "(3 evaluations a batch)",
        "late       counted, and folded",
    ] {
        assert!(shown.out.contains(part), "`{part}` is not in:\n{}", shown.out);
    }
}

/// The secret is named, not written; its id is all that is told of it.
#[test]
fn the_hash_is_told_and_a_secret_is_not() {
    let dir = Workdir::new();
    dir.pipeline("path = \"nowhere.ndjson\"", "users = \"unique(user)\"");
    let plain = check(&dir, &[]);
    assert_eq!((&plain["hash"], plain.get("hash_key_id")), (&json!("interchange"), None));
    dir.call(&["check", "p.toml", "--set", "hash=fast"]).expect(0, &[]);

    let keyed = ["--set", "hash=keyed", "--set", "hash_key.file=secret"];
    dir.call(&[&["check", "p.toml"][..], &keyed].concat()).expect(2, &["file `secret` cannot be read"]);
    dir.write("secret", "a secret of the tests alone\n");
    let report = check(&dir, &keyed);
    let id = report["hash_key_id"].as_str().expect("an id");
    assert_eq!((&report["hash"], id.len()), (&json!("keyed"), 16));
    let ran = dir.call(&[&["check", "p.toml"][..], &keyed].concat());
    ran.expect(0, &[]);
    assert!(ran.out.starts_with(&format!("hash keyed, key id {id}")), "{}", ran.out);
    assert!(!ran.out.contains("of the tests"), "{}", ran.out);

    // The same secret from an environment variable is the same key; a variable that is not set is an error.
    let unset =
        ["check", "p.toml", "--set", "hash=keyed", "--set", "hash_key.env=STREAMGAUGE_NO_SUCH_SECRET"];
    dir.call(&unset).expect(2, &["environment variable `STREAMGAUGE_NO_SUCH_SECRET` is not set"]);
    dir.write("short", "fifteen bytes..");
    let short = ["check", "p.toml", "--set", "hash=keyed", "--set", "hash_key.file=short"];
    dir.call(&short).expect(2, &["holds 15 bytes", "at least 16"]);
}

/// The schema as it is published, which is what the command prints.
fn published() -> Value {
    let ran = Workdir::new().call(&["check", "--schema"]);
    ran.expect(0, &[]);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/pipeline.schema.json");
    assert_eq!(ran.out, std::fs::read_to_string(path).expect("the schema is there"));
    serde_json::from_str(&ran.out).expect("the schema is JSON")
}

fn toml_of(text: &str) -> Value {
    toml::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn every_example_fits_the_published_schema() {
    let schema = published();
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
    let paths = std::fs::read_dir(examples).expect("examples").map(|entry| entry.expect("a file").path());
    let examples: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    assert!(examples.len() >= 12);
    let texts = examples.iter().map(|path| std::fs::read_to_string(path).expect("text"));
    let manual = include_str!("../../../../docs/pipeline-file.md");
    let manual =
        manual.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    for text in texts.chain([manual.to_string()]) {
        validate(&schema, &schema, &toml_of(&text)).unwrap_or_else(|e| panic!("{e}\n{text}"));
    }
}

#[test]
fn what_run_refuses_does_not_fit_the_schema() {
    let schema = published();
    let good = "memory = '1MiB'\npanes = ['1m:2d']\n[source.e]\npath = 'a.ndjson'\nbad = 'count'\n\
                time = { field = 'ts', later = 'drop' }\nfields = { a = 'int64' }\n[metric]\n\
                n = { measure = 'count()', by = ['g'], keep = 'forever' }\n";
    let dir = Workdir::new();
    let refused = |text: &str| {
        dir.write("p.toml", text);
        dir.call(&["check", "p.toml"]).code == Some(2)
    };
    assert!(validate(&schema, &schema, &toml_of(good)).is_ok() && !refused(good));
    for (from, to) in [
        ("memory", "memroy"),
        ("memory = '1MiB'", "memory = 1"),
        ("panes = ['1m:2d']", "panes = []"),
        ("panes = ['1m:2d']", "panes = '1m:2d'"),
        ("path = 'a.ndjson'", "path = []"),
        ("path = 'a.ndjson'", "path = ''"),
        ("bad = 'count'", "bad = 'drop'"),
        ("bad = 'count'", "color = 'red'"),
        ("field = 'ts'", "field = 3"),
        ("later = 'drop'", "later = 'keep'"),
        ("later = 'drop'", "agree = 0"),
        ("later = 'drop'", "latter = 'drop'"),
        ("'int64'", "'integer'"),
        ("measure = 'count()', ", ""),
        ("by = ['g']", "by = 'g'"),
        ("by = ['g']", "by = [1]"),
        ("keep = 'forever'", "keep = 5"),
        ("keep = 'forever'", "unknown = 5"),
        ("n = {", "n = 1\nm = {"),
        ("[source.e]", "[sources.e]"),
    ] {
        let text = good.replacen(from, to, 1);
        assert!(validate(&schema, &schema, &toml_of(&text)).is_err(), "{from} -> {to}");
        assert!(refused(&text), "{from} -> {to}");
    }
}

//! `diff`: what a change of the pipeline file does to a state.

use crate::support::Workdir;

const OLD: &str = r#"
panes = ["1m:2d"]
[source.e]
path = "e.ndjson"
time = { field = "ts", unit = "s" }
fields = { n = "int64" }
derive = { device = "lower(dev)" }
[metric]
hits = { measure = "count()", by = [[], ["device"]] }
users = "unique(user)"
big = "sum(n) filter (where n > 10)"
slow = "quantiles(ms, 0.5)"
again = { measure = "seen(user)", size = "1000 @ 1%", keep = "forever" }
back = "count() filter (where again)"
"#;

/// The lines on `from` being changed to `to` must hold each of these, and the exit code be this.
#[track_caller]
fn check(from: &str, to: &str, code: i32, wanted: &[&str]) {
    let dir = Workdir::new();
    dir.write("p.toml", OLD);
    std::fs::create_dir(dir.path().join("new")).expect("a directory");
    assert!(from.is_empty() || OLD.contains(from), "{from}");
    dir.write("new/p.toml", if from.is_empty() { format!("{OLD}{to}") } else { OLD.replace(from, to) });
    let told = dir.call(&["diff", "p.toml", "new/p.toml"]);
    assert_eq!(told.code, Some(code), "{told:?}");
    let plain: Vec<String> =
        told.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for wanted in wanted {
        assert!(plain.iter().any(|line| line == wanted), "`{wanted}` is not in:\n{}", told.out);
    }
    assert_eq!(told.out.contains("replay the input"), plain.iter().any(|line| line.contains("begins")));
}

#[test]
fn what_costs_no_state() {
    let all = "source e: everything keeps its state";
    check("", "", 0, &[all, "keeps hits", "keeps back"]);
    check("e.ndjson", "f*.ndjson", 0, &[all, "free input: file e.ndjson -> file f*.ndjson"]);
    check("n > 10", "n>10", 0, &[all, "keeps big"]);
    check("lower(dev)", "lower( dev )", 0, &[all, "keeps hits"]);
    check("1m:2d", "1m:9d", 0, &[all, "free panes of `users`: 1m:2d -> 1m:9d"]);
    check("ms, 0.5", "ms, 0.9", 0, &[all, "free what `slow` reports: [0.5] -> [0.9]"]);
    check("unit = \"s\"", "unit = \"s\", lateness = \"1h\"", 0, &[all, "free lateness: 0s -> 1h"]);
    check(
        "panes =",
        "memory = \"64MiB\"\npanes =",
        0,
        &[all, "free memory: 268435456 bytes -> 67108864 bytes"],
    );
    check(
        "panes =",
        "checkpoint = { every = \"9s\" }\npanes =",
        0,
        &["free checkpoint: every 5s, zstd -> every 9s, zstd"],
    );
    check("[[], [\"device\"]]", "[[\"device\"], []]", 0, &[all]);
    // A derivation that nothing reads, and one whose columns come to stand elsewhere.
    check("derive = {", "derive = { a = \"upper(dev)\",", 0, &[all]);
}

#[test]
fn what_begins_and_what_goes() {
    let some = "source e: some of it keeps its state";
    check("", "more = \"count()\"\n", 1, &[some, "begins more new", "keeps hits"]);
    check("users = \"unique(user)\"\n", "", 1, &[some, "goes users"]);
    check("users =", "people =", 1, &["begins people new", "goes users"]);
    check("n > 10", "n > 11", 1, &["begins big filter: n > 10 -> n > 11", "keeps users"]);
    check("sum(n) filter", "sum(n + 1) filter", 1, &["begins big field: n (int64) -> n + 1"]);
    check(
        "n = \"int64\"",
        "n = \"float64\"",
        1,
        &["begins big field: n (int64) -> n (float64)", "keeps hits"],
    );
    check(
        "unique(user)",
        "audience(user)",
        1,
        &["begins users measure: unique(user) of 2^14 -> audience(user) of 2^14"],
    );
    check(
        "lower(dev)",
        "upper(dev)",
        1,
        &[
            "part hits field: device = lower(dev) (string) -> device = upper(dev) (string); by device begins; by device goes",
        ],
    );
    check(
        "[[], [\"device\"]]",
        "[[], [\"user\"]]",
        1,
        &["part hits by: [[], [\"device\"]] -> [[], [\"user\"]]; by user begins; by device goes"],
    );
    check(
        "[[], [\"device\"]] }",
        "[[], [\"device\"]], keys = \"9 + other\" }",
        1,
        &["part hits number of groups: 1000 + other -> 9 + other; by device begins; by device goes"],
    );
    check(
        "1m:2d",
        "10s:1h\", \"1m:2d",
        1,
        &["begins users ladder of panes: 1m:2d -> 10s:1h 1m:2d", "keeps again"],
    );
    let seen = "seen(user) of 1000 keys @ 1 %, kept forever -> ";
    check(
        "1000 @ 1%",
        "2000 @ 1%",
        1,
        &[
            &format!("begins again measure: {seen}seen(user) of 2000 keys @ 1 %, kept forever"),
            &format!("begins back filter: again = {seen}again = seen(user) of 2000 keys @ 1 %, kept forever"),
            "keeps hits",
        ],
    );
}

#[test]
fn what_makes_everything_begin() {
    let all = "source e: everything begins";
    check("field = \"ts\"", "field = \"at\"", 1, &[all, "anew event time: ts (seconds) -> at (seconds)"]);
    check("unit = \"s\"", "unit = \"ms\"", 1, &[all, "anew event time: ts (seconds) -> ts (milliseconds)"]);
    check("path =", "format = \"csv\"\npath =", 1, &[all, "anew format: ndjson -> delimited by ','"]);
    check(
        "panes =",
        "hash = \"fast\"\npanes =",
        1,
        &[all, "anew hash: interchange -> fast", "begins hits with its source"],
    );
    let parquet = "needs another directory: how far files were read is counted in rows for Parquet and in bytes for other formats";
    check("path =", "format = \"parquet\"\npath =", 1, &[all, parquet]);
    let list = "explode = { item = \"string_to_array(tags, ' ')\" }\npath =";
    check("path =", list, 1, &[all, "anew explode: none -> item = string_to_array(tags, ' ') (string)"]);
    check(
        "source.e",
        "source.f",
        1,
        &["source f: everything begins", "source e: goes, and its directory stays as it is"],
    );
}

#[test]
fn a_bad_file_is_pointed_at_and_a_directory_can_stand_for_the_old_one() {
    let dir = Workdir::new();
    dir.write("p.toml", OLD);
    dir.write("bad.toml", OLD.replace("unique", "unqiue"));
    dir.call(&["diff", "p.toml", "bad.toml"]).expect(2, &["did you mean `unique`?"]);
    dir.call(&["diff", "none.toml", "p.toml"]).expect(3, &["none.toml"]);
    dir.write("e.ndjson", "{\"ts\":1,\"user\":\"a\",\"n\":11,\"ms\":2,\"dev\":\"X\"}\n");
    assert_eq!(dir.run(&["--state", "s"]).code, Some(0));
    dir.write("h.toml", OLD.replace("path = \"e.ndjson\"", "kind = \"http\""));
    let refused = "says nothing of what came over HTTP";
    let told = dir.call(&["diff", "s", "h.toml"]);
    assert!(told.code == Some(1) && told.out.contains(refused), "{told:?}");
    dir.call(&["run", "--once", "h.toml", "--state", "s", "--migrate"])
        .expect(2, &[refused, "another directory"]);
    dir.write("q.toml", OLD.replace("n > 10", "n > 12"));
    let told = dir.call(&["diff", "s", "q.toml", "--format", "json"]);
    assert_eq!(told.code, Some(1), "{told:?}");
    let report: serde_json::Value = serde_json::from_str(&told.out).expect("JSON");
    assert_eq!(report["keeps_all"], false);
    let metrics = report["sources"][0]["metrics"].as_array().expect("metrics");
    let fates: Vec<String> =
        metrics.iter().map(|m| format!("{} {}", m["metric"], m["fate"]).replace('"', "")).collect();
    assert_eq!(fates, ["hits keeps", "users keeps", "big begins", "slow keeps", "again keeps", "back keeps"]);
    assert!(report["replay"].as_str().is_some_and(|text| text.contains("--state OTHER")), "{report}");
}

//! `sketch` and `merge` of single sketches: our own snapshots, and images that the C++ library of Apache DataSketches wrote
//! (through its Python package; their origin is in the sketch crate's `make.py`).

use crate::schema::{schema, validate};
use crate::support::Workdir;
use serde_json::{Value, json};
use sketch::hash::Key;
use sketch::hll::{Distinct, LgK};
use sketch::kll::{K, Kll};
use sketch::quantile::Quantiles;
use sketch::{Any, Keyed, Sketch, Token};

fn golden(name: &str) -> Vec<u8> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../sketch/tests/it/golden/datasketches/");
    std::fs::read(format!("{dir}{name}.sk")).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn distinct(range: std::ops::Range<i64>) -> Distinct {
    let mut distinct = Distinct::new(LgK::new(12).expect("a precision"));
    range.for_each(|i| distinct.update(Token::of_i64(i)));
    distinct
}

/// The answers about a sketch by metric, and the facts by name.
fn told(dir: &Workdir, args: &[&str]) -> (Vec<Value>, impl Fn(&str) -> Value + use<>) {
    let ran = dir.call(&[&["sketch"], args, &["--format", "json"]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let schema = schema();
    validate(&schema, &schema, &Value::Array(ran.answers())).unwrap_or_else(|e| panic!("{e}"));
    let (facts, answers): (Vec<Value>, Vec<Value>) =
        ran.answers().into_iter().partition(|answer| answer["metric"] == "sg.sketch");
    let fact = move |what: &str| {
        let fact = facts.iter().find(|fact| fact["by"]["what"] == what);
        fact.map_or(Value::Null, |fact| fact["value"].clone())
    };
    (answers, fact)
}

fn of<'a>(answers: &'a [Value], metric: &str) -> &'a Value {
    answers
        .iter()
        .find(|answer| answer["metric"] == metric)
        .unwrap_or_else(|| panic!("{metric}: {answers:?}"))
}

#[test]
fn a_snapshot_tells_kind_parameters_estimate_and_health() {
    let dir = Workdir::new();
    let sketch = distinct(0..50_000);
    dir.write("users.sketch", sketch.to_bytes());
    let table = dir.call(&["sketch", "users.sketch"]).out;
    for words in ["users.sketch: distinct count", "hll/12", "lg_k 12", "error now 1.62 %", "% full"] {
        assert!(table.contains(words), "`{words}` is not in:\n{table}");
    }
    let (answers, fact) = told(&dir, &["users.sketch"]);
    let estimate = sketch.estimate(0.95);
    let answer = of(&answers, "distinct");
    assert_eq!(answer["value"], json!(estimate.value.round() as i64));
    assert_eq!(answer["low"], json!(estimate.low.floor() as i64));
    assert_eq!(answer["high"], json!(estimate.high.ceil() as i64));
    assert_eq!((&answer["confidence"], &answer["sketch"]), (&json!(0.95), &json!("hll/12")));
    assert_eq!((fact("lg_k"), fact("saturated")), (json!(12), json!(0)));
    assert_eq!(fact("error"), json!(sketch.health().error.expect("an error")));
}

#[test]
fn every_kind_of_sketch_is_told_when_it_holds_nothing() {
    // Whatever joins the closed set later is told of without a change here: its empty snapshot is enough.
    let dir = Workdir::new();
    let seeds: Vec<Any> = vec![
        distinct(0..0).into(),
        Quantiles::new(6).expect("bits").into(),
        Kll::<f64>::new(K::new(200).expect("a size"), 1).into(),
        sketch::countmin::CountMin::new(8, 4).into(),
        sketch::frequent::Counters::new(64).into(),
        sketch::histogram::Histogram::new_log2().into(),
        sketch::bloom::Filter::new(4).into(),
        sketch::sample::Sample::new(3).into(),
    ];
    for sketch in seeds {
        dir.write("s", sketch.to_bytes());
        let ran = dir.call(&["sketch", "s"]);
        ran.expect(0, &[]);
        assert!(ran.out.starts_with(&format!("s: {}\n", sketch.kind().as_str())), "{ran:?}");
        let (_, fact) = told(&dir, &["s"]);
        assert_eq!(fact("file_bytes"), json!(sketch.to_bytes().len()));
    }
}

#[test]
fn snapshots_of_one_kind_are_merged() {
    let dir = Workdir::new();
    dir.write("a", distinct(0..3_000).to_bytes());
    dir.write("b", distinct(2_000..5_000).to_bytes());
    dir.call(&["merge", "a", "b", "-o", "c"]).expect(0, &["2 sketches (distinct count) are one in `c`"]);
    let merged = std::fs::read(dir.path().join("c")).expect("it was written");
    assert_eq!(merged, distinct(0..5_000).to_bytes());
    let mut finer = Distinct::new(LgK::new(14).expect("a precision"));
    (0..20_000).for_each(|i| finer.update(Token::of_i64(i)));
    dir.write("finer", finer.to_bytes());
    dir.call(&["merge", "finer", "a", "-o", "c"]).expect(0, &["the precision is 2^12 instead of 2^14"]);
    dir.write("q", Quantiles::new(6).expect("bits").to_bytes());
    dir.call(&["merge", "a", "q", "-o", "d"]).expect(2, &["one is distinct count, the other quantiles"]);
    dir.call(&["merge", "a", "b", "-o", "q"]).expect(3, &["`q` is there and is no distinct count"]);
    assert!(!dir.has("d"));
}

#[test]
fn sketches_under_a_key_merge_under_the_same_key() {
    let dir = Workdir::new();
    let under = |secret: &[u8], from: i64| {
        let key = Key::of_secret(secret).expect("long enough");
        let mut keyed = Keyed::<Distinct>::new(&key, &LgK::new(12).expect("a precision"));
        let sketch = keyed.sketch_mut(&key).expect("its key");
        (from..from + 100).for_each(|i| sketch.update(Token::of_i64(i)));
        let mut bytes = Vec::new();
        keyed.snapshot(&mut bytes);
        bytes
    };
    dir.write("a", under(b"the secret of one of the tests", 0));
    dir.write("b", under(b"the secret of one of the tests", 50));
    dir.write("other", under(b"the secret of another test here", 0));
    dir.call(&["merge", "a", "b", "-o", "c"]).expect(0, &["distinct count under the key"]);
    assert_eq!(of(&told(&dir, &["c"]).0, "distinct")["value"], 150);
    dir.call(&["merge", "a", "other", "-o", "c"]).expect(2, &["different keys"]);
}

#[test]
fn images_of_datasketches_are_told_and_merged() {
    let dir = Workdir::new();
    for (name, family, truth) in [
        ("hll8_ints_3000", "HLL image", 3000.0),
        ("hll4_strings_20", "HLL image", 20.0),
        ("theta_ints_3000", "theta image", 3000.0),
        ("cpc_ints_300", "CPC image", 300.0),
    ] {
        dir.write(name, golden(name));
        let (answers, _) = told(&dir, &[name]);
        let answer = of(&answers, "distinct");
        let (low, high) =
            (answer["low"].as_f64().expect("a bound"), answer["high"].as_f64().expect("a bound"));
        assert!(low <= truth && truth <= high, "{name}: {answer}");
        assert!(dir.call(&["sketch", name]).out.contains(&format!("Apache DataSketches {family}")));
        // With itself: the same set, but for CPC, whose estimate of an unmerged stream is another one.
        dir.call(&["merge", name, name, "-o", "twice"]).expect(0, &["hold the same"]);
        let twice = told(&dir, &["twice"]).0;
        assert!(dir.call(&["sketch", "twice"]).out.contains(&format!("Apache DataSketches {family}")));
        let (a, b) = (
            answer["value"].as_f64().expect("a value"),
            of(&twice, "distinct")["value"].as_f64().expect("a value"),
        );
        assert!(
            (a / b - 1.0).abs() < if family == "CPC image" { 0.05 } else { 0.005 },
            "{name}: {a} and {b}"
        );
        std::fs::remove_file(dir.path().join("twice")).expect("it was written");
    }
    dir.write("t", golden("tdigest_values_3000"));
    assert_eq!(of(&told(&dir, &["t"]).0, "quantiles")["guarantee"], "none");
}

#[test]
fn types_are_told_where_images_do_not_say_them() {
    let dir = Workdir::new();
    let mut longs = Kll::<i64>::new(K::new(200).expect("a size"), 1);
    let mut floats = Kll::<f32>::new(K::new(200).expect("a size"), 1);
    (1..=100).for_each(|i| longs.update(i * 1000));
    (1..=100).for_each(|i| floats.update(i as f32));
    dir.write("longs", longs.to_datasketches());
    dir.write("floats", floats.to_datasketches());
    let median = |args: &[&str]| of(&told(&dir, args).0, "quantiles")["quantiles"][0]["value"].clone();
    assert_eq!(median(&["longs", "--type", "long"]), 50_000);
    assert_eq!(median(&["floats", "--type", "float"]), 50);
    dir.call(&["sketch", "floats"]).expect(3, &["another type", "--type (double, float or long)"]);
    dir.call(&["sketch", "longs"]).expect(0, &["the bytes do not say what the values are"]);
    dir.call(&["merge", "longs", "longs", "-o", "two", "--type", "long"]).expect(0, &[]);
    assert_eq!(of(&told(&dir, &["two", "--type", "long"]).0, "count")["value"], 200);
    let mut counters = sketch::frequent::Counters::new(64);
    [7i64, 7, 7, 9].iter().for_each(|n| counters.update(Token::of_i64(*n), 1, &n.to_le_bytes()));
    dir.write("numbers", counters.to_datasketches_longs().expect("integers"));
    let items = of(&told(&dir, &["numbers", "--type", "long"]).0, "items")["items"].clone();
    assert_eq!(items[0], json!({"item": 7, "value": 3, "low": 3, "high": 3}));
}

#[test]
fn a_type_that_changes_nothing_is_told() {
    let dir = Workdir::new();
    dir.write("users.hll", distinct(0..50).to_datasketches());
    dir.write("own", distinct(0..50).to_bytes());
    let mut latency = Kll::<f64>::new(K::new(200).expect("a size"), 1);
    (1..=100).for_each(|i| latency.update(f64::from(i)));
    dir.write("latency", latency.to_datasketches());
    for (file, of, note) in [
        ("users.hll", "long", Some("--type long changes nothing: `users.hll` itself says")),
        ("own", "double", Some("--type double changes nothing: `own` itself says")),
        ("latency", "string", Some("holds values of type double, float or long, double unless told")),
        ("latency", "double", None),
    ] {
        for args in [&["sketch", file, "--type", of][..], &["merge", file, file, "-o", "out", "--type", of]] {
            let ran = dir.call(args);
            ran.expect(0, note.as_slice());
            assert_eq!(ran.err.contains("changes nothing"), note.is_some(), "{args:?}: {}", ran.err);
        }
        std::fs::remove_file(dir.path().join("out")).expect("it was written");
    }
}

#[test]
fn what_is_no_sketch_is_refused_with_a_reason() {
    let dir = Workdir::new();
    let good = distinct(0..5_000).to_bytes();
    dir.write("cut", &good[..100]);
    dir.call(&["sketch", "cut"])
        .expect(3, &["begins as a sketch of this program does, but", "end too early"]);
    dir.write("hll", &golden("hll8_ints_3000")[..50]);
    dir.call(&["sketch", "hll"]).expect(3, &["image of DataSketches (HLL image)"]);
    dir.write("req", [0x84, 1, 17, 0, 0, 0, 0, 0]);
    dir.call(&["sketch", "req"]).expect(3, &["looks like a REQ image"]);
    // Sizes that are only declared.
    let mut bomb = vec![2u8, 1, 40, 255];
    bomb.extend_from_slice(&[0xFF; 60]);
    dir.write("bomb", bomb);
    dir.call(&["sketch", "bomb"]).expect(3, &["`bomb` cannot be read"]);
}

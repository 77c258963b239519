//! Good files and the specs they mean.

use crate::{SHOP, parse};
use engine::spec::*;
use engine::time::{SECOND, Span};
use plan::{Input, InputKind, SecretAt, Serve};

fn span(text: &str) -> Span {
    text.parse().unwrap()
}

fn level(size: &str, keep: &str) -> Level {
    Level { size: span(size), keep: span(keep) }
}

/// A file of one source and one metric line.
fn one(source: &str, metric: &str) -> plan::Pipeline {
    let text = format!("[source.s]\n{source}\n[metric]\nm = {metric}\n");
    parse(&text, &[]).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn the_shop_is_read_in_whole() {
    let got = parse(SHOP, &[]).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((got.spec.name.as_str(), got.spec.memory_bytes), ("shop", 64 << 20));
    let paths = vec!["events.ndjson".to_string(), "more/*.jsonl.gz".to_string()];
    let quarantine = Some("shop.quarantine.ndjson".to_string());
    let (source, kind, idle) = ("events".into(), InputKind::File { paths }, Span(30 * SECOND));
    assert_eq!(got.inputs, [Input { source, kind, quarantine, idle }]);

    let source = &got.spec.sources[0];
    assert_eq!(
        (source.name.as_str(), &source.format, source.bad),
        ("events", &Format::Ndjson, BadPolicy::Quarantine)
    );
    assert_eq!((source.confidence, source.record_bytes_max), (0.95, 1 << 20));
    assert_eq!(source.nulls, ["NA", "-"]);
    let time = source.time.as_ref().unwrap();
    assert_eq!(time.field(), Some(("ts", &TimeFormat::Rfc3339)));
    assert_eq!(
        (time.lateness, time.later, time.ahead, time.agree),
        (span("2s"), Later::Correct, Some(span("1h")), 32)
    );

    let fields: Vec<_> = source.fields.iter().map(|f| (f.path.as_str(), f.kind)).collect();
    let text = Kind::String;
    let expected = [
        ("user_id", text),
        ("device", text),
        ("event_type", text),
        ("page", text),
        ("latency_ms", Kind::Float64),
        ("ip", text),
        ("status", Kind::Int64),
    ];
    assert_eq!(fields, expected);
    let names: Vec<_> = source.metrics.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["visitors", "actions", "top_pages", "latency", "recent", "events", "errors"]);
}

#[test]
fn the_metrics_of_the_shop_mean_what_they_say() {
    let got = parse(SHOP, &[]).unwrap();
    let metrics = &got.spec.sources[0].metrics;
    let ladder = [level("1s", "15m"), level("1m", "2d"), level("1h", "35d"), level("1d", "400d")];

    let visitors = &metrics[0];
    assert_eq!(visitors.measure, Measure::Unique { field: 0, lg_k: 14 });
    assert_eq!((&visitors.by, visitors.groups_max), (&vec![vec![], vec![1]], 1000));
    assert_eq!((&visitors.levels[..], visitors.total), (&ladder[..], true));

    assert_eq!((&metrics[1].measure, &metrics[1].by), (&Measure::Count, &vec![vec![2]]));
    assert_eq!(metrics[2].measure, Measure::Top { field: 3, k: 50, counters: 4096, weight: None });
    assert_eq!((metrics[2].levels.len(), metrics[2].total), (0, true));
    let at = vec![0.5, 0.9, 0.95, 0.99, 0.999];
    assert_eq!(metrics[3].measure, Measure::Quantiles { field: 4, bits: 6, at });
    assert_eq!(
        (metrics[3].groups_max, &metrics[3].levels[..]),
        (200, &[level("1m", "6h"), level("1h", "35d")][..])
    );
    assert_eq!(
        metrics[4].measure,
        Measure::Freq { field: 5, lg_width: 14, depth: 5, hot: 4096, weight: None }
    );
    assert_eq!((&metrics[4].levels[..], metrics[4].total), (&[level("1s", "5m")][..], false));
    assert_eq!((&metrics[5].measure, &metrics[5].by), (&Measure::Count, &vec![vec![]]));
    assert_eq!(metrics[6].measure, Measure::Sum(6));

    let sketches: Vec<_> =
        got.choices.iter().map(|c| (c.metric.as_str(), c.sketch.as_str(), c.asked)).collect();
    assert_eq!(sketches[0], ("visitors", "hll/14", 0.02));
    assert_eq!(sketches[2], ("top_pages", "frequent/4096", 0.02));
    assert_eq!(sketches[4], ("recent", "count-min/2^14x5", 0.02));
    assert_eq!(sketches[6], ("errors", "exact", 0.01));
}

#[test]
fn defaults_need_no_words() {
    let got = one("kind = \"file\"\npath = \"a.csv\"", "\"unique(x)\"");
    assert_eq!((got.spec.name.as_str(), got.spec.memory_bytes), ("shop", 256 << 20));
    assert_eq!(got.inputs[0].quarantine, None);
    let source = &got.spec.sources[0];
    let shape = Delimited { delimiter: b',', quoted: true, columns: None };
    assert_eq!(
        (&source.format, source.bad, &source.time),
        (&Format::Delimited(shape), BadPolicy::Count, &None)
    );
    assert_eq!(
        (source.metrics[0].levels.len(), source.metrics[0].total),
        (0, true),
        "no time: only the total"
    );
    assert_eq!(source.metrics[0].by, [Vec::<usize>::new()]);

    let timed = one("kind = \"file\"\npath = \"a.csv\"\ntime = { field = \"t\" }", "\"count()\"");
    assert_eq!(timed.spec.sources[0].metrics[0].levels, [level("1m", "2d")]);
    let ring = one(
        "kind = \"file\"\npath = \"a.csv\"\ntime = { field = \"t\" }",
        "{ measure = \"count()\", keep = \"5m\" }",
    );
    assert_eq!(ring.spec.sources[0].metrics[0].levels, [level("1m", "5m")]);
    assert!(!ring.spec.sources[0].metrics[0].total);
}

#[test]
fn sessions_have_a_gap_and_room_for_a_million_unless_they_say_otherwise() {
    let source = "path = 'a.ndjson'\ntime = { field = 'ts' }";
    for (measure, gap, open) in [
        ("session(x, gap => '30m')", "30m", 1_000_000),
        ("session(lower(x), open => '50k', gap => '90s') filter (where y = 'a')", "90s", 50_000),
    ] {
        let pipeline = one(source, &format!("{{ measure = \"{measure}\", keep = \"2h\" }}"));
        let metric = &pipeline.spec.sources[0].metrics[0];
        let Measure::Session { gap: got, open_max, bits, at, .. } = &metric.measure else {
            panic!("{metric:?}")
        };
        assert_eq!((got.to_string().as_str(), *open_max, *bits, at.len()), (gap, open, 6, 5));
        assert_eq!((metric.total, metric.levels.len()), (false, 1));
        assert_eq!(metric.filter.is_some(), measure.contains("filter"));
        let size = &pipeline.sizes()[0].sessions[0];
        assert_eq!((size.open, size.gap.as_str(), size.bytes), (open as u64, gap, 56 * open as u64));
        assert_eq!(pipeline.sizes()[0].series.len(), 0);
    }
}

#[test]
fn a_seen_remembers_for_ever_or_for_as_long_as_it_keeps() {
    let keep = |keep: &str| {
        let source = "kind = \"file\"\npath = \"a.csv\"\ntime = { field = \"t\" }";
        let pipeline = one(source, &format!("{{ measure = \"seen(x)\", size = \"1k @ 1%\"{keep} }}"));
        let metric = &pipeline.spec.sources[0].metrics[0];
        assert_eq!((metric.levels.len(), metric.total), (0, true), "it has no panes");
        metric.measure.forgets_after()
    };
    assert_eq!(keep(""), None);
    assert_eq!(keep(", keep = \"forever\""), None);
    assert_eq!(keep(", keep = \"5m\"").map(|keep| keep.to_string()).as_deref(), Some("5m"));
}

#[test]
fn formats_and_their_shapes() {
    let shape = |delimiter, quoted, columns: Option<&[&str]>| {
        let columns = columns.map(|names| names.iter().map(|name| name.to_string()).collect());
        Format::Delimited(Delimited { delimiter, quoted, columns })
    };
    for (source, expected) in [
        ("path = \"a.tsv.gz\"", shape(b'\t', false, None)),
        ("path = \"a.tsv\"\nquote = true", shape(b'\t', true, None)),
        ("path = \"a.txt\"\nformat = \"csv\"\ndelimiter = \"|\"\nquote = false", shape(b'|', false, None)),
        ("path = \"a.csv\"\nheader = true", shape(b',', true, None)),
        ("path = \"a.csv\"\nheader = false\ncolumns = [\"x\", \"y\"]", shape(b',', true, Some(&["x", "y"]))),
        ("path = \"-\"\nformat = \"ndjson\"", Format::Ndjson),
        ("path = [\"a.json\", \"b.jsonl.zst\"]", Format::Ndjson),
        ("path = \"a.log\"\nformat = \"clf\"", Format::AccessLog { combined: false }),
        ("path = \"a.log.gz\"\nformat = \"combined\"", Format::AccessLog { combined: true }),
        ("path = \"a.txt\"\nformat = \"lines\"", Format::Lines),
        ("path = \"lake/*.parquet\"", Format::Parquet),
    ] {
        let got = one(
            &format!("kind = \"file\"\n{source}"),
            if expected.names().is_some() { "\"count()\"" } else { "\"top(x)\"" },
        );
        assert_eq!(got.spec.sources[0].format, expected, "{source}");
    }
    let stdin = one("kind = \"stdin\"\nformat = \"tsv\"", "\"count()\"");
    assert_eq!(stdin.inputs[0].kind, InputKind::Stdin);
}

#[test]
fn what_is_served() {
    let serve = |head: &str, source: &str| {
        let text = format!("{head}\n[source.s]\n{source}\n[metric]\nm = \"count()\"\n");
        let got = parse(&text, &[]).unwrap_or_else(|problems| panic!("{problems}"));
        (got.inputs[0].kind.clone(), got.spec.sources[0].format.clone(), got.serve)
    };
    let listen = |address: &str| Serve { listen: address.parse().unwrap(), ..Serve::default() };
    let http = "kind = \"http\"";
    assert_eq!(serve("", "path = \"a.csv\"").2, None);
    assert_eq!(serve("", http), (InputKind::Http, Format::Ndjson, Some(listen("127.0.0.1:8428"))));
    let (_, format, _) = serve("", "kind = \"http\"\nformat = \"combined\"");
    assert_eq!(format, Format::AccessLog { combined: true });
    assert_eq!(serve("serve = {}", "path = \"a.csv\"").2, Some(Serve::default()));
    assert_eq!(serve("serve = { listen = \"localhost:0\" }", http).2, Some(listen("127.0.0.1:0")));
    assert_eq!(serve("serve = { listen = \"[::1]:80\" }", http).2, Some(listen("[::1]:80")));
    let postgres =
        serve("serve = { postgres = \"localhost:5433\" }", http).2.and_then(|serve| serve.postgres);
    assert_eq!(postgres, Some("127.0.0.1:5433".parse().unwrap()));
    let all = "[serve]\nlisten = \"0.0.0.0:8428\"\ntoken = { env = \"TOKEN\" }\nbody_max = \"1MiB\"\n\
        query = { memory = \"1GiB\", timeout = \"2s\", rows = 7 }";
    let expected = Serve {
        tokens: plan::ServeTokens { all: Some(SecretAt::Env("TOKEN".into())), ..Default::default() },
        tls: None,
        base: String::new(),
        body_bytes_max: 1 << 20,
        query: plan::ServeQuery { memory_bytes: 1 << 30, timeout: Span(2 * SECOND), rows_max: 7 },
        ..listen("0.0.0.0:8428")
    };
    assert_eq!(serve(all, http).2, Some(expected));
}

#[test]
fn times_and_their_formats() {
    for (time, expected) in [
        ("field = \"t\"", TimeFormat::Rfc3339),
        ("field = \"t\", unit = \"s\"", TimeFormat::Unix(SECOND, 1)),
        ("field = \"t\", unit = \"ms\"", TimeFormat::Unix(1000, 1)),
        ("field = \"t\", unit = \"us\"", TimeFormat::Unix(1, 1)),
        ("field = \"t\", unit = \"ns\"", TimeFormat::Unix(1, 1000)),
        (
            "field = \"t\", pattern = \"%d/%b/%Y:%H:%M:%S %z\"",
            TimeFormat::Pattern { pattern: "%d/%b/%Y:%H:%M:%S %z".into(), zone: None },
        ),
        (
            "field = \"t\", pattern = \"%Y-%m-%d %H:%M\", zone = \"Europe/Berlin\"",
            TimeFormat::Pattern { pattern: "%Y-%m-%d %H:%M".into(), zone: Some("Europe/Berlin".into()) },
        ),
    ] {
        let got = one(&format!("kind = \"file\"\npath = \"a.csv\"\ntime = {{ {time} }}"), "\"count()\"");
        let spec = got.spec.sources[0].time.as_ref().unwrap();
        assert_eq!((spec.format(), spec.lateness, spec.ahead), (Some(&expected), Span(0), None), "{time}");
    }
}

#[test]
fn time_may_be_the_number_of_the_record_or_its_arrival() {
    for (time, expected) in
        [("{ row = \"250ms\" }", TimeFrom::Row(Span(250_000))), ("\"arrival\"", TimeFrom::Arrival)]
    {
        let got = one(&format!("path = \"a.csv\"\ntime = {time}"), "\"count()\"");
        let spec = got.spec.sources[0].time.as_ref().unwrap();
        assert_eq!(
            (&spec.from, spec.lateness, spec.ahead, spec.later),
            (&expected, Span(0), None, Later::Correct)
        );
        assert_eq!(got.spec.sources[0].metrics[0].levels, [level("1m", "2d")]);
    }
}

#[test]
fn the_time_of_an_access_log_needs_no_pattern() {
    let pattern = TimeFormat::Pattern { pattern: "%d/%b/%Y:%H:%M:%S %z".into(), zone: None };
    for (format, time, expected) in [
        ("clf", "field = \"time\"", &pattern),
        ("combined", "field = \"time\", lateness = \"1m\"", &pattern),
        ("combined", "field = \"time\", unit = \"s\"", &TimeFormat::Unix(SECOND, 1)),
        ("combined", "field = \"user\"", &TimeFormat::Rfc3339),
    ] {
        let source = format!("path = \"a.log\"\nformat = \"{format}\"\ntime = {{ {time} }}");
        let got = one(&source, "\"unique(path)\"");
        assert_eq!(got.spec.sources[0].time.as_ref().unwrap().format(), Some(expected), "{format} {time}");
    }
}

#[test]
fn a_declared_type_wins_and_unused_declarations_stay_out() {
    let source = "kind = \"file\"\npath = \"a.ndjson\"\n\
        fields = { n = \"int64\", actor.login = \"string\", \"actor.age\" = \"int64\", unused = \"bool\" }";
    let text = format!(
        "[source.s]\n{source}\n[metric]\n\
        a = \"sum(n)\"\nb = {{ measure = \"unique(n)\", by = [\"actor.login\"] }}\n\
        c = \"avg(actor.age)\"\nd = \"max(undeclared)\"\n"
    );
    let got = parse(&text, &[]).unwrap_or_else(|problems| panic!("{problems}"));
    let fields: Vec<_> = got.spec.sources[0].fields.iter().map(|f| (f.path.as_str(), f.kind)).collect();
    let expected = [
        ("n", Kind::Int64),
        ("actor.login", Kind::String),
        ("actor.age", Kind::Int64),
        ("undeclared", Kind::Float64),
    ];
    assert_eq!(fields, expected);
}

#[test]
fn two_sources_share_a_file() {
    let text = r#"
        panes = ["1m:1h"]
        [source.a]
        kind = "file"
        path = "a.csv"
        bad = "quarantine"
        [source.b]
        kind = "stdin"
        format = "ndjson"
        time = { field = "t", later = "quarantine" }
        quarantine = "late.ndjson"
        [metric]
        z = { measure = "unique(x)", from = "b" }
        y = { measure = "unique(x)", from = "a" }
        x = { measure = "sum(v)", from = "b" }
    "#;
    let got = parse(text, &[]).unwrap_or_else(|problems| panic!("{problems}"));
    let names = |i: usize| got.spec.sources[i].metrics.iter().map(|m| m.name.as_str()).collect::<Vec<_>>();
    assert_eq!((names(0), names(1)), (vec!["y"], vec!["z", "x"]));
    assert_eq!(got.inputs[0].quarantine.as_deref(), Some("shop.a.quarantine.ndjson"));
    assert_eq!(got.inputs[1].quarantine.as_deref(), Some("late.ndjson"));
    assert!(got.spec.sources[0].metrics[0].levels.is_empty());
    assert_eq!(got.spec.sources[1].metrics[0].levels, [level("1m", "1h")]);
    let of: Vec<_> = got.choices.iter().map(|c| (c.source.as_str(), c.metric.as_str())).collect();
    assert_eq!(of, [("a", "y"), ("b", "z"), ("b", "x")]);
}

#[test]
fn accuracy_reaches_every_measure_and_the_source() {
    let text = SHOP.replace("\"2% @ 95%\"", "\"0.5% @ 99%\"").replace("\"1% @ 95%\"", "\"5% @ 99%\"");
    let got = parse(&text, &[]).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(got.spec.sources[0].confidence, 0.99);
    assert_eq!(got.spec.sources[0].metrics[0].measure, Measure::Unique { field: 0, lg_k: 18 });
    assert!(matches!(got.spec.sources[0].metrics[3].measure, Measure::Quantiles { bits: 7, .. }));
}

#[test]
fn overrides_replace_add_and_make_tables() {
    let set = [
        "source.events.path=other.csv",
        "source.events.time.lateness=5m",
        "name = \"x\"",
        "metric.extra.measure=top(page, 3)",
        "metric.visitors=count()",
        "panes=[\"1m:1d\"]",
    ];
    let got = parse(SHOP, &set).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(got.spec.name, "x");
    assert_eq!(got.inputs[0].kind, InputKind::File { paths: vec!["other.csv".into()] });
    let source = &got.spec.sources[0];
    assert!(matches!(source.format, Format::Delimited(_)));
    assert_eq!(source.time.as_ref().unwrap().lateness, span("5m"));
    assert_eq!(source.metrics[0].measure, Measure::Count);
    assert_eq!(source.metrics[0].levels, [level("1m", "1d")]);
    let last = source.metrics.last().unwrap();
    assert_eq!((last.name.as_str(), matches!(last.measure, Measure::Top { k: 3, .. })), ("extra", true));

    let whole = ["source.e.kind=stdin", "source.e.format=ndjson", "metric.n=count()"];
    assert_eq!(parse("", &whole).unwrap().spec.sources[0].metrics[0].measure, Measure::Count);
}

#[test]
fn the_example_of_the_manual_is_good() {
    let manual = include_str!("../../../../docs/pipeline-file.md");
    let (_, rest) = manual.split_once("```toml\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    let got = parse(example, &[]).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(got.spec.sources[0].metrics.len() >= 8);
}

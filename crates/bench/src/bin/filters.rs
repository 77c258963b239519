//! What expressions, filters and verdicts cost an event: `streamgauge-filters [--passes N]`.
//!
//! Every pipeline of the table is the first one and a line more, over the same events of the power-law stream, decoded
//! and folded on one thread. Each pass runs all of them once, so that a busy spell of the machine hits all alike; what is
//! told is the difference of the minima, ns an event.
#![forbid(unsafe_code)]

use std::fmt::Write;
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::sync::Arc;

use bench::stream::Stream;
use engine::Engine;
use engine::batch::Block;
use engine::compute::Compute;
use engine::spec::Question;
use plan::Pipeline;
use timing::{Case, Timing, measure};

/// Events in one run of a case.
const EVENTS: usize = 1_000_000;
const USERS: NonZeroU32 = NonZeroU32::new(100_000).unwrap();
/// Bytes of a block, about as many as a driver cuts.
const BLOCK_BYTES: usize = 1 << 20;

/// Fields that all pipelines read, so that only what follows differs.
const SOURCE: &str = r#"
[source.s]
path   = "events.ndjson"
format = "ndjson"
fields = { status = "int64", price = "float64", qty = "float64", ok = "bool", country = "string", page = "string" }
"#;
const METRICS: &str = r#"
[metric]
read = { measure = "count()", by = ["status", "ok", "country", "page"], keys = "1 + other" }
sums = "sum(price)"
more = "sum(qty)"
who  = "unique(user)"
n    = "#;
const BASE: &str = "no filter";

/// Name, derived column, measure.
const CASES: [(&str, &str, &str); 7] = [
    (BASE, "", "count()"),
    ("filter: a bool column", "", "count() filter (where ok)"),
    ("filter: status >= 500", "", "count() filter (where status >= 500)"),
    ("derive: upper(country)", "x = \"upper(country)\"", "count()"),
    ("derive: price * qty", "x = \"price * qty\"", "count()"),
    ("derive: regexp_like(page, ...)", "x = \"regexp_like(page, '^/p/[0-9]*7$')\"", "count()"),
    ("verdict: seen(user)", "", "seen(user)"),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let passes = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Some(5),
        ["--passes", n] => n.parse().ok().filter(|&n: &usize| n > 0),
        _ => None,
    };
    let Some(passes) = passes else {
        eprintln!("usage: streamgauge-filters [--passes N, default 5]");
        return ExitCode::from(2);
    };
    let events = events();
    let pipelines: Vec<(&str, Pipeline)> =
        CASES.iter().map(|(name, derive, measure)| (*name, pipeline(derive, measure))).collect();
    let cases: Vec<Case> = pipelines
        .iter()
        .map(|(name, pipeline)| {
            let events = &events;
            Case::new(name, EVENTS, move || {
                let program = pipeline.programs[0].clone().map(|program| program as Arc<dyn Compute>);
                let source = &pipeline.spec.sources[0];
                let engine = Engine::with_program(source, program, None, 1, 64 << 20);
                let engine = engine.expect("NDJSON needs no header");
                move || run(engine, events)
            })
        })
        .collect();
    print!("{}", table(&measure(&cases, passes)));
    ExitCode::SUCCESS
}

/// The stream as records that have something to compute with.
fn events() -> String {
    let mut text = String::with_capacity(EVENTS * 128);
    for event in Stream::power_law(EVENTS as u64, USERS) {
        let status = if event.value_hundredths < 5 { 503 } else { 200 };
        writeln!(
            text,
            "{{\"user\":\"u{}\",\"status\":{status},\"ok\":{},\"country\":\"{}\",\"page\":\"/p/{}\",\"price\":{}.5,\"qty\":{}}}",
            event.user,
            event.page % 2 == 0,
            ["de", "fr", "us", "jp"][event.page as usize % 4],
            event.page,
            event.latency_tenths,
            event.value_hundredths,
        )
        .expect("memory is there");
    }
    text
}

fn pipeline(derive: &str, measure: &str) -> Pipeline {
    let size = if measure.starts_with("seen") { ", size = \"100k @ 1%\"" } else { "" };
    let text = format!("{SOURCE}derive = {{ {derive} }}\n{METRICS}{{ measure = \"{measure}\"{size} }}\n");
    Pipeline::parse("bench.toml", &text, &[]).unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

/// Decodes and folds all events, in blocks of whole lines.
fn run(mut engine: Engine<'_>, events: &str) -> u64 {
    let (mut number, mut first) = (0, 0);
    while first < events.len() {
        let end = (first + BLOCK_BYTES).min(events.len());
        let end =
            events.as_bytes()[end..].iter().position(|&b| b == b'\n').map_or(events.len(), |n| end + n + 1);
        let bytes = &events.as_bytes()[first..end];
        engine.push(&Block { partition: 0, number, first_byte: first as u64, bytes, arrival: None });
        (number, first) = (number + 1, end);
    }
    let read = engine.tally().read;
    assert_eq!(read, EVENTS as u64, "every event is read");
    engine.answers(Question::Total).len() as u64 ^ read
}

/// ns an event, and what a line costs more than the first one.
fn table(timings: &[Timing]) -> String {
    let base = timings.iter().find(|t| t.name == BASE).map_or(f64::NAN, Timing::min);
    let mut text = format!("{:<34}{:>10}{:>10}{:>10}{:>12}\n", "ns an event", "min", "median", "max", "more");
    for t in timings {
        let more = if t.name == BASE { String::new() } else { format!("{:+.1}", t.min() - base) };
        text += &format!("{:<34}{:>10.1}{:>10.1}{:>10.1}{more:>12}\n", t.name, t.min(), t.median(), t.max());
    }
    text
}

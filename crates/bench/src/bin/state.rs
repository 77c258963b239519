//! What keeping a state costs: `streamgauge-state [--passes N]`.
//!
//! Two states of about a hundred megabytes: one that is mostly closed panes, one that is nothing but totals. Of each: how long
//! the stream stands still for a snapshot (`freeze`) beside what serialising all of it takes, what the first block after it
//! takes beside others (it copies what it changes), and what a commit writes. Then what each compression makes of the first
//! one. Everything in one run, interleaved; medians.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bench::stream::{Format, Stream};
use engine::batch::Block;
use engine::decode::Decoder;
use engine::intake::{Intake, Judged};
use engine::shard::{Frozen, Mark, PaneId, Shard};
use engine::spec::Source;
use plan::Pipeline;
use runtime::checkpoint::{Codec, pack, unpack};

const EVENTS: u64 = 2_000_000;
const USERS: NonZeroU32 = NonZeroU32::new(100_000).unwrap();
/// Bytes of a block, as the runtime cuts them.
const BLOCK_BYTES: usize = 256 << 10;
/// Blocks that are left for what is measured.
const LAST_BLOCKS: usize = 200;
/// Blocks between two snapshots.
const BETWEEN: usize = 8;

const SOURCE: &str = r#"
[source.s]
path   = "events.ndjson"
format = "ndjson"
time   = { field = "ts", unit = "ms", lateness = "5s" }
fields = { latency_ms = "float64" }

[metric]
"#;
const PANES: &str = r#"
hits    = { measure = "count()", by = [[], ["event"]], panes = ["1s:2d", "1m:2d", "1h:30d"] }
users   = { measure = "unique(user_id)", by = [[], ["page"]], panes = ["10s:2d", "1m:2d", "1h:30d"] }
top     = { measure = "top(user_id, 10)", panes = ["1m:2d", "1h:30d"] }
latency = { measure = "quantiles(latency_ms)", by = [[], ["page"]], panes = ["10s:2d", "1m:2d", "1h:30d"] }
"#;
const TOTALS: &str = r#"
users   = { measure = "unique(user_id)", by = ["page", "event"], keys = "12000 + other", keep = "forever" }
latency = { measure = "quantiles(latency_ms)", by = ["page", "event"], keys = "12000 + other", keep = "forever" }
crowd   = { measure = "audience(user_id)", by = ["page", "event"], keys = "12000 + other", keep = "forever" }
often   = { measure = "top(user_id, 10)", by = ["page", "event"], keys = "12000 + other", keep = "forever" }
visits  = { measure = "quantiles(latency_ms)", by = ["user_id"], keys = "50000 + other", keep = "forever" }
"#;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let passes = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Some(9),
        ["--passes", n] => n.parse().ok().filter(|&n: &usize| n > 0 && n * BETWEEN < LAST_BLOCKS),
        _ => None,
    };
    let Some(passes) = passes else {
        eprintln!("usage: streamgauge-state [--passes N, default 9]");
        return ExitCode::from(2);
    };
    let mut parts = Vec::new();
    for (name, metrics) in [("closed panes", PANES), ("totals", TOTALS)] {
        let pipeline = Pipeline::parse("bench.toml", &format!("{SOURCE}{metrics}"), &[]);
        let pipeline = pipeline.unwrap_or_else(|problems| panic!("{}", problems.render(false)));
        let source = &pipeline.spec.sources[0];
        let written = stall(name, source, passes);
        if parts.is_empty() {
            parts = written;
        }
    }
    compress(&parts, passes);
    ExitCode::SUCCESS
}

/// The judged blocks of the stream.
fn blocks(source: &Source) -> impl Iterator<Item = Judged> {
    let mut decoder = Decoder::new(source, None).expect("NDJSON needs no header");
    let mut intake = Intake::new(source);
    let mut stream = Stream::power_law(EVENTS, USERS).peekable();
    let (mut number, mut first_byte) = (0, 0);
    std::iter::from_fn(move || {
        stream.peek()?;
        let mut bytes = Vec::with_capacity(BLOCK_BYTES + 256);
        while bytes.len() < BLOCK_BYTES
            && let Some(event) = stream.next()
        {
            Format::Ndjson.write(&event, &mut bytes);
        }
        let batch = decoder.decode(&Block { partition: 0, number, first_byte, bytes: &bytes, arrival: None });
        (number, first_byte) = (number + 1, first_byte + bytes.len() as u64);
        Some(intake.push(batch))
    })
    .flatten()
}

/// Snapshots of a state that goes on, told as a table; the parts of the first commit.
fn stall(name: &str, source: &Source, passes: usize) -> Vec<Vec<u8>> {
    let mut blocks: Vec<Judged> = blocks(source).collect();
    let last = blocks.split_off(blocks.len() - LAST_BLOCKS);
    let mut shard = Shard::new(source, u64::MAX);
    blocks.iter().for_each(|judged| shard.apply(judged));
    let mut written = BTreeMap::new();
    let first_commit = commit(source, &mut written, &shard.freeze());
    let (mut freezes, mut wholes, mut firsts, mut others) = (vec![], vec![], vec![], vec![]);
    let (mut commits, mut bytes) = (vec![], 0);
    for round in last.chunks_exact(BETWEEN).take(passes) {
        let (frozen, took) = timed(|| shard.freeze());
        freezes.push(took);
        firsts.push(timed(|| shard.apply(&round[0])).1);
        others.extend(round[1..].iter().map(|judged| timed(|| shard.apply(judged)).1));
        // What a writer does beside it.
        let (parts, took) = timed(|| commit(source, &mut written, &frozen));
        commits.push((took, parts.iter().map(Vec::len).sum::<usize>()));
        drop(frozen);
        let (whole, took) = timed(|| {
            let mut whole = Vec::new();
            shard.snapshot(source, &mut whole);
            whole
        });
        wholes.push(took);
        bytes = whole.len();
    }
    let ms = |times: &mut Vec<Duration>| median(times).as_secs_f64() * 1e3;
    println!(
        "{name}: {:.0} MB in memory, {:.0} MB as bytes",
        shard.memory_bytes() as f64 / 1e6,
        bytes as f64 / 1e6
    );
    let (freeze, whole) = (ms(&mut freezes), ms(&mut wholes));
    println!("  serialising all of it            {whole:>9.2} ms");
    println!(
        "  the stall (freeze)               {freeze:>9.2} ms, {:.0} times less",
        whole / freeze.max(f64::MIN_POSITIVE)
    );
    println!("  a block after it, another one    {:>9.2} ms, {:.2} ms", ms(&mut firsts), ms(&mut others));
    let first: usize = first_commit.iter().map(Vec::len).sum();
    commits.sort_unstable();
    let (took, later) = commits[commits.len() / 2];
    println!(
        "  a commit after {BETWEEN} blocks writes   {:>9.1} MB in {:.0} ms (the first one {:.0} MB)\n",
        later as f64 / 1e6,
        took.as_secs_f64() * 1e3,
        first as f64 / 1e6
    );
    first_commit
}

/// The parts that a commit writes: what changes all the time, and the closed panes that are not there as they are.
fn commit(source: &Source, written: &mut BTreeMap<PaneId, Mark>, frozen: &Frozen) -> Vec<Vec<u8>> {
    let (mut open, mut panes) = (Vec::new(), Vec::new());
    frozen.write_open(source, &mut open);
    for pane in frozen.panes() {
        if written.get(&pane.id).is_none_or(|mark| !pane.is(mark)) {
            assert!(pane.write(&mut panes), "all panes are in memory");
            written.insert(pane.id, pane.mark());
        }
    }
    vec![open, panes]
}

fn compress(parts: &[Vec<u8>], passes: usize) {
    let raw: usize = parts.iter().map(Vec::len).sum();
    println!("{:<12}{:>8}{:>16}{:>16}", "compression", "ratio", "packing", "unpacking");
    let mut times: Vec<(Codec, usize, Vec<Duration>, Vec<Duration>)> =
        Codec::ALL.map(|codec| (codec, 0, Vec::new(), Vec::new())).into();
    for _ in 0..passes {
        for (codec, bytes, packing, unpacking) in &mut times {
            let (packed, took) = timed(|| {
                let pack = |raw: &Vec<u8>| pack(raw, *codec).expect("memory takes bytes");
                parts.iter().map(pack).collect::<Vec<_>>()
            });
            packing.push(took);
            *bytes = packed.iter().map(Vec::len).sum();
            let (again, took) = timed(|| {
                let of = packed.iter().zip(parts);
                let unpack = |(packed, raw): (&Vec<u8>, &Vec<u8>)| unpack(packed, raw.len() as u64);
                of.map(unpack).collect::<Result<Vec<_>, _>>().expect("what was packed")
            });
            assert_eq!(again, parts);
            unpacking.push(took);
        }
    }
    for (codec, bytes, mut packing, mut unpacking) in times {
        let speed = |times: &mut Vec<Duration>| raw as f64 / 1e6 / median(times).as_secs_f64();
        println!(
            "{:<12}{:>8.2}{:>11.0} MB/s{:>11.0} MB/s",
            format!("{codec:?}").to_lowercase(),
            raw as f64 / bytes as f64,
            speed(&mut packing),
            speed(&mut unpacking)
        );
    }
}

fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let out = black_box(run());
    (out, begun.elapsed())
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

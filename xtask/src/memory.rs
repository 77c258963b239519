//! `cargo xtask memory`: the promise of `memory` kept at sizes that no exact structure would: 10^8 distinct keys in one
//! window, 10^7 groups offered to `keys = "1000 + other"`.
//!
//! The events go into the release binary through a pipe. Asked of each run: totals that are exact, a distinct count within its
//! bounds, and a peak of resident memory within the budget and a tenth (Linux tells it in /proc).

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::MetadataCommand;
use serde_json::Value;

use crate::shell;

/// The budget of the runs.
const BUDGET_MIB: u64 = 256;
/// What may come on top, of the budget.
const SLACK_PERCENT: u64 = 10;
/// Between two looks at a process.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Sizes of the runs.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Distinct keys in one window.
    #[arg(long, default_value_t = 100_000_000)]
    keys: u64,
    /// Distinct groups, each of two events.
    #[arg(long, default_value_t = 10_000_000)]
    groups: u64,
}

/// Runs both.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    shell::run(shell::cargo(root, ["build"]).args(["--release", "--quiet", "-p", "streamgauge"]))?;
    let keys = "visitors = { measure = \"unique(key)\" }\nhits = { measure = \"count()\" }\n\
                top_keys = { measure = \"top(key, 50)\" }\noften = { measure = \"freq(key)\" }\n\
                new = { measure = \"seen(key)\", size = \"10M @ 1%\" }\nsum = { measure = \"sum(n)\" }\n";
    offered(root, "distinct keys in one window", keys, options.keys, options.keys, &|out, i| {
        // A bijection of the numbers below 2^32, so that keys come in no order.
        let key = (i as u32).wrapping_mul(2_654_435_761);
        writeln!(out, "{{\"ts\":{},\"key\":\"{key:08x}\",\"n\":1}}", i * 3_000 / options.keys)
    })?;
    let groups = "hits = { measure = \"count()\", by = [[], [\"key\"]], keys = \"1000 + other\" }\n\
                  sum = { measure = \"sum(n)\", by = [[], [\"key\"]], keys = \"1000 + other\" }\n\
                  visitors = { measure = \"unique(key)\", by = [[], [\"key\"]], keys = \"1000 + other\" }\n\
                  slow = { measure = \"quantiles(n)\", by = [\"key\"], keys = \"1000 + other\" }\n";
    let events = 2 * options.groups;
    offered(root, "groups offered to 1000 + other", groups, events, options.groups, &|out, i| {
        let key = ((i % options.groups) as u32).wrapping_mul(2_654_435_761);
        writeln!(out, "{{\"ts\":{},\"key\":\"{key:08x}\",\"n\":1}}", i * 3_000 / events)
    })
}

type WriteEvent<'a> = &'a (dyn Fn(&mut dyn Write, u64) -> std::io::Result<()> + Sync);

/// Offers so many events with so many distinct keys.
fn offered(
    root: &Path,
    what: &str,
    metrics: &str,
    events: u64,
    distinct: u64,
    write: WriteEvent<'_>,
) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("streamgauge-memory-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let pipeline = format!(
        "memory = \"{BUDGET_MIB}MiB\"\npanes = [\"1h:2h\"]\n[source.e]\nkind = \"stdin\"\nformat = \"ndjson\"\n\
         time = {{ field = \"ts\", unit = \"s\" }}\nfields = {{ n = \"int64\" }}\n[metric]\n{metrics}"
    );
    std::fs::write(folder.join("p.toml"), pipeline)?;
    let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec()?;
    let program = metadata.target_directory.join("release").join("streamgauge");
    let report = folder.join("report.json");
    let begun = Instant::now();
    let mut child = shell::command(&folder, program, ["run", "--once", "p.toml", "--format", "json"])
        .stdin(Stdio::piped())
        .stdout(File::create(&report)?)
        .spawn()
        .context("cannot start streamgauge")?;
    let pipe = child.stdin.take().context("no pipe")?;
    let peak = std::thread::scope(|scope| -> Result<u64> {
        let feeder = scope.spawn(move || -> std::io::Result<()> {
            let mut pipe = BufWriter::with_capacity(1 << 20, pipe);
            (0..events).try_for_each(|i| write(&mut pipe, i))?;
            pipe.flush()
        });
        let peak = peak_bytes(&mut child)?;
        let status = child.wait()?;
        ensure!(status.success(), "the run ended with {status}");
        match feeder.join() {
            Ok(fed) => fed.context("the run did not read all")?,
            Err(_) => bail!("the generator panicked"),
        }
        Ok(peak)
    })?;
    let answers: Vec<Value> = serde_json::from_reader(BufReader::new(File::open(&report)?))?;
    std::fs::remove_dir_all(&folder)?;
    let budget = BUDGET_MIB << 20;
    println!(
        "{what}: {events} events, {distinct} distinct, {:.1} s, peak {:.1} MiB of {BUDGET_MIB} MiB",
        begun.elapsed().as_secs_f64(),
        peak as f64 / f64::from(1 << 20)
    );
    for metric in ["hits", "sum"] {
        let total = answer(&answers, metric)?;
        ensure!(total["value"].as_u64() == Some(events) && total["exact"] == true, "{metric}: {total}");
    }
    let visitors = answer(&answers, "visitors")?;
    let bound = |key: &str| visitors[key].as_f64().unwrap_or(f64::NAN);
    let off = bound("value") / distinct as f64 - 1.0;
    println!("  totals exact; distinct {} ({:+.2} %)", visitors["value"], 100.0 * off);
    ensure!(
        off.abs() <= 3.0 * (bound("high") - bound("low")) / (2.0 * 1.96 * bound("value")),
        "distinct is off by more than three standard errors: {visitors}"
    );
    ensure!(
        peak <= budget + budget * SLACK_PERCENT / 100,
        "peak of {peak} bytes is more than {SLACK_PERCENT} % above the budget of {budget}"
    );
    Ok(())
}

/// The total of a metric.
fn answer<'a>(answers: &'a [Value], metric: &str) -> Result<&'a Value> {
    let total =
        |a: &&Value| a["metric"] == metric && a["by"].as_object().is_some_and(serde_json::Map::is_empty);
    answers.iter().find(total).with_context(|| format!("no total of {metric}"))
}

/// The most resident memory a process has had, looked at until it ends.
fn peak_bytes(child: &mut Child) -> Result<u64> {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        // Between the look at the child and this one it may have ended.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib =
            line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0) << 10);
        std::thread::sleep(LOOK_EVERY);
    }
    ensure!(peak > 0, "the system does not tell how much memory a process takes");
    Ok(peak)
}

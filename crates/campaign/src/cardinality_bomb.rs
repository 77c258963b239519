//! B4 `cardinality-bomb`: distinct keys in one window, and groups offered to `keys = "1000 + other"`, in a budget of 256 MiB.
//!
//! Half of them come before a restart, half behind it, so a state that was full is read again too. Totals are exact, the number of
//! distinct keys is within its bounds, and memory within the budget and a tenth, before and after.

use crate::stage::Stage;
use crate::verdict::Verdict;
use anyhow::{Context, Result};
use serde_json::Value;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

const BUDGET_MIB: u64 = 256;
/// As without a state (`cargo xtask memory`). What changes while a commit is written, and is copied first (docs/resume.md), finds room in it here.
const SLACK_PERCENT: u64 = 10;
/// A round is so many distinct keys, and a fifth of it groups of two events.
const KEYS: u64 = 1_000_000;
/// One event in so many is of the one heavy key.
const HEAVY_ONE_IN: u64 = 500;
const OF_KEYS: &str = "visitors = { measure = \"unique(key)\" }
hits = { measure = \"count()\" }
top_keys = { measure = \"top(key, 50)\" }
often = { measure = \"freq(key)\" }
new = { measure = \"seen(key)\", size = \"10M @ 1%\" }
sum = { measure = \"sum(n)\" }
";
const OF_GROUPS: &str = "hits = { measure = \"count()\", by = [[], [\"key\"]], keys = \"1000 + other\" }
sum = { measure = \"sum(n)\", by = [[], [\"key\"]], keys = \"1000 + other\" }
visitors = { measure = \"unique(key)\", by = [[], [\"key\"]], keys = \"1000 + other\" }
slow = { measure = \"quantiles(n)\", by = [\"key\"], keys = \"1000 + other\" }
";

/// Runs both.
pub fn run(stage: &Stage, verdict: &mut Verdict) -> Result<()> {
    let keys = stage.rounds * KEYS;
    offer(stage, ("keys", OF_KEYS), keys, keys, verdict)?;
    let groups = keys / 5;
    offer(stage, ("groups", OF_GROUPS), 2 * groups, groups, verdict)
}

/// Offers so many events with so many distinct keys, and the heavy one.
fn offer(
    stage: &Stage,
    (name, metrics): (&str, &str),
    events: u64,
    distinct: u64,
    verdict: &mut Verdict,
) -> Result<()> {
    let folder = stage.folder(name)?;
    let pipeline = format!(
        "memory = \"{BUDGET_MIB}MiB\"\npanes = [\"1h:2h\"]\n[source.e]\npath = \"e*.ndjson\"\n\
         time = {{ field = \"ts\", unit = \"s\" }}\nfields = {{ n = \"int64\" }}\n[metric]\n{metrics}"
    );
    std::fs::write(folder.join("p.toml"), pipeline)?;
    let args = ["run", "--once", "p.toml", "--state", "s", "--format", "json"];
    for half in 0..2 {
        let input = folder.join(format!("e{half}.ndjson"));
        write(&input, (events / 2 * half, if half == 0 { events / 2 } else { events }), events, distinct)?;
        let mut child = stage.start(&folder, "report", &args)?;
        let (status, peak) = child.end_with_peak()?;
        anyhow::ensure!(status.success(), "{name}: it ended with {status}: {}", child.said());
        let when = if half == 0 { "before" } else { "after" };
        verdict.figure(&format!("peak_rss_mib_of_{name}_{when}_a_restart"), peak >> 20);
        let limit = (BUDGET_MIB << 20) * (100 + SLACK_PERCENT) / 100;
        verdict.expect(peak <= limit, || format!("{name}: {peak} bytes were resident, {limit} may be"));
        // What was read to its end may go.
        std::fs::remove_file(input)?;
        stage.progress(format_args!("{name}, {when} a restart: {} MiB", peak >> 20));
    }
    judge(&folder, (name, events, distinct), verdict)
}

/// Events from one number to another; a bijection of the numbers below 2^32, so that keys come in no order.
fn write(path: &Path, (from, to): (u64, u64), events: u64, distinct: u64) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for i in from..to {
        let key = ((i % distinct) as u32).wrapping_mul(2_654_435_761);
        let ts = i * 3_000 / events;
        if i % HEAVY_ONE_IN == 0 {
            writeln!(out, "{{\"ts\":{ts},\"key\":\"heavy\",\"n\":1}}")?;
        } else {
            writeln!(out, "{{\"ts\":{ts},\"key\":\"{key:08x}\",\"n\":1}}")?;
        }
    }
    Ok(out.flush()?)
}

/// Totals, the heavy key, and the number of distinct ones against what is known by construction.
fn judge(folder: &Path, (name, events, distinct): (&str, u64, u64), verdict: &mut Verdict) -> Result<()> {
    let rows: Vec<Value> = serde_json::from_slice(&std::fs::read(folder.join("report.out"))?)?;
    let total = |metric: &str| {
        let is_it =
            |row: &&Value| row["metric"] == metric && row["by"].as_object().is_some_and(|by| by.is_empty());
        rows.iter().find(is_it).with_context(|| format!("no total of {metric}"))
    };
    for metric in ["hits", "sum"] {
        let told = total(metric)?;
        let exact = told["value"].as_u64() == Some(events) && told["exact"] == true;
        verdict.expect(exact, || format!("{name}: {metric} should be {events}: {told}"));
    }
    let heavy = events.div_ceil(HEAVY_ONE_IN);
    // One in five hundred comes with the heavy key instead of its own; the others come at least once.
    let known =
        if events == distinct { distinct - heavy + 1 } else { distinct + 1 - both_heavy(events, distinct) };
    let told = total("visitors")?;
    let of = |key: &str| told[key].as_f64().unwrap_or(f64::NAN);
    let (off, half) = ((of("value") - known as f64).abs(), (of("high") - of("low")) / 2.0);
    verdict.figure(&format!("distinct_of_{name}_off_percent"), (1e4 * off / known as f64).round() / 100.0);
    // Bounds are those of 95 %: three standard errors leave out one run in 370.
    verdict.expect(off <= 3.0 / 1.96 * half, || format!("{name}: {known} distinct keys: {told}"));
    let is_heavy = |row: &&Value| row["by"]["key"] == "heavy" && row["metric"] == "hits";
    let items = rows.iter().filter(|row| row["metric"] == "top_keys").flat_map(|row| row["items"].as_array());
    let found = items.flatten().find(|item| item["item"] == "heavy").or(rows.iter().find(is_heavy));
    let within = found.is_some_and(|row| {
        let of = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
        of("low") <= heavy as f64 && heavy as f64 <= of("high")
    });
    verdict.expect(within, || format!("{name}: the heavy key came {heavy} times: {found:?}"));
    verdict.figure(&format!("events_of_{name}"), events);
    verdict.figure(&format!("distinct_{name}"), known);
    Ok(())
}

/// Keys that come twice, and both times the heavy one stands in their place.
fn both_heavy(events: u64, distinct: u64) -> u64 {
    (0..events - distinct)
        .step_by(HEAVY_ONE_IN as usize)
        .filter(|i| (i + distinct).is_multiple_of(HEAVY_ONE_IN))
        .count() as u64
}

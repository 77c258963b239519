//! The report for people: sections of short lines, at most 96 columns, coloured on a terminal only.

use super::facts::{Compared, Facts, Latency, Memory, Run, Structure, Top, Windows};
use super::paint::{Paint, bar, bytes};
use crate::show::{float, grouped, write_table};
use engine::answer::{Answer, Key, List, Number};
use std::io::{self, Write};

/// Event types shown.
const TYPES_MAX: usize = 10;
/// Quantiles shown.
const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

/// Writes the report.
pub fn write(out: &mut dyn Write, facts: &Facts, paint: Paint) -> io::Result<()> {
    head(out, &facts.run, paint)?;
    compared(out, "Who came", &facts.people, paint)?;
    if let Some(windows) = &facts.windows {
        by_window(out, windows, paint)?;
    }
    types(out, &facts.types, paint)?;
    tops(out, &facts.tops, paint)?;
    latency(out, &facts.latency, paint)?;
    compared(out, "What came in", &facts.money, paint)?;
    if !facts.samples.is_empty() {
        samples(out, &facts.samples, paint)?;
    }
    memory(out, &facts.memory, paint)?;
    if !facts.others.is_empty() {
        section(out, paint, "More metrics of this pipeline")?;
        write_table(&mut &mut *out, &facts.others)?;
    }
    tail(out, facts, paint)
}

fn head(out: &mut dyn Write, run: &Run, paint: Paint) -> io::Result<()> {
    let Run { events, entities, seed, metrics, shards, .. } = run;
    let (events, entities) = (whole(*events), whole(u64::from(*entities)));
    writeln!(
        out,
        "{}",
        paint.title("Streamgauge demo: a made-up online shop, sketches beside exact answers")
    )?;
    writeln!(out)?;
    let flood = if run.flood { ", a flood of purchases at two thirds" } else { "" };
    writeln!(out, "  {events} events, {entities} users, seed {seed} (same seed, same bytes){flood}")?;
    let file =
        if run.builtin { "examples/shop.toml".to_string() } else { format!("pipeline `{}`", run.pipeline) };
    writeln!(
        out,
        "  {metrics} metrics of {file}, {shards} {}",
        if *shards == 1 { "shard" } else { "shards" }
    )?;
    let rate = grouped(run.events_per_second.round() as i128);
    writeln!(out, "  measured in {:.3} s: {rate} events/s on one thread, from JSON to answers", run.seconds)?;
    let (bad, late) = (whole(run.bad), whole(run.late));
    writeln!(out, "  {bad} bad, {late} behind the watermark (one in twenty comes up to 2 s out of order)")
}

fn section(out: &mut dyn Write, paint: Paint, title: &str) -> io::Result<()> {
    writeln!(out, "\n{}", paint.title(title))
}

/// Numbers with bounds beside the truth.
fn compared(out: &mut dyn Write, title: &str, rows: &[Compared], paint: Paint) -> io::Result<()> {
    let Some(first) = rows.first() else { return Ok(()) };
    let confidence = rows.iter().map(|row| row.confidence).fold(first.confidence, f64::min);
    let bounds =
        if confidence < 1.0 { format!("{} % bounds", float(confidence * 100.0)) } else { "bounds".into() };
    section(out, paint, &format!("{title:26}{:>12}  {bounds:22}{:>12}{:>10}", "estimate", "exact", "error"))?;
    for row in rows {
        let label = match &row.group {
            Some(group) => format!("  {group}"),
            None => row.metric.replace('_', " "),
        };
        let (value, truth) = (number(row.value), number(Some(row.truth)));
        let error = row.error.map_or_else(|| "-".into(), signed);
        let line = format!("  {label:24}{value:>12}  {:22}{truth:>12}{error:>10}", between(row));
        writeln!(out, "{line}  {}", judged(row, paint))?;
    }
    Ok(())
}

fn between(row: &Compared) -> String {
    match (row.guarantee, row.low, row.high) {
        ("exact", ..) => "exact".into(),
        (_, Some(low), Some(high)) => format!("[{}, {}]", number(Some(low)), number(Some(high))),
        _ => "no bounds".into(),
    }
}

fn judged(row: &Compared, paint: Paint) -> String {
    let equal = row.guarantee == "exact" && row.inside;
    if equal { "equal".into() } else { verdict(row.inside, paint) }
}

fn verdict(inside: bool, paint: Paint) -> String {
    if inside { "inside".into() } else { paint.loud("OUTSIDE") }
}

/// A bar for each window.
fn by_window(out: &mut dyn Write, windows: &Windows, paint: Paint) -> io::Result<()> {
    const BAR: usize = 18;
    let title = format!("By windows of {}", windows.length);
    section(
        out,
        paint,
        &format!("{title:20}{:>8}{:22}{:>9}{:22}{:>8}", "events", "", "purchases", "", "buyers"),
    )?;
    let most = |of: fn(&super::facts::Window) -> &Option<Compared>| {
        windows.rows.iter().map(|row| value(of(row))).fold(0.0, f64::max)
    };
    let (events_max, purchases_max) = (most(|row| &row.events), most(|row| &row.purchases));
    for row in &windows.rows {
        let start = start(&row.start, windows);
        let (events, purchases) = (value(&row.events), value(&row.purchases));
        let line = format!(
            "  {start:18}{:>8}  {:20}{:>9}  {:20}{:>8}",
            grouped(events as i128),
            bar(events, events_max, BAR),
            grouped(purchases as i128),
            bar(purchases, purchases_max, BAR),
            grouped(value(&row.buyers) as i128),
        );
        writeln!(out, "{}", if row.flood { paint.loud(&format!("{line}  flood")) } else { line })?;
    }
    Ok(())
}

fn value(row: &Option<Compared>) -> f64 {
    row.as_ref().and_then(|row| row.value).map_or(0.0, |n| n.as_f64())
}

/// Of a time in RFC 3339 what differs between the windows.
fn start<'a>(time: &'a str, windows: &Windows) -> &'a str {
    let day = |time: &'a str| time.get(..10);
    let one_day = windows.rows.iter().all(|row| row.start.get(..10) == day(time));
    if one_day { time.get(11..19).unwrap_or(time) } else { time }
}

fn types(out: &mut dyn Write, rows: &[Compared], paint: Paint) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    section(
        out,
        paint,
        &format!("{:26}{:>12}{:>9}{:26}{:>12}", "What they did", "count", "share", "", "exact"),
    )?;
    let count = |row: &Compared| row.value.map_or(0.0, Number::as_f64);
    let (all, most) = (rows.iter().map(count).sum::<f64>(), rows.iter().map(count).fold(0.0, f64::max));
    for row in rows.iter().take(TYPES_MAX) {
        let (name, share) =
            (row.group.as_deref().unwrap_or_default(), format!("{:.1} %", 100.0 * count(row) / all));
        let (value, truth) = (number(row.value), number(Some(row.truth)));
        let line = format!("  {name:24}{value:>12}{share:>9}  {:24}{truth:>12}", bar(count(row), most, 22));
        writeln!(out, "{line}  {}", judged(row, paint))?;
    }
    let rest = &rows[rows.len().min(TYPES_MAX)..];
    if rest.is_empty() {
        return Ok(());
    }
    let equal = rest.iter().filter(|row| row.error == Some(0.0) && row.inside).count();
    writeln!(out, "  and {} more types, {equal} of them equal", rest.len())
}

fn tops(out: &mut dyn Write, tops: &[Top], paint: Paint) -> io::Result<()> {
    for top in tops {
        let (shown, name, scale) = match top.metric.as_str() {
            "top_users" => (5, "Top users", 1.0),
            "top_pages" => (5, "Top pages", 1.0),
            "top_queries" => (3, "Top searches", 1.0),
            "top_campaigns" => (3, "Top campaigns by cost", 1_000.0),
            "buyer_ips" => (5, "Addresses of buyers", 1.0),
            other => (3, other, 1.0),
        };
        let right = format!("{} of {} belong there", top.right, top.items.len());
        section(
            out,
            paint,
            &format!("{name:26}{:>12}  {:22}{:>12}  {right}", "estimate", "[low, high]", "exact"),
        )?;
        let text = |n: u64| if scale == 1.0 { whole(n) } else { format!("{:.2}", n as f64 / scale) };
        for item in top.items.iter().take(shown) {
            let between = format!("[{}, {}]", text(item.low), text(item.high));
            let (value, truth) = (text(item.value), text(item.truth));
            let line = format!("  {:24}{value:>12}  {between:22}{truth:>12}", item.item);
            writeln!(out, "{line}  {}", verdict(item.inside, paint))?;
        }
    }
    Ok(())
}

fn latency(out: &mut dyn Write, rows: &[Latency], paint: Paint) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let names =
        QUANTILES.map(|q| format!("{:>8}{:>8}{:>8}", format!("p{}", float(q * 100.0)), "exact", "error"));
    section(out, paint, &format!("{:16}{}", "Latency, ms", names.concat()))?;
    let mut rest = rows;
    while let Some(first) = rest.first() {
        let own = rest.iter().take_while(|row| row.endpoint == first.endpoint).count();
        let cell = |q: f64| match rest[..own].iter().find(|row| row.q == q) {
            Some(row) => format!("{:>8.1}{:>8.1}{:>8}", row.value, row.truth, signed(row.error)),
            None => format!("{:>24}", "-"),
        };
        let inside = rest[..own].iter().all(|row| row.inside);
        let name = first.endpoint.as_deref().unwrap_or("all");
        writeln!(out, "  {name:14}{}  {}", QUANTILES.map(cell).concat(), verdict(inside, paint))?;
        rest = &rest[own..];
    }
    Ok(())
}

fn samples(out: &mut dyn Write, answers: &[Answer], paint: Paint) -> io::Result<()> {
    section(out, paint, "Some orders, picked evenly")?;
    for answer in answers {
        let List::Rows(rows) = &answer.reading.list else { continue };
        let shown = |key: &Key| match key {
            Key::String(text) => format!("{text:<16}"),
            Key::Float(f) => format!("{f:>10.2}  "),
            other => serde_json::to_string(other).unwrap_or_default(),
        };
        for row in rows {
            writeln!(out, "  {}", row.iter().map(shown).collect::<String>().trim_end())?;
        }
    }
    Ok(())
}

fn memory(out: &mut dyn Write, memory: &Memory, paint: Paint) -> io::Result<()> {
    section(
        out,
        paint,
        &format!(
            "{:24}{:14}{:>11}  {:22}{:>11}",
            "Memory, as allocated", "sketch", "bytes", "instead of a", "bytes"
        ),
    )?;
    for row in &memory.structures {
        let Structure { metric, by, sketch, .. } = row;
        let label = metric.replace('_', " ") + &by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        let (small, large) = (bytes(row.sketch_bytes as f64), bytes(row.exact_bytes as f64));
        let ratio = if row.ratio >= 1.0 {
            format!("{:.1} x", row.ratio)
        } else {
            paint.loud(&format!("{:.1} x, loses", row.ratio))
        };
        let line = format!("  {label:22}{sketch:14}{small:>11}  {:22}{large:>11}", row.instead_of);
        writeln!(out, "{line}  {ratio}")?;
    }
    let turns = memory.structures.iter().filter(|row| row.by.is_none());
    let turn = |row: &Structure| match row.turns_at {
        Some(n) => format!("{} {} {}", row.metric.replace('_', " "), whole(rounded(n)), row.per),
        None => format!("{} more {} than were tried", row.metric.replace('_', " "), row.per),
    };
    let turns: Vec<String> = turns.map(turn).collect();
    if !turns.is_empty() {
        wrapped(out, &format!("A sketch is the smaller one for good from about: {}.", turns.join(", ")))?;
    }
    let engine = &memory.engine;
    wrapped(
        out,
        &format!(
            "All metrics: {} accounted (of {} allowed), {} on the heap ({}) and {} in buffers; {} at most while \
             reading. The exact structures above alone: {}.",
            bytes(engine.accounted_bytes as f64),
            bytes(engine.memory_bytes as f64),
            bytes(engine.state_bytes as f64),
            signed(engine.difference),
            bytes(engine.buffers_bytes as f64),
            bytes(engine.peak_bytes as f64),
            bytes(engine.exact_bytes as f64),
        ),
    )
}

fn tail(out: &mut dyn Write, facts: &Facts, paint: Paint) -> io::Result<()> {
    let (inside, all) = facts.inside();
    section(out, paint, "In short")?;
    wrapped(
        out,
        &format!(
            "{inside} of {all} approximate numbers lie within their bounds; bounds of 95 % may miss one in twenty."
        ),
    )?;
    if facts.run.builtin {
        writeln!(
            out,
            "\n  streamgauge demo --print-pipeline > shop.toml     the pipeline, to read and to change"
        )?;
        writeln!(out, "  streamgauge demo --write events.ndjson           the events")?;
        writeln!(out, "  streamgauge run --once shop.toml --every 1m      and what you do with your own")?;
    }
    Ok(())
}

/// A text in lines of at most 94 characters.
fn wrapped(out: &mut dyn Write, text: &str) -> io::Result<()> {
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.len() + 1 + word.len() > 92 {
            writeln!(out, "  {line}")?;
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    writeln!(out, "  {line}")
}

fn number(number: Option<Number>) -> String {
    match number {
        None => "-".into(),
        Some(Number::Int(i)) => grouped(i),
        Some(Number::Float(f)) if f.abs() >= 1.0 && f.abs() < 1e15 => {
            let cents = format!("{f:.2}");
            let (whole, fraction) = cents.split_once('.').unwrap_or((&cents, "00"));
            format!("{}.{fraction}", grouped(whole.parse().unwrap_or(0)))
        }
        Some(Number::Float(f)) => float(f),
    }
}

fn whole(n: u64) -> String {
    grouped(i128::from(n))
}

/// To two digits.
fn rounded(n: u64) -> u64 {
    let unit = 10u64.pow(n.max(1).ilog10().saturating_sub(1));
    (n + unit / 2) / unit * unit
}

/// A relative error.
fn signed(error: f64) -> String {
    let percent = error * 100.0;
    if percent.abs() < 0.005 { "0 %".into() } else { format!("{percent:+.2} %") }
}

//! The report for people: one block per metric, numbers with their bounds, wide values cut.

use engine::Guarantee;
use engine::answer::{Answer, Item, Key, List, Number, Quantile, Reading};
use std::io::{self, Write};

/// Longest label shown whole, in characters.
const LABEL_MAX: usize = 48;
/// Where nothing is promised.
const NO_BOUNDS: &str = "no bounds";
/// Entries of a list shown; the other formats have all of them.
const ENTRIES_MAX: usize = 20;

/// Writes the report.
pub fn write(out: &mut impl Write, answers: &[Answer]) -> io::Result<()> {
    let (counters, metrics): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.metric == "sg.source");
    let mut rest = &metrics[..];
    while let Some(first) = rest.first() {
        let same = |a: &&&Answer| a.metric == first.metric && names(a) == names(first);
        let block = rest.iter().take_while(same).count();
        write_block(out, &rest[..block])?;
        rest = &rest[block..];
    }
    write_counters(out, &counters)
}

/// One metric under one grouping set.
fn write_block(out: &mut impl Write, answers: &[&Answer]) -> io::Result<()> {
    let first = answers[0];
    let by = names(first);
    let rows: Vec<[String; 4]> = answers.iter().flat_map(|a| rows(a)).collect();
    let label =
        if by.is_empty() { first.metric.clone() } else { format!("{} by {}", first.metric, by.join(", ")) };
    let lone = rows.len() == 1 && rows[0][0].is_empty();
    let width = |i: usize| rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
    let (w0, w1, w2) = (width(0).max(20), width(1), width(2));
    if !lone {
        writeln!(out, "{label}")?;
    }
    for [name, value, bounds, sketch] in &rows {
        let (indent, name, pad) = if lone { ("", label.as_str(), w0 + 2) } else { ("  ", name.as_str(), w0) };
        let line = format!("{indent}{name:pad$}  {value:>w1$}  {bounds:w2$}  {sketch}");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn names(answer: &Answer) -> Vec<&str> {
    answer.by.iter().map(|(name, _)| name.as_str()).collect()
}

/// Label, value, bounds and sketch of an answer, one row per number.
fn rows(answer: &Answer) -> Vec<[String; 4]> {
    let reading = &answer.reading;
    let group = if answer.other {
        "(other)".to_string()
    } else {
        answer.by.iter().map(|(_, v)| shown(v)).collect::<Vec<_>>().join(" · ")
    };
    // A window of another length than the one asked for says so.
    let coarse = answer.resolution.map(|size| format!(" ({size})")).unwrap_or_default();
    let label = match answer.start {
        None => group,
        Some(start) if group.is_empty() => format!("{start}{coarse}"),
        Some(start) => format!("{start}{coarse}  {group}"),
    };
    let sketch = sketch(reading);
    let entries = entries(reading);
    if entries.is_empty() {
        return vec![[label, number(reading.value), bounds(reading), sketch]];
    }
    let entry = |name: String| if label.is_empty() { name } else { format!("{label}  {name}") };
    entries.into_iter().map(|[name, value, bounds]| [entry(name), value, bounds, sketch.clone()]).collect()
}

/// The sketch, and for a filter how full it is.
fn sketch(reading: &Reading) -> String {
    let name = reading.sketch.clone().unwrap_or_default();
    match (reading.fill, reading.false_positive_rate) {
        (Some(fill), Some(rate)) if rate > 0.0 => {
            format!("{name}  {} full, {} false positives", percent(fill), percent(rate))
        }
        _ => name,
    }
}

fn percent(share: f64) -> String {
    format!("{} %", float((share * 100_000.0).round() / 1_000.0))
}

/// Name, value and bounds of the entries of a list measure.
fn entries(reading: &Reading) -> Vec<[String; 3]> {
    let whole = |n: u64| grouped(n.into());
    match &reading.list {
        List::None => Vec::new(),
        List::Items(items) => {
            let shown_items = items.iter().take(ENTRIES_MAX);
            let row = |i: &Item| [shown(&i.item), whole(i.value), between(reading, i.low, i.high, whole)];
            let more = items.len().saturating_sub(ENTRIES_MAX);
            let rest = (more > 0).then(|| [format!("({more} more)"), String::new(), String::new()]);
            shown_items.map(row).chain(rest).collect()
        }
        List::Quantiles(quantiles) => {
            let row = |q: &Quantile| {
                let bounds = match (q.low, q.high) {
                    (Some(low), Some(high)) => between(reading, low, high, float),
                    _ if q.value.is_none() => String::new(),
                    _ => NO_BOUNDS.into(),
                };
                [format!("p{}", float(q.q * 100.0)), q.value.map_or_else(|| "-".into(), float), bounds]
            };
            quantiles.iter().map(row).collect()
        }
        List::Rows(rows) => {
            let event = |values: &Vec<Key>| values.iter().map(shown).collect::<Vec<_>>().join(" · ");
            let more = rows.len().saturating_sub(ENTRIES_MAX);
            let rest = (more > 0).then(|| format!("({more} more)"));
            let lines = rows.iter().take(ENTRIES_MAX).map(event).chain(rest);
            lines.map(|line| [line, String::new(), String::new()]).collect()
        }
        List::Buckets(buckets) => {
            let le = |le: f64| if le.is_finite() { float(le) } else { "+Inf".into() };
            let row = |&(bound, n): &(f64, u64)| {
                [format!("≤ {}", le(bound)), whole(n), between(reading, n, n, whole)]
            };
            buckets.iter().map(row).collect()
        }
    }
}

/// Bounds of an entry. Equal ones say `exact`, unless nothing is known of the whole list.
fn between<T: PartialEq>(reading: &Reading, low: T, high: T, show: impl Fn(T) -> String) -> String {
    if reading.guarantee == Guarantee::None {
        NO_BOUNDS.into()
    } else if low == high {
        "exact".into()
    } else {
        format!("{} – {}", show(low), show(high))
    }
}

fn bounds(reading: &Reading) -> String {
    match (reading.low, reading.high) {
        _ if reading.value.is_none() => String::new(),
        _ if reading.is_exact() => "exact".into(),
        _ if reading.guarantee == Guarantee::None => NO_BOUNDS.into(),
        (Some(low), Some(high)) if reading.confidence < 1.0 => {
            format!("{} – {}  {} %", number(Some(low)), number(Some(high)), float(reading.confidence * 100.0))
        }
        (Some(low), Some(high)) => format!("{} – {}", number(Some(low)), number(Some(high))),
        _ => NO_BOUNDS.into(),
    }
}

/// What was read, in one line.
fn write_counters(out: &mut impl Write, counters: &[&Answer]) -> io::Result<()> {
    let mut last: Option<&Key> = None;
    for answer in counters {
        let [(_, source), (_, reason)] = &answer.by[..] else { continue };
        if last != Some(source) {
            let name = shown(source);
            let complete = answer.complete_to.map(|t| format!(", complete to {t}")).unwrap_or_default();
            if last.is_some() {
                writeln!(out)?;
            }
            write!(out, "\nsource {name}{complete}:")?;
        } else {
            write!(out, ",")?;
        }
        last = Some(source);
        write!(out, " {} {}", number(answer.reading.value), shown(reason).replace('_', " "))?;
    }
    if last.is_some() { writeln!(out) } else { Ok(()) }
}

fn shown(key: &Key) -> String {
    let text = match key {
        Key::Null => "(none)".to_string(),
        Key::String(text) => text.clone(),
        Key::Int(i) => i.to_string(),
        Key::Float(f) => format!("{f:?}"),
        Key::Bool(b) => b.to_string(),
    };
    let text: String = text.chars().map(|c| if is_unprintable(c) { '·' } else { c }).collect();
    if text.chars().count() > LABEL_MAX {
        text.chars().take(LABEL_MAX - 1).chain(['…']).collect()
    } else {
        text
    }
}

/// Control characters move the cursor; those of bidirectional text (Unicode, annex 9) turn a whole line around.
fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn number(number: Option<Number>) -> String {
    match number {
        None => "-".into(),
        Some(Number::Int(i)) => grouped(i),
        Some(Number::Float(f)) => float(f),
    }
}

/// A number with at most six significant digits.
pub fn float(f: f64) -> String {
    if f.fract() == 0.0 && f.abs() < 1e15 {
        return grouped(f as i128);
    }
    if f.abs() >= 1e15 || f.abs() < 1e-4 {
        return format!("{f:e}");
    }
    // Six significant digits, without trailing zeros.
    let digits = (5 - f.abs().log10().floor() as i32).max(0) as usize;
    let text = format!("{f:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

/// Thousands apart.
pub fn grouped(i: i128) -> String {
    let digits = i.unsigned_abs().to_string();
    let mut out = String::new();
    for (n, c) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    if i < 0 { format!("-{out}") } else { out }
}

//! The report of `check` for people.

use super::sample::Sampled;
use super::{Checked, Report};
use plan::size::{FilterSize, SeriesSize, SessionSize, grouped, human, percent};
use plan::{Explained, Stage};
use std::fmt::Write;

/// Lays the report out.
pub fn of(report: &Report) -> String {
    let mut out = String::new();
    let _ = match (&report.hash_key_id, report.hash) {
        (Some(id), hash) => writeln!(out, "hash {hash}, key id {id}: only states under this key merge\n"),
        (None, "fast") => writeln!(out, "hash fast: no other system reads these states\n"),
        (None, hash) => writeln!(out, "hash {hash}\n"),
    };
    for source in &report.sources {
        let _ = writeln!(out, "source {}", source.size.source);
        metrics(&mut out, source);
        source.size.filters.iter().for_each(|filter| seen(&mut out, filter));
        source.size.sessions.iter().for_each(|of| sessions(&mut out, of));
        memory(&mut out, source, report.shards);
        out.push('\n');
    }
    for explained in report.explain.iter().flatten() {
        explain(&mut out, explained);
        out.push('\n');
    }
    if let Some(sample) = &report.sample {
        sampled(&mut out, sample);
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn metrics(out: &mut String, source: &Checked) {
    let head =
        ["metric", "measure", "sketch", "error", "a cell", "groups", "total", "panes"].map(String::from);
    let closed = source.size.sessions.iter().flat_map(|sessions| &sessions.closed);
    let series: Vec<&SeriesSize> = source.size.series.iter().chain(closed).collect();
    let rows: Vec<[String; 8]> = std::iter::once(head).chain(series.iter().map(|s| row(s))).collect();
    lines(out, &rows, &[4, 5, 6, 7]);
    let mut levels: Vec<String> = Vec::new();
    for level in series.iter().flat_map(|s| &s.levels) {
        let line = format!(
            "  panes {}:{}  {} at once, {} of them open",
            level.size,
            level.keep,
            grouped(level.panes),
            grouped(level.open)
        );
        if !levels.contains(&line) {
            levels.push(line);
        }
    }
    levels.iter().for_each(|line| _ = writeln!(out, "{line}"));
    let mut why: Vec<(&str, &str)> =
        series.iter().map(|s| (s.sketch.as_str(), s.why.as_str())).filter(|w| !w.1.is_empty()).collect();
    why.sort_unstable();
    why.dedup();
    for (sketch, why) in why {
        let _ = writeln!(out, "  {sketch}: {why}");
    }
}

fn row(series: &SeriesSize) -> [String; 8] {
    let name = match series.by.is_empty() {
        true => series.metric.clone(),
        false => format!("{} by {}", series.metric, series.by.join(", ")),
    };
    let error = match series.error_of {
        "" => "exact".into(),
        of => format!("{} of {of}", percent(series.error)),
    };
    let (least, full) = (human(series.cell.least), human(series.cell.full));
    let cell = if least == full { full } else { format!("{least} – {full}") };
    let groups = if series.by.is_empty() { "-".into() } else { grouped(series.groups) };
    let total =
        if series.total_bytes == 0 { "-".into() } else { format!("≤ {}", human(series.total_bytes)) };
    let panes = series.worst_bytes - series.total_bytes;
    let panes = if panes == 0 { "-".into() } else { format!("≤ {}", human(panes)) };
    [name, brief(&series.measure), series.sketch.clone(), error, cell, groups, total, panes]
}

fn seen(out: &mut String, filter: &FilterSize) {
    let FilterSize { metric, measure, keys, bytes, classic_bytes, layers, .. } = filter;
    let _ = writeln!(
        out,
        "  {metric}  {}: {} for {} keys at {} (a classic filter: {}); the rate is {} then",
        brief(measure),
        human(*bytes),
        grouped(*keys),
        percent(filter.rate),
        human(*classic_bytes),
        percent(filter.rate_then),
    );
    if let Some(forgets) = &filter.forgets {
        let _ = writeln!(
            out,
            "    remembers a key for {} at least and for less than {}, in {} buckets of {}; with more keys within {} it reports \
             `degraded`, and the rate rises",
            forgets.keep, forgets.forgotten_after, forgets.buckets, forgets.bucket, forgets.keep
        );
        return;
    }
    let filters = if *layers == 1 {
        "it alone".into()
    } else {
        format!("{layers} filters of at most {}", human(filter.bytes_max))
    };
    let _ = writeln!(
        out,
        "    `memory` has room for {filters}: {} keys within the rate; with more it reports `degraded`, and the rate rises",
        grouped(filter.keys_max)
    );
}

fn sessions(out: &mut String, sessions: &SessionSize) {
    let SessionSize { metric, measure, gap, open, bytes, closed_bytes_max, .. } = sessions;
    let _ = writeln!(
        out,
        "  {metric}  {}: up to {} sessions are held in {}, those that end first leave when there are more",
        brief(measure),
        grouped(*open),
        human(*bytes),
    );
    let _ = writeln!(
        out,
        "    exact while no more than that are less than {gap} and `lateness` behind the latest event; panes of those that have \
         left may take {}",
        human(*closed_bytes_max)
    );
}

fn memory(out: &mut String, source: &Checked, shards: usize) {
    let size = &source.size;
    let shards = if shards == 1 { "one shard".into() } else { format!("{shards} shards") };
    let _ = writeln!(out, "\n  memory {}, {shards}", human(size.memory_bytes));
    let mut rows = vec![["what `run` keeps", "quiet", "at worst", ""].map(String::from)];
    for asked in &source.questions {
        let fate = match &asked.first_to_give_way {
            None => "fits whatever comes".into(),
            Some(first) => format!("would give way first: {first}"),
        };
        rows.push([asked.run.clone(), human(asked.least_bytes), human(asked.worst_bytes), fate]);
    }
    lines(out, &rows, &[1, 2]);
    let panes: Vec<String> = size
        .level_bytes()
        .iter()
        .map(|(span, full, _)| format!("panes of {span} {}", human(*full)))
        .collect();
    let closed = match size.judge_bytes() - source.filter_bytes {
        0 => String::new(),
        closed => format!(" with sessions, sessions that have left {}", human(closed)),
    };
    let _ = writeln!(
        out,
        "  all at once, at worst: filters {}{closed}, totals {}{}{} = {}",
        human(source.filter_bytes),
        human(source.total_bytes),
        if panes.is_empty() { "" } else { ", " },
        panes.join(", "),
        human(source.worst_bytes)
    );
    let _ = writeln!(
        out,
        "  never gives way: {} (filters, sessions, and totals without groups); the least `memory` that will do is {}",
        human(source.certain_bytes),
        human(source.needed_bytes)
    );
}

fn explain(out: &mut String, e: &Explained) {
    let typed = |columns: &[(String, &'static str)]| {
        columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect::<Vec<_>>().join(", ")
    };
    let _ = writeln!(out, "what happens to an event of {}", e.source);
    let mut step = |what: &str, text: String| {
        let _ = writeln!(out, "  {what:<10} {text}");
    };
    step("read", format!("{} as {}", e.from.join(", "), e.format));
    let fields = if e.fields.is_empty() { "no field".into() } else { typed(&e.fields) };
    step("decode", fields);
    if let Some(column) = &e.explode {
        step("explode", format!("one event for each element, {column}"));
    }
    for stage in &e.steps {
        match stage {
            Stage::Compute { columns, evaluations } => {
                step("compute", format!("{} ({evaluations} evaluations a batch)", typed(columns)));
            }
            Stage::Judge { column, measure } => {
                step("judge", format!("{column} bool: {measure}, in the order of the input"))
            }
        }
    }
    step("time", e.time.clone().unwrap_or_else(|| "none: totals only".into()));
    for what_for in ["verdicts", "sessions", "sketches", "sets"] {
        let names: Vec<&str> = e.hashed.iter().filter(|h| h.1 == what_for).map(|h| h.0.as_str()).collect();
        if !names.is_empty() {
            step("hash", format!("for {what_for}: {}", names.join(", ")));
        }
    }
    for set in &e.sets {
        let by = if set.by.is_empty() { "all".to_string() } else { format!("by {}", set.by.join(", ")) };
        let filter = set.filter.as_ref().map_or(String::new(), |filter| format!(" where {filter}"));
        step("group", format!("{by}{filter}: {}", set.metrics.join(", ")));
    }
    for (size, metrics) in &e.levels {
        step(
            "panes",
            format!("of {size}, for windows made of them (--every {size}): {}", metrics.join(", ")),
        );
    }
    step("bad", e.bad.clone());
    if let Some(late) = &e.late {
        step("late", late.clone());
    }
}

fn sampled(out: &mut String, s: &Sampled) {
    let bad: Vec<String> = s.bad.iter().map(|(reason, n)| format!("{} {reason}", grouped(*n))).collect();
    let bad = if bad.is_empty() { "none bad".into() } else { format!("bad: {}", bad.join(", ")) };
    let _ = writeln!(out, "sample {}: {} events, {bad}", s.file, grouped(s.events));
    if let Some(needed) = &s.lateness_needed {
        let (late, ahead) = (grouped(s.late), grouped(s.ahead));
        let _ =
            writeln!(out, "  {late} late, {ahead} ahead; with lateness = \"{needed}\" nothing would be late");
    }
    let mut rows = vec![["metric", "groups", "to other", "bytes", "at worst"].map(String::from)];
    for used in &s.series {
        let name = match used.by.is_empty() {
            true => used.metric.clone(),
            false => format!("{} by {}", used.metric, used.by.join(", ")),
        };
        let worst = human(used.worst_bytes);
        rows.push([name, grouped(used.groups), grouped(used.groups_folded), human(used.bytes), worst]);
    }
    lines(out, &rows, &[1, 2, 3, 4]);
    for filter in &s.filters {
        let (fill, rate) = (percent(filter.fill), percent(filter.rate));
        let _ = writeln!(
            out,
            "  {}: {}, {fill} of its bits set, {rate} false positives",
            filter.metric, filter.sketch
        );
    }
    let each = |n: u64| human(s.state_bytes / n.max(1));
    let groups: u64 = s.series.iter().map(|used| used.groups).sum();
    let _ = writeln!(
        out,
        "  state {} for totals and all panes: {} an event, {} a group of a metric",
        human(s.state_bytes),
        each(s.events),
        each(groups)
    );
    let _ = writeln!(
        out,
        "  {} events/s with one shard on this machine ({:.2} s); a short sample is mostly start-up",
        grouped(s.events_per_second as u64),
        s.seconds
    );
}

/// Aligned columns; those of these numbers to the right.
fn lines<const N: usize>(out: &mut String, rows: &[[String; N]], right: &[usize]) {
    let width: Vec<usize> =
        (0..N).map(|i| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0)).collect();
    for row in rows {
        let cell = |(i, text): (usize, &String)| match right.contains(&i) {
            true => format!("{text:>w$}", w = width[i]),
            false => format!("{text:w$}", w = width[i]),
        };
        let line: Vec<String> = row.iter().enumerate().map(cell).collect();
        let _ = writeln!(out, "  {}", line.join("  ").trim_end());
    }
}

/// Longest measure shown whole, in characters.
const MEASURE_CHARS_MAX: usize = 44;

fn brief(text: &str) -> String {
    if text.chars().count() <= MEASURE_CHARS_MAX {
        return text.into();
    }
    text.chars().take(MEASURE_CHARS_MAX - 1).chain(['…']).collect()
}

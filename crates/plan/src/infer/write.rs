//! The guess as the text of a pipeline file: every inferred line says why it is as it is.

use super::profile::Profile;
use super::quote::{key, string, strings};
use super::role::Role;
use super::show::{name, plain, shown, size, thousands};
use super::time::Stamp;
use super::{Format, Guess, Looked, Naming};

/// Columns that are listed, beside those that are measured.
const LISTED_MAX: usize = 50;

/// The whole file.
pub(super) fn pipeline(guess: &Guess, naming: &Naming) -> String {
    let mut out = head(guess, naming);
    out += &source(guess, naming);
    out += &fields(guess);
    out += &metrics(guess);
    out
}

/// What the events are, without anything that is measured of them.
pub(super) fn source_alone(guess: &Guess, naming: &Naming) -> String {
    source(guess, naming) + &fields(guess)
}

fn head(guess: &Guess, naming: &Naming) -> String {
    let file = if naming.path == "-" { "standard input" } else { &naming.path };
    let looked = &guess.looked;
    let all = if looked.whole { "all" } else { "the first" };
    let mut out = format!(
        "# streamgauge run --once {}\n#\n# A first guess, made from {all} {} events ({}) of {}. Read it, change it: docs/pipeline-file.md has every key.\n",
        shown(&naming.pipeline),
        thousands(looked.events),
        size(looked.bytes),
        name(file),
    );
    if looked.bad > 0 {
        out += &format!(
            "# {} more could not be read; `run` counts such records by reason.\n",
            thousands(looked.bad)
        );
    }
    let mut lines = vec![Line::new("name", string(&naming.name), "")];
    if let Some(ladder) = &guess.ladder {
        let because = format!(
            "the sample spans {}; windows: streamgauge run --once {} --every {}",
            super::order::shown(ladder.span),
            shown(&naming.pipeline),
            ladder.finest
        );
        lines.push(Line::new("panes", strings(ladder.levels.iter().map(String::as_str)), because));
    }
    out + "\n" + &Line::aligned(&lines)
}

fn source(guess: &Guess, naming: &Naming) -> String {
    let mut lines = vec![Line::new("kind", string("file"), ""), Line::new("path", string(&naming.path), "")];
    match &guess.format {
        Format::Ndjson => lines.push(Line::new("format", string("ndjson"), "one JSON object a line")),
        Format::Access { combined } => {
            let word = if *combined { "combined" } else { "clf" };
            lines.push(Line::new("format", string(word), "the access log of a web server"));
        }
        Format::Lines => {
            lines.push(Line::new(
                "format",
                string("lines"),
                "no structure that is known here: a line is one field, `line`",
            ));
        }
        Format::Delimited(shape) => delimited(shape, guess, &mut lines),
    }
    match (&guess.time, guess.ladder.is_some()) {
        (Some(time), true) => lines.push(time_line(time, guess)),
        _ => lines.push(Line::note("no event time was found: there are totals, but no windows")),
    }
    if !guess.null_words.is_empty() {
        let words = strings(guess.null_words.iter().map(|(word, _)| word.as_str()));
        let of: Vec<String> = guess
            .null_words
            .iter()
            .map(|(word, path)| format!("{} in {}", shown(word), shown(path)))
            .take(3)
            .collect();
        lines.push(Line::new("null", words, format!("no numbers: {}", of.join(", "))));
    }
    format!("\n[source.events]\n{}", Line::aligned(&lines))
}

fn delimited(shape: &super::delimited::Shape, guess: &Guess, lines: &mut Vec<Line>) {
    let (word, delimiter, quoted) =
        if shape.delimiter == b'\t' { ("tsv", b'\t', false) } else { ("csv", b',', true) };
    let columns = format!("{} column{}", thousands(shape.width), if shape.width == 1 { "" } else { "s" });
    let named = if shape.header { ", named by the first line" } else { ", and no line that names them" };
    lines.push(Line::new("format", string(word), columns + named));
    if shape.delimiter != delimiter {
        lines.push(Line::new("delimiter", string(&char::from(shape.delimiter).to_string()), ""));
    }
    if shape.quoted != quoted {
        lines.push(Line::new("quote", shape.quoted.to_string(), ""));
    }
    if !shape.header {
        lines.push(Line::new("header", "false".into(), ""));
        let names = guess.columns.iter().map(|(profile, _)| profile.path.as_str());
        lines.push(Line::new("columns", strings(names), "give them better names"));
    }
}

fn time_line(time: &super::Time, guess: &Guess) -> Line {
    let mut keys = vec![format!("field = {}", string(&time.path))];
    let what = match time.stamp {
        Stamp::Rfc3339 => "RFC 3339".to_string(),
        Stamp::Unix(unit) => {
            keys.push(format!("unit = {}", string(unit.words().0)));
            format!("{} since 1970", unit.words().1)
        }
        Stamp::Pattern(super::ACCESS_PATTERN) if matches!(guess.format, Format::Access { .. }) => {
            "as servers write it".to_string()
        }
        Stamp::Pattern(pattern) => {
            keys.push(format!("pattern = {}", string(pattern)));
            format!("text as `{}`", shown(&time.example))
        }
    };
    if let Some(lateness) = time.order.lateness {
        keys.push(format!("lateness = {}", string(&lateness.to_string())));
    }
    if let Some(ahead) = time.order.ahead {
        keys.push(format!("ahead = {}", string(&ahead.to_string())));
    }
    let mut because = format!("{what}; {}", time.order.because);
    if let Some(doubt) = time.doubt {
        because += &format!("; could also be {doubt}");
    }
    if time.lacking > 0 {
        because += &format!("; {} events have none and will be bad", thousands(time.lacking));
    }
    Line::new("time", format!("{{ {} }}", keys.join(", ")), because)
}

fn fields(guess: &Guess) -> String {
    let used =
        |path: &str| guess.metrics.iter().any(|metric| metric.fields.iter().any(|field| field == path));
    let (mut lines, mut listed, mut left) = (Vec::new(), 0, 0);
    for (profile, role) in &guess.columns {
        let used = used(&profile.path);
        // They are named by the one that they go with.
        if *role == Role::Left(super::GOES_WITH) {
            continue;
        }
        listed += usize::from(!used);
        if !used && (listed > LISTED_MAX || profile.path.len() > super::table::NAME_BYTES_MAX) {
            left += 1;
            continue;
        }
        let because = why(profile, *role, guess);
        match role {
            Role::Left(_) => lines.push(Line::note(format!(
                "{}: {because}",
                if profile.path.is_empty() { "(no name)".into() } else { shown(&profile.path) }
            ))),
            role => lines.push(Line::new(&key(&profile.path), string(role.kind(profile).as_str()), because)),
        }
    }
    if left > 0 {
        lines.push(Line::note(format!("and {} fields more", thousands(left))));
    }
    if guess.looked.paths_left_out {
        lines.push(Line::note("there are more fields than were looked at: are names of members data?"));
    }
    if lines.is_empty() {
        String::new()
    } else {
        format!("\n[source.events.fields]\n{}", Line::aligned(&lines))
    }
}

/// What was seen in a column.
fn why(profile: &Profile, role: Role, guess: &Guess) -> String {
    let distinct = &profile.distinct;
    let mut out = match role {
        Role::Left(why) if !profile.example.trim().is_empty() => {
            format!("{why}, as in `{}`", shown(&profile.example))
        }
        Role::Left(why) => why.to_string(),
        Role::Amount { .. } | Role::Number => {
            let range = profile.numbers.map(|n| format!("{} to {}", plain(n.least), plain(n.most)));
            let doubt = if role == Role::Number { "; an amount or a name?" } else { "" };
            format!("{}, {} different{doubt}", range.unwrap_or_default(), thousands(distinct.seen))
        }
        _ => {
            let growth = match distinct.growth(guess.looked.whole) {
                None => String::new(),
                Some(percent) if percent >= 1.0 => {
                    format!(", still growing: {percent:.0} % of further ones would be new")
                }
                Some(_) => ", still growing".into(),
            };
            format!("{} different in {} events{growth}", thousands(distinct.seen), thousands(distinct.values))
        }
    };
    let missing = guess.looked.events.saturating_sub(profile.values);
    if missing > 0 && profile.values > 0 {
        out += &format!("; {} without", thousands(missing));
    }
    match guess.alike.iter().find(|(path, _)| *path == profile.path) {
        Some((_, others)) => {
            let more = match others.len() {
                0..=3 => String::new(),
                n => format!(" and {} more", n - 3),
            };
            format!(
                "{out}; {}{more} go with it",
                others.iter().take(3).map(|o| shown(o)).collect::<Vec<_>>().join(", ")
            )
        }
        None => out,
    }
}

fn metrics(guess: &Guess) -> String {
    let mut lines: Vec<Line> = Vec::new();
    for metric in &guess.metrics {
        let value = if metric.by.is_empty() {
            string(&metric.measure)
        } else {
            let sets: Vec<String> =
                metric.by.iter().map(|set| strings(set.iter().map(String::as_str))).collect();
            let by = if let [one] = &sets[..] { one.clone() } else { format!("[{}]", sets.join(", ")) };
            format!("{{ measure = {}, by = {by} }}", string(&metric.measure))
        };
        lines.push(Line::new(&metric.name, value, metric.because.clone()));
    }
    format!("\n[metric]\n{}", Line::aligned(&lines))
}

/// A line of the file, or a comment where `key` is empty.
struct Line {
    key: String,
    value: String,
    because: String,
}

impl Line {
    fn new(key: &str, value: String, because: impl Into<String>) -> Line {
        Line { key: key.to_string(), value, because: because.into() }
    }

    fn note(text: impl Into<String>) -> Line {
        Line::new("", String::new(), text)
    }

    /// Lines with their equal signs in one column, and their comments where that is not far away.
    fn aligned(lines: &[Line]) -> String {
        const KEY_CHARS_MAX: usize = 32;
        const TEXT_CHARS_MAX: usize = 90;
        let longest = |chars: &dyn Fn(&Line) -> usize, most: usize| {
            lines.iter().map(chars).filter(|chars| *chars <= most).max().unwrap_or(0)
        };
        let key_chars = longest(&|line| line.key.chars().count(), KEY_CHARS_MAX);
        let text = |line: &Line| match line.key.as_str() {
            "" => String::new(),
            key => format!("{key:key_chars$} = {}", line.value),
        };
        let text_chars = longest(&|line| text(line).chars().count(), TEXT_CHARS_MAX);
        let mut out = String::new();
        for line in lines {
            let text = text(line);
            out += &match (text.is_empty(), line.because.is_empty()) {
                (true, _) => format!("# {}\n", line.because),
                (false, true) => format!("{text}\n"),
                (false, false) => format!("{text:text_chars$}  # {}\n", line.because),
            };
        }
        out
    }
}

/// What was looked at, in one line.
pub(super) fn looked(guess: &Guess) -> String {
    let Looked { events, bytes, bad, .. } = guess.looked;
    let format = match &guess.format {
        Format::Ndjson => "ndjson".to_string(),
        Format::Access { combined: true } => "combined access log".into(),
        Format::Access { combined: false } => "common access log".into(),
        Format::Lines => "lines".into(),
        Format::Delimited(shape) => match shape.delimiter {
            b',' => "csv".into(),
            b'\t' => "tsv".into(),
            b' ' => "columns between blanks".into(),
            other => format!("csv with `{}`", char::from(other)),
        },
    };
    let how = guess.time.as_ref().map(|time| match time.stamp {
        Stamp::Rfc3339 => (time, "RFC 3339"),
        Stamp::Unix(unit) => (time, unit.words().0),
        Stamp::Pattern(pattern) => (time, pattern),
    });
    let time =
        how.map_or("no event time".into(), |(time, how)| format!("time in `{}` ({how})", shown(&time.path)));
    let bad =
        if bad > 0 { format!(", {} records that cannot be read", thousands(bad)) } else { String::new() };
    let fields = guess.columns.len();
    format!(
        "looked at {} events ({}): {format}, {} field{}, {time}{bad}",
        thousands(events),
        size(bytes),
        thousands(fields),
        if fields == 1 { "" } else { "s" },
    )
}

//! What a reader of the report should know besides: on standard error, never in the report.

use crate::hint::{self, Head};
use crate::say;
use engine::batch::{Bad, Reason};
use engine::intake::Tally;
use engine::spec::{BadPolicy, Format, Source, TimeFormat};
use plan::size::{grouped, human};
use plan::{About, Pipeline, did_you_mean};
use runtime::{Finished, RunError};
use std::path::Path;

/// Says what happened to the input of a source. True when there was nothing to measure, in all or for a metric.
pub fn note(pipeline: &Pipeline, index: usize, finished: &Finished<'_>, quarantine: &Path) -> bool {
    let source = &pipeline.spec.sources[index];
    // The head of the input is read again only for hints.
    let trouble = finished.tally.bad_total() > 0 || finished.seen.contains(&false);
    let head = Head::new(if trouble { &finished.head } else { &[] });
    if finished.tally.bad_total() < finished.tally.read {
        bad_records(source, finished, &head);
    }
    if finished.quarantined > 0 {
        say(format_args!(
            "note: {} set aside in `{}`",
            records(finished.quarantined, "was", "were"),
            quarantine.display()
        ));
    }
    state(source, finished);
    doubtful_unit(source, finished);
    let tally = &finished.tally;
    if tally.read == 0 {
        let message = format!("source `{}` held no record at all", source.name);
        say_problem(
            pipeline,
            index,
            About::Path,
            message,
            Some("its files hold nothing, blank lines, or a header alone".into()),
        );
        return true;
    }
    if tally.bad_total() == tally.read {
        let (about, message, hint) = nothing_usable(source, finished, &head);
        say_problem(pipeline, index, about, message, Some(hint));
        return true;
    }
    if tally.accepted() == 0 {
        say(format_args!(
            "error: every event of `{}` that could be read was late and left out: raise `lateness`, or write \
             later = \"correct\"",
            source.name
        ));
        return true;
    }
    missing_fields(pipeline, index, finished, &head)
}

fn say_problem(pipeline: &Pipeline, index: usize, about: About, message: String, hint: Option<String>) {
    say(pipeline.problem(index, about, message, hint).to_string().trim_end());
}

/// How many records were bad, where the first one stands and what is wrong with it.
fn bad_records(source: &Source, finished: &Finished<'_>, head: &Head) {
    let (bad, read) = (finished.tally.bad_total(), finished.tally.read);
    let Some((file, first)) = &finished.first_bad else { return };
    let spread =
        head.one_a_line().filter(|_| first.reason == Reason::Json && source.format == Format::Ndjson);
    let more = match (spread, source.bad) {
        (Some(todo), _) => format!("; {todo}"),
        (None, BadPolicy::Count) => {
            format!("; `--set source.{}.bad=quarantine` keeps such records in a file", source.name)
        }
        (None, BadPolicy::Quarantine) => String::new(),
    };
    say(format_args!(
        "note: {bad} of {} bad, the first at {} {} of `{file}` ({}: {}){more}",
        records(read, "was", "were"),
        line_word(source),
        first.raw.line + 1,
        first.reason.as_str(),
        wrong_with(first.reason, first.field, source),
    ));
}

/// What the records of a file are counted by.
fn line_word(source: &Source) -> &'static str {
    if source.format == Format::Parquet { "row" } else { "line" }
}

/// `1 record was`, `2 records were`.
fn records(n: u64, one: &str, many: &str) -> String {
    if n == 1 { format!("1 record {one}") } else { format!("{n} records {many}") }
}

/// What is wrong with a bad record.
fn wrong_with(reason: Reason, field: Option<usize>, source: &Source) -> String {
    match reason {
        Reason::Json => "not one JSON object".into(),
        Reason::Utf8 => "not UTF-8".into(),
        Reason::Columns => {
            "more or fewer columns than have names; an open quote takes the lines below with it".into()
        }
        Reason::Line => "not a line of an access log in this `format`".into(),
        Reason::TooLong => "longer than `record_max`".into(),
        Reason::Derive => match field.and_then(|f| source.columns().get(f).cloned()) {
            Some(column) => format!("`{}` cannot be computed", column.path),
            None => "an expression fails".into(),
        },
        Reason::Time => match source.time.as_ref() {
            Some(time) => match (time.name(source), time.format()) {
                (Some(name), Some(format)) => format!("`{name}` is no time {}", written_as(format)),
                _ => "no event time".into(),
            },
            None => "no event time".into(),
        },
        Reason::Type => match field.and_then(|f| source.fields.get(f)) {
            Some(field) => format!("`{}` is no {}", field.path, field.kind.as_str()),
            None => "a value of another type than its field".into(),
        },
    }
}

fn written_as(format: &TimeFormat) -> &'static str {
    match format {
        TimeFormat::Rfc3339 => "in RFC 3339",
        TimeFormat::Unix(..) => "in `unit`",
        TimeFormat::Pattern { .. } => "in `pattern`",
    }
}

/// What gave way, and what was too old.
fn state(source: &Source, finished: &Finished<'_>) {
    let dropped = finished.outlet.panes_dropped();
    if dropped > 0 {
        let (panes, were) = if dropped == 1 { ("pane", "was") } else { ("panes", "were") };
        say(format_args!(
            "note: {dropped} {panes} of `{}` {were} older than `keep` and dropped; a longer `keep` in `panes` reports \
             them",
            source.name
        ));
    }
    let way = finished.outlet.given_way();
    let steps = [
        (way.groups_halved, "groups halved"),
        (way.sketches_folded, "sketches folded to half"),
        (way.panes_dropped, "oldest panes dropped"),
    ];
    let steps: Vec<String> =
        steps.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{what} {n} times")).collect();
    if !steps.is_empty() {
        say(format_args!("note: to stay within `memory`, `{}` had its {}", source.name, steps.join(", ")));
    }
    spilled(source, finished);
    for (metric, from) in finished.outlet.kept_from() {
        say(format_args!(
            "warning: windows of `{metric}` before {from} were dropped to stay within `memory`; raise it"
        ));
    }
    for &metric in &finished.outlet.verdicts().degraded {
        let metric = &source.metrics[metric];
        say(format_args!(
            "warning: `{}` took more keys than its `size` and `memory` allow, so \"seen\" is wrong more often than asked; raise `size`",
            metric.name
        ));
    }
    sessions(source, finished);
    if way.over_budget > 0 {
        say(format_args!(
            "warning: the state of `{}` outgrew `memory` and takes {} KiB; raise it, or keep fewer groups or shorter panes",
            source.name,
            finished.outlet.memory_bytes() / 1024
        ));
    }
}

/// Closed panes that went to disk.
fn spilled(source: &Source, finished: &Finished<'_>) {
    let (spilled, away) = (finished.outlet.spilled(), finished.outlet.away());
    if spilled.panes == 0 {
        return;
    }
    let moved = finished.shelf.as_ref().map(|shelf| shelf.moved()).unwrap_or_default();
    say(format_args!(
        "note: closed panes of `{}` went to disk, as `memory` had no room: {} ({}) so far, {} ({}) are there now; this run read {} \
         back ({})",
        source.name,
        grouped(spilled.panes),
        human(spilled.bytes),
        grouped(away.panes),
        human(away.bytes),
        grouped(moved.read),
        human(moved.read_bytes)
    ));
}

/// Sessions that may be others than they should be.
fn sessions(source: &Source, finished: &Finished<'_>) {
    for (metric, doubts) in finished.outlet.session_doubts_by_metric() {
        let metric = &source.metrics[metric].name;
        if doubts.cut > 0 {
            say(format_args!(
                "warning: {} sessions of `{metric}` were closed while they could go on, because more than `open` were held; raise \
                 it",
                doubts.cut
            ));
        }
        if doubts.late > 0 {
            say(format_args!(
                "note: {} events came too late for sessions of `{metric}` that had been closed; `low` and `high` say what they \
                 may change, a larger `open` keeps sessions longer",
                doubts.late
            ));
        }
    }
}

/// Milliseconds read as seconds are good times of the year 49503: nothing is bad, and everything is wrong.
fn doubtful_unit(source: &Source, finished: &Finished<'_>) {
    let Some(time) = &source.time else { return };
    let reached = finished.outlet.complete_to().map(|t| t.plus(time.lateness));
    let Some((path, format)) = time.field() else { return };
    if let Some(doubt) = reached.and_then(|t| hint::other_unit(format, t)) {
        say(format_args!("warning: `{path}` of `{}`: {doubt}", source.name));
    }
}

/// Where to look and what to do when every record was bad.
fn nothing_usable(source: &Source, finished: &Finished<'_>, head: &Head) -> (About, String, String) {
    let tally = &finished.tally;
    let reason = worst(tally);
    let first = finished.first_bad.as_ref().map(|(_, bad)| bad).filter(|bad| bad.reason == reason);
    let field = first.and_then(|bad: &Bad| bad.field);
    let most = if tally.bad[reason as usize] < tally.read { " most often" } else { "" };
    let place = match &finished.first_bad {
        Some((file, bad)) if bad.reason == reason => {
            format!(", first at {} {} of `{file}`", line_word(source), bad.raw.line + 1)
        }
        _ => String::new(),
    };
    let message = format!(
        "none of the {} records of `{}` could be used:{most} {} ({}{place})",
        tally.read,
        source.name,
        wrong_with(reason, field, source),
        reason.as_str()
    );
    let (about, hint) = match (reason, &source.time, field.and_then(|f| source.fields.get(f))) {
        (Reason::Time, Some(time), _) => {
            let known =
                time.field().and_then(|(path, format)| head.time(path, format).or_else(|| head.field(path)));
            (About::Time, known.unwrap_or_else(|| "check `field`, `unit` and `pattern`".into()))
        }
        (Reason::Type, _, Some(field)) => (
            About::Field(source.fields.iter().position(|f| f == field).unwrap_or_default()),
            "write its type in `fields`, words for a missing value in `null`".into(),
        ),
        (Reason::Json, ..) => {
            let known = head.one_a_line();
            (About::Path, known.unwrap_or("NDJSON is one JSON object a line; is `format` right?").into())
        }
        (Reason::Columns, ..) => (About::Path, "check `delimiter`, `quote` and `columns`".into()),
        (Reason::Line, ..) => (
            About::Path,
            "`clf` is `host ident user [time] \"request\" status bytes`, `combined` adds a quoted referrer and user agent"
                .into(),
        ),
        (Reason::TooLong, ..) => (About::Path, "raise `record_max`; are lines ended by a newline?".into()),
        (Reason::Derive, ..) => (
            field.map_or(About::Source, About::Field),
            "guard it, as in case when n <> 0 then x / n end, or try_cast(x as double)".into(),
        ),
        (Reason::Utf8 | Reason::Time | Reason::Type, ..) => (About::Path, "is it text, and in UTF-8?".into()),
    };
    (about, message, hint)
}

/// The most frequent reason.
fn worst(tally: &Tally) -> Reason {
    let counted = Reason::ALL.into_iter().zip(tally.bad);
    counted.max_by_key(|(_, n)| *n).map_or(Reason::Json, |(reason, _)| reason)
}

/// Names the fields in which no event had a value.
fn missing_fields(pipeline: &Pipeline, index: usize, finished: &Finished<'_>, head: &Head) -> bool {
    let source = &pipeline.spec.sources[index];
    let missing = finished.seen.iter().enumerate().filter(|(_, seen)| !**seen);
    for (field, _) in missing.clone() {
        let path = &source.fields[field].path;
        let message = format!("no event of `{}` has a value in field `{path}`", source.name);
        let hint = match source.format {
            Format::Ndjson => head.field(path),
            Format::Delimited(_) | Format::AccessLog { .. } | Format::Lines | Format::Parquet => None,
        };
        say_problem(pipeline, index, About::Field(field), message, hint);
    }
    missing.count() > 0
}

/// An input that does not fit the pipeline, shown where the pipeline speaks of it; `None` for other trouble.
pub fn misfit(pipeline: &Pipeline, index: usize, error: &RunError) -> Option<String> {
    use engine::decode::DecoderError::{NoSuchColumn, TwoColumns};
    let source = &pipeline.spec.sources[index];
    let about_column = |path: &String| match source.fields.iter().position(|field| field.path == *path) {
        Some(field) => About::Field(field),
        None => About::Time,
    };
    let (about, message, hint) = match error {
        RunError::Header { path: file, source: NoSuchColumn { path, columns } } => (
            about_column(path),
            format!("there is no column `{path}` in `{file}`"),
            Some(columns_hint(path, columns)),
        ),
        RunError::Header { path: file, source: TwoColumns { path } } => {
            let hint = "rename one in the file, or write `header = false` and `columns`";
            (
                about_column(path),
                format!("two columns of `{file}` are named `{path}`"),
                Some(hint.to_string()),
            )
        }
        RunError::Column { column, .. } => (about_column(column), error.to_string(), None),
        RunError::Events { .. } => return None,
        RunError::NoFile { .. }
        | RunError::Pattern { .. }
        | RunError::Directory(_)
        | RunError::Twice(_)
        | RunError::NotAgain(_)
        | RunError::QuarantineIsRead(_) => (About::Path, error.to_string(), None),
        RunError::Header { .. }
        | RunError::Read { .. }
        | RunError::Damaged { .. }
        | RunError::Foreign { .. }
        | RunError::LongHeader(_)
        | RunError::NotParquet { .. }
        | RunError::Parquet { .. }
        | RunError::State { .. }
        | RunError::StateInUse(_)
        | RunError::StateDamaged { .. }
        | RunError::Spilled { .. }
        | RunError::StateOfAnother { .. }
        | RunError::Changed { .. }
        | RunError::Inbox(_)
        | RunError::NotReceived(_)
        | RunError::SinkExists(_)
        | RunError::Sink { .. }
        | RunError::SinkJournal(_)
        | RunError::Quarantine { .. } => return None,
    };
    Some(pipeline.problem(index, about, message, hint).to_string())
}

/// Which column may have been meant, or which delimiter.
fn columns_hint(path: &str, columns: &[String]) -> String {
    if let Some(near) = did_you_mean(path, columns.iter().map(String::as_str)) {
        return format!("did you mean `{near}`?");
    }
    if let [only] = columns
        && let Some(delimiter) =
            [(';', ";"), ('\t', "\\t"), ('|', "|"), (',', ",")].iter().find(|d| only.contains(d.0))
    {
        return format!(
            "the header is one column, `{}`: is it `delimiter = \"{}\"`?",
            hint::brief(only),
            delimiter.1
        );
    }
    hint::listed(columns)
}

//! `streamgauge diff`: what a change of the pipeline file does to a state that is kept.

use crate::keep::made_by;
use crate::work::Opened;
use crate::{Trouble, inspect};
use clap::Args;
use plan::{Change, Changes, Fate, MetricChanges, SourceChanges};
use runtime::checkpoint::StateDirectory;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Shown below the options.
pub const EXAMPLES: &str = "Examples:
  streamgauge diff shop.toml shop-new.toml
  streamgauge diff state shop-new.toml --format json
  streamgauge run shop-new.toml --state state --migrate

A metric keeps its state when nothing has changed that decides it. `run --state DIR` goes on by itself when everything keeps
its state, and with --migrate when something does not: see docs/resume.md, \"When the pipeline changes\".

Exit codes: 0 everything keeps its state; 1 something begins or goes; 2 the command line or a pipeline file makes no sense;
3 a file cannot be read or the report cannot be written.";

/// The words behind `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The pipeline as it was: its file, or a state directory that it made (`run --state`).
    #[arg(value_name = "OLD", value_hint = clap::ValueHint::AnyPath)]
    old: PathBuf,
    /// The pipeline as it will be.
    #[arg(value_name = "NEW", value_hint = clap::ValueHint::FilePath)]
    new: PathBuf,
    /// Override a key of the new pipeline file, and of an old one. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// How the report is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// How the report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Text for people.
    Table,
    /// One JSON object.
    Json,
}

/// The field names are those of the JSON.
#[derive(Serialize)]
struct Report<'a> {
    keeps_all: bool,
    #[serde(flatten)]
    changes: &'a Changes,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<String>,
}

/// Runs the command.
pub fn diff(args: &DiffArgs) -> Result<ExitCode, Trouble> {
    let new = Opened::new("diff", &args.new, &args.set)?;
    let changes = match args.old.is_dir() {
        true => of_state(&args.old, &new)?,
        false => Changes::between(&Opened::new("diff", &args.old, &args.set)?.pipeline, &new.pipeline),
    };
    let text = match args.format {
        Format::Table => table(&changes),
        Format::Json => {
            let report =
                Report { keeps_all: changes.keeps_all(), replay: replay(&changes), changes: &changes };
            serde_json::to_string_pretty(&report).expect("a report is written to memory") + "\n"
        }
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            return Err(Trouble::environment(format!("cannot write the report: {error}")));
        }
        _ => {}
    }
    Ok(ExitCode::from(u8::from(!changes.keeps_all())))
}

/// Against the states of a directory, each of which names its own pipeline.
fn of_state(directory: &Path, new: &Opened<'_>) -> Result<Changes, Trouble> {
    let mut out: Option<Changes> = None;
    for path in inspect::sources(directory)? {
        let Some(restored) = StateDirectory::look(&path).map_err(Trouble::environment)? else { continue };
        let about = &restored.manifest.about;
        let changes = Changes::between(&made_by(new.path, about, &path)?, &new.pipeline);
        let Some(all) = &mut out else {
            out = Some(changes);
            continue;
        };
        // Each state speaks for its own source.
        let own = changes.sources.into_iter().find(|source| source.source == about.source);
        all.sources.retain(|source| source.source != about.source);
        all.sources.extend(own);
    }
    out.ok_or_else(|| {
        Trouble::environment(format!(
            "`{}` holds no commit yet: there is nothing to compare",
            directory.display()
        ))
    })
}

/// What there is to be done for what begins to be whole.
fn replay(changes: &Changes) -> Option<String> {
    let begins = |metric: &MetricChanges| metric.fate == Fate::Begins || !metric.begins_by.is_empty();
    let begins = changes.sources.iter().any(|source| source.metrics.iter().any(begins));
    begins.then(|| {
        "What begins holds only what comes from then on. To have it over all events, replay the input from its beginning into a \
         new state: `streamgauge run NEW --state OTHER`; what is read there is whole, and OTHER takes the place of the old \
         directory. Where the input is gone by now (HTTP, files that were deleted), only what keeps its state reaches back."
            .to_string()
    })
}

fn table(changes: &Changes) -> String {
    let mut out = String::new();
    for source in &changes.sources {
        let _ = writeln!(out, "source {}: {}", source.source, of_source(source.fate));
        if let Some(why) = &source.refused {
            let _ = writeln!(out, "  needs another directory: {why}");
        }
        source.anew.iter().for_each(|change| line(&mut out, "  anew   ", change));
        let width = source.metrics.iter().map(|metric| metric.metric.chars().count()).max().unwrap_or(0);
        for metric in &source.metrics {
            let _ = writeln!(
                out,
                "  {:<6}  {:<width$}  {}",
                word(metric.fate),
                metric.metric,
                why(source, metric)
            );
        }
        source.free.iter().for_each(|change| line(&mut out, "  free   ", change));
    }
    changes.free.iter().for_each(|change| line(&mut out, "free     ", change));
    if let Some(replay) = replay(changes) {
        let _ = writeln!(out, "\n{replay}");
    }
    // No blanks at the ends of lines.
    out.lines().map(str::trim_end).fold(String::new(), |text, line| text + line + "\n")
}

fn line(out: &mut String, head: &str, change: &Change) {
    let _ = writeln!(out, "{head} {change}");
}

fn of_source(fate: Fate) -> &'static str {
    match fate {
        Fate::Keeps => "everything keeps its state",
        Fate::Part => "some of it keeps its state",
        Fate::Begins => "everything begins",
        Fate::Goes => "goes, and its directory stays as it is",
    }
}

fn word(fate: Fate) -> &'static str {
    match fate {
        Fate::Keeps => "keeps",
        Fate::Part => "part",
        Fate::Begins => "begins",
        Fate::Goes => "goes",
    }
}

fn why(source: &SourceChanges, metric: &MetricChanges) -> String {
    let changed: Vec<String> = metric.changed.iter().map(Change::to_string).collect();
    let mut parts = changed;
    let sets = |sets: &[Vec<String>], word: &str| {
        let of = |set: &Vec<String>| {
            if set.is_empty() { "the total".into() } else { format!("by {}", set.join(", ")) }
        };
        let sets: Vec<String> = sets.iter().map(of).collect();
        (!sets.is_empty()).then(|| format!("{} {word}", sets.join(", ")))
    };
    parts.extend(sets(&metric.begins_by, "begins"));
    parts.extend(sets(&metric.goes_by, "goes"));
    match metric.fate {
        Fate::Begins if parts.is_empty() && source.anew.is_empty() => "new".into(),
        Fate::Begins if parts.is_empty() => "with its source".into(),
        _ => parts.join("; "),
    }
}

//! `streamgauge run`: sources to their end, then every metric on standard output; everything else on standard error.

use crate::progress::Progress;
use crate::show::{Format, show};
use crate::{NOTHING_MEASURED, Trouble};
use clap::Args;
use engine::spec::{Level, Question, Source};
use engine::time::Span;
use plan::{Input, InputKind, Override, Pipeline};
use runtime::{Finished, InputFile, Job};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Examples:
///   streamgauge run --once shop.toml
///   streamgauge run --once shop.toml --format json --every 1m
///   zcat day.ndjson.gz | streamgauge run --once shop.toml --set source.events.path=-
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct RunArgs {
    /// The pipeline file (TOML): sources, metrics, panes. See docs/pipeline-file.md.
    pipeline: PathBuf,
    /// Read the sources to their end, report, and stop. (This version has no other way of running.)
    #[arg(long)]
    once: bool,
    /// How the report is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Override a key of the pipeline file, as in source.events.path=day.ndjson. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Report windows of this length instead of totals (30s, 5m, 1h, 1d).
    #[arg(long, value_name = "LENGTH")]
    window: Option<Span>,
    /// Distance between the starts of windows; without --window their length too.
    #[arg(long, value_name = "LENGTH")]
    every: Option<Span>,
    /// Number of shards, each with a thread of its own [default: the cores of this machine].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    shards: Option<u16>,
}

/// Runs the command.
pub fn run(args: &RunArgs) -> Result<ExitCode, Trouble> {
    if !args.once {
        return Err(Trouble::settings(
            "error: `run` needs --once in this version: it reads the sources to their end, reports, and stops",
        ));
    }
    let pipeline = load(args)?;
    let question = question(args)?;
    let mut answers = Vec::new();
    let mut nothing = false;
    for (source, input) in pipeline.spec.sources.iter().zip(&pipeline.inputs) {
        let kept = restrict(source, question)?;
        let files = files(args, input)?;
        let progress = Progress::start(&files);
        let shards = args.shards.map_or_else(cores, usize::from);
        let quarantine = PathBuf::from(input.quarantine.as_deref().unwrap_or_default());
        let memory_bytes = pipeline.spec.memory_bytes / pipeline.spec.sources.len() as u64;
        let job = Job { source, kept: &kept, files, quarantine: quarantine.clone(), shards, memory_bytes };
        let finished = runtime::run(job, &|status| progress.show(status)).map_err(Trouble::environment)?;
        progress.finish();
        nothing |= note(source, &finished, &quarantine);
        answers.extend(finished.outlet.answers(question));
    }
    show(args.format, &answers).map_err(|e| Trouble::environment(format!("cannot write the report: {e}")))?;
    Ok(ExitCode::from(if nothing { NOTHING_MEASURED } else { 0 }))
}

/// The files of a source. A relative path belongs to the file that it stands in: the pipeline file's directory comes
/// first, for one given with --set the current directory.
fn files(args: &RunArgs, input: &Input) -> Result<Vec<InputFile>, Trouble> {
    let paths = match &input.kind {
        InputKind::File { paths } => paths.clone(),
        InputKind::Stdin => vec!["-".to_string()],
    };
    let (here, there) = (Path::new(""), args.pipeline.parent().unwrap_or(Path::new("")));
    let key = format!("source.{}.path", input.source);
    let overridden = args.set.iter().any(|set| set.split('=').next().is_some_and(|k| k.trim() == key));
    let bases = if overridden { [here, there] } else { [there, here] };
    runtime::expand(&paths, &bases).map_err(Trouble::environment)
}

fn load(args: &RunArgs) -> Result<Pipeline, Trouble> {
    let name = args.pipeline.display().to_string();
    let text = std::fs::read_to_string(&args.pipeline)
        .map_err(|e| Trouble::environment(format!("cannot read the pipeline file `{name}`: {e}")))?;
    let overrides: Vec<Override> = args
        .set
        .iter()
        .map(|text| Override::parse(text))
        .collect::<Result<_, _>>()
        .map_err(|e| Trouble::settings(format!("error: {e}")))?;
    Pipeline::parse(&name, &text, &overrides).map_err(Trouble::settings)
}

fn question(args: &RunArgs) -> Result<Question, Trouble> {
    let (window, every) = match (args.window, args.every) {
        (None, None) => return Ok(Question::Total),
        (Some(window), None) => (window, window),
        (None, Some(every)) => (every, every),
        (Some(window), Some(every)) => (window, every),
    };
    let wrong = |text: String| Err(Trouble::settings(format!("error: {text}")));
    if every.0 <= 0 || window.0 <= 0 {
        return wrong("--window and --every must be longer than nothing".into());
    }
    if window.0 % every.0 != 0 {
        return wrong(format!(
            "--window {window} is not a multiple of --every {every}: windows are made of whole steps"
        ));
    }
    if window.0 / every.0 > SLIDES_MAX {
        return wrong(format!(
            "--window {window} has more than {SLIDES_MAX} steps of --every {every}: slide more coarsely"
        ));
    }
    Ok(Question::Windows { window, every })
}

/// Steps in one sliding window: every window is merged from its panes anew.
const SLIDES_MAX: i64 = 10_000;

/// The source with only what the question can ask of it.
fn restrict(source: &Source, question: Question) -> Result<Source, Trouble> {
    let wrong = |text: String| Err(Trouble::settings(format!("error: {text}")));
    let name = &source.name;
    if let Question::Windows { window, every } = question {
        if source.time.is_none() {
            return wrong(format!(
                "source `{name}` has no event time, so there are no windows: add `time = {{ field = \"...\" }}`"
            ));
        }
        if source.metrics.iter().all(|m| m.levels.is_empty()) {
            return wrong(format!(
                "no metric of source `{name}` has panes, so there are no windows to ask for: leave out \
                 `keep = \"forever\"` on the metrics you want windows of"
            ));
        }
        if let Some(metric) = source
            .metrics
            .iter()
            .find(|m| !m.levels.is_empty() && Level::tiling(&m.levels, window, every).is_none())
        {
            let sizes: Vec<String> = metric.levels.iter().map(|l| l.size.to_string()).collect();
            return wrong(format!(
                "metric `{}` keeps panes of {}: none of them tiles windows of {window} every {every}; ask for a \
                 multiple, or add a pane size to `panes`",
                metric.name,
                sizes.join(", ")
            ));
        }
    }
    question
        .restrict(source)
        .or_else(|metric| wrong(format!("metric `{metric}` has no panes for these windows")))
}

/// Says on standard error what a reader of the report should know. True when there was nothing to measure.
fn note(source: &Source, finished: &Finished<'_>, quarantine: &Path) -> bool {
    let tally = &finished.tally;
    let name = &source.name;
    if tally.bad_total() > 0 {
        let first = finished.first_bad.as_ref().map(|(file, bad)| {
            let field = bad.field.map(|f| format!(", field `{}`", source.fields[f].path)).unwrap_or_default();
            format!("; the first at line {} of `{file}` ({}{field})", bad.raw.line + 1, bad.reason.as_str())
        });
        eprintln!(
            "note: {} of {} records of `{name}` were bad{}",
            tally.bad_total(),
            tally.read,
            first.unwrap_or_default()
        );
    }
    if finished.quarantined > 0 {
        eprintln!("note: {} records were set aside in `{}`", finished.quarantined, quarantine.display());
    }
    if finished.outlet.panes_dropped() > 0 {
        eprintln!(
            "note: {} panes were older than their `keep` and were dropped; a longer `keep` in `panes` reports them",
            finished.outlet.panes_dropped()
        );
    }
    if finished.outlet.given_way().over_budget > 0 {
        eprintln!(
            "warning: the state of `{name}` outgrew `memory`; raise it, or keep fewer groups or shorter panes"
        );
    }
    if tally.read == 0 {
        eprintln!("error: `{name}` held no record at all: check `path`");
        return true;
    }
    if tally.accepted() == 0 {
        eprintln!(
            "error: none of the {} records of `{name}` could be used: see the reasons in the report",
            tally.read
        );
        return true;
    }
    let mut missing = false;
    for (field, _) in source.fields.iter().zip(&finished.seen).filter(|(_, seen)| !**seen) {
        eprintln!(
            "error: no event of `{name}` has a value in field `{}`: check its name in the pipeline file",
            field.path
        );
        missing = true;
    }
    missing
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

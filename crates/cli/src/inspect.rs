//! `streamgauge inspect`: what a state directory holds, and how far each input was read.

use crate::Trouble;
use crate::keep::{began, made_by};
use crate::show::{Format, Report};
use crate::sketches::{fact, tell_holdings};
use clap::Args;
use engine::answer::Answer;
use engine::intake::Tally;
use engine::spec::{Question, Source};
use engine::time::Time;
use plan::size::{grouped, human};
use runtime::checkpoint::{Manifest, Restored, Segment, StateDirectory};
use sketch::Limits;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Shown below the options.
pub const EXAMPLES: &str = "Examples:
  streamgauge run --once shop.toml --state state
  streamgauge inspect state
  streamgauge inspect state --format json

It reads the last commit of every source and writes nothing, so it may be used while a run goes on. Of each source it tells
the commit, how far each file was read, what was late or bad, the size on disk, the metrics with their groups, panes and
bytes, and the totals.

Exit codes: 0 told; 3 the directory cannot be read, holds no state, or a damaged one.";

/// The words behind `inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A state directory (`run --state`).
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    directory: PathBuf,
    /// How it is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Runs the command.
pub fn inspect(args: &InspectArgs) -> Result<ExitCode, Trouble> {
    let sources = sources(&args.directory)?;
    let mut report = Report::start(args.format);
    let mut told = Vec::new();
    for path in sources {
        let restored = StateDirectory::look(&path).map_err(Trouble::environment)?;
        let Some(restored) = restored else {
            return Err(Trouble::environment(format!(
                "`{}` holds no commit yet: a run that ends, or goes on long enough, writes one",
                path.display()
            )));
        };
        told.extend(tell(&mut report, &path, &restored, args.format)?);
    }
    told.into_iter().for_each(|answer| report.put(answer));
    report.finish().map_err(|error| Trouble::environment(format!("cannot write the report: {error}")))?;
    Ok(ExitCode::SUCCESS)
}

/// The directories of the sources.
pub fn sources(directory: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let shown = directory.display();
    let entries = std::fs::read_dir(directory).map_err(|error| {
        Trouble::environment(format!("cannot read the state directory `{shown}`: {error}"))
    })?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("lock").is_file())
        .collect();
    found.sort();
    if found.is_empty() {
        return Err(Trouble::environment(format!(
            "`{shown}` is no state directory: those are made by `run --state DIR` and hold a directory for each source"
        )));
    }
    Ok(found)
}

fn tell(
    report: &mut Report,
    path: &Path,
    restored: &Restored,
    format: Format,
) -> Result<Vec<Answer>, Trouble> {
    let manifest = &restored.manifest;
    let source = source(path, manifest)?;
    let state = restored
        .state(&source, &Limits::bytes(usize::MAX))
        .map_err(|why| Trouble::environment(format!("`{}` cannot be read: {why}", path.display())))?;
    restored.damaged.iter().for_each(|why| crate::say(format_args!("WARNING: {why}")));
    if format == Format::Table {
        head(report, path, manifest, &state.tally());
    }
    let mut told = tell_holdings(report, &source, &state, format);
    if format != Format::Table {
        told.extend(facts(manifest));
    }
    state.outlet(&source).each_answer(Question::Total, &mut |answer| report.put(answer));
    Ok(told)
}

/// The source as the pipeline says that the state holds with it.
fn source(path: &Path, manifest: &Manifest) -> Result<Source, Trouble> {
    let about = &manifest.about;
    let wrong = |why: String| Trouble::environment(format!("`{}` cannot be read: {why}", path.display()));
    let pipeline = made_by(path, about, path)?;
    let source = pipeline.spec.sources.into_iter().find(|source| source.name == about.source);
    source.ok_or_else(|| wrong(format!("its pipeline has no source `{}`", about.source)))
}

fn head(report: &mut Report, path: &Path, manifest: &Manifest, tally: &Tally) {
    let about = &manifest.about;
    let written = i64::try_from(manifest.written_us).map_or_else(|_| "?".into(), |us| Time(us).to_string());
    report.line(&format!(
        "{}: pipeline {}, commit {} of {written}",
        path.display(),
        about.name,
        manifest.number
    ));
    let Sizes { disk, raw, live } = Sizes::of(manifest);
    let ratio = raw as f64 / disk.max(1) as f64;
    report.line(&format!(
        "  on disk    {} in {} segments, unpacked {} ({ratio:.1} times as large), of which {} are live; {} shards",
        human(disk),
        manifest.segments.len(),
        human(raw),
        human(live),
        manifest.shards()
    ));
    report.line(&format!("  written    {} by this commit", human(manifest.written_bytes())));
    report.line(&format!(
        "  records    {} read: {} on time, {} late, {} ahead, {} bad",
        grouped(tally.read),
        grouped(tally.on_time),
        grouped(tally.late),
        grouped(tally.ahead),
        grouped(tally.bad_total())
    ));
    for begun in &about.begun {
        report.line(&format!("  note       {}", began(begun)));
    }
    for position in &manifest.positions {
        let end = if position.finished { "to its end" } else { "not to its end" };
        report.line(&format!(
            "  {}  read up to {} (line {}), {end}",
            position.path,
            grouped(position.next),
            grouped(position.lines)
        ));
    }
}

/// Bytes of all segments.
struct Sizes {
    disk: u64,
    /// Unpacked.
    raw: u64,
    /// How many of those the commit needs.
    live: u64,
}

impl Sizes {
    fn of(manifest: &Manifest) -> Sizes {
        let sum = |of: fn(&Segment) -> u64| manifest.segments.iter().map(of).sum();
        Sizes { disk: sum(|s| s.bytes), raw: sum(|s| s.raw_bytes), live: sum(|s| s.live_bytes) }
    }
}

fn facts(manifest: &Manifest) -> Vec<Answer> {
    let who = [("source", manifest.about.source.clone())];
    let Sizes { disk, raw, live } = Sizes::of(manifest);
    let numbers = [
        ("commit", manifest.number),
        ("disk_bytes", disk),
        ("unpacked_bytes", raw),
        ("live_bytes", live),
        ("written_bytes", manifest.written_bytes()),
        ("segments", manifest.segments.len() as u64),
        ("shards", manifest.shards() as u64),
        ("blocks", manifest.next_block),
    ];
    let mut out: Vec<Answer> =
        numbers.map(|(what, n)| fact("sg.state", &who, what, n as f64, None)).into_iter().collect();
    for begun in &manifest.about.begun {
        let by = begun.by.as_ref().map(|by| ("by", by.join(",")));
        let who = [("source", manifest.about.source.clone()), ("metric", begun.metric.clone())];
        let who: Vec<(&str, String)> = who.into_iter().chain(by).collect();
        out.push(fact("sg.state", &who, "begun_after_records", begun.records as f64, None));
    }
    for position in &manifest.positions {
        let who = [("source", manifest.about.source.clone()), ("file", position.path.clone())];
        let numbers = [("next", position.next), ("lines", position.lines)];
        out.extend(numbers.map(|(what, n)| fact("sg.state", &who, what, n as f64, None)));
    }
    out
}

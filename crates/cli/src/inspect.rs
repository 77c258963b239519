//! `streamgauge inspect`: what a state directory holds, and how far each input was read.

use crate::keep::began;
use crate::origins::{Merged, Ours, Site, Version};
use crate::run::NOT_WHOLE;
use crate::show::{Format, Report};
use crate::sketches::{fact, tell_holdings};
use crate::{Trouble, say};
use clap::Args;
use engine::answer::Answer;
use engine::intake::Tally;
use engine::shard::{Away, Spilled};
use engine::spec::{Question, Source};
use engine::state::State;
use engine::time::{SECOND, Time};
use plan::Override;
use plan::size::{grouped, human};
use runtime::checkpoint::{About, Manifest, Restored, Segment, StateDirectory};
use runtime::origins::{names, read};
use sketch::Limits;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Shown below the options.
pub const EXAMPLES: &str = "Examples:
  streamgauge run --once shop.toml --state state
  streamgauge inspect state
  streamgauge inspect state --format json

It reads the last commit of every source and writes nothing, so it may be used while a run goes on. What other nodes have
sent (`push`) is merged, and listed by origin: commit, how far it is complete, age, bytes. Of each source it tells the commit, how far each file was read, what was late or bad, the size on disk, the metrics with their groups, panes and
bytes, and the totals.

Exit codes: 0 told; 3 the directory cannot be read, holds no state, or a damaged one, or an origin is left out.";

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
    let (mut told, mut whole) = (Vec::new(), true);
    for path in sources {
        let restored = StateDirectory::look(&path).map_err(Trouble::environment)?;
        let (more, all) = tell(&mut report, &args.directory, &path, restored, args.format)?;
        told.extend(more);
        whole &= all;
    }
    told.into_iter().for_each(|answer| report.put(answer));
    report.finish().map_err(|error| Trouble::environment(format!("cannot write the report: {error}")))?;
    Ok(ExitCode::from(if whole { 0 } else { NOT_WHOLE }))
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

/// Tells of a source; whether nothing was left out.
fn tell(
    report: &mut Report,
    directory: &Path,
    path: &Path,
    restored: Option<Restored>,
    format: Format,
) -> Result<(Vec<Answer>, bool), Trouble> {
    let wrong = |why: String| Trouble::environment(format!("`{}` cannot be read: {why}", path.display()));
    let (ours, name) = ours_of(directory, path, restored.as_ref())?;
    let source = ours.pipeline.spec.sources.iter().find(|source| source.name == name);
    let source = source.ok_or_else(|| wrong(format!("its pipeline has no source `{name}`")))?;
    let own = restored.as_ref().map(|restored| restored.state(source, &Limits::bytes(usize::MAX)));
    let own = own.transpose().map_err(wrong)?;
    let own_tally = own.as_ref().map(State::tally);
    let spilled = own.as_ref().map(|own| (own.spilled(), own.away()));
    let merged = Merged::new(own, source, &ours, directory);
    restored
        .iter()
        .flat_map(|restored| &restored.damaged)
        .for_each(|why| say(format_args!("WARNING: {why}")));
    merged.warn();
    let (whole, sites) = (merged.left_out.is_empty(), &merged.sites);
    let Some(state) = merged.state else {
        return Err(wrong("neither its own state nor one of an origin can be".into()));
    };
    if format == Format::Table {
        if let (Some(restored), Some(tally)) = (&restored, &own_tally) {
            head(report, path, &restored.manifest, tally);
            spilled.into_iter().for_each(|(spilled, away)| spilled_line(report, spilled, away));
        }
        sites.iter().for_each(|site| site_line(report, site));
    }
    let mut told = tell_holdings(report, source, &state, format);
    if format != Format::Table {
        told.extend(restored.iter().flat_map(|restored| facts(&restored.manifest)));
        told.extend(spilled.into_iter().flat_map(|(spilled, away)| spilled_facts(source, spilled, away)));
        told.extend(sites.iter().flat_map(|site| site_facts(source, site)));
    }
    state.outlet(source).each_answer(Question::Total, &mut |answer| report.put(answer));
    let shelves = restored.iter().map(|restored| restored.panes.shelf()).chain(&merged.shelves);
    if let Some(error) = shelves.filter_map(|shelf| shelf.lost()).next() {
        return Err(Trouble::environment(error));
    }
    Ok((told, whole))
}

/// The pipeline behind the directory of a source, and the name of that.
pub fn ours_of(
    directory: &Path,
    path: &Path,
    restored: Option<&Restored>,
) -> Result<(Ours, String), Trouble> {
    let about = match restored {
        Some(restored) => restored.manifest.about.clone(),
        None => about_of_others(directory, path)?,
    };
    Ok((ours(path, &about)?, about.source))
}

/// The pipeline that a state was made by.
fn ours(path: &Path, about: &About) -> Result<Ours, Trouble> {
    let wrong = |why: String| Trouble::environment(format!("`{}` cannot be read: {why}", path.display()));
    let overrides: Result<Vec<Override>, _> =
        about.overrides.iter().map(|text| Override::parse(text)).collect();
    let overrides = overrides.map_err(|error| wrong(format!("its overrides make no sense: {error}")))?;
    Ours::new(path, &about.name, &about.pipeline, &overrides)
        .map_err(|problems| wrong(format!("the pipeline it was made by is not understood here:\n{problems}")))
}

/// What a node measures that has committed nothing of its own yet: the same as those that have sent it their states.
fn about_of_others(directory: &Path, path: &Path) -> Result<About, Trouble> {
    let source = path.file_name().unwrap_or_default().to_string_lossy();
    let mut damaged = String::new();
    for origin in names(directory, &source) {
        match read(directory, &origin, &source) {
            Ok(Some(copied)) => return Ok(copied.restored.manifest.about),
            Ok(None) => {}
            Err(why) => damaged += &format!("\norigin `{origin}`: {why}"),
        }
    }
    Err(Trouble::environment(format!(
        "`{}` holds no commit yet: a run that ends, or goes on long enough, writes one{damaged}",
        path.display()
    )))
}

/// Seconds since a commit was written, by the clocks of two machines.
fn site_line(report: &mut Report, site: &Site) {
    let complete = site.watermark.map_or_else(|| "no time yet".into(), |mark| format!("complete to {mark}"));
    report.line(&format!(
        "  origin     {}: {}, {complete}, {} s old, {} on disk",
        site.name,
        site.version,
        grouped(site.age_s()),
        human(site.disk_bytes)
    ));
}

fn spilled_line(report: &mut Report, spilled: Spilled, away: Away) {
    if spilled.panes == 0 {
        return;
    }
    report.line(&format!(
        "  spilled    {} closed panes ({}) so far, {} of them once more with late events; {} ({}) are on disk alone now",
        grouped(spilled.panes),
        human(spilled.bytes),
        grouped(spilled.again),
        grouped(away.panes),
        human(away.bytes)
    ));
}

fn spilled_facts(source: &Source, spilled: Spilled, away: Away) -> Vec<Answer> {
    let who = [("source", source.name.clone())];
    let numbers = [
        ("spilled_panes", spilled.panes),
        ("spilled_bytes", spilled.bytes),
        ("spilled_again", spilled.again),
        ("away_panes", away.panes),
        ("away_bytes", away.bytes),
    ];
    numbers.into_iter().map(|(what, n)| fact("sg.state", &who, what, n as f64, None)).collect()
}

fn site_facts(source: &Source, site: &Site) -> Vec<Answer> {
    let who = [("source", source.name.clone()), ("origin", site.name.clone())];
    let version = match site.version {
        Version::Commit(number) => ("commit", number as f64),
        Version::Revision(number) => ("revision", number as f64),
    };
    let mut numbers = vec![version, ("disk_bytes", site.disk_bytes as f64), ("age_s", site.age_s() as f64)];
    // Seconds since 1970, as a number that others can subtract.
    numbers.extend(site.watermark.map(|mark| ("complete_to", mark.0 as f64 / SECOND as f64)));
    numbers.into_iter().map(|(what, n)| fact("sg.state", &who, what, n, None)).collect()
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

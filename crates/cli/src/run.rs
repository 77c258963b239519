//! `streamgauge run`: sources to their end, then every metric on standard output; everything else on standard error.

use crate::annotate::Events;
use crate::http::{self, Door, Inboxes};
use crate::keep::{self, Kept};
use crate::note::note;
use crate::origins;
use crate::output::{self, may_replace};
use crate::reload::{Ready, Signals, Standing, follow};
use crate::save;
use crate::show::{Format, Report};
use crate::work::{How, Opened, Work};
use crate::{NOTHING_MEASURED, Trouble, say};
use clap::Args;
use engine::annotate::{Annotator, Notes};
use engine::days::{DAY, Zone};
use engine::intake::Judged;
use engine::spec::{Question, Source};
use engine::time::Span;
use plan::{About, Pipeline, SinkKind};
use runtime::{Annotate, Finished, Live, RunError};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

/// Shown below the options.
pub const EXAMPLES: &str = "Examples:
  streamgauge run --once shop.toml
  streamgauge run --once shop.toml --format json --every 1m
  streamgauge run --once shop.toml --save monday.sgs
  streamgauge run --once shop.toml --state state
  streamgauge run shop.toml --state state
  streamgauge run --once shop-new.toml --state state --migrate
  streamgauge run --once shop.toml --annotate returning,visitors
  zcat day.gz | streamgauge run --once shop.toml --set source.events.path=- --set source.events.format=ndjson

Exit codes: 0 reported; 2 the command line or the pipeline file makes no sense; 3 an input cannot be read or an
output cannot be written, or the report lacks an origin; 4 reported, but there was nothing to measure, in all or for a metric.";

/// The words behind `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The pipeline file (TOML): sources, metrics, panes. See docs/pipeline-file.md.
    pipeline: PathBuf,
    /// Read the sources to their end, report, and stop. Without it they are followed: what is appended to files (also when
    /// they are rotated or truncated), files that join a pattern, standard input, until Ctrl-C or SIGTERM; then comes the
    /// report. At SIGHUP a run with --state reads the pipeline file anew and goes on with it (docs/resume.md).
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
    /// Windows of calendar days in this time zone, from midnight to midnight there (Europe/Berlin); --window and --every are
    /// whole days then.
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// Write every event back with what is known of it right then, instead of the report: names of metrics (`seen`: was
    /// the key there before; others: so far, for the event's group) and of fields, separated by commas. One shard.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', conflicts_with_all = ["format", "window", "every", "zone", "shards"], requires = "once")]
    annotate: Vec<String>,
    /// Write the whole state to this file as well, to be looked into (`sketch`) and merged with those of other days and
    /// places (`merge`). A state file that is there is replaced; another file is not.
    #[arg(long, value_name = "FILE", conflicts_with = "annotate", value_hint = clap::ValueHint::FilePath)]
    save: Option<PathBuf>,
    /// Keep the state in this directory, and go on from what it holds: a run that was interrupted, however it was, goes on
    /// without losing or doubling a record, and one over files that have grown or joined reads only what is new. The
    /// whole ladder of panes is kept, whatever is asked now.
    #[arg(long, value_name = "DIR", conflicts_with = "annotate", value_hint = clap::ValueHint::DirPath)]
    state: Option<PathBuf>,
    /// Go on from a state of another pipeline: metrics that measure the same keep what they have, others begin now, and hold only
    /// what comes from now on. `streamgauge diff` tells which are which.
    #[arg(long, requires = "state")]
    migrate: bool,
    /// Number of shards, the parts of the state [default: those of --state, else the cores of this machine, or fewer if `memory` does not hold the totals of so many].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    shards: Option<u16>,
    /// Number of threads, at most one for each shard; the answers do not depend on it [default: one for each shard].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256), conflicts_with = "annotate")]
    workers: Option<u16>,
}

/// What a run was asked for.
pub struct Asked<'a> {
    pub args: &'a RunArgs,
    pub question: Question,
}

impl RunArgs {
    /// Where the state is kept.
    pub fn state(&self) -> Option<&Path> {
        self.state.as_deref()
    }

    /// Whether a state of another pipeline goes on with what stays.
    pub fn migrates(&self) -> bool {
        self.migrate
    }
}

impl<'a> Asked<'a> {
    /// The pipeline file as it is now. Whatever can be judged before the first byte is read is judged here.
    ///
    /// # Errors
    /// A file that cannot be read, makes no sense, or cannot answer the question.
    pub fn ready(&self) -> Result<Ready<'a>, Trouble> {
        let args = self.args;
        let opened = Opened::new("run", &args.pipeline, &args.set)?;
        opened.no_circle()?;
        let kept = (0..opened.pipeline.spec.sources.len())
            .map(|index| {
                let asked = restrict(&opened.pipeline, index, self.question)?;
                // A state that is kept can be asked anything later, and panes leave that nobody asks for.
                let whole = keeps_all(args, &opened);
                Ok((index, if whole { opened.pipeline.spec.sources[index].clone() } else { asked }))
            })
            .collect::<Result<Vec<(usize, Source)>, Trouble>>()?;
        let shards = opened.shards(args.shards, &kept)?;
        Ok(Ready { opened, kept, shards })
    }
}

/// Runs the command.
pub fn run(args: &RunArgs) -> Result<ExitCode, Trouble> {
    let asked = Asked { args, question: question(args)? };
    let mut ready = asked.ready()?;
    let mut standing = Standing::new(&ready, args)?;
    let mut signals = None;
    loop {
        let stop = Arc::new(AtomicBool::new(false));
        let Standing { states, inboxes, lives, door } = &mut standing;
        let opened = &ready.opened;
        let notes: Vec<String> = states.iter().flatten().flat_map(Kept::notes).collect();
        let work = works(args, &ready, inboxes, &stop)?;
        if !args.annotate.is_empty() {
            return annotate(args, opened, &work);
        }
        if let Some(path) = &args.save {
            may_replace(path, &output::STATE)?;
        }
        if args.once {
            let finished = one_by_one(&work, states, args, ready.shards);
            inboxes.close();
            let told = tell(args, opened, &work, finished)?;
            notes.iter().for_each(say);
            return told.report(&asked, opened);
        }
        let signals = match &mut signals {
            Some(signals) => signals,
            none => none.insert(Signals::new()?),
        };
        lives.turn(work.iter().filter_map(|work| work.live.clone()).collect());
        if door.is_none() {
            *door = inboxes.serve(opened, args.state(), lives)?;
        }
        let (finished, next) = follow(&work, states, &asked, (ready.shards, opened), &stop, signals);
        let Some(next) = next else {
            door.take().into_iter().for_each(Door::close);
            inboxes.close();
            let told = tell(args, opened, &work, finished)?;
            notes.iter().for_each(say);
            return told.report(&asked, opened);
        };
        for (index, finished) in finished.into_iter().enumerate() {
            finished.map_err(|error| opened.unreadable(index, error))?;
        }
        drop(work);
        let below = args.state().unwrap_or(Path::new(""));
        standing = standing.turn(&next, below)?;
        ready = next;
    }
}

/// The sources, ready to be read.
fn works<'a>(
    args: &RunArgs,
    ready: &'a Ready<'_>,
    inboxes: &Inboxes,
    stop: &Arc<AtomicBool>,
) -> Result<Vec<Work<'a>>, Trouble> {
    let opened = &ready.opened;
    let input = |index| match inboxes.input(opened, index, args.once, stop) {
        Some(inbox) => Ok(inbox),
        None if args.once => opened.files(index),
        None => Ok(opened.follow(index, stop)),
    };
    let work = |(index, kept): &(usize, Source)| {
        let work = opened.work(*index, kept.clone(), input(*index)?);
        let live = is_asked(args, opened).then(|| Arc::new(Live::new(Arc::new(kept.clone()), FRESHNESS)));
        Ok(Work { sinks: opened.sinks(*index), live, ..work })
    };
    ready.kept.iter().map(work).collect()
}

/// Whether others may ask while the run goes on.
fn is_asked(args: &RunArgs, opened: &Opened<'_>) -> bool {
    !args.once && http::listens(opened)
}

/// Sources that came to their end.
struct Told<'a> {
    measured: Vec<Finished<'a>>,
    /// Whether there was nothing to measure, in all or for a metric.
    nothing: bool,
    /// Whether the states of all other nodes are in it.
    whole: bool,
}

/// Notes what happened, and merges what other nodes have sent. All sources first: a report is whole or not there at all.
fn tell<'a>(
    args: &RunArgs,
    opened: &Opened<'_>,
    work: &'a [Work<'a>],
    finished: Vec<Result<Finished<'a>, RunError>>,
) -> Result<Told<'a>, Trouble> {
    let mut told = Told { measured: Vec::new(), nothing: false, whole: true };
    for (index, (work, finished)) in work.iter().zip(finished).enumerate() {
        let finished = finished.map_err(|error| opened.unreadable(index, error))?;
        keep::note(&work.source.name, &finished);
        let others = args.state().filter(|state| origins::any_of(state, &work.source.name));
        // A node that has events of others alone has something to tell.
        if others.is_none() || finished.tally.read > 0 {
            told.nothing |= note(&opened.pipeline, index, &finished, &work.quarantine);
        }
        told.measured.push(finished);
        if let (Some(state), Some(finished)) = (others, told.measured.last_mut()) {
            told.whole &= origins::join(finished, &work.kept, opened, state)?;
        }
    }
    Ok(told)
}

impl Told<'_> {
    fn report(mut self, asked: &Asked<'_>, opened: &Opened<'_>) -> Result<ExitCode, Trouble> {
        let Asked { args, question } = *asked;
        let saved = args.save.as_ref().map_or(Ok(()), |path| {
            let states = self.measured.iter_mut().filter_map(|finished| finished.saved.take()).collect();
            let file = save::file(opened, question, keeps_all(args, opened), states);
            output::write(path, &file.write(), &output::STATE)
        });
        // Where panes leave over standard output, it holds nothing else.
        let taken = opened.pipeline.sinks.iter().any(|sink| sink.kind == SinkKind::Stdout);
        let reported = if taken { Ok(()) } else { report(&self.measured, args.format, question) };
        // What was measured is told, saved or not.
        saved?;
        reported?;
        // A pane that cannot be read is not in the report.
        let shelves = self.measured.iter().filter_map(|finished| finished.shelf.as_ref());
        if let Some(error) = shelves.filter_map(|shelf| shelf.lost()).next() {
            return Err(Trouble::environment(error));
        }
        Ok(ExitCode::from(match (self.whole, self.nothing) {
            (false, _) => NOT_WHOLE,
            (true, true) => NOTHING_MEASURED,
            (true, false) => 0,
        }))
    }
}

/// Whether the whole ladder of panes is kept, and not only what is asked.
fn keeps_all(args: &RunArgs, opened: &Opened<'_>) -> bool {
    args.state.is_some() || !opened.pipeline.sinks.is_empty() || is_asked(args, opened)
}

fn report(measured: &[Finished<'_>], format: Format, question: Question) -> Result<(), Trouble> {
    let mut report = Report::start(format);
    measured
        .iter()
        .for_each(|finished| finished.outlet.each_answer(question, &mut |answer| report.put(answer)));
    report.finish().map_err(|e| Trouble::environment(format!("cannot write the report: {e}")))
}

/// Reads one source after the other; an error ends it.
fn one_by_one<'a>(
    work: &'a [Work<'a>],
    states: &'a mut [Option<Kept>],
    args: &RunArgs,
    shards: usize,
) -> Vec<Result<Finished<'a>, RunError>> {
    let mut out: Vec<Result<Finished<'_>, RunError>> = Vec::new();
    for (work, state) in work.iter().zip(states) {
        out.push(work.measure(how(args, shards, state.as_mut())));
        if out.last().is_some_and(Result::is_err) {
            break;
        }
    }
    out
}

/// Follows all sources at once, each with threads of its own. An error in one stops all.
pub fn together<'a>(
    work: &'a [Work<'a>],
    states: &'a mut [Option<Kept>],
    args: &RunArgs,
    shards: usize,
    stop: &AtomicBool,
) -> Vec<Result<Finished<'a>, RunError>> {
    std::thread::scope(|scope| {
        let follow = |(work, state): (&'a Work<'a>, &'a mut Option<Kept>)| {
            scope.spawn(move || {
                let out = work.measure(how(args, shards, state.as_mut()));
                if out.is_err() {
                    stop.store(true, Ordering::Release);
                }
                out
            })
        };
        let runs: Vec<_> = work.iter().zip(states).map(follow).collect();
        let join = |run: ScopedJoinHandle<'_, _>| {
            run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        runs.into_iter().map(join).collect()
    })
}

fn how<'a>(args: &RunArgs, shards: usize, state: Option<&'a mut Kept>) -> How<'a> {
    let shards = match (args.shards, state.as_deref().and_then(Kept::shards)) {
        (None, Some(shards)) => shards,
        _ => shards,
    };
    How {
        shards,
        workers: args.workers.map_or(shards, usize::from),
        // What other nodes have sent is merged with the state, and may come at any time.
        save: args.save.is_some() || args.state().is_some_and(runtime::origins::any),
        keep: state.map(Kept::keep),
        annotate: None,
    }
}

/// Every event with what is known of it.
fn annotate(args: &RunArgs, opened: &Opened<'_>, work: &[Work<'_>]) -> Result<ExitCode, Trouble> {
    let [work] = work else {
        return Err(Trouble::question("--annotate takes one source, and this pipeline has several"));
    };
    let annotator = Annotator::new(&work.kept, &args.annotate).map_err(|wrong| {
        let mut names: Vec<String> = work.kept.metrics.iter().map(|metric| metric.name.clone()).collect();
        for column in work.kept.columns() {
            // Expressions inside metrics have no name, verdicts have that of their metric.
            if !column.path.contains(' ') && !names.contains(&column.path) {
                names.push(column.path);
            }
        }
        Trouble::question(format!("{wrong}\nthere are: {}", names.join(", ")))
    })?;
    let events = Events::new(work.source.format == engine::spec::Format::Ndjson);
    let write = |judged: &Judged, row: usize, notes: Notes<'_>| events.write(judged, row, &notes);
    let annotate = Annotate { annotator: &annotator, write: &write };
    let finished = work
        .measure(How { shards: 1, annotate: Some(annotate), ..How::default() })
        .map_err(|error| opened.unreadable(0, error))?;
    let nothing = note(&opened.pipeline, 0, &finished, &work.quarantine);
    events.finish().map_err(|e| Trouble::environment(format!("cannot write the events: {e}")))?;
    Ok(ExitCode::from(if nothing { NOTHING_MEASURED } else { 0 }))
}

fn question(args: &RunArgs) -> Result<Question, Trouble> {
    let (window, every) = match (args.window, args.every) {
        (None, None) if args.zone.is_some() => {
            let text = "--zone says whose days windows are made of: add --every 1d";
            return Err(Trouble::question(text));
        }
        (None, None) => return Ok(Question::Total),
        (Some(window), None) => (window, window),
        (None, Some(every)) => (every, every),
        (Some(window), Some(every)) => (window, every),
    };
    let wrong = |text: String| Err(Trouble::question(text));
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
    let Some(name) = &args.zone else { return Ok(Question::Windows { window, every }) };
    let days = |span: Span| u32::try_from(span.0 / DAY).ok().filter(|_| span.0 % DAY == 0);
    let (Some(window), Some(every)) = (days(window), days(every)) else {
        return wrong("with --zone windows are made of calendar days: --every 1d, --window 7d".into());
    };
    let zone = plan::zone_name(name).map_err(Trouble::question)?;
    let zone =
        Zone::new(&zone).ok_or_else(|| Trouble::question(format!("there is no time zone `{name}`")))?;
    Ok(Question::Days { window, every, zone })
}

/// How old an answer may be that is given while the run goes on.
const FRESHNESS: Duration = Duration::from_secs(1);

/// Exit code of a run whose report lacks the state of another node that cannot be read.
pub const NOT_WHOLE: u8 = 3;

/// Steps in one sliding window: every window is merged from its panes anew.
const SLIDES_MAX: i64 = 10_000;

/// The source with only what the question can ask of it.
fn restrict(pipeline: &Pipeline, index: usize, question: Question) -> Result<Source, Trouble> {
    let source = &pipeline.spec.sources[index];
    let wrong = |text: String, hint: &str| {
        Trouble::settings(pipeline.problem(index, About::Source, text, Some(hint.to_string())))
    };
    let name = &source.name;
    if question != Question::Total {
        if source.time.is_none() {
            let text = format!("source `{name}` has no event time, so there are no windows");
            return Err(wrong(text, "add time = { field = \"ts\" }, or leave --window and --every out"));
        }
        if source.metrics.iter().all(|m| m.levels.is_empty()) {
            let text = format!("no metric of source `{name}` has panes, so there are no windows");
            return Err(wrong(text, "leave out keep = \"forever\" on the metrics you want windows of"));
        }
    }
    let kept = question.restrict(source).map_err(|metric| {
        let levels = source.metrics.iter().filter(|m| m.name == metric).flat_map(|m| &m.levels);
        let sizes: Vec<String> = levels.map(|l| l.size.to_string()).collect();
        let text = format!(
            "metric `{metric}` keeps panes of {}, and windows {} are not made of them",
            sizes.join(", "),
            asked(question)
        );
        match question {
            Question::Days { zone, .. } => {
                let hint = format!(
                    "days of {zone} are made of panes of {}, or of parts of it: add them",
                    zone.grain()
                );
                wrong(text, &hint)
            }
            _ => wrong(text, "ask for multiples of a pane, or add a finer one to `panes`"),
        }
    })?;
    let window = match question {
        Question::Windows { window, .. } => Some(window),
        Question::Days { window, .. } => Some(Span(i64::from(window) * DAY)),
        Question::Total => None,
    };
    if let Some(window) = window {
        for metric in &kept.metrics {
            if let Some(level) = metric.levels.first().filter(|l| l.keep < window) {
                say(format_args!(
                    "warning: `{}` keeps its panes for {}, so hardly a window of {window} is whole; raise `keep` in `panes`",
                    metric.name, level.keep
                ));
            }
        }
    }
    Ok(kept)
}

fn asked(question: Question) -> String {
    match question {
        Question::Windows { window, every } if window != every => format!("of {window} every {every}"),
        Question::Windows { window, .. } => format!("of {window}"),
        Question::Days { window, every, zone } if window != every => {
            format!("of {window}d every {every}d in {zone}")
        }
        Question::Days { window, zone, .. } => format!("of {window}d in {zone}"),
        Question::Total => "of all time".into(),
    }
}

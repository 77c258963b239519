//! `streamgauge demo`: the events of a made-up shop through its pipeline, every answer beside the exact one.
//!
//! The events are made here (crate `shop`) and go straight into the engine; nothing is read or written. They are made
//! three times: to be measured with a clock and counted exactly, to weigh each sketch beside the structure that it
//! replaces, and to weigh the engine as a whole. It all follows from the arguments but for the clock. Where somebody looks on,
//! they are measured once more behind a dashboard.

mod compare;
mod door;
mod facts;
mod measure;
mod memory;
mod paint;
mod stream;
mod text;
mod truth;

use crate::{Trouble, say};
use clap::Args;
use compare::Answers;
use door::Door;
use facts::{Facts, Run};
use measure::{Measured, Work};
use paint::Paint;
use plan::Pipeline;
use shop::{Settings, Shop};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use truth::Truth;

/// Shown below the options.
pub const EXAMPLES: &str = "Examples:
  streamgauge demo
  streamgauge demo --events 1000000 --entities 200000 --seed 7
  streamgauge demo --format json | jq .memory
  streamgauge demo --print-pipeline > shop.toml
  streamgauge demo --pipeline shop.toml
  streamgauge demo --write events.ndjson
  streamgauge demo --open
  streamgauge demo --serve --listen 127.0.0.1:9000 > report.txt

On a terminal the dashboard of the shop is at the address that standard error names, from the start on, and stays there after the
report until Ctrl-C. Elsewhere (a pipe, a script, CI=true) the demo ends with its report, unless --serve asks for the dashboard.

Metrics that are named and made as in the built-in pipeline are shown beside the exact answers, others by themselves.
NO_COLOR=1 leaves colours out. Exit codes: 0 reported; 2 the command line or the pipeline file makes no sense; 3 a file
cannot be read or written, or the address is not to be had.";

/// The pipeline of the demo, which is an ordinary file.
const PIPELINE: &str = include_str!("../../../../examples/shop.toml");

/// Most events of a report: the exact answers keep every value.
const EVENTS_MAX: u64 = 10_000_000;
/// Most events of a file.
const EVENTS_WRITTEN_MAX: u64 = 1_000_000_000;
/// Most users: each costs the generator 16 bytes.
const ENTITIES_MAX: u64 = 10_000_000;

/// The words behind `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// How many events.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    events: u64,
    /// How many users there are; some may not turn up.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    entities: u64,
    /// Another seed is another shop; the same seed gives the same bytes.
    #[arg(long, value_name = "N", default_value_t = 42)]
    seed: u64,
    /// Leave the flood of purchases out.
    #[arg(long)]
    no_flood: bool,
    /// Write the events to a file and stop: CSV if its name ends in .csv, else NDJSON; `-` is standard output.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pipeline", "print_pipeline"])]
    write: Option<String>,
    /// Write over a file that is there already.
    #[arg(long, requires = "write")]
    force: bool,
    /// Run another pipeline file on the events.
    #[arg(long, value_name = "FILE", conflicts_with = "print_pipeline")]
    pipeline: Option<PathBuf>,
    /// Print the built-in pipeline file (examples/shop.toml) and stop.
    #[arg(long)]
    print_pipeline: bool,
    /// Number of shards; here all on one thread.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    shards: u16,
    /// How the report is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Serve the dashboard until Ctrl-C, also where there is no terminal.
    #[arg(long, conflicts_with_all = ["write", "print_pipeline"])]
    serve: bool,
    /// Serve no dashboard, and end with the report.
    #[arg(long, conflicts_with_all = ["serve", "open", "listen"])]
    no_serve: bool,
    /// Serve the dashboard, and open it in the browser.
    #[arg(long, conflicts_with_all = ["write", "print_pipeline"])]
    open: bool,
    /// Serve the dashboard there [default: 127.0.0.1:8428, or any free port where that is taken].
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["write", "print_pipeline"])]
    listen: Option<SocketAddr>,
}

/// How the report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Sections of aligned text for people.
    Table,
    /// One JSON object of numbers for programs.
    Json,
}

/// Runs the command.
pub fn demo(args: &DemoArgs) -> Result<ExitCode, Trouble> {
    if args.print_pipeline {
        return print(|out| out.write_all(PIPELINE.as_bytes()));
    }
    let settings = settings(args)?;
    if let Some(name) = &args.write {
        stream::write(Shop::new(settings), name, args.force)?;
        if name != "-" {
            say(format_args!("wrote {} events to {name}", crate::show::grouped(args.events.into())));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let builtin = parse("examples/shop.toml", PIPELINE)?;
    let pipeline = match &args.pipeline {
        Some(path) => load(path)?,
        None => builtin.clone(),
    };
    let work = Work::new(&pipeline, &builtin, &settings, usize::from(args.shards))?;
    let mut door = serves(args).then(|| Door::open(&pipeline, args.listen)).transpose()?;
    if let Some(door) = door.as_ref().filter(|_| args.open) {
        door::show(&door.address());
    }
    let begin = || door.iter_mut().for_each(|door| door.begin(&settings));
    let facts = facts(args, &settings, &pipeline, &work, begin);
    let printed = print(|out| match args.format {
        Format::Table => text::write(out, &facts, Paint::of_stdout()),
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &facts)?;
            out.write_all(b"\n")
        }
    })?;
    door.map_or(Ok(()), Door::wait).map(|()| printed)
}

/// Whether there is a dashboard, and so no end: where somebody asks for it, or sits before a terminal.
fn serves(args: &DemoArgs) -> bool {
    let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let unattended = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    args.serve || args.open || args.listen.is_some() || terminal && !unattended && !args.no_serve
}

/// What there is to tell. `begin` is called when the clock has stopped, and nothing else is timed.
fn facts(
    args: &DemoArgs,
    settings: &Settings,
    pipeline: &Pipeline,
    work: &Work,
    begin: impl FnOnce(),
) -> Facts {
    let mut truth = Truth::new(work.width);
    let measured = work.measure(settings, &mut truth);
    begin();
    let answers = Answers::new(work, &measured);
    Facts {
        run: run(args, settings, pipeline, &measured),
        people: answers.people(&truth),
        windows: answers.windows(settings, &truth),
        types: answers.types(&truth),
        tops: answers.tops(&truth),
        money: answers.money(&truth),
        samples: answers.samples(),
        others: answers.others(),
        latency: answers.latency(&mut truth),
        memory: memory::measure(work, settings),
    }
}

fn run(args: &DemoArgs, settings: &Settings, pipeline: &Pipeline, measured: &Measured) -> Run {
    let seconds = measured.took.as_secs_f64();
    let tally = measured.tally;
    Run {
        events: settings.events,
        entities: settings.entities,
        seed: settings.seed,
        flood: settings.flood_range().is_some(),
        pipeline: pipeline.spec.name.clone(),
        builtin: args.pipeline.is_none(),
        metrics: pipeline.spec.sources[0].metrics.len(),
        shards: usize::from(args.shards),
        read: tally.read,
        bad: tally.bad_total(),
        late: tally.late,
        seconds,
        events_per_second: tally.read as f64 / seconds.max(1e-9),
    }
}

/// The shop that was asked for. What cannot be is said here, in one place.
fn settings(args: &DemoArgs) -> Result<Settings, Trouble> {
    let most = if args.write.is_some() { EVENTS_WRITTEN_MAX } else { EVENTS_MAX };
    let wrong = |text: String| Err(Trouble::question(text));
    if args.events == 0 {
        return wrong("--events 0 leaves nothing to measure: ask for 1 or more".into());
    }
    if args.events > most {
        let (asked, most) = (crate::show::grouped(args.events.into()), crate::show::grouped(most.into()));
        let hint = match args.write {
            Some(_) => "write several files with a --seed each",
            None => "the exact answers keep every value; for more: demo --write FILE, then run --once",
        };
        return wrong(format!("--events {asked} is more than {most}: {hint}"));
    }
    if args.entities == 0 {
        return wrong("--entities 0 leaves nobody to make the events: ask for 1 or more users".into());
    }
    if args.entities > ENTITIES_MAX {
        let (asked, most) =
            (crate::show::grouped(args.entities.into()), crate::show::grouped(ENTITIES_MAX.into()));
        return wrong(format!(
            "--entities {asked} is more than {most} users: each costs the generator 16 bytes"
        ));
    }
    let entities = u32::try_from(args.entities).expect("checked above");
    Ok(Settings::new(args.events, entities, args.seed).with_flood(!args.no_flood))
}

fn load(path: &Path) -> Result<Pipeline, Trouble> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Trouble::environment(format!("cannot read the pipeline file `{name}`: {error}")))?;
    parse(&name, &text)
}

fn parse(name: &str, text: &str) -> Result<Pipeline, Trouble> {
    Pipeline::parse(name, text, &[]).map_err(Trouble::settings)
}

/// Writes to standard output. A reader that goes away early is no error.
fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<ExitCode, Trouble> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Trouble::environment(format!("cannot write the report: {error}")))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

//! `streamgauge`: the command line. It wires the plan, the runtime and the engine; it knows how nothing is done.
// `heap` alone is allowed some.
#![deny(unsafe_code)]

mod annotate;
mod check;
mod demo;
mod diff;
mod heap;
mod hint;
mod http;
mod image;
mod init;
mod inspect;
mod interrupt;
mod joined;
mod keep;
mod manual;
mod merge;
mod note;
mod origins;
mod output;
mod progress;
mod push;
mod query;
mod reload;
mod run;
mod save;
mod show;
mod sketches;
mod work;

use clap::{CommandFactory, Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;

/// Real-time approximate analytics of event streams: small mergeable sketches, honest bounds on every number.
#[derive(Debug, Parser)]
#[command(name = "streamgauge", version, arg_required_else_help = true, after_help = EXAMPLE)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLE: &str = "Examples:
  streamgauge demo
  streamgauge run --once shop.toml

What a verb can do: streamgauge help VERB";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Measures the events of a made-up shop and shows the answers beside the exact ones.
    #[command(after_help = demo::EXAMPLES)]
    Demo(demo::DemoArgs),
    /// Reads the sources of a pipeline file and reports every metric.
    #[command(after_help = run::EXAMPLES)]
    Run(run::RunArgs),
    /// Says before the start what a pipeline will cost, how exact it will be, and what is doubtful about it.
    #[command(after_help = check::EXAMPLES)]
    Check(check::CheckArgs),
    /// Says which states are kept, which begin and which go when a pipeline file changes.
    #[command(after_help = diff::EXAMPLES)]
    Diff(diff::DiffArgs),
    /// Looks at the head of a file of events and writes a first pipeline file for it.
    #[command(after_help = init::EXAMPLES)]
    Init(init::InitArgs),
    /// Merges saved states, or sketches of one kind, into one file.
    #[command(after_help = merge::EXAMPLES)]
    Merge(merge::MergeArgs),
    /// Tells what saved states and sketches hold: numbers with bounds, kind, parameters, memory, health.
    #[command(after_help = sketches::EXAMPLES)]
    Sketch(sketches::SketchArgs),
    /// Tells what a state directory holds: commit, read positions, late and bad counts, sizes, metrics.
    #[command(after_help = inspect::EXAMPLES)]
    Inspect(inspect::InspectArgs),
    /// Asks a state directory, or a file of events, in SQL.
    #[command(after_help = query::EXAMPLES)]
    Query(query::QueryArgs),
    /// Sends what a state directory has committed to another node, which reports over all that are sent to it.
    #[command(after_help = push::EXAMPLES)]
    Push(push::PushArgs),
    /// Writes the completions of a shell to standard output.
    #[command(after_help = manual::COMPLETIONS)]
    Completions(manual::CompletionsArgs),
    /// Writes the manual page to standard output, or all pages into a directory.
    #[command(after_help = manual::MAN)]
    Man(manual::ManArgs),
}

fn main() -> ExitCode {
    #[cfg(feature = "sabotage")]
    if let Ok(bug) = std::env::var("STREAMGAUGE_SABOTAGE")
        && !sabotage::begin(&bug)
    {
        say(format_args!("error: there is no bug called `{bug}`"));
        return ExitCode::from(2);
    }
    let cli = Cli::parse();
    let outcome = match cli.verb {
        Verb::Demo(args) => demo::demo(&args),
        Verb::Run(args) => run::run(&args),
        Verb::Check(args) => check::check(&args),
        Verb::Diff(args) => diff::diff(&args),
        Verb::Init(args) => init::init(&args),
        Verb::Merge(args) => merge::merge(&args),
        Verb::Sketch(args) => sketches::sketch(&args),
        Verb::Inspect(args) => inspect::inspect(&args),
        Verb::Query(args) => query::query(&args),
        Verb::Push(args) => push::push(&args),
        Verb::Completions(args) => manual::completions(&args, Cli::command()),
        Verb::Man(args) => manual::man(&args, Cli::command()),
    };
    match outcome {
        Ok(code) => code,
        Err(trouble) => {
            say(trouble.text.trim_end());
            ExitCode::from(trouble.code)
        }
    }
}

/// Writes a line to standard error. That nobody reads it any more is no reason to stop, let alone to panic.
fn say(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Why a command could not do its work: one clear text, and an exit code by kind (docs/pipeline-file.md).
#[derive(Debug)]
struct Trouble {
    code: u8,
    text: String,
}

impl Trouble {
    /// The pipeline file or the question does not make sense.
    fn settings(text: impl std::fmt::Display) -> Trouble {
        Trouble { code: 2, text: text.to_string() }
    }

    /// The same in one sentence.
    fn question(text: impl std::fmt::Display) -> Trouble {
        Trouble::settings(format!("error: {text}"))
    }

    /// An input cannot be read or an output cannot be written.
    fn environment(text: impl std::fmt::Display) -> Trouble {
        Trouble { code: 3, text: format!("error: {text}") }
    }
}

/// Exit code of a run that reported, but of which a metric or the whole input had nothing to measure.
const NOTHING_MEASURED: u8 = 4;

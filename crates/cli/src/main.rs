//! `streamgauge`: the command line. It wires the plan, the runtime and the engine; it knows how nothing is done.
#![forbid(unsafe_code)]

mod progress;
mod run;
mod show;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Real-time approximate analytics of event streams: small mergeable sketches, honest bounds on every number.
#[derive(Debug, Parser)]
#[command(name = "streamgauge", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Reads the sources of a pipeline file and reports every metric.
    Run(run::RunArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.verb {
        Verb::Run(args) => run::run(&args),
    };
    match outcome {
        Ok(code) => code,
        Err(trouble) => {
            eprintln!("{}", trouble.text.trim_end());
            ExitCode::from(trouble.code)
        }
    }
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

    /// An input cannot be read or an output cannot be written.
    fn environment(text: impl std::fmt::Display) -> Trouble {
        Trouble { code: 3, text: format!("error: {text}") }
    }
}

/// Exit code of a run that reported, but of which a metric or the whole input had nothing to measure.
const NOTHING_MEASURED: u8 = 4;

//! `streamgauge check`: what a pipeline will cost and promise, before it runs. The figures are `plan`'s; here they are
//! asked for and shown.

mod sample;
mod table;

use crate::work::Opened;
use crate::{Trouble, say};
use clap::Args;
use engine::spec::Question;
use plan::size::SourceSize;
use plan::{Explained, Problems};
use sample::Sampled;
use serde::Serialize;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Shown below the options.
pub const EXAMPLES: &str = "Examples:
  streamgauge check shop.toml
  streamgauge check shop.toml --set memory=64MiB --explain
  streamgauge check shop.toml --sample yesterday.ndjson.gz
  streamgauge check --schema > pipeline.schema.json

No input is opened without --sample. Bytes are those that `memory` bounds; `run` never goes beyond them because state
gives way: groups into the other group, then precision, then the oldest panes.

Exit codes: 0 it can run, perhaps with warnings; 2 the command line or the pipeline file makes no sense, or `memory` is
too small for what never gives way; 3 a file cannot be read or the report cannot be written.";

/// The words behind `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The pipeline file (TOML): sources, metrics, panes. See docs/pipeline-file.md.
    #[arg(required_unless_present = "schema")]
    pipeline: Option<PathBuf>,
    /// Override a key of the pipeline file, as in memory=64MiB. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Run the pipeline over this file in place of its own ones, and compare what it takes with what was reckoned.
    #[arg(long, value_name = "FILE")]
    sample: Option<PathBuf>,
    /// Print the JSON Schema of pipeline files, for editors, and stop.
    #[arg(long)]
    schema: bool,
    /// Say what the engine will do with each event.
    #[arg(long)]
    explain: bool,
    /// How the report is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Number of shards to reckon with [default: as in `run`].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    shards: Option<u16>,
}

/// How the report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned text for people.
    Table,
    /// One JSON object.
    Json,
}

/// All that `check` found. The field names are those of its JSON.
#[derive(Debug, Serialize)]
struct Report {
    pipeline: String,
    /// `interchange`, `fast` or `keyed`.
    hash: &'static str,
    /// What states under the key are recognised by; nothing of the key follows from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hash_key_id: Option<String>,
    memory_bytes: u64,
    shards: usize,
    sources: Vec<Checked>,
    warnings: Vec<Warned>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<Vec<Explained>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<Sampled>,
}

/// One source.
#[derive(Debug, Serialize)]
struct Checked {
    #[serde(flatten)]
    size: SourceSize,
    worst_bytes: u64,
    filter_bytes: u64,
    total_bytes: u64,
    /// What never gives way: filters, sessions that are held, and the totals without groups of every shard.
    certain_bytes: u64,
    /// The least `memory` that will do for this source.
    needed_bytes: u64,
    questions: Vec<Asked>,
}

/// What one way of asking keeps.
#[derive(Debug, Serialize)]
struct Asked {
    /// `totals`, or the words of `run` for windows.
    run: String,
    /// Every cell full, in every shard.
    worst_bytes: u64,
    /// A few events in every pane.
    least_bytes: u64,
    /// What gives way first, if it comes to that; nothing when all of it fits.
    first_to_give_way: Option<String>,
}

#[derive(Debug, Serialize)]
struct Warned {
    line: Option<usize>,
    message: String,
    hint: Option<String>,
}

/// Runs the command.
pub fn check(args: &CheckArgs) -> Result<ExitCode, Trouble> {
    if args.schema {
        return print(plan::SCHEMA);
    }
    let Some(path) = &args.pipeline else { return Err(Trouble::question("which pipeline file?")) };
    let opened = Opened::new("check", path, &args.set)?;
    opened.no_circle()?;
    let pipeline = &opened.pipeline;
    if args.sample.is_some() && pipeline.spec.sources.len() > 1 {
        return Err(Trouble::question("--sample is for pipelines of one source, and this one has several"));
    }
    let numbers = 0..pipeline.spec.sources.len();
    let questions = |index| pipeline.questions(index).into_iter().map(move |(_, kept)| (index, kept));
    let kept: Vec<_> = numbers.flat_map(questions).collect();
    let shards = opened.shards(args.shards, &kept)?;
    let warnings = pipeline.warnings();
    let sizes = pipeline.sizes();
    let sample = match &args.sample {
        Some(file) => Some(sample::run(&opened, file, &sizes[0])?),
        None => None,
    };
    let sources = sizes.into_iter().enumerate();
    let report = Report {
        pipeline: pipeline.spec.name.clone(),
        hash: pipeline.hash(),
        hash_key_id: pipeline.hash_key_id(),
        memory_bytes: pipeline.spec.memory_bytes,
        shards,
        sources: sources.map(|(index, size)| checked(&opened, index, size, shards)).collect(),
        warnings: warnings.iter().map(|warning| warned(&warnings, warning)).collect(),
        explain: args.explain.then(|| pipeline.explain()),
        sample,
    };
    match args.format {
        Format::Table => {
            let code = print(&table::of(&report))?;
            if !warnings.is_empty() {
                say(warnings.to_string().trim_end());
            }
            Ok(code)
        }
        Format::Json => {
            let text = serde_json::to_string_pretty(&report).map_err(Trouble::environment)?;
            print(&format!("{text}\n"))
        }
    }
}

fn checked(opened: &Opened<'_>, index: usize, size: SourceSize, shards: usize) -> Checked {
    let pipeline = &opened.pipeline;
    let questions = pipeline.questions(index).into_iter().map(|(question, kept)| {
        let kept = pipeline.size_of(index, &kept);
        // Filters and sessions are one for all shards, everything else every shard has for itself.
        let state = kept.worst_bytes() - kept.judge_bytes();
        Asked {
            run: match question {
                Question::Total => "totals".into(),
                Question::Windows { every, .. } => format!("--every {every}"),
                Question::Days { every, zone, .. } => format!("--every {every}d --zone {zone}"),
            },
            worst_bytes: state.saturating_mul(shards as u64).saturating_add(kept.judge_bytes()),
            least_bytes: kept.least_bytes(),
            first_to_give_way: kept.gives_way_first(shards),
        }
    });
    let need = size.need(shards);
    Checked {
        worst_bytes: size.worst_bytes(),
        filter_bytes: size.filter_bytes(),
        total_bytes: size.total_bytes(),
        certain_bytes: size.filter_bytes() + size.certain_total_bytes().saturating_mul(shards as u64),
        needed_bytes: need.bytes,
        questions: questions.collect(),
        size,
    }
}

fn warned(warnings: &Problems, warning: &plan::Problem) -> Warned {
    Warned {
        line: warnings.position(warning).map(|(line, _)| line),
        message: warning.message.clone(),
        hint: warning.hint.clone(),
    }
}

/// Writes to standard output; a reader that goes away early is no error.
fn print(text: &str) -> Result<ExitCode, Trouble> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Trouble::environment(format!("cannot write the report: {error}")))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

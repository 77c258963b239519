//! `streamgauge query`: SQL on a state directory or on a file of events.

mod kept;
mod raw;
mod table;

use crate::{Trouble, say};
use arrow_array::RecordBatch;
use clap::Args;
use engine::time::Span;
use plan::query::{Lint, QueryError, Trouble as Kind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Shown below the options.
pub const EXAMPLES: &str = "Examples:
  streamgauge query state \"select device, value, low, high from visitors('24h', by => 'device')\"
  streamgauge query --state state \"select * from sg.metrics\"
  streamgauge query events.ndjson \"select device, unique(user_id) from events group by device\"
  zcat events.gz | streamgauge query - \"select top(page, 10) from events\" --format csv
  streamgauge query state \"select * from now\" --watch 2s

A directory is a state (run --state): its last commit is read, with what other nodes have sent, and nothing is written. Each
metric is a table and a function, and views of the pipeline file are tables (docs/sql.md). Anything else is a file of events:
aggregate functions are the measures of pipeline files.

What is doubtful about a query is told on standard error, with the right form.

Exit codes: 0 answered; 2 the query makes no sense or takes too much; 3 the state or the file cannot be read.";

/// The words behind `query`.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// A state directory, or a file of events (`-` is standard input), and then the query.
    #[arg(value_name = "[DIR|FILE] SQL", required = true, num_args = 1..=2)]
    words: Vec<String>,
    /// The state directory, when it is not the first word.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    state: Option<PathBuf>,
    /// How the answer is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Where it is written; `-` is standard output.
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: String,
    /// Ask again every so often, until interrupted.
    #[arg(long, value_name = "EVERY")]
    watch: Option<Span>,
    /// Longest time that the query may take.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    timeout: Span,
    /// Most memory that the query may take.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = plan::bytes)]
    memory: u64,
    /// Most rows of the answer.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    rows: usize,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned text for people.
    Table,
    /// One JSON object a row, in an array.
    Json,
    /// A line of names, then one line a row.
    Csv,
    /// Apache Parquet.
    Parquet,
}

/// An answer in whole.
pub struct Answer {
    pub batches: Vec<RecordBatch>,
    pub lints: Vec<Lint>,
    pub notes: Vec<String>,
}

/// Runs the command.
pub fn query(args: &QueryArgs) -> Result<ExitCode, Trouble> {
    let (place, sql) = match (args.words.as_slice(), &args.state) {
        ([sql], Some(state)) => (state.clone(), sql),
        ([place, sql], None) => (PathBuf::from(place), sql),
        ([_], None) => {
            let text = "what is asked? Name a state directory or a file of events first: streamgauge query state \"select ...\"";
            return Err(Trouble::question(text));
        }
        _ => return Err(Trouble::question("with --state the only word is the query")),
    };
    let every = args.watch.map(|every| Duration::from_micros(every.0.unsigned_abs()));
    if every.is_some_and(|every| every < Duration::from_millis(100)) {
        return Err(Trouble::question("--watch asks at most ten times a second: write 1s"));
    }
    if every.is_some() && (args.format == Format::Parquet || place == Path::new("-")) {
        return Err(Trouble::question("--watch is for states and files that are read again, and for text"));
    }
    let mut told = Vec::new();
    loop {
        let answer =
            if place.is_dir() { kept::ask(args, &place, sql)? } else { raw::ask(args, &place, sql)? };
        answer.notes.iter().for_each(|note| say(format_args!("note: {note}")));
        for lint in answer.lints {
            // Once is enough, however often it is asked.
            if !told.contains(&lint) {
                say(format_args!("warning: {}\n  {}", lint.message, lint.instead));
                told.push(lint);
            }
        }
        table::write(args.format, &args.output, &answer.batches, every.is_some())?;
        match every {
            Some(every) => std::thread::sleep(every),
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// A runtime for one query.
fn runtime() -> Result<tokio::runtime::Runtime, Trouble> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_time().build().map_err(Trouble::environment)
}

/// What a query is told.
fn trouble(error: QueryError) -> Trouble {
    let text = match &error.hint {
        Some(hint) => format!("{}\nhelp: {hint}", error.message),
        None => error.message.clone(),
    };
    match error.trouble {
        Kind::Wrong | Kind::Refused | Kind::Limit => Trouble::question(text),
        Kind::Unavailable => Trouble::environment(text),
    }
}

//! `streamgauge query`: SQL on a running server, a state directory, or a file of events.

mod kept;
mod raw;
mod server;
mod table;

use crate::{Trouble, say};
use arrow_array::RecordBatch;
use clap::Args;
use engine::time::Span;
use plan::query::{QueryError, Trouble as Kind};
use server::{No, Server};
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
  streamgauge query --server http://127.0.0.1:8428 \"select value, low, high from visitors('1h', by => '')\" --watch 1s
  streamgauge query --server http://gauge.example.org:8428 --token-env READ_TOKEN \"select * from sg.metrics\" --format csv

A directory is a state (run --state): its last commit is read, with what other nodes have sent, and nothing is written. Each
metric is a table and a function, and views of the pipeline file are tables (docs/sql.md). Anything else is a file of events:
aggregate functions are the measures of pipeline files.

With --server the question goes to a run that listens (POST /v1/sql), which answers as of now, within limits of its own. With --watch
a server that is away is asked again.

What is doubtful about a query is told on standard error, with the right form.

Exit codes: 0 answered; 2 the query makes no sense or takes too much, or the token is not the server's; 3 the state or the file
cannot be read, or the server not asked.";

/// The words behind `query`.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// A state directory, or a file of events (`-` is standard input), and then the query.
    #[arg(value_name = "[DIR|FILE] SQL", required = true, num_args = 1..=2)]
    words: Vec<String>,
    /// The state directory, when it is not the first word.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    state: Option<PathBuf>,
    /// Ask the run that listens there: http://HOST:PORT. For TLS let a proxy or a tunnel have it.
    #[arg(long, value_name = "URL", conflicts_with = "state")]
    server: Option<String>,
    /// The environment variable that holds the token of the server.
    #[arg(long, value_name = "NAME", requires = "server")]
    token_env: Option<String>,
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
    /// Most memory that the query may take; of a server, most bytes of its answer.
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
    /// What is doubtful about the query, and what to write instead.
    pub doubts: Vec<(String, String)>,
    pub notes: Vec<String>,
}

/// Who is asked.
enum Place {
    Kept(PathBuf),
    Raw(PathBuf),
    Server(Server),
}

impl Place {
    /// The place and the query that the words name.
    fn of(args: &QueryArgs) -> Result<(Place, &str), Trouble> {
        let local = |path: &Path| {
            if path.is_dir() { Place::Kept(path.into()) } else { Place::Raw(path.into()) }
        };
        match (args.words.as_slice(), &args.state, &args.server) {
            ([sql], None, Some(url)) => Ok((Place::Server(Server::new(args, url)?), sql)),
            ([sql], Some(state), None) => Ok((local(state), sql)),
            ([place, sql], None, None) => Ok((local(Path::new(place)), sql)),
            ([_], None, None) => {
                let text = "what is asked? Name a state directory or a file of events first: streamgauge query state \"select ...\", \
                            or a server: streamgauge query --server http://HOST:PORT \"select ...\"";
                Err(Trouble::question(text))
            }
            (_, _, Some(_)) => Err(Trouble::question("with --server the only word is the query")),
            _ => Err(Trouble::question("with --state the only word is the query")),
        }
    }

    fn ask(&self, args: &QueryArgs, sql: &str) -> Result<Answer, No> {
        match self {
            Place::Kept(directory) => kept::ask(args, directory, sql).map_err(No::Never),
            Place::Raw(file) => raw::ask(args, file, sql).map_err(No::Never),
            Place::Server(server) => server.ask(args, sql),
        }
    }
}

/// Runs the command.
pub fn query(args: &QueryArgs) -> Result<ExitCode, Trouble> {
    let (place, sql) = Place::of(args)?;
    let every = args.watch.map(|every| Duration::from_micros(every.0.unsigned_abs()));
    if every.is_some_and(|every| every < Duration::from_millis(100)) {
        return Err(Trouble::question("--watch asks at most ten times a second: write 1s"));
    }
    let stdin = matches!(&place, Place::Raw(path) if path == Path::new("-"));
    if every.is_some() && (args.format == Format::Parquet || stdin) {
        return Err(Trouble::question(
            "--watch is for states and files that are read again, for servers, and for text",
        ));
    }
    let (mut told, mut away) = (Vec::new(), None);
    loop {
        match place.ask(args, sql) {
            Ok(answer) => {
                away = None;
                tell(&answer, &mut told);
                table::write(args.format, &args.output, &answer.batches, every.is_some())?;
            }
            // Whoever watches waits for the server to come back; once is enough to say so.
            Err(No::Now(why)) if every.is_some() => {
                if away.as_ref() != Some(&why) {
                    say(format_args!("WARNING: {why}; it is asked again"));
                    away = Some(why);
                }
            }
            Err(no) => return Err(no.into()),
        }
        match every {
            Some(every) => std::thread::sleep(every),
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// What there is to say beside an answer. Once is enough for doubts, however often it is asked.
fn tell(answer: &Answer, told: &mut Vec<(String, String)>) {
    answer.notes.iter().for_each(|note| say(format_args!("note: {note}")));
    for doubt in &answer.doubts {
        if !told.contains(doubt) {
            say(format_args!("warning: {}\n  {}", doubt.0, doubt.1));
            told.push(doubt.clone());
        }
    }
}

/// Awaits on a runtime of its own, which is left as it is afterwards: what was stopped may still merge panes.
fn wait<T>(future: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_time().build().map_err(Trouble::environment)?;
    let done = runtime.block_on(future);
    runtime.shutdown_background();
    done
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

//! The project's chores, one file each: `cargo xtask check | interop | dashboard | clients | campaign | setup | bench | accuracy`. CI runs the same commands.
#![forbid(unsafe_code)]

mod accuracy;
mod bench;
mod campaign;
mod check;
mod clients;
mod dashboard;
mod floors;
mod interop;
mod memory;
mod sabotage;
mod setup;
mod shell;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Checks, set-up and benchmarks of the project.")]
enum Task {
    /// Floors, format, lints as errors, tests, doc tests: what must hold before every push.
    Check {
        /// Also the tests of the bench, the oracle's own test and a short bench.
        #[arg(long)]
        all: bool,
    },
    /// Kills, stops, reloads and overloads real processes, and lets separate programs judge (docs/RELIABILITY.md).
    Campaign(campaign::Options),
    /// Lets Spark read our sketches and us read Spark's.
    Interop,
    /// Looks at the dashboard with a real browser, and lets promtool read the metrics.
    Dashboard {
        /// The program as users get it.
        #[arg(long)]
        release: bool,
        /// Where pictures of the page go.
        #[arg(long, value_name = "DIR")]
        screenshots: Option<PathBuf>,
    },
    /// Lets real clients of Postgres ask a run: psql, psycopg, SQLAlchemy, JDBC, and the questions of dashboards.
    Clients {
        /// The program as users get it.
        #[arg(long)]
        release: bool,
    },
    /// Installs what the tests and the bench need on a new machine; does nothing where it is there already.
    Setup {
        /// Leave out the peers of the bench.
        #[arg(long)]
        tests_only: bool,
    },
    /// Measures streamgauge against its peers, on one core, and the sketches against their floors; `bench sketch` the
    /// sketches against those of other crates.
    Bench(bench::Bench),
    /// Offers 10^8 distinct keys and 10^7 groups to a budget of 256 MiB, and looks at the memory.
    Memory(memory::Options),
    /// Measures how far sketches are off, over many seeded trials, and writes docs/ACCURACY.md.
    Accuracy(accuracy::Options),
}

fn main() -> ExitCode {
    let task = Task::parse();
    let root = root();
    let done = match task {
        Task::Check { all } => check::run(&root, all),
        Task::Campaign(options) => campaign::run(&root, &options),
        Task::Interop => interop::run(&root),
        Task::Dashboard { release, screenshots } => dashboard::run(&root, release, screenshots.as_deref()),
        Task::Clients { release } => clients::run(&root, release),
        Task::Setup { tests_only } => setup::run(&root, tests_only),
        Task::Bench(bench) => bench.run(&root),
        Task::Memory(options) => memory::run(&root, &options),
        Task::Accuracy(options) => accuracy::run(&root, &options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            // Only the chain of causes: a backtrace of xtask says nothing about the command that failed.
            eprintln!("xtask: {trouble:#}");
            ExitCode::FAILURE
        }
    }
}

/// The repository: xtask lies directly below it.
fn root() -> PathBuf {
    let mut path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    path.pop();
    path
}

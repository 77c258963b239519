//! `cargo xtask bench sketch`: builds the workspace of the rivals, which nothing else builds, and runs it on one core.

use std::path::Path;

use anyhow::Result;
use cargo_metadata::MetadataCommand;

use super::{CORE, machine};
use crate::shell;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// How often each side does each job.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    passes: u32,
    /// Only the jobs that have this word in their names.
    #[arg(long, value_name = "WORD", default_value = "")]
    only: String,
    /// How the table is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Builds, runs and prints. A wrong answer of ours is a failure, a slow one is not.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let home = root.join("rivals");
    eprintln!("bench: building the rivals");
    shell::run(&mut shell::cargo(&home, ["build", "--release"]))?;
    let metadata = MetadataCommand::new().current_dir(&home).no_deps().exec()?;
    let program = metadata.target_directory.join("release/streamgauge-rivals").into_std_path_buf();
    let mut command = if shell::exists("taskset") {
        shell::command(&home, "taskset", ["-c".as_ref(), CORE.as_ref(), program.as_os_str()])
    } else {
        eprintln!("bench: not pinned to a core, as the program taskset is missing (package util-linux)");
        shell::command(&home, program, std::iter::empty::<&str>())
    };
    let format = if options.format == Format::Json { "json" } else { "text" };
    command.args(["--passes", &options.passes.to_string(), "--only", &options.only, "--format", format]);
    match options.format {
        Format::Text => println!("{}", machine(root)),
        Format::Json => eprintln!("{}", machine(root)),
    }
    shell::run(&mut command)
}

//! `cargo xtask accuracy`: measures every sketch against its formula and writes docs/ACCURACY.md with its plots.
//!
//! The program is an example of the sketch crate (`crates/sketch/examples/accuracy`), so that it builds without the engine.
//! All trials take some minutes of two quiet cores; what is written does not depend on the machine's speed.

use std::path::Path;

use anyhow::Result;

use crate::shell;

/// What is measured how often.
#[derive(clap::Args)]
pub struct Options {
    /// Trials of each experiment.
    #[arg(long, default_value_t = 10_000)]
    trials: u64,
    /// Another seed is another draw of the same page.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Measure one experiment alone, for example `hll`; the other sections of the page stay as they are.
    #[arg(long)]
    only: Option<String>,
}

/// Builds the program in release, and runs it.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let build = "run --release -p streamgauge-sketch --example accuracy --";
    let mut command = shell::cargo(root, build.split(' '));
    command.args(["--trials", &options.trials.to_string(), "--seed", &options.seed.to_string()]);
    command.arg("--out").arg(root.join("docs"));
    if let Some(only) = &options.only {
        command.args(["--only", only]);
    }
    shell::run(&mut command)
}

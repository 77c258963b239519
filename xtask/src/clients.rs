//! `cargo xtask clients`: real clients of Postgres ask a real run (tests/clients).

use std::path::Path;

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;

use crate::{setup, shell};

/// Runs them. Where one is missing all are left out, loudly; in CI that is a failure.
pub fn run(root: &Path, release: bool) -> Result<()> {
    let (python, driver) = match setup::clients(root) {
        Ok(found) => found,
        Err(missing) if std::env::var_os("CI").is_some_and(|ci| ci == "true") => return Err(missing),
        Err(missing) => {
            eprintln!("clients: SKIPPED, no client of Postgres has asked: {missing:#}");
            return Ok(());
        }
    };
    let program = ["--quiet", "--package", "streamgauge"];
    shell::run(shell::cargo(root, ["build"]).args(program).args(release.then_some("--release")))?;
    let metadata = MetadataCommand::new().current_dir(root).no_deps().exec()?;
    let built = metadata.target_directory.join(if release { "release" } else { "debug" }).join("streamgauge");
    let mut ask = shell::command(root, python, ["tests/clients/clients.py"]);
    shell::run(ask.arg(&built).arg(driver)).context("clients of Postgres do not find what they should")
}

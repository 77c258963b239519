//! `cargo xtask dashboard`: the dashboard in a real browser, what `/metrics` tells before Prometheus' own judge, and `/openapi.json` before a
//! validator of others (tests/dashboard).

use std::path::Path;

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;

use crate::{setup, shell};

/// Runs both. Where the browser or promtool is missing they are left out, loudly; in CI that is a failure.
pub fn run(root: &Path, release: bool, screenshots: Option<&Path>) -> Result<()> {
    let python = match setup::dashboard_python(root) {
        Ok(python) => python,
        Err(missing) if std::env::var_os("CI").is_some_and(|ci| ci == "true") => return Err(missing),
        Err(missing) => {
            eprintln!("dashboard: SKIPPED, no browser has looked at it: {missing:#}");
            return Ok(());
        }
    };
    let program = ["--quiet", "--package", "streamgauge"];
    shell::run(shell::cargo(root, ["build"]).args(program).args(release.then_some("--release")))?;
    let metadata = MetadataCommand::new().current_dir(root).no_deps().exec()?;
    let built = metadata.target_directory.join(if release { "release" } else { "debug" }).join("streamgauge");
    let mut look = shell::command(root, python, ["tests/dashboard/dashboard.py"]);
    look.arg(&built);
    if let Some(shots) = screenshots {
        look.arg("--screenshots").arg(shots);
    }
    shell::run(&mut look).context("the page is not as it should be")
}

//! `cargo xtask check`: what must hold before every push, cheapest first. It stops at the first step that fails.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{bench, floors, shell};

/// Runs all steps; with `all` also those that are slow or need the bench.
pub fn run(root: &Path, all: bool) -> Result<()> {
    step("floors", || floors::check(root))?;
    let cargo = |name: &str, words: &str| {
        step(name, || shell::run(&mut shell::cargo(root, words.split_whitespace())))
    };
    cargo("format", "fmt --all --check")?;
    cargo("lints", "clippy --quiet --workspace --all-targets -- -D warnings")?;
    cargo("tests", "test --quiet --lib --bins --tests --examples")?;
    cargo("doc tests", "test --quiet --doc")?;
    if all {
        cargo("tests of the bench", "test --quiet -p streamgauge-bench")?;
        step("oracle", || shell::run(&mut oracle(root)))?;
        step("short bench", || bench::run(root, &bench::Options::smoke()))?;
    }
    eprintln!("check: all is well");
    Ok(())
}

fn step(name: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
    eprintln!("check: {name}");
    run().with_context(|| format!("step `{name}` failed"))
}

/// The test of the slow, exact model that other tests compare with.
fn oracle(root: &Path) -> Command {
    shell::command(root, "python3", ["tests/oracle/selftest.py"])
}

//! `cargo xtask setup`: installs what the test suites and the bench need on a new machine, and says what it did.
//!
//! The test suites need Python 3 (its standard library) and the `zstd` program; the bench needs a virtual environment
//! with the pinned peers. What is there already is left alone, so it may be run again at any time.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell;

/// Names another place for the virtual environment of the bench.
const VENV_VARIABLE: &str = "STREAMGAUGE_VENV";
/// The pinned peers.
const REQUIREMENTS: &str = "crates/bench/peers/requirements.txt";

/// Installs; without the peers when `tests_only`.
pub fn run(root: &Path, tests_only: bool) -> Result<()> {
    if !shell::exists("python3") {
        bail!("python3 is missing: install Python 3.9 or newer, then run this again");
    }
    install_zstd(root)?;
    if tests_only {
        eprintln!("setup: peers of the bench left out");
        return Ok(());
    }
    install_peers(root)
}

/// The Python that has the peers, or why there is none.
pub fn peers_python(root: &Path) -> Result<PathBuf> {
    let python = venv(root).join("bin/python");
    let missing = if python.is_file() { missing_pins(root, &python)? } else { pins(root)? };
    if !missing.is_empty() {
        bail!(
            "missing {}: run `cargo xtask setup` first, or leave the peers out with --no-peers",
            missing.join(", ")
        );
    }
    Ok(python)
}

fn install_zstd(root: &Path) -> Result<()> {
    if shell::exists("zstd") {
        eprintln!("setup: zstd is there");
        return Ok(());
    }
    let root_user = shell::output(&mut shell::command(root, "id", ["-u"]))?.trim() == "0";
    if !root_user || !shell::exists("apt-get") {
        bail!("the program zstd is missing: install it with your package manager, then run this again");
    }
    let apt = |words: &str| {
        let mut command = shell::command(root, "apt-get", words.split_whitespace());
        shell::run(command.env("DEBIAN_FRONTEND", "noninteractive"))
    };
    // A fresh image has no package lists: they are fetched only when the first try fails.
    let install = "install -y --no-install-recommends zstd";
    apt(install).or_else(|_| apt("update").and_then(|()| apt(install)))?;
    eprintln!("setup: zstd installed with apt-get");
    Ok(())
}

fn install_peers(root: &Path) -> Result<()> {
    let venv = venv(root);
    let python = venv.join("bin/python");
    if !python.is_file() {
        let mut make = shell::command(root, "python3", ["-m", "venv"]);
        shell::run(make.arg(&venv))
            .context("on Debian and Ubuntu the package python3-venv may be missing")?;
        eprintln!("setup: virtual environment made at {}", venv.display());
    }
    let missing = missing_pins(root, &python)?;
    if missing.is_empty() {
        eprintln!("setup: the peers are there ({})", pins(root)?.join(", "));
        return Ok(());
    }
    let pip = "-m pip install --quiet --disable-pip-version-check --requirement";
    shell::run(shell::command(root, &python, pip.split_whitespace()).arg(REQUIREMENTS))?;
    eprintln!("setup: installed {}", missing.join(", "));
    Ok(())
}

fn venv(root: &Path) -> PathBuf {
    match std::env::var_os(VENV_VARIABLE) {
        Some(path) if !path.is_empty() => root.join(path),
        _ => root.join("bench-work/venv"),
    }
}

/// The lines `name==version` of the requirements.
fn pins(root: &Path) -> Result<Vec<String>> {
    let path = root.join(REQUIREMENTS);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(pins_of(&text))
}

fn pins_of(text: &str) -> Vec<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(String::from)
        .collect()
}

/// The pins that this Python does not have in just that version.
fn missing_pins(root: &Path, python: &Path) -> Result<Vec<String>> {
    let list = "import importlib.metadata as m\nfor d in m.distributions(): print(d.name.lower() + '==' + d.version)";
    let installed = shell::output(&mut shell::command(root, python, ["-c", list]))?;
    Ok(pins(root)?.into_iter().filter(|pin| !installed.lines().any(|line| line == pin)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_is_pinned_to_one_version() {
        let pins = pins(&crate::root()).unwrap();
        for peer in ["duckdb==", "datafusion==", "pyarrow=="] {
            assert_eq!(pins.iter().filter(|pin| pin.starts_with(peer)).count(), 1, "{peer} in {pins:?}");
        }
    }

    #[test]
    fn comments_and_blank_lines_are_no_pins() {
        assert_eq!(pins_of("# why\n\n a==1 \nb==2\n"), ["a==1", "b==2"]);
    }
}

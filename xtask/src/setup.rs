//! `cargo xtask setup`: installs what the test suites and the bench need on a new machine, and says what it did.
//!
//! The test suites need Python 3 (its standard library) and the `zstd` program, campaigns also `strace` and `faketime`, the test against Spark
//! (`interop`) also Java 17 and a virtual environment with the pinned Spark, the suite of the dashboard Chromium, promtool and the
//! pinned Playwright, that of clients of Postgres psql, a JDK, Maven, openssl and the pinned drivers; the bench needs the pinned peers in the same environment. What is there already is left alone, so it may be
//! run again at any time.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use crate::shell;

/// Names another place for the virtual environment.
const VENV_VARIABLE: &str = "STREAMGAUGE_VENV";
/// The pinned peers.
const PEERS: &str = "crates/bench/peers/requirements.txt";
/// The pinned reader of our sketches.
const INTEROP: &str = "tests/interop/requirements.txt";
/// The pinned driver of the browser.
const DASHBOARD: &str = "tests/dashboard/requirements.txt";
/// Programs of the system that the suite of the dashboard looks with, and their packages.
const LOOKS_WITH: [(&str, &str); 2] = [("chromium", "chromium"), ("promtool", "prometheus")];
/// The pinned drivers of Postgres.
const CLIENTS: &str = "tests/clients/requirements.txt";
/// What says which JDBC driver is pinned, and the file that it is.
const JDBC: &str = "tests/clients/pom.xml";
const JDBC_JAR: &str = "postgresql-42.7.8.jar";
/// Programs of the system that ask as clients of Postgres do, and their packages.
const ASKS_WITH: [(&str, &str); 4] = [
    ("psql", "postgresql-client"),
    ("javac", "openjdk-17-jdk-headless"),
    ("mvn", "maven"),
    ("openssl", "openssl"),
];
/// The oldest Java that Spark 4 runs on, and its package.
const JAVA_MIN: u32 = 17;
const JAVA_PACKAGE: &str = "openjdk-17-jre-headless";

/// Installs; without the peers when `tests_only`.
pub fn run(root: &Path, tests_only: bool) -> Result<()> {
    if !shell::exists("python3") {
        bail!("python3 is missing: install Python 3.9 or newer, then run this again");
    }
    for program in ["zstd", "strace", "faketime"] {
        if shell::exists(program) {
            eprintln!("setup: {program} is there");
        } else {
            install_package(root, program)?;
        }
    }
    if java_version(root) >= Some(JAVA_MIN) {
        eprintln!("setup: Java is there");
    } else {
        install_package(root, JAVA_PACKAGE)?;
    }
    for (program, package) in LOOKS_WITH.into_iter().chain(ASKS_WITH) {
        if shell::exists(program) {
            eprintln!("setup: {program} is there");
        } else {
            install_package(root, package)?;
        }
    }
    install_pins(root, INTEROP)?;
    install_pins(root, DASHBOARD)?;
    install_pins(root, CLIENTS)?;
    install_driver(root)?;
    if tests_only {
        eprintln!("setup: peers of the bench left out");
        return Ok(());
    }
    install_pins(root, PEERS)
}

/// The Python that has the peers, or why there is none.
pub fn peers_python(root: &Path) -> Result<PathBuf> {
    python_with(root, PEERS).map_err(|e| anyhow!("{e}, or leave the peers out with --no-peers"))
}

/// The Python that has Spark, on a machine with a Java for it, or why there is none.
pub fn interop_python(root: &Path) -> Result<PathBuf> {
    if java_version(root) < Some(JAVA_MIN) {
        bail!("missing Java {JAVA_MIN} or newer: run `cargo xtask setup --tests-only` first");
    }
    python_with(root, INTEROP)
}

/// The Python that drives a browser, on a machine that has one and promtool, or why there is none.
pub fn dashboard_python(root: &Path) -> Result<PathBuf> {
    if let Some((program, _)) = LOOKS_WITH.iter().find(|(program, _)| !shell::exists(program)) {
        bail!("missing {program}: run `cargo xtask setup --tests-only` first");
    }
    python_with(root, DASHBOARD)
}

/// The Python that has the drivers of Postgres, and where the JDBC driver is, on a machine with the other clients too, or why
/// there is none.
pub fn clients(root: &Path) -> Result<(PathBuf, PathBuf)> {
    if let Some((program, _)) = ASKS_WITH.iter().find(|(program, _)| !shell::exists(program)) {
        bail!("missing {program}: run `cargo xtask setup --tests-only` first");
    }
    let driver = driver(root);
    if !driver.join(JDBC_JAR).is_file() {
        bail!("missing the JDBC driver: run `cargo xtask setup --tests-only` first");
    }
    Ok((python_with(root, CLIENTS)?, driver))
}

/// Where the JDBC driver is kept.
fn driver(root: &Path) -> PathBuf {
    venv(root).join("share/jdbc")
}

fn install_driver(root: &Path) -> Result<()> {
    let to = driver(root);
    if to.join(JDBC_JAR).is_file() {
        eprintln!("setup: the JDBC driver is there");
        return Ok(());
    }
    let words = ["--quiet", "--batch-mode", "--file", JDBC, "dependency:copy-dependencies"];
    let mut maven = shell::command(root, "mvn", words);
    shell::run(
        maven
            .arg("-DincludeScope=runtime")
            .arg("-DexcludeTransitive")
            .arg(format!("-DoutputDirectory={}", to.display())),
    )?;
    eprintln!("setup: installed the JDBC driver");
    Ok(())
}

fn python_with(root: &Path, requirements: &str) -> Result<PathBuf> {
    let python = venv(root).join("bin/python");
    let missing =
        if python.is_file() { missing_pins(root, &python, requirements)? } else { pins(root, requirements)? };
    if !missing.is_empty() {
        bail!("missing {}: run `cargo xtask setup` first", missing.join(", "));
    }
    Ok(python)
}

fn install_package(root: &Path, package: &str) -> Result<()> {
    let root_user = shell::output(&mut shell::command(root, "id", ["-u"]))?.trim() == "0";
    if !root_user || !shell::exists("apt-get") {
        bail!("{package} is missing: install it with your package manager, then run this again");
    }
    let apt = |words: &str| {
        let mut command = shell::command(root, "apt-get", words.split_whitespace());
        shell::run(command.env("DEBIAN_FRONTEND", "noninteractive"))
    };
    // A fresh image has no package lists: they are fetched only when the first try fails.
    let install = format!("install -y --no-install-recommends {package}");
    apt(&install).or_else(|_| apt("update").and_then(|()| apt(&install)))?;
    eprintln!("setup: {package} installed with apt-get");
    Ok(())
}

/// The number in `openjdk 17.0.15 2025-04-15`, if there is a Java at all.
fn java_version(root: &Path) -> Option<u32> {
    let told = shell::command(root, "java", ["--version"]).output().ok()?;
    major_of(&String::from_utf8_lossy(&told.stdout))
}

fn major_of(told: &str) -> Option<u32> {
    told.split_whitespace().nth(1)?.split(['.', '-', '+']).next()?.parse().ok()
}

/// Into the virtual environment, which is made where there is none.
fn install_pins(root: &Path, requirements: &str) -> Result<()> {
    let venv = venv(root);
    let python = venv.join("bin/python");
    if !python.is_file() {
        let make = || shell::run(shell::command(root, "python3", ["-m", "venv"]).arg(&venv));
        // Debian and Ubuntu keep what it needs in a package of its own.
        make().or_else(|_| install_package(root, "python3-venv").and_then(|()| make()))?;
        eprintln!("setup: virtual environment made at {}", venv.display());
    }
    let missing = missing_pins(root, &python, requirements)?;
    if missing.is_empty() {
        eprintln!("setup: there are {}", pins(root, requirements)?.join(", "));
        return Ok(());
    }
    let pip = "-m pip install --quiet --disable-pip-version-check --requirement";
    shell::run(shell::command(root, &python, pip.split_whitespace()).arg(requirements))?;
    eprintln!("setup: installed {}", missing.join(", "));
    Ok(())
}

fn venv(root: &Path) -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    match (variable(VENV_VARIABLE), variable("CI"), variable("HOME")) {
        (Some(path), _, _) => root.join(path),
        // Between two CI runs only the home directory stays.
        (_, Some(ci), Some(home)) if ci == "true" => Path::new(&home).join(".cache/streamgauge-venv"),
        _ => root.join("bench-work/venv"),
    }
}

/// The lines `name==version` of the requirements.
fn pins(root: &Path, requirements: &str) -> Result<Vec<String>> {
    let path = root.join(requirements);
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
fn missing_pins(root: &Path, python: &Path, requirements: &str) -> Result<Vec<String>> {
    let list = "import importlib.metadata as m\nfor d in m.distributions(): print(d.name.lower() + '==' + d.version)";
    let installed = shell::output(&mut shell::command(root, python, ["-c", list]))?;
    Ok(pins(root, requirements)?
        .into_iter()
        .filter(|pin| !installed.lines().any(|line| line == pin))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_is_pinned_to_one_version() {
        for (requirements, names) in [
            (PEERS, &["duckdb==", "datafusion==", "pyarrow=="][..]),
            (INTEROP, &["pyspark==", "py4j=="]),
            (DASHBOARD, &["playwright=="]),
            (CLIENTS, &["psycopg==", "psycopg-binary==", "sqlalchemy=="]),
        ] {
            let pins = pins(&crate::root(), requirements).unwrap();
            for name in names {
                assert_eq!(pins.iter().filter(|pin| pin.starts_with(name)).count(), 1, "{name} in {pins:?}");
            }
        }
    }

    #[test]
    fn the_jdbc_driver_is_the_one_that_is_pinned() {
        let pom = std::fs::read_to_string(crate::root().join(JDBC)).unwrap();
        let version = JDBC_JAR.trim_start_matches("postgresql-").trim_end_matches(".jar");
        assert!(pom.contains(&format!("<version>{version}</version>")), "{version}");
    }

    #[test]
    fn every_java_says_its_number() {
        assert_eq!(major_of("openjdk 17.0.15 2025-04-15\nOpenJDK Runtime"), Some(17));
        assert_eq!(major_of("java 21 2023-09-19 LTS"), Some(21));
        assert_eq!(major_of("openjdk 25-ea 2025-09-16"), Some(25));
        assert_eq!(major_of(""), None);
    }

    #[test]
    fn comments_and_blank_lines_are_no_pins() {
        assert_eq!(pins_of("# why\n\n a==1 \nb==2\n"), ["a==1", "b==2"]);
    }
}

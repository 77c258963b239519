//! `cargo xtask interop`: a foreign reader of Apache DataSketches, Spark, against our bytes, both ways (tests/interop).

use std::path::Path;

use anyhow::{Context, Result};

use crate::{setup, shell};

/// Runs it. Where Spark or Java is missing it is left out, loudly; in CI that is a failure.
pub fn run(root: &Path) -> Result<()> {
    let python = match setup::interop_python(root) {
        Ok(python) => python,
        Err(missing) if std::env::var_os("CI").is_some_and(|ci| ci == "true") => return Err(missing),
        Err(missing) => {
            eprintln!("interop: SKIPPED, Spark did not read our bytes: {missing:#}");
            return Ok(());
        }
    };
    let example = ["--quiet", "--package", "streamgauge-sketch", "--example", "interop_files"];
    // Built before, so that nobody waits for a compiler inside.
    shell::run(shell::cargo(root, ["build"]).args(example))?;
    let files = std::env::temp_dir().join(format!("streamgauge-interop-{}", std::process::id()));
    let mut spark = shell::command(root, python, ["tests/interop/spark.py"]);
    spark.arg(&files).arg(shell::cargo(root, [""; 0]).get_program()).arg("run").args(example).arg("--");
    shell::run(&mut spark).with_context(|| format!("the files are in {}", files.display()))?;
    std::fs::remove_dir_all(&files)?;
    Ok(())
}

//! The separate programs that count by themselves (tests/campaign), and what they answer.

use crate::stage::Stage;
use crate::verdict::Verdict;
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};
use std::ffi::OsStr;
use std::fmt;
use std::process::{Command, Stdio};

/// A campaign that proves nothing, for want of what judges it.
#[derive(Debug)]
pub struct Untried(pub String);

impl fmt::Display for Untried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Untried {}

/// Asks one; its figures and failures go into the verdict, figures that are numbers being added up.
///
/// # Errors
/// When it cannot be asked: an oracle that fails is no verdict.
pub fn ask<S: AsRef<OsStr>>(
    stage: &Stage,
    name: &str,
    args: impl IntoIterator<Item = S>,
    verdict: &mut Verdict,
) -> Result<()> {
    let program = stage.root.join("tests/campaign").join(name);
    let output = Command::new("python3")
        .arg(&program)
        .args(args)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Untried(format!("cannot start python3: {error}")))?;
    if !output.status.success() {
        bail!(Untried(format!("the oracle {name} ended with {}", output.status)));
    }
    let told: Map<String, Value> =
        serde_json::from_slice(&output.stdout).with_context(|| format!("{name} printed no object"))?;
    let failures = told.get("failures").and_then(Value::as_array).context("an oracle tells failures")?;
    for failure in failures {
        verdict.fail(failure.as_str().unwrap_or("a failure without words"));
    }
    for (figure, value) in &told {
        match value.as_u64() {
            Some(count) => verdict.add(figure, count),
            None if figure != "failures" => verdict.figure(figure, value.clone()),
            None => {}
        }
    }
    Ok(())
}

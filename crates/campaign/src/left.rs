//! What has left through a sink, as it was told of each cell last.
//!
//! Lines depend on when commits were made: a cell that a late event changes before it has left leaves once, and after it twice; and
//! each line says how far the source was then. What is promised is that no cell is told twice with one revision, and that the last
//! that is told of it is right.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Cells by metric, start and group: revision, value and bounds.
pub type Left = BTreeMap<String, (u64, String)>;

/// Reads a file that a sink wrote.
///
/// # Errors
/// A line that is none, or a cell that is told again without a higher revision.
pub fn read(path: &Path) -> Result<Left> {
    let mut left = Left::new();
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    ensure!(text.is_empty() || text.ends_with('\n'), "{}: the last line is cut", path.display());
    for (at, line) in text.lines().enumerate() {
        let row: Value =
            serde_json::from_str(line).with_context(|| format!("{}:{}", path.display(), at + 1))?;
        let cell = format!("{} {} {}", row["metric"], row["start"], row["by"]);
        let revision = row["revision"].as_u64().context("a line has a revision")?;
        let told = format!("{} {} {} {}", row["end"], row["value"], row["low"], row["high"]);
        let before = left.insert(cell, (revision, told));
        ensure!(
            before.is_none_or(|(before, _)| before < revision),
            "{}:{}: told twice: {line}",
            path.display(),
            at + 1
        );
    }
    Ok(left)
}

//! `select device, unique(user_id) from events group by device` over a file, without a pipeline file.
//!
//! ```text
//! text -> parts.rs (which part is a measure, which a group) -> a pipeline: source as `init` guesses it, a metric for each
//! measure -> whoever runs it -> answers -> rows.rs (a row for each group) -> what is left of the statement, by DataFusion
//! ```
//!
//! Aggregate functions are our measures, with what they take in pipeline files; WHERE is the filter of each of them. What
//! stands around them (arithmetic, HAVING, ORDER BY, LIMIT) is asked of their results. Nothing is read here: the head of the
//! file comes in, a pipeline goes out, and its answers come back.

mod parts;
mod rows;

use super::QueryError;
use crate::infer::quote::{string, strings};
use crate::infer::{Guess, Head, infer};
use crate::pipeline::Pipeline;
use crate::problem::did_you_mean;
use datafusion::arrow::record_batch::RecordBatch;
use engine::answer::Answer;
use parts::Parts;

/// Groups that are kept apart.
const GROUPS_MAX: usize = 100_000;
/// The name of the source.
const SOURCE: &str = "events";

/// A statement over a file, ready to be measured.
#[derive(Debug)]
pub struct FileQuery {
    /// What to measure: one source, and a metric for each measure of the statement. Asked for totals.
    pub pipeline: Pipeline,
    /// What a person should know before.
    pub notes: Vec<String>,
    parts: Parts,
}

/// Understands a statement over the file with this head. `head.path` is what the pipeline will read.
///
/// # Errors
/// What is wrong with it, and what to ask instead.
pub fn translate(sql: &str, head: &Head<'_>) -> Result<FileQuery, QueryError> {
    let parts = Parts::of(sql)?;
    let guess = if head.bytes.starts_with(b"PAR1") { None } else { Some(guess(head)?) };
    let paths: Option<(Vec<String>, bool)> =
        guess.as_ref().map(|guess| (guess.paths().map(String::from).collect(), guess.is_whole()));
    let text = pipeline_text(guess, head.path, &parts);
    let pipeline = Pipeline::parse("query", &text, &[]).map_err(|problems| {
        let mut told = problems.iter();
        let first = told.next();
        let message = first.map_or_else(|| problems.to_string(), |problem| problem.message.clone());
        match first.and_then(|problem| problem.hint.clone()) {
            Some(hint) => QueryError::wrong(message).hint(hint),
            None => QueryError::wrong(message),
        }
    })?;
    let mut notes = Vec::new();
    if let Some((known, whole)) = paths {
        for field in &pipeline.spec.sources[0].fields {
            let found = known.contains(&field.path);
            let names = || known.iter().map(String::as_str);
            if !found && whole {
                let error = QueryError::wrong(format!("no record has a field `{}`", field.path));
                return Err(match did_you_mean(&field.path, names()) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error.hint(format!("there are {}", super::error::some(&known))),
                });
            }
            if !found {
                notes.push(format!("none of the records that were looked at has a field `{}`", field.path));
            }
        }
    }
    Ok(FileQuery { pipeline, notes, parts })
}

impl FileQuery {
    /// What the statement answers, of what its pipeline was measured to be.
    ///
    /// # Errors
    /// When the rest of the statement makes no sense.
    pub async fn finish(&self, answers: &[Answer]) -> Result<(Vec<RecordBatch>, Vec<String>), QueryError> {
        rows::finish(&self.parts, &self.pipeline.spec.sources[0], answers).await
    }
}

fn guess(head: &Head<'_>) -> Result<Guess, QueryError> {
    infer(head).map_err(|why| QueryError::wrong(format!("`{}` {why}", head.path)))
}

/// The pipeline file that the statement stands for.
fn pipeline_text(guess: Option<Guess>, path: &str, parts: &Parts) -> String {
    let mut out = match guess {
        Some(guess) => guess.source_toml(path),
        None => {
            format!("\n[source.{SOURCE}]\nkind = \"file\"\npath = {}\nformat = \"parquet\"\n", string(path))
        }
    };
    if parts.groups.iter().any(|group| group.derived) {
        out += &format!("\n[source.{SOURCE}.derive]\n");
        for group in parts.groups.iter().filter(|group| group.derived) {
            out += &format!("{} = {}\n", group.field, string(&group.text));
        }
    }
    let by = strings(parts.groups.iter().map(|group| group.field.as_str()));
    let grouped = format!(", by = [{by}], keys = \"{GROUPS_MAX} + other\"");
    let grouped = if parts.groups.is_empty() { "" } else { grouped.as_str() };
    out += "\n[metric]\n";
    for (at, measure) in parts.measures.iter().enumerate() {
        let measure = string(&measure.text);
        out += &format!("m{at} = {{ measure = {measure}{grouped} }}\n");
    }
    out
}

//! The pipeline file as plain structs: every key typed and known, every value with its place.
//!
//! What can be judged inside one table is judged here; what needs two of them (sources, fields and metrics) belongs to
//! `pipeline.rs`.

pub(crate) mod checkpoint;
pub(crate) mod expression;
mod format;
mod hash;
pub(crate) mod metric;
pub(crate) mod overrides;
mod secret_at;
mod section;
pub(crate) mod serve;
pub(crate) mod sink;
pub(crate) mod source;
pub(crate) mod time;
pub(crate) mod tree;
pub(crate) mod values;
pub(crate) mod view;

use crate::accuracy::Accuracy;
use crate::problem::{Placed, Problem, Problems};
use crate::secret::Fetch;
use checkpoint::Checkpoint;
use engine::spec::Level;
use engine::time::Span;
use metric::MetricTable;
use section::Section;
use serve::Serve;
use sink::SinkTable;
use sketch::hash::Hashing;
use source::SourceTable;
use tree::Table;
use view::ViewText;

/// State allowed when `memory` does not say: 256 MiB.
const MEMORY_BYTES_DEFAULT: u64 = 256 << 20;
/// Keys of the design that this version does not have.
const UNBUILT: [&str; 4] = ["rule", "test", "disk", "shards"];

/// A whole file.
#[derive(Debug)]
pub(crate) struct File {
    pub name: Option<String>,
    pub memory_bytes: u64,
    pub accuracy: Accuracy,
    pub hashing: Hashing,
    pub checkpoint: Checkpoint,
    pub serve: Option<Serve>,
    pub panes: Option<Placed<Vec<Level>>>,
    pub sources: Vec<SourceTable>,
    pub metrics: Vec<MetricTable>,
    pub sinks: Vec<SinkTable>,
    pub views: Vec<ViewText>,
}

/// The ladder when `panes` does not say: minutes for two days.
pub(crate) fn panes_default() -> Vec<Level> {
    const MINUTE: i64 = 60 * engine::time::SECOND;
    vec![Level { size: Span(MINUTE), keep: Span(2 * 24 * 60 * MINUTE) }]
}

/// Reads the tables of a file. Everything that is wrong becomes a problem; what is returned then is incomplete.
pub(crate) fn read(root: &Table, fetch: Fetch<'_>, problems: &mut Problems) -> File {
    let whole = crate::problem::Place { text: 0, start: 0, end: 0 };
    let mut section = Section::new("the file", &whole, root);
    let name = section.parsed("name", problems, name).map(|name| name.value);
    let memory = section.parsed("memory", problems, |text| {
        values::bytes_within(text, (64 << 10, "64KiB"), (1 << 40, "1024GiB"))
    });
    let accuracy = section.parsed("accuracy", problems, Accuracy::parse);
    let hashing = hash::read(&mut section, fetch, problems);
    let checkpoint = section.entry("checkpoint").map(|entry| checkpoint::read(entry, problems));
    let serve = section.entry("serve").map(|entry| serve::read(entry, problems));
    let panes = section.entry("panes").and_then(|entry| {
        let place = entry.key_place.clone();
        values::ladder(&entry.node, problems).map(|value| Placed { value, place })
    });
    let entries = |table: Option<&Table>| table.map_or(Vec::new(), |table| table.entries.clone());
    let (lacks_source, lacks_metric) = (section.lacks("source"), section.lacks("metric"));
    let sources = section.table("source", problems);
    let metrics = section.table("metric", problems);
    let sinks = section.table("sink", problems);
    let views = section.table("view", problems);
    let is_empty = |table: &Table| table.entries.is_empty();
    if lacks_source || sources.is_some_and(is_empty) {
        let problem = Problem::of_file("there is no source");
        problems.push(problem.hint("add [source.events] with kind = \"file\" and path = \"events.ndjson\""));
    }
    if lacks_metric || metrics.is_some_and(is_empty) {
        let problem = Problem::of_file("there is no metric");
        problems.push(problem.hint("add [metric] with visitors = \"unique(user_id)\""));
    }
    section.finish(&UNBUILT, problems);
    File {
        name,
        memory_bytes: memory.map_or(MEMORY_BYTES_DEFAULT, |memory| memory.value),
        accuracy: accuracy.map_or(Accuracy::default(), |accuracy| accuracy.value),
        hashing,
        checkpoint: checkpoint.unwrap_or_default(),
        serve,
        panes,
        sources: entries(sources).iter().filter_map(|entry| source::read(entry, problems)).collect(),
        metrics: entries(metrics).iter().map(|entry| metric::read(entry, problems)).collect(),
        sinks: entries(sinks).iter().filter_map(|entry| sink::read(entry, problems)).collect(),
        views: entries(views).iter().filter_map(|entry| view::read(entry, problems)).collect(),
    }
}

/// Names of pipelines become names of files.
pub(crate) fn name(text: &str) -> Result<String, String> {
    const LETTERS_MAX: usize = 100;
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if text.is_empty() || text.starts_with('.') || text.len() > LETTERS_MAX || !text.chars().all(good) {
        return Err(format!(
            "`{text}` is not a name for a pipeline: write letters, digits, `_`, `-` and `.`"
        ));
    }
    Ok(text.to_string())
}

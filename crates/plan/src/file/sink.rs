//! `[sink.NAME]`: where closed panes go.

use super::section::{Section, unknown_word, wrong_type};
use super::tree::{Entry, Value};
use super::values::{bytes_within, check_name, span_above_zero};
use crate::problem::{Placed, Problem, Problems};
use engine::time::Span;

/// Kinds of the design that this version does not have.
const KINDS_UNBUILT: [&str; 9] =
    ["kafka", "parquet", "webhook", "slack", "pagerduty", "mail", "http", "pulsar", "streamgauge"];
/// Keys of the design that this version does not have.
const UNBUILT: [&str; 4] = ["url", "topic", "partition", "format"];

/// The kinds of sinks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkKind {
    /// Lines of JSON in a file.
    File {
        /// Its path; with `rotate_bytes` a number is put before its extension.
        path: String,
        /// A file is left for the next one when it has reached this.
        rotate_bytes: Option<u64>,
    },
    /// Lines of JSON on standard output.
    Stdout,
}

/// One sink as it was written.
#[derive(Debug)]
pub(crate) struct SinkTable {
    pub name: Placed<String>,
    pub kind: Option<Placed<SinkKind>>,
    /// The metrics that leave; all when it does not say.
    pub metrics: Option<Vec<Placed<String>>>,
    /// The level whose panes leave; the finest of each metric when it does not say.
    pub panes: Option<Placed<Span>>,
}

/// Reads one entry of `[sink]`.
pub(crate) fn read(entry: &Entry, problems: &mut Problems) -> Option<SinkTable> {
    let name = Placed { value: entry.key.as_str(), place: entry.key_place.clone() };
    check_name("sink", &name, problems);
    let Value::Table(table) = &entry.node.value else {
        let problem = wrong_type(&entry.key, "a table", &entry.node);
        problems.push(problem.hint(format!("as in [sink.{}] and its keys below", entry.key)));
        return None;
    };
    let mut section = Section::new(format!("sink `{}`", entry.key), &entry.key_place, table);
    let kind = kind(&mut section, &entry.key, problems);
    let metrics = section.strings("metrics", problems).map(|metrics| {
        let place = metrics.place.clone();
        if metrics.value.is_empty() {
            let problem = Problem::at(&place, "`metrics` names none, so nothing would leave");
            problems.push(problem.hint("name some, or leave it out for all"));
        }
        let own = |metric: Placed<&str>| Placed { value: metric.value.to_string(), place: metric.place };
        metrics.value.into_iter().map(own).collect()
    });
    let panes = section.parsed("panes", problems, span_above_zero);
    section.finish(&UNBUILT, problems);
    let name = Placed { value: entry.key.clone(), place: entry.key_place.clone() };
    Some(SinkTable { name, kind, metrics, panes })
}

fn kind(section: &mut Section<'_>, name: &str, problems: &mut Problems) -> Option<Placed<SinkKind>> {
    let lacks = section.lacks("kind");
    let word = section.string("kind", problems);
    let path = section.string("path", problems);
    let rotate_place = section.entry("rotate").map(|entry| entry.key_place.clone());
    let rotate = section
        .parsed("rotate", problems, |text| bytes_within(text, (4 << 10, "4KiB"), (1 << 40, "1024GiB")));
    if lacks {
        let problem = Problem::at(&section.place, format!("sink `{name}` has no `kind`"));
        problems.push(problem.hint("write kind = \"file\" with a path, or kind = \"stdout\""));
    }
    let word = word?;
    match word.value {
        "file" => {
            if section.lacks("path") {
                let problem = Problem::at(&section.place, format!("sink `{name}` has no `path`"));
                problems.push(problem.hint("add one, as in path = \"panes.ndjson\""));
            }
            let path = path?;
            if path.value.is_empty() || path.value == "-" {
                let problem = Problem::at(&path.place, "the path of a sink names a file");
                problems.push(problem.hint("for standard output write kind = \"stdout\""));
                return None;
            }
            let rotate_bytes = rotate.map(|bytes| bytes.value);
            let value = SinkKind::File { path: path.value.to_string(), rotate_bytes };
            Some(Placed { value, place: path.place })
        }
        "stdout" => {
            for (key, place) in [("path", path.map(|path| path.place)), ("rotate", rotate_place)] {
                if let Some(place) = place {
                    let problem = Problem::at(&place, format!("standard output has no `{key}`"));
                    problems.push(problem.hint("use kind = \"file\" for files"));
                }
            }
            Some(Placed { value: SinkKind::Stdout, place: word.place })
        }
        other if KINDS_UNBUILT.contains(&other) => {
            let problem =
                Problem::at(&word.place, format!("kind `{other}` is not supported by this version"));
            problems.push(problem.hint("there are `file` and `stdout`"));
            None
        }
        _ => {
            problems.push(unknown_word("kind", &word, &["file", "stdout"]));
            None
        }
    }
}

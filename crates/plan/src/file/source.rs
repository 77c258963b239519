//! `[source.NAME]`: where events come from and how they are written.

use super::expression::Expression;
use super::section::{Section, owned, string_in, unknown_word, wrong_type};
use super::tree::{Entry, Table, Value};
use super::values::{bytes_within, check_name, span_above_zero};
use super::{format, time};
use crate::input::InputKind;
use crate::problem::{Place, Placed, Problem, Problems, did_you_mean, listed};
use engine::spec::{BadPolicy, Delimited, Format, Kind, TimeSpec};
use engine::time::Span;

/// Longest record accepted when `record_max` does not say.
const RECORD_BYTES_DEFAULT: usize = 1 << 20;
/// Keys of the design that this version does not have.
const UNBUILT: [&str; 7] = ["topics", "topic", "key", "hash", "rename", "filter", "where"];
/// Kinds of the design that this version does not have.
const KINDS_UNBUILT: [&str; 3] = ["kafka", "pulsar", "parquet"];
/// Types of fields.
const KINDS: [(&str, Kind); 4] =
    [("string", Kind::String), ("int64", Kind::Int64), ("float64", Kind::Float64), ("bool", Kind::Bool)];

/// One source as it was written.
#[derive(Debug)]
pub(crate) struct SourceTable {
    pub name: Placed<String>,
    pub input: Option<InputKind>,
    /// What `path` says; for standard input what `kind` says.
    pub path_place: Option<Place>,
    pub format: Option<Format>,
    pub nulls: Vec<String>,
    pub fields: Vec<(Placed<String>, Kind)>,
    /// Columns computed from others, by name.
    pub derive: Vec<(Placed<String>, Expression)>,
    /// The list that events are made of, and the name of its elements.
    pub explode: Option<(Placed<String>, Expression)>,
    /// Whether `time` was written, right or wrong.
    pub has_time: bool,
    /// With the place of the name of its field.
    pub time: Option<Placed<TimeSpec>>,
    /// How long a partition must be silent to step aside.
    pub idle: Span,
    /// How long a group may be without an event.
    pub groups_ttl: Option<Placed<Span>>,
    pub bad: BadPolicy,
    /// Path that was given for set-aside records.
    pub quarantine: Option<Placed<String>>,
    pub record_bytes_max: usize,
}

/// Reads one entry of `[source]`.
pub(crate) fn read(entry: &Entry, problems: &mut Problems) -> Option<SourceTable> {
    let name = Placed { value: entry.key.as_str(), place: entry.key_place.clone() };
    check_name("source", &name, problems);
    let Value::Table(table) = &entry.node.value else {
        let problem = wrong_type(&entry.key, "a table", &entry.node);
        problems.push(problem.hint(format!("as in [source.{}] and its keys below", entry.key)));
        return None;
    };
    let mut section = Section::new(format!("source `{}`", entry.key), &entry.key_place, table);
    let (input, paths) = input(&mut section, &entry.key, problems);
    let path_place = table.get("path").or(table.get("kind")).map(|entry| entry.node.place.clone());
    let format = format::read(&mut section, input.as_ref(), &paths, problems);
    let nulls = section.strings("null", problems).map_or(Vec::new(), |words| owned(words.value));
    let declared = section.table("fields", problems);
    let time_entry = section.entry("time");
    let time = time_entry.and_then(|entry| time::read(entry, format.as_ref(), problems));
    let bad =
        section.word("bad", &[("count", BadPolicy::Count), ("quarantine", BadPolicy::Quarantine)], problems);
    let bad = bad.map_or(BadPolicy::Count, |word| word.value);
    let quarantine = section.string("quarantine", problems);
    let quarantine = quarantine.map(|path| Placed { value: path.value.to_string(), place: path.place });
    let record_max =
        section.parsed("record_max", problems, |text| bytes_within(text, (16, "16B"), (1 << 30, "1GiB")));
    let groups_ttl = section.parsed("groups_ttl", problems, span_above_zero);
    if let Some(ttl) = groups_ttl.as_ref().filter(|_| time_entry.is_none()) {
        let problem = Problem::at(&ttl.place, "`groups_ttl` is event time, and this source has no `time`");
        problems.push(problem.hint("add time = { field = \"ts\" }, or leave `groups_ttl` out"));
    }
    let derive = section.table("derive", problems);
    let explode = section.table("explode", problems);
    section.finish(&UNBUILT, problems);
    let mut fields = Vec::new();
    if let Some(table) = declared {
        declare(table, "", &mut fields, problems);
    }
    let derive = derive.map_or(Vec::new(), |table| expressions("derive", table, problems));
    let explode = explode.and_then(|table| exploded(table, problems));
    Some(SourceTable {
        name: Placed { value: entry.key.clone(), place: entry.key_place.clone() },
        input,
        path_place,
        format,
        nulls,
        fields,
        derive,
        explode,
        has_time: time_entry.is_some(),
        idle: time.as_ref().and_then(|time| time.idle).unwrap_or(time::IDLE_DEFAULT),
        time: time.map(|time| time.spec),
        groups_ttl,
        bad,
        quarantine,
        record_bytes_max: record_max.map_or(RECORD_BYTES_DEFAULT, |size| size.value as usize),
    })
}

/// `kind` and `path`; the paths come back with their places.
fn input<'a>(
    section: &mut Section<'a>,
    name: &str,
    problems: &mut Problems,
) -> (Option<InputKind>, Vec<Placed<&'a str>>) {
    let place = section.place.clone();
    let lacks_kind = section.lacks("kind");
    let kind = section.string("kind", problems);
    let path_place = section.entry("path").map(|entry| entry.key_place.clone());
    let paths = section.one_or_more("path", problems);
    if lacks_kind && paths.is_none() {
        let hint = "write kind = \"file\" with a path, kind = \"stdin\" or kind = \"http\"";
        problems.push(Problem::at(&place, format!("source `{name}` has no `kind`")).hint(hint));
    }
    let paths_known = paths.as_ref().map_or(Vec::new(), |paths| paths.value.clone());
    // A path says enough: it is a file.
    let file = Placed { value: "file", place: place.clone() };
    let Some(kind) = kind.or((lacks_kind && paths.is_some()).then_some(file)) else {
        return (None, paths_known);
    };
    match kind.value {
        word @ ("stdin" | "http") => {
            let (kind, what) = match word {
                "http" => (InputKind::Http, "a source that takes events over HTTP"),
                _ => (InputKind::Stdin, "standard input"),
            };
            if let Some(place) = path_place {
                let problem = Problem::at(&place, format!("{what} has no `path`"));
                problems.push(problem.hint("use kind = \"file\" for files"));
            }
            return (Some(kind), Vec::new());
        }
        "file" => {
            if section.lacks("path") {
                let problem = Problem::at(&place, format!("source `{name}` has no `path`"));
                problems
                    .push(problem.hint("add one, as in path = \"events.ndjson\"; \"-\" is standard input"));
            }
            let Some(paths) = paths else { return (None, Vec::new()) };
            check_paths(&paths, problems);
            return (Some(InputKind::File { paths: owned(paths.value) }), paths_known);
        }
        other if KINDS_UNBUILT.contains(&other) => {
            let problem =
                Problem::at(&kind.place, format!("kind `{other}` is not supported by this version"));
            problems.push(problem.hint("there are `file`, `stdin` and `http`"));
        }
        _ => problems.push(unknown_word("kind", &kind, &["file", "stdin", "http"])),
    }
    (None, paths_known)
}

fn check_paths(paths: &Placed<Vec<Placed<&str>>>, problems: &mut Problems) {
    if paths.value.is_empty() {
        problems
            .push(Problem::at(&paths.place, "`path` names no file").hint("as in path = \"events.ndjson\""));
    }
    for (i, path) in paths.value.iter().enumerate() {
        if path.value.is_empty() {
            problems.push(Problem::at(&path.place, "the path is empty"));
        } else if paths.value[..i].iter().any(|other| other.value == path.value) {
            let problem = Problem::at(&path.place, format!("`{}` is there twice", path.value));
            problems.push(problem.hint("its events would be counted twice: leave it out"));
        }
    }
}

/// `fields`: types by path. `a.b = "int64"` without quotes is a table in a table, and the same path.
fn declare(table: &Table, prefix: &str, out: &mut Vec<(Placed<String>, Kind)>, problems: &mut Problems) {
    for entry in &table.entries {
        let path = format!("{prefix}{}", entry.key);
        match &entry.node.value {
            Value::Table(inner) => declare(inner, &format!("{path}."), out, problems),
            Value::String(word) => {
                let Some((_, kind)) = KINDS.into_iter().find(|(name, _)| name == word) else {
                    let text = Placed { value: word.as_str(), place: entry.node.place.clone() };
                    problems.push(unknown_type(&text));
                    continue;
                };
                if path.is_empty() {
                    problems.push(Problem::at(&entry.key_place, "the name of a field is empty"));
                } else if out.iter().any(|(other, _)| other.value == path) {
                    problems.push(Problem::at(&entry.key_place, format!("field `{path}` is declared twice")));
                }
                out.push((Placed { value: path, place: entry.key_place.clone() }, kind));
            }
            _ => problems.push(wrong_type(&path, "a string with its type", &entry.node)),
        }
    }
}

/// `derive`: names with their expressions.
fn expressions(key: &str, table: &Table, problems: &mut Problems) -> Vec<(Placed<String>, Expression)> {
    let mut out = Vec::new();
    for entry in &table.entries {
        let name = Placed { value: entry.key.as_str(), place: entry.key_place.clone() };
        check_name("column", &name, problems);
        let Some(text) = string_in(key, &entry.node, problems) else { continue };
        if let Some(expression) = Expression::of_text(&text, problems) {
            out.push((Placed { value: entry.key.clone(), place: entry.key_place.clone() }, expression));
        }
    }
    out
}

/// `explode`: one name with its list.
fn exploded(table: &Table, problems: &mut Problems) -> Option<(Placed<String>, Expression)> {
    const HINT: &str = "as in explode = { item = \"string_to_array(line, ' ')\" }";
    let mut found = expressions("explode", table, problems);
    if let [_, (second, _), ..] = &found[..] {
        problems.push(Problem::at(&second.place, "`explode` takes one list").hint(HINT));
    }
    (!found.is_empty()).then(|| found.remove(0))
}

impl SourceTable {
    /// The type that `fields` declares for a path.
    pub fn declared(&self, path: &str) -> Option<Kind> {
        self.fields.iter().find(|(field, _)| field.value == path).map(|(_, kind)| *kind)
    }

    /// Where the file or the format names the columns, a field must be one of them.
    pub fn check_column(&self, path: &str, place: &Place, problems: &mut Problems) {
        let (what, names): (_, Vec<&str>) = match &self.format {
            Some(Format::Delimited(Delimited { columns: Some(columns), .. })) => {
                ("column", columns.iter().map(String::as_str).collect())
            }
            Some(format) => match format.names() {
                Some(names) => ("field", names.to_vec()),
                None => return,
            },
            None => return,
        };
        if names.contains(&path) {
            return;
        }
        let hint = match did_you_mean(path, names.iter().copied()) {
            Some(meant) => Some(format!("did you mean `{meant}`?")),
            None if names == ["line"] => {
                Some("a line is one field, `line`: `explode` and `derive` take it apart".to_string())
            }
            None => (what == "field").then(|| format!("there are {}", listed(&names))),
        };
        let problem = Problem::at(place, format!("there is no {what} `{path}`"));
        problems.push(problem.hint_if(hint));
    }
}

fn unknown_type(text: &Placed<&str>) -> Problem {
    let ours = match text.value.to_lowercase().as_str() {
        "double" | "float" | "real" | "number" | "f64" | "decimal" => Some("float64"),
        "integer" | "int" | "long" | "i64" | "bigint" => Some("int64"),
        "text" | "str" | "varchar" | "utf8" => Some("string"),
        _ => None,
    };
    let known = KINDS.map(|(name, _)| name);
    match ours.or_else(|| did_you_mean(text.value, known)) {
        Some(ours) => Problem::at(&text.place, format!("unknown type `{}`", text.value))
            .hint(format!("did you mean `{ours}`?")),
        None => unknown_word("type", text, &known),
    }
}

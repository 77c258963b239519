//! `format` and the keys that only delimited files have.

use super::section::{Section, owned};
use super::tree::Value;
use crate::input::InputKind;
use crate::problem::{Place, Placed, Problem, Problems, listed};
use engine::spec::{Delimited, Format};

/// Most columns that `columns` names.
const COLUMNS_MAX: usize = 65_536;
/// Formats of the design that this version does not have.
const FORMATS_UNBUILT: [&str; 2] = ["avro", "protobuf"];

/// The ways records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FormatWord {
    Ndjson,
    Csv,
    Tsv,
    Clf,
    Combined,
    Lines,
    Parquet,
}

/// The words of `format`.
const FORMATS: [(&str, FormatWord); 7] = [
    ("ndjson", FormatWord::Ndjson),
    ("csv", FormatWord::Csv),
    ("tsv", FormatWord::Tsv),
    ("clf", FormatWord::Clf),
    ("combined", FormatWord::Combined),
    ("lines", FormatWord::Lines),
    ("parquet", FormatWord::Parquet),
];

/// `format` and the keys that only delimited files have.
pub(super) fn read(
    section: &mut Section<'_>,
    input: Option<&InputKind>,
    paths: &[Placed<&str>],
    problems: &mut Problems,
) -> Option<Format> {
    let given = section.entry("format");
    let word = match given.map(|entry| &entry.node) {
        Some(node) => match &node.value {
            Value::String(s) if FORMATS_UNBUILT.contains(&s.as_str()) => {
                let problem =
                    Problem::at(&node.place, format!("format `{s}` is not supported by this version"));
                problems.push(problem.hint(format!("there are {}", listed(&FORMATS.map(|(name, _)| name)))));
                None
            }
            _ => section.word("format", &FORMATS, problems).map(|word| word.value),
        },
        // What is posted is NDJSON unless something else is said.
        None if input == Some(&InputKind::Http) => Some(FormatWord::Ndjson),
        None => infer(section, input, paths, problems),
    };
    let shape = Shape::read(section, problems);
    let word = word?;
    let delimited = matches!(word, FormatWord::Csv | FormatWord::Tsv);
    let name = FORMATS.iter().find(|(_, other)| *other == word).map_or("", |(name, _)| *name);
    for (key, place) in shape.given.iter().filter(|_| !delimited) {
        let problem = Problem::at(place, format!("`{key}` is for `csv` and `tsv`, this source is `{name}`"));
        problems.push(problem.hint("leave it out, or set `format`"));
    }
    let stream = paths.iter().find(|path| path.value == "-").map(|path| &path.place);
    let stream = stream.or((input == Some(&InputKind::Stdin)).then_some(&section.place));
    if let Some(place) = stream.filter(|_| word == FormatWord::Parquet) {
        let problem = Problem::at(place, "a Parquet file is read from its end, and standard input has none");
        problems.push(problem.hint("write it to a file"));
    }
    let whole_files = delimited || word == FormatWord::Parquet;
    if let Some(entry) = given.filter(|_| whole_files && input == Some(&InputKind::Http)) {
        let problem = Problem::at(&entry.node.place, format!("bodies over HTTP are lines, not `{name}`"));
        problems.push(problem.hint("post NDJSON, or lines of `clf`, `combined` or `lines`"));
    }
    Some(match word {
        FormatWord::Ndjson => Format::Ndjson,
        FormatWord::Csv => Format::Delimited(shape.delimited(b',', true, problems)),
        FormatWord::Tsv => Format::Delimited(shape.delimited(b'\t', false, problems)),
        FormatWord::Clf => Format::AccessLog { combined: false },
        FormatWord::Combined => Format::AccessLog { combined: true },
        FormatWord::Lines => Format::Lines,
        FormatWord::Parquet => Format::Parquet,
    })
}

/// The format that the names of the files tell; standard input tells nothing.
fn infer(
    section: &Section<'_>,
    input: Option<&InputKind>,
    paths: &[Placed<&str>],
    problems: &mut Problems,
) -> Option<FormatWord> {
    const HINT: &str =
        "write format = \"ndjson\", \"csv\", \"tsv\", \"clf\", \"combined\", \"lines\" or \"parquet\"";
    if input == Some(&InputKind::Stdin) {
        problems.push(Problem::at(&section.place, "standard input does not tell its format").hint(HINT));
    }
    let mut found: Option<(FormatWord, &str)> = None;
    for path in paths {
        match (of_extension(path.value), found) {
            (None, _) => {
                let problem = Problem::at(
                    &path.place,
                    format!("the name of `{}` does not tell its format", path.value),
                );
                problems.push(problem.hint(HINT));
                return None;
            }
            (Some(word), Some((first, other))) if word != first => {
                let message = format!("`{}` and `{other}` have different formats", path.value);
                problems
                    .push(Problem::at(&path.place, message).hint("a source has one format: make two of it"));
                return None;
            }
            (Some(word), _) => found = Some((word, path.value)),
        }
    }
    found.map(|(word, _)| word)
}

fn of_extension(path: &str) -> Option<FormatWord> {
    let lower = path.to_lowercase();
    let plain = [".gz", ".zst", ".xz"].iter().find_map(|end| lower.strip_suffix(end)).unwrap_or(&lower);
    match plain.rsplit_once('.')?.1 {
        "ndjson" | "jsonl" | "json" => Some(FormatWord::Ndjson),
        "csv" => Some(FormatWord::Csv),
        "tsv" => Some(FormatWord::Tsv),
        "parquet" => Some(FormatWord::Parquet),
        _ => None,
    }
}

/// The keys of a delimited file.
struct Shape {
    delimiter: Option<Placed<u8>>,
    quote: Option<bool>,
    header: Option<Placed<bool>>,
    columns: Option<Placed<Vec<String>>>,
    /// Which of them were written, and where.
    given: Vec<(&'static str, Place)>,
}

impl Shape {
    fn read(section: &mut Section<'_>, problems: &mut Problems) -> Shape {
        let mut given = Vec::new();
        for key in ["delimiter", "quote", "header", "columns"] {
            given.extend(section.entry(key).map(|entry| (key, entry.key_place.clone())));
        }
        Shape {
            delimiter: section.parsed("delimiter", problems, delimiter),
            quote: section.boolean("quote", problems).map(|quote| quote.value),
            header: section.boolean("header", problems),
            columns: section.strings("columns", problems).map(|names| columns(names, problems)),
            given,
        }
    }

    fn delimited(self, delimiter: u8, quoted: bool, problems: &mut Problems) -> Delimited {
        let place_of = |key| self.given.iter().find(|(k, _)| *k == key).map(|(_, place)| place.clone());
        let headed = self.header.as_ref().is_none_or(|header| header.value);
        match (&self.header, place_of("columns")) {
            (Some(header), None) if !headed => {
                let problem = Problem::at(&header.place, "without a header line the columns have no names");
                problems.push(problem.hint("add columns = [\"a\", \"b\"]"));
            }
            (_, Some(place)) if headed => {
                let problem =
                    Problem::at(&place, "`columns` names columns only where there is no header line");
                problems.push(problem.hint("add header = false, or leave `columns` out"));
            }
            _ => {}
        }
        Delimited {
            delimiter: self.delimiter.map_or(delimiter, |d| d.value),
            quoted: self.quote.unwrap_or(quoted),
            columns: self.columns.map(|names| names.value).filter(|_| !headed),
        }
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [b'"' | b'\n' | b'\r'] => Err("the delimiter cannot be a quote or a line end".into()),
        [byte] if byte.is_ascii() => Ok(*byte),
        _ => Err(format!("`{text}` is not a delimiter: it is one ASCII character, as in \";\" or \"\\t\"")),
    }
}

fn columns(names: Placed<Vec<Placed<&str>>>, problems: &mut Problems) -> Placed<Vec<String>> {
    if names.value.is_empty() {
        problems.push(Problem::at(&names.place, "`columns` names no column"));
    }
    if names.value.len() > COLUMNS_MAX {
        problems.push(Problem::at(&names.place, format!("`columns` names more than {COLUMNS_MAX} columns")));
    }
    let mut seen = std::collections::BTreeSet::new();
    for name in &names.value {
        if name.value.is_empty() {
            problems.push(Problem::at(&name.place, "the name of a column is empty"));
        } else if !seen.insert(name.value) {
            problems.push(Problem::at(&name.place, format!("column `{}` is there twice", name.value)));
        }
    }
    let place = names.place.clone();
    Placed { value: owned(names.value), place }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_extensions() {
        for (path, expected) in [
            ("a.ndjson", Some(FormatWord::Ndjson)),
            ("logs/*.JSONL.gz", Some(FormatWord::Ndjson)),
            ("a.b.json.zst", Some(FormatWord::Ndjson)),
            ("x.csv", Some(FormatWord::Csv)),
            ("x.tsv.zst", Some(FormatWord::Tsv)),
            ("x.csv.xz", Some(FormatWord::Csv)),
            ("x.xz", None),
            ("lake/*.parquet", Some(FormatWord::Parquet)),
            ("x.gz", None),
            ("x.txt", None),
            ("access.log.gz", None),
            ("csv", None),
            ("-", None),
        ] {
            assert_eq!(of_extension(path), expected, "{path}");
        }
    }
}

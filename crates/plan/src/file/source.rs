//! `[source.NAME]`: where events come from and how they are written.

use super::expression::Expression;
use super::section::{Section, string_in, unknown_word, wrong_type};
use super::tree::{Entry, Table, Value};
use super::values::{bytes_within, check_name, span_above_zero};
use crate::input::InputKind;
use crate::problem::{Place, Placed, Problem, Problems, did_you_mean, listed};
use engine::spec::{BadPolicy, Delimited, Format, Kind, Later, TimeFormat, TimeFrom, TimeSpec};
use engine::time::Span;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;

/// Longest record accepted when `record_max` does not say.
const RECORD_BYTES_DEFAULT: usize = 1 << 20;
/// Records that must agree before the clock jumps, when `agree` does not say.
const AGREE_DEFAULT: i64 = 32;
/// As many as are held before the first clock.
const AGREE_MAX: i64 = 65_536;
/// Most columns that `columns` names.
const COLUMNS_MAX: usize = 65_536;
/// Keys of the design that this version does not have.
const UNBUILT: [&str; 7] = ["topics", "topic", "key", "hash", "rename", "filter", "where"];
/// Keys of `time` that this version does not have.
const TIME_UNBUILT: [&str; 1] = ["idle"];
/// Kinds of the design that this version does not have.
const KINDS_UNBUILT: [&str; 4] = ["http", "kafka", "pulsar", "parquet"];
/// Formats of the design that this version does not have.
const FORMATS_UNBUILT: [&str; 2] = ["avro", "protobuf"];
/// How access logs write their field `time`.
const ACCESS_TIME: &str = "%d/%b/%Y:%H:%M:%S %z";
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
    let format = format(&mut section, input.as_ref(), &paths, problems);
    let nulls = section.strings("null", problems).map_or(Vec::new(), |words| owned(words.value));
    let declared = section.table("fields", problems);
    let time_entry = section.entry("time");
    let time = time_entry.and_then(|entry| time(entry, format.as_ref(), problems));
    let bad =
        section.word("bad", &[("count", BadPolicy::Count), ("quarantine", BadPolicy::Quarantine)], problems);
    let bad = bad.map_or(BadPolicy::Count, |word| word.value);
    let quarantine = section.string("quarantine", problems);
    let quarantine = quarantine.map(|path| Placed { value: path.value.to_string(), place: path.place });
    let record_max =
        section.parsed("record_max", problems, |text| bytes_within(text, (16, "16B"), (1 << 30, "1GiB")));
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
        time,
        bad,
        quarantine,
        record_bytes_max: record_max.map_or(RECORD_BYTES_DEFAULT, |size| size.value as usize),
    })
}

fn owned(words: Vec<Placed<&str>>) -> Vec<String> {
    words.into_iter().map(|word| word.value.to_string()).collect()
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
        let hint = "write kind = \"file\" with a path, or kind = \"stdin\"";
        problems.push(Problem::at(&place, format!("source `{name}` has no `kind`")).hint(hint));
    }
    let paths_known = paths.as_ref().map_or(Vec::new(), |paths| paths.value.clone());
    // A path says enough: it is a file.
    let file = Placed { value: "file", place: place.clone() };
    let Some(kind) = kind.or((lacks_kind && paths.is_some()).then_some(file)) else {
        return (None, paths_known);
    };
    match kind.value {
        "stdin" => {
            if let Some(place) = path_place {
                problems.push(
                    Problem::at(&place, "standard input has no `path`").hint("use kind = \"file\" for files"),
                );
            }
            return (Some(InputKind::Stdin), Vec::new());
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
            problems.push(problem.hint("there are `file` and `stdin`"));
        }
        _ => problems.push(unknown_word("kind", &kind, &["file", "stdin"])),
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
fn format(
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

/// `time`: where event time comes from, and what happens to late events.
fn time(entry: &Entry, of: Option<&Format>, problems: &mut Problems) -> Option<Placed<TimeSpec>> {
    let table = match &entry.node.value {
        Value::Table(table) => table,
        Value::String(word) if word == "arrival" => {
            return Some(Placed { value: in_order(TimeFrom::Arrival), place: entry.node.place.clone() });
        }
        Value::String(word) => {
            let hint = match did_you_mean(word, ["arrival"]) {
                Some(meant) => format!("did you mean time = \"{meant}\"?"),
                None => format!("write time = {{ field = \"{word}\" }}"),
            };
            problems.push(wrong_type("time", "a table", &entry.node).hint(hint));
            return None;
        }
        _ => {
            problems.push(wrong_type("time", "a table", &entry.node).hint("as in time = { field = \"ts\" }"));
            return None;
        }
    };
    let mut section = Section::new("`time`", &entry.key_place, table);
    if section.entry("row").is_some() {
        return by_row(section, table, problems);
    }
    let lacks_field = section.lacks("field");
    let field = section.string("field", problems);
    if lacks_field && !TIME_UNBUILT.iter().any(|key| table.get(key).is_some()) {
        let problem = Problem::at(&section.place, "`time` does not say which `field` holds it");
        problems.push(problem.hint("as in time = { field = \"ts\" }"));
    }
    if let Some(empty) = field.as_ref().filter(|field| field.value.is_empty()) {
        problems.push(Problem::at(&empty.place, "the name of a field is empty"));
    }
    let own = field.as_ref().filter(|field| field.value == "time");
    let own = own.filter(|_| matches!(of, Some(Format::AccessLog { .. }))).map(|_| ACCESS_TIME);
    let format = time_format(&mut section, own, problems);
    let lateness = section.parsed("lateness", problems, |text| text.trim().parse::<Span>());
    let words = [("correct", Later::Correct), ("quarantine", Later::Quarantine), ("drop", Later::Drop)];
    let later = section.word("later", &words, problems);
    let ahead = section.parsed("ahead", problems, span_above_zero);
    let agree = section.integer("agree", 1..=AGREE_MAX, problems);
    section.finish(&TIME_UNBUILT, problems);
    let field = field?;
    let value = TimeSpec {
        from: TimeFrom::Field { path: field.value.to_string(), format },
        lateness: lateness.map_or(Span(0), |span| span.value),
        later: later.map_or(Later::Correct, |word| word.value),
        ahead: ahead.map(|span| span.value),
        agree: agree.unwrap_or(AGREE_DEFAULT) as usize,
    };
    Some(Placed { value, place: field.place })
}

/// `row`: each record happens as much later than the one before it.
fn by_row(mut section: Section<'_>, table: &Table, problems: &mut Problems) -> Option<Placed<TimeSpec>> {
    let others = ["field", "unit", "pattern", "zone", "lateness", "later", "ahead", "agree"];
    for key in others {
        let Some(entry) = section.entry(key) else { continue };
        let problem = Problem::at(&entry.key_place, format!("`{key}` has no meaning with `row`"));
        problems.push(
            problem.hint("records are numbered in the order in which they are read: none is late or ahead"),
        );
    }
    let row = section.parsed("row", problems, span_above_zero);
    section.finish(&TIME_UNBUILT, problems);
    let row = row.filter(|_| others.iter().all(|key| table.get(key).is_none()))?;
    Some(Placed { value: in_order(TimeFrom::Row(row.value)), place: row.place })
}

/// Event time that never goes back.
fn in_order(from: TimeFrom) -> TimeSpec {
    TimeSpec { from, lateness: Span(0), later: Later::Correct, ahead: None, agree: AGREE_DEFAULT as usize }
}

/// `unit` or `pattern`; when neither is written the pattern that the format has, or RFC 3339.
fn time_format(section: &mut Section<'_>, own: Option<&str>, problems: &mut Problems) -> TimeFormat {
    const UNITS: [(&str, (i64, i64)); 4] =
        [("s", (1_000_000, 1)), ("ms", (1_000, 1)), ("us", (1, 1)), ("ns", (1, 1_000))];
    let unit_place = section.entry("unit").map(|entry| entry.key_place.clone());
    let pattern_given = section.entry("pattern").is_some();
    if let (Some(place), true) = (unit_place, pattern_given) {
        let problem = Problem::at(&place, "`unit` is for numbers and `pattern` for text");
        problems.push(problem.hint("leave one of them out"));
    }
    let unit = section.word("unit", &UNITS, problems);
    let pattern = section.parsed("pattern", problems, check_pattern);
    let zone_place = section.entry("zone").map(|entry| entry.key_place.clone());
    let zone = section.parsed("zone", problems, check_zone);
    let instant = pattern.as_ref().is_some_and(|pattern| tells_instant(&pattern.value));
    if let Some(place) = zone_place {
        let problem = Problem::at(&place, "");
        let (message, hint) = match pattern_given {
            false => ("`zone` is for a `pattern`", "leave it out: such times say their offset or are UTC"),
            true if instant => {
                ("the `pattern` has an offset, which says more than a `zone`", "leave `zone` out")
            }
            true => ("", ""),
        };
        if !message.is_empty() {
            problems.push(Problem { message: message.into(), ..problem.hint(hint) });
        }
    }
    match (unit, pattern) {
        (_, Some(pattern)) => {
            TimeFormat::Pattern { pattern: pattern.value, zone: zone.map(|zone| zone.value) }
        }
        (Some(unit), None) => TimeFormat::Unix(unit.value.0, unit.value.1),
        (None, None) => {
            own.map_or(TimeFormat::Rfc3339, |own| TimeFormat::Pattern { pattern: own.into(), zone: None })
        }
    }
}

/// A pattern is good when a known time, written with it, can be read back to a date and a time of day.
fn check_pattern(pattern: &str) -> Result<String, String> {
    let known = jiff::civil::date(2015, 9, 12).at(13, 46, 58, 0).to_zoned(jiff::tz::TimeZone::UTC);
    let wrong = |why: String| format!("`{pattern}` is not a pattern of times: {why}");
    let known = known.map_err(|why| wrong(why.to_string()))?;
    let text = BrokenDownTime::from(&known).to_string(pattern).map_err(|why| wrong(why.to_string()))?;
    let read = BrokenDownTime::parse(pattern, &text).map_err(|why| wrong(why.to_string()))?;
    match (read.to_datetime(), read.to_timestamp()) {
        (Err(_), Err(_)) => Err(wrong("it holds no full date, as %Y-%m-%d does".into())),
        _ => Ok(pattern.to_string()),
    }
}

/// Whether times of a good pattern are instants, whatever the zone is.
fn tells_instant(pattern: &str) -> bool {
    let known = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
    let text = BrokenDownTime::from(&known).to_string(pattern).unwrap_or_default();
    BrokenDownTime::parse(pattern, text).is_ok_and(|read| {
        read.offset().is_some() || read.iana_time_zone().is_some() || read.to_timestamp().is_ok()
    })
}

/// A zone is good when the database that is part of the program has it.
fn check_zone(name: &str) -> Result<String, String> {
    if TimeZone::get(name).is_ok_and(|zone| !zone.is_unknown()) {
        return Ok(name.to_string());
    }
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.as_str().to_string()).collect();
    let meant = did_you_mean(name, names.iter().map(String::as_str));
    // `Berlin` means `Europe/Berlin`.
    let meant = meant.or_else(|| {
        let city =
            |full: &&String| full.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(name));
        names.iter().find(city).map(String::as_str)
    });
    Err(match meant {
        Some(meant) => format!("there is no time zone `{name}`; did you mean `{meant}`?"),
        None => format!("there is no time zone `{name}`: write an IANA name, as in \"Europe/Berlin\""),
    })
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

    #[test]
    fn patterns_are_tried_on_a_known_time() {
        for good in ["%Y-%m-%d %H:%M:%S", "%d/%b/%Y:%H:%M:%S %z", "%s", "%Y-%m-%dT%H:%M:%S%.f", "%Y%m%d"] {
            assert_eq!(check_pattern(good).as_deref(), Ok(good));
        }
        for bad in ["", "ts", "%H:%M", "%Q-%!", "%", "%m-%d"] {
            assert!(check_pattern(bad).is_err(), "{bad}");
        }
    }
}

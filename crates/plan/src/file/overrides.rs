//! `--set source.events.path=FILE`: one key of the file, given on the command line.

use super::tree::{self, Entry, Node, Table, Value};
use crate::problem::{Place, Problem, Problems};
use std::ops::Range;

/// Most parts of a path; the deepest key of a pipeline file has five.
const PARTS_MAX: usize = 16;

/// A key with its path, and the value that takes the place of what the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// As it was given.
    text: String,
    /// The parts of the path and where they stand in `text`.
    path: Vec<(String, Range<usize>)>,
    /// Where the value begins in `text`.
    value_start: usize,
}

impl Override {
    /// Reads `a.b.c=value`. The value is TOML where it parses as such (`5`, `true`, `["a", "b"]`, `"text"`), otherwise
    /// it is taken as a string (`events.ndjson`). A part of the path with odd characters is quoted: `a."b.c"`.
    ///
    /// # Errors
    /// A sentence, when there is no path, no `=`, or a part of the path is not a name.
    pub fn parse(text: &str) -> Result<Override, String> {
        let wrong = |why: &str| {
            Err(format!("`{text}`: {why}; write a key and a value, as in source.events.path=FILE"))
        };
        let mut path = Vec::new();
        let mut at = 0;
        loop {
            let Some((part, span)) = path_part(text, at) else { return wrong("the key is not a name") };
            at = span.end;
            path.push((part, span));
            if path.len() > PARTS_MAX {
                return wrong("the key has too many parts");
            }
            at += blanks(&text[at..]);
            match text[at..].chars().next() {
                Some('.') => at += 1,
                Some('=') => break,
                _ => return wrong("there is no `=` after the key"),
            }
        }
        let value_start = at + 1 + blanks(&text[at + 1..]);
        Ok(Override { text: text.to_string(), path, value_start })
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this replaces the key at `path`, alone or with the table around it.
    pub fn covers(&self, path: &[&str]) -> bool {
        self.path.len() <= path.len() && self.path.iter().zip(path).all(|((ours, _), theirs)| ours == theirs)
    }

    /// Puts the value into the tree; this is text `number` of `problems`. Missing tables are made.
    pub(crate) fn apply(&self, root: &mut Table, number: usize, problems: &mut Problems) {
        let Some((last, parents)) = self.path.split_last() else { return };
        let mut table = root;
        for (part, span) in parents {
            let place = Place { text: number, start: span.start, end: span.end };
            let entry = entry_of(table, part, &place, || Value::Table(Table::default()));
            match &mut entry.node.value {
                Value::Table(inner) => table = inner,
                other => {
                    let message = format!("`{part}` is {} in the file, not a table", other.kind());
                    problems.push(Problem::at(&place, message).label("nothing can be set inside it"));
                    return;
                }
            }
        }
        let node = self.node(number);
        let place = Place { text: number, start: last.1.start, end: last.1.end };
        let entry = entry_of(table, &last.0, &place, || Value::Bool(false));
        entry.key_place = place;
        entry.node = node;
    }

    fn node(&self, number: usize) -> Node {
        let value = self.text[self.value_start..].trim_end();
        let place = Place { text: number, start: self.value_start, end: self.value_start + value.len() };
        tree::parse_value(value, number, self.value_start)
            .unwrap_or_else(|| Node { value: Value::String(value.to_string()), place })
    }
}

/// The entry of a key, made at the end of the table when it is missing.
fn entry_of<'t>(table: &'t mut Table, key: &str, place: &Place, value: impl Fn() -> Value) -> &'t mut Entry {
    let found = table.entries.iter().position(|entry| entry.key == key);
    let at = found.unwrap_or_else(|| {
        let node = Node { value: value(), place: place.clone() };
        table.entries.push(Entry { key: key.to_string(), key_place: place.clone(), node });
        table.entries.len() - 1
    });
    &mut table.entries[at]
}

/// One part of the path: bare, or in quotes (without escapes). Its place includes the quotes.
fn path_part(text: &str, from: usize) -> Option<(String, Range<usize>)> {
    let start = from + blanks(&text[from..]);
    let rest = &text[start..];
    if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let len = rest[1..].find(quote)?;
        return Some((rest[1..=len].to_string(), start..start + len + 2));
    }
    let len = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).unwrap_or(rest.len());
    (len > 0).then(|| (rest[..len].to_string(), start..start + len))
}

fn blanks(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cut_at_dots_and_the_first_equals_sign() {
        for (text, path, value) in [
            ("a=1", vec!["a"], "1"),
            ("source.events.path=x=y.csv", vec!["source", "events", "path"], "x=y.csv"),
            (" a . 'b.c' = [1] ", vec!["a", "b.c"], "[1] "),
            ("a-b._c=", vec!["a-b", "_c"], ""),
        ] {
            let got = Override::parse(text).unwrap();
            assert_eq!(got.path.iter().map(|(p, _)| p.as_str()).collect::<Vec<_>>(), path, "{text}");
            assert_eq!(&text[got.value_start..], value);
        }
        assert!(Override::parse(&format!("{}=1", ["a"; 17].join("."))).is_err());
        for bad in ["", "=1", "a", "a.=1", ".a=1", "a b=1", "'a=1", "a..b=1"] {
            assert!(Override::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_override_covers_its_key_and_what_is_inside() {
        let path = ["source", "events", "path"];
        for (text, covers) in [
            ("source.events.path=a", true),
            ("source . 'events'.path=a", true),
            ("source.events={}", true),
            ("source={}", true),
            ("source.event.path=a", false),
            ("source.events.path.x=a", false),
            ("name=a", false),
        ] {
            assert_eq!(Override::parse(text).unwrap().covers(&path), covers, "{text}");
        }
    }

    #[test]
    fn a_value_is_toml_where_it_can_be() {
        for (text, kind) in [
            ("a=1", "an integer"),
            ("a=true", "a boolean"),
            ("a=[\"x\"]", "an array"),
            ("a={ b = 1 }", "a table"),
            ("a='x'", "a string"),
            ("a=x/y.csv", "a string"),
            ("a=-", "a string"),
            ("a=", "a string"),
            ("a=5m", "a string"),
        ] {
            assert_eq!(Override::parse(text).unwrap().node(1).value.kind(), kind, "{text}");
        }
    }
}

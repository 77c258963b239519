//! One table of the file, read key by key.
//!
//! Every key that is asked for is known, so [`Section::finish`] can name the others: a key that nobody asked for is a
//! problem, never ignored.

use super::tree::{Entry, Node, Table, Value};
use crate::problem::{Place, Placed, Problem, Problems, did_you_mean, listed};

/// A table under a name.
pub(crate) struct Section<'a> {
    /// What it is called in messages: "source `events`".
    what: String,
    /// The key that opened it.
    pub place: Place,
    table: &'a Table,
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// Opens a table.
    pub fn new(what: impl Into<String>, place: &Place, table: &'a Table) -> Self {
        Section { what: what.into(), place: place.clone(), table, asked: Vec::new() }
    }

    /// The entry of a key, whatever its type.
    pub fn entry(&mut self, key: &'static str) -> Option<&'a Entry> {
        self.asked.push(key);
        self.table.get(key)
    }

    /// Whether a key that must be there is not. A misspelt one is not missing: [`Section::finish`] names it.
    pub fn lacks(&mut self, key: &'static str) -> bool {
        let absent = self.entry(key).is_none();
        absent && !self.table.entries.iter().any(|other| did_you_mean(&other.key, [key]).is_some())
    }

    /// The value of a key that `read` accepts; where it does not, `expected` says what it should be.
    fn typed<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        problems: &mut Problems,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Option<Placed<T>> {
        let node = &self.entry(key)?.node;
        let value = read(&node.value);
        if value.is_none() {
            problems.push(wrong_type(key, expected, node));
        }
        Some(Placed { value: value?, place: node.place.clone() })
    }

    /// A string.
    pub fn string(&mut self, key: &'static str, problems: &mut Problems) -> Option<Placed<&'a str>> {
        self.typed(key, "a string", problems, as_string)
    }

    /// A string that `parse` understands.
    pub fn parsed<T>(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Placed<T>> {
        let text = self.string(key, problems)?;
        match parse(text.value) {
            Ok(value) => Some(Placed { value, place: text.place }),
            Err(why) => {
                problems.push(Problem::at(&text.place, why).label(format!("`{key}` of {}", self.what)));
                None
            }
        }
    }

    /// One of a few words.
    pub fn word<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
        problems: &mut Problems,
    ) -> Option<Placed<T>> {
        let text = self.string(key, problems)?;
        match words.iter().find(|(word, _)| *word == text.value) {
            Some((_, value)) => Some(Placed { value: *value, place: text.place }),
            None => {
                let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                problems.push(unknown_word(key, &text, &known));
                None
            }
        }
    }

    /// true or false.
    pub fn boolean(&mut self, key: &'static str, problems: &mut Problems) -> Option<Placed<bool>> {
        self.typed(key, "true or false", problems, |value| match value {
            Value::Bool(b) => Some(*b),
            _ => None,
        })
    }

    /// A whole number in a range.
    pub fn integer(
        &mut self,
        key: &'static str,
        range: std::ops::RangeInclusive<i64>,
        problems: &mut Problems,
    ) -> Option<i64> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let read = |value: &Value| match value {
            Value::Integer(i) if range.contains(i) => Some(*i),
            _ => None,
        };
        self.typed(key, &expected, problems, read).map(|placed| placed.value)
    }

    /// An array of strings; elements of other types are problems and left out.
    pub fn strings(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
    ) -> Option<Placed<Vec<Placed<&'a str>>>> {
        let array = self.typed(key, "an array of strings", problems, |value| match value {
            Value::Array(nodes) => Some(nodes),
            _ => None,
        })?;
        let strings = array.value.iter().filter_map(|node| string_in(key, node, problems)).collect();
        Some(Placed { value: strings, place: array.place })
    }

    /// A string or an array of strings.
    pub fn one_or_more(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
    ) -> Option<Placed<Vec<Placed<&'a str>>>> {
        match &self.table.get(key)?.node.value {
            Value::String(_) => {
                let one = self.string(key, problems)?;
                let place = one.place.clone();
                Some(Placed { value: vec![one], place })
            }
            Value::Array(_) => self.strings(key, problems),
            _ => self.typed(key, "a string or an array of strings", problems, |_| None),
        }
    }

    /// A table.
    pub fn table(&mut self, key: &'static str, problems: &mut Problems) -> Option<&'a Table> {
        let read = |value: &'a Value| match value {
            Value::Table(table) => Some(table),
            _ => None,
        };
        self.typed(key, "a table", problems, read).map(|table| table.value)
    }

    /// Names every key that nobody asked for. `unbuilt` are words of the design that this version does not have.
    pub fn finish(mut self, unbuilt: &[&str], problems: &mut Problems) {
        self.asked.sort_unstable();
        self.asked.dedup();
        #[cfg(test)]
        tests::record(&self.what, &self.asked);
        for entry in self.table.entries.iter().filter(|entry| !self.asked.contains(&entry.key.as_str())) {
            let problem = if unbuilt.contains(&entry.key.as_str()) {
                unsupported(&entry.key, &entry.key_place)
            } else {
                let hint = match did_you_mean(&entry.key, self.asked.iter().copied()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("there are {}", listed(&self.asked)),
                };
                Problem::at(&entry.key_place, format!("unknown key `{}`", entry.key))
                    .label(format!("not a key of {}", self.what))
                    .hint(hint)
            };
            problems.push(problem);
        }
    }
}

/// A string of an array.
pub(crate) fn string_in<'a>(key: &str, node: &'a Node, problems: &mut Problems) -> Option<Placed<&'a str>> {
    let value = as_string(&node.value);
    if value.is_none() {
        problems.push(wrong_type(&format!("an element of {key}"), "a string", node));
    }
    Some(Placed { value: value?, place: node.place.clone() })
}

/// Strings without their places.
pub(crate) fn owned(words: Vec<Placed<&str>>) -> Vec<String> {
    words.into_iter().map(|word| word.value.to_string()).collect()
}

/// A word that is not among the known ones.
pub(crate) fn unknown_word(key: &str, text: &Placed<&str>, known: &[&str]) -> Problem {
    let hint = match did_you_mean(text.value, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("there are {}", listed(known)),
    };
    Problem::at(&text.place, format!("unknown {key} `{}`", text.value)).hint(hint)
}

/// Something of the design that is not built yet.
pub(crate) fn unsupported(what: &str, place: &Place) -> Problem {
    Problem::at(place, format!("`{what}` is not supported by this version")).label("not built yet")
}

/// A value of another type than its key takes.
pub(crate) fn wrong_type(key: &str, expected: &str, node: &Node) -> Problem {
    let problem = Problem::at(&node.place, format!("`{key}` must be {expected}"));
    let scalar = !matches!(node.value, Value::String(_) | Value::Array(_) | Value::Table(_));
    match &node.value {
        Value::Integer(_) if expected.starts_with("a whole number") => problem.label("out of range"),
        value if scalar && expected.starts_with("a string") => {
            problem.label(format!("this is {}", value.kind())).hint("put it in quotes")
        }
        value => problem.label(format!("this is {}", value.kind())),
    }
}

fn as_string(value: &Value) -> Option<&str> {
    match value {
        Value::String(s) => Some(s),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value as Json;
    use std::cell::RefCell;
    use std::collections::{BTreeMap, BTreeSet};

    thread_local! {
        /// Keys that were asked for, by the first word of what their table is called.
        static ASKED: RefCell<BTreeMap<String, BTreeSet<&'static str>>> = RefCell::default();
    }

    /// Notes what a table was asked for.
    pub(super) fn record(what: &str, asked: &[&'static str]) {
        let kind = what.split_whitespace().next().unwrap_or_default().to_string();
        ASKED.with_borrow_mut(|all| all.entry(kind).or_default().extend(asked));
    }

    #[test]
    fn the_schema_has_the_keys_that_the_parser_asks_for_and_no_others() {
        let texts = [
            "source.e = { path = 'a.ndjson', time = { field = 'ts' } }\nmetric.n = { measure = 'count()', by = ['a'] }",
            "source.e = { kind = 'stdin', format = 'csv', time = { row = '1s' } }\nmetric.n = { measure = 'count()' }",
        ];
        for text in texts {
            crate::Pipeline::parse("p.toml", text, &[]).unwrap_or_else(|problems| panic!("{problems}"));
        }
        let keyed = format!("hash = 'keyed'\nhash_key.env = 'SECRET'\n{}", texts[0]);
        crate::Pipeline::parse_with("p.toml", &keyed, &[], &|_| Ok(vec![7; 16]))
            .unwrap_or_else(|problems| panic!("{problems}"));
        let tls = "serve.tls = { cert = 'c.pem', key = 'k.pem' }";
        let serving = format!("serve.token.env = 'TOKEN'\n{tls}\n{}", texts[0]);
        crate::Pipeline::parse("p.toml", &serving, &[]).unwrap_or_else(|problems| panic!("{problems}"));
        let schema: Json = serde_json::from_str(crate::SCHEMA).expect("the schema is JSON");
        let asked = ASKED.with_borrow(Clone::clone);
        let tables: Vec<&str> = asked.keys().map(String::as_str).collect();
        assert_eq!(
            tables,
            ["`hash_key`", "`serve`", "`time`", "`tls`", "`token`", "metric", "source", "the"]
        );
        // These are asked for to say where they belong.
        let misplaced = ["where", "filter"];
        for (table, rule) in [
            ("the", &schema),
            ("source", &schema["$defs"]["source"]),
            ("metric", &schema["$defs"]["metric"]),
            ("`time`", &schema["$defs"]["time"]),
            ("`hash_key`", &schema["properties"]["hash_key"]),
            ("`serve`", &schema["properties"]["serve"]),
            ("`token`", &schema["$defs"]["secret"]),
            ("`tls`", &schema["properties"]["serve"]["properties"]["tls"]),
        ] {
            let asked =
                asked[table].iter().copied().filter(|key| table != "metric" || !misplaced.contains(key));
            let asked: BTreeSet<&str> = asked.collect();
            let known = rule["properties"].as_object().expect("properties").keys().map(String::as_str);
            assert_eq!(asked, known.collect(), "{table}");
            assert_eq!(rule["additionalProperties"], false, "{table}");
        }
    }

    /// Words of a list in the schema, and the words that the parser lists when it is given another.
    #[test]
    fn the_schema_has_the_words_that_the_parser_knows() {
        let schema: Json = serde_json::from_str(crate::SCHEMA).expect("the schema is JSON");
        let source = |key: &str| schema["$defs"]["source"]["properties"][key]["enum"].clone();
        let time = |key: &str| schema["$defs"]["time"]["properties"][key]["enum"].clone();
        for (key, words, written) in [
            ("format", source("format"), "format = 'zzzz'"),
            ("bad", source("bad"), "bad = 'zzzz'"),
            ("later", time("later"), "time = { field = 't', later = 'zzzz' }"),
            ("unit", time("unit"), "time = { field = 't', unit = 'zzzz' }"),
            (
                "type",
                schema["$defs"]["types"]["additionalProperties"]["anyOf"][0]["enum"].clone(),
                "fields.a = 'zzzz'",
            ),
        ] {
            let text = format!("[source.e]\npath = 'a.ndjson'\n{written}\n[metric]\nn = 'count()'");
            let problems = crate::Pipeline::parse("p.toml", &text, &[]).expect_err("a word that is none");
            let words: Vec<&str> = words.as_array().expect(key).iter().filter_map(Json::as_str).collect();
            let hint = problems.iter().next().and_then(|p| p.hint.clone()).unwrap_or_default();
            assert_eq!(hint, format!("there are {}", listed(&words)), "{key}");
        }
        let measures = schema["$defs"]["measure"]["pattern"].as_str().expect("a pattern");
        let names: Vec<&str> =
            measures.split(['(', ')', '|']).filter(|word| crate::measure::is_measure(word)).collect();
        let problems = crate::Pipeline::parse("p.toml", "source.e.path = 'a.csv'\nmetric.n = 'zzzz()'", &[]);
        let hint =
            problems.expect_err("no measure").iter().next().and_then(|p| p.hint.clone()).unwrap_or_default();
        let known: BTreeSet<&str> = hint.split('`').skip(1).step_by(2).collect();
        assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), known);
    }
}

//! NDJSON as columns: members of nested objects by their path, as the decoder of the engine names them.

use super::table::Table;
use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Objects within objects that are looked into.
const DEPTH_MAX: usize = 6;

/// Reads records, one a line.
pub(super) fn read<'a>(text: &'a str, table: &mut Table<'a>) {
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if !table.has_room() {
            table.whole = false;
            return;
        }
        table.bytes += line.len() + 1;
        let mut member = Member { table, path: &mut String::new(), depth: 0 };
        match is_object(line).then(|| object(line, &mut member)) {
            Some(Ok(())) => table.accept(),
            _ => table.reject(),
        }
    }
}

/// Whether a line is one JSON object and nothing else.
pub(super) fn is_object(line: &str) -> bool {
    line.starts_with('{') && serde_json::from_str::<IgnoredAny>(line).is_ok()
}

/// An object that is being read: where it stands.
struct Member<'t, 'a> {
    table: &'t mut Table<'a>,
    path: &'t mut String,
    depth: usize,
}

fn object<'a>(text: &'a str, member: &mut Member<'_, 'a>) -> Result<(), serde_json::Error> {
    serde_json::Deserializer::from_str(text).deserialize_map(Object(member))
}

struct Object<'m, 't, 'a>(&'m mut Member<'t, 'a>);

impl<'a> Visitor<'a> for Object<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let member = self.0;
        let parent = member.path.len();
        while let Some(key) = map.next_key::<String>()? {
            let raw = map.next_value::<&'a RawValue>()?.get();
            if member.depth > 0 {
                member.path.push('.');
            }
            member.path.push_str(&key);
            value(raw, member).map_err(A::Error::custom)?;
            member.path.truncate(parent);
        }
        Ok(())
    }
}

fn value<'a>(raw: &'a str, member: &mut Member<'_, 'a>) -> Result<(), serde_json::Error> {
    if raw.starts_with('{') && member.depth < DEPTH_MAX {
        member.table.put_object(member.path);
        member.depth += 1;
        let done = object(raw, member);
        member.depth -= 1;
        return done;
    }
    let Some(column) = member.table.find(member.path) else { return Ok(()) };
    match raw.as_bytes().first() {
        Some(b'{' | b'[') => member.table.columns[column].containers += 1,
        Some(b'n') => {}
        Some(b'"') if raw.contains('\\') => {
            member.table.put(column, Cow::Owned(serde_json::from_str::<String>(raw)?));
        }
        Some(b'"') => member.table.put(column, Cow::Borrowed(&raw[1..raw.len() - 1])),
        _ => member.table.put(column, Cow::Borrowed(raw)),
    }
    Ok(())
}

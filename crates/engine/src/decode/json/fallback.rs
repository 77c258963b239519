//! The slow path: serde_json decides what an object is, and the text of the wanted values is cut out of it.
//!
//! Values that nobody wants are validated and skipped without recursion, so that no depth of nesting can exhaust the
//! stack; wanted objects nest at most as deep as the longest wanted path has dots.

use super::{Paths, join};
use crate::decode::value::{Decimal, Scalar};
use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Puts the source text of each wanted value of the object into `values`; of equal paths the last one wins.
pub(super) fn read<'a>(
    text: &'a str,
    paths: &Paths,
    values: &mut [Option<&'a str>],
) -> Result<(), serde_json::Error> {
    values.fill(None);
    let mut path = String::new();
    object(text, Object { paths, path: &mut path, parent: None, values })
}

fn object<'a>(text: &'a str, visitor: Object<'a, '_>) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(visitor)?;
    deserializer.end()
}

/// The text of a JSON string without its escapes; other values have nothing to take off.
pub(super) fn unescape(raw: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) if inner.contains('\\') => serde_json::from_str(raw).map(Cow::Owned),
        Some(inner) => Ok(Cow::Borrowed(inner)),
        None => Ok(Cow::Borrowed(raw)),
    }
}

/// The scalar with this source text, which is valid JSON without blanks around it.
pub(super) fn scalar<'a>(raw: &'a str, unescaped: &'a str) -> Scalar<'a> {
    match raw.as_bytes().first() {
        Some(b'"') => Scalar::Text(unescaped.as_bytes()),
        Some(b'n') => Scalar::Null,
        Some(b't') => Scalar::Bool(true),
        Some(b'f') => Scalar::Bool(false),
        Some(b'-' | b'0'..=b'9') => Decimal::from_json(raw.as_bytes(), 0)
            .map_or(Scalar::Container, |(number, _)| Scalar::Number(number)),
        _ => Scalar::Container,
    }
}

/// An object that holds wanted paths.
struct Object<'a, 's> {
    paths: &'s Paths,
    /// The path so far; the object's own is its first `parent` bytes.
    path: &'s mut String,
    parent: Option<usize>,
    values: &'s mut [Option<&'a str>],
}

impl<'a> Visitor<'a> for Object<'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let Object { paths, path, parent, values } = self;
        while let Some(Key(key)) = map.next_key::<Key<'a>>()? {
            join(path, parent, &key);
            let (wanted, inner) = (paths.find(path), paths.lead_through(path));
            if wanted.is_none() && !inner {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let raw = map.next_value::<&'a RawValue>()?.get();
            if let Some(wanted) = wanted {
                values[wanted] = Some(raw);
            }
            if inner && raw.starts_with('{') {
                let parent = Some(path.len());
                object(raw, Object { paths, path: &mut *path, parent, values: &mut *values })
                    .map_err(A::Error::custom)?;
            }
        }
        Ok(())
    }
}

/// A key, borrowed unless it has escapes.
struct Key<'a>(Cow<'a, str>);

impl<'a> serde::Deserialize<'a> for Key<'a> {
    fn deserialize<D: serde::Deserializer<'a>>(deserializer: D) -> Result<Key<'a>, D::Error> {
        deserializer.deserialize_str(KeyVisitor).map(Key)
    }
}

struct KeyVisitor;

impl<'a> Visitor<'a> for KeyVisitor {
    type Value = Cow<'a, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a key")
    }

    fn visit_borrowed_str<E>(self, key: &'a str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

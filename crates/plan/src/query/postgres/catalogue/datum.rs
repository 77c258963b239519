//! Values of the catalogue, and the types they have.

use std::cmp::Ordering;

/// Types, by their numbers in Postgres.
pub(crate) mod kind {
    pub const BOOL: u32 = 16;
    pub const BYTEA: u32 = 17;
    pub const CHAR: u32 = 18;
    pub const NAME: u32 = 19;
    pub const INT8: u32 = 20;
    pub const INT2: u32 = 21;
    pub const INT4: u32 = 23;
    pub const TEXT: u32 = 25;
    pub const OID: u32 = 26;
    pub const FLOAT8: u32 = 701;
    pub const CHARS: u32 = 1002;
    pub const NAMES: u32 = 1003;
    pub const INT2S: u32 = 1005;
    pub const INT4S: u32 = 1007;
    pub const TEXTS: u32 = 1009;
    pub const INT8S: u32 = 1016;
    pub const OIDS: u32 = 1028;
    pub const TIMESTAMPTZ: u32 = 1184;

    pub fn is_whole(kind: u32) -> bool {
        matches!(kind, INT8 | INT2 | INT4 | OID)
    }

    /// The type of the elements of an array.
    pub fn element(kind: u32) -> Option<u32> {
        Some(match kind {
            CHARS => CHAR,
            NAMES => NAME,
            INT2S => INT2,
            INT4S => INT4,
            TEXTS => TEXT,
            INT8S => INT8,
            OIDS => OID,
            _ => return None,
        })
    }

    /// The type of arrays of a type.
    pub fn array(kind: u32) -> u32 {
        match kind {
            CHAR => CHARS,
            NAME => NAMES,
            INT2 => INT2S,
            INT4 => INT4S,
            INT8 => INT8S,
            OID => OIDS,
            _ => TEXTS,
        }
    }
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Datum {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// The number of a thing, shown as its name.
    Named(i64, String),
    List(Vec<Datum>),
    Row(Vec<(String, Datum)>),
}

impl Datum {
    pub fn text(text: impl Into<String>) -> Datum {
        Datum::Text(text.into())
    }

    /// Bytes that it takes, about.
    pub fn bytes(&self) -> usize {
        std::mem::size_of::<Datum>()
            + match self {
                Datum::Text(text) | Datum::Named(_, text) => text.len(),
                Datum::List(items) => items.iter().map(Datum::bytes).sum(),
                Datum::Row(fields) => fields.iter().map(|(name, field)| name.len() + field.bytes()).sum(),
                Datum::Null | Datum::Bool(_) | Datum::Int(_) | Datum::Float(_) => 0,
            }
    }

    pub fn is_null(&self) -> bool {
        *self == Datum::Null
    }

    /// True, false, or unknown.
    pub fn truth(&self) -> Option<bool> {
        match self {
            Datum::Bool(b) => Some(*b),
            Datum::Text(text) => {
                matches!(text.as_str(), "t" | "true" | "on" | "1" | "yes").then_some(true).or(Some(false))
            }
            Datum::Int(n) => Some(*n != 0),
            _ => None,
        }
    }

    /// As Postgres writes it.
    pub fn shown(&self) -> Option<String> {
        Some(match self {
            Datum::Null => return None,
            Datum::Bool(b) => if *b { "t" } else { "f" }.into(),
            Datum::Int(n) => n.to_string(),
            Datum::Float(f) => f.to_string(),
            Datum::Text(text) | Datum::Named(_, text) => text.clone(),
            Datum::List(items) => {
                let shown = |item: &Datum| item.shown().map_or("NULL".into(), |text| quoted(&text));
                format!("{{{}}}", items.iter().map(shown).collect::<Vec<_>>().join(","))
            }
            Datum::Row(fields) => {
                let shown = |(_, field): &(String, Datum)| field.shown().unwrap_or_default();
                format!("({})", fields.iter().map(shown).collect::<Vec<_>>().join(","))
            }
        })
    }

    pub fn int(&self) -> Option<i64> {
        match self {
            Datum::Int(n) | Datum::Named(n, _) => Some(*n),
            Datum::Float(f) => Some(*f as i64),
            Datum::Bool(b) => Some(i64::from(*b)),
            Datum::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    pub fn number(&self) -> Option<f64> {
        match self {
            Datum::Float(f) => Some(*f),
            Datum::Text(text) => text.trim().parse().ok(),
            other => other.int().map(|n| n as f64),
        }
    }

    /// Which comes first; `None` where one is null. A text beside another type is read as one of it.
    pub fn compare(&self, other: &Datum) -> Option<Ordering> {
        match (self, other) {
            (Datum::Null, _) | (_, Datum::Null) => None,
            (Datum::Text(a), Datum::Text(b)) => Some(a.cmp(b)),
            (Datum::Named(_, a), Datum::Text(b)) if b.parse::<i64>().is_err() => Some(a.cmp(b)),
            (Datum::Text(a), Datum::Named(_, b)) if a.parse::<i64>().is_err() => Some(a.cmp(b)),
            (Datum::Bool(_), _) | (_, Datum::Bool(_)) => Some(self.truth()?.cmp(&other.truth()?)),
            (Datum::List(a), Datum::List(b)) => {
                let first =
                    a.iter().zip(b).map(|(a, b)| a.compare(b)).find(|order| *order != Some(Ordering::Equal));
                first.unwrap_or(Some(a.len().cmp(&b.len())))
            }
            (Datum::Row(a), Datum::Row(b)) => {
                let first = a
                    .iter()
                    .zip(b)
                    .map(|(a, b)| a.1.compare(&b.1))
                    .find(|order| *order != Some(Ordering::Equal));
                first.unwrap_or(Some(Ordering::Equal))
            }
            (Datum::Float(_), _) | (_, Datum::Float(_)) => self.number()?.partial_cmp(&other.number()?),
            (Datum::List(_), Datum::Text(text)) => self.compare(&list_of(text)?),
            (Datum::Text(text), Datum::List(_)) => list_of(text)?.compare(other),
            _ => match (self.int(), other.int()) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => Some(self.shown()?.cmp(&other.shown()?)),
            },
        }
    }

    /// Equal to another one, or unknown.
    pub fn equals(&self, other: &Datum) -> Option<bool> {
        self.compare(other).map(|order| order == Ordering::Equal)
    }

    /// What equal values share, whatever their types; none for null.
    pub fn key(&self) -> Option<String> {
        match self {
            Datum::Named(n, _) => Some(n.to_string()),
            other => other.shown(),
        }
    }
}

/// `{a,"b c",NULL}`.
pub(crate) fn list_of(text: &str) -> Option<Datum> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let (mut items, mut item, mut chars) = (Vec::new(), String::new(), inner.chars());
    let (mut quotes, mut was_quoted) = (false, false);
    let done = |item: &mut String, was_quoted: &mut bool| {
        let text = std::mem::take(item);
        let bare = !std::mem::take(was_quoted);
        if bare && text.eq_ignore_ascii_case("null") { Datum::Null } else { Datum::Text(text) }
    };
    while let Some(c) = chars.next() {
        match c {
            '\\' => item.extend(chars.next()),
            '"' => (quotes, was_quoted) = (!quotes, true),
            ',' if !quotes => items.push(done(&mut item, &mut was_quoted)),
            c => item.push(c),
        }
    }
    if !inner.is_empty() {
        items.push(done(&mut item, &mut was_quoted));
    }
    Some(Datum::List(items))
}

fn quoted(text: &str) -> String {
    let plain = !text.is_empty()
        && !text.eq_ignore_ascii_case("null")
        && !text.contains(|c: char| c.is_whitespace() || "{},\"\\".contains(c));
    if plain { text.into() } else { format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")) }
}

//! The JSON contract: the keys of an answer, always present, in a fixed order. Schema: docs/answer.schema.json.

use super::{Answer, Key, List, Number, Reading};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Integers beyond ±2^53 are written as strings, so that no reader rounds them.
const EXACT_MAX: i128 = 1 << 53;

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match *self {
            Number::Int(i) if (-EXACT_MAX..=EXACT_MAX).contains(&i) => s.serialize_i64(i as i64),
            Number::Int(i) => s.collect_str(&i),
            Number::Float(f) if f.is_finite() => s.serialize_f64(f),
            // A sum beyond the range of doubles: JSON has no infinity.
            Number::Float(f) if f > 0.0 => s.serialize_str("+Inf"),
            Number::Float(f) if f < 0.0 => s.serialize_str("-Inf"),
            Number::Float(_) => s.serialize_none(),
        }
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Key::Null => s.serialize_none(),
            Key::String(text) => s.serialize_str(text),
            Key::Int(i) => Number::Int(i128::from(*i)).serialize(s),
            Key::Float(f) => Number::Float(*f).serialize(s),
            Key::Bool(b) => s.serialize_bool(*b),
        }
    }
}

/// A group as an object: names and values of the `by` fields.
pub struct By<'a>(pub &'a [(String, Key)]);

impl Serialize for By<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let reading = &self.reading;
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("metric", &self.metric)?;
        map.serialize_entry("by", &By(&self.by))?;
        if self.other {
            map.serialize_entry("other", &true)?;
        }
        map.serialize_entry("start", &self.start.map(|t| t.to_string()))?;
        map.serialize_entry("end", &self.end.map(|t| t.to_string()))?;
        if let Some(resolution) = self.resolution {
            map.serialize_entry("resolution", &resolution.to_string())?;
        }
        if let Some(revision) = self.revision {
            map.serialize_entry("revision", &revision)?;
        }
        map.serialize_entry("value", &reading.value)?;
        map.serialize_entry("low", &reading.low)?;
        map.serialize_entry("high", &reading.high)?;
        map.serialize_entry("confidence", &reading.confidence)?;
        map.serialize_entry("guarantee", reading.guarantee.as_str())?;
        map.serialize_entry("exact", &reading.is_exact())?;
        map.serialize_entry("complete_to", &self.complete_to.map(|t| t.to_string()))?;
        map.serialize_entry("late", &self.late)?;
        map.serialize_entry("sketch", &reading.sketch)?;
        if let (Some(fill), Some(rate)) = (reading.fill, reading.false_positive_rate) {
            map.serialize_entry("fill", &fill)?;
            map.serialize_entry("false_positive_rate", &rate)?;
        }
        match &reading.list {
            List::None => {}
            List::Items(items) => {
                map.serialize_entry("items", &items.iter().map(ItemRow).collect::<Vec<_>>())?
            }
            List::Quantiles(quantiles) => {
                map.serialize_entry("quantiles", &quantiles.iter().map(QuantileRow).collect::<Vec<_>>())?;
            }
            List::Buckets(buckets) => {
                map.serialize_entry("buckets", &buckets.iter().map(BucketRow).collect::<Vec<_>>())?;
            }
            List::Rows(rows) => {
                let rows = rows.iter().map(|values| EventRow { names: &self.row_fields, values });
                map.serialize_entry("rows", &rows.collect::<Vec<_>>())?;
            }
        }
        map.end()
    }
}

/// The numbers of a reading alone, without what it is about: for answers to single events.
impl Serialize for Reading {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(6))?;
        map.serialize_entry("value", &self.value)?;
        map.serialize_entry("low", &self.low)?;
        map.serialize_entry("high", &self.high)?;
        map.serialize_entry("confidence", &self.confidence)?;
        map.serialize_entry("guarantee", self.guarantee.as_str())?;
        map.serialize_entry("exact", &self.is_exact())?;
        map.end()
    }
}

/// Whether a key was there before, and what that is worth.
pub struct Verdict {
    /// `None` without a key.
    pub seen: Option<bool>,
    /// 0 while the filter is exact.
    pub false_positive_rate: f64,
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let kind = match self.seen {
            None => "none",
            Some(false) => "no",
            Some(true) if self.false_positive_rate == 0.0 => "exact",
            Some(true) => "maybe",
        };
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("value", &self.seen)?;
        map.serialize_entry("kind", kind)?;
        if kind == "maybe" {
            map.serialize_entry("false_positive_rate", &self.false_positive_rate)?;
        }
        map.end()
    }
}

struct ItemRow<'a>(&'a super::Item);

impl Serialize for ItemRow<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(4))?;
        map.serialize_entry("item", &self.0.item)?;
        map.serialize_entry("value", &Number::Int(i128::from(self.0.value)))?;
        map.serialize_entry("low", &Number::Int(i128::from(self.0.low)))?;
        map.serialize_entry("high", &Number::Int(i128::from(self.0.high)))?;
        map.end()
    }
}

/// A sampled event as an object.
pub struct EventRow<'a> {
    /// [`Answer::row_fields`].
    pub names: &'a [String],
    /// An entry of [`List::Rows`].
    pub values: &'a [Key],
}

impl Serialize for EventRow<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.names.iter().zip(self.values))
    }
}

struct QuantileRow<'a>(&'a super::Quantile);

impl Serialize for QuantileRow<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(4))?;
        map.serialize_entry("q", &self.0.q)?;
        map.serialize_entry("value", &self.0.value.map(whole))?;
        map.serialize_entry("low", &self.0.low.map(whole))?;
        map.serialize_entry("high", &self.0.high.map(whole))?;
        map.end()
    }
}

struct BucketRow<'a>(&'a (f64, u64));

impl Serialize for BucketRow<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(2))?;
        map.serialize_entry("le", &whole(self.0.0))?;
        map.serialize_entry("count", &Number::Int(i128::from(self.0.1)))?;
        map.end()
    }
}

/// A double that is a whole number is written without a fraction.
pub fn whole(f: f64) -> Number {
    if f.fract() == 0.0 && f.abs() < 9e15 { Number::Int(f as i128) } else { Number::Float(f) }
}

//! Sketches as they lie in files: our own snapshots, and images of Apache DataSketches.
//!
//! Whatever is in the closed set of sketches ([`Any`]) is read, asked and merged without being named here. Named are only
//! the images of others, because their bytes do not say all, and what stands beside the set: KLL of floats and integers,
//! and sketches under a key.

use sketch::frequent::Counters;
use sketch::hll::{Distinct, LgK};
use sketch::interchange::{Cpc, TDigest};
use sketch::kll::{Kll, Search};
use sketch::theta::Theta;
use sketch::{Any, DecodeError, Estimate, Health, Limits, MergeNote, Reader, codec};

/// What the values of an image are, where its bytes do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Type {
    /// KLL of doubles.
    Double,
    /// KLL of floats.
    Float,
    /// KLL or frequent items of 64-bit integers.
    Long,
    /// Frequent items of text.
    String,
}

/// Which bytes a sketch was read from, and is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Our own snapshot.
    Snapshot,
    /// An image of DataSketches of this family.
    DataSketches(Family),
}

/// The families of DataSketches that are read; the third byte of their images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Theta,
    Hll,
    Frequent(Type),
    Kll(Type),
    Cpc,
    TDigest,
}

/// A sketch.
#[derive(Debug, Clone)]
enum Held {
    Any(Any),
    KllFloats(Kll<f32>),
    KllLongs(Kll<i64>),
}

/// A sketch from a file.
#[derive(Debug, Clone)]
pub struct Image {
    pub form: Form,
    /// What the key of its values is recognised by.
    pub key: Option<u64>,
    held: Held,
}

/// Seed of the coin of a KLL image, which has none of its own.
const COIN: u64 = 0;
/// Where DataSketches writes the family.
const FAMILY_AT: usize = 2;

impl Image {
    /// Reads a sketch. `of` is what its values are, where that must be told.
    ///
    /// # Errors
    /// A sentence that says what was tried.
    pub fn read(bytes: &[u8], of: Option<Type>, limits: &Limits) -> Result<Image, String> {
        let own = match bytes.first() {
            None => return Err("it is empty".into()),
            Some(_) => snapshot(bytes, limits),
        };
        let foreign = bytes.get(FAMILY_AT).and_then(|&family| Family::of(family, of));
        match (own, foreign) {
            (Ok(image), _) => Ok(image),
            (Err(own), None) => match foreign_but_unread(bytes) {
                Some(text) => Err(text),
                None if is_kind(bytes[0]) => {
                    Err(format!("it begins as a sketch of this program does, but {own}"))
                }
                None => Err(
                    "it is neither a state file (run --save), nor a sketch of this program, nor an image of \
                             Apache DataSketches"
                        .into(),
                ),
            },
            (Err(own), Some(family)) => {
                let image = datasketches(bytes, family, limits);
                image.map_err(|error| match is_kind(bytes[0]) {
                    true => format!(
                        "as a sketch of this program: {own}; as an image of DataSketches ({}): {error}",
                        family.name()
                    ),
                    false => {
                        format!("it begins as an image of DataSketches ({}), but {error}", family.name())
                    }
                })
            }
        }
    }

    /// Bytes of the form it was read from.
    pub fn write(&self) -> Vec<u8> {
        if let Form::DataSketches(family) = self.form
            && let Some(wire) = self.held.wire(family)
        {
            return wire;
        }
        let mut out = Vec::new();
        if let Some(key) = self.key {
            out.extend_from_slice(&[codec::kind::KEYED, KEYED_VERSION]);
            out.extend_from_slice(&key.to_le_bytes());
        }
        match &self.held {
            Held::Any(any) => any.snapshot(&mut out),
            Held::KllFloats(kll) => kll.snapshot(&mut out),
            Held::KllLongs(kll) => kll.snapshot(&mut out),
        }
        out
    }

    /// Whether the head of a file looks as this one's bytes do.
    pub fn is_of_this_sort(&self, head: &[u8]) -> bool {
        let own = self.write();
        match self.form {
            Form::Snapshot => head.get(..2) == own.get(..2),
            Form::DataSketches(_) => head.get(FAMILY_AT) == own.get(FAMILY_AT),
        }
    }

    /// Takes in another one.
    ///
    /// # Errors
    /// A sentence that says what differs; nothing has changed then.
    pub fn merge(&mut self, other: &Image) -> Result<MergeNote, String> {
        if self.form != other.form || self.held.kind() != other.held.kind() {
            return Err(format!("one is {}, the other {}", self.kind(), other.kind()));
        }
        if self.key != other.key {
            return Err(
                "their values were hashed under different keys, so equal values would not be recognised"
                    .into(),
            );
        }
        match (&mut self.held, &other.held) {
            (Held::Any(ours), Held::Any(theirs)) => ours.merge(theirs).map_err(|error| error.to_string()),
            (Held::KllFloats(ours), Held::KllFloats(theirs)) => {
                ours.merge(theirs).map_err(|error| error.to_string())
            }
            (Held::KllLongs(ours), Held::KllLongs(theirs)) => {
                ours.merge(theirs).map_err(|error| error.to_string())
            }
            (_, _) => Err("they hold values of different types".into()),
        }
    }

    /// What it is, in words.
    pub fn kind(&self) -> String {
        match (self.form, self.key) {
            (Form::DataSketches(family), _) => format!("Apache DataSketches {}", family.name()),
            (Form::Snapshot, None) => self.held.kind().into(),
            (Form::Snapshot, Some(key)) => format!("{} under the key {key:016x}", self.held.kind()),
        }
    }

    /// The sketch itself, where it is one of the set.
    pub fn any(&self) -> Option<&Any> {
        match &self.held {
            Held::Any(any) => Some(any),
            Held::KllFloats(_) | Held::KllLongs(_) => None,
        }
    }

    /// What a quantile is.
    pub fn quantile(&self, q: f64, confidence: f64) -> Option<Estimate<f64>> {
        match &self.held {
            Held::Any(any) => any.query(&sketch::Question::Quantile(q), confidence),
            Held::KllFloats(kll) => Some(kll.quantile(q, Search::Inclusive, confidence)?.map(f64::from)),
            Held::KllLongs(kll) => Some(kll.quantile(q, Search::Inclusive, confidence)?.map(|n| n as f64)),
        }
    }

    /// How many values or how much weight it has taken in, where it knows.
    pub fn count(&self) -> Option<Estimate<f64>> {
        match &self.held {
            Held::Any(any) => any.query(&sketch::Question::Count, 1.0),
            Held::KllFloats(kll) => Some(Estimate::exact(kll.count() as f64)),
            Held::KllLongs(kll) => Some(Estimate::exact(kll.count() as f64)),
        }
    }

    /// The parameters as names and numbers.
    pub fn parameters(&self) -> Vec<(&'static str, f64)> {
        match &self.held {
            Held::Any(any) => any.parameters(),
            Held::KllFloats(kll) => vec![("k", f64::from(kll.k().get()))],
            Held::KllLongs(kll) => vec![("k", f64::from(kll.k().get()))],
        }
    }

    /// How full it is and how much it errs.
    pub fn health(&self) -> Health {
        match &self.held {
            Held::Any(any) => any.health(),
            Held::KllFloats(kll) => kll.health(),
            Held::KllLongs(kll) => kll.health(),
        }
    }

    /// What stands behind its answers.
    pub fn sketch_name(&self) -> String {
        match &self.held {
            Held::Any(any) => any.sketch_name(),
            Held::KllFloats(kll) => kll.sketch_name(),
            Held::KllLongs(kll) => kll.sketch_name(),
        }
    }

    /// Bytes held in memory.
    pub fn memory_bytes(&self) -> usize {
        match &self.held {
            Held::Any(any) => any.memory_bytes(),
            Held::KllFloats(kll) => kll.memory_bytes(),
            Held::KllLongs(kll) => kll.memory_bytes(),
        }
    }
}

impl Held {
    fn kind(&self) -> &'static str {
        match self {
            Held::Any(any) => any.kind().as_str(),
            Held::KllFloats(_) => "kll of floats",
            Held::KllLongs(_) => "kll of integers",
        }
    }

    fn wire(&self, family: Family) -> Option<Vec<u8>> {
        match (self, family) {
            (Held::Any(Any::Counters(counters)), Family::Frequent(Type::Long)) => {
                counters.to_datasketches_longs()
            }
            (Held::Any(any), _) => any.to_wire(),
            (Held::KllFloats(kll), _) => Some(kll.to_datasketches()),
            (Held::KllLongs(kll), _) => Some(kll.to_datasketches()),
        }
    }
}

impl Family {
    /// The family that a byte names, with values of this type.
    fn of(byte: u8, of: Option<Type>) -> Option<Family> {
        match byte {
            3 => Some(Family::Theta),
            7 => Some(Family::Hll),
            10 => Some(Family::Frequent(of.unwrap_or(Type::String))),
            15 => Some(Family::Kll(of.unwrap_or(Type::Double))),
            16 => Some(Family::Cpc),
            20 => Some(Family::TDigest),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Family::Theta => "theta image",
            Family::Hll => "HLL image",
            Family::Frequent(Type::Long) => "frequent items image, of integers",
            Family::Frequent(_) => "frequent items image, of text",
            Family::Kll(Type::Float) => "KLL image, of floats",
            Family::Kll(Type::Long) => "KLL image, of integers",
            Family::Kll(_) => "KLL image, of doubles",
            Family::Cpc => "CPC image",
            Family::TDigest => "t-digest image",
        }
    }

    /// What --type would change about the reading.
    pub fn types(self) -> Option<&'static str> {
        match self {
            Family::Frequent(_) => Some("string or long"),
            Family::Kll(_) => Some("double, float or long"),
            Family::Theta | Family::Hll | Family::Cpc | Family::TDigest => None,
        }
    }
}

/// Version of the head of a sketch under a key.
const KEYED_VERSION: u8 = 1;

fn is_kind(byte: u8) -> bool {
    sketch::Kind::of(byte).is_some() || byte == codec::kind::KEYED
}

/// A snapshot of ours, under a key or not.
fn snapshot(bytes: &[u8], limits: &Limits) -> Result<Image, DecodeError> {
    let mut r = Reader::new(bytes);
    let mut key = None;
    if bytes[0] == codec::kind::KEYED {
        codec::expect_head(&mut r, codec::kind::KEYED, KEYED_VERSION, "not a keyed sketch of version 1")?;
        key = Some(r.u64()?);
    }
    let rest = r.bytes(r.remaining())?;
    let held = match Any::from_bytes(rest, limits) {
        Ok(any) => Held::Any(any),
        Err(error) if rest.first() == Some(&codec::kind::KLL) => kll(rest, limits).map_err(|_| error)?,
        Err(error) => return Err(error),
    };
    Ok(Image { form: Form::Snapshot, key, held })
}

/// A KLL of what the closed set has none of.
fn kll(bytes: &[u8], limits: &Limits) -> Result<Held, DecodeError> {
    let mut r = Reader::new(bytes);
    let held = match Kll::restore(&mut r, limits) {
        Ok(kll) => Held::KllFloats(kll),
        Err(_) => {
            r = Reader::new(bytes);
            Held::KllLongs(Kll::restore(&mut r, limits)?)
        }
    };
    r.finish()?;
    Ok(held)
}

fn datasketches(bytes: &[u8], family: Family, limits: &Limits) -> Result<Image, String> {
    let told = |error: DecodeError| error.to_string();
    let held = match family {
        Family::Hll => Distinct::from_datasketches(bytes, limits).map(Any::from).map(Held::Any),
        Family::Frequent(Type::Long) => {
            Counters::from_datasketches_longs(bytes, limits).map(Any::from).map(Held::Any)
        }
        Family::Frequent(_) => {
            Counters::from_datasketches_strings(bytes, limits).map(Any::from).map(Held::Any)
        }
        Family::Kll(Type::Float) => Kll::from_datasketches(bytes, COIN, limits).map(Held::KllFloats),
        Family::Kll(Type::Long) => Kll::from_datasketches(bytes, COIN, limits).map(Held::KllLongs),
        Family::Kll(_) => Kll::<f64>::from_datasketches(bytes, COIN, limits).map(Any::from).map(Held::Any),
        Family::Cpc => Cpc::from_datasketches(bytes, limits).map(Any::from).map(Held::Any),
        Family::TDigest => TDigest::from_datasketches(bytes, limits).map(Any::from).map(Held::Any),
        Family::Theta => return theta(bytes, limits),
    };
    let held = held.map_err(|error| match family.types() {
        Some(types) => {
            format!("{}; if its values are of another type, say so with --type ({types})", told(error))
        }
        None => told(error),
    })?;
    Ok(Image { form: Form::DataSketches(family), key: None, held })
}

/// A compact image does not say its K. While nothing was left out it is 4,096, the default over there, or what the hashes
/// need; afterwards the least that holds the hashes, which is at most twice what it was.
fn theta(bytes: &[u8], limits: &Limits) -> Result<Image, String> {
    let read = |lg_k: u8| {
        let lg_k = LgK::new(lg_k).map_err(|error| error.to_string())?;
        Theta::from_datasketches(bytes, lg_k, limits).map_err(|error| error.to_string())
    };
    let hashes = |theta: &Theta| theta.health().fill * theta.lg_k().registers() as f64;
    let mut theta = read(LG_K_DEFAULT)?;
    // An image of more hashes is cut to K: then a finer one holds more of them.
    for lg_k in LG_K_DEFAULT + 1..=LG_K_MAX {
        let finer = read(lg_k)?;
        if hashes(&finer) <= hashes(&theta) {
            break;
        }
        theta = finer;
    }
    if !theta.is_exact() {
        let least = (hashes(&theta).max(1.0) as usize).next_power_of_two().ilog2() as u8;
        theta = read(least.max(LG_K_MIN))?;
    }
    Ok(Image { form: Form::DataSketches(Family::Theta), key: None, held: Held::Any(Any::from(theta)) })
}

/// K of Theta: the least, that of sketches nobody chose one for, and the most.
const LG_K_MIN: u8 = 4;
const LG_K_DEFAULT: u8 = 12;
const LG_K_MAX: u8 = 21;

/// Families that have a name but no reader here.
fn foreign_but_unread(bytes: &[u8]) -> Option<String> {
    let (serial, family) = (*bytes.get(1)?, *bytes.get(FAMILY_AT)?);
    let name = match family {
        1 => "an Alpha",
        2 => "an updatable Theta (write it compact: `compact()`)",
        9 => "a Tuple",
        17 => "a REQ",
        18 => "a Count-Min",
        21 => "a Bloom filter",
        _ => return None,
    };
    // All of their writers use these; any other byte is chance.
    ((1..=4).contains(&serial) && !is_kind(bytes[0]))
        .then(|| format!("it looks like {name} image of Apache DataSketches, a family that is not read here"))
}

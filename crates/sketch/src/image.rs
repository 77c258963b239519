//! Sketches as they lie in files: our own snapshots, and images of Apache DataSketches.
//!
//! Whatever is in the closed set of sketches ([`Any`]) is read, asked and merged without being named here. Named are only
//! the images of others, because their bytes do not say all, and what stands beside the set: KLL of floats and integers,
//! and sketches under a key.

use crate::codec::{self, DecodeError, Limits, Reader};
use crate::family::{Any, Kind, Question};
use crate::frequent::Counters;
use crate::hash::KeyId;
use crate::hll::{Distinct, LgK};
use crate::interchange::{Cpc, TDigest};
use crate::kll::{Kll, Search};
use crate::theta::{ImageError, Theta};
use crate::{Estimate, Health, Incompatible, MergeNote};

/// What the values of an image are, where its bytes do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// Compact Theta.
    Theta,
    /// HLL of 4, 6 or 8 bits.
    Hll,
    /// Frequent Items.
    Frequent(Type),
    /// KLL.
    Kll(Type),
    /// CPC.
    Cpc,
    /// t-digest.
    TDigest,
}

/// A sketch.
#[derive(Debug, Clone)]
enum Held {
    Any(Any),
    KllFloats(Kll<f32>),
    KllLongs(Kll<i64>),
}

/// A sketch of any kind, in bytes of any form.
///
/// ```
/// use sketch::hll::{Distinct, LgK};
/// use sketch::image::Image;
/// use sketch::{Limits, Token};
///
/// let mut users = Distinct::new(LgK::new(12)?);
/// users.update(Token::of_str("ada"));
/// let mut image = Image::read(&users.to_datasketches(), None, &Limits::default())?;
/// assert_eq!(image.kind(), "Apache DataSketches HLL image");
/// image.merge(&image.clone())?;
/// assert_eq!(image.write()[2], 7); // still an image, of the family HLL
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Image {
    form: Form,
    key: Option<u64>,
    held: Held,
}

/// Seed of the coin of a KLL image, which has none of its own.
const COIN: u64 = 0;
/// Where DataSketches writes the family.
const FAMILY_AT: usize = 2;

impl Image {
    /// Reads a sketch from bytes that are all there is of it. `of` is what its values are, where the bytes do not say:
    /// doubles in KLL and text in Frequent Items unless told. Survives any bytes.
    ///
    /// # Errors
    /// [`Unreadable`], which tells what the bytes look like.
    pub fn read(bytes: &[u8], of: Option<Type>, limits: &Limits) -> Result<Image, Unreadable> {
        let Some(&first) = bytes.first() else { return Err(Unreadable::Empty) };
        let own = match snapshot(bytes, limits) {
            Ok(image) => return Ok(image),
            Err(own) => is_kind(first).then_some(own),
        };
        if let Some(family) = bytes.get(FAMILY_AT).and_then(|&family| Family::of(family, of)) {
            return datasketches(bytes, family, limits).map_err(|error| Unreadable::DataSketches {
                family,
                error,
                own,
            });
        }
        Err(match (own, foreign_but_unread(bytes)) {
            (Some(error), _) => Unreadable::Snapshot(error),
            (None, Some(name)) => Unreadable::OtherFamily(name),
            (None, None) => Unreadable::NoSketch,
        })
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

    /// Whether these bytes are in whole a sketch of the same form and kind, and under the same key: one that this may
    /// stand in the place of. Costs as much as reading them.
    pub fn is_same_sort(&self, other_bytes: &[u8], limits: &Limits) -> bool {
        let of = match self.form {
            Form::DataSketches(Family::Frequent(of) | Family::Kll(of)) => Some(of),
            Form::DataSketches(Family::Theta | Family::Hll | Family::Cpc | Family::TDigest)
            | Form::Snapshot => None,
        };
        Image::read(other_bytes, of, limits)
            .is_ok_and(|other| other.form == self.form && other.kind() == self.kind())
    }

    /// Takes in another one of the same form.
    ///
    /// # Errors
    /// [`Unmergeable`]; nothing has changed then.
    pub fn merge(&mut self, other: &Image) -> Result<MergeNote, Unmergeable> {
        if self.form != other.form || self.held.kind() != other.held.kind() {
            return Err(Unmergeable::Kinds { ours: self.kind(), theirs: other.kind() });
        }
        if self.key != other.key {
            return Err(Unmergeable::Keys);
        }
        let merged = match (&mut self.held, &other.held) {
            (Held::Any(ours), Held::Any(theirs)) => ours.merge(theirs),
            (Held::KllFloats(ours), Held::KllFloats(theirs)) => ours.merge(theirs),
            (Held::KllLongs(ours), Held::KllLongs(theirs)) => ours.merge(theirs),
            (_, _) => return Err(Unmergeable::Kinds { ours: self.kind(), theirs: other.kind() }),
        };
        merged.map_err(Unmergeable::Parameters)
    }

    /// A sketch that was made of this one: a snapshot, under the same key.
    pub fn made_of(&self, sketch: Any) -> Image {
        Image { form: Form::Snapshot, key: self.key, held: Held::Any(sketch) }
    }

    /// Which bytes it came in.
    pub fn form(&self) -> Form {
        self.form
    }

    /// What the key of its values is recognised by, if they were hashed under one.
    pub fn key(&self) -> Option<u64> {
        self.key
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
            Held::Any(any) => any.query(&Question::Quantile(q), confidence),
            Held::KllFloats(kll) => Some(kll.quantile(q, Search::Inclusive, confidence)?.map(f64::from)),
            Held::KllLongs(kll) => Some(kll.quantile(q, Search::Inclusive, confidence)?.map(|n| n as f64)),
        }
    }

    /// How many values or how much weight it has taken in, where it knows.
    pub fn count(&self) -> Option<Estimate<f64>> {
        match &self.held {
            Held::Any(any) => any.query(&Question::Count, 1.0),
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

    /// Of which types its values may be, where the bytes do not say.
    pub fn types(self) -> Option<&'static [Type]> {
        match self {
            Family::Frequent(_) => Some(&[Type::String, Type::Long]),
            Family::Kll(_) => Some(&[Type::Double, Type::Float, Type::Long]),
            Family::Theta | Family::Hll | Family::Cpc | Family::TDigest => None,
        }
    }
}

/// Version of the head of a sketch under a key.
const KEYED_VERSION: u8 = 1;

/// What stands before a snapshot of values that were hashed under a key.
pub fn keyed_head(key: KeyId) -> [u8; 10] {
    let mut head = [codec::kind::KEYED, KEYED_VERSION, 0, 0, 0, 0, 0, 0, 0, 0];
    head[2..].copy_from_slice(&key.0.to_le_bytes());
    head
}

fn is_kind(byte: u8) -> bool {
    Kind::of(byte).is_some() || byte == codec::kind::KEYED
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

fn datasketches(bytes: &[u8], family: Family, limits: &Limits) -> Result<Image, DecodeError> {
    let held = match family {
        Family::Theta => Held::Any(theta(bytes, limits)?.into()),
        Family::Hll => Held::Any(Distinct::from_datasketches(bytes, limits)?.into()),
        Family::Frequent(Type::Long) => Held::Any(Counters::from_datasketches_longs(bytes, limits)?.into()),
        Family::Frequent(_) => Held::Any(Counters::from_datasketches_strings(bytes, limits)?.into()),
        Family::Kll(Type::Float) => Held::KllFloats(Kll::from_datasketches(bytes, COIN, limits)?),
        Family::Kll(Type::Long) => Held::KllLongs(Kll::from_datasketches(bytes, COIN, limits)?),
        Family::Kll(_) => Held::Any(Kll::<f64>::from_datasketches(bytes, COIN, limits)?.into()),
        Family::Cpc => Held::Any(Cpc::from_datasketches(bytes, limits)?.into()),
        Family::TDigest => Held::Any(TDigest::from_datasketches(bytes, limits)?.into()),
    };
    Ok(Image { form: Form::DataSketches(family), key: None, held })
}

/// A compact image does not say its K. It is taken for 4,096, the default over there, or what the hashes need. One of few
/// hashes may be a thin intersection of sketches that had more: as it keeps its θ, too large a K does no harm, while too
/// small a one would cut what it is united with.
fn theta(bytes: &[u8], limits: &Limits) -> Result<Theta, DecodeError> {
    let read = |lg_k: u8| {
        let lg_k = LgK::new(lg_k).map_err(|_| DecodeError::Invalid("lg K outside 4..=21"))?;
        Theta::from_datasketches(bytes, lg_k, limits).map_err(|error| match error {
            ImageError::Bytes(error) => error,
            ImageError::Seed { .. } => DecodeError::Invalid("a theta image of another hash seed"),
        })
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
    Ok(theta)
}

/// K of Theta: that of sketches nobody chose one for, and the most.
const LG_K_DEFAULT: u8 = 12;
const LG_K_MAX: u8 = 21;

/// Families that have a name but no reader here.
fn foreign_but_unread(bytes: &[u8]) -> Option<&'static str> {
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
    (1..=4).contains(&serial).then_some(name)
}

/// Bytes that are no sketch that is read here, and what they look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// There are none.
    Empty,
    /// Neither a snapshot nor an image.
    NoSketch,
    /// They begin as a snapshot does.
    Snapshot(DecodeError),
    /// They begin as an image of DataSketches does.
    DataSketches {
        /// Of this family.
        family: Family,
        /// What is wrong with it.
        error: DecodeError,
        /// What is wrong with it as a snapshot, as which it begins too.
        own: Option<DecodeError>,
    },
    /// An image of a family that is not read, by name.
    OtherFamily(&'static str),
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unreadable::Empty => write!(f, "it is empty"),
            Unreadable::NoSketch => {
                write!(f, "it is neither a sketch of this program nor an image of Apache DataSketches")
            }
            Unreadable::Snapshot(error) => {
                write!(f, "it begins as a sketch of this program does, but {error}")
            }
            Unreadable::DataSketches { family, error, own: Some(own) } => write!(
                f,
                "as a sketch of this program: {own}; as an image of DataSketches ({}): {error}",
                family.name()
            ),
            Unreadable::DataSketches { family, error, own: None } => {
                write!(f, "it begins as an image of DataSketches ({}), but {error}", family.name())
            }
            Unreadable::OtherFamily(name) => {
                write!(f, "it looks like {name} image of Apache DataSketches, a family that is not read here")
            }
        }
    }
}

impl std::error::Error for Unreadable {}

/// Two sketches that cannot be merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmergeable {
    /// Of different kinds, in words.
    Kinds {
        /// This one.
        ours: String,
        /// The other one.
        theirs: String,
    },
    /// Their values were hashed under different keys.
    Keys,
    /// A parameter must agree and does not.
    Parameters(Incompatible),
}

impl std::fmt::Display for Unmergeable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unmergeable::Kinds { ours, theirs } => write!(f, "one is {ours}, the other {theirs}"),
            Unmergeable::Keys => write!(
                f,
                "their values were hashed under different keys, so equal values would not be recognised"
            ),
            Unmergeable::Parameters(incompatible) => write!(f, "{incompatible}"),
        }
    }
}

impl std::error::Error for Unmergeable {}

//! Which hash function, as data: chosen once for a pipeline or a sketch, then asked column by column.

use super::keyed::Key;
use super::murmur::Murmur;
use super::xxh::Xxh3;
use super::{Function, Token, canonical_bits, word};
use crate::Incompatible;

/// The hash function of a stream of values.
///
/// Columns choose the function once and then run a plain loop. All forms agree: a string has one token, alone or in a
/// column.
///
/// ```
/// use sketch::Token;
/// use sketch::hash::{Hashing, Key};
///
/// assert_eq!(Hashing::Interchange.token_of_str("ada"), Token::of_str("ada"));
///
/// let keyed = Hashing::Keyed(Key::of_secret(b"sixteen bytes or more, from a file")?);
/// let (mut one, mut all) = (Vec::new(), Vec::new());
/// keyed.tokens_of_strings(b"adabob", &[0, 3, 6], &mut all);
/// one.extend(["ada", "bob"].map(|name| keyed.token_of_str(name)));
/// assert_eq!(one, all);
/// assert_ne!(one[0], Token::of_str("ada"));
/// # Ok::<(), sketch::hash::ShortSecret>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Hashing {
    /// MurmurHash3 x64 128, seed 9001: that of Apache DataSketches, so that states can leave and come in.
    #[default]
    Interchange,
    /// XXH3 128 without a seed: the fastest. Public, like the former, so of no help against chosen values.
    Fast,
    /// SipHash-2-4 128 under a secret key: who does not know the key cannot choose values by their hash.
    Keyed(Key),
}

/// The same expression for each function, so that each has a loop of its own.
macro_rules! with {
    ($hashing:expr, $function:ident => $body:expr) => {
        match $hashing {
            Hashing::Interchange => {
                let $function = &Murmur;
                $body
            }
            Hashing::Fast => {
                let $function = &Xxh3;
                $body
            }
            Hashing::Keyed($function) => $body,
        }
    };
}

impl Hashing {
    /// The word of pipeline files: `interchange`, `fast` or `keyed`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Hashing::Interchange => "interchange",
            Hashing::Fast => "fast",
            Hashing::Keyed(_) => "keyed",
        }
    }

    /// What states must agree on to be merged: which function (0, 1, 2) and the id of its key (0 without one), eight
    /// bytes little-endian. Tells nothing of the key.
    pub fn stamp(&self) -> [u8; 9] {
        let (function, key) = match self {
            Hashing::Interchange => (0, 0),
            Hashing::Fast => (1, 0),
            Hashing::Keyed(key) => (2, key.id().0),
        };
        let mut stamp = [function; 9];
        stamp[1..].copy_from_slice(&key.to_le_bytes());
        stamp
    }

    /// Whether states of the two can be merged.
    ///
    /// # Errors
    /// When the functions differ, or their keys.
    pub fn agree(&self, other: &Hashing) -> Result<(), Incompatible> {
        let (ours, theirs) = (self.stamp(), other.stamp());
        if ours[0] != theirs[0] {
            let (ours, theirs) = (u64::from(ours[0]), u64::from(theirs[0]));
            return Err(Incompatible { what: "hash function", ours, theirs });
        }
        match (self, other) {
            (Hashing::Keyed(a), Hashing::Keyed(b)) => a.id().agree(b.id()),
            _ => Ok(()),
        }
    }

    /// Both halves of the hash of raw bytes.
    #[inline]
    pub fn hash_of_bytes(&self, bytes: &[u8]) -> (u64, u64) {
        with!(self, function => function.bytes(bytes))
    }

    /// Token of raw bytes. Strings are their UTF-8 bytes, without length or terminator.
    #[inline]
    pub fn token_of_bytes(&self, bytes: &[u8]) -> Token {
        token(self.hash_of_bytes(bytes))
    }

    /// Token of a string.
    #[inline]
    pub fn token_of_str(&self, s: &str) -> Token {
        self.token_of_bytes(s.as_bytes())
    }

    /// Token of an integer: of its eight little-endian bytes.
    #[inline]
    pub fn token_of_i64(&self, v: i64) -> Token {
        token(self.hash_of_eight(v as u64))
    }

    /// Token of a double: of its canonical bits (one zero, one NaN).
    #[inline]
    pub fn token_of_f64(&self, v: f64) -> Token {
        token(self.hash_of_eight(canonical_bits(v)))
    }

    /// Theta hash of raw bytes: the upper 63 bits of the first half.
    #[inline]
    pub fn theta_hash_of_bytes(&self, bytes: &[u8]) -> u64 {
        theta(self.hash_of_bytes(bytes))
    }

    /// Theta hash of a string.
    #[inline]
    pub fn theta_hash_of_str(&self, s: &str) -> u64 {
        self.theta_hash_of_bytes(s.as_bytes())
    }

    /// Theta hash of an integer: of its eight little-endian bytes.
    #[inline]
    pub fn theta_hash_of_i64(&self, v: i64) -> u64 {
        theta(self.hash_of_eight(v as u64))
    }

    /// Theta hash of a double: of its canonical bits (one zero, one NaN).
    #[inline]
    pub fn theta_hash_of_f64(&self, v: f64) -> u64 {
        theta(self.hash_of_eight(canonical_bits(v)))
    }

    /// Tokens of a column of strings laid out as Arrow does: `values[offsets[i]..offsets[i + 1]]`. Replaces what `out`
    /// held, as all forms for columns do.
    ///
    /// # Panics
    /// When the offsets do not ascend or lie outside `values`: Arrow arrays never do that.
    pub fn tokens_of_strings(&self, values: &[u8], offsets: &[i32], out: &mut Vec<Token>) {
        with!(self, function => strings(function, values, offsets, out, token))
    }

    /// Tokens of a column of integers.
    pub fn tokens_of_i64s(&self, values: &[i64], out: &mut Vec<Token>) {
        with!(self, function => numbers(function, values, out, |v| v as u64, token))
    }

    /// Tokens of a column of doubles.
    pub fn tokens_of_f64s(&self, values: &[f64], out: &mut Vec<Token>) {
        with!(self, function => numbers(function, values, out, canonical_bits, token))
    }

    /// Theta hashes of a column of strings, as [`Hashing::tokens_of_strings`].
    ///
    /// # Panics
    /// When the offsets do not ascend or lie outside `values`: Arrow arrays never do that.
    pub fn theta_hashes_of_strings(&self, values: &[u8], offsets: &[i32], out: &mut Vec<u64>) {
        with!(self, function => strings(function, values, offsets, out, theta))
    }

    /// Theta hashes of a column of integers.
    pub fn theta_hashes_of_i64s(&self, values: &[i64], out: &mut Vec<u64>) {
        with!(self, function => numbers(function, values, out, |v| v as u64, theta))
    }

    /// Theta hashes of a column of doubles.
    pub fn theta_hashes_of_f64s(&self, values: &[f64], out: &mut Vec<u64>) {
        with!(self, function => numbers(function, values, out, canonical_bits, theta))
    }

    #[inline]
    fn hash_of_eight(&self, word: u64) -> (u64, u64) {
        with!(self, function => function.eight(word))
    }
}

#[inline]
fn token((h1, h2): (u64, u64)) -> Token {
    Token::of_hash(h1, h2)
}

#[inline]
fn theta((h1, _): (u64, u64)) -> u64 {
    h1 >> 1
}

/// Short strings are loaded as two masked words instead of byte by byte, which halves the cost of the hash.
#[inline]
fn strings<T>(
    function: &impl Function,
    values: &[u8],
    offsets: &[i32],
    out: &mut Vec<T>,
    cut: impl Fn((u64, u64)) -> T,
) {
    out.clear();
    let Some((&first, rest)) = offsets.split_first() else { return };
    let mut start = first as usize;
    out.extend(rest.iter().map(|&end| {
        let end = end as usize;
        let len = end - start;
        let hash = match values.get(start..start + 16) {
            Some(loaded) if len < 16 => {
                let (low, high) = masked(word(loaded), word(&loaded[8..]), len);
                function.short(low, high, len)
            }
            _ => function.bytes(&values[start..end]),
        };
        start = end;
        cut(hash)
    }));
}

/// Keeps the first `len` bytes of sixteen, `len` below 16.
#[inline]
fn masked(low: u64, high: u64, len: usize) -> (u64, u64) {
    if len < 8 { (low & !(u64::MAX << (8 * len)), 0) } else { (low, high & !(u64::MAX << (8 * (len - 8)))) }
}

#[inline]
fn numbers<V: Copy, T>(
    function: &impl Function,
    values: &[V],
    out: &mut Vec<T>,
    bits: impl Fn(V) -> u64,
    cut: impl Fn((u64, u64)) -> T,
) {
    out.clear();
    out.extend(values.iter().map(|&v| cut(function.eight(bits(v)))));
}

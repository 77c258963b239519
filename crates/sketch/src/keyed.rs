//! A sketch of keyed hashes, which says under which key they were made.
//!
//! Tokens do not tell which hash made them, so a sketch alone cannot refuse those of another key: merged, each value would
//! count once per key. [`Keyed`] carries the key's id, refuses other ids, and by its type never meets a sketch of unkeyed
//! hashes. Merging and asking take no key, so who joins and reports states need not know it; who adds values does.
//!
//! **Left out:** bytes for others ([`Sketch::to_wire`]): without the key nobody can go on with them, and merged with
//! theirs every value would count twice.

use crate::codec::{expect_head, kind};
use crate::family::Question;
use crate::hash::{Key, KeyId};
use crate::{DecodeError, Estimate, Health, Incompatible, Limits, MergeNote, Reader, Sketch};

const VERSION: u8 = 1;

/// A sketch of hashes made under one key.
///
/// ```
/// use sketch::hash::{Hashing, Key};
/// use sketch::hll::{Distinct, LgK};
/// use sketch::{Keyed, Question};
///
/// let key = Key::of_secret(b"thirty-two random bytes of a file")?;
/// let hashing = Hashing::Keyed(key.clone());
/// let mut visitors: Keyed<Distinct> = Keyed::new(&key, &LgK::new(12)?);
/// visitors.sketch_mut(&key)?.update(hashing.token_of_str("ada"));
///
/// let other = Key::of_secret(b"another thirty-two random bytes..")?;
/// assert!(visitors.merge(&Keyed::new(&other, &LgK::new(12)?)).is_err());
/// let e = visitors.query(&Question::Distinct, 0.95).expect("a distinct count");
/// assert_eq!(e.value, 1.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Keyed<S> {
    key: KeyId,
    sketch: S,
}

impl<S: Sketch> Keyed<S> {
    /// A sketch that has seen nothing, for values hashed under this key.
    pub fn new(key: &Key, params: &S::Params) -> Keyed<S> {
        Keyed { key: key.id(), sketch: S::with(params) }
    }

    /// Whose values it holds.
    pub fn key_id(&self) -> KeyId {
        self.key
    }

    /// The sketch, for who has the key: to add what [`crate::hash::Hashing::Keyed`] makes of values under it.
    ///
    /// It is for updates alone. Merges go through [`Keyed::merge`]: a sketch does not tell what hashed its values, so one
    /// of another key or of none would be taken in here unnoticed.
    ///
    /// # Errors
    /// When it is another key.
    pub fn sketch_mut(&mut self, key: &Key) -> Result<&mut S, Incompatible> {
        self.key.agree(key.id())?;
        Ok(&mut self.sketch)
    }

    /// The sketch, for who has the key: to ask what [`Keyed::query`] does not know.
    ///
    /// # Errors
    /// When it is another key.
    pub fn sketch(&self, key: &Key) -> Result<&S, Incompatible> {
        self.key.agree(key.id())?;
        Ok(&self.sketch)
    }

    /// Takes in what another one has seen. A refused merge changes nothing.
    ///
    /// # Errors
    /// When the keys differ, or as the sketch itself refuses.
    pub fn merge(&mut self, other: &Keyed<S>) -> Result<MergeNote, Incompatible> {
        self.key.agree(other.key)?;
        self.sketch.merge(&other.sketch)
    }

    /// What it knows about this: [`Sketch::query`]. Tokens in a question are those under its key.
    pub fn query(&self, question: &Question, confidence: f64) -> Option<Estimate<f64>> {
        self.sketch.query(question, confidence)
    }

    /// Appends the whole state: 10 bytes and the snapshot of the sketch.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[kind::KEYED, VERSION]);
        out.extend_from_slice(&self.key.0.to_le_bytes());
        self.sketch.snapshot(out);
    }

    /// Reads what [`Keyed::snapshot`] wrote and leaves the reader behind it. Survives any bytes and allocates no more than
    /// the sketch does.
    ///
    /// # Errors
    /// [`DecodeError`]: another kind or version, or as the sketch refuses.
    pub fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<Keyed<S>, DecodeError> {
        expect_head(r, kind::KEYED, VERSION, "not a keyed sketch of version 1")?;
        let key = KeyId(r.u64()?);
        Ok(Keyed { key, sketch: S::restore(r, limits)? })
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        size_of::<KeyId>() + self.sketch.memory_bytes()
    }

    /// How full it is and how much it errs.
    pub fn health(&self) -> Health {
        self.sketch.health()
    }

    /// What stands behind its answers: `keyed/` and the sketch's own name.
    pub fn sketch_name(&self) -> String {
        format!("keyed/{}", self.sketch.sketch_name())
    }

    /// True when nothing was taken in.
    pub fn is_empty(&self) -> bool {
        self.sketch.is_empty()
    }

    /// For tests.
    ///
    /// # Panics
    /// When the structure is broken, which would be a bug.
    pub fn check_invariants(&self) {
        self.sketch.check_invariants();
    }
}

//! `hash` and `hash_key`: how values are hashed, and where the secret of a keyed hash is kept.

use super::secret_at;
use super::section::Section;
use crate::problem::{Placed, Problem, Problems};
use crate::secret::{Fetch, SecretAt, without_line_end};
use sketch::hash::{Hashing, Key, SECRET_BYTES_MIN};

/// What to write for a keyed hash.
const HINT: &str = "write hash_key = { env = \"NAME\" } or { file = \"PATH\" }";
/// How to come by a secret.
const MAKE: &str = "make one with head -c 32 /dev/urandom | base64, and keep it: states are bound to it";

#[derive(Clone, Copy, PartialEq)]
enum Word {
    Interchange,
    Fast,
    Keyed,
}

/// Reads both keys of the file; what is wrong leaves the interchange hash behind, and a problem.
pub(super) fn read(section: &mut Section<'_>, fetch: Fetch<'_>, problems: &mut Problems) -> Hashing {
    let words = [("interchange", Word::Interchange), ("fast", Word::Fast), ("keyed", Word::Keyed)];
    let written = section.entry("hash").is_some();
    let word = section.word("hash", &words, problems);
    // A word that is none may have meant any of them.
    let judged = word.is_some() || !written;
    let entry = section.entry("hash_key");
    let secret = entry.and_then(|entry| secret_at::read("hash_key", entry, problems));
    match (word, entry) {
        (Some(Placed { value: Word::Keyed, .. }), Some(_)) => {
            secret.and_then(|at| key(&at, fetch, problems)).map_or(Hashing::Interchange, Hashing::Keyed)
        }
        (Some(Placed { value: Word::Keyed, place }), None) => {
            problems.push(Problem::at(&place, "a keyed hash needs a key").hint(HINT));
            Hashing::Interchange
        }
        (_, Some(entry)) if judged => {
            let problem = Problem::at(&entry.key_place, "`hash_key` has no meaning without hash = \"keyed\"");
            problems.push(problem.hint("write hash = \"keyed\", or leave it out"));
            Hashing::Interchange
        }
        (Some(Placed { value: Word::Fast, .. }), None) => Hashing::Fast,
        _ => Hashing::Interchange,
    }
}

fn key(at: &Placed<SecretAt>, fetch: Fetch<'_>, problems: &mut Problems) -> Option<Key> {
    let secret = match fetch(&at.value) {
        Ok(secret) => secret,
        Err(why) => {
            problems.push(Problem::at(&at.place, format!("{} {why}", at.value)).hint(MAKE));
            return None;
        }
    };
    match Key::of_secret(without_line_end(&secret)) {
        Ok(key) => Some(key),
        Err(short) => {
            let what = format!("{} holds {} bytes", at.value, short.bytes);
            let message = format!("{what}, and a secret has at least {SECRET_BYTES_MIN}");
            problems.push(Problem::at(&at.place, message).hint(MAKE));
            None
        }
    }
}

//! `hash` and `hash_key`: how values are hashed, and where the secret of a keyed hash is kept.

use super::section::{Section, wrong_type};
use super::tree::{Entry, Value};
use crate::problem::{Place, Placed, Problem, Problems};
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
    let secret = entry.and_then(|entry| secret(entry, problems));
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

/// Where the secret is kept. A problem does not point at a secret that stands in the file, or it would be shown.
fn secret(entry: &Entry, problems: &mut Problems) -> Option<Placed<SecretAt>> {
    let table = match &entry.node.value {
        Value::Table(table) if table.entries.iter().all(|e| matches!(&*e.key, "env" | "file")) => table,
        Value::String(_) | Value::Table(_) => {
            let problem =
                Problem::of_file("`hash_key` says where the secret is kept, and never the secret itself");
            problems.push(problem.hint(HINT));
            return None;
        }
        _ => {
            problems.push(wrong_type("hash_key", "a table", &entry.node).hint(HINT));
            return None;
        }
    };
    let mut section = Section::new("`hash_key`", &entry.key_place, table);
    let env =
        section.parsed("env", problems, variable).map(|env| placed(SecretAt::Env(env.value), env.place));
    let file =
        section.parsed("file", problems, path).map(|file| placed(SecretAt::File(file.value), file.place));
    section.finish(&[], problems);
    match table.entries.len() {
        1 => env.or(file),
        _ => {
            let problem = Problem::at(&entry.key_place, "`hash_key` is kept in one place: `env` or `file`");
            problems.push(problem.hint(HINT));
            None
        }
    }
}

fn placed<T>(value: T, place: Place) -> Placed<T> {
    Placed { value, place }
}

fn variable(name: &str) -> Result<String, String> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err("no environment variable has such a name".into());
    }
    Ok(name.to_string())
}

fn path(path: &str) -> Result<String, String> {
    if path.is_empty() { Err("the name of a file is empty".into()) } else { Ok(path.to_string()) }
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

//! `{ env = "NAME" }` or `{ file = "PATH" }`: where a secret is kept that a pipeline file only names.

use super::section::{Section, wrong_type};
use super::tree::{Entry, Value};
use crate::problem::{Place, Placed, Problem, Problems};
use crate::secret::SecretAt;

/// Reads the table under `key`. A problem does not point at a secret that stands in the file, or it would be shown.
pub(super) fn read(key: &str, entry: &Entry, problems: &mut Problems) -> Option<Placed<SecretAt>> {
    let hint = format!("write {key} = {{ env = \"NAME\" }} or {{ file = \"PATH\" }}");
    let table = match &entry.node.value {
        Value::Table(table) if table.entries.iter().all(|e| matches!(&*e.key, "env" | "file")) => table,
        Value::String(_) | Value::Table(_) => {
            let message = format!("`{key}` says where the secret is kept, and never the secret itself");
            problems.push(Problem::of_file(message).hint(hint));
            return None;
        }
        _ => {
            problems.push(wrong_type(key, "a table", &entry.node).hint(hint));
            return None;
        }
    };
    let mut section = Section::new(format!("`{key}`"), &entry.key_place, table);
    let env =
        section.parsed("env", problems, variable).map(|env| placed(SecretAt::Env(env.value), env.place));
    let file =
        section.parsed("file", problems, path).map(|file| placed(SecretAt::File(file.value), file.place));
    section.finish(&[], problems);
    match table.entries.len() {
        1 => env.or(file),
        _ => {
            let message = format!("`{key}` is kept in one place: `env` or `file`");
            problems.push(Problem::at(&entry.key_place, message).hint(hint));
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

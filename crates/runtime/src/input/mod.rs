//! Which files a source reads, and how one is opened.

mod pipe;
mod stream;

use crate::RunError;
use glob::MatchOptions;
use std::collections::BTreeSet;
use std::path::Path;

pub use pipe::Pipe;
pub use stream::{Growth, MAGIC_BYTES, Stream, compression, head};

/// A file to be read, or standard input (`-`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Its path; `-` is standard input.
    pub path: String,
    /// Its size on disk in bytes; `None` for standard input and other streams.
    pub size_bytes: Option<u64>,
}

/// Patterns leave these files out: what an earlier run set aside beside its input is no input.
const QUARANTINE_SUFFIX: &str = ".quarantine.ndjson";

/// Expands paths and patterns, in the order given; the files of one pattern in the order of their names.
/// A relative path is taken from the first of `bases` where something matches.
///
/// As in a shell, `*` matches no name that begins with a dot. A pattern matches no quarantine file either; a path that
/// names one does.
///
/// # Errors
/// When a path names nothing or a directory, when a pattern is not one, when a file is named twice.
pub fn expand<P: AsRef<Path>>(patterns: &[String], bases: &[P]) -> Result<Vec<InputFile>, RunError> {
    let mut out = Vec::new();
    for pattern in patterns {
        if pattern == "-" {
            out.push(InputFile { path: "-".into(), size_bytes: None });
            continue;
        }
        let found = matching(pattern, bases)?;
        if found.is_empty() {
            return Err(RunError::NoFile { pattern: pattern.clone(), looked: looked_in(pattern, bases) });
        }
        out.extend(found);
    }
    named_once(&out)?;
    Ok(out)
}

/// The files that match a path or pattern now, from the first base where there are any.
///
/// # Errors
/// As [`expand`]; that nothing matches is none.
pub fn matching<P: AsRef<Path>>(pattern: &str, bases: &[P]) -> Result<Vec<InputFile>, RunError> {
    matching_each(pattern, bases)?.into_iter().collect()
}

/// The same, with an error for each that cannot be looked at.
///
/// # Errors
/// A pattern that is none.
pub fn matching_each<P: AsRef<Path>>(
    pattern: &str,
    bases: &[P],
) -> Result<Vec<Result<InputFile, RunError>>, RunError> {
    for base in bases {
        let found = matches(pattern, base.as_ref())?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// The directories that a pattern was looked for in.
fn looked_in<P: AsRef<Path>>(pattern: &str, bases: &[P]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for base in bases {
        let full = base.as_ref().join(pattern);
        let folder = match full.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => format!("`{}`", folder.display()),
            _ => "the current directory".to_string(),
        };
        if !out.contains(&folder) {
            out.push(folder);
        }
    }
    out
}

const AS_IN_A_SHELL: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Whether a file at `path` would match a path or pattern, once it is there.
pub fn would_match<P: AsRef<Path>>(pattern: &str, bases: &[P], path: &Path) -> bool {
    let Ok(path) = std::path::absolute(path) else { return false };
    bases.iter().any(|base| {
        let Ok(base) = std::path::absolute(if base.as_ref().as_os_str().is_empty() {
            Path::new(".")
        } else {
            base.as_ref()
        }) else {
            return false;
        };
        let whole = Path::new(&glob::Pattern::escape(&base.to_string_lossy())).join(pattern);
        base.join(pattern) == path
            || glob::Pattern::new(&whole.to_string_lossy())
                .is_ok_and(|pattern| pattern.matches_path_with(&path, AS_IN_A_SHELL))
    })
}

fn matches(pattern: &str, base: &Path) -> Result<Vec<Result<InputFile, RunError>>, RunError> {
    let full = base.join(pattern);
    if full.exists() {
        return Ok(vec![file(&full)]);
    }
    let wrong = |reason: String| RunError::Pattern { pattern: pattern.to_string(), reason };
    glob::Pattern::new(pattern).map_err(|e| wrong(e.msg.to_string()))?;
    let base = base.to_str().ok_or_else(|| wrong("the directory it is looked for in is not UTF-8".into()))?;
    // The base is a name, not a pattern: its brackets and stars are its own.
    let full = Path::new(&glob::Pattern::escape(base)).join(pattern);
    let text = full.to_str().ok_or_else(|| wrong("it is not UTF-8".into()))?;
    let mut out = Vec::new();
    for path in glob::glob_with(text, AS_IN_A_SHELL).map_err(|e| wrong(e.msg.to_string()))? {
        match path {
            Ok(path) if path.is_dir() || path.to_string_lossy().ends_with(QUARANTINE_SUFFIX) => {}
            Ok(path) => out.push(file(&path)),
            Err(e) => {
                out.push(Err(RunError::Read { path: e.path().display().to_string(), source: e.into() }))
            }
        }
    }
    Ok(out)
}

fn file(path: &Path) -> Result<InputFile, RunError> {
    let path_text = path.display().to_string();
    let meta =
        std::fs::metadata(path).map_err(|source| RunError::Read { path: path_text.clone(), source })?;
    if meta.is_dir() {
        return Err(RunError::Directory(path_text));
    }
    Ok(InputFile { size_bytes: meta.is_file().then_some(meta.len()), path: path_text })
}

fn named_once(files: &[InputFile]) -> Result<(), RunError> {
    let mut known = BTreeSet::new();
    // Streams have no size; whether one can be read twice is not for us to say.
    for file in files.iter().filter(|file| file.size_bytes.is_some()) {
        if std::fs::canonicalize(&file.path).is_ok_and(|path| !known.insert(path)) {
            return Err(RunError::Twice(file.path.clone()));
        }
    }
    Ok(())
}

/// Whether one of these files is the one at `path`, by whatever name.
pub fn reads(files: &[InputFile], path: &Path) -> bool {
    let Ok(path) = std::fs::canonicalize(path) else { return false };
    files.iter().any(|file| std::fs::canonicalize(&file.path).is_ok_and(|file| file == path))
}

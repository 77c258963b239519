//! Where a secret is kept that a pipeline file only names.
//!
//! A pipeline file is committed, copied and shown; a secret in it would be too. This crate opens nothing, so whoever
//! reads the file for somebody gives it a way to fetch.

use std::fmt;

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretAt {
    /// In this environment variable.
    Env(String),
    /// In this file, as it was written: relative paths belong to the directory of the pipeline file.
    File(String),
}

impl fmt::Display for SecretAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretAt::Env(name) => write!(f, "environment variable `{name}`"),
            SecretAt::File(path) => write!(f, "file `{path}`"),
        }
    }
}

/// Fetches a secret, or says in a few words why it cannot ("is not set").
pub type Fetch<'a> = &'a dyn Fn(&SecretAt) -> Result<Vec<u8>, String>;

/// For texts that are parsed where no secrets are: fetches none.
pub(crate) fn none(_: &SecretAt) -> Result<Vec<u8>, String> {
    Err("is not read here".into())
}

/// The secret without the end of its line, which editors and `echo` add.
pub(crate) fn without_line_end(secret: &[u8]) -> &[u8] {
    let secret = secret.strip_suffix(b"\n").unwrap_or(secret);
    secret.strip_suffix(b"\r").unwrap_or(secret)
}

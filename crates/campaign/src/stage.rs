//! Where a campaign takes place: the program, a directory, the seed.

use crate::child::Child;
use crate::random::Random;
use anyhow::{Context, Result};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What all campaigns are given.
pub struct Stage {
    /// The program that is tried.
    pub program: PathBuf,
    /// The repository.
    pub root: PathBuf,
    /// A directory of the campaign's own.
    pub work: PathBuf,
    /// Everything random follows from it.
    pub seed: u64,
    /// How many faults.
    pub rounds: u64,
    /// Whether inputs are those of the short form.
    pub quick: bool,
}

impl Stage {
    /// A stream of numbers of its own for each use.
    pub fn random(&self, of: &str) -> Random {
        let salt = of.bytes().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        Random::new(self.seed ^ salt)
    }

    /// This in the short form, that in the full one.
    pub fn pick<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }

    /// A directory below that of the campaign, made.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.work.join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    /// `streamgauge ARGS` in a directory.
    pub fn command<S: AsRef<OsStr>>(&self, folder: &Path, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(folder).args(args);
        command
    }

    /// The same, started. Its outputs go to `LABEL.out` and `LABEL.err` there.
    pub fn start(&self, folder: &Path, label: &str, args: &[&str]) -> Result<Child> {
        Child::start(self.command(folder, args), folder, label)
    }

    /// Says how far it is, to a person.
    pub fn progress(&self, text: impl std::fmt::Display) {
        eprintln!("  {text}");
    }
}

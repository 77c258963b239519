//! A state file: what a pipeline measured, with the pipeline that says what it is. Table in docs/FORMATS.md.

use super::State;
use crate::days::Zone;
use crate::restore::{RestoreError, read_bytes, read_section, write_bytes, write_section};
use crate::spec::{Question, Source};
use crate::time::{Span, TIME_MAX};
use sketch::hash::murmur3_x64_128;
use sketch::{DecodeError, Limits, Reader};
use std::fmt;

/// The first bytes of a state file.
pub const MAGIC: &[u8; 8] = b"SGSTATE\n";
const VERSION: u16 = 1;
/// Bytes of the checksum at the end.
const CHECKSUM_BYTES: usize = 16;
/// Seed of the checksum; another one than that of values.
const CHECKSUM_SEED: u64 = 0x5347_5354;

/// The parts of a state file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFile {
    /// What the pipeline file was called, without folders.
    pub name: String,
    /// Its text.
    pub pipeline: String,
    /// What was set beside it, as `KEY=VALUE`, in order.
    pub overrides: Vec<String>,
    /// What was asked.
    pub question: Question,
    /// Whether the whole ladder of panes is kept, whatever was asked; else only what the question needs is.
    pub whole: bool,
    /// The sources, in the order of the pipeline.
    pub sources: Vec<Saved>,
}

/// The state of a source as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Its name.
    pub source: String,
    /// What [`State::snapshot`] wrote.
    pub bytes: Vec<u8>,
}

/// Bytes that are no state file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileError {
    /// It does not begin like one.
    NotOne,
    /// A later version wrote it.
    Version(u16),
    /// It was cut off, or bits have flipped.
    Damaged,
    /// Its checksum holds, but not its parts.
    Bytes(DecodeError),
}

impl From<DecodeError> for FileError {
    fn from(error: DecodeError) -> FileError {
        FileError::Bytes(error)
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileError::NotOne => write!(f, "it is no state file: those begin with SGSTATE"),
            FileError::Version(version) => write!(
                f,
                "it is a state file of version {version}, and this program reads version {VERSION}: take a newer program"
            ),
            FileError::Damaged => {
                write!(
                    f,
                    "it is a damaged state file: its checksum does not hold, so it was cut off or changed"
                )
            }
            FileError::Bytes(error) => write!(f, "it is a state file with parts that make no sense: {error}"),
        }
    }
}

impl std::error::Error for FileError {}

impl Saved {
    /// The state of a source, as bytes.
    pub fn of(state: &State, source: &Source) -> Saved {
        let mut bytes = Vec::new();
        state.snapshot(source, &mut bytes);
        Saved { source: source.name.clone(), bytes }
    }

    /// The state, to be asked, merged or fed. `source` is what the file's pipeline says of it.
    ///
    /// # Errors
    /// Bytes that are no state of this source.
    pub fn restore(&self, source: &Source, limits: &Limits) -> Result<State, RestoreError> {
        let mut r = Reader::new(&self.bytes);
        let state = State::restore(source, &mut r, limits)?;
        r.finish()?;
        Ok(state)
    }
}

impl StateFile {
    /// The bytes of the file.
    pub fn write(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        write_bytes(self.name.as_bytes(), &mut out);
        write_bytes(self.pipeline.as_bytes(), &mut out);
        out.extend_from_slice(&(self.overrides.len() as u32).to_le_bytes());
        self.overrides.iter().for_each(|text| write_bytes(text.as_bytes(), &mut out));
        let (kind, window, every) = match self.question {
            Question::Total => (0, 0, 0),
            Question::Windows { window, every } => (1, window.0, every.0),
            Question::Days { window, every, .. } => (2, i64::from(window), i64::from(every)),
        };
        out.push(kind | if self.whole { WHOLE } else { 0 });
        out.extend_from_slice(&window.to_le_bytes());
        out.extend_from_slice(&every.to_le_bytes());
        if let Question::Days { zone, .. } = self.question {
            write_bytes(zone.name().as_bytes(), &mut out);
        }
        out.extend_from_slice(&(self.sources.len() as u32).to_le_bytes());
        for saved in &self.sources {
            write_bytes(saved.source.as_bytes(), &mut out);
            write_section(&mut out, |out| out.extend_from_slice(&saved.bytes));
        }
        let sum = checksum(&out);
        out.extend_from_slice(&sum);
        out
    }

    /// Whether bytes begin as a state file does.
    pub fn begins(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    /// Takes a file apart. Holds no more than the bytes at hand.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn read(bytes: &[u8]) -> Result<StateFile, FileError> {
        if !StateFile::begins(bytes) {
            return Err(FileError::NotOne);
        }
        let mut r = Reader::new(&bytes[MAGIC.len()..]);
        let version = r.u16().map_err(|_| FileError::Damaged)?;
        if version != VERSION {
            return Err(FileError::Version(version));
        }
        let body = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or(FileError::Damaged)?;
        if checksum(&bytes[..body]) != bytes[body..] {
            return Err(FileError::Damaged);
        }
        let head = MAGIC.len() + size_of::<u16>();
        let mut r = Reader::new(bytes.get(head..body).ok_or(FileError::Damaged)?);
        let (name, pipeline) = (text(&mut r)?, text(&mut r)?);
        let overrides = r.count("overrides", usize::MAX, 4)?;
        let overrides = (0..overrides).map(|_| text(&mut r)).collect::<Result<Vec<String>, _>>()?;
        let (question, whole) = question(&mut r)?;
        let sources = r.count("sources", usize::MAX, 4 + 8)?;
        let sources = (0..sources).map(|_| saved(&mut r)).collect::<Result<Vec<Saved>, _>>()?;
        r.finish()?;
        Ok(StateFile { name, pipeline, overrides, question, whole, sources })
    }
}

/// Beside the kind of the question.
const WHOLE: u8 = 0x80;

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let (low, high) = murmur3_x64_128(bytes, CHECKSUM_SEED);
    let mut out = [0; CHECKSUM_BYTES];
    out[..8].copy_from_slice(&low.to_le_bytes());
    out[8..].copy_from_slice(&high.to_le_bytes());
    out
}

fn text(r: &mut Reader<'_>) -> Result<String, DecodeError> {
    let text = std::str::from_utf8(read_bytes(r)?).map_err(|_| DecodeError::Invalid("text"))?;
    Ok(text.to_string())
}

fn question(r: &mut Reader<'_>) -> Result<(Question, bool), DecodeError> {
    let (kind, window, every) = (r.u8()?, r.i64()?, r.i64()?);
    let (kind, whole) = (kind & !WHOLE, kind & WHOLE != 0);
    let span = |micros: i64| (1..=TIME_MAX).contains(&micros);
    let question = match kind {
        0 if (window, every) == (0, 0) => Question::Total,
        // A window is made of whole steps.
        1 if span(window) && span(every) && window % every == 0 => {
            Question::Windows { window: Span(window), every: Span(every) }
        }
        2 if window > 0 && every > 0 && window % every == 0 => {
            let days = |n: i64| u32::try_from(n).map_err(|_| DecodeError::Invalid("question"));
            let zone = Zone::new(&text(r)?).ok_or(DecodeError::Invalid("time zone"))?;
            Question::Days { window: days(window)?, every: days(every)?, zone }
        }
        _ => return Err(DecodeError::Invalid("question")),
    };
    Ok((question, whole))
}

fn saved(r: &mut Reader<'_>) -> Result<Saved, DecodeError> {
    let source = text(r)?;
    let mut section = read_section(r)?;
    let bytes = section.bytes(section.remaining())?.to_vec();
    Ok(Saved { source, bytes })
}

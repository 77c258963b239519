//! What a door hands in and what it is told: the seam between a server and the log that makes bodies durable.
//!
//! Neither side knows the other. The engine does not keep, time or count anything here.

use crate::annotate::Note;
use std::fmt;

/// Longest name of a producer.
pub const PRODUCER_BYTES_MAX: usize = 128;

/// Takes in bodies of events, durably.
pub trait Inbox: Send + Sync {
    /// Hands in a body. Never waits: `answer` is called exactly once, later and from another thread when the body has
    /// become durable, or at once when it is refused. `now_ms` is processing time, milliseconds since 1970.
    fn append(&self, delivery: Delivery, now_ms: u64, answer: Answer);

    /// How full it is.
    fn load(&self) -> Load;
}

/// Is told what became of a body.
pub type Answer = Box<dyn FnOnce(Result<Accepted, Refusal>) + Send>;

/// A body of records, one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its bytes; a last line without its end gets one.
    pub body: Vec<u8>,
    /// What makes handing it in again harmless.
    pub stamp: Option<Stamp>,
}

/// Who sends a body, and the how manyth of theirs it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    producer: String,
    sequence: u64,
}

impl Stamp {
    /// `None` when the name is empty, longer than [`PRODUCER_BYTES_MAX`], or has other than visible ASCII characters.
    pub fn new(producer: &str, sequence: u64) -> Option<Stamp> {
        let fits = (1..=PRODUCER_BYTES_MAX).contains(&producer.len());
        let visible = producer.bytes().all(|byte| byte.is_ascii_graphic());
        (fits && visible).then(|| Stamp { producer: producer.into(), sequence })
    }

    /// The name.
    pub fn producer(&self) -> &str {
        &self.producer
    }

    /// Ascending with each body of the producer; may begin anywhere.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

/// A body that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// A position in the log behind the body: whoever has read up to here has read it.
    pub offset: u64,
    /// Bytes of the body.
    pub bytes: u64,
    /// Lines that are not blank.
    pub records: u64,
    /// Whether it had been taken in before, so that nothing was done now.
    pub duplicate: bool,
}

/// A body that was not taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Too much is on its way to the disk. Trying again soon helps.
    Busy,
    /// Too much has not been read yet. Trying again later helps.
    Behind,
    /// It is being stopped.
    Stopping,
    /// The disk is full.
    NoSpace,
    /// More than can ever be taken in at once.
    TooLong {
        /// What can.
        bytes_max: usize,
    },
    /// The disk refuses, in the words of the system.
    Failed(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Busy => f.write_str("too many bodies are being written"),
            Refusal::Behind => f.write_str("too many bytes wait to be read"),
            Refusal::Stopping => f.write_str("the program is being stopped"),
            Refusal::NoSpace => f.write_str("the disk is full"),
            Refusal::TooLong { bytes_max } => write!(f, "the body is longer than {bytes_max} bytes"),
            Refusal::Failed(why) => write!(f, "the body could not be written: {why}"),
        }
    }
}

/// Tells of single events what was found of them when they were read.
pub trait Replies: Send + Sync {
    /// Begins to listen, before a body is handed in. The names are those of `seen` metrics and of fields.
    ///
    /// # Errors
    /// A sentence, when nothing can be said under a name.
    fn listen(&self, names: &[String]) -> Result<Box<dyn Listening>, String>;
}

/// Somebody who listens; no more once it is dropped.
pub trait Listening: Send {
    /// The body that was handed in is durable. `told` is called once, when all of its records have been judged; it is dropped when
    /// they never are.
    fn of(&mut self, accepted: Accepted, told: Told);
}

/// Is told of each record of a body, in order.
pub type Told = Box<dyn FnOnce(Vec<Reply>) + Send>;

/// What was found of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// What is said of it, by name.
    Notes(Vec<(String, Note)>),
    /// It could not be read, for this reason.
    Bad(&'static str),
}

/// How full an inbox is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Bytes of bodies on their way to the disk.
    pub queue_bytes: u64,
    /// Bodies on their way to the disk.
    pub queue_bodies: u64,
    /// Durable bytes that have not been released.
    pub backlog_bytes: u64,
    /// Bytes of its files.
    pub disk_bytes: u64,
    /// Producers that are known.
    pub producers: u64,
    /// The position behind the last durable body.
    pub offset: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_needs_a_name_that_fits_in_a_header() {
        assert_eq!(
            Stamp::new("web-1", 7).map(|s| (s.producer().to_string(), s.sequence())),
            Some(("web-1".into(), 7))
        );
        assert_eq!(Stamp::new("", 7), None);
        assert_eq!(Stamp::new("a b", 7), None);
        assert_eq!(Stamp::new("ä", 7), None);
        assert!(Stamp::new(&"x".repeat(PRODUCER_BYTES_MAX), 7).is_some());
        assert_eq!(Stamp::new(&"x".repeat(PRODUCER_BYTES_MAX + 1), 7), None);
    }
}

//! What was found of single events, told to whoever waits for it.
//!
//! As long as somebody listens, batches that were judged are kept for a while, with where their records stood: a body is durable, and may
//! be read, before whoever sent it knows where it stands. Nobody who listens costs nothing.

use engine::annotate::Annotator;
use engine::batch::{Bad, Batch};
use engine::inbox::{Accepted, Listening, Replies, Reply, Told};
use engine::intake::Judged;
use engine::spec::Source;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Batches that are kept, each of a block of 256 KiB at most.
const BATCHES_MAX: usize = 64;
/// Bad records whose reasons are kept.
const BAD_MAX: usize = 100_000;

/// What was found of late, and who waits for it.
#[derive(Default)]
pub(crate) struct Found {
    listening: AtomicUsize,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    batches: VecDeque<Arc<Noted>>,
    /// By where they stand.
    bad: BTreeMap<u64, &'static str>,
    waiting: Vec<Waiting>,
    next: u64,
}

/// A batch, and where the records of its rows stand.
struct Noted {
    starts: Vec<u64>,
    judged: Judged,
}

impl Noted {
    /// The rows whose records stand in these bytes. Rows are in the order of their records.
    fn rows_in(&self, bytes: &Range<u64>) -> Range<usize> {
        let before = |end: u64| self.starts.partition_point(|start| *start < end);
        before(bytes.start)..before(bytes.end)
    }
}

struct Waiting {
    number: u64,
    bytes: Range<u64>,
    records: u64,
    annotator: Arc<Annotator>,
    told: Told,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found").field("listening", &self.listening).finish_non_exhaustive()
    }
}

impl Found {
    /// Whether anybody listens.
    pub fn is_wanted(&self) -> bool {
        self.listening.load(Ordering::Acquire) > 0
    }

    /// Bad records of a batch; their verdict is that.
    pub fn bad(&self, bad: &[Bad]) {
        let mut inside = self.lock();
        inside.bad.extend(bad.iter().map(|bad| (bad.raw.byte, bad.reason.as_str())));
        while inside.bad.len() > BAD_MAX {
            inside.bad.pop_first();
        }
        inside.tell();
    }

    /// A batch with its verdicts. One that does not know where its rows stand is none that anybody waits for.
    pub fn judged(&self, judged: &Judged) {
        let batch = &judged.batch;
        if batch.raw.len() != batch.rows || batch.rows == 0 {
            return;
        }
        let starts = batch.raw.iter().map(|raw| raw.byte).collect();
        let batch = Batch { raw: Vec::new(), bad: Vec::new(), ..batch.clone() };
        let judged = Judged {
            batch,
            misjudged: judged.misjudged.clone(),
            marks: Vec::new(),
            left_out: Vec::new(),
            before: None,
        };
        let mut inside = self.lock();
        inside.batches.push_back(Arc::new(Noted { starts, judged }));
        if inside.batches.len() > BATCHES_MAX {
            inside.batches.pop_front();
        }
        inside.tell();
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// Tells those of whose bodies everything is known by now.
    fn tell(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        for waiting in waiting {
            match self.of(&waiting) {
                Some(replies) => (waiting.told)(replies),
                None => self.waiting.push(waiting),
            }
        }
    }

    /// What is known of a body, once it is all.
    fn of(&self, waiting: &Waiting) -> Option<Vec<Reply>> {
        let bad = || self.bad.range(waiting.bytes.clone());
        let rows: Vec<(&Noted, Range<usize>)> = self
            .batches
            .iter()
            .map(|noted| (&**noted, noted.rows_in(&waiting.bytes)))
            .filter(|(_, rows)| !rows.is_empty())
            .collect();
        let known = bad().count() + rows.iter().map(|(_, rows)| rows.len()).sum::<usize>();
        if (known as u64) < waiting.records {
            return None;
        }
        let mut all: BTreeMap<u64, Reply> = bad().map(|(at, reason)| (*at, Reply::Bad(reason))).collect();
        for (noted, rows) in rows {
            for row in rows {
                let notes = waiting.annotator.event_notes(&noted.judged, row);
                let notes = notes.into_iter().map(|(name, note)| (name.to_string(), note)).collect();
                all.insert(noted.starts[row], Reply::Notes(notes));
            }
        }
        Some(all.into_values().collect())
    }
}

/// The replies of a source.
#[derive(Debug)]
pub(crate) struct OfSource {
    pub source: Arc<Source>,
    pub found: Arc<Found>,
}

impl Replies for OfSource {
    fn listen(&self, names: &[String]) -> Result<Box<dyn Listening>, String> {
        if self.source.explode.is_some() {
            return Err(format!(
                "source `{}` makes several events of a record (`explode`), which have no one reply",
                self.source.name
            ));
        }
        let annotator = Annotator::of_events(&self.source, names).map_err(|error| error.to_string())?;
        self.found.listening.fetch_add(1, Ordering::AcqRel);
        Ok(Box::new(Listener {
            found: Arc::clone(&self.found),
            annotator: Arc::new(annotator),
            number: None,
        }))
    }
}

/// Somebody who listens.
struct Listener {
    found: Arc<Found>,
    annotator: Arc<Annotator>,
    number: Option<u64>,
}

impl Listening for Listener {
    fn of(&mut self, accepted: Accepted, told: Told) {
        let mut inside = self.found.lock();
        let number = inside.next;
        inside.next += 1;
        self.number = Some(number);
        let bytes = accepted.offset - accepted.bytes..accepted.offset;
        let annotator = Arc::clone(&self.annotator);
        inside.waiting.push(Waiting { number, bytes, records: accepted.records, annotator, told });
        inside.tell();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut inside = self.found.lock();
        inside.waiting.retain(|waiting| Some(waiting.number) != self.number);
        if self.found.listening.fetch_sub(1, Ordering::AcqRel) == 1 {
            inside.batches.clear();
            inside.bad.clear();
        }
    }
}

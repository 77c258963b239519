//! Answers that were given, kept for whoever asks the same while nothing has changed.
//!
//! An answer is good as long as the moments that it was read from are those that a reader gives now, so it is never staler than a
//! new one would be. Every answer tells how complete its source is and how many events were late, which changes with any event: so
//! versions of single panes would keep no answer for longer.
//!
//! Bounded in bytes, by age, and by use: what nobody has asked for the longest goes first. Of several who ask the same at once
//! one is answered, and the others are given what it was.

use crate::exposition::Exposition;
use axum::body::Bytes;
use engine::moment::{Moment, Reader};
use engine::spec::Source;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

/// How long an answer is kept at most.
pub(crate) const AGE_MAX: Duration = Duration::from_secs(60);
/// What an answer takes beside its text and twice its question.
const OVERHEAD_BYTES: usize = 256;
/// An answer that would take more than this part of all room is not kept.
const PART_MAX: usize = 4;

/// An answer as it goes out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub text: Bytes,
    /// Tells this text from others, for `ETag`.
    pub tag: String,
}

impl Kept {
    pub fn new(text: String) -> Kept {
        let tag = format!("\"{:016x}-{:x}\"", digest(text.as_bytes()), text.len());
        Kept { text: text.into(), tag }
    }
}

/// Tells one text from another (FNV-1a).
pub(crate) fn digest(text: &[u8]) -> u64 {
    text.iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// What an answer was read from. Held weakly: while a moment lives, what changes is copied.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    sources: Vec<Weak<Source>>,
    moments: Vec<(usize, Weak<Moment>)>,
}

impl Versions {
    /// These moments, by the number of their source, of all these sources.
    pub fn new(sources: &[Arc<Source>], moments: &[(usize, Arc<Moment>)]) -> Versions {
        Versions {
            sources: sources.iter().map(Arc::downgrade).collect(),
            moments: moments.iter().map(|(source, moment)| (*source, Arc::downgrade(moment))).collect(),
        }
    }

    /// Whether a reader gives the same now.
    fn are_of(&self, reader: &dyn Reader, now: Now) -> bool {
        let sources = reader.sources();
        let same = sources.len() == self.sources.len()
            && self.sources.iter().zip(&sources).all(|(then, now)| is(then, now));
        let is_now = |(source, then): &(usize, Weak<Moment>)| {
            let moment = match now {
                Now::AtOnce => reader.current(*source),
                Now::Waiting => reader.moment(*source).ok(),
            };
            moment.is_some_and(|moment| is(then, &moment))
        };
        same && self.moments.iter().all(is_now)
    }
}

fn is<T>(then: &Weak<T>, now: &Arc<T>) -> bool {
    // The address of what is held weakly is given to nothing else.
    std::ptr::eq(then.as_ptr(), Arc::as_ptr(now))
}

/// How a reader is asked for what there is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Now {
    /// Without waiting: where it has nothing at hand that is young enough, there is no answer.
    AtOnce,
    /// Waiting for a run, as any question does.
    Waiting,
}

/// What is asked: its sort, and the words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// What stands behind `/v1/metrics/`.
    Metric(Arc<str>),
    /// A statement.
    Sql(Arc<str>),
}

impl Key {
    fn bytes(&self) -> usize {
        match self {
            Key::Metric(text) | Key::Sql(text) => text.len(),
        }
    }

    fn sort(&self) -> usize {
        match self {
            Key::Metric(_) => 0,
            Key::Sql(_) => 1,
        }
    }
}

/// The sorts of questions, as the counters call them.
const SORTS: [&str; 2] = ["metrics", "sql"];

/// The answers.
pub(crate) struct Cache {
    bytes_max: usize,
    inside: Mutex<Inside>,
    hits: [AtomicU64; SORTS.len()],
    misses: [AtomicU64; SORTS.len()],
    /// What had to go for room, or was too old.
    evicted: AtomicU64,
}

#[derive(Default)]
struct Inside {
    entries: BTreeMap<Key, Entry>,
    /// By when it was used last.
    used: BTreeMap<u64, Key>,
    clock: u64,
    bytes: usize,
    /// Questions that are being answered.
    flights: BTreeMap<Key, Arc<tokio::sync::Mutex<()>>>,
}

struct Entry {
    kept: Arc<Kept>,
    of: Arc<Versions>,
    made: Instant,
    used: u64,
    bytes: usize,
}

impl Cache {
    /// No answers yet, and room for so many bytes of them; without room nothing is kept.
    pub fn new(bytes_max: usize) -> Cache {
        Cache {
            bytes_max,
            inside: Mutex::default(),
            hits: Default::default(),
            misses: Default::default(),
            evicted: AtomicU64::new(0),
        }
    }

    /// The answer to a question, if it is still good.
    pub fn get(&self, key: &Key, reader: &dyn Reader, now: Now) -> Option<Arc<Kept>> {
        let (kept, of) = {
            let inside = self.lock();
            let entry = inside.entries.get(key)?;
            (Arc::clone(&entry.kept), Arc::clone(&entry.of))
        };
        // A reader may take its time, which nobody else waits for.
        if !of.are_of(reader, now) || !self.lock().touch(key) {
            return None;
        }
        self.hits[key.sort()].fetch_add(1, Relaxed);
        Some(kept)
    }

    /// Keeps an answer that was not there.
    pub fn keep(&self, key: &Key, of: Versions, text: String) -> Arc<Kept> {
        let kept = Arc::new(Kept::new(text));
        let bytes = kept.text.len() + 2 * key.bytes() + OVERHEAD_BYTES;
        if bytes > self.bytes_max / PART_MAX {
            return kept;
        }
        let mut inside = self.lock();
        let (now, used) = (Instant::now(), inside.tick());
        inside.remove(key);
        let old = |inside: &Inside| {
            let (_, oldest) = inside.used.first_key_value()?;
            let over = inside.bytes + bytes > self.bytes_max;
            (over || now.duration_since(inside.entries[oldest].made) > AGE_MAX).then(|| oldest.clone())
        };
        while let Some(old) = old(&inside) {
            inside.remove(&old);
            self.evicted.fetch_add(1, Relaxed);
        }
        inside.bytes += bytes;
        inside.used.insert(used, key.clone());
        inside
            .entries
            .insert(key.clone(), Entry { kept: Arc::clone(&kept), of: Arc::new(of), made: now, used, bytes });
        kept
    }

    /// Counts a question that had to be answered anew.
    pub fn missed(&self, key: &Key) {
        self.misses[key.sort()].fetch_add(1, Relaxed);
    }

    /// Whoever holds this of a question is the one who has it answered; others wait.
    pub fn flight(self: &Arc<Self>, key: &Key) -> Flight {
        let lock = Arc::clone(self.lock().flights.entry(key.clone()).or_default());
        Flight { cache: Arc::clone(self), key: key.clone(), lock }
    }

    /// For Prometheus.
    pub fn tell(&self, out: &mut Exposition) {
        let sorts = [
            ("cache_hits_total", "Questions that were answered by an answer that was kept.", &self.hits),
            ("cache_misses_total", "Questions that had to be answered anew.", &self.misses),
        ];
        for (name, help, counts) in sorts {
            let Some(mut family) = out.family(name, "counter", help) else { continue };
            for (sort, count) in SORTS.iter().zip(counts) {
                family.put("", &[("of", sort)], count.load(Relaxed) as f64);
            }
        }
        let help = "Answers that were let go for room, or because they were old.";
        out.single("cache_evictions_total", "counter", help, self.evicted.load(Relaxed) as f64);
        let (entries, bytes) = self.held();
        out.single("cache_entries", "gauge", "Answers that are kept.", entries as f64);
        out.single("cache_bytes", "gauge", "Bytes of answers that are kept.", bytes as f64);
    }

    /// For `/v1/status`.
    pub fn status(&self) -> Value {
        let sum = |counts: &[AtomicU64]| counts.iter().map(|count| count.load(Relaxed)).sum::<u64>();
        let (entries, bytes) = self.held();
        json!({
            "hits": sum(&self.hits),
            "misses": sum(&self.misses),
            "evicted": self.evicted.load(Relaxed),
            "entries": entries,
            "bytes": bytes,
            "bytes_max": self.bytes_max,
        })
    }

    fn held(&self) -> (usize, usize) {
        let inside = self.lock();
        (inside.entries.len(), inside.bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Inside {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Notes that an answer was of use, unless it is too old to be.
    fn touch(&mut self, key: &Key) -> bool {
        let now = self.tick();
        let Some(entry) = self.entries.get_mut(key) else { return false };
        if entry.made.elapsed() > AGE_MAX {
            return false;
        }
        let before = std::mem::replace(&mut entry.used, now);
        self.used.remove(&before);
        self.used.insert(now, key.clone());
        true
    }

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.used.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}

/// A place in the queue of those who ask the same.
pub(crate) struct Flight {
    cache: Arc<Cache>,
    key: Key,
    lock: Arc<tokio::sync::Mutex<()>>,
}

impl Flight {
    /// Waits until nobody else is being answered.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.lock.lock().await
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut inside = self.cache.lock();
        // One is the table's and one is ours: nobody waits.
        if Arc::strong_count(&self.lock) == 2 {
            inside.flights.remove(&self.key);
        }
    }
}

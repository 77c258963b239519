//! A source that is asked while it is measured.
//!
//! Who asks waits at most for the block that is being folded in; the run itself goes on beside the answer. Shards are frozen
//! when somebody asks and what was frozen last is older than `freshness`, so many questions cost no more than one, and no
//! question costs nothing.

use crate::replies::{Found, OfSource};
use engine::inbox::Replies;
use engine::moment::{Moment, Reader};
use engine::spec::Source;
use engine::times::Times;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

/// How long to wait for a run that does not answer, for instance because it waits for its disk.
const PATIENCE: Duration = Duration::from_secs(5);
/// A moment that nobody has asked for this many times its freshness is let go: while it is held, what changes is copied.
const HELD_MAX: u32 = 10;

/// A source of a run, for others to ask.
#[derive(Debug)]
pub struct Live {
    source: Arc<Source>,
    freshness: Duration,
    now: Mutex<Now>,
    turned: Condvar,
    /// What operations took, by their names.
    times: Mutex<BTreeMap<&'static str, Times>>,
    /// What was found of single events, for those who wait for it.
    found: Arc<Found>,
    /// The newest commit: its number, and when it was written, in microseconds since 1970.
    committed: Mutex<Option<(u64, u64)>>,
}

#[derive(Debug, Default)]
struct Now {
    last: Option<Shown>,
    /// Whether somebody waits for a newer one.
    asked: bool,
    /// Whether the run has begun.
    begun: bool,
    /// Whether there will be none.
    ended: bool,
}

#[derive(Debug, Clone)]
struct Shown {
    moment: Arc<Moment>,
    /// When it was known to be the newest.
    at: Instant,
    /// When somebody wanted it.
    wanted: Instant,
    /// How often the run had changed.
    changes: u64,
}

/// The sources of a run, for others to ask.
#[derive(Debug, Default)]
pub struct Lives(RwLock<Vec<Arc<Live>>>);

impl Lives {
    /// Another pipeline takes the place of this one.
    pub fn turn(&self, sources: Vec<Arc<Live>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = sources;
    }

    fn sources(&self) -> RwLockReadGuard<'_, Vec<Arc<Live>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader for Lives {
    fn sources(&self) -> Vec<Arc<Source>> {
        self.sources().iter().map(|live| Arc::clone(live.source())).collect()
    }

    fn moment(&self, source: usize) -> Result<Arc<Moment>, String> {
        // Nobody waits for a run while holding the lock.
        let live = self.sources().get(source).cloned();
        live.ok_or("another pipeline took the place of this one; ask again")?.moment()
    }

    fn current(&self, source: usize) -> Option<Arc<Moment>> {
        self.sources().get(source)?.current()
    }

    fn times(&self, source: usize) -> Vec<(&'static str, Times)> {
        let live = self.sources().get(source).cloned();
        live.map_or_else(Vec::new, |live| {
            let times = live.times.lock().unwrap_or_else(PoisonError::into_inner);
            times.iter().map(|(operation, times)| (*operation, times.clone())).collect()
        })
    }

    fn replies(&self, source: &str) -> Option<Arc<dyn Replies>> {
        let sources = self.sources();
        let live = sources.iter().find(|live| live.source.name == source)?;
        let (source, found) = (Arc::clone(&live.source), Arc::clone(&live.found));
        Some(Arc::new(OfSource { source, found }))
    }

    fn committed(&self, source: usize) -> Option<(u64, u64)> {
        *self.sources().get(source)?.committed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    /// A source that will be measured. Answers are at most `freshness` old, and what waiting takes.
    pub fn new(source: Arc<Source>, freshness: Duration) -> Live {
        let (times, committed, found) = (Mutex::default(), Mutex::default(), Arc::default());
        Live { source, freshness, now: Mutex::default(), turned: Condvar::new(), times, committed, found }
    }

    /// What is measured.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The source as it is now. The same pointer again while nothing has changed.
    ///
    /// # Errors
    /// A sentence, when the run does not answer.
    pub fn moment(&self) -> Result<Arc<Moment>, String> {
        let begun = Instant::now();
        let mut now = self.lock();
        loop {
            if let Some(shown) = &mut now.last
                && (shown.at + self.freshness >= begun)
            {
                shown.wanted = begun;
                return Ok(Arc::clone(&shown.moment));
            }
            let waited = begun.elapsed();
            if !now.begun || now.ended || waited >= PATIENCE {
                // Of a run that ends, the last one is the newest there is.
                return match &now.last {
                    Some(shown) => Ok(Arc::clone(&shown.moment)),
                    None => Err(format!(
                        "source `{}` is not measured yet: its run has not begun, or waits for its disk; try again in a second",
                        self.source.name
                    )),
                };
            }
            now.asked = true;
            self.turned.notify_all();
            now = self.turned.wait_timeout(now, PATIENCE - waited).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The moment that was shown last, if it is young enough to be shown again.
    pub fn current(&self) -> Option<Arc<Moment>> {
        let begun = Instant::now();
        let mut now = self.lock();
        let ended = now.ended;
        let shown = now.last.as_mut().filter(|shown| ended || shown.at + self.freshness >= begun)?;
        shown.wanted = begun;
        Some(Arc::clone(&shown.moment))
    }

    /// Notes how long an operation took.
    pub(crate) fn note(&self, operation: &'static str, took: Duration) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.entry(operation).or_default().note(took.as_secs_f64());
    }

    /// What was found of single events.
    pub(crate) fn found(&self) -> &Found {
        &self.found
    }

    /// Notes a commit.
    pub(crate) fn commit(&self, number: u64, written_us: u64) {
        *self.committed.lock().unwrap_or_else(PoisonError::into_inner) = Some((number, written_us));
    }

    /// The life of who answers: makes moments with `show`, which is told how often the run had changed when it was called last
    /// and gives nothing where it has not since. Ends with [`Live::end`].
    pub(crate) fn answer(&self, show: &dyn Fn(Option<u64>) -> Option<(Moment, u64)>) {
        let mut now = self.lock();
        now.begun = true;
        while !now.ended {
            if !now.asked {
                let hold = self.freshness * HELD_MAX;
                now = self.turned.wait_timeout(now, hold).unwrap_or_else(PoisonError::into_inner).0;
                if now.last.as_ref().is_some_and(|shown| shown.wanted.elapsed() >= hold) {
                    now.last = None;
                }
                continue;
            }
            let changes = now.last.as_ref().map(|shown| shown.changes);
            drop(now);
            let at = Instant::now();
            let shown = show(changes);
            now = self.lock();
            now.asked = false;
            match (shown, &mut now.last) {
                (Some((moment, changes)), last) => {
                    *last = Some(Shown { moment: Arc::new(moment), at, wanted: at, changes });
                }
                (None, Some(last)) => last.at = at,
                (None, None) => {}
            }
            self.turned.notify_all();
        }
    }

    /// The run is over; nothing newer is to be had.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.turned.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

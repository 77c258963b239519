//! What is measured here with what other nodes have sent, for whoever asks a run that goes on.
//!
//! What others have sent is read when somebody asks and something newer is there, and kept until then; closed panes stay on disk. It is
//! not added up in advance: the parts of all nodes stand side by side in a moment, and become one in what is asked.

use crate::origins::{Measured, Site, sites};
use engine::inbox::Replies;
use engine::moment::{Counted, Moment, Reader};
use engine::spec::Source;
use engine::state::Unmergeable;
use engine::time::Time;
use engine::times::Times;
use runtime::Lives;
use runtime::checkpoint::PaneShelf;
use runtime::origins::{names, saved_names, saved_version, version};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// How old what is known of other nodes may become.
const FRESHNESS: Duration = Duration::from_secs(1);
/// Looking for news takes at most this part of the time.
const LOOK_PART: u32 = 20;

/// The sources of a run with those of other nodes.
pub struct Joined {
    lives: Arc<Lives>,
    /// The state directory.
    directory: PathBuf,
    measured: Measured,
    /// By the name of the source.
    known: Mutex<BTreeMap<String, Known>>,
}

/// What is known of one source.
#[derive(Default)]
struct Known {
    /// What it was read for: another pipeline may take the place of this one.
    source: Option<Arc<Source>>,
    /// What there was, when it was looked for last.
    versions: Vec<Seen>,
    /// When, and when it is time again.
    next: Option<Instant>,
    sites: Vec<Read>,
    /// Origins that cannot be had, and why.
    left_out: Vec<(String, String)>,
    /// The own moment, and what it became.
    joined: Option<(Arc<Moment>, Arc<Moment>)>,
}

/// A state of an origin, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Pushed(String, Option<(String, u64, u64)>),
    Saved(String, Option<(u64, u64)>),
}

/// A state of an origin.
struct Read {
    site: Site,
    moment: Arc<Moment>,
    shelf: Option<Arc<PaneShelf>>,
}

impl Joined {
    /// What is measured by this run, and what others send below its state directory.
    pub fn new(lives: Arc<Lives>, directory: &Path, measured: Measured) -> Joined {
        Joined { lives, directory: directory.to_path_buf(), measured, known: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings what is known up to now, if it is time to look.
    fn look(&self, source: &Arc<Source>, known: &mut Known) {
        let begun = Instant::now();
        if !known.source.as_ref().is_some_and(|of| Arc::ptr_eq(of, source)) {
            *known = Known { source: Some(Arc::clone(source)), ..Known::default() };
        }
        let lost =
            known.sites.iter().any(|read| read.shelf.as_ref().is_some_and(|shelf| shelf.lost().is_some()));
        if !lost && known.next.is_some_and(|next| begun < next) {
            return;
        }
        let versions = self.versions(&source.name);
        if lost || versions != known.versions {
            self.read(source, known);
            known.versions = versions;
        }
        known.next = Some(Instant::now() + FRESHNESS.max(begun.elapsed() * LOOK_PART));
    }

    fn versions(&self, source: &str) -> Vec<Seen> {
        let pushed = names(&self.directory, source).into_iter().map(|name| {
            let version = version(&self.directory, &name, source);
            Seen::Pushed(name, version)
        });
        let saved = saved_names(&self.directory).into_iter().map(|name| {
            let version = saved_version(&self.directory, &name);
            Seen::Saved(name, version)
        });
        pushed.chain(saved).collect()
    }

    fn read(&self, source: &Arc<Source>, known: &mut Known) {
        (known.sites, known.left_out, known.joined) = (Vec::new(), Vec::new(), None);
        for (name, read) in self.measured.with(|ours| sites(&self.directory, source, ours)) {
            match read {
                Ok((site, state, shelf)) => {
                    let moment = Arc::new(state.into_moment(Arc::clone(source)));
                    known.sites.push(Read { site, moment, shelf });
                }
                Err(why) => known.left_out.push((name, why)),
            }
        }
    }
}

impl Known {
    /// The own moment with those of others; those that do not go together with the ones before them are left out.
    fn join(&mut self, own: &Arc<Moment>) -> Arc<Moment> {
        if self.sites.is_empty() {
            return Arc::clone(own);
        }
        if let Some((of, joined)) = &self.joined
            && Arc::ptr_eq(of, own)
        {
            return Arc::clone(joined);
        }
        let mut fitting: Vec<Arc<Moment>> = self.sites.iter().map(|read| Arc::clone(&read.moment)).collect();
        let joined = joined(own, &fitting).unwrap_or_else(|_| {
            fitting.clear();
            let left_out = &mut self.left_out;
            self.sites.retain(|read| {
                fitting.push(Arc::clone(&read.moment));
                let why = joined(own, &fitting).err();
                why.is_none() || {
                    fitting.pop();
                    left_out
                        .push((read.site.name.clone(), why.map_or_else(String::new, |why| why.to_string())));
                    false
                }
            });
            joined(own, &fitting).unwrap_or_else(|_| Arc::clone(own))
        });
        self.joined = Some((Arc::clone(own), Arc::clone(&joined)));
        joined
    }

    fn told(&self) -> Vec<Counted> {
        let counted = |read: &Read| Counted {
            origin: read.site.name.clone(),
            version: read.site.version.to_string(),
            complete_to: read.site.watermark,
            written_us: read.site.written_us,
            left_out: None,
        };
        let left_out = |(origin, why): &(String, String)| Counted {
            origin: origin.clone(),
            version: String::new(),
            complete_to: None,
            written_us: 0,
            left_out: Some(why.clone()),
        };
        self.sites.iter().map(counted).chain(self.left_out.iter().map(left_out)).collect()
    }
}

/// Complete up to where the slowest is; who has read nothing holds nobody back.
fn joined(own: &Arc<Moment>, others: &[Arc<Moment>]) -> Result<Arc<Moment>, Unmergeable> {
    let all = std::iter::once(own).chain(others);
    let marks = all.filter(|moment| moment.tally().read > 0).map(|moment| moment.watermark());
    let slowest: Option<Time> = marks.min().flatten();
    own.joined(others, slowest).map(Arc::new)
}

impl Reader for Joined {
    fn sources(&self) -> Vec<Arc<Source>> {
        Reader::sources(&*self.lives)
    }

    fn moment(&self, source: usize) -> Result<Arc<Moment>, String> {
        // Nobody waits for a run while holding the lock.
        let own = self.lives.moment(source)?;
        let mut all = self.lock();
        let known = all.entry(own.source().name.clone()).or_default();
        self.look(own.source(), known);
        Ok(known.join(&own))
    }

    fn current(&self, source: usize) -> Option<Arc<Moment>> {
        let own = self.lives.current(source)?;
        let all = match self.known.try_lock() {
            Ok(all) => all,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let known = all.get(&own.source().name)?;
        let fresh = known.next.is_some_and(|next| Instant::now() < next);
        let same = known.source.as_ref().is_some_and(|of| Arc::ptr_eq(of, own.source()));
        match &known.joined {
            _ if !fresh || !same => None,
            None if known.sites.is_empty() => Some(own),
            Some((of, joined)) if Arc::ptr_eq(of, &own) => Some(Arc::clone(joined)),
            _ => None,
        }
    }

    fn origins(&self, source: usize) -> Vec<Counted> {
        let sources = self.sources();
        let Some(source) = sources.get(source) else { return Vec::new() };
        let mut all = self.lock();
        let known = all.entry(source.name.clone()).or_default();
        self.look(source, known);
        known.told()
    }

    fn times(&self, source: usize) -> Vec<(&'static str, Times)> {
        self.lives.times(source)
    }

    fn replies(&self, source: &str) -> Option<Arc<dyn Replies>> {
        self.lives.replies(source)
    }

    fn committed(&self, source: usize) -> Option<(u64, u64)> {
        self.lives.committed(source)
    }

    fn quarantine(&self, source: usize) -> Option<String> {
        self.lives.quarantine(source)
    }
}

//! States of other nodes, wherever this node tells what was measured: they are merged with its own.

use crate::keep::began;
use crate::save::asked;
use crate::work::{Opened, secret};
use crate::{Trouble, say};
use engine::origins::No;
use engine::spec::{Measure, Source};
use engine::state::{Saved, State, StateFile, Unmergeable};
use engine::time::Time;
use plan::{Override, Pipeline, Problems};
use runtime::Finished;
use runtime::checkpoint::{About, Begun, PaneShelf};
use runtime::origins::{OriginLimits, Origins, names, read, read_saved, saved_names};
use sabotage::{Bug, planted};
use sketch::Limits;
use std::cell::RefCell;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is measured here, with the key that values are hashed under, if there is one.
pub struct Ours {
    pub pipeline: Pipeline,
    key: Option<Vec<u8>>,
}

impl Ours {
    /// Understands the text of a pipeline of this node. A secret that it names in a file is looked for beside `path`.
    pub fn new(path: &Path, name: &str, text: &str, overrides: &[Override]) -> Result<Ours, Problems> {
        let key = RefCell::new(None);
        let pipeline = Pipeline::parse_with(name, text, overrides, &|at| {
            secret(at, path, overrides).inspect(|secret| *key.borrow_mut() = Some(secret.clone()))
        })?;
        Ok(Ours { pipeline, key: key.into_inner() })
    }

    /// The pipeline that a state of another node was made by, if the two measure the same. Where it keeps its key is its own
    /// affair: nothing is looked up for it here, and a state under another key is found out by its bytes.
    pub fn same(&self, about: &About) -> Result<Pipeline, String> {
        let overrides: Result<Vec<Override>, _> =
            about.overrides.iter().map(|text| Override::parse(text)).collect();
        let overrides = overrides.map_err(|error| format!("its overrides make no sense: {error}"))?;
        let key =
            || self.key.clone().ok_or_else(|| "is not used here: both nodes need the same `hash_key`".into());
        let theirs = Pipeline::parse_with(&about.name, &about.pipeline, &overrides, &|_| key())
            .map_err(|problems| format!("its pipeline is not understood here:\n{problems}"))?;
        match self.pipeline.differs_from(&theirs) {
            None => Ok(theirs),
            Some(difference) => Err(format!(
                "what it measures is not what is measured here: {difference}; run both nodes with one pipeline file"
            )),
        }
    }

    /// Whether a state that another node offers can be merged with what is measured here.
    fn fits(&self, about: &About) -> Result<(), No> {
        let sources = &self.pipeline.spec.sources;
        let Some(source) = sources.iter().find(|source| source.name == about.source) else {
            let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
            let (name, names) = (&about.source, names.join(", "));
            return Err(No::NoSource(format!("no source is called `{name}` here: there are {names}")));
        };
        if let Some(metric) = source.metrics.iter().find(|m| matches!(m.measure, Measure::Seen { .. })) {
            return Err(No::Another(Unmergeable::Verdict(metric.name.clone()).to_string()));
        }
        self.same(about).map(drop).map_err(No::Another)
    }

    /// Whether a saved state can be merged, in every source that it has. Builds it, and lets it go.
    fn fits_saved(&self, file: &StateFile) -> Result<(), No> {
        if !file.whole {
            return Err(No::Another(format!(
                "it keeps {} alone, and here the whole ladder of panes is kept: save it with `run --state DIR --save FILE`",
                asked(file.question)
            )));
        }
        for saved in &file.sources {
            let about = about_of(file, &saved.source);
            self.fits(&about)?;
            let theirs = self.same(&about).map_err(No::Another)?;
            let source = theirs.spec.sources.iter().find(|source| source.name == saved.source);
            let source = source.ok_or_else(|| No::Bad("its pipeline has no such source".into()))?;
            saved
                .restore(source, &Limits::bytes(SAVED_BYTES_MAX))
                .map_err(|error| No::Bad(format!("the state of source `{}`: {error}", saved.source)))?;
        }
        Ok(())
    }
}

/// What a saved state of a source was made by.
fn about_of(file: &StateFile, source: &str) -> About {
    About {
        source: source.into(),
        name: file.name.clone(),
        pipeline: file.pipeline.clone(),
        overrides: file.overrides.clone(),
        begun: Vec::new(),
    }
}

/// What is measured here, as those know it who take states of other nodes.
#[derive(Clone)]
pub struct Measured(Arc<RwLock<Ours>>);

impl Measured {
    /// Does something with what is measured now.
    pub fn with<T>(&self, work: impl FnOnce(&Ours) -> T) -> T {
        work(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Another pipeline takes the place of the one there was.
    pub fn turn(&self, opened: &Opened<'_>) -> Result<(), Trouble> {
        let ours = ours(opened)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = ours;
        Ok(())
    }
}

fn ours(opened: &Opened<'_>) -> Result<Ours, Trouble> {
    let name = opened.path.display().to_string();
    Ours::new(opened.path, &name, &opened.text, &opened.overrides).map_err(Trouble::settings)
}

/// Where the states of other nodes are kept that this one is sent.
pub fn store(
    opened: &Opened<'_>,
    state: &Path,
) -> Result<(Arc<dyn engine::origins::Origins>, Measured), Trouble> {
    let ours = Arc::new(RwLock::new(ours(opened)?));
    let measured = Measured(ours.clone());
    let saved = ours.clone();
    let fits = move |about: &About| ours.read().unwrap_or_else(PoisonError::into_inner).fits(about);
    let fits_saved =
        move |file: &StateFile| saved.read().unwrap_or_else(PoisonError::into_inner).fits_saved(file);
    let store =
        Origins::open(state, Box::new(fits), OriginLimits::default()).map_err(Trouble::environment)?;
    Ok((Arc::new(store.with_saved(Box::new(fits_saved))), measured))
}

/// Bytes that a saved state may be in memory.
const SAVED_BYTES_MAX: usize = 256 << 20;

/// An origin that was merged.
#[derive(Debug, Clone)]
pub struct Site {
    pub name: String,
    pub version: Version,
    /// When it was written, in microseconds since 1970.
    pub written_us: u64,
    pub disk_bytes: u64,
    pub watermark: Option<Time>,
    /// What has not been measured from the beginning.
    pub begun: Vec<Begun>,
    /// Later ones that are damaged, in sentences.
    pub damaged: Vec<String>,
}

/// What of an origin is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A commit that it has pushed.
    Commit(u64),
    /// A revision of its saved state.
    Revision(u64),
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Version::Commit(number) => write!(f, "commit {number}"),
            Version::Revision(number) => write!(f, "revision {number}"),
        }
    }
}

impl Site {
    /// How long ago it was written, in seconds.
    pub fn age_s(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.saturating_sub(Duration::from_micros(self.written_us)).as_secs()
    }
}

/// Whether other nodes have sent something of a source.
pub fn any_of(state: &Path, source: &str) -> bool {
    !names(state, source).is_empty() || !saved_names(state).is_empty()
}

/// A state with those of other nodes.
pub struct Merged {
    pub state: Option<State>,
    pub sites: Vec<Site>,
    /// Origins that it lacks, and why.
    pub left_out: Vec<String>,
    /// What the panes of origins are read from that are not in memory.
    pub shelves: Vec<Arc<PaneShelf>>,
}

impl Merged {
    /// Merges the states that other nodes have sent with that of a source. It is complete up to where the slowest is.
    pub fn new(own: Option<State>, source: &Source, ours: &Ours, directory: &Path) -> Merged {
        let mut merged = Merged { state: None, sites: Vec::new(), left_out: Vec::new(), shelves: Vec::new() };
        // Who has read nothing holds nobody back.
        let read_any = |state: &State| state.tally().read > 0;
        let mut marks: Vec<Option<Time>> =
            own.iter().filter(|own| read_any(own)).map(State::watermark).collect();
        merged.state = own;
        for (name, read) in sites(directory, source, ours) {
            let took = read.and_then(|(site, state, shelf)| {
                if planted(Bug::OriginAdded)
                    && let Ok((_, again, _)) = self::site(directory, &name, source, ours)
                {
                    let _ = merged.take(source, again);
                }
                let mark = read_any(&state).then(|| state.watermark());
                merged.take(source, state).map_err(|why| why.to_string())?;
                marks.extend(mark);
                merged.sites.push(site);
                merged.shelves.extend(shelf);
                Ok(())
            });
            merged.left_out.extend(took.err().map(|why| format!("origin `{name}`: {why}")));
        }
        if let (Some(state), false) = (&mut merged.state, merged.sites.is_empty()) {
            state.complete_to(marks.into_iter().min().flatten());
        }
        merged
    }

    fn take(&mut self, source: &Source, state: State) -> Result<(), Unmergeable> {
        match &mut self.state {
            None => self.state = Some(state),
            Some(own) => own.absorb(source, state)?,
        }
        Ok(())
    }

    /// Says what is missing or damaged, and what is not there from the beginning.
    pub fn warn(&self) {
        for site in &self.sites {
            for begun in &site.begun {
                say(format_args!("note: origin `{}`: {}", site.name, began(begun)));
            }
            for why in &site.damaged {
                let Site { name, version, .. } = site;
                say(format_args!(
                    "WARNING: origin `{name}`: {why}; its {version} is taken, and its next push mends it"
                ));
            }
        }
        for why in &self.left_out {
            say(format_args!("WARNING: left out, so what follows is not all: {why}"));
        }
    }
}

/// A state with what the panes are read from that it does not hold in memory.
type Read = (Site, State, Option<Arc<PaneShelf>>);

/// Every origin that has sent something of a source, by name, or why it cannot be had.
pub fn sites(directory: &Path, source: &Source, ours: &Ours) -> Vec<(String, Result<Read, String>)> {
    let pushed = names(directory, &source.name);
    let pushed = pushed.into_iter().map(|name| {
        let read = site(directory, &name, source, ours);
        (name, read)
    });
    let saved = saved_names(directory).into_iter().filter_map(|name| {
        let read = saved_site(directory, &name, source, ours).transpose()?;
        Some((name, read))
    });
    pushed.chain(saved).collect()
}

fn site(directory: &Path, name: &str, source: &Source, ours: &Ours) -> Result<Read, String> {
    let copied = read(directory, name, &source.name).map_err(|error| error.to_string())?;
    let restored = copied.ok_or("it is gone")?.restored;
    let theirs = ours.same(&restored.manifest.about)?;
    // Another node says how large it is: no more than it may have sent is built.
    let limits = Limits::bytes(usize::try_from(OriginLimits::default().raw_bytes_max).unwrap_or(usize::MAX));
    let state = restored.state(own_of(&theirs, source)?, &limits)?;
    let shelf = restored.panes.shelf().clone();
    let (manifest, damaged) = (restored.manifest, restored.damaged);
    let site = Site {
        name: name.into(),
        version: Version::Commit(manifest.number),
        written_us: manifest.written_us,
        disk_bytes: manifest.segments.iter().map(|segment| segment.bytes).sum(),
        watermark: state.watermark(),
        begun: manifest.about.begun,
        damaged,
    };
    Ok((site, state, Some(shelf)))
}

/// The same of a saved state; `None` when it has no such source.
fn saved_site(directory: &Path, name: &str, source: &Source, ours: &Ours) -> Result<Option<Read>, String> {
    let sent = read_saved(directory, name)?.ok_or("it is gone")?;
    let Some(saved) = sent.file.sources.iter().find(|saved| saved.source == source.name) else {
        return Ok(None);
    };
    let theirs = ours.same(&about_of(&sent.file, &source.name))?;
    let state = saved
        .restore(own_of(&theirs, source)?, &Limits::bytes(SAVED_BYTES_MAX))
        .map_err(|error| error.to_string())?;
    let site = Site {
        name: name.into(),
        version: Version::Revision(sent.revision),
        written_us: sent.written_us,
        disk_bytes: sent.bytes,
        watermark: state.watermark(),
        begun: Vec::new(),
        damaged: sent.damaged.into_iter().collect(),
    };
    Ok(Some((site, state, None)))
}

fn own_of<'a>(theirs: &'a Pipeline, source: &Source) -> Result<&'a Source, String> {
    let own = theirs.spec.sources.iter().find(|theirs| theirs.name == source.name);
    own.ok_or_else(|| "it has no such source".into())
}

/// Merges what other nodes have sent into what a run has measured, whose state was asked for as bytes; whether all of it
/// was there.
pub fn join<'a>(
    finished: &mut Finished<'a>,
    source: &'a Source,
    opened: &Opened<'_>,
    directory: &Path,
) -> Result<bool, Trouble> {
    let ours = ours(opened)?;
    let own = finished.saved.take().map(|saved| saved.restore(source, &Limits::bytes(usize::MAX)));
    let own = own.transpose().map_err(Trouble::environment)?;
    let merged = Merged::new(own, source, &ours, directory);
    merged.warn();
    if let Some(state) = merged.state {
        let sites = merged.sites.iter().map(|site| site.name.as_str()).collect::<Vec<_>>();
        say(format_args!("source `{}` is reported with origins: {}", source.name, sites.join(", ")));
        finished.tally = state.tally();
        finished.saved = Some(Saved::of(&state, source));
        if let Some(error) = merged.shelves.iter().find_map(|shelf| shelf.lost()) {
            return Err(Trouble::environment(error));
        }
        finished.outlet = state.outlet(source);
    }
    Ok(merged.left_out.is_empty())
}

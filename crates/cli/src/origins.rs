//! States of other nodes, wherever this node tells what was measured: they are merged with its own.

use crate::keep::began;
use crate::work::{Opened, secret};
use crate::{Trouble, say};
use engine::origins::No;
use engine::spec::{Measure, Source};
use engine::state::{Saved, State, Unmergeable};
use engine::time::Time;
use plan::{Override, Pipeline, Problems};
use runtime::Finished;
use runtime::checkpoint::{About, Manifest, PaneShelf};
use runtime::origins::{OriginLimits, Origins, names, read};
use sabotage::{Bug, planted};
use sketch::Limits;
use std::cell::RefCell;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

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
}

/// What is measured here, as those know it who take states of other nodes.
pub struct Measured(Arc<RwLock<Ours>>);

impl Measured {
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
    let fits = move |about: &About| ours.read().unwrap_or_else(PoisonError::into_inner).fits(about);
    let store =
        Origins::open(state, Box::new(fits), OriginLimits::default()).map_err(Trouble::environment)?;
    Ok((Arc::new(store), measured))
}

/// An origin that was merged.
pub struct Site {
    pub name: String,
    pub manifest: Manifest,
    pub watermark: Option<Time>,
    /// Later commits that are damaged, in sentences.
    pub damaged: Vec<String>,
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
        for name in names(directory, &source.name) {
            match site(directory, &name, source, ours) {
                Ok((site, state, shelf)) => {
                    if planted(Bug::OriginAdded)
                        && let Ok((_, again, _)) = self::site(directory, &name, source, ours)
                    {
                        let _ = merged.take(source, again);
                    }
                    let mark = read_any(&state).then(|| state.watermark());
                    match merged.take(source, state) {
                        Ok(()) => {
                            marks.extend(mark);
                            merged.sites.push(site);
                            merged.shelves.push(shelf);
                        }
                        Err(why) => merged.left_out.push(format!("origin `{name}`: {why}")),
                    }
                }
                Err(why) => merged.left_out.push(format!("origin `{name}`: {why}")),
            }
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
            for begun in &site.manifest.about.begun {
                say(format_args!("note: origin `{}`: {}", site.name, began(begun)));
            }
            for why in &site.damaged {
                let (name, commit) = (&site.name, site.manifest.number);
                say(format_args!(
                    "WARNING: origin `{name}`: {why}; its commit {commit} is taken, and its next push mends it"
                ));
            }
        }
        for why in &self.left_out {
            say(format_args!("WARNING: left out, so what follows is not all: {why}"));
        }
    }
}

/// A state with what the panes are read from that it does not hold in memory.
type Read = (Site, State, Arc<PaneShelf>);

fn site(directory: &Path, name: &str, source: &Source, ours: &Ours) -> Result<Read, String> {
    let copied = read(directory, name, &source.name).map_err(|error| error.to_string())?;
    let restored = copied.ok_or("it is gone")?.restored;
    let theirs = ours.same(&restored.manifest.about)?;
    let theirs = theirs
        .spec
        .sources
        .iter()
        .find(|theirs| theirs.name == source.name)
        .ok_or("it has no such source")?;
    // Another node says how large it is: no more than it may have sent is built.
    let limits = Limits::bytes(usize::try_from(OriginLimits::default().raw_bytes_max).unwrap_or(usize::MAX));
    let state = restored.state(theirs, &limits)?;
    let shelf = restored.panes.shelf().clone();
    let (manifest, damaged) = (restored.manifest, restored.damaged);
    Ok((Site { name: name.into(), watermark: state.watermark(), manifest, damaged }, state, shelf))
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

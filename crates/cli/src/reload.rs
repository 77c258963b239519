//! SIGHUP: a run that follows its inputs reads its pipeline file anew, and goes on with it.
//!
//! The file is judged while the old pipeline runs on; what is wrong with it is said, and nothing happens. What is right ends the
//! reading at a commit, as SIGTERM does; the states become those of the new pipeline ([`Kept::turn`]), and reading goes on in the
//! same process, behind the same door.

use crate::http::{Door, Inboxes};
use crate::interrupt;
use crate::keep::Kept;
use crate::run::{Asked, RunArgs, together};
use crate::work::{Opened, Work};
use crate::{Trouble, say};
use engine::spec::Source;
use plan::{Changes, InputKind};
use runtime::{Finished, Lives, RunError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Time between two looks at what signals have raised.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A pipeline file that was read and can run.
pub struct Ready<'a> {
    pub opened: Opened<'a>,
    /// What is kept of each source, by its number.
    pub kept: Vec<(usize, Source)>,
    pub shards: usize,
}

/// What signals have raised, over all pipelines of a run.
pub struct Signals {
    told: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
}

/// What goes on from one pipeline to the next.
pub struct Standing {
    pub states: Vec<Option<Kept>>,
    pub inboxes: Inboxes,
    /// The sources while they are measured, for whoever asks.
    pub lives: Arc<Lives>,
    pub door: Option<Door>,
}

impl Signals {
    /// Listens to Ctrl-C, SIGTERM and SIGHUP from now on.
    ///
    /// # Errors
    /// When the system takes no handlers.
    pub fn new() -> Result<Signals, Trouble> {
        let signals = Signals { told: Arc::default(), reload: Arc::default() };
        interrupt::raise_on_signal(&signals.told)
            .and_then(|()| interrupt::raise_on_hangup(&signals.reload))
            .map_err(|error| Trouble::environment(format!("cannot wait for signals: {error}")))?;
        Ok(signals)
    }

    /// Raises `stop` when the run is told to end, or another pipeline is to take its place; that one is given back. Looks no
    /// further once `done` is raised.
    fn watch<'a>(
        &self,
        asked: &Asked<'a>,
        old: &Opened<'_>,
        stop: &AtomicBool,
        done: &AtomicBool,
    ) -> Option<Ready<'a>> {
        while !done.load(Ordering::Acquire) {
            if self.told.load(Ordering::Acquire) {
                stop.store(true, Ordering::Release);
                return None;
            }
            if self.reload.swap(false, Ordering::AcqRel)
                && let Some(ready) = anew(asked, old)
            {
                stop.store(true, Ordering::Release);
                return Some(ready);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        None
    }
}

/// The pipeline file as it is now, when it is another one and can take the place of this one; else it is said why not.
fn anew<'a>(asked: &Asked<'a>, old: &Opened<'_>) -> Option<Ready<'a>> {
    if asked.args.state().is_none() {
        say(
            "SIGHUP: the pipeline is not read anew, as only a run with --state can go on with another one; it runs on",
        );
        return None;
    }
    let as_it_was =
        |why: &str| say(format_args!("SIGHUP: the pipeline runs on as it was:\n{}", why.trim_end()));
    let ready = match asked.ready() {
        Ok(ready) => ready,
        Err(trouble) => {
            as_it_was(&trouble.text);
            return None;
        }
    };
    if ready.opened.text == old.text {
        say("SIGHUP: the pipeline file has not changed; it runs on");
        return None;
    }
    let changes = Changes::between(&old.pipeline, &ready.opened.pipeline);
    let refused = changes.sources.iter().find_map(|source| Some((&source.source, source.refused.as_ref()?)));
    if let Some((source, why)) = refused {
        as_it_was(&format!("error: its state cannot go on with source `{source}`: {why}"));
        return None;
    }
    if let Some(why) = cannot_begin(old, &ready.opened) {
        as_it_was(&format!("error: {why}"));
        return None;
    }
    Some(ready)
}

/// What only shows when a run begins, and would end this one.
fn cannot_begin(old: &Opened<'_>, new: &Opened<'_>) -> Option<String> {
    let files = |opened: &Opened<'_>| -> Vec<PathBuf> {
        let sinks = (0..opened.pipeline.inputs.len()).flat_map(|index| opened.sinks(index));
        sinks.filter_map(|sink| sink.to.first_file()).collect()
    };
    let before = files(old);
    let is_there =
        |path: &&PathBuf| !before.contains(path) && path.metadata().is_ok_and(|meta| meta.len() > 0);
    if let Some(path) = files(new).iter().find(is_there) {
        return Some(RunError::SinkExists(path.display().to_string()).to_string());
    }
    for input in &new.pipeline.inputs {
        let name = &input.source;
        let stdin = match &input.kind {
            InputKind::File { paths } => paths.iter().any(|path| path == "-"),
            InputKind::Stdin => true,
            InputKind::Http => false,
        };
        if stdin {
            return Some(RunError::NotAgain("-".into()).to_string());
        }
        let there = old.pipeline.inputs.iter().find(|other| other.source == *name);
        if there.is_some_and(|other| (other.kind == InputKind::Http) != (input.kind == InputKind::Http)) {
            return Some(format!(
                "source `{name}` takes its events from elsewhere: end the run, and begin anew with another --state"
            ));
        }
    }
    None
}

/// Follows all sources until the run is told to end, or another pipeline is to take its place.
pub fn follow<'w, 'a>(
    work: &'w [Work<'w>],
    standing: &'w mut [Option<Kept>],
    asked: &Asked<'a>,
    (shards, old): (usize, &Opened<'_>),
    stop: &AtomicBool,
    signals: &Signals,
) -> (Vec<Result<Finished<'w>, RunError>>, Option<Ready<'a>>) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| signals.watch(asked, old, stop, &done));
        let finished = together(work, standing, asked.args, shards, stop);
        done.store(true, Ordering::Release);
        (finished, watch.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

impl Standing {
    /// What a run begins with.
    ///
    /// # Errors
    /// States or inboxes that cannot be opened.
    pub fn new(ready: &Ready<'_>, args: &RunArgs) -> Result<Standing, Trouble> {
        let opened = &ready.opened;
        let open = |(index, _): &(usize, Source)| {
            args.state().map(|path| Kept::open(opened, *index, path, args.migrates())).transpose()
        };
        let states = ready.kept.iter().map(open).collect::<Result<_, Trouble>>()?;
        let inboxes = Inboxes::open(opened, args.state())?;
        Ok(Standing { states, inboxes, lives: Arc::default(), door: None })
    }

    /// The same for the pipeline that takes the place of the one that has ended. Directories and inboxes of sources that are
    /// in both go on; those of others are closed.
    ///
    /// # Errors
    /// States that cannot become those of the new pipeline, inboxes that cannot be opened, an address that is not to be had.
    pub fn turn(self, ready: &Ready<'_>, below: &Path) -> Result<Standing, Trouble> {
        let opened = &ready.opened;
        let mut old: Vec<Kept> = self.states.into_iter().flatten().collect();
        let mut states = Vec::new();
        for (index, source) in &ready.kept {
            let there = old.iter().position(|kept| kept.source() == source.name);
            states.push(Some(match there {
                Some(at) => old.remove(at).turn(opened, *index, below)?,
                None => Kept::open(opened, *index, below, true)?,
            }));
        }
        let inboxes = self.inboxes.turn(opened, Some(below))?;
        let door = inboxes.serve_again(opened, below, self.door, &self.lives)?;
        say(format_args!("SIGHUP: `{}` was read anew, and the run goes on with it", opened.path.display()));
        Ok(Standing { states, inboxes, lives: self.lives, door })
    }
}

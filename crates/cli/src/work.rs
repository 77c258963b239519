//! What `run` and `check` share: a pipeline file with its overrides, and a source made ready to be read.

use crate::note::misfit;
use crate::progress::Progress;
use crate::{Trouble, say};
use engine::compute::Compute;
use engine::spec::Source;
use plan::{About, InputKind, Override, Pipeline, Problems, SecretAt, SinkKind};
use runtime::{
    Annotate, Finished, Follow, Input, Job, Keep, Live, RunError, Sink, SinkTo, Watch, would_match,
};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// A pipeline file that was understood, with what it was made of.
pub struct Opened<'a> {
    /// The file.
    pub path: &'a Path,
    /// Its text.
    pub text: String,
    pub overrides: Vec<Override>,
    pub pipeline: Pipeline,
}

impl<'a> Opened<'a> {
    /// Reads a pipeline file for a verb; `set` are the words behind `--set`.
    pub fn new(verb: &str, path: &'a Path, set: &[String]) -> Result<Opened<'a>, Trouble> {
        let overrides: Result<Vec<Override>, _> = set.iter().map(|text| Override::parse(text)).collect();
        let overrides = overrides.map_err(Trouble::question)?;
        let text = load(verb, path)?;
        let pipeline =
            parse(path, &path.display().to_string(), &text, &overrides).map_err(Trouble::settings)?;
        Ok(Opened { path, text, overrides, pipeline })
    }

    /// The number of shards that was asked for, or else as many as this machine has cores and `memory` can hold; `kept` is
    /// what will be asked, by the number of its source.
    ///
    /// # Errors
    /// When `memory` does not hold what never gives way.
    pub fn shards(&self, asked: Option<u16>, kept: &[(usize, Source)]) -> Result<usize, Trouble> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let fit = |shards: usize, (index, kept): &(usize, Source)| {
            self.pipeline.shards_that_fit(*index, kept, shards).min(shards)
        };
        let shards = asked.map_or_else(|| kept.iter().fold(cores(), fit), usize::from);
        kept.iter()
            .try_for_each(|(index, kept)| self.pipeline.must_fit(*index, kept, shards))
            .map_err(Trouble::settings)?;
        Ok(shards)
    }

    /// The files of a source as they are now.
    pub fn files(&self, index: usize) -> Result<Input, Trouble> {
        let (paths, bases) = self.paths(index);
        runtime::expand(&paths, &bases).map(Input::Files).map_err(|error| self.unreadable(index, error))
    }

    /// The files of a source as they grow, until `stop` is raised.
    pub fn follow(&self, index: usize, stop: &Arc<AtomicBool>) -> Input {
        let (patterns, bases) = self.paths(index);
        let idle = Duration::from_micros(self.pipeline.inputs[index].idle.0.unsigned_abs());
        let name = self.pipeline.inputs[index].source.clone();
        let warn = Arc::new(move |text: String| say(format_args!("WARNING: source `{name}`: {text}")));
        Input::Follow(Follow { watch: Watch { patterns, bases, idle }, stop: stop.clone(), warn })
    }

    /// The paths of a source. A relative one belongs to the file that it stands in: the pipeline file's directory comes
    /// first, for one given with --set the current directory.
    fn paths(&self, index: usize) -> (Vec<String>, Vec<PathBuf>) {
        let input = &self.pipeline.inputs[index];
        let paths = match &input.kind {
            InputKind::File { paths } => paths.clone(),
            InputKind::Stdin => vec!["-".to_string()],
            InputKind::Http => Vec::new(),
        };
        let (here, there) = (PathBuf::new(), self.path.parent().unwrap_or(Path::new("")).to_path_buf());
        let overridden = self.overrides.iter().any(|o| o.covers(&["source", &input.source, "path"]));
        (paths, if overridden { vec![here, there] } else { vec![there, here] })
    }

    /// Source number `index`, ready to be read from here; `kept` is what will be asked of it.
    pub fn work(&self, index: usize, kept: Source, input: Input) -> Work<'_> {
        let source = &self.pipeline.spec.sources[index];
        let quarantine = PathBuf::from(self.pipeline.inputs[index].quarantine.as_deref().unwrap_or_default());
        let program = self.pipeline.programs[index].clone().map(|program| program as Arc<dyn Compute>);
        let memory_bytes = self.pipeline.spec.memory_bytes / self.pipeline.spec.sources.len() as u64;
        let every = Duration::from_micros(self.pipeline.checkpoint.every.0.unsigned_abs());
        Work { source, kept, program, input, quarantine, memory_bytes, sinks: Vec::new(), every, live: None }
    }

    /// What a run writes must not be what it reads: it would feed on itself.
    ///
    /// # Errors
    /// A sink whose file a source would read.
    pub fn no_circle(&self) -> Result<(), Trouble> {
        let sinks = (0..self.pipeline.inputs.len()).flat_map(|index| self.sinks(index));
        for sink in sinks {
            let Some(file) = sink.to.first_file() else { continue };
            for index in 0..self.pipeline.inputs.len() {
                let (patterns, bases) = self.paths(index);
                if let Some(pattern) = patterns.iter().find(|pattern| would_match(pattern, &bases, &file)) {
                    let text = format!(
                        "sink `{}` writes `{}`, which `{pattern}` matches: the source would read what leaves it",
                        sink.name,
                        file.display()
                    );
                    let hint = "let the sink write to another directory, or under another extension";
                    let problem = self.pipeline.problem(index, About::Path, text, Some(hint.into()));
                    return Err(Trouble::settings(problem));
                }
            }
        }
        Ok(())
    }

    /// Where closed panes of source number `index` go.
    pub fn sinks(&self, index: usize) -> Vec<Sink> {
        let sinks = self.pipeline.sinks.iter().filter(|sink| sink.levels[index].iter().any(Option::is_some));
        let made = |sink: &plan::Sink| Sink {
            name: sink.name.clone(),
            to: match &sink.kind {
                SinkKind::File { path, rotate_bytes } => {
                    SinkTo::File { path: PathBuf::from(path), rotate_bytes: *rotate_bytes }
                }
                SinkKind::Stdout => SinkTo::Stdout,
            },
            levels: sink.levels[index].clone(),
        };
        sinks.map(made).collect()
    }

    /// An input that does not fit is a matter of settings; one that cannot be read, of the environment.
    pub fn unreadable(&self, index: usize, error: RunError) -> Trouble {
        let Some(text) = misfit(&self.pipeline, index, &error) else { return Trouble::environment(error) };
        match error {
            RunError::NoFile { .. } | RunError::Directory(_) => Trouble { text, ..Trouble::environment("") },
            _ => Trouble::settings(text),
        }
    }
}

/// A source, ready to be read.
pub struct Work<'a> {
    pub source: &'a Source,
    pub kept: Source,
    pub program: Option<Arc<dyn Compute>>,
    pub input: Input,
    pub quarantine: PathBuf,
    pub memory_bytes: u64,
    pub sinks: Vec<Sink>,
    /// Time between two commits.
    pub every: Duration,
    /// Who may ask it meanwhile.
    pub live: Option<Arc<Live>>,
}

/// How a source is measured.
#[derive(Default)]
pub struct How<'a> {
    /// Parts of the state.
    pub shards: usize,
    /// Threads; as many as shards when there are fewer of those.
    pub workers: usize,
    /// Who is told of every event.
    pub annotate: Option<Annotate<'a>>,
    /// Whether the state is wanted as bytes.
    pub save: bool,
    /// Where it is kept.
    pub keep: Option<Keep<'a>>,
}

impl Work<'_> {
    /// Reads the source to its end.
    pub fn measure<'a>(&'a self, how: How<'a>) -> Result<Finished<'a>, RunError> {
        let How { shards, workers, annotate, save, keep } = how;
        let progress = Progress::start(&self.input);
        let job = Job {
            source: self.source,
            kept: &self.kept,
            program: self.program.clone(),
            annotate,
            input: self.input.clone(),
            quarantine: self.quarantine.clone(),
            shards,
            workers,
            memory_bytes: self.memory_bytes,
            save,
            sinks: self.sinks.clone(),
            every: self.every,
            keep,
            live: self.live.clone(),
        };
        let finished = runtime::run(job, &|status| progress.show(status));
        progress.finish();
        finished
    }
}

/// Bytes of the largest pipeline file that is looked at; `plan` says what is too large.
const PIPELINE_BYTES_MAX: u64 = 2 << 20;

fn load(verb: &str, path: &Path) -> Result<String, Trouble> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(PIPELINE_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(|e| Trouble::environment(format!("cannot read the pipeline file `{name}`: {e}")))?;
    String::from_utf8(bytes).map_err(|_| {
        Trouble::question(format!(
            "`{name}` is not UTF-8 text: the first argument of `{verb}` is the pipeline file"
        ))
    })
}

/// Understands the text of a pipeline that is called `name`. A secret that it names in a file is looked for beside `path`.
pub fn parse(path: &Path, name: &str, text: &str, overrides: &[Override]) -> Result<Pipeline, Problems> {
    Pipeline::parse_with(name, text, overrides, &|at| secret(at, path, overrides))
}

/// Bytes of the longest secret.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// The secret behind `hash_key`. A file is looked for as those of sources are.
pub fn secret(at: &SecretAt, pipeline: &Path, overrides: &[Override]) -> Result<Vec<u8>, String> {
    match at {
        SecretAt::Env(name) => match std::env::var_os(name) {
            Some(value) => Ok(value.into_encoded_bytes()),
            None => Err("is not set".into()),
        },
        SecretAt::File(path) => {
            let overridden = overrides.iter().any(|o| o.covers(&["hash_key", "file"]));
            let there = pipeline.parent().unwrap_or(Path::new("")).join(path);
            let here = PathBuf::from(path);
            let first = if overridden { [here, there] } else { [there, here] };
            let path = first.iter().find(|path| path.exists()).unwrap_or(&first[0]);
            let mut bytes = Vec::new();
            File::open(path)
                .and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes))
                .map_err(|error| format!("cannot be read: {error}"))?;
            if bytes.len() as u64 > SECRET_BYTES_MAX {
                return Err(format!("is longer than a secret may be ({} KiB)", SECRET_BYTES_MAX >> 10));
            }
            Ok(bytes)
        }
    }
}

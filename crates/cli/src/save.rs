//! State files in and out: what `run --save` writes, and what `merge` and `sketch` read back.

use crate::Trouble;
use crate::work::{Opened, secret};
use engine::spec::{Question, Source};
use engine::state::{FileError, Saved, State, StateFile};
use plan::{Override, Pipeline, SecretAt};
use sketch::Limits;
use sketch::hash::SECRET_BYTES_MIN;
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The words of `--limit` on the command line.
pub fn limit(text: &str) -> Result<Limits, String> {
    let bytes = plan::bytes(text)?;
    usize::try_from(bytes)
        .map(Limits::bytes)
        .map_err(|_| format!("`{text}` is more than this machine can address"))
}

/// A file with all of its bytes, no more of them than the limit allows; `-` is standard input.
pub fn read(path: &Path, limits: &Limits) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    let most = limits.bytes_max as u64 + 1;
    let read = if path == Path::new("-") {
        io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    read.map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::NotFound => "; look at the name, or write a state there first: run --save",
            io::ErrorKind::IsADirectory => "; name the files in it",
            _ => "",
        };
        Trouble::environment(format!("cannot read `{}`: {error}{advice}", path.display()))
    })?;
    if bytes.is_empty() {
        return Err(Trouble::environment(format!(
            "`{}` cannot be read: it is empty; leave it out, or write it again",
            path.display()
        )));
    }
    if bytes.len() > limits.bytes_max {
        let limit = limits.bytes_max;
        return Err(Trouble::environment(format!(
            "`{}` holds more than {limit} bytes: raise --limit if that is what it should hold",
            path.display()
        )));
    }
    Ok(bytes)
}

/// What the states that `run` measured look like as a file; whether all was kept, or what was asked alone.
pub fn file(opened: &Opened<'_>, question: Question, whole: bool, sources: Vec<Saved>) -> StateFile {
    let name = opened.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let overrides = opened.overrides.iter().map(|o| o.as_str().to_string()).collect();
    StateFile { name, pipeline: opened.text.clone(), overrides, question, whole, sources }
}

/// A state file that was understood: the pipeline that it holds, and the state of each source.
pub struct Loaded {
    pub path: PathBuf,
    pub file: StateFile,
    pub pipeline: Pipeline,
    /// The sources with what was kept of them, which is what was asked.
    pub kept: Vec<Source>,
    pub states: Vec<State>,
}

impl Loaded {
    /// Understands a state file.
    pub fn new(path: &Path, bytes: &[u8], limits: &Limits) -> Result<Loaded, Trouble> {
        let shown = path.display();
        let wrong = |text: String| Trouble::environment(format!("`{shown}` cannot be read: {text}"));
        let file = StateFile::read(bytes).map_err(|error: FileError| wrong(error.to_string()))?;
        let overrides: Result<Vec<Override>, _> =
            file.overrides.iter().map(|text| Override::parse(text)).collect();
        let overrides = overrides.map_err(|error| wrong(format!("its overrides make no sense: {error}")))?;
        let secret = Secret { path, overrides: &overrides, wanting: RefCell::default() };
        let pipeline = Pipeline::parse_with(&file.name, &file.pipeline, &overrides, &|at| secret.fetch(at));
        let pipeline = pipeline.map_err(|problems| match secret.wanting.take() {
            Some(wanting) => wrong(wanting),
            None => wrong(format!("the pipeline it was made by is not understood here:\n{problems}")),
        })?;
        let names: Vec<&str> = pipeline.spec.sources.iter().map(|source| source.name.as_str()).collect();
        if !file.sources.iter().map(|saved| saved.source.as_str()).eq(names) {
            return Err(wrong("its states are not those of its pipeline's sources".into()));
        }
        let mut left = limits.bytes_max;
        let (mut kept, mut states) = (Vec::new(), Vec::new());
        for (source, saved) in pipeline.spec.sources.iter().zip(&file.sources) {
            let asked = file.question.restrict(source);
            let asked = asked
                .map_err(|metric| wrong(format!("metric `{metric}` has no panes for what was asked")))?;
            let source = if file.whole { source.clone() } else { asked };
            let state = saved
                .restore(&source, &Limits::bytes(left))
                .map_err(|error| wrong(format!("source `{}`: {error}{}", source.name, hint(&error))))?;
            left = left.saturating_sub(state.memory_bytes());
            kept.push(source);
            states.push(state);
        }
        Ok(Loaded { path: path.to_path_buf(), file, pipeline, kept, states })
    }
}

/// The secret that a state was made under. There is only that one: advice for a new pipeline would be wrong here.
struct Secret<'a> {
    path: &'a Path,
    overrides: &'a [Override],
    /// Why it is not at hand.
    wanting: RefCell<Option<String>>,
}

impl Secret<'_> {
    fn fetch(&self, at: &SecretAt) -> Result<Vec<u8>, String> {
        let found =
            secret(at, self.path, self.overrides).and_then(|secret| match secret.trim_ascii_end().len() {
                bytes if bytes < SECRET_BYTES_MIN => {
                    Err(format!("holds {bytes} bytes, and no secret is so short"))
                }
                _ => Ok(secret),
            });
        found.inspect_err(|why| {
            let place = match at {
                SecretAt::Env(_) => "there",
                SecretAt::File(_) => "there; a relative path starts at the state file, or else here",
            };
            *self.wanting.borrow_mut() = Some(format!(
                "it was made under a key, and {at} {why}; the secret of that run is needed, no other one: put it {place}"
            ));
        })
    }
}

/// What a question keeps, in words.
pub fn asked(question: Question) -> String {
    match question {
        Question::Total => "totals over all time".into(),
        Question::Windows { window, every } if window == every => format!("windows of {window}"),
        Question::Windows { window, every } => format!("windows of {window} every {every}"),
        Question::Days { window, every, zone } if window == every => {
            format!("windows of {window}d in {zone}")
        }
        Question::Days { window, every, zone } => format!("windows of {window}d every {every}d in {zone}"),
    }
}

fn hint(error: &engine::RestoreError) -> &'static str {
    use engine::RestoreError::{Bytes, Metric};
    match error {
        Bytes(sketch::DecodeError::TooLarge { .. })
        | Metric { error: sketch::DecodeError::TooLarge { .. }, .. } => {
            "; raise --limit if that is what it should hold"
        }
        _ => "",
    }
}

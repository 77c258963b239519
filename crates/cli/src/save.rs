//! State files in and out: what `run --save` writes, and what `merge` and `sketch` read back.

use crate::work::{Opened, parse};
use crate::{Trouble, say};
use engine::spec::{Question, Source};
use engine::state::{FileError, Saved, State, StateFile};
use plan::{Override, Pipeline};
use sketch::Limits;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The words of `--limit` on the command line.
pub fn limit(text: &str) -> Result<Limits, String> {
    let bytes = plan::bytes(text)?;
    usize::try_from(bytes)
        .map(Limits::bytes)
        .map_err(|_| format!("`{text}` is more than this machine can address"))
}

/// A file with all of its bytes, no more of them than the limit allows.
pub fn read(path: &Path, limits: &Limits) -> Result<Vec<u8>, Trouble> {
    let unreadable =
        |error: io::Error| Trouble::environment(format!("cannot read `{}`: {error}", path.display()));
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limits.bytes_max as u64 + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() > limits.bytes_max {
        let limit = limits.bytes_max;
        return Err(Trouble::environment(format!(
            "`{}` holds more than {limit} bytes: raise --limit if that is what it should hold",
            path.display()
        )));
    }
    Ok(bytes)
}

/// Writes a file in whole or not at all: beside its place first, then over to it. A file that was there and is of the same
/// sort is replaced; another one is left alone.
pub fn write(
    path: &Path,
    bytes: &[u8],
    same_sort: impl Fn(&[u8]) -> bool,
    sort: &str,
) -> Result<(), Trouble> {
    let failed =
        |error: io::Error| Trouble::environment(format!("cannot write `{}`: {error}", path.display()));
    if may_replace(path, same_sort, sort)? {
        say(format_args!("note: `{}` was there and is replaced", path.display()));
    }
    let name = path.file_name().ok_or_else(|| failed(io::Error::other("it is no name of a file")))?;
    let mut beside = name.to_os_string();
    beside.push(format!(".{}.part", std::process::id()));
    let beside = path.with_file_name(beside);
    let put = || -> io::Result<()> {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    put().map_err(|error| {
        // What is left of it is of no use; that it cannot be removed either changes nothing.
        let _ = fs::remove_file(&beside);
        failed(error)
    })
}

/// Whether something is there; an error when it is of another sort.
pub fn may_replace(path: &Path, same_sort: impl Fn(&[u8]) -> bool, sort: &str) -> Result<bool, Trouble> {
    let mut head = Vec::new();
    match File::open(path).and_then(|file| file.take(64).read_to_end(&mut head)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Ok(0) => Ok(true),
        Ok(_) if same_sort(&head) => Ok(true),
        Ok(_) => Err(Trouble::environment(format!(
            "`{}` is there and is no {sort}: it is not replaced. Name another file, or remove it",
            path.display()
        ))),
        Err(error) => Err(Trouble::environment(format!("cannot write `{}`: {error}", path.display()))),
    }
}

/// What the states that `run` measured look like as a file.
pub fn file(opened: &Opened<'_>, question: Question, sources: Vec<Saved>) -> StateFile {
    let name = opened.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let overrides = opened.overrides.iter().map(|o| o.as_str().to_string()).collect();
    StateFile { name, pipeline: opened.text.clone(), overrides, question, sources }
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
        let pipeline = parse(path, &file.name, &file.pipeline, &overrides).map_err(|problems| {
            wrong(format!("the pipeline it was made by is not understood here:\n{problems}"))
        })?;
        let names: Vec<&str> = pipeline.spec.sources.iter().map(|source| source.name.as_str()).collect();
        if !file.sources.iter().map(|saved| saved.source.as_str()).eq(names) {
            return Err(wrong("its states are not those of its pipeline's sources".into()));
        }
        let mut left = limits.bytes_max;
        let (mut kept, mut states) = (Vec::new(), Vec::new());
        for (source, saved) in pipeline.spec.sources.iter().zip(&file.sources) {
            let source = file
                .question
                .restrict(source)
                .map_err(|metric| wrong(format!("metric `{metric}` has no panes for what was asked")))?;
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

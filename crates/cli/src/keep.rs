//! `run --state DIR`: one directory of commits for each source, below the one that was named.

use crate::work::{Opened, parse};
use crate::{Trouble, say};
use plan::size::grouped;
use plan::{Compression, Override};
use runtime::checkpoint::{About, Codec, Restored, StateDirectory};
use runtime::{Finished, Keep};
use sketch::Limits;
use std::path::Path;

/// The kept state of a source.
pub struct Kept {
    directory: StateDirectory,
    restored: Option<Restored>,
    about: About,
}

impl Kept {
    /// Opens the directory of a source and reads what it holds, which must be a state of what the pipeline measures.
    pub fn open(opened: &Opened<'_>, index: usize, below: &Path) -> Result<Kept, Trouble> {
        let checkpoint = opened.pipeline.checkpoint;
        let codec = match checkpoint.compression {
            Compression::Zstd => Codec::Zstd,
            Compression::Gzip => Codec::Gzip,
            Compression::Lz4 => Codec::Lz4,
            Compression::None => Codec::None,
        };
        let source = &opened.pipeline.spec.sources[index].name;
        let mut directory = StateDirectory::open(&below.join(source), codec).map_err(Trouble::environment)?;
        let restored = directory.restore().map_err(Trouble::environment)?;
        if let Some(restored) = &restored {
            same_measures(opened, &restored.manifest.about, directory.path())?;
        }
        let about = About {
            source: source.clone(),
            name: opened.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            pipeline: opened.text.clone(),
            overrides: opened.overrides.iter().map(|o| o.as_str().to_string()).collect(),
        };
        Ok(Kept { directory, restored, about })
    }

    /// Shards of the state that is there.
    pub fn shards(&self) -> Option<usize> {
        self.restored.as_ref().map(|restored| restored.manifest.shards())
    }

    /// For the run.
    pub fn keep(&mut self) -> Keep<'_> {
        Keep {
            directory: &mut self.directory,
            restored: self.restored.take(),
            about: self.about.clone(),
            limits: Limits::bytes(usize::MAX),
        }
    }
}

/// A state goes on only under a pipeline that measures the same.
fn same_measures(opened: &Opened<'_>, about: &About, directory: &Path) -> Result<(), Trouble> {
    let directory = directory.display();
    let overrides: Result<Vec<Override>, _> =
        about.overrides.iter().map(|text| Override::parse(text)).collect();
    let wrong = |why: String| Trouble::environment(format!("the state in `{directory}` cannot go on: {why}"));
    let overrides = overrides.map_err(|error| wrong(format!("its overrides make no sense: {error}")))?;
    let before = parse(opened.path, &about.name, &about.pipeline, &overrides).map_err(|problems| {
        wrong(format!("the pipeline it was made by is not understood here:\n{problems}"))
    })?;
    match opened.pipeline.differs_from(&before) {
        None => Ok(()),
        Some(difference) => Err(Trouble::question(format!(
            "the state in `{directory}` is of another pipeline: {difference}. Go on with the pipeline as it was, or name \
             another directory to begin anew"
        ))),
    }
}

/// What there is to be said about where a run began.
pub fn note(source: &str, finished: &Finished<'_>) {
    if let Some(resumed) = &finished.resumed {
        for why in &resumed.damaged {
            say(format_args!(
                "WARNING: source `{source}`: {why}; it goes on from commit {}, and what was read since is read again",
                resumed.commit
            ));
        }
        say(format_args!(
            "source `{source}` goes on from commit {}: {} records were there, {} are new",
            resumed.commit,
            grouped(resumed.records),
            grouped(finished.tally.read - resumed.records)
        ));
    }
    if finished.commits_put_off > 0 {
        say(format_args!(
            "note: source `{source}`: {} commits were put off, as the one before was still being written",
            grouped(finished.commits_put_off)
        ));
    }
}

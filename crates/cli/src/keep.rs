//! `run --state DIR`: one directory of commits for each source, below the one that was named.

use crate::work::{Opened, parse};
use crate::{Trouble, say};
use engine::spec::Source;
use engine::time::Time;
use plan::size::grouped;
use plan::{Changes, Compression, Fate, Override, Pipeline, SourceChanges};
use runtime::checkpoint::{About, Begun, Codec, Migration, Restored, StateDirectory};
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
    /// Opens the directory of a source and reads what it holds. Where the pipeline has changed since, the state becomes one of
    /// the new pipeline: by itself when all of it stays, with `migrate` also when something begins or goes.
    pub fn open(opened: &Opened<'_>, index: usize, below: &Path, migrate: bool) -> Result<Kept, Trouble> {
        let codec = match opened.pipeline.checkpoint.compression {
            Compression::Zstd => Codec::Zstd,
            Compression::Gzip => Codec::Gzip,
            Compression::Lz4 => Codec::Lz4,
            Compression::None => Codec::None,
        };
        let source = &opened.pipeline.spec.sources[index].name;
        let directory = StateDirectory::open(&below.join(source), codec).map_err(Trouble::environment)?;
        Kept::of(directory, opened, index, below, migrate)
    }

    /// The same under a pipeline that takes the place of the one it ran under; the directory stays locked.
    pub fn turn(self, opened: &Opened<'_>, index: usize, below: &Path) -> Result<Kept, Trouble> {
        Kept::of(self.directory, opened, index, below, true)
    }

    fn of(
        mut directory: StateDirectory,
        opened: &Opened<'_>,
        index: usize,
        below: &Path,
        migrate: bool,
    ) -> Result<Kept, Trouble> {
        let mut restored = directory.restore().map_err(Trouble::environment)?;
        let mut about = About {
            source: opened.pipeline.spec.sources[index].name.clone(),
            name: opened.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            pipeline: opened.text.clone(),
            overrides: opened.overrides.iter().map(|o| o.as_str().to_string()).collect(),
            begun: Vec::new(),
        };
        if let Some(before) = restored.take() {
            let now = adopt(&mut directory, before, opened, index, &about, (below, migrate))?;
            about.begun.clone_from(&now.manifest.about.begun);
            restored = Some(now);
        }
        Ok(Kept { directory, restored, about })
    }

    /// The name of the source.
    pub fn source(&self) -> &str {
        &self.about.source
    }

    /// Shards of the state that is there.
    pub fn shards(&self) -> Option<usize> {
        self.restored.as_ref().map(|restored| restored.manifest.shards())
    }

    /// What has not measured the source from its beginning, in sentences.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        self.about.begun.iter().map(|begun| format!("note: source `{}`: {}", self.about.source, began(begun)))
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

/// What was restored as a state of this pipeline.
fn adopt(
    directory: &mut StateDirectory,
    restored: Restored,
    opened: &Opened<'_>,
    index: usize,
    about: &About,
    (below, migrate): (&Path, bool),
) -> Result<Restored, Trouble> {
    let old = made_by(opened.path, &restored.manifest.about, directory.path())?;
    let at = directory.path().display().to_string();
    let another = |why: String| {
        Trouble::question(format!(
            "the state in `{at}` is of another pipeline: {why}. `streamgauge diff {} {}` tells what would keep its state; add \
             --migrate to go on with that, go on with the pipeline as it was, or name another directory to begin anew",
            below.display(),
            opened.path.display()
        ))
    };
    let to = &opened.pipeline.spec.sources[index];
    let from = old.spec.sources.iter().enumerate().find(|(_, source)| source.name == to.name);
    let all = Changes::between(&old, &opened.pipeline);
    let (Some((before, from)), Some(changes)) = (from, all.of(&to.name)) else {
        return Err(another(format!("it has no source `{}`", to.name)));
    };
    let Some(adoption) = &changes.adoption else { return Ok(restored) };
    if let Some(why) = &changes.refused {
        let text = format!(
            "the state in `{at}` cannot go on with source `{}`: {why}; name another directory",
            to.name
        );
        return Err(Trouble::question(text));
    }
    if let Some(difference) = changes.first().filter(|_| !migrate) {
        return Err(another(difference));
    }
    // Where everything stands as it stood, the state is one of this pipeline.
    let stands = |source: &Source| {
        let Source { fields, steps, time, groups_ttl, metrics, .. } = source.clone();
        (fields, steps, time, groups_ttl, metrics)
    };
    if changes.fate == Fate::Keeps && stands(from) == stands(to) {
        return Ok(restored);
    }
    let memory_bytes = opened.pipeline.spec.memory_bytes / opened.pipeline.spec.sources.len() as u64;
    let migration = Migration {
        from,
        to,
        adoption,
        begins: begins(changes),
        about: about.clone(),
        memory_bytes,
        same_quarantine: old.inputs[before].quarantine == opened.pipeline.inputs[index].quarantine,
        limits: Limits::bytes(usize::MAX),
    };
    let restored = directory.migrate(&restored, migration).map_err(Trouble::environment)?;
    if changes.fate != Fate::Keeps {
        tell(changes);
    }
    Ok(restored)
}

/// The metrics that begin, and the grouping sets of others.
fn begins(changes: &SourceChanges) -> Vec<(String, Option<Vec<String>>)> {
    let mut out = Vec::new();
    for metric in &changes.metrics {
        match metric.fate {
            Fate::Begins => out.push((metric.metric.clone(), None)),
            Fate::Part => {
                out.extend(metric.begins_by.iter().map(|by| (metric.metric.clone(), Some(by.clone()))))
            }
            Fate::Keeps | Fate::Goes => {}
        }
    }
    out
}

/// Says what becomes of the metrics of a source.
fn tell(changes: &SourceChanges) {
    let named = |fates: &[Fate]| {
        let metrics = changes.metrics.iter().filter(|metric| fates.contains(&metric.fate));
        metrics.map(|metric| format!("`{}`", metric.metric)).collect::<Vec<_>>().join(", ")
    };
    let parts = [
        (named(&[Fate::Keeps]), "kept"),
        (named(&[Fate::Part]), "kept in part"),
        (named(&[Fate::Begins]), "begin now"),
        (named(&[Fate::Goes]), "gone"),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(names, _)| !names.is_empty())
        .map(|(n, word)| format!("{word}: {n}"))
        .collect();
    say(format_args!("source `{}` goes on under another pipeline; {}", changes.source, parts.join("; ")));
}

/// The pipeline that a state was made by. A secret that it names in a file is looked for beside `path`.
pub fn made_by(path: &Path, about: &About, directory: &Path) -> Result<Pipeline, Trouble> {
    let wrong = |why: String| {
        Trouble::environment(format!("the state in `{}` cannot be read: {why}", directory.display()))
    };
    let overrides: Result<Vec<Override>, _> =
        about.overrides.iter().map(|text| Override::parse(text)).collect();
    let overrides = overrides.map_err(|error| wrong(format!("its overrides make no sense: {error}")))?;
    parse(path, &about.name, &about.pipeline, &overrides)
        .map_err(|problems| wrong(format!("the pipeline it was made by is not understood here:\n{problems}")))
}

/// Since when a metric is measured, as a sentence.
pub fn began(begun: &Begun) -> String {
    let by = match &begun.by {
        None => String::new(),
        Some(by) if by.is_empty() => " in total".into(),
        Some(by) => format!(" by {}", by.join(", ")),
    };
    let watermark = begun.watermark_us.map_or(String::new(), |us| format!(" (watermark {})", Time(us)));
    format!(
        "`{}`{by} began after {} records{watermark} and holds only what came since",
        begun.metric,
        grouped(begun.records)
    )
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

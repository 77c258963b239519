//! A file of events, asked without a pipeline file.

use super::{Answer, QueryArgs, trouble, wait};
use crate::Trouble;
use crate::note::note;
use crate::work::{How, Opened};
use engine::spec::Question;
use plan::infer::{HEAD_BYTES, Head};
use plan::query::file::translate;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Measures the file, and asks the results.
pub fn ask(args: &QueryArgs, path: &Path, sql: &str) -> Result<Answer, Trouble> {
    let spool = if path == Path::new("-") { Some(Spool::new()?) } else { None };
    let path = spool.as_ref().map_or(path, |spool| &spool.0);
    let Some(name) = path.to_str() else {
        return Err(Trouble::question("the name of the file is not UTF-8 text"));
    };
    let (bytes, whole) = runtime::head(name, HEAD_BYTES).map_err(Trouble::environment)?;
    let mut query = translate(sql, &Head { bytes: &bytes, whole, path: name }).map_err(trouble)?;
    query.pipeline.spec.memory_bytes = args.memory;
    let files = runtime::expand(&[name.to_string()], &[Path::new("")]).map_err(Trouble::environment)?;
    let opened = Opened {
        path: Path::new("query"),
        text: String::new(),
        overrides: Vec::new(),
        pipeline: query.pipeline.clone(),
    };
    let source = opened.pipeline.spec.sources[0].clone();
    let shards = opened.shards(None, &[(0, source.clone())])?;
    let work = opened.work(0, source, runtime::Input::Files(files));
    let finished =
        work.measure(How { shards, workers: shards, ..How::default() }).map_err(Trouble::environment)?;
    note(&opened.pipeline, 0, &finished, &work.quarantine);
    let answers = finished.outlet.answers(Question::Total);
    let (batches, more) = wait(async { query.finish(&answers).await.map_err(trouble) })?;
    let notes = query.notes.into_iter().chain(more).collect();
    Ok(Answer { batches, doubts: Vec::new(), notes })
}

/// Standard input as a file: its head is looked at first, and then all of it is read.
struct Spool(PathBuf);

impl Spool {
    fn new() -> Result<Spool, Trouble> {
        let path = std::env::temp_dir().join(format!("streamgauge-query-{}", std::process::id()));
        let spool = Spool(path);
        let copied =
            File::create_new(&spool.0).and_then(|mut file| io::copy(&mut io::stdin().lock(), &mut file));
        copied.map_err(|error| {
            Trouble::environment(format!("cannot keep standard input in `{}`: {error}", spool.0.display()))
        })?;
        Ok(spool)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

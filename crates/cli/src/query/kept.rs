//! A state directory, to be asked: the last commit of every source, with the states that other nodes have sent.

use super::{Answer, QueryArgs, trouble, wait};
use crate::inspect::{ours_of, sources};
use crate::origins::Merged;
use crate::{Trouble, say};
use engine::moment::{Moment, Reader};
use engine::spec::Source;
use plan::query::{Database, Options, View};
use runtime::checkpoint::StateDirectory;
use sketch::Limits;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What was committed.
struct Kept {
    sources: Vec<Arc<Source>>,
    moments: Vec<Arc<Moment>>,
    quarantines: Vec<Option<String>>,
}

impl Reader for Kept {
    fn sources(&self) -> Vec<Arc<Source>> {
        self.sources.clone()
    }

    fn moment(&self, source: usize) -> Result<Arc<Moment>, String> {
        self.moments.get(source).cloned().ok_or_else(|| "there is no such source".into())
    }

    fn quarantine(&self, source: usize) -> Option<String> {
        self.quarantines.get(source)?.clone()
    }
}

/// Asks the state as it is now.
pub fn ask(args: &QueryArgs, directory: &Path, sql: &str) -> Result<Answer, Trouble> {
    let (kept, views) = read(directory)?;
    let options = Options {
        memory_bytes: usize::try_from(args.memory).unwrap_or(usize::MAX),
        deadline: Duration::from_micros(args.timeout.0.unsigned_abs()),
        rows_max: args.rows,
        views,
    };
    let database = Database::new(Arc::new(kept), options);
    wait(async {
        let mut answered = database.session().map_err(trouble)?.query(sql).await.map_err(trouble)?;
        let mut batches = answered.collect().await.map_err(trouble)?;
        if batches.is_empty() {
            batches.push(arrow_array::RecordBatch::new_empty(Arc::clone(&answered.schema)));
        }
        let doubts = answered.lints().into_iter().map(|lint| (lint.message, lint.instead)).collect();
        Ok(Answer { batches, doubts, notes: Vec::new() })
    })
}

fn read(directory: &Path) -> Result<(Kept, Vec<View>), Trouble> {
    let mut kept = Kept { sources: Vec::new(), moments: Vec::new(), quarantines: Vec::new() };
    let mut views = Vec::new();
    for path in sources(directory)? {
        let restored = StateDirectory::look(&path).map_err(Trouble::environment)?;
        restored
            .iter()
            .flat_map(|restored| &restored.damaged)
            .for_each(|why| say(format_args!("WARNING: {why}")));
        let wrong = |why: String| Trouble::environment(format!("`{}` cannot be read: {why}", path.display()));
        let (ours, name) = ours_of(directory, &path, restored.as_ref())?;
        let index = ours.pipeline.spec.sources.iter().position(|source| source.name == name);
        let index = index.ok_or_else(|| wrong(format!("its pipeline has no source `{name}`")))?;
        let source = Arc::new(ours.pipeline.spec.sources[index].clone());
        let own = restored.as_ref().map(|restored| restored.state(&source, &Limits::bytes(usize::MAX)));
        let merged = Merged::new(own.transpose().map_err(wrong)?, &source, &ours, directory);
        merged.warn();
        let Some(state) = merged.state else {
            return Err(wrong("neither its own state nor one of an origin can be".into()));
        };
        views.clone_from(&ours.pipeline.views);
        kept.quarantines.push(ours.pipeline.inputs[index].quarantine.clone());
        kept.moments.push(Arc::new(state.into_moment(Arc::clone(&source))));
        kept.sources.push(source);
    }
    Ok((kept, views))
}

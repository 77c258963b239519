//! What a run begins with: nothing, or the state that an earlier one has kept.

use crate::RunError;
use crate::checkpoint::Restored;
use crate::job::{Job, Keep, Resumed};
use crate::resume::Plan;
use engine::intake::Intake;
use engine::judge::Judge;
use engine::shard::Shard;
use engine::spec::{Format, Source};
use engine::state::State;
use sketch::{Limits, Reader};

impl Restored {
    /// The state of a source as it was committed, to be asked.
    ///
    /// # Errors
    /// When it is not a state of this source, in words.
    pub fn state(&self, source: &Source, limits: &Limits) -> Result<State, String> {
        let text = |error: engine::RestoreError| error.to_string();
        let intake =
            whole(&self.manifest.intake, |r| Intake::restore(source, r).map_err(|error| error.to_string()))?;
        let judge = whole(&self.judge, |r| Judge::restore(source, None, r, limits).map_err(text))?;
        let shard =
            |bytes: &Vec<u8>| whole(bytes, |r| Shard::restore(source, u64::MAX, r, limits).map_err(text));
        let shards = self.shards.iter().map(shard).collect::<Result<Vec<Shard>, String>>()?;
        Ok(State::new(shards, judge, intake.tally(), intake.watermark()))
    }
}

/// What a run begins with: nothing, or the state that was kept.
pub(crate) struct Start {
    pub plan: Plan,
    pub next_block: u64,
    pub intake: Intake,
    pub judge: Judge,
    pub shards: Vec<Shard>,
    pub seen: Vec<bool>,
    /// Bytes and records of the quarantine.
    pub quarantine: (u64, u64),
    pub resumed: Option<Resumed>,
}

impl Start {
    pub fn new(job: &Job<'_>, shards: usize) -> Result<Start, RunError> {
        let verdict_bytes = Judge::share_of(job.kept, job.memory_bytes);
        let shard_bytes = job.memory_bytes.saturating_sub(verdict_bytes) / shards as u64;
        let rows = job.source.format == Format::Parquet;
        let Some(Keep { restored: Some(restored), directory, limits, .. }) = &job.keep else {
            let plan = match &job.keep {
                Some(_) => Plan::resumed(&job.files, Vec::new(), rows)?,
                None => Plan::fresh(job.files.clone()),
            };
            return Ok(Start {
                plan,
                next_block: 0,
                intake: Intake::new(job.source),
                judge: Judge::new(job.kept, job.program.clone(), verdict_bytes),
                shards: (0..shards).map(|_| Shard::new(job.kept, shard_bytes)).collect(),
                seen: vec![false; job.source.fields.len()],
                quarantine: (0, 0),
                resumed: None,
            });
        };
        let manifest = &restored.manifest;
        let another =
            |why: String| RunError::StateOfAnother { path: directory.path().display().to_string(), why };
        let intake =
            whole(&manifest.intake, |r| Intake::restore(job.source, r).map_err(|error| error.to_string()))
                .map_err(another)?;
        let judge = whole(&restored.judge, |r| {
            Judge::restore(job.kept, job.program.clone(), r, limits).map_err(|error| error.to_string())
        })
        .map_err(another)?;
        let mut kept = Vec::new();
        for bytes in &restored.shards {
            let shard = whole(bytes, |r| {
                Shard::restore(job.kept, shard_bytes, r, limits).map_err(|error| error.to_string())
            });
            kept.push(shard.map_err(another)?);
        }
        if kept.len() != shards {
            // Cells merge: the others begin anew, as parts of the same sums.
            kept = vec![Shard::merged(kept)];
            kept.resize_with(shards, || Shard::new(job.kept, shard_bytes));
        }
        let mut seen = manifest.seen.clone();
        seen.resize(job.source.fields.len(), false);
        Ok(Start {
            plan: Plan::resumed(&job.files, manifest.positions.clone(), rows)?,
            next_block: manifest.next_block,
            resumed: Some(Resumed {
                commit: manifest.number,
                records: intake.tally().read,
                damaged: restored.damaged.clone(),
            }),
            intake,
            judge,
            shards: kept,
            seen,
            quarantine: manifest.quarantine,
        })
    }
}

/// Reads bytes to their end.
fn whole<T>(bytes: &[u8], read: impl FnOnce(&mut Reader<'_>) -> Result<T, String>) -> Result<T, String> {
    let mut r = Reader::new(bytes);
    let out = read(&mut r)?;
    r.finish().map_err(|error| error.to_string())?;
    Ok(out)
}

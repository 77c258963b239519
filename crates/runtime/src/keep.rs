//! What a run begins with: nothing, or the state that an earlier one has kept.

use crate::RunError;
use crate::checkpoint::{PaneShelf, Position, Restored};
use crate::disk::{Disk, Files};
use crate::job::{Follow, Input, Job, Keep, Resumed};
use crate::reader::follow::Follower;
use crate::reader::given::Giver;
use crate::reader::received::Receiver;
use crate::reader::{BlockReader, Feed};
use crate::resume::Plan;
use crate::sink::Sinks;
use engine::idle::IdleGroups;
use engine::intake::Intake;
use engine::judge::Judge;
use engine::shard::Shard;
use engine::spec::{Format, Source};
use engine::state::State;
use sketch::{Limits, Reader};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

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
        let shards = self.shards(source, u64::MAX, limits)?;
        Ok(State::new(shards, judge, intake.tally(), intake.watermark()))
    }

    /// The shards, each of which may then take so many bytes.
    pub(crate) fn shards(
        &self,
        source: &Source,
        budget_bytes: u64,
        limits: &Limits,
    ) -> Result<Vec<Shard>, String> {
        let shard = |(i, bytes): (usize, &Vec<u8>)| {
            let records = self.panes.of(i);
            whole(bytes, |r| {
                let shard = Shard::restore_parts(source, budget_bytes, r, &records, limits);
                // What the disk says comes before what is missing for it.
                shard.map_err(|error| self.panes.shelf().trouble().unwrap_or_else(|| error.to_string()))
            })
        };
        self.shards.iter().enumerate().map(shard).collect()
    }
}

/// What a run begins with: nothing, or the state that was kept.
pub(crate) struct Start {
    pub feed: Feed,
    /// By partition: the file, and how far it was read.
    pub positions: Vec<Position>,
    pub intake: Intake,
    pub judge: Judge,
    pub shards: Vec<Shard>,
    pub seen: Vec<bool>,
    pub sinks: Sinks,
    pub idle: IdleGroups,
    /// Bytes and records of the quarantine.
    pub quarantine: (u64, u64),
    pub resumed: Option<Resumed>,
}

impl Start {
    pub fn new(job: &Job<'_>, shards: usize, progress: Arc<AtomicU64>) -> Result<Start, RunError> {
        let verdict_bytes = Judge::share_of(job.kept, job.memory_bytes);
        let shard_bytes = job.memory_bytes.saturating_sub(verdict_bytes) / shards as u64;
        let Some(Keep { restored: Some(restored), directory, limits, .. }) = &job.keep else {
            let (feed, positions) = feed(job, job.keep.is_some().then(Vec::new), 0, progress)?;
            let disk = disk_of(job);
            let sinks = Sinks::start(disk, job.sinks.clone(), job.keep.is_some(), &[], false)?;
            let mut fresh: Vec<Shard> = (0..shards).map(|_| Shard::new(job.kept, shard_bytes)).collect();
            let shelf = job.keep.as_ref().map(|keep| keep.directory.shelf());
            shelf.into_iter().for_each(|shelf| spill(&mut fresh, shelf));
            fresh.iter_mut().for_each(|shard| sinks.hold(shard));
            return Ok(Start {
                idle: IdleGroups::new(job.kept),
                sinks,
                feed,
                positions,
                intake: Intake::new(job.source),
                judge: Judge::new(job.kept, job.program.clone(), verdict_bytes),
                shards: fresh,
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
        let idle = match &manifest.idle[..] {
            // A commit of a version that had none.
            [] => IdleGroups::new(job.kept),
            bytes => whole(bytes, |r| IdleGroups::restore(job.kept, r).map_err(|error| error.to_string()))
                .map_err(another)?,
        };
        if !restored.damaged.is_empty() {
            directory.set_aside_later(manifest.number)?;
        }
        let sinks = Sinks::start(
            disk_of(job),
            job.sinks.clone(),
            true,
            &manifest.sinks,
            !restored.damaged.is_empty(),
        )?;
        let mut kept = restored.shards(job.kept, shard_bytes, limits).map_err(another)?;
        if kept.len() != shards {
            // Cells merge: the others begin anew, as parts of the same sums.
            kept = vec![Shard::merged(kept)];
            kept.resize_with(shards, || Shard::new(job.kept, shard_bytes));
        }
        spill(&mut kept, directory.shelf());
        kept.iter_mut().for_each(|shard| sinks.hold(shard));
        let mut seen = manifest.seen.clone();
        seen.resize(job.source.fields.len(), false);
        let known = Some(manifest.positions.clone());
        let (feed, positions) = feed(job, known, manifest.next_block, progress)?;
        Ok(Start {
            feed,
            positions,
            resumed: Some(Resumed {
                commit: manifest.number,
                records: intake.tally().read,
                damaged: restored.damaged.clone(),
            }),
            intake,
            judge,
            shards: kept,
            seen,
            sinks,
            idle,
            quarantine: manifest.quarantine,
        })
    }
}

/// From now on what is closed goes to disk when memory is short.
fn spill(shards: &mut [Shard], shelf: &Arc<PaneShelf>) {
    shards.iter_mut().for_each(|shard| shard.spill_to(shelf.clone()));
}

/// What a run writes is on one disk: that of its state.
pub(crate) fn disk_of(job: &Job<'_>) -> Arc<dyn Disk> {
    job.keep.as_ref().map_or_else(Files::shared, |keep| keep.directory.disk().clone())
}

/// Where the input goes on, and how far it was read. `known` is what an earlier run has read, where there is a state.
fn feed(
    job: &Job<'_>,
    known: Option<Vec<Position>>,
    next_block: u64,
    progress: Arc<AtomicU64>,
) -> Result<(Feed, Vec<Position>), RunError> {
    let source = job.source;
    let files = match &job.input {
        Input::Files(files) => files,
        Input::Follow(Follow { watch, stop, warn }) => {
            let positions = known.clone().unwrap_or_default();
            let (watch, stop, warn) = (watch.clone(), stop.clone(), warn.clone());
            let follower = Follower::new(source, watch, known, next_block, progress, stop, warn)?;
            return Ok((Feed::Follow(Box::new(follower)), positions));
        }
        Input::Received(input) => {
            let positions = known.unwrap_or_default();
            let receiver = Receiver::new(source, input, &positions, next_block, progress)?;
            return Ok((Feed::Received(Box::new(receiver)), positions));
        }
        Input::Given(begin) => {
            let positions = known.unwrap_or_default();
            let giver = Giver::new(source, begin, &positions, next_block);
            return Ok((Feed::Given(Box::new(giver)), positions));
        }
    };
    let plan = match known {
        Some(known) => Plan::resumed(files, known, source.format == Format::Parquet)?,
        None => Plan::fresh(files.clone()),
    };
    let mut reader = BlockReader::new(source, plan.files, next_block, progress);
    reader.ended_before(plan.ended);
    Ok((Feed::Files(Box::new(reader)), plan.positions))
}

/// Reads bytes to their end.
pub(crate) fn whole<T>(
    bytes: &[u8],
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, String>,
) -> Result<T, String> {
    let mut r = Reader::new(bytes);
    let out = read(&mut r)?;
    r.finish().map_err(|error| error.to_string())?;
    Ok(out)
}

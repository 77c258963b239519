//! A kept state goes on under another pipeline: one commit, in which everything that measures the same is as it was.
//!
//! The commit holds the text of the new pipeline, so until it is durable the directory holds a state of the old one, and after
//! it one of the new; nothing of the input is read in between.

use super::directory::Cut;
use super::{About, Begun, Restored, StateDirectory};
use crate::RunError;
use crate::keep::whole;
use crate::sink::adopt_journal;
use engine::adopt::Adoption;
use engine::intake::Intake;
use engine::judge::Judge;
use engine::shard::Shard;
use engine::spec::Source;
use sketch::Limits;

/// From one pipeline to another.
#[derive(Debug)]
pub struct Migration<'a> {
    /// The source that the state is of.
    pub from: &'a Source,
    /// The source that it becomes one of.
    pub to: &'a Source,
    /// What goes on.
    pub adoption: &'a Adoption,
    /// What begins with it: metrics, and grouping sets of others.
    pub begins: Vec<(String, Option<Vec<String>>)>,
    /// What it is the state of from now on. Who has begun when is found out.
    pub about: About,
    /// Accounted state allowed, over all shards.
    pub memory_bytes: u64,
    /// Whether the quarantine is where it was.
    pub same_quarantine: bool,
    /// Most bytes that the state may take.
    pub limits: Limits,
}

impl StateDirectory {
    /// Makes of what was restored last a state of the new pipeline, and commits it. How far inputs were read must mean the same to
    /// both.
    ///
    /// # Errors
    /// When it is not a state of the old one, or nothing can be written. The state is as it was then.
    pub fn migrate(&mut self, restored: &Restored, migration: Migration<'_>) -> Result<Restored, RunError> {
        let manifest = &restored.manifest;
        let another = |why: String| RunError::StateOfAnother { path: self.path().display().to_string(), why };
        let Migration { from, to, adoption, .. } = migration;
        let limits = &migration.limits;
        let intake = whole(&manifest.intake, |r| Intake::restore(from, r).map_err(|error| error.to_string()));
        let intake = intake.map_err(another)?;
        let judge =
            whole(&restored.judge, |r| Judge::restore(from, None, r, limits).map_err(|e| e.to_string()));
        let judge = judge.map_err(another)?;
        let mut shards = restored.shards(from, u64::MAX, limits).map_err(another)?;
        shards.iter_mut().for_each(|shard| shard.spill_to(restored.panes.shelf().clone()));
        let (tally, watermark) = (intake.tally(), intake.watermark());
        let verdict_bytes = Judge::share_of(to, migration.memory_bytes);
        let mut judge = judge.adopt(to, adoption, None, verdict_bytes);
        let adopt = |shard: Shard| shard.adopt(from, to, adoption, u64::MAX).freeze();
        let mut cut = Cut {
            next_block: manifest.next_block,
            positions: manifest.positions.clone(),
            seen: seen(&manifest.seen, from, to),
            quarantine: if migration.same_quarantine { manifest.quarantine } else { (0, 0) },
            intake: Vec::new(),
            sinks: adopt_journal(&manifest.sinks, adoption)
                .map_err(|error| RunError::SinkJournal(error.to_string()))?,
            // Which groups are idle is looked at anew: the grouping sets are others.
            idle: Vec::new(),
            deliveries: Vec::new(),
            shards: shards.into_iter().map(adopt).collect(),
            judge: judge.freeze(),
        };
        intake.adopt(to, adoption.clock).snapshot(&mut cut.intake);
        let began = |(metric, by): &(String, Option<Vec<String>>)| Begun {
            metric: metric.clone(),
            by: by.clone(),
            records: tally.read,
            watermark_us: watermark.filter(|_| adoption.clock).map(|time| time.0),
        };
        let mut about = migration.about;
        about.begun =
            manifest.about.begun.iter().filter(|b| stays(b, &migration.begins, to)).cloned().collect();
        about.begun.extend(migration.begins.iter().map(began));
        if !restored.damaged.is_empty() {
            self.set_aside_later(manifest.number)?;
        }
        self.forget_panes();
        self.commit(&about, to, cut)?;
        let again = self.restore()?.ok_or_else(|| RunError::StateDamaged {
            path: self.path().display().to_string(),
            why: "the commit that was just written is gone".into(),
        })?;
        Ok(Restored { damaged: restored.damaged.clone(), ..again })
    }
}

/// Which fields of the new source had values so far.
fn seen(seen: &[bool], from: &Source, to: &Source) -> Vec<bool> {
    let had = |path: &String| {
        let before = from.fields.iter().position(|field| field.path == *path);
        before.and_then(|field| seen.get(field).copied()).unwrap_or(false)
    };
    to.fields.iter().map(|field| had(&field.path)).collect()
}

/// Whether what began earlier is still there, and does not begin once more.
fn stays(begun: &Begun, begins: &[(String, Option<Vec<String>>)], to: &Source) -> bool {
    let Some(metric) = to.metrics.iter().find(|metric| metric.name == begun.metric) else { return false };
    let again = begins.iter().any(|(name, by)| *name == begun.metric && (by.is_none() || *by == begun.by));
    let columns = to.columns();
    let grouped = |by: &Vec<String>| {
        let names =
            |set: &Vec<usize>| set.iter().map(|&column| columns[column].path.clone()).collect::<Vec<_>>();
        metric.by.iter().any(|set| names(set) == *by)
    };
    !again && begun.by.as_ref().is_none_or(grouped)
}

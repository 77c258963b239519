//! What sees blocks one after the other: clocks, verdicts, read positions, what is set aside, what leaves.

use crate::RunError;
use crate::checkpoint::{Cut, Position};
use crate::quarantine::Quarantine;
use crate::reader::{BlockHead, FileHead};
use crate::sink::Sinks;
use engine::batch::{Bad, Batch};
use engine::idle::IdleGroups;
use engine::intake::{Intake, Judged};
use engine::judge::Judge;
use engine::spec::{BadPolicy, Later, Source};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

/// What sees blocks one after the other.
pub struct Desk {
    pub intake: Intake,
    pub judge: Judge,
    pub quarantine: Option<Quarantine>,
    /// By partition: the file, and how far it was read.
    pub positions: Vec<Position>,
    pub first_bad: Option<(String, Bad)>,
    pub seen: Vec<bool>,
    pub head: Vec<u8>,
    /// To whom states go that are to be kept; none where nothing is kept, and after the last one.
    pub cuts: Option<SyncSender<Cut>>,
    /// When the last state was handed on, by the clock of the run.
    pub last_cut: Duration,
    /// Whether anything has changed since.
    pub changed: bool,
    /// How often it has.
    pub changes: u64,
    pub put_off: u64,
    /// Where closed panes go.
    pub sinks: Sinks,
    /// Groups that nothing reaches any more.
    pub idle: IdleGroups,
}

impl Desk {
    /// A partition begins with this file.
    pub fn begin(&mut self, partition: u32, file: &Position) {
        let partition = partition as usize;
        self.positions.resize_with(self.positions.len().max(partition + 1), Position::default);
        self.positions[partition] = file.clone();
    }

    /// Makes the lines of a batch absolute, and notes how far its file was read and which fields have values.
    pub fn enter(&mut self, head: &BlockHead, ended: bool, batch: &mut Batch) {
        let file = &head.file;
        let position = &mut self.positions[file.partition as usize];
        let lines = position.lines;
        batch.bad.iter_mut().map(|b| &mut b.raw).chain(&mut batch.raw).for_each(|raw| raw.line += lines);
        position.lines += batch.lines;
        position.next = head.next_byte;
        position.unended = !ended;
        position.finished = false;
        self.has_changed();
        if self.first_bad.is_none()
            && let Some(bad) = batch.bad.first()
        {
            self.first_bad = Some((file.path.clone(), bad.clone()));
        }
        for (seen, has_value) in self.seen.iter_mut().zip(&batch.has_value) {
            *seen |= has_value;
        }
    }

    /// Notes that a state kept or shown before is no longer the newest.
    pub fn has_changed(&mut self) {
        self.changed = true;
        self.changes += 1;
    }

    pub fn set_bad_aside(&mut self, source: &Source, file: &FileHead, batch: &Batch) -> Result<(), RunError> {
        let Some(quarantine) = &mut self.quarantine else { return Ok(()) };
        if source.bad != BadPolicy::Quarantine {
            return Ok(());
        }
        let columns = if batch.bad.is_empty() { Vec::new() } else { source.columns() };
        for bad in &batch.bad {
            let field = bad.field.map(|f| columns[f].path.as_str());
            quarantine.put(&source.name, &file.path, bad.reason.as_str(), field, &bad.raw)?;
        }
        Ok(())
    }

    pub fn set_late_aside(&mut self, source: &Source, judged: &Judged) -> Result<(), RunError> {
        let Some(quarantine) = &mut self.quarantine else { return Ok(()) };
        if source.time.as_ref().is_none_or(|time| time.later != Later::Quarantine) {
            return Ok(());
        }
        let path = &self.positions[judged.batch.partition as usize].path;
        for &row in &judged.left_out {
            quarantine.put(&source.name, path, "late", None, &judged.batch.raw[row as usize])?;
        }
        Ok(())
    }
}

//! Rollups: closed panes leave the engine, each once; a cell that a late event has changed since leaves again, with a higher
//! revision.
//!
//! Panes are held back until they have left ([`crate::shard::Shard::hold`]), however short they are kept. What has left is
//! part of the state, so that after a restart nothing leaves twice and nothing is left out.

use crate::adopt::Adoption;
use crate::answer::Answer;
use crate::answer::json::By;
use crate::intake::Tally;
use crate::outlet::Outlet;
use crate::restore::count;
use crate::series::{Role, optional_time};
use crate::shard::Shard;
use crate::spec::Source;
use crate::time::{Span, Time};
use crate::verdicts::Verdicts;
use sketch::codec::write_varint;
use sketch::{DecodeError, Reader};
use std::collections::BTreeMap;

/// What has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollups {
    /// By metric: the level whose panes leave; `None` where none do.
    levels: Vec<Option<Span>>,
    /// Panes that end by then have left.
    left_to: Option<Time>,
    /// Panes that were corrected before they left last, by metric and start.
    revised: BTreeMap<(usize, Time), Revised>,
    /// Metrics that began later than the others: panes that began before hold a part only, and never leave.
    begun: BTreeMap<usize, Time>,
}

/// What was corrected in a pane when it left last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Revised {
    /// Over all cells.
    sum: u64,
    /// By group, where it is not 0.
    cells: BTreeMap<String, u64>,
}

/// What surrounds the shards when panes leave.
#[derive(Debug)]
pub struct Around<'a> {
    /// What the shards were made for.
    pub source: &'a Source,
    /// What was read so far.
    pub tally: Tally,
    /// What the judge found so far.
    pub verdicts: Verdicts,
    /// The watermark.
    pub watermark: Option<Time>,
}

impl Rollups {
    /// Nothing has left yet. `levels` name by metric the level whose panes leave.
    pub fn new(levels: Vec<Option<Span>>) -> Rollups {
        Rollups { levels, left_to: None, revised: BTreeMap::new(), begun: BTreeMap::new() }
    }

    /// Panes that end by then have left; `None` while none have.
    pub fn left_to(&self) -> Option<Time> {
        self.left_to
    }

    /// Tells a shard which panes to keep until they have left.
    pub fn hold(&self, shard: &mut Shard) {
        shard.hold(&self.levels, self.left_to.unwrap_or(Time(i64::MIN)));
    }

    /// Gives out what has closed by this time or was corrected since it left, oldest panes first. The shards are all those of
    /// the source, or frozen copies of them, and have been advanced to `boundary`.
    ///
    /// O(panes) where nothing leaves, else also O(groups) and what merging the cells that leave takes.
    pub fn take(
        &mut self,
        mut shards: Vec<Shard>,
        boundary: Time,
        around: Around<'_>,
        out: &mut dyn FnMut(Answer),
    ) {
        let sums = self.revision_sums(&shards);
        let left_to = self.left_to;
        let has_left = |end: Time| left_to.is_some_and(|to| end <= to);
        let (levels, revised, begun) = (&self.levels, &self.revised, &self.begun);
        let wanted = |metric: usize, start: Time| {
            let end = levels[metric].map_or(start, |size| start.plus(size));
            let known = revised.get(&(metric, start)).map_or(0, |revised| revised.sum);
            end <= boundary
                && begun.get(&metric).is_none_or(|begun| start >= *begun)
                && (!has_left(end) || sums.get(&(metric, start)).copied().unwrap_or(0) != known)
        };
        shards.iter_mut().for_each(|shard| shard.narrow(levels, &wanted));
        let mut leaving = Vec::new();
        let outlet =
            Outlet::new(around.source, shards, around.tally, around.watermark).with_verdicts(around.verdicts);
        outlet.each_rollup(levels, &mut |metric, answer, _| leaving.push((metric, answer)));
        leaving.retain(|(metric, answer)| {
            let (Some(start), Some(end)) = (answer.start, answer.end) else { return false };
            let known = revised.get(&(*metric, start)).and_then(|pane| pane.cells.get(&named(answer)));
            !has_left(end) || answer.revision.unwrap_or(0) > known.copied().unwrap_or(0)
        });
        self.note(&leaving, sums);
        self.left_to = self.left_to.max(Some(boundary));
        leaving.sort_by_key(|(_, answer)| answer.start);
        leaving.into_iter().for_each(|(_, answer)| out(answer));
    }

    /// Corrections by metric and pane, where there are any.
    fn revision_sums(&self, shards: &[Shard]) -> BTreeMap<(usize, Time), u64> {
        let mut sums = BTreeMap::new();
        let series = shards.iter().flat_map(|shard| shard.sets()).flat_map(|set| &set.series);
        for series in series.filter(|series| series.role == Role::Measured) {
            let Some(size) = self.levels[series.metric] else { continue };
            for (start, revisions) in series.revised(size) {
                *sums.entry((series.metric, start)).or_insert(0) += revisions.values().sum::<u64>();
            }
        }
        sums
    }

    /// Remembers the revisions that leave; forgets those of panes that are no longer kept.
    fn note(&mut self, leaving: &[(usize, Answer)], sums: BTreeMap<(usize, Time), u64>) {
        self.revised.retain(|pane, _| sums.contains_key(pane));
        for (pane, sum) in sums {
            let closed = self.levels[pane.0].is_some_and(|size| self.left_to >= Some(pane.1.plus(size)));
            let leaves =
                leaving.iter().any(|(metric, answer)| (*metric, answer.start) == (pane.0, Some(pane.1)));
            if closed || leaves {
                self.revised.entry(pane).or_default().sum = sum;
            }
        }
        for (metric, answer) in leaving {
            if let (Some(start), Some(revision @ 1..)) = (answer.start, answer.revision) {
                self.revised.entry((*metric, start)).or_default().cells.insert(named(answer), revision);
            }
        }
    }

    /// What has left, for the metrics of a new source: each goes on as the one whose state it goes on with. Where event time is
    /// another, nothing has left.
    pub fn adopt(&self, adoption: &Adoption) -> Rollups {
        let old = (0..adoption.metrics.len()).map(|metric| adoption.old_metric(metric));
        let levels = old.map(|old| self.levels.get(old?).copied().flatten()).collect();
        let mut adopted =
            Rollups { left_to: self.left_to.filter(|_| adoption.clock), ..Rollups::new(levels) };
        for ((metric, start), revised) in &self.revised {
            if let Some(metric) = adoption.new_metric(*metric) {
                adopted.revised.insert((metric, *start), revised.clone());
            }
        }
        for metric in 0..adoption.metrics.len() {
            let begun = match adoption.old_metric(metric) {
                Some(old) => self.begun.get(&old).copied().filter(|_| adoption.clock),
                None => adopted.left_to,
            };
            adopted.begun.extend(begun.map(|begun| (metric, begun)));
        }
        adopted
    }

    /// Appends what has left.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        write_varint(self.levels.len() as u64, out);
        self.levels
            .iter()
            .for_each(|size| out.extend_from_slice(&size.map_or(0, |size| size.0).to_le_bytes()));
        out.extend_from_slice(&self.left_to.map_or(i64::MIN, |time| time.0).to_le_bytes());
        write_varint(self.revised.len() as u64, out);
        for ((metric, start), revised) in &self.revised {
            write_varint(*metric as u64, out);
            out.extend_from_slice(&start.0.to_le_bytes());
            write_varint(revised.sum, out);
            write_varint(revised.cells.len() as u64, out);
            for (group, revision) in &revised.cells {
                write_varint(group.len() as u64, out);
                out.extend_from_slice(group.as_bytes());
                write_varint(*revision, out);
            }
        }
        write_varint(self.begun.len() as u64, out);
        for (metric, begun) in &self.begun {
            write_varint(*metric as u64, out);
            out.extend_from_slice(&begun.0.to_le_bytes());
        }
    }

    /// Reads what [`Rollups::snapshot`] wrote. Where other levels leave now than did then, those panes that have not closed by
    /// then leave. Survives any bytes.
    ///
    /// # Errors
    /// Bytes that no snapshot has.
    pub fn restore(levels: Vec<Option<Span>>, r: &mut Reader<'_>) -> Result<Rollups, DecodeError> {
        let mut then = Rollups::restore_as_written(r)?;
        let same = |metric: usize| {
            let now = levels.get(metric).copied().flatten();
            now.is_some() && now == then.levels.get(metric).copied().flatten()
        };
        then.revised.retain(|(metric, _), _| same(*metric));
        Ok(Rollups { levels, ..then })
    }

    /// The same, where the levels leave that did then.
    ///
    /// # Errors
    /// As [`Rollups::restore`].
    pub fn restore_as_written(r: &mut Reader<'_>) -> Result<Rollups, DecodeError> {
        let metrics = count(r, size_of::<i64>())?;
        let level = |_| r.i64().map(|size| (size > 0).then_some(Span(size)));
        let levels = (0..metrics).map(level).collect::<Result<Vec<Option<Span>>, _>>()?;
        let mut rollups = Rollups { left_to: optional_time(r)?, ..Rollups::new(levels) };
        for _ in 0..count(r, PANE_BYTES_MIN)? {
            let metric = usize::try_from(r.varint()?).unwrap_or(usize::MAX);
            let start = optional_time(r)?.ok_or(DecodeError::Invalid("start of a pane that has left"))?;
            let mut revised = Revised { sum: r.varint()?, cells: BTreeMap::new() };
            for _ in 0..count(r, 2)? {
                let bytes = count(r, 1)?;
                let group = String::from_utf8(r.bytes(bytes)?.to_vec());
                let group = group.map_err(|_| DecodeError::Invalid("a group that has left"))?;
                revised.cells.insert(group, r.varint()?);
            }
            rollups.revised.insert((metric, start), revised);
        }
        for _ in 0..count(r, 1 + size_of::<i64>())? {
            let metric = usize::try_from(r.varint()?).unwrap_or(usize::MAX);
            let begun = optional_time(r)?.ok_or(DecodeError::Invalid("when a metric began"))?;
            rollups.begun.insert(metric, begun);
        }
        Ok(rollups)
    }
}

/// Metric, start, sum and number of cells.
const PANE_BYTES_MIN: usize = 1 + 8 + 1 + 1;

/// A group among those of a metric, as text.
fn named(answer: &Answer) -> String {
    let by = serde_json::to_string(&By(&answer.by)).unwrap_or_default();
    if answer.other { format!("(other) {by}") } else { by }
}

//! What is left of a source when its input has ended: the merged shard, the filters of verdicts, and the counters.
//!
//! A state can be read out ([`State::outlet`]), kept ([`State::snapshot`], [`StateFile`]) and merged with those of other
//! inputs ([`State::absorb`]): the answers are then those of one run over all of them, exactly so for what is order-free.

mod file;

use crate::intake::Tally;
use crate::judge::Judge;
use crate::moment::Moment;
use crate::outlet::Outlet;
use crate::restore::{RestoreError, WEIGHT_SUM_MAX, read_section, write_section};
use crate::series::{Role, Series, optional_time};
use crate::shard::{Away, GroupingSet, Shard, Spilled};
use crate::spec::{Measure, Source};
use crate::time::Time;
use sketch::{Limits, Reader};
use std::fmt;
use std::sync::Arc;

pub use file::{FileError, MAGIC, Saved, StateFile};

/// Most that is merged: what was in the finest panes alone may come to stand in the total and in each of at most sixteen levels.
pub(crate) const WEIGHT_MERGED_MAX: u64 = WEIGHT_SUM_MAX / 32;

/// The state of one source.
#[derive(Debug)]
pub struct State {
    shard: Shard,
    judge: Judge,
    tally: Tally,
    watermark: Option<Time>,
}

/// What a state holds of a metric under one grouping set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Number of the metric in its source.
    pub metric: usize,
    /// The columns grouped by; none for the total over all events.
    pub by: Vec<usize>,
    /// Groups kept apart; 1 for the total.
    pub groups: usize,
    /// Panes, over all levels; 0 where only the total is kept.
    pub panes: usize,
    /// Cells that are not empty, of the total and of all panes.
    pub cells: usize,
    /// Accounted bytes of the cells that are in memory.
    pub memory_bytes: usize,
    /// Panes that are not in memory.
    pub away_panes: usize,
    /// Accounted bytes that they would take there.
    pub away_bytes: u64,
}

/// Why two states do not become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmergeable {
    /// A verdict says what was seen before in one stream; this metric's would have been others in the common one.
    Verdict(String),
    /// Sessions of this metric have left one of the states, and may go on in the other.
    Sessions(String),
    /// Together they hold more than numbers of 64 bits do.
    TooMuch,
}

impl fmt::Display for Unmergeable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unmergeable::Verdict(metric) => write!(
                f,
                "metric `{metric}` is a `seen`: each input judged \"seen before?\" by itself alone, and so did every metric \
                 that uses it; what the other input had seen cannot be added afterwards. Run over all inputs at once instead"
            ),
            Unmergeable::Sessions(metric) => write!(
                f,
                "metric `{metric}` held more sessions than its `open` allows, so some have been closed that may go on in the other \
                 input, and they lie too close in time to tell. Raise `open` in both runs, or run over all inputs at once"
            ),
            Unmergeable::TooMuch => write!(f, "together they count more than any stream has"),
        }
    }
}

impl std::error::Error for Unmergeable {}

impl State {
    /// Merges the shards of a source, in order. `tally` and `watermark` are its intake's.
    ///
    /// # Panics
    /// Without shards.
    pub fn new(shards: Vec<Shard>, judge: Judge, tally: Tally, watermark: Option<Time>) -> State {
        State { shard: Shard::merged(shards), judge, tally, watermark }
    }

    /// Reads the state out. `source` is what it was made for, also with another confidence.
    pub fn outlet<'a>(self, source: &'a Source) -> Outlet<'a> {
        let verdicts = self.judge.verdicts(source.confidence);
        let sessions = self.judge.into_closed(source, self.tally, self.watermark);
        Outlet::new(source, vec![self.shard], self.tally, self.watermark)
            .with_verdicts(verdicts)
            .with_sessions(sessions)
    }

    /// The state as a moment of its source, to be asked one metric at a time.
    pub fn into_moment(mut self, source: Arc<Source>) -> Moment {
        let sessions = self.judge.still_sessions();
        let verdicts = self.judge.verdicts(source.confidence);
        Moment::of(source, vec![self.shard], self.tally, verdicts, sessions, self.watermark)
    }

    /// What was read and how it was judged.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// No event before this was expected any more.
    pub fn watermark(&self) -> Option<Time> {
        self.watermark
    }

    /// Says up to when the state is complete, where whoever merged it knows better than [`State::absorb`]: of inputs that
    /// all go on, the slowest holds the others back.
    pub fn complete_to(&mut self, watermark: Option<Time>) {
        self.watermark = watermark;
    }

    /// Accounted bytes.
    pub fn memory_bytes(&self) -> usize {
        self.shard.memory_bytes() + self.judge.memory_bytes() as usize
    }

    /// What has left memory so far.
    pub fn spilled(&self) -> Spilled {
        self.shard.spilled()
    }

    /// What is not in memory.
    pub fn away(&self) -> Away {
        self.shard.away()
    }

    /// What there is of each metric, by grouping set, in the order of the shard; filters of verdicts and sessions last.
    pub fn holdings(&self) -> Vec<Holding> {
        let of_set = |set: &GroupingSet| {
            let (by, groups) = (set.groups.fields().to_vec(), set.groups.live().max(1));
            let measured = set.series.iter().filter(|series| series.role == Role::Measured);
            let holding = |series: &Series| Holding {
                metric: series.metric,
                by: by.clone(),
                groups,
                panes: series.panes_held(),
                cells: series.cells().count() + series.away().map(|size| size.cells as usize).sum::<usize>(),
                memory_bytes: series.memory_bytes(),
                away_panes: series.away().count(),
                away_bytes: series.away().map(|size| size.bytes).sum(),
            };
            measured.map(holding).collect::<Vec<_>>()
        };
        let filters = self.judge.filters_held().map(|(metric, memory_bytes)| Holding {
            metric,
            by: Vec::new(),
            groups: 1,
            panes: 0,
            cells: 1,
            memory_bytes,
            away_panes: 0,
            away_bytes: 0,
        });
        let sessions = self.judge.sessions().iter().map(|sessions| {
            let series = || sessions.closed().sets().iter().flat_map(|set| &set.series);
            Holding {
                metric: sessions.metric(),
                by: Vec::new(),
                groups: 1,
                panes: series().map(Series::panes_held).sum(),
                cells: sessions.held() + series().flat_map(Series::cells).count(),
                memory_bytes: sessions.memory_bytes() as usize,
                away_panes: 0,
                away_bytes: 0,
            }
        });
        self.shard.sets().iter().flat_map(of_set).chain(filters).chain(sessions).collect()
    }

    /// Takes in what was measured of another input of the same source. Counters add up; the watermark is the later one, as
    /// in a run over both inputs, where an input that has ended holds nobody back. A refused merge changes nothing.
    ///
    /// # Errors
    /// [`Unmergeable`].
    pub fn absorb(&mut self, source: &Source, other: State) -> Result<(), Unmergeable> {
        let verdict = source.metrics.iter().find(|m| matches!(m.measure, Measure::Seen { .. }));
        if let Some(metric) = verdict {
            return Err(Unmergeable::Verdict(metric.name.clone()));
        }
        if let Some(metric) = self.judge.entangled(&other.judge) {
            return Err(Unmergeable::Sessions(source.metrics[metric].name.clone()));
        }
        let tally = self.tally.plus(&other.tally).ok_or(Unmergeable::TooMuch)?;
        let weight = |state: &State| state.shard.weight().saturating_add(state.judge.weight());
        if weight(self).saturating_add(weight(&other)) > WEIGHT_MERGED_MAX {
            return Err(Unmergeable::TooMuch);
        }
        self.tally = tally;
        self.watermark = self.watermark.max(other.watermark);
        self.shard.absorb(other.shard);
        self.shard.trim();
        self.judge.absorb_sessions(other.judge);
        Ok(())
    }

    /// Appends the whole state. `source` is what it was made for.
    pub fn snapshot(&self, source: &Source, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.watermark.map_or(i64::MIN, |w| w.0).to_le_bytes());
        write_section(out, |out| self.tally.snapshot(out));
        write_section(out, |out| self.shard.snapshot(source, out));
        write_section(out, |out| self.judge.snapshot(out));
    }

    /// Reads what [`State::snapshot`] wrote for this source, and leaves the reader behind it.
    ///
    /// # Errors
    /// Bytes that are no state of this source.
    pub fn restore(source: &Source, r: &mut Reader<'_>, limits: &Limits) -> Result<State, RestoreError> {
        let watermark = optional_time(r)?;
        let mut section = read_section(r)?;
        let tally = Tally::restore(&mut section)?;
        section.finish()?;
        let mut section = read_section(r)?;
        let shard = Shard::restore(source, u64::MAX, &mut section, limits)?;
        section.finish()?;
        let mut section = read_section(r)?;
        let left = limits.bytes_max.saturating_sub(shard.memory_bytes());
        let judge = Judge::restore(source, None, &mut section, &Limits::bytes(left))?;
        section.finish()?;
        Ok(State { shard, judge, tally, watermark })
    }
}

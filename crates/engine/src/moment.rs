//! A source as it was at one moment, to be asked by others while it is measured on.
//!
//! Shards are frozen for it, so it costs little to make one and nothing to hold one but what changes meanwhile. It answers
//! the same for ever. Merging happens when something is asked, and of what is asked alone: the panes of one metric.

use crate::answer::Answer;
use crate::cell::Cell;
use crate::inbox::Replies;
use crate::intake::Tally;
use crate::judge::Judge;
use crate::outlet::{Outlet, Tiles};
use crate::series::Series;
use crate::session::Sessions;
use crate::shard::{Frozen, GivenWay, GroupingSet, Shard};
use crate::spec::{Ask, Measure, Question, Source, Unanswerable};
use crate::state::{Unmergeable, WEIGHT_MERGED_MAX};
use crate::time::{Span, Time};
use crate::times::Times;
use crate::verdicts::Verdicts;
use std::sync::Arc;

/// A source at one moment.
#[derive(Debug)]
pub struct Moment {
    source: Arc<Source>,
    shards: Vec<Shard>,
    tally: Tally,
    verdicts: Verdicts,
    sessions: Vec<Sessions>,
    watermark: Option<Time>,
}

/// Gives out moments of the sources of one pipeline.
pub trait Reader: Send + Sync {
    /// The sources, in the order of the pipeline file. They change when another file takes the place of this one.
    fn sources(&self) -> Vec<Arc<Source>>;

    /// A source as it is now, or was a short while ago: the reader says how old it lets a moment become. Equal pointers
    /// are equal moments.
    ///
    /// # Errors
    /// A sentence that says why there is none, and what to do.
    fn moment(&self, source: usize) -> Result<Arc<Moment>, String>;

    /// What [`Reader::moment`] would give without waiting for anybody; `None` where it would have to.
    fn current(&self, source: usize) -> Option<Arc<Moment>> {
        let _ = source;
        None
    }

    /// Other nodes whose states are in the moments of a source, and those that should be.
    fn origins(&self, source: usize) -> Vec<Counted> {
        let _ = source;
        Vec::new()
    }

    /// How long the operations of a run took so far, by their names; none where nobody has looked at a clock.
    fn times(&self, source: usize) -> Vec<(&'static str, Times)> {
        let _ = source;
        Vec::new()
    }

    /// The newest commit of the state of a source, where it is kept: its number, and when it was written, in microseconds since
    /// 1970.
    fn committed(&self, source: usize) -> Option<(u64, u64)> {
        let _ = source;
        None
    }

    /// What tells of single events of a source while it is measured.
    fn replies(&self, source: &str) -> Option<Arc<dyn Replies>> {
        let _ = source;
        None
    }

    /// Where the records of a source are that were set aside, for people; `None` where they are only counted.
    fn quarantine(&self, source: usize) -> Option<String> {
        let _ = source;
        None
    }
}

/// Another node, as it is counted in the moments of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Its name.
    pub origin: String,
    /// Which of its states: `commit 412`.
    pub version: String,
    /// Up to when that is complete.
    pub complete_to: Option<Time>,
    /// When it was written there, or came here, in microseconds since 1970.
    pub written_us: u64,
    /// Why it is not in the moments, where it is not.
    pub left_out: Option<String>,
}

impl Moment {
    /// The moment of a source whose shards were all brought to the same watermark before they were frozen.
    pub fn new(
        source: Arc<Source>,
        frozen: Vec<Frozen>,
        judge: &mut Judge,
        tally: Tally,
        watermark: Option<Time>,
    ) -> Moment {
        let shards = frozen.into_iter().map(|shard| shard.thaw(&source)).collect();
        let verdicts = judge.verdicts(source.confidence);
        Moment::of(source, shards, tally, verdicts, judge.still_sessions(), watermark)
    }

    /// The moment of machines that stand still.
    pub(crate) fn of(
        source: Arc<Source>,
        shards: Vec<Shard>,
        tally: Tally,
        verdicts: Verdicts,
        sessions: Vec<Sessions>,
        watermark: Option<Time>,
    ) -> Moment {
        Moment { source, shards, tally, verdicts, sessions, watermark }
    }

    /// This moment with what other nodes have measured of the same source. Their parts stand side by side with those of this one, shared,
    /// and become one when something is asked. It is complete up to where whoever joins them says.
    ///
    /// O(panes) for all of them, and what the clocks of some are behind.
    ///
    /// # Errors
    /// As [`State::absorb`](crate::state::State::absorb).
    pub fn joined(&self, others: &[Arc<Moment>], complete_to: Option<Time>) -> Result<Moment, Unmergeable> {
        let seen = self.source.metrics.iter().find(|metric| matches!(metric.measure, Measure::Seen { .. }));
        if let Some(metric) = seen.filter(|_| !others.is_empty()) {
            return Err(Unmergeable::Verdict(metric.name.clone()));
        }
        let all = || std::iter::once(self).chain(others.iter().map(Arc::as_ref));
        let mut tally = self.tally;
        for other in others {
            tally = tally.plus(&other.tally).ok_or(Unmergeable::TooMuch)?;
        }
        if all().map(Moment::weight).fold(0, u64::saturating_add) > WEIGHT_MERGED_MAX {
            return Err(Unmergeable::TooMuch);
        }
        let mut sessions: Vec<Sessions> = self.sessions.iter().map(Sessions::share).collect();
        for other in others {
            for (ours, theirs) in sessions.iter_mut().zip(&other.sessions) {
                if !ours.is_apart(theirs) {
                    let metric = &self.source.metrics[ours.metric()];
                    return Err(Unmergeable::Sessions(metric.name.clone()));
                }
                ours.absorb(theirs.share());
            }
        }
        let whole = |_: &GroupingSet, series: &Series| Some(series.share(true, &|_, _, _| true));
        let mut shards: Vec<Shard> =
            all().flat_map(|moment| &moment.shards).map(|shard| shard.share(&whole)).collect();
        // Panes are laid out for all of them at once, so they must have dropped and rolled up the same.
        if let Some(latest) = shards.iter().filter_map(Shard::watermark).max() {
            shards.iter_mut().for_each(|shard| shard.advance(latest));
        }
        let verdicts = self.verdicts.clone();
        Ok(Moment::of(Arc::clone(&self.source), shards, tally, verdicts, sessions, complete_to))
    }

    /// What merging adds up.
    fn weight(&self) -> u64 {
        let shards = self.shards.iter().map(Shard::weight).fold(0, u64::saturating_add);
        self.sessions.iter().map(Sessions::weight).fold(shards, u64::saturating_add)
    }

    /// What it was measured by.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// What was read and how it was judged.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// No event before this was expected any more.
    pub fn watermark(&self) -> Option<Time> {
        self.watermark
    }

    /// The time of the newest event, as far as the clock has followed: where the newest window ends.
    pub fn newest(&self) -> Option<Time> {
        self.source.newest(self.watermark)
    }

    /// What the verdicts came to.
    pub fn verdicts(&self) -> &Verdicts {
        &self.verdicts
    }

    /// What gave way to memory.
    pub fn given_way(&self) -> GivenWay {
        self.shards.iter().map(Shard::given_way).fold(GivenWay::default(), GivenWay::plus)
    }

    /// Accounted bytes of a metric, by grouping set.
    pub fn memory_bytes(&self, metric: usize) -> u64 {
        let series = self.shards.iter().flat_map(Shard::sets).flat_map(|set| &set.series);
        series.filter(|series| series.metric == metric).map(|series| series.memory_bytes() as u64).sum()
    }

    /// What one metric answers, of the grouping set `by` or of all, with the state that each answer was read from.
    ///
    /// O(panes and groups asked for), times the shards.
    ///
    /// # Errors
    /// When it has no such windows.
    pub fn ask(
        &self,
        metric: usize,
        by: Option<&[usize]>,
        ask: Ask,
        out: &mut dyn FnMut(Answer, &Cell),
    ) -> Result<(), Unanswerable> {
        let shards = self.shards.iter().map(|shard| self.part(shard, metric, by, ask)).collect();
        let closed = self.sessions.iter().filter(|sessions| sessions.metric() == metric);
        let closed =
            closed.map(|sessions| sessions.share().into_closed(&self.source, self.tally, self.watermark));
        Outlet::new(&self.source, shards, self.tally, self.watermark)
            .with_verdicts(self.verdicts.clone())
            .with_sessions(closed.collect())
            .each_asked(metric, by, ask, out)
    }

    /// The counters of the source, as answers of `sg.source`.
    pub fn counters(&self, out: &mut dyn FnMut(Answer)) {
        let empty = self.shards.iter().map(|shard| shard.share(&|_, _| None)).collect();
        let outlet = Outlet::new(&self.source, empty, self.tally, self.watermark);
        outlet.with_verdicts(self.verdicts.clone()).counters(&mut |answer, _| out(answer));
    }

    /// What a question needs of a shard, shared.
    fn part(&self, shard: &Shard, metric: usize, by: Option<&[usize]>, ask: Ask) -> Shard {
        let levels = &self.source.metrics[metric].levels;
        let finest = levels.first().map(|level| level.size);
        let window = finest.and_then(|finest| ask.window(self.source.newest(self.watermark), finest));
        // Of all shards together: one may have dropped panes that another one still has.
        let tiles = |set: &GroupingSet| {
            let same = self.shards.iter().flat_map(Shard::sets);
            let same = same.filter(|other| other.groups.fields() == set.groups.fields());
            let series = same.flat_map(|set| &set.series).filter(|series| series.metric == metric);
            let series: Vec<&Series> = series.collect();
            let kept = |size| series.iter().filter_map(|series| series.first_kept(size)).max();
            let first_kept: Vec<Option<Time>> = levels.iter().map(|level| kept(level.size)).collect();
            window.and_then(|window| Tiles::of(levels, &first_kept, window))
        };
        shard.share(&|set, series| {
            let wanted = series.metric == metric && by.is_none_or(|by| by == set.groups.fields());
            let (none, all) = (|_: Span, _: Time, _: bool| false, |_: Span, _: Time, _: bool| true);
            wanted.then(|| match ask {
                _ if levels.is_empty() => series.share(true, &none),
                Ask::Of(Question::Total) if series.total().is_some() => series.share(true, &none),
                Ask::Of(_) | Ask::Panes => series.share(false, &all),
                Ask::Last(_) | Ask::Between(_) => {
                    let tiles = tiles(set);
                    series.share(false, &move |size, start, merged_up| {
                        tiles.as_ref().is_some_and(|tiles| tiles.holds(size, start, merged_up))
                    })
                }
            })
        })
    }
}

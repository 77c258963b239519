//! The machine of verdicts: it says of every event whether its key was there before.
//!
//! It stands behind the intake and before the shards, and sees batches in the order of the intake, so a verdict never
//! depends on the number of shards or workers. Each `seen` metric is one filter over all events, or over those of the last
//! time ([`recent`]). Its verdict is a column that later steps, filters and groups use; an expression that fails on such
//! a column gives null there, because the event has been accepted already, and is counted.
//!
//! Sessions ([`crate::session`]) need all events of a key as well, so they are kept here, behind the verdicts.

mod adopt;
pub mod recent;

use crate::answer::{self, Reading};
use crate::cell::{NO_TOKEN, hash_column};
use crate::column::Column;
use crate::compute::{Compute, compute, fields_of};
use crate::doubt::{Misjudged, Spread};
use crate::intake::{Judged, Tally};
use crate::outlet::Closed;
use crate::restore::{RestoreError, Room, WEIGHT_SUM_MAX};
use crate::session::intervals::INTERVAL_BYTES;
use crate::session::{FrozenSessions, Sessions};
use crate::spec::{Measure, Source, Step};
use crate::time::{Span, Time};
use crate::verdicts::Verdicts;
use arrow_array::BooleanArray;
use recent::Recent;
use sabotage::{Bug, planted};
use sketch::bloom::{Seen, Size, Verdict};
use sketch::hash::Hashing;
use sketch::{DecodeError, Limits, Outflow, Reader, Token};
use std::fmt;
use std::sync::Arc;

/// The filters and the sessions of a source.
pub struct Judge {
    hashing: Hashing,
    program: Option<Arc<dyn Compute>>,
    /// The steps from the first verdict on, with their numbers.
    steps: Vec<(usize, JudgeStep)>,
    tokens: Vec<Token>,
    failed: u64,
    /// One per `session` metric, in the order of the source.
    sessions: Vec<Sessions>,
}

enum JudgeStep {
    Compute(Vec<crate::spec::Field>),
    Judge(Box<Filter>),
}

/// One `seen` metric.
struct Filter {
    metric: usize,
    column: usize,
    spread: Spread,
    field: usize,
    filter: Option<usize>,
    /// Shared with those that were frozen: copied, once, when it is written while one of them lives.
    keys: Arc<Keys>,
    /// What an event may be ahead of the watermark as shards see it and still move on what is remembered.
    ahead: Option<Span>,
    /// The watermark of the last mark, when `ahead` is limited.
    watermark: Option<Time>,
}

/// The keys that a filter remembers.
#[derive(Clone)]
enum Keys {
    /// All that ever came.
    Forever(Seen),
    /// Those of the last `keep`.
    Recent(Recent),
}

impl Judge {
    /// The filters of a source, all empty. `memory_bytes` is what they may take together; a filter has at least the
    /// size that was asked for.
    pub fn new(source: &Source, program: Option<Arc<dyn Compute>>, memory_bytes: u64) -> Judge {
        let first = source.certain_steps();
        let steps = source.steps.iter().enumerate().skip(first).map(|(number, step)| match step {
            Step::Compute(_) => (number, JudgeStep::Compute(fields_of(source, number).to_vec())),
            Step::Judge { metric } => (number, JudgeStep::Judge(Box::new(Filter::new(source, *metric)))),
        });
        let hashing = source.hashing.clone();
        let (asked, parts) = Judge::asked_of(source);
        let spare = memory_bytes.saturating_sub(asked) / parts.max(1);
        let sessions = sessions_of(source).map(|metric| Sessions::new(source, metric, spare)).collect();
        let steps = steps.collect();
        let mut judge = Judge { hashing, program, steps, tokens: Vec::new(), failed: 0, sessions };
        judge.grow(spare);
        judge
    }

    /// Bytes that the machine may take of a source's `memory_bytes`: filters and sessions as asked for, and of what is left
    /// half when a filter grows, or else an eighth when there are sessions, whose panes take it. One that forgets does not
    /// grow.
    pub fn share_of(source: &Source, memory_bytes: u64) -> u64 {
        let (asked, parts) = Judge::asked_of(source);
        let left = memory_bytes.saturating_sub(asked);
        let sessions = sessions_of(source).count() as u64;
        asked.saturating_add(if parts > sessions {
            left / 2
        } else if sessions > 0 {
            left / 8
        } else {
            0
        })
    }

    /// Bytes that were asked for, and among how many parts what is left is divided: the filters that grow, and the panes of
    /// each metric's sessions.
    pub fn asked_of(source: &Source) -> (u64, u64) {
        let asked = source.metrics.iter().filter_map(|metric| match metric.measure {
            Measure::Seen { keys, rate, keep, .. } => {
                Some((Keys::new(source, keys, rate, keep).filter_bytes(), u64::from(keep.is_none())))
            }
            Measure::Session { open_max, .. } => Some(((open_max as u64).saturating_mul(INTERVAL_BYTES), 1)),
            _ => None,
        });
        asked.fold((0, 0), |(sum, parts), (bytes, part)| (u64::saturating_add(sum, bytes), parts + part))
    }

    /// Adds the verdicts and what depends on them to a batch, and takes its events into the sessions they belong to.
    pub fn apply(&mut self, judged: &mut Judged) {
        for (number, step) in &mut self.steps {
            match step {
                JudgeStep::Judge(filter) => {
                    let verdicts = filter.judge(judged, &self.hashing, &mut self.tokens);
                    judged.batch.columns.push(Column::Bool(verdicts));
                    judged.misjudged.push(filter.misjudged());
                }
                JudgeStep::Compute(fields) => {
                    let program = self.program.as_deref().expect("a source with expressions has a program");
                    let batch = &mut judged.batch;
                    let computed = compute(program, *number, fields, &batch.columns, batch.rows);
                    self.failed += computed.failed.len() as u64;
                    batch.columns.extend(computed.columns);
                }
            }
        }
        for sessions in &mut self.sessions {
            sessions.apply(judged, &self.hashing, &mut self.tokens);
        }
    }

    /// Accounted bytes.
    pub fn memory_bytes(&self) -> u64 {
        let filters = self.filters().map(|filter| filter.keys.memory_bytes() as u64);
        filters.chain(self.sessions.iter().map(Sessions::memory_bytes)).sum()
    }

    /// The sessions of each `session` metric.
    pub fn sessions(&self) -> &[Sessions] {
        &self.sessions
    }

    /// Closes all sessions; `tally` and `watermark` are the intake's.
    pub(crate) fn into_closed(self, source: &Source, tally: Tally, watermark: Option<Time>) -> Vec<Closed> {
        self.sessions.into_iter().map(|sessions| sessions.into_closed(source, tally, watermark)).collect()
    }

    /// The first metric whose sessions cannot become one with those of another input.
    pub(crate) fn entangled(&self, other: &Judge) -> Option<usize> {
        let mut pairs = self.sessions.iter().zip(&other.sessions);
        pairs.find(|(ours, theirs)| !ours.is_apart(theirs)).map(|(ours, _)| ours.metric())
    }

    /// Takes in the sessions of another input, which are not entangled.
    pub(crate) fn absorb_sessions(&mut self, other: Judge) {
        for (ours, theirs) in self.sessions.iter_mut().zip(other.sessions) {
            ours.absorb(theirs);
        }
    }

    /// What merging adds up.
    pub(crate) fn weight(&self) -> u64 {
        self.sessions.iter().map(Sessions::weight).fold(0, u64::saturating_add)
    }

    /// Reads the filters out; `confidence` is that of the bounds.
    pub fn verdicts(&self, confidence: f64) -> Verdicts {
        Verdicts {
            readings: self.filters().map(|f| (f.metric, f.keys.reading(confidence))).collect(),
            misjudged: self.filters().map(Filter::misjudged).collect(),
            failed: self.failed,
            unjudged: self.filters().map(|f| f.keys.unjudged()).fold(0, u64::saturating_add),
            degraded: self.filters().filter(|f| f.keys.degraded()).map(|f| f.metric).collect(),
            memory_bytes: self.memory_bytes(),
        }
    }

    /// The filters and sessions as they are now, for another thread to write. Copies nothing.
    pub fn freeze(&mut self) -> FrozenJudge {
        let keys = self.filters().map(|filter| Arc::clone(&filter.keys)).collect();
        let sessions = self.sessions.iter_mut().map(Sessions::freeze).collect();
        FrozenJudge { failed: self.failed, keys, sessions }
    }

    /// The sessions as they are now, to be asked. Copies nothing.
    pub(crate) fn still_sessions(&mut self) -> Vec<Sessions> {
        self.sessions.iter_mut().map(Sessions::still).collect()
    }

    /// Appends the filters, what failed, and the sessions.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        Outflow::append(out, |out| self.send(out));
    }

    /// The same for a judge that need not stand in memory twice.
    pub(crate) fn send(&self, out: &mut Outflow<'_>) {
        out.bytes().extend_from_slice(&self.failed.to_le_bytes());
        self.filters().for_each(|filter| filter.keys.send(out));
        self.sessions.iter().for_each(|sessions| sessions.send(out));
    }

    /// Reads what [`Judge::snapshot`] wrote for this source, and leaves the reader behind it. The filters may grow as far
    /// as they might before.
    ///
    /// # Errors
    /// Bytes that are no filters of this source; they name the metric where it begins to differ.
    pub fn restore(
        source: &Source,
        program: Option<Arc<dyn Compute>>,
        r: &mut Reader<'_>,
        limits: &Limits,
    ) -> Result<Judge, RestoreError> {
        let mut judge = Judge::new(source, program, 0);
        let mut room = Room::new(limits);
        judge.failed = r.u64()?;
        if judge.failed > if judge.steps.is_empty() { 0 } else { WEIGHT_SUM_MAX } {
            return Err(DecodeError::Invalid("more failures than there can be").into());
        }
        for (_, step) in &mut judge.steps {
            let JudgeStep::Judge(filter) = step else { continue };
            let mut read = || {
                let keys = filter.keys.restore(r, &room.limits())?;
                room.take("filters", keys.memory_bytes() as u64, 1)?;
                Ok(keys)
            };
            let keys = read().map_err(|error| RestoreError::Metric {
                metric: source.metrics[filter.metric].name.clone(),
                error,
            })?;
            if !planted(Bug::SeenNotRestored) {
                filter.keys = Arc::new(keys);
            }
        }
        for sessions in &mut judge.sessions {
            *sessions = Sessions::restore(source, sessions.metric(), r, &room.limits())?;
            room.take("sessions", sessions.memory_bytes(), 1)?;
        }
        Ok(judge)
    }

    /// The metrics with a filter, and its bytes.
    pub(crate) fn filters_held(&self) -> impl Iterator<Item = (usize, usize)> {
        self.filters().map(|filter| (filter.metric, filter.keys.memory_bytes()))
    }

    fn filters(&self) -> impl Iterator<Item = &Filter> {
        self.steps.iter().filter_map(|(_, step)| match step {
            JudgeStep::Judge(filter) => Some(&**filter),
            JudgeStep::Compute(_) => None,
        })
    }

    /// Lets each filter that grows take so much beyond its size.
    fn grow(&mut self, spare: u64) {
        for (_, step) in &mut self.steps {
            if let JudgeStep::Judge(filter) = step
                && let Keys::Forever(seen) = Arc::make_mut(&mut filter.keys)
            {
                let size = seen.size();
                *seen = Seen::new(size, size.filter_bytes() + spare);
            }
        }
    }
}

/// The metrics that are sessions.
fn sessions_of(source: &Source) -> impl Iterator<Item = usize> + '_ {
    let is = |metric: &usize| matches!(source.metrics[*metric].measure, Measure::Session { .. });
    (0..source.metrics.len()).filter(is)
}

/// The filters and sessions of a source as they were, for another thread to write while the judge goes on.
pub struct FrozenJudge {
    failed: u64,
    keys: Vec<Arc<Keys>>,
    sessions: Vec<FrozenSessions>,
}

impl FrozenJudge {
    /// As [`Judge::snapshot`] of the judge when it was frozen.
    pub fn send(&self, out: &mut Outflow<'_>) {
        out.bytes().extend_from_slice(&self.failed.to_le_bytes());
        self.keys.iter().for_each(|keys| keys.send(out));
        self.sessions.iter().for_each(|sessions| sessions.send(out));
    }
}

impl fmt::Debug for FrozenJudge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenJudge").field("filters", &self.keys.len()).finish_non_exhaustive()
    }
}

impl Filter {
    fn new(source: &Source, metric: usize) -> Filter {
        let spec = &source.metrics[metric];
        let Measure::Seen { field, keys, rate, keep } = spec.measure else {
            unreachable!("verdicts come from `seen`");
        };
        let follows = source.last_uncertain(spec).is_some();
        let spread = match spec.filter {
            _ if follows => Spread::Any,
            Some(_) => Spread::Key,
            None => Spread::Once,
        };
        let keys = Arc::new(Keys::new(source, keys, rate, keep));
        // Shards are told of the watermark on a grain that is no longer than a bucket: up to so much behind it.
        let ahead = source.time.as_ref().and_then(|time| {
            let Keys::Recent(recent) = &*keys else { return None };
            Some(Span(time.ahead?.0.saturating_add(time.lateness.0).saturating_add(recent.size().bucket.0)))
        });
        let column = source.column_of_verdict(metric);
        Filter { metric, column, spread, field, filter: spec.filter, keys, ahead, watermark: None }
    }

    fn misjudged(&self) -> Misjudged {
        Misjudged { column: self.column, rate: self.keys.rate_max(), spread: self.spread }
    }

    /// One verdict per row: null where there is no key, or nobody can know. Rows that are left out, and those that the filter of the metric
    /// leaves out, are told but not taken in.
    fn judge(&mut self, judged: &Judged, hashing: &Hashing, tokens: &mut Vec<Token>) -> BooleanArray {
        let batch = &judged.batch;
        hash_column(hashing, &batch.columns[self.field], tokens);
        let wanted = self.filter.map(|column| &batch.columns[column]);
        let mut left_out = judged.left_out.iter().copied().peekable();
        let mut marks = judged.marks.iter().peekable();
        self.watermark = self.watermark.max(judged.before);
        let keys = Arc::make_mut(&mut self.keys);
        let verdict = |(row, token): (usize, &Token)| {
            let left_out = left_out.next_if_eq(&(row as u32)).is_some();
            while let Some(mark) = marks.next_if(|mark| mark.row <= row) {
                self.watermark = self.watermark.max(Some(mark.watermark));
            }
            if *token == NO_TOKEN {
                return None;
            }
            let enters = !left_out && wanted.is_none_or(|column| column.is_true(row));
            match keys {
                Keys::Forever(seen) if enters => Some(seen.check_and_insert(*token) != Verdict::New),
                Keys::Forever(seen) => Some(seen.contains(*token) != Verdict::New),
                Keys::Recent(recent) => {
                    let time = batch.times.get(row).copied().unwrap_or(Time(0));
                    let limit =
                        self.watermark.zip(self.ahead).map(|(watermark, ahead)| watermark.plus(ahead));
                    recent.judge(*token, time, limit.unwrap_or(Time(i64::MAX)), enters)
                }
            }
        };
        tokens.iter().enumerate().map(verdict).collect()
    }
}

impl Keys {
    fn new(source: &Source, keys: u64, rate: f64, keep: Option<Span>) -> Keys {
        const VALIDATED: &str = "sizes were validated with the pipeline file";
        match keep {
            None => Keys::Forever(Seen::new(Size::new(keys, rate).expect(VALIDATED), 0)),
            Some(keep) => Keys::Recent(Recent::new(source.recent_size(keys, rate, keep).expect(VALIDATED))),
        }
    }

    /// Bytes of the filter that was asked for.
    fn filter_bytes(&self) -> u64 {
        match self {
            Keys::Forever(seen) => seen.size().filter_bytes(),
            Keys::Recent(recent) => recent.size().ring.filter_bytes(),
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Keys::Forever(seen) => seen.memory_bytes(),
            Keys::Recent(recent) => recent.memory_bytes(),
        }
    }

    /// The most that a verdict given so far is wrong with.
    fn rate_max(&self) -> f64 {
        match self {
            Keys::Forever(seen) => seen.rate(),
            Keys::Recent(recent) => recent.rate_max(),
        }
    }

    fn degraded(&self) -> bool {
        match self {
            Keys::Forever(seen) => seen.degraded(),
            Keys::Recent(recent) => recent.degraded(),
        }
    }

    fn unjudged(&self) -> u64 {
        match self {
            Keys::Forever(_) => 0,
            Keys::Recent(recent) => recent.unjudged(),
        }
    }

    fn reading(&self, confidence: f64) -> Reading {
        match self {
            Keys::Forever(seen) => answer::seen(seen, confidence),
            Keys::Recent(recent) => answer::seen_recently(recent, confidence),
        }
    }

    fn send(&self, out: &mut Outflow<'_>) {
        match self {
            Keys::Forever(seen) => seen.send(out),
            Keys::Recent(recent) => recent.snapshot(out),
        }
    }

    /// Keys of the same size, out of what [`Keys::send`] wrote.
    fn restore(&self, r: &mut Reader<'_>, limits: &Limits) -> Result<Keys, DecodeError> {
        match self {
            Keys::Forever(ours) => {
                let seen = Seen::restore(r, limits)?;
                if seen.size() != ours.size() {
                    return Err(DecodeError::Invalid("a filter of another size than the metric has"));
                }
                Ok(Keys::Forever(seen))
            }
            Keys::Recent(ours) => Ok(Keys::Recent(Recent::restore(ours.size(), r, limits)?)),
        }
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge")
            .field("filters", &self.filters().count())
            .field("sessions", &self.sessions)
            .finish_non_exhaustive()
    }
}

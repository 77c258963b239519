//! The machine of sessions: stretches of a key's events with no pause longer than `gap`, in event time.
//!
//! Like verdicts, sessions need all events of a key in one place, so the machine stands with [`crate::judge`] behind the
//! intake and before the shards, and their number changes nothing. It holds intervals by key ([`intervals`]) as long as
//! there is room, also those that the watermark has passed by more than `gap`: a file that is read behind another one, or
//! an event that is late, still finds what it belongs to. Where room is needed those that end first leave; then they are
//! events of a source of their own, with a shard of its own, and beyond recall.

mod adopt;
pub mod intervals;

use crate::batch::Batch;
use crate::cell::{NO_TOKEN, hash_column};
use crate::column::Column;
use crate::doubt::Doubts;
use crate::intake::{Judged, Tally};
use crate::outlet::{Closed, Outlet};
use crate::restore::{RestoreError, Room, WEIGHT_SUM_MAX, read_section};
use crate::series::{Series, optional_time};
use crate::shard::{Frozen, GroupingSet, Shard};
use crate::spec::{Field, Format, Kind, Measure, Metric, Source};
use crate::time::{SECOND, Span, TIME_MAX, Time};
use arrow_array::{Float64Array, Int64Array};
use intervals::{Intervals, Session};
use sketch::hash::Hashing;
use sketch::{DecodeError, Limits, Outflow, Reader, Token};
use std::sync::Arc;

/// When room is needed, so many of those that are held leave at once: looking for them is O(held).
const SWEEP: usize = 16;
/// Closed sessions of one batch.
const BATCH_ROWS: usize = 1 << 16;
/// Columns of closed sessions.
const DURATION: usize = 0;
const EVENTS: usize = 1;

/// The sessions of one metric.
#[derive(Debug)]
pub struct Sessions {
    metric: usize,
    field: usize,
    filter: Option<usize>,
    gap: Span,
    open_max: usize,
    /// Closed sessions as a source, with the metrics that are made of them.
    source: Source,
    /// Shared with those that were frozen: copied, once, when it is written while one of them lives.
    held: Arc<Intervals>,
    closed: Shard,
    closed_bytes: u64,
    doubts: Doubts,
    /// No session that has left ends after this.
    sealed: Option<Time>,
    /// The first event of all.
    first: Option<Time>,
    watermark: Option<Time>,
}

impl Sessions {
    /// None yet, for metric number `metric` of a source. `closed_bytes` is what the panes of closed sessions may take.
    ///
    /// # Panics
    /// When the metric is no [`Measure::Session`].
    pub fn new(source: &Source, metric: usize, closed_bytes: u64) -> Sessions {
        let spec = &source.metrics[metric];
        let Measure::Session { field, gap, open_max, .. } = spec.measure else {
            unreachable!("a metric of another measure");
        };
        let closed_source = Sessions::closed_source(source, metric);
        Sessions {
            metric,
            field,
            filter: spec.filter,
            gap,
            open_max,
            held: Arc::new(Intervals::new(gap)),
            closed: Shard::new(&closed_source, closed_bytes),
            closed_bytes,
            source: closed_source,
            doubts: Doubts::default(),
            sealed: None,
            first: None,
            watermark: None,
        }
    }

    /// Closed sessions as events, for metric number `metric`: a source of how long they took and how many events they had,
    /// with their number and the quantiles of both.
    ///
    /// # Panics
    /// When the metric is no [`Measure::Session`].
    pub fn closed_source(source: &Source, metric: usize) -> Source {
        let spec = &source.metrics[metric];
        let Measure::Session { bits, at, .. } = &spec.measure else {
            unreachable!("a metric of another measure");
        };
        let of = |name: String, measure: Measure| Metric { name, measure, filter: None, ..spec.clone() };
        let quantiles = |field: usize| Measure::Quantiles { field, bits: *bits, at: at.clone() };
        Source {
            fields: vec![
                Field { path: "duration_s".into(), kind: Kind::Float64 },
                Field { path: "events".into(), kind: Kind::Int64 },
            ],
            time: source.time.clone(),
            confidence: source.confidence,
            hashing: source.hashing.clone(),
            metrics: vec![
                of(spec.name.clone(), Measure::Count),
                of(format!("{}.duration_s", spec.name), quantiles(DURATION)),
                of(format!("{}.events", spec.name), quantiles(EVENTS)),
            ],
            ..Source::new(spec.name.clone(), Format::Ndjson)
        }
    }

    /// Takes in the events of a batch that were not left out and pass the metric's filter.
    pub fn apply(&mut self, judged: &Judged, hashing: &Hashing, tokens: &mut Vec<Token>) {
        let batch = &judged.batch;
        hash_column(hashing, &batch.columns[self.field], tokens);
        let mut left_out = judged.left_out.iter().copied().peekable();
        let mut marks = judged.marks.iter().peekable();
        self.watermark = self.watermark.max(judged.before);
        for (row, (&token, &time)) in tokens.iter().zip(&batch.times).enumerate() {
            while let Some(mark) = marks.next_if(|mark| mark.row <= row) {
                self.watermark = self.watermark.max(Some(mark.watermark));
            }
            let left_out = left_out.next_if_eq(&(row as u32)).is_some();
            let wanted = self.filter.is_none_or(|column| batch.columns[column].is_true(row));
            if token != NO_TOKEN && !left_out && wanted {
                self.take(token, time);
            }
        }
        let last = marks.next_back().map(|mark| mark.watermark);
        self.watermark = self.watermark.max(last);
    }

    fn take(&mut self, token: Token, time: Time) {
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        // What is in time cannot belong to a session that has left, unless that was cut, which is counted there.
        let late = self.watermark.is_some_and(|watermark| time < watermark);
        if !Arc::make_mut(&mut self.held).take(token, time, self.sealed.filter(|_| late)) {
            self.doubts.late += 1;
        }
        if self.held.len() > self.open_max {
            self.make_room();
        }
    }

    /// Lets those leave that end first: of the settled ones as many as are looked for at once; when there is none, the
    /// same number of those that may go on.
    fn make_room(&mut self) {
        let held = Arc::make_mut(&mut self.held);
        let mut leaving = held.remove_first((self.open_max / SWEEP).max(1));
        let complete_to = complete_to(self.watermark, self.gap);
        let settled = leaving.partition_point(|session| complete_to.is_some_and(|to| session.end < to));
        match settled {
            0 => self.doubts.cut += leaving.len() as u64,
            _ => leaving.drain(settled..).for_each(|session| held.hold(session)),
        }
        self.sealed = self.sealed.max(leaving.last().map(|session| session.end));
        self.close(&leaving);
        if let (Some(sealed), Some(complete)) = (self.sealed, complete_to) {
            self.closed.advance(complete.min(sealed));
        }
    }

    /// Folds sessions in, each into the pane of its last event.
    fn close(&mut self, sessions: &[Session]) {
        for sessions in sessions.chunks(BATCH_ROWS) {
            let seconds = |s: &Session| (s.end.0 - s.start.0) as f64 / SECOND as f64;
            let events = |s: &Session| i64::try_from(s.events).unwrap_or(i64::MAX);
            let batch = Batch {
                rows: sessions.len(),
                times: sessions.iter().map(|session| session.end).collect(),
                columns: vec![
                    Column::Float64(Float64Array::from_iter_values(sessions.iter().map(seconds))),
                    Column::Int64(Int64Array::from_iter_values(sessions.iter().map(events))),
                ],
                ..Batch::empty(0, 0)
            };
            let (marks, left_out, misjudged) = (Vec::new(), Vec::new(), Vec::new());
            self.closed.apply(&Judged { batch, before: None, marks, left_out, misjudged });
        }
    }

    /// Closes all sessions and makes them ready to be asked. `watermark` is the source's, `tally` what its intake counted.
    pub(crate) fn into_closed(mut self, source: &Source, tally: Tally, watermark: Option<Time>) -> Closed {
        self.watermark = self.watermark.max(watermark);
        let complete_to = complete_to(self.watermark, self.gap);
        // Panes that are too old by now must not be made first.
        if let Some(complete_to) = complete_to {
            self.closed.advance(complete_to);
        }
        let held = Arc::make_mut(&mut self.held).remove_first(usize::MAX);
        self.close(&held);
        Closed {
            metric: self.metric,
            outlet: Outlet::of_owned(self.source, self.closed, tally, complete_to),
            doubts: self.doubts,
            uncertain: source.is_uncertain(&source.metrics[self.metric]),
        }
    }

    /// The number of the metric.
    pub fn metric(&self) -> usize {
        self.metric
    }

    /// Sessions that are held, and may still change.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// What closed sessions are kept in.
    pub(crate) fn closed(&self) -> &Shard {
        &self.closed
    }

    /// What the sessions may be wrong by.
    pub fn doubts(&self) -> Doubts {
        self.doubts
    }

    /// Accounted bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.held.memory_bytes() + self.closed.memory_bytes() as u64
    }

    /// What merging adds up.
    pub(crate) fn weight(&self) -> u64 {
        let held = self.held.iter().fold(0, |sum: u64, session| sum.saturating_add(session.events));
        [self.closed.weight(), self.doubts.late, self.doubts.cut].into_iter().fold(held, u64::saturating_add)
    }

    /// Whether the sessions of another input can be taken in: none that has left may go on there.
    pub(crate) fn is_apart(&self, other: &Sessions) -> bool {
        let clear = |ours: &Sessions, theirs: &Sessions| {
            let (Some(sealed), Some(first)) = (ours.sealed, ours.first) else { return true };
            let Some(begin) = theirs.first else { return true };
            let end = theirs.held.last().max(theirs.sealed).unwrap_or(begin);
            begin > sealed.plus(ours.gap) || end.plus(ours.gap) < first
        };
        clear(self, other) && clear(other, self)
    }

    /// Takes in the sessions of another input, which is apart from this one or has let none leave.
    pub(crate) fn absorb(&mut self, other: Sessions) {
        debug_assert!(self.is_apart(&other));
        Arc::make_mut(&mut self.held).absorb(&other.held);
        self.closed.absorb(other.closed);
        self.doubts.late += other.doubts.late;
        self.doubts.cut += other.doubts.cut;
        self.sealed = self.sealed.max(other.sealed);
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.watermark = self.watermark.max(other.watermark);
        while self.held.len() > self.open_max {
            self.make_room();
        }
    }

    /// The sessions as they are now, for another thread to write. Copies nothing.
    pub(crate) fn freeze(&mut self) -> FrozenSessions {
        FrozenSessions {
            head: self.head(),
            held: Arc::clone(&self.held),
            closed: self.closed.freeze(),
            source: self.source.clone(),
        }
    }

    /// The sessions as they are now, to be asked. Copies nothing.
    pub(crate) fn still(&mut self) -> Sessions {
        let closed = self.closed.freeze().thaw(&self.source);
        self.with(closed)
    }

    /// The same for a reader more.
    pub(crate) fn share(&self) -> Sessions {
        let all = |_: &GroupingSet, series: &Series| Some(series.share(true, &|_, _, _| true));
        self.with(self.closed.share(&all))
    }

    fn with(&self, closed: Shard) -> Sessions {
        let (source, held) = (self.source.clone(), Arc::clone(&self.held));
        Sessions { source, held, closed, ..*self }
    }

    /// Appends everything.
    pub(crate) fn send(&self, out: &mut Outflow<'_>) {
        out.bytes().extend_from_slice(&self.head());
        out.section(|out| self.held.send(out));
        out.section(|out| self.closed.send(&self.source, out));
    }

    fn head(&self) -> Vec<u8> {
        let numbers = [self.closed_bytes, self.doubts.late, self.doubts.cut].map(u64::to_le_bytes);
        let times = [self.sealed, self.first, self.watermark];
        let times = times.map(|time| time.map_or(i64::MIN, |time| time.0).to_le_bytes());
        numbers.into_iter().chain(times).flatten().collect()
    }

    /// Reads what [`Sessions::send`] wrote for this metric, and leaves the reader behind it. The panes may grow as far as
    /// they might before.
    ///
    /// # Errors
    /// Bytes that are no sessions of this metric.
    pub fn restore(
        source: &Source,
        metric: usize,
        r: &mut Reader<'_>,
        limits: &Limits,
    ) -> Result<Sessions, RestoreError> {
        let spec = &source.metrics[metric];
        let named = |error: DecodeError| RestoreError::Metric { metric: spec.name.clone(), error };
        let mut sessions = Sessions::new(source, metric, r.u64().map_err(named)?);
        let mut room = Room::new(limits);
        sessions.read_held(r, &mut room).map_err(named)?;
        let mut section = read_section(r).map_err(named)?;
        let left = room.limits();
        sessions.closed = Shard::restore(&sessions.source, sessions.closed_bytes, &mut section, &left)?;
        section.finish().map_err(named)?;
        Ok(sessions)
    }

    fn read_held(&mut self, r: &mut Reader<'_>, room: &mut Room) -> Result<(), DecodeError> {
        let [late, cut] = [r.u64()?, r.u64()?];
        if late > WEIGHT_SUM_MAX || cut > WEIGHT_SUM_MAX {
            return Err(DecodeError::Invalid("more doubts than there are events"));
        }
        self.doubts = Doubts { late, cut };
        [self.sealed, self.first, self.watermark] = [optional_time(r)?, optional_time(r)?, optional_time(r)?];
        let mut section = read_section(r)?;
        self.held = Arc::new(Intervals::restore(self.gap, self.open_max, &mut section, room)?);
        section.finish()?;
        let begin = self.held.iter().map(|session| session.start).min();
        if begin.is_some_and(|begin| self.first.is_none_or(|first| begin < first)) {
            return Err(DecodeError::Invalid("a session before the first event"));
        }
        Ok(())
    }
}

/// No session that ends before this is expected to change any more.
fn complete_to(watermark: Option<Time>, gap: Span) -> Option<Time> {
    watermark.map(|watermark| watermark.minus(gap).max(Time(-TIME_MAX)))
}

/// Sessions as they were, for another thread to write while the machine goes on.
#[derive(Debug)]
pub(crate) struct FrozenSessions {
    head: Vec<u8>,
    held: Arc<Intervals>,
    closed: Frozen,
    source: Source,
}

impl FrozenSessions {
    /// As [`Sessions::send`] of the sessions when they were frozen.
    pub(crate) fn send(&self, out: &mut Outflow<'_>) {
        out.bytes().extend_from_slice(&self.head);
        out.section(|out| self.held.send(out));
        out.section(|out| self.closed.send(&self.source, out));
    }
}

//! The first machine: the clock of a source. It judges every event late, ahead or on time, row by row.
//!
//! Sequential and cheap: it looks at event times only. Each partition has a clock F, the largest time it believes;
//! its watermark is F − lateness; the source's watermark is the smallest over the live partitions and never goes back.
//! A record further ahead than `ahead` does not move the clock until `agree` records in a row say the same: a gap, not
//! a poison. Results never depend on how the input was cut into blocks.

mod adopt;
mod bytes;

use crate::batch::{Batch, Reason};
use crate::doubt::Misjudged;
use crate::restore::WEIGHT_SUM_MAX;
use crate::spec::{Later, Level, Source, TimeFrom, TimeSpec};
use crate::time::{Span, TIME_MAX, Time};
use sabotage::{Bug, planted};
use sketch::{DecodeError, Reader};
use std::collections::{BTreeMap, VecDeque};

/// Rows held back before the first agreement; then their median sets the clock.
pub const HELD_ROWS_MAX: usize = 65_536;

/// The clock of a source, over all its partitions.
#[derive(Debug)]
pub struct Intake {
    time: Option<TimeSpec>,
    /// Coarsest retained level of each ladder: what an event must not be older than to enter a pane.
    reach: Vec<Level>,
    /// The grain of event time at which shards act: panes begin, end and are dropped at multiples of it.
    grain: Option<Span>,
    partitions: BTreeMap<u32, Partition>,
    watermark: Option<Time>,
    /// Records of the whole source before the next batch.
    records: u64,
    tally: Tally,
}

/// A batch with the verdicts that the next machine needs.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The events.
    pub batch: Batch,
    /// Watermark before the first row, on the grain of the panes.
    pub before: Option<Time>,
    /// Where the watermark crosses a pane boundary, ascending by row.
    pub marks: Vec<Mark>,
    /// Rows that are not folded (late, and dropped or quarantined), ascending.
    pub left_out: Vec<u32>,
    /// How each verdict may be wrong after this batch, in the order of their columns; filled by
    /// [`crate::judge::Judge::apply`].
    pub misjudged: Vec<Misjudged>,
}

impl Judged {
    fn new(batch: Batch, before: Option<Time>) -> Judged {
        Judged { batch, before, marks: Vec::new(), left_out: Vec::new(), misjudged: Vec::new() }
    }
}

/// From this row on the watermark is at least this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// First row that sees it.
    pub row: usize,
    /// The watermark, on the grain of the panes.
    pub watermark: Time,
}

/// What was read and how it was judged. `read = on_time + ahead + late + bad + exploded_empty`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records read, good and bad.
    pub read: u64,
    /// Events at or behind the clock's reach and not behind the watermark.
    pub on_time: u64,
    /// Events beyond the clock by more than `ahead`: folded, but the clock did not follow.
    pub ahead: u64,
    /// Events behind the watermark, whatever was done with them.
    pub late: u64,
    /// Events older than every retained pane: only in the total. They are late as well, unless their own partition's
    /// clock is far behind the others'.
    pub too_late: u64,
    /// Late events left out because `later = "drop"`. Part of `late`.
    pub late_dropped: u64,
    /// Late events set aside because `later = "quarantine"`. Part of `late`.
    pub late_quarantined: u64,
    /// Records of which an explosion left no event. They are neither events nor bad.
    pub exploded_empty: u64,
    /// The furthest that an event stood behind its partition's clock, in microseconds: with a `lateness` of this nothing
    /// would have been late.
    pub behind_max_us: u64,
    /// Bad records by [`Reason::ALL`].
    pub bad: [u64; Reason::ALL.len()],
}

impl Tally {
    /// All bad records.
    pub fn bad_total(&self) -> u64 {
        self.bad.iter().sum()
    }

    /// Both together; `None` when a number gets too large.
    pub fn plus(&self, other: &Tally) -> Option<Tally> {
        let (mut ours, theirs) = (self.numbers(), other.numbers());
        for (ours, theirs) in ours.iter_mut().zip(theirs) {
            *ours = ours.checked_add(theirs)?;
        }
        let tally =
            Tally { behind_max_us: self.behind_max_us.max(other.behind_max_us), ..Tally::of_numbers(ours) };
        tally.adds_up().then_some(tally)
    }

    /// Every record was judged once, and no number is beyond any stream.
    fn adds_up(&self) -> bool {
        if self.numbers().iter().any(|number| *number > WEIGHT_SUM_MAX / TALLY_NUMBERS as u64) {
            return false;
        }
        let judged = self.on_time + self.ahead + self.late + self.bad_total() + self.exploded_empty;
        judged == self.read
            && self.too_late <= self.read
            && self.late_dropped + self.late_quarantined <= self.late
    }

    /// Appends all counters.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        out.push(Reason::ALL.len() as u8);
        self.numbers()
            .iter()
            .chain(&[self.behind_max_us])
            .for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
    }

    /// Reads what [`Tally::snapshot`] wrote, also when there were fewer reasons for bad records then.
    ///
    /// # Errors
    /// Numbers that do not add up.
    pub fn restore(r: &mut Reader<'_>) -> Result<Tally, DecodeError> {
        const WRONG: DecodeError = DecodeError::Invalid("counters that do not add up");
        let reasons = usize::from(r.u8()?);
        if reasons > Reason::ALL.len() {
            return Err(WRONG);
        }
        let mut numbers = [0; TALLY_NUMBERS];
        for number in &mut numbers[..TALLY_NUMBERS - Reason::ALL.len() + reasons] {
            *number = r.u64()?;
        }
        let tally = Tally { behind_max_us: r.u64()?, ..Tally::of_numbers(numbers) };
        if tally.adds_up() { Ok(tally) } else { Err(WRONG) }
    }

    /// What adds up; bad records last.
    fn numbers(&self) -> [u64; TALLY_NUMBERS] {
        let t = self;
        let mut out = [0; TALLY_NUMBERS];
        let parts = [
            t.read,
            t.on_time,
            t.ahead,
            t.late,
            t.too_late,
            t.late_dropped,
            t.late_quarantined,
            t.exploded_empty,
        ];
        out[..parts.len()].copy_from_slice(&parts);
        out[parts.len()..].copy_from_slice(&t.bad);
        out
    }

    fn of_numbers(numbers: [u64; TALLY_NUMBERS]) -> Tally {
        let [read, on_time, ahead, late, too_late, late_dropped, late_quarantined, exploded_empty, bad @ ..] =
            numbers;
        Tally {
            read,
            on_time,
            ahead,
            late,
            too_late,
            late_dropped,
            late_quarantined,
            exploded_empty,
            behind_max_us: 0,
            bad,
        }
    }

    /// Events that entered the totals.
    pub fn accepted(&self) -> u64 {
        self.read - self.bad_total() - self.exploded_empty - self.late_dropped - self.late_quarantined
    }
}

/// Numbers of a tally that add up.
const TALLY_NUMBERS: usize = 8 + Reason::ALL.len();

/// A partition's clock with what follows from it.
#[derive(Debug, Clone, Copy)]
struct Clock {
    now: Time,
    /// Before it, events are late.
    watermark: Time,
    /// Beyond it, they are ahead.
    limit: Time,
}

impl Clock {
    fn new(now: Time, time: &TimeSpec) -> Clock {
        let ahead = time.ahead.filter(|_| !planted(Bug::AheadMovesClock));
        let limit = ahead.map_or(Time(i64::MAX), |ahead| now.plus(ahead));
        Clock { now, watermark: now.minus(time.lateness), limit }
    }
}

#[derive(Debug, Default)]
struct Partition {
    clock: Option<Time>,
    /// Batches held until the first agreement.
    held: Vec<Batch>,
    held_rows: usize,
    /// The latest times in a row beyond the clock (all times, before there is a clock).
    beyond: VecDeque<Time>,
    finished: bool,
}

impl Intake {
    /// The clock for what `source` says about time and panes.
    pub fn new(source: &Source) -> Intake {
        let ladders = || source.metrics.iter().map(|m| m.levels.as_slice()).filter(|l| !l.is_empty());
        let mut reach: Vec<Level> = ladders().filter_map(|l| l.last().copied()).collect();
        reach.sort_by_key(|l| (l.size, l.keep));
        reach.dedup();
        let guarded = source.guarded_buckets();
        Intake {
            time: source.time.clone(),
            reach,
            grain: ladders().flatten().map(|l| gcd(l.size, l.keep)).chain(guarded).reduce(gcd),
            partitions: BTreeMap::new(),
            watermark: None,
            records: 0,
            tally: Tally::default(),
        }
    }

    /// Takes the next batch of a partition and gives back what is ready, in order: usually this batch, none while
    /// the partition's clock waits for agreement, several when it has just been set.
    pub fn push(&mut self, mut batch: Batch) -> Vec<Judged> {
        self.tally.read += (batch.rows + batch.bad.len()) as u64 + batch.exploded_empty;
        self.tally.exploded_empty += batch.exploded_empty;
        for bad in &batch.bad {
            self.tally.bad[bad.reason as usize] += 1;
        }
        let Some(time) = self.time.clone() else {
            self.tally.on_time += batch.rows as u64;
            return vec![Judged::new(batch, None)];
        };
        if let TimeFrom::Row(apart) = time.from {
            batch.times = batch.ordinals.iter().map(|n| nth(self.records + u64::from(*n), apart)).collect();
        }
        self.records += batch.records;
        let id = batch.partition;
        let mut partition = self.partitions.remove(&id).unwrap_or_default();
        // A file that has grown since it was read to its end.
        partition.finished = false;
        // Without rows there is nothing that could wait for a clock.
        let out = if partition.clock.is_some() || batch.rows == 0 {
            vec![self.judge(&time, id, &mut partition, batch)]
        } else if let Some(clock) = partition.first_clock(&time, &batch) {
            partition.held.push(batch);
            self.release(&time, id, &mut partition, clock)
        } else {
            partition.held_rows += batch.rows;
            partition.held.push(batch);
            Vec::new()
        };
        self.partitions.insert(id, partition);
        out
    }

    /// Ends all partitions that are still open.
    pub fn finish_all(&mut self) -> Vec<Judged> {
        let open: Vec<u32> = self.partitions.iter().filter(|(_, p)| !p.finished).map(|(id, _)| *id).collect();
        open.into_iter().flat_map(|id| self.finish(id)).collect()
    }

    /// Ends a partition: rows still held are judged, and the source's watermark no longer waits for it.
    pub fn finish(&mut self, partition: u32) -> Vec<Judged> {
        let Some(time) = self.time.clone() else { return Vec::new() };
        let mut state = self.partitions.remove(&partition).unwrap_or_default();
        let out = match state.settled(time.ahead) {
            Some(clock) => self.release(&time, partition, &mut state, clock),
            None => std::mem::take(&mut state.held)
                .into_iter()
                .map(|b| self.judge(&time, partition, &mut state, b))
                .collect(),
        };
        state.finished = true;
        self.partitions.insert(partition, state);
        self.catch_up(time.lateness);
        out
    }

    /// Forgets a partition that has ended: its number may go to another one, which begins without a clock.
    pub fn forget(&mut self, partition: u32) {
        self.partitions.remove(&partition);
    }

    /// A partition begins where another one goes on elsewhere, with its clock.
    pub fn inherit(&mut self, partition: u32, from: u32) {
        let clock = self.partitions.get(&from).and_then(|from| from.clock);
        self.partitions.insert(partition, Partition { clock, ..Partition::default() });
    }

    /// Processing time has come to this although there is no event: panes of a source that takes its time from there end.
    pub fn arrive(&mut self, now: Time) {
        let Some(TimeSpec { from: TimeFrom::Arrival, lateness, .. }) = self.time else { return };
        for clock in self.partitions.values_mut().filter_map(|partition| partition.clock.as_mut()) {
            *clock = now.max(*clock);
        }
        // Silent partitions hold nobody back, and no event can come before now.
        self.watermark = self.watermark.map(|watermark| watermark.max(now.minus(lateness)));
    }

    /// Raises the source's watermark to what all live partitions have passed.
    fn catch_up(&mut self, lateness: Span) {
        let live = self.partitions.values().filter(|partition| !partition.finished);
        let clocks = live.map(|partition| partition.clock).min().flatten();
        self.watermark = self.watermark.max(clocks.map(|clock| clock.minus(lateness)));
    }

    /// The source's watermark: no event before it is expected any more.
    pub fn watermark(&self) -> Option<Time> {
        self.watermark
    }

    /// The watermark on the grain of the panes, as shards see it.
    pub fn boundary(&self) -> Option<Time> {
        self.watermark.and_then(|w| self.grain.map(|g| w.floor_to(g)))
    }

    /// What was counted so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    fn release(&mut self, time: &TimeSpec, id: u32, partition: &mut Partition, clock: Time) -> Vec<Judged> {
        partition.clock = Some(clock);
        partition.beyond.clear();
        partition.held_rows = 0;
        std::mem::take(&mut partition.held).into_iter().map(|b| self.judge(time, id, partition, b)).collect()
    }

    /// Judges every row of a batch against its partition's clock; moves the clock and the source's watermark.
    fn judge(&mut self, time: &TimeSpec, id: u32, partition: &mut Partition, batch: Batch) -> Judged {
        let others = self.others(id, time.lateness);
        let mut verdict = Judged::new(batch, self.boundary());
        let Some(mut clock) = partition.clock.map(|now| Clock::new(now, time)) else {
            debug_assert_eq!(verdict.batch.rows, 0);
            return verdict;
        };
        // The first row is told of the clock that agreement has just set.
        self.raise(clock.watermark, others, 0, &mut verdict.marks);
        let (mut next_mark, mut certain) = (self.next_boundary(), self.certain());
        let (mut ahead, mut behind) = (0, 0);
        for (row, &t) in verdict.batch.times.iter().enumerate() {
            if t > clock.limit {
                ahead += 1;
                let Some(agreed) = partition.agree_beyond(t, time) else { continue };
                clock = Clock::new(agreed, time);
            } else {
                partition.agree_within();
                if t > clock.now {
                    clock = Clock::new(t, time);
                } else {
                    behind = behind.max(clock.now.0.abs_diff(t.0));
                    if t < clock.watermark {
                        verdict.left_out.push(row as u32);
                    }
                }
            }
            // Also what is in time for its own partition can be too late for the source's panes; what is left out anyway
            // is not counted twice.
            if t < certain && (t >= clock.watermark || time.later == Later::Correct) && !self.reaches(t) {
                self.tally.too_late += 1;
            }
            if clock.watermark >= next_mark {
                self.raise(clock.watermark, others, row + 1, &mut verdict.marks);
                (next_mark, certain) = (self.next_boundary(), self.certain());
            }
        }
        partition.clock = Some(clock.now);
        self.raise(clock.watermark, others, verdict.batch.rows, &mut verdict.marks);
        self.tally.behind_max_us = self.tally.behind_max_us.max(behind);
        self.count(time.later, ahead, &mut verdict);
        verdict
    }

    /// Counts the verdicts; `left_out` holds the late rows, and keeps them only where that is asked.
    fn count(&mut self, later: Later, ahead: u64, verdict: &mut Judged) {
        let late = verdict.left_out.len() as u64;
        self.tally.ahead += ahead;
        self.tally.late += late;
        self.tally.on_time += verdict.batch.rows as u64 - ahead - late;
        match later {
            Later::Correct => verdict.left_out.clear(),
            Later::Drop => self.tally.late_dropped += late,
            Later::Quarantine => self.tally.late_quarantined += late,
        }
    }

    /// Smallest watermark of the other live partitions; `Some(None)` when one of them has no clock yet.
    fn others(&self, id: u32, lateness: Span) -> Option<Option<Time>> {
        self.partitions
            .iter()
            .filter(|(other, p)| **other != id && !p.finished)
            .map(|(_, p)| p.clock.map(|c| c.minus(lateness)))
            .min()
            .map(|others| if planted(Bug::WatermarkIsMaximum) { Some(Time(i64::MAX)) } else { others })
    }

    /// Raises the source's watermark as far as the other partitions allow, and marks the pane boundary it crosses.
    fn raise(&mut self, own: Time, others: Option<Option<Time>>, row: usize, marks: &mut Vec<Mark>) {
        let bound = match others {
            None => own,
            Some(None) => return,
            Some(Some(other)) => own.min(other),
        };
        let before = self.boundary();
        self.watermark = Some(self.watermark.map_or(bound, |w| w.max(bound)));
        let after = self.boundary();
        if after > before
            && let Some(watermark) = after
        {
            marks.push(Mark { row, watermark });
        }
    }

    /// The watermark at which shards must be told next.
    fn next_boundary(&self) -> Time {
        match (self.grain, self.boundary()) {
            (Some(grain), Some(boundary)) => boundary.plus(grain),
            (Some(_), None) => Time(i64::MIN),
            (None, _) => Time(i64::MAX),
        }
    }

    /// From here on every event has a pane that is kept; before it, [`Intake::reaches`] tells.
    fn certain(&self) -> Time {
        let longest = self.reach.iter().map(|level| level.keep).max();
        match (self.boundary(), longest) {
            (Some(boundary), Some(keep)) => boundary.minus(keep),
            _ => Time(i64::MIN),
        }
    }

    /// Whether some retained pane can still take an event of this time.
    fn reaches(&self, t: Time) -> bool {
        let Some(boundary) = self.boundary() else { return true };
        self.reach.is_empty() || self.reach.iter().any(|level| level.retains(t, boundary))
    }
}

impl Partition {
    /// The first clock of a partition, if this batch settles it: the first record when nothing limits jumps,
    /// otherwise the smallest of `agree` records in a row within `ahead` of one another.
    fn first_clock(&mut self, time: &TimeSpec, batch: &Batch) -> Option<Time> {
        if time.ahead.is_none() {
            return batch.times.first().copied();
        }
        for (row, &t) in batch.times.iter().enumerate() {
            if let Some(clock) = self.agree_beyond(t, time) {
                return Some(clock);
            }
            if self.held_rows + row + 1 == HELD_ROWS_MAX {
                let times = self.held.iter().flat_map(|b| b.times.iter()).chain(&batch.times[..=row]);
                return median(times.copied().collect());
            }
        }
        None
    }

    /// Notes a time beyond the clock. When the last `agree` of them lie within `ahead`: the smallest of them.
    fn agree_beyond(&mut self, t: Time, time: &TimeSpec) -> Option<Time> {
        let ahead = time.ahead.unwrap_or(Span(i64::MAX));
        if self.beyond.len() == time.agree {
            self.beyond.pop_front();
        }
        self.beyond.push_back(t);
        if self.beyond.len() < time.agree {
            return None;
        }
        let (mut smallest, mut largest) = (t, t);
        for &other in &self.beyond {
            smallest = smallest.min(other);
            largest = largest.max(other);
        }
        if largest > smallest.plus(ahead) {
            return None;
        }
        self.beyond.clear();
        Some(smallest)
    }

    /// Notes a time that is not beyond the clock: the row of those that are is broken.
    #[inline]
    fn agree_within(&mut self) {
        if !self.beyond.is_empty() {
            self.beyond.clear();
        }
    }

    /// The clock of a partition that ends without agreement: the smallest held time that agrees with their median.
    fn settled(&self, ahead: Option<Span>) -> Option<Time> {
        let held = || self.held.iter().flat_map(|b| b.times.iter().copied());
        let median = median(held().collect())?;
        held().filter(|&t| t <= median && t.plus(ahead.unwrap_or(Span(i64::MAX))) >= median).min()
    }
}

/// The time of the n-th record, at most the last one there is.
fn nth(n: u64, apart: Span) -> Time {
    let micros = i64::try_from(n).ok().and_then(|n| n.checked_mul(apart.0));
    micros.and_then(Time::from_micros).unwrap_or(Time(TIME_MAX))
}

/// The lower median.
fn median(mut times: Vec<Time>) -> Option<Time> {
    if times.is_empty() {
        return None;
    }
    let middle = (times.len() - 1) / 2;
    Some(*times.select_nth_unstable(middle).1)
}

fn gcd(a: Span, b: Span) -> Span {
    let (mut a, mut b) = (a.0, b.0);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    Span(a)
}

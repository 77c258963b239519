//! An exact count of a scene, by the book (docs/CONCEPTS.md) and without a line of the engine: clocks, verdicts, sums.
//!
//! It keeps every event and counts by looking at all of them. It knows nothing of blocks, shards, panes, memory or commits.

use crate::scene::{Event, Line, Piece};
use engine::spec::{Later, TimeSpec};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What was counted.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    pub read: u64,
    pub on_time: u64,
    pub ahead: u64,
    pub late: u64,
    pub late_dropped: u64,
    pub late_quarantined: u64,
    pub bad: BTreeMap<&'static str, u64>,
    /// Events that are counted, with the number of their partition.
    pub taken: Vec<Event>,
    /// The watermark, in microseconds.
    pub watermark: Option<i64>,
}

/// The numbers of some events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums {
    pub count: u64,
    pub sum: i64,
    pub min: Option<i64>,
    pub max: Option<i64>,
    pub keys: BTreeSet<String>,
    pub users: BTreeSet<String>,
}

impl Sums {
    /// One more.
    pub fn add(&mut self, event: &Event) {
        self.count += 1;
        self.sum += event.value;
        self.min = Some(self.min.map_or(event.value, |min| min.min(event.value)));
        self.max = Some(self.max.map_or(event.value, |max| max.max(event.value)));
        self.keys.insert(event.key.clone());
        self.users.insert(event.user.clone());
    }
}

/// One partition.
#[derive(Debug, Default)]
struct Partition {
    /// The largest time it believes, in microseconds.
    clock: Option<i64>,
    /// Events before there is a clock.
    waiting: Vec<Event>,
    /// The latest times in a row beyond what is believed.
    beyond: VecDeque<i64>,
    gone: bool,
}

/// Counts.
#[derive(Debug, Default)]
pub struct Oracle {
    time: Option<TimeSpec>,
    partitions: BTreeMap<u32, Partition>,
    counts: Counts,
}

impl Oracle {
    /// Nothing was read.
    pub fn new(time: Option<TimeSpec>) -> Oracle {
        Oracle { time, ..Oracle::default() }
    }

    /// Reads a piece.
    pub fn read(&mut self, piece: &Piece) {
        piece.silent.iter().for_each(|partition| self.goes(*partition));
        self.partitions.entry(piece.partition).or_default().gone = false;
        for line in &piece.lines {
            self.counts.read += 1;
            match line {
                Line::Bad(_, reason) => *self.counts.bad.entry(reason).or_default() += 1,
                Line::Event(event) => self.event(piece.partition, event.clone()),
            }
        }
        self.raise();
    }

    /// Nobody waits for a partition any more.
    fn goes(&mut self, partition: u32) {
        let ahead = self.ahead();
        let state = self.partitions.entry(partition).or_default();
        if state.clock.is_none() && !state.waiting.is_empty() {
            // The smallest that agrees with the median.
            let mut times: Vec<i64> = state.waiting.iter().map(|event| event.ms * 1_000).collect();
            times.sort_unstable();
            let median = times[(times.len() - 1) / 2];
            let clock = times.into_iter().find(|t| t.saturating_add(ahead) >= median);
            self.begins(partition, clock.expect("the median agrees with itself"));
            self.raise();
        }
        self.partitions.entry(partition).or_default().gone = true;
        self.raise();
    }

    /// The end: nobody waits for any.
    pub fn end(mut self) -> Counts {
        let all: Vec<u32> = self.partitions.keys().copied().collect();
        all.into_iter().for_each(|partition| self.goes(partition));
        self.counts
    }

    fn ahead(&self) -> i64 {
        self.time.as_ref().and_then(|time| time.ahead).map_or(i64::MAX, |span| span.0)
    }

    fn event(&mut self, partition: u32, event: Event) {
        let Some(time) = self.time.clone() else {
            self.counts.on_time += 1;
            self.counts.taken.push(event);
            return;
        };
        let t = event.ms * 1_000;
        let state = self.partitions.get_mut(&partition).expect("it was begun");
        if state.clock.is_some() {
            return self.judge(partition, event);
        }
        if time.ahead.is_none() {
            self.begins(partition, t);
            return self.judge(partition, event);
        }
        state.waiting.push(event);
        if let Some(clock) = agreed(state, t, &time) {
            self.begins(partition, clock);
        }
    }

    /// A partition has its first clock: what waited is judged, in order.
    fn begins(&mut self, partition: u32, clock: i64) {
        let state = self.partitions.get_mut(&partition).expect("it was begun");
        state.clock = Some(clock);
        state.beyond.clear();
        for event in std::mem::take(&mut state.waiting) {
            self.judge(partition, event);
        }
    }

    fn judge(&mut self, partition: u32, event: Event) {
        let time = self.time.clone().expect("only events with a time are judged");
        let ahead = self.ahead();
        let state = self.partitions.get_mut(&partition).expect("it was begun");
        let (t, clock) = (event.ms * 1_000, state.clock.expect("it has begun"));
        if t > clock.saturating_add(ahead) {
            self.counts.ahead += 1;
            self.counts.taken.push(event);
            if let Some(clock) = agreed(state, t, &time) {
                state.clock = Some(clock);
            }
            return;
        }
        state.beyond.clear();
        state.clock = Some(clock.max(t));
        if t >= clock - time.lateness.0 {
            self.counts.on_time += 1;
            self.counts.taken.push(event);
            return;
        }
        self.counts.late += 1;
        match time.later {
            Later::Correct => self.counts.taken.push(event),
            Later::Drop => self.counts.late_dropped += 1,
            Later::Quarantine => self.counts.late_quarantined += 1,
        }
    }

    fn raise(&mut self) {
        let Some(time) = &self.time else { return };
        let live = self.partitions.values().filter(|partition| !partition.gone);
        let slowest = live.map(|partition| partition.clock).min().flatten();
        self.counts.watermark = self.counts.watermark.max(slowest.map(|clock| clock - time.lateness.0));
    }
}

/// Notes a time beyond what is believed; the clock that so many in a row agree upon.
fn agreed(state: &mut Partition, t: i64, time: &TimeSpec) -> Option<i64> {
    let ahead = time.ahead.map_or(i64::MAX, |span| span.0);
    state.beyond.push_back(t);
    while state.beyond.len() > time.agree {
        state.beyond.pop_front();
    }
    let (smallest, largest) = (*state.beyond.iter().min()?, *state.beyond.iter().max()?);
    if state.beyond.len() < time.agree || largest > smallest.saturating_add(ahead) {
        return None;
    }
    state.beyond.clear();
    Some(smallest)
}

//! What a shop is made from, and what follows from it without making it: times, parts, the flood.

use std::ops::Range;

/// Where in the second part the flood lies, in events.
const FLOOD: Range<u64> = 1_000..1_500;

/// The settings of a shop. Equal settings mean equal bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Number of events; `u64::MAX` for a shop that never ends, and so never reaches its second part.
    pub events: u64,
    /// Number of users that can occur; 0 counts as 1. Each costs 16 bytes in [`Shop`](crate::Shop).
    pub entities: u32,
    /// Anything; another seed is another shop.
    pub seed: u64,
    /// Event time of the beginning, ms since 1970.
    pub start_ms: u64,
    /// Events in each second of event time; 0 counts as 1.
    pub events_per_second: u32,
    /// How many of 1,000 events are late.
    pub late_per_mille: u32,
    /// Longest delay of a late event, ms. As `lateness` of a source it leaves no event behind the watermark.
    pub late_max_ms: u64,
    /// Whether there is a flood of purchases in the second part.
    pub flood: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            events: 100_000,
            entities: 10_000,
            seed: 42,
            start_ms: 1_760_000_400_000,
            events_per_second: 28,
            late_per_mille: 50,
            late_max_ms: 2_000,
            flood: true,
        }
    }
}

impl Settings {
    /// So many events by so many users from this seed; all else as by default.
    pub fn new(events: u64, entities: u32, seed: u64) -> Settings {
        Settings { events, entities, seed, ..Settings::default() }
    }

    /// The same with or without the flood.
    pub fn with_flood(self, flood: bool) -> Settings {
        Settings { flood, ..self }
    }

    /// Numbers of the events of the first part, two thirds of them: what is usual.
    pub fn train_range(&self) -> Range<u64> {
        0..self.events - self.events / 3
    }

    /// Numbers of the events of the second part.
    pub fn test_range(&self) -> Range<u64> {
        self.train_range().end..self.events
    }

    /// Numbers of the events of the flood, cut to the second part; `None` when it has no such event.
    pub fn flood_range(&self) -> Option<Range<u64>> {
        let test = self.test_range();
        let at = |n: u64| test.start.saturating_add(n).min(test.end);
        let range = at(FLOOD.start)..at(FLOOD.end);
        (self.flood && !range.is_empty()).then_some(range)
    }

    /// Event time of the flood, ms since 1970. No purchase of the flood lies outside, but late ones of others do.
    pub fn flood_time_range_ms(&self) -> Option<Range<u64>> {
        self.flood_range().map(|range| self.time_range_ms(range))
    }

    /// The slice of event time in which these events happen; late ones may come from up to `late_max_ms` before it.
    pub fn time_range_ms(&self, events: Range<u64>) -> Range<u64> {
        let start = self.slot_ms(events.start);
        if events.is_empty() {
            return start..start;
        }
        // At more than 1,000 events a second several share a millisecond.
        start..self.slot_ms(events.end).max(self.slot_ms(events.end - 1).saturating_add(1))
    }

    /// When event n happens at the earliest, and event n-1 at the latest.
    pub(crate) fn slot_ms(&self, n: u64) -> u64 {
        let per_second = u64::from(self.events_per_second.max(1));
        // n * 1,000 need not fit; a shop that gets there has run for a century.
        let passed_ms = n.saturating_mul(1_000) / per_second;
        self.start_ms.saturating_add(passed_ms)
    }
}

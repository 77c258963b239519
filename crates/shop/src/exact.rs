//! The truth about a stream, the plain way: every value is kept.
//!
//! An oracle for tests, and what the demo holds its sketches against. Each structure stands alone and can be filled and
//! dropped by itself, so that its memory can be measured beside the sketch that replaces it; nothing is measured here.
//! Keys are whatever is counted: ranks in tests, ids as text where the memory should be that of a program that reads
//! the events.
#![expect(
    clippy::disallowed_types,
    reason = "these are the maps that a plain program would use; their hasher has no random seed, and whatever leaves \
              them is sorted"
)]

use crate::event::Event;
use crate::kind::EventType;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash};

type Hasher = BuildHasherDefault<DefaultHasher>;

/// The exact counters of the shop.
#[derive(Debug, Default)]
pub struct Exact {
    /// Distinct users, first-time and returning events.
    pub users: Seen<u32>,
    /// The same by device.
    pub users_by_device: BTreeMap<&'static str, Seen<u32>>,
    /// Events by type.
    pub by_type: Counts<EventType>,
    /// Events by user.
    pub by_user: Counts<u32>,
    /// Events by page, where there is one.
    pub by_page: Counts<u32>,
    /// Latencies, ms, where there is one.
    pub latencies_ms: Values,
    /// Sum of what was brought in, hundredths.
    pub revenue_cents: u64,
}

impl Exact {
    /// Counts one event.
    pub fn update(&mut self, event: &Event) {
        self.users.update(event.user);
        self.users_by_device.entry(event.device).or_default().update(event.user);
        self.by_type.update(event.kind);
        self.by_user.update(event.user);
        if let Some(page) = event.page {
            self.by_page.update(page);
        }
        if let Some(tenths) = event.latency_tenths {
            self.latencies_ms.update(tenths as f64 / 10.0);
        }
        self.revenue_cents += event.revenue_cents.unwrap_or(0);
    }
}

/// A set of everything that was seen.
#[derive(Debug)]
pub struct Seen<K> {
    keys: HashSet<K, Hasher>,
    returning: u64,
}

impl<K: Hash + Eq> Seen<K> {
    /// Takes a key in; true when it was there before.
    pub fn update(&mut self, key: K) -> bool {
        let returning = !self.keys.insert(key);
        self.returning += u64::from(returning);
        returning
    }

    /// Number of distinct keys, which is the number of first-time events.
    pub fn distinct(&self) -> u64 {
        self.keys.len() as u64
    }

    /// Number of events whose key had been seen before.
    pub fn returning(&self) -> u64 {
        self.returning
    }
}

impl<K> Default for Seen<K> {
    fn default() -> Seen<K> {
        Seen { keys: HashSet::default(), returning: 0 }
    }
}

/// How often each key occurred.
#[derive(Debug)]
pub struct Counts<K> {
    counts: HashMap<K, u64, Hasher>,
}

impl<K: Hash + Ord + Clone> Counts<K> {
    /// Counts a key.
    pub fn update(&mut self, key: K) {
        *self.counts.entry(key).or_default() += 1;
    }

    /// How often it occurred.
    pub fn count(&self, key: &K) -> u64 {
        self.counts.get(key).copied().unwrap_or(0)
    }

    /// Number of distinct keys.
    pub fn distinct(&self) -> u64 {
        self.counts.len() as u64
    }

    /// The `k` most frequent keys with their counts, ties by key.
    pub fn top(&self, k: usize) -> Vec<(K, u64)> {
        let mut all: Vec<(K, u64)> = self.counts.iter().map(|(key, &count)| (key.clone(), count)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all.truncate(k);
        all
    }
}

impl<K> Default for Counts<K> {
    fn default() -> Counts<K> {
        Counts { counts: HashMap::default() }
    }
}

/// All values, for quantiles.
#[derive(Debug, Default)]
pub struct Values {
    values: Vec<f64>,
}

impl Values {
    /// Takes a value in.
    pub fn update(&mut self, value: f64) {
        self.values.push(value);
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.values.len() as u64
    }

    /// The smallest value that at least ceil(q n) of the n values do not exceed, for each q; empty without values. Sorts.
    pub fn quantiles(&mut self, qs: &[f64]) -> Vec<f64> {
        let n = self.values.len();
        if n == 0 {
            return Vec::new();
        }
        self.values.sort_unstable_by(f64::total_cmp);
        qs.iter().map(|q| self.values[((q * n as f64).ceil() as usize).clamp(1, n) - 1]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_count() {
        let mut seen = Seen::default();
        let mut counts = Counts::default();
        let returning: Vec<bool> = ["ada", "bob", "ada", "ada", "cy"]
            .into_iter()
            .map(|name| {
                counts.update(name);
                seen.update(name)
            })
            .collect();
        assert_eq!(returning, [false, false, true, true, false]);
        assert_eq!((seen.distinct(), seen.returning()), (3, 2));
        assert_eq!((counts.count(&"ada"), counts.count(&"dee"), counts.distinct()), (3, 0, 3));
        assert_eq!(counts.top(2), [("ada", 3), ("bob", 1)]);
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let mut values = Values::default();
        assert_eq!(values.quantiles(&[0.5]), []);
        for value in [4.0, 1.0, 3.0, 2.0] {
            values.update(value);
        }
        assert_eq!(values.quantiles(&[0.0, 0.25, 0.5, 0.51, 1.0]), [1.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(values.count(), 4);
    }
}

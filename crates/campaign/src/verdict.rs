//! What a campaign found.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Failures that are told; more say nothing new.
const FAILURES_MAX: usize = 20;

/// Faults by kind, figures by name, and what went wrong.
pub struct Verdict {
    campaign: String,
    seed: u64,
    rounds: u64,
    quick: bool,
    faults: BTreeMap<String, u64>,
    figures: Map<String, Value>,
    failures: Vec<String>,
}

impl Verdict {
    /// One that nothing was found for yet.
    pub fn new(campaign: &str, seed: u64, rounds: u64, quick: bool) -> Verdict {
        let (campaign, faults, figures) = (campaign.to_string(), BTreeMap::new(), Map::new());
        Verdict { campaign, seed, rounds, quick, faults, figures, failures: Vec::new() }
    }

    /// Counts faults of a kind.
    pub fn faults(&mut self, kind: &str, count: u64) {
        *self.faults.entry(kind.to_string()).or_insert(0) += count;
    }

    /// How many there were of this kind.
    pub fn count(&self, kind: &str) -> u64 {
        self.faults.get(kind).copied().unwrap_or(0)
    }

    /// Tells a figure.
    pub fn figure(&mut self, name: &str, value: impl Into<Value>) {
        self.figures.insert(name.to_string(), value.into());
    }

    /// Adds to a figure that is a count.
    pub fn add(&mut self, name: &str, count: u64) {
        let before = self.figures.get(name).and_then(Value::as_u64).unwrap_or(0);
        self.figure(name, before + count);
    }

    /// Something went wrong.
    pub fn fail(&mut self, why: impl Into<String>) {
        let why = why.into();
        eprintln!("  FAILED: {why}");
        if self.failures.len() < FAILURES_MAX {
            self.failures.push(why);
        }
    }

    /// The same unless it holds.
    pub fn expect(&mut self, holds: bool, why: impl FnOnce() -> String) {
        if !holds {
            self.fail(why());
        }
    }

    /// Whether nothing went wrong.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// One line.
    pub fn to_json(&self) -> Value {
        json!({
            "campaign": self.campaign,
            "seed": self.seed,
            "rounds": self.rounds,
            "quick": self.quick,
            "faults": self.faults,
            "figures": self.figures,
            "passed": self.passed(),
            "failures": self.failures,
        })
    }
}

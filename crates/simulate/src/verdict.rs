//! What a campaign found.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Failures that are told; more say nothing new.
const FAILURES_MAX: usize = 20;

/// Faults by kind, figures by name, and what went wrong.
#[derive(Debug)]
pub struct Verdict {
    campaign: &'static str,
    seed: u64,
    rounds: u64,
    quick: bool,
    faults: BTreeMap<String, u64>,
    figures: Map<String, Value>,
    failures: Vec<String>,
    failed: u64,
}

impl Verdict {
    /// One that nothing was found for yet.
    pub fn new(campaign: &'static str, seed: u64, rounds: u64, quick: bool) -> Verdict {
        let (faults, figures, failures) = (BTreeMap::new(), Map::new(), Vec::new());
        Verdict { campaign, seed, rounds, quick, faults, figures, failures, failed: 0 }
    }

    /// Counts faults of a kind.
    pub fn faults(&mut self, kind: &str, count: u64) {
        *self.faults.entry(kind.to_string()).or_insert(0) += count;
    }

    /// Adds to a figure that is a count.
    pub fn add(&mut self, name: &str, count: u64) {
        let before = self.figures.get(name).and_then(Value::as_u64).unwrap_or(0);
        self.figures.insert(name.to_string(), (before + count).into());
    }

    /// Something went wrong.
    pub fn fail(&mut self, why: String) {
        eprintln!("  FAILED: {why}");
        self.failed += 1;
        if self.failures.len() < FAILURES_MAX {
            self.failures.push(why);
        }
    }

    /// How many failures there were.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// One object.
    pub fn to_json(&self) -> Value {
        json!({
            "campaign": self.campaign,
            "seed": self.seed,
            "rounds": self.rounds,
            "quick": self.quick,
            "faults": self.faults,
            "figures": self.figures,
            "passed": self.failed == 0,
            "failures": self.failures,
        })
    }
}

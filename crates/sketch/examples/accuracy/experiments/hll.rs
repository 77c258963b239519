//! How many distinct values: `hll::Distinct`.

use super::trials::{Covers, ErrorIs, Experiment, Promise, Series};
use super::{EXACT, points};
use sketch::Token;
use sketch::hll::{Distinct, LgK};

/// A precision, and into how many sketches the stream is dealt before they are merged.
#[derive(Clone, Copy)]
pub struct Setting {
    lg_k: LgK,
    parts: usize,
}

/// One sketch over the whole stream.
pub fn one(lg_k: u8) -> Setting {
    merged(lg_k, 1)
}

/// Sketches of parts of the stream, merged.
pub fn merged(lg_k: u8, parts: usize) -> Setting {
    Setting { lg_k: LgK::new(lg_k).expect("4 to 21"), parts }
}

/// Distinct values, over numbers `ns` of them in ascending order.
pub fn distinct(settings: &[Setting], ns: &[u64], confidence: f64) -> Experiment {
    let (own, sizes) = (settings.to_vec(), ns.to_vec());
    Experiment {
        name: "hll",
        title: "Distinct values: `hll::Distinct`",
        about: "One trial feeds random hashes and asks on the way; the merged series deals them to eight sketches and asks \
                the merged one.",
        formula: "Exact up to ¾·K/8 values. Then the relative standard error is 1.03896/√K · (1 + 1.079/K): Flajolet, \
                  Fusy, Gandouet & Meunier, *HyperLogLog* (2007), with the estimator of Ertl (arXiv 1702.01284). It is \
                  reached at some 5 K values and bounds the error below.",
        departs: "Below some 5 K values the error is smaller than the formula, by a third at first, and intervals are \
                  too wide: they hold up to 99.6 % of the time. The factor 1/(1 + 1.079/K), which few registers need \
                  with many values, takes too much off with fewer than K: some 0.5/K of the answer, 0.05 % at lg K = 10 \
                  (and 2 % at lg K = 4, which is not measured here).",
        axis: "distinct values n",
        of: "n",
        also: None,
        series: settings.iter().map(|setting| series(setting, ns, confidence)).collect(),
        trial: Box::new(move |rng, record| {
            let mut tokens: Vec<Token> = Vec::new();
            for (series, setting) in own.iter().enumerate() {
                let mut parts = vec![Distinct::new(setting.lg_k); setting.parts];
                let mut fed = 0;
                for (point, &n) in sizes.iter().enumerate() {
                    while fed < n {
                        // Blocks that stay in the cache, each dealt to all parts.
                        let block = (n - fed).min(1_024);
                        tokens.clear();
                        tokens.extend((0..block).map(|_| rng.token()));
                        let share = tokens.len().div_ceil(setting.parts);
                        tokens.chunks(share).zip(&mut parts).for_each(|(some, part)| part.update_all(some));
                        fed += block;
                    }
                    let exact = n as usize <= setting.lg_k.exact_max();
                    let formula = if exact { 0.0 } else { setting.lg_k.relative_error() };
                    record.tell(series, point, all(&parts).estimate(confidence), n as f64, formula);
                }
            }
        }),
    }
}

fn series(setting: &Setting, ns: &[u64], confidence: f64) -> Series {
    let (lg_k, parts) = (setting.lg_k, setting.parts);
    let name = format!(
        "lg K = {}{}",
        lg_k.get(),
        if parts > 1 { format!(", {parts} merged") } else { String::new() }
    );
    let promise = |n: f64| {
        if n <= lg_k.exact_max() as f64 {
            EXACT
        } else if n < 20.0 * lg_k.registers() as f64 {
            Promise { bias: Some(0.0), error: ErrorIs::AtMostFormula, coverage: Covers::AtLeast(confidence) }
        } else {
            Promise { bias: Some(0.0), error: ErrorIs::Formula, coverage: Covers::Exactly(confidence) }
        }
    };
    Series { name, points: points(ns, promise) }
}

fn all(parts: &[Distinct]) -> Distinct {
    let mut all = parts[0].clone();
    parts[1..].iter().for_each(|part| _ = all.merge(part).expect("one precision"));
    all
}

//! Membership: `bloom::Filter` against the rate that it reports, `bloom::Seen` against the number of first times.

use super::points;
use super::trials::{Covers, ErrorIs, Experiment, Promise, Reading, Rng, Series};
use sketch::bloom::{Filter, Seen, Size, Verdict, blocks_for, expected_rate};
use sketch::{Estimate, Token};

/// Keys that were never inserted, asked for in one trial.
const FOREIGN: u32 = 10_000;

/// The share of foreign keys that are taken for known.
pub fn foreign(rng: &mut Rng, is_known: impl Fn(Token) -> bool) -> f64 {
    (0..FOREIGN).filter(|_| is_known(rng.token())).count() as f64 / f64::from(FOREIGN)
}

/// How far that share is off a rate, in parts of it: hits are binomial.
pub fn scatter(rate: f64) -> f64 {
    ((1.0 - rate) / (f64::from(FOREIGN) * rate)).sqrt()
}

/// Filters for `keys` keys at these rates, over numbers `ns` of keys in ascending order.
pub fn filter(rates: &[f64], keys: u64, ns: &[u64]) -> Experiment {
    let blocks: Vec<u64> = rates.iter().map(|&rate| blocks_for(keys, rate)).collect();
    let sizes = ns.to_vec();
    let reported = Promise { bias: Some(0.0), error: ErrorIs::Formula, coverage: Covers::Nothing };
    let planned = Promise { bias: Some(0.0), error: ErrorIs::Unsaid, coverage: Covers::Nothing };
    let series = |what: &'static str, promise: Promise| {
        rates.iter().map(move |rate| Series {
            name: format!("{} %, {what}", rate * 100.0),
            points: points(ns, |_| promise),
        })
    };
    Experiment {
        name: "bloom",
        title: "Membership: `bloom::Filter`",
        about: "One trial fills a filter made for 10,000 keys and asks for 10,000 keys that are not in it: the share of \
                false positives against the rate that the filter reports of its own bits (*reported*), and the reported \
                rate against the one planned before the first key (*planned*).",
        formula: "Reported: the mean over the blocks of the product of their words' fills, exact for random keys, so that \
                  hits are binomial and the relative error is √((1−p) / (10,000 p)). Planned: Putze, Sanders & Singler \
                  (2007), Σ Pois(i; n/B) (1 − (31/32)^i)^8; how far single filters scatter around it has no formula here.",
        departs: "Nothing is known to depart.",
        axis: "keys inserted n",
        of: "the rate",
        also: Some("rate %"),
        series: series("reported", reported).chain(series("planned", planned)).collect(),
        trial: Box::new(move |rng, record| {
            for (at, &blocks_of) in blocks.iter().enumerate() {
                let (mut filter, mut fed) = (Filter::new(blocks_of), 0);
                for (point, &n) in sizes.iter().enumerate() {
                    (fed..n).for_each(|_| _ = filter.insert(rng.token()));
                    fed = n;
                    let share = foreign(rng, |token| filter.contains(token));
                    let rate = filter.rate();
                    // Neither number has bounds of its own.
                    let point_of = |v: f64| Estimate::probabilistic(v, v, v, 0.0);
                    let reading = record.read(point_of(share), rate, rate, scatter(rate));
                    record.put(at, point, reading.also(share));
                    let planned = expected_rate(n, blocks_of);
                    let reading = record.read(point_of(rate), planned, planned, 0.0);
                    record.put(blocks.len() + at, point, reading.also(planned));
                }
            }
        }),
    }
}

/// Keys and rate asked for, and whether further layers may follow.
pub type Asked = (u64, f64, bool);

/// A usual size, a coarse one, and one that may not grow and is overfilled.
pub const SIZES: [Asked; 3] = [(10_000, 0.01, true), (10_000, 0.1, true), (10_000, 0.01, false)];

/// A chain that grows to a hundred times its first size, where a rate that is a little off adds up.
pub const LONG: Asked = (1_000, 0.1, true);

fn name(&(keys, rate, grows): &Asked) -> String {
    format!("{} @ {} %{}", keys, rate * 100.0, if grows { "" } else { ", full" })
}

fn empty(&(keys, rate, grows): &Asked) -> Seen {
    Seen::new(Size::new(keys, rate).expect("a size that there is"), if grows { u64::MAX } else { 0 })
}

/// The rate that chained filters report, over numbers `ns` of keys in ascending order.
pub fn seen_rate(asked: &[Asked], ns: &[u64]) -> Experiment {
    let (own, sizes) = (asked.to_vec(), ns.to_vec());
    let promise = Promise { bias: Some(0.0), error: ErrorIs::Formula, coverage: Covers::Nothing };
    Experiment {
        name: "seen-rate",
        title: "Membership, chained: `bloom::Seen`",
        about: "One trial inserts new keys and on the way asks for 10,000 keys that are not in: the share of false positives \
                against the rate that is reported of the bits. Two sizes grow by further filters; the third may not \
                (*full*) and takes ten times the keys it was made for.",
        formula: "The chance of passing all filters is the product of passing each, so hits are binomial and the relative \
                  error is √((1−p) / (10,000 p)).",
        departs: "The reported rate of a chain is a little too low, by 0.4 % of itself at 10 % and several filters: a key \
                  in a later filter is one that had passed the earlier ones, and all filters look at the same bits of its \
                  hash, so false positives of two filters coincide more rarely (a fifth more rarely, measured) than the \
                  product says. The rate asked for is kept all the same.",
        axis: "distinct keys n",
        of: "the reported rate",
        also: Some("rate %"),
        series: asked
            .iter()
            .map(|asked| Series { name: name(asked), points: points(ns, |_| promise) })
            .collect(),
        trial: Box::new(move |rng, record| {
            for (series, asked) in own.iter().enumerate() {
                let (mut seen, mut fed) = (empty(asked), 0);
                for (point, &n) in sizes.iter().enumerate() {
                    (fed..n).for_each(|_| seen.insert(rng.token()));
                    fed = n;
                    let share = foreign(rng, |token| seen.contains(token) != Verdict::New);
                    let rate = seen.rate();
                    let told = Estimate::probabilistic(share, share, share, 0.0);
                    let reading = record.read(told, rate, rate, scatter(rate));
                    record.put(series, point, reading.also(share));
                }
            }
        }),
    }
}

/// How many keys came for the first time, over numbers `ns` of them in ascending order.
pub fn first_times(asked: &[Asked], ns: &[u64], confidence: f64) -> Experiment {
    let (own, sizes) = (asked.to_vec(), ns.to_vec());
    let promise = |n: f64| Promise {
        // The answer is a whole number of keys.
        bias: Some(0.5 / n),
        error: ErrorIs::Formula,
        coverage: Covers::AtLeast(confidence),
    };
    Experiment {
        name: "seen",
        title: "First times: `bloom::Seen`",
        about: "One trial inserts new keys and asks on the way how many there were. Three sizes grow by further filters, one \
                to a hundred times the keys it was made for; one may not (*full*).",
        formula: "Exact at first. Then a new key is misjudged with the chance p of that moment, and each key that is \
                  judged new stands for p/(1−p) that were not: standard error √(Σ p/(1−p)) over all new keys, computed here \
                  from the rates reported on the way. The interval has a certain lower end.",
        departs: "The interval holds 97.5 % and more rather than 95 %, because only its upper end can fail, and as it leaves \
                  room for this: where the reported rate of a chain is too low (see the section above) the answer is too, by \
                  0.02 % of n at ten times the size and 10 %, and by 0.04 % at a hundred times. At half the size the error is \
                  less than a key, and the answer is a whole number: rounding adds to it.",
        axis: "distinct keys n",
        of: "n",
        also: Some("false positives now %"),
        series: asked.iter().map(|asked| Series { name: name(asked), points: points(ns, promise) }).collect(),
        trial: Box::new(move |rng, record| {
            for (series, asked) in own.iter().enumerate() {
                let mut seen = empty(asked);
                let (mut fed, mut variance) = (0, 0.0);
                for (point, &n) in sizes.iter().enumerate() {
                    for _ in fed..n {
                        seen.insert(rng.token());
                        let rate = seen.rate();
                        variance += rate / (1.0 - rate);
                    }
                    fed = n;
                    let formula = variance.sqrt() / n as f64;
                    let told = seen.first_times(confidence);
                    let reading = record.read(told, n as f64, n as f64, formula);
                    // What was judged new is new.
                    let low = Estimate::proven(told.low, told.low, f64::INFINITY);
                    let broken = reading.broken + record.read(low, n as f64, n as f64, formula).broken;
                    let reading = Reading { broken, ..reading };
                    record.put(series, point, reading.also(seen.rate()));
                }
            }
        }),
    }
}

//! Frequencies: `countmin::CountMin` alone, and `countmin::Freq` with its hot table.

use super::frequent::{NAMES, Stream, groups, streams};
use super::named;
use super::points;
use super::stream::shares;
use super::trials::{Covers, ErrorIs, Experiment, Promise, Reading, Record, Series};
use sketch::countmin::{Conservative, CountMin, Freq};
use sketch::{Estimate, Token};

const DEPTH: u8 = 4;
/// Widest first: the others are folded from it, which gives the same counters (tests hold that law).
const LG_WIDTHS: [u8; 7] = [14, 13, 12, 11, 10, 9, 8];

/// Streams of this total weight over so many keys, of which `asked` are asked for, evenly spaced in rank.
pub fn count_min(total: u64, keys: usize, asked: usize, confidence: f64) -> Experiment {
    let weights = [1.1, 0.0].map(|exponent| -> Vec<u64> {
        shares(exponent, keys).iter().map(|share| (share * total as f64).round() as u64).collect()
    });
    let promise = Promise {
        bias: None,
        error: ErrorIs::Beyond((-f64::from(DEPTH)).exp()),
        coverage: Covers::AtLeast(confidence),
    };
    let widths = || LG_WIDTHS.iter().rev().map(|lg| format!("2^{lg}"));
    Experiment {
        name: "countmin",
        title: "Frequencies: `countmin::CountMin`",
        about: "One trial counts 100,000 keys with random hashes and a total weight N of 1,000,000, in shares of 1/rank^1.1 \
                (Zipf) or equal ones, in 4 rows, and asks for every hundredth key in order of rank. Figures are means over \
                the keys asked for.",
        formula: "ε = e/width: a count is overstated by more than ε N with a chance of at most e^−4 = 1.83 % (Cormode & \
                  Muthukrishnan 2005), for every stream. The upper bound is certain. The lower bound at 95 % is \
                  (v − c N/width) / (1 − c/width) with c = 0.05^(−1/4), from Markov's inequality in each row.",
        departs: "Bounds for every stream and by Markov's inequality are far away from what hashing does: the typical \
                  error is a tenth to a third of ε N, and lower bounds hold nearly always, not only 95 % of the time.",
        axis: "width of a row",
        of: "N",
        also: None,
        series: NAMES
            .iter()
            .map(|name| Series { name: (*name).to_owned(), points: named(widths(), promise) })
            .collect(),
        trial: Box::new(move |rng, record| {
            for (series, weights) in weights.iter().enumerate() {
                let mut sketch = CountMin::new(LG_WIDTHS[0], DEPTH);
                let mut kept: Vec<(Token, u64)> = Vec::with_capacity(asked);
                for (rank, &weight) in weights.iter().enumerate() {
                    let token = rng.token();
                    sketch.update(token, weight);
                    if rank.is_multiple_of(keys / asked) {
                        kept.push((token, weight));
                    }
                }
                for (at, &lg_width) in LG_WIDTHS.iter().enumerate() {
                    sketch.fold(lg_width);
                    let (n, epsilon) = (sketch.total() as f64, sketch.epsilon());
                    let readings = kept.iter().map(|&(token, weight)| {
                        let told = sketch.query(token, confidence);
                        overstating(record, told, weight, n, epsilon)
                    });
                    let reading = Reading::mean(readings);
                    record.put(series, LG_WIDTHS.len() - 1 - at, reading);
                }
            }
        }),
    }
}

/// An answer whose upper bound is certain, whatever the lower one is.
fn overstating(record: &Record<'_>, told: Estimate<u64>, weight: u64, n: f64, formula: f64) -> Reading {
    let told = told.map(|v| v as f64);
    let reading = record.read(told, weight as f64, n, formula);
    let upper = record.read(Estimate::proven(told.high, 0.0, told.high), weight as f64, n, formula);
    Reading { broken: reading.broken + upper.broken, ..reading }
}

/// Streams of so many events over so many keys, all of which are asked for.
pub fn freq(events: usize, keys: usize, confidence: f64) -> Experiment {
    const LG_WIDTH: u8 = 10;
    let epsilon = std::f64::consts::E / f64::from(1u32 << LG_WIDTH);
    let promise = Promise {
        bias: None,
        error: ErrorIs::Beyond((-f64::from(DEPTH)).exp()),
        coverage: Covers::AtLeast(confidence),
    };
    let groups = groups(keys);
    let streams = streams(keys);
    Experiment {
        name: "freq",
        title: "Frequencies with a hot table: `countmin::Freq`",
        about: "One trial draws 50,000 events of 10,000 keys with random hashes, in shares of 1/rank^1.1 (Zipf) or equal \
                ones, into 4 rows of 1,024 counters behind a hot table of 256 slots, and asks for every key. Figures are \
                means over the ranks from the point before to this one.",
        formula: "As Count-Min, of the part of the weight that left the hot table: at most ε N with ε = e/width. The upper \
                  bound is certain.",
        departs: "As for Count-Min: the bounds are far from reached. The heaviest keys, which stay in the hot table, are \
                  exact on the skewed stream.",
        axis: "rank of the key",
        of: "N",
        also: Some("width of the interval, % of N"),
        series: NAMES
            .iter()
            .map(|name| Series { name: (*name).to_owned(), points: points(&groups, |_| promise) })
            .collect(),
        trial: Box::new(move |rng, record| {
            for (series, draws) in streams.iter().enumerate() {
                let mut freq = Freq::new(LG_WIDTH, DEPTH, 256);
                let stream =
                    Stream::draw(draws, keys, events, rng, |token, item| freq.update(token, 1, item));
                for (point, ranks) in stream.by_rank(&groups).enumerate() {
                    let reading = Reading::mean(ranks.map(|(token, count)| {
                        let told = freq.query(token, confidence);
                        let width = (told.high - told.low) as f64 / events as f64;
                        overstating(record, told, count, events as f64, epsilon).also(width)
                    }));
                    record.put(series, point, reading);
                }
            }
        }),
    }
}

/// Streams of so many events over so many keys, all of which are asked for: both kinds of update, and a merge.
pub fn conservative(events: usize, keys: usize, confidence: f64) -> Experiment {
    const LG_WIDTH: u8 = 10;
    const PARTS: usize = 8;
    let epsilon = std::f64::consts::E / f64::from(1u32 << LG_WIDTH);
    let promise = Promise {
        bias: None,
        error: ErrorIs::Beyond((-f64::from(DEPTH)).exp()),
        coverage: Covers::AtLeast(confidence),
    };
    let (groups, streams) = (groups(keys), streams(keys));
    let kinds = ["linear", "conservative", "8 merged"];
    let names = NAMES.iter().flat_map(|name| kinds.map(|kind| format!("{name}, {kind}")));
    Experiment {
        name: "conservative",
        title: "Frequencies overstated less: `countmin::Conservative`",
        about: "One trial draws 50,000 events of 10,000 keys with random hashes, in shares of 1/rank^1.1 (Zipf) or equal \
                ones, into 4 rows of 1,024 counters, and asks for every key: linear Count-Min, the conservative one, and \
                eight conservative ones that were merged. Figures are means over the ranks from the point before to this one.",
        formula: "As Count-Min: at most ε N with ε = e/width, but for 1.83 % (Estan & Varghese 2002: never more than the linear \
                  sketch). The upper bound is certain, the lower one by Markov's inequality.",
        departs: "As for Count-Min: the bounds are far from reached. Of the surplus of the linear sketch the conservative one keeps a \
                  half to two thirds for rare keys and next to nothing for frequent ones; a merge of eight gives a part of that back.",
        axis: "rank of the key",
        of: "N",
        also: None,
        series: names.map(|name| Series { name, points: points(&groups, |_| promise) }).collect(),
        trial: Box::new(move |rng, record| {
            for (stream, draws) in streams.iter().enumerate() {
                let mut linear = CountMin::new(LG_WIDTH, DEPTH);
                let mut whole = Conservative::new(LG_WIDTH, DEPTH);
                let mut parts = vec![whole.clone(); PARTS];
                let mut turn = (0..PARTS).cycle();
                let drawn = Stream::draw(draws, keys, events, rng, |token, _| {
                    linear.update(token, 1);
                    whole.update(token, 1);
                    parts[turn.next().unwrap_or(0)].update(token, 1);
                });
                let mut merged = parts[0].clone();
                parts[1..].iter().for_each(|part| _ = merged.merge(part).expect("one depth"));
                let asked: [&dyn Fn(Token) -> Estimate<u64>; 3] = [
                    &|token| linear.query(token, confidence),
                    &|token| whole.query(token, confidence),
                    &|token| merged.query(token, confidence),
                ];
                for (kind, query) in asked.iter().enumerate() {
                    for (point, ranks) in drawn.by_rank(&groups).enumerate() {
                        let reading = Reading::mean(ranks.map(|(token, count)| {
                            overstating(record, query(token), count, events as f64, epsilon)
                        }));
                        record.put(asked.len() * stream + kind, point, reading);
                    }
                }
            }
        }),
    }
}

//! The most frequent keys: `frequent::Counters`, whose bounds always hold.

use super::points;
use super::stream::{Draws, shares};
use super::trials::{Covers, ErrorIs, Experiment, Promise, Reading, Rng, Series};
use sketch::Token;
use sketch::frequent::Counters;

/// The streams that frequencies are measured on.
pub const NAMES: [&str; 2] = ["Zipf 1.1", "uniform"];

/// The same streams, to draw from.
pub fn streams(keys: usize) -> [Draws; 2] {
    [1.1, 0.0].map(|exponent| Draws::of(&shares(exponent, keys)))
}

/// Last ranks of groups of ranks: 1, 3, 10, 30 and so on.
pub fn groups(keys: usize) -> Vec<u64> {
    (0..19).flat_map(|e| [10u64.pow(e), 3 * 10u64.pow(e)]).filter(|&rank| rank <= keys as u64).collect()
}

/// A stream that was drawn: the keys' tokens and exact counts, by rank.
pub struct Stream {
    tokens: Vec<Token>,
    counts: Vec<u64>,
}

impl Stream {
    /// Draws the events and feeds them one by one.
    pub fn draw(
        draws: &Draws,
        keys: usize,
        events: usize,
        rng: &mut Rng,
        mut feed: impl FnMut(Token, &[u8]),
    ) -> Stream {
        let tokens: Vec<Token> = (0..keys).map(|_| rng.token()).collect();
        let mut counts = vec![0; keys];
        for _ in 0..events {
            let key = draws.next(rng);
            counts[key] += 1;
            feed(tokens[key], &(key as u32).to_le_bytes());
        }
        Stream { tokens, counts }
    }

    /// The keys of each group of ranks, those that never came included.
    pub fn by_rank(&self, groups: &[u64]) -> impl Iterator<Item = impl Iterator<Item = (Token, u64)>> {
        let from = std::iter::once(0).chain(groups.iter().copied());
        from.zip(groups).map(|(from, &to)| {
            let ranks = from as usize..to as usize;
            self.tokens[ranks.clone()].iter().copied().zip(self.counts[ranks].iter().copied())
        })
    }
}

/// Streams of so many events over so many keys, all of which are asked for, of one table and of eight that were merged.
pub fn counters(events: usize, keys: usize) -> Experiment {
    const SLOTS: usize = 1_024;
    const PARTS: usize = 8;
    let groups = groups(keys);
    let streams = streams(keys);
    let promise = Promise { bias: None, error: ErrorIs::Beyond(0.0), coverage: Covers::AtLeast(1.0) };
    let names = NAMES.iter().flat_map(|name| [(*name).to_owned(), format!("{name}, 8 merged")]);
    Experiment {
        name: "frequent",
        title: "Most frequent: `frequent::Counters`",
        about: "One trial draws 50,000 events of 10,000 keys, in shares of 1/rank^1.1 (Zipf) or equal ones, into 1,024 \
                slots, and asks for every key; the merged series deals the events to eight tables. Figures are means over \
                the ranks from the point before to this one.",
        formula: "2 N/L with L = 768 counters: proven for every stream, every key and every merge (after Misra & Gries 1982 \
                  and Agarwal et al. 2012; the proof stands at the head of the module). Intervals always hold.",
        departs: "The bound is for the worst stream: intervals are half of it or less, and the heaviest keys of the \
                  skewed stream are exact.",
        axis: "rank of the key",
        of: "N",
        also: Some("width of the interval, % of N"),
        series: names.map(|name| Series { name, points: points(&groups, |_| promise) }).collect(),
        trial: Box::new(move |rng, record| {
            for (stream, draws) in streams.iter().enumerate() {
                let mut whole = Counters::new(SLOTS);
                let mut parts = vec![Counters::new(SLOTS); PARTS];
                let mut turn = (0..PARTS).cycle();
                let drawn = Stream::draw(draws, keys, events, rng, |token, item| {
                    whole.update(token, 1, item);
                    parts[turn.next().unwrap_or(0)].update(token, 1, item);
                });
                let mut merged = parts[0].clone();
                parts[1..].iter().for_each(|part| _ = merged.merge(part).expect("few enough events"));
                for (kind, counters) in [whole, merged].iter().enumerate() {
                    let formula = 2.0 / counters.live_max() as f64;
                    for (point, ranks) in drawn.by_rank(&groups).enumerate() {
                        let reading = Reading::mean(ranks.map(|(token, count)| {
                            let told = counters.get(token);
                            let width = (told.high - told.low) as f64 / events as f64;
                            let told = told.map(|v| v as f64);
                            record.read(told, count as f64, events as f64, formula).also(width)
                        }));
                        record.put(2 * stream + kind, point, reading);
                    }
                }
            }
        }),
    }
}

//! Weights of either sign: `countsketch::CountSketch`, its keys and its norm.

use super::frequent::NAMES;
use super::named;
use super::stream::shares;
use super::trials::{Covers, ErrorIs, Experiment, Promise, Reading, Series};
use sketch::Token;
use sketch::countsketch::CountSketch;

const DEPTH: u8 = 5;
/// Widest first: the others are folded from it, which gives the same counters (tests hold that law).
const LG_WIDTHS: [u8; 6] = [13, 12, 11, 10, 8, 6];

/// Streams of this gross weight over so many keys, of which `asked` are asked for, evenly spaced in rank.
pub fn weights(gross: u64, keys: usize, asked: usize, confidence: f64) -> Experiment {
    let weights = [1.1, 0.0].map(|exponent| -> Vec<i64> {
        shares(exponent, keys).iter().map(|share| (share * gross as f64).round() as i64).collect()
    });
    let promise =
        |bias| Promise { bias, error: ErrorIs::AtMostFormula, coverage: Covers::AtLeast(confidence) };
    let series = |what: &str, promise: Promise| {
        let widths = LG_WIDTHS.iter().rev().map(|lg| format!("2^{lg}"));
        Series { name: what.to_owned(), points: named(widths, promise) }
    };
    Experiment {
        name: "countsketch",
        title: "Weights of either sign: `countsketch::CountSketch`",
        about: "One trial gives 20,000 keys weights of random signs, together 1,000,000, in shares of 1/rank^1.1 (Zipf) or \
                equal ones, to 5 rows, and asks for every hundredth key in order of rank, and for the norm √Σf². Figures of \
                keys are means over those asked for.",
        formula: "A row errs by √(F/width), F the squared weights of all other keys (Charikar, Chen & Farach-Colton 2002), and \
                  so, at most, does the median of the rows. Of the norm it is 1/√(2 width) (Alon, Matias & Szegedy 1996).",
        departs: "The bounds, by Chebyshev's inequality, hold nearly always, not only 95 % of the time. A median of five rows \
                  errs half as much as a row on equal weights and far less on skewed ones, where most rows miss the heavy keys. \
                  The norm of equal weights is half a percent low in rows of 64: the squares have a skewed law, with the median \
                  below the mean. No bias is promised there.",
        axis: "width of a row",
        of: "the norm",
        also: None,
        series: NAMES
            .iter()
            .map(|name| series(name, promise(Some(0.0))))
            .chain(NAMES.iter().map(|name| series(&format!("{name}, norm"), promise(None))))
            .collect(),
        trial: Box::new(move |rng, record| {
            for (series, weights) in weights.iter().enumerate() {
                let mut sketch = CountSketch::new(LG_WIDTHS[0], DEPTH);
                let mut kept: Vec<(Token, i64)> = Vec::with_capacity(asked);
                for (rank, &size) in weights.iter().enumerate() {
                    let (token, weight) = (rng.token(), if rng.next() & 1 == 0 { size } else { -size });
                    sketch.update(token, weight);
                    if rank.is_multiple_of(keys / asked) {
                        kept.push((token, weight));
                    }
                }
                let square = weights.iter().map(|&weight| (weight as f64).powi(2)).sum::<f64>();
                let norm = square.sqrt();
                for (at, &lg_width) in LG_WIDTHS.iter().enumerate() {
                    sketch.fold(lg_width);
                    let (point, width) = (LG_WIDTHS.len() - 1 - at, f64::from(1u32 << lg_width));
                    let reading = Reading::mean(kept.iter().map(|&(token, weight)| {
                        let others = (square - (weight as f64).powi(2)) / width;
                        let told = sketch.query(token, confidence).map(|v| v as f64);
                        record.read(told, weight as f64, norm, others.sqrt() / norm)
                    }));
                    record.put(series, point, reading);
                    let formula = (0.5 / width).sqrt();
                    record.tell(NAMES.len() + series, point, sketch.norm(confidence), norm, formula);
                }
            }
        }),
    }
}

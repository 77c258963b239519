//! Quantiles relative to the value: `quantile::Quantiles`, whose bounds always hold.

use super::named;
use super::trials::{Covers, ErrorIs, Experiment, Promise, Rng, Series};
use sketch::quantile::Quantiles;

/// The quantiles asked for, with their rank in thousandths.
const QS: [(f64, usize); 7] =
    [(0.001, 1), (0.01, 10), (0.1, 100), (0.5, 500), (0.9, 900), (0.99, 990), (0.999, 999)];

/// A number between 2^-10 and 2^20: nine decades, each power of two as likely as any other.
fn value(rng: &mut Rng) -> f64 {
    let exponent = 1_023 - 10 + rng.next() % 30;
    f64::from_bits(exponent << 52) * (1.0 + rng.unit())
}

/// Quantiles of `n` numbers, a multiple of 1,000.
pub fn quantiles(bits: &[u8], n: usize) -> Experiment {
    let own = bits.to_vec();
    let promise = Promise { bias: None, error: ErrorIs::Beyond(0.0), coverage: Covers::AtLeast(1.0) };
    Experiment {
        name: "quantile",
        title: "Quantiles: `quantile::Quantiles`",
        about: "One trial draws 10,000 numbers over nine decades (2^−10 to 2^20, every power of two equally likely) and \
                compares seven quantiles with the sorted numbers.",
        formula: "1 / (2^(bits+1) + 1) of the value, proven for every input: the harmonic middle of a bin, as in DDSketch \
                  (Masson, Rim & Lee 2019), with linear steps inside each power of two. Intervals always hold.",
        departs: "Nothing departs, and the bound is reached: the largest errors come up to it. The RMSE is that of a uniform \
                  place in a bin, less than half of the bound.",
        axis: "quantile",
        of: "the value",
        also: None,
        series: bits
            .iter()
            .map(|bits| Series {
                name: format!("{bits} bits"),
                points: named(QS.iter().map(|(q, _)| q.to_string()), promise),
            })
            .collect(),
        trial: Box::new(move |rng, record| {
            let mut values: Vec<f64> = (0..n).map(|_| value(rng)).collect();
            let sketches: Vec<Quantiles> = own
                .iter()
                .map(|&bits| {
                    let mut sketch = Quantiles::new(bits).expect("1 to 10 bits");
                    sketch.update_all(&values);
                    sketch
                })
                .collect();
            values.sort_unstable_by(f64::total_cmp);
            for (series, sketch) in sketches.iter().enumerate() {
                for (point, (q, thousandths)) in QS.iter().enumerate() {
                    let truth = values[n / 1_000 * thousandths - 1];
                    if let Some(told) = sketch.quantile(*q) {
                        record.tell(series, point, told, truth, sketch.relative_error());
                    }
                }
            }
        }),
    }
}

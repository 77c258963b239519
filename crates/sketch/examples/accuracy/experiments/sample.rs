//! Some rows, drawn fairly: the mean of `sample::Sample` against the mean of all rows.

use super::points;
use super::trials::{Covers, ErrorIs, Experiment, Promise, Series};
use sketch::Estimate;
use sketch::sample::{Sample, priority};

/// Means of samples of these sizes out of `rows` rows.
pub fn mean(rows: u64, ks: &[u64]) -> Experiment {
    let own = ks.to_vec();
    let promise = |_| Promise { bias: Some(0.0), error: ErrorIs::Formula, coverage: Covers::Unsaid };
    Experiment {
        name: "sample",
        title: "A fair sample: `sample::Sample`",
        about: "One trial draws 10,000 skewed numbers (between 1 and 1,024, every power of two equally likely), takes samples \
                of k rows, and compares their mean with that of all. The sketch states no interval: coverage is that of \
                the textbook one, mean ± 1.96 standard errors from the sample itself.",
        formula: "S/√k · √(1 − k/N) of the mean, with S the standard deviation of all N rows: simple random sampling without \
                  replacement (Cochran, *Sampling Techniques*).",
        departs: "The textbook interval is too short for few skewed rows: with 10 of them it holds 83 % of the time, with 100 \
                  93.5 %. From 300 on it is right.",
        axis: "rows in the sample k",
        of: "the mean",
        also: None,
        series: vec![Series { name: "mean of k rows".to_owned(), points: points(ks, promise) }],
        trial: Box::new(move |rng, record| {
            let partition = rng.next() as u32;
            let mut samples: Vec<Sample> = own.iter().map(|&k| Sample::new(k as u32)).collect();
            let mut all = Vec::with_capacity(rows as usize);
            for position in 0..rows {
                let value = f64::from_bits((1_023 + rng.next() % 10) << 52) * (1.0 + rng.unit());
                all.push(value);
                for sample in &mut samples {
                    sample.offer(priority(partition, position), |out| out.extend(value.to_le_bytes()));
                }
            }
            let (truth, spread) = moments(&all);
            for (point, (&k, sample)) in own.iter().zip(&samples).enumerate() {
                let values: Vec<f64> = sample
                    .rows()
                    .iter()
                    .map(|row| f64::from_le_bytes(row.payload[..].try_into().expect("eight bytes")))
                    .collect();
                let (mean, own_spread) = moments(&values);
                let share = ((1.0 - k as f64 / rows as f64) / k as f64).sqrt();
                let half = 1.96 * own_spread * share;
                let told = Estimate::probabilistic(mean, mean - half, mean + half, 0.95);
                record.tell(0, point, told, truth, spread * share / truth);
            }
        }),
    }
}

/// Mean and standard deviation, of one less than there are.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0)).sqrt())
}

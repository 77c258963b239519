//! Quantiles with an error in rank: `kll::Kll`.

use super::points;
use super::trials::{Covers, ErrorIs, Experiment, Promise, Reading, Series};
use sketch::kll::{K, Kll, Search};

/// Ranks are asked for at 1 %, 2 % and so on to 99 %.
const CUTS: usize = 100;

/// A size, and into how many sketches the stream is dealt before they are merged.
pub type Setting = (u16, usize);

/// Ranks of uniform numbers, over counts `ns` in ascending order.
pub fn ranks(settings: &[Setting], ns: &[u64], confidence: f64) -> Experiment {
    let (own, sizes) = (settings.to_vec(), ns.to_vec());
    let promise = Promise {
        bias: Some(0.0),
        error: ErrorIs::Beyond(1.0 - confidence),
        coverage: Covers::AtLeast(confidence),
    };
    let name = |&(k, parts): &Setting| {
        format!("k = {k}{}", if parts > 1 { format!(", {parts} merged") } else { String::new() })
    };
    Experiment {
        name: "kll",
        title: "Quantiles by rank: `kll::Kll`",
        about: "One trial feeds uniform numbers and asks on the way for the rank of 99 points, 0.01 to 0.99; the merged series \
                deals them to eight sketches. Bias and RMSE are means over the points. A trial is *beyond* when the largest \
                of the 99 errors is, and its interval *holds* when all 99 do.",
        formula: "With 95 % confidence no rank at all is off by more than 2.296/k^0.9723 · √(ln 40 / ln 200) of the count: \
                  Karnin, Lang & Liberty (2016), with the constants that Apache DataSketches fitted for 99 %, scaled by the \
                  law of a largest error.",
        departs: "The bound is for the largest error of all ranks; a single rank is off by a quarter of it.",
        axis: "values n",
        of: "n",
        also: None,
        series: settings
            .iter()
            .map(|setting| Series { name: name(setting), points: points(ns, |_| promise) })
            .collect(),
        trial: Box::new(move |rng, record| {
            for (series, &(k, parts)) in own.iter().enumerate() {
                let k = K::new(k).expect("8 and more");
                let mut sketches: Vec<Kll> = (0..parts).map(|_| Kll::new(k, rng.next())).collect();
                let (mut below, mut fed) = ([0u64; CUTS], 0);
                for (point, &n) in sizes.iter().enumerate() {
                    for i in fed..n {
                        let value = rng.unit();
                        below[(value * CUTS as f64) as usize] += 1;
                        sketches[i as usize % parts].update(value);
                    }
                    fed = n;
                    let mut all = sketches[0].clone();
                    sketches[1..].iter().for_each(|part| _ = all.merge(part).expect("few enough values"));
                    let formula = all.rank_error(confidence);
                    let mut upto = 0;
                    let readings: Vec<Reading> = (1..CUTS)
                        .filter_map(|cut| {
                            upto += below[cut - 1];
                            let told = all.rank(cut as f64 / CUTS as f64, Search::Exclusive, confidence)?;
                            Some(record.read(told, upto as f64 / n as f64, 1.0, formula))
                        })
                        .collect();
                    let every = |f: fn(&Reading) -> bool| f64::from(u8::from(readings.iter().all(f)));
                    let reading = Reading {
                        held: every(|r| r.held == 1.0),
                        beyond: 1.0 - every(|r| r.beyond == 0.0),
                        ..Reading::mean(readings.iter().copied())
                    };
                    record.put(series, point, reading);
                }
            }
        }),
    }
}

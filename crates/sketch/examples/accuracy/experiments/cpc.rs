//! How many distinct values, in the fewest bytes: `interchange::Cpc`, alone and merged.

use super::points;
use super::trials::{Covers, ErrorIs, Experiment, Promise, Series};
use sketch::interchange::{Cpc, LgK};

/// lg K, and into how many sketches the stream is dealt before they are merged.
pub type Setting = (u8, usize);

/// Distinct values, over numbers `ns` of them in ascending order.
pub fn distinct(settings: &[Setting], ns: &[u64], confidence: f64) -> Experiment {
    let (own, sizes) = (settings.to_vec(), ns.to_vec());
    let series = |&(lg_k, parts): &Setting| {
        let promise =
            Promise { bias: Some(0.0), error: ErrorIs::AtMostFormula, coverage: Covers::AtLeast(confidence) };
        let merged = if parts > 1 { format!(", {parts} merged") } else { String::new() };
        Series { name: format!("lg K = {lg_k}{merged}"), points: points(ns, |_| promise) }
    };
    Experiment {
        name: "cpc",
        title: "Distinct values for DataSketches: `interchange::Cpc`",
        about: "One trial feeds random hashes and asks on the way; the merged series deals them to eight sketches and asks \
                the merged one.",
        formula: "√(ln 2 / 2)/√K of one stream, by historic inverse probability (HIP); ln 2/√K of a merge, which has no \
                  history: Lang, *Back to the Future* (arXiv 1708.06839). The interval is that of two standard deviations, \
                  as DataSketches measured them.",
        departs: "The formula is reached from below: the error is a third smaller at first, and still 6 % at 25 K values of one \
                  stream. Two standard deviations are 95.45 %; with fewer values intervals are too wide and hold up to \
                  99.9 % of the time.",
        axis: "distinct values n",
        of: "n",
        also: None,
        series: settings.iter().map(series).collect(),
        trial: Box::new(move |rng, record| {
            for (series, &(lg_k, parts)) in own.iter().enumerate() {
                let mut parts = vec![Cpc::new(LgK::new(lg_k).expect("4 to 21")); parts];
                let mut fed = 0;
                for (point, &n) in sizes.iter().enumerate() {
                    let dealt = parts.len() as u64;
                    (fed..n).for_each(|i| parts[(i % dealt) as usize].update(rng.token()));
                    fed = n;
                    let mut all = parts[0].clone();
                    parts[1..].iter().for_each(|part| _ = all.merge(part).expect("one precision"));
                    record.tell(series, point, all.estimate(confidence), n as f64, all.relative_error());
                }
            }
        }),
    }
}

//! How much in the last w units of time: `sliding::SlidingCount`, whose bounds always hold.

use super::points;
use super::trials::{Covers, ErrorIs, Experiment, Promise, Series};
use sketch::sliding::SlidingCount;

/// Longest time that is asked for.
const WINDOW: u64 = 10_000;
/// The latest time of a trial.
const HEAD: u64 = 3 * WINDOW;

/// The error asked for, and into how many histograms the events are dealt before they are merged.
pub type Setting = (f64, usize);

/// So many events, over widths in ascending order.
pub fn sums(settings: &[Setting], events: u64, widths: &[u64]) -> Experiment {
    let (own, asked) = (settings.to_vec(), widths.to_vec());
    let promise = Promise { bias: None, error: ErrorIs::Beyond(0.0), coverage: Covers::AtLeast(1.0) };
    let series = |&(error, parts): &Setting| {
        let merged = if parts > 1 { format!(", {parts} merged") } else { String::new() };
        Series { name: format!("{} %{merged}", error * 100.0), points: points(widths, |_| promise) }
    };
    Experiment {
        name: "sliding",
        title: "Sums over sliding windows: `sliding::SlidingCount`",
        about: "One trial brings 20,000 events with weights from 1 to 1,023 (every power of two equally likely) over 30,000 \
                units of time into a window of 10,000; one in ten is up to 1,000 units late. It asks for the last w units; \
                the merged series deals the events to eight histograms.",
        formula: "1/k, the error asked for, proven for every stream, late events and merges included (after Datar, Gionis, \
                  Indyk & Motwani 2002; the proof stands at the head of the module). Intervals always hold.",
        departs: "Nothing departs, and largest errors come up to the bound. Boxes begin at fixed times, so at one width the middle of \
                  the interval lies to the same side of the truth in most trials: no bias is promised.",
        axis: "width w in units of time",
        of: "the sum",
        also: Some("width of the interval, % of the sum"),
        series: settings.iter().map(series).collect(),
        trial: Box::new(move |rng, record| {
            let mut truth = vec![0u64; HEAD as usize + 1];
            let mut sets: Vec<Vec<SlidingCount>> = own
                .iter()
                .map(|&(error, parts)| vec![SlidingCount::new(WINDOW, error).expect("1 to 0.0001"); parts])
                .collect();
            for i in 0..=events {
                let late = if rng.next().is_multiple_of(10) { rng.next() % 1_000 } else { 0 };
                // The last one is on time: all histograms of a setting are asked at one moment.
                let time = if i == events { HEAD } else { (HEAD * i / events).saturating_sub(late) };
                let weight = (1 << (rng.next() % 10)) as f64 * (1.0 + rng.unit());
                truth[time as usize] += weight as u64;
                for parts in &mut sets {
                    let part = i as usize % parts.len();
                    parts[part].update(time, weight as u64);
                }
            }
            for (series, parts) in sets.iter().enumerate() {
                let mut all = parts[0].clone();
                parts[1..].iter().for_each(|part| _ = all.merge(part).expect("one window, one error"));
                for (point, &width) in asked.iter().enumerate() {
                    let sum = truth[(HEAD + 1 - width) as usize..].iter().sum::<u64>() as f64;
                    let told = all.last(width).map(|v| v as f64);
                    // The event at the head makes the sum at least 1.
                    let reading = record.read(told, sum, sum, all.error());
                    record.put(series, point, reading.also((told.high - told.low) / sum));
                }
            }
        }),
    }
}

//! Answers beside the truth.

use super::facts::{Compared, Latency, Top, TopItem, Window, Windows};
use super::measure::{Measured, Work};
use super::truth::{Slice, Truth};
use engine::answer::{Answer, Item, Key, List, Number};
use engine::time::Time;
use shop::EventType;
use shop::Settings;
use std::collections::BTreeMap;

/// Answers of a run, found by what they are about.
pub struct Answers<'a> {
    work: &'a Work,
    measured: &'a Measured,
}

impl<'a> Answers<'a> {
    /// The answers of a run whose metrics are those of `work`.
    pub fn new(work: &'a Work, measured: &'a Measured) -> Answers<'a> {
        Answers { work, measured }
    }

    /// Who came: visitors, first and returning visits, and who did what.
    pub fn people(&self, truth: &Truth) -> Vec<Compared> {
        let exact = &truth.exact;
        let all = [
            ("visitors", exact.users.distinct()),
            ("sessions", truth.sessions.distinct()),
            ("first_time", exact.users.distinct()),
            ("comebacks", exact.users.returning()),
            ("carts", truth.carts.distinct()),
            ("buyers", truth.buyers.distinct()),
        ];
        let mut out: Vec<Compared> =
            all.iter().filter_map(|(metric, truth)| self.total(metric, int(*truth))).collect();
        let by_device = |device: &str| exact.users_by_device.get(device).map(|seen| int(seen.distinct()));
        let devices = self.groups("visitors", "device", by_device);
        out.splice(out.len().min(1)..out.len().min(1), devices);
        out
    }

    /// Events by type, most frequent first.
    pub fn types(&self, truth: &Truth) -> Vec<Compared> {
        let kind = |name: &str| EventType::ALL.into_iter().find(|kind| kind.name() == name);
        let mut out =
            self.groups("actions", "event_type", |name| Some(int(truth.exact.by_type.count(&kind(name)?))));
        out.sort_by_key(|row| std::cmp::Reverse(row.value.map(|n| n.as_f64() as u64)));
        out
    }

    /// Purchases, conversions, and what they brought.
    pub fn money(&self, truth: &Truth) -> Vec<Compared> {
        let exact = &truth.exact;
        let count = |kind: EventType| exact.by_type.count(&kind);
        let purchases = count(EventType::Purchase);
        let mean = truth.purchases_cents as f64 / 100.0 / purchases as f64;
        [
            ("purchases", int(purchases)),
            ("conversions", int(count(EventType::Conversion))),
            ("revenue", Number::Float(exact.revenue_cents as f64 / 100.0)),
            ("order_value", Number::Float(mean)),
        ]
        .into_iter()
        .filter_map(|(metric, truth)| self.total(metric, truth))
        .collect()
    }

    /// The most frequent values of each field.
    pub fn tops(&self, truth: &Truth) -> Vec<Top> {
        let names = ["top_users", "top_pages", "top_queries", "top_campaigns", "buyer_ips"];
        names.into_iter().filter_map(|name| self.top(name, truth)).collect()
    }

    /// Quantiles of the latency: of all, then by endpoint.
    pub fn latency(&self, truth: &mut Truth) -> Vec<Latency> {
        let mut out = Vec::new();
        for (endpoint, answer) in self.of("latency", "").chain(self.of("latency", "endpoint")) {
            let List::Quantiles(quantiles) = &answer.reading.list else { continue };
            let values = match &endpoint {
                None => &mut truth.exact.latencies_ms,
                Some(name) => match truth.latencies_ms.get_mut(name.as_str()) {
                    Some(values) => values,
                    None => continue,
                },
            };
            let truths = values.quantiles(&quantiles.iter().map(|q| q.q).collect::<Vec<f64>>());
            for (quantile, truth) in quantiles.iter().zip(truths) {
                let (Some(value), Some(low), Some(high)) = (quantile.value, quantile.low, quantile.high)
                else {
                    continue;
                };
                let error = if truth == 0.0 { 0.0 } else { (value - truth) / truth };
                let (endpoint, inside) = (endpoint.clone(), low <= truth && truth <= high);
                out.push(Latency { endpoint, q: quantile.q, value, low, high, truth, error, inside });
            }
        }
        out
    }

    /// Events picked at random.
    pub fn samples(&self) -> Vec<Answer> {
        self.of("orders", "").map(|(_, answer)| answer.clone()).collect()
    }

    /// Answers whose truth is not known.
    pub fn others(&self) -> Vec<Answer> {
        let unknown =
            |answer: &&Answer| answer.metric != "sg.source" && self.work.known(&answer.metric).is_none();
        self.measured.totals.iter().filter(unknown).cloned().collect()
    }

    /// Events, purchases and buyers by window.
    pub fn windows(&self, settings: &Settings, truth: &Truth) -> Option<Windows> {
        let width = self.work.width?;
        let flood = settings.flood_time_range_ms().map(|range| [range.start, range.end].map(time_of_ms));
        let mut found: BTreeMap<(Time, &str), &Answer> = BTreeMap::new();
        for answer in self.measured.windows.iter().filter(|answer| answer.by.is_empty()) {
            if let Some(start) = answer.start.filter(|_| self.work.known(&answer.metric).is_some()) {
                found.insert((start, &answer.metric), answer);
            }
        }
        let row = |(start, slice): (&Time, &Slice)| {
            let compared =
                |metric: &str, truth: u64| Some(compare(found.get(&(*start, metric))?, None, int(truth)));
            let end = start.plus(width);
            Window {
                start: start.to_string(),
                events: compared("events", slice.events),
                purchases: compared("purchases", slice.purchases),
                buyers: compared("buyers", slice.buyers.distinct()),
                flood: flood.is_some_and(|[from, to]| *start < to && from < end),
            }
        };
        let flood = flood.map(|times| times.map(|time| time.to_string()));
        Some(Windows { length: width.to_string(), flood, rows: truth.windows.iter().map(row).collect() })
    }

    /// The answer over all events beside its truth.
    fn total(&self, metric: &str, truth: Number) -> Option<Compared> {
        self.of(metric, "").next().map(|(_, answer)| compare(answer, None, truth))
    }

    /// The answers by one field beside their truths, as far as those are known.
    fn groups(&self, metric: &str, field: &str, truth: impl Fn(&str) -> Option<Number>) -> Vec<Compared> {
        let row = |(group, answer): (Option<String>, &Answer)| {
            let truth = truth(group.as_deref()?)?;
            Some(compare(answer, group, truth))
        };
        self.of(metric, field).filter_map(row).collect()
    }

    /// The totals of a known metric by this field, with the value of the group; by none when it is empty.
    fn of(&self, metric: &str, field: &str) -> impl Iterator<Item = (Option<String>, &'a Answer)> {
        let known = self.work.known(metric).is_some();
        let (metric, field) = (metric.to_string(), field.to_string());
        let all = self.measured.totals.iter().filter(move |a| known && a.metric == metric && !a.other);
        all.filter_map(move |answer| match &answer.by[..] {
            [] if field.is_empty() => Some((None, answer)),
            [(name, Key::String(group))] if *name == field => Some((Some(group.clone()), answer)),
            _ => None,
        })
    }

    fn top(&self, metric: &str, truth: &Truth) -> Option<Top> {
        let (_, answer) = self.of(metric, "").next()?;
        let List::Items(items) = &answer.reading.list else { return None };
        let all = truth.items(metric)?;
        // What weighs as much as the last that belongs there belongs there too.
        let least = all.get(items.len().wrapping_sub(1)).or(all.last()).map_or(0, |(_, count)| *count);
        let truths: BTreeMap<&str, u64> = all.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        let row = |item: &Item| {
            let Key::String(name) = &item.item else { return None };
            let truth = truths.get(name.as_str()).copied().unwrap_or(0);
            let Item { value, low, high, .. } = *item;
            Some(TopItem {
                item: name.clone(),
                value,
                low,
                high,
                truth,
                inside: low <= truth && truth <= high,
            })
        };
        let items: Vec<TopItem> = items.iter().filter_map(row).collect();
        let right = items.iter().filter(|item| item.truth >= least).count();
        Some(Top { metric: metric.to_string(), sketch: answer.reading.sketch.clone(), right, items })
    }
}

/// An answer beside its truth. Sums and means of decimal fractions are exact up to the rounding of a double.
fn compare(answer: &Answer, group: Option<String>, truth: Number) -> Compared {
    let reading = &answer.reading;
    let exactly = truth.as_f64();
    let within = |low: Number, high: Number| {
        let room =
            if reading.is_exact() && matches!(truth, Number::Float(_)) { exactly.abs() * 1e-12 } else { 0.0 };
        low.as_f64() - room <= exactly && exactly <= high.as_f64() + room
    };
    // Where there was nothing to sum up, nothing is the right answer.
    let inside = match (reading.low, reading.high) {
        (Some(low), Some(high)) => within(low, high),
        _ => reading.value.is_none() && (exactly == 0.0 || exactly.is_nan()),
    };
    let error =
        reading.value.map(|value| (value.as_f64() - exactly) / exactly).filter(|error| error.is_finite());
    Compared {
        metric: answer.metric.clone(),
        group,
        value: reading.value,
        low: reading.low,
        high: reading.high,
        confidence: reading.confidence,
        guarantee: reading.guarantee.as_str(),
        sketch: reading.sketch.clone(),
        truth,
        error,
        inside,
    }
}

fn int(n: u64) -> Number {
    Number::Int(i128::from(n))
}

fn time_of_ms(ms: u64) -> Time {
    Time(ms as i64 * 1_000)
}

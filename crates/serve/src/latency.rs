//! How long requests take, by route, and the operations of a run: count, sum, longest, and quantiles by our own sketch.

use crate::exposition::Exposition;
use engine::times::Times;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

const ASKED: [(f64, &str); 3] = [(0.5, "0.5"), (0.9, "0.9"), (0.99, "0.99")];

/// Times of requests by route, since the server was started.
#[derive(Debug, Default)]
pub(crate) struct Latency(Mutex<BTreeMap<String, Times>>);

impl Latency {
    /// Notes a request. There are as many routes as the server has.
    pub fn note(&self, route: &str, took: Duration) {
        let mut routes = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if !routes.contains_key(route) {
            routes.insert(route.into(), Times::default());
        }
        routes.get_mut(route).expect("made above").note(took.as_secs_f64());
    }

    /// As a summary, with the longest and the average beside it.
    pub fn tell(&self, out: &mut Exposition) {
        let routes = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let times: Vec<(Vec<(&str, &str)>, &Times)> =
            routes.iter().map(|(route, times)| (vec![("route", route.as_str())], times)).collect();
        summary(out, ("http_request", "requests took, by route"), &times);
    }
}

/// Families `NAME_duration_seconds`, `_max_seconds` and `_average_seconds` of times with their labels; `help` stands behind "How
/// long".
pub(crate) fn summary(out: &mut Exposition, (name, help): (&str, &str), all: &[(Vec<(&str, &str)>, &Times)]) {
    let told = format!("How long {help}; quantiles are within 1 %.");
    if let Some(mut family) = out.family(&format!("{name}_duration_seconds"), "summary", &told) {
        for (labels, times) in all {
            for (q, word) in ASKED {
                let quantile = [labels.as_slice(), &[("quantile", word)]].concat();
                family.put("", &quantile, times.quantile_s(q));
            }
            family.put("_sum", labels, times.sum_s());
            family.put("_count", labels, times.count() as f64);
        }
    }
    let mut gauge = |end: &str, help: String, value: fn(&Times) -> f64| {
        if let Some(mut family) = out.family(&format!("{name}_duration_{end}_seconds"), "gauge", &help) {
            all.iter().for_each(|(labels, times)| family.put("", labels, value(times)));
        }
    };
    gauge("max", format!("How long the longest {help}."), Times::longest_s);
    gauge("average", format!("How long on average {help}."), Times::average_s);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_by_route() {
        let latency = Latency::default();
        (1..=100).for_each(|ms| latency.note("/v1/events", Duration::from_millis(ms)));
        let mut out = Exposition::new(0);
        latency.tell(&mut out);
        let text = out.finish();
        let value = |line: &str| -> f64 {
            let found =
                text.lines().find_map(|l| l.strip_prefix(line)).unwrap_or_else(|| panic!("{line} in {text}"));
            found.trim().parse().expect("a number")
        };
        let median =
            value("streamgauge_http_request_duration_seconds{route=\"/v1/events\",quantile=\"0.5\"}");
        assert!((median - 0.05).abs() <= 0.0005 + 1e-9, "{median}");
        assert_eq!(value("streamgauge_http_request_duration_seconds_count{route=\"/v1/events\"}"), 100.0);
        assert_eq!(value("streamgauge_http_request_duration_max_seconds{route=\"/v1/events\"}"), 0.1);
    }
}

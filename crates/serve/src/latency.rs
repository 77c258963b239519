//! How long requests take, by route: count, sum, largest, and quantiles by our own sketch.

use crate::exposition::Exposition;
use sketch::quantile::Quantiles;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// Relative error of the quantiles.
const ERROR: f64 = 0.01;
const ASKED: [(f64, &str); 3] = [(0.5, "0.5"), (0.9, "0.9"), (0.99, "0.99")];

/// Times of requests by route, since the server was started.
#[derive(Debug, Default)]
pub(crate) struct Latency(Mutex<BTreeMap<String, Taken>>);

#[derive(Debug)]
struct Taken {
    count: u64,
    sum_s: f64,
    largest_s: f64,
    quantiles: Quantiles,
}

impl Latency {
    /// Notes a request. There are as many routes as the server has.
    pub fn note(&self, route: &str, took: Duration) {
        let seconds = took.as_secs_f64();
        let mut routes = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if !routes.contains_key(route) {
            let quantiles = Quantiles::for_relative_error(ERROR).expect("1 % is within bounds");
            routes.insert(route.into(), Taken { count: 0, sum_s: 0.0, largest_s: 0.0, quantiles });
        }
        let taken = routes.get_mut(route).expect("made above");
        taken.count += 1;
        taken.sum_s += seconds;
        taken.largest_s = taken.largest_s.max(seconds);
        taken.quantiles.update(seconds);
    }

    /// As a summary, with the largest and the average beside it.
    pub fn tell(&self, out: &mut Exposition) {
        let routes = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let help = "How long requests took, by route; quantiles are within 1 %.";
        if let Some(mut family) = out.family("http_request_duration_seconds", "summary", help) {
            for (route, taken) in routes.iter() {
                for (q, word) in ASKED {
                    let value = taken.quantiles.quantile(q).map_or(f64::NAN, |estimate| estimate.value);
                    family.put("", &[("route", route), ("quantile", word)], value);
                }
                family.put("_sum", &[("route", route)], taken.sum_s);
                family.put("_count", &[("route", route)], taken.count as f64);
            }
        }
        let mut gauge = |name: &str, help: &str, value: fn(&Taken) -> f64| {
            if let Some(mut family) = out.family(name, "gauge", help) {
                routes.iter().for_each(|(route, taken)| family.put("", &[("route", route)], value(taken)));
            }
        };
        gauge("http_request_duration_max_seconds", "The longest request, by route.", |taken| taken.largest_s);
        gauge("http_request_duration_average_seconds", "The average request, by route.", |taken| {
            taken.sum_s / taken.count as f64
        });
    }
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

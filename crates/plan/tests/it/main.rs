//! The pipeline file from outside: what good files mean, what bad ones are told, and that no text makes it panic.

mod bad;
mod expressions;
mod good;
mod hash;
mod hostile;
mod infer;
mod language;
mod lint;
mod query;
mod rendered;
mod size;

use plan::{Override, Pipeline, Problems};

/// Parses with overrides given as text.
fn parse(text: &str, set: &[&str]) -> Result<Pipeline, Problems> {
    let set: Vec<_> = set.iter().map(|s| Override::parse(s).expect("a readable override")).collect();
    Pipeline::parse("shop.toml", text, &set)
}

/// A file with event time and two declared fields, to be changed by the tests.
const SHOP: &str = r#"
name     = "shop"
memory   = "64MiB"
accuracy = "2% @ 95%"
panes    = ["1s:15m", "1m:2d", "1h:35d", "1d:400d"]

[source.events]
kind   = "file"
path   = ["events.ndjson", "more/*.jsonl.gz"]
time   = { field = "ts", lateness = "2s", later = "correct", ahead = "1h" }
fields = { user_id = "string", latency_ms = "float64", status = "int64" }
bad    = "quarantine"
null   = ["NA", "-"]

[metric]
visitors  = { measure = "unique(user_id)", by = [[], ["device"]] }
actions   = { measure = "count()", by = ["event_type"] }
top_pages = { measure = "top(page, 50)", keep = "forever" }
latency   = { measure = "quantiles(latency_ms)", by = ["page"], keys = "200 + other", panes = ["1m:6h", "1h:35d"] }
recent    = { measure = "freq(ip)", keep = "5m" }
events    = "count()"

[metric.errors]
measure  = "sum(status)"
accuracy = "1% @ 95%"
"#;

//! A sample through the pipeline: what its state really takes, against what was reckoned.

use crate::Trouble;
use crate::note::note;
use crate::work::How;
use crate::work::Opened;
use engine::batch::Reason;
use engine::series::Role;
use engine::time::Span;
use plan::size::SourceSize;
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// What a sample showed.
#[derive(Debug, Serialize)]
pub struct Sampled {
    pub file: String,
    pub events: u64,
    pub bad: Vec<(&'static str, u64)>,
    pub late: u64,
    pub ahead: u64,
    /// The smallest lateness with which nothing would have been late; none without event time.
    pub lateness_needed: Option<String>,
    /// Totals and all panes, by metric and grouping set.
    pub series: Vec<Used>,
    pub filters: Vec<Filled>,
    pub state_bytes: u64,
    pub events_per_second: f64,
    pub seconds: f64,
}

/// What one metric took under a grouping set.
#[derive(Debug, Serialize)]
pub struct Used {
    pub metric: String,
    pub by: Vec<String>,
    /// Groups found, those that went to the others not counted.
    pub groups: u64,
    /// Groups that went to the others.
    pub groups_folded: u64,
    pub bytes: u64,
    /// The same when every group and pane is there and full.
    pub worst_bytes: u64,
}

/// How full the filter of a `seen` is.
#[derive(Debug, Serialize)]
pub struct Filled {
    pub metric: String,
    pub sketch: String,
    pub fill: f64,
    pub rate: f64,
}

/// Runs the pipeline over `file` with one shard, keeping totals and all panes.
pub fn run(opened: &Opened<'_>, file: &Path, size: &SourceSize) -> Result<Sampled, Trouble> {
    let Some(path) = file.to_str() else {
        return Err(Trouble::question("the name of the sample is not UTF-8 text"));
    };
    let files = runtime::expand(&[path.to_string()], &[Path::new("")]).map_err(Trouble::environment)?;
    let source = &opened.pipeline.spec.sources[0];
    let mut work = opened.work(0, source.clone(), runtime::Input::Files(files));
    // What is bad or late in a sample is counted: the quarantine belongs to the real run.
    let mut counted = source.clone();
    counted.bad = engine::spec::BadPolicy::Count;
    if let Some(time) = counted.time.as_mut().filter(|t| t.later == engine::spec::Later::Quarantine) {
        time.later = engine::spec::Later::Drop;
    }
    work.source = &counted;
    let started = Instant::now();
    let finished =
        work.measure(How { shards: 1, ..How::default() }).map_err(|error| opened.unreadable(0, error))?;
    let seconds = started.elapsed().as_secs_f64();
    note(&opened.pipeline, 0, &finished, &work.quarantine);
    let (tally, outlet) = (finished.tally, &finished.outlet);
    let events = tally.read - tally.bad_total() - tally.exploded_empty;
    let verdicts = outlet.verdicts().readings.iter();
    Ok(Sampled {
        file: path.to_string(),
        events,
        bad: Reason::ALL
            .iter()
            .zip(tally.bad)
            .filter(|(_, n)| *n > 0)
            .map(|(r, n)| (r.as_str(), n))
            .collect(),
        late: tally.late,
        ahead: tally.ahead,
        lateness_needed: source.time.as_ref().map(|_| needed(tally.behind_max_us)),
        series: used(outlet, source, size),
        filters: verdicts
            .map(|(metric, reading)| Filled {
                metric: source.metrics[*metric].name.clone(),
                sketch: reading.sketch.clone().unwrap_or_default(),
                fill: reading.fill.unwrap_or(0.0),
                rate: reading.false_positive_rate.unwrap_or(0.0),
            })
            .collect(),
        state_bytes: outlet.memory_bytes() as u64,
        events_per_second: events as f64 / seconds.max(1e-6),
        seconds,
    })
}

/// In whole seconds where it is more than one: nobody writes more digits.
fn needed(behind_us: u64) -> String {
    let second = engine::time::SECOND as u64;
    let rounded = if behind_us > second { behind_us.div_ceil(second) * second } else { behind_us };
    Span(i64::try_from(rounded).unwrap_or(i64::MAX)).to_string()
}

fn used(outlet: &engine::outlet::Outlet<'_>, source: &engine::spec::Source, size: &SourceSize) -> Vec<Used> {
    let columns = source.columns();
    let mut out = Vec::new();
    for reckoned in &size.series {
        for set in outlet.sets() {
            let by: Vec<&str> = set.groups.fields().iter().map(|&f| columns[f].path.as_str()).collect();
            if by != reckoned.by {
                continue;
            }
            let own = set.series.iter().filter(|series| series.metric == reckoned.index);
            let bytes: usize = own.clone().map(|series| series.memory_bytes()).sum();
            if own.clone().any(|series| series.role == Role::Measured) {
                out.push(Used {
                    metric: reckoned.metric.clone(),
                    by: reckoned.by.clone(),
                    groups: if by.is_empty() { 1 } else { set.groups.live() as u64 },
                    groups_folded: set.groups.folded(),
                    bytes: bytes as u64,
                    worst_bytes: reckoned.worst_bytes,
                });
            }
        }
    }
    out
}

//! Where closed panes go: the sinks of a pipeline, and which panes of which metrics each takes.

use crate::file::sink::{SinkKind, SinkTable};
use crate::problem::{Placed, Problem, Problems, did_you_mean, listed};
use engine::spec::{Measure, Metric, Source};
use engine::time::Span;

/// A sink, with what leaves through it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sink {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: SinkKind,
    /// By source and metric: the level whose closed panes leave; `None` where none do.
    pub levels: Vec<Vec<Option<Span>>>,
}

/// Finds the metrics of each sink.
pub(crate) fn build(tables: &[SinkTable], sources: &[Source], problems: &mut Problems) -> Vec<Sink> {
    let mut out: Vec<Sink> = Vec::new();
    for table in tables {
        let Some(kind) = &table.kind else { continue };
        let before = problems.len();
        let levels: Vec<Vec<Option<Span>>> = match &table.metrics {
            Some(names) => named(table, names, sources, problems),
            None => sources.iter().map(|source| all(table, source)).collect(),
        };
        let used = levels.iter().filter(|levels| levels.iter().any(Option::is_some)).count();
        if problems.len() == before && used == 0 {
            problems.push(nothing(table, sources));
        }
        for (source, levels) in sources.iter().zip(&levels) {
            forgotten_early(table, source, levels, problems);
        }
        if let SinkKind::File { path, .. } = &kind.value {
            if used > 1 {
                let message =
                    format!("sink `{}` would take panes of several sources into one file", table.name.value);
                let hint = "write one sink for each source, and name its `metrics`";
                problems.push(Problem::at(&table.name.place, message).hint(hint));
            }
            let plain = path.trim_start_matches("./");
            let same = |other: &Sink| match &other.kind {
                SinkKind::File { path: theirs, .. } => theirs.trim_start_matches("./") == plain,
                SinkKind::Stdout => false,
            };
            if out.iter().any(same) {
                let problem = Problem::at(&kind.place, format!("another sink writes `{path}`"));
                problems.push(problem.hint("use another path"));
            }
        }
        out.push(Sink { name: table.name.value.clone(), kind: kind.value.clone(), levels });
    }
    out
}

/// A group that is forgotten while its panes can still be corrected would come back in them without what it had.
fn forgotten_early(table: &SinkTable, source: &Source, levels: &[Option<Span>], problems: &mut Problems) {
    let Some(ttl) = source.groups_ttl else { return };
    for (metric, size) in source.metrics.iter().zip(levels) {
        let level = metric.levels.iter().find(|level| Some(level.size) == *size);
        let Some(level) = level.filter(|level| metric.by.iter().any(|by| !by.is_empty()) && ttl < level.keep)
        else {
            continue;
        };
        let message = format!(
            "sink `{}` lets panes of `{}` leave that are kept for {}, and source `{}` forgets groups after {ttl}: a late event \
             would bring a group back without what it had",
            table.name.value, metric.name, level.keep, source.name
        );
        let hint = format!(
            "write groups_ttl = \"{}\" or longer, or keep those panes for a shorter time",
            level.keep
        );
        problems.push(Problem::at(&table.name.place, message).hint(hint));
        return;
    }
}

/// The metrics that are named, each of which must have such panes.
fn named(
    table: &SinkTable,
    names: &[Placed<String>],
    sources: &[Source],
    problems: &mut Problems,
) -> Vec<Vec<Option<Span>>> {
    let mut levels: Vec<Vec<Option<Span>>> =
        sources.iter().map(|source| vec![None; source.metrics.len()]).collect();
    for name in names {
        let place_of = |source: &Source| source.metrics.iter().position(|metric| metric.name == name.value);
        let found = sources.iter().enumerate().find_map(|(i, source)| Some((i, place_of(source)?)));
        let Some((source, metric)) = found else {
            let known: Vec<&str> =
                sources.iter().flat_map(|s| &s.metrics).map(|metric| metric.name.as_str()).collect();
            let hint = match did_you_mean(&name.value, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("there are {}", listed(&known)),
            };
            problems
                .push(Problem::at(&name.place, format!("there is no metric `{}`", name.value)).hint(hint));
            continue;
        };
        match level(table, &sources[source].metrics[metric]) {
            Some(level) => levels[source][metric] = Some(level),
            None => problems.push(without(table, name, &sources[source].metrics[metric])),
        }
    }
    levels
}

/// All metrics that have such panes.
fn all(table: &SinkTable, source: &Source) -> Vec<Option<Span>> {
    source.metrics.iter().map(|metric| level(table, metric)).collect()
}

fn level(table: &SinkTable, metric: &Metric) -> Option<Span> {
    // Sessions that are held may still change, whatever the panes.
    if !metric.measure.has_cells() {
        return None;
    }
    match &table.panes {
        Some(panes) => metric.levels.iter().map(|level| level.size).find(|size| *size == panes.value),
        None => metric.levels.first().map(|level| level.size),
    }
}

/// A metric that is named and has no such panes.
fn without(table: &SinkTable, name: &Placed<String>, metric: &Metric) -> Problem {
    let sizes: Vec<String> = metric.levels.iter().map(|level| level.size.to_string()).collect();
    let sizes: Vec<&str> = sizes.iter().map(String::as_str).collect();
    if matches!(metric.measure, Measure::Session { .. }) {
        let message = format!("metric `{}` is of sessions, and panes of those do not leave yet", name.value);
        return Problem::at(&name.place, message).hint("leave it out: `run` reports it");
    }
    match &table.panes {
        Some(panes) if !sizes.is_empty() => {
            let message = format!("metric `{}` has no panes of {}", name.value, panes.value);
            Problem::at(&panes.place, message).hint(format!("there are {}", listed(&sizes)))
        }
        _ => {
            let message = format!("metric `{}` has no panes, so none can leave", name.value);
            Problem::at(&name.place, message).hint("leave it out, or give its source `time` and it `panes`")
        }
    }
}

fn nothing(table: &SinkTable, sources: &[Source]) -> Problem {
    let message = format!("nothing would leave through sink `{}`", table.name.value);
    let problem = Problem::at(&table.name.place, message);
    match &table.panes {
        Some(panes) if sources.iter().flat_map(|s| &s.metrics).any(|metric| !metric.levels.is_empty()) => {
            problem.hint(format!("no metric has panes of {}", panes.value))
        }
        _ => problem.hint("no metric has panes: give a source `time` and its metrics `panes`"),
    }
}

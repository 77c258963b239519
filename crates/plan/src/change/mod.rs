//! What a change of the pipeline file does to a state that is kept: which metrics go on with theirs, which begin, which go.
//!
//! A metric keeps its state when nothing has changed that decides its bytes: the measure with its parameters, what its fields
//! are and how they are derived, the filter, the verdicts behind all of these, the lengths of its panes, `keys`; each
//! grouping set is judged by itself. Everything begins anew where events are other events: another format, another
//! `explode`, another hash or key, another event time. What is left (paths, sinks, memory, lateness) may change freely.

mod define;
mod words;

use crate::columns::Definition;
use crate::input::InputKind;
use crate::pipeline::Pipeline;
use define::{Known, Side, kept_as};
use engine::adopt::{Adopted, Adoption};
use engine::spec::{Format, Metric, Source, TimeFrom};
use serde::Serialize;
use words::{beside, format_words, free, ladder, measured, time_words};

/// What has changed between two pipelines.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Changes {
    /// What stands beside the sources, and may change freely.
    pub free: Vec<Change>,
    /// Sources, the new pipeline's first.
    pub sources: Vec<SourceChanges>,
}

/// What has changed in one source.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceChanges {
    /// Its name.
    pub source: String,
    /// What becomes of it: `part` when some of its metrics keep their state.
    pub fate: Fate,
    /// Why no state can go on with this, whatever measures the same: it needs another directory.
    pub refused: Option<String>,
    /// What makes everything begin anew.
    pub anew: Vec<Change>,
    /// What else has changed, and costs no state.
    pub free: Vec<Change>,
    /// The new pipeline's metrics, then those that go.
    pub metrics: Vec<MetricChanges>,
    /// The same for the engine; `None` of a source that is not in both.
    #[serde(skip)]
    pub adoption: Option<Adoption>,
}

/// What has changed in one metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricChanges {
    /// Its name.
    pub metric: String,
    /// What becomes of its state: `part` when some grouping sets keep theirs.
    pub fate: Fate,
    /// What has changed.
    pub changed: Vec<Change>,
    /// Grouping sets that begin, where it keeps others.
    pub begins_by: Vec<Vec<String>>,
    /// Grouping sets that go, where it keeps others.
    pub goes_by: Vec<Vec<String>>,
}

/// What becomes of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It stays as it is.
    Keeps,
    /// Some of it stays.
    Part,
    /// It begins empty.
    Begins,
    /// It is dropped.
    Goes,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What is different.
    pub what: String,
    /// What it was; `None` where there was nothing.
    pub old: Option<String>,
    /// What it is; `None` where there is nothing any more.
    pub new: Option<String>,
}

impl Changes {
    /// Between a pipeline and the one that takes its place.
    pub fn between(old: &Pipeline, new: &Pipeline) -> Changes {
        let mut known = Known::default();
        let find =
            |pipeline: &Pipeline, name: &str| pipeline.spec.sources.iter().position(|s| s.name == name);
        let kept = new.spec.sources.iter().enumerate().map(|(at, source)| match find(old, &source.name) {
            Some(before) => both(&mut Side::of(old, before), &mut Side::of(new, at), &mut known),
            None => one(source, Fate::Begins),
        });
        let mut sources: Vec<SourceChanges> = kept.collect();
        let gone = old.spec.sources.iter().filter(|source| find(new, &source.name).is_none());
        sources.extend(gone.map(|source| one(source, Fate::Goes)));
        Changes { free: beside(old, new), sources }
    }

    /// Whether every state stays as it is.
    pub fn keeps_all(&self) -> bool {
        self.sources.iter().all(|source| source.fate == Fate::Keeps && source.refused.is_none())
    }

    /// What has changed in this source.
    pub fn of(&self, source: &str) -> Option<&SourceChanges> {
        self.sources.iter().find(|changes| changes.source == source)
    }
}

impl SourceChanges {
    /// The first thing that does not keep its state, as a sentence; `None` when all does.
    pub fn first(&self) -> Option<String> {
        let source = &self.source;
        if let Some(change) = self.anew.first() {
            return Some(format!("source `{source}` has another {change}, so everything begins anew"));
        }
        let metric = self.metrics.iter().find(|metric| metric.fate != Fate::Keeps)?;
        let name = &metric.metric;
        Some(match (metric.fate, metric.changed.first()) {
            (Fate::Goes, _) => format!("metric `{name}` goes"),
            (_, None) => format!("metric `{name}` is new"),
            (_, Some(change)) => format!("metric `{name}` has another {change}"),
        })
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
        write!(f, "{}: {} -> {}", self.what, shown(&self.old), shown(&self.new))
    }
}

/// A source that is in one of them only.
fn one(source: &Source, fate: Fate) -> SourceChanges {
    let of = |metric: &Metric| MetricChanges::plain(metric, fate);
    SourceChanges {
        source: source.name.clone(),
        fate,
        refused: None,
        anew: Vec::new(),
        free: Vec::new(),
        metrics: source.metrics.iter().map(of).collect(),
        adoption: None,
    }
}

impl MetricChanges {
    fn plain(metric: &Metric, fate: Fate) -> MetricChanges {
        let (changed, begins_by, goes_by) = Default::default();
        MetricChanges { metric: metric.name.clone(), fate, changed, begins_by, goes_by }
    }
}

/// A source that is in both.
fn both(old: &mut Side<'_>, new: &mut Side<'_>, known: &mut Known) -> SourceChanges {
    let anew = anew(old, new, known);
    let mut metrics = Vec::new();
    let mut adopted = Vec::new();
    for (number, metric) in new.source.metrics.iter().enumerate() {
        let Some(before) = old.metric(&metric.name) else {
            metrics.push(MetricChanges::plain(metric, Fate::Begins));
            adopted.push(None);
            continue;
        };
        let (changes, sets) = compare(old, before, new, number, known, !anew.is_empty());
        let kept = sets.iter().any(Option::is_some);
        adopted.push(kept.then_some(Adopted { metric: before, sets }));
        metrics.push(changes);
    }
    let gone = old.source.metrics.iter().filter(|metric| new.metric(&metric.name).is_none());
    metrics.extend(gone.map(|metric| MetricChanges::plain(metric, Fate::Goes)));
    let all = |fate: Fate| metrics.iter().all(|metric| metric.fate == fate);
    let fate = match () {
        () if anew.is_empty() && all(Fate::Keeps) => Fate::Keeps,
        () if metrics.iter().any(|metric| matches!(metric.fate, Fate::Keeps | Fate::Part)) => Fate::Part,
        () => Fate::Begins,
    };
    let clock = time_is_same(old, new, known);
    SourceChanges {
        source: new.source.name.clone(),
        fate,
        refused: refused(old, new),
        anew,
        free: free(old, new),
        metrics,
        adoption: Some(Adoption { metrics: adopted, clock }),
    }
}

fn note(changed: &mut Vec<Change>, what: &str, old: String, new: String) {
    let change = Change { what: what.into(), old: Some(old), new: Some(new) };
    // A field that is another one is told once, wherever it is read.
    if !changed.iter().any(|known| (&known.old, &known.new) == (&change.old, &change.new)) {
        changed.push(change);
    }
}

/// What has changed in a metric, and which grouping set goes on with which.
fn compare(
    old: &mut Side<'_>,
    before: usize,
    new: &mut Side<'_>,
    number: usize,
    known: &mut Known,
    anew: bool,
) -> (MetricChanges, Vec<Option<usize>>) {
    let (a, b) = (&old.source.metrics[before], &new.source.metrics[number]);
    let mut changed = Vec::new();
    if kept_as(old.source, a) != kept_as(new.source, b) {
        note(&mut changed, "measure", measured(old, a), measured(new, b));
    } else {
        let (ours, theirs) = (old.operands(a), new.operands(b));
        let filters = (a.filter.is_some(), b.filter.is_some());
        let read = |n: &Vec<usize>, filter| n.len() - usize::from(filter);
        let pairs = ours[..read(&ours, filters.0)].iter().zip(&theirs[..read(&theirs, filters.1)]);
        if let Some((x, y)) =
            pairs.into_iter().find(|(x, y)| old.define(**x, known) != new.define(**y, known))
        {
            let (x, y) = root(old, *x, new, *y, known);
            note(&mut changed, "field", old.shown(x), new.shown(y));
        } else if read(&ours, filters.0) != read(&theirs, filters.1) {
            note(&mut changed, "measure", measured(old, a), measured(new, b));
        }
    }
    let filter = |side: &mut Side<'_>, metric: &Metric, known: &mut Known| {
        metric.filter.map(|column| side.define(column, known))
    };
    if filter(old, a, known) != filter(new, b, known) {
        match (a.filter, b.filter) {
            (Some(x), Some(y)) => {
                let (x, y) = root(old, x, new, y, known);
                note(&mut changed, "filter", old.shown(x), new.shown(y));
            }
            (x, y) => {
                let shown =
                    |side: &Side<'_>, column: Option<usize>| column.map_or("none".into(), |c| side.shown(c));
                note(&mut changed, "filter", shown(old, x), shown(new, y));
            }
        }
    }
    let sizes = |metric: &Metric| metric.levels.iter().map(|level| level.size).collect::<Vec<_>>();
    if sizes(a) != sizes(b) || a.total != b.total {
        note(&mut changed, "ladder of panes", ladder(a), ladder(b));
    }
    let whole = changed.is_empty() && !anew;
    let sets: Vec<Option<usize>> =
        b.by.iter()
            .map(|set| {
                let ids: Vec<usize> = set.iter().map(|&column| new.define(column, known)).collect();
                let same = |other: &Vec<usize>, old: &mut Side<'_>, known: &mut Known| {
                    other.iter().map(|&column| old.define(column, known)).collect::<Vec<_>>() == ids
                };
                let found = (0..a.by.len()).find(|&at| same(&a.by[at], old, known));
                found.filter(|_| whole && (set.is_empty() || a.groups_max == b.groups_max))
            })
            .collect();
    let mut changes = MetricChanges::plain(b, Fate::Keeps);
    if whole {
        let begins = b.by.iter().zip(&sets).filter(|(_, set)| set.is_none());
        changes.begins_by = begins.map(|(by, _)| new.names(by)).collect();
        let gone = (0..a.by.len()).filter(|at| !sets.contains(&Some(*at)));
        changes.goes_by = gone.map(|at| old.names(&a.by[at])).collect();
        if a.groups_max != b.groups_max {
            note(
                &mut changed,
                "number of groups",
                format!("{} + other", a.groups_max),
                format!("{} + other", b.groups_max),
            );
        }
        by_changes(old, a, new, b, known, &mut changed);
    }
    changes.fate = match () {
        () if !sets.iter().any(Option::is_some) => Fate::Begins,
        () if changes.begins_by.is_empty() && changes.goes_by.is_empty() => Fate::Keeps,
        () => Fate::Part,
    };
    changes.changed = changed;
    if changes.fate == Fate::Begins {
        (changes.begins_by, changes.goes_by) = Default::default();
    }
    (changes, sets)
}

/// Notes other grouping sets, and fields in them that are others under one name.
fn by_changes(
    old: &mut Side<'_>,
    a: &Metric,
    new: &mut Side<'_>,
    b: &Metric,
    known: &mut Known,
    changed: &mut Vec<Change>,
) {
    let named = |side: &Side<'_>, metric: &Metric| {
        let mut sets: Vec<Vec<String>> = metric.by.iter().map(|set| side.names(set)).collect();
        sets.sort();
        sets
    };
    if named(old, a) != named(new, b) {
        let shown = |side: &Side<'_>, metric: &Metric| {
            format!("{:?}", metric.by.iter().map(|s| side.names(s)).collect::<Vec<_>>())
        };
        note(changed, "by", shown(old, a), shown(new, b));
    }
    for &y in b.by.iter().flatten() {
        let x = a.by.iter().flatten().copied().find(|&x| old.columns[x].path == new.columns[y].path);
        if let Some(x) = x.filter(|&x| old.define(x, known) != new.define(y, known)) {
            let (x, y) = root(old, x, new, y, known);
            return note(changed, "field", old.shown(x), new.shown(y));
        }
    }
}

/// Where two columns that are not the same begin to differ: in themselves, or in what they are made of.
fn root(old: &mut Side<'_>, x: usize, new: &mut Side<'_>, y: usize, known: &mut Known) -> (usize, usize) {
    let (mut x, mut y) = (x, y);
    loop {
        let used = match (&old.definitions[x], &new.definitions[y]) {
            (Definition::Expression(a, ours), Definition::Expression(b, theirs))
                if a == b && ours.len() == theirs.len() =>
            {
                (ours.clone(), theirs.clone())
            }
            (Definition::Verdict(a), Definition::Verdict(b)) => {
                let (a, b) = (&old.source.metrics[*a], &new.source.metrics[*b]);
                if kept_as(old.source, a) != kept_as(new.source, b)
                    || a.filter.is_some() != b.filter.is_some()
                {
                    return (x, y);
                }
                (old.operands(a), new.operands(b))
            }
            _ => return (x, y),
        };
        let mut pairs = used.0.into_iter().zip(used.1);
        match pairs.find(|&(a, b)| old.define(a, known) != new.define(b, known)) {
            Some(pair) => (x, y) = pair,
            None => return (x, y),
        }
    }
}

/// How far an input was read must mean something to the new pipeline.
fn refused(old: &Side<'_>, new: &Side<'_>) -> Option<String> {
    let http = |side: &Side<'_>| side.input.kind == InputKind::Http;
    let rows = |side: &Side<'_>| side.source.format == Format::Parquet;
    if http(old) != http(new) {
        return Some(
            "how far files were read says nothing of what came over HTTP, and the other way round".into(),
        );
    }
    (rows(old) != rows(new)).then(|| {
        "how far files were read is counted in rows for Parquet and in bytes for other formats".to_string()
    })
}

/// What makes everything begin anew.
fn anew(old: &mut Side<'_>, new: &mut Side<'_>, known: &mut Known) -> Vec<Change> {
    let mut out = Vec::new();
    let mut note = |what: &str, old: Option<String>, new: Option<String>| {
        out.push(Change { what: what.into(), old, new });
    };
    let (a, b) = (old.source, new.source);
    if a.format != b.format {
        note("format", Some(format_words(&a.format)), Some(format_words(&b.format)));
    }
    if a.hashing.agree(&b.hashing).is_err() {
        let (ours, theirs) = (a.hashing.as_str(), b.hashing.as_str());
        let key = if ours == theirs { " (under another key)" } else { "" };
        note("hash", Some(ours.into()), Some(format!("{theirs}{key}")));
    }
    let exploded = |side: &mut Side<'_>, known: &mut Known| {
        side.source.explode.is_some().then(|| side.define(side.source.fields.len(), known))
    };
    if exploded(old, known) != exploded(new, known) {
        let shown =
            |side: &Side<'_>| side.source.explode.as_ref().map(|_| side.shown(side.source.fields.len()));
        note("explode", shown(old), shown(new));
    }
    if !time_is_same(old, new, known) {
        note("event time", time_words(old), time_words(new));
    }
    out
}

/// Whether clocks mean the same in both.
fn time_is_same(old: &mut Side<'_>, new: &mut Side<'_>, known: &mut Known) -> bool {
    let of = |side: &mut Side<'_>, known: &mut Known| {
        let time = side.source.time.as_ref()?;
        Some(match &time.from {
            TimeFrom::Column { column, format } => {
                let number = side.define(*column, known);
                format!("column {number} {format:?}")
            }
            from => format!("{from:?}"),
        })
    };
    of(old, known) == of(new, known)
}

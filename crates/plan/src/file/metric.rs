//! `[metric]`: what is measured, per group and pane.

use super::expression::Expression;
use super::section::{Section, string_in, wrong_type};
use super::tree::{self, Entry, Node, Value};
use super::values::{check_name, count, groups, ladder, span_above_zero};
use crate::accuracy::{Accuracy, percent};
use crate::measure::{self, Operand, What, Written};
use crate::problem::{Place, Placed, Problem, Problems};
use engine::spec::Level;
use engine::time::Span;
use sketch::bloom::Size;

/// Groups kept apart when `keys` does not say.
const GROUPS_DEFAULT: usize = 1_000;
/// Most grouping sets of one metric.
const SETS_MAX: usize = 32;
/// Most fields of one grouping set.
const SET_FIELDS_MAX: usize = 16;
/// Keys of the design that this version does not have.
const UNBUILT: [&str; 3] = ["measures", "freshness", "hash"];

/// One metric as it was written.
#[derive(Debug)]
pub(crate) struct MetricTable {
    pub name: Placed<String>,
    pub measure: Option<Measured>,
    pub by: Vec<Vec<Placed<String>>>,
    pub groups_max: usize,
    pub panes: Option<Placed<Vec<Level>>>,
    pub keep: Option<Placed<Keep>>,
    /// Keys and false-positive rate of a filter.
    pub size: Option<Placed<Size>>,
    pub accuracy: Option<Placed<Accuracy>>,
    pub from: Option<Placed<String>>,
}

/// The measure with what it reads.
#[derive(Debug)]
pub(crate) struct Measured {
    pub what: What,
    pub operand: Option<Expression>,
    pub weight: Option<Expression>,
    pub filter: Option<Expression>,
    /// The columns of a sample.
    pub shown: Vec<Expression>,
}

/// How long a metric remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The total only.
    Forever,
    /// A ring of the finest panes.
    Ring(Span),
}

/// Reads one entry of `[metric]`: a table, or the expression alone.
pub(crate) fn read(entry: &Entry, problems: &mut Problems) -> MetricTable {
    let name = Placed { value: entry.key.as_str(), place: entry.key_place.clone() };
    check_name("metric", &name, problems);
    let mut metric = MetricTable {
        name: Placed { value: entry.key.clone(), place: entry.key_place.clone() },
        measure: None,
        by: vec![Vec::new()],
        groups_max: GROUPS_DEFAULT,
        panes: None,
        keep: None,
        size: None,
        accuracy: None,
        from: None,
    };
    match &entry.node.value {
        Value::String(text) => {
            metric.measure = measured(text, &entry.node.place, problems);
            check_verdict(&metric, true, None, None, problems);
        }
        Value::Table(table) => {
            let section = Section::new(format!("metric `{}`", entry.key), &entry.key_place, table);
            read_table(&mut metric, section, problems);
        }
        other => {
            let problem = Problem::at(
                &entry.node.place,
                format!("metric `{}` must be a measure or a table", entry.key),
            );
            problems.push(
                problem
                    .label(format!("this is {}", other.kind()))
                    .hint("as in visitors = \"unique(user_id)\""),
            );
        }
    }
    metric
}

fn read_table(metric: &mut MetricTable, mut section: Section<'_>, problems: &mut Problems) {
    if section.lacks("measure") {
        let problem = Problem::at(&section.place, format!("metric `{}` has no `measure`", metric.name.value));
        problems.push(problem.hint("add one, as in measure = \"unique(user_id)\""));
    }
    if let Some(text) = section.string("measure", problems) {
        metric.measure = measured(text.value, &text.place, problems);
    }
    let by = section.entry("by");
    let (by, by_place) = (by.map(|entry| &entry.node), by.map(|entry| &entry.key_place));
    if let Some(by) = by {
        metric.by = sets(by, problems);
    }
    let keys_place = section.entry("keys").map(|entry| entry.key_place.clone());
    if let Some(keys) = section.parsed("keys", problems, groups) {
        metric.groups_max = keys.value;
        if by.is_none() || metric.by.iter().all(Vec::is_empty) {
            let place = keys_place.clone().unwrap_or(keys.place);
            let problem = Problem::at(&place, "`keys` bounds groups, and this metric has none");
            problems.push(problem.hint("add `by`, or leave `keys` out"));
        }
    }
    metric.panes = section.entry("panes").and_then(|entry| {
        let place = entry.key_place.clone();
        ladder(&entry.node, problems).map(|value| Placed { value, place })
    });
    metric.keep = section.parsed("keep", problems, keep);
    metric.accuracy = section.parsed("accuracy", problems, Accuracy::parse);
    metric.from =
        section.string("from", problems).map(|p| Placed { value: p.value.to_string(), place: p.place });
    if let (Some(_), Some(keep)) = (&metric.panes, &metric.keep) {
        let (message, hint) = match keep.value {
            Keep::Forever => (
                "`keep = \"forever\"` keeps only the total, so `panes` has no meaning",
                "leave one of them out",
            ),
            Keep::Ring(_) => ("`keep` and `panes` both say how long panes are kept", "leave one of them out"),
        };
        problems.push(Problem::at(&keep.place, message).hint(hint));
    }
    let lacks_size = section.lacks("size");
    metric.size = section.parsed("size", problems, size);
    for key in ["where", "filter"] {
        if let Some(entry) = section.entry(key) {
            let problem = Problem::at(&entry.key_place, format!("`{key}` belongs to the measure"));
            problems.push(problem.hint("as in measure = \"count() filter (where status >= 500)\""));
        }
    }
    section.finish(&UNBUILT, problems);
    check_verdict(metric, lacks_size, by_place, keys_place.as_ref(), problems);
}

/// A `seen` metric is one filter over all events, or those of the last time.
fn check_verdict(
    metric: &MetricTable,
    lacks_size: bool,
    by: Option<&Place>,
    keys: Option<&Place>,
    problems: &mut Problems,
) {
    if metric.is_session() {
        for (place, key) in [(by, "by"), (keys, "keys")] {
            if let Some(place) = place {
                let problem =
                    Problem::at(place, format!("`session` takes no `{key}`: sessions are those of its key"));
                problems.push(
                    problem.hint("take a metric for each: session(user_id, gap => '30m') filter (where ...)"),
                );
            }
        }
    }
    if !metric.is_verdict() {
        if let (Some(size), Some(_)) = (&metric.size, &metric.measure) {
            let problem = Problem::at(&size.place, "`size` is for `seen`");
            let hint = match metric.is_session() {
                true => "say how many sessions are held at once: open => '1M'",
                false => "other measures are sized by `accuracy`",
            };
            problems.push(problem.hint(hint));
        }
        return;
    }
    let panes = metric.panes.as_ref().map(|panes| &panes.place);
    for (place, key) in [(by, "by"), (keys, "keys"), (panes, "panes")] {
        if let Some(place) = place {
            let problem =
                Problem::at(place, format!("`seen` is one filter over all events, without `{key}`"));
            let name = &metric.name.value;
            problems.push(problem.hint(format!("group what uses it: count() filter (where not {name})")));
        }
    }
    if lacks_size {
        let problem =
            Problem::at(&metric.name.place, format!("`{}` does not say its `size`", metric.name.value));
        problems.push(problem.hint("add how many keys at which rate of false positives: size = \"1M @ 1%\""));
    }
}

/// Reads `1M @ 1%`: how many keys, and the false-positive rate with that many.
fn size(text: &str) -> Result<Size, String> {
    let shape = || format!("`{text}` is not a size: write keys and a false-positive rate, as in \"1M @ 1%\"");
    let (keys, rate) = text.split_once('@').ok_or_else(shape)?;
    let (keys, rate) = (count(keys).ok_or_else(shape)?, percent(rate).ok_or_else(shape)?);
    Size::new(keys, rate).map_err(|why| why.to_string())
}

fn keep(text: &str) -> Result<Keep, String> {
    if text == "forever" {
        return Ok(Keep::Forever);
    }
    span_above_zero(text).map(Keep::Ring).map_err(|why| format!("{why}; or \"forever\""))
}

/// Reads the expression; its faults are placed in the file.
fn measured(text: &str, place: &Place, problems: &mut Problems) -> Option<Measured> {
    match measure::parse(text) {
        Ok(written) => {
            let Written { what, operand, weight, shown, filter } = written;
            let mut read = |operand: Operand| Expression::of_operand(operand, text, place, problems);
            // All of them, so that all faults are told.
            let (operand, weight, filter) =
                (operand.map(&mut read), weight.map(&mut read), filter.map(&mut read));
            let shown: Vec<Option<Expression>> = shown.into_iter().map(read).collect();
            let whole = |read: Option<Option<Expression>>| match read {
                Some(None) => Err(()),
                Some(Some(expression)) => Ok(Some(expression)),
                None => Ok(None),
            };
            let (operand, weight, filter) = (whole(operand).ok()?, whole(weight).ok()?, whole(filter).ok()?);
            let shown = shown.into_iter().collect::<Option<Vec<_>>>()?;
            Some(Measured { what, operand, weight, filter, shown })
        }
        Err(fault) => {
            let place = tree::inside(problems, place, text, fault.span);
            problems.push(Problem::at(&place, fault.message).hint_if(fault.hint));
            None
        }
    }
}

/// Grouping sets: a list of fields is one set, a list of lists several. Wrong sets are left out.
fn sets(by: &Node, problems: &mut Problems) -> Vec<Vec<Placed<String>>> {
    let Value::Array(nodes) = &by.value else {
        problems.push(
            wrong_type("by", "an array of fields", by).hint("as in by = [\"device\"] or [[], [\"device\"]]"),
        );
        return Vec::new();
    };
    let several = nodes.iter().any(|node| matches!(node.value, Value::Array(_)));
    if !several {
        return vec![set(nodes, problems)];
    }
    if nodes.len() > SETS_MAX {
        problems.push(Problem::at(&by.place, format!("`by` has more than {SETS_MAX} grouping sets")));
        return Vec::new();
    }
    let mut sets: Vec<Vec<Placed<String>>> = Vec::new();
    for node in nodes {
        let Value::Array(fields) = &node.value else {
            let problem = Problem::at(&node.place, "`by` mixes fields and lists of fields");
            problems
                .push(problem.hint("write [\"a\", \"b\"] for one grouping set or [[], [\"a\"]] for several"));
            continue;
        };
        let next = set(fields, problems);
        if sets.iter().any(|other| same_fields(other, &next)) {
            problems.push(Problem::at(&node.place, "this grouping set is there twice").hint("leave it out"));
        }
        sets.push(next);
    }
    sets
}

fn set(nodes: &[Node], problems: &mut Problems) -> Vec<Placed<String>> {
    let mut fields: Vec<Placed<String>> = Vec::new();
    for node in nodes {
        let Some(field) = string_in("by", node, problems) else { continue };
        if field.value.is_empty() {
            problems.push(Problem::at(&field.place, "the name of a field is empty"));
        } else if fields.iter().any(|other| other.value == field.value) {
            problems.push(
                Problem::at(&field.place, format!("`{}` is there twice", field.value)).hint("leave it out"),
            );
        } else if fields.len() == SET_FIELDS_MAX {
            problems.push(Problem::at(
                &field.place,
                format!("a grouping set has at most {SET_FIELDS_MAX} fields"),
            ));
            break;
        } else {
            fields.push(Placed { value: field.value.to_string(), place: field.place });
        }
    }
    fields
}

/// Whether two sets hold the same fields, in whatever order.
fn same_fields(a: &[Placed<String>], b: &[Placed<String>]) -> bool {
    a.len() == b.len() && a.iter().all(|field| b.iter().any(|other| other.value == field.value))
}

//! `[view]`: queries with a name.

use super::section::wrong_type;
use super::tree::{Entry, Value};
use super::values::check_name;
use crate::problem::{Placed, Problem, Problems};
use crate::query::{View, check_views};
use engine::spec::Source;

/// One view as it was written.
#[derive(Debug)]
pub(crate) struct ViewText {
    pub name: Placed<String>,
    pub sql: Placed<String>,
}

/// Reads one entry of `[view]`.
pub(crate) fn read(entry: &Entry, problems: &mut Problems) -> Option<ViewText> {
    let name = Placed { value: entry.key.as_str(), place: entry.key_place.clone() };
    check_name("view", &name, problems);
    let Value::String(sql) = &entry.node.value else {
        let problem = wrong_type(&entry.key, "a string", &entry.node);
        problems.push(problem.hint("as in now = \"select device, value from visitors('5m')\""));
        return None;
    };
    let name = Placed { value: entry.key.clone(), place: entry.key_place.clone() };
    Some(ViewText { name, sql: Placed { value: sql.clone(), place: entry.node.place.clone() } })
}

/// The views, which use metrics and one another by names that there are.
pub(crate) fn build(views: &[ViewText], sources: &[Source], problems: &mut Problems) -> Vec<View> {
    for view in views {
        let name = &view.name.value;
        if sources.iter().flat_map(|source| &source.metrics).any(|metric| metric.name == *name) {
            let message = format!("`{name}` is a metric already, and a query could mean either");
            problems.push(Problem::at(&view.name.place, message).hint("use another name"));
        }
    }
    let all: Vec<View> = views
        .iter()
        .map(|view| View { name: view.name.value.clone(), sql: view.sql.value.clone() })
        .collect();
    if problems.is_empty() && !all.is_empty() {
        for (at, error) in check_views(sources, &all) {
            let message = error.message;
            problems.push(Problem::at(&views[at].sql.place, message).hint_if(error.hint));
        }
    }
    all
}

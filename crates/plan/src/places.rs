//! Where the words of a good file stand, for trouble that only the data can show.
//!
//! A field that no event has, or a path that names no file, is written in the pipeline file all the same: what is said
//! of it should point there, like every other problem of the file.

use crate::columns::Columns;
use crate::file::metric::MetricTable;
use crate::file::source::SourceTable;
use crate::problem::{Place, Placed};
use std::collections::BTreeSet;

/// The texts of a pipeline and where its sources speak of data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    /// Name and content: the file, then each override.
    pub texts: Vec<(String, String)>,
    /// One per source.
    pub sources: Vec<SourcePlaces>,
}

/// Where a source speaks of data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourcePlaces {
    name: Place,
    path: Option<Place>,
    time: Option<Place>,
    /// The first use of each column.
    fields: Vec<Option<Place>>,
    /// The name of each metric.
    metrics: Vec<Place>,
    /// Types that were declared for fields that nothing reads.
    pub unread: Vec<Placed<String>>,
    /// Columns that were derived and nothing uses.
    pub unused: Vec<Placed<String>>,
}

impl SourcePlaces {
    pub fn of(source: &SourceTable, metrics: &[&MetricTable], columns: &Columns) -> SourcePlaces {
        let used = used_names(source, metrics);
        let idle = |name: &Placed<String>| (!used.contains(name.value.as_str())).then(|| name.clone());
        SourcePlaces {
            metrics: metrics.iter().map(|metric| metric.name.place.clone()).collect(),
            unread: source.fields.iter().filter_map(|(name, _)| idle(name)).collect(),
            unused: source.derive.iter().filter_map(|(name, _)| idle(name)).collect(),
            name: source.name.place.clone(),
            path: source.path_place.clone(),
            time: source.time.as_ref().map(|time| time.place.clone()),
            fields: columns.places.clone(),
        }
    }

    /// Where the source speaks of something; what was written nowhere (a default) is shown at the source.
    pub fn of_what(&self, about: About) -> &Place {
        let place = match about {
            About::Source => None,
            About::Path => self.path.as_ref(),
            About::Time => self.time.as_ref(),
            About::Field(index) => self.fields.get(index).and_then(Option::as_ref),
            About::Metric(index) => self.metrics.get(index),
        };
        place.unwrap_or(&self.name)
    }
}

/// Every name that a metric, the time or the explosion needs, by way of other names too. A sample that does not say what
/// it shows needs all of them.
fn used_names<'a>(source: &'a SourceTable, metrics: &[&'a MetricTable]) -> BTreeSet<&'a str> {
    let mut open: Vec<&str> = Vec::new();
    for metric in metrics {
        open.extend(metric.by.iter().flatten().map(|field| field.value.as_str()));
        open.extend(metric.expressions().flat_map(|expression| expression.names()));
        if metric.shows_everything() {
            open.extend(source.derive.iter().map(|(name, _)| name.value.as_str()));
            open.extend(source.fields.iter().map(|(name, _)| name.value.as_str()));
        }
    }
    open.extend(source.time.iter().filter_map(|time| time.value.field()).map(|(path, _)| path));
    open.extend(source.explode.iter().flat_map(|(_, list)| list.names()));
    let mut used = BTreeSet::new();
    while let Some(name) = open.pop() {
        let derived = source.derive.iter().filter(|(derived, _)| derived.value == name);
        if used.insert(name) {
            open.extend(derived.flat_map(|(_, expression)| expression.names()));
        }
    }
    used
}

/// What a problem of the data is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// The source as a whole.
    Source,
    /// Its `path`.
    Path,
    /// The field that holds its event time.
    Time,
    /// One of its fields, as an index into [`engine::spec::Source::columns`].
    Field(usize),
    /// One of its metrics, as an index into [`engine::spec::Source::metrics`].
    Metric(usize),
}

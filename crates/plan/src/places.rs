//! Where the words of a good file stand, for trouble that only the data can show.
//!
//! A field that no event has, or a path that names no file, is written in the pipeline file all the same: what is said
//! of it should point there, like every other problem of the file.

use crate::columns::Columns;
use crate::file::source::SourceTable;
use crate::pipeline::Pipeline;
use crate::problem::{Place, Problem, Problems};

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
}

impl SourcePlaces {
    pub fn of(source: &SourceTable, columns: &Columns) -> SourcePlaces {
        SourcePlaces {
            name: source.name.place.clone(),
            path: source.path_place.clone(),
            time: source.time.as_ref().map(|time| time.place.clone()),
            fields: columns.places.clone(),
        }
    }
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
}

impl Pipeline {
    /// A problem that only the data showed, pointing at what the pipeline says about it. `source` indexes
    /// `spec.sources`. What was written nowhere (a default) is shown at the source.
    pub fn problem(
        &self,
        source: usize,
        about: About,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Problems {
        let mut problems = Problems::new(self.places.texts.clone());
        let problem = match self.places.sources.get(source) {
            None => Problem::of_file(message),
            Some(places) => {
                let place = match about {
                    About::Source => None,
                    About::Path => places.path.as_ref(),
                    About::Time => places.time.as_ref(),
                    About::Field(index) => places.fields.get(index).and_then(Option::as_ref),
                };
                Problem::at(place.unwrap_or(&places.name), message)
            }
        };
        problems.push(problem.hint_if(hint));
        problems
    }
}

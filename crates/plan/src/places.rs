//! Where the words of a good file stand, for trouble that only the data can show.
//!
//! A field that no event has, or a path that names no file, is written in the pipeline file all the same: what is said
//! of it should point there, like every other problem of the file.

use crate::columns::Columns;
use crate::file::source::SourceTable;
use crate::problem::Place;

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

impl SourcePlaces {
    /// Where the source speaks of something; what was written nowhere (a default) is shown at the source.
    pub fn of_what(&self, about: About) -> &Place {
        let place = match about {
            About::Source => None,
            About::Path => self.path.as_ref(),
            About::Time => self.time.as_ref(),
            About::Field(index) => self.fields.get(index).and_then(Option::as_ref),
        };
        place.unwrap_or(&self.name)
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

//! The sample as columns: for each path its values, in the order of the events.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Most values held: a head of 4 MiB with the shortest of fields.
pub(super) const CELLS_MAX: usize = 2_500_000;
/// Most paths of nested records; a record whose keys are data (ids, dates) has any number.
const PATHS_MAX: usize = 4_096;
/// Bytes of the longest name that is used.
pub(super) const NAME_BYTES_MAX: usize = 200;

/// A sample, read.
#[derive(Debug, Default)]
pub(super) struct Table<'a> {
    pub columns: Vec<Column<'a>>,
    /// Records that could be read.
    pub events: usize,
    /// Records that could not.
    pub bad: usize,
    /// Bytes of the records that were read.
    pub bytes: usize,
    /// Whether these are all records of the file.
    pub whole: bool,
    /// Paths that were left out because there are too many.
    pub paths_left_out: bool,
    known: BTreeMap<String, usize>,
    objects: BTreeSet<String>,
    cells: usize,
}

/// The values of one path.
#[derive(Debug, Default)]
pub(super) struct Column<'a> {
    pub path: String,
    /// Event and value; null and missing ones have none. Numbers and booleans are their text.
    pub cells: Vec<(u32, Cow<'a, str>)>,
    /// Values that are lists, or objects where others are not.
    pub containers: usize,
    /// Why the column cannot be named in a pipeline file.
    pub unnamed: Option<&'static str>,
}

impl<'a> Table<'a> {
    /// An empty table; `whole` says whether the sample is the whole file.
    pub fn new(whole: bool) -> Table<'a> {
        Table { whole, ..Table::default() }
    }

    /// Whether there is room for another event.
    pub fn has_room(&self) -> bool {
        self.cells < CELLS_MAX && self.events < u32::MAX as usize
    }

    /// Adds a column that has a place of its own; equal names are told apart by place alone.
    pub fn add(&mut self, path: &str) -> usize {
        self.columns.push(Column { path: path.to_string(), unnamed: unnamed(path), ..Column::default() });
        self.columns.len() - 1
    }

    /// The column of a path, new if need be; none when there are too many.
    pub fn find(&mut self, path: &str) -> Option<usize> {
        if let Some(column) = self.known.get(path) {
            return Some(*column);
        }
        if self.columns.len() == PATHS_MAX {
            self.paths_left_out = true;
            return None;
        }
        let column = self.add(path);
        self.known.insert(path.to_string(), column);
        Some(column)
    }

    /// An object stands at this path: if other values do too, it is no field.
    pub fn put_object(&mut self, path: &str) {
        if !self.objects.contains(path) && self.objects.len() < PATHS_MAX {
            self.objects.insert(path.to_string());
        }
    }

    /// Ends an event that could be read.
    pub fn accept(&mut self) {
        self.events += 1;
    }

    /// Takes back what was put of an event that could not.
    pub fn reject(&mut self) {
        let event = self.events as u32;
        for column in &mut self.columns {
            if column.cells.last().is_some_and(|(last, _)| *last == event) {
                column.cells.pop();
                self.cells -= 1;
            }
        }
        self.bad += 1;
    }

    /// Ends the sample.
    pub fn finish(mut self) -> Table<'a> {
        for column in &mut self.columns {
            column.containers += usize::from(self.objects.contains(&column.path));
        }
        self
    }

    /// A value of the event that is being read. Of equal keys the last one counts.
    pub fn put(&mut self, column: usize, value: Cow<'a, str>) {
        let (event, column) = (self.events as u32, &mut self.columns[column]);
        match column.cells.last_mut() {
            Some(last) if last.0 == event => last.1 = value,
            _ => {
                column.cells.push((event, value));
                self.cells += 1;
            }
        }
    }
}

/// Why a field of this name cannot be used.
fn unnamed(path: &str) -> Option<&'static str> {
    match () {
        () if path.is_empty() => Some("it has no name"),
        () if path.len() > NAME_BYTES_MAX => Some("its name is too long"),
        () if path.contains('"') => Some("a measure cannot name what holds a double quote"),
        () => None,
    }
}

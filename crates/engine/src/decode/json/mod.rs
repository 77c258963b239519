//! One JSON object a line.
//!
//! Lines of one stream look alike. What the last lines looked like is kept as a few [`Shape`]s, and a new line is read by
//! checking it against them: a hit verifies the bytes between the values and scans only the values. Whatever a shape does
//! not expect goes, record by record, to serde_json, which alone decides what is bad. Both paths agree on every input.

mod fallback;
mod scan;
mod shape;

use super::builder::{Record, Rows};
use super::digits::byte;
use super::value::Scalar;
use super::{bom_len, cut, is_blank, trim_cr};
use crate::batch::{Block, Reason};
use crate::spec::{Kind, Source, TimeSpec};
use shape::Shape;

/// Decodes NDJSON records of one partition.
pub(super) struct JsonReader {
    paths: Paths,
    /// Predicted shapes, the one that matched last in front.
    shapes: Vec<Shape>,
    /// Whether shapes are learned at all.
    predict: bool,
    /// What learning has cost lately, see [`LEARN_COST`].
    debt: u32,
}

/// How many shapes are tried before a line goes to the slow path.
const SHAPES_MAX: usize = 8;
/// A shape is worth learning when it saves more lines than it costs. Each one adds this much to the debt, each line takes
/// one off, and nothing is learned above [`DEBT_MAX`]: on lines that never repeat, one in eight is learned.
const LEARN_COST: u32 = 8;
const DEBT_MAX: u32 = 8 * LEARN_COST;

impl JsonReader {
    pub(super) fn new(source: &Source, predict: bool) -> JsonReader {
        JsonReader { paths: Paths::new(source), shapes: Vec::with_capacity(SHAPES_MAX), predict, debt: 0 }
    }

    pub(super) fn decode<'a>(&mut self, block: &Block<'a>, rows: &mut Rows) {
        let bytes = block.bytes;
        let utf8 = std::str::from_utf8(bytes).is_ok();
        let mut values = vec![None; self.paths.len()];
        let mut at = bom_len(block.first_byte, bytes);
        loop {
            if utf8 {
                at = self.predicted(bytes, at, rows);
            }
            if at == bytes.len() {
                return;
            }
            let end = cut::line_end(bytes, at);
            let next = (end + 1).min(bytes.len());
            // In a block that is not UTF-8 as a whole, shapes may read a line that is.
            let fast = !utf8
                && std::str::from_utf8(&bytes[at..end]).is_ok()
                && self.predicted(&bytes[..next], at, rows) == next;
            if !fast {
                let record = Record { line: rows.lines, start: at, bytes: trim_cr(&bytes[at..end]) };
                self.parsed(&record, &mut values, rows);
                rows.lines += u64::from(end < bytes.len());
            }
            at = next;
        }
    }

    /// Reads lines from `at` on by the predicted shapes, and says where the first one starts that none of them fits.
    fn predicted(&mut self, bytes: &[u8], mut at: usize, rows: &mut Rows) -> usize {
        let lines_before = rows.lines;
        let mut i = 0;
        while i < self.shapes.len() && at < bytes.len() {
            let next = self.shapes[i].read_lines(bytes, at, rows);
            if next == at {
                i += 1;
                continue;
            }
            self.shapes[..=i].rotate_right(1);
            // The one in front has just been tried on the next line.
            (at, i) = (next, 1);
        }
        let lines = u32::try_from(rows.lines - lines_before).unwrap_or(u32::MAX);
        self.debt = self.debt.saturating_sub(lines.saturating_add(1));
        at
    }

    /// Reads a record with serde_json, and learns from it.
    fn parsed<'a>(&mut self, record: &Record<'a>, values: &mut [Option<&'a str>], rows: &mut Rows) {
        if is_blank(record.bytes, None) {
            return;
        }
        if rows.too_long(record.bytes.len()) {
            return rows.reject(Reason::TooLong, None, record);
        }
        let Ok(text) = std::str::from_utf8(record.bytes) else {
            return rows.reject(Reason::Utf8, None, record);
        };
        if fallback::read(text, &self.paths, values).is_err() {
            return rows.reject(Reason::Json, None, record);
        }
        let mut unescaped = Vec::with_capacity(values.len());
        for (i, value) in values.iter().enumerate() {
            match fallback::unescape(value.unwrap_or("null")) {
                Ok(text) => unescaped.push(text),
                Err(_) => return rows.reject(Reason::Json, self.paths.0[i].field, record),
            }
        }
        let accepted = rows.push_record(record, |field| {
            let slot = match field {
                Some(_) => self.paths.0.iter().position(|path| path.field == field),
                None => self.paths.0.iter().position(|path| path.time),
            };
            slot.map_or(Scalar::Null, |slot| {
                fallback::scalar(values[slot].unwrap_or("null"), &unescaped[slot])
            })
        });
        if accepted {
            self.learn(record.bytes);
        }
    }

    fn learn(&mut self, line: &[u8]) {
        if !self.predict || self.debt > DEBT_MAX {
            return;
        }
        self.debt += LEARN_COST;
        if let Some(shape) = Shape::learn(line, &self.paths) {
            self.shapes.truncate(SHAPES_MAX - 1);
            self.shapes.insert(0, shape);
        }
    }
}

/// The paths that are wanted of an object, sorted. A path is the keys from the top joined by dots, so that a key with
/// dots in it counts as the path it spells.
struct Paths(Vec<Path>);

struct Path {
    path: String,
    /// The field it fills.
    field: Option<usize>,
    /// The kind of that field.
    kind: Option<Kind>,
    /// Whether it is the event time.
    time: bool,
}

impl Paths {
    fn new(source: &Source) -> Paths {
        let time_path = source.time.as_ref().and_then(TimeSpec::field).map(|(path, _)| path);
        let mut paths: Vec<Path> = (source.fields.iter().enumerate())
            .map(|(i, field)| Path {
                path: field.path.clone(),
                field: Some(i),
                kind: Some(field.kind),
                time: Some(field.path.as_str()) == time_path,
            })
            .collect();
        if let Some(path) = time_path
            && !paths.iter().any(|path| path.time)
        {
            paths.push(Path { path: path.to_string(), field: None, kind: None, time: true });
        }
        paths.sort_by(|a, b| a.path.cmp(&b.path));
        Paths(paths)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    /// The number of a wanted path.
    fn find(&self, path: &str) -> Option<usize> {
        self.0.binary_search_by(|wanted| wanted.path.as_str().cmp(path)).ok()
    }

    /// Whether a wanted path leads through the object at `path`.
    fn lead_through(&self, path: &str) -> bool {
        let below = || path.bytes().chain([b'.']);
        let first = self.0.partition_point(|wanted| wanted.path.bytes().lt(below()));
        let longer = self.0.get(first).map(|wanted| wanted.path.as_bytes());
        longer.is_some_and(|longer| longer.starts_with(path.as_bytes()) && byte(longer, path.len()) == b'.')
    }
}

/// Makes `path` the path of member `key` of the object at its first `parent` bytes (`None` is the top).
fn join(path: &mut String, parent: Option<usize>, key: &str) {
    path.truncate(parent.unwrap_or(0));
    if parent.is_some() {
        path.push('.');
    }
    path.push_str(key);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Field, Format};

    pub(super) fn source(paths: &[&str]) -> Source {
        let field = |path: &&str| Field { path: path.to_string(), kind: Kind::String };
        Source { fields: paths.iter().map(field).collect(), ..Source::new("s", Format::Ndjson) }
    }

    /// Decodes lines and says how many of the last `n` a predicted shape fits.
    fn hits(lines: &[String], n: usize) -> usize {
        let source = source(&["a", "b.c"]);
        let (mut reader, mut rows) = (JsonReader::new(&source, true), Rows::new(&source));
        let mut hits = 0;
        for (i, line) in lines.iter().enumerate() {
            let block =
                Block { partition: 0, number: 0, first_byte: 0, bytes: line.as_bytes(), arrival: None };
            rows.begin(&block);
            let hit = reader.predicted(block.bytes, 0, &mut rows) == line.len();
            hits += usize::from(hit && i + n >= lines.len());
            rows.finish(&block);
            rows.begin(&block);
            reader.decode(&block, &mut rows);
            assert!(reader.shapes.len() <= SHAPES_MAX);
            assert_eq!(rows.finish(&block).rows, 1, "{line}");
        }
        hits
    }

    #[test]
    fn a_stream_of_a_few_shapes_is_predicted() {
        for shapes in 1..=SHAPES_MAX {
            let line = |i: usize| format!("{{\"k{}\":{i},\"a\":\"{i}\",\"b\":{{\"c\":null}}}}\n", i % shapes);
            let lines: Vec<_> = (0..100).map(line).collect();
            assert_eq!(hits(&lines, 80), 80, "{shapes} shapes");
        }
    }

    #[test]
    fn lines_that_never_repeat_do_not_stop_learning_for_ever() {
        let odd = |i: usize| format!("{{\"k{i}\":{i}}}\n");
        let even = |i: usize| format!("{{\"a\":{i}}}\n");
        let lines: Vec<_> = (0..1000).map(odd).chain((0..100).map(even)).collect();
        assert_eq!(hits(&lines, 80), 80);
    }

    #[test]
    fn paths_are_found_whole_and_led_through_at_dots() {
        let paths = Paths::new(&source(&["a.b", "a.b.c", "a", "ab.c", "a!x", ".e"]));
        for (path, found, through) in [
            ("a", true, true),
            ("a.b", true, true),
            ("a.b.c", true, false),
            ("ab", false, true),
            ("a!", false, false),
            ("a!x", true, false),
            ("", false, true),
            ("b", false, false),
            ("zz", false, false),
        ] {
            assert_eq!((paths.find(path).is_some(), paths.lead_through(path)), (found, through), "{path:?}");
        }
    }
}

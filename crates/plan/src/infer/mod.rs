//! A first pipeline file from the head of a file of events: `streamgauge init`.
//!
//! ```text
//! bytes -> format (json, delimited, access, lines) -> Table: columns of texts -> Profile per column: type, values, missing
//!       -> time.rs, order.rs, panes.rs: event time, its disorder, the ladder
//!       -> role.rs (words.rs: what names say) -> metrics.rs -> Guess -> write.rs: TOML with a reason behind each line
//! ```
//!
//! Pure: the same bytes give the same text. What a value would become is asked of the decoders of the engine, what is late
//! of its clock, so that a guess and a run cannot disagree. A guess is made of the head alone and says so; it is written to
//! be read and changed.

mod access;
mod delimited;
mod distinct;
mod json;
mod metrics;
mod order;
mod panes;
mod profile;
pub(crate) mod quote;
mod rehearse;
mod role;
mod show;
mod table;
mod time;
mod typed;
mod words;
mod write;

use delimited::Shape;
use metrics::{Judged, Metric};
use order::Order;
use panes::Ladder;
use profile::Profile;
pub use rehearse::rehearse;
use role::Role;
pub use show::thousands;
use std::borrow::Cow;
use std::fmt;
use table::Table;
use time::Stamp;

/// Bytes of a file that are worth looking at.
pub const HEAD_BYTES: usize = 4 << 20;
/// How access logs write time; the formats `clf` and `combined` know it.
const ACCESS_PATTERN: &str = "%d/%b/%Y:%H:%M:%S %z";
/// Why a field is left out of which each value goes with one of another field.
const GOES_WITH: &str = "goes with another field";
/// Longest record that a pipeline accepts without being told.
const RECORD_BYTES_MAX: usize = 1 << 20;

/// The head of a file.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Its first bytes, decompressed.
    pub bytes: &'a [u8],
    /// Whether the file ends with them.
    pub whole: bool,
    /// The path of the file. Only where a file has one column does its name tell the format.
    pub path: &'a str,
}

/// What the pipeline file is called and reads.
#[derive(Debug, Clone)]
pub struct Naming {
    /// Name of the pipeline: letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// The path to write, as seen from the pipeline file.
    pub path: String,
    /// The pipeline file itself, for the command in its first line.
    pub pipeline: String,
}

impl Naming {
    /// Names for a pipeline file at `pipeline` that reads `path`; without a name it is called like what it reads.
    ///
    /// # Errors
    /// When the name is none for a pipeline.
    pub fn new(name: Option<&str>, path: &str, pipeline: Option<&str>) -> Result<Naming, String> {
        let name = match name {
            Some(name) => crate::file::name(name)?,
            None if path == "-" => "events".to_string(),
            None => crate::pipeline::stem(path),
        };
        let pipeline = pipeline.map_or_else(|| format!("{name}.toml"), str::to_string);
        Ok(Naming { name, path: path.to_string(), pipeline })
    }
}

/// What a file of events seems to be.
#[derive(Debug)]
pub struct Guess {
    format: Format,
    looked: Looked,
    /// The columns in the order of the file.
    columns: Vec<(Profile, Role)>,
    /// Paths, each with those that say the same.
    alike: Vec<(String, Vec<String>)>,
    time: Option<Time>,
    ladder: Option<Ladder>,
    /// Words that stand for a missing number, each with a field where it does.
    null_words: Vec<(String, String)>,
    metrics: Vec<Metric>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Format {
    Ndjson,
    Delimited(Shape),
    Access { combined: bool },
    Lines,
}

/// How much was looked at.
#[derive(Debug, Clone, Copy)]
struct Looked {
    events: usize,
    bad: usize,
    bytes: usize,
    whole: bool,
    paths_left_out: bool,
}

/// The event time.
#[derive(Debug)]
struct Time {
    path: String,
    stamp: Stamp,
    order: Order,
    doubt: Option<&'static str>,
    /// Events without it.
    lacking: usize,
    example: String,
}

/// Why nothing can be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoGuess {
    /// No bytes.
    Empty,
    /// Nothing but blank lines.
    Blank,
    /// Bytes that are no text.
    Binary,
    /// One JSON array, or objects over many lines.
    Spread,
    /// A line that does not end.
    EndlessLine,
}

impl fmt::Display for NoGuess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoGuess::Empty => "is empty: there is nothing to guess from",
            NoGuess::Blank => "holds nothing but blank lines: there is nothing to guess from",
            NoGuess::Binary => "is not text in UTF-8: events are lines of text, plain or compressed",
            NoGuess::Spread => {
                "is JSON, but not one object a line: `jq -c '.[]?' FILE` writes an array so, `jq -c . FILE` objects"
            }
            NoGuess::EndlessLine => {
                "has a line longer than 1 MiB, and events are lines: is it a file of events? (`tr ' ' '\\n'` makes lines of words)"
            }
        })
    }
}

/// Guesses from the head of a file. O(bytes) but for sorting the times.
///
/// # Errors
/// When the bytes are not those of a file of events.
pub fn infer(head: &Head<'_>) -> Result<Guess, NoGuess> {
    let (text, spoilt) = text(head)?;
    let format = format(&text, head.path)?;
    let mut table = Table::new(head.whole);
    table.bad = spoilt;
    match &format {
        Format::Ndjson => json::read(&text, &mut table),
        Format::Delimited(shape) => shape.read(&text, &mut table),
        Format::Access { combined } => access::read(&text, *combined, &mut table),
        Format::Lines => read_lines(&text, &mut table),
    }
    Ok(Guess::of(format, table.finish()))
}

impl Guess {
    fn of(format: Format, table: Table<'_>) -> Guess {
        let profiles: Vec<Profile> = table.columns.iter().map(Profile::of).collect();
        let times = time::find(&table.columns, table.events);
        let enough = |times: &&time::Times| times.times.len() * 20 >= table.events * 19;
        let chosen = times.first().filter(enough);
        let mut roles: Vec<Role> = profiles.iter().map(|profile| Role::of(profile, table.events)).collect();
        for other in &times {
            let is_time = chosen.is_some_and(|time| time.column == other.column);
            roles[other.column] = Role::Left(if is_time { "the event time" } else { "another time" });
        }
        let alike = alike(&profiles, &mut roles);
        let micros = |time: &time::Times| time.times.iter().map(|(_, time)| *time).collect::<Vec<_>>();
        let ladder = chosen.map(|time| Ladder::of(&micros(time)));
        let time = chosen.map(|found| Time {
            path: profiles[found.column].path.clone(),
            stamp: found.stamp,
            order: Order::of(&micros(found)),
            doubt: found.doubt,
            lacking: table.events - found.times.len(),
            example: profiles[found.column].example.clone(),
        });
        let judged: Vec<Judged<'_>> =
            profiles.iter().zip(&roles).map(|(profile, role)| Judged { profile, role: *role }).collect();
        let metrics = metrics::choose(&judged, table.events);
        let looked = Looked {
            events: table.events,
            bad: table.bad,
            bytes: table.bytes,
            whole: table.whole,
            paths_left_out: table.paths_left_out,
        };
        let null_words = null_words(&profiles, &roles);
        let columns = profiles.into_iter().zip(roles).collect();
        Guess { format, looked, columns, alike, time, ladder, null_words, metrics }
    }

    /// The pipeline file: the same guess and names give the same text.
    pub fn to_toml(&self, naming: &Naming) -> String {
        write::pipeline(self, naming)
    }

    /// The source alone, as the pipeline file would have it, without event time: what is counted once needs none.
    pub(crate) fn source_toml(mut self, path: &str) -> String {
        (self.time, self.ladder, self.metrics) = (None, None, Vec::new());
        let naming = Naming { name: String::new(), path: path.to_string(), pipeline: String::new() };
        write::source_alone(&self, &naming)
    }

    /// The paths of all fields that were seen.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(profile, _)| profile.path.as_str())
    }

    /// Whether there are no more records, and no more fields, than were looked at.
    pub(crate) fn is_whole(&self) -> bool {
        self.looked.whole && !self.looked.paths_left_out
    }

    /// What was looked at and found, in one line.
    pub fn looked(&self) -> String {
        write::looked(self)
    }

    /// Events that were looked at.
    pub fn events(&self) -> usize {
        self.looked.events
    }
}

/// The whole lines of the head, as text, and how many lines were left out because they are not UTF-8.
fn text<'a>(head: &Head<'a>) -> Result<(Cow<'a, str>, usize), NoGuess> {
    let bytes = head.bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head.bytes);
    if bytes.is_empty() {
        return Err(NoGuess::Empty);
    }
    if bytes.contains(&0) {
        return Err(NoGuess::Binary);
    }
    let end = match bytes.iter().rposition(|b| *b == b'\n') {
        _ if head.whole => bytes.len(),
        Some(newline) => newline + 1,
        None => return Err(NoGuess::EndlessLine),
    };
    let (text, spoilt) = utf8(&bytes[..end])?;
    let Some(first) = lines(&text).next() else { return Err(NoGuess::Blank) };
    let is_control = |b: &u8| *b < 0x20 && !matches!(b, b'\n' | b'\r' | b'\t' | 0x0b | 0x0c | 0x1b);
    if text.bytes().take(4096).filter(is_control).count() > 64 {
        return Err(NoGuess::Binary);
    }
    if first.len() > RECORD_BYTES_MAX {
        return Err(NoGuess::EndlessLine);
    }
    Ok((text, spoilt))
}

/// Bytes without the lines that are not UTF-8, which a run counts as bad. When those are many it is no text.
fn utf8(bytes: &[u8]) -> Result<(Cow<'_, str>, usize), NoGuess> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok((Cow::Borrowed(text), 0));
    }
    let (mut good, mut spoilt, mut count) = (String::with_capacity(bytes.len()), 0, 0);
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        count += 1;
        match std::str::from_utf8(line) {
            Ok(line) => good.push_str(line),
            Err(_) => spoilt += 1,
        }
    }
    if spoilt * 2 > count { Err(NoGuess::Binary) } else { Ok((Cow::Owned(good), spoilt)) }
}

/// Lines that are not blank, without what ends them.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
        .filter(|line| !line.trim_ascii().is_empty())
}

fn format(text: &str, path: &str) -> Result<Format, NoGuess> {
    const LINES_LOOKED_AT: usize = 200;
    let (mut looked_at, mut objects) = (0, 0);
    for line in lines(text).take(LINES_LOOKED_AT) {
        looked_at += 1;
        objects += usize::from(json::is_object(line.trim()));
    }
    if objects * 10 >= looked_at * 8 {
        return Ok(Format::Ndjson);
    }
    let first = lines(text).next().unwrap_or_default().trim();
    let array = first.starts_with("[{") || first.starts_with("[[");
    if array || matches!(first, "[" | "{") || (first.starts_with("{\"") && objects * 2 < looked_at) {
        return Err(NoGuess::Spread);
    }
    if let Some(combined) = access::detect(text) {
        return Ok(Format::Access { combined });
    }
    if let Some(shape) = Shape::detect(text) {
        return Ok(Format::Delimited(shape));
    }
    let lower = path.to_lowercase();
    let plain = [".gz", ".zst", ".xz"].iter().find_map(|end| lower.strip_suffix(end)).unwrap_or(&lower);
    match () {
        () if plain.ends_with(".csv") => Ok(Format::Delimited(Shape::single(text, b','))),
        () if plain.ends_with(".tsv") => Ok(Format::Delimited(Shape::single(text, b'\t'))),
        () => Ok(Format::Lines),
    }
}

fn read_lines<'a>(text: &'a str, table: &mut Table<'a>) {
    let column = table.add("line");
    for line in lines(text) {
        if !table.has_room() {
            table.whole = false;
            return;
        }
        table.bytes += line.len() + 1;
        table.put(column, line.into());
        table.accept();
    }
}

/// Columns of which each value goes with one of another column: one of them, the shortest text, is enough.
fn alike(profiles: &[Profile], roles: &mut [Role]) -> Vec<(String, Vec<String>)> {
    let mut groups: std::collections::BTreeMap<u64, Vec<usize>> = Default::default();
    for (i, profile) in profiles.iter().enumerate() {
        // A few values go together by chance.
        if matches!(roles[i], Role::Item | Role::Identity | Role::Dimension | Role::Number)
            && profile.values >= 20
        {
            groups.entry(profile.pattern).or_default().push(i);
        }
    }
    let mut out = Vec::new();
    for group in groups.into_values().filter(|group| group.len() > 1) {
        let rank = |i: &usize| {
            let profile = &profiles[*i];
            (profile.numbers.is_some(), profile.text.bytes_mean as usize, *i)
        };
        let Some(best) = group.iter().copied().min_by_key(rank) else { continue };
        let others: Vec<usize> = group.into_iter().filter(|i| *i != best).collect();
        others.iter().for_each(|i| roles[*i] = Role::Left(GOES_WITH));
        out.push((profiles[best].path.clone(), others.iter().map(|i| profiles[*i].path.clone()).collect()));
    }
    out
}

/// Words for a missing number, of the columns that are declared as numbers.
fn null_words(profiles: &[Profile], roles: &[Role]) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    for (profile, role) in profiles.iter().zip(roles).filter(|(_, role)| !matches!(role, Role::Left(_))) {
        let numeric = matches!(role.kind(profile), engine::spec::Kind::Int64 | engine::spec::Kind::Float64);
        for word in profile.null_words.iter().filter(|_| numeric) {
            if !out.iter().any(|(known, _)| known == word) {
                out.push((word.clone(), profile.path.clone()));
            }
        }
    }
    out
}

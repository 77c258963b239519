//! What to measure, as data. Validated once, at the door (`plan`), into types that cannot be wrong.

mod question;

use crate::judge::recent::RecentSize;
use crate::time::{Span, Time};
pub use question::{Ask, Question, Unanswerable, Window};
use sketch::bloom::RingSizeError;
use sketch::hash::Hashing;

/// A whole pipeline: its sources, each with the metrics that read it.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Name of the pipeline.
    pub name: String,
    /// Budget for accounted state (panes, totals), in bytes.
    pub memory_bytes: u64,
    /// Where events come from.
    pub sources: Vec<Source>,
}

/// One stream of events and what is measured of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Name in the pipeline file.
    pub name: String,
    /// How records are written.
    pub format: Format,
    /// The fields read from the record: the first columns of a [`crate::batch::Batch`], in this order; no duplicates.
    pub fields: Vec<Field>,
    /// One event per element of a list: the column of the elements, behind the fields. The record's other columns are
    /// repeated.
    pub explode: Option<Field>,
    /// The columns behind those, computed step by step.
    pub steps: Vec<Step>,
    /// Words that stand for a missing value where a value does not convert (`NA`, `-`).
    pub nulls: Vec<String>,
    /// Event time; absent means totals only.
    pub time: Option<TimeSpec>,
    /// What happens to bad records besides being counted.
    pub bad: BadPolicy,
    /// Longest record accepted, in bytes; a longer one is bad (`too_long`).
    pub record_bytes_max: usize,
    /// Confidence of every probabilistic bound, for example 0.95.
    pub confidence: f64,
    /// Groups that no event has reached for so long, in event time, are forgotten; `None` is never.
    pub groups_ttl: Option<Span>,
    /// How values are hashed for sketches, sets and verdicts. States of another hash or key do not merge.
    pub hashing: Hashing,
    /// What is measured.
    pub metrics: Vec<Metric>,
}

/// Columns computed from the columns before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// By expressions.
    Compute(Vec<Field>),
    /// By a [`Measure::Seen`]: whether its key was there before this event. A boolean with the name of the metric.
    Judge {
        /// Index into [`Source::metrics`].
        metric: usize,
    },
}

impl Source {
    /// A source without fields, time and metrics, to be filled in.
    pub fn new(name: impl Into<String>, format: Format) -> Source {
        Source {
            name: name.into(),
            format,
            fields: Vec::new(),
            explode: None,
            steps: Vec::new(),
            nulls: Vec::new(),
            time: None,
            bad: BadPolicy::Count,
            record_bytes_max: 1 << 20,
            confidence: 0.95,
            groups_ttl: None,
            hashing: Hashing::Interchange,
            metrics: Vec::new(),
        }
    }

    /// All columns of a batch, in order: fields, exploded elements, steps.
    pub fn columns(&self) -> Vec<Field> {
        let mut columns = self.fields.clone();
        columns.extend(self.explode.clone());
        for step in &self.steps {
            match step {
                Step::Compute(fields) => columns.extend(fields.iter().cloned()),
                Step::Judge { metric } => {
                    columns.push(Field { path: self.metrics[*metric].name.clone(), kind: Kind::Bool });
                }
            }
        }
        columns
    }

    /// The time of the newest event behind this watermark, as far as the clock has followed.
    pub fn newest(&self, watermark: Option<Time>) -> Option<Time> {
        Some(watermark?.plus(self.time.as_ref()?.lateness))
    }

    /// Number of the column that a [`Measure::Seen`] fills; one behind all columns when no step asks for it.
    pub fn column_of_verdict(&self, metric: usize) -> usize {
        let before = self.steps.iter().take_while(|step| **step != Step::Judge { metric });
        let computed = before.map(|step| match step {
            Step::Compute(fields) => fields.len(),
            Step::Judge { .. } => 1,
        });
        self.fields.len() + usize::from(self.explode.is_some()) + computed.sum::<usize>()
    }

    /// The steps that look at nothing but the record: before the first verdict.
    pub fn certain_steps(&self) -> usize {
        self.steps.iter().take_while(|step| matches!(step, Step::Compute(_))).count()
    }

    /// Whether a verdict may decide about what enters a metric, as what and in which group.
    pub fn is_uncertain(&self, metric: &Metric) -> bool {
        self.last_uncertain(metric).is_some()
    }

    /// The last of the columns that a metric reads which a verdict may have decided: only verdicts that stand no later
    /// can be behind it.
    pub fn last_uncertain(&self, metric: &Metric) -> Option<usize> {
        let first = self.first_uncertain();
        metric.columns().filter(|&c| c >= first).max()
    }

    /// How a `seen` of this source is laid out that forgets after `keep`, for so many keys at this rate.
    ///
    /// # Errors
    /// As [`RecentSize::new`].
    pub fn recent_size(&self, keys: u64, rate: f64, keep: Span) -> Result<RecentSize, RingSizeError> {
        let lateness = self.time.as_ref().map_or(Span(0), |time| time.lateness);
        RecentSize::new(keys, rate, keep, lateness)
    }

    /// At which grains of event time machines besides shards must be told of the watermark: lengths of the buckets of
    /// verdicts that forget, where `ahead` says what may move them on, and parts of the gaps of sessions.
    pub(crate) fn guarded_buckets(&self) -> impl Iterator<Item = Span> + '_ {
        let limited = self.time.as_ref().is_some_and(|time| time.ahead.is_some());
        let bucket = move |metric: &Metric| match metric.measure {
            Measure::Seen { keys, rate, keep, .. } if limited => {
                self.recent_size(keys, rate, keep?).ok().map(|size| size.bucket)
            }
            Measure::Session { gap, .. } => Some(Span::round((gap.0 / 4).max(1))),
            _ => None,
        };
        self.metrics.iter().filter_map(bucket)
    }

    /// Number of the first column that a verdict may have decided; all behind it are of that kind.
    pub fn first_uncertain(&self) -> usize {
        let computed = self.steps[..self.certain_steps()].iter().map(|step| match step {
            Step::Compute(fields) => fields.len(),
            Step::Judge { .. } => 1,
        });
        self.fields.len() + usize::from(self.explode.is_some()) + computed.sum::<usize>()
    }
}

/// How records are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Ndjson,
    /// CSV, TSV and their kin.
    Delimited(Delimited),
    /// The access log of a web server, a request a line.
    AccessLog {
        /// Whether the referrer and the user agent follow (`combined`), or not (`clf`).
        combined: bool,
    },
    /// Any text: a line is one field, `line`.
    Lines,
    /// Apache Parquet: rows come as columns ([`crate::decode::Arrays`]).
    Parquet,
}

impl Format {
    /// The names of all fields, where the format itself gives them.
    pub fn names(&self) -> Option<&'static [&'static str]> {
        const COMBINED: [&str; 12] = [
            "host",
            "ident",
            "user",
            "time",
            "request",
            "method",
            "path",
            "protocol",
            "status",
            "bytes",
            "referrer",
            "user_agent",
        ];
        match self {
            Format::Ndjson | Format::Delimited(_) | Format::Parquet => None,
            Format::AccessLog { combined: true } => Some(&COMBINED),
            Format::AccessLog { combined: false } => Some(&COMBINED[..10]),
            Format::Lines => Some(&["line"]),
        }
    }
}

/// The shape of a delimited file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delimited {
    /// Byte between fields.
    pub delimiter: u8,
    /// Whether `"` quotes fields (RFC 4180). Off for TSV unless asked for.
    pub quoted: bool,
    /// Names of the columns when the file has no header line; `None` means that each file's first line names them.
    pub columns: Option<Vec<String>>,
}

/// A field of the event that metrics use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its path: `user`, or `actor.login` for a member of a nested object.
    pub path: String,
    /// Its type, from the pipeline file and never from the data.
    pub kind: Kind,
}

/// Type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text. Numbers and booleans convert to their text.
    String,
    /// 64-bit signed integer.
    Int64,
    /// Double.
    Float64,
    /// true or false.
    Bool,
}

impl Kind {
    /// The word of pipeline files.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Int64 => "int64",
            Kind::Float64 => "float64",
            Kind::Bool => "bool",
        }
    }
}

/// Event time of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeSpec {
    /// Where it comes from.
    pub from: TimeFrom,
    /// How far the watermark stays behind the clock.
    pub lateness: Span,
    /// What happens to late events.
    pub later: Later,
    /// How far one record may push the clock; `None` is no limit.
    pub ahead: Option<Span>,
    /// How many records in a row must agree before the clock jumps further than `ahead`.
    pub agree: usize,
}

/// Where event time comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeFrom {
    /// A field of the record.
    Field {
        /// Its path.
        path: String,
        /// How it is written.
        format: TimeFormat,
    },
    /// A column that is computed before any verdict.
    Column {
        /// Its number among [`Source::columns`].
        column: usize,
        /// How it is written.
        format: TimeFormat,
    },
    /// The number of the record: the n-th one of the source, from 0 and over all its files, bad ones included, happens
    /// n times this after 1970.
    Row(Span),
    /// Processing time, which the driver gives with each block ([`crate::batch::Block::arrival`]).
    Arrival,
}

impl TimeSpec {
    /// The field of the record that holds the time, and how it is written.
    pub fn field(&self) -> Option<(&str, &TimeFormat)> {
        match &self.from {
            TimeFrom::Field { path, format } => Some((path, format)),
            TimeFrom::Column { .. } | TimeFrom::Row(_) | TimeFrom::Arrival => None,
        }
    }

    /// How the time is written, where it is text or a number of the event.
    pub fn format(&self) -> Option<&TimeFormat> {
        match &self.from {
            TimeFrom::Field { format, .. } | TimeFrom::Column { format, .. } => Some(format),
            TimeFrom::Row(_) | TimeFrom::Arrival => None,
        }
    }

    /// The name of the column that holds the time, if one does.
    pub fn name(&self, source: &Source) -> Option<String> {
        match &self.from {
            TimeFrom::Field { path, .. } => Some(path.clone()),
            TimeFrom::Column { column, .. } => source.columns().get(*column).map(|field| field.path.clone()),
            TimeFrom::Row(_) | TimeFrom::Arrival => None,
        }
    }
}

/// How a time is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeFormat {
    /// RFC 3339 (`2015-09-12T00:46:58.771Z`); a blank may stand for the `T`.
    Rfc3339,
    /// A number of units since 1970, integer or decimal; the text of one is accepted too. Holds microseconds per unit
    /// as a fraction (numerator, denominator): ms = (1000, 1), ns = (1, 1000).
    Unix(i64, i64),
    /// A strptime pattern.
    Pattern {
        /// The pattern.
        pattern: String,
        /// IANA name of the zone whose clocks show the time, for a pattern without an offset; `None` is UTC.
        zone: Option<String>,
    },
}

/// What happens to an event behind the watermark. It is counted in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Later {
    /// Folded into its own pane, as a correction.
    Correct,
    /// Left out; its raw bytes are kept.
    Quarantine,
    /// Left out.
    Drop,
}

/// What happens to a record that cannot be read. It is counted by reason in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadPolicy {
    /// Only counted.
    Count,
    /// Raw bytes, reason and position are kept.
    Quarantine,
}

/// One measure of one source, per group and pane.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Name in the pipeline file.
    pub name: String,
    /// What is kept of the events.
    pub measure: Measure,
    /// The boolean column that says which events enter; a missing value is no.
    pub filter: Option<usize>,
    /// Grouping sets: each a list of columns; `[]` is the total over all events.
    pub by: Vec<Vec<usize>>,
    /// How many groups of one grouping set are kept apart; the rest is folded into the other group.
    pub groups_max: usize,
    /// The ladder of panes, finest first; each size divides the next. Empty: no panes.
    pub levels: Vec<Level>,
    /// Whether the total over all time is kept.
    pub total: bool,
}

impl Metric {
    /// The columns that it reads.
    pub fn columns(&self) -> impl Iterator<Item = usize> + '_ {
        let sampled = match &self.measure {
            Measure::Sample { fields, .. } => fields.as_slice(),
            _ => &[],
        };
        let read = self.measure.field().into_iter().chain(self.measure.weight()).chain(self.filter);
        read.chain(self.by.iter().flatten().copied()).chain(sampled.iter().copied())
    }
}

/// One level of the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Length of a pane.
    pub size: Span,
    /// A pane is dropped (rolled up first, when there is a coarser level) once the watermark has passed its end by this.
    pub keep: Span,
}

/// What is kept of the events. Fields are columns of the batch, by number.
#[derive(Debug, Clone, PartialEq)]
pub enum Measure {
    /// Number of events.
    Count,
    /// Sum of a number.
    Sum(usize),
    /// Smallest number.
    Min(usize),
    /// Largest number.
    Max(usize),
    /// Arithmetic mean.
    Avg(usize),
    /// Sample standard deviation.
    Stddev(usize),
    /// Number of distinct values.
    Unique {
        /// Field.
        field: usize,
        /// log2 of the number of HLL registers.
        lg_k: u8,
    },
    /// How often each value occurs.
    Freq {
        /// Field.
        field: usize,
        /// log2 of the width of the Count-Min rows.
        lg_width: u8,
        /// Number of Count-Min rows.
        depth: u8,
        /// Entries of the exact hot table.
        hot: usize,
        /// Integer column that says how much an event weighs; one without it.
        weight: Option<usize>,
    },
    /// The most frequent values.
    Top {
        /// Field.
        field: usize,
        /// How many are reported.
        k: usize,
        /// How many counters are kept.
        counters: usize,
        /// Integer column that says how much an event weighs; one without it.
        weight: Option<usize>,
    },
    /// Quantiles of a number.
    Quantiles {
        /// Field.
        field: usize,
        /// log2 of the number of bins per doubling of the value.
        bits: u8,
        /// Which quantiles are reported, each in [0, 1].
        at: Vec<f64>,
    },
    /// Cumulative counts of a number.
    Histogram {
        /// Field.
        field: usize,
        /// Ascending upper bounds; `None` is one bucket per power of two.
        bounds: Option<Vec<f64>>,
    },
    /// Whether a key was there before, told of every event: a [`Step::Judge`] makes a column of it. Its state is one
    /// filter over all events, kept by [`crate::judge::Judge`].
    Seen {
        /// Field.
        field: usize,
        /// How many keys the filter is made for.
        keys: u64,
        /// False-positive rate with that many keys, in (0, 1).
        rate: f64,
        /// How far back in event time; `None` is for ever. Then `keys` are those within so much.
        keep: Option<Span>,
    },
    /// Sessions: stretches of a key's events with no pause longer than `gap`. Kept by [`crate::session::Sessions`], not in
    /// cells.
    Session {
        /// Field.
        field: usize,
        /// The longest pause.
        gap: Span,
        /// How many sessions are held at once, and may still change.
        open_max: usize,
        /// log2 of the number of bins per doubling, of durations and of events.
        bits: u8,
        /// Which of their quantiles are reported, each in [0, 1].
        at: Vec<f64>,
    },
    /// Number of distinct values, in a form that sets can be made of.
    Audience {
        /// Field.
        field: usize,
        /// log2 of the number of hashes kept.
        lg_k: u8,
    },
    /// A uniform sample of the events.
    Sample {
        /// The columns that are shown.
        fields: Vec<usize>,
        /// How many events.
        k: usize,
    },
}

impl Measure {
    /// The field it reads, if any.
    pub fn field(&self) -> Option<usize> {
        match self {
            Measure::Count | Measure::Sample { .. } => None,
            Measure::Sum(field)
            | Measure::Min(field)
            | Measure::Max(field)
            | Measure::Avg(field)
            | Measure::Stddev(field)
            | Measure::Unique { field, .. }
            | Measure::Freq { field, .. }
            | Measure::Top { field, .. }
            | Measure::Quantiles { field, .. }
            | Measure::Histogram { field, .. }
            | Measure::Seen { field, .. }
            | Measure::Session { field, .. }
            | Measure::Audience { field, .. } => Some(*field),
        }
    }

    /// The column that says how much an event weighs.
    pub fn weight(&self) -> Option<usize> {
        match self {
            Measure::Freq { weight, .. } | Measure::Top { weight, .. } => *weight,
            _ => None,
        }
    }

    /// How long it remembers, when it is a `seen` that forgets.
    pub fn forgets_after(&self) -> Option<Span> {
        match self {
            Measure::Seen { keep, .. } => *keep,
            _ => None,
        }
    }

    /// Whether it has cells in shards. Others are kept by a machine before them.
    pub fn has_cells(&self) -> bool {
        !matches!(self, Measure::Seen { .. } | Measure::Session { .. })
    }

    /// Whether it keeps whole rows.
    pub fn samples_rows(&self) -> bool {
        matches!(self, Measure::Sample { .. })
    }
}

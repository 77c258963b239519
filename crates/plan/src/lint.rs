//! What works and is probably not what was meant: warnings, each with what to do.
//!
//! A warning is a fact about the file that its author would want to know before the start, and one that can be told
//! without data. What needs data (a type that does not fit, a field that no event has) is said when the data is read;
//! what cannot work is a problem, not a warning.

use crate::accuracy::Choice;
use crate::pipeline::Pipeline;
use crate::places::About;
use crate::problem::{Place, Placed, Problem, Problems};
use crate::size::{Forgetting, SeriesSize, SourceSize, grouped, human, percent, words};
use engine::spec::{Field, Kind, Later, Measure, Metric, Source, TimeFrom};
use engine::time::{SECOND, Span};

/// An error above this is told: answers are then hardly more than an order of magnitude.
const ERROR_WIDE: f64 = 0.05;
/// Groups kept when `keys` does not say; then nobody has thought of a number.
const GROUPS_DEFAULT: usize = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;

impl Pipeline {
    /// What works and is probably not what was meant, in the order of the file.
    pub fn warnings(&self) -> Problems {
        let mut out = Problems::warnings(self.places.texts.clone());
        let mut before = 0;
        for (index, (source, size)) in self.spec.sources.iter().zip(self.sizes()).enumerate() {
            let choices = &self.choices[before..before + source.metrics.len()];
            before += source.metrics.len();
            let columns = source.columns();
            let mut lint =
                Lint { pipeline: self, index, source, columns: &columns, size: &size, out: &mut out };
            lint.names();
            lint.time();
            lint.panes();
            for (number, (metric, choice)) in source.metrics.iter().zip(choices).enumerate() {
                lint.accuracy(number, choice);
                lint.groups(number, metric);
                lint.twins(number, metric);
                lint.sessions(number, metric);
            }
            lint.filters();
        }
        out.sorted()
    }
}

/// Looks at one source.
struct Lint<'a> {
    pipeline: &'a Pipeline,
    index: usize,
    source: &'a Source,
    columns: &'a [Field],
    size: &'a SourceSize,
    out: &'a mut Problems,
}

impl Lint<'_> {
    fn warn(&mut self, about: About, message: String, hint: &str) {
        let place = self.pipeline.places.sources[self.index].of_what(about).clone();
        self.warn_at(&place, message, hint);
    }

    fn warn_at(&mut self, place: &Place, message: String, hint: &str) {
        self.out.push(Problem::at(place, message).hint(hint));
    }

    /// Names that nothing uses: mostly a word that is spelt otherwise elsewhere.
    fn names(&mut self) {
        let pipeline = self.pipeline;
        let places = &pipeline.places.sources[self.index];
        let (unread, unused): (&[Placed<String>], _) = (&places.unread, &places.unused);
        for name in unread {
            let message = format!("nothing reads field `{}`, so its type says nothing", name.value);
            self.warn_at(&name.place, message, "is it spelt otherwise in `[metric]`? Or leave it out");
        }
        for name in unused {
            let message = format!("nothing uses column `{}`, so it is computed for nobody", name.value);
            self.warn_at(&name.place, message, "use it, or leave it out");
        }
    }

    fn time(&mut self) {
        let source = self.source;
        let Some(time) = &source.time else { return };
        let bounded = time.ahead.is_some() || matches!(time.from, TimeFrom::Row(_) | TimeFrom::Arrival);
        if time.later != Later::Correct && !bounded {
            let message =
                "one record from the future makes all after it late, and late ones are left out".into();
            self.warn(About::Time, message, "bound how far a record may push the clock: ahead = \"1h\"");
        }
        let keep = source.metrics.iter().flat_map(|m| &m.levels).map(|level| level.keep).max();
        if let Some(keep) = keep.filter(|keep| time.lateness > *keep) {
            let message = format!(
                "lateness of {} is longer than any pane is kept after it closed ({keep}), so most panes are open ones",
                time.lateness
            );
            self.warn(
                About::Time,
                message,
                "wait less: `later = \"correct\"` puts late events into kept panes anyway",
            );
        }
    }

    /// Ladders that windows do not fit, or that cost more than `memory` even when hardly anything happens.
    fn panes(&mut self) {
        let (source, sizes) = (self.source, self.size);
        let mut told: Vec<Span> = Vec::new();
        for (number, metric) in source.metrics.iter().enumerate() {
            let Some(finest) = metric.levels.first().map(|level| level.size) else { continue };
            let whole = [(HOUR, "1h"), (DAY, "1d")].into_iter().find(|(unit, _)| finest.0 < *unit);
            let Some((_, name)) = whole.filter(|(unit, _)| unit % finest.0 != 0) else { continue };
            if !told.contains(&finest) {
                told.push(finest);
                let message = format!("panes of {finest} do not make up windows of {name}");
                self.warn(
                    About::Metric(number),
                    message,
                    "take a size that divides it, as 5m and 10m divide an hour",
                );
            }
        }
        let memory = sizes.memory_bytes;
        for (size, full, least) in sizes.level_bytes() {
            let of_size = |s: &&SeriesSize| s.levels.iter().any(|l| l.size == size.to_string());
            let largest = sizes.series.iter().filter(of_size).max_by_key(|s| {
                s.levels.iter().filter(|l| l.size == size.to_string()).map(|l| l.bytes_least).sum::<u64>()
            });
            let Some((series, level)) =
                largest.and_then(|s| Some((s, s.levels.iter().find(|l| l.size == size.to_string())?)))
            else {
                continue;
            };
            if least <= memory {
                continue;
            }
            let message = format!(
                "panes of {size} take {} with a few events in each and {} when full: {} panes ({} kept for {}) × {} to {} for \
                 `{}` alone, and `memory` is {}",
                human(least),
                human(full),
                grouped(level.panes),
                level.size,
                level.keep,
                human(level.bytes_least / level.panes.max(1)),
                human(level.bytes / level.panes.max(1)),
                series.metric,
                human(memory),
            );
            let about = About::Metric(series.index);
            self.warn(about, message, "keep fine panes for a shorter time and coarse ones for the past: panes = [\"1m:2d\", \"1h:35d\"]");
        }
    }

    fn accuracy(&mut self, number: usize, choice: &Choice) {
        let name = &choice.metric;
        let (reached, asked) = (percent(choice.reached), percent(choice.asked));
        if choice.reached > choice.asked * (1.0 + 1e-9) {
            let message = format!(
                "`{name}` asks for {asked}, and {}, the largest there is, reaches {reached}",
                choice.sketch
            );
            self.warn(About::Metric(number), message, &format!("bounds tell the {reached}; ask for no less"));
        } else if choice.reached > ERROR_WIDE && choice.of == "the count" {
            let message = format!("answers of `{name}` are off by up to {reached} (`{}`)", choice.sketch);
            self.warn(
                About::Metric(number),
                message,
                "2% @ 95% takes 16 KiB a cell: see what `check` prints",
            );
        }
    }

    fn groups(&mut self, number: usize, metric: &Metric) {
        let columns = self.columns;
        for by in &metric.by {
            for &column in by {
                let field = &columns[column];
                if field.kind == Kind::Float64 {
                    let message = format!(
                        "`{}` groups by `{}`, a float64: nearly equal numbers are different groups",
                        metric.name, field.path
                    );
                    self.warn(
                        About::Metric(number),
                        message,
                        "round it in a `derive`, or declare it int64 or string",
                    );
                } else if metric.groups_max == GROUPS_DEFAULT && names_one(&field.path) {
                    let message = format!(
                        "`{}` groups by `{}`, which looks as if every event or person had its own; all but the heaviest \
                         {GROUPS_DEFAULT} groups go into `(other)`",
                        metric.name, field.path
                    );
                    self.warn(About::Metric(number), message, "ask top(...) for the heaviest, or say how many to keep: keys = \"1000 + other\" of your choice");
                }
            }
        }
        if metric.groups_max != GROUPS_DEFAULT {
            self.keys(number, metric);
        }
    }

    /// `keys` is a promise to keep so many apart.
    fn keys(&mut self, number: usize, metric: &Metric) {
        let size = self.size;
        let memory = size.memory_bytes;
        let of_metric = |s: &&SeriesSize| s.index == number && !s.by.is_empty();
        let Some(series) = size.series.iter().filter(of_metric).max_by_key(|s| s.total_bytes) else { return };
        if series.total_bytes <= memory {
            return;
        }
        let message = format!(
            "{} groups of `{}` take {} ({} cells × {}), and `memory` is {}: groups will be folded into `(other)` first",
            grouped(metric.groups_max as u64),
            metric.name,
            human(series.total_bytes),
            grouped(series.groups),
            human(series.cell.full),
            human(memory),
        );
        // While reading twice the groups are kept apart.
        let fits = memory / 2 / (series.total_bytes / series.groups).max(1);
        self.warn(
            About::Metric(number),
            message,
            &format!("about {} groups fit; or raise `memory`", grouped(fits)),
        );
    }

    /// The same twice costs twice.
    fn twins(&mut self, number: usize, metric: &Metric) {
        let same = |other: &&Metric| {
            (&other.measure, other.filter, &other.by, other.groups_max, &other.levels, other.total)
                == (
                    &metric.measure,
                    metric.filter,
                    &metric.by,
                    metric.groups_max,
                    &metric.levels,
                    metric.total,
                )
        };
        let source = self.source;
        let verdict = matches!(metric.measure, Measure::Seen { .. });
        if let Some(twin) = source.metrics[..number].iter().find(same).filter(|_| !verdict) {
            let message =
                format!("`{}` and `{}` both measure {}", twin.name, metric.name, words(metric, self.columns));
            self.warn(About::Metric(number), message, "leave one of them out");
        }
    }

    /// A key that is the name of a session already, and a gap longer than anything is kept.
    fn sessions(&mut self, number: usize, metric: &Metric) {
        let Measure::Session { field, gap, .. } = metric.measure else { return };
        let path = &self.columns[field].path;
        let name = path.rsplit('.').next().unwrap_or(path).to_ascii_lowercase();
        if ["session", "session_id", "sessionid"].contains(&name.as_str()) {
            let message = format!(
                "`{path}` tells sessions apart already, and `{}` looks for some within each",
                metric.name
            );
            let hint = format!(
                "who comes back is the key (a user, a device); unique({path}) counts those that are named"
            );
            self.warn(About::Metric(number), message, &hint);
        }
        let longest = metric.levels.iter().map(|level| level.keep).max();
        if let Some(keep) = longest.filter(|keep| gap > *keep) {
            let message = format!(
                "the gap of `{}` ({gap}) is longer than its panes are kept ({keep}): windows of sessions are whole a gap after \
                 those of events",
                metric.name
            );
            self.warn(About::Metric(number), message, "raise `keep` in `panes`, or ask for totals");
        }
    }

    fn filters(&mut self) {
        let size = self.size;
        for filter in &size.filters {
            let about = About::Metric(filter.index);
            if filter.rate >= ERROR_WIDE {
                let message = format!(
                    "of new keys, `{}` takes up to {} for known: whatever counts `not {}` counts that much too few",
                    filter.metric,
                    percent(filter.rate),
                    filter.metric
                );
                self.warn(about, message, "1 % takes 11.4 bits a key, 0.1 % 18.1");
            }
            if let Some(forgets) = &filter.forgets {
                self.forgetting(about, &filter.metric, forgets);
            } else if filter.layers == 1 {
                let message = format!(
                    "`{}` has no room to grow: its filter takes {} of {}, and with more than {} keys its rate of false \
                     positives rises",
                    filter.metric,
                    human(filter.bytes),
                    human(size.memory_bytes),
                    grouped(filter.keys_max)
                );
                self.warn(about, message, "raise `memory`, or make `size` as large as it can become");
            }
        }
    }

    /// Buckets that `lateness` has made so long that a key may be remembered for twice as long as asked.
    fn forgetting(&mut self, about: About, metric: &str, forgets: &Forgetting) {
        let span = |text: &str| text.parse().unwrap_or(Span(0));
        if span(&forgets.forgotten_after).0 / 2 > span(&forgets.keep).0 {
            let message = format!(
                "`{metric}` may remember a key for {}, because `lateness` makes its buckets {} long",
                forgets.forgotten_after, forgets.bucket
            );
            self.warn(about, message, "a shorter `lateness`, or a longer `keep`");
        }
    }
}

/// Whether the name of a field is one that things have which are told apart one by one.
fn names_one(path: &str) -> bool {
    const WHOLE: [&str; 5] = ["id", "uuid", "guid", "email", "timestamp"];
    const ENDS: [&str; 14] = [
        "user_id",
        "userid",
        "session_id",
        "sessionid",
        "request_id",
        "requestid",
        "trace_id",
        "event_id",
        "order_id",
        "transaction_id",
        "message_id",
        "visitor_id",
        "customer_id",
        "_uuid",
    ];
    let name = path.rsplit('.').next().unwrap_or(path).to_ascii_lowercase();
    WHOLE.contains(&name.as_str()) || ENDS.iter().any(|end| name.ends_with(end))
}

//! From the tables of a file to the spec of the engine: names are resolved, types decided, sketches sized.

use crate::accuracy::{Accuracy, Choice};
use crate::columns::{Columns, Definition};
use crate::expr::Program;
use crate::file::checkpoint::Checkpoint;
use crate::file::expression::Expression;
use crate::file::metric::{Keep, Measured, MetricTable};
use crate::file::overrides::Override;
use crate::file::serve::Serve;
use crate::file::source::SourceTable;
use crate::file::values::unknown_name;
use crate::file::{self, File, tree, view};
use crate::input::{Input, InputKind};
use crate::measure::{QUANTILES_DEFAULT, What};
use crate::places::{About, Places, SourcePlaces};
use crate::problem::{Placed, Problem, Problems, listed};
use crate::query::View;
use crate::secret::{self, Fetch};
use crate::sink::{self, Sink};
use engine::judge::recent::RecentSize;
use engine::spec::{
    BadPolicy, Field, Format, Kind, Later, Level, Measure, Metric, Source, Spec, TimeFrom, TimeSpec,
};
use engine::time::Span;
use sketch::bloom::Size;
use sketch::hash::Hashing;
use std::sync::Arc;

/// A pipeline file that was understood in whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// What to measure.
    pub spec: Spec,
    /// The expressions of each source, compiled; `None` where there are none. One per `spec.sources`.
    pub programs: Vec<Option<Arc<Program>>>,
    /// Where the bytes of each source come from; one per `spec.sources`, in the same order.
    pub inputs: Vec<Input>,
    /// Where closed panes go.
    pub sinks: Vec<Sink>,
    /// Queries with a name.
    pub views: Vec<View>,
    /// How a state is kept where one is.
    pub checkpoint: Checkpoint,
    /// What is done over HTTP; `None` when nothing is.
    pub serve: Option<Serve>,
    /// What `accuracy` came to; one per metric, in the order of `spec.sources[..].metrics[..]`.
    pub choices: Vec<Choice>,
    /// Where the words stand that the data may prove wrong.
    pub(crate) places: Places,
    /// How the columns of each source come about; one per `spec.sources`.
    pub(crate) definitions: Vec<Vec<Definition>>,
}

impl Pipeline {
    /// Reads a pipeline file that names no secret. `file_name` names it in messages and names the pipeline when the file
    /// does not.
    ///
    /// # Errors
    /// All problems of the file, in its order; a secret that it names is one. Syntax errors are told alone: nothing else
    /// can be judged then.
    pub fn parse(file_name: &str, text: &str, overrides: &[Override]) -> Result<Pipeline, Problems> {
        Pipeline::parse_with(file_name, text, overrides, &secret::none)
    }

    /// As [`Pipeline::parse`], with a way to fetch the secret of `hash = "keyed"`, which is asked for when the file names
    /// one.
    ///
    /// # Errors
    /// As there, and what `fetch` says.
    pub fn parse_with(
        file_name: &str,
        text: &str,
        overrides: &[Override],
        fetch: Fetch<'_>,
    ) -> Result<Pipeline, Problems> {
        let mut texts = vec![(file_name.to_string(), text.to_string())];
        texts.extend(overrides.iter().map(|o| ("--set".to_string(), o.as_str().to_string())));
        let mut problems = Problems::new(texts.clone());
        let mut root = tree::parse(text, &mut problems);
        if !problems.is_empty() {
            return Err(problems.sorted());
        }
        for (i, o) in overrides.iter().enumerate() {
            o.apply(&mut root, i + 1, &mut problems);
        }
        let file = file::read(&root, fetch, &mut problems);
        let mut pipeline = build(file, file_name, &mut problems);
        pipeline.places.texts = texts;
        if problems.is_empty() { Ok(pipeline) } else { Err(problems.sorted()) }
    }

    /// How values are hashed, in the word of the file.
    pub fn hash(&self) -> &'static str {
        self.spec.sources.first().map_or(Hashing::Interchange.as_str(), |source| source.hashing.as_str())
    }

    /// What states under the key are recognised by, in hexadecimal digits; `None` without a key.
    pub fn hash_key_id(&self) -> Option<String> {
        match &self.spec.sources.first()?.hashing {
            Hashing::Keyed(key) => Some(key.id().to_string()),
            Hashing::Interchange | Hashing::Fast => None,
        }
    }

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
            Some(places) => Problem::at(places.of_what(about), message),
        };
        problems.push(problem.hint_if(hint));
        problems
    }
}

fn build(file: File, file_name: &str, problems: &mut Problems) -> Pipeline {
    let name = file.name.clone().unwrap_or_else(|| stem(file_name));
    check_times(&file, problems);
    let owners: Vec<Option<usize>> = file.metrics.iter().map(|m| owner(m, &file.sources, problems)).collect();
    let mut choices = Vec::new();
    let (mut sources, mut programs, mut places) = (Vec::new(), Vec::new(), Vec::new());
    let mut definitions = Vec::new();
    for (i, source) in file.sources.iter().enumerate() {
        let metrics =
            || file.metrics.iter().zip(&owners).filter(|(_, owner)| **owner == Some(i)).map(|(m, _)| m);
        let own: Vec<&MetricTable> = metrics().collect();
        let columns = Columns::of(source, &own, problems);
        places.push(SourcePlaces::of(source, &own, &columns));
        let build = Builder { file: &file, source, columns: &columns };
        let metrics: Vec<Metric> =
            own.iter().filter_map(|metric| build.metric(metric, &mut choices, problems)).collect();
        sources.push(build.source(metrics, problems));
        programs.push(columns.program);
        definitions.push(columns.definitions);
    }
    let inputs = inputs(&name, &file.sources, problems);
    // A metric that was not understood would be missed here once more.
    let sinks = if problems.is_empty() { sink::build(&file.sinks, &sources, problems) } else { Vec::new() };
    let views = if problems.is_empty() { view::build(&file.views, &sources, problems) } else { Vec::new() };
    let spec = Spec { name, memory_bytes: file.memory_bytes, sources };
    let checkpoint = file.checkpoint;
    let takes = inputs.iter().any(|input| input.kind == InputKind::Http);
    let serve = file.serve.or_else(|| takes.then(Serve::default));
    Pipeline {
        spec,
        programs,
        inputs,
        sinks,
        views,
        checkpoint,
        serve,
        choices,
        places: Places { texts: Vec::new(), sources: places },
        definitions,
    }
}

/// The name of a file without folders and extension, fit for a pipeline.
pub(crate) fn stem(file_name: &str) -> String {
    let base = file_name.rsplit(['/', '\\']).next().unwrap_or("");
    let stem = base.split_once('.').map_or(base, |(stem, _)| stem);
    let fit = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' };
    match stem.chars().take(100).map(fit).collect::<String>() {
        empty if empty.trim_matches(['_', '-']).is_empty() => "pipeline".to_string(),
        stem => stem,
    }
}

/// A ladder for the whole file needs a source with event time.
fn check_times(file: &File, problems: &mut Problems) {
    if let Some(panes) = file.panes.as_ref().filter(|_| file.sources.iter().all(|source| !source.has_time)) {
        let problem = Problem::at(&panes.place, "panes are slices of event time, and no source has `time`");
        problems.push(problem.hint("add time = { field = \"ts\" } to the source, or leave `panes` out"));
    }
}

/// The source that a metric reads.
fn owner(metric: &MetricTable, sources: &[SourceTable], problems: &mut Problems) -> Option<usize> {
    let names: Vec<&str> = sources.iter().map(|source| source.name.value.as_str()).collect();
    match &metric.from {
        Some(from) => {
            let found = names.iter().position(|name| *name == from.value);
            if found.is_none() && !names.is_empty() {
                problems.push(unknown_name("source", from, &names));
            }
            found
        }
        None if names.len() > 1 => {
            let message = format!("metric `{}` does not say which source it reads", metric.name.value);
            problems.push(
                Problem::at(&metric.name.place, message)
                    .hint(format!("add `from`: there are {}", listed(&names))),
            );
            None
        }
        None => (!names.is_empty()).then_some(0),
    }
}

/// Builds the metrics of one source.
struct Builder<'a> {
    file: &'a File,
    source: &'a SourceTable,
    columns: &'a Columns,
}

impl Builder<'_> {
    fn source(&self, metrics: Vec<Metric>, problems: &mut Problems) -> Source {
        let source = self.source;
        let mut spec = Source {
            name: source.name.value.clone(),
            format: source.format.clone().unwrap_or(Format::Ndjson),
            fields: self.columns.fields.clone(),
            explode: self.columns.explode.clone(),
            steps: self.columns.steps.clone(),
            nulls: source.nulls.clone(),
            time: None,
            bad: source.bad,
            record_bytes_max: source.record_bytes_max,
            confidence: self.file.accuracy.confidence,
            groups_ttl: source.groups_ttl.as_ref().map(|ttl| ttl.value),
            hashing: self.file.hashing.clone(),
            metrics,
        };
        spec.time = source.time.as_ref().map(|time| self.time(time, &spec, problems));
        spec
    }

    /// Event time, which may be a derived column.
    fn time(&self, time: &Placed<TimeSpec>, spec: &Source, problems: &mut Problems) -> TimeSpec {
        let Some((path, format)) = time.value.field() else { return time.value.clone() };
        let derived = self.source.derive.iter().any(|(name, _)| name.value == path);
        let Some(column) = self.columns.named(path).filter(|_| derived) else {
            self.source.check_column(path, &time.place, problems);
            return time.value.clone();
        };
        if problems.is_empty() && column >= spec.first_uncertain() {
            let problem =
                Problem::at(&time.place, format!("`{path}` depends on a verdict, and those need a time"));
            problems.push(problem.hint("take a column that is made of the record alone"));
        }
        TimeSpec { from: TimeFrom::Column { column, format: format.clone() }, ..time.value.clone() }
    }

    fn metric(
        &self,
        metric: &MetricTable,
        choices: &mut Vec<Choice>,
        problems: &mut Problems,
    ) -> Option<Metric> {
        let (levels, total) = self.memory_of(metric, problems);
        let accuracy = self.accuracy_of(metric, problems);
        let measured = metric.measure.as_ref()?;
        let measure = self.measure(metric, measured, accuracy, problems)?;
        let filter = match &measured.filter {
            None => None,
            Some(filter) => Some(self.column(filter, Needs::Condition, problems)?),
        };
        choices.push(accuracy.choice(&self.source.name.value, &metric.name.value, &measure));
        let set =
            |set: &Vec<Placed<String>>| set.iter().filter_map(|f| self.columns.named(&f.value)).collect();
        Some(Metric {
            name: metric.name.value.clone(),
            measure,
            filter,
            by: metric.by.iter().map(set).collect(),
            groups_max: metric.groups_max,
            levels,
            total,
        })
    }

    /// The column of an expression, if it is of the kind that its place needs.
    fn column(&self, expression: &Expression, needs: Needs, problems: &mut Problems) -> Option<usize> {
        let column = self.columns.find(expression)?;
        let kind = self.columns.all[column].kind;
        let (good, what, hint) = match needs {
            Needs::Anything => return Some(column),
            Needs::Number => (is_number(kind), "no number", "\"float64\""),
            Needs::Weight => (kind == Kind::Int64, "no whole number", "\"int64\""),
            Needs::Condition => (kind == Kind::Bool, "no condition", "\"bool\""),
        };
        if good {
            return Some(column);
        }
        let text = &expression.text;
        let record = column < self.columns.fields.len();
        let hint = match (record, needs) {
            (true, _) => format!("declare it in `fields`: {} = {hint}", text.value),
            (false, Needs::Weight) => format!("cast it: cast({} as bigint)", text.value),
            (false, Needs::Condition) => "compare it with something, as in x = 'a'".to_string(),
            (false, _) => format!("cast it: cast({} as double)", text.value),
        };
        let verb = if expression.sql.is_some() { "gives" } else { "is" };
        let article = if kind == Kind::Int64 { "an" } else { "a" };
        let message = format!("`{}` {verb} {article} {} and {what}", text.value, kind.as_str());
        problems.push(Problem::at(&text.place, message).hint(hint));
        None
    }

    fn measure(
        &self,
        metric: &MetricTable,
        measured: &Measured,
        accuracy: Accuracy,
        problems: &mut Problems,
    ) -> Option<Measure> {
        let needs = if measured.what.is_numeric() { Needs::Number } else { Needs::Anything };
        let field = match &measured.operand {
            None => 0,
            Some(operand) => self.column(operand, needs, problems)?,
        };
        let weight = match &measured.weight {
            None => None,
            Some(weight) => Some(self.column(weight, Needs::Weight, problems)?),
        };
        Some(match &measured.what {
            What::Count => Measure::Count,
            What::Sum => Measure::Sum(field),
            What::Min => Measure::Min(field),
            What::Max => Measure::Max(field),
            What::Avg => Measure::Avg(field),
            What::Stddev => Measure::Stddev(field),
            What::Unique => Measure::Unique { field, lg_k: accuracy.unique_lg_k() },
            What::Audience => Measure::Audience { field, lg_k: accuracy.audience_lg_k() },
            What::Freq => {
                let (lg_width, depth, hot) = accuracy.freq_shape();
                Measure::Freq { field, lg_width, depth, hot, weight }
            }
            What::Top { k } => Measure::Top { field, k: *k, counters: accuracy.top_counters(*k), weight },
            What::Quantiles { at } => {
                Measure::Quantiles { field, bits: accuracy.quantiles_bits(), at: at.clone() }
            }
            What::Histogram { bounds } => Measure::Histogram { field, bounds: bounds.clone() },
            What::Seen => {
                let size = metric.size.as_ref()?;
                let keep = self.forgets_after(metric, size, problems)?;
                Measure::Seen { field, keys: size.value.keys(), rate: size.value.rate(), keep }
            }
            What::Session { gap, open_max } => {
                self.check_sessions(metric, measured, problems)?;
                let (gap, open_max) = (*gap, *open_max);
                let (bits, at) = (accuracy.quantiles_bits(), QUANTILES_DEFAULT.to_vec());
                Measure::Session { field, gap, open_max, bits, at }
            }
            What::Sample { k } => {
                let named: Vec<usize> =
                    measured.shown.iter().filter_map(|shown| self.columns.find(shown)).collect();
                let fields = if named.is_empty() { self.shown_by_default() } else { named };
                Measure::Sample { fields, k: *k }
            }
        })
    }

    /// Sessions are stretches of event time.
    fn check_sessions(
        &self,
        metric: &MetricTable,
        measured: &Measured,
        problems: &mut Problems,
    ) -> Option<()> {
        if self.source.has_time {
            return Some(());
        }
        let place = measured.operand.as_ref().map_or(&metric.name.place, |operand| &operand.text.place);
        let name = &self.source.name.value;
        let message = format!("sessions are stretches of event time, and source `{name}` has no `time`");
        problems.push(Problem::at(place, message).hint("add time = { field = \"ts\" } to the source"));
        None
    }

    /// After how long a `seen` forgets; `Some(None)` is never.
    fn forgets_after(
        &self,
        metric: &MetricTable,
        size: &Placed<Size>,
        problems: &mut Problems,
    ) -> Option<Option<Span>> {
        let Some(Placed { value: Keep::Ring(keep), place }) = &metric.keep else { return Some(None) };
        let Some(time) = &self.source.time else {
            // What is wrong with a `time` that is there has been said.
            if !self.source.has_time {
                let name = &self.source.name.value;
                let message =
                    format!("source `{name}` has no `time`, so nothing says how long ago a key came");
                let hint = "add time = { field = \"ts\" } to the source, or keep = \"forever\"";
                problems.push(Problem::at(place, message).hint(hint));
            }
            return None;
        };
        let (keys, rate) = (size.value.keys(), size.value.rate());
        if let Err(why) = RecentSize::new(keys, rate, *keep, time.value.lateness) {
            let problem =
                Problem::at(&size.place, format!("with `keep` this is too much for one filter: {why}"));
            problems.push(problem.hint("`size` says how many keys come within `keep`"));
            return None;
        }
        Some(Some(*keep))
    }

    /// What a sample shows when it does not say: every column with a name.
    fn shown_by_default(&self) -> Vec<usize> {
        let named = |(n, field): (usize, &Field)| (self.columns.named(&field.path) == Some(n)).then_some(n);
        self.columns.all.iter().enumerate().filter_map(named).collect()
    }

    /// The accuracy of a metric. Bounds are reported at one confidence per source, so only the error may differ.
    fn accuracy_of(&self, metric: &MetricTable, problems: &mut Problems) -> Accuracy {
        let Some(own) = &metric.accuracy else { return self.file.accuracy };
        if own.value.confidence != self.file.accuracy.confidence {
            let problem = Problem::at(&own.place, "the confidence of a metric differs from that of the file");
            problems.push(problem.hint("all metrics share one confidence: set it in `accuracy` of the file"));
        }
        own.value
    }

    /// The ladder of a metric, and whether it keeps its total.
    fn memory_of(&self, metric: &MetricTable, problems: &mut Problems) -> (Vec<Level>, bool) {
        let keep = metric.keep.as_ref();
        if metric.is_verdict() || keep.is_some_and(|keep| keep.value == Keep::Forever) {
            return (Vec::new(), true);
        }
        if !self.source.has_time {
            let asked = keep.map(|keep| &keep.place).or(metric.panes.as_ref().map(|panes| &panes.place));
            if let Some(place) = asked {
                let message =
                    format!("source `{}` has no `time`, so there are no panes", self.source.name.value);
                problems
                    .push(Problem::at(place, message).hint("add time = { field = \"ts\" } to the source"));
            }
            return (Vec::new(), true);
        }
        let ladder = metric.panes.as_ref().or(self.file.panes.as_ref());
        let levels = ladder.map_or_else(file::panes_default, |panes| panes.value.clone());
        match (keep, levels.first()) {
            (Some(Placed { value: Keep::Ring(span), place }), Some(finest)) => {
                if *span < finest.size {
                    let message = format!("`keep` is shorter than one pane of {}", finest.size);
                    problems
                        .push(Problem::at(place, message).hint("add a finer level to `panes` of the file"));
                }
                (vec![Level { size: finest.size, keep: *span }], false)
            }
            _ => (levels, true),
        }
    }
}

/// What the place of an expression needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Anything,
    Number,
    Weight,
    Condition,
}

fn is_number(kind: Kind) -> bool {
    matches!(kind, Kind::Int64 | Kind::Float64)
}

/// Where the bytes come from and where those go that are set aside.
fn inputs(name: &str, sources: &[SourceTable], problems: &mut Problems) -> Vec<Input> {
    let mut inputs: Vec<Input> = Vec::new();
    for source in sources {
        let Some(kind) = source.input.clone() else { continue };
        if reads_stdin(&kind) && inputs.iter().any(|other| reads_stdin(&other.kind)) {
            let message =
                format!("source `{}` reads standard input, and so does another one", source.name.value);
            problems.push(Problem::at(&source.name.place, message).hint("only one source can read it"));
        }
        let later = source.time.as_ref().is_some_and(|time| time.value.later == Later::Quarantine);
        let needed = source.bad == BadPolicy::Quarantine || later;
        let default = match sources.len() {
            1 => format!("{name}.quarantine.ndjson"),
            _ => format!("{name}.{}.quarantine.ndjson", source.name.value),
        };
        let quarantine = source.quarantine.as_ref().map_or(default, |path| path.value.clone());
        if let Some(path) = &source.quarantine {
            check_quarantine(path, needed, &kind, &inputs, problems);
        }
        let (name, idle) = (source.name.value.clone(), source.idle);
        inputs.push(Input { source: name, kind, quarantine: needed.then_some(quarantine), idle });
    }
    inputs
}

fn reads_stdin(kind: &InputKind) -> bool {
    match kind {
        InputKind::Stdin => true,
        InputKind::Http => false,
        InputKind::File { paths } => paths.iter().any(|path| path == "-"),
    }
}

fn check_quarantine(
    path: &Placed<String>,
    needed: bool,
    kind: &InputKind,
    inputs: &[Input],
    problems: &mut Problems,
) {
    let read = matches!(kind, InputKind::File { paths } if paths.contains(&path.value));
    let shared = inputs.iter().any(|other| other.quarantine.as_ref() == Some(&path.value));
    let problem = Problem::at(&path.place, "");
    let (message, hint) = match () {
        () if path.value.is_empty() => ("the path is empty", "leave `quarantine` out for the default"),
        () if !needed => ("nothing is quarantined here", "add bad = \"quarantine\", or leave the path out"),
        () if read => ("the quarantine would be written into a file that is read", "use another path"),
        () if shared => ("another source has the same quarantine file", "use another path"),
        () => return,
    };
    problems.push(Problem { message: message.into(), ..problem.hint(hint) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_is_called_like_its_file() {
        for (file, name) in [
            ("shop.toml", "shop"),
            ("a/b/web-logs.toml", "web-logs"),
            ("a\\b c.d.toml", "b_c"),
            (".toml", "pipeline"),
            ("-", "pipeline"),
            ("", "pipeline"),
        ] {
            assert_eq!(stem(file), name, "{file}");
        }
    }
}

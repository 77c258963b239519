//! From the tables of a file to the spec of the engine: names are resolved, types decided, sketches sized.

use crate::accuracy::{Accuracy, Choice};
use crate::file::metric::{Keep, Measured, MetricTable};
use crate::file::overrides::Override;
use crate::file::source::SourceTable;
use crate::file::values::unknown_name;
use crate::file::{self, File, tree};
use crate::input::{Input, InputKind};
use crate::measure::What;
use crate::places::{Places, SourcePlaces};
use crate::problem::{Placed, Problem, Problems, did_you_mean, listed};
use engine::spec::{BadPolicy, Delimited, Field, Format, Kind, Later, Level, Measure, Metric, Source, Spec};

/// A pipeline file that was understood in whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// What to measure.
    pub spec: Spec,
    /// Where the bytes of each source come from; one per `spec.sources`, in the same order.
    pub inputs: Vec<Input>,
    /// What `accuracy` came to; one per metric, in the order of `spec.sources[..].metrics[..]`.
    pub choices: Vec<Choice>,
    /// Where the words stand that the data may prove wrong.
    pub(crate) places: Places,
}

impl Pipeline {
    /// Reads a pipeline file. `file_name` names it in messages and names the pipeline when the file does not.
    ///
    /// # Errors
    /// All problems of the file, in its order. Syntax errors are told alone: nothing else can be judged then.
    pub fn parse(file_name: &str, text: &str, overrides: &[Override]) -> Result<Pipeline, Problems> {
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
        let file = file::read(&root, &mut problems);
        let mut pipeline = build(file, file_name, &mut problems);
        pipeline.places.texts = texts;
        if problems.is_empty() { Ok(pipeline) } else { Err(problems.sorted()) }
    }
}

fn build(file: File, file_name: &str, problems: &mut Problems) -> Pipeline {
    let name = file.name.clone().unwrap_or_else(|| stem(file_name));
    check_times(&file, problems);
    let owners: Vec<Option<usize>> = file.metrics.iter().map(|m| owner(m, &file.sources, problems)).collect();
    let mut choices = Vec::new();
    let (mut sources, mut places) = (Vec::new(), Vec::new());
    for (i, source) in file.sources.iter().enumerate() {
        let metrics =
            || file.metrics.iter().zip(&owners).filter(|(_, owner)| **owner == Some(i)).map(|(m, _)| m);
        let fields = fields_of(source, metrics(), problems);
        places.push(SourcePlaces::of(source, metrics(), &fields));
        let build = Builder { file: &file, source, fields: &fields };
        let metrics: Vec<Metric> =
            metrics().filter_map(|metric| build.metric(metric, &mut choices, problems)).collect();
        sources.push(build.source(metrics));
    }
    let inputs = inputs(&name, &file.sources, problems);
    let spec = Spec { name, memory_bytes: file.memory_bytes, sources };
    Pipeline { spec, inputs, choices, places: Places { texts: Vec::new(), sources: places } }
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

/// One use of a field by a metric.
pub(crate) struct Use<'a> {
    pub path: &'a Placed<String>,
    numeric: bool,
    /// Whether it stands in `by`, where people also write expressions.
    by: bool,
}

pub(crate) fn uses(metric: &MetricTable) -> impl Iterator<Item = Use<'_>> {
    let measured = metric.measure.iter().filter_map(|Measured { what, field }| {
        field.as_ref().map(|path| Use { path, numeric: what.is_numeric(), by: false })
    });
    measured.chain(metric.by.iter().flatten().map(|path| Use { path, numeric: false, by: true }))
}

/// The fields that metrics use, in the order of their first use, with their types: the declared one, otherwise a
/// double where a number is needed and a string elsewhere. A field used both ways must be declared.
fn fields_of<'a>(
    source: &SourceTable,
    metrics: impl Iterator<Item = &'a MetricTable>,
    problems: &mut Problems,
) -> Vec<Field> {
    let mut fields: Vec<(Field, bool)> = Vec::new();
    for use_ in metrics.flat_map(uses) {
        let path = &use_.path.value;
        check_column(source, use_.path, problems);
        let declared = source.fields.iter().find(|(field, _)| field.value == *path).map(|(_, kind)| *kind);
        if use_.by && declared.is_none() && is_call(path) {
            let problem = Problem::at(&use_.path.place, format!("`{path}` is not supported by this version"));
            problems.push(problem.hint("`by` takes names of fields; if this is one, declare it in `fields`"));
        }
        if let Some(kind) = declared.filter(|kind| use_.numeric && !is_number(*kind)) {
            let problem =
                Problem::at(&use_.path.place, format!("`{path}` is a {} and no number", kind.as_str()));
            problems.push(problem.hint(format!("declare it in `fields`: {path} = \"float64\"")));
        }
        match fields.iter().find(|(field, _)| field.path == *path) {
            None => {
                let kind = declared.unwrap_or(if use_.numeric { Kind::Float64 } else { Kind::String });
                fields.push((Field { path: path.clone(), kind }, use_.numeric));
            }
            Some((_, numeric)) if *numeric != use_.numeric && declared.is_none() => {
                let (here, there) = if use_.numeric { ("a number", "text") } else { ("text", "a number") };
                let message = format!("`{path}` is used as {here} here and as {there} elsewhere");
                let hint = format!(
                    "say what it is in `fields` of source `{}`: {path} = \"float64\"",
                    source.name.value
                );
                problems.push(Problem::at(&use_.path.place, message).hint(hint));
            }
            Some(_) => {}
        }
    }
    if let Some(time) = &source.time
        && let Some((path, _)) = time.value.field()
    {
        check_column(source, &Placed { value: path.to_string(), place: time.place.clone() }, problems);
    }
    fields.into_iter().map(|(field, _)| field).collect()
}

/// Where the file or the format names the columns, a field must be one of them.
fn check_column(source: &SourceTable, path: &Placed<String>, problems: &mut Problems) {
    let (what, names): (_, Vec<&str>) = match &source.format {
        Some(Format::Delimited(Delimited { columns: Some(columns), .. })) => {
            ("column", columns.iter().map(String::as_str).collect())
        }
        Some(format) => match format.names() {
            Some(names) => ("field", names.to_vec()),
            None => return,
        },
        None => return,
    };
    if names.contains(&path.value.as_str()) {
        return;
    }
    let hint = match did_you_mean(&path.value, names.iter().copied()) {
        Some(meant) => Some(format!("did you mean `{meant}`?")),
        None if names == ["line"] => {
            Some("a line is one field, `line`: `explode` and `derive` take it apart".to_string())
        }
        None => (what == "field").then(|| format!("there are {}", listed(&names))),
    };
    let problem = Problem::at(&path.place, format!("there is no {what} `{}`", path.value));
    problems.push(problem.hint_if(hint));
}

/// Whether a name looks like `lower(device)`.
fn is_call(path: &str) -> bool {
    path.ends_with(')') && path.split_once('(').is_some_and(|(name, _)| file::values::is_name(name))
}

fn is_number(kind: Kind) -> bool {
    matches!(kind, Kind::Int64 | Kind::Float64)
}

/// Builds the metrics of one source.
struct Builder<'a> {
    file: &'a File,
    source: &'a SourceTable,
    fields: &'a [Field],
}

impl Builder<'_> {
    fn source(&self, metrics: Vec<Metric>) -> Source {
        let source = self.source;
        Source {
            name: source.name.value.clone(),
            format: source.format.clone().unwrap_or(Format::Ndjson),
            fields: self.fields.to_vec(),
            explode: None,
            steps: Vec::new(),
            nulls: source.nulls.clone(),
            time: source.time.as_ref().map(|time| time.value.clone()),
            bad: source.bad,
            record_bytes_max: source.record_bytes_max,
            confidence: self.file.accuracy.confidence,
            metrics,
        }
    }

    fn metric(
        &self,
        metric: &MetricTable,
        choices: &mut Vec<Choice>,
        problems: &mut Problems,
    ) -> Option<Metric> {
        let (levels, total) = self.memory_of(metric, problems);
        let accuracy = self.accuracy_of(metric, problems);
        let measure = self.measure(metric.measure.as_ref()?, accuracy)?;
        choices.push(accuracy.choice(&self.source.name.value, &metric.name.value, &measure));
        let set =
            |set: &Vec<Placed<String>>| set.iter().filter_map(|field| self.index(&field.value)).collect();
        Some(Metric {
            name: metric.name.value.clone(),
            measure,
            filter: None,
            by: metric.by.iter().map(set).collect(),
            groups_max: metric.groups_max,
            levels,
            total,
        })
    }

    fn index(&self, path: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.path == path)
    }

    fn measure(&self, measured: &Measured, accuracy: Accuracy) -> Option<Measure> {
        let field = match &measured.field {
            None => return Some(Measure::Count),
            Some(path) => self.index(&path.value)?,
        };
        Some(match &measured.what {
            What::Count => Measure::Count,
            What::Sum => Measure::Sum(field),
            What::Min => Measure::Min(field),
            What::Max => Measure::Max(field),
            What::Avg => Measure::Avg(field),
            What::Stddev => Measure::Stddev(field),
            What::Unique => Measure::Unique { field, lg_k: accuracy.unique_lg_k() },
            What::Freq => {
                let (lg_width, depth, hot) = accuracy.freq_shape();
                Measure::Freq { field, lg_width, depth, hot }
            }
            What::Top { k } => Measure::Top { field, k: *k, counters: accuracy.top_counters(*k) },
            What::Quantiles { at } => {
                Measure::Quantiles { field, bits: accuracy.quantiles_bits(), at: at.clone() }
            }
            What::Histogram { bounds } => Measure::Histogram { field, bounds: bounds.clone() },
        })
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
        if keep.is_some_and(|keep| keep.value == Keep::Forever) {
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
        let source = source.name.value.clone();
        inputs.push(Input { source, kind, quarantine: needed.then_some(quarantine) });
    }
    inputs
}

fn reads_stdin(kind: &InputKind) -> bool {
    match kind {
        InputKind::Stdin => true,
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

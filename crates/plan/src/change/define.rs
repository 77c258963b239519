//! What columns and metrics are: numbers that are equal for equal definitions, in both pipelines.

use super::words::measured;
use crate::columns::Definition;
use crate::input::Input;
use crate::pipeline::Pipeline;
use engine::spec::{Field, Measure, Metric, Source};
use std::collections::BTreeMap;

/// What has been defined so far, in both pipelines: equal definitions have equal numbers, so that comparing two of them is
/// cheap however deep they are.
#[derive(Default)]
pub(super) struct Known(BTreeMap<(String, Vec<usize>), usize>);

impl Known {
    pub(super) fn number(&mut self, text: String, parts: Vec<usize>) -> usize {
        let next = self.0.len();
        *self.0.entry((text, parts)).or_insert(next)
    }
}

/// A source of one of the two pipelines.
pub(super) struct Side<'a> {
    pub source: &'a Source,
    pub input: &'a Input,
    pub columns: Vec<Field>,
    pub definitions: &'a [Definition],
    /// By column: the number of its definition, once it is known.
    numbers: Vec<Option<usize>>,
}

impl<'a> Side<'a> {
    pub(super) fn of(pipeline: &'a Pipeline, index: usize) -> Side<'a> {
        let source = &pipeline.spec.sources[index];
        let columns = source.columns();
        let numbers = vec![None; columns.len()];
        let definitions = &pipeline.definitions[index];
        Side { source, input: &pipeline.inputs[index], columns, definitions, numbers }
    }

    /// The number of what a column is. Columns use only those before them, except that the first verdict's key may be any.
    pub(super) fn define(&mut self, column: usize, known: &mut Known) -> usize {
        if let Some(number) = self.numbers[column] {
            return number;
        }
        let field = &self.columns[column];
        let head = format!("{}: {}", field.path, field.kind.as_str());
        let number = match &self.definitions[column] {
            Definition::Field => known.number(head, Vec::new()),
            Definition::Expression(text, used) => {
                // An expression without a name is called by its text, with whatever blanks.
                let named = column < self.source.fields.len() + usize::from(self.source.explode.is_some())
                    || !same_words(&field.path, text);
                let head = if named {
                    format!("{head} = {text}")
                } else {
                    format!("{text}: {}", field.kind.as_str())
                };
                let parts = used.clone().into_iter().map(|part| self.define(part, known)).collect();
                known.number(head, parts)
            }
            Definition::Verdict(metric) => {
                let metric = &self.source.metrics[*metric];
                let text = format!("{head} = {}", kept_as(self.source, metric));
                let parts = self.operands(metric).into_iter().map(|part| self.define(part, known)).collect();
                known.number(text, parts)
            }
        };
        self.numbers[column] = Some(number);
        number
    }

    /// What a metric reads besides what it groups by: the field, the weight, those a sample shows, the filter.
    pub(super) fn operands(&self, metric: &Metric) -> Vec<usize> {
        let shown = match &metric.measure {
            Measure::Sample { fields, .. } => fields.clone(),
            _ => Vec::new(),
        };
        let one = metric.measure.field().into_iter().chain(metric.measure.weight());
        one.chain(shown).chain(metric.filter).collect()
    }

    pub(super) fn names(&self, columns: &[usize]) -> Vec<String> {
        columns.iter().map(|&column| self.columns[column].path.clone()).collect()
    }

    pub(super) fn metric(&self, name: &str) -> Option<usize> {
        self.source.metrics.iter().position(|metric| metric.name == name)
    }

    /// How a column comes about, for people.
    pub(super) fn shown(&self, column: usize) -> String {
        let field = &self.columns[column];
        match &self.definitions[column] {
            Definition::Field => format!("{} ({})", field.path, field.kind.as_str()),
            Definition::Expression(text, _) if same_words(&field.path, text) => text.clone(),
            Definition::Expression(text, _) => format!("{} = {text} ({})", field.path, field.kind.as_str()),
            Definition::Verdict(metric) => {
                let metric = &self.source.metrics[*metric];
                format!("{} = {}", field.path, measured(self, metric))
            }
        }
    }
}

fn same_words(a: &str, b: &str) -> bool {
    let plain = |text: &str| text.split_whitespace().collect::<String>().to_lowercase();
    plain(a) == plain(b)
}

/// What decides the bytes of a metric, besides what it reads: the measure with its parameters, but not with those that only
/// say what is reported.
pub(super) fn kept_as(source: &Source, metric: &Metric) -> String {
    let mut measure = metric.measure.clone();
    match &mut measure {
        Measure::Count => {}
        Measure::Sum(field)
        | Measure::Min(field)
        | Measure::Max(field)
        | Measure::Avg(field)
        | Measure::Stddev(field)
        | Measure::Unique { field, .. }
        | Measure::Histogram { field, .. }
        | Measure::Audience { field, .. } => *field = 0,
        Measure::Freq { field, weight, .. } => (*field, *weight) = (0, weight.map(|_| 0)),
        Measure::Top { field, k, weight, .. } => (*field, *k, *weight) = (0, 0, weight.map(|_| 0)),
        Measure::Quantiles { field, at, .. } | Measure::Session { field, at, .. } => {
            *field = 0;
            at.clear();
        }
        // How far it looks back lies in buckets, which `lateness` stretches.
        Measure::Seen { field, keys, rate, keep } => {
            *field = 0;
            if let Some(size) = keep.and_then(|keep| source.recent_size(*keys, *rate, keep).ok()) {
                return format!("{measure:?} {size:?}");
            }
        }
        Measure::Sample { fields, .. } => fields.clear(),
    }
    format!("{measure:?}")
}

//! A metric as a table: a row for each answer, or for each entry of a list.

use super::QueryError;
use super::moments::Moments;
use super::rows::{BATCH_ROWS, Cell, Rows};
use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use engine::session::Sessions;
use engine::spec::{Ask, Field, Kind, Measure, Source, Window};
use engine::time::{Span, Time};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a column of a metric's table holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holds {
    Start,
    End,
    /// The value of a `by` field of this path.
    Dimension(String, Kind),
    /// The item of an entry of `top` and `freq`.
    Item(Kind),
    /// Which quantile an entry is.
    Quantile,
    /// The upper bound of a bucket.
    UpTo,
    /// A field of an event of a sample.
    OfEvent(usize, Kind),
    Value,
    Low,
    High,
    Confidence,
    Guarantee,
    Exact,
    CompleteTo,
    Late,
    Sketch,
    GroupedBy,
    Other,
    Resolution,
}

/// A column of a metric's table.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub name: String,
    pub holds: Holds,
}

/// One name of answers, and what is known of them before anything is asked.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Number of the source.
    pub source: usize,
    pub spec: Arc<Source>,
    /// Number of the metric in its source.
    pub metric: usize,
    /// The name of its answers: that of the metric, but for what sessions are measured by.
    pub name: String,
    /// What these answers are.
    pub measure: Measure,
    pub columns: Vec<Column>,
    pub schema: SchemaRef,
}

impl Measured {
    /// All names of answers of a source.
    pub fn all(index: usize, spec: &Arc<Source>) -> Vec<Measured> {
        let columns = spec.columns();
        let mut out = Vec::new();
        for (metric, of) in spec.metrics.iter().enumerate() {
            if let Measure::Session { .. } = of.measure {
                let closed = Sessions::closed_source(spec, metric);
                let fields = closed.columns();
                for answers in &closed.metrics {
                    out.push(Measured::new(
                        index,
                        spec,
                        metric,
                        &answers.name,
                        answers.measure.clone(),
                        &fields,
                    ));
                }
            } else {
                out.push(Measured::new(index, spec, metric, &of.name, of.measure.clone(), &columns));
            }
        }
        out
    }

    fn new(
        source: usize,
        spec: &Arc<Source>,
        metric: usize,
        name: &str,
        measure: Measure,
        fields: &[Field],
    ) -> Measured {
        let kind = measure.field().map(|field| fields[field].kind);
        let whole = match measure {
            Measure::Sum(_) | Measure::Min(_) | Measure::Max(_) => kind == Some(Kind::Int64),
            Measure::Avg(_) | Measure::Stddev(_) | Measure::Quantiles { .. } | Measure::Sample { .. } => {
                false
            }
            Measure::Count
            | Measure::Unique { .. }
            | Measure::Freq { .. }
            | Measure::Top { .. }
            | Measure::Histogram { .. }
            | Measure::Seen { .. }
            | Measure::Session { .. }
            | Measure::Audience { .. } => true,
        };
        let columns = columns(spec, metric, &measure, fields);
        let types = columns.iter().map(|column| {
            let never_null =
                matches!(column.holds, Holds::GroupedBy | Holds::Other | Holds::Exact | Holds::Guarantee);
            ArrowField::new(&column.name, column.holds.data_type(whole), !never_null)
        });
        let schema = Arc::new(Schema::new(types.collect::<Vec<_>>()));
        Measured { source, spec: Arc::clone(spec), metric, name: name.into(), measure, columns, schema }
    }

    /// The grouping sets, as they are named in `grouped_by`.
    pub fn sets(&self) -> Vec<String> {
        let by = &self.spec.metrics[self.metric].by;
        by.iter().map(|set| self.set_name(set)).collect()
    }

    pub fn set_name(&self, set: &[usize]) -> String {
        let columns = self.spec.columns();
        set.iter().map(|&field| columns[field].path.as_str()).collect::<Vec<_>>().join(",")
    }

    /// The grouping set of this name, in any order.
    pub fn set(&self, name: &str) -> Option<Vec<usize>> {
        let fields = |name: &str| -> BTreeSet<String> {
            name.split(',').map(|field| field.trim().to_string()).filter(|field| !field.is_empty()).collect()
        };
        let wanted = fields(name);
        let by = &self.spec.metrics[self.metric].by;
        by.iter().find(|set| fields(&self.set_name(set)) == wanted).cloned()
    }
}

/// The columns, no two of one name.
fn columns(spec: &Source, metric: usize, measure: &Measure, fields: &[Field]) -> Vec<Column> {
    let all = spec.columns();
    let mut holds = vec![Holds::Start, Holds::End];
    let mut seen = BTreeSet::new();
    let by = spec.metrics[metric].by.iter().flatten().filter(|field| seen.insert(**field));
    holds.extend(by.map(|&field| Holds::Dimension(all[field].path.clone(), all[field].kind)));
    match measure {
        Measure::Freq { field, .. } | Measure::Top { field, .. } => {
            holds.push(Holds::Item(fields[*field].kind))
        }
        Measure::Quantiles { .. } => holds.push(Holds::Quantile),
        Measure::Histogram { .. } => holds.push(Holds::UpTo),
        Measure::Sample { fields: shown, .. } => {
            holds.extend(shown.iter().enumerate().map(|(i, &field)| Holds::OfEvent(i, fields[field].kind)));
        }
        _ => {}
    }
    holds.extend([Holds::Value, Holds::Low, Holds::High, Holds::Confidence, Holds::Guarantee, Holds::Exact]);
    holds.extend([
        Holds::CompleteTo,
        Holds::Late,
        Holds::Sketch,
        Holds::GroupedBy,
        Holds::Other,
        Holds::Resolution,
    ]);
    let mut taken: BTreeSet<String> =
        holds.iter().filter_map(|holds| holds.fixed_name()).map(String::from).collect();
    let shown = |i: usize| match measure {
        Measure::Sample { fields: shown, .. } => fields[shown[i]].path.clone(),
        _ => unreachable!("only a sample shows events"),
    };
    let named = |holds: Holds| {
        let name = match (holds.fixed_name(), &holds) {
            (Some(fixed), _) => fixed.to_string(),
            (None, Holds::Dimension(path, _)) => free(path.clone(), &mut taken),
            (None, Holds::OfEvent(i, _)) => free(shown(*i), &mut taken),
            (None, _) => unreachable!("all others have a name of their own"),
        };
        Column { name, holds }
    };
    holds.into_iter().map(named).collect()
}

/// A field called like a column that every table has gets another name.
fn free(name: String, taken: &mut BTreeSet<String>) -> String {
    let mut name = if taken.contains(&name) { format!("by_{name}") } else { name };
    while !taken.insert(name.clone()) {
        name.push('_');
    }
    name
}

impl Holds {
    /// The name of a column that is called alike in every table.
    fn fixed_name(&self) -> Option<&'static str> {
        Some(match self {
            Holds::Dimension(..) | Holds::OfEvent(..) => return None,
            Holds::Start => "start",
            Holds::End => "end",
            Holds::Item(_) => "item",
            Holds::Quantile => "q",
            Holds::UpTo => "le",
            Holds::Value => "value",
            Holds::Low => "low",
            Holds::High => "high",
            Holds::Confidence => "confidence",
            Holds::Guarantee => "guarantee",
            Holds::Exact => "exact",
            Holds::CompleteTo => "complete_to",
            Holds::Late => "late",
            Holds::Sketch => "sketch",
            Holds::GroupedBy => "grouped_by",
            Holds::Other => "other",
            Holds::Resolution => "resolution",
        })
    }

    fn data_type(&self, whole: bool) -> DataType {
        let number = if whole { DataType::Int64 } else { DataType::Float64 };
        match self {
            Holds::Start | Holds::End | Holds::CompleteTo => timestamp(),
            Holds::Dimension(_, kind) | Holds::Item(kind) | Holds::OfEvent(_, kind) => data_type(*kind),
            Holds::Quantile | Holds::UpTo | Holds::Confidence => DataType::Float64,
            Holds::Value | Holds::Low | Holds::High => number,
            Holds::Guarantee | Holds::GroupedBy | Holds::Resolution => DataType::Utf8,
            Holds::Exact | Holds::Other => DataType::Boolean,
            Holds::Late => DataType::Int64,
            Holds::Sketch => DataType::Binary,
        }
    }
}

/// Times are microseconds in UTC.
pub(crate) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

pub(crate) fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::String => DataType::Utf8,
        Kind::Int64 => DataType::Int64,
        Kind::Float64 => DataType::Float64,
        Kind::Bool => DataType::Boolean,
    }
}

/// What a table asks its metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Of(Ask),
    /// The window from here to the newest pane.
    Since(Time),
}

/// A metric with a question.
#[derive(Debug)]
pub(crate) struct MetricTable {
    pub measured: Arc<Measured>,
    pub asked: Asked,
    /// One grouping set, or all.
    pub by: Option<Vec<usize>>,
}

impl MetricTable {
    /// The table without arguments: every pane.
    pub fn panes(measured: &Arc<Measured>) -> Arc<MetricTable> {
        Arc::new(MetricTable { measured: Arc::clone(measured), asked: Asked::Of(Ask::Panes), by: None })
    }

    /// The one grouping set that filters leave.
    fn set_of(&self, filters: &[Expr]) -> Option<Vec<usize>> {
        let names = filters.iter().filter_map(|filter| equal_to(filter, "grouped_by"));
        names.filter_map(|name| self.measured.set(&name)).next()
    }
}

/// The text that a filter wants a column to be.
fn equal_to(filter: &Expr, name: &str) -> Option<String> {
    let Expr::BinaryExpr(binary) = filter else { return None };
    let (column, value) = match (&*binary.left, &*binary.right) {
        (Expr::Column(column), Expr::Literal(value, _)) | (Expr::Literal(value, _), Expr::Column(column)) => {
            (column, value)
        }
        _ => return None,
    };
    let text = match value {
        ScalarValue::Utf8(Some(text))
        | ScalarValue::Utf8View(Some(text))
        | ScalarValue::LargeUtf8(Some(text)) => text,
        _ => return None,
    };
    (binary.op == Operator::Eq && column.name == name).then(|| text.clone())
}

#[async_trait]
impl TableProvider for MetricTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.measured.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let pushed = |filter: &&Expr| match equal_to(filter, "grouped_by") {
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(pushed).collect())
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all = || (0..self.measured.columns.len()).collect();
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(all);
        let schema = Arc::new(self.measured.schema.project(&wanted)?);
        let scan = Scan {
            measured: Arc::clone(&self.measured),
            asked: self.asked,
            by: self.by.clone().or_else(|| self.set_of(filters)),
            wanted: wanted.iter().map(|&column| self.measured.columns[column].holds.clone()).collect(),
            schema: Arc::clone(&schema),
            rows_max: limit.unwrap_or(usize::MAX),
        };
        Ok(Arc::new(StreamingTableExec::try_new(schema, vec![Arc::new(scan)], None, None, false, limit)?))
    }
}

/// The rows of a metric that a query needs, of the columns that it needs.
#[derive(Debug)]
struct Scan {
    measured: Arc<Measured>,
    asked: Asked,
    by: Option<Vec<usize>>,
    wanted: Vec<Holds>,
    schema: SchemaRef,
    rows_max: usize,
}

impl PartitionStream for Scan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStream::builder(Arc::clone(&self.schema), 2);
        let sender = stream.tx();
        let scan = Scan {
            measured: Arc::clone(&self.measured),
            asked: self.asked,
            by: self.by.clone(),
            wanted: self.wanted.clone(),
            schema: Arc::clone(&self.schema),
            rows_max: self.rows_max,
        };
        // Merging panes takes its time: not on a thread that serves others.
        stream.spawn_blocking(move || {
            let moments = context.session_config().get_extension::<Moments>();
            let moments =
                moments.ok_or_else(|| DataFusionError::Internal("a query without moments".into()))?;
            scan.run(&moments, &mut |batch| sender.blocking_send(Ok(batch)).is_ok())?;
            Ok(())
        });
        stream.build()
    }
}

impl Scan {
    /// Asks, and hands rows out batch by batch as long as somebody takes them.
    fn run(
        &self,
        moments: &Moments,
        send: &mut dyn FnMut(datafusion::arrow::record_batch::RecordBatch) -> bool,
    ) -> Result<(), QueryError> {
        let moment = moments.get(&self.measured)?;
        let Some(ask) = self.asked.at(&self.measured, moment.watermark()) else { return Ok(()) };
        let mut rows = Rows::new(&self.schema, &self.wanted, &self.measured.spec.hashing);
        let (mut failed, mut open, mut sent) = (None, true, 0);
        let asked = moment.ask(self.measured.metric, self.by.as_deref(), ask, &mut |answer, cell| {
            if !open || answer.metric != self.measured.name {
                return;
            }
            if let Err(error) = rows.push(&answer, Cell::of(cell)) {
                (failed, open) = (Some(error), false);
                return;
            }
            if rows.is_full() {
                sent += BATCH_ROWS;
                let batch = rows.take();
                open = batch.is_ok_and(&mut *send) && sent < self.rows_max;
            }
        });
        asked.map_err(|why| QueryError::unanswerable(&self.measured.name, &why))?;
        if let Some(error) = failed {
            return Err(error);
        }
        if open && !rows.is_empty() {
            send(rows.take()?);
        }
        Ok(())
    }
}

impl Asked {
    /// The question, at this watermark; `None` where nothing can be in the window.
    fn at(self, measured: &Measured, watermark: Option<Time>) -> Option<Ask> {
        match self {
            Asked::Of(ask) => Some(ask),
            Asked::Since(start) => {
                let finest =
                    measured.spec.metrics[measured.metric].levels.first().map_or(Span(1), |level| level.size);
                let end = measured.spec.newest(watermark)?.floor_to(finest).plus(finest);
                Some(Ask::Between(Window { start, end }))
            }
        }
    }
}

//! System tables: what is measured, of what, and what it costs. Read from the moment of a query, as metrics are.

use super::catalog::Names;
use super::moments::Moments;
use super::rows::Builder;
use super::table::timestamp;
use super::{QueryError, View};
use crate::size::words;
use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use engine::answer::Number;
use engine::batch::Reason;
use engine::intake::Tally;
use engine::moment::Reader;
use engine::spec::{Kind, Later, Measure, Source};
use engine::time::Time;
use std::fmt;
use std::sync::Arc;

/// The tables there are.
pub(crate) const NAMES: [&str; 6] = ["metrics", "memory", "sources", "late", "quarantine", "views"];

/// A value of a system table.
enum Value {
    Text(Option<String>),
    Int(u64),
    Time(Option<Time>),
    Truth(bool),
}

type Columns = &'static [(&'static str, fn() -> DataType)];

const TEXT: fn() -> DataType = || DataType::Utf8;
const INT: fn() -> DataType = || DataType::Int64;
const TRUTH: fn() -> DataType = || DataType::Boolean;

fn columns(name: &str) -> Option<Columns> {
    Some(match name {
        "metrics" => &[
            ("source", TEXT),
            ("metric", TEXT),
            ("measure", TEXT),
            ("by", TEXT),
            ("panes", TEXT),
            ("total", TRUTH),
            ("groups_max", INT),
            ("type", TEXT),
        ],
        "memory" => &[("source", TEXT), ("metric", TEXT), ("bytes", INT)],
        "sources" => &[
            ("source", TEXT),
            ("read", INT),
            ("accepted", INT),
            ("on_time", INT),
            ("late", INT),
            ("ahead", INT),
            ("bad", INT),
            ("complete_to", timestamp),
            ("newest", timestamp),
        ],
        "late" => &[
            ("source", TEXT),
            ("later", TEXT),
            ("late", INT),
            ("corrected", INT),
            ("dropped", INT),
            ("quarantined", INT),
            ("too_late", INT),
            ("complete_to", timestamp),
        ],
        "quarantine" => &[("source", TEXT), ("reason", TEXT), ("records", INT), ("kept_in", TEXT)],
        "views" => &[("view", TEXT), ("sql", TEXT)],
        _ => return None,
    })
}

/// A table of this name.
pub(crate) fn table(names: &Names, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
    let Some((at, columns)) = NAMES.iter().position(|known| *known == name).zip(columns(name)) else {
        return Ok(None);
    };
    let fields = columns.iter().map(|(name, data_type)| Field::new(*name, data_type(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let views = names.views.iter().map(|view| view.view.clone()).collect();
    let (reader, sources) = (Arc::clone(&names.reader), names.sources.clone());
    Ok(Some(Arc::new(SystemTable(Arc::new(Listing { name: NAMES[at], schema, reader, sources, views })))))
}

/// What a system table is made of.
struct Listing {
    name: &'static str,
    schema: SchemaRef,
    reader: Arc<dyn Reader>,
    sources: Vec<Arc<Source>>,
    views: Vec<View>,
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sg.{}", self.name)
    }
}

#[derive(Debug)]
struct SystemTable(Arc<Listing>);

#[async_trait]
impl TableProvider for SystemTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let partition: Arc<dyn PartitionStream> = Arc::new(Scan(Arc::clone(&self.0)));
        let schema = Arc::clone(&self.0.schema);
        Ok(Arc::new(StreamingTableExec::try_new(schema, vec![partition], projection, None, false, limit)?))
    }
}

#[derive(Debug)]
struct Scan(Arc<Listing>);

impl PartitionStream for Scan {
    fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let listing = Arc::clone(&self.0);
        let mut stream = RecordBatchReceiverStream::builder(Arc::clone(&self.0.schema), 1);
        let sender = stream.tx();
        stream.spawn_blocking(move || {
            let moments = context.session_config().get_extension::<Moments>();
            let moments =
                moments.ok_or_else(|| DataFusionError::Internal("a query without moments".into()))?;
            let _ = sender.blocking_send(Ok(listing.batch(&moments)?));
            Ok(())
        });
        stream.build()
    }
}

impl Listing {
    fn batch(&self, moments: &Moments) -> Result<RecordBatch, QueryError> {
        let mut builders: Vec<Builder> =
            self.schema.fields().iter().map(|field| Builder::of(field.data_type())).collect();
        for row in self.rows(moments)? {
            for (builder, value) in builders.iter_mut().zip(row) {
                match value {
                    Value::Text(text) => builder.text(text.as_deref()),
                    Value::Int(n) => builder.number(Some(Number::Int(i128::from(n))), self.name)?,
                    Value::Time(time) => builder.time(time),
                    Value::Truth(truth) => builder.truth(Some(truth)),
                }
            }
        }
        let columns = builders.iter_mut().map(Builder::finish).collect();
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| QueryError::unavailable(error.to_string()))
    }

    fn rows(&self, moments: &Moments) -> Result<Vec<Vec<Value>>, QueryError> {
        let text = |text: &str| Value::Text(Some(text.to_string()));
        if self.name == "views" {
            return Ok(self.views.iter().map(|view| vec![text(&view.name), text(&view.sql)]).collect());
        }
        let mut out = Vec::new();
        for (index, source) in self.sources.iter().enumerate() {
            let name = || text(&source.name);
            match self.name {
                "metrics" => out.extend(metrics(source)),
                "memory" => {
                    let moment = moments.of(index)?;
                    let of = moment.source().metrics.iter().enumerate();
                    out.extend(
                        of.map(|(i, m)| vec![name(), text(&m.name), Value::Int(moment.memory_bytes(i))]),
                    );
                }
                "sources" => {
                    let moment = moments.of(index)?;
                    let (t, complete_to) = (moment.tally(), moment.watermark());
                    let counts = [t.read, t.accepted(), t.on_time, t.late, t.ahead, t.bad_total()];
                    let times = [complete_to, source.newest(complete_to)].map(Value::Time);
                    out.push([name()].into_iter().chain(counts.map(Value::Int)).chain(times).collect());
                }
                "late" if source.time.is_some() => {
                    let moment = moments.of(index)?;
                    out.push(late(source, &moment.tally(), moment.watermark()));
                }
                "quarantine" => {
                    let kept = self.reader.quarantine(index);
                    out.extend(quarantine(source, &moments.of(index)?.tally(), kept.as_deref()));
                }
                _ => {}
            }
        }
        Ok(out)
    }
}

fn metrics(source: &Source) -> Vec<Vec<Value>> {
    let columns = source.columns();
    let text = |text: String| Value::Text(Some(text));
    let row = |metric: &engine::spec::Metric| {
        let set =
            |set: &Vec<usize>| set.iter().map(|&f| columns[f].path.as_str()).collect::<Vec<_>>().join(",");
        let by: Vec<String> = metric.by.iter().map(set).map(|set| format!("[{set}]")).collect();
        let panes: Vec<String> = metric.levels.iter().map(|l| format!("{}:{}", l.size, l.keep)).collect();
        let kind = metric.measure.field().map(|field| columns[field].kind);
        vec![
            text(source.name.clone()),
            text(metric.name.clone()),
            text(words(metric, &columns)),
            text(by.join(" ")),
            Value::Text((!panes.is_empty()).then(|| panes.join(" "))),
            Value::Truth(metric.total),
            Value::Int(metric.groups_max as u64),
            Value::Text(
                kind.filter(|_| !matches!(metric.measure, Measure::Count))
                    .map(Kind::as_str)
                    .map(String::from),
            ),
        ]
    };
    source.metrics.iter().map(row).collect()
}

fn late(source: &Source, tally: &Tally, complete_to: Option<Time>) -> Vec<Value> {
    let later = match source.time.as_ref().map(|time| time.later) {
        Some(Later::Drop) => "drop",
        Some(Later::Quarantine) => "quarantine",
        Some(Later::Correct) | None => "correct",
    };
    let left_out = tally.late_dropped + tally.late_quarantined;
    let counts = [
        tally.late,
        tally.late.saturating_sub(left_out),
        tally.late_dropped,
        tally.late_quarantined,
        tally.too_late,
    ];
    let words = [source.name.clone(), later.to_string()].map(|text| Value::Text(Some(text)));
    words.into_iter().chain(counts.map(Value::Int)).chain([Value::Time(complete_to)]).collect()
}

/// What was set aside or only counted, by reason.
fn quarantine(source: &Source, tally: &Tally, kept: Option<&str>) -> Vec<Vec<Value>> {
    let bad = Reason::ALL.iter().zip(tally.bad).map(|(reason, n)| (reason.as_str(), n));
    let all = bad.chain([("late", tally.late_quarantined)]).filter(|(_, n)| *n > 0);
    let text = |text: &str| Value::Text(Some(text.to_string()));
    all.map(|(reason, n)| {
        vec![text(&source.name), text(reason), Value::Int(n), Value::Text(kept.map(String::from))]
    })
    .collect()
}

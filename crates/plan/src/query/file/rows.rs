//! Answers as a table of results, a row for each group, and what is left of a statement asked of it.

use super::super::QueryError;
use super::super::deep::deep;
use super::super::functions;
use super::super::rows::Builder;
use super::super::table::data_type;
use super::parts::{Parts, RESULTS};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion_sql::sqlparser::ast::{Expr, Ident, Query, SelectItem, SetExpr, Statement as Ast};
use engine::answer::{Answer, Key, List, Number, Reading};
use engine::spec::{Kind, Measure, Source};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The columns of the results, and where their values are.
enum Column {
    Group(usize),
    Value(usize),
    Low(usize),
    High(usize),
    /// Of an entry of a list: its item, quantile or bound, or a field of the event.
    Entry(usize),
}

/// A row: the answers of one group.
#[derive(Default)]
struct Row<'a> {
    group: Vec<&'a Key>,
    readings: BTreeMap<usize, &'a Reading>,
}

/// What functions may make of the answers is reckoned from so many bytes.
const RESULTS_BYTES_MAX: usize = 1 << 30;

/// Asks the rest of the statement.
pub(super) async fn finish(
    parts: &Parts,
    source: &Source,
    answers: &[Answer],
) -> Result<(Vec<RecordBatch>, Vec<String>), QueryError> {
    let (batch, notes) = results(parts, source, answers)?;
    let mut rest = parts.rest.clone();
    if parts.measures.iter().any(|measure| measure.is_list) {
        name_entries(&mut rest, &batch.schema());
    }
    let of = |error| QueryError::of(&error);
    let mut context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    functions::hold(&mut context, RESULTS_BYTES_MAX).map_err(of)?;
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).map_err(of)?;
    context.register_table(RESULTS, Arc::new(table)).map_err(of)?;
    let statement = Statement::Statement(Box::new(Ast::Query(Box::new(rest))));
    let state = context.state();
    let plan = deep(state.statement_to_plan(statement)).await.map_err(of)?;
    let reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    reads.verify_plan(&plan).map_err(of)?;
    let frame = deep(context.execute_logical_plan(plan)).await.map_err(of)?;
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let mut batches = deep(frame.collect()).await.map_err(of)?;
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(schema));
    }
    Ok((batches, notes))
}

/// In the place of the measure that is a list stand the columns of its entries.
fn name_entries(query: &mut Query, schema: &Schema) {
    let SetExpr::Select(select) = &mut *query.body else { return };
    let is_list = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(Expr::Identifier(ident)) if ident.value == "m0");
    let Some(at) = select.projection.iter().position(is_list) else { return };
    let entries = schema.fields().iter().map(|field| field.name()).filter(|name| !is_group(name));
    let columns: Vec<SelectItem> =
        entries.map(|name| SelectItem::UnnamedExpr(Expr::Identifier(Ident::with_quote('"', name)))).collect();
    select.projection.splice(at..=at, columns);
}

fn is_group(name: &str) -> bool {
    name.starts_with("query_group_")
}

/// A row for each group, or for each entry of its list.
fn results(
    parts: &Parts,
    source: &Source,
    answers: &[Answer],
) -> Result<(RecordBatch, Vec<String>), QueryError> {
    let (fields, columns) = columns(parts, source);
    let mut rows: BTreeMap<String, Row<'_>> = BTreeMap::new();
    let mut notes = Vec::new();
    for answer in answers {
        let Some(at) = answer.metric.strip_prefix('m').and_then(|n| n.parse::<usize>().ok()) else {
            continue;
        };
        if answer.other && notes.is_empty() {
            notes.push(format!(
                "there are more than {} groups: the lightest ones stand together in a row of nulls",
                super::GROUPS_MAX
            ));
        }
        let group: Vec<&Key> = answer.by.iter().map(|(_, key)| key).collect();
        let row = rows.entry(format!("{}{group:?}", u8::from(answer.other))).or_default();
        row.group = group;
        row.readings.insert(at, &answer.reading);
    }
    let mut builders: Vec<Builder> = fields.iter().map(|field| Builder::of(field.data_type())).collect();
    let mut count = 0;
    for row in rows.values() {
        for entry in 0..entries(row) {
            count += 1;
            for (column, builder) in columns.iter().zip(&mut builders) {
                put(builder, column, row, entry, source)?;
            }
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    let columns = builders.iter_mut().map(Builder::finish).collect();
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options);
    Ok((batch.map_err(|error| QueryError::unavailable(error.to_string()))?, notes))
}

fn columns(parts: &Parts, source: &Source) -> (Vec<Field>, Vec<Column>) {
    let all = source.columns();
    let kind_of =
        |path: &str| all.iter().rfind(|field| field.path == path).map_or(Kind::String, |field| field.kind);
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    let mut add = |name: String, data_type: DataType, column: Column| {
        fields.push(Field::new(name, data_type, true));
        columns.push(column);
    };
    for (at, group) in parts.groups.iter().enumerate() {
        add(format!("query_group_{at}"), data_type(kind_of(&group.field)), Column::Group(at));
    }
    for (at, metric) in source.metrics.iter().enumerate() {
        let kind = metric.measure.field().map(|field| all[field].kind);
        let number = match metric.measure {
            Measure::Avg(_) | Measure::Stddev(_) | Measure::Quantiles { .. } => DataType::Float64,
            Measure::Sum(_) | Measure::Min(_) | Measure::Max(_) if kind != Some(Kind::Int64) => {
                DataType::Float64
            }
            _ => DataType::Int64,
        };
        match &metric.measure {
            Measure::Top { .. } | Measure::Freq { .. } => {
                add("item".into(), data_type(kind.unwrap_or(Kind::String)), Column::Entry(0));
            }
            Measure::Quantiles { .. } => add("q".into(), DataType::Float64, Column::Entry(0)),
            Measure::Histogram { .. } => add("le".into(), DataType::Float64, Column::Entry(0)),
            Measure::Sample { fields: shown, .. } => {
                for (i, &field) in shown.iter().enumerate() {
                    add(all[field].path.clone(), data_type(all[field].kind), Column::Entry(i));
                }
                continue;
            }
            _ => {
                add(format!("m{at}"), number.clone(), Column::Value(at));
                add(format!("m{at}_low"), number.clone(), Column::Low(at));
                add(format!("m{at}_high"), number, Column::High(at));
                continue;
            }
        }
        add("value".into(), number.clone(), Column::Value(at));
        if !matches!(metric.measure, Measure::Histogram { .. }) {
            add("low".into(), number.clone(), Column::Low(at));
            add("high".into(), number, Column::High(at));
        }
    }
    (fields, columns)
}

/// How many rows a group has.
fn entries(row: &Row<'_>) -> usize {
    match row.readings.get(&0).map(|reading| &reading.list) {
        None | Some(List::None) => 1,
        Some(List::Items(items)) => items.len(),
        Some(List::Quantiles(quantiles)) => quantiles.len(),
        Some(List::Buckets(buckets)) => buckets.len(),
        Some(List::Rows(rows)) => rows.len(),
    }
}

fn put(
    builder: &mut Builder,
    column: &Column,
    row: &Row<'_>,
    entry: usize,
    source: &Source,
) -> Result<(), QueryError> {
    let (measure, which) = match column {
        Column::Group(at) => {
            builder.key(row.group.get(*at).copied());
            return Ok(());
        }
        Column::Entry(i) => {
            match row.readings.get(&0).map(|reading| &reading.list) {
                Some(List::Items(items)) => builder.key(Some(&items[entry].item)),
                Some(List::Quantiles(quantiles)) => builder.float(Some(quantiles[entry].q)),
                Some(List::Buckets(buckets)) => builder.float(Some(buckets[entry].0)),
                Some(List::Rows(rows)) => builder.key(rows[entry].get(*i)),
                Some(List::None) | None => builder.null(),
            }
            return Ok(());
        }
        Column::Value(at) => (*at, 0),
        Column::Low(at) => (*at, 1),
        Column::High(at) => (*at, 2),
    };
    let number = match row.readings.get(&measure) {
        Some(reading) => numbers(reading, entry)[which],
        // No event of the group has passed the filter.
        None => match source.metrics[measure].measure {
            Measure::Count | Measure::Unique { .. } | Measure::Audience { .. } => Some(Number::Int(0)),
            _ => None,
        },
    };
    builder.number(number, "a measure")
}

/// Value, low and high, of an entry where there are some.
fn numbers(reading: &Reading, entry: usize) -> [Option<Number>; 3] {
    let int = |n: u64| Some(Number::Int(i128::from(n)));
    match &reading.list {
        List::Items(items) => [items[entry].value, items[entry].low, items[entry].high].map(int),
        List::Quantiles(all) => {
            [all[entry].value, all[entry].low, all[entry].high].map(|n| n.map(Number::Float))
        }
        List::Buckets(buckets) => [int(buckets[entry].1); 3],
        List::None | List::Rows(_) => [reading.value, reading.low, reading.high],
    }
}

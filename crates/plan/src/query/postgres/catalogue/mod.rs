//! The catalogue of Postgres (`pg_catalog`, `information_schema`), which clients ask what there is.
//!
//! It is a few small tables, made anew for each question, and a small interpreter of SQL over them: what clients ask is
//! correlated, uses types and functions that nothing else has, and must not fail (decisions/0018). Questions to it and to what
//! is measured do not mix. Nothing is planned; the work is bounded.

mod datum;
mod eval;
mod from;
mod functions;
mod kinds;
mod listing;
mod scope;
mod select;
mod tables;
mod types;

use super::{Client, Described, OID, Value, bind, count};
use crate::query::QueryError;
use crate::query::catalog::Names;
use crate::query::deep::deeply;
use crate::query::statement::words;
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, Int64Builder, ListBuilder, StringArray, StringBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::sql::parser::Statement;
use datafusion_sql::sqlparser::ast::{Expr, ObjectName, Query, Statement as Ast, Visit, Visitor};
use datafusion_sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion_sql::sqlparser::parser::Parser;
use datum::{Datum, kind};
use listing::Listing;
use scope::{Column, Rows, Scope, name};
use select::Asking;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// What a statement is about.
#[derive(Default)]
struct Mentions {
    catalogue: bool,
    other: bool,
    functions: bool,
    /// Names that the statement gives to queries.
    with: Vec<String>,
}

impl Visitor for Mentions {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.with.extend(tables.map(|cte| name(&cte.alias.name)));
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let parts: Vec<String> = relation.0.iter().filter_map(|part| part.as_ident()).map(name).collect();
        let is_known = match parts.as_slice() {
            [.., schema, _] => schema == "pg_catalog" || schema == "information_schema",
            [only] => only.starts_with("pg_"),
            [] => false,
        };
        let is_function =
            parts.last().is_some_and(|own| functions::gives_rows(own) || own == "string_to_array");
        if is_known {
            self.catalogue = true;
        } else if !is_function && !parts.last().is_some_and(|own| self.with.contains(own)) {
            self.other = true;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.functions |= match expr {
            Expr::Function(function) => functions::is_of_catalogue(&functions::called(function)),
            Expr::Identifier(ident) => {
                ident.quote_style.is_none() && functions::is_word(&ident.value.to_lowercase())
            }
            Expr::Cast { data_type, .. } => kinds::word(data_type).starts_with("reg"),
            _ => false,
        };
        ControlFlow::Continue(())
    }
}

/// Whether a statement asks the catalogue and not what is measured.
///
/// # Errors
/// When it is no statement.
pub fn is_catalogue(sql: &str) -> Result<bool, QueryError> {
    deeply(|| {
        // What this dialect does not know may be known by that of what is measured.
        let Ok(query) = parse(sql) else { return Ok(false) };
        let mut mentions = Mentions::default();
        let _ = Visit::visit(&query, &mut mentions);
        Ok(mentions.catalogue || mentions.functions && !mentions.other)
    })
}

fn parse(sql: &str) -> Result<Ast, QueryError> {
    words(sql)?;
    let parsed = Parser::parse_sql(&PostgreSqlDialect {}, sql);
    let parsed = parsed.map_err(|error| QueryError::syntax(format!("not a statement of SQL: {error}")))?;
    match parsed.into_iter().next() {
        Some(query @ Ast::Query(_)) => Ok(query),
        _ => Err(QueryError::refused("only SELECT is answered by the catalogue")),
    }
}

/// What a question takes and gives.
pub(crate) fn describe(sql: &str, names: &Names, client: &Client) -> Result<Described, QueryError> {
    let mut statement = Statement::Statement(Box::new(deeply(|| parse(sql))?));
    let parameters = vec![DataType::Utf8; deeply(|| count(&mut statement))];
    let columns = deeply(|| asked(&statement, names, client, true))?.columns;
    Ok(Described { schema: Arc::new(schema(&columns)), parameters })
}

/// Answers a question.
pub(crate) fn answer(
    sql: &str,
    values: &[Value],
    names: &Names,
    client: &Client,
) -> Result<RecordBatch, QueryError> {
    let mut statement = Statement::Statement(Box::new(deeply(|| parse(sql))?));
    deeply(|| bind(&mut statement, values));
    let Rows { columns, rows } = deeply(|| asked(&statement, names, client, false))?;
    let arrays =
        columns.iter().enumerate().map(|(at, column)| array(column.kind, rows.iter().map(|row| &row[at])));
    let arrays: Vec<ArrayRef> = arrays.collect();
    let options = datafusion::arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::new(schema(&columns)), arrays, &options)
        .map_err(|error| QueryError::unavailable(error.to_string()))
}

fn asked(statement: &Statement, names: &Names, client: &Client, dry: bool) -> Result<Rows, QueryError> {
    let Statement::Statement(ast) = statement else { return Err(QueryError::refused("no SELECT")) };
    let Ast::Query(query) = &**ast else { return Err(QueryError::refused("no SELECT")) };
    let listing = Listing::of(names);
    Asking::new(&listing, client, dry).query(query, &Scope::EMPTY)
}

/// The elements of a list, as texts.
pub(crate) fn elements(text: &str) -> Option<Vec<Option<String>>> {
    match datum::list_of(text)? {
        Datum::List(items) => Some(items.iter().map(Datum::shown).collect()),
        _ => None,
    }
}

fn schema(columns: &[Column]) -> Schema {
    let field = |column: &Column| {
        let metadata = HashMap::from([(OID.to_string(), column.kind.to_string())]);
        Field::new(&column.name, data_type(column.kind), true).with_metadata(metadata)
    };
    Schema::new(columns.iter().map(field).collect::<Vec<_>>())
}

fn data_type(of: u32) -> DataType {
    let list = |item| DataType::List(Arc::new(Field::new("item", item, true)));
    match of {
        kind::BOOL => DataType::Boolean,
        kind::FLOAT8 => DataType::Float64,
        whole if kind::is_whole(whole) => DataType::Int64,
        array => match kind::element(array) {
            Some(element) if kind::is_whole(element) => list(DataType::Int64),
            Some(_) => list(DataType::Utf8),
            None => DataType::Utf8,
        },
    }
}

fn array<'d>(of: u32, values: impl Iterator<Item = &'d Datum>) -> ArrayRef {
    let items = |value: &Datum| match value {
        Datum::List(items) => Some(items.clone()),
        Datum::Text(text) => match datum::list_of(text) {
            Some(Datum::List(items)) => Some(items),
            _ => None,
        },
        _ => None,
    };
    match data_type(of) {
        DataType::Boolean => Arc::new(values.map(Datum::truth).collect::<BooleanArray>()),
        DataType::Float64 => Arc::new(values.map(Datum::number).collect::<Float64Array>()),
        DataType::Int64 => Arc::new(values.map(Datum::int).collect::<Int64Array>()),
        DataType::List(item) if *item.data_type() == DataType::Int64 => {
            let mut builder = ListBuilder::new(Int64Builder::new());
            for value in values {
                builder.append_option(
                    items(value).map(|items| items.iter().map(Datum::int).collect::<Vec<_>>()),
                );
            }
            Arc::new(builder.finish())
        }
        DataType::List(_) => {
            let mut builder = ListBuilder::new(StringBuilder::new());
            for value in values {
                builder.append_option(
                    items(value).map(|items| items.iter().map(Datum::shown).collect::<Vec<_>>()),
                );
            }
            Arc::new(builder.finish())
        }
        _ => Arc::new(values.map(Datum::shown).collect::<StringArray>()),
    }
}

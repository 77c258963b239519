//! Rows and the names of their columns, as an expression sees them: its own, then those of the queries around it.

use super::datum::Datum;
use datafusion_sql::sqlparser::ast::{Expr, Ident};

/// A column of rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    /// What its table is called.
    pub table: String,
    pub name: String,
    pub kind: u32,
    /// Whether it is left out of `*`.
    pub hidden: bool,
}

/// Rows with their columns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Datum>>,
}

impl Rows {
    /// One row without columns, which is what a query without FROM is over.
    pub fn one() -> Rows {
        Rows { columns: Vec::new(), rows: vec![Vec::new()] }
    }

    /// The same under another name.
    pub fn called(mut self, table: &str) -> Rows {
        self.columns.iter_mut().for_each(|column| column.table = table.to_string());
        self
    }
}

/// A row within those around it.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'s> {
    pub outer: Option<&'s Scope<'s>>,
    pub columns: &'s [Column],
    pub row: &'s [Datum],
}

impl<'s> Scope<'s> {
    pub const EMPTY: Scope<'static> = Scope { outer: None, columns: &[], row: &[] };

    pub fn within(outer: &'s Scope<'s>, columns: &'s [Column], row: &'s [Datum]) -> Scope<'s> {
        Scope { outer: Some(outer), columns, row }
    }

    /// The value of a column, where there is one of this name.
    pub fn value(&self, parts: &[String]) -> Option<Datum> {
        match find(self.columns, parts) {
            // Where types alone are asked for there are no rows.
            Some(at) => Some(self.row.get(at).cloned().unwrap_or(Datum::Null)),
            None => self.outer?.value(parts),
        }
    }

    pub fn kind(&self, parts: &[String]) -> Option<u32> {
        match find(self.columns, parts) {
            Some(at) => Some(self.columns[at].kind),
            None => self.outer?.kind(parts),
        }
    }

    /// The fields of a table, where its name stands for its row.
    pub fn whole(&self, table: &str) -> Option<Datum> {
        let own = |(column, _): &(&Column, &Datum)| column.table == table && !column.hidden;
        let fields: Vec<_> = self.columns.iter().zip(self.row).filter(own).collect();
        if fields.is_empty() {
            return self.outer?.whole(table);
        }
        Some(Datum::Row(
            fields.into_iter().map(|(column, value)| (column.name.clone(), value.clone())).collect(),
        ))
    }
}

/// The number of a column; the last two parts of a name count.
pub(crate) fn find(columns: &[Column], parts: &[String]) -> Option<usize> {
    let (name, table) = match parts {
        [.., table, name] => (name, Some(table)),
        [name] => (name, None),
        [] => return None,
    };
    columns.iter().position(|column| column.name == *name && table.is_none_or(|table| column.table == *table))
}

/// A name as it counts: in lower case unless it is in quotes.
pub(crate) fn name(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// The parts of a name, where an expression is one.
pub(crate) fn names(expr: &Expr) -> Option<Vec<String>> {
    match expr {
        Expr::Identifier(ident) => Some(vec![name(ident)]),
        Expr::CompoundIdentifier(parts) => Some(parts.iter().map(name).collect()),
        Expr::Nested(inner) => names(inner),
        _ => None,
    }
}

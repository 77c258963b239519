//! What clients of Postgres need beside queries: texts of several statements, parameters, and the catalogue they ask.
//!
//! Nothing here knows the protocol: `serve` speaks it.

mod catalogue;
mod parameters;
mod split;

pub use catalogue::is_catalogue;
pub use parameters::{Described, Value};
pub use split::{Piece, Sign, split};

pub(crate) use parameters::{bind, count, describable, lists};

use super::{QueryError, Session};
use datafusion::arrow::record_batch::RecordBatch;
use std::collections::BTreeMap;

/// The key of a field's metadata that tells a column's type by its number in Postgres.
pub const OID: &str = "postgres.oid";

/// Who asks the catalogue, as it tells them of themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// The name of the user.
    pub user: String,
    /// The name of the database.
    pub database: String,
    /// The number of the connection.
    pub process: i32,
    /// What is set.
    pub settings: BTreeMap<String, String>,
}

/// The elements of a list as Postgres writes it, `{a,"b c",NULL}`; `None` where it is none.
pub fn elements(text: &str) -> Option<Vec<Option<String>>> {
    catalogue::elements(text)
}

impl Session {
    /// What a statement that asks the catalogue takes and gives.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn describe_catalogue(&self, sql: &str, client: &Client) -> Result<Described, QueryError> {
        catalogue::describe(sql, &self.listed_names(), client)
    }

    /// Answers a statement that asks the catalogue.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn catalogue(&self, sql: &str, values: &[Value], client: &Client) -> Result<RecordBatch, QueryError> {
        catalogue::answer(sql, values, &self.listed_names(), client)
    }
}

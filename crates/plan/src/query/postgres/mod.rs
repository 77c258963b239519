//! What clients of Postgres need beside queries: texts of several statements, parameters, and the catalogue they ask.
//!
//! Nothing here knows the protocol: `serve` speaks it.

mod parameters;
mod split;

pub use parameters::{Described, Value};
pub use split::{Piece, Sign, split};

pub(crate) use parameters::{bind, count, describable};

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

/// Whether a statement asks the catalogue and not what is measured.
///
/// # Errors
/// When it is no statement.
pub fn is_catalogue(_sql: &str) -> Result<bool, QueryError> {
    Ok(false)
}

impl Session {
    /// What a statement that asks the catalogue takes and gives.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn describe_catalogue(&self, _sql: &str, _client: &Client) -> Result<Described, QueryError> {
        Err(QueryError::wrong("there is no catalogue"))
    }

    /// Answers a statement that asks the catalogue.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn catalogue(
        &self,
        _sql: &str,
        _values: &[Value],
        _client: &Client,
    ) -> Result<RecordBatch, QueryError> {
        Err(QueryError::wrong("there is no catalogue"))
    }
}

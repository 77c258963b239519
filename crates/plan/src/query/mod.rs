//! SQL over what is measured: metrics as tables, sketches as values, by DataFusion.
//!
//! ```text
//! text -> statement.rs (one, that only reads) -> DataFusion's planner, which asks catalog.rs for tables
//!         and ask.rs for `visitors('24h')` -> lint.rs -> table.rs (rows of answers of one moment) -> functions/ -> batches
//! ```
//!
//! A [`Database`] is given a [`Reader`]; who connects gets a [`Session`]. Everything is read only, and bounded: a query has
//! so much memory, so much time and so many rows, whatever it is made of. This module opens no file and no socket, and runs
//! on the async runtime of whoever awaits it. Tables, functions and warnings are described in `docs/sql.md`.

mod accounted;
mod answered;
mod ask;
mod catalog;
mod deep;
mod error;
pub mod file;
mod functions;
pub mod json;
mod lasting;
mod lint;
mod moments;
pub mod postgres;
mod rows;
mod session;
mod statement;
mod system;
mod table;

pub use answered::Answered;
pub use error::{About, QueryError, Trouble};
pub use lint::Lint;
pub use session::{Planned, Session};
pub use statement::{STATEMENT_BYTES_MAX, STATEMENT_WORDS_MAX};

use deep::at_once;
use engine::moment::{Moment, Reader};
use engine::spec::Source;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A named query of a pipeline file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Its name, which stands where a table does.
    pub name: String,
    /// Its query.
    pub sql: String,
}

/// What a query may use, and the views there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Most bytes of memory that one query may hold: while it runs, and again in what it answers.
    pub memory_bytes: usize,
    /// How long one may take.
    pub deadline: Duration,
    /// Most rows that one may answer.
    pub rows_max: usize,
    /// Views.
    pub views: Vec<View>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            memory_bytes: 256 << 20,
            deadline: Duration::from_secs(30),
            rows_max: 100_000,
            views: Vec::new(),
        }
    }
}

/// What is measured, ready for SQL.
#[derive(Clone)]
pub struct Database {
    reader: Arc<dyn Reader>,
    options: Arc<Options>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Database {
    /// A database over what a reader gives.
    pub fn new(reader: Arc<dyn Reader>, options: Options) -> Database {
        Database { reader, options: Arc::new(options) }
    }

    /// A session of its own: nothing that is done in another one is seen in it.
    ///
    /// # Errors
    /// When DataFusion cannot be set up, which would be a bug.
    pub fn session(&self) -> Result<Session, QueryError> {
        Session::new(Arc::clone(&self.reader), Arc::clone(&self.options))
    }

    /// What gives it moments.
    pub fn reader(&self) -> &Arc<dyn Reader> {
        &self.reader
    }

    /// What a query may use, and the views there are.
    pub fn options(&self) -> &Options {
        &self.options
    }
}

/// Sources of which nothing was measured yet.
struct Unmeasured(Vec<Arc<Source>>);

impl Reader for Unmeasured {
    fn sources(&self) -> Vec<Arc<Source>> {
        self.0.clone()
    }

    fn moment(&self, _: usize) -> Result<Arc<Moment>, String> {
        Err("nothing was measured yet".into())
    }
}

/// What is wrong with views over these sources, by the number of the view.
pub(crate) fn check_views(sources: &[Source], views: &[View]) -> Vec<(usize, QueryError)> {
    let reader = Unmeasured(sources.iter().cloned().map(Arc::new).collect());
    let options = Options { views: views.to_vec(), ..Options::default() };
    let session = match Database::new(Arc::new(reader), options).session() {
        Ok(session) => session,
        Err(error) => return vec![(0, error)],
    };
    let wrong = |view: &View| {
        let checked = at_once(session.check_view(&view.name));
        checked.unwrap_or_else(|| Err(QueryError::unavailable("planning waited for something"))).err()
    };
    views.iter().enumerate().filter_map(|(at, view)| Some((at, wrong(view)?))).collect()
}

//! What is wrong with a query, and what to ask instead.

use super::catalog::Names;
use crate::problem::{did_you_mean, listed};
use datafusion::error::DataFusionError;
use datafusion_common::SchemaError;
use engine::spec::Unanswerable;
use std::fmt;

/// Whose trouble it is: that of the statement, of a limit, or of the data behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The statement makes no sense: syntax, names, types.
    Wrong,
    /// The statement does what is not allowed: anything but reading.
    Refused,
    /// Memory, time or rows are used up.
    Limit,
    /// What is asked cannot be read now.
    Unavailable,
}

/// What an error is about, for clients that tell errors apart by a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// Nothing of the others.
    Other,
    /// The text is no statement.
    Syntax,
    /// There is no such table.
    Table,
    /// There is no such column.
    Column,
    /// There is no such function.
    Function,
    /// What is not there yet, or never will be.
    Unsupported,
    /// Memory.
    Memory,
    /// Time.
    Time,
}

/// Why a query has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryError {
    /// Whose trouble it is.
    pub trouble: Trouble,
    /// What it is about.
    pub about: About,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
    }
}

impl std::error::Error for QueryError {}

impl From<QueryError> for DataFusionError {
    fn from(error: QueryError) -> DataFusionError {
        DataFusionError::External(Box::new(error))
    }
}

impl QueryError {
    /// The statement makes no sense.
    pub(crate) fn wrong(message: impl Into<String>) -> QueryError {
        QueryError { trouble: Trouble::Wrong, about: About::Other, message: message.into(), hint: None }
    }

    /// The text is no statement.
    pub(crate) fn syntax(message: impl Into<String>) -> QueryError {
        QueryError::wrong(message).about(About::Syntax)
    }

    /// The same, and what it is about.
    pub(crate) fn about(self, about: About) -> QueryError {
        QueryError { about, ..self }
    }

    /// The statement does what is not allowed.
    pub(crate) fn refused(message: impl Into<String>) -> QueryError {
        QueryError { trouble: Trouble::Refused, ..QueryError::wrong(message) }
    }

    /// Something is used up.
    pub(crate) fn limit(message: impl Into<String>, hint: &str) -> QueryError {
        QueryError { trouble: Trouble::Limit, ..QueryError::wrong(message) }.hint(hint)
    }

    /// There is nothing to read.
    pub(crate) fn unavailable(message: impl Into<String>) -> QueryError {
        QueryError { trouble: Trouble::Unavailable, ..QueryError::wrong(message) }
    }

    /// The same with what to do.
    pub(crate) fn hint(self, hint: impl Into<String>) -> QueryError {
        QueryError { hint: Some(hint.into()), ..self }
    }

    /// A metric does not answer.
    pub(crate) fn unanswerable(metric: &str, why: &Unanswerable) -> QueryError {
        let error = QueryError::wrong(format!("metric `{metric}`: {why}"));
        match why {
            Unanswerable::NoPanes => error.hint(format!("`{metric}()` is its total")),
            Unanswerable::NotMadeOf { .. } => error,
        }
    }

    /// There is no such table.
    pub(crate) fn no_table(name: &str, names: &Names) -> QueryError {
        let known = names.tables();
        let error = QueryError::wrong(format!("there is no metric and no view `{name}`")).about(About::Table);
        let own = name.rsplit('.').next().unwrap_or(name);
        match did_you_mean(name, known.iter().map(String::as_str))
            .or_else(|| did_you_mean(own, known.iter().map(String::as_str)))
        {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint(format!("there are {}", some(&known))),
        }
    }

    /// What DataFusion says, in our words where it is about our names or limits.
    pub(crate) fn of(error: &DataFusionError) -> QueryError {
        if let Some(own) = own(error) {
            return own.clone();
        }
        let root = error.find_root();
        match root {
            DataFusionError::SchemaError(schema, _) => of_schema(schema),
            DataFusionError::ResourcesExhausted(_) => QueryError::limit(
                "the query needs more memory than it may have",
                "ask for fewer groups or a shorter time, or without `sketch`",
            )
            .about(About::Memory),
            DataFusionError::SQL(syntax, _) => {
                let text = syntax.to_string();
                QueryError::syntax(format!(
                    "not a statement of SQL: {}",
                    text.trim_start_matches("sql parser error: ")
                ))
            }
            DataFusionError::NotImplemented(text) => {
                QueryError::wrong(format!("not supported: {text}")).about(About::Unsupported)
            }
            DataFusionError::Plan(text) if text.starts_with("Invalid function") => {
                QueryError::wrong(text.clone()).about(About::Function)
            }
            DataFusionError::Plan(text) | DataFusionError::Execution(text) => QueryError::wrong(text.clone()),
            other => QueryError::wrong(other.strip_backtrace()),
        }
    }
}

/// Our own error inside one of DataFusion.
fn own(error: &DataFusionError) -> Option<&QueryError> {
    let mut at: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = at {
        if let Some(own) = error.downcast_ref::<QueryError>() {
            return Some(own);
        }
        at = error.source();
    }
    None
}

fn of_schema(error: &SchemaError) -> QueryError {
    let SchemaError::FieldNotFound { field, valid_fields } = error else {
        return QueryError::wrong(error.to_string());
    };
    let message = match &field.relation {
        Some(relation) => format!("there is no column `{}` in `{relation}`", field.name),
        None => format!("there is no column `{}`", field.name),
    };
    let mut known: Vec<String> = valid_fields.iter().map(|column| column.name.clone()).collect();
    known.sort();
    known.dedup();
    let error = QueryError::wrong(message).about(About::Column);
    match did_you_mean(&field.name, known.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None if known.is_empty() => error,
        None => error.hint(format!("there are {}", some(&known))),
    }
}

/// Names in a row, the first ones where they are many.
pub(crate) fn some(names: &[String]) -> String {
    const SHOWN_MAX: usize = 12;
    let shown: Vec<&str> = names.iter().take(SHOWN_MAX).map(String::as_str).collect();
    match names.len().saturating_sub(SHOWN_MAX) {
        0 => listed(&shown),
        more => format!(
            "{} and {more} more",
            shown.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
        ),
    }
}

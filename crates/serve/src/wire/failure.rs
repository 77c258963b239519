//! What went wrong, with the code that drivers look at.

use plan::query::{About, QueryError, Trouble};

/// An error as clients are told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Whether the connection ends with it.
    pub fatal: bool,
    /// SQLSTATE.
    pub code: &'static str,
    pub message: String,
    pub hint: Option<String>,
}

impl Failure {
    pub fn new(code: &'static str, message: impl Into<String>) -> Failure {
        Failure { fatal: false, code, message: message.into(), hint: None }
    }

    /// One that ends the connection.
    pub fn fatal(code: &'static str, message: impl Into<String>) -> Failure {
        Failure { fatal: true, ..Failure::new(code, message) }
    }

    pub fn hint(self, hint: impl Into<String>) -> Failure {
        Failure { hint: Some(hint.into()), ..self }
    }

    /// A message that is not as the protocol has it.
    pub fn protocol(message: impl Into<String>) -> Failure {
        Failure::fatal("08P01", message)
    }

    pub fn canceled() -> Failure {
        Failure::new("57014", "canceling statement due to user request")
    }

    pub fn stopping() -> Failure {
        Failure::fatal("57P01", "terminating connection: the server stops")
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Failure {
        let code = match (error.trouble, error.about) {
            (_, About::Syntax) => "42601",
            (_, About::Table) => "42P01",
            (_, About::Column) => "42703",
            (_, About::Function) => "42883",
            (_, About::Memory) => "53200",
            (_, About::Time) => "57014",
            (Trouble::Refused, _) => "25006",
            (_, About::Unsupported) => "0A000",
            (Trouble::Limit, _) => "54000",
            (Trouble::Unavailable, _) => "57P03",
            (Trouble::Wrong, About::Other) => "22023",
        };
        let message = match error.about {
            // Who waits for a timeout looks for these words too.
            About::Time => format!("canceling statement due to statement timeout: {}", error.message),
            _ => error.message,
        };
        Failure { fatal: false, code, message, hint: error.hint }
    }
}

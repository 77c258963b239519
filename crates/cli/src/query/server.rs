//! A running server, asked over HTTP: what it answers becomes the columns that a state directory gives.

use super::{Answer, QueryArgs};
use crate::Trouble;
use plan::query::json;
use serde::Deserialize;
use serde_json::Value;
use serve::Client;
use std::io;
use std::time::Duration;

/// What a server answers.
#[derive(Deserialize)]
struct Answered {
    columns: Vec<Value>,
    rows: Vec<Value>,
    #[serde(default)]
    lints: Vec<Said>,
}

/// What is doubtful.
#[derive(Deserialize)]
struct Said {
    text: String,
    hint: String,
}

/// How it says no (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    detail: String,
    hint: Option<String>,
}

/// Why there is no answer.
pub enum No {
    /// Asking again may help.
    Now(String),
    /// Only another question, or another token.
    Never(Trouble),
}

impl From<No> for Trouble {
    fn from(no: No) -> Trouble {
        match no {
            No::Now(text) => Trouble::environment(text),
            No::Never(trouble) => trouble,
        }
    }
}

/// A server, with the token that it asks for.
pub struct Server(Client);

impl Server {
    /// The server that the words name.
    ///
    /// # Errors
    /// An address or a token that is none.
    pub fn new(args: &QueryArgs, url: &str) -> Result<Server, Trouble> {
        let token = args.token_env.as_deref().map(crate::push::token).transpose()?;
        let client = Client::new(url, token).map_err(Trouble::question)?;
        let patience = Duration::from_micros(args.timeout.0.unsigned_abs());
        Ok(Server(client.with_answers_of(args.memory).with_patience(patience)))
    }

    /// Asks it.
    ///
    /// # Errors
    /// [`No`].
    pub fn ask(&self, args: &QueryArgs, sql: &str) -> Result<Answer, No> {
        let sent = self.0.send("POST", "/v1/sql", sql.len() as u64, sql.as_bytes());
        let answer = sent.map_err(|error| unanswered(args, &error))?;
        if answer.status != 200 {
            return Err(refused(answer.status, &answer.body));
        }
        let answered: Answered = serde_json::from_slice(&answer.body)
            .map_err(|error| strange(format!("the server's answer is not understood: {error}")))?;
        if answered.rows.len() > args.rows {
            let text =
                format!("the answer has more than {} rows\nhelp: add LIMIT, or raise --rows", args.rows);
            return Err(No::Never(Trouble::question(text)));
        }
        let batch = json::batch(&answered.columns, &answered.rows)
            .map_err(|error| strange(format!("the server's answer is not understood: {error}")))?;
        let doubts = answered.lints.into_iter().map(|said| (said.text, said.hint)).collect();
        Ok(Answer { batches: vec![batch], doubts, notes: Vec::new() })
    }
}

fn strange(text: String) -> No {
    No::Never(Trouble::environment(text))
}

fn unanswered(args: &QueryArgs, error: &io::Error) -> No {
    match error.kind() {
        io::ErrorKind::FileTooLarge => {
            let text = format!("{error}\nhelp: ask for fewer rows, or raise --memory");
            No::Never(Trouble::question(text))
        }
        // What a read that waits in vain is called differs by system.
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => No::Now(format!(
            "the server did not answer within {}; raise --timeout, or look at its /v1/status",
            args.timeout
        )),
        _ => No::Now(format!("the server cannot be asked: {error}")),
    }
}

/// A refusal in words, as those of a state directory.
fn refused(status: u16, body: &[u8]) -> No {
    let text = match serde_json::from_slice(body) {
        Ok(Problem { detail, hint: Some(hint) }) => format!("{detail}\nhelp: {hint}"),
        Ok(Problem { detail, hint: None }) => detail,
        Err(_) => format!("the server says {status}: is that a streamgauge?"),
    };
    match status {
        400 | 401 | 403 | 413 | 422 => No::Never(Trouble::question(text)),
        408 | 429 | 503 => No::Now(text),
        _ => No::Never(Trouble::environment(text)),
    }
}

//! The simple way of asking: a text of statements, one after the other.

use super::columns;
use super::command::Command;
use super::connection::{Connection, Outcome, Stop};
use super::prepared::{Kind, Progress};
use plan::query::postgres::split;
use tokio::io::{AsyncRead, AsyncWrite};

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Answers all statements of a text, up to the first that fails.
    pub async fn simple(&mut self, text: &str) -> Result<(), Stop> {
        let pieces = split(text)?;
        if pieces.is_empty() {
            self.line.out.empty(b'I');
        }
        for piece in &pieces {
            let prepared = self.classify(Some(piece))?;
            if let Kind::Command(Command::Fetch { name, rows_max, told }) = &prepared.kind {
                self.fetch(name, *rows_max, *told, true, &[]).await?;
                continue;
            }
            match self.run(&prepared, Vec::new()).await? {
                Outcome::Tag(tag) => self.line.out.complete(tag),
                Outcome::Rows(mut answer) => {
                    columns::describe(&answer.columns, &[], &mut self.line.out);
                    let (many, _) = self.tell(&mut answer, usize::MAX, &[]).await?;
                    self.doubts(&answer);
                    self.line.out.complete(&complete(answer.verb, many));
                }
            }
        }
        Ok(())
    }

    /// Rows of a cursor; none where they are not wanted.
    pub async fn fetch(
        &mut self,
        name: &str,
        rows_max: Option<usize>,
        told: bool,
        described: bool,
        formats: &[i16],
    ) -> Result<(), Stop> {
        let mut portal = self.store.take(name)?;
        let rows_max = rows_max.unwrap_or(usize::MAX);
        let mut many = 0;
        if described && told {
            let columns = portal.prepared.columns.clone().unwrap_or_default();
            columns::describe(&columns, formats, &mut self.line.out);
        }
        if let Progress::Open(answer) = &mut portal.state {
            if told {
                many = self.tell(answer, rows_max, formats).await?.0;
            } else {
                while many < rows_max && self.wait(answer.has_row()).await?? {
                    many += answer.skip(rows_max - many);
                }
            }
        }
        self.store.put(name.to_string(), portal);
        self.line.out.complete(&if told { complete("FETCH", many) } else { complete("MOVE", many) });
        Ok(())
    }
}

/// What is said of rows that were told.
pub(crate) fn complete(verb: &str, many: usize) -> String {
    if verb == "SHOW" { verb.to_string() } else { format!("{verb} {many}") }
}

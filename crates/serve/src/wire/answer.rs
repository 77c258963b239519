//! An answer on its way to a client: rows that are there, and the query that makes more.

use super::columns::{self, Column};
use super::encode::Rows;
use super::failure::Failure;
use super::out::Out;
use arrow_array::RecordBatch;
use arrow_schema::Schema;
use plan::query::{Answered, Lint};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::sync::OwnedSemaphorePermit;

/// Rows of an answer, first those that are there.
pub(crate) struct Answer {
    pub columns: Arc<Vec<Column>>,
    /// What it is called when it is complete.
    pub verb: &'static str,
    pub lints: Vec<Lint>,
    ready: VecDeque<Rows>,
    /// Rows of the first batch that were taken.
    at: usize,
    running: Option<(Answered, OwnedSemaphorePermit)>,
    held: Option<Held>,
}

/// Bytes that wait, counted as long as they do.
struct Held {
    bytes: usize,
    all: Arc<AtomicUsize>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Relaxed);
    }
}

impl Answer {
    /// An answer that is there.
    pub fn ready(schema: &Schema, batches: &[RecordBatch], verb: &'static str) -> Result<Answer, Failure> {
        let columns = columns::of(schema);
        let rows = batches.iter().map(|batch| Rows::of(batch, &columns)).collect::<Result<_, _>>()?;
        Ok(Answer { columns, verb, lints: Vec::new(), ready: rows, at: 0, running: None, held: None })
    }

    /// An answer that is being made, in columns that may have been told before.
    pub fn running(
        answered: Answered,
        columns: Option<Arc<Vec<Column>>>,
        turn: OwnedSemaphorePermit,
    ) -> Answer {
        let columns = columns.unwrap_or_else(|| columns::of(&answered.schema));
        let (ready, running) = (VecDeque::new(), Some((answered, turn)));
        Answer { columns, verb: "SELECT", lints: Vec::new(), ready, at: 0, running, held: None }
    }

    /// Whether there is a row; waits for it.
    pub async fn has_row(&mut self) -> Result<bool, Failure> {
        loop {
            if self.ready.front().is_some_and(|rows| self.at < rows.len()) {
                return Ok(true);
            }
            self.ready.pop_front();
            self.at = 0;
            if self.ready.is_empty() && self.more().await?.is_none() {
                return Ok(false);
            }
        }
    }

    /// The next batch of the query that runs; its bytes.
    async fn more(&mut self) -> Result<Option<usize>, Failure> {
        let Some((answered, _)) = &mut self.running else { return Ok(None) };
        match answered.next().await {
            Some(batch) => {
                let batch = batch?;
                self.ready.push_back(Rows::of(&batch, &self.columns)?);
                Ok(Some(batch.get_array_memory_size()))
            }
            None => {
                self.lints = answered.lints();
                self.running = None;
                Ok(None)
            }
        }
    }

    /// Waits for all rows, so that others may ask while a client takes its time with these.
    pub async fn gather(&mut self, waiting: &Arc<AtomicUsize>, bytes_max: usize) -> Result<(), Failure> {
        self.held.get_or_insert_with(|| Held { bytes: 0, all: Arc::clone(waiting) });
        while let Some(bytes) = self.more().await? {
            let all = waiting.fetch_add(bytes, Relaxed) + bytes;
            self.held.iter_mut().for_each(|held| held.bytes += bytes);
            if all > bytes_max {
                let message = "answers that are fetched in parts take all the memory that there is for them";
                return Err(Failure::new("53200", message)
                    .hint("fetch all at once, close what is open, or ask for less"));
            }
        }
        Ok(())
    }

    /// Writes rows that are there, so many at most; how many.
    pub fn take(&mut self, rows_max: usize, formats: &[i16], out: &mut Out) -> usize {
        let Some(rows) = self.ready.front() else { return 0 };
        let end = rows.len().min(self.at.saturating_add(rows_max));
        rows.write(self.at..end, formats, out);
        let many = end - self.at;
        self.at = end;
        many
    }

    /// Leaves out rows that are there, so many at most; how many.
    pub fn skip(&mut self, rows_max: usize) -> usize {
        let Some(rows) = self.ready.front() else { return 0 };
        let end = rows.len().min(self.at.saturating_add(rows_max));
        let many = end - self.at;
        self.at = end;
        many
    }
}

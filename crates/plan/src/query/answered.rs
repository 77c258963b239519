//! The answer to a query: batches as they come, within the limits of time, rows and memory.

use super::deep::deep;
use super::lint::{Lint, Notes};
use super::moments::Moments;
use super::{About, Options, QueryError};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use engine::moment::Moment;
use futures::StreamExt;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// An answer that is being computed. Dropping it ends the computation.
pub struct Answered {
    /// The columns.
    pub schema: SchemaRef,
    lints: Vec<Lint>,
    notes: Arc<Notes>,
    moments: Arc<Moments>,
    batches: mpsc::Receiver<Result<RecordBatch, DataFusionError>>,
    task: JoinHandle<()>,
    until: Instant,
    deadline: Duration,
    options: Arc<Options>,
    rows: usize,
    bytes: usize,
    over: bool,
}

impl fmt::Debug for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answered")
            .field("schema", &self.schema)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Answered {
    /// Runs a stream in a task of its own, which is aborted when the time is over or nobody waits any more.
    pub(crate) fn run(
        schema: SchemaRef,
        mut stream: SendableRecordBatchStream,
        (lints, notes): (Vec<Lint>, Arc<Notes>),
        moments: Arc<Moments>,
        (deadline, until): (Duration, Instant),
        options: Arc<Options>,
    ) -> Answered {
        let (sender, batches) = mpsc::channel(1);
        let task = tokio::spawn(deep(async move {
            while let Some(batch) = stream.next().await {
                let failed = batch.is_err();
                if sender.send(batch).await.is_err() || failed {
                    return;
                }
            }
        }));
        Answered {
            schema,
            lints,
            notes,
            moments,
            batches,
            task,
            until,
            deadline,
            options,
            rows: 0,
            bytes: 0,
            over: false,
        }
    }

    /// The next batch; `None` at the end.
    ///
    /// # Errors
    /// What went wrong, or which limit was reached; nothing follows then.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, QueryError>> {
        if self.over {
            return None;
        }
        let next = match timeout_at(self.until, self.batches.recv()).await {
            Err(_) => Some(Err(self.out_of_time())),
            Ok(None) => match (&mut self.task).await {
                Err(error) if error.is_panic() => Some(Err(QueryError::unavailable(
                    "the query failed inside; this is a bug worth telling us",
                ))),
                _ => None,
            },
            Ok(Some(Err(error))) => Some(Err(QueryError::of(&error))),
            Ok(Some(Ok(batch))) => Some(self.counted(batch)),
        };
        self.over = !matches!(next, Some(Ok(_)));
        if self.over {
            self.task.abort();
        }
        next
    }

    /// All batches.
    ///
    /// # Errors
    /// As [`Answered::next`].
    pub async fn collect(&mut self) -> Result<Vec<RecordBatch>, QueryError> {
        let mut out = Vec::new();
        while let Some(batch) = self.next().await {
            let batch = batch?;
            self.bytes = self.bytes.saturating_add(batch.get_array_memory_size());
            if self.bytes > self.options.memory_bytes {
                let message = format!(
                    "the answer is larger than {}",
                    crate::size::human(self.options.memory_bytes as u64)
                );
                return Err(QueryError::limit(message, "ask for fewer rows, or without `sketch`"));
            }
            out.push(batch);
        }
        Ok(out)
    }

    /// What is doubtful about the query. Some of it is only known once all batches have come.
    pub fn lints(&self) -> Vec<Lint> {
        let mut out = self.lints.clone();
        out.extend(self.notes.all());
        out
    }

    /// The moments that the answer was read from so far, by the number of their source.
    pub fn moments(&self) -> Vec<(usize, Arc<Moment>)> {
        self.moments.taken()
    }

    fn counted(&mut self, batch: RecordBatch) -> Result<RecordBatch, QueryError> {
        self.rows = self.rows.saturating_add(batch.num_rows());
        if self.rows > self.options.rows_max {
            let message = format!("the answer has more than {} rows", self.options.rows_max);
            return Err(QueryError::limit(message, "add LIMIT, or ask for fewer groups or a shorter time"));
        }
        Ok(batch)
    }

    fn out_of_time(&self) -> QueryError {
        let message = format!("the query took longer than {:?}", self.deadline);
        QueryError::limit(message, "ask for fewer groups or a shorter time").about(About::Time)
    }
}

//! The heads of blocks: who numbers them, and what is told with the next one.

use super::open::OpenFile;
use super::{BlockHead, Content, FileHead, News};
use arrow_array::RecordBatch;
use engine::spec::{Source, TimeFrom};
use engine::time::Time;
use sabotage::{Bug, planted};
use std::ops::Range;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Numbers blocks.
pub struct Heads {
    next_block: u64,
    /// What has become of files since the last block.
    pub news: Vec<News>,
    /// When the last block was read, if the source takes its time from there.
    arrival: Option<Time>,
    nobody: Arc<FileHead>,
}

impl Heads {
    /// The first block gets this number.
    pub fn new(source: &Source, next_block: u64) -> Heads {
        Heads {
            next_block,
            news: Vec::new(),
            arrival: source.time.as_ref().filter(|time| time.from == TimeFrom::Arrival).map(|_| Time(0)),
            nobody: Arc::new(FileHead { path: String::new(), partition: u32::MAX, header: None }),
        }
    }

    /// The number of the next block.
    pub fn next_number(&self) -> u64 {
        self.next_block
    }

    /// Whether the time of events is that of their arrival.
    pub fn takes_arrival(&self) -> bool {
        self.arrival.is_some()
    }

    /// The head of the block that was just filled.
    pub fn of_bytes(&mut self, open: &OpenFile, first_byte: u64) -> BlockHead {
        self.numbered(open.head().clone(), first_byte..open.position(), Content::Bytes)
    }

    /// The head of a block of rows.
    pub fn of_rows(&mut self, file: &Arc<FileHead>, first: u64, batch: RecordBatch) -> BlockHead {
        let rows = first..first + batch.num_rows() as u64;
        self.numbered(file.clone(), rows, Content::Rows(batch))
    }

    /// The head of a block that was received: it came when it did, whenever it is read.
    pub fn of_lines(&mut self, file: Arc<FileHead>, bytes: Range<u64>, arrival: Time) -> BlockHead {
        let before = self.arrival;
        let head = self.numbered(file, bytes, Content::Bytes);
        self.arrival = before.map(|last| last.max(arrival));
        BlockHead { arrival: self.arrival, ..head }
    }

    /// The head of no block: only time has passed.
    pub fn of_nothing(&mut self) -> BlockHead {
        self.head(self.nobody.clone(), 0..0, Content::Nothing)
    }

    fn numbered(&mut self, file: Arc<FileHead>, bytes: Range<u64>, content: Content) -> BlockHead {
        let head = self.head(file, bytes, content);
        self.next_block += 1;
        head
    }

    fn head(&mut self, file: Arc<FileHead>, bytes: Range<u64>, content: Content) -> BlockHead {
        // The clock of a machine may be set back; that of a source is not.
        self.arrival =
            self.arrival.map(|last| if planted(Bug::ArrivalGoesBack) { now() } else { last.max(now()) });
        let Range { start: first_byte, end: next_byte } = bytes;
        BlockHead {
            file,
            number: self.next_block,
            first_byte,
            next_byte,
            news: std::mem::take(&mut self.news),
            arrival: self.arrival,
            content,
        }
    }
}

/// Processing time.
fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).ok().and_then(Time::from_micros).unwrap_or(Time(0))
}

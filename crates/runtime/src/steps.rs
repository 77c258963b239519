//! A run on the thread of whoever calls, step by step: for simulations, which decide what happens when.
//!
//! The same machines as [`crate::run`], wired the same way, but for threads and clocks: one worker, and who writes commits
//! writes when told to. A run that is dropped is one that was killed.

use crate::RunError;
use crate::checkpoint::StateDirectory;
use crate::clock::Clock;
use crate::job::{Finished, Job, Resumed, Status};
use crate::pump::{Hand, Pump, Writer};
use std::time::Duration;

/// A run.
pub struct Steps<'a> {
    pump: Pump<'a, 'static>,
    writer: Writer<'a>,
    hand: Hand,
    resumed: Option<Resumed>,
}

impl<'a> Steps<'a> {
    /// Begins, or goes on from what was restored. `now` is the time since any moment. The job keeps a state.
    ///
    /// # Errors
    /// As [`crate::run`] before the first block.
    ///
    /// # Panics
    /// When the job keeps no state.
    pub fn begin(
        job: Job<'a>,
        now: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Result<Steps<'a>, RunError> {
        // One cut may wait for who writes: another one is put off then, as it is while one is being written.
        let (pump, writer, resumed) = Pump::begin(job, &|_: Status| {}, Clock::given(now), 1)?;
        let writer = writer.expect("a job that keeps a state");
        Ok(Steps { pump, writer, hand: Hand::new(0, 1), resumed })
    }

    /// Where it went on.
    pub fn resumed(&self) -> Option<&Resumed> {
        self.resumed.as_ref()
    }

    /// Reads, judges and folds one block. False at the end of the input, and after an error.
    pub fn step(&mut self) -> bool {
        self.pump.turn(&mut self.hand)
    }

    /// Writes the commit that waits, if there is one and nothing has failed before: its number, when it and what leaves with
    /// it is durable.
    pub fn write(&mut self) -> Option<u64> {
        let cut = self.writer.cuts.try_recv().ok()?;
        self.pump.write_commit(&mut self.writer, cut)
    }

    /// The directory that the state is kept in.
    pub fn directory(&self) -> &StateDirectory {
        self.writer.directory
    }

    /// After the last block: the last commit is written, and the state handed out.
    ///
    /// # Errors
    /// The first that there was.
    pub fn finish(mut self) -> Result<Finished<'a>, RunError> {
        self.write();
        self.pump.last_cut();
        self.write();
        self.pump.finish(self.resumed)
    }
}

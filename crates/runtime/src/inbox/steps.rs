//! An inbox that is written to on the thread of whoever calls, for simulations.

use super::disk::Files;
use super::writer::Writer;
use super::{Inbox, InboxError, Settings, Shared, begin};
use crate::disk::Disk;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Writes what was handed in when it is told to. Dropping it is what a kill does: what waits is never answered.
pub struct InboxHand {
    writer: Writer,
    shared: Arc<Shared>,
}

impl Inbox {
    /// Opens an inbox without a thread, on this disk.
    ///
    /// # Errors
    /// As [`Inbox::open`].
    pub fn by_hand(
        directory: &Path,
        settings: Settings,
        disk: Arc<dyn Disk>,
    ) -> Result<(Inbox, InboxHand), InboxError> {
        let (shared, writer, torn, lock) = begin(directory, settings, disk.clone(), Box::new(Files(disk)))?;
        let hand = InboxHand { writer, shared: shared.clone() };
        Ok((Inbox { shared, writer: Mutex::new(None), torn, _lock: lock }, hand))
    }
}

impl InboxHand {
    /// Writes what waits, together, and answers. False when nothing does.
    pub fn step(&mut self) -> bool {
        if self.shared.lock().queue.is_empty() {
            return false;
        }
        if let Some(group) = self.shared.take_group() {
            self.writer.take_in(&self.shared, group);
        }
        true
    }

    /// Writes what waits, and ends as an inbox does that is closed.
    pub fn close(mut self) {
        self.shared.lock().closing = true;
        while self.step() {}
        self.writer.seal(&self.shared);
        self.shared.end();
    }
}

//! A turnstile: threads pass in the order of their numbers, whatever order they arrive in.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Lets number n through when all numbers below have left, from 0 on.
#[derive(Debug, Default)]
pub struct Turn {
    next: Mutex<Next>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Next {
    number: u64,
    broken: bool,
}

impl Turn {
    /// Waits for number `n`. False when another thread has broken down: do not go on.
    pub fn wait(&self, n: u64) -> bool {
        let mut next = self.lock();
        while next.number != n && !next.broken {
            next = self.changed.wait(next).unwrap_or_else(PoisonError::into_inner);
        }
        !next.broken
    }

    /// Leaves, so that the next number can pass.
    pub fn pass(&self) {
        self.lock().number += 1;
        self.changed.notify_all();
    }

    /// Wakes everybody up for good: a thread has panicked and its turn will never come.
    pub fn break_down(&self) {
        self.lock().broken = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Next> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

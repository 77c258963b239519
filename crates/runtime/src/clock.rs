//! How much time has passed for a run, by the clock of the machine or by one that is simulated.

use std::time::{Duration, Instant};

/// Tells how much time has passed.
pub(crate) struct Clock(Option<Box<dyn Fn() -> Duration + Send + Sync>>, Instant);

impl Clock {
    /// That of the machine; nobody can set it back.
    pub fn real() -> Clock {
        Clock(None, Instant::now())
    }

    /// Whatever somebody says.
    pub fn given(now: impl Fn() -> Duration + Send + Sync + 'static) -> Clock {
        Clock(Some(Box::new(now)), Instant::now())
    }

    /// Since it was made, or since whatever moment it was given.
    pub fn now(&self) -> Duration {
        self.0.as_ref().map_or_else(|| self.1.elapsed(), |now| now())
    }
}

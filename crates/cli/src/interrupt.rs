//! Ctrl-C and SIGTERM: a run that follows its input is told to stop; one that does not listen any more is ended. SIGHUP: it is
//! told to read its pipeline file anew.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Exit code of a program that was told to stop twice: 128 and the number of Ctrl-C.
const TOLD_TWICE: i32 = 130;

/// Raises `stop` at the first signal; the second one ends the program at once.
///
/// # Errors
/// When the system takes no handler.
pub fn raise_on_signal(stop: &Arc<AtomicBool>) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds it lowered.
        flag::register_conditional_shutdown(signal, TOLD_TWICE, stop.clone())?;
        flag::register(signal, stop.clone())?;
    }
    Ok(())
}

/// Raises `reload` at every SIGHUP, which ends the program no longer.
///
/// # Errors
/// When the system takes no handler.
#[cfg(unix)]
pub fn raise_on_hangup(reload: &Arc<AtomicBool>) -> io::Result<()> {
    flag::register(signal_hook::consts::SIGHUP, reload.clone()).map(drop)
}

/// Nothing: the system has no such signal.
#[cfg(not(unix))]
pub fn raise_on_hangup(_: &Arc<AtomicBool>) -> io::Result<()> {
    Ok(())
}

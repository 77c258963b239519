//! Ctrl-C and SIGTERM: a run that follows its input is told to stop; one that does not listen any more is ended. SIGHUP: it is
//! told to read its pipeline file anew.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Exit code of a program that was told to stop twice: 128 and the number of Ctrl-C.
const TOLD_TWICE: i32 = 130;
/// Time between two looks at whether there was a first signal.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A second signal within this is the same one: some tools signal a process and then its group.
const SAME_SIGNAL: Duration = Duration::from_secs(1);

/// Raises `stop` at the first signal; another one, a second later or more, ends the program at once.
///
/// # Errors
/// When the system takes no handler.
pub fn raise_on_signal(stop: &Arc<AtomicBool>) -> io::Result<()> {
    let armed = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, TOLD_TWICE, armed.clone())?;
        flag::register(signal, stop.clone())?;
    }
    let stop = stop.clone();
    // Ends with the program, at the latest.
    std::thread::spawn(move || {
        while !stop.load(Ordering::Acquire) {
            std::thread::sleep(LOOK_EVERY);
        }
        std::thread::sleep(SAME_SIGNAL);
        armed.store(true, Ordering::Release);
    });
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

//! Who may cancel what: a number and a secret of each connection, told to its client alone.

use ring::rand::{SecureRandom, SystemRandom};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use subtle::ConstantTimeEq;
use tokio::sync::watch;

/// The connections that there are.
#[derive(Debug, Default)]
pub(crate) struct Cancels {
    of: Mutex<BTreeMap<i32, Secret>>,
}

/// What proves that one may cancel, and what tells it.
type Secret = ([u8; 4], watch::Sender<u64>);

/// What a client needs to cancel its statement.
#[derive(Debug)]
pub(crate) struct Key {
    pub process: i32,
    pub secret: [u8; 4],
    /// Counts cancellations.
    pub canceled: watch::Receiver<u64>,
}

impl Cancels {
    /// A key of its own for a connection. `None` when the system has no random bytes.
    pub fn enter(&self) -> Option<Key> {
        let random = SystemRandom::new();
        let mut bytes = [0; 8];
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            random.fill(&mut bytes).ok()?;
            let [a, b, c, d, secret @ ..] = bytes;
            let process = i32::from_be_bytes([a, b, c, d]) & i32::MAX;
            if process > 0 && !of.contains_key(&process) {
                let (sender, canceled) = watch::channel(0);
                of.insert(process, (secret, sender));
                return Some(Key { process, secret, canceled });
            }
        }
    }

    pub fn leave(&self, process: i32) {
        self.of.lock().unwrap_or_else(PoisonError::into_inner).remove(&process);
    }

    /// Cancels what runs on a connection; who does not know its secret is not told so.
    pub fn cancel(&self, process: i32, secret: &[u8]) {
        let of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((own, sender)) = of.get(&process)
            && bool::from(own.as_slice().ct_eq(secret))
        {
            sender.send_modify(|canceled| *canceled += 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_cancels_its_own_connection_alone() {
        let cancels = Cancels::default();
        let (one, two) = (cancels.enter().expect("a key"), cancels.enter().expect("another"));
        cancels.cancel(one.process, &[!one.secret[0], 0, 0, 0]);
        cancels.cancel(one.process, &one.secret[..3]);
        assert_eq!((*one.canceled.borrow(), *two.canceled.borrow()), (0, 0));
        cancels.cancel(one.process, &one.secret);
        assert_eq!((*one.canceled.borrow(), *two.canceled.borrow()), (1, 0));
        cancels.leave(one.process);
        cancels.cancel(one.process, &one.secret);
    }
}

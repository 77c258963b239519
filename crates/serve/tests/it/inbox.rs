//! An inbox that remembers what it was given, and answers when and what the test says.

use engine::inbox::{Accepted, Answer, Delivery, Inbox, Load, Refusal, Stamp};
use std::collections::BTreeSet;
use std::sync::Mutex;

#[derive(Default)]
pub struct TestInbox(Mutex<State>);

#[derive(Default)]
struct State {
    bodies: Vec<Vec<u8>>,
    known: BTreeSet<(String, u64)>,
    refusal: Option<Refusal>,
    held: Option<Vec<(Accepted, Answer)>>,
    offset: u64,
}

impl TestInbox {
    /// What was taken in, in order.
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap().bodies.clone()
    }

    /// From now on everything is refused with this, or nothing any more.
    pub fn refuse(&self, refusal: Option<Refusal>) {
        self.0.lock().unwrap().refusal = refusal;
    }

    /// From now on nothing is answered.
    pub fn hold(&self) {
        self.0.lock().unwrap().held = Some(Vec::new());
    }

    /// How many wait for an answer.
    pub fn holds(&self) -> usize {
        self.0.lock().unwrap().held.as_ref().map_or(0, Vec::len)
    }

    /// Answers what waits, and everything from now on.
    pub fn release(&self) {
        let held = self.0.lock().unwrap().held.take();
        held.into_iter().flatten().for_each(|(accepted, answer)| answer(Ok(accepted)));
    }
}

impl Inbox for TestInbox {
    fn append(&self, delivery: Delivery, now_ms: u64, answer: Answer) {
        assert!(now_ms > 1_600_000_000_000, "a time of this century");
        let mut state = self.0.lock().unwrap();
        if let Some(refusal) = state.refusal.clone() {
            drop(state);
            return answer(Err(refusal));
        }
        let key = |stamp: Stamp| (stamp.producer().to_string(), stamp.sequence());
        let duplicate = delivery.stamp.map(key).is_some_and(|key| !state.known.insert(key));
        let bytes = delivery.body.len() as u64;
        let records =
            delivery.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() as u64;
        if !duplicate {
            state.offset += bytes;
            state.bodies.push(delivery.body);
        }
        let accepted = Accepted { offset: state.offset, bytes, records, duplicate };
        match &mut state.held {
            Some(held) => held.push((accepted, answer)),
            None => {
                drop(state);
                // As a log does it: from another thread.
                std::thread::spawn(move || answer(Ok(accepted)));
            }
        }
    }

    fn load(&self) -> Load {
        let state = self.0.lock().unwrap();
        Load { queue_bytes: 11, backlog_bytes: 22, disk_bytes: 33, offset: state.offset, ..Load::default() }
    }
}

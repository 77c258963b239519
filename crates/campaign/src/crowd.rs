//! Clients that post numbered bodies, retry what was not answered, repeat what was, and send out of order, and a journal of all of it.

use crate::client::Client;
use crate::random::Random;
use crate::verdict::Verdict;
use anyhow::Result;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bodies of a client that are under way at once, sent in any order.
const UNDER_WAY: usize = 8;
/// How far one may be behind the newest: the program knows 64, and takes what is further behind for a duplicate.
const BEHIND_MAX: u64 = 48;
/// Shares of bodies in a hundred.
const GIVEN_UP: u64 = 2;
const REPEATED: u64 = 10;
/// After a refusal, or no answer.
const BEFORE_A_RETRY: Duration = Duration::from_millis(3);
/// Event time of the first body.
const BEGIN: u64 = 1_700_000_000;

/// How a crowd behaves.
#[derive(Debug, Clone)]
pub struct Manner {
    /// Where the program listens.
    pub address: String,
    /// How many clients.
    pub clients: u64,
    /// Events of a body, at most.
    pub events_max: u64,
    /// Between two bodies of a client.
    pub pause: Duration,
    /// Before the names of producers: those of two crowds differ.
    pub prefix: String,
}

/// Clients at work.
pub struct Crowd {
    done: Arc<AtomicBool>,
    acked: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Told>>,
}

/// A body and what became of it.
struct Sent {
    sequence: u64,
    body: String,
    /// 200 came back.
    acked: bool,
    /// Sent at least once without an answer.
    unanswered: bool,
    /// Nobody sends it again, although it was not acknowledged.
    given_up: bool,
}

/// What a client did.
#[derive(Default)]
struct Told {
    producer: String,
    sent: Vec<Sent>,
    faults: [(&'static str, u64); 6],
    failures: Vec<String>,
}

const NO_ANSWER: usize = 0;
const REFUSED: usize = 1;
const GAVE_UP: usize = 2;
const REPEATS: usize = 3;
const DURABLE_UNANSWERED: usize = 4;
const OUT_OF_ORDER: usize = 5;
const NAMES: [&str; 6] = [
    "requests_without_answer",
    "requests_refused",
    "bodies_given_up",
    "repeats_of_acknowledged_bodies",
    "bodies_durable_but_unanswered",
    "bodies_out_of_order",
];

impl Crowd {
    /// Starts them.
    pub fn start(manner: &Manner, random: &mut Random) -> Crowd {
        let (done, acked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let client = |number: u64| {
            let (manner, random) = (manner.clone(), Random::new(random.next()));
            let (done, acked) = (done.clone(), acked.clone());
            std::thread::spawn(move || Sender::new(&manner, number, random, acked).work(&manner, &done))
        };
        let threads = (0..manner.clients).map(client).collect();
        Crowd { done, acked, threads }
    }

    /// Bodies that were acknowledged by now.
    pub fn acked(&self) -> u64 {
        self.acked.load(Ordering::Relaxed)
    }

    /// Lets them make no more bodies; what is under way is sent until it is acknowledged or given up.
    pub fn stop(&self) {
        self.done.store(true, Ordering::Relaxed);
    }

    /// Whether nothing is under way any more.
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits for that, and writes the journal: a line of JSON for each body.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self, journal: &Path, verdict: &mut Verdict) -> Result<()> {
        self.stop();
        let mut out = BufWriter::new(File::create(journal)?);
        for thread in self.threads {
            let told = thread.join().expect("a client does not panic");
            told.faults.iter().for_each(|(kind, count)| verdict.faults(kind, *count));
            told.failures.into_iter().for_each(|failure| verdict.fail(failure));
            for sent in told.sent {
                let line = json!({
                    "producer": told.producer,
                    "sequence": sent.sequence,
                    "acked": sent.acked,
                    "body": sent.body,
                });
                writeln!(out, "{line}")?;
            }
        }
        out.flush()?;
        Ok(())
    }
}

struct Sender {
    client: Client,
    random: Random,
    acked: Arc<AtomicU64>,
    told: Told,
    next: u64,
    highest: u64,
}

impl Sender {
    fn new(manner: &Manner, number: u64, random: Random, acked: Arc<AtomicU64>) -> Sender {
        let producer = format!("{}c{number}", manner.prefix);
        let faults = NAMES.map(|name| (name, 0));
        let told = Told { producer, faults, ..Told::default() };
        Sender { client: Client::new(&manner.address), random, acked, told, next: 0, highest: 0 }
    }

    fn work(mut self, manner: &Manner, done: &AtomicBool) -> Told {
        let mut under_way: Vec<Sent> = Vec::new();
        loop {
            while under_way.len() < UNDER_WAY && !done.load(Ordering::Relaxed) {
                under_way.push(self.body(manner.events_max));
            }
            if under_way.is_empty() {
                return self.told;
            }
            let chosen = self.choose(&under_way);
            self.send(&mut under_way[chosen]);
            if under_way[chosen].acked || under_way[chosen].given_up {
                let sent = under_way.swap_remove(chosen);
                self.told.sent.push(sent);
                std::thread::sleep(manner.pause);
            } else {
                std::thread::sleep(BEFORE_A_RETRY);
            }
        }
    }

    /// Any of them, but the oldest before it is too far behind.
    fn choose(&mut self, under_way: &[Sent]) -> usize {
        let oldest = (0..under_way.len()).min_by_key(|&at| under_way[at].sequence).unwrap_or(0);
        if under_way[oldest].sequence + BEHIND_MAX < self.next {
            return oldest;
        }
        self.random.below(under_way.len() as u64) as usize
    }

    /// The next body: its events name it, so that a separate program can tell whose they are.
    fn body(&mut self, events_max: u64) -> Sent {
        let sequence = self.next;
        self.next += 1;
        let (mut body, name) = (String::new(), format!("{}-{sequence}", self.told.producer));
        for _ in 0..1 + self.random.below(events_max) {
            let ts = BEGIN + sequence / 4 + self.random.below(3);
            let (shop, n) = (self.random.below(7), self.random.below(1_000));
            let _ = writeln!(body, "{{\"ts\":{ts},\"body\":\"{name}\",\"shop\":\"s{shop}\",\"n\":{n}}}");
        }
        Sent { sequence, body, acked: false, unanswered: false, given_up: false }
    }

    fn count(&mut self, kind: usize) {
        self.told.faults[kind].1 += 1;
    }

    fn send(&mut self, sent: &mut Sent) {
        self.told.faults[OUT_OF_ORDER].1 += u64::from(sent.sequence < self.highest);
        self.highest = self.highest.max(sent.sequence);
        let Some(answer) = self.post(sent) else {
            self.count(NO_ANSWER);
            sent.unanswered = true;
            // Given up without knowing: it may be there whole, or not at all.
            sent.given_up = self.random.percent(GIVEN_UP);
            self.told.faults[GAVE_UP].1 += u64::from(sent.given_up);
            return;
        };
        if answer.0 != 200 {
            self.count(REFUSED);
            if answer.0 != 429 && answer.0 != 503 {
                self.told.failures.push(format!("a body was answered with {}: {}", answer.0, answer.1));
                sent.given_up = true;
            }
            return;
        }
        sent.acked = true;
        self.acked.fetch_add(1, Ordering::Relaxed);
        let duplicate = answer.1["duplicate"] == true;
        if duplicate && sent.unanswered {
            self.count(DURABLE_UNANSWERED);
        } else if duplicate {
            let name = format!("{}-{}", self.told.producer, sent.sequence);
            self.told.failures.push(format!("{name} was taken for a duplicate when it came first"));
        }
        if self.random.percent(REPEATED) {
            self.repeat(sent);
        }
    }

    /// What was acknowledged is sent once more, and must be known.
    fn repeat(&mut self, sent: &Sent) {
        let Some((200, answer)) = self.post(sent) else { return };
        self.count(REPEATS);
        if answer["duplicate"] != true {
            let name = format!("{}-{}", self.told.producer, sent.sequence);
            self.told
                .failures
                .push(format!("{name} was acknowledged, and taken in again when it came twice"));
        }
    }

    fn post(&mut self, sent: &Sent) -> Option<(u16, Value)> {
        let headers = format!(
            "Streamgauge-Producer: {}\r\nStreamgauge-Sequence: {}\r\n",
            self.told.producer, sent.sequence
        );
        let answer = self.client.post("/v1/events", &headers, sent.body.as_bytes())?;
        Some((answer.status, serde_json::from_str(&answer.body).unwrap_or(Value::Null)))
    }
}

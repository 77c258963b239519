//! `overload`: many times more is offered over HTTP than a slow disk takes.
//!
//! What does not fit is refused with 429 and `Retry-After`, memory stays within its budget, nothing that was acknowledged is lost, and
//! afterwards everything is as before. How much the disk takes is measured first, by patient clients on the same disk.

use crate::child::{Child, Trace};
use crate::client::{Client, free_address};
use crate::kill_http::{RUN, judge, pipeline};
use crate::stage::Stage;
use crate::verdict::Verdict;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Every sync of what was taken in takes so long.
const SLOW_DISK: &str = "fdatasync:delay_enter=400000";
/// The budget, and what may come on top.
const BUDGET_MIB: u64 = 256;
const SLACK_PERCENT: u64 = 10;
/// Clients that wait for answers, and that do not.
const PATIENT: u64 = 24;
const FLOOD: u64 = 96;
/// A body: so many events, of so many bytes each.
const EVENTS: u64 = 256;
const EVENT_BYTES: usize = 4_096;
/// Offered over what a patient crowd has had taken in.
const TIMES: f64 = 10.0;
/// Of what patient clients have had taken in, so much at least is taken in under the flood.
const GOODPUT_PERCENT: u64 = 50;
/// Until all is as before.
const AFTERWARDS: Duration = Duration::from_secs(10);
/// Small bodies that are sent then.
const NORMAL: u64 = 50;

/// Runs it; a round is a second of flood.
pub fn run(stage: &Stage, verdict: &mut Verdict) -> Result<()> {
    let (folder, address) = (stage.folder("flood")?, free_address()?);
    let text = format!("memory = \"{BUDGET_MIB}MiB\"\n{}", pipeline(&address));
    std::fs::write(folder.join("p.toml"), text)?;
    let mut child = Child::start_traced(stage, &folder, "run", &Trace { inject: SLOW_DISK }, &RUN)?;
    child.says("listening on")?;
    let quiet = Duration::from_secs(stage.pick(3, 10));
    let mut journal = BufWriter::new(File::create(folder.join("journal.ndjson"))?);
    let patient = flood(&address, ("patient", PATIENT), quiet, &mut journal, verdict)?;
    stage.progress(format_args!("the disk takes {:.1} MiB a second", mib(patient.taken_a_second)));
    let flooded = Duration::from_secs(stage.rounds);
    let flood = flood(&address, ("flood", FLOOD), flooded, &mut journal, verdict)?;
    verdict.faults("requests_refused_with_429", flood.refused);
    verdict.figure("offered_mib_a_second", mib(flood.offered_a_second));
    verdict.figure("taken_mib_a_second", mib(flood.taken_a_second));
    verdict.figure("taken_mib_a_second_before", mib(patient.taken_a_second));
    let times = flood.offered_a_second / patient.taken_a_second;
    verdict.figure("times_offered", (times * 10.0).round() / 10.0);
    verdict
        .expect(times >= TIMES, || format!("only {times:.1} times as much was offered: nothing was proven"));
    verdict.expect(flood.refused > 0, || "nothing was refused: nothing was proven".into());
    let goodput = (100.0 * flood.taken_a_second / patient.taken_a_second) as u64;
    verdict.figure("goodput_percent", goodput);
    verdict.expect(goodput >= GOODPUT_PERCENT, || format!("only {goodput} % were taken in under the flood"));
    afterwards(&address, &mut journal, verdict)?;
    let peak = child.peak_bytes()?;
    verdict.figure("peak_rss_mib", peak >> 20);
    let limit = (BUDGET_MIB << 20) * (100 + SLACK_PERCENT) / 100;
    verdict.expect(peak <= limit, || format!("{peak} bytes were resident, {limit} may be"));
    journal.flush()?;
    child.signal("TERM")?;
    child.succeed().context("the run that was told to end")?;
    verdict.expect(!child.panicked(), || format!("it panicked: {}", child.said()));
    judge(stage, &folder, verdict)
}

/// What a crowd got.
struct Flooded {
    offered_a_second: f64,
    taken_a_second: f64,
    refused: u64,
}

/// Clients that post large bodies, each at once after the answer to the one before, whatever it was.
fn flood(
    address: &str,
    (name, clients): (&str, u64),
    long: Duration,
    journal: &mut impl Write,
    verdict: &mut Verdict,
) -> Result<Flooded> {
    let done = Arc::new(AtomicBool::new(false));
    let (offered, taken) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let begun = Instant::now();
    let client = |number: u64| {
        let (done, offered, taken) = (done.clone(), offered.clone(), taken.clone());
        let (producer, mut client) = (format!("{name}{number}"), Client::new(address));
        std::thread::spawn(move || {
            let mut told = Told::default();
            let mut sequence = 0;
            while !done.load(Relaxed) {
                let (body, line) = body(&producer, sequence);
                offered.fetch_add(body.len() as u64, Relaxed);
                let acked = told.post(&mut client, &producer, sequence, &body);
                taken.fetch_add(if acked { body.len() as u64 } else { 0 }, Relaxed);
                // What was refused was not taken in: the next body may have its number, or another one.
                told.lines.push((acked, line));
                sequence += 1;
            }
            told
        })
    };
    let threads: Vec<_> = (0..clients).map(client).collect();
    let mut observer = Client::new(address);
    while begun.elapsed() < long {
        std::thread::sleep(Duration::from_millis(100));
        let answer = observer.get("/health");
        let well = answer.is_some_and(|answer| answer.status == 200);
        verdict.expect(well, || "/health did not answer under load".into());
        verdict.add("looks_at_health", 1);
    }
    // The rates are those of this time; what is under way afterwards counts for nothing but itself.
    let seconds = begun.elapsed().as_secs_f64();
    let (offered, taken) = (offered.load(Relaxed) as f64, taken.load(Relaxed) as f64);
    done.store(true, Relaxed);
    let mut refused = 0;
    for thread in threads {
        let told = thread.join().expect("a client does not panic");
        told.failures.into_iter().for_each(|failure| verdict.fail(failure));
        refused += told.refused;
        for (acked, mut line) in told.lines {
            line["acked"] = json!(acked);
            writeln!(journal, "{line}")?;
        }
    }
    Ok(Flooded { offered_a_second: offered / seconds, taken_a_second: taken / seconds, refused })
}

/// What a client was told.
#[derive(Default)]
struct Told {
    lines: Vec<(bool, Value)>,
    refused: u64,
    failures: Vec<String>,
}

impl Told {
    fn post(&mut self, client: &mut Client, producer: &str, sequence: u64, body: &[u8]) -> bool {
        let headers = format!("Streamgauge-Producer: {producer}\r\nStreamgauge-Sequence: {sequence}\r\n");
        match client.post("/v1/events", &headers, body) {
            Some(answer) if answer.status == 200 => return true,
            Some(answer) if answer.status == 429 => {
                self.refused += 1;
                if answer.retry_after.is_none() {
                    self.failures.push("a 429 came without Retry-After".into());
                }
            }
            Some(answer) => self.failures.push(format!("{} under load: {}", answer.status, answer.body)),
            // Refused while it was sent: a connection that is closed may take the answer with it.
            None => {}
        }
        false
    }
}

/// A body, and the line of the journal: its events without what only makes them long.
fn body(producer: &str, sequence: u64) -> (Vec<u8>, Value) {
    let (mut body, mut short) = (Vec::new(), String::new());
    for i in 0..EVENTS {
        let (ts, n) = (1_700_000_000 + sequence / 4, (i * 7 + sequence) % 1_000);
        let event =
            format!("{{\"ts\":{ts},\"body\":\"{producer}-{sequence}\",\"shop\":\"s{}\",\"n\":{n}", i % 7);
        short += &format!("{event}}}\n");
        body.extend_from_slice(event.as_bytes());
        body.extend_from_slice(b",\"pad\":\"");
        body.resize(body.len() + EVENT_BYTES - event.len(), b'x');
        body.extend_from_slice(b"\"}\n");
    }
    (body, json!({ "producer": producer, "sequence": sequence, "body": short }))
}

/// Soon after the flood everything is taken in at once again.
fn afterwards(address: &str, journal: &mut impl Write, verdict: &mut Verdict) -> Result<()> {
    let (begun, mut client, mut slowest) = (Instant::now(), Client::new(address), Duration::ZERO);
    let mut sequence = 0;
    let mut in_a_row = 0;
    while in_a_row < NORMAL {
        let event = format!("{{\"ts\":1700000000,\"body\":\"after-{sequence}\",\"shop\":\"s1\",\"n\":1}}\n");
        let asked = Instant::now();
        let mut told = Told::default();
        let acked = told.post(&mut client, "after", sequence, event.as_bytes());
        let line = json!({ "producer": "after", "sequence": sequence, "body": event, "acked": acked });
        writeln!(journal, "{line}")?;
        sequence += 1;
        if acked {
            in_a_row += 1;
            slowest = slowest.max(asked.elapsed());
        } else if begun.elapsed() < AFTERWARDS {
            (in_a_row, slowest) = (0, Duration::ZERO);
            std::thread::sleep(Duration::from_millis(50));
        } else {
            verdict.fail(format!("{AFTERWARDS:?} after the flood bodies are still refused"));
            break;
        }
    }
    verdict.figure("slowest_answer_afterwards_ms", slowest.as_millis() as u64);
    Ok(())
}

fn mib(bytes: f64) -> f64 {
    (bytes / f64::from(1 << 20) * 10.0).round() / 10.0
}

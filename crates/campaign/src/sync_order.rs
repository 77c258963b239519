//! `sync-order`: what is told to be durable is, judged by the order of system calls; and a disk that fails stops the run.
//!
//! A kill leaves what the system holds, so it cannot tell whether a file was synced. Here strace tells: a separate program reads what was
//! written, synced, renamed and answered, and in which order. Then single syncs fail, one after the other, and the run must end with an
//! error and the next one where an undisturbed one does.

use crate::child::Child;
use crate::client::{Client, free_address};
use crate::stage::Stage;
use crate::verdict::Verdict;
use crate::{events, kill_file, kill_http, oracle};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

const CALLS: &str =
    "trace=write,pwrite64,writev,sendto,sendmsg,fsync,fdatasync,rename,renameat,renameat2,ftruncate";
const EVENTS: u64 = 150_000;
/// Bodies that one client posts, each after the answer to the one before.
const BODIES: u64 = 40;
const ONCE: [&str; 8] = ["run", "--once", "p.toml", "--state", "s", "--format", "json", "--save"];

/// Runs it; a round is a sync that fails.
pub fn run(stage: &Stage, verdict: &mut Verdict) -> Result<()> {
    let text = input(stage);
    let file = stage.folder("file")?;
    prepare(&file, &text)?;
    let mut child = traced(stage, &file, &ONCE_TO_WHOLE)?;
    child.succeed()?;
    let http = stage.folder("http")?;
    post(stage, &http)?;
    oracle::ask(stage, "sync_order.py", [file.join("trace"), http.join("trace")], verdict)?;
    for round in 0..stage.rounds {
        if !verdict.passed() {
            break;
        }
        fail(stage, &file, &text, round, verdict)?;
    }
    Ok(())
}

const ONCE_TO_WHOLE: [&str; 9] =
    [ONCE[0], ONCE[1], ONCE[2], ONCE[3], ONCE[4], ONCE[5], ONCE[6], ONCE[7], "whole.sgs"];

fn input(stage: &Stage) -> String {
    let mut text = String::new();
    events::write(&mut stage.random("events"), 0..EVENTS, &mut text);
    text
}

fn prepare(folder: &Path, text: &str) -> Result<()> {
    std::fs::write(folder.join("p.toml"), kill_file::pipeline())?;
    std::fs::write(folder.join("e.ndjson"), text)?;
    Ok(())
}

fn traced(stage: &Stage, folder: &Path, args: &[&str]) -> Result<Child> {
    let mut command = Command::new("strace");
    command.current_dir(folder).args(["-f", "-qq", "-y", "-s", "24", "-o", "trace", "-e", CALLS]);
    command.arg(&stage.program).args(args);
    Child::start(command, folder, "report")
}

/// A run that takes bodies one after the other.
fn post(stage: &Stage, folder: &Path) -> Result<()> {
    let address = free_address()?;
    std::fs::write(folder.join("p.toml"), kill_http::pipeline(&address))?;
    let mut child = traced(stage, folder, &kill_http::RUN)?;
    child.says("listening on")?;
    let mut client = Client::new(&address);
    for sequence in 0..BODIES {
        let headers = format!("Streamgauge-Producer: one\r\nStreamgauge-Sequence: {sequence}\r\n");
        let ts = 1_700_000_000 + 7 * sequence;
        let body = format!("{{\"ts\":{ts},\"body\":\"one-{sequence}\",\"shop\":\"s1\",\"n\":1}}\n");
        let answer = client.post("/v1/events", &headers, body.as_bytes()).context("no answer")?;
        anyhow::ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
    }
    child.find_program(stage)?;
    child.signal("TERM")?;
    child.succeed()
}

/// A sync fails; the run says so, and the next one ends where it should.
fn fail(stage: &Stage, whole: &Path, text: &str, round: u64, verdict: &mut Verdict) -> Result<()> {
    let folder = stage.folder(&format!("failed-{round}"))?;
    prepare(&folder, text)?;
    let call = if round.is_multiple_of(2) { "fsync" } else { "fdatasync" };
    let which = 1 + round / 2;
    let mut command = Command::new("strace");
    command.current_dir(&folder).args(["--seccomp-bpf", "-f", "-qq", "-o", "trace"]);
    command.args(["-e", &format!("trace={call}")]);
    command.args(["-e", &format!("inject={call}:error=EIO:when={which}")]);
    command.arg(&stage.program).args(ONCE_TO_WHOLE);
    let mut child = Child::start(command, &folder, "report")?;
    let status = child.end()?;
    let failed = std::fs::read_to_string(folder.join("trace"))?.contains("(INJECTED)");
    verdict.faults("syncs_that_failed", u64::from(failed));
    let told = status.code() == Some(3) && child.said().contains("os error 5");
    verdict.expect(!failed || told, || {
        format!("{call} number {which} failed, and the run ended with {status}: {}", child.said())
    });
    verdict.expect(!child.panicked(), || format!("it panicked: {}", child.said()));
    stage.start(&folder, "report", &ONCE_TO_WHOLE)?.succeed().context("the run after a disk that failed")?;
    for name in ["report.out", "whole.sgs"] {
        let same = std::fs::read(whole.join(name))? == std::fs::read(folder.join(name))?;
        verdict.add("identical_files", u64::from(same));
        verdict.expect(same, || format!("{name} is another one after {call} number {which} failed"));
    }
    if verdict.passed() {
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

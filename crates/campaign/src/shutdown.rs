//! `shutdown`: SIGTERM while clients post; now and then a second one while the disk is slow.
//!
//! A run that is told to end says that it is not ready, finishes, commits and ends well within seconds; nothing is read twice at the
//! next start, and nothing that was acknowledged is lost. A second signal ends it at once, and loses nothing either.

use crate::child::{Child, Trace};
use crate::client::{Client, free_address};
use crate::crowd::{Crowd, Manner};
use crate::kill_http::{RUN, judge, pipeline, settle};
use crate::random::Random;
use crate::stage::Stage;
use crate::verdict::Verdict;
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// Ends of a round: each has a directory and clients of its own.
const ENDS: u64 = 20;
/// How long an end may take.
const END_MAX: Duration = Duration::from_secs(5);
/// Longest life of a process.
const LIFE_MAX: Duration = Duration::from_millis(300);
/// One end in so many gets a second signal.
const SECOND_ONE_IN: u64 = 10;
/// A disk on which every sync takes so long, once the run is under way.
const SLOW_DISK: &str = "fsync,fdatasync:delay_enter=1500000:when=25+";
/// The second signal counts a second after the first.
const BEFORE_THE_SECOND: Duration = Duration::from_millis(1_300);

/// Runs it.
pub fn run(stage: &Stage, verdict: &mut Verdict) -> Result<()> {
    let mut random = stage.random("ends");
    let (mut round, mut slowest) = (0, Duration::ZERO);
    while verdict.count("sigterm") < stage.rounds && verdict.passed() {
        let folder = stage.folder(&format!("round-{round}"))?;
        let address = free_address()?;
        std::fs::write(folder.join("p.toml"), pipeline(&address))?;
        let pause = Duration::from_millis(2);
        let manner = Manner { address, clients: 6, events_max: 20, pause, prefix: String::new() };
        let crowd = Crowd::start(&manner, &mut random);
        for end in 0..ENDS.min(stage.rounds - verdict.count("sigterm")) {
            if end % SECOND_ONE_IN == SECOND_ONE_IN - 1 {
                twice(stage, &folder, verdict)?;
            } else {
                let took = once(stage, &folder, &manner.address, &mut random, verdict)?;
                slowest = slowest.max(took);
            }
        }
        let child = stage.start(&folder, "run", &RUN)?;
        settle(&folder, (child, crowd), verdict)?;
        judge(stage, &folder, verdict)?;
        round += 1;
        stage.progress(format_args!("{} signals in {round} rounds", verdict.count("sigterm")));
    }
    verdict.figure("slowest_end_ms", slowest.as_millis() as u64);
    Ok(())
}

/// One signal under load. How long the end took.
fn once(
    stage: &Stage,
    folder: &Path,
    address: &str,
    random: &mut Random,
    verdict: &mut Verdict,
) -> Result<Duration> {
    let mut child = stage.start(folder, "run", &RUN)?;
    child.says("listening on")?;
    std::thread::sleep(random.up_to(LIFE_MAX));
    let mut observer = Client::new(address);
    child.signal("TERM")?;
    verdict.faults("sigterm", 1);
    let begun = Instant::now();
    let mut not_ready = false;
    let status = loop {
        if let Some(status) = child.wait(Duration::from_millis(1))? {
            break status;
        }
        if begun.elapsed() > END_MAX {
            verdict.fail(format!("it had not ended after {END_MAX:?}: {}", child.said()));
            child.kill()?;
            return Ok(END_MAX);
        }
        let answer = observer.get("/ready");
        let ready = answer.as_ref().is_some_and(|answer| answer.status == 200);
        not_ready |= answer.is_some_and(|answer| answer.status == 503);
        verdict.expect(!(ready && not_ready), || "it was ready again while it ended".into());
    };
    let took = begun.elapsed();
    verdict.add("said_not_ready", u64::from(not_ready));
    verdict.expect(status.code() == Some(0), || format!("it ended with {status}: {}", child.said()));
    verdict.expect(!child.panicked(), || format!("it panicked: {}", child.said()));
    read_again(stage, folder, verdict)?;
    Ok(took)
}

/// What the next start finds: all that the run has told of is in the last commit. What had been acknowledged, and not read yet, is
/// read now.
fn read_again(stage: &Stage, folder: &Path, verdict: &mut Verdict) -> Result<()> {
    let told: Vec<Value> = serde_json::from_slice(&std::fs::read(folder.join("run.out"))?)
        .context("the report of the run that was told to end")?;
    let of = |row: &&Value| row["metric"] == "sg.source" && row["by"]["reason"] == "read";
    let read = told.iter().find(of).and_then(|row| row["value"].as_u64()).unwrap_or(0);
    let args = ["run", "--once", "p.toml", "--state", "s", "--format", "json"];
    let mut again = stage.start(folder, "again", &args)?;
    again.succeed().context("the run after one that was told to end")?;
    let said = again.said().replace(',', "");
    let there = said.split(" records were there").next().and_then(|head| head.rsplit(' ').next());
    let there: u64 = there.and_then(|number| number.parse().ok()).unwrap_or(0);
    verdict.add("records_replayed", read.abs_diff(there));
    verdict.expect(read == there, || format!("a run told of {read} records, and the next one: {said}"));
    Ok(())
}

/// Two signals, the disk being slow.
fn twice(stage: &Stage, folder: &Path, verdict: &mut Verdict) -> Result<()> {
    let mut child = Child::start_traced(stage, folder, "slow", &Trace { inject: SLOW_DISK }, &RUN)?;
    child.says("listening on")?;
    std::thread::sleep(Duration::from_millis(800));
    child.signal("TERM")?;
    verdict.faults("sigterm", 1);
    if let Some(status) = child.wait(BEFORE_THE_SECOND)? {
        verdict.expect(status.code() == Some(0), || format!("it ended with {status}: {}", child.said()));
        return Ok(());
    }
    child.signal("TERM")?;
    verdict.faults("second_sigterm", 1);
    match child.wait(END_MAX)? {
        // Ended by itself in the meantime, or at once.
        Some(status) => verdict.expect(matches!(status.code(), Some(0 | 130)), || {
            format!("after the second signal it ended with {status}: {}", child.said())
        }),
        None => verdict.fail(format!("two signals did not end it within {END_MAX:?}: {}", child.said())),
    }
    Ok(())
}

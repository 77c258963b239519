//! `kill-http`: `kill -9` while clients post, in every other round with answers that come late after what they tell is durable.
//!
//! What was acknowledged must be counted once, however often it was sent; what was not, whole or not at all. The oracle reads what
//! clients have sent, and the report.

use crate::child::{Child, Trace};
use crate::client::free_address;
use crate::crowd::{Crowd, Manner};
use crate::oracle;
use crate::random::Random;
use crate::stage::Stage;
use crate::verdict::Verdict;
use anyhow::{Context, Result};
use std::path::Path;
use std::time::{Duration, Instant};

/// Kills of a round: each has a directory and clients of its own.
const KILLS: u64 = 25;
/// Shortest and longest life of a process.
const LIFE_MIN: Duration = Duration::from_millis(5);
const LIFE_MAX: Duration = Duration::from_millis(350);
/// The answer to what is durable waits so long, where it does.
const LATE_ANSWER: &str = "fdatasync:delay_exit=15000";
/// Until clients have everything acknowledged that is under way.
const PATIENCE: Duration = Duration::from_secs(60);

/// What campaigns over HTTP run, at this address.
pub fn pipeline(address: &str) -> String {
    format!(
        "panes = [\"10s:3650d\"]
checkpoint = {{ every = \"20ms\" }}
serve = {{ listen = \"{address}\" }}
[source.e]
kind = \"http\"
time = {{ field = \"ts\", unit = \"s\", lateness = \"5s\" }}
fields = {{ ts = \"int64\", n = \"int64\" }}
[metric]
hits = {{ measure = \"count()\", by = [[], [\"body\"]], keys = \"500000 + other\", keep = \"forever\" }}
sum = {{ measure = \"sum(n)\", by = [[\"body\"]], keys = \"500000 + other\", keep = \"forever\" }}
shops = {{ measure = \"count()\", by = [[], [\"shop\"]] }}
[sink.out]
kind = \"file\"
path = \"panes.ndjson\"
metrics = [\"shops\"]
"
    )
}

/// Runs it.
pub fn run(stage: &Stage, verdict: &mut Verdict) -> Result<()> {
    let mut random = stage.random("kills");
    let mut round = 0;
    while verdict.count("kill_9") < stage.rounds && verdict.passed() {
        let kills = KILLS.min(stage.rounds - verdict.count("kill_9"));
        let folder = stage.folder(&format!("round-{round}"))?;
        let trace = (round % 2 == 0).then_some(Trace { inject: LATE_ANSWER });
        kill(stage, &folder, (kills, trace), &mut random, verdict)?;
        judge(stage, &folder, verdict)?;
        round += 1;
        stage.progress(format_args!("{} kills in {round} rounds", verdict.count("kill_9")));
    }
    let unanswered = verdict.count("bodies_durable_but_unanswered");
    verdict.expect(unanswered > 0, || "no kill came between durable and answered: nothing was proven".into());
    Ok(())
}

fn kill(
    stage: &Stage,
    folder: &Path,
    (kills, trace): (u64, Option<Trace<'_>>),
    random: &mut Random,
    verdict: &mut Verdict,
) -> Result<()> {
    let address = free_address()?;
    std::fs::write(folder.join("p.toml"), pipeline(&address))?;
    let pause = Duration::from_millis(2);
    let manner = Manner { address, clients: 8, events_max: 20, pause, prefix: String::new() };
    let crowd = Crowd::start(&manner, random);
    for _ in 0..kills {
        let mut child = match &trace {
            Some(trace) => Child::start_traced(stage, folder, "run", trace, &RUN)?,
            None => stage.start(folder, "run", &RUN)?,
        };
        // One in five is killed while it begins.
        if !random.percent(20) {
            child.says("listening on")?;
        }
        std::thread::sleep(LIFE_MIN + random.up_to(LIFE_MAX));
        child.kill()?;
        verdict.expect(!child.panicked(), || format!("it panicked: {}", child.said()));
        verdict.faults("kill_9", 1);
        verdict.faults("kill_9_with_late_answers", u64::from(trace.is_some()));
    }
    let child = stage.start(folder, "run", &RUN)?;
    settle(folder, (child, crowd), verdict)
}

/// Lets clients have everything acknowledged that is under way, ends the run, and writes the journal.
pub fn settle(folder: &Path, (mut child, crowd): (Child, Crowd), verdict: &mut Verdict) -> Result<()> {
    crowd.stop();
    let begun = Instant::now();
    while !crowd.is_finished() && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
    let settled = crowd.is_finished();
    verdict.expect(settled, || {
        format!("after {} bodies others were not taken in for {PATIENCE:?}: {}", crowd.acked(), child.said())
    });
    child.signal("TERM")?;
    child.succeed().context("the run that was told to end")?;
    if settled { crowd.finish(&folder.join("journal.ndjson"), verdict) } else { Ok(()) }
}

/// A run that takes events, and its state.
pub const RUN: [&str; 6] = ["run", "p.toml", "--state", "s", "--format", "json"];

/// Asks the state, and lets the oracle compare it with what clients have sent.
pub fn judge(stage: &Stage, folder: &Path, verdict: &mut Verdict) -> Result<()> {
    if !verdict.passed() {
        return Ok(());
    }
    let once = ["run", "--once", "p.toml", "--state", "s", "--format", "json"];
    let mut report = stage.start(folder, "report", &once)?;
    report.succeed()?;
    let mut windows = stage.start(folder, "windows", &[&once[..], &["--every", "10s"]].concat())?;
    windows.succeed()?;
    verdict.expect(windows.said().contains(" 0 are new"), || {
        format!("a run over what was read reads again: {}", windows.said())
    });
    oracle::ask(stage, "kill_http.py", [folder], verdict)?;
    if verdict.passed() {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(())
}

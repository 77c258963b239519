//! `partitions`: two files that grow at their own pace, the program being killed again and again.
//!
//! The slower one holds the watermark back, so no pane leaves before it is whole: every cell leaves once, as it is in the end.

use crate::oracle;
use crate::random::Random;
use crate::stage::Stage;
use crate::verdict::Verdict;
use anyhow::{Result, ensure};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Kills of a round: each has files and a directory of its own.
const KILLS: u64 = 10;
/// Seconds of event time, what the slower file is behind by, events of a second in each.
const SECONDS: u64 = 1_500;
const BEHIND: u64 = 45;
const PER_SECOND: u64 = 20;
const BEGIN: u64 = 1_700_000_000;
/// A second of event time takes so long.
const PACE: Duration = Duration::from_micros(1_500);
const LIFE_MAX: Duration = Duration::from_millis(400);

/// The slower file is the first by name: files that are there at the start are read one after the other.
const PIPELINE: &str = "panes = [\"10s:3650d\"]
checkpoint = { every = \"20ms\" }
[source.e]
path = [\"a.ndjson\", \"b.ndjson\"]
time = { field = \"ts\", unit = \"s\" }
fields = { ts = \"int64\", n = \"int64\" }
[metric]
shops = { measure = \"count()\", by = [[], [\"shop\"]] }
sum = { measure = \"sum(n)\", by = [\"shop\"] }
[sink.out]
kind = \"file\"
path = \"panes.ndjson\"
";

/// Runs it.
pub fn run(stage: &Stage, verdict: &mut Verdict) -> Result<()> {
    let mut random = stage.random("paces");
    let mut round = 0;
    while verdict.count("kill_9") < stage.rounds && verdict.passed() {
        let folder = stage.folder(&format!("round-{round}"))?;
        std::fs::write(folder.join("p.toml"), PIPELINE)?;
        kill(stage, &folder, &mut random, verdict)?;
        let once = ["run", "--once", "p.toml", "--state", "s", "--format", "json"];
        stage.start(&folder, "report", &once)?.succeed()?;
        stage.start(&folder, "windows", &[&once[..], &["--every", "10s"]].concat())?.succeed()?;
        oracle::ask(stage, "partitions.py", [&folder], verdict)?;
        if verdict.passed() {
            std::fs::remove_dir_all(&folder)?;
        }
        round += 1;
    }
    Ok(())
}

fn kill(stage: &Stage, folder: &Path, random: &mut Random, verdict: &mut Verdict) -> Result<()> {
    let mut slow = File::create(folder.join("a.ndjson"))?;
    let mut fast = File::create(folder.join("b.ndjson"))?;
    let mut events = Random::new(random.next());
    slow.write_all(second(&mut events, 0).as_bytes())?;
    std::thread::scope(|scope| -> Result<()> {
        let writer = scope.spawn(move || -> Result<()> {
            for at in 0..SECONDS + BEHIND {
                if at < SECONDS {
                    fast.write_all(second(&mut events, at).as_bytes())?;
                }
                if at > BEHIND {
                    slow.write_all(second(&mut events, at - BEHIND).as_bytes())?;
                }
                std::thread::sleep(PACE);
            }
            Ok(())
        });
        let mut kills = 0;
        while kills < KILLS || !writer.is_finished() {
            let mut child = stage.start(folder, "run", &["run", "p.toml", "--state", "s"])?;
            let ended = child.wait(random.up_to(LIFE_MAX))?;
            ensure!(ended.is_none(), "a run that follows ended: {}", child.said());
            child.kill()?;
            verdict.expect(!child.panicked(), || format!("it panicked: {}", child.said()));
            verdict.faults("kill_9", 1);
            kills += 1;
        }
        writer.join().expect("the writer does not panic")
    })
}

/// The events of a second.
fn second(random: &mut Random, at: u64) -> String {
    (0..PER_SECOND).fold(String::new(), |mut text, _| {
        let (ts, shop, n) = (BEGIN + at, random.below(5), random.below(1_000));
        let _ = writeln!(text, "{{\"ts\":{ts},\"shop\":\"s{shop}\",\"n\":{n}}}");
        text
    })
}

//! `kill-file`: `kill -9` at random moments over files, read to their end and followed, restarted until done.
//!
//! Every round ends with the bytes of an undisturbed run: state, report, quarantine, and what has left through the sink. The
//! oracle counts the input by itself.

use crate::child::Child;
use crate::events;
use crate::oracle;
use crate::random::Random;
use crate::seen::Seen;
use crate::stage::Stage;
use crate::verdict::Verdict;
use anyhow::{Result, ensure};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Of a state file, at its end.
const CHECKSUM_BYTES: usize = 16;
/// Shortest life of a process: before that it has not begun.
const LIFE_MIN: Duration = Duration::from_millis(5);
/// Longest life of one that follows.
const FOLLOWING_MAX: Duration = Duration::from_millis(500);
/// Kills of a round that follows.
const FOLLOWING_KILLS: u64 = 8;
/// How often a following round appends.
const APPEND_EVERY: Duration = Duration::from_millis(3);

/// Following leaves `top` out and has one shard: where blocks end differs there, and with it which shard has seen what.
const PIPELINE: &str = "panes = [\"10s:3650d\"]
checkpoint = { every = \"20ms\" }
[source.e]
path = \"e.ndjson\"
time = { field = \"ts\", unit = \"s\", lateness = \"5s\" }
fields = { ts = \"int64\", n = \"int64\" }
bad = \"quarantine\"
[metric]
hits = { measure = \"count()\", by = [[], [\"user\"]], keys = \"6000 + other\", keep = \"forever\" }
shops = { measure = \"count()\", by = [[], [\"shop\"]] }
sum = { measure = \"sum(n)\", by = [\"shop\"] }
users = \"unique(user)\"
rough = { measure = \"unique(id)\", accuracy = \"10% @ 95%\" }
slow = { measure = \"quantiles(n)\", keep = \"forever\" }
again = { measure = \"seen(user)\", size = \"10k @ 1%\", keep = \"forever\" }
back = { measure = \"count() filter (where again)\", keep = \"forever\" }
TOP
[sink.out]
kind = \"file\"
path = \"panes.ndjson\"
metrics = [\"shops\", \"sum\"]
";
const TOP: &str =
    "few = { measure = \"count()\", by = [\"user\"], keys = \"300 + other\", keep = \"forever\" }
top = { measure = \"top(user, 5)\", keep = \"forever\" }";

/// What a run over a file to its end is tried with.
pub fn pipeline() -> String {
    PIPELINE.replace("TOP", TOP)
}

/// The same without what depends on where blocks end.
pub fn pipeline_without_order() -> String {
    PIPELINE.replace("TOP", "")
}

/// An input and what an undisturbed run makes of it.
struct Whole {
    input: PathBuf,
    pipeline: String,
    folder: PathBuf,
    shards: &'static str,
    took: Duration,
}

/// Runs it.
pub fn run(stage: &Stage, verdict: &mut Verdict) -> Result<()> {
    let once = Whole::new(stage, "once", stage.pick(300_000, 3_000_000), (&pipeline(), "2"))?;
    let events = stage.pick(150_000, 600_000);
    let following = Whole::new(stage, "following", events, (&pipeline_without_order(), "1"))?;
    let mut random = stage.random("kills");
    let (mut of_once, mut of_following) = (Vec::new(), Vec::new());
    let mut round = 0;
    while verdict.count("kill_9") < stage.rounds && verdict.passed() {
        let folder = stage.folder(&format!("round-{round}"))?;
        let whole = if round % 2 == 0 { &once } else { &following };
        std::fs::write(folder.join("p.toml"), &whole.pipeline)?;
        if round % 2 == 0 {
            std::fs::hard_link(&whole.input, folder.join("e.ndjson"))?;
            kill_once(stage, whole, &folder, &mut random, verdict)?;
            of_once.push(folder.clone());
        } else {
            kill_following(stage, whole, &folder, &mut random, verdict)?;
            of_following.push(folder.clone());
        }
        whole.compare(stage, &folder, round, verdict)?;
        round += 1;
        if round % 10 == 0 {
            stage.progress(format_args!("{} kills in {round} rounds", verdict.count("kill_9")));
        }
    }
    verdict.figure("rounds_to_the_end", round);
    for (whole, folders) in [(&once, of_once), (&following, of_following)] {
        let folders = std::iter::once(whole.input.clone()).chain(folders);
        oracle::ask(stage, "kill_file.py", folders, verdict)?;
    }
    Ok(())
}

impl Whole {
    fn new(stage: &Stage, name: &str, count: u64, (pipeline, shards): (&str, &'static str)) -> Result<Whole> {
        let folder = stage.folder(name)?;
        let input = folder.join("e.ndjson");
        let (mut file, mut random) = (File::create(&input)?, stage.random(name));
        for from in (0..count).step_by(100_000) {
            let mut text = String::new();
            events::write(&mut random, from..count.min(from + 100_000), &mut text);
            file.write_all(text.as_bytes())?;
        }
        std::fs::write(folder.join("p.toml"), pipeline)?;
        let begun = Instant::now();
        finish(stage, &folder, shards)?;
        let took = begun.elapsed();
        stage.progress(format_args!("{name}: {count} lines, undisturbed {took:.1?}"));
        Ok(Whole { input, pipeline: pipeline.to_string(), folder, shards, took })
    }

    /// What the round has left against what the undisturbed run has; then only what the oracle reads stays.
    fn compare(&self, stage: &Stage, folder: &Path, round: u64, verdict: &mut Verdict) -> Result<()> {
        for name in ["whole.sgs", "report.out", "p.quarantine.ndjson"] {
            let (wanted, told) = (std::fs::read(self.folder.join(name))?, std::fs::read(folder.join(name))?);
            let blocks = name == "whole.sgs" && self.shards == "1";
            let same = wanted == told || blocks && differ_in_a_number(&wanted, &told);
            verdict.add("identical_files", u64::from(same));
            verdict.expect(same, || {
                format!("round {round}: {name} has other bytes than that of an undisturbed run")
            });
        }
        // Asked of the state that is kept, nothing new being read.
        let args = ["run", "--once", "p.toml", "--state", "s", "--every", "10s", "--format", "json"];
        let mut again = stage.start(folder, "windows", &args)?;
        again.succeed()?;
        verdict.expect(again.said().contains(" 0 are new"), || {
            format!("round {round}: a run over what was read reads again: {}", again.said())
        });
        if verdict.passed() {
            std::fs::remove_dir_all(folder.join("s"))?;
            for name in ["whole.sgs", "e.ndjson"] {
                std::fs::remove_file(folder.join(name))?;
            }
        }
        Ok(())
    }
}

fn start_once(stage: &Stage, folder: &Path, shards: &str, workers: u64) -> Result<Child> {
    let workers = workers.to_string();
    let args = ["run", "--once", "p.toml", "--state", "s", "--save", "whole.sgs", "--format", "json"];
    stage.start(folder, "report", &[&args[..], &["--shards", shards, "--workers", &workers]].concat())
}

/// To the end, with a report and the state in a file.
fn finish(stage: &Stage, folder: &Path, shards: &str) -> Result<()> {
    start_once(stage, folder, shards, 2)?.succeed()
}

/// Whether only one number of eight bytes differs, and the checksum at the end. A state counts the blocks that it was made of
/// (docs/FORMATS.md, cells and shards), and of a file that grows while it is read there are as many as it happens.
pub fn differ_in_a_number(one: &[u8], other: &[u8]) -> bool {
    let body = one.len().saturating_sub(CHECKSUM_BYTES);
    let differs = |at: &usize| one[*at] != other[*at];
    one.len() == other.len()
        && (0..body).find(differs).is_some_and(|first| (first + 8..body).all(|at| one[at] == other[at]))
}

/// Kills runs to the end of the input until one reaches it.
fn kill_once(
    stage: &Stage,
    whole: &Whole,
    folder: &Path,
    random: &mut Random,
    verdict: &mut Verdict,
) -> Result<()> {
    let mut seen = Seen::of(folder);
    loop {
        let mut child = start_once(stage, folder, whole.shards, 1 + random.below(2))?;
        if let Some(status) = child.wait(LIFE_MIN + random.up_to(whole.took))? {
            verdict.expect(status.success(), || format!("a run ended with {status}: {}", child.said()));
            return Ok(());
        }
        killed((folder, &mut seen), &mut child, verdict)?;
    }
}

/// Kills runs that follow a file while it grows, also in the middle of lines.
fn kill_following(
    stage: &Stage,
    whole: &Whole,
    folder: &Path,
    random: &mut Random,
    verdict: &mut Verdict,
) -> Result<()> {
    let bytes = std::fs::read(&whole.input)?;
    let path = folder.join("e.ndjson");
    File::create(&path)?;
    let expected = FOLLOWING_MAX / 2 * FOLLOWING_KILLS as u32;
    let chunk = bytes.len() as u64 / (expected.as_millis() / APPEND_EVERY.as_millis()) as u64;
    let mut sizes = random.clone();
    let mut seen = Seen::of(folder);
    std::thread::scope(|scope| -> Result<()> {
        let writer = scope.spawn(move || -> Result<()> {
            let mut file = File::options().append(true).open(&path)?;
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(1 + sizes.below(2 * chunk) as usize));
                file.write_all(now)?;
                rest = later;
                std::thread::sleep(APPEND_EVERY);
            }
            Ok(())
        });
        let mut kills = 0;
        while kills < FOLLOWING_KILLS || !writer.is_finished() {
            let args = ["run", "p.toml", "--state", "s", "--shards", whole.shards];
            let mut child = stage.start(folder, "follow", &args)?;
            let ended = child.wait(LIFE_MIN + random.up_to(FOLLOWING_MAX))?;
            ensure!(ended.is_none(), "a run that follows ended: {}", child.said());
            killed((folder, &mut seen), &mut child, verdict)?;
            kills += 1;
        }
        writer.join().expect("the writer does not panic")
    })?;
    finish(stage, folder, whole.shards)
}

/// Kills it, and notes whether there was a commit to go on from.
fn killed((folder, seen): (&Path, &mut Seen), child: &mut Child, verdict: &mut Verdict) -> Result<()> {
    child.kill()?;
    verdict.faults("kill_9", 1);
    verdict.expect(!child.panicked(), || format!("it panicked: {}", child.said()));
    seen.grew(|| "a kill".into(), verdict);
    let commits = std::fs::read_dir(folder.join("s/e")).into_iter().flatten().flatten();
    let committed =
        commits.filter(|entry| entry.file_name().to_string_lossy().starts_with("commit-")).count() > 0;
    verdict.add("kills_after_a_commit", u64::from(committed));
    Ok(())
}

//! `double-crash`: kills inside the recovery from a kill, up to three levels deep.
//!
//! A recovery is what a start does before it reads on: every system call of it that opens, changes or makes durable a file is a
//! place to die at. One is chosen by its number in the trace of a recovery from the same directory, so kills hit it exactly. However
//! often that happens, the run that comes to its end is that of a recovery nobody has disturbed.

use crate::child::{Child, Trace, WATCHDOG};
use crate::client::free_address;
use crate::crowd::{Crowd, Manner};
use crate::kill_http;
use crate::random::Random;
use crate::seen::{Seen, whole_lines};
use crate::stage::Stage;
use crate::verdict::Verdict;
use crate::{events, kill_file};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Where a recovery may be ended.
const CALLS: &str =
    "openat,mkdir,clone3,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,ftruncate,unlink,unlinkat";
/// Where a run may be ended that leaves a directory behind.
const CALLS_OF_A_COMMIT: [&str; 4] = ["fdatasync", "fsync", "rename", "unlink"];
/// How deep.
const LEVELS: u64 = 3;
/// Recoveries that are disturbed of each directory that a kill has left.
const TRIALS: u64 = 8;
/// Longest life of the run that leaves a directory behind.
const LIFE_MAX: Duration = Duration::from_millis(250);
const RUN_ONCE: [&str; 10] =
    ["run", "--once", "p.toml", "--state", "s", "--format", "json", "--shards", "2", "--save"];
/// What a run leaves, byte for byte.
const LEFT: [&str; 2] = ["report.out", "whole.sgs"];

/// A call of the main thread in a recovery: its name, and its number among those of that name.
type Place = (String, u32);

/// Runs it.
pub fn run(stage: &Stage, verdict: &mut Verdict) -> Result<()> {
    let mut random = stage.random("deaths");
    let mut image = 0;
    while verdict.count("kill_9_in_recovery") < stage.rounds && verdict.passed() {
        let folder = stage.folder(&format!("image-{image}"))?;
        let left = if image % 2 == 0 {
            file_image(stage, &folder, &mut random)?
        } else {
            http_image(stage, &folder, &mut random, verdict)?
        };
        if left {
            disturb(stage, &folder, &mut random, verdict)?;
            verdict.add("directories_left_by_a_kill", 1);
        }
        if verdict.passed() {
            std::fs::remove_dir_all(&folder)?;
        }
        image += 1;
        stage.progress(format_args!("{} kills inside recovery", verdict.count("kill_9_in_recovery")));
    }
    Ok(())
}

/// A directory that a kill of a run over a file has left; whether there is a commit in it.
fn file_image(stage: &Stage, folder: &Path, random: &mut Random) -> Result<bool> {
    let image = folder.join("image");
    std::fs::create_dir(&image)?;
    let mut text = String::new();
    events::write(random, 0..200_000, &mut text);
    std::fs::write(image.join("e.ndjson"), text)?;
    std::fs::write(image.join("p.toml"), kill_file::pipeline())?;
    let args = ["run", "--once", "p.toml", "--state", "s", "--shards", "2"];
    if random.percent(50) {
        // In the midst of a commit, or of what leaves after it.
        let call = CALLS_OF_A_COMMIT[random.below(CALLS_OF_A_COMMIT.len() as u64) as usize];
        let inject = format!("{call}:signal=KILL:when={}", 2 + random.below(8));
        let trace = Trace { inject: &inject };
        Child::start_traced(stage, &image, "left", &trace, &args)?.end()?;
    } else {
        let mut child = stage.start(&image, "left", &args)?;
        if child.wait(Duration::from_millis(30) + random.up_to(LIFE_MAX))?.is_none() {
            child.kill()?;
        }
    }
    Ok(committed(&image))
}

/// The same of a run that took events over HTTP.
fn http_image(stage: &Stage, folder: &Path, random: &mut Random, verdict: &mut Verdict) -> Result<bool> {
    let (image, address) = (folder.join("image"), free_address()?);
    std::fs::create_dir(&image)?;
    std::fs::write(image.join("p.toml"), kill_http::pipeline(&address))?;
    let mut child = stage.start(&image, "left", &kill_http::RUN)?;
    child.says("listening on")?;
    let pause = Duration::from_millis(1);
    let manner = Manner { address, clients: 4, events_max: 40, pause, prefix: String::new() };
    let crowd = Crowd::start(&manner, random);
    std::thread::sleep(Duration::from_millis(50) + random.up_to(LIFE_MAX));
    child.kill()?;
    // Nobody is there any more: all that is under way is given up in the end.
    crowd.finish(&folder.join("journal.ndjson"), verdict)?;
    Ok(committed(&image))
}

fn committed(image: &Path) -> bool {
    let entries = std::fs::read_dir(image.join("s/e")).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().starts_with("commit-"))
}

/// Disturbs recoveries from the same directory again and again; each must end as one that nobody disturbs.
fn disturb(stage: &Stage, folder: &Path, random: &mut Random, verdict: &mut Verdict) -> Result<()> {
    let image = folder.join("image");
    let wanted = folder.join("wanted");
    copy(&image, &wanted)?;
    let first = trace(stage, &wanted, None)?;
    // The traced run has come to its end; what it leaves is told by another one over nothing new.
    finish(stage, &wanted)?;
    for trial in 0..TRIALS {
        let tried = folder.join(format!("tried-{trial}"));
        copy(&image, &tried)?;
        let mut seen = Seen::of(&tried);
        for level in 1..=1 + random.below(LEVELS) {
            let at = choose(&first.places, (trial, level), random);
            let traced = trace(stage, &tried, Some(&at))?;
            if traced.ended {
                break;
            }
            if traced.recovered {
                verdict.faults("kill_9_after_recovery", 1);
                break;
            }
            verdict.faults("kill_9_in_recovery", 1);
            verdict.faults(&format!("kill_9_at_level_{level}"), 1);
            verdict.expect(!traced.panicked, || format!("a recovery panicked in {}", tried.display()));
            seen.grew(|| format!("a kill at {} number {}", at.0, at.1), verdict);
        }
        finish(stage, &tried)?;
        seen.grew(|| "the end".into(), verdict);
        for name in LEFT {
            let same = std::fs::read(wanted.join(name))? == std::fs::read(tried.join(name))?;
            verdict.add("identical_files", u64::from(same));
            verdict.expect(same, || format!("{name} in {} is another one", tried.display()));
        }
        // When what has changed leaves again depends on when commits come; what is told last of every cell does not.
        let same = last_told(&wanted)? == last_told(&tried)?;
        verdict.expect(same, || format!("what has left in {} is something else", tried.display()));
        if verdict.passed() {
            std::fs::remove_dir_all(&tried)?;
        }
    }
    Ok(())
}

/// Where the first recovery from a directory dies: behind what changes something, by trials in turn, those that change most
/// first. Later ones die anywhere.
fn choose(places: &[Place], (trial, level): (u64, u64), random: &mut Random) -> Place {
    let weight = |at: &usize| match places[*at].0.as_str() {
        "ftruncate" => 0,
        "unlink" | "rename" | "write" => 1,
        "fsync" | "fdatasync" | "mkdir" => 2,
        _ => 3,
    };
    let mut changing: Vec<usize> = (0..places.len()).filter(|at| weight(at) < 3).collect();
    changing.sort_by_key(weight);
    let at = if level > 1 || changing.is_empty() {
        random.below(places.len() as u64) as usize
    } else {
        changing[trial as usize % changing.len()] + 1
    };
    places[at.min(places.len() - 1)].clone()
}

/// What the sink tells last of every cell: revision and value.
fn last_told(folder: &Path) -> Result<BTreeMap<(String, String), (u64, Value)>> {
    let mut last = BTreeMap::new();
    for line in std::str::from_utf8(&whole_lines(folder))?.lines() {
        let row: Value = serde_json::from_str(line).context("a line of the sink")?;
        let cell = (row["metric"].to_string() + &row["start"].to_string(), row["by"].to_string());
        let revision = row["revision"].as_u64().context("a revision")?;
        let before = last.insert(cell, (revision, row["value"].clone()));
        if before.is_some_and(|(before, _)| before >= revision) {
            bail!("told twice: {line}");
        }
    }
    Ok(last)
}

/// What a traced start did.
struct Traced {
    places: Vec<Place>,
    /// It came to its end.
    ended: bool,
    /// It had begun to write a commit of its own.
    recovered: bool,
    panicked: bool,
}

/// Starts it under strace; it dies at this place, if it is given.
fn trace(stage: &Stage, folder: &Path, die: Option<&Place>) -> Result<Traced> {
    let mut command = Command::new("strace");
    command.current_dir(folder).args(["-f", "-qq", "-o", "trace", "-e", &format!("trace={CALLS}")]);
    if let Some((call, number)) = die {
        command.args(["-e", &format!("inject={call}:signal=KILL:when={number}")]);
    }
    command.arg(&stage.program).args(RUN_ONCE).arg("traced.sgs");
    let mut child = Child::start(command, folder, "traced")?;
    let Some(status) = child.wait(WATCHDOG)? else { bail!("a recovery hung: {}", child.said()) };
    if !status.success() && die.is_none() {
        bail!("a recovery ended with {status}: {}", child.said());
    }
    if status.code().is_some_and(|code| code != 0) {
        bail!("a disturbed recovery ended with {status}: {}", child.said());
    }
    let text = std::fs::read_to_string(folder.join("trace"))?;
    Ok(Traced {
        places: places(&text).context("no recovery is in the trace")?,
        ended: status.success(),
        recovered: text.lines().any(begins_a_commit),
        panicked: child.panicked(),
    })
}

/// The calls of a recovery by the main thread: from its first look at the state until it has opened its input, before it writes
/// a commit of its own.
fn places(trace: &str) -> Option<Vec<Place>> {
    let main = trace.split_whitespace().next()?;
    let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
    let (mut places, mut begun, mut end) = (Vec::new(), false, 0);
    for line in trace.lines() {
        if begins_a_commit(line) {
            break;
        }
        let Some(call) = line.strip_prefix(main).map(str::trim_start) else { continue };
        let Some((name, arguments)) = call.split_once('(') else { continue };
        let number = numbers.entry(name.to_string()).or_insert(0);
        *number += 1;
        begun |= arguments.contains("\"s/e\"") || arguments.contains("\"s\"");
        if begun {
            places.push((name.to_string(), *number));
        }
        // The input, a segment of the inbox, the quarantine: the last of what is opened before reading.
        if ["e.ndjson", "/inbox/", "quarantine"].iter().any(|input| arguments.contains(input)) {
            end = places.len();
        }
    }
    places.truncate(end.max(1));
    (!places.is_empty()).then_some(places)
}

/// Whether a file of a new commit is made; the remains of one may be removed before.
fn begins_a_commit(line: &str) -> bool {
    line.contains("\"s/e/") && line.contains(".part\"") && line.contains("O_CREAT")
}

/// To the end, with a report and the state in a file.
fn finish(stage: &Stage, folder: &Path) -> Result<()> {
    let args: Vec<&str> = RUN_ONCE.iter().copied().chain(["whole.sgs"]).collect();
    stage.start(folder, "report", &args)?.succeed()
}

/// Copies a directory; what is only read is linked.
fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let (path, name) = {
            let entry = entry?;
            (entry.path(), entry.file_name())
        };
        let target = to.join(&name);
        if path.is_dir() {
            copy(&path, &target)?;
        } else if name == "e.ndjson" {
            std::fs::hard_link(&path, &target)?;
        } else {
            std::fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

//! A5 `nth-fault`: single system calls of a short run fail, one after the other, once or from then on.
//!
//! Whatever fails, the run ends well or with an error that it tells; it never panics and never hangs, and after a failed sync that file is
//! not written again. The next run, undisturbed, ends with the bytes of one that never was, and every cell has left once.

use crate::child::Child;
use crate::random::Random;
use crate::stage::Stage;
use crate::verdict::Verdict;
use crate::{events, kill_file, left, oracle};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What fails.
const CALLS: &str =
    "open,openat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,ftruncate,unlink,unlinkat";
/// How: the last two for ever.
const ERRORS: [&str; 6] = ["EIO", "ENOSPC", "EDQUOT", "EINTR", "EIO+", "ENOSPC+"];
/// Events of a run, half of them there before the second kind of run begins.
const EVENTS: u64 = 12_000;
const ONCE: [&str; 11] = [
    "run",
    "--once",
    "p.toml",
    "--state",
    "s",
    "--format",
    "json",
    "--save",
    "whole.sgs",
    "--workers=1",
    "--shards=1",
];
/// What a run says that cannot read the last commit.
const FALLS_BACK: &str = "; it goes on from commit";
const FILES: [&str; 3] = ["report.out", "whole.sgs", "p.quarantine.ndjson"];

const SINK: &str = "panes.ndjson";

/// A call that fails: in which kind of run, which call, the how many-th of a thread, and how.
type Fault = (usize, String, u64, &'static str);

/// Runs it; a round is a fault. All that there are, when there are fewer.
pub fn run(stage: &Stage, verdict: &mut Verdict) -> Result<()> {
    let kinds = [Kind::new(stage, "new", 0)?, Kind::new(stage, "goes-on", EVENTS / 2)?];
    let mut faults = Vec::new();
    for (number, kind) in kinds.iter().enumerate() {
        for (call, count) in kind.calls(stage)? {
            for error in ERRORS {
                faults.extend((1..=count).map(|n| (number, call.clone(), n, error)));
            }
        }
    }
    verdict.figure("faults_there_are", faults.len());
    shuffle(&mut faults, &mut stage.random("faults"));
    faults.truncate(usize::try_from(stage.rounds)?);
    for (done, fault) in faults.iter().enumerate() {
        if !verdict.passed() {
            break;
        }
        fail(stage, &kinds[fault.0], fault, verdict).with_context(|| format!("{fault:?}"))?;
        if done % 200 == 199 {
            stage.progress(format_args!("{} faults", done + 1));
        }
    }
    let injected = verdict.count("calls_that_failed");
    verdict.expect(injected > 0, || "nothing failed: nothing was proven".into());
    Ok(())
}

fn shuffle(faults: &mut [Fault], random: &mut Random) {
    for last in (1..faults.len()).rev() {
        faults.swap(last, random.below(last as u64 + 1) as usize);
    }
}

/// A kind of run: from nothing, or from a state over the head of its input.
struct Kind {
    /// What there is before.
    before: PathBuf,
    /// What there is after an undisturbed run.
    after: PathBuf,
}

impl Kind {
    fn new(stage: &Stage, name: &str, head: u64) -> Result<Kind> {
        let (before, after) =
            (stage.folder(&format!("{name}-before"))?, stage.work.join(format!("{name}-after")));
        let (mut random, mut text) = (stage.random("events"), String::new());
        events::write(&mut random, 0..head, &mut text);
        std::fs::write(
            before.join("p.toml"),
            kill_file::pipeline_without_order().replace("\"20ms\"", "\"2ms\""),
        )?;
        std::fs::write(before.join("e.ndjson"), &text)?;
        if head > 0 {
            stage.start(&before, "report", &ONCE)?.succeed()?;
        }
        events::write(&mut random, head..EVENTS, &mut text);
        // In its place: a state knows its inputs by their inodes, and copies by their paths and first bytes.
        std::fs::write(before.join("e.ndjson"), &text)?;
        copy(&before, &after)?;
        stage.start(&after, "report", &ONCE)?.succeed()?;
        Ok(Kind { before, after })
    }

    /// How often the busiest thread of an undisturbed run makes each call.
    fn calls(&self, stage: &Stage) -> Result<BTreeMap<String, u64>> {
        let folder = stage.work.join("counted");
        copy(&self.before, &folder)?;
        strace(stage, &folder, None)?.succeed()?;
        let mut by_thread = BTreeMap::new();
        for line in std::fs::read_to_string(folder.join("trace"))?.lines() {
            let mut words = line.split_whitespace();
            let (Some(thread), Some(call)) = (words.next(), words.next()) else { continue };
            if let Some((call, _)) = call.split_once('(') {
                *by_thread.entry((thread.to_string(), call.to_string())).or_insert(0) += 1;
            }
        }
        std::fs::remove_dir_all(&folder)?;
        let mut calls = BTreeMap::new();
        for ((_, call), count) in by_thread {
            let most = calls.entry(call).or_insert(0);
            *most = count.max(*most);
        }
        Ok(calls)
    }
}

/// A directory as it is, in another place.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").arg("-r").arg(from).arg(to).status()?;
    anyhow::ensure!(status.success(), "cannot copy {}", from.display());
    Ok(())
}

fn strace(stage: &Stage, folder: &Path, inject: Option<&str>) -> Result<Child> {
    let mut command = Command::new("strace");
    command.current_dir(folder).args(["--seccomp-bpf", "-f", "-qq", "-y", "-s", "24", "-o", "trace"]);
    command.args(["-e", &format!("trace={CALLS}")]);
    if let Some(inject) = inject {
        command.args(["-e", &format!("inject={inject}")]);
    }
    command.arg(&stage.program).args(ONCE);
    Child::start(command, folder, "report")
}

/// A run in which it happens, and the one after it.
fn fail(stage: &Stage, kind: &Kind, (_, call, n, error): &Fault, verdict: &mut Verdict) -> Result<()> {
    let folder = stage.work.join("failed");
    copy(&kind.before, &folder)?;
    let (name, ever) = error.strip_suffix('+').map_or((*error, ""), |name| (name, "+"));
    let inject = format!("{call}:error={name}:when={n}{ever}");
    let mut child = strace(stage, &folder, Some(&inject))?;
    let status = child.end().with_context(|| inject.clone())?;
    let trace = std::fs::read_to_string(folder.join("trace"))?;
    let injected = trace.matches("(INJECTED)").count() as u64;
    verdict.faults("calls_that_failed", injected);
    verdict.faults(&format!("runs_with_{name}"), u64::from(injected > 0));
    let said = child.said();
    verdict.expect(!child.panicked(), || format!("{inject}: it panicked: {said}"));
    match status.code() {
        Some(0) => {
            verdict.add("runs_that_ended_well", 1);
            same(kind, &folder, (&inject, said.contains(FALLS_BACK)), verdict)?;
        }
        // Before its first line the loader of the system ends it with 127.
        Some(3 | 127) => {
            verdict.add("runs_that_ended_with_an_error", 1);
            // What cannot be said, because that is what fails, is told by the code alone.
            verdict
                .expect(!said.is_empty() || call == "write", || format!("{inject}: it ended without a word"));
        }
        _ => verdict.fail(format!("{inject}: it ended with {status}: {said}")),
    }
    if call.contains("sync") {
        oracle::ask(stage, "nth_fault.py", [folder.join("trace")], verdict)?;
    }
    let mut again = stage.start(&folder, "report", &ONCE)?;
    again.succeed().with_context(|| format!("the run after {inject}"))?;
    let entries = std::fs::read_dir(folder.join("s/e"))?.flatten();
    let put_aside =
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("damaged-")).count();
    let fell_back = put_aside > 0 || again.said().contains(FALLS_BACK);
    verdict.add("fallbacks", u64::from(fell_back));
    same(kind, &folder, (&inject, fell_back), verdict)?;
    if verdict.passed() {
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

/// All files byte for byte as after an undisturbed run, and the same cells in what has left. A state counts the blocks that it was
/// made of; and what has left of a commit that could not be read is taken back and leaves anew (docs/running.md).
fn same(kind: &Kind, folder: &Path, (inject, fell_back): (&str, bool), verdict: &mut Verdict) -> Result<()> {
    for name in FILES {
        let wanted = std::fs::read(kind.after.join(name))?;
        let told = std::fs::read(folder.join(name)).with_context(|| format!("{name} after {inject}"))?;
        let same = wanted == told || name == "whole.sgs" && kill_file::differ_in_a_number(&wanted, &told);
        verdict.add("identical_files", u64::from(same));
        verdict.expect(same, || format!("{name} has other bytes after {inject}"));
    }
    if fell_back {
        return Ok(());
    }
    let (wanted, told) = (left::read(&kind.after.join(SINK))?, left::read(&folder.join(SINK)));
    match told {
        Ok(told) => {
            verdict.add("cells_compared", told.len() as u64);
            verdict.expect(wanted == told, || format!("{SINK} has other cells after {inject}"));
        }
        Err(error) => verdict.fail(format!("after {inject}: {error:#}")),
    }
    Ok(())
}

//! D7 `clocks`: the clock on the wall jumps by up to ten years to either side, stands still, and the process is stopped for a while.
//!
//! Event time knows no clock on the wall: the report is byte for byte that of an undisturbed run. With `time = "arrival"` every record
//! counts, and none is late. Timers do not storm: while nothing comes, hardly any processor time goes.

use crate::child::Child;
use crate::events;
use crate::oracle::Untried;
use crate::random::Random;
use crate::stage::Stage;
use crate::verdict::Verdict;
use anyhow::{Result, bail};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// libfaketime, where Debian and others put it.
const LIBRARIES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];
/// What the clock is told; the last one stands still. (A clock that goes slower would, with this library, make sleeps longer too.)
const CLOCKS: [&str; 12] =
    ["+1s", "-1s", "+1m", "-1m", "+1h", "-1h", "+1d", "-1d", "+10y", "-10y", "+0", "2023-06-01 12:00:00"];
/// Jumps of a run, and the longest time between two.
const JUMPS: u64 = 20;
const BETWEEN: Duration = Duration::from_millis(60);
/// How long it is stopped, once in ten jumps.
const STOPPED: Duration = Duration::from_millis(300);
/// While nothing comes but jumps: so long, and so much processor time at most.
const QUIET: Duration = Duration::from_secs(1);
const QUIET_TICKS_MAX: u64 = 50;
/// Events of a run.
const EVENTS: u64 = 40_000;
const METRICS: &str = "checkpoint = { every = \"20ms\" }
[source.e]
path = \"e.ndjson\"
time = TIME
fields = { ts = \"int64\", n = \"int64\" }
[metric]
hits = { measure = \"count()\", by = [[], [\"shop\"]] }
sum = { measure = \"sum(n)\", by = [\"shop\"] }
users = \"unique(user)\"
";
const IN_EVENTS: &str = "{ field = \"ts\", unit = \"s\", lateness = \"5s\" }";

/// Runs it; a round is a jump.
pub fn run(stage: &Stage, verdict: &mut Verdict) -> Result<()> {
    let Some(library) = LIBRARIES.iter().find(|path| Path::new(path).is_file()) else {
        bail!(Untried("libfaketime is not where it is looked for".into()));
    };
    let mut random = stage.random("jumps");
    let mut text = String::new();
    events::write(&mut stage.random("events"), 0..EVENTS, &mut text);
    let whole = stage.folder("undisturbed")?;
    std::fs::write(whole.join("e.ndjson"), &text)?;
    std::fs::write(whole.join("p.toml"), pipeline(IN_EVENTS))?;
    report(stage, &whole)?;
    let mut round = 0;
    while verdict.count("jumps") < stage.rounds && verdict.passed() {
        let folder = stage.folder(&format!("round-{round}"))?;
        let in_events = round % 2 == 0;
        std::fs::write(folder.join("p.toml"), pipeline(if in_events { IN_EVENTS } else { "\"arrival\"" }))?;
        disturb(stage, &folder, library, &text, &mut random, verdict)?;
        if in_events {
            same(stage, &whole, &folder, verdict)?;
        } else {
            arrived(&folder, &text, verdict)?;
        }
        if verdict.passed() {
            std::fs::remove_dir_all(&folder)?;
        }
        round += 1;
        stage.progress(format_args!("{} jumps", verdict.count("jumps")));
    }
    verdict.figure("runs", round);
    Ok(())
}

fn pipeline(time: &str) -> String {
    format!("panes = [\"10s:3650d\"]\n{}", METRICS.replace("TIME", time))
}

fn report(stage: &Stage, folder: &Path) -> Result<()> {
    let once = ["run", "--once", "p.toml", "--state", "s", "--format", "json"];
    stage.start(folder, "report", &once)?.succeed()?;
    stage.start(folder, "windows", &[&once[..], &["--every", "10s"]].concat())?.succeed()
}

/// The clock of a process.
struct Clock(PathBuf);

impl Clock {
    fn tell(&self, clock: &str) -> Result<()> {
        // In one step: a file that is half written is no time.
        let beside = self.0.with_extension("new");
        std::fs::write(&beside, format!("{clock}\n"))?;
        Ok(std::fs::rename(beside, &self.0)?)
    }
}

/// A run that follows a file that grows, while its clock jumps.
fn disturb(
    stage: &Stage,
    folder: &Path,
    library: &str,
    text: &str,
    random: &mut Random,
    verdict: &mut Verdict,
) -> Result<()> {
    let clock = Clock(folder.join("clock"));
    clock.tell("+0")?;
    let path = folder.join("e.ndjson");
    let mut file = File::create(&path)?;
    let mut command = stage.command(folder, ["run", "p.toml", "--state", "s", "--format", "json"]);
    command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &clock.0);
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let mut child = Child::start(command, folder, "run")?;
    let jumps = JUMPS.min(stage.rounds - verdict.count("jumps"));
    let (mut rest, piece) = (text.as_bytes(), text.len().div_ceil(jumps as usize));
    for jump in 0..jumps {
        let (now, later) = rest.split_at(piece.min(rest.len()));
        file.write_all(now)?;
        rest = later;
        std::thread::sleep(random.up_to(BETWEEN));
        clock.tell(CLOCKS[random.below(CLOCKS.len() as u64) as usize])?;
        verdict.faults("jumps", 1);
        if jump % 10 == 9 {
            child.signal("STOP")?;
            std::thread::sleep(STOPPED);
            child.signal("CONT")?;
            verdict.faults("stops", 1);
        }
    }
    file.write_all(rest)?;
    quiet(&child, &clock, random, verdict)?;
    child.signal("TERM")?;
    child.succeed()?;
    verdict.expect(!child.panicked(), || format!("it panicked: {}", child.said()));
    Ok(())
}

/// Nothing comes, and the clock goes on jumping.
fn quiet(child: &Child, clock: &Clock, random: &mut Random, verdict: &mut Verdict) -> Result<()> {
    // What came is read first.
    std::thread::sleep(STOPPED);
    let (before, begun) = (child.cpu_ticks()?, Instant::now());
    while begun.elapsed() < QUIET {
        clock.tell(CLOCKS[random.below(CLOCKS.len() as u64) as usize])?;
        std::thread::sleep(BETWEEN);
    }
    let ticks = child.cpu_ticks()? - before;
    verdict.add("quiet_seconds", QUIET.as_secs());
    verdict.add("quiet_cpu_hundredths", ticks);
    verdict.expect(ticks <= QUIET_TICKS_MAX, || {
        format!("while nothing came it took {ticks} hundredths of a second in {QUIET:?}")
    });
    Ok(())
}

/// In event time the answers are those of a run that nothing has happened to.
fn same(stage: &Stage, whole: &Path, folder: &Path, verdict: &mut Verdict) -> Result<()> {
    report(stage, folder)?;
    for name in ["report.out", "windows.out"] {
        let same = std::fs::read(whole.join(name))? == std::fs::read(folder.join(name))?;
        verdict.add("identical_files", u64::from(same));
        verdict.expect(same, || format!("{name} is another one in {}", folder.display()));
    }
    Ok(())
}

/// In time of arrival all that is an event counts, in time.
fn arrived(folder: &Path, text: &str, verdict: &mut Verdict) -> Result<()> {
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&std::fs::read(folder.join("run.out"))?)?;
    let of = |reason: &str| {
        let row = rows.iter().find(|row| row["metric"] == "sg.source" && row["by"]["reason"] == reason);
        row.and_then(|row| row["value"].as_u64()).unwrap_or(0)
    };
    let events = text.lines().filter(|line| line.starts_with('{')).count() as u64;
    let told = (of("read"), of("accepted"), of("on_time"), of("late"), of("ahead"));
    verdict.add("events_by_arrival", told.1);
    verdict.expect(told == (text.lines().count() as u64, events, events, 0, 0), || {
        format!("of {events} events arrived (read, accepted, on_time, late, ahead) = {told:?}")
    });
    Ok(())
}

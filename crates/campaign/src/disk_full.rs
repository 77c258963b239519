//! A6 `disk-full`: state, inbox and sink lie on a disk of a few MiB that fills up, is freed, and fills up again.
//!
//! While it is full every body is refused, or the run ends with an error that says why; nothing that was acknowledged is lost, and as soon
//! as there is room a run goes on where it was. Who ends is started again at once, as a supervisor does.

use crate::child::Child;
use crate::client::{Client, free_address};
use crate::crowd::{Crowd, Manner};
use crate::kill_http::{RUN, judge, pipeline, settle};
use crate::oracle::Untried;
use crate::random::Random;
use crate::stage::Stage;
use crate::verdict::Verdict;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The disk.
const DISK_MIB: u64 = 8;
/// Fillings of a round: each has a disk of its own, small enough for what is kept of its events.
const FILLINGS: u64 = 10;
/// How long it stays full, and free.
const FULL_MAX: Duration = Duration::from_millis(400);
const FREE_MAX: Duration = Duration::from_millis(300);
/// Until bodies are taken in again, once there is room.
const RESUMES: Duration = Duration::from_secs(10);
/// Before a run that has ended is started again.
const BEFORE_A_START: Duration = Duration::from_millis(50);

/// Runs it; a round is a filling.
pub fn run(stage: &Stage, verdict: &mut Verdict) -> Result<()> {
    let mut random = stage.random("fillings");
    let mut slowest = Duration::ZERO;
    while verdict.count("disk_filled") < stage.rounds && verdict.passed() {
        let disk = Disk::mount(stage)?;
        let fillings = FILLINGS.min(stage.rounds - verdict.count("disk_filled"));
        slowest = slowest.max(fill(stage, &disk, fillings, &mut random, verdict)?);
        stage.progress(format_args!("{} fillings", verdict.count("disk_filled")));
    }
    verdict.figure("slowest_resume_ms", slowest.as_millis() as u64);
    let refused = verdict.count("requests_refused");
    verdict.expect(refused > 0, || "nothing was refused: nothing was proven".into());
    Ok(())
}

/// A small one, in memory; gone when it is dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(stage: &Stage) -> Result<Disk> {
        let path = stage.folder("disk")?;
        let size = format!("size={DISK_MIB}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&path).status()?;
        if !mount.success() {
            bail!(Untried("no small disk can be mounted".into()));
        }
        Ok(Disk(path))
    }

    /// Takes all the room that there is.
    fn fill(&self) -> Result<()> {
        let mut file = File::options().append(true).create(true).open(self.filler())?;
        let zeros = [0; 4096];
        while file.write_all(&zeros).is_ok() {}
        Ok(())
    }

    fn free(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.filler())?)
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Fills and frees while clients post; the longest time until bodies were taken in again.
fn fill(
    stage: &Stage,
    disk: &Disk,
    fillings: u64,
    random: &mut Random,
    verdict: &mut Verdict,
) -> Result<Duration> {
    // The judge removes the directory of a round, which a mounted one cannot be.
    let (folder, address) = (&disk.0.join("run"), free_address()?);
    std::fs::create_dir(folder)?;
    std::fs::write(folder.join("p.toml"), pipeline(&address))?;
    let pause = Duration::from_millis(15);
    let manner =
        Manner { address: address.clone(), clients: 4, events_max: 10, pause, prefix: String::new() };
    let mut child = stage.start(folder, "run", &RUN)?;
    child.says("listening on")?;
    let crowd = Crowd::start(&manner, random);
    let mut slowest = Duration::ZERO;
    for _ in 0..fillings {
        watch(stage, folder, &mut child, random.up_to(FREE_MAX), verdict)?;
        disk.fill()?;
        verdict.faults("disk_filled", 1);
        watch(stage, folder, &mut child, Duration::from_millis(50) + random.up_to(FULL_MAX), verdict)?;
        disk.free()?;
        slowest = slowest.max(resume(stage, folder, &mut child, &crowd, verdict)?);
    }
    // What failed while it was full may be told only now.
    watch(stage, folder, &mut child, FREE_MAX, verdict)?;
    resume(stage, folder, &mut child, &crowd, verdict)?;
    let health = Client::new(&address).get("/health");
    verdict.expect(health.is_some_and(|answer| answer.status == 200), || "it is not well afterwards".into());
    settle(folder, (child, crowd), verdict)?;
    // The report and the journal are of the same disk, which has room again.
    judge(stage, folder, verdict)?;
    Ok(slowest)
}

/// Lets time pass; starts a run that ended again, after it has said why.
fn watch(
    stage: &Stage,
    folder: &Path,
    child: &mut Child,
    long: Duration,
    verdict: &mut Verdict,
) -> Result<()> {
    let until = Instant::now() + long;
    while Instant::now() < until {
        again(stage, folder, child, verdict)?;
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn again(stage: &Stage, folder: &Path, child: &mut Child, verdict: &mut Verdict) -> Result<()> {
    let Some(status) = child.wait(Duration::ZERO)? else { return Ok(()) };
    verdict.faults("runs_that_ended_with_the_error", 1);
    let said = child.said();
    // On a full disk nothing can be said into a file on it: then only the code tells.
    let told = status.code() == Some(3) && (said.is_empty() || said.contains("os error 28"));
    verdict.expect(told, || format!("the disk being full it ended with {status}: {said}"));
    verdict.expect(!child.panicked(), || format!("it panicked: {said}"));
    std::thread::sleep(BEFORE_A_START);
    *child = stage.start(folder, "run", &RUN)?;
    Ok(())
}

/// Waits until a body is acknowledged that was not before.
fn resume(
    stage: &Stage,
    folder: &Path,
    child: &mut Child,
    crowd: &Crowd,
    verdict: &mut Verdict,
) -> Result<Duration> {
    let (begun, before) = (Instant::now(), crowd.acked());
    while crowd.acked() == before {
        again(stage, folder, child, verdict).context("the start after a disk that was full")?;
        if begun.elapsed() > RESUMES {
            bail!("there was room for {RESUMES:?}, and nothing was taken in: {}", child.said());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(begun.elapsed())
}

//! `cargo xtask campaign NAME`: does to real processes what operation does to them, and lets separate programs judge what came of it
//! (docs/RELIABILITY.md).
//!
//! A campaign is a program of the house beside the product. It is given `NAME --seed S --rounds N [--quick] --program P --root R
//! --work W`, tells its progress on standard error, and prints its verdict, an object with `faults`, `figures`, `passed` and
//! `failures`. Here it is built, started, and its verdict kept with the commit and a line that repeats it. To add one, give
//! [`CAMPAIGNS`] a line.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;
use serde_json::{Value, json};

use crate::{sabotage, shell};

/// A campaign, and who runs it.
pub struct Campaign {
    /// As it is asked for.
    pub name: &'static str,
    promise: &'static str,
    /// The package and its program.
    package: &'static str,
    pub binary: &'static str,
    /// Programs without which it cannot be run.
    tools: &'static [&'static str],
    /// Rounds of the short and of the full form.
    pub rounds: (u64, u64),
}

const PROCESSES: (&str, &str) = ("streamgauge-campaign", "streamgauge-campaign");

const fn processes(
    name: &'static str,
    promise: &'static str,
    tools: &'static [&'static str],
    rounds: (u64, u64),
) -> Campaign {
    Campaign { name, promise, package: PROCESSES.0, binary: PROCESSES.1, tools, rounds }
}

/// Played in one process, on a disk that is simulated.
const SIMULATED: (&str, &str) = ("streamgauge-simulate", "streamgauge-simulate");

const fn simulated(name: &'static str, promise: &'static str, rounds: (u64, u64)) -> Campaign {
    Campaign { name, promise, package: SIMULATED.0, binary: SIMULATED.1, tools: &[], rounds }
}

const CAMPAIGNS: &[Campaign] = &[
    processes(
        "kill-file",
        "a run over files that is killed at any moment goes on, and every record counts once",
        &["python3"],
        (40, 200),
    ),
    processes(
        "kill-http",
        "what was acknowledged over HTTP counts once, whenever the program is killed and however often it is sent",
        &["python3", "strace"],
        (50, 200),
    ),
    processes(
        "double-crash",
        "a recovery that is killed, and the recovery from that, end where an undisturbed one does",
        &["strace"],
        (40, 200),
    ),
    processes(
        "shutdown",
        "a run that is told to end ends well within five seconds, and nothing is lost or read again",
        &["python3", "strace"],
        (20, 100),
    ),
    processes(
        "reload",
        "a pipeline that is read anew under load loses no event, a wrong one changes nothing, and what keeps its definition its state",
        &["python3"],
        (60, 200),
    ),
    processes(
        "overload",
        "what is offered beyond what a slow disk takes is refused with 429, within the memory, and nothing acknowledged is lost",
        &["python3", "strace"],
        (6, 60),
    ),
    simulated(
        "simulate",
        "no order of crashes, power cuts and faults of the disk loses or doubles an event, or leaves other bytes than an undisturbed run",
        (5_000, 100_000),
    ),
    simulated(
        "bit-rot",
        "what is kept and was damaged is named, or answers as one of its commits did, said aloud",
        (20_000, 100_000),
    ),
    processes(
        "partitions",
        "the slower of two files holds the watermark back: every cell leaves once, whole",
        &["python3"],
        (10, 100),
    ),
    processes(
        "sites",
        "a hub holds one whole commit of each site, whoever is killed while it is sent",
        &["python3"],
        (20, 200),
    ),
    processes(
        "sync-order",
        "what is told to be durable is, and a disk that fails stops the run",
        &["python3", "strace"],
        (16, 60),
    ),
    processes(
        "malformed",
        "a bad record is counted once under its reason, its neighbours are unharmed, and memory is bounded",
        &["python3", "gzip", "zstd"],
        (1, 10),
    ),
    processes(
        "disk-full",
        "a disk that is full loses nothing that was acknowledged, and a run goes on when it has room again",
        &["python3", "mount", ROOT],
        (10, 100),
    ),
    processes(
        "nth-fault",
        "any system call that fails gives a clean error or a clean end, and the next run is as if nothing had been",
        &["python3", "strace"],
        (60, 4_500),
    ),
    processes(
        "time-abuse",
        "a source that lies about time moves nobody's watermark, and every window of the others is right",
        &["python3"],
        (1, 10),
    ),
    processes(
        "clocks",
        "a clock on the wall that jumps or stands still, and a process that is stopped, change nothing in event time",
        &["faketime"],
        (80, 1_000),
    ),
    processes(
        "cardinality-bomb",
        "10^8 distinct keys, a restart in their midst, stay within 256 MiB and a tenth, with exact totals",
        &[],
        (1, 100),
    ),
    processes(
        "query-of-death",
        "no question, however it is meant, takes more than its time and memory, or keeps events from being taken in",
        &["python3"],
        (28, 560),
    ),
];

/// No program, but the right to mount a disk.
const ROOT: &str = "root";

/// What to run.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// A campaign, `all`, `list`, or `sabotage`: whether campaigns see bugs that are planted for them.
    name: String,
    /// The short form: seconds, as CI runs it.
    #[arg(long)]
    quick: bool,
    /// Everything random follows from it [default: the clock].
    #[arg(long)]
    seed: Option<u64>,
    /// How many faults [default: those of the form].
    #[arg(long)]
    rounds: Option<u64>,
}

/// Runs it, or all.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    if options.name == "list" {
        for campaign in CAMPAIGNS {
            println!("{:<14} {}", campaign.name, campaign.promise);
        }
        println!("{:<14} campaigns see bugs that are planted for them (not in `all`)", "sabotage");
        return Ok(());
    }
    if options.name == "sabotage" {
        return sabotage::run(root, options.seed);
    }
    let chosen: Vec<&Campaign> =
        CAMPAIGNS.iter().filter(|c| options.name == "all" || c.name == options.name).collect();
    if chosen.is_empty() {
        bail!("there is no campaign `{}`: `cargo xtask campaign list` tells which there are", options.name);
    }
    let mut failed = Vec::new();
    for campaign in chosen {
        if !campaign.run(root, options)? {
            failed.push(campaign.name);
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

impl Campaign {
    /// Builds it and what it tries, starts it, keeps its verdict. Whether it passed.
    fn run(&self, root: &Path, options: &Options) -> Result<bool> {
        if let Some(tool) = self.tools.iter().find(|tool| !there_is(tool)) {
            if std::env::var_os("CI").is_some_and(|ci| ci == "true") {
                bail!("campaign {} needs `{tool}`, which is not there", self.name);
            }
            eprintln!("campaign {}: SKIPPED, nothing was proven: `{tool}` is not there", self.name);
            return Ok(true);
        }
        let target = release(root, self.package, &["-p", "streamgauge"])?;
        let verdicts = target.join("campaign");
        std::fs::create_dir_all(&verdicts)?;
        let seed = options.seed.unwrap_or_else(seed);
        let rounds =
            options.rounds.unwrap_or(if options.quick { self.rounds.0 } else { self.rounds.1 }).max(1);
        eprintln!("campaign {}: {} (seed {seed}, {rounds} rounds)", self.name, self.promise);
        let begun = Instant::now();
        let mut verdict = self.verdict(root, &target, (seed, rounds, options.quick))?;
        let replay = self.replay(seed, rounds, options.quick);
        let passed = verdict["passed"] == true;
        let told = verdict.as_object_mut().context("a verdict is an object")?;
        told.insert("commit".into(), json!(commit(root)?));
        told.insert("seconds".into(), json!(begun.elapsed().as_secs()));
        told.insert("replay".into(), json!(replay));
        std::fs::write(verdicts.join(format!("{}.json", self.name)), format!("{verdict:#}\n"))?;
        println!("{verdict}");
        if passed {
            eprintln!("campaign {}: passed in {} s", self.name, begun.elapsed().as_secs());
        } else {
            eprintln!("campaign {}: FAILED; again with: {replay}", self.name);
        }
        Ok(passed)
    }

    fn verdict(&self, root: &Path, target: &Path, (seed, rounds, quick): (u64, u64, bool)) -> Result<Value> {
        let program = target.join("release/streamgauge");
        let binary = target.join("release").join(self.binary);
        let (mut command, work) = self.command(root, &binary, &program, (seed, rounds, quick));
        command.stderr(std::process::Stdio::inherit());
        let output = command.output().with_context(|| format!("cannot start {}", self.binary))?;
        // 1 is a verdict that something failed; anything else but 0 that it could not be tried.
        if !matches!(output.status.code(), Some(0 | 1)) {
            bail!("campaign {} could not be tried: {}; {}", self.name, output.status, work.display());
        }
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("campaign {} told no verdict", self.name))
    }

    /// Whether what it tries is in its own program.
    pub fn is_simulated(&self) -> bool {
        self.package == SIMULATED.0
    }

    /// What starts it, and the directory that it is given.
    pub fn command(
        &self,
        root: &Path,
        binary: &Path,
        program: &Path,
        (seed, rounds, quick): (u64, u64, bool),
    ) -> (Command, PathBuf) {
        let work = std::env::temp_dir().join(format!("streamgauge-{}-{}", self.name, std::process::id()));
        let (seed, rounds) = (seed.to_string(), rounds.to_string());
        let mut command = shell::command(root, binary, [self.name]);
        command.args(["--seed", &seed, "--rounds", &rounds]).args(quick.then_some("--quick"));
        command.arg("--program").arg(program).arg("--root").arg(root).arg("--work").arg(&work);
        (command, work)
    }

    fn replay(&self, seed: u64, rounds: u64, quick: bool) -> String {
        let quick = if quick { " --quick" } else { "" };
        format!("cargo xtask campaign {}{quick} --seed {seed} --rounds {rounds}", self.name)
    }
}

/// The campaign of this name.
pub fn find(name: &str) -> Option<&'static Campaign> {
    CAMPAIGNS.iter().find(|campaign| campaign.name == name)
}

/// Builds a package, and what else is said, as users have it; where builds go.
pub fn release(root: &Path, package: &str, more: &[&str]) -> Result<PathBuf> {
    shell::run(shell::cargo(root, ["build", "--release", "--quiet", "-p", package]).args(more))?;
    let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec()?;
    Ok(metadata.target_directory.into_std_path_buf())
}

/// One that nobody has tried yet.
pub fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    // Short, so that it can be copied by hand.
    now.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}

/// What is tried: the commit, and whether files differ from it.
pub fn commit(root: &Path) -> Result<String> {
    let told =
        shell::output(&mut shell::command(root, "git", ["describe", "--always", "--dirty", "--abbrev=12"]))?;
    Ok(told.trim().to_string())
}

/// Whether a program of this name lies on the path.
fn there_is(tool: &str) -> bool {
    if tool == ROOT {
        return Command::new("id").arg("-u").output().is_ok_and(|told| told.stdout.trim_ascii() == b"0");
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder: PathBuf| folder.join(tool)).any(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_campaign_has_a_name_of_its_own_and_its_oracle() {
        for (i, campaign) in CAMPAIGNS.iter().enumerate() {
            assert!(CAMPAIGNS[..i].iter().all(|other| other.name != campaign.name), "{}", campaign.name);
            assert!(campaign.rounds.0 <= campaign.rounds.1, "{}", campaign.name);
        }
    }

    #[test]
    fn a_verdict_can_be_repeated_from_one_line() {
        let line = CAMPAIGNS[0].replay(7, 20, true);
        assert_eq!(line, "cargo xtask campaign kill-file --quick --seed 7 --rounds 20");
    }

    #[test]
    fn what_is_on_the_path_is_found() {
        assert!(there_is("sh") && !there_is("no-such-program"));
    }
}

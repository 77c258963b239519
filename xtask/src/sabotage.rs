//! `cargo xtask campaign sabotage`: whether campaigns can see. A test-only build has a bug for each promise (crates/sabotage); the campaign
//! of the promise must fail on it, in its short form, and pass on the same build without one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::campaign::{commit, find, release, seed};
use crate::shell;

/// What the test-only build reads, and no other one has in it.
const VARIABLE: &str = "STREAMGAUGE_SABOTAGE";

/// The bugs, and the campaign that must see each.
const BUGS: &[(&str, &str)] = &[
    ("segment-not-synced", "sync-order"),
    ("name-not-synced", "sync-order"),
    ("acked-before-durable", "sync-order"),
    ("sink-before-commit", "sync-order"),
    ("error-swallowed", "sync-order"),
    ("position-before-state", "kill-file"),
    ("journal-not-written", "kill-file"),
    ("quarantine-not-cut", "kill-file"),
    ("seen-not-restored", "kill-file"),
    ("pane-off-by-one", "kill-file"),
    ("late-folded-twice", "kill-file"),
    ("revision-not-raised", "kill-file"),
    ("other-dropped", "kill-file"),
    ("bounds-too-narrow", "kill-file"),
    ("lines-taken-back", "double-crash"),
    ("producer-forgotten", "kill-http"),
    ("producers-not-recovered", "kill-http"),
    ("last-commit-skipped", "shutdown"),
    ("reload-forgets", "reload"),
    ("dropped-on-full-queue", "overload"),
    ("watermark-is-maximum", "partitions"),
    ("unsealed-origin-folded", "sites"),
    ("origin-added", "sites"),
    ("bad-counted-twice", "malformed"),
    ("refused-acked", "disk-full"),
    ("rename-error-swallowed", "nth-fault"),
    ("ahead-moves-clock", "time-abuse"),
    ("arrival-goes-back", "clocks"),
    ("memory-not-looked-at", "cardinality-bomb"),
    ("lines-not-synced", "simulate"),
    ("checksum-not-looked-at", "bit-rot"),
];

/// Plants one after the other.
pub fn run(root: &Path, asked: Option<u64>) -> Result<()> {
    let seed = asked.unwrap_or_else(seed);
    let (target, planted) = build(root)?;
    let begun = Instant::now();
    let mut wrong = Vec::new();
    let campaigns: BTreeSet<&str> = BUGS.iter().map(|(_, campaign)| *campaign).collect();
    for campaign in campaigns {
        if !passes(root, &target, &planted, campaign, (None, seed))? {
            wrong.push(format!("{campaign} fails without a bug"));
        }
    }
    let mut caught = Vec::new();
    for (bug, campaign) in BUGS {
        if passes(root, &target, &planted, campaign, (Some(bug), seed))? {
            wrong.push(format!("{bug} was not seen by {campaign}"));
        } else {
            caught.push(json!({ "bug": bug, "campaign": campaign }));
        }
    }
    let replay = format!("cargo xtask campaign sabotage --seed {seed}");
    let verdict = json!({
        "campaign": "sabotage",
        "commit": commit(root)?,
        "seed": seed,
        "rounds": BUGS.len(),
        "quick": true,
        "faults": { "bugs_planted": BUGS.len() },
        "figures": { "bugs_caught": caught.len(), "caught": caught },
        "passed": wrong.is_empty(),
        "failures": wrong,
        "seconds": begun.elapsed().as_secs(),
        "replay": replay,
    });
    std::fs::write(target.join("campaign/sabotage.json"), format!("{verdict:#}\n"))?;
    println!("{verdict}");
    if !wrong.is_empty() {
        bail!("{}; again with: {replay}", wrong.join("; "));
    }
    eprintln!("campaign sabotage: {} of {} bugs were seen", caught.len(), BUGS.len());
    Ok(())
}

/// Programs that have bugs in the test-only build: the one that users have, and the one that simulates it.
const PROGRAMS: [&str; 2] = ["streamgauge", "streamgauge-simulate"];

/// The test-only build, put aside, and then the one that users have, in which nothing of it may be.
fn build(root: &Path) -> Result<(PathBuf, PathBuf)> {
    let build = ["build", "--release", "--quiet", "-p", PROGRAMS[0], "-p", PROGRAMS[1]];
    let features = PROGRAMS.map(|program| format!("{program}/sabotage")).join(",");
    shell::run(shell::cargo(root, build).args(["--features", &features]))?;
    let target = release(root, "streamgauge-campaign", &[])?;
    let planted = target.join("campaign/sabotaged");
    std::fs::create_dir_all(&planted)?;
    for program in PROGRAMS {
        std::fs::copy(target.join("release").join(program), planted.join(program))?;
    }
    shell::run(&mut shell::cargo(root, build))?;
    let of = |folder: PathBuf, has| PROGRAMS.map(|program| (folder.join(program), has));
    for (file, has) in of(planted.clone(), true).into_iter().chain(of(target.join("release"), false)) {
        let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let found = bytes.windows(VARIABLE.len()).any(|window| window == VARIABLE.as_bytes());
        ensure!(found == has, "{} has {VARIABLE} in it: {found}", file.display());
    }
    Ok((target, planted))
}

/// Whether a campaign passes with this bug in force.
fn passes(
    root: &Path,
    target: &Path,
    planted: &Path,
    campaign: &str,
    (bug, seed): (Option<&str>, u64),
) -> Result<bool> {
    let campaign = find(campaign).with_context(|| format!("there is no campaign {campaign}"))?;
    let begun = Instant::now();
    let folder = if campaign.is_simulated() { planted.to_path_buf() } else { target.join("release") };
    let (binary, program) = (folder.join(campaign.binary), planted.join(PROGRAMS[0]));
    let (mut command, work) = campaign.command(root, &binary, &program, (seed, campaign.rounds.0, true));
    match bug {
        Some(bug) => command.env(VARIABLE, bug),
        None => command.env_remove(VARIABLE),
    };
    let output = command.stderr(std::process::Stdio::null()).output()?;
    let (shown, seconds) = (bug.unwrap_or("no bug"), begun.elapsed().as_secs());
    let passed = match output.status.code() {
        Some(0) => true,
        Some(1) => false,
        _ => bail!("campaign {} could not be tried with {shown}: {}", campaign.name, output.status),
    };
    let verdict: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let why: String = verdict["failures"][0].as_str().unwrap_or("passed").chars().take(160).collect();
    eprintln!("  {shown}: {} in {seconds} s: {why}", campaign.name);
    let _ = std::fs::remove_dir_all(work);
    Ok(passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_that_can_be_planted_has_a_campaign() {
        let planted = std::fs::read_to_string(crate::root().join("crates/sabotage/src/lib.rs")).unwrap();
        let names = planted.lines().filter_map(|line| line.trim().strip_suffix("\",")?.split_once(" = \""));
        let names: BTreeSet<&str> = names.map(|(_, name)| name).collect();
        assert_eq!(names, BUGS.iter().map(|(bug, _)| *bug).collect());
        assert!(names.len() >= 15 && BUGS.len() == names.len());
        assert!(BUGS.iter().all(|(_, campaign)| find(campaign).is_some()));
    }
}

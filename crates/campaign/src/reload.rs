//! `reload`: SIGHUP again and again while clients post; three in ten of the files are wrong, others define a metric anew, and now
//! and then the program is killed in the midst of it.
//!
//! What keeps its definition has counted every event in the end; what was defined anew counts what came since, and says since when.

use crate::child::Child;
use crate::client::free_address;
use crate::crowd::{Crowd, Manner};
use crate::kill_http::{judge, pipeline, settle};
use crate::random::Random;
use crate::stage::Stage;
use crate::verdict::Verdict;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// Reloads of a round: each has a directory and clients of its own.
const RELOADS: u64 = 40;
/// Shares in a hundred.
const INVALID: u64 = 30;
const KILLED: u64 = 4;
/// Longest pause between two.
const PAUSE_MAX: Duration = Duration::from_millis(40);
/// How long a reload may take.
const RELOAD_MAX: Duration = Duration::from_secs(30);
/// What is defined anew, in turns; the last one is what the oracle can count.
const DEFINITIONS: [&str; 3] = ["\"sum(n)\"", "\"count() filter (where n >= 500)\"", "\"count()\""];
const RUN: [&str; 7] = ["run", "p.toml", "--state", "s", "--format", "json", "--migrate"];

const ANEW: &str = "was read anew, and the run goes on with it";
const AS_IT_WAS: &str = "the pipeline runs on as it was";
const UNCHANGED: &str = "has not changed; it runs on";

/// Runs it.
pub fn run(stage: &Stage, verdict: &mut Verdict) -> Result<()> {
    let mut random = stage.random("reloads");
    let mut round = 0;
    while verdict.count("sighup") < stage.rounds && verdict.passed() {
        let folder = stage.folder(&format!("round-{round}"))?;
        let address = free_address()?;
        let mut pipeline = Pipeline { base: pipeline(&address), definition: 2, every: 20, turned: false };
        std::fs::write(folder.join("p.toml"), pipeline.text())?;
        let pause = Duration::from_millis(2);
        let manner = Manner { address, clients: 4, events_max: 20, pause, prefix: String::new() };
        let crowd = Crowd::start(&manner, &mut random);
        let mut child = stage.start(&folder, "run", &RUN)?;
        child.says("listening on")?;
        for _ in 0..RELOADS.min(stage.rounds - verdict.count("sighup")) {
            std::thread::sleep(random.up_to(PAUSE_MAX));
            child = reload(stage, &folder, child, &mut pipeline, &mut random, verdict)?;
        }
        // The last definition is one that can be counted, and then nothing changes but what may.
        if pipeline.definition == 2 {
            pipeline.definition = 1;
            turn(&folder, &mut child, &pipeline)?;
        }
        pipeline.definition = 2;
        turn(&folder, &mut child, &pipeline)?;
        let began = began(&tell(stage, &folder)?).context("what was defined anew does not say since when")?;
        pipeline.every += 1;
        turn(&folder, &mut child, &pipeline)?;
        settle(&folder, (child, crowd), verdict)?;
        compare(stage, &folder, began, verdict)?;
        judge(stage, &folder, verdict)?;
        round += 1;
        stage.progress(format_args!("{} reloads in {round} rounds", verdict.count("sighup")));
    }
    Ok(())
}

/// A pipeline file that changes.
#[derive(Clone)]
struct Pipeline {
    base: String,
    /// What `changing` is.
    definition: usize,
    /// Milliseconds between commits: of no account to what is measured.
    every: u64,
    /// Whether metrics stand in another order.
    turned: bool,
}

impl Pipeline {
    fn text(&self) -> String {
        let changing =
            format!("changing = {{ measure = {}, keep = \"forever\" }}\n", DEFINITIONS[self.definition]);
        let metrics = if self.turned { "[metric]\nCHANGING" } else { "[metric]\n" };
        let text = self.base.replace("20ms", &format!("{}ms", self.every)).replace("[metric]\n", metrics);
        match self.turned {
            true => text.replace("CHANGING", &changing),
            false => text.replace("[sink.out]", &format!("{changing}[sink.out]")),
        }
    }

    /// One of the ways to be wrong.
    fn wrong(&self, random: &mut Random) -> String {
        let text = self.text();
        match random.below(6) {
            0 => text.replace("sum(n)", "sun(n)"),
            1 => text[..random.below(text.len() as u64 - 2) as usize + 1].to_string() + "\n[",
            2 => text.replace("[metric]", "no_such_key = 1\n[metric]"),
            3 => text.replace("kind = \"http\"", "path = \"e.ndjson\""),
            4 => text.replace("\"10s:3650d\"", "\"10s:3s\""),
            _ => String::new(),
        }
    }
}

/// One SIGHUP; the process that goes on.
fn reload(
    stage: &Stage,
    folder: &Path,
    mut child: Child,
    pipeline: &mut Pipeline,
    random: &mut Random,
    verdict: &mut Verdict,
) -> Result<Child> {
    verdict.faults("sighup", 1);
    if random.percent(INVALID) {
        verdict.faults("sighup_with_an_invalid_file", 1);
        hang_up(folder, &mut child, &pipeline.wrong(random), AS_IT_WAS)?;
        return Ok(child);
    }
    let before = pipeline.clone();
    match random.below(4) {
        0 => pipeline.definition = (pipeline.definition + 1) % DEFINITIONS.len(),
        1 => pipeline.turned = !pipeline.turned,
        2 => pipeline.every = 15 + (pipeline.every + 1) % 10,
        _ => {}
    }
    if before.text() == pipeline.text() {
        verdict.faults("sighup_with_the_same_file", 1);
        // A wrong one may lie there.
        hang_up(folder, &mut child, &pipeline.text(), UNCHANGED)?;
        return Ok(child);
    }
    verdict.faults("sighup_that_defines_a_metric_anew", u64::from(before.definition != pipeline.definition));
    if random.percent(KILLED) {
        verdict.faults("kill_9_in_a_reload", 1);
        std::fs::write(folder.join("p.toml"), pipeline.text())?;
        child.signal("HUP")?;
        std::thread::sleep(random.up_to(Duration::from_millis(60)));
        child.kill()?;
        verdict.expect(!child.panicked(), || format!("it panicked: {}", child.said()));
        let mut again = stage.start(folder, "run", &RUN)?;
        again.says("listening on")?;
        return Ok(again);
    }
    turn(folder, &mut child, pipeline)?;
    Ok(child)
}

/// Lets it go on with this pipeline.
fn turn(folder: &Path, child: &mut Child, pipeline: &Pipeline) -> Result<()> {
    hang_up(folder, child, &pipeline.text(), ANEW)
}

/// Writes the file and sends SIGHUP, until this was said once more than before.
fn hang_up(folder: &Path, child: &mut Child, text: &str, answer: &str) -> Result<()> {
    let said = |child: &Child| child.said().matches(answer).count();
    let (before, until) = (said(child), Instant::now() + RELOAD_MAX);
    std::fs::write(folder.join("p.toml"), text)?;
    child.signal("HUP")?;
    while said(child) == before {
        if let Some(status) = child.wait(Duration::from_millis(1))? {
            bail!("a reload ended the run with {status}: {}", child.said());
        }
        if Instant::now() > until {
            bail!("a reload did not say `{answer}` within {RELOAD_MAX:?}, but: {}", child.said());
        }
    }
    Ok(())
}

/// What is kept.
fn tell(stage: &Stage, folder: &Path) -> Result<String> {
    let output = stage.command(folder, ["inspect", "s"]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The number in "`changing` began after 1,234 records".
fn began(told: &str) -> Option<u64> {
    let number = told.split("`changing` began after ").nth(1)?.split(' ').next()?;
    number.replace(',', "").parse().ok()
}

/// What the run told in the end: `changing` has counted what came since it was defined last, and nothing else has begun.
fn compare(stage: &Stage, folder: &Path, since: u64, verdict: &mut Verdict) -> Result<()> {
    let args = ["run", "--once", "p.toml", "--state", "s", "--format", "json"];
    let mut child = stage.start(folder, "changing", &args)?;
    child.succeed()?;
    let (said, told) = (child.said(), std::fs::read(folder.join("changing.out"))?);
    let answers: Vec<Value> = serde_json::from_slice(&told)?;
    let value = |found: &dyn Fn(&Value) -> bool| answers.iter().find(|row| found(row))?["value"].as_u64();
    let changing = value(&|row| row["metric"] == "changing").context("no `changing` is told")?;
    let read = value(&|row| row["by"]["reason"] == "read").context("no `read` is told")?;
    verdict
        .expect(began(&said) == Some(since), || format!("it began after {since} records, and told: {said}"));
    verdict.expect(changing + since == read, || format!("{changing} since {since} of {read} records"));
    for kept in ["hits", "sum", "shops"] {
        verdict.expect(!said.contains(&format!("`{kept}`")), || format!("{kept} has begun anew: {said}"));
    }
    Ok(())
}

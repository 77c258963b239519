//! `sites`: two sites send their states to a hub; senders and hub are killed in the midst of it.
//!
//! Whenever it is asked, the hub holds of each site one commit, whole: counts are the sum of what the sites had measured at some
//! commit each, and in the end of all that they have.

use crate::child::Child;
use crate::client::free_address;
use crate::random::Random;
use crate::stage::Stage;
use crate::verdict::Verdict;
use crate::{events, oracle};
use anyhow::{Context, Result};
use serde_json::Value;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Kills of a round: each has sites and a hub of its own.
const KILLS: u64 = 20;
/// Events that a site gets at once.
const EVENTS: u64 = 3_000;
const SITES: [&str; 2] = ["berlin", "oslo"];
/// Longest life of a sender that is killed, and of a hub.
const SENDER_MAX: Duration = Duration::from_millis(60);
const RUN: [&str; 6] = ["run", "p.toml", "--state", "s", "--format", "json"];
const ONCE: [&str; 7] = ["run", "--once", "p.toml", "--state", "s", "--format", "json"];

fn pipeline(input: &str) -> String {
    format!(
        "panes = [\"10s:3650d\"]\n{input}\n\
         fields = {{ ts = \"int64\", n = \"int64\" }}\n[metric]\n\
         hits = {{ measure = \"count()\", by = [[], [\"user\"]], keys = \"6000 + other\", keep = \"forever\" }}\n\
         shops = {{ measure = \"count()\", by = [[], [\"shop\"]] }}\nsum = {{ measure = \"sum(n)\", by = [\"shop\"] }}\n"
    )
}

/// Runs it.
pub fn run(stage: &Stage, verdict: &mut Verdict) -> Result<()> {
    let mut random = stage.random("sites");
    let mut round = 0;
    while verdict.count("kill_9") < stage.rounds && verdict.passed() {
        let folder = stage.folder(&format!("round-{round}"))?;
        let house = House::new(stage, &folder, &mut random)?;
        house.trouble(&mut random, verdict)?;
        if verdict.passed() {
            std::fs::remove_dir_all(&folder)?;
        }
        round += 1;
        stage.progress(format_args!("{} kills in {round} rounds", verdict.count("kill_9")));
    }
    Ok(())
}

/// A hub and its sites.
struct House<'a> {
    stage: &'a Stage,
    hub: PathBuf,
    sites: Vec<PathBuf>,
    address: String,
}

impl House<'_> {
    fn new<'a>(stage: &'a Stage, folder: &Path, random: &mut Random) -> Result<House<'a>> {
        let address = free_address()?;
        let time = "time = { field = \"ts\", unit = \"s\", lateness = \"5s\" }";
        let hub = folder.join("hub");
        std::fs::create_dir(&hub)?;
        let listen = format!("serve = {{ listen = \"{address}\" }}\n[source.e]\nkind = \"http\"\n{time}");
        std::fs::write(hub.join("p.toml"), pipeline(&listen))?;
        let mut sites = Vec::new();
        for site in SITES {
            let site = folder.join(site);
            std::fs::create_dir(&site)?;
            let file = format!("[source.e]\npath = \"e.ndjson\"\n{time}");
            std::fs::write(site.join("p.toml"), pipeline(&file))?;
            let mut text = String::new();
            events::write(random, 0..EVENTS, &mut text);
            std::fs::write(site.join("e.ndjson"), text)?;
            sites.push(site);
        }
        Ok(House { stage, hub, sites, address })
    }

    fn trouble(&self, random: &mut Random, verdict: &mut Verdict) -> Result<()> {
        // What each site had counted at each of its commits; nothing was sent yet at first.
        let mut counted = vec![vec![0u64]; SITES.len()];
        let (mut kills, mut next) = (0, EVENTS);
        let mut hub = self.start_hub()?;
        while kills < KILLS {
            let at = random.below(SITES.len() as u64) as usize;
            let (site, mut text) = (&self.sites[at], String::new());
            events::write(random, next..next + EVENTS, &mut text);
            next += EVENTS;
            File::options().append(true).open(site.join("e.ndjson"))?.write_all(text.as_bytes())?;
            let mut measured = self.stage.start(site, "measured", &ONCE)?;
            measured.succeed()?;
            counted[at].push(hits(site, "measured")?);
            let mut sender = self.push(at)?;
            if sender.wait(random.up_to(SENDER_MAX))?.is_none() {
                if random.percent(40) {
                    hub.kill()?;
                    verdict.faults("kill_9_of_the_hub", 1);
                } else {
                    verdict.faults("kill_9_of_a_sender", 1);
                }
                sender.kill()?;
                verdict.faults("kill_9", 1);
                kills += 1;
            }
            verdict.expect(!hub.panicked() && !sender.panicked(), || format!("it panicked: {}", hub.said()));
            if random.percent(30) || hub.wait(Duration::ZERO)?.is_some() {
                hub.kill()?;
                self.ask(&counted, verdict)?;
                hub = self.start_hub()?;
            }
        }
        for at in 0..SITES.len() {
            self.push(at)?.succeed().context("the last push")?;
        }
        hub.signal("TERM")?;
        hub.succeed()?;
        let last: Vec<Vec<u64>> = counted.iter().map(|counts| counts[counts.len() - 1..].to_vec()).collect();
        self.ask(&last, verdict)?;
        let windows = [&ONCE[..], &["--every", "10s"]].concat();
        self.stage.start(&self.hub, "windows", &windows)?.succeed()?;
        let inputs = self.sites.iter().map(|site| site.join("e.ndjson"));
        oracle::ask(self.stage, "sites.py", std::iter::once(self.hub.clone()).chain(inputs), verdict)
    }

    fn start_hub(&self) -> Result<Child> {
        let mut hub = self.stage.start(&self.hub, "hub", &RUN)?;
        hub.says("listening on")?;
        Ok(hub)
    }

    fn push(&self, site: usize) -> Result<Child> {
        let to = format!("http://{}", self.address);
        let args = ["push", "s", "--to", &to, "--origin", SITES[site], "--once"];
        self.stage.start(&self.sites[site], "push", &args)
    }

    /// What the hub tells must be a commit of each site, whole.
    fn ask(&self, counted: &[Vec<u64>], verdict: &mut Verdict) -> Result<()> {
        let mut asked = self.stage.start(&self.hub, "report", &ONCE)?;
        let status = asked.end()?;
        // 4: nothing has been measured yet.
        verdict.expect(matches!(status.code(), Some(0 | 4)), || {
            format!("the hub was asked and ended with {status}: {}", asked.said())
        });
        let told = hits(&self.hub, "report")?;
        let fits = counted[0].iter().any(|one| counted[1].iter().any(|other| one + other == told));
        verdict.expect(fits, || format!("the hub tells of {told} events, sites had {counted:?}"));
        verdict.add("times_the_hub_was_asked", 1);
        Ok(())
    }
}

/// The total of `hits` in a report.
fn hits(folder: &Path, label: &str) -> Result<u64> {
    let told = std::fs::read(folder.join(format!("{label}.out")))?;
    let answers: Vec<Value> = serde_json::from_slice(&told).context("a report")?;
    let total =
        |row: &&Value| row["metric"] == "hits" && row["by"].as_object().is_some_and(|by| by.is_empty());
    Ok(answers.iter().find(total).and_then(|row| row["value"].as_u64()).unwrap_or(0))
}

//! B3 `time-abuse`: twenty files, of which one lies about time in every way there is, and one falls silent.
//!
//! With `ahead` an event from the future moves nobody's clock, so every window of the good ones is what the separate program
//! counts. What is no time is bad, and what is one counts where it says.

use crate::oracle;
use crate::stage::Stage;
use crate::verdict::Verdict;
use anyhow::Result;

const PIPELINE: &str = "panes = [\"1m:3650d\"]
[source.e]
path = \"s*.ndjson\"
time = { field = \"ts\", unit = \"s\", lateness = \"5s\", ahead = \"1h\" }
[metric]
all = { measure = \"count()\", by = [\"source\", \"kind\"], keep = \"forever\" }
good = { measure = \"count() filter (where kind = 'good')\", by = [\"source\"] }
";
const ORACLE: &str = "time_abuse.py";

/// Runs it; a round is a million events.
pub fn run(stage: &Stage, verdict: &mut Verdict) -> Result<()> {
    let (folder, events) = (stage.folder("files")?, (stage.rounds * 1_000_000).to_string());
    let seed = stage.random("events").next().to_string();
    let make = ["make".as_ref(), folder.as_os_str(), seed.as_ref(), events.as_ref()];
    oracle::ask(stage, ORACLE, make, verdict)?;
    std::fs::write(folder.join("p.toml"), PIPELINE)?;
    let once = ["run", "--once", "p.toml", "--format", "json"];
    for (label, more) in [("report", &[][..]), ("windows", &["--every", "1m"])] {
        let mut child = stage.start(&folder, label, &[&once[..], more].concat())?;
        let (status, peak) = child.end_with_peak()?;
        verdict.expect(status.success(), || format!("it ended with {status}: {}", child.said()));
        verdict.figure(&format!("peak_rss_mib_{label}"), peak >> 20);
    }
    if verdict.passed() {
        oracle::ask(stage, ORACLE, ["judge".as_ref(), folder.as_os_str()], verdict)?;
    }
    Ok(())
}

//! B1 `malformed`: a thousand odd records, each between two good ones, in files, packed files and bodies.
//!
//! Cases are made, and what came of them judged, by a separate program. Here the release program is run over them and its memory
//! looked at: nothing in an input makes it panic, hang, or take more than its budget.

use crate::client::free_address;
use crate::oracle;
use crate::stage::Stage;
use crate::verdict::Verdict;
use anyhow::{Context, Result};
use std::path::Path;
use std::time::Duration;

/// What a run may have resident, over records of at most 64 KiB and of at most 64 MiB.
const PEAK_MAX_MIB: u64 = 96;
const PEAK_LARGE_MAX_MIB: u64 = 384;
const ORACLE: &str = "malformed.py";
/// An input: its name, its file, its format, and the longest record.
type Input<'a> = (&'a str, &'a str, &'a str, &'a str);
const SMALL: [Input<'static>; 9] = [
    ("ndjson", "ndjson.ndjson", "ndjson", "64KiB"),
    ("gzip", "gzip.ndjson.gz", "ndjson", "64KiB"),
    ("zstd", "zstd.ndjson.zst", "ndjson", "64KiB"),
    ("csv", "csv.csv", "csv", "4KiB"),
    ("unclosed_last", "unclosed_last.csv", "csv", "4KiB"),
    ("unclosed_first", "unclosed_first.csv", "csv", "4KiB"),
    ("unclosed_lines", "unclosed_lines.csv", "csv", "4KiB"),
    ("bomb", "bomb.ndjson.gz", "ndjson", "64KiB"),
    ("bomb_zstd", "bomb_zstd.ndjson.zst", "ndjson", "64KiB"),
];
const LARGE: Input<'static> = ("large", "large.ndjson", "ndjson", "64MiB");

/// Runs it; a round is another order of the cases.
pub fn run(stage: &Stage, verdict: &mut Verdict) -> Result<()> {
    let (mut seeds, mut peak, mut peak_large) = (stage.random("orders"), 0, 0);
    for round in 0..stage.rounds {
        if !verdict.passed() {
            break;
        }
        let folder = stage.folder(&format!("round-{round}"))?;
        let seed = seeds.next().to_string();
        let make = ["make".as_ref(), folder.as_os_str(), seed.as_ref(), stage.pick("quick", "full").as_ref()];
        oracle::ask(stage, ORACLE, make, verdict)?;
        for input in SMALL {
            peak = peak.max(once(stage, &folder, input, verdict)?);
        }
        peak_large = peak_large.max(once(stage, &folder, LARGE, verdict)?);
        post(stage, &folder, verdict)?;
        let names = SMALL.iter().map(|input| input.0).chain(["large", "http"]);
        let judge = ["judge".as_ref(), folder.as_os_str()].into_iter().chain(names.map(AsRef::as_ref));
        oracle::ask(stage, ORACLE, judge, verdict)?;
        if round == 0 {
            damaged(stage, &folder, verdict)?;
        }
        if verdict.passed() {
            std::fs::remove_dir_all(&folder)?;
        }
        stage.progress(format_args!("{} orders", round + 1));
    }
    verdict.figure("peak_rss_mib", peak >> 20);
    verdict.figure("peak_rss_mib_of_records_of_64_mib", peak_large >> 20);
    verdict.expect(peak <= PEAK_MAX_MIB << 20, || format!("{peak} bytes were resident over small records"));
    verdict.expect(peak_large <= PEAK_LARGE_MAX_MIB << 20, || {
        format!("{peak_large} bytes were resident over records of up to 64 MiB")
    });
    Ok(())
}

fn pipeline(name: &str, source: &str) -> String {
    format!(
        "memory = \"64MiB\"
[source.e]
{source}
time = {{ field = \"ts\", unit = \"s\" }}
fields = {{ ts = \"float64\", n = \"int64\", x = \"float64\", b = \"bool\", s = \"string\" }}
bad = \"quarantine\"
quarantine = \"{name}.quarantine.ndjson\"
[metric]
hits = {{ measure = \"count()\", by = [\"id\"], keys = \"20000 + other\", keep = \"forever\" }}
n = {{ measure = \"sum(n)\", by = [\"id\"], keys = \"20000 + other\", keep = \"forever\" }}
x = {{ measure = \"sum(x)\", by = [\"id\"], keys = \"20000 + other\", keep = \"forever\" }}
b = {{ measure = \"count() filter (where b)\", keep = \"forever\" }}
s = {{ measure = \"unique(s)\", keep = \"forever\" }}
"
    )
}

/// A member of members is wanted, which delimited text has none of.
const DEEP: &str = "deep = { measure = \"unique(deep.a.b)\", keep = \"forever\" }\n";

/// A run to the end of a file. The most that it has had resident.
fn once(
    stage: &Stage,
    folder: &Path,
    (name, file, format, record_max): Input<'_>,
    verdict: &mut Verdict,
) -> Result<u64> {
    let source = format!("path = \"{file}\"\nformat = \"{format}\"\nrecord_max = \"{record_max}\"");
    let deep = if format == "ndjson" { DEEP } else { "" };
    let toml = format!("{name}.toml");
    std::fs::write(folder.join(&toml), pipeline(name, &source) + deep)?;
    let mut child = stage.start(folder, name, &["run", "--once", &toml, "--format", "json"])?;
    let (status, peak) = child.end_with_peak()?;
    verdict.expect(status.success(), || format!("{name}: it ended with {status}: {}", child.said()));
    verdict.add("runs", 1);
    Ok(peak)
}

/// The same records as bodies, and bodies that are none.
fn post(stage: &Stage, folder: &Path, verdict: &mut Verdict) -> Result<()> {
    let address = free_address()?;
    let source = "kind = \"http\"\nrecord_max = \"64KiB\"";
    let serve = format!("serve = {{ listen = \"{address}\" }}\n");
    std::fs::write(folder.join("http.toml"), serve + &pipeline("http", source) + DEEP)?;
    let mut child =
        stage.start(folder, "http", &["run", "http.toml", "--state", "http-s", "--format", "json"])?;
    child.says("listening on")?;
    oracle::ask(stage, ORACLE, ["post".as_ref(), folder.as_os_str(), address.as_ref()], verdict)?;
    let peak = child.peak_bytes()?;
    verdict.figure("peak_rss_mib_over_http", peak >> 20);
    verdict.expect(peak <= PEAK_MAX_MIB << 20, || format!("{peak} bytes were resident over bodies"));
    child.signal("TERM")?;
    child.succeed().context("the run over bodies")?;
    verdict.expect(!child.panicked(), || format!("it panicked: {}", child.said()));
    // What was acknowledged and not read yet is read now.
    let args = ["run", "--once", "http.toml", "--state", "http-s", "--format", "json"];
    stage.start(folder, "http", &args)?.succeed().context("the run over the log")
}

/// Packed files that are cut or hurt: read once they end the run with an error that names them; followed they are said, and what stands
/// beside them is counted.
fn damaged(stage: &Stage, folder: &Path, verdict: &mut Verdict) -> Result<()> {
    for case in std::fs::read_to_string(folder.join("damaged.txt"))?.lines() {
        let suffix = case.rsplit('_').next().unwrap_or_default();
        let file = format!("damaged-{case}.ndjson.{suffix}");
        let paths = format!("path = [\"whole-a.ndjson\", \"{file}\", \"whole-z.ndjson\"]");
        std::fs::write(folder.join("damaged.toml"), pipeline("damaged", &paths) + DEEP)?;
        let args = ["run", "--once", "damaged.toml", "--format", "json"];
        let mut child = stage.start(folder, "damaged", &args)?;
        let status = child.end()?;
        verdict.expect(status.code() == Some(3) && child.said().contains(&file), || {
            format!("{file}: read once it ended with {status}: {}", child.said())
        });
        let mut child = stage.start(folder, "damaged", &["run", "damaged.toml", "--format", "json"])?;
        let said = child.says(&file);
        // A file that grows is looked at every 20 ms: by now the plain ones have been read.
        std::thread::sleep(Duration::from_millis(300));
        child.signal("TERM")?;
        child.succeed().with_context(|| format!("following {file}"))?;
        let told = hits(&folder.join("damaged.out"))?;
        let neighbours = ["whole-a", "whole-z"].iter().all(|id| told.contains(&(id.to_string(), 10)));
        verdict.expect(said.is_ok() && neighbours, || format!("{file}: followed it told {told:?}"));
        verdict.expect(!child.panicked(), || format!("it panicked: {}", child.said()));
        verdict.faults("packed_files_damaged", 1);
    }
    Ok(())
}

/// Groups of `hits`.
fn hits(report: &Path) -> Result<Vec<(String, u64)>> {
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&std::fs::read(report)?)?;
    let hits = rows.iter().filter(|row| row["metric"] == "hits");
    let told = hits.filter_map(|row| Some((row["by"]["id"].as_str()?.to_string(), row["value"].as_u64()?)));
    Ok(told.collect())
}

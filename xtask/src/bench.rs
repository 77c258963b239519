//! `cargo xtask bench`: one file of events to six answers, streamgauge beside its peers, then the sketches beside their
//! floors, then what expressions cost. It reports and judges against the bars of docs, but never fails for a slow machine: a ratio to a peer of the
//! same run is the claim, and tests never assert times. `cargo xtask bench sketch` runs the rivals of the sketches alone.
//!
//! All programs run pinned to one core, one after the other in every pass. Each is timed in its own favour where in
//! doubt it would be ours: the clock of a peer starts after its imports, ours with the process.

mod accuracy;
mod sketch;
mod table;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::{setup, shell};
use accuracy::{Answers, Errors};
use table::{Bar, Side};

/// The core that everything is pinned to.
const CORE: &str = "0";
/// Where streams, exact answers and the virtual environment are kept; not committed.
const WORK: &str = "bench-work";
const PEERS: [&str; 2] = ["duckdb", "datafusion"];

/// Which part, or all but the rivals.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Bench {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    options: Options,
}

#[derive(clap::Subcommand)]
enum Part {
    /// The sketches beside those of other crates (rivals/README.md).
    Sketch(sketch::Options),
}

impl Bench {
    /// Builds, runs and prints.
    pub fn run(&self, root: &Path) -> Result<()> {
        match &self.part {
            Some(Part::Sketch(options)) => sketch::run(root, options),
            None => run(root, &self.options),
        }
    }
}

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Numbers of events; a tenth as many users each.
    #[arg(long, value_delimiter = ',', default_value = "1000000,10000000")]
    events: Vec<u64>,
    /// How often each program runs on each stream.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    passes: u32,
    /// Leave the peers out, and with them the exact answers unless they are cached.
    #[arg(long)]
    no_peers: bool,
}

impl Options {
    /// Enough to see that everything runs.
    pub fn smoke() -> Options {
        Options { events: vec![100_000], passes: 1, no_peers: true }
    }
}

/// Builds, generates, runs and prints.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    if !shell::exists("taskset") {
        bail!("the program taskset is missing (package util-linux): without pinning the times mean little");
    }
    let bench = Programs::new(root, options)?;
    println!("{}", machine(root));
    for &events in &options.events {
        bench.end_to_end(events)?;
    }
    bench.sketches()?;
    bench.filters()
}

struct Programs<'a> {
    root: &'a Path,
    work: PathBuf,
    programs: PathBuf,
    peers_python: Option<PathBuf>,
    passes: u32,
}

/// What `measure.py` prints.
#[derive(Deserialize)]
struct Cost {
    status: i32,
    wall_s: f64,
    cpu_s: f64,
    rss_bytes: f64,
}

/// What `peer.py` prints.
#[derive(Deserialize, Serialize)]
struct PeerReport {
    engine: String,
    wall_s: f64,
    cpu_s: f64,
    answers: Answers,
}

impl<'a> Programs<'a> {
    fn new(root: &'a Path, options: &Options) -> Result<Programs<'a>> {
        let peers_python = if options.no_peers { None } else { Some(setup::peers_python(root)?) };
        eprintln!("bench: building");
        shell::run(&mut shell::cargo(
            root,
            "build --release -p streamgauge -p streamgauge-bench".split(' '),
        ))?;
        let metadata = cargo_metadata::MetadataCommand::new().current_dir(root).no_deps().exec()?;
        let work = root.join(WORK);
        std::fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
        let programs = metadata.target_directory.join("release").into_std_path_buf();
        Ok(Programs { root, work, programs, peers_python, passes: options.passes })
    }

    /// All programs on the stream of this many events.
    fn end_to_end(&self, events: u64) -> Result<()> {
        let stream = self.stream(events)?;
        let exact = self.exact(&stream)?;
        let mut ours = Side::new("streamgauge");
        let mut peers: Vec<Side> = Vec::new();
        for pass in 1..=self.passes {
            eprintln!("bench: {events} events, pass {pass} of {}", self.passes);
            if let Some(python) = &self.peers_python {
                for (at, peer) in PEERS.into_iter().enumerate() {
                    let (cost, report) = self.ask_peer(python, peer, &stream)?;
                    if pass == 1 {
                        peers.push(Side::new(&report.engine));
                    }
                    peers[at].add(report.wall_s, report.cpu_s, cost.rss_bytes, report.answers);
                }
            }
            let (cost, answers) = self.ask_ourselves(&stream)?;
            ours.add(cost.wall_s, cost.cpu_s, cost.rss_bytes, answers);
        }
        let bytes = std::fs::metadata(&stream)?.len();
        println!(
            "\n{events} events, {} users, {:.0} MB; {} passes, one core",
            users(events),
            bytes as f64 / 1e6,
            self.passes
        );
        print!("{}", table::sides(events, &ours, &peers, exact.as_ref()));
        print!("{}", table::verdicts(&bars(&ours, &peers, exact.as_ref())));
        Ok(())
    }

    fn sketches(&self) -> Result<()> {
        println!("\nsketches on hashed keys, one core");
        let passes = self.passes.max(5).to_string();
        let mut command = shell::command(&self.work, "taskset", ["-c", CORE]);
        shell::run(command.arg(self.programs.join("streamgauge-micro")).args(["--passes", &passes]))
    }

    fn filters(&self) -> Result<()> {
        println!("\nfilters, derived columns and verdicts, one core");
        let passes = self.passes.max(5).to_string();
        let mut command = shell::command(&self.work, "taskset", ["-c", CORE]);
        shell::run(command.arg(self.programs.join("streamgauge-filters")).args(["--passes", &passes]))
    }

    /// The stream, made if it is not there, and read once so that no program pays for the disk.
    fn stream(&self, events: u64) -> Result<PathBuf> {
        let path = self.work.join(format!("powerlaw-{events}-{}.ndjson", users(events)));
        if !path.is_file() {
            eprintln!("bench: generating {}", path.display());
            let unfinished = path.with_extension("unfinished");
            let (events, users) = (events.to_string(), users(events).to_string());
            let order = ["--events", &events, "--entities", &users, "--format", "ndjson"];
            let mut generator = shell::command(&self.work, self.programs.join("streamgauge-gen"), order);
            shell::run(generator.stdout(File::create(&unfinished)?))?;
            std::fs::rename(&unfinished, &path)?;
        }
        std::io::copy(&mut File::open(&path)?, &mut std::io::sink())?;
        Ok(path)
    }

    /// The exact answers: computed once, then kept beside the stream.
    fn exact(&self, stream: &Path) -> Result<Option<Answers>> {
        let cache = stream.with_extension("exact.json");
        if !cache.is_file() {
            let Some(python) = &self.peers_python else { return Ok(None) };
            eprintln!("bench: exact answers by DuckDB");
            let (_, report) = self.ask_peer(python, "duckdb-exact", stream)?;
            std::fs::write(&cache, serde_json::to_vec(&report)?)?;
        }
        let report: PeerReport = serde_json::from_slice(&std::fs::read(&cache)?)
            .with_context(|| format!("{} is not what it was: delete it", cache.display()))?;
        Ok(Some(report.answers))
    }

    fn ask_peer(&self, python: &Path, peer: &str, stream: &Path) -> Result<(Cost, PeerReport)> {
        let script = self.root.join("crates/bench/peers/peer.py");
        let (cost, text) =
            self.measure(&[python.as_os_str(), script.as_ref(), peer.as_ref(), stream.as_ref()])?;
        let report =
            serde_json::from_str(&text).with_context(|| format!("peer.py {peer} printed {text:.200}"))?;
        Ok((cost, report))
    }

    fn ask_ourselves(&self, stream: &Path) -> Result<(Cost, Answers)> {
        let program = self.programs.join("streamgauge");
        let file = self.root.join("crates/bench/six.toml");
        let path = format!("source.events.path={}", stream.display());
        let (cost, text) = self.measure(&[
            program.as_os_str(),
            "run".as_ref(),
            "--once".as_ref(),
            "--format".as_ref(),
            "json".as_ref(),
            file.as_ref(),
            "--set".as_ref(),
            path.as_ref(),
            "--every".as_ref(),
            "1m".as_ref(),
        ])?;
        Ok((cost, accuracy::answers_of_report(&text).context("the report of streamgauge")?))
    }

    /// Runs one command pinned to the core and gives what it cost and printed.
    fn measure(&self, words: &[&std::ffi::OsStr]) -> Result<(Cost, String)> {
        let printed = self.work.join("printed");
        let mut command =
            shell::command(&self.work, "python3", [self.root.join("crates/bench/peers/measure.py")]);
        command.arg(&printed).args(["taskset", "-c", CORE]).args(words);
        let cost: Cost = serde_json::from_str(&shell::output(&mut command)?)?;
        if cost.status != 0 {
            bail!("{} ended with status {}", words[0].to_string_lossy(), cost.status);
        }
        Ok((cost, std::fs::read_to_string(&printed)?))
    }
}

fn users(events: u64) -> u64 {
    (events / 10).max(1)
}

/// The bars of the project for one stream. Those that need what was left out are left out.
fn bars(ours: &Side, peers: &[Side], exact: Option<&Answers>) -> Vec<Bar> {
    let mut bars = Vec::new();
    if let Some(best) = peers.iter().map(Side::wall_min).min_by(f64::total_cmp) {
        let ratio = best / ours.wall_min();
        bars.push(Bar::at_least("speed against the better peer", ratio, 3.5, "x").aim(7.0));
    }
    bars.push(Bar::at_most("peak RSS", ours.rss_mib(), 32.0, " MiB").aim(12.0));
    if let Some(exact) = exact {
        let e = Errors::of(ours.answers(), exact);
        bars.push(Bar::at_most("distinct users, error", 100.0 * e.distinct.abs(), 2.4, " %"));
        bars.push(Bar::at_most("windows, rms error", 100.0 * e.windows_rms, 1.7, " %"));
        bars.push(Bar::at_most("p99, error", 100.0 * e.p99.abs(), 1.0, " %"));
        bars.push(Bar::at_least("top 10 found", e.top_hits as f64, 10.0, " of 10"));
        bars.push(Bar::at_least(
            "count and counts by event equal",
            f64::from(u8::from(e.counts_equal)),
            1.0,
            "",
        ));
    }
    bars
}

/// Machine and commit, without which a speed is no claim.
fn machine(root: &Path) -> String {
    let commit = shell::output(&mut shell::command(root, "git", ["describe", "--always", "--dirty"]));
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let rustc = shell::output(&mut shell::command(root, "rustc", ["--version"]));
    format!(
        "commit {}, {}, {} cores, {}",
        commit.as_deref().unwrap_or("unknown").trim(),
        model.trim_start_matches([' ', '\t', ':']),
        std::thread::available_parallelism().map_or(1, usize::from),
        rustc.as_deref().unwrap_or("unknown compiler").trim()
    )
}

//! `streamgauge-campaign NAME`: one campaign against the release program, as `cargo xtask campaign` starts it.
//!
//! A campaign does to ordinary processes what operation does to them (kills, signals, retries, floods), from a seed, and lets a
//! separate program of the standard library of Python count what should have come of it (tests/campaign). Its verdict is one
//! object of JSON on standard output. This crate imports nothing of the house: it knows the program as a user does.
#![forbid(unsafe_code)]

mod cardinality_bomb;
mod child;
mod client;
mod clocks;
mod crowd;
mod disk_full;
mod double_crash;
mod events;
mod kill_file;
mod kill_http;
mod left;
mod malformed;
mod nth_fault;
mod oracle;
mod overload;
mod partitions;
mod query_of_death;
mod random;
mod reload;
mod seen;
mod shutdown;
mod sites;
mod stage;
mod sync_order;
mod time_abuse;
mod verdict;

use anyhow::{Result, anyhow};
use clap::Parser;
use oracle::Untried;
use stage::Stage;
use std::path::PathBuf;
use std::process::ExitCode;
use verdict::Verdict;

/// What xtask says.
#[derive(Debug, Parser)]
#[command(name = "streamgauge-campaign")]
struct Args {
    /// Which campaign.
    name: String,
    /// Everything random follows from it; what the clock of the machine decides does not.
    #[arg(long)]
    seed: u64,
    /// How many faults; what a round is differs by campaign.
    #[arg(long)]
    rounds: u64,
    /// Inputs of the short form.
    #[arg(long)]
    quick: bool,
    /// The program that is tried.
    #[arg(long)]
    program: PathBuf,
    /// The repository, where the oracles are.
    #[arg(long)]
    root: PathBuf,
    /// A directory that is made, and removed when all is well.
    #[arg(long)]
    work: PathBuf,
}

type Run = fn(&Stage, &mut Verdict) -> Result<()>;

const CAMPAIGNS: &[(&str, Run)] = &[
    ("kill-file", kill_file::run),
    ("kill-http", kill_http::run),
    ("double-crash", double_crash::run),
    ("shutdown", shutdown::run),
    ("reload", reload::run),
    ("overload", overload::run),
    ("partitions", partitions::run),
    ("sites", sites::run),
    ("sync-order", sync_order::run),
    ("malformed", malformed::run),
    ("disk-full", disk_full::run),
    ("nth-fault", nth_fault::run),
    ("time-abuse", time_abuse::run),
    ("clocks", clocks::run),
    ("cardinality-bomb", cardinality_bomb::run),
    ("query-of-death", query_of_death::run),
];

fn main() -> ExitCode {
    let args = Args::parse();
    match campaign(&args) {
        Ok(verdict) => {
            println!("{}", verdict.to_json());
            if verdict.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(trouble) => {
            eprintln!("campaign {}: could not be tried: {trouble:#}", args.name);
            ExitCode::from(3)
        }
    }
}

/// Runs it. That it could not be tried is an error; that the program failed is a verdict.
fn campaign(args: &Args) -> Result<Verdict> {
    let named = CAMPAIGNS.iter().find(|(name, _)| *name == args.name);
    let (_, run) = named.ok_or_else(|| anyhow!("there is no campaign of this name here"))?;
    let mut verdict = Verdict::new(&args.name, args.seed, args.rounds, args.quick);
    std::fs::create_dir_all(&args.work)?;
    let stage = Stage {
        program: args.program.clone(),
        root: args.root.clone(),
        work: args.work.canonicalize()?,
        seed: args.seed,
        rounds: args.rounds,
        quick: args.quick,
    };
    match run(&stage, &mut verdict) {
        Ok(()) => {}
        Err(trouble) if trouble.is::<Untried>() => return Err(trouble),
        // What the program did, or did not do, so that it could not go on.
        Err(trouble) => verdict.fail(format!("{trouble:#}")),
    }
    if verdict.passed() {
        std::fs::remove_dir_all(&args.work)?;
    } else {
        eprintln!("campaign {}: what it left lies in {}", args.name, args.work.display());
    }
    Ok(verdict)
}

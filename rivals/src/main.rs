//! The sketches beside those of other crates, in one run: `cargo xtask bench sketch`.
//!
//! Usage: `streamgauge-rivals [--passes N] [--only WORD] [--format text|json]`. Every job is done by all sides in
//! interleaved passes, and each side is asked afterwards what came out: a wrong answer counts for nothing, and one of ours
//! ends the run with status 1. What is compared and what is not: `rivals/README.md`.
#![forbid(unsafe_code)]

mod bytes;
mod distinct;
mod frequency;
mod job;
mod keys;
mod membership;
mod quantiles;
mod report;
mod sets;
mod similarity;

use std::process::ExitCode;

use job::{Outcome, Plan};
use keys::Keys;

struct Options {
    passes: usize,
    only: String,
    json: bool,
}

fn main() -> ExitCode {
    let Some(options) = options(std::env::args().skip(1)) else {
        eprintln!("usage: streamgauge-rivals [--passes N, default 5] [--only WORD] [--format text|json]");
        return ExitCode::from(2);
    };
    let plans = [
        distinct::PLANS,
        membership::PLANS,
        frequency::PLANS,
        quantiles::PLANS,
        sets::PLANS,
        similarity::PLANS,
        bytes::PLANS,
    ];
    let wanted = |plan: &&Plan| plan.name.to_lowercase().contains(&options.only.to_lowercase());
    let plans: Vec<&Plan> = plans.into_iter().flatten().filter(wanted).collect();
    if plans.is_empty() {
        eprintln!("no job has {:?} in its name", options.only);
        return ExitCode::from(2);
    }
    let keys = Keys::new();
    let mut outcomes: Vec<Outcome> = Vec::new();
    for plan in plans {
        eprintln!("{}", plan.name);
        outcomes.push(plan.run(&keys, options.passes));
    }
    let json = || report::json(&outcomes, options.passes);
    print!("{}", if options.json { json() } else { report::text(&outcomes) });
    if outcomes.iter().any(Outcome::is_wrong) {
        eprintln!("one of ours gave a wrong answer");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn options(mut args: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options { passes: 5, only: String::new(), json: false };
    while let Some(arg) = args.next() {
        let value = args.next()?;
        match (arg.as_str(), value.as_str()) {
            ("--passes", n) => options.passes = n.parse().ok().filter(|&n| n > 0)?,
            ("--only", word) => word.clone_into(&mut options.only),
            ("--format", "text") => options.json = false,
            ("--format", "json") => options.json = true,
            _ => return None,
        }
    }
    Some(options)
}

//! `streamgauge-simulate NAME`: campaigns that need no process and no disk, as `cargo xtask campaign` starts them.
//!
//! `simulate` plays seeds of events, crashes and faults on a simulated clock, disk, source and sink, and compares with an exact
//! count and with an undisturbed run. `bit-rot` damages what such runs have kept. A verdict is one object of JSON on
//! standard output; a failure names the line that repeats it.
#![forbid(unsafe_code)]

mod check;
mod dice;
mod disk;
mod life;
mod oracle;
mod received;
mod rot;
mod rot_inbox;
mod scene;
mod seeds;
mod verdict;

use std::process::ExitCode;

/// What was asked for.
#[derive(Debug, Clone)]
struct Args {
    name: String,
    seed: u64,
    rounds: Option<u64>,
    quick: bool,
    /// Where the events and answers of some seeds are written, to be judged by another program.
    trace: Option<String>,
}

impl Args {
    /// Reads the command line; what xtask says to all campaigns and is of no use here is left out.
    fn read(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
        let name = words.next().ok_or("name a campaign: simulate or bit-rot")?;
        let mut args = Args { name, seed: 1, rounds: None, quick: false, trace: None };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            let number = |text: String| text.parse().map_err(|_| format!("`{text}` is no number"));
            match word.as_str() {
                "--seed" => args.seed = number(value()?)?,
                "--rounds" => args.rounds = Some(number(value()?)?),
                "--quick" => args.quick = true,
                "--trace" => args.trace = Some(value()?),
                "--program" | "--root" | "--work" => drop(value()?),
                _ => return Err(format!("`{word}` is not known")),
            }
        }
        Ok(args)
    }
}

fn main() -> ExitCode {
    #[cfg(feature = "sabotage")]
    if let Ok(bug) = std::env::var("STREAMGAUGE_SABOTAGE")
        && !sabotage::begin(&bug)
    {
        eprintln!("there is no bug called `{bug}`");
        return ExitCode::from(2);
    }
    let args = match Args::read(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let rounds = |quick, full| args.rounds.unwrap_or(if args.quick { quick } else { full });
    let verdict = match args.name.as_str() {
        "simulate" => seeds::run(args.seed, rounds(5_000, 100_000), args.quick, args.trace.as_deref()),
        "bit-rot" => rot::run(args.seed, rounds(6_000, 100_000), args.quick),
        name => {
            eprintln!("there is no campaign `{name}` here");
            return ExitCode::from(2);
        }
    };
    println!("{}", verdict.to_json());
    if verdict.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

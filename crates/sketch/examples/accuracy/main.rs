//! How accurate the sketches are: many seeded trials of each, beside what their formulas promise.
//!
//! `cargo xtask accuracy` runs this program; it writes `ACCURACY.md` and a plot for each experiment into `--out`. The
//! page is a function of seed and number of trials, not of the threads. `experiments/` is the table of what is measured;
//! `tests/it/accuracy.rs` runs the same experiments in short.
#![forbid(unsafe_code)]
// A program, not the library: it may start threads and look at the clock.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod experiments;
mod page;
mod svg;
mod trials;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use trials::{BATCH, Experiment, Tallies};

/// Two, because the machines that it runs on have two cores; the results do not depend on it.
const THREADS: usize = 2;

struct Options {
    trials: u64,
    seed: u64,
    only: Option<String>,
    out: PathBuf,
}

fn main() -> ExitCode {
    match options(std::env::args().skip(1)).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("accuracy: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { trials: 10_000, seed: 1, only: None, out: PathBuf::from("docs") };
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{name} {value}: not a number"));
        match name.as_str() {
            "--trials" => options.trials = number()?.max(2),
            "--seed" => options.seed = number()?,
            "--only" => options.only = Some(value),
            "--out" => options.out = PathBuf::from(value),
            _ => return Err(format!("no option {name}: there are --trials --seed --only --out")),
        }
    }
    Ok(options)
}

fn run(options: &Options) -> Result<(), String> {
    let all = experiments::all();
    let chosen = |e: &&Experiment| options.only.as_deref().is_none_or(|only| only == e.name);
    let names: Vec<&str> = all.iter().map(|e| e.name).collect();
    if !all.iter().any(|e| chosen(&e)) {
        return Err(format!("nothing is named {:?}: there are {}", options.only, names.join(", ")));
    }
    let file = options.out.join("ACCURACY.md");
    let plots = options.out.join("accuracy");
    std::fs::create_dir_all(&plots).map_err(|e| format!("{}: {e}", plots.display()))?;
    // With --only the other sections stay as they are.
    let before = if options.only.is_some() {
        std::fs::read_to_string(&file).unwrap_or_default()
    } else {
        String::new()
    };
    let mut sections = page::sections(&before, &names);
    for experiment in all.iter().filter(chosen) {
        let start = Instant::now();
        let tallies = measure(experiment, options.trials, options.seed, THREADS);
        eprintln!("accuracy: {:12} {:8.1} s", experiment.name, start.elapsed().as_secs_f64());
        let plot = plots.join(format!("{}.svg", experiment.name));
        std::fs::write(&plot, svg::plot(experiment, &tallies))
            .map_err(|e| format!("{}: {e}", plot.display()))?;
        sections.insert(
            experiment.name.to_owned(),
            page::section(experiment, &tallies, options.trials, options.seed),
        );
    }
    std::fs::write(&file, page::page(&sections, &names)).map_err(|e| format!("{}: {e}", file.display()))
}

/// Runs all trials, a batch at a time, and adds the batches up in order.
fn measure(experiment: &Experiment, trials: u64, seed: u64, threads: usize) -> Tallies {
    let batches = trials.div_ceil(BATCH);
    let next = AtomicU64::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= batches {
                return done;
            }
            done.push((number, trials::run_batch(experiment, seed, number, trials, |e| e)));
        }
    };
    let mut done: Vec<(u64, Tallies)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a trial panicked")).collect()
    });
    done.sort_by_key(|(number, _)| *number);
    trials::sum(done.into_iter().map(|(_, tallies)| tallies))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_does_not_depend_on_the_threads() {
        let e = experiments::sample::mean(500, &[10, 50]);
        let section = |seed, threads| page::section(&e, &measure(&e, 110, seed, threads), 110, seed);
        assert_eq!(section(1, 1), section(1, 3));
        assert_ne!(section(1, 1), section(2, 1));
    }
}

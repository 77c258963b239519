//! `streamgauge merge`: states of one pipeline, or sketches of one kind, become one.

use crate::image::{self, Of};
use crate::output::{self, Sort};
use crate::save::{self, Loaded};
use crate::{Trouble, say};
use clap::Args;
use engine::state::{Saved, StateFile};
use plan::size::grouped;
use sketch::image::Unmergeable;
use sketch::{Limits, MergeNote};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Shown below the options.
pub const EXAMPLES: &str = "Examples:
  streamgauge run --once shop.toml --set source.events.path=monday.ndjson --save monday.sgs
  streamgauge run --once shop.toml --set source.events.path=tuesday.ndjson --save tuesday.sgs
  streamgauge merge monday.sgs tuesday.sgs -o week.sgs
  streamgauge sketch week.sgs

The merged state answers as one run over all inputs would: exactly so for counts, sums, distinct counts, frequencies,
quantiles and histograms, within the bounds for `top` and for groups once something was evicted. A state merged twice is
counted twice. Pipelines with `seen` are refused: what one input had seen, the other could not know.

Files that are sketches rather than states are merged too: our own snapshots, and images of Apache DataSketches, which
stay what they are.

Exit codes: 0 merged; 2 the files do not go together; 3 a file cannot be read or the output cannot be written.";

/// The words behind `merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// State files (`run --save`) of one pipeline, or sketches of one kind; one of them may be `-`, standard input. Two at least.
    #[arg(required = true, num_args = 2.., value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// Where the result goes. A file of the same sort that is there is replaced, one of the inputs included.
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    output: PathBuf,
    /// What the values of images are, where their bytes do not say: KLL (double) and frequent items (string) of DataSketches.
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    of: Option<Of>,
    /// Most bytes that a file may hold, and the state in it.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = save::limit)]
    limit: Limits,
}

/// Runs the command.
pub fn merge(args: &MergeArgs) -> Result<ExitCode, Trouble> {
    output::may_write(&args.output)?;
    let mut inputs = Inputs { limit: &args.limit, seen: Vec::new() };
    let first = inputs.read(&args.files[0])?;
    if StateFile::begins(&first) {
        states(args, inputs, &first)?
    } else {
        sketches(args, inputs, &first)?
    }
    Ok(ExitCode::SUCCESS)
}

/// The inputs, each of which can be read but once: it may be a pipe.
struct Inputs<'a> {
    limit: &'a Limits,
    /// What was read, by its sum.
    seen: Vec<((u64, u64), &'a Path)>,
}

impl<'a> Inputs<'a> {
    /// All bytes of a file. The same bytes twice are counted twice, which is hardly what is meant.
    fn read(&mut self, path: &'a Path) -> Result<Vec<u8>, Trouble> {
        let bytes = save::read(path, self.limit)?;
        let sum = sketch::hash::murmur3_x64_128(&bytes, 0);
        if let Some((_, twin)) = self.seen.iter().find(|(other, _)| *other == sum) {
            say(format_args!(
                "warning: `{}` and `{}` hold the same: what they count is counted twice",
                twin.display(),
                path.display()
            ));
        }
        self.seen.push((sum, path));
        Ok(bytes)
    }
}

fn states<'a>(args: &'a MergeArgs, mut inputs: Inputs<'a>, first: &[u8]) -> Result<(), Trouble> {
    image::note_type(&args.files[0], None, args.of);
    let mut ours = Loaded::new(&args.files[0], first, &args.limit)?;
    for path in &args.files[1..] {
        let bytes = inputs.read(path)?;
        if !StateFile::begins(&bytes) {
            return Err(apart(&ours.path, path, "the first is a state file, the second is not"));
        }
        absorb(&mut ours, Loaded::new(path, &bytes, &args.limit)?)?;
    }
    let sources =
        ours.kept.iter().zip(&ours.states).map(|(source, state)| Saved::of(state, source)).collect();
    let file = StateFile { sources, ..ours.file };
    output::write(&args.output, &file.write(), &output::STATE)?;
    let events: u64 = ours.states.iter().map(|state| state.tally().accepted()).sum();
    say(format_args!(
        "{} states of {} events are one in `{}`",
        args.files.len(),
        grouped(events),
        args.output.display()
    ));
    Ok(())
}

fn absorb(ours: &mut Loaded, theirs: Loaded) -> Result<(), Trouble> {
    if let Some(difference) = ours.pipeline.differs_from(&theirs.pipeline) {
        let advice =
            "states merge when their pipelines measure the same: run both inputs with one pipeline file";
        return Err(apart(&ours.path, &theirs.path, &format!("{difference}; {advice}")));
    }
    if ours.file.question != theirs.file.question {
        let text = format!(
            "the first keeps {}, the second {}; save both with the same --window and --every",
            save::asked(ours.file.question),
            save::asked(theirs.file.question)
        );
        return Err(apart(&ours.path, &theirs.path, &text));
    }
    if ours.file.whole != theirs.file.whole {
        let text = "one keeps the whole ladder of panes and the other only what was asked; save both with --state, or none";
        return Err(apart(&ours.path, &theirs.path, text));
    }
    for ((source, state), other) in ours.kept.iter().zip(&mut ours.states).zip(theirs.states) {
        state.absorb(source, other).map_err(|error| apart(&ours.path, &theirs.path, &error.to_string()))?;
    }
    Ok(())
}

fn sketches<'a>(args: &'a MergeArgs, mut inputs: Inputs<'a>, first: &[u8]) -> Result<(), Trouble> {
    let read = |path: &Path, bytes: &[u8]| image::read(path, bytes, args.of, &args.limit);
    let mut ours = read(&args.files[0], first)?;
    if args.of.is_some() {
        image::note_type(&args.files[0], Some(ours.form()), args.of);
    }
    for path in &args.files[1..] {
        let bytes = inputs.read(path)?;
        if StateFile::begins(&bytes) {
            return Err(apart(&args.files[0], path, "the first is a sketch, the second a state file"));
        }
        let apart = |error: Unmergeable| apart(&args.files[0], path, &error.to_string());
        match ours.merge(&read(path, &bytes)?).map_err(apart)? {
            MergeNote::Folded { from, to } => say(format_args!(
                "note: with `{}` the precision is 2^{to} instead of 2^{from}: that of the coarser one",
                path.display()
            )),
            MergeNote::Exact | MergeNote::LostHip => {}
        }
    }
    // In whole: the head of an image says too little. A file beyond the limit is cut off, and so is none.
    let bytes_max = args.limit.bytes_max.saturating_add(1);
    let is = |there: &[u8]| ours.is_same_sort(there, &args.limit);
    output::write(&args.output, &ours.write(), &Sort { name: &ours.kind(), bytes_max, is: &is })?;
    say(format_args!(
        "{} sketches ({}) are one in `{}`",
        args.files.len(),
        ours.kind(),
        args.output.display()
    ));
    Ok(())
}

/// Two files that do not become one.
fn apart(ours: &Path, theirs: &Path, why: &str) -> Trouble {
    Trouble::question(format!("cannot merge `{}` and `{}`: {why}", ours.display(), theirs.display()))
}

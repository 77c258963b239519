//! `streamgauge init`: the head of a file of events in, a first pipeline file out. What is guessed is `plan`'s business.

use crate::{Trouble, say};
use clap::Args;
use engine::batch::Reason;
use plan::Pipeline;
use plan::infer::{self, Guess, Head, Naming};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

/// Shown below the options.
pub const EXAMPLES: &str = "Examples:
  streamgauge init --from events.ndjson
  streamgauge init --from access.log.gz --output web.toml
  zcat day.csv.gz | streamgauge init --from - --name shop > shop.toml

It looks at the first 4 MiB, decompressed. Read what it wrote: it is a guess, with a reason behind each line.

Exit codes: 0 written; 2 the command line makes no sense, or the file is there already; 3 the input cannot be read or
is no file of events, or the output cannot be written.";

/// The words behind `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The file of events, plain or compressed, or a pattern of several; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    from: String,
    /// Where the pipeline file is written; `-` is standard output.
    #[arg(long, short, value_name = "PIPELINE.toml", default_value = "-")]
    output: String,
    /// Name of the pipeline [default: the name of the file without its extension].
    #[arg(long)]
    name: Option<String>,
    /// Write over a pipeline file that is there already.
    #[arg(long)]
    force: bool,
}

/// Runs the command.
pub fn init(args: &InitArgs) -> Result<ExitCode, Trouble> {
    let output = (args.output != "-").then(|| Path::new(&args.output));
    let file = first_file(&args.from)?;
    if let Some(output) = output {
        check_output(args, output, &file)?;
    }
    let path = output.map_or_else(|| args.from.clone(), |output| seen_from(output, &args.from));
    let naming =
        Naming::new(args.name.as_deref(), &path, output.and_then(Path::to_str)).map_err(Trouble::question)?;
    let (bytes, whole) = runtime::head(&file, infer::HEAD_BYTES).map_err(Trouble::environment)?;
    let head = Head { bytes: &bytes, whole, path: &file };
    let shown = if file == "-" { "standard input".into() } else { format!("`{file}`") };
    let guess = infer::infer(&head).map_err(|why| Trouble::environment(format!("{shown} {why}")))?;
    let text = guess.to_toml(&naming);
    write(args, output, &text).map_err(|error| {
        Trouble::environment(format!("cannot write the pipeline file `{}`: {error}", args.output))
    })?;
    tell(&guess, &naming, &text, &head, output);
    Ok(ExitCode::SUCCESS)
}

/// The file to look at: the first that a pattern matches.
fn first_file(from: &str) -> Result<String, Trouble> {
    let files = runtime::expand(&[from.to_string()], &[Path::new("")]).map_err(Trouble::environment)?;
    files
        .into_iter()
        .next()
        .map(|file| file.path)
        .ok_or_else(|| Trouble::question("there is no file to look at"))
}

/// Nothing is read for a file that cannot be written, and no events are written over.
fn check_output(args: &InitArgs, output: &Path, file: &str) -> Result<(), Trouble> {
    let same = |a: &Path, b: &Path| matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same(output, Path::new(file)) {
        return Err(Trouble::question(format!(
            "`{}` is the file of events: choose another --output",
            args.output
        )));
    }
    if output.exists() && !args.force {
        return Err(already_there(&args.output));
    }
    Ok(())
}

fn already_there(output: &str) -> Trouble {
    Trouble::question(format!(
        "`{output}` is there already: choose another --output, or write over it with --force"
    ))
}

/// A path as seen from the directory of the pipeline file, which is where relative paths are looked for first.
fn seen_from(output: &Path, from: &str) -> String {
    let folder = output.parent().unwrap_or(Path::new(""));
    let plain = folder.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if from == "-" || Path::new(from).is_absolute() || folder.as_os_str().is_empty() {
        return from.to_string();
    }
    let below = Path::new(from).strip_prefix(folder).ok().map(Path::to_path_buf);
    let up = || -> PathBuf {
        folder.components().filter(|part| *part != Component::CurDir).map(|_| "..").collect()
    };
    let relative = match below {
        Some(below) => below,
        None if plain => up().join(from),
        None => PathBuf::new(),
    };
    // Behind a link `..` may lead elsewhere.
    let leads = |path: &Path| matches!((folder.join(path).canonicalize(), Path::new(from).canonicalize()), (Ok(a), Ok(b)) if a == b);
    let absolute = || std::env::current_dir().map_or_else(|_| PathBuf::from(from), |here| here.join(from));
    let found = if leads(&relative) { relative } else { absolute() };
    found.to_str().map_or_else(|| from.to_string(), str::to_string)
}

fn write(args: &InitArgs, output: Option<&Path>, text: &str) -> std::io::Result<()> {
    let Some(output) = output else {
        return match std::io::stdout().lock().write_all(text.as_bytes()) {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            written => written,
        };
    };
    let mut file: File = match args.force {
        true => File::create(output)?,
        false => OpenOptions::new().write(true).create_new(true).open(output)?,
    };
    file.write_all(text.as_bytes())
}

/// What was looked at, what came of it, and what to do next.
fn tell(guess: &Guess, naming: &Naming, text: &str, head: &Head<'_>, output: Option<&Path>) {
    say(guess.looked());
    match Pipeline::parse(&naming.pipeline, text, &[]) {
        Err(problems) => say(format_args!("warning: this version cannot run it:\n{problems}")),
        Ok(pipeline) => match infer::rehearse(&pipeline, head) {
            None => say("warning: this version cannot read the file so"),
            Some(tally) => {
                let [read, bad, late] =
                    [tally.read, tally.bad_total(), tally.late].map(|n| infer::thousands(n as usize));
                say(format_args!("read back with this pipeline: {read} records, {bad} bad, {late} late"));
                if tally.bad[Reason::Utf8 as usize] > 0 {
                    say(
                        "warning: some are not UTF-8; if the file is in another encoding: iconv -f LATIN1 -t UTF-8",
                    );
                }
            }
        },
    }
    if guess.events() == 0 {
        say("warning: there is no event yet, so types, time and metrics could not be guessed");
    }
    let pipeline = &naming.pipeline;
    match output {
        Some(_) => say(format_args!("wrote {pipeline}; next: streamgauge run --once {pipeline}")),
        None => say(format_args!("next: write this to {pipeline}, then streamgauge run --once {pipeline}")),
    }
}

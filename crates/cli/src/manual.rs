//! What shells and `man` know of the command: completions and manual pages, made from the command line's own definition.

use crate::Trouble;
use clap::{Args, Command, ValueHint};
use clap_complete::Shell;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Shown below the options of `completions`.
pub const COMPLETIONS: &str = "Examples:
  streamgauge completions bash > ~/.local/share/bash-completion/completions/streamgauge
  streamgauge completions zsh > ~/.zfunc/_streamgauge
  streamgauge completions fish > ~/.config/fish/completions/streamgauge.fish

Exit codes: 0 written; 2 no such shell; 3 standard output cannot be written.";

/// Shown below the options of `man`.
pub const MAN: &str = "Examples:
  streamgauge man | man -l -
  streamgauge man --dir ~/.local/share/man/man1

Exit codes: 0 written; 2 the command line makes no sense; 3 the pages cannot be written.";

/// The words behind `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Which shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// The words behind `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write a page for the command and one for each verb into this directory.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: Option<PathBuf>,
}

/// Writes the completions of a shell to standard output.
pub fn completions(args: &CompletionsArgs, mut command: Command) -> Result<ExitCode, Trouble> {
    let mut script = Vec::new();
    let name = command.get_name().to_string();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    show(&script)
}

/// Writes the manual page to standard output, or all pages into a directory.
pub fn man(args: &ManArgs, command: Command) -> Result<ExitCode, Trouble> {
    let Some(dir) = &args.dir else { return show(&page(&command)?) };
    let name = command.get_name().to_string();
    write(dir, &name, &command)?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help") {
        let full = format!("{name}-{}", verb.get_name());
        write(dir, &full, &verb.clone().name(full.clone()).bin_name(full.clone()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn page(command: &Command) -> Result<Vec<u8>, Trouble> {
    let mut out = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut out).map_err(Trouble::environment)?;
    Ok(out)
}

fn write(dir: &Path, name: &str, command: &Command) -> Result<(), Trouble> {
    let path = dir.join(format!("{name}.1"));
    let page = page(command)?;
    std::fs::create_dir_all(dir)
        .and_then(|()| std::fs::write(&path, page))
        .map_err(|e| Trouble::environment(format!("cannot write `{}`: {e}", path.display())))
}

/// A reader that goes away early is no error.
fn show(bytes: &[u8]) -> Result<ExitCode, Trouble> {
    match io::stdout().write_all(bytes) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Trouble::environment(format!("cannot write to standard output: {e}")))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

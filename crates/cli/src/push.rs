//! `streamgauge push`: what a state directory has committed goes to another node, again and again.

use crate::inspect::sources;
use crate::{Trouble, say};
use clap::Args;
use engine::origins::{Offered, is_origin};
use engine::time::Span;
use plan::size::{grouped, human};
use runtime::origins::{Failure, PushError, Remote, Sent, push as push_one};
use serde::Deserialize;
use serve::{Answer, Client};
use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Shown below the options.
pub const EXAMPLES: &str = "Examples:
  streamgauge run shop.toml --state state &
  streamgauge push state --to http://hub.example.org:8428 --origin berlin --token-env HUB_TOKEN
  streamgauge push state --to http://127.0.0.1:8428 --origin berlin --once

At the other node, which measures the same: streamgauge run shop.toml --state hub, with [serve] in the pipeline file. Its report,
and `inspect hub`, are over its own events and those of all origins. Only what is new is sent, and sending again changes nothing:
the commands may be killed and started again at any time. See docs/sites.md.

Exit codes: 0 handed over (--once); 2 the command line makes no sense, or the other node refuses this state; 3 the state cannot
be read, or the other node cannot be reached (--once).";

/// Tries of `--once`.
const TRIES: u32 = 6;
/// Wait behind the first failure; doubled behind each further one.
const BACKOFF: Duration = Duration::from_millis(500);

/// The words behind `push`.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// A state directory (`run --state`), also one that a run is writing.
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    directory: PathBuf,
    /// The other node: http://HOST:PORT. For TLS let a proxy or a tunnel have it.
    #[arg(long, value_name = "URL")]
    to: String,
    /// The name of this node there: letters, digits, `.`, `_` and `-`. Every node needs one of its own.
    #[arg(long, value_name = "NAME")]
    origin: String,
    /// Time between two pushes.
    #[arg(long, value_name = "TIME", default_value = "1m", conflicts_with = "once")]
    every: Span,
    /// Push once, and stop.
    #[arg(long)]
    once: bool,
    /// The environment variable that holds the token of the other node.
    #[arg(long, value_name = "NAME")]
    token_env: Option<String>,
}

/// Runs the command.
pub fn push(args: &PushArgs) -> Result<ExitCode, Trouble> {
    if !is_origin(&args.origin) {
        return Err(Trouble::question(format!(
            "`{}` is no name for an origin: take up to 64 letters, digits, `.`, `_` and `-`, no `.` first",
            args.origin
        )));
    }
    if args.every.0 <= 0 {
        return Err(Trouble::question("--every must be longer than nothing"));
    }
    let token = args.token_env.as_deref().map(token).transpose()?;
    let client = Client::new(&args.to, token).map_err(Trouble::question)?;
    let hub = Hub { client, origin: args.origin.clone(), patience: None };
    if args.once { once(args, hub) } else { again_and_again(args, hub) }
}

/// The token that a variable of the environment holds.
///
/// # Errors
/// When it is not there.
pub fn token(name: &str) -> Result<String, Trouble> {
    std::env::var(name).map_err(|_| Trouble::question(format!("the environment has no text in `{name}`")))
}

/// All sources, each until it is handed over or has failed too often. What is wrong with one does not keep back the others.
fn once(args: &PushArgs, mut hub: Hub) -> Result<ExitCode, Trouble> {
    let mut troubles = Vec::new();
    for path in sources(&args.directory)? {
        match patiently(&path, &mut hub) {
            Ok(sent) => tell(&path, &args.to, &sent),
            Err(trouble) => troubles.push(trouble),
        }
    }
    let last = troubles.pop();
    troubles.iter().for_each(|trouble| say(&trouble.text));
    last.map_or(Ok(ExitCode::SUCCESS), Err)
}

fn patiently(path: &Path, hub: &mut Hub) -> Result<Sent, Trouble> {
    let mut failures = 0;
    loop {
        match hand_over(path, hub) {
            Ok(Some(sent)) => return Ok(sent),
            Ok(None) => {
                return Err(Trouble::environment(format!("`{}` holds no commit yet", path.display())));
            }
            Err(Why::Ends(trouble)) => return Err(trouble),
            Err(Why::Passes(why)) => {
                failures += 1;
                if failures == TRIES {
                    return Err(Trouble::environment(why));
                }
                std::thread::sleep(hub.wait(failures, Duration::MAX));
            }
        }
    }
}

/// All sources every so often, until the program is ended. Tells what changes: the first commit, trouble, and its end.
fn again_and_again(args: &PushArgs, mut hub: Hub) -> Result<ExitCode, Trouble> {
    let every = Duration::from_micros(args.every.0.unsigned_abs());
    let mut well: BTreeMap<PathBuf, bool> = BTreeMap::new();
    let mut failures = 0;
    loop {
        let mut failed = false;
        // A directory that is not there yet may come.
        for path in sources(&args.directory).unwrap_or_default() {
            let was = well.get(&path).copied();
            match hand_over(&path, &mut hub) {
                Ok(Some(sent)) => {
                    if was != Some(true) {
                        tell(&path, &args.to, &sent);
                    }
                    well.insert(path, true);
                }
                Ok(None) => {}
                Err(Why::Ends(trouble)) => return Err(trouble),
                Err(Why::Passes(why)) => {
                    failed = true;
                    if was != Some(false) {
                        say(format_args!("WARNING: `{}`: {why}; it is tried again", path.display()));
                    }
                    well.insert(path, false);
                }
            }
        }
        failures = if failed { failures + 1 } else { 0 };
        std::thread::sleep(if failed { hub.wait(failures, every) } else { jittered(every, 10) });
    }
}

/// Why a commit is not there.
enum Why {
    /// Trying again may help.
    Passes(String),
    /// Only somebody can help.
    Ends(Trouble),
}

fn hand_over(path: &Path, hub: &mut Hub) -> Result<Option<Sent>, Why> {
    hub.patience = None;
    push_one(path, hub).map_err(|error| match error {
        // A run that goes on writes the next commit.
        PushError::Here(error) => Why::Passes(error.to_string()),
        PushError::Damaged(why) => Why::Passes(why),
        PushError::There(Failure::Later(why) | Failure::NotThis(why)) => Why::Passes(why),
        PushError::There(Failure::Never(why)) => {
            Why::Ends(Trouble::question(format!("`{}` is not taken over: {why}", path.display())))
        }
    })
}

fn tell(path: &Path, to: &str, sent: &Sent) {
    let Sent { commit, known, segments, bytes } = *sent;
    let what = match (known, segments) {
        (true, 0) => "was there already".to_string(),
        _ => format!("is there: {} segments, {} were sent", grouped(segments), human(bytes)),
    };
    say(format_args!("`{}`: commit {commit} {what} ({to})", path.display()));
}

/// The other node, over HTTP.
struct Hub {
    client: Client,
    origin: String,
    /// How long it asked us to wait.
    patience: Option<Duration>,
}

/// What it says to an offer.
#[derive(Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
enum Said {
    Taken,
    Known { commit: u64 },
    Lacking { of: String, segments: Vec<String> },
}

/// How it says no.
#[derive(Deserialize)]
struct Refused {
    detail: String,
    hint: String,
}

impl Hub {
    /// How long to wait behind so many failures in a row.
    fn wait(&self, failures: u32, most: Duration) -> Duration {
        let backoff = BACKOFF.saturating_mul(1 << (failures - 1).min(12)).min(most);
        jittered(backoff, 50).max(self.patience.unwrap_or_default().min(Duration::from_secs(60)))
    }

    fn ask(
        &mut self,
        method: &str,
        path: &str,
        bytes: u64,
        body: impl std::io::Read,
    ) -> Result<Answer, Failure> {
        let sent = self.client.send(method, &format!("/v1/origins/{}/{path}", self.origin), bytes, body);
        let answer =
            sent.map_err(|error| Failure::Later(format!("the other node cannot be asked: {error}")))?;
        if answer.status == 200 {
            return Ok(answer);
        }
        self.patience = answer.retry_after;
        let why = match serde_json::from_slice(&answer.body) {
            Ok(Refused { detail, hint }) => format!("{detail} ({}; {hint})", answer.status),
            Err(_) => format!("the other node says {}: is that a streamgauge?", answer.status),
        };
        Err(match answer.status {
            412 => Failure::NotThis(why),
            408 | 429 | 500.. => Failure::Later(why),
            _ => Failure::Never(why),
        })
    }
}

impl Remote for Hub {
    fn offer(&mut self, source: &str, manifest: &[u8]) -> Result<Offered, Failure> {
        let answer = self.ask("POST", &format!("{source}/commit"), manifest.len() as u64, manifest)?;
        match serde_json::from_slice(&answer.body) {
            Ok(Said::Taken) => Ok(Offered::Taken),
            Ok(Said::Known { commit }) => Ok(Offered::Known { commit }),
            Ok(Said::Lacking { of, segments }) => Ok(Offered::Lacks { state: of, segments }),
            Err(_) => Err(Failure::Never("its answer makes no sense: is that a streamgauge?".into())),
        }
    }

    fn segment(
        &mut self,
        source: &str,
        state: &str,
        name: &str,
        bytes: u64,
        file: File,
    ) -> Result<(), Failure> {
        self.ask("PUT", &format!("{source}/segments/{state}/{name}"), bytes, file).map(|_| ())
    }
}

/// Shortened by up to so many percent, so that many nodes do not come at once.
fn jittered(time: Duration, percent: u32) -> Duration {
    let random = (RandomState::new().hash_one(0) >> 40) as f64 / (1u64 << 24) as f64;
    time.mul_f64(1.0 - random * f64::from(percent) / 100.0)
}

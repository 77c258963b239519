//! A process that is tried: started, signalled, killed, and never waited for without a limit.

use crate::stage::Stage;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What hangs longer than this has failed.
pub const WATCHDOG: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A process, with what it says in files.
pub struct Child {
    child: std::process::Child,
    /// The program itself, where another one stands between.
    pid: u32,
    err: PathBuf,
}

impl Child {
    /// Starts it; what it says goes to `LABEL.out` and `LABEL.err`, from their beginnings.
    pub fn start(mut command: Command, folder: &Path, label: &str) -> Result<Child> {
        let (out, err) = (folder.join(format!("{label}.out")), folder.join(format!("{label}.err")));
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&out)?)
            .stderr(File::create(&err)?)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))?;
        Ok(Child { pid: child.id(), child, err })
    }

    /// `streamgauge ARGS` under strace, which makes of some system calls what it is told to.
    pub fn start_traced(
        stage: &Stage,
        folder: &Path,
        label: &str,
        trace: &Trace<'_>,
        args: &[&str],
    ) -> Result<Child> {
        let call = trace.inject.split(':').next().unwrap_or_default();
        let mut command = Command::new("strace");
        command.current_dir(folder).args(["--seccomp-bpf", "-f", "-qq", "-o", "/dev/null"]);
        command.args(["-e", &format!("trace={call}"), "-e", &format!("inject={}", trace.inject)]);
        command.arg(&stage.program).args(args);
        let mut child = Child::start(command, folder, label)?;
        child.find_program(stage)?;
        Ok(child)
    }

    /// Of one that was started under strace: from now on signals go to the program, and not to strace.
    pub fn find_program(&mut self, stage: &Stage) -> Result<()> {
        let child = self;
        let (tracer, until) = (child.child.id(), Instant::now() + WATCHDOG);
        // strace forks once, and then is a tracer; the fork becomes the program.
        let program = stage.program.canonicalize()?;
        loop {
            let children = std::fs::read_to_string(format!("/proc/{tracer}/task/{tracer}/children"));
            let mut pids = children.iter().flat_map(|text| text.split_whitespace()).flat_map(str::parse);
            let is_it =
                |pid: &u32| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program);
            if let Some(pid) = pids.find(is_it) {
                child.pid = pid;
                return Ok(());
            }
            if child.child.try_wait()?.is_some() || Instant::now() > until {
                bail!("strace did not start the program: {}", child.said());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits for its end up to this long; `None` when it runs on.
    pub fn wait(&mut self, longest: Duration) -> Result<Option<ExitStatus>> {
        let until = Instant::now() + longest;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            std::thread::sleep(LOOK_EVERY.min(until - Instant::now()));
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When the watchdog must end it.
    pub fn end(&mut self) -> Result<ExitStatus> {
        match self.wait(WATCHDOG)? {
            Some(status) => Ok(status),
            None => {
                self.kill()?;
                bail!("it hung for {WATCHDOG:?} and was killed; it had said: {}", self.said())
            }
        }
    }

    /// Waits for its end however long it works, and tells the most memory it has had resident; an end within a look is told as 0.
    ///
    /// # Errors
    /// When it hangs: it takes no processor time between two watchdogs.
    pub fn end_with_peak(&mut self) -> Result<(ExitStatus, u64)> {
        let (mut peak, mut worked, mut since) = (0, 0, Instant::now());
        loop {
            if let Some(status) = self.wait(Duration::from_millis(5))? {
                return Ok((status, peak));
            }
            // It may have ended since.
            peak = peak.max(self.peak_bytes().unwrap_or(0));
            if since.elapsed() > WATCHDOG {
                let now = self.cpu_ticks().unwrap_or(u64::MAX);
                if now == worked {
                    self.kill()?;
                    bail!("it hung for {WATCHDOG:?} and was killed; it had said: {}", self.said());
                }
                (worked, since) = (now, Instant::now());
            }
        }
    }

    /// Processor time that it has taken, in hundredths of a second.
    ///
    /// # Errors
    /// When the system does not tell (Linux does).
    pub fn cpu_ticks(&self) -> Result<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        // Behind the name, which may hold anything: fields 14 and 15 are user and system time.
        let (_, behind) = stat.rsplit_once(") ").context("no name")?;
        let fields: Vec<&str> = behind.split(' ').collect();
        let of = |field: usize| fields.get(field).and_then(|text| text.parse::<u64>().ok());
        Ok(of(11).context("no user time")? + of(12).context("no system time")?)
    }

    /// Waits until it has come to its end well.
    ///
    /// # Errors
    /// With what it said, when it has not.
    pub fn succeed(&mut self) -> Result<()> {
        let status = self.end()?;
        if !status.success() {
            bail!("it ended with {status}: {}", self.said());
        }
        Ok(())
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> Result<()> {
        if self.pid == self.child.id() {
            self.child.kill()?;
        } else {
            signal(self.pid, "KILL")?;
        }
        self.child.wait()?;
        Ok(())
    }

    /// `kill -NAME`.
    pub fn signal(&self, name: &str) -> Result<()> {
        signal(self.pid, name)
    }

    /// The most memory it has had resident.
    ///
    /// # Errors
    /// When the system does not tell (Linux does).
    pub fn peak_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).context("no VmHWM")?;
        Ok(kib.trim().parse::<u64>()? << 10)
    }

    /// What it has said on standard error.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.err).unwrap_or_default()).into_owned()
    }

    /// Waits until it has said this.
    ///
    /// # Errors
    /// When it ends or hangs before.
    pub fn says(&mut self, words: &str) -> Result<String> {
        let until = Instant::now() + WATCHDOG;
        loop {
            let said = self.said();
            if said.contains(words) {
                return Ok(said);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status} before it said `{words}`: {said}");
            }
            if Instant::now() > until {
                bail!("it never said `{words}`, but: {said}");
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Whether it has panicked: no fault is an excuse for that.
    pub fn panicked(&self) -> bool {
        self.said().contains("panicked at")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.pid != self.child.id() && matches!(self.child.try_wait(), Ok(None)) {
            let _ = signal(self.pid, "KILL");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What strace does to system calls.
#[derive(Debug, Clone, Copy)]
pub struct Trace<'a> {
    /// As in its `-e inject=`.
    pub inject: &'a str,
}

/// `kill -NAME PID`.
fn signal(pid: u32, name: &str) -> Result<()> {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status()?;
    if !status.success() {
        bail!("no signal {name} can be sent to {pid}");
    }
    Ok(())
}

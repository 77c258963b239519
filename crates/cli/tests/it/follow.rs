//! `run` without `--once`: inputs are followed until the run is told to stop.

use crate::support::{Ran, Workdir, counter, gz, shown};
use std::fs::{self, File};
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const METRICS: &str = "
    hits = \"count()\"
    sum = \"sum(n)\"
    users = \"unique(n)\"";

/// A pipeline over these files, with a state that is committed often.
fn dir(path: &str) -> Workdir {
    let dir = Workdir::new();
    dir.write(
        "p.toml",
        format!(
            "panes = [\"1s:1h\"]\ncheckpoint = {{ every = \"20ms\" }}\n[source.e]\npath = {path}\n\
             time = {{ field = \"ts\", unit = \"s\", idle = \"1s\" }}\nfields = {{ ts = \"int64\", n = \"int64\" }}\n\
             [metric]\n{METRICS}\n"
        ),
    );
    dir
}

fn line(n: u64) -> String {
    format!("{{\"ts\":{n},\"n\":{n}}}\n")
}

fn lines(numbers: std::ops::Range<u64>) -> String {
    numbers.map(line).collect()
}

/// A run that goes on until it is told to stop.
struct Running<'a> {
    dir: &'a Workdir,
    child: Option<Child>,
}

impl<'a> Running<'a> {
    fn start(dir: &'a Workdir) -> Running<'a> {
        let child = dir
            .command(&["run", "p.toml", "--state", "s", "--format", "json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        Running { dir, child: Some(child) }
    }

    /// Waits until so many records are in a commit.
    fn has_read(&mut self, records: u64) {
        let wanted = format!("records    {records} read");
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let told = self.dir.call(&["inspect", "s"]);
            if told.out.replace(',', "").contains(&wanted) {
                return;
            }
            let ended = self.child.as_mut().and_then(|child| child.try_wait().expect("a child"));
            assert!(ended.is_none(), "the run ended: {:?}", self.stop());
            assert!(Instant::now() < deadline, "{wanted} is not in:\n{told:?}\n{:?}", self.stop());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// `kill -9`.
    fn kill(mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    /// SIGTERM, and what it reports then.
    fn stop(&mut self) -> Ran {
        let child = self.child.take().expect("it runs");
        let pid = child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let output = child.wait_with_output().expect("it ends");
        Ran {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn append(dir: &Workdir, name: &str, text: &str) {
    let file = File::options().append(true).create(true).open(dir.path().join(name));
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("a file that grows");
}

fn rename(dir: &Workdir, from: &str, to: &str) {
    fs::rename(dir.path().join(from), dir.path().join(to)).expect("a file can be renamed");
}

/// What a run over events 1 to `last` says.
fn says_all(ran: &Ran, last: u64) {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let answers = ran.answers();
    assert_eq!(counter(&answers, "read"), last, "{ran:?}");
    assert_eq!(counter(&answers, "bad"), 0, "{ran:?}");
    assert_eq!(shown(&answers, "hits"), [format!("={last}")], "{ran:?}");
    assert_eq!(shown(&answers, "sum"), [format!("={}", last * (last + 1) / 2)], "{ran:?}");
}

#[test]
fn files_are_followed_as_tail_does() {
    let dir = dir("\"log*.ndjson\"");
    let mut run = Running::start(&dir);
    // Nothing is there yet; then a file comes, and a line in two parts.
    append(&dir, "log.ndjson", &lines(1..4));
    run.has_read(3);
    append(&dir, "log.ndjson", "{\"ts\":4,");
    append(&dir, "log.ndjson", "\"n\":4}\n");
    run.has_read(4);
    // Rotated to a name that no pattern matches; the writer goes on for a moment.
    rename(&dir, "log.ndjson", "old");
    append(&dir, "old", &line(5));
    append(&dir, "log.ndjson", &line(6));
    run.has_read(6);
    // Rotated to one that matches, and read on there.
    rename(&dir, "log.ndjson", "log.1.ndjson");
    append(&dir, "log.1.ndjson", &line(7));
    append(&dir, "log.ndjson", &line(8));
    run.has_read(8);
    // Truncated where it is, with a last line that never ended.
    append(&dir, "log.ndjson", line(9).trim_end());
    run.has_read(8);
    std::thread::sleep(Duration::from_millis(100));
    File::create(dir.path().join("log.ndjson")).expect("it can be truncated");
    append(&dir, "log.ndjson", &line(10));
    run.has_read(10);
    // Others join, compressed ones too.
    append(&dir, "log.2.ndjson", &lines(11..21));
    dir.write("log.3.ndjson", gz(lines(21..31).as_bytes()));
    run.has_read(30);
    says_all(&run.stop(), 30);

    // Rotated away while nothing runs.
    append(&dir, "log.ndjson", &line(31));
    rename(&dir, "log.ndjson", "older");
    append(&dir, "log.ndjson", &line(32));
    let mut run = Running::start(&dir);
    run.has_read(32);
    says_all(&run.stop(), 32);
    // To the end, with the same state.
    append(&dir, "log.ndjson", &line(33));
    let ran = dir.run(&["--state", "s", "--format", "json"]);
    says_all(&ran, 33);
}

#[test]
fn killed_while_a_file_grows_and_rotates_nothing_is_lost_or_doubled() {
    let dir = dir("\"log.ndjson\"");
    let (mut next, mut random) = (1, 7u64);
    let mut run = Running::start(&dir);
    for round in 0..30 {
        eprintln!("round {round}, {next} events");
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let until = next + 1 + (random >> 40) % 2_000;
        append(&dir, "log.ndjson", &lines(next..until));
        next = until;
        std::thread::sleep(Duration::from_millis((random >> 20) % 60));
        if round % 3 == 2 {
            // At most one rotation between two looks, as a rotation leaves the file before beside its place.
            run.has_read(next - 1);
            rename(&dir, "log.ndjson", &format!("old-{round}"));
            append(&dir, &format!("old-{round}"), &line(next));
            append(&dir, "log.ndjson", &line(next + 1));
            next += 2;
        }
        run.kill();
        run = Running::start(&dir);
    }
    run.has_read(next - 1);
    says_all(&run.stop(), next - 1);
}

#[test]
fn a_silent_file_holds_nobody_back() {
    let dir = dir("[\"a.ndjson\", \"b.ndjson\"]");
    append(&dir, "a.ndjson", &lines(1..3));
    let mut run = Running::start(&dir);
    append(&dir, "b.ndjson", &lines(3..11));
    run.has_read(10);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !dir.call(&["inspect", "s", "--format", "json"]).out.contains("00:00:10") {
        assert!(Instant::now() < deadline, "{:?}", dir.call(&["inspect", "s"]));
        std::thread::sleep(Duration::from_millis(20));
    }
    // It is heard again, and what it says is late.
    append(&dir, "a.ndjson", &line(1));
    run.has_read(11);
    let answers = run.stop().answers();
    assert_eq!(counter(&answers, "late"), 1);
    assert_eq!(shown(&answers, "hits"), ["=11"]);
}

#[test]
fn standard_input_is_followed_to_its_end() {
    let dir = dir("\"-\"\nformat = \"ndjson\"");
    let ran = dir.call_with(&["run", "p.toml", "--format", "json"], lines(1..1_001).as_bytes());
    says_all(&ran, 1_000);
    let ran = dir.call_with(&["run", "p.toml", "--format", "json"], &gz(lines(1..1_001).as_bytes()));
    says_all(&ran, 1_000);
    let ran = dir.call_with(&["run", "p.toml", "--state", "s"], b"");
    ran.expect(2, &["can be read only once"]);
}

#[test]
fn a_line_that_never_ends_costs_one_bad_record() {
    let dir = dir("\"log.ndjson\"");
    let mut run = Running::start(&dir);
    append(&dir, "log.ndjson", &line(1));
    run.has_read(1);
    for _ in 0..5 {
        append(&dir, "log.ndjson", &"x".repeat(600 << 10));
        std::thread::sleep(Duration::from_millis(30));
    }
    append(&dir, "log.ndjson", &format!("\n{}", line(2)));
    run.has_read(3);
    let answers = run.stop().answers();
    assert_eq!(counter(&answers, "bad"), 1);
    assert_eq!(shown(&answers, "hits"), ["=2"]);
}

#[test]
fn a_file_that_is_written_anew_where_it_is_is_read_from_its_beginning() {
    for (before, after) in [(10, 30), (1_000, 3_000), (3_000, 20)] {
        let dir = dir("\"log.ndjson\"");
        append(&dir, "log.ndjson", &lines(1..before + 1));
        let mut run = Running::start(&dir);
        run.has_read(before);
        // As `cat new > log.ndjson` does: truncated and written in one go, other bytes from the first one on.
        fs::write(dir.path().join("log.ndjson"), lines(before + 1..before + after + 1))
            .expect("it is written");
        run.has_read(before + after);
        says_all(&run.stop(), before + after);
    }
}

#[test]
fn files_that_were_silent_are_all_heard_again() {
    let dir = dir("\"log-*.ndjson\"");
    const FILES: u64 = 200;
    for n in 1..=FILES {
        append(&dir, &format!("log-{n}.ndjson"), &line(n));
    }
    let mut run = Running::start(&dir);
    run.has_read(FILES);
    // They step aside after a second.
    std::thread::sleep(Duration::from_millis(1_500));
    // Were one heard at each look at the directory, it would take longer than is waited for.
    for n in 1..=FILES {
        append(&dir, &format!("log-{n}.ndjson"), &line(FILES + n));
    }
    run.has_read(2 * FILES);
    says_all(&run.stop(), 2 * FILES);
}

#[test]
fn rotations_faster_than_the_writers_let_go_lose_nothing() {
    let dir = dir("\"log.ndjson\"");
    append(&dir, "log.ndjson", &lines(1..101));
    let mut run = Running::start(&dir);
    run.has_read(100);
    for round in 1..4u64 {
        rename(&dir, "log.ndjson", &format!("old-{round}"));
        append(&dir, "log.ndjson", &lines(round * 100 + 1..round * 100 + 101));
        // Longer than a look at the directory takes, shorter than the time a file is waited for.
        std::thread::sleep(Duration::from_millis(900));
    }
    run.has_read(400);
    says_all(&run.stop(), 400);
}

#[test]
fn what_was_read_to_its_end_holds_no_watermark_back() {
    let dir = dir("\"log-*.ndjson\"");
    append(&dir, "log-a.ndjson", &lines(1..11));
    append(&dir, "log-b.ndjson", &lines(11..21));
    let ran = dir.run(&["--state", "s", "--format", "json"]);
    says_all(&ran, 20);
    assert!(dir.call(&["inspect", "s", "--format", "json"]).out.contains("00:00:20Z"));
    let mut run = Running::start(&dir);
    append(&dir, "log-a.ndjson", &lines(21..1_001));
    run.has_read(1_000);
    let ran = run.stop();
    says_all(&ran, 1_000);
    assert_eq!(ran.answers()[0]["complete_to"], "1970-01-01T00:16:40Z", "{ran:?}");
}

#[cfg(unix)]
#[test]
fn one_entry_that_cannot_be_looked_at_is_left_out() {
    let dir = dir("[\"log-*.ndjson\", \"log-*.ndjson.gz\"]");
    append(&dir, "log-a.ndjson", &lines(1..11));
    std::os::unix::fs::symlink("/nonexistent", dir.path().join("log-b.ndjson")).expect("a link");
    let whole = gz(lines(21..31).as_bytes());
    dir.write("log-c.ndjson.gz", &whole[..whole.len() / 2]);
    let mut run = Running::start(&dir);
    append(&dir, "log-d.ndjson", &lines(11..21));
    run.has_read(20);
    // Its size stays for longer than it must to be taken for whole; then the writer goes on.
    std::thread::sleep(Duration::from_secs(2));
    dir.write("log-c.ndjson.gz", &whole);
    run.has_read(30);
    let ran = run.stop();
    says_all(&ran, 30);
    assert!(ran.err.contains("is left out") && ran.err.contains("is damaged"), "{}", ran.err);
}

#[test]
fn panes_of_arrival_close_though_nothing_comes() {
    let dir = dir("\"log.ndjson\"");
    let text = dir
        .read("p.toml")
        .replace("time = { field = \"ts\", unit = \"s\", idle = \"1s\" }", "time = \"arrival\"");
    dir.write(
        "p.toml",
        format!("{text}[sink.out]\nkind = \"file\"\npath = \"panes.json\"\nmetrics = [\"hits\"]\n"),
    );
    append(&dir, "log.ndjson", &lines(1..4));
    let mut run = Running::start(&dir);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !dir.has("panes.json") || dir.read("panes.json").is_empty() {
        assert!(Instant::now() < deadline, "no pane has left");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(dir.read("panes.json").contains("\"value\":3"), "{}", dir.read("panes.json"));
    assert_eq!(run.stop().code, Some(0));
}

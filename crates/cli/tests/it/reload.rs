//! A pipeline that changes while its state is kept: `--migrate`, and SIGHUP in a run that goes on.

use crate::support::{Ran, Workdir, counter, shown};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A pipeline with these metrics.
fn pipeline(metrics: &str) -> String {
    format!(
        "panes = [\"1s:1h\"]\ncheckpoint = {{ every = \"20ms\" }}\n[source.e]\npath = \"log*.ndjson\"\n\
         time = {{ field = \"ts\", unit = \"s\", idle = \"1s\" }}\nfields = {{ ts = \"int64\", n = \"int64\" }}\n\
         [metric]\n{metrics}\n"
    )
}

fn lines(numbers: std::ops::Range<u64>) -> String {
    numbers.map(|n| format!("{{\"ts\":{},\"n\":{n},\"u\":\"u{}\"}}\n", 1_000 + n / 10, n % 7)).collect()
}

fn append(dir: &Workdir, text: &str) {
    let file = File::options().append(true).create(true).open(dir.path().join("log.ndjson"));
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("a file that grows");
}

/// A run that goes on, and what it says meanwhile.
struct Running<'a> {
    dir: &'a Workdir,
    child: Option<Child>,
    said: Arc<Mutex<String>>,
}

impl<'a> Running<'a> {
    fn start(dir: &'a Workdir, args: &[&str]) -> Running<'a> {
        let mut child = dir
            .command(&[&["run", "p.toml", "--format", "json"], args].concat())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let said = Arc::new(Mutex::new(String::new()));
        let (lines, out) = (BufReader::new(child.stderr.take().expect("a pipe")), said.clone());
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                out.lock().expect("no panic").push_str(&(line + "\n"));
            }
        });
        Running { dir, child: Some(child), said }
    }

    fn said(&self) -> String {
        self.said.lock().expect("no panic").clone()
    }

    fn signal(&self, name: &str) {
        let pid = self.child.as_ref().expect("it runs").id().to_string();
        let _ = Command::new("kill").args([name, &pid]).status();
    }

    fn wait(&mut self, what: &str, done: impl Fn(&Running<'_>) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !done(self) {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().expect("a child"));
            assert!(ended.is_none(), "it ended before {what}: {}", self.said());
            assert!(Instant::now() < deadline, "{what} never came: {}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends SIGHUP, and waits until this was said once more than before.
    fn reload(&mut self, answer: &str) {
        let count = |run: &Running<'_>| run.said().matches(answer).count();
        let before = count(self);
        self.signal("-HUP");
        self.wait(answer, |run| count(run) > before);
    }

    fn has_read(&mut self, records: u64) {
        let wanted = format!("records    {records} read");
        self.wait(&wanted, |run| run.dir.call(&["inspect", "s"]).out.replace(',', "").contains(&wanted));
    }

    fn kill(mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    fn stop(mut self) -> Ran {
        self.signal("-TERM");
        let output = self.child.take().expect("it runs").wait_with_output().expect("it ends");
        // The thread that reads what is said comes to its end as well.
        std::thread::sleep(Duration::from_millis(50));
        Ran {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: self.said(),
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

const TWO: &str = "hits = { measure = \"count()\", by = [[], [\"u\"]] }\nsum = \"sum(n)\"";
const THREE: &str =
    "users = \"unique(u)\"\nsum = \"sum(n)\"\nhits = { measure = \"count()\", by = [[\"u\"], []] }";
const ANEW: &str = "was read anew, and the run goes on with it";

#[test]
fn a_pipeline_is_read_anew_while_its_events_are_counted_once() {
    let dir = Workdir::new();
    dir.write("p.toml", pipeline(TWO));
    append(&dir, &lines(0..300));
    let mut run = Running::start(&dir, &["--state", "s"]);
    run.has_read(300);
    run.reload("has not changed; it runs on");
    // Two bad files, events in between.
    dir.write("p.toml", pipeline(&TWO.replace("sum(n)", "sun(n)")));
    append(&dir, &lines(300..400));
    run.reload("the pipeline runs on as it was");
    run.wait("the line", |run| run.said().contains("p.toml:9") && run.said().contains("did you mean `sum`"));
    dir.write(
        "p.toml",
        pipeline(TWO).replace("path = \"log*.ndjson\"", "kind = \"http\"").replace(", idle = \"1s\"", ""),
    );
    run.reload("the pipeline runs on as it was");
    run.wait("the source", |run| run.said().contains("its state cannot go on with source `e`"));
    dir.write("p.toml", "[source");
    append(&dir, &lines(400..500));
    run.reload("the pipeline runs on as it was");
    run.has_read(500);
    // A metric joins, and the others stand elsewhere.
    dir.write("p.toml", pipeline(THREE));
    run.reload(ANEW);
    assert!(run.said().contains("kept: `sum`, `hits`; begin now: `users`"), "{}", run.said());
    append(&dir, &lines(500..503));
    run.has_read(503);
    // Other files, more often.
    dir.write("p.toml", pipeline(THREE).replace("20ms", "10ms"));
    append(&dir, &lines(503..700));
    run.reload(ANEW);
    append(&dir, &lines(700..702));
    run.has_read(702);
    // A metric goes and comes back: it begins.
    dir.write("p.toml", pipeline(&THREE.replace("sum = \"sum(n)\"\n", "")));
    run.reload(ANEW);
    dir.write("p.toml", pipeline(THREE));
    run.reload(ANEW);
    append(&dir, &lines(702..705));
    run.has_read(705);
    let told = run.stop();
    assert_eq!(told.code, Some(0), "{told:?}");
    let answers = told.answers();
    assert_eq!(counter(&answers, "read"), 705, "{told:?}");
    let hits = shown(&answers, "hits");
    assert!(hits.contains(&"=705".to_string()) && hits.contains(&"u0=101".to_string()), "{hits:?}");
    assert_eq!(shown(&answers, "users"), ["=7"], "{told:?}");
    assert_eq!(shown(&answers, "sum"), [format!("={}", 702 + 703 + 704)], "{told:?}");
    told.expect(
        0,
        &[
            "note: source `e`: `users` began after 500 records",
            "note: source `e`: `sum` began after 702 records",
        ],
    );
    assert!(!told.err.contains("`hits` began"), "{}", told.err);
    let inspected = dir.call(&["inspect", "s"]);
    assert!(inspected.out.contains("`sum` began after 702 records (watermark"), "{inspected:?}");
}

#[test]
fn killed_around_the_reload_it_loses_nothing() {
    let dir = Workdir::new();
    let pipelines = [pipeline(TWO), pipeline(THREE)];
    dir.write("p.toml", &pipelines[0]);
    append(&dir, &lines(0..100));
    let (mut written, mut random, mut turns) = (100, 7u64, 0);
    // Until so many pipelines have taken the place of another one, however slow the machine is.
    let mut round = 0;
    while round < 24 || turns < 6 {
        assert!(round < 500, "{turns} changes of the pipeline in {round} rounds");
        let mut run = Running::start(&dir, &["--state", "s", "--migrate"]);
        if round % 4 == 0 {
            run.has_read(written);
        }
        // Before its handlers are there a signal ends it, as a kill does.
        std::thread::sleep(Duration::from_millis(30));
        dir.write("p.toml", &pipelines[(round + 1) % 2]);
        append(&dir, &lines(written..written + 50));
        written += 50;
        run.signal("-HUP");
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_micros((random >> 33) % (100_000 + 5_000 * round as u64)));
        turns += run.said().matches("goes on under another pipeline").count();
        run.kill();
        round += 1;
    }
    let ran = dir.run(&["--state", "s", "--migrate", "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let answers = ran.answers();
    assert_eq!(counter(&answers, "read"), written, "{ran:?}");
    let hits = shown(&answers, "hits");
    assert!(hits.contains(&format!("={written}")), "{hits:?}");
    assert_eq!(shown(&answers, "sum"), [format!("={}", written * (written - 1) / 2)], "{ran:?}");
}

#[test]
fn without_a_state_it_is_refused_and_the_run_goes_on() {
    let dir = Workdir::new();
    dir.write("p.toml", pipeline(TWO));
    append(&dir, &lines(0..10));
    let mut run = Running::start(&dir, &[]);
    // Nobody can look into it: the handlers are there a moment after it has begun.
    std::thread::sleep(Duration::from_millis(500));
    dir.write("p.toml", pipeline(THREE));
    run.reload("only a run with --state can go on with another one");
    let told = run.stop();
    assert_eq!(told.code, Some(0), "{told:?}");
    let answers = told.answers();
    assert_eq!(shown(&answers, "sum"), ["=45"], "{told:?}");
    assert!(shown(&answers, "users").is_empty(), "{told:?}");
}

fn post(address: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).expect("it takes it");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn the_door_stays_open_while_the_pipeline_changes() {
    let dir = Workdir::new();
    let over_http = |metrics: &str| {
        pipeline(metrics)
            .replace("path = \"log*.ndjson\"", "kind = \"http\"")
            .replace("panes =", "serve = { listen = \"127.0.0.1:0\" }\npanes =")
            .replace(", idle = \"1s\"", "")
    };
    dir.write("p.toml", over_http(TWO));
    let mut run = Running::start(&dir, &["--state", "s"]);
    run.wait("the address", |run| run.said().contains("listening on http://"));
    let said = run.said();
    let address =
        said.split("listening on http://").nth(1).and_then(|rest| rest.lines().next()).expect("an address");
    assert!(post(address, &lines(0..100)).starts_with("HTTP/1.1 200"));
    dir.write("p.toml", over_http(THREE));
    // Somebody sends all the time.
    let sender = {
        let address = address.to_string();
        std::thread::spawn(move || {
            (0..40)
                .for_each(|i| assert!(post(&address, &lines(100 + i..101 + i)).starts_with("HTTP/1.1 200")));
        })
    };
    run.reload(ANEW);
    sender.join().expect("all was taken");
    run.has_read(140);
    assert_eq!(run.said().matches("listening on").count(), 1, "{}", run.said());
    // Another limit: the same address, opened anew.
    dir.write("p.toml", over_http(THREE).replace("127.0.0.1:0\"", "127.0.0.1:0\", body_max = \"1KiB\""));
    run.reload(ANEW);
    assert_eq!(run.said().matches("listening on").count(), 2, "{}", run.said());
    // Another view: whoever asks finds it.
    dir.write("p.toml", over_http(THREE) + "[view]\nmany = \"select value from hits(by => '')\"\n");
    run.reload(ANEW);
    let said = run.said();
    let address = said.rsplit("listening on http://").next().and_then(|rest| rest.lines().next());
    let (status, answer) = crate::asked::sql(address.expect("an address"), "select * from many");
    assert_eq!((status, &answer["rows"][0][0]), (200, &serde_json::json!(140)), "{answer}");
    let told = run.stop();
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(shown(&told.answers(), "hits").contains(&"=140".to_string()), "{told:?}");
}

#[test]
fn a_state_of_another_pipeline_goes_on_when_it_is_asked_to() {
    let dir = Workdir::new();
    let with_sink =
        |metrics: &str| pipeline(metrics) + "[sink.out]\nkind = \"file\"\npath = \"panes.ndjson\"\n";
    dir.write("p.toml", with_sink(TWO));
    append(&dir, &lines(0..300));
    assert_eq!(dir.run(&["--state", "s"]).code, Some(0));
    dir.write("p.toml", with_sink(THREE));
    dir.run(&["--state", "s"])
        .expect(2, &["metric `users` is new", "streamgauge diff s p.toml", "--migrate"]);
    dir.run(&["--migrate"]).expect(2, &["--state"]);
    append(&dir, &lines(300..600));
    let ran = dir.run(&["--state", "s", "--migrate", "--format", "json"]);
    ran.expect(0, &["kept: `sum`, `hits`; begin now: `users`", "`users` began after 300 records"]);
    let answers = ran.answers();
    assert_eq!(shown(&answers, "sum"), [format!("={}", 600 * 599 / 2)], "{ran:?}");
    // The state is of the new pipeline now, and still knows.
    append(&dir, &lines(600..700));
    let again = dir.run(&["--state", "s", "--format", "json"]);
    again.expect(0, &["`users` began after 300 records"]);
    assert_eq!(shown(&again.answers(), "sum"), [format!("={}", 700 * 699 / 2)]);
    // Metrics that stand elsewhere now are no other pipeline.
    dir.write(
        "p.toml",
        with_sink(
            &THREE.replace("users = \"unique(u)\"\n", "").replace("sum =", "users = \"unique(u)\"\nsum ="),
        ),
    );
    let turned = dir.run(&["--state", "s", "--format", "json"]);
    turned.expect(0, &["`users` began after 300 records"]);
    assert_eq!(shown(&turned.answers(), "sum"), [format!("={}", 700 * 699 / 2)]);
    // Every pane has left once, whatever number its metric had.
    let panes = dir.read("panes.ndjson");
    let of_sum = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        (row["metric"] == "sum").then(|| (row["start"].to_string(), row["value"].as_u64().expect("a sum")))
    };
    let mut sums: Vec<(String, u64)> = panes.lines().filter_map(of_sum).collect();
    let told = sums.len();
    sums.sort();
    sums.dedup_by_key(|(start, _)| start.clone());
    // The last second has not closed.
    let (closed, to) = (69, 690);
    assert_eq!((told, sums.len()), (closed, closed), "{panes}");
    assert_eq!(sums.iter().map(|(_, sum)| sum).sum::<u64>(), to * (to - 1) / 2);
    // Another time: everything begins, the counters stay.
    dir.write("p.toml", with_sink(THREE).replace("field = \"ts\"", "field = \"n\""));
    let ran = dir.run(&["--state", "s", "--format", "json"]);
    ran.expect(
        2,
        &["source `e` has another event time: ts (seconds) -> n (seconds), so everything begins anew"],
    );
    append(&dir, &lines(700..710));
    let ran = dir.run(&["--state", "s", "--migrate", "--format", "json"]);
    ran.expect(0, &["`sum` began after 700 records and holds"]);
    assert_eq!(counter(&ran.answers(), "read"), 710);
    assert!(shown(&ran.answers(), "hits").contains(&"=10".to_string()), "{ran:?}");
}

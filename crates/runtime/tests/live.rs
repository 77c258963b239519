//! A run that is asked while it goes on: whatever moment one catches, its numbers belong together.

use engine::answer::{Answer, Number};
use engine::moment::Moment;
use engine::spec::{Ask, Field, Format, Kind, Measure, Metric, Question, Source};
use runtime::{Input, Job, Live, Sink, expand, run};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const EVENTS: usize = 400_000;
const RUNS_MAX: usize = 50;

fn source() -> Source {
    let metric = |name: &str, by: Vec<Vec<usize>>| Metric {
        name: name.into(),
        measure: Measure::Count,
        filter: None,
        by,
        groups_max: 100,
        levels: Vec::new(),
        total: true,
    };
    Source {
        fields: vec![Field { path: "user".into(), kind: Kind::String }],
        metrics: vec![metric("hits", vec![vec![], vec![0]])],
        ..Source::new("events", Format::Ndjson)
    }
}

fn counts(moment: &Moment) -> (i128, i128) {
    let (mut total, mut groups) = (0, 0);
    let mut count = |answer: Answer| {
        let Some(Number::Int(n)) = answer.reading.value else { panic!("{answer:?}") };
        if answer.by.is_empty() { total += n } else { groups += n }
    };
    moment.ask(0, None, Ask::Of(Question::Total), &mut |answer, _| count(answer)).expect("a total");
    (total, groups)
}

#[test]
fn every_moment_is_one_of_whole_blocks() {
    let directory = std::env::temp_dir().join(format!("streamgauge-live-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join("events.ndjson");
    let mut text = String::new();
    (0..EVENTS).for_each(|i| writeln!(text, "{{\"user\":\"u{}\"}}", i % 17).expect("text"));
    std::fs::write(&path, text).expect("a file");

    // A run may be over before anybody is heard, where others keep the machine busy: then it is run again.
    let mut runs = (0..RUNS_MAX).map(|_| asked_meanwhile(&directory, &path));
    assert!(runs.any(|seen| !seen.is_empty()), "nobody was answered");
    std::fs::remove_dir_all(&directory).expect("it is ours");
}

/// Totals of the moments that somebody caught who asked all the time.
fn asked_meanwhile(directory: &Path, path: &Path) -> Vec<i128> {
    let source = source();
    // Every question is answered anew.
    let live = Arc::new(Live::new(Arc::new(source.clone()), Duration::ZERO));
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let asks = scope.spawn(|| {
            let mut seen = Vec::new();
            while !done.load(Ordering::Acquire) {
                let Ok(moment) = live.moment() else { continue };
                let (total, groups) = counts(&moment);
                assert_eq!(total, groups, "shards of one moment");
                assert_eq!(total, i128::from(moment.tally().accepted()), "the intake of the same moment");
                seen.push(total);
            }
            seen
        });
        let input = Input::Files(expand(&[path.display().to_string()], &[PathBuf::new()]).expect("the file"));
        let job = Job {
            source: &source,
            kept: &source,
            program: None,
            annotate: None,
            input,
            quarantine: directory.join("quarantine"),
            shards: 2,
            workers: 2,
            memory_bytes: 1 << 30,
            save: false,
            sinks: Vec::<Sink>::new(),
            every: Duration::from_secs(5),
            keep: None,
            live: Some(Arc::clone(&live)),
        };
        let finished = run(job, &|_| ()).expect("a run");
        assert_eq!(finished.tally.accepted(), EVENTS as u64);
        done.store(true, Ordering::Release);
        asks.join().expect("whoever asks")
    });
    assert!(seen.is_sorted(), "a later moment is a later one");
    seen
}

#[test]
fn a_run_that_has_not_begun_says_so() {
    let live = Live::new(Arc::new(source()), Duration::ZERO);
    let why = live.moment().expect_err("nothing is measured");
    assert!(why.contains("`events` is not measured yet"), "{why}");
}

//! Sliding windows against runs over the events of one window alone, where state does not depend on order.

use crate::support::{metric, source, time, windows};
use arrow_array::{Int64Array, StringArray};
use engine::answer::Answer;
use engine::batch::{Batch, Place};
use engine::column::Column;
use engine::intake::Intake;
use engine::outlet::Outlet;
use engine::shard::Shard;
use engine::spec::{Field, Kind, Measure, Question, Source};
use engine::time::{SECOND, Time};
use std::collections::BTreeMap;

const USER: usize = 0;
const NUMBER: usize = 1;

/// Number of the event, second, user, number.
type Event = (u32, i64, u64, i64);

fn measured(levels: &str) -> Source {
    let field = NUMBER;
    let by_user = || vec![vec![], vec![USER]];
    let all = |name: &str, measure: Measure| metric(name, measure, by_user(), levels);
    let metrics = vec![
        all("n", Measure::Count),
        all("sum", Measure::Sum(field)),
        all("mean", Measure::Avg(field)),
        all("spread", Measure::Stddev(field)),
        all("least", Measure::Min(field)),
        all("most", Measure::Max(field)),
        all("users", Measure::Unique { field: USER, lg_k: 4 }),
        all("crowd", Measure::Audience { field: NUMBER, lg_k: 5 }),
        all("q", Measure::Quantiles { field, bits: 5, at: vec![0.0, 0.5, 0.9, 1.0] }),
        all("h", Measure::Histogram { field, bounds: None }),
        all("some", Measure::Sample { fields: vec![USER, NUMBER], k: 3 }),
    ];
    Source {
        fields: vec![
            Field { path: "user".into(), kind: Kind::String },
            Field { path: "number".into(), kind: Kind::Int64 },
        ],
        ..source(time("5s", None), metrics)
    }
}

fn answers(source: &Source, events: &[Event], question: Question) -> Vec<Answer> {
    let (mut intake, mut shard) = (Intake::new(source), Shard::new(source, u64::MAX));
    let batch = Batch {
        rows: events.len(),
        times: events.iter().map(|(_, t, ..)| Time(t * SECOND)).collect(),
        columns: vec![
            Column::String(StringArray::from_iter_values(events.iter().map(|(_, _, u, _)| format!("u{u}")))),
            Column::Int64(events.iter().map(|(.., n)| Some(*n)).collect::<Int64Array>()),
        ],
        places: events.iter().map(|(i, ..)| Place { start: i * 10, len: 9, line: 0 }).collect(),
        ..Batch::empty(0, 0)
    };
    let mut ready = intake.push(batch);
    ready.extend(intake.finish(0));
    ready.iter().for_each(|judged| shard.apply(judged));
    Outlet::new(source, vec![shard], intake.tally(), intake.watermark()).answers(question)
}

/// Readings by metric and group, of the answers that begin then.
fn readings(answers: Vec<Answer>, start: Option<Time>) -> BTreeMap<String, engine::answer::Reading> {
    let own = answers.into_iter().filter(|a| a.start == start && a.metric != "sg.source");
    own.map(|a| (format!("{} {:?}", a.metric, a.by), a.reading)).collect()
}

#[test]
fn every_window_is_that_of_its_events_alone() {
    let mut seed = 7u64;
    let mut below = |n: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % n
    };
    let mut now = 1_000;
    let events: Vec<Event> = (0..900)
        .map(|i| {
            // Now and then nothing happens for longer than a window.
            now += if below(300) == 0 { 200 } else { below(3) as i64 };
            (i, now, below(12) * below(8), below(100_000) as i64 - 500)
        })
        .collect();
    let (kept, total) = (measured("1s:1d 10s:1d"), measured(""));
    for (window, every) in [("60s", "1s"), ("60s", "10s"), ("40s", "10s"), ("7s", "1s")] {
        let sliding = answers(&kept, &events, windows(window, every));
        let window: i64 = window.trim_end_matches('s').parse().unwrap();
        let starts: std::collections::BTreeSet<Time> = sliding.iter().filter_map(|a| a.start).collect();
        assert!(starts.len() > 50);
        for start in starts.into_iter().step_by(11) {
            let first = start.0 / SECOND;
            let within: Vec<Event> =
                events.iter().copied().filter(|(_, t, ..)| (first..first + window).contains(t)).collect();
            let alone = readings(answers(&total, &within, Question::Total), None);
            let own: Vec<Answer> = sliding.iter().filter(|a| a.start == Some(start)).cloned().collect();
            let own = readings(own, Some(start));
            assert_eq!(own.len(), alone.len());
            for (key, reading) in own {
                assert_eq!(Some(&reading), alone.get(&key), "{key}: {window} s every {every} from {first}");
            }
        }
    }
}

//! Groups that no event reaches any more are forgotten, alike for any number of shards.

use crate::support::{metric, time};
use arrow_array::StringArray;
use engine::Engine;
use engine::answer::{Answer, Number};
use engine::batch::Batch;
use engine::column::Column;
use engine::idle::IdleGroups;
use engine::spec::{Field, Kind, Measure, Question, Source};
use engine::time::{SECOND, Span, Time};
use sketch::Reader;

/// Second, user.
type Event = (i64, &'static str);

fn source(ttl: Option<i64>) -> Source {
    let metrics = vec![metric("hits", Measure::Count, vec![vec![], vec![0]], "1m:1h")];
    let fields = vec![Field { path: "user".into(), kind: Kind::String }];
    let groups_ttl = ttl.map(|seconds| Span(seconds * SECOND));
    Source { fields, groups_ttl, ..crate::support::source(time("0s", None), metrics) }
}

fn batch(number: u64, events: &[Event]) -> Batch {
    Batch {
        rows: events.len(),
        times: events.iter().map(|(t, _)| Time(t * SECOND)).collect(),
        columns: vec![Column::String(StringArray::from_iter_values(events.iter().map(|(_, user)| *user)))],
        lines: events.len() as u64,
        ..Batch::empty(0, number)
    }
}

fn answers(source: &Source, events: &[Event], shards: usize) -> Vec<Answer> {
    let mut engine = Engine::new(source, None, shards, u64::MAX).expect("an engine");
    for (number, events) in events.chunks(3).enumerate() {
        engine.push_batch(batch(number as u64, events));
    }
    engine.answers(Question::Total)
}

/// Group and count, the other group as "(other)".
fn counts(answers: &[Answer]) -> Vec<(String, i128, bool)> {
    let of = |answer: &Answer| {
        let Some(Number::Int(count)) = answer.reading.value else { panic!("{answer:?}") };
        let name = match answer.by.first() {
            _ if answer.other => "(other)".into(),
            None => "all".into(),
            Some((_, engine::answer::Key::String(user))) => user.clone(),
            Some((_, key)) => panic!("{key:?}"),
        };
        (name, count, answer.reading.is_exact())
    };
    answers.iter().filter(|answer| answer.metric == "hits").map(of).collect()
}

/// `a` is there all the time, every ten seconds; `b` only in the first 100 s and again at 1,000 s.
fn events() -> Vec<Event> {
    let mut events = Vec::new();
    for t in (0..2_000).step_by(10) {
        events.push((t, "a"));
        if t < 100 || t == 1_000 {
            events.push((t, "b"));
        }
    }
    events
}

#[test]
fn who_is_silent_is_forgotten_and_begins_anew() {
    // The other group does not know which groups it holds, so it is never called exact.
    let named = |name: &str, count| (name.to_string(), count, name != "(other)");
    for shards in 1..=4 {
        let all = counts(&answers(&source(None), &events(), shards));
        assert_eq!(all, [named("all", 211), named("a", 200), named("b", 11)]);
        // Until 1,900 s it is remembered that it came again at 1,000 s.
        let until = events().into_iter().filter(|(t, _)| *t < 1_300).collect::<Vec<_>>();
        let some = counts(&answers(&source(Some(400)), &until, shards));
        assert_eq!(
            some,
            [named("all", 141), named("a", 130), named("b", 1), named("(other)", 10)],
            "{shards} shards"
        );
        let gone = counts(&answers(&source(Some(400)), &events(), shards));
        assert_eq!(gone, [named("all", 211), named("a", 200), named("(other)", 11)], "{shards} shards");
    }
}

#[test]
fn what_was_seen_is_kept_and_any_bytes_are_survived() {
    let source = source(Some(400));
    let mut shard = engine::shard::Shard::new(&source, u64::MAX);
    let mut intake = engine::intake::Intake::new(&source);
    for (number, events) in events().chunks(50).enumerate() {
        intake.push(batch(number as u64, events)).iter().for_each(|judged| shard.apply(judged));
    }
    let mut idle = IdleGroups::new(&source);
    idle.look(Time(0), &mut [&mut shard]);
    idle.look(Time(100 * SECOND), &mut [&mut shard]);
    let mut bytes = Vec::new();
    idle.snapshot(&mut bytes);
    assert_eq!(IdleGroups::restore(&source, &mut Reader::new(&bytes)), Ok(idle));
    for cut in 0..bytes.len() {
        assert!(IdleGroups::restore(&source, &mut Reader::new(&bytes[..cut])).is_err(), "{cut} bytes");
        for bit in 0..8 {
            let mut bad = bytes.clone();
            bad[cut] ^= 1 << bit;
            // Whatever it reads, it reads without end nor panic.
            let _ = IdleGroups::restore(&source, &mut Reader::new(&bad));
        }
    }
}

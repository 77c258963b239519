//! A source is asked while it is measured on: every answer is that of the events before the moment, by counting them.

use crate::support::{batch, metric, source, time};
use engine::answer::{Answer, Key, Number};
use engine::intake::{Intake, Judged};
use engine::judge::Judge;
use engine::moment::Moment;
use engine::shard::Shard;
use engine::spec::{Ask, Measure, Question, Source, Unanswerable, Window};
use engine::time::{SECOND, Span, Time};
use std::collections::BTreeMap;
use std::sync::Arc;

const HOUR: i64 = 3_600;
const SHARDS: usize = 3;
const BLOCK: usize = 50;

/// Three days of events, one every 97 seconds, some of them out of order within a minute, for ten users.
fn events() -> Vec<(i64, String)> {
    let at = |i: i64| i * 97 - if i % 7 == 0 { 50 } else { 0 };
    (0..2_700).map(|i| (at(i).max(0), format!("u{}", i * i % 10))).collect()
}

/// The machines, and moments of them.
struct Measured {
    source: Arc<Source>,
    intake: Intake,
    judge: Judge,
    shards: Vec<Shard>,
    blocks: u64,
}

impl Measured {
    fn new(source: Source) -> Measured {
        let shards = (0..SHARDS).map(|_| Shard::new(&source, u64::MAX)).collect();
        let (intake, judge) = (Intake::new(&source), Judge::new(&source, None, 0));
        Measured { source: Arc::new(source), intake, judge, shards, blocks: 0 }
    }

    fn take(&mut self, events: &[(i64, String)]) {
        for events in events.chunks(BLOCK) {
            let judged = self.intake.push(batch(self.blocks, 0, events));
            self.blocks += 1;
            judged.iter().for_each(|judged: &Judged| {
                self.shards[judged.batch.number as usize % SHARDS].apply(judged);
            });
        }
    }

    fn moment(&mut self) -> Moment {
        if let Some(watermark) = self.intake.boundary() {
            self.shards.iter_mut().for_each(|shard| shard.advance(watermark));
        }
        let frozen = self.shards.iter_mut().map(Shard::freeze).collect();
        let (tally, watermark) = (self.intake.tally(), self.intake.watermark());
        Moment::new(Arc::clone(&self.source), frozen, &mut self.judge, tally, watermark)
    }
}

fn counted() -> Source {
    let hits = metric("hits", Measure::Count, vec![vec![], vec![0]], "1m:12h 1h:3d 1d:30d");
    let forever = metric("forever", Measure::Count, vec![vec![]], "");
    source(time("60s", None), vec![hits, forever])
}

fn asked(moment: &Moment, metric: usize, ask: Ask) -> Vec<Answer> {
    let mut out = Vec::new();
    moment.ask(metric, None, ask, &mut |answer, _| out.push(answer)).expect("it can be asked");
    out
}

/// Counts by group, "" for all, of the events in a window.
fn truth(events: &[(i64, String)], from: i64, to: i64) -> BTreeMap<String, i128> {
    let mut out = BTreeMap::new();
    for (_, user) in events.iter().filter(|(t, _)| (from..to).contains(t)) {
        *out.entry(String::new()).or_default() += 1;
        *out.entry(user.clone()).or_default() += 1;
    }
    out
}

fn told(answers: &[Answer]) -> BTreeMap<String, i128> {
    let name = |answer: &Answer| match answer.by.first() {
        None => String::new(),
        Some((_, Key::String(user))) => user.clone(),
        Some((_, other)) => panic!("{other:?}"),
    };
    let value = |answer: &Answer| match answer.reading.value {
        Some(Number::Int(n)) => n,
        other => panic!("{other:?}"),
    };
    answers.iter().map(|answer| (name(answer), value(answer))).collect()
}

#[test]
fn windows_of_any_moment_hold_the_events_before_it() {
    let (events, mut measured) = (events(), Measured::new(counted()));
    let mut before = 0;
    for upto in [3, 500, 1_250, 2_000, events.len()] {
        measured.take(&events[before..upto]);
        let moment = measured.moment();
        // What comes afterwards changes nothing.
        let later = (upto + 100).min(events.len());
        measured.take(&events[upto..later]);
        let seen = &events[..upto];
        assert_eq!(told(&asked(&moment, 0, Ask::Of(Question::Total))), truth(seen, 0, i64::MAX));
        let newest = seen.iter().map(|(t, _)| *t).max().unwrap();
        let end = newest - newest % 60 + 60;
        for span in [60, 300, 5 * HOUR, 24 * HOUR] {
            let answers = asked(&moment, 0, Ask::Last(Span(span * SECOND)));
            let Some(first) = answers.first() else {
                panic!("nothing in the last {span} s of {upto} events");
            };
            let (start, stop) = (first.start.unwrap().0 / SECOND, first.end.unwrap().0 / SECOND);
            assert_eq!(stop, end, "{upto} events, {span} s");
            // Minutes are kept for twelve hours: a window that begins before that begins with an hour.
            match first.resolution {
                None => assert_eq!(start, end - span),
                Some(size) => {
                    assert_eq!((start, size), ((end - span).div_euclid(HOUR) * HOUR, Span(HOUR * SECOND)))
                }
            }
            assert_eq!(told(&answers), truth(seen, start, stop), "{upto} events, {span} s");
        }
        before = later;
    }
}

#[test]
fn one_window_lies_anywhere_within_what_is_kept() {
    let (events, mut measured) = (events(), Measured::new(counted()));
    measured.take(&events);
    let moment = measured.moment();
    let newest = events.iter().map(|(t, _)| *t).max().unwrap();
    for (from, to) in
        [(newest - 3 * HOUR + 7, newest - HOUR + 11), (13 * HOUR, 50 * HOUR + 1), (0, 2 * newest)]
    {
        let window = Window { start: Time(from * SECOND), end: Time(to * SECOND) };
        let answers = asked(&moment, 0, Ask::Between(window));
        let (start, stop) = (answers[0].start.unwrap().0 / SECOND, answers[0].end.unwrap().0 / SECOND);
        assert!(start <= from && stop >= to && from - start < 24 * HOUR, "{start} {from} {to} {stop}");
        assert_eq!(told(&answers), truth(&events, start, stop));
    }
    let window = Window { start: Time(-9 * SECOND), end: Time(-8 * SECOND) };
    assert_eq!(told(&asked(&moment, 0, Ask::Between(window))), BTreeMap::new());
}

#[test]
fn panes_add_up_to_what_is_kept_and_slides_are_those_of_a_report() {
    let (events, mut measured) = (events(), Measured::new(counted()));
    measured.take(&events);
    let moment = measured.moment();
    let panes = asked(&moment, 0, Ask::Panes);
    let total: i128 =
        panes.iter().filter(|pane| pane.by.is_empty()).map(|pane| told(std::slice::from_ref(pane))[""]).sum();
    assert_eq!(
        total,
        truth(&events, 0, i64::MAX)[""],
        "days are kept for ever here, and each event is in one pane"
    );
    let every = Question::Windows { window: Span(6 * HOUR * SECOND), every: Span(HOUR * SECOND) };
    for answer in asked(&moment, 0, Ask::Of(every)).iter().filter(|answer| answer.by.is_empty()) {
        let (start, end) = (answer.start.unwrap().0 / SECOND, answer.end.unwrap().0 / SECOND);
        assert_eq!(told(std::slice::from_ref(answer))[""], truth(&events, start, end)[""]);
    }
}

#[test]
fn what_cannot_be_asked_says_why() {
    let mut measured = Measured::new(counted());
    measured.take(&events());
    let moment = measured.moment();
    let wrong = |metric, ask| moment.ask(metric, None, ask, &mut |_, _| ()).unwrap_err();
    assert_eq!(wrong(1, Ask::Last(Span(60 * SECOND))), Unanswerable::NoPanes);
    let odd = Question::Windows { window: Span(90 * SECOND), every: Span(90 * SECOND) };
    assert_eq!(
        wrong(0, Ask::Of(odd)).to_string(),
        "windows of 90s every 90s are not made of its panes of 1m, 1h, 1d: ask for multiples of them"
    );
    // What has no panes is a table of one row.
    assert_eq!(told(&asked(&moment, 1, Ask::Panes))[""], 2_700);
}

#[test]
fn only_the_grouping_set_that_is_asked_answers() {
    let mut measured = Measured::new(counted());
    measured.take(&events());
    let moment = measured.moment();
    let mut groups = 0;
    let hour = Ask::Last(Span(5 * HOUR * SECOND));
    moment.ask(0, Some(&[0]), hour, &mut |answer, _| groups += usize::from(answer.by.len() == 1)).unwrap();
    assert!((1..=10).contains(&groups), "{groups}");
    moment.ask(0, Some(&[]), hour, &mut |answer, _| assert!(answer.by.is_empty())).unwrap();
    let mut read = 0;
    moment.counters(&mut |answer| {
        if answer.by.iter().any(|(_, key)| *key == Key::String("read".into())) {
            read = told(std::slice::from_ref(&Answer { by: vec![], ..answer }))[""];
        }
    });
    assert_eq!(read, 2_700);
}

#[test]
fn a_state_that_is_still_is_a_moment_too() {
    let events = events();
    let mut measured = Measured::new(counted());
    measured.take(&events);
    let (live, tally, watermark) = (measured.moment(), measured.intake.tally(), measured.intake.watermark());
    let source = Arc::clone(&measured.source);
    let state = engine::State::new(measured.shards, measured.judge, tally, watermark);
    let still = state.into_moment(source);
    for ask in [Ask::Of(Question::Total), Ask::Panes, Ask::Last(Span(5 * HOUR * SECOND))] {
        assert_eq!(asked(&still, 0, ask), asked(&live, 0, ask));
    }
    assert_eq!((still.tally(), still.watermark()), (live.tally(), live.watermark()));
}

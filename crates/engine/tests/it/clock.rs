//! The clock: late, ahead, agreement, too late.

use crate::support::*;
use engine::batch::Block;
use engine::decode::{Cutter, Decoder};
use engine::intake::{Intake, Tally};
use engine::spec::{Later, Measure, Question, Source, TimeFrom, TimeSpec};
use engine::time::{SECOND, Span, TIME_MAX, Time};

fn judge(lateness: &str, ahead: Option<&str>, levels: &str, times: &[i64]) -> Tally {
    let source = source(time(lateness, ahead), vec![metric("n", Measure::Count, vec![vec![]], levels)]);
    let events: Vec<(i64, String)> = times.iter().map(|&t| (t, "ada".to_string())).collect();
    let mut tallies: Vec<Tally> = [1, 3, 7, 1000]
        .into_iter()
        .map(|block| {
            let run = run(&source, &events, block, 1, Question::Total);
            assert_eq!(
                shown(&run.answers, "n"),
                [format!("total={}", times.len())],
                "every event is in the total"
            );
            run.tally
        })
        .collect();
    tallies.dedup();
    assert_eq!(tallies.len(), 1, "the cut into blocks changes nothing");
    tallies.remove(0)
}

#[track_caller]
fn check(tally: Tally, on_time: u64, late: u64, ahead: u64, too_late: u64) {
    let got = (tally.on_time, tally.late, tally.ahead, tally.too_late);
    assert_eq!(got, (on_time, late, ahead, too_late), "(on time, late, ahead, too late)");
    assert_eq!(tally.read, on_time + late + ahead);
}

#[test]
fn an_event_is_late_when_it_is_behind_the_watermark_of_its_own_moment() {
    // 95 equals the watermark of 105 with 10 s of lateness: not late. 94 is.
    check(judge("10s", None, "", &[100, 105, 95, 94, 106, 95]), 4, 2, 0, 0);
}

#[test]
fn the_furthest_step_behind_the_clock_is_the_lateness_that_would_do() {
    for lateness in ["0s", "10s", "1h"] {
        let tally = judge(lateness, None, "", &[100, 105, 95, 93, 106, 95]);
        assert_eq!(tally.behind_max_us, 12_000_000, "{lateness}");
    }
    check(judge("11s", None, "", &[100, 105, 95, 93, 106, 95]), 5, 1, 0, 0);
    check(judge("12s", None, "", &[100, 105, 95, 93, 106, 95]), 6, 0, 0, 0);
}

#[test]
fn without_a_limit_one_row_from_the_future_makes_the_rest_late() {
    check(judge("2s", None, "", &[100, 9000, 101, 102, 103]), 2, 3, 0, 0);
}

#[test]
fn a_row_far_ahead_does_not_move_the_clock() {
    let mut times: Vec<i64> = (100..140).collect();
    times.insert(35, 9000);
    times.extend([139, 140]);
    check(judge("2s", Some("1h"), "", &times), 42, 0, 1, 0);
}

#[test]
fn agreement_sets_the_first_clock_and_judges_the_held_rows_in_order() {
    // The shape of the Wikipedia file: four early rows, a few running ahead of one another, then the real stream.
    let mut times = vec![1_000, 90_000, 180_000, 250_000];
    times.extend((0..10).map(|i| 5_000_000 + i * 86_400));
    times.extend(400_000..400_100);
    check(judge("2s", Some("1h"), "", &times), 100, 4, 10, 0);
}

#[test]
fn thirty_two_records_in_a_row_are_a_gap_and_thirty_one_a_poison() {
    let steady: Vec<i64> = (0..100).collect();
    let mut gap = steady.clone();
    gap.extend((0..50).map(|i| 100_000 + i));
    // All 32 that agree were ahead; from then on the clock is the smallest of them.
    check(judge("0s", Some("1h"), "", &gap), 118, 0, 32, 0);
    let mut poison = steady;
    poison.extend((0..31).map(|i| 100_000 + i));
    poison.extend(100..200);
    check(judge("0s", Some("1h"), "", &poison), 200, 0, 31, 0);
}

#[test]
fn a_short_input_is_judged_by_what_agrees_with_its_median() {
    // The lower median is 103; 100 is the smallest that agrees with it, and one row lies an hour beyond.
    check(judge("2s", Some("1h"), "", &[100, 103, 104, 9_000_000, 102]), 4, 0, 1, 0);
    // In order, so nothing is late.
    check(judge("0s", Some("1h"), "", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), 10, 0, 0, 0);
}

#[test]
fn too_late_is_older_than_every_pane_that_is_kept() {
    // Watermark 1000; panes of 10 s kept 100 s: 895 lies in [890, 900), kept until 1000, so it is gone. 900 is not.
    check(judge("0s", None, "10s:100s", &[1000, 895, 900, 950]), 1, 3, 0, 1);
    check(judge("0s", None, "", &[1000, 895, 900, 950]), 1, 3, 0, 0);
}

#[test]
fn late_events_can_be_left_out_and_are_counted() {
    for later in [Later::Drop, Later::Quarantine] {
        let mut source = source(time("0s", None), vec![metric("n", Measure::Count, vec![vec![]], "")]);
        source.time.as_mut().expect("has time").later = later;
        let events: Vec<(i64, String)> = [10, 20, 15, 30, 5].iter().map(|&t| (t, "x".to_string())).collect();
        let run = run(&source, &events, 2, 2, Question::Total);
        assert_eq!(shown(&run.answers, "n"), ["total=3"]);
        assert_eq!((run.tally.late, run.tally.accepted()), (2, 3));
    }
}

#[test]
fn a_partition_is_late_only_by_its_own_clock_and_holds_the_watermark_back() {
    use engine::intake::Intake;
    use engine::time::{SECOND, Time};
    let source = source(time("0s", None), vec![metric("n", Measure::Count, vec![vec![]], "10s:1d")]);
    let mut intake = Intake::new(&source);
    let one = |t: i64| vec![(t, "x".to_string())];
    intake.push(batch(0, 0, &one(1000)));
    intake.push(batch(1, 1, &one(500)));
    assert_eq!(intake.watermark(), Some(Time(1000 * SECOND)), "it never goes back");
    intake.push(batch(2, 0, &one(2000)));
    assert_eq!(intake.watermark(), Some(Time(1000 * SECOND)), "partition 1 is at 500");
    intake.finish(1);
    intake.push(batch(3, 0, &one(2001)));
    assert_eq!(intake.watermark(), Some(Time(2001 * SECOND)), "a finished partition steps aside");
    assert_eq!(intake.tally().late, 0);
}

#[test]
fn what_is_in_time_for_its_partition_can_still_be_too_late_for_the_panes() {
    use engine::intake::Intake;
    let source = source(time("0s", None), vec![metric("n", Measure::Count, vec![vec![]], "10s:100s")]);
    let mut intake = Intake::new(&source);
    intake.push(batch(0, 0, &[(1000, "x".into())]));
    intake.finish(0);
    intake.push(batch(1, 1, &[(100, "x".into()), (101, "x".into()), (950, "x".into())]));
    let tally = intake.tally();
    assert_eq!((tally.on_time, tally.late, tally.too_late), (4, 0, 2));
}

/// The judged times of lines over two partitions, in blocks of `step` bytes.
fn judged_times(source: &Source, files: [&str; 2], step: usize, arrivals: &[i64]) -> (Vec<i64>, Tally) {
    let mut intake = Intake::new(source);
    let (mut number, mut times) = (0, Vec::new());
    for (partition, text) in files.into_iter().enumerate() {
        let partition = partition as u32;
        let (mut cutter, mut decoder) = (
            Cutter::new(&source.format, source.record_bytes_max),
            Decoder::new(source, None).expect("no header"),
        );
        let (mut from, mut to) = (0, 0);
        while to < text.len() {
            to = (to + step).min(text.len());
            let bytes = &text.as_bytes()[from..to];
            let bytes = &bytes[..cutter.cut(bytes, to == text.len())];
            let arrival = arrivals.get(number as usize).map(|second| Time(second * SECOND));
            let batch = decoder.decode(&Block { partition, number, first_byte: from as u64, bytes, arrival });
            from += bytes.len();
            number += 1;
            times.extend(
                intake.push(batch).iter().flat_map(|judged| judged.batch.times.clone()).map(|time| time.0),
            );
        }
        assert!(intake.finish(partition).is_empty(), "nothing is held");
    }
    (times, intake.tally())
}

fn in_order(from: TimeFrom) -> Source {
    let time = Some(TimeSpec { from, ..time("0s", None).expect("a time") });
    source(time, vec![metric("n", Measure::Count, vec![vec![]], "1s:1h")])
}

#[test]
fn a_record_may_happen_at_its_number() {
    let files = [
        "{\"user\":\"a\"}\nbad\n\n{\"user\":\"b\"}\n{\"user\":{}}\n",
        "\nbad\n{\"user\":\"c\"}\n{\"user\":\"d\"}",
    ];
    // Bad records take a number too, blank lines are no records; the second file goes on where the first one ended.
    let want = [0, 2, 5, 6];
    for step in [1, 5, 7, 13, 20, 1000] {
        let (times, tally) = judged_times(&in_order(TimeFrom::Row(Span(250_000))), files, step, &[]);
        assert_eq!(times, want.map(|n| n * 250_000), "steps of {step}");
        assert_eq!((tally.read, tally.on_time, tally.late, tally.bad_total()), (7, 4, 0, 3));
    }
    let (times, _) = judged_times(&in_order(TimeFrom::Row(Span(TIME_MAX))), files, 1000, &[]);
    assert_eq!(times, [0, TIME_MAX, TIME_MAX, TIME_MAX], "time ends somewhere");
}

#[test]
fn a_record_may_happen_when_its_block_arrives() {
    let files = ["{\"user\":\"a\"}\nbad\n{\"user\":\"b\"}\n", "{\"user\":\"c\"}\n"];
    let (times, tally) = judged_times(&in_order(TimeFrom::Arrival), files, 1000, &[7, 9]);
    assert_eq!(times, [7, 7, 9].map(|second| second * SECOND));
    assert_eq!((tally.on_time, tally.late), (3, 0));
}

#[test]
fn records_that_are_all_bad_wait_for_no_clock() {
    for ahead in [None, Some("1m")] {
        let metrics = vec![metric("n", Measure::Count, vec![vec![]], "10s:1d")];
        let mut intake = Intake::new(&source(time("0s", ahead), metrics));
        let judged = intake.push(engine::batch::Batch::empty(0, 0));
        assert_eq!(judged.len(), 1, "there is nothing in it that could be judged otherwise later");
        assert!(!intake.holds_rows(), "so a state can be kept");
    }
}

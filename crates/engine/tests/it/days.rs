//! Calendar days of a zone, against rules for its clocks that are written out here.

use crate::support::{metric, run, shown, source, time};
use engine::answer::Number;
use engine::days::Zone;
use engine::spec::{Measure, Question, Source};
use engine::time::SECOND;
use std::collections::BTreeMap;

const HOUR: i64 = 3_600;
/// 2024-01-01T00:00:00Z.
const YEAR: i64 = 1_704_067_200;

fn days(zone: &str, window: u32, every: u32) -> Question {
    Question::Days { window, every, zone: Zone::new(zone).expect("a zone") }
}

/// Seconds by which the clocks of Berlin were ahead of UTC in 2024: from 31 March to 27 October, 01:00 UTC, by two hours.
fn berlin(t: i64) -> i64 {
    if (1_711_846_800..1_729_990_800).contains(&t) { 2 * HOUR } else { HOUR }
}

fn kolkata(_: i64) -> i64 {
    5 * HOUR + HOUR / 2
}

/// Events over the year, none of them late: each with its number of seconds since 1970.
fn year() -> Vec<(i64, String)> {
    let mut state = 5u64;
    let mut times: Vec<i64> = (0..20_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            YEAR + (state >> 33) as i64 % (366 * 24 * HOUR)
        })
        .collect();
    // The instants at which days begin, and those before them.
    let edges = (0..367).flat_map(|day| [1, 2].map(|ahead| YEAR + day * 24 * HOUR - ahead * HOUR));
    times.extend(edges.flat_map(|t| [t - 1, t]));
    times.sort_unstable();
    times.into_iter().map(|t| (t, "x".to_string())).collect()
}

fn counting(levels: &str) -> Source {
    source(time("0s", None), vec![metric("n", Measure::Count, vec![vec![]], levels)])
}

/// Windows of so many days, one every so many, by their first day: first and last event inside, and how many.
fn model(events: &[(i64, String)], offset: fn(i64) -> i64, window: i64, every: i64) -> BTreeMap<i64, u64> {
    let mut out = BTreeMap::new();
    for (t, _) in events {
        let day = (t + offset(*t)).div_euclid(24 * HOUR);
        let starts = (day - window + 1..=day).filter(|start| start.rem_euclid(every) == 0);
        starts.for_each(|start| *out.entry(start).or_default() += 1);
    }
    out
}

#[test]
fn days_of_a_zone_hold_what_its_clocks_say() {
    let events = year();
    for (zone, offset, levels) in [
        ("Europe/Berlin", berlin as fn(i64) -> i64, "1h:500d"),
        ("Europe/Berlin", berlin, "15m:500d 30m:500d"),
        ("Europe/Berlin", berlin, "1m:10d 1h:500d 1d:800d"),
        ("Asia/Kolkata", kolkata, "30m:500d 1h:500d"),
        ("Etc/UTC", |_| 0, "1h:500d 1d:500d"),
    ] {
        for (window, every) in [(1, 1), (7, 7), (7, 1), (4, 2)] {
            let question = days(zone, window, every);
            for source in [counting(levels), question.restrict(&counting(levels)).expect("a level")] {
                let answers = run(&source, &events, 500, 2, question).answers;
                let truth = model(&events, offset, i64::from(window), i64::from(every));
                let mut last = i64::MIN;
                let mut got = BTreeMap::new();
                for answer in answers.iter().filter(|answer| answer.metric == "n") {
                    let (start, end) =
                        (answer.start.expect("a day").0 / SECOND, answer.end.expect("a day").0 / SECOND);
                    let local = |t: i64| t + offset(t);
                    assert_eq!((local(start) % (24 * HOUR), local(end) % (24 * HOUR)), (0, 0), "midnights");
                    let first = local(start) / (24 * HOUR);
                    assert_eq!(local(end) / (24 * HOUR) - first, i64::from(window));
                    assert!(start > last && answer.resolution.is_none());
                    last = start;
                    let Some(Number::Int(n)) = answer.reading.value else { panic!("a count: {answer:?}") };
                    got.insert(first, n as u64);
                }
                assert_eq!(got, truth, "{zone}, {levels}, {window} every {every}");
            }
        }
    }
}

#[test]
fn a_day_on_which_clocks_change_has_23_or_25_hours() {
    // An event every hour of the last days of March and October.
    let hourly = |from: i64| (0..72).map(move |hour| (from + hour * HOUR, "x".to_string()));
    let events: Vec<_> = hourly(1_711_753_200).chain(hourly(1_729_807_200)).collect();
    let got = run(&counting("1h:500d"), &events, 50, 1, days("Europe/Berlin", 1, 1));
    let lengths: Vec<i64> = got
        .answers
        .iter()
        .filter_map(|answer| Some((answer.end?.0 - answer.start?.0) / SECOND / HOUR))
        .collect();
    let counts: Vec<i64> = shown(&got.answers, "n")
        .iter()
        .map(|row| row.split_once('=').expect("a count").1.parse().unwrap())
        .collect();
    assert_eq!(lengths, [24, 23, 24, 24, 24, 24, 25]);
    assert_eq!(counts, [24, 23, 24, 1, 24, 24, 24], "what is full is as long as its count");
}

#[test]
fn panes_that_make_up_no_day_of_the_zone_are_refused_and_old_days_are_left_out_whole() {
    let refused = |zone: &str, levels: &str| days(zone, 1, 1).restrict(&counting(levels)).err();
    assert_eq!(refused("Europe/Berlin", "1d:30d").as_deref(), Some("n"));
    assert_eq!(refused("Asia/Kolkata", "1h:30d").as_deref(), Some("n"));
    assert_eq!(refused("Asia/Kolkata", "30m:30d"), None);
    assert_eq!(refused("Etc/UTC", "1d:30d"), None);
    // The watermark is at 108 hours, hours are kept for 48: the day that began at 47 (UTC) is no longer whole.
    let events: Vec<_> = (0..=108).map(|hour| (YEAR + hour * HOUR, "x".to_string())).collect();
    let got = run(&counting("1h:48h"), &events, 50, 1, days("Europe/Berlin", 1, 1));
    let starts: Vec<String> = shown(&got.answers, "n");
    let at = |hour: i64, n: i64| format!("{}={n}", YEAR + hour * HOUR);
    assert_eq!(starts, [at(71, 24), at(95, 14)]);
}

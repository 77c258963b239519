//! Many hands at once.

use super::*;
use std::collections::BTreeMap;

const THREADS: usize = 8;
const BODIES: u64 = 150;

/// Every thread hands in its bodies, some of them twice, waiting for none before it has handed in a few.
fn hand_in_all(inbox: &Inbox) {
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let producer = format!("p{thread}");
                for start in (0..BODIES).step_by(10) {
                    let few = (start..start + 10).chain([start + 3]);
                    let told: Vec<Told> = few
                        .map(|i| hand_in(inbox, &format!("thread {thread} body {i}\n"), Some((&producer, i))))
                        .collect();
                    let answers: Vec<Accepted> = told.iter().map(|told| wait(told).unwrap()).collect();
                    assert!(answers[10].duplicate && answers.iter().filter(|a| a.duplicate).count() == 1);
                }
            });
        }
    });
}

/// Every body exactly once, those of a thread in order.
fn check(bodies: &[String]) {
    let mut by_thread: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for body in bodies {
        let mut words = body.split_whitespace();
        let (thread, number) = (words.nth(1).unwrap(), words.nth(1).unwrap());
        by_thread.entry(thread).or_default().push(number.parse().unwrap());
    }
    assert_eq!(by_thread.len(), THREADS);
    assert!(by_thread.values().all(|numbers| numbers.iter().copied().eq(0..BODIES)));
}

#[test]
fn everything_acknowledged_is_there_once_after_opening_anew() {
    let folder = Folder::new();
    let settings = Settings { segment_bytes: 5_000, ..Settings::default() };
    let inbox = open(&folder, settings.clone());
    hand_in_all(&inbox);
    check(&read_all(&inbox));
    drop(inbox);
    let inbox = open(&folder, settings);
    check(&read_all(&inbox));
    assert!(append(&inbox, "again\n", Some(("p3", BODIES - 1))).unwrap().duplicate);
}

#[test]
fn reading_and_releasing_meanwhile_loses_nothing() {
    let folder = Folder::new();
    // So little may wait to be released that nothing works without releasing.
    let settings = Settings {
        segment_bytes: 3_000,
        queue_bytes_max: 4_000,
        backlog_bytes_max: 1 << 20,
        ..Settings::default()
    };
    let inbox = open(&folder, settings);
    let mut reader = inbox.reader(0).unwrap();
    let bodies = std::thread::scope(|scope| {
        let reads = scope.spawn(|| {
            let (mut bodies, mut buffer) = (Vec::new(), Vec::new());
            loop {
                match reader.next(&mut buffer, PATIENCE).unwrap() {
                    Got::Lines { next, .. } => {
                        bodies.push(String::from_utf8(buffer.clone()).unwrap());
                        inbox.release(next);
                    }
                    Got::Nothing => panic!("nothing came for long"),
                    Got::End => return bodies,
                }
            }
        });
        hand_in_all(&inbox);
        inbox.close();
        reads.join().unwrap()
    });
    check(&bodies);
    assert_eq!(folder.files().len(), 1, "what was released is gone");
}

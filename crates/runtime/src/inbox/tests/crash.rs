//! Crashes, power cuts and failing disks, against a model of what was promised.

use super::disk::Fate;
use super::*;
use std::collections::{BTreeMap, BTreeSet};

/// What clients know: each sends numbered bodies until they are acknowledged, and one sends without a stamp, once.
#[derive(Default)]
struct Clients {
    next: BTreeMap<usize, u64>,
    acknowledged: BTreeSet<String>,
    /// Handed in without a stamp, not acknowledged.
    unsure: BTreeSet<String>,
    anonymous: u64,
}

impl Clients {
    /// Everybody sends a few bodies at once; what is not acknowledged comes again next time.
    fn send(&mut self, inbox: &Inbox, dice: &mut Dice) {
        let mut waiting = Vec::new();
        for client in 0..3 {
            let next = *self.next.entry(client).or_default();
            let many = dice.below(4);
            for sequence in next..next + many {
                let body = format!("client {client} sends {sequence}\n");
                waiting.push((
                    Some((client, sequence)),
                    hand_in(inbox, &body, Some((&format!("c{client}"), sequence))),
                    body,
                ));
            }
        }
        let body = format!("anonymous {}\n", self.anonymous);
        self.anonymous += 1;
        waiting.push((None, hand_in(inbox, &body, None), body));
        let mut failed = BTreeSet::new();
        for (from, told, body) in waiting {
            match (wait(&told), from) {
                (Ok(_), Some((client, sequence))) => {
                    self.acknowledged.insert(body);
                    if !failed.contains(&client) {
                        self.next.insert(client, sequence + 1);
                    }
                }
                (Ok(_), None) => drop(self.acknowledged.insert(body)),
                (Err(_), Some((client, _))) => drop(failed.insert(client)),
                (Err(_), None) => drop(self.unsure.insert(body)),
            }
        }
    }

    /// What is in the log is what was promised: all that was acknowledged, nothing twice, nothing half.
    fn check(&self, inbox: &Inbox, seed: u64) {
        let read = read_all(inbox);
        let set: BTreeSet<&String> = read.iter().collect();
        assert_eq!(set.len(), read.len(), "seed {seed}: a body is there twice");
        for body in &self.acknowledged {
            assert!(set.contains(body), "seed {seed}: {body:?} was acknowledged and is lost");
        }
        for body in read {
            let known = self.acknowledged.contains(&body) || self.unsure.contains(&body);
            let numbered = body.strip_prefix("client ").and_then(|rest| rest.trim().split_once(" sends "));
            // One that was handed in and not acknowledged may be there, whole.
            let pending = numbered.is_some_and(|(client, sequence)| {
                sequence.parse::<u64>().unwrap() < self.next[&client.parse().unwrap()] + 4
            });
            assert!(known || pending, "seed {seed}: nobody sent {body:?}");
        }
    }
}

fn settings() -> Settings {
    Settings { segment_bytes: 700, ..Settings::default() }
}

/// A power cut: of what was not made durable, any part may be there, and any of that may be rubbish.
fn cut_power(folder: &Folder, disk: &TestDisk, dice: &mut Dice) {
    for (path, mut bytes) in folder.files() {
        let durable = disk.durable(&path).map_or(bytes.len(), |bytes| bytes as usize).min(bytes.len());
        let left = durable + dice.below((bytes.len() - durable) as u64 + 1) as usize;
        bytes.truncate(left);
        for byte in &mut bytes[durable..] {
            *byte = if dice.below(20) == 0 { 0 } else { *byte };
        }
        bytes.extend(std::iter::repeat_n(0, dice.below(3) as usize * 50));
        // Files behind which another begins have no rubbish that matters; heads are durable.
        fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_doubled_over_crashes_and_failures() {
    for seed in 0..60 {
        let (folder, mut dice, mut clients) = (Folder::new(), Dice(seed), Clients::default());
        for _ in 0..8 {
            let mut fates = Dice(seed.wrapping_mul(31) + dice.below(1 << 30));
            let rarely = 2 + dice.below(20);
            let disk = TestDisk::new(move |operation, _| match fates.below(rarely) {
                _ if operation == "reopen" => Fate::Works,
                0 => Fate::Fails(io::ErrorKind::StorageFull, fates.below(300) as usize),
                1 => Fate::FailsLate(io::ErrorKind::Other),
                _ => Fate::Works,
            });
            // At first there may be no segment to begin with.
            let Ok(inbox) = open_on(&folder.0, settings(), Box::new(disk.clone())) else { continue };
            for _ in 0..dice.below(12) {
                clients.send(&inbox, &mut dice);
            }
            clients.check(&inbox, seed);
            if dice.below(4) > 0 {
                disk.kill();
            }
            drop(inbox);
            cut_power(&folder, &disk, &mut dice);
        }
        let inbox = open(&folder, settings());
        clients.send(&inbox, &mut dice);
        clients.check(&inbox, seed);
    }
}

#[test]
fn any_single_failing_operation_is_answered_and_survived() {
    let bodies: Vec<String> = (0..12).map(|i| format!("a body with the number {i}\n").repeat(3)).collect();
    let run = |disk: &TestDisk, folder: &Folder| -> Option<u64> {
        let inbox = open_on(&folder.0, settings(), Box::new(disk.clone())).ok()?;
        let mut failures = 0;
        for (i, body) in bodies.iter().enumerate() {
            let stamp = Some(("p", i as u64));
            while append(&inbox, body, stamp).is_err() {
                failures += 1;
                assert!(failures < 5, "it works again");
            }
        }
        assert_eq!(read_all(&inbox), bodies);
        Some(failures)
    };
    let good = TestDisk::good();
    assert_eq!(run(&good, &Folder::new()), Some(0));
    assert!(good.operations() > 25, "{} operations", good.operations());
    for n in 0..good.operations() {
        for fate in [
            Fate::Fails(io::ErrorKind::StorageFull, 0),
            Fate::Fails(io::ErrorKind::StorageFull, 50),
            Fate::FailsLate(io::ErrorKind::Other),
        ] {
            let folder = Folder::new();
            let disk = TestDisk::new(move |_, number| if number == n { fate } else { Fate::Works });
            let failures = run(&disk, &folder).or_else(|| run(&TestDisk::good(), &folder));
            assert!(failures.is_some(), "operation {n}: {fate:?}");
            assert_eq!(read_all(&open(&folder, settings())), bodies, "operation {n}: {fate:?}");
        }
    }
}

#[test]
fn a_full_disk_is_told_as_such_and_does_not_fill_with_segments() {
    let (folder, full) = (Folder::new(), Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let is_full = full.clone();
    let disk = TestDisk::new(move |operation, _| match operation {
        // The little that a head needs is still there.
        "append" if is_full.load(Ordering::SeqCst) => Fate::Fails(io::ErrorKind::StorageFull, 7),
        _ => Fate::Works,
    });
    let inbox = open_on(&folder.0, Settings::default(), Box::new(disk)).unwrap();
    append(&inbox, "before\n", Some(("p", 1))).unwrap();
    full.store(true, Ordering::SeqCst);
    for _ in 0..50 {
        assert_eq!(append(&inbox, "while\n", Some(("p", 2))), Err(Refusal::NoSpace));
    }
    assert!(append(&inbox, "before\n", Some(("p", 1))).unwrap().duplicate, "it is durable already");
    assert_eq!(folder.files().len(), 2);
    full.store(false, Ordering::SeqCst);
    assert!(!append(&inbox, "while\n", Some(("p", 2))).unwrap().duplicate);
    assert_eq!(read_all(&inbox), ["before\n", "while\n"]);
    drop(inbox);
    assert_eq!(read_all(&open(&folder, Settings::default())), ["before\n", "while\n"]);
}

#[test]
fn a_reader_sees_nothing_of_what_failed() {
    let folder = Folder::new();
    let mut count = 0;
    let disk = TestDisk::new(move |operation, _| {
        count += u64::from(operation == "sync");
        if operation == "sync" && count.is_multiple_of(2) {
            Fate::Fails(io::ErrorKind::Other, 0)
        } else {
            Fate::Works
        }
    });
    let inbox = open_on(&folder.0, Settings::default(), Box::new(disk)).unwrap();
    let (mut reader, mut buffer) = (inbox.reader(0).unwrap(), Vec::new());
    for i in 0..20 {
        let body = format!("{i}\n");
        let got = match append(&inbox, &body, None) {
            Ok(accepted) => Got::Lines {
                first: accepted.offset - accepted.bytes,
                next: accepted.offset,
                arrival_ms: 1_000,
            },
            Err(refusal) => {
                assert!(matches!(refusal, Refusal::Failed(_)), "{refusal}");
                Got::Nothing
            }
        };
        assert_eq!(reader.next(&mut buffer, Duration::ZERO).unwrap(), got, "body {i}");
        assert!(got == Got::Nothing || buffer == body.as_bytes());
    }
}

#[test]
fn what_nobody_called_durable_is_written_anew_before_it_counts() {
    for sealed in [false, true] {
        let (folder, disk) = (Folder::new(), TestDisk::good());
        let inbox = open_on(&folder.0, Settings::default(), Box::new(disk.clone())).unwrap();
        let bodies = ["first\n", "second\n", "third\n"];
        bodies.iter().for_each(|body| assert!(append(&inbox, body, None).is_ok()));
        if !sealed {
            disk.kill();
        }
        drop(inbox);
        let bytes = folder.files()[0].1.len() as u64;
        let disk = TestDisk::good();
        let inbox = open_on(&folder.0, Settings::default(), Box::new(disk.clone())).unwrap();
        // The last body, which was a group of its own: the frame after the second one says that up to there all was durable.
        let last = frame::FRAME_BYTES as u64 + if sealed { 0 } else { bodies[2].len() as u64 };
        assert_eq!(disk.again(), Some((bytes - last, bytes)), "sealed: {sealed}");
        assert_eq!(read_all(&inbox), bodies);
    }
}

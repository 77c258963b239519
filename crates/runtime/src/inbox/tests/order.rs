//! What is handed in is read, in order, from anywhere; limits are told at once.

use super::*;

#[test]
fn bodies_are_read_as_they_were_handed_in_across_segments_and_openings() {
    let folder = Folder::new();
    let mut bodies = Vec::new();
    for round in 0..4 {
        let inbox = open(&folder, small());
        assert_eq!(read_all(&inbox), bodies);
        for i in 0..20 {
            let body = format!("{{\"round\":{round},\"i\":{i}}}\n").repeat(1 + i % 3);
            let accepted = append(&inbox, &body, None).unwrap();
            bodies.push(body);
            assert_eq!(accepted.offset, bodies.iter().map(|body| body.len() as u64).sum::<u64>());
            assert_eq!((accepted.records, accepted.duplicate), (1 + i as u64 % 3, false));
        }
        assert_eq!(read_all(&inbox), bodies);
    }
    assert!(folder.files().len() > 4, "several segments");
    let sizes: Vec<usize> = folder.files().iter().map(|(_, bytes)| bytes.len()).collect();
    assert!(sizes.iter().all(|size| *size < 600 + 300), "{sizes:?}");
}

#[test]
fn a_last_line_gets_its_end_and_blank_lines_are_no_records() {
    let folder = Folder::new();
    let inbox = open(&folder, small());
    assert_eq!(append(&inbox, "a\n\n  \r\nb", None).map(|a| (a.bytes, a.records)), Ok((9, 2)));
    assert_eq!(append(&inbox, "", None).map(|a| (a.bytes, a.records, a.offset)), Ok((0, 0, 9)));
    assert_eq!(append(&inbox, "c\n", None).map(|a| (a.bytes, a.records, a.offset)), Ok((2, 1, 11)));
    assert_eq!(read_all(&inbox), ["a\n\n  \r\nb\n", "c\n"]);
}

#[test]
fn reading_goes_on_at_any_offset_also_within_a_body() {
    let folder = Folder::new();
    let inbox = open(&folder, small());
    let mut all = String::new();
    for i in 0..60 {
        let body = format!("line {i}\n").repeat(1 + i % 4);
        append(&inbox, &body, None).unwrap();
        all += &body;
    }
    for offset in 0..=all.len() {
        assert_eq!(read_from(&inbox, offset as u64).unwrap().concat(), all[offset..], "{offset}");
    }
    let beyond = inbox.reader(all.len() as u64 + 1).err().unwrap();
    assert!(matches!(beyond, InboxError::Beyond { .. }), "{beyond}");
}

#[test]
fn filling_gathers_bodies_and_cuts_them_at_lines() {
    let folder = Folder::new();
    let inbox = open(&folder, small());
    let mut all = String::new();
    for i in 0..50 {
        let body = (0..1 + i % 7).map(|j| "x".repeat(i * j % 23) + "\n").collect::<String>();
        append(&inbox, &body, None).unwrap();
        all += &body;
    }
    for bytes_max in [1, 2, 10, 30, 100, 1 << 20] {
        let (mut reader, mut buffer, mut read) = (inbox.reader(0).unwrap(), Vec::new(), String::new());
        while let Got::Lines { first, next, arrival_ms } =
            reader.fill(&mut buffer, bytes_max, Duration::ZERO).unwrap()
        {
            assert_eq!((first, next - first), (read.len() as u64, buffer.len() as u64));
            assert_eq!((buffer.last(), arrival_ms), (Some(&b'\n'), 1_000));
            let lines = buffer.iter().filter(|byte| **byte == b'\n').count();
            assert!(buffer.len() <= bytes_max || lines == 1, "{bytes_max}: {} bytes", buffer.len());
            read += std::str::from_utf8(&buffer).unwrap();
        }
        assert_eq!(read, all, "{bytes_max}");
    }
}

#[test]
fn a_reader_waits_is_woken_and_told_of_the_end() {
    let folder = Folder::new();
    let inbox = open(&folder, small());
    let mut reader = inbox.reader(0).unwrap();
    let mut buffer = Vec::new();
    assert_eq!(reader.next(&mut buffer, Duration::ZERO).unwrap(), Got::Nothing);
    reader.waker().wake();
    assert_eq!(reader.next(&mut buffer, PATIENCE).unwrap(), Got::Nothing, "woken before it waited");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| reader.next(&mut buffer, PATIENCE).unwrap());
        append(&inbox, "a\n", None).unwrap();
        assert_eq!(waits.join().unwrap(), Got::Lines { first: 0, next: 2, arrival_ms: 1_000 });
    });
    append(&inbox, "b\n", None).unwrap();
    inbox.close();
    assert_eq!(append(&inbox, "c\n", None), Err(Refusal::Stopping));
    assert_eq!(
        reader.next(&mut buffer, PATIENCE).unwrap(),
        Got::Lines { first: 2, next: 4, arrival_ms: 1_000 }
    );
    assert_eq!(reader.next(&mut buffer, PATIENCE).unwrap(), Got::End);
}

#[test]
fn a_repeat_is_acknowledged_and_not_written() {
    let folder = Folder::new();
    let inbox = open(&folder, small());
    let told = |body: &str, stamp| append(&inbox, body, Some(stamp)).unwrap().duplicate;
    assert!(!told("a\n", ("p", 1)));
    assert!(told("a\n", ("p", 1)));
    assert!(!told("c\n", ("p", 3)), "a gap");
    assert!(!told("b\n", ("p", 2)), "overtaken");
    assert!(told("b\n", ("p", 2)));
    assert!(!told("a\n", ("q", 1)), "another producer");
    let repeat = append(&inbox, "a\nmore\n", Some(("q", 1))).unwrap();
    assert_eq!((repeat.offset, repeat.duplicate), (8, true));
    inbox.close();
    drop(inbox);
    let inbox = open(&folder, small());
    for stamp in [("p", 1), ("p", 2), ("p", 3), ("q", 1)] {
        assert!(append(&inbox, "again\n", Some(stamp)).unwrap().duplicate, "{stamp:?}");
    }
    assert_eq!(read_all(&inbox), ["a\n", "c\n", "b\n", "a\n"]);
}

#[test]
fn producers_are_known_after_their_segments_have_gone() {
    let folder = Folder::new();
    let inbox = open(&folder, small());
    append(&inbox, "first\n", Some(("p", 1))).unwrap();
    let mut end = 0;
    for i in 0..200 {
        end = append(&inbox, &format!("line {i}\n"), Some(("q", i))).unwrap().offset;
    }
    let segments = folder.files().len();
    inbox.release(end);
    assert!(segments > 10 && folder.files().len() == 1, "{segments} segments");
    assert!(matches!(inbox.reader(0), Err(InboxError::Gone { .. })));
    drop(inbox);
    let inbox = open(&folder, small());
    assert!(append(&inbox, "first\n", Some(("p", 1))).unwrap().duplicate);
    assert!(append(&inbox, "line\n", Some(("q", 199))).unwrap().duplicate);
    assert_eq!(inbox.load().producers, 2);
    assert_eq!(read_from(&inbox, end).unwrap(), Vec::<String>::new());
}

#[test]
fn what_waits_is_written_together() {
    let (folder, disk) = (Folder::new(), TestDisk::good());
    let inbox = open_on(&folder.0, Settings::default(), Box::new(disk.clone())).unwrap();
    disk.hold(true);
    // The first one may go to the disk alone; all others wait for it.
    let mut told: Vec<Told> = (0..500).map(|i| hand_in(&inbox, &format!("{i}\n"), Some(("p", i)))).collect();
    // Two of one group, the second of which is a repeat.
    told.push(hand_in(&inbox, "again\n", Some(("p", 499))));
    assert!(told.iter().all(|told| told.try_recv().is_err()), "nothing is acknowledged before it is durable");
    disk.hold(false);
    assert!(told[..500].iter().all(|told| wait(told).is_ok_and(|accepted| !accepted.duplicate)));
    assert!(wait(&told[500]).unwrap().duplicate);
    assert!(disk.syncs() <= 3, "{} syncs", disk.syncs());
    assert_eq!(read_all(&inbox).len(), 500);
}

#[test]
fn a_full_queue_is_told_at_once() {
    let settings = Settings { queue_bytes_max: 100, queue_bodies_max: 5, ..small() };
    let (folder, disk) = (Folder::new(), TestDisk::good());
    let inbox = open_on(&folder.0, settings, Box::new(disk.clone())).unwrap();
    assert_eq!(append(&inbox, &"x".repeat(100), None), Err(Refusal::TooLong { bytes_max: 100 }));
    disk.hold(true);
    let told: Vec<Told> = (0..5).map(|_| hand_in(&inbox, "x\n", None)).collect();
    assert_eq!(append(&inbox, "x\n", None), Err(Refusal::Busy), "too many");
    disk.hold(false);
    assert!(told.iter().all(|told| wait(told).is_ok()));
    disk.hold(true);
    let one = hand_in(&inbox, &"x".repeat(60), None);
    assert_eq!(append(&inbox, &"x".repeat(60), None), Err(Refusal::Busy), "too long together");
    assert_eq!(inbox.load().queue_bytes, 61);
    disk.hold(false);
    assert!(wait(&one).is_ok());
    assert_eq!(inbox.load().queue_bytes, 0);
}

#[test]
fn what_is_not_released_is_bounded() {
    let settings = Settings { queue_bytes_max: 10, backlog_bytes_max: 100, ..small() };
    let folder = Folder::new();
    let inbox = open(&folder, settings.clone());
    for _ in 0..50 {
        append(&inbox, "x\n", None).unwrap();
    }
    assert_eq!(append(&inbox, "x\n", None), Err(Refusal::Behind));
    inbox.release(30);
    for _ in 0..15 {
        append(&inbox, "x\n", None).unwrap();
    }
    assert_eq!(append(&inbox, "x\n", None), Err(Refusal::Behind));
    inbox.release(130);
    assert_eq!(inbox.load().backlog_bytes, 0);
    assert!(append(&inbox, "x\n", None).is_ok());
}

#[test]
fn only_one_program_has_an_inbox() {
    let folder = Folder::new();
    let inbox = open(&folder, small());
    assert!(matches!(Inbox::open(&folder.0, small()), Err(InboxError::InUse(_))));
    drop(inbox);
    open(&folder, small());
}

#[test]
fn opening_often_does_not_grow_the_log() {
    let folder = Folder::new();
    append(&open(&folder, small()), "a\n", None).unwrap();
    drop(open(&folder, small()));
    let before = folder.files();
    for _ in 0..5 {
        drop(open(&folder, small()));
    }
    assert_eq!(folder.files(), before);
}

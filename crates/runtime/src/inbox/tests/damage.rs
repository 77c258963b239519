//! Every byte of a small log cut and flipped.

use super::*;

/// A log that was killed: what was acknowledged, each body a group of its own, and the bytes of its files.
struct Killed {
    bodies: Vec<String>,
    files: Vec<(PathBuf, Vec<u8>)>,
    folder: Folder,
}

fn killed(sealed: bool) -> Killed {
    let log = killed_in(sealed, 250);
    assert!(log.files.len() >= 3, "{} segments", log.files.len());
    log
}

fn killed_in(sealed: bool, segment_bytes: u64) -> Killed {
    let (folder, disk) = (Folder::new(), TestDisk::good());
    let settings = Settings { segment_bytes, ..small() };
    let inbox = open_on(&folder.0, settings, Box::new(disk.clone())).unwrap();
    let bodies: Vec<String> = (0..8).map(|i| format!("body {i}\n").repeat(1 + i % 2)).collect();
    for (i, body) in bodies.iter().enumerate() {
        append(&inbox, body, (i % 3 != 0).then_some(("p", i as u64))).unwrap();
    }
    if !sealed {
        disk.kill();
    }
    drop(inbox);
    let files = folder.files();
    Killed { bodies, files, folder }
}

impl Killed {
    /// Opens and reads the log with this segment changed.
    fn with(&self, changed: usize, bytes: &[u8]) -> Result<Vec<String>, InboxError> {
        for (path, good) in &self.files {
            fs::write(path, good).unwrap();
        }
        fs::write(&self.files[changed].0, bytes).unwrap();
        let inbox = Inbox::open(&self.folder.0, small())?;
        read_from(&inbox, 0)
    }

    /// As `with`, and the log goes on behind what is left.
    fn going_on(&self, changed: usize, bytes: &[u8]) -> Result<Vec<String>, InboxError> {
        let read = self.with(changed, bytes)?;
        let inbox = Inbox::open(&self.folder.0, small())?;
        append(&inbox, "more\n", Some(("new", 1))).unwrap();
        let more: Vec<String> = read.iter().cloned().chain(["more\n".into()]).collect();
        assert_eq!(read_all(&inbox), more);
        drop(inbox);
        assert_eq!(read_all(&Inbox::open(&self.folder.0, small())?), more);
        Ok(read)
    }

    /// Where the frames of a segment begin, and the end of the last one, seals left out.
    fn frames(&self, of: usize) -> Vec<u64> {
        let base = segment::list(&base::Files, &self.folder.0).unwrap()[of].base;
        let (_, mut frames) = Frames::open(&base::Files, &self.files[of].0, base, 10).unwrap();
        let (mut starts, mut body) = (vec![frames.position], Vec::new());
        while let Ok(Found::Frame(frame)) = frames.next(&mut body) {
            if !frame.seal {
                starts.push(frames.position);
            }
        }
        starts
    }
}

/// The error names this file and this byte.
fn assert_names(error: &InboxError, path: &Path, at: u64) {
    let InboxError::Damaged { path: named, byte, .. } = error else { panic!("{error}") };
    assert_eq!((Path::new(named), *byte), (path, at), "{error}");
}

#[test]
fn a_tail_cut_at_any_byte_loses_only_what_it_held() {
    let log = killed(false);
    let last = log.files.len() - 1;
    let (path, good) = &log.files[last];
    let frames = log.frames(last);
    let before = log.bodies.len() - (frames.len() - 1);
    for length in 0..=good.len() {
        let read = log.going_on(last, &good[..length]);
        if (length as u64) < frames[0] {
            // Heads are made durable before they get their name: one that is cut is no torn tail.
            assert_names(&read.unwrap_err(), path, 0);
            continue;
        }
        let whole = frames[1..].iter().filter(|end| **end <= length as u64).count();
        assert_eq!(read.unwrap(), log.bodies[..before + whole], "{length} bytes");
    }
}

#[test]
fn rubbish_behind_the_end_is_cut_off() {
    let log = killed(false);
    let last = log.files.len() - 1;
    for rubbish in [vec![0; 1], vec![0; 5_000], vec![0xff; 100], frame::MARK.repeat(40), b"\n".to_vec()] {
        let bytes = [&log.files[last].1[..], &rubbish].concat();
        assert_eq!(log.going_on(last, &bytes).unwrap(), log.bodies);
    }
}

#[test]
fn no_flipped_byte_passes() {
    for sealed in [false, true] {
        let log = killed(sealed);
        for (segment, (path, good)) in log.files.iter().enumerate() {
            let (frames, last) = (log.frames(segment), segment + 1 == log.files.len());
            if sealed && !last {
                continue;
            }
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 1 << (at % 8);
                let read = log.with(segment, &bad);
                let within = frames.iter().rposition(|start| *start <= at as u64);
                match within {
                    None => assert_names(&read.unwrap_err(), path, 0),
                    // Nothing but the seal, or what is behind the last frame.
                    Some(i) if i + 1 == frames.len() => assert_eq!(read.unwrap(), log.bodies, "byte {at}"),
                    // The last body looks torn off when nothing says that it was durable.
                    Some(i) if last && !sealed && i + 2 == frames.len() => {
                        assert_eq!(read.unwrap(), log.bodies[..log.bodies.len() - 1], "byte {at}");
                    }
                    Some(i) => assert_names(&read.unwrap_err(), path, frames[i]),
                }
            }
        }
    }
}

#[test]
fn a_segment_that_is_gone_or_cut_is_noticed() {
    let log = killed(true);
    let (path, good) = &log.files[1];
    let frames = log.frames(1);
    assert_names(&log.with(1, &good[..good.len() - 1]).unwrap_err(), path, frames[frames.len() - 2]);
    assert_names(&log.with(1, &good[..frames[1] as usize]).unwrap_err(), path, frames[1]);
    assert_names(&log.with(1, &log.files[0].1).unwrap_err(), path, 0);
    for (path, good) in &log.files {
        fs::write(path, good).unwrap();
    }
    fs::remove_file(path).unwrap();
    let inbox = open(&log.folder, small());
    let first = log.frames(0);
    assert_names(&read_from(&inbox, 0).unwrap_err(), &log.files[0].0, first[first.len() - 1]);
    drop(inbox);
    // What a commit has read, and the log does not reach any more.
    for (path, _) in &log.files[1..] {
        let _ = fs::remove_file(path);
    }
    let inbox = open(&log.folder, small());
    let read: u64 = log.bodies.iter().map(|body| body.len() as u64).sum();
    assert!(matches!(inbox.reader(read), Err(InboxError::Beyond { .. })));
}

#[test]
fn a_body_that_holds_a_frame_is_not_taken_for_one() {
    let (folder, disk) = (Folder::new(), TestDisk::good());
    let inbox = open_on(&folder.0, Settings::default(), Box::new(disk.clone())).unwrap();
    // What an attacker can make who knows the format, but not the salt.
    let mut forged = Vec::new();
    frame::Frame::of(1 << 40, 1 << 40, 0, None, b"").write(0, &mut forged);
    forged.extend_from_slice(b" and more of the body\n");
    let (tell, told) = channel();
    append(&inbox, "first\n", None).unwrap();
    let answer = Box::new(move |result| tell.send(result).unwrap_or_default());
    inbox.append(Delivery { body: forged, stamp: None }, 0, answer);
    assert!(wait(&told).is_ok());
    disk.kill();
    drop(inbox);
    let (path, mut bytes) = folder.files().remove(0);
    bytes.truncate(bytes.len() - 1);
    fs::write(&path, &bytes).unwrap();
    let inbox = open(&folder, Settings::default());
    assert_eq!(read_all(&inbox), ["first\n"]);
    assert!(inbox.torn().is_some_and(|torn| torn.path == path && torn.bytes > 60));
}

#[test]
fn a_frame_that_is_there_twice_counts_once() {
    let log = killed_in(false, 1 << 20);
    let (path, good) = &log.files[0];
    let frames: Vec<usize> = log.frames(0).into_iter().map(|at| at as usize).collect();
    let again = |from: usize, at: usize| [&good[..at], &good[from..]].concat();
    for (i, pair) in frames.windows(2).enumerate() {
        let read = log.with(0, &again(pair[0], pair[1]));
        // The last one, and the one before it, look as if they had been torn off.
        match i + 2 >= log.bodies.len() {
            true => assert_eq!(read.unwrap(), log.bodies[..=i], "frame {i}"),
            false => assert_names(&read.unwrap_err(), path, pair[1] as u64),
        }
    }
}

/// Written by version 1 and read for ever: three bodies, two of them of producers.
const VERSION_1: &[u8] = include_bytes!("version-1.inbox");

#[test]
fn a_log_of_version_1_is_read() {
    let folder = Folder::new();
    fs::write(segment::path_of(&folder.0, 0), VERSION_1).unwrap();
    let inbox = open(&folder, small());
    assert_eq!(inbox.torn(), None);
    assert_eq!(read_all(&inbox), ["{\"a\":1}\n", "{\"a\":2}\n{\"a\":3}\n", "{\"a\":4}\n"]);
    assert!(append(&inbox, "x\n", Some(("web-1", 7))).unwrap().duplicate);
    assert!(append(&inbox, "x\n", Some(("web-2", 1))).unwrap().duplicate);
    assert!(!append(&inbox, "x\n", Some(("web-2", 2))).unwrap().duplicate);
}

//! The log against crashes, damage, failing disks and many hands.

mod crash;
mod damage;
mod disk;
mod many;
mod order;

use super::*;
use disk::TestDisk;
use engine::inbox::{Accepted, Inbox as _};
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Long enough for any machine; nothing waits for it unless it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory of its own that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sg-inbox-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// The segments, by name, with their bytes.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let segments = segment::list(&base::Files, &self.0).unwrap();
        segments.into_iter().map(|segment| (segment.path.clone(), fs::read(&segment.path).unwrap())).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn small() -> Settings {
    Settings { segment_bytes: 600, producers_max: 3, ..Settings::default() }
}

fn open(folder: &Folder, settings: Settings) -> Inbox {
    Inbox::open(&folder.0, settings).unwrap()
}

fn open_on(path: &Path, settings: Settings, segments: Box<dyn Segments>) -> Result<Inbox, InboxError> {
    Inbox::open_on(path, settings, base::Files::shared(), segments)
}

type Told = Receiver<Result<Accepted, Refusal>>;

/// Hands a body in; the answer comes through the channel.
fn hand_in(inbox: &Inbox, body: &str, stamp: Option<(&str, u64)>) -> Told {
    let (tell, told) = channel();
    let stamp = stamp.map(|(producer, sequence)| Stamp::new(producer, sequence).unwrap());
    let answer = Box::new(move |result| tell.send(result).unwrap_or_default());
    inbox.append(Delivery { body: body.into(), stamp }, 1_000, answer);
    told
}

fn wait(told: &Told) -> Result<Accepted, Refusal> {
    told.recv_timeout(PATIENCE).expect("every body is answered")
}

fn append(inbox: &Inbox, body: &str, stamp: Option<(&str, u64)>) -> Result<Accepted, Refusal> {
    wait(&hand_in(inbox, body, stamp))
}

/// All there is from an offset on, as bodies.
fn read_from(inbox: &Inbox, offset: u64) -> Result<Vec<String>, InboxError> {
    let mut reader = inbox.reader(offset)?;
    let (mut bodies, mut buffer, mut at) = (Vec::new(), Vec::new(), offset);
    while let Got::Lines { first, next, .. } = reader.next(&mut buffer, Duration::ZERO)? {
        assert_eq!((first, next - first), (at, buffer.len() as u64));
        at = next;
        bodies.push(String::from_utf8(buffer.clone()).unwrap());
    }
    assert_eq!(at, inbox.load().offset, "read to the end");
    Ok(bodies)
}

fn read_all(inbox: &Inbox) -> Vec<String> {
    read_from(inbox, 0).unwrap()
}

/// A small reproducible source of choices (Knuth's MMIX constants).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

//! The same of the log of an inbox.

use crate::dice::Dice;
use crate::disk::SimDisk;
use crate::rot::{self, Fate, Image};
use crate::scene;
use crate::verdict::Verdict;
use engine::inbox::{Delivery, Inbox as _, Stamp};
use runtime::inbox::{Got, Inbox, InboxError, Settings};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

fn settings() -> Settings {
    Settings { segment_bytes: 600, ..Settings::default() }
}

/// Damages so many images of a log.
pub fn of(seed: u64, images: u64, verdict: &mut Verdict) -> Result<u64, String> {
    let mut dice = Dice::new(seed, 10);
    let log = Log::of(&mut dice)?;
    let again = format!("streamgauge-simulate bit-rot --seed {seed} --rounds {images}");
    verdict.add("inboxes", 1);
    let files: Vec<PathBuf> = log.image.keys().cloned().collect();
    let mut heads = rot::heads(&log.image, &files, &mut dice);
    for nth in 0..images {
        let (kind, what, image) = match heads.pop() {
            Some((path, at)) if nth % 2 == 0 => {
                let mut image = log.image.clone();
                image.get_mut(&path).expect("it is there")[at] ^= 1 << dice.below(8);
                ("head", format!("byte {at} of {}", path.display()), image)
            }
            _ => rot::damage(&log.image, &files, &mut dice),
        };
        let told = rot::guarded(|| log.look(&image));
        rot::note(verdict, kind, &what, told, &again);
    }
    Ok(images)
}

/// A log, and all bytes of its bodies.
struct Log {
    image: Image,
    bytes: Vec<u8>,
}

impl Log {
    fn of(dice: &mut Dice) -> Result<Log, String> {
        let disk = SimDisk::new(dice.clone());
        let (inbox, mut hand) = open(&disk).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        for nth in 0..dice.within(3, 40) {
            let body = format!("body {nth}\n").repeat(dice.within(1, 12) as usize).into_bytes();
            bytes.extend_from_slice(&body);
            let stamp = if dice.once_in(2) { Stamp::new("p", nth) } else { None };
            inbox.append(Delivery { body, stamp }, 1_000, Box::new(|_| {}));
            if dice.once_in(2) {
                hand.step();
            }
        }
        // Closed well, or killed.
        if dice.once_in(2) {
            hand.close();
        } else {
            while hand.step() {}
        }
        drop(inbox);
        let mut image = disk.files(&scene::inbox());
        image.retain(|path, _| !path.ends_with("lock"));
        Ok(Log { image, bytes })
    }

    /// What somebody finds who has read it to its end before, and reads it again from the beginning.
    fn look(&self, image: &Image) -> Result<Fate, String> {
        let named = |error: InboxError| {
            let text = error.to_string();
            let named = text.contains("inbox");
            if named { Ok(Fate::Refused) } else { Err(format!("nothing is named: {text}")) }
        };
        let (inbox, _hand) = match open(&rot::disk_of(image)) {
            Ok(opened) => opened,
            Err(error) => return named(error),
        };
        // That of a state: it notices when the log does not reach it.
        if let Err(error) = inbox.reader(self.bytes.len() as u64) {
            return named(error);
        }
        let mut reader = match inbox.reader(0) {
            Ok(reader) => reader,
            Err(error) => return named(error),
        };
        let (mut all, mut body) = (Vec::new(), Vec::new());
        loop {
            match reader.next(&mut body, Duration::ZERO) {
                Ok(Got::Lines { .. }) => all.extend_from_slice(&body),
                Ok(Got::Nothing | Got::End) => break,
                Err(error) if self.bytes.starts_with(&all) => return named(error),
                Err(error) => return Err(format!("before it was found that {error}, other bytes were read")),
            }
        }
        if all == self.bytes {
            Ok(Fate::Harmless)
        } else {
            Err("other bytes were read, and nothing was said".into())
        }
    }
}

fn open(disk: &SimDisk) -> Result<(Inbox, runtime::inbox::InboxHand), InboxError> {
    Inbox::by_hand(&scene::inbox(), settings(), Arc::new(disk.clone()))
}

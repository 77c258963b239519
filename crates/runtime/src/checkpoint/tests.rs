//! Directories that commits are written to, over many commits.

use super::panes::{SEGMENT_BYTES, SMALL_MAX};
use super::{About, Codec, Cut, Manifest, PANES, Restored, StateDirectory};
use arrow_array::StringArray;
use engine::batch::Batch;
use engine::column::Column;
use engine::intake::Intake;
use engine::judge::Judge;
use engine::shard::Shard;
use engine::spec::*;
use engine::time::{SECOND, Time};
use sketch::{Limits, Reader};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Counts and distinct users by user, in panes that end, merge and are dropped.
fn source() -> Source {
    let level = |size: &str, keep: &str| Level { size: size.parse().unwrap(), keep: keep.parse().unwrap() };
    let metric = |name: &str, measure: Measure| Metric {
        name: name.into(),
        measure,
        filter: None,
        by: vec![vec![], vec![0]],
        groups_max: 50,
        levels: vec![level("10s", "20m"), level("1m", "1h")],
        total: true,
    };
    Source {
        fields: vec![Field { path: "user".into(), kind: Kind::String }],
        time: Some(TimeSpec {
            from: TimeFrom::Field { path: "ts".into(), format: TimeFormat::Unix(SECOND, 1) },
            lateness: "5s".parse().unwrap(),
            later: Later::Correct,
            ahead: None,
            agree: 32,
        }),
        metrics: vec![metric("n", Measure::Count), metric("users", Measure::Unique { field: 0, lg_k: 4 })],
        ..Source::new("events", Format::Ndjson)
    }
}

/// A stream that goes on, in two shards, with a directory that keeps them.
pub(crate) struct Stream {
    pub source: Source,
    intake: Intake,
    shards: Vec<Shard>,
    pub directory: StateDirectory,
    pub path: PathBuf,
    blocks: u64,
    /// Of each shard, where closed panes go to disk.
    budget: Option<u64>,
}

impl Stream {
    pub fn new(name: &str) -> Stream {
        let path = std::env::temp_dir().join(format!("streamgauge-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        let source = source();
        Stream {
            intake: Intake::new(&source),
            shards: vec![Shard::new(&source, u64::MAX), Shard::new(&source, u64::MAX)],
            directory: StateDirectory::open(&path, Codec::Zstd).unwrap(),
            source,
            path,
            blocks: 0,
            budget: None,
        }
    }

    /// The same with so little memory that closed panes go to disk.
    fn spilling(name: &str, budget: u64) -> Stream {
        let mut stream = Stream::new(name);
        stream.budget = Some(budget);
        stream.shards = stream.shards.iter().map(|_| Shard::new(&stream.source, budget)).collect();
        stream.spill();
        stream
    }

    fn spill(&mut self) {
        let shelf = self.directory.shelf();
        self.shards.iter_mut().for_each(|shard| shard.spill_to(shelf.clone()));
    }

    /// A block of events: one a second from `from` on; more users as time goes on.
    pub fn block(&mut self, from: i64, events: i64) {
        let users =
            (from..from + events).map(|i| format!("u{}", i.wrapping_mul(7919).rem_euclid(20 + i / 40)));
        let batch = Batch {
            rows: events as usize,
            times: (from..from + events).map(|second| Time(second * SECOND)).collect(),
            columns: vec![Column::String(StringArray::from_iter_values(users))],
            ..Batch::empty(0, self.blocks)
        };
        for judged in self.intake.push(batch) {
            self.shards[judged.batch.number as usize % 2].apply(&judged);
        }
        self.blocks += 1;
    }

    pub fn commit(&mut self) -> Manifest {
        let mut intake = Vec::new();
        self.intake.snapshot(&mut intake);
        let cut = Cut {
            next_block: self.blocks,
            positions: Vec::new(),
            seen: vec![true],
            quarantine: (0, 0),
            intake,
            sinks: Vec::new(),
            idle: Vec::new(),
            deliveries: Vec::new(),
            shards: self.shards.iter_mut().map(Shard::freeze).collect(),
            judge: Judge::new(&self.source, None, 0).freeze(),
        };
        let about = About { source: self.source.name.clone(), ..About::default() };
        self.directory.commit(&about, &self.source, cut).unwrap();
        self.directory.last().unwrap().clone()
    }

    /// The shards of the last commit, read back.
    fn read(&self) -> Vec<Shard> {
        self.shards_of(&StateDirectory::look(&self.path).unwrap().unwrap())
    }

    fn shards_of(&self, restored: &Restored) -> Vec<Shard> {
        assert!(restored.damaged.is_empty(), "{:?}", restored.damaged);
        let shard = |(nth, bytes): (usize, &Vec<u8>)| {
            let (limits, mut r) = (Limits::bytes(usize::MAX), Reader::new(bytes));
            let records = restored.panes.of(nth);
            let budget = self.budget.unwrap_or(u64::MAX);
            Shard::restore_parts(&self.source, budget, &mut r, &records, &limits).unwrap()
        };
        restored.shards.iter().enumerate().map(shard).collect()
    }

    /// What was committed last is what there is, byte for byte.
    fn check(&self) {
        let whole = |shard: &Shard| {
            let (mut canonical, mut whole) = (Vec::new(), Vec::new());
            shard.canonical(&mut canonical);
            shard.snapshot(&self.source, &mut whole);
            (canonical, whole)
        };
        let (kept, shards) = (self.read(), &self.shards);
        assert!(kept.iter().map(whole).eq(shards.iter().map(whole)));
    }

    /// Begins anew from the directory, as another run does.
    fn resume(&mut self) {
        drop(std::mem::replace(&mut self.directory, StateDirectory::at(&self.path, Codec::Zstd)));
        self.directory = StateDirectory::open(&self.path, Codec::Zstd).unwrap();
        let restored = self.directory.restore().unwrap().unwrap();
        self.shards = self.shards_of(&restored);
        if self.budget.is_some() {
            self.spill();
        }
    }

    fn files(&self) -> BTreeSet<String> {
        let entries = std::fs::read_dir(&self.path).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn panes(manifest: &Manifest) -> impl Iterator<Item = &super::Segment> {
    manifest.segments.iter().filter(|segment| segment.part == PANES)
}

#[test]
fn what_is_needed_is_there_and_little_else() {
    let mut stream = Stream::new("many-commits");
    let (mut written, mut live_max, mut second) = (0, 0, 1_000_000);
    for nth in 0..240 {
        stream.block(second, 20);
        second += 20;
        if nth % 60 == 59 {
            // Corrections of a time long closed.
            stream.block(second - 600, 5);
        }
        if nth == 130 {
            stream.resume();
        }
        let manifest = stream.commit();
        if nth % 20 == 0 || (129..133).contains(&nth) {
            stream.check();
        }
        let segments: Vec<_> = panes(&manifest).collect();
        for segment in &segments {
            assert!(segment.live_bytes * 2 >= segment.raw_bytes, "commit {nth}: {segment:?}");
        }
        let live: u64 = segments.iter().map(|segment| segment.live_bytes).sum();
        live_max = live.max(live_max);
        // Small ones are few, and large ones hold half of their size.
        assert!(segments.len() as u64 <= SMALL_MAX as u64 + 1 + live / (SEGMENT_BYTES / 2), "{segments:?}");
        let own = super::segments_of(manifest.number);
        let new = segments.iter().filter(|segment| segment.file.starts_with(&own));
        written += new.map(|segment| segment.raw_bytes).sum::<u64>();
        // Two commits, what they need, and the lock.
        let files = stream.files();
        assert_eq!(files.iter().filter(|file| file.starts_with("commit-")).count(), (nth + 1).min(2));
        assert!(segments.iter().all(|segment| files.contains(&segment.file)));
    }
    assert!(live_max > 10 * SEGMENT_BYTES, "several segments: {live_max}");
    // All that was ever closed is about 240 · 20 s / 20 min = 4 times what is live at a time, and is moved a few times.
    assert!(written < 20 * live_max, "{written} bytes written for {live_max}");
    eprintln!("{written} bytes of panes written, {live_max} live at most");
}

#[test]
fn nothing_is_written_of_what_has_not_changed() {
    let mut stream = Stream::new("unchanged");
    stream.block(1_000_000, 500);
    let first = stream.commit();
    assert!(panes(&first).count() > 1 && first.written_bytes() > 0);
    let again = stream.commit();
    assert_eq!((again.written_bytes(), &again.segments), (0, &first.segments));
    // Another run knows them by their bytes.
    stream.resume();
    let resumed = stream.commit();
    assert_eq!((resumed.written_bytes(), &resumed.segments), (0, &first.segments));
    // An open pane is written with the rest, a corrected one by itself.
    stream.block(1_000_500, 1);
    let open = stream.commit();
    assert!(panes(&open).eq(panes(&first)) && open.written_bytes() > 0);
    stream.block(1_000_100, 1);
    stream.blocks += 1;
    let corrected = stream.commit();
    let own = super::segments_of(corrected.number);
    let new: Vec<_> = panes(&corrected).filter(|segment| segment.file.starts_with(&own)).collect();
    assert_eq!(new.len(), 1);
    assert!(new[0].raw_bytes < SEGMENT_BYTES / 2, "two levels of four series: {:?}", new[0]);
    stream.check();
}

#[test]
fn a_segment_of_panes_that_is_gone_or_of_another_commit_is_named() {
    let mut stream = Stream::new("damaged");
    stream.block(1_000_000, 300);
    stream.commit();
    stream.block(1_000_300, 300);
    let last = stream.commit();
    let own = super::segments_of(last.number);
    let segments: Vec<_> = panes(&last).map(|segment| segment.file.clone()).collect();
    let (new, old): (Vec<_>, Vec<_>) = segments.iter().partition(|file| file.starts_with(&own));
    assert!(!new.is_empty() && !old.is_empty());
    let look = || StateDirectory::look(&stream.path);
    let damaged = |what: &str| {
        let restored = look().unwrap().unwrap();
        assert_eq!(restored.manifest.number, last.number - 1, "{what}: the one before is whole");
        assert!(restored.damaged[0].contains(new[0].as_str()), "{what}: {:?}", restored.damaged);
    };
    let place = stream.path.join(new[0]);
    let bytes = std::fs::read(&place).unwrap();
    std::fs::remove_file(&place).unwrap();
    damaged("gone");
    std::fs::write(&place, &bytes[..bytes.len() / 2]).unwrap();
    damaged("torn");
    std::fs::copy(stream.path.join(old[0]), &place).unwrap();
    damaged("swapped");
    for at in (0..bytes.len()).step_by(7) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&place, flipped).unwrap();
        damaged("flipped");
    }
    std::fs::write(&place, &bytes).unwrap();
    assert_eq!(look().unwrap().unwrap().manifest, last);
    // One that both commits need: nothing is whole.
    std::fs::write(stream.path.join(old[0]), &bytes).unwrap();
    let error = look().unwrap_err().to_string();
    assert!(error.contains(old[0].as_str()), "{error}");
}

/// The bytes of a shard that go on, whatever of it is in memory.
fn canonical(shards: &[Shard]) -> Vec<u8> {
    let mut bytes = Vec::new();
    shards.iter().for_each(|shard| shard.canonical(&mut bytes));
    bytes
}

#[test]
fn panes_that_are_not_in_memory_are_there_and_little_else() {
    let (mut much, mut little) = (Stream::new("all-in-memory"), Stream::spilling("spilling", 300_000));
    let mut second = 1_000_000;
    for nth in 0..160 {
        for stream in [&mut much, &mut little] {
            stream.block(second, 20);
            if nth % 4 == 3 {
                // Corrections of panes that have left memory long ago.
                stream.block(second - 1100 + nth, 3);
            }
        }
        second += 20;
        if nth == 90 {
            little.commit();
            little.resume();
        }
        if nth % 3 != 0 {
            continue;
        }
        // Who holds a copy reads it, however many commits have come since.
        let held: Vec<Shard> =
            little.shards.iter_mut().map(|shard| shard.freeze().thaw(&little.source)).collect();
        let then = canonical(&held);
        let manifest = little.commit();
        for segment in panes(&manifest) {
            assert!(segment.live_bytes * 2 >= segment.raw_bytes, "commit {nth}: {segment:?}");
        }
        little.check();
        assert_eq!(little.shards[0].given_way(), Default::default(), "block {nth}");
        assert!(canonical(&little.shards) == canonical(&much.shards), "block {nth}");
        for _ in 0..3 {
            little.commit();
        }
        assert!(canonical(&held) == then);
        drop(held);
        assert_eq!(little.directory.shelf().trouble(), None);
        // What nobody needs has gone with the commit after.
        little.commit();
        let files = little.files();
        let segments: usize = files.iter().filter(|file| file.contains("-panes-")).count();
        assert!(segments <= 2 * panes(&manifest).count() + SMALL_MAX, "{files:?}");
        assert!(!files.iter().any(|file| file.starts_with("spill-")), "{files:?}");
    }
    let spilled = little.shards.iter().map(Shard::spilled);
    let (left, again) = spilled.fold((0, 0), |sum, spilled| (sum.0 + spilled.panes, sum.1 + spilled.again));
    assert!(little.shards[0].away().panes > 100 && again > 0, "{left} {again}");
    let moved = little.directory.shelf().moved();
    assert!(moved.written < left, "what a commit has is not written again: {moved:?} of {left}");
}

#[test]
fn a_pane_whose_segment_is_damaged_while_it_is_needed_is_named() {
    let mut stream = Stream::spilling("damaged-later", 60_000);
    for nth in 0..60 {
        stream.block(1_000_000 + nth * 20, 20);
    }
    let manifest = stream.commit();
    assert!(stream.shards[0].away().panes > 100);
    let files: Vec<_> = panes(&manifest).map(|segment| segment.file.clone()).collect();
    for file in &files {
        let place = stream.path.join(file);
        let mut bytes = std::fs::read(&place).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        std::fs::write(&place, bytes).unwrap();
    }
    let _ = canonical(&stream.shards);
    let error = stream.directory.shelf().lost().expect("a pane cannot be read").to_string();
    assert!(files.iter().any(|file| error.contains(file.as_str())), "{error}");
}

#[test]
fn a_run_that_went_on_from_an_older_commit_never_meets_the_damaged_one_again() {
    let mut stream = Stream::new("set-aside");
    stream.block(1_000_000, 100);
    stream.commit();
    stream.block(1_000_100, 100);
    let last = stream.commit();
    let place = stream.path.join(StateDirectory::manifest_name(last.number));
    let whole = std::fs::read(&place).unwrap();
    std::fs::write(&place, &whole[..whole.len() - 1]).unwrap();
    let restored = stream.directory.restore().unwrap().unwrap();
    assert_eq!((restored.manifest.number, restored.damaged.len()), (last.number - 1, 1));
    stream.directory.set_aside_later(restored.manifest.number).unwrap();
    let (aside, files) = (format!("damaged-commit-{:016x}", last.number), stream.files());
    assert!(files.contains(&aside) && !place.exists(), "{files:?}");
    // Until the number is given anew, a run knows that it goes on from an older commit: it takes back what left later.
    let restored = stream.directory.restore().unwrap().unwrap();
    assert_eq!(restored.manifest.number, last.number - 1);
    assert!(restored.damaged.len() == 1 && restored.damaged[0].contains(&aside), "{:?}", restored.damaged);
    assert_eq!(stream.commit().number, last.number);
    stream.check();
}

//! What real runs have kept, damaged: every image is noticed and named, or answers as one of the commits did.

use crate::check;
use crate::dice::Dice;
use crate::disk::SimDisk;
use crate::life::{End, World};
use crate::rot_inbox;
use crate::scene::{self, Scene};
use crate::verdict::Verdict;
use engine::spec::Source;
use runtime::RunError;
use runtime::checkpoint::{Restored, StateDirectory};
use sketch::Limits;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

/// Images of one state before another one is made.
const IMAGES: u64 = 400;
/// First bytes of a file of which every one is damaged.
pub const HEAD_BYTES: usize = 64;

/// Files of a directory.
pub type Image = BTreeMap<PathBuf, Vec<u8>>;

/// What may come of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was refused, and what is damaged was named.
    Refused,
    /// An older commit was taken, aloud.
    FellBack,
    /// What was damaged is not needed.
    Harmless,
    /// It is what a crash would have left, and all that was told of it is told anew.
    AsAfterACrash,
}

impl Fate {
    fn name(self) -> &'static str {
        match self {
            Fate::Refused => "refused_by_name",
            Fate::FellBack => "fell_back_aloud",
            Fate::Harmless => "harmless",
            Fate::AsAfterACrash => "as_after_a_crash",
        }
    }
}

/// Damages so many images.
pub fn run(seed: u64, rounds: u64, quick: bool) -> Verdict {
    let mut verdict = Verdict::new("bit-rot", seed, rounds, quick);
    std::panic::set_hook(Box::new(|panic| eprintln!("  {panic}")));
    let (mut nth, mut base) = (0, seed);
    while nth < rounds {
        let images = IMAGES.min(rounds - nth);
        // Three in four are states, the others inboxes.
        let told = if base % 4 == 3 {
            rot_inbox::of(base, images, &mut verdict)
        } else {
            states(base, images, &mut verdict)
        };
        match told {
            Ok(made) => nth += made,
            Err(why) => {
                verdict.fail(format!("seed {base}: {why}"));
                nth += images;
            }
        }
        base = base.wrapping_add(1);
    }
    let _ = std::panic::take_hook();
    verdict.add("images", rounds);
    let failed = verdict.failed();
    verdict.add("silent_wrong_answers_or_panics", failed);
    verdict
}

/// Notes what came of an image.
pub fn note(verdict: &mut Verdict, kind: &str, what: &str, told: Result<Fate, String>, again: &str) {
    verdict.faults(kind, 1);
    match told {
        Ok(fate) => verdict.add(fate.name(), 1),
        Err(why) => verdict.fail(format!("{what}: {why}; again: {again}")),
    }
}

/// A panic is a failure like any other.
pub fn guarded<T>(look: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(look)).unwrap_or_else(|_| Err("it panics".into()))
}

/// A state that was kept, and what it answered.
struct Kept {
    scene: Scene,
    /// All files, those of sinks and the quarantine too.
    image: Image,
    last: u64,
    /// The state of each commit that is there.
    states: BTreeMap<u64, Vec<u8>>,
    /// What it comes to in the end.
    end: End,
}

/// So many images of one state; none of one that has no commit, as records wait for a clock.
fn states(seed: u64, images: u64, verdict: &mut Verdict) -> Result<u64, String> {
    let mut dice = Dice::new(seed, 9);
    let scene = Scene::kept(seed);
    let kept = Kept::of(scene, &mut dice)?;
    let again = format!("streamgauge-simulate bit-rot --seed {seed} --rounds {images}");
    if kept.last == 0 {
        return Ok(0);
    }
    verdict.add("states", 1);
    let files: Vec<PathBuf> =
        kept.image.keys().filter(|path| path.parent() == Some(&scene::folder())).cloned().collect();
    let mut heads = heads(&kept.image, &files, &mut dice);
    for nth in 0..images {
        let (kind, what, image) = match heads.pop() {
            Some((path, at)) if nth % 2 == 0 => {
                let mut image = kept.image.clone();
                let bit = 1 << dice.below(8);
                image.get_mut(&path).expect("it is there")[at] ^= bit;
                ("head", format!("bit {bit} of byte {at} of {}", path.display()), image)
            }
            _ => damage(&kept.image, &files, &mut dice),
        };
        let told = guarded(|| kept.look(&image, &what));
        let told = match told {
            Ok(fate) if fate != Fate::Refused && nth % 8 == 1 => {
                guarded(|| kept.go_on(&image)).map(|()| fate)
            }
            told => told,
        };
        note(verdict, kind, &what, told, &again);
    }
    Ok(images)
}

/// Every byte of the heads of all files, in any order.
pub fn heads(image: &Image, files: &[PathBuf], dice: &mut Dice) -> Vec<(PathBuf, usize)> {
    let of = |path: &PathBuf| (0..image[path].len().min(HEAD_BYTES)).map(|at| (path.clone(), at)).collect();
    let mut all: Vec<(PathBuf, usize)> =
        files.iter().flat_map(|path| -> Vec<(PathBuf, usize)> { of(path) }).collect();
    for last in (1..all.len()).rev() {
        all.swap(last, dice.below(last as u64 + 1) as usize);
    }
    all
}

/// One image with damage: its kind, and in words.
pub fn damage(image: &Image, files: &[PathBuf], dice: &mut Dice) -> (&'static str, String, Image) {
    let mut image = image.clone();
    let (path, other) = (dice.pick(files), dice.pick(files));
    let (bytes, others) = (image[&path].clone(), image[&other].clone());
    let at = dice.below(bytes.len().max(1) as u64) as usize;
    let (shown, name) = (path.display().to_string(), other.display().to_string());
    let (kind, what, new) = match dice.below(9) {
        0..=2 => {
            let mut new = bytes.clone();
            let flips = dice.within(1, 3);
            for _ in 0..flips.min(new.len() as u64) {
                new[dice.below(bytes.len() as u64) as usize] ^= 1 << dice.below(8);
            }
            ("flip", format!("{flips} bits of {shown}"), Some(new))
        }
        3 => ("truncated", format!("{shown} cut to {at}"), Some(bytes[..at].to_vec())),
        4 => {
            image.insert(other, bytes);
            ("swapped", format!("{shown} and {name} swapped"), Some(others))
        }
        5 => ("empty", format!("{shown} is empty"), Some(Vec::new())),
        6 => ("duplicated", format!("{shown} holds what {name} does"), Some(others)),
        7 => ("missing", format!("{shown} is gone"), None),
        _ => {
            let mut new = bytes.clone();
            let to = (at / 512 * 512 + 512).min(new.len());
            new[at / 512 * 512..to].fill(0);
            ("zeroed", format!("a sector of {shown} at {at} is zeros"), Some(new))
        }
    };
    match new {
        Some(new) => drop(image.insert(path, new)),
        None => drop(image.remove(&path)),
    }
    (kind, what, image)
}

/// A disk with these files.
pub fn disk_of(image: &Image) -> SimDisk {
    let disk = SimDisk::new(Dice::new(0, 0));
    image.iter().for_each(|(path, bytes)| disk.put(path, Some(bytes)));
    disk
}

fn look(image: &Image) -> Result<Option<Restored>, RunError> {
    StateDirectory::look_on(Arc::new(disk_of(image)), &scene::folder())
}

fn state_of(restored: &Restored, source: &Source) -> Result<Vec<u8>, String> {
    let state = restored.state(source, &Limits::bytes(1 << 30))?;
    let mut bytes = Vec::new();
    state.snapshot(source, &mut bytes);
    Ok(bytes)
}

impl Kept {
    fn of(scene: Scene, dice: &mut Dice) -> Result<Kept, String> {
        let pieces = dice.within(2.min(scene.pieces.len() as u64), scene.pieces.len() as u64) as usize;
        let left = World::leave(&scene, pieces)?;
        let mut image = left.files(&scene::folder());
        image.extend(left.files(scene::folder().parent().expect("it has one")));
        image.remove(&scene::folder().join("lock"));
        let (end, _) = World::new(&scene, false).play()?;
        let mut kept = Kept { scene, image, last: 0, states: BTreeMap::new(), end };
        let mut image = kept.image.clone();
        while let Some(restored) = look(&image).map_err(|error| error.to_string())? {
            let number = restored.manifest.number;
            kept.last = kept.last.max(number);
            kept.states.insert(number, state_of(&restored, &kept.scene.sources[0])?);
            image.remove(&scene::folder().join(format!("commit-{number:016x}")));
            if kept.states.len() == 2 || number == 1 {
                break;
            }
        }
        Ok(kept)
    }

    /// What a look at an image says.
    fn look(&self, image: &Image, what: &str) -> Result<Fate, String> {
        let restored = match look(image) {
            Err(error) => {
                let text = error.to_string();
                let named =
                    text.contains("commit-") || text.contains("segment-") || text.contains("segments");
                return if named { Ok(Fate::Refused) } else { Err(format!("no file is named: {text}")) };
            }
            // The one commit that there was, as if the program had ended while it was written.
            Ok(None) if self.last <= 1 && what.ends_with("is gone") => return Ok(Fate::AsAfterACrash),
            Ok(None) => return Err("it begins with nothing".into()),
            Ok(Some(restored)) => restored,
        };
        let number = restored.manifest.number;
        let known = self.states.get(&number).ok_or_else(|| format!("there never was a commit {number}"))?;
        if *known != state_of(&restored, &self.scene.sources[0])? {
            return Err(format!(
                "commit {number} is another one, and nothing is said: {:?}",
                restored.damaged
            ));
        }
        match (number == self.last, restored.damaged.is_empty()) {
            (true, true) => Ok(Fate::Harmless),
            (true, false) => Err("the last commit was taken, and called damaged".into()),
            (false, false) => Ok(Fate::FellBack),
            (false, true) if what.ends_with("is gone") => Ok(Fate::AsAfterACrash),
            (false, true) => Err(format!("commit {number} was taken, and nothing was said")),
        }
    }

    /// A run that goes on from an image comes to the same end, or says what is damaged.
    fn go_on(&self, image: &Image) -> Result<(), String> {
        match World::with(&self.scene, disk_of(image)).play() {
            // As an undisturbed one, whose sinks had nothing to take back.
            Ok((end, _)) => check::same(&self.scene, &end, &self.end),
            Err(why) if why.contains("/sim/") => Ok(()),
            Err(why) => Err(why),
        }
    }
}

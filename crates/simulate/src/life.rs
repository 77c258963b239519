//! A scene played: programs that read it, are killed, begin again and go on, until all of it was read.

use crate::dice::{Dice, Trace};
use crate::disk::{Death, KINDS, SimDisk, Weather};
use crate::scene::{self, Scene};
use engine::adopt::{Adopted, Adoption};
use engine::answer::Answer;
use engine::intake::Tally;
use engine::spec::{Question, Source};
use engine::time::Time;
use runtime::checkpoint::{About, Migration, Position, Restored, StateDirectory};
use runtime::{Input, Job, Keep, Pieces, RunError, SinkTo, Steps};
use sketch::Limits;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Lives after which nothing goes wrong any more.
const LIVES_MAX: u64 = 12;

/// What there is at the end.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// The state, as bytes.
    pub state: Vec<u8>,
    pub tally: Tally,
    pub watermark: Option<i64>,
    pub answers: Vec<Answer>,
    pub quarantine: Vec<u8>,
    /// Whether the last commit is of the end: it is not while records wait for a clock, and then lines wait too.
    pub is_kept: bool,
    /// By sink: all lines of its files.
    pub lines: Vec<Vec<String>>,
}

/// What happened on the way.
#[derive(Debug, Clone, Copy, Default)]
pub struct Way {
    pub lives: u64,
    pub commits: u64,
    pub put_off: u64,
    pub fell_back: u64,
    pub migrations: u64,
    pub faults: [u64; KINDS.len()],
    pub trace: u64,
}

/// A world for one scene.
pub struct World<'a> {
    scene: &'a Scene,
    disk: SimDisk,
    dice: Dice,
    trace: Trace,
    /// Whether anything goes wrong.
    troubled: bool,
    /// Whether somebody has damaged what is there.
    damaged: bool,
    /// How many pieces there are so far; fewer than all only in the first phase.
    so_far: usize,
    now_ms: Arc<AtomicU64>,
    /// Of the commits that were said to be durable, the last.
    promised: u64,
    /// By sink: whole lines that somebody has seen.
    seen: Vec<Vec<u8>>,
    way: Way,
}

/// How a program ended.
enum Ended {
    /// It came to the end of its phase.
    Whole(Box<End>),
    /// It was killed, or failed because of something that went wrong in its time.
    Troubled,
}

impl<'a> World<'a> {
    /// A world in which things go wrong, or not.
    pub fn new(scene: &'a Scene, troubled: bool) -> World<'a> {
        World {
            scene,
            disk: SimDisk::new(Dice::new(scene.seed, 2)),
            dice: Dice::new(scene.seed, if troubled { 3 } else { 4 }),
            trace: Trace::default(),
            troubled,
            damaged: false,
            so_far: scene.pieces.len(),
            now_ms: Arc::default(),
            promised: 0,
            seen: vec![Vec::new(); scene.sinks.len()],
            way: Way::default(),
        }
    }

    /// The same where something is on the disk already, which may be damaged.
    pub fn with(scene: &'a Scene, disk: SimDisk) -> World<'a> {
        World { disk, damaged: true, ..World::new(scene, false) }
    }

    /// Plays so many pieces of a scene of one phase in peace. What was left on the disk.
    ///
    /// # Errors
    /// As [`World::play`].
    pub fn leave(scene: &'a Scene, pieces: usize) -> Result<SimDisk, String> {
        let world = World { so_far: pieces, ..World::new(scene, false) };
        let disk = world.disk.clone();
        world.play().map(|_| disk)
    }

    /// Plays the scene to its end.
    ///
    /// # Errors
    /// A sentence that says which promise was broken.
    pub fn play(mut self) -> Result<(End, Way), String> {
        let mut last = None;
        for phase in 0..self.scene.ends.len() {
            last = Some(self.phase(phase)?);
        }
        self.way.faults = self.disk.faults();
        self.trace.count(self.disk.trace());
        self.way.trace = self.trace.sum();
        Ok((*last.expect("a scene has a phase"), self.way))
    }

    fn phase(&mut self, phase: usize) -> Result<Box<End>, String> {
        let until = self.way.lives + LIVES_MAX;
        loop {
            self.way.lives += 1;
            let weather =
                if self.troubled && self.way.lives < until { self.weather() } else { Weather::default() };
            self.disk.begin(weather);
            match self.live(phase) {
                Ok(Ended::Whole(end)) => {
                    self.look_at_sinks(true)?;
                    return Ok(end);
                }
                Ok(Ended::Troubled) => {
                    if !self.disk.is_dead() {
                        // A program that has failed ends; now and then the machine does as well.
                        self.disk.die(if self.dice.once_in(3) { Death::PowerCut } else { Death::Kill });
                    }
                }
                Err(why) => return Err(format!("life {} of phase {phase}: {why}", self.way.lives)),
            }
        }
    }

    fn weather(&mut self) -> Weather {
        let d = &mut self.dice;
        let death = match d.below(5) {
            0 => None,
            1 | 2 => Some(Death::Kill),
            _ => Some(Death::PowerCut),
        };
        let longest = d.pick(&[10, 60, 300]);
        Weather {
            death: death.map(|death| (d.within(1, longest), death)),
            fails_once_in: d.pick(&[0, 0, 0, 20, 100]),
            // Where a run falls back behind a change of the pipeline, what began with it begins elsewhere.
            reads_fail: d.once_in(4) && self.scene.ends.len() == 1,
        }
    }

    /// An error is no broken promise where something went wrong in the time of the program.
    fn excused(&self, doing: &str, error: &RunError) -> Result<Ended, String> {
        if self.disk.is_dead() || self.disk.failed() > 0 {
            return Ok(Ended::Troubled);
        }
        Err(format!("{doing}, and nothing was wrong with the disk: {error}"))
    }

    /// One program, from its start to its end.
    fn live(&mut self, phase: usize) -> Result<Ended, String> {
        let folder = scene::folder();
        let opened = StateDirectory::open_on(Arc::new(self.disk.clone()), &folder, self.scene.codec);
        let mut directory = match opened {
            Ok(directory) => directory,
            Err(error) => return self.excused("the directory does not open", &error),
        };
        let restored = match directory.restore() {
            Ok(restored) => restored,
            Err(error) => return self.excused("the state is not restored", &error),
        };
        self.check_promise(restored.as_ref())?;
        let source = &self.scene.sources[phase];
        let restored = match restored {
            Some(restored) if restored.manifest.about.name != name_of(phase) => {
                match self.migrate(&mut directory, &restored, phase) {
                    Ok(restored) => Some(restored),
                    Err(error) => return self.excused("the state does not migrate", &error),
                }
            }
            restored => restored,
        };
        let job = self.job(phase, source, &mut directory, restored);
        let now = self.now_ms.clone();
        let begun = Steps::begin(job, move || Duration::from_millis(now.load(Ordering::Relaxed)));
        let mut steps = match begun {
            Ok(steps) => steps,
            Err(error) => return self.excused("the run does not begin", &error),
        };
        let slow = self.dice.pick(&[1, 2, 6]);
        let tick_ms = self.dice.pick(&[1, 10, 40]);
        while steps.step() {
            self.now_ms.fetch_add(self.dice.below(tick_ms), Ordering::Relaxed);
            // Lines leave when a commit is written, at no other time.
            if self.dice.once_in(slow) {
                if let Some(commit) = steps.write() {
                    (self.promised, self.way.commits) = (commit, self.way.commits + 1);
                }
                self.look_at_sinks(false)?;
            }
            if self.disk.is_dead() {
                return Ok(Ended::Troubled);
            }
        }
        let finished = match steps.finish() {
            Ok(finished) => finished,
            Err(error) => return self.excused("the run does not end well", &error),
        };
        self.way.put_off += finished.commits_put_off;
        let mut end = self.end(source, finished)?;
        let last = directory.last().map_or((0, 0), |commit| (commit.number, commit.next_block));
        end.is_kept = last.1 == self.scene.ends[phase] as u64;
        self.promised = self.promised.max(last.0);
        drop(directory);
        if self.disk.is_dead() { Ok(Ended::Troubled) } else { Ok(Ended::Whole(Box::new(end))) }
    }

    fn job<'j>(
        &self,
        phase: usize,
        source: &'j Source,
        directory: &'j mut StateDirectory,
        restored: Option<Restored>,
    ) -> Job<'j> {
        let about = About { source: source.name.clone(), name: name_of(phase), ..About::default() };
        let pieces = self.scene.pieces[..self.scene.ends[phase].min(self.so_far)].to_vec();
        Job {
            source,
            kept: source,
            program: None,
            annotate: None,
            input: Input::Given(Arc::new(move |known: &[Position]| {
                Box::new(Given::at(&pieces, known)) as Box<dyn Pieces>
            })),
            quarantine: scene::quarantine(),
            shards: self.scene.shards,
            workers: 1,
            memory_bytes: self.scene.memory_bytes,
            save: true,
            sinks: self.scene.sinks_for(phase),
            every: Duration::from_millis(self.scene.every_ms),
            keep: Some(Keep { directory, restored, about, limits: Limits::bytes(1 << 30) }),
            live: None,
        }
    }

    /// What was said to be durable is there.
    fn check_promise(&mut self, restored: Option<&Restored>) -> Result<(), String> {
        let number = restored.map_or(0, |restored| restored.manifest.number);
        self.trace.count(number);
        let aloud = restored.is_some_and(|restored| !restored.damaged.is_empty());
        if aloud {
            self.way.fell_back += 1;
            let damaged = &restored.expect("it was looked at").damaged;
            let new = damaged.iter().any(|why| !why.contains("set aside"));
            if new && !self.disk.read_failed() && !self.damaged {
                return Err(format!("a commit is damaged that nobody has damaged: {damaged:?}"));
            }
            // Lines are taken back and written anew, as was said aloud.
            self.seen.iter_mut().for_each(Vec::clear);
            self.promised = number;
        }
        if number < self.promised {
            return Err(format!("commit {} was durable, and {number} is the last there is", self.promised));
        }
        Ok(())
    }

    fn migrate(
        &mut self,
        directory: &mut StateDirectory,
        restored: &Restored,
        phase: usize,
    ) -> Result<Restored, RunError> {
        let (from, to) = (&self.scene.sources[phase - 1], &self.scene.sources[phase]);
        let adoption = adoption(from, to);
        let begins = to.metrics.iter().zip(&adoption.metrics).filter(|(_, adopted)| adopted.is_none());
        let migration = Migration {
            from,
            to,
            adoption: &adoption,
            begins: begins.map(|(metric, _)| (metric.name.clone(), None)).collect(),
            about: About { source: to.name.clone(), name: name_of(phase), ..About::default() },
            memory_bytes: self.scene.memory_bytes,
            same_quarantine: true,
            limits: Limits::bytes(1 << 30),
        };
        let restored = directory.migrate(restored, migration)?;
        (self.promised, self.way.migrations) = (restored.manifest.number, self.way.migrations + 1);
        Ok(restored)
    }

    fn end(&self, source: &Source, finished: runtime::Finished<'_>) -> Result<End, String> {
        let files = (0..self.scene.sinks.len()).map(|sink| lines_of(&self.sink_bytes(sink)));
        let quarantine = self.disk.seen(&scene::quarantine()).unwrap_or_default();
        Ok(End { quarantine, lines: files.collect(), ..end_of(source, finished)? })
    }

    /// All that stands in the files of a sink, in their order.
    fn sink_bytes(&self, sink: usize) -> Vec<u8> {
        let SinkTo::File { path, .. } = &self.scene.sinks[sink].to else { return Vec::new() };
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let of_sink =
            |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&stem));
        let files = self.disk.files(path.parent().unwrap_or(Path::new("/")));
        files.into_iter().filter(|(file, _)| of_sink(file)).flat_map(|(_, bytes)| bytes).collect()
    }

    /// No whole line that anybody has seen is taken back. Right after a power cut some are not there again yet.
    fn look_at_sinks(&mut self, at_end: bool) -> Result<(), String> {
        for sink in 0..self.seen.len() {
            let mut now = self.sink_bytes(sink);
            now.truncate(now.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
            let seen = &mut self.seen[sink];
            let common = seen.len().min(now.len());
            if now[..common] != seen[..common] || at_end && now.len() < seen.len() {
                let at = (0..common).find(|&i| now[i] != seen[i]);
                let s = |b: &[u8]| {
                    String::from_utf8_lossy(&b[at.unwrap_or(0)..(at.unwrap_or(0) + 300).min(b.len())])
                        .into_owned()
                };
                return Err(format!(
                    "sink {sink}: lines that were seen are gone, or others {at:?} {} {}: {:?}, {:?}",
                    seen.len(),
                    now.len(),
                    s(seen),
                    s(&now)
                ));
            }
            if now.len() > seen.len() {
                *seen = now;
            }
        }
        Ok(())
    }
}

/// What a run has come to, but for its files.
///
/// # Errors
/// When it hands no state out.
pub fn end_of(source: &Source, finished: runtime::Finished<'_>) -> Result<End, String> {
    let state = finished.saved.ok_or("no state was handed out")?.bytes;
    let mut answers = finished.outlet.answers(Question::Total);
    let ladder = source.metrics.iter().map(|metric| &metric.levels).max_by_key(|levels| levels.len());
    for level in ladder.into_iter().flatten() {
        let question = Question::Windows { window: level.size, every: level.size };
        if question.restrict(source).is_ok() {
            answers.extend(finished.outlet.answers(question));
        }
    }
    Ok(End {
        state,
        tally: finished.tally,
        watermark: finished.outlet.complete_to().map(|Time(us)| us),
        answers,
        is_kept: false,
        quarantine: Vec::new(),
        lines: Vec::new(),
    })
}

fn name_of(phase: usize) -> String {
    format!("phase-{phase}")
}

fn lines_of(bytes: &[u8]) -> Vec<String> {
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect()
}

/// Metrics of one name go on.
fn adoption(from: &Source, to: &Source) -> Adoption {
    let goes_on = |metric: &engine::spec::Metric| {
        let before = from.metrics.iter().position(|before| before.name == metric.name)?;
        Some(Adopted { metric: before, sets: (0..metric.by.len()).map(Some).collect() })
    };
    Adoption { metrics: to.metrics.iter().map(goes_on).collect(), clock: true }
}

/// The pieces of a scene, from where a commit was.
struct Given {
    pieces: std::vec::IntoIter<runtime::Piece>,
    texts: std::vec::IntoIter<String>,
}

impl Given {
    fn at(pieces: &[scene::Piece], known: &[Position]) -> Given {
        let mut next: BTreeMap<u32, u64> = BTreeMap::new();
        let (mut given, mut texts) = (Vec::new(), Vec::new());
        for piece in pieces {
            let text = piece.text();
            let from = next.entry(piece.partition).or_default();
            let bytes = *from..*from + text.len() as u64;
            *from = bytes.end;
            let read = known.get(piece.partition as usize).map_or(0, |position| position.next);
            if bytes.start >= read {
                let (partition, silent) = (piece.partition, piece.silent.clone());
                given.push(runtime::Piece { partition, bytes, arrival: Time(0), silent });
                texts.push(text);
            }
        }
        Given { pieces: given.into_iter(), texts: texts.into_iter() }
    }
}

impl Pieces for Given {
    fn next(&mut self, buffer: &mut Vec<u8>) -> Option<runtime::Piece> {
        buffer.clear();
        buffer.extend_from_slice(self.texts.next()?.as_bytes());
        self.pieces.next()
    }
}

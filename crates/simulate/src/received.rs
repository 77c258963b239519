//! A scene whose events come as bodies over something like HTTP: clients that send again, twice and out of order, an inbox and
//! a run that reads it, on one disk.

use crate::check;
use crate::dice::{Dice, Trace};
use crate::disk::{Death, KINDS, SimDisk, Weather};
use crate::life::{self, End};
use crate::oracle::Oracle;
use crate::scene::{self, Event, Line, Piece, Scene};
use engine::inbox::{Delivery, Inbox as _, Stamp};
use runtime::checkpoint::{About, StateDirectory};
use runtime::inbox::{Got, Inbox, InboxHand, Settings};
use runtime::{Input, Job, Keep, Received, Steps};
use sketch::Limits;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LIVES_MAX: u64 = 15;
const CLIENTS: u64 = 3;

/// What became of the bodies that were sent: which, and whether it was taken in.
type Told = Arc<Mutex<Vec<(usize, bool)>>>;

/// What a seed came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    pub lives: u64,
    pub bodies: u64,
    pub sent_again: u64,
    pub commits: u64,
    pub faults: [u64; KINDS.len()],
    pub trace: u64,
}

struct World {
    scene: Scene,
    disk: SimDisk,
    dice: Dice,
    /// Acknowledged, by piece.
    acknowledged: Vec<bool>,
    sent: Vec<u64>,
    /// The bodies of the log in its order: which piece each is.
    log: Vec<usize>,
    /// Behind the last of them.
    end: u64,
    promised: u64,
    figures: Figures,
}

/// Plays a seed.
///
/// # Errors
/// A sentence that says which promise was broken.
pub fn play(seed: u64) -> Result<Figures, String> {
    let mut scene = Scene::of(seed, true);
    scene.sinks.clear();
    // Every body is known by its text.
    for (nth, piece) in scene.pieces.iter_mut().enumerate() {
        let ms = piece.lines.iter().find_map(|line| match line {
            Line::Event(event) => Some(event.ms),
            Line::Bad(..) => None,
        });
        let (key, user) = ("body".to_string(), format!("b{nth}"));
        piece.lines.push(Line::Event(Event { ms: ms.unwrap_or(1_700_000_000_000), key, user, value: 1 }));
    }
    let many = scene.pieces.len();
    let mut world = World {
        disk: SimDisk::new(Dice::new(seed, 12)),
        dice: Dice::new(seed, 13),
        acknowledged: vec![false; many],
        sent: vec![0; many],
        log: Vec::new(),
        end: 0,
        promised: 0,
        figures: Figures::default(),
        scene,
    };
    let end = loop {
        world.figures.lives += 1;
        let weather = if world.figures.lives < LIVES_MAX { world.weather() } else { Weather::default() };
        world.disk.begin(weather);
        match world.live() {
            Ok(Some(end)) => break end,
            Ok(None) if world.disk.is_dead() => {}
            Ok(None) => world.disk.die(if world.dice.once_in(3) { Death::PowerCut } else { Death::Kill }),
            Err(why) => return Err(format!("life {}: {why}", world.figures.lives)),
        }
    };
    world.check(&end)?;
    world.figures.faults = world.disk.faults();
    let mut trace = Trace::default();
    trace.count(world.disk.trace());
    world.log.iter().for_each(|piece| trace.count(*piece as u64));
    Ok(Figures { bodies: world.log.len() as u64, trace: trace.sum(), ..world.figures })
}

impl World {
    fn weather(&mut self) -> Weather {
        let d = &mut self.dice;
        let death = d.pick(&[None, Some(Death::Kill), Some(Death::PowerCut), Some(Death::PowerCut)]);
        let longest = d.pick(&[10, 60, 300]);
        Weather {
            death: death.map(|death| (d.within(1, longest), death)),
            fails_once_in: d.pick(&[0, 0, 15, 60]),
            reads_fail: false,
        }
    }

    fn excused<T>(&self, doing: &str, error: &dyn Display) -> Result<Option<T>, String> {
        if self.disk.is_dead() || self.disk.failed() > 0 {
            return Ok(None);
        }
        Err(format!("{doing}, and nothing was wrong with the disk: {error}"))
    }

    /// One program: some rounds of bodies that come and are read.
    fn live(&mut self) -> Result<Option<End>, String> {
        let settings = Settings { segment_bytes: 2_000, ..Settings::default() };
        let (inbox, mut hand) = match Inbox::by_hand(&scene::inbox(), settings, Arc::new(self.disk.clone())) {
            Ok(opened) => opened,
            Err(error) => return self.excused("the inbox does not open", &error),
        };
        let (inbox, told) = (Arc::new(inbox), Told::default());
        loop {
            self.send(&inbox, &told);
            if self.dice.once_in(2) {
                self.send(&inbox, &told);
            }
            hand.step();
            self.listen(&inbox, &told)?;
            if self.disk.is_dead() {
                return Ok(None);
            }
            let all = self.acknowledged.iter().all(|acknowledged| *acknowledged);
            match self.read(&inbox, &mut hand, &told)? {
                None => return Ok(None),
                Some(end) if all => return Ok(Some(end)),
                Some(_) => {}
            }
        }
    }

    /// Clients send what was not acknowledged, in about their order, and now and then something once more.
    fn send(&mut self, inbox: &Inbox, told: &Told) {
        let waiting: Vec<usize> =
            (0..self.acknowledged.len()).filter(|piece| !self.acknowledged[*piece]).collect();
        let many = self.dice.below(4) as usize;
        for _ in 0..many {
            let piece = match waiting.len() {
                0 => self.dice.below(self.acknowledged.len() as u64) as usize,
                all => waiting[self.dice.below(all.min(5) as u64) as usize],
            };
            let piece = if self.dice.once_in(6) { self.dice.below(piece as u64 + 1) as usize } else { piece };
            // One that has no stamp is sent again only when it was not acknowledged.
            if self.stamp(piece).is_none() && self.acknowledged[piece] {
                continue;
            }
            self.figures.sent_again += u64::from(self.sent[piece] > 0);
            self.sent[piece] += 1;
            let (told, body) = (told.clone(), self.scene.pieces[piece].text().into_bytes());
            let answer = Box::new(move |answer: Result<_, _>| {
                told.lock().unwrap_or_else(|e| e.into_inner()).push((piece, answer.is_ok()));
            });
            inbox.append(Delivery { body, stamp: self.stamp(piece) }, 1_000, answer);
        }
    }

    fn stamp(&self, piece: usize) -> Option<Stamp> {
        let (client, sequence) = (piece as u64 % CLIENTS, piece as u64 / CLIENTS);
        if piece % 7 == 6 { None } else { Stamp::new(&format!("c{client}"), sequence) }
    }

    /// Hears what was acknowledged, and reads what is new in the log.
    fn listen(&mut self, inbox: &Inbox, told: &Told) -> Result<(), String> {
        for (piece, taken) in told.lock().unwrap_or_else(|e| e.into_inner()).drain(..) {
            self.acknowledged[piece] |= taken;
        }
        let mut reader = match inbox.reader(self.end) {
            Ok(reader) => reader,
            Err(error) => return self.excused::<()>("what was durable is gone", &error).map(|_| ()),
        };
        let mut body = Vec::new();
        loop {
            match reader.next(&mut body, Duration::ZERO) {
                Ok(Got::Lines { next, .. }) => {
                    let known = self.scene.pieces.iter().position(|piece| piece.text().as_bytes() == body);
                    self.log.push(known.ok_or("the log holds what nobody has sent")?);
                    self.end = next;
                }
                Ok(Got::Nothing | Got::End) => return Ok(()),
                Err(error) => return self.excused::<()>("the log is not read", &error).map(|_| ()),
            }
        }
    }

    /// A run to the end of what is there; bodies come meanwhile.
    fn read(&mut self, inbox: &Arc<Inbox>, hand: &mut InboxHand, told: &Told) -> Result<Option<End>, String> {
        let disk = Arc::new(self.disk.clone());
        let mut directory = match StateDirectory::open_on(disk, &scene::folder(), self.scene.codec) {
            Ok(directory) => directory,
            Err(error) => return self.excused("the directory does not open", &error),
        };
        let restored = match directory.restore() {
            Ok(restored) => restored,
            Err(error) => return self.excused("the state is not restored", &error),
        };
        let number = restored.as_ref().map_or(0, |restored| restored.manifest.number);
        if number < self.promised {
            return Err(format!("commit {} was durable, and {number} is the last there is", self.promised));
        }
        let source = self.scene.sources[0].clone();
        let received = Received {
            inbox: inbox.clone(),
            to_the_end: true,
            idle: Duration::MAX,
            stop: Arc::new(AtomicBool::new(false)),
        };
        let about = About { source: source.name.clone(), ..About::default() };
        let job = Job {
            source: &source,
            kept: &source,
            program: None,
            annotate: None,
            input: Input::Received(received),
            quarantine: scene::quarantine(),
            shards: self.scene.shards,
            workers: 1,
            memory_bytes: 1 << 30,
            save: true,
            sinks: Vec::new(),
            every: Duration::ZERO,
            keep: Some(Keep { directory: &mut directory, restored, about, limits: Limits::bytes(1 << 30) }),
            live: None,
        };
        let mut steps = match Steps::begin(job, || Duration::ZERO) {
            Ok(steps) => steps,
            Err(error) => return self.excused("the run does not begin", &error),
        };
        while steps.step() {
            if self.dice.once_in(3) {
                self.send(inbox, told);
                hand.step();
                self.listen(inbox, told)?;
            }
            if self.dice.once_in(2)
                && let Some(commit) = steps.write()
            {
                (self.promised, self.figures.commits) = (commit, self.figures.commits + 1);
            }
            if self.disk.is_dead() {
                return Ok(None);
            }
        }
        let finished = match steps.finish() {
            Ok(finished) => finished,
            Err(error) => return self.excused("the run does not end well", &error),
        };
        let end = life::end_of(&source, finished)?;
        self.promised = directory.last().map_or(self.promised, |commit| commit.number.max(self.promised));
        if self.disk.is_dead() { Ok(None) } else { Ok(Some(end)) }
    }

    /// Each body is in the log once, and every answer is that of an exact count of the log.
    fn check(&self, end: &End) -> Result<(), String> {
        let mut times: BTreeMap<usize, u64> = BTreeMap::new();
        self.log.iter().for_each(|piece| *times.entry(*piece).or_default() += 1);
        for (piece, sent) in self.sent.iter().enumerate() {
            let times = times.get(&piece).copied().unwrap_or(0);
            let most = if self.stamp(piece).is_some() { 1 } else { *sent };
            if times < u64::from(self.acknowledged[piece]) || times > most {
                return Err(format!("body {piece} was sent {sent} times, and is in the log {times} times"));
            }
        }
        let mut oracle = Oracle::new(self.scene.sources[0].time.clone());
        let pieces: Vec<Piece> = self.log.iter().map(|piece| self.scene.pieces[*piece].clone()).collect();
        pieces.iter().for_each(|piece| oracle.read(piece));
        let counts = oracle.end();
        check::counters(end, &counts)?;
        check::answers(&self.scene, end, &counts).map(|_| ())
    }
}

//! Every thread of the local runtime: blocks through decode, intake and shards.
//!
//! S workers, one per shard. Worker i takes blocks i, i + S, i + 2S …: it waits for its turn to read, decodes alone,
//! waits for its turn at the intake (which must see blocks in order), and folds the judged batch into its own shard.
//! Two turnstiles are all the coordination there is; with one worker nothing waits.

use crate::RunError;
use crate::checkpoint::{About, Cut, PaneShelf, StateDirectory};
use crate::clock::Clock;
use crate::desk::Desk;
use crate::input::reads;
use crate::job::{Annotate, Finished, HEAD_BYTES, Input, Job, Keep, Resumed, Status};
use crate::keep::{Start, disk_of};
use crate::live::Live;
use crate::parquet::columns;
use crate::quarantine::Quarantine;
use crate::reader::received::Release;
use crate::reader::{BlockHead, Content, Feed, News};
use crate::sink::{Delivery, PENDING_BYTES_MAX};
use crate::turn::Turn;
use engine::batch::{Batch, Block};
use engine::compute::Compute;
use engine::decode::{Arrays, Decoder};
use engine::intake::Judged;
use engine::moment::Moment;
use engine::rollup::Around;
use engine::shard::Shard;
use engine::spec::{BadPolicy, Later, Source};
use engine::state::{Saved, State};
use engine::time::Time;
use sabotage::{Bug, planted};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Reads a source to its end. `progress` is called after every block, from any worker.
///
/// # Errors
/// The first input that cannot be read, or the quarantine that cannot be written; no answer is given then.
pub fn run<'a>(job: Job<'a>, progress: &(dyn Fn(Status) + Sync)) -> Result<Finished<'a>, RunError> {
    let workers = job.workers;
    // None waits while another one is being written: each holds what has changed since.
    let live = job.live.clone();
    let (pump, writer, resumed) = Pump::begin(job, progress, Clock::real(), 0)?;
    let workers = workers.clamp(1, pump.shards.len()) as u64;
    if let (Some(live), Some(last)) = (&live, writer.as_ref().and_then(|writer| writer.directory.last())) {
        live.commit(last.number, last.written_us);
    }
    match (writer, live) {
        (None, None) if workers == 1 => pump.work(0, 1),
        (writer, live) => std::thread::scope(|scope| {
            let (pump, live) = (&pump, live.as_deref());
            let _end = live.map(|live| {
                scope.spawn(move || live.answer(&|changes| pump.show(live.source(), changes)));
                EndLive(live)
            });
            let hands: Vec<_> =
                (1..workers).map(|hand| scope.spawn(move || pump.work(hand, workers))).collect();
            let writer = writer.map(|writer| scope.spawn(move || pump.write_commits(writer)));
            pump.work(0, workers);
            // A panic in a worker is one of the run.
            hands
                .into_iter()
                .for_each(|hand| hand.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            pump.last_cut();
            if let Some(writer) = writer {
                writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            }
        }),
    }
    pump.finish(resumed)
}

/// What one worker has in hand.
pub(crate) struct Hand {
    turn: u64,
    workers: u64,
    decoder: Option<(u32, Decoder)>,
    /// One that remembers where rows stand, once somebody has waited for what is found of them.
    noting: Option<(u32, Decoder)>,
    buffer: Vec<u8>,
}

impl Hand {
    /// That of a worker of so many.
    pub fn new(hand: u64, workers: u64) -> Hand {
        Hand { turn: hand, workers, decoder: None, noting: None, buffer: Vec::new() }
    }
}

/// What who writes commits has in hand.
pub(crate) struct Writer<'a> {
    pub directory: &'a mut StateDirectory,
    about: About,
    pub cuts: Receiver<Cut>,
    release: Option<Release>,
}

pub(crate) struct Pump<'a, 'p> {
    source: &'a Source,
    kept: &'a Source,
    program: Option<Arc<dyn Compute>>,
    annotate: Option<Annotate<'a>>,
    /// Whether the input is read to its end, and not followed.
    to_the_end: bool,
    /// Whether the state is kept.
    is_kept: bool,
    reader: Mutex<Feed>,
    read_turn: Turn,
    desk: Mutex<Desk>,
    intake_turn: Turn,
    /// Time between two commits.
    every: Duration,
    clock: Clock,
    /// Who is told how long things take; without anybody no clock is looked at.
    live: Option<Arc<Live>>,
    /// What a shard may take.
    shard_bytes: u64,
    /// Where closed panes go that memory has no room for.
    shelf: Option<Arc<PaneShelf>>,
    /// Raised when a shard is nearly full: panes that can leave should.
    pressed: AtomicBool,
    shards: Vec<Mutex<Shard>>,
    save: bool,
    failure: Mutex<Option<RunError>>,
    bytes: Arc<AtomicU64>,
    events: AtomicU64,
    progress: &'p (dyn Fn(Status) + Sync),
}

impl<'a, 'p> Pump<'a, 'p> {
    /// Everything that a run needs but threads. Of cuts, so many wait for who writes them.
    pub fn begin(
        job: Job<'a>,
        progress: &'p (dyn Fn(Status) + Sync),
        clock: Clock,
        cuts_waiting: usize,
    ) -> Result<(Pump<'a, 'p>, Option<Writer<'a>>, Option<Resumed>), RunError> {
        // Only one shard has seen everything before an event.
        let shards = if job.annotate.is_some() { 1 } else { job.shards.max(1) };
        let source = job.source;
        let bytes = Arc::new(AtomicU64::new(0));
        let keeps = source.bad == BadPolicy::Quarantine
            || source.time.as_ref().is_some_and(|t| t.later == Later::Quarantine);
        if let Input::Files(files) = &job.input
            && keeps
            && reads(files, &job.quarantine)
        {
            return Err(RunError::QuarantineIsRead(job.quarantine.display().to_string()));
        }
        let start = Start::new(&job, shards, bytes.clone())?;
        let at = |path| Quarantine::at(disk_of(&job), path, start.quarantine);
        let quarantine = keeps.then(|| at(&job.quarantine)).transpose()?;
        let (sender, cuts) = sync_channel(cuts_waiting);
        let release = match &job.input {
            Input::Received(input) => Some(Release::of(input.inbox.clone())),
            Input::Files(_) | Input::Follow(_) | Input::Given(_) => None,
        };
        let writer = job.keep.map(|Keep { directory, about, .. }| Writer { directory, about, cuts, release });
        let is_kept = writer.is_some();
        let shelf = writer.as_ref().map(|writer| writer.directory.shelf().clone());
        let desk = Desk {
            intake: start.intake,
            judge: start.judge,
            quarantine,
            positions: start.positions,
            first_bad: None,
            seen: start.seen,
            head: Vec::new(),
            cuts: is_kept.then_some(sender),
            last_cut: clock.now(),
            changed: false,
            changes: 0,
            put_off: 0,
            sinks: start.sinks,
            idle: start.idle,
        };
        let pump = Pump {
            source,
            kept: job.kept,
            to_the_end: matches!(job.input, Input::Files(_)),
            is_kept,
            reader: Mutex::new(start.feed),
            read_turn: Turn::default(),
            desk: Mutex::new(desk),
            intake_turn: Turn::default(),
            every: job.every,
            clock,
            live: job.live,
            shard_bytes: job.memory_bytes / shards as u64,
            shelf,
            pressed: AtomicBool::new(false),
            program: job.program,
            annotate: job.annotate,
            shards: start.shards.into_iter().map(Mutex::new).collect(),
            save: job.save,
            failure: Mutex::new(None),
            bytes,
            events: AtomicU64::new(0),
            progress,
        };
        Ok((pump, writer, start.resumed))
    }

    /// The life of one worker of so many.
    fn work(&self, hand: u64, workers: u64) {
        let _guard = BreakOnPanic(self);
        let mut hand = Hand::new(hand, workers);
        while self.turn(&mut hand) {}
    }

    /// One block; false when there is none for this worker any more.
    pub fn turn(&self, hand: &mut Hand) -> bool {
        let Hand { turn, workers, decoder, noting, buffer } = hand;
        if !self.read_turn.wait(*turn) {
            return false;
        }
        let head = lock(&self.reader).next(buffer);
        self.read_turn.pass();
        let head = match head {
            Ok(Some(head)) => head,
            Ok(None) => return false,
            Err(error) => {
                self.fail(error);
                return false;
            }
        };
        // Whoever waits for a body has begun to before it was handed in.
        let noted = self.live.as_ref().is_some_and(|live| live.found().is_wanted());
        let decoder = if noted { noting } else { decoder };
        let batch = self.decode((decoder, noted), &head, buffer);
        if !self.intake_turn.wait(*turn) {
            return false;
        }
        let own = match batch {
            Ok(batch) => self.judge(&head, buffer, batch),
            Err(error) => {
                self.fail(error);
                None
            }
        };
        self.intake_turn.pass();
        if let Some((mut shard, judged)) = own {
            self.fold(&mut shard, &judged);
            // Where closed panes can go to disk they need not leave the pipeline for it.
            if self.shelf.is_none() && shard.looked_at_bytes() > self.shard_bytes / 4 * 3 {
                self.pressed.store(true, Ordering::Relaxed);
            }
            self.report(judged.batch.rows as u64, &shard);
        }
        *turn += *workers;
        true
    }

    /// Block n goes whole to shard n mod S.
    fn shard_of(&self, block: u64) -> MutexGuard<'_, Shard> {
        lock(&self.shards[(block % self.shards.len() as u64) as usize])
    }

    /// `None` of a block that holds nothing.
    fn decode(
        &self,
        (decoder, noted): (&mut Option<(u32, Decoder)>, bool),
        head: &BlockHead,
        bytes: &[u8],
    ) -> Result<Option<Batch>, RunError> {
        let partition = head.file.partition;
        if matches!(head.content, Content::Nothing) {
            return Ok(None);
        }
        if decoder.as_ref().is_none_or(|(p, _)| *p != partition) {
            let fresh = Decoder::new(self.source, head.file.header.as_deref())
                .map_err(|source| RunError::Header { path: head.file.path.clone(), source })?
                .with_program(self.program.clone());
            let fresh = if self.annotate.is_some() || noted { fresh.keeping_raw() } else { fresh };
            *decoder = Some((partition, fresh));
        }
        let (number, first_byte, arrival) = (head.number, head.first_byte, head.arrival);
        let decoder = &mut decoder.as_mut().expect("made above").1;
        let Content::Rows(batch) = &head.content else {
            return Ok(Some(decoder.decode(&Block { partition, number, first_byte, bytes, arrival })));
        };
        let (fields, time) = columns(self.source, batch).map_err(|error| RunError::Parquet {
            path: head.file.path.clone(),
            row: first_byte,
            reason: error.to_string(),
        })?;
        let (fields, time) = (fields.as_slice(), time.as_ref());
        Ok(Some(decoder.decode_arrays(&Arrays {
            partition,
            number,
            first_row: head.first_byte,
            rows: batch.num_rows(),
            fields,
            time,
            arrival,
        })))
    }

    /// At the intake, in turn: judges a batch. Gives back this block's own; earlier ones that were held until now
    /// are folded here, under the turn, because their workers have gone on. Its shard comes with it, locked before the turn is
    /// passed on, so that it sees blocks in order, and before the desk is left, so that whoever takes the desk next finds it folded in.
    fn judge(
        &self,
        head: &BlockHead,
        bytes: &[u8],
        mut batch: Option<Batch>,
    ) -> Option<(MutexGuard<'_, Shard>, Judged)> {
        let mut desk = lock(&self.desk);
        self.forget_idle(&mut desk);
        let early = planted(Bug::PositionBeforeState) && desk.positions.len() > head.file.partition as usize;
        if early && let Some(batch) = &mut batch {
            desk.enter(head, bytes.last() == Some(&b'\n'), batch);
        }
        self.cut_or_flush(&mut desk, head.number);
        for news in &head.news {
            self.hear(&mut desk, news);
        }
        let Some(mut batch) = batch else {
            if let Some(now) = head.arrival {
                let before = desk.intake.boundary();
                desk.intake.arrive(now);
                if desk.intake.boundary() > before {
                    desk.has_changed();
                }
            }
            return None;
        };
        if desk.head.is_empty() {
            desk.head = bytes[..bytes.len().min(HEAD_BYTES)].to_vec();
        }
        if !early {
            desk.enter(head, bytes.last() == Some(&b'\n'), &mut batch);
        }
        if let Err(error) = desk.set_bad_aside(self.source, &head.file, &batch) {
            self.fail(error);
            return None;
        }
        if let Some(live) =
            self.live.as_ref().filter(|live| live.found().is_wanted() && !batch.bad.is_empty())
        {
            live.found().bad(&batch.bad);
        }
        let mut ready = desk.intake.push(batch);
        let own = ready.pop_if(|judged| judged.batch.number == head.number);
        self.fold_all(&mut desk, ready);
        let judged = self.verdicts(&mut desk, own?);
        Some((self.shard_of(head.number), judged))
    }

    /// Notes what has become of a file. Rows that waited for the clock of a partition that has ended are folded in.
    fn hear(&self, desk: &mut Desk, news: &News) {
        desk.has_changed();
        match news {
            News::Ended(partition) => {
                let released = desk.intake.finish(*partition);
                self.fold_all(desk, released);
                desk.positions[*partition as usize].finished = true;
            }
            News::Begins(partition, file) => {
                desk.intake.forget(*partition);
                desk.begin(*partition, file);
            }
            News::Inherits(partition, file, from) => {
                desk.intake.inherit(*partition, *from);
                desk.begin(*partition, file);
            }
            News::Follows(partition, file) => desk.positions[*partition as usize] = file.clone(),
            News::Known(partition, file) => desk.positions[*partition as usize].is_known_as(file),
        }
    }

    /// Sets late events aside and adds the verdicts.
    fn verdicts(&self, desk: &mut Desk, mut judged: Judged) -> Judged {
        if let Err(error) = desk.set_late_aside(self.source, &judged) {
            self.fail(error);
        }
        desk.judge.apply(&mut judged);
        if let Some(live) = self.live.as_ref().filter(|live| live.found().is_wanted()) {
            live.found().judged(&judged);
        }
        judged
    }

    fn fold_all(&self, desk: &mut Desk, batches: Vec<Judged>) {
        for judged in batches {
            let judged = self.verdicts(desk, judged);
            self.fold(&mut self.shard_of(judged.batch.number), &judged);
        }
    }

    fn fold(&self, shard: &mut Shard, judged: &Judged) {
        let Some(Annotate { annotator, write }) = self.annotate else {
            if let Some(watermark) = judged.before {
                self.close(shard, watermark);
            }
            self.timed("fold_block", || shard.apply(judged));
            return self.spilled();
        };
        shard.apply_each(judged, &mut |shard, row| {
            if let Err(source) = write(judged, row, annotator.notes(shard, judged, row)) {
                self.fail(RunError::Events { source });
            }
        });
    }

    /// Brings a shard to a watermark, which closes the panes that end by it.
    fn close(&self, shard: &mut Shard, watermark: Time) {
        if shard.watermark().is_none_or(|was| was < watermark) {
            self.timed("close_panes", || shard.advance(watermark));
        }
    }

    /// Does something, and notes how long it took, where anybody can ask.
    fn timed<T>(&self, operation: &'static str, work: impl FnOnce() -> T) -> T {
        let Some(live) = &self.live else { return work() };
        let begun = self.clock.now();
        let done = work();
        live.note(operation, self.clock.now().saturating_sub(begun));
        done
    }

    fn report(&self, events: u64, shard: &Shard) {
        let events = self.events.fetch_add(events, Ordering::Relaxed) + events;
        let status = Status {
            bytes: self.bytes.load(Ordering::Relaxed),
            events,
            shard_bytes: shard.looked_at_bytes(),
        };
        (self.progress)(status);
    }

    /// Ends the run when a closed pane could not be written or read.
    fn spilled(&self) {
        if let Some(error) = self.shelf.as_ref().and_then(|shelf| shelf.lost()) {
            self.fail(error);
        }
    }

    /// Keeps the first error and ends the input for everybody.
    fn fail(&self, error: RunError) {
        lock(&self.failure).get_or_insert(error);
        lock(&self.reader).stop();
    }

    /// Before a block: groups that nothing reaches any more are forgotten in all shards at once.
    fn forget_idle(&self, desk: &mut Desk) {
        let watermark = desk.intake.watermark();
        let Some(watermark) = watermark.filter(|_| desk.idle.is_due(watermark)) else { return };
        let mut shards: Vec<MutexGuard<'_, Shard>> = self.shards.iter().map(lock).collect();
        // Panes that have closed are merged before groups leave them, not before or after, as commits happen to come.
        if let Some(boundary) = desk.intake.boundary() {
            shards.iter_mut().for_each(|shard| shard.advance(boundary));
        }
        desk.idle.look(watermark, &mut shards.iter_mut().map(|shard| &mut **shard).collect::<Vec<_>>());
    }

    /// Before a block: a commit when it is time for one, and what has closed leaves when it is much, or memory is short.
    fn cut_or_flush(&self, desk: &mut Desk, next_block: u64) {
        let kept = desk.cuts.is_some();
        if !kept && desk.sinks.is_empty() || desk.intake.holds_rows() {
            return;
        }
        if desk.changed && self.clock.now().saturating_sub(desk.last_cut) >= self.every {
            self.cut(desk, next_block);
        } else if desk.sinks.is_full(desk.intake.boundary()) || self.pressed.swap(false, Ordering::Relaxed) {
            self.flush(desk, false);
            if !kept {
                self.deliver(desk);
            } else if desk.sinks.pending_bytes() > PENDING_BYTES_MAX {
                self.cut(desk, next_block);
            }
        }
    }

    /// Takes what leaves out of the shards; at the end also what is still open.
    fn flush(&self, desk: &mut Desk, at_end: bool) {
        let Some(boundary) = desk.intake.boundary().filter(|_| !desk.sinks.is_empty()) else { return };
        let shards = || {
            let frozen = |shard: &Mutex<Shard>| {
                let mut shard = lock(shard);
                shard.advance(boundary);
                shard.freeze().thaw(self.kept)
            };
            self.shards.iter().map(frozen).collect()
        };
        let Desk { intake, judge, sinks, .. } = desk;
        let around = || Around {
            source: self.kept,
            tally: intake.tally(),
            verdicts: judge.verdicts(self.kept.confidence),
            watermark: intake.watermark(),
        };
        self.shards.iter().for_each(|shard| lock(shard).corrections_leave());
        sinks.take(boundary, &shards, &around);
        self.shards.iter().for_each(|shard| sinks.hold(&mut lock(shard)));
        if at_end {
            sinks.take_rest(&shards, &around);
        }
        self.shards.iter().for_each(|shard| lock(shard).let_go());
    }

    /// Writes what leaves, where no commit does.
    fn deliver(&self, desk: &mut Desk) {
        let deliveries = desk.sinks.deliveries();
        desk.sinks.handed_on();
        if let Err(error) = deliveries.iter().try_for_each(|delivery| delivery.deliver(desk.sinks.disk())) {
            self.fail(error);
        }
    }

    /// Hands on the state before a block. Whoever is here holds the desk, so no later block was judged, and waits for the
    /// shards, so all earlier ones are folded in. While rows wait for a clock there is no such state: the next block sees.
    fn cut(&self, desk: &mut Desk, next_block: u64) {
        self.flush(desk, false);
        (desk.last_cut, desk.changed) = (self.clock.now(), false);
        let Some(cuts) = desk.cuts.clone() else { return self.deliver(desk) };
        let quarantine = match desk.quarantine.as_mut().map_or(Ok((0, 0)), Quarantine::settle) {
            Ok(quarantine) => quarantine,
            Err(error) => return self.fail(error),
        };
        let mut cut = Cut {
            next_block,
            positions: desk.positions.clone(),
            seen: desk.seen.clone(),
            quarantine,
            intake: Vec::new(),
            sinks: Vec::new(),
            idle: Vec::new(),
            deliveries: desk.sinks.deliveries(),
            shards: self.shards.iter().map(|shard| lock(shard).freeze()).collect(),
            judge: desk.judge.freeze(),
        };
        // What is lost is not in it.
        if let Some(error) = self.shelf.as_ref().and_then(|shelf| shelf.lost()) {
            return self.fail(error);
        }
        desk.intake.snapshot(&mut cut.intake);
        desk.sinks.snapshot(&mut cut.sinks);
        desk.idle.snapshot(&mut cut.idle);
        // The last one waits for its turn; another one may be put off, unless too much is leaving.
        let full = desk.sinks.pending_bytes() > PENDING_BYTES_MAX;
        let refused = if full {
            cuts.send(cut).is_err()
        } else {
            matches!(cuts.try_send(cut), Err(TrySendError::Full(_)))
        };
        if refused {
            (desk.put_off, desk.changed) = (desk.put_off + 1, true);
        } else {
            desk.sinks.handed_on();
        }
    }

    /// The source as it is now, for others to ask, if it has changed since it was `changes` times.
    fn show(&self, source: &Arc<Source>, changes: Option<u64>) -> Option<(Moment, u64)> {
        let mut desk = lock(&self.desk);
        if changes == Some(desk.changes) {
            return None;
        }
        // Whoever holds the desk finds all earlier blocks folded in, as soon as it has the shards.
        let boundary = desk.intake.boundary();
        let frozen = |shard: &Mutex<Shard>| {
            let mut shard = lock(shard);
            boundary.into_iter().for_each(|boundary| self.close(&mut shard, boundary));
            shard.freeze()
        };
        let frozen = self.timed("freeze", || self.shards.iter().map(frozen).collect());
        let Desk { intake, judge, changes, .. } = &mut *desk;
        let moment = Moment::new(Arc::clone(source), frozen, judge, intake.tally(), intake.watermark());
        Some((moment, *changes))
    }

    /// After the last block: what was read is kept once more, and nothing after it.
    pub fn last_cut(&self) {
        let mut desk = lock(&self.desk);
        let Some(cuts) = desk.cuts.take() else { return };
        let failed = lock(&self.failure).is_some() || planted(Bug::LastCommitSkipped) && !self.to_the_end;
        if failed || desk.intake.holds_rows() {
            return;
        }
        if self.to_the_end {
            desk.positions.iter_mut().for_each(|position| position.finished = true);
            // No row waits for a clock, so none is released.
            desk.intake.finish_all();
        }
        // Whoever writes has taken the one before, or will; this one must not be put off.
        let (sender, receiver) = sync_channel(1);
        desk.cuts = Some(sender);
        let next_block = lock(&self.reader).next_number();
        self.cut(&mut desk, next_block);
        desk.cuts = None;
        if let Ok(cut) = receiver.try_recv() {
            // The other end is gone only after an error, which is kept.
            let _ = cuts.send(cut);
        }
    }

    /// The life of who writes commits: until there will be no more, or one fails.
    fn write_commits(&self, mut writer: Writer<'_>) {
        while let Ok(cut) = writer.cuts.recv() {
            if self.write_commit(&mut writer, cut).is_none() {
                return;
            }
        }
    }

    /// Writes a commit; what leaves is written when it is durable. Its number, unless something failed.
    pub fn write_commit(&self, writer: &mut Writer<'_>, mut cut: Cut) -> Option<u64> {
        let Writer { directory, about, release, .. } = writer;
        let deliveries = std::mem::take(&mut cut.deliveries);
        let positions = cut.positions.clone();
        if planted(Bug::SinkBeforeCommit) {
            let disk = &**directory.disk();
            let _ = deliveries.iter().try_for_each(|delivery| delivery.deliver(disk));
            return directory.commit(about, self.kept, cut).ok().map(|()| 0);
        }
        let done = self.timed("commit", || directory.commit(about, self.kept, cut));
        let deliver = |delivery: &Delivery| delivery.deliver(&**directory.disk());
        if let Err(error) = done.and_then(|()| deliveries.iter().try_for_each(deliver)) {
            self.fail(error);
            return None;
        }
        if let (Some(live), Some(last)) = (&self.live, directory.last()) {
            live.commit(last.number, last.written_us);
        }
        if let Some(release) = release {
            release.committed(&positions);
        }
        directory.last().map(|commit| commit.number)
    }

    pub fn finish(self, resumed: Option<Resumed>) -> Result<Finished<'a>, RunError> {
        let mut desk = lock(&self.desk);
        let released = desk.intake.finish_all();
        self.fold_all(&mut desk, released);
        if !self.is_kept {
            self.flush(&mut desk, true);
            self.deliver(&mut desk);
        }
        drop(desk);
        if let Some(error) = self.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let desk = self.desk.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut shards: Vec<Shard> =
            self.shards.into_iter().map(|s| s.into_inner().unwrap_or_else(PoisonError::into_inner)).collect();
        if let Some(watermark) = desk.intake.boundary() {
            shards.iter_mut().for_each(|s| s.advance(watermark));
        }
        let tally = desk.intake.tally();
        let state = State::new(shards, desk.judge, tally, desk.intake.watermark());
        let saved = self.save.then(|| Saved::of(&state, self.kept));
        if let Some(error) = self.shelf.as_ref().and_then(|shelf| shelf.lost()) {
            return Err(error);
        }
        Ok(Finished {
            quarantined: desk.quarantine.map(Quarantine::finish).transpose()?.unwrap_or(0),
            saved,
            outlet: state.outlet(self.kept),
            tally,
            first_bad: desk.first_bad,
            seen: desk.seen,
            head: desk.head,
            resumed,
            commits_put_off: desk.put_off,
            shelf: self.shelf,
        })
    }
}

/// Whoever asks a run must not wait for it when it is over, however it ends.
struct EndLive<'a>(&'a Live);

impl Drop for EndLive<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A worker that panics must not leave the others waiting for its turn.
struct BreakOnPanic<'a, 'p, 'b>(&'b Pump<'a, 'p>);

impl Drop for BreakOnPanic<'_, '_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.read_turn.break_down();
            self.0.intake_turn.break_down();
        }
    }
}

/// A poisoned lock means that another worker panicked; the panic itself ends the run.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

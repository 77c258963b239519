//! The machines on one thread: the simplest wiring, for tests, examples and embedding.

use crate::annotate::{Annotator, Notes};
use crate::answer::Answer;
use crate::batch::{Batch, Block};
use crate::compute::Compute;
use crate::decode::{Decoder, DecoderError};
use crate::idle::IdleGroups;
use crate::intake::{Intake, Judged, Tally};
use crate::judge::Judge;
use crate::outlet::Outlet;
use crate::shard::Shard;
use crate::spec::{Question, Source};
use crate::state::State;
use std::sync::Arc;

/// An engine for one source: bytes in, answers out. Block n goes to shard n mod S, as in any other wiring.
pub struct Engine<'a> {
    source: &'a Source,
    decoder: Decoder,
    intake: Intake,
    judge: Judge,
    shards: Vec<Shard>,
    idle: IdleGroups,
}

impl<'a> Engine<'a> {
    /// An empty engine with `shards` shards, which share `memory_bytes`. `header` is the first record of a delimited
    /// file that names its columns.
    pub fn new(
        source: &'a Source,
        header: Option<&[u8]>,
        shards: usize,
        memory_bytes: u64,
    ) -> Result<Engine<'a>, DecoderError> {
        Engine::with_program(source, None, header, shards, memory_bytes)
    }

    /// The same for a source with expressions, which come compiled.
    pub fn with_program(
        source: &'a Source,
        program: Option<Arc<dyn Compute>>,
        header: Option<&[u8]>,
        shards: usize,
        memory_bytes: u64,
    ) -> Result<Engine<'a>, DecoderError> {
        let shards = shards.max(1) as u64;
        let verdict_bytes = Judge::share_of(source, memory_bytes);
        let shard_bytes = memory_bytes.saturating_sub(verdict_bytes) / shards;
        Ok(Engine {
            source,
            decoder: Decoder::new(source, header)?.with_program(program.clone()),
            intake: Intake::new(source),
            judge: Judge::new(source, program, verdict_bytes),
            shards: (0..shards).map(|_| Shard::new(source, shard_bytes)).collect(),
            idle: IdleGroups::new(source),
        })
    }

    /// Decodes a block and folds it in.
    pub fn push(&mut self, block: &Block<'_>) {
        let batch = self.decoder.decode(block);
        self.push_batch(batch);
    }

    /// Decodes a block and folds it in event by event; `each` is told what the annotator says right after each one.
    /// Events that wait for the clock to be set are told of with the block that sets it.
    ///
    /// # Panics
    /// With more than one shard: none of them has seen everything before.
    pub fn push_each(
        &mut self,
        block: &Block<'_>,
        annotator: &Annotator,
        each: &mut dyn FnMut(&Judged, usize, Notes<'_>),
    ) {
        let batch = self.decoder.decode(block);
        self.forget_idle();
        let judged = self.intake.push(batch);
        self.apply_each(judged, annotator, each);
    }

    /// Ends all partitions; events that still waited for the clock are told of now.
    pub fn finish_each(&mut self, annotator: &Annotator, each: &mut dyn FnMut(&Judged, usize, Notes<'_>)) {
        let judged = self.intake.finish_all();
        self.apply_each(judged, annotator, each);
    }

    /// Folds a decoded batch in.
    pub fn push_batch(&mut self, batch: Batch) {
        self.forget_idle();
        for judged in self.intake.push(batch) {
            self.apply(judged);
        }
    }

    /// Ends a partition.
    pub fn finish(&mut self, partition: u32) {
        for judged in self.intake.finish(partition) {
            self.apply(judged);
        }
    }

    /// Reads everything out.
    pub fn answers(self, question: Question) -> Vec<Answer> {
        self.into_outlet().answers(question)
    }

    /// What was read and how it was judged.
    pub fn tally(&self) -> Tally {
        self.intake.tally()
    }

    /// The merged state, ready to be asked. Partitions that are still open end here.
    pub fn into_outlet(self) -> Outlet<'a> {
        let source = self.source;
        self.into_state().outlet(source)
    }

    /// The merged state, to be kept or merged with others. Partitions that are still open end here.
    pub fn into_state(mut self) -> State {
        for judged in self.intake.finish_all() {
            self.apply(judged);
        }
        if let Some(watermark) = self.intake.boundary() {
            self.shards.iter_mut().for_each(|s| s.advance(watermark));
        }
        State::new(self.shards, self.judge, self.intake.tally(), self.intake.watermark())
    }

    /// Between two blocks, so that it does not depend on which shard is how far.
    fn forget_idle(&mut self) {
        let watermark = self.intake.watermark();
        if let Some(watermark) = watermark.filter(|_| self.idle.is_due(watermark)) {
            self.idle.look(watermark, &mut self.shards.iter_mut().collect::<Vec<_>>());
        }
    }

    fn apply(&mut self, mut judged: Judged) {
        self.judge.apply(&mut judged);
        let shard = (judged.batch.number % self.shards.len() as u64) as usize;
        self.shards[shard].apply(&judged);
    }

    fn apply_each(
        &mut self,
        batches: Vec<Judged>,
        annotator: &Annotator,
        each: &mut dyn FnMut(&Judged, usize, Notes<'_>),
    ) {
        let [shard] = &mut self.shards[..] else { panic!("events are answered by one shard") };
        for mut judged in batches {
            self.judge.apply(&mut judged);
            shard.apply_each(&judged, &mut |shard, row| {
                each(&judged, row, annotator.notes(shard, &judged, row));
            });
        }
    }
}

//! The proof of a guess: the head is read with it, by the engine itself.

use super::Head;
use crate::Pipeline;
use engine::Engine;
use engine::batch::Block;
use engine::decode::{Cutter, first_record};
use engine::intake::Tally;

/// State allowed: a head is small.
const MEMORY_BYTES: u64 = 256 << 20;

/// Reads the whole records of the head with a pipeline of one source: how many are good, bad, late. `None` when the
/// pipeline cannot read it at all.
pub fn rehearse(pipeline: &Pipeline, head: &Head<'_>) -> Option<Tally> {
    let source = pipeline.spec.sources.first()?;
    let end = Cutter::new(&source.format, source.record_bytes_max).cut(head.bytes, head.whole);
    let bytes = &head.bytes[..end];
    let mut engine = Engine::new(
        source,
        first_record(&source.format, bytes, true, source.record_bytes_max),
        1,
        MEMORY_BYTES,
    )
    .ok()?;
    engine.push(&Block { partition: 0, number: 0, first_byte: 0, bytes, arrival: None });
    engine.finish(0);
    Some(engine.tally())
}

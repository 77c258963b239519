//! Event times of any kind through intake and shards: the cut into blocks and the number of shards change no count and
//! no byte.

use crate::Choices;
use arrow_array::StringArray;
use engine::batch::Batch;
use engine::column::Column;
use engine::intake::{Intake, Tally};
use engine::outlet::Outlet;
use engine::shard::Shard;
use engine::spec::{
    Field, Format, Kind, Later, Level, Measure, Metric, Question, Source, TimeFormat, TimeFrom, TimeSpec,
};
use engine::time::{SECOND, Span, TIME_MAX, Time};

/// Ladders as (size, keep) in seconds.
const LADDERS: [&[(i64, i64)]; 6] = [
    &[],
    &[(10, 100)],
    &[(10, 10)],
    &[(10, 50), (60, 100), (600, 10_000)],
    &[(7, 7), (21, 1_000_000), (42, 50)],
    &[(86_400, 864_000)],
];

/// Events of one partition, in a row.
#[derive(Debug)]
struct Stretch {
    partition: u32,
    events: Vec<(Time, u8)>,
    /// Whether the partition ends here.
    ends: bool,
}

/// The first bytes choose the clock, the ladder, the size of blocks and the number of shards; the rest are events.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let source = source(&mut choices);
    let block = usize::from(choices.byte()) + 1;
    let shards = usize::from(choices.byte() % 3) + 1;
    let stretches = stretches(choices);
    let events: usize = stretches.iter().map(|stretch| stretch.events.len()).sum();

    let (tally, watermark, bytes) = measure(&source, &stretches, usize::MAX, 1);
    assert_eq!((tally.read, tally.bad_total()), (events as u64, 0));
    assert_eq!(tally.read, tally.on_time + tally.ahead + tally.late);
    assert!(tally.too_late <= tally.late);
    for (block, shards) in [(1, 1), (block, 1), (block, shards)] {
        let (other_tally, other_watermark, other_bytes) = measure(&source, &stretches, block, shards);
        assert_eq!(other_tally, tally, "blocks of {block}, {shards} shards");
        assert_eq!(other_watermark, watermark, "blocks of {block}, {shards} shards");
        assert!(other_bytes == bytes, "snapshots differ: blocks of {block}, {shards} shards");
    }
}

/// Intake, shards and outlet; the tally, the watermark and the bytes of the merged state.
fn measure(
    source: &Source,
    stretches: &[Stretch],
    block: usize,
    shards: usize,
) -> (Tally, Option<Time>, Vec<u8>) {
    let mut intake = Intake::new(source);
    let mut state: Vec<Shard> = (0..shards).map(|_| Shard::new(source, u64::MAX)).collect();
    let (mut ready, mut number, mut watermark) = (Vec::new(), 0, None);
    for stretch in stretches {
        for events in stretch.events.chunks(block.min(stretch.events.len().max(1))) {
            ready.extend(intake.push(batch(number, stretch.partition, events)));
            number += 1;
            assert!(intake.watermark() >= watermark, "the watermark never goes back");
            watermark = intake.watermark();
        }
        if stretch.ends {
            ready.extend(intake.finish(stretch.partition));
        }
    }
    for partition in 0..4 {
        ready.extend(intake.finish(partition));
    }
    for judged in &ready {
        assert!(judged.marks.windows(2).all(|pair| pair[0].row <= pair[1].row));
        assert!(judged.left_out.windows(2).all(|pair| pair[0] < pair[1]));
        state[judged.batch.number as usize % shards].apply(judged);
    }
    assert_eq!(ready.len(), number as usize, "every block comes out once");
    if let Some(watermark) = intake.boundary() {
        state.iter_mut().for_each(|shard| shard.advance(watermark));
    }
    let tally = intake.tally();
    let outlet = Outlet::new(source, state, tally, intake.watermark());
    let mut bytes = Vec::new();
    outlet.canonical(&mut bytes);
    assert!(!outlet.answers(Question::Total).is_empty());
    if let Some(level) = source.metrics[0].levels.first() {
        outlet.answers(Question::Windows { window: level.size, every: level.size });
    }
    (tally, watermark, bytes)
}

fn source(choices: &mut Choices<'_>) -> Source {
    let any = Span(i64::from(choices.byte()) << (choices.byte() % 53));
    let seconds = |seconds: i64| Span(seconds * SECOND);
    let lateness = choices.pick(&[seconds(0), seconds(2), seconds(60), any, Span(TIME_MAX)]);
    let ahead =
        choices.pick(&[None, Some(seconds(5)), Some(seconds(3600)), Some(any).filter(|span| span.0 > 0)]);
    let agree = choices.pick(&[32, 1, 2, 3, 5]);
    let later = choices.pick(&[Later::Correct, Later::Correct, Later::Drop, Later::Quarantine]);
    let ladder = |of: &[(i64, i64)]| -> Vec<Level> {
        of.iter().map(|&(size, keep)| Level { size: seconds(size), keep: seconds(keep.max(size)) }).collect()
    };
    let levels = [ladder(choices.pick(&LADDERS)), ladder(choices.pick(&LADDERS))];
    let metric = |name: &str, measure, by: &[&[usize]], levels: &Vec<Level>| Metric {
        name: name.into(),
        measure,
        filter: None,
        by: by.iter().map(|by| by.to_vec()).collect(),
        groups_max: 1000,
        levels: levels.clone(),
        total: true,
    };
    let unique = Measure::Unique { field: 0, lg_k: 8 };
    let top = Measure::Top { field: 0, k: 5, counters: 1024, weight: None };
    Source {
        fields: vec![Field { path: "user".into(), kind: Kind::String }],
        time: Some(TimeSpec {
            from: TimeFrom::Field { path: "ts".into(), format: TimeFormat::Unix(1, 1) },
            lateness,
            later,
            ahead,
            agree,
        }),
        metrics: vec![
            metric("n", Measure::Count, &[&[], &[0]], &levels[0]),
            metric("u", unique, &[&[]], &levels[0]),
            metric("t", top, &[&[0]], &levels[1]),
        ],
        ..Source::new("fuzz", Format::Ndjson)
    }
}

/// An operation is a byte and its argument: steps in time of several sizes, runs, jumps anywhere, other partitions.
fn stretches(mut choices: Choices<'_>) -> Vec<Stretch> {
    let mut out = vec![Stretch { partition: 0, events: vec![], ends: false }];
    let mut at = Time(1_000_000 * SECOND);
    let mut ended = [false; 4];
    while !choices.0.is_empty() {
        let operation = choices.byte();
        let user = operation >> 4;
        let step = |units: i64, unit: i64| Span(units * unit);
        match operation % 16 {
            0..=4 => at = moved(at, step(choices.byte().into(), SECOND / 8)),
            5..=7 => at = moved(at, step(choices.byte().into(), -SECOND)),
            8 => at = moved(at, step(choices.byte().into(), 600 * SECOND)),
            // Times beyond the range never leave a decoder.
            9 => at = Time::from_micros(choices.word() as i64 >> 3).unwrap_or(at),
            10 => at = Time(i64::from(choices.byte()) * SECOND),
            11 | 12 => {
                let n = choices.byte() % 48;
                let events = &mut out.last_mut().expect("one").events;
                events.extend((0..n).map(|i| (moved(at, Span(i64::from(i) * SECOND)), user)));
                at = moved(at, Span(i64::from(n) * SECOND));
            }
            13 | 14 => {
                let partition = u32::from(choices.byte() % 4);
                out.push(Stretch { partition, events: vec![], ends: false });
            }
            _ => {
                out.last_mut().expect("one").ends = true;
                let partition = u32::from(user % 4);
                out.push(Stretch { partition, events: vec![], ends: false });
            }
        }
        out.last_mut().expect("one").events.push((at, user));
    }
    // A partition that ended stays so: what is left for it goes nowhere.
    for stretch in &mut out {
        let ended = &mut ended[stretch.partition as usize];
        if *ended {
            stretch.events.clear();
        }
        *ended |= stretch.ends;
    }
    out
}

/// A time further on, within the range of event times.
fn moved(at: Time, by: Span) -> Time {
    Time(at.plus(by).0.clamp(-TIME_MAX, TIME_MAX))
}

fn batch(number: u64, partition: u32, events: &[(Time, u8)]) -> Batch {
    let users = events.iter().map(|(_, user)| format!("u{user}"));
    Batch {
        rows: events.len(),
        times: events.iter().map(|(time, _)| *time).collect(),
        columns: vec![Column::String(StringArray::from_iter_values(users))],
        lines: events.len() as u64,
        ..Batch::empty(partition, number)
    }
}

//! Samples of rows, drawn and merged: fair over all inputs together.
//!
//! Nothing here is random but the hash of what the inputs hold, so the tests are deterministic; each says how seldom a fair
//! sampler would fail it if its draws were made anew.

use crate::support::source;
use engine::answer::{Key, List};
use engine::batch::Block;
use engine::spec::{Field, Kind, Measure, Metric, Question, Source};
use engine::{Engine, State};

const K: usize = 4;
/// Rows of one input.
const ROWS: usize = 20;
const TRIALS: usize = 2_000;

fn sampled() -> Source {
    let some = Metric {
        name: "some".into(),
        measure: Measure::Sample { fields: vec![0], k: K },
        filter: None,
        by: vec![vec![]],
        groups_max: 10,
        levels: vec![],
        total: true,
    };
    Source { fields: vec![Field { path: "row".into(), kind: Kind::String }], ..source(None, vec![some]) }
}

fn state(source: &Source, rows: impl Iterator<Item = String>) -> State {
    let bytes: String = rows.map(|row| format!("{{\"row\":\"{row}\"}}\n")).collect();
    let mut engine = Engine::new(source, None, 1, 1 << 20).expect("no columns to find");
    engine.push(&Block { partition: 0, number: 0, first_byte: 0, bytes: bytes.as_bytes(), arrival: None });
    engine.into_state()
}

/// The sampled rows, sorted.
fn rows(source: &Source, state: State) -> Vec<String> {
    let answers = state.outlet(source).answers(Question::Total);
    let List::Rows(rows) = &answers[0].reading.list else { panic!("no rows: {answers:?}") };
    let text = |row: &Vec<Key>| match &row[0] {
        Key::String(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    let mut rows: Vec<String> = rows.iter().map(text).collect();
    rows.sort();
    assert_eq!(rows.len(), K);
    rows
}

/// A sample of two inputs of 20 rows whose rows lie at the same places: which rows, by input and place.
fn of_two(source: &Source, trial: usize) -> Vec<(char, usize)> {
    let input = |name: char| state(source, (0..ROWS).map(move |at| format!("{name}{at:02} of {trial:04}")));
    let mut merged = input('a');
    merged.absorb(source, input('b')).expect("one pipeline");
    let mut other_way = input('b');
    other_way.absorb(source, input('a')).expect("one pipeline");
    let drawn = rows(source, merged);
    assert_eq!(drawn, rows(source, other_way), "the order of inputs changes nothing");
    drawn
        .iter()
        .map(|row| (row.chars().next().expect("a name"), row[1..3].parse().expect("a place")))
        .collect()
}

/// Of 4 rows out of 2 × 20, each of the 6 pairs stands at one place with probability 1/39. Over 2,000 trials 308 pairs are
/// expected, with a standard deviation of 17 (pairs are nearly independent); each row is drawn 200 times, with one of 13.4.
/// Five standard deviations at 41 places: less than one sampler in 40,000 fails by chance.
#[test]
fn a_merged_sample_does_not_pair_the_rows_at_equal_places() {
    let source = sampled();
    let (mut pairs, mut drawn) = (0usize, [[0usize; ROWS]; 2]);
    for trial in 0..TRIALS {
        let rows = of_two(&source, trial);
        rows.iter().for_each(|&(name, at)| drawn[usize::from(name == 'b')][at] += 1);
        pairs += rows
            .iter()
            .enumerate()
            .map(|(i, (_, at))| rows[..i].iter().filter(|(_, other)| other == at).count())
            .sum::<usize>();
    }
    assert!((308usize.abs_diff(pairs)) < 85, "{pairs} pairs");
    for times in drawn.iter().flatten() {
        assert!(200usize.abs_diff(*times) < 67, "{drawn:?}");
    }
}

/// Of 30 equal rows and 10 others, 3 of 4 in a sample are equal ones on average: 6,000 of 8,000, with a standard deviation
/// of 37. Were equal rows drawn as one, a sample had all or none of them.
#[test]
fn equal_rows_are_drawn_one_by_one() {
    let source = sampled();
    let (mut equal, mut mixed) = (0usize, 0usize);
    for trial in 0..TRIALS {
        let row = |at: usize| match at % 4 {
            0 => format!("odd {at:02} of {trial:04}"),
            _ => format!("equal, of {trial:05}"),
        };
        let drawn = rows(&source, state(&source, (0..40).map(row)));
        let equals = drawn.iter().filter(|row| row.starts_with("equal")).count();
        equal += equals;
        mixed += usize::from((1..K).contains(&equals));
    }
    assert!(6_000usize.abs_diff(equal) < 185, "{equal} equal rows");
    // Neither all (probability 0.300) nor none (0.002): 1,396 trials, standard deviation 21.
    assert!(1_396usize.abs_diff(mixed) < 105, "{mixed} mixed samples");
}

#[test]
fn the_same_input_gives_the_same_sample_however_it_is_cut() {
    let source = sampled();
    let lines: Vec<String> = (0..200).map(|at| format!("{{\"row\":\"row {at}\"}}\n")).collect();
    let drawn = |cuts: usize, shards: usize| {
        let mut engine = Engine::new(&source, None, shards, 1 << 20).expect("no columns to find");
        let mut first_byte = 0;
        for (number, lines) in lines.chunks(cuts).enumerate() {
            let bytes = lines.concat();
            let block = Block {
                partition: 0,
                number: number as u64,
                first_byte,
                bytes: bytes.as_bytes(),
                arrival: None,
            };
            engine.push(&block);
            first_byte += bytes.len() as u64;
        }
        rows(&source, engine.into_state())
    };
    let whole = drawn(200, 1);
    for (cuts, shards) in [(1, 1), (7, 1), (7, 3), (64, 2)] {
        assert_eq!(drawn(cuts, shards), whole, "{cuts} lines a block, {shards} shards");
    }
}

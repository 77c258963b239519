//! Count-Min with conservative update against a model written from docs/FORMATS.md, exact counts and the linear sketch.

use crate::streams::*;
use proptest::prelude::*;
use sketch::countmin::{Conservative, CountMin, Size};
use sketch::{DecodeError, Estimate, Guarantee, Limits, MergeNote, Reader, Token};

const LIMITS: Limits = Limits::bytes(1 << 20);

/// The multipliers of docs/FORMATS.md.
const K: [u64; 8] = [
    0xE220A8397B1DCDAF,
    0x6E789E6AA1B965F5,
    0x06C45D188009454F,
    0xF88BB8A8724C81ED,
    0x1B39896A51A8749B,
    0x53CB9F0C747EA2EB,
    0x2C829ABE1F4532E1,
    0xC584133AC916AB3D,
];

/// The finaliser of MurmurHash3, written again.
pub fn finaliser(mut k: u64) -> u64 {
    for factor in [0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53] {
        k = (k ^ k >> 33).wrapping_mul(factor);
    }
    k ^ k >> 33
}

/// `fmix64(token) · K_i`, row by row.
pub fn products(token: Token, depth: u8) -> Vec<u64> {
    K[..usize::from(depth)].iter().map(|k| finaliser(token.0).wrapping_mul(*k)).collect()
}

/// The bytes of counters, as docs/FORMATS.md says.
pub fn spelled(head: [u8; 4], total: u64, cells: &[u64]) -> Vec<u8> {
    let mut out = head.to_vec();
    out.extend(total.to_le_bytes());
    let varint = |mut value: u64, out: &mut Vec<u8>| {
        while value > 127 {
            out.push(value as u8 | 128);
            value >>= 7;
        }
        out.push(value as u8);
    };
    for run in cells.chunk_by(|a, b| *a == 0 && *b == 0) {
        varint(run[0], &mut out);
        if run[0] == 0 {
            varint(run.len() as u64, &mut out);
        }
    }
    out
}

/// Rows of counters in the plainest form.
struct Model {
    rows: Vec<Vec<u64>>,
    lg_width: u8,
    conservative: bool,
    total: u64,
}

impl Model {
    fn over(lg_width: u8, depth: u8, conservative: bool, events: &[Event]) -> Model {
        let rows = vec![vec![0; 1 << lg_width]; usize::from(depth)];
        let mut model = Model { rows, lg_width, conservative, total: 0 };
        for &(key, weight) in events {
            let columns: Vec<usize> =
                products(token(key), depth).iter().map(|p| (p >> (64 - lg_width)) as usize).collect();
            let least = model.rows.iter().zip(&columns).map(|(row, &column)| row[column]).min().unwrap();
            for (row, &column) in model.rows.iter_mut().zip(&columns) {
                let raised =
                    if model.conservative { row[column].max(least + weight) } else { row[column] + weight };
                row[column] = raised;
            }
            model.total += weight;
        }
        model
    }

    fn bytes(&self) -> Vec<u8> {
        let kind = if self.conservative { 13 } else { 2 };
        spelled([kind, 1, self.lg_width, self.rows.len() as u8], self.total, &self.rows.concat())
    }
}

fn conservative(lg_width: u8, depth: u8, events: &[Event]) -> Conservative {
    let mut sketch = Conservative::new(lg_width, depth);
    events.iter().for_each(|&(key, weight)| sketch.update(token(key), weight));
    sketch.check_invariants();
    sketch
}

fn linear(lg_width: u8, depth: u8, events: &[Event]) -> CountMin {
    let mut sketch = CountMin::new(lg_width, depth);
    events.iter().for_each(|&(key, weight)| sketch.update(token(key), weight));
    sketch
}

fn bytes(sketch: &Conservative) -> Vec<u8> {
    let mut out = Vec::new();
    sketch.snapshot(&mut out);
    out
}

fn whole(bytes: &[u8]) -> Result<Conservative, DecodeError> {
    let mut r = Reader::new(bytes);
    let sketch = Conservative::restore(&mut r, &LIMITS)?;
    r.finish()?;
    Ok(sketch)
}

fn weighted() -> impl Strategy<Value = Vec<Event>> {
    let weight = prop_oneof![8 => 0u64..5, 1 => 0u64..1 << 20, 1 => 0u64..1 << 34];
    prop::collection::vec((prop_oneof![2 => 0u32..20, 1 => 0u32..3000], weight), 0..300)
}

/// No query is below the truth or above the linear sketch over the same events.
fn check_between(sketch: &Conservative, events: &[Event]) {
    sketch.check_invariants();
    let linear = linear(sketch.lg_width(), sketch.depth(), events);
    for (&key, &weight) in truth(events).iter().chain([(&9_999_999, &0)]) {
        let (got, most) = (sketch.query(token(key), 0.95), linear.query(token(key), 0.95));
        assert!(weight <= got.high && got.high == got.value, "{weight}: {got:?}");
        assert!(got.high <= most.high && got.low <= most.low, "{got:?} {most:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_updates_write_what_the_table_of_bytes_says(events in weighted(), lg in 4u8..9, depth in 1u8..9) {
        prop_assert_eq!(bytes(&conservative(lg, depth, &events)), Model::over(lg, depth, true, &events).bytes());
        let mut out = Vec::new();
        linear(lg, depth, &events).snapshot(&mut out);
        prop_assert_eq!(out, Model::over(lg, depth, false, &events).bytes());
    }

    #[test]
    fn never_below_the_truth_and_never_worse_than_linear(
        events in weighted(), parts in 1usize..5, lg in 6u8..9, down in 0u8..3, depth in 1u8..9
    ) {
        let of = |i: usize| -> Vec<Event> { events.iter().skip(i).step_by(parts).copied().collect() };
        let mut merged = conservative(lg, depth, &of(0));
        check_between(&merged, &of(0));
        for i in 1..parts {
            // Parts of other widths fold, whichever side is the wider one.
            let lg_part = lg - down * u8::from(i % 2 == 0);
            let note = merged.merge(&conservative(lg_part, depth, &of(i))).unwrap();
            prop_assert!(down > 0 || note == MergeNote::Exact);
        }
        check_between(&merged, &events);
        // What comes after a merge and a fold is counted as well.
        merged.fold(4);
        prop_assert_eq!(merged.lg_width(), 4);
        let more: Vec<Event> = (0..40).map(|key| (key, 3)).collect();
        more.iter().for_each(|&(key, weight)| merged.update(token(key), weight));
        check_between(&merged, &[events, more].concat());
    }

    #[test]
    fn a_batch_is_its_single_updates(keys in prop::collection::vec(0u32..50, 0..300), head in 0u64..1 << 33, depth in 1u8..9) {
        let tokens: Vec<Token> = keys.iter().map(|key| token(*key)).collect();
        let (mut batch, mut single) = (conservative(6, depth, &[(1, head)]), conservative(6, depth, &[(1, head)]));
        batch.update_all(&tokens);
        tokens.iter().for_each(|token| single.update(*token, 1));
        prop_assert_eq!(batch, single);
    }

    #[test]
    fn snapshots_are_lossless(events in weighted(), lg in 4u8..12, depth in 1u8..9) {
        let sketch = conservative(lg, depth, &events);
        prop_assert_eq!(whole(&bytes(&sketch)).unwrap(), sketch);
    }
}

#[test]
fn on_skewed_streams_at_most_three_fifths_of_the_surplus_are_left() {
    for exponent in [0.8, 1.1, 1.4] {
        let events = zipf(5, exponent, 20_000, 100_000);
        let (ours, theirs) = (conservative(10, 4, &events), linear(10, 4, &events));
        let surplus = |at_most: &dyn Fn(Token) -> u64| -> u64 {
            truth(&events).iter().map(|(&key, weight)| at_most(token(key)) - weight).sum()
        };
        let (ours, theirs) = (surplus(&|t| ours.at_most(t)), surplus(&|t| theirs.at_most(t)));
        assert!(ours * 5 < theirs * 3, "{exponent}: {ours} and {theirs}");
    }
}

#[test]
fn low_bounds_hold_with_the_confidence_asked_for() {
    let events = zipf(17, 0.8, 20_000, 200_000);
    let truth = truth(&events);
    let sketch = conservative(9, 4, &events);
    for confidence in [0.5, 0.9, 0.99] {
        let queries = truth.iter().map(|(&key, &weight)| (sketch.query(token(key), confidence), weight));
        let broken = queries.filter(|(got, weight)| got.low > *weight).count() as f64;
        // Four sigma: 3e-5 each, were the bound not wider than it has to be.
        let (n, chance) = (truth.len() as f64, 1.0 - confidence);
        assert!(broken <= chance * n + 4.0 * (chance * confidence * n).sqrt(), "{broken} at {confidence}");
    }
    let heavy = sketch.query(token(heaviest(&truth, 1)[0]), 0.99);
    assert!(heavy.low > 0 && heavy.guarantee == Guarantee::Probabilistic);
    assert_eq!(sketch.query(token(1), 1.0).guarantee, Guarantee::Proven, "certainty has no low bound");
}

#[test]
fn a_size_keeps_its_promise() {
    let size = Size::new(0.02, 0.05).unwrap();
    let events = zipf(3, 0.5, 5_000, 60_000);
    let (one, two) = (Conservative::with_size(size), CountMin::with_size(size));
    assert_eq!((one.lg_width(), one.depth()), (two.lg_width(), two.depth()));
    assert_eq!(one.memory_bytes() - size_of::<Conservative>(), size.bytes() as usize);
    let linear = linear(size.lg_width(), size.depth(), &events);
    let truth = truth(&events);
    let most = (size.epsilon() * events.len() as f64) as u64;
    let broken =
        truth.iter().filter(|&(&key, &weight)| linear.at_most(token(key)) > weight + most).count() as f64;
    let n = truth.len() as f64;
    // Four sigma, 3e-5.
    assert!(broken <= size.delta() * n + 4.0 * (size.delta() * n).sqrt(), "{broken} of {n}");
}

#[test]
fn what_cannot_be_merged_changes_nothing() {
    let mut one = conservative(6, 3, &[(1, 5)]);
    let refused = one.merge(&conservative(6, 4, &[(1, 5)])).unwrap_err();
    assert_eq!((refused.what, refused.ours, refused.theirs), ("count-min depth", 3, 4));
    assert!(one.merge(&conservative(5, 3, &[(2, u64::MAX)])).is_err());
    assert_eq!(one, conservative(6, 3, &[(1, 5)]));
}

#[test]
fn the_total_stops_and_says_so() {
    let mut sketch = conservative(4, 2, &[(1, u64::MAX - 2), (2, 7), (3, 1)]);
    assert_eq!(sketch.total(), u64::MAX);
    assert!(sketch.health().saturated);
    sketch.update_all(&[token(3), token(4)]);
    sketch.check_invariants();
    assert_eq!(whole(&bytes(&sketch)).unwrap(), sketch);
    let empty = Conservative::new(4, 1);
    assert!(empty.is_empty() && !empty.health().saturated && empty.health().fill == 0.0);
    assert_eq!(empty.query(token(1), 0.95), Estimate::exact(0));
    assert_eq!(empty.sketch_name(), "conservative/1x16");
}

#[test]
fn hostile_bytes_are_refused_or_sound() {
    let mut rng = Rng(7);
    let good = bytes(&conservative(5, 3, &zipf(2, 1.0, 400, 60)));
    for end in 0..good.len() {
        assert!(whole(&good[..end]).is_err());
    }
    let mut survived = 0;
    for _ in 0..6_000 {
        let bad = mutate(&good, &mut rng);
        let mut r = Reader::new(&bad);
        if let Ok(mut sketch) = Conservative::restore(&mut r, &LIMITS) {
            sketch.check_invariants();
            assert_eq!(bytes(&sketch), bad[..bad.len() - r.remaining()], "not canonical");
            assert!(sketch.memory_bytes() <= (1 << 20) + 128);
            sketch.update(token(5), u64::MAX);
            sketch.check_invariants();
            survived += 1;
        }
    }
    assert!(survived > 50, "mutations should reach beyond the head: {survived}");
    let mut bomb = bytes(&Conservative::new(4, 8));
    bomb[2] = 28;
    assert!(matches!(whole(&bomb), Err(DecodeError::TooLarge { .. })));
    // Just within the limit at 32 bits a counter, beyond it at 64.
    assert!(whole(&bytes(&conservative(15, 8, &[(1, 1 << 30)]))).is_ok());
    assert!(matches!(
        whole(&bytes(&conservative(15, 8, &[(1, 1 << 40)]))),
        Err(DecodeError::TooLarge { .. })
    ));
}

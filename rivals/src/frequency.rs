//! How often, and which are the most frequent.

use asap_sketchlib::{CountMinSketch as AsapCountMin, DataInput, FastPath, MatrixHash, OwnedDataInput};
use asap_sketchlib::{SpaceSaving, Vector2D, hash_for_matrix};
use datasketches::countmin::CountMinSketch;
use datasketches::frequencies::{ErrorType, FrequentItemsSketch};
use heavykeeper::CuckooTopK;
use sketch::countmin::CountMin;
use sketch::frequent::Counters;
use timing::Case;
use topk::FilteredSpaceSaving;

use crate::job::{Job, Plan, Unit};
use crate::keys::{Keys, ROWS, name_of};

/// All jobs of this file.
pub const PLANS: &[Plan] = &[
    Plan { name: "Count-Min 5 x 2^14, update and estimate", make: count_min },
    Plan { name: "Count-Min 5 x 2^14, update", make: count_min_update },
    Plan { name: "Top-K, 4,096 counters, names", make: top_large },
    Plan { name: "Top-K, 1,024 counters, names", make: top_small },
];

const DEPTH: u8 = 5;
const LG_WIDTH: u8 = 14;

/// Ours at the size of the comparison.
pub fn new_count_min() -> CountMin {
    CountMin::new(LG_WIDTH, DEPTH)
}

/// Theirs at the size of the comparison.
pub fn new_datasketches() -> CountMinSketch<u64> {
    CountMinSketch::new(DEPTH, 1 << LG_WIDTH).expect("within the range")
}

type Asap = AsapCountMin<Vector2D<i32>, FastPath>;

fn new_asap() -> Asap {
    Asap::with_dimensions(usize::from(DEPTH), 1 << LG_WIDTH)
}

/// The mean overestimate of a thousand names in parts of the total; NaN when one is underestimated.
fn overestimate(keys: &Keys, estimate: impl Fn(usize) -> u64) -> f64 {
    let over = |rank: usize| estimate(rank).checked_sub(u64::from(keys.events_of[rank]));
    let sum: Option<u64> = (0..1_000).map(|n| over(n * n / 2)).sum();
    sum.map_or(f64::NAN, |sum| sum as f64 / 1_000.0 / ROWS as f64)
}

/// Within e/width, the textbook error of a single estimate, which the mean keeps well below.
fn counting<'a>(bar: Option<f64>, sides: Vec<Case<'a>>) -> Job<'a> {
    let right = 0.0..=std::f64::consts::E / f64::from(1 << LG_WIDTH);
    Job { unit: Unit::Ns, bar, asked: "mean overestimate / total", right, sides }
}

fn our_count(keys: &Keys) -> impl Fn(&CountMin) -> f64 + Clone + '_ {
    |counts| overestimate(keys, |rank| counts.query(sketch::Token::of_bytes(&name_of(rank)), 0.95).value)
}

fn matrix_hash(hash: u64) -> MatrixHash {
    hash_for_matrix(usize::from(DEPTH), 1 << LG_WIDTH, &DataInput::U64(hash))
}

fn asap_count(keys: &Keys) -> impl Fn(&Asap) -> f64 + Clone + '_ {
    |counts| {
        overestimate(keys, |rank| {
            let hash = matrix_hash(sketch::Token::of_bytes(&name_of(rank)).mixed());
            counts.estimate_with_hash(&hash).max(0) as u64
        })
    }
}

fn count_min(keys: &Keys) -> Job<'_> {
    let theirs: Vec<MatrixHash> = keys.hashes.iter().map(|&hash| matrix_hash(hash)).collect();
    counting(
        Some(15.0),
        vec![
            Case::answering(
                "ours: hashes, update and at_most",
                ROWS,
                || (new_count_min(), 0),
                |(counts, all)| {
                    for &token in &keys.tokens {
                        counts.update(token, 1);
                        *all ^= counts.at_most(token);
                    }
                },
                |(counts, _)| our_count(keys)(counts),
            ),
            Case::answering(
                "ours: hashes, update and query with bounds",
                ROWS,
                || (new_count_min(), 0),
                |(counts, all)| {
                    for &token in &keys.tokens {
                        counts.update(token, 1);
                        *all ^= counts.query(token, 0.95).low;
                    }
                },
                |(counts, _)| our_count(keys)(counts),
            ),
            Case::answering(
                "datasketches (hashes 64 bits anew, twice)",
                ROWS,
                || (new_datasketches(), 0),
                |(counts, all)| {
                    for &hash in &keys.hashes {
                        counts.update(hash);
                        *all ^= counts.estimate(hash);
                    }
                },
                move |(counts, _)| {
                    overestimate(keys, |rank| {
                        counts.estimate(sketch::Token::of_bytes(&name_of(rank)).mixed())
                    })
                },
            ),
            Case::answering(
                "asap_sketchlib, its own hashes",
                ROWS,
                move || (new_asap(), 0, theirs.clone()),
                |(counts, all, theirs)| {
                    for hash in theirs {
                        counts.update_with_hash(hash);
                        *all ^= counts.estimate_with_hash(hash);
                    }
                },
                |(counts, _, _)| asap_count(keys)(counts),
            ),
        ],
    )
}

fn count_min_update(keys: &Keys) -> Job<'_> {
    let theirs: Vec<MatrixHash> = keys.hashes.iter().map(|&hash| matrix_hash(hash)).collect();
    counting(
        None,
        vec![
            Case::answering(
                "ours: hashes, batch",
                ROWS,
                new_count_min,
                |counts| counts.update_all(&keys.tokens),
                our_count(keys),
            ),
            Case::answering(
                "ours: names, batches",
                ROWS,
                new_count_min,
                |counts| keys.hash_batches(|_, tokens| counts.update_all(tokens)),
                our_count(keys),
            ),
            Case::answering(
                "datasketches (hashes 64 bits anew)",
                ROWS,
                new_datasketches,
                |counts| keys.hashes.iter().for_each(|&hash| counts.update(hash)),
                move |counts| {
                    overestimate(keys, |rank| {
                        counts.estimate(sketch::Token::of_bytes(&name_of(rank)).mixed())
                    })
                },
            ),
            Case::answering(
                "asap_sketchlib, its own hashes",
                ROWS,
                move || (new_asap(), theirs.clone()),
                |(counts, theirs)| counts.update_batch_with_hashes(theirs),
                |(counts, _)| asap_count(keys)(counts),
            ),
        ],
    )
}

fn top_large(keys: &Keys) -> Job<'_> {
    top(keys, 4_096, Some(30.0))
}

fn top_small(keys: &Keys) -> Job<'_> {
    top(keys, 1_024, None)
}

/// Ours and the fullest table of `datasketches` live in three quarters of the slots; space saving has as many counters,
/// and HeavyKeeper keeps the best hundred over two cells in each of its buckets.
fn top(keys: &Keys, counters: usize, bar: Option<f64>) -> Job<'_> {
    let live = counters / 4 * 3;
    let ours = Case::answering(
        "ours: names (interchange hash included)",
        ROWS,
        move || Counters::new(counters),
        |top| {
            keys.hash_batches(|rows, tokens| {
                rows.zip(tokens).for_each(|(row, &token)| top.update(token, 1, keys.name(row)));
            });
        },
        |top| keys.hits(top.top(10).iter().map(|counted| counted.item)),
    );
    let hashed = Case::answering(
        "ours: hashes and names",
        ROWS,
        move || Counters::new(counters),
        |top| {
            for (&token, name) in keys.tokens.iter().zip(keys.names()) {
                top.update(token, 1, name);
            }
        },
        |top| keys.hits(top.top(10).iter().map(|counted| counted.item)),
    );
    let apache = Case::answering(
        "datasketches frequent items",
        ROWS,
        move || FrequentItemsSketch::<Vec<u8>>::new(counters).expect("a power of two"),
        |top| keys.names().for_each(|name| top.update_ref(name)),
        |top| {
            let mut rows = top.frequent_items(ErrorType::NoFalseNegatives);
            rows.sort_by_key(|row| std::cmp::Reverse(row.estimate()));
            keys.hits(rows.iter().map(|row| row.item().as_slice()))
        },
    );
    let keeper = Case::answering(
        "heavykeeper (Cuckoo), best 100",
        ROWS,
        move || CuckooTopK::<Vec<u8>>::new(100, counters / 2, 2, 0.9),
        |top| keys.names().for_each(|name| top.add(name, 1)),
        |top| {
            let list = top.list();
            keys.hits(list.iter().map(|node| node.item.as_slice()))
        },
    );
    let filtered = Case::answering(
        "topk (keeps references only)",
        ROWS,
        move || FilteredSpaceSaving::<&[u8]>::new(live),
        |top| keys.names().for_each(|name| top.insert(name, 1)),
        |top| {
            let mut all: Vec<_> = top.iter().collect();
            all.sort_by_key(|(_, counter)| std::cmp::Reverse(counter.estimated_count()));
            keys.hits(all.iter().map(|(name, _)| **name))
        },
    );
    let asap = Case::answering(
        "asap_sketchlib space saving",
        ROWS,
        move || SpaceSaving::with_capacity(live),
        |top: &mut SpaceSaving| keys.names().for_each(|name| top.update(&DataInput::Bytes(name))),
        |top| {
            let best = top.top_k(10);
            keys.hits(best.iter().filter_map(|(item, _, _)| match item {
                OwnedDataInput::Bytes(name) => Some(name.as_slice()),
                _ => None,
            }))
        },
    );
    let sides = vec![ours, hashed, apache, keeper, filtered, asap];
    Job { unit: Unit::Ns, bar, asked: "of the top 10", right: 10.0..=10.0, sides }
}

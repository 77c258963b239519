//! Seen before: Bloom filters at 1 %, of a megabyte and of 120.
//!
//! `fastbloom` and ours take hashes. `datasketches` and `asap_sketchlib` take none and hash the given 64 bits anew.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use asap_sketchlib::{Bloom, DataInput, FastPath};
use datasketches::bloom::{BloomFilter as Apache, BloomFilterBuilder};
use fastbloom::BloomFilter as Fast;
use sketch::Token;
use sketch::bloom::{Filter, Seen, Size, Verdict, blocks_for};
use timing::Case;

use crate::job::{Job, Plan, Unit};
use crate::keys::{Keys, numbered};

/// All jobs of this file.
pub const PLANS: &[Plan] = &[
    Plan { name: "Bloom 1M at 1 %, insert", make: insert_small },
    Plan { name: "Bloom 1M at 1 %, query of known keys", make: query_small },
    Plan { name: "Bloom 1M at 1 %, query of foreign keys", make: foreign_small },
    Plan { name: "Bloom 100M at 1 %, insert", make: insert_large },
    Plan { name: "Bloom 100M at 1 %, query of known keys", make: query_large },
];

const SMALL: i64 = 1_000_000;
const LARGE: i64 = 100_000_000;
const RATE: f64 = 0.01;
/// Keys in a pass over the large filters, and those they hold before: enough to touch every page.
const KEYS_LARGE: i64 = 500_000;
const HELD: i64 = 1_000_000;
/// Keys asked for after a run, known ones and foreign ones.
const ASKED: i64 = 100_000;
/// First of the foreign keys.
const FOREIGN: i64 = 1 << 40;

/// What all filters do here, on either kind of hash.
trait Member {
    fn of_size(keys: i64) -> Self;
    fn insert_all(&mut self, keys: &Hashed);
    /// How many are said to be in.
    fn count(&self, keys: &Hashed) -> usize;
}

/// Keys as all sides want them.
struct Hashed {
    tokens: Vec<Token>,
    hashes: Vec<u64>,
}

fn hashed(from: i64, count: i64) -> Hashed {
    let (tokens, hashes) = numbered(from..from + count);
    Hashed { tokens, hashes }
}

impl Member for Filter {
    fn of_size(keys: i64) -> Filter {
        Filter::new(blocks_for(keys as u64, RATE))
    }

    fn insert_all(&mut self, keys: &Hashed) {
        keys.tokens.iter().for_each(|&token| _ = Filter::insert(self, token));
    }

    fn count(&self, keys: &Hashed) -> usize {
        keys.tokens.iter().filter(|&&token| self.contains(token)).count()
    }
}

impl Member for Seen {
    fn of_size(keys: i64) -> Seen {
        Seen::new(Size::new(keys as u64, RATE).expect("within the range"), 0)
    }

    fn insert_all(&mut self, keys: &Hashed) {
        keys.tokens.iter().for_each(|&token| self.insert(token));
    }

    fn count(&self, keys: &Hashed) -> usize {
        keys.tokens.iter().filter(|&&token| self.contains(token) != Verdict::New).count()
    }
}

/// Ours by batches, as the engine hands them over.
struct Batches<F>(F);

const BATCH: usize = 4_096;

impl Member for Batches<Filter> {
    fn of_size(keys: i64) -> Self {
        Batches(Filter::of_size(keys))
    }

    fn insert_all(&mut self, keys: &Hashed) {
        keys.tokens.chunks(BATCH).for_each(|tokens| _ = self.0.insert_all(tokens));
    }

    fn count(&self, keys: &Hashed) -> usize {
        let mut out = Vec::new();
        let known = |tokens: &[Token]| {
            self.0.contains_all(tokens, &mut out);
            out.iter().filter(|&&known| known).count()
        };
        keys.tokens.chunks(BATCH).map(known).sum()
    }
}

impl Member for Batches<Seen> {
    fn of_size(keys: i64) -> Self {
        Batches(Seen::of_size(keys))
    }

    fn insert_all(&mut self, keys: &Hashed) {
        let mut out = Vec::new();
        keys.tokens.chunks(BATCH).for_each(|tokens| self.0.check_and_insert_all(tokens, &mut out));
    }

    fn count(&self, keys: &Hashed) -> usize {
        let mut out = Vec::new();
        let known = |tokens: &[Token]| {
            self.0.contains_all(tokens, &mut out);
            out.iter().filter(|&&verdict| verdict != Verdict::New).count()
        };
        keys.tokens.chunks(BATCH).map(known).sum()
    }
}

impl Member for Fast {
    fn of_size(keys: i64) -> Fast {
        Fast::with_false_pos(RATE).expected_items(keys as usize)
    }

    fn insert_all(&mut self, keys: &Hashed) {
        keys.hashes.iter().for_each(|&hash| _ = self.insert_hash(hash));
    }

    fn count(&self, keys: &Hashed) -> usize {
        keys.hashes.iter().filter(|&&hash| self.contains_hash(hash)).count()
    }
}

impl Member for Apache {
    fn of_size(keys: i64) -> Apache {
        BloomFilterBuilder::with_accuracy(keys as u64, RATE).build().expect("within the range")
    }

    fn insert_all(&mut self, keys: &Hashed) {
        keys.hashes.iter().for_each(|&hash| _ = self.contains_and_insert(&hash));
    }

    fn count(&self, keys: &Hashed) -> usize {
        keys.hashes.iter().filter(|&hash| self.contains(hash)).count()
    }
}

impl Member for Bloom<FastPath> {
    fn of_size(keys: i64) -> Bloom<FastPath> {
        Bloom::with_capacity(keys as usize, RATE)
    }

    fn insert_all(&mut self, keys: &Hashed) {
        keys.hashes.iter().for_each(|&hash| self.update(&DataInput::U64(hash)));
    }

    fn count(&self, keys: &Hashed) -> usize {
        keys.hashes.iter().filter(|&&hash| self.contains(&DataInput::U64(hash))).count()
    }
}

const OURS: &str = "ours: filter, one by one";
const OURS_BATCH: &str = "ours: filter, batches";
const SEEN: &str = "ours: seen (tests, counts first times)";
const SEEN_BATCH: &str = "ours: seen, batches";
const FAST: &str = "fastbloom";
const APACHE: &str = "datasketches (hashes anew)";
const ASAP: &str = "asap_sketchlib (hashes anew)";

/// The answer is the share of foreign keys said to be in, NaN when a known one is said not to be.
fn membership<'a>(bar: Option<f64>, sides: Vec<Case<'a>>) -> Job<'a> {
    Job { unit: Unit::Ns, bar, asked: "false positives, none negative", right: 0.0..=0.011, sides }
}

fn judged(filter: &impl Member, known: &Hashed) -> f64 {
    if filter.count(known) < known.tokens.len() {
        return f64::NAN;
    }
    filter.count(&hashed(FOREIGN, ASKED)) as f64 / ASKED as f64
}

fn insert_small(_: &Keys) -> Job<'_> {
    fn side<'a, M: Member + 'a>(name: &'static str, keys: &Rc<Hashed>) -> Case<'a> {
        let keys = Rc::clone(keys);
        let known = hashed(0, ASKED);
        let known = Rc::new(known);
        Case::answering(
            name,
            SMALL as usize,
            || M::of_size(SMALL),
            move |filter| filter.insert_all(&keys),
            move |filter| judged(filter, &known),
        )
    }
    let keys = Rc::new(hashed(0, SMALL));
    membership(
        Some(15.0),
        vec![
            side::<Batches<Filter>>(OURS_BATCH, &keys),
            side::<Filter>(OURS, &keys),
            side::<Batches<Seen>>(SEEN_BATCH, &keys),
            side::<Seen>(SEEN, &keys),
            side::<Fast>(FAST, &keys),
            side::<Apache>(APACHE, &keys),
            side::<Bloom<FastPath>>(ASAP, &keys),
        ],
    )
}

fn query_small(_: &Keys) -> Job<'_> {
    querying(Some(15.0), Rc::new(hashed(0, SMALL)), 1.0)
}

fn foreign_small(_: &Keys) -> Job<'_> {
    querying(None, Rc::new(hashed(FOREIGN, SMALL)), RATE)
}

/// All filters hold the same million and are asked for `keys`; about this share of them should be said to be in.
fn querying<'a>(bar: Option<f64>, keys: Rc<Hashed>, share: f64) -> Job<'a> {
    fn side<'a, M: Member + 'a>(name: &'static str, keys: &Rc<Hashed>, held: &Hashed) -> Case<'a> {
        let mut filter = M::of_size(SMALL);
        filter.insert_all(held);
        let keys = Rc::clone(keys);
        let filter = Rc::new(filter);
        Case::answering(
            name,
            SMALL as usize,
            move || (Rc::clone(&filter), 0),
            move |(filter, known)| *known = filter.count(&keys),
            |(_, known)| *known as f64 / SMALL as f64,
        )
    }
    let held = hashed(0, SMALL);
    let sides = vec![
        side::<Batches<Filter>>(OURS_BATCH, &keys, &held),
        side::<Filter>(OURS, &keys, &held),
        side::<Batches<Seen>>(SEEN_BATCH, &keys, &held),
        side::<Seen>(SEEN, &keys, &held),
        side::<Fast>(FAST, &keys, &held),
        side::<Apache>(APACHE, &keys, &held),
        side::<Bloom<FastPath>>(ASAP, &keys, &held),
    ];
    let right = if share == 1.0 { 1.0..=1.0 } else { 0.0..=1.1 * share };
    Job { unit: Unit::Ns, bar, asked: "share said to be in", right, sides }
}

/// The large filters are kept from pass to pass and take other keys in each: to fill them anew would take minutes.
fn insert_large(_: &Keys) -> Job<'_> {
    fn side<'a, M: Member + 'a>(name: &'static str) -> Case<'a> {
        let mut filter = M::of_size(LARGE);
        filter.insert_all(&hashed(0, HELD));
        let (filter, next) = (Rc::new(RefCell::new(filter)), Cell::new(HELD));
        Case::answering(
            name,
            KEYS_LARGE as usize,
            move || {
                let from = next.replace(next.get() + KEYS_LARGE);
                (Rc::clone(&filter), hashed(from, KEYS_LARGE))
            },
            |(filter, keys)| filter.borrow_mut().insert_all(keys),
            |(filter, keys)| judged(&*filter.borrow(), keys),
        )
    }
    membership(
        Some(45.0),
        vec![
            side::<Batches<Filter>>(OURS_BATCH),
            side::<Filter>(OURS),
            side::<Batches<Seen>>(SEEN_BATCH),
            side::<Seen>(SEEN),
            side::<Fast>(FAST),
            side::<Apache>(APACHE),
            side::<Bloom<FastPath>>(ASAP),
        ],
    )
}

fn query_large(_: &Keys) -> Job<'_> {
    fn side<'a, M: Member + 'a>(name: &'static str, keys: &Rc<Hashed>) -> Case<'a> {
        let mut filter = M::of_size(LARGE);
        filter.insert_all(keys);
        let (keys, filter) = (Rc::clone(keys), Rc::new(filter));
        Case::answering(
            name,
            HELD as usize,
            move || (Rc::clone(&filter), 0),
            move |(filter, known)| *known = filter.count(&keys),
            |(_, known)| *known as f64 / HELD as f64,
        )
    }
    let keys = Rc::new(hashed(0, HELD));
    let sides = vec![
        side::<Batches<Filter>>(OURS_BATCH, &keys),
        side::<Filter>(OURS, &keys),
        side::<Batches<Seen>>(SEEN_BATCH, &keys),
        side::<Seen>(SEEN, &keys),
        side::<Fast>(FAST, &keys),
        side::<Apache>(APACHE, &keys),
        side::<Bloom<FastPath>>(ASAP, &keys),
    ];
    Job { unit: Unit::Ns, bar: Some(45.0), asked: "share said to be in", right: 1.0..=1.0, sides }
}

//! Was this key seen before? Exact while few, then Bloom filters, chained when there are more keys than were planned.
//!
//! [`Seen`] begins as a set of full tokens. When that has grown to [`Seen::exact_max`] keys it becomes a [`Filter`] of the
//! asked size; when that has taken its keys, a filter for twice as many keys follows at a smaller rate, and so on
//! (Almeida, Baquero, Preguiça & Hutchison, *Scalable Bloom Filters*, 2007), as far as the bytes go. Then the last
//! filter goes on filling and the state says so ([`Seen::degraded`]). Keys go into the newest filter only.
//!
//! **Compound rate.** All filters together keep within the asked rate `p`, not only on average: a filter counts as full
//! when it has its keys, or when the rate of the bits has used up 3/4 of `p` for the first one, 7/8 with the second, and so
//! on. They are made for a little less, so that large ones end by their keys. The paper starts with `p/2`; but most
//! filters are never outgrown, and 3/4 costs them half as many bits.
//!
//! **How many came for the first time.** A new key is misjudged with the chance `p` of that moment, known from the bits.
//! So before each of the `C` keys that were judged new, a geometrically distributed number of new keys went by
//! unnoticed: `p/(1-p)` of them with variance `p/(1-p)²`. [`Seen::first_times`] adds these up. How many went by after the
//! last one is known only from above: fewer than up to the next.
//!
//! **Laws.** While exact the state is a function of the set of keys; afterwards of the sequence: equal bytes for equal
//! keys in equal order. A [`Filter`] alone knows no order.
//!
//! **Left out:** forgetting, and merging two `Seen` of which neither is exact any more: how many keys were new to both is
//! not known, so neither count nor rate of the result would be honest. Plain filters merge ([`Filter::merge`]). Keys made to collide raise
//! the rate of false positives, not the bound on memory; against hostile streams use keyed hashing
//! ([`crate::hash::Hashing::Keyed`]).

mod bytes;
mod filter;
mod measured;
mod parquet;
mod ring;
mod size;

pub use filter::{BLOCK_BYTES, BLOCKS_MAX, Filter};
pub use parquet::ParquetFilter;
pub use ring::{
    BUCKETS_MAX, LINE_BYTES, LINES_PER_KEY_MAX, RING_LINES_MAX, RingSize, RingSizeError, SeenRing, Sighting,
    Taken,
};
pub use size::{KEYS_MAX, RATE_MAX, RATE_MIN, Size, SizeError, blocks_for, expected_rate};

use crate::estimate::z_of;
use crate::hll::set::TokenSet;
use crate::{Estimate, Health, Incompatible, MergeNote, Token};
use filter::{AHEAD, Ahead, Place};
use measured::Measured;

/// Most keys that are kept exactly: three quarters of the 2,048 slots of a table of 16 KiB.
pub const EXACT_MAX: usize = 1_536;
/// Most filters in a chain: 255 times the asked number of keys.
pub const LAYERS_MAX: usize = 8;

/// More keys than this were not counted.
const COUNT_MAX: f64 = (1u128 << 64) as f64;

/// Fewest keys kept exactly: the smallest table, of 16 slots.
const EXACT_MIN: usize = 12;

/// What is known about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Certainly not seen before.
    New,
    /// Certainly seen before: the state is still exact.
    Exact,
    /// Seen before, or a new key misjudged at [`Seen::rate`].
    Maybe,
}

/// Remembers keys in bounded memory.
///
/// ```
/// use sketch::Token;
/// use sketch::bloom::{Seen, Size, Verdict};
///
/// let mut orders = Seen::new(Size::new(100_000, 0.01)?, 1 << 20);
/// assert_eq!(orders.check_and_insert(Token::of_str("order-1")), Verdict::New);
/// assert_eq!(orders.check_and_insert(Token::of_str("order-1")), Verdict::Exact);
///
/// (0..50_000).for_each(|id| orders.insert(Token::of_i64(id)));
/// assert_eq!(orders.contains(Token::of_str("order-1")), Verdict::Maybe);
/// assert!(orders.rate() < 0.01 && !orders.degraded());
/// let e = orders.first_times(0.95);
/// assert!(e.low <= 50_001.0 && 50_001.0 <= e.high);
/// # Ok::<(), sketch::bloom::SizeError>(())
/// ```
#[derive(Clone)]
pub struct Seen {
    size: Size,
    bytes_max: u64,
    exact_max: usize,
    state: State,
}

#[derive(Clone)]
enum State {
    Exact(TokenSet),
    Layers(Layers),
}

/// One filter and the keys it was given.
#[derive(Clone)]
struct Layer {
    filter: Measured,
    /// Keys inserted as new.
    taken: u64,
    /// Keys it is made for.
    keys: u64,
}

#[derive(Clone)]
struct Layers {
    /// Filters that are full, oldest first.
    older: Vec<Layer>,
    newest: Layer,
    /// Chance that a new key passes all older filters as new: they no longer change.
    older_pass: f64,
    /// Chance of passing all filters below which the newest is full.
    pass_min: f64,
    /// Expected number of new keys that were taken for known, and its variance.
    misjudged: f64,
    variance: f64,
    /// A key was to be taken in although the newest filter was full, and no other may follow: asked once.
    last: bool,
}

impl Seen {
    /// Nothing seen yet. Allocates nothing.
    ///
    /// `bytes_max` bounds the bytes of all filters; the first one is made in any case ([`Size::filter_bytes`]).
    pub fn new(size: Size, bytes_max: u64) -> Seen {
        let exact_max = exact_max(size.filter_bytes());
        Seen { size, bytes_max, exact_max, state: State::Exact(TokenSet::default()) }
    }

    /// What is known about a key, without taking it in. O(layers).
    #[inline]
    pub fn contains(&self, token: Token) -> Verdict {
        match &self.state {
            State::Layers(layers) if layers.contains(&Place::of(token)) => Verdict::Maybe,
            State::Exact(set) if set.contains(token) => Verdict::Exact,
            State::Layers(_) | State::Exact(_) => Verdict::New,
        }
    }

    /// Takes a key in unless it is taken for known already.
    #[inline]
    pub fn insert(&mut self, token: Token) {
        self.check_and_insert(token);
    }

    /// Says what was known about a key before, and takes it in. One cache line per layer; allocates only while exact
    /// and when a layer is added.
    #[inline]
    pub fn check_and_insert(&mut self, token: Token) -> Verdict {
        match &mut self.state {
            State::Exact(_) => self.check_and_insert_exact(token),
            State::Layers(layers) => layers.check_and_insert(&Place::of(token), self.size, self.bytes_max),
        }
    }

    /// As [`Seen::check_and_insert`] for a batch of keys, in their order: the same verdicts and the same state as one by
    /// one. `out` is emptied first. Beyond the caches several times as fast, as the reads of many keys overlap.
    pub fn check_and_insert_all(&mut self, tokens: &[Token], out: &mut Vec<Verdict>) {
        out.clear();
        out.reserve(tokens.len());
        let mut rest = tokens;
        while let (State::Exact(_), Some((&token, others))) = (&self.state, rest.split_first()) {
            out.push(self.check_and_insert_exact(token));
            rest = others;
        }
        if let State::Layers(layers) = &mut self.state {
            for part in rest.chunks(AHEAD) {
                let ahead = Ahead::of(part);
                layers.fetch(&ahead);
                let verdict = |place| layers.check_and_insert(&place, self.size, self.bytes_max);
                out.extend(ahead.places().map(verdict));
            }
        }
    }

    /// Answers [`Seen::contains`] for a batch of keys, in their order; `out` is emptied first.
    pub fn contains_all(&self, tokens: &[Token], out: &mut Vec<Verdict>) {
        out.clear();
        out.reserve(tokens.len());
        match &self.state {
            State::Exact(_) => out.extend(tokens.iter().map(|&token| self.contains(token))),
            State::Layers(layers) => {
                for part in tokens.chunks(AHEAD) {
                    let ahead = Ahead::of(part);
                    layers.fetch(&ahead);
                    let verdict = |known| if known { Verdict::Maybe } else { Verdict::New };
                    out.extend(ahead.places().map(|place| verdict(layers.contains(&place))));
                }
            }
        }
    }

    /// The road while exact; out of line to keep the other one short.
    #[inline(never)]
    fn check_and_insert_exact(&mut self, token: Token) -> Verdict {
        let State::Exact(set) = &mut self.state else { return Verdict::New };
        if set.contains(token) {
            return Verdict::Exact;
        }
        set.insert(token);
        if set.len() > self.exact_max {
            let mut newest = Layer::new(self.size, 0);
            // Every key counts as taken, also one whose bits were all set by others: that they are distinct is known.
            newest.taken = set.len() as u64;
            set.iter().for_each(|token| _ = newest.filter.insert_at(&Place::of(token)));
            self.state = State::Layers(Layers {
                older: Vec::new(),
                newest,
                older_pass: 1.0,
                pass_min: 1.0 - self.size.rate_max(0),
                misjudged: 0.0,
                variance: 0.0,
                last: false,
            });
        }
        Verdict::New
    }

    /// Takes in the keys of another one as if they came now, in the order of their tokens; one of the two must still be
    /// exact. O(keys of the exact one).
    ///
    /// # Errors
    /// When sizes or byte bounds differ, or neither is exact (the numbers told are those of their filters); nothing is
    /// changed then.
    pub fn merge(&mut self, other: &Seen) -> Result<MergeNote, Incompatible> {
        let agree = |what, ours: u64, theirs: u64| {
            if ours == theirs { Ok(()) } else { Err(Incompatible { what, ours, theirs }) }
        };
        agree("keys of a filter's size", self.size.keys(), other.size.keys())?;
        agree("bits of a filter's rate", self.size.rate().to_bits(), other.size.rate().to_bits())?;
        agree("bytes allowed for filters", self.bytes_max, other.bytes_max)?;
        let keys = match (&self.state, &other.state) {
            (_, State::Exact(theirs)) => theirs.sorted(),
            (State::Exact(ours), State::Layers(_)) => {
                let ours = ours.sorted();
                *self = other.clone();
                ours
            }
            (State::Layers(_), State::Layers(_)) => {
                let what = "filters of a seen that is no longer exact";
                let (ours, theirs) = (self.layers() as u64, other.layers() as u64);
                return Err(Incompatible { what, ours, theirs });
            }
        };
        keys.into_iter().for_each(|key| self.insert(key));
        Ok(MergeNote::Exact)
    }

    /// Chance that a key never seen is taken for known: 0 while exact, then from the bits as they are.
    pub fn rate(&self) -> f64 {
        match &self.state {
            State::Exact(_) => 0.0,
            State::Layers(layers) => 1.0 - layers.pass(),
        }
    }

    /// Share of bits set in the newest filter; 0 while exact.
    pub fn fill(&self) -> f64 {
        match &self.state {
            State::Exact(_) => 0.0,
            State::Layers(layers) => layers.newest.filter.fill(),
        }
    }

    /// Number of filters; 0 while exact.
    pub fn layers(&self) -> usize {
        match &self.state {
            State::Exact(_) => 0,
            State::Layers(layers) => layers.older.len() + 1,
        }
    }

    /// True when keys were put into a full filter because no bytes were left for another one: the rate may then exceed
    /// what was asked for. Until then it does not.
    pub fn degraded(&self) -> bool {
        matches!(&self.state, State::Layers(layers) if layers.last)
    }

    /// True while every verdict is certain.
    pub fn is_exact(&self) -> bool {
        matches!(self.state, State::Exact(_))
    }

    /// Distinct keys that were offered for insertion: those judged new, which are never too many and give `low`, and the
    /// expected number of those misjudged, which is unbiased. `high` is the upper quantile, by the expansion of Cornish &
    /// Fisher (1938) to the skewness, of the keys up to the next one judged new, and room for what the rate of a chain may
    /// be too low. It is 2^64 when all bits are set: then no key will be judged new any more.
    pub fn first_times(&self, confidence: f64) -> Estimate<f64> {
        let layers = match &self.state {
            State::Exact(set) => return Estimate::exact(set.len() as f64),
            State::Layers(layers) => layers,
        };
        let counted = layers.taken() as f64;
        let value = (counted + layers.misjudged).round().min(COUNT_MAX);
        let z = z_of(confidence);
        let odds = 1.0 / layers.pass();
        let variance = layers.variance + odds * (odds - 1.0);
        // Third moment over variance of a geometric law is (1+p)/(1-p), largest at the rate of now.
        let skew = (z * z - 1.0) / 6.0 * (2.0 * odds - 1.0);
        let unknown = layers.misjudged * layers.coincidence();
        let high = counted + layers.misjudged + (odds - 1.0) + z * variance.sqrt() + skew + 1.0 + unknown;
        let high = if high < COUNT_MAX { high.floor() } else { COUNT_MAX };
        Estimate::probabilistic(value, counted.min(value), high.max(value), confidence)
    }

    /// The size asked for.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The bound on the bytes of all filters.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Keys that are kept exactly: at most [`EXACT_MAX`], and no more than fit the bytes of the first filter, but 12.
    pub fn exact_max(&self) -> usize {
        self.exact_max
    }

    /// What stands behind the verdicts, for answers: `hash-set`, or `bloom/2` for two filters.
    pub fn sketch_name(&self) -> String {
        match self.layers() {
            0 => "hash-set".to_owned(),
            layers => format!("bloom/{layers}"),
        }
    }

    /// True when no key was put in.
    pub fn is_empty(&self) -> bool {
        matches!(&self.state, State::Exact(set) if set.len() == 0)
    }

    /// Keys of the exact set, then bits of the newest filter; the error is [`Seen::rate`], saturated is [`Seen::degraded`].
    pub fn health(&self) -> Health {
        match &self.state {
            State::Exact(set) => Health::exact(set.len() as f64 / self.exact_max as f64),
            State::Layers(_) => Health::with_error(self.fill(), self.rate()).saturated_when(self.degraded()),
        }
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        let held = match &self.state {
            State::Exact(set) => set.memory_bytes(),
            State::Layers(layers) => {
                let filters: u64 = layers.all().map(Layer::bytes).sum();
                layers.older.capacity() * size_of::<Layer>() + filters as usize
            }
        };
        size_of::<Self>() + held
    }

    /// For tests, and around every snapshot in debug builds.
    ///
    /// # Panics
    /// When the structure is broken, which would be a bug.
    pub fn check_invariants(&self) {
        match &self.state {
            State::Exact(set) => {
                assert!(set.len() <= self.exact_max, "a set stays within its limit");
                set.check_invariants();
            }
            State::Layers(layers) => {
                layers.all().for_each(|layer| layer.filter.check_invariants());
                assert_eq!(layers.complaint(self), None);
            }
        }
    }
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seen")
            .field("sketch", &self.sketch_name())
            .field("size", &self.size)
            .field("rate", &self.rate())
            .finish_non_exhaustive()
    }
}

impl Layer {
    /// Empty, as layer `i` of this size.
    fn new(size: Size, i: usize) -> Layer {
        Layer { filter: Measured::of(Filter::new(size.layer_blocks(i))), taken: 0, keys: size.layer_keys(i) }
    }

    fn bytes(&self) -> u64 {
        self.filter.filter().blocks() as u64 * BLOCK_BYTES
    }
}

impl Layers {
    /// Newest first: it holds the most keys, and the most recent ones.
    #[inline]
    fn contains(&self, place: &Place) -> bool {
        self.newest.filter.filter().contains_at(place)
            || self.older.iter().rev().any(|layer| layer.filter.filter().contains_at(place))
    }

    /// Fetches the blocks of these keys in all layers.
    #[inline]
    fn fetch(&self, ahead: &Ahead) {
        self.all().for_each(|layer| layer.filter.filter().fetch(ahead));
    }

    /// As [`Seen::check_and_insert`].
    #[inline]
    fn check_and_insert(&mut self, place: &Place, size: Size, bytes_max: u64) -> Verdict {
        if self.contains(place) {
            return Verdict::Maybe;
        }
        // A new layer is empty and leaves the chance of passing as it is.
        let pass = self.pass();
        if self.is_full(pass) && !self.last {
            self.chain(size, bytes_max);
        }
        // 1/(1-p) before the insert: p/(1-p) is one less, p/(1-p)² their product.
        let odds = 1.0 / pass;
        self.misjudged += odds - 1.0;
        self.variance += odds * (odds - 1.0);
        self.newest.filter.insert_at(place);
        self.newest.taken += 1;
        Verdict::New
    }

    /// Chance that a new key is judged new.
    #[inline]
    fn pass(&self) -> f64 {
        self.older_pass * (1.0 - self.newest.filter.rate())
    }

    /// By which part of itself the chance of being misjudged may be more than it says, when there are several filters: they
    /// look at the same bits of a hash, and false positives of two coincide a fifth more rarely (measured) than by chance. So
    /// a fifth of all pᵢ·pⱼ comes on top, which is at most a tenth of p².
    fn coincidence(&self) -> f64 {
        if self.older.is_empty() { 0.0 } else { (1.0 - self.pass()) / 10.0 }
    }

    /// The newest layer has its keys, or all together have used up their rate.
    #[inline]
    fn is_full(&self, pass: f64) -> bool {
        self.newest.taken >= self.newest.keys || pass <= self.pass_min
    }

    /// Adds a layer, or remembers that none may be added.
    #[cold]
    fn chain(&mut self, size: Size, bytes_max: u64) {
        self.last = !self.may_chain(size, bytes_max);
        if !self.last {
            let next = Layer::new(size, self.older.len() + 1);
            self.older_pass *= 1.0 - self.newest.filter.rate();
            self.older.reserve_exact(1);
            self.older.push(std::mem::replace(&mut self.newest, next));
            self.pass_min = 1.0 - size.rate_max(self.older.len());
        }
    }

    fn may_chain(&self, size: Size, bytes_max: u64) -> bool {
        let i = self.older.len() + 1;
        if i == LAYERS_MAX {
            return false;
        }
        let blocks = size.layer_blocks(i);
        let held: u64 = self.all().map(Layer::bytes).sum();
        blocks <= BLOCKS_MAX && held + blocks * BLOCK_BYTES <= bytes_max
    }

    /// All layers, oldest first.
    fn all(&self) -> impl Iterator<Item = &Layer> {
        self.older.iter().chain([&self.newest])
    }

    fn taken(&self) -> u64 {
        self.all().map(|layer| layer.taken).fold(0, u64::saturating_add)
    }

    /// What no sequence of keys leads to, on both sides of the bytes.
    fn complaint(&self, seen: &Seen) -> Option<&'static str> {
        let first = self.older.first().unwrap_or(&self.newest);
        let sized = |(i, layer): (usize, &Layer)| {
            layer.filter.filter().blocks() as u64 == seen.size.layer_blocks(i)
                && layer.keys == seen.size.layer_keys(i)
        };
        let filled = |layer: &Layer| (8..=layer.taken.saturating_mul(8)).contains(&layer.filter.ones());
        let held: u64 = self.all().map(Layer::bytes).sum();
        if !self.all().enumerate().all(sized) {
            Some("layers of another size")
        } else if !self.older.is_empty() && held > seen.bytes_max {
            Some("more layers than bytes allow")
        } else if !self.older_are_full(seen.size) {
            Some("a layer after one that is not full")
        } else if self.last && (!self.is_full(self.pass()) || self.may_chain(seen.size, seen.bytes_max)) {
            Some("degraded without need")
        } else if !self.last && self.newest.taken > self.newest.keys {
            Some("more keys than a layer takes")
        } else if first.taken <= seen.exact_max as u64 || !self.all().all(filled) {
            Some("bits that so many keys do not set")
        } else if !(0.0 <= self.misjudged && self.misjudged <= self.variance && self.variance < MISJUDGED_MAX)
        {
            Some("misjudged keys beyond reason")
        } else {
            None
        }
    }

    /// Each older layer ended by its keys or by the rate that all up to it had used up.
    fn older_are_full(&self, size: Size) -> bool {
        let mut pass = 1.0;
        self.older.iter().enumerate().all(|(i, layer)| {
            pass *= 1.0 - layer.filter.rate();
            layer.taken == layer.keys || layer.taken < layer.keys && pass <= 1.0 - size.rate_max(i)
        })
    }
}

/// Beyond what 2^64 keys at the worst odds of all layers add up to, and still far from infinity.
const MISJUDGED_MAX: f64 = 1e290;

/// Tokens of the largest table that takes no more bytes than the filter, within the named limits.
fn exact_max(filter_bytes: u64) -> usize {
    let slots = (filter_bytes / 8).clamp(16, 2_048).ilog2();
    ((1usize << slots) / 4 * 3).clamp(EXACT_MIN, EXACT_MAX)
}

//! Was this key seen in the last W buckets of event time, and when last? Bloom bits in a ring of planes.
//!
//! Each position of the filter holds a small word, one bit for each bucket of event time: bucket `t` owns the plane
//! `t mod B`. A key that comes in bucket `t` sets bit `t mod B` of its words; the AND of its words, masked to the live
//! buckets, is not zero when the key was seen, and its bits say in which buckets. Bit slicing is Wong, Liu, Olken, Rotem
//! & Wong, *Bit transposed files* (1985), turned to a ring of time; the blocks in cache lines are Putze, Sanders &
//! Singler, *Cache-, Hash- and Space-Efficient Bloom Filters* (2007). One operation reads 1 to 4 cache lines, whatever
//! the size and the number of buckets ([`RingSize`] has the formulas).
//!
//! **Time** is the ids of buckets, which the caller makes from event times. The newest one seen is the head; the window
//! are the `W` buckets up to it. A late key goes in its own bucket as long as that is live; afterwards it is refused, and
//! [`SeenRing::update`] says so. A key ahead moves the head: guard against times from the far future before.
//!
//! **Bounds.** No key of a live bucket is ever missed. A foreign key is taken for known with [`SeenRing::rate`], from the
//! bits of each plane as they are; the newest bucket said is never before the true one, the oldest never after it.
//! Each plane is sized for the busiest bucket. One that takes more raises the rate, and [`SeenRing::overfull`] names it.
//!
//! **Laws, of whole bytes.** While exact, and again once it is a filter, the state is a function of the head and of the
//! set of live (key, bucket) pairs: order does not matter, and a merge equals one ring over all keys. Which of the two it
//! is depends on the past: keys that have expired may have made it a filter, and it does not turn back. How far expired
//! planes are cleared cannot be read anywhere.
//!
//! **Left out:** counting (a key is in a bucket or not), forgetting single keys, chaining: a window ends by itself, so
//! size it for the busiest bucket. Against keys made to collide use keyed hashing.

mod bytes;
mod map;
mod planes;
mod size;

pub use size::{BUCKETS_MAX, LINE_BYTES, LINES_PER_KEY_MAX, RING_LINES_MAX, RingSize, RingSizeError};

use crate::estimate::z_of;
use crate::{Estimate, Health, Incompatible, MergeNote, Token};
use map::{Map, SLOT_BYTES};
use planes::{Place, Planes};

/// Most keys that are kept exactly: three quarters of the 2,048 slots of a table of 32 KiB.
const EXACT_MAX: usize = 1_536;
/// Fewest keys kept exactly: the smallest table, of 16 slots.
const EXACT_MIN: usize = 12;
/// Keys whose places are computed before the first of their lines is read.
const CHUNK: usize = 16;
/// Beyond what is counted.
const COUNT_MAX: f64 = (1u128 << 64) as f64;
/// Confidence with which a bucket is called overfull.
const SURE: f64 = 0.999;

/// What is known about a key in the live window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sighting {
    /// Certainly in no live bucket.
    New,
    /// Certainly seen, first and last in these buckets of the window.
    Exact {
        /// First live bucket it came in.
        oldest: u64,
        /// Last bucket it came in.
        newest: u64,
    },
    /// Seen, or a foreign key taken for known at [`SeenRing::rate`]. When it was seen, then within these buckets.
    Maybe {
        /// It did not come in a live bucket before this one.
        oldest: u64,
        /// It did not come in a bucket after this one.
        newest: u64,
    },
}

impl Sighting {
    /// False only when the key is certainly in no live bucket.
    pub fn is_known(self) -> bool {
        self != Sighting::New
    }

    /// The last bucket it can have come in.
    pub fn newest(self) -> Option<u64> {
        match self {
            Sighting::New => None,
            Sighting::Exact { newest, .. } | Sighting::Maybe { newest, .. } => Some(newest),
        }
    }

    /// The first live bucket it can have come in.
    pub fn oldest(self) -> Option<u64> {
        match self {
            Sighting::New => None,
            Sighting::Exact { oldest, .. } | Sighting::Maybe { oldest, .. } => Some(oldest),
        }
    }
}

/// What became of a key that was to be taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Taken {
    /// In its bucket; this was known of it before.
    In(Sighting),
    /// Its bucket is live no more: nothing changed.
    TooLate,
}

/// Remembers the keys of the last buckets of event time, in memory that does not grow.
///
/// ```
/// use sketch::Token;
/// use sketch::bloom::{RingSize, SeenRing, Sighting, Taken};
///
/// // Two hours in buckets of ten minutes, at most 100,000 cards in each.
/// let mut cards = SeenRing::new(RingSize::per_bucket(100_000, 0.01, 12)?);
/// let card = Token::of_str("card-1");
/// assert_eq!(cards.check_and_update(card, 1_000), Taken::In(Sighting::New));
/// assert_eq!(cards.check_and_update(card, 1_004), Taken::In(Sighting::Exact { oldest: 1_000, newest: 1_000 }));
/// assert_eq!(cards.query(card), Sighting::Exact { oldest: 1_000, newest: 1_004 });
///
/// cards.advance(1_012);
/// assert_eq!(cards.query(card), Sighting::Exact { oldest: 1_004, newest: 1_004 });
/// assert_eq!(cards.check_and_update(card, 1_000), Taken::TooLate);
/// cards.advance(1_016);
/// assert_eq!(cards.query(card), Sighting::New);
/// # Ok::<(), sketch::bloom::RingSizeError>(())
/// ```
#[derive(Clone)]
pub struct SeenRing {
    size: RingSize,
    exact_max: usize,
    window: Window,
    state: State,
}

#[derive(Clone)]
enum State {
    Exact(Map),
    Planes(Planes),
}

/// The live buckets, and the planes they own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    oldest: u64,
    head: u64,
    /// Planes of the live buckets; 0 before the first bucket.
    live: u64,
    buckets: u8,
    lg_planes: u8,
}

impl Window {
    fn new(size: RingSize) -> Window {
        Window { oldest: 0, head: 0, live: 0, buckets: size.buckets(), lg_planes: size.shape().lg_planes }
    }

    /// The same window with this head, which is not before the one it has.
    fn at(self, head: u64) -> Window {
        let oldest = head.saturating_sub(u64::from(self.buckets) - 1);
        let mut window = Window { oldest, head, live: 0, ..self };
        window.live = window.turn(u64::MAX >> (63 - (head - oldest)), window.plane(oldest));
        window
    }

    fn is_open(&self) -> bool {
        self.live != 0
    }

    #[inline]
    fn plane(&self, bucket: u64) -> u32 {
        bucket as u32 & ((1 << self.lg_planes) - 1)
    }

    /// Planes moved up by so many, in the ring.
    #[inline]
    fn turn(&self, planes: u64, by: u32) -> u64 {
        let n = 1u32 << self.lg_planes;
        if by == 0 { planes } else { (planes << by | planes >> (n - by)) & (u64::MAX >> (64 - n)) }
    }

    /// Live planes with the oldest bucket in bit 0.
    #[inline]
    fn by_age(&self, planes: u64) -> u64 {
        let n = 1 << self.lg_planes;
        self.turn(planes, (n - self.plane(self.oldest)) & (n - 1))
    }

    /// Back from [`Window::by_age`].
    fn of_age(&self, ages: u64) -> u64 {
        self.turn(ages, self.plane(self.oldest))
    }

    /// Planes of the live ones among these buckets.
    fn planes_of(&self, first: u64, last: u64) -> u64 {
        let (first, last) = (first.max(self.oldest), last.min(self.head));
        if !self.is_open() || first > last {
            return 0;
        }
        self.of_age((u64::MAX >> (63 - (last - first))) << (first - self.oldest))
    }

    fn live_buckets(&self) -> impl Iterator<Item = u64> + use<> {
        let (oldest, head, open) = (self.oldest, self.head, self.is_open());
        (oldest..=head).filter(move |_| open)
    }
}

impl SeenRing {
    /// Nothing seen yet, no head. Allocates nothing.
    pub fn new(size: RingSize) -> SeenRing {
        let exact_max = exact_max(size.filter_bytes());
        SeenRing { size, exact_max, window: Window::new(size), state: State::Exact(Map::default()) }
    }

    /// Takes in a key of this bucket; false when the bucket is live no more, and nothing changed then.
    ///
    /// A bucket behind the head is late and welcome while it lives; one before it moves the head ([`SeenRing::advance`]).
    #[inline]
    pub fn update(&mut self, token: Token, bucket: u64) -> bool {
        self.take(token, bucket).is_some()
    }

    /// As [`SeenRing::update`] for keys of one bucket; false when all of them came too late.
    pub fn update_all(&mut self, tokens: &[Token], bucket: u64) -> bool {
        if !self.make_live(bucket) {
            return tokens.is_empty();
        }
        let plane = self.window.plane(bucket);
        for chunk in tokens.chunks(CHUNK) {
            let State::Planes(planes) = &mut self.state else {
                chunk.iter().for_each(|&token| _ = self.take(token, bucket));
                continue;
            };
            let mut places = [Place::default(); CHUNK];
            for (place, &token) in places.iter_mut().zip(chunk) {
                *place = Place::of(token, self.size.shape());
            }
            places[..chunk.len()].iter().for_each(|place| _ = planes.insert_at(place, plane));
        }
        true
    }

    /// Says what was known about a key before, and takes it in.
    #[inline]
    pub fn check_and_update(&mut self, token: Token, bucket: u64) -> Taken {
        match self.take(token, bucket) {
            Some(before) => Taken::In(self.sighting(before)),
            None => Taken::TooLate,
        }
    }

    /// The live planes of a key before it was taken in; none when its bucket is live no more.
    #[inline]
    fn take(&mut self, token: Token, bucket: u64) -> Option<u64> {
        if !self.make_live(bucket) {
            return None;
        }
        let plane = self.window.plane(bucket);
        let before = match &mut self.state {
            State::Planes(planes) => planes.insert_at(&Place::of(token, self.size.shape()), plane),
            State::Exact(_) => self.take_exact(token, plane),
        };
        Some(before & self.window.live)
    }

    /// The road while exact; out of line to keep the other one short.
    #[inline(never)]
    fn take_exact(&mut self, token: Token, plane: u32) -> u64 {
        let State::Exact(map) = &mut self.state else { return 0 };
        let before = map.add(token, 1 << plane);
        if map.len() > self.exact_max {
            self.leave_exact();
        }
        before
    }

    fn leave_exact(&mut self) {
        if let State::Exact(map) = &self.state {
            let shape = self.size.shape();
            let mut planes = Planes::new(shape);
            map.iter().for_each(|(token, held)| planes.insert_word(&Place::of(token, shape), held));
            self.state = State::Planes(planes);
        }
    }

    /// Moves the head there if need be; false when the bucket lies before the window.
    #[inline]
    fn make_live(&mut self, bucket: u64) -> bool {
        if bucket > self.window.head || !self.window.is_open() {
            self.advance(bucket);
        }
        bucket >= self.window.oldest
    }

    /// Moves the head; does nothing when it is there or further already. Buckets that leave the window are forgotten at
    /// once; their bits are cleared while later keys come in, one cache line with each. O(buckets) when that is done
    /// before their planes are needed again, which `keys` of the size see to, else O(bytes).
    pub fn advance(&mut self, head: u64) {
        if self.window.is_open() && head <= self.window.head {
            return;
        }
        let (before, now) = (self.window, self.window.at(head));
        let stay = before.planes_of(now.oldest, before.head);
        match &mut self.state {
            State::Exact(map) if stay != before.live => map.retain(stay),
            State::Exact(_) => {}
            State::Planes(planes) => {
                planes.expire(before.live & !stay);
                planes.clean(now.live & !stay);
            }
        }
        self.window = now;
    }

    /// What is known about a key. O(1).
    #[inline]
    pub fn query(&self, token: Token) -> Sighting {
        self.sighting(self.planes_of(token) & self.window.live)
    }

    /// What is known about a key in these buckets alone, both ends included; [`SeenRing::rate_between`] is the rate.
    pub fn query_between(&self, token: Token, first: u64, last: u64) -> Sighting {
        self.sighting(self.planes_of(token) & self.window.planes_of(first, last))
    }

    /// What is known about many keys, in their order.
    pub fn query_all(&self, tokens: &[Token], out: &mut Vec<Sighting>) {
        out.reserve(tokens.len());
        let State::Planes(planes) = &self.state else {
            return out.extend(tokens.iter().map(|&token| self.query(token)));
        };
        for chunk in tokens.chunks(CHUNK) {
            let mut places = [Place::default(); CHUNK];
            for (place, &token) in places.iter_mut().zip(chunk) {
                *place = Place::of(token, self.size.shape());
            }
            let known = places[..chunk.len()].iter().map(|place| planes.word_at(place) & self.window.live);
            out.extend(known.map(|word| self.sighting(word)));
        }
    }

    #[inline]
    fn planes_of(&self, token: Token) -> u64 {
        match &self.state {
            State::Planes(planes) => planes.word_at(&Place::of(token, self.size.shape())),
            State::Exact(map) => map.get(token),
        }
    }

    #[inline]
    fn sighting(&self, planes: u64) -> Sighting {
        if planes == 0 {
            return Sighting::New;
        }
        let ages = self.window.by_age(planes);
        let oldest = self.window.oldest + u64::from(ages.trailing_zeros());
        let newest = self.window.oldest + u64::from(63 - ages.leading_zeros());
        match self.state {
            State::Exact(_) => Sighting::Exact { oldest, newest },
            State::Planes(_) => Sighting::Maybe { oldest, newest },
        }
    }

    /// Takes in the live keys of another ring. Of two heads the later one stays, and what is out of its window then
    /// drops out of both. O(bytes).
    ///
    /// # Errors
    /// When the sizes differ; nothing is changed then.
    pub fn merge(&mut self, other: &SeenRing) -> Result<MergeNote, Incompatible> {
        self.check_size(other)?;
        if !other.window.is_open() {
            return Ok(MergeNote::Exact);
        }
        self.advance(other.window.head);
        let common = other.window.planes_of(self.window.oldest, self.window.head);
        if let State::Exact(map) = &mut self.state
            && let State::Exact(more) = &other.state
        {
            more.iter().filter(|(_, held)| held & common != 0).for_each(|(token, held)| {
                map.add(token, held & common);
            });
            if map.len() > self.exact_max {
                self.leave_exact();
            }
            return Ok(MergeNote::Exact);
        }
        self.leave_exact();
        if let State::Planes(planes) = &mut self.state {
            match &other.state {
                State::Planes(more) => planes.merge(more, common),
                State::Exact(more) => {
                    let shape = self.size.shape();
                    more.iter().for_each(|(token, held)| {
                        planes.insert_word(&Place::of(token, shape), held & common);
                    });
                }
            }
        }
        Ok(MergeNote::Exact)
    }

    fn check_size(&self, other: &SeenRing) -> Result<(), Incompatible> {
        let (a, b) = (self.size, other.size);
        let pairs = [
            ("buckets of a ring", u64::from(a.buckets()), u64::from(b.buckets())),
            ("keys per bucket of a ring", a.keys(), b.keys()),
            ("false-positive rate of a ring, as bits", a.rate().to_bits(), b.rate().to_bits()),
            ("cache lines per key of a ring", u64::from(a.lines_per_key()), u64::from(b.lines_per_key())),
        ];
        match pairs.into_iter().find(|(_, ours, theirs)| ours != theirs) {
            Some((what, ours, theirs)) => Err(Incompatible { what, ours, theirs }),
            None => Ok(()),
        }
    }

    /// Chance that a key of no live bucket is taken for known: 0 while exact, then from the share of bits set in each
    /// live plane. It holds for unrelated keys; where buckets share keys, and so bits, the true rate is lower.
    /// O(buckets), microseconds.
    pub fn rate(&self) -> f64 {
        self.rate_between(0, u64::MAX)
    }

    /// The same for [`SeenRing::query_between`]: chance that a key of none of these buckets is taken for one of theirs.
    pub fn rate_between(&self, first: u64, last: u64) -> f64 {
        let shape = self.size.shape();
        self.rate_by(first, last, |planes, plane| shape.rate_at(planes.fill(plane)))
    }

    /// As [`SeenRing::rate`], but of exactly these bits instead of the expected rate of so many: tells also when a few
    /// lines hold more than chance would give them. O(bytes · buckets).
    pub fn rate_of_bits(&self) -> f64 {
        self.rate_by(0, u64::MAX, Planes::plane_rate_of_bits)
    }

    fn rate_by(&self, first: u64, last: u64, rate: impl Fn(&Planes, u32) -> f64) -> f64 {
        let State::Planes(planes) = &self.state else { return 0.0 };
        let asked = self.window.live_buckets().filter(|bucket| (first..=last).contains(bucket));
        let pass = |bucket| 1.0 - rate(planes, self.window.plane(bucket)).clamp(0.0, 1.0);
        1.0 - asked.map(pass).product::<f64>()
    }

    /// Distinct keys of one bucket; none when it is not live. Exact while the ring is; afterwards from the share `x` of
    /// bits set: `-ln(1 - x)` times the bits over the bits per key (linear counting, Whang et al. 1990; the lines of a key
    /// count as independent, the parts of a line as one). When all bits are set, `high` is 2^64.
    pub fn keys_in(&self, bucket: u64, confidence: f64) -> Option<Estimate<f64>> {
        if self.window.planes_of(bucket, bucket) == 0 {
            return None;
        }
        let plane = self.window.plane(bucket);
        let planes = match &self.state {
            State::Planes(planes) => planes,
            State::Exact(map) => {
                let keys = map.iter().filter(|(_, held)| held >> plane & 1 != 0).count();
                return Some(Estimate::exact(keys as f64));
            }
        };
        let (shape, fill) = (self.size.shape(), planes.fill(plane));
        if fill == 0.0 {
            return Some(Estimate::exact(0.0));
        }
        // Positions of one part over all lines of a region: the cells that a key hits one of.
        let cells = f64::from(shape.region) * f64::from(1u32 << shape.lg_positions());
        let lines = f64::from(shape.lines_per_key);
        let load = |fill: f64| -(-fill).ln_1p();
        // With all bits set it is at least as if half a bit were missing.
        let t = load(fill.min(1.0 - 0.5 / (cells * lines)));
        let value = cells * t;
        let sigma = (cells * (t.exp() - t - 1.0) / lines).sqrt();
        let slack = z_of(confidence) * sigma + 1.0;
        let high = if fill < 1.0 { value + slack } else { COUNT_MAX };
        Some(Estimate::probabilistic(value, (value - slack).max(0.0), high, confidence))
    }

    /// Live buckets that hold more keys than the ring was made for, oldest first: of these the rate is beyond what was
    /// planned, and [`SeenRing::rate`] says how far.
    pub fn overfull(&self) -> Vec<u64> {
        let most = self.size.keys() as f64;
        let held = |bucket: &u64| self.keys_in(*bucket, SURE).is_some_and(|keys| keys.low > most);
        self.window.live_buckets().filter(held).collect()
    }

    /// True when [`SeenRing::rate`] exceeds what was asked for.
    pub fn degraded(&self) -> bool {
        self.rate() > self.size.rate()
    }

    /// Share of bits set in the live planes; 0 while exact.
    pub fn fill(&self) -> f64 {
        let State::Planes(planes) = &self.state else { return 0.0 };
        let fills = self.window.live_buckets().map(|bucket| planes.fill(self.window.plane(bucket)));
        fills.sum::<f64>() / f64::from(self.window.buckets)
    }

    /// How well it does: the fill is that of the map while exact, then that of the live planes.
    pub fn health(&self) -> Health {
        match &self.state {
            State::Exact(map) => Health::exact(map.len() as f64 / self.exact_max as f64),
            State::Planes(_) => Health::with_error(self.fill(), self.rate()).saturated_when(self.degraded()),
        }
    }

    /// The newest bucket, once there was one.
    pub fn head(&self) -> Option<u64> {
        self.window.is_open().then_some(self.window.head)
    }

    /// The oldest live bucket, once there was one.
    pub fn oldest(&self) -> Option<u64> {
        self.window.is_open().then_some(self.window.oldest)
    }

    /// True while every answer is certain.
    pub fn is_exact(&self) -> bool {
        matches!(self.state, State::Exact(_))
    }

    /// True when no live bucket holds a key.
    pub fn is_empty(&self) -> bool {
        match &self.state {
            State::Exact(map) => map.len() == 0,
            State::Planes(_) => self.fill() == 0.0,
        }
    }

    /// The size asked for.
    pub fn size(&self) -> RingSize {
        self.size
    }

    /// Keys that are kept exactly: at most 1,536, and no more than fit the bytes of the filter, but 12.
    pub fn exact_max(&self) -> usize {
        self.exact_max
    }

    /// What stands behind the answers: `hash-map`, or `bloom-ring/16` for 16 planes.
    pub fn sketch_name(&self) -> String {
        match &self.state {
            State::Exact(_) => "hash-map".to_owned(),
            State::Planes(_) => format!("bloom-ring/{}", self.size.planes()),
        }
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        let held = match &self.state {
            State::Exact(map) => map.memory_bytes(),
            State::Planes(planes) => planes.memory_bytes(),
        };
        size_of::<Self>() + held
    }

    /// For tests, and around every snapshot in debug builds. O(bytes).
    ///
    /// # Panics
    /// When the structure is broken, which would be a bug.
    pub fn check_invariants(&self) {
        if self.window.is_open() {
            assert_eq!(self.window, self.window.at(self.window.head), "the window follows from its head");
        }
        match &self.state {
            State::Exact(map) => {
                assert!(map.len() <= self.exact_max, "a map stays within its limit");
                map.check_invariants(self.window.live);
            }
            State::Planes(planes) => planes.check_invariants(self.window.live),
        }
    }
}

/// Equal when the snapshots are: the same size, head and live keys or bits.
impl PartialEq for SeenRing {
    fn eq(&self, other: &SeenRing) -> bool {
        let live = self.window.live;
        self.size == other.size
            && self.window == other.window
            && match (&self.state, &other.state) {
                (State::Exact(a), State::Exact(b)) => a.sorted() == b.sorted(),
                (State::Planes(a), State::Planes(b)) => a.lines(live).eq(b.lines(live)),
                (State::Exact(_), State::Planes(_)) | (State::Planes(_), State::Exact(_)) => false,
            }
    }
}

impl std::fmt::Debug for SeenRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SeenRing")
            .field("sketch", &self.sketch_name())
            .field("size", &self.size)
            .field("head", &self.head())
            .field("rate", &self.rate())
            .finish_non_exhaustive()
    }
}

/// Tokens of the largest table that takes no more bytes than the filter, within the named limits.
fn exact_max(filter_bytes: u64) -> usize {
    let slots = (filter_bytes / SLOT_BYTES as u64).clamp(16, 2_048).ilog2();
    ((1usize << slots) / 4 * 3).clamp(EXACT_MIN, EXACT_MAX)
}

//! What all sides are given: a stream of names with its hashes, values, and exact answers.
//!
//! Names have thirteen bytes; their ranks follow Zipf's law with exponent 1.1, so that some are frequent and most are rare.
//! Everything comes from one seed.

use std::ops::Range;

use datasketches::hash::value::raw_bytes;
use datasketches::hll::Coupon;
use sketch::Token;
use sketch::hash::{Hashing, theta_hashes_of_strings, tokens_of_strings};

/// Events of the stream.
pub const ROWS: usize = 2_000_000;
/// Different names that may occur.
const NAMES: usize = 1_000_000;
/// Bytes of a name.
const NAME_BYTES: usize = 13;

/// The stream, laid out as a batch lays out a column, and what is computed from it before any clock starts.
pub struct Keys {
    /// All names, one after the other.
    pub bytes: Vec<u8>,
    /// Where they start, and where the last one ends.
    pub offsets: Vec<i32>,
    /// Our hash of each row.
    pub tokens: Vec<Token>,
    /// The same as 64 even bits, for crates that take a hash of 64 bits.
    pub hashes: Vec<u64>,
    /// The hash of `datasketches` for HyperLogLog.
    pub coupons: Vec<Coupon>,
    /// Values: log-normal, median 20.
    pub values: Vec<f64>,
    /// Number of events of each name, by rank.
    pub events_of: Vec<u32>,
}

impl Keys {
    /// Takes a second or two.
    pub fn new() -> Keys {
        let mut random = Random(0x5EED);
        let cumulated: Vec<f64> = (1..=NAMES)
            .scan(0.0, |sum, rank| {
                *sum += (rank as f64).powf(-1.1);
                Some(*sum)
            })
            .collect();
        let total = cumulated[NAMES - 1];
        let (mut bytes, mut offsets, mut events_of) = (Vec::new(), vec![0], vec![0; NAMES]);
        for _ in 0..ROWS {
            let drawn = random.share() * total;
            let rank = cumulated.partition_point(|&sum| sum < drawn).min(NAMES - 1);
            events_of[rank] += 1;
            bytes.extend_from_slice(&name_of(rank));
            offsets.push(i32::try_from(bytes.len()).expect("26 MB"));
        }
        let mut tokens = Vec::new();
        tokens_of_strings(&bytes, &offsets, &mut tokens);
        let hashes = tokens.iter().map(|token| token.mixed()).collect();
        let rows = bytes.chunks_exact(NAME_BYTES);
        let coupons = rows.map(|name| Coupon::from_value(raw_bytes::from_slice(name))).collect();
        let values = (0..ROWS).map(|_| 20.0 * (0.8 * random.normal()).exp()).collect();
        Keys { bytes, offsets, tokens, hashes, coupons, values, events_of }
    }

    /// The name of a row.
    #[inline]
    pub fn name(&self, row: usize) -> &[u8] {
        &self.bytes[row * NAME_BYTES..(row + 1) * NAME_BYTES]
    }

    /// All names in order.
    #[inline]
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(NAME_BYTES)
    }

    /// Our tokens anew, a batch at a time, as the engine does it.
    #[inline]
    pub fn hash_batches(&self, mut take: impl FnMut(Range<usize>, &[Token])) {
        let mut out = Vec::with_capacity(BATCH);
        for from in (0..ROWS).step_by(BATCH) {
            let to = (from + BATCH).min(ROWS);
            tokens_of_strings(&self.bytes, &self.offsets[from..=to], &mut out);
            take(from..to, &out);
        }
    }

    /// Tokens of another hash anew, a batch at a time.
    #[inline]
    pub fn hash_batches_by(&self, hashing: &Hashing, mut take: impl FnMut(&[Token])) {
        let mut out = Vec::with_capacity(BATCH);
        for from in (0..ROWS).step_by(BATCH) {
            let to = (from + BATCH).min(ROWS);
            hashing.tokens_of_strings(&self.bytes, &self.offsets[from..=to], &mut out);
            take(&out);
        }
    }

    /// Theta hashes anew, a batch at a time.
    #[inline]
    pub fn theta_batches(&self, mut take: impl FnMut(&[u64])) {
        let mut out = Vec::with_capacity(BATCH);
        for from in (0..ROWS).step_by(BATCH) {
            let to = (from + BATCH).min(ROWS);
            theta_hashes_of_strings(&self.bytes, &self.offsets[from..=to], &mut out);
            take(&out);
        }
    }

    /// Different names that did occur.
    pub fn distinct(&self) -> f64 {
        self.events_of.iter().filter(|&&events| events > 0).count() as f64
    }

    /// The share of values up to this one.
    pub fn rank(&self, value: f64) -> f64 {
        self.values.iter().filter(|&&v| v <= value).count() as f64 / ROWS as f64
    }

    /// How alike the set of all names is to that of the first half of the rows: the share of names that occur there.
    pub fn jaccard_of_half(&self) -> f64 {
        let half: std::collections::HashSet<&[u8]> = self.names().take(ROWS / 2).collect();
        half.len() as f64 / self.distinct()
    }

    /// How many of these names are among the ten most frequent; ties with the tenth count.
    pub fn hits<'a>(&self, names: impl IntoIterator<Item = &'a [u8]>) -> f64 {
        let mut sorted = self.events_of.clone();
        let tenth = *sorted.select_nth_unstable_by(9, |a, b| b.cmp(a)).1;
        names.into_iter().take(10).filter(|name| self.events_of[rank_of(name)] >= tenth).count() as f64
    }

    /// The smallest value with at least this share of the values at or below it.
    pub fn quantile(&self, share: f64) -> f64 {
        let at = ((ROWS as f64 * share).ceil() as usize).max(1) - 1;
        *self.values.clone().select_nth_unstable_by(at, f64::total_cmp).1
    }
}

/// Rows hashed at a time.
const BATCH: usize = 4_096;

/// The name of a rank, `user_` and eight digits.
pub fn name_of(rank: usize) -> [u8; NAME_BYTES] {
    let mut name = *b"user_00000000";
    let mut rest = rank;
    for digit in name[5..].iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    name
}

fn rank_of(name: &[u8]) -> usize {
    name[5..].iter().fold(0, |rank, digit| rank * 10 + usize::from(digit - b'0'))
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    fn share(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal, by Box & Muller.
    fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.share(), self.share());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

/// Distinct keys that no name has: the same numbers as tokens and as 64 even bits.
pub fn numbered(range: Range<i64>) -> (Vec<Token>, Vec<u64>) {
    let tokens: Vec<Token> = range.map(Token::of_i64).collect();
    let hashes = tokens.iter().map(|token| token.mixed()).collect();
    (tokens, hashes)
}

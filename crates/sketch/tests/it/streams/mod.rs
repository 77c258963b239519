//! Seeded numbers and streams, and what is true of them.

use sketch::Token;
use std::collections::BTreeMap;

/// SplitMix64: one seed, one stream.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The next number of a SplitMix64 whose state is this.
pub fn random(state: &mut u64) -> u64 {
    let mut rng = Rng(*state);
    let out = rng.next();
    *state = rng.0;
    out
}

/// A key and its weight.
pub type Event = (u32, u64);

/// `events` keys out of `keys`, the i-th with probability proportional to 1/(i+1)^`exponent`, weight 1.
pub fn zipf(seed: u64, exponent: f64, keys: usize, events: usize) -> Vec<Event> {
    let mut sum = 0.0;
    let mut cumulative = Vec::with_capacity(keys);
    for i in 0..keys {
        sum += 1.0 / ((i + 1) as f64).powf(exponent);
        cumulative.push(sum);
    }
    let mut rng = Rng(seed);
    let pick = |u: f64| cumulative.partition_point(|c| *c <= u).min(keys - 1) as u32;
    (0..events).map(|_| (pick(rng.unit() * sum), 1)).collect()
}

pub fn name(key: u32) -> String {
    format!("entity_{key:06}")
}

pub fn token(key: u32) -> Token {
    Token::of_str(&name(key))
}

/// Exact weights by key.
pub fn truth(events: &[Event]) -> BTreeMap<u32, u64> {
    let mut truth = BTreeMap::new();
    for &(key, weight) in events {
        *truth.entry(key).or_default() += weight;
    }
    truth
}

/// The heaviest `k` keys.
pub fn heaviest(truth: &BTreeMap<u32, u64>, k: usize) -> Vec<u32> {
    let mut keys: Vec<u32> = truth.keys().copied().collect();
    keys.sort_by_key(|key| (std::cmp::Reverse(truth[key]), *key));
    keys.truncate(k);
    keys
}

/// The same bytes with a few of them changed, cut off or repeated.
pub fn mutate(bytes: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=rng.below(3) {
        let at = rng.below(out.len().max(1) as u64) as usize;
        match rng.below(8) {
            0 => out.truncate(at),
            1 => out.extend_from_slice(&bytes[..at.min(bytes.len())]),
            2 if at + 8 <= out.len() => out[at..at + 8].fill(0xFF),
            3 if !out.is_empty() => out[at] ^= 1 << rng.below(8),
            // The head decides about sizes: hit it more often than chance would.
            4 if out.len() > 32 => out[rng.below(32) as usize] = rng.next() as u8,
            _ if !out.is_empty() => out[at] = rng.next() as u8,
            _ => {}
        }
    }
    out
}
